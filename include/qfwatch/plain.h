/* plain.h - texts that come from anywhere, for a terminal: what it would obey rather than show
 * (control characters, C1 among them, changes of direction) is shown as \x1b or \u202e. Pure.
 */
#ifndef QFWATCH_PLAIN_H
#define QFWATCH_PLAIN_H

#include <stdbool.h>
#include <stddef.h>

/* Appends UTF-8 to a buffer that is NUL-terminated, and stays so; cut at a character. Bytes that
 * are no UTF-8 are shown as \x81. Returns the characters that were added. */
int plain_add(char *buffer, size_t size, const char *text);

/* Makes a text harmless where it stands: each such byte or character becomes "?". */
void plain_mask(char *text);

/* Cuts a text to so many characters; one that was cut ends with "~". */
void plain_cut(char *text, size_t characters);

/* How many characters it has. */
size_t plain_width(const char *text);

#endif
