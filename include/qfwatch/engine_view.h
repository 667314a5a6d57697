/* engine_view.h - what readers may ask of the engine. Changes nothing, opens nothing, and each call
 * is short: who goes through all messages does so in steps, between turns.
 *
 * A msgref is good until the next turn: after it, a walk goes on from the last one all the same
 * (engine_view_next), but what was read of a message may be another's.
 */
#ifndef QFWATCH_ENGINE_VIEW_H
#define QFWATCH_ENGINE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/engine.h"
#include "qfwatch/policy.h"
#include "qfwatch/table.h"

/* The policy in force: good until the next engine_apply. */
const struct policy *engine_view_policy(const struct engine *engine);

bool engine_view_is_dry_run(const struct engine *engine);

/* "idle": the name of a state, as JSON outputs and filters have it. */
const char *engine_view_state_name(enum message_state state);

/* How many messages are in that state now. */
uint64_t engine_view_state_count(const struct engine *engine, enum message_state state);

/* ---- queue directories ---- */

enum engine_view_watch {
	ENGINE_VIEW_WATCHED,
	ENGINE_VIEW_POLLED, /* its file system tells of too little: scanned on a timer as well */
	ENGINE_VIEW_LOST,
};

struct engine_view_directory {
	const char *path;
	unsigned tier;
	enum engine_view_watch state;
	int error; /* of a lost one: errno, ENOENT and ESTALE (another one stands there) included */
	uint64_t messages;
};

/* How many places there are; engine_view_directory returns false for one that is not used. */
size_t engine_view_directories(const struct engine *engine);
bool engine_view_directory(const struct engine *engine, size_t index,
			   struct engine_view_directory *ret);

/* Why a directory is lost, in words. */
const char *engine_view_lost_reason(int error);
const char *engine_view_lost_remedy(int error);

/* ---- rounds of scans ---- */

struct engine_view_round {
	const char *running; /* why: "start", "overflow", "found", "reconcile", "polled"; NULL: none
			      */
	const char *last;    /* of the last one that ended; NULL: none yet */
	int64_t last_at;     /* when it ended, microseconds since the epoch */
	int64_t last_took;   /* microseconds */
	uint64_t last_found, last_departed;
};

void engine_view_round(const struct engine *engine, struct engine_view_round *ret);

/* Has the first scan ended? */
bool engine_view_is_complete(const struct engine *engine);

#endif
