/* test_http_walk.c - a walk through the messages for a request looks at the clock, whatever it
 * finds, and comes to all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../watcher/http_parts.h"
#include "../support/drive.h"
#include "../support/testing.h"

#define MESSAGES 700
#define AT_ONCE	 130

/* The time is over from the start: so each look at the clock ends a step. */
static void walk_through(struct http_walk *walk, size_t expected)
{
	struct engine_view_message message;
	enum http_found found;
	size_t all = 0, steps = 0, step = 0;
	msgref before = 0;

	while ((found = http_walk_next(walk, drive_engine, 0, &message)) != HTTP_END) {
		if (found == HTTP_LATER) {
			step = 0;
			steps++;
			continue;
		}
		check(walk->at > before);
		before = walk->at;
		all++;
		check(++step <= AT_ONCE);
	}
	check_equal(all, expected);
	check(steps >= MESSAGES / AT_ONCE);
	filter_free(walk->filter);
}

static struct http_walk begin(const char *key, const char *value)
{
	struct http_walk walk = {.filter = filter_new(), .now = drive_now() / CLOCK_SECOND};
	struct filter_error error;

	if (key)
		check_equal(filter_add(walk.filter, engine_view_policy(drive_engine), key, value,
				       &error),
			    0);
	walk.empty = filter_is_empty(walk.filter);
	return walk;
}

static void steps_are_short(void)
{
	struct http_walk walk;
	char id[16];

	drive_start_usual();
	for (int i = 0; i < MESSAGES; i++) {
		snprintf(id, sizeof id, "m%03d", i);
		testing_enqueue("Q", id, i % 3);
	}
	drive_turns();
	walk = begin(NULL, NULL);
	walk_through(&walk, MESSAGES);
	walk = begin("attempts", "0..2");
	walk_through(&walk, MESSAGES);
	walk = begin("attempts", "1");
	walk_through(&walk, MESSAGES / 3);
	walk = begin("tier", "M");
	walk_through(&walk, 0);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(steps_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
