/* event_show.c - see event_show.h */
#include "qfwatch/event_show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qfwatch/clock.h"
#include "qfwatch/hash.h"
#include "qfwatch/plain.h"
#include "qfwatch/units.h"

enum { WHERE_LEAST = 20, WHERE_MOST = 60, STEP = 9 };

/* ---- the columns ---- */

static void put_time(FILE *to, int64_t time)
{
	/* Rounded down, before 1970 too. */
	int64_t micro = ((time % CLOCK_SECOND) + CLOCK_SECOND) % CLOCK_SECOND;
	time_t seconds = (time_t)((time - micro) / CLOCK_SECOND);
	struct tm local;
	char text[32];

	localtime_r(&seconds, &local);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
	fprintf(to, "%s.%03d", text, (int)(micro / 1000));
}

/* "+45ms", "+3.2s", "+14m7s". */
static void format_step(int64_t step, char *buffer, size_t size)
{
	const char *sign = step < 0 ? "-" : "+";
	char text[UNITS_DURATION_TEXT];
	int64_t length = step < 0 ? -step : step;

	if (length < CLOCK_SECOND)
		snprintf(buffer, size, "%s%dms", sign, (int)(length / 1000));
	else if (length < 60 * CLOCK_SECOND)
		snprintf(buffer, size, "%s%d.%ds", sign, (int)(length / CLOCK_SECOND),
			 (int)(length % CLOCK_SECOND / 100000));
	else
		/* Days are enough where there are days. */
		snprintf(buffer, size, "%s%s", sign,
			 units_format_duration(length < 86400 * CLOCK_SECOND
						       ? length / CLOCK_SECOND
						       : length / CLOCK_SECOND / 60 * 60,
					       text, sizeof text));
}

static uint64_t hash(const char *text)
{
	uint64_t value = hash_bytes(text, strlen(text));

	return value ? value : 1;
}

static void put_step(struct event_show *show, const struct event_record *record, FILE *to)
{
	uint64_t id = record->id ? hash(record->id) : 0;
	size_t place = id % EVENT_SHOW_IDS;
	char text[UNITS_DURATION_TEXT + 2] = "";

	if (id && show->seen[place].id == id)
		format_step(record->key.time - show->seen[place].time, text, sizeof text);
	if (id) {
		show->seen[place].id = id;
		show->seen[place].time = record->key.time;
	}
	fprintf(to, "  %*s", STEP, text);
}

static const char *color_of(const struct event_record *record)
{
	const char *level = record->level ? record->level : "";

	return strcmp(level, "error") == 0     ? "\033[1;31m"
	       : strcmp(level, "warning") == 0 ? "\033[33m"
	       : record->failure	       ? "\033[33m"
	       : strcmp(level, "notice") == 0  ? "\033[1m"
					       : "\033[36m";
}

/* Where it is, or what was done with it, and by which rule. */
static int describe_place(const struct event_record *record, char *buffer, size_t size)
{
	int columns = 0;

	if (record->from && record->to) {
		columns += plain_add(buffer, size, record->from);
		columns += plain_add(buffer, size, " -> ");
		columns += plain_add(buffer, size, record->to);
	} else if (record->tier) {
		columns += plain_add(buffer, size, record->tier);
	}
	if (record->rule) {
		columns += plain_add(buffer, size, columns ? " (" : "(");
		columns += plain_add(buffer, size, record->rule);
		columns += plain_add(buffer, size, ")");
	}
	return columns;
}

static void put_rest(struct event_show *show, const struct event_record *record, FILE *to)
{
	char id[800] = "", place[1000] = "", text[3000] = "";
	int columns = plain_add(id, sizeof id, record->id ? record->id : "");

	/* Without a message, what is to be said stands in the readable line. */
	if (!record->id) {
		plain_add(text, sizeof text, record->message ? record->message : "");
		fprintf(to, "  %s", text);
		return;
	}
	fprintf(to, "  %s%*s", id, columns < 14 ? 14 - columns : 0, "");
	columns = describe_place(record, place, sizeof place);
	if (columns > show->where && columns <= WHERE_MOST)
		show->where = columns;
	if (show->where < WHERE_LEAST)
		show->where = WHERE_LEAST;
	plain_add(text, sizeof text, record->reason ? record->reason : "");
	fprintf(to, "  %s", place);
	if (*text)
		fprintf(to, "%*s  %s", columns < show->where ? show->where - columns : 0, "", text);
}

void event_show(struct event_show *show, const struct event_record *record, FILE *to)
{
	char action[200] = "";
	int columns = plain_add(action, sizeof action, record->action);

	fputs(show->color ? "\033[2m" : "", to);
	put_time(to, record->key.time);
	if (show->steps)
		put_step(show, record, to);
	fputs(show->color ? "\033[0m" : "", to);
	fprintf(to, "  %s%s%s", show->color ? color_of(record) : "", action,
		show->color ? "\033[0m" : "");
	fprintf(to, "%*s", columns < 17 ? 17 - columns : 0, "");
	put_rest(show, record, to);
	fputs(record->dry_run ? "  [dry run]\n" : "\n", to);
}
