/* tally.h - what has been done since the start: counters by tier, by flow from tier to tier, and by
 * rule; the last 60 minutes of them; and how long things took.
 *
 * Pure: time is an argument (microseconds since the epoch). Tiers and rules go by their place in
 * the policy in force; when another one comes, what has the same name keeps its counts. Counting is
 * a few additions: no allocation, no look-up by name.
 */
#ifndef QFWATCH_TALLY_H
#define QFWATCH_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

enum tally_kind {
	TALLY_TRACKED,	 /* read for the first time */
	TALLY_ARRIVED,	 /* of these, not those that a first scan found waiting */
	TALLY_ATTEMPTED, /* its N has risen */
	TALLY_MOVED_IN,
	TALLY_MOVED_OUT,
	TALLY_DELETED,
	TALLY_BOUNCED,
	TALLY_DEPARTED, /* gone, not by us */
	/* As often as an event tells it: of a message that goes on failing for the same reason,
	 * once.
	 */
	TALLY_FAILED,
	TALLY_REFUSED,
	TALLY_BUSY,
	TALLY_KINDS
};

/* What came of a rule. */
enum tally_outcome {
	TALLY_RULE_ACTED, /* moved, deleted, returned, noticed or run */
	TALLY_RULE_FAILED,
	TALLY_RULE_REFUSED,
	TALLY_RULE_BUSY,
	TALLY_OUTCOMES
};

/* One for each minute, of which the last is under way. */
#define TALLY_MINUTES 60

enum tally_timer {
	TALLY_REACTION, /* from the turn of the loop that learnt of a message to its standing in the
			   next tier */
	TALLY_MOVE,	/* one move, from the lock on */
	TALLY_SCAN,	/* a round: scan and sweep */
	TALLY_TIMERS
};

/* Buckets of a timer: one for each bound, and one for what took longer. */
#define TALLY_BUCKETS 16

struct tally_times {
	uint64_t counts[TALLY_BUCKETS]; /* each by itself, not cumulated */
	uint64_t count;
	uint64_t sum; /* nanoseconds */
};

struct tally;

struct tally *tally_new(void);
void tally_free(struct tally *tally); /* NULL is fine */

/* Another policy. */
void tally_configure(struct tally *tally, const struct policy *policy);

/* Time goes on: before what is counted, and before it is read. A clock that goes back a little
 * counts on in the minute under way. */
void tally_advance(struct tally *tally, int64_t now);

/* The clock was set: the minutes that were counted stay the last ones. */
void tally_set_clock(struct tally *tally, int64_t now);

/* ---- counting; a tier or rule that is not there counts only in the sum of all tiers ---- */

#define TALLY_NO_TIER (~0u)
#define TALLY_NO_RULE SIZE_MAX

void tally_note(struct tally *tally, unsigned tier, enum tally_kind kind);

/* MOVED_OUT of the one, MOVED_IN of the other, and their flow. */
void tally_note_move(struct tally *tally, unsigned from, unsigned to);

void tally_note_rule(struct tally *tally, size_t rule, enum tally_outcome outcome);

void tally_note_time(struct tally *tally, enum tally_timer timer, int64_t nanoseconds);

/* A round of scans has ended; `reason` is the caller's number for it, less than TALLY_ROUNDS. */
#define TALLY_ROUNDS 8
void tally_note_round(struct tally *tally, unsigned reason);

/* ---- reading ---- */

/* Since the start; in the last full minute; in the last 60 minutes, the one under way included. */
struct tally_sums {
	uint64_t total, minute, hour;
};

struct tally_sums tally_of_tier(const struct tally *tally, unsigned tier, enum tally_kind kind);

/* Of all tiers, also of those that the policy named once. */
struct tally_sums tally_of_all(const struct tally *tally, enum tally_kind kind);

/* The minutes of all tiers, the oldest first. Returns when the oldest began, in seconds since the
 * epoch. */
int64_t tally_history(const struct tally *tally, enum tally_kind kind, uint32_t ret[TALLY_MINUTES]);

/* Flows that there have been between two tiers of the policy, by number from 0; false: no more. */
struct tally_flow {
	unsigned from, to;
	struct tally_sums moved;
};
bool tally_flow(const struct tally *tally, size_t number, struct tally_flow *ret);

uint64_t tally_of_rule(const struct tally *tally, size_t rule, enum tally_outcome outcome);

uint64_t tally_rounds(const struct tally *tally, unsigned reason);

const struct tally_times *tally_times(const struct tally *tally, enum tally_timer timer);

/* The upper bounds of its buckets, nanoseconds; *ret_count is less than TALLY_BUCKETS. */
const int64_t *tally_bounds(enum tally_timer timer, size_t *ret_count);

/* Bytes taken, all told. */
size_t tally_memory(const struct tally *tally);

#endif
