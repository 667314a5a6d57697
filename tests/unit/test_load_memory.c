/* test_load_memory.c - the loader when memory runs out: every allocation of a load fails in turn,
 * alone and with all that come after it. Each time the load says -ENOMEM, hands out nothing and
 * leaves nothing behind.
 *
 * All memory of policy/ comes through memory_resize. The one below is linked in its place;
 * sanitizers and valgrind still see each block, and tell what leaks.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../policy/memory.h"
#include "../support/testing.h"
#include "qfwatch/policy.h"

static long allocations; /* since reset() */
static long fail_at;	 /* the number of the one that fails, from 1; 0: none */
static bool fail_after;	 /* and all behind it */

void *memory_resize(void *block, size_t size)
{
	allocations++;
	if (fail_at && (allocations == fail_at || (fail_after && allocations > fail_at)))
		return NULL;
	return realloc(block, size);
}

static void reset(long at, bool after)
{
	allocations = 0;
	fail_at = at;
	fail_after = after;
}

typedef int load_function(const char *what, struct problems *problems, struct policy **ret);

static int parse(const char *text, struct problems *problems, struct policy **ret)
{
	return policy_parse(text, strlen(text), "policy.json", problems, ret);
}

static void load_once(load_function *load, const char *what, long at, bool after)
{
	struct policy *const untouched = (struct policy *)&allocations;
	struct policy *policy = untouched;
	struct problems problems = {0};

	reset(at, after);
	assert_int_equal(load(what, &problems, &policy), -ENOMEM);
	assert_ptr_equal(policy, untouched);
	assert_true(problems.incomplete);
	assert_int_equal(problems_exit_code(&problems), 3);
	problems_free(&problems);
}

/* `expected` is what the load returns when memory lasts. Every `step`-th allocation fails in turn.
 */
static void fail_every(long step, load_function *load, const char *what, int expected)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	long total;

	reset(0, false);
	assert_int_equal(load(what, &problems, &policy), expected);
	policy_free(policy);
	problems_free(&problems);
	total = allocations;
	assert_true(total > 1);
	for (long at = 1; at <= total; at += step) {
		load_once(load, what, at, false);
		load_once(load, what, at, true);
	}
}

static void fail_each(load_function *load, const char *what, int expected)
{
	fail_every(1, load, what, expected);
}

static const char valid[] =
	"{ \"version\": 1, \"comment\": [ { \"a\": [ 1, 2.5, null, \"\\u00e4\" ] } ],"
	"  \"tiers\": [ { \"name\": \"QUEUE\", \"directory\": \"QUEUE\" },"
	"               { \"name\": \"MIDQUEUE\", \"directory\": \"/var/spool/MIDQUEUE\" },"
	"               { \"name\": \"a tier whose name is longer than a short string\","
	"                 \"directory\": \"/var/spool/q*\" } ],"
	"  \"rules\": [ { \"tier\": [\"QUEUE\"], \"when\": { \"attempts\": 3, \"age\": \"1d\" },"
	"                 \"then\": { \"move\": \"MIDQUEUE\" } },"
	"               { \"name\": \"end\", \"tier\": \"*\", \"when\": { \"always\": true },"
	"                 \"then\": { \"delete\": true } } ],"
	"  \"allow_delete\": true,"
	"  \"events\": { \"sinks\": [ { \"type\": \"file\", \"path\": \"events.json\" } ] } }";

static const char noted[] =
	"{ \"version\": 1, \"tiers\": [ { \"name\": \"A\", \"directory\": \"/a\" } ],"
	"  \"rules\": [], \"allow_delete\": true }";

static const char invalid[] =
	"{ \"version\": 2, \"version\": 3, \"tiers\": [ { \"name\": \"A\", \"directory\": \"\" } ],"
	"  \"rules\": [ { \"tier\": \"AA\", \"when\": {}, \"then\": { \"mov\": \"A\" } }, {}, 5 ] "
	"}";

static const char broken[] = "\xef\xbb\xbf{ \"version\": 1, \"version\": 1, \"tiers\": [ }";

/* Each kind of condition, pattern, action and limit once, in as few words as they take: no step is
 * left out. */
static const char every[] =
	"{ \"version\": 1,"
	"  \"tiers\": [ { \"name\": \"A\", \"directory\": \"/a\" },"
	"               { \"name\": \"B\", \"directory\": \"/b\", \"place\": \"emptiest\" } ],"
	"  \"rules\": [ { \"tier\": \"A\", \"then\": { \"move\": \"B\", \"notify\": \"n\","
	"      \"run\": { \"program\": \"/p\", \"arguments\": [ \"{id}\", \"x\" ], \"timeout\": 1 "
	"} },"
	"    \"when\": { \"attempts\": { \"at_least\": 1, \"below\": 9 }, \"age\": \"1h\","
	"      \"since_attempt\": 1, \"size\": \"1MB\", \"recipients\": 2, \"sender\": \"<>\","
	"      \"recipient\": { \"all\": [ \"*[0-9]@a\", { \"regex\": \"(a|b)+$\" }, \"c\" ] },"
	"      \"recipient_domain\": [ { \"regex\": \"x\" }, { \"regex\": \"y\" } ],"
	"      \"status\": \"*a*\", \"header\": { \"H\": \"h\", \"I\": \"i*\" }, \"incomplete\": "
	"false,"
	"      \"quarantined\": true, \"tier_messages\": { \"at_least\": 5, \"below\": 7 },"
	"      \"domain\": { \"deferred\": 5, \"within\": \"1m\" },"
	"      \"any\": [ { \"attempts\": 2, \"always\": true }, { \"not\": { \"domain\":"
	"        { \"delivered_from\": [ \"B\" ], \"within\": 9, \"at_least\": 2 } } } ] } },"
	"    { \"name\": \"k\", \"tier\": \"*\", \"when\": { \"always\": true }, \"then\": { "
	"\"keep\": true } },"
	"    { \"tier\": [ \"A\", \"B\" ], \"when\": { \"age\": 1 }, \"then\": { \"bounce\": true "
	"} },"
	"    { \"tier\": \"B\", \"when\": { \"age\": 1 }, \"then\": { \"notify\": true } },"
	"    { \"tier\": \"B\", \"when\": { \"age\": 1 }, \"then\": { \"delete\": true } } ],"
	"  \"allow_delete\": true, \"sendmail\": [ \"/s\", \"-C\", \"/c\" ], \"reconcile\": \"1m\","
	"  \"limits\": { \"moves_per_second\": 1, \"deletes_per_minute\": 1,"
	"    \"bounces_per_minute\": 1, \"programs\": 1 },"
	"  \"events\": { \"sinks\": [ { \"type\": \"stdout\" }, { \"type\": \"file\", \"path\": "
	"\"e\" } ],"
	"    \"include\": [ \"message-tracked\" ], \"exclude\": [ \"resynced\" ] } }";

static void everything(void **state)
{
	(void)state;
	fail_each(parse, every, 0);
}

static void valid_policy(void **state)
{
	(void)state;
	fail_each(parse, valid, 0);
}

static void policy_with_notes(void **state)
{
	(void)state;
	fail_each(parse, noted, 0);
}

static void invalid_policy(void **state)
{
	(void)state;
	fail_each(parse, invalid, -EINVAL);
}

static void broken_policy(void **state)
{
	(void)state;
	fail_each(parse, broken, -EINVAL);
}

static void oversized_policy(void **state)
{
	char *text = malloc(POLICY_MAX_BYTES + 2);

	(void)state;
	memset(text, ' ', POLICY_MAX_BYTES + 1);
	text[POLICY_MAX_BYTES + 1] = '\0';
	fail_each(parse, text, -EINVAL);
	free(text);
}

static void policy_in_a_file(void **state)
{
	char path[] = "/tmp/qfwatch-test-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	(void)state;
	assert_non_null(file);
	assert_true(fputs(valid, file) >= 0);
	assert_int_equal(fclose(file), 0);
	fail_each(policy_load, path, 0);
	remove(path);
	fail_each(policy_load, path, -ENOENT);
	fail_each(policy_load, "/", -EINVAL);
}

/* What the language has, and what can be wrong in it, as the operator writes it. */
static void fixtures(void **state)
{
	static const struct {
		const char *name;
		int result;
	} all[] = {
		{"valid/openemm-large", 0},
		{"valid/every-condition", 0},
		{"valid/comment-in-every-object", 0},
		{"valid/domain-delivered", 0},
		{"valid/pattern-list", 0},
		{"valid/run", 0},
		{"valid/events-every-name", 0},
		{"invalid/regex-malformed", -EINVAL},
		{"invalid/glob-malformed", -EINVAL},
		{"invalid/recipient-values", -EINVAL},
		{"invalid/header-values", -EINVAL},
		{"invalid/domain-delivered-values", -EINVAL},
		{"invalid/run-placeholders", -EINVAL},
		{"invalid/duplicate-keys-and-more", -EINVAL},
	};
	const char *named = getenv("QFWATCH_FIXTURES");
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < N(all); i++) {
		snprintf(path, sizeof(path), "%s/%s/policy.json", named ? named : "tests/policy",
			 all[i].name);
		fail_every(testing_slow() ? 5 : 1, policy_load, path, all[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_policy),	    cmocka_unit_test(policy_with_notes),
		cmocka_unit_test(invalid_policy),   cmocka_unit_test(broken_policy),
		cmocka_unit_test(oversized_policy), cmocka_unit_test(policy_in_a_file),
		cmocka_unit_test(everything),	    cmocka_unit_test(fixtures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
