/* engine_tally.c - what the engine counts: what it has done (tally.h), what stands in the tiers
 * (ages.h); and when it learnt of the message that it is looking at. */
#include "engine_parts.h"

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

static void enter(struct engine *engine, const struct message *message, int64_t now)
{
	unsigned tier = engine_tier(engine, message);

	ages_enter(engine->ages, tier, (enum message_state)message->state);
	if (message->created)
		ages_add(engine->ages, tier, message->created, now);
	if (message->flags & MESSAGE_SIZED)
		ages_add_bytes(engine->ages, tier, message->size);
}

/* It stands in its tier from now on, or no longer. */
void engine_tally_enter(struct engine *engine, const struct message *message)
{
	enter(engine, message, engine->now / CLOCK_SECOND);
}

void engine_tally_leave(struct engine *engine, const struct message *message)
{
	unsigned tier = engine_tier(engine, message);

	ages_leave(engine->ages, tier, (enum message_state)message->state);
	if (message->created)
		ages_remove(engine->ages, tier, message->created);
	if (message->flags & MESSAGE_SIZED)
		ages_remove_bytes(engine->ages, tier, message->size);
}

/* Its T was `before`; 0: not known. */
void engine_tally_created(struct engine *engine, const struct message *message, uint32_t before)
{
	unsigned tier = engine_tier(engine, message);

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
	ages_add_bytes(engine->ages, engine_tier(engine, message), message->size);
}

/* The tiers have other numbers, or other directories: as reloads are rare, all is counted anew. */
void engine_recount(struct engine *engine)
{
	ages_reset(engine->ages, (unsigned)engine->policy->n_tiers);
	for (msgref ref = table_next(engine->table, MSGREF_NONE); ref;
	     ref = table_next(engine->table, ref))
		enter(engine, table_get(engine->table, ref), engine->now / CLOCK_SECOND);
}
