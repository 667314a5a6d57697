/* test_explain.c - explanations: what rules wait for, what is in the way, and how it is told: for
 * people nothing that steers a terminal, for programs JSON whatever the bytes.
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/explain.h"

#include "../support/testing.h"

#define DAY INT64_C(86400)

static struct policy *policy;
static struct spool spool;
static struct inspect *inspect;
static struct explain_world world;
static struct inspected inspected;
static struct explanation explanation;

/* Tiers A, B and C, with these rules; judged an hour after the messages were made. */
static void begin(const char *rules)
{
	struct problems problems = {0};
	uint64_t lost;
	char text[4096];

	testing_queue("A", false);
	testing_queue("B", false);
	testing_queue("C", true);
	snprintf(text, sizeof(text),
		 "{\"version\":1,\"allow_delete\":true,\"tiers\":["
		 "{\"name\":\"A\",\"directory\":\"A\"},{\"name\":\"B\",\"directory\":\"B\"},"
		 "{\"name\":\"C\",\"directory\":\"C\"}],\"rules\":[%s]}",
		 rules);
	if (policy_parse(text, strlen(text), testing_path("policy.json"), &problems, &policy) < 0)
		check_text(problems.list[0].text, "a policy");
	check_equal(inspect_open(&spool, policy, &problems, &lost), 0);
	inspect = inspect_new(&spool);
	world = (struct explain_world){.policy = policy,
				       .spool = &spool,
				       .now = TESTING_CREATED + 3600,
				       .at = TESTING_CREATED + 3600,
				       .tier = -1};
	problems_free(&problems);
}

static void end(void)
{
	explain_free(&explanation);
	inspect_free(inspect);
	spool_free(&spool);
	policy_free(policy);
	testing_all_closed();
}

static const struct explanation *explain(const char *word)
{
	const struct inspect_place *places;

	explain_free(&explanation);
	check(inspect_find(inspect, word, &places) >= 1);
	inspect_read(inspect, &places[0], &inspected);
	explain_make(&world, &inspected, &explanation);
	return &explanation;
}

static bool blocked_by(const char *kind, bool now)
{
	for (size_t i = 0; i < explanation.n_blockers; i++)
		if (strcmp(explanation.blockers[i].kind, kind) == 0)
			return explanation.blockers[i].now == now;
	return false;
}

/* ---- what rules wait for ---- */

static void message(uint32_t attempts, const char *lines)
{
	testing_message("A",
			&(struct testing_message){.id = "m", .attempts = attempts, .lines = lines});
}

static void attempts_to_go(void)
{
	const struct explanation *e;

	begin("{\"tier\":\"A\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"B\"}},"
	      "{\"tier\":\"A\",\"when\":{\"not\":{\"attempts\":{\"below\":7}}},\"then\":{\"move\":"
	      "\"C\"}},"
	      "{\"tier\":\"A\",\"when\":{\"attempts\":2,\"sender\":\"nobody\"},\"then\":{\"move\":"
	      "\"C\"}},"
	      "{\"tier\":\"B\",\"when\":{\"attempts\":1},\"then\":{\"move\":\"C\"}}");
	message(1, NULL);
	e = explain("m");
	check(!explain_is_due(e));
	check_equal(e->n_rules, 3);
	check(e->rules[0].wait.by_attempts && !e->rules[0].wait.by_time);
	check_equal(e->rules[0].wait.more, 2);
	check_equal(e->rules[0].wait.then, INT64_MIN);
	check_equal(e->rules[1].wait.more, 6);
	/* No number of attempts makes the sender another. */
	check(!e->rules[2].wait.by_attempts && !e->rules[2].wait.by_time);
	end();
}

static void ages(void)
{
	const struct explanation *e;

	begin("{\"tier\":\"A\",\"when\":{\"age\":\"1d\"},\"then\":{\"move\":\"B\"}},"
	      "{\"tier\":\"A\",\"when\":{\"attempts\":3,\"age\":\"2d\"},\"then\":{\"move\":\"B\"}},"
	      "{\"tier\":\"A\",\"when\":{\"any\":[{\"attempts\":2},{\"age\":\"2d\"}]},\"then\":{"
	      "\"move\":\"C\"}},"
	      "{\"tier\":\"A\",\"when\":{\"any\":[{\"attempts\":9},{\"age\":{\"below\":5}}]},"
	      "\"then\":{\"move\":\"C\"}}");
	message(1, NULL);
	e = explain("m");
	check(e->rules[0].wait.by_time && !e->rules[0].wait.by_attempts);
	check_equal(e->rules[0].wait.at, TESTING_CREATED + DAY);
	check_equal(e->decision.again, TESTING_CREATED + DAY);
	check(!e->rules[1].wait.by_time && e->rules[1].wait.by_attempts);
	check_equal(e->rules[1].wait.more, 2);
	check_equal(e->rules[1].wait.then, TESTING_CREATED + 2 * DAY);
	check(e->rules[2].wait.by_time && e->rules[2].wait.by_attempts);
	check_equal(e->rules[2].wait.more, 1);
	check(!e->rules[3].wait.by_time);
	check_equal(e->rules[3].wait.more, 8);
	/* In two days. */
	world.at += 2 * DAY;
	e = explain("m");
	check(explain_is_due(e));
	check(e->rules[0].decides && !e->rules[1].reached);
	end();
}

static void tellers(void)
{
	const struct explanation *e;

	begin("{\"tier\":\"A\",\"when\":{\"always\":true},\"then\":{\"notify\":true}},"
	      "{\"tier\":\"A\",\"when\":{\"attempts\":1},\"then\":{\"keep\":true}},"
	      "{\"tier\":\"A\",\"when\":{\"always\":true},\"then\":{\"delete\":true}}");
	message(1, NULL);
	e = explain("m");
	check(!explain_is_due(e));
	check(e->rules[0].reached && !e->rules[0].decides);
	check(e->rules[1].decides);
	check(!e->rules[2].reached);
	end();
}

static void given_up(void)
{
	const struct explanation *e;

	begin("{\"name\":\"slow\",\"tier\":\"A\",\"when\":{\"not\":{\"header\":{\"X\":{\"regex\":"
	      "\"(a+)+$\"}}}},\"then\":{\"delete\":true}},"
	      "{\"name\":\"all\",\"tier\":\"A\",\"when\":{\"attempts\":1},\"then\":{\"move\":"
	      "\"B\"}}");
	message(1, "H??X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n");
	e = explain("m");
	check_equal(e->rules[0].holds, POLICY_COSTLY);
	check(!e->rules[0].decides && e->rules[1].decides);
	check(explain_is_due(e));
	end();
}

static void unknowns(void)
{
	const struct explanation *e;

	begin("{\"name\":\"dead\",\"tier\":\"A\",\"when\":{\"domain\":{\"deferred\":5,\"within\":"
	      "\"10m\"}},\"then\":{\"move\":\"B\"}},"
	      "{\"name\":\"all\",\"tier\":\"A\",\"when\":{\"attempts\":1},\"then\":{\"delete\":"
	      "true}}");
	message(1, NULL);
	e = explain("m");
	check(!explain_is_due(e));
	check(e->decision.unknown);
	check_equal(e->rules[0].holds, POLICY_UNKNOWN);
	check(e->rules[1].reached && !e->rules[1].decides);
	check_text(e->otherwise->name, "all");
	end();
}

static void spared(void)
{
	const struct explanation *e;

	begin("{\"tier\":\"A\",\"when\":{\"always\":true},\"then\":{\"move\":\"B\"}},"
	      "{\"tier\":\"A\",\"when\":{\"quarantined\":true},\"then\":{\"bounce\":true}}");
	message(1, NULL);
	testing_rename("A/qfm", "A/hfm");
	e = explain("m");
	check(e->rules[0].spared && !e->rules[0].wait.by_attempts);
	check(e->rules[1].decides);
	check(blocked_by("quarantined", true));
	end();
}

static void how_many(void)
{
	const struct explanation *e;

	begin("{\"tier\":\"A\",\"when\":{\"tier_messages\":2},\"then\":{\"move\":\"B\"}}");
	message(1, NULL);
	check(!explain_is_due(explain("m")));
	testing_enqueue("A", "n", 1);
	memset(world.counted, 0, sizeof(world.counted));
	e = explain("m");
	check(explain_is_due(e));
	check_equal(e->facts.tier_messages, 2);
	end();
}

/* ---- what is in the way ---- */

static void obstacles(void)
{
	struct testing_holder holder;

	begin("{\"tier\":\"A\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"B\"}}");
	message(1, NULL);
	explain("m");
	check(blocked_by("no-daemon", false));
	check_equal(explanation.n_blockers, 1);
	message(3, NULL);
	explain("m");
	check(blocked_by("no-daemon", true));
	check_equal(explanation.n_blockers, 1);
	check(testing_hold("A/qfm", TESTING_FLOCK, &holder));
	explain("m");
	testing_release(&holder);
	check(blocked_by("locked", true));
	testing_write("B/dfm", "another body");
	explain("m");
	check(blocked_by("target-has-it", true));
	testing_write("B/qfm", "V8\n");
	explain("A/qfm");
	check(blocked_by("target-has-it", true));
	testing_remove("B/qfm");
	testing_remove("B/dfm");
	testing_link("A/dfm", "B/dfm");
	explain("m");
	check(blocked_by("second-link", false));
	testing_remove("B/dfm");
	testing_remove("A/dfm");
	explain("m");
	check(blocked_by("body-missing", true));
	message(3, "d/elsewhere\n");
	explain("m");
	check(blocked_by("data-elsewhere", true));
	message(3, NULL);
	world.lost = 2;
	explain("m");
	check(blocked_by("tier-lost", true));
	testing_write("A/qfm", "V8\n");
	explain("m");
	check(!explanation.judged);
	check(blocked_by("incomplete", true));
	end();
}

static void elsewhere(void)
{
	const struct explanation *e;

	begin("{\"tier\":\"A\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"B\"}}");
	testing_write("copy", "V8\nT1700000000\nN3\n.\n");
	e = explain("./copy");
	check(!e->judged && !e->has_tier);
	check_equal(e->n_blockers, 0);
	world.tier = 0;
	e = explain("./copy");
	check(explain_is_due(e));
	check_equal(e->n_blockers, 0);
	end();
}

/* ---- how it is told ---- */

static char *told(void (*tell)(const struct explanation *, FILE *), size_t *ret_length)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, ret_length);

	check(to != NULL);
	tell(&explanation, to);
	fclose(to);
	return text;
}

/* UTF-8 without controls, neither those of one byte nor those of two, and without what turns the
 * direction of what follows. */
static bool is_harmless(const char *text, size_t length)
{
	json_t *string = json_stringn(text, length);
	bool harmless = string && !memmem(text, length, "\xe2\x80\xae", 3);

	json_decref(string);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		harmless &= byte == '\n' || (byte >= ' ' && byte != 0x7f);
		harmless &= byte != 0xc2 || (unsigned char)text[i + 1] >= 0xa0;
	}
	return harmless;
}

/* Any bytes in any place of the qf. */
static void any_bytes(void)
{
	static const char odd[] = {0x00, 0x01, 0x07, 0x1b, '[',	 '2',  'J',  0x7f, '\t', '\r', '"',
				   '\\', '<',  '>',  '@',  0x80, 0x9b, 0xff, 0xc2, 0x9b, 0xe2, 0x80,
				   0xae, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0xc0, 'a',  '.',	 ':'};
	uint64_t random = 20;

	begin("{\"tier\":\"A\",\"when\":{\"sender\":[\"*a*\",{\"regex\":\"b\"}],\"recipient\":{"
	      "\"all\":\"x\"},\"status\":\"z\",\"header\":{\"Subject\":\"*q\"}},\"then\":{"
	      "\"delete\":true}}");
	testing_enqueue("A", "m", 1);
	for (size_t round = 0; round < testing_scale(2000); round++) {
		char bytes[4][40], qf[512];
		size_t length;
		char *text;
		json_error_t error;
		json_t *json;
		FILE *file = fmemopen(qf, sizeof(qf), "w");

		for (int i = 0; i < 4; i++)
			for (size_t k = 0; k < sizeof(bytes[i]); k++)
				bytes[i][k] = odd[testing_random(&random) % sizeof(odd)];
		fprintf(file, "V8\nT1700000000\nK0\nN1\nM");
		fwrite(bytes[0], 1, sizeof(bytes[0]), file);
		fprintf(file, "\nS<");
		fwrite(bytes[1], 1, sizeof(bytes[1]), file);
		fprintf(file, ">\nRPFD:<");
		fwrite(bytes[2], 1, sizeof(bytes[2]), file);
		fprintf(file, ">\nH??Subject: ");
		fwrite(bytes[3], 1, sizeof(bytes[3]), file);
		fprintf(file, "\n.\n");
		length = (size_t)ftell(file);
		fclose(file);
		testing_put("A/qfm", qf, length);
		explain("m");
		check_equal(inspected.trouble, TROUBLE_NONE);
		text = told(explain_text, &length);
		check_equal(strlen(text), length);
		check(is_harmless(text, length));
		free(text);
		text = told(explain_json, &length);
		check(length && strchr(text, '\n') == text + length - 1);
		for (size_t i = 0; i < length; i++)
			check(text[i] != '\xc2' || (unsigned char)text[i + 1] >= 0xa0);
		json = json_loadb(text, length, 0, &error);
		if (!json)
			check_text(error.text, text);
		json_decref(json);
		free(text);
	}
	end();
}

/* What is text stays text. */
static void letters(void)
{
	size_t length;
	char *text;

	begin("{\"tier\":\"A\",\"when\":{\"age\":\"6d\"},\"then\":{\"delete\":true}}");
	testing_write("A/qfm",
		      "V8\nT1700000000\nN1\nMgr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x90\x88\n.\n");
	explain("m");
	text = told(explain_text, &length);
	check(strstr(text, "gr\xc3\xbc\xc3\x9f\x65 \xf0\x9f\x90\x88\n"));
	check(strstr(text, "m in A\n") == text);
	check(strstr(text, "age 1h >= 6d: no\n"));
	check(strstr(text, "in 5d23h"));
	free(text);
	end();
}

/* A line that outgrows its first buffer is whole. */
static void many_recipients(void)
{
	size_t length;
	char *text;
	json_t *json;
	FILE *file;

	begin("{\"tier\":\"A\",\"when\":{\"age\":\"6d\"},\"then\":{\"delete\":true}}");
	file = fopen("A/qfm", "w");
	check(file != NULL);
	fprintf(file, "V8\nT1700000000\nN1\n");
	for (int i = 0; i < 500; i++)
		fprintf(file, "RPFD:<%0800d@example.net>\n", i);
	fprintf(file, ".\n");
	fclose(file);
	explain("m");
	text = told(explain_json, &length);
	check(length > 64 * 1024);
	json = json_loadb(text, length, 0, NULL);
	check(json != NULL);
	check_equal(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(json, "fields"), "recipients"), "count")),
		500);
	json_decref(json);
	free(text);
	text = told(explain_text, &length);
	check(length < 3000);
	free(text);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(attempts_to_go), APART(ages),	 APART(tellers),  APART(unknowns),
		APART(given_up),       APART(spared),	 APART(how_many), APART(obstacles),
		APART(elsewhere),      APART(any_bytes), APART(letters),  APART(many_recipients),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
