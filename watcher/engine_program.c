/* engine_program.c - programs that rules run, and sendmail to return a message to its sender: each
 * in a worker's thread, while the loop goes on.
 *
 * A message that is being returned is MESSAGE_BOUNCING until its sendmail has ended: nobody else of
 * us touches it. Programs of rules are told of a message and have nothing to do with its state.
 */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/log.h"
#include "qfwatch/program.h"
#include "qfwatch/xalloc.h"

/* Programs that wait for their turn, beyond those that run; what comes on top is not run, and told.
 */
#define MAX_WAITING 1000

/* Messages that wait for a sendmail ask again each so often; see engine_carry.c. */
#define ASK_AGAIN (CLOCK_SECOND / 5)

/* A delivery that hangs at a slow host ends some time. */
#define BOUNCE_TIMEOUT (15 * 60 * CLOCK_SECOND)

/* sendmail selects by a part of a queue id: shorter ones than its own might be part of another. */
#define WHOLE_ID 14

struct program_job {
	struct worker_job job; /* first: see worker.h */
	LIST_ENTRY(program_job) beside;
	bool bounce;
	msgref ref;   /* of the message that is bounced; MSGREF_NONE: forgotten meanwhile */
	dev_t device; /* of the queue directory that it stood in */
	ino_t inode;
	char **arguments;
	int64_t timeout; /* microseconds */
	atomic_bool cancel;
	struct program_result result;
	/* For the event: of the time when it was begun. */
	char id[SPOOL_NAME_MAX];
	size_t id_length;
	char rule[160], tier[POLICY_TIER_NAME_MAX + 1];
	struct action_report *report; /* of a bounce */
};

static void run(struct worker_job *worker_job)
{
	struct program_job *job = (struct program_job *)worker_job;

	program_run(job->arguments, NULL, job->timeout, !job->bounce, &job->cancel, &job->result);
}

static void free_job(struct program_job *job)
{
	for (char **argument = job->arguments; *argument; argument++)
		free(*argument);
	free(job->arguments);
	free(job->report);
	free(job);
}

static bool submit(struct engine *engine, struct program_job *job)
{
	if (!engine->programs) {
		engine->programs = worker_new(engine->policy->limits.programs, run);
		engine->workers_made++;
	}
	if (!engine->programs)
		return false;
	LIST_INSERT_HEAD(&engine->jobs, job, beside);
	engine->n_jobs++;
	engine->n_bounces += job->bounce;
	worker_submit(engine->programs, &job->job);
	return true;
}

static struct program_job *new_job(struct engine *engine, const struct message *message,
				   const char *rule)
{
	struct program_job *job = xcalloc(1, sizeof *job);

	job->id_length = message->id_length;
	memcpy(job->id, table_id(message), message->id_length);
	snprintf(job->rule, sizeof job->rule, "%s", rule);
	snprintf(job->tier, sizeof job->tier, "%s", engine_tier_name(engine, message->directory));
	return job;
}

/* ---- programs of rules ---- */

static void report_program(struct engine *engine, const struct program_job *job,
			   const char *program, const char *outcome, bool failure)
{
	char text[512];
	struct event event = {
		.action = EVENT_PROGRAM_RUN,
		.failure = failure,
		.text = text,
		.reason = outcome,
		.duration = job->result.duration,
		.id = job->id,
		.id_length = job->id_length,
		.tier = job->tier,
		.rule = job->rule,
		.program = program,
		.error = job->result.error,
	};

	snprintf(text, sizeof text, "%s for %.*s (%s): %s", engine->dry_run ? "would run" : "ran",
		 (int)job->id_length, job->id, job->rule, engine->dry_run ? program : outcome);
	events_emit(engine->events, &event);
}

static char *file_of(struct engine *engine, const struct message *message)
{
	const struct qdir *dir = engine_directory(engine, message);

	return xasprintf("%s%s/%s%.*s", dir->path, dir->qf == dir->fd ? "" : "/qf",
			 message->held ? "hf" : "qf", (int)message->id_length, table_id(message));
}

static char **fill(const struct policy_program *program, const struct program_values *values)
{
	size_t count = 0;
	char **arguments;

	while (program->arguments[count])
		count++;
	arguments = xcalloc(count + 1, sizeof *arguments);
	arguments[0] = xstrdup(program->arguments[0]);
	for (size_t i = 1; i < count; i++)
		arguments[i] = program_fill(program->arguments[i], values);
	return arguments;
}

/* Runs the program of a rule for a message, where it stands now. */
void engine_run_program(struct engine *engine, const struct policy_rule *rule,
			const struct message *message)
{
	struct program_job *job = new_job(engine, message, rule->name);
	char *file = file_of(engine, message);
	const char *refused = NULL;

	job->arguments =
		fill(rule->program,
		     &(struct program_values){
			     .id = job->id, .file = file, .tier = job->tier, .rule = job->rule});
	job->timeout = rule->program->timeout * CLOCK_SECOND;
	free(file);
	if (engine->dry_run)
		refused = "";
	else if (engine->n_jobs >= MAX_WAITING + engine->policy->limits.programs)
		refused = "not run: too many programs wait for their turn";
	else if (!submit(engine, job))
		refused = "not run: no thread could be started";
	if (!refused)
		return;
	if (!engine->dry_run)
		engine_tally_rule(engine, rule, TALLY_RULE_FAILED);
	report_program(engine, job, job->arguments[0], refused, !engine->dry_run);
	free_job(job);
}

static void finish_program(struct engine *engine, const struct program_job *job)
{
	char outcome[PROGRAM_OUTPUT + 200];

	if (!program_succeeded(&job->result))
		engine_tally_rule(engine, policy_find_rule(engine->policy, job->rule),
				  TALLY_RULE_FAILED);
	program_describe(&job->result, outcome, sizeof outcome);
	report_program(engine, job, job->arguments[0], outcome, !program_succeeded(&job->result));
}

/* ---- telling ---- */

static void notice(struct engine *engine, const struct policy_rule *rule,
		   const struct message *message)
{
	struct policy_message facts = engine_policy_message(engine, message);
	char text[512], reason[256];
	struct event event = {
		.action = EVENT_MESSAGE_NOTICED,
		.text = text,
		.reason = reason,
		.id = table_id(message),
		.id_length = message->id_length,
		.tier = engine_tier_name(engine, message->directory),
		.rule = rule->name,
		.has_message = true,
		.attempts = message->attempts,
		.age = engine->now / CLOCK_SECOND - (int64_t)message->created,
		.size = message->size,
	};

	policy_reason(rule, &facts, engine->now / CLOCK_SECOND, engine_shows(engine), reason,
		      sizeof reason);
	snprintf(text, sizeof text, "%s: %.*s in %s (%s)", rule->notice ? rule->notice : "noticed",
		 (int)message->id_length, table_id(message), event.tier, rule->name);
	events_emit(engine->events, &event);
}

/* What goes with the action of a rule, once that is done. */
void engine_follow_up(struct engine *engine, const struct policy_rule *rule,
		      const struct message *message)
{
	if (rule->notify)
		notice(engine, rule, message);
	if (rule->program)
		engine_run_program(engine, rule, message);
}

/* Rules that do not decide, but match: each tells of a message once. */
void engine_tell_marks(struct engine *engine, msgref ref, uint64_t marks)
{
	struct message *message = table_get(engine->table, ref);

	for (size_t i = 0; i < engine->policy->n_rules && marks; i++) {
		const struct policy_rule *rule = &engine->policy->rules[i];

		if (!(rule->mark & marks))
			continue;
		engine_follow_up(engine, rule, message);
		engine_tally_rule(engine, rule, TALLY_RULE_ACTED);
		message->visited |= rule->mark;
		marks &= ~rule->mark;
	}
}

/* ---- bouncing ---- */

/* Would sendmail's -qI select other messages as well? It takes all whose id has this one in it. */
static bool is_ambiguous(const struct engine *engine, const struct message *message)
{
	const char *id = table_id(message);

	for (size_t i = 0; i < message->id_length; i++)
		if (!((id[i] >= '0' && id[i] <= '9') || (id[i] >= 'A' && id[i] <= 'Z') ||
		      (id[i] >= 'a' && id[i] <= 'z')))
			return true;
	if (message->id_length < WHOLE_ID)
		return true;
	if (table_longest_id(engine->table) <= message->id_length)
		return false;
	for (msgref ref = table_next(engine->table, MSGREF_NONE); ref;
	     ref = table_next(engine->table, ref)) {
		const struct message *other = table_get(engine->table, ref);

		if (other->id_length > message->id_length &&
		    memmem(table_id(other), other->id_length, id, message->id_length))
			return true;
	}
	return false;
}

static char **bounce_arguments(struct engine *engine, const struct message *message)
{
	char *const *sendmail = engine->policy->sendmail;
	const char *id = table_id(message);
	size_t count = 0;
	char **arguments;

	while (sendmail[count])
		count++;
	arguments = xcalloc(count + 6, sizeof *arguments);
	for (size_t i = 0; i < count; i++)
		arguments[i] = xstrdup(sendmail[i]);
	arguments[count++] =
		xasprintf("-OQueueDirectory=%s", engine_directory(engine, message)->path);
	arguments[count++] = xstrdup("-OTimeout.queuereturn=now");
	arguments[count++] = xstrdup("-OMinQueueAge=0");
	/* With -v it stays in the foreground, and tells what it does. */
	arguments[count++] = xstrdup("-v");
	arguments[count++] = xasprintf("-qI%.*s", (int)message->id_length, id);
	return arguments;
}

/* Has sendmail return the message, whose lock has been given back. */
void engine_bounce(struct engine *engine, msgref ref, const struct policy_decision *decision,
		   const struct action_report *report)
{
	struct message *message = table_get(engine->table, ref);
	enum trouble refused = TROUBLE_NONE;
	struct program_job *job;

	/* First, because it costs nothing: many may ask. */
	if (engine->n_bounces >= engine->policy->limits.programs) {
		engine_set_state(engine, message, MESSAGE_WAITING);
		message->tries = ENGINE_WAITED; /* no limit keeps it any more */
		table_set_deadline(
			engine->table, ref,
			engine->now +
				ASK_AGAIN * (int64_t)(1 + engine->by_state[MESSAGE_WAITING] / 64));
		return;
	}
	if (message->held || message->quarantined)
		refused = TROUBLE_QUARANTINED;
	else if (is_ambiguous(engine, message))
		refused = TROUBLE_AMBIGUOUS_ID;
	if (refused) {
		engine_settle(engine, ref, (struct mover_result){.trouble = refused}, decision);
		return;
	}
	job = new_job(engine, message, report->rule);
	job->bounce = true;
	job->ref = ref;
	job->device = engine_directory(engine, message)->device;
	job->inode = engine_directory(engine, message)->inode;
	job->arguments = bounce_arguments(engine, message);
	job->timeout = BOUNCE_TIMEOUT;
	job->report = xcalloc(1, sizeof *job->report);
	engine_copy_report(job->report, report);
	if (!submit(engine, job)) {
		free_job(job);
		engine_settle(engine, ref,
			      (struct mover_result){.trouble = TROUBLE_ERROR,
						    .error = EAGAIN,
						    .step = "start a worker"},
			      decision);
		return;
	}
	engine_set_state(engine, message, MESSAGE_BOUNCING);
	table_set_deadline(engine->table, ref, INT64_MAX);
}

/* "Cannot tell" counts as yes. */
static bool stands_as(const struct qdir *dir, const char *prefix, const struct message *message)
{
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	spool_name(name, prefix, table_id(message), message->id_length);
	return fstatat(dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static void tell_returned(struct engine *engine, const struct program_job *job,
			  const struct message *message)
{
	/* The policy may be another one by now. */
	const struct policy_rule *rule = policy_find_rule(engine->policy, job->rule);

	engine->counts.bounced++;
	engine_tally(engine, message, TALLY_BOUNCED);
	engine_tally_rule(engine, rule, TALLY_RULE_ACTED);
	engine_report_bounce(engine, message, job->report, NULL, job->result.duration);
	if (rule)
		engine_follow_up(engine, rule, message);
}

/* Why the message is still there. What sendmail says names addresses: it is told where they may be
 * shown; its own log has it anyway. */
static void describe_failure(const struct engine *engine, const struct program_job *job,
			     const struct qdir *dir, char *buffer, size_t size)
{
	struct program_result result = job->result;

	if (engine_shows(engine) != POLICY_SHOW_ALL)
		result.output[0] = '\0';
	if (!program_succeeded(&result))
		program_describe(&result, buffer, size);
	else
		snprintf(buffer, size, "%s%s%s",
			 dir->qf < 0 ? "its tier was lost meanwhile"
				     : "sendmail ended, and the message is still there",
			 result.output[0] ? ": " : "", result.output);
}

/* The result is what the spool says: a message that is gone was returned. */
static void finish_bounce(struct engine *engine, const struct program_job *job)
{
	char failure[PROGRAM_OUTPUT + 200];
	const struct qdir *dir;
	struct message *message;

	if (!job->ref)
		return;
	message = table_get(engine->table, job->ref);
	dir = engine_directory(engine, message);
	/* Another directory in its place says nothing of what stood in the old one. */
	if (dir->qf >= 0 && dir->device == job->device && dir->inode == job->inode &&
	    !stands_as(dir, "qf", message)) {
		if (!stands_as(dir, "Qf", message) && !stands_as(dir, "hf", message)) {
			tell_returned(engine, job, message);
			engine_forget(engine, job->ref);
			return;
		}
		engine_bounce_failed(engine, job->ref, job->report,
				     "sendmail gave its qf another name (Qf or hf) instead",
				     job->result.duration);
		/* The next look says what became of it. */
		table_push_ready(engine->table, job->ref);
		return;
	}
	if (job->result.error == ECANCELED || job->result.cancelled) {
		engine_set_state(engine, message,
				 MESSAGE_IDLE); /* a stop: the next start does it */
		return;
	}
	describe_failure(engine, job, dir, failure, sizeof failure);
	engine_bounce_failed(engine, job->ref, job->report, failure, job->result.duration);
}

/* ---- all of them ---- */

void engine_program_forget(struct engine *engine, msgref ref)
{
	struct program_job *job;

	LIST_FOREACH(job, &engine->jobs, beside)
		if (job->ref == ref)
			job->ref = MSGREF_NONE;
}

static void take_off(struct engine *engine, struct program_job *job)
{
	LIST_REMOVE(job, beside);
	engine->n_jobs--;
	engine->n_bounces -= job->bounce;
}

/* Takes what has ended. Returns true when there was something. */
bool engine_finish_programs(struct engine *engine)
{
	struct worker_job *finished;
	bool any = false;

	while (engine->programs && (finished = worker_take(engine->programs))) {
		struct program_job *job = (struct program_job *)finished;

		take_off(engine, job);
		if (job->bounce)
			finish_bounce(engine, job);
		else
			finish_program(engine, job);
		free_job(job);
		any = true;
	}
	if (engine->programs_stale)
		engine_limit_programs(engine);
	return any;
}

void engine_stop_programs(struct engine *engine)
{
	struct program_job *job;

	while (!LIST_EMPTY(&engine->jobs)) {
		struct pollfd fd = {.fd = worker_fd(engine->programs), .events = POLLIN};

		/* Each time: what ends may lead to another one, which is only told of. */
		LIST_FOREACH(job, &engine->jobs, beside)
			atomic_store(&job->cancel, true);
		poll(&fd, 1, -1);
		engine_finish_programs(engine);
	}
	worker_free(engine->programs);
	engine->programs = NULL;
}

/* A policy with another limit.programs: takes effect when none runs. */
void engine_limit_programs(struct engine *engine)
{
	engine->programs_stale = engine->programs && engine->n_jobs;
	if (!engine->programs || engine->n_jobs)
		return;
	worker_free(engine->programs);
	engine->programs = NULL;
}
