/* test_engine_bounce.c - messages that a rule returns to their sender: by a sendmail that is a
 * script here, and does what the test says. tests/e2e/27-actions.sh has the real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/drive.h"
#include "../support/gate.h"
#include "../support/testing.h"

/* What its last argument selects, of the queue that another names. */
#define SENDMAIL                                                                                   \
	"note \"$@\"\n"                                                                            \
	"for word; do case $word in -OQueueDirectory=*) queue=${word#*=} ;;"                       \
	" -qI*) id=${word#-qI} ;; esac; done\n"                                                    \
	"[ -d $queue/qf ] && qf=$queue/qf/qf$id df=$queue/df/df$id ||"                             \
	" qf=$queue/qf$id df=$queue/df$id\n"                                                       \
	"case $1 in *gate*) gate ;; esac\n"                                                        \
	"case $1 in\n"                                                                             \
	"*return) rm -f $qf $df ;;\n"                                                              \
	"*nothing) echo not now ;;\n"                                                              \
	"*refuse) echo '451 try again'; exit 75 ;;\n"                                              \
	"*given-up) mv $qf $queue/Qf$id ;;\n"                                                      \
	"*quarantine) mv $qf $queue/hf$id ;;\n"                                                    \
	"esac"

/* The clock of these tests stands still, and the usual limit of ten a second with it. */
#define NO_LIMIT ",\"limits\":{\"bounces_per_minute\":0}"

#define ID "6AMHKFCA026379"
#define BOUNCE                                                                                     \
	"{\"name\":\"back\",\"tier\":[\"Q\",\"M\"],\"when\":{\"attempts\":3},\"then\":{"           \
	"\"bounce\":true}}"

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

/* The rule, with a sendmail that does `how`, and further keys: each begins with a comma. */
static const char *rules(const char *rule, const char *how, const char *keys)
{
	static char *text;

	free(text);
	check(asprintf(&text, "%s],\"sendmail\":[\"%s\",\"%s\"]%s,\"comment\":[\"\"", rule,
		       gate_script("sendmail", SENDMAIL), how, keys) > 0);
	return text;
}

static void enqueue(const char *tier, const char *id)
{
	testing_enqueue(tier, id, 3);
	testing_make_old(testing_file(tier, "qf", id), 100);
}

static void start_with(const char *rule, const char *how, const char *keys)
{
	drive_start(DRIVE_THREE_TIERS, rules(rule, how, keys), ENGINE_WATCH, false);
}

static void start(const char *how)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	gate_set_up();
	start_with(BOUNCE, how, NO_LIMIT);
}

static void finish(void)
{
	gate_take_away();
	drive_finish();
}

static void settle(void)
{
	drive_turns();
	drive_wait();
}

static void returned(void)
{
	char expected[1000];

	start("return");
	enqueue("Q", ID);
	enqueue("M", "6AMHKFCA026380");
	settle();
	for (int i = 0; i < 2; i++) {
		const char *told = drive_news();
		bool first = strcmp(told, "message-bounced " ID " Q: attempts 3 >= 3") == 0;

		check(first ||
		      strcmp(told, "message-bounced 6AMHKFCA026380 M: attempts 3 >= 3") == 0);
		check_text(lines_text(drive_last(), "event/outcome"), "success");
		check(lines_number(drive_last(), "event/duration") > 0);
		check_text(lines_text(drive_last(), "qfwatch/rule"), "back");
		check_equal(lines_number(drive_last(), "qfwatch/message/attempts"), 3);
		check_text(json_string_value(json_array_get(
				   lines_at(drive_last(), "qfwatch/message/recipient_domains"), 0)),
			   "example.net");
	}
	/* Its departure is ours, and not told again. */
	drive_no_news;
	check(testing_absent("Q", ID) && testing_absent("M", "6AMHKFCA026380"));
	check_equal(counts().bounced, 2);
	check_equal(counts().departed, 0);
	check_equal(counts().messages, 0);
	/* In the foreground, for this message and no other, and now. */
	snprintf(expected, sizeof(expected),
		 "return -OQueueDirectory=%s -OTimeout.queuereturn=now -OMinQueueAge=0 -v -qI" ID
		 "\n",
		 testing_path("Q"));
	check(strstr(gate_notes(), expected) != NULL);
	check_equal(gate_count_notes(), 2);
	finish();
}

static void what_goes_with_it(void)
{
	char rule[2000];

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	gate_set_up();
	snprintf(rule, sizeof(rule),
		 "{\"name\":\"back\",\"tier\":\"Q\",\"when\":{\"attempts\":3},\"then\":{"
		 "\"bounce\":true,\"notify\":\"sorry\",\"run\":{\"program\":\"%s\","
		 "\"arguments\":[\"{id}\",\"{tier}\"]}}}",
		 gate_script("informer", "note informed \"$@\""));
	start_with(rule, "gate-return", "");
	enqueue("Q", ID);
	drive_turns();
	check(gate_has_seen(1));
	drive_turns();
	/* Not before it is done. */
	drive_no_news;
	gate_let_through(1);
	drive_wait();
	drive_news_is("message-bounced " ID " Q: attempts 3 >= 3");
	drive_news_is("message-noticed " ID " Q: attempts 3 >= 3");
	check_text(lines_text(drive_last(), "message"), "sorry: " ID " in Q (back)");
	drive_news_is("program-run " ID " Q: exit status 0");
	drive_no_news;
	check(strstr(gate_notes(), "\ninformed " ID " Q\n") != NULL);
	finish();
}

/* sendmail has its reasons: it is told once, tried again later, and told again when the qf is
 * another. */
static void refused_by_sendmail(void)
{
	start("refuse");
	enqueue("Q", ID);
	settle();
	/* Its words name addresses. */
	drive_news_is("message-bounced " ID " Q: exit status 75");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	check(strstr(lines_text(drive_last(), "message"), "could not return " ID) != NULL);
	check(lines_at(drive_last(), "qfwatch/remedy") != NULL);
	check(testing_stands("Q", ID));
	check_equal(counts().failed, 1);
	check_equal(counts().bounced, 0);
	/* What touches it without changing it is no reason to try again. */
	testing_link(testing_file("Q", "qf", ID), "Q/other");
	testing_remove("Q/other");
	settle();
	check_equal(gate_count_notes(), 1);
	drive_later(59 * DRIVE_SECOND);
	drive_wait();
	check_equal(gate_count_notes(), 1);
	drive_later(2 * DRIVE_SECOND);
	drive_wait();
	check_equal(gate_count_notes(), 2);
	drive_no_news;
	/* Less and less often. */
	drive_later(61 * DRIVE_SECOND);
	drive_wait();
	check_equal(gate_count_notes(), 2);
	drive_later(60 * DRIVE_SECOND);
	drive_wait();
	check_equal(gate_count_notes(), 3);
	drive_no_news;
	testing_rewrite("Q", &(struct testing_message){.id = ID, .attempts = 4});
	settle();
	check_equal(gate_count_notes(), 4);
	drive_news_is("message-bounced " ID " Q: exit status 75");
	/* With a better sendmail it goes, without waiting for its time. */
	check_equal(drive_apply(DRIVE_THREE_TIERS, rules(BOUNCE, "return", NO_LIMIT)), 0);
	settle();
	drive_news_is("message-bounced " ID " Q: attempts 4 >= 3");
	drive_no_news;
	check(testing_absent("Q", ID));
	finish();
}

static void nothing_done_by_sendmail(void)
{
	start("nothing");
	enqueue("Q", ID);
	settle();
	drive_news_is("message-bounced " ID " Q: sendmail ended, and the message is still there");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	drive_no_news;
	check(testing_stands("Q", ID));
	finish();
}

static void cannot_be_started(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS, BOUNCE DRIVE_ALSO("\"sendmail\":\"/nowhere/sendmail\""),
		    ENGINE_WATCH, false);
	enqueue("Q", ID);
	settle();
	drive_news_is(testing_valgrind() ? "message-bounced " ID " Q: exit status 127"
					 : "message-bounced " ID
					   " Q: cannot be started: No such file or directory");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	drive_no_news;
	check(testing_stands("Q", ID));
	drive_finish();
}

/* What sendmail gave up on, or put into quarantine, has not been returned. */
static void given_another_name(void)
{
	start("given-up");
	enqueue("Q", ID);
	settle();
	drive_news_is("message-bounced " ID
		      " Q: sendmail gave its qf another name (Qf or hf) instead");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	drive_news_is("message-departed " ID " Q");
	drive_no_news;
	check(testing_exists("Q/Qf" ID) && testing_exists("Q/df" ID));
	check_equal(counts().bounced, 0);
	check_equal(drive_apply(DRIVE_THREE_TIERS, rules(BOUNCE, "quarantine", NO_LIMIT)), 0);
	enqueue("Q", "6AMHKFCA026380");
	settle();
	drive_news_is("message-bounced 6AMHKFCA026380"
		      " Q: sendmail gave its qf another name (Qf or hf) instead");
	drive_news_is("message-departed 6AMHKFCA026380 Q");
	drive_no_news;
	check_equal(counts().messages, 0);
	finish();
}

/* ---- not begun ---- */

static void ids_that_select_others(void)
{
	static const char *const none[] = {"1", "6AMHKFCA02637", "6AMHKFCA0263-9"};

	start("return");
	for (size_t i = 0; i < N(none); i++) {
		char expected[200];

		enqueue("Q", none[i]);
		settle();
		snprintf(expected, sizeof(expected),
			 "message-refused %s Q: sendmail cannot be told to return this message and "
			 "no other",
			 none[i]);
		drive_news_is(expected);
		drive_no_news;
	}
	/* Part of a longer one that stands anywhere; that one goes. */
	enqueue("S", "X" ID);
	drive_turns();
	enqueue("Q", ID);
	settle();
	drive_news_is("message-refused " ID
		      " Q: sendmail cannot be told to return this message and no other");
	drive_no_news;
	check_equal(gate_count_notes(), 0);
	check_equal(counts().refused, N(none) + 1);
	testing_remove("S/qfX" ID);
	drive_turns();
	drive_news_is("message-departed X" ID " S");
	testing_rewrite("Q", &(struct testing_message){.id = ID, .attempts = 4});
	settle();
	drive_news_is("message-bounced " ID " Q: attempts 4 >= 3");
	drive_no_news;
	finish();
}

static void quarantined_ones(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	gate_set_up();
	start_with("{\"tier\":\"Q\",\"when\":{\"quarantined\":true},\"then\":{\"bounce\":true}}",
		   "return", "");
	enqueue("Q", ID);
	testing_rename("Q/qf" ID, "Q/hf" ID);
	settle();
	check(strncmp(drive_news(), "message-refused " ID " Q: ", 18 + sizeof(ID)) == 0);
	drive_no_news;
	check_equal(gate_count_notes(), 0);
	check(testing_exists("Q/hf" ID));
	finish();
}

static void in_a_dry_run(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	gate_set_up();
	enqueue("Q", ID);
	drive_start(DRIVE_THREE_TIERS, rules(BOUNCE, "return", NO_LIMIT), ENGINE_WATCH, true);
	drive_wait();
	drive_news_is("message-bounced " ID " Q: attempts 3 >= 3");
	check(strstr(lines_text(drive_last(), "message"), "would return " ID) != NULL);
	drive_no_news;
	check_equal(gate_count_notes(), 0);
	check(testing_stands("Q", ID));
	finish();
}

/* ---- while it is under way ---- */

/* Neither notifications, nor a round, nor another policy touch a message in sendmail's hands. */
static void left_alone_meanwhile(void)
{
	start("gate-return");
	enqueue("Q", ID);
	drive_turns();
	check(gate_has_seen(1));
	testing_rewrite("Q", &(struct testing_message){.id = ID, .attempts = 4});
	drive_turns();
	drive_later(2 * 3600 * DRIVE_SECOND);
	check_equal(drive_apply(DRIVE_THREE_TIERS,
				rules(DRIVE_MOVE("Q", "\"attempts\":3", "S"), "return", "")),
		    0);
	drive_turns();
	drive_no_news;
	check(testing_stands("Q", ID));
	check_equal(gate_count_notes(), 1);
	gate_let_through(1);
	drive_wait();
	/* By the rule of the time when it was begun. */
	drive_news_is("message-bounced " ID " Q: attempts 3 >= 3");
	check_text(lines_text(drive_last(), "qfwatch/rule"), "back");
	drive_no_news;
	check_equal(counts().messages, 0);
	finish();
}

/* Where its directory is away when sendmail has ended, nobody can tell what became of it. */
static void tier_lost_meanwhile(void)
{
	start("gate-return");
	enqueue("Q", ID);
	drive_turns();
	check(gate_has_seen(1));
	testing_rename("Q", "elsewhere");
	drive_turns();
	drive_news_is("tier-lost Q: its directory was removed or renamed");
	gate_let_through(1);
	drive_wait();
	check(strncmp(drive_news(), "message-bounced " ID " Q: ", 18 + sizeof(ID)) == 0);
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	drive_no_news;
	check_equal(counts().bounced, 0);
	/* sendmail found nothing to return; it is back, and is returned after all. */
	testing_rename("elsewhere", "Q");
	drive_turns();
	drive_news_is("tier-found Q");
	check(gate_has_seen(2));
	gate_let_through(1);
	drive_wait();
	drive_news_is("message-bounced " ID " Q: attempts 3 >= 3");
	check_text(lines_text(drive_last(), "event/outcome"), "success");
	drive_no_news;
	check_equal(counts().bounced, 1);
	finish();
}

/* That a new directory lacks it says nothing of what stood in the old one. */
static void tier_replaced_meanwhile(void)
{
	start("gate-return");
	enqueue("Q", ID);
	drive_turns();
	check(gate_has_seen(1));
	testing_rename("Q", "elsewhere");
	testing_queue("Q", false);
	drive_turns();
	drive_news_is("tier-lost Q: another directory stands in its place");
	drive_news_is("tier-found Q");
	gate_let_through(1);
	drive_wait();
	drive_turns();
	check(strncmp(drive_news(), "message-bounced " ID " Q: ", 18 + sizeof(ID)) == 0);
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	check_equal(counts().bounced, 0);
	/* It is not there, and the next look says so. */
	drive_later(61 * DRIVE_SECOND);
	drive_news_is("message-departed " ID " Q");
	drive_no_news;
	check_equal(counts().messages, 0);
	check(testing_stands("elsewhere", ID));
	finish();
}

/* A policy without its tier: nobody is told of it any more. */
static void tier_dropped_meanwhile(void)
{
	start("gate-return");
	enqueue("Q", ID);
	drive_turns();
	check(gate_has_seen(1));
	check_equal(drive_apply(DRIVE_TIER("M", "M") "," DRIVE_TIER("S", "S"),
				rules(DRIVE_MOVE("M", "\"attempts\":10", "S"), "return", "")),
		    0);
	drive_turns();
	gate_let_through(1);
	drive_wait();
	drive_no_news;
	check_equal(counts().messages, 0);
	check(testing_absent("Q", ID));
	finish();
}

/* A stop does not wait for a slow host: the next start does it. */
static void stopped_meanwhile(void)
{
	start("gate-return");
	enqueue("Q", ID);
	drive_turns();
	check(gate_has_seen(1));
	engine_stop(drive_engine);
	drive_turns();
	drive_no_news;
	check(!engine_is_waiting(drive_engine));
	check(testing_stands("Q", ID));
	finish();
}

/* So many sendmails as the policy allows, the rest waits, and none is forgotten. */
static void few_at_a_time(void)
{
	enum { MESSAGES = 7, AT_ONCE = 2 };
	size_t told = 0;

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	gate_set_up();
	for (int i = 0; i < MESSAGES; i++) {
		char id[32];

		snprintf(id, sizeof(id), "6AMHKFCA02638%d", i);
		enqueue("Q", id);
	}
	start_with(BOUNCE, "gate-return", ",\"limits\":{\"programs\":2,\"bounces_per_minute\":0}");
	for (size_t seen = AT_ONCE; seen < MESSAGES; seen++) {
		check(gate_has_seen(seen));
		/* Who waits asks again, and gets nothing. */
		drive_later(DRIVE_SECOND);
		check_equal(counts().waiting, MESSAGES - seen);
		check(gate_has_seen(seen));
		gate_let_through(1);
		for (int64_t since = 0;
		     counts().bounced < seen + 1 - AT_ONCE && testing_again(&since);)
			drive_turns();
		check_equal(counts().bounced, seen + 1 - AT_ONCE);
		drive_later(DRIVE_SECOND);
	}
	check(gate_has_seen(MESSAGES));
	gate_let_through(AT_ONCE);
	drive_wait();
	while (strncmp(drive_news(), "message-bounced ", 16) == 0)
		told++;
	check_equal(told, MESSAGES);
	drive_no_news;
	check_equal(testing_count("Q"), 0);
	finish();
}

/* limits.bounces_per_minute, and it is told that some wait. */
static void so_many_a_minute(void)
{
	enum { MESSAGES = 4 };

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	gate_set_up();
	for (int i = 0; i < MESSAGES; i++) {
		char id[32];

		snprintf(id, sizeof(id), "6AMHKFCA02638%d", i);
		enqueue("Q", id);
	}
	start_with(BOUNCE, "return", ",\"limits\":{\"bounces_per_minute\":6}");
	drive_wait();
	check_equal(counts().bounced, 1);
	check_equal(counts().waiting, MESSAGES - 1);
	drive_news_is("limit-reached: limits.bounces_per_minute");
	for (unsigned i = 1; i < MESSAGES; i++) {
		drive_later(9 * DRIVE_SECOND);
		drive_wait();
		check_equal(counts().bounced, i);
		drive_later(DRIVE_SECOND + 1);
		drive_wait();
		check_equal(counts().bounced, i + 1);
	}
	check_equal(counts().messages, 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(returned),
		APART(what_goes_with_it),
		APART(refused_by_sendmail),
		APART(nothing_done_by_sendmail),
		APART(cannot_be_started),
		APART(given_another_name),
		APART(ids_that_select_others),
		APART(quarantined_ones),
		APART(in_a_dry_run),
		APART(left_alone_meanwhile),
		APART(tier_lost_meanwhile),
		APART(tier_replaced_meanwhile),
		APART(tier_dropped_meanwhile),
		APART(stopped_meanwhile),
		APART(few_at_a_time),
		APART(so_many_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
