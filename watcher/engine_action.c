/* engine_action.c - a message that is due: lock it, make sure that it is what was read, and act.
 */
#include "engine_parts.h"

#include <errno.h>
#include <string.h>

#include "qfwatch/lock.h"
#include "qfwatch/log.h"
#include "qfwatch/recover.h"

/* Removes what an interrupted move left of this message elsewhere. The qf is locked. */
static void recover_link(struct engine *engine, struct message *message)
{
	const struct qdir *home = engine_directory(engine, message), *other;
	struct recovery recovery;
	struct stat body;
	int error = 0;

	if (mover_look_at_body(home, table_id(message), message->id_length, &body, &error) !=
	    TROUBLE_BODY_LINKS) {
		message->flags &= (uint8_t)~MESSAGE_LINKED;
		return;
	}
	other = recover_second_link(&engine->spool, home, table_id(message), message->id_length,
				    &body, &error);
	if (!other)
		return; /* perhaps in a directory that is lost now: asked again with every look */
	if (!error)
		message->flags &= (uint8_t)~MESSAGE_LINKED;
	recovery =
		(struct recovery){.id = table_id(message),
				  .id_length = message->id_length,
				  .found = "a second link to its df, left by an interrupted move",
				  .done = error ? NULL : "removed it",
				  .error = error};
	engine_report_recovery(engine, other, &recovery);
}

/* It stands in `to` now. What memory has under that name there is out of date: the disk had none.
 * `same_file`: it is the qf that was read, so that the notification of our own rename needs no
 * second look. */
void engine_moved(struct engine *engine, msgref ref, uint16_t to, bool same_file)
{
	struct message *message = table_get(engine->table, ref);
	msgref stale = table_find(engine->table, to, table_id(message), message->id_length);

	if (stale)
		engine_depart(engine, stale, "it was gone when another message took its place");
	engine_directory(engine, message)->messages--;
	engine->spool.dirs[to].messages++;
	engine_tally_leave(engine, message);
	table_change_directory(engine->table, ref, to);
	engine_tally_enter(engine, message);
	message->visited |= UINT64_C(1) << engine->spool.dirs[to].tier;
	message->flags &= (uint8_t) ~(MESSAGE_SEEN | MESSAGE_TOLD | MESSAGE_ECHO);
	message->flags |= (uint8_t)(engine->seen | (same_file ? MESSAGE_ECHO : 0));
	message->tries = 0;
	engine_set_state(engine, message, MESSAGE_IDLE);
	engine_decide_from_memory(engine, ref);
	if (!same_file || message->flags & MESSAGE_LINKED)
		table_push_ready(engine->table, ref);
}

static struct qdir *target_of(struct engine *engine, const struct message *message,
			      const struct policy_decision *decision)
{
	return spool_place(&engine->spool, decision->target,
			   engine->policy->tiers[decision->target].place, table_id(message),
			   message->id_length);
}

/* Tells what would be done, through all the tiers, once for each state of the qf. */
static void pretend(struct engine *engine, msgref ref, struct policy_decision decision, size_t head)
{
	struct message *message = table_get(engine->table, ref);
	struct message phantom = *message;
	struct action_report report;

	if (!(message->flags & MESSAGE_TOLD)) {
		while (decision.action == POLICY_MOVE &&
		       !(phantom.visited >> decision.target & 1)) {
			uint16_t from = phantom.directory;
			const struct qdir *to = target_of(engine, &phantom, &decision);

			if (!to)
				break;
			engine_prepare_report(engine, &phantom, &decision, head, &report);
			engine_report_move(engine, &phantom, engine_tier_name(engine, from),
					   engine->policy->tiers[decision.target].name, &report, 0);
			engine->counts.moved++;
			engine_tally_move(engine, decision.rule, engine->spool.dirs[from].tier,
					  decision.target, 0, 0);
			phantom.directory = spool_index(&engine->spool, to);
			phantom.visited |= UINT64_C(1) << decision.target;
			engine_follow_up(engine, decision.rule, &phantom);
			decision = engine_ask(engine, &phantom);
		}
		if (decision.action == POLICY_DELETE || decision.action == POLICY_BOUNCE)
			engine_prepare_report(engine, &phantom, &decision, head, &report);
		if (decision.action == POLICY_DELETE) {
			engine_report_delete(engine, &phantom, &report, 0);
			engine->counts.deleted++;
			engine_tally(engine, &phantom, TALLY_DELETED);
			engine_tally_rule(engine, decision.rule, TALLY_RULE_ACTED);
			engine_follow_up(engine, decision.rule, &phantom);
		} else if (decision.action == POLICY_BOUNCE) {
			engine_report_bounce(engine, &phantom, &report, NULL, 0);
			engine->counts.bounced++;
			engine_tally(engine, &phantom, TALLY_BOUNCED);
			engine_tally_rule(engine, decision.rule, TALLY_RULE_ACTED);
			engine_follow_up(engine, decision.rule, &phantom);
		}
		message->flags |= MESSAGE_TOLD;
	}
	engine_set_state(engine, message, MESSAGE_IDLE);
	engine_wait_for_time(engine, ref, &decision);
}

static void act_delete(struct engine *engine, msgref ref, const struct policy_decision *decision,
		       const struct control *control, int64_t started)
{
	struct message *message = table_get(engine->table, ref);
	const struct qdir *from = engine_directory(engine, message);
	struct mover_result result = (message->held ? mover_delete_held : mover_delete)(
		from, table_id(message), message->id_length);
	struct action_report report;

	if (result.trouble) {
		engine_settle(engine, ref, result, decision);
		return;
	}
	if (result.leftover)
		log_warning("qf%.*s in %s is deleted, but a file of it could not be removed: the "
			    "next start or "
			    "reconcile tries again",
			    (int)message->id_length, table_id(message), from->path);
	engine->counts.deleted++;
	engine_tally(engine, message, TALLY_DELETED);
	engine_tally_rule(engine, decision->rule, TALLY_RULE_ACTED);
	engine_prepare_report(engine, message, decision, control->head, &report);
	engine_report_delete(engine, message, &report, clock_monotonic() - started);
	engine_follow_up(engine, decision->rule, message);
	engine_forget(engine, ref);
}

/* The directory that is open may have been renamed or mounted over since the kernel last told us.
 * Once a turn: no look is so young that it could not have happened after it. */
static bool still_stands(struct engine *engine, struct qdir *target)
{
	if (target->verified == engine->turn)
		return true;
	if (engine_verify_directory(engine, spool_index(&engine->spool, target)) < 0)
		return false;
	target->verified = engine->turn;
	return true;
}

static void act_move(struct engine *engine, msgref ref, const struct policy_decision *decision,
		     struct control *control, int64_t started)
{
	struct message *message = table_get(engine->table, ref);
	uint16_t from = message->directory;
	struct qdir *target = target_of(engine, message, decision);
	struct mover_result result;
	struct action_report report;

	if (!target || !still_stands(engine, target)) {
		engine_fail(engine, ref, TROUBLE_TARGET_LOST, 0, NULL, decision);
		return;
	}
	result = (message->held ? mover_move_held : mover_move)(
		&engine->spool.dirs[from], target, table_id(message), message->id_length,
		engine_may_have_transcript(engine, message));
	if (result.trouble == TROUBLE_OTHER_FILE_SYSTEM) {
		engine_prepare_report(engine, message, decision, control->head, &report);
		result.error = -engine_carry(engine, ref, spool_index(&engine->spool, target),
					     control, &report);
		if (!result.error)
			return;
		result.trouble = TROUBLE_ERROR;
		result.step = "start a worker";
	}
	if (result.leftover)
		message->flags |= MESSAGE_LINKED;
	if (result.trouble) {
		engine_settle(engine, ref, result, decision);
		return;
	}
	engine->counts.moved++;
	engine_tally_move(engine, decision->rule, engine->spool.dirs[from].tier, decision->target,
			  started, engine_learnt(engine));
	engine_prepare_report(engine, message, decision, control->head, &report);
	engine_report_move(engine, message, engine_tier_name(engine, from),
			   engine->policy->tiers[decision->target].name, &report,
			   clock_monotonic() - started);
	engine_moved(engine, ref, spool_index(&engine->spool, target), true);
	engine_follow_up(engine, decision->rule, message);
}

/* The lock is for sendmail. */
static void act_bounce(struct engine *engine, msgref ref, const struct policy_decision *decision,
		       const struct control *control)
{
	struct action_report report;

	engine_prepare_report(engine, table_get(engine->table, ref), decision, control->head,
			      &report);
	lock_release(control->fd);
	engine_bounce(engine, ref, decision, &report);
}

/* The qf is locked, and is what was read. */
static void act(struct engine *engine, msgref ref, const struct policy_decision *decision,
		struct control *control, int64_t started)
{
	struct message *message = table_get(engine->table, ref);

	if (message->flags & MESSAGE_LINKED) {
		recover_link(engine, message);
		/* Somebody else's file has that link: not even for a moment does it get one more.
		 */
		if (message->flags & MESSAGE_LINKED) {
			engine_settle(engine, ref,
				      (struct mover_result){.trouble = TROUBLE_BODY_LINKS},
				      decision);
			return;
		}
	}
	if (decision->action == POLICY_DELETE)
		act_delete(engine, ref, decision, control, started);
	else if (decision->action == POLICY_BOUNCE)
		act_bounce(engine, ref, decision, control);
	else
		act_move(engine, ref, decision, control, started);
}

/* Takes the lock of an open qf and makes sure that the name still means that file. */
static enum trouble lock(const struct control *control, int directory, const char *name,
			 int *ret_error)
{
	int r = lock_take(control->fd);

	if (r == -EWOULDBLOCK)
		return TROUBLE_LOCKED;
	if (r == 0)
		r = lock_verify(directory, name, &control->stat);
	*ret_error = -r;
	return r == 0			      ? TROUBLE_NONE
	       : r == -ENOENT || r == -ESTALE ? TROUBLE_CHANGED
					      : TROUBLE_ERROR;
}

/* A qf that did not change since the last try, whose next one has not come: a try that goes through
 * a hidden name and back notifies of itself, and would be its own reason for the next, for ever. */
static bool is_too_early(const struct engine *engine, const struct message *message)
{
	return (message->state == MESSAGE_FAILED || message->state == MESSAGE_REFUSED) &&
	       message->deadline != INT64_MAX && message->deadline > engine->now;
}

enum trouble engine_act(struct engine *engine, msgref ref, const struct policy_decision *decision,
			struct control *control, const char *name)
{
	struct message *message = table_get(engine->table, ref);
	int64_t started = clock_monotonic();
	enum trouble trouble;
	int error = 0;

	if (decision->action == POLICY_MOVE && message->visited >> decision->target & 1) {
		engine_refuse(engine, ref, TROUBLE_CIRCLE, 0, decision);
		return TROUBLE_NONE;
	}
	if (control->file.data_elsewhere) {
		engine_refuse(engine, ref, TROUBLE_DATA_ELSEWHERE, 0, decision);
		return TROUBLE_NONE;
	}
	if (engine->dry_run) {
		pretend(engine, ref, *decision, control->head);
		return TROUBLE_NONE;
	}
	if (is_too_early(engine, message))
		return TROUBLE_NONE;
	/* The lock first: what is held takes no place in the line from what could go. */
	trouble = lock(control, engine_directory(engine, message)->qf, name, &error);
	if (trouble == TROUBLE_CHANGED)
		return trouble;
	if (trouble == TROUBLE_LOCKED)
		engine_busy(engine, ref, decision);
	else if (trouble == TROUBLE_ERROR)
		engine_fail(engine, ref, trouble, error, "lock qf", decision);
	else if (engine_may_act(engine, ref, decision->action))
		act(engine, ref, decision, control, started);
	return TROUBLE_NONE;
}

/* Left by an interrupted move, and not due now: its second link goes all the same. */
void engine_recover_idle(struct engine *engine, msgref ref, const struct control *control,
			 const char *name)
{
	struct message *message = table_get(engine->table, ref);
	int error;

	if (engine->dry_run)
		return;
	if (lock(control, engine_directory(engine, message)->qf, name, &error) == TROUBLE_NONE)
		recover_link(engine, message);
	else if (message->deadline > engine->now + ENGINE_FAILED_WAIT_MAX)
		engine_try_later(engine, ref, ENGINE_FAILED_WAIT_MAX, NULL);
}
