/* phrase.c - see phrase.h */
#include "qfwatch/phrase.h"

void phrase_last_digits(char *to, unsigned count, uint64_t number)
{
	while (count--) {
		to[count] = (char)('0' + number % 10);
		number /= 10;
	}
}

size_t phrase_digits(char to[static PHRASE_DIGITS_MAX], uint64_t number)
{
	unsigned count = 1;

	/* 10^19 is the largest power that fits. */
	for (uint64_t power = 10; count < PHRASE_DIGITS_MAX && number >= power; power *= 10)
		count++;
	phrase_last_digits(to, count, number);
	return count;
}

void phrase_uint(struct phrase *phrase, uint64_t number)
{
	char digits[PHRASE_DIGITS_MAX];

	phrase_bytes(phrase, digits, phrase_digits(digits, number));
}

void phrase_int(struct phrase *phrase, int64_t number)
{
	if (number < 0)
		phrase_add(phrase, "-");
	/* Unsigned, because the smallest int64_t has no positive counterpart. */
	phrase_uint(phrase, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}
