/* test_prove_random.c - the property of policy_prove: whatever it says of a policy is certain. For
 * policies drawn by lot each claim is held against messages drawn by lot, at any second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/policies.h"
#include "../support/testing.h"
#include "qfwatch/policy.h"
#include "qfwatch/prove.h"
#include "qfwatch/units.h"

enum {
	POLICIES = 3000,
	MOST_RULES = 6,
	MESSAGES = 400, /* for each policy */
	TIERS = 4
};

/* As in test_decide_random: nothing changes beyond. */
#define LAST (2 * POLICIES_END)

enum claim_kind {
	NEVER_MATCHES,
	NEVER_REACHED,
	NO_CHOICE,
	NO_WAY_OUT,
	NO_WAY_IN,
	FROM_AGE,
	FROM_ATTEMPTS,
	CIRCLE, /* only possible: nothing to hold it to */
	CLAIMS
};

struct claim {
	enum claim_kind kind;
	size_t rule, choice;
	uint64_t tiers;
	int64_t bound;
	const char *text;
};

static const struct prove_sendmail sendmail = {
	.file = "sendmail.cf",
	.return_first = 40,
	.return_last = 90,
	.min_queue_age = 10,
};

/* ---- what is claimed ---- */

static size_t number_after(const char *text, const char *before)
{
	const char *at = strstr(text, before);

	assert_non_null(at);
	return strtoul(at + strlen(before), NULL, 10);
}

/* Tiers are named A to D. */
static uint64_t tiers_in(const char *text, const char *end)
{
	uint64_t tiers = 0;

	for (; text < end; text++)
		if (*text >= 'A' && *text <= 'D')
			tiers |= UINT64_C(1) << (*text - 'A');
	return tiers;
}

static int64_t age_after(const char *text, const char *before)
{
	char age[64];
	const char *at = strstr(text, before) + strlen(before);
	int64_t seconds;

	snprintf(age, sizeof(age), "%.*s", (int)strcspn(at, " "), at);
	assert_int_equal(units_parse_duration(age, &seconds), 0);
	return seconds;
}

static struct claim read_claim(const struct policy *policy, const struct problem *problem)
{
	static const struct {
		const char *words;
		enum claim_kind kind;
	} kinds[] = {
		{"that never matches", NEVER_MATCHES},
		{"that is never reached", NEVER_REACHED},
		{"a choice that never holds", NO_CHOICE},
		{"without a way out", NO_WAY_OUT},
		{"without a way in", NO_WAY_IN},
		{"that acts from an age of", FROM_AGE},
		{"that deletes", FROM_AGE},
		{"that waits for", FROM_ATTEMPTS},
		{"that can circle", CIRCLE},
	};
	struct claim claim = {.kind = CLAIMS, .bound = INT64_MIN, .text = problem->text};

	assert_int_equal(problem->kind, PROBLEM_NOTE);
	for (size_t i = 0; i < N(kinds) && claim.kind == CLAIMS; i++)
		if (strstr(problem->text, kinds[i].words))
			claim.kind = kinds[i].kind;
	if (claim.kind == CLAIMS)
		print_error("%s\n", problem->text);
	assert_int_not_equal(claim.kind, CLAIMS);
	if (claim.kind == NO_WAY_OUT || claim.kind == NO_WAY_IN) {
		claim.tiers = UINT64_C(1) << number_after(problem->pointer, "/tiers/");
		return claim;
	}
	claim.rule = number_after(problem->pointer, "/rules/");
	claim.tiers = policy->rules[claim.rule].tiers;
	if (claim.kind == NO_CHOICE)
		claim.choice = number_after(problem->pointer, "/any/");
	else if (claim.kind == NEVER_REACHED && strstr(problem->text, "reached in "))
		claim.tiers = tiers_in(strstr(problem->text, "reached in "),
				       strstr(problem->text, " at /rules"));
	else if (claim.kind == FROM_AGE && strstr(problem->text, "from an age of "))
		claim.bound = age_after(problem->text, "from an age of ");
	else if (claim.kind == FROM_ATTEMPTS)
		claim.bound = (int64_t)number_after(problem->text, "that waits for ");
	return claim;
}

/* ---- what is so ---- */

static bool holds(const struct policy_rule *rule, const struct policy_message *message, int64_t now)
{
	int64_t next;

	return policy_rule_holds(rule, message, now, &next) == POLICY_YES;
}

/* The rules that act on the message, bit i for rule i: those that only tell, too. */
static uint64_t acting(const struct policy *policy, const struct policy_message *message,
		       int64_t now)
{
	uint64_t acting = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (!(rule->tiers >> message->tier & 1) || !holds(rule, message, now))
			continue;
		acting |= UINT64_C(1) << i;
		if (rule->decides)
			break;
	}
	return acting;
}

/* Does all hold that the rule says beside its "any", and this choice of that? */
static bool choice_holds(const struct policy_rule *rule, size_t choice,
			 const struct policy_message *message, int64_t now)
{
	bool all = true;
	int64_t next;

	for (size_t i = 0; i < rule->n_conditions; i++) {
		const struct policy_condition *condition = &rule->conditions[i];

		if (condition->kind == POLICY_ANY)
			condition = &condition->children[choice];
		all = all && policy_match(condition, message, now, &next) == POLICY_YES;
	}
	return all;
}

static bool is_refuted(const struct policy *policy, const struct claim *claim,
		       const struct policy_message *message, int64_t now, uint64_t acting)
{
	const struct policy_rule *rule = &policy->rules[claim->rule];
	bool acts = acting >> claim->rule & 1, is_there = claim->tiers >> message->tier & 1;

	switch (claim->kind) {
	case NEVER_MATCHES:
		return holds(rule, message, now);
	case NEVER_REACHED:
		return is_there && acts;
	case NO_CHOICE:
		return choice_holds(rule, claim->choice, message, now);
	case FROM_AGE:
		return acts && now - message->created < claim->bound;
	case FROM_ATTEMPTS:
		return acts && message->attempts < claim->bound;
	case NO_WAY_OUT:
	case NO_WAY_IN:
		for (size_t i = 0; i < policy->n_rules; i++) {
			bool leaves = policy->rules[i].decides &&
				      policy->rules[i].action != POLICY_STAY && (acting >> i & 1);

			if (leaves && claim->kind == NO_WAY_OUT && is_there)
				return true;
			if (leaves && claim->kind == NO_WAY_IN &&
			    policy->rules[i].action == POLICY_MOVE &&
			    (claim->tiers >> policy->rules[i].target & 1))
				return true;
		}
		return false;
	default:
		return false;
	}
}

/* ---- both ---- */

/* In every tier, at some seconds. */
static void hold_against(const struct policy *policy, const char *text, const struct claim *claims,
			 size_t n_claims, struct policy_message *message, uint64_t *seed)
{
	int64_t now = policies_draw(seed, LAST);

	for (message->tier = 0; message->tier < TIERS; message->tier++) {
		uint64_t does = acting(policy, message, now);

		for (size_t i = 0; i < n_claims; i++) {
			if (!is_refuted(policy, &claims[i], message, now, does))
				continue;
			print_error("%s\n%s\nnot so in tier %u at %lld, attempts %u created %lld "
				    "last %lld size %llu\n",
				    text, claims[i].text, message->tier, (long long)now,
				    message->attempts, (long long)message->created,
				    (long long)message->last_attempt,
				    (unsigned long long)message->size);
			fail();
		}
	}
}

static void one_policy(uint64_t *seed, size_t *counts)
{
	char *text = policies_draw(seed, 2) ? policies_draw_rules(seed, MOST_RULES)
					    : policies_draw_related_rules(seed, MOST_RULES);
	struct policy *policy = policies_parse(text);
	struct problems problems = {0};
	struct claim *claims;

	policy_prove(policy, "p", &sendmail, &problems);
	assert_false(problems.incomplete);
	claims = calloc(problems.count + 1, sizeof(*claims));
	assert_non_null(claims);
	for (size_t i = 0; i < problems.count; i++) {
		claims[i] = read_claim(policy, &problems.list[i]);
		counts[claims[i].kind]++;
	}
	for (size_t i = 0; problems.count && i < MESSAGES; i++) {
		static struct policies_message drawn;

		policies_draw_message(seed, policy, &drawn);
		/* Rules that have told of it would be passed over for that alone. */
		drawn.message.marks = 0;
		/* From a clock that was ahead. */
		if (policies_draw(seed, 8) == 0)
			drawn.message.created += policies_draw(seed, LAST);
		hold_against(policy, text, claims, problems.count, &drawn.message, seed);
	}
	free(claims);
	problems_free(&problems);
	policy_free(policy);
	free(text);
}

static void what_is_claimed_is_so(void **state)
{
	size_t counts[CLAIMS] = {0}, policies = testing_scale(POLICIES);
	uint64_t seed = 20261125;

	(void)state;
	for (size_t i = 0; i < policies; i++)
		one_policy(&seed, counts);
	/* There was something to hold them to: of each kind, many. */
	for (int i = 0; i < CIRCLE; i++)
		assert_true(counts[i] > policies / 20);
}

/* ---- regular expressions that are given up ---- */

static bool is_claimed(const char *rules, const char *claim)
{
	struct policy *policy = policies_parse(rules);
	struct problems problems = {0};
	bool found = false;

	policy_prove(policy, "p", NULL, &problems);
	for (size_t i = 0; i < problems.count; i++)
		found = found || strstr(problems.list[i].text, claim);
	problems_free(&problems);
	policy_free(policy);
	return found;
}

/* Such a message passes a rule and its opposite by, and what comes after them is reached. */
static void given_up_on_both_sides(void **state)
{
	static const char reached[] = "rule \"rest\" that is never reached";
	const struct policy_text text = {
		.has_sender = true,
		.sender = policies_slice("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
	};
	const struct policy_message message = {.attempts = 5, .text = &text};
	static const char rules[] =
		"[{'tier':'A','when':{'sender':{'regex':'(a+)+$'}},'then':{'keep':true}},"
		"{'tier':'A','when':{'not':{'sender':{'regex':'(a+)+$'}}},'then':{'move':'B'}},"
		"{'name':'rest','tier':'A','when':{'sender':'*'},'then':{'move':'C'}}]";
	struct policy *policy = policies_parse(rules);

	(void)state;
	assert_int_equal(acting(policy, &message, 0), 1 << 2);
	policy_free(policy);
	assert_false(is_claimed(rules, reached));
	assert_false(
		is_claimed("[{'tier':'A','when':{'any':[{'sender':{'regex':'a'}},"
			   "{'not':{'sender':{'regex':'a'}}}]},'then':{'keep':true}},"
			   "{'name':'rest','tier':'A','when':{'always':true},'then':{'move':'C'}}]",
			   reached));
	/* Without one, or behind the same one, it is not. */
	assert_true(
		is_claimed("[{'tier':'A','when':{'sender':'a'},'then':{'keep':true}},"
			   "{'tier':'A','when':{'not':{'sender':'a'}},'then':{'move':'B'}},"
			   "{'name':'rest','tier':'A','when':{'sender':'*'},'then':{'move':'C'}}]",
			   reached));
	assert_true(
		is_claimed("[{'tier':'A','when':{'sender':{'regex':'a'}},'then':{'keep':true}},"
			   "{'name':'rest','tier':'A','when':{'sender':{'regex':'a'},'attempts':3},"
			   "'then':{'move':'C'}}]",
			   reached));
	assert_true(is_claimed(
		"[{'tier':'A','when':{'not':{'sender':{'regex':'a'}}},'then':{'keep':true}},"
		"{'name':'rest','tier':'A','when':{'not':{'sender':{'regex':'a'}},'attempts':3},"
		"'then':{'move':'C'}}]",
		reached));
	assert_true(is_claimed("[{'tier':'A','when':{'sender':{'regex':'a'},"
			       "'not':{'sender':{'regex':'a'}}},'then':{'keep':true}}]",
			       "never matches"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(given_up_on_both_sides),
		cmocka_unit_test(what_is_claimed_is_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
