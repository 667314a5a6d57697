/* events_parts.h - what events.c and event_line.c share. Nobody else includes it. */
#ifndef QFWATCH_EVENTS_PARTS_H
#define QFWATCH_EVENTS_PARTS_H

#include "qfwatch/events.h"

#include "qfwatch/addresses.h"
#include "qfwatch/sink.h"

/* A part of each line, rendered once. */
struct events_part {
	char bytes[512];
	size_t length;
};

/* A time up to its fraction, as text. */
struct events_second {
	int64_t time; /* seconds since the epoch */
	char text[48];
	size_t length; /* 0: none yet */
};

struct events {
	struct sink **sinks;
	size_t n_sinks;
	uint32_t wanted; /* by at least one sink: bit per action */
	uint32_t policy; /* by the policy in general */
	void (*take)(void *context, const struct event *event, uint64_t number, const char *line,
		     size_t length); /* NULL: nobody */
	void *context;
	uint64_t taken; /* lines that he was given */
	struct addresses addresses;
	int epoll; /* tells which of the sinks that were full take something again */
	uint64_t emitted;
	uint64_t dropped_before; /* by sinks that are no more */
	bool dry_run;
	char run[17];
	char host[256];
	char gap_text[400]; /* of the last announcement: sinks may read it after the call */
	pid_t pid;
	/* From behind the message up to the number in event.id; and the start of qfwatch. */
	struct events_part origin, own;
	bool origin_lossy, origin_truncated; /* because of the host's name */
	struct events_second second;	     /* of the last line */
};

/* Room for a line without its sequence number. */
#define EVENTS_UNNUMBERED (EVENTS_LINE_MAX - SINK_NUMBER_MAX)

/* Once run, host, pid and dry_run are known: for all lines to come. */
void events_prepare_lines(struct events *events);

/* Renders all but the sequence number, which differs from sink to sink, into EVENTS_UNNUMBERED
 * bytes. */
void events_render_line(struct events *events, const struct event *event, uint64_t number,
			char *buffer, struct sink_line *ret);

/* Puts the sequence number into its place; returns the length. */
size_t events_number_line(const struct sink_line *from, uint64_t sequence, char *buffer);

#endif
