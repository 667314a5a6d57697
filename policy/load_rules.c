/* load_rules.c - the policy's "rules": for which tiers, when, and what then.
 *
 * Conditions are in load_when.c, actions in load_then.c.
 */
#include "load.h"

#include <string.h>

#define RULE_NAME_MAX 128

int load_find_tier(struct loader *loader, const char *name, const struct load_place *at)
{
	const json_t *tiers = json_object_get(loader->root, "tiers");
	struct load_choice choice = {.nearest.word = name};
	const json_t *tier;
	size_t i;

	json_array_foreach(tiers, i, tier) {
		const char *known = json_string_value(json_object_get(tier, "name"));

		if (known && !strcmp(known, name))
			return (int)i;
	}
	if (load_enough(loader))
		return -1;
	json_array_foreach(tiers, i, tier) {
		const char *known = json_string_value(json_object_get(tier, "name"));

		if (known && i < POLICY_MAX_TIERS)
			load_offer(&choice, known);
	}
	/* Without a single name the tiers are what is wrong, and that is told there. */
	if (choice.list.length)
		load_unknown(loader, at, "tier", &choice);
	return -1;
}

static void unique_rule_name(struct loader *loader, const struct policy_rule *rule,
			     const struct load_place *at)
{
	const struct policy_rule *first = loader->policy->rules;

	for (const struct policy_rule *other = first; other < rule; other++) {
		struct text expected = {0};

		if (!rule->name || !other->name || strcmp(other->name, rule->name) != 0)
			continue;
		text_add(&expected, "/rules/%td has this name already; give each rule its own",
			 other - first);
		load_wrong_name(loader, at, "rule name", rule->name, " twice", expected.bytes);
		return;
	}
}

static void read_rule_name(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	static const char expected[] =
		"expected a rule's name: 1 to 128 bytes without control characters";
	const char *name = load_string(loader, value, at, expected);
	struct policy_rule *rule = into;

	if (!name)
		return;
	if (!*name || strlen(name) > RULE_NAME_MAX || text_has_control(name)) {
		load_wrong_value(loader, at, value, expected);
		return;
	}
	rule->name = load_kept(loader, pool_copy(loader->pool, name));
	unique_rule_name(loader, rule, at);
}

static void default_rule_name(struct loader *loader, struct policy_rule *rule,
			      const struct load_place *at)
{
	struct text name = {0};

	text_add(&name, "rule %td", rule - loader->policy->rules + 1);
	rule->name = load_kept(loader, pool_copy(loader->pool, name.bytes));
	unique_rule_name(loader, rule, at);
}

static void add_tier(struct loader *loader, const json_t *value, const struct load_place *at,
		     uint64_t *tiers)
{
	const char *name = load_string(loader, value, at, "expected the name of a tier");
	int tier;

	if (!name)
		return;
	if (!strcmp(name, "*")) {
		load_wrong_value(loader, at, value,
				 "expected the name of a tier; for all tiers write \"*\" without "
				 "a list");
		return;
	}
	tier = load_find_tier(loader, name, at);
	if (tier < 0 || tier >= POLICY_MAX_TIERS)
		return;
	if (*tiers >> tier & 1)
		load_wrong_name(loader, at, "tier", name, " twice", "name each tier once");
	*tiers |= UINT64_C(1) << tier;
}

void load_tier_names(struct loader *loader, json_t *value, const struct load_place *at,
		     uint64_t *tiers)
{
	const json_t *item;
	size_t i;

	if (json_is_string(value) && !strcmp(json_string_value(value), "*")) {
		size_t count = json_array_size(json_object_get(loader->root, "tiers"));

		*tiers = count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
	} else if (json_is_string(value)) {
		add_tier(loader, value, at, tiers);
	} else if (json_array_size(value) > 0) {
		json_array_foreach(value, i, item) {
			struct load_place place = {.parent = at, .index = i};

			add_tier(loader, item, &place, tiers);
		}
	} else {
		load_wrong_value(loader, at, value,
				 "expected the name of a tier, a list of names, or \"*\" for all");
	}
}

static void read_rule_tier(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	struct policy_rule *rule = into;

	load_tier_names(loader, value, at, &rule->tiers);
}

static const struct load_field rule_fields[] = {
	{"name", read_rule_name, NULL},
	{"tier", read_rule_tier,
	 "say which tiers the rule is for: a name, a list of names, or \"*\""},
	{"when", load_when, "say when the rule acts, such as {\"attempts\": 3}"},
	{"then", load_then, "say what the rule does, such as {\"move\": \"MIDQUEUE\"}"},
	{0},
};

/* A message that is moved to where it stands would be due again at once. */
static void check_target(struct loader *loader, json_t *value, const struct load_place *at,
			 const struct policy_rule *rule)
{
	const struct load_place then = {.parent = at, .key = "then"};
	const struct load_place move = {.parent = &then, .key = "move"};
	const json_t *tier = json_object_get(value, "tier");
	const char *target =
		json_string_value(json_object_get(json_object_get(value, "then"), "move"));
	struct text found = {0};

	if (!rule->decides || rule->action != POLICY_MOVE || rule->target >= POLICY_MAX_TIERS ||
	    !(rule->tiers >> rule->target & 1))
		return;
	text_add(&found, "the rule moves %s's messages to their own tier", target);
	if (json_is_array(tier))
		load_wrong(loader, &move, found.bytes,
			   "take %s out of /rules/%zu/tier, or move to another tier", target,
			   at->index);
	else if (!strcmp(json_string_value(tier), "*"))
		load_wrong(loader, &move, found.bytes,
			   "name the tiers in /rules/%zu/tier instead of \"*\", without %s",
			   at->index, target);
	else
		load_wrong(loader, &move, found.bytes, "move to another tier");
}

/* A message remembers in one word the tiers that it has been in, from the lowest bit, and the rules
 * that have told of it, from the highest. */
static void give_mark(struct loader *loader, struct policy_rule *rule, const struct load_place *at)
{
	size_t tiers = json_array_size(json_object_get(loader->root, "tiers"));
	uint64_t marks = loader->policy->marks;

	if (rule->decides || (!rule->notify && !rule->program))
		return;
	rule->mark = marks ? (marks & -marks) >> 1 : UINT64_C(1) << 63;
	if (tiers > 63 || rule->mark < UINT64_C(1) << tiers) {
		load_wrong(loader, at, "too many rules that only notify or run",
			   "expected at most 64 tiers and such rules together");
		return;
	}
	loader->policy->marks |= rule->mark;
}

void load_rules(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	size_t count = json_array_size(value);
	struct policy *policy = into;

	if (!json_is_array(value)) {
		load_wrong_value(loader, at, value, "expected a list of rules");
		return;
	}
	policy->rules = load_kept(loader, pool_array(loader->pool, count, sizeof(*policy->rules)));
	if (!policy->rules)
		return;
	policy->n_rules = count;
	for (size_t i = 0; i < count; i++) {
		struct load_place place = {.parent = at, .index = i};
		struct policy_rule *rule = &policy->rules[i];
		json_t *item = json_array_get(value, i);

		if (!load_is_object(
			    loader, item, &place,
			    "expected a rule: {\"tier\": ..., \"when\": ..., \"then\": ...}"))
			continue;
		if (!json_object_get(item, "name"))
			default_rule_name(loader, rule, &place);
		load_object(loader, item, &place, rule_fields, rule);
		check_target(loader, item, &place, rule);
		give_mark(loader, rule, &place);
	}
}
