/* load_rules.c - the policy's "rules": for which tiers, when, and what then.
 *
 * A condition is a row in when_fields, an action one in then_fields.
 */
#include "load.h"

#include <string.h>

#define RULE_NAME_MAX 128

/* Index of a tier in the document, or -1 with a finding. It may be past the 64 that are allowed. */
static int find_tier(struct loader *loader, const char *name, const struct load_place *at)
{
	const json_t *tiers = json_object_get(loader->root, "tiers");
	struct load_choice choice = {.nearest.word = name};
	const json_t *tier;
	size_t i;

	json_array_foreach(tiers, i, tier)
	{
		const char *known = json_string_value(json_object_get(tier, "name"));

		if (known && !strcmp(known, name))
			return (int)i;
	}
	if (load_enough(loader))
		return -1;
	json_array_foreach(tiers, i, tier)
	{
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
		     struct policy_rule *rule)
{
	const char *name = load_string(loader, value, at, "expected the name of a tier");
	int tier;

	if (!name)
		return;
	if (!strcmp(name, "*")) {
		load_wrong_value(loader, at, value,
				 "expected the name of a tier; for all tiers write \"tier\": \"*\" "
				 "without a list");
		return;
	}
	tier = find_tier(loader, name, at);
	if (tier < 0 || tier >= POLICY_MAX_TIERS)
		return;
	if (rule->tiers >> tier & 1)
		load_wrong_name(loader, at, "tier", name, " twice", "name each tier once");
	rule->tiers |= UINT64_C(1) << tier;
}

static void read_rule_tier(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	struct policy_rule *rule = into;
	const json_t *item;
	size_t i;

	if (json_is_string(value) && !strcmp(json_string_value(value), "*")) {
		size_t count = json_array_size(json_object_get(loader->root, "tiers"));

		rule->tiers = count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
	} else if (json_is_string(value)) {
		add_tier(loader, value, at, rule);
	} else if (json_array_size(value) > 0) {
		json_array_foreach(value, i, item)
		{
			struct load_place place = {.parent = at, .index = i};

			add_tier(loader, item, &place, rule);
		}
	} else {
		load_wrong_value(loader, at, value,
				 "expected the name of a tier, a list of names, or \"*\" for all");
	}
}

static void add_condition(struct policy_rule *rule, enum policy_condition_kind kind,
			  int64_t at_least)
{
	rule->conditions[rule->n_conditions++] =
		(struct policy_condition){.kind = kind, .at_least = at_least};
}

static void read_attempts(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	/* sendmail's N is an int, ours 32 bits: what is larger never comes true. */
	if (json_is_integer(value) && json_integer_value(value) >= 1 &&
	    json_integer_value(value) <= UINT32_MAX)
		add_condition(into, POLICY_ATTEMPTS, json_integer_value(value));
	else
		load_wrong_value(loader, at, value,
				 "expected a whole number of attempts, 1 or more, such as 3");
}

static void read_age(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	int64_t age;

	if (load_duration(loader, value, at, 0,
			  "expected an age such as \"6d\", \"5h48m\" or \"90s\", or whole seconds "
			  "such as 90",
			  &age))
		add_condition(into, POLICY_AGE, age);
}

static void read_always(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	if (load_true(loader, value, at, "expected true, or the key left out"))
		add_condition(into, POLICY_ALWAYS, 0);
}

static const struct load_field when_fields[] = {
	{"attempts", read_attempts, NULL},
	{"age", read_age, NULL},
	{"always", read_always, NULL},
	{0},
};

static void read_when(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy_rule *rule = into;

	if (!load_is_object(loader, value, at, "expected conditions, such as {\"attempts\": 3}"))
		return;
	if (load_is_empty(value)) {
		load_wrong(loader, at, "no condition",
			   "expected at least one of \"attempts\", \"age\"; for every message "
			   "write {\"always\": true}");
		return;
	}
	rule->conditions = load_kept(loader, pool_array(loader->pool, json_object_size(value),
							sizeof(*rule->conditions)));
	if (rule->conditions)
		load_object(loader, value, at, when_fields, rule);
}

static void read_move(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	const char *name =
		load_string(loader, value, at, "expected the name of the tier to move to");
	struct policy_rule *rule = into;
	int target = name ? find_tier(loader, name, at) : -1;

	if (target < 0)
		return;
	rule->action = POLICY_MOVE;
	rule->target = (unsigned)target;
}

static void read_delete(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	const json_t *allowed = json_object_get(loader->root, "allow_delete");
	struct policy_rule *rule = into;

	if (!load_true(loader, value, at, "expected true, or another action such as \"move\""))
		return;
	/* Where allow_delete is there and no boolean, its own finding says so. */
	if (!allowed || json_is_false(allowed))
		load_wrong(loader, at, "\"delete\" without \"allow_delete\"",
			   "%s \"allow_delete\": true at the top level, if messages may be deleted "
			   "for good",
			   allowed ? "set" : "add");
	rule->action = POLICY_DELETE;
}

static const struct load_field then_fields[] = {
	{"move", read_move, NULL},
	{"delete", read_delete, NULL},
	{0},
};

static void read_then(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	static const char expected[] = "expected exactly one of \"move\", \"delete\"";

	if (!load_is_object(loader, value, at,
			    "expected an action, such as {\"move\": \"MIDQUEUE\"}"))
		return;
	if (load_is_empty(value))
		load_wrong(loader, at, "no action", "%s", expected);
	load_object(loader, value, at, then_fields, into);
	if (json_object_get(value, "move") && json_object_get(value, "delete"))
		load_wrong(loader, at, "two actions", "%s", expected);
}

static const struct load_field rule_fields[] = {
	{"name", read_rule_name, NULL},
	{"tier", read_rule_tier,
	 "say which tiers the rule is for: a name, a list of names, or \"*\""},
	{"when", read_when, "say when the rule acts, such as {\"attempts\": 3}"},
	{"then", read_then, "say what the rule does, such as {\"move\": \"MIDQUEUE\"}"},
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

	if (rule->action != POLICY_MOVE || rule->target >= POLICY_MAX_TIERS ||
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
	}
}
