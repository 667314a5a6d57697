/* test_engine_tiers.c - the engine's directories: lost and found, matched later, policies that
 * change; single passes, dry runs, and what is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"

#include "../support/drive.h"
#include "../support/testing.h"

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

/* ---- lost and found ---- */

static void renamed_and_back(void)
{
	drive_start_usual();
	testing_enqueue("M", "1", 3);
	testing_enqueue("M", "2", 3);
	drive_turns();
	check_equal(drive_skip(), 2);
	testing_rename("M", "away");
	drive_turns();
	drive_told("tier-lost M: its directory was removed or renamed");
	check_text(lines_text(drive_last(), "file/path"), testing_path("M"));
	check_equal(lines_number(drive_last(), "qfwatch/counts/messages"), 2);
	drive_told_nothing;
	check_equal(counts().lost_directories, 1);
	/* Not forgotten: it may be back in a moment. */
	check_equal(counts().messages, 2);
	/* What happens meanwhile. */
	testing_enqueue("away", "3", 3);
	testing_remove("away/qf/qf1");
	testing_remove("away/df/df1");
	testing_enqueue("Q", "4", 3);
	drive_turns();
	drive_told("message-tracked 4 Q");
	drive_told("move-failed 4 Q->M: the tier M is lost");
	for (int i = 0; i < 10; i++)
		drive_later(10 * DRIVE_SECOND);
	drive_told_nothing;
	check(testing_stands("Q", "4"));

	testing_rename("away", "M");
	drive_turns();
	drive_told("tier-found M");
	check_equal(counts().lost_directories, 0);
	drive_told("message-moved 4 Q->M: attempts 3 >= 3");
	drive_told("message-tracked 3 M");
	drive_told("message-departed 1 M");
	drive_told("resynced: a tier came back");
	check_equal(lines_number(drive_last(), "qfwatch/counts/found"), 1);
	check_equal(lines_number(drive_last(), "qfwatch/counts/departed"), 1);
	drive_told_nothing;
	check_equal(counts().messages, 3);
	/* It is watched as before. */
	testing_rewrite("M", &(struct testing_message){.id = "2", .attempts = 10});
	drive_turns();
	drive_told("message-attempted 2 M");
	drive_told("message-moved 2 M->S: attempts 10 >= 10");
	drive_told_nothing;
	drive_finish();
}

static void made_again(void)
{
	drive_start_usual();
	testing_enqueue("Q", "1", 1);
	drive_turns();
	drive_told("message-tracked 1 Q");
	for (int round = 0; round < 5; round++) {
		testing_remove("Q");
		testing_queue("Q", round % 2);
		testing_enqueue("Q", "2", 1);
		drive_turns();
		check_equal(counts().lost_directories, 0);
		check_equal(counts().messages, 1);
		check(drive_skip() >= 3);
		/* The new one is watched, in whatever layout. */
		testing_rewrite("Q", &(struct testing_message){.id = "2", .attempts = 2});
		drive_turns();
		drive_told("message-attempted 2 Q");
		drive_told_nothing;
	}
	drive_finish();
}

/* Folders inside that come, go, or are another's. */
static void layout_changes(void)
{
	drive_start_usual();
	testing_enqueue("Q", "1", 2);
	drive_turns();
	drive_skip();
	/* Flat becomes split, as an operator does it. */
	testing_mkdir("Q/qf");
	testing_mkdir("Q/df");
	testing_rename("Q/qf1", "Q/qf/qf1");
	testing_rename("Q/df1", "Q/df/df1");
	drive_turns();
	drive_skip();
	check_equal(counts().lost_directories, 0);
	check_equal(counts().messages, 1);
	testing_rewrite("Q", &(struct testing_message){.id = "1", .attempts = 3});
	drive_turns();
	check(testing_stands("M", "1"));
	drive_skip();
	/* The folder of the bodies is put aside and made anew: nothing may go into the old one. */
	testing_rename("M/df", "M/old");
	testing_mkdir("M/df");
	testing_enqueue("Q", "2", 3);
	drive_turns();
	check(testing_stands("M", "2"));
	check_equal(testing_count("M/old"), 1);
	drive_finish();
}

static void unmounted(void)
{
	int seen = 0;

	testing_private_mounts();
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	testing_mount_tmpfs("S", NULL);
	testing_enqueue("S", "1", 10);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_skip();
	check(umount2("S", MNT_DETACH) == 0);
	engine_mounts_changed(drive_engine);
	drive_turns();
	check(strncmp(drive_next(), "tier-lost S: ", 13) == 0);
	drive_told_nothing;
	/* The directory below is none: what is put there would vanish. */
	testing_enqueue("M", "2", 10);
	drive_turns();
	drive_told("message-tracked 2 M");
	drive_told("move-failed 2 M->S: the tier S is lost");
	drive_told_nothing;
	check_equal(testing_count("S"), 0);
	testing_mount_tmpfs("S", NULL);
	engine_mounts_changed(drive_engine);
	drive_turns();
	drive_told("tier-found S");
	/* Another file system: a worker carries it over, while the scan goes on. */
	while (engine_is_waiting(drive_engine)) {
		struct pollfd worker = {.fd = engine_worker_fd(drive_engine, 0), .events = POLLIN};

		check(poll(&worker, 1, TESTING_OVERDUE) == 1);
		drive_turns();
	}
	for (int i = 0; i < 3; i++) {
		const char *told = drive_next();

		if (strcmp(told, "message-departed 1 S") == 0)
			seen |= 1;
		else if (strcmp(told, "resynced: a tier came back") == 0)
			seen |= 2;
		else if (strncmp(told, "message-moved 2 M->S", 20) == 0)
			seen |= 4;
	}
	check_equal(seen, 7);
	drive_told_nothing;
	check(testing_stands("S", "2"));
	check_equal(testing_count("M"), 0);
	drive_finish();
}

/* ---- globs ---- */

static void glob_grows(void)
{
	testing_mkdir("spool");
	testing_queue("spool/q1", false);
	testing_queue("M", false);
	drive_start(DRIVE_TIER("Q", "spool/q*") "," DRIVE_TIER("M", "M"),
		    DRIVE_MOVE("Q", "\"attempts\":3", "M"), ENGINE_WATCH, false);
	drive_told("resynced: first scan");
	/* With what is in it, made elsewhere. */
	testing_queue("new", true);
	testing_enqueue("new", "1", 2);
	testing_enqueue("new", "2", 3);
	testing_queue("spool/other", false);
	testing_enqueue("spool/other", "3", 3);
	drive_turns();
	drive_told_nothing;
	testing_rename("new", "spool/q2");
	drive_turns();
	check_equal(counts().messages, 2);
	check(testing_stands("M", "2") && testing_stands("spool/q2", "1"));
	drive_skip();
	testing_rewrite("spool/q2", &(struct testing_message){.id = "1", .attempts = 3});
	drive_turns();
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told_nothing;
	check(testing_stands("spool/other", "3"));
	/* One of them goes, and comes back as new. */
	testing_remove("spool/q2");
	drive_turns();
	check(strncmp(drive_next(), "tier-lost Q: ", 13) == 0);
	drive_told_nothing;
	testing_queue("spool/q2", false);
	drive_turns();
	drive_told("tier-found Q");
	drive_skip();
	testing_enqueue("spool/q2", "4", 3);
	drive_turns();
	check(testing_stands("M", "4"));
	drive_finish();
}

/* ---- policies ---- */

#define THREE_RULES                                                                                \
	DRIVE_MOVE("Q", "\"attempts\":2", "M")                                                     \
	"," DRIVE_MOVE("M", "\"attempts\":10", "S") "," DRIVE_DELETE("S", "\"attempts\":20")

static void another_policy(void)
{
	drive_start_usual();
	testing_enqueue("Q", "1", 1);
	testing_enqueue("Q", "2", 2);
	testing_enqueue("S", "3", 30);
	drive_turns();
	check_equal(drive_skip(), 3);
	/* Everybody is asked again. */
	check_equal(drive_apply(DRIVE_THREE_TIERS, THREE_RULES), 0);
	drive_turns();
	drive_told("message-moved 2 Q->M: attempts 2 >= 2");
	drive_told("message-deleted 3 S: attempts 30 >= 20");
	drive_told_nothing;
	check(testing_stands("Q", "1") && testing_stands("M", "2") && testing_absent("S", "3"));

	/* Refused: all stays, and works. */
	check(drive_apply(DRIVE_THREE_TIERS "," DRIVE_TIER("X", "missing"), THREE_RULES) < 0);
	check(drive_apply(DRIVE_THREE_TIERS, "{}") < 0);
	drive_turns();
	drive_told_nothing;
	testing_rewrite("Q", &(struct testing_message){.id = "1", .attempts = 2});
	drive_turns();
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->M: attempts 2 >= 2");
	drive_told_nothing;
	check_equal(counts().messages, 2);
	drive_finish();
}

/* Tiers that go, come, and change their places in the list. */
static void other_tiers(void)
{
	drive_start_usual();
	testing_queue("X", false);
	testing_enqueue("Q", "1", 1);
	testing_enqueue("M", "2", 3);
	testing_enqueue("S", "3", 3);
	testing_enqueue("X", "4", 3);
	drive_turns();
	check_equal(drive_skip(), 3);
	check_equal(
		drive_apply(DRIVE_TIER("X", "X") "," DRIVE_TIER("S", "S") "," DRIVE_TIER("Q", "Q"),
			    DRIVE_MOVE("Q", "\"attempts\":3",
				       "X") "," DRIVE_MOVE("S", "\"attempts\":4", "Q")),
		0);
	check_equal(testing_count("../run"), 3);
	drive_turns();
	drive_told("message-tracked 4 X");
	drive_told("resynced: first scan");
	drive_told_nothing;
	/* What stands in M is none of our business any more: not gone, not touched, not told. */
	check_equal(counts().messages, 3);
	check_equal(counts().departed, 0);
	check(testing_stands("M", "2"));
	testing_enqueue("M", "5", 30);
	drive_turns();
	drive_told_nothing;
	testing_rewrite("Q", &(struct testing_message){.id = "1", .attempts = 3});
	testing_rewrite("S", &(struct testing_message){.id = "3", .attempts = 4});
	drive_turns();
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->X: attempts 3 >= 3");
	drive_told("message-attempted 3 S");
	drive_told("message-moved 3 S->Q: attempts 4 >= 4");
	drive_told("message-moved 3 Q->X: attempts 4 >= 3");
	drive_told_nothing;
	drive_finish();
}

static void circle(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_enqueue("Q", "1", 3);
	drive_start(
		DRIVE_TIER("Q", "Q") "," DRIVE_TIER("M", "M"),
		DRIVE_MOVE("Q", "\"attempts\":3", "M") "," DRIVE_MOVE("M", "\"attempts\":3", "Q"),
		ENGINE_WATCH, false);
	drive_told("message-tracked 1 Q");
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told("message-refused 1 M->Q: the rules would move it in a circle");
	drive_told("resynced: first scan");
	for (int i = 0; i < 5; i++)
		drive_later(600 * DRIVE_SECOND);
	drive_told_nothing;
	check(testing_stands("M", "1"));
	/* Another attempt is another state of the qf. */
	testing_rewrite("M", &(struct testing_message){.id = "1", .attempts = 4});
	drive_turns();
	drive_told("message-attempted 1 M");
	drive_told("message-moved 1 M->Q: attempts 4 >= 3");
	drive_told("message-refused 1 Q->M: the rules would move it in a circle");
	drive_told_nothing;
	drive_finish();
}

/* ---- the policy file ---- */

static bool hint(void)
{
	drive_turns();
	return engine_take_policy_hint(drive_engine);
}

static void policy_file_saved(void)
{
	drive_start_usual();
	testing_mkdir("etc");
	testing_mkdir("real");
	testing_write("real/policy.json", "{}");
	check(symlink("../real/policy.json", "etc/policy.json") == 0);
	check_equal(engine_watch_policy(drive_engine, testing_path("etc/policy.json")), 0);
	/* It may have been saved just before. */
	hint();
	check(!hint());
	testing_write("etc/other", "x");
	testing_write("real/other", "x");
	check(!hint());
	/* In place, through the link; replaced behind it; and the link itself. */
	testing_write("etc/policy.json", "{ }");
	check(hint());
	check(!hint());
	testing_write("real/new", "{  }");
	testing_rename("real/new", "real/policy.json");
	check(hint());
	check(symlink("../real/other", "etc/new") == 0);
	check(!hint());
	testing_rename("etc/new", "etc/policy.json");
	check(hint());
	check(!hint());
	/* The folder is replaced as a whole. */
	testing_rename("etc", "etc.old");
	testing_mkdir("etc");
	check(hint());
	testing_write("etc/policy.json", "{}");
	check_equal(engine_watch_policy(drive_engine, testing_path("etc/policy.json")), 0);
	hint();
	testing_write("etc/policy.json", "{ }");
	check(hint());
	drive_finish();
}

/* ---- once, dry ---- */

static void once(void)
{
	struct testing_holder holder;

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	testing_enqueue("Q", "1", 2);
	testing_enqueue("Q", "2", 12);
	testing_enqueue("Q", "3", 3);
	check(testing_hold("Q/qf3", TESTING_FLOCK, &holder));
	testing_message("Q", &(struct testing_message){.id = "4", .attempts = 3, .lines = "d/x\n"});
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_ONCE, false);
	/* It waits for a lock for a moment, but not for ever. */
	for (int i = 0; engine_deadline(drive_engine) != INT64_MAX; i++) {
		check(i < 20);
		drive_later(DRIVE_SECOND);
	}
	check(testing_stands("Q", "1") && testing_stands("S", "2") && testing_stands("Q", "3"));
	check_equal(counts().busy, 1);
	check_equal(counts().refused, 1);
	check_equal(counts().failed, 0);
	check_equal(counts().moved, 2);
	testing_release(&holder);
	drive_turns();
	check(testing_stands("Q", "3"));
	drive_finish();
}

static void dry_run(void)
{
	size_t files, moved = 0, deleted = 0;

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	testing_enqueue("Q", "1", 12);
	testing_enqueue("S", "2", 25);
	testing_rename("S/qf2", "S/.qfwatch-delete-2");
	testing_enqueue("S", "3", 25);
	testing_enqueue("M", "4", 3);
	testing_link("M/df/df4", "Q/df4");
	files = testing_count("Q") + testing_count("M/qf") + testing_count("M/df") +
		testing_count("S");
	drive_start(DRIVE_THREE_TIERS, THREE_RULES, ENGINE_WATCH, true);
	check_equal(testing_count("../run"), 0);
	for (int i = 0; i < 3; i++)
		drive_later(3601 * DRIVE_SECOND);
	while (drive_next()[0]) {
		const char *action = lines_text(drive_last(), "event/action");

		check(json_is_true(lines_at(drive_last(), "qfwatch/dry_run")));
		check_text(lines_text(drive_last(), "event/kind"), "event");
		moved += strcmp(action, "message-moved") == 0;
		deleted += strcmp(action, "message-deleted") == 0;
	}
	/* The whole way of each, and once only. */
	check_equal(moved, 2);
	check_equal(deleted, 1);
	check(testing_stands("Q", "1") && testing_stands("S", "3"));
	check_equal(files, testing_count("Q") + testing_count("M/qf") + testing_count("M/df") +
				   testing_count("S"));
	/* The next state of a qf is judged anew. */
	testing_rewrite("Q", &(struct testing_message){.id = "1", .attempts = 13});
	drive_turns();
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->M: attempts 13 >= 2");
	drive_told("message-moved 1 M->S: attempts 13 >= 10");
	drive_told_nothing;
	drive_finish();
}

/* ---- in the crowd ---- */

/* Any order of changes, and in the end memory and spool agree; nothing is lost, nothing is twice.
 */
static void random_life(void)
{
	enum { IDS = 60 };
	uint64_t seed = 271828;
	unsigned attempts[IDS] = {0};
	bool alive[IDS] = {false};
	size_t living = 0, standing = 0;

	drive_start_usual();
	for (size_t i = 0; i < (testing_slow() ? 1000 : 3000); i++) {
		size_t which = testing_random(&seed) % IDS;
		const char *tier = NULL;
		char id[16];

		snprintf(id, sizeof(id), "%zu", which);
		for (size_t k = 0; k < 3; k++)
			if (testing_exists(testing_file(&"Q\0M\0S"[2 * k], "qf", id)))
				tier = &"Q\0M\0S"[2 * k];
		check_equal(tier != NULL, alive[which]);
		switch (testing_random(&seed) % 5) {
		case 0:
			if (alive[which])
				break;
			attempts[which] = testing_random(&seed) % 5;
			alive[which] = true;
			testing_enqueue("Q", id, attempts[which]);
			break;
		case 1:
			if (!alive[which] || testing_random(&seed) % 4)
				break;
			alive[which] = false;
			testing_remove(testing_file(tier, "df", id));
			testing_remove(testing_file(tier, "qf", id));
			break;
		case 2:
		case 3:
			if (alive[which])
				testing_rewrite(tier,
						&(struct testing_message){
							.id = id, .attempts = ++attempts[which]});
			break;
		case 4:
			if (testing_random(&seed) % 2)
				drive_turns();
			else
				engine_turn(drive_engine, drive_now());
			break;
		}
	}
	drive_turns();
	for (size_t i = 0; i < IDS; i++) {
		char id[16];
		const char *where = attempts[i] >= 10 ? "S" : attempts[i] >= 3 ? "M" : "Q";

		snprintf(id, sizeof(id), "%zu", i);
		living += alive[i];
		if (alive[i])
			check(testing_stands(where, id));
		for (size_t k = 0; k < 3; k++)
			standing += testing_exists(testing_file(&"Q\0M\0S"[2 * k], "qf", id));
	}
	check_equal(standing, living);
	check_equal(counts().messages, living);
	check(living > 5 && counts().moved > 20 && counts().departed > 5);
	check_equal(counts().failed + counts().refused + counts().busy, 0);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(renamed_and_back),  APART(made_again),
		APART(layout_changes),	  APART(unmounted),
		APART(glob_grows),	  APART(another_policy),
		APART(other_tiers),	  APART(circle),
		APART(policy_file_saved), APART(once),
		APART(dry_run),		  APART(random_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
