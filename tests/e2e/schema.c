/* schema.c - holds JSON files to a JSON Schema.
 *
 * usage: schema SCHEMA FILE...           each file is one JSON document
 *        schema --lines SCHEMA FILE...   each line is one; a last line without its end is being
 *                                        written and left out
 *        schema --events SCHEMA FILE...  the same, but lines that are no JSON are left out: after a
 *                                        kill there may be torn ones (jsonq --check minds them)
 *
 * Each finding is a line on stdout: where, what, and which keyword of the schema says so. After 20
 * of them, they are only counted. "-" is the standard input. Exits 0 when all holds, 1 when not, 2
 * when the schema or a file cannot be read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/schema.h"

#define TOLD 20

static unsigned long bad, checked;
static bool lines, events;

static void judge(struct schema *schema, json_t *value, const char *place,
		  const json_error_t *error)
{
	FILE *to = bad < TOLD ? stdout : NULL;
	char prefix[4200];

	checked++;
	snprintf(prefix, sizeof(prefix), "%s: ", place);
	if (value && schema_check(schema, value, to, prefix))
		return;
	if (!value && to)
		fprintf(to, "%sno JSON: %s\n", prefix, error->text);
	bad++;
}

static void judge_lines(struct schema *schema, const char *path, FILE *file)
{
	char *line = NULL, place[4160];
	size_t size = 0, number = 0;
	ssize_t n;

	while ((n = getline(&line, &size, file)) > 0 && line[n - 1] == '\n') {
		json_error_t error;
		json_t *value = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
					   &error);

		snprintf(place, sizeof(place), "%s:%zu", path, ++number);
		if (value || !events)
			judge(schema, value, place, &error);
		json_decref(value);
	}
	free(line);
}

int main(int argc, char **argv)
{
	struct schema *schema;
	int first = 1;

	events = argc > 1 && strcmp(argv[1], "--events") == 0;
	lines = events || (argc > 1 && strcmp(argv[1], "--lines") == 0);
	if (lines)
		first = 2;
	if (argc < first + 2) {
		fprintf(stderr, "usage: schema [--lines | --events] SCHEMA FILE...\n");
		return 2;
	}
	schema = schema_load(argv[first]);
	if (!schema)
		return 2;
	for (int i = first + 1; i < argc; i++) {
		FILE *file = strcmp(argv[i], "-") == 0 ? stdin : fopen(argv[i], "r");
		json_error_t error;

		if (!file) {
			fprintf(stderr, "schema: %s: %s\n", argv[i], strerror(errno));
			return 2;
		}
		if (lines) {
			judge_lines(schema, argv[i], file);
		} else {
			json_t *value = json_loadf(
				file, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY,
				&error);

			judge(schema, value, argv[i], &error);
			json_decref(value);
		}
		fclose(file);
	}
	if (bad)
		printf("%lu of %lu do not hold to %s\n", bad, checked, argv[first]);
	else
		printf("%lu hold to %s\n", checked, argv[first]);
	schema_free(schema);
	return bad != 0;
}
