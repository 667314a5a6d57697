/* http_status.c - is it working: /healthz, /api/v1/status. */
#include "http_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/units.h"

/* ---- /healthz ---- */

void http_health(struct http_request *request, const char *rest)
{
	struct engine *engine = request->http->engine;
	struct json_text *body = &request->body;
	const struct policy *policy = engine_view_policy(engine);

	(void)rest;
	if (!http_query_is_known(request, (const char *const[]){NULL}))
		return;
	for (size_t i = 0; i < engine_view_directories(engine); i++) {
		struct engine_view_directory dir;

		if (engine_view_directory(engine, i, &dir) && dir.state == ENGINE_VIEW_LOST)
			json_text_add(body, "tier %s is lost: %s: %s\n",
				      policy->tiers[dir.tier].name, dir.path,
				      engine_view_lost_reason(dir.error));
	}
	if (!engine_view_is_complete(engine))
		json_text_add(body,
			      "the first scan is under way: not all messages are known yet\n");
	if (body->length) {
		http_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, HTTP_TEXT);
		return;
	}
	json_text_add(body, "ok\n");
	http_answer(request, MHD_HTTP_OK, HTTP_TEXT);
}

/* ---- /api/v1/status ---- */

void http_put_states(struct json_text *body, const uint64_t *states)
{
	for (unsigned i = 0; i < MESSAGE_STATES; i++)
		json_text_add(body, "%s\"%s\":%llu", i ? "," : "",
			      engine_view_state_name((enum message_state)i),
			      (unsigned long long)states[i]);
}

/* Bytes of memory that this process has in use; 0 where /proc does not say. */
static unsigned long long resident_bytes(void)
{
	char text[128];
	unsigned long long pages = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	if (strchr(text, ' '))
		pages = strtoull(strchr(text, ' '), NULL, 10);
	return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

void http_put_rejected(struct json_text *body, const struct http *http)
{
	if (!http->rejected) {
		json_text_add(body, "null");
		return;
	}
	json_text_add(body, "{\"at\":");
	json_text_time(body, http->rejected_at);
	json_text_add(body, ",\"reason\":");
	json_text_string(body, http->rejected);
	json_text_add(body, "}");
}

static void put_policy(struct json_text *body, const struct http *http, const struct policy *policy)
{
	json_text_add(body, ",\"policy\":{\"path\":");
	json_text_string(body, http->policy_path);
	json_text_add(body, ",\"loaded_at\":");
	json_text_time(body, http->loaded);
	json_text_add(body, ",\"tiers\":%zu,\"rules\":%zu,\"rejected\":", policy->n_tiers,
		      policy->n_rules);
	http_put_rejected(body, http);
	json_text_add(body, "}");
}

static void put_round(struct json_text *body, const struct engine *engine)
{
	struct engine_view_round round;

	engine_view_round(engine, &round);
	json_text_add(body, ",\"round\":{\"running\":");
	json_text_string(body, round.running);
	json_text_add(body, ",\"last\":");
	if (round.last) {
		json_text_add(body, "{\"reason\":\"%s\",\"at\":", round.last);
		json_text_time(body, round.last_at);
		json_text_add(body, ",\"seconds\":%.3f,\"found\":%llu,\"departed\":%llu}",
			      (double)round.last_took / CLOCK_SECOND,
			      (unsigned long long)round.last_found,
			      (unsigned long long)round.last_departed);
	} else {
		json_text_add(body, "null");
	}
	json_text_add(body, "}");
}

static void put_directories(struct json_text *body, const struct engine *engine)
{
	unsigned counts[3] = {0};

	for (size_t i = 0; i < engine_view_directories(engine); i++) {
		struct engine_view_directory dir;

		if (engine_view_directory(engine, i, &dir))
			counts[dir.state]++;
	}
	json_text_add(body, ",\"directories\":{\"watched\":%u,\"polled\":%u,\"lost\":%u}",
		      counts[ENGINE_VIEW_WATCHED], counts[ENGINE_VIEW_POLLED],
		      counts[ENGINE_VIEW_LOST]);
}

static void put_sinks(struct json_text *body, const struct events *events)
{
	struct events_sink sink;

	json_text_add(body, ",\"events\":{\"dropped\":%llu,\"sinks\":[",
		      (unsigned long long)events_dropped(events));
	for (size_t i = 0; events_sink(events, i, &sink); i++) {
		json_text_add(body, "%s{\"name\":", i ? "," : "");
		json_text_string(body, sink.name);
		json_text_add(body, ",\"dropped\":%llu,\"waiting_bytes\":%zu,\"broken\":%s}",
			      (unsigned long long)sink.dropped, sink.waiting,
			      sink.broken ? "true" : "false");
	}
	json_text_add(body, "]}");
}

/* ---- what is wrong now ---- */

static void put_trouble(struct json_text *body, bool *any, const char *kind, const char *remedy,
			const char *format, ...) __attribute__((format(printf, 5, 6)));

static void put_trouble(struct json_text *body, bool *any, const char *kind, const char *remedy,
			const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	json_text_add(body, "%s{\"kind\":\"%s\",\"text\":", *any ? "," : "", kind);
	json_text_string(body, text);
	json_text_add(body, ",\"remedy\":");
	json_text_string(body, remedy);
	json_text_add(body, "}");
	*any = true;
}

static void put_lost(struct json_text *body, bool *any, const struct engine *engine)
{
	const struct policy *policy = engine_view_policy(engine);

	for (size_t i = 0; i < engine_view_directories(engine); i++) {
		struct engine_view_directory dir;

		if (engine_view_directory(engine, i, &dir) && dir.state == ENGINE_VIEW_LOST)
			put_trouble(body, any, "tier-lost", engine_view_lost_remedy(dir.error),
				    "tier %s is lost: %s: %s", policy->tiers[dir.tier].name,
				    dir.path, engine_view_lost_reason(dir.error));
	}
}

static void put_troubles(struct json_text *body, const struct http *http)
{
	uint64_t failed = engine_view_state_count(http->engine, MESSAGE_FAILED);
	uint64_t refused = engine_view_state_count(http->engine, MESSAGE_REFUSED);
	struct events_sink sink;
	bool any = false;

	json_text_add(body, ",\"trouble\":[");
	put_lost(body, &any, http->engine);
	if (http->rejected)
		put_trouble(
			body, &any, "policy-rejected",
			"mend what it says (qfwatch check tells what else is wrong with the file), "
			"and save the policy again or send SIGHUP; the one in force stays",
			"the policy file was not taken: %s", http->rejected);
	if (failed)
		put_trouble(body, &any, "move-failed",
			    "qfwatch list --state failed names them, qfwatch explain ID says why; "
			    "they are tried again by themselves",
			    "%llu %s due, and could not be moved or deleted",
			    (unsigned long long)failed,
			    units_plural(failed, "message is", "messages are"));
	if (refused)
		put_trouble(body, &any, "message-refused",
			    "qfwatch list --state refused names them, qfwatch explain ID says why",
			    "%llu %s not safe to touch, and left alone",
			    (unsigned long long)refused,
			    units_plural(refused, "message is", "messages are"));
	for (size_t i = 0; events_sink(http->events, i, &sink); i++)
		if (sink.broken)
			put_trouble(body, &any, "sink-broken",
				    "see to it that the other side is there and can be written to; "
				    "it is tried again by itself",
				    "events cannot be written to %s", sink.name);
	json_text_add(body, "]");
}

void http_status(struct http_request *request, const char *rest)
{
	const struct http *http = request->http;
	const struct engine *engine = http->engine;
	struct engine_counts counts = engine_count(engine);
	int64_t now = clock_now(), next = engine_deadline(engine);
	struct tally_sums tracked =
		tally_of_all(engine_get_tally(http->engine, now), TALLY_TRACKED);
	struct json_text *body = &request->body;
	uint64_t states[MESSAGE_STATES];

	(void)rest;
	if (!http_query_is_known(request, (const char *const[]){NULL}))
		return;
	for (unsigned i = 0; i < MESSAGE_STATES; i++)
		states[i] = engine_view_state_count(engine, (enum message_state)i);
	json_text_add(body, "{\"version\":\"%s\",\"pid\":%ld,\"host\":", QFWATCH_VERSION,
		      (long)getpid());
	json_text_string(body, events_host(http->events));
	json_text_add(body, ",\"run\":\"%s\",\"started\":", events_run(http->events));
	json_text_time(body, http->started);
	json_text_add(body, ",\"now\":");
	json_text_time(body, now);
	json_text_add(body, ",\"uptime\":%lld,\"dry_run\":%s",
		      (long long)((now - http->started) / CLOCK_SECOND),
		      engine_view_is_dry_run(engine) ? "true" : "false");
	put_policy(body, http, engine_view_policy(engine));
	json_text_add(body, ",\"messages\":{\"total\":%llu,", (unsigned long long)counts.messages);
	http_put_states(body, states);
	json_text_add(body,
		      "},\"since_start\":{\"tracked\":%llu,\"attempted\":%llu,\"moved\":%llu,"
		      "\"deleted\":%llu,\"bounced\":%llu,\"departed\":%llu}",
		      (unsigned long long)tracked.total, (unsigned long long)counts.attempted,
		      (unsigned long long)counts.moved, (unsigned long long)counts.deleted,
		      (unsigned long long)counts.bounced, (unsigned long long)counts.departed);
	put_round(body, engine);
	json_text_add(body, ",\"notifications\":{\"overflows\":%llu}",
		      (unsigned long long)counts.overflows);
	put_directories(body, engine);
	put_sinks(body, http->events);
	json_text_add(body,
		      ",\"memory\":{\"messages_bytes\":%zu,\"resident_bytes\":%llu},"
		      "\"next_deadline\":",
		      counts.table_bytes, resident_bytes());
	json_text_time(body, next == INT64_MAX ? 0 : next);
	put_troubles(body, http);
	json_text_add(body, "}\n");
	http_answer(request, MHD_HTTP_OK, HTTP_JSON);
}
