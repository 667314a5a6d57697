/* load_events.c - the policy's "events": which of them are written, and where to. */
#include "load.h"

#include <string.h>

/* The order is that of enum event_action: a bit of policy.events is a place in this list. */
const char *const policy_event_names[] = {
	"started",
	"stopped",
	"policy-loaded",
	"policy-rejected",
	"message-tracked",
	"message-attempted",
	"message-moved",
	"message-deleted",
	"message-departed",
	"message-busy",
	"message-refused",
	"move-failed",
	"tier-lost",
	"tier-found",
	"events-lost",
	"resynced",
	"events-dropped",
	"message-recovered",
	"limit-reached",
	"message-bounced",
	"message-noticed",
	"program-run",
	"domain-deferred",
	"domain-recovered",
	NULL,
};

/* Written only if the policy includes them: one for every message, one for every attempt. */
static const char *const quiet_events[] = {"message-tracked", "message-attempted"};

/* The bit of an event, or 0. */
static uint32_t event_bit(const char *name)
{
	for (size_t i = 0; policy_event_names[i]; i++) {
		if (!strcmp(policy_event_names[i], name))
			return UINT32_C(1) << i;
	}
	return 0;
}

static uint32_t default_events(void)
{
	uint32_t events = 0;

	for (size_t i = 0; policy_event_names[i]; i++)
		events |= UINT32_C(1) << i;
	for (size_t i = 0; i < sizeof(quiet_events) / sizeof(quiet_events[0]); i++)
		events &= ~event_bit(quiet_events[i]);
	return events;
}

static void unknown_event(struct loader *loader, const struct load_place *at, const char *name)
{
	struct load_choice choice = {.nearest.word = name};

	if (load_enough(loader))
		return;
	for (size_t i = 0; policy_event_names[i]; i++)
		load_offer(&choice, policy_event_names[i]);
	load_unknown(loader, at, "event", &choice);
}

/* Reads one of the two lists. An event that stands in the other one as well is neither in nor out.
 */
static void read_event_list(struct loader *loader, const json_t *value, const struct load_place *at,
			    uint32_t *events, uint32_t other)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		load_wrong_value(loader, at, value,
				 "expected a list of events, such as [\"message-tracked\"]");
	json_array_foreach(value, i, item)
	{
		struct load_place place = {.parent = at, .index = i};
		const char *name =
			load_string(loader, item, &place, "expected the name of an event");
		uint32_t bit = name ? event_bit(name) : 0;

		if (name && !bit)
			unknown_event(loader, &place, name);
		if (bit & other)
			load_wrong_name(loader, &place, "event", name, " included and excluded",
					"name it in one of the two lists");
		*events |= bit;
	}
}

static void read_include(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	(void)into;
	read_event_list(loader, value, at, &loader->include, loader->exclude);
}

static void read_exclude(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	(void)into;
	read_event_list(loader, value, at, &loader->exclude, loader->include);
}

static void read_sink_type(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	const char *type = load_string(loader, value, at, "expected \"stdout\" or \"file\"");
	struct load_choice choice = {.nearest.word = type};
	struct policy_sink *sink = into;

	if (!type)
		return;
	if (!strcmp(type, "stdout")) {
		sink->type = POLICY_SINK_STDOUT;
	} else if (!strcmp(type, "file")) {
		sink->type = POLICY_SINK_FILE;
	} else {
		load_offer(&choice, "stdout");
		load_offer(&choice, "file");
		load_unknown(loader, at, "sink type", &choice);
	}
}

static void read_sink_path(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	const struct policy_sink *first = loader->policy->sinks;
	struct policy_sink *sink = into;

	sink->path = load_path(loader, value, at,
			       "expected the path of a file, such as \"/var/log/qfwatch.json\"");
	if (!sink->path)
		return;
	for (const struct policy_sink *other = first; other < sink; other++) {
		struct text expected = {0};

		if (!other->path || strcmp(other->path, sink->path) != 0)
			continue;
		text_add(&expected, "/events/sinks/%td writes there already; remove one of them",
			 other - first);
		load_wrong_name(loader, at, "file", sink->path, " twice", expected.bytes);
		return;
	}
}

static const struct load_field sink_fields[] = {
	{"type", read_sink_type, "say where the events go: \"stdout\" or \"file\""},
	{"path", read_sink_path, NULL},
	{0},
};

static bool has_type(const json_t *sink, const char *type)
{
	const char *has = json_string_value(json_object_get(sink, "type"));

	return has && !strcmp(has, type);
}

/* What the keys of one sink, and the sinks before it, ask of each other. */
static void check_sink(struct loader *loader, const json_t *sinks, size_t index,
		       const struct load_place *at)
{
	const json_t *sink = json_array_get(sinks, index);
	bool path = json_object_get(sink, "path") != NULL;

	if (has_type(sink, "file") && !path)
		load_wrong_name(loader, at, "missing key", "path", "",
				"say which file, such as \"/var/log/qfwatch.json\"");
	if (!has_type(sink, "stdout"))
		return;
	if (path)
		load_wrong(loader, at, "\"path\" of a stdout sink",
			   "remove it, or write \"type\": \"file\"");
	for (size_t i = 0; i < index; i++) {
		if (has_type(json_array_get(sinks, i), "stdout")) {
			load_wrong(loader, at, "second stdout sink",
				   "/events/sinks/%zu is one already; remove one of them", i);
			return;
		}
	}
}

static void read_sinks(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	size_t count = json_array_size(value);
	struct policy *policy = into;

	if (count == 0) {
		load_wrong_value(loader, at, value,
				 "expected a list of sinks, such as [{\"type\": \"stdout\"}]");
		return;
	}
	policy->sinks = load_kept(loader, pool_array(loader->pool, count, sizeof(*policy->sinks)));
	if (!policy->sinks)
		return;
	policy->n_sinks = count;
	for (size_t i = 0; i < count; i++) {
		struct load_place place = {.parent = at, .index = i};
		json_t *sink = json_array_get(value, i);

		if (!load_is_object(loader, sink, &place,
				    "expected a sink, such as {\"type\": \"stdout\"}"))
			continue;
		load_object(loader, sink, &place, sink_fields, &policy->sinks[i]);
		check_sink(loader, value, i, &place);
	}
}

static const struct load_field events_fields[] = {
	{"sinks", read_sinks, NULL},
	{"include", read_include, NULL},
	{"exclude", read_exclude, NULL},
	{0},
};

void load_events(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	if (load_is_object(loader, value, at,
			   "expected an object, such as {\"sinks\": [{\"type\": \"stdout\"}]}"))
		load_object(loader, value, at, events_fields, into);
}

void load_default_events(struct loader *loader)
{
	struct policy *policy = loader->policy;

	policy->events = (default_events() | loader->include) & ~loader->exclude;
	if (policy->n_sinks)
		return;
	/* All zero is a sink on stdout. */
	policy->sinks = load_kept(loader, pool_array(loader->pool, 1, sizeof(*policy->sinks)));
	policy->n_sinks = policy->sinks ? 1 : 0;
}
