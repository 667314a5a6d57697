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

/* A qf whose time of modification is as young as this when it is read may be rewritten without a
 * visible change: the clock behind it advances in steps of a few milliseconds (and of 2 s on FAT),
 * so its fingerprint proves nothing. */
#define RACY (2 * CLOCK_SECOND)

/* How often a qf that is replaced under our eyes is read again at once. */
#define CHANGED_TRIES 3

/* ---- book-keeping ---- */

void engine_set_state(struct engine *engine, struct message *message, enum message_state state)
{
	engine->by_state[message->state]--;
	engine->by_state[state]++;
	engine_tally_state(engine, message, state);
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

static void take_size(struct engine *engine, struct message *message, uint64_t size)
{
	set_size(message, size);
	engine_tally_body(engine, message);
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
	take_size(engine, message, (uint64_t)body.st_size);
	if (trouble == TROUBLE_BODY_LINKS)
		message->flags |= MESSAGE_LINKED;
}

/* ---- asking ---- */

void engine_wait_for_time(struct engine *engine, msgref ref, const struct policy_decision *decision)
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
		if (item->sized && item->body_links == 1)
			take_size(engine, message, item->body_size);
		table_push_ready(engine->table, ref);
	} else {
		engine_label(engine, ref);
		remember(engine, ref,
			 &(struct reading){item->print,
					   item->modified,
					   begun,
					   &item->file,
					   {item->text, item->text_length, false}});
		if (item->sized)
			take_size(engine, message, item->body_size);
		engine_wait_for_time(engine, ref, &decision);
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
	engine_wait_for_time(engine, ref, &decision);
}

/* ---- a look ---- */

static enum trouble read_control(struct engine *engine, const struct message *message,
				 const char *name, struct control *control)
{
	int folder = engine_directory(engine, message)->qf;

	/* A thread of the scan has just read it, and it was a regular file: no look before it is
	 * opened again. */
	if (message->state == MESSAGE_NEW && message->flags & MESSAGE_SIZED &&
	    control_read_plain(folder, name, engine->buffer, CONTROL_BUFFER, &engine->noatime,
			       control))
		return TROUBLE_NONE;
	return control_read(folder, name, engine->buffer, &engine->noatime, control);
}

static enum trouble look(struct engine *engine, msgref ref, const char *name,
			 struct control *control)
{
	struct message *message = table_get(engine->table, ref);
	enum trouble trouble = read_control(engine, message, name, control);
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
		engine_fail(engine, ref, trouble, control->error, "read qf", NULL);
		return TROUBLE_NONE;
	case TROUBLE_EMPTY:
	case TROUBLE_INCOMPLETE:
		engine_note_writing(engine, ref, control, trouble);
		return TROUBLE_NONE;
	default:
		message->print = 0; /* nothing of it was taken over */
		engine_refuse(engine, ref, trouble, control->error, NULL);
		return TROUBLE_NONE;
	}
	engine->buffer_cut = (off_t)control->head < control->stat.st_size;
	r = engine_read_text(engine, ref, control);
	if (r == -ESTALE)
		return TROUBLE_CHANGED;
	if (r < 0) {
		engine_fail(engine, ref, TROUBLE_ERROR, -r, "read qf", NULL);
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
		return engine_act(engine, ref, &decision, control, name);
	engine_set_state(engine, message, MESSAGE_IDLE);
	engine_wait_for_time(engine, ref, &decision);
	if (message->flags & MESSAGE_LINKED)
		engine_recover_idle(engine, ref, control, name);
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
