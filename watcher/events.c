/* events.c - see events.h */
#include "qfwatch/events.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/json_line.h"
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
	CAP_DOMAIN = 255
};

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
	uint32_t wanted; /* bit per action */
	uint64_t emitted;
	bool dry_run;
	char run[17];
	char host[256];
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

uint64_t events_emitted(const struct events *events)
{
	return events->emitted;
}

uint64_t events_dropped(const struct events *events)
{
	uint64_t dropped = 0;

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
	free(events);
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

int events_configure(struct events *events, const struct policy *policy, struct problems *problems)
{
	struct sink **sinks = xcalloc(policy->n_sinks, sizeof(struct sink *));
	int result = 0;

	for (size_t i = 0; i < policy->n_sinks; i++) {
		int r;

		sinks[i] = find_sink(events, &policy->sinks[i]);
		if (sinks[i])
			continue;
		sinks[i] = sink_new(&policy->sinks[i]);
		r = sink_open(sinks[i]);
		if (r < 0) {
			problems_add(
				problems, PROBLEM_REFUSED,
				"events sink at /events/sinks/%zu: cannot write to %s (%s): %s", i,
				sinks[i]->name, r == -EINVAL ? "not a regular file" : strerror(-r),
				r == -ENOENT   ? "create its folder"
				: r == -EINVAL ? "name a file, or remove what stands in its place"
					       : "make it writable for the user that runs qfwatch");
			result = r;
		}
	}
	for (size_t i = 0; i < policy->n_sinks && result < 0; i++)
		if (!listed(events->sinks, events->n_sinks, sinks[i]))
			sink_free(sinks[i]);
	if (result < 0) {
		free(sinks);
		return result;
	}
	for (size_t i = 0; i < events->n_sinks; i++)
		if (!listed(sinks, policy->n_sinks, events->sinks[i])) {
			sink_flush(events->sinks[i], clock_now());
			sink_free(events->sinks[i]);
		}
	free(events->sinks);
	events->sinks = sinks;
	events->n_sinks = policy->n_sinks;
	events->wanted = policy->events;
	return 0;
}

void events_reopen(struct events *events)
{
	for (size_t i = 0; i < events->n_sinks; i++)
		if (events->sinks[i]->type == POLICY_SINK_FILE)
			sink_reopen(events->sinks[i]);
}

/* ---- rendering ---- */

static void put_time(struct json_line *line, int64_t time)
{
	time_t seconds = (time_t)(time / CLOCK_SECOND);
	struct tm utc;
	char text[64];

	gmtime_r(&seconds, &utc);
	snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900,
		 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		 (int)(time % CLOCK_SECOND));
	json_line_raw(line, text);
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
		json_line_int(line, event->duration);
	}
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

static void put_message(struct json_line *line, const struct event *event)
{
	json_line_raw(line, ",\"message\":{\"attempts\":");
	json_line_uint(line, event->attempts);
	json_line_raw(line, ",\"age\":");
	json_line_int(line, event->age);
	json_line_raw(line, ",\"size\":");
	json_line_uint(line, event->size);
	if (event->n_domains || event->domains_cut)
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
		json_line_uint(line, event->counts[i].value);
	}
	if (i)
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
		put_text(line, ",\"domain\":", event->domain, CAP_DOMAIN);
	if (event->program)
		put_text(line, ",\"program\":", event->program, CAP_NAME);
	if (event->remedy && event->remedy[0])
		put_text(line, ",\"remedy\":", event->remedy, CAP_REMEDY);
	put_counts(line, event);
	if (event->has_message)
		put_message(line, event);
	if (line->lossy)
		json_line_raw(line, ",\"lossy\":true");
	if (line->truncated)
		json_line_raw(line, ",\"truncated\":true");
	json_line_raw(line, "}}\n");
}

/* Renders all but the sequence number, which differs from sink to sink: it belongs at the place
 * that is returned. */
static size_t render(const struct events *events, const struct event *event, uint64_t number,
		     struct json_line *line)
{
	size_t place;

	json_line_raw(line, "{\"@timestamp\":\"");
	put_time(line, event->time ? event->time : clock_now());
	json_line_raw(line, "\",\"log.level\":\"");
	json_line_raw(line, kinds[event->action].level);
	put_text(line, "\",\"message\":", event->text, CAP_TEXT);
	json_line_raw(line,
		      ",\"ecs.version\":\"9.4.0\",\"service\":{\"name\":\"qfwatch\",\"version\":"
		      "\"" QFWATCH_VERSION "\"}");
	put_text(line, ",\"host\":{\"name\":", events->host, CAP_NAME);
	json_line_raw(line, "},\"process\":{\"pid\":");
	json_line_int(line, events->pid);
	json_line_raw(line, "}");
	put_event_start(line, events, number);
	place = line->length;
	put_event_rest(line, event);
	if (event->id) {
		json_line_raw(line, ",\"email\":{\"local_id\":");
		json_line_string(line, event->id, event->id_length, CAP_ID);
		json_line_raw(line, "}");
	}
	if (event->path) {
		put_text(line, ",\"file\":{\"path\":", event->path, CAP_PATH);
		json_line_raw(line, "}");
	}
	if (event->error)
		put_error(line, event);
	put_own(line, events, event);
	return place;
}

/* Puts the sequence number into its place. Returns the new length. */
static size_t number_line(const char *rendered, size_t length, size_t place, uint64_t sequence,
			  char *ret)
{
	struct json_line line = {.buffer = ret, .size = EVENTS_LINE_MAX};

	memcpy(ret, rendered, place);
	line.length = place;
	json_line_uint(&line, sequence);
	memcpy(ret + line.length, rendered + place, length - place);
	return line.length + length - place;
}

/* 20 bytes are kept for the sequence number. */
#define UNNUMBERED (EVENTS_LINE_MAX - 20)

size_t events_render(const struct events *events, const struct event *event, uint64_t number,
		     uint64_t sequence, char *buffer)
{
	char rendered[UNNUMBERED];
	struct json_line line = {.buffer = rendered, .size = sizeof rendered};
	size_t place = render(events, event, number, &line);

	return number_line(rendered, line.length, place, sequence, buffer);
}

/* ---- emitting ---- */

/* Tells that lines gap_first .. sequence were lost, in the very place where they are missing. */
static bool announce_gap(struct events *events, struct sink *sink)
{
	char buffer[EVENTS_LINE_MAX], text[160];
	uint64_t last = sink->sequence, count = last - sink->gap_first + 1;
	struct event event = {
		.action = EVENT_EVENTS_DROPPED,
		.failure = true,
		.text = text,
		.reason = "the sink did not take them",
		.path = sink->path,
		.remedy = "read the pipe faster, or make room on the disk",
		.counts = {{"first", sink->gap_first}, {"last", last}, {"dropped", count}},
		.n_counts = 3,
	};

	snprintf(text, sizeof text, "%llu events were not written (sequence %llu to %llu)",
		 (unsigned long long)count, (unsigned long long)sink->gap_first,
		 (unsigned long long)last);
	if (!sink_put(sink, buffer,
		      events_render(events, &event, ++events->emitted, last + 1, buffer)))
		return false;
	sink->sequence++;
	sink->gap_first = 0;
	return true;
}

static void offer(struct events *events, struct sink *sink, const char *rendered, size_t length,
		  size_t place)
{
	char buffer[EVENTS_LINE_MAX];

	if (sink->gap_first && sink_has_room(sink))
		announce_gap(events, sink);
	sink->sequence++;
	if (!sink->gap_first &&
	    sink_put(sink, buffer, number_line(rendered, length, place, sink->sequence, buffer)))
		return;
	if (!sink->gap_first)
		sink->gap_first = sink->sequence;
	sink->dropped++;
}

void events_emit(struct events *events, const struct event *event)
{
	char rendered[UNNUMBERED];
	struct json_line line = {.buffer = rendered, .size = sizeof rendered};
	size_t place;

	if (!(events->wanted & (1u << event->action)))
		return;
	place = render(events, event, ++events->emitted, &line);
	for (size_t i = 0; i < events->n_sinks; i++)
		offer(events, events->sinks[i], rendered, line.length, place);
}

int64_t events_flush(struct events *events, int64_t now)
{
	int64_t again = INT64_MAX;

	for (size_t i = 0; i < events->n_sinks; i++) {
		struct sink *sink = events->sinks[i];
		int64_t when = sink_flush(sink, now);

		if (when == INT64_MAX && sink->gap_first && announce_gap(events, sink))
			when = sink_flush(sink, now);
		if (when < again)
			again = when;
	}
	return again;
}

bool events_crowded(const struct events *events)
{
	for (size_t i = 0; i < events->n_sinks; i++)
		if (!sink_has_room(events->sinks[i]))
			return true;
	return false;
}

bool events_wait(struct events *events, int64_t patience)
{
	int64_t since = clock_monotonic();
	size_t before = SIZE_MAX;

	for (;;) {
		size_t left = 0;

		for (size_t i = 0; i < events->n_sinks; i++)
			events->sinks[i]->retry = 0;
		if (events_flush(events, clock_now()) == INT64_MAX)
			return true;
		for (size_t i = 0; i < events->n_sinks; i++)
			left += events->sinks[i]->used;
		if (left < before)
			since = clock_monotonic();
		else if (clock_monotonic() - since > patience * 1000)
			return false;
		before = left;
		poll(NULL, 0, 2);
	}
}
