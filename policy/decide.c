/* decide.c - what the policy wants done with one message, why, and when to ask again. */
#include "qfwatch/policy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "qfwatch/units.h"

/* Do all conditions hold? *ret_from is the first second from which they do, if only time passes.
 * Every condition, once it holds, holds for good as time goes on: the last one to come true
 * decides. */
static bool rule_matches(const struct policy_rule *rule, const struct policy_message *message,
			 int64_t now, int64_t *ret_from)
{
	bool all = true;
	int64_t last = INT64_MIN;

	for (size_t i = 0; i < rule->n_conditions; i++) {
		int64_t from;

		if (!policy_match(&rule->conditions[i], message, now, &from))
			all = false;
		if (from > last)
			last = from;
	}
	*ret_from = last;
	return all;
}

static bool rule_is_for(const struct policy_rule *rule, unsigned tier)
{
	return tier < POLICY_MAX_TIERS && (rule->tiers >> tier & 1);
}

void policy_decide(const struct policy *policy, const struct policy_message *message, int64_t now,
		   struct policy_decision *ret)
{
	struct policy_decision decision = {.action = POLICY_STAY, .again = POLICY_NEVER};

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		int64_t from;

		if (!rule_is_for(rule, message->tier))
			continue;
		if (rule_matches(rule, message, now, &from)) {
			decision.action = rule->action;
			decision.rule = rule;
			decision.target = rule->target;
			break;
		}
		/* Only a rule before the one that decides can take the decision from it. */
		if (from < decision.again)
			decision.again = from;
	}
	*ret = decision;
}

/* Appends to a buffer that is cut at its end. */
__attribute__((format(printf, 4, 5))) static void append(char *buffer, size_t size, size_t *length,
							 const char *format, ...)
{
	va_list arguments;
	int written;

	if (*length >= size)
		return;
	va_start(arguments, format);
	written = vsnprintf(buffer + *length, size - *length, format, arguments);
	va_end(arguments);
	if (written > 0)
		*length += (size_t)written;
}

/* The age as a number; beyond the ends of int64_t it is the end that it passes. */
static int64_t age_of(const struct policy_message *message, int64_t now)
{
	int64_t age;

	if (!__builtin_sub_overflow(now, message->created, &age))
		return age;
	return message->created < 0 ? INT64_MAX : INT64_MIN;
}

static void append_comparison(const struct policy_condition *condition,
			      const struct policy_message *message, int64_t now, char *buffer,
			      size_t size, size_t *length)
{
	char age[UNITS_DURATION_TEXT], least[UNITS_DURATION_TEXT];
	int64_t from;
	/* A rule that does not match is explained as well. */
	const char *relation = policy_match(condition, message, now, &from) ? ">=" : "<";

	switch (condition->kind) {
	case POLICY_ALWAYS:
		append(buffer, size, length, "always");
		break;
	case POLICY_ATTEMPTS:
		append(buffer, size, length, "attempts %" PRIu32 " %s %" PRId64, message->attempts,
		       relation, condition->at_least);
		break;
	case POLICY_AGE:
		units_format_duration(age_of(message, now), age, sizeof(age));
		units_format_duration(condition->at_least, least, sizeof(least));
		append(buffer, size, length, "age %s %s %s", age, relation, least);
		break;
	}
}

char *policy_reason(const struct policy_rule *rule, const struct policy_message *message,
		    int64_t now, char *buffer, size_t size)
{
	size_t length = 0;

	if (size)
		buffer[0] = '\0';
	for (size_t i = 0; i < rule->n_conditions; i++) {
		if (i)
			append(buffer, size, &length, ", ");
		append_comparison(&rule->conditions[i], message, now, buffer, size, &length);
	}
	return buffer;
}
