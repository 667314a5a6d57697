/* replay_judge.c - one rule against what events tell of a message.
 *
 * policy_match takes what a message does not have for "no". Here what is not known has to stay
 * unknown through "any" and "not", so the conditions made of others are gone through once more, and
 * policy_match only judges the single ones.
 */
#include "qfwatch/replay.h"

static bool is_known(const struct policy_condition *condition, const struct replay_facts *facts)
{
	switch (condition->kind) {
	case POLICY_SIZE:
		return facts->message.has_size;
	case POLICY_SINCE_ATTEMPT:
		return facts->knows_last_attempt;
	case POLICY_RECIPIENT_DOMAIN:
	case POLICY_DOMAIN_DEFERRED:
	case POLICY_DOMAIN_DELIVERED:
		return facts->message.text;
	case POLICY_RECIPIENTS:
	case POLICY_SENDER:
	case POLICY_RECIPIENT:
	case POLICY_STATUS:
	case POLICY_HEADER:
	case POLICY_INCOMPLETE:
	case POLICY_QUARANTINED:
		return false;
	default:
		return true;
	}
}

static enum policy_truth judge(const struct policy_condition *condition,
			       const struct replay_facts *facts, int64_t now, int64_t *ret_next);

/* Are they all `wanted`? What is not decides, else what is unknown. */
static enum policy_truth judge_list(const struct policy_condition *conditions, size_t count,
				    enum policy_truth wanted, const struct replay_facts *facts,
				    int64_t now, int64_t *ret_next)
{
	enum policy_truth result = wanted;

	*ret_next = POLICY_NEVER;
	for (size_t i = 0; i < count; i++) {
		int64_t next;
		enum policy_truth one = judge(&conditions[i], facts, now, &next);

		if (next < *ret_next)
			*ret_next = next;
		if (one == POLICY_UNKNOWN ? result == wanted : one != wanted)
			result = one;
	}
	return result;
}

static enum policy_truth judge(const struct policy_condition *condition,
			       const struct replay_facts *facts, int64_t now, int64_t *ret_next)
{
	enum policy_truth child;

	switch (condition->kind) {
	case POLICY_ALL:
		return judge_list(condition->children, condition->n_children, POLICY_YES, facts,
				  now, ret_next);
	case POLICY_ANY:
		return judge_list(condition->children, condition->n_children, POLICY_NO, facts, now,
				  ret_next);
	case POLICY_NOT:
		child = judge(condition->children, facts, now, ret_next);
		return child == POLICY_UNKNOWN ? child
		       : child == POLICY_NO    ? POLICY_YES
					       : POLICY_NO;
	default:
		*ret_next = POLICY_NEVER;
		child = is_known(condition, facts)
				? policy_match(condition, &facts->message, now, ret_next)
				: POLICY_UNKNOWN;
		return child == POLICY_COSTLY ? POLICY_UNKNOWN : child;
	}
}

enum policy_truth replay_judge(const struct policy_rule *rule, const struct replay_facts *facts,
			       int64_t now, int64_t *ret_next)
{
	return judge_list(rule->conditions, rule->n_conditions, POLICY_YES, facts, now, ret_next);
}
