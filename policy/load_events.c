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

static uint32_t quiet_bits(void)
{
	uint32_t events = 0;

	for (size_t i = 0; i < sizeof(quiet_events) / sizeof(quiet_events[0]); i++)
		events |= event_bit(quiet_events[i]);
	return events;
}

static uint32_t default_events(void)
{
	uint32_t events = 0;

	for (size_t i = 0; policy_event_names[i]; i++)
		events |= UINT32_C(1) << i;
	return events & ~quiet_bits();
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

/* Stands for "*" in a list while it is read. */
#define EVERY (UINT32_C(1) << 31)

void load_event_list(struct loader *loader, const json_t *value, const struct load_place *at,
		     uint32_t *events, uint32_t other)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		load_wrong_value(loader, at, value,
				 "expected a list of events, such as [\"message-tracked\"]");
	json_array_foreach(value, i, item) {
		struct load_place place = {.parent = at, .index = i};
		const char *name =
			load_string(loader, item, &place, "expected the name of an event");
		uint32_t bit = !name ? 0 : !strcmp(name, "*") ? EVERY : event_bit(name);

		if (name && !bit)
			unknown_event(loader, &place, name);
		if (bit & other)
			load_wrong_name(loader, &place, "event", name, " included and excluded",
					"name it in one of the two lists");
		*events |= bit;
	}
}

/* "*" is all that the other list does not name. */
static void resolve_every(uint32_t *include, uint32_t *exclude)
{
	const uint32_t all = default_events() | quiet_bits();

	if (*include & EVERY)
		*include = all & ~*exclude;
	if (*exclude & EVERY)
		*exclude = all & ~*include;
}

static void read_include(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	(void)into;
	load_event_list(loader, value, at, &loader->include, loader->exclude);
}

static void read_exclude(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	(void)into;
	load_event_list(loader, value, at, &loader->exclude, loader->include);
}

static void read_addresses(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	static const char *const names[] = {
		[POLICY_ADDRESSES_DOMAIN] = "domain",
		[POLICY_ADDRESSES_NONE] = "none",
		[POLICY_ADDRESSES_HASH] = "hash",
		[POLICY_ADDRESSES_FULL] = "full",
	};
	const char *name = load_string(loader, value, at,
				       "expected \"none\", \"domain\", \"hash\" or \"full\"");
	struct load_choice choice = {.nearest.word = name};
	struct policy *policy = into;

	if (!name)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name)) {
			policy->addresses = (enum policy_addresses)i;
			return;
		}
		load_offer(&choice, names[i]);
	}
	load_unknown(loader, at, "way to show addresses", &choice);
}

static void read_addresses_key(struct loader *loader, json_t *value, const struct load_place *at,
			       void *into)
{
	struct policy *policy = into;

	policy->addresses_key =
		load_path(loader, value, at,
			  "expected the path of a file, such as \"/etc/qfwatch/addresses.key\"");
}

static void read_sinks(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	load_sinks(loader, value, at, into);
}

static void check_key(struct loader *loader, const json_t *events, const struct load_place *at)
{
	const char *how = json_string_value(json_object_get(events, "addresses"));
	bool hash = how && !strcmp(how, "hash"), key = json_object_get(events, "addresses_key");

	if (hash && !key)
		load_wrong_name(loader, at, "missing key", "addresses_key", "",
				"name the file with the secret that \"addresses\": \"hash\" takes");
	if (key && !hash && json_object_get(events, "addresses"))
		load_wrong(loader, at, "\"addresses_key\" without hashes",
			   "remove it, or write \"addresses\": \"hash\"");
	else if (key && !hash)
		load_wrong(loader, at, "\"addresses_key\" without \"addresses\"",
			   "write \"addresses\": \"hash\", too");
}

static const struct load_field events_fields[] = {
	{"sinks", read_sinks, NULL},
	{"include", read_include, NULL},
	{"exclude", read_exclude, NULL},
	{"addresses", read_addresses, NULL},
	{"addresses_key", read_addresses_key, NULL},
	{0},
};

void load_events(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	if (!load_is_object(loader, value, at,
			    "expected an object, such as {\"sinks\": [{\"type\": \"stdout\"}]}"))
		return;
	load_object(loader, value, at, events_fields, into);
	check_key(loader, value, at);
}

/* A sink that never gets an event is right, but cannot be meant. */
static void note_idle_sinks(struct loader *loader)
{
	const struct load_place top = {0}, events = {.parent = &top, .key = "events"};
	const struct load_place sinks = {.parent = &events, .key = "sinks"};
	const struct policy *policy = loader->policy;

	for (size_t i = 0; i < policy->n_sinks; i++) {
		const struct load_place sink = {.parent = &sinks, .index = i};

		if (!((policy->events & ~policy->sinks[i].exclude) | policy->sinks[i].include))
			load_find(loader, PROBLEM_NOTE, &sink, "sink without any event",
				  "all are excluded; remove it, or include some");
	}
}

void load_default_events(struct loader *loader)
{
	struct policy *policy = loader->policy;

	resolve_every(&loader->include, &loader->exclude);
	policy->events = (default_events() | loader->include) & ~loader->exclude;
	for (size_t i = 0; i < policy->n_sinks; i++)
		resolve_every(&policy->sinks[i].include, &policy->sinks[i].exclude);
	if (!policy->n_sinks) {
		/* All zero is a sink on stdout. */
		policy->sinks =
			load_kept(loader, pool_array(loader->pool, 1, sizeof(*policy->sinks)));
		policy->n_sinks = policy->sinks ? 1 : 0;
	}
	if (!loader->findings && !loader->no_memory)
		note_idle_sinks(loader);
}
