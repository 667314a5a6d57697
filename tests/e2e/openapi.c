/* openapi.c - holds answers to an OpenAPI document.
 *
 * usage: openapi DOCUMENT answer METHOD URL STATUS TYPE FILE
 *                         the answer to such a request, whose body is FILE, is one that the
 *                         document describes: its path, its parameters, its status, its media type,
 *                         and what it says
 *        openapi DOCUMENT paths          the paths, one a line
 *        openapi DOCUMENT operation URL  the operationId of the path that a URL belongs to
 *
 * Exits 0 when it holds, 1 with a line that says what does not, 2 when something cannot be read.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/schema.h"

static json_t *document;

static bool wrong(const char *what, const char *which)
{
	printf("%s: %s\n", what, which);
	return false;
}

/* {"$ref": "#/components/responses/NAME"} */
static json_t *resolve(json_t *value)
{
	const char *reference = json_string_value(json_object_get(value, "$ref"));
	char kind[64], name[64];

	if (!reference || sscanf(reference, "#/components/%63[^/]/%63s", kind, name) != 2)
		return value;
	return json_object_get(json_object_get(json_object_get(document, "components"), kind),
			       name);
}

/* Does the path fit the template? "{id}" stands for one part. */
static bool fits(const char *template, const char *path, size_t length)
{
	const char *end = path + length;

	while (*template && path < end) {
		if (*template == '{') {
			template = strchr(template, '}') + 1;
			if (path == end || *path == '/')
				return false;
			while (path < end && *path != '/')
				path++;
		} else if (*template ++ != *path++) {
			return false;
		}
	}
	return !*template && path == end;
}

static json_t *find_operation(const char *url, const char *method)
{
	const char *template;
	json_t *path;
	char lower[16] = "";

	/* HEAD is answered as GET. */
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; method[i] && i < sizeof lower - 1; i++)
		lower[i] = (char)(method[i] | 0x20);
	json_object_foreach(json_object_get(document, "paths"), template, path) {
		if (fits(template, url, strcspn(url, "?")))
			return json_object_get(path, lower);
	}
	return NULL;
}

/* Is each parameter of the query described? */
static bool check_parameters(json_t *operation, const char *url)
{
	const char *at = strchr(url, '?');

	while (at && *++at) {
		size_t length = strcspn(at, "=&"), i;
		json_t *parameter;
		bool known = false;

		json_array_foreach(json_object_get(operation, "parameters"), i, parameter) {
			const char *name = json_string_value(json_object_get(parameter, "name"));

			known |= strlen(name) == length && memcmp(name, at, length) == 0;
		}
		if (!known)
			return wrong("a parameter is not described", at);
		at = strchr(at, '&');
	}
	return true;
}

/* The schemas of a document stand elsewhere than those of a schema. */
static struct schema *make_schema(json_t *said)
{
	static const char from[] = "#/components/schemas/", to[] = "#/$defs/";
	json_t *whole = json_pack(
		"{s:O,s:[O]}", "$defs",
		json_object_get(json_object_get(document, "components"), "schemas"), "allOf", said);
	char *text = json_dumps(whole, 0), *at = text, path[] = "/tmp/qfwatch-openapi-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct schema *schema = NULL;

	while (file && *at) {
		if (strncmp(at, from, sizeof from - 1) == 0) {
			fputs(to, file);
			at += sizeof from - 1;
		} else {
			fputc(*at++, file);
		}
	}
	if (file && fclose(file) == 0)
		schema = schema_load(path);
	unlink(path);
	free(text);
	json_decref(whole);
	return schema;
}

static bool check_value(struct schema *schema, json_t *value, const char *what)
{
	bool good = value ? schema_check(schema, value, stdout, what) : wrong("no JSON", what);

	json_decref(value);
	return good;
}

static bool check_body(struct schema *schema, const char *type, FILE *file)
{
	char *line = NULL;
	size_t size = 0;
	bool good = true;

	if (strcmp(type, "application/json") == 0)
		return check_value(schema,
				   json_loadf(file, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL),
				   "body");
	if (strcmp(type, "application/x-ndjson") == 0) {
		while (getline(&line, &size, file) > 0 && good)
			good = check_value(
				schema,
				json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL),
				"line");
		free(line);
		return good;
	}
	/* Text: all of it is one string. */
	if (getdelim(&line, &size, 0, file) < 0)
		return check_value(schema, json_string(""), "text");
	good = check_value(schema, json_string(line), "text");
	free(line);
	return good;
}

static bool check_answer(char **arguments)
{
	const char *method = arguments[0], *url = arguments[1], *status = arguments[2];
	json_t *operation = find_operation(url, method);
	/* What other methods get is told with GET. */
	json_t *told = operation ? operation : find_operation(url, "GET");
	json_t *response = resolve(json_object_get(json_object_get(told, "responses"), status));
	json_t *content = json_object_get(response, "content"), *media;
	char *type = arguments[3];
	struct schema *schema;
	FILE *file;
	bool good;

	if (!told)
		return strcmp(status, "404") == 0 || wrong("no such path", url);
	if (!response)
		return wrong("no such status", status);
	if (*status == '2' && !check_parameters(operation, url))
		return false;
	type[strcspn(type, ";")] = 0;
	media = json_object_get(content, type);
	if (!media)
		return wrong("no such media type", type);
	if (strcmp(method, "HEAD") == 0)
		return true;
	schema = make_schema(json_object_get(media, "schema"));
	file = fopen(arguments[4], "r");
	if (!schema || !file)
		exit(2);
	good = check_body(schema, type, file);
	fclose(file);
	schema_free(schema);
	return good;
}

int main(int argc, char **argv)
{
	json_error_t error;
	const char *path;
	json_t *value;

	document = argc > 2 ? json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error) : NULL;
	if (argc > 2 && !document)
		fprintf(stderr, "openapi: %s:%d: %s\n", argv[1], error.line, error.text);
	if (!document)
		return 2;
	if (argc == 8 && strcmp(argv[2], "answer") == 0)
		return check_answer(argv + 3) ? 0 : 1;
	if (argc == 3 && strcmp(argv[2], "paths") == 0) {
		json_object_foreach(json_object_get(document, "paths"), path, value)
			puts(path);
		return 0;
	}
	if (argc == 4 && strcmp(argv[2], "operation") == 0) {
		value = find_operation(argv[3], "GET");
		puts(value ? json_string_value(json_object_get(value, "operationId")) : "none");
		return 0;
	}
	fprintf(stderr, "usage: openapi DOCUMENT answer METHOD URL STATUS TYPE FILE | paths | "
			"operation URL\n");
	return 2;
}
