/* forecast.h - what a policy will do with messages if nothing but time passes: now, and hour by
 * hour. Pure: facts in, counts out.
 *
 * A message is followed through the tiers. What is due moves at once and is judged in its new tier
 * in the same second, as in the engine; a tier twice is a circle and stops it there. Then it is
 * judged again at the second that policy_decide names, until the last hour ends.
 *
 * What is not known: attempts that sendmail makes later (they come on top), which messages it
 * delivers, and what happens to recipient domains. A "domain" condition is taken for one of a
 * domain of which nothing has been heard, and the message is counted as `unknown`. "tier_messages"
 * stays what it is at the start. Locks, limits and trouble with files delay what is told here.
 */
#ifndef QFWATCH_FORECAST_H
#define QFWATCH_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

/* Longest forecast, hours. */
#define FORECAST_MAX_HOURS 720

struct forecast_rule {
	uint64_t *due; /* [0] now, [h] in hour h (1 to hours): later than its start, up to its end;
			  of a rule that keeps: messages that it begins to keep */
	uint64_t total;
	/* Messages that it would act on, but: */
	uint64_t circles;   /* they have been in the target tier before */
	uint64_t elsewhere; /* their df stands in another directory (a d line) */
	uint64_t held;	    /* they are quarantined, and so cannot be returned */
	uint64_t unknown;   /* whether it matches is known to the running daemon only */
};

struct forecast_tier {
	uint64_t before; /* messages that were given */
	uint64_t *stand; /* [0] when all that is due now is done, [h] at the end of hour h; set by
			    forecast_end */
	int64_t *change;
};

struct forecast {
	const struct policy *policy;
	int64_t now;
	unsigned hours;
	const uint64_t *tier_messages; /* borrowed: how many stand in each tier at the start */
	struct forecast_tier *tiers;   /* policy->n_tiers */
	struct forecast_rule *rules;   /* policy->n_rules */
	uint64_t unknown;	       /* messages that are `unknown` for a rule */
};

/* Never NULL (xalloc.h). hours is 1 to FORECAST_MAX_HOURS. */
struct forecast *forecast_new(const struct policy *policy, int64_t now, unsigned hours,
			      const uint64_t *tier_messages);
void forecast_free(struct forecast *forecast); /* NULL is fine */

/* Why a message cannot be acted on although a rule matches. */
struct forecast_obstacles {
	bool elsewhere; /* its qf has a d line */
	bool held;	/* its control file is an hf */
};

/* Follows one message. Its tier is one of the policy's. */
void forecast_add(struct forecast *forecast, const struct policy_message *message,
		  struct forecast_obstacles obstacles);

/* Adds the counts of another one, made for an equal policy, the same time and hours. */
void forecast_merge(struct forecast *forecast, const struct forecast *other);

/* After the last message: sets tiers[].stand. */
void forecast_end(struct forecast *forecast);

/* The tiers whose messages' texts, and sizes, a forecast needs: those that a rule asks for them,
 * and those from which rules lead there. */
uint64_t forecast_text_tiers(const struct policy *policy);
uint64_t forecast_size_tiers(const struct policy *policy);

/* How a limit holds up what is due. */
struct forecast_line {
	uint64_t now;	  /* due now */
	int64_t seconds;  /* how long these take */
	uint64_t longest; /* most that wait at the end of an hour */
	uint64_t left;	  /* that still wait at the end of the last one */
};

/* For all rules with that action, where so many may be done in `period` seconds (not 0). */
void forecast_limit(const struct forecast *forecast, enum policy_action action, uint32_t limit,
		    int64_t period, struct forecast_line *ret);

#endif
