/* engine.h - joins policy and spool: a notification, a name from a scan, or a deadline becomes a
 * look at one message, that a decision, and that an action and its event.
 *
 * The engine never waits. Whoever runs it (loop.c) calls engine_turn when engine_fd is readable,
 * when engine_deadline has come, or while the last turn said that there is more to do.
 */
#ifndef QFWATCH_ENGINE_H
#define QFWATCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/ages.h"
#include "qfwatch/events.h"
#include "qfwatch/policy.h"
#include "qfwatch/problem.h"
#include "qfwatch/tally.h"

enum engine_mode {
	ENGINE_WATCH, /* the daemon: notifications, deadlines, reconciles */
	ENGINE_ONCE,  /* one pass: a scan and what follows from it, then nothing is left to do */
};

struct engine;

/* dry_run: decide and report, touch nothing, and claim nothing. `events` is borrowed. */
struct engine *engine_new(struct events *events, enum engine_mode mode, bool dry_run);
void engine_free(struct engine *engine); /* NULL is fine; leaves nothing of ours in the spool */

/* Puts a policy into force, the first or a new one, and takes it over. Returns 0, or -errno with
 * findings in *problems: then everything is as it was, and the policy is still the caller's. */
int engine_apply(struct engine *engine, struct policy *policy, struct problems *problems);

/* Does a bounded piece of work. Returns true when there is more to do at once. */
bool engine_turn(struct engine *engine, int64_t now);

/* Before the end: waits for what cannot be left half-way, and tells of it. */
void engine_stop(struct engine *engine);

/* The descriptors that become readable when a worker has something for the engine: `which` is 0 to
 * ENGINE_WORKERS - 1; -1 as long as there is none. May appear, and change, with any turn that
 * raises engine_workers_made; the number of one that is gone may be another's then. */
#define ENGINE_WORKERS	   3
#define ENGINE_SCAN_WORKER 2 /* reads files while a scan is under way */
int engine_worker_fd(const struct engine *engine, unsigned which);
unsigned engine_workers_made(const struct engine *engine);

/* Is a worker at work? A single pass is not over then. */
bool engine_is_waiting(const struct engine *engine);

/* When the engine wants its next turn by itself, microseconds since the epoch; INT64_MAX: never. */
int64_t engine_deadline(const struct engine *engine);

/* Things that happened elsewhere: the clock was set; file systems were mounted or unmounted. */
void engine_clock_set(struct engine *engine);
void engine_mounts_changed(struct engine *engine);

/* The folder of the policy file was touched in a way that may concern the file `name`. Set by
 * engine_turn, taken by engine_take_policy_hint, which also clears it. The engine watches because
 * notifications come by one way only. */
int engine_watch_policy(struct engine *engine, const char *path);
bool engine_take_policy_hint(struct engine *engine);

/* What has been done since the start, and what there is now. */
struct engine_counts {
	uint64_t messages, moved, deleted, bounced, departed, attempted;
	uint64_t failed, refused, busy; /* messages that are in that state now */
	uint64_t given_up;		/* times that a rule was passed over: POLICY_COSTLY */
	uint64_t waiting;		/* now, for a limit */
	uint64_t moving;		/* now, to another file system */
	uint64_t lost_directories;	/* now */
	uint64_t overflows;
	size_t table_bytes;
};
struct engine_counts engine_count(const struct engine *engine);

/* The same by tier, flow and rule, and in the last hour, which ends at `now`; and what stands in
 * the tiers. By their places in the policy in force. */
const struct tally *engine_get_tally(struct engine *engine, int64_t now);
const struct ages *engine_get_ages(const struct engine *engine);

/* How many rounds of scans have ended, by their reason: number 0 and on; NULL: no more. */
const char *engine_rounds(const struct engine *engine, unsigned number, uint64_t *ret);

#endif
