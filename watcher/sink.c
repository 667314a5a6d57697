/* sink.c - see sink.h */
#include "qfwatch/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/log.h"
#include "qfwatch/trouble.h"
#include "qfwatch/xalloc.h"

/* How long a sink is left alone that did not take anything: a reader that is only slow is asked
 * soon, one that is gone or a disk that is full less and less often. */
#define WAIT_FIRST   INT64_C(10000)
#define WAIT_STALLED INT64_C(1000000)
#define WAIT_BROKEN  INT64_C(60000000)

struct sink *sink_new(const struct policy_sink *config)
{
	struct sink *sink = xcalloc(1, sizeof *sink);

	sink->kind = config->type == POLICY_SINK_FILE ? &sink_file : &sink_stdout;
	sink->type = config->type;
	sink->path = config->path ? xstrdup(config->path) : NULL;
	sink->name = xstrdup(config->path ? config->path : "stdout");
	sink->ring = xreallocarray(NULL, SINK_BUFFER, 1);
	sink->fd = -1;
	return sink;
}

int sink_open(struct sink *sink)
{
	return sink->kind->open(sink);
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	sink->kind->close(sink);
	free(sink->ring);
	free(sink->name);
	free(sink->path);
	free(sink);
}

bool sink_is(const struct sink *sink, const struct policy_sink *config)
{
	return sink->type == config->type && (!sink->path || strcmp(sink->path, config->path) == 0);
}

bool sink_put(struct sink *sink, const char *line, size_t length)
{
	size_t end = (sink->start + sink->used) % SINK_BUFFER, first = SINK_BUFFER - end;

	/* What has been written of a line that is not finished must stay: sink_reopen may need it.
	 */
	if (length > SINK_BUFFER - sink->used - sink->head_written)
		return false;
	if (first > length)
		first = length;
	memcpy(sink->ring + end, line, first);
	memcpy(sink->ring, line + first, length - first);
	sink->used += length;
	return true;
}

bool sink_has_room(const struct sink *sink)
{
	return sink->used <= SINK_BUFFER / 2;
}

/* Takes what was written off the ring, and keeps count of how far into a line that was. */
static void consume(struct sink *sink, size_t length)
{
	const char *written = sink->ring + sink->start;
	const char *last = memrchr(written, '\n', length);

	sink->head_written =
		last ? length - (size_t)(last + 1 - written) : sink->head_written + length;
	sink->start = (sink->start + length) % SINK_BUFFER;
	sink->used -= length;
}

static int64_t wait(struct sink *sink, int64_t now, int64_t longest)
{
	sink->backoff = sink->backoff ? sink->backoff * 2 : WAIT_FIRST;
	if (sink->backoff > longest)
		sink->backoff = longest;
	return sink->retry = now + sink->backoff;
}

static int64_t give_up_for_now(struct sink *sink, int error, int64_t now)
{
	if (error == EAGAIN)
		return wait(sink, now, WAIT_STALLED);
	if (!sink->broken) {
		const char *remedy =
			error == EPIPE ? "nobody reads it any more" : trouble_errno_remedy(error);

		log_error("events: cannot write to %s (%s)%s%s", sink->name, strerror(error),
			  *remedy ? ": " : "", remedy);
	}
	sink->broken = true;
	return wait(sink, now, WAIT_BROKEN);
}

int64_t sink_flush(struct sink *sink, int64_t now)
{
	if (!sink->used)
		return INT64_MAX;
	/* A clock that was set back must not silence a sink for long. */
	if (now < sink->retry && sink->retry - now <= WAIT_BROKEN)
		return sink->retry;
	if (sink->fd < 0) {
		int r = sink_open(sink);

		if (r < 0)
			return give_up_for_now(sink, -r, now);
	}
	while (sink->used) {
		size_t piece = SINK_BUFFER - sink->start < sink->used ? SINK_BUFFER - sink->start
								      : sink->used;
		ssize_t n = sink->kind->write(sink, sink->ring + sink->start, piece);

		if (n <= 0)
			return give_up_for_now(sink, n ? (int)-n : EAGAIN, now);
		consume(sink, (size_t)n);
		sink->backoff = 0;
		if (sink->broken)
			log_notice("events: %s takes events again", sink->name);
		sink->broken = false;
	}
	sink->retry = 0;
	return INT64_MAX;
}

void sink_reopen(struct sink *sink)
{
	/* Give the line back to the ring: what has been written of it still stands there, just
	 * before `start`. */
	sink->start = (sink->start + SINK_BUFFER - sink->head_written) % SINK_BUFFER;
	sink->used += sink->head_written;
	sink->head_written = 0;
	sink->kind->close(sink);
	sink->retry = sink->backoff = 0;
	/* What cannot be opened now is told, and tried again, by the next flush that has something
	 * to write. */
	sink_open(sink);
}
