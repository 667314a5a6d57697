/* event_show.h - a recorded event as one line for people. */
#ifndef QFWATCH_EVENT_SHOW_H
#define QFWATCH_EVENT_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "qfwatch/event_record.h"

#define EVENT_SHOW_IDS 4096

/* Zero-initialise. */
struct event_show {
	bool color;
	bool steps; /* between the time and the rest: how long since the same message's last event
		     */
	int where;  /* widest place so far, for the columns */
	struct {
		uint64_t id; /* a hash of it */
		int64_t time;
	} seen[EVENT_SHOW_IDS]; /* by hash; one that takes another's place costs that one a step */
};

/* "2026-11-22 17:20:15.123  message-moved      6AMHKF  QUEUE -> MIDQUEUE (three attempts)  attempts
 * 3
 * >= 3", in local time. What a terminal would obey (control characters, changes of direction) is
 * shown as \x1b or \u202e. */
void event_show(struct event_show *show, const struct event_record *record, FILE *to);

#endif
