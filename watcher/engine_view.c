/* engine_view.c - see engine_view.h */
#include "qfwatch/engine_view.h"

#include <errno.h>
#include <string.h>

#include "engine_parts.h"

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
