/* engine_domains.c - recipient domains as a whole: attempts that failed, deliveries, and who is
 * asked again when a domain passes what a rule says of it.
 *
 * A failed attempt is known: N has risen, and the recipients that are left are those that nobody
 * took. A delivery is inferred: the qf was deleted, not by us, no Qf or hf of it is left, and no
 * bounce appeared in the same queue directory shortly before (sendmail makes its bounce there, with
 * the null sender, and removes what it returns after it has sent or queued that). A bounce that is
 * sent at once is gone before its qf can be read. In a tier to which rules move, nothing else comes
 * up and goes unread; elsewhere it may be a new message, so there it speaks against the next moment
 * only. Who removes a qf by hand makes it look delivered.
 */
#include "engine_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/hash.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* A departure waits so long for the bounce that it may have led to, which has to be read first...
 */
#define SETTLE_AFTER CLOCK_SECOND
/* ...and a bounce speaks against all departures from its directory that come so long after it. */
#define BOUNCE_COUNTS (5 * CLOCK_SECOND)
/* What goes unread where new messages come in: sendmail removes the bounce and what it returned in
 * one go. */
#define UNREAD_COUNTS (CLOCK_SECOND / 50)

/* Departures that wait at the same time; what comes beyond is no evidence. */
#define MAX_DEPARTURES 4096

/* Two rounds of asking are so far apart: a round goes through the whole table. */
#define RECALL_EVERY (CLOCK_SECOND / 10)

/* So many domains are told apart in one round; with more of them everybody is asked. */
#define MAX_CALLS 256

/* Messages that may come back do so over a tenth of the time in which the delivery counts, but no
 * longer than this. */
#define SPREAD_MAX (30 * CLOCK_SECOND)

struct departure {
	int64_t time;
	uint32_t domain;
	uint16_t directory;
	uint8_t tier;
};

struct departures {
	struct departure ring[MAX_DEPARTURES];
	size_t first, count;
};

struct calls {
	uint64_t tiers; /* everybody in these */
	bool everybody;
	size_t count;
	struct {
		uint32_t domain;
		int64_t spread; /* microseconds; 0: at once */
	} list[MAX_CALLS];
	uint64_t bits[256]; /* by the low 14 bits of the domains: most messages end here */
};

struct recall {
	struct calls now, next;
	bool under_way;
	msgref at;
	int64_t not_before;
};

void engine_domains_free(struct engine *engine)
{
	domains_free(engine->domains);
	free(engine->recall);
	free(engine->departures);
}

/* A policy is about to be in force. */
void engine_domains_configure(struct engine *engine)
{
	const struct policy *policy = engine->policy;

	if (!engine->domains)
		engine->domains = domains_new();
	domains_configure(engine->domains, policy->windows, policy->n_windows);
	engine->level_tiers = xreallocarray(engine->level_tiers, policy->n_levels + 1,
					    sizeof *engine->level_tiers);
	memset(engine->level_tiers, 0, (policy->n_levels + 1) * sizeof *engine->level_tiers);
	engine->levels_at = INT64_MAX;
	engine->levels_passed = 0;
	free(engine->given_up_at);
	engine->given_up_at = xcalloc(policy->n_rules + 1, sizeof *engine->given_up_at);
	/* Directories and tiers may have other numbers now. */
	if (engine->departures)
		engine->departures->count = 0;
	if (engine->recall)
		memset(engine->recall, 0, sizeof *engine->recall);
}

/* ---- who is asked again ---- */

static struct recall *recall_of(struct engine *engine)
{
	if (!engine->recall)
		engine->recall = xcalloc(1, sizeof *engine->recall);
	return engine->recall;
}

static bool is_wanted(const struct calls *calls)
{
	return calls->tiers || calls->everybody || calls->count;
}

void engine_recall_tiers(struct engine *engine, uint64_t tiers)
{
	recall_of(engine)->next.tiers |= tiers;
}

static void recall_domain(struct engine *engine, uint32_t domain, int64_t spread)
{
	struct calls *calls = &recall_of(engine)->next;

	for (size_t i = 0; i < calls->count; i++) {
		if (calls->list[i].domain != domain)
			continue;
		calls->list[i].spread = spread;
		return;
	}
	if (calls->count == MAX_CALLS) {
		calls->everybody = true;
		return;
	}
	calls->list[calls->count].domain = domain;
	calls->list[calls->count++].spread = spread;
	calls->bits[domain >> 6 & 255] |= UINT64_C(1) << (domain & 63);
}

/* Is the message called? *ret_spread is over what time. One with several domains is called for any.
 */
static bool is_called(const struct calls *calls, const struct message *message, int64_t *ret_spread)
{
	uint32_t domain = table_domain(message);

	*ret_spread = 0;
	if (domain == TABLE_DOMAIN_NONE)
		return false;
	if (calls->everybody || (domain == TABLE_DOMAIN_SEVERAL && calls->count))
		return true;
	if (!(calls->bits[domain >> 6 & 255] >> (domain & 63) & 1))
		return false;
	for (size_t i = 0; i < calls->count; i++) {
		if (calls->list[i].domain != domain)
			continue;
		*ret_spread = calls->list[i].spread;
		return true;
	}
	return false;
}

/* A place in the time over which many are spread: the same for a message each time. */
static int64_t place_in(const struct message *message, int64_t spread)
{
	uint64_t hash = hash_bytes(table_id(message), message->id_length);

	return (int64_t)((hash ^ hash >> 29) % (uint64_t)spread);
}

static void recall_one(struct engine *engine, msgref ref)
{
	struct message *message = table_get(engine->table, ref);
	const struct calls *calls = &engine->recall->now;
	unsigned tier = engine_directory(engine, message)->tier;
	int64_t spread, when;
	bool called;

	if (engine_is_away(message) || !message->created)
		return;
	called = is_called(calls, message, &spread);
	/* What has happened to its domain may send it back to where it was: that is no circle. */
	if (called)
		message->visited =
			(UINT64_C(1) << tier) | (message->visited & engine->policy->marks);
	if (!called || !(engine->policy->text_tiers >> tier & 1)) {
		if (calls->tiers >> tier & 1)
			engine_decide_from_memory(engine, ref);
		return;
	}
	/* One that waits for its turn under a limit is looked at then, and not before. */
	if (message->state == MESSAGE_WAITING)
		return;
	when = engine->now + (spread ? place_in(message, spread) : 0);
	if (spread) {
		if (message->deadline > when)
			table_set_deadline(engine->table, ref, when);
		return;
	}
	/* Not later, as is_too_early would have it. */
	if (message->state == MESSAGE_FAILED || message->state == MESSAGE_REFUSED)
		table_set_deadline(engine->table, ref, INT64_MAX);
	table_push_ready(engine->table, ref);
}

/* Goes on with the round of asking. Returns true when there is more to do at once. */
bool engine_recall_some(struct engine *engine, size_t most)
{
	struct recall *recall = engine->recall;

	if (!recall)
		return false;
	if (!recall->under_way) {
		/* A single pass does not come again. */
		if (!is_wanted(&recall->next) ||
		    (engine->mode == ENGINE_WATCH && engine->now < recall->not_before &&
		     recall->not_before - engine->now <= RECALL_EVERY))
			return false;
		recall->now = recall->next;
		memset(&recall->next, 0, sizeof recall->next);
		recall->under_way = true;
		recall->at = MSGREF_NONE;
	}
	for (; most; most--) {
		recall->at = table_next(engine->table, recall->at);
		if (!recall->at) {
			recall->under_way = false;
			recall->not_before = engine->now + RECALL_EVERY;
			return false;
		}
		recall_one(engine, recall->at);
	}
	return true;
}

/* ---- what happens to domains ---- */

static void report(struct engine *engine, const struct policy_window *window, const char *name,
		   size_t length, uint64_t count)
{
	bool deferred = window->kind == POLICY_DEFERRED;
	bool secret = engine_shows(engine) == POLICY_SHOW_NOTHING;
	char domain[DOMAINS_MAX_NAME + 1], within[UNITS_DURATION_TEXT], text[512];
	struct event event = {
		.action = deferred ? EVENT_DOMAIN_DEFERRED : EVENT_DOMAIN_RECOVERED,
		.text = text,
		.domain = domain,
		.counts = {{deferred ? "deferred" : "delivered", count}},
		.n_counts = 1,
	};

	snprintf(domain, sizeof domain, "%.*s", (int)length, name);
	snprintf(text, sizeof text,
		 deferred ? "%s: %llu %s failed within %s"
			  : "%s takes mail again: %llu %s within %s",
		 secret ? "a domain" : domain, (unsigned long long)count,
		 deferred ? units_plural(count, "attempt", "attempts") : "delivered",
		 units_format_duration(window->within, within, sizeof within));
	events_emit(engine->events, &event);
}

/* Windows that a domain has just reached: told, and its messages are asked again. */
static void crossed(struct engine *engine, const char *name, size_t length, uint64_t windows)
{
	for (unsigned i = 0; i < engine->policy->n_windows; i++) {
		const struct policy_window *window = &engine->policy->windows[i];
		int64_t until, spread = 0;
		uint64_t count;

		/* What was noted late may be over already. */
		if (!(windows >> i & 1) ||
		    !domains_hold(engine->domains, name, length, i, engine->now / CLOCK_SECOND,
				  &count, &until))
			continue;
		report(engine, window, name, length, count);
		if (window->kind == POLICY_DELIVERED && engine->mode == ENGINE_WATCH)
			spread = window->within * CLOCK_SECOND / 10;
		recall_domain(engine, domains_hash(name, length),
			      spread < SPREAD_MAX ? spread : SPREAD_MAX);
	}
}

static bool is_bounce(const struct policy_text *text)
{
	return text->has_sender && text->sender.length == 2 &&
	       memcmp(text->sender.bytes, "<>", 2) == 0;
}

/* Its text has been read: whose message it is. */
void engine_note_text(struct engine *engine, struct message *message)
{
	const struct policy_text *text = engine->text;
	uint32_t domain = TABLE_DOMAIN_NONE;

	if (!text || !engine->policy->n_windows)
		return;
	if (is_bounce(text) && !message->created)
		engine_directory(engine, message)->bounce_at = engine->now;
	for (size_t i = 0; i < text->n_recipients && domain != TABLE_DOMAIN_SEVERAL; i++) {
		struct policy_slice one = text->domains[i];
		uint32_t hash;

		if (!one.length)
			continue;
		hash = domains_hash(one.bytes, one.length);
		if (domain != TABLE_DOMAIN_NONE && domain != hash) {
			domain = TABLE_DOMAIN_SEVERAL;
		} else if (domain == TABLE_DOMAIN_NONE) {
			domain = hash;
		}
	}
	table_set_domain(message, domain);
}

/* The domains of one message, each once: who sends it may order its recipients as he likes. */
struct domain_set {
	uint32_t hashes[1024]; /* 0: free */
	size_t count;
};

/* Returns false when it is there already, or when there is no more room: a message to that many
 * domains says little of any. */
static bool add_domain(struct domain_set *set, struct policy_slice domain)
{
	uint32_t hash = domains_hash(domain.bytes, domain.length);
	size_t at = hash % 1024;

	for (; set->hashes[at]; at = (at + 1) % 1024)
		if (set->hashes[at] == hash)
			return false;
	if (set->count == 768)
		return false;
	set->hashes[at] = hash;
	set->count++;
	return true;
}

/* So many attempts have failed since it was last read. */
void engine_note_attempts(struct engine *engine, const struct message *message, unsigned attempts)
{
	const struct policy_text *text = engine->text;
	int64_t now = engine->now / CLOCK_SECOND;
	int64_t time = message->last_attempt < now ? message->last_attempt : now;
	struct domain_set set;

	if (!text || !engine->policy->n_windows || !attempts)
		return;
	memset(&set, 0, sizeof set);
	for (size_t i = 0; i < text->n_recipients; i++) {
		struct policy_slice one = text->domains[i];

		if (one.length && add_domain(&set, one))
			crossed(engine, one.bytes, one.length,
				domains_note_deferred(engine->domains, one.bytes, one.length, time,
						      attempts));
	}
}

static bool is_target(const struct policy *policy, unsigned tier)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (policy->rules[i].decides && policy->rules[i].action == POLICY_MOVE &&
		    policy->rules[i].target == tier)
			return true;
	return false;
}

/* One that came and went before it could be read may have been a bounce. */
void engine_note_unread(struct engine *engine, const struct message *message)
{
	struct qdir *dir = engine_directory(engine, message);

	if (is_target(engine->policy, dir->tier))
		dir->bounce_at = engine->now;
	else
		dir->unread_at = engine->now;
}

/* ---- deliveries ---- */

static bool is_there(const struct qdir *dir, const char *prefix, const struct message *message)
{
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	return !spool_name(name, prefix, table_id(message), message->id_length) ||
	       fstatat(dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Its qf was deleted, and not by us. */
void engine_note_departure(struct engine *engine, const struct message *message)
{
	const struct qdir *dir = engine_directory(engine, message);
	struct departures *departures;

	if (!message->created || table_domain(message) <= TABLE_DOMAIN_SEVERAL ||
	    engine->now - dir->unread_at <= UNREAD_COUNTS || is_there(dir, "Qf", message) ||
	    is_there(dir, "hf", message))
		return;
	if (!engine->departures)
		engine->departures = xcalloc(1, sizeof *engine->departures);
	departures = engine->departures;
	if (departures->count == MAX_DEPARTURES)
		return;
	departures->ring[(departures->first + departures->count++) % MAX_DEPARTURES] =
		(struct departure){.time = engine->now,
				   .domain = table_domain(message),
				   .directory = message->directory,
				   .tier = (uint8_t)dir->tier};
}

static void settle(struct engine *engine, const struct departure *departure)
{
	const struct qdir *dir = &engine->spool.dirs[departure->directory];
	size_t length;
	const char *name = domains_find(engine->domains, departure->domain, &length);

	if (!name || (dir->bounce_at && dir->bounce_at >= departure->time - BOUNCE_COUNTS))
		return;
	crossed(engine, name, length,
		domains_note_delivered(engine->domains, name, length,
				       departure->time / CLOCK_SECOND, departure->tier));
}

/* What has waited long enough, counts. */
void engine_settle_departures(struct engine *engine)
{
	struct departures *departures = engine->departures;

	while (departures && departures->count) {
		const struct departure *departure = &departures->ring[departures->first];

		if (departure->time + SETTLE_AFTER > engine->now && departure->time <= engine->now)
			return;
		settle(engine, departure);
		departures->first = (departures->first + 1) % MAX_DEPARTURES;
		departures->count--;
	}
}

int64_t engine_domains_deadline(const struct engine *engine)
{
	const struct departures *departures = engine->departures;
	const struct recall *recall = engine->recall;
	int64_t deadline = INT64_MAX;

	if (engine->mode != ENGINE_WATCH)
		return deadline;
	if (departures && departures->count)
		deadline = departures->ring[departures->first].time + SETTLE_AFTER;
	if (recall && is_wanted(&recall->next) && recall->not_before < deadline)
		deadline = recall->not_before;
	if (engine->levels_at < deadline)
		deadline = engine->levels_at;
	return deadline;
}
