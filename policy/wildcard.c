/* wildcard.c - texts with wildcards.
 *
 * A text becomes a row of items, one for each byte that it matches, and one for each run of stars.
 * The row is cut at its stars into stretches of a fixed length. Each stretch between two stars is
 * looked for from the left and never moved again: if the rest does not fit behind the first place
 * where it stands, it fits behind no later one either. So stars never multiply.
 */
#include "wildcard.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* An item: a byte in lower case, or one of these; from ITEM_SET on the index of a set. */
enum { ITEM_ANY = 256, ITEM_STAR, ITEM_SET };

/* As many sets as an item can number. No policy comes near it. */
#define MAX_SETS (UINT16_MAX - ITEM_SET)

struct byte_set {
	uint8_t bits[32];
};

static void set_add(struct byte_set *set, unsigned char byte)
{
	byte = wildcard_fold((char)byte);
	set->bits[byte / 8] |= (uint8_t)(1u << byte % 8);
}

static bool set_has(const struct byte_set *set, unsigned char byte)
{
	return set->bits[byte / 8] & 1u << byte % 8;
}

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t size,
							const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* One byte inside brackets, escaped or not; moves *at behind it. */
static int read_member(const char **at, unsigned char *ret, char *error, size_t size)
{
	if (**at == '\\')
		++*at;
	if (!**at)
		return refuse(error, size,
			      "a \"[\" is not closed; \"\\[\" is the character itself");
	if (**at & 0x80)
		return refuse(error, size,
			      "only ASCII characters may stand in \"[...]\": each of its parts "
			      "matches one byte");
	*ret = (unsigned char)*(*at)++;
	return 0;
}

/* What stands behind a "["; moves *at behind the "]". */
static int read_set(const char **at, struct byte_set *ret, char *error, size_t size)
{
	bool inverted = **at == '!' || **at == '^';
	bool first = true;

	memset(ret, 0, sizeof(*ret));
	if (inverted)
		++*at;
	for (; **at != ']' || first; first = false) {
		unsigned char from, to;
		int r;

		/* Taken for a set of letters it would match, and never what was meant. */
		if ((*at)[0] == '[' && (*at)[1] == ':')
			return refuse(
				error, size,
				"names such as [:digit:] are not known: write the range, [0-9]");
		r = read_member(at, &from, error, size);
		if (r < 0)
			return r;
		to = from;
		if ((*at)[0] == '-' && (*at)[1] != ']') {
			++*at;
			r = read_member(at, &to, error, size);
			if (r < 0)
				return r;
		}
		if (to < from)
			return refuse(error, size, "the range %c-%c is the wrong way round", from,
				      to);
		for (unsigned int byte = from; byte <= to; byte++)
			set_add(ret, (unsigned char)byte);
	}
	++*at;
	for (size_t i = 0; inverted && i < sizeof(ret->bits); i++)
		ret->bits[i] = (uint8_t)~ret->bits[i];
	return 0;
}

/* Reads the next item and moves *at behind it. ITEM_SET stands for any set, which is in *ret_set.
 */
static int read_item(const char **at, uint16_t *ret, struct byte_set *ret_set, char *error,
		     size_t size)
{
	char byte = *(*at)++;

	switch (byte) {
	case '*':
		while (**at == '*')
			++*at;
		*ret = ITEM_STAR;
		return 0;
	case '?':
		*ret = ITEM_ANY;
		return 0;
	case '[':
		*ret = ITEM_SET;
		return read_set(at, ret_set, error, size);
	case '\\':
		byte = *(*at)++;
		if (!byte)
			return refuse(error, size,
				      "a \"\\\" at the end escapes nothing; \"\\\\\" is the "
				      "character itself");
		break;
	default:
		break;
	}
	*ret = wildcard_fold(byte);
	return 0;
}

/* Looks through the text: is it sound, and how much room does it take? */
static int measure(const char *text, struct wildcard *wildcard, size_t *ret_sets, char *error,
		   size_t size)
{
	bool literal = true;
	size_t sets = 0;

	while (*text) {
		struct byte_set set;
		uint16_t item;
		int r = read_item(&text, &item, &set, error, size);

		if (r < 0)
			return r;
		literal &= item < ITEM_ANY;
		sets += item == ITEM_SET;
		if (item == ITEM_STAR) {
			wildcard->starred = true;
			wildcard->tail = 0;
		} else {
			wildcard->head += !wildcard->starred;
			wildcard->tail++;
			wildcard->bytes++;
		}
		wildcard->count++;
	}
	if (sets > MAX_SETS)
		return refuse(error, size, "there are too many \"[...]\" in it");
	*ret_sets = sets;
	return literal;
}

static int keep_literal(struct pool *pool, const char *text, struct wildcard *wildcard)
{
	char *literal = pool_alloc(pool, wildcard->count + 1);

	if (!literal)
		return -ENOMEM;
	for (size_t i = 0; i < wildcard->count; i++) {
		if (*text == '\\')
			text++;
		literal[i] = (char)wildcard_fold(*text++);
	}
	wildcard->literal = literal;
	wildcard->length = wildcard->count;
	return 0;
}

static int keep_items(struct pool *pool, const char *text, size_t n_sets, struct wildcard *wildcard)
{
	uint16_t *items = pool_array(pool, wildcard->count, sizeof(*items));
	/* One more: read_item always has a place to write to. */
	struct byte_set *sets = pool_array(pool, n_sets + 1, sizeof(*sets));
	size_t next = 0;

	if (!items || !sets)
		return -ENOMEM;
	for (size_t i = 0; i < wildcard->count; i++) {
		/* Read once already: it is sound. */
		(void)read_item(&text, &items[i], &sets[next], NULL, 0);
		if (items[i] == ITEM_SET)
			items[i] = (uint16_t)(ITEM_SET + next++);
	}
	wildcard->items = items;
	wildcard->sets = sets;
	return 0;
}

int wildcard_parse(struct pool *pool, const char *text, struct wildcard *ret, char *error,
		   size_t size)
{
	struct wildcard wildcard = {0};
	size_t sets = 0;
	int literal = measure(text, &wildcard, &sets, error, size);
	int r;

	if (literal < 0)
		return literal;
	r = literal ? keep_literal(pool, text, &wildcard) : keep_items(pool, text, sets, &wildcard);
	if (r == 0)
		*ret = wildcard;
	return r;
}

/* ---- comparing ---------------------------------------------------------------------------------
 */

/* Do the items [from, to), no star among them, match the bytes at text? There are as many. */
static bool fits(const struct wildcard *wildcard, size_t from, size_t to, const char *text)
{
	for (size_t i = from; i < to; i++, text++) {
		uint16_t item = wildcard->items[i];
		unsigned char byte = wildcard_fold(*text);

		if (item == byte || item == ITEM_ANY)
			continue;
		if (item < ITEM_SET || !set_has(&wildcard->sets[item - ITEM_SET], byte))
			return false;
	}
	return true;
}

/* The stretches between the first and the last star, one after the other, in text[length]. */
static bool middle_fits(const struct wildcard *wildcard, const char *text, size_t length)
{
	size_t end = wildcard->count - wildcard->tail - 1; /* the last star */
	size_t from = wildcard->head + 1;
	size_t at = 0;

	while (from < end) {
		size_t to = from;

		while (wildcard->items[to] != ITEM_STAR)
			to++;
		while (to - from <= length - at && !fits(wildcard, from, to, text + at))
			at++;
		if (to - from > length - at)
			return false;
		at += to - from;
		from = to + 1;
	}
	return true;
}

bool wildcard_match(const struct wildcard *wildcard, const char *text, size_t length)
{
	size_t head = wildcard->head, tail = wildcard->tail, count = wildcard->count;

	if (wildcard->literal) {
		if (length != wildcard->length)
			return false;
		for (size_t i = 0; i < length; i++)
			if ((char)wildcard_fold(text[i]) != wildcard->literal[i])
				return false;
		return true;
	}
	if (!wildcard->starred)
		return length == count && fits(wildcard, 0, count, text);
	return length >= wildcard->bytes && fits(wildcard, 0, head, text) &&
	       fits(wildcard, count - tail, count, text + length - tail) &&
	       middle_fits(wildcard, text + head, length - head - tail);
}

bool wildcard_matches_all(const struct wildcard *wildcard)
{
	return wildcard->starred && wildcard->count == 1;
}
