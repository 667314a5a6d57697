/* any_event.h - any bytes as a qf, and what stands in them as an event: its line must be JSON in
 * UTF-8 of at most 4096 bytes, whatever they are. For fuzz_events.c and test_events_random.c, hence
 * all here and static.
 *
 * The check of a line is our own: what wrote it and jansson could agree on something wrong, and a
 * million lines take it seconds.
 */
#ifndef QFWATCH_ANY_EVENT_H
#define QFWATCH_ANY_EVENT_H

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/events.h"
#include "qfwatch/qfile.h"

/* ---- a line, strictly by RFC 8259 ---- */

static inline const unsigned char *any_value(const unsigned char *at, const unsigned char *end,
					     unsigned depth);

/* One character of UTF-8 by RFC 3629, behind which it returns; NULL: it is none. */
static inline const unsigned char *any_utf8(const unsigned char *at, const unsigned char *end)
{
	unsigned more = *at < 0x80 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
	unsigned code = more ? *at & (0x3f >> more) : *at;
	static const unsigned least[] = {0, 0x80, 0x800, 0x10000};

	if ((*at >= 0x80 && *at < 0xc2) || *at > 0xf4 || end - at <= (long)more)
		return NULL;
	for (unsigned i = 1; i <= more; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return NULL;
		code = code << 6 | (at[i] & 0x3f);
	}
	return code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)
		       ? NULL
		       : at + more + 1;
}

static inline const unsigned char *any_string(const unsigned char *at, const unsigned char *end)
{
	if (at == end || *at++ != '"')
		return NULL;
	while (at && at < end && *at != '"') {
		if (*at < 0x20 || *at == 0x7f) {
			return NULL;
		} else if (*at != '\\') {
			at = any_utf8(at, end);
		} else if (end - at > 1 && strchr("\"\\/bfnrt", at[1]) && at[1]) {
			at += 2;
		} else if (end - at > 5 && at[1] == 'u') {
			for (unsigned i = 2; i < 6; i++)
				if (!strchr("0123456789abcdef", at[i]) || !at[i])
					return NULL;
			at += 6;
		} else {
			return NULL;
		}
	}
	return at && at < end ? at + 1 : NULL;
}

/* A whole number below 2^53. */
static inline const unsigned char *any_number(const unsigned char *at, const unsigned char *end)
{
	unsigned long long value = 0;
	const unsigned char *first;

	if (at < end && *at == '-')
		at++;
	first = at;
	for (; at < end && *at >= '0' && *at <= '9' && at - first < 17; at++)
		value = value * 10 + (*at - '0');
	return at == first || (*first == '0' && at - first > 1) || value >> 53 ? NULL : at;
}

static inline const unsigned char *any_list(const unsigned char *at, const unsigned char *end,
					    unsigned depth)
{
	unsigned char close = *at == '{' ? '}' : ']';

	if (++at < end && *at == close)
		return at + 1;
	for (; at && at < end; at++) {
		if (close == '}') {
			at = any_string(at, end);
			if (!at || at == end || *at++ != ':')
				return NULL;
		}
		at = any_value(at, end, depth + 1);
		if (!at || at == end)
			return NULL;
		if (*at == close)
			return at + 1;
		if (*at != ',')
			return NULL;
	}
	return NULL;
}

static inline const unsigned char *any_value(const unsigned char *at, const unsigned char *end,
					     unsigned depth)
{
	if (at == end || depth > 8)
		return NULL;
	if (*at == '{' || *at == '[')
		return any_list(at, end, depth);
	if (*at == '"')
		return any_string(at, end);
	if (end - at > 4 && memcmp(at, "true", 4) == 0)
		return at + 4;
	return any_number(at, end);
}

/* Ends the program if the line is not as it must be. */
static inline void any_line_check(const char *line, size_t length, bool thoroughly)
{
	const unsigned char *at = (const unsigned char *)line, *end = at + length - 1;
	bool good = length > 2 && length <= EVENTS_LINE_MAX && *end == '\n' && *at == '{' &&
		    any_value(at, end, 0) == end;

	/* It knows a key that stands twice, too. */
	if (good && thoroughly) {
		json_t *json =
			json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

		good = json_is_object(json) && json_object_get(json, "qfwatch");
		json_decref(json);
	}
	if (good)
		return;
	fprintf(stderr, "%zu bytes, not a line as it must be: %.*s\n", length, (int)length, line);
	abort();
}

/* ---- a qf as an event ---- */

#define ANY_RECIPIENTS 8

/* Texts cut out of the bytes, each NUL-terminated. */
struct any_texts {
	char bytes[3 * 2048 + ANY_RECIPIENTS * 512];
	size_t used;
};

static inline const char *any_text(struct any_texts *texts, const char *from, size_t length,
				   size_t most)
{
	char *text = texts->bytes + texts->used;

	if (length > most - 1)
		length = most - 1;
	if (texts->used + length >= sizeof(texts->bytes))
		return "";
	memcpy(text, from, length);
	text[length] = 0;
	texts->used += length + 1;
	return text;
}

/* Fills the event with what the lines of a qf say, as the engine would, but without asking whether
 * it is a sound one: the worst has to go through. */
static inline void any_event_fill(const char *qf, size_t length, struct event *event,
				  struct any_texts *texts, const char **recipients)
{
	const char *line = qf, *end = qf + length;

	while (line < end) {
		const char *next = memchr(line, '\n', (size_t)(end - line));
		size_t n = (size_t)((next ? next : end) - line);
		const char *colon = n ? memchr(line, ':', n) : NULL;

		if (n && *line == 'S')
			event->sender = any_text(texts, line + 1, n - 1, 512);
		else if (colon && *line == 'R' && event->n_recipients < ANY_RECIPIENTS)
			recipients[event->n_recipients++] =
				any_text(texts, colon + 1, n - (size_t)(colon + 1 - line), 512);
		else if (n && *line == 'M')
			event->reason = any_text(texts, line + 1, n - 1, 1024);
		else if (n && *line == 'H' && !event->path)
			event->path = any_text(texts, line + 1, n - 1, 1024);
		else if (n && *line == '$')
			event->tier = event->from = event->to = event->rule = event->remedy =
				any_text(texts, line + 1, n - 1, 300);
		line = next ? next + 1 : end;
	}
	event->recipients = recipients;
}

/* Renders the qf as an event of some kind, and checks the line. */
static inline void any_event_check(struct events *events, const char *qf, size_t length,
				   unsigned kind, bool thoroughly)
{
	const char *domains[EVENT_MAX_DOMAINS], *recipients[ANY_RECIPIENTS];
	char names[2048], line[EVENTS_LINE_MAX];
	struct any_texts texts = {.used = 0};
	struct event event = {.action = kind % EVENT_ACTIONS, .text = "", .time = 1};
	struct qfile_reader reader;
	struct qfile file = {0};

	qfile_begin(&reader);
	qfile_feed(&reader, qf, length);
	event.has_message = qfile_end(&reader, &file) == QFILE_OK || kind & 0x100;
	event.attempts = file.attempts;
	event.age = (int64_t)1795368015 - file.created;
	event.size = length;
	event.id = qf;
	event.id_length = length < 1000 ? length : 1000;
	any_event_fill(qf, length, &event, &texts, recipients);
	event.text = any_text(&texts, qf, length, 1024);
	event.n_domains = qfile_domains(qf, length, domains, EVENT_MAX_DOMAINS, names,
					sizeof(names), &event.domains_cut);
	event.domains = domains;
	event.failure = kind & 0x200;
	event.error = kind & 0x400 ? ENOSPC : 0;
	if (kind & 0x800)
		event.from = NULL;
	for (; event.n_counts < (kind >> 12) % (EVENT_MAX_COUNTS + 1); event.n_counts++)
		event.counts[event.n_counts] = (struct event_count){"messages", event.n_counts};
	any_line_check(line, events_render(events, &event, 1, 1, line),
		       thoroughly && event.n_counts < 2);
}

#endif
