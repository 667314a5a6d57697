/* describe.c - comparisons in words: why a rule matches, or what it still lacks. */
#include "qfwatch/policy.h"

#include "pattern.h"
#include "qfwatch/phrase.h"
#include "qfwatch/units.h"

/* How much of a text from the qf is shown. */
#define SHOWN 60

struct words {
	struct phrase phrase;
	enum policy_show show;
};

static void add(struct words *words, const char *text)
{
	phrase_add(&words->phrase, text);
}

/* Length of the well-formed UTF-8 character at the beginning of the text (RFC 3629), or 0: it is
 * none, or a control character, which a terminal might obey. */
static size_t character(const unsigned char *text, size_t left)
{
	unsigned char first = text[0], low = 0x80, high = 0xbf;
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (length == 1)
		return first >= ' ' && first != 0x7f;
	if (first < 0xc2 || first > 0xf4 || length > left)
		return 0;
	if (first == 0xc2 || first == 0xe0)
		low = 0xa0; /* c2 80 to c2 9f are controls; no overlong forms */
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xed)
		high = 0x9f; /* no surrogates */
	else if (first == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* A blank and a piece of the qf, where that may be shown: what is no text becomes "?". */
static void add_slice(struct words *words, enum policy_show kind, struct policy_slice text)
{
	const unsigned char *bytes = (const unsigned char *)text.bytes;
	size_t i = 0;

	if (words->show < kind)
		return;
	add(words, text.length ? " " : " \"\"");
	while (i < text.length && i < SHOWN) {
		size_t length = character(bytes + i, text.length - i);

		phrase_bytes(&words->phrase, length ? text.bytes + i : "?", length ? length : 1);
		i += length ? length : 1;
	}
	if (i < text.length)
		add(words, "...");
}

static void add_duration(struct words *words, int64_t seconds)
{
	char text[UNITS_DURATION_TEXT];

	add(words, units_format_duration(seconds, text, sizeof(text)));
}

/* now - since; beyond the ends of int64_t it is the end that it passes. */
static int64_t since(int64_t then, int64_t now)
{
	int64_t seconds;

	if (!__builtin_sub_overflow(now, then, &seconds))
		return seconds;
	return then < 0 ? INT64_MAX : INT64_MIN;
}

/* Counts of all kinds as numbers with a sign. */
static int64_t whole(uint64_t number)
{
	return number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

enum unit { COUNT, SECONDS, BYTES };

static void add_number(struct words *words, enum unit unit, int64_t number)
{
	char size[UNITS_SIZE_TEXT];

	if (unit == SECONDS)
		add_duration(words, number);
	else if (unit == BYTES)
		add(words, units_format_size(number, size, sizeof(size)));
	else
		phrase_int(&words->phrase, number);
}

/* "attempts 3 >= 3", "age 2h < 6d", "size 5MiB >= 1MiB and < 10MiB": the bound that is not kept, or
 * those that are. */
static void add_range(struct words *words, const struct policy_condition *condition,
		      const char *name, enum unit unit, int64_t number, bool holds)
{
	bool begins = condition->at_least > 0 || condition->below == POLICY_NO_END;
	bool ends = condition->below != POLICY_NO_END;
	bool low = begins && number < condition->at_least;

	add(words, name);
	add(words, " ");
	add_number(words, unit, number);
	if (low || (holds && begins)) {
		add(words, low ? " < " : " >= ");
		add_number(words, unit, condition->at_least);
	}
	if (!low && ends) {
		add(words, holds && begins ? " and < " : holds ? " < " : " >= ");
		add_number(words, unit, condition->below);
	}
}

static void add_matches(struct words *words, bool holds)
{
	add(words, holds ? " matches" : " does not match");
}

/* The recipient that decides: the first that matches, or with `every` the first that does not. */
static void add_list(struct words *words, const struct policy_condition *condition,
		     enum policy_show kind, const struct policy_slice *list, size_t count,
		     bool holds)
{
	const char *name = kind == POLICY_SHOW_DOMAINS ? "recipient_domain" : "recipient";

	for (size_t i = 0; i < count; i++) {
		bool match = pattern_match(condition->pattern, list[i].bytes, list[i].length,
					   NULL) == PATTERN_YES;

		if (match == condition->every)
			continue;
		add(words, name);
		if (list[i].length || kind != POLICY_SHOW_DOMAINS)
			add_slice(words, kind, list[i]);
		else
			add(words, " of a local one");
		add_matches(words, match);
		return;
	}
	add(words, name);
	add(words, count == 0 ? ": none" : holds ? ": every one matches" : ": none matches");
}

static void add_text(struct words *words, const struct policy_condition *condition,
		     const struct policy_text *text, bool holds)
{
	switch (condition->kind) {
	case POLICY_SENDER:
		if (!text->has_sender) {
			add(words, "no sender");
			break;
		}
		add(words, "sender");
		add_slice(words, POLICY_SHOW_ALL, text->sender);
		add_matches(words, holds);
		break;
	case POLICY_STATUS:
		add(words, "status");
		add_slice(words, POLICY_SHOW_ALL, text->status);
		add_matches(words, holds);
		break;
	case POLICY_RECIPIENT:
		add_list(words, condition, POLICY_SHOW_ALL, text->recipients, text->n_recipients,
			 holds);
		break;
	case POLICY_RECIPIENT_DOMAIN:
		add_list(words, condition, POLICY_SHOW_DOMAINS, text->domains, text->n_recipients,
			 holds);
		break;
	case POLICY_HEADER:
		add(words, "header ");
		add(words, condition->header);
		add_matches(words, holds);
		break;
	case POLICY_INCOMPLETE:
		add(words, !text->has_sender	     ? "incomplete: no sender"
			   : text->n_recipients == 0 ? "incomplete: no recipient"
						     : "complete: sender and recipient");
		break;
	default:
		add_range(words, condition, "recipients", COUNT, whole(text->n_recipients), holds);
		break;
	}
}

/* The domain that decides: for "deferred" the first that is not, else the first that is. */
static void add_domains(struct words *words, const struct policy_condition *condition,
			const struct policy_message *message, int64_t now)
{
	const struct policy_text *text = message->text;
	bool each = condition->kind == POLICY_DOMAIN_DEFERRED;
	struct policy_slice shown = {0};
	uint64_t count = 0;
	bool holds = false;

	for (size_t i = 0; i < text->n_recipients; i++) {
		int64_t until;

		/* No local recipient is "delivered": others may be. */
		if (!each && !text->domains[i].length)
			continue;
		shown = text->domains[i];
		count = 0;
		holds = shown.length &&
			message->history->holds(message->history->context, shown, condition->window,
						now, &count, &until);
		if (holds != each)
			break;
	}
	if (!shown.length) {
		add(words,
		    text->n_recipients ? "domain: a recipient is local" : "domain: no recipient");
		return;
	}
	add(words, "domain");
	add_slice(words, POLICY_SHOW_DOMAINS, shown);
	add(words, each ? " deferred " : " delivered ");
	phrase_uint(&words->phrase, count);
	add(words, holds ? " >= " : " < ");
	phrase_int(&words->phrase, condition->at_least);
	add(words, " within ");
	add_duration(words, condition->within);
}

static void add_condition(struct words *words, const struct policy_condition *condition,
			  const struct policy_message *message, int64_t now);

/* All of them; or of "any" those that hold, where one does: they are the reason. */
static void add_children(struct words *words, const struct policy_condition *condition,
			 const struct policy_message *message, int64_t now, bool only_true)
{
	const char *between = condition->kind == POLICY_ANY && !only_true ? " or " : " and ";
	bool any = false;

	for (size_t i = 0; i < condition->n_children; i++) {
		const struct policy_condition *child = &condition->children[i];
		int64_t next;

		if (only_true && policy_match(child, message, now, &next) != POLICY_YES)
			continue;
		if (any)
			add(words, between);
		add_condition(words, child, message, now);
		any = true;
	}
}

/* Those that may not be known. */
static const char *const names[] = {
	[POLICY_RECIPIENTS] = "recipients",
	[POLICY_SENDER] = "sender",
	[POLICY_RECIPIENT] = "recipient",
	[POLICY_RECIPIENT_DOMAIN] = "recipient_domain",
	[POLICY_STATUS] = "status",
	[POLICY_HEADER] = "header",
	[POLICY_INCOMPLETE] = "incomplete",
	[POLICY_DOMAIN_DEFERRED] = "domain deferred",
	[POLICY_DOMAIN_DELIVERED] = "domain delivered_from",
};

static void add_unknown(struct words *words, const struct policy_condition *condition,
			const struct policy_message *message)
{
	add(words, names[condition->kind]);
	add(words,
	    message->text ? ": known to the running daemon only" : ": not known without the qf");
}

static void add_costly(struct words *words, const struct policy_condition *condition)
{
	add(words, names[condition->kind]);
	if (condition->kind == POLICY_HEADER) {
		add(words, " ");
		add(words, condition->header);
	}
	add(words, ": a regular expression takes too long for it");
}

static void add_condition(struct words *words, const struct policy_condition *condition,
			  const struct policy_message *message, int64_t now)
{
	int64_t next;
	enum policy_truth truth = policy_match(condition, message, now, &next);
	bool holds = truth == POLICY_YES;
	bool composed = condition->kind == POLICY_ALL || condition->kind == POLICY_ANY ||
			condition->kind == POLICY_NOT;

	if (truth == POLICY_COSTLY && !composed) {
		add_costly(words, condition);
		return;
	}
	if (truth == POLICY_UNKNOWN && !composed) {
		add_unknown(words, condition, message);
		return;
	}
	switch (condition->kind) {
	case POLICY_ALWAYS:
		add(words, "always");
		break;
	case POLICY_ALL:
		add_children(words, condition, message, now, false);
		break;
	case POLICY_ANY:
		add(words, "any (");
		add_children(words, condition, message, now, holds);
		add(words, ")");
		break;
	case POLICY_NOT:
		add(words, "not (");
		add_condition(words, condition->children, message, now);
		add(words, ")");
		break;
	case POLICY_ATTEMPTS:
		add_range(words, condition, "attempts", COUNT, message->attempts, holds);
		break;
	case POLICY_TIER_MESSAGES:
		add_range(words, condition, "tier_messages", COUNT, whole(message->tier_messages),
			  holds);
		break;
	case POLICY_AGE:
		add_range(words, condition, "age", SECONDS, since(message->created, now), holds);
		break;
	case POLICY_SINCE_ATTEMPT:
		if (message->last_attempt)
			add_range(words, condition, "since_attempt", SECONDS,
				  since(message->last_attempt, now), holds);
		else
			add(words, "since_attempt: never tried");
		break;
	case POLICY_SIZE:
		if (message->has_size)
			add_range(words, condition, "size", BYTES, whole(message->size), holds);
		else
			add(words, "size not known");
		break;
	case POLICY_QUARANTINED:
		add(words, message->quarantined ? "quarantined" : "not quarantined");
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
	case POLICY_INCOMPLETE:
		add_text(words, condition, message->text, holds);
		break;
	}
}

char *policy_describe(const struct policy_condition *condition,
		      const struct policy_message *message, int64_t now, enum policy_show show,
		      char *buffer, size_t size)
{
	struct words words = {.phrase = phrase_in(buffer, size), .show = show};

	add_condition(&words, condition, message, now);
	return buffer;
}

char *policy_reason(const struct policy_rule *rule, const struct policy_message *message,
		    int64_t now, enum policy_show show, char *buffer, size_t size)
{
	struct words words = {.phrase = phrase_in(buffer, size), .show = show};

	if (message->quarantined && !rule->quarantined)
		add(&words, "quarantined, which the rule does not name, ");
	for (size_t i = 0; i < rule->n_conditions; i++) {
		if (i)
			add(&words, ", ");
		add_condition(&words, &rule->conditions[i], message, now);
	}
	return buffer;
}

/* ---- actions ---- */

const char *policy_action_word(enum policy_action action)
{
	switch (action) {
	case POLICY_MOVE:
		return "move";
	case POLICY_DELETE:
		return "delete";
	case POLICY_BOUNCE:
		return "bounce";
	case POLICY_STAY:
		break;
	}
	return "keep";
}

const char *policy_rule_word(const struct policy_rule *rule)
{
	if (!rule->decides)
		return rule->program ? "run" : "notify";
	return policy_action_word(rule->action);
}
