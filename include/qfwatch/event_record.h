/* event_record.h - one recorded event line, read back into what the commands ask of it. */
#ifndef QFWATCH_EVENT_RECORD_H
#define QFWATCH_EVENT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which event it is, and when: enough to put events into order. */
struct event_key {
	int64_t time;	 /* microseconds since the epoch */
	char run[17];	 /* of event.id, before the dash; empty: none */
	uint64_t number; /* of event.id, behind the dash */
};

/* All texts are the record's own, in UTF-8; NULL: not there. */
struct event_record {
	struct event_key key;
	uint64_t sequence;
	const char *action, *message, *level, *reason;
	const char *id, *tier, *from, *to, *rule;
	bool failure, dry_run;
	void *json; /* holds the texts */
};

/* Reads a line, with or without its newline. Returns 0 (then event_record_free), or -EINVAL with
 * *ret_why a static text. */
int event_record_read(const char *line, size_t length, struct event_record *ret,
		      const char **ret_why);
void event_record_free(
	struct event_record *record); /* one that was never read, all zero, is fine */

/* Within a run by number, as clocks may be set; else by time. As strcmp. */
int event_key_compare(const struct event_key *a, const struct event_key *b);

/* Reads an RFC 3339 time: "2026-11-22T17:20:15.123456Z", "...+01:00"; a space instead of the T.
 * Returns 0 or -EINVAL; *ret_end, if not NULL, is set to what follows it, else nothing may. */
int event_time_read(const char *text, int64_t *ret, const char **ret_end);

/* The time of a line as qfwatch writes it, without reading the rest. -EINVAL: look at the whole. */
int event_time_peek(const char *line, size_t length, int64_t *ret);

#endif
