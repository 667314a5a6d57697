/* event_filter.c - see event_filter.h */
#include "qfwatch/event_filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qfwatch/clock.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* ---- bounds ---- */

/* RUN:SEQUENCE, as they stand in an event. */
static bool read_place(const char *text, struct event_bound *ret)
{
	size_t n = strspn(text, "0123456789abcdef");
	unsigned long long sequence;
	char *end;

	if (n + 1 != sizeof ret->run || text[n] != ':' || text[n + 1] < '0' || text[n + 1] > '9')
		return false;
	errno = 0;
	sequence = strtoull(text + n + 1, &end, 10);
	if (errno || *end)
		return false;
	memcpy(ret->run, text, n);
	ret->run[n] = 0;
	ret->sequence = sequence;
	return true;
}

static bool read_ago(const char *text, int64_t now, int64_t *ret)
{
	int64_t seconds;

	if (units_parse_duration(*text == '-' ? text + 1 : text, &seconds) < 0)
		return false;
	*ret = now - seconds * CLOCK_SECOND;
	return true;
}

/* "17:20", "2026-11-22 17:20:15.5": what is not said of the date is today's, of the time 0. */
static bool read_local(const char *text, int64_t now, int64_t *ret)
{
	static const char *const forms[] = {
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d",	     "%H:%M:%S",	  "%H:%M"};
	time_t today = (time_t)(now / CLOCK_SECOND);

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm;
		int64_t fraction = 0;
		const char *rest;
		time_t seconds;

		localtime_r(&today, &tm);
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		tm.tm_isdst = -1;
		rest = strptime(text, forms[i], &tm);
		if (rest && *rest == '.' && strstr(forms[i], "%S")) {
			int64_t scale = CLOCK_SECOND / 10;

			for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
				fraction += (*rest - '0') * scale;
		}
		if (!rest || *rest)
			continue;
		seconds = mktime(&tm);
		*ret = (int64_t)seconds * CLOCK_SECOND + fraction;
		return true;
	}
	return false;
}

int event_bound_read(const char *text, int64_t now, struct event_bound *ret)
{
	struct event_bound bound = {.set = true};

	if (!read_place(text, &bound) && event_time_read(text, &bound.time, NULL) < 0 &&
	    !read_local(text, now, &bound.time) && !read_ago(text, now, &bound.time))
		return -EINVAL;
	*ret = bound;
	return 0;
}

/* The sequence, not the number in the id: that is what rises by one in a file, and what a reader of
 * it remembers. */
static bool has_begun(const struct event_bound *since, const struct event_record *record)
{
	if (!since->run[0])
		return record->key.time >= since->time;
	return strcmp(since->run, record->key.run) == 0 && record->sequence >= since->sequence;
}

/* What is later than a time may still be followed by something earlier, when the clock was set:
 * only a place in a run ends a log. */
static bool is_past(const struct event_bound *until, const struct event_record *record,
		    struct event_span *span)
{
	if (!until->run[0])
		return record->key.time > until->time;
	if (strcmp(until->run, record->key.run) != 0)
		return span->over = span->met_run;
	span->met_run = true;
	return span->over = record->sequence > until->sequence;
}

bool event_filter_spans(const struct event_filter *filter, const struct event_record *record,
			struct event_span *span)
{
	if (filter->since.set && filter->since.run[0] && !span->begun)
		span->begun = has_begun(&filter->since, record);
	else
		span->begun = !filter->since.set || filter->since.run[0] ||
			      has_begun(&filter->since, record);
	if (filter->until.set && is_past(&filter->until, record, span))
		return false;
	return span->begun;
}

/* ---- globs ---- */

void event_filter_add(struct event_filter *filter, enum event_field field, const char *glob)
{
	struct event_globs *globs = &filter->fields[field];

	globs->list = xreallocarray(globs->list, globs->count + 1, sizeof *globs->list);
	globs->list[globs->count++] = glob;
}

void event_filter_free(struct event_filter *filter)
{
	for (size_t i = 0; i < EVENT_FIELDS; i++) {
		free(filter->fields[i].list);
		filter->fields[i] = (struct event_globs){0};
	}
}

static bool matches(const struct event_globs *globs, const char *text)
{
	for (size_t i = 0; text && i < globs->count; i++)
		if (fnmatch(globs->list[i], text, 0) == 0)
			return true;
	return false;
}

bool event_filter_wants(const struct event_filter *filter, const struct event_record *record)
{
	const char *const texts[EVENT_FIELDS][3] = {
		[EVENT_FIELD_ACTION] = {record->action},
		[EVENT_FIELD_ID] = {record->id},
		[EVENT_FIELD_RULE] = {record->rule},
		[EVENT_FIELD_TIER] = {record->tier, record->from, record->to},
	};

	for (size_t i = 0; i < EVENT_FIELDS; i++) {
		const struct event_globs *globs = &filter->fields[i];

		if (globs->count && !matches(globs, texts[i][0]) && !matches(globs, texts[i][1]) &&
		    !matches(globs, texts[i][2]))
			return false;
	}
	return true;
}

/* Does the glob stand for one text, which stands in a line as it is? */
static bool is_plain(const char *glob)
{
	for (const char *c = glob; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("*?[\\\"/", *c))
			return false;
	return *glob;
}

static bool may_match(const struct event_globs *globs, const char *line, size_t length)
{
	for (size_t i = 0; i < globs->count; i++)
		if (!is_plain(globs->list[i]) ||
		    memmem(line, length, globs->list[i], strlen(globs->list[i])))
			return true;
	return globs->count == 0;
}

bool event_filter_may_want(const struct event_filter *filter, const char *line, size_t length)
{
	int64_t time;

	/* A place in a run is found only by reading all. */
	if ((filter->since.set && filter->since.run[0]) ||
	    (filter->until.set && filter->until.run[0]))
		return true;
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		if (!may_match(&filter->fields[i], line, length))
			return false;
	if ((!filter->since.set && !filter->until.set) || event_time_peek(line, length, &time) < 0)
		return true;
	return (!filter->since.set || time >= filter->since.time) &&
	       (!filter->until.set || time <= filter->until.time);
}
