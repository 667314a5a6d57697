/* test_plain.c - texts from anywhere made fit for a terminal; lines out of pieces; lengths of time
 * and numbers of bytes in few characters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/columns.h"
#include "qfwatch/feed.h"
#include "qfwatch/moment.h"
#include "qfwatch/plain.h"

#include "../support/testing.h"

static void shown(void **state)
{
	static const struct {
		const char *text, *shown, *masked;
		int characters;
	} table[] = {
		{"", "", "", 0},
		{"plain", "plain", "plain", 5},
		{"m\303\274nchen", "m\303\274nchen", "m\303\274nchen", 7},
		{"\xf0\x9f\x93\xac", "\xf0\x9f\x93\xac", "\xf0\x9f\x93\xac", 1},
		{"a\033[31mb", "a\\x1b[31mb", "a?[31mb", 10},
		{"\t\n\177", "\\x09\\x0a\\x7f", "???", 12},
		/* C1: CSI in one byte, once in UTF-8 and once as it is. */
		{"\302\233", "\\x9b", "?", 4},
		{"\2331m", "\\x9b1m", "?1m", 6},
		/* Right to left, isolates, no width, a byte order mark, tags. */
		{"\342\200\256x\342\201\246", "\\u202ex\\u2066", "?x?", 13},
		{"\342\200\213\357\273\277", "\\u200b\\ufeff", "??", 12},
		{"\363\240\200\201", "\\ue0001", "?", 7},
		/* No UTF-8: cut, overlong, a surrogate, too large. */
		{"\303", "\\xc3", "?", 4},
		{"\303x", "\\xc3x", "?x", 5},
		{"\300\257", "\\xc0\\xaf", "??", 8},
		{"\340\200\257", "\\xe0\\x80\\xaf", "???", 12},
		{"\355\240\200", "\\xed\\xa0\\x80", "???", 12},
		{"\364\220\200\200", "\\xf4\\x90\\x80\\x80", "????", 16},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		char *copy = strdup(table[i].text);
		char buffer[64] = ">";

		assert_int_equal(plain_add(buffer, sizeof buffer, copy), table[i].characters);
		assert_string_equal(buffer + 1, table[i].shown);
		plain_mask(copy);
		assert_string_equal(copy, table[i].masked);
		free(copy);
	}
}

/* Never half a character, and never past the end. */
static void small_buffers(void **state)
{
	static const char text[] = "a\303\274\033\342\200\256\363\240\200\201z";

	(void)state;
	for (size_t size = 1; size < 40; size++) {
		char *buffer = calloc(1, size), whole[64] = "";

		assert_non_null(buffer);
		plain_add(buffer, size, text);
		plain_add(whole, sizeof whole, text);
		assert_memory_equal(buffer, whole, strlen(buffer));
		assert_true(((unsigned char)whole[strlen(buffer)] & 0xc0) != 0x80);
		free(buffer);
	}
}

static void cut(void **state)
{
	char text[32] = "m\303\274n\303\274s";

	(void)state;
	assert_int_equal(plain_width(text), 5);
	plain_cut(text, 5);
	assert_string_equal(text, "m\303\274n\303\274s");
	plain_cut(text, 3);
	assert_string_equal(text, "m\303\274~");
	plain_cut(text, 1);
	assert_string_equal(text, "~");
	plain_cut(text, 0);
	assert_string_equal(text, "");
}

/* ---- lines ---- */

static char heard[256];

static bool hear(void *context, char *line, size_t length)
{
	unsigned *left = context;

	assert_int_equal(strlen(line), length);
	strcat(heard, line);
	strcat(heard, "|");
	return --*left;
}

static void lines(void **state)
{
	static const char text[] = "one\n\ntwo\r\nthree and more\nlast";

	(void)state;
	for (size_t piece = 1; piece <= sizeof text; piece++) {
		unsigned left = 100;
		struct feed feed = {.take = hear, .context = &left};

		heard[0] = 0;
		for (size_t i = 0; i < sizeof text - 1; i += piece)
			assert_true(
				feed_put(&feed, text + i,
					 i + piece < sizeof text ? piece : sizeof text - 1 - i));
		assert_string_equal(heard, "one||two|three and more|");
		assert_true(feed_end(&feed));
		assert_true(feed_end(&feed));
		assert_string_equal(heard, "one||two|three and more|last|");
		feed_free(&feed);
	}
}

static void enough(void **state)
{
	unsigned left = 2;
	struct feed feed = {.take = hear, .context = &left};

	(void)state;
	heard[0] = 0;
	assert_false(feed_put(&feed, "a\nb\nc\n", 6));
	assert_string_equal(heard, "a|b|");
	feed_free(&feed);
}

/* ---- numbers ---- */

static void lengths(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} table[] = {
		{-5, "0s"},	   {0, "0s"},	      {59, "59s"},
		{60, "1m"},	   {3599, "59m"},     {3600, "1h"},
		{20880, "5h48m"},  {86399, "23h59m"}, {86400, "1d"},
		{93600, "1d2h"},   {863999, "9d23h"}, {864000, "10d"},
		{8640000, "100d"}, {INT64_MIN, "0s"}, {864000 + 7200, "10d"},
	};
	char text[MOMENT_TEXT];

	(void)state;
	for (size_t i = 0; i < N(table); i++)
		assert_string_equal(moment_length(table[i].seconds, text, sizeof text),
				    table[i].text);
}

static void bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} table[] = {
		{0, "0"},
		{9999, "9999"},
		{10000, "9.8k"},
		{10240, "10k"},
		{1022976, "999k"},
		{1023488, "1.0M"},
		{UINT64_C(5) << 30, "5.0G"},
		{UINT64_MAX, "16E"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < N(table); i++)
		assert_string_equal(columns_bytes(table[i].bytes, text, sizeof text),
				    table[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown), cmocka_unit_test(small_buffers), cmocka_unit_test(cut),
		cmocka_unit_test(lines), cmocka_unit_test(enough),	  cmocka_unit_test(lengths),
		cmocka_unit_test(bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
