/* test_problem.c - the list of findings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/problem.h"

static void empty_list_is_no_problem(void **state)
{
	struct problems problems = {0};

	(void)state;
	assert_false(problems_any(&problems));
	assert_int_equal(problems_exit_code(&problems), 0);
	problems_free(&problems);
	problems_free(&problems);
}

static void kinds_give_the_exit_code(void **state)
{
	struct problems problems = {0};

	(void)state;
	problems_add(&problems, PROBLEM_NOTE, "note");
	assert_false(problems_any(&problems));
	assert_int_equal(problems_exit_code(&problems), 0);
	problems_add(&problems, PROBLEM_REFUSED, "refused");
	assert_true(problems_any(&problems));
	assert_int_equal(problems_exit_code(&problems), 3);
	problems_add(&problems, PROBLEM_INVALID, "invalid");
	assert_true(problems_any(&problems));
	assert_int_equal(problems_exit_code(&problems), 2);
	problems_free(&problems);
}

static void incomplete_counts_as_refused(void **state)
{
	struct problems problems = {.incomplete = true};

	(void)state;
	assert_true(problems_any(&problems));
	assert_int_equal(problems_exit_code(&problems), 3);
	problems_add(&problems, PROBLEM_INVALID, "invalid");
	assert_int_equal(problems_exit_code(&problems), 3);
	problems_free(&problems);
	assert_false(problems.incomplete);
	assert_int_equal(problems.count, 0);
	assert_null(problems.list);
}

static void keeps_many_in_order(void **state)
{
	struct problems problems = {0};
	char expected[32];

	(void)state;
	for (int i = 0; i < 1000; i++)
		problems_add(&problems, (enum problem_kind)(i % 3), "number %d of %s", i, "many");
	assert_int_equal(problems.count, 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(expected, sizeof(expected), "number %d of many", i);
		assert_string_equal(problems.list[i].text, expected);
		assert_int_equal(problems.list[i].kind, i % 3);
	}
	problems_free(&problems);
}

static void a_finding_is_one_line(void **state)
{
	struct problems problems = {0};
	char name[] = "a\nb\033[31m\x7f\xff";

	(void)state;
	problems_add(&problems, PROBLEM_NOTE, "file %s here", name);
	assert_string_equal(problems.list[0].text, "file a?b?[31m?\xff here");
	memset(name, 'x', sizeof(name) - 1);
	assert_string_equal(problems.list[0].text, "file a?b?[31m?\xff here");
	problems_add(&problems, PROBLEM_NOTE, "%s", "");
	assert_string_equal(problems.list[1].text, "");
	problems_free(&problems);
}

static void long_findings_are_kept_whole(void **state)
{
	struct problems problems = {0};
	char text[10001];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	problems_add(&problems, PROBLEM_NOTE, "%s", text);
	assert_string_equal(problems.list[0].text, text);
	problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_list_is_no_problem),
		cmocka_unit_test(kinds_give_the_exit_code),
		cmocka_unit_test(incomplete_counts_as_refused),
		cmocka_unit_test(keeps_many_in_order),
		cmocka_unit_test(a_finding_is_one_line),
		cmocka_unit_test(long_findings_are_kept_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
