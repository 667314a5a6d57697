/* engine_transcript.c - transcripts that dead runners left: so that a move removes one where there
 * is one, and costs nothing where there is none.
 *
 * What stands in a directory is known from the scan and from notifications. While a scan is under
 * way, a message may go before its xf is met: so may one whose runner dies between our last look at
 * the notifications and the lock. Such an xf is met afterwards, when its message stands in another
 * directory, and is removed then.
 *
 * Nothing is known of a folder xf/, which is neither watched nor scanned, nor where notifications
 * are not reliable, nor after an overflow until the next scan.
 */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "qfwatch/lock.h"

void engine_begin_transcripts(struct engine *engine, uint16_t directory)
{
	struct qdir *dir = &engine->spool.dirs[directory];

	if (dir->xf == dir->qf && !dir->unreliable)
		transcripts_begin(&dir->transcripts);
}

void engine_lose_transcripts(struct engine *engine)
{
	for (size_t i = 0; i < engine->spool.n_dirs; i++)
		transcripts_lose(&engine->spool.dirs[i].transcripts);
}

bool engine_may_have_transcript(struct engine *engine, const struct message *message)
{
	return transcripts_may_have(&engine_directory(engine, message)->transcripts,
				    table_id(message), message->id_length);
}

/* Is the control file of that id in the directory, by either name? Yes also when that cannot be
 * told. */
static bool may_stand_in(const struct qdir *dir, const char *id, size_t length)
{
	static const char *const prefixes[] = {"qf", "hf"};
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	for (size_t i = 0; i < 2; i++)
		if (!spool_name(name, prefixes[i], id, length) ||
		    fstatat(dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			return true;
	return false;
}

/* Under the lock of the message, which stands elsewhere: nobody writes an xf but who holds it. */
static void remove_under_lock(struct engine *engine, struct qdir *dir, struct message *message)
{
	const char *id = table_id(message);
	size_t length = message->id_length;
	int home = engine_directory(engine, message)->qf;
	struct control control;
	char name[SPOOL_NAME_MAX];

	if (!engine_control_name(message, name))
		return;
	if (control_read(home, name, engine->buffer, &engine->noatime, &control) == TROUBLE_NONE &&
	    lock_take(control.fd) == 0 && lock_verify(home, name, &control.stat) == 0 &&
	    !may_stand_in(dir, id, length)) {
		mover_drop_transcript(dir, id, length);
		transcripts_remove(&dir->transcripts, id, length);
	}
	control_close(&control);
}

/* Of a message that is none of this directory's: of one that has gone to another? Where it is held
 * just now, the xf stays until the next round meets it. */
static void look_elsewhere(struct engine *engine, uint16_t directory, const char *id, size_t length)
{
	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		msgref ref;

		if (i == directory || engine->spool.dirs[i].state != QDIR_ACTIVE)
			continue;
		ref = table_find(engine->table, (uint16_t)i, id, length);
		if (!ref || engine_is_away(table_get(engine->table, ref)))
			continue;
		remove_under_lock(engine, &engine->spool.dirs[directory],
				  table_get(engine->table, ref));
		return;
	}
}

static bool is_transcript(const char *name)
{
	return name[0] == 'x' && name[1] == 'f' && name[2];
}

void engine_meet_transcript(struct engine *engine, uint16_t directory, const char *name)
{
	struct transcripts *transcripts = &engine->spool.dirs[directory].transcripts;
	const char *id = name + 2;

	if (!is_transcript(name) || !transcripts->known)
		return;
	transcripts_add(transcripts, id, strlen(id));
	if (!engine->dry_run && !table_find(engine->table, directory, id, strlen(id)))
		look_elsewhere(engine, directory, id, strlen(id));
}

void engine_miss_transcript(struct engine *engine, uint16_t directory, const char *name)
{
	if (is_transcript(name))
		transcripts_remove(&engine->spool.dirs[directory].transcripts, name + 2,
				   strlen(name + 2));
}
