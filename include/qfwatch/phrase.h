/* phrase.h - short texts put together piece by piece in a buffer of fixed size.
 *
 * What snprintf does with "%s" and "%llu", without reading a format: that was more than a quarter
 * of the instructions of a move, whose event needs several such texts.
 */
#ifndef QFWATCH_PHRASE_H
#define QFWATCH_PHRASE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Always ends with NUL; what does not fit is cut. */
struct phrase {
	char *buffer;
	size_t size, length; /* of the buffer; of the text, without the NUL */
};

/* An empty one. A buffer of size 0 is never touched. */
static inline struct phrase phrase_in(char *buffer, size_t size)
{
	if (size)
		buffer[0] = 0;
	return (struct phrase){.buffer = buffer, .size = size};
}

/* In the header, so that the lengths of literals are known to the compiler. */
static inline void phrase_bytes(struct phrase *phrase, const char *bytes, size_t length)
{
	size_t room = phrase->size - phrase->length;
	char *to = phrase->buffer + phrase->length;

	if (length < room) {
		memcpy(to, bytes, length);
	} else {
		if (!room)
			return;
		length = room - 1;
		memcpy(to, bytes, length);
	}
	to[length] = 0;
	phrase->length += length;
}

static inline void phrase_add(struct phrase *phrase, const char *text)
{
	phrase_bytes(phrase, text, strlen(text));
}

/* Decimal numbers. */
void phrase_uint(struct phrase *phrase, uint64_t number);
void phrase_int(struct phrase *phrase, int64_t number);

/* The digits alone, without a NUL; returns how many. */
#define PHRASE_DIGITS_MAX 20
size_t phrase_digits(char to[static PHRASE_DIGITS_MAX], uint64_t number);

/* The last `count` digits, zeros in front. */
void phrase_last_digits(char *to, unsigned count, uint64_t number);

#endif
