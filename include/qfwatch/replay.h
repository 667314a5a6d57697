/* replay.h - a policy over recorded events: what it would have done, beside what was done. Pure:
 * events in, in their order; counts out. Memory goes with the messages that are there at a time and
 * with the hours recorded.
 *
 * The model. Each message has two places: where the events say it stood, and where the new policy
 * would have had it. It begins in both where it was first seen. Attempts, and that it left by
 * itself (delivered, returned, removed by hand), are taken as recorded in both, although another
 * tier has another pace. What was deleted or bounced by the old policy and not by the new one stays
 * in the simulation to the end, without attempts. Moves are made at once: no locks, no limits.
 *
 * Events do not tell everything. A condition that cannot be judged from them (sender, recipient,
 * status, header, recipients, incomplete, quarantined; size, last attempt and domains where no
 * event has told them) is taken as unknown, a rule that depends on it as one that does not match,
 * and the message is counted as `unknown` for the rule.
 */
#ifndef QFWATCH_REPLAY_H
#define QFWATCH_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/events.h"
#include "qfwatch/policy.h"

/* Events later than this after the first one are not believed, hours: 11 years. */
#define REPLAY_MAX_HOURS 100000

/* One event as it was recorded. Texts are the caller's; NULL: not there. */
struct replay_event {
	enum event_action action;
	int64_t time; /* microseconds since the epoch */
	const char *run;
	uint64_t sequence;
	bool failure, dry_run;
	const char *id, *tier, *from, *to, *rule, *reason;
	bool has_message; /* the numbers */
	uint32_t attempts;
	int64_t age;   /* seconds */
	uint64_t size; /* 0: not known */
	bool has_since_attempt;
	int64_t since_attempt;	       /* seconds */
	bool has_domains, domains_cut; /* it names them: none, where all recipients are local */
	const char *domains[EVENT_MAX_DOMAINS];
	size_t n_domains;
	bool has_messages; /* resynced: counts.messages */
	uint64_t messages;
};

/* A number that was or would have been, and its value for each hour. */
struct replay_series {
	uint64_t value; /* of a rule: all of them; of a tier: now */
	uint64_t *hours;
	size_t n_hours, room;
};

struct replay_rule {
	char *name;
	int rule; /* index in the new policy; -1: recorded only */
	struct replay_series recorded, simulated;
	uint64_t unknown; /* messages for which it could not be judged */
	uint64_t circles; /* messages that it would have moved in a circle */
	uint64_t early; /* messages that it would have removed, but that left by themselves later */
};

struct replay_tier {
	char *name;
	int tier;				  /* index in the new policy; -1: recorded only */
	struct replay_series recorded, simulated; /* messages there at the end of each hour */
};

struct replay_result {
	struct replay_rule *rules; /* the new policy's first */
	size_t n_rules;
	struct replay_tier *tiers; /* the same */
	size_t n_tiers;
	int64_t first, last; /* seconds; 0: no event */
	int64_t start;	     /* of the first hour */
	size_t n_hours;
	uint64_t events, runs, policies; /* policy-loaded events */
	uint64_t missing;		 /* numbers left out in a run's sequence */
	uint64_t beginnings;		 /* runs whose first events are missing */
	uint64_t repeated;		 /* events given again or out of order: left out */
	uint64_t unbelieved;		 /* events with a time that cannot be */
	uint64_t backwards; /* events that are older than one before them: taken as of that time */
	uint64_t dry;	    /* actions that were only pretended */
	uint64_t messages;  /* different ones */
	uint64_t mid;	    /* first seen at a move or deletion */
	uint64_t vanished;  /* not there any more when a new run began */
	uint64_t jumps;	    /* times that attempts had risen without an event */
	uint64_t attempted, tracked; /* such events */
	uint64_t elsewhere; /* messages first seen in a tier that the new policy does not have */
	uint64_t recorded_left, simulated_left; /* messages that are there at the end */
	uint64_t spared; /* removed by the old policy, there at the end with the new one */
};

struct replay;

/* Never NULL (xalloc.h). The policy is borrowed. */
struct replay *replay_new(const struct policy *policy);
void replay_free(struct replay *replay); /* NULL is fine */

void replay_feed(struct replay *replay, const struct replay_event *event);

/* After the last event. The result is the replay's own, and complete only after this. */
const struct replay_result *replay_end(struct replay *replay);

/* ---- one rule against what is known (replay_judge.c) ---- */

struct replay_facts {
	struct policy_message message; /* text: only its domains count; NULL: these are not known */
	bool knows_last_attempt;
};

/* As policy_rule_holds, with POLICY_UNKNOWN for what events do not tell. */
enum policy_truth replay_judge(const struct policy_rule *rule, const struct replay_facts *facts,
			       int64_t now, int64_t *ret_next);

/* ---- reading (replay_read.c) ---- */

enum replay_line {
	REPLAY_EVENT,
	REPLAY_TORN,	/* no JSON object: cut off, or two writers at once */
	REPLAY_FOREIGN, /* not an event of qfwatch, or of a kind that is not known */
};

/* Reads one line. With REPLAY_EVENT the texts in *ret live until replay_release(*ret_line). */
struct replay_text;
enum replay_line replay_parse(const char *line, size_t length, struct replay_event *ret,
			      struct replay_text **ret_line);
void replay_release(struct replay_text *line); /* NULL is fine */

#endif
