/* forecast.c - see forecast.h */
#include "qfwatch/forecast.h"

#include <stdlib.h>

#include "qfwatch/xalloc.h"

#define HOUR 3600

/* A message changes its mind at each threshold of a rule once. This is far beyond, and holds even
 * if a rule should say otherwise. */
#define MAX_STEPS 10000

struct forecast *forecast_new(const struct policy *policy, int64_t now, unsigned hours,
			      const uint64_t *tier_messages)
{
	struct forecast *forecast = xcalloc(1, sizeof *forecast);

	*forecast = (struct forecast){
		.policy = policy, .now = now, .hours = hours, .tier_messages = tier_messages};
	forecast->tiers = xcalloc(policy->n_tiers, sizeof *forecast->tiers);
	for (size_t i = 0; i < policy->n_tiers; i++) {
		forecast->tiers[i].stand = xcalloc(hours + 1, sizeof *forecast->tiers[i].stand);
		forecast->tiers[i].change = xcalloc(hours + 1, sizeof *forecast->tiers[i].change);
	}
	forecast->rules = xcalloc(policy->n_rules + 1, sizeof *forecast->rules);
	for (size_t i = 0; i < policy->n_rules; i++)
		forecast->rules[i].due = xcalloc(hours + 1, sizeof *forecast->rules[i].due);
	return forecast;
}

void forecast_free(struct forecast *forecast)
{
	if (!forecast)
		return;
	for (size_t i = 0; i < forecast->policy->n_tiers; i++) {
		free(forecast->tiers[i].stand);
		free(forecast->tiers[i].change);
	}
	for (size_t i = 0; i < forecast->policy->n_rules; i++)
		free(forecast->rules[i].due);
	free(forecast->tiers);
	free(forecast->rules);
	free(forecast);
}

/* ---- one message ---- */

/* Nothing has been heard of any domain. */
static bool nothing_holds(const void *context, struct policy_slice domain, unsigned window,
			  int64_t at, uint64_t *ret_count, int64_t *ret_until)
{
	(void)context;
	(void)domain;
	(void)window;
	(void)at;
	*ret_count = 0;
	*ret_until = POLICY_NEVER;
	return false;
}

static const struct policy_history no_history = {nothing_holds, NULL};

/* A message on its way. */
struct course {
	struct forecast *forecast;
	struct policy_message message;
	struct forecast_obstacles obstacles;
	uint64_t visited;
	unsigned hour;				 /* that `time` falls in; 0: now */
	const struct policy_rule *kept, *halted; /* told already */
	bool unknown;
	bool gone;
};

static struct forecast_rule *count_of(const struct course *course, const struct policy_rule *rule)
{
	return &course->forecast->rules[rule - course->forecast->policy->rules];
}

static void count_due(const struct course *course, const struct policy_rule *rule)
{
	struct forecast_rule *count = count_of(course, rule);

	count->due[course->hour]++;
	count->total++;
}

/* Asks the policy; if it needs to know what has happened to domains, a second time as if nothing
 * had. */
static void ask(struct course *course, int64_t time, struct policy_decision *ret)
{
	const struct policy *policy = course->forecast->policy;

	course->message.history = course->unknown ? &no_history : NULL;
	policy_decide(policy, &course->message, time, ret);
	if (!ret->unknown || course->unknown)
		return;
	course->unknown = true;
	course->forecast->unknown++;
	count_of(course, ret->rule)->unknown++;
	course->message.history = &no_history;
	policy_decide(policy, &course->message, time, ret);
}

static void tell_marks(struct course *course, uint64_t marks)
{
	const struct policy *policy = course->forecast->policy;

	course->message.marks |= marks;
	for (size_t i = 0; marks && i < policy->n_rules; i++)
		if (policy->rules[i].mark & marks)
			count_due(course, &policy->rules[i]);
}

/* May the rule's action be done at all? If not, the message waits until another one decides. */
static bool is_halted(struct course *course, const struct policy_decision *decision)
{
	struct forecast_rule *count = count_of(course, decision->rule);
	uint64_t *why = NULL;

	if (decision->action == POLICY_MOVE && course->visited >> decision->target & 1)
		why = &count->circles;
	else if (course->obstacles.elsewhere)
		why = &count->elsewhere;
	else if (course->obstacles.held && decision->action == POLICY_BOUNCE)
		why = &count->held;
	if (!why)
		return false;
	if (course->halted != decision->rule)
		++*why;
	course->halted = decision->rule;
	return true;
}

/* Does what is decided. Returns true when the message is to be asked again in the same second. */
static bool act(struct course *course, const struct policy_decision *decision)
{
	struct forecast_tier *tiers = course->forecast->tiers;

	if (decision->action == POLICY_STAY) {
		if (decision->rule && !decision->unknown && course->kept != decision->rule)
			count_due(course, decision->rule);
		course->kept = decision->unknown ? NULL : decision->rule;
		return false;
	}
	course->kept = NULL;
	if (is_halted(course, decision))
		return false;
	count_due(course, decision->rule);
	tiers[course->message.tier].change[course->hour]--;
	if (decision->action != POLICY_MOVE) {
		course->gone = true;
		return false;
	}
	tiers[decision->target].change[course->hour]++;
	course->visited |= UINT64_C(1) << decision->target;
	course->message.tier = decision->target;
	course->message.tier_messages = course->forecast->tier_messages[decision->target] + 1;
	return true;
}

void forecast_add(struct forecast *forecast, const struct policy_message *message,
		  struct forecast_obstacles obstacles)
{
	struct course course = {.forecast = forecast,
				.message = *message,
				.obstacles = obstacles,
				.visited = UINT64_C(1) << message->tier};
	int64_t time = forecast->now;
	int64_t end = forecast->now + (int64_t)forecast->hours * HOUR;

	forecast->tiers[message->tier].before++;
	for (int i = 0; i < MAX_STEPS && time <= end && !course.gone; i++) {
		struct policy_decision decision;

		course.hour = (unsigned)((time - forecast->now + HOUR - 1) / HOUR);
		ask(&course, time, &decision);
		tell_marks(&course, decision.marks);
		if (act(&course, &decision))
			continue;
		time = decision.again;
	}
}

/* ---- all of them ---- */

void forecast_merge(struct forecast *forecast, const struct forecast *other)
{
	for (size_t i = 0; i < forecast->policy->n_tiers; i++) {
		struct forecast_tier *to = &forecast->tiers[i];

		to->before += other->tiers[i].before;
		for (unsigned h = 0; h <= forecast->hours; h++)
			to->change[h] += other->tiers[i].change[h];
	}
	for (size_t i = 0; i < forecast->policy->n_rules; i++) {
		struct forecast_rule *to = &forecast->rules[i], *from = &other->rules[i];

		for (unsigned h = 0; h <= forecast->hours; h++)
			to->due[h] += from->due[h];
		to->total += from->total;
		to->circles += from->circles;
		to->elsewhere += from->elsewhere;
		to->held += from->held;
		to->unknown += from->unknown;
	}
	forecast->unknown += other->unknown;
}

void forecast_end(struct forecast *forecast)
{
	for (size_t i = 0; i < forecast->policy->n_tiers; i++) {
		struct forecast_tier *tier = &forecast->tiers[i];
		uint64_t stand = tier->before;

		for (unsigned h = 0; h <= forecast->hours; h++)
			tier->stand[h] = stand += (uint64_t)tier->change[h];
	}
}

void forecast_limit(const struct forecast *forecast, enum policy_action action, uint32_t limit,
		    int64_t period, struct forecast_line *ret)
{
	uint64_t hourly = (uint64_t)limit * HOUR / (uint64_t)period, waiting = 0;

	*ret = (struct forecast_line){0};
	for (unsigned h = 0; h <= forecast->hours; h++) {
		for (size_t i = 0; i < forecast->policy->n_rules; i++)
			if (forecast->policy->rules[i].decides &&
			    forecast->policy->rules[i].action == action)
				waiting += forecast->rules[i].due[h];
		if (h == 0) {
			ret->now = waiting;
			ret->seconds = (int64_t)((waiting * (uint64_t)period + limit - 1) / limit);
			continue;
		}
		waiting = waiting > hourly ? waiting - hourly : 0;
		if (waiting > ret->longest)
			ret->longest = waiting;
	}
	ret->left = waiting;
}

/* ---- what a forecast needs to know ---- */

/* Those tiers, and all from which moves lead there. */
static uint64_t with_ways_in(const struct policy *policy, uint64_t tiers)
{
	uint64_t before;

	do {
		before = tiers;
		for (size_t i = 0; i < policy->n_rules; i++)
			if (policy->rules[i].decides && policy->rules[i].action == POLICY_MOVE &&
			    (tiers >> policy->rules[i].target & 1))
				tiers |= policy->rules[i].tiers;
	} while (tiers != before);
	return tiers;
}

static bool asks_size(const struct policy_condition *conditions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (conditions[i].kind == POLICY_SIZE ||
		    asks_size(conditions[i].children, conditions[i].n_children))
			return true;
	return false;
}

uint64_t forecast_text_tiers(const struct policy *policy)
{
	return with_ways_in(policy, policy->text_tiers);
}

uint64_t forecast_size_tiers(const struct policy *policy)
{
	uint64_t tiers = 0;

	for (size_t i = 0; i < policy->n_rules; i++)
		if (asks_size(policy->rules[i].conditions, policy->rules[i].n_conditions))
			tiers |= policy->rules[i].tiers;
	return with_ways_in(policy, tiers);
}
