/* test_decide.c - what the rules say about a message, why, and when that changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/policy.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- one condition ---- */

static void attempts(void **state)
{
	const struct policy_condition condition = {POLICY_ATTEMPTS, 3};
	struct policy_message message = {.created = 100};
	int64_t from;

	(void)state;
	message.attempts = 2;
	assert_false(policy_match(&condition, &message, 500, &from));
	assert_true(from == POLICY_NEVER);
	message.attempts = 3;
	assert_true(policy_match(&condition, &message, 500, &from));
	assert_true(from <= 500);
	assert_true(policy_match(&condition, &message, INT64_MIN, &from));
	message.attempts = UINT32_MAX;
	assert_true(policy_match(&condition, &message, 500, &from));
}

static void age(void **state)
{
	static const struct {
		int64_t at_least, created, now;
		bool holds;
		int64_t from;
	} table[] = {
		{60, 100, 159, false, 160},
		{60, 100, 160, true, 160},
		{60, 100, 161, true, 160},
		{0, 100, 100, true, 100},
		/* the clock was set back: the message is from the future */
		{0, 100, 99, false, 100},
		{60, 100, 0, false, 160},
		{60, 100, -1000, false, 160},
		/* lying headers */
		{60, INT64_MAX, 0, false, POLICY_NEVER},
		{60, INT64_MAX, INT64_MAX, false, POLICY_NEVER},
		{60, INT64_MAX, INT64_MIN, false, POLICY_NEVER},
		{60, INT64_MIN, INT64_MAX, true, INT64_MIN + 60},
		{60, INT64_MIN, 0, true, INT64_MIN + 60},
		{60, INT64_MIN, INT64_MIN, false, INT64_MIN + 60},
		{0, INT64_MIN, INT64_MIN, true, INT64_MIN},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		const struct policy_condition condition = {POLICY_AGE, table[i].at_least};
		const struct policy_message message = {.created = table[i].created};
		int64_t from;

		assert_int_equal(policy_match(&condition, &message, table[i].now, &from),
				 table[i].holds);
		assert_true(from == table[i].from);
	}
}

static void always(void **state)
{
	const struct policy_condition condition = {POLICY_ALWAYS, 0};
	const struct policy_message message = {0};
	int64_t from;

	(void)state;
	assert_true(policy_match(&condition, &message, 0, &from));
	assert_true(from <= 0);
	assert_true(policy_match(&condition, &message, INT64_MIN, &from));
}

/* ---- rules: OpenEMM's, and a few that get in each other's way ---- */

static struct policy_condition three[] = {{POLICY_ATTEMPTS, 3}};
static struct policy_condition ten_and_a_day[] = {{POLICY_ATTEMPTS, 10}, {POLICY_AGE, 86400}};
static struct policy_condition six_days[] = {{POLICY_AGE, 518400}};
static struct policy_condition one_hour[] = {{POLICY_AGE, 3600}};
static struct policy_condition every[] = {{POLICY_ALWAYS, 0}};

enum { FAST, MIDDLE, SLOW, PARKED };

static struct policy_rule rules[] = {
	{"six days", 1u << FAST | 1u << SLOW, six_days, 1, POLICY_DELETE, 0},
	{"one hour", 1u << FAST, one_hour, 1, POLICY_MOVE, SLOW},
	{"three attempts", 1u << FAST, three, 1, POLICY_MOVE, MIDDLE},
	{"ten and a day", 1u << MIDDLE, ten_and_a_day, 2, POLICY_MOVE, SLOW},
	{"parked", 1u << PARKED, every, 1, POLICY_MOVE, FAST},
	{"never reached", 1u << PARKED, six_days, 1, POLICY_DELETE, 0},
};

static const struct policy policy = {.rules = rules, .n_rules = N(rules)};

static void decisions(void **state)
{
	static const struct {
		unsigned tier;
		uint32_t attempts;
		int64_t now;
		const char *rule; /* NULL: stay */
		int64_t again;
	} table[] = {
		{FAST, 0, 0, NULL, 3600},
		{FAST, 2, 3599, NULL, 3600},
		{FAST, 2, 3600, "one hour", 518400},
		/* an earlier rule will take it from this one */
		{FAST, 3, 10, "three attempts", 3600},
		{FAST, 3, 3600, "one hour", 518400},
		{FAST, 3, 518400, "six days", POLICY_NEVER},
		{FAST, 3, -50, "three attempts", 3600},
		/* time alone does not bring the tenth attempt */
		{MIDDLE, 9, 90000, NULL, POLICY_NEVER},
		{MIDDLE, 10, 86399, NULL, 86400},
		{MIDDLE, 10, 86400, "ten and a day", POLICY_NEVER},
		{SLOW, 99, 518399, NULL, 518400},
		{SLOW, 0, 518400, "six days", POLICY_NEVER},
		{PARKED, 0, 0, "parked", POLICY_NEVER},
		/* no such tier */
		{17, 99, 518400, NULL, POLICY_NEVER},
		{64, 99, 518400, NULL, POLICY_NEVER},
		{UINT32_MAX, 99, 518400, NULL, POLICY_NEVER},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		const struct policy_message message = {.tier = table[i].tier,
						       .attempts = table[i].attempts};
		struct policy_decision decision;

		policy_decide(&policy, &message, table[i].now, &decision);
		assert_true(decision.again == table[i].again);
		if (table[i].rule) {
			assert_non_null(decision.rule);
			assert_string_equal(decision.rule->name, table[i].rule);
			assert_int_equal(decision.action, decision.rule->action);
			assert_int_equal(decision.target, decision.rule->target);
		} else {
			assert_null(decision.rule);
			assert_int_equal(decision.action, POLICY_STAY);
		}
	}
}

static void no_rules(void **state)
{
	const struct policy none = {0};
	const struct policy_message message = {0};
	struct policy_decision decision;

	(void)state;
	policy_decide(&none, &message, 0, &decision);
	assert_int_equal(decision.action, POLICY_STAY);
	assert_null(decision.rule);
	assert_true(decision.again == POLICY_NEVER);
}

/* ---- reasons ---- */

static void reasons(void **state)
{
	struct policy_message message = {.attempts = 12, .created = 1000};
	char text[128];

	(void)state;
	assert_string_equal(policy_reason(&rules[2], &message, 1000, text, sizeof(text)),
			    "attempts 12 >= 3");
	assert_string_equal(policy_reason(&rules[3], &message, 1000 + 93600, text, sizeof(text)),
			    "attempts 12 >= 10, age 1d2h >= 1d");
	assert_string_equal(policy_reason(&rules[3], &message, 1000, text, sizeof(text)),
			    "attempts 12 >= 10, age 0s < 1d");
	assert_string_equal(policy_reason(&rules[0], &message, 940, text, sizeof(text)),
			    "age -1m < 6d");
	assert_string_equal(policy_reason(&rules[4], &message, 1000, text, sizeof(text)), "always");
	message.created = INT64_MIN;
	assert_string_equal(policy_reason(&rules[0], &message, INT64_MAX, text, sizeof(text)),
			    "age 106751991167300d15h30m7s >= 6d");
	message.created = INT64_MAX;
	assert_string_equal(policy_reason(&rules[0], &message, INT64_MIN, text, sizeof(text)),
			    "age -106751991167300d15h30m8s < 6d");
}

static void reasons_are_cut(void **state)
{
	const struct policy_message message = {.attempts = 12};
	const char whole[] = "attempts 12 >= 10, age 1d2h >= 1d";
	char text[64];

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		size_t expected = size > sizeof(whole) ? sizeof(whole) : size;

		memset(text, '#', sizeof(text));
		assert_ptr_equal(policy_reason(&rules[3], &message, 93600, text, size), text);
		if (expected) {
			assert_memory_equal(text, whole, expected - 1);
			assert_int_equal(text[expected - 1], '\0');
		}
		if (size < sizeof(text))
			assert_int_equal(text[size], size >= sizeof(whole) ? '#' : text[size]);
		for (size_t i = size; i < sizeof(text); i++)
			assert_int_equal(text[i], '#');
	}
}

/* ---- the property: `again` is the first second at which the answer differs ---- */

#define MAX_RULES      6
#define MAX_CONDITIONS 3
#define N_TIERS	       4
#define HORIZON	       40 /* no threshold lies further from `created` than this */

struct random_policy {
	struct policy policy;
	struct policy_rule rules[MAX_RULES];
	struct policy_condition conditions[MAX_RULES][MAX_CONDITIONS];
};

static uint32_t draw(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

static struct policy_condition draw_condition(uint64_t *seed)
{
	switch (draw(seed, 8)) {
	case 0:
		return (struct policy_condition){POLICY_ALWAYS, 0};
	case 1:
	case 2:
	case 3:
		return (struct policy_condition){POLICY_ATTEMPTS, 1 + draw(seed, 5)};
	default:
		return (struct policy_condition){POLICY_AGE, draw(seed, HORIZON)};
	}
}

static void draw_policy(uint64_t *seed, struct random_policy *ret)
{
	*ret = (struct random_policy){
		.policy = {.rules = ret->rules, .n_rules = draw(seed, MAX_RULES + 1)}};
	for (size_t i = 0; i < ret->policy.n_rules; i++) {
		struct policy_rule *rule = &ret->rules[i];

		rule->tiers = draw(seed, 1u << N_TIERS);
		rule->conditions = ret->conditions[i];
		rule->n_conditions = 1 + draw(seed, MAX_CONDITIONS);
		for (size_t j = 0; j < rule->n_conditions; j++)
			rule->conditions[j] = draw_condition(seed);
		rule->action = draw(seed, 2) ? POLICY_MOVE : POLICY_DELETE;
		rule->target = rule->action == POLICY_MOVE ? draw(seed, N_TIERS) : 0;
	}
}

/* The contract read word by word, with none of decide.c's short cuts. */
static const struct policy_rule *first_match(const struct policy *from,
					     const struct policy_message *message, int64_t now)
{
	for (size_t i = 0; i < from->n_rules; i++) {
		const struct policy_rule *rule = &from->rules[i];
		bool all = rule->tiers >> message->tier & 1;

		for (size_t j = 0; j < rule->n_conditions; j++) {
			const struct policy_condition *c = &rule->conditions[j];

			if (c->kind == POLICY_ATTEMPTS && message->attempts < c->at_least)
				all = false;
			if (c->kind == POLICY_AGE && now - message->created < c->at_least)
				all = false;
		}
		if (all)
			return rule;
	}
	return NULL;
}

static int64_t first_change(const struct policy *from, const struct policy_message *message,
			    int64_t now)
{
	const struct policy_rule *answer = first_match(from, message, now);

	for (int64_t then = now + 1; then <= message->created + HORIZON; then++) {
		if (first_match(from, message, then) != answer)
			return then;
	}
	return POLICY_NEVER;
}

static void again_is_the_first_change(void **state)
{
	uint64_t seed = 20261122;
	size_t changes = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct random_policy drawn;
		struct policy_message message = {.tier = draw(&seed, N_TIERS),
						 .attempts = draw(&seed, 7),
						 .created = (int64_t)draw(&seed, 20) - 10};
		int64_t now = message.created - 10 + draw(&seed, HORIZON + 20);
		struct policy_decision decision;
		const struct policy_rule *rule;

		draw_policy(&seed, &drawn);
		rule = first_match(&drawn.policy, &message, now);
		policy_decide(&drawn.policy, &message, now, &decision);
		assert_ptr_equal(decision.rule, rule);
		assert_int_equal(decision.action, rule ? rule->action : POLICY_STAY);
		assert_int_equal(decision.target, rule ? rule->target : 0);
		assert_true(decision.again == first_change(&drawn.policy, &message, now));
		changes += decision.again != POLICY_NEVER;
	}
	/* The property says nothing if nearly nothing ever changes. */
	assert_true(changes > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts),	   cmocka_unit_test(age),
		cmocka_unit_test(always),	   cmocka_unit_test(decisions),
		cmocka_unit_test(no_rules),	   cmocka_unit_test(reasons),
		cmocka_unit_test(reasons_are_cut), cmocka_unit_test(again_is_the_first_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
