/* test_labels.c - domains of messages as numbers: what is set is told, names go with their last
 * message, and all is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/labels.h"

static struct policy_slice slice(const char *text)
{
	return (struct policy_slice){text, strlen(text)};
}

/* Sets from a list of names that ends with NULL; sender NULL: none. */
static void set(struct labels *labels, msgref ref, const char *sender, const char *const *names)
{
	struct policy_slice domains[256];
	struct policy_text text = {.domains = domains};

	for (; names[text.n_recipients]; text.n_recipients++)
		domains[text.n_recipients] = slice(names[text.n_recipients]);
	text.has_sender = sender;
	if (sender)
		text.sender_domain = slice(sender);
	labels_set(labels, ref, &text);
}

static bool is_named(const struct labels *labels, uint32_t number, const char *name)
{
	struct policy_slice found = labels_name(labels, number);

	return found.length == strlen(name) && memcmp(found.bytes, name, found.length) == 0;
}

static bool is_among(const struct labels *labels, const uint32_t *numbers, size_t count,
		     const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (is_named(labels, numbers[i], name))
			return true;
	return false;
}

static void tells_what_is_set(void **state)
{
	struct labels *labels = labels_new();
	const uint32_t *numbers;

	(void)state;
	assert_false(labels_are_known(labels, 1));
	assert_int_equal(labels_recipients(labels, 1, &numbers), 0);
	assert_true(labels_sender(labels, 1) == LABELS_NONE);

	set(labels, 1, "example.com", (const char *const[]){"example.net", NULL});
	assert_true(labels_are_known(labels, 1));
	assert_int_equal(labels_recipients(labels, 1, &numbers), 1);
	assert_true(is_named(labels, numbers[0], "example.net"));
	assert_true(is_named(labels, labels_sender(labels, 1), "example.com"));

	set(labels, 2, NULL,
	    (const char *const[]){"b.example", "", "b.example", "a.example", NULL});
	assert_int_equal(labels_recipients(labels, 2, &numbers), 3);
	assert_true(is_named(labels, numbers[0], "b.example"));
	assert_true(is_named(labels, numbers[1], ""));
	assert_true(is_named(labels, numbers[2], "a.example"));
	assert_true(labels_sender(labels, 2) == LABELS_NONE);

	set(labels, 3, "", (const char *const[]){NULL});
	assert_true(labels_are_known(labels, 3));
	assert_int_equal(labels_recipients(labels, 3, &numbers), 0);
	assert_true(is_named(labels, labels_sender(labels, 3), ""));

	labels_clear(labels, 2);
	labels_clear(labels, 2);
	labels_clear(labels, 1000000);
	assert_false(labels_are_known(labels, 2));
	assert_true(labels_are_known(labels, 1));
	labels_free(labels);
	labels_free(NULL);
}

static void names_are_kept_once_and_go(void **state)
{
	struct labels *labels = labels_new();
	const uint32_t *numbers;
	uint32_t number, serial;

	(void)state;
	set(labels, 1, "a.example", (const char *const[]){"a.example", NULL});
	set(labels, 2, "a.example", (const char *const[]){"a.example", NULL});
	assert_int_equal(labels_numbers(labels), 2);
	labels_recipients(labels, 1, &numbers);
	number = numbers[0];
	assert_int_equal(labels_sender(labels, 2), number);
	serial = labels_serial(labels, number);
	labels_clear(labels, 1);
	/* Set anew to the same, a name keeps its number. */
	set(labels, 2, "a.example", (const char *const[]){"a.example", NULL});
	assert_int_equal(labels_serial(labels, number), serial);
	labels_clear(labels, 2);
	set(labels, 3, NULL, (const char *const[]){"b.example", NULL});
	assert_int_equal(labels_numbers(labels), 2);
	labels_recipients(labels, 3, &numbers);
	assert_int_equal(numbers[0], number);
	assert_int_not_equal(labels_serial(labels, number), serial);
	labels_free(labels);
}

static void is_bounded(void **state)
{
	struct labels *labels = labels_new();
	const uint32_t *numbers;
	char name[32], longest[LABELS_NAME_MAX + 2];
	const char *list[LABELS_MANY + 2] = {NULL};
	size_t memory;

	(void)state;
	for (msgref ref = 1; ref <= LABELS_NAMES; ref++) {
		snprintf(name, sizeof name, "n%u.example", ref);
		set(labels, ref, NULL, (const char *const[]){name, NULL});
	}
	labels_recipients(labels, LABELS_NAMES, &numbers);
	assert_true(is_named(labels, numbers[0], name));
	memory = labels_memory(labels);
	/* One name too many. */
	set(labels, 1, "more.example", (const char *const[]){"n1.example", "x.example", NULL});
	assert_int_equal(labels_recipients(labels, 1, &numbers), 2);
	assert_int_equal(numbers[0], LABELS_OTHER);
	assert_true(is_named(labels, numbers[1], "n1.example"));
	assert_int_equal(labels_sender(labels, 1), LABELS_OTHER);
	set(labels, 2, NULL, (const char *const[]){"y.example", NULL});
	assert_int_equal(labels_recipients(labels, 2, &numbers), 1);
	assert_int_equal(numbers[0], LABELS_OTHER);
	/* Now the one that was there has gone, and there is room for one. */
	set(labels, 3, "z.example", (const char *const[]){"z.example", NULL});
	assert_int_not_equal(labels_sender(labels, 3), LABELS_OTHER);
	assert_true(labels_memory(labels) < memory + 4096);

	memset(longest, 'a', LABELS_NAME_MAX + 1);
	longest[LABELS_NAME_MAX + 1] = 0;
	set(labels, 4, NULL, (const char *const[]){longest, NULL});
	assert_int_equal(labels_recipients(labels, 4, &numbers), 1);
	assert_int_equal(numbers[0], LABELS_OTHER);
	for (msgref ref = 5; ref <= LABELS_NAMES; ref++)
		labels_clear(labels, ref);

	for (int i = 0; i < LABELS_MANY; i++)
		assert_true(asprintf((char **)&list[i], "m%d.example", i) > 0);
	set(labels, 5, "s.example", list);
	assert_int_equal(labels_recipients(labels, 5, &numbers), LABELS_MANY);
	list[LABELS_MANY] = "one.more.example";
	set(labels, 5, "s.example", list);
	assert_false(labels_are_known(labels, 5));
	for (int i = 0; i < LABELS_MANY; i++)
		free((char *)list[i]);
	labels_free(labels);
}

/* The same domains cost the same whoever has them, in whatever order; and go with the last. */
static void sets_are_kept_once(void **state)
{
	enum { MESSAGES = 3000 };
	struct labels *labels = labels_new();
	const uint32_t *one, *other;
	size_t memory;

	(void)state;
	set(labels, MESSAGES, "s.example", (const char *const[]){"s.example", NULL});
	set(labels, 1, "s.example", (const char *const[]){"a.example", "b.example", NULL});
	memory = labels_memory(labels);
	for (msgref ref = 2; ref < MESSAGES; ref++)
		set(labels, ref, "s.example",
		    ref % 2 ? (const char *const[]){"b.example", "a.example", NULL}
			    : (const char *const[]){"a.example", "b.example", "a.example", NULL});
	assert_true(labels_memory(labels) == memory);
	assert_int_equal(labels_recipients(labels, 1, &one), 2);
	assert_int_equal(labels_recipients(labels, 2, &other), 2);
	assert_ptr_equal(one, other);
	for (msgref ref = 1; ref < MESSAGES - 1; ref++)
		labels_clear(labels, ref);
	assert_int_equal(labels_recipients(labels, MESSAGES - 1, &one), 2);
	assert_true(is_among(labels, one, 2, "a.example"));
	assert_true(is_among(labels, one, 2, "b.example"));
	labels_clear(labels, MESSAGES - 1);
	/* Its names are gone, and their numbers are another's. */
	set(labels, 1, NULL, (const char *const[]){"c.example", "d.example", NULL});
	assert_int_equal(labels_numbers(labels), 4);
	labels_free(labels);
}

/* Many different sets: each is found again. */
static void many_sets(void **state)
{
	enum { DOMAINS = 10, SETS = 1 << DOMAINS };
	struct labels *labels = labels_new();
	char names[DOMAINS][32];
	size_t memory = 0;

	(void)state;
	for (int i = 0; i < DOMAINS; i++)
		snprintf(names[i], sizeof names[i], "d%d.example", i);
	for (msgref ref = 0; ref < 3 * SETS; ref++) {
		const char *list[DOMAINS + 1] = {NULL};
		const uint32_t *numbers;
		size_t count = 0;

		for (int i = 0; i < DOMAINS; i++)
			if (ref >> i & 1)
				list[count++] = names[i];
		set(labels, ref, NULL, list);
		assert_int_equal(labels_recipients(labels, ref, &numbers), count);
		for (size_t i = 0; i < count; i++)
			assert_true(is_among(labels, numbers, count, list[i]));
		if (ref == SETS)
			memory = labels_memory(labels);
	}
	assert_true(labels_memory(labels) == memory);
	labels_free(labels);
}

/* Against a plain list of what was set. */
static void random_changes(void **state)
{
	enum { MESSAGES = 300, DOMAINS = 40, STEPS = 40000 };
	static int have[MESSAGES][6]; /* domains; -1: end. [0] == -2: not known; [5]: the sender */
	struct labels *labels = labels_new();
	unsigned seed = 7;
	size_t memory = 0;

	(void)state;
	for (int m = 0; m < MESSAGES; m++)
		have[m][0] = -2;
	for (int step = 0; step < STEPS; step++) {
		int m = rand_r(&seed) % MESSAGES, n = rand_r(&seed) % 5, count = 0;
		const uint32_t *numbers;
		char names[6][32];
		const char *list[6] = {NULL};
		size_t found;

		if (rand_r(&seed) % 4 == 0) {
			labels_clear(labels, (msgref)m);
			have[m][0] = -2;
			continue;
		}
		for (int i = 0; i < n; i++) {
			int domain = rand_r(&seed) % DOMAINS;
			bool twice = false;

			snprintf(names[i], sizeof names[i], "d%d.example", domain);
			list[i] = names[i];
			for (int k = 0; k < count; k++)
				twice |= have[m][k] == domain;
			if (!twice)
				have[m][count++] = domain;
		}
		have[m][count] = -1;
		have[m][5] = rand_r(&seed) % DOMAINS;
		snprintf(names[5], sizeof names[5], "d%d.example", have[m][5]);
		set(labels, (msgref)m, names[5], list);
		m = rand_r(&seed) % MESSAGES;
		found = labels_recipients(labels, (msgref)m, &numbers);
		assert_int_equal(labels_are_known(labels, (msgref)m), have[m][0] != -2);
		for (size_t i = 0; i < found; i++) {
			snprintf(names[0], sizeof names[0], "d%d.example", have[m][i]);
			assert_true(is_among(labels, numbers, found, names[0]));
		}
		if (have[m][0] == -2)
			continue;
		assert_int_equal(have[m][found], -1);
		snprintf(names[0], sizeof names[0], "d%d.example", have[m][5]);
		assert_true(is_named(labels, labels_sender(labels, (msgref)m), names[0]));
		if (step == STEPS / 10)
			memory = labels_memory(labels);
	}
	assert_true(labels_numbers(labels) <= DOMAINS + 1);
	assert_true(labels_memory(labels) < memory + 8192);
	labels_free(labels);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_what_is_set), cmocka_unit_test(names_are_kept_once_and_go),
		cmocka_unit_test(is_bounded),	     cmocka_unit_test(sets_are_kept_once),
		cmocka_unit_test(many_sets),	     cmocka_unit_test(random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
