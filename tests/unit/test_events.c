/* test_events.c - event records: the exact line, any bytes in them, their greatest length. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/events.h"

#include "../support/lines.h"
#include "../support/testing.h"

static struct events *new_events(bool dry_run)
{
	struct events *events = events_new(dry_run);

	check(events != NULL);
	return events;
}

static json_t *render(struct events *events, const struct event *event)
{
	char line[EVENTS_LINE_MAX];
	size_t length = events_render(events, event, INT64_MAX, INT64_MAX, line);

	return lines_parse(line, length);
}

static void exact_line(void)
{
	static const char *const domains[] = {"example.net", "example.org"};
	const struct event event = {
		.action = EVENT_MESSAGE_MOVED,
		.time = INT64_C(1795368015123456),
		.text = "moved 6AMHKF QUEUE -> MIDQUEUE (three attempts)",
		.reason = "attempts 3 >= 3",
		.duration = 81234,
		.id = "6AMHKFCA026379 and more",
		.id_length = 14,
		.tier = "MIDQUEUE",
		.from = "QUEUE",
		.to = "MIDQUEUE",
		.rule = "three attempts",
		.has_message = true,
		.attempts = 3,
		.age = 191,
		.size = 3120,
		.domains = domains,
		.n_domains = 2,
	};
	struct events *events = new_events(false);
	char host[256], expected[4096], line[EVENTS_LINE_MAX + 1];
	size_t length;

	check(gethostname(host, sizeof(host)) == 0);
	snprintf(expected, sizeof(expected),
		 "{\"@timestamp\":\"2026-11-22T17:20:15.123456Z\",\"log.level\":\"info\","
		 "\"message\":\"moved 6AMHKF QUEUE -> MIDQUEUE (three attempts)\","
		 "\"ecs.version\":\"9.4.0\","
		 "\"service\":{\"name\":\"qfwatch\",\"version\":\"" QFWATCH_VERSION "\"},"
		 "\"host\":{\"name\":\"%s\"},\"process\":{\"pid\":%ld},"
		 "\"event\":{\"id\":\"%s-412\",\"sequence\":409,\"kind\":\"event\","
		 "\"category\":[\"email\",\"file\"],\"type\":[\"change\"],\"module\":\"qfwatch\","
		 "\"dataset\":\"qfwatch.queue\",\"action\":\"message-moved\","
		 "\"outcome\":\"success\",\"reason\":\"attempts 3 >= 3\",\"duration\":81234},"
		 "\"email\":{\"local_id\":\"6AMHKFCA026379\"},"
		 "\"qfwatch\":{\"schema\":\"1.0\",\"run\":\"%s\",\"tier\":\"MIDQUEUE\","
		 "\"move\":{\"from\":\"QUEUE\",\"to\":\"MIDQUEUE\",\"rule\":\"three attempts\"},"
		 "\"message\":{\"attempts\":3,\"age\":191,\"size\":3120,"
		 "\"recipient_domains\":[\"example.net\",\"example.org\"]}}}\n",
		 host, (long)getpid(), events_run(events), events_run(events));
	length = events_render(events, &event, 412, 409, line);
	line[length] = 0;
	check_text(line, expected);
	json_decref(lines_parse(line, length));
	events_free(events);
}

/* What does not apply does not appear. */
static void least_line(void)
{
	const struct event event = {.action = EVENT_STARTED, .text = "started"};
	struct events *events = new_events(true);
	int64_t before = clock_now() / CLOCK_SECOND;
	json_t *json = render(events, &event);
	int64_t after = clock_now() / CLOCK_SECOND;
	struct tm tm = {0};
	const char *rest;

	rest = strptime(lines_text(json, "@timestamp"), "%Y-%m-%dT%H:%M:%S", &tm);
	check(rest && strlen(rest) == 8 && rest[0] == '.' && rest[7] == 'Z');
	check(timegm(&tm) >= before && timegm(&tm) <= after);
	check_equal(json_object_size(json), 9);
	check_equal(json_object_size(lines_at(json, "event")), 9);
	check_equal(json_object_size(lines_at(json, "qfwatch")), 3);
	check(json_is_true(lines_at(json, "qfwatch/dry_run")));
	check_text(lines_text(json, "event/outcome"), "success");
	json_decref(json);
	events_free(events);
}

/* What a double still holds. */
#define MOST ((INT64_C(1) << 53) - 1)

static void every_field(void)
{
	static const char *const domains[] = {"example.net"};
	const struct event event = {
		.action = EVENT_MOVE_FAILED,
		.time = 1,
		.failure = true,
		.text = "text",
		.reason = "reason",
		.duration = INT64_MAX,
		.id = "id",
		.id_length = 2,
		.tier = "tier",
		.rule = "rule",
		.has_message = true,
		.attempts = UINT32_MAX,
		.age = INT64_MIN,
		.size = INT64_MAX,
		.domains = domains,
		.n_domains = 1,
		.domains_cut = true,
		.path = "/a/path",
		.error = ENOSPC,
		.remedy = "remedy",
		.counts = {{"first", 1}, {"second", INT64_MAX}},
		.n_counts = 2,
	};
	struct events *events = new_events(false);
	json_t *json = render(events, &event);

	check_text(lines_text(json, "@timestamp"), "1970-01-01T00:00:00.000001Z");
	check_text(lines_text(json, "log.level"), "error");
	check_text(lines_text(json, "event/outcome"), "failure");
	check_text(lines_text(json, "event/reason"), "reason");
	check(lines_number(json, "event/duration") == MOST);
	check_text(lines_text(json, "email/local_id"), "id");
	check_text(lines_text(json, "file/path"), "/a/path");
	check_text(lines_text(json, "error/code"), "ENOSPC");
	check_text(lines_text(json, "error/message"), strerror(ENOSPC));
	check_text(lines_text(json, "qfwatch/tier"), "tier");
	/* Without a move, the rule stands by itself. */
	check_text(lines_text(json, "qfwatch/rule"), "rule");
	check(!lines_at(json, "qfwatch/move"));
	check_text(lines_text(json, "qfwatch/remedy"), "remedy");
	check_equal(lines_number(json, "qfwatch/counts/first"), 1);
	check(lines_number(json, "qfwatch/counts/second") == MOST);
	check(lines_number(json, "qfwatch/message/attempts") == UINT32_MAX);
	check(lines_number(json, "qfwatch/message/age") == -MOST);
	check(lines_number(json, "qfwatch/message/size") == MOST);
	/* The message has more domains than the event was given. */
	check_equal(json_array_size(lines_at(json, "qfwatch/message/recipient_domains")), 0);
	check(json_is_true(lines_at(json, "qfwatch/truncated")));
	check(!lines_at(json, "qfwatch/lossy") && !lines_at(json, "qfwatch/dry_run"));
	json_decref(json);
	events_free(events);
}

static void actions(void)
{
	/* DESIGN.md, section 5. */
	static const struct {
		enum event_action action;
		const char *name;
	} all[] = {
		{EVENT_STARTED, "started"},
		{EVENT_STOPPED, "stopped"},
		{EVENT_POLICY_LOADED, "policy-loaded"},
		{EVENT_POLICY_REJECTED, "policy-rejected"},
		{EVENT_MESSAGE_TRACKED, "message-tracked"},
		{EVENT_MESSAGE_ATTEMPTED, "message-attempted"},
		{EVENT_MESSAGE_MOVED, "message-moved"},
		{EVENT_MESSAGE_DELETED, "message-deleted"},
		{EVENT_MESSAGE_DEPARTED, "message-departed"},
		{EVENT_MESSAGE_BUSY, "message-busy"},
		{EVENT_MESSAGE_REFUSED, "message-refused"},
		{EVENT_MOVE_FAILED, "move-failed"},
		{EVENT_TIER_LOST, "tier-lost"},
		{EVENT_TIER_FOUND, "tier-found"},
		{EVENT_EVENTS_LOST, "events-lost"},
		{EVENT_RESYNCED, "resynced"},
		{EVENT_EVENTS_DROPPED, "events-dropped"},
		{EVENT_MESSAGE_RECOVERED, "message-recovered"},
		{EVENT_LIMIT_REACHED, "limit-reached"},
		{EVENT_MESSAGE_BOUNCED, "message-bounced"},
		{EVENT_MESSAGE_NOTICED, "message-noticed"},
		{EVENT_PROGRAM_RUN, "program-run"},
		{EVENT_DOMAIN_DEFERRED, "domain-deferred"},
		{EVENT_DOMAIN_RECOVERED, "domain-recovered"},
	};
	struct events *events = new_events(false);
	size_t count = 0;

	while (policy_event_names[count])
		count++;
	check_equal(count, N(all));
	check_equal(EVENT_ACTIONS, N(all));
	for (size_t i = 0; i < N(all); i++) {
		struct event event = {.action = all[i].action, .text = "text"};
		json_t *json = render(events, &event);

		check_equal(all[i].action, i);
		check_text(policy_event_names[i], all[i].name);
		check_text(events_action_name(all[i].action), all[i].name);
		check_text(lines_text(json, "event/action"), all[i].name);
		check(lines_text(json, "log.level") && lines_text(json, "log.level")[0]);
		check(json_array_size(lines_at(json, "event/category")) >= 1);
		check(json_array_size(lines_at(json, "event/type")) >= 1);
		json_decref(json);
	}
	events_free(events);
}

/* ---- bytes ---- */

#define FFFD "\xef\xbf\xbd"

static void not_utf8(void)
{
	static const struct {
		const char *given, *expected;
		bool lossy;
	} table[] = {
		{"plain", "plain", false},
		{"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x93\xac", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x93\xac",
		 false},
		/* The limits of each length, and around the surrogates. */
		{"\x7e\xc2\x80\xdf\xbf", "\x7e\xc2\x80\xdf\xbf", false},
		{"\xe0\xa0\x80\xef\xbf\xbf", "\xe0\xa0\x80\xef\xbf\xbf", false},
		{"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80", false},
		{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", false},
		/* U+FFFD itself is no loss. */
		{FFFD, FFFD, false},
		{"<\x81g>", "<" FFFD "g>", true},
		{"\xff\xfe", FFFD FFFD, true},
		{"\x80", FFFD, true},
		{"\xc0\xaf", FFFD FFFD, true},
		{"\xc1\xbf", FFFD FFFD, true},
		{"\xe0\x80\xaf", FFFD FFFD FFFD, true},
		{"\xe0\x9f\xbf", FFFD FFFD FFFD, true},
		{"\xf0\x8f\xbf\xbf", FFFD FFFD FFFD FFFD, true},
		{"\xed\xa0\x80", FFFD FFFD FFFD, true},
		{"\xed\xbf\xbf", FFFD FFFD FFFD, true},
		{"\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD, true},
		{"\xf5\x80\x80\x80", FFFD FFFD FFFD FFFD, true},
		/* Cut short, at the end and within. */
		{"a\xc3", "a" FFFD, true},
		{"a\xe2\x82", "a" FFFD FFFD, true},
		{"a\xf0\x9f\x93", "a" FFFD FFFD FFFD, true},
		{"\xc3(", FFFD "(", true},
		{"\xe2\x82\"", FFFD FFFD "\"", true},
		{"\xc3\xc3\xa4", FFFD "\xc3\xa4", true},
	};
	struct events *events = new_events(false);

	for (size_t i = 0; i < N(table); i++) {
		const struct event event = {.action = EVENT_STARTED, .text = table[i].given};
		json_t *json = render(events, &event);

		check_text(lines_text(json, "message"), table[i].expected);
		check_equal(json_is_true(lines_at(json, "qfwatch/lossy")), table[i].lossy);
		check(!lines_at(json, "qfwatch/truncated"));
		json_decref(json);
	}
	events_free(events);
}

static void control_characters(void)
{
	char all[256];
	struct event event = {.action = EVENT_MESSAGE_REFUSED, .text = all, .path = all};
	struct events *events = new_events(false);
	char line[EVENTS_LINE_MAX];
	size_t length;
	json_t *json;

	for (int i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	all[127] = 0;
	event.reason = event.tier = "\"},{\"injected\":\"\\";
	event.id = "a\0b\n";
	event.id_length = 4;
	length = events_render(events, &event, 1, 1, line);
	for (size_t i = 0; i + 1 < length; i++)
		check((unsigned char)line[i] >= ' ' && line[i] != 0x7f);
	json = lines_parse(line, length);
	check_text(lines_text(json, "message"), all);
	check_text(lines_text(json, "file/path"), all);
	check_text(lines_text(json, "event/reason"), event.reason);
	check_text(lines_text(json, "qfwatch/tier"), event.tier);
	check(!lines_at(json, "injected"));
	check(!lines_at(json, "qfwatch/lossy") && !lines_at(json, "qfwatch/truncated"));
	json_decref(json);
	events_free(events);
}

/* NUL in a queue id: the only place where one may stand. */
static void nul_in_id(void)
{
	const struct event event = {
		.action = EVENT_STARTED, .text = "text", .id = "a\0b", .id_length = 3};
	struct events *events = new_events(false);
	char line[EVENTS_LINE_MAX];
	size_t length = events_render(events, &event, 1, 1, line);

	check(memmem(line, length, "\"a\\u0000b\"", 10) != NULL);
	events_free(events);
}

/* ---- lengths ---- */

static char *filled(const char *unit, size_t length)
{
	size_t n = strlen(unit);
	char *text = malloc(length + n + 1);

	check(text != NULL);
	for (size_t i = 0; i < length; i += n)
		memcpy(text + i, unit, n + 1);
	return text;
}

/* All fields that there are, all of them too long, with all numbers at their longest. */
static struct event too_much(const char *text, const char *const *domains)
{
	struct event event = {
		.action = EVENT_MESSAGE_REFUSED,
		.time = INT64_C(253402300799999999),
		.failure = true,
		.text = text,
		.reason = text,
		.duration = INT64_MAX,
		.id = text,
		.id_length = 253,
		.tier = text,
		.from = text,
		.to = text,
		.rule = text,
		.has_message = true,
		.attempts = UINT32_MAX,
		.age = INT64_MIN,
		.size = INT64_MAX,
		.domains = domains,
		.n_domains = EVENT_MAX_DOMAINS,
		.path = text,
		/* The one with the longest name and text. */
		.error = EPROTONOSUPPORT,
		.remedy = text,
		.n_counts = EVENT_MAX_COUNTS,
	};

	for (size_t i = 0; i < EVENT_MAX_COUNTS; i++)
		event.counts[i] = (struct event_count){text, INT64_MAX};
	return event;
}

static void greatest_length(void)
{
	static const char *const units[] = {
		"x", "\"", "\x01", "\xff", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x93\xac", "x\xc3"};
	struct events *events = new_events(true);

	for (size_t i = 0; i < N(units); i++) {
		char *text = filled(units[i], 10000), *names[EVENT_MAX_COUNTS];
		const char *domains[EVENT_MAX_DOMAINS];
		struct event event;
		json_t *json;

		for (size_t k = 0; k < EVENT_MAX_DOMAINS; k++)
			domains[k] = text;
		event = too_much(text, domains);
		/* Their names have to differ. */
		for (size_t k = 0; k < EVENT_MAX_COUNTS; k++) {
			names[k] = filled(units[i], 300);
			names[k][0] = (char)('a' + k);
			event.counts[k].name = names[k];
		}
		json = render(events, &event);
		check(json_is_true(lines_at(json, "qfwatch/truncated")));
		check(json_is_true(lines_at(json, "qfwatch/dry_run")));
		/* Cut within a character, those of many bytes may be lossy. */
		if (strchr(units[i], '\xff') || strcmp(units[i], "x\xc3") == 0)
			check(json_is_true(lines_at(json, "qfwatch/lossy")));
		else if (units[i][0] > 0)
			check(!lines_at(json, "qfwatch/lossy"));
		check(json_object_size(lines_at(json, "qfwatch/counts")) >= 1);
		check(json_object_size(lines_at(json, "qfwatch/counts")) < EVENT_MAX_COUNTS);
		/* Enough of each to be of use. */
		check(strlen(lines_text(json, "message")) >= 64);
		check(strlen(lines_text(json, "file/path")) >= 64);
		json_decref(json);
		for (size_t k = 0; k < EVENT_MAX_COUNTS; k++)
			free(names[k]);
		free(text);
	}
	events_free(events);
}

/* What fits is not cut: the longest queue id, a tier and a rule of the usual length, a long path.
 */
static void long_enough(void)
{
	char *id = filled("x", 253), *path = filled("/folder", 640), *rule = filled("r", 100);
	const struct event event = {
		.action = EVENT_MESSAGE_MOVED,
		.text = id,
		.id = id,
		.id_length = 253,
		.tier = rule,
		.from = rule,
		.to = rule,
		.rule = rule,
		.path = path,
	};
	struct events *events = new_events(false);
	json_t *json = render(events, &event);

	check_text(lines_text(json, "email/local_id"), id);
	check_text(lines_text(json, "qfwatch/move/from"), rule);
	check_text(lines_text(json, "qfwatch/move/rule"), rule);
	check_text(lines_text(json, "file/path"), path);
	check(!lines_at(json, "qfwatch/truncated"));
	json_decref(json);
	events_free(events);
	free(id);
	free(path);
	free(rule);
}

/* Counts come where there are few other texts: then there is room for all of them. */
static void many_counts(void)
{
	static const char *const names[EVENT_MAX_COUNTS] = {
		"messages", "departed", "overflows", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
	char *text = filled("x", 10000);
	struct event event = {
		.action = EVENT_STOPPED,
		.text = text,
		.reason = text,
		.path = text,
		.remedy = text,
		.n_counts = EVENT_MAX_COUNTS,
	};
	struct events *events = new_events(true);
	json_t *json;

	for (size_t i = 0; i < EVENT_MAX_COUNTS; i++)
		event.counts[i] = (struct event_count){names[i], (uint64_t)MOST - i};
	json = render(events, &event);
	for (size_t i = 0; i < EVENT_MAX_COUNTS; i++) {
		char path[64];

		snprintf(path, sizeof(path), "qfwatch/counts/%s", names[i]);
		check(lines_number(json, path) == MOST - (intmax_t)i);
	}
	json_decref(json);
	free(text);
	events_free(events);
}

/* The domains get what is left of the line, whole ones only. */
static void many_domains(void)
{
	char texts[EVENT_MAX_DOMAINS][256];
	const char *domains[EVENT_MAX_DOMAINS];
	struct events *events = new_events(false);

	for (size_t length = 10; length < 256; length += 5) {
		struct event event = {
			.action = EVENT_MESSAGE_MOVED,
			.text = "text",
			.has_message = true,
			.domains = domains,
			.n_domains = EVENT_MAX_DOMAINS,
		};
		json_t *json, *list;
		size_t count;

		for (size_t i = 0; i < EVENT_MAX_DOMAINS; i++) {
			memset(texts[i], 'd', length);
			texts[i][0] = (char)('A' + i);
			texts[i][length] = 0;
			domains[i] = texts[i];
		}
		json = render(events, &event);
		list = lines_at(json, "qfwatch/message/recipient_domains");
		count = json_array_size(list);
		check(count >= 3);
		for (size_t i = 0; i < count; i++)
			check_text(json_string_value(json_array_get(list, i)), texts[i]);
		check_equal(json_is_true(lines_at(json, "qfwatch/truncated")),
			    count < EVENT_MAX_DOMAINS);
		check(length > 40 || count == EVENT_MAX_DOMAINS);
		json_decref(json);
	}
	events_free(events);
}

static const char *random_text(uint64_t *seed, char *text, size_t size)
{
	uint64_t style = testing_random(seed) % 12;
	size_t length = testing_random(seed) % (style ? 60 : size);

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)testing_random(seed);

		if (style == 1)
			c = "\"\\\n\x01\x7f/\xc3\xa4"[c % 8];
		else if (style > 2)
			c = (unsigned char)(' ' + c % 95);
		else if (style == 2)
			c = "\xe2\x82\xac\xf0\x9f\x93\xed\xa0"[c % 8];
		text[i] = (char)(c ? c : 1);
	}
	text[length] = 0;
	return text;
}

static void random_bytes(void)
{
	static char texts[8][1500], names[EVENT_MAX_COUNTS][1500];
	static char domain_texts[EVENT_MAX_DOMAINS][1500];
	struct events *events = new_events(false);
	size_t cut = 0, lossy = 0, count = testing_scale(20000);
	uint64_t seed = 8715;

	for (size_t i = 0; i < count; i++) {
		const char *domains[EVENT_MAX_DOMAINS];
		uint64_t has = testing_random(&seed);
		struct event event = {
			.action = (enum event_action)(testing_random(&seed) % EVENT_ACTIONS),
			.time = (int64_t)(testing_random(&seed) % 253402300800000000u),
			.failure = has & 1,
			.text = random_text(&seed, texts[0], sizeof(texts[0])),
			.duration = has & 2 ? (int64_t)testing_random(&seed) : 0,
			.has_message = has & 4,
			.attempts = (uint32_t)testing_random(&seed),
			.age = (int64_t)testing_random(&seed),
			.size = testing_random(&seed) >> 1,
			.domains = domains,
			.n_domains = has & 8 ? testing_random(&seed) % (EVENT_MAX_DOMAINS + 1) : 0,
			.domains_cut = (has & 0xf0) == 0,
			.error = has & 0x100 ? (int)(testing_random(&seed) % 200) : 0,
			.n_counts =
				has & 0x200 ? testing_random(&seed) % (EVENT_MAX_COUNTS + 1) : 0,
		};
		json_t *json;

		if (has & 0x400)
			event.reason = random_text(&seed, texts[1], sizeof(texts[1]));
		if (has & 0x800) {
			event.id = random_text(&seed, texts[2], sizeof(texts[2]));
			event.id_length = strlen(event.id) % 254;
		}
		if (has & 0x1000)
			event.tier = random_text(&seed, texts[3], sizeof(texts[3]));
		if (has & 0x2000)
			event.from = event.to = random_text(&seed, texts[4], sizeof(texts[4]));
		if (has & 0x4000)
			event.rule = random_text(&seed, texts[5], sizeof(texts[5]));
		if (has & 0x8000)
			event.path = random_text(&seed, texts[6], sizeof(texts[6]));
		if (has & 0x10000)
			event.remedy = random_text(&seed, texts[7], sizeof(texts[7]));
		for (size_t k = 0; k < event.n_domains; k++)
			domains[k] = random_text(&seed, domain_texts[k], sizeof(domain_texts[k]));
		for (size_t k = 0; k < event.n_counts; k++) {
			random_text(&seed, names[k] + 1, sizeof(names[k]) - 1);
			names[k][0] = (char)('a' + k);
			event.counts[k] =
				(struct event_count){names[k], testing_random(&seed) >> 1};
		}
		json = render(events, &event);
		check_text(lines_text(json, "event/action"), events_action_name(event.action));
		cut += json_is_true(lines_at(json, "qfwatch/truncated"));
		lossy += json_is_true(lines_at(json, "qfwatch/lossy"));
		json_decref(json);
	}
	check(cut > count / 10 && lossy > count / 10);
	check(cut < count && lossy < count);
	events_free(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(exact_line),  APART(least_line),	    APART(every_field),
		APART(actions),	    APART(not_utf8),	    APART(control_characters),
		APART(nul_in_id),   APART(greatest_length), APART(long_enough),
		APART(many_counts), APART(many_domains),    APART(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
