/* test_phrase.c - texts put together piece by piece are what snprintf makes of the same, wherever
 * they are cut. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/testing.h"
#include "qfwatch/phrase.h"

static uint64_t seed = 20261125;

static const uint64_t edges[] = {
	0,
	9,
	10,
	99,
	100,
	UINT32_MAX,
	UINT32_MAX + UINT64_C(1),
	UINT64_C(9999999999999999999),
	UINT64_C(10000000000000000000),
	INT64_MAX,
	(uint64_t)INT64_MIN,
	UINT64_MAX,
};

/* Of any length. */
static uint64_t any_number(void)
{
	uint64_t number = testing_random(&seed);

	return number % 8 ? number >> number % 64 : edges[number / 8 % N(edges)];
}

static void digits_are(uint64_t number)
{
	char expected[24], digits[PHRASE_DIGITS_MAX];
	size_t length = (size_t)snprintf(expected, sizeof(expected), "%" PRIu64, number);

	assert_int_equal(phrase_digits(digits, number), length);
	assert_memory_equal(digits, expected, length);
}

static void digits(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(edges); i++)
		digits_are(edges[i]);
	for (size_t i = 0; i < testing_scale(100000); i++)
		digits_are(any_number());
}

static void last_digits(void **state)
{
	char text[] = "......";

	(void)state;
	phrase_last_digits(text, 0, 7);
	assert_string_equal(text, "......");
	phrase_last_digits(text + 1, 4, 42);
	assert_string_equal(text, ".0042.");
	phrase_last_digits(text, 6, UINT64_C(1234567890));
	assert_string_equal(text, "567890");
}

/* In a buffer of exactly `size`, so that AddressSanitizer sees a byte too many. */
static void like_snprintf(size_t size)
{
	static const char words[] = "moved 6AMHKFCA026379 QUEUE -> MIDQUEUE (three attempts)";
	uint64_t count = any_number();
	int64_t number = (int64_t)any_number();
	size_t from = testing_random(&seed) % sizeof(words), length = sizeof(words) - 1 - from;
	char *expected = malloc(size), *buffer = malloc(size);
	struct phrase phrase = phrase_in(buffer, size);
	int whole;

	assert_true(expected && buffer);
	length = testing_random(&seed) % (length + 1);
	phrase_add(&phrase, words + from);
	phrase_uint(&phrase, count);
	phrase_bytes(&phrase, words, length);
	phrase_add(&phrase, "");
	phrase_int(&phrase, number);
	phrase_add(&phrase, ")");
	whole = snprintf(expected, size, "%s%" PRIu64 "%.*s%" PRId64 ")", words + from, count,
			 (int)length, words, number);
	assert_string_equal(buffer, expected);
	assert_int_equal(phrase.length, strlen(buffer));
	assert_int_equal(phrase.length, (size_t)whole < size ? (size_t)whole : size - 1);
	free(expected);
	free(buffer);
}

static void cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < testing_scale(100000); i++)
		like_snprintf(1 + i % 160);
}

static void no_room_at_all(void **state)
{
	char byte = 'x';
	struct phrase phrase = phrase_in(&byte, 0);

	(void)state;
	phrase_add(&phrase, "a");
	phrase_uint(&phrase, 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(phrase.length, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits),
		cmocka_unit_test(last_digits),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(no_room_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
