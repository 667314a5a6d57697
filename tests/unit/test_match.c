/* test_match.c - each condition at its edges: does it hold, and until when does that stay so. */
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

#define NEVER POLICY_NEVER

static void assert_next(const char *when, const struct policy_message *message, int64_t now,
			enum policy_truth expected, int64_t expected_next)
{
	struct policy *policy = policies_when(when);
	int64_t next = 0;
	enum policy_truth truth = policy_rule_holds(&policy->rules[0], message, now, &next);

	if (truth != expected || next != expected_next)
		print_error("%s at %lld: %d, next %lld\n", when, (long long)now, truth,
			    (long long)next);
	assert_int_equal(truth, expected);
	assert_true(next == expected_next);
	policy_free(policy);
}

/* What does not change with time. */
static void assert_truth(const char *when, const struct policy_message *message,
			 enum policy_truth expected)
{
	assert_next(when, message, 500, expected, NEVER);
}

static void assert_yes(const char *when, const struct policy_message *message)
{
	assert_truth(when, message, POLICY_YES);
}

static void assert_no(const char *when, const struct policy_message *message)
{
	assert_truth(when, message, POLICY_NO);
}

/* ---- numbers ---- */

static void attempts(void **state)
{
	static const struct {
		const char *when;
		uint32_t attempts;
		bool holds;
	} table[] = {
		{"{'attempts':3}", 2, false},
		{"{'attempts':3}", 3, true},
		{"{'attempts':3}", UINT32_MAX, true},
		{"{'attempts':4294967295}", UINT32_MAX, true},
		{"{'attempts':4294967295}", UINT32_MAX - 1, false},
		{"{'attempts':{'at_least':0}}", 0, true},
		{"{'attempts':{'below':1}}", 0, true},
		{"{'attempts':{'below':1}}", 1, false},
		{"{'attempts':{'at_least':3,'below':5}}", 2, false},
		{"{'attempts':{'at_least':3,'below':5}}", 3, true},
		{"{'attempts':{'at_least':3,'below':5}}", 4, true},
		{"{'attempts':{'at_least':3,'below':5}}", 5, false},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		const struct policy_message message = {.attempts = table[i].attempts};

		assert_truth(table[i].when, &message, table[i].holds);
	}
}

static void tier_messages(void **state)
{
	const struct policy_message message = {.tier_messages = 1000};

	(void)state;
	assert_yes("{'tier_messages':1000}", &message);
	assert_no("{'tier_messages':1001}", &message);
	assert_yes("{'tier_messages':{'below':1001}}", &message);
	assert_no("{'tier_messages':{'below':1000}}", &message);
}

static void size(void **state)
{
	struct policy_message message = {.size = 1048576, .has_size = true};

	(void)state;
	assert_yes("{'size':'1MiB'}", &message);
	assert_no("{'size':1048577}", &message);
	assert_yes("{'size':{'below':1048577}}", &message);
	assert_no("{'size':{'below':'1MiB'}}", &message);
	message.size = UINT64_MAX;
	assert_yes("{'size':'1024TiB'}", &message);
	/* Not known: nothing that is said of it holds. */
	message.has_size = false;
	assert_no("{'size':0}", &message);
	assert_no("{'size':{'below':'1024TiB'}}", &message);
	assert_yes("{'not':{'size':0}}", &message);
}

static void age(void **state)
{
	static const struct {
		const char *when;
		int64_t created, now;
		bool holds;
		int64_t next;
	} table[] = {
		{"{'age':60}", 100, 159, false, 160},
		{"{'age':60}", 100, 160, true, NEVER},
		{"{'age':'1m'}", 100, 161, true, NEVER},
		{"{'age':0}", 100, 100, true, NEVER},
		{"{'age':{'below':60}}", 100, 159, true, 160},
		{"{'age':{'below':60}}", 100, 160, false, NEVER},
		{"{'age':{'at_least':60,'below':90}}", 100, 159, false, 160},
		{"{'age':{'at_least':60,'below':90}}", 100, 160, true, 190},
		{"{'age':{'at_least':60,'below':90}}", 100, 189, true, 190},
		{"{'age':{'at_least':60,'below':90}}", 100, 190, false, NEVER},
		/* the clock was set back: the message is from the future */
		{"{'age':0}", 100, 99, false, 100},
		{"{'age':60}", 100, -1000, false, 160},
		{"{'age':{'below':60}}", 100, -1000, true, 160},
		{"{'age':{'at_least':0,'below':60}}", 100, 0, true, 160},
		{"{'age':{'at_least':1,'below':60}}", 100, 0, false, 101},
		/* lying headers */
		{"{'age':60}", INT64_MAX, 0, false, NEVER},
		{"{'age':60}", INT64_MAX, INT64_MAX, false, NEVER},
		{"{'age':60}", INT64_MAX, INT64_MIN, false, NEVER},
		{"{'age':{'below':60}}", INT64_MAX, INT64_MAX, true, NEVER},
		{"{'age':{'below':60}}", INT64_MAX, INT64_MIN, true, NEVER},
		{"{'age':60}", INT64_MIN, INT64_MAX, true, NEVER},
		{"{'age':60}", INT64_MIN, 0, true, NEVER},
		{"{'age':60}", INT64_MIN, INT64_MIN, false, INT64_MIN + 60},
		{"{'age':0}", INT64_MIN, INT64_MIN, true, NEVER},
		{"{'age':{'below':60}}", INT64_MIN, INT64_MAX, false, NEVER},
		{"{'age':{'below':60}}", INT64_MIN, INT64_MIN, true, INT64_MIN + 60},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		const struct policy_message message = {.created = table[i].created};

		assert_next(table[i].when, &message, table[i].now, table[i].holds, table[i].next);
	}
}

static void since_attempt(void **state)
{
	struct policy_message message = {.created = 1, .last_attempt = 1000};

	(void)state;
	assert_next("{'since_attempt':'1m'}", &message, 1059, POLICY_NO, 1060);
	assert_next("{'since_attempt':'1m'}", &message, 1060, POLICY_YES, NEVER);
	assert_next("{'since_attempt':{'below':60}}", &message, 1059, POLICY_YES, 1060);
	assert_next("{'not':{'since_attempt':60}}", &message, 1059, POLICY_YES, 1060);
	/* Never tried: neither long ago nor just now. */
	message.last_attempt = 0;
	assert_no("{'since_attempt':0}", &message);
	assert_no("{'since_attempt':{'below':'10000w'}}", &message);
	assert_yes("{'not':{'since_attempt':0}}", &message);
}

/* ---- texts ---- */

static void sender(void **state)
{
	struct policy_text text = {.has_sender = true, .sender = policies_slice("Ann@Example.net")};
	const struct policy_message message = {.text = &text};

	(void)state;
	assert_yes("{'sender':'ann@example.NET'}", &message);
	assert_yes("{'sender':'*@example.net'}", &message);
	assert_no("{'sender':'example.net'}", &message);
	assert_no("{'sender':'<>'}", &message);
	assert_yes("{'sender':['<>','ann@*']}", &message);
	assert_yes("{'sender':{'regex':'Example'}}", &message);
	assert_no("{'sender':{'regex':'example'}}", &message);
	assert_yes("{'sender':{'regex':'(?i)example'}}", &message);
	text.sender = policies_slice("<>");
	assert_yes("{'sender':'<>'}", &message);
	assert_yes("{'sender':'*'}", &message);
	/* No S line: nobody, not even everybody. */
	text = (struct policy_text){0};
	assert_no("{'sender':'*'}", &message);
	assert_yes("{'not':{'sender':'*'}}", &message);
}

static void recipients(void **state)
{
	const struct policy_slice to[] = {policies_slice("a@x.net"), policies_slice("b@y.org"),
					  policies_slice("root")};
	const struct policy_slice at[] = {policies_slice("x.net"), policies_slice("y.org"),
					  policies_slice("")};
	struct policy_text text = {.recipients = to, .domains = at, .n_recipients = 3};
	const struct policy_message message = {.text = &text};

	(void)state;
	assert_yes("{'recipient':'B@Y.ORG'}", &message);
	assert_yes("{'recipient':'root'}", &message);
	assert_no("{'recipient':'c@*'}", &message);
	assert_no("{'recipient':{'all':'*@*'}}", &message);
	assert_yes("{'recipient':{'all':['*@*','root']}}", &message);
	assert_yes("{'recipient':{'all':'*'}}", &message);
	assert_yes("{'recipient_domain':'y.org'}", &message);
	assert_no("{'recipient_domain':'z.com'}", &message);
	assert_no("{'recipient_domain':{'all':['x.net','y.org']}}", &message);
	text.n_recipients = 2;
	assert_yes("{'recipient_domain':{'all':['x.net','y.org']}}", &message);
	assert_yes("{'recipients':2}", &message);
	assert_no("{'recipients':3}", &message);
	assert_yes("{'recipients':{'at_least':2,'below':3}}", &message);
	/* None: neither any nor every one. */
	text.n_recipients = 0;
	assert_no("{'recipient':'*'}", &message);
	assert_no("{'recipient':{'all':'*'}}", &message);
	assert_no("{'recipient_domain':{'all':'*'}}", &message);
	assert_no("{'recipients':1}", &message);
	assert_yes("{'recipients':{'below':1}}", &message);
}

static void status(void **state)
{
	struct policy_text text = {
		.status = policies_slice("Deferred: Connection timed out with mx.example.net.")};
	const struct policy_message message = {.text = &text};

	(void)state;
	assert_yes("{'status':'deferred: connection timed out*'}", &message);
	assert_no("{'status':'connection timed out'}", &message);
	assert_yes("{'status':{'regex':'timed out'}}", &message);
	text.status = (struct policy_slice){0};
	assert_yes("{'status':''}", &message);
	assert_yes("{'status':'*'}", &message);
	assert_no("{'status':'?*'}", &message);
}

static void header(void **state)
{
	const char cut[] = "X-Kind\0, and more";
	const struct policy_header headers[] = {
		{policies_slice("x-kind"), policies_slice("first")},
		{policies_slice("Subject"), policies_slice("hello")},
		{policies_slice("X-KIND"), policies_slice("second")},
		{policies_slice("X-Kinds"), policies_slice("third")},
		{policies_slice("X-Kin"), policies_slice("fourth")},
		{{cut, sizeof(cut) - 1}, policies_slice("fifth")},
		{{NULL, 0}, {NULL, 0}},
	};
	struct policy_text text = {.headers = headers, .n_headers = N(headers)};
	const struct policy_message message = {.text = &text};

	(void)state;
	/* One that stands several times: any of its values. */
	assert_yes("{'header':{'X-Kind':'first'}}", &message);
	assert_yes("{'header':{'X-Kind':'SECOND'}}", &message);
	assert_no("{'header':{'X-Kind':'third'}}", &message);
	assert_no("{'header':{'X-Kind':'fourth'}}", &message);
	/* A NUL in the name ends no comparison. */
	assert_no("{'header':{'X-Kind':'fifth'}}", &message);
	/* Several names: all of them. */
	assert_yes("{'header':{'X-Kind':'first','subject':'h*'}}", &message);
	assert_no("{'header':{'X-Kind':'first','subject':'x*'}}", &message);
	assert_no("{'header':{'X-Kind':'first','To':'*'}}", &message);
	assert_yes("{'not':{'header':{'To':'*'}}}", &message);
	text.n_headers = 0;
	assert_no("{'header':{'X-Kind':'*'}}", &message);
}

/* ---- facts ---- */

static void incomplete(void **state)
{
	const struct policy_slice to[] = {policies_slice("a@x.net")};
	struct policy_text text = {.has_sender = true, .recipients = to, .n_recipients = 1};
	const struct policy_message message = {.text = &text};

	(void)state;
	assert_no("{'incomplete':true}", &message);
	assert_yes("{'incomplete':false}", &message);
	text.n_recipients = 0;
	assert_yes("{'incomplete':true}", &message);
	text = (struct policy_text){.recipients = to, .n_recipients = 1};
	assert_yes("{'incomplete':true}", &message);
	assert_no("{'incomplete':false}", &message);
}

static void quarantined(void **state)
{
	struct policy_message message = {.attempts = 5, .quarantined = true};

	(void)state;
	/* Left alone by what does not name it, however deep. */
	assert_no("{'always':true}", &message);
	assert_no("{'attempts':3}", &message);
	assert_no("{'not':{'attempts':6}}", &message);
	assert_yes("{'quarantined':true}", &message);
	assert_no("{'quarantined':false}", &message);
	assert_yes("{'any':[{'attempts':9},{'not':{'quarantined':false}}]}", &message);
	assert_yes("{'any':[{'attempts':5},{'quarantined':false}]}", &message);
	message.quarantined = false;
	assert_yes("{'attempts':3}", &message);
	assert_no("{'quarantined':true}", &message);
	assert_yes("{'quarantined':false}", &message);
}

/* ---- domains ---- */

static void domain_deferred(void **state)
{
	const struct policies_window windows[] = {{"x.net", 0, 60, 700}, {"y.org", 0, 50, 600}};
	const struct policies_history past = {windows, N(windows)};
	const struct policy_history history = policies_history(&past);
	struct policy_slice at[] = {policies_slice("x.net"), policies_slice("x.net"),
				    policies_slice("y.org")};
	struct policy_text text = {.domains = at, .n_recipients = 3};
	const struct policy_message message = {.text = &text, .history = &history};
	static const char when[] = "{'domain':{'deferred':50,'within':'10m'}}";

	(void)state;
	/* Each of its domains; up to the first that is not any more. */
	assert_next(when, &message, 500, POLICY_YES, 600);
	assert_next(when, &message, 600, POLICY_NO, NEVER);
	text.n_recipients = 2;
	assert_next(when, &message, 600, POLICY_YES, 700);
	/* One that is not, and a local one, are enough. */
	text.n_recipients = 3;
	at[2] = policies_slice("z.com");
	assert_no(when, &message);
	at[2] = policies_slice("");
	assert_no(when, &message);
	text.n_recipients = 0;
	assert_no(when, &message);
}

static void domain_delivered(void **state)
{
	const struct policies_window windows[] = {{"x.net", 0, 1, 600}, {"y.org", 0, 5, 700}};
	const struct policies_history past = {windows, N(windows)};
	const struct policy_history history = policies_history(&past);
	struct policy_slice at[] = {policies_slice(""), policies_slice("x.net"),
				    policies_slice("y.org"), policies_slice("z.com")};
	struct policy_text text = {.domains = at, .n_recipients = 4};
	const struct policy_message message = {.text = &text, .history = &history};
	static const char when[] = "{'domain':{'delivered_from':['B'],'within':'5m'}}";

	(void)state;
	/* One of its domains; up to the last that is. */
	assert_next(when, &message, 500, POLICY_YES, 700);
	assert_next(when, &message, 699, POLICY_YES, 700);
	assert_next(when, &message, 700, POLICY_NO, NEVER);
	at[1] = at[2] = policies_slice("z.com");
	assert_no(when, &message);
	text.n_recipients = 0;
	assert_no(when, &message);
}

/* ---- conditions of conditions ---- */

static void nested(void **state)
{
	const struct policy_message message = {.attempts = 4, .created = 0, .last_attempt = 100};

	(void)state;
	assert_yes("{'any':[{'attempts':9},{'attempts':4}]}", &message);
	assert_no("{'any':[{'attempts':9},{'attempts':{'below':4}}]}", &message);
	assert_no("{'any':[{'attempts':4,'size':0}]}", &message);
	assert_yes("{'not':{'attempts':4,'size':0}}", &message);
	assert_no("{'not':{'any':[{'attempts':4},{'size':0}]}}", &message);
	assert_yes("{'not':{'not':{'not':{'attempts':5}}}}", &message);
	assert_yes("{'attempts':{'below':9},'not':{'any':[{'attempts':5},{'not':{'attempts':4}}]}}",
		   &message);
	/* When to ask again: the earliest that matters. */
	assert_next("{'any':[{'age':600},{'since_attempt':450}]}", &message, 500, POLICY_NO, 550);
	assert_next("{'age':600,'since_attempt':550}", &message, 500, POLICY_NO, 600);
	assert_next("{'attempts':5,'age':600}", &message, 500, POLICY_NO, NEVER);
	assert_next("{'any':[{'attempts':4},{'age':600}]}", &message, 500, POLICY_YES, NEVER);
	assert_next("{'not':{'age':600}}", &message, 500, POLICY_YES, 600);
}

/* ---- what is not at hand ---- */

static void unknown(void **state)
{
	static const char *const texts[] = {
		"{'sender':'*'}",
		"{'recipient':'*'}",
		"{'recipient_domain':'*'}",
		"{'recipients':1}",
		"{'status':'*'}",
		"{'header':{'A':'*'}}",
		"{'incomplete':true}",
		"{'domain':{'deferred':5,'within':9}}",
		"{'domain':{'delivered_from':'*','within':9}}",
		"{'not':{'sender':'*'}}",
		"{'attempts':4,'sender':'*'}",
		"{'any':[{'attempts':5},{'sender':'*'}]}",
	};
	struct policy_message message = {.attempts = 4};
	const struct policy_text text = {0};

	(void)state;
	for (size_t i = 0; i < N(texts); i++)
		assert_truth(texts[i], &message, POLICY_UNKNOWN);
	/* Where the rest decides it does not matter. */
	assert_no("{'attempts':5,'sender':'*'}", &message);
	assert_no("{'sender':'*','attempts':5}", &message);
	assert_yes("{'any':[{'sender':'*'},{'attempts':4}]}", &message);
	assert_yes("{'not':{'sender':'*','attempts':5}}", &message);
	assert_next("{'sender':'*','age':600}", &message, 500, POLICY_NO, 600);
	/* The text is there, the history is not. */
	message.text = &text;
	assert_truth("{'domain':{'deferred':5,'within':9}}", &message, POLICY_UNKNOWN);
	assert_no("{'sender':'*'}", &message);
}

/* A regular expression that is given up decides nothing, under "not" neither. */
static void given_up(void **state)
{
	const struct policy_slice list[] = {
		policies_slice("short"), policies_slice("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")};
	const struct policy_header headers[] = {{policies_slice("X"), list[1]},
						{policies_slice("Y"), list[1]},
						{policies_slice("Y"), list[0]}};
	const struct policy_text text = {.has_sender = true,
					 .sender = list[1],
					 .status = list[1],
					 .recipients = list,
					 .domains = list,
					 .n_recipients = 2,
					 .headers = headers,
					 .n_headers = 3};
	static const char *const costly[] = {
		"{'sender':{'regex':'(a+)+$'}}",
		"{'status':{'regex':'(a+)+$'}}",
		"{'recipient':{'regex':'(a+)+$'}}",
		"{'recipient_domain':{'regex':'(a+)+$'}}",
		"{'header':{'X':{'regex':'(a+)+$'}}}",
		"{'header':{'Y':{'regex':'(a+)+$'}}}",
		"{'recipient':{'all':[{'regex':'(a+)+$'},'s*']}}",
		"{'not':{'sender':{'regex':'(a+)+$'}}}",
		"{'attempts':4,'sender':{'regex':'(a+)+$'}}",
		"{'any':[{'attempts':5},{'sender':{'regex':'(a+)+$'}}]}",
		"{'sender':['b*',{'regex':'(a+)+$'}]}",
	};
	struct policy_message message = {.attempts = 4, .text = &text};

	(void)state;
	for (size_t i = 0; i < N(costly); i += testing_slow() ? 4 : 1)
		assert_truth(costly[i], &message, POLICY_COSTLY);
	if (testing_slow())
		return;
	/* Where something else decides, it does not matter. */
	assert_no("{'attempts':5,'sender':{'regex':'(a+)+$'}}", &message);
	assert_no("{'sender':{'regex':'(a+)+$'},'status':'b'}", &message);
	assert_yes("{'any':[{'sender':{'regex':'(a+)+$'}},{'attempts':4}]}", &message);
	assert_yes("{'sender':['*b',{'regex':'(a+)+$'}]}", &message);
	assert_yes("{'recipient':[{'regex':'(a+)+$'},'short']}", &message);
	assert_yes("{'header':{'Y':['short',{'regex':'(a+)+$'}]}}", &message);
	assert_no("{'recipient':{'all':{'regex':'(a+)+$'}}}", &message);
	/* What is not at hand may still decide. */
	assert_truth("{'sender':{'regex':'(a+)+$'},'domain':{'deferred':5,'within':9}}", &message,
		     POLICY_UNKNOWN);
	assert_truth("{'any':[{'sender':{'regex':'(a+)+$'}},{'domain':{'deferred':5,'within':9}}]}",
		     &message, POLICY_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts),
		cmocka_unit_test(tier_messages),
		cmocka_unit_test(size),
		cmocka_unit_test(age),
		cmocka_unit_test(since_attempt),
		cmocka_unit_test(sender),
		cmocka_unit_test(recipients),
		cmocka_unit_test(status),
		cmocka_unit_test(header),
		cmocka_unit_test(incomplete),
		cmocka_unit_test(quarantined),
		cmocka_unit_test(domain_deferred),
		cmocka_unit_test(domain_delivered),
		cmocka_unit_test(nested),
		cmocka_unit_test(unknown),
		cmocka_unit_test(given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
