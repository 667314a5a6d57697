/* feed.h - whole lines out of pieces of any size. Pure. */
#ifndef QFWATCH_FEED_H
#define QFWATCH_FEED_H

#include <stdbool.h>
#include <stddef.h>

/* A longer line ends it: what sends it is no qfwatch. */
#define FEED_MAX (64u * 1024 * 1024)

/* Set `take` and `context`, leave the rest zero; end with feed_free. A line comes without its "\n"
 * or "\r\n", NUL-terminated as well, and is good during the call. It returns false to have no more.
 */
struct feed {
	bool (*take)(void *context, char *line, size_t length);
	void *context;
	char *buffer; /* the beginning of a line */
	size_t used, room;
};

/* Returns false when `take` did, or a line is too long. */
bool feed_put(struct feed *feed, const char *bytes, size_t length);

/* What is left without a line end is one, too. */
bool feed_end(struct feed *feed);

void feed_free(struct feed *feed);

#endif
