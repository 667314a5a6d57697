/* engine_carry.c - messages on their way to another file system: copied by a worker, which has
 * their lock, while the loop goes on.
 *
 * The loop knows such a message as MESSAGE_MOVING and leaves it alone, in both directories, until
 * its worker is done. The worker has descriptors of its own, so that a tier that is lost meanwhile
 * does not pull the rug from under it.
 */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/log.h"
#include "qfwatch/xalloc.h"

#define THREADS 2

/* No more than this is locked and waiting for a worker: runners skip what is locked. */
#define MAX_CARRIES 32
#define MAX_BYTES   (UINT64_C(64) * 1024 * 1024)

/* As many messages as there is room for ask again each so often; the others are called when one is
 * finished. A million of them that asked at any rate of their own would leave the loop no time. */
#define ASK_AGAIN (CLOCK_SECOND / 20)

struct carry {
	struct worker_job job; /* first: see worker.h */
	LIST_ENTRY(carry) beside;
	msgref ref; /* MSGREF_NONE: forgotten meanwhile */
	uint16_t to_directory;
	bool to_left;	      /* the target has left the policy meanwhile */
	struct qdir from, to; /* with descriptors of their own */
	char id[SPOOL_NAME_MAX];
	size_t length;
	uint64_t bytes;
	int qf; /* the locked qf */
	atomic_bool cancel;
	int64_t started, learnt;
	struct mover_result result;
	char from_name[POLICY_TIER_NAME_MAX + 1], to_name[POLICY_TIER_NAME_MAX + 1];
	struct action_report report;
};

static void run(struct worker_job *job)
{
	struct carry *carry = (struct carry *)job;

	carry->result = mover_copy(&carry->from, &carry->to, carry->id, carry->length, carry->qf,
				   &carry->cancel);
}

/* ---- descriptors of one's own ---- */

static void close_own(struct qdir *dir)
{
	int all[] = {dir->fd, dir->qf, dir->df, dir->xf};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] >= 0)
			close(all[i]);
}

static bool own(const struct qdir *dir, struct qdir *ret)
{
	*ret = *dir;
	ret->path = NULL;
	ret->claim = CLAIM_NONE;
	ret->transcripts = (struct transcripts){0};
	ret->fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
	ret->qf = fcntl(dir->qf, F_DUPFD_CLOEXEC, 0);
	ret->df = fcntl(dir->df, F_DUPFD_CLOEXEC, 0);
	ret->xf = fcntl(dir->xf, F_DUPFD_CLOEXEC, 0);
	/* mover_copy tells a flat directory by equal descriptors. */
	if (dir->df == dir->qf && ret->df >= 0) {
		close(ret->df);
		ret->df = -1;
	}
	if (ret->fd >= 0 && ret->qf >= 0 && ret->xf >= 0 && (ret->df >= 0 || dir->df == dir->qf))
		return true;
	close_own(ret);
	return false;
}

static void free_carry(struct carry *carry)
{
	if (carry->from.df == carry->from.qf)
		carry->from.df = -1;
	if (carry->to.df == carry->to.qf)
		carry->to.df = -1;
	close_own(&carry->from);
	close_own(&carry->to);
	if (carry->qf >= 0)
		close(carry->qf);
	free(carry);
}

/* ---- beginning ---- */

static bool has_room(const struct engine *engine, uint64_t bytes)
{
	return engine->n_carries == 0 ||
	       (engine->n_carries < MAX_CARRIES && engine->carried_bytes + bytes <= MAX_BYTES);
}

/* Hands a locked message over to a worker, with the descriptor of its qf; or lets it wait until
 * there is room. Returns 0 or -errno. */
int engine_carry(struct engine *engine, msgref ref, uint16_t to, struct control *control,
		 const struct action_report *report)
{
	struct message *message = table_get(engine->table, ref);
	const struct qdir *from = engine_directory(engine, message);
	uint64_t bytes = message->size + (uint64_t)control->stat.st_size;
	struct carry *carry;

	if (!has_room(engine, bytes)) {
		engine_set_state(engine, message, MESSAGE_WAITING);
		message->tries = ENGINE_WAITED; /* no limit keeps it any more */
		table_set_deadline(
			engine->table, ref,
			engine->now + ASK_AGAIN * (int64_t)(1 + engine->by_state[MESSAGE_WAITING] /
									MAX_CARRIES));
		return 0;
	}
	if (!engine->worker) {
		engine->worker = worker_new(THREADS, run);
		engine->workers_made++;
	}
	if (!engine->worker)
		return -errno;
	carry = xcalloc(1, sizeof *carry);
	carry->from.fd = carry->from.qf = carry->from.df = carry->from.xf = -1;
	carry->to = carry->from;
	carry->qf = -1;
	if (!own(from, &carry->from)) {
		free(carry);
		return -EMFILE;
	}
	if (!own(&engine->spool.dirs[to], &carry->to)) {
		close_own(&carry->from);
		free(carry);
		return -EMFILE;
	}
	if (carry->from.df < 0)
		carry->from.df = carry->from.qf;
	if (carry->to.df < 0)
		carry->to.df = carry->to.qf;
	carry->ref = ref;
	carry->to_directory = to;
	carry->length = message->id_length;
	memcpy(carry->id, table_id(message), carry->length);
	carry->bytes = bytes;
	carry->qf = control->fd;
	control->fd = -1;
	carry->started = clock_monotonic();
	carry->learnt = engine_learnt(engine);
	engine_copy_report(&carry->report, report);
	snprintf(carry->from_name, sizeof carry->from_name, "%s",
		 engine_tier_name(engine, message->directory));
	snprintf(carry->to_name, sizeof carry->to_name, "%s", engine_tier_name(engine, to));
	LIST_INSERT_HEAD(&engine->carries, carry, beside);
	engine->n_carries++;
	engine->carried_bytes += bytes;
	engine_set_state(engine, message, MESSAGE_MOVING);
	table_set_deadline(engine->table, ref, INT64_MAX);
	worker_submit(engine->worker, &carry->job);
	return 0;
}

/* ---- meanwhile ---- */

/* Is that name in the target of a carry about to be its message? */
bool engine_is_carried(const struct engine *engine, uint16_t to, const char *id, size_t length)
{
	const struct carry *carry;

	LIST_FOREACH(carry, &engine->carries, beside)
		if (carry->to_directory == to && !carry->to_left && carry->length == length &&
		    memcmp(carry->id, id, length) == 0)
			return true;
	return false;
}

void engine_carry_forget(struct engine *engine, msgref ref)
{
	struct carry *carry;

	LIST_FOREACH(carry, &engine->carries, beside)
		if (carry->ref == ref)
			carry->ref = MSGREF_NONE;
}

void engine_carry_leave(struct engine *engine, uint16_t directory)
{
	struct carry *carry;

	LIST_FOREACH(carry, &engine->carries, beside)
		if (carry->to_directory == directory)
			carry->to_left = true;
}

/* ---- ending ---- */

static void take_off(struct engine *engine, struct carry *carry)
{
	LIST_REMOVE(carry, beside);
	engine->n_carries--;
	engine->carried_bytes -= carry->bytes;
}

/* Its message is forgotten: it stands in a directory that is no tier any more, or has left one.
 * Then the notification of its coming was passed over, because it was carried. */
static void finish_forgotten(struct engine *engine, const struct carry *carry)
{
	const struct qdir *to = &engine->spool.dirs[carry->to_directory];

	if (!carry->result.trouble)
		engine_tally_move(engine, NULL, TALLY_NO_TIER,
				  carry->to_left ? TALLY_NO_TIER : to->tier, carry->started,
				  carry->learnt);

	if (carry->result.leftover)
		log_warning("something of qf%.*s is left in %s or %s under a hidden name",
			    (int)carry->length, carry->id, carry->from_name, carry->to_name);
	if (!carry->result.trouble && !carry->to_left && to->state == QDIR_ACTIVE &&
	    !table_find(engine->table, carry->to_directory, carry->id, carry->length))
		engine_learn(engine, carry->to_directory, carry->id, carry->length, false);
}

static void finish(struct engine *engine, struct carry *carry)
{
	const struct policy_rule *rule;
	struct message *message;
	struct policy_decision decision;

	if (!carry->result.trouble)
		engine->counts.moved++;
	if (!carry->ref) {
		finish_forgotten(engine, carry);
		return;
	}
	message = table_get(engine->table, carry->ref);
	engine_set_state(engine, message, MESSAGE_IDLE);
	/* A stop: the next start does it. */
	if (carry->result.trouble == TROUBLE_ERROR && carry->result.error == ECANCELED)
		return;
	if (carry->result.trouble) {
		decision = engine_ask(engine, message);
		engine_settle(engine, carry->ref, carry->result,
			      decision.action == POLICY_STAY ? NULL : &decision);
		return;
	}
	if (carry->result.leftover)
		log_warning("qf%.*s is in %s, but something of it is left in %s: the next start or "
			    "reconcile clears it",
			    (int)carry->length, carry->id, carry->to_name, carry->from_name);
	/* The policy may be another one by now. */
	rule = policy_find_rule(engine->policy, carry->report.rule);
	engine_tally_move(engine, rule, engine_tier(engine, message),
			  carry->to_left ? TALLY_NO_TIER
					 : engine->spool.dirs[carry->to_directory].tier,
			  carry->started, carry->learnt);
	engine_report_move(engine, message, carry->from_name, carry->to_name, &carry->report,
			   clock_monotonic() - carry->started);
	if (carry->to_left) {
		engine_forget(engine, carry->ref);
		return;
	}
	engine_moved(engine, carry->ref, carry->to_directory, false);
	if (rule)
		engine_follow_up(engine, rule, message);
}

/* There is room: those who wait for it and are next in time come now. */
static void call_waiting(struct engine *engine, size_t places)
{
	for (; places; places--) {
		int64_t deadline;
		msgref ref = table_earliest(engine->table, &deadline);
		struct message *message = ref ? table_get(engine->table, ref) : NULL;

		/* ENGINE_WAITED: no limit keeps it, so it waits for room. */
		if (!message || message->state != MESSAGE_WAITING ||
		    message->tries != ENGINE_WAITED)
			return;
		table_set_deadline(engine->table, ref, INT64_MAX);
		table_push_ready(engine->table, ref);
	}
}

/* Takes what the workers have finished. Returns true when there was something. */
bool engine_finish_carries(struct engine *engine)
{
	struct worker_job *job;
	size_t n = 0;

	while (engine->worker && (job = worker_take(engine->worker))) {
		struct carry *carry = (struct carry *)job;

		take_off(engine, carry);
		/* Before the message is asked about again: that may need the lock. */
		close(carry->qf);
		carry->qf = -1;
		finish(engine, carry);
		free_carry(carry);
		n++;
	}
	call_waiting(engine, n);
	return n > 0;
}

/* What has not hidden its source yet is given up, what has is finished and reported. */
void engine_stop(struct engine *engine)
{
	struct carry *carry;

	LIST_FOREACH(carry, &engine->carries, beside)
		atomic_store(&carry->cancel, true);
	while (!LIST_EMPTY(&engine->carries)) {
		struct pollfd fd = {.fd = worker_fd(engine->worker), .events = POLLIN};

		poll(&fd, 1, -1);
		engine_finish_carries(engine);
	}
	worker_free(engine->worker);
	engine->worker = NULL;
	engine_stop_programs(engine);
}
