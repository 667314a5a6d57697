/* sink.h - where event lines go: a bounded ring in front of something that may be slow, full or
 * gone.
 *
 * A sink never waits. Lines stand in its ring as records without a sequence number; a line gets its
 * number when it leaves the ring, in the order of the records. When the ring is full the oldest
 * record goes, and takes its number with it. The next line that leaves is then the announcement of
 * the gap, under the next number: it stands exactly where lines are missing, and says exactly
 * which.
 *
 *   sink_put -> ring of records -> (number, frame) -> `out`, what is being written -> kind->write
 *
 * What stands in `out` keeps its number and is never dropped. A line of it that was cut by a
 * reconnect or a rotation is written again whole.
 *
 * Each kind of sink (sink_stdout.c, sink_file.c, ...) only says how to open, how to write, and what
 * stands around a line.
 */
#ifndef QFWATCH_SINK_H
#define QFWATCH_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "qfwatch/policy.h"

/* Longest line, its newline included. */
#define SINK_LINE_MAX 4096

/* Longest text that a kind puts before a line. */
#define SINK_PREFIX_MAX 2048

/* Room for a sequence number: a line is rendered without, and has this much to grow. */
#define SINK_NUMBER_MAX 20

/* A line on its way into sinks, and what those need that do not write the line alone. All borrowed.
 */
struct sink_line {
	const char *json;  /* with its newline, without its sequence number */
	size_t length;	   /* at most SINK_LINE_MAX - SINK_NUMBER_MAX */
	size_t place;	   /* where the number belongs */
	char stamp[64];	   /* when: RFC 3339, UTC, microseconds */
	const char *level; /* log.level */
	const char *action, *host;
	pid_t pid;
	const char *text; /* these may hold any bytes; NULL: there is none */
	const char *id, *tier, *rule;
	size_t id_length;
};

struct sink;

/* What stands around a line in `out`. */
enum sink_frame {
	SINK_FRAME_LINE,    /* its newline ends it */
	SINK_FRAME_BARE,    /* nothing: a datagram */
	SINK_FRAME_COUNTED, /* its length in front (RFC 6587, 3.4.1) */
};

/* What a kind of sink does. All return 0 or more, or -errno; -EAGAIN means "not now". */
struct sink_kind {
	/* Is opened as late as there is something to write: somebody else makes what it needs, and
	 * may do so later. Else it is opened with the policy, which is refused if that fails. */
	bool lazy;
	/* Does an error mean that it must be opened again? */
	bool reconnects;
	int (*open)(struct sink *sink);
	ssize_t (*write)(struct sink *sink, const char *bytes, size_t length);
	void (*close)(struct sink *sink); /* sets fd to -1 */
	/* Before writing: is the connection there? -EPIPE if the other side has closed it. May be
	 * NULL. */
	int (*ready)(struct sink *sink);
	/* Writes what goes before the line, up to SINK_PREFIX_MAX bytes; returns the length. May be
	 * NULL. */
	size_t (*prefix)(const struct sink *sink, const struct sink_line *line, char *buffer);
	/* Asked before a line of so many bytes is put into `out`: may go on in another file while
	 * that is empty. Returns false: not before `out` is written. May be NULL. */
	bool (*fits)(struct sink *sink, size_t length);
	/* Would opening it again lead to where it writes already? Then a line that is half written
	 * is finished there, rather than begun anew. May be NULL. */
	bool (*stays)(const struct sink *sink);
};

extern const struct sink_kind sink_stdout, sink_file, sink_syslog, sink_journal, sink_unix,
	sink_fifo;

/* `out` and how many lines at most stand in it. */
#define SINK_OUT       (64 * 1024)
#define SINK_OUT_LINES 128

struct sink {
	const struct sink_kind *kind;
	struct policy_sink config; /* its path is our own copy */
	char *name;		   /* for messages: "stdout", the path, "tcp:127.0.0.1:514" */
	uint32_t wanted;	   /* events that it takes: bit per action */
	int fd;			   /* -1: not open */
	bool broken;		   /* the last open or write failed: told once, tried again */
	bool whole;		   /* takes one line a write, all or nothing */

	char *ring;	    /* records, from `start`, round the end */
	size_t size;	    /* of the ring */
	size_t start, used; /* bytes */

	char *out;		       /* SINK_OUT bytes */
	size_t out_length, out_sent;   /* bytes in it; of these, written */
	uint32_t ends[SINK_OUT_LINES]; /* where each line in it ends */
	size_t n_ends;
	enum sink_frame frame;

	uint64_t next;	    /* the number of the line that leaves the ring next */
	uint64_t dropped;   /* lines lost since the start */
	uint64_t gap_first; /* number of the first line lost and not announced; 0: none */

	/* Renders the announcement that `first` to `last` are lost into buffer (SINK_LINE_MAX
	 * bytes) and *ret. */
	void (*announce)(void *context, const struct sink *sink, uint64_t first, uint64_t last,
			 char *buffer, struct sink_line *ret);
	void *context;

	bool watched;	 /* events.c will hear when it takes something again */
	int64_t retry;	 /* not before this time, microseconds since the epoch */
	int64_t backoff; /* how long the last wait was, microseconds */
	int64_t opened;	 /* when it was opened last */

	/* Of single kinds. */
	mode_t mode;	 /* stdout: what kind of file it is */
	bool connecting; /* sockets: not connected yet */
	uint64_t length; /* file: bytes in it */
	uint64_t rotate; /* file: begin a new one rather than grow beyond; 0: never */
};

/* Makes one; sink_open opens it. sink_free closes it and takes NULL. announce must be set before
 * lines are put. */
struct sink *sink_new(const struct policy_sink *config);
void sink_free(struct sink *sink);

/* Opens what is to be opened with the policy. Returns 0 or -errno. */
int sink_open(struct sink *sink);

/* Does it write where the policy says? */
bool sink_is(const struct sink *sink, const struct policy_sink *config);

/* Takes over the rest of what the policy says: filter, buffer, rotation, ... */
void sink_configure(struct sink *sink, const struct policy *policy,
		    const struct policy_sink *config);

/* Takes a line. When the ring is full, the oldest go. */
void sink_put(struct sink *sink, const struct sink_line *line);

/* Is more than half of the ring full? */
bool sink_is_crowded(const struct sink *sink);

/* How many bytes wait? 0: nothing. And how many lines, one that is half written among them? */
size_t sink_left(const struct sink *sink);
size_t sink_lines(const struct sink *sink);

/* Writes what goes, but no more than 1 MiB or so at a time. Returns when to try again, INT64_MAX
 * when nothing is left. */
int64_t sink_flush(struct sink *sink, int64_t now);

/* Closes, and opens again by name, unless that is the same; a line that was cut by that is written
 * again whole. */
void sink_reopen(struct sink *sink);

#endif
