/* test_runner.c - command lines, titles, crontabs and spans of time: what they say of a queue
 * runner, and that no bytes do harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/runner.h"

#include "../support/testing.h"

static void words(void **state)
{
	static const struct {
		const char *words[8];
		bool runs, once, selects, unknown;
		int64_t interval;
		const char *directory, *cf, *options;
	} cases[] = {
		{{"-q30m"}, true, false, false, false, 1800, "", "", ""},
		{{"-q", "-v"}, true, true, false, false, 0, "", "", ""},
		{{"-qp1m"}, true, false, false, false, 60, "", "", ""},
		{{"-qp"}, true, false, false, false, 1, "", "", ""},
		{{"-qf"}, true, true, false, false, 0, "", "", ""},
		{{"-q1h30m"}, true, false, false, false, 5400, "", "", ""},
		{{"-q5"}, true, false, false, false, 300, "", "", ""},
		{{"-bd", "-q10m", "-OQueueDirectory=/a"},
		 true,
		 false,
		 false,
		 false,
		 600,
		 "/a",
		 "",
		 ""},
		{{"-bdq"}, false, false, false, false, 0, "", "", ""},
		{{"-vq10m"}, true, false, false, false, 600, "", "", ""},
		{{"-O", "QueueDirectory=/a b", "-C", "/x.cf", "-q1m"},
		 true,
		 false,
		 false,
		 false,
		 60,
		 "/a b",
		 "/x.cf",
		 ""},
		{{"-oQ/old", "-C/y.cf", "-q"}, true, true, false, false, 0, "/old", "/y.cf", ""},
		{{"-OMinQueueAge=1h", "-O", "Timeout.queuereturn=6d", "-q"},
		 true,
		 true,
		 false,
		 false,
		 0,
		 "",
		 "",
		 "MinQueueAge=1h\nTimeout.queuereturn=6d\n"},
		{{"-Ac", "-q10m"}, true, false, false, false, 600, "", "/etc/mail/submit.cf", ""},
		{{"-qI4abc"}, true, false, true, false, 0, "", "", ""},
		{{"-q!Rexample"}, true, false, true, false, 0, "", "", ""},
		{{"-qGslow"}, true, false, true, false, 0, "", "", ""},
		{{"-OQueueDirectory=$BASE/QUEUE", "-q1m"},
		 true,
		 false,
		 false,
		 true,
		 60,
		 "$BASE/QUEUE",
		 "",
		 ""},
		{{"-f", "-q1m", "user@example.net", "-q"},
		 false,
		 false,
		 false,
		 false,
		 0,
		 "",
		 "",
		 ""},
		{{"-O"}, false, false, false, false, 0, "", "", ""},
		{{"-d0.4", "-bt"}, false, false, false, false, 0, "", "", ""},
	};
	struct runner runner;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		size_t count = 0;

		while (count < 8 && cases[i].words[count])
			count++;
		runner_parse_words((char *const *)cases[i].words, count, &runner);
		assert_int_equal(runner.runs, cases[i].runs);
		assert_int_equal(runner.once, cases[i].once);
		assert_int_equal(runner.selects, cases[i].selects);
		assert_int_equal(runner.unknown, cases[i].unknown);
		assert_int_equal(runner.interval, cases[i].interval);
		assert_string_equal(runner.directory, cases[i].directory);
		assert_string_equal(runner.cf, cases[i].cf);
		assert_string_equal(runner.options, cases[i].options);
	}
}

static void titles(void **state)
{
	static const struct {
		const char *title;
		bool told;
		int64_t interval;
		const char *directory;
	} cases[] = {
		{"sendmail: Queue runner@00:30:00 for /var/spool/MIDQUEUE", true, 1800,
		 "/var/spool/MIDQUEUE"},
		{"sendmail: Queue runner@1+02:00:05 for /a   ", true, 93605, "/a"},
		{"sendmail: MTA: running queue: /var/spool/mqueue", true, 0, "/var/spool/mqueue"},
		{"sendmail-mta: running queue: /a b", true, 0, "/a b"},
		{"sendmail: Queue control", true, 0, ""},
		{"sendmail: Queue runner", true, 0, ""},
		{"sendmail: running queue: relative", true, 0, ""},
		{"sendmail: accepting connections", false, 0, ""},
		{"sendmail: Queue runner@soon for /a", false, 0, ""},
		{"sendmail: Queue runner@00:30:00", false, 0, ""},
		/* What a client says of itself stands in a title, too. */
		{"sendmail: ./4AB running queue: /a [192.0.2.1]: HELO", false, 0, ""},
		{"sendmail: server running queue: /a [192.0.2.1] cmd read", false, 0, ""},
		{"other: running queue: /a", false, 0, ""},
		{"sendmail:", false, 0, ""},
		{"", false, 0, ""},
	};
	struct runner runner;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(runner_parse_title(cases[i].title, &runner), cases[i].told);
		if (!cases[i].told)
			continue;
		assert_true(runner.runs);
		assert_int_equal(runner.interval, cases[i].interval);
		assert_string_equal(runner.directory, cases[i].directory);
	}
	assert_true(runner_is_daemon_title("sendmail: MTA: accepting connections"));
	assert_true(runner_is_daemon_title("sendmail: accepting connections again for daemon MTA"));
	assert_false(runner_is_daemon_title("sendmail: server accepting connections"));
}

static void commands(void **state)
{
	static const struct {
		const char *line;
		bool told, runs;
		int64_t interval;
		const char *directory;
	} cases[] = {
		{"/usr/sbin/sendmail -q30m -OQueueDirectory=/a", true, true, 1800, "/a"},
		{"root /usr/sbin/sendmail \"-OQueueDirectory=/a b\" -q >/dev/null 2>&1", true, true,
		 0, "/a b"},
		{"test -x /usr/sbin/sendmail && sendmail -q1m", true, false, 0, ""},
		{"cd /tmp; nice -n 5 sendmail -q1m; sleep 3 -q9m", true, true, 60, ""},
		{"sendmail-mta -q'1'0m '-OQueueDirectory='/a\\ b", true, true, 600, "/a b"},
		{"sendmail;-q1m", true, false, 0, ""},
		{"# sendmail -q1m", false, false, 0, ""},
		{"/usr/sbin/exim4 -q", false, false, 0, ""},
		{"", false, false, 0, ""},
		{"\"sendmail -q", false, false, 0, ""},
	};
	struct runner runner;
	char *long_line = malloc(100000);

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(runner_parse_command(cases[i].line, &runner), cases[i].told);
		if (!cases[i].told)
			continue;
		assert_int_equal(runner.runs, cases[i].runs);
		assert_int_equal(runner.interval, cases[i].interval);
		assert_string_equal(runner.directory, cases[i].directory);
	}
	assert_non_null(long_line);
	memset(long_line, 'x', 99999);
	memcpy(long_line, "sendmail ", 9);
	long_line[99999] = 0;
	assert_false(runner_parse_command(long_line, &runner));
	free(long_line);
}

static void crontabs(void **state)
{
	static const struct {
		const char *line;
		int64_t seconds;
		const char *command;
	} cases[] = {
		{"*/30 * * * * root sendmail -q", 1800, "root sendmail -q"},
		{"* * * * * sendmail -q", 60, "sendmail -q"},
		{"0 * * * *\tsendmail", 3600, "sendmail"},
		{"5,35 * * * * x", 1800, "x"},
		{"0 */6 * * * x", 21600, "x"},
		{"0 0 * * 1 x", 86400, "x"},
		{"10-19 8-17 * * * x", 864, "x"},
		{"7/20 * * * * x", 1200, "x"},
		{"  @hourly x", 3600, " x"},
		{"@reboot x", 0, NULL},
		{"MAILTO=root", 0, NULL},
		{"* * * *", 0, NULL},
		{"60 * * * * x", 0, NULL},
		{"5-2 * * * * x", 0, NULL},
		{"*/0 * * * * x", 0, NULL},
		{"1,, * * * * x", 0, NULL},
		{"-1 * * * * x", 0, NULL},
		{"", 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		const char *command = NULL;

		assert_int_equal(runner_parse_cron(cases[i].line, &command), cases[i].seconds);
		if (cases[i].seconds)
			assert_string_equal(command, cases[i].command);
	}
}

static void spans(void **state)
{
	(void)state;
	assert_int_equal(runner_parse_span("30min"), 1800);
	assert_int_equal(runner_parse_span("1h 30min"), 5400);
	assert_int_equal(runner_parse_span("90"), 90);
	assert_int_equal(runner_parse_span(" 2 hours\r"), 7200);
	assert_int_equal(runner_parse_span("1d"), 86400);
	assert_int_equal(runner_parse_span("soon"), 0);
	assert_int_equal(runner_parse_span("1 fortnight"), 0);
	assert_int_equal(runner_parse_span("99999999999999999999h"), 0);
	assert_int_equal(runner_parse_span(""), 0);
}

/* Bytes of what such lines are made of, in any order: nothing is read or written out of bounds (the
 * sanitizers tell), and what is told keeps to its promises. */
static void hostile(void **state)
{
	static const char *const pieces[] = {
		"sendmail",
		": ",
		"Queue runner@",
		"running queue: ",
		"00:30:00",
		" for ",
		"/a",
		"-q",
		"-O",
		"QueueDirectory=",
		"-C",
		"\"",
		"'",
		"\\",
		";",
		"&",
		"#",
		" ",
		"\t",
		"*",
		"/",
		"-",
		",",
		"5",
		"99999999999",
		"@hourly",
		"\377",
		"\1",
		"$",
		"min",
		"p",
		"+",
		"%n%s",
	};
	uint64_t seed = 7;

	(void)state;
	for (size_t round = 0; round < testing_scale(20000); round++) {
		char line[6000] = "", *words[16];
		size_t length = 0, count = testing_random(&seed) % 24, n_words = 0;
		const char *command = NULL;
		struct runner runner;
		int64_t seconds;

		/* Now and then longer than any line that is taken. */
		if (testing_random(&seed) % 1000 == 0)
			count = 2000;
		for (size_t i = 0; i < count; i++) {
			const char *piece = pieces[testing_random(&seed) % N(pieces)];

			if (length + strlen(piece) >= sizeof line)
				break;
			strcpy(line + length, piece);
			length += strlen(piece);
		}
		runner_parse_title(line, &runner);
		runner_is_daemon_title(line);
		assert_true(runner.interval >= 0);
		runner_parse_command(line, &runner);
		assert_true(runner.interval >= 0 && strlen(runner.directory) < PATH_MAX);
		seconds = runner_parse_cron(line, &command);
		assert_true(seconds >= 0 && seconds <= 86400);
		if (seconds)
			assert_true(command >= line && command <= line + length);
		assert_true(runner_parse_span(line) >= 0);
		for (char *word = strtok(line, " "); word && n_words < N(words);
		     word = strtok(NULL, " "))
			words[n_words++] = word;
		runner_parse_words(words, n_words, &runner);
		assert_true(runner.interval >= 0 && strlen(runner.options) < RUNNER_OPTIONS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),    cmocka_unit_test(titles), cmocka_unit_test(commands),
		cmocka_unit_test(crontabs), cmocka_unit_test(spans),  cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
