/* json_line.h - writes one JSON line of bounded length, without allocating.
 *
 * Names begin with json_line_, because jansson has a json_string. Used instead of jansson for
 * events because it has to do three things jansson does not: take bytes that are no UTF-8, stop at
 * a length and still be valid JSON, and cost about a microsecond.
 */
#ifndef QFWATCH_JSON_LINE_H
#define QFWATCH_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct json_line {
	char *buffer;
	size_t size, length; /* length never exceeds size */
	bool lossy;	     /* some bytes were no UTF-8 and became U+FFFD */
	bool truncated;	     /* some text was cut */
};

/* As is: punctuation and keys of our own. In the header, so that the lengths of literals are known
 * to the compiler. */
static inline void json_line_bytes(struct json_line *line, const char *bytes, size_t length)
{
	char *to = line->buffer + line->length;
	size_t room = line->size - line->length;

	if (length <= room) {
		memcpy(to, bytes, length);
	} else {
		memcpy(to, bytes, room);
		line->truncated = true;
		length = room;
	}
	line->length += length;
}

static inline void json_line_raw(struct json_line *line, const char *text)
{
	json_line_bytes(line, text, strlen(text));
}

/* A quoted string, of at most `cap` bytes between the quotes; a longer one is cut at a character.
 */
void json_line_string(struct json_line *line, const char *text, size_t length, size_t cap);

/* Decimal numbers. */
void json_line_uint(struct json_line *line, uint64_t value);
void json_line_int(struct json_line *line, int64_t value);

/* Is there room for so many more bytes? */
static inline bool json_line_room(const struct json_line *line, size_t bytes)
{
	return line->size - line->length >= bytes;
}

#endif
