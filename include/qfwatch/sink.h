/* sink.h - where event lines go: a bounded buffer in front of something that may be slow, full or
 * gone.
 *
 * A sink never waits. What does not fit into its buffer is not written; events.c counts it and
 * announces the gap when there is room again. Each kind of sink (sink_stdout.c, sink_file.c) only
 * says how to open and how to write.
 */
#ifndef QFWATCH_SINK_H
#define QFWATCH_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "qfwatch/policy.h"

#define SINK_BUFFER (1024 * 1024)

struct sink;

/* What a kind of sink does. All return 0 or more, or -errno; -EAGAIN from write means "not now". */
struct sink_kind {
	int (*open)(struct sink *sink);
	ssize_t (*write)(struct sink *sink, const char *bytes, size_t length);
	void (*close)(struct sink *sink);
};

extern const struct sink_kind sink_stdout, sink_file;

struct sink {
	const struct sink_kind *kind;
	enum policy_sink_type type;
	char *path;  /* NULL for stdout */
	char *name;  /* for messages: "stdout" or the path */
	int fd;	     /* -1: not open */
	mode_t mode; /* stdout: what kind of file it is */
	bool broken; /* the last open or write failed: told once, tried again */

	char *ring; /* SINK_BUFFER bytes: lines waiting, from `start`, round the end */
	size_t start, used;
	size_t head_written; /* how much of the first line has been written */

	uint64_t sequence;  /* of the last line offered */
	uint64_t dropped;   /* lines not taken since the start */
	uint64_t gap_first; /* first sequence of the gap not announced yet; 0: none */

	int64_t retry;	 /* not before this time, microseconds since the epoch */
	int64_t backoff; /* how long the last wait was, microseconds */
};

/* Makes one; sink_open opens it. sink_free closes it and takes NULL. */
struct sink *sink_new(const struct policy_sink *config);
int sink_open(struct sink *sink);
void sink_free(struct sink *sink);

/* Is it the one that the policy means? */
bool sink_is(const struct sink *sink, const struct policy_sink *config);

/* Takes a line whole, or returns false. */
bool sink_put(struct sink *sink, const char *line, size_t length);

/* Is at least half of the buffer free? Only then is a gap over: not to lose the very next line. */
bool sink_has_room(const struct sink *sink);

/* Writes what goes. Returns when to try again, INT64_MAX when nothing is left. */
int64_t sink_flush(struct sink *sink, int64_t now);

/* Closes and opens again by name; a line that was cut by that is written again whole. */
void sink_reopen(struct sink *sink);

#endif
