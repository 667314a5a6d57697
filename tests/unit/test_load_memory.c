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

/* `expected` is what the load returns when memory lasts. */
static void fail_each(load_function *load, const char *what, int expected)
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
	for (long at = 1; at <= total; at++) {
		load_once(load, what, at, false);
		load_once(load, what, at, true);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_policy),	    cmocka_unit_test(policy_with_notes),
		cmocka_unit_test(invalid_policy),   cmocka_unit_test(broken_policy),
		cmocka_unit_test(oversized_policy), cmocka_unit_test(policy_in_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
