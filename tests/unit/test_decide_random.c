/* test_decide_random.c - the property of policy_decide: `again` is the first second at which its
 * answer differs, for policies, messages and histories drawn by lot. Each second is tried. */
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

/* Beyond this nothing changes: ages and windows end at POLICIES_END + 60. */
#define LAST (2 * POLICIES_END)

static bool same(const struct policy_decision *a, const struct policy_decision *b)
{
	return a->rule == b->rule && a->marks == b->marks && a->unknown == b->unknown &&
	       a->action == b->action && a->target == b->target;
}

/* The contract of one condition read word by word, with none of match.c's short cuts. */
static enum policy_truth judge(const struct policy_condition *condition,
			       const struct policy_message *message, int64_t now)
{
	bool all = condition->kind == POLICY_ALL, unknown = false, costly = false;
	enum policy_truth one;
	int64_t next;

	if (condition->kind == POLICY_NOT) {
		one = judge(condition->children, message, now);
		return one == POLICY_NO ? POLICY_YES : one == POLICY_YES ? POLICY_NO : one;
	}
	if (condition->kind != POLICY_ALL && condition->kind != POLICY_ANY)
		return policy_match(condition, message, now, &next);
	for (size_t i = 0; i < condition->n_children; i++) {
		one = judge(&condition->children[i], message, now);
		if (one == (all ? POLICY_NO : POLICY_YES))
			return one;
		unknown |= one == POLICY_UNKNOWN;
		costly |= one == POLICY_COSTLY;
	}
	return unknown ? POLICY_UNKNOWN : costly ? POLICY_COSTLY : all ? POLICY_YES : POLICY_NO;
}

/* And of the rules. */
static void decide(const struct policy *policy, const struct policy_message *message, int64_t now,
		   struct policy_decision *ret)
{
	*ret = (struct policy_decision){0};
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		const struct policy_condition when = {.kind = POLICY_ALL,
						      .children = rule->conditions,
						      .n_children = rule->n_conditions};
		enum policy_truth holds;

		if (!(rule->tiers >> message->tier & 1) || (rule->mark & message->marks) ||
		    (message->quarantined && !rule->quarantined))
			continue;
		holds = judge(&when, message, now);
		if (holds == POLICY_COSTLY && !ret->costly)
			ret->costly = rule;
		if (holds == POLICY_NO || holds == POLICY_COSTLY)
			continue;
		if (holds == POLICY_UNKNOWN) {
			ret->unknown = true;
			ret->rule = rule;
			return;
		}
		if (!rule->decides) {
			ret->marks |= rule->mark;
			continue;
		}
		ret->rule = rule;
		ret->action = rule->action;
		ret->target = rule->target;
		return;
	}
}

struct counts {
	size_t changes, decided, marked, unknown, costly, costly_changes;
};

static void check_message(const struct policy *policy, const struct policy_message *message,
			  int64_t now, struct counts *counts)
{
	struct policy_decision decision, plain;
	int64_t again = POLICY_NEVER;

	policy_decide(policy, message, now, &decision);
	decide(policy, message, now, &plain);
	assert_true(same(&decision, &plain));
	assert_ptr_equal(decision.costly, plain.costly);
	for (int64_t then = now + 1; then <= LAST; then++) {
		decide(policy, message, then, &plain);
		if (!same(&decision, &plain)) {
			again = then;
			break;
		}
	}
	if (decision.again != again)
		print_error("again is %lld, not %lld\n", (long long)decision.again,
			    (long long)again);
	assert_true(decision.again == again);
	counts->changes += again != POLICY_NEVER;
	counts->decided += decision.rule != NULL;
	counts->marked += decision.marks != 0;
	counts->unknown += decision.unknown;
	counts->costly += decision.costly != NULL;
	counts->costly_changes += decision.costly && again != POLICY_NEVER;
}

static struct counts draw_and_check(size_t rounds)
{
	struct counts counts = {0};
	uint64_t seed = 20261124;

	for (size_t round = 0; round < rounds; round++) {
		char *rules = policies_draw_rules(&seed, 6);
		struct policy *policy = policies_parse(rules);

		if (policies_costly)
			policies_hurry(policy);
		for (int i = 0; i < 5; i++) {
			struct policies_message drawn;
			int64_t now = (int64_t)policies_draw(&seed, POLICIES_END + 20) - 20;

			policies_draw_message(&seed, policy, &drawn);
			check_message(policy, &drawn.message, now, &counts);
			/* And with less at hand. */
			drawn.message.history = NULL;
			check_message(policy, &drawn.message, now, &counts);
			drawn.message.text = NULL;
			check_message(policy, &drawn.message, now, &counts);
		}
		policy_free(policy);
		free(rules);
	}
	return counts;
}

static void again_is_the_first_change(void **state)
{
	size_t rounds = testing_scale(4000);
	struct counts counts = draw_and_check(rounds);

	(void)state;
	/* The property says nothing if nearly nothing ever changes. */
	assert_true(counts.changes > 3 * rounds);
	assert_true(counts.decided > rounds);
	assert_true(counts.marked > rounds / 4);
	assert_true(counts.unknown > rounds / 4);
}

/* The same where expressions are given up: their rules are passed over, in whatever they are
 * nested. */
static void so_it_is_with_what_is_given_up(void **state)
{
	size_t rounds = testing_scale(2000);
	struct counts counts;

	(void)state;
	policies_costly = true;
	counts = draw_and_check(rounds);
	policies_costly = false;
	assert_true(counts.costly > rounds / 8);
	assert_true(counts.costly_changes > rounds / 20);
	assert_true(counts.decided > rounds / 2);
}

/* Asked again and again at the seconds that it names, it tells every change and no other. */
static void following_again_misses_nothing(void **state)
{
	size_t rounds = testing_scale(2000);
	uint64_t seed = 7;

	(void)state;
	for (size_t round = 0; round < rounds; round++) {
		char *rules = policies_draw_rules(&seed, 8);
		struct policy *policy = policies_parse(rules);
		struct policy_decision decision, plain;
		struct policies_message drawn;

		policies_draw_message(&seed, policy, &drawn);
		policy_decide(policy, &drawn.message, -20, &decision);
		for (int64_t now = -20; now <= LAST; now++) {
			if (now == decision.again)
				policy_decide(policy, &drawn.message, now, &decision);
			decide(policy, &drawn.message, now, &plain);
			assert_true(same(&decision, &plain));
		}
		policy_free(policy);
		free(rules);
	}
}

/* More than POLICY_STEPS times at which something may change, but nothing does until late: then it
 * asks again too early, never too late. */
static void many_steps_are_early_never_late(void **state)
{
	char *rules = NULL;
	size_t size;
	FILE *to = open_memstream(&rules, &size);
	struct policy_message message = {.tier = TIER_A, .last_attempt = 1};
	struct policy_decision decision;
	struct policy *policy;
	int64_t now = 0;
	int asked = 0;

	(void)state;
	fputs("[{'tier':'A','when':{'any':[{'age':5000}", to);
	for (int i = 0; i < 600; i++)
		fprintf(to, ",{'age':{'at_least':%d,'below':%d},'since_attempt':7000}", 2 * i,
			2 * i + 1);
	fputs("]},'then':{'keep':true}}]", to);
	fclose(to);
	policy = policies_parse(rules);
	free(rules);
	for (;;) {
		policy_decide(policy, &message, now, &decision);
		if (decision.rule || decision.again == POLICY_NEVER)
			break;
		assert_true(decision.again > now && decision.again <= 5000);
		now = decision.again;
		asked++;
	}
	assert_int_equal(now, 5000);
	assert_in_range(asked, 2, 1 + 1200 / POLICY_STEPS);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(again_is_the_first_change),
		cmocka_unit_test(so_it_is_with_what_is_given_up),
		cmocka_unit_test(following_again_misses_nothing),
		cmocka_unit_test(many_steps_are_early_never_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
