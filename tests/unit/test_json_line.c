/* test_json_line.c - strings between quotes: each byte at each place, among what is taken eight
 * bytes at a time; and where a line is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/testing.h"
#include "qfwatch/json_line.h"

/* Places in a string: two words and a part of a third. */
#define PLACES 20

/* What one byte becomes where it stands alone. */
static size_t escaped(unsigned char byte, char out[8])
{
	if (byte == '"' || byte == '\\')
		return (size_t)snprintf(out, 8, "\\%c", byte);
	if (byte < 0x20 || byte == 0x7f)
		return (size_t)snprintf(out, 8, "\\u%04x", byte);
	if (byte >= 0x80)
		return (size_t)snprintf(out, 8, "\xef\xbf\xbd");
	return (size_t)snprintf(out, 8, "%c", byte);
}

/* From a copy of exactly that length, so that AddressSanitizer sees a byte too many. */
static struct json_line written(const char *text, size_t length, size_t size, size_t cap,
				char *buffer)
{
	struct json_line line = {.buffer = buffer, .size = size};
	char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	memcpy(copy, text, length);
	json_line_string(&line, copy, length, cap);
	free(copy);
	return line;
}

static void each_byte_at_each_place(void **state)
{
	char text[PLACES], buffer[256], expected[256], out[8];

	(void)state;
	for (size_t length = 1; length <= PLACES; length++) {
		for (size_t place = 0; place < length; place++) {
			for (unsigned byte = 0; byte < 256; byte++) {
				struct json_line line;
				size_t n;

				memset(text, 'a', sizeof(text));
				text[place] = (char)byte;
				line = written(text, length, sizeof(buffer), 200, buffer);
				n = escaped((unsigned char)byte, out);
				assert_int_equal(line.length, length + 1 + n);
				memset(expected, 'a', sizeof(expected));
				memcpy(expected + 1 + place, out, n);
				expected[0] = expected[line.length - 1] = '"';
				assert_memory_equal(buffer, expected, line.length);
				assert_int_equal(line.lossy, byte >= 0x80);
				assert_false(line.truncated);
			}
		}
	}
}

/* All bytes beside all others: a sum of one must not hide its neighbour. */
static void each_two_bytes(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		unsigned char first = pair >> 8 & 255, second = pair & 255;
		char text[10], buffer[64], expected[64] = "\"aaa";
		struct json_line line;
		size_t n = 4;

		/* Such two may be one character. */
		if (first >= 0xc2 && first < 0xe0 && second >= 0x80 && second < 0xc0)
			continue;
		memset(text, 'a', sizeof(text));
		text[3] = (char)first;
		text[4] = (char)second;
		line = written(text, sizeof(text), sizeof(buffer), 60, buffer);
		n += escaped(first, expected + n);
		n += escaped(second, expected + n);
		memcpy(expected + n, "aaaaa\"", 6);
		assert_int_equal(line.length, n + 6);
		assert_memory_equal(buffer, expected, n + 6);
	}
}

static void caps(void **state)
{
	static const char text[] = "abcdefghij";
	char buffer[32];

	(void)state;
	for (size_t cap = 0; cap < 14; cap++) {
		struct json_line line = written(text, 10, sizeof(buffer), cap, buffer);
		size_t n = cap < 10 ? cap : 10;

		assert_int_equal(line.length, n + 2);
		assert_memory_equal(buffer + 1, text, n);
		assert_true(buffer[0] == '"' && buffer[n + 1] == '"');
		assert_int_equal(line.truncated, cap < 10);
	}
}

/* Nothing is written behind the end; what has no room is told of. */
static void a_full_line(void **state)
{
	(void)state;
	for (size_t size = 1; size < 14; size++) {
		char *buffer = malloc(size);
		struct json_line line;

		assert_non_null(buffer);
		line = written("abcdefghij", 10, size, 100, buffer);
		assert_int_equal(line.length, size < 12 ? size : 12);
		assert_memory_equal(buffer, "\"abcdefghij\"", line.length);
		assert_int_equal(line.truncated, size < 12);
		line = (struct json_line){.buffer = buffer, .size = size};
		json_line_int(&line, INT64_MIN);
		json_line_uint(&line, 7);
		assert_memory_equal(buffer, "-9223372036854", line.length);
		assert_true(line.truncated && line.length == size);
		free(buffer);
	}
}

static void numbers(void **state)
{
	char buffer[64];
	struct json_line line = {.buffer = buffer, .size = sizeof(buffer)};

	(void)state;
	json_line_int(&line, INT64_MIN);
	json_line_raw(&line, ",");
	json_line_uint(&line, UINT64_MAX);
	json_line_raw(&line, ",");
	json_line_int(&line, 0);
	assert_int_equal(line.length, 43);
	assert_memory_equal(buffer, "-9223372036854775808,18446744073709551615,0", 43);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_byte_at_each_place),
		cmocka_unit_test(each_two_bytes),
		cmocka_unit_test(caps),
		cmocka_unit_test(a_full_line),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
