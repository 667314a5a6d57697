/* policies.h - policies and messages for tests of what is decided: written in one line, or drawn by
 * lot.
 *
 * Does not know cmocka: what cannot be done ends the process. Policies have the tiers A, B, C, D.
 * In their texts ' stands for ".
 */
#ifndef QFWATCH_POLICIES_H
#define QFWATCH_POLICIES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "qfwatch/policy.h"

enum { TIER_A, TIER_B, TIER_C, TIER_D };

/* A policy with these rules: "[{'tier':'A','when':{'attempts':3},'then':{'keep':true}}]". */
struct policy *policies_parse(const char *rules);

/* A policy with one rule for tier A, which keeps: "{'attempts':3}". */
struct policy *policies_when(const char *when);

struct policy_slice policies_slice(const char *text);

/* ---- history: a window of a domain is reached up to a second ---- */

struct policies_window {
	const char *domain;
	unsigned window;
	uint64_t count;
	int64_t until; /* the first second at which it is not reached any more */
};

struct policies_history {
	const struct policies_window *windows;
	size_t n;
};

struct policy_history policies_history(const struct policies_history *history);

/* ---- by lot; times are from 0 to POLICIES_END ---- */

#define POLICIES_END 200

uint32_t policies_draw(uint64_t *seed, uint32_t below);

/* Rules with any conditions and actions, as policies_parse takes them. */
char *policies_draw_rules(uint64_t *seed, unsigned most); /* the caller frees it */

/* Are expressions among them that are given up over most texts? At first not. To have that happen
 * soon, and not after half a million steps, let a policy hurry before it is asked. */
extern bool policies_costly;
void policies_hurry(const struct policy *policy);

/* All conditions of them are of one kind, so that they often have to do with each other. */
char *policies_draw_related_rules(uint64_t *seed, unsigned most);

/* A message and all that belongs to it. */
struct policies_message {
	struct policy_message message;
	struct policy_text text;
	struct policy_slice recipients[4], domains[4];
	struct policy_header headers[3];
	struct policies_window windows[4 * POLICY_MAX_WINDOWS];
	struct policies_history drawn;
	struct policy_history history;
};

/* With text and history. In its history the same window is reached no longer with a higher number,
 * and no domain is deferred and delivered. */
void policies_draw_message(uint64_t *seed, const struct policy *policy,
			   struct policies_message *ret);

#endif
