/* events.c - see events.h */
#include "qfwatch/events.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "qfwatch/addresses.h"
#include "qfwatch/clock.h"
#include "qfwatch/json_line.h"
#include "qfwatch/log.h"
#include "qfwatch/sink.h"
#include "qfwatch/xalloc.h"

/* How much of each text an event holds, in bytes as written. Their sum and the fixed parts stay
 * below EVENTS_LINE_MAX, whatever they hold; the counts and the domains get what is left. */
enum {
	CAP_TEXT = 480,
	CAP_REASON = 400,
	CAP_ID = 380,
	CAP_NAME = 130,
	CAP_PATH = 700,
	CAP_REMEDY = 240,
	CAP_COUNT = 40,
	CAP_DOMAIN = 255,
	CAP_ADDRESS = ADDRESSES_MAX
};

_Static_assert(EVENTS_LINE_MAX == SINK_LINE_MAX, "sinks take every line");

/* What every action is in ECS, and how loud it is. */
static const struct {
	const char *level, *category, *type;
} kinds[EVENT_ACTIONS] = {
	[EVENT_STARTED] = {"info", "\"process\"", "\"start\""},
	[EVENT_STOPPED] = {"info", "\"process\"", "\"end\""},
	[EVENT_POLICY_LOADED] = {"info", "\"configuration\"", "\"change\""},
	[EVENT_POLICY_REJECTED] = {"error", "\"configuration\"", "\"error\""},
	[EVENT_MESSAGE_TRACKED] = {"info", "\"email\"", "\"info\""},
	[EVENT_MESSAGE_ATTEMPTED] = {"info", "\"email\"", "\"info\""},
	[EVENT_MESSAGE_MOVED] = {"info", "\"email\",\"file\"", "\"change\""},
	[EVENT_MESSAGE_DELETED] = {"notice", "\"email\",\"file\"", "\"deletion\""},
	[EVENT_MESSAGE_DEPARTED] = {"info", "\"email\",\"file\"", "\"info\""},
	[EVENT_MESSAGE_BUSY] = {"info", "\"email\"", "\"info\""},
	[EVENT_MESSAGE_REFUSED] = {"warning", "\"email\",\"file\"", "\"denied\""},
	[EVENT_MOVE_FAILED] = {"error", "\"email\",\"file\"", "\"error\""},
	[EVENT_TIER_LOST] = {"error", "\"file\"", "\"error\""},
	[EVENT_TIER_FOUND] = {"notice", "\"file\"", "\"info\""},
	[EVENT_EVENTS_LOST] = {"warning", "\"file\"", "\"error\""},
	[EVENT_RESYNCED] = {"info", "\"file\"", "\"info\""},
	[EVENT_EVENTS_DROPPED] = {"warning", "\"process\"", "\"error\""},
	[EVENT_MESSAGE_RECOVERED] = {"notice", "\"email\",\"file\"", "\"change\""},
	[EVENT_LIMIT_REACHED] = {"notice", "\"email\"", "\"info\""},
	[EVENT_MESSAGE_BOUNCED] = {"notice", "\"email\",\"file\"", "\"deletion\""},
	[EVENT_MESSAGE_NOTICED] = {"notice", "\"email\"", "\"info\""},
	[EVENT_PROGRAM_RUN] = {"info", "\"process\"", "\"end\""},
	[EVENT_DOMAIN_DEFERRED] = {"notice", "\"email\"", "\"info\""},
	[EVENT_DOMAIN_RECOVERED] = {"notice", "\"email\"", "\"info\""},
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
};

const char *events_action_name(enum event_action action)
{
	return policy_event_names[action];
}

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

/* Why a sink cannot be opened, and what to do. */
static void refuse_sink(struct problems *problems, size_t index, const struct sink *sink, int error)
{
	bool fifo = sink->config.type == POLICY_SINK_FIFO;
	const char *remedy = "make it writable for the user that runs qfwatch";
	const char *why = strerror(error);

	if (error == EINVAL) {
		why = fifo ? "not a FIFO" : "not a regular file";
		remedy = fifo ? "name a FIFO, or write \"type\": \"file\""
			      : "name a file, or remove what stands in its place";
	} else if (error == ENOENT) {
		remedy = fifo ? "make it: mkfifo -m 0600" : "create its folder";
	}
	problems_add(problems, PROBLEM_REFUSED,
		     "events sink at /events/sinks/%zu: cannot write to %s (%s): %s", index,
		     sink->name, why, remedy);
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
			refuse_sink(problems, i, sinks[i], -r);
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

/* ---- rendering ---- */

static void write_stamp(char *stamp, size_t size, int64_t time)
{
	time_t seconds = (time_t)(time / CLOCK_SECOND);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	snprintf(stamp, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900,
		 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		 (int)(time % CLOCK_SECOND));
}

/* JSON's readers take numbers as doubles: beyond 2^53 they would see another one. A clock that is
 * set forward by years makes such a duration, and a lying header such an age. */
#define NUMBER_MOST ((INT64_C(1) << 53) - 1)

static void put_number(struct json_line *line, int64_t number)
{
	json_line_int(line, number > NUMBER_MOST    ? NUMBER_MOST
			    : number < -NUMBER_MOST ? -NUMBER_MOST
						    : number);
}

static void put_count(struct json_line *line, uint64_t count)
{
	json_line_uint(line, count > (uint64_t)NUMBER_MOST ? (uint64_t)NUMBER_MOST : count);
}

static void put_text(struct json_line *line, const char *before, const char *text, size_t cap)
{
	json_line_raw(line, before);
	json_line_string(line, text, strlen(text), cap);
}

static void put_event_start(struct json_line *line, const struct events *events, uint64_t number)
{
	json_line_raw(line, ",\"event\":{\"id\":\"");
	json_line_raw(line, events->run);
	json_line_raw(line, "-");
	json_line_uint(line, number);
	json_line_raw(line, "\",\"sequence\":");
}

static void put_event_rest(struct json_line *line, const struct event *event)
{
	json_line_raw(line, ",\"kind\":\"event\",\"category\":[");
	json_line_raw(line, kinds[event->action].category);
	json_line_raw(line, "],\"type\":[");
	json_line_raw(line, kinds[event->action].type);
	json_line_raw(line, "],\"module\":\"qfwatch\",\"dataset\":\"qfwatch.queue\",\"action\":\"");
	json_line_raw(line, events_action_name(event->action));
	json_line_raw(line,
		      event->failure ? "\",\"outcome\":\"failure\"" : "\",\"outcome\":\"success\"");
	if (event->reason)
		put_text(line, ",\"reason\":", event->reason, CAP_REASON);
	if (event->duration > 0) {
		json_line_raw(line, ",\"duration\":");
		put_number(line, event->duration);
	}
	json_line_raw(line, "}");
}

static size_t at_most(const char *text, size_t cap)
{
	size_t length = text ? strlen(text) * 6 + 24 : 0;

	return length < cap + 24 ? length : cap + 24;
}

/* How much of the line the addresses may take: half of what is left when all that follows them is
 * written. The other half is for the domains. */
static size_t room_for_addresses(const struct json_line *line, const struct event *event)
{
	size_t rest = 512 + at_most(event->path, CAP_PATH) + at_most(event->tier, CAP_NAME) +
		      at_most(event->from, CAP_NAME) + at_most(event->to, CAP_NAME) +
		      at_most(event->rule, CAP_NAME) + at_most(event->remedy, CAP_REMEDY) +
		      (event->error ? CAP_NAME + 64 : 0) + event->n_counts * (CAP_COUNT + 24);

	return json_line_room(line, rest) ? (line->size - line->length - rest) / 2 : 0;
}

/* Adds as many addresses as there is room for. Returns false if there is none for the first. */
static bool put_addresses(struct json_line *line, const struct events *events, const char *before,
			  const char *const *list, size_t count, size_t end)
{
	char buffer[ADDRESSES_MAX];
	size_t i;

	for (i = 0; i < count; i++) {
		const char *address = addresses_show(&events->addresses, list[i], buffer);

		if (line->length + at_most(address, CAP_ADDRESS) > end) {
			line->truncated = true;
			break;
		}
		put_text(line, i ? "," : before, address, CAP_ADDRESS);
	}
	if (i)
		json_line_raw(line, "]}");
	return i > 0;
}

static void put_email(struct json_line *line, const struct events *events,
		      const struct event *event)
{
	const char *before = ",\"email\":{";

	if (event->id) {
		json_line_raw(line, ",\"email\":{\"local_id\":");
		json_line_string(line, event->id, event->id_length, CAP_ID);
		before = ",";
	}
	if (addresses_are_shown(&events->addresses)) {
		size_t end = line->length + room_for_addresses(line, event);
		char opening[48];

		snprintf(opening, sizeof opening, "%s\"from\":{\"address\":[", before);
		if (event->sender && put_addresses(line, events, opening, &event->sender, 1, end))
			before = ",";
		snprintf(opening, sizeof opening, "%s\"to\":{\"address\":[", before);
		if (put_addresses(line, events, opening, event->recipients, event->n_recipients,
				  end))
			before = ",";
		line->truncated |= event->recipients_cut;
	}
	if (before[1] == 0)
		json_line_raw(line, "}");
}

static void put_domains(struct json_line *line, const struct event *event)
{
	bool cut = event->domains_cut;

	json_line_raw(line, ",\"recipient_domains\":[");
	for (size_t i = 0; i < event->n_domains && !cut; i++) {
		size_t length = strlen(event->domains[i]);

		/* Room for this one, even if each byte takes six, and for all that must follow. */
		if (!json_line_room(line, (length < CAP_DOMAIN ? length * 6 : CAP_DOMAIN) + 128)) {
			cut = true;
			break;
		}
		if (i)
			json_line_raw(line, ",");
		json_line_string(line, event->domains[i], length, CAP_DOMAIN);
	}
	json_line_raw(line, "]");
	line->truncated |= cut;
}

static void put_message(struct json_line *line, const struct events *events,
			const struct event *event)
{
	json_line_raw(line, ",\"message\":{\"attempts\":");
	json_line_uint(line, event->attempts);
	json_line_raw(line, ",\"age\":");
	put_number(line, event->age);
	json_line_raw(line, ",\"size\":");
	put_count(line, event->size);
	if ((event->has_domains || event->n_domains || event->domains_cut) &&
	    !addresses_are_secret(&events->addresses))
		put_domains(line, event);
	json_line_raw(line, "}");
}

static void put_error(struct json_line *line, const struct event *event)
{
	const char *code = strerrorname_np(event->error);

	json_line_raw(line, ",\"error\":{\"code\":\"");
	json_line_raw(line, code ? code : "unknown");
	put_text(line, "\",\"message\":", strerror(event->error), CAP_NAME);
	json_line_raw(line, "}");
}

static void put_counts(struct json_line *line, const struct event *event)
{
	size_t i;

	for (i = 0; i < event->n_counts; i++) {
		/* Room for this one and for all that must follow. */
		if (!json_line_room(line, CAP_COUNT + 240)) {
			line->truncated = true;
			break;
		}
		put_text(line, i ? "," : ",\"counts\":{", event->counts[i].name, CAP_COUNT);
		json_line_raw(line, ":");
		put_count(line, event->counts[i].value);
	}
	if (i)
		json_line_raw(line, "}");
}

/* What has happened to a domain; which one, unless that is secret, too. */
static void put_domain(struct json_line *line, const struct events *events,
		       const struct event *event)
{
	bool named = !addresses_are_secret(&events->addresses);

	json_line_raw(line, ",\"domain\":{");
	if (named)
		put_text(line, "\"name\":", event->domain, CAP_DOMAIN);
	for (size_t i = 0; i < event->n_counts; i++) {
		put_text(line, named || i ? "," : "", event->counts[i].name, CAP_COUNT);
		json_line_raw(line, ":");
		put_count(line, event->counts[i].value);
	}
	json_line_raw(line, "}");
}

static void put_own(struct json_line *line, const struct events *events, const struct event *event)
{
	json_line_raw(line, ",\"qfwatch\":{\"schema\":\"1.0\",\"run\":\"");
	json_line_raw(line, events->run);
	json_line_raw(line, "\"");
	if (events->dry_run)
		json_line_raw(line, ",\"dry_run\":true");
	if (event->tier)
		put_text(line, ",\"tier\":", event->tier, CAP_NAME);
	if (event->from && event->to) {
		put_text(line, ",\"move\":{\"from\":", event->from, CAP_NAME);
		put_text(line, ",\"to\":", event->to, CAP_NAME);
		if (event->rule)
			put_text(line, ",\"rule\":", event->rule, CAP_NAME);
		json_line_raw(line, "}");
	} else if (event->rule) {
		put_text(line, ",\"rule\":", event->rule, CAP_NAME);
	}
	if (event->domain)
		put_domain(line, events, event);
	if (event->program)
		put_text(line, ",\"program\":", event->program, CAP_NAME);
	if (event->remedy && event->remedy[0])
		put_text(line, ",\"remedy\":", event->remedy, CAP_REMEDY);
	if (!event->domain)
		put_counts(line, event);
	if (event->has_message)
		put_message(line, events, event);
	if (line->lossy)
		json_line_raw(line, ",\"lossy\":true");
	if (line->truncated)
		json_line_raw(line, ",\"truncated\":true");
	json_line_raw(line, "}}\n");
}

/* 20 bytes are kept for the sequence number. */
#define UNNUMBERED (EVENTS_LINE_MAX - SINK_NUMBER_MAX)

/* Renders all but the sequence number, which differs from sink to sink, into UNNUMBERED bytes. */
static void render(const struct events *events, const struct event *event, uint64_t number,
		   char *buffer, struct sink_line *ret)
{
	struct json_line json = {.buffer = buffer, .size = UNNUMBERED}, *line = &json;

	*ret = (struct sink_line){
		.json = buffer,
		.level = kinds[event->action].level,
		.action = events_action_name(event->action),
		.host = events->host,
		.pid = events->pid,
		.text = event->text,
		.id = event->id,
		.id_length = event->id_length,
		.tier = event->tier,
		.rule = event->rule,
	};
	write_stamp(ret->stamp, sizeof ret->stamp, event->time ? event->time : clock_now());
	json_line_raw(line, "{\"@timestamp\":\"");
	json_line_raw(line, ret->stamp);
	json_line_raw(line, "\",\"log.level\":\"");
	json_line_raw(line, ret->level);
	put_text(line, "\",\"message\":", event->text, CAP_TEXT);
	json_line_raw(line,
		      ",\"ecs.version\":\"9.4.0\",\"service\":{\"name\":\"qfwatch\",\"version\":"
		      "\"" QFWATCH_VERSION "\"}");
	put_text(line, ",\"host\":{\"name\":", events->host, CAP_NAME);
	json_line_raw(line, "},\"process\":{\"pid\":");
	json_line_int(line, events->pid);
	json_line_raw(line, "}");
	put_event_start(line, events, number);
	ret->place = line->length;
	put_event_rest(line, event);
	put_email(line, events, event);
	if (event->path) {
		put_text(line, ",\"file\":{\"path\":", event->path, CAP_PATH);
		json_line_raw(line, "}");
	}
	if (event->error)
		put_error(line, event);
	put_own(line, events, event);
	ret->length = line->length;
}

/* Puts the sequence number into its place; returns the length. */
static size_t number_line(const struct sink_line *from, uint64_t sequence, char *buffer)
{
	struct json_line line = {.buffer = buffer, .size = EVENTS_LINE_MAX};

	memcpy(buffer, from->json, from->place);
	line.length = from->place;
	json_line_uint(&line, sequence);
	memcpy(buffer + line.length, from->json + from->place, from->length - from->place);
	return line.length + from->length - from->place;
}

size_t events_render(const struct events *events, const struct event *event, uint64_t number,
		     uint64_t sequence, char *buffer)
{
	char rendered[UNNUMBERED];
	struct sink_line from;

	render(events, event, number, rendered, &from);
	return number_line(&from, sequence, buffer);
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
	struct event event = {
		.action = EVENT_EVENTS_DROPPED,
		.failure = true,
		.text = events->gap_text,
		.reason = "the sink did not take them",
		.path = is_file ? sink->config.path : NULL,
		.remedy = remedy_for(sink),
		.counts = {{"first", first}, {"last", last}, {"dropped", last - first + 1}},
		.n_counts = 3,
	};

	snprintf(events->gap_text, sizeof events->gap_text,
		 "%llu events were not written to %s (sequence %llu to %llu)",
		 (unsigned long long)(last - first + 1), sink->name, (unsigned long long)first,
		 (unsigned long long)last);
	render(events, &event, ++events->emitted, buffer, ret);
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
	size_t length = number_line(from, ++events->taken, buffer);

	events->take(events->context, event, events->emitted, buffer, length);
}

void events_emit(struct events *events, const struct event *event)
{
	char rendered[UNNUMBERED];
	uint32_t bit = UINT32_C(1) << event->action;
	bool tapped = events->take && events->policy & bit;
	struct sink_line line;

	if (!(events->wanted & bit) && !tapped)
		return;
	render(events, event, ++events->emitted, rendered, &line);
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
