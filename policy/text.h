/* text.h - a piece of a message, built in a fixed buffer, and the quoting of what an operator
 * wrote. Inside policy/ only. */
#ifndef QFWATCH_POLICY_TEXT_H
#define QFWATCH_POLICY_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise. What does not fit is cut; bytes is always NUL-terminated. */
struct text {
	char bytes[640];
	size_t length;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

void text_vadd(struct text *text, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

/* Adds a string in double quotes, control characters escaped as in JSON, cut to about 60 bytes
 * between two characters. Takes any bytes. */
void text_quote(struct text *text, const char *bytes, size_t length);

/* The same for a piece of a JSON file as it stands there: its escapes are escapes already. */
void text_quote_source(struct text *text, const char *bytes, size_t length);

/* Adds the next word of a list: "a", "b", "c"; "..." for all that come when it is long. */
void text_list(struct text *text, const char *word);

/* Has the string a control character (C0, DEL, or C1, which terminals obey as well)? */
bool text_has_control(const char *string);

#endif
