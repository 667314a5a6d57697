/* program.h - runs a program for a rule, to its end: for a worker's thread, never for the loop.
 *
 * There is no shell. The program gets what it is told and nothing else of ours:
 * - /dev/null as input, one pipe for both of its outputs, no other descriptor;
 * - default signal dispositions, no blocked signals (the loop and the workers block some or all);
 * - a session, and so a process group, of its own, without a terminal; it cannot leave its group;
 * - the folder "/", and the environment that is given.
 * It keeps our user, our umask and our resource limits.
 *
 * Linux 5.9 is expected (close_range; an older one costs a walk through /proc/self/fd). Where there
 * is no pidfd (before 5.3, or forbidden by a seccomp filter, or no descriptor left), the end of a
 * program is noticed up to 50 ms late, and nothing else changes.
 *
 * SIGCHLD must not be ignored in this process, nor may anybody wait for any child (waitpid(-1)).
 */
#ifndef QFWATCH_PROGRAM_H
#define QFWATCH_PROGRAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRAM_OUTPUT 400 /* bytes */

struct program_result {
	int error; /* errno of starting it (ENOENT, EACCES, ENOEXEC, ENOMEM...); 0: it was started,
		      and has ended */
	bool unknown;	/* it was started all the same, but how it ends is not known: error is
			   ECHILD (SIGCHLD is ignored here), or EBUSY (cancelled, and even SIGKILL
			   did not end it: another user's, or hung in the kernel) */
	bool timed_out; /* told to end by us, after its time */
	bool cancelled; /* told to end by us, or not started (error is ECANCELED), by *cancel */
	int status;	/* as from waitpid; valid with error == 0 */
	/* The last bytes of what it wrote to both outputs, for the end tells more than the start:
	 * control characters made blanks, runs of blanks joined, none at either end. Bytes above
	 * 127 are as they came, but no character of UTF-8 is cut at the front. */
	char output[PROGRAM_OUTPUT + 1];
	int64_t duration; /* nanoseconds */
};

/* What program_run takes for an environment of NULL: PATH, the usual folders, so that a script
 * finds its tools; LC_ALL=C, so that what it says is the same everywhere. Nothing of the daemon's
 * own. */
extern char *const program_environment[];

/* Runs argv (as for execv; argv[0] is an absolute path, else error is EINVAL) and waits for its
 * end. environment: as environ, or NULL.
 *
 * timeout: microseconds, positive (INT64_MAX: none); then its group gets SIGTERM (and SIGCONT: it
 * may be stopped), and 2 s later SIGKILL. The same when *cancel becomes true (NULL: never), within
 * 50 ms.
 *
 * The end of the program itself counts. When it closes its outputs and runs on, it is waited for.
 * When something it left running holds the pipe open, 50 ms are given to what is still to be read;
 * what writes into it after that gets SIGPIPE. What is left in its group is killed with
 * kill_group, and left alone without.
 *
 * Without *cancel, this waits as long as a program lives that SIGKILL does not end: its place among
 * the programs that may run at once is not free.
 *
 * Several threads may be in here. No zombie is left but with `unknown`. */
void program_run(char *const *argv, char *const *environment, int64_t timeout, bool kill_group,
		 const atomic_bool *cancel, struct program_result *ret);

/* One line for an event: "exit status 3: no such user", "ended by SIGTERM after 30s", "cannot be
 * started: No such file or directory". Returns buffer; what does not fit is cut. */
char *program_describe(const struct program_result *result, char *buffer, size_t size);

/* Exit status 0, in its time. */
bool program_succeeded(const struct program_result *result);

/* What stands for {id}, {file}, {tier} and {rule}. NULL: nothing. */
struct program_values {
	const char *id, *file, *tier, *rule;
};

/* One argument with its names in braces filled in. Other braces stay as they are. Values go in as
 * they are, whatever they hold: an argument stays one argument, and a value is not filled again.
 * Returns memory that the caller frees, never NULL (xalloc.h). */
char *program_fill(const char *pattern, const struct program_values *values);

#endif
