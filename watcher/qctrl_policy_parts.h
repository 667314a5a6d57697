/* qctrl_policy_parts.h - what the files of qctrl_policy.h share. */
#ifndef QFWATCH_QCTRL_POLICY_PARTS_H
#define QFWATCH_QCTRL_POLICY_PARTS_H

#include <jansson.h>

#include "qfwatch/qctrl.h"
#include "qfwatch/qctrl_policy.h"

#define QCTRL_MAX_TIERS 64 /* POLICY_MAX_TIERS */

struct tier {
	char *directory, *name;
};

#define DELETED ((size_t)-1)

/* Which tiers a rule goes between. */
struct route {
	size_t from, to; /* to: DELETED where it deletes */
	unsigned line;
};

struct qctrl_policy {
	const char *where; /* "line" or "argument" */
	struct tier tiers[QCTRL_MAX_TIERS];
	size_t n_tiers;
	json_t *tier_list, *rules, *comments;
	struct route *routes; /* one a rule */
	size_t n_routes;
	bool deletes, informs;
	unsigned problems;
};

/* A copy that is UTF-8 without control characters: what is not becomes "?". For free(). */
char *qctrl_tidy(const char *text);

/* The same as JSON. */
json_t *qctrl_text(const char *text);

/* Adds to a list of comments. */
__attribute__((format(printf, 2, 3))) void qctrl_comment(json_t *comments, const char *format, ...);

/* One comment as a text, several as a list. Takes the list over. */
void qctrl_set_comment(json_t *object, json_t *comments);

/* Tells why a line is not in the policy: on stderr, and at the policy's top. */
void qctrl_leave_out(struct qctrl_policy *policy, unsigned line, const char *why,
		     const char *remedy);

/* Tells what the operator has to look at: on stderr, and beside the rule or tier. */
void qctrl_differ(struct qctrl_policy *policy, unsigned line, json_t *comments, const char *why,
		  const char *remedy);

/* The rule's "when", or NULL and the line is left out. */
json_t *qctrl_when(struct qctrl_policy *policy, unsigned line, const struct qctrl *qctrl,
		   json_t *comments);

#endif
