/* engine_tiers.c - the engine's directories: taken up, lost, found again, dropped; and a new policy
 * put into force. */
#include "engine_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/log.h"
#include "qfwatch/notify.h"
#include "qfwatch/xalloc.h"

/* A lost directory is looked for at once when its parent or the mounts change, and this often in
 * any case. */
#define LOST_EVERY (5 * CLOCK_SECOND)

/* ---- rounds asked for ---- */

static void room_for_directories(struct engine *engine)
{
	size_t n = engine->spool.n_dirs;

	if (n <= engine->n_round_dirs)
		return;
	engine->round_dirs = xreallocarray(engine->round_dirs, n, sizeof(bool));
	engine->next_dirs = xreallocarray(engine->next_dirs, n, sizeof(bool));
	for (size_t i = engine->n_round_dirs; i < n; i++)
		engine->round_dirs[i] = engine->next_dirs[i] = false;
	engine->n_round_dirs = n;
}

void engine_want_round(struct engine *engine, enum round_reason reason, size_t directory)
{
	room_for_directories(engine);
	engine->next_dirs[directory] = true;
	if (reason > engine->next_round)
		engine->next_round = reason;
}

void engine_want_full_round(struct engine *engine, enum round_reason reason)
{
	for (size_t i = 0; i < engine->spool.n_dirs; i++)
		if (engine->spool.dirs[i].state == QDIR_ACTIVE)
			engine_want_round(engine, reason, i);
}

/* ---- one directory ---- */

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? xstrdup("/") : xasprintf("%.*s", (int)(slash - path), path);
}

static int watch(const struct qdir *dir, uint16_t directory)
{
	char *folder = dir->qf == dir->fd ? xstrdup(dir->path) : xasprintf("%s/qf", dir->path);
	int r = notify_add(folder, NOTIFY_SPOOL, directory);

	if (r == 0 && dir->qf != dir->fd)
		r = notify_add(dir->path, NOTIFY_SELF, directory);
	free(folder);
	return r;
}

/* The folder above: the only one to tell that a directory was removed, as long as we hold it open.
 * Where it may not be watched, the directory is checked now and then. */
static void watch_parent(struct engine *engine, uint16_t directory)
{
	struct qdir *dir = &engine->spool.dirs[directory];
	char *parent;
	int r;

	if (!engine->watching)
		return;
	parent = parent_of(dir->path);
	r = notify_add(parent, NOTIFY_PARENT, directory);
	if (r < 0 && dir->parent_watched)
		log_warning("%s cannot be watched (%s): that %s is removed or renamed is noticed "
			    "within %d s only: "
			    "%s",
			    parent, strerror(-r), dir->path, (int)(LOST_EVERY / CLOCK_SECOND),
			    notify_remedy(-r));
	dir->parent_watched = r == 0;
	if (r < 0 && engine->lost_at == INT64_MAX)
		engine->lost_at = engine->now + LOST_EVERY;
	free(parent);
}

static void unwatch(uint16_t directory)
{
	notify_remove(NOTIFY_SPOOL, directory);
	notify_remove(NOTIFY_SELF, directory);
}

/* A directory that is open gets its watch, and only then its scan. Watches go by path: so it is
 * made sure afterwards that the path still means the directory that is open. Returns 0 or -errno,
 * then nothing is watched. */
static int take_up(struct engine *engine, uint16_t directory, enum round_reason reason)
{
	struct qdir *dir = &engine->spool.dirs[directory];
	int r = 0;

	if (engine->watching) {
		r = watch(dir, directory);
		if (r == 0)
			r = spool_verify(dir);
		if (r < 0) {
			unwatch(directory);
			return r;
		}
		if (dir->unreliable) {
			log_warning("%s is on a file system that does not tell of all changes "
				    "(network, FUSE, overlay): it is "
				    "scanned every %d s as well",
				    dir->path, (int)(ENGINE_POLL_EVERY / CLOCK_SECOND));
			if (engine->poll_at == INT64_MAX)
				engine->poll_at = engine->now + ENGINE_POLL_EVERY;
		}
	}
	dir->state = QDIR_ACTIVE;
	dir->parent_watched = true;
	watch_parent(engine, directory);
	/* What a kill left is only certain when the other directory of the move is open, too: so
	 * before the round, not now. */
	engine->intents_left |= dir->claim.left.length > 0;
	engine_want_round(engine, reason, directory);
	return 0;
}

static void found(struct engine *engine, uint16_t directory)
{
	struct qdir *dir = &engine->spool.dirs[directory];

	engine_report_directory(engine, EVENT_TIER_FOUND, dir, 0);
	/* Who waits for this tier as its target is asked again. */
	engine->redeciding = true;
	engine->redecide_at = MSGREF_NONE;
}

static bool try_to_find(struct engine *engine, uint16_t directory)
{
	struct qdir *dir = &engine->spool.dirs[directory];

	if (spool_reopen(dir, engine->access) < 0)
		return false;
	if (take_up(engine, directory, ROUND_FOUND) < 0) {
		spool_lose(dir);
		return false;
	}
	found(engine, directory);
	return true;
}

void engine_lose(struct engine *engine, uint16_t directory, int error)
{
	struct qdir *dir = &engine->spool.dirs[directory];

	if (dir->state != QDIR_ACTIVE)
		return;
	unwatch(directory);
	spool_lose(dir);
	engine_scan_lost(engine, directory);
	dir->error = error;
	engine_report_directory(engine, EVENT_TIER_LOST, dir, error);
	/* Another one may stand in its place already. The same one, which cannot be read, would
	 * only be lost again at once. */
	if (((error != ENOENT && error != ESTALE) || !try_to_find(engine, directory)) &&
	    engine->mode == ENGINE_WATCH)
		engine->lost_at = engine->now + LOST_EVERY;
}

int engine_verify_directory(struct engine *engine, uint16_t directory)
{
	int r = spool_verify(&engine->spool.dirs[directory]);

	if (r < 0)
		engine_lose(engine, directory, -r);
	return r;
}

/* ---- all directories ---- */

static void take_up_new(struct engine *engine, enum round_reason reason)
{
	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		struct qdir *dir = &engine->spool.dirs[i];
		int r = 0;

		if (dir->state == QDIR_NEW) {
			engine_recount_directory(engine, (uint16_t)i);
			r = take_up(engine, (uint16_t)i, reason);
		}
		if (r < 0) {
			/* Refused for now: it is treated as any lost directory, and tried again. */
			dir->state = QDIR_ACTIVE;
			engine_lose(engine, (uint16_t)i, -r);
		}
	}
}

static void grow(struct engine *engine)
{
	struct problems problems = {0};

	if (spool_grow(&engine->spool, engine->policy, engine->access, &problems) > 0)
		take_up_new(engine, ROUND_FOUND);
	for (size_t i = 0; i < problems.count; i++)
		log_warning("%s", problems.list[i].text);
	problems_free(&problems);
}

void engine_check_directories(struct engine *engine)
{
	engine->lost_at = INT64_MAX;
	engine->check_wanted = false;
	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		struct qdir *dir = &engine->spool.dirs[i];

		if (dir->state == QDIR_ACTIVE && engine_verify_directory(engine, (uint16_t)i) == 0)
			watch_parent(engine, (uint16_t)i);
		else if (dir->state == QDIR_LOST && !try_to_find(engine, (uint16_t)i) &&
			 engine->mode == ENGINE_WATCH)
			engine->lost_at = engine->now + LOST_EVERY;
	}
	grow(engine);
}

/* ---- a policy ---- */

static void forget_directory(struct engine *engine, uint16_t directory)
{
	for (msgref ref = table_next(engine->table, MSGREF_NONE); ref;
	     ref = table_next(engine->table, ref))
		if (table_get(engine->table, ref)->directory == directory)
			engine_forget(engine, ref);
}

static void leave(struct engine *engine, uint16_t directory)
{
	struct qdir *dir = &engine->spool.dirs[directory];

	engine_carry_leave(engine, directory);
	unwatch(directory);
	notify_remove(NOTIFY_PARENT, directory);
	if (dir->messages)
		forget_directory(engine, directory);
	engine_scan_lost(engine, directory);
	if (directory < engine->n_round_dirs)
		engine->round_dirs[directory] = engine->next_dirs[directory] = false;
	spool_drop(dir);
}

/* The first policy must be able to watch all it names; later ones get what is lost back by the
 * usual way. */
static int watch_first(struct engine *engine, struct problems *problems)
{
	int result = 0;

	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		struct qdir *dir = &engine->spool.dirs[i];
		int r = dir->state == QDIR_NEW ? take_up(engine, (uint16_t)i, ROUND_START) : 0;

		if (r < 0) {
			problems_add(problems, PROBLEM_REFUSED, "%s cannot be watched (%s): %s",
				     dir->path, strerror(-r), notify_remedy(-r));
			result = r;
		}
	}
	return result;
}

static int start_notify(struct engine *engine, struct problems *problems)
{
	int r;

	if (engine->mode == ENGINE_ONCE || engine->watching)
		return 0;
	r = notify_open();
	if (r < 0)
		problems_add(problems, PROBLEM_REFUSED, "inotify cannot be used (%s): %s",
			     strerror(-r), notify_remedy(-r));
	else
		engine->watching = true;
	return r;
}

/* What a bit of `visited` of the old policy is in the new one: by the names of tiers and rules; 0:
 * nothing any more. */
static void map_visited(const struct engine *engine, const struct policy *old, uint64_t *ret)
{
	memset(ret, 0, 64 * sizeof *ret);
	for (size_t i = 0; i < old->n_tiers; i++) {
		int now = policy_find_tier(engine->policy, old->tiers[i].name);

		if (now >= 0)
			ret[i] = UINT64_C(1) << now;
	}
	for (size_t i = 0; i < old->n_rules; i++) {
		const struct policy_rule *rule =
			old->rules[i].mark ? policy_find_rule(engine->policy, old->rules[i].name)
					   : NULL;

		if (old->rules[i].mark)
			ret[__builtin_ctzll(old->rules[i].mark)] = rule ? rule->mark : 0;
	}
}

/* Each bit is what it was, and each directory belongs to the tier that it did. */
static bool is_kept(const struct engine *engine, const struct policy *old, const uint64_t *map)
{
	for (size_t i = 0; i < old->n_tiers; i++)
		if (map[i] != UINT64_C(1) << i)
			return false;
	for (size_t i = 0; i < old->n_rules; i++)
		if (old->rules[i].mark &&
		    map[__builtin_ctzll(old->rules[i].mark)] != old->rules[i].mark)
			return false;
	return engine_recount_is_needless(engine);
}

/* Tiers or marks have new numbers, or directories another tier. Before engine_recount_begin. */
static void renumber_visited(struct engine *engine, const struct policy *old)
{
	uint64_t map[64];

	map_visited(engine, old, map);
	if (is_kept(engine, old, map))
		return;
	for (msgref ref = table_next(engine->table, MSGREF_NONE); ref;
	     ref = table_next(engine->table, ref)) {
		struct message *message = table_get(engine->table, ref);
		uint64_t visited = UINT64_C(1) << engine_directory(engine, message)->tier;

		for (uint64_t left = message->visited; left; left &= left - 1)
			visited |= map[__builtin_ctzll(left)];
		message->visited = visited;
	}
}

/* Quarantined messages are tracked when a rule asks for them, and no longer. */
static void take_up_quarantined(struct engine *engine, const struct policy *old)
{
	if (engine->policy->quarantined && !old->quarantined)
		engine_want_full_round(engine, ROUND_START);
	if (engine->policy->quarantined || !old->quarantined)
		return;
	for (msgref ref = table_next(engine->table, MSGREF_NONE); ref;
	     ref = table_next(engine->table, ref))
		if (table_get(engine->table, ref)->held)
			engine_forget(engine, ref);
}

int engine_apply(struct engine *engine, struct policy *policy, struct problems *problems)
{
	struct policy *old = engine->policy;
	struct spool_plan *plan;
	int r = start_notify(engine, problems);

	engine->now = clock_now();
	if (r == 0)
		r = spool_plan(&engine->spool, policy, engine->access, problems, &plan);
	if (r < 0)
		return r;
	r = events_configure(engine->events, policy, problems);
	if (r < 0) {
		spool_abandon(plan);
		return r;
	}
	if (old)
		engine_recount_prepare(engine);
	else
		ages_reset(engine->ages, (unsigned)policy->n_tiers);
	spool_commit(&engine->spool, plan);
	engine->policy = policy;
	tally_advance(engine->tally, engine->now);
	tally_configure(engine->tally, policy);
	engine_domains_configure(engine);
	engine_labels_configure(engine);
	engine_limit_programs(engine);
	if (!old) {
		r = watch_first(engine, problems);
		if (r < 0) {
			engine->policy = NULL;
			return r;
		}
	} else {
		for (size_t i = 0; i < engine->spool.n_dirs; i++)
			if (engine->spool.dirs[i].state == QDIR_LEAVING)
				leave(engine, (uint16_t)i);
		renumber_visited(engine, old);
		engine_recount_begin(engine);
		take_up_new(engine, ROUND_START);
		/* Some may have another path now, and so another parent. */
		engine_check_directories(engine);
		engine->redeciding = true;
		engine->redecide_at = MSGREF_NONE;
		take_up_quarantined(engine, old);
		engine->learning_domains |= policy->n_windows && !old->n_windows;
		policy_free(old);
	}
	room_for_directories(engine);
	if (engine->mode == ENGINE_WATCH) {
		int64_t next = engine->now + policy->reconcile * CLOCK_SECOND;

		/* Not put off by a reload: they may come more often than the reconcile. */
		if (!old || next < engine->reconcile_at)
			engine->reconcile_at = next;
	}
	return 0;
}
