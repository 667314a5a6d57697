/* test_ages.c - how old messages are, against a model that keeps each of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/ages.h"

#include "../support/testing.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

/* Noon of some day. */
#define NOW (INT64_C(20000) * DAY + 12 * HOUR)

static struct ages *with(unsigned tiers)
{
	struct ages *ages = ages_new();

	ages_reset(ages, tiers);
	return ages;
}

static void minutes_are_exact(void **state)
{
	struct ages *ages = with(2);

	(void)state;
	assert_int_equal(ages_oldest(ages, 0), -1);
	assert_int_equal(ages_older_than(ages, 0, 0, NOW), 0);
	ages_add(ages, 0, NOW - HOUR, NOW);
	ages_add(ages, 0, NOW - 2 * HOUR, NOW);
	ages_add(ages, 0, NOW - 3 * DAY + 7, NOW);
	assert_int_equal(ages_known(ages, 0), 3);
	assert_int_equal(ages_older_than(ages, 0, HOUR, NOW), 2);
	/* Older by a second: counted when its minute is over. */
	assert_int_equal(ages_older_than(ages, 0, HOUR, NOW + 1), 2);
	assert_int_equal(ages_older_than(ages, 0, HOUR, NOW + MINUTE), 3);
	assert_int_equal(ages_older_than(ages, 0, 3 * DAY, NOW), 0);
	assert_int_equal(ages_older_than(ages, 0, 3 * DAY, NOW + 67), 1);
	assert_int_equal(ages_oldest(ages, 0), NOW - 3 * DAY);
	assert_int_equal(ages_known(ages, 1), 0);
	ages_remove(ages, 0, NOW - 3 * DAY + 7);
	assert_int_equal(ages_oldest(ages, 0), NOW - 2 * HOUR);
	ages_remove(ages, 0, NOW - 2 * HOUR);
	ages_remove(ages, 0, NOW - HOUR);
	assert_int_equal(ages_oldest(ages, 0), -1);
	/* What was never there, and tiers that are not: nothing happens. */
	ages_remove(ages, 0, NOW - HOUR);
	ages_remove(ages, 1, 5);
	ages_add(ages, 2, NOW, NOW);
	ages_enter(ages, 2, MESSAGE_IDLE);
	ages_add_bytes(ages, 2, 7);
	assert_int_equal(ages_known(ages, 0) + ages_known(ages, 1) + ages_known(ages, 2), 0);
	assert_int_equal(ages_bytes(ages, 2), 0);
	assert_int_equal(ages_messages(ages, 2), 0);
	ages_free(ages);
}

/* Any second of 32 bits, and any clock. */
static void any_time_will_do(void **state)
{
	static const uint32_t times[] = {
		1, 59, DAY - 1, DAY, NOW + DAY, NOW + 2 * DAY, UINT32_MAX - 1, UINT32_MAX};
	static const int64_t clocks[] = {INT64_MIN, -1, 0, 1, NOW, INT64_MAX};
	struct ages *ages = with(1);

	(void)state;
	for (size_t c = 0; c < N(clocks); c++) {
		for (size_t i = 0; i < N(times); i++)
			ages_add(ages, 0, times[i], clocks[c]);
		assert_int_equal(ages_known(ages, 0), N(times));
		assert_int_equal(ages_older_than(ages, 0, 0, INT64_MIN), 0);
		assert_int_equal(ages_older_than(ages, 0, INT64_MAX, INT64_MIN), 0);
		assert_int_equal(ages_older_than(ages, 0, INT64_MIN, 0), 0);
		assert_int_equal(ages_older_than(ages, 0, 0, INT64_MAX), N(times));
		assert_int_equal(ages_older_than(ages, 0, HOUR, NOW), 4);
		assert_int_equal(ages_oldest(ages, 0), 0);
		for (size_t i = 0; i < N(times); i++)
			ages_remove(ages, 0, times[i]);
		assert_int_equal(ages_known(ages, 0), 0);
		assert_int_equal(ages_oldest(ages, 0), -1);
	}
	ages_free(ages);
}

/* What came while its day was none of the window is known to the day, also when the clock has made
 * it one and others of that day are known to the minute. */
static void days_without_minutes(void **state)
{
	const int64_t noon = NOW + 20 * DAY, midnight = noon - 12 * HOUR;
	struct ages *ages = with(1);

	(void)state;
	ages_add(ages, 0, (uint32_t)noon, NOW);
	assert_int_equal(ages_oldest(ages, 0), midnight);
	assert_int_equal(ages_older_than(ages, 0, 0, noon + 11 * HOUR), 0);
	ages_add(ages, 0, (uint32_t)noon + HOUR, noon);
	assert_int_equal(ages_oldest(ages, 0), midnight);
	assert_int_equal(ages_older_than(ages, 0, 0, noon + 2 * HOUR), 1);
	assert_int_equal(ages_older_than(ages, 0, 0, noon + 12 * HOUR), 2);
	ages_remove(ages, 0, (uint32_t)noon);
	assert_int_equal(ages_oldest(ages, 0), noon + HOUR);
	/* Its place is needed by another day: the count of the day stays. */
	ages_add(ages, 0, (uint32_t)noon + 16 * DAY, noon + 16 * DAY);
	assert_int_equal(ages_known(ages, 0), 2);
	assert_int_equal(ages_oldest(ages, 0), midnight);
	ages_remove(ages, 0, (uint32_t)noon + HOUR);
	assert_int_equal(ages_oldest(ages, 0), noon + 16 * DAY);
	assert_int_equal(ages_older_than(ages, 0, 0, noon + 16 * DAY), 0);
	assert_int_equal(ages_older_than(ages, 0, 0, noon + 16 * DAY + MINUTE), 1);
	ages_free(ages);
}

/* ---- a model ---- */

enum { TIERS = 3, MESSAGES = 400 };

struct model {
	int tier; /* -1: nowhere */
	uint32_t created;
	enum message_state state;
	uint64_t bytes;
};

/* The clock stood still at times of the window, so that all that came in it has its minute? */
static void agrees(const struct ages *ages, const struct model *model, int64_t now, bool exact)
{
	static const int64_t limits[] = {0, HOUR, DAY, 3 * DAY, 5 * DAY, 13 * DAY, 400 * DAY};

	for (unsigned tier = 0; tier < TIERS; tier++) {
		uint64_t known = 0, bytes = 0, states[MESSAGE_STATES] = {0};
		int64_t oldest = INT64_MAX, told = ages_oldest(ages, tier);

		for (int i = 0; i < MESSAGES; i++) {
			if (model[i].tier != (int)tier)
				continue;
			known++;
			bytes += model[i].bytes;
			states[model[i].state]++;
			if (model[i].created < oldest)
				oldest = model[i].created;
		}
		assert_int_equal(ages_known(ages, tier), known);
		assert_int_equal(ages_messages(ages, tier), known);
		assert_int_equal(ages_bytes(ages, tier), bytes);
		for (unsigned state = 0; state < MESSAGE_STATES; state++)
			assert_int_equal(ages_in_state(ages, tier, state), states[state]);
		if (!known) {
			assert_int_equal(told, -1);
			continue;
		}
		/* By the start of its minute, or of its day. */
		assert_true(told == oldest / MINUTE * MINUTE || told == oldest / DAY * DAY);
		if (exact && oldest > now - 14 * DAY)
			assert_int_equal(told, oldest / MINUTE * MINUTE);
		for (size_t l = 0; l < N(limits); l++) {
			int64_t limit = now - limits[l];
			uint64_t least = 0, most = 0, by_minute = 0,
				 older = ages_older_than(ages, tier, limits[l], now);

			for (int i = 0; i < MESSAGES; i++) {
				if (model[i].tier != (int)tier)
					continue;
				least += model[i].created < limit / DAY * DAY;
				by_minute += model[i].created < limit / MINUTE * MINUTE;
				most += model[i].created < limit;
			}
			assert_true(older >= least && older <= most);
			if (exact && limits[l] < 14 * DAY)
				assert_int_equal(older, by_minute);
		}
	}
}

static uint32_t random_time(uint64_t *random, int64_t now, bool wild)
{
	uint64_t r = testing_random(random);

	if (wild && r % 4 == 0)
		return (uint32_t)(r >> 32) | 1;
	return (uint32_t)(now - (int64_t)(r >> 8) % (r % 16 == 1 ? 60 * DAY : 14 * DAY));
}

static void random_work(bool wild, uint64_t seed)
{
	static struct model model[MESSAGES];
	struct ages *ages = with(TIERS);
	uint64_t random = seed;
	int64_t now = NOW;

	for (int i = 0; i < MESSAGES; i++)
		model[i].tier = -1;
	for (size_t i = 0; i < testing_scale(40000); i++) {
		uint64_t r = testing_random(&random);
		struct model *one = &model[r % MESSAGES];
		unsigned tier = (r >> 16) % TIERS;
		enum message_state state = (r >> 24) % MESSAGE_STATES;

		if (r >> 40 & 1)
			now += (int64_t)(r >> 48) % 100;
		if (wild && (r >> 41 & 1023) == 0)
			now = (int64_t)(testing_random(&random) >> 31); /* past 32 bits, too */
		if (one->tier < 0) {
			*one = (struct model){(int)tier, random_time(&random, now, wild), state,
					      r >> 50};
			ages_enter(ages, tier, state);
			ages_add(ages, tier, one->created, now);
			ages_add_bytes(ages, tier, one->bytes);
		} else if (r >> 32 & 3) {
			/* To another tier, in another state. */
			ages_leave(ages, (unsigned)one->tier, one->state);
			ages_remove(ages, (unsigned)one->tier, one->created);
			ages_remove_bytes(ages, (unsigned)one->tier, one->bytes);
			one->tier = (int)tier;
			one->state = state;
			ages_enter(ages, tier, state);
			ages_add(ages, tier, one->created, now);
			ages_add_bytes(ages, tier, one->bytes);
		} else {
			ages_leave(ages, (unsigned)one->tier, one->state);
			ages_remove(ages, (unsigned)one->tier, one->created);
			ages_remove_bytes(ages, (unsigned)one->tier, one->bytes);
			one->tier = -1;
		}
		if (i % 64 == 0)
			agrees(ages, model, now, !wild);
	}
	agrees(ages, model, now, !wild);
	assert_true(ages_memory(ages) > 0);
	ages_reset(ages, 1);
	assert_int_equal(ages_known(ages, 0), 0);
	ages_free(ages);
}

static void agrees_with_a_model(void **state)
{
	(void)state;
	random_work(false, 3);
}

static void agrees_with_a_model_in_wild_times(void **state)
{
	(void)state;
	random_work(true, 4);
}

/* Random messages in eight tiers: other numbers, several that become one, some forgotten. The sums
 * are those of a count anew; what is told of ages is as exact as it was. */
static void other_numbers(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 200; round++) {
		unsigned n = 1 + (unsigned)(testing_random(&seed) % 8), to[8];
		struct ages *ages = with(8), *anew = with(n);

		for (unsigned i = 0; i < 8; i++)
			to[i] = testing_random(&seed) % 5 ? (unsigned)(testing_random(&seed) % n)
							  : AGES_NO_TIER;
		for (int i = 0; i < 60; i++) {
			uint64_t r = testing_random(&seed);
			unsigned tier = r & 7;
			/* Within the days that are kept by the minute, or long ago. */
			uint32_t created =
				(uint32_t)(NOW -
					   (int64_t)(r >> 8) % (r >> 4 & 3 ? 12 * DAY : 400 * DAY));
			enum message_state kind = (enum message_state)((r >> 40) % MESSAGE_STATES);

			ages_enter(ages, tier, kind);
			ages_add(ages, tier, created, NOW);
			ages_add_bytes(ages, tier, r >> 50);
			if (to[tier] == AGES_NO_TIER)
				continue;
			ages_enter(anew, to[tier], kind);
			ages_add(anew, to[tier], created, NOW);
			ages_add_bytes(anew, to[tier], r >> 50);
		}
		ages_renumber(ages, to, n);
		for (unsigned tier = 0; tier < n; tier++) {
			assert_int_equal(ages_known(ages, tier), ages_known(anew, tier));
			assert_int_equal(ages_bytes(ages, tier), ages_bytes(anew, tier));
			assert_int_equal(ages_oldest(ages, tier), ages_oldest(anew, tier));
			for (enum message_state s = 0; s < MESSAGE_STATES; s++)
				assert_int_equal(ages_in_state(ages, tier, s),
						 ages_in_state(anew, tier, s));
			for (int64_t age = 0; age < 420 * DAY;
			     age += age < 15 * DAY ? 997 : 9 * HOUR)
				assert_int_equal(ages_older_than(ages, tier, age, NOW),
						 ages_older_than(anew, tier, age, NOW));
		}
		ages_free(ages);
		ages_free(anew);
	}
}

/* Of two days that need the same place the later one keeps its minutes; nothing is counted twice.
 */
static void minutes_in_one_place(void **state)
{
	static const unsigned to[] = {0, 0};
	struct ages *ages = with(2);

	(void)state;
	ages_add(ages, 0, NOW - HOUR, NOW);
	ages_add(ages, 1, NOW - 16 * DAY - HOUR, NOW - 16 * DAY);
	ages_renumber(ages, to, 1);
	assert_int_equal(ages_known(ages, 0), 2);
	assert_int_equal(ages_older_than(ages, 0, 30 * MINUTE, NOW), 2);
	assert_int_equal(ages_older_than(ages, 0, 2 * HOUR, NOW), 1);
	ages_remove(ages, 0, NOW - 16 * DAY - HOUR);
	ages_remove(ages, 0, NOW - HOUR);
	assert_int_equal(ages_known(ages, 0), 0);
	assert_int_equal(ages_oldest(ages, 0), -1);
	ages_free(ages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(minutes_are_exact),
		cmocka_unit_test(any_time_will_do),
		cmocka_unit_test(days_without_minutes),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(agrees_with_a_model_in_wild_times),
		cmocka_unit_test(other_numbers),
		cmocka_unit_test(minutes_in_one_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
