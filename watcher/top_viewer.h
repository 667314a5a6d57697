/* top_viewer.h - one run of `top`: what is asked of the daemon and what comes (top_ask.c), for keys
 * and printing (cmd_top.c). */
#ifndef QFWATCH_TOP_VIEWER_H
#define QFWATCH_TOP_VIEWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/client.h"
#include "qfwatch/feed.h"
#include "qfwatch/query.h"
#include "top_parts.h"

enum asked { ASK_STATUS, ASK_TIERS, ASK_SHAPE, ASKED };

struct viewer;

/* One kind of answer, asked for again and again. */
struct ask {
	struct viewer *viewer;
	enum asked what;
	struct client_request *request; /* NULL: none is under way */
	char *body;
	size_t length, room;
	unsigned answers;
	int64_t began, rest; /* when it was asked last, and not before when again; nanoseconds */
};

struct viewer {
	struct query query; /* the policy; pairs of the filter */
	struct client *client;
	struct top top;
	struct ask asks[ASKED];
	struct client_request *stream; /* of events */
	struct feed feed;
	bool event_heard;
	int64_t stream_at; /* not to be tried again before, microseconds */
	int64_t ask_at;
	int signals;
	bool batch, json;
	unsigned long number;
	struct client_trouble trouble; /* the first, for a batch */
	char *words;		       /* of the filter in force: its pairs point there */
	bool quit;
	int code;
	struct top_page page;
};

/* Asks for all that is not being asked for already. What takes the daemon long is asked for less
 * often (but for a batch): a `top` that is left open costs it a tenth of its time at most. */
void top_ask(struct viewer *viewer);

/* Asks for the domains at once, because others are wanted now. */
void top_ask_shape(struct viewer *viewer);

/* Has the daemon send its events; and all of them anew, because others are wanted. */
void top_stream(struct viewer *viewer);
void top_stream_anew(struct viewer *viewer);

/* Has each been answered so often? */
bool top_is_answered(const struct viewer *viewer, unsigned rounds);

#endif
