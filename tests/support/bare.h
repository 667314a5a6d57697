/* bare.h - what qfwatch does, by system calls alone: the yardstick of the bench.
 *
 * No table, no policy file, no checks, no events: a loop can hardly do less.
 */
#ifndef QFWATCH_TEST_BARE_H
#define QFWATCH_TEST_BARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mta.h"

/* readdir, and open, read (4096 bytes) and close of each qf, in one thread. Returns the number of
 * qf, or a negative errno. */
int64_t bare_scan(const struct mta_queue *queue);

/* open, flock, link df, renameat2 qf, unlink df, close. 0 or a negative errno. */
int bare_move(const struct mta_queue *from, const struct mta_queue *to, const char *id);

/* The same with the calls that guard a move and take no decision (INTERNALS.md, "Where a move's
 * time goes"): the file that was opened is read, has both of sendmail's locks, is still the one of
 * its name; the linked body is no other's. 0 or a negative errno. */
int bare_move_guarded(const struct mta_queue *from, const struct mta_queue *to, const char *id);

/* What the process of bare_watch_start counted. */
struct bare_counts {
	uint64_t events;
	uint64_t overflows;
	uint64_t moves;
	bool ready;
};

struct bare_watch {
	pid_t pid;
	volatile struct bare_counts *counts; /* shared memory */
};

/* Starts a process that reads inotify events of `from`, opens, reads and closes each qf they name,
 * and moves it to `to` when its N is `attempts` or more. Returns when it watches. */
int bare_watch_start(struct bare_watch *watch, const struct mta_queue *from,
		     const struct mta_queue *to, uint32_t attempts);
void bare_watch_stop(struct bare_watch *watch);

#endif
