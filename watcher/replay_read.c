/* replay_read.c - one recorded line into an event. Nothing in it is believed to be there or to be
 * of the kind that it should be. */
#include <jansson.h>
#include <string.h>

#include "qfwatch/moment.h"
#include "qfwatch/replay.h"

static const json_t *at(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}

static const char *text_at(const json_t *object, const char *key)
{
	return json_string_value(at(object, key));
}

static bool number_at(const json_t *object, const char *key, int64_t *ret)
{
	const json_t *value = at(object, key);

	if (!json_is_integer(value))
		return false;
	*ret = json_integer_value(value);
	return true;
}

static bool find_action(const char *name, enum event_action *ret)
{
	for (int i = 0; name && policy_event_names[i]; i++)
		if (strcmp(policy_event_names[i], name) == 0) {
			*ret = (enum event_action)i;
			return true;
		}
	return false;
}

static void read_domains(const json_t *list, struct replay_event *event)
{
	size_t i;
	const json_t *one;

	if (!json_is_array(list))
		return;
	event->has_domains = true;
	json_array_foreach((json_t *)list, i, one) {
		if (!json_is_string(one) || event->n_domains == EVENT_MAX_DOMAINS) {
			event->domains_cut = true;
			break;
		}
		event->domains[event->n_domains++] = json_string_value(one);
	}
}

static void read_message(const json_t *message, struct replay_event *event)
{
	int64_t attempts, age, size, since;

	if (!number_at(message, "attempts", &attempts) || attempts < 0 || attempts > UINT32_MAX ||
	    !number_at(message, "age", &age))
		return;
	event->has_message = true;
	event->attempts = (uint32_t)attempts;
	event->age = age;
	if (number_at(message, "size", &size) && size > 0)
		event->size = (uint64_t)size;
	if (number_at(message, "since_attempt", &since) && since >= 0) {
		event->has_since_attempt = true;
		event->since_attempt = since;
	}
	read_domains(at(message, "recipient_domains"), event);
}

static bool read_event(const json_t *line, struct replay_event *event)
{
	const json_t *head = at(line, "event"), *own = at(line, "qfwatch"), *move = at(own, "move");
	const char *module = text_at(head, "module"), *outcome = text_at(head, "outcome");
	const char *time = text_at(line, "@timestamp");
	int64_t number;

	*event = (struct replay_event){0};
	if (!module || strcmp(module, "qfwatch") != 0 || !time ||
	    !find_action(text_at(head, "action"), &event->action) ||
	    moment_parse_utc(time, &event->time) < 0)
		return false;
	if (number_at(head, "sequence", &number) && number > 0)
		event->sequence = (uint64_t)number;
	event->failure = outcome && strcmp(outcome, "failure") == 0;
	event->reason = text_at(head, "reason");
	event->id = text_at(at(line, "email"), "local_id");
	event->run = text_at(own, "run");
	event->tier = text_at(own, "tier");
	event->dry_run = json_is_true(at(own, "dry_run"));
	event->from = text_at(move, "from");
	event->to = text_at(move, "to");
	event->rule = text_at(move, "rule");
	if (!event->rule)
		event->rule = text_at(own, "rule");
	read_message(at(own, "message"), event);
	if (json_is_true(at(own, "truncated")))
		event->domains_cut = true;
	if (number_at(at(own, "counts"), "messages", &number) && number >= 0) {
		event->has_messages = true;
		event->messages = (uint64_t)number;
	}
	return true;
}

enum replay_line replay_parse(const char *line, size_t length, struct replay_event *ret,
			      struct replay_text **ret_line)
{
	json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);

	*ret_line = NULL;
	if (!json_is_object(object)) {
		json_decref(object);
		return REPLAY_TORN;
	}
	if (!read_event(object, ret)) {
		json_decref(object);
		return REPLAY_FOREIGN;
	}
	*ret_line = (struct replay_text *)object;
	return REPLAY_EVENT;
}

void replay_release(struct replay_text *line)
{
	json_decref((json_t *)line);
}
