/* cmd_list.c - qfwatch list: the messages, for people or as JSON Lines; from the daemon, or from
 * the spool where there is none. Each message is one JSON object wherever it comes from
 * (listing.h), so both tell the same. Nothing is kept: a list of any length takes no memory.
 */
#include "qfwatch/command.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "qfwatch/answer.h"
#include "qfwatch/census.h"
#include "qfwatch/clock.h"
#include "qfwatch/columns.h"
#include "qfwatch/feed.h"
#include "qfwatch/listing.h"
#include "qfwatch/moment.h"
#include "qfwatch/plain.h"
#include "qfwatch/query.h"
#include "qfwatch/xalloc.h"

static const char usage[] =
	"usage: qfwatch list [-c FILE] [FILTER...] [--limit N] [--json] [--spool]\n"
	"\n"
	"Lists the messages in the tiers, as the running daemon knows them; without one they are "
	"read from\n"
	"the spool. A filter may be given several times: then one of its values has to hold.\n"
	"\n" QUERY_USAGE_FILTERS "      --limit N            no more than that\n"
	"      --json               JSON Lines, with the names of \"postqueue -j\" and "
	"more\n" QUERY_USAGE_COMMON "\n"
	"Exit code 0: done; 1: some messages cannot be read, or --status costs too much on them; "
	"3: no\n"
	"answer, and why.\n";

/* Bytes that are written at once where nobody reads along. */
enum { BUFFER = 64 * 1024 };

/* Where the lines go. */
struct printer {
	struct query *query;
	int64_t now;
	bool broken;	    /* nobody reads on */
	size_t printed;	    /* lines */
	uint64_t given_up;  /* messages on which --status was */
	atomic_bool enough; /* as many as were asked for, or nobody reads on */
	int tier_width;
	size_t width; /* of the terminal; 0: whole lines */
};

/* ---- a line for people ---- */

/* "MIDQUEUE in 5m", "delete now (busy)", "(refused)", "-" */
static void describe_next(const struct printer *printer, const json_t *message, char *buffer,
			  size_t size)
{
	const json_t *next = json_object_get(message, "next_move");
	const char *state = answer_text(message, "state"), *to = answer_text(next, "to");
	char length[MOMENT_TEXT];
	int64_t at;

	*buffer = 0;
	if (json_is_object(next)) {
		plain_add(buffer, size, *to ? to : answer_text(next, "action"));
		if (answer_number(next, "at", &at) && at > printer->now) {
			plain_add(buffer, size, " in ");
			plain_add(buffer, size,
				  moment_length(at - printer->now, length, sizeof length));
		} else {
			plain_add(buffer, size, " now");
		}
	}
	if (*state && strcmp(state, "idle") != 0) {
		plain_add(buffer, size, *buffer ? " (" : "(");
		plain_add(buffer, size, state);
		plain_add(buffer, size, ")");
	}
	if (!*buffer)
		plain_add(buffer, size, "-");
}

/* "news@example.com > a@example.net +2: Deferred: ..." */
static void describe_addresses(const json_t *message, char *buffer, size_t size)
{
	const json_t *recipients = json_object_get(message, "recipients");
	const json_t *first = json_array_get(recipients, 0);
	size_t count = json_array_size(recipients);
	const char *sender = answer_text(message, "sender"),
		   *status = answer_text(first, "delay_reason");
	char more[32];

	*buffer = 0;
	plain_add(buffer, size, *sender ? sender : "?");
	plain_add(buffer, size, " > ");
	plain_add(buffer, size, count ? answer_text(first, "address") : "?");
	if (count > 1) {
		snprintf(more, sizeof more, " +%zu", count - 1);
		plain_add(buffer, size, more);
	}
	if (*status) {
		plain_add(buffer, size, ": ");
		plain_add(buffer, size, status);
	}
}

/* "MIDQUEUE in 5d23h", "bounce in 5d23h". */
static int next_width(const struct printer *printer)
{
	return (printer->tier_width > 6 ? printer->tier_width : 6) + 9;
}

static void print_head(const struct printer *printer)
{
	printf("%-14s  %-*s  %6s  %5s  %5s  %-*s  %s\n", "ID", printer->tier_width, "TIER", "AGE",
	       "TRIES", "SIZE", next_width(printer), "NEXT", "SENDER > RECIPIENT: STATUS");
}

static void print_row(struct printer *printer, const json_t *message)
{
	char id[300] = "", tier[300] = "", age[MOMENT_TEXT] = "?", tries[24] = "?", size[32] = "?",
	     next[400], addresses[2200], line[4096];
	int64_t number;

	plain_add(id, sizeof id, answer_text(message, "queue_id"));
	plain_add(tier, sizeof tier, answer_text(message, "tier"));
	if (answer_number(message, "arrival_time", &number))
		moment_length(printer->now - number, age, sizeof age);
	if (answer_number(message, "attempts", &number))
		snprintf(tries, sizeof tries, "%lld", (long long)number);
	if (answer_number(message, "message_size", &number))
		columns_bytes((uint64_t)number, size, sizeof size);
	describe_next(printer, message, next, sizeof next);
	describe_addresses(message, addresses, sizeof addresses);
	/* The numbers count bytes: names of tiers and rules in other alphabets stand a bit off. */
	snprintf(line, sizeof line, "%-14s  %-*s  %6s  %5s  %5s  %-*s  %s", id, printer->tier_width,
		 tier, age, tries, size, next_width(printer), next, addresses);
	if (printer->width)
		plain_cut(line, printer->width);
	puts(line);
}

/* ---- one message, from either side ---- */

static bool is_full(const struct printer *printer)
{
	return printer->query->has_limit && printer->query->limit &&
	       printer->printed >= printer->query->limit;
}

static bool print_message(void *context, char *line, size_t length)
{
	struct printer *printer = context;
	json_t *message;

	if (!length)
		return true;
	if (is_full(printer))
		return true;
	if (printer->query->json) {
		line[length] = '\n';
		fwrite(line, 1, length + 1, stdout);
	} else {
		message = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
		if (!message)
			return false;
		if (!printer->printed)
			print_head(printer);
		print_row(printer, message);
		json_decref(message);
	}
	printer->printed++;
	printer->broken = !command_has_written();
	if (printer->broken || is_full(printer))
		atomic_store(&printer->enough, true);
	return !printer->broken;
}

/* ---- from the daemon ---- */

static bool take_piece(void *context, const char *bytes, size_t length)
{
	return feed_put(context, bytes, length);
}

/* A message; or the last line, which says on how many the filter was given up. */
static bool take_line(void *context, char *line, size_t length)
{
	static const char end[] = "{\"given_up\":";
	struct printer *printer = context;
	json_t *last;

	if (strncmp(line, end, sizeof end - 1) != 0)
		return print_message(context, line, length);
	last = json_loadb(line, length, 0, NULL);
	printer->given_up = answer_count(last, "given_up");
	json_decref(last);
	return true;
}

static enum query_next ask_daemon(struct printer *printer, int *ret_code)
{
	struct query *query = printer->query;
	struct feed feed = {.take = take_line, .context = printer};
	struct client *client = NULL;
	struct client_trouble trouble;
	char *target = query_target(query, "/api/v1/messages?format=jsonl");
	int r = client_new(&query->policy->listen, query->policy_path, &client, &trouble);

	if (r == 0)
		query_warn_incomplete(query, client);
	if (r == 0)
		r = client_get(client, target, take_piece, &feed, &trouble);
	if (r == 0 && !feed_end(&feed) && !printer->broken) {
		r = -1;
		trouble = (struct client_trouble){.failure = CLIENT_STOPPED};
	}
	client_free(client);
	free(target);
	feed_free(&feed);
	*ret_code = EXIT_DONE;
	if (r == 0 || printer->broken)
		return QUERY_END;
	if (trouble.failure == CLIENT_STOPPED) {
		trouble.failure = CLIENT_STRANGE;
		snprintf(trouble.reason, sizeof trouble.reason,
			 "what answers at %s sends no messages", query->policy->listen.address);
		snprintf(trouble.remedy, sizeof trouble.remedy, "is it another version?");
	}
	return query_failed(query, &trouble, printer->printed > 0, ret_code);
}

/* ---- from the spool ---- */

struct reader {
	struct printer *printer;
	pthread_mutex_t *mutex; /* of the printer */
	const struct policy *policy;
	struct filter *filter;
	char *buffer; /* one line */
	size_t room;
};

static void list_one(void *context, const struct survey_facts *facts)
{
	struct reader *reader = context;
	const struct policy_message *message = &facts->message;
	struct listing listing = {.tier = reader->policy->tiers[message->tier].name,
				  .directory = facts->directory->path,
				  .id = facts->id,
				  .id_length = facts->id_length,
				  .has_numbers = true,
				  .facts = *message};
	struct json_line line = {0};
	size_t room;

	if (filter_match_read(reader->filter, message, reader->printer->now) != POLICY_YES)
		return;
	listing_next_move(reader->policy, message, reader->printer->now, &listing.next);
	room = listing_room(&listing) + 1; /* and a line end */
	if (room > reader->room) {
		reader->room = 2 * room;
		reader->buffer = xreallocarray(reader->buffer, reader->room, 1);
	}
	line.buffer = reader->buffer;
	line.size = reader->room;
	listing_put(&listing, &line);
	pthread_mutex_lock(reader->mutex);
	if (!reader->printer->broken)
		print_message(reader->printer, line.buffer, line.length);
	pthread_mutex_unlock(reader->mutex);
}

static void read_tiers(struct printer *printer, struct census *census)
{
	struct reader readers[SURVEY_MAX_THREADS] = {0};
	void *contexts[SURVEY_MAX_THREADS];
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct survey_order order = {
		.threads = census->threads,
		.take = list_one,
		.contexts = contexts,
		.stop = &printer->enough,
	};

	for (unsigned i = 0; i < census->threads; i++) {
		readers[i] = (struct reader){
			.printer = printer,
			.mutex = &mutex,
			.policy = census->policies[i],
			.filter = query_filter(printer->query, census->policies[i]),
		};
		contexts[i] = &readers[i];
	}
	order.text_tiers = order.size_tiers = filter_tiers(readers[0].filter);
	order.skip_tiers = ~order.text_tiers;
	survey_read(&census->survey, &census->spool, &order);
	for (unsigned i = 0; i < census->threads; i++) {
		printer->given_up += filter_given_up(readers[i].filter);
		filter_free(readers[i].filter);
		free(readers[i].buffer);
	}
}

static void read_census(struct census *census, void *context)
{
	struct printer *printer = context;

	read_tiers(printer, census);
}

/* ---- */

static int run(struct query *query)
{
	struct printer printer = {.query = query, .now = clock_now() / CLOCK_SECOND};
	struct winsize window;
	int code = query_load(query);

	if (code != EXIT_DONE)
		return code;
	printer.tier_width = 4;
	for (size_t i = 0; i < query->policy->n_tiers; i++) {
		int width = (int)strlen(query->policy->tiers[i].name);

		printer.tier_width = width > printer.tier_width ? width : printer.tier_width;
	}
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0)
		printer.width = window.ws_col;
	else
		setvbuf(stdout, NULL, _IOFBF, BUFFER);
	if (query->spool || ask_daemon(&printer, &code) == QUERY_READ)
		code = query_read_spool(query, read_census, &printer);
	code = command_finish(query->command, code);
	code = query_tell_given_up(query, printer.given_up, code);
	return code;
}

int cmd_list(int argc, char **argv)
{
	static const struct option options[] = {QUERY_OPTIONS, {0}};
	struct query query = {.command = "list"};
	int c, index = 0, code;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "c:h", options, &index)) != -1) {
		if (c == 'h') {
			fputs(usage, stdout);
			code = EXIT_DONE;
			goto out;
		}
		code = EXIT_USAGE;
		switch (query_option(&query, c, options[index].name, optarg)) {
		case 0:
			break;
		case -EINVAL:
			goto out;
		default:
			query_wrong_option(&query, argv, options);
			goto out;
		}
	}
	code = optind < argc ? command_misused("list", "unexpected argument", argv[optind])
			     : run(&query);
out:
	query_free(&query);
	return code;
}
