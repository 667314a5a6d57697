/* transcripts.h - which transcripts (xf) stand in one queue directory.
 *
 * A runner makes one for each attempt and removes it at the end; one that died leaves it behind.
 * Whoever moves or deletes the message removes it, and asks here first, because the look for a name
 * that is not there costs the file system as much as one for a name that is.
 *
 * A set of numbers made of the ids: to take one id for another (once in 2^64 pairs) costs a look
 * for nothing, or leaves an xf behind, which does no harm.
 */
#ifndef QFWATCH_TRANSCRIPTS_H
#define QFWATCH_TRANSCRIPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than that in one directory are not kept apart: then any message may have one. */
#define TRANSCRIPTS_MAX 16384

/* Zero-initialised: nothing is known, any message may have one. */
struct transcripts {
	bool known;
	uint64_t *places; /* 0: free */
	size_t mask;	  /* places - 1, a power of two less 1; 0 with no places */
	size_t count;
};

/* From now on it is told of each that stands there, comes or goes; and of none yet. */
void transcripts_begin(struct transcripts *transcripts);

/* Nothing is known any more. Frees what it holds. */
void transcripts_lose(struct transcripts *transcripts);

/* One came, or stands there; one went, or is known not to be there. Do nothing while nothing is
 * known. */
void transcripts_add(struct transcripts *transcripts, const char *id, size_t length);
void transcripts_remove(struct transcripts *transcripts, const char *id, size_t length);

/* False when the message certainly has none. */
bool transcripts_may_have(const struct transcripts *transcripts, const char *id, size_t length);

#endif
