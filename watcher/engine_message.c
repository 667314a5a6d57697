/* engine_message.c - one message: look at it, ask the policy, act.
 *
 * INTERNALS.md, "States in memory", tells which state follows which.
 *
 * Every look reads the qf anew: what is in memory decides when to look, never what to do.
 */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "qfwatch/lock.h"
#include "qfwatch/log.h"
#include "qfwatch/recover.h"

/* A qf that sendmail is writing is incomplete for milliseconds. */
#define WRITING_WAIT (2 * CLOCK_SECOND)

/* A qf whose time of modification is as young as this when it is read may be rewritten without a
 * visible change: the clock behind it advances in steps of a few milliseconds (and of 2 s on FAT),
 * so its fingerprint proves nothing. */
#define RACY (2 * CLOCK_SECOND)

#define FAILED_WAIT_MAX	 (60 * CLOCK_SECOND)
#define REFUSED_WAIT_MAX (3600 * CLOCK_SECOND)
#define BOUNCE_WAIT_MAX	 (3600 * CLOCK_SECOND)

/* How a lock is asked for again before it becomes once a second and less. The kernel tells of a
 * close just before it gives up the lock (__fput in fs/file_table.c): hence the first. */
#define FIRST_WAITS 4u

/* With so many tries in vain (after 0.2, 5 and 50 ms) a lock is held for longer than the end of an
 * attempt: worth an event. */
#define BUSY_TELL 4

/* How often a qf that is replaced under our eyes is read again at once. */
#define CHANGED_TRIES 3

/* ---- book-keeping ---- */

void engine_set_state(struct engine *engine, struct message *message, enum message_state state)
{
	unsigned tier = engine_tier(engine, message);

	engine->by_state[message->state]--;
	engine->by_state[state]++;
	ages_leave(engine->ages, tier, (enum message_state)message->state);
	ages_enter(engine->ages, tier, state);
	message->state = (unsigned)state & 15;
}

/* A name that was seen for the first time, and whose file somebody else is about to read. */
msgref engine_insert(struct engine *engine, uint16_t directory, const char *id, size_t length,
		     bool held)
{
	msgref ref = table_insert(engine->table, directory, id, length);
	struct message *message = table_get(engine->table, ref);

	message->flags |= engine->seen;
	message->held = held;
	engine->by_state[MESSAGE_NEW]++;
	engine_tally_enter(engine, message);
	engine->spool.dirs[directory].messages++;
	return ref;
}

msgref engine_learn(struct engine *engine, uint16_t directory, const char *id, size_t length,
		    bool held)
{
	msgref ref = engine_insert(engine, directory, id, length, held);

	table_push_ready(engine->table, ref);
	return ref;
}

void engine_forget(struct engine *engine, msgref ref)
{
	struct message *message = table_get(engine->table, ref);

	if (message->state == MESSAGE_MOVING)
		engine_carry_forget(engine, ref);
	if (message->state == MESSAGE_BOUNCING)
		engine_program_forget(engine, ref);
	engine->by_state[message->state]--;
	engine_tally_leave(engine, message);
	engine_labels_forget(engine, ref);
	engine_directory(engine, message)->messages--;
	table_remove(engine->table, ref);
}

void engine_depart(struct engine *engine, msgref ref, const char *reason)
{
	struct message *message = table_get(engine->table, ref);

	/* One that was never read was never announced either. */
	if (message->created ||
	    (message->state != MESSAGE_NEW && message->state != MESSAGE_WRITING)) {
		engine->counts.departed++;
		engine_tally(engine, message, TALLY_DEPARTED);
		engine->round_departed++;
		engine_report_message(engine, EVENT_MESSAGE_DEPARTED, message, "departed", reason);
	} else if (engine->policy->n_windows) {
		engine_note_unread(engine, message);
	}
	engine_forget(engine, ref);
}

/* Returns false when it is longer than a file name. */
bool engine_control_name(const struct message *message, char *name)
{
	return spool_name(name, message->held ? "hf" : "qf", table_id(message), message->id_length);
}

/* Its control file is not there by its name: by the other one, because it was quarantined or
 * released? Then it has that from now on. */
bool engine_has_other_name(struct engine *engine, struct message *message)
{
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	if (!engine->policy->quarantined && !message->held)
		return false;
	message->held ^= 1;
	if (engine_control_name(message, name) &&
	    fstatat(engine_directory(engine, message)->qf, name, &stat, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	message->held ^= 1;
	return false;
}

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

/* ---- what can go wrong ---- */

/* Another rule may become due before the next try: then the message is asked again. */
static int64_t not_after(const struct policy_decision *decision, int64_t deadline)
{
	if (!decision || decision->again > INT64_MAX / CLOCK_SECOND ||
	    decision->again * CLOCK_SECOND > deadline)
		return deadline;
	return decision->again * CLOCK_SECOND;
}

/* When to try again what did not work: after `microseconds`, or never in a single pass. */
static void try_later(struct engine *engine, msgref ref, int64_t microseconds,
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

static void refuse(struct engine *engine, msgref ref, enum trouble trouble, int error,
		   const struct policy_decision *decision)
{
	struct message *message = table_get(engine->table, ref);
	bool news = is_news(message, MESSAGE_REFUSED, (unsigned)trouble);

	if (news)
		message->tries = 0;
	one_more_try(message);
	engine_set_state(engine, message, MESSAGE_REFUSED);
	try_later(engine, ref,
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

static void fail(struct engine *engine, msgref ref, enum trouble trouble, int error,
		 const char *step, const struct policy_decision *decision)
{
	struct message *message = table_get(engine->table, ref);
	bool news = is_news(message, MESSAGE_FAILED, error ? (unsigned)error : (unsigned)trouble);

	if (news)
		message->tries = 0;
	one_more_try(message);
	engine_set_state(engine, message, MESSAGE_FAILED);
	try_later(engine, ref, backoff(message->tries, CLOCK_SECOND, FAILED_WAIT_MAX), decision);
	if (!news)
		return;
	engine_tally_trouble(engine, message, TALLY_FAILED, decision ? decision->rule : NULL);
	engine_report_trouble(engine, EVENT_MOVE_FAILED, message, trouble, error, step, decision);
}

static void busy(struct engine *engine, msgref ref, const struct policy_decision *decision)
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
		try_later(engine, ref,
			  backoff(message->tries - FIRST_WAITS, CLOCK_SECOND, FAILED_WAIT_MAX),
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
static void writing(struct engine *engine, msgref ref, const struct control *control,
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
		refuse(engine, ref, trouble, 0, NULL);
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

/* ---- looking ---- */

/* What a qf said when it was read. */
struct reading {
	uint64_t print;
	int64_t modified, at; /* the file; and not later than its reading; microseconds */
	const struct qfile *file;
	struct qf_head head;
};

/* As far as the table keeps them. */
static uint32_t attempts_of(const struct qfile *file)
{
	return file->attempts < TABLE_MAX_ATTEMPTS ? file->attempts : TABLE_MAX_ATTEMPTS;
}

static void remember(struct engine *engine, msgref ref, const struct reading *reading)
{
	const struct qfile *file = reading->file;
	struct message *message = table_get(engine->table, ref);
	uint64_t print = reading->print;
	bool known = message->created != 0;
	uint32_t attempts = attempts_of(file);
	uint32_t before = message->attempts, created = message->created;
	/* What it says counts, too: a fingerprint may stay the same through a quick rewrite. */
	bool changed = message->print != print || message->created != file->created ||
		       message->last_attempt != file->last_attempt || before != attempts;
	bool attempted = known && attempts > before;

	message->flags &= (uint8_t)~MESSAGE_RACY;
	if (reading->modified > reading->at - RACY)
		message->flags |= MESSAGE_RACY;
	/* A policy may have begun to ask for domains since. */
	if (changed || table_domain(message) == TABLE_DOMAIN_NONE)
		engine_note_text(engine, message);
	if (known && !changed)
		return;
	if (!known)
		engine->round_found++;
	message->print = print & ((UINT64_C(1) << CONTROL_PRINT_BITS) - 1);
	message->created = file->created;
	engine_tally_created(engine, message, created);
	message->last_attempt = file->last_attempt;
	message->attempts = attempts & TABLE_MAX_ATTEMPTS;
	message->quarantined = file->quarantined;
	message->visited = (UINT64_C(1) << engine_directory(engine, message)->tier) |
			   (message->visited & engine->policy->marks);
	message->flags &= (uint8_t)~MESSAGE_TOLD;
	/* What waits for its turn keeps it: runners rewrite a qf more often than a long line moves
	 * on, and it would never come to its end. */
	if (message->state != MESSAGE_WAITING) {
		message->tries = 0;
		engine_set_state(engine, message, MESSAGE_IDLE);
	}
	/* Of one that is new to us, what it had before counts once, at the time of its last
	 * attempt. */
	engine_note_attempts(engine, message,
			     attempted ? attempts - before : !known && attempts > 0);
	if (!known) {
		engine_tally_tracked(engine, message);
		engine_report_read(engine, EVENT_MESSAGE_TRACKED, message, "tracked",
				   reading->head);
	}
	if (attempted) {
		engine->counts.attempted++;
		engine_tally(engine, message, TALLY_ATTEMPTED);
		engine_report_read(engine, EVENT_MESSAGE_ATTEMPTED, message, "attempted",
				   reading->head);
	}
}

static void set_size(struct message *message, uint64_t size)
{
	message->size = size < TABLE_MAX_SIZE ? size & TABLE_MAX_SIZE : TABLE_MAX_SIZE;
	message->flags |= MESSAGE_SIZED;
}

/* The size of the body never changes, so it is asked for once. A second link is what an interrupted
 * move leaves. */
static void look_at_body(struct engine *engine, struct message *message)
{
	struct stat body;
	int error;
	enum trouble trouble;

	if (message->flags & MESSAGE_SIZED)
		return;
	trouble = mover_look_at_body(engine_directory(engine, message), table_id(message),
				     message->id_length, &body, &error);
	if (trouble != TROUBLE_NONE && trouble != TROUBLE_BODY_LINKS)
		return; /* it matters when the message is due, and is told then */
	set_size(message, (uint64_t)body.st_size);
	engine_tally_body(engine, message);
	if (trouble == TROUBLE_BODY_LINKS)
		message->flags |= MESSAGE_LINKED;
}

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

/* ---- acting ---- */

static void wait_for_time(struct engine *engine, msgref ref, const struct policy_decision *decision)
{
	bool never = decision->again == POLICY_NEVER ||
		     decision->again > INT64_MAX / CLOCK_SECOND || engine->mode == ENGINE_ONCE;

	table_set_deadline(engine->table, ref, never ? INT64_MAX : decision->again * CLOCK_SECOND);
}

struct policy_decision engine_ask(struct engine *engine, const struct message *message)
{
	struct policy_message facts = engine_policy_message(engine, message);
	struct policy_decision decision;

	policy_decide(engine->policy, &facts, engine->now / CLOCK_SECOND, &decision);
	return decision;
}

/* What a thread has read of a message that is new to us. If there is nothing to do for it, it is
 * remembered; otherwise it gets a look, which reads it again. */
void engine_take_reading(struct engine *engine, msgref ref, const struct gather_item *item,
			 int64_t begun)
{
	struct message *message = table_get(engine->table, ref);
	struct message as_read = *message;
	bool counting = engine_is_counting(engine);
	struct policy_decision decision = {.again = POLICY_NEVER};

	if (item->text)
		engine_use_text(engine, item->text, item->text_length);
	as_read.created = item->file.created;
	as_read.last_attempt = item->file.last_attempt;
	as_read.attempts = attempts_of(&item->file) & TABLE_MAX_ATTEMPTS;
	as_read.quarantined = item->file.quarantined;
	if (item->sized)
		set_size(&as_read, item->body_size);
	if (!counting)
		decision = engine_ask(engine, &as_read);
	if (decision.action != POLICY_STAY || decision.unknown || decision.marks ||
	    (item->sized && item->body_links != 1)) {
		table_push_ready(engine->table, ref);
	} else {
		engine_label(engine, ref);
		remember(engine, ref,
			 &(struct reading){item->print,
					   item->modified,
					   begun,
					   &item->file,
					   {item->text, item->text_length, false}});
		if (item->sized) {
			set_size(message, item->body_size);
			engine_tally_body(engine, message);
		}
		wait_for_time(engine, ref, &decision);
		engine->undecided |= counting;
	}
	engine_drop_text(engine);
}

void engine_decide_from_memory(struct engine *engine, msgref ref)
{
	struct message *message = table_get(engine->table, ref);
	struct policy_decision decision;

	if (engine_is_away(message))
		return;
	if (message->state == MESSAGE_NEW || message->state == MESSAGE_WRITING) {
		/* Its tier was lost for a while, and with it its deadline. */
		if (message->deadline == INT64_MAX)
			table_push_ready(engine->table, ref);
		return;
	}
	/* Nothing is known of what was refused for its qf; what was refused or failed as due is
	 * tried again. */
	decision = engine_ask(engine, message);
	if (message->state != MESSAGE_IDLE || decision.action != POLICY_STAY || decision.unknown ||
	    decision.marks ||
	    (engine->learning_domains && table_domain(message) == TABLE_DOMAIN_NONE)) {
		/* Not later, as is_too_early would have it. */
		if (message->state == MESSAGE_FAILED || message->state == MESSAGE_REFUSED)
			table_set_deadline(engine->table, ref, INT64_MAX);
		table_push_ready(engine->table, ref);
		return;
	}
	wait_for_time(engine, ref, &decision);
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
	wait_for_time(engine, ref, &decision);
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
		fail(engine, ref, TROUBLE_CHANGED, 0, NULL, decision);
	else if (result.trouble == TROUBLE_ERROR)
		fail(engine, ref, TROUBLE_ERROR, result.error, result.step, decision);
	else if (result.trouble)
		refuse(engine, ref, result.trouble, result.error, decision);
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

static void act_move(struct engine *engine, msgref ref, const struct policy_decision *decision,
		     struct control *control, int64_t started)
{
	struct message *message = table_get(engine->table, ref);
	uint16_t from = message->directory;
	struct qdir *target = target_of(engine, message, decision);
	struct mover_result result;
	struct action_report report;

	/* The directory that is open may have been renamed or mounted over since the kernel last
	 * told us. */
	if (!target || engine_verify_directory(engine, spool_index(&engine->spool, target)) < 0) {
		fail(engine, ref, TROUBLE_TARGET_LOST, 0, NULL, decision);
		return;
	}
	result = (message->held ? mover_move_held : mover_move)(
		&engine->spool.dirs[from], target, table_id(message), message->id_length);
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
	try_later(engine, ref, backoff(message->tries, FAILED_WAIT_MAX, BOUNCE_WAIT_MAX), NULL);
	if (!news)
		return;
	engine_tally_trouble(engine, message, TALLY_FAILED,
			     policy_find_rule(engine->policy, report->rule));
	engine_report_bounce(engine, message, report, outcome, duration);
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
		r = lock_verify(control->fd, directory, name, &control->stat);
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

/* A due message. Returns TROUBLE_CHANGED when it must be read again, else TROUBLE_NONE: all other
 * outcomes are settled. */
static enum trouble try_to_act(struct engine *engine, msgref ref,
			       const struct policy_decision *decision, struct control *control,
			       const char *name)
{
	struct message *message = table_get(engine->table, ref);
	int64_t started = clock_monotonic();
	enum trouble trouble;
	int error = 0;

	if (decision->action == POLICY_MOVE && message->visited >> decision->target & 1) {
		refuse(engine, ref, TROUBLE_CIRCLE, 0, decision);
		return TROUBLE_NONE;
	}
	if (control->file.data_elsewhere) {
		refuse(engine, ref, TROUBLE_DATA_ELSEWHERE, 0, decision);
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
		busy(engine, ref, decision);
	else if (trouble == TROUBLE_ERROR)
		fail(engine, ref, trouble, error, "lock qf", decision);
	else if (engine_may_act(engine, ref, decision->action))
		act(engine, ref, decision, control, started);
	return TROUBLE_NONE;
}

/* Left by an interrupted move, and not due now: its second link goes all the same. */
static void recover_idle(struct engine *engine, msgref ref, const struct control *control,
			 const char *name)
{
	struct message *message = table_get(engine->table, ref);
	int error;

	if (engine->dry_run)
		return;
	if (lock(control, engine_directory(engine, message)->qf, name, &error) == TROUBLE_NONE)
		recover_link(engine, message);
	else if (message->deadline > engine->now + FAILED_WAIT_MAX)
		try_later(engine, ref, FAILED_WAIT_MAX, NULL);
}

static enum trouble look(struct engine *engine, msgref ref, const char *name,
			 struct control *control)
{
	struct message *message = table_get(engine->table, ref);
	enum trouble trouble =
		control_read(engine_directory(engine, message)->qf, name, engine->buffer, control);
	struct policy_decision decision;
	int r;

	switch (trouble) {
	case TROUBLE_NONE:
		break;
	case TROUBLE_GONE:
		if (engine_has_other_name(engine, message))
			return TROUBLE_CHANGED;
		engine_depart(engine, ref, NULL);
		return TROUBLE_NONE;
	case TROUBLE_CHANGED:
		return trouble;
	case TROUBLE_ERROR:
		fail(engine, ref, trouble, control->error, "read qf", NULL);
		return TROUBLE_NONE;
	case TROUBLE_EMPTY:
	case TROUBLE_INCOMPLETE:
		writing(engine, ref, control, trouble);
		return TROUBLE_NONE;
	default:
		message->print = 0; /* nothing of it was taken over */
		refuse(engine, ref, trouble, control->error, NULL);
		return TROUBLE_NONE;
	}
	engine->buffer_cut = (off_t)control->head < control->stat.st_size;
	r = engine_read_text(engine, ref, control);
	if (r == -ESTALE)
		return TROUBLE_CHANGED;
	if (r < 0) {
		fail(engine, ref, TROUBLE_ERROR, -r, "read qf", NULL);
		return TROUBLE_NONE;
	}
	engine_label(engine, ref);
	remember(engine, ref,
		 &(struct reading){control_print(&control->stat),
				   control_modified(&control->stat),
				   engine->now,
				   &control->file,
				   {engine->buffer, control->head, engine->buffer_cut}});
	look_at_body(engine, message);
	decision = engine_ask(engine, message);
	if (decision.costly)
		engine_note_given_up(engine, message, decision.costly);
	if (decision.marks)
		engine_tell_marks(engine, ref, decision.marks);
	if (decision.action != POLICY_STAY)
		return try_to_act(engine, ref, &decision, control, name);
	engine_set_state(engine, message, MESSAGE_IDLE);
	wait_for_time(engine, ref, &decision);
	if (message->flags & MESSAGE_LINKED)
		recover_idle(engine, ref, control, name);
	return TROUBLE_NONE;
}

void engine_attend(struct engine *engine, msgref ref)
{
	struct message *message = table_get(engine->table, ref);
	enum qdir_state state = engine_directory(engine, message)->state;
	char name[SPOOL_NAME_MAX];

	if (engine_is_away(message))
		return; /* its worker tells */
	if (state != QDIR_ACTIVE && state != QDIR_NEW) {
		table_set_deadline(engine->table, ref, INT64_MAX);
		return;
	}
	for (int tries = 0; tries < CHANGED_TRIES; tries++) {
		struct control control;
		enum trouble trouble;

		engine_control_name(message, name);
		trouble = look(engine, ref, name, &control);
		engine_drop_text(engine);
		control_close(&control);
		if (trouble != TROUBLE_CHANGED)
			return;
	}
	/* sendmail is at it just now: its last close brings us back, and this if that was missed.
	 */
	table_set_deadline(engine->table, ref, engine->now + CLOCK_SECOND / 20);
}
