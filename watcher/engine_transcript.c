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

#include <string.h>

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

/* Of a message that is none of this directory's: of one that has gone to another? Where it is held
 * just now, the xf stays until the next round meets it. */
static void look_elsewhere(struct engine *engine, uint16_t directory, const char *id, size_t length)
{
	struct qdir *dir = &engine->spool.dirs[directory];

	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		const struct qdir *home = &engine->spool.dirs[i];
		const struct message *message;
		char name[SPOOL_NAME_MAX];
		msgref ref;

		if (home == dir || home->state != QDIR_ACTIVE)
			continue;
		ref = table_find(engine->table, (uint16_t)i, id, length);
		message = ref ? table_get(engine->table, ref) : NULL;
		if (!message || engine_is_away(message))
			continue;
		if (engine_control_name(message, name) &&
		    recover_transcript(dir, home, name, id, length))
			transcripts_remove(&dir->transcripts, id, length);
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
