/* test_sendmail_cf.c - options, queue groups and the smart host of a sendmail.cf; durations; any
 * bytes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/sendmail_cf.h"

#include "../support/testing.h"

static struct sendmail_cf cf;

static void parse(const char *text)
{
	sendmail_cf_parse(text, strlen(text), &cf);
}

static void options(void **state)
{
	(void)state;
	parse("");
	assert_int_equal(cf.queue_return[SENDMAIL_CF_NORMAL], SENDMAIL_CF_RETURN);
	assert_string_equal(cf.queue_directory, "");
	assert_int_equal(cf.n_groups, 0);
	parse("# O MinQueueAge=1h\nO MinQueueAge=30m\nO MaxQueueAge=1d\nO Timeout.queuereturn=6d\n"
	      "O Timeout.queuereturn.dsn=1d\nO QueueDirectory=/var/spool/mqueue/q*  \r\n"
	      "O PidFile=/run/sendmail.pid\nO RunAsUser=smmsp:smmsp\nO TrustedUser=smmta\n"
	      "O QueueFileMode=0660\nDSrelay:[192.0.2.1]\nO SuperSafe=True\n");
	assert_int_equal(cf.min_queue_age, 1800);
	assert_int_equal(cf.max_queue_age, 86400);
	assert_int_equal(cf.queue_return[SENDMAIL_CF_URGENT], 6 * 86400);
	assert_int_equal(cf.queue_return[SENDMAIL_CF_DSN], 86400);
	assert_string_equal(cf.queue_directory, "/var/spool/mqueue/q*");
	assert_string_equal(cf.pid_file, "/run/sendmail.pid");
	assert_string_equal(cf.run_as, "smmsp");
	assert_string_equal(cf.trusted, "smmta");
	assert_int_equal(cf.queue_file_mode, 0660);
	assert_string_equal(cf.smart_host, "relay:[192.0.2.1]");
	parse("O QueueDirectory=$m/x\nO RunAsUser=$u\nDS\nO MinQueueAge=soon\n"
	      "O Timeout.queue\n\treturn=6d\nOQ/old\nOT3d/4h\n");
	assert_string_equal(cf.queue_directory, "/old");
	assert_string_equal(cf.run_as, "");
	assert_string_equal(cf.smart_host, "");
	assert_int_equal(cf.min_queue_age, 0);
	assert_int_equal(cf.queue_return[SENDMAIL_CF_NORMAL], 3 * 86400);
	sendmail_cf_option(&cf, "Timeout.queuereturn=9d");
	sendmail_cf_option(&cf, "MinQueueAge=2h");
	sendmail_cf_option(&cf, "Nothing");
	sendmail_cf_option(&cf, "");
	assert_int_equal(cf.queue_return[SENDMAIL_CF_NORMAL], 9 * 86400);
	assert_int_equal(cf.min_queue_age, 7200);
}

static void groups(void **state)
{
	char text[4096] = "";

	(void)state;
	parse("Qmqueue, P=/var/spool/mqueue, F=f\nQslow , Interval=30m,Path= /var/spool/slow*\n"
	      "Qbare\nQ\nQSLOW, P=/other\nQlate, F=f,\n\tPath=/late\n");
	assert_int_equal(cf.n_groups, 4);
	assert_string_equal(cf.groups[0].name, "mqueue");
	assert_string_equal(cf.groups[0].path, "/var/spool/mqueue");
	assert_string_equal(cf.groups[1].name, "slow");
	assert_string_equal(cf.groups[1].path, "/other");
	assert_string_equal(cf.groups[2].path, "");
	assert_string_equal(cf.groups[3].path, "/late");
	for (int i = 0; i < 100; i++)
		sprintf(text + strlen(text), "Qg%d, P=/g\n", i);
	parse(text);
	assert_int_equal(cf.n_groups, SENDMAIL_CF_GROUPS);
}

static void named(void **state)
{
	char *apart[] = {"sendmail", "-C", "/a.cf", NULL},
	     *joined[] = {"sendmail", "-C/b.cf", NULL};
	char *none[] = {"sendmail", "-bv", NULL}, *cut[] = {"sendmail", "-C", NULL};

	(void)state;
	assert_string_equal(sendmail_cf_named(apart), "/a.cf");
	assert_string_equal(sendmail_cf_named(joined), "/b.cf");
	assert_null(sendmail_cf_named(none));
	assert_null(sendmail_cf_named(cut));
}

/* Pieces of such lines in any order: the sanitizers tell, and every text ends. */
static void hostile(void **state)
{
	static const char *const pieces[] = {
		"O ",
		"Q",
		"DS",
		"D{S}",
		"QueueDirectory",
		"Timeout.queuereturn",
		"RunAsUser",
		"=",
		"/a",
		"\n",
		"\n\t",
		"\r\n",
		",",
		"P=",
		"Path",
		" ",
		"$",
		"99999999999999999999d",
		"w",
		"\377",
		"\1",
		"OQ",
		"OT",
		"QueueFileMode",
		"#",
		":",
		"x",
	};
	static char text[20000];
	uint64_t seed = 11;

	(void)state;
	for (size_t round = 0; round < testing_scale(5000); round++) {
		size_t length = 0, count = testing_random(&seed) % 60;

		if (testing_random(&seed) % 100 == 0)
			count = 3000;
		for (size_t i = 0; i < count; i++) {
			const char *piece = pieces[testing_random(&seed) % N(pieces)];
			size_t size = strlen(piece);

			if (testing_random(&seed) % 50 == 0) {
				piece = "";
				size = 1; /* a NUL */
			}
			if (length + size > sizeof text)
				break;
			memcpy(text + length, piece, size);
			length += size;
		}
		sendmail_cf_parse(text, length, &cf);
		assert_true(strlen(cf.queue_directory) < sizeof cf.queue_directory);
		assert_true(strlen(cf.run_as) < sizeof cf.run_as);
		assert_true(strlen(cf.smart_host) < sizeof cf.smart_host);
		assert_true(cf.n_groups <= SENDMAIL_CF_GROUPS);
		assert_true(cf.queue_return[0] >= 0 && cf.min_queue_age >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(groups),
		cmocka_unit_test(named),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
