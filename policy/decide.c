/* decide.c - what the policy wants done with one message, and when to ask again. */
#include "qfwatch/policy.h"

static bool rule_is_for(const struct policy_rule *rule, unsigned tier)
{
	return tier < POLICY_MAX_TIERS && (rule->tiers >> tier & 1);
}

/* The answer at one moment; `again` is a second up to which no rule that led to it changes. */
static void decide_at(const struct policy *policy, const struct policy_message *message,
		      int64_t now, struct policy_decision *ret)
{
	*ret = (struct policy_decision){.action = POLICY_STAY, .again = POLICY_NEVER};
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		enum policy_truth holds;
		int64_t next;

		if (!rule_is_for(rule, message->tier) || (rule->mark & message->marks))
			continue;
		holds = policy_rule_holds(rule, message, now, &next);
		/* Only a rule before the one that decides can take the decision from it. */
		if (next < ret->again)
			ret->again = next;
		if (holds == POLICY_UNKNOWN) {
			ret->unknown = true;
			ret->rule = rule;
			return;
		}
		if (holds == POLICY_COSTLY && !ret->costly)
			ret->costly = rule;
		if (holds != POLICY_YES)
			continue;
		if (rule->decides) {
			ret->action = rule->action;
			ret->rule = rule;
			ret->target = rule->target;
			return;
		}
		ret->marks |= rule->mark;
	}
}

static bool same_answer(const struct policy_decision *a, const struct policy_decision *b)
{
	return a->rule == b->rule && a->marks == b->marks && a->unknown == b->unknown;
}

/* Each condition knows when it may change; whether the answer changes with it is tried out. */
void policy_decide(const struct policy *policy, const struct policy_message *message, int64_t now,
		   struct policy_decision *ret)
{
	struct policy_decision later;

	decide_at(policy, message, now, ret);
	for (int i = 0; i < POLICY_STEPS && ret->again != POLICY_NEVER; i++) {
		decide_at(policy, message, ret->again, &later);
		if (!same_answer(ret, &later))
			return;
		ret->again = later.again;
	}
}
