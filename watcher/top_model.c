/* top_model.c - what `top` knows: the daemon's last answers, the last events, and how often the
 * rules had acted in the last minute. */
#include "top_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qfwatch/answer.h"
#include "qfwatch/clock.h"
#include "qfwatch/event_record.h"
#include "qfwatch/plain.h"
#include "qfwatch/xalloc.h"

void top_begin(struct top *top)
{
	*top = (struct top){.tier = -1, .interval = 2};
	top->events = xcalloc(TOP_EVENTS, sizeof *top->events);
	top->samples = xcalloc(TOP_SAMPLES, sizeof *top->samples);
}

void top_free(struct top *top)
{
	json_decref(top->status);
	json_decref(top->tiers);
	json_decref(top->shape);
	free(top->events);
	free(top->samples);
	*top = (struct top){0};
}

/* ---- events ---- */

static void put_clock(char *buffer, size_t size, int64_t time)
{
	time_t seconds = (time_t)(time / CLOCK_SECOND);
	struct tm local;

	localtime_r(&seconds, &local);
	strftime(buffer, size, "%H:%M:%S  ", &local);
}

static struct top_event *new_event(struct top *top)
{
	struct top_event *event = &top->events[top->next_event];

	top->next_event = (top->next_event + 1) % TOP_EVENTS;
	if (top->n_events < TOP_EVENTS)
		top->n_events++;
	*event = (struct top_event){0};
	return event;
}

void top_say(struct top *top, enum top_level level, int64_t now, const char *format, ...)
{
	struct top_event *event = new_event(top);
	char text[400];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	event->level = level;
	put_clock(event->text, sizeof event->text, now);
	plain_add(event->text, sizeof event->text, "-- ");
	plain_add(event->text, sizeof event->text, text);
}

static bool is_known(const struct top *top, const char *id)
{
	for (size_t i = 0; *id && i < top->n_events; i++)
		if (strcmp(top->events[i].id, id) == 0)
			return true;
	return false;
}

static enum top_level level_of(const struct event_record *record)
{
	const char *level = record->level ? record->level : "";

	if (strcmp(level, "error") == 0)
		return TOP_ERROR;
	if (strcmp(level, "warning") == 0 || record->failure)
		return TOP_WARNING;
	return strcmp(level, "debug") == 0 ? TOP_QUIET : TOP_NORMAL;
}

static void add_part(struct top_event *event, const char *text, const char *before,
		     const char *after)
{
	if (!text || !*text)
		return;
	plain_add(event->text, sizeof event->text, before);
	plain_add(event->text, sizeof event->text, text);
	plain_add(event->text, sizeof event->text, after);
}

void top_take_event(struct top *top, const char *line, size_t length)
{
	struct event_record record = {0};
	struct top_event *event;
	const char *why;
	char id[40];

	if (event_record_read(line, length, &record, &why) < 0)
		return;
	snprintf(id, sizeof id, "%s-%llu", record.key.run, (unsigned long long)record.key.number);
	if (!record.key.run[0] || !is_known(top, id)) {
		event = new_event(top);
		memcpy(event->id, id, sizeof id);
		event->level = level_of(&record);
		put_clock(event->text, sizeof event->text, record.key.time);
		if (record.id) {
			add_part(event, record.action, "", "");
			add_part(event, record.id, "  ", "");
			if (record.from && record.to) {
				add_part(event, record.from, "  ", " -> ");
				add_part(event, record.to, "", "");
			} else {
				add_part(event, record.tier, "  ", "");
			}
			add_part(event, record.rule, " (", ")");
			add_part(event, record.reason, "  ", "");
		} else {
			add_part(event, record.message, "", "");
		}
		if (record.dry_run)
			plain_add(event->text, sizeof event->text, "  [dry run]");
	}
	event_record_free(&record);
}

/* ---- answers ---- */

static void heard(struct top *top, int64_t now)
{
	if (top->failure[0] && top->at)
		top_say(top, TOP_NORMAL, now, "the daemon answers again");
	top->at = now;
	top->failure[0] = 0;
}

void top_take_status(struct top *top, json_t *status, int64_t now)
{
	const char *run = answer_text(status, "run");

	if (top->run[0] && *run && strcmp(run, top->run) != 0) {
		top_say(top, TOP_WARNING, now, "another run of the daemon answers (process %llu)",
			(unsigned long long)answer_count(status, "pid"));
		top->n_samples = top->next_sample = 0;
	}
	snprintf(top->run, sizeof top->run, "%s", run);
	json_decref(top->status);
	top->status = status;
	heard(top, now);
}

void top_take_tiers(struct top *top, json_t *tiers, int64_t now)
{
	struct top_sample *sample = &top->samples[top->next_sample];
	const json_t *rules = json_object_get(tiers, "rules"), *rule;
	size_t i;

	json_decref(top->tiers);
	top->tiers = tiers;
	heard(top, now);
	*sample = (struct top_sample){.at = now};
	json_array_foreach(rules, i, rule) {
		if (i == TOP_RULES)
			break;
		sample->acted[i] = answer_count(rule, "acted");
	}
	top->next_sample = (top->next_sample + 1) % TOP_SAMPLES;
	if (top->n_samples < TOP_SAMPLES)
		top->n_samples++;
}

void top_take_shape(struct top *top, json_t *shape, int64_t now)
{
	json_decref(top->shape);
	top->shape = shape;
	heard(top, now);
}

/* From the oldest sample of the last minute to the last one, as so many a minute. */
bool top_rule_rate(const struct top *top, size_t rule, uint64_t *ret)
{
	const struct top_sample *last, *first = NULL;

	if (top->n_samples < 2 || rule >= TOP_RULES)
		return false;
	last = &top->samples[(top->next_sample + TOP_SAMPLES - 1) % TOP_SAMPLES];
	for (size_t i = 1; i < top->n_samples; i++) {
		const struct top_sample *one =
			&top->samples[(top->next_sample + TOP_SAMPLES - 1 - i) % TOP_SAMPLES];

		if (last->at - one->at > 60 * CLOCK_SECOND || one->at >= last->at)
			break;
		first = one;
	}
	if (!first)
		return false;
	/* A reload may give the place to another rule. */
	*ret = last->acted[rule] < first->acted[rule]
		       ? 0
		       : (uint64_t)((double)(last->acted[rule] - first->acted[rule]) * 60 *
					    CLOCK_SECOND / (double)(last->at - first->at) +
				    0.5);
	return true;
}
