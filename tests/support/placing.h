/* placing.h - a processor for the watcher, and another one for mail server and observer.
 *
 * Who is woken is often put on the processor of who woke him, and goes on when that one sleeps: the
 * observer then hears of a move only when the daemon has nothing left to do, though the qf stands
 * in its tier long before. With a processor of its own it does not sleep either: neither how long
 * it takes to wake up nor what it costs to wake it is of the move.
 */
#ifndef QFWATCH_TEST_PLACING_H
#define QFWATCH_TEST_PLACING_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

#include "reaction.h"

struct placing {
	bool apart; /* in: asked for; without it nothing is done */
	cpu_set_t first, last, before;
};

/* Are there two processors? */
bool placing_can(void);

/* The watcher goes to the first of this process's processors, this process, which observes without
 * sleeping from now on, to the last. Everything that fails exits (bench_fail). */
void placing_begin(struct placing *placing, struct reaction *reaction, pid_t watcher);

/* One more goes to the watcher's. */
void placing_join(const struct placing *placing, pid_t pid);

/* This process sleeps again, and where it likes. */
void placing_end(const struct placing *placing, struct reaction *reaction);

#endif
