/* test_domains.c - the windows of recipient domains against a model that keeps every event, and who
 * stays when there are too many. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/domains.h"

#include "../support/testing.h"

#define DEFERRED(seconds, number)                                                                  \
	{                                                                                          \
		.kind = POLICY_DEFERRED, .within = (seconds), .at_least = (number)                 \
	}
#define DELIVERED(mask, seconds, number)                                                           \
	{                                                                                          \
		.kind = POLICY_DELIVERED, .tiers = (mask), .within = (seconds),                    \
		.at_least = (number)                                                               \
	}

/* A second like those of today. */
#define START INT64_C(1700000000)

static struct domains *with(const struct policy_window *windows, size_t n)
{
	struct domains *domains = domains_new();

	domains_configure(domains, windows, n);
	return domains;
}

static uint64_t defer(struct domains *domains, const char *name, int64_t time, unsigned count)
{
	return domains_note_deferred(domains, name, strlen(name), time, count);
}

static uint64_t deliver(struct domains *domains, const char *name, int64_t time, unsigned tier)
{
	return domains_note_delivered(domains, name, strlen(name), time, tier);
}

static bool holds(const struct domains *domains, const char *name, unsigned window, int64_t at)
{
	uint64_t count;
	int64_t until;

	return domains_hold(domains, name, strlen(name), window, at, &count, &until);
}

static uint64_t counted(const struct domains *domains, const char *name, unsigned window,
			int64_t at)
{
	uint64_t count = 77;
	int64_t until = 77;

	domains_hold(domains, name, strlen(name), window, at, &count, &until);
	return count;
}

static int64_t until(const struct domains *domains, const char *name, unsigned window, int64_t at)
{
	uint64_t count;
	int64_t end = 77;

	domains_hold(domains, name, strlen(name), window, at, &count, &end);
	return end;
}

/* ---- one by one ---- */

static void nothing_without_windows(void **state)
{
	struct domains *domains = domains_new();
	size_t memory = domains_memory(domains);

	(void)state;
	assert_int_equal(defer(domains, "example.net", START, 1000), 0);
	assert_int_equal(deliver(domains, "example.net", START, 0), 0);
	assert_false(holds(domains, "example.net", 0, START));
	assert_int_equal(counted(domains, "example.net", 0, START), 0);
	assert_true(until(domains, "example.net", 0, START) == INT64_MAX);
	assert_int_equal(domains_count(domains), 0);
	assert_int_equal(domains_next(domains, 0), 0);
	domains_forget_after(domains, 0);
	domains_configure(domains, NULL, 0);
	assert_int_equal(domains_memory(domains), memory);
	domains_free(domains);
	domains_free(NULL);
}

/* Windows of up to 30 seconds are exact. */
static void three_in_ten_seconds(void **state)
{
	const struct policy_window window = DEFERRED(10, 3);
	struct domains *domains = with(&window, 1);

	(void)state;
	assert_int_equal(defer(domains, "example.net", START, 1), 0);
	assert_int_equal(defer(domains, "example.net", START + 4, 1), 0);
	assert_false(holds(domains, "example.net", 0, START + 4));
	assert_int_equal(counted(domains, "example.net", 0, START + 4), 2);
	assert_int_equal(defer(domains, "example.net", START + 9, 1), 1);
	assert_true(holds(domains, "example.net", 0, START + 9));
	assert_int_equal(counted(domains, "example.net", 0, START + 9), 3);
	assert_int_equal(until(domains, "example.net", 0, START + 9), START + 10);
	assert_false(holds(domains, "example.net", 0, START + 10));
	/* Reached again: that is told again. But not while it is. */
	assert_int_equal(defer(domains, "example.net", START + 11, 1), 1);
	assert_int_equal(defer(domains, "example.net", START + 12, 1), 0);
	assert_int_equal(counted(domains, "example.net", 0, START + 12), 4);
	assert_int_equal(until(domains, "example.net", 0, START + 12), START + 19);
	assert_int_equal(counted(domains, "example.net", 0, START + 21), 1);
	assert_int_equal(counted(domains, "example.net", 0, START + 22), 0);
	/* A second before the latest event is taken for that one. */
	assert_int_equal(counted(domains, "example.net", 0, START), 4);
	/* Another window, another domain. */
	assert_false(holds(domains, "example.net", 1, START + 12));
	assert_false(holds(domains, "example.org", 0, START + 12));
	/* Many at once. */
	assert_int_equal(defer(domains, "example.org", START, 0), 0);
	assert_int_equal(domains_count(domains), 1);
	assert_int_equal(defer(domains, "example.org", START, 3), 1);
	assert_int_equal(until(domains, "example.org", 0, START), START + 10);
	domains_free(domains);
}

/* What the header says of the precision, for each second of some windows. */
static void precision(void **state)
{
	static const int64_t withins[] = {1, 2, 29, 30, 31, 60, 61, 600, 3600, 86399, 86400};

	(void)state;
	for (size_t i = 0; i < N(withins); i++) {
		const struct policy_window window = DEFERRED(withins[i], 1);
		int64_t most = (withins[i] + 29) / 30 - 1, longest = -1, shortest = INT64_MAX;

		for (int64_t time = START; time <= START + most; time++) {
			struct domains *domains = with(&window, 1);
			int64_t end;

			assert_int_equal(defer(domains, "example.net", time, 1), 1);
			end = until(domains, "example.net", 0, time) - time - withins[i];
			longest = end > longest ? end : longest;
			shortest = end < shortest ? end : shortest;
			domains_free(domains);
		}
		assert_int_equal(shortest, 0);
		assert_int_equal(longest, most);
	}
}

static void latest_evidence_wins(void **state)
{
	const struct policy_window windows[] = {DEFERRED(600, 5), DELIVERED(2, 300, 1),
						DELIVERED(6, 300, 2), DEFERRED(60, 2)};
	struct domains *domains = with(windows, N(windows));

	(void)state;
	assert_int_equal(defer(domains, "example.net", START, 4), 8);
	assert_int_equal(defer(domains, "example.net", START + 1, 1), 1);
	/* One that is too old for all windows is no evidence. */
	assert_int_equal(deliver(domains, "example.net", START - 400, 1), 0);
	assert_true(holds(domains, "example.net", 0, START + 2));

	assert_int_equal(deliver(domains, "example.net", START + 2, 1), 2);
	assert_int_equal(counted(domains, "example.net", 0, START + 2), 0);
	assert_int_equal(counted(domains, "example.net", 3, START + 2), 0);
	assert_true(holds(domains, "example.net", 1, START + 2));
	assert_false(holds(domains, "example.net", 2, START + 2));
	assert_int_equal(deliver(domains, "example.net", START + 3, 2), 4);
	assert_true(holds(domains, "example.net", 2, START + 3));
	/* Failures from before it are told late: forgotten already. */
	assert_int_equal(defer(domains, "example.net", START + 1, 100), 0);
	assert_int_equal(counted(domains, "example.net", 0, START + 3), 0);
	/* One failure is no evidence against it; two are. */
	assert_int_equal(defer(domains, "example.net", START + 3, 1), 0);
	assert_true(holds(domains, "example.net", 2, START + 3));
	assert_int_equal(defer(domains, "example.net", START + 4, 1), 8);
	assert_int_equal(counted(domains, "example.net", 1, START + 4), 0);
	assert_int_equal(counted(domains, "example.net", 2, START + 4), 0);
	assert_int_equal(counted(domains, "example.net", 0, START + 4), 2);
	domains_free(domains);
}

static void events_from_the_past(void **state)
{
	const struct policy_window window = DEFERRED(30, 2);
	struct domains *domains = with(&window, 1);

	(void)state;
	assert_int_equal(defer(domains, "example.net", START, 1), 0);
	assert_int_equal(defer(domains, "example.net", START - 30, 1), 0);
	assert_int_equal(counted(domains, "example.net", 0, START), 1);
	assert_int_equal(defer(domains, "example.net", START - 29, 1), 1);
	assert_int_equal(until(domains, "example.net", 0, START), START + 1);
	/* Far apart, and both ends of time. */
	assert_int_equal(defer(domains, "example.net", DOMAINS_LAST_SECOND, 1), 0);
	assert_int_equal(counted(domains, "example.net", 0, DOMAINS_LAST_SECOND), 1);
	assert_int_equal(counted(domains, "example.net", 0, INT64_MAX), 0);
	assert_int_equal(counted(domains, "example.net", 0, INT64_MIN), 1);
	assert_int_equal(defer(domains, "example.net", DOMAINS_LAST_SECOND + 1, 1), 0);
	assert_int_equal(defer(domains, "example.net", INT64_MAX, 1), 0);
	assert_int_equal(counted(domains, "example.net", 0, DOMAINS_LAST_SECOND), 1);
	assert_int_equal(defer(domains, "example.org", 0, 1), 0);
	assert_int_equal(defer(domains, "example.org", 0, 1), 1);
	assert_int_equal(until(domains, "example.org", 0, 0), 30);
	assert_int_equal(defer(domains, "example.com", -1, 2), 0);
	assert_int_equal(defer(domains, "example.com", INT64_MIN, 2), 0);
	assert_int_equal(domains_count(domains), 2);
	domains_free(domains);
}

static void clock_set_back(void **state)
{
	const struct policy_window windows[] = {DEFERRED(600, 2), DELIVERED(1, 600, 1)};
	struct domains *domains = with(windows, N(windows));

	(void)state;
	defer(domains, "a.example", START + 3600, 2);
	deliver(domains, "b.example", START + 3600, 0);
	defer(domains, "c.example", START, 2);
	domains_forget_after(domains, START);
	assert_int_equal(domains_count(domains), 1);
	assert_true(holds(domains, "c.example", 0, START));
	assert_false(holds(domains, "a.example", 0, START));
	assert_false(holds(domains, "b.example", 1, START));
	assert_int_equal(defer(domains, "b.example", START, 2), 1);
	assert_int_equal(defer(domains, "a.example", START, 1), 0);
	assert_int_equal(counted(domains, "a.example", 0, START), 1);
	domains_free(domains);
}

static void counters_stand_still_at_their_end(void **state)
{
	const struct policy_window window = DEFERRED(1, INT64_C(1) << 32);
	struct domains *domains = with(&window, 1);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(defer(domains, "example.net", START, UINT32_MAX), 0);
	assert_true(counted(domains, "example.net", 0, START) == UINT32_MAX);
	domains_free(domains);
}

/* ---- names ---- */

static void names(void **state)
{
	const struct policy_window window = DEFERRED(60, 2);
	struct domains *domains = with(&window, 1);
	char longest[256], cut[256];
	const char *name;
	size_t length;
	uint64_t count;
	int64_t end;

	(void)state;
	assert_int_equal(defer(domains, "Example.NET", START, 1), 0);
	assert_int_equal(defer(domains, "eXAMPLE.net", START, 1), 1);
	assert_true(holds(domains, "EXAMPLE.NET", 0, START));
	name = domains_name(domains, domains_next(domains, 0), &length);
	assert_int_equal(length, 11);
	assert_memory_equal(name, "example.net", 11);
	/* Only letters have a case: '[' is not a large '{'. */
	defer(domains, "[192.0.2.1]", START, 2);
	assert_true(holds(domains, "[192.0.2.1]", 0, START));
	assert_false(holds(domains, "{192.0.2.1}", 0, START));
	/* Any bytes; lengths around what is kept near, and the longest. */
	memset(longest, 'X', sizeof longest);
	memset(cut, 'x', sizeof cut);
	longest[0] = '\0';
	longest[1] = (char)0xff;
	memcpy(cut, longest, 2);
	for (length = 0; length <= 256; length++) {
		bool kept = length >= 1 && length <= DOMAINS_MAX_NAME;

		assert_int_equal(domains_note_deferred(domains, longest, length, START, 2), kept);
		assert_int_equal(domains_hold(domains, cut, length, 0, START, &count, &end), kept);
		assert_int_equal(count, kept ? 2 : 0);
		assert_int_equal(domains_hash(longest, length), domains_hash(cut, length));
	}
	assert_int_equal(domains_count(domains), 2 + 255);
	domains_forget_after(domains, START - 1);
	assert_int_equal(domains_count(domains), 0);
	assert_int_equal(domains_next(domains, 0), 0);
	domains_free(domains);
}

static void hashes(void **state)
{
	static unsigned taken[16384];
	unsigned most = 0, empty = 0;
	char name[32];

	(void)state;
	memset(taken, 0, sizeof taken);
	for (int i = 0; i < 16384 * 8; i++) {
		uint32_t hash;

		snprintf(name, sizeof name, "host%d.example", i);
		hash = domains_hash(name, strlen(name));
		assert_true(hash >= 2 && hash < UINT32_C(1) << 30);
		taken[hash % 16384]++;
	}
	for (int i = 0; i < 16384; i++) {
		most = taken[i] > most ? taken[i] : most;
		empty += !taken[i];
	}
	/* Spread as if by chance: 8 in each on average. */
	assert_true(most < 40);
	assert_true(empty < 60);
}

struct hashed {
	uint32_t hash;
	unsigned number;
};

static int by_hash(const void *a, const void *b)
{
	const struct hashed *one = a, *other = b;

	return one->hash < other->hash ? -1 : one->hash > other->hash;
}

static const char *found(const struct domains *domains, const char *name)
{
	static char text[DOMAINS_MAX_NAME + 1];
	size_t length = 77;
	const char *there = domains_find(domains, domains_hash(name, strlen(name)), &length);

	if (!there) {
		assert_int_equal(length, 77);
		return "none";
	}
	memcpy(text, there, length);
	text[length] = '\0';
	return text;
}

/* By hash alone a domain is found that has its hash for itself; by name, any. */
static void same_hash(void **state)
{
	enum { NAMES_TRIED = 300000 };
	const struct policy_window window = DEFERRED(60, 2);
	struct hashed *all = calloc(NAMES_TRIED, sizeof *all);
	struct domains *domains = domains_new();
	char one[32], other[32];
	unsigned i = 1;

	(void)state;
	assert_non_null(all);
	for (unsigned n = 0; n < NAMES_TRIED; n++) {
		snprintf(one, sizeof one, "host%u.example", n);
		all[n] = (struct hashed){domains_hash(one, strlen(one)), n};
	}
	/* There are about 40 such pairs. */
	qsort(all, NAMES_TRIED, sizeof *all, by_hash);
	while (i < NAMES_TRIED && all[i].hash != all[i - 1].hash)
		i++;
	assert_true(i < NAMES_TRIED);
	snprintf(one, sizeof one, "host%u.example", all[i - 1].number);
	snprintf(other, sizeof other, "host%u.example", all[i].number);
	free(all);

	assert_string_equal(found(domains, one), "none");
	domains_configure(domains, &window, 1);
	assert_string_equal(found(domains, one), "none");
	defer(domains, one, START, 1);
	assert_string_equal(found(domains, one), one);
	assert_string_equal(found(domains, other), one);
	assert_string_equal(found(domains, "example.net"), "none");
	defer(domains, other, START + 9, 2);
	assert_string_equal(found(domains, one), "none");
	assert_int_equal(counted(domains, one, 0, START), 1);
	assert_int_equal(counted(domains, other, 0, START), 2);
	domains_forget_after(domains, START);
	assert_string_equal(found(domains, other), one);
	domains_free(domains);
}

/* ---- other windows ---- */

static void another_policy(void **state)
{
	const struct policy_window first[] = {DEFERRED(600, 50), DELIVERED(2, 300, 2)};
	const struct policy_window second[] = {DELIVERED(2, 300, 5), DELIVERED(4, 300, 1),
					       DEFERRED(60, 50), DEFERRED(600, 10)};
	struct domains *domains = with(first, N(first));

	(void)state;
	defer(domains, "dead.example", START, 20);
	deliver(domains, "well.example", START, 1);
	/* Both: the failures come after the delivery, and will be enough. */
	deliver(domains, "both.example", START, 1);
	defer(domains, "both.example", START, 10);
	deliver(domains, "few.example", START, 1);
	defer(domains, "few.example", START, 9);
	domains_configure(domains, second, N(second));
	assert_int_equal(domains_count(domains), 4);
	assert_false(holds(domains, "dead.example", 2, START));
	assert_int_equal(counted(domains, "dead.example", 2, START), 0);
	assert_true(holds(domains, "dead.example", 3, START));
	assert_int_equal(counted(domains, "dead.example", 3, START), 20);
	assert_int_equal(counted(domains, "well.example", 0, START), 1);
	assert_int_equal(counted(domains, "well.example", 1, START), 0);
	assert_int_equal(counted(domains, "both.example", 0, START), 0);
	assert_true(holds(domains, "both.example", 3, START));
	assert_int_equal(counted(domains, "few.example", 0, START), 1);
	assert_int_equal(counted(domains, "few.example", 3, START), 9);
	/* What is left without a count has a name still, by which its delivery is known. */
	domains_configure(domains, second, 2);
	assert_int_equal(domains_count(domains), 4);
	assert_int_equal(counted(domains, "few.example", 0, START), 1);
	assert_int_equal(defer(domains, "few.example", START, 100), 0);
	assert_string_equal(found(domains, "dead.example"), "dead.example");
	/* Failures that count in no window make a name known, too. */
	assert_int_equal(defer(domains, "new.example", START, 100), 0);
	assert_string_equal(found(domains, "new.example"), "new.example");
	assert_int_equal(domains_count(domains), 5);
	/* A delivery that counts nowhere leaves it known. */
	assert_int_equal(deliver(domains, "new.example", START, 5), 0);
	assert_string_equal(found(domains, "new.example"), "new.example");
	domains_configure(domains, NULL, 0);
	assert_int_equal(domains_count(domains), 0);
	assert_int_equal(defer(domains, "few.example", START, 100), 0);
	domains_configure(domains, first, N(first));
	assert_int_equal(counted(domains, "few.example", 1, START), 0);
	domains_free(domains);
}

/* ---- against a model ---- */

#define WINDOWS 7
#define NAMES	6

struct event {
	int64_t time;
	uint64_t count;
};

struct events {
	struct event *all;
	size_t n, room;
};

struct model {
	struct domains *domains;
	struct policy_window windows[WINDOWS];
	unsigned n;
	struct events events[WINDOWS][NAMES]; /* that count in the window, but for their age */
	bool known[NAMES];
	int64_t last[NAMES], delivered[NAMES];
	int64_t now;
	uint64_t seed;
	size_t held[2]; /* how often a window of either kind held when asked */
};

static uint64_t dice(struct model *model, uint64_t sides)
{
	return testing_random(&model->seed) % sides;
}

/* In any case. */
static const char *model_name(struct model *model, unsigned name)
{
	static char text[32];

	snprintf(text, sizeof text, dice(model, 2) ? "D%u.Example" : "d%u.eXAMPLE", name);
	return text;
}

/* The first second at which an event of `time` does not count any more. */
static int64_t model_end(const struct policy_window *window, int64_t time)
{
	int64_t width = (window->within + 29) / 30;

	return time - time % width + width - 1 + window->within;
}

static uint64_t model_count(const struct model *model, unsigned w, unsigned name, int64_t at)
{
	const struct events *events = &model->events[w][name];
	uint64_t count = 0;

	if (at < model->last[name])
		at = model->last[name];
	for (size_t i = 0; i < events->n; i++)
		if (model_end(&model->windows[w], events->all[i].time) > at)
			count += events->all[i].count;
	return count;
}

static bool model_holds(const struct model *model, unsigned w, unsigned name, int64_t at)
{
	return model_count(model, w, name, at) >= (uint64_t)model->windows[w].at_least;
}

/* The first end of an event at which the rest is too little. */
static int64_t model_until(const struct model *model, unsigned w, unsigned name, int64_t at)
{
	const struct events *events = &model->events[w][name];
	int64_t least = INT64_MAX;

	if (!model_holds(model, w, name, at))
		return INT64_MAX;
	for (size_t i = 0; i < events->n; i++) {
		int64_t end = model_end(&model->windows[w], events->all[i].time);

		if (end > at && end < least && !model_holds(model, w, name, end))
			least = end;
	}
	return least;
}

static void model_forget(struct model *model, unsigned name, enum policy_window_kind kind)
{
	for (unsigned w = 0; w < model->n; w++)
		if (model->windows[w].kind == kind)
			model->events[w][name].n = 0;
}

static void model_push(struct events *events, int64_t time, uint64_t count)
{
	if (events->n == events->room) {
		events->room = events->room ? events->room * 2 : 16;
		events->all = realloc(events->all, events->room * sizeof *events->all);
		assert_non_null(events->all);
	}
	events->all[events->n++] = (struct event){time, count};
}

static bool model_counts_kind(const struct model *model, enum policy_window_kind kind)
{
	for (unsigned w = 0; w < model->n; w++)
		if (model->windows[w].kind == kind)
			return true;
	return false;
}

static void model_forget_name(struct model *model, unsigned name)
{
	model->known[name] = false;
	model->last[name] = model->delivered[name] = -1;
}

static bool model_counts_tier(const struct model *model, uint64_t tiers)
{
	for (unsigned w = 0; w < model->n; w++)
		if (model->windows[w].kind == POLICY_DELIVERED && (model->windows[w].tiers & tiers))
			return true;
	return false;
}

static uint64_t model_note(struct model *model, unsigned name, enum policy_window_kind kind,
			   uint64_t tiers, int64_t time, uint64_t count)
{
	int64_t at = time > model->last[name] ? time : model->last[name];
	uint64_t crossed = 0;
	bool counts = false;

	if (kind == POLICY_DEFERRED && time < model->delivered[name])
		return 0;
	if (kind == POLICY_DEFERRED && model->n)
		model->known[name] = true;
	for (unsigned w = 0; w < model->n; w++) {
		const struct policy_window *window = &model->windows[w];
		bool before = model_holds(model, w, name, at);

		if (window->kind != kind || (kind == POLICY_DELIVERED && !(window->tiers & tiers)))
			continue;
		if (model_end(window, time) <= at)
			continue;
		counts = true;
		model_push(&model->events[w][name], time, count);
		if (!before && model_count(model, w, name, at) >= (uint64_t)window->at_least)
			crossed |= UINT64_C(1) << w;
	}
	if (kind == POLICY_DELIVERED && !model_counts_tier(model, tiers))
		model_forget(model, name, POLICY_DEFERRED);
	if (!counts &&
	    (kind == POLICY_DELIVERED || !model->n || model_counts_kind(model, POLICY_DEFERRED)))
		return 0;
	model->known[name] = true;
	model->last[name] = at;
	if (kind == POLICY_DELIVERED) {
		model_forget(model, name, POLICY_DEFERRED);
		if (time > model->delivered[name])
			model->delivered[name] = time;
	} else if (crossed) {
		model_forget(model, name, POLICY_DELIVERED);
	}
	return crossed;
}

static void random_window(struct model *model, struct policy_window *window)
{
	static const int64_t withins[] = {1, 7, 30, 31, 45, 90, 600, 3600, 86400};

	*window =
		(struct policy_window){.kind = dice(model, 2) ? POLICY_DEFERRED : POLICY_DELIVERED,
				       .within = withins[dice(model, N(withins))],
				       .at_least = 1 + (int64_t)dice(model, 12)};
	if (window->kind == POLICY_DELIVERED)
		window->tiers = 1 + dice(model, 7);
}

static void model_configure(struct model *model)
{
	struct policy_window windows[WINDOWS];
	struct events events[WINDOWS][NAMES] = {0};
	unsigned n = (unsigned)dice(model, WINDOWS + 1);

	for (unsigned w = 0; w < n; w++) {
		/* Half of them were there before, perhaps in another place or with another
		 * at_least. */
		random_window(model, &windows[w]);
		if (model->n && dice(model, 2)) {
			int64_t at_least = windows[w].at_least;

			windows[w] = model->windows[dice(model, model->n)];
			if (dice(model, 2))
				windows[w].at_least = at_least;
		}
		for (unsigned from = 0; from < model->n; from++)
			if (model->windows[from].kind == windows[w].kind &&
			    model->windows[from].tiers == windows[w].tiers &&
			    model->windows[from].within == windows[w].within)
				for (unsigned name = 0; name < NAMES; name++) {
					const struct events *old = &model->events[from][name];

					events[w][name].n = 0;
					for (size_t i = 0; i < old->n; i++)
						model_push(&events[w][name], old->all[i].time,
							   old->all[i].count);
				}
	}
	for (unsigned w = 0; w < model->n; w++)
		for (unsigned name = 0; name < NAMES; name++)
			free(model->events[w][name].all);
	memcpy(model->events, events, sizeof events);
	memcpy(model->windows, windows, sizeof windows);
	model->n = n;
	for (unsigned name = 0; name < NAMES; name++) {
		for (unsigned w = 0; w < n; w++)
			if (windows[w].kind == POLICY_DEFERRED &&
			    model_holds(model, w, name, model->last[name]))
				model_forget(model, name, POLICY_DELIVERED);
		if (!n)
			model_forget_name(model, name);
	}
	domains_configure(model->domains, windows, n);
}

/* Everything about one domain at one second. */
static void check_name(struct model *model, unsigned name, int64_t at)
{
	bool held[2] = {false, false};

	for (unsigned w = 0; w < model->n; w++) {
		const struct policy_window *window = &model->windows[w];
		const struct events *events = &model->events[w][name];
		int64_t then = at > model->last[name] ? at : model->last[name];
		uint64_t least = 0, most = 0, count;
		const char *text = model_name(model, name);
		int64_t end;
		bool holding =
			domains_hold(model->domains, text, strlen(text), w, at, &count, &end);

		assert_true(count == model_count(model, w, name, at));
		assert_int_equal(holding, count >= (uint64_t)window->at_least);
		assert_true(end == model_until(model, w, name, at));
		assert_true(!holding || end > then);
		/* In the words of the header, without buckets. */
		for (size_t i = 0; i < events->n; i++) {
			int64_t age = then - events->all[i].time;

			if (age < window->within)
				least += events->all[i].count;
			if (age < window->within + (window->within + 29) / 30 - 1)
				most += events->all[i].count;
		}
		assert_true(least <= count && count <= most);
		/* So it stays until then, and no longer. */
		if (holding) {
			assert_true(holds(model->domains, text, w, end - 1));
			assert_false(holds(model->domains, text, w, end));
		}
		held[window->kind == POLICY_DEFERRED] |= holding;
		model->held[window->kind == POLICY_DEFERRED] += holding;
	}
	assert_false(held[0] && held[1]);
}

static void check_all(struct model *model)
{
	size_t known = 0, seen = 0;

	for (unsigned name = 0; name < NAMES; name++) {
		known += model->known[name];
		check_name(model, name, model->now);
	}
	assert_int_equal(domains_count(model->domains), known);
	for (unsigned number = 0; (number = domains_next(model->domains, number)); seen++) {
		size_t length;
		const char *text = domains_name(model->domains, number, &length);
		unsigned name = (unsigned)(text[1] - '0');

		assert_int_equal(length, 10);
		assert_true(model->known[name]);
		for (unsigned w = 0; w < model->n; w++) {
			uint64_t count;
			int64_t end;

			domains_hold_number(model->domains, number, w, model->now, &count, &end);
			assert_true(count == model_count(model, w, name, model->now));
		}
	}
	assert_int_equal(seen, known);
}

static void model_forget_after(struct model *model, int64_t time)
{
	domains_forget_after(model->domains, time);
	for (unsigned name = 0; name < NAMES; name++) {
		if (model->last[name] <= time)
			continue;
		for (unsigned w = 0; w < model->n; w++)
			model->events[w][name].n = 0;
		model_forget_name(model, name);
	}
}

static void one_operation(struct model *model, uint64_t pace)
{
	unsigned name = (unsigned)dice(model, NAMES), tier = (unsigned)dice(model, 4);
	int64_t time = model->now += (int64_t)dice(model, pace);
	unsigned count = 1 + (unsigned)dice(model, dice(model, 4) ? 1 : 8);
	const char *text = model_name(model, name);

	/* One in four comes late. */
	if (!dice(model, 4))
		time -= (int64_t)dice(model, dice(model, 2) ? pace * 4 : pace * 100);
	if (time < 0)
		time = 0;
	if (!dice(model, 400))
		model_configure(model);
	else if (!dice(model, 400))
		model_forget_after(model, model->now -= (int64_t)dice(model, pace * 5));
	else if (dice(model, 3))
		assert_true(defer(model->domains, text, time, count) ==
			    model_note(model, name, POLICY_DEFERRED, 0, time, count));
	else
		assert_true(
			deliver(model->domains, text, time, tier) ==
			model_note(model, name, POLICY_DELIVERED, UINT64_C(1) << tier, time, 1));
	check_name(model, name, model->now);
	check_name(model, name,
		   model->now + (int64_t)dice(model, pace * 20) - (int64_t)dice(model, pace * 4));
}

static void random_events(void **state)
{
	static const uint64_t paces[] = {2, 4, 20, 100, 1000, 10000};
	size_t rounds = testing_scale(600);
	static struct model model;

	(void)state;
	model.seed = 20261123;
	for (size_t round = 0; round < rounds; round++) {
		uint64_t pace = paces[round % N(paces)];

		model.domains = domains_new();
		model.now = dice(&model, 2) ? START : (int64_t)dice(&model, 1000);
		for (unsigned name = 0; name < NAMES; name++)
			model_forget_name(&model, name);
		model_configure(&model);
		for (int i = 0; i < 600; i++) {
			one_operation(&model, pace);
			if (i % 50 == 0)
				check_all(&model);
			if (model.now < 0)
				model.now = 0;
		}
		check_all(&model);
		for (unsigned w = 0; w < model.n; w++)
			for (unsigned name = 0; name < NAMES; name++) {
				free(model.events[w][name].all);
				model.events[w][name] = (struct events){0};
			}
		model.n = 0;
		domains_free(model.domains);
	}
	/* It did not only look at windows that are never reached. */
	assert_true(model.held[0] > rounds * 20);
	assert_true(model.held[1] > rounds * 20);
}

/* ---- who stays ---- */

static const char *once(size_t number)
{
	static char name[48];

	snprintf(name, sizeof name, "random-%zu.example", number);
	return name;
}

/* A million domains that come once do not push out those that come again. */
static void busy_domain_stays(void **state)
{
	const struct policy_window windows[] = {DEFERRED(600, 50), DELIVERED(2, 300, 1)};
	struct domains *domains = with(windows, N(windows));
	const size_t flood = testing_scale(1000000);
	uint64_t crossed = 0;
	size_t memory = 0;

	(void)state;
	/* Was reached, and is quiet since. */
	assert_int_equal(defer(domains, "quiet.example", START, 49), 0);
	assert_int_equal(defer(domains, "quiet.example", START, 1), 1);
	deliver(domains, "recovered.example", START, 1);
	deliver(domains, "recovered.example", START, 1);
	for (size_t i = 0; i < flood; i++) {
		/* 2,000 in a second. */
		int64_t now = START + (int64_t)(i / 2000);

		if (i % 2000 == 0)
			crossed |= defer(domains, "busy.example", now, 1);
		if (i == 20000)
			memory = domains_memory(domains);
		if (i % 2)
			assert_int_equal(defer(domains, once(i), now, 1), 0);
		else
			assert_int_equal(deliver(domains, once(i), now, 1), 2);
		assert_true(domains_count(domains) <= DOMAINS_MAX);
	}
	if (flood == 1000000) {
		assert_int_equal(crossed, 1);
		assert_int_equal(counted(domains, "busy.example", 0, START + 499), 500);
		assert_true(holds(domains, "quiet.example", 0, START + 499));
	} else {
		assert_int_equal(counted(domains, "busy.example", 0, START), flood / 2000);
	}
	assert_int_equal(counted(domains, "quiet.example", 0, START), 50);
	assert_int_equal(counted(domains, "recovered.example", 1, START), 2);
	assert_int_equal(domains_count(domains), DOMAINS_MAX);
	assert_int_equal(domains_memory(domains), memory);
	/* The last ones of the flood are here, the first ones are not. */
	assert_int_equal(counted(domains, once(flood - 1), 0, 0), 1);
	assert_int_equal(counted(domains, once(1), 0, 0), 0);
	domains_free(domains);
}

/* The lists of domains.h as plain arrays, the oldest first. All at one second: what has been noted
 * of a domain since it came is what its window counts. */
#define CROWD 30000

struct crowd {
	unsigned guests[DOMAINS_MAX], regulars[DOMAINS_MAX + 1];
	size_t n_guests, n_regulars;
	unsigned counts[CROWD]; /* 0: not here */
};

static void array_take(unsigned *array, size_t *n, unsigned what)
{
	size_t i = 0;

	while (array[i] != what)
		i++;
	memmove(&array[i], &array[i + 1], (--*n - i) * sizeof *array);
}

static bool array_has(const unsigned *array, size_t n, unsigned what)
{
	for (size_t i = 0; i < n; i++)
		if (array[i] == what)
			return true;
	return false;
}

static void crowd_note(struct crowd *crowd, unsigned who, unsigned at_least)
{
	unsigned *regulars = crowd->regulars;

	if (!crowd->counts[who]) {
		if (crowd->n_guests + crowd->n_regulars == DOMAINS_MAX) {
			crowd->counts[crowd->guests[0]] = 0;
			array_take(crowd->guests, &crowd->n_guests, crowd->guests[0]);
		}
		crowd->guests[crowd->n_guests++] = who;
		crowd->counts[who] = 1;
		return;
	}
	if (array_has(crowd->guests, crowd->n_guests, who))
		array_take(crowd->guests, &crowd->n_guests, who);
	else
		array_take(regulars, &crowd->n_regulars, who);
	regulars[crowd->n_regulars++] = who;
	crowd->counts[who]++;
	if (crowd->n_regulars <= DOMAINS_MAX_REGULARS)
		return;
	for (int i = 0; i < 4 && crowd->counts[regulars[0]] >= at_least; i++) {
		unsigned first = regulars[0];

		array_take(regulars, &crowd->n_regulars, first);
		regulars[crowd->n_regulars++] = first;
	}
	crowd->guests[crowd->n_guests++] = regulars[0];
	array_take(regulars, &crowd->n_regulars, regulars[0]);
}

/* Some names are long enough to need memory of their own. */
static void crowd_name(unsigned who, char *name, size_t size)
{
	snprintf(name, size, "%s%u", who % 2 ? "" : "a-domain-with-quite-a-long-name.", who);
}

static void who_stays(void **state)
{
	static struct crowd crowd;
	const struct policy_window window = DEFERRED(86400, 6);
	struct domains *domains = with(&window, 1);
	size_t events = testing_scale(200000), here = 0;
	uint64_t seed = 4711;

	(void)state;
	memset(&crowd, 0, sizeof crowd);
	for (size_t i = 0; i < events; i++) {
		/* Half of the events are for a few hundred domains, and the rest for any. */
		uint64_t roll = testing_random(&seed);
		unsigned who = (unsigned)((roll >> 8) % (roll % 4 ? CROWD / 2 : CROWD));

		/* Names that need memory of their own, too. */
		char name[64];

		crowd_name(who, name, sizeof name);
		crowd_note(&crowd, who, 6);
		assert_int_equal(defer(domains, name, START, 1), crowd.counts[who] == 6);
		assert_int_equal(counted(domains, name, 0, START), crowd.counts[who]);
	}
	for (unsigned who = 0; who < CROWD; who++) {
		char name[64];

		crowd_name(who, name, sizeof name);
		assert_int_equal(counted(domains, name, 0, START), crowd.counts[who]);
		here += crowd.counts[who] != 0;
	}
	assert_int_equal(domains_count(domains), here);
	assert_true(testing_slow() || crowd.n_regulars == DOMAINS_MAX_REGULARS);
	domains_free(domains);
}

/* A regular is passed over for a window that is reached now, not for one that was. */
static void reached_regulars_stay(void **state)
{
	const struct policy_window window = DEFERRED(60, 2);

	(void)state;
	for (int64_t later = 0; later <= 3600; later += 3600) {
		struct domains *domains = with(&window, 1);
		size_t n = 0;

		for (; n < DOMAINS_MAX_REGULARS; n++) {
			defer(domains, once(n), START, 1);
			defer(domains, once(n), START, 1);
		}
		/* Of the first five one is a guest now, and the next to go. */
		defer(domains, once(n), START + later, 1);
		defer(domains, once(n++), START + later, 1);
		while (domains_count(domains) < DOMAINS_MAX)
			defer(domains, once(n++), START + later, 1);
		defer(domains, once(n), START + later, 1);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(counted(domains, once(i), 0, 0),
					 i == (later ? 0 : 4) ? 0 : 2);
		domains_free(domains);
	}
}

/* ---- cost ---- */

static void memory_is_told(void **state)
{
	const struct policy_window windows[] = {DEFERRED(600, 50), DELIVERED(2, 300, 1),
						DEFERRED(60, 5)};
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, taken;
	struct domains *domains = with(windows, N(windows));
	size_t empty = domains_memory(domains);
	char name[300];

	(void)state;
	for (size_t i = 0; i < DOMAINS_MAX + 1000; i++)
		defer(domains, once(i), START, 1);
	taken = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	assert_true(domains_memory(domains) <= DOMAINS_MAX * (64 + 3 * 136) + 70000);
	/* Where malloc tells (not under sanitizers). */
	if (taken > DOMAINS_MAX)
		assert_true(domains_memory(domains) > taken / 100 * 97 &&
			    domains_memory(domains) < taken / 100 * 103);
	/* Names kept outside are counted, and given back. */
	taken = domains_memory(domains);
	memset(name, 'x', sizeof name);
	domains_note_deferred(domains, name, 200, START, 1);
	assert_int_equal(domains_memory(domains), taken + 200);
	for (size_t i = 0; i < DOMAINS_MAX; i++)
		defer(domains, once(i), START, 1);
	assert_int_equal(domains_memory(domains), taken);
	domains_configure(domains, NULL, 0);
	assert_true(domains_memory(domains) < empty);
	domains_free(domains);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_without_windows),
		cmocka_unit_test(three_in_ten_seconds),
		cmocka_unit_test(precision),
		cmocka_unit_test(latest_evidence_wins),
		cmocka_unit_test(events_from_the_past),
		cmocka_unit_test(clock_set_back),
		cmocka_unit_test(counters_stand_still_at_their_end),
		cmocka_unit_test(names),
		cmocka_unit_test(hashes),
		cmocka_unit_test(same_hash),
		cmocka_unit_test(another_policy),
		cmocka_unit_test(random_events),
		cmocka_unit_test(busy_domain_stays),
		cmocka_unit_test(who_stays),
		cmocka_unit_test(reached_regulars_stay),
		cmocka_unit_test(memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
