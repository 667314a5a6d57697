/* suggest.h - "did you mean": the nearest of a few known words. Inside policy/ only. Pure. */
#ifndef QFWATCH_POLICY_SUGGEST_H
#define QFWATCH_POLICY_SUGGEST_H

#include <stddef.h>

/* Set `word`, leave the rest zero, offer the candidates; `best` is then the nearest one, or NULL if
 * none is near enough to be a slip of the hand. All strings are borrowed. */
struct suggestion {
	const char *word;
	const char *best;
	size_t distance;
};

void suggest_offer(struct suggestion *suggestion, const char *candidate);

#endif
