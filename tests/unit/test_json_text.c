/* test_json_text.c - JSON that grows: each piece, and all of it read back by jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "qfwatch/clock.h"
#include "qfwatch/json_text.h"

static void is_text(const struct json_text *text, const char *expected)
{
	assert_int_equal(text->length, strlen(expected));
	assert_memory_equal(text->bytes, expected, text->length);
}

static void pieces(void **state)
{
	struct json_text text = {0};

	(void)state;
	json_text_add(&text, "{\"a\":%d,\"b\":", 7);
	json_text_string(&text, "x\"\xff");
	json_text_bytes(&text, ",\"c\":", 5);
	json_text_bytes(&text, NULL, 0);
	json_text_string(&text, NULL);
	json_text_add(&text, ",\"d\":");
	json_text_slice(&text, "abc", 2);
	json_text_add(&text, "}");
	is_text(&text, "{\"a\":7,\"b\":\"x\\\"\xef\xbf\xbd\",\"c\":null,\"d\":\"ab\"}");
	json_text_free(&text);
	assert_null(text.bytes);
	json_text_free(&text);
}

static void times(void **state)
{
	struct json_text text = {0};

	(void)state;
	json_text_time(&text, 1795543200 * CLOCK_SECOND + 123999);
	json_text_bytes(&text, ",", 1);
	json_text_time(&text, 0);
	is_text(&text, "\"2026-11-24T18:00:00.123Z\",null");
	json_text_free(&text);
}

static void grows(void **state)
{
	struct json_text text = {0};
	char bytes[3000];
	json_t *list;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7);
	json_text_add(&text, "[");
	for (size_t i = 0; i < 500; i++) {
		if (i)
			json_text_add(&text, ",");
		json_text_slice(&text, bytes, i * 6);
	}
	json_text_add(&text, "]");
	list = json_loadb(text.bytes, text.length, JSON_ALLOW_NUL, NULL);
	assert_non_null(list);
	assert_int_equal(json_array_size(list), 500);
	json_decref(list);
	memset(json_text_room(&text, 100000), 'x', 100000);
	assert_int_equal(text.bytes[text.length - 1], ']');
	json_text_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces),
		cmocka_unit_test(times),
		cmocka_unit_test(grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
