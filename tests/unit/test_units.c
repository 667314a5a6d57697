/* test_units.c - durations and sizes, both ways. */
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

struct size {
	const char *text;
	int64_t bytes;
};

static void reads_sizes(void **state)
{
	static const struct size table[] = {
		{"0B", 0},
		{"123B", 123},
		{"512kB", 512000},
		{"512KB", 512000},
		{"1KiB", 1024},
		{"2MB", 2000000},
		{"10MiB", 10485760},
		{"1GB", 1000000000},
		{"1GiB", 1073741824},
		{"3TB", 3000000000000},
		{"1TiB", 1099511627776},
		{"0TiB", 0},
		{"007kB", 7000},
		{"1024TiB", UNITS_SIZE_MAX},
		{"1125899906842624B", UNITS_SIZE_MAX},
		{"1125TB", 1125000000000000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t bytes = -1;

		assert_int_equal(units_parse_size(table[i].text, &bytes), 0);
		assert_int_equal(bytes, table[i].bytes);
	}
}

static void refuses_what_is_no_size(void **state)
{
	static const char *const table[] = {
		"",
		" ",
		"B",
		"123",
		"10 MiB",
		" 10MiB",
		"10MiB ",
		"10MiB\n",
		"-1B",
		"+1B",
		"1.5MiB",
		"10mb",
		"10mib",
		"10M",
		"10k",
		"10kiB",
		"10KIB",
		"10b",
		"1MiB1B",
		"1MiBB",
		"0x10B",
		"1e3B",
		"10PiB",
		"10PB",
		"99999999999999999999",
		"99999999999999999999x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t bytes = 42;

		assert_int_equal(units_parse_size(table[i], &bytes), -EINVAL);
		assert_int_equal(bytes, 42);
	}
}

static void refuses_what_is_too_large(void **state)
{
	static const char *const table[] = {
		"1025TiB",
		"1125899906842625B",
		"1126TB",
		"99999999999999999999B",
		"18446744073709551616TiB",
		"16777216TiB",
		"1048577GiB",
		"1073741825MiB",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t bytes = 42;

		assert_int_equal(units_parse_size(table[i], &bytes), -ERANGE);
		assert_int_equal(bytes, 42);
	}
}

static void writes_sizes(void **state)
{
	static const struct size table[] = {
		{"0B", 0},
		{"1B", 1},
		{"999B", 999},
		{"1kB", 1000},
		{"1KiB", 1024},
		{"1500B", 1500},
		{"1501B", 1501},
		{"2kB", 2000},
		{"512kB", 512000},
		{"10MiB", 10485760},
		{"10485761B", 10485761},
		{"1GB", 1000000000},
		{"1GiB", 1073741824},
		{"1TB", 1000000000000},
		{"1TiB", 1099511627776},
		{"1024TiB", UNITS_SIZE_MAX},
		/* 9875 KiB and 10112 kB are as short: the larger unit. */
		{"9875KiB", 10112000},
		{"-1kB", -1000},
		{"-1B", -1},
		{"9223372036854775807B", INT64_MAX},
		{"-8388608TiB", INT64_MIN},
	};
	char buffer[UNITS_SIZE_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_ptr_equal(units_format_size(table[i].bytes, buffer, sizeof(buffer)), buffer);
		assert_string_equal(buffer, table[i].text);
	}
}

static void reads_sizes_that_it_writes(void **state)
{
	static const int64_t factors[] = {1, 1000, 1024, 1000000, 1048576, 128000, 1000000000};
	uint64_t random = 1;
	char buffer[UNITS_SIZE_TEXT];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t bytes, again = -1;

		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bytes = (int64_t)((random >> 14) & (UNITS_SIZE_MAX - 1)) >> i % 50;
		if (bytes <= UNITS_SIZE_MAX / factors[i % 7])
			bytes *= factors[i % 7];
		units_format_size(bytes, buffer, sizeof(buffer));
		assert_int_equal(units_parse_size(buffer, &again), 0);
		assert_int_equal(again, bytes);
	}
}

static void words_for_a_number(void **state)
{
	(void)state;
	assert_string_equal(units_plural(0, "message is", "messages are"), "messages are");
	assert_string_equal(units_plural(1, "message is", "messages are"), "message is");
	assert_string_equal(units_plural(2, "message is", "messages are"), "messages are");
	assert_string_equal(units_plural(UINT64_MAX, "", "s"), "s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_durations),
		cmocka_unit_test(refuses_what_is_none),
		cmocka_unit_test(refuses_what_is_too_long),
		cmocka_unit_test(writes_durations),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(reads_sizes),
		cmocka_unit_test(refuses_what_is_no_size),
		cmocka_unit_test(refuses_what_is_too_large),
		cmocka_unit_test(writes_sizes),
		cmocka_unit_test(reads_sizes_that_it_writes),
		cmocka_unit_test(words_for_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
