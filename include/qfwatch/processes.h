/* processes.h - the processes of this machine whose names are of interest, with their command
 * lines. Read from /proc, or a folder that looks like it.
 */
#ifndef QFWATCH_PROCESSES_H
#define QFWATCH_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longer names, more words, and longer command lines are cut. */
#define PROCESSES_NAME	32
#define PROCESSES_WORDS 64
#define PROCESSES_LINE	4096

struct process {
	pid_t pid;
	char name[PROCESSES_NAME]; /* of the program, as it was started */
	char *line;		   /* its words, NUL between them */
	char *words[PROCESSES_WORDS];
	size_t n_words;
};

struct processes {
	struct process *list;
	size_t count;
	bool hidden; /* the processes of other users cannot be seen */
	char *proc;
};

/* Those whose name begins with one of `names` (ends with NULL). Returns 0 or -errno; end with
 * processes_free in either case. */
int processes_read(const char *proc, const char *const *names, struct processes *ret);
void processes_free(struct processes *processes);

/* Splits a command line as in /proc/PID/cmdline. Empty words at its end, which are left where a
 * process has written its title over it, are none. process->line is `line`. */
void processes_split(char *line, size_t length, struct process *process);

/* Reads a small file of a process: "status". Returns its text, which the caller frees, or NULL. */
char *processes_file(const struct processes *processes, pid_t pid, const char *name);

/* Writes where a link of a process leads ("cwd") to path[PATH_MAX]. Returns false when that cannot
 * be told. */
bool processes_link(const struct processes *processes, pid_t pid, const char *name, char *path);

/* Calls `visit` for each open file of the process, with a path by which it can be asked for, and
 * where it leads. Returns false when they cannot be seen. */
bool processes_files(const struct processes *processes, pid_t pid,
		     void (*visit)(void *context, const char *path, const char *target),
		     void *context);

#endif
