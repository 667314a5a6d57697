/* filter.h - which messages are wanted: one grammar for the options of the commands and for the
 * query of a URL.
 *
 *	tier      NAME[,NAME...]
 *	state     STATE[,STATE...]: the names in filter_state_names
 *	attempts  N, =N, >N, >=N, <N, <=N, N..M, N.., ..M (the ends belong to it)
 *	age       the same with durations (">1h", "1d..2d"), but for a lone one and =
 *	domain    GLOB: one of the recipients' domains; "(local)" is what has none
 *	sender    GLOB. Without an "@": the sender's domain, "(local)" or "<>"; a sender without a
 *	          domain also by its whole address. "*@GLOB" is the same as GLOB, but for these.
 *	          Others: the whole address
 *	recipient GLOB: one of the recipients' whole addresses
 *	status    REGEX (PCRE2): the M line
 *
 * Globs and regular expressions are those of policies. All keys must hold; a key that is given
 * several times holds if one of its values does (attempts and age: once).
 *
 * Pure. What memory knows of a message is enough for most filters: a match is YES, NO, or UNKNOWN
 * where the text of the qf has to be read.
 */
#ifndef QFWATCH_FILTER_H
#define QFWATCH_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

/* Values of one key. */
#define FILTER_VALUES 32

/* Steps (policy/pattern.h) that all regular expressions together may take over the status of one
 * message: 1 to 3 ms, since the daemon answers between two moves. */
#define FILTER_STEPS 50000

/* What stands for an address without a domain. */
#define FILTER_LOCAL "(local)"

struct filter;

/* Its keys, and the names of the states in the order of enum message_state (table.h; a unit test
 * holds the two together). Both end with NULL. */
extern const char *const filter_keys[];
extern const char *const filter_state_names[];

/* One that holds for every message. NULL: no memory. */
struct filter *filter_new(void);
void filter_free(struct filter *filter); /* NULL is fine */

/* What is wrong with a value: `attempts: wrong value ">>3"`, and what would be right. */
struct filter_error {
	char reason[256], remedy[512];
};

/* Adds one. The tiers are those of `policy`, and only their names are asked: the filter counts them
 * as the policy does. Returns 0, or -EINVAL with *error filled; -ENOMEM; -ENOENT for what is none
 * of filter_keys. On failure the filter may hold less than was asked: do not use it. */
int filter_add(struct filter *filter, const struct policy *policy, const char *key,
	       const char *value, struct filter_error *error);

/* Fills *error for a key that is not known: `unknown key "domian"`, `did you mean "domain"?`, where
 * `others` (ends with NULL; or NULL) are the caller's own keys. */
void filter_unknown_key(const char *key, const char *const *others, struct filter_error *error);

/* Does it ask for anything at all? For the text of the qf, whatever else is known? Perhaps (where
 * the domains are not at hand, or a sender is local)? For states? */
bool filter_is_empty(const struct filter *filter);
bool filter_needs_text(const struct filter *filter);
bool filter_may_need_text(const struct filter *filter);
bool filter_has_states(const struct filter *filter);

/* The tiers that are wanted, bit i: policy->tiers[i]. */
uint64_t filter_tiers(const struct filter *filter);

/* The only one of the policy's several tiers that is wanted, by name; or NULL. */
const char *filter_only_tier(const struct filter *filter, const struct policy *policy);

/* What is known of a message. Zero-initialise. */
struct filter_facts {
	unsigned tier;
	bool has_state;
	unsigned state;	  /* enum message_state */
	bool has_numbers; /* its qf was read: these two */
	uint32_t attempts;
	int64_t created;
	/* From memory. With the text at hand they are taken from there. */
	bool has_domains, has_sender_domain;
	const struct policy_slice *domains; /* lower case; empty: local */
	size_t n_domains;
	struct policy_slice sender_domain; /* as policy_text.sender_domain */
	const struct policy_text *text;	   /* NULL: not at hand */
};

/* One thread at a time for one filter. A message whose numbers are not known has neither attempts
 * nor an age; a state that is not known is none. */
enum policy_truth filter_match(struct filter *filter, const struct filter_facts *facts,
			       int64_t now);

/* The same of a message that was read: what is known of it are the policy's facts, and no state. */
enum policy_truth filter_match_read(struct filter *filter, const struct policy_message *message,
				    int64_t now);

/* How often a regular expression was given up because it cost too much (policy/pattern.h): the
 * message is taken not to match. */
uint64_t filter_given_up(const struct filter *filter);

#endif
