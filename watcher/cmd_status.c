/* cmd_status.c - qfwatch status: is it working? One screen; the first line answers. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/answer.h"
#include "qfwatch/client.h"
#include "qfwatch/columns.h"
#include "qfwatch/moment.h"
#include "qfwatch/plain.h"
#include "qfwatch/query.h"
#include "qfwatch/units.h"

static const char usage[] =
	"usage: qfwatch status [-c FILE] [--json]\n"
	"\n"
	"Tells whether the running daemon works, what is wrong and what helps, what stands in each "
	"tier and\n"
	"what came and went in the last hour, what each rule has done since the start, and where "
	"the events\n"
	"go.\n"
	"\n"
	"      --json         the daemon's own answer (/api/v1/status): one JSON object\n"
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit code 0: it works; 1: there is trouble; 3: no daemon answers, and why.\n";

static const char *thousands(uint64_t number, char *buffer)
{
	return columns_thousands(number, buffer, 32);
}

/* A text of the daemon's: paths, names. */
static void print_plain(const char *text)
{
	char buffer[2048] = "";

	plain_add(buffer, sizeof buffer, text);
	fputs(buffer, stdout);
}

/* ---- the first line, and what is wrong ---- */

static void print_first(const json_t *status)
{
	size_t troubles = json_array_size(json_object_get(status, "trouble"));
	const json_t *round = json_object_get(status, "round");
	bool starting = strcmp(answer_text(round, "running"), "start") == 0;
	uint64_t messages = answer_count(json_object_get(status, "messages"), "total");
	uint64_t tiers = answer_count(json_object_get(status, "policy"), "tiers");
	char number[32], length[MOMENT_TEXT];
	int64_t uptime = 0;

	answer_number(status, "uptime", &uptime);
	if (troubles)
		printf("Trouble: %zu %s. ", troubles,
		       units_plural(troubles, "problem", "problems"));
	else
		fputs(starting ? "Starting: " : "Working: ", stdout);
	printf("%s %s%s in %llu %s, running for %s%s.\n", thousands(messages, number),
	       units_plural(messages, "message", "messages"), starting ? " so far" : "",
	       (unsigned long long)tiers, units_plural(tiers, "tier", "tiers"),
	       moment_length(uptime, length, sizeof length),
	       json_is_true(json_object_get(status, "dry_run")) ? " (dry run: nothing is moved)"
								: "");
}

static void print_troubles(const json_t *status)
{
	const json_t *list = json_object_get(status, "trouble"), *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *remedy = answer_text(one, "remedy");

		fputs("  ! ", stdout);
		print_plain(answer_text(one, "text"));
		putchar('\n');
		if (*remedy) {
			fputs("    ", stdout);
			print_plain(remedy);
			putchar('\n');
		}
	}
}

/* ---- tables ---- */

static void put_hour(struct columns *table, const json_t *rates, const char *key)
{
	columns_number(table, answer_count(json_object_get(rates, key), "hour"));
}

static void print_tiers(const json_t *tiers, int64_t now)
{
	static const char *const head[] = {"TIER",     "MESSAGES", "SIZE",   "OLDEST",
					   "NOT IDLE", "ARRIVED",  "TRIED",  "LEFT",
					   "IN",       "OUT",	   "DELETED"};
	struct columns *table = columns_new(sizeof head / sizeof *head, 1);
	const json_t *list = json_object_get(tiers, "tiers"), *tier;
	char text[MOMENT_TEXT];
	size_t i;

	for (i = 0; i < sizeof head / sizeof *head; i++)
		columns_text(table, "%s", head[i]);
	json_array_foreach(list, i, tier) {
		const json_t *rates = json_object_get(tier, "rates");
		int64_t oldest = answer_time(tier, "oldest");
		uint64_t messages = answer_count(tier, "messages");
		uint64_t idle = answer_count(json_object_get(tier, "states"), "idle");

		columns_text(table, "%s", answer_text(tier, "name"));
		columns_number(table, messages);
		columns_text(table, "%s",
			     columns_bytes(answer_count(tier, "bytes"), text, sizeof text));
		columns_text(table, "%s",
			     oldest ? moment_length(now - oldest, text, sizeof text) : ".");
		columns_number(table, messages > idle ? messages - idle : 0);
		put_hour(table, rates, "arrived");
		put_hour(table, rates, "attempted");
		put_hour(table, rates, "departed");
		put_hour(table, rates, "moved_in");
		put_hour(table, rates, "moved_out");
		put_hour(table, rates, "deleted");
	}
	printf("\nTiers now; from ARRIVED on: in the last hour (IN, OUT: moved by rules)\n");
	columns_print(table, stdout);
	columns_free(table);
}

static void print_rules(const json_t *tiers)
{
	static const char *const head[] = {"RULE", "ACTION", "ACTED", "FAILED", "REFUSED", "BUSY"};
	struct columns *table = columns_new(sizeof head / sizeof *head, 2);
	const json_t *list = json_object_get(tiers, "rules"), *rule;
	size_t i;

	for (i = 0; i < sizeof head / sizeof *head; i++)
		columns_text(table, "%s", head[i]);
	json_array_foreach(list, i, rule) {
		const char *target = answer_text(rule, "target");

		columns_text(table, "%s", answer_text(rule, "name"));
		columns_text(table, "%s%s%s", answer_text(rule, "action"), *target ? " " : "",
			     target);
		columns_number(table, answer_count(rule, "acted"));
		columns_number(table, answer_count(rule, "failed"));
		columns_number(table, answer_count(rule, "refused"));
		columns_number(table, answer_count(rule, "busy"));
	}
	printf("\nRules, since the start\n");
	columns_print(table, stdout);
	columns_free(table);
}

static void print_sinks(const json_t *status)
{
	struct columns *table = columns_new(4, 1);
	const json_t *list = json_object_get(json_object_get(status, "events"), "sinks"), *sink;
	char text[32];
	size_t i;

	columns_text(table, "EVENTS GO TO");
	columns_text(table, "DROPPED");
	columns_text(table, "WAITING");
	columns_text(table, "%s", "");
	json_array_foreach(list, i, sink) {
		columns_text(table, "%s", answer_text(sink, "name"));
		columns_number(table, answer_count(sink, "dropped"));
		columns_text(table, "%s",
			     columns_bytes(answer_count(sink, "waiting_bytes"), text, sizeof text));
		columns_text(table, "%s",
			     json_is_true(json_object_get(sink, "broken")) ? "broken" : "");
	}
	printf("\n");
	columns_print(table, stdout);
	columns_free(table);
}

/* ---- the rest in a few lines ---- */

static void print_directories(const json_t *status)
{
	const json_t *directories = json_object_get(status, "directories");
	const json_t *last = json_object_get(json_object_get(status, "round"), "last");
	uint64_t polled = answer_count(directories, "polled"),
		 lost = answer_count(directories, "lost"),
		 overflows = answer_count(json_object_get(status, "notifications"), "overflows");
	char length[MOMENT_TEXT];
	int64_t at = answer_time(last, "at"), now = answer_time(status, "now");

	printf("\nDirectories  %llu watched",
	       (unsigned long long)answer_count(directories, "watched"));
	if (polled)
		printf(", %llu polled (their file system does not notify)",
		       (unsigned long long)polled);
	if (lost)
		printf(", %llu lost", (unsigned long long)lost);
	if (at)
		printf("; compared with memory %s ago (%s)",
		       moment_length(now - at, length, sizeof length), answer_text(last, "reason"));
	printf("; overflows %llu\n", (unsigned long long)overflows);
}

static void print_policy(const json_t *status)
{
	const json_t *policy = json_object_get(status, "policy");
	int64_t next = answer_time(status, "next_deadline");
	char when[MOMENT_TEXT], size[32];

	fputs("Policy       ", stdout);
	print_plain(answer_text(policy, "path"));
	printf(", in force since %s\n",
	       moment_local(answer_time(policy, "loaded_at"), when, sizeof when));
	if (next)
		printf("Next due     %s, if only time passes\n",
		       moment_local(next, when, sizeof when));
	printf("Daemon       qfwatch ");
	print_plain(answer_text(status, "version"));
	printf(" on ");
	print_plain(answer_text(status, "host"));
	printf(", process %llu, memory %s\n", (unsigned long long)answer_count(status, "pid"),
	       columns_bytes(answer_count(json_object_get(status, "memory"), "resident_bytes"),
			     size, sizeof size));
}

/* ---- */

static int print_all(struct client *client, const json_t *status, struct client_trouble *trouble)
{
	json_t *tiers = answer_fetch(client, "/api/v1/tiers", trouble);

	if (!tiers)
		return -1;
	print_first(status);
	print_troubles(status);
	print_tiers(tiers, answer_time(status, "now"));
	print_rules(tiers);
	print_sinks(status);
	print_directories(status);
	print_policy(status);
	json_decref(tiers);
	return 0;
}

static int print_json(const json_t *status)
{
	char *text = json_dumps(status, JSON_COMPACT | JSON_REAL_PRECISION(6));

	if (text)
		puts(text);
	free(text);
	return text ? 0 : -1;
}

static int run(const char *path, bool json)
{
	struct query query = {.command = "status", .policy_path = path};
	struct client *client = NULL;
	struct client_trouble trouble = {0};
	json_t *status = NULL;
	int code = query_load(&query), r = -1;

	if (code != EXIT_DONE) {
		query_free(&query);
		return code;
	}
	if (client_new(&query.policy->listen, query.policy_path, &client, &trouble) == 0)
		status = answer_fetch(client, "/api/v1/status", &trouble);
	if (status)
		r = json ? print_json(status) : print_all(client, status, &trouble);
	if (r < 0) {
		query_complain("status", trouble.reason, trouble.remedy);
		code = EXIT_REFUSED;
	} else {
		code = json_array_size(json_object_get(status, "trouble")) ? EXIT_PROBLEM
									   : EXIT_DONE;
	}
	code = command_finish("status", code);
	json_decref(status);
	client_free(client);
	query_free(&query);
	return code;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"json", no_argument, NULL, 'j'},
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
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("status", NULL, NULL);
		}
	if (optind < argc)
		return command_misused("status", "unexpected argument", argv[optind]);
	return run(path, json);
}
