/* test_engine_levels.c - "tier_messages" in the hands of the engine: a tier that passes a bound has
 * its messages asked again, and one that is still being counted has nobody asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/drive.h"
#include "../support/testing.h"

/* What is too much for Q goes to M; M gives it back while it is nearly empty. */
#define FULL	DRIVE_MOVE("Q", "\"tier_messages\":5", "M")
#define EMPTIER DRIVE_MOVE("M", "\"tier_messages\":{\"below\":3},\"since_attempt\":\"1m\"", "Q")

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

static void make_tiers(void)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
}

static void start(const char *rules)
{
	make_tiers();
	drive_start(DRIVE_THREE_TIERS, rules, ENGINE_WATCH, false);
}

static void enqueue(const char *tier, const char *prefix, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%s%u", prefix, i);
		testing_enqueue(tier, id, 1);
		testing_make_old(testing_file(tier, "qf", id), 100);
	}
}

/* The tier settles just below its bound: each is asked with the number of that moment. */
static void too_many(void)
{
	start(FULL);
	enqueue("Q", "a", 4);
	drive_later(2 * DRIVE_SECOND);
	drive_no_news;
	enqueue("Q", "b", 6);
	drive_later(2 * DRIVE_SECOND);
	drive_later(2 * DRIVE_SECOND);
	check_equal(testing_count("Q"), 2 * 4);
	check_equal(testing_count("M/qf"), 6);
	check(strncmp(drive_news(), "message-moved ", 14) == 0);
	check_text(lines_text(drive_last(), "event/reason"), "tier_messages 10 >= 5");
	check_equal(counts().moved, 6);
	drive_finish();
}

/* Those that came before are asked when others fill the tier: here only they may go. */
static void who_was_there_before(void)
{
	start(DRIVE_MOVE("Q", "\"tier_messages\":5,\"attempts\":3", "M"));
	for (int i = 0; i < 3; i++)
		testing_enqueue("Q", (const char *[]){"1", "2", "3"}[i], 3);
	drive_later(2 * DRIVE_SECOND);
	drive_no_news;
	enqueue("Q", "new", 2);
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 1);
	enqueue("Q", "newer", 4);
	drive_later(2 * DRIVE_SECOND);
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 3);
	check(testing_stands("M", "1") && testing_stands("M", "2") && testing_stands("M", "3"));
	drive_finish();
}

/* And when it empties. */
static void too_few(void)
{
	start(EMPTIER);
	enqueue("M", "a", 4);
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 0);
	testing_remove("M/qf/qfa0");
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 0);
	testing_remove("M/qf/qfa1");
	drive_later(2 * DRIVE_SECOND);
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 2);
	check(testing_stands("Q", "a2") && testing_stands("Q", "a3"));
	drive_finish();
}

/* A message goes back to where it was only when something has happened to it: two such rules do
 * not play ping-pong. */
static void no_ping_pong(void)
{
	start(FULL "," EMPTIER);
	enqueue("Q", "a", 6);
	for (int i = 0; i < 10; i++)
		drive_later(DRIVE_SECOND);
	check(counts().moved <= 6);
	check_equal(testing_count("Q") + testing_count("M/qf") + testing_count("M/df"), 12);
	drive_finish();
}

/* Nobody is asked before all are counted: at the first scan the first would find a tier nearly
 * empty, and the last a full one. */
static void counted_first(void)
{
	/* More than a step of the scan. */
	enum { MESSAGES = 300 };

	make_tiers();
	enqueue("M", "a", MESSAGES);
	enqueue("Q", "b", 3);
	drive_start(DRIVE_THREE_TIERS,
		    DRIVE_MOVE("M", "\"tier_messages\":{\"below\":300}",
			       "Q") "," DRIVE_MOVE("Q", "\"tier_messages\":{\"below\":3}", "S"),
		    ENGINE_WATCH, false);
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 0);
	/* Nor in a single pass. */
	drive_finish();
}

static void counted_first_in_a_single_pass(void)
{
	make_tiers();
	enqueue("M", "a", 300);
	drive_start(DRIVE_THREE_TIERS, DRIVE_MOVE("M", "\"tier_messages\":{\"below\":300}", "Q"),
		    ENGINE_ONCE, false);
	check_equal(counts().moved, 0);
	drive_finish();
}

/* What a lost tier held counts still; a policy with another bound asks anew. */
static void lost_and_asked_anew(void)
{
	start(DRIVE_MOVE("Q", "\"tier_messages\":5", "M"));
	enqueue("Q", "a", 4);
	drive_later(2 * DRIVE_SECOND);
	testing_rename("Q", "elsewhere");
	drive_turns();
	check_equal(counts().lost_directories, 1);
	testing_rename("elsewhere", "Q");
	drive_later(6 * DRIVE_SECOND);
	check_equal(counts().lost_directories, 0);
	check_equal(counts().moved, 0);
	check_equal(drive_apply(DRIVE_THREE_TIERS, DRIVE_MOVE("Q", "\"tier_messages\":3", "M")), 0);
	drive_later(2 * DRIVE_SECOND);
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().moved, 2);
	drive_finish();
}

/* A tier that swings about a bound is asked once a second, and no more. */
static void not_all_the_time(void)
{
	uint64_t before;

	start(DRIVE_MOVE("Q", "\"tier_messages\":3,\"attempts\":5", "M"));
	enqueue("Q", "a", 2);
	drive_later(2 * DRIVE_SECOND);
	for (int i = 0; i < 20; i++) {
		enqueue("Q", "b", 1);
		drive_turns();
		check(engine_deadline(drive_engine) <= drive_now() + DRIVE_SECOND);
		testing_remove("Q/qfb0");
		testing_remove("Q/dfb0");
		drive_turns();
	}
	before = counts().messages;
	drive_later(2 * DRIVE_SECOND);
	check_equal(counts().messages, before);
	/* At rest it has no deadline for it. */
	drive_later(2 * DRIVE_SECOND);
	check(engine_deadline(drive_engine) > drive_now() + 60 * DRIVE_SECOND);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(too_many),
		APART(who_was_there_before),
		APART(too_few),
		APART(no_ping_pong),
		APART(counted_first),
		APART(counted_first_in_a_single_pass),
		APART(lost_and_asked_anew),
		APART(not_all_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
