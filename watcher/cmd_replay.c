/* cmd_replay.c - qfwatch replay: what another policy would have done with what was recorded. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/columns.h"
#include "qfwatch/moment.h"
#include "qfwatch/policy.h"
#include "qfwatch/replay.h"
#include "qfwatch/units.h"

static const char usage[] =
	"usage: qfwatch replay [-c FILE] [--json] EVENT-FILE...\n"
	"\n"
	"Reads recorded events (JSON Lines, the oldest file first; \"-\": standard input) and "
	"tells "
	"what the\n"
	"policy would have done with these messages, beside what was done.\n"
	"\n"
	"      --json         one JSON object, with every hour\n"
	"  -c, --config FILE  the policy to try (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"Record with \"events\": {\"include\": [\"message-tracked\", \"message-attempted\"]} in "
	"the policy in\n"
	"force: without them little can be told.\n"
	"\n"
	"Exit code 0: done; 1: there is not one event to replay.\n";

/* A line of ours has at most EVENTS_LINE_MAX bytes; what a log pipeline adds fits, too. */
#define LINE_ROOM (64 * 1024)

/* The table for people has no more rows than this. */
#define MAX_ROWS 24

struct input {
	struct replay *replay;
	uint64_t lines, torn, foreign;
};

/* ---- reading ---- */

static void take_line(struct input *input, const char *line, size_t length, bool whole)
{
	struct replay_event event;
	struct replay_text *text = NULL;

	input->lines++;
	switch (whole ? replay_parse(line, length, &event, &text) : REPLAY_TORN) {
	case REPLAY_EVENT:
		replay_feed(input->replay, &event);
		break;
	case REPLAY_TORN:
		input->torn++;
		break;
	case REPLAY_FOREIGN:
		input->foreign++;
		break;
	}
	replay_release(text);
}

/* Lines of any length; one that is too long is no event. */
static void read_lines(struct input *input, FILE *file)
{
	static char line[LINE_ROOM];
	bool whole = true;

	while (fgets(line, sizeof line, file)) {
		size_t length = strlen(line);
		bool ends = length && line[length - 1] == '\n';

		if (ends || feof(file)) {
			if (length > ends || !whole)
				take_line(input, line, length - ends, whole);
			whole = true;
		} else {
			/* Too long, or cut short by a NUL. */
			whole = false;
		}
	}
}

static int read_file(struct input *input, const char *path)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	int error = file ? 0 : errno;

	if (file) {
		errno = 0;
		read_lines(input, file);
		error = ferror(file) ? errno : 0;
	}
	if (file && !is_stdin)
		fclose(file);
	if (!error)
		return EXIT_DONE;
	fprintf(stderr, "qfwatch replay: %s: %s: name the file of a sink\n", path, strerror(error));
	return error == ENOENT || error == EISDIR || error == ENOTDIR ? EXIT_USAGE : EXIT_REFUSED;
}

/* ---- for people ---- */

static const char *action_of(const struct policy *policy, const struct replay_rule *line,
			     char *buffer, size_t size)
{
	if (line->rule < 0)
		return "(not in this policy)";
	return command_rule_action(policy, &policy->rules[line->rule], buffer, size);
}

static void print_rules(const struct policy *policy, const struct replay_result *result)
{
	struct columns *table = columns_new(5, 2);
	char text[POLICY_TIER_NAME_MAX + 8];

	columns_text(table, "RULE");
	columns_text(table, "ACTION");
	columns_text(table, "RECORDED");
	columns_text(table, "REPLAYED");
	columns_text(table, "UNKNOWN");
	for (size_t i = 0; i < result->n_rules; i++) {
		const struct replay_rule *rule = &result->rules[i];

		columns_text(table, "%s", rule->name);
		columns_text(table, "%s", action_of(policy, rule, text, sizeof text));
		columns_number(table, rule->recorded.value);
		columns_number(table, rule->simulated.value);
		columns_number(table, rule->unknown);
	}
	columns_print(table, stdout);
	columns_free(table);
}

/* So many hours a row that the table stays short. */
static size_t choose_step(size_t hours)
{
	static const size_t steps[] = {1, 2, 3, 6, 12, 24, 48, 168, 336, 720, 2160, 8760};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if ((hours + steps[i] - 1) / steps[i] <= MAX_ROWS)
			return steps[i];
	return hours;
}

static void print_tiers(const struct replay_result *result)
{
	struct columns *table = columns_new(1 + 2 * result->n_tiers, 1);
	size_t step = choose_step(result->n_hours);
	char when[MOMENT_TEXT];

	columns_text(table, "UNTIL");
	for (size_t i = 0; i < result->n_tiers; i++) {
		columns_text(table, "%s", result->tiers[i].name);
		columns_text(table, "replayed");
	}
	for (size_t hour = step - 1;; hour += step) {
		bool last = hour + 1 >= result->n_hours;
		int64_t end = result->start + (int64_t)(hour + 1) * 3600;

		if (last)
			hour = result->n_hours - 1;
		moment_local(last ? result->last : end, when, sizeof when);
		columns_text(table, "%.16s", when);
		for (size_t i = 0; i < result->n_tiers; i++) {
			columns_number(table, result->tiers[i].recorded.hours[hour]);
			columns_number(table, result->tiers[i].simulated.hours[hour]);
		}
		if (last)
			break;
	}
	columns_print(table, stdout);
	columns_free(table);
}

static void note(uint64_t number, const char *what)
{
	char text[32];

	if (number)
		printf("%s: %s.\n", what, columns_thousands(number, text, sizeof text));
}

static void print_gaps(const struct input *input, const struct replay_result *result)
{
	note(input->torn, "Lines left out, because they are no whole JSON objects (torn)");
	note(input->foreign, "Lines left out, because they are no events that are known here");
	note(result->missing, "Events missing in the runs' sequence numbers");
	note(result->beginnings, "Runs without their beginning");
	note(result->repeated, "Events left out, because they stand twice or behind later ones");
	note(result->unbelieved, "Events left out, because their time cannot be");
	note(result->backwards, "Events that are older than one before them");
	note(result->dry, "Actions that a dry run told, and so were not done");
	note(result->mid, "Messages first seen at their move or removal");
	note(result->vanished, "Messages that had left when a new run began");
	note(result->elsewhere,
	     "Messages not replayed, because they were first seen in a tier that "
	     "this policy does not have");
}

static void print_doubts(const struct replay_result *result)
{
	char number[32];

	for (size_t i = 0; i < result->n_rules; i++) {
		const struct replay_rule *rule = &result->rules[i];

		if (rule->circles)
			printf("Messages that \"%s\" would move in a circle, and so stay: %s.\n",
			       rule->name, columns_thousands(rule->circles, number, sizeof number));
		if (rule->early)
			printf("Messages that \"%s\" would have removed, but that left by "
			       "themselves later: %s.\n",
			       rule->name, columns_thousands(rule->early, number, sizeof number));
		if (rule->unknown)
			printf("Messages for which \"%s\" could not be judged, taken as not "
			       "matching: %s. Events do not\n  tell sender, recipients, status, "
			       "headers, quarantine, nor always size, last attempt and domains.\n",
			       rule->name, columns_thousands(rule->unknown, number, sizeof number));
	}
	note(result->spared, "Messages that were removed, and as replayed are still there");
	note(result->jumps, "Times that attempts had risen without an event message-attempted, so "
			    "that rules may act late here");
	if (!result->attempted)
		printf("There is no event message-attempted: attempts are known from moves "
		       "only. Record with\n  \"events\": {\"include\": [\"message-tracked\", "
		       "\"message-attempted\"]}.\n");
	if (!result->tracked)
		printf("There is no event message-tracked: messages are known from their first "
		       "move or attempt only.\n");
}

static void print_all(const struct policy *policy, const char *path, const struct input *input,
		      const struct replay_result *result)
{
	char first[MOMENT_TEXT], last[MOMENT_TEXT], a[32], b[32], c[32];
	char span[UNITS_DURATION_TEXT];

	printf("%s on %s %s of %s %s, %s to %s (%s)\n", path,
	       columns_thousands(result->events, a, sizeof a),
	       units_plural(result->events, "event", "events"),
	       columns_thousands(result->runs, b, sizeof b),
	       units_plural(result->runs, "run", "runs"),
	       moment_local(result->first, first, sizeof first),
	       moment_local(result->last, last, sizeof last),
	       units_format_duration(result->last - result->first, span, sizeof span));
	printf("%s %s; at the end %s %s there as recorded, %s as replayed\n\n",
	       columns_thousands(result->messages, a, sizeof a),
	       units_plural(result->messages, "message", "messages"),
	       columns_thousands(result->recorded_left, b, sizeof b),
	       units_plural(result->recorded_left, "is", "are"),
	       columns_thousands(result->simulated_left, c, sizeof c));
	print_rules(policy, result);
	printf("\nMessages in each tier, as recorded and as replayed:\n");
	print_tiers(result);
	printf("\n");
	print_gaps(input, result);
	print_doubts(result);
	printf("Attempts and departures are taken as recorded, also for messages that this policy "
	       "would have had in\n"
	       "another tier, where the pace is another. Moves are made at once: no locks, no "
	       "limits.\n");
}

/* ---- for programs ---- */

static json_t *list_of(const struct replay_series *series, size_t hours)
{
	json_t *list = json_array();

	for (size_t i = 0; i < hours; i++)
		json_array_append_new(
			list, json_integer(i < series->n_hours ? (json_int_t)series->hours[i] : 0));
	return list;
}

static json_t *json_series(const struct replay_series *series, size_t hours)
{
	return json_pack("{s:I, s:o}", "total", (json_int_t)series->value, "hours",
			 list_of(series, hours));
}

static json_t *json_rules(const struct policy *policy, const struct replay_result *result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < result->n_rules; i++) {
		const struct replay_rule *rule = &result->rules[i];
		bool moves = rule->rule >= 0 && policy->rules[rule->rule].decides &&
			     policy->rules[rule->rule].action == POLICY_MOVE;
		char text[POLICY_TIER_NAME_MAX + 8];
		const char *action = moves ? "move" : action_of(policy, rule, text, sizeof text);
		json_t *one = json_pack(
			"{s:s, s:b, s:o, s:o, s:I, s:I, s:I}", "name", rule->name, "in_policy",
			rule->rule >= 0, "recorded", json_series(&rule->recorded, result->n_hours),
			"replayed", json_series(&rule->simulated, result->n_hours), "unknown",
			(json_int_t)rule->unknown, "circles", (json_int_t)rule->circles, "early",
			(json_int_t)rule->early);

		if (rule->rule >= 0)
			json_object_set_new(one, "action", json_string(action));
		if (moves)
			json_object_set_new(
				one, "to",
				json_string(policy->tiers[policy->rules[rule->rule].target].name));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *json_tiers(const struct replay_result *result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < result->n_tiers; i++) {
		const struct replay_tier *tier = &result->tiers[i];

		json_array_append_new(
			list, json_pack("{s:s, s:b, s:o, s:o}", "name", tier->name, "in_policy",
					tier->tier >= 0, "recorded",
					json_series(&tier->recorded, result->n_hours), "replayed",
					json_series(&tier->simulated, result->n_hours)));
	}
	return list;
}

static int print_json(const struct policy *policy, const struct input *input,
		      const struct replay_result *result)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"lines", input->lines},
		{"torn", input->torn},
		{"foreign", input->foreign},
		{"events", result->events},
		{"runs", result->runs},
		{"policies_loaded", result->policies},
		{"missing", result->missing},
		{"without_beginning", result->beginnings},
		{"repeated", result->repeated},
		{"unbelieved", result->unbelieved},
		{"backwards", result->backwards},
		{"dry", result->dry},
		{"messages", result->messages},
		{"first_seen_acted_on", result->mid},
		{"vanished", result->vanished},
		{"elsewhere", result->elsewhere},
		{"attempts_jumped", result->jumps},
		{"tracked_events", result->tracked},
		{"attempted_events", result->attempted},
		{"left_recorded", result->recorded_left},
		{"left_replayed", result->simulated_left},
		{"spared", result->spared},
		{"hours", result->n_hours},
	};
	char first[MOMENT_TEXT], last[MOMENT_TEXT], start[MOMENT_TEXT];
	json_t *all = json_pack("{s:s, s:s, s:s}", "first",
				moment_utc(result->first, first, sizeof first), "last",
				moment_utc(result->last, last, sizeof last), "hours_from",
				moment_utc(result->start, start, sizeof start));
	int r;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		json_object_set_new(all, numbers[i].name,
				    json_integer((json_int_t)numbers[i].value));
	json_object_set_new(all, "rules", json_rules(policy, result));
	json_object_set_new(all, "tiers", json_tiers(result));
	r = json_dumpf(all, stdout, JSON_COMPACT);
	json_decref(all);
	putchar('\n');
	return r;
}

/* ---- */

static int run(const char *path, bool json, int argc, char **argv)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	const struct replay_result *result;
	struct input input = {0};
	int code = EXIT_DONE;

	if (policy_load(path, &problems, &policy) < 0) {
		code = command_report(&problems);
		problems_free(&problems);
		return code;
	}
	input.replay = replay_new(policy);
	for (int i = 0; i < argc && code == EXIT_DONE; i++)
		code = read_file(&input, argv[i]);
	if (code == EXIT_DONE) {
		result = replay_end(input.replay);
		if (!result->events) {
			fprintf(stderr,
				"qfwatch replay: there is no event of qfwatch in %llu "
				"lines: name the file of a sink, as it was written\n",
				(unsigned long long)input.lines);
			code = EXIT_PROBLEM;
		} else if (json) {
			if (print_json(policy, &input, result) < 0)
				code = EXIT_REFUSED;
		} else {
			print_all(policy, path, &input, result);
		}
	}
	code = command_finish("replay", code);
	replay_free(input.replay);
	policy_free(policy);
	problems_free(&problems);
	return code;
}

int cmd_replay(int argc, char **argv)
{
	enum { JSON = 256 };
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"json", no_argument, NULL, JSON},
						{"help", no_argument, NULL, 'h'},
						{0}};
	const char *path = COMMAND_DEFAULT_POLICY;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case JSON:
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("replay", NULL, NULL);
		}
	if (optind == argc)
		return command_misused(
			"replay", "which events? Name their files, or - for standard input", NULL);
	return run(path, json, argc - optind, argv + optind);
}
