/* suggest.c - the nearest of a few known words, by the slips that fingers make.
 *
 * The distance is the number of letters to insert, drop or change and of neighbours to swap
 * (optimal string alignment). Letters that differ in case alone count as equal: the language is
 * case-sensitive, the operator's mistake is not.
 */
#include "suggest.h"

#include <string.h>

/* Longer words than any key or tier name need no suggestion; it also keeps the rows small. */
#define MAX_WORD 64

/* tolower(3) asks the locale. */
static unsigned char fold(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static unsigned minimum(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Row i of the table holds the distances of the first i letters of `a` to every beginning of `b`.
 * The swap looks two rows back, so three are kept, in turn. Both are at most MAX_WORD long. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[3][MAX_WORD + 1];

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned change = last[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));

			row[j] = minimum(change, minimum(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]))
				row[j] = minimum(row[j], before[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

void suggest_offer(struct suggestion *suggestion, const char *candidate)
{
	size_t a = strlen(suggestion->word), b = strlen(candidate), longer = a > b ? a : b;
	size_t near;

	if (longer > MAX_WORD || longer < 2)
		return;
	near = distance(suggestion->word, a, candidate, b);
	/* One slip in three letters; in two letters one. */
	if (near > (longer < 3 ? 1 : longer / 3))
		return;
	if (suggestion->best && suggestion->distance <= near)
		return;
	suggestion->best = candidate;
	suggestion->distance = near;
}
