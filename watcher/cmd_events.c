/* cmd_events.c - qfwatch events: what the event files say, for people or as recorded. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fnmatch.h>

#include "qfwatch/clock.h"
#include "qfwatch/event_filter.h"
#include "qfwatch/event_log.h"
#include "qfwatch/event_record.h"
#include "qfwatch/event_show.h"
#include "qfwatch/policy.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

static const char usage[] =
	"usage: qfwatch events [-c FILE] [OPTION...] [EVENT-FILE...]\n"
	"\n"
	"Prints the events in the event files, rotated ones (FILE.1, FILE-20261122) included, "
	"oldest "
	"first.\n"
	"Without EVENT-FILE, those that the policy's file sinks name; \"-\" is standard input.\n"
	"\n"
	"  -s, --since WHEN   from then on: RUN:SEQUENCE, 2026-11-22T17:20:15Z, \"2026-11-22 "
	"17:20\" (local\n"
	"                     time), 17:20 (today), or 2h (ago)\n"
	"  -u, --until WHEN   up to then, that moment included\n"
	"  -a, --action GLOB  only these actions, such as message-moved or \"tier-*\"\n"
	"  -i, --id GLOB      only these messages, with the time between the steps of each\n"
	"  -r, --rule GLOB    only what these rules did\n"
	"  -t, --tier GLOB    only what is about these tiers, or leads from or to them\n"
	"  -f, --follow       go on with what is written from now on, over rotations, until "
	"interrupted;\n"
	"                     what is there already comes first only with --since or --id\n"
	"      --json         the lines as recorded\n"
	"      --utc          times in UTC instead of local time\n"
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"-a, -i, -r and -t may be given several times: any of the same kind, and all kinds.\n"
	"Exit code 0: all was read; 1: some lines are broken, and which is on stderr.\n";

/* Of broken lines so many are told one by one, then they are counted. */
#define TOLD 20

/* How often files are looked at that are followed, milliseconds. */
#define EVERY 200

struct source {
	struct event_log *log;
	struct event_span span;
	struct event_line line; /* with `record`: the next one to print */
	struct event_record record;
	bool has_record, ended;
};

struct reader {
	struct event_filter filter;
	struct event_show show;
	struct source *sources;
	size_t n_sources;
	bool json, follow;
	unsigned long broken;
	unsigned failed;
	/* Of several logs that hold the same events, each is printed once. */
	struct event_key *printed;
};

#define PRINTED 8192

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* ---- reading ---- */

static void tell_broken(struct reader *reader, const struct event_line *line, const char *why)
{
	if (++reader->broken > TOLD)
		return;
	fflush(stdout);
	command_has_written();
	fprintf(stderr, "qfwatch events: %s:%llu: %s\n", line->file,
		(unsigned long long)line->number, why);
}

/* A line that is not wanted is not read, but one that was cut is told: it begins and ends as an
 * object does. */
static bool looks_whole(const struct event_line *line)
{
	return line->length > 1 && line->text[0] == '{' && line->text[line->length - 1] == '}';
}

/* Is it the next one to print? Then it is in source->record. */
static bool accept(struct reader *reader, struct source *source, const struct event_line *line)
{
	const char *why = line->fault;

	if (why || (!looks_whole(line) && line->length)) {
		tell_broken(reader, line, why ? why : "this is no whole line of JSON");
		return false;
	}
	if (!line->length || !event_filter_may_want(&reader->filter, line->text, line->length))
		return false;
	if (event_record_read(line->text, line->length, &source->record, &why) < 0) {
		tell_broken(reader, line, why);
		return false;
	}
	if (event_filter_spans(&reader->filter, &source->record, &source->span) &&
	    event_filter_wants(&reader->filter, &source->record)) {
		source->line = *line;
		return true;
	}
	event_record_free(&source->record);
	source->ended = source->span.over;
	return false;
}

/* Brings a source to its next event, if it has one now. */
static void advance(struct reader *reader, struct source *source)
{
	struct event_line line;
	int r = 0;

	while (!interrupted && !source->has_record && !source->ended) {
		r = event_log_next(source->log, &line);
		if (r <= 0)
			break;
		source->has_record = accept(reader, source, &line);
	}
	if (r < 0) {
		fprintf(stderr, "qfwatch events: %s: %s\n", event_log_file(source->log),
			strerror(-r));
		reader->failed++;
		source->ended = true;
	}
}

static bool was_printed(struct reader *reader, const struct event_key *key)
{
	struct event_key *place;
	uint64_t hash = key->number;

	if (reader->n_sources < 2 || !key->run[0])
		return false;
	for (const char *c = key->run; *c; c++)
		hash = hash * 31 + (unsigned char)*c;
	place = &reader->printed[hash % PRINTED];
	if (place->number == key->number && strcmp(place->run, key->run) == 0)
		return true;
	*place = *key;
	return false;
}

static void print(struct reader *reader, struct source *source)
{
	if (!was_printed(reader, &source->record.key)) {
		if (reader->json) {
			fwrite(source->line.text, 1, source->line.length, stdout);
			putchar('\n');
		} else {
			event_show(&reader->show, &source->record, stdout);
		}
		command_has_written();
	}
	event_record_free(&source->record);
	source->has_record = false;
}

/* Prints all that there is now, the earliest first. */
static void print_all(struct reader *reader)
{
	for (;;) {
		struct source *first = NULL;

		for (size_t i = 0; i < reader->n_sources && !interrupted; i++) {
			struct source *source = &reader->sources[i];

			advance(reader, source);
			if (source->has_record &&
			    (!first ||
			     event_key_compare(&source->record.key, &first->record.key) < 0))
				first = source;
		}
		if (!first || interrupted)
			return;
		print(reader, first);
	}
}

static bool all_ended(const struct reader *reader)
{
	for (size_t i = 0; i < reader->n_sources; i++)
		if (!reader->sources[i].ended)
			return false;
	return true;
}

static void follow(struct reader *reader)
{
	while (!interrupted && !all_ended(reader)) {
		fflush(stdout);
		if (!command_has_written())
			return;
		poll(NULL, 0, EVERY);
		print_all(reader);
	}
}

/* ---- opening ---- */

static void tell_left_out(const char *file, const char *why)
{
	fprintf(stderr, "qfwatch events: %s is left out: %s\n", file, why);
}

static enum command_exit open_log(struct reader *reader, const char *path)
{
	bool all = reader->filter.since.set || reader->filter.fields[EVENT_FIELD_ID].count;
	enum event_log_start start = !reader->follow ? EVENT_LOG_ALL
				     : all	     ? EVENT_LOG_ALL_AND_FOLLOW
						     : EVENT_LOG_FOLLOW;
	struct event_bound since = reader->filter.since;
	struct source *source = &reader->sources[reader->n_sources];
	int r = event_log_open(path, start, since.set && !since.run[0] ? since.time : INT64_MIN,
			       &source->log);

	if (r < 0) {
		fprintf(stderr, "qfwatch events: %s: %s%s\n", path, strerror(-r),
			r == -ENOENT   ? ": nothing has been written there yet"
			: r == -EACCES ? ": run it as a user who may read it"
				       : "");
		return EXIT_REFUSED;
	}
	if (start != EVENT_LOG_FOLLOW)
		event_log_left_out(source->log, tell_left_out);
	reader->n_sources++;
	return EXIT_DONE;
}

static enum command_exit open_named(struct reader *reader, int count, char **paths)
{
	reader->sources = xcalloc((size_t)count, sizeof *reader->sources);
	for (int i = 0; i < count; i++) {
		enum command_exit code = open_log(reader, paths[i]);

		if (code != EXIT_DONE)
			return code;
	}
	return EXIT_DONE;
}

static enum command_exit open_of_policy(struct reader *reader, const char *path)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	enum command_exit code = EXIT_DONE;
	bool any = false;

	if (policy_load(path, &problems, &policy) < 0) {
		code = (enum command_exit)command_report(&problems);
		problems_free(&problems);
		return code;
	}
	reader->sources = xcalloc(policy->n_sinks + 1, sizeof *reader->sources);
	for (size_t i = 0; i < policy->n_sinks && code == EXIT_DONE; i++)
		if (policy->sinks[i].type == POLICY_SINK_FILE) {
			any = true;
			code = open_log(reader, policy->sinks[i].path);
		}
	if (!any) {
		fprintf(stderr,
			"qfwatch events: %s has no sink of type \"file\": name an event file, or "
			"\"-\" for standard input\n",
			path);
		code = EXIT_USAGE;
	}
	policy_free(policy);
	problems_free(&problems);
	return code;
}

/* ---- the command ---- */

/* A reader that has gone away ends us by SIGPIPE; a full disk is told. */
static int finish(struct reader *reader)
{
	int code = reader->broken || reader->failed ? EXIT_PROBLEM : EXIT_DONE;

	code = command_finish("events", code);
	if (reader->broken > TOLD)
		fprintf(stderr, "qfwatch events: ... and so on\n");
	if (reader->broken)
		fprintf(stderr, "qfwatch events: %lu broken line%s left out\n", reader->broken,
			units_plural(reader->broken, "", "s"));
	for (size_t i = 0; i < reader->n_sources; i++) {
		const struct event_bound *since = &reader->filter.since;

		if (!since->set || !since->run[0] || reader->sources[i].span.begun || interrupted)
			continue;
		fprintf(stderr,
			"qfwatch events: %s: sequence %llu of run %s, or a later one of it, is not "
			"there\n",
			event_log_file(reader->sources[i].log), (unsigned long long)since->sequence,
			since->run);
		code = EXIT_PROBLEM;
	}
	return code;
}

static enum command_exit run(struct reader *reader, const char *policy, int argc, char **argv)
{
	enum command_exit code =
		argc ? open_named(reader, argc, argv) : open_of_policy(reader, policy);

	if (code == EXIT_DONE) {
		reader->show.steps = reader->filter.fields[EVENT_FIELD_ID].count > 0;
		reader->printed = xcalloc(PRINTED, sizeof *reader->printed);
		if (reader->follow) {
			const struct sigaction action = {.sa_handler = interrupt};

			sigaction(SIGINT, &action, NULL);
			sigaction(SIGTERM, &action, NULL);
		}
		print_all(reader);
		if (reader->follow)
			follow(reader);
		code = finish(reader);
	}
	for (size_t i = 0; i < reader->n_sources; i++) {
		event_record_free(&reader->sources[i].record);
		event_log_close(reader->sources[i].log);
	}
	free(reader->printed);
	free(reader->sources);
	return code;
}

/* A name that no event has is a slip: better told than answered with silence. */
static bool check_action(const char *glob)
{
	for (size_t i = 0; policy_event_names[i]; i++)
		if (fnmatch(glob, policy_event_names[i], 0) == 0)
			return true;
	fprintf(stderr, "qfwatch events: no event is called \"%s\"; there are", glob);
	for (size_t i = 0; policy_event_names[i]; i++)
		fprintf(stderr, "%s %s", i ? "," : "", policy_event_names[i]);
	fputc('\n', stderr);
	return false;
}

static bool read_bound(const char *option, const char *text, struct event_bound *ret)
{
	if (event_bound_read(text, clock_now(), ret) == 0)
		return true;
	fprintf(stderr,
		"qfwatch events: \"%s\" for --%s is no time: expected such as "
		"2026-11-22T17:20:15Z, \"2026-11-22 17:20\", 17:20, 2h (ago) or RUN:SEQUENCE\n",
		text, option);
	return false;
}

static bool wants_color(void)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && terminal && strcmp(terminal, "dumb") != 0;
}

enum { OPTION_JSON = 256, OPTION_UTC };

static const struct option options[] = {
	{"since", required_argument, NULL, 's'},  {"until", required_argument, NULL, 'u'},
	{"action", required_argument, NULL, 'a'}, {"id", required_argument, NULL, 'i'},
	{"rule", required_argument, NULL, 'r'},	  {"tier", required_argument, NULL, 't'},
	{"follow", no_argument, NULL, 'f'},	  {"json", no_argument, NULL, OPTION_JSON},
	{"utc", no_argument, NULL, OPTION_UTC},	  {"config", required_argument, NULL, 'c'},
	{"help", no_argument, NULL, 'h'},	  {0}};

/* Returns an exit code, or -1 to go on. */
static int read_options(struct reader *reader, int argc, char **argv, const char **ret_policy)
{
	const char *since = NULL, *until = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "s:u:a:i:r:t:fc:h", options, NULL)) != -1)
		switch (c) {
		case 's':
			since = optarg;
			break;
		case 'u':
			until = optarg;
			break;
		case 'a':
			if (!check_action(optarg))
				return EXIT_USAGE;
			event_filter_add(&reader->filter, EVENT_FIELD_ACTION, optarg);
			break;
		case 'i':
			event_filter_add(&reader->filter, EVENT_FIELD_ID, optarg);
			break;
		case 'r':
			event_filter_add(&reader->filter, EVENT_FIELD_RULE, optarg);
			break;
		case 't':
			event_filter_add(&reader->filter, EVENT_FIELD_TIER, optarg);
			break;
		case 'f':
			reader->follow = true;
			break;
		case OPTION_JSON:
			reader->json = true;
			break;
		case OPTION_UTC:
			setenv("TZ", "UTC0", 1);
			break;
		case 'c':
			*ret_policy = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("events", NULL, NULL);
		}
	/* Now that the zone is known. */
	tzset();
	if ((since && !read_bound("since", since, &reader->filter.since)) ||
	    (until && !read_bound("until", until, &reader->filter.until)))
		return EXIT_USAGE;
	return -1;
}

int cmd_events(int argc, char **argv)
{
	struct reader *reader = xcalloc(1, sizeof *reader);
	const char *policy = COMMAND_DEFAULT_POLICY;
	int code = read_options(reader, argc, argv, &policy);

	if (code < 0) {
		reader->show.color = wants_color();
		code = run(reader, policy, argc - optind, argv + optind);
	}
	event_filter_free(&reader->filter);
	free(reader);
	return code;
}
