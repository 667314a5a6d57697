/* test_forecast.c - messages followed through the tiers by time alone: what is due now and in which
 * hour, circles, what cannot be done or known, limits, several forecasts in one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/forecast.h"

#define NOW  INT64_C(1800000000)
#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)

#define TIERS                                                                                      \
	"\"tiers\":[{\"name\":\"Q\",\"directory\":\"/q\"},{\"name\":\"M\",\"directory\":\"/m\"},"  \
	"{\"name\":\"S\",\"directory\":\"/s\"}],\"allow_delete\":true"

static const uint64_t nobody[POLICY_MAX_TIERS];

static struct policy *parse(const char *rules, const char *more)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	char text[4096];

	snprintf(text, sizeof text, "{\"version\":1," TIERS ",%s\"rules\":[%s]}", more, rules);
	if (policy_parse(text, strlen(text), "/policy.json", &problems, &policy) < 0)
		for (size_t i = 0; i < problems.count; i++)
			print_error("%s\n", problems.list[i].text);
	problems_free(&problems);
	assert_non_null(policy);
	return policy;
}

static void add(struct forecast *forecast, struct policy_message message)
{
	forecast_add(forecast, &message, (struct forecast_obstacles){0});
}

/* The total of each rule and the messages left in each tier at the end. */
static void expect(struct forecast *forecast, size_t rule, uint64_t now, uint64_t total)
{
	assert_int_equal(forecast->rules[rule].due[0], now);
	assert_int_equal(forecast->rules[rule].total, total);
}

static void end(struct forecast *forecast, struct policy *policy)
{
	forecast_free(forecast);
	policy_free(policy);
}

static const char two_moves[] =
	"{\"name\":\"three\",\"tier\":\"Q\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"M\"}},"
	"{\"name\":\"day\",\"tier\":\"M\",\"when\":{\"age\":\"1d\"},\"then\":{\"move\":\"S\"}},"
	"{\"name\":\"two days\",\"tier\":\"S\",\"when\":{\"age\":\"2d\"},"
	"\"then\":{\"delete\":true}}";

static void through_the_tiers(void **state)
{
	struct policy *policy = parse(two_moves, "");
	struct forecast *forecast = forecast_new(policy, NOW, 24, nobody);

	(void)state;
	/* All at once; half a day more until it goes. */
	add(forecast, (struct policy_message){.attempts = 3, .created = NOW - 36 * HOUR});
	/* Now to M, and in 2 hours exactly to S. */
	add(forecast, (struct policy_message){.attempts = 9, .created = NOW - 22 * HOUR});
	/* Nothing but attempts would move it. */
	add(forecast, (struct policy_message){.attempts = 2, .created = NOW - 5 * DAY});
	/* One second later than now is in the first hour, one later than an hour in the second. */
	add(forecast, (struct policy_message){.tier = 2, .created = NOW - 2 * DAY + 1});
	add(forecast, (struct policy_message){.tier = 2, .created = NOW - 2 * DAY + HOUR});
	add(forecast, (struct policy_message){.tier = 2, .created = NOW - 2 * DAY + HOUR + 1});
	/* The last second of the last hour, and the one after it. */
	add(forecast, (struct policy_message){.tier = 2, .created = NOW - DAY});
	add(forecast, (struct policy_message){.tier = 2, .created = NOW - DAY + 1});
	forecast_end(forecast);
	expect(forecast, 0, 2, 2);
	expect(forecast, 1, 1, 2);
	assert_int_equal(forecast->rules[1].due[2], 1);
	expect(forecast, 2, 0, 5);
	assert_int_equal(forecast->rules[2].due[1], 2);
	assert_int_equal(forecast->rules[2].due[2], 1);
	assert_int_equal(forecast->rules[2].due[12], 1);
	assert_int_equal(forecast->rules[2].due[24], 1);
	assert_int_equal(forecast->tiers[0].before, 3);
	assert_int_equal(forecast->tiers[2].before, 5);
	assert_int_equal(forecast->tiers[0].stand[0], 1);
	assert_int_equal(forecast->tiers[1].stand[0], 1);
	assert_int_equal(forecast->tiers[1].stand[1], 1);
	assert_int_equal(forecast->tiers[1].stand[2], 0);
	assert_int_equal(forecast->tiers[2].stand[0], 6);
	assert_int_equal(forecast->tiers[2].stand[24], 2);
	end(forecast, policy);
}

static void circles(void **state)
{
	struct policy *policy =
		parse("{\"tier\":\"Q\",\"when\":{\"always\":true},\"then\":{\"move\":\"M\"}},"
		      "{\"tier\":\"M\",\"when\":{\"age\":\"1h\"},\"then\":{\"move\":\"Q\"}},"
		      "{\"tier\":\"M\",\"when\":{\"age\":\"9h\"},\"then\":{\"move\":\"S\"}}",
		      "");
	struct forecast *forecast = forecast_new(policy, NOW, 24, nobody);

	(void)state;
	add(forecast, (struct policy_message){.created = NOW});
	forecast_end(forecast);
	expect(forecast, 0, 1, 1);
	expect(forecast, 1, 0, 0);
	expect(forecast, 2, 0, 0); /* the rule before it decides */
	assert_int_equal(forecast->rules[1].circles, 1);
	assert_int_equal(forecast->tiers[1].stand[24], 1);
	end(forecast, policy);
}

static void what_keeps_and_what_tells(void **state)
{
	struct policy *policy = parse(
		"{\"tier\":\"*\",\"when\":{\"attempts\":1},\"then\":{\"notify\":true}},"
		"{\"tier\":\"Q\",\"when\":{\"age\":{\"below\":\"2h\"}},\"then\":{\"keep\":true}},"
		"{\"tier\":\"Q\",\"when\":{\"always\":true},\"then\":{\"move\":\"M\"}}",
		"");
	struct forecast *forecast = forecast_new(policy, NOW, 24, nobody);

	(void)state;
	add(forecast, (struct policy_message){.attempts = 1, .created = NOW});
	add(forecast, (struct policy_message){.created = NOW - 3 * HOUR});
	forecast_end(forecast);
	expect(forecast, 0, 1, 1); /* once, in whatever tier it is later */
	expect(forecast, 1, 1, 1);
	expect(forecast, 2, 1, 2);
	assert_int_equal(forecast->rules[2].due[2], 1);
	end(forecast, policy);
}

static void what_cannot_be_done(void **state)
{
	struct policy *policy =
		parse("{\"tier\":\"Q\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"M\"}},"
		      "{\"tier\":\"M\",\"when\":{\"quarantined\":true},\"then\":{\"bounce\":true}}",
		      "");
	struct forecast *forecast = forecast_new(policy, NOW, 24, nobody);
	struct policy_message message = {.attempts = 3, .created = NOW};

	(void)state;
	forecast_add(forecast, &message, (struct forecast_obstacles){.elsewhere = true});
	message = (struct policy_message){.tier = 1, .created = NOW, .quarantined = true};
	forecast_add(forecast, &message, (struct forecast_obstacles){.held = true});
	/* A rule that does not name it is not for what is quarantined. */
	message.tier = 0;
	message.attempts = 3;
	forecast_add(forecast, &message, (struct forecast_obstacles){.held = true});
	forecast_end(forecast);
	expect(forecast, 0, 0, 0);
	assert_int_equal(forecast->rules[0].elsewhere, 1);
	expect(forecast, 1, 0, 0);
	assert_int_equal(forecast->rules[1].held, 1);
	end(forecast, policy);
}

static void domains_are_not_known(void **state)
{
	static const struct policy_slice domain = {"example.net", 11};
	static const struct policy_text text = {
		.recipients = &domain, .domains = &domain, .n_recipients = 1};
	struct policy *policy =
		parse("{\"tier\":\"Q\",\"when\":{\"domain\":{\"deferred\":5,\"within\":\"1h\"}},"
		      "\"then\":{\"move\":\"M\"}},"
		      "{\"tier\":\"Q\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"S\"}}",
		      "");
	struct forecast *forecast = forecast_new(policy, NOW, 24, nobody);

	(void)state;
	add(forecast, (struct policy_message){.attempts = 3, .created = NOW, .text = &text});
	add(forecast, (struct policy_message){.attempts = 1, .created = NOW, .text = &text});
	forecast_end(forecast);
	assert_int_equal(forecast->unknown, 2);
	assert_int_equal(forecast->rules[0].unknown, 2);
	expect(forecast, 0, 0, 0);
	expect(forecast, 1, 1, 1);
	end(forecast, policy);
}

static void how_many_stand_there(void **state)
{
	struct policy *policy = parse(
		"{\"tier\":\"Q\",\"when\":{\"tier_messages\":1000},\"then\":{\"move\":\"M\"}},"
		"{\"tier\":\"M\",\"when\":{\"tier_messages\":10},\"then\":{\"move\":\"S\"}}",
		"");
	const uint64_t there[POLICY_MAX_TIERS] = {1000, 9};
	struct forecast *forecast = forecast_new(policy, NOW, 1, there);

	(void)state;
	add(forecast, (struct policy_message){.created = NOW, .tier_messages = 1000});
	forecast_end(forecast);
	expect(forecast, 0, 1, 1);
	expect(forecast, 1, 1, 1);
	end(forecast, policy);
}

static void in_two_parts(void **state)
{
	struct policy *policy = parse(two_moves, "");
	struct forecast *whole = forecast_new(policy, NOW, 48, nobody);
	struct forecast *parts[2] = {forecast_new(policy, NOW, 48, nobody),
				     forecast_new(policy, NOW, 48, nobody)};

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		struct policy_message message = {
			.tier = i % 3, .attempts = i % 5, .created = NOW - i * 100};

		add(whole, message);
		add(parts[i % 7 == 0], message);
	}
	forecast_merge(parts[0], parts[1]);
	forecast_end(parts[0]);
	forecast_end(whole);
	for (size_t i = 0; i < 3; i++) {
		assert_memory_equal(parts[0]->rules[i].due, whole->rules[i].due,
				    49 * sizeof(uint64_t));
		assert_int_equal(parts[0]->rules[i].total, whole->rules[i].total);
		assert_memory_equal(parts[0]->tiers[i].stand, whole->tiers[i].stand,
				    49 * sizeof(uint64_t));
	}
	forecast_free(parts[0]);
	forecast_free(parts[1]);
	end(whole, policy);
}

static void limits(void **state)
{
	struct policy *policy = parse(two_moves, "");
	struct forecast *forecast = forecast_new(policy, NOW, 2, nobody);
	struct forecast_line line;

	(void)state;
	for (int i = 0; i < 9000; i++)
		add(forecast, (struct policy_message){.attempts = 3, .created = NOW});
	forecast_limit(forecast, POLICY_MOVE, 1, 1, &line);
	assert_int_equal(line.now, 9000);
	assert_int_equal(line.seconds, 9000);
	assert_int_equal(line.longest, 5400);
	assert_int_equal(line.left, 1800);
	forecast_limit(forecast, POLICY_MOVE, 600, 60, &line);
	assert_int_equal(line.seconds, 900);
	assert_int_equal(line.left, 0);
	forecast_limit(forecast, POLICY_DELETE, 600, 60, &line);
	assert_int_equal(line.now, 0);
	assert_int_equal(line.seconds, 0);
	end(forecast, policy);
}

/* Times at the ends of what a qf may say: nothing runs for ever, and counts still add up. */
static void lying_times(void **state)
{
	struct policy *policy = parse(two_moves, "");
	const int64_t times[] = {1, NOW - 1, NOW, NOW + 1, NOW + DAY, UINT32_MAX};
	struct forecast *forecast = forecast_new(policy, NOW, FORECAST_MAX_HOURS, nobody);

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		for (unsigned tier = 0; tier < 3; tier++)
			add(forecast, (struct policy_message){
					      .tier = tier, .attempts = 3, .created = times[i]});
	forecast_end(forecast);
	assert_int_equal(forecast->tiers[0].stand[FORECAST_MAX_HOURS], 0);
	assert_int_equal(forecast->tiers[1].stand[FORECAST_MAX_HOURS], 2); /* from the year 2106 */
	assert_int_equal(forecast->tiers[2].stand[FORECAST_MAX_HOURS], 1);
	end(forecast, policy);
}

static void what_is_needed(void **state)
{
	struct policy *policy =
		parse("{\"tier\":\"Q\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"M\"}},"
		      "{\"tier\":\"M\",\"when\":{\"status\":\"*\"},\"then\":{\"move\":\"S\"}},"
		      "{\"tier\":\"S\",\"when\":{\"not\":{\"any\":[{\"size\":\"1MiB\"}]}},"
		      "\"then\":{\"delete\":true}}",
		      "");

	(void)state;
	assert_int_equal(forecast_text_tiers(policy), 3);
	assert_int_equal(forecast_size_tiers(policy), 7);
	policy_free(policy);
	policy = parse(two_moves, "");
	assert_int_equal(forecast_text_tiers(policy), 0);
	assert_int_equal(forecast_size_tiers(policy), 0);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(through_the_tiers),
		cmocka_unit_test(circles),
		cmocka_unit_test(what_keeps_and_what_tells),
		cmocka_unit_test(what_cannot_be_done),
		cmocka_unit_test(domains_are_not_known),
		cmocka_unit_test(how_many_stand_there),
		cmocka_unit_test(in_two_parts),
		cmocka_unit_test(limits),
		cmocka_unit_test(lying_times),
		cmocka_unit_test(what_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
