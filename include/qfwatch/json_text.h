/* json_text.h - JSON of any length, written piece by piece into memory that grows. For answers;
 * json_line.h does the same within a bound, and says what becomes of bytes that are no UTF-8. */
#ifndef QFWATCH_JSON_TEXT_H
#define QFWATCH_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Zero-initialise; ends with json_text_free. */
struct json_text {
	char *bytes;
	size_t length, room;
};

void json_text_free(struct json_text *text); /* also empties it */

/* As is: punctuation, keys of our own, and numbers. */
void json_text_add(struct json_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void json_text_bytes(struct json_text *text, const char *bytes, size_t length);

/* A quoted string. json_text_string takes NULL, which becomes null. */
void json_text_string(struct json_text *text, const char *string);
void json_text_slice(struct json_text *text, const char *bytes, size_t length);

/* A quoted string, straight to a stream. NULL becomes null. */
void json_text_print(const char *string, FILE *to);

/* "2026-11-24T18:00:00.123Z"; null for 0. Microseconds since the epoch. */
void json_text_time(struct json_text *text, int64_t time);

/* Room for so many bytes at bytes + length, for those who write themselves; they add to length. */
char *json_text_room(struct json_text *text, size_t bytes);

#endif
