/* test_decide.c - which rule decides, what it tells beside that, and when to ask again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/policies.h"
#include "../support/testing.h"
#include "qfwatch/policy.h"

static void assert_decision(const struct policy *policy, const struct policy_message *message,
			    int64_t now, const char *rule, int64_t again)
{
	struct policy_decision decision;

	memset(&decision, 0x55, sizeof(decision));
	policy_decide(policy, message, now, &decision);
	assert_true(decision.again == again);
	assert_false(decision.unknown);
	if (!rule) {
		assert_null(decision.rule);
		assert_int_equal(decision.action, POLICY_STAY);
		return;
	}
	assert_non_null(decision.rule);
	assert_string_equal(decision.rule->name, rule);
	assert_ptr_equal(decision.rule, policy_find_rule(policy, rule));
	assert_int_equal(decision.action, decision.rule->action);
	assert_int_equal(decision.target, decision.rule->target);
}

/* ---- OpenEMM's rules, and a few that get in each other's way ---- */

static const char openemm[] =
	"[{'name':'six days','tier':['A','C'],'when':{'age':'6d'},'then':{'delete':true}},"
	"{'name':'one hour','tier':'A','when':{'age':'1h'},'then':{'move':'C'}},"
	"{'name':'three attempts','tier':'A','when':{'attempts':3},'then':{'move':'B'}},"
	"{'name':'ten and a day','tier':'B','when':{'attempts':10,'age':'1d'},'then':{'move':'C'}},"
	"{'name':'parked','tier':'D','when':{'always':true},'then':{'move':'A'}},"
	"{'name':'never reached','tier':'D','when':{'age':'6d'},'then':{'delete':true}}]";

static void decisions(void **state)
{
	static const struct {
		unsigned tier;
		uint32_t attempts;
		int64_t now;
		const char *rule; /* NULL: stay */
		int64_t again;
	} table[] = {
		{TIER_A, 0, 0, NULL, 3600},
		{TIER_A, 2, 3599, NULL, 3600},
		{TIER_A, 2, 3600, "one hour", 518400},
		/* an earlier rule will take it from this one */
		{TIER_A, 3, 10, "three attempts", 3600},
		{TIER_A, 3, 3600, "one hour", 518400},
		{TIER_A, 3, 518400, "six days", POLICY_NEVER},
		{TIER_A, 3, -50, "three attempts", 3600},
		/* time alone does not bring the tenth attempt */
		{TIER_B, 9, 90000, NULL, POLICY_NEVER},
		{TIER_B, 10, 86399, NULL, 86400},
		{TIER_B, 10, 86400, "ten and a day", POLICY_NEVER},
		{TIER_C, 99, 518399, NULL, 518400},
		{TIER_C, 0, 518400, "six days", POLICY_NEVER},
		{TIER_D, 0, 0, "parked", POLICY_NEVER},
		/* no such tier */
		{17, 99, 518400, NULL, POLICY_NEVER},
		{64, 99, 518400, NULL, POLICY_NEVER},
		{UINT32_MAX, 99, 518400, NULL, POLICY_NEVER},
	};
	struct policy *policy = policies_parse(openemm);

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		const struct policy_message message = {.tier = table[i].tier,
						       .attempts = table[i].attempts};

		assert_decision(policy, &message, table[i].now, table[i].rule, table[i].again);
	}
	policy_free(policy);
}

static void no_rules(void **state)
{
	const struct policy none = {0};
	const struct policy_message message = {0};

	(void)state;
	assert_decision(&none, &message, 0, NULL, POLICY_NEVER);
}

static void keep_exempts(void **state)
{
	struct policy *policy = policies_parse(
		"[{'name':'fresh','tier':'A','when':{'age':{'below':60}},'then':{'keep':true}},"
		"{'name':'tried','tier':'A','when':{'attempts':3},'then':{'bounce':true}}]");
	struct policy_message message = {.attempts = 5};

	(void)state;
	assert_decision(policy, &message, 59, "fresh", 60);
	assert_decision(policy, &message, 60, "tried", POLICY_NEVER);
	/* What keeps it does not matter before that changes what is done. */
	message.attempts = 1;
	assert_decision(policy, &message, 59, "fresh", 60);
	assert_decision(policy, &message, 60, NULL, POLICY_NEVER);
	policy_free(policy);
}

static void quarantined_messages(void **state)
{
	struct policy *policy = policies_parse(
		"[{'name':'all','tier':'A','when':{'always':true},'then':{'keep':true}},"
		"{'name':'held','tier':'A','when':{'quarantined':true,'age':60},'then':"
		"{'delete':true}}]");
	struct policy_message message = {.quarantined = true};

	(void)state;
	assert_decision(policy, &message, 0, NULL, 60);
	assert_decision(policy, &message, 60, "held", POLICY_NEVER);
	message.quarantined = false;
	assert_decision(policy, &message, 60, "all", POLICY_NEVER);
	policy_free(policy);
}

/* ---- rules that only tell ---- */

static const char telling[] =
	"[{'name':'old','tier':'A','when':{'age':60},'then':{'notify':true}},"
	"{'name':'tried','tier':'*','when':{'attempts':3},'then':{'notify':'tried'}},"
	"{'name':'go','tier':'A','when':{'attempts':5},'then':{'move':'B','notify':true}},"
	"{'name':'behind','tier':'A','when':{'attempts':3},'then':{'run':{'program':'/bin/"
	"true'}}}]";

static uint64_t marks_of(const struct policy *policy, uint32_t attempts, uint64_t marks,
			 int64_t now, int64_t *ret_again)
{
	const struct policy_message message = {.attempts = attempts, .marks = marks};
	struct policy_decision decision;

	policy_decide(policy, &message, now, &decision);
	*ret_again = decision.again;
	assert_int_equal(decision.action, attempts >= 5 ? POLICY_MOVE : POLICY_STAY);
	assert_int_equal(decision.rule != NULL, attempts >= 5);
	return decision.marks;
}

static void rules_that_only_tell(void **state)
{
	struct policy *policy = policies_parse(telling);
	uint64_t old = policy_find_rule(policy, "old")->mark;
	uint64_t tried = policy_find_rule(policy, "tried")->mark;
	uint64_t behind = policy_find_rule(policy, "behind")->mark;
	int64_t again;

	(void)state;
	assert_true(old && tried && behind && old != tried && tried != behind && old != behind);
	assert_int_equal(policy_find_rule(policy, "go")->mark, 0);
	assert_true(policy->marks == (old | tried | behind));
	assert_true(marks_of(policy, 0, 0, 59, &again) == 0);
	assert_true(again == 60);
	assert_true(marks_of(policy, 0, 0, 60, &again) == old);
	assert_true(again == POLICY_NEVER);
	/* All that match tell; the rules behind them are tried. */
	assert_true(marks_of(policy, 3, 0, 60, &again) == (old | tried | behind));
	/* Once. */
	assert_true(marks_of(policy, 3, old | behind, 60, &again) == tried);
	assert_true(marks_of(policy, 0, old, 0, &again) == 0);
	assert_true(again == POLICY_NEVER);
	/* Those behind the one that decides are not tried. */
	assert_true(marks_of(policy, 5, 0, 0, &again) == tried);
	assert_true(again == 60);
	assert_true(marks_of(policy, 5, old | tried, 0, &again) == 0);
	assert_true(again == POLICY_NEVER);
	policy_free(policy);
}

/* ---- what is not at hand ---- */

static void unknown(void **state)
{
	struct policy *policy = policies_parse(
		"[{'name':'told','tier':'A','when':{'attempts':1},'then':{'notify':true}},"
		"{'name':'old','tier':'A','when':{'age':600},'then':{'delete':true}},"
		"{'name':'from','tier':'A','when':{'sender':'a@*','attempts':3},'then':"
		"{'move':'B'}},"
		"{'name':'rest','tier':'A','when':{'always':true},'then':{'keep':true}}]");
	const struct policy_text text = {.has_sender = true,
					 .sender = policies_slice("b@example.net")};
	struct policy_message message = {.attempts = 3};
	struct policy_decision decision;

	(void)state;
	assert_true(policy->text_tiers == UINT64_C(1) << TIER_A);
	policy_decide(policy, &message, 0, &decision);
	assert_true(decision.unknown);
	assert_int_equal(decision.action, POLICY_STAY);
	assert_string_equal(decision.rule->name, "from");
	assert_true(decision.marks == policy->marks);
	assert_true(decision.again == 600);
	/* Another rule decides before it, or it cannot match anyway. */
	assert_decision(policy, &message, 600, "old", POLICY_NEVER);
	message.attempts = 2;
	assert_decision(policy, &message, 0, "rest", 600);
	message.attempts = 3;
	message.text = &text;
	assert_decision(policy, &message, 0, "rest", 600);
	policy_free(policy);
}

/* ---- time and history ---- */

static void windows_end(void **state)
{
	struct policy *policy = policies_parse(
		"[{'name':'dead','tier':'A','when':{'domain':{'deferred':50,'within':'10m'}},"
		"'then':{'move':'B'}},"
		"{'name':'back','tier':'B','when':{'domain':{'delivered_from':['B'],'within':'5m'}}"
		","
		"'then':{'move':'A'}}]");
	const struct policies_window seen[] = {{"x.net", 0, 50, 600}, {"y.org", 1, 1, 300}};
	const struct policies_history past = {seen, N(seen)};
	const struct policy_history history = policies_history(&past);
	const struct policy_slice x[] = {policies_slice("x.net")}, y[] = {policies_slice("y.org")};
	struct policy_text text = {.domains = x, .n_recipients = 1};
	struct policy_message message = {.text = &text, .history = &history};

	(void)state;
	assert_false(policy->rules[0].way_back);
	assert_true(policy->rules[1].way_back);
	assert_decision(policy, &message, 0, "dead", 600);
	assert_decision(policy, &message, 600, NULL, POLICY_NEVER);
	message.tier = TIER_B;
	assert_decision(policy, &message, 0, NULL, POLICY_NEVER);
	text.domains = y;
	assert_decision(policy, &message, 299, "back", 300);
	assert_decision(policy, &message, 300, NULL, POLICY_NEVER);
	policy_free(policy);
}

/* A condition that changes is no change of the answer. */
static void changes_without_effect(void **state)
{
	struct policy *policy = policies_parse(
		"[{'name':'a','tier':'A','when':{'any':[{'age':{'below':50}},{'age':30}]},'then':"
		"{'keep':true}},"
		"{'name':'b','tier':'B','when':{'age':{'at_least':10,'below':20},'attempts':2},"
		"'then':{'keep':true}},"
		"{'name':'c','tier':'B','when':{'age':{'at_least':15,'below':40}},'then':"
		"{'keep':true}}]");
	struct policy_message message = {.attempts = 2};

	(void)state;
	assert_decision(policy, &message, 0, "a", POLICY_NEVER);
	message.tier = TIER_B;
	assert_decision(policy, &message, 0, NULL, 10);
	assert_decision(policy, &message, 10, "b", 20);
	assert_decision(policy, &message, 20, "c", 40);
	assert_decision(policy, &message, 40, NULL, POLICY_NEVER);
	message.attempts = 1;
	assert_decision(policy, &message, 0, NULL, 15);
	policy_free(policy);
}

/* Rules that cannot be judged are passed over, and the first of them is named. */
static void given_up(void **state)
{
	struct policy *policy = policies_parse(
		"["
		"{'name':'told','tier':'A','when':{'status':{'regex':'(a+)+$'}},'then':{'notify':"
		"true}},"
		"{'name':'all but','tier':'A','when':{'not':{'sender':{'regex':'(a+)+$'}}},"
		"'then':{'delete':true}},"
		"{'name':'rest','tier':'A','when':{'always':true},'then':{'move':'B'}}]");
	struct policy_text text = {
		.has_sender = true,
		.sender = policies_slice("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
	};
	const struct policy_message message = {.text = &text};
	struct policy_decision decision;

	(void)state;
	policy_decide(policy, &message, 0, &decision);
	assert_int_equal(decision.action, POLICY_MOVE);
	assert_string_equal(decision.costly->name, "all but");
	assert_false(decision.unknown);
	text.status = text.sender;
	policy_decide(policy, &message, 0, &decision);
	assert_string_equal(decision.costly->name, "told");
	assert_int_equal(decision.marks, 0);
	text.status = text.sender = policies_slice("b");
	policy_decide(policy, &message, 0, &decision);
	assert_int_equal(decision.action, POLICY_DELETE);
	assert_null(decision.costly);
	policy_free(policy);
}

static void find_rule(void **state)
{
	struct policy *policy = policies_parse(openemm);

	(void)state;
	assert_ptr_equal(policy_find_rule(policy, "parked"), &policy->rules[4]);
	assert_null(policy_find_rule(policy, "Parked"));
	assert_null(policy_find_rule(policy, ""));
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions),
		cmocka_unit_test(no_rules),
		cmocka_unit_test(keep_exempts),
		cmocka_unit_test(quarantined_messages),
		cmocka_unit_test(rules_that_only_tell),
		cmocka_unit_test(unknown),
		cmocka_unit_test(windows_end),
		cmocka_unit_test(changes_without_effect),
		cmocka_unit_test(given_up),
		cmocka_unit_test(find_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
