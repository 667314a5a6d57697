/* text.c - a piece of a message, and the quoting of what an operator wrote. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_MAX 60
#define LIST_MAX  400

void text_vadd(struct text *text, const char *format, va_list arguments)
{
	size_t room = sizeof(text->bytes) - text->length;
	int written = vsnprintf(text->bytes + text->length, room, format, arguments);

	if (written > 0)
		text->length += (size_t)written < room ? (size_t)written : room - 1;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text_vadd(text, format, arguments);
	va_end(arguments);
}

/* Length of the character that begins at bytes, 1 to 4; not more than `left`, and no further than
 * bytes that go on: what follows half a character is one of its own. */
static size_t character_length(const char *bytes, size_t left)
{
	unsigned char first = (unsigned char)bytes[0];
	size_t most = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1, length = 1;

	while (length < most && length < left && ((unsigned char)bytes[length] & 0xc0) == 0x80)
		length++;
	return length;
}

/* The code of a control character that begins at bytes, or -1. */
static int control_code(const char *bytes, size_t length)
{
	unsigned char first = (unsigned char)bytes[0];
	unsigned char second = length > 1 ? (unsigned char)bytes[1] : 0;

	if (first < 0x20 || first == 0x7f)
		return first;
	return first == 0xc2 && second >= 0x80 && second < 0xa0 ? second : -1;
}

static void quote_character(struct text *text, const char *bytes, size_t length, bool source)
{
	int control = control_code(bytes, length);

	if (control == '\n')
		text_add(text, "\\n");
	else if (control == '\t')
		text_add(text, "\\t");
	else if (control >= 0)
		text_add(text, "\\u%04x", (unsigned)control);
	else if (!source && (bytes[0] == '"' || bytes[0] == '\\'))
		text_add(text, "\\%c", bytes[0]);
	else
		text_add(text, "%.*s", (int)length, bytes);
}

static void quote(struct text *text, const char *bytes, size_t length, bool source)
{
	size_t start = text->length, at = 0;

	text_add(text, "\"");
	while (at < length && text->length - start < QUOTE_MAX) {
		size_t step = character_length(bytes + at, length - at);

		quote_character(text, bytes + at, step, source);
		at += step;
	}
	text_add(text, at < length ? "...\"" : "\"");
}

void text_quote(struct text *text, const char *bytes, size_t length)
{
	quote(text, bytes, length, false);
}

void text_quote_source(struct text *text, const char *bytes, size_t length)
{
	quote(text, bytes, length, true);
}

void text_list(struct text *text, const char *word)
{
	static const char more[] = ", ...";

	if (text->length > LIST_MAX) {
		if (strcmp(text->bytes + text->length - strlen(more), more) != 0)
			text_add(text, "%s", more);
		return;
	}
	if (text->length)
		text_add(text, ", ");
	text_quote(text, word, strlen(word));
}

bool text_has_control(const char *string)
{
	for (; *string; string++) {
		if (control_code(string, 2) >= 0)
			return true;
	}
	return false;
}
