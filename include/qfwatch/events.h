/* events.h - event records: one JSON line for every action, in nested ECS (Elastic Common
 * Schema 9.4.0).
 *
 * A record is plain data on the caller's stack. events_emit renders it once and hands it to every
 * sink whose filter takes it; nothing here ever blocks or fails the caller. What a sink cannot take
 * is counted and announced (events-dropped).
 */
#ifndef QFWATCH_EVENTS_H
#define QFWATCH_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

/* Longest line, newline included: PIPE_BUF, so that a line goes into a pipe whole or not at all. */
#define EVENTS_LINE_MAX 4096

/* In the order of policy_event_names. */
enum event_action {
	EVENT_STARTED,
	EVENT_STOPPED,
	EVENT_POLICY_LOADED,
	EVENT_POLICY_REJECTED,
	EVENT_MESSAGE_TRACKED,
	EVENT_MESSAGE_ATTEMPTED,
	EVENT_MESSAGE_MOVED,
	EVENT_MESSAGE_DELETED,
	EVENT_MESSAGE_DEPARTED,
	EVENT_MESSAGE_BUSY,
	EVENT_MESSAGE_REFUSED,
	EVENT_MOVE_FAILED,
	EVENT_TIER_LOST,
	EVENT_TIER_FOUND,
	EVENT_EVENTS_LOST,
	EVENT_RESYNCED,
	EVENT_EVENTS_DROPPED,
	EVENT_MESSAGE_RECOVERED,
	EVENT_LIMIT_REACHED,
	EVENT_MESSAGE_BOUNCED,
	EVENT_MESSAGE_NOTICED,
	EVENT_PROGRAM_RUN,
	EVENT_DOMAIN_DEFERRED,
	EVENT_DOMAIN_RECOVERED,
	EVENT_ACTIONS
};

/* One number under qfwatch.counts. */
struct event_count {
	const char *name;
	uint64_t value;
};

#define EVENT_MAX_COUNTS  12
#define EVENT_MAX_DOMAINS 32

/* Zero-initialise; leave what does not apply zero or NULL. All pointers are borrowed for the call.
 * Strings may hold any bytes: what is not UTF-8 becomes U+FFFD and qfwatch.lossy is set. Numbers
 * stay below 2^53: larger ones are written as 2^53 - 1. */
struct event {
	enum event_action action;
	int64_t time;	    /* @timestamp, microseconds since the epoch; 0: now */
	bool failure;	    /* event.outcome */
	const char *text;   /* message: one readable line; required */
	const char *reason; /* event.reason */
	int64_t duration;   /* event.duration, nanoseconds; 0: none */
	const char *id;	    /* email.local_id: the queue id */
	size_t id_length;
	const char *tier; /* qfwatch.tier: where the message stands now */
	const char *from; /* qfwatch.move: from, to, rule */
	const char *to;
	const char *rule;
	bool has_message; /* qfwatch.message: the three numbers and the domains */
	uint32_t attempts;
	int64_t age;		    /* seconds */
	uint64_t size;		    /* bytes of the body */
	const char *const *domains; /* recipient domains */
	size_t n_domains;
	bool has_domains;   /* they are known: where there are none, all recipients are local */
	bool domains_cut;   /* the message has more domains than are given */
	const char *path;   /* file.path: the file or directory that it is about */
	int error;	    /* errno: error.code ("ENOSPC") and error.message; 0: none */
	const char *remedy; /* qfwatch.remedy: what the operator can do */
	const char *
		domain; /* qfwatch.domain: the recipient domain that it is about, with the counts */
	const char *program; /* qfwatch.program: the one that was run */
	struct event_count counts[EVENT_MAX_COUNTS];
	size_t n_counts;
	/* email.from and email.to: shown only where events_want_addresses. */
	const char *sender; /* "<>": the null sender; NULL: not known */
	const char *const *recipients;
	size_t n_recipients;
	bool recipients_cut; /* the message has more recipients than are given */
};

struct events;

/* Makes the event stream of one run, without sinks. Returns NULL when out of memory. dry_run marks
 * every event. */
struct events *events_new(bool dry_run);
void events_free(
	struct events *events); /* flushes what can be written without waiting; NULL is fine */

/* Opens the policy's sinks; those that are open already stay and keep their sequence, those that
 * are no longer named are closed. Reads the key for hashed addresses. Returns 0, or -errno with the
 * findings in *problems and everything as it was. */
int events_configure(struct events *events, const struct policy *policy, struct problems *problems);

/* Reopens the file sinks by name (after a rotation). What cannot be opened again is logged and
 * tried at each flush. */
void events_reopen(struct events *events);

/* Do events show sender and recipients? Else nobody needs to collect them. */
bool events_want_addresses(const struct events *events);

/* Does anybody take events of this action? Else what they would say need not be found out. */
bool events_want(const struct events *events, enum event_action action);
/* Somebody who takes each line of the events that the policy has written (events.include and
 * exclude), besides the sinks: with its newline, and numbered by himself. NULL: nobody. */
void events_tap(struct events *events,
		void (*take)(void *context, const struct event *event, uint64_t number,
			     const char *line, size_t length),
		void *context);

/* Renders and queues one event. Never blocks, never fails. */
void events_emit(struct events *events, const struct event *event);

/* Writes what the sinks take at `now` (microseconds since the epoch). Returns when to call again
 * although nothing new was emitted, because a sink did not take everything; INT64_MAX when all is
 * written. */
int64_t events_flush(struct events *events, int64_t now);

/* Becomes readable when a sink that was full takes something again: then events_flush has work. -1:
 * there is none, and the time that events_flush returns must do. It stays the same. */
int events_fd(const struct events *events);

/* Waits for the sinks to take everything, as long as they take something every `patience`
 * microseconds; not for those that are known to be gone. For the end of a run, and for runs that
 * are no daemon's. Returns false when something is left. */
bool events_wait(struct events *events, int64_t patience);

/* Is a sink's buffer more than half full, of those that are not known to be gone? */
bool events_crowded(const struct events *events);

/* Renders one event as the line that a sink writes (newline included). Changes nothing that shows.
 * `number` makes event.id. buffer holds EVENTS_LINE_MAX bytes; returns the length. */
size_t events_render(struct events *events, const struct event *event, uint64_t number,
		     uint64_t sequence, char *buffer);

const char *events_action_name(enum event_action action);
const char *events_run(const struct events *events); /* the run's id */

const char *events_host(const struct events *events);

/* One sink, for status. */
struct events_sink {
	const char *name; /* "stdout", the path, "tcp:127.0.0.1:514" */
	uint64_t written; /* lines that it has got since it was opened */
	uint64_t dropped; /* lines lost since it was opened */
	size_t waiting;	  /* bytes */
	bool broken;	  /* the last open or write failed: tried again */
};

/* Returns false when there are no more. */
bool events_sink(const struct events *events, size_t index, struct events_sink *ret);

/* What was rendered and what the sinks lost since the start. */
uint64_t events_emitted(const struct events *events);
uint64_t events_dropped(const struct events *events);

#endif
