/* engine_trouble.c - what keeps a message where it is: what is told of it, and when it is tried
 * again.
 */
#include "engine_parts.h"

#include <errno.h>

#include "qfwatch/lock.h"

/* A qf that sendmail is writing is incomplete for milliseconds. */
#define WRITING_WAIT (2 * CLOCK_SECOND)

#define REFUSED_WAIT_MAX (3600 * CLOCK_SECOND)
#define BOUNCE_WAIT_MAX	 (3600 * CLOCK_SECOND)

/* How a lock is asked for again before it becomes once a second and less. The kernel tells of a
 * close just before it gives up the lock (__fput in fs/file_table.c): hence the first. */
#define FIRST_WAITS 4u

/* With so many tries in vain (after 0.2, 5 and 50 ms) a lock is held for longer than the end of an
 * attempt: worth an event. */
#define BUSY_TELL 4

static int64_t backoff(unsigned tries, int64_t first, int64_t longest)
{
	int64_t wait = first;

	while (tries-- > 1 && wait < longest)
		wait *= 2;
	return wait < longest ? wait : longest;
}

static void one_more_try(struct message *message)
{
	if (message->tries < 255)
		message->tries++;
}

/* Another rule may become due before the next try: then the message is asked again. */
static int64_t not_after(const struct policy_decision *decision, int64_t deadline)
{
	if (!decision || decision->again > INT64_MAX / CLOCK_SECOND ||
	    decision->again * CLOCK_SECOND > deadline)
		return deadline;
	return decision->again * CLOCK_SECOND;
}

/* When to try again what did not work: after `microseconds`, or never in a single pass. */
void engine_try_later(struct engine *engine, msgref ref, int64_t microseconds,
		      const struct policy_decision *decision)
{
	int64_t deadline = microseconds == INT64_MAX ? INT64_MAX : engine->now + microseconds;

	table_set_deadline(engine->table, ref,
			   engine->mode == ENGINE_ONCE ? INT64_MAX : not_after(decision, deadline));
}

/* Does this trouble differ from the one that was reported last? */
static bool is_news(struct message *message, enum message_state state, unsigned what)
{
	bool news = !(message->flags & MESSAGE_TOLD) || message->state != (unsigned)state ||
		    message->trouble != what;

	message->trouble = what & 255;
	message->flags |= MESSAGE_TOLD;
	return news;
}

void engine_refuse(struct engine *engine, msgref ref, enum trouble trouble, int error,
		   const struct policy_decision *decision)
{
	struct message *message = table_get(engine->table, ref);
	bool news = is_news(message, MESSAGE_REFUSED, (unsigned)trouble);

	if (news)
		message->tries = 0;
	one_more_try(message);
	engine_set_state(engine, message, MESSAGE_REFUSED);
	engine_try_later(engine, ref,
			 trouble_may_pass(trouble)
				 ? backoff(message->tries, CLOCK_SECOND, REFUSED_WAIT_MAX)
				 : INT64_MAX,
			 decision);
	if (!news)
		return;
	engine_tally_trouble(engine, message, TALLY_REFUSED, decision ? decision->rule : NULL);
	engine_report_trouble(engine, EVENT_MESSAGE_REFUSED, message, trouble, error, NULL,
			      decision);
}

void engine_fail(struct engine *engine, msgref ref, enum trouble trouble, int error,
		 const char *step, const struct policy_decision *decision)
{
	struct message *message = table_get(engine->table, ref);
	bool news = is_news(message, MESSAGE_FAILED, error ? (unsigned)error : (unsigned)trouble);

	if (news)
		message->tries = 0;
	one_more_try(message);
	engine_set_state(engine, message, MESSAGE_FAILED);
	engine_try_later(engine, ref, backoff(message->tries, CLOCK_SECOND, ENGINE_FAILED_WAIT_MAX),
			 decision);
	if (!news)
		return;
	engine_tally_trouble(engine, message, TALLY_FAILED, decision ? decision->rule : NULL);
	engine_report_trouble(engine, EVENT_MOVE_FAILED, message, trouble, error, step, decision);
}

void engine_busy(struct engine *engine, msgref ref, const struct policy_decision *decision)
{
	static const int64_t first_waits[FIRST_WAITS] = {200, 5000, 50000, 500000};
	struct message *message = table_get(engine->table, ref);

	if (message->state != MESSAGE_BUSY) {
		message->tries = 0;
		message->flags &= (uint8_t)~MESSAGE_TOLD;
		engine_set_state(engine, message, MESSAGE_BUSY);
	}
	one_more_try(message);
	if (message->tries <= FIRST_WAITS)
		table_set_deadline(engine->table, ref,
				   engine->now + first_waits[message->tries - 1]);
	else
		engine_try_later(
			engine, ref,
			backoff(message->tries - FIRST_WAITS, CLOCK_SECOND, ENGINE_FAILED_WAIT_MAX),
			decision);
	if (message->tries != BUSY_TELL || !is_news(message, MESSAGE_BUSY, TROUBLE_LOCKED))
		return;
	engine_tally_trouble(engine, message, TALLY_BUSY, decision->rule);
	engine_report_trouble(engine, EVENT_MESSAGE_BUSY, message, TROUBLE_LOCKED, 0, NULL,
			      decision);
}

/* Empty or incomplete: usually one that is being written. Its writer holds its lock, so it is only
 * refused when it has stood unlocked and unchanged for WRITING_WAIT: any notification about it
 * starts that time anew. */
void engine_note_writing(struct engine *engine, msgref ref, const struct control *control,
			 enum trouble trouble)
{
	struct message *message = table_get(engine->table, ref);
	uint64_t print = control_print(&control->stat);
	bool same = message->print == print;
	bool waited = same && message->state == MESSAGE_WRITING && message->tries == ENGINE_WAITED;

	if (same && message->state == MESSAGE_REFUSED && message->trouble == (unsigned)trouble)
		return;
	if (waited && lock_take(control->fd) == 0) {
		lock_release(control->fd);
		engine_refuse(engine, ref, trouble, 0, NULL);
		return;
	}
	message->print = print;
	message->tries = 0;
	engine_set_state(engine, message, MESSAGE_WRITING);
	/* A single pass leaves to sendmail what sendmail holds. */
	if (waited && engine->mode == ENGINE_ONCE)
		table_set_deadline(engine->table, ref, INT64_MAX);
	else
		table_set_deadline(engine->table, ref, engine->now + WRITING_WAIT);
}

/* What did not work, and where that leaves the message. */
void engine_settle(struct engine *engine, msgref ref, struct mover_result result,
		   const struct policy_decision *decision)
{
	struct message *message = table_get(engine->table, ref);

	/* A second link may be what an interrupted move left. */
	if (result.leftover || result.trouble == TROUBLE_BODY_LINKS)
		message->flags |= MESSAGE_LINKED;
	if (result.trouble == TROUBLE_CHANGED)
		/* The qf or its directory went away under our lock: the next look tells. */
		engine_fail(engine, ref, TROUBLE_CHANGED, 0, NULL, decision);
	else if (result.trouble == TROUBLE_ERROR)
		engine_fail(engine, ref, TROUBLE_ERROR, result.error, result.step, decision);
	else if (result.trouble)
		engine_refuse(engine, ref, result.trouble, result.error, decision);
}

/* sendmail has ended, and the message is still there. */
void engine_bounce_failed(struct engine *engine, msgref ref, const struct action_report *report,
			  const char *outcome, int64_t duration)
{
	struct message *message = table_get(engine->table, ref);
	bool news = is_news(message, MESSAGE_BOUNCING, EAGAIN);

	if (news)
		message->tries = 0;
	one_more_try(message);
	engine_set_state(engine, message, MESSAGE_FAILED);
	engine_try_later(engine, ref,
			 backoff(message->tries, ENGINE_FAILED_WAIT_MAX, BOUNCE_WAIT_MAX), NULL);
	if (!news)
		return;
	engine_tally_trouble(engine, message, TALLY_FAILED,
			     policy_find_rule(engine->policy, report->rule));
	engine_report_bounce(engine, message, report, outcome, duration);
}
