/* engine_scan.c - rounds: directories are walked, their names met, and who was not met is looked
 * for.
 *
 * The loop walks the names and threads read the files (gather.h), so that a first scan takes as
 * long as the slower of the two. A message is in the table before its file is read, as NEW and not
 * on the ready list: so a notification about it finds it, and puts it there or removes it. When its
 * batch comes back, only who still waits is believed what the thread found; and what makes a
 * message due is never believed, but read again by a look. A directory with no more names than a
 * batch is left to looks altogether.
 */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "qfwatch/xalloc.h"

/* Of the names of a directory, half are those of df. */
#define TURN_NAMES (2 * GATHER_NAMES)

/* Names that are fetched at a time, so that memory has brought their places in the table when they
 * are looked for. */
#define FETCHED 32

#define TURN_SWEPT 4096

struct name {
	char text[SPOOL_NAME_MAX];
	bool regular;
	bool message; /* it is a message's control file, and what follows is set */
	bool held;
	const char *id; /* in text */
	size_t length;
};

/* A message that recovery has brought back in sight: the scan may be past the place where its name
 * is now. */
static void meet_recovered(struct engine *engine, const struct recovery *recovery)
{
	char qf[SPOOL_NAME_MAX];

	if (!spool_name(qf, "qf", recovery->id, recovery->id_length))
		return;
	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		const struct qdir *dir = &engine->spool.dirs[i];
		struct stat stat;

		if (dir->state == QDIR_ACTIVE &&
		    !table_find(engine->table, (uint16_t)i, recovery->id, recovery->id_length) &&
		    !engine_is_carried(engine, (uint16_t)i, recovery->id, recovery->id_length) &&
		    fstatat(dir->qf, qf, &stat, AT_SYMLINK_NOFOLLOW) == 0)
			engine_learn(engine, (uint16_t)i, recovery->id, recovery->id_length, false);
	}
}

static void take_hidden(struct engine *engine, const char *name)
{
	const struct qdir *dir = &engine->spool.dirs[engine->scan_dir];
	struct recovery recovery;

	if (engine->dry_run || strncmp(name, SPOOL_HIDDEN, strlen(SPOOL_HIDDEN)) != 0)
		return;
	recover_hidden(&engine->spool, dir, name, &recovery);
	engine_report_recovery(engine, dir, &recovery);
	if (recovery.done)
		meet_recovered(engine, &recovery);
}

/* One that is in the table: to be compared with its file, unless it gets a look anyway. */
static void meet_again(struct engine *engine, msgref ref, const char *name)
{
	struct message *message = table_get(engine->table, ref);
	struct gather_item *item;

	message->flags = (uint8_t)((message->flags & ~MESSAGE_SEEN) | engine->seen);
	/* A directory may give a name twice, when it changes: that one is being read. */
	if (message->state == MESSAGE_NEW || message->flags & MESSAGE_READY)
		return;
	if (message->flags & MESSAGE_RACY || message->state == MESSAGE_REFUSED) {
		table_push_ready(engine->table, ref);
		return;
	}
	item = gather_add(engine->batch, name);
	item->known = true;
	item->print = message->print;
}

static void take_name(struct engine *engine, const struct name *name)
{
	uint16_t directory = (uint16_t)engine->scan_dir;
	struct gather_item *item;
	msgref ref;

	if (!name->message) {
		take_hidden(engine, name->text);
		engine_meet_transcript(engine, directory, name->text);
		return;
	}
	ref = table_find(engine->table, directory, name->id, name->length);
	if (ref) {
		meet_again(engine, ref, name->text);
	} else if (!engine_is_carried(engine, directory, name->id, name->length)) {
		item = gather_add(engine->batch, name->text);
		item->regular = name->regular;
		item->ref = engine_insert(engine, directory, name->id, name->length, name->held);
	}
}

/* As scan_next. */
static int fetch_name(struct engine *engine, struct name *ret)
{
	const char *text;
	int r = scan_next(&engine->scan, &text, &ret->regular);

	if (r <= 0)
		return r;
	strcpy(ret->text, text);
	ret->message = engine_is_message(engine, ret->text, &ret->id, &ret->length, &ret->held);
	if (ret->message)
		table_expect(engine->table, (uint16_t)engine->scan_dir, ret->id, ret->length);
	return r;
}

/* Goes on with the directory until the batch at hand is full, but not for long. Returns 1 when
 * there may be more, 0 at the end, -errno. */
static int take_names(struct engine *engine)
{
	int r = 1;

	for (int i = 0; r > 0 && i < TURN_NAMES && engine->batch->count < GATHER_NAMES;
	     i += FETCHED) {
		size_t room = GATHER_NAMES - engine->batch->count, count = 0;
		struct name names[FETCHED];

		while (r > 0 && count < FETCHED && count < room) {
			r = fetch_name(engine, &names[count]);
			count += r > 0;
		}
		for (size_t k = 0; k < count; k++)
			take_name(engine, &names[k]);
	}
	return r;
}

/* ---- what the threads found ---- */

/* Does the message still wait for its batch? It may have been looked at, or be gone, and its number
 * another's. */
static bool still_waits(const struct engine *engine, const struct gather_batch *batch,
			const struct gather_item *item)
{
	const struct message *message = table_get(engine->table, item->ref);
	size_t length = strlen(item->name + 2);

	return message->id_length == length && message->directory == batch->owner &&
	       message->state == MESSAGE_NEW && !(message->flags & MESSAGE_READY) &&
	       memcmp(table_id(message), item->name + 2, length) == 0;
}

static void take_read(struct engine *engine, const struct gather_batch *batch,
		      const struct gather_item *item)
{
	unsigned tier = engine->spool.dirs[batch->owner].tier;

	if (!still_waits(engine, batch, item))
		return;
	if (batch->given_up || item->trouble || (!item->text && engine_needs_text(engine, tier)))
		table_push_ready(engine->table, item->ref);
	else
		engine_take_reading(engine, item->ref, item, batch->begun);
}

static void take_compared(struct engine *engine, const struct gather_batch *batch,
			  const struct gather_item *item)
{
	msgref ref;

	/* Lost meanwhile: when it is found it is scanned again. */
	if (item->same || batch->given_up)
		return;
	ref = table_find(engine->table, (uint16_t)batch->owner, item->name + 2,
			 strlen(item->name + 2));
	if (ref)
		table_push_ready(engine->table, ref);
}

static bool take_batch(struct engine *engine)
{
	struct gather_batch *batch = engine->gather ? gather_take(engine->gather) : NULL;

	if (!batch)
		return false;
	for (size_t i = 0; i < batch->count; i++) {
		const struct gather_item *item = &batch->items[i];

		if (item->known)
			take_compared(engine, batch, item);
		else
			take_read(engine, batch, item);
	}
	gather_put(engine->gather, batch);
	return true;
}

/* ---- one directory ---- */

static void submit(struct engine *engine)
{
	struct gather_batch *batch = engine->batch;
	unsigned tier = engine->spool.dirs[batch->owner].tier;

	engine->batch = NULL;
	engine->source_used = true;
	batch->begun = engine->now;
	batch->want_text = engine_needs_text(engine, tier);
	batch->want_size = true;
	/* The first one starts the threads. */
	engine->workers_made += gather_fd(engine->gather) < 0;
	gather_submit(engine->gather, batch);
}

/* What stands in the batch at hand is looked at by the loop: there is no more in the directory, or
 * the directory is lost. */
static void look_instead(struct engine *engine)
{
	struct gather_batch *batch = engine->batch;

	engine->batch = NULL;
	for (size_t i = 0; batch && i < batch->count; i++) {
		struct gather_item *item = &batch->items[i];
		struct stat stat;

		if (!item->known) {
			take_read(engine, batch, item);
			continue;
		}
		item->same = !batch->given_up &&
			     fstatat(engine->spool.dirs[batch->owner].qf, item->name, &stat,
				     AT_SYMLINK_NOFOLLOW) == 0 &&
			     control_print(&stat) == item->print;
		take_compared(engine, batch, item);
	}
	if (batch)
		gather_put(engine->gather, batch);
}

static void end_directory(struct engine *engine)
{
	scan_end(&engine->scan);
	gather_close(engine->source);
	engine->source = NULL;
	engine->source_used = false;
	engine->scan_dir++;
}

/* A directory is lost, or no tier any more: half a scan proves nobody gone. */
void engine_scan_lost(struct engine *engine, uint16_t directory)
{
	gather_give_up(engine->gather, directory);
	if (!engine->scan.names || engine->scan_dir != directory)
		return;
	engine->round_dirs[directory] = false;
	look_instead(engine);
	end_directory(engine);
}

static int begin_directory(struct engine *engine)
{
	const struct qdir *dir = &engine->spool.dirs[engine->scan_dir];
	int r = scan_begin(&engine->scan, dir->qf);

	if (r < 0)
		return r;
	r = gather_open(dir->qf, dir->df, &engine->source);
	if (r < 0)
		scan_end(&engine->scan);
	else
		engine_begin_transcripts(engine, (uint16_t)engine->scan_dir);
	return r;
}

/* Returns false when all of the round's directories have been walked. */
static bool next_directory(struct engine *engine)
{
	while (!engine->scan.names) {
		size_t i = engine->scan_dir;
		int r;

		while (i < engine->n_round_dirs &&
		       !(engine->round_dirs[i] && engine->spool.dirs[i].state == QDIR_ACTIVE))
			i++;
		engine->scan_dir = i;
		if (i >= engine->n_round_dirs)
			return false;
		r = begin_directory(engine);
		if (r < 0) {
			engine->round_dirs[i] = false;
			engine_lose(engine, (uint16_t)i, -r);
		}
	}
	return true;
}

/* ---- rounds ---- */

static void recover_intents(struct engine *engine)
{
	engine->intents_left = false;
	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		struct qdir *dir = &engine->spool.dirs[i];
		struct recovery recovery;

		if (dir->state != QDIR_ACTIVE || !dir->claim.left.length)
			continue;
		/* With the other directory away, it is asked again when that is found. */
		if (!recover_intent(&engine->spool, dir, &recovery)) {
			engine->intents_left = true;
			continue;
		}
		engine_report_recovery(engine, dir, &recovery);
		dir->claim.left.length = 0;
	}
}

static void begin_round(struct engine *engine)
{
	bool *dirs = engine->round_dirs;

	if (engine->intents_left)
		recover_intents(engine);
	engine->round = engine->next_round;
	engine->next_round = ROUND_NONE;
	engine->round_dirs = engine->next_dirs;
	engine->next_dirs = dirs;
	memset(dirs, 0, engine->n_round_dirs * sizeof *dirs);
	engine->seen ^= MESSAGE_SEEN;
	engine->scan_dir = 0;
	engine->sweeping = false;
	engine->round_started = engine->now;
	engine->round_found = engine->round_departed = 0;
}

enum progress { DONE, MORE, WAITING };

/* Goes on with the walk: takes what the threads have read, and gives them more. */
static enum progress scan_some(struct engine *engine)
{
	enum progress progress = take_batch(engine) ? MORE : WAITING;
	int r;

	if (!next_directory(engine))
		return progress == WAITING && !gather_under_way(engine->gather) ? DONE : progress;
	if (!engine->gather)
		engine->gather = gather_new();
	if (!engine->batch) {
		engine->batch = gather_begin(engine->gather, engine->source);
		if (!engine->batch)
			return progress;
		engine->batch->owner = (uint32_t)engine->scan_dir;
	}
	r = take_names(engine);
	if (r < 0) {
		engine_lose(engine, (uint16_t)engine->scan_dir, -r);
		return MORE;
	}
	if (engine->batch->count == GATHER_NAMES || (r == 0 && engine->source_used))
		submit(engine);
	if (r == 0) {
		look_instead(engine);
		end_directory(engine);
	}
	return MORE;
}

static void sweep_one(struct engine *engine, msgref ref)
{
	struct message *message = table_get(engine->table, ref);
	const struct qdir *dir = engine_directory(engine, message);
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	if ((message->flags & MESSAGE_SEEN) == engine->seen)
		return;
	message->flags = (uint8_t)((message->flags & ~MESSAGE_SEEN) | engine->seen);
	if (!engine->round_dirs[message->directory] || dir->state != QDIR_ACTIVE ||
	    engine_is_away(message))
		return;
	/* readdir does not promise names that come or go meanwhile: only the name itself tells. */
	engine_control_name(message, name);
	if (fstatat(dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
	    !engine_has_other_name(engine, message))
		engine_depart(engine, ref, NULL);
	else
		table_push_ready(engine->table, ref);
}

static bool sweep_some(struct engine *engine)
{
	for (int i = 0; i < TURN_SWEPT; i++) {
		engine->sweep_at = table_next(engine->table, engine->sweep_at);
		if (!engine->sweep_at)
			return false;
		sweep_one(engine, engine->sweep_at);
	}
	return true;
}

static void begin_sweep(struct engine *engine)
{
	gather_free(engine->gather);
	engine->gather = NULL;
	engine->sweeping = true;
	engine->swept = false;
	engine->sweep_at = MSGREF_NONE;
	if (!engine->undecided)
		return;
	/* All are counted now. */
	engine->undecided = false;
	engine->redeciding = true;
	engine->redecide_at = MSGREF_NONE;
}

bool engine_step_round(struct engine *engine)
{
	if (engine->round == ROUND_NONE) {
		if (engine->next_round == ROUND_NONE)
			return false;
		begin_round(engine);
	}
	if (!engine->sweeping) {
		enum progress progress = scan_some(engine);

		if (progress == DONE)
			begin_sweep(engine);
		return progress != WAITING;
	}
	if (!engine->swept && sweep_some(engine))
		return true;
	engine->swept = true;
	/* Names met last must have been read before it is said that memory and spool agree. */
	if (engine->redeciding || table_has_ready(engine->table))
		return true;
	engine_tally_round(engine);
	if (engine->round != ROUND_POLLED || engine->round_found || engine->round_departed)
		engine_report_round(engine, engine->now);
	engine->last_round.reason = engine->round;
	engine->last_round.at = engine->now;
	engine->last_round.took =
		engine->now > engine->round_started ? engine->now - engine->round_started : 0;
	engine->last_round.found = engine->round_found;
	engine->last_round.departed = engine->round_departed;
	engine->round = ROUND_NONE;
	return engine->next_round != ROUND_NONE;
}

/* Are the messages of a tier still being counted for the first time? A rule that asks how many
 * there are would be told too few. */
bool engine_is_counting(const struct engine *engine)
{
	if (!engine->policy->n_levels)
		return false;
	return engine->round == ROUND_NONE ? engine->next_round > ROUND_RECONCILE
					   : engine->round > ROUND_RECONCILE && !engine->sweeping;
}

void engine_scan_stop(struct engine *engine)
{
	scan_end(&engine->scan);
	gather_close(engine->source);
	gather_free(engine->gather);
	engine->source = NULL;
	engine->batch = NULL;
	engine->gather = NULL;
}
