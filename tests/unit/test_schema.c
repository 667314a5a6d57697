/* test_schema.c - the validator that the other tests lean on: each keyword says yes and no, and
 * what it does not know it refuses. Then contrib/events-1.schema.json itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/schema.h"
#include "../support/testing.h"

static struct schema *load(const char *text)
{
	char path[] = "/tmp/qfwatch-schema-XXXXXX";
	int fd = mkstemp(path);
	struct schema *schema;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	schema = schema_load(path);
	unlink(path);
	return schema;
}

static bool holds(struct schema *schema, const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	bool good;

	assert_non_null(value);
	good = schema_check(schema, value, NULL, "");
	json_decref(value);
	return good;
}

/* What holds, what does not; each ends with NULL. */
static const struct verdicts {
	const char *schema, *yes[8], *no[8];
} cases[] = {
	{"true", {"1", "{}"}, {0}},
	{"false", {0}, {"1", "null"}},
	{"{\"type\":\"object\"}", {"{}"}, {"[]", "1", "null"}},
	{"{\"type\":\"integer\"}", {"1", "-5", "2.0"}, {"1.5", "\"1\"", "true"}},
	{"{\"type\":\"number\"}", {"1", "1.5"}, {"\"1\"", "null"}},
	{"{\"type\":[\"null\",\"boolean\"]}", {"null", "true", "false"}, {"0", "\"\""}},
	{"{\"enum\":[1,\"a\",null]}", {"1", "1.0", "\"a\"", "null"}, {"2", "\"b\"", "false"}},
	{"{\"const\":{\"a\":[1]}}", {"{\"a\":[1]}"}, {"{\"a\":[]}", "1"}},
	{"{\"minimum\":3,\"maximum\":5}", {"3", "5", "4.5", "\"x\""}, {"2", "6", "5.1"}},
	{"{\"maximum\":9007199254740991}", {"9007199254740991"}, {"9007199254740992"}},
	{"{\"exclusiveMinimum\":3,\"exclusiveMaximum\":5}", {"4", "3.1"}, {"3", "5"}},
	{"{\"minLength\":2,\"maxLength\":3}",
	 {"\"ab\"", "\"\303\244\303\266\303\274\"", "7"},
	 {"\"a\"", "\"\303\244\"", "\"abcd\""}},
	{"{\"minItems\":1,\"maxItems\":2}", {"[1]", "[1,2]", "{}"}, {"[]", "[1,2,3]"}},
	{"{\"uniqueItems\":true}", {"[]", "[1,2]", "[{\"a\":1},{}]"}, {"[1,1]", "[1,2,1.0]"}},
	{"{\"minProperties\":1,\"maxProperties\":1}",
	 {"{\"a\":1}", "[]"},
	 {"{}", "{\"a\":1,\"b\":2}"}},
	{"{\"required\":[\"a\",\"b\"]}", {"{\"a\":1,\"b\":null}", "[]"}, {"{\"a\":1}", "{}"}},
	{"{\"dependentRequired\":{\"a\":[\"b\"]}}",
	 {"{}", "{\"b\":1}", "{\"a\":1,\"b\":1}"},
	 {"{\"a\":1}"}},
	{"{\"pattern\":\"^a+$\"}", {"\"aa\"", "1"}, {"\"ab\"", "\"\"", "\"a\\u0000\""}},
	{"{\"properties\":{\"a\":{\"type\":\"string\"}}}",
	 {"{\"a\":\"\"}", "{\"b\":1}"},
	 {"{\"a\":1}"}},
	{"{\"properties\":{\"a\":true},\"additionalProperties\":false}",
	 {"{\"a\":1}", "{}"},
	 {"{\"b\":1}"}},
	{"{\"additionalProperties\":{\"type\":\"null\"}}", {"{\"a\":null}"}, {"{\"a\":1}"}},
	{"{\"patternProperties\":{\"^x\":{\"type\":\"null\"}},\"additionalProperties\":false}",
	 {"{\"x1\":null}", "{}"},
	 {"{\"x1\":1}", "{\"y\":null}"}},
	{"{\"propertyNames\":{\"maxLength\":2}}", {"{\"ab\":1}"}, {"{\"abc\":1}"}},
	{"{\"items\":{\"type\":\"null\"}}", {"[]", "[null]"}, {"[null,1]"}},
	{"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", {"1", "2"}, {"0", "3"}},
	{"{\"anyOf\":[{\"maximum\":1},{\"minimum\":5}]}", {"1", "5"}, {"3"}},
	{"{\"oneOf\":[{\"maximum\":3},{\"minimum\":2}]}", {"1", "4"}, {"2", "3"}},
	{"{\"not\":{\"type\":\"null\"}}", {"1"}, {"null"}},
	{"{\"if\":{\"minimum\":5},\"then\":{\"maximum\":9},\"else\":{\"const\":0}}",
	 {"5", "9", "0"},
	 {"10", "1"}},
	{"{\"$defs\":{\"n\":{\"type\":\"null\"}},\"items\":{\"$ref\":\"#/$defs/n\"}}",
	 {"[null]"},
	 {"[1]"}},
	{"{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
	 {"{\"a\":{\"a\":{}}}"},
	 {"{\"a\":{\"b\":{}}}"}},
	{"{\"title\":\"t\",\"description\":\"d\",\"format\":\"date\",\"$comment\":\"c\"}",
	 {"1"},
	 {0}},
};

static void keywords_say_yes_and_no(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct schema *schema = load(cases[i].schema);

		assert_non_null(schema);
		for (size_t k = 0; cases[i].yes[k]; k++)
			if (!holds(schema, cases[i].yes[k]))
				fail_msg("%s refuses %s", cases[i].schema, cases[i].yes[k]);
		for (size_t k = 0; cases[i].no[k]; k++)
			if (holds(schema, cases[i].no[k]))
				fail_msg("%s takes %s", cases[i].schema, cases[i].no[k]);
		schema_free(schema);
	}
}

static void what_is_not_known_is_refused(void **state)
{
	static const char *const refused[] = {
		"{\"unevaluatedProperties\":false}",
		"{\"items\":{\"allOf\":[{\"contains\":{}}]}}",
		"{\"properties\":{\"a\":{\"maximun\":1}}}",
		"{\"pattern\":\"\\\\d+\"}",
		"{\"pattern\":\"(?:a)\"}",
		"{\"pattern\":\"(\"}",
		"{\"patternProperties\":{\"\\\\w\":{}}}",
		"{\"$ref\":\"#/$defs/none\"}",
		"{\"$ref\":\"other.json\"}",
		"{\"not\":1}",
		"{\"allOf\":[]}",
		"{\"properties\":[]}",
		"{\"type\":",
		"[]",
	};

	(void)state;
	for (size_t i = 0; i < N(refused); i++)
		if (load(refused[i]))
			fail_msg("%s is taken", refused[i]);
}

static void findings_name_both_places(void **state)
{
	struct schema *schema =
		load("{\"properties\":{\"a/b\":{\"items\":{\"$ref\":\"#/$defs/x\"}}},"
		     "\"$defs\":{\"x\":{\"maximum\":1}}}");
	json_t *value = json_loads("{\"a/b\":[0,2]}", 0, NULL);
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	assert_false(schema_check(schema, value, to, "here: "));
	fclose(to);
	assert_string_equal(text, "here: \"/a~1b/1\": is out of range (schema "
				  "\"/properties/a~1b/items/$ref/maximum\")\n");
	free(text);
	json_decref(value);
	schema_free(schema);
}

static void a_circle_ends(void **state)
{
	struct schema *schema = load("{\"$ref\":\"#\"}");

	(void)state;
	assert_false(holds(schema, "1"));
	schema_free(schema);
}

/* ---- the schema of the events ---- */

static const char good[] =
	"{\"@timestamp\":\"2026-11-22T17:20:15.123456Z\",\"log.level\":\"info\",\"message\":\"m\","
	"\"ecs.version\":\"9.4.0\",\"service\":{\"name\":\"qfwatch\",\"version\":\"0.1.0\"},"
	"\"host\":{\"name\":\"mx1\"},\"process\":{\"pid\":4242},"
	"\"event\":{\"id\":\"0123456789abcdef-412\",\"sequence\":412,\"kind\":\"event\","
	"\"category\":[\"email\",\"file\"],\"type\":[\"change\"],\"module\":\"qfwatch\","
	"\"dataset\":\"qfwatch.queue\",\"action\":\"message-moved\",\"outcome\":\"success\","
	"\"reason\":\"attempts 3 >= 3\",\"duration\":81234},"
	"\"email\":{\"local_id\":\"6AMHKFCA026379\"},"
	"\"qfwatch\":{\"schema\":\"1.0\",\"run\":\"0123456789abcdef\",\"tier\":\"MIDQUEUE\","
	"\"move\":{\"from\":\"QUEUE\",\"to\":\"MIDQUEUE\",\"rule\":\"three attempts\"},"
	"\"message\":{\"attempts\":3,\"age\":191,\"size\":3120,\"recipient_domains\":[\"example."
	"net\"]}}}";

/* What is changed, by text; each of these makes it wrong. */
static const char *const spoilt[][2] = {
	{"123456Z", "123Z"},
	{"\"info\"", "\"debug\""},
	{"-412", ""},
	{"412,", "0,"},
	{"412,", "9007199254740992,"},
	{"message-moved", "message-eaten"},
	{"\"success\"", "\"failure\""},
	{"\"reason\":\"attempts 3 >= 3\",", ""},
	{"\"duration\":81234", "\"duration\":1.5"},
	{"\"email\":{\"local_id\":\"6AMHKFCA026379\"},", ""},
	{"\"local_id\"", "\"subject\""},
	{"\"tier\":\"MIDQUEUE\",", ""},
	{"\"tier\":\"MIDQUEUE\",", "\"tier\":\"MIDQUEUE\",\"rule\":\"r\","},
	{"\"tier\":\"MIDQUEUE\",", "\"tier\":\"MIDQUEUE\",\"counts\":{\"moved\":1},"},
	{",\"rule\":\"three attempts\"", ""},
	{"\"attempts\":3,", ""},
	{"\"attempts\":3,", "\"attempts\":-3,"},
	{"[\"example.net\"]", "\"example.net\""},
	{"\"host\"", "\"hosts\""},
	{"\"schema\":\"1.0\"", "\"schema\":\"2.0\""},
	{"\"run\":\"0123456789abcdef\"", "\"run\":\"0123\""},
};

static void the_event_schema_minds(void **state)
{
	struct schema *schema = schema_load("contrib/events-1.schema.json");

	(void)state;
	assert_non_null(schema);
	assert_true(holds(schema, good));
	for (size_t i = 0; i < N(spoilt); i++) {
		char text[2000];
		const char *at = strstr(good, spoilt[i][0]);

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, spoilt[i][1],
			 at + strlen(spoilt[i][0]));
		if (holds(schema, text))
			fail_msg("%s is taken", text);
	}
	schema_free(schema);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords_say_yes_and_no),
		cmocka_unit_test(what_is_not_known_is_refused),
		cmocka_unit_test(findings_name_both_places),
		cmocka_unit_test(a_circle_ends),
		cmocka_unit_test(the_event_schema_minds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
