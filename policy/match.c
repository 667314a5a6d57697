/* match.c - one condition against one message.
 *
 * Every comparison tells two things: whether it holds, and until when that stays so while only time
 * passes. Numbers of attempts and texts change with the qf, not with time; ages grow; what a window
 * of domains counts fades away.
 */
#include "qfwatch/policy.h"

#include <string.h>
#include <strings.h>

#include "pattern.h"

static enum policy_truth truth(bool holds)
{
	return holds ? POLICY_YES : POLICY_NO;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- numbers ---- */

static enum policy_truth match_number(const struct policy_condition *condition, uint64_t number)
{
	return truth((condition->at_least <= 0 || number >= (uint64_t)condition->at_least) &&
		     (condition->below == POLICY_NO_END || number < (uint64_t)condition->below));
}

/* The second in which `since` is `seconds` ago. A `since` from a lying header may lie anywhere;
 * what would be later than the last second never comes. */
static int64_t second_of(int64_t since, int64_t seconds)
{
	int64_t second;

	if (seconds == POLICY_NO_END || __builtin_add_overflow(since, seconds, &second))
		return POLICY_NEVER;
	return second;
}

/* now - since may overflow, and is negative when a clock was set back: the sums are compared. */
static enum policy_truth match_time(const struct policy_condition *condition, int64_t since,
				    int64_t now, int64_t *ret_next)
{
	int64_t from = second_of(since, condition->at_least);
	int64_t end = second_of(since, condition->below);

	/* Without at_least there is no beginning, not even at a `since` in the future. */
	if (condition->at_least == 0 && condition->below != POLICY_NO_END)
		from = INT64_MIN;
	*ret_next = now < from ? from : now < end ? end : POLICY_NEVER;
	return truth(from != POLICY_NEVER && from <= now && (now < end || end == POLICY_NEVER));
}

/* ---- texts ---- */

static enum policy_truth matches(const struct policy_condition *condition, struct policy_slice text)
{
	switch (pattern_match(condition->pattern, text.bytes, text.length, NULL)) {
	case PATTERN_YES:
		return POLICY_YES;
	case PATTERN_TOO_COSTLY:
		return POLICY_COSTLY;
	default:
		return POLICY_NO;
	}
}

/* One of them, or with `every` all of them, where there is any. */
static enum policy_truth match_list(const struct policy_condition *condition,
				    const struct policy_slice *list, size_t count)
{
	enum policy_truth result = truth(condition->every && count > 0);

	for (size_t i = 0; i < count; i++) {
		enum policy_truth one = matches(condition, list[i]);

		if (one == truth(!condition->every))
			return one;
		if (one == POLICY_COSTLY)
			result = one;
	}
	return result;
}

static bool is_named(const struct policy_header *header, const char *name)
{
	size_t length = strlen(name);

	/* The lengths first: a name from a qf may hold a NUL, where strncasecmp would stop. */
	return header->name.length == length && strncasecmp(header->name.bytes, name, length) == 0;
}

static enum policy_truth match_header(const struct policy_condition *condition,
				      const struct policy_text *text)
{
	enum policy_truth result = POLICY_NO;

	for (size_t i = 0; i < text->n_headers && result != POLICY_YES; i++) {
		enum policy_truth one = is_named(&text->headers[i], condition->header)
						? matches(condition, text->headers[i].value)
						: POLICY_NO;

		if (one != POLICY_NO)
			result = one;
	}
	return result;
}

static enum policy_truth match_text(const struct policy_condition *condition,
				    const struct policy_text *text)
{
	if (!text)
		return POLICY_UNKNOWN;
	switch (condition->kind) {
	case POLICY_RECIPIENTS:
		return match_number(condition, text->n_recipients);
	case POLICY_SENDER:
		return text->has_sender ? matches(condition, text->sender) : POLICY_NO;
	case POLICY_RECIPIENT:
		return match_list(condition, text->recipients, text->n_recipients);
	case POLICY_RECIPIENT_DOMAIN:
		return match_list(condition, text->domains, text->n_recipients);
	case POLICY_STATUS:
		return matches(condition, text->status);
	case POLICY_HEADER:
		return match_header(condition, text);
	case POLICY_INCOMPLETE:
		return truth((!text->has_sender || text->n_recipients == 0) == condition->wanted);
	default:
		return POLICY_NO;
	}
}

/* ---- domains ---- */

static bool same(struct policy_slice a, struct policy_slice b)
{
	return a.length == b.length && strncasecmp(a.bytes, b.bytes, a.length) == 0;
}

/* Deferred: each domain is; a message that somebody takes is not held up by one that nobody takes.
 * Delivered: one of them is. A local recipient has no domain, and so is neither. */
static enum policy_truth match_domains(const struct policy_condition *condition,
				       const struct policy_message *message, int64_t now,
				       int64_t *ret_next)
{
	const struct policy_text *text = message->text;
	const struct policy_history *history = message->history;
	bool each = condition->kind == POLICY_DOMAIN_DEFERRED;
	int64_t first = POLICY_NEVER, last = INT64_MIN;

	if (!text || !history)
		return POLICY_UNKNOWN;
	for (size_t i = 0; i < text->n_recipients; i++) {
		int64_t until = POLICY_NEVER;
		uint64_t count;
		bool holds;

		if (i && same(text->domains[i], text->domains[i - 1]))
			continue;
		holds = text->domains[i].length &&
			history->holds(history->context, text->domains[i], condition->window, now,
				       &count, &until);
		if (holds) {
			first = earlier(first, until);
			last = until > last ? until : last;
		} else if (each) {
			return POLICY_NO;
		}
	}
	if (last == INT64_MIN)
		return POLICY_NO;
	*ret_next = each ? first : last;
	return POLICY_YES;
}

/* ---- all of them ---- */

/* Of two, the one that tells less, where neither decides by itself: what is not at hand may still
 * decide once it is. */
static enum policy_truth less_certain(enum policy_truth a, enum policy_truth b)
{
	if (a == POLICY_UNKNOWN || b == POLICY_UNKNOWN)
		return POLICY_UNKNOWN;
	return a == POLICY_COSTLY || b == POLICY_COSTLY ? POLICY_COSTLY : a;
}

/* Do all of the conditions hold? Those that need no text come first: most rules end there. One that
 * never changes decides for good. */
static enum policy_truth match_all(const struct policy_condition *conditions, size_t count,
				   const struct policy_message *message, int64_t now,
				   int64_t *ret_next)
{
	enum policy_truth result = POLICY_YES;
	int64_t soonest = POLICY_NEVER;

	for (int texts = 0; texts < 2; texts++) {
		for (size_t i = 0; i < count; i++) {
			int64_t next;
			enum policy_truth one;

			if (conditions[i].needs_text != (texts == 1))
				continue;
			one = policy_match(&conditions[i], message, now, &next);
			if (one == POLICY_NO && next == POLICY_NEVER) {
				*ret_next = POLICY_NEVER;
				return POLICY_NO;
			}
			if (one == POLICY_NO || result == POLICY_NO)
				result = POLICY_NO;
			else
				result = less_certain(result, one);
			soonest = earlier(soonest, next);
		}
		/* What does not hold now needs no costly comparison: it is asked again when it may.
		 */
		if (result == POLICY_NO)
			break;
	}
	*ret_next = soonest;
	return result;
}

static enum policy_truth match_any(const struct policy_condition *condition,
				   const struct policy_message *message, int64_t now,
				   int64_t *ret_next)
{
	enum policy_truth result = POLICY_NO;
	int64_t soonest = POLICY_NEVER;

	for (size_t i = 0; i < condition->n_children; i++) {
		int64_t next;
		enum policy_truth one = policy_match(&condition->children[i], message, now, &next);

		if (one == POLICY_YES && next == POLICY_NEVER) {
			*ret_next = POLICY_NEVER;
			return POLICY_YES;
		}
		if (one == POLICY_YES || result == POLICY_YES)
			result = POLICY_YES;
		else
			result = less_certain(result, one);
		soonest = earlier(soonest, next);
	}
	*ret_next = soonest;
	return result;
}

enum policy_truth policy_match(const struct policy_condition *condition,
			       const struct policy_message *message, int64_t now, int64_t *ret_next)
{
	enum policy_truth child;

	*ret_next = POLICY_NEVER;
	switch (condition->kind) {
	case POLICY_ALWAYS:
		return POLICY_YES;
	case POLICY_ALL:
		return match_all(condition->children, condition->n_children, message, now,
				 ret_next);
	case POLICY_ANY:
		return match_any(condition, message, now, ret_next);
	case POLICY_NOT:
		child = policy_match(condition->children, message, now, ret_next);
		return child == POLICY_UNKNOWN || child == POLICY_COSTLY
			       ? child
			       : truth(child == POLICY_NO);
	case POLICY_ATTEMPTS:
		return match_number(condition, message->attempts);
	case POLICY_TIER_MESSAGES:
		return match_number(condition, message->tier_messages);
	case POLICY_SIZE:
		return message->has_size ? match_number(condition, message->size) : POLICY_NO;
	case POLICY_AGE:
		return match_time(condition, message->created, now, ret_next);
	case POLICY_SINCE_ATTEMPT:
		if (!message->last_attempt)
			return POLICY_NO;
		return match_time(condition, message->last_attempt, now, ret_next);
	case POLICY_QUARANTINED:
		return truth(message->quarantined == condition->wanted);
	case POLICY_DOMAIN_DEFERRED:
	case POLICY_DOMAIN_DELIVERED:
		return match_domains(condition, message, now, ret_next);
	case POLICY_RECIPIENTS:
	case POLICY_SENDER:
	case POLICY_RECIPIENT:
	case POLICY_RECIPIENT_DOMAIN:
	case POLICY_STATUS:
	case POLICY_HEADER:
	case POLICY_INCOMPLETE:
		return match_text(condition, message->text);
	}
	return POLICY_NO;
}

enum policy_truth policy_rule_holds(const struct policy_rule *rule,
				    const struct policy_message *message, int64_t now,
				    int64_t *ret_next)
{
	*ret_next = POLICY_NEVER;
	if (message->quarantined && !rule->quarantined)
		return POLICY_NO;
	return match_all(rule->conditions, rule->n_conditions, message, now, ret_next);
}
