/* gate.c - see gate.h */
#include "gate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"

/* A byte is a way through: whoever reads it has it for himself, since a shell reads byte by byte.
 */
#define GATE	"../gate"
#define ARRIVED "../gate.arrived"
#define NOTES	"../gate.notes"

static int gate = -1;

const char *gate_script(const char *name, const char *commands)
{
	const char *path = testing_path("../%s", name);

	testing_write(path,
		      "#!/bin/sh\n"
		      "here='%s'\n"
		      "note() { echo \"$*\" >>\"$here/" NOTES "\"; }\n"
		      "gate() { echo >>\"$here/" ARRIVED "\"; read -r go <\"$here/" GATE "\"; }\n"
		      "%s\n",
		      testing_path("."), commands);
	check(chmod(path, 0755) == 0);
	return path;
}

void gate_set_up(void)
{
	check(mkfifo(GATE, 0600) == 0);
	gate = open(GATE, O_RDWR | O_CLOEXEC);
	check(gate >= 0);
	testing_put(ARRIVED, "", 0);
}

void gate_take_away(void)
{
	check(close(gate) == 0 && unlink(GATE) == 0);
}

bool gate_has_seen(size_t count)
{
	int64_t since = 0;
	struct stat stat;

	do
		check(lstat(ARRIVED, &stat) == 0);
	while ((size_t)stat.st_size < count && testing_again(&since));
	return (size_t)stat.st_size == count;
}

void gate_let_through(size_t count)
{
	for (; count; count--)
		check(write(gate, "\n", 1) == 1);
}

const char *gate_notes(void)
{
	static char *notes;

	free(notes);
	notes = testing_exists(NOTES) ? testing_read(NOTES, NULL) : strdup("");
	return notes;
}

size_t gate_count_notes(void)
{
	size_t count = 0;

	for (const char *at = gate_notes(); *at; at++)
		count += *at == '\n';
	return count;
}
