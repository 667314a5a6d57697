/* jsonq.c - questions to a file of events in JSON Lines.
 *
 * usage: jsonq [-a ACTION]... [-w POINTER=VALUE]... FILE [POINTER...]
 *          prints the fields at the JSON pointers, separated by tabs, one line for each event that
 *          has one of the actions (all, without -a) and all the values; "-" for a field that is
 *          not there; without pointers, the line
 *        jsonq -c [-a ACTION]... [-w POINTER=VALUE]... FILE
 *          prints how many there are
 *        jsonq --check FILE...
 *          the files together must be whole lines of at most 4096 bytes, each a JSON object in
 *          UTF-8 with the fields that every event has, and /event/sequence must rise by one within
 *          each run; prints how many lines were read, or what is wrong, and exits 1
 *
 * A last line without its end is one being written: only --check minds it. "-" as FILE is the
 * standard input.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096
#define MAX_FILTERS    16

struct wish {
	const char *actions[MAX_FILTERS];
	size_t n_actions;
	char *pointers[MAX_FILTERS]; /* POINTER=VALUE, cut at the = */
	const char *values[MAX_FILTERS];
	size_t n_values;
	bool count;
	char **print;
	size_t n_print;
};

/* The value at a JSON pointer, borrowed; NULL when there is none. */
static json_t *at_pointer(json_t *value, const char *pointer)
{
	while (value && *pointer == '/') {
		char key[256];
		size_t n = 0;

		for (pointer++; *pointer && *pointer != '/'; pointer++) {
			char c = *pointer;

			if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
				c = *++pointer == '0' ? '~' : '/';
			if (n + 1 < sizeof(key))
				key[n++] = c;
		}
		key[n] = '\0';
		if (json_is_array(value))
			value = json_array_get(value, strtoul(key, NULL, 10));
		else
			value = json_object_get(value, key);
	}
	return value;
}

/* As text: a string without quotes, anything else as JSON. To be freed. */
static char *as_text(const json_t *value)
{
	if (!value)
		return strdup("-");
	if (json_is_string(value))
		return strdup(json_string_value(value));
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static bool is_wanted(const struct wish *wish, json_t *event)
{
	bool wanted = wish->n_actions == 0;
	const char *action = json_string_value(at_pointer(event, "/event/action"));

	for (size_t i = 0; i < wish->n_actions && !wanted; i++)
		wanted = action && strcmp(action, wish->actions[i]) == 0;
	for (size_t i = 0; i < wish->n_values && wanted; i++) {
		char *text = as_text(at_pointer(event, wish->pointers[i]));

		wanted = text && strcmp(text, wish->values[i]) == 0;
		free(text);
	}
	return wanted;
}

static FILE *open_input(const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");

	if (!file) {
		fprintf(stderr, "jsonq: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return file;
}

static int ask(const struct wish *wish, const char *path)
{
	FILE *file = open_input(path);
	char *line = NULL;
	size_t size = 0, found = 0;
	ssize_t n;

	while ((n = getline(&line, &size, file)) > 0 && line[n - 1] == '\n') {
		json_t *event = json_loadb(line, (size_t)n, 0, NULL);

		if (event && is_wanted(wish, event)) {
			found++;
			if (!wish->count && wish->n_print == 0)
				fputs(line, stdout);
			for (size_t i = 0; !wish->count && i < wish->n_print; i++) {
				char *text = as_text(at_pointer(event, wish->print[i]));

				printf("%s%c", text, i + 1 < wish->n_print ? '\t' : '\n');
				free(text);
			}
		}
		json_decref(event);
	}
	if (wish->count)
		printf("%zu\n", found);
	free(line);
	fclose(file);
	return 0;
}

/* ---- --check
 * -------------------------------------------------------------------------------------------------
 */

struct run {
	struct run *next;
	json_int_t sequence;
	char name[];
};

static struct run *runs;

/* Returns what is wrong with the sequence, or NULL. */
static const char *check_sequence(const char *name, json_int_t sequence)
{
	struct run *run = runs;

	while (run && strcmp(run->name, name) != 0)
		run = run->next;
	if (!run) {
		run = malloc(sizeof(*run) + strlen(name) + 1);
		if (!run)
			abort();
		strcpy(run->name, name);
		run->next = runs;
		runs = run;
	} else if (sequence != run->sequence + 1) {
		return "/event/sequence does not follow that of the line before";
	}
	run->sequence = sequence;
	return NULL;
}

/* Returns what is wrong with the line, or NULL. */
static const char *check_line(const char *line, size_t length)
{
	static const char *const required[] = {
		"/@timestamp",	   "/message",	    "/ecs.version",   "/service/name",
		"/event/id",	   "/event/action", "/event/outcome", "/event/dataset",
		"/qfwatch/schema", "/qfwatch/run"};
	const char *wrong = NULL;
	json_t *event;

	if (length > LINE_MAX_BYTES)
		return "longer than 4096 bytes";
	if (line[length - 1] != '\n')
		return "the last line has no end";
	event = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(event))
		wrong = "not a JSON object in UTF-8";
	for (size_t i = 0; !wrong && i < sizeof(required) / sizeof(required[0]); i++)
		if (!json_is_string(at_pointer(event, required[i])))
			wrong = required[i];
	if (!wrong && !json_is_integer(at_pointer(event, "/event/sequence")))
		wrong = "/event/sequence";
	if (!wrong)
		wrong = check_sequence(json_string_value(at_pointer(event, "/qfwatch/run")),
				       json_integer_value(at_pointer(event, "/event/sequence")));
	json_decref(event);
	return wrong;
}

static int check(char **paths)
{
	size_t lines = 0;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	for (; *paths; paths++) {
		FILE *file = open_input(*paths);
		size_t number = 0;

		while ((n = getline(&line, &size, file)) > 0) {
			const char *wrong = check_line(line, (size_t)n);

			number++;
			if (wrong) {
				printf("%s:%zu: %s: %.*s\n", *paths, number, wrong, (int)n, line);
				return 1;
			}
		}
		lines += number;
		fclose(file);
	}
	free(line);
	printf("%zu\n", lines);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: jsonq [-c] [-a ACTION]... [-w POINTER=VALUE]... FILE [POINTER...]\n"
			"       jsonq --check FILE...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct wish wish = {0};
	int i = 1;

	if (argc > 2 && strcmp(argv[1], "--check") == 0)
		return check(argv + 2);
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "-c") == 0) {
			wish.count = true;
		} else if (strcmp(argv[i], "-a") == 0 && i + 1 < argc &&
			   wish.n_actions < MAX_FILTERS) {
			wish.actions[wish.n_actions++] = argv[++i];
		} else if (strcmp(argv[i], "-w") == 0 && i + 1 < argc &&
			   wish.n_values < MAX_FILTERS) {
			char *equals = strchr(argv[++i], '=');

			if (!equals)
				return usage();
			*equals = '\0';
			wish.pointers[wish.n_values] = argv[i];
			wish.values[wish.n_values++] = equals + 1;
		} else {
			return usage();
		}
	}
	if (i == argc)
		return usage();
	wish.print = argv + i + 1;
	wish.n_print = (size_t)(argc - i - 1);
	return ask(&wish, argv[i]);
}
