/* event_record.c - see event_record.h */
#include "qfwatch/event_record.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qfwatch/clock.h"

/* ---- times ---- */

/* Exactly `count` digits. */
static bool read_digits(const char **at, unsigned count, int *ret)
{
	int value = 0;

	for (unsigned i = 0; i < count; i++) {
		char c = (*at)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*at += count;
	*ret = value;
	return true;
}

static bool read_mark(const char **at, char mark)
{
	if (**at != mark)
		return false;
	(*at)++;
	return true;
}

/* Microseconds; what is finer is cut. */
static bool read_fraction(const char **at, int *ret)
{
	int value = 0, scale = 100000;

	*ret = 0;
	if (!read_mark(at, '.'))
		return true;
	if (**at < '0' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		value += (**at - '0') * scale;
		scale /= 10;
	}
	*ret = value;
	return true;
}

static bool read_offset(const char **at, int *ret_minutes)
{
	int sign = **at == '-' ? -1 : 1, hours, minutes;

	*ret_minutes = 0;
	if (read_mark(at, 'Z') || read_mark(at, 'z'))
		return true;
	if (!read_mark(at, '+') && !read_mark(at, '-'))
		return false;
	if (!read_digits(at, 2, &hours) || !read_mark(at, ':') || !read_digits(at, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*ret_minutes = sign * (hours * 60 + minutes);
	return true;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01: cheaper by far than timegm, and this is done for every line. */
static int64_t days_of(int year, int month, int day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - 719162 + before[month - 1] +
	       (month > 2 && is_leap(year)) + day - 1;
}

static bool is_date(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= days[month - 1] + (month == 2 && is_leap(year));
}

int event_time_read(const char *text, int64_t *ret, const char **ret_end)
{
	const char *at = text;
	int year, month, day, hour, minute, second, fraction, offset;

	if (!read_digits(&at, 4, &year) || !read_mark(&at, '-') || !read_digits(&at, 2, &month) ||
	    !read_mark(&at, '-') || !read_digits(&at, 2, &day) || !is_date(year, month, day))
		return -EINVAL;
	if (!read_mark(&at, 'T') && !read_mark(&at, 't') && !read_mark(&at, ' '))
		return -EINVAL;
	if (!read_digits(&at, 2, &hour) || !read_mark(&at, ':') || !read_digits(&at, 2, &minute) ||
	    !read_mark(&at, ':') || !read_digits(&at, 2, &second) || hour > 23 || minute > 59 ||
	    second > 60 || !read_fraction(&at, &fraction) || !read_offset(&at, &offset))
		return -EINVAL;
	if (!ret_end && *at)
		return -EINVAL;
	if (ret_end)
		*ret_end = at;
	*ret = (days_of(year, month, day) * 86400 + hour * 3600 + (minute - offset) * 60 + second) *
		       CLOCK_SECOND +
	       fraction;
	return 0;
}

int event_time_peek(const char *line, size_t length, int64_t *ret)
{
	static const char start[] = "{\"@timestamp\":\"";
	const char *end;

	/* Long enough for any time: nothing behind the line is looked at. */
	if (length < sizeof start + 60 || memcmp(line, start, sizeof start - 1) != 0 ||
	    event_time_read(line + sizeof start - 1, ret, &end) < 0 || *end != '"')
		return -EINVAL;
	return 0;
}

/* ---- keys ---- */

int event_key_compare(const struct event_key *a, const struct event_key *b)
{
	int order = strcmp(a->run, b->run);

	if (order == 0 && a->run[0])
		return (a->number > b->number) - (a->number < b->number);
	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return order;
}

static void read_key(const char *id, struct event_key *key)
{
	const char *dash = id ? strrchr(id, '-') : NULL;
	size_t n = dash ? (size_t)(dash - id) : 0;

	if (!n || n >= sizeof key->run)
		return;
	memcpy(key->run, id, n);
	key->number = strtoull(dash + 1, NULL, 10);
}

/* ---- records ---- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int event_record_read(const char *line, size_t length, struct event_record *ret,
		      const char **ret_why)
{
	struct event_record record = {0};
	const json_t *event, *own, *move, *sequence;
	const char *time;
	json_t *json = json_loadb(line, length, JSON_ALLOW_NUL, NULL);

	*ret_why = "this is no JSON in UTF-8";
	if (!json)
		return -EINVAL;
	event = json_object_get(json, "event");
	own = json_object_get(json, "qfwatch");
	time = text_of(json, "@timestamp");
	record.action = text_of(event, "action");
	if (!time || !record.action || !json_is_object(own) ||
	    event_time_read(time, &record.key.time, NULL) < 0) {
		*ret_why = "this is no event of qfwatch";
		json_decref(json);
		return -EINVAL;
	}
	record.json = json;
	read_key(text_of(event, "id"), &record.key);
	sequence = json_object_get(event, "sequence");
	record.sequence = json_is_integer(sequence) ? (uint64_t)json_integer_value(sequence) : 0;
	record.message = text_of(json, "message");
	record.level = text_of(json, "log.level");
	record.reason = text_of(event, "reason");
	record.failure =
		text_of(event, "outcome") && strcmp(text_of(event, "outcome"), "failure") == 0;
	record.dry_run = json_is_true(json_object_get(own, "dry_run"));
	record.id = text_of(json_object_get(json, "email"), "local_id");
	record.tier = text_of(own, "tier");
	move = json_object_get(own, "move");
	record.from = text_of(move, "from");
	record.to = text_of(move, "to");
	record.rule = move ? text_of(move, "rule") : text_of(own, "rule");
	*ret = record;
	return 0;
}

void event_record_free(struct event_record *record)
{
	json_decref(record->json);
	memset(record, 0, sizeof *record);
}
