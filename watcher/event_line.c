/* event_line.c - an event as a line of JSON. */
#include "events_parts.h"

#include <stdio.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/json_line.h"
#include "qfwatch/phrase.h"

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

/* What every action is in ECS, and how loud it is; and all of a line that follows from that. */
#define KIND(level, category, type)                                                                \
	{                                                                                          \
		level, "\",\"log.level\":\"" level "\",\"message\":",                              \
			",\"kind\":\"event\",\"category\":[" category "],\"type\":[" type          \
			"],\"module\":\"qfwatch\",\"dataset\":\"qfwatch.queue\",\"action\":\""     \
	}

static const struct {
	const char *level;
	const char *start; /* behind the time, up to the message */
	const char *kind;  /* behind the sequence number, up to the action */
} kinds[EVENT_ACTIONS] = {
	[EVENT_STARTED] = KIND("info", "\"process\"", "\"start\""),
	[EVENT_STOPPED] = KIND("info", "\"process\"", "\"end\""),
	[EVENT_POLICY_LOADED] = KIND("info", "\"configuration\"", "\"change\""),
	[EVENT_POLICY_REJECTED] = KIND("error", "\"configuration\"", "\"error\""),
	[EVENT_MESSAGE_TRACKED] = KIND("info", "\"email\"", "\"info\""),
	[EVENT_MESSAGE_ATTEMPTED] = KIND("info", "\"email\"", "\"info\""),
	[EVENT_MESSAGE_MOVED] = KIND("info", "\"email\",\"file\"", "\"change\""),
	[EVENT_MESSAGE_DELETED] = KIND("notice", "\"email\",\"file\"", "\"deletion\""),
	[EVENT_MESSAGE_DEPARTED] = KIND("info", "\"email\",\"file\"", "\"info\""),
	[EVENT_MESSAGE_BUSY] = KIND("info", "\"email\"", "\"info\""),
	[EVENT_MESSAGE_REFUSED] = KIND("warning", "\"email\",\"file\"", "\"denied\""),
	[EVENT_MOVE_FAILED] = KIND("error", "\"email\",\"file\"", "\"error\""),
	[EVENT_TIER_LOST] = KIND("error", "\"file\"", "\"error\""),
	[EVENT_TIER_FOUND] = KIND("notice", "\"file\"", "\"info\""),
	[EVENT_EVENTS_LOST] = KIND("warning", "\"file\"", "\"error\""),
	[EVENT_RESYNCED] = KIND("info", "\"file\"", "\"info\""),
	[EVENT_EVENTS_DROPPED] = KIND("warning", "\"process\"", "\"error\""),
	[EVENT_MESSAGE_RECOVERED] = KIND("notice", "\"email\",\"file\"", "\"change\""),
	[EVENT_LIMIT_REACHED] = KIND("notice", "\"email\"", "\"info\""),
	[EVENT_MESSAGE_BOUNCED] = KIND("notice", "\"email\",\"file\"", "\"deletion\""),
	[EVENT_MESSAGE_NOTICED] = KIND("notice", "\"email\"", "\"info\""),
	[EVENT_PROGRAM_RUN] = KIND("info", "\"process\"", "\"end\""),
	[EVENT_DOMAIN_DEFERRED] = KIND("notice", "\"email\"", "\"info\""),
	[EVENT_DOMAIN_RECOVERED] = KIND("notice", "\"email\"", "\"info\""),
};

const char *events_action_name(enum event_action action)
{
	return policy_event_names[action];
}

/* Up to its fraction a time is that of the line before, nearly always. */
static void write_second(struct events_second *second, int64_t time)
{
	time_t seconds = (time_t)time;
	struct tm utc;

	gmtime_r(&seconds, &utc);
	second->length =
		(size_t)snprintf(second->text, sizeof second->text,
				 "%04d-%02d-%02dT%02d:%02d:%02d.", utc.tm_year + 1900,
				 utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
	second->time = time;
}

static size_t write_stamp(struct events_second *second, int64_t time, char *stamp)
{
	if (!second->length || second->time != time / CLOCK_SECOND)
		write_second(second, time / CLOCK_SECOND);
	memcpy(stamp, second->text, sizeof second->text);
	phrase_last_digits(stamp + second->length, 6, (uint64_t)(time % CLOCK_SECOND));
	memcpy(stamp + second->length + 6, "Z", 2);
	return second->length + 7;
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

static inline void put_text(struct json_line *line, const char *before, const char *text,
			    size_t cap)
{
	json_line_raw(line, before);
	json_line_string(line, text, strlen(text), cap);
}

static void put_event_rest(struct json_line *line, const struct event *event)
{
	json_line_raw(line, kinds[event->action].kind);
	json_line_raw(line, events_action_name(event->action));
	if (event->failure)
		json_line_raw(line, "\",\"outcome\":\"failure\"");
	else
		json_line_raw(line, "\",\"outcome\":\"success\"");
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
			  const char *key, const char *const *list, size_t count, size_t end)
{
	char buffer[ADDRESSES_MAX];
	size_t i;

	for (i = 0; i < count; i++) {
		const char *address = addresses_show(&events->addresses, list[i], buffer);

		if (line->length + at_most(address, CAP_ADDRESS) > end) {
			line->truncated = true;
			break;
		}
		if (!i)
			json_line_raw(line, before);
		put_text(line, i ? "," : key, address, CAP_ADDRESS);
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

		if (event->sender && put_addresses(line, events, before, "\"from\":{\"address\":[",
						   &event->sender, 1, end))
			before = ",";
		if (put_addresses(line, events, before, "\"to\":{\"address\":[", event->recipients,
				  event->n_recipients, end))
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
	json_line_bytes(line, events->own.bytes, events->own.length);
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

/* What all lines of a run have in common is rendered once. */
void events_prepare_lines(struct events *events)
{
	struct json_line origin = {.buffer = events->origin.bytes,
				   .size = sizeof events->origin.bytes};
	struct json_line own = {.buffer = events->own.bytes, .size = sizeof events->own.bytes};

	json_line_raw(&origin,
		      ",\"ecs.version\":\"9.4.0\",\"service\":{\"name\":\"qfwatch\",\"version\":"
		      "\"" QFWATCH_VERSION "\"}");
	put_text(&origin, ",\"host\":{\"name\":", events->host, CAP_NAME);
	json_line_raw(&origin, "},\"process\":{\"pid\":");
	json_line_int(&origin, events->pid);
	json_line_raw(&origin, "},\"event\":{\"id\":\"");
	json_line_raw(&origin, events->run);
	json_line_raw(&origin, "-");
	events->origin.length = origin.length;
	events->origin_lossy = origin.lossy;
	events->origin_truncated = origin.truncated;

	json_line_raw(&own, ",\"qfwatch\":{\"schema\":\"1.0\",\"run\":\"");
	json_line_raw(&own, events->run);
	json_line_raw(&own, "\"");
	if (events->dry_run)
		json_line_raw(&own, ",\"dry_run\":true");
	events->own.length = own.length;
}

void events_render_line(struct events *events, const struct event *event, uint64_t number,
			char *buffer, struct sink_line *ret)
{
	struct json_line json = {.buffer = buffer,
				 .size = EVENTS_UNNUMBERED,
				 .lossy = events->origin_lossy,
				 .truncated = events->origin_truncated},
			 *line = &json;
	size_t stamp_length;

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
	stamp_length =
		write_stamp(&events->second, event->time ? event->time : clock_now(), ret->stamp);
	json_line_raw(line, "{\"@timestamp\":\"");
	json_line_bytes(line, ret->stamp, stamp_length);
	json_line_raw(line, kinds[event->action].start);
	json_line_string(line, event->text, strlen(event->text), CAP_TEXT);
	json_line_bytes(line, events->origin.bytes, events->origin.length);
	json_line_uint(line, number);
	json_line_raw(line, "\",\"sequence\":");
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

size_t events_number_line(const struct sink_line *from, uint64_t sequence, char *buffer)
{
	struct json_line line = {.buffer = buffer, .size = EVENTS_LINE_MAX};

	memcpy(buffer, from->json, from->place);
	line.length = from->place;
	json_line_uint(&line, sequence);
	memcpy(buffer + line.length, from->json + from->place, from->length - from->place);
	return line.length + from->length - from->place;
}

size_t events_render(struct events *events, const struct event *event, uint64_t number,
		     uint64_t sequence, char *buffer)
{
	char rendered[EVENTS_UNNUMBERED];
	struct sink_line from;

	events_render_line(events, event, number, rendered, &from);
	return events_number_line(&from, sequence, buffer);
}
