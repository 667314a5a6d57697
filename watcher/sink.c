/* sink.c - see sink.h */
#include "qfwatch/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/log.h"
#include "qfwatch/phrase.h"
#include "qfwatch/trouble.h"
#include "qfwatch/xalloc.h"

/* How long a sink is left alone that did not take anything: a reader that is only slow is asked
 * soon, one that is gone or a disk that is full less and less often. */
#define WAIT_SLOW   INT64_C(10000)
#define WAIT_SLEEPS CLOCK_SECOND
#define WAIT_GONE   CLOCK_SECOND
#define WAIT_LONG   (60 * CLOCK_SECOND)

/* One flush writes about so much: the engine wants its turn. */
#define FLUSH_MOST (4 * 1024 * 1024)

/* The longest line with all that stands around it. */
#define FRAME_MAX (SINK_PREFIX_MAX + SINK_LINE_MAX + 8)

_Static_assert(SINK_NUMBER_MAX == PHRASE_DIGITS_MAX, "any sequence number has room");

/* What a line is in the ring: this, its prefix, the line. */
struct record {
	uint32_t prefix, length; /* bytes of each */
	uint32_t place;
};

#define RECORD_MAX (sizeof(struct record) + SINK_PREFIX_MAX + SINK_LINE_MAX)

/* ---- making one ---- */

static char *name_of(const struct policy_sink *config)
{
	if (config->type == POLICY_SINK_STDOUT)
		return xstrdup("stdout");
	if (config->type != POLICY_SINK_SYSLOG || config->transport == POLICY_UNIX)
		return xstrdup(config->path);
	return xasprintf(strchr(config->path, ':') ? "%s:[%s]:%u" : "%s:%s:%u",
			 config->transport == POLICY_UDP ? "udp" : "tcp", config->path,
			 (unsigned)config->port);
}

struct sink *sink_new(const struct policy_sink *config)
{
	static const struct sink_kind *const kinds[] = {
		[POLICY_SINK_STDOUT] = &sink_stdout, [POLICY_SINK_FILE] = &sink_file,
		[POLICY_SINK_SYSLOG] = &sink_syslog, [POLICY_SINK_JOURNAL] = &sink_journal,
		[POLICY_SINK_UNIX] = &sink_unix,     [POLICY_SINK_FIFO] = &sink_fifo,
	};
	struct sink *sink = xcalloc(1, sizeof *sink);

	sink->kind = kinds[config->type];
	sink->config = *config;
	sink->name = name_of(config);
	sink->config.path = config->path ? xstrdup(config->path) : NULL;
	sink->size = config->buffer ? config->buffer : POLICY_BUFFER_DEFAULT;
	sink->ring = xreallocarray(NULL, sink->size, 1);
	sink->out = xreallocarray(NULL, SINK_OUT, 1);
	sink->rotate = config->max_bytes;
	sink->next = 1;
	sink->fd = -1;
	return sink;
}

int sink_open(struct sink *sink)
{
	int r = sink->kind->lazy ? 0 : sink->kind->open(sink);

	/* A FIFO that nobody reads yet is as it should be. */
	return r == -ENXIO && sink->config.type == POLICY_SINK_FIFO ? 0 : r;
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	sink->kind->close(sink);
	free(sink->out);
	free(sink->ring);
	free(sink->name);
	free(sink->config.path);
	free(sink);
}

bool sink_is(const struct sink *sink, const struct policy_sink *config)
{
	const struct policy_sink *own = &sink->config;

	return own->type == config->type && own->transport == config->transport &&
	       own->port == config->port && (!own->path || strcmp(own->path, config->path) == 0);
}

/* ---- the ring ---- */

static void ring_write(struct sink *sink, const void *bytes, size_t length)
{
	size_t end = sink->start + sink->used, first;

	if (end >= sink->size)
		end -= sink->size;
	first = sink->size - end;
	if (first > length)
		first = length;
	memcpy(sink->ring + end, bytes, first);
	if (first < length)
		memcpy(sink->ring, (const char *)bytes + first, length - first);
	sink->used += length;
}

/* Takes bytes off the ring; bytes may be NULL. */
static void ring_read(struct sink *sink, void *bytes, size_t length)
{
	size_t first = sink->size - sink->start;

	if (first > length)
		first = length;
	if (bytes) {
		memcpy(bytes, sink->ring + sink->start, first);
		if (first < length)
			memcpy((char *)bytes + first, sink->ring, length - first);
	}
	sink->start += length;
	if (sink->start >= sink->size)
		sink->start -= sink->size;
	sink->used -= length;
}

static void drop_oldest(struct sink *sink)
{
	struct record record;

	ring_read(sink, &record, sizeof record);
	ring_read(sink, NULL, (size_t)record.prefix + record.length);
	if (!sink->gap_first)
		sink->gap_first = sink->next;
	sink->next++;
	sink->dropped++;
}

void sink_put(struct sink *sink, const struct sink_line *line)
{
	char prefix[SINK_PREFIX_MAX];
	struct record record = {.length = (uint32_t)line->length, .place = (uint32_t)line->place};
	size_t length;

	if (sink->kind->prefix)
		record.prefix = (uint32_t)sink->kind->prefix(sink, line, prefix);
	length = sizeof record + record.prefix + line->length;
	/* Full because nobody had the time to write, rather than because nobody takes it? */
	if (sink->size - sink->used < length)
		sink_flush(sink, clock_now());
	while (sink->size - sink->used < length)
		drop_oldest(sink);
	ring_write(sink, &record, sizeof record);
	ring_write(sink, prefix, record.prefix);
	ring_write(sink, line->json, line->length);
}

static void resize(struct sink *sink, size_t size)
{
	char *ring;
	size_t used;

	if (size == sink->size)
		return;
	while (sink->used > size)
		drop_oldest(sink);
	ring = xreallocarray(NULL, size, 1);
	used = sink->used;
	ring_read(sink, ring, used);
	free(sink->ring);
	sink->ring = ring;
	sink->size = size;
	sink->start = 0;
	sink->used = used;
}

bool sink_is_crowded(const struct sink *sink)
{
	return sink->used > sink->size / 2;
}

size_t sink_left(const struct sink *sink)
{
	return sink->used + sink->out_length - sink->out_sent;
}

size_t sink_lines(const struct sink *sink)
{
	struct sink look = *sink; /* reads the ring, and leaves that as it is */
	size_t lines = 0;

	for (size_t i = 0; i < sink->n_ends; i++)
		lines += sink->ends[i] > sink->out_sent;
	while (look.used) {
		struct record record;

		ring_read(&look, &record, sizeof record);
		ring_read(&look, NULL, (size_t)record.prefix + record.length);
		lines++;
	}
	return lines;
}

/* ---- from the ring into `out` ---- */

/* Puts a line behind what stands in `out`, with its number and all that belongs around it. */
static void frame(struct sink *sink, const char *prefix, size_t prefix_length, const char *json,
		  size_t length, size_t place)
{
	char number[PHRASE_DIGITS_MAX], *to = sink->out + sink->out_length;
	size_t digits = phrase_digits(number, sink->next++);

	if (sink->frame != SINK_FRAME_LINE)
		length--; /* the newline */
	if (sink->frame == SINK_FRAME_COUNTED) {
		to += phrase_digits(to, prefix_length + length + digits);
		*to++ = ' ';
	}
	memcpy(to, prefix, prefix_length);
	to += prefix_length;
	memcpy(to, json, place);
	memcpy(to + place, number, digits);
	memcpy(to + place + digits, json + place, length - place);
	sink->out_length = (size_t)(to - sink->out) + length + digits;
	sink->ends[sink->n_ends++] = (uint32_t)sink->out_length;
}

static bool fits(struct sink *sink, size_t length)
{
	return !sink->kind->fits || sink->kind->fits(sink, length + SINK_NUMBER_MAX);
}

static bool take_announcement(struct sink *sink)
{
	char prefix[SINK_PREFIX_MAX], buffer[SINK_LINE_MAX];
	struct sink_line line;
	size_t prefix_length;

	sink->announce(sink->context, sink, sink->gap_first, sink->next - 1, buffer, &line);
	if (!fits(sink, line.length))
		return false;
	prefix_length = sink->kind->prefix ? sink->kind->prefix(sink, &line, prefix) : 0;
	frame(sink, prefix, prefix_length, line.json, line.length, line.place);
	sink->gap_first = 0;
	return true;
}

static bool take_oldest(struct sink *sink)
{
	char bytes[SINK_PREFIX_MAX + SINK_LINE_MAX];
	size_t start = sink->start, used = sink->used;
	struct record record;

	ring_read(sink, &record, sizeof record);
	if (!fits(sink, record.length)) {
		sink->start = start;
		sink->used = used;
		return false;
	}
	ring_read(sink, bytes, (size_t)record.prefix + record.length);
	frame(sink, bytes, record.prefix, bytes + record.prefix, record.length, record.place);
	return true;
}

/* Fills `out` if all of it is written. Returns false if there is nothing to write. */
static bool fill(struct sink *sink)
{
	size_t most = sink->whole ? 1 : SINK_OUT_LINES;

	if (sink->out_sent < sink->out_length)
		return true;
	sink->out_sent = sink->out_length = sink->n_ends = 0;
	while (sink->n_ends < most && SINK_OUT - sink->out_length >= FRAME_MAX) {
		if (sink->gap_first ? !take_announcement(sink) : !sink->used || !take_oldest(sink))
			break;
	}
	return sink->out_length > 0;
}

/* Where the line begins and ends that is being written, or is to be written next. */
static void line_at_hand(const struct sink *sink, size_t *ret_start, size_t *ret_end)
{
	size_t i = 0, start = 0;

	while (i < sink->n_ends && sink->ends[i] <= sink->out_sent)
		start = sink->ends[i++];
	*ret_start = start;
	*ret_end = i < sink->n_ends ? sink->ends[i] : sink->out_length;
}

/* What was begun of a line does not count any more. */
static void rewind_line(struct sink *sink)
{
	size_t end;

	line_at_hand(sink, &sink->out_sent, &end);
}

/* ---- writing ---- */

static int64_t wait(struct sink *sink, int64_t now, int64_t first, int64_t longest)
{
	sink->backoff = sink->backoff < first ? first : sink->backoff * 2;
	if (sink->backoff > longest)
		sink->backoff = longest;
	return sink->retry = now + sink->backoff;
}

/* What the operator can do. */
static const char *remedy_for(const struct sink *sink, int error)
{
	switch (error) {
	case EPIPE:
	case ENXIO:
		return "nobody reads it any more";
	case ENOENT:
		return "nobody has made it yet";
	case ECONNREFUSED:
		return "nobody listens there";
	case EPROTOTYPE:
		return sink->config.datagrams ? "it is a stream: write \"mode\": \"stream\""
					      : "it takes datagrams: write \"mode\": \"datagram\"";
	case ENOSPC:
		return "make room on its file system";
	case EACCES:
	case EPERM:
		return "make it writable for the user that runs qfwatch";
	default:
		return trouble_errno_remedy(error);
	}
}

static int64_t give_up_for_now(struct sink *sink, int error, int64_t now)
{
	if (error == EAGAIN)
		return wait(sink, now, WAIT_SLOW, WAIT_SLEEPS);
	if (!sink->broken) {
		const char *remedy = remedy_for(sink, error);

		log_error("events: cannot write to %s (%s)%s%s", sink->name, strerror(error),
			  *remedy ? ": " : "", remedy);
	}
	sink->broken = true;
	return wait(sink, now, WAIT_GONE, WAIT_LONG);
}

static void disconnect(struct sink *sink)
{
	rewind_line(sink);
	sink->kind->close(sink);
	sink->watched = false;
}

/* A connection that has stood for a while and is gone is made again at once, since its other side
 * may just have been started anew; one that does not last is left alone for a second. */
static bool may_reconnect(const struct sink *sink, int64_t now)
{
	return now - sink->opened >= WAIT_GONE || now < sink->opened;
}

static int prepare(struct sink *sink, int64_t now)
{
	int r;

	if (sink->fd >= 0) {
		bool stood = !sink->connecting;

		r = sink->kind->ready ? sink->kind->ready(sink) : 0;
		if (r >= 0 || r == -EAGAIN)
			return r;
		disconnect(sink);
		if (!stood || !may_reconnect(sink, now))
			return r;
	}
	sink->opened = now;
	r = sink->kind->open(sink);
	if (r == 0 && sink->kind->ready)
		r = sink->kind->ready(sink);
	if (r < 0 && r != -EAGAIN)
		sink->kind->close(sink);
	return r;
}

/* Writes a piece of `out`. Returns how much, or -errno. */
static ssize_t write_piece(struct sink *sink)
{
	size_t start, end = sink->out_length;
	ssize_t n;

	if (sink->whole)
		line_at_hand(sink, &start, &end);
	n = sink->kind->write(sink, sink->out + sink->out_sent, end - sink->out_sent);
	if (n <= 0)
		return n ? n : -EAGAIN;
	sink->out_sent += (size_t)n;
	sink->backoff = 0;
	if (sink->broken)
		log_notice("events: %s takes events again", sink->name);
	sink->broken = false;
	return n;
}

int64_t sink_flush(struct sink *sink, int64_t now)
{
	size_t written = 0;
	int r;

	if (!sink_left(sink))
		return INT64_MAX;
	/* A clock that was set back must not silence a sink for long. */
	if (now < sink->retry && sink->retry - now <= WAIT_LONG)
		return sink->retry;
	sink->retry = 0;
	r = prepare(sink, now);
	if (r < 0)
		return give_up_for_now(sink, -r, now);
	while (fill(sink)) {
		ssize_t n = write_piece(sink);

		if (n < 0 && n != -EAGAIN && sink->kind->reconnects) {
			disconnect(sink);
			if (may_reconnect(sink, now))
				n = prepare(sink, now);
			if (n == 0)
				continue;
		}
		if (n < 0)
			return give_up_for_now(sink, (int)-n, now);
		written += (size_t)n;
		if (written >= FLUSH_MOST && sink_left(sink))
			return now;
	}
	return INT64_MAX;
}

void sink_reopen(struct sink *sink)
{
	sink->retry = sink->backoff = 0;
	if (sink->fd >= 0 && sink->kind->stays && sink->kind->stays(sink))
		return;
	disconnect(sink);
	/* What cannot be opened now is told, and tried again, by the next flush that has something
	 * to write. */
	sink_open(sink);
}

void sink_configure(struct sink *sink, const struct policy *policy,
		    const struct policy_sink *config)
{
	bool other_mode = sink->config.datagrams != config->datagrams;
	char *path = sink->config.path;

	sink->wanted = (policy->events & ~config->exclude) | config->include;
	if (sink->config.max_bytes != config->max_bytes)
		sink->rotate = config->max_bytes;
	sink->config = *config;
	sink->config.path = path;
	resize(sink, config->buffer ? config->buffer : POLICY_BUFFER_DEFAULT);
	if (other_mode)
		sink_reopen(sink);
}
