/* cmd_plan.c - qfwatch plan: what the policy would do now and in the next hours, over the real
 * spool, touching nothing. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/census.h"
#include "qfwatch/clock.h"
#include "qfwatch/columns.h"
#include "qfwatch/forecast.h"
#include "qfwatch/moment.h"
#include "qfwatch/policy.h"
#include "qfwatch/trouble.h"
#include "qfwatch/units.h"

static const char usage[] =
	"usage: qfwatch plan [-c FILE] [--at TIME] [--hours N] [--sizes] [--json]\n"
	"\n"
	"Reads all messages of the policy's tiers and tells what the policy does with them now and "
	"in the\n"
	"next hours if only time passes. Touches nothing; a daemon may run beside it.\n"
	"\n"
	"      --at TIME      as if it were then: \"2026-11-23 17:20\" (local), RFC 3339, \"+2h\"\n"
	"      --hours N      how far to look ahead, 1 to 720 (default 24)\n"
	"      --sizes        ask for the sizes of the bodies even if no rule does\n"
	"      --json         one JSON object, with every hour\n"
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit code 0: done; 1: some messages cannot be read, and the plan says why.\n";

struct plan {
	const char *path;
	int64_t now;
	unsigned hours;
	bool json, sizes;
	struct census census;
	struct forecast *forecasts[SURVEY_MAX_THREADS];
	uint64_t tier_messages[POLICY_MAX_TIERS];
	int64_t took; /* nanoseconds */
};

/* ---- reading ---- */

static void take(void *context, const struct survey_facts *facts)
{
	forecast_add(context, &facts->message,
		     (struct forecast_obstacles){.elsewhere = facts->data_elsewhere,
						 .held = facts->held});
}

static void read_all(struct plan *plan)
{
	const struct policy *policy = plan->census.policies[0];
	struct survey_order order = {
		.text_tiers = forecast_text_tiers(policy),
		.size_tiers = plan->sizes ? UINT64_MAX : forecast_size_tiers(policy),
		.threads = plan->census.threads,
		.take = take,
		.contexts = (void *const *)plan->forecasts,
	};

	for (size_t i = 0; i < policy->n_tiers; i++)
		plan->tier_messages[i] = plan->census.survey.tiers[i].messages;
	for (unsigned i = 0; i < plan->census.threads; i++)
		plan->forecasts[i] = forecast_new(plan->census.policies[i], plan->now, plan->hours,
						  plan->tier_messages);
	survey_read(&plan->census.survey, &plan->census.spool, &order);
	for (unsigned i = 1; i < plan->census.threads; i++)
		forecast_merge(plan->forecasts[0], plan->forecasts[i]);
	forecast_end(plan->forecasts[0]);
}

/* ---- what is told ---- */

static uint64_t sum_tiers(const struct plan *plan, size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < plan->census.policies[0]->n_tiers; i++)
		sum += *(const uint64_t *)((const char *)&plan->census.survey.tiers[i] + offset);
	return sum;
}

#define SUM(plan, field) sum_tiers(plan, offsetof(struct survey_tier, field))

static uint64_t gone_after(const struct forecast *forecast, unsigned hour)
{
	uint64_t before = 0, stand = 0;

	for (size_t i = 0; i < forecast->policy->n_tiers; i++) {
		before += forecast->tiers[i].before;
		stand += forecast->tiers[i].stand[hour];
	}
	return before - stand;
}

static const struct {
	const char *name;
	enum policy_action action;
	int64_t period;
	const char *one, *many, *unit;
} limits[] = {
	{"moves_per_second", POLICY_MOVE, 1, "move is", "moves are", "a second"},
	{"deletes_per_minute", POLICY_DELETE, 60, "deletion is", "deletions are", "a minute"},
	{"bounces_per_minute", POLICY_BOUNCE, 60, "bounce is", "bounces are", "a minute"},
};

enum { N_LIMITS = sizeof limits / sizeof *limits };

static uint32_t limit_of(const struct policy *policy, int which)
{
	return which == 0   ? policy->limits.moves_per_second
	       : which == 1 ? policy->limits.deletes_per_minute
			    : policy->limits.bounces_per_minute;
}

/* ---- for people ---- */

/* "6d2h", not to the second. */
static const char *coarse(int64_t seconds, char *buffer, size_t size)
{
	long long days = seconds / 86400, hours = seconds % 86400 / 3600;

	if (days >= 1 && hours)
		snprintf(buffer, size, "%lldd%lldh", days, hours);
	else if (days >= 1)
		snprintf(buffer, size, "%lldd", days);
	else
		units_format_duration(seconds >= 3600 ? seconds - seconds % 60 : seconds, buffer,
				      size);
	return buffer;
}

/* The hours at whose ends the columns stand. Returns how many. */
static size_t choose_hours(unsigned hours, unsigned *ret)
{
	static const unsigned usual[] = {1, 2, 3, 6, 12, 24, 48, 72, 168, 336};
	size_t n = 0;

	for (size_t i = 0; i < sizeof usual / sizeof *usual && usual[i] < hours; i++)
		ret[n++] = usual[i];
	ret[n++] = hours;
	return n;
}

static void put_hours(struct columns *table, const unsigned *hours, size_t n)
{
	columns_text(table, "NOW");
	for (size_t i = 0; i < n; i++)
		columns_text(table, "+%uh", hours[i]);
}

static void print_tiers(const struct plan *plan, const unsigned *hours, size_t n)
{
	const struct forecast *forecast = plan->forecasts[0];
	const struct policy *policy = plan->census.policies[0];
	struct columns *table = columns_new(5 + n, 1);
	char text[64];

	columns_text(table, "TIER");
	columns_text(table, "MESSAGES");
	columns_text(table, "BODIES");
	columns_text(table, "OLDEST");
	put_hours(table, hours, n);
	for (size_t i = 0; i < policy->n_tiers; i++) {
		const struct survey_tier *tier = &plan->census.survey.tiers[i];

		columns_text(table, "%s", policy->tiers[i].name);
		columns_number(table, tier->messages);
		if (tier->sized)
			columns_text(table, "%.1f MiB", (double)tier->bytes / (1 << 20));
		else
			columns_text(table, "-");
		columns_text(table, "%s",
			     tier->oldest == INT64_MAX
				     ? "-"
				     : coarse(plan->now - tier->oldest, text, sizeof text));
		columns_number(table, forecast->tiers[i].stand[0]);
		for (size_t k = 0; k < n; k++)
			columns_number(table, forecast->tiers[i].stand[hours[k]]);
	}
	columns_text(table, "(deleted, bounced)");
	columns_text(table, "%s", "");
	columns_text(table, "%s", "");
	columns_text(table, "%s", "");
	columns_number(table, gone_after(forecast, 0));
	for (size_t k = 0; k < n; k++)
		columns_number(table, gone_after(forecast, hours[k]));
	columns_print(table, stdout);
	columns_free(table);
}

static void print_rules(const struct plan *plan, const unsigned *hours, size_t n)
{
	const struct policy *policy = plan->census.policies[0];
	struct columns *table = columns_new(4 + n, 2);
	char text[POLICY_TIER_NAME_MAX + 8];

	columns_text(table, "RULE");
	columns_text(table, "ACTION");
	put_hours(table, hours, n);
	columns_text(table, "TOTAL");
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct forecast_rule *rule = &plan->forecasts[0]->rules[i];
		unsigned hour = 1;

		columns_text(table, "%s", policy->rules[i].name);
		columns_text(table, "%s",
			     command_rule_action(policy, &policy->rules[i], text, sizeof text));
		columns_number(table, rule->due[0]);
		for (size_t k = 0; k < n; k++) {
			uint64_t due = 0;

			for (; hour <= hours[k]; hour++)
				due += rule->due[hour];
			columns_number(table, due);
		}
		columns_number(table, rule->total);
	}
	columns_print(table, stdout);
	columns_free(table);
}

static void note_rule(const struct policy_rule *rule, uint64_t messages, const char *what)
{
	char number[32];

	if (messages)
		printf("Left alone by \"%s\", because %s: %s.\n", rule->name, what,
		       columns_thousands(messages, number, sizeof number));
}

static void print_limits(const struct plan *plan)
{
	const struct policy *policy = plan->census.policies[0];
	char number[32], left[32], text[UNITS_DURATION_TEXT];

	for (int i = 0; i < N_LIMITS; i++) {
		uint32_t limit = limit_of(policy, i);
		struct forecast_line line;

		if (!limit)
			continue;
		forecast_limit(plan->forecasts[0], limits[i].action, limit, limits[i].period,
			       &line);
		if (line.seconds > 1)
			printf("%s %s due now: about %s at %u %s (limits.%s).\n",
			       columns_thousands(line.now, number, sizeof number),
			       units_plural(line.now, limits[i].one, limits[i].many),
			       coarse(line.seconds, text, sizeof text), limit, limits[i].unit,
			       limits[i].name);
		if (line.longest)
			printf("limits.%s: up to %s %s turn at the end of an hour, %s "
			       "at the end of the last one.\n",
			       limits[i].name,
			       columns_thousands(line.longest, number, sizeof number),
			       units_plural(line.longest, "waits for its", "wait for their"),
			       columns_thousands(line.left, left, sizeof left));
	}
}

static void print_notes(const struct plan *plan)
{
	const struct policy *policy = plan->census.policies[0];
	const struct forecast *forecast = plan->forecasts[0];
	char number[32];

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct forecast_rule *rule = &forecast->rules[i];

		note_rule(&policy->rules[i], rule->circles,
			  "the rules would move them in a circle");
		note_rule(&policy->rules[i], rule->elsewhere,
			  "their qf has a d line (queue groups)");
		note_rule(&policy->rules[i], rule->held,
			  "they are quarantined and sendmail does not return them");
	}
	census_print_troubles(&plan->census, stdout);
	if (SUM(plan, ignored))
		printf("%s quarantined %s (hf) left alone: no rule names \"quarantined\".\n",
		       columns_thousands(SUM(plan, ignored), number, sizeof number),
		       units_plural(SUM(plan, ignored), "message is", "messages are"));
	if (SUM(plan, gone))
		printf("%s left while the spool was read.\n",
		       columns_thousands(SUM(plan, gone), number, sizeof number));
	print_limits(plan);
	if (forecast->unknown)
		printf("Messages that wait for what only the running daemon knows (\"domain\"), "
		       "told as if nothing had\nbeen heard of their domains: %s.\n",
		       columns_thousands(forecast->unknown, number, sizeof number));
	if (policy->n_levels)
		printf("\"tier_messages\" is taken as it is now.\n");
	printf("Forecast from time alone: attempts that sendmail makes come on top, and what it "
	       "delivers goes off.\n"
	       "Locks were not looked at.\n");
}

static void print_all(const struct plan *plan)
{
	char when[MOMENT_TEXT], number[32];
	unsigned hours[16];
	size_t n = choose_hours(plan->hours, hours);

	printf("%s: %s %s at %s, read in %.1f s\n\n", plan->path,
	       columns_thousands(SUM(plan, messages), number, sizeof number),
	       units_plural(SUM(plan, messages), "message", "messages"),
	       moment_local(plan->now, when, sizeof when), (double)plan->took / 1e9);
	printf("Messages that stand there when all is done that is due until then:\n");
	print_tiers(plan, hours, n);
	printf("\nMessages that become due, each column since the one before:\n");
	print_rules(plan, hours, n);
	printf("\n");
	print_notes(plan);
}

/* ---- for programs ---- */

static json_t *list_of(const uint64_t *numbers, unsigned first, unsigned last)
{
	json_t *list = json_array();

	for (unsigned i = first; i <= last; i++)
		json_array_append_new(list, json_integer((json_int_t)numbers[i]));
	return list;
}

static json_t *json_tiers(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < plan->census.policies[0]->n_tiers; i++) {
		const struct survey_tier *tier = &plan->census.survey.tiers[i];
		const uint64_t *stand = plan->forecasts[0]->tiers[i].stand;
		uint64_t quarantined = tier->held + tier->ignored;
		json_t *one = json_pack("{s:s, s:I, s:I, s:I, s:I}", "name",
					plan->census.policies[0]->tiers[i].name, "messages",
					(json_int_t)tier->messages, "read", (json_int_t)tier->read,
					"quarantined", (json_int_t)quarantined, "now",
					(json_int_t)stand[0]);

		json_object_set_new(one, "body_bytes",
				    tier->sized ? json_integer((json_int_t)tier->bytes)
						: json_null());
		json_object_set_new(one, "oldest",
				    tier->oldest == INT64_MAX ? json_null()
							      : json_integer(tier->oldest));
		json_object_set_new(one, "hours", list_of(stand, 1, plan->hours));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *json_rules(const struct plan *plan)
{
	const struct policy *policy = plan->census.policies[0];
	json_t *list = json_array();

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		const struct forecast_rule *count = &plan->forecasts[0]->rules[i];
		bool moves = rule->decides && rule->action == POLICY_MOVE;
		char text[POLICY_TIER_NAME_MAX + 8];
		const char *action = command_rule_action(policy, rule, text, sizeof text);
		json_t *one = json_pack(
			"{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "name", rule->name, "action",
			moves ? "move" : action, "now", (json_int_t)count->due[0], "total",
			(json_int_t)count->total, "circles", (json_int_t)count->circles,
			"data_elsewhere", (json_int_t)count->elsewhere, "quarantined",
			(json_int_t)count->held, "unknown", (json_int_t)count->unknown);

		if (moves)
			json_object_set_new(one, "to",
					    json_string(policy->tiers[rule->target].name));
		json_object_set_new(one, "hours", list_of(count->due, 1, plan->hours));
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *json_limits(const struct plan *plan)
{
	json_t *all = json_object();

	for (int i = 0; i < N_LIMITS; i++) {
		uint32_t limit = limit_of(plan->census.policies[0], i);
		struct forecast_line line;

		if (!limit)
			continue;
		forecast_limit(plan->forecasts[0], limits[i].action, limit, limits[i].period,
			       &line);
		json_object_set_new(all, limits[i].name,
				    json_pack("{s:I, s:I, s:I, s:I, s:I}", "limit",
					      (json_int_t)limit, "now", (json_int_t)line.now,
					      "seconds", (json_int_t)line.seconds, "longest",
					      (json_int_t)line.longest, "left",
					      (json_int_t)line.left));
	}
	return all;
}

static json_t *json_troubles(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; i < TROUBLES; i++) {
		const struct survey_trouble *trouble = &plan->census.survey.troubles[i];

		if (trouble->messages)
			json_array_append_new(
				list,
				json_pack("{s:s, s:I, s:s, s:s}", "reason",
					  trouble_text((enum trouble)i), "messages",
					  (json_int_t)trouble->messages, "example",
					  trouble->example, "tier",
					  plan->census.policies[0]->tiers[trouble->tier].name));
	}
	return list;
}

static int print_json(const struct plan *plan)
{
	char when[MOMENT_TEXT];
	json_t *all = json_pack(
		"{s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o}", "time",
		moment_utc(plan->now, when, sizeof when), "epoch", (json_int_t)plan->now, "hours",
		(int)plan->hours, "messages", (json_int_t)SUM(plan, messages), "read",
		(json_int_t)SUM(plan, read), "left_meanwhile", (json_int_t)SUM(plan, gone),
		"refused", (json_int_t)census_troubled(&plan->census), "unknown",
		(json_int_t)plan->forecasts[0]->unknown, "seconds", (double)plan->took / 1e9,
		"tiers", json_tiers(plan), "rules", json_rules(plan), "limits", json_limits(plan),
		"troubles", json_troubles(plan));
	int r = all ? json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) : -1;

	json_decref(all);
	putchar('\n');
	return r;
}

/* ---- */

static int run(struct plan *plan)
{
	struct problems problems = {0};
	int64_t started = clock_monotonic();
	int code = EXIT_DONE;

	if (census_open(&plan->census, plan->path, false, &problems) < 0) {
		code = command_report(&problems);
	} else {
		read_all(plan);
		plan->took = clock_monotonic() - started;
		code = census_problems(&plan->census) ? EXIT_PROBLEM : EXIT_DONE;
		if (plan->json ? print_json(plan) < 0 : (print_all(plan), false))
			code = EXIT_REFUSED;
		code = command_finish("plan", code);
	}
	for (unsigned i = 0; i < plan->census.threads; i++)
		forecast_free(plan->forecasts[i]);
	census_free(&plan->census);
	problems_free(&problems);
	return code;
}

int cmd_plan(int argc, char **argv)
{
	enum { JSON = 256, AT, HOURS, SIZES };
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"json", no_argument, NULL, JSON},
						{"at", required_argument, NULL, AT},
						{"hours", required_argument, NULL, HOURS},
						{"sizes", no_argument, NULL, SIZES},
						{"help", no_argument, NULL, 'h'},
						{0}};
	int64_t now = clock_now() / CLOCK_SECOND;
	static struct plan plan;
	char *end;
	int c;

	plan = (struct plan){.path = COMMAND_DEFAULT_POLICY, .now = now, .hours = 24};
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			plan.path = optarg;
			break;
		case JSON:
			plan.json = true;
			break;
		case AT:
			if (moment_parse(optarg, now, &plan.now) < 0)
				return command_misused("plan", "--at: this is no time:", optarg);
			break;
		case HOURS:
			errno = 0;
			plan.hours = (unsigned)strtoul(optarg, &end, 10);
			if (errno || *end || plan.hours < 1 || plan.hours > FORECAST_MAX_HOURS ||
			    *optarg == '-')
				return command_misused("plan", "--hours: 1 to 720, not", optarg);
			break;
		case SIZES:
			plan.sizes = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("plan", NULL, NULL);
		}
	if (optind < argc)
		return command_misused("plan", "unexpected argument", argv[optind]);
	return run(&plan);
}
