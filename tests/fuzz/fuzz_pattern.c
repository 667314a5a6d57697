/* fuzz_pattern.c - any glob, any regular expression, any text: reading and comparing end soon, and
 * globs mean what a slow and simple reading of them means.
 *
 * A libFuzzer target. The input is a glob, a newline, a regular expression, a newline, and the
 * text.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../policy/pattern.h"
#include "../../policy/wildcard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Past these an input says nothing new. */
enum { MAX_PATTERN = 200, MAX_TEXT = 1000 };

/* Not assert(3): it must hold whatever NDEBUG says. */
static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_pattern: does not hold: %s\n", what);
	abort();
}

/* ---- the slow and simple reading ---------------------------------------------------------------
 */

static unsigned char lower(unsigned char byte)
{
	return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte + 'a' - 'A') : byte;
}

/* Does the item at glob, no star, take that byte? Sets *ret_next behind it. The glob is sound. */
static bool takes(const char *glob, unsigned char byte, const char **ret_next)
{
	bool inverted = false, has = false;

	if (*glob == '?') {
		*ret_next = glob + 1;
		return true;
	}
	if (*glob != '[') {
		glob += *glob == '\\';
		*ret_next = glob + 1;
		return lower((unsigned char)*glob) == lower(byte);
	}
	glob++;
	if (*glob == '!' || *glob == '^') {
		inverted = true;
		glob++;
	}
	for (bool first = true; *glob != ']' || first; first = false) {
		unsigned char from, to;

		glob += *glob == '\\';
		from = to = (unsigned char)*glob++;
		if (glob[0] == '-' && glob[1] != ']') {
			glob++;
			glob += *glob == '\\';
			to = (unsigned char)*glob++;
		}
		for (unsigned int i = from; i <= to; i++)
			has |= lower((unsigned char)i) == lower(byte);
	}
	*ret_next = glob + 1;
	return has != inverted;
}

/* One row for the texts that begin with nothing, one byte, two...: which are matched by the items
 * read so far? */
static bool slowly(const char *glob, const char *text, size_t length)
{
	bool row[MAX_TEXT + 1] = {true};

	while (*glob) {
		const char *next = glob + 1;

		if (*glob == '*') {
			for (size_t i = 1; i <= length; i++)
				row[i] |= row[i - 1];
		} else {
			(void)takes(glob, 0, &next);
			for (size_t i = length; i > 0; i--)
				row[i] = row[i - 1] &&
					 takes(glob, (unsigned char)text[i - 1], &next);
			row[0] = false;
		}
		glob = next;
	}
	return row[length];
}

/* ---- what must hold ----------------------------------------------------------------------------
 */

static struct pattern_set *new_set(struct pool *pool, size_t room)
{
	struct pattern_set *set = NULL;

	must(pattern_set_new(pool, room, &set) == 0, "memory");
	return set;
}

static void check_refusal(int r, const char *error, size_t size)
{
	must(r == -EINVAL, "a pattern is sound or invalid");
	must(error[0] && strlen(error) < size, "what is refused has words");
}

static bool check_glob(struct pool *pool, const char *glob, const char *text, size_t length)
{
	char error[PATTERN_ERROR_TEXT] = "";
	enum pattern_verdict verdict;
	struct pattern_set *set = new_set(pool, 1);
	char *other;
	int r;

	r = pattern_add_glob(set, glob, error, sizeof(error));
	if (r < 0) {
		check_refusal(r, error, sizeof(error));
		must(pattern_count(set) == 0, "what is refused is not there");
		return false;
	}
	must(!error[0], "what is taken has no words");
	must(strcmp(pattern_text(set, 0, NULL), glob) == 0, "told as it was written");
	verdict = pattern_match(set, text, length, NULL);
	must(verdict == (slowly(glob, text, length) ? PATTERN_YES : PATTERN_NO),
	     "the same by the simple reading");
	if (pattern_matches_all(set))
		must(verdict == PATTERN_YES, "matches all");

	other = malloc(length + 1);
	must(other != NULL, "memory");
	for (size_t i = 0; i < length; i++)
		other[i] = (char)wildcard_fold(text[i]);
	must(pattern_match(set, other, length, NULL) == verdict, "case does not matter");
	free(other);
	return true;
}

static bool check_regex(struct pool *pool, const char *regex, const char *text, size_t length)
{
	char error[PATTERN_ERROR_TEXT] = "";
	const struct pool_block *last;
	struct pattern_set *set = new_set(pool, 1);
	enum pattern_verdict verdict;
	int r;

	r = pattern_add_regex(set, regex, error, sizeof(error));
	if (r < 0) {
		check_refusal(r, error, sizeof(error));
		return false;
	}
	last = pool->blocks;
	verdict = pattern_match(set, text, length, NULL);
	must(pattern_match(set, text, length, NULL) == verdict, "the same again");
	must(pool->blocks == last, "comparing keeps nothing");
	return true;
}

static void check_both(struct pool *pool, const char *glob, const char *regex, const char *text,
		       size_t length)
{
	enum pattern_verdict first, second, both;
	struct pattern_set *one = new_set(pool, 1), *other = new_set(pool, 1);
	struct pattern_set *set = new_set(pool, 2);
	char error[PATTERN_ERROR_TEXT];
	size_t which = 42;

	must(pattern_add_glob(one, glob, error, sizeof(error)) == 0 &&
		     pattern_add_regex(other, regex, error, sizeof(error)) == 0 &&
		     pattern_add_glob(set, glob, error, sizeof(error)) == 0 &&
		     pattern_add_regex(set, regex, error, sizeof(error)) == 0,
	     "what was taken is taken again");
	must(pattern_add_glob(set, glob, error, sizeof(error)) == -ENOSPC, "full");
	first = pattern_match(one, text, length, NULL);
	second = pattern_match(other, text, length, NULL);
	both = pattern_match(set, text, length, &which);
	must(both == (first == PATTERN_YES ? first : second), "any of them");
	must(which == (both == PATTERN_NO ? 42u : first != PATTERN_YES), "the one that matched");
}

/* The part before the next newline as a string, cut at a NUL; moves *at behind the newline. */
static char *next_part(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *newline = memchr(*at, '\n', (size_t)(end - *at));
	size_t length = (size_t)((newline ? newline : end) - *at);
	char *part = strndup((const char *)*at, length < MAX_PATTERN ? length : MAX_PATTERN);

	must(part != NULL, "memory");
	*at = newline ? newline + 1 : end;
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	struct pool pool = {0};
	char *glob, *regex, *text;
	size_t length;
	bool sound;

	if (!size)
		return 0;
	glob = next_part(&data, end);
	regex = next_part(&data, end);
	length = (size_t)(end - data) < MAX_TEXT ? (size_t)(end - data) : MAX_TEXT;
	/* Of its own, so that a step past its end is seen. */
	text = malloc(length ? length : 1);
	must(text != NULL, "memory");
	if (length)
		memcpy(text, data, length);

	sound = check_glob(&pool, glob, text, length);
	sound &= check_regex(&pool, regex, text, length);
	if (sound)
		check_both(&pool, glob, regex, text, length);
	pool_free(&pool);
	free(text);
	free(regex);
	free(glob);
	return 0;
}
