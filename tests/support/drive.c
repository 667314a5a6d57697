/* drive.c - see drive.h */
#include "drive.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/notify.h"

#include "testing.h"

/* Beside the tiers, so that it stays writable when those are not. */
#define LOG "../events.log"

struct engine *drive_engine;
struct events *drive_events;
int64_t drive_shift;

static int64_t started;
static size_t offset; /* of the first event not read yet, in LOG */
static json_t *last;

int64_t drive_now(void)
{
	return started + drive_shift;
}

static struct policy *make_policy(const char *tiers, const char *rules, struct problems *problems)
{
	struct policy *policy = NULL;
	char *text;

	check(asprintf(&text,
		       "{\"version\":1,\"tiers\":[%s],\"rules\":[%s],\"allow_delete\":%s,"
		       "\"events\":{\"sinks\":[{\"type\":\"file\",\"path\":\"" LOG "\"}],"
		       "\"include\":[\"message-tracked\",\"message-attempted\"]}}",
		       tiers, rules, strstr(rules, "delete") ? "true" : "false") > 0);
	policy_parse(text, strlen(text), testing_path("policy.json"), problems, &policy);
	free(text);
	return policy;
}

static void show(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		fprintf(stderr, "  %s\n", problems->list[i].text);
	problems_free(problems);
}

int drive_apply(const char *tiers, const char *rules)
{
	struct problems problems = {0};
	struct policy *policy = make_policy(tiers, rules, &problems);
	int r = policy ? engine_apply(drive_engine, policy, &problems) : -(int)problems.count;

	if (r < 0)
		policy_free(policy);
	show(&problems);
	return r;
}

void drive_start(const char *tiers, const char *rules, enum engine_mode mode, bool dry_run)
{
	int guard;

	drive_events = events_new(dry_run);
	drive_engine = engine_new(drive_events, mode, dry_run);
	check(drive_events && drive_engine);
	guard = testing_keep_queue();
	check_equal(drive_apply(tiers, rules), 0);
	testing_let_queue(guard);
	started = clock_now();
	drive_turns();
}

void drive_start_usual(void)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_told("resynced: first scan");
	drive_told_nothing;
}

void drive_turns(void)
{
	struct pollfd fd = {.fd = notify_fd(), .events = POLLIN};
	struct pollfd scan = {.fd = -1, .events = POLLIN};
	unsigned turns = 0;

	/* What it does itself comes back as notifications. One that never comes to rest would spin
	 * in the loop. */
	while (engine_turn(drive_engine, drive_now()) || (fd.fd >= 0 && poll(&fd, 1, 0) == 1) ||
	       (scan.fd = engine_worker_fd(drive_engine, ENGINE_SCAN_WORKER)) >= 0) {
		check(++turns < 1000000);
		/* What a scan reads is waited for; it has no worker when it is over. */
		if (scan.fd >= 0)
			poll(&scan, 1, 10);
		scan.fd = -1;
	}
	events_flush(drive_events, clock_now());
}

void drive_later(int64_t microseconds)
{
	drive_shift += microseconds;
	drive_turns();
}

void drive_wait(void)
{
	while (engine_is_waiting(drive_engine)) {
		struct pollfd fds[ENGINE_WORKERS];

		for (unsigned i = 0; i < ENGINE_WORKERS; i++)
			fds[i] = (struct pollfd){.fd = engine_worker_fd(drive_engine, i),
						 .events = POLLIN};
		check(poll(fds, ENGINE_WORKERS, TESTING_OVERDUE) > 0);
		drive_turns();
	}
}

static const char *text_or(const char *before, const char *path)
{
	static char texts[8][600];
	static unsigned next;
	char *text = texts[next++ % N(texts)];
	const char *found = lines_text(last, path);

	snprintf(text, sizeof(texts[0]), "%s%s", found ? before : "", found ? found : "");
	return text;
}

const char *drive_next(void)
{
	static char text[2400];
	size_t length;
	char *log = testing_read(LOG, &length), *end;

	json_decref(last);
	last = NULL;
	text[0] = 0;
	end = memchr(log + offset, '\n', length - offset);
	if (end) {
		bool move;

		last = lines_parse(log + offset, (size_t)(end + 1 - log) - offset);
		lines_check(last);
		move = lines_at(last, "qfwatch/move") != NULL;
		snprintf(text, sizeof(text), "%s%s%s%s%s", lines_text(last, "event/action"),
			 text_or(" ", "email/local_id"),
			 text_or(" ", move ? "qfwatch/move/from" : "qfwatch/tier"),
			 text_or("->", "qfwatch/move/to"), text_or(": ", "event/reason"));
		offset = (size_t)(end + 1 - log);
	} else {
		check_equal(offset, length);
	}
	free(log);
	return text;
}

const char *drive_news(void)
{
	static const char *const passed_over[] = {"message-tracked ", "message-attempted ",
						  "resynced"};
	const char *text;

again:
	text = drive_next();
	for (size_t i = 0; i < N(passed_over); i++)
		if (strncmp(text, passed_over[i], strlen(passed_over[i])) == 0)
			goto again;
	return text;
}

json_t *drive_last(void)
{
	return last;
}

size_t drive_skip(void)
{
	size_t count = 0;

	while (drive_next()[0])
		count++;
	return count;
}

void drive_finish(void)
{
	engine_free(drive_engine);
	events_free(drive_events);
	json_decref(last);
	check_equal(testing_count("../run"), 0);
	testing_all_closed();
}
