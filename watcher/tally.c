/* tally.c - see tally.h
 *
 * The minutes of all counters are rings with one common head. Tiers and rules are arrays in the
 * order of the policy; flows are made when they first happen, and found by a square of numbers.
 */
#include "qfwatch/tally.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/xalloc.h"

#define MINUTE (60 * CLOCK_SECOND)

#define MICROSECONDS(n) (INT64_C(n) * 1000)
#define MILLISECONDS(n) (INT64_C(n) * 1000 * 1000)
#define SECONDS(n)	(INT64_C(n) * 1000 * 1000 * 1000)

struct counter {
	uint64_t total;
	uint32_t minutes[TALLY_MINUTES];
};

struct tier {
	char *name;
	struct counter kinds[TALLY_KINDS];
};

struct rule {
	char *name;
	uint64_t outcomes[TALLY_OUTCOMES];
};

struct flow {
	unsigned from, to;
	struct counter moved;
};

struct tally {
	int64_t minute; /* under way, since the epoch; -1: none yet */
	unsigned head;	/* its place in the rings */
	struct counter all[TALLY_KINDS];
	struct tier *tiers;
	size_t n_tiers;
	struct rule *rules;
	size_t n_rules;
	struct flow *flows;
	size_t n_flows;
	uint16_t *flow_of; /* n_tiers * n_tiers: 1 + number of the flow; 0: none */
	struct tally_times times[TALLY_TIMERS];
	uint64_t rounds[TALLY_ROUNDS];
};

struct tally *tally_new(void)
{
	struct tally *tally = xcalloc(1, sizeof *tally);

	tally->minute = -1;
	return tally;
}

static void free_names(struct tier *tiers, size_t n_tiers, struct rule *rules, size_t n_rules)
{
	for (size_t i = 0; i < n_tiers; i++)
		free(tiers[i].name);
	for (size_t i = 0; i < n_rules; i++)
		free(rules[i].name);
	free(tiers);
	free(rules);
}

void tally_free(struct tally *tally)
{
	if (!tally)
		return;
	free_names(tally->tiers, tally->n_tiers, tally->rules, tally->n_rules);
	free(tally->flows);
	free(tally->flow_of);
	free(tally);
}

size_t tally_memory(const struct tally *tally)
{
	return sizeof *tally + tally->n_tiers * sizeof *tally->tiers +
	       tally->n_rules * sizeof *tally->rules + tally->n_flows * sizeof *tally->flows +
	       tally->n_tiers * tally->n_tiers * sizeof *tally->flow_of;
}

/* ---- another policy ---- */

static int compare_rules(const void *a, const void *b)
{
	return strcmp(((const struct rule *)a)->name, ((const struct rule *)b)->name);
}

/* There may be thousands of rules: they are found by halves. Sorts the old ones. */
static struct rule *take_rules(struct tally *tally, const struct policy *policy)
{
	struct rule *rules = xcalloc(policy->n_rules + 1, sizeof *rules);

	if (tally->n_rules)
		qsort(tally->rules, tally->n_rules, sizeof *tally->rules, compare_rules);
	for (size_t i = 0; i < policy->n_rules; i++) {
		struct rule key = {.name = policy->rules[i].name};
		const struct rule *old = tally->n_rules
						 ? bsearch(&key, tally->rules, tally->n_rules,
							   sizeof *tally->rules, compare_rules)
						 : NULL;

		if (old)
			rules[i] = *old;
		rules[i].name = xstrdup(policy->rules[i].name);
	}
	return rules;
}

static unsigned find_tier(const struct policy *policy, const char *name)
{
	for (unsigned i = 0; i < policy->n_tiers; i++)
		if (strcmp(policy->tiers[i].name, name) == 0)
			return i;
	return TALLY_NO_TIER;
}

static void put_flow(struct tally *tally, unsigned from, unsigned to, const struct counter *moved)
{
	struct flow *flow;

	tally->flows = xreallocarray(tally->flows, tally->n_flows + 1, sizeof *tally->flows);
	flow = &tally->flows[tally->n_flows++];
	flow->from = from;
	flow->to = to;
	if (moved)
		flow->moved = *moved;
	else
		memset(&flow->moved, 0, sizeof flow->moved);
	tally->flow_of[from * tally->n_tiers + to] = (uint16_t)tally->n_flows;
}

void tally_configure(struct tally *tally, const struct policy *policy)
{
	struct tier *old_tiers = tally->tiers;
	struct rule *rules = take_rules(tally, policy), *old_rules = tally->rules;
	struct flow *old_flows = tally->flows;
	size_t n_old_tiers = tally->n_tiers, n_old_rules = tally->n_rules,
	       n_old_flows = tally->n_flows;

	tally->tiers = xcalloc(policy->n_tiers + 1, sizeof *tally->tiers);
	tally->n_tiers = policy->n_tiers;
	tally->rules = rules;
	tally->n_rules = policy->n_rules;
	free(tally->flow_of);
	tally->flow_of = xcalloc(policy->n_tiers * policy->n_tiers + 1, sizeof *tally->flow_of);
	tally->flows = NULL;
	tally->n_flows = 0;
	for (size_t i = 0; i < policy->n_tiers; i++)
		tally->tiers[i].name = xstrdup(policy->tiers[i].name);
	for (size_t i = 0; i < n_old_tiers; i++) {
		unsigned now = find_tier(policy, old_tiers[i].name);

		if (now != TALLY_NO_TIER)
			memcpy(tally->tiers[now].kinds, old_tiers[i].kinds,
			       sizeof tally->tiers[now].kinds);
	}
	for (size_t i = 0; i < n_old_flows; i++) {
		unsigned from = find_tier(policy, old_tiers[old_flows[i].from].name);
		unsigned to = find_tier(policy, old_tiers[old_flows[i].to].name);

		if (from != TALLY_NO_TIER && to != TALLY_NO_TIER)
			put_flow(tally, from, to, &old_flows[i].moved);
	}
	free_names(old_tiers, n_old_tiers, old_rules, n_old_rules);
	free(old_flows);
}

/* ---- time ---- */

static void clear_counter(struct tally *tally, struct counter *counter)
{
	counter->minutes[tally->head] = 0;
}

static void next_minute(struct tally *tally)
{
	tally->head = (tally->head + 1) % TALLY_MINUTES;
	for (unsigned kind = 0; kind < TALLY_KINDS; kind++) {
		clear_counter(tally, &tally->all[kind]);
		for (size_t i = 0; i < tally->n_tiers; i++)
			clear_counter(tally, &tally->tiers[i].kinds[kind]);
	}
	for (size_t i = 0; i < tally->n_flows; i++)
		clear_counter(tally, &tally->flows[i].moved);
}

static int64_t minute_of(int64_t now)
{
	return now > 0 ? now / MINUTE : 0;
}

void tally_advance(struct tally *tally, int64_t now)
{
	int64_t minute = minute_of(now), passed = minute - tally->minute;

	if (passed == 0)
		return;
	if (tally->minute >= 0)
		for (int64_t i = 0; i < passed && i < TALLY_MINUTES; i++)
			next_minute(tally);
	tally->minute = minute;
}

void tally_set_clock(struct tally *tally, int64_t now)
{
	tally->minute = minute_of(now);
}

/* ---- counting ---- */

static void count(const struct tally *tally, struct counter *counter)
{
	counter->total++;
	counter->minutes[tally->head]++;
}

void tally_note(struct tally *tally, unsigned tier, enum tally_kind kind)
{
	count(tally, &tally->all[kind]);
	if (tier < tally->n_tiers)
		count(tally, &tally->tiers[tier].kinds[kind]);
}

void tally_note_move(struct tally *tally, unsigned from, unsigned to)
{
	uint16_t *number;

	tally_note(tally, from, TALLY_MOVED_OUT);
	tally_note(tally, to, TALLY_MOVED_IN);
	if (from >= tally->n_tiers || to >= tally->n_tiers)
		return;
	number = &tally->flow_of[from * tally->n_tiers + to];
	if (!*number)
		put_flow(tally, from, to, NULL);
	count(tally, &tally->flows[*number - 1].moved);
}

void tally_note_rule(struct tally *tally, size_t rule, enum tally_outcome outcome)
{
	if (rule < tally->n_rules)
		tally->rules[rule].outcomes[outcome]++;
}

void tally_note_round(struct tally *tally, unsigned reason)
{
	if (reason < TALLY_ROUNDS)
		tally->rounds[reason]++;
}

uint64_t tally_rounds(const struct tally *tally, unsigned reason)
{
	return reason < TALLY_ROUNDS ? tally->rounds[reason] : 0;
}

/* ---- how long things took ---- */

static const int64_t reaction_bounds[] = {MICROSECONDS(20),  MICROSECONDS(50),	MICROSECONDS(100),
					  MICROSECONDS(200), MICROSECONDS(500), MILLISECONDS(1),
					  MILLISECONDS(2),   MILLISECONDS(5),	MILLISECONDS(10),
					  MILLISECONDS(50),  MILLISECONDS(200), SECONDS(1),
					  SECONDS(10)};

/* Up to copies of large messages to another file system. */
static const int64_t move_bounds[] = {MICROSECONDS(20),	 MICROSECONDS(50),  MICROSECONDS(100),
				      MICROSECONDS(200), MICROSECONDS(500), MILLISECONDS(1),
				      MILLISECONDS(2),	 MILLISECONDS(5),   MILLISECONDS(10),
				      MILLISECONDS(50),	 MILLISECONDS(200), SECONDS(1),
				      SECONDS(10),	 SECONDS(60)};

static const int64_t scan_bounds[] = {MILLISECONDS(1),	 MILLISECONDS(10), MILLISECONDS(100),
				      MILLISECONDS(500), SECONDS(1),	   SECONDS(2),
				      SECONDS(5),	 SECONDS(10),	   SECONDS(30),
				      SECONDS(60),	 SECONDS(300)};

_Static_assert(sizeof move_bounds / sizeof *move_bounds < TALLY_BUCKETS, "room for what is longer");

const int64_t *tally_bounds(enum tally_timer timer, size_t *ret_count)
{
	switch (timer) {
	case TALLY_MOVE:
		*ret_count = sizeof move_bounds / sizeof *move_bounds;
		return move_bounds;
	case TALLY_SCAN:
		*ret_count = sizeof scan_bounds / sizeof *scan_bounds;
		return scan_bounds;
	default:
		*ret_count = sizeof reaction_bounds / sizeof *reaction_bounds;
		return reaction_bounds;
	}
}

void tally_note_time(struct tally *tally, enum tally_timer timer, int64_t nanoseconds)
{
	struct tally_times *times = &tally->times[timer];
	size_t n, i = 0;
	const int64_t *bounds = tally_bounds(timer, &n);

	if (nanoseconds < 0)
		nanoseconds = 0;
	while (i < n && nanoseconds > bounds[i])
		i++;
	times->counts[i]++;
	times->count++;
	times->sum += (uint64_t)nanoseconds;
}

const struct tally_times *tally_times(const struct tally *tally, enum tally_timer timer)
{
	return &tally->times[timer];
}

/* ---- reading ---- */

static struct tally_sums sums(const struct tally *tally, const struct counter *counter)
{
	struct tally_sums sums = {.total = counter->total};

	for (unsigned i = 0; i < TALLY_MINUTES; i++)
		sums.hour += counter->minutes[i];
	sums.minute = counter->minutes[(tally->head + TALLY_MINUTES - 1) % TALLY_MINUTES];
	return sums;
}

struct tally_sums tally_of_tier(const struct tally *tally, unsigned tier, enum tally_kind kind)
{
	return tier < tally->n_tiers ? sums(tally, &tally->tiers[tier].kinds[kind])
				     : (struct tally_sums){0};
}

struct tally_sums tally_of_all(const struct tally *tally, enum tally_kind kind)
{
	return sums(tally, &tally->all[kind]);
}

int64_t tally_history(const struct tally *tally, enum tally_kind kind, uint32_t ret[TALLY_MINUTES])
{
	for (unsigned i = 0; i < TALLY_MINUTES; i++)
		ret[i] = tally->all[kind].minutes[(tally->head + 1 + i) % TALLY_MINUTES];
	return (tally->minute - (TALLY_MINUTES - 1)) * 60;
}

bool tally_flow(const struct tally *tally, size_t number, struct tally_flow *ret)
{
	const struct flow *flow;

	if (number >= tally->n_flows)
		return false;
	flow = &tally->flows[number];
	*ret = (struct tally_flow){flow->from, flow->to, sums(tally, &flow->moved)};
	return true;
}

uint64_t tally_of_rule(const struct tally *tally, size_t rule, enum tally_outcome outcome)
{
	return rule < tally->n_rules ? tally->rules[rule].outcomes[outcome] : 0;
}
