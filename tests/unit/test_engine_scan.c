/* test_engine_scan.c - a directory that is larger than a batch: what threads have read is believed
 * as long as nothing happened since; and what happens to a spool while it is being scanned.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "qfwatch/gather.h"
#include "qfwatch/mover.h"

#include "../support/drive.h"
#include "../support/testing.h"

#define MANY (3 * GATHER_NAMES)

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

static const char *number(unsigned i)
{
	static char ids[4][16];
	char *id = ids[i % 4];

	snprintf(id, sizeof(ids[0]), "%u", i);
	return id;
}

static void fill(const char *tier, unsigned first, unsigned count, uint32_t attempts)
{
	for (unsigned i = first; i < first + count; i++) {
		testing_enqueue(tier, number(i), attempts);
		testing_make_old(testing_file(tier, "qf", number(i)), 100);
	}
}

static void start(const char *rules)
{
	testing_queue("M", true);
	testing_queue("S", false);
	drive_start(DRIVE_TIER("M", "M") "," DRIVE_TIER("S", "S"), "", ENGINE_WATCH, false);
	drive_told("resynced: first scan");
	check_equal(drive_apply(DRIVE_THREE_TIERS, rules), 0);
}

static size_t count_of(const char *prefix, bool *ret_resynced)
{
	size_t count = 0;
	const char *event;

	*ret_resynced = false;
	while ((event = drive_next())[0]) {
		count += strncmp(event, prefix, strlen(prefix)) == 0;
		*ret_resynced |= strncmp(event, "resynced", 8) == 0;
	}
	return count;
}

static void expect_count(const char *prefix, size_t count)
{
	bool resynced;

	check_equal(count_of(prefix, &resynced), count);
	check(resynced);
}

/* Turns until some names are in threads' hands. */
static void turn_until_reading(void)
{
	for (int i = 0; counts().messages < GATHER_NAMES; i++) {
		check(i < 10000);
		engine_turn(drive_engine, drive_now());
	}
}

/* All that is to be known of a message is known from the scan: its size, its age, its attempts. */
static void what_is_remembered(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 2);
	start(DRIVE_TWO_RULES);
	drive_turns();
	expect_count("message-tracked", MANY);
	check_equal(counts().messages, MANY);
	check_equal(counts().moved, 0);
	/* A notification finds it as it was left. */
	testing_rewrite("Q", &(struct testing_message){.id = "7", .attempts = 3});
	testing_remove("Q/df8");
	testing_remove("Q/qf8");
	drive_turns();
	drive_told("message-departed 8 Q");
	check_equal(lines_number(drive_last(), "qfwatch/message/size"), strlen("body of 8\n"));
	check_equal(lines_number(drive_last(), "qfwatch/message/attempts"), 2);
	drive_told("message-attempted 7 Q");
	drive_told("message-moved 7 Q->M: attempts 3 >= 3");
	drive_told_nothing;
	drive_finish();
}

static void due_at_once(void)
{
	testing_queue("Q", true);
	fill("Q", 0, MANY, 3);
	fill("Q", MANY, MANY, 1);
	start(DRIVE_TWO_RULES);
	drive_turns();
	expect_count("message-moved", MANY);
	check_equal(counts().moved, MANY);
	check_equal(counts().messages, 2 * MANY);
	for (unsigned i = 0; i < 2 * MANY; i++)
		check(testing_stands(i < MANY ? "M" : "Q", number(i)));
	drive_finish();
}

static void due_in_time(void)
{
	int64_t now = clock_now() / DRIVE_SECOND;

	testing_queue("Q", false);
	for (unsigned i = 0; i < MANY; i++)
		testing_message("Q", &(struct testing_message){.id = number(i), .created = now});
	start(DRIVE_MOVE("Q", "\"age\":\"1h\"", "M"));
	drive_turns();
	check_equal(counts().moved, 0);
	drive_later((now + 3599) * DRIVE_SECOND - drive_now());
	check_equal(counts().moved, 0);
	drive_later(DRIVE_SECOND);
	check_equal(counts().moved, MANY);
	drive_finish();
}

/* Sizes and texts of the first scan decide, too. */
static void by_size_and_text(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	testing_write("Q/df5", "%0*d", 9000, 0);
	for (unsigned i = 10; i < 20; i++)
		testing_message("Q", &(struct testing_message){.id = number(i),
							       .attempts = 1,
							       .domain = "slow.example"});
	start(DRIVE_MOVE("Q", "\"size\":\"8KiB\"",
			 "M") "," DRIVE_MOVE("Q", "\"recipient_domain\":\"slow.example\"", "S"));
	drive_turns();
	check_equal(counts().moved, 11);
	check(testing_exists("M/qf/qf5"));
	for (unsigned i = 10; i < 20; i++)
		check(testing_stands("S", number(i)));
	check_equal(counts().messages, MANY);
	drive_finish();
}

/* Rules that count are not asked before all are counted. */
static void counted_first(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	start(DRIVE_MOVE("Q", "\"tier_messages\":384,\"attempts\":1", "M"));
	drive_turns();
	check(counts().moved > 0);
	check_equal(counts().messages, MANY);
	drive_finish();
}

/* Threads have read some, and wait to be heard; then these change, go and come. */
static void changed_meanwhile(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	start(DRIVE_TWO_RULES);
	turn_until_reading();
	for (unsigned i = 0; i < MANY; i++) {
		const char *id = number(i);

		switch (i % 4) {
		case 0: /* attempted, and due now */
			testing_rewrite("Q", &(struct testing_message){.id = id, .attempts = 3});
			break;
		case 1: /* delivered */
			testing_remove(testing_file("Q", "df", id));
			testing_remove(testing_file("Q", "qf", id));
			break;
		case 2: /* another of that name */
			testing_remove(testing_file("Q", "df", id));
			testing_remove(testing_file("Q", "qf", id));
			testing_enqueue("Q", id, 2);
			break;
		}
	}
	drive_turns();
	check_equal(counts().messages, MANY - MANY / 4);
	check_equal(counts().moved, MANY / 4);
	check_equal(counts().busy + counts().failed + counts().refused, 0);
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 4 == 1)
			check(testing_absent("Q", number(i)) && testing_absent("M", number(i)));
		else
			check(testing_stands(i % 4 ? "Q" : "M", number(i)));
	}
	/* What memory holds of those that stayed is what their files say. */
	drive_skip();
	for (unsigned i = 2; i < MANY; i += 4)
		testing_remove(testing_file("Q", "qf", number(i)));
	drive_turns();
	for (unsigned i = 2; i < MANY; i += 4) {
		check(strncmp(drive_next(), "message-departed", 16) == 0);
		check_equal(lines_number(drive_last(), "qfwatch/message/attempts"), 2);
	}
	drive_told_nothing;
	drive_finish();
}

/* The directory goes while its files are read, and another takes its place. */
static void lost_meanwhile(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	start(DRIVE_TWO_RULES);
	turn_until_reading();
	testing_rename("Q", "old");
	drive_turns();
	check_equal(counts().lost_directories, 1);
	testing_queue("Q", true);
	fill("Q", 0, 10, 2);
	drive_turns();
	check_equal(counts().lost_directories, 0);
	check_equal(counts().messages, 10);
	/* Between two turns: nobody saw that it was away. */
	fill("Q", 10, MANY, 1);
	check_equal(drive_apply(DRIVE_TIER("M", "M"), ""), 0);
	check_equal(drive_apply(DRIVE_THREE_TIERS, DRIVE_TWO_RULES), 0);
	turn_until_reading();
	testing_remove("Q");
	testing_queue("Q", false);
	fill("Q", 0, MANY, 2);
	drive_turns();
	check_equal(counts().lost_directories, 0);
	check_equal(counts().messages, MANY);
	/* No tier any more, and again, while it is scanned. */
	check_equal(drive_apply(DRIVE_TIER("M", "M"), ""), 0);
	check_equal(counts().messages, 0);
	check_equal(drive_apply(DRIVE_THREE_TIERS, DRIVE_TWO_RULES), 0);
	turn_until_reading();
	check_equal(drive_apply(DRIVE_TIER("M", "M"), ""), 0);
	check_equal(counts().messages, 0);
	drive_turns();
	check_equal(counts().messages, 0);
	drive_finish();
}

/* Another policy while files are read: what they say is judged by that. */
static void policy_meanwhile(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	start(DRIVE_TWO_RULES);
	turn_until_reading();
	check_equal(drive_apply(DRIVE_THREE_TIERS,
				DRIVE_MOVE("Q", "\"recipient_domain\":\"example.net\"", "M")),
		    0);
	drive_turns();
	check_equal(counts().moved, MANY);
	drive_finish();
}

static void stopped_meanwhile(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	start(DRIVE_TWO_RULES);
	turn_until_reading();
	drive_finish();
}

/* Files that no thread reads, among many that are. */
static void odd_files(void)
{
	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	check(mkfifo("Q/qfFIFO", 0600) == 0);
	check(symlink("qf1", "Q/qfLINK") == 0);
	testing_mkdir("Q/qfDIRECTORY");
	testing_write("Q/qfINCOMPLETE", "T1\nN1\n");
	testing_make_old("Q/qfINCOMPLETE", 100);
	testing_write("Q/qfHARD", "T1\nN1\n.\n");
	testing_link("Q/qfHARD", "hard");
	start(DRIVE_TWO_RULES);
	drive_turns();
	drive_later(5 * DRIVE_SECOND);
	check_equal(counts().messages, MANY + 5);
	check_equal(counts().refused, 5);
	drive_finish();
}

/* What a killed move left is found by the scan: a second link to a df, and hidden names. */
static void recovers(void)
{
	char hidden[64];
	struct stat body;

	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	testing_queue("M", true);
	testing_link("Q/df9", "M/df/df9");
	check(stat("Q/df11", &body) == 0);
	snprintf(hidden, sizeof(hidden), "Q/" MOVER_MOVING "%llx-11",
		 (unsigned long long)body.st_ino);
	testing_rename("Q/qf11", hidden);
	testing_rename("Q/qf12", "Q/" MOVER_DELETING "12");
	drive_start(DRIVE_TIER("M", "M") "," DRIVE_TIER("Q", "Q"), "", ENGINE_WATCH, false);
	expect_count("message-recovered", 3);
	check(testing_stands("Q", "9") && testing_stands("Q", "11"));
	check(testing_absent("Q", "12") && testing_absent("M", "9"));
	check_equal(counts().messages, MANY - 1);
	drive_finish();
}

/* A reconcile compares by threads as well, and finds what was missed. */
static void reconciled(void)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1234567890}};

	testing_queue("Q", false);
	fill("Q", 0, MANY, 1);
	start(DRIVE_TWO_RULES);
	drive_turns();
	drive_skip();
	/* Its contents changed without a notification: only its time tells. */
	for (unsigned i = 100; i < 105; i++)
		check(utimensat(AT_FDCWD, testing_file("Q", "qf", number(i)), times, 0) == 0);
	drive_later(3601 * DRIVE_SECOND);
	drive_told("resynced: reconcile");
	check_equal(lines_number(drive_last(), "qfwatch/counts/messages"), MANY);
	drive_told_nothing;
	check_equal(counts().messages, MANY);
	drive_finish();
}

/* A life among messages that come, change and go while one scan follows the other. */
static void random_life(void)
{
	enum { IDS = 2 * GATHER_NAMES };
	uint64_t seed = 20260101;
	uint32_t attempts[IDS] = {0};
	bool alive[IDS] = {0};
	size_t living = 0, standing = 0, steps = testing_scale(6000);

	testing_queue("Q", false);
	start(DRIVE_TWO_RULES);
	for (size_t step = 0; step < steps; step++) {
		size_t which = testing_random(&seed) % IDS;
		const char *id = number((unsigned)which);
		const char *tier =
			attempts[which] >= 3 && testing_exists(testing_file("M", "qf", id)) ? "M"
											    : "Q";

		switch (testing_random(&seed) % 8) {
		case 0:
		case 1:
		case 2:
			if (alive[which])
				break;
			attempts[which] = testing_random(&seed) % 3;
			alive[which] = true;
			testing_enqueue("Q", id, attempts[which]);
			break;
		case 3:
			if (!alive[which] || testing_random(&seed) % 4)
				break;
			alive[which] = false;
			testing_remove(testing_file(tier, "df", id));
			testing_remove(testing_file(tier, "qf", id));
			break;
		case 4:
			/* One that is on its way is left alone. */
			if (alive[which] && attempts[which] < 3)
				testing_rewrite("Q",
						&(struct testing_message){
							.id = id, .attempts = ++attempts[which]});
			break;
		case 5:
			if (testing_random(&seed) % 64 == 0)
				drive_shift += 3601 * DRIVE_SECOND; /* a reconcile */
			engine_turn(drive_engine, drive_now());
			break;
		default:
			engine_turn(drive_engine, drive_now());
		}
	}
	drive_turns();
	for (size_t i = 0; i < IDS; i++) {
		const char *id = number((unsigned)i);

		living += alive[i];
		if (alive[i])
			check(testing_stands(attempts[i] >= 3 ? "M" : "Q", id));
		standing += testing_exists(testing_file("Q", "qf", id)) +
			    testing_exists(testing_file("M", "qf", id));
	}
	check_equal(standing, living);
	check_equal(counts().messages, living);
	check_equal(counts().failed + counts().refused + counts().busy, 0);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(what_is_remembered), APART(due_at_once),	    APART(due_in_time),
		APART(by_size_and_text),   APART(counted_first),    APART(changed_meanwhile),
		APART(lost_meanwhile),	   APART(policy_meanwhile), APART(stopped_meanwhile),
		APART(odd_files),	   APART(recovers),	    APART(reconciled),
		APART(random_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
