/* compare.c - see compare.h */
#include "qfwatch/compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pattern.h"
#include "qfwatch/units.h"

/* How much of a text is shown, and how many patterns of a list. */
#define SHOWN	       60
#define SHOWN_PATTERNS 3

/* A buffer that is cut at its end. */
struct words {
	char *buffer;
	size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *format, ...)
{
	va_list arguments;
	int written;

	if (words->length >= words->size)
		return;
	va_start(arguments, format);
	written = vsnprintf(words->buffer + words->length, words->size - words->length, format,
			    arguments);
	va_end(arguments);
	if (written > 0)
		words->length += (size_t)written;
}

/* Cut before a character, not inside one. */
static void add_bytes(struct words *words, const char *bytes, size_t length)
{
	size_t shown = length > SHOWN ? SHOWN : length;

	while (shown < length && shown > SHOWN - 4 && ((unsigned char)bytes[shown] & 0xc0) == 0x80)
		shown--;
	for (size_t i = 0; i < shown; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		add(words, "%c", byte < ' ' || byte == 0x7f ? '?' : byte);
	}
	if (shown < length)
		add(words, "...");
}

static void add_slice(struct words *words, struct policy_slice text)
{
	add(words, " ");
	if (text.length)
		add_bytes(words, text.bytes, text.length);
	else
		add(words, "(none)");
}

/* ---- numbers ---- */

enum unit { COUNT, SECONDS, BYTES };

static void add_number(struct words *words, enum unit unit, int64_t number)
{
	char text[UNITS_DURATION_TEXT > UNITS_SIZE_TEXT ? UNITS_DURATION_TEXT : UNITS_SIZE_TEXT];

	if (unit == SECONDS)
		add(words, "%s", units_format_duration(number, text, sizeof(text)));
	else if (unit == BYTES)
		add(words, "%s", units_format_size(number, text, sizeof(text)));
	else
		add(words, "%" PRId64, number);
}

static void add_bounds(struct words *words, const struct policy_condition *condition,
		       enum unit unit)
{
	bool ends = condition->below != POLICY_NO_END;

	if (condition->at_least > 0 || !ends) {
		add(words, " >= ");
		add_number(words, unit, condition->at_least);
	}
	if (ends) {
		add(words, condition->at_least > 0 ? " and < " : " < ");
		add_number(words, unit, condition->below);
	}
}

static void add_range(struct words *words, const struct policy_condition *condition,
		      const char *name, enum unit unit, int64_t number)
{
	add(words, "%s ", name);
	add_number(words, unit, number);
	add_bounds(words, condition, unit);
}

/* Of a number that there is not: why, after the question. */
static void add_missing(struct words *words, const struct policy_condition *condition,
			const char *name, enum unit unit, const char *why)
{
	add(words, "%s", name);
	add_bounds(words, condition, unit);
	add(words, " (%s)", why);
}

/* now - since; beyond the ends of int64_t it is the end that it passes. */
static int64_t since(int64_t then, int64_t now)
{
	int64_t seconds;

	if (!__builtin_sub_overflow(now, then, &seconds))
		return seconds;
	return then < 0 ? INT64_MAX : INT64_MIN;
}

/* ---- texts ---- */

static void add_pattern(struct words *words, const struct pattern_set *set, size_t i)
{
	bool regex;
	const char *text = pattern_text(set, i, &regex);

	add(words, "%s", regex ? "/" : "\"");
	add_bytes(words, text, strlen(text));
	add(words, "%s", regex ? "/" : "\"");
}

/* " matches " and the pattern that does, or those that do not. */
static void add_matches(struct words *words, const struct pattern_set *set,
			const struct policy_slice *text)
{
	size_t which = 0, count = pattern_count(set);

	add(words, " matches ");
	if (text && pattern_match(set, text->bytes, text->length, &which) == PATTERN_YES) {
		add_pattern(words, set, which);
		return;
	}
	for (size_t i = 0; i < count && i < SHOWN_PATTERNS; i++) {
		add(words, i ? " or " : "");
		add_pattern(words, set, i);
	}
	if (count > SHOWN_PATTERNS)
		add(words, " or %zu more", count - SHOWN_PATTERNS);
}

/* The recipient that decides: the first that matches, or with `every` the first that does not; else
 * the only one, or how many there are. */
static void add_list(struct words *words, const struct policy_condition *condition,
		     const char *name, const struct policy_slice *list, size_t count)
{
	size_t deciding = 0;

	while (count != 1 && deciding < count &&
	       (pattern_match(condition->pattern, list[deciding].bytes, list[deciding].length,
			      NULL) == PATTERN_YES) == condition->every)
		deciding++;
	if (condition->every)
		add(words, "every ");
	add(words, "%s", name);
	if (deciding < count)
		add_slice(words, list[deciding]);
	else if (count)
		add(words, " (of %zu)", count);
	else
		add(words, " (there is none)");
	add_matches(words, condition->pattern, deciding < count ? &list[deciding] : NULL);
}

static void add_header(struct words *words, const struct policy_condition *condition,
		       const struct policy_text *text)
{
	const struct policy_slice *shown = NULL;

	for (size_t i = 0; i < text->n_headers; i++) {
		const struct policy_header *header = &text->headers[i];

		if (header->name.length != strlen(condition->header) ||
		    strncasecmp(header->name.bytes, condition->header, header->name.length) != 0)
			continue;
		if (!shown || pattern_match(condition->pattern, header->value.bytes,
					    header->value.length, NULL) == PATTERN_YES)
			shown = &header->value;
	}
	add(words, "header ");
	add_bytes(words, condition->header, strlen(condition->header));
	if (shown)
		add_slice(words, *shown);
	else
		add(words, " (not there)");
	add_matches(words, condition->pattern, shown);
}

static void add_text(struct words *words, const struct policy_condition *condition,
		     const struct policy_text *text)
{
	static const struct policy_slice nobody = {0};

	switch (condition->kind) {
	case POLICY_SENDER:
		add(words, "sender");
		add_slice(words, text->has_sender ? text->sender : nobody);
		add_matches(words, condition->pattern, text->has_sender ? &text->sender : NULL);
		break;
	case POLICY_STATUS:
		add(words, "status");
		add_slice(words, text->status);
		add_matches(words, condition->pattern, &text->status);
		break;
	case POLICY_RECIPIENT:
		add_list(words, condition, "recipient", text->recipients, text->n_recipients);
		break;
	case POLICY_RECIPIENT_DOMAIN:
		add_list(words, condition, "recipient_domain", text->domains, text->n_recipients);
		break;
	case POLICY_HEADER:
		add_header(words, condition, text);
		break;
	default:
		add_range(words, condition, "recipients", COUNT, (int64_t)text->n_recipients);
		break;
	}
}

/* What is asked of a qf that is not at hand. */
static const char *text_name(enum policy_condition_kind kind)
{
	switch (kind) {
	case POLICY_RECIPIENTS:
		return "recipients";
	case POLICY_SENDER:
		return "sender";
	case POLICY_RECIPIENT:
		return "recipient";
	case POLICY_RECIPIENT_DOMAIN:
		return "recipient_domain";
	case POLICY_STATUS:
		return "status";
	default:
		return "header";
	}
}

/* ---- domains ---- */

/* The domain that decides: for "deferred" the first that is not, else the first that is. */
static void add_domains(struct words *words, const struct policy_condition *condition,
			const struct policy_message *message, int64_t now)
{
	bool each = condition->kind == POLICY_DOMAIN_DEFERRED;
	size_t count = message->text ? message->text->n_recipients : 0;
	struct policy_slice shown = {0};
	uint64_t events = 0;
	char within[UNITS_DURATION_TEXT];

	for (size_t i = 0; i < count; i++) {
		int64_t until;
		bool holds = false;

		if (i && !message->history)
			break;
		shown = message->text->domains[i];
		if (message->history && shown.length)
			holds = message->history->holds(message->history->context, shown,
							condition->window, now, &events, &until);
		if (message->history && holds != each)
			break;
	}
	add(words, "domain");
	add_slice(words, shown);
	if (count > 1 && !message->history)
		add(words, " (and %zu more)", count - 1);
	add(words, each ? " deferred" : " delivered");
	if (message->history)
		add(words, " %" PRIu64, events);
	add(words, " >= %" PRId64 " within %s", condition->at_least,
	    units_format_duration(condition->within, within, sizeof(within)));
}

/* ---- all of them ---- */

static void add_condition(struct words *words, const struct policy_condition *condition,
			  const struct policy_message *message, int64_t now)
{
	switch (condition->kind) {
	case POLICY_ALWAYS:
		add(words, "always");
		break;
	case POLICY_ALL:
		add(words, "all of");
		break;
	case POLICY_ANY:
		add(words, "any of");
		break;
	case POLICY_NOT:
		add(words, "not");
		break;
	case POLICY_ATTEMPTS:
		add_range(words, condition, "attempts", COUNT, message->attempts);
		break;
	case POLICY_TIER_MESSAGES:
		add_range(words, condition, "tier_messages", COUNT,
			  (int64_t)message->tier_messages);
		break;
	case POLICY_AGE:
		add_range(words, condition, "age", SECONDS, since(message->created, now));
		break;
	case POLICY_SINCE_ATTEMPT:
		if (message->last_attempt)
			add_range(words, condition, "since_attempt", SECONDS,
				  since(message->last_attempt, now));
		else
			add_missing(words, condition, "since_attempt", SECONDS, "never tried");
		break;
	case POLICY_SIZE:
		if (message->has_size)
			add_range(words, condition, "size", BYTES, (int64_t)message->size);
		else
			add_missing(words, condition, "size", BYTES, "not known");
		break;
	case POLICY_QUARANTINED:
		add(words, condition->wanted ? "quarantined" : "not quarantined");
		break;
	case POLICY_INCOMPLETE:
		add(words, condition->wanted ? "incomplete" : "complete");
		if (message->text && !message->text->has_sender)
			add(words, " (no sender)");
		else if (message->text && message->text->n_recipients == 0)
			add(words, " (no recipient)");
		break;
	case POLICY_DOMAIN_DEFERRED:
	case POLICY_DOMAIN_DELIVERED:
		add_domains(words, condition, message, now);
		break;
	case POLICY_RECIPIENTS:
	case POLICY_SENDER:
	case POLICY_RECIPIENT:
	case POLICY_RECIPIENT_DOMAIN:
	case POLICY_STATUS:
	case POLICY_HEADER:
		if (message->text)
			add_text(words, condition, message->text);
		else
			add(words, "%s (not known without the qf)", text_name(condition->kind));
		break;
	}
}

char *compare_text(const struct policy_condition *condition, const struct policy_message *message,
		   int64_t now, char *buffer, size_t size)
{
	struct words words = {.buffer = buffer, .size = size};

	if (size)
		buffer[0] = '\0';
	add_condition(&words, condition, message, now);
	return buffer;
}
