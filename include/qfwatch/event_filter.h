/* event_filter.h - which recorded events are wanted: from when to when, of what, about what. */
#ifndef QFWATCH_EVENT_FILTER_H
#define QFWATCH_EVENT_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/event_record.h"

/* A bound: a time, or a place in a run. */
struct event_bound {
	bool set;
	int64_t time;	   /* microseconds since the epoch; when run is empty */
	char run[17];	   /* a run's id */
	uint64_t sequence; /* in it */
};

enum event_field {
	EVENT_FIELD_ACTION,
	EVENT_FIELD_ID,
	EVENT_FIELD_RULE, /* the rule that acted, also that of a move */
	EVENT_FIELD_TIER, /* where it is, was, or goes */
	EVENT_FIELDS
};

/* Globs; any of them. */
struct event_globs {
	const char **list; /* borrowed texts */
	size_t count;
};

/* Zero-initialise, fill, end with event_filter_free. */
struct event_filter {
	struct event_bound since, until;
	struct event_globs fields[EVENT_FIELDS]; /* all that have any must match */
};

/* What is known of one log's place between the bounds. Zero-initialise, one for each log. */
struct event_span {
	bool begun;   /* `since` was reached */
	bool met_run; /* an event of the run of `until` was seen */
	bool over;    /* `until` was passed: nothing that follows is wanted */
};

/* Reads "RUN:SEQUENCE", RFC 3339 ("2026-11-22T17:20:15Z"), local time ("2026-11-22 17:20",
 * "2026-11-22", "17:20", today), or how long ago ("2h", "-2h", "1d12h"). `now` in microseconds.
 * Returns 0 or -EINVAL. */
int event_bound_read(const char *text, int64_t now, struct event_bound *ret);

void event_filter_add(struct event_filter *filter, enum event_field field, const char *glob);
void event_filter_free(struct event_filter *filter);

/* May the line be wanted? A look that costs little, before it is read: false is certain. */
bool event_filter_may_want(const struct event_filter *filter, const char *line, size_t length);

/* Is it between the bounds? Every event of a log that may be is asked for in order, wanted
 * otherwise or not. */
bool event_filter_spans(const struct event_filter *filter, const struct event_record *record,
			struct event_span *span);

/* Is it about what is wanted? */
bool event_filter_wants(const struct event_filter *filter, const struct event_record *record);

#endif
