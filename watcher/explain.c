/* explain.c - see explain.h */
#include "qfwatch/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/trouble.h"
#include "qfwatch/xalloc.h"

/* Numbers of attempts that a rule names; more are not tried. */
#define MAX_NUMBERS 64

/* ---- what a rule waits for ---- */

/* The second from which the rule holds if only time passes. */
static bool comes_by_time(const struct policy_rule *rule, const struct policy_message *message,
			  int64_t from, int64_t *ret)
{
	for (int i = 0; i < POLICY_STEPS; i++) {
		int64_t next;

		if (policy_rule_holds(rule, message, from, &next) == POLICY_YES) {
			*ret = from;
			return true;
		}
		if (next == POLICY_NEVER)
			return false;
		from = next;
	}
	return false;
}

struct numbers {
	int64_t list[MAX_NUMBERS];
	size_t count;
};

static void collect(const struct policy_condition *conditions, size_t count, int64_t above,
		    struct numbers *numbers)
{
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *condition = &conditions[i];
		int64_t bounds[] = {condition->at_least, condition->below};

		collect(condition->children, condition->n_children, above, numbers);
		for (size_t k = 0; condition->kind == POLICY_ATTEMPTS && k < 2; k++)
			if (bounds[k] > above && bounds[k] <= UINT32_MAX &&
			    numbers->count < MAX_NUMBERS)
				numbers->list[numbers->count++] = bounds[k];
	}
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

/* The fewest attempts with which it holds; with as many, the earliest second. The next attempt is
 * taken for one of now: when it comes is not known. */
static bool comes_by_attempts(const struct policy_rule *rule, const struct policy_message *message,
			      int64_t at, uint32_t *ret_attempts, int64_t *ret_then)
{
	struct policy_message tried = *message;
	struct numbers numbers = {0};

	collect(rule->conditions, rule->n_conditions, message->attempts, &numbers);
	qsort(numbers.list, numbers.count, sizeof *numbers.list, compare);
	tried.last_attempt = at;
	for (size_t i = 0; i < numbers.count; i++) {
		tried.attempts = (uint32_t)numbers.list[i];
		if (comes_by_time(rule, &tried, at, ret_then)) {
			*ret_attempts = tried.attempts;
			return true;
		}
	}
	return false;
}

static void work_out_wait(const struct policy_rule *rule, const struct policy_message *message,
			  int64_t at, struct explain_wait *ret)
{
	uint32_t attempts;
	int64_t then;

	ret->by_time = comes_by_time(rule, message, at, &ret->at);
	if (!comes_by_attempts(rule, message, at, &attempts, &then))
		return;
	/* What time brings about anyway needs no attempt. */
	if (ret->by_time && then >= ret->at)
		return;
	ret->by_attempts = true;
	ret->more = attempts - message->attempts;
	ret->then = then > at ? then : INT64_MIN;
}

/* ---- the rules ---- */

static void judge(struct explanation *e)
{
	bool over = false;

	policy_decide(e->policy, &e->facts, e->at, &e->decision);
	e->rules = xcalloc(e->policy->n_rules + 1, sizeof *e->rules);
	for (size_t i = 0; i < e->policy->n_rules; i++) {
		const struct policy_rule *rule = &e->policy->rules[i];
		struct explain_rule *one;
		int64_t next;

		if (!(rule->tiers >> e->tier & 1))
			continue;
		one = &e->rules[e->n_rules++];
		one->rule = rule;
		one->reached = !over;
		one->spared = e->facts.quarantined && !rule->quarantined;
		one->holds = policy_rule_holds(rule, &e->facts, e->at, &next);
		if (one->reached && one->holds == POLICY_NO && !one->spared)
			work_out_wait(rule, &e->facts, e->at, &one->wait);
		if (over || one->holds != POLICY_YES || !rule->decides)
			continue;
		over = true;
		one->decides = !e->decision.unknown;
		if (e->decision.unknown)
			e->otherwise = rule;
	}
	e->judged = true;
}

bool explain_is_due(const struct explanation *e)
{
	return e->judged && !e->decision.unknown && e->decision.action != POLICY_STAY;
}

const struct policy_condition *explain_unwrap(const struct policy_condition *condition)
{
	while (condition->kind == POLICY_ALL && condition->n_children == 1)
		condition = condition->children;
	return condition;
}

char *explain_action(const struct policy *policy, const struct policy_rule *rule)
{
	const char *action = rule->action == POLICY_MOVE     ? "move to "
			     : rule->action == POLICY_DELETE ? "delete"
			     : rule->action == POLICY_BOUNCE ? "return to its sender"
			     : rule->decides		     ? "keep"
							     : "";
	const char *target = rule->action == POLICY_MOVE ? policy->tiers[rule->target].name : "";
	const char *notify = !rule->notify ? "" : rule->decides ? ", notify" : "notify";
	const char *program = rule->program ? rule->program->arguments[0] : "";
	const char *run = !rule->program ? "" : rule->decides || rule->notify ? ", run " : "run ";

	return xasprintf("%s%s%s%s%s", action, target, notify, run, program);
}

/* ---- what is in the way ---- */

__attribute__((format(printf, 5, 6))) static void block(struct explanation *e, const char *kind,
							const char *remedy, bool now,
							const char *format, ...)
{
	struct explain_blocker *blocker = &e->blockers[e->n_blockers];
	char text[512];
	va_list arguments;

	if (e->n_blockers == EXPLAIN_BLOCKERS)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	*blocker = (struct explain_blocker){kind, xstrdup(text), remedy, now};
	e->n_blockers++;
}

/* The word for each trouble in the JSON output. */
static const char *kind_of(enum trouble trouble)
{
	switch (trouble) {
	case TROUBLE_ERROR:
		return "error";
	case TROUBLE_UNREADABLE:
		return "unreadable";
	case TROUBLE_LINKS:
		return "links";
	case TROUBLE_EMPTY:
	case TROUBLE_INCOMPLETE:
		return "incomplete";
	case TROUBLE_DATA_ELSEWHERE:
		return "data-elsewhere";
	case TROUBLE_BODY_MISSING:
		return "body-missing";
	case TROUBLE_BODY_UNSAFE:
		return "body-unsafe";
	case TROUBLE_BODY_LINKS:
		return "body-links";
	case TROUBLE_TARGET_HAS_QF:
	case TROUBLE_TARGET_HAS_DF:
		return "target-has-it";
	case TROUBLE_TARGET_LOST:
		return "tier-lost";
	case TROUBLE_AMBIGUOUS_ID:
		return "ambiguous-id";
	case TROUBLE_QUARANTINED:
		return "quarantined";
	case TROUBLE_CHANGED:
		return "changed";
	default:
		return "unsafe";
	}
}

static void block_trouble(struct explanation *e, enum trouble trouble, int error, bool now)
{
	if (trouble == TROUBLE_ERROR || trouble == TROUBLE_UNREADABLE)
		block(e, kind_of(trouble), trouble_errno_remedy(error), now, "%s: %s",
		      trouble_text(trouble), strerror(error));
	else
		block(e, kind_of(trouble), trouble_remedy(trouble), now, "%s",
		      trouble_text(trouble));
}

static void look_at_lock(struct explanation *e, bool due)
{
	const struct locked *lock = &e->inspected->lock;

	if (!due || !lock->held)
		return;
	if (!lock->pid)
		block(e, "locked", "", true, "its lock is held by a process that cannot be seen");
	else
		block(e, "locked", "", true, "its lock is held by %s, pid %ld%s%s", lock->program,
		      (long)lock->pid, lock->title[0] ? ": " : "", lock->title);
}

static void look_at_body(struct explanation *e, bool due)
{
	const struct inspected *inspected = e->inspected;

	if (inspected->body_trouble == TROUBLE_NONE)
		return;
	if (inspected->second_link)
		block(e, "second-link", "", false,
		      "an interrupted move left a second link to its df in %s, which the daemon "
		      "removes first",
		      inspected->second_link->path);
	else
		block_trouble(e, inspected->body_trouble, inspected->body_error, due);
}

static bool has(int folder, const char *kind, const char *id, struct stat *ret)
{
	char name[SPOOL_NAME_MAX];

	return spool_name(name, kind, id, strlen(id)) &&
	       fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) == 0;
}

static uint64_t count(struct explain_world *world, unsigned tier)
{
	if (!world->counted[tier])
		world->counts[tier] = inspect_count(world->spool, tier);
	world->counted[tier] = true;
	return world->counts[tier];
}

/* What stands in the place where it would go. */
static void look_at_target(struct explain_world *world, struct explanation *e, unsigned target,
			   bool due)
{
	const struct inspect_place *place = e->inspected->place;
	enum policy_place how = e->policy->tiers[target].place;
	const struct qdir *to;
	struct stat there;

	/* Which of its directories is the emptiest changes all the time. */
	to = spool_place(world->spool, target, how, place->id, strlen(place->id));
	if (!to || world->lost >> target & 1) {
		block_trouble(e, TROUBLE_TARGET_LOST, 0, due);
		return;
	}
	if (has(to->qf, "qf", place->id, &there) || has(to->qf, "hf", place->id, &there))
		block_trouble(e, TROUBLE_TARGET_HAS_QF, 0, due);
	else if (has(to->df, "df", place->id, &there) &&
		 !(e->inspected->has_size && there.st_dev == e->inspected->body.st_dev &&
		   there.st_ino == e->inspected->body.st_ino))
		block_trouble(e, TROUBLE_TARGET_HAS_DF, 0, due);
	else if (place->held &&
		 (to->qf_device != place->dir->qf_device || to->df_device != place->dir->df_device))
		block_trouble(e, TROUBLE_QUARANTINED, 0, due);
}

/* As far as it can be told by the id itself (engine_program.c): sendmail's have 14 characters. */
static bool is_usual(const char *id)
{
	return strlen(id) >= 14 && strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "abcdefghijklmnopqrstuvwxyz") == strlen(id);
}

static void look_at_limits(struct explanation *e)
{
	const struct policy_limits *limits = &e->policy->limits;
	const char *name = e->decision.action == POLICY_MOVE	 ? "moves_per_second"
			   : e->decision.action == POLICY_DELETE ? "deletes_per_minute"
								 : "bounces_per_minute";
	uint32_t limit = e->decision.action == POLICY_MOVE     ? limits->moves_per_second
			 : e->decision.action == POLICY_DELETE ? limits->deletes_per_minute
							       : limits->bounces_per_minute;

	if (limit && e->daemon.held)
		block(e, "limit", "", false, "it may wait for its turn: limits.%s is %u", name,
		      limit);
}

/* In the order in which the engine looks (engine_act in engine_action.c). What it keeps in memory
 * only, such as where a message has been already, cannot be seen from here. */
static void look_at_action(struct explain_world *world, struct explanation *e)
{
	const struct inspect_place *place = e->inspected->place;
	bool due = explain_is_due(e);

	if (e->inspected->file.data_elsewhere)
		block_trouble(e, TROUBLE_DATA_ELSEWHERE, 0, due);
	look_at_lock(e, due);
	if (!e->inspected->file.data_elsewhere)
		look_at_body(e, due);
	if (e->decision.action == POLICY_MOVE)
		look_at_target(world, e, e->decision.target, due);
	if (e->decision.action == POLICY_BOUNCE && place->held)
		block_trouble(e, TROUBLE_QUARANTINED, 0, due);
	else if (e->decision.action == POLICY_BOUNCE && !is_usual(place->id))
		block_trouble(e, TROUBLE_AMBIGUOUS_ID, 0, due);
	if (due)
		look_at_limits(e);
}

static void look_around(struct explain_world *world, struct explanation *e)
{
	const struct inspected *inspected = e->inspected;

	if (!inspected->place->dir)
		return;
	inspect_daemon(inspected->place->dir, &e->daemon);
	if (!e->daemon.held)
		block(e, "no-daemon", "", explain_is_due(e),
		      "no qfwatch is running for this tier: nothing will move it");
	if (inspected->trouble == TROUBLE_NONE)
		look_at_action(world, e);
	else
		block_trouble(e, inspected->trouble, inspected->error, true);
	/* Being written, most likely. */
	if (inspected->trouble != TROUBLE_NONE && inspected->has_stat)
		look_at_lock(e, true);
}

void explain_make(struct explain_world *world, const struct inspected *inspected,
		  struct explanation *ret)
{
	const struct qdir *dir = inspected->place->dir;

	*ret = (struct explanation){.policy = world->policy,
				    .inspected = inspected,
				    .now = world->now,
				    .at = world->at,
				    .has_tier = dir || world->tier >= 0};
	if (ret->has_tier)
		ret->tier = dir ? dir->tier : (unsigned)world->tier;
	if (ret->has_tier && inspected->trouble == TROUBLE_NONE) {
		ret->facts = inspect_facts(inspected, ret->tier,
					   world->policy->n_levels ? count(world, ret->tier) : 0);
		judge(ret);
	}
	look_around(world, ret);
}

void explain_free(struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->n_blockers; i++)
		free(explanation->blockers[i].text);
	free(explanation->rules);
	*explanation = (struct explanation){0};
}
