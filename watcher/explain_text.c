/* explain_text.c - an explanation for people. See explain.h. */
#include "qfwatch/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/compare.h"
#include "qfwatch/moment.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define SHOWN_RECIPIENTS 3

/* How much of an address or a status is shown. */
#define SHOWN 200

/* ---- writing ---- */

/* The length of the UTF-8 sequence at `text` (RFC 3629) if a terminal only shows it, or 0: no C1
 * controls, and nothing that turns the direction of what follows. */
static size_t harmless(const unsigned char *text)
{
	unsigned char c = text[0];
	uint32_t code;
	size_t n;

	if (c < 0x80)
		return c >= ' ' && c != 0x7f;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	code = c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if ((n == 3 && code < 0x800) || (n == 4 && (code < 0x10000 || code > 0x10ffff)) ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	if (code < 0xa0 || code == 0x2028 || code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
	    (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f)
		return 0;
	return n;
}

/* What may come from a qf or from another process is written through this alone. A line ends where
 * the format ends it. */
__attribute__((format(printf, 2, 3))) static void put(FILE *to, const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;
	bool ends;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	ends = *format && format[strlen(format) - 1] == '\n';
	for (const char *c = text; *c;) {
		size_t n = harmless((const unsigned char *)c);

		if (ends && *c == '\n' && !c[1])
			n = 1;

		if (n)
			fwrite(c, 1, n, to);
		else
			fputc('?', to);
		c += n ? n : 1;
	}
	free(text);
}

/* A piece of a qf as text, cut. The caller frees it. */
static char *shown(struct policy_slice slice)
{
	size_t length = slice.length > SHOWN ? SHOWN : slice.length;
	char *text = xcalloc(length + sizeof "...", 1);

	for (size_t i = 0; i < length; i++)
		text[i] = slice.bytes[i] ? slice.bytes[i] : '?';
	if (length < slice.length)
		strcpy(text + length, "...");
	return text;
}

static void label(FILE *to, const char *name)
{
	put(to, "  %-12s", name);
}

/* A duration for people: its two largest units, "5d20h", "9m3s". */
static char *span(int64_t seconds, char *buffer, size_t size)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
	unsigned i = 0;

	while (i < 3 && seconds < units[i].seconds)
		i++;
	if (i == 3 || seconds % units[i].seconds / units[i + 1].seconds == 0)
		snprintf(buffer, size, "%" PRId64 "%c", seconds / units[i].seconds,
			 units[i].letter);
	else
		snprintf(buffer, size, "%" PRId64 "%c%" PRId64 "%c", seconds / units[i].seconds,
			 units[i].letter, seconds % units[i].seconds / units[i + 1].seconds,
			 units[i + 1].letter);
	return buffer;
}

/* "2026-11-28 17:20:15, in 5d20h" */
static void put_moment(const struct explanation *e, FILE *to, int64_t moment)
{
	char text[MOMENT_TEXT], distance[MOMENT_TEXT];

	put(to, "%s, ", moment_local(moment, text, sizeof text));
	if (moment == e->now)
		put(to, "now");
	else if (moment > e->now)
		put(to, "in %s", span(moment - e->now, distance, sizeof distance));
	else
		put(to, "%s ago", span(e->now - moment, distance, sizeof distance));
}

/* ---- the message ---- */

static void put_size(const struct explanation *e, FILE *to)
{
	const struct inspected *inspected = e->inspected;

	if (!inspected->has_size)
		return;
	label(to, "body");
	put(to, "%lld byte%s\n", (long long)inspected->body.st_size,
	    units_plural((uint64_t)inspected->body.st_size, "", "s"));
}

static void put_recipients(const struct policy_text *text, FILE *to)
{
	label(to, units_plural(text->n_recipients, "recipient", "recipients"));
	if (text->n_recipients != 1)
		put(to, "%zu%s", text->n_recipients, text->n_recipients ? ": " : "");
	for (size_t i = 0; i < text->n_recipients && i < SHOWN_RECIPIENTS; i++) {
		char *address = shown(text->recipients[i]);

		put(to, "%s%s", i ? ", " : "", address);
		free(address);
	}
	put(to, text->n_recipients > SHOWN_RECIPIENTS ? ", ...\n" : "\n");
}

static void put_text(const struct policy_text *text, FILE *to)
{
	char *sender = text->has_sender ? shown(text->sender) : xstrdup("none");
	char *status = shown(text->status);

	label(to, "sender");
	put(to, "%s\n", sender);
	put_recipients(text, to);
	if (*status) {
		label(to, "status");
		put(to, "%s\n", status);
	}
	free(sender);
	free(status);
}

static void put_lock(const struct locked *lock, FILE *to)
{
	label(to, "lock");
	if (!lock->pid)
		put(to, "held by a process that cannot be seen\n");
	else
		put(to, "held by %s, pid %ld%s%s\n", lock->program, (long)lock->pid,
		    lock->title[0] ? ": " : "", lock->title);
}

static void put_message(const struct explanation *e, FILE *to)
{
	const struct inspected *inspected = e->inspected;
	const struct qfile *file = &inspected->file;

	label(to, "file");
	put(to, "%s\n", inspected->place->path);
	if (inspected->trouble == TROUBLE_NONE) {
		label(to, "created");
		put_moment(e, to, file->created);
		put(to, "\n");
		label(to, "attempts");
		put(to, "%u", file->attempts);
		if (file->last_attempt) {
			put(to, ", the last at ");
			put_moment(e, to, file->last_attempt);
		}
		put(to, "\n");
		put_size(e, to);
		put_text(&inspected->text, to);
	}
	if (inspected->quarantined) {
		label(to, "quarantined");
		put(to, "by sendmail: only rules that name \"quarantined\" touch it\n");
	}
	if (inspected->lock.held)
		put_lock(&inspected->lock, to);
}

/* ---- the rules ---- */

static const char *word_of(enum policy_truth truth)
{
	return truth == POLICY_YES	? "yes"
	       : truth == POLICY_NO	? "no"
	       : truth == POLICY_COSTLY ? "given up, a regular expression takes too long"
					: "not known";
}

static void put_conditions(const struct explanation *e, const struct policy_condition *conditions,
			   size_t count, int indent, FILE *to)
{
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *condition = explain_unwrap(&conditions[i]);
		char text[COMPARE_TEXT];
		int64_t next;
		enum policy_truth truth = policy_match(condition, &e->facts, e->at, &next);

		put(to, "%*s%s: %s%s\n", indent, "",
		    compare_text(condition, &e->facts, e->at, text, sizeof text), word_of(truth),
		    truth == POLICY_UNKNOWN && !condition->n_children
			    ? " (only the running daemon knows)"
			    : "");
		put_conditions(e, condition->children, condition->n_children, indent + 2, to);
	}
}

static void put_rule(const struct explanation *e, const struct explain_rule *rule, FILE *to)
{
	char *action = explain_action(e->policy, rule->rule);
	bool acts = rule->holds == POLICY_YES && rule->reached;

	put(to, "   %s %-4s %s: %s\n", rule->decides ? "->" : "  ",
	    !rule->reached						    ? "-"
	    : rule->holds == POLICY_UNKNOWN || rule->holds == POLICY_COSTLY ? "?"
									    : word_of(rule->holds),
	    rule->rule->name, action);
	if (!rule->reached)
		put(to, "             not reached\n");
	else if (rule->spared)
		put(to, "             leaves quarantined messages alone\n");
	else
		put_conditions(e, rule->rule->conditions, rule->rule->n_conditions, 13, to);
	if (acts && !rule->rule->decides)
		put(to, "             once for each message; only the running daemon knows whether "
			"it has\n");
	free(action);
}

static void put_rules(const struct explanation *e, FILE *to)
{
	put(to, "  rules of %s\n", e->policy->tiers[e->tier].name);
	for (size_t i = 0; i < e->n_rules; i++)
		put_rule(e, &e->rules[i], to);
	if (!e->n_rules)
		put(to, "             none\n");
}

/* ---- the answer ---- */

static void put_unknown(const struct explanation *e, FILE *to)
{
	char *action = explain_action(e->policy, e->decision.rule);
	char *other = e->otherwise ? explain_action(e->policy, e->otherwise) : xstrdup("stays");

	put(to, "%s if \"%s\" holds, which only the running daemon knows; else %s%s%s%s\n", action,
	    e->decision.rule->name, other, e->otherwise ? " (" : "",
	    e->otherwise ? e->otherwise->name : "", e->otherwise ? ")" : "");
	free(action);
	free(other);
}

static void put_decision(const struct explanation *e, FILE *to)
{
	char *action = NULL;

	if (e->at == e->now) {
		label(to, "now");
	} else {
		label(to, "then");
		put_moment(e, to, e->at);
		put(to, ": ");
	}
	if (e->decision.unknown) {
		put_unknown(e, to);
	} else if (!e->decision.rule) {
		put(to, "stays in %s: no rule %s\n", e->policy->tiers[e->tier].name,
		    e->n_rules ? "that decides holds" : "is for it");
	} else if (e->decision.action == POLICY_STAY) {
		put(to, "stays in %s: kept (%s)\n", e->policy->tiers[e->tier].name,
		    e->decision.rule->name);
	} else {
		action = explain_action(e->policy, e->decision.rule);
		put(to, "%s (%s)\n", action, e->decision.rule->name);
	}
	free(action);
}

/* What the rules that do not hold yet will do, and when. */
static void put_next(const struct explanation *e, FILE *to)
{
	bool any = false;

	for (size_t i = 0; i < e->n_rules && !explain_is_due(e); i++) {
		const struct explain_rule *rule = &e->rules[i];
		const struct explain_wait *wait = &rule->wait;
		char *action;

		if (!wait->by_time && !wait->by_attempts)
			continue;
		action = explain_action(e->policy, rule->rule);
		label(to, any ? "" : "next");
		if (wait->by_attempts)
			put(to, "after %u more attempt%s", wait->more,
			    units_plural(wait->more, "", "s"));
		if (wait->by_attempts && wait->then != INT64_MIN) {
			put(to, ", not before ");
			put_moment(e, to, wait->then);
		}
		if (wait->by_time) {
			put(to, wait->by_attempts ? ", or at " : "at ");
			put_moment(e, to, wait->at);
		}
		put(to, ": %s (%s)\n", action, rule->rule->name);
		free(action);
		any = true;
	}
}

static void put_blockers(const struct explanation *e, FILE *to)
{
	bool due = explain_is_due(e), blocked = false;
	const char *last = NULL;

	for (size_t i = 0; i < e->n_blockers; i++) {
		const struct explain_blocker *blocker = &e->blockers[i];
		const char *name = blocker->now ? "blocked" : "note";

		label(to, last && strcmp(last, name) == 0 ? "" : name);
		put(to, "%s%s%s\n", blocker->text, *blocker->remedy ? ": " : "", blocker->remedy);
		last = name;
		blocked |= blocker->now;
	}
	if (due && !blocked && e->at == e->now && e->inspected->place->dir) {
		label(to, "blocked");
		put(to, "by nothing that can be seen from here; should it stay, its "
			"message-refused event says why\n");
	}
}

static void put_outside(const struct explanation *e, FILE *to)
{
	label(to, "tier");
	put(to, "none: it stands in no tier of the policy; see its rules with --tier");
	for (size_t i = 0; i < e->policy->n_tiers; i++)
		put(to, "%s %s", i ? "," : "", e->policy->tiers[i].name);
	put(to, "\n");
}

void explain_text(const struct explanation *e, FILE *to)
{
	const struct inspect_place *place = e->inspected->place;

	put(to, "%s", place->id);
	if (place->dir)
		put(to, " in %s", e->policy->tiers[e->tier].name);
	else if (e->has_tier)
		put(to, " as if it stood in %s", e->policy->tiers[e->tier].name);
	put(to, "\n");
	put_message(e, to);
	if (e->judged) {
		put(to, "\n");
		put_rules(e, to);
		put(to, "\n");
		put_decision(e, to);
		put_next(e, to);
	} else if (!e->has_tier) {
		put_outside(e, to);
	}
	put_blockers(e, to);
	if (!place->dir && e->inspected->trouble != TROUBLE_NONE) {
		label(to, "unreadable");
		put(to, "%s\n", trouble_text(e->inspected->trouble));
	}
}
