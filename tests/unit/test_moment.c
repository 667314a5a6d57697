/* test_moment.c - points in time read and written, and tables for people. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "qfwatch/columns.h"
#include "qfwatch/moment.h"

#define NOW 1795500000

static void what_operators_write(void **state)
{
	static const struct {
		const char *text;
		int64_t moment;
	} table[] = {
		{"1795500000", 1795500000},
		{"@1795500000", 1795500000},
		{"0", 0},
		{"4294967295", 4294967295},
		{"+6h", NOW + 6 * 3600},
		{"-1w", NOW - 7 * 86400},
		{"+0s", NOW},
		{"2026-11-24T18:00:00Z", 1795543200},
		{"2026-11-24T18:00Z", 1795543200},
		{"2026-11-24T18:00:00.999Z", 1795543200},
		{"2026-11-24 18:00", 1795543200 - 3600}, /* the test's zone is an hour ahead */
		{"2026-11-24T18:00:30", 1795543230 - 3600},
		{"2026-11-24", 1795478400 - 3600},
		{"2028-02-29T00:00:00Z", 1835395200},
	};
	static const char *const wrong[] = {
		"",
		" ",
		"now",
		"@",
		"4294967296",
		"-",
		"+",
		"+6",
		"+6hours",
		"-9999w",
		"1e9",
		"0x10",
		"12345678901",
		"2026-11",
		"2026-13-01",
		"2026-1-1",
		"2026-11-24T",
		"2026-11-24 1",
		"2026-11-24T25:00:00Z",
		"2026-11-24T18:00:00+01:00",
		"1969-12-31T23:59:59Z",
		"2106-01-01",
		"2026-11-24T18:00:00Z ",
	};
	int64_t moment;

	(void)state;
	setenv("TZ", "TST-1", 1);
	tzset();
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_int_equal(moment_parse(table[i].text, NOW, &moment), 0);
		assert_int_equal(moment, table[i].moment);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		moment = 7;
		assert_int_equal(moment_parse(wrong[i], NOW, &moment), -EINVAL);
		assert_int_equal(moment, 7);
	}
}

static void what_events_say(void **state)
{
	int64_t moment;

	(void)state;
	assert_int_equal(moment_parse_utc("2026-11-24T18:00:00.123456Z", &moment), 0);
	assert_int_equal(moment, INT64_C(1795543200123456));
	assert_int_equal(moment_parse_utc("2026-11-24T18:00:00.5Z", &moment), 0);
	assert_int_equal(moment, INT64_C(1795543200500000));
	assert_int_equal(moment_parse_utc("2026-11-24T18:00:00.1234567899Z", &moment), 0);
	assert_int_equal(moment, INT64_C(1795543200123456));
	assert_int_equal(moment_parse_utc("2026-11-24T18:00:00", &moment), -EINVAL);
}

static void there_and_back(void **state)
{
	char text[MOMENT_TEXT];
	int64_t moment;

	(void)state;
	for (int64_t at = 0; at < INT64_C(4291747200); at += 7654321) {
		moment_utc(at, text, sizeof text);
		if (moment_parse(text, 0, &moment) < 0)
			fail_msg("%s", text);
		assert_int_equal(moment, at);
	}
	assert_string_equal(moment_local(1795543200, text, sizeof text), "2026-11-24 19:00:00");
}

static void tables(void **state)
{
	struct columns *table = columns_new(3, 1);
	char *printed = NULL;
	size_t size;
	FILE *file = open_memstream(&printed, &size);
	char number[32], expected[512];

	(void)state;
	columns_text(table, "NAME");
	columns_text(table, "A");
	columns_text(table, "B");
	columns_text(table, "sch\303\266n\n");
	columns_number(table, 0);
	columns_number(table, 1234567);
	/* As long as a cell may be, and one byte more, where the cut would halve a character. */
	columns_text(table, "%072d", 7);
	columns_number(table, 999);
	columns_number(table, 1000);
	columns_text(table, "%070d\303\266x", 7);
	columns_number(table, 2);
	columns_number(table, 3);
	columns_print(table, file);
	columns_free(table);
	/* No line ends with blanks. */
	table = columns_new(3, 3);
	columns_text(table, "A");
	columns_text(table, "B");
	columns_text(table, "%s", "");
	columns_text(table, "long");
	columns_text(table, "%s", "");
	columns_text(table, "%s", "");
	columns_print(table, file);
	fclose(file);
	snprintf(expected, sizeof expected,
		 "NAME%68s    A          B\n"
		 "sch\303\266n?%66s    .  1,234,567\n"
		 "%072d  999      1,000\n"
		 "%070d~ %s  2          3\n"
		 "A     B\nlong\n",
		 "", "", 7, 7, "  ");
	assert_string_equal(printed, expected);
	free(printed);
	columns_free(table);
	columns_free(NULL);
	assert_string_equal(columns_thousands(UINT64_MAX, number, sizeof number),
			    "18,446,744,073,709,551,615");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_operators_write),
		cmocka_unit_test(what_events_say),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
