/* engine_view.c - see engine_view.h */
#include "qfwatch/engine_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "engine_parts.h"
#include "qfwatch/xalloc.h"

const struct policy *engine_view_policy(const struct engine *engine)
{
	return engine->policy;
}

bool engine_view_is_dry_run(const struct engine *engine)
{
	return engine->dry_run;
}

const char *engine_view_state_name(enum message_state state)
{
	static const char *const names[] = {
		[MESSAGE_NEW] = "new",		 [MESSAGE_IDLE] = "idle",
		[MESSAGE_WRITING] = "writing",	 [MESSAGE_BUSY] = "busy",
		[MESSAGE_FAILED] = "failed",	 [MESSAGE_REFUSED] = "refused",
		[MESSAGE_WAITING] = "waiting",	 [MESSAGE_MOVING] = "moving",
		[MESSAGE_BOUNCING] = "bouncing",
	};

	_Static_assert(sizeof names / sizeof *names == MESSAGE_STATES, "each has a name");
	return names[state];
}

uint64_t engine_view_state_count(const struct engine *engine, enum message_state state)
{
	return engine->by_state[state];
}

size_t engine_view_directories(const struct engine *engine)
{
	return engine->spool.n_dirs;
}

bool engine_view_directory(const struct engine *engine, size_t index,
			   struct engine_view_directory *ret)
{
	const struct qdir *dir = &engine->spool.dirs[index];

	if (dir->state == QDIR_UNUSED || dir->state == QDIR_LEAVING)
		return false;
	*ret = (struct engine_view_directory){
		.path = dir->path,
		.tier = dir->tier,
		.state = dir->state == QDIR_LOST ? ENGINE_VIEW_LOST
			 : dir->unreliable	 ? ENGINE_VIEW_POLLED
						 : ENGINE_VIEW_WATCHED,
		.error = dir->state == QDIR_LOST ? dir->error : 0,
		.messages = dir->messages,
	};
	return true;
}

const char *engine_view_lost_reason(int error)
{
	return error == ENOENT	 ? "its directory was removed or renamed"
	       : error == ESTALE ? "another directory stands in its place"
				 : strerror(error);
}

const char *engine_view_lost_remedy(int error)
{
	return error == ENOENT || error == ESTALE
		       ? "bring the directory back (or mount it); qfwatch takes it up again by "
			 "itself"
		       : trouble_errno_remedy(error);
}

/* ---- messages ---- */

msgref engine_view_next(const struct engine *engine, msgref after)
{
	return table_next(engine->table, after);
}

void engine_view_message(const struct engine *engine, msgref ref, struct engine_view_message *ret)
{
	const struct message *message = table_get(engine->table, ref);
	const struct qdir *dir = &engine->spool.dirs[message->directory];

	*ret = (struct engine_view_message){
		.id = table_id(message),
		.id_length = message->id_length,
		.tier = dir->tier,
		.directory = dir->path,
		.state = message->state,
		.has_numbers = message->created != 0,
		.created = message->created,
		.last_attempt = message->last_attempt,
		.attempts = message->attempts,
		.quarantined = message->held || message->quarantined,
	};
}

size_t engine_view_find(const struct engine *engine, const char *id, msgref *ret, size_t most)
{
	size_t length = strlen(id), count = 0;

	if (length == 0 || length > TABLE_MAX_ID)
		return 0;
	for (size_t i = 0; i < engine->spool.n_dirs && count < most; i++) {
		msgref ref = table_find(engine->table, (uint16_t)i, id, length);

		if (ref)
			ret[count++] = ref;
	}
	return count;
}

const struct labels *engine_view_labels(const struct engine *engine)
{
	return engine->labels;
}

struct engine_view_reader {
	struct qtext *qtext;
	char *owned;
	int noatime; /* O_NOATIME, until it is refused */
	char buffer[CONTROL_BUFFER];
};

struct engine_view_reader *engine_view_reader_new(void)
{
	struct engine_view_reader *reader = xcalloc(1, sizeof *reader);

	reader->qtext = qtext_new();
	reader->noatime = O_NOATIME;
	return reader;
}

void engine_view_reader_free(struct engine_view_reader *reader)
{
	if (!reader)
		return;
	qtext_free(reader->qtext);
	free(reader->owned);
	free(reader);
}

/* Was it a regular file and sound when it was looked at last? The kernel tells when the name
 * becomes another file's. */
static bool was_sound(const struct message *message)
{
	return message->created != 0 && message->state != MESSAGE_NEW &&
	       message->state != MESSAGE_WRITING && message->state != MESSAGE_REFUSED;
}

int engine_view_read(const struct engine *engine, struct engine_view_reader *reader, msgref ref,
		     struct policy_text *ret)
{
	const struct message *message = table_get(engine->table, ref);
	const struct qdir *dir = &engine->spool.dirs[message->directory];
	struct control control;
	char name[SPOOL_NAME_MAX];
	const char *bytes;
	size_t length;
	int r = -ENOENT;
	bool sound;

	free(reader->owned);
	reader->owned = NULL;
	if (dir->state != QDIR_ACTIVE || !engine_control_name(message, name))
		return r;
	sound = was_sound(message) &&
		control_read_plain(dir->qf, name, reader->buffer, sizeof reader->buffer,
				   &reader->noatime, &control);
	if (!sound)
		sound = control_read(dir->qf, name, reader->buffer, &reader->noatime, &control) ==
			TROUBLE_NONE;
	if (sound)
		r = control_text(&control, reader->buffer, &reader->owned, &bytes, &length);
	control_close(&control);
	if (r == 0)
		qtext_read(reader->qtext, bytes, length, ret);
	return r;
}

struct policy_message engine_view_facts(struct engine *engine, msgref ref,
					const struct policy_text *text)
{
	struct policy_message facts = engine_policy_message(engine, table_get(engine->table, ref));

	facts.text = text;
	return facts;
}

/* ---- rounds of scans ---- */

static const char *round_name(enum round_reason reason)
{
	static const char *const names[] = {
		[ROUND_POLLED] = "polled", [ROUND_RECONCILE] = "reconcile", [ROUND_FOUND] = "found",
		[ROUND_START] = "start",   [ROUND_OVERFLOW] = "overflow",
	};

	return reason == ROUND_NONE ? NULL : names[reason];
}

void engine_view_round(const struct engine *engine, struct engine_view_round *ret)
{
	*ret = (struct engine_view_round){
		.running = round_name(engine->round != ROUND_NONE ? engine->round
								  : engine->next_round),
		.last = round_name(engine->last_round.reason),
		.last_at = engine->last_round.at,
		.last_took = engine->last_round.took,
		.last_found = engine->last_round.found,
		.last_departed = engine->last_round.departed,
	};
}

bool engine_view_is_complete(const struct engine *engine)
{
	return engine->last_round.reason != ROUND_NONE;
}
