/* test_tally.c - counters by tier, flow and rule against a model that keeps every count with its
 * minute; clocks that step; policies that come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/tally.h"

#include "../support/testing.h"

#define MINUTE (60 * CLOCK_SECOND)
#define START  (INT64_C(28333333) * MINUTE)

/* A policy of which a tally sees the names only. */
struct names {
	struct policy policy;
	struct policy_tier tiers[8];
	struct policy_rule rules[8];
};

static const struct policy *named(struct names *names, const char *tiers, const char *rules)
{
	static char letters[256][2];

	memset(names, 0, sizeof *names);
	names->policy.tiers = names->tiers;
	names->policy.rules = names->rules;
	for (; *tiers; tiers++) {
		letters[(unsigned char)*tiers][0] = *tiers;
		names->tiers[names->policy.n_tiers++].name = letters[(unsigned char)*tiers];
	}
	for (; *rules; rules++) {
		letters[(unsigned char)*rules][0] = *rules;
		names->rules[names->policy.n_rules++].name = letters[(unsigned char)*rules];
	}
	return &names->policy;
}

static struct tally *with(const char *tiers, const char *rules)
{
	struct names names;
	struct tally *tally = tally_new();

	tally_configure(tally, named(&names, tiers, rules));
	tally_advance(tally, START);
	return tally;
}

static void sums_are(struct tally_sums sums, uint64_t total, uint64_t minute, uint64_t hour)
{
	assert_int_equal(sums.total, total);
	assert_int_equal(sums.minute, minute);
	assert_int_equal(sums.hour, hour);
}

static void minutes_go_by(void **state)
{
	struct tally *tally = with("QMS", "ab");
	uint32_t minutes[TALLY_MINUTES];

	(void)state;
	tally_note(tally, 1, TALLY_ARRIVED);
	tally_note(tally, 1, TALLY_ARRIVED);
	/* The minute under way is no full minute yet. */
	sums_are(tally_of_tier(tally, 1, TALLY_ARRIVED), 2, 0, 2);
	tally_advance(tally, START + MINUTE - 1);
	sums_are(tally_of_tier(tally, 1, TALLY_ARRIVED), 2, 0, 2);
	tally_advance(tally, START + MINUTE);
	sums_are(tally_of_tier(tally, 1, TALLY_ARRIVED), 2, 2, 2);
	sums_are(tally_of_tier(tally, 0, TALLY_ARRIVED), 0, 0, 0);
	sums_are(tally_of_tier(tally, 1, TALLY_DEPARTED), 0, 0, 0);
	sums_are(tally_of_tier(tally, 9, TALLY_ARRIVED), 0, 0, 0);
	sums_are(tally_of_all(tally, TALLY_ARRIVED), 2, 2, 2);
	tally_note(tally, 0, TALLY_ARRIVED);
	assert_int_equal(tally_history(tally, TALLY_ARRIVED, minutes),
			 (START + MINUTE) / CLOCK_SECOND - 59 * 60);
	assert_int_equal(minutes[59], 1);
	assert_int_equal(minutes[58], 2);
	assert_int_equal(minutes[57], 0);
	tally_advance(tally, START + 59 * MINUTE);
	assert_int_equal(tally_of_all(tally, TALLY_ARRIVED).hour, 3);
	tally_history(tally, TALLY_ARRIVED, minutes);
	assert_int_equal(minutes[0], 2);
	tally_advance(tally, START + 60 * MINUTE);
	sums_are(tally_of_all(tally, TALLY_ARRIVED), 3, 0, 1);
	tally_advance(tally, START + 61 * MINUTE);
	sums_are(tally_of_all(tally, TALLY_ARRIVED), 3, 0, 0);
	tally_free(tally);
}

static void clocks_step(void **state)
{
	struct tally *tally = with("Q", "");
	uint32_t minutes[TALLY_MINUTES];

	(void)state;
	tally_note(tally, 0, TALLY_DEPARTED);
	/* A little back: the minute goes on. */
	tally_advance(tally, START - 1);
	tally_note(tally, 0, TALLY_DEPARTED);
	sums_are(tally_of_tier(tally, 0, TALLY_DEPARTED), 2, 0, 2);
	/* Set by a year, and back before the epoch: what was counted stays the last hour. */
	tally_set_clock(tally, START + 365 * 1440 * MINUTE);
	tally_advance(tally, START + 365 * 1440 * MINUTE);
	assert_int_equal(tally_history(tally, TALLY_DEPARTED, minutes),
			 (START + (365 * 1440 - 59) * MINUTE) / CLOCK_SECOND);
	assert_int_equal(minutes[59], 2);
	tally_set_clock(tally, -5 * MINUTE);
	sums_are(tally_of_tier(tally, 0, TALLY_DEPARTED), 2, 0, 2);
	tally_advance(tally, MINUTE);
	sums_are(tally_of_tier(tally, 0, TALLY_DEPARTED), 2, 2, 2);
	/* Without being told, far ahead: an hour has passed. As far as it goes, without a stall. */
	tally_advance(tally, INT64_MAX);
	sums_are(tally_of_tier(tally, 0, TALLY_DEPARTED), 2, 0, 0);
	tally_advance(tally, INT64_MIN);
	tally_note(tally, 0, TALLY_DEPARTED);
	sums_are(tally_of_tier(tally, 0, TALLY_DEPARTED), 3, 0, 1);
	tally_free(tally);
}

static uint64_t flow_between(const struct tally *tally, unsigned from, unsigned to)
{
	struct tally_flow flow;

	for (size_t i = 0; tally_flow(tally, i, &flow); i++)
		if (flow.from == from && flow.to == to)
			return flow.moved.total;
	return 0;
}

static void names_keep_their_counts(void **state)
{
	struct tally *tally = with("QMS", "abc");
	struct names names;
	struct tally_flow flow;

	(void)state;
	tally_note_move(tally, 0, 1);
	tally_note_move(tally, 0, 1);
	tally_note_move(tally, 1, 2);
	tally_note_rule(tally, 0, TALLY_RULE_ACTED);
	tally_note_rule(tally, 2, TALLY_RULE_FAILED);
	tally_note_rule(tally, 1, TALLY_RULE_BUSY);
	/* In another order, one tier and one rule new, and one of each gone. */
	tally_configure(tally, named(&names, "SXMQ", "cda"));
	assert_int_equal(flow_between(tally, 3, 2), 2);
	assert_int_equal(flow_between(tally, 2, 0), 1);
	assert_int_equal(tally_of_tier(tally, 3, TALLY_MOVED_OUT).total, 2);
	assert_int_equal(tally_of_tier(tally, 1, TALLY_MOVED_OUT).total, 0);
	assert_int_equal(tally_of_tier(tally, 2, TALLY_MOVED_IN).hour, 2);
	assert_int_equal(tally_of_rule(tally, 0, TALLY_RULE_FAILED), 1);
	assert_int_equal(tally_of_rule(tally, 1, TALLY_RULE_BUSY), 0);
	assert_int_equal(tally_of_rule(tally, 2, TALLY_RULE_ACTED), 1);
	/* Without M there is no flow left, but the sum of all stays. */
	tally_configure(tally, named(&names, "QS", ""));
	assert_false(tally_flow(tally, 0, &flow));
	assert_int_equal(tally_of_all(tally, TALLY_MOVED_IN).total, 3);
	assert_int_equal(tally_of_rule(tally, 0, TALLY_RULE_ACTED), 0);
	/* What is not there any more counts in the sum of all only. */
	tally_note_move(tally, TALLY_NO_TIER, 1);
	tally_note_move(tally, 1, TALLY_NO_TIER);
	tally_note_rule(tally, TALLY_NO_RULE, TALLY_RULE_ACTED);
	assert_false(tally_flow(tally, 0, &flow));
	assert_int_equal(tally_of_tier(tally, 1, TALLY_MOVED_IN).total, 2);
	assert_int_equal(tally_of_all(tally, TALLY_MOVED_OUT).total, 5);
	tally_free(tally);
}

static void times_fall_into_buckets(void **state)
{
	struct tally *tally = tally_new();

	(void)state;
	for (enum tally_timer timer = 0; timer < TALLY_TIMERS; timer++) {
		size_t n;
		const int64_t *bounds = tally_bounds(timer, &n);
		const struct tally_times *times = tally_times(tally, timer);
		uint64_t sum = 0;

		assert_true(n >= 8 && n < TALLY_BUCKETS);
		for (size_t i = 0; i < n; i++) {
			assert_true(i == 0 || bounds[i] > bounds[i - 1]);
			tally_note_time(tally, timer, bounds[i]);
			tally_note_time(tally, timer, bounds[i] + 1);
			sum += 2 * (uint64_t)bounds[i] + 1;
		}
		tally_note_time(tally, timer, -5);
		assert_int_equal(times->counts[0], 2);
		for (size_t i = 1; i < n; i++)
			assert_int_equal(times->counts[i], 2);
		assert_int_equal(times->counts[n], 1);
		assert_int_equal(times->count, 2 * n + 1);
		assert_int_equal(times->sum, sum);
	}
	tally_free(tally);
}

/* ---- a model: every count with the number of its minute ---- */

enum { TIERS = 4, MODEL_MINUTES = 400 };

struct model {
	uint32_t notes[MODEL_MINUTES][TIERS][TALLY_KINDS];
	uint32_t moves[MODEL_MINUTES][TIERS][TIERS];
	int minute; /* how many have begun, whatever the clock says */
};

static uint64_t since(const struct model *model, unsigned tier, unsigned kind, int first, int last)
{
	uint64_t n = 0;

	for (int i = first < 0 ? 0 : first; i <= last; i++)
		n += model->notes[i][tier][kind];
	return n;
}

static void agrees(const struct tally *tally, const struct model *model)
{
	struct tally_flow flow;
	uint64_t flows = 0, moved = 0;

	for (unsigned kind = 0; kind < TALLY_KINDS; kind++) {
		uint32_t minutes[TALLY_MINUTES];
		uint64_t total = 0;

		for (unsigned tier = 0; tier < TIERS; tier++) {
			uint64_t all = since(model, tier, kind, 0, model->minute);

			sums_are(tally_of_tier(tally, tier, kind), all,
				 model->minute ? since(model, tier, kind, model->minute - 1,
						       model->minute - 1)
					       : 0,
				 since(model, tier, kind, model->minute - 59, model->minute));
			total += all;
		}
		assert_int_equal(tally_of_all(tally, kind).total, total);
		tally_history(tally, kind, minutes);
		for (int i = 0; i < TALLY_MINUTES; i++) {
			int minute = model->minute - 59 + i;
			uint64_t expected = 0;

			for (unsigned tier = 0; minute >= 0 && tier < TIERS; tier++)
				expected += model->notes[minute][tier][kind];
			assert_int_equal(minutes[i], expected);
		}
	}
	for (size_t i = 0; tally_flow(tally, i, &flow); i++) {
		uint64_t expected = 0;

		for (int minute = 0; minute <= model->minute; minute++)
			expected += model->moves[minute][flow.from][flow.to];
		assert_int_equal(flow.moved.total, expected);
		flows += expected;
	}
	for (int minute = 0; minute <= model->minute; minute++)
		for (unsigned from = 0; from < TIERS; from++)
			for (unsigned to = 0; to < TIERS; to++)
				moved += model->moves[minute][from][to];
	assert_int_equal(flows, moved);
}

static void agrees_with_a_model(void **state)
{
	static struct model model;
	uint64_t random = 7;
	size_t rounds = testing_scale(20000);
	struct tally *tally = with("QMSX", "");
	struct names names;
	int64_t now = START;

	(void)state;
	for (size_t i = 0; i < rounds && model.minute < MODEL_MINUTES - 100; i++) {
		uint64_t r = testing_random(&random);
		unsigned tier = r % TIERS, other = r / 8 % TIERS, kind = r / 64 % TALLY_KINDS;
		int passed;

		switch (r >> 32 & 63) {
		case 0: /* time goes on, at times by more than an hour */
			passed = (int)(r >> 40 & 1023 ? r >> 50 & 3 : 61);
			now += passed * MINUTE;
			model.minute += passed;
			tally_advance(tally, now);
			break;
		case 1: /* it is set, to anything */
			if (r >> 40 & 3)
				break;
			now = (int64_t)(testing_random(&random) % 40000000) * MINUTE;
			tally_set_clock(tally, now);
			break;
		case 2: /* the clock goes back a little */
			now -= MINUTE;
			if (now < 0)
				now = 0;
			tally_advance(tally, now);
			break;
		case 3: /* the same policy again */
			tally_configure(tally, named(&names, "QMSX", ""));
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			tally_note_move(tally, tier, other);
			model.moves[model.minute][tier][other]++;
			model.notes[model.minute][tier][TALLY_MOVED_OUT]++;
			model.notes[model.minute][other][TALLY_MOVED_IN]++;
			break;
		default:
			tally_note(tally, tier, kind);
			model.notes[model.minute][tier][kind]++;
		}
		if (i % 50 == 0)
			agrees(tally, &model);
	}
	agrees(tally, &model);
	assert_true(model.minute > 20);
	tally_free(tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(minutes_go_by),
		cmocka_unit_test(clocks_step),
		cmocka_unit_test(names_keep_their_counts),
		cmocka_unit_test(times_fall_into_buckets),
		cmocka_unit_test(agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
