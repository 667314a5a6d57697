/* test_filter.c - the filter grammar: what is taken and what is refused, with its words; what
 * matches; and what can be told without the qf.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/filter.h"
#include "qfwatch/qtext.h"
#include "qfwatch/table.h"

#include "../support/policies.h"
#include "../support/testing.h"

#define NOW INT64_C(1800000000)

static struct policy *policy;

static int begin(void **state)
{
	(void)state;
	policy = policies_when("{'attempts':3}"); /* tiers A, B, C, D */
	return 0;
}

static int end(void **state)
{
	(void)state;
	policy_free(policy);
	return 0;
}

static struct filter *make(const char *key, const char *value)
{
	struct filter *filter = filter_new();
	struct filter_error error = {"", ""};

	assert_non_null(filter);
	if (filter_add(filter, policy, key, value, &error) != 0)
		fail_msg("%s %s: %s; %s", key, value, error.reason, error.remedy);
	return filter;
}

/* ---- numbers ---- */

static void numbers(void **state)
{
	/* What of 0 to 9 matches, attempts or minutes. */
	static const struct {
		const char *key, *value, *holds;
	} table[] = {
		{"attempts", "3", "3"},		 {"attempts", "=3", "3"},
		{"attempts", ">3", "456789"},	 {"attempts", ">=3", "3456789"},
		{"attempts", "<3", "012"},	 {"attempts", "<=3", "0123"},
		{"attempts", ">= 3", "3456789"}, {"attempts", " <3", "012"},
		{"attempts", "3..5", "345"},	 {"attempts", "3..3", "3"},
		{"attempts", "8..", "89"},	 {"attempts", "..2", "012"},
		{"attempts", "0", "0"},		 {"attempts", "<0", ""},
		{"attempts", "4294967295", ""},	 {"attempts", "<=4294967295", "0123456789"},
		{"age", ">3m", "456789"},	 {"age", ">=3m", "3456789"},
		{"age", "<3m", "012"},		 {"age", "<=3m", "0123"},
		{"age", "3m..5m", "345"},	 {"age", "2m59s..", "3456789"},
		{"age", "..1m59s", "01"},	 {"age", ">1w", ""},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct filter *filter = make(table[i].key, table[i].value);

		for (int n = 0; n < 10; n++) {
			struct filter_facts facts = {.has_numbers = true,
						     .attempts = (uint32_t)n,
						     .created = NOW - n * 60};
			bool wanted = strchr(table[i].holds, '0' + n) != NULL;

			if (filter_match(filter, &facts, NOW) != (wanted ? POLICY_YES : POLICY_NO))
				fail_msg("%s %s: %d", table[i].key, table[i].value, n);
			facts.has_numbers = false;
			assert_int_equal(filter_match(filter, &facts, NOW), POLICY_NO);
		}
		assert_false(filter_is_empty(filter));
		assert_false(filter_may_need_text(filter));
		filter_free(filter);
	}
}

/* A clock that was set back, a T from anywhere. */
static void ages_at_the_ends(void **state)
{
	struct filter *older = make("age", ">1h"), *younger = make("age", "<1h");
	struct filter_facts facts = {.has_numbers = true, .created = NOW + 500};

	(void)state;
	assert_int_equal(filter_match(older, &facts, NOW), POLICY_NO);
	assert_int_equal(filter_match(younger, &facts, NOW), POLICY_YES);
	facts.created = 1;
	assert_int_equal(filter_match(older, &facts, NOW), POLICY_YES);
	assert_int_equal(filter_match(younger, &facts, NOW), POLICY_NO);
	facts.created = UINT32_MAX;
	assert_int_equal(filter_match(younger, &facts, NOW), POLICY_YES);
	filter_free(older);
	filter_free(younger);
}

/* ---- what is refused ---- */

static void refused(void **state)
{
	static const struct {
		const char *key, *value, *reason, *remedy;
	} table[] = {
		{"attempts", "", "attempts: wrong value \"\"",
		 "say what is wanted, or leave it out"},
		{"attempts", "many", "attempts: wrong value \"many\"",
		 "expected a number, as in 3, >=3, <10 or 3..9"},
		{"attempts", ">>3", "attempts: wrong value \">>3\"", NULL},
		{"attempts", "=>3", "attempts: wrong value \"=>3\"", NULL},
		{"attempts", ">", "attempts: wrong value \">\"", NULL},
		{"attempts", "-1", "attempts: wrong value \"-1\"", NULL},
		{"attempts", "3x", "attempts: wrong value \"3x\"", NULL},
		{"attempts", "4294967296", "attempts: wrong value \"4294967296\"", NULL},
		{"attempts", "99999999999999999999999999",
		 "attempts: wrong value \"99999999999999999999999999\"", NULL},
		{"attempts", "..", "attempts: wrong value \"..\"", NULL},
		{"attempts", "3..x", "attempts: wrong value \"3..x\"", NULL},
		{"attempts", "1..2..3", "attempts: wrong value \"1..2..3\"", NULL},
		{"attempts", "9..3", "attempts: the smaller one comes first: \"9..3\"",
		 "as in 3..9"},
		{"age", "1h", "age: older or younger than \"1h\"", "say \">1h\" or \"<1h\""},
		{"age", "=1h", "age: wrong value \"=1h\"", NULL},
		{"age", ">3600", "age: wrong value \">3600\"",
		 "expected a duration (w d h m s), as in >1h, <=2d or 1h..2d"},
		{"age", ">1x", "age: wrong value \">1x\"", NULL},
		{"age", ">99999999999999w", "age: wrong value \">99999999999999w\"", NULL},
		{"age", "2d..1h", "age: the smaller one comes first: \"2d..1h\"", "as in 1h..2d"},
		{"tier", "E", "tier: the policy has no tier \"E\"",
		 "expected \"A\", \"B\", \"C\", \"D\""},
		{"tier", "A,", "tier: the policy has no tier \"\"", NULL},
		{"tier", "A,BB", "tier: the policy has no tier \"BB\"", "did you mean \"B\"?"},
		{"tier", "A,\033[31m", "tier: the policy has no tier \"\\u001b[31m\"", NULL},
		{"state", "bussy", "state: unknown state \"bussy\"", "did you mean \"busy\"?"},
		{"state", "idle,nonsense", "state: unknown state \"nonsense\"", NULL},
		{"domain", "", "domain: wrong value \"\"", NULL},
		{"domain", "[", "domain: wrong pattern \"[\"", NULL},
		{"sender", "a[@", "sender: wrong pattern \"a[@\"", NULL},
		{"recipient", "\\", "recipient: wrong pattern \"\\\\\"", NULL},
		{"status", "(", "status: wrong regular expression \"(\"",
		 "missing closing parenthesis at character 1"},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct filter *filter = filter_new();
		struct filter_error error = {"", ""};

		assert_int_equal(filter_add(filter, policy, table[i].key, table[i].value, &error),
				 -EINVAL);
		assert_string_equal(error.reason, table[i].reason);
		if (table[i].remedy)
			assert_string_equal(error.remedy, table[i].remedy);
		assert_true(error.remedy[0]);
		filter_free(filter);
	}
}

static void given_twice(void **state)
{
	struct filter *filter = make("attempts", ">3");
	struct filter_error error;

	(void)state;
	assert_int_equal(filter_add(filter, policy, "attempts", "<9", &error), -EINVAL);
	assert_string_equal(error.reason, "attempts: given twice: \"<9\"");
	assert_string_equal(error.remedy, "say it in one: 3..9");
	filter_free(filter);
	filter = make("domain", "a.example");
	for (int i = 1; i < FILTER_VALUES; i++)
		assert_int_equal(filter_add(filter, policy, "domain", "b*.example", &error), 0);
	assert_int_equal(filter_add(filter, policy, "domain", "c.example", &error), -EINVAL);
	assert_string_equal(error.remedy, "at most 32 values");
	filter_free(filter);
}

static void unknown_keys(void **state)
{
	static const char *const others[] = {"limit", "cursor", NULL};
	struct filter *filter = filter_new();
	struct filter_error error;

	(void)state;
	assert_int_equal(filter_add(filter, policy, "limit", "3", &error), -ENOENT);
	assert_int_equal(filter_add(filter, policy, "", "3", &error), -ENOENT);
	assert_true(filter_is_empty(filter));
	filter_unknown_key("domian", others, &error);
	assert_string_equal(error.reason, "unknown key \"domian\"");
	assert_string_equal(error.remedy, "did you mean \"domain\"?");
	filter_unknown_key("curser", others, &error);
	assert_string_equal(error.remedy, "did you mean \"cursor\"?");
	filter_unknown_key("x", NULL, &error);
	assert_string_equal(error.remedy,
			    "expected \"tier\", \"state\", \"attempts\", \"age\", \"domain\", "
			    "\"sender\", \"recipient\", \"status\"");
	filter_free(filter);
}

/* ---- texts ---- */

static const char *lines;

/* With the text, and from memory with and without the domains. */
static void judge(const char *key, const char *value, enum policy_truth text,
		  enum policy_truth memory, enum policy_truth nothing)
{
	struct filter *filter = make(key, value);
	struct qtext *qtext = qtext_new();
	struct policy_text read;
	struct filter_facts facts = {.has_numbers = true};

	qtext_read(qtext, lines, strlen(lines), &read);
	if (filter_match(filter, &facts, NOW) != nothing)
		fail_msg("%s %s from nothing", key, value);
	facts.has_domains = facts.has_sender_domain = true;
	facts.domains = read.domains;
	facts.n_domains = read.n_recipients;
	facts.sender_domain = read.sender_domain;
	if (filter_match(filter, &facts, NOW) != memory)
		fail_msg("%s %s from memory", key, value);
	facts.text = &read;
	if (filter_match(filter, &facts, NOW) != text)
		fail_msg("%s %s with the text", key, value);
	if (memory == POLICY_UNKNOWN || nothing == POLICY_UNKNOWN)
		assert_true(filter_may_need_text(filter));
	/* Memory never says otherwise than the text. */
	assert_true(memory == POLICY_UNKNOWN || memory == text);
	qtext_free(qtext);
	filter_free(filter);
}

#define YES POLICY_YES
#define NO  POLICY_NO
#define ASK POLICY_UNKNOWN

static void texts(void **state)
{
	(void)state;
	lines = "V8\nMDeferred: 451 come again\nSNews@Example.COM\nRPFD:a@One.example\n"
		"RPFD:b@two.example\nRPFD:root\n.\n";
	judge("domain", "one.example", YES, YES, ASK);
	judge("domain", "ONE.example", YES, YES, ASK);
	judge("domain", "*.example", YES, YES, ASK);
	judge("domain", "(local)", YES, YES, ASK);
	judge("domain", "example.com", NO, NO, ASK);
	judge("domain", "a@one.example", NO, NO, ASK);
	judge("recipient", "b@TWO.example", YES, ASK, ASK);
	judge("recipient", "root", YES, ASK, ASK);
	judge("recipient", "two.example", NO, ASK, ASK);
	judge("sender", "example.com", YES, YES, ASK);
	judge("sender", "*.com", YES, YES, ASK);
	judge("sender", "*", YES, YES, ASK);
	judge("sender", "*@example.com", YES, YES, ASK);
	judge("sender", "*@example.org", NO, NO, ASK);
	judge("sender", "example.org", NO, NO, ASK);
	judge("sender", "news", NO, NO, ASK);
	judge("sender", "<>", NO, NO, ASK);
	judge("sender", "(local)", NO, NO, ASK);
	judge("sender", "news@example.com", YES, ASK, ASK);
	judge("sender", "news@*", YES, ASK, ASK);
	judge("sender", "other@*", NO, ASK, ASK);
	judge("status", "451", YES, ASK, ASK);
	judge("status", "^Deferred: 4", YES, ASK, ASK);
	judge("status", "deferred", NO, ASK, ASK);
	judge("status", "(?i)deferred", YES, ASK, ASK);
}

static void senders_without_a_domain(void **state)
{
	(void)state;
	lines = "V8\nSroot\nRPFD:a@one.example\n.\n";
	judge("sender", "root", YES, ASK, ASK);
	judge("sender", "(local)", YES, YES, ASK);
	judge("sender", "ro*", YES, ASK, ASK);
	judge("sender", "news", NO, ASK, ASK);
	judge("sender", "<>", NO, ASK, ASK);
	judge("sender", "*@root", NO, NO, ASK);
	lines = "V8\nS<>\nRPFD:a@one.example\n.\n";
	judge("sender", "<>", YES, YES, ASK);
	judge("sender", "(local)", NO, NO, ASK);
	judge("sender", "example.com", NO, NO, ASK);
	lines = "V8\nFr\nSMAILER-DAEMON\nRPFD:a@one.example\n.\n";
	judge("sender", "<>", YES, YES, ASK);
	/* Nothing is known of a sender that is not there, so no pattern is met. */
	lines = "V8\nRPFD:a@one.example\n.\n";
	judge("sender", "root", NO, ASK, ASK);
	judge("status", "x", NO, ASK, ASK);
}

static void several(void **state)
{
	struct filter *filter = make("domain", "one.example");
	struct filter_error error;
	struct policy_slice domain = policies_slice("two.example");
	struct filter_facts facts = {.has_numbers = true,
				     .attempts = 3,
				     .tier = 1,
				     .has_domains = true,
				     .domains = &domain,
				     .n_domains = 1};

	(void)state;
	assert_int_equal(filter_match(filter, &facts, NOW), NO);
	assert_int_equal(filter_add(filter, policy, "domain", "two.*", &error), 0);
	assert_int_equal(filter_match(filter, &facts, NOW), YES);
	assert_int_equal(filter_tiers(filter), UINT64_MAX);
	assert_int_equal(filter_add(filter, policy, "tier", "A", &error), 0);
	assert_int_equal(filter_match(filter, &facts, NOW), NO);
	assert_int_equal(filter_add(filter, policy, "tier", "C,B", &error), 0);
	assert_int_equal(filter_match(filter, &facts, NOW), YES);
	assert_int_equal(filter_tiers(filter), 7);
	assert_false(filter_has_states(filter));
	assert_int_equal(filter_add(filter, policy, "state", "busy,failed", &error), 0);
	assert_true(filter_has_states(filter));
	assert_int_equal(filter_match(filter, &facts, NOW), NO); /* not known */
	facts.has_state = true;
	facts.state = MESSAGE_FAILED;
	assert_int_equal(filter_match(filter, &facts, NOW), YES);
	facts.state = MESSAGE_IDLE;
	assert_int_equal(filter_match(filter, &facts, NOW), NO);
	facts.state = MESSAGE_BUSY;
	assert_int_equal(filter_add(filter, policy, "attempts", "3", &error), 0);
	assert_int_equal(filter_match(filter, &facts, NOW), YES);
	/* A number that does not hold saves reading. */
	assert_int_equal(filter_add(filter, policy, "status", "x", &error), 0);
	assert_int_equal(filter_match(filter, &facts, NOW), ASK);
	facts.attempts = 4;
	assert_int_equal(filter_match(filter, &facts, NOW), NO);
	filter_free(filter);
}

static void tier_with_a_comma(void **state)
{
	struct policy *own = policies_when("{'attempts':3}");
	char *before = own->tiers[3].name, name[] = "A,B";
	struct filter *filter = filter_new();
	struct filter_error error;

	(void)state;
	own->tiers[3].name = name;
	assert_int_equal(filter_add(filter, own, "tier", "A,B", &error), 0);
	assert_int_equal(filter_tiers(filter), 8);
	assert_int_equal(filter_add(filter, own, "tier", "C,A", &error), 0);
	assert_int_equal(filter_tiers(filter), 13);
	filter_free(filter);
	own->tiers[3].name = before;
	policy_free(own);
}

/* What a survey reads of a message is all that a filter asks for, but for its state. */
static void read_messages(void **state)
{
	static const struct {
		const char *key, *value;
		enum policy_truth truth;
	} table[] = {
		{"tier", "B", POLICY_YES},
		{"tier", "A", POLICY_NO},
		{"attempts", "7", POLICY_YES},
		{"attempts", "8", POLICY_NO},
		{"age", ">1h", POLICY_YES},
		{"age", "<1h", POLICY_NO},
		{"domain", "example.net", POLICY_NO},
		{"state", "idle", POLICY_NO},
	};
	struct policy_text text = {0};
	struct policy_message message = {
		.tier = 1, .attempts = 7, .created = NOW - 7200, .text = &text};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct filter *filter = make(table[i].key, table[i].value);

		if (filter_match_read(filter, &message, NOW) != table[i].truth)
			fail_msg("%s %s", table[i].key, table[i].value);
		filter_free(filter);
	}
	struct filter *filter = make("status", "x");

	message.text = NULL;
	assert_int_equal(filter_match_read(filter, &message, NOW), POLICY_UNKNOWN);
	filter_free(filter);
}

static void the_only_tier(void **state)
{
	struct policy alone = *policy;
	struct filter *one = make("tier", "B"), *two = make("tier", "B,C"), *all = filter_new();

	(void)state;
	assert_string_equal(filter_only_tier(one, policy), "B");
	assert_null(filter_only_tier(two, policy));
	assert_null(filter_only_tier(all, policy));
	alone.n_tiers = 1; /* needs no name */
	assert_null(filter_only_tier(all, &alone));
	filter_free(one);
	filter_free(two);
	filter_free(all);
}

static void costly(void **state)
{
	struct filter *filter = make("status", "(a+)+$");
	struct policy_text text = {.status = {NULL, 4000}};
	struct filter_facts facts = {.text = &text};
	char status[4001];

	(void)state;
	memset(status, 'a', 4000);
	status[3999] = 'b';
	text.status.bytes = status;
	assert_int_equal(filter_match(filter, &facts, NOW), NO);
	assert_int_equal(filter_given_up(filter), 1);
	filter_free(filter);
}

/* Whatever a URL may hold: it is taken, or refused with words; and memory never says otherwise than
 * the text. */
static void any_values(void **state)
{
	static const char alphabet[] = "><=..0139hdwms*?[]!-\\(+)$^@ ,ABab.\"'\xc3\xbc\x80\x1b";
	static const char qf[] = "V8\nMa ab 19\nSa@b.a\nRPFD:A@a.b\nRPFD:b\n.\n";
	struct qtext *qtext = qtext_new();
	struct policy_text text;
	uint64_t seed = 5;
	unsigned taken = 0, refusals = 0;

	(void)state;
	qtext_read(qtext, qf, sizeof qf - 1, &text);
	for (size_t round = 0; round < testing_scale(20000); round++) {
		const char *key = filter_keys[testing_random(&seed) % 8];
		struct filter *filter = filter_new();
		struct filter_error error = {"", ""};
		char value[12];
		size_t length = testing_random(&seed) % sizeof value;
		int r;

		for (size_t i = 0; i < length; i++)
			value[i] = alphabet[testing_random(&seed) % (sizeof alphabet - 1)];
		value[length] = 0;
		r = filter_add(filter, policy, key, value, &error);
		assert_true(r == 0 || r == -EINVAL);
		assert_true((r == 0) == !error.reason[0]);
		assert_true((r == 0) == !error.remedy[0]);
		for (const char *c = error.reason; *c; c++)
			assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
		if (r == 0) {
			struct filter_facts facts = {.has_numbers = true,
						     .attempts = 3,
						     .created = NOW - 3600,
						     .has_domains = true,
						     .domains = text.domains,
						     .n_domains = text.n_recipients,
						     .has_sender_domain = true,
						     .sender_domain = text.sender_domain};
			enum policy_truth memory = filter_match(filter, &facts, NOW), truth;

			facts.text = &text;
			truth = filter_match(filter, &facts, NOW);
			assert_true(truth != POLICY_UNKNOWN);
			assert_true(memory == POLICY_UNKNOWN || memory == truth);
			assert_true(memory != POLICY_UNKNOWN || filter_may_need_text(filter));
		}
		taken += r == 0;
		refusals += r != 0;
		filter_free(filter);
	}
	assert_true(taken > testing_scale(20000) / 10 && refusals > testing_scale(20000) / 10);
	qtext_free(qtext);
}

static void empty(void **state)
{
	struct filter *filter = filter_new();
	struct filter_facts facts = {.tier = 63};

	(void)state;
	assert_true(filter_is_empty(filter));
	assert_int_equal(filter_match(filter, &facts, NOW), YES);
	filter_free(filter);
	filter_free(NULL);
}

/* The names stand in the order of the enum; the switch makes the compiler tell of a new state. */
static void state_names(void **state)
{
	size_t n = 0;

	(void)state;
	for (; filter_state_names[n]; n++) {
		const char *name = "";

		switch ((enum message_state)n) {
		case MESSAGE_NEW:
			name = "new";
			break;
		case MESSAGE_IDLE:
			name = "idle";
			break;
		case MESSAGE_WRITING:
			name = "writing";
			break;
		case MESSAGE_BUSY:
			name = "busy";
			break;
		case MESSAGE_FAILED:
			name = "failed";
			break;
		case MESSAGE_REFUSED:
			name = "refused";
			break;
		case MESSAGE_WAITING:
			name = "waiting";
			break;
		case MESSAGE_MOVING:
			name = "moving";
			break;
		case MESSAGE_BOUNCING:
			name = "bouncing";
			break;
		case MESSAGE_STATES:
			break;
		}
		assert_string_equal(filter_state_names[n], name);
	}
	assert_int_equal(n, MESSAGE_STATES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(ages_at_the_ends),
		cmocka_unit_test(refused),
		cmocka_unit_test(given_twice),
		cmocka_unit_test(unknown_keys),
		cmocka_unit_test(texts),
		cmocka_unit_test(senders_without_a_domain),
		cmocka_unit_test(several),
		cmocka_unit_test(tier_with_a_comma),
		cmocka_unit_test(read_messages),
		cmocka_unit_test(the_only_tier),
		cmocka_unit_test(costly),
		cmocka_unit_test(any_values),
		cmocka_unit_test(empty),
		cmocka_unit_test(state_names),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
