/* events.c - see events.h */
#include "events_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/log.h"
#include "qfwatch/xalloc.h"

_Static_assert(EVENTS_LINE_MAX == SINK_LINE_MAX, "sinks take every line");

const char *events_run(const struct events *events)
{
	return events->run;
}

const char *events_host(const struct events *events)
{
	return events->host;
}

bool events_sink(const struct events *events, size_t index, struct events_sink *ret)
{
	const struct sink *sink;

	if (index >= events->n_sinks)
		return false;
	sink = events->sinks[index];
	*ret = (struct events_sink){
		.name = sink->name,
		/* All that have their number, but for those that took it with them. */
		.written = sink->next - 1 - sink->dropped,
		.dropped = sink->dropped,
		.waiting = sink_left(sink),
		.broken = sink->broken,
	};
	return true;
}

uint64_t events_emitted(const struct events *events)
{
	return events->emitted;
}

uint64_t events_dropped(const struct events *events)
{
	uint64_t dropped = events->dropped_before;

	for (size_t i = 0; i < events->n_sinks; i++)
		dropped += events->sinks[i]->dropped;
	return dropped;
}

struct events *events_new(bool dry_run)
{
	struct events *events = calloc(1, sizeof *events);
	uint64_t random;

	if (!events)
		return NULL;
	if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
		random = (uint64_t)clock_now() * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid();
	snprintf(events->run, sizeof events->run, "%016llx", (unsigned long long)random);
	if (gethostname(events->host, sizeof events->host - 1) < 0)
		strcpy(events->host, "unknown");
	events->pid = getpid();
	events->dry_run = dry_run;
	events_prepare_lines(events);
	/* Without, they are asked now and then. */
	events->epoll = epoll_create1(EPOLL_CLOEXEC);
	return events;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->n_sinks; i++) {
		events->sinks[i]->retry = 0;
		sink_flush(events->sinks[i], clock_now());
		sink_free(events->sinks[i]);
	}
	free(events->sinks);
	if (events->epoll >= 0)
		close(events->epoll);
	free(events);
}

int events_fd(const struct events *events)
{
	return events->epoll;
}

bool events_want_addresses(const struct events *events)
{
	return addresses_are_shown(&events->addresses);
}

/* ---- configuring ---- */

static struct sink *find_sink(struct events *events, const struct policy_sink *config)
{
	for (size_t i = 0; i < events->n_sinks; i++)
		if (sink_is(events->sinks[i], config))
			return events->sinks[i];
	return NULL;
}

static bool listed(struct sink *const *sinks, size_t count, const struct sink *sink)
{
	for (size_t i = 0; i < count; i++)
		if (sinks[i] == sink)
			return true;
	return false;
}

static const char *refusal_remedy(const struct sink *sink, int error)
{
	bool fifo = sink->config.type == POLICY_SINK_FIFO;

	switch (error) {
	case EINVAL:
		return fifo ? "name a FIFO, or write \"type\": \"file\""
			    : "name a file, or remove what stands in its place";
	case EISDIR:
		return "name a file in it";
	case ENOENT:
		return fifo ? "make it: mkfifo -m 0600" : "create its folder";
	case EBADF:
		return "it is closed: redirect it to where the events shall go, or name another "
		       "sink";
	case ENOSPC:
		return "make room on its file system";
	case EROFS:
		return "choose a place that is not read-only";
	default:
		return "make it writable for the user that runs qfwatch";
	}
}

/* Why a sink cannot be opened, and what to do. */
static void refuse_sink(struct problems *problems, const struct policy *policy, size_t index,
			const struct sink *sink, int error)
{
	bool fifo = sink->config.type == POLICY_SINK_FIFO;
	char pointer[64];

	snprintf(pointer, sizeof pointer, "/events/sinks/%zu", index);
	problems_add_at(problems, PROBLEM_REFUSED, &(struct problem_place){.pointer = pointer},
			"%s%sevents sink at %s: cannot write to %s (%s): %s",
			policy->path ? policy->path : "", policy->path ? ": " : "", pointer,
			sink->name,
			error != EINVAL ? strerror(error)
			: fifo		? "not a FIFO"
					: "not a regular file",
			refusal_remedy(sink, error));
}

/* Finds or opens the policy's sinks. Returns 0, or the last error. */
static int open_sinks(struct events *events, const struct policy *policy, struct sink **sinks,
		      struct problems *problems)
{
	int result = 0;

	for (size_t i = 0; i < policy->n_sinks; i++) {
		int r;

		sinks[i] = find_sink(events, &policy->sinks[i]);
		if (sinks[i])
			continue;
		sinks[i] = sink_new(&policy->sinks[i]);
		r = sink_open(sinks[i]);
		if (r < 0) {
			refuse_sink(problems, policy, i, sinks[i], -r);
			result = r;
		}
	}
	return result;
}

/* A sink that the policy no longer names. What it has not taken is lost: there is nobody left to
 * announce it to. */
static void let_go(struct events *events, struct sink *sink)
{
	size_t left;

	sink->retry = 0;
	sink_flush(sink, clock_now());
	left = sink_lines(sink);
	if (left)
		log_warning("events: %s is no sink any more; %zu events had not been written to it",
			    sink->name, left);
	events->dropped_before += sink->dropped + left;
	sink_free(sink);
}

static void announce_gap(void *context, const struct sink *sink, uint64_t first, uint64_t last,
			 char *buffer, struct sink_line *ret);

int events_configure(struct events *events, const struct policy *policy, struct problems *problems)
{
	struct sink **sinks = xcalloc(policy->n_sinks, sizeof(struct sink *));
	int result = open_sinks(events, policy, sinks, problems);

	if (result == 0)
		result = addresses_configure(&events->addresses, policy, problems);
	for (size_t i = 0; i < policy->n_sinks && result < 0; i++)
		if (!listed(events->sinks, events->n_sinks, sinks[i]))
			sink_free(sinks[i]);
	if (result < 0) {
		free(sinks);
		return result;
	}
	for (size_t i = 0; i < events->n_sinks; i++)
		if (!listed(sinks, policy->n_sinks, events->sinks[i]))
			let_go(events, events->sinks[i]);
	free(events->sinks);
	events->sinks = sinks;
	events->n_sinks = policy->n_sinks;
	events->policy = policy->events;
	events->wanted = 0;
	for (size_t i = 0; i < events->n_sinks; i++) {
		sinks[i]->announce = announce_gap;
		sinks[i]->context = events;
		sink_configure(sinks[i], policy, &policy->sinks[i]);
		events->wanted |= sinks[i]->wanted;
	}
	return 0;
}

void events_reopen(struct events *events)
{
	for (size_t i = 0; i < events->n_sinks; i++)
		if (events->sinks[i]->config.type == POLICY_SINK_FILE)
			sink_reopen(events->sinks[i]);
}

/* ---- emitting ---- */

static const char *remedy_for(const struct sink *sink)
{
	switch (sink->config.type) {
	case POLICY_SINK_FILE:
		return "make room on the disk";
	case POLICY_SINK_STDOUT:
	case POLICY_SINK_FIFO:
		return "read the pipe faster, or give the sink a larger \"buffer\"";
	case POLICY_SINK_UNIX:
	case POLICY_SINK_SYSLOG:
	case POLICY_SINK_JOURNAL:
		break;
	}
	return "see to it that the other side listens and keeps up, or give the sink a larger "
	       "\"buffer\"";
}

/* Tells that lines were lost, in the very place where they are missing. */
static void announce_gap(void *context, const struct sink *sink, uint64_t first, uint64_t last,
			 char *buffer, struct sink_line *ret)
{
	struct events *events = context;
	bool is_file =
		sink->config.type != POLICY_SINK_SYSLOG || sink->config.transport == POLICY_UNIX;
	uint64_t dropped = last - first + 1;
	struct event event = {
		.action = EVENT_EVENTS_DROPPED,
		.failure = true,
		.text = events->gap_text,
		.reason = "the sink did not take them",
		.path = is_file ? sink->config.path : NULL,
		.remedy = remedy_for(sink),
		.counts = {{"first", first}, {"last", last}, {"dropped", dropped}},
		.n_counts = 3,
	};

	snprintf(events->gap_text, sizeof events->gap_text,
		 "%llu events were not written to %s (sequence %llu to %llu)",
		 (unsigned long long)dropped, sink->name, (unsigned long long)first,
		 (unsigned long long)last);
	events_render_line(events, &event, ++events->emitted, buffer, ret);
}

bool events_want(const struct events *events, enum event_action action)
{
	return (events->wanted | (events->take ? events->policy : 0)) >> action & 1;
}

void events_tap(struct events *events,
		void (*take)(void *context, const struct event *event, uint64_t number,
			     const char *line, size_t length),
		void *context)
{
	events->take = take;
	events->context = context;
}

static void give(struct events *events, const struct event *event, const struct sink_line *from)
{
	char buffer[EVENTS_LINE_MAX];
	size_t length = events_number_line(from, ++events->taken, buffer);

	events->take(events->context, event, events->emitted, buffer, length);
}

void events_emit(struct events *events, const struct event *event)
{
	char rendered[EVENTS_UNNUMBERED];
	uint32_t bit = UINT32_C(1) << event->action;
	bool tapped = events->take && events->policy & bit;
	struct sink_line line;

	if (!(events->wanted & bit) && !tapped)
		return;
	events_render_line(events, event, ++events->emitted, rendered, &line);
	if (tapped)
		give(events, event, &line);
	for (size_t i = 0; i < events->n_sinks; i++)
		if (events->sinks[i]->wanted & bit)
			sink_put(events->sinks[i], &line);
}

/* A sink that is full is watched instead of asked again and again: a reader with a short queue (ten
 * datagrams, by default) would else get ten lines every 10 ms. Regular files cannot be watched. */
static void watch(const struct events *events, struct sink *sink, int64_t now)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.fd = sink->fd};

	if (epoll_ctl(events->epoll, EPOLL_CTL_MOD, sink->fd, &event) < 0 &&
	    (errno != ENOENT || epoll_ctl(events->epoll, EPOLL_CTL_ADD, sink->fd, &event) < 0))
		return;
	sink->watched = true;
	sink->retry = now + 60 * CLOCK_SECOND;
}

/* Those that take something again are not left alone any longer. */
static void take_ready(struct events *events)
{
	struct epoll_event ready[16];
	bool any = false;
	int n;

	for (size_t i = 0; i < events->n_sinks; i++)
		any |= events->sinks[i]->watched;
	if (!any)
		return;
	n = epoll_wait(events->epoll, ready, sizeof ready / sizeof *ready, 0);
	for (int k = 0; k < n; k++)
		for (size_t i = 0; i < events->n_sinks; i++)
			if (events->sinks[i]->watched && events->sinks[i]->fd == ready[k].data.fd) {
				events->sinks[i]->watched = false;
				events->sinks[i]->retry = 0;
			}
}

int64_t events_flush(struct events *events, int64_t now)
{
	int64_t again = INT64_MAX;

	take_ready(events);
	for (size_t i = 0; i < events->n_sinks; i++) {
		struct sink *sink = events->sinks[i];
		int64_t when = sink_flush(sink, now);

		if (when != INT64_MAX && when > now && !sink->watched && !sink->broken &&
		    sink->fd >= 0) {
			watch(events, sink, now);
			when = sink->retry;
		}
		if (when < again)
			again = when;
	}
	return again;
}

bool events_crowded(const struct events *events)
{
	for (size_t i = 0; i < events->n_sinks; i++)
		if (!events->sinks[i]->broken && sink_is_crowded(events->sinks[i]))
			return true;
	return false;
}

/* How much is left for sinks that may still take it. */
static size_t left(const struct events *events)
{
	size_t bytes = 0;

	for (size_t i = 0; i < events->n_sinks; i++)
		if (!events->sinks[i]->broken)
			bytes += sink_left(events->sinks[i]);
	return bytes;
}

bool events_wait(struct events *events, int64_t patience)
{
	int64_t since = clock_monotonic();
	size_t before = SIZE_MAX, now;

	/* Whoever is gone is tried once more, in case. */
	for (size_t i = 0; i < events->n_sinks; i++)
		events->sinks[i]->retry = 0;
	while (events_flush(events, clock_now()) != INT64_MAX) {
		now = left(events);
		if (!now)
			return false;
		if (now < before)
			since = clock_monotonic();
		else if (clock_monotonic() - since > patience * 1000)
			return false;
		before = now;
		poll(NULL, 0, 2);
		for (size_t i = 0; i < events->n_sinks; i++)
			if (!events->sinks[i]->broken)
				events->sinks[i]->retry = 0;
	}
	return true;
}
