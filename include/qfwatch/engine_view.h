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
#include "qfwatch/labels.h"
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

/* ---- messages ---- */

/* What memory knows of one. */
struct engine_view_message {
	const char *id; /* id_length bytes, not NUL-terminated */
	size_t id_length;
	unsigned tier;
	const char *directory;
	enum message_state state;
	bool has_numbers; /* its qf has been read: these are known */
	uint32_t created, last_attempt, attempts;
	bool quarantined;
};

/* The next one, in no order; begins and ends with MSGREF_NONE. */
msgref engine_view_next(const struct engine *engine, msgref after);
void engine_view_message(const struct engine *engine, msgref ref, struct engine_view_message *ret);

/* Those of that id: in each directory there may be one. Returns how many, at most `most`. */
size_t engine_view_find(const struct engine *engine, const char *id, msgref *ret, size_t most);

/* Their domains; NULL where the policy does not listen. */
const struct labels *engine_view_labels(const struct engine *engine);

/* Reads its qf: who asks for what memory does not know. The reader's own memory; the text is valid
 * until the next call. Returns 0 or -errno: it is gone, unreadable, being written. */
struct engine_view_reader;

struct engine_view_reader *engine_view_reader_new(void);	 /* never NULL */
void engine_view_reader_free(struct engine_view_reader *reader); /* NULL is fine */
int engine_view_read(const struct engine *engine, struct engine_view_reader *reader, msgref ref,
		     struct policy_text *ret);

/* What the policy may ask of it; `text` may be NULL. Valid until the next call of anything. */
struct policy_message engine_view_facts(struct engine *engine, msgref ref,
					const struct policy_text *text);

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
