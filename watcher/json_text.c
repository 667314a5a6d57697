/* json_text.c - see json_text.h */
#include "qfwatch/json_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qfwatch/clock.h"
#include "qfwatch/json_line.h"
#include "qfwatch/xalloc.h"

void json_text_free(struct json_text *text)
{
	free(text->bytes);
	*text = (struct json_text){0};
}

char *json_text_room(struct json_text *text, size_t bytes)
{
	size_t room = text->room ? text->room : 1024;

	while (room - text->length < bytes)
		room *= 2;
	if (room != text->room) {
		text->bytes = xreallocarray(text->bytes, room, 1);
		text->room = room;
	}
	return text->bytes + text->length;
}

void json_text_bytes(struct json_text *text, const char *bytes, size_t length)
{
	/* Nothing may have no address: memcpy asks for one. */
	if (!length)
		return;
	memcpy(json_text_room(text, length), bytes, length);
	text->length += length;
}

void json_text_add(struct json_text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length <= 0)
		return;
	va_start(arguments, format);
	vsnprintf(json_text_room(text, (size_t)length + 1), (size_t)length + 1, format, arguments);
	va_end(arguments);
	text->length += (size_t)length;
}

void json_text_slice(struct json_text *text, const char *bytes, size_t length)
{
	/* A control character takes six bytes, a byte that is no UTF-8 three. */
	size_t most = length * 6 + 2;
	struct json_line line = {.buffer = json_text_room(text, most), .size = most};

	json_line_string(&line, bytes, length, most);
	text->length += line.length;
}

void json_text_string(struct json_text *text, const char *string)
{
	if (string)
		json_text_slice(text, string, strlen(string));
	else
		json_text_bytes(text, "null", 4);
}

void json_text_time(struct json_text *text, int64_t time)
{
	time_t seconds = (time_t)(time / CLOCK_SECOND);
	struct tm utc;

	if (!time || !gmtime_r(&seconds, &utc)) {
		json_text_bytes(text, "null", 4);
		return;
	}
	json_text_add(text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", utc.tm_year + 1900,
		      utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		      (int)(time % CLOCK_SECOND / 1000));
}

void json_text_print(const char *string, FILE *to)
{
	struct json_text text = {0};

	json_text_string(&text, string);
	fwrite(text.bytes, 1, text.length, to);
	json_text_free(&text);
}
