/* load_digest.c - what follows from the rules as a whole, so that nobody has to go through them for
 * it: for which tiers the text of a qf is needed, and at which numbers of messages a condition
 * changes.
 */
#include "load.h"

static size_t count_levels(const struct policy_condition *conditions, size_t count)
{
	size_t levels = 0;

	for (size_t i = 0; i < count; i++) {
		if (conditions[i].kind == POLICY_TIER_MESSAGES)
			levels += 2;
		levels += count_levels(conditions[i].children, conditions[i].n_children);
	}
	return levels;
}

static void add_level(struct policy *policy, uint64_t tiers, int64_t messages)
{
	for (size_t i = 0; i < policy->n_levels; i++) {
		if (policy->levels[i].messages != messages)
			continue;
		policy->levels[i].tiers |= tiers;
		return;
	}
	policy->levels[policy->n_levels++] =
		(struct policy_level){.tiers = tiers, .messages = messages};
}

static void add_levels(struct policy *policy, uint64_t tiers,
		       const struct policy_condition *conditions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *one = &conditions[i];

		add_levels(policy, tiers, one->children, one->n_children);
		if (one->kind != POLICY_TIER_MESSAGES)
			continue;
		if (one->at_least > 0)
			add_level(policy, tiers, one->at_least);
		if (one->below != POLICY_NO_END)
			add_level(policy, tiers, one->below);
	}
}

static bool needs_text(const struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->n_conditions; i++)
		if (rule->conditions[i].needs_text)
			return true;
	return false;
}

void load_digest(struct loader *loader)
{
	struct policy *policy = loader->policy;
	size_t levels = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		policy->quarantined |= rule->quarantined;
		if (needs_text(rule))
			policy->text_tiers |= rule->tiers;
		levels += count_levels(rule->conditions, rule->n_conditions);
	}
	if (!levels)
		return;
	policy->levels =
		load_kept(loader, pool_array(loader->pool, levels, sizeof(*policy->levels)));
	for (size_t i = 0; i < policy->n_rules && policy->levels; i++)
		add_levels(policy, policy->rules[i].tiers, policy->rules[i].conditions,
			   policy->rules[i].n_conditions);
}
