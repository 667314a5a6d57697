/* cases.c - see cases.h */
#include "cases.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pattern.h"

/* One comparison that holds, or does not; or, if that is not certain, perhaps neither, because a
 * regular expression was given up. Cases share the beginnings of their lists. */
struct cases_text {
	const struct policy_condition *condition;
	bool holds, certain;
	const struct cases_text *before;
};

/* ---- lists ---- */

void cases_free(struct cases *cases)
{
	free(cases->list);
	*cases = (struct cases){0};
}

static void give_up(struct cases *cases)
{
	cases_free(cases);
	cases->unknown = true;
}

void cases_end(struct cases_maker *maker)
{
	pool_free(&maker->pool);
}

static void enter(struct cases_maker *maker, struct cases *cases, const struct cases_case *one)
{
	if (cases->unknown)
		return;
	if (cases->count == CASES_MAX) {
		give_up(cases);
		return;
	}
	if (cases->count == cases->room) {
		size_t room = cases->room ? 2 * cases->room : 4;
		struct cases_case *list = memory_resize(cases->list, room * sizeof(*list));

		if (!list) {
			maker->no_memory = true;
			give_up(cases);
			return;
		}
		cases->list = list;
		cases->room = room;
	}
	cases->list[cases->count++] = *one;
}

void cases_copy(struct cases_maker *maker, const struct cases *from, struct cases *ret)
{
	*ret = (struct cases){.unknown = from->unknown};
	for (size_t i = 0; i < from->count; i++)
		enter(maker, ret, &from->list[i]);
}

bool cases_none(const struct cases_maker *maker, const struct cases *cases)
{
	return !maker->no_memory && !cases->unknown && cases->count == 0;
}

int64_t cases_lowest(const struct cases *cases, enum cases_number number)
{
	int64_t lowest = cases->count ? INT64_MAX : INT64_MIN;

	for (size_t i = 0; i < cases->count; i++) {
		int64_t low = cases->list[i].numbers[number].low;

		lowest = low < lowest ? low : lowest;
	}
	return lowest;
}

static const struct cases_range whole[CASES_NUMBERS] = {
	[CASES_ATTEMPTS] = {0, INT64_C(1) << 32},
	[CASES_AGE] = {INT64_MIN, INT64_MAX},
	[CASES_SINCE_ATTEMPT] = {INT64_MIN, INT64_MAX},
	[CASES_SIZE] = {0, INT64_MAX},
	[CASES_RECIPIENTS] = {0, INT64_MAX},
	[CASES_TIER_MESSAGES] = {0, INT64_MAX},
};

void cases_forget(struct cases *cases, enum cases_number number)
{
	for (size_t i = 0; i < cases->count; i++)
		cases->list[i].numbers[number] = whole[number];
}

void cases_all(struct cases_maker *maker, struct cases *ret)
{
	struct cases_case all = {0};

	memcpy(all.numbers, whole, sizeof(whole));
	*ret = (struct cases){0};
	maker->clash = NULL;
	maker->clashed = false;
	enter(maker, ret, &all);
}

/* ---- what fits into a case; false: nothing is left of it ---- */

static bool clash(struct cases_maker *maker, const char *name)
{
	if (maker->clashed && maker->clash && strcmp(maker->clash, name) != 0)
		maker->clash = NULL;
	else if (!maker->clashed)
		maker->clash = name;
	maker->clashed = true;
	return false;
}

static bool narrow(struct cases_maker *maker, struct cases_case *one, enum cases_number number,
		   int64_t low, int64_t high)
{
	static const char *const names[CASES_NUMBERS] = {"attempts", "age",	   "since_attempt",
							 "size",     "recipients", "tier_messages"};
	struct cases_range *range = &one->numbers[number];

	range->low = low > range->low ? low : range->low;
	range->high = high < range->high ? high : range->high;
	return range->low < range->high || clash(maker, names[number]);
}

static bool settle(struct cases_maker *maker, struct cases_case *one, enum cases_fact fact,
		   bool yes)
{
	static const char *const names[CASES_FACTS] = {"since_attempt", "size", "sender",
						       "quarantined"};
	enum cases_answer answer = yes ? CASES_YES : CASES_NO;

	if (one->facts[fact] != CASES_EITHER && one->facts[fact] != answer)
		return clash(maker, names[fact]);
	one->facts[fact] = answer;
	return true;
}

/* ---- texts ---- */

static bool has_regex(const struct pattern_set *set)
{
	for (size_t i = 0; i < pattern_count(set); i++) {
		bool regex;

		pattern_text(set, i, &regex);
		if (regex)
			return true;
	}
	return false;
}

/* The only text (in any case of its letters) that pattern i matches, or NULL. */
static const char *only_text(const struct pattern_set *set, size_t i)
{
	bool regex;
	const char *text = pattern_text(set, i, &regex);

	return regex || strpbrk(text, "*?[\\") ? NULL : text;
}

static bool matches(const struct pattern_set *set, const char *text)
{
	return pattern_match(set, text, strlen(text), NULL) == PATTERN_YES;
}

static bool holds_pattern(const struct pattern_set *set, const char *text, bool regex)
{
	for (size_t i = 0; i < pattern_count(set); i++) {
		bool other_regex;
		const char *other = pattern_text(set, i, &other_regex);

		if (regex == other_regex && strcmp(text, other) == 0)
			return true;
	}
	return false;
}

/* Does every text that matches `inner` certainly match `outer`? A regular expression may regard
 * case, where a glob does not: it is only compared as it is written. */
static bool is_within(const struct pattern_set *inner, const struct pattern_set *outer)
{
	if (inner == outer || pattern_matches_all(outer))
		return true;
	for (size_t i = 0; i < pattern_count(inner); i++) {
		const char *only = only_text(inner, i);
		bool regex;
		const char *text = pattern_text(inner, i, &regex);

		if (!holds_pattern(outer, text, regex) &&
		    !(only && !has_regex(outer) && matches(outer, only)))
			return false;
	}
	return true;
}

static bool none_within(const struct pattern_set *inner, const struct pattern_set *outer)
{
	if (has_regex(outer))
		return false;
	for (size_t i = 0; i < pattern_count(inner); i++) {
		const char *only = only_text(inner, i);

		if (!only || matches(outer, only))
			return false;
	}
	return true;
}

/* Is there certainly no text that matches both? */
static bool are_disjoint(const struct pattern_set *a, const struct pattern_set *b)
{
	return none_within(a, b) || none_within(b, a);
}

static bool is_of_recipients(const struct policy_condition *condition)
{
	return condition->kind == POLICY_RECIPIENT || condition->kind == POLICY_RECIPIENT_DOMAIN;
}

static bool is_of_domain(const struct policy_condition *condition)
{
	return condition->kind == POLICY_DOMAIN_DEFERRED ||
	       condition->kind == POLICY_DOMAIN_DELIVERED;
}

/* So many failures (deliveries) in a time are also fewer in the same time. A longer time says less
 * than it seems: its window may have been opened later. */
static bool window_implies(const struct policy *policy, const struct policy_condition *a,
			   const struct policy_condition *b)
{
	const struct policy_window *more = &policy->windows[a->window];
	const struct policy_window *less = &policy->windows[b->window];

	return a->window == b->window ||
	       (more->tiers == less->tiers && more->within == less->within &&
		more->at_least >= less->at_least);
}

/* Wherever a holds, does b certainly hold? Both are of texts or domains. */
static bool implies(const struct policy *policy, const struct policy_condition *a,
		    const struct policy_condition *b)
{
	if (a->kind != b->kind)
		return false;
	if (is_of_domain(a))
		return window_implies(policy, a, b);
	if (a->kind == POLICY_HEADER && strcasecmp(a->header, b->header) != 0)
		return false;
	/* One recipient that matches says nothing of the others. */
	if (is_of_recipients(a) && b->every && !a->every)
		return false;
	return is_within(a->pattern, b->pattern);
}

/* Can the two certainly not hold together? */
static bool exclude(const struct policy_condition *a, const struct policy_condition *b)
{
	/* The latest evidence wins: see domains.h. Each domain is deferred, and one of them takes
	 * mail: that one would be both. */
	if (is_of_domain(a) && is_of_domain(b))
		return a->kind != b->kind;
	if (a->kind != b->kind)
		return false;
	if (a->kind == POLICY_SENDER || a->kind == POLICY_STATUS)
		return are_disjoint(a->pattern, b->pattern);
	/* There is a recipient that matches the one; if all match the other, that one matches
	 * both. */
	if (is_of_recipients(a) && (a->every || b->every))
		return are_disjoint(a->pattern, b->pattern);
	return false;
}

static const char *name_of(const struct policy_condition *condition)
{
	switch (condition->kind) {
	case POLICY_SENDER:
		return "sender";
	case POLICY_RECIPIENT:
		return "recipient";
	case POLICY_RECIPIENT_DOMAIN:
		return "recipient_domain";
	case POLICY_STATUS:
		return "status";
	case POLICY_HEADER:
		return "header";
	default:
		return "domain";
	}
}

/* Of two that say the opposite, one has to be certain: a given up comparison is on both sides. */
static bool add_text(struct cases_maker *maker, struct cases_case *one,
		     const struct policy_condition *condition, bool holds, bool certain)
{
	bool everything = !is_of_domain(condition) && pattern_matches_all(condition->pattern);
	struct cases_text *text;

	certain = certain || is_of_domain(condition) || !has_regex(condition->pattern);

	/* "*" says only that there is something to match. */
	if (everything && condition->kind == POLICY_STATUS)
		return holds || clash(maker, "status");
	if (everything && condition->kind == POLICY_SENDER)
		return settle(maker, one, CASES_HAS_SENDER, holds);
	if (everything && is_of_recipients(condition))
		return narrow(maker, one, CASES_RECIPIENTS, holds, holds ? INT64_MAX : 1);
	if (holds && condition->kind == POLICY_SENDER &&
	    !settle(maker, one, CASES_HAS_SENDER, true))
		return false;
	if (holds && (is_of_recipients(condition) || is_of_domain(condition)) &&
	    !narrow(maker, one, CASES_RECIPIENTS, 1, INT64_MAX))
		return false;
	for (const struct cases_text *other = one->texts; other; other = other->before) {
		const struct policy_condition *yes = holds ? condition : other->condition;
		const struct policy_condition *no = holds ? other->condition : condition;

		if (holds && other->holds && exclude(condition, other->condition))
			return clash(maker, name_of(condition));
		if (holds != other->holds && (certain || other->certain) &&
		    implies(maker->policy, yes, no))
			return clash(maker, name_of(condition));
	}
	text = pool_alloc(&maker->pool, sizeof(*text));
	if (!text) {
		maker->no_memory = true;
		return true;
	}
	*text = (struct cases_text){condition, holds, certain, one->texts};
	one->texts = text;
	return true;
}

/* ---- a single comparison: one case or none, or two or three where it does not hold ---- */

/* Counts what is done. Past the limit nothing more is known. */
static bool step(struct cases_maker *maker, struct cases *cases)
{
	if (maker->steps++ < CASES_STEPS && !maker->no_memory)
		return true;
	give_up(cases);
	return false;
}

static void keep_range(struct cases_maker *maker, struct cases *into, const struct cases_case *from,
		       enum cases_number number, int64_t low, int64_t high)
{
	struct cases_case one = *from;

	if (narrow(maker, &one, number, low, high))
		enter(maker, into, &one);
}

static void add_number(struct cases_maker *maker, struct cases *into, const struct cases_case *from,
		       enum cases_number number, const struct policy_condition *condition,
		       bool holds)
{
	bool ends = condition->below != POLICY_NO_END;
	int64_t low = condition->at_least;

	/* "below" alone also holds for what is younger than nothing: see match.c. */
	if (low == 0 && ends)
		low = INT64_MIN;
	if (holds) {
		keep_range(maker, into, from, number, low, condition->below);
		return;
	}
	if (low != INT64_MIN)
		keep_range(maker, into, from, number, INT64_MIN, low);
	if (ends)
		keep_range(maker, into, from, number, condition->below, INT64_MAX);
}

/* A number that may not be there: then nothing said of it holds. */
static void add_if(struct cases_maker *maker, struct cases *into, const struct cases_case *from,
		   enum cases_fact fact, enum cases_number number,
		   const struct policy_condition *condition, bool holds)
{
	struct cases_case with = *from, without = *from;

	if (settle(maker, &with, fact, true))
		add_number(maker, into, &with, number, condition, holds);
	if (!holds && settle(maker, &without, fact, false))
		enter(maker, into, &without);
}

static void add_incomplete(struct cases_maker *maker, struct cases *into,
			   const struct cases_case *from, bool incomplete)
{
	struct cases_case one = *from;

	if (!incomplete) {
		if (settle(maker, &one, CASES_HAS_SENDER, true))
			keep_range(maker, into, &one, CASES_RECIPIENTS, 1, INT64_MAX);
		return;
	}
	if (settle(maker, &one, CASES_HAS_SENDER, false))
		enter(maker, into, &one);
	keep_range(maker, into, from, CASES_RECIPIENTS, 0, 1);
}

/* Adds to `into` what is left of a case by a condition without children. */
static void add_leaf(struct cases_maker *maker, struct cases *into, const struct cases_case *from,
		     const struct policy_condition *condition, bool holds)
{
	struct cases_case one = *from;

	switch (condition->kind) {
	case POLICY_ALWAYS:
		if (holds)
			enter(maker, into, &one);
		else
			clash(maker, "always");
		break;
	case POLICY_ATTEMPTS:
		add_number(maker, into, from, CASES_ATTEMPTS, condition, holds);
		break;
	case POLICY_AGE:
		add_number(maker, into, from, CASES_AGE, condition, holds);
		break;
	case POLICY_RECIPIENTS:
		add_number(maker, into, from, CASES_RECIPIENTS, condition, holds);
		break;
	case POLICY_TIER_MESSAGES:
		add_number(maker, into, from, CASES_TIER_MESSAGES, condition, holds);
		break;
	case POLICY_SINCE_ATTEMPT:
		add_if(maker, into, from, CASES_TRIED, CASES_SINCE_ATTEMPT, condition, holds);
		break;
	case POLICY_SIZE:
		add_if(maker, into, from, CASES_SIZED, CASES_SIZE, condition, holds);
		break;
	case POLICY_QUARANTINED:
		if (settle(maker, &one, CASES_QUARANTINED, condition->wanted == holds))
			enter(maker, into, &one);
		break;
	case POLICY_INCOMPLETE:
		add_incomplete(maker, into, from, condition->wanted == holds);
		break;
	default:
		if (add_text(maker, &one, condition, holds, !maker->may_be_given_up))
			enter(maker, into, &one);
		break;
	}
}

/* ---- conditions of conditions ---- */

/* Each child in turn. */
static void and_each(struct cases_maker *maker, struct cases *cases,
		     const struct policy_condition *list, size_t count, bool holds)
{
	for (size_t i = 0; i < count && cases->count; i++)
		cases_and(maker, cases, &list[i], holds);
}

/* One child or another: each starts from what there was. */
static void and_one_of(struct cases_maker *maker, struct cases *cases,
		       const struct policy_condition *list, size_t count, bool holds)
{
	struct cases result = {0};

	for (size_t i = 0; i < count && !result.unknown; i++) {
		struct cases branch;

		cases_copy(maker, cases, &branch);
		cases_and(maker, &branch, &list[i], holds);
		if (branch.unknown)
			give_up(&result);
		for (size_t k = 0; k < branch.count; k++)
			enter(maker, &result, &branch.list[k]);
		cases_free(&branch);
	}
	cases_free(cases);
	*cases = result;
}

void cases_and(struct cases_maker *maker, struct cases *cases,
	       const struct policy_condition *condition, bool holds)
{
	struct cases result = {0};

	if (cases->unknown)
		return;
	switch (condition->kind) {
	case POLICY_NOT:
		cases_and(maker, cases, condition->children, !holds);
		return;
	case POLICY_ALL:
	case POLICY_ANY:
		if ((condition->kind == POLICY_ALL) == holds)
			and_each(maker, cases, condition->children, condition->n_children, holds);
		else
			and_one_of(maker, cases, condition->children, condition->n_children, holds);
		return;
	default:
		break;
	}
	for (size_t i = 0; i < cases->count && step(maker, &result); i++)
		add_leaf(maker, &result, &cases->list[i], condition, holds);
	cases_free(cases);
	*cases = result;
}

void cases_and_rule(struct cases_maker *maker, struct cases *cases, const struct policy_rule *rule,
		    bool holds)
{
	const struct policy_condition free_ones = {.kind = POLICY_QUARANTINED, .wanted = false};
	struct policy_condition both[2] = {
		{.kind = POLICY_ALL,
		 .children = rule->conditions,
		 .n_children = rule->n_conditions},
		free_ones,
	};
	struct policy_condition all = {
		.kind = POLICY_ALL, .children = both, .n_children = rule->quarantined ? 1 : 2};

	maker->may_be_given_up = !holds;
	cases_and(maker, cases, &all, holds);
	maker->may_be_given_up = false;
}

void cases_and_cases(struct cases_maker *maker, struct cases *cases, const struct cases *other)
{
	struct cases result = {.unknown = cases->unknown || other->unknown};

	for (size_t i = 0; i < cases->count && !result.unknown; i++) {
		for (size_t k = 0; k < other->count && step(maker, &result); k++) {
			const struct cases_case *with = &other->list[k];
			struct cases_case one = cases->list[i];
			bool fits = true;

			for (int n = 0; fits && n < CASES_NUMBERS; n++)
				fits = narrow(maker, &one, n, with->numbers[n].low,
					      with->numbers[n].high);
			for (int n = 0; fits && n < CASES_FACTS; n++)
				fits = with->facts[n] == CASES_EITHER ||
				       settle(maker, &one, n, with->facts[n] == CASES_YES);
			for (const struct cases_text *text = with->texts; fits && text;
			     text = text->before)
				fits = add_text(maker, &one, text->condition, text->holds,
						text->certain);
			if (fits)
				enter(maker, &result, &one);
		}
	}
	cases_free(cases);
	*cases = result;
}
