/* engine_facts.c - what the policy may ask of a message: what memory knows, the text of the qf
 * while it is looked at, how many messages stand in its tier, and the history of its domains.
 */
#include "engine_parts.h"

#include <stdlib.h>

#include "qfwatch/log.h"

/* A tier whose number of messages swings about a level calls its messages no more often than this.
 */
#define LEVELS_EVERY CLOCK_SECOND

/* How often it is told that a rule was given up. */
#define GIVEN_UP_EVERY (60 * CLOCK_SECOND)

/* ---- the text of the qf ---- */

/* Is the text of every message in a tier wanted that is new to us? A dry run goes on in thought to
 * the next tier, which may ask for it. */
static bool asks_for_text(const struct engine *engine, unsigned tier)
{
	uint64_t bit = UINT64_C(1) << tier;

	return engine->policy->n_windows ||
	       (engine->policy->text_tiers & (engine->dry_run ? UINT64_MAX : bit)) ||
	       events_want_addresses(engine->events);
}

bool engine_needs_text(const struct engine *engine, unsigned tier)
{
	return asks_for_text(engine, tier) || engine->labels ||
	       events_want(engine->events, EVENT_MESSAGE_TRACKED);
}

void engine_use_text(struct engine *engine, const char *bytes, size_t length)
{
	if (!engine->qtext)
		engine->qtext = qtext_new();
	qtext_read(engine->qtext, bytes, length, &engine->text_of);
	engine->text = &engine->text_of;
}

/* Has the text at hand from now to engine_drop_text, where a rule may ask for it. Returns 0 or
 * -errno, as control_text. */
int engine_read_text(struct engine *engine, msgref ref, const struct control *control)
{
	const char *bytes;
	size_t length;
	int r;

	if (!asks_for_text(engine, engine_tier(engine, table_get(engine->table, ref))) &&
	    !engine_labels_want(engine, ref, control))
		return 0;
	r = control_text(control, engine->buffer, &engine->text_owned, &bytes, &length);
	if (r < 0)
		return r;
	engine_use_text(engine, bytes, length);
	return 0;
}

void engine_drop_text(struct engine *engine)
{
	engine->text = NULL;
	free(engine->text_owned);
	engine->text_owned = NULL;
}

/* How much of it events may show. */
enum policy_show engine_shows(const struct engine *engine)
{
	return engine->policy->addresses == POLICY_ADDRESSES_NONE   ? POLICY_SHOW_NOTHING
	       : engine->policy->addresses == POLICY_ADDRESSES_FULL ? POLICY_SHOW_ALL
								    : POLICY_SHOW_DOMAINS;
}

/* A rule was passed over because a regular expression takes too long. Told of one message a minute:
 * it is the rule that is to be put right, and who is called back of them all would be told at once.
 */
void engine_note_given_up(struct engine *engine, const struct message *message,
			  const struct policy_rule *rule)
{
	int64_t *told = &engine->given_up_at[rule - engine->policy->rules];
	struct policy_decision decision = {.action = POLICY_STAY, .rule = rule};

	engine->counts.given_up++;
	if (*told && engine->now - *told < GIVEN_UP_EVERY && *told <= engine->now)
		return;
	if (!*told)
		log_warning("the rule \"%s\" is passed over: %s: %s", rule->name,
			    trouble_text(TROUBLE_COSTLY), trouble_remedy(TROUBLE_COSTLY));
	*told = engine->now;
	engine_report_trouble(engine, EVENT_MESSAGE_REFUSED, message, TROUBLE_COSTLY, 0, NULL,
			      &decision);
}

/* ---- how many there are ---- */

static uint64_t messages_in(const struct engine *engine, unsigned tier)
{
	uint64_t messages = 0;

	for (size_t i = 0; i < engine->spool.n_dirs; i++) {
		const struct qdir *dir = &engine->spool.dirs[i];

		if (dir->tier == tier && (dir->state == QDIR_ACTIVE || dir->state == QDIR_LOST))
			messages += dir->messages;
	}
	return messages;
}

/* A tier that has passed a level of the policy, up or down: its messages are asked again. That it
 * came back to where it was meanwhile is no reason not to: some were asked while it was there. */
void engine_watch_levels(struct engine *engine)
{
	const struct policy *policy = engine->policy;
	uint64_t counts[POLICY_MAX_TIERS];

	if (!policy->n_levels || engine->mode != ENGINE_WATCH)
		return;
	for (unsigned tier = 0; tier < policy->n_tiers; tier++)
		counts[tier] = messages_in(engine, tier);
	for (size_t i = 0; i < policy->n_levels; i++) {
		const struct policy_level *level = &policy->levels[i];
		uint64_t reached = 0;

		for (unsigned tier = 0; tier < policy->n_tiers; tier++)
			if ((level->tiers >> tier & 1) && counts[tier] >= (uint64_t)level->messages)
				reached |= UINT64_C(1) << tier;
		engine->levels_passed |= reached ^ engine->level_tiers[i];
		engine->level_tiers[i] = reached;
	}
	if (engine->now < engine->levels_at && engine->levels_at - engine->now <= LEVELS_EVERY)
		return;
	engine->levels_at = INT64_MAX;
	if (!engine->levels_passed)
		return;
	engine_recall_tiers(engine, engine->levels_passed);
	engine->levels_passed = 0;
	engine->levels_at = engine->now + LEVELS_EVERY;
}

/* ---- all of them ---- */

static bool window_holds(const void *context, struct policy_slice domain, unsigned window,
			 int64_t at, uint64_t *ret_count, int64_t *ret_until)
{
	return domains_hold(context, domain.bytes, domain.length, window, at, ret_count, ret_until);
}

struct policy_message engine_policy_message(struct engine *engine, const struct message *message)
{
	unsigned tier = engine_directory(engine, message)->tier;

	engine->history = (struct policy_history){window_holds, engine->domains};
	return (struct policy_message){
		.tier = tier,
		.attempts = message->attempts,
		.created = message->created,
		.last_attempt = message->last_attempt,
		.size = message->size,
		.has_size = message->flags & MESSAGE_SIZED,
		.quarantined = message->held || message->quarantined,
		.tier_messages = engine->policy->n_levels ? messages_in(engine, tier) : 0,
		.marks = message->visited & engine->policy->marks,
		.text = engine->text,
		.history = &engine->history,
	};
}
