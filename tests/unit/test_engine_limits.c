/* test_engine_limits.c - how fast rules may act: what is due beyond a limit waits for its turn, and
 * none is forgotten. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/drive.h"
#include "../support/testing.h"

enum { MESSAGES = 100 };

#define LIMITS(text)  DRIVE_TWO_RULES DRIVE_ALSO("\"limits\":{" text "}")
#define DELETES(text) DRIVE_DELETE("Q", "\"attempts\":1") DRIVE_ALSO("\"limits\":{" text "}")

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

static void enqueue_all(unsigned attempts)
{
	for (int i = 0; i < MESSAGES; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		testing_enqueue("Q", id, attempts);
	}
}

static void make_tiers(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
}

static unsigned told_of_limit(void)
{
	unsigned n = 0;

	for (const char *told = drive_next(); *told; told = drive_next())
		n += strncmp(told, "limit-reached", 13) == 0;
	return n;
}

static void moves_are_spread(void)
{
	uint64_t before;

	make_tiers();
	enqueue_all(3);
	drive_start(DRIVE_THREE_TIERS, LIMITS("\"moves_per_second\":10"), ENGINE_WATCH, false);
	/* A short burst, and the rest in line: one event tells. */
	before = counts().moved;
	check(before >= 1 && before <= 3);
	check_equal(counts().waiting, MESSAGES - before);
	check_equal(told_of_limit(), 1);
	/* Ten a second, evenly, and the engine knows when to wake up for the next. */
	for (int second = 1; second <= 5; second++) {
		check(engine_deadline(drive_engine) <= drive_now() + DRIVE_SECOND / 10 + 1);
		for (int tenth = 0; tenth < 10; tenth++)
			drive_later(DRIVE_SECOND / 10);
		check(counts().moved >= before + (unsigned)second * 10 - 1 &&
		      counts().moved <= before + (unsigned)second * 10 + 1);
	}
	/* One that is looked at meanwhile does not jump the line, nor lose its place. */
	testing_enqueue("Q", "99", 3);
	before = counts().moved;
	drive_turns();
	check_equal(counts().moved, before);
	for (int tenth = 0; tenth < 60; tenth++)
		drive_later(DRIVE_SECOND / 10);
	check_equal(counts().moved, MESSAGES);
	check_equal(counts().waiting, 0);
	check_equal(testing_count("M"), 2 * MESSAGES);
	drive_finish();
}

static void deletions_are_spread(void)
{
	uint64_t first;

	make_tiers();
	enqueue_all(1);
	drive_start(DRIVE_THREE_TIERS, DELETES("\"deletes_per_minute\":60"), ENGINE_WATCH, false);
	first = counts().deleted;
	check(first >= 1 && first <= 2);
	for (int second = 0; second < 10; second++)
		drive_later(DRIVE_SECOND);
	check(counts().deleted >= first + 9 && counts().deleted <= first + 11);
	for (int second = 0; second < MESSAGES; second++)
		drive_later(DRIVE_SECOND);
	check_equal(counts().deleted, MESSAGES);
	check_equal(testing_count("Q"), 0);
	drive_finish();
}

/* What sendmail holds takes no place in the line; what is rewritten meanwhile keeps its own. */
static void the_line(void)
{
	struct testing_holder holder;

	make_tiers();
	for (int i = 0; i < 6; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		testing_enqueue("Q", id, 3);
	}
	check(testing_hold(testing_file("Q", "qf", "0"), TESTING_FLOCK, &holder));
	drive_start(DRIVE_THREE_TIERS, LIMITS("\"moves_per_second\":1"), ENGINE_WATCH, false);
	check_equal(counts().moved, 1);
	check_equal(counts().busy, 1);
	check_equal(counts().waiting, 4);
	/* Attempts come more often than the line moves on. */
	for (uint32_t n = 0; n < 8; n++) {
		for (int i = 1; i < 6; i++) {
			char id[16];

			snprintf(id, sizeof(id), "%d", i);
			if (testing_exists(testing_file("Q", "qf", id)))
				testing_rewrite("Q", &(struct testing_message){
							     .id = id, .attempts = 4 + n % 6});
		}
		drive_later(DRIVE_SECOND / 2);
		check_equal(counts().moved, 1 + (n + 1) / 2);
	}
	check_equal(counts().waiting, 0);
	/* Released, it goes when its turn comes, and nobody else is in front. */
	testing_release(&holder);
	drive_turns();
	for (int i = 0; i < 4; i++)
		drive_later(DRIVE_SECOND / 2);
	check_equal(counts().moved, 6);
	drive_finish();
}

/* A message that is due no more gives up its turn; a limit that is lifted lets all go at once. */
static void limits_are_lifted(void)
{
	make_tiers();
	enqueue_all(3);
	drive_start(DRIVE_THREE_TIERS, LIMITS("\"moves_per_second\":1"), ENGINE_WATCH, false);
	check(counts().waiting > MESSAGES / 2);
	check_equal(drive_apply(DRIVE_THREE_TIERS, DRIVE_MOVE("M", "\"attempts\":10", "S")), 0);
	drive_turns();
	check_equal(counts().waiting, 0);
	check_equal(drive_apply(DRIVE_THREE_TIERS, DRIVE_TWO_RULES), 0);
	drive_turns();
	check_equal(counts().moved, MESSAGES);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(moves_are_spread),
		APART(deletions_are_spread),
		APART(the_line),
		APART(limits_are_lifted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
