/* test_units.c - durations, both ways. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/units.h"

struct duration {
	const char *text;
	int64_t seconds;
};

static void reads_durations(void **state)
{
	static const struct duration table[] = {
		{"0s", 0},
		{"90s", 90},
		{"13m", 780},
		{"5h48m", 20880},
		{"6d", 518400},
		{"2w", 1209600},
		{"1w2d3h4m5s", 788645},
		{"1w5s", 604805},
		{"007m", 420},
		{"315360000000s", UNITS_DURATION_MAX},
		{"3650000d", UNITS_DURATION_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t seconds = -1;

		assert_int_equal(units_parse_duration(table[i].text, &seconds), 0);
		assert_int_equal(seconds, table[i].seconds);
	}
}

static void refuses_what_is_none(void **state)
{
	static const char *const table[] = {
		"",
		" ",
		"s",
		"6",
		"d6",
		"6 d",
		" 6d",
		"6d ",
		"-6d",
		"+6d",
		"1.5d",
		"6D",
		"6y",
		"5m3h",
		"1d1d",
		"1s1s",
		"6d5",
		"0x6d",
		"1e3s",
		"d",
		"6d\n",
		"99999999999999999999",
		"99999999999999999999x",
		"99999999999999999999d1w",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t seconds = 42;

		assert_int_equal(units_parse_duration(table[i], &seconds), -EINVAL);
		assert_int_equal(seconds, 42);
	}
}

static void refuses_what_is_too_long(void **state)
{
	static const char *const table[] = {
		"315360000001s",
		"3650000d1s",
		"521429w",
		"99999999999999999999s",
		"18446744073709551616s",
		"99999999999999w99999999999999d99999999999999h99999999999999m99999999999999s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t seconds = 42;

		assert_int_equal(units_parse_duration(table[i], &seconds), -ERANGE);
		assert_int_equal(seconds, 42);
	}
}

static void writes_durations(void **state)
{
	static const struct duration table[] = {
		{"0s", 0},
		{"1s", 1},
		{"1m30s", 90},
		{"5h48m", 20880},
		{"1d", 86400},
		{"6d", 518400},
		{"1w", 604800},
		{"8d", 691200},
		{"2w", 1209600},
		{"7d1s", 604801},
		{"6d2h3m12s", 525792},
		{"-1s", -1},
		{"-1w", -604800},
		{"106751991167300d15h30m7s", INT64_MAX},
		{"-106751991167300d15h30m8s", INT64_MIN},
	};
	char buffer[UNITS_DURATION_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_ptr_equal(units_format_duration(table[i].seconds, buffer, sizeof(buffer)),
				 buffer);
		assert_string_equal(buffer, table[i].text);
	}
}

static void reads_what_it_writes(void **state)
{
	uint64_t random = 1;
	char buffer[UNITS_DURATION_TEXT];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t seconds, again = -1;

		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		seconds = (int64_t)((random >> 16) % ((uint64_t)UNITS_DURATION_MAX + 1));
		seconds >>= i % 39;
		units_format_duration(seconds, buffer, sizeof(buffer));
		assert_int_equal(units_parse_duration(buffer, &again), 0);
		assert_int_equal(again, seconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_durations),	    cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(refuses_what_is_too_long), cmocka_unit_test(writes_durations),
		cmocka_unit_test(reads_what_it_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
