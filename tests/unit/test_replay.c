/* test_replay.c - recorded lives lived again: the same policy does the same, another one does what
 * it says; what events do not tell; gaps, runs, torn lines and lies; numbers by the hour.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/moment.h"
#include "qfwatch/replay.h"

#include "../support/testing.h"

#define START INT64_C(1800000000) /* a full hour */
#define HOUR  INT64_C(3600)

#define TIERS                                                                                      \
	"\"tiers\":[{\"name\":\"Q\",\"directory\":\"/q\"},{\"name\":\"M\",\"directory\":\"/m\"},"  \
	"{\"name\":\"S\",\"directory\":\"/s\"}],\"allow_delete\":true"

/* ---- a recording ---- */

static struct policy *policy;
static struct replay *replay;
static const struct replay_result *result;
static uint64_t sequence;
static const char *run_name;
static uint64_t torn, foreign;

static void begin(const char *rules)
{
	struct problems problems = {0};
	char text[4096];

	snprintf(text, sizeof text, "{\"version\":1," TIERS ",\"rules\":[%s]}", rules);
	policy = NULL;
	if (policy_parse(text, strlen(text), "/policy.json", &problems, &policy) < 0)
		for (size_t i = 0; i < problems.count; i++)
			print_error("%s\n", problems.list[i].text);
	problems_free(&problems);
	assert_non_null(policy);
	replay = replay_new(policy);
	sequence = torn = foreign = 0;
	run_name = "a";
}

static void line(const char *text)
{
	struct replay_event event;
	struct replay_text *held;
	enum replay_line kind = replay_parse(text, strlen(text), &event, &held);

	if (kind == REPLAY_EVENT)
		replay_feed(replay, &event);
	torn += kind == REPLAY_TORN;
	foreign += kind == REPLAY_FOREIGN;
	replay_release(held);
}

/* One event; `own` is what else stands in qfwatch. Created is START - `before`. */
static void event(int64_t at, const char *action, const char *id, const char *own,
		  unsigned attempts, int64_t before, const char *more)
{
	char text[2048], when[MOMENT_TEXT];

	moment_utc(START + at, when, sizeof when);
	snprintf(
		text, sizeof text,
		"{\"@timestamp\":\"%s\",\"event\":{\"module\":\"qfwatch\",\"action\":\"%s\","
		"\"sequence\":%llu},\"email\":{\"local_id\":\"%s\"},\"qfwatch\":{\"run\":\"%s\",%s,"
		"\"message\":{\"attempts\":%u,\"age\":%lld,\"size\":0%s}}}",
		when, action, (unsigned long long)++sequence, id, run_name, own, attempts,
		(long long)(at + before), more);
	line(text);
}

static void daemon_event(int64_t at, const char *action, const char *reason, uint64_t messages)
{
	char text[1024], when[MOMENT_TEXT];

	moment_utc(START + at, when, sizeof when);
	snprintf(text, sizeof text,
		 "{\"@timestamp\":\"%s\",\"event\":{\"module\":\"qfwatch\",\"action\":\"%s\","
		 "\"sequence\":%llu,\"reason\":\"%s\"},\"qfwatch\":{\"run\":\"%s\","
		 "\"counts\":{\"messages\":%llu}}}",
		 when, action, (unsigned long long)++sequence, reason, run_name,
		 (unsigned long long)messages);
	line(text);
}

static void tracked(int64_t at, const char *id, unsigned attempts)
{
	event(at, "message-tracked", id, "\"tier\":\"Q\"", attempts, 0, "");
}

static void attempted(int64_t at, const char *id, const char *tier, unsigned attempts,
		      const char *domain)
{
	char own[64], more[256] = "";

	snprintf(own, sizeof own, "\"tier\":\"%s\"", tier);
	if (domain)
		snprintf(more, sizeof more, ",\"recipient_domains\":[\"%s\"]", domain);
	event(at, "message-attempted", id, own, attempts, 0, more);
}

static void moved(int64_t at, const char *id, const char *from, const char *to, const char *rule,
		  unsigned attempts)
{
	char own[256];

	snprintf(own, sizeof own,
		 "\"tier\":\"%s\",\"move\":{\"from\":\"%s\",\"to\":\"%s\",\"rule\":\"%s\"}", to,
		 from, to, rule);
	event(at, "message-moved", id, own, attempts, 0, "");
}

static void departed(int64_t at, const char *id, const char *tier, unsigned attempts)
{
	char own[64];

	snprintf(own, sizeof own, "\"tier\":\"%s\"", tier);
	event(at, "message-departed", id, own, attempts, 0, "");
}

static void finish(void)
{
	result = replay_end(replay);
}

static void end(void)
{
	replay_free(replay);
	policy_free(policy);
}

static void expect(size_t rule, uint64_t recorded, uint64_t simulated)
{
	assert_int_equal(result->rules[rule].recorded.value, recorded);
	assert_int_equal(result->rules[rule].simulated.value, simulated);
}

static void expect_tier(size_t tier, uint64_t recorded, uint64_t simulated)
{
	assert_int_equal(result->tiers[tier].recorded.value, recorded);
	assert_int_equal(result->tiers[tier].simulated.value, simulated);
}

#define THREE                                                                                      \
	"{\"name\":\"three\",\"tier\":\"Q\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"M\"}}"
#define FIVE                                                                                       \
	"{\"name\":\"five\",\"tier\":\"Q\",\"when\":{\"attempts\":5},\"then\":{\"move\":\"M\"}}"
#define TWO "{\"name\":\"two\",\"tier\":\"Q\",\"when\":{\"attempts\":2},\"then\":{\"move\":\"M\"}}"

/* Two messages under "three": one is moved and leaves from M, the other leaves after 1 attempt. */
static void record_two(void)
{
	tracked(0, "one", 0);
	tracked(0, "two", 0);
	attempted(60, "one", "Q", 1, NULL);
	attempted(61, "two", "Q", 1, NULL);
	departed(100, "two", "Q", 1);
	attempted(120, "one", "Q", 2, NULL);
	attempted(180, "one", "Q", 3, NULL);
	moved(180, "one", "Q", "M", "three", 3);
	attempted(HOUR + 1800, "one", "M", 4, NULL);
}

/* ---- tests ---- */

static void the_same_policy(void **state)
{
	(void)state;
	begin(THREE);
	record_two();
	departed(2 * HOUR, "one", "M", 4);
	finish();
	expect(0, 1, 1);
	expect_tier(0, 0, 0);
	expect_tier(1, 0, 0);
	assert_int_equal(result->messages, 2);
	assert_int_equal(result->jumps, 0);
	assert_int_equal(result->mid, 0);
	assert_int_equal(result->runs, 1);
	assert_int_equal(result->missing, 0);
	assert_int_equal(result->recorded_left, 0);
	assert_int_equal(result->n_hours, 3);
	assert_int_equal(result->rules[0].recorded.hours[0], 1);
	assert_int_equal(result->rules[0].simulated.hours[0], 1);
	for (size_t h = 0; h < 3; h++) {
		assert_int_equal(result->tiers[1].recorded.hours[h], h < 2);
		assert_int_equal(result->tiers[1].simulated.hours[h], h < 2);
	}
	end();
}

static void later_and_earlier(void **state)
{
	(void)state;
	begin(FIVE);
	record_two();
	finish();
	expect(0, 0, 0);
	assert_string_equal(result->rules[1].name, "three");
	assert_int_equal(result->rules[1].rule, -1);
	expect(1, 1, 0);
	expect_tier(0, 0, 1);
	expect_tier(1, 1, 0);
	end();

	begin(TWO);
	record_two();
	finish();
	expect(0, 0, 1);
	expect_tier(1, 1, 1);
	end();
}

/* Time alone, also over hours without an event, and due with the last event. */
static void ages(void **state)
{
	(void)state;
	begin("{\"name\":\"old\",\"tier\":\"Q\",\"when\":{\"age\":\"90m\"},\"then\":{\"move\":"
	      "\"M\"}},"
	      "{\"name\":\"gone\",\"tier\":\"M\",\"when\":{\"age\":\"4h\"},\"then\":"
	      "{\"delete\":true}}");
	tracked(0, "one", 0);
	tracked(3 * HOUR, "other", 0);
	departed(5 * HOUR, "one", "Q", 0);
	finish();
	expect(0, 0, 2); /* `other` is as old as `one`: all are created at START */
	expect(1, 0, 2);
	assert_int_equal(result->rules[0].simulated.hours[1], 1);
	assert_int_equal(result->rules[0].simulated.hours[3], 1);
	assert_int_equal(result->rules[1].simulated.hours[4], 2);
	assert_int_equal(result->rules[1].early, 1);
	assert_int_equal(result->tiers[1].simulated.hours[2], 1);
	end();

	begin("{\"name\":\"old\",\"tier\":\"Q\",\"when\":{\"age\":\"60s\"},\"then\":{\"move\":"
	      "\"M\"}}");
	tracked(0, "one", 0);
	moved(60, "one", "Q", "M", "old", 0);
	finish();
	expect(0, 1, 1);
	end();
}

static void removed(void **state)
{
	(void)state;
	begin("{\"name\":\"old\",\"tier\":\"M\",\"when\":{\"age\":\"6d\"},\"then\":{\"delete\":"
	      "true}}");
	event(0, "message-tracked", "one", "\"tier\":\"M\"", 9, 5 * 86400, "");
	event(10, "message-deleted", "one", "\"tier\":\"M\",\"rule\":\"five days\"", 9, 5 * 86400,
	      "");
	/* The daemon does not tell that it departed; if somebody does, it was us. */
	event(11, "message-departed", "one", "\"tier\":\"M\"", 9, 5 * 86400, "");
	finish();
	expect(0, 0, 0);
	expect(1, 1, 0);
	expect_tier(1, 0, 1);
	assert_int_equal(result->spared, 1);
	assert_int_equal(result->simulated_left, 1);
	end();
}

static void middle_of_a_life(void **state)
{
	(void)state;
	begin(TWO);
	sequence = 40;
	moved(60, "one", "Q", "M", "three", 3);
	departed(70, "never seen", "Q", 1);
	finish();
	expect(0, 0, 1);
	assert_int_equal(result->mid, 1);
	assert_int_equal(result->beginnings, 1);
	assert_int_equal(result->missing, 0);
	assert_int_equal(result->messages, 1);
	expect_tier(0, 0, 0);
	expect_tier(1, 1, 1);
	end();
}

static void attempts_without_events(void **state)
{
	(void)state;
	begin(FIVE);
	tracked(0, "one", 0);
	moved(60, "one", "Q", "M", "three", 3);
	moved(70, "one", "M", "S", "ten", 10);
	finish();
	expect(0, 0, 1);
	assert_int_equal(result->jumps, 2);
	assert_int_equal(result->attempted, 0);
	end();
}

static void what_events_do_not_tell(void **state)
{
	(void)state;
	begin("{\"name\":\"vip\",\"tier\":\"Q\",\"when\":{\"sender\":\"vip@*\"},\"then\":{\"keep\":"
	      "true}},"
	      "{\"name\":\"known\",\"tier\":\"Q\",\"when\":{\"any\":[{\"status\":\"*\"},"
	      "{\"attempts\":3}]},\"then\":{\"move\":\"M\"}},"
	      "{\"name\":\"large\",\"tier\":\"M\",\"when\":{\"not\":{\"size\":1}},\"then\":"
	      "{\"move\":\"S\"}}");
	record_two();
	finish();
	assert_int_equal(result->rules[0].unknown, 2);
	assert_int_equal(result->rules[1].unknown, 2);
	expect(1, 0, 1); /* the attempts alone decide */
	assert_int_equal(result->rules[2].unknown, 1);
	expect(2, 0, 0);
	end();
}

static void last_attempts(void **state)
{
	static const char rule[] = "{\"name\":\"idle\",\"tier\":\"*\",\"when\":{\"since_attempt\":"
				   "\"10m\"},\"then\":{\"notify\":true}}";

	(void)state;
	begin(rule);
	tracked(0, "fresh", 0);		      /* never tried: it does not hold */
	tracked(0, "tried", 4);		      /* nobody knows when */
	attempted(60, "known", "Q", 1, NULL); /* holds from 660 on */
	event(60, "message-tracked", "told", "\"tier\":\"Q\"", 4, 0, ",\"since_attempt\":30");
	daemon_event(2 * HOUR, "policy-loaded", "", 0);
	finish();
	expect(0, 0, 2);
	assert_int_equal(result->rules[0].unknown, 1);
	assert_int_equal(result->policies, 1);
	end();
}

static void domains(void **state)
{
	(void)state;
	begin("{\"name\":\"dead\",\"tier\":\"Q\",\"when\":{\"domain\":{\"deferred\":3,\"within\":"
	      "\"10m\"}},\"then\":{\"move\":\"S\"}},"
	      "{\"name\":\"back\",\"tier\":\"S\",\"when\":{\"domain\":{\"delivered_from\":[\"S\"],"
	      "\"within\":\"5m\"}},\"then\":{\"move\":\"Q\"}}");
	attempted(1, "one", "Q", 1, "dead.example");
	attempted(2, "two", "Q", 1, "dead.example");
	attempted(3, "other", "Q", 1, "fine.example");
	tracked(4, "unknown", 0);
	attempted(5, "three", "Q", 1, "dead.example");
	finish();
	expect(0, 0, 3);
	expect_tier(0, 5, 2);
	expect_tier(2, 0, 3);
	assert_int_equal(result->rules[0].unknown, 1);
	end();

	begin("{\"name\":\"dead\",\"tier\":\"Q\",\"when\":{\"domain\":{\"deferred\":3,\"within\":"
	      "\"10m\"}},\"then\":{\"move\":\"S\"}},"
	      "{\"name\":\"back\",\"tier\":\"S\",\"when\":{\"domain\":{\"delivered_from\":[\"S\"],"
	      "\"within\":\"5m\"}},\"then\":{\"move\":\"Q\"}}");
	attempted(1, "one", "Q", 1, "dead.example");
	attempted(2, "two", "Q", 1, "dead.example");
	attempted(5, "three", "Q", 1, "dead.example");
	/* Of a move without them nothing is known: its policy may say that they are secret. */
	moved(6, "secret", "Q", "M", "by hand", 1);
	departed(60, "one", "Q", 1); /* delivered from where it would have been */
	finish();
	expect(0, 0, 3);
	expect(1, 0, 2);
	assert_int_equal(result->rules[0].unknown, 1);
	expect_tier(0, 2, 3);
	end();
}

/* Local recipients alone: known, and none of a domain. */
static void no_domains(void **state)
{
	(void)state;
	begin("{\"name\":\"net\",\"tier\":\"Q\",\"when\":{\"recipient_domain\":\"*.net\"},\"then\":"
	      "{\"move\":\"M\"}}");
	event(1, "message-tracked", "one", "\"tier\":\"Q\"", 0, 0, ",\"recipient_domains\":[]");
	event(2, "message-tracked", "two", "\"tier\":\"Q\"", 0, 0,
	      ",\"recipient_domains\":[\"example.net\"]");
	finish();
	expect(0, 0, 1);
	assert_int_equal(result->rules[0].unknown, 0);
	end();
}

static void levels(void **state)
{
	(void)state;
	begin("{\"name\":\"full\",\"tier\":\"Q\",\"when\":{\"tier_messages\":3},\"then\":{\"move\":"
	      "\"M\"}}");
	tracked(1, "one", 0);
	tracked(2, "two", 0);
	tracked(5, "three", 0);
	finish();
	expect(0, 0, 1); /* with it gone, two are left */
	expect_tier(0, 3, 2);
	end();
}

static void circle(void **state)
{
	(void)state;
	begin(THREE
	      ",{\"name\":\"back\",\"tier\":\"M\",\"when\":{\"attempts\":3},\"then\":{\"move\":"
	      "\"Q\"}}");
	record_two();
	finish();
	/* The 4th attempt is a new state: once more. */
	assert_int_equal(result->rules[1].circles, 1);
	expect(1, 0, 1);
	end();
}

static void several_runs(void **state)
{
	(void)state;
	begin(THREE);
	record_two();
	tracked(HOUR + 1900, "lost", 0);
	run_name = "b";
	sequence = 0;
	/* Known, and moved meanwhile by hand. */
	event(2 * HOUR, "message-tracked", "one", "\"tier\":\"S\"", 4, 0, "");
	daemon_event(2 * HOUR, "resynced", "reconcile", 1);
	daemon_event(2 * HOUR, "resynced", "first scan", 1);
	finish();
	assert_int_equal(result->runs, 2);
	assert_int_equal(result->vanished, 1);
	assert_int_equal(result->messages, 3);
	expect_tier(0, 0, 0);
	expect_tier(1, 0, 1);
	expect_tier(2, 1, 0);
	end();
}

static void the_same_id_again(void **state)
{
	(void)state;
	begin(THREE);
	tracked(0, "one", 2);
	event(HOUR, "message-tracked", "one", "\"tier\":\"Q\"", 0, -HOUR, "");
	finish();
	assert_int_equal(result->messages, 2);
	expect_tier(0, 1, 1);
	end();
}

static void dry_runs(void **state)
{
	(void)state;
	begin(THREE);
	event(0, "message-moved", "one",
	      "\"dry_run\":true,\"tier\":\"M\",\"move\":{\"from\":\"Q\",\"to\":\"M\",\"rule\":"
	      "\"three\"}",
	      3, 0, "");
	finish();
	expect(0, 0, 1);
	expect_tier(0, 1, 0);
	assert_int_equal(result->dry, 1);
	end();
}

static void other_tiers(void **state)
{
	(void)state;
	begin(THREE);
	event(0, "message-tracked", "one", "\"tier\":\"PRIO\"", 9, 0, "");
	finish();
	assert_int_equal(result->elsewhere, 1);
	assert_int_equal(result->n_tiers, 4);
	assert_string_equal(result->tiers[3].name, "PRIO");
	expect_tier(3, 1, 0);
	expect(0, 0, 0);
	end();
}

static void gaps_and_lies(void **state)
{
	(void)state;
	begin(THREE);
	line("");
	line("{\"@timestamp\":\"2027-01-15T08:00:00Z\",\"event\":{\"mod");
	line("{}");
	line("[1]");
	line("{\"@timestamp\":\"2027-01-15T08:00:00Z\",\"event\":{\"module\":\"nginx\"}}");
	line("{\"@timestamp\":5,\"event\":7,\"qfwatch\":\"x\"}");
	line("{\"@timestamp\":\"2027-01-15T08:00:00Z\",\"event\":{\"module\":\"qfwatch\","
	     "\"action\":"
	     "\"not-yet-invented\"}}");
	assert_int_equal(torn, 3);
	assert_int_equal(foreign, 4);
	tracked(100, "one", 0);
	sequence += 5;
	tracked(100, "two", 0);
	sequence -= 3;
	tracked(100, "three", 0);
	sequence = 10;
	/* Before the first one by a day; 20 years later; a little before the last one. */
	event(-86400, "message-tracked", "old", "\"tier\":\"Q\"", 0, 86400, "");
	event(20 * 365 * 86400, "message-tracked", "new", "\"tier\":\"Q\"", 0, 0, "");
	tracked(50, "four", 0);
	/* Numbers that are not to be believed. */
	event(200, "message-tracked", "minus", "\"tier\":\"Q\"", UINT32_MAX, INT64_MAX / 2, "");
	event(200, "message-tracked", "", "\"tier\":\"\"", 0, -INT64_MAX / 2, "");
	finish();
	assert_int_equal(result->missing, 5 + 3);
	assert_int_equal(result->repeated, 1);
	assert_int_equal(result->unbelieved, 2);
	assert_int_equal(result->backwards, 1);
	end();
}

static void nothing(void **state)
{
	(void)state;
	begin(THREE);
	finish();
	assert_int_equal(result->events, 0);
	assert_int_equal(result->n_hours, 0);
	end();
}

/* Whatever the events: both worlds have a message once, and the sums agree. */
static void random_lives(void **state)
{
	static const char *const names[] = {"Q", "M", "S", "X"};
	static const char *const actions[] = {"message-tracked",   "message-attempted",
					      "message-attempted", "message-departed",
					      "message-moved",	   "message-deleted"};
	uint64_t random = 42, sum = 0, sum_simulated = 0;
	size_t count = testing_scale(20000);
	int64_t at = 0;

	(void)state;
	begin(THREE
	      ",{\"name\":\"old\",\"tier\":\"M\",\"when\":{\"age\":\"2h\"},\"then\":{\"move\":"
	      "\"S\"}},{\"tier\":\"S\",\"when\":{\"any\":[{\"since_attempt\":\"1h\"},"
	      "{\"tier_messages\":40}]},\"then\":{\"delete\":true}},"
	      "{\"tier\":\"Q\",\"when\":{\"domain\":{\"deferred\":20,\"within\":\"1m\"}},"
	      "\"then\":{\"move\":\"S\"}}");
	for (size_t i = 0; i < count; i++) {
		const char *action = actions[testing_random(&random) % 6];
		const char *from = names[testing_random(&random) % 4];
		const char *to = names[testing_random(&random) % 4];
		char id[16], own[128], more[64];

		at += (int64_t)(testing_random(&random) % 5);
		snprintf(id, sizeof id, "m%u", (unsigned)(testing_random(&random) % 300));
		snprintf(own, sizeof own,
			 "\"tier\":\"%s\",\"move\":{\"from\":\"%s\",\"to\":\"%s\",\"rule\":\"r\"}",
			 to, from, to);
		snprintf(more, sizeof more, ",\"recipient_domains\":[\"d%u\"]",
			 (unsigned)(testing_random(&random) % 9));
		event(at, action, id, own, (unsigned)(testing_random(&random) % 6),
		      testing_random(&random) % 50 ? 0 : 100, more);
	}
	finish();
	for (size_t i = 0; i < result->n_tiers; i++) {
		sum += result->tiers[i].recorded.value;
		sum_simulated += result->tiers[i].simulated.value;
		assert_int_equal(result->tiers[i].recorded.n_hours, result->n_hours);
		assert_int_equal(result->tiers[i].simulated.hours[result->n_hours - 1],
				 result->tiers[i].simulated.value);
	}
	assert_int_equal(sum, result->recorded_left);
	assert_true(sum_simulated <= result->simulated_left); /* those in X stand nowhere */
	for (size_t i = 0; i < result->n_rules; i++) {
		uint64_t hours = 0;

		for (size_t h = 0; h < result->rules[i].simulated.n_hours; h++)
			hours += result->rules[i].simulated.hours[h];
		assert_int_equal(hours, result->rules[i].simulated.value);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_policy),
		cmocka_unit_test(later_and_earlier),
		cmocka_unit_test(ages),
		cmocka_unit_test(removed),
		cmocka_unit_test(middle_of_a_life),
		cmocka_unit_test(attempts_without_events),
		cmocka_unit_test(what_events_do_not_tell),
		cmocka_unit_test(last_attempts),
		cmocka_unit_test(domains),
		cmocka_unit_test(no_domains),
		cmocka_unit_test(levels),
		cmocka_unit_test(circle),
		cmocka_unit_test(several_runs),
		cmocka_unit_test(the_same_id_again),
		cmocka_unit_test(dry_runs),
		cmocka_unit_test(other_tiers),
		cmocka_unit_test(gaps_and_lies),
		cmocka_unit_test(nothing),
		cmocka_unit_test(random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
