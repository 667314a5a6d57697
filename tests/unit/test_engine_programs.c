/* test_engine_programs.c - programs that rules run: told of a message, and never in its way. How
 * one is run is test_program's; tests/e2e/27-actions.sh has them beside a real sendmail.
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

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

/* A rule for Q that runs the script, beside `action` ("\"move\":\"M\",") or alone (""). */
static const char *rule(const char *name, const char *action, const char *when,
			const char *commands)
{
	static char texts[4][1200];
	static unsigned next;
	char *text = texts[next++ % N(texts)];

	snprintf(text, sizeof(texts[0]),
		 "{\"name\":\"%s\",\"tier\":\"Q\",\"when\":{%s},\"then\":{%s\"run\":{\"program\":"
		 "\"%s\",\"arguments\":[\"%s\",\"{id}\",\"{file}\",\"{tier}\",\"{rule}\"]}}}",
		 name, when, action, gate_script(name, commands), name);
	return text;
}

static void start(const char *rules)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	gate_set_up();
	drive_start(DRIVE_THREE_TIERS, rules, ENGINE_WATCH, false);
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

static void wait_for_notes(size_t count)
{
	int64_t since = 0;

	while (gate_count_notes() < count && testing_again(&since))
		;
	check_equal(gate_count_notes(), count);
}

/* It is told of a message where that stands now. */
static void beside_a_move(void)
{
	char expected[400];
	const char *shown;

	start(rule("tell", "\"move\":\"M\",", "\"attempts\":3", "note \"$@\""));
	testing_enqueue("Q", "1", 3);
	settle();
	drive_news_is("message-moved 1 Q->M: attempts 3 >= 3");
	drive_news_is("program-run 1 M: exit status 0");
	check_text(lines_text(drive_last(), "event/outcome"), "success");
	check_text(lines_text(drive_last(), "qfwatch/rule"), "tell");
	/* A long one is cut, and so it may be where TMPDIR is. */
	shown = lines_text(drive_last(), "qfwatch/program");
	snprintf(expected, sizeof(expected), "%.*s", strlen(shown) < 100 ? 400 : (int)strlen(shown),
		 testing_path("../tell"));
	check_text(shown, expected);
	check(lines_number(drive_last(), "event/duration") > 0);
	drive_no_news;
	snprintf(expected, sizeof(expected), "tell 1 %s M tell\n", testing_path("M/qf/qf1"));
	check_text(gate_notes(), expected);
	finish();
}

/* With nothing else to do it is run once a message: not with each attempt, nor by a new policy that
 * has the rule still. A new rule is another one. */
static void once_a_message(void)
{
	const char *tell = rule("tell", "", "\"attempts\":1", "note \"$1\"");

	start(tell);
	testing_enqueue("Q", "1", 0);
	settle();
	check_equal(gate_count_notes(), 0);
	for (uint32_t n = 1; n < 4; n++) {
		testing_rewrite("Q", &(struct testing_message){.id = "1", .attempts = n});
		settle();
	}
	drive_news_is("program-run 1 Q: exit status 0");
	drive_no_news;
	check_equal(drive_apply(DRIVE_THREE_TIERS, tell), 0);
	settle();
	drive_no_news;
	check_equal(
		drive_apply(DRIVE_THREE_TIERS, rule("other", "", "\"attempts\":1", "note \"$1\"")),
		0);
	settle();
	drive_news_is("program-run 1 Q: exit status 0");
	check_text(lines_text(drive_last(), "qfwatch/rule"), "other");
	drive_no_news;
	check_text(gate_notes(), "tell\nother\n");
	check(testing_stands("Q", "1"));
	finish();
}

/* That it does not work is told, and changes nothing for the message. */
static void that_fail(void)
{
	start(rule("tell", "\"move\":\"M\",", "\"attempts\":3",
		   "echo first; echo 'no such list' >&2; exit 3"));
	testing_enqueue("Q", "1", 3);
	settle();
	drive_news_is("message-moved 1 Q->M: attempts 3 >= 3");
	drive_news_is("program-run 1 M: exit status 3: first no such list");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	drive_no_news;
	check_equal(drive_apply(DRIVE_THREE_TIERS,
				"{\"name\":\"gone\",\"tier\":\"Q\",\"when\":{\"attempts\":3},"
				"\"then\":{\"run\":{\"program\":\"/nowhere/tell\"}}}"),
		    0);
	testing_enqueue("Q", "2", 3);
	settle();
	drive_news_is(testing_valgrind()
			      ? "program-run 2 Q: exit status 127"
			      : "program-run 2 Q: cannot be started: No such file or directory");
	check_text(lines_text(drive_last(), "event/outcome"), "failure");
	if (!testing_valgrind())
		check_text(lines_text(drive_last(), "error/code"), "ENOENT");
	drive_no_news;
	check_equal(counts().failed, 0);
	check(testing_stands("Q", "2"));
	finish();
}

/* Moves go on while programs run, and messages may come and go under them. */
static void in_nobodys_way(void)
{
	start(rule("tell", "\"move\":\"M\",", "\"attempts\":3", "gate; note \"$2\""));
	testing_enqueue("Q", "1", 3);
	drive_turns();
	check(gate_has_seen(1));
	drive_news_is("message-moved 1 Q->M: attempts 3 >= 3");
	testing_enqueue("Q", "2", 3);
	drive_turns();
	drive_news_is("message-moved 2 Q->M: attempts 3 >= 3");
	testing_remove("M/qf/qf1");
	drive_turns();
	drive_news_is("message-departed 1 M");
	drive_no_news;
	check(gate_has_seen(2));
	gate_let_through(2);
	drive_wait();
	for (int i = 0; i < 2; i++)
		check(strncmp(drive_news(), "program-run ", 12) == 0);
	drive_no_news;
	finish();
}

/* limits.programs, and another one from a new policy once none runs. */
static void so_many_at_once(void)
{
	enum { MESSAGES = 6 };
	char rules[1600];
	unsigned told = 0;

	snprintf(rules, sizeof(rules), "%s%s",
		 rule("tell", "", "\"attempts\":3", "gate; note \"$2\""),
		 DRIVE_ALSO("\"limits\":{\"programs\":2}"));
	start(rules);
	for (int i = 0; i < MESSAGES; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		testing_enqueue("Q", id, 3);
	}
	drive_turns();
	for (size_t seen = 2; seen < MESSAGES; seen++) {
		check(gate_has_seen(seen));
		gate_let_through(1);
		wait_for_notes(seen - 1);
		drive_turns();
	}
	check(gate_has_seen(MESSAGES));
	/* One is still waited for when the new limit comes. */
	snprintf(rules, sizeof(rules), "%s%s",
		 rule("tell", "", "\"attempts\":3", "gate; note \"$2\""),
		 DRIVE_ALSO("\"limits\":{\"programs\":1}"));
	check_equal(drive_apply(DRIVE_THREE_TIERS, rules), 0);
	gate_let_through(2);
	drive_wait();
	while (strncmp(drive_news(), "program-run ", 12) == 0)
		told++;
	check_equal(told, MESSAGES);
	testing_enqueue("Q", "7", 3);
	testing_enqueue("Q", "8", 3);
	drive_turns();
	check(gate_has_seen(MESSAGES + 1));
	gate_let_through(1);
	check(gate_has_seen(MESSAGES + 2));
	gate_let_through(1);
	drive_wait();
	check_equal(gate_count_notes(), MESSAGES + 2);
	finish();
}

/* More than can wait for their turn are not run, and each is told. */
static void too_many(void)
{
	enum { WAITING = 1000, MESSAGES = WAITING + 1 + 3 };
	unsigned not_run = 0, run = 0;
	char rules[1600];
	const char *told;

	if (testing_slow())
		testing_skip("a thousand programs");
	testing_queue("Q", false);
	for (int i = 0; i < MESSAGES; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%d", i);
		testing_enqueue("Q", id, 3);
		testing_make_old(testing_file("Q", "qf", id), 100);
	}
	snprintf(rules, sizeof(rules), "%s%s", rule("tell", "", "\"attempts\":3", "gate"),
		 DRIVE_ALSO("\"limits\":{\"programs\":1}"));
	gate_set_up();
	drive_start(DRIVE_TIER("Q", "Q"), rules, ENGINE_WATCH, false);
	check(gate_has_seen(1));
	while (*(told = drive_news())) {
		check(strstr(told, "not run: too many programs wait for their turn") != NULL);
		check_text(lines_text(drive_last(), "event/outcome"), "failure");
		not_run++;
	}
	check_equal(not_run, MESSAGES - WAITING - 1);
	/* A stop waits for none of them, and tells of each. */
	engine_stop(drive_engine);
	drive_turns();
	while (*(told = drive_news())) {
		check(strncmp(told, "program-run ", 12) == 0 && strstr(told, " Q: cancelled"));
		run++;
	}
	check_equal(run, WAITING + 1);
	check(gate_has_seen(1));
	finish();
}

static void in_a_dry_run(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	testing_enqueue("Q", "1", 3);
	gate_set_up();
	drive_start(DRIVE_THREE_TIERS,
		    rule("tell", "\"move\":\"M\",", "\"attempts\":3", "note \"$@\""), ENGINE_WATCH,
		    true);
	drive_wait();
	drive_news_is("message-moved 1 Q->M: attempts 3 >= 3");
	check(strncmp(drive_news(), "program-run 1 M", 15) == 0);
	check(strncmp(lines_text(drive_last(), "message"), "would run ", 10) == 0);
	drive_no_news;
	check_equal(gate_count_notes(), 0);
	check(testing_stands("Q", "1"));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(beside_a_move),  APART(once_a_message),  APART(that_fail),
		APART(in_nobodys_way), APART(so_many_at_once), APART(too_many),
		APART(in_a_dry_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
