/* test_doctor.c - the doctor on installations made up in the test's folder: nothing there, all of
 * it broken, files full of anything; and what it prints. tests/e2e/43-doctor.sh has a test for each
 * finding; this is for the sanitizers and valgrind.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "qfwatch/doctor.h"

#include "../support/testing.h"

static char root[4096], policy_path[4096];

static void begin(void)
{
	snprintf(root, sizeof root, "%s", testing_path("root"));
	snprintf(policy_path, sizeof policy_path, "%s", testing_path("policy.json"));
	testing_mkdir("root");
	testing_mkdir("root/proc");
	testing_mkdir("root/proc/1");
	testing_write("root/proc/1/comm", "init\n");
	testing_write("root/proc/1/cmdline", "init");
	testing_mkdir("root/etc");
	testing_mkdir("root/etc/mail");
	testing_mkdir("root/etc/cron.d");
	testing_mkdir("root/run");
}

static void write_policy(void)
{
	testing_queue("A", false);
	testing_queue("B", true);
	testing_write("policy.json",
		      "{\"version\":1,\"tiers\":[{\"name\":\"A\",\"directory\":\"A\"},"
		      "{\"name\":\"B\",\"directory\":\"B\"}],\"rules\":[{\"tier\":\"A\",\"when\":"
		      "{\"attempts\":3},\"then\":{\"move\":\"B\"}},{\"tier\":\"B\",\"when\":"
		      "{\"any\":[{\"age\":\"9d\"},{\"age\":\"8d\",\"attempts\":5}]},\"then\":"
		      "{\"bounce\":true}}]}");
}

static bool found(const struct doctor_report *report, enum doctor_kind kind)
{
	for (size_t i = 0; i < report->n_findings; i++)
		if (report->findings[i]->kind == kind)
			return true;
	return false;
}

/* Both forms: the one is JSON and has all of it, the other ends with a line. */
static void print_both(const struct doctor_report *report)
{
	char *text = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&text, &length);
	json_t *json;

	check(to);
	doctor_print_json(report, to);
	fclose(to);
	json = json_loadb(text, length, 0, NULL);
	check(json_is_object(json));
	check_equal(json_array_size(json_object_get(json, "findings")), report->n_findings);
	check_equal(json_is_true(json_object_get(json, "sound")), doctor_sound(report));
	for (size_t i = 0; i < report->n_findings; i++) {
		const json_t *one = json_array_get(json_object_get(json, "findings"), i);

		check_text(json_string_value(json_object_get(one, "id")),
			   doctor_name(report->findings[i]->kind));
		check(json_array_size(json_object_get(one, "evidence")) > 0);
		check(*json_string_value(json_object_get(one, "remedy")));
	}
	json_decref(json);
	free(text);
	to = open_memstream(&text, &length);
	check(to);
	doctor_print_text(report, to);
	fclose(to);
	check(length && text[length - 1] == '\n');
	/* Nothing that a terminal would obey; all that is put in here is ASCII or no UTF-8. */
	for (size_t i = 0; i < length; i++)
		check(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	free(text);
}

static struct doctor *examine(const char *cf)
{
	const struct doctor_request request = {
		.policy = policy_path, .root = root, .sendmail_cf = cf, .user = "12345"};

	return doctor_examine(&request);
}

static void nothing_there(void)
{
	struct doctor *doctor;

	begin();
	doctor = examine(NULL);
	check(found(doctor_result(doctor), DOCTOR_POLICY_INVALID));
	check_equal(doctor_result(doctor)->n_findings, 1);
	check(!doctor_sound(doctor_result(doctor)));
	print_both(doctor_result(doctor));
	doctor_free(doctor);
	testing_all_closed();
}

static void all_broken(void)
{
	static const enum doctor_kind expected[] = {
		DOCTOR_NO_DAEMON,     DOCTOR_TIER_RIGHTS,      DOCTOR_NO_QUEUE_RUNNER,
		DOCTOR_QCTRL_RUNNING, DOCTOR_QUEUE_RETURN,     DOCTOR_QUEUE_GROUPS,
		DOCTOR_GIVEN_UP,      DOCTOR_MISSING_DF,       DOCTOR_DATA_ELSEWHERE,
		DOCTOR_EMPTY_QF,      DOCTOR_REFUSED_QF,       DOCTOR_ORPHAN_DF,
		DOCTOR_STALE_FILES,   DOCTOR_LEFTOVERS,	       DOCTOR_QUARANTINED,
		DOCTOR_NEVER_FIRES,   DOCTOR_NO_NOTIFICATIONS,
	};
	struct doctor *doctor;

	begin();
	write_policy();
	testing_write("root/etc/mail/sendmail.cf",
		      "O QueueDirectory=%s\nQslow, P=/elsewhere\nO Timeout.queuereturn=5d\n",
		      testing_path("A"));
	testing_write("root/etc/cron.d/qctrl", "* * * * * root /x/qctrl -o move %s /b tries:3\n",
		      testing_path("A"));
	testing_mkdir("root/proc/self");
	testing_write("root/proc/self/mountinfo", "1 1 0:1 / / rw - fuse.x x rw\nbroken\n - \n");
	testing_enqueue("A", "old", 1);
	testing_enqueue("A", "held", 1);
	testing_rename("A/qfheld", "A/hfheld");
	testing_enqueue("A", "up", 1);
	testing_rename("A/qfup", "A/Qfup");
	testing_enqueue("B", "bare", 1);
	testing_remove("B/df/dfbare");
	testing_message("B", &(struct testing_message){.id = "else", .lines = "d/else\n"});
	testing_write("B/qf/qfempty", "%s", "");
	testing_make_old("B/qf/qfempty", 3600);
	check(symlink("nowhere", "A/qfsym") == 0);
	testing_write("B/df/dforphan", "x");
	testing_make_old("B/df/dforphan", 200000);
	testing_write("A/tfold", "x");
	testing_make_old("A/tfold", 200000);
	testing_write("A/.qfwatch-move-1-gone", "x");
	check(chmod("A", 0700) == 0);
	doctor = examine(NULL);
	for (size_t i = 0; i < N(expected); i++)
		testing_must(found(doctor_result(doctor), expected[i]), doctor_name(expected[i]),
			     __FILE__, __LINE__);
	print_both(doctor_result(doctor));
	doctor_free(doctor);
	testing_all_closed();
}

/* Whatever stands where it looks: it ends, and says something that can be printed. */
static void hostile(void)
{
	static const char *const files[] = {
		"root/etc/mail/sendmail.cf", "root/etc/crontab",
		"root/etc/cron.d/x",	     "root/run/x.pid",
		"root/proc/101/cmdline",     "root/proc/102/cmdline",
		"root/proc/102/status",	     "root/proc/self/mountinfo",
	};
	static const char *const pieces[] = {
		"sendmail: ",
		"Queue runner@",
		"00:01:00",
		" for ",
		"/usr/sbin/sendmail ",
		"-q1m ",
		"\n",
		"-OQueueDirectory=",
		"* ",
		"qctrl ",
		"Q",
		"DS",
		"O ",
		"P=",
		" - ",
		"nfs4 ",
		"rw,nolock ",
		"Uid:\t",
		"CapEff:\t",
		"101\n",
		"\033[31m",
		"\377",
		"%s",
		"/",
	};
	uint64_t seed = 3;

	begin();
	write_policy();
	testing_enqueue("A", "one\033[31m\"\\\377", 1);
	check(symlink("nowhere", "A/qf\033]0;x\007") == 0);
	testing_mkdir("root/proc/self");
	testing_mkdir("root/proc/101");
	testing_mkdir("root/proc/102");
	testing_write("root/proc/101/comm", "sendmail\n");
	testing_write("root/proc/102/comm", "qfwatch\n");
	check(symlink(testing_path("A"), "root/proc/101/cwd") == 0);
	check(mkfifo("root/run/fifo.pid", 0600) == 0);
	for (size_t round = 0; round < testing_scale(200); round++) {
		struct doctor *doctor;

		for (size_t f = 0; f < N(files); f++) {
			char text[4096];
			size_t length = 0, count = testing_random(&seed) % 60;

			for (size_t i = 0; i < count; i++) {
				const char *piece = pieces[testing_random(&seed) % N(pieces)];
				/* Now and then a NUL, a number or a tier of the policy. */
				const char *more =
					testing_random(&seed) % 8 ? piece : testing_path("A");

				if (length + strlen(more) + 1 >= sizeof text)
					break;
				memcpy(text + length, more, strlen(more) + 1);
				length += strlen(more) + (testing_random(&seed) % 16 == 0);
			}
			testing_put(files[f], text, length);
		}
		doctor = examine(NULL);
		print_both(doctor_result(doctor));
		doctor_free(doctor);
	}
	testing_all_closed();
}

/* Each kind has a name of its own, and says what it means. */
static void kinds(void **state)
{
	(void)state;
	for (int i = 0; i < DOCTOR_KINDS; i++) {
		const char *name = doctor_name((enum doctor_kind)i);

		assert_true(name && *name &&
			    strspn(name, "abcdefghijklmnopqrstuvwxyz-") == strlen(name));
		assert_true(*doctor_meaning((enum doctor_kind)i));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(name, doctor_name((enum doctor_kind)k));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(nothing_there),
		APART(all_broken),
		APART(hostile),
		cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
