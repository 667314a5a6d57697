/* replay.c - see replay.h. Events move the one world, the new policy the other. */
#include "replay_parts.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/xalloc.h"

#define HOUR 3600

/* Two times of the same message's creation, each a time less an age, differ by rounding; by more
 * than this it is another message with the same id. */
#define SAME_MESSAGE 10

/* The last event is followed by so many seconds, for what is due with it. */
#define GRACE 2

/* ---- names ---- */

static void add_rule(struct replay_result *result, const char *name, int rule)
{
	result->rules = xreallocarray(result->rules, result->n_rules + 1, sizeof *result->rules);
	result->rules[result->n_rules++] =
		(struct replay_rule){.name = xstrdup(name), .rule = rule};
}

static void add_tier(struct replay_result *result, const char *name, int tier)
{
	result->tiers = xreallocarray(result->tiers, result->n_tiers + 1, sizeof *result->tiers);
	result->tiers[result->n_tiers++] =
		(struct replay_tier){.name = xstrdup(name), .tier = tier};
}

/* There are no more of either than a policy has; a file with more is no record of qfwatch's. */
#define MAX_NAMES 4096

static struct replay_rule *rule_named(struct replay *replay, const char *name)
{
	struct replay_result *result = &replay->result;

	for (size_t i = 0; i < result->n_rules; i++)
		if (strcmp(result->rules[i].name, name) == 0)
			return &result->rules[i];
	if (result->n_rules >= MAX_NAMES)
		return &result->rules[result->n_rules - 1];
	add_rule(result, name, -1);
	return &result->rules[result->n_rules - 1];
}

static uint16_t tier_named(struct replay *replay, const char *name)
{
	struct replay_result *result = &replay->result;

	for (size_t i = 0; i < result->n_tiers; i++)
		if (strcmp(result->tiers[i].name, name) == 0)
			return (uint16_t)i;
	if (result->n_tiers >= MAX_NAMES)
		return MAX_NAMES - 1;
	add_tier(result, name, -1);
	return (uint16_t)(result->n_tiers - 1);
}

/* ---- what events tell ---- */

static void learn_domains(struct life *life, const struct replay_event *event)
{
	size_t size = 1, used = 0;

	if (!event->has_domains || event->domains_cut)
		return;
	for (size_t i = 0; i < event->n_domains; i++)
		size += strlen(event->domains[i]) + 1;
	free(life->domains);
	life->domains = xcalloc(size + 1, 1);
	for (size_t i = 0; i < event->n_domains; i++) {
		strcpy(life->domains + used, event->domains[i]);
		used += strlen(event->domains[i]) + 1;
	}
	life->knows_domains = true;
}

static void note_failures(struct replay *replay, struct life *life, unsigned attempts)
{
	/* Who is asked again because of it may be this very message, and go. */
	char *domains, *d;
	size_t size = 1;

	if (!replay->policy->n_windows || !life->domains)
		return;
	for (d = life->domains; *d; d += strlen(d) + 1)
		size += strlen(d) + 1;
	domains = xcalloc(size, 1);
	memcpy(domains, life->domains, size);
	for (d = domains; *d; d += strlen(d) + 1)
		replay_crossed(replay, d,
			       domains_note_deferred(replay->domains, d, strlen(d), replay->now,
						     attempts));
	free(domains);
}

static void learn(struct replay *replay, struct life *life, const struct replay_event *event)
{
	int64_t created = event->time / CLOCK_SECOND - event->age;

	/* The age was taken a little before the time: of several, the smallest is right. */
	if (created < life->created)
		life->created = created;
	if (event->size)
		life->size = event->size;
	if (event->has_since_attempt) {
		life->last_attempt = event->time / CLOCK_SECOND - event->since_attempt;
		life->knows_last_attempt = true;
	}
	life->run = (uint32_t)replay->run;
	learn_domains(life, event);
}

/* Its attempts have risen since the last event about it. */
static unsigned learn_attempts(struct replay *replay, struct life *life,
			       const struct replay_event *event)
{
	uint32_t before = life->attempts;

	if (event->attempts == before)
		return 0;
	life->attempts = event->attempts;
	if (life->simulated < LIFE_OUTSIDE)
		life->visited = UINT64_C(1) << life->simulated;
	if (event->action != EVENT_MESSAGE_ATTEMPTED) {
		replay->result.jumps++;
		life->knows_last_attempt = event->has_since_attempt;
	} else if (!event->has_since_attempt) {
		life->last_attempt = event->time / CLOCK_SECOND;
		life->knows_last_attempt = true;
	}
	return event->attempts > before ? event->attempts - before : 0;
}

/* One that is seen for the first time: where it stood before this event. */
static struct life *begin(struct replay *replay, const struct replay_event *event)
{
	bool moved = event->action == EVENT_MESSAGE_MOVED;
	const char *name = moved && event->from ? event->from : event->tier;
	int tier = policy_find_tier(replay->policy, name);
	struct life *life = lives_add(&replay->lives, event->id, 2 * replay->policy->n_rules);

	replay->result.messages++;
	replay->result.mid += moved || event->action == EVENT_MESSAGE_DELETED ||
			      event->action == EVENT_MESSAGE_BOUNCED;
	replay->result.elsewhere += tier < 0;
	life->created = event->time / CLOCK_SECOND - event->age;
	life->attempts = event->attempts;
	if (event->action == EVENT_MESSAGE_ATTEMPTED && life->attempts)
		life->attempts--;
	life->recorded = life->simulated = LIFE_GONE;
	replay_stand_recorded(replay, life, tier_named(replay, name));
	replay_stand_simulated(replay, life, tier < 0 ? LIFE_OUTSIDE : (uint16_t)tier);
	if (tier >= 0)
		life->visited = UINT64_C(1) << tier;
	return life;
}

/* The message that the event is about, known from now on; NULL: it tells of none that is there. */
static struct life *subject(struct replay *replay, const struct replay_event *event)
{
	int64_t created = event->time / CLOCK_SECOND - event->age;
	struct life *life;

	if (!event->id || !event->has_message || !event->tier)
		return NULL;
	life = lives_find(&replay->lives, event->id);
	/* Ids come again after years; and what the old policy removed cannot be told of. */
	if (life &&
	    (created > life->created + SAME_MESSAGE || created < life->created - SAME_MESSAGE ||
	     (life->recorded == LIFE_GONE && event->action == EVENT_MESSAGE_TRACKED))) {
		replay_end_life(replay, life);
		life = NULL;
	}
	if (!life && event->action == EVENT_MESSAGE_DEPARTED)
		return NULL;
	if (!life)
		life = begin(replay, event);
	return life;
}

/* It left by itself. */
static void depart(struct replay *replay, struct life *life)
{
	uint64_t windows = 0;
	char *domain = NULL;

	if (life->simulated == LIFE_GONE)
		replay->result.rules[life->removed].early++;
	/* As in the engine: only what is known of all its recipients says something of a domain. */
	if (life->simulated < LIFE_OUTSIDE && life->domains && *life->domains &&
	    !life->domains[strlen(life->domains) + 1] && replay->policy->n_windows) {
		domain = xstrdup(life->domains);
		windows = domains_note_delivered(replay->domains, domain, strlen(domain),
						 replay->now, life->simulated);
	}
	replay_end_life(replay, life);
	if (domain)
		replay_crossed(replay, domain, windows);
	free(domain);
}

/* What the event says was done, in the world of the events. */
static void act(struct replay *replay, struct life *life, const struct replay_event *event)
{
	bool moved = event->action == EVENT_MESSAGE_MOVED && !event->failure;
	bool removed = (event->action == EVENT_MESSAGE_DELETED ||
			event->action == EVENT_MESSAGE_BOUNCED) &&
		       !event->failure;

	if ((moved || removed) && event->dry_run) {
		replay->result.dry++;
		return;
	}
	if ((moved || removed || event->action == EVENT_MESSAGE_NOTICED) && event->rule)
		replay_count(replay, &rule_named(replay, event->rule)->recorded);
	if (removed)
		replay_stand_recorded(replay, life, LIFE_GONE);
	else if (life->recorded != LIFE_GONE && !event->dry_run)
		replay_stand_recorded(replay, life, tier_named(replay, event->tier));
}

static void feed_message(struct replay *replay, const struct replay_event *event)
{
	struct life *life = subject(replay, event);
	unsigned attempts;

	if (!life)
		return;
	learn(replay, life, event);
	attempts = learn_attempts(replay, life, event);
	if (event->action == EVENT_MESSAGE_DEPARTED) {
		/* What the old policy removed went by its hand. */
		if (life->recorded != LIFE_GONE)
			depart(replay, life);
		return;
	}
	act(replay, life, event);
	/* Those that are asked again because of its domain may be this very message, and go. */
	if (attempts)
		note_failures(replay, life, attempts);
	life = lives_find(&replay->lives, event->id);
	if (life)
		replay_decide(replay, life);
}

/* ---- runs ---- */

/* Finds the run of an event and looks at its number. Returns false for one that was given before.
 */
static bool take_number(struct replay *replay, const struct replay_event *event)
{
	struct replay_result *result = &replay->result;
	size_t i = replay->n_runs;

	while (i && strcmp(replay->runs[i - 1].name, event->run ? event->run : "") != 0)
		i--;
	if (!i) {
		replay->runs =
			xreallocarray(replay->runs, replay->n_runs + 1, sizeof *replay->runs);
		replay->runs[replay->n_runs++] =
			(struct run){.name = xstrdup(event->run ? event->run : "")};
		i = replay->n_runs;
		result->runs++;
		if (event->sequence > 1) {
			result->beginnings++;
			replay->runs[i - 1].sequence = event->sequence - 1;
		}
	}
	replay->run = i - 1;
	if (!event->sequence)
		return true;
	if (event->sequence <= replay->runs[i - 1].sequence) {
		result->repeated++;
		return false;
	}
	result->missing += event->sequence - replay->runs[i - 1].sequence - 1;
	replay->runs[i - 1].sequence = event->sequence;
	return true;
}

static void vanish(void *context, struct life *life)
{
	struct replay *replay = context;

	if (life->run == (uint32_t)replay->run || life->recorded == LIFE_GONE)
		return;
	replay->result.vanished++;
	replay_end_life(replay, life);
}

/* A run has read the whole spool: what it has not told of is gone. Only where it tells of what it
 * tracks. */
static void first_scan(struct replay *replay, const struct replay_event *event)
{
	if (event->dry_run || !event->reason || strcmp(event->reason, "first scan") != 0)
		return;
	if (replay->runs[replay->run].tracked || (event->has_messages && event->messages == 0))
		lives_each(&replay->lives, vanish, replay);
}

void replay_feed(struct replay *replay, const struct replay_event *event)
{
	struct replay_result *result = &replay->result;
	int64_t time = event->time / CLOCK_SECOND;

	if (!take_number(replay, event))
		return;
	if (result->first &&
	    (time < result->start || time > result->first + REPLAY_MAX_HOURS * (int64_t)HOUR)) {
		result->unbelieved++;
		return;
	}
	if (!result->first) {
		result->first = time;
		result->start = time - time % HOUR;
		replay->now = time;
	}
	result->events++;
	result->backwards += time < replay->now - SAME_MESSAGE;
	replay_pass_time(replay, time);
	if (replay->now > result->last)
		result->last = replay->now;
	switch (event->action) {
	case EVENT_MESSAGE_TRACKED:
		result->tracked++;
		replay->runs[replay->run].tracked = true;
		break;
	case EVENT_MESSAGE_ATTEMPTED:
		result->attempted++;
		break;
	case EVENT_POLICY_LOADED:
		result->policies++;
		break;
	case EVENT_RESYNCED:
		first_scan(replay, event);
		break;
	case EVENT_PROGRAM_RUN:
	case EVENT_MESSAGE_RECOVERED:
		return;
	default:
		break;
	}
	feed_message(replay, event);
	replay_look_at_levels(replay);
}

/* ---- beginning and end ---- */

static bool window_holds(const void *context, struct policy_slice domain, unsigned window,
			 int64_t at, uint64_t *ret_count, int64_t *ret_until)
{
	return domains_hold(context, domain.bytes, domain.length, window, at, ret_count, ret_until);
}

struct replay *replay_new(const struct policy *policy)
{
	struct replay *replay = xcalloc(1, sizeof *replay);

	replay->policy = policy;
	for (size_t i = 0; i < policy->n_rules; i++)
		add_rule(&replay->result, policy->rules[i].name, (int)i);
	for (size_t i = 0; i < policy->n_tiers; i++)
		add_tier(&replay->result, policy->tiers[i].name, (int)i);
	replay->standing = xcalloc(policy->n_tiers, sizeof *replay->standing);
	replay->reached = xcalloc(policy->n_levels + 1, sizeof *replay->reached);
	replay->domains = domains_new();
	domains_configure(replay->domains, policy->windows, policy->n_windows);
	replay->history = (struct policy_history){window_holds, replay->domains};
	return replay;
}

static void count_left(void *context, struct life *life)
{
	struct replay_result *result = context;

	result->recorded_left += life->recorded != LIFE_GONE;
	result->simulated_left += life->simulated != LIFE_GONE;
	result->spared += life->recorded == LIFE_GONE;
}

const struct replay_result *replay_end(struct replay *replay)
{
	struct replay_result *result = &replay->result;

	if (result->first) {
		/* What is due with the last event belongs to its hour. */
		int64_t last = result->start + ((int64_t)result->n_hours + 1) * HOUR - 1;

		replay_pass_time(replay, result->last + GRACE < last ? result->last + GRACE : last);
		replay_end_hour(replay);
	}
	for (size_t i = 0; i < result->n_rules; i++) {
		if (result->n_hours) {
			replay_slot(&result->rules[i].recorded, result->n_hours - 1);
			replay_slot(&result->rules[i].simulated, result->n_hours - 1);
		}
	}
	lives_each(&replay->lives, count_left, result);
	return result;
}

void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	for (size_t i = 0; i < replay->result.n_rules; i++) {
		free(replay->result.rules[i].name);
		free(replay->result.rules[i].recorded.hours);
		free(replay->result.rules[i].simulated.hours);
	}
	for (size_t i = 0; i < replay->result.n_tiers; i++) {
		free(replay->result.tiers[i].name);
		free(replay->result.tiers[i].recorded.hours);
		free(replay->result.tiers[i].simulated.hours);
	}
	free(replay->result.rules);
	free(replay->result.tiers);
	for (size_t i = 0; i < replay->n_runs; i++)
		free(replay->runs[i].name);
	free(replay->runs);
	free(replay->standing);
	free(replay->reached);
	domains_free(replay->domains);
	lives_free(&replay->lives);
	free(replay);
}
