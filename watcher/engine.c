/* engine.c - see engine.h. This file: turns, notifications, deadlines. engine_parts.h tells
 * what stands where. */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/log.h"
#include "qfwatch/notify.h"
#include "qfwatch/xalloc.h"

/* So long a step of background work, of some 100 us, waits for those that are ready. */
#define BACKGROUND_EVERY (CLOCK_SECOND / 200)

/* The most of each kind of work in one turn. Notifications come first and are cheap: taking them
 * all before acting keeps the kernel's queue short and lets several about one message become one
 * look. A look may be a move of some 50 us, and the rest waits for it. */
enum { TURN_NOTIFICATIONS = 512, TURN_LOOKS = 32, TURN_DEADLINES = 256, TURN_MEMORY = 4096 };

struct engine *engine_new(struct events *events, enum engine_mode mode, bool dry_run)
{
	struct engine *engine = xcalloc(1, sizeof *engine);

	engine->events = events;
	engine->mode = mode;
	engine->dry_run = dry_run;
	engine->noatime = O_NOATIME;
	engine->access = dry_run ? SPOOL_READ : SPOOL_CLAIM;
	engine->table = table_new();
	engine->tally = tally_new();
	engine->ages = ages_new();
	engine->recount_most = TURN_MEMORY;
	engine->reconcile_at = engine->poll_at = engine->lost_at = INT64_MAX;
	engine->levels_at = INT64_MAX;
	return engine;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	engine_scan_stop(engine);
	engine_stop(engine);
	if (engine->watching)
		notify_close();
	table_free(engine->table);
	tally_free(engine->tally);
	ages_free(engine->ages);
	free(engine->counted_as);
	qtext_free(engine->qtext);
	engine_domains_free(engine);
	labels_free(engine->labels);
	free(engine->level_tiers);
	free(engine->given_up_at);
	spool_free(&engine->spool);
	policy_free(engine->policy);
	free(engine->policy_names[0]);
	free(engine->policy_names[1]);
	free(engine->round_dirs);
	free(engine->next_dirs);
	free(engine);
}

struct engine_counts engine_count(const struct engine *engine)
{
	struct engine_counts counts = engine->counts;

	counts.messages = table_count(engine->table);
	counts.failed = engine->by_state[MESSAGE_FAILED];
	counts.refused = engine->by_state[MESSAGE_REFUSED];
	counts.busy = engine->by_state[MESSAGE_BUSY];
	counts.waiting = engine->by_state[MESSAGE_WAITING];
	counts.moving = engine->by_state[MESSAGE_MOVING];
	for (size_t i = 0; i < engine->spool.n_dirs; i++)
		counts.lost_directories += engine->spool.dirs[i].state == QDIR_LOST;
	counts.table_bytes =
		table_memory(engine->table) + (engine->labels ? labels_memory(engine->labels) : 0);
	return counts;
}

/* ---- notifications ---- */

/* Is this the trace of our own rename, and has nothing happened to the qf since? Then it need not
 * be read. */
static bool is_echo(struct engine *engine, struct message *message,
		    const struct notify_event *event)
{
	struct stat stat;
	bool expected = message->flags & MESSAGE_ECHO;

	message->flags &= (uint8_t)~MESSAGE_ECHO;
	return expected && event->moved &&
	       fstatat(engine_directory(engine, message)->qf, event->name, &stat,
		       AT_SYMLINK_NOFOLLOW) == 0 &&
	       control_print(&stat) == message->print;
}

/* Quarantined messages are none of ours as long as no rule asks for them. */
bool engine_is_message(const struct engine *engine, const char *name, const char **ret_id,
		       size_t *ret_length, bool *ret_held)
{
	return spool_control_id(name, ret_id, ret_length, ret_held) &&
	       (!*ret_held || engine->policy->quarantined);
}

static void name_changed(struct engine *engine, const struct notify_event *event)
{
	const char *id;
	size_t length;
	bool held;
	struct message *message;
	msgref ref;

	if (!engine_is_message(engine, event->name, &id, &length, &held)) {
		engine_meet_transcript(engine, (uint16_t)event->owner, event->name);
		return;
	}
	ref = table_find(engine->table, (uint16_t)event->owner, id, length);
	if (!ref) {
		/* One that a worker is about to hand over is told of when it is done. */
		if (!engine_is_carried(engine, (uint16_t)event->owner, id, length))
			engine_learn(engine, (uint16_t)event->owner, id, length, held);
		return;
	}
	message = table_get(engine->table, ref);
	if (engine_is_away(message) || is_echo(engine, message, event))
		return;
	message->held = held;
	/* Probably released: should somebody hold it still, the short retries begin anew. */
	if (message->state == MESSAGE_BUSY || message->state == MESSAGE_WRITING)
		message->tries = 0;
	table_push_ready(engine->table, ref);
}

static void name_removed(struct engine *engine, const struct notify_event *event)
{
	const struct qdir *dir = &engine->spool.dirs[event->owner];
	const char *id;
	size_t length;
	bool held;
	struct stat stat;
	msgref ref;

	if (!engine_is_message(engine, event->name, &id, &length, &held)) {
		engine_miss_transcript(engine, (uint16_t)event->owner, event->name);
		return;
	}
	ref = table_find(engine->table, (uint16_t)event->owner, id, length);
	if (!ref || engine_is_away(table_get(engine->table, ref)))
		return;
	/* Quarantined or released: sendmail writes the new name before it removes the old one. */
	if (held != table_get(engine->table, ref)->held) {
		table_push_ready(engine->table, ref);
		return;
	}
	if (fstatat(dir->qf, event->name, &stat, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
		table_push_ready(engine->table, ref);
		return;
	}
	if (engine_has_other_name(engine, table_get(engine->table, ref))) {
		table_push_ready(engine->table, ref);
		return;
	}
	if (!event->moved && engine->policy->n_windows)
		engine_note_departure(engine, table_get(engine->table, ref));
	engine_depart(engine, ref, NULL);
}

/* A flat queue directory that gets a folder qf/, df/ or xf/ is laid out anew, for sendmail as for
 * us. */
static bool changes_layout(const struct notify_event *event)
{
	return event->directory &&
	       (strcmp(event->name, "qf") == 0 || strcmp(event->name, "df") == 0 ||
		strcmp(event->name, "xf") == 0);
}

/* Its folders are not what they were; or it is gone with all of them. */
static void lose_layout(struct engine *engine, uint16_t directory)
{
	int r = spool_verify(&engine->spool.dirs[directory]);

	engine_lose(engine, directory, r < 0 ? -r : ESTALE);
}

/* Any notification may have been lost: also of a directory, or of the policy file. */
static void look_at_everything(struct engine *engine)
{
	engine_lose_transcripts(engine);
	engine_want_full_round(engine, ROUND_OVERFLOW);
	engine->check_wanted = true;
	engine->policy_hint = true;
}

static void overflow(struct engine *engine)
{
	struct event event = {
		.action = EVENT_EVENTS_LOST,
		.failure = true,
		.text = "the kernel dropped notifications: everything is looked at again",
		.reason = "the queue of inotify was full",
		.remedy = "raise the sysctl fs.inotify.max_queued_events (to 65536 at most) if "
			  "this comes often",
	};

	engine->counts.overflows++;
	events_emit(engine->events, &event);
	look_at_everything(engine);
}

static void lost(struct engine *engine, const struct notify_event *event)
{
	int r;

	switch (event->purpose) {
	case NOTIFY_SPOOL:
	case NOTIFY_SELF:
		r = spool_verify(&engine->spool.dirs[event->owner]);
		engine_lose(engine, (uint16_t)event->owner, r < 0 ? -r : ENOENT);
		break;
	case NOTIFY_PARENT:
		/* Watched again when its queue directory is found again, which is now looked for
		 * now and then. */
		engine->check_wanted = true;
		break;
	case NOTIFY_POLICY:
		engine->policy_hint = true;
		break;
	}
}

/* Does a name that came or went beside a queue directory matter: is it this one's, or one that its
 * glob may match? It may be a symbolic link as well as a directory. */
static bool concerns(const struct engine *engine, const struct notify_event *event)
{
	const struct qdir *dir = &engine->spool.dirs[event->owner];
	const struct policy_tier *tier = &engine->policy->tiers[dir->tier];

	return strcmp(strrchr(dir->path, '/') + 1, event->name) == 0 ||
	       (tier->is_glob &&
		fnmatch(strrchr(tier->directory, '/') + 1, event->name, FNM_PERIOD) == 0);
}

static bool is_policy(const struct engine *engine, const struct notify_event *event)
{
	return engine->policy_names[event->owner] &&
	       strcmp(event->name, engine->policy_names[event->owner]) == 0;
}

static void take_notification(struct engine *engine, const struct notify_event *event)
{
	if (event->kind == NOTIFY_OVERFLOW) {
		overflow(engine);
		return;
	}
	if (event->kind == NOTIFY_LOST) {
		lost(engine, event);
		return;
	}
	switch (event->purpose) {
	case NOTIFY_SPOOL:
		if (engine->spool.dirs[event->owner].state != QDIR_ACTIVE)
			break;
		if (changes_layout(event))
			lose_layout(engine, (uint16_t)event->owner);
		else if (event->kind == NOTIFY_CHANGED)
			name_changed(engine, event);
		else
			name_removed(engine, event);
		break;
	case NOTIFY_SELF:
		if (changes_layout(event))
			lose_layout(engine, (uint16_t)event->owner);
		break;
	case NOTIFY_PARENT:
		engine->check_wanted |= concerns(engine, event);
		break;
	case NOTIFY_POLICY:
		engine->policy_hint |= is_policy(engine, event);
		break;
	}
}

static bool drain(struct engine *engine)
{
	struct notify_event event;

	if (!engine->watching)
		return false;
	for (int i = 0; i < TURN_NOTIFICATIONS; i++) {
		int r = notify_next(&event);

		if (r == 0)
			return false;
		if (r < 0) {
			log_error("inotify: %s: everything is scanned again", strerror(-r));
			look_at_everything(engine);
			return false;
		}
		take_notification(engine, &event);
	}
	return true;
}

/* ---- time ---- */

static bool expire(struct engine *engine)
{
	int64_t deadline;
	msgref ref;

	for (int i = 0; i < TURN_DEADLINES; i++) {
		struct message *message;

		ref = table_earliest(engine->table, &deadline);
		if (!ref || deadline > engine->now)
			return false;
		message = table_get(engine->table, ref);
		table_set_deadline(engine->table, ref, INT64_MAX);
		if (message->state == MESSAGE_WRITING || message->state == MESSAGE_WAITING)
			message->tries = ENGINE_WAITED;
		table_push_ready(engine->table, ref);
	}
	return true;
}

static void regular_work(struct engine *engine)
{
	if (engine->now >= engine->reconcile_at) {
		engine->reconcile_at = engine->now + engine->policy->reconcile * CLOCK_SECOND;
		engine_check_directories(engine);
		engine_want_full_round(engine, ROUND_RECONCILE);
	}
	if (engine->now >= engine->poll_at) {
		engine->poll_at = INT64_MAX;
		for (size_t i = 0; i < engine->spool.n_dirs; i++)
			if (engine->spool.dirs[i].state == QDIR_ACTIVE &&
			    engine->spool.dirs[i].unreliable) {
				engine_want_round(engine, ROUND_POLLED, i);
				engine->poll_at = engine->now + ENGINE_POLL_EVERY;
			}
	}
	if (engine->now >= engine->lost_at || engine->check_wanted)
		engine_check_directories(engine);
}

static bool redecide_some(struct engine *engine)
{
	if (!engine->redeciding)
		return false;
	for (int i = 0; i < TURN_MEMORY; i++) {
		engine->redecide_at = table_next(engine->table, engine->redecide_at);
		if (!engine->redecide_at) {
			engine->redeciding = engine->learning_domains = false;
			return false;
		}
		engine_decide_from_memory(engine, engine->redecide_at);
	}
	return true;
}

static void attend_some(struct engine *engine)
{
	for (int i = 0; i < TURN_LOOKS; i++) {
		msgref ref = table_pop_ready(engine->table);

		if (!ref)
			return;
		engine_attend(engine, ref);
	}
}

bool engine_turn(struct engine *engine, int64_t now)
{
	bool counting, more;

	engine->now = now;
	engine->turn++;
	engine_begin_turn(engine);
	more = drain(engine);
	more |= engine_finish_carries(engine);
	more |= engine_finish_programs(engine);
	regular_work(engine);
	more |= expire(engine);
	counting = engine_is_counting(engine);
	if (!counting)
		attend_some(engine);
	engine_settle_departures(engine);
	engine_watch_levels(engine);
	/* Background work goes on while nobody waits; now and then in any case, so that a scan
	 * comes to its end in a storm. */
	if (counting || !table_has_ready(engine->table) ||
	    engine->now - engine->background_at >= BACKGROUND_EVERY ||
	    engine->now < engine->background_at) {
		engine->background_at = engine->now;
		more |= engine_recount_some(engine);
		more |= redecide_some(engine);
		more |= engine_recall_some(engine, TURN_MEMORY);
		more |= engine_step_round(engine);
		more |= engine_label_some(engine);
	}
	/* While messages are counted nobody is looked at, and threads may be awaited. */
	return more || (table_has_ready(engine->table) && !counting);
}

int engine_worker_fd(const struct engine *engine, unsigned which)
{
	const struct worker *worker = which ? engine->programs : engine->worker;

	if (which == ENGINE_SCAN_WORKER)
		return gather_fd(engine->gather);
	return worker ? worker_fd(worker) : -1;
}

bool engine_is_waiting(const struct engine *engine)
{
	return engine->n_carries > 0 || engine->n_jobs > 0 || gather_under_way(engine->gather) > 0;
}

unsigned engine_workers_made(const struct engine *engine)
{
	return engine->workers_made;
}

int64_t engine_deadline(const struct engine *engine)
{
	int64_t earliest, domains = engine_domains_deadline(engine);

	table_earliest(engine->table, &earliest);
	if (domains < earliest)
		earliest = domains;
	if (engine->reconcile_at < earliest)
		earliest = engine->reconcile_at;
	if (engine->poll_at < earliest)
		earliest = engine->poll_at;
	if (engine->lost_at < earliest)
		earliest = engine->lost_at;
	return earliest;
}

void engine_clock_set(struct engine *engine)
{
	engine->now = clock_now();
	tally_set_clock(engine->tally, engine->now);
	/* What a clock that was ahead said of domains would stand still until this one is there. */
	if (engine->domains)
		domains_forget_after(engine->domains, engine->now / CLOCK_SECOND + 60);
	for (size_t i = 0; i < engine->spool.n_dirs; i++)
		engine->spool.dirs[i].bounce_at = engine->spool.dirs[i].unread_at = 0;
	/* What waits for a moment of the old clock is asked again, and the intervals start anew. */
	engine->redeciding = true;
	engine->redecide_at = MSGREF_NONE;
	if (engine->reconcile_at != INT64_MAX)
		engine->reconcile_at = engine->now + engine->policy->reconcile * CLOCK_SECOND;
	if (engine->poll_at != INT64_MAX)
		engine->poll_at = engine->now;
	if (engine->lost_at != INT64_MAX)
		engine->lost_at = engine->now;
}

void engine_mounts_changed(struct engine *engine)
{
	engine->now = clock_now();
	engine_check_directories(engine);
}

/* ---- the policy file ---- */

/* Watches the folder of one name of the policy file: `place` 0 is the name as given, 1 what a
 * symbolic link leads to. */
static int watch_policy_name(struct engine *engine, const char *path, uint32_t place)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == path ? xstrdup("/")
		       : slash	     ? xasprintf("%.*s", (int)(slash - path), path)
				     : xstrdup(".");
	int r = notify_add(folder, NOTIFY_POLICY, place);

	free(folder);
	free(engine->policy_names[place]);
	engine->policy_names[place] = xstrdup(slash ? slash + 1 : path);
	return r;
}

int engine_watch_policy(struct engine *engine, const char *path)
{
	struct stat stat;
	char *real;
	int r;

	if (!engine->watching)
		return 0;
	r = watch_policy_name(engine, path, 0);
	notify_remove(NOTIFY_POLICY, 1);
	real = lstat(path, &stat) == 0 && S_ISLNK(stat.st_mode) ? realpath(path, NULL) : NULL;
	if (real && r == 0)
		r = watch_policy_name(engine, real, 1);
	free(real);
	/* Watch, then look again: it may have been saved between its reading and this watch. */
	engine->policy_hint = true;
	return r;
}

bool engine_take_policy_hint(struct engine *engine)
{
	bool hint = engine->policy_hint;

	engine->policy_hint = false;
	return hint;
}
