/* http_events.c - /api/v1/events: events as they happen, as server-sent events.
 *
 * The last lines stand in one ring for all. A subscriber is a place in it: who reads too slowly is
 * overtaken, told how many lines he has missed, and goes on; he costs no memory of his own.
 */
#include "http_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

/* Lines that are kept. */
#define LINES 1024

/* Silence is broken by a comment after so long: a dead connection is noticed, and a proxy between
 * does not time out. */
#define HEARTBEAT (15 * CLOCK_SECOND)

/* Made ahead for one subscriber. */
#define PIECE ((size_t)16 * 1024)

struct line {
	char *bytes; /* with its newline; the place is used again and again */
	size_t length, room;
	uint64_t number; /* of event.id */
	enum event_action action;
	char tier[POLICY_TIER_NAME_MAX + 1], from[POLICY_TIER_NAME_MAX + 1];
	char id[TABLE_MAX_ID + 1];
};

struct feed {
	struct line lines[LINES];
	uint64_t count; /* lines so far: line n stands in lines[n % LINES] */
	bool fresh;	/* somebody has to be told */
	struct http_request *subscribers[HTTP_SUBSCRIBERS];
	size_t n_subscribers;
};

struct subscription {
	uint64_t next;	  /* the line to send next */
	uint32_t actions; /* bit per action */
	char *tiers, *id; /* a list with commas; NULL: all */
	int64_t heartbeat_at;
};

/* ---- the ring ---- */

static void copy_name(char *to, size_t size, const char *from, size_t length)
{
	length = from ? strnlen(from, length) : 0;
	if (length >= size)
		length = size - 1;
	memcpy(to, from ? from : "", length);
	to[length] = 0;
}

static void take_line(void *context, const struct event *event, uint64_t number, const char *bytes,
		      size_t length)
{
	struct feed *feed = context;
	struct line *line = &feed->lines[feed->count++ % LINES];

	if (line->room < length) {
		line->room = length + length / 2;
		line->bytes = xreallocarray(line->bytes, line->room, 1);
	}
	memcpy(line->bytes, bytes, length);
	line->length = length;
	line->number = number;
	line->action = event->action;
	copy_name(line->tier, sizeof line->tier, event->to ? event->to : event->tier,
		  POLICY_TIER_NAME_MAX);
	copy_name(line->from, sizeof line->from, event->from, POLICY_TIER_NAME_MAX);
	copy_name(line->id, sizeof line->id, event->id, event->id_length);
	feed->fresh = true;
}

void http_feed_open(struct http *http)
{
	if (http->feed)
		return;
	http->feed = xcalloc(1, sizeof *http->feed);
	events_tap(http->events, take_line, http->feed);
}

/* Nobody is subscribed any more. */
void http_feed_close(struct http *http)
{
	if (!http->feed)
		return;
	events_tap(http->events, NULL, NULL);
	for (size_t i = 0; i < LINES; i++)
		free(http->feed->lines[i].bytes);
	free(http->feed);
	http->feed = NULL;
}

/* ---- one subscriber ---- */

static bool is_listed(const char *list, const char *name)
{
	size_t length = strlen(name);

	/* A name may hold a comma. */
	if (length && strcmp(list, name) == 0)
		return true;
	for (const char *at = list; length; at++) {
		size_t n = strcspn(at, ",");

		if (n == length && memcmp(at, name, n) == 0)
			return true;
		at += n;
		if (!*at)
			break;
	}
	return false;
}

static bool is_wanted(const struct subscription *subscription, const struct line *line)
{
	return subscription->actions >> line->action & 1 &&
	       (!subscription->id || strcmp(subscription->id, line->id) == 0) &&
	       (!subscription->tiers || is_listed(subscription->tiers, line->tier) ||
		is_listed(subscription->tiers, line->from));
}

static void put_line(struct http_request *request, const struct line *line)
{
	json_text_add(&request->body,
		      "id: %s-%llu\nevent: %s\ndata: ", events_run(request->http->events),
		      (unsigned long long)line->number, events_action_name(line->action));
	/* JSON in one line: its newline ends the field. */
	json_text_bytes(&request->body, line->bytes, line->length);
	json_text_bytes(&request->body, "\n", 1);
}

static enum http_progress feed_step(struct http_request *request, int64_t until)
{
	struct subscription *subscription = request->job;
	const struct feed *feed = request->http->feed;
	uint64_t first = feed->count > LINES ? feed->count - LINES : 0;
	int64_t now = clock_now();

	if (subscription->next < first) {
		json_text_add(&request->body, "event: dropped\ndata: {\"dropped\":%llu}\n\n",
			      (unsigned long long)(first - subscription->next));
		subscription->next = first;
	}
	while (subscription->next < feed->count && request->body.length < PIECE) {
		const struct line *line = &feed->lines[subscription->next++ % LINES];

		if (is_wanted(subscription, line))
			put_line(request, line);
		if (http_step_is_over(until))
			break;
	}
	/* Also when the clock was set back. */
	if (!request->body.length &&
	    (now >= subscription->heartbeat_at || subscription->heartbeat_at - now > HEARTBEAT))
		json_text_add(&request->body, ":\n\n");
	if (request->body.length)
		subscription->heartbeat_at = now + HEARTBEAT;
	return subscription->next < feed->count && request->body.length < PIECE ? HTTP_MORE
										: HTTP_WAIT;
}

static void feed_end(struct http_request *request)
{
	struct subscription *subscription = request->job;
	struct feed *feed = request->http->feed;

	for (size_t i = 0; feed && i < feed->n_subscribers; i++)
		if (feed->subscribers[i] == request) {
			feed->subscribers[i] = feed->subscribers[--feed->n_subscribers];
			break;
		}
	free(subscription->tiers);
	free(subscription->id);
	free(subscription);
}

void http_feed_hung_up(struct http *http, const struct MHD_Connection *connection)
{
	const struct feed *feed = http->feed;

	for (size_t i = 0; feed && i < feed->n_subscribers; i++)
		if (feed->subscribers[i]->connection == connection) {
			http_finish(feed->subscribers[i]);
			return;
		}
}

/* ---- all of them ---- */

void http_feed_turn(struct http *http, int64_t now)
{
	struct feed *feed = http->feed;

	for (size_t i = 0; feed && i < feed->n_subscribers; i++) {
		const struct subscription *subscription = feed->subscribers[i]->job;

		if (feed->fresh || now >= subscription->heartbeat_at ||
		    subscription->heartbeat_at - now > HEARTBEAT)
			http_go_on(feed->subscribers[i]);
	}
	if (feed)
		feed->fresh = false;
}

int64_t http_feed_deadline(const struct http *http)
{
	const struct feed *feed = http->feed;
	int64_t deadline = INT64_MAX;

	for (size_t i = 0; feed && i < feed->n_subscribers; i++) {
		const struct subscription *subscription = feed->subscribers[i]->job;

		/* Else it is libmicrohttpd's to wait for the client. */
		if (feed->subscribers[i]->phase == HTTP_WAITING &&
		    subscription->heartbeat_at < deadline)
			deadline = subscription->heartbeat_at;
	}
	return deadline;
}

/* ---- subscribing ---- */

static bool read_actions(struct http_request *request, const char *list, uint32_t *ret)
{
	uint32_t actions = 0;

	for (unsigned i = 0; list && i < EVENT_ACTIONS; i++)
		if (is_listed(list, events_action_name((enum event_action)i)))
			actions |= UINT32_C(1) << i;
	*ret = list ? actions : UINT32_MAX;
	for (const char *at = list, *next; at; at = next) {
		size_t n = strcspn(at, ","), i = 0;

		next = at[n] ? at + n + 1 : NULL;
		while (i < EVENT_ACTIONS &&
		       (strlen(events_action_name((enum event_action)i)) != n ||
			memcmp(events_action_name((enum event_action)i), at, n) != 0))
			i++;
		if (i < EVENT_ACTIONS)
			continue;
		http_error(request, MHD_HTTP_BAD_REQUEST,
			   "name actions as events do in event.action, with commas between",
			   "action: unknown event \"%.*s\"", (int)(n < 100 ? n : 100), at);
		return false;
	}
	return true;
}

static bool tiers_are_known(struct http_request *request, const char *list)
{
	struct filter *filter = filter_new();
	struct filter_error error = {.reason = "out of memory"};
	int r = !list	 ? 0
		: filter ? filter_add(filter, engine_view_policy(request->http->engine), "tier",
				      list, &error)
			 : -ENOMEM;

	filter_free(filter);
	if (r < 0)
		http_error(request, MHD_HTTP_BAD_REQUEST, error.remedy, "%s", error.reason);
	return r == 0;
}

/* The client was here before, and says what it has seen last: "<run>-412". */
static uint64_t next_after(const struct http *http, const char *last)
{
	const struct feed *feed = http->feed;
	const char *run = events_run(http->events);
	uint64_t first = feed->count > LINES ? feed->count - LINES : 0, at = first, number;
	char *end;

	if (strncmp(last, run, strlen(run)) != 0 || last[strlen(run)] != '-')
		return first;
	number = strtoull(last + strlen(run) + 1, &end, 10);
	while (at < feed->count && feed->lines[at % LINES].number <= number)
		at++;
	/* Those that the ring has lost meanwhile are told as missed, if it is known that there were
	 * some: numbers may also be missing because the event was not wanted. */
	return at;
}

void http_events(struct http_request *request, const char *rest)
{
	static const char *const known[] = {"recent", "action", "tier", "id", NULL};
	struct http *http = request->http;
	struct feed *feed = http->feed;
	const char *tiers = http_query(request, "tier"), *id = http_query(request, "id");
	const char *last = http_header(request, "Last-Event-ID");
	struct subscription *subscription;
	uint32_t actions;
	uint64_t recent = 0;

	(void)rest;
	if (!http_query_is_known(request, known) ||
	    !read_actions(request, http_query(request, "action"), &actions) ||
	    !tiers_are_known(request, tiers) ||
	    !http_query_number(request, "recent", LINES, &recent))
		return;
	if (id && !*id) {
		http_error(request, MHD_HTTP_BAD_REQUEST, "give a queue id, or leave it out",
			   "id: wrong value \"\"");
		return;
	}
	if (feed->n_subscribers == HTTP_SUBSCRIBERS) {
		http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "close one of them, or try again later",
			   "%d clients read the events already", HTTP_SUBSCRIBERS);
		return;
	}
	subscription = xcalloc(1, sizeof *subscription);
	subscription->actions = actions;
	subscription->tiers = tiers ? xstrdup(tiers) : NULL;
	subscription->id = id ? xstrdup(id) : NULL;
	subscription->heartbeat_at = clock_now() + HEARTBEAT;
	if (recent > feed->count)
		recent = feed->count;
	subscription->next = last ? next_after(http, last) : feed->count - recent;
	http_work(request, feed_step, feed_end, subscription);
	/* HEAD wants to know whether it would work. */
	if (http_is_head(request)) {
		http_answer(request, MHD_HTTP_OK, "text/event-stream");
		return;
	}
	feed->subscribers[feed->n_subscribers++] = request;
	http_connection_patient(request->http, request->connection);
	/* The first bytes tell the client that it is open. */
	json_text_add(&request->body, "retry: 3000\n\n");
	http_stream(request, "text/event-stream");
}
