/* test_event_log.c - an event file and its rotated ones, read in order and followed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/event_log.h"

#include "../support/testing.h"

static struct event_log *log_of;

/* Adds event `number` of run `run` to a file; its time is `number` seconds into the run's hour. */
static void add(const char *path, char run, int number)
{
	FILE *file = fopen(path, "a");

	check(file != NULL);
	fprintf(file,
		"{\"@timestamp\":\"2026-11-22T%02d:%02d:%02dZ\",\"event\":{\"id\":\"%c-%d\","
		"\"action\":"
		"\"started\"},\"qfwatch\":{}}\n",
		run - 'a', number / 60, number % 60, run, number);
	check(fclose(file) == 0);
}

static void add_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "a");

	check(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void start(enum event_log_start how)
{
	check_equal(event_log_open(testing_path("ev.json"), how, INT64_MIN, &log_of), 0);
}

/* All that there is now: "a-1 a-2 ", and "!" for a line with a fault. */
static const char *rest(void)
{
	static char found[4000];
	struct event_line line;
	int r;

	found[0] = 0;
	while ((r = event_log_next(log_of, &line)) == 1) {
		const char *id = memmem(line.text, line.length, "\"id\":\"", 6);
		size_t n = strlen(found);

		if (line.fault || !id)
			snprintf(found + n, sizeof(found) - n, "! ");
		else
			snprintf(found + n, sizeof(found) - n, "%.*s ", (int)strcspn(id + 6, "\""),
				 id + 6);
	}
	check_equal(r, 0);
	return found;
}

static void finish(void)
{
	event_log_close(log_of);
	testing_all_closed();
}

static void order_is_taken_from_the_contents(void)
{
	add("ev.json", 'd', 1);
	add("ev.json.1", 'c', 1);
	add("ev.json.10", 'a', 2);
	add("ev.json-20261122", 'b', 7);
	add("ev.json.2-1795368015", 'b', 9);
	/* None of these. */
	add("ev.json.old", 'a', 1);
	add("ev.jsonl", 'a', 1);
	add("other.json.1", 'a', 1);
	add_text("ev.json.3.gz", "\037\213");
	testing_mkdir("ev.json.4");
	start(EVENT_LOG_ALL);
	check_text(rest(), "a-2 b-7 b-9 c-1 d-1 ");
	check_text(rest(), "");
	finish();
}

static void copies_are_read_once(void)
{
	add("ev.json", 'a', 1);
	add("ev.json", 'a', 2);
	add("ev.json.1", 'a', 1);
	testing_link("ev.json", "ev.json.2");
	start(EVENT_LOG_ALL);
	check_text(rest(), "a-1 a-2 ");
	finish();
}

static void a_set_back_clock_does_no_harm(void)
{
	/* The same run: by number, although the time says otherwise. */
	add_text("ev.json", "{\"@timestamp\":\"2026-11-22T01:00:00Z\",\"event\":{\"id\":\"a-9\","
			    "\"action\":\"started\"},\"qfwatch\":{}}\n");
	add_text("ev.json.1", "{\"@timestamp\":\"2026-11-22T02:00:00Z\",\"event\":{\"id\":\"a-8\","
			      "\"action\":\"started\"},\"qfwatch\":{}}\n");
	start(EVENT_LOG_ALL);
	check_text(rest(), "a-8 a-9 ");
	finish();
}

static void torn_lines_are_given_with_their_fault(void)
{
	char *longest = calloc(1, 600000);

	check(longest != NULL);
	add_text("ev.json.1", "{\"torn");
	add("ev.json.1", 'a', 1);
	add("ev.json.1", 'a', 2);
	add_text("ev.json.1", "{\"torn at the end of a file");
	add("ev.json", 'a', 3);
	memset(longest, 'x', 599999);
	add_text("ev.json", longest);
	add_text("ev.json", "\n");
	add("ev.json", 'a', 4);
	memset(longest, 'x', 4096);
	longest[4096] = '\n';
	longest[4097] = 0;
	add_text("ev.json", longest);
	add("ev.json", 'a', 5);
	add_text("ev.json", "{\"torn");
	start(EVENT_LOG_ALL);
	/* The first one is glued to a-1: it is for who parses to see. */
	check_text(rest(), "a-1 a-2 ! a-3 ! a-4 ! a-5 ! ");
	finish();
	free(longest);
}

static void lines_have_places(void)
{
	struct event_line line;

	add("ev.json.1", 'a', 1);
	add("ev.json.1", 'a', 2);
	add("ev.json", 'a', 3);
	start(EVENT_LOG_ALL);
	for (int i = 0; i < 3; i++) {
		check_equal(event_log_next(log_of, &line), 1);
		check_text(line.file, testing_path(i < 2 ? "ev.json.1" : "ev.json"));
		check_equal(line.number, i < 2 ? i + 1 : 1);
		check(line.text[line.length - 1] == '}');
	}
	finish();
}

static void old_files_are_passed_over(void)
{
	add("ev.json.3", 'a', 1);
	add("ev.json.2", 'b', 1);
	add("ev.json.1", 'c', 1);
	add("ev.json", 'd', 1);
	/* 2026-11-22T02:00:00Z, in the hour of c: what begins before may reach it. */
	check_equal(event_log_open("ev.json", EVENT_LOG_ALL, INT64_C(1795312800) * CLOCK_SECOND,
				   &log_of),
		    0);
	check_text(rest(), "b-1 c-1 d-1 ");
	finish();
}

static void what_is_not_there(void)
{
	check_equal(event_log_open("ev.json", EVENT_LOG_ALL, INT64_MIN, &log_of), -ENOENT);
	check_equal(event_log_open("no/ev.json", EVENT_LOG_ALL, INT64_MIN, &log_of), -ENOENT);
	testing_mkdir("folder");
	check_equal(event_log_open("folder", EVENT_LOG_ALL, INT64_MIN, &log_of), -EISDIR);
	testing_write("ev.json", "%s", "");
	start(EVENT_LOG_ALL);
	check_text(rest(), "");
	finish();
}

static void followed_over_renames(void)
{
	add("ev.json", 'a', 1);
	start(EVENT_LOG_ALL_AND_FOLLOW);
	check_text(rest(), "a-1 ");
	add("ev.json", 'a', 2);
	add_text("ev.json", "{\"@timestamp\":\"2026-11-22T00:00:03Z\",");
	check_text(rest(), "a-2 ");
	add_text("ev.json", "\"event\":{\"id\":\"a-3\"}}\n");
	check_text(rest(), "a-3 ");
	/* Renamed, and written to still. */
	testing_rename("ev.json", "ev.json.1");
	check_text(rest(), "");
	add("ev.json.1", 'a', 4);
	check_text(rest(), "a-4 ");
	/* An empty new one: logrotate's "create". */
	testing_write("ev.json", "%s", "");
	add("ev.json.1", 'a', 5);
	check_text(rest(), "a-5 ");
	add("ev.json.1", 'a', 6);
	add("ev.json", 'a', 7);
	check_text(rest(), "a-6 a-7 ");
	/* Twice between two looks. */
	testing_rename("ev.json.1", "ev.json.3");
	testing_rename("ev.json", "ev.json.2");
	add("ev.json.2", 'a', 8);
	add("ev.json.1", 'a', 9);
	add_text("ev.json.1", "{\"torn");
	add("ev.json", 'a', 10);
	check_text(rest(), "a-8 a-9 ! a-10 ");
	/* Gone, and a new one. */
	testing_remove("ev.json");
	check_text(rest(), "");
	add("ev.json", 'b', 1);
	check_text(rest(), "b-1 ");
	finish();
}

static void followed_over_truncations(void)
{
	add("ev.json", 'a', 1);
	add("ev.json", 'a', 2);
	start(EVENT_LOG_ALL_AND_FOLLOW);
	check_text(rest(), "a-1 a-2 ");
	check(truncate("ev.json", 0) == 0);
	check_text(rest(), "");
	add("ev.json", 'a', 3);
	check_text(rest(), "a-3 ");
	/* Between two looks it has grown beyond where it was. */
	check(truncate("ev.json", 0) == 0);
	add("ev.json", 'a', 4);
	add("ev.json", 'a', 5);
	add("ev.json", 'a', 6);
	check_text(rest(), "a-4 a-5 a-6 ");
	/* And renamed after that: nothing comes again. */
	testing_rename("ev.json", "ev.json.1");
	add("ev.json", 'a', 7);
	check_text(rest(), "a-7 ");
	finish();
}

static void only_what_is_new(void)
{
	/* The year is after any in which this is run. */
	add("ev.json.1", 'a', 1);
	add("ev.json", 'b', 1);
	add_text("ev.json", "{\"half a line");
	start(EVENT_LOG_FOLLOW);
	check_text(rest(), "");
	add_text("ev.json", " and its end\n");
	add("ev.json", 'b', 2);
	check_text(rest(), "b-2 ");
	testing_rename("ev.json", "ev.json.2");
	add("ev.json", 'c', 1);
	check_text(rest(), "c-1 ");
	finish();
}

static void streams_are_read_as_they_come(void)
{
	struct event_line line;
	int pipes[2];

	check(pipe2(pipes, O_CLOEXEC) == 0 && dup2(pipes[0], STDIN_FILENO) == STDIN_FILENO);
	check(write(pipes[1], "one\ntwo\nthr", 11) == 11);
	close(pipes[0]);
	close(pipes[1]);
	check_equal(event_log_open("-", EVENT_LOG_ALL, INT64_MIN, &log_of), 0);
	check_equal(event_log_next(log_of, &line), 1);
	check(line.length == 3 && memcmp(line.text, "one", 3) == 0 && !line.fault);
	check_equal(event_log_next(log_of, &line), 1);
	check_equal(event_log_next(log_of, &line), 1);
	check(line.length == 3 && line.fault && line.number == 3);
	check_equal(event_log_next(log_of, &line), 0);
	event_log_close(log_of);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		APART(order_is_taken_from_the_contents),
		APART(copies_are_read_once),
		APART(a_set_back_clock_does_no_harm),
		APART(torn_lines_are_given_with_their_fault),
		APART(lines_have_places),
		APART(old_files_are_passed_over),
		APART(what_is_not_there),
		APART(followed_over_renames),
		APART(followed_over_truncations),
		APART(only_what_is_new),
		APART(streams_are_read_as_they_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
