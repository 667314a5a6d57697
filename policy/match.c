/* match.c - one condition against one message. */
#include "qfwatch/policy.h"

/* The second in which the message is `age` old. A `created` from a lying header may lie anywhere;
 * what would be later than the last second never comes. */
static int64_t second_of_age(int64_t created, int64_t age)
{
	int64_t second;

	return __builtin_add_overflow(created, age, &second) ? POLICY_NEVER : second;
}

bool policy_match(const struct policy_condition *condition, const struct policy_message *message,
		  int64_t now, int64_t *ret_from)
{
	int64_t from = POLICY_NEVER;

	switch (condition->kind) {
	case POLICY_ALWAYS:
		from = INT64_MIN;
		break;
	case POLICY_ATTEMPTS:
		/* More attempts come from a queue run, not from time. */
		if (message->attempts >= condition->at_least)
			from = INT64_MIN;
		break;
	case POLICY_AGE:
		/* now - created may overflow, and is negative when a clock was set back: the sum is
		 * compared. */
		from = second_of_age(message->created, condition->at_least);
		break;
	}
	*ret_from = from;
	return from != POLICY_NEVER && from <= now;
}
