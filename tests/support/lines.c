/* lines.c - see lines.h */
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/events.h"

#include "schema.h"
#include "testing.h"

json_t *lines_parse(const char *line, size_t length)
{
	json_error_t error;
	json_t *json;

	check(length > 0 && length <= EVENTS_LINE_MAX);
	check(memchr(line, '\n', length) == line + length - 1);
	check(!memchr(line, 0, length));
	json = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!json)
		fprintf(stderr, "%s at %d\n%.*s", error.text, error.position, (int)length, line);
	check(json != NULL);
	return json;
}

static struct schema *schema;

/* Before the tests go into folders of their own. */
__attribute__((constructor)) static void load_schema(void)
{
	const char *named = getenv("QFWATCH_SCHEMA");
	const char *path = named ? named : "contrib/events-1.schema.json";

	if (!named && access(path, R_OK) < 0)
		return;
	schema = schema_load(path);
	if (!schema)
		abort();
}

__attribute__((destructor)) static void free_schema(void)
{
	schema_free(schema);
}

void lines_check(const json_t *event)
{
	if (schema)
		check(schema_check(schema, event, stderr, "event "));
}

json_t *lines_at(json_t *json, const char *path)
{
	while (json && *path) {
		size_t n = strcspn(path, "/");
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		json = json_object_get(json, name);
		path += n + (path[n] == '/');
	}
	return json;
}

const char *lines_text(json_t *json, const char *path)
{
	return json_string_value(lines_at(json, path));
}

intmax_t lines_number(json_t *json, const char *path)
{
	check(json_is_integer(lines_at(json, path)));
	return json_integer_value(lines_at(json, path));
}

json_t *lines_load(const char *path)
{
	json_t *all = json_array();
	char *text = testing_read(path, NULL);
	const char *line = text, *end;

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		check(end != NULL);
		check(json_array_append_new(all, lines_parse(line, (size_t)(end + 1 - line))) == 0);
	}
	free(text);
	return all;
}
