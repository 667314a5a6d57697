/* reaction.h - from sendmail's release of a due qf until it stands in the next tier, measured; and
 * a load of rewrites besides.
 *
 * A message with one attempt too few gets one more (lock, tf, rename, close). The clock starts just
 * before the last close and stops when this process, which sleeps on an inotify of its own on the
 * next tier, has read that the qf came there. Its own wake-up is included.
 *
 * The policy is BENCH_DUE_RULE. Everything that fails exits (bench_fail).
 */
#ifndef QFWATCH_TEST_REACTION_H
#define QFWATCH_TEST_REACTION_H

#include <sys/types.h>

#include "bench.h"

#define REACTION_MOVES 300 /* a round, at most */

struct reaction {
	struct bench *bench;
	struct mta mta;
	struct mta_queue from, to;
	struct bench_arrivals arrivals;
	struct mta_id *ids; /* of all messages of QUEUE, for the load */
	size_t n_ids;
	int moves; /* a round: 300, or 100 where SCALE is small */
	struct mta_id moving[REACTION_MOVES];
	int64_t released[REACTION_MOVES]; /* of the last round: wall clock */
	int64_t took[REACTION_MOVES];	  /* the same: the reaction */
	int count;			  /* how many of these are set */
};

/* With a spool that bench->spool names. */
void reaction_open(struct reaction *reaction, struct bench *bench);
void reaction_close(struct reaction *reaction);

/* Measures reaction->moves moves of whoever is watching, a millisecond or so from one to the next;
 * what they left is removed. */
void reaction_measure(struct reaction *reaction, struct samples *samples);

/* Starts a process that rewrites messages of QUEUE at random, `rate` a second, until
 * reaction_unload. It ends what it has begun. Returns the rewrites that were made. */
struct reaction_load {
	pid_t pid;
	volatile uint64_t *rewrites; /* shared memory */
};
void reaction_load(struct reaction *reaction, int64_t rate, struct reaction_load *ret);
uint64_t reaction_unload(struct reaction_load *load);

#endif
