/* engine_limit.c - how fast rules may act (policy key "limits"): what is due beyond that waits for
 * its turn.
 *
 * Each action takes a place on a line of equal steps; who finds the next place further ahead than a
 * short burst reserves it, and is looked at again when it has come (the "virtual scheduling" of
 * GCRA, ITU-T I.371). So a million messages that become due at once cost a deadline each, and no
 * queue.
 */
#include "engine_parts.h"

/* What may go at once after a pause: this much time's worth, but always one. */
#define BURST (CLOCK_SECOND / 10)

/* How often a backlog is told of again while it lasts. */
#define TELL_EVERY (60 * CLOCK_SECOND)

static int64_t step_of(const struct engine *engine, enum policy_action action)
{
	const struct policy_limits *limits = &engine->policy->limits;

	if (action == POLICY_MOVE)
		return limits->moves_per_second ? CLOCK_SECOND / limits->moves_per_second : 0;
	if (action == POLICY_BOUNCE)
		return limits->bounces_per_minute ? 60 * CLOCK_SECOND / limits->bounces_per_minute
						  : 0;
	return limits->deletes_per_minute ? 60 * CLOCK_SECOND / limits->deletes_per_minute : 0;
}

static void tell(struct engine *engine, struct limit *limit, enum policy_action action)
{
	if (limit->told_at && engine->now - limit->told_at < TELL_EVERY)
		return;
	limit->told_at = engine->now;
	engine_report_limit(engine,
			    action == POLICY_MOVE     ? "limits.moves_per_second"
			    : action == POLICY_BOUNCE ? "limits.bounces_per_minute"
						      : "limits.deletes_per_minute",
			    engine->by_state[MESSAGE_WAITING]);
}

/* May this message, which is due, be acted on now? If not, it waits for the turn that it has got.
 */
bool engine_may_act(struct engine *engine, msgref ref, enum policy_action action)
{
	struct message *message = table_get(engine->table, ref);
	struct limit *limit = action == POLICY_MOVE	? &engine->moves
			      : action == POLICY_BOUNCE ? &engine->bounces
							: &engine->deletes;
	int64_t step = step_of(engine, action), longest;

	if (!step)
		return true;
	/* Nobody waits for longer than all that wait take: what does had its turn from another
	 * clock or another policy. */
	longest = step * (int64_t)(engine->by_state[MESSAGE_WAITING] + 1) + BURST;
	if (message->state == MESSAGE_WAITING) {
		/* Looked at for another reason, it keeps its turn. */
		if (message->tries != ENGINE_WAITED && message->deadline != INT64_MAX &&
		    message->deadline > engine->now && message->deadline - engine->now <= longest)
			return false;
		if (message->tries == ENGINE_WAITED) {
			message->tries = 0;
			return true;
		}
	}
	if (limit->next < engine->now || limit->next - engine->now > longest) {
		limit->next = engine->now;
		limit->told_at = 0;
	}
	limit->next += step;
	if (limit->next - engine->now <= (step > BURST ? step : BURST))
		return true;
	engine_set_state(engine, message, MESSAGE_WAITING);
	message->tries = 0;
	table_set_deadline(engine->table, ref, limit->next - step);
	tell(engine, limit, action);
	return false;
}
