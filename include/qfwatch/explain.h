/* explain.h - why a message is where it is: its rules one by one, what they want, what they wait
 * for, and what is in the way. Worked out once (explain_make), told twice: for people
 * (explain_text) and for programs (explain_json).
 */
#ifndef QFWATCH_EXPLAIN_H
#define QFWATCH_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "qfwatch/inspect.h"
#include "qfwatch/policy.h"

/* What a rule that does not hold waits for. Both may be: then either is enough. */
struct explain_wait {
	bool by_time;
	int64_t at; /* it holds from this second on, if only time passes */
	bool by_attempts;
	uint32_t more; /* attempts to go */
	int64_t then;  /* and not before this second; INT64_MIN: with the attempt */
};

struct explain_rule {
	const struct policy_rule *rule;
	bool reached; /* no rule before it decides */
	bool decides; /* it is the one that decides */
	bool spared;  /* it does not hold because the message is quarantined, and says nothing of
			 such */
	enum policy_truth holds;
	struct explain_wait wait; /* where it is reached and does not hold */
};

/* What is in the way. `kind` is a word of the JSON output; it does not change. */
struct explain_blocker {
	const char *kind;
	char *text;
	const char *remedy; /* "": none */
	bool now; /* an action is due, and this keeps it; else: it would, or may, keep it */
};

#define EXPLAIN_BLOCKERS 12

struct explanation {
	const struct policy *policy;
	const struct inspected *inspected;
	int64_t now, at; /* what it is, and the second for which it is judged */
	bool has_tier;	 /* `tier` is known: its own, or the one that was asked for */
	bool judged;	 /* the rules were asked: these are set */
	unsigned tier;
	struct policy_message facts;
	struct policy_decision decision;
	/* With decision.unknown: the rule that decides if the unknown one does not hold; or NULL.
	 */
	const struct policy_rule *otherwise;
	struct explain_rule *rules; /* those of its tier, in order */
	size_t n_rules;
	struct locked daemon; /* who serves its directory */
	struct explain_blocker blockers[EXPLAIN_BLOCKERS];
	size_t n_blockers;
};

struct explain_world {
	const struct policy *policy;
	struct spool *spool;
	uint64_t lost; /* bit i: nothing of tiers[i] is open */
	int64_t now, at;
	int tier; /* of files that stand in no tier; -1: not said */
	/* How many messages stand in each tier; counted when first asked for. Zero-initialise. */
	bool counted[POLICY_MAX_TIERS];
	uint64_t counts[POLICY_MAX_TIERS];
};

/* Works it out. Everything given is borrowed, and has to last as long as the explanation. */
void explain_make(struct explain_world *world, const struct inspected *inspected,
		  struct explanation *ret);
void explain_free(struct explanation *explanation);

/* Is something to be done with the message itself now? */
bool explain_is_due(const struct explanation *explanation);

/* "move to MIDQUEUE, run /usr/bin/x": what a rule does. The caller frees it. */
char *explain_action(const struct policy *policy, const struct policy_rule *rule);

/* The only condition in an "all of": a header stands in one, as does what is in a list of "any". */
const struct policy_condition *explain_unwrap(const struct policy_condition *condition);

/* Several lines. Nothing in them steers a terminal. */
void explain_text(const struct explanation *explanation, FILE *to);

/* One line, always valid UTF-8. */
void explain_json(const struct explanation *explanation, FILE *to);

/* One line for a word that could not be explained. */
void explain_json_missing(const char *word, const char *why, FILE *to);

#endif
