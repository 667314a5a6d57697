/* event_log.h - an event file and what a rotation made of it, read from the oldest line to the
 * newest, and followed.
 *
 * Rotated ones are PATH.1, PATH.2, ... and PATH-20261122 (PATH.20261122, also with a time behind
 * it). Which is older is taken from the first event in each, not from the names: so a rotation
 * while we read, a copy, or numbers that run the other way do no harm. Memory does not grow with
 * the files.
 */
#ifndef QFWATCH_EVENT_LOG_H
#define QFWATCH_EVENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_log;

enum event_log_start {
	EVENT_LOG_ALL, /* read what is there, then end */
	EVENT_LOG_ALL_AND_FOLLOW,
	EVENT_LOG_FOLLOW, /* only what is written from now on */
};

/* One line, borrowed until the next call. */
struct event_line {
	const char *text; /* without its newline */
	size_t length;
	const char *file;  /* where it stands */
	uint64_t number;   /* from 1; with EVENT_LOG_FOLLOW from where the reading began */
	const char *fault; /* why it is not whole; NULL: it is */
};

/* Opens one. "-" is the standard input; what is no regular file (a pipe) is read as it comes and
 * has no rotated ones. since: what happened before this time (microseconds) is not wanted, so that
 * files which hold nothing later may be passed over; INT64_MIN: all is wanted. Returns 0 or -errno:
 * -ENOENT, when there is nothing to read and nothing to wait for. */
int event_log_open(const char *path, enum event_log_start start, int64_t since,
		   struct event_log **ret);
void event_log_close(struct event_log *log); /* NULL is fine */

/* The next line. Returns 1; 0 at the end, which for a log that is followed means "not now"; -errno
 * when it cannot be read any further. */
int event_log_next(struct event_log *log, struct event_line *ret);

/* The file that was read last, for messages. */
const char *event_log_file(const struct event_log *log);

/* Calls `tell` for each file of the log that is not read, because it is compressed or must not be
 * read, unless all in it is older than `since`. */
void event_log_left_out(const struct event_log *log,
			void (*tell)(const char *file, const char *why));

#endif
