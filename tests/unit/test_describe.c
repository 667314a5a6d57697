/* test_describe.c - comparisons in words, what they may show, and where they are cut. */
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

static const struct policy_slice to[] = {
	{"ann@x.net", 9}, {"bob@y.org", 9}, {"root", 4}, {"x\33[2Jx\302\233@z", 10}};
static const struct policy_slice at[] = {{"x.net", 5}, {"y.org", 5}, {"", 0}, {"z", 1}};
static const struct policy_header headers[] = {{{"X-Kind", 6}, {"secret bulk", 11}}};
static const struct policies_window windows[] = {{"x.net", 0, 60, 700}, {"y.org", 0, 9, 700}};
static const struct policies_history past = {windows, N(windows)};

static struct policy_text text;
static struct policy_history history;
static struct policy_message message;

static int setup(void **state)
{
	(void)state;
	text = (struct policy_text){
		.has_sender = true,
		.sender = policies_slice("carl@w.com"),
		.status = policies_slice("Deferred: gone"),
		.recipients = to,
		.domains = at,
		.n_recipients = 2,
		.headers = headers,
		.n_headers = 1,
	};
	history = policies_history(&past);
	message = (struct policy_message){.attempts = 12,
					  .created = 1000,
					  .last_attempt = 1400,
					  .size = 5 << 20,
					  .has_size = true,
					  .tier_messages = 7,
					  .text = &text,
					  .history = &history};
	return 0;
}

static void assert_reason_at(int64_t now, enum policy_show show, const char *when,
			     const char *expected)
{
	struct policy *policy = policies_when(when);
	char buffer[512];

	assert_string_equal(
		policy_reason(&policy->rules[0], &message, now, show, buffer, sizeof(buffer)),
		expected);
	policy_free(policy);
}

static void assert_reason(const char *when, const char *expected)
{
	assert_reason_at(1600, POLICY_SHOW_ALL, when, expected);
}

static void numbers(void **state)
{
	(void)state;
	assert_reason("{'attempts':3}", "attempts 12 >= 3");
	assert_reason("{'attempts':13}", "attempts 12 < 13");
	assert_reason("{'attempts':{'below':13}}", "attempts 12 < 13");
	assert_reason("{'attempts':{'below':12}}", "attempts 12 >= 12");
	assert_reason("{'attempts':{'at_least':3,'below':13}}", "attempts 12 >= 3 and < 13");
	assert_reason("{'attempts':{'at_least':3,'below':12}}", "attempts 12 >= 12");
	assert_reason("{'attempts':{'at_least':13,'below':15}}", "attempts 12 < 13");
	assert_reason("{'attempts':{'at_least':0}}", "attempts 12 >= 0");
	assert_reason("{'tier_messages':7}", "tier_messages 7 >= 7");
	assert_reason("{'recipients':{'below':2}}", "recipients 2 >= 2");
	assert_reason("{'size':'1MiB'}", "size 5MiB >= 1MiB");
	assert_reason("{'size':{'at_least':'1MiB','below':'10MiB'}}",
		      "size 5MiB >= 1MiB and < 10MiB");
	message.has_size = false;
	assert_reason("{'size':'1MiB'}", "size not known");
	message.has_size = true;
	message.size = UINT64_MAX;
	assert_reason("{'size':{'below':1}}", "size 9223372036854775807B >= 1B");
}

static void times(void **state)
{
	(void)state;
	assert_reason("{'age':'10m'}", "age 10m >= 10m");
	assert_reason("{'age':'6d'}", "age 10m < 6d");
	assert_reason("{'age':{'below':'1h'}}", "age 10m < 1h");
	assert_reason("{'since_attempt':'5m'}", "since_attempt 3m20s < 5m");
	assert_reason_at(1000 + 93600, POLICY_SHOW_ALL, "{'attempts':10,'age':'1d'}",
			 "attempts 12 >= 10, age 1d2h >= 1d");
	assert_reason_at(940, POLICY_SHOW_ALL, "{'age':'6d'}", "age -1m < 6d");
	assert_reason_at(940, POLICY_SHOW_ALL, "{'age':0}", "age -1m < 0s");
	/* Younger than nothing, and below all the same. */
	assert_reason_at(940, POLICY_SHOW_ALL, "{'age':{'below':'1h'}}", "age -1m < 1h");
	message.created = INT64_MIN;
	assert_reason_at(INT64_MAX, POLICY_SHOW_ALL, "{'age':'6d'}",
			 "age 106751991167300d15h30m7s >= 6d");
	message.created = INT64_MAX;
	assert_reason_at(INT64_MIN, POLICY_SHOW_ALL, "{'age':'6d'}",
			 "age -106751991167300d15h30m8s < 6d");
	message.last_attempt = 0;
	assert_reason("{'since_attempt':0}", "since_attempt: never tried");
}

static void texts(void **state)
{
	(void)state;
	assert_reason("{'always':true}", "always");
	assert_reason("{'sender':'carl@*'}", "sender carl@w.com matches");
	assert_reason("{'sender':'<>'}", "sender carl@w.com does not match");
	assert_reason("{'status':'Deferred*'}", "status Deferred: gone matches");
	/* The recipient that decides. */
	assert_reason("{'recipient':'bob@*'}", "recipient bob@y.org matches");
	assert_reason("{'recipient':'x'}", "recipient: none matches");
	assert_reason("{'recipient':{'all':'ann@*'}}", "recipient bob@y.org does not match");
	assert_reason("{'recipient':{'all':'*@*'}}", "recipient: every one matches");
	assert_reason("{'recipient_domain':'y.org'}", "recipient_domain y.org matches");
	assert_reason("{'header':{'x-kind':'*bulk'}}", "header x-kind matches");
	assert_reason("{'header':{'x-kind':'bulk','To':'*'}}",
		      "header x-kind does not match and header To does not match");
	assert_reason("{'incomplete':true}", "complete: sender and recipient");
	assert_reason("{'quarantined':true}", "not quarantined");
	text.n_recipients = 3;
	assert_reason("{'recipient_domain':{'all':'?*'}}",
		      "recipient_domain of a local one does not match");
	text.n_recipients = 0;
	assert_reason("{'recipient':'*'}", "recipient: none");
	assert_reason("{'incomplete':true}", "incomplete: no recipient");
	text.has_sender = false;
	text.status.length = 0;
	assert_reason("{'sender':'*'}", "no sender");
	assert_reason("{'incomplete':false}", "incomplete: no sender");
	assert_reason("{'status':'?*'}", "status \"\" does not match");
	message.quarantined = true;
	assert_reason("{'quarantined':true}", "quarantined");
	assert_reason("{'attempts':3}",
		      "quarantined, which the rule does not name, attempts 12 >= 3");
}

static void domains(void **state)
{
	static const char deferred[] = "{'domain':{'deferred':50,'within':'10m'}}";
	static const char delivered[] = "{'domain':{'delivered_from':['B'],'within':'5m'}}";

	(void)state;
	assert_reason_at(0, POLICY_SHOW_ALL, deferred, "domain y.org deferred 9 >= 50 within 10m");
	text.n_recipients = 1;
	assert_reason_at(0, POLICY_SHOW_ALL, deferred, "domain x.net deferred 60 >= 50 within 10m");
	assert_reason_at(700, POLICY_SHOW_ALL, deferred, "domain x.net deferred 0 < 50 within 10m");
	assert_reason_at(0, POLICY_SHOW_ALL, delivered, "domain x.net delivered 60 >= 1 within 5m");
	text.n_recipients = 3;
	assert_reason_at(0, POLICY_SHOW_ALL, deferred, "domain: a recipient is local");
	assert_reason_at(700, POLICY_SHOW_ALL, delivered, "domain y.org delivered 0 < 1 within 5m");
	text.n_recipients = 0;
	assert_reason_at(0, POLICY_SHOW_ALL, delivered, "domain: no recipient");
	text.n_recipients = 1;
	message.history = NULL;
	assert_reason(deferred, "domain deferred: known to the running daemon only");
	assert_reason(delivered, "domain delivered_from: known to the running daemon only");
	message.text = NULL;
	assert_reason(deferred, "domain deferred: not known without the qf");
	assert_reason("{'attempts':3,'sender':'*','header':{'To':'*'}}",
		      "attempts 12 >= 3, sender: not known without the qf, "
		      "header: not known without the qf");
}

static void nested(void **state)
{
	struct policy *policy = policies_when("{'not':{'attempts':3}}");
	char buffer[64];

	(void)state;
	assert_reason("{'not':{'attempts':3}}", "not (attempts 12 >= 3)");
	assert_reason("{'not':{'attempts':13,'sender':'<>'}}",
		      "not (attempts 12 < 13 and sender carl@w.com does not match)");
	/* Of what holds, the reason; of what does not, everything. */
	assert_reason("{'any':[{'attempts':13},{'attempts':3}]}", "any (attempts 12 >= 3)");
	assert_reason("{'any':[{'attempts':13},{'age':'1h'}]}",
		      "any (attempts 12 < 13 or age 10m < 1h)");
	assert_reason("{'any':[{'attempts':3},{'age':0}],'size':0}",
		      "any (attempts 12 >= 3 and age 10m >= 0s), size 5MiB >= 0B");
	assert_string_equal(policy_describe(policy->rules[0].conditions, &message, 1600,
					    POLICY_SHOW_ALL, buffer, sizeof(buffer)),
			    "not (attempts 12 >= 3)");
	policy_free(policy);
}

/* ---- what may be shown ---- */

static void shown(void **state)
{
	static const char when[] =
		"{'sender':'*','status':'*','recipient':'ann*','recipient_domain':'x.net',"
		"'header':{'X-Kind':'*'}}";

	(void)state;
	assert_reason_at(0, POLICY_SHOW_ALL, when,
			 "sender carl@w.com matches, status Deferred: gone matches, recipient "
			 "ann@x.net matches, recipient_domain x.net matches, header X-Kind "
			 "matches");
	assert_reason_at(0, POLICY_SHOW_DOMAINS, when,
			 "sender matches, status matches, recipient matches, recipient_domain "
			 "x.net matches, header X-Kind matches");
	assert_reason_at(0, POLICY_SHOW_NOTHING, when,
			 "sender matches, status matches, recipient matches, recipient_domain "
			 "matches, header X-Kind matches");
	text.n_recipients = 1;
	assert_reason_at(0, POLICY_SHOW_NOTHING, "{'domain':{'deferred':50,'within':'10m'}}",
			 "domain deferred 60 >= 50 within 10m");
	assert_reason_at(0, POLICY_SHOW_DOMAINS, "{'domain':{'deferred':50,'within':'10m'}}",
			 "domain x.net deferred 60 >= 50 within 10m");
}

/* What a terminal might obey is not passed on; a long text is cut between two characters. */
static void hostile(void **state)
{
	char longest[200], expected[100];

	(void)state;
	text.recipients = to + 3;
	text.n_recipients = 1;
	assert_reason("{'recipient':'x*'}", "recipient x?[2Jx??@z matches");
	text.sender = policies_slice("\303\244\377\303 \0");
	assert_reason("{'sender':'*'}", "sender \303\244??  matches");
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + 59, "\303\244\303\244", 4);
	text.sender = (struct policy_slice){longest, sizeof(longest)};
	snprintf(expected, sizeof(expected), "sender %.61s... matches", longest);
	assert_reason("{'sender':'*'}", expected);
	text.sender.length = 60;
	snprintf(expected, sizeof(expected), "sender %.59s? matches", longest);
	assert_reason("{'sender':'*'}", expected);
}

/* Whatever the policy and the message: no piece of an address, status or header is shown where that
 * is not allowed, and the end of the buffer is kept. */
static void never_too_much(void **state)
{
	static const char *const addresses[] = {"a@x", "A@x", "c@x", "b@y", "b@z", "root", "<>"};
	static const char *const contents[] = {"imeout", "refused", "bulk", "BULK", "list"};
	static const char *const names[] = {"x.net", "y.org", "z.com"};
	uint64_t seed = 99;

	(void)state;
	for (size_t round = testing_scale(4000); round; round--) {
		char *rules = policies_draw_rules(&seed, 3);
		struct policy *policy = policies_parse(rules);
		int64_t now = policies_draw(&seed, POLICIES_END);
		struct policies_message drawn;
		char whole[4096], cut[4096];

		policies_draw_message(&seed, policy, &drawn);
		for (size_t i = 0; i < policy->n_rules; i++) {
			const struct policy_rule *rule = &policy->rules[i];
			size_t size = policies_draw(&seed, 200);

			for (int show = POLICY_SHOW_NOTHING; show <= POLICY_SHOW_DOMAINS; show++) {
				policy_reason(rule, &drawn.message, now, show, whole,
					      sizeof(whole));
				for (size_t k = 0; k < N(addresses); k++)
					assert_null(strstr(whole, addresses[k]));
				for (size_t k = 0; k < N(contents); k++)
					assert_null(strstr(whole, contents[k]));
				for (size_t k = 0; k < N(names) && !show; k++)
					assert_null(strstr(whole, names[k]));
			}
			memset(cut, '#', sizeof(cut));
			policy_reason(rule, &drawn.message, now, POLICY_SHOW_DOMAINS, cut, size);
			if (size) {
				size_t length = strlen(whole) < size ? strlen(whole) : size - 1;

				assert_int_equal(strlen(cut), length);
				assert_memory_equal(cut, whole, length);
			}
			for (size_t k = size; k < sizeof(cut); k++)
				assert_int_equal(cut[k], '#');
		}
		policy_free(policy);
		free(rules);
	}
}

static void cut(void **state)
{
	static const char whole[] = "attempts 12 >= 10, age 1d2h >= 1d";
	struct policy *policy = policies_when("{'attempts':10,'age':'1d'}");
	char buffer[64];

	(void)state;
	for (size_t size = 0; size < sizeof(buffer); size++) {
		size_t expected = size > sizeof(whole) ? sizeof(whole) : size;

		memset(buffer, '#', sizeof(buffer));
		assert_ptr_equal(policy_reason(&policy->rules[0], &message, 1000 + 93600,
					       POLICY_SHOW_ALL, buffer, size),
				 buffer);
		if (expected) {
			assert_memory_equal(buffer, whole, expected - 1);
			assert_int_equal(buffer[expected - 1], '\0');
		}
		for (size_t i = size; i < sizeof(buffer); i++)
			assert_int_equal(buffer[i], '#');
	}
	policy_free(policy);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers), TEST(times), TEST(texts),   TEST(domains),	 TEST(nested),
		TEST(shown),   TEST(cut),   TEST(hostile), TEST(never_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
