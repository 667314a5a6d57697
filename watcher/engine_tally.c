/* engine_tally.c - what the engine counts: what it has done (tally.h), what stands in the tiers
 * (ages.h); and when it learnt of the message that it is looking at. */
#include "engine_parts.h"

#include <stdlib.h>

#include "qfwatch/xalloc.h"

const struct tally *engine_get_tally(struct engine *engine, int64_t now)
{
	tally_advance(engine->tally, now);
	return engine->tally;
}

const struct ages *engine_get_ages(const struct engine *engine)
{
	return engine->ages;
}

const char *engine_rounds(const struct engine *engine, unsigned number, uint64_t *ret)
{
	static const struct {
		enum round_reason reason;
		const char *name;
	} reasons[] = {
		{ROUND_START, "start"}, {ROUND_RECONCILE, "reconcile"}, {ROUND_POLLED, "polled"},
		{ROUND_FOUND, "found"}, {ROUND_OVERFLOW, "overflow"},
	};

	if (number >= sizeof reasons / sizeof *reasons)
		return NULL;
	*ret = tally_rounds(engine->tally, reasons[number].reason);
	return reasons[number].name;
}

/* ---- when it was learnt of ---- */

/* A message is learnt of in the turn that puts it into the ready list, and that list is first in,
 * first out: so the numbers at which turns began tell whose turn it was. When there are more turns
 * than marks the older mark counts: a reaction is never told too short. */

static struct turn_mark *mark_at(struct turn_marks *turns, unsigned place)
{
	return &turns->list[(turns->first + place) % ENGINE_TURN_MARKS];
}

/* Goes on to the mark of the turn that added the message with that number. */
static void go_to(struct turn_marks *turns, uint64_t number)
{
	while (turns->count > 1 && mark_at(turns, 1)->added < number) {
		turns->first = (turns->first + 1) % ENGINE_TURN_MARKS;
		turns->count--;
	}
}

void engine_begin_turn(struct engine *engine)
{
	struct turn_marks *turns = &engine->turns;
	struct turn_mark mark = {.added = table_ready_added(engine->table),
				 .began = clock_monotonic()};

	tally_advance(engine->tally, engine->now);
	go_to(turns, table_ready_taken(engine->table) + 1);
	/* The turn before has added nothing. */
	if (turns->count && mark_at(turns, turns->count - 1)->added == mark.added)
		turns->count--;
	if (turns->count < ENGINE_TURN_MARKS)
		*mark_at(turns, turns->count++) = mark;
}

/* The start of the turn that learnt of the message that was taken last from the ready list. */
int64_t engine_learnt(struct engine *engine)
{
	go_to(&engine->turns, table_ready_taken(engine->table));
	return mark_at(&engine->turns, 0)->began;
}

/* ---- what has been done ---- */

unsigned engine_tier(const struct engine *engine, const struct message *message)
{
	return engine->spool.dirs[message->directory].tier;
}

void engine_tally(struct engine *engine, const struct message *message, enum tally_kind kind)
{
	tally_note(engine->tally, engine_tier(engine, message), kind);
}

/* NULL: a rule that is none any more, or none at all. */
void engine_tally_rule(struct engine *engine, const struct policy_rule *rule,
		       enum tally_outcome outcome)
{
	if (rule)
		tally_note_rule(engine->tally, (size_t)(rule - engine->policy->rules), outcome);
}

/* Read for the first time. What a first scan finds has been waiting there: it did not arrive now,
 * unless it was made since. */
void engine_tally_tracked(struct engine *engine, const struct message *message)
{
	engine_tally(engine, message, TALLY_TRACKED);
	if (engine->round != ROUND_START ||
	    message->created >= engine->round_started / CLOCK_SECOND)
		engine_tally(engine, message, TALLY_ARRIVED);
}

/* started: when the move began; 0: nothing was moved (a dry run). */
void engine_tally_move(struct engine *engine, const struct policy_rule *rule, unsigned from,
		       unsigned to, int64_t started, int64_t learnt)
{
	int64_t now = started ? clock_monotonic() : 0;

	tally_note_move(engine->tally, from, to);
	engine_tally_rule(engine, rule, TALLY_RULE_ACTED);
	if (!started)
		return;
	tally_note_time(engine->tally, TALLY_MOVE, now - started);
	tally_note_time(engine->tally, TALLY_REACTION, now - learnt);
}

void engine_tally_trouble(struct engine *engine, const struct message *message,
			  enum tally_kind kind, const struct policy_rule *rule)
{
	engine_tally(engine, message, kind);
	engine_tally_rule(engine, rule,
			  kind == TALLY_FAILED	  ? TALLY_RULE_FAILED
			  : kind == TALLY_REFUSED ? TALLY_RULE_REFUSED
						  : TALLY_RULE_BUSY);
}

/* The round under way has ended. */
void engine_tally_round(struct engine *engine)
{
	tally_note_round(engine->tally, engine->round);
	tally_note_time(engine->tally, TALLY_SCAN, (engine->now - engine->round_started) * 1000);
}

/* ---- what stands there ---- */

/* The tier for which it is counted. */
static unsigned counted_tier(const struct engine *engine, const struct message *message)
{
	if (engine->counted_as && table_ref(engine->table, message) > engine->recount_at)
		return engine->counted_as[message->directory];
	return engine_tier(engine, message);
}

static void enter(struct engine *engine, const struct message *message, unsigned tier)
{
	ages_enter(engine->ages, tier, (enum message_state)message->state);
	if (message->created)
		ages_add(engine->ages, tier, message->created, engine->now / CLOCK_SECOND);
	if (message->flags & MESSAGE_SIZED)
		ages_add_bytes(engine->ages, tier, message->size);
}

static void leave(struct engine *engine, const struct message *message, unsigned tier)
{
	ages_leave(engine->ages, tier, (enum message_state)message->state);
	if (message->created)
		ages_remove(engine->ages, tier, message->created);
	if (message->flags & MESSAGE_SIZED)
		ages_remove_bytes(engine->ages, tier, message->size);
}

/* It stands in its tier from now on, or no longer. */
void engine_tally_enter(struct engine *engine, const struct message *message)
{
	enter(engine, message, counted_tier(engine, message));
}

void engine_tally_leave(struct engine *engine, const struct message *message)
{
	leave(engine, message, counted_tier(engine, message));
}

/* It goes over to that state. */
void engine_tally_state(struct engine *engine, const struct message *message,
			enum message_state state)
{
	unsigned tier = counted_tier(engine, message);

	ages_leave(engine->ages, tier, (enum message_state)message->state);
	ages_enter(engine->ages, tier, state);
}

/* Its T was `before`; 0: not known. */
void engine_tally_created(struct engine *engine, const struct message *message, uint32_t before)
{
	unsigned tier = counted_tier(engine, message);

	if (message->created == before)
		return;
	if (before)
		ages_remove(engine->ages, tier, before);
	if (message->created)
		ages_add(engine->ages, tier, message->created, engine->now / CLOCK_SECOND);
}

/* The size of its body has become known. */
void engine_tally_body(struct engine *engine, const struct message *message)
{
	ages_add_bytes(engine->ages, counted_tier(engine, message), message->size);
}

/* ---- other tiers ---- */

/* A new policy gives tiers other numbers, makes several of them one, or one several. Going through
 * the table for that would hold up everybody who waits; so the counts of a tier go as they are to
 * the tier in which most of its messages stand now. Only where a tier was divided the messages of
 * the other directories follow, some a turn, in the order of the table: those that were passed are
 * counted for their tier, the others still for the one that has the counts. So each message is
 * counted once at any moment, whatever comes or goes meanwhile. */

/* Before the spool is changed: which tier each directory is counted for. */
void engine_recount_prepare(struct engine *engine)
{
	/* Two policies within a moment: what the first one divided is counted to its end now. */
	while (engine_recount_some(engine))
		;
	engine->n_counted_as = engine->spool.n_dirs;
	engine->counted_as = xcalloc(engine->n_counted_as + 1, sizeof *engine->counted_as);
	for (size_t i = 0; i < engine->n_counted_as; i++)
		engine->counted_as[i] = engine->spool.dirs[i].tier;
	engine->recount_at = MSGREF_NONE;
}

/* Between prepare and begin: does each directory that stayed belong to the same tier? */
bool engine_recount_is_needless(const struct engine *engine)
{
	for (size_t i = 0; i < engine->n_counted_as; i++)
		if (engine->spool.dirs[i].messages &&
		    engine->spool.dirs[i].tier != engine->counted_as[i])
			return false;
	return true;
}

/* For each tier that there was the one that takes its counts. */
static void choose_tiers(const struct engine *engine, unsigned *to)
{
	const struct qdir *largest[POLICY_MAX_TIERS] = {NULL};

	for (size_t i = 0; i < engine->n_counted_as; i++) {
		const struct qdir *dir = &engine->spool.dirs[i];
		const struct qdir **most = &largest[engine->counted_as[i]];

		if (dir->state == QDIR_UNUSED || dir->state == QDIR_NEW)
			continue; /* it was dropped; its messages are forgotten */
		if (!*most || dir->messages > (*most)->messages)
			*most = dir;
	}
	for (unsigned i = 0; i < POLICY_MAX_TIERS; i++)
		to[i] = largest[i] ? largest[i]->tier : AGES_NO_TIER;
}

static void end_recount(struct engine *engine)
{
	free(engine->counted_as);
	engine->counted_as = NULL;
	engine->n_counted_as = 0;
}

/* The spool is as the policy says, and what left it is forgotten. */
void engine_recount_begin(struct engine *engine)
{
	unsigned to[POLICY_MAX_TIERS];
	bool divided = false;

	choose_tiers(engine, to);
	ages_renumber(engine->ages, to, (unsigned)engine->policy->n_tiers);
	for (size_t i = 0; i < engine->n_counted_as; i++) {
		const struct qdir *dir = &engine->spool.dirs[i];

		engine->counted_as[i] = to[engine->counted_as[i]];
		divided |= dir->messages && engine->counted_as[i] != dir->tier;
	}
	if (!divided)
		end_recount(engine);
}

/* It has just been taken up, and has no messages yet. */
void engine_recount_directory(struct engine *engine, uint16_t directory)
{
	if (!engine->counted_as)
		return;
	if (directory >= engine->n_counted_as) {
		engine->n_counted_as = directory + 1u;
		engine->counted_as = xreallocarray(engine->counted_as, engine->n_counted_as,
						   sizeof *engine->counted_as);
	}
	engine->counted_as[directory] = engine->spool.dirs[directory].tier;
}

/* Returns true when there are more. */
bool engine_recount_some(struct engine *engine)
{
	if (!engine->counted_as)
		return false;
	for (unsigned i = 0; i < engine->recount_most; i++) {
		msgref ref = table_next(engine->table, engine->recount_at);
		const struct message *message = ref ? table_get(engine->table, ref) : NULL;
		unsigned own = message ? engine_tier(engine, message) : 0;

		if (!message) {
			end_recount(engine);
			return false;
		}
		if (engine->counted_as[message->directory] != own) {
			leave(engine, message, engine->counted_as[message->directory]);
			enter(engine, message, own);
		}
		engine->recount_at = ref;
	}
	return true;
}
