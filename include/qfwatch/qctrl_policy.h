/* qctrl_policy.h - a policy that means what qctrl's command lines mean.
 *
 * What cannot be said in a policy, or is not quite the same, it says: on stderr, and in the policy
 * as comments.
 */
#ifndef QFWATCH_QCTRL_POLICY_H
#define QFWATCH_QCTRL_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "qfwatch/shell.h"

struct qctrl_policy;

/* `where` says what the lines' numbers count: "line" or "argument"; a constant. Never NULL. From
 * here on jansson's memory is xalloc.h's. */
struct qctrl_policy *qctrl_policy_new(const char *where);
void qctrl_policy_free(struct qctrl_policy *policy); /* NULL is fine */

/* Adds what one command line says; `words` are those behind "qctrl". `loop`: it stands in one. */
void qctrl_policy_add(struct qctrl_policy *policy, unsigned line, bool loop,
		      const struct shell_word *words, size_t count);

/* Adds a comment at the top. */
void qctrl_policy_note(struct qctrl_policy *policy, const char *text);

size_t qctrl_policy_rules(const struct qctrl_policy *policy);

/* How much the operator has been told to look at. */
unsigned qctrl_policy_problems(const struct qctrl_policy *policy);

/* Writes policy.json. Returns 0 or a negative errno. */
int qctrl_policy_write(struct qctrl_policy *policy, FILE *to);

#endif
