/* test_event_reading.c - recorded events read back: times and bounds, one line, filters, what
 * people see. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/event_filter.h"
#include "qfwatch/event_record.h"
#include "qfwatch/event_show.h"

#include "../support/testing.h"

/* 2026-11-22T17:20:15Z */
#define NOW INT64_C(1795368015)

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t time;
	} good[] = {
		{"2026-11-22T17:20:15.123456Z", NOW * CLOCK_SECOND + 123456},
		{"2026-11-22T17:20:15Z", NOW * CLOCK_SECOND},
		{"2026-11-22 17:20:15z", NOW * CLOCK_SECOND},
		{"2026-11-22t18:20:15+01:00", NOW * CLOCK_SECOND},
		{"2026-11-22T11:50:15.5-05:30", NOW * CLOCK_SECOND + 500000},
		{"2026-11-22T17:20:15.1234567899Z", NOW * CLOCK_SECOND + 123456},
		{"1970-01-01T00:00:00.000001Z", 1},
		{"1969-12-31T23:59:59Z", -CLOCK_SECOND},
		{"2024-02-29T00:00:00Z", INT64_C(1709164800) * CLOCK_SECOND},
		{"2000-03-01T00:00:00Z", INT64_C(951868800) * CLOCK_SECOND},
		{"9999-12-31T23:59:60Z", INT64_C(253402300800) * CLOCK_SECOND},
	};
	static const char *const bad[] = {
		"",
		"2026-11-22",
		"2026-11-22T17:20Z",
		"2026-11-22T17:20:15",
		"2026-11-22T17:20:15.Z",
		"2026-13-22T17:20:15Z",
		"2026-02-29T17:20:15Z",
		"2026-11-31T17:20:15Z",
		"2026-11-22T24:20:15Z",
		"2026-11-22T17:20:15Zx",
		"2026-11-22T17:20:15+1:00",
		"0000-01-01T00:00:00Z",
	};
	int64_t time;

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		assert_int_equal(event_time_read(good[i].text, &time, NULL), 0);
		assert_int_equal(time, good[i].time);
	}
	for (size_t i = 0; i < N(bad); i++)
		if (event_time_read(bad[i], &time, NULL) == 0)
			fail_msg("%s is taken for a time", bad[i]);
}

/* Against the C library, day by day over two centuries. */
static void days_are_those_of_the_calendar(void **state)
{
	(void)state;
	for (int64_t day = -36500; day < 73000; day += 7) {
		time_t seconds = (time_t)(day * 86400 + day % 86400);
		int64_t time;
		struct tm tm;
		char text[40];

		gmtime_r(&seconds, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		assert_int_equal(event_time_read(text, &time, NULL), 0);
		assert_int_equal(time, seconds * CLOCK_SECOND);
	}
}

static void bounds_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t time;
	} good[] = {
		{"2026-11-22T17:20:15Z", NOW},
		/* Two hours east of Greenwich, as set below. */
		{"2026-11-22 19:20:15", NOW},
		{"2026-11-22T19:20", NOW - 15},
		{"2026-11-22", NOW - 15 - 20 * 60 - 19 * 3600},
		{"19:20", NOW - 15},
		{"19:20:15", NOW},
		{"2h", NOW - 7200},
		{"-2h", NOW - 7200},
		{"10m", NOW - 600},
		{"1d12h", NOW - 36 * 3600},
		{"0s", NOW},
	};
	static const char *const bad[] = {"",
					  "-",
					  "yesterday",
					  "2",
					  "2 h",
					  "2026",
					  "25:00",
					  "19:20x",
					  "0123456789abcdef",
					  "0123456789abcdef:",
					  "0123456789abcde:1",
					  "0123456789abcdef:x",
					  "0123456789ABCDEF:1",
					  "0123456789abcdef:99999999999999999999"};
	struct event_bound bound;

	(void)state;
	setenv("TZ", "XXX-2", 1);
	tzset();
	for (size_t i = 0; i < N(good); i++) {
		if (event_bound_read(good[i].text, NOW * CLOCK_SECOND, &bound) < 0)
			fail_msg("%s is not taken", good[i].text);
		assert_true(bound.set);
		assert_string_equal(bound.run, "");
		assert_int_equal(bound.time, good[i].time * CLOCK_SECOND);
	}
	assert_int_equal(event_bound_read("19:20:15.25", NOW * CLOCK_SECOND, &bound), 0);
	assert_int_equal(bound.time, NOW * CLOCK_SECOND + 250000);
	assert_int_equal(event_bound_read("0123456789abcdef:412", 0, &bound), 0);
	assert_string_equal(bound.run, "0123456789abcdef");
	assert_int_equal(bound.sequence, 412);
	for (size_t i = 0; i < N(bad); i++)
		if (event_bound_read(bad[i], NOW * CLOCK_SECOND, &bound) == 0)
			fail_msg("%s is taken", bad[i]);
	setenv("TZ", "UTC0", 1);
	tzset();
}

/* ---- lines ---- */

#define RUN "0123456789abcdef"

static char line[2000];

static const char *make_line(const char *time, int number, int sequence, const char *more)
{
	snprintf(line, sizeof(line),
		 "{\"@timestamp\":\"%s\",\"log.level\":\"info\",\"message\":\"text\",\"event\":{"
		 "\"id\":"
		 "\"" RUN "-%d\",\"sequence\":%d,\"action\":\"message-moved\",\"reason\":\"why\"},"
		 "\"qfwatch\":{\"run\":\"" RUN "\",\"tier\":\"M\"%s}}",
		 time, number, sequence, more);
	return line;
}

static struct event_record record(const char *text)
{
	struct event_record record;
	const char *why;

	assert_int_equal(event_record_read(text, strlen(text), &record, &why), 0);
	return record;
}

static void a_line_is_read(void **state)
{
	struct event_record read = record(make_line(
		"2026-11-22T17:20:15.000001Z", 412, 409,
		",\"dry_run\":true,\"move\":{\"from\":\"Q\",\"to\":\"M\",\"rule\":\"r\"}"));

	(void)state;
	assert_int_equal(read.key.time, NOW * CLOCK_SECOND + 1);
	assert_string_equal(read.key.run, RUN);
	assert_int_equal(read.key.number, 412);
	assert_int_equal(read.sequence, 409);
	assert_string_equal(read.action, "message-moved");
	assert_string_equal(read.from, "Q");
	assert_string_equal(read.to, "M");
	assert_string_equal(read.rule, "r");
	assert_string_equal(read.tier, "M");
	assert_string_equal(read.reason, "why");
	assert_null(read.id);
	assert_true(read.dry_run);
	assert_false(read.failure);
	event_record_free(&read);
	event_record_free(&read);
}

static void what_is_no_event_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"{}",
		"[]",
		"1",
		"{\"event\":{\"action\":\"x\"}}",
		"{\"@timestamp\":\"2026-11-22T17:20:15Z\",\"qfwatch\":{}}",
		"{\"@timestamp\":1,\"event\":{\"action\":\"x\"},\"qfwatch\":{}}",
		"{\"@timestamp\":\"now\",\"event\":{\"action\":\"x\"},\"qfwatch\":{}}",
		"{\"a\":\"\377\"}"};
	struct event_record read;
	const char *why = NULL;

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		assert_true(event_record_read(bad[i], strlen(bad[i]), &read, &why) < 0);
		assert_non_null(why);
	}
}

static void keys_put_events_into_order(void **state)
{
	const struct event_key a = {.time = 5, .run = "a", .number = 1};
	const struct event_key later = {.time = 6, .run = "b", .number = 1};
	/* The clock was set back between the two: the number knows better. */
	const struct event_key back = {.time = 3, .run = "a", .number = 2};

	(void)state;
	assert_true(event_key_compare(&a, &later) < 0 && event_key_compare(&later, &a) > 0);
	assert_true(event_key_compare(&a, &back) < 0 && event_key_compare(&back, &a) > 0);
	assert_int_equal(event_key_compare(&a, &a), 0);
}

static void a_peek_sees_what_reading_sees(void **state)
{
	const char *text = make_line("2026-11-22T17:20:15.000001Z", 1, 1, "");
	int64_t time;

	(void)state;
	assert_int_equal(event_time_peek(text, strlen(text), &time), 0);
	assert_int_equal(time, NOW * CLOCK_SECOND + 1);
	assert_true(event_time_peek(text, 40, &time) < 0);
	assert_true(event_time_peek(text + 1, strlen(text) - 1, &time) < 0);
}

/* ---- filters ---- */

static bool passes(const struct event_filter *filter, const char *text, struct event_span *span)
{
	struct event_record read = record(text);
	bool spans = event_filter_spans(filter, &read, span);
	bool wants = event_filter_wants(filter, &read);

	/* Whatever is wanted may be. */
	if (spans && wants)
		assert_true(event_filter_may_want(filter, text, strlen(text)));
	event_record_free(&read);
	return spans && wants;
}

static void filters_take_what_they_say(void **state)
{
	static const struct {
		enum event_field field;
		const char *glob;
		bool wanted;
	} cases[] = {
		{EVENT_FIELD_ACTION, "message-moved", true},
		{EVENT_FIELD_ACTION, "message-*", true},
		{EVENT_FIELD_ACTION, "message", false},
		{EVENT_FIELD_ID, "6A[BC]", true},
		{EVENT_FIELD_ID, "6AD", false},
		{EVENT_FIELD_RULE, "three attempts", true},
		{EVENT_FIELD_RULE, "Three*", false},
		{EVENT_FIELD_RULE, "\303\244 \"x\"", false},
		{EVENT_FIELD_TIER, "M", true},
		{EVENT_FIELD_TIER, "Q", true},
		{EVENT_FIELD_TIER, "?", true},
		{EVENT_FIELD_TIER, "S", false},
	};
	static const char text[] =
		"{\"@timestamp\":\"2026-11-22T17:20:15Z\",\"event\":{\"action\":\"message-moved\"},"
		"\"email\":{\"local_id\":\"6AB\"},\"qfwatch\":{\"tier\":\"M\",\"move\":{\"from\":"
		"\"Q\","
		"\"to\":\"M\",\"rule\":\"three attempts\"}}}";

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct event_filter filter = {0};
		struct event_span span = {0};

		event_filter_add(&filter, cases[i].field, cases[i].glob);
		assert_int_equal(passes(&filter, text, &span), cases[i].wanted);
		/* Another of the same kind widens, one of another kind narrows. */
		event_filter_add(&filter, cases[i].field, "*");
		assert_true(passes(&filter, text, &span));
		event_filter_add(&filter, EVENT_FIELD_ID, "6AB");
		event_filter_add(&filter, EVENT_FIELD_ACTION, "started");
		if (cases[i].field != EVENT_FIELD_ACTION)
			assert_false(passes(&filter, text, &span));
		event_filter_free(&filter);
	}
}

static void bounds_hold(void **state)
{
	static const char *const times[] = {"2026-11-22T17:20:14Z", "2026-11-22T17:20:15Z",
					    "2026-11-22T17:20:16Z"};
	struct event_filter filter = {0};
	struct event_span span = {0};

	(void)state;
	assert_int_equal(event_bound_read(times[1], 0, &filter.since), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(passes(&filter, make_line(times[i], 1, 1, ""), &span), i >= 1);
	filter.since.set = false;
	assert_int_equal(event_bound_read(times[1], 0, &filter.until), 0);
	for (int i = 2; i >= 0; i--)
		assert_int_equal(passes(&filter, make_line(times[i], 1, 1, ""), &span), i <= 1);
	/* The clock may have been set back: what follows may still be wanted. */
	assert_false(span.over);

	assert_int_equal(event_bound_read(RUN ":5", 0, &filter.since), 0);
	assert_int_equal(event_bound_read(RUN ":7", 0, &filter.until), 0);
	span = (struct event_span){0};
	for (int i = 1; i < 10; i++)
		assert_int_equal(passes(&filter, make_line(times[0], i + 100, i, ""), &span),
				 i >= 5 && i <= 7);
	assert_true(span.over);
}

/* ---- for people ---- */

static const char *shown(struct event_show *show, const char *text)
{
	static char out[4000];
	struct event_record read = record(text);
	FILE *to = fmemopen(out, sizeof(out), "w");

	event_show(show, &read, to);
	fclose(to);
	event_record_free(&read);
	return out;
}

static void people_see_columns(void **state)
{
	struct event_show *show = calloc(1, sizeof(*show));

	(void)state;
	assert_non_null(show);
	assert_string_equal(
		shown(show,
		      "{\"@timestamp\":\"2026-11-22T17:20:15.123456Z\",\"event\":{\"action\":"
		      "\"message-moved\",\"reason\":\"attempts 3 >= 3\"},\"email\":{\"local_id\":"
		      "\"6AMHKF\"},\"qfwatch\":{\"tier\":\"M\",\"move\":{\"from\":\"QUEUE\",\"to\":"
		      "\"MIDQUEUE\",\"rule\":\"three attempts\"}}}"),
		"2026-11-22 17:20:15.123  message-moved      6AMHKF          QUEUE -> MIDQUEUE "
		"(three "
		"attempts)  attempts 3 >= 3\n");
	/* The columns stay where they are. */
	assert_string_equal(
		shown(show,
		      "{\"@timestamp\":\"2026-11-22T17:20:16Z\",\"event\":{\"action\":"
		      "\"message-busy\",\"reason\":\"locked\"},\"email\":{\"local_id\":\"6A\"},"
		      "\"qfwatch\":{\"tier\":\"M\",\"dry_run\":true}}"),
		"2026-11-22 17:20:16.000  message-busy       6A              M"
		"                                   locked  [dry run]\n");
	assert_string_equal(
		shown(show, "{\"@timestamp\":\"2026-11-22T17:20:16Z\",\"message\":\"a\\u001b"
			    "[2Jb\\u0085\\u202e\303\244\",\"event\":{\"action\":\"started\"},"
			    "\"qfwatch\":{}}"),
		"2026-11-22 17:20:16.000  started            a\\x1b[2Jb\\x85\\u202e\303\244\n");
	free(show);
}

static void people_see_steps(void **state)
{
	static const struct {
		const char *time, *step;
	} steps[] = {{"17:20:15.123Z", "         "},
		     {"17:20:15.125Z", "     +2ms"},
		     {"17:20:18.325Z", "    +3.2s"},
		     {"17:34:25.325Z", "   +14m7s"},
		     {"17:34:24.325Z", "    -1.0s"}};
	struct event_show *show = calloc(1, sizeof(*show));

	(void)state;
	assert_non_null(show);
	show->steps = true;
	for (size_t i = 0; i < N(steps); i++) {
		char text[400];
		const char *out;

		snprintf(
			text, sizeof(text),
			"{\"@timestamp\":\"2026-11-22T%s\",\"event\":{\"action\":\"message-busy\"},"
			"\"email\":{\"local_id\":\"6A\"},\"qfwatch\":{}}",
			steps[i].time);
		out = shown(show, text);
		assert_memory_equal(out + 25, steps[i].step, 9);
		/* Another message has steps of its own. */
		snprintf(text, sizeof(text),
			 "{\"@timestamp\":\"2026-11-22T17:00:00Z\",\"event\":{\"action\":\"message-"
			 "busy\"},"
			 "\"email\":{\"local_id\":\"6B%zu\"},\"qfwatch\":{}}",
			 i);
		assert_memory_equal(shown(show, text) + 25, "         ", 9);
	}
	free(show);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(days_are_those_of_the_calendar),
		cmocka_unit_test(bounds_are_read),
		cmocka_unit_test(a_line_is_read),
		cmocka_unit_test(what_is_no_event_is_refused),
		cmocka_unit_test(keys_put_events_into_order),
		cmocka_unit_test(a_peek_sees_what_reading_sees),
		cmocka_unit_test(filters_take_what_they_say),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(people_see_columns),
		cmocka_unit_test(people_see_steps),
	};

	setenv("TZ", "UTC0", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
