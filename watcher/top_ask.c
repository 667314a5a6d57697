/* top_ask.c - what `top` asks of the daemon, again and again, and the events that it has sent. */
#include "top_viewer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/xalloc.h"

/* Seconds between two tries to have the events sent again. */
enum { AGAIN = 1 };

/* How much longer than an answer took is the pause before the next question. */
enum { REST = 9 };

/* ---- answers ---- */

static bool gather(void *context, const char *bytes, size_t length)
{
	struct ask *ask = context;

	if (length > CLIENT_FETCH - ask->length)
		return false;
	if (ask->room - ask->length < length) {
		ask->room = 2 * ask->room + length;
		ask->body = xreallocarray(ask->body, ask->room, 1);
	}
	memcpy(ask->body + ask->length, bytes, length);
	ask->length += length;
	return true;
}

static void fail(struct viewer *viewer, const struct client_trouble *trouble)
{
	if (!viewer->trouble.failure)
		viewer->trouble = *trouble;
	snprintf(viewer->top.failure, sizeof viewer->top.failure, "%s", trouble->reason);
	snprintf(viewer->top.remedy, sizeof viewer->top.remedy, "%s", trouble->remedy);
}

static void done(void *context, const struct client_trouble *trouble)
{
	static void (*const take[ASKED])(struct top *, json_t *, int64_t) = {
		top_take_status, top_take_tiers, top_take_shape};
	struct ask *ask = context;
	struct viewer *viewer = ask->viewer;
	struct client_trouble strange = {
		.failure = CLIENT_STRANGE,
		.reason = "what answers is not what qfwatch says",
		.remedy = "is it another version?",
	};
	json_t *object = NULL;

	ask->request = NULL;
	ask->answers++;
	ask->rest = clock_monotonic() + REST * (clock_monotonic() - ask->began);
	if (trouble->failure == CLIENT_NO_FAILURE) {
		object = json_loadb(ask->body, ask->length, JSON_ALLOW_NUL, NULL);
		if (!json_is_object(object)) {
			json_decref(object);
			object = NULL;
			trouble = &strange;
		}
	}
	if (object) {
		take[ask->what](&viewer->top, object, clock_now());
	} else if (trouble->failure == CLIENT_REFUSED && ask->what == ASK_SHAPE) {
		/* A filter that the daemon does not take is no reason to call it dead. */
		snprintf(viewer->top.note, sizeof viewer->top.note, "%s: %s", trouble->reason,
			 trouble->remedy);
		viewer->trouble = *trouble;
	} else {
		fail(viewer, trouble);
	}
}

/* The shape, as it is wanted now. */
static char *shape_target(const struct viewer *viewer)
{
	const struct query *query = &viewer->query;
	char *target = xstrdup("/api/v1/shape?limit=200");

	if (viewer->top.by == SHAPE_SENDER)
		target = client_query(target, "by", "sender");
	if (viewer->top.tier >= 0)
		target = client_query(target, "tier", viewer->top.tier_name);
	for (size_t i = 0; i < query->n_pairs; i++)
		target = client_query(target, query->pairs[i].key, query->pairs[i].value);
	return target;
}

static void ask_one(struct viewer *viewer, enum asked what)
{
	static const char *const targets[] = {"/api/v1/status", "/api/v1/tiers"};
	struct ask *ask = &viewer->asks[what];
	char *target;

	if (ask->request)
		return;
	target = what == ASK_SHAPE ? shape_target(viewer) : xstrdup(targets[what]);
	ask->viewer = viewer;
	ask->what = what;
	ask->length = 0;
	ask->began = clock_monotonic();
	ask->request = client_begin(viewer->client, target, gather, done, ask);
	free(target);
}

/* At once, also if an older question is still under way. */
void top_ask_shape(struct viewer *viewer)
{
	struct ask *ask = &viewer->asks[ASK_SHAPE];

	if (ask->request)
		client_cancel(ask->request);
	ask->request = NULL;
	ask_one(viewer, ASK_SHAPE);
}

void top_ask(struct viewer *viewer)
{
	int64_t now = clock_monotonic();

	for (enum asked what = 0; what < ASKED; what++)
		if (viewer->batch || now >= viewer->asks[what].rest)
			ask_one(viewer, what);
}

bool top_is_answered(const struct viewer *viewer, unsigned rounds)
{
	for (enum asked what = 0; what < ASKED; what++)
		if (viewer->asks[what].answers < rounds)
			return false;
	return true;
}

/* ---- events ---- */

static bool take_event_line(void *context, char *line, size_t length)
{
	struct viewer *viewer = context;

	if (strncmp(line, "data: {", 7) != 0)
		return true;
	viewer->event_heard = true;
	if (strncmp(line, "data: {\"dropped\":", 17) == 0)
		top_say(&viewer->top, TOP_WARNING, clock_now(),
			"events came faster than they could be sent here: %.*s are not shown",
			(int)strcspn(line + 17, "}"), line + 17);
	else
		top_take_event(&viewer->top, line + 6, length - 6);
	return true;
}

static bool take_stream(void *context, const char *bytes, size_t length)
{
	struct viewer *viewer = context;

	return feed_put(&viewer->feed, bytes, length);
}

static void stream_ended(void *context, const struct client_trouble *trouble)
{
	struct viewer *viewer = context;

	/* The questions tell that the daemon is not there; here only what they do not meet. */
	if (trouble->failure == CLIENT_REFUSED && !viewer->top.note[0])
		snprintf(viewer->top.note, sizeof viewer->top.note, "No events: %s",
			 trouble->reason);
	viewer->stream = NULL;
	feed_free(&viewer->feed);
	viewer->stream_at = clock_now() + AGAIN * CLOCK_SECOND;
	/* Is it still there? */
	viewer->ask_at = 0;
}

void top_stream(struct viewer *viewer)
{
	char *target = xstrdup("/api/v1/events?recent=50");

	if (viewer->top.tier >= 0)
		target = client_query(target, "tier", viewer->top.tier_name);
	viewer->feed = (struct feed){.take = take_event_line, .context = viewer};
	viewer->stream = client_begin(viewer->client, target, take_stream, stream_ended, viewer);
	free(target);
}

void top_stream_anew(struct viewer *viewer)
{
	if (viewer->stream)
		client_cancel(viewer->stream);
	feed_free(&viewer->feed);
	viewer->top.n_events = viewer->top.next_event = 0;
	top_stream(viewer);
}
