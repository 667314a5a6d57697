/* cases.h - in which cases conditions hold, without any message at hand.
 *
 * Inside policy/ only: prove.c asks whether a rule can match at all, and whether rules before it
 * leave it anything.
 *
 * A case is a range for each number, a yes or no for each fact, and a list of texts that match or
 * do not match. Conditions become a list of cases; whenever they hold, one of the cases is there.
 * Of texts and domains less is known than they say: a case that is listed may be impossible all the
 * same, but conditions without a case certainly never hold.
 */
#ifndef QFWATCH_POLICY_CASES_H
#define QFWATCH_POLICY_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "qfwatch/policy.h"

enum cases_number {
	CASES_ATTEMPTS,
	CASES_AGE,
	CASES_SINCE_ATTEMPT,
	CASES_SIZE,
	CASES_RECIPIENTS,
	CASES_TIER_MESSAGES,
	CASES_NUMBERS,
};

enum cases_fact {
	CASES_TRIED,	  /* since_attempt means something */
	CASES_SIZED,	  /* size is known */
	CASES_HAS_SENDER, /* incomplete: this, or a recipient, is not there */
	CASES_QUARANTINED,
	CASES_FACTS,
};

struct cases_range {
	int64_t low, high; /* low <= it < high; INT64_MIN, INT64_MAX: no such end */
};

enum cases_answer { CASES_EITHER, CASES_YES, CASES_NO };

struct cases_case {
	struct cases_range numbers[CASES_NUMBERS];
	enum cases_answer facts[CASES_FACTS];
	const struct cases_text *texts; /* the last one that was added */
};

/* What all lists of one policy share. Zero-initialise, set the policy; end with cases_end. */
struct cases_maker {
	const struct policy *policy;
	struct pool pool;
	size_t steps;	/* that were taken */
	bool no_memory; /* then nothing is known of any list */
	/* What the cases that fell out last contradicted each other in: a key of the language; NULL
	 * if they fell out for several reasons. cases_all starts it anew. */
	const char *clash;
	bool clashed;
	/* A regular expression that is given up (POLICY_COSTLY) is no contradiction to what is
	 * being added: see cases_and_rule. */
	bool may_be_given_up;
};

struct cases {
	struct cases_case *list;
	size_t count, room;
	bool unknown; /* there are too many to say anything */
};

/* More steps than this are not taken for one policy, nor more cases kept in a list. */
#define CASES_STEPS 400000
#define CASES_MAX   256

/* Starts with every message: one case, without any limit. */
void cases_all(struct cases_maker *maker, struct cases *ret);

/* Keeps what the condition holds for as well; or, with `holds` false, what it does not hold for.
 * Where that would be too many the list becomes `unknown`. */
void cases_and(struct cases_maker *maker, struct cases *cases,
	       const struct policy_condition *condition, bool holds);

/* The same for a whole rule, with what it says of quarantined messages by not naming them. With
 * `holds` false that is where the rule does not act: because its conditions do not hold, or because
 * a regular expression is given up. */
void cases_and_rule(struct cases_maker *maker, struct cases *cases, const struct policy_rule *rule,
		    bool holds);

/* Keeps what is in both lists. */
void cases_and_cases(struct cases_maker *maker, struct cases *cases, const struct cases *other);

void cases_copy(struct cases_maker *maker, const struct cases *from, struct cases *ret);

/* Is it certain that nothing is left? */
bool cases_none(const struct cases_maker *maker, const struct cases *cases);

/* The lowest number of it in any case; INT64_MIN if there is none. */
int64_t cases_lowest(const struct cases *cases, enum cases_number number);

/* Lets go of what was said of a number: for what changes with the tier. */
void cases_forget(struct cases *cases, enum cases_number number);

void cases_free(struct cases *cases); /* also empties it */
void cases_end(struct cases_maker *maker);

#endif
