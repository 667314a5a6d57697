/* test_listing.c - one message as a JSON line, read back by jansson: names, nulls, bytes of any
 * kind, many recipients; and what comes next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "qfwatch/listing.h"
#include "qfwatch/qtext.h"

#include "../support/policies.h"
#include "../support/testing.h"

#define NOW INT64_C(1800000000)

static json_t *read_back(const struct listing *listing)
{
	size_t room = listing_room(listing);
	struct json_line line = {.buffer = malloc(room), .size = room};
	json_error_t error;
	json_t *all;

	listing_put(listing, &line);
	assert_false(line.truncated);
	all = json_loadb(line.buffer, line.length, JSON_REJECT_DUPLICATES, &error);
	if (!all)
		fail_msg("%s: %.*s", error.text, (int)line.length, line.buffer);
	free(line.buffer);
	return all;
}

static void is(json_t *all, const char *expected)
{
	char *text = json_dumps(all, JSON_COMPACT);

	assert_string_equal(text, expected);
	free(text);
	json_decref(all);
}

static void whole(void **state)
{
	static const char qf[] = "V8\nMDeferred: \"451\"\nSnews@example.com\nRPFD:a@One.example\n"
				 "RPFD:root\n.\n";
	struct qtext *qtext = qtext_new();
	struct policy_text text;
	struct listing listing = {.tier = "QUEUE",
				  .directory = "/var/spool/mqueue",
				  .id = "6AMHKFXX",
				  .id_length = 6,
				  .has_numbers = true,
				  .facts = {.attempts = 3,
					    .created = 1795500000,
					    .last_attempt = 1795500600,
					    .size = 3120,
					    .has_size = true,
					    .text = &text},
				  .state = "idle",
				  .next = {.any = true,
					   .at = 1795503600,
					   .action = POLICY_MOVE,
					   .to = "MIDQUEUE",
					   .rule = "an hour"}};

	(void)state;
	qtext_read(qtext, qf, sizeof qf - 1, &text);
	is(read_back(&listing),
	   "{\"queue_name\":\"QUEUE\",\"queue_id\":\"6AMHKF\",\"arrival_time\":1795500000,"
	   "\"message_size\":3120,\"forced_expire\":false,\"sender\":\"news@example.com\","
	   "\"recipients\":[{\"address\":\"a@One.example\",\"delay_reason\":\"Deferred: "
	   "\\\"451\\\"\"},"
	   "{\"address\":\"root\",\"delay_reason\":\"Deferred: \\\"451\\\"\"}],"
	   "\"tier\":\"QUEUE\",\"directory\":\"/var/spool/mqueue\",\"attempts\":3,"
	   "\"last_attempt\":1795500600,\"state\":\"idle\",\"quarantined\":false,"
	   "\"next_move\":{\"at\":1795503600,\"action\":\"move\",\"to\":\"MIDQUEUE\","
	   "\"rule\":\"an hour\"}}");
	qtext_free(qtext);
}

static void unknown(void **state)
{
	struct listing listing = {.tier = "Q", .directory = "/q", .id = "A", .id_length = 1};
	struct policy_text text = {0};

	(void)state;
	is(read_back(&listing),
	   "{\"queue_name\":\"Q\",\"queue_id\":\"A\",\"arrival_time\":null,\"message_size\":null,"
	   "\"forced_expire\":false,\"sender\":null,\"recipients\":[],\"tier\":\"Q\","
	   "\"directory\":\"/q\",\"attempts\":null,\"last_attempt\":null,\"state\":null,"
	   "\"quarantined\":false,\"next_move\":null}");
	/* Never tried; no sender, no status; due now. */
	listing.has_numbers = true;
	listing.facts = (struct policy_message){.created = 7, .quarantined = true, .text = &text};
	listing.next = (struct listing_move){
		.any = true, .due = true, .at = 9, .action = POLICY_DELETE, .rule = "r"};
	is(read_back(&listing),
	   "{\"queue_name\":\"Q\",\"queue_id\":\"A\",\"arrival_time\":7,\"message_size\":null,"
	   "\"forced_expire\":false,\"sender\":null,\"recipients\":[],\"tier\":\"Q\","
	   "\"directory\":\"/q\",\"attempts\":0,\"last_attempt\":null,\"state\":null,"
	   "\"quarantined\":true,\"next_move\":{\"at\":null,\"action\":\"delete\",\"to\":null,"
	   "\"rule\":\"r\"}}");
}

/* What a terminal would obey is not in the line itself, and comes back when it is read. */
static void obeyed_by_terminals(void **state)
{
	static const char qf[] = "V8\nS\xc2\x9b"
				 "31m\x1b[31m\x7f\nRPFD:\xc3\x9b@a.example\n.\n";
	struct qtext *qtext = qtext_new();
	struct policy_text text;
	struct listing listing = {.tier = "Q", .directory = "/q", .id = "A", .id_length = 1};
	size_t room;
	struct json_line line = {0};

	(void)state;
	listing.has_numbers = true;
	listing.facts.text = &text;
	qtext_read(qtext, qf, sizeof qf - 1, &text);
	room = listing_room(&listing);
	line = (struct json_line){.buffer = malloc(room + 1), .size = room};
	listing_put(&listing, &line);
	line.buffer[line.length] = 0;
	assert_non_null(strstr(line.buffer, "\"sender\":\"\\u009b31m\\u001b[31m\\u007f\""));
	assert_non_null(strstr(line.buffer, "\"address\":\"\xc3\x9b@a.example\""));
	free(line.buffer);
	qtext_free(qtext);
}

/* Whatever the bytes are: it can be read, and takes no more than its room. */
static void any_bytes(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (size_t round = 0; round < testing_scale(4000); round++) {
		struct policy_slice recipients[8];
		struct policy_text text = {.has_sender = true,
					   .recipients = recipients,
					   .n_recipients = testing_random(&seed) % 8};
		char bytes[11][40], name[40];
		struct listing listing = {.tier = name,
					  .directory = name,
					  .has_numbers = true,
					  .facts = {.text = &text},
					  .next = {.any = true, .to = name, .rule = name}};
		json_t *all;

		for (size_t i = 0; i < N(bytes); i++)
			for (size_t k = 0; k < sizeof bytes[i]; k++)
				bytes[i][k] = (char)(testing_random(&seed) % 3
							     ? testing_random(&seed)
							     : 0x80 | testing_random(&seed) % 0x40);
		for (size_t k = 0; k < sizeof name - 1; k++)
			name[k] = (char)(1 + testing_random(&seed) % 255);
		name[sizeof name - 1] = 0;
		for (size_t i = 0; i < 8; i++)
			recipients[i] = (struct policy_slice){bytes[i], testing_random(&seed) % 41};
		text.sender = (struct policy_slice){bytes[8], testing_random(&seed) % 41};
		text.status = (struct policy_slice){bytes[9], testing_random(&seed) % 41};
		listing.id = bytes[10];
		listing.id_length = 16;
		/* jansson does not take NUL in strings unless asked: they are escaped. */
		for (size_t i = 0; i < N(bytes); i++)
			for (size_t k = 0; k < sizeof bytes[i]; k++)
				bytes[i][k] += !bytes[i][k];
		all = read_back(&listing);
		assert_int_equal(json_array_size(json_object_get(all, "recipients")),
				 text.n_recipients);
		json_decref(all);
	}
}

static struct listing_move next_of(const char *rules, struct policy_message message)
{
	static char rule[64];
	struct policy *policy = policies_parse(rules);
	struct listing_move next;

	listing_next_move(policy, &message, NOW, &next);
	/* The names end with the policy. */
	if (next.any) {
		strncpy(rule, next.rule, sizeof rule - 1);
		next.rule = rule;
		if (next.to)
			next.to = next.to[0] == 'B' ? "B" : "?";
	}
	policy_free(policy);
	return next;
}

static void what_comes_next(void **state)
{
	static const char hour[] = "[{'name':'told','tier':'A','when':{'age':'30m'},"
				   "'then':{'notify':'x'}},"
				   "{'name':'three','tier':'A','when':{'attempts':3},"
				   "'then':{'move':'B'}},"
				   "{'name':'hour','tier':'A','when':{'age':'1h'},"
				   "'then':{'move':'B'}}]";
	struct listing_move next;

	(void)state;
	/* The notice in between is none of its moves. */
	next = next_of(hour, (struct policy_message){.created = NOW - 60});
	assert_true(next.any && !next.due);
	assert_int_equal(next.at, NOW + 3540);
	assert_int_equal(next.action, POLICY_MOVE);
	assert_string_equal(next.to, "B");
	assert_string_equal(next.rule, "hour");
	next = next_of(hour, (struct policy_message){.created = NOW - 60, .attempts = 3});
	assert_true(next.any && next.due);
	assert_string_equal(next.rule, "three");
	next = next_of(hour, (struct policy_message){.tier = 2, .created = 1});
	assert_false(next.any);
	/* Kept for ever; and what cannot be known. */
	next = next_of("[{'tier':'A','when':{'age':'1m'},'then':{'keep':true}},"
		       "{'tier':'A','when':{'age':'1h'},'then':{'move':'B'}}]",
		       (struct policy_message){.created = NOW});
	assert_false(next.any);
	next = next_of("[{'tier':'A','when':{'status':'*'},'then':{'move':'B'}}]",
		       (struct policy_message){.created = NOW});
	assert_false(next.any);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(unknown),
		cmocka_unit_test(obeyed_by_terminals),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(what_comes_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
