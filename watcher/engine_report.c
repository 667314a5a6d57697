/* engine_report.c - the engine's event records. */
#include "engine_parts.h"

#include "qfwatch/engine_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qfwatch/phrase.h"
#include "qfwatch/units.h"

#define TEXT   512
#define REASON 256

struct qdir *engine_directory(struct engine *engine, const struct message *message)
{
	return &engine->spool.dirs[message->directory];
}

const char *engine_tier_name(const struct engine *engine, uint16_t directory)
{
	return engine->policy->tiers[engine->spool.dirs[directory].tier].name;
}

/* The part of a record that every event about a message has. */
static struct event about(struct engine *engine, enum event_action action,
			  const struct message *message)
{
	return (struct event){
		.action = action,
		.id = table_id(message),
		.id_length = message->id_length,
		.tier = engine_tier_name(engine, message->directory),
		.has_message = message->created != 0,
		.attempts = message->attempts,
		.age = engine->now / CLOCK_SECOND - (int64_t)message->created,
		.size = message->size,
	};
}

/* What is told of most comes often, so these texts are made without snprintf. */
static void add_id(struct phrase *text, const struct message *message)
{
	phrase_bytes(text, table_id(message), message->id_length);
}

/* "ID tracked". */
static void say(char *buffer, size_t size, const struct message *message, const char *what)
{
	struct phrase text = phrase_in(buffer, size);

	add_id(&text, message);
	phrase_add(&text, " ");
	phrase_add(&text, what);
}

void engine_report_message(struct engine *engine, enum event_action action,
			   const struct message *message, const char *text, const char *reason)
{
	struct event event = about(engine, action, message);
	char line[TEXT];

	say(line, sizeof line, message, text);
	event.text = line;
	event.reason = reason;
	events_emit(engine->events, &event);
}

void engine_report_read(struct engine *engine, enum event_action action,
			const struct message *message, const char *text, struct qf_head head)
{
	const char *domains[EVENT_MAX_DOMAINS];
	char names[2048], line[TEXT];
	struct event event;

	if (!events_want(engine->events, action))
		return;
	event = about(engine, action, message);
	say(line, sizeof line, message, text);
	event.text = line;
	event.has_domains = true;
	event.domains = domains;
	event.n_domains = qfile_domains(head.bytes, head.length, domains, EVENT_MAX_DOMAINS, names,
					sizeof names, &event.domains_cut);
	event.domains_cut |= head.cut;
	events_emit(engine->events, &event);
}

void engine_report_trouble(struct engine *engine, enum event_action action,
			   const struct message *message, enum trouble trouble, int error,
			   const char *step, const struct policy_decision *decision)
{
	struct event event = about(engine, action, message);
	const char *verb = action == EVENT_MOVE_FAILED	  ? "failed on"
			   : action == EVENT_MESSAGE_BUSY ? "waits for"
							  : "refused";
	char text[TEXT], reason[REASON];

	if (trouble == TROUBLE_ERROR)
		snprintf(reason, sizeof reason, "%s: %s", step, strerror(error));
	else if (trouble == TROUBLE_TARGET_LOST && decision)
		snprintf(reason, sizeof reason, "the tier %s is lost",
			 engine->policy->tiers[decision->target].name);
	else
		snprintf(reason, sizeof reason, "%s", trouble_text(trouble));
	if (trouble == TROUBLE_COSTLY)
		snprintf(text, sizeof text, "rule \"%s\" passed over for %.*s in %s: %s",
			 decision->rule->name, (int)message->id_length, table_id(message),
			 event.tier, reason);
	else
		snprintf(text, sizeof text, "%s %.*s in %s: %s", verb, (int)message->id_length,
			 table_id(message), event.tier, reason);
	event.text = text;
	event.reason = reason;
	event.failure = true;
	event.error = error;
	event.remedy =
		trouble == TROUBLE_ERROR ? trouble_errno_remedy(error) : trouble_remedy(trouble);
	if (decision && decision->rule) {
		event.rule = decision->rule->name;
		if (decision->action == POLICY_MOVE) {
			event.from = event.tier;
			event.to = engine->policy->tiers[decision->target].name;
		}
	}
	events_emit(engine->events, &event);
}

static void prepare_addresses(struct engine *engine, struct address_list *ret)
{
	const struct policy_text *text = engine->text;

	ret->used = ret->count = 0;
	ret->cut = false;
	if (!text || !events_want_addresses(engine->events))
		return;
	address_list_add(ret, text->sender.bytes, text->sender.length);
	for (size_t i = 0; i < text->n_recipients && !ret->cut; i++)
		address_list_add(ret, text->recipients[i].bytes, text->recipients[i].length);
}

void engine_prepare_report(struct engine *engine, const struct message *message,
			   const struct policy_decision *decision, size_t head,
			   struct action_report *ret)
{
	struct policy_message judged = engine_policy_message(engine, message);
	struct phrase rule = phrase_in(ret->rule, sizeof ret->rule);

	phrase_add(&rule, decision->rule->name);
	policy_reason(decision->rule, &judged, engine->now / CLOCK_SECOND, engine_shows(engine),
		      ret->reason, sizeof ret->reason);
	ret->n_domains = qfile_domains(engine->buffer, head, ret->domains, EVENT_MAX_DOMAINS,
				       ret->names, sizeof ret->names, &ret->domains_cut);
	ret->domains_cut |= engine->buffer_cut;
	prepare_addresses(engine, &ret->addresses);
}

/* The domains point into the report itself. */
void engine_copy_report(struct action_report *to, const struct action_report *from)
{
	*to = *from;
	for (size_t i = 0; i < from->n_domains; i++)
		to->domains[i] = to->names + (from->domains[i] - from->names);
}

static void report_action(struct engine *engine, struct event event,
			  const struct action_report *report)
{
	const char *addresses[ADDRESS_LIST_MAX];
	size_t n_addresses = address_list_from(&report->addresses, 0, addresses);

	if (n_addresses) {
		event.sender = addresses[0];
		event.recipients = addresses + 1;
		event.n_recipients = n_addresses - 1;
		event.recipients_cut = report->addresses.cut;
	}
	event.has_domains = true;
	event.domains = report->domains;
	event.n_domains = report->n_domains;
	event.domains_cut = report->domains_cut;
	event.rule = report->rule;
	event.reason = report->reason;
	events_emit(engine->events, &event);
}

/* " (RULE)". */
static void add_rule(struct phrase *text, const struct action_report *report)
{
	phrase_add(text, " (");
	phrase_add(text, report->rule);
	phrase_add(text, ")");
}

void engine_report_move(struct engine *engine, const struct message *message, const char *from,
			const char *to, const struct action_report *report, int64_t duration)
{
	struct event event = about(engine, EVENT_MESSAGE_MOVED, message);
	char buffer[TEXT];
	struct phrase text = phrase_in(buffer, sizeof buffer);

	event.from = from;
	event.to = event.tier = to;
	event.duration = duration;
	event.text = text.buffer;
	phrase_add(&text, engine->dry_run ? "would move " : "moved ");
	add_id(&text, message);
	phrase_add(&text, " ");
	phrase_add(&text, from);
	phrase_add(&text, " -> ");
	phrase_add(&text, to);
	add_rule(&text, report);
	report_action(engine, event, report);
}

void engine_report_delete(struct engine *engine, const struct message *message,
			  const struct action_report *report, int64_t duration)
{
	struct event event = about(engine, EVENT_MESSAGE_DELETED, message);
	char buffer[TEXT];
	struct phrase text = phrase_in(buffer, sizeof buffer);

	event.duration = duration;
	event.text = text.buffer;
	phrase_add(&text, engine->dry_run ? "would delete " : "deleted ");
	add_id(&text, message);
	phrase_add(&text, " from ");
	phrase_add(&text, event.tier);
	add_rule(&text, report);
	report_action(engine, event, report);
}

void engine_report_bounce(struct engine *engine, const struct message *message,
			  const struct action_report *report, const char *failure, int64_t duration)
{
	struct event event = about(engine, EVENT_MESSAGE_BOUNCED, message);
	struct action_report told;
	char text[TEXT];

	event.duration = duration;
	event.failure = failure != NULL;
	if (failure)
		event.remedy = "see sendmail's own log; the policy's key \"sendmail\" tells how it "
			       "is called";
	snprintf(text, sizeof text, "%s %.*s from %s (%s)%s%s",
		 engine->dry_run ? "would return"
		 : failure	 ? "could not return"
				 : "returned",
		 (int)message->id_length, table_id(message), event.tier, report->rule,
		 failure ? ": " : "", failure ? failure : "");
	event.text = text;
	engine_copy_report(&told, report);
	if (failure)
		snprintf(told.reason, sizeof told.reason, "%s", failure);
	report_action(engine, event, &told);
}

void engine_report_recovery(struct engine *engine, const struct qdir *dir,
			    const struct recovery *recovery)
{
	char text[TEXT];
	struct event event = {
		.action = EVENT_MESSAGE_RECOVERED,
		.failure = !recovery->done,
		.text = text,
		.reason = recovery->found,
		.id = recovery->id,
		.id_length = recovery->id_length,
		.tier = engine->policy->tiers[dir->tier].name,
		.path = dir->path,
		.error = recovery->error,
		.remedy = recovery->done    ? NULL
			  : recovery->error ? trouble_errno_remedy(recovery->error)
					    : "bring back the tier that is away, or name it in the "
					      "policy again",
	};

	if (!recovery->found)
		return;
	snprintf(text, sizeof text, "recovered %.*s in %s: %s: %s", (int)recovery->id_length,
		 recovery->id, event.tier, recovery->found,
		 recovery->done ? recovery->done : "nothing could be done yet");
	events_emit(engine->events, &event);
}

void engine_report_limit(struct engine *engine, const char *what, uint64_t waiting)
{
	char text[TEXT];
	struct event event = {
		.action = EVENT_LIMIT_REACHED,
		.text = text,
		.reason = what,
		.counts = {{"waiting", waiting}},
		.n_counts = 1,
	};

	snprintf(text, sizeof text, "%s reached: %llu %s turn", what, (unsigned long long)waiting,
		 units_plural(waiting, "message waits for its", "messages wait for their"));
	events_emit(engine->events, &event);
}

void engine_report_directory(struct engine *engine, enum event_action action,
			     const struct qdir *dir, int error)
{
	const char *tier = engine->policy->tiers[dir->tier].name;
	char text[TEXT], reason[REASON];
	struct event event = {
		.action = action,
		.failure = action == EVENT_TIER_LOST,
		.tier = tier,
		.path = dir->path,
		.text = text,
		.counts = {{"messages", dir->messages}},
		.n_counts = 1,
	};

	if (action == EVENT_TIER_FOUND) {
		snprintf(text, sizeof text, "tier %s is back: %s", tier, dir->path);
	} else {
		snprintf(reason, sizeof reason, "%s", engine_view_lost_reason(error));
		snprintf(text, sizeof text, "tier %s is lost: %s: %s", tier, dir->path, reason);
		event.reason = reason;
		event.error = error;
		event.remedy = engine_view_lost_remedy(error);
	}
	events_emit(engine->events, &event);
}

void engine_report_round(struct engine *engine, int64_t now)
{
	static const char *const reasons[] = {
		[ROUND_NONE] = "",
		[ROUND_POLLED] = "a file system without notifications",
		[ROUND_RECONCILE] = "reconcile",
		[ROUND_FOUND] = "a tier came back",
		[ROUND_START] = "first scan",
		[ROUND_OVERFLOW] = "kernel queue overflow",
	};
	char text[TEXT];
	struct event event = {
		.action = EVENT_RESYNCED,
		.text = text,
		.reason = reasons[engine->round],
		.duration = now > engine->round_started ? (now - engine->round_started) * 1000 : 0,
		.counts = {{"messages", table_count(engine->table)},
			   {"found", engine->round_found},
			   {"departed", engine->round_departed}},
		.n_counts = 3,
	};

	snprintf(text, sizeof text,
		 "memory and spool agree: %zu %s, %llu found, %llu departed (%s)",
		 table_count(engine->table),
		 units_plural(table_count(engine->table), "message", "messages"),
		 (unsigned long long)engine->round_found,
		 (unsigned long long)engine->round_departed, event.reason);
	events_emit(engine->events, &event);
}
