/* cmd_shape.c - qfwatch shape: which domains the messages are for (or from), by age. From the
 * daemon's memory, or from the spool where there is none; both give the same object (shape.h),
 * which
 * --json prints as it is.
 */
#include "qfwatch/command.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/answer.h"
#include "qfwatch/census.h"
#include "qfwatch/clock.h"
#include "qfwatch/columns.h"
#include "qfwatch/query.h"
#include "qfwatch/shape.h"

static const char usage[] =
	"usage: qfwatch shape [-c FILE] [--by sender] [--each] [FILTER...] [--limit N] [--json] "
	"[--spool]\n"
	"\n"
	"Counts the messages by recipient domain and by age, the busiest domain first. Columns are "
	"minutes:\n"
	"5 is up to 5, 10 is more than 5 and up to 10, 1280+ is older. A message counts once for "
	"each of its\n"
	"domains; TOTAL is the sum. From the running daemon; without one the spool is read.\n"
	"\n"
	"      --by sender          by the sender's domain; \"recipient\" is what is done without\n"
	"      --each               a table for each tier\n" QUERY_USAGE_FILTERS
	"      --limit N            so many domains (default 40 in tables; 0: all)\n"
	"      --json               one JSON object (with --each one a line for each "
	"tier)\n" QUERY_USAGE_COMMON "\n"
	"Exit code 0: done; 1: some messages cannot be read, or --status costs too much on them; "
	"3: no\n"
	"answer, and why.\n";

enum { BY = QUERY_OWN, EACH };

enum { ROWS = 40 };

struct table {
	struct query query;
	enum shape_by by;
	bool each;
	int64_t now;
	bool begun;	   /* something was printed */
	uint64_t given_up; /* messages on which --status was */
};

/* ---- telling ---- */

static int print_table(const json_t *all)
{
	const json_t *rows = json_object_get(all, "rows"), *row;
	const char *tier = answer_text(all, "tier");
	uint64_t cut = answer_count(all, "cut");
	struct columns *table;
	char text[32];
	size_t i;

	if (!json_is_array(rows))
		return -EINVAL;
	if (*tier) {
		table = columns_new(1, 1);
		columns_text(table, "%s", tier);
		columns_print(table, stdout);
		columns_free(table);
	}
	table = columns_new(2 + SHAPE_COLUMNS, 1);
	columns_text(table, "%s", "");
	columns_text(table, "T");
	for (i = 0; i < SHAPE_COLUMNS - 1; i++)
		columns_text(table, "%lld", (long long)(shape_bounds[i] / 60));
	columns_text(table, "%lld+", (long long)(shape_bounds[SHAPE_COLUMNS - 2] / 60));
	json_array_foreach(rows, i, row) {
		const json_t *counts = json_object_get(row, "counts");
		const char *name = json_string_value(json_object_get(row, "name"));

		columns_text(table, "%s", name ? name : "?");
		columns_number(table, (uint64_t)json_integer_value(json_object_get(row, "total")));
		for (size_t k = 0; k < SHAPE_COLUMNS; k++)
			columns_number(table,
				       (uint64_t)json_integer_value(json_array_get(counts, k)));
	}
	columns_print(table, stdout);
	columns_free(table);
	if (cut)
		printf("%s more: --limit 0 shows all\n", columns_thousands(cut, text, sizeof text));
	return 0;
}

/* One answer, whoever gave it. */
static int print_answer(struct table *table, const char *text, size_t length)
{
	json_t *all = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
	int r = all ? 0 : -EINVAL;

	if (r == 0 && table->query.json) {
		fwrite(text, 1, length, stdout);
		if (length && text[length - 1] != '\n')
			putchar('\n');
	} else if (r == 0) {
		if (table->begun)
			putchar('\n');
		r = print_table(all);
	}
	if (r == 0)
		table->given_up += answer_count(all, "given_up");
	json_decref(all);
	table->begun = true;
	return r;
}

/* Is the tier among those that are asked for? */
static bool wanted(const struct filter *filter, size_t tier)
{
	return filter_tiers(filter) >> tier & 1;
}

/* ---- from the daemon ---- */

/* `tier` takes the place of those that were asked for; NULL: none does. */
static int ask_once(struct table *table, struct client *client, const char *tier,
		    struct client_trouble *trouble)
{
	struct query part = table->query;
	char *target, *answer;
	size_t length;
	int r = 0;

	part.pairs = calloc(part.n_pairs + 1, sizeof *part.pairs);
	if (!part.pairs)
		exit(EXIT_REFUSED);
	part.n_pairs = 0;
	for (size_t i = 0; i < table->query.n_pairs; i++)
		if (!tier || strcmp(table->query.pairs[i].key, "tier") != 0)
			part.pairs[part.n_pairs++] = table->query.pairs[i];
	if (tier)
		part.pairs[part.n_pairs++] = (struct query_pair){"tier", tier};
	target = query_target(&part, table->by == SHAPE_SENDER ? "/api/v1/shape?by=sender"
							       : "/api/v1/shape");
	free(part.pairs);
	answer = client_fetch(client, target, &length, trouble);
	free(target);
	if (!answer)
		return -1;
	if (print_answer(table, answer, length) < 0) {
		r = -1;
		trouble->failure = CLIENT_STRANGE;
		snprintf(trouble->reason, sizeof trouble->reason,
			 "what answers at %s sends no shape", table->query.policy->listen.address);
		snprintf(trouble->remedy, sizeof trouble->remedy, "is it another version?");
	}
	free(answer);
	return r;
}

static enum query_next ask_daemon(struct table *table, int *ret_code)
{
	const struct policy *policy = table->query.policy;
	struct client *client = NULL;
	struct client_trouble trouble;
	struct filter *filter = query_filter(&table->query, policy);
	int r = client_new(&policy->listen, table->query.policy_path, &client, &trouble);

	if (r == 0)
		query_warn_incomplete(&table->query, client);
	if (r == 0 && !table->each)
		r = ask_once(table, client, NULL, &trouble);
	for (size_t i = 0; r == 0 && table->each && i < policy->n_tiers; i++)
		if (wanted(filter, i))
			r = ask_once(table, client, policy->tiers[i].name, &trouble);
	client_free(client);
	filter_free(filter);
	*ret_code = EXIT_DONE;
	if (r == 0)
		return QUERY_END;
	return query_failed(&table->query, &trouble, table->begun, ret_code);
}

/* ---- from the spool ---- */

struct reader {
	const struct table *table;
	struct filter *filter;
	struct shape *shapes[POLICY_MAX_TIERS]; /* one for each tier, or the first for all */
};

static void count_one(void *context, const struct survey_facts *facts)
{
	struct reader *reader = context;
	const struct policy_message *message = &facts->message;
	struct shape *shape = reader->shapes[reader->table->each ? message->tier : 0];
	uint64_t given_up = filter_given_up(reader->filter);

	if (!message->text)
		return;
	if (filter_match_read(reader->filter, message, reader->table->now) == POLICY_YES)
		shape_take(shape, reader->table->by, message->text,
			   reader->table->now - message->created);
	shape_leave_out(shape, filter_given_up(reader->filter) - given_up);
}

static void print_shape(struct table *table, struct shape *shape, const char *tier)
{
	size_t length;
	char *text = shape_json(shape, table->by, tier, table->now,
				table->query.has_limit ? table->query.limit : 0, &length);

	print_answer(table, text, length);
	free(text);
}

static void count_all(struct census *census, void *context)
{
	struct table *table = context;
	const struct policy *policy = census->policies[0];
	struct reader readers[SURVEY_MAX_THREADS] = {0};
	void *contexts[SURVEY_MAX_THREADS];
	struct survey_order order = {
		.threads = census->threads, .take = count_one, .contexts = contexts};
	size_t n = table->each ? policy->n_tiers : 1;

	for (unsigned i = 0; i < census->threads; i++) {
		readers[i].table = table;
		readers[i].filter = query_filter(&table->query, census->policies[i]);
		for (size_t k = 0; k < n; k++)
			readers[i].shapes[k] = shape_new();
		contexts[i] = &readers[i];
	}
	order.text_tiers = filter_tiers(readers[0].filter);
	order.skip_tiers = ~order.text_tiers;
	survey_read(&census->survey, &census->spool, &order);
	for (size_t k = 0; k < n; k++) {
		for (unsigned i = 1; i < census->threads; i++)
			shape_merge(readers[0].shapes[k], readers[i].shapes[k]);
		if (!table->each)
			print_shape(table, readers[0].shapes[k],
				    filter_only_tier(readers[0].filter, policy));
		else if (wanted(readers[0].filter, k))
			print_shape(table, readers[0].shapes[k], policy->tiers[k].name);
	}
	for (unsigned i = 0; i < census->threads; i++) {
		for (size_t k = 0; k < n; k++)
			shape_free(readers[i].shapes[k]);
		filter_free(readers[i].filter);
	}
}

/* ---- */

static int run(struct table *table)
{
	int code = query_load(&table->query);

	if (code != EXIT_DONE)
		return code;
	table->now = clock_now() / CLOCK_SECOND;
	if (!table->query.json && !table->query.has_limit) {
		table->query.has_limit = true;
		table->query.limit = ROWS;
	}
	if (table->query.spool || ask_daemon(table, &code) == QUERY_READ)
		code = query_read_spool(&table->query, count_all, table);
	code = command_finish("shape", code);
	code = query_tell_given_up(&table->query, table->given_up, code);
	return code;
}

static int read_by(struct table *table, const char *value)
{
	if (strcmp(value, "sender") == 0) {
		table->by = SHAPE_SENDER;
	} else if (strcmp(value, "recipient") == 0) {
		table->by = SHAPE_RECIPIENT;
	} else {
		char reason[128];

		snprintf(reason, sizeof reason, "--by: wrong value \"%s\"", value);
		query_complain("shape", reason, "expected recipient or sender");
		return -EINVAL;
	}
	return 0;
}

static int read_option(struct table *table, int option, const char *name, const char *value)
{
	switch (option) {
	case BY:
		return read_by(table, value);
	case EACH:
		table->each = true;
		return 0;
	default:
		return query_option(&table->query, option, name, value);
	}
}

int cmd_shape(int argc, char **argv)
{
	static const struct option options[] = {QUERY_OPTIONS,
						{"by", required_argument, NULL, BY},
						{"each", no_argument, NULL, EACH},
						{0}};
	struct table table = {.query = {.command = "shape"}};
	int c, index = 0, code, r = 0;

	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "c:h", options, &index)) != -1 && c != 'h')
		r = read_option(&table, c, options[index].name, optarg);
	code = EXIT_USAGE;
	if (r == -1) {
		query_wrong_option(&table.query, argv, options);
	} else if (r == 0 && c == 'h') {
		fputs(usage, stdout);
		code = EXIT_DONE;
	} else if (r == 0 && optind < argc) {
		command_misused("shape", "unexpected argument", argv[optind]);
	} else if (r == 0) {
		code = run(&table);
	}
	query_free(&table.query);
	return code;
}
