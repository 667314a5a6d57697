/* test_engine_transcripts.c - an xf that a dead runner left goes with the message, whenever the
 * engine hears of it; any other stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/gather.h"

#include "../../watcher/engine_parts.h"
#include "../support/drive.h"
#include "../support/testing.h"

#define MANY (3 * GATHER_NAMES)

static const char *number(unsigned i)
{
	static char id[16];

	snprintf(id, sizeof(id), "%u", i);
	return id;
}

static void make_xf(const char *tier, const char *id)
{
	testing_write(testing_file(tier, "xf", id), "transcript\n");
}

static bool has_xf(const char *tier, const char *id)
{
	return testing_exists(testing_file(tier, "xf", id));
}

static void attempt(const char *tier, const char *id, uint32_t attempts)
{
	testing_rewrite(tier, &(struct testing_message){.id = id, .attempts = attempts});
}

static const struct transcripts *of(const char *tier)
{
	const struct spool *spool = &drive_engine->spool;

	for (size_t i = 0; i < spool->n_dirs; i++)
		if (spool->dirs[i].path && strcmp(strrchr(spool->dirs[i].path, '/') + 1, tier) == 0)
			return &spool->dirs[i].transcripts;
	check(false);
	return NULL;
}

/* Messages move while the directory is still being walked: some before their xf is met, some
 * after. */
static void of_the_first_scan(bool split)
{
	testing_queue("Q", split);
	testing_queue("M", false);
	testing_queue("S", false);
	for (unsigned i = 0; i < MANY; i++) {
		testing_enqueue("Q", number(i), i % 2 ? 3 : 1);
		if (i % 3 == 0)
			make_xf("Q", number(i));
	}
	make_xf("Q", "nobody");
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_turns();
	check_equal(engine_count(drive_engine).moved, MANY / 2);
	for (unsigned i = 0; i < MANY; i++) {
		check(testing_stands(i % 2 ? "M" : "Q", number(i)));
		/* That of a message that stays is a runner's, which perhaps lives. */
		check_equal(has_xf("Q", number(i)), i % 6 == 0);
	}
	check(has_xf("Q", "nobody"));
	check_equal(of("Q")->known, !split);
	check_equal(of("Q")->count, split ? 0 : MANY / 6 + 1);
	drive_finish();
}

static void flat(void)
{
	of_the_first_scan(false);
}

static void split(void)
{
	of_the_first_scan(true);
}

static void told_by_notifications(void)
{
	drive_start_usual();
	testing_enqueue("Q", "1", 1);
	testing_enqueue("Q", "2", 1);
	make_xf("Q", "1");
	make_xf("Q", "2");
	drive_turns();
	check(has_xf("Q", "1"));
	testing_remove("Q/xf2"); /* that runner came to its end */
	drive_turns();
	check_equal(of("Q")->count, 1);
	attempt("Q", "1", 3);
	attempt("Q", "2", 3);
	drive_turns();
	check(testing_stands("M", "1") && testing_stands("M", "2"));
	check(!has_xf("Q", "1"));
	check_equal(of("Q")->count, 0);
	drive_finish();
}

/* The runner died so late that we hear of its xf when the message is gone: it goes when we do, or
 * when the message is free again. */
static void told_too_late(void)
{
	struct testing_holder holder;

	drive_start_usual();
	testing_enqueue("Q", "1", 3);
	testing_enqueue("Q", "2", 3);
	drive_turns();
	check(testing_stands("M", "1") && testing_stands("M", "2"));
	check(testing_hold(testing_file("M", "qf", "2"), TESTING_FLOCK, &holder));
	make_xf("Q", "1");
	make_xf("Q", "2");
	make_xf("Q", "3");
	drive_turns();
	check(!has_xf("Q", "1"));
	check(has_xf("Q", "2") && has_xf("Q", "3"));
	testing_release(&holder);
	drive_later(3601 * DRIVE_SECOND);
	check(!has_xf("Q", "2") && has_xf("Q", "3"));
	drive_finish();
}

/* The message stands in both directories by the disk, whatever memory says. */
static void not_beside_its_message(void)
{
	drive_start_usual();
	testing_enqueue("M", "1", 3);
	drive_turns();
	testing_enqueue("Q", "1", 1);
	make_xf("Q", "1");
	drive_turns();
	check(has_xf("Q", "1"));
	drive_finish();
}

static void dry_run(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	testing_enqueue("Q", "1", 3);
	make_xf("Q", "1");
	testing_enqueue("M", "2", 3);
	make_xf("Q", "2");
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, true);
	drive_turns();
	check(has_xf("Q", "1") && has_xf("Q", "2"));
	drive_finish();
}

/* What is known ends with a directory, and begins with its next scan. */
static void lost_and_found(void)
{
	drive_start_usual();
	make_xf("Q", "1");
	drive_turns();
	check_equal(of("Q")->count, 1);
	testing_rename("Q", "old");
	drive_turns();
	check(!of("Q")->known);
	testing_rename("old", "Q");
	testing_enqueue("Q", "1", 3);
	drive_turns();
	check(of("Q")->known);
	check(testing_stands("M", "1") && !has_xf("Q", "1"));
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(flat),
		APART(split),
		APART(told_by_notifications),
		APART(told_too_late),
		APART(not_beside_its_message),
		APART(dry_run),
		APART(lost_and_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
