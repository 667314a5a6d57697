/* listing.h - one message as one JSON line, with the names of Postfix' `postqueue -j` and more. The
 * same line comes from the daemon and from `qfwatch list` that reads the spool itself. Pure.
 *
 *	{"queue_name":"QUEUE","queue_id":"6AMHKF","arrival_time":1795500000,"message_size":3120,
 *	 "forced_expire":false,"sender":"news@example.com",
 *	 "recipients":[{"address":"a@example.net","delay_reason":"Deferred: ..."}],
 *	 "tier":"QUEUE","directory":"/var/spool/mqueue","attempts":3,"last_attempt":1795500600,
 *	 "state":"idle","quarantined":false,
 *	 "next_move":{"at":1795503600,"action":"move","to":"MIDQUEUE","rule":"an hour"}}
 *
 * Times are whole seconds since the epoch. null: not known (message_size, state), never
 * (last_attempt, next_move), or due now (next_move.at). What needs the qf is null or empty where it
 * cannot be read.
 */
#ifndef QFWATCH_LISTING_H
#define QFWATCH_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/json_line.h"
#include "qfwatch/policy.h"

/* What comes next if only time passes. */
struct listing_move {
	bool any;
	bool due; /* now, or when what is in the way has gone; else: */
	int64_t at;
	enum policy_action action; /* POLICY_MOVE, POLICY_DELETE, POLICY_BOUNCE */
	const char *to;		   /* with POLICY_MOVE: a tier */
	const char *rule;
};

/* Asks the policy. What it cannot know (the text, or the history, is not at hand) is no move. */
void listing_next_move(const struct policy *policy, const struct policy_message *message,
		       int64_t now, struct listing_move *ret);

/* All of it is borrowed. */
struct listing {
	const char *tier, *directory;
	const char *id;
	size_t id_length;
	bool has_numbers; /* its qf was read: `created`, `attempts`, `last_attempt` of the facts */
	struct policy_message facts; /* its text: NULL where the qf is not at hand */
	const char *state;	     /* filter_state_names; NULL: not known */
	struct listing_move next;
};

/* Most bytes that listing_put writes. */
size_t listing_room(const struct listing *listing);

/* Writes the object, without a newline. There is room: listing_room. Always valid UTF-8. */
void listing_put(const struct listing *listing, struct json_line *line);

#endif
