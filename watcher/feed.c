/* feed.c - see feed.h */
#include "qfwatch/feed.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

static bool append(struct feed *feed, const char *bytes, size_t length)
{
	if (length > FEED_MAX - feed->used)
		return false;
	if (feed->room - feed->used <= length) {
		feed->room = 2 * feed->room + length + 1;
		feed->buffer = xreallocarray(feed->buffer, feed->room, 1);
	}
	memcpy(feed->buffer + feed->used, bytes, length);
	feed->used += length;
	return true;
}

static bool hand_out(struct feed *feed)
{
	size_t length = feed->used;

	if (length && feed->buffer[length - 1] == '\r')
		length--;
	feed->buffer[length] = 0;
	feed->used = 0;
	return feed->take(feed->context, feed->buffer, length);
}

bool feed_put(struct feed *feed, const char *bytes, size_t length)
{
	const char *end = bytes + length;

	while (bytes < end) {
		const char *stop = memchr(bytes, '\n', (size_t)(end - bytes));

		if (!append(feed, bytes, (size_t)((stop ? stop : end) - bytes)))
			return false;
		if (!stop)
			break;
		if (!hand_out(feed))
			return false;
		bytes = stop + 1;
	}
	return true;
}

bool feed_end(struct feed *feed)
{
	return feed->used ? hand_out(feed) : true;
}

void feed_free(struct feed *feed)
{
	free(feed->buffer);
	feed->buffer = NULL;
	feed->used = feed->room = 0;
}
