/* test_pattern_memory.c - patterns when memory runs out: every allocation fails in turn, alone and
 * with all that come after it. Adding says -ENOMEM and leaves the set as it was; comparing gives
 * the expression up. And what comparing takes it gives back.
 *
 * All memory of policy/ comes through memory_resize. The one below is linked in its place;
 * sanitizers and valgrind still see each block, and tell what leaks.
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

#include "../../policy/pattern.h"

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

struct entry {
	const char *text;
	bool regex;
};

/* A long one and one with many names: the compilation needs scratch of its own for both. */
static char many_items[12000];
static char many_names[4000];

static const struct entry entries[] = {
	{"example.com", false},	 {"Example.ORG", false}, {"a\\*b", false},
	{"*@[a-z]*.net", false}, {"??", false},		 {"user (un|not )known", true},
	{many_names, true},	 {many_items, true},	 {"x", false},
};

#define N_ENTRIES (sizeof(entries) / sizeof(entries[0]))

static void fill_long_ones(void)
{
	size_t length = 0;

	while (length + 8 < sizeof(many_items))
		length +=
			(size_t)snprintf(many_items + length, sizeof(many_items) - length, "a|[b]");
	length = 0;
	for (int i = 0; i < 60; i++)
		length += (size_t)snprintf(many_names + length, sizeof(many_names) - length,
					   "(?<n%d>z)?", i);
	snprintf(many_names + length, sizeof(many_names) - length, "never");
}

/* Adds them all; stops at the first that fails. */
static int build(struct pool *pool, struct pattern_set **ret)
{
	char error[PATTERN_ERROR_TEXT] = "";
	struct pattern_set *set;
	int r = pattern_set_new(pool, N_ENTRIES, &set);

	for (size_t i = 0; r == 0 && i < N_ENTRIES; i++) {
		const struct entry *entry = &entries[i];

		r = entry->regex ? pattern_add_regex(set, entry->text, error, sizeof(error))
				 : pattern_add_glob(set, entry->text, error, sizeof(error));
		if (r < 0)
			assert_int_equal(pattern_count(set), i);
	}
	/* No words: nothing is wrong with the pattern. */
	assert_string_equal(error, "");
	if (r == 0)
		*ret = set;
	return r;
}

static void each_allocation_of_adding_fails(void **state)
{
	struct pattern_set *set = NULL;
	struct pool pool = {0};
	long total;

	(void)state;
	fill_long_ones();
	reset(0, false);
	assert_int_equal(build(&pool, &set), 0);
	assert_int_equal(pattern_match(set, "EXAMPLE.org", 11, NULL), PATTERN_YES);
	total = allocations;
	pool_free(&pool);
	assert_true(total > 20);
	for (long at = 1; at <= total; at++) {
		struct pattern_set *const untouched = (struct pattern_set *)&pool;

		for (int after = 0; after < 2; after++) {
			set = untouched;
			reset(at, after);
			assert_int_equal(build(&pool, &set), -ENOMEM);
			assert_ptr_equal(set, untouched);
			pool_free(&pool);
		}
	}
}

/* An entry that failed for lack of memory can be added again. */
static void adding_goes_on_after_a_failure(void **state)
{
	char error[PATTERN_ERROR_TEXT];
	bool failed = true;

	(void)state;
	for (long at = 1; failed; at++) {
		struct pattern_set *set;
		struct pool pool = {0};

		reset(0, false);
		assert_int_equal(pattern_set_new(&pool, 3, &set), 0);
		reset(at, false);
		failed = false;
		while (pattern_add_glob(set, "One", error, sizeof(error)) == -ENOMEM)
			failed = true;
		while (pattern_add_regex(set, "two", error, sizeof(error)) == -ENOMEM)
			failed = true;
		while (pattern_add_glob(set, "t*e", error, sizeof(error)) == -ENOMEM)
			failed = true;
		reset(0, false);
		assert_int_equal(pattern_count(set), 3);
		assert_int_equal(pattern_match(set, "one", 3, NULL), PATTERN_YES);
		assert_int_equal(pattern_match(set, "two", 3, NULL), PATTERN_YES);
		assert_int_equal(pattern_match(set, "three", 5, NULL), PATTERN_YES);
		assert_int_equal(pattern_match(set, "four", 4, NULL), PATTERN_NO);
		pool_free(&pool);
	}
}

static void each_allocation_of_comparing_fails(void **state)
{
	static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	char error[PATTERN_ERROR_TEXT];
	char *longer = malloc(20000);
	struct pattern_set *set;
	struct pool pool = {0};
	const struct pool_block *last;
	long total;

	(void)state;
	memset(longer, 'a', 20000);
	reset(0, false);
	assert_int_equal(pattern_set_new(&pool, 1, &set), 0);
	assert_int_equal(pattern_add_regex(set, "^(a|b)*$", error, sizeof(error)), 0);
	last = pool.blocks;
	assert_int_equal(pattern_match(set, longer, 20000, NULL), PATTERN_YES);
	total = allocations;
	for (long at = 1; at <= total; at++) {
		reset(at, false);
		if (pattern_match(set, longer, 20000, NULL) != PATTERN_TOO_COSTLY)
			assert_true(allocations < at);
		reset(at, true);
		if (pattern_match(set, longer, 20000, NULL) != PATTERN_TOO_COSTLY)
			assert_true(allocations < at);
		reset(0, false);
		assert_int_equal(pattern_match(set, text, sizeof(text) - 1, NULL), PATTERN_YES);
	}
	/* Nothing of it went into the pool. */
	assert_ptr_equal(pool.blocks, last);
	pool_free(&pool);
	free(longer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_of_adding_fails),
		cmocka_unit_test(adding_goes_on_after_a_failure),
		cmocka_unit_test(each_allocation_of_comparing_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
