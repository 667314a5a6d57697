/* wildcard.h - one text with wildcards, compared with a whole text of any bytes.
 *
 * Inside policy/ only. What the operator may write:
 *	*	any bytes, also none
 *	?	one byte
 *	[abc]	one of these bytes; [a-z] a range; [!abc] or [^abc] any other byte. A "]" that
 *stands first and a "-" that stands first or last mean themselves. ASCII only: a letter such as "ä"
 *is several bytes, of which a bracket would take one \	the next character means itself, also inside
 *brackets ASCII letters match in either case. Outside of brackets other bytes stand for themselves.
 *
 * Comparing takes at most length of the text * the longest stretch between two "*" steps, whatever
 * the number of "*"; what stands before the first and behind the last is looked at once.
 */
#ifndef QFWATCH_POLICY_WILDCARD_H
#define QFWATCH_POLICY_WILDCARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"

struct wildcard {
	/* Where there is no wildcard: the text without escapes, in lower case; else NULL. */
	const char *literal;
	size_t length; /* of the literal */
	/* Else the items: see wildcard.c. */
	const uint16_t *items;
	const struct byte_set *sets;
	size_t count;
	size_t head;  /* items before the first star */
	size_t tail;  /* items behind the last one */
	size_t bytes; /* that a match has at least */
	bool starred;
};

/* Reads a text with wildcards. Returns 0 and fills *ret, whose parts belong to the pool; -EINVAL
 * with words for the operator in error[size]; or -ENOMEM. */
int wildcard_parse(struct pool *pool, const char *text, struct wildcard *ret, char *error,
		   size_t size);

/* Does the whole of text[length] match? Any bytes, NUL among them. Literals are compared too. */
bool wildcard_match(const struct wildcard *wildcard, const char *text, size_t length);

/* Does every text match ("*", "**")? */
bool wildcard_matches_all(const struct wildcard *wildcard);

/* The byte in ASCII lower case, as literals are kept. */
static inline unsigned char wildcard_fold(char byte)
{
	unsigned char b = (unsigned char)byte;

	return b >= 'A' && b <= 'Z' ? (unsigned char)(b | 0x20) : b;
}

#endif
