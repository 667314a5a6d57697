/* test_transcripts.c - which transcripts stand in a directory, against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/transcripts.h"

#include "../support/testing.h"

static const char *number(size_t i)
{
	static char id[24];

	snprintf(id, sizeof(id), "6AQ%zu", i);
	return id;
}

static void add(struct transcripts *transcripts, const char *id)
{
	transcripts_add(transcripts, id, strlen(id));
}

static void take(struct transcripts *transcripts, const char *id)
{
	transcripts_remove(transcripts, id, strlen(id));
}

static bool has(const struct transcripts *transcripts, const char *id)
{
	return transcripts_may_have(transcripts, id, strlen(id));
}

static void unknown_may_be_any(void **state)
{
	struct transcripts transcripts = {0};

	(void)state;
	assert_true(has(&transcripts, "a"));
	/* Told of, but not from the beginning. */
	add(&transcripts, "a");
	take(&transcripts, "b");
	assert_true(has(&transcripts, "b"));
	transcripts_begin(&transcripts);
	assert_false(has(&transcripts, "a"));
	assert_false(has(&transcripts, "b"));
	take(&transcripts, "a");
	add(&transcripts, "a");
	add(&transcripts, "a");
	assert_int_equal(transcripts.count, 1);
	assert_true(has(&transcripts, "a"));
	assert_false(has(&transcripts, "b"));
	/* A new beginning knows of none. */
	transcripts_begin(&transcripts);
	assert_false(has(&transcripts, "a"));
	transcripts_lose(&transcripts);
	assert_true(has(&transcripts, "a"));
	transcripts_lose(&transcripts);
}

/* Many come and go: what is said is what a list of them says. */
static void as_a_list(void **state)
{
	enum { IDS = 700 };
	struct transcripts transcripts = {0};
	uint64_t seed = 20261126;
	bool there[IDS] = {0};
	size_t count = 0;

	(void)state;
	transcripts_begin(&transcripts);
	for (size_t step = 0; step < 20 * IDS; step++) {
		size_t which = testing_random(&seed) % IDS;
		/* Mostly few, then mostly many. */
		bool comes = testing_random(&seed) % 10 < (step / IDS % 2 ? 8 : 2);

		count += (size_t)comes - (size_t)there[which];
		there[which] = comes;
		(comes ? add : take)(&transcripts, number(which));
		assert_int_equal(transcripts.count, count);
		if (step % 100 == 0)
			for (size_t i = 0; i < IDS; i++)
				assert_int_equal(has(&transcripts, number(i)), there[i]);
	}
	transcripts_lose(&transcripts);
}

/* More than are kept apart: memory has a bound, and nobody is overlooked. */
static void too_many(void **state)
{
	struct transcripts transcripts = {0};

	(void)state;
	transcripts_begin(&transcripts);
	for (size_t i = 0; i < TRANSCRIPTS_MAX; i++)
		add(&transcripts, number(i));
	assert_int_equal(transcripts.count, TRANSCRIPTS_MAX);
	assert_true(transcripts.mask < 4 * TRANSCRIPTS_MAX);
	add(&transcripts, number(0));
	assert_false(has(&transcripts, "none"));
	add(&transcripts, number(TRANSCRIPTS_MAX));
	assert_null(transcripts.places);
	assert_true(has(&transcripts, "none"));
	assert_true(has(&transcripts, number(TRANSCRIPTS_MAX)));
	transcripts_begin(&transcripts);
	assert_false(has(&transcripts, number(TRANSCRIPTS_MAX)));
	transcripts_lose(&transcripts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_may_be_any),
		cmocka_unit_test(as_a_list),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
