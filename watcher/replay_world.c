/* replay_world.c - the two places of each message while time passes: what the new policy says, who
 * is asked again, and the numbers of each hour. */
#include "replay_parts.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

#define HOUR 3600

/* ---- numbers by hour ---- */

uint64_t *replay_slot(struct replay_series *series, size_t hour)
{
	if (hour >= series->room) {
		size_t room = series->room ? series->room : 32;

		while (room <= hour)
			room *= 2;
		series->hours = xreallocarray(series->hours, room, sizeof *series->hours);
		memset(series->hours + series->room, 0,
		       (room - series->room) * sizeof *series->hours);
		series->room = room;
	}
	if (hour >= series->n_hours)
		series->n_hours = hour + 1;
	return &series->hours[hour];
}

static size_t hour_of(const struct replay *replay)
{
	return (size_t)((replay->now - replay->result.start) / HOUR);
}

void replay_count(struct replay *replay, struct replay_series *series)
{
	series->value++;
	++*replay_slot(series, hour_of(replay));
}

/* ---- the two worlds ---- */

void replay_stand_recorded(struct replay *replay, struct life *life, uint16_t tier)
{
	if (life->recorded != LIFE_GONE)
		replay->result.tiers[life->recorded].recorded.value--;
	life->recorded = tier;
	if (tier != LIFE_GONE)
		replay->result.tiers[tier].recorded.value++;
}

void replay_stand_simulated(struct replay *replay, struct life *life, uint16_t tier)
{
	if (life->simulated < LIFE_OUTSIDE)
		replay->result.tiers[life->simulated].simulated.value =
			--replay->standing[life->simulated];
	life->simulated = tier;
	if (tier < LIFE_OUTSIDE)
		replay->result.tiers[tier].simulated.value = ++replay->standing[tier];
	replay->levels = true;
}

/* Out of both. */
void replay_end_life(struct replay *replay, struct life *life)
{
	replay_stand_recorded(replay, life, LIFE_GONE);
	replay_stand_simulated(replay, life, LIFE_GONE);
	lives_remove(&replay->lives, life);
}

/* ---- what the new policy says ---- */

struct judged {
	struct replay_facts facts;
	struct policy_text text;
	struct policy_slice domains[EVENT_MAX_DOMAINS];
};

static void gather(struct replay *replay, const struct life *life, struct judged *ret)
{
	ret->facts = (struct replay_facts){
		.message = {.tier = life->simulated,
			    .attempts = life->attempts,
			    .created = life->created,
			    .last_attempt = life->last_attempt,
			    .size = life->size,
			    .has_size = life->size > 0,
			    .tier_messages = replay->standing[life->simulated],
			    .marks = life->marks,
			    .history = &replay->history},
		.knows_last_attempt = life->knows_last_attempt || !life->attempts,
	};
	ret->text = (struct policy_text){.recipients = ret->domains, .domains = ret->domains};
	for (const char *d = life->domains; d && *d && ret->text.n_recipients < EVENT_MAX_DOMAINS;
	     d += strlen(d) + 1)
		ret->domains[ret->text.n_recipients++] = (struct policy_slice){d, strlen(d)};
	if (life->knows_domains)
		ret->facts.message.text = &ret->text;
}

/* Has this been told of it? From now on it has. */
static bool was_told(struct life *life, size_t bit)
{
	bool told = life->told[bit / 8] >> bit % 8 & 1;

	life->told[bit / 8] |= (uint8_t)(1u << bit % 8);
	return told;
}

/* The rule that decides, or NULL; *ret_again is when to ask again. */
static const struct policy_rule *choose(struct replay *replay, struct life *life,
					int64_t *ret_again)
{
	const struct policy *policy = replay->policy;
	struct judged judged;

	gather(replay, life, &judged);
	*ret_again = POLICY_NEVER;
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		enum policy_truth holds;
		int64_t next;

		if (!(rule->tiers >> life->simulated & 1) || (rule->mark & life->marks))
			continue;
		holds = replay_judge(rule, &judged.facts, replay->now, &next);
		if (next < *ret_again)
			*ret_again = next;
		if (holds == POLICY_UNKNOWN && !was_told(life, i))
			replay->result.rules[i].unknown++;
		if (holds != POLICY_YES)
			continue;
		if (rule->decides)
			return rule;
		life->marks |= rule->mark;
		replay_count(replay, &replay->result.rules[i].simulated);
	}
	return NULL;
}

/* Lets the new policy act on it. May end its life. */
void replay_decide(struct replay *replay, struct life *life)
{
	const struct policy *policy = replay->policy;
	int64_t again = POLICY_NEVER;

	while (life->simulated < LIFE_OUTSIDE) {
		const struct policy_rule *rule = choose(replay, life, &again);
		size_t i = rule ? (size_t)(rule - policy->rules) : 0;

		if (!rule || rule->action == POLICY_STAY)
			break;
		if (rule->action != POLICY_MOVE) {
			replay_count(replay, &replay->result.rules[i].simulated);
			life->removed = (uint16_t)i;
			replay_stand_simulated(replay, life, LIFE_GONE);
			again = POLICY_NEVER;
			break;
		}
		if (life->visited >> rule->target & 1) {
			if (!was_told(life, policy->n_rules + i))
				replay->result.rules[i].circles++;
			break;
		}
		replay_count(replay, &replay->result.rules[i].simulated);
		life->visited |= UINT64_C(1) << rule->target;
		replay_stand_simulated(replay, life, (uint16_t)rule->target);
	}
	if (life->simulated == LIFE_GONE && life->recorded == LIFE_GONE)
		lives_remove(&replay->lives, life);
	else
		lives_schedule(&replay->lives, life, again);
}

/* ---- who is asked again ---- */

static bool has_domain(const struct life *life, const char *domain)
{
	for (const char *d = life->domains; d && *d; d += strlen(d) + 1)
		if (strcmp(d, domain) == 0)
			return true;
	return false;
}

static void recall_domain(void *context, struct life *life)
{
	struct replay *replay = context;

	if (life->simulated >= LIFE_OUTSIDE || !has_domain(life, replay->called))
		return;
	/* As in the engine: what has happened to its domain may send it back. */
	life->visited = UINT64_C(1) << life->simulated;
	replay_decide(replay, life);
}

static void recall_tier(void *context, struct life *life)
{
	struct replay *replay = context;

	/* LIFE_GONE and LIFE_OUTSIDE are larger. */
	if (life->simulated < POLICY_MAX_TIERS && (replay->called_tiers >> life->simulated & 1))
		replay_decide(replay, life);
}

/* A domain has crossed a window: its messages are asked again. It is a copy, because the life that
 * it was taken from may end. */
void replay_crossed(struct replay *replay, const char *domain, uint64_t windows)
{
	char *copy;

	if (!windows)
		return;
	copy = xstrdup(domain);
	replay->called = copy;
	lives_each(&replay->lives, recall_domain, replay);
	replay->called = NULL;
	free(copy);
}

/* At most once a second, as the engine does. */
void replay_look_at_levels(struct replay *replay)
{
	const struct policy *policy = replay->policy;
	uint64_t passed = 0;

	if (!policy->n_levels || !replay->levels || replay->now < replay->levels_at)
		return;
	replay->levels = false;
	replay->levels_at = replay->now + 1;
	for (size_t i = 0; i < policy->n_levels; i++) {
		const struct policy_level *level = &policy->levels[i];
		uint64_t reached = 0;

		for (size_t tier = 0; tier < policy->n_tiers; tier++)
			if ((level->tiers >> tier & 1) &&
			    replay->standing[tier] >= (uint64_t)level->messages)
				reached |= UINT64_C(1) << tier;
		passed |= reached ^ replay->reached[i];
		replay->reached[i] = reached;
	}
	replay->called_tiers = passed;
	if (passed)
		lives_each(&replay->lives, recall_tier, replay);
}

/* ---- time ---- */

void replay_end_hour(struct replay *replay)
{
	struct replay_result *result = &replay->result;

	for (size_t i = 0; i < result->n_tiers; i++) {
		*replay_slot(&result->tiers[i].recorded, result->n_hours) =
			result->tiers[i].recorded.value;
		*replay_slot(&result->tiers[i].simulated, result->n_hours) =
			result->tiers[i].simulated.value;
	}
	result->n_hours++;
}

/* All that is due by itself before that second or in it. */
void replay_pass_time(struct replay *replay, int64_t to)
{
	struct replay_result *result = &replay->result;

	for (;;) {
		int64_t hour_ends = result->start + ((int64_t)result->n_hours + 1) * HOUR;
		struct life *first = lives_first(&replay->lives);

		if (first && first->again <= to && first->again < hour_ends) {
			if (first->again > replay->now)
				replay->now = first->again;
			lives_schedule(&replay->lives, first, POLICY_NEVER);
			replay_decide(replay, first);
		} else if (hour_ends <= to) {
			replay_end_hour(replay);
			replay->now = hour_ends;
		} else {
			break;
		}
		replay_look_at_levels(replay);
	}
	if (to > replay->now)
		replay->now = to;
	replay_look_at_levels(replay);
}
