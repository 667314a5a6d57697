/* test_engine.c - messages in the hands of the engine: tracked, moved, waited for, refused,
 * deleted. test_engine_tiers.c has directories and policies.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/mover.h"

#include "../support/drive.h"
#include "../support/testing.h"

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

/* As sendmail after an attempt. */
static void attempt(const char *tier, const char *id, uint32_t attempts)
{
	testing_rewrite(tier, &(struct testing_message){.id = id, .attempts = attempts});
}

/* The event names the domains of the message. */
static void check_domain(void)
{
	json_t *domains = lines_at(drive_last(), "qfwatch/message/recipient_domains");

	check_equal(json_array_size(domains), 1);
	check_text(json_string_value(json_array_get(domains, 0)), "example.net");
}

/* ---- rules that cannot be judged ---- */

/* Told of one message a minute for each such rule, and the next rule acts. */
static void regular_expressions_that_are_given_up(void)
{
	static const char costly[] = "H??X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n";
	struct testing_message message = {.attempts = 1, .lines = costly};

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS,
		    "{\"name\":\"slow\",\"tier\":\"Q\",\"when\":{\"header\":{\"X\":{\"regex\":"
		    "\"(a+)+$\"}}},\"then\":{\"delete\":true}},"
		    "{\"name\":\"slow not\",\"tier\":\"M\",\"when\":{\"not\":{\"header\":{\"X\":{"
		    "\"regex\":\"(a+)+$\"}}}},\"then\":{\"delete\":true}}," DRIVE_MOVE(
			    "Q", "\"attempts\":1", "M"),
		    ENGINE_WATCH, false);
	message.id = "1";
	testing_message("Q", &message);
	drive_turns();
	drive_news_is("message-refused 1 Q: a regular expression takes too long for its text");
	check_text(lines_text(drive_last(), "qfwatch/rule"), "slow");
	check(lines_text(drive_last(), "qfwatch/remedy") != NULL);
	check_text(lines_text(drive_last(), "message"),
		   "rule \"slow\" passed over for 1 in Q: a regular expression takes too long for "
		   "its text");
	drive_news_is("message-moved 1 Q->M: attempts 1 >= 1");
	/* Once in M it is asked about again when it is next read. */
	drive_no_news;
	check_equal(counts().refused, 0);
	check_equal(counts().given_up, 1);
	message.id = "2";
	testing_message("Q", &message);
	drive_turns();
	drive_news_is("message-moved 2 Q->M: attempts 1 >= 1");
	drive_no_news;
	check_equal(counts().given_up, 2);
	message.attempts = 2;
	testing_rewrite("M", &message);
	drive_turns();
	drive_news_is("message-refused 2 M: a regular expression takes too long for its text");
	check_text(lines_text(drive_last(), "qfwatch/rule"), "slow not");
	drive_no_news;
	drive_later(60 * DRIVE_SECOND);
	message.id = "3";
	testing_message("Q", &message);
	drive_turns();
	drive_news_is("message-refused 3 Q: a regular expression takes too long for its text");
	drive_news_is("message-moved 3 Q->M: attempts 2 >= 1");
	check(testing_stands("M", "1") && testing_stands("M", "2") && testing_stands("M", "3"));
	drive_finish();
}

/* ---- moves ---- */

/* Where all recipients are local, there are none, and that is told. */
static void no_domains(void)
{
	drive_start_usual();
	testing_message("Q", &(struct testing_message){.id = "1"});
	testing_write("Q/qf1", "V8\nT1700000000\nK0\nN0\nP1\nS<a@example.org>\nRPFD:root\n.\n");
	drive_turns();
	drive_told("message-tracked 1 Q");
	check(json_is_array(lines_at(drive_last(), "qfwatch/message/recipient_domains")));
	check_equal(json_array_size(lines_at(drive_last(), "qfwatch/message/recipient_domains")),
		    0);
	drive_finish();
}

static void tracked_and_moved(void)
{
	drive_start_usual();
	testing_enqueue("Q", "1", 0);
	drive_turns();
	drive_told("message-tracked 1 Q");
	check_equal(lines_number(drive_last(), "qfwatch/message/attempts"), 0);
	check_domain();
	check_equal(counts().messages, 1);
	for (uint32_t n = 1; n < 3; n++) {
		attempt("Q", "1", n);
		drive_turns();
		drive_told("message-attempted 1 Q");
		check_domain();
		drive_told_nothing;
		check(testing_stands("Q", "1"));
	}
	attempt("Q", "1", 3);
	drive_turns();
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	check_text(lines_text(drive_last(), "qfwatch/tier"), "M");
	check_text(lines_text(drive_last(), "event/outcome"), "success");
	check_equal(lines_number(drive_last(), "qfwatch/message/attempts"), 3);
	check_equal(lines_number(drive_last(), "qfwatch/message/size"), strlen("body of 1\n"));
	check(lines_number(drive_last(), "event/duration") > 0);
	check_domain();
	drive_told_nothing;
	check(testing_stands("M", "1") && testing_absent("Q", "1"));
	/* Delivered from there. */
	testing_remove(testing_file("M", "df", "1"));
	testing_remove(testing_file("M", "qf", "1"));
	drive_turns();
	drive_told("message-departed 1 M");
	drive_told_nothing;
	check_equal(counts().messages, 0);
	check_equal(counts().moved, 1);
	check_equal(counts().departed, 1);
	check_equal(counts().attempted, 3);
	drive_finish();
}

static void standing_at_the_start(void)
{
	size_t moved = 0, tracked = 0;
	const char *event;

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	for (unsigned i = 0; i < 300; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%u", i);
		testing_enqueue(i % 5 ? "Q" : "M", id, i % 15);
		testing_make_old(testing_file(i % 5 ? "Q" : "M", "qf", id), 100);
	}
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	while (strcmp(event = drive_next(), "resynced: first scan") != 0) {
		check(event[0]);
		moved += strncmp(event, "message-moved ", 14) == 0;
		tracked += strncmp(event, "message-tracked ", 16) == 0;
	}
	check_equal(lines_number(drive_last(), "qfwatch/counts/messages"), 300);
	check_equal(lines_number(drive_last(), "qfwatch/counts/found"), 300);
	check_equal(lines_number(drive_last(), "qfwatch/counts/departed"), 0);
	drive_told_nothing;
	check_equal(tracked, 300);
	check_equal(counts().moved, moved);
	for (unsigned i = 0; i < 300; i++) {
		char id[16];
		unsigned n = i % 15;

		snprintf(id, sizeof(id), "%u", i);
		check(testing_stands(n >= 10 ? "S" : n >= 3 || i % 5 == 0 ? "M" : "Q", id));
	}
	/* All is at rest. */
	check(engine_deadline(drive_engine) > drive_now() + 3000 * DRIVE_SECOND);
	drive_finish();
}

/* Each move has its event, and it ends in the right tier. */
static void cascade(void)
{
	drive_start_usual();
	testing_enqueue("Q", "1", 12);
	drive_turns();
	drive_told("message-tracked 1 Q");
	drive_told("message-moved 1 Q->M: attempts 12 >= 3");
	drive_told("message-moved 1 M->S: attempts 12 >= 10");
	drive_told_nothing;
	check(testing_stands("S", "1") && testing_absent("M", "1") && testing_absent("Q", "1"));
	check_equal(counts().messages, 1);
	drive_finish();
}

/* What we did ourselves comes back as a notification, and costs no second read. */
static unsigned opens_of(int watch, const char *name)
{
	char bytes[8192] __attribute__((aligned(8)));
	unsigned opens = 0;
	ssize_t n;

	while ((n = read(watch, bytes, sizeof(bytes))) > 0)
		for (char *at = bytes; at < bytes + n;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			opens += event->len && strcmp(event->name, name) == 0;
			at += sizeof(*event) + event->len;
		}
	return opens;
}

static void echo_is_not_read(void)
{
	int watch;

	drive_start_usual();
	watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	check(watch >= 0 && inotify_add_watch(watch, "M/qf", IN_OPEN) >= 0);
	testing_enqueue("Q", "1", 3);
	drive_turns();
	check(testing_stands("M", "1"));
	check_equal(opens_of(watch, "qf1"), 0);
	/* What somebody else does is read: sendmail's write, and ours of it. */
	attempt("M", "1", 4);
	drive_turns();
	check_equal(opens_of(watch, "qf1"), 1);
	check_equal(counts().attempted, 1);
	/* Also right after the move, in one breath with its echo. */
	testing_enqueue("Q", "2", 3);
	check(engine_turn(drive_engine, drive_now()) || testing_exists("M/qf/qf2"));
	attempt("M", "2", 10);
	drive_turns();
	check(testing_stands("S", "2"));
	close(watch);
	drive_finish();
}

/* ---- locks ---- */

static void busy(enum testing_lock kind)
{
	struct testing_holder holder;

	drive_start_usual();
	testing_enqueue("Q", "1", 2);
	drive_turns();
	drive_told("message-tracked 1 Q");
	attempt("Q", "1", 3);
	check(testing_hold("Q/qf1", kind, &holder));
	drive_turns();
	drive_told("message-attempted 1 Q");
	/* A lock of milliseconds is not worth an event. */
	drive_told_nothing;
	check_equal(counts().busy, 1);
	check(testing_stands("Q", "1"));
	check(engine_deadline(drive_engine) < drive_now() + DRIVE_SECOND);
	for (int i = 0; i < 6; i++)
		drive_later(DRIVE_SECOND);
	drive_told("message-busy 1 Q->M: the qf is locked");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	for (int i = 0; i < 20; i++)
		drive_later(60 * DRIVE_SECOND);
	drive_told_nothing;
	check(testing_stands("Q", "1"));
	/* Asked again at most once a minute, at least every minute. */
	check(engine_deadline(drive_engine) > drive_now() + 50 * DRIVE_SECOND);
	check(engine_deadline(drive_engine) <= drive_now() + 60 * DRIVE_SECOND);
	/* Released: moved without any time passing. */
	testing_release(&holder);
	drive_turns();
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told_nothing;
	check(testing_stands("M", "1"));
	check_equal(counts().busy, 0);
	drive_finish();
}

static void busy_by_flock(void)
{
	busy(TESTING_FLOCK);
}

static void busy_by_fcntl(void)
{
	busy(TESTING_FCNTL);
}

/* A runner that sorts its queue closes read-only: there is no notification, only the retries. */
static void busy_by_reader(void)
{
	int fd;

	drive_start_usual();
	testing_enqueue("Q", "1", 3);
	fd = open("Q/qf1", O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && flock(fd, LOCK_SH) == 0);
	drive_turns();
	drive_told("message-tracked 1 Q");
	drive_told_nothing;
	close(fd);
	drive_turns();
	drive_told_nothing;
	drive_later(DRIVE_SECOND / 100);
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told_nothing;
	drive_finish();
}

/* ---- refused ---- */

/* Refused once, with that reason; nothing more however often it is looked at, and left alone. */
static void refused(const char *id, const char *reason)
{
	char expected[200];
	struct stat before, after;

	check(lstat(testing_file("Q", "qf", id), &before) == 0);
	drive_turns();
	drive_later(3 * DRIVE_SECOND);
	snprintf(expected, sizeof(expected), "message-refused %s Q: %s", id, reason);
	drive_told(expected);
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	check(lines_text(drive_last(), "qfwatch/remedy"));
	check_equal(counts().refused, 1);
	for (int i = 0; i < 8; i++)
		drive_later(1000 * DRIVE_SECOND);
	while (strcmp(drive_next(), "") != 0)
		check_text(lines_text(drive_last(), "event/action"), "resynced");
	check(lstat(testing_file("Q", "qf", id), &after) == 0);
	check(before.st_ino == after.st_ino && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
	check_equal(counts().refused, 1);
	/* Its disappearance is seen; that it was never tracked stays so. */
	testing_remove(testing_file("Q", "qf", id));
	drive_turns();
	drive_skip();
	check_equal(counts().messages, 0);
	check_equal(counts().refused, 0);
}

static void refused_files(void)
{
	drive_start_usual();
	testing_write("outside", "T1\nN9\n.\n");
	check(symlink(testing_path("outside"), "Q/qf1") == 0);
	refused("1", "the qf is a symbolic link");
	check(mkfifo("Q/qf2", 0600) == 0);
	refused("2", "the qf is a FIFO");
	testing_mkdir("Q/qf3");
	refused("3", "the qf is a directory");
	testing_link("outside", "Q/qf4");
	refused("4", "the qf has more than one link");
	testing_write("Q/qf5", "%s", "");
	check(truncate("Q/qf5", QFILE_MAX_BYTES + 1) == 0);
	refused("5", "the qf is larger than 16 MiB");
	check(testing_holds("outside", "T1\nN9\n.\n"));
	drive_finish();
}

static void refused_contents(void)
{
	drive_start_usual();
	testing_write("Q/qf1", "%s", "");
	refused("1", "the qf is empty");
	testing_write("Q/qf2", "V8\nT1\nN3\n");
	refused("2", "the qf has no final \".\" line");
	testing_write("Q/qf3", "V8\nN3\n.\n");
	refused("3", "the qf has no T line (time of creation)");
	testing_write("Q/qf4", "V8\nT1\n.\n");
	refused("4", "the qf has no N line (number of attempts)");
	testing_write("Q/qf5", "V8\nT1\nN-3\n.\n");
	refused("5", "the N line of the qf is not a number of attempts");
	testing_write("Q/qf6", "V8\nT1\nN3\n.\nmore\n");
	refused("6", "the qf goes on after its final \".\" line");
	testing_write("Q/qf7", "V8\nT1\nN3\nN4\n.\n");
	refused("7", "the qf has two T, K or N lines");
	drive_finish();
}

/* Due, but not safe to move. Each is looked at again when what is wrong has been put right. */
static void refused_as_due(void)
{
	struct testing_message elsewhere = {.id = "1", .attempts = 3, .lines = "d/other\n"};

	drive_start_usual();
	testing_message("Q", &elsewhere);
	drive_turns();
	drive_told("message-tracked 1 Q");
	drive_told(
		"message-refused 1 Q->M: the qf has a d line: its df stands in another directory "
		"(queue groups)");
	check_text(lines_text(drive_last(), "qfwatch/move/rule"), "rule 1");
	elsewhere.attempts = 4;
	testing_rewrite("Q", &elsewhere);
	drive_turns();
	drive_told("message-attempted 1 Q");
	/* Another state of the qf: told once more. */
	check(strncmp(drive_next(), "message-refused 1 Q->M: the qf has a d line", 43) == 0);
	attempt("Q", "1", 5);
	drive_turns();
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->M: attempts 5 >= 3");

	testing_enqueue("Q", "2", 3);
	testing_rename("Q/df2", "df2");
	drive_turns();
	drive_told("message-tracked 2 Q");
	drive_told("message-refused 2 Q->M: its df is missing");
	testing_rename("df2", "Q/df2");
	drive_later(2 * DRIVE_SECOND);
	drive_told("message-moved 2 Q->M: attempts 3 >= 3");

	testing_enqueue("Q", "3", 3);
	testing_write("M/qf/qf3", "V8\nT1\n");
	testing_write("M/df/df4", "another\n");
	testing_enqueue("Q", "4", 3);
	drive_turns();
	drive_told("message-tracked 3 Q");
	drive_told("message-refused 3 Q->M: the target tier already has that qf");
	drive_told("message-tracked 4 Q");
	drive_told("message-refused 4 Q->M: the target tier already has that df");
	drive_told_nothing;
	check(testing_stands("Q", "3") && testing_stands("Q", "4"));
	check(testing_holds("M/df/df4", "another\n"));
	check(!testing_exists("M/df/df3"));
	testing_remove("M/qf/qf3");
	testing_remove("M/df/df4");
	drive_later(2 * DRIVE_SECOND);
	check_equal(drive_skip(), 2);
	check(testing_stands("M", "3") && testing_stands("M", "4"));

	testing_enqueue("Q", "5", 3);
	testing_link("Q/df5", "second");
	drive_turns();
	drive_told("message-tracked 5 Q");
	drive_told("message-refused 5 Q->M: its df has another link outside the tiers");
	drive_told_nothing;
	check_equal(counts().refused, 1);
	drive_finish();
}

static void unreadable(void)
{
	testing_need_root();
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	for (const char *const *tier =
		     (const char *const[]){"../run", "..", "Q", "M/qf", "M/df", "S", NULL};
	     *tier; tier++)
		check(chmod(*tier, 0777) == 0);
	testing_enqueue("Q", "1", 3);
	check(chmod("Q/qf1", 0600) == 0);
	check(chown("../run", 65534, 65534) == 0);
	testing_drop_rights();
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_told("message-refused 1 Q: the qf cannot be read");
	check_text(lines_text(drive_last(), "error/code"), "EACCES");
	drive_told("resynced: first scan");
	for (int i = 0; i < 5; i++)
		drive_later(100 * DRIVE_SECOND);
	drive_told_nothing;
	drive_finish();
}

/* One that is being written is given time: as long as somebody holds it, or something happens to
 * it. */
static void being_written(void)
{
	struct testing_holder holder;

	drive_start_usual();
	testing_write("Q/df1", "body of 1\n");
	testing_write("Q/qf1", "%s", "");
	check(testing_hold("Q/qf1", TESTING_FLOCK, &holder));
	for (int i = 0; i < 10; i++)
		drive_later(3 * DRIVE_SECOND);
	drive_told_nothing;
	check_equal(counts().messages, 1);
	check_equal(counts().refused, 0);
	testing_write("Q/qf1", "V8\nT1\nN3\n");
	for (int i = 0; i < 10; i++)
		drive_later(3 * DRIVE_SECOND);
	drive_told_nothing;
	testing_write("Q/qf1", "V8\nT1\nN3\n.\n");
	testing_release(&holder);
	drive_turns();
	drive_told("message-tracked 1 Q");
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told_nothing;
	/* Left by its writer, but written to again in time. */
	testing_write("Q/qf2", "V8\n");
	drive_turns();
	drive_later(DRIVE_SECOND * 19 / 10);
	drive_told_nothing;
	testing_write("Q/qf2", "V8\nT1\n");
	drive_turns();
	drive_later(DRIVE_SECOND * 19 / 10);
	drive_told_nothing;
	drive_later(DRIVE_SECOND);
	drive_told("message-refused 2 Q: the qf has no final \".\" line");
	drive_told_nothing;
	drive_finish();
}

/* One that comes and goes before it could be read leaves no trace: nobody was told of it. */
static void gone_at_once(void)
{
	drive_start_usual();
	testing_write("Q/qf1", "%s", "");
	drive_turns();
	check_equal(counts().messages, 1);
	testing_remove("Q/qf1");
	drive_turns();
	check_equal(counts().messages, 0);
	check_equal(counts().departed, 0);
	testing_enqueue("Q", "2", 0);
	testing_remove("Q/qf2");
	drive_turns();
	drive_told_nothing;
	drive_finish();
}

/* ---- failed ---- */

static void failed_and_tried_again(void)
{
	int64_t last, tries = 0;

	testing_private_mounts();
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	check(mount(".", ".", "", MS_BIND, NULL) == 0);
	check(chdir(testing_path("%s", "")) == 0);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_told("resynced: first scan");
	testing_enqueue("Q", "1", 3);
	check(mount("", ".", "", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
	drive_turns();
	drive_told("message-tracked 1 Q");
	drive_told("move-failed 1 Q->M: link df into the target tier: Read-only file system");
	check_text(lines_text(drive_last(), "error/code"), "EROFS");
	check(lines_text(drive_last(), "qfwatch/remedy"));
	check_equal(counts().failed, 1);
	/* Tried later and later, but at least once a minute, and told once. */
	for (last = 0; tries < 12; tries++) {
		int64_t wait = engine_deadline(drive_engine) - drive_now();

		check(wait > last - DRIVE_SECOND / 10 && wait <= 60 * DRIVE_SECOND);
		check(wait > last * 3 / 2 || wait > 32 * DRIVE_SECOND);
		last = wait;
		drive_later(wait + 1000);
	}
	check(last > 59 * DRIVE_SECOND);
	drive_told_nothing;
	check(testing_stands("Q", "1"));
	check(mount("", ".", "", MS_REMOUNT | MS_BIND, NULL) == 0);
	drive_later(61 * DRIVE_SECOND);
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told_nothing;
	check_equal(counts().failed, 0);
	drive_finish();
}

/* ---- time ---- */

static void age_is_a_deadline(void)
{
	int64_t created = clock_now() / CLOCK_SECOND - 100, due;
	struct testing_message message = {.id = "1", .created = created};

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_message("Q", &message);
	drive_start(DRIVE_TIER("Q", "Q") "," DRIVE_TIER("M", "M"),
		    DRIVE_MOVE("Q", "\"age\":200", "M") "," DRIVE_DELETE("M", "\"age\":\"1d\""),
		    ENGINE_WATCH, false);
	drive_told("message-tracked 1 Q");
	drive_told("resynced: first scan");
	due = (created + 200) * CLOCK_SECOND;
	check_equal(engine_deadline(drive_engine), due);
	drive_turns();
	drive_told_nothing;
	/* To the microsecond, whatever the time is by now. */
	engine_turn(drive_engine, due - 1);
	check(testing_stands("Q", "1"));
	check_equal(engine_deadline(drive_engine), due);
	engine_turn(drive_engine, due);
	check(testing_stands("M", "1"));
	drive_shift += due - drive_now();
	drive_turns();
	drive_told("message-moved 1 Q->M: age 3m20s >= 3m20s");
	drive_told_nothing;
	drive_later(86400 * DRIVE_SECOND);
	drive_told("message-deleted 1 M: age 1d3m20s >= 1d");
	drive_skip();
	check(testing_absent("M", "1"));
	check_equal(testing_count("M"), 0);
	check_equal(counts().deleted, 1);
	check_equal(counts().departed, 0);
	check_equal(counts().messages, 0);
	drive_finish();
}

/* A clock set forward is noticed by whoever waits for a moment of the old one. */
static void clock_is_set(void)
{
	struct testing_message message = {.id = "1", .created = clock_now() / CLOCK_SECOND};

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_message("Q", &message);
	drive_start(DRIVE_TIER("Q", "Q") "," DRIVE_TIER("M", "M"),
		    DRIVE_MOVE("Q", "\"age\":200", "M"), ENGINE_WATCH, false);
	drive_skip();
	/* Back by an hour: the rule waits that much longer. */
	drive_shift = -3600 * DRIVE_SECOND;
	engine_clock_set(drive_engine);
	drive_turns();
	drive_told_nothing;
	check_equal(engine_deadline(drive_engine), (message.created + 200) * CLOCK_SECOND);
	drive_shift += (message.created + 201) * CLOCK_SECOND - drive_now();
	engine_clock_set(drive_engine);
	drive_turns();
	drive_told("message-moved 1 Q->M: age 3m21s >= 3m20s");
	drive_finish();
}

/* ---- what notifications do not tell ---- */

/* A store into memory that a file is mapped to: the kernel tells nobody. */
static void reconciled(bool as_young)
{
	struct stat stat;
	char *text, *place;
	int fd;

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	testing_enqueue("Q", "1", 2);
	/* However long it takes until it is read. */
	testing_make_old("Q/qf1", as_young ? -3600 : 3600);
	fd = open("Q/qf1", O_RDWR | O_CLOEXEC);
	check(fd >= 0 && fstat(fd, &stat) == 0);
	text = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(text != MAP_FAILED);
	close(fd);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_told("message-tracked 1 Q");
	drive_told("resynced: first scan");
	place = memmem(text, (size_t)stat.st_size, "\nN2\n", 4);
	check(place != NULL);
	place[2] = '3';
	/* Not all file systems change the time for such a store. */
	if (!as_young)
		stat.st_mtim.tv_sec++;
	check(utimensat(AT_FDCWD, "Q/qf1", (struct timespec[]){stat.st_atim, stat.st_mtim}, 0) ==
	      0);
	drive_turns();
	drive_later(3500 * DRIVE_SECOND);
	drive_told_nothing;
	check(testing_stands("Q", "1"));
	drive_later(101 * DRIVE_SECOND);
	drive_told("message-attempted 1 Q");
	drive_told("message-moved 1 Q->M: attempts 3 >= 3");
	drive_told("resynced: reconcile");
	check_equal(lines_number(drive_last(), "qfwatch/counts/messages"), 1);
	check_equal(lines_number(drive_last(), "qfwatch/counts/departed"), 0);
	drive_told_nothing;
	/* And again, an hour later. */
	drive_later(3600 * DRIVE_SECOND);
	drive_told("resynced: reconcile");
	drive_told_nothing;
	munmap(text, (size_t)stat.st_size);
	drive_finish();
}

static void reconciled_by_time(void)
{
	reconciled(false);
}

/* Read when it was so young that it could change without its time of modification changing. */
static void reconciled_as_young(void)
{
	reconciled(true);
}

static void open_engine(void)
{
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
}

/* More at once than the kernel keeps: all is looked at again. */
static void overflow(void)
{
	size_t lost = 0, resynced = 0;
	bool ends_well = false;

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	for (unsigned i = 0; i < 30; i++) {
		char id[16];

		snprintf(id, sizeof(id), "old%u", i);
		testing_enqueue("Q", id, 2);
	}
	testing_small_queue(open_engine);
	drive_skip();
	check_equal(counts().messages, 30);
	/* Some go, some come, some change. */
	for (unsigned i = 0; i < 10; i++) {
		testing_remove(testing_path("Q/qfold%u", i));
		testing_remove(testing_path("Q/dfold%u", i));
	}
	for (unsigned i = 0; i < 200; i++) {
		char id[16];

		snprintf(id, sizeof(id), "new%u", i);
		testing_enqueue("Q", id, 3);
	}
	for (unsigned i = 10; i < 20; i++) {
		char id[16];

		snprintf(id, sizeof(id), "old%u", i);
		attempt("Q", id, 3);
	}
	drive_turns();
	/* The moves fill the queue again, which is looked after in the same way. */
	check(counts().overflows >= 1);
	check_equal(counts().messages, 220);
	check_equal(counts().departed, 10);
	check_equal(counts().moved, 210);
	while (drive_next()[0]) {
		const char *action = lines_text(drive_last(), "event/action");

		ends_well = strcmp(action, "resynced") == 0;
		lost += strcmp(action, "events-lost") == 0;
		resynced += strcmp(action, "resynced") == 0;
	}
	check(ends_well);
	check_equal(lost, counts().overflows);
	check(resynced >= 1 && resynced <= lost);
	for (unsigned i = 0; i < 200; i++) {
		char id[16];

		snprintf(id, sizeof(id), "new%u", i);
		check(testing_stands("M", id));
	}
	drive_finish();
}

/* ---- after a crash ---- */

static void recovers(void)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	/* Interrupted moves: before the commit, and after it; one due, one not. */
	testing_enqueue("Q", "1", 1);
	testing_link("Q/df1", "M/df/df1");
	testing_enqueue("Q", "2", 3);
	testing_link("Q/df2", "M/df/df2");
	testing_enqueue("M", "3", 3);
	testing_link("M/df/df3", "Q/df3");
	testing_enqueue("M", "4", 10);
	testing_link("M/df/df4", "Q/df4");
	/* An interrupted deletion. */
	testing_enqueue("S", "5", 3);
	testing_rename("S/qf5", "S/" MOVER_DELETING "5");
	/* sendmail's own, half made: a df alone. */
	testing_write("Q/df6", "body of 6\n");
	testing_write("Q/.qfwatch-unknown", "not known\n");
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	check(testing_stands("Q", "1") && testing_absent("M", "1"));
	check(testing_stands("M", "2") && testing_absent("Q", "2"));
	check(testing_stands("M", "3") && testing_absent("Q", "3"));
	check(testing_stands("S", "4") && testing_absent("Q", "4") && testing_absent("M", "4"));
	check_equal(testing_count("S"), 2);
	check(testing_holds("Q/df6", "body of 6\n"));
	check(testing_holds("Q/.qfwatch-unknown", "not known\n"));
	check_equal(testing_count("Q"), 4);
	check_equal(counts().refused + counts().failed, 0);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(tracked_and_moved),
		APART(no_domains),
		APART(regular_expressions_that_are_given_up),
		APART(standing_at_the_start),
		APART(cascade),
		APART(echo_is_not_read),
		APART(busy_by_flock),
		APART(busy_by_fcntl),
		APART(busy_by_reader),
		APART(refused_files),
		APART(refused_contents),
		APART(refused_as_due),
		APART(unreadable),
		APART(being_written),
		APART(gone_at_once),
		APART(failed_and_tried_again),
		APART(age_is_a_deadline),
		APART(clock_is_set),
		APART(reconciled_by_time),
		APART(reconciled_as_young),
		APART(overflow),
		APART(recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
