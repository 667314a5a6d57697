/* explain_json.c - an explanation for programs: one line of JSON. See explain.h.
 *
 * Written by json_line.h, which takes bytes that are no UTF-8; into a buffer that grows until the
 * line is whole.
 */
#include "qfwatch/explain.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/compare.h"
#include "qfwatch/json_line.h"
#include "qfwatch/moment.h"
#include "qfwatch/xalloc.h"

#define FIRST_SIZE     (16 * 1024)
#define MAX_RECIPIENTS 100

/* ---- pieces: each with the comma before it that it needs ---- */

static void key(struct json_line *line, const char *name)
{
	char last = line->length ? line->buffer[line->length - 1] : '{';

	json_line_raw(line, last == '{' || last == '[' ? "\"" : ",\"");
	json_line_raw(line, name);
	json_line_raw(line, "\":");
}

static void item(struct json_line *line)
{
	if (line->length && line->buffer[line->length - 1] != '[')
		json_line_raw(line, ",");
}

/* A string. What many readers of JSON do not take (NUL), or terminals obey (the C1 controls, two
 * bytes in UTF-8), becomes what is no UTF-8, and so U+FFFD. */
static void add_string(struct json_line *line, const char *bytes, size_t length)
{
	char *copy = xcalloc(length + 1, 1);

	for (size_t i = 0; i < length; i++) {
		bool c1 = bytes[i] == '\xc2' && i + 1 < length &&
			  (unsigned char)bytes[i + 1] >= 0x80 && (unsigned char)bytes[i + 1] < 0xa0;

		copy[i] = c1 || !bytes[i] ? '\xff' : bytes[i];
	}
	json_line_string(line, copy, length, SIZE_MAX);
	free(copy);
}

static void add_bytes(struct json_line *line, const char *name, const char *bytes, size_t length)
{
	key(line, name);
	add_string(line, bytes, length);
}

static void add_text(struct json_line *line, const char *name, const char *text)
{
	add_bytes(line, name, text, strlen(text));
}

static void add_bool(struct json_line *line, const char *name, bool value)
{
	key(line, name);
	json_line_raw(line, value ? "true" : "false");
}

static void add_number(struct json_line *line, const char *name, uint64_t value)
{
	key(line, name);
	json_line_uint(line, value);
}

static void add_moment(struct json_line *line, const char *name, int64_t seconds)
{
	char text[MOMENT_TEXT];

	add_text(line, name, moment_utc(seconds, text, sizeof text));
}

static const char *word_of(enum policy_truth truth)
{
	return truth == POLICY_YES	? "yes"
	       : truth == POLICY_NO	? "no"
	       : truth == POLICY_COSTLY ? "given-up"
					: "unknown";
}

/* ---- the message ---- */

static void add_locked(struct json_line *line, const char *name, const char *holds,
		       const struct locked *locked)
{
	key(line, name);
	json_line_raw(line, "{");
	add_bool(line, holds, locked->held);
	if (locked->pid) {
		add_number(line, "pid", (uint64_t)locked->pid);
		add_text(line, "program", locked->program);
		if (locked->title[0])
			add_text(line, "title", locked->title);
	}
	json_line_raw(line, "}");
}

static void add_recipients(struct json_line *line, const struct policy_text *text)
{
	key(line, "recipients");
	json_line_raw(line, "{");
	add_number(line, "count", text->n_recipients);
	key(line, "addresses");
	json_line_raw(line, "[");
	for (size_t i = 0; i < text->n_recipients && i < MAX_RECIPIENTS; i++) {
		item(line);
		add_string(line, text->recipients[i].bytes, text->recipients[i].length);
	}
	json_line_raw(line, "]}");
}

static void add_fields(struct json_line *line, const struct inspected *inspected)
{
	const struct policy_text *text = &inspected->text;

	key(line, "fields");
	json_line_raw(line, "{");
	if (inspected->trouble == TROUBLE_NONE) {
		add_moment(line, "created", inspected->file.created);
		add_number(line, "attempts", inspected->file.attempts);
		if (inspected->file.last_attempt)
			add_moment(line, "last_attempt", inspected->file.last_attempt);
		if (text->has_sender)
			add_bytes(line, "sender", text->sender.bytes, text->sender.length);
		add_recipients(line, text);
		add_bytes(line, "status", text->status.bytes, text->status.length);
		add_bool(line, "data_elsewhere", inspected->file.data_elsewhere);
	} else {
		add_text(line, "trouble", trouble_text(inspected->trouble));
	}
	if (inspected->has_size)
		add_number(line, "size", (uint64_t)inspected->body.st_size);
	add_bool(line, "quarantined", inspected->quarantined);
	json_line_raw(line, "}");
}

/* ---- the rules ---- */

static void add_conditions(struct json_line *line, const struct explanation *e,
			   const struct policy_condition *conditions, size_t count)
{
	key(line, "conditions");
	json_line_raw(line, "[");
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *condition = explain_unwrap(&conditions[i]);
		char text[COMPARE_TEXT];
		int64_t next;

		item(line);
		json_line_raw(line, "{");
		add_text(line, "text",
			 compare_text(condition, &e->facts, e->at, text, sizeof text));
		add_text(line, "holds", word_of(policy_match(condition, &e->facts, e->at, &next)));
		if (condition->n_children)
			add_conditions(line, e, condition->children, condition->n_children);
		json_line_raw(line, "}");
	}
	json_line_raw(line, "]");
}

static void add_wait(struct json_line *line, const struct explain_wait *wait)
{
	key(line, "waits_for");
	json_line_raw(line, "{");
	if (wait->by_attempts)
		add_number(line, "attempts", wait->more);
	if (wait->by_attempts && wait->then != INT64_MIN)
		add_moment(line, "not_before", wait->then);
	if (wait->by_time)
		add_moment(line, "at", wait->at);
	json_line_raw(line, "}");
}

static void add_rules(struct json_line *line, const struct explanation *e)
{
	key(line, "rules");
	json_line_raw(line, "[");
	for (size_t i = 0; i < e->n_rules; i++) {
		const struct explain_rule *rule = &e->rules[i];
		char *action = explain_action(e->policy, rule->rule);

		item(line);
		json_line_raw(line, "{");
		add_text(line, "name", rule->rule->name);
		add_text(line, "does", action);
		add_text(line, "holds", word_of(rule->holds));
		add_bool(line, "reached", rule->reached);
		add_bool(line, "decides", rule->decides);
		if (rule->wait.by_time || rule->wait.by_attempts)
			add_wait(line, &rule->wait);
		add_conditions(line, e, rule->rule->conditions, rule->rule->n_conditions);
		json_line_raw(line, "}");
		free(action);
	}
	json_line_raw(line, "]");
}

static const char *action_word(const struct policy_decision *decision)
{
	if (decision->unknown)
		return "unknown";
	return decision->rule ? policy_action_word(decision->action) : "stay";
}

static void add_decision(struct json_line *line, const struct explanation *e)
{
	const struct policy_decision *decision = &e->decision;

	key(line, "decision");
	json_line_raw(line, "{");
	add_text(line, "action", action_word(decision));
	if (decision->rule)
		add_text(line, "rule", decision->rule->name);
	if (decision->action == POLICY_MOVE)
		add_text(line, "target", e->policy->tiers[decision->target].name);
	if (decision->unknown && e->otherwise)
		add_text(line, "otherwise", e->otherwise->name);
	if (decision->again != POLICY_NEVER)
		add_moment(line, "again", decision->again);
	json_line_raw(line, "}");
}

static void add_blockers(struct json_line *line, const struct explanation *e)
{
	key(line, "blockers");
	json_line_raw(line, "[");
	for (size_t i = 0; i < e->n_blockers; i++) {
		const struct explain_blocker *blocker = &e->blockers[i];

		item(line);
		json_line_raw(line, "{");
		add_text(line, "kind", blocker->kind);
		add_bool(line, "now", blocker->now);
		add_text(line, "text", blocker->text);
		if (*blocker->remedy)
			add_text(line, "remedy", blocker->remedy);
		json_line_raw(line, "}");
	}
	json_line_raw(line, "]");
}

/* ---- the line ---- */

static void add_explanation(struct json_line *line, const struct explanation *e)
{
	const struct inspect_place *place = e->inspected->place;

	json_line_raw(line, "{");
	add_text(line, "id", place->id);
	if (e->has_tier)
		add_text(line, "tier", e->policy->tiers[e->tier].name);
	if (place->dir)
		add_text(line, "directory", place->dir->path);
	add_text(line, "file", place->path);
	add_bool(line, "in_tier", place->dir);
	add_moment(line, "at", e->at);
	add_fields(line, e->inspected);
	add_locked(line, "lock", "held", &e->inspected->lock);
	if (place->dir)
		add_locked(line, "daemon", "running", &e->daemon);
	if (e->judged) {
		add_rules(line, e);
		add_decision(line, e);
	}
	add_blockers(line, e);
	json_line_raw(line, "}\n");
}

void explain_json(const struct explanation *explanation, FILE *to)
{
	struct json_line line = {.size = FIRST_SIZE};
	char *buffer = NULL;

	do {
		line.size *= 2;
		buffer = xreallocarray(buffer, line.size, 1);
		line = (struct json_line){.buffer = buffer, .size = line.size};
		add_explanation(&line, explanation);
	} while (line.truncated);
	fwrite(buffer, 1, line.length, to);
	free(buffer);
}

void explain_json_missing(const char *word, const char *why, FILE *to)
{
	size_t size = 6 * (strlen(word) + strlen(why)) + 64;
	char *buffer = xcalloc(size, 1);
	struct json_line line = {.buffer = buffer, .size = size};

	json_line_raw(&line, "{");
	add_text(&line, "word", word);
	add_text(&line, "error", why);
	json_line_raw(&line, "}\n");
	fwrite(buffer, 1, line.length, to);
	free(buffer);
}
