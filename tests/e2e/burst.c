/* burst.c - many notifications in a short time: renames that mean nothing to anybody.
 *
 * usage: burst EVENTS DIR...
 *
 * Two files of its own in each DIR change their names with each other, which the kernel tells as
 * four events, until so many were told in all. In each DIR the files go before it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_A_RENAME 4

static const char *const names[] = {"burst-one", "burst-two"};

static bool make_files(int directory)
{
	for (int i = 0; i < 2; i++) {
		int fd = openat(directory, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0)
			return false;
		close(fd);
	}
	return true;
}

static bool exchange(int directory, unsigned long events)
{
	for (unsigned long told = 0; told < events; told += EVENTS_A_RENAME)
		if (renameat2(directory, names[0], directory, names[1], RENAME_EXCHANGE) < 0)
			return false;
	return true;
}

static bool burst(const char *path, unsigned long events)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = directory >= 0 && make_files(directory) && exchange(directory, events);
	int error = errno;

	for (int i = 0; i < 2 && directory >= 0; i++)
		unlinkat(directory, names[i], 0);
	if (directory >= 0)
		close(directory);
	if (!good)
		fprintf(stderr, "burst: %s: %s\n", path, strerror(error));
	return good;
}

int main(int argc, char **argv)
{
	unsigned long events = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (!events) {
		fprintf(stderr, "usage: burst EVENTS DIR...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++)
		if (!burst(argv[i], events / (unsigned long)(argc - 2) + 1))
			return 1;
	return 0;
}
