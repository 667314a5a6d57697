/* asking.h - asks the running daemon over its Unix socket, by system calls alone; and a process
 * that does so without end.
 *
 * Everything that fails exits (bench_fail): no answer, another status than 200, an answer that is
 * broken off.
 */
#ifndef QFWATCH_TEST_ASKING_H
#define QFWATCH_TEST_ASKING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* GET `target`, on a connection of its own that is read to its end. Returns the nanoseconds from
 * connect to that end; *ret_bytes (NULL: not asked for) gets the answer's bytes, head included. */
int64_t asking_get(const char *socket, const char *target, size_t *ret_bytes);

/* What a program takes from fork to the end of its exit, its output thrown away; it has to exit
 * with 0. `arguments` with argv[0], ends with NULL. */
int64_t asking_run(const char *program, const char *const *arguments);

struct asking {
	pid_t pid;
	int64_t began;
	volatile uint64_t *answers; /* shared memory */
};

/* Starts a process that asks for these targets (ends with NULL) in turn: once in `every`
 * nanoseconds, or when the answer before is there if that takes longer. It sleeps in between. */
void asking_begin(struct asking *asking, const char *socket, const char *const *targets,
		  int64_t every);

/* Ends it. Returns how many answers a second it got. */
double asking_end(struct asking *asking);

#endif
