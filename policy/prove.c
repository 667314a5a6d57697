/* prove.c - see prove.h
 *
 * Each rule becomes a list of cases (cases.h). What the rules before it decide for is taken away
 * from it, tier by tier; where nothing is left, the rule never acts there. What is left of those
 * that move is what the circles are looked for in.
 */
#include "qfwatch/prove.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "paths.h"
#include "qfwatch/units.h"
#include "text.h"

#define TIER(i) (UINT64_C(1) << (i))

/* Circles that are told; and how far one is looked for. */
#define CIRCLES	     16
#define CIRCLE_TIERS 16

/* A rule that moves from one tier, and what reaches it there. */
struct edge {
	size_t rule;
	unsigned from, to;
	struct cases cases;
};

/* The way from a tier to where a circle has come so far. */
struct walk {
	const struct edge *edges[CIRCLE_TIERS];
	unsigned length;
};

struct prover {
	const struct policy *policy;
	const char *path;
	const struct prove_sendmail *sendmail;
	struct problems *problems;
	struct cases_maker maker;
	struct cases *rules; /* of each rule by itself */
	uint64_t *reached;   /* of each rule: the tiers in which it may act */
	struct edge *edges;
	size_t n_edges, edges_room;
	struct walk circles[CIRCLES];
	unsigned n_circles;
};

/* ---- findings ---- */

static void note(struct prover *prover, const char *pointer, const char *found,
		 const char *expected)
{
	problems_add_at(prover->problems, PROBLEM_NOTE, &(struct problem_place){.pointer = pointer},
			"%s: %s at %s: %s", prover->path, found,
			*pointer ? pointer : "the top level", expected);
}

static void note_rule(struct prover *prover, size_t rule, const char *key, const char *found,
		      const char *expected)
{
	struct text pointer = {0};

	text_add(&pointer, "/rules/%zu%s", rule, key);
	note(prover, pointer.bytes, found, expected);
}

static void quote_name(struct text *text, const char *name)
{
	text_quote(text, name, strlen(name));
}

static void add_rule(struct text *text, const struct policy_rule *rule, const char *after)
{
	text_add(text, "rule ");
	quote_name(text, rule->name);
	text_add(text, "%s", after);
}

static void add_tiers(struct text *text, const struct policy *policy, uint64_t tiers)
{
	struct text list = {0};

	for (unsigned i = 0; i < policy->n_tiers; i++)
		if (tiers & TIER(i))
			text_list(&list, policy->tiers[i].name);
	text_add(text, "%s", list.bytes);
}

static void add_duration(struct text *text, int64_t seconds)
{
	char words[UNITS_DURATION_TEXT];

	text_add(text, "%s", units_format_duration(seconds, words, sizeof(words)));
}

/* ---- rules that never match ---- */

static void add_clash(struct text *text, const struct cases_maker *maker)
{
	if (!maker->clash)
		text_add(text, "its conditions contradict each other");
	else if (strcmp(maker->clash, "always") == 0)
		text_add(text, "\"not\" \"always\" holds for no message");
	else
		text_add(text, "no message satisfies all that it says of \"%s\"", maker->clash);
}

/* One of several conditions in an "any" that adds nothing, as the rule's others stand. */
static void find_empty_choices(struct prover *prover, size_t i)
{
	const struct policy_rule *rule = &prover->policy->rules[i];

	for (size_t k = 0; k < rule->n_conditions; k++) {
		const struct policy_condition *any = &rule->conditions[k];

		if (any->kind != POLICY_ANY)
			continue;
		for (size_t n = 0; n < any->n_children; n++) {
			struct text key = {0}, expected = {0};
			struct cases cases;

			cases_all(&prover->maker, &cases);
			cases_and(&prover->maker, &cases, &any->children[n], true);
			for (size_t m = 0; m < rule->n_conditions; m++)
				if (m != k)
					cases_and(&prover->maker, &cases, &rule->conditions[m],
						  true);
			if (cases_none(&prover->maker, &cases)) {
				text_add(&key, "/when/any/%zu", n);
				add_clash(&expected, &prover->maker);
				note_rule(prover, i, key.bytes, "a choice that never holds",
					  expected.bytes);
			}
			cases_free(&cases);
		}
	}
}

static void find_never_matching(struct prover *prover, size_t i)
{
	const struct policy_rule *rule = &prover->policy->rules[i];
	struct text found = {0}, expected = {0};
	struct cases *cases = &prover->rules[i];

	cases_all(&prover->maker, cases);
	cases_and_rule(&prover->maker, cases, rule, true);
	if (!cases_none(&prover->maker, cases)) {
		find_empty_choices(prover, i);
		return;
	}
	add_rule(&found, rule, " that never matches");
	add_clash(&expected, &prover->maker);
	note_rule(prover, i, "/when", found.bytes, expected.bytes);
}

/* ---- rules that are never reached ---- */

static bool never_matches(const struct prover *prover, size_t rule)
{
	return cases_none(&prover->maker, &prover->rules[rule]);
}

/* Does `before` decide for messages of the tier before another rule is tried? */
static bool decides(const struct prover *prover, size_t before, unsigned tier)
{
	const struct policy_rule *rule = &prover->policy->rules[before];

	return rule->decides && (rule->tiers & TIER(tier)) &&
	       (prover->reached[before] & TIER(tier));
}

/* Takes from the cases what the rule decides for; leaves them if that is more than can be said. */
static void take_away(struct prover *prover, struct cases *cases, const struct policy_rule *rule)
{
	struct cases rest;

	cases_copy(&prover->maker, cases, &rest);
	cases_and_rule(&prover->maker, &rest, rule, false);
	if (rest.unknown) {
		cases_free(&rest);
		return;
	}
	cases_free(cases);
	*cases = rest;
}

/* What the rules before it leave a rule in a tier; *ret_taker is the rule that alone takes
 * everything, if one does, else SIZE_MAX. */
static struct cases find_rest(struct prover *prover, size_t rule, unsigned tier, size_t *ret_taker)
{
	struct cases rest, alone;

	*ret_taker = SIZE_MAX;
	cases_copy(&prover->maker, &prover->rules[rule], &rest);
	for (size_t i = 0; i < rule && rest.count; i++)
		if (decides(prover, i, tier))
			take_away(prover, &rest, &prover->policy->rules[i]);
	for (size_t i = 0; i < rule && cases_none(&prover->maker, &rest); i++) {
		if (!decides(prover, i, tier))
			continue;
		cases_copy(&prover->maker, &prover->rules[rule], &alone);
		take_away(prover, &alone, &prover->policy->rules[i]);
		if (cases_none(&prover->maker, &alone)) {
			*ret_taker = i;
			break;
		}
		cases_free(&alone);
	}
	return rest;
}

static void add_edge(struct prover *prover, size_t rule, unsigned tier, struct cases *rest)
{
	if (prover->n_edges == prover->edges_room) {
		size_t room = prover->edges_room ? 2 * prover->edges_room : 16;
		struct edge *edges = memory_resize(prover->edges, room * sizeof(*edges));

		if (!edges) {
			prover->maker.no_memory = true;
			cases_free(rest);
			return;
		}
		prover->edges = edges;
		prover->edges_room = room;
	}
	/* How many stand in a tier is another number in the next one. */
	cases_forget(rest, CASES_TIER_MESSAGES);
	prover->edges[prover->n_edges++] =
		(struct edge){rule, tier, prover->policy->rules[rule].target, *rest};
}

static void tell_never_reached(struct prover *prover, size_t i, uint64_t tiers, size_t taker)
{
	const struct policy *policy = prover->policy;
	const struct policy_rule *rule = &policy->rules[i];
	struct text found = {0}, expected = {0};

	add_rule(&found, rule, " that is never reached");
	if (tiers != rule->tiers) {
		text_add(&found, " in ");
		add_tiers(&found, policy, tiers);
	}
	if (taker == SIZE_MAX) {
		text_add(&expected, "the rules before it");
	} else {
		add_rule(&expected, &policy->rules[taker], "");
		text_add(&expected, ", at /rules/%zu,", taker);
	}
	text_add(&expected, " decide%s for every message that it matches",
		 taker == SIZE_MAX ? "" : "s");
	note_rule(prover, i, "", found.bytes, expected.bytes);
}

static void find_never_reached(struct prover *prover, size_t i)
{
	const struct policy_rule *rule = &prover->policy->rules[i];
	size_t n_tiers = prover->policy->n_tiers;
	uint64_t all = n_tiers < 64 ? TIER(n_tiers) - 1 : UINT64_MAX;
	uint64_t never = 0;
	size_t taker = SIZE_MAX;

	for (unsigned tier = 0; tier < n_tiers; tier++) {
		struct cases rest;
		size_t one;

		if (!(rule->tiers & TIER(tier)))
			continue;
		rest = find_rest(prover, i, tier, &one);
		if (cases_none(&prover->maker, &rest)) {
			taker = !never || taker == one ? one : SIZE_MAX;
			never |= TIER(tier);
		} else {
			prover->reached[i] |= TIER(tier);
		}
		if (rule->decides && rule->action == POLICY_MOVE && rest.count)
			add_edge(prover, i, tier, &rest);
		else
			cases_free(&rest);
	}
	/* A rule for all tiers behind one for some of them: that is how exceptions are written. */
	if (never && (never == rule->tiers || rule->tiers != all))
		tell_never_reached(prover, i, never, taker);
}

/* ---- tiers ---- */

/* Only tiers that a rule is for or moves to: load.c tells of the others. */
static void find_dead_ends(struct prover *prover)
{
	const struct policy *policy = prover->policy;
	uint64_t named = 0, out = 0, in = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		named |= rule->tiers;
		if (rule->decides && rule->action == POLICY_MOVE)
			named |= TIER(rule->target);
		if (!prover->reached[i] || !rule->decides)
			continue;
		if (rule->action != POLICY_STAY)
			out |= prover->reached[i];
		if (rule->action == POLICY_MOVE)
			in |= TIER(rule->target);
	}
	for (unsigned i = 0; i < policy->n_tiers; i++) {
		struct text pointer = {0}, name = {0}, found = {0};

		if (!(named & TIER(i)))
			continue;
		text_add(&pointer, "/tiers/%u", i);
		text_add(&name, "tier ");
		quote_name(&name, policy->tiers[i].name);
		if (!(out & TIER(i))) {
			text_add(&found, "%s without a way out", name.bytes);
			note(prover, pointer.bytes, found.bytes,
			     "no rule moves, deletes or bounces its messages: they stay until "
			     "sendmail has delivered or returned them");
		}
		/* Mail comes in at the first one. */
		if (i && !(in & TIER(i))) {
			found = (struct text){0};
			text_add(&found, "%s without a way in", name.bytes);
			note(prover, pointer.bytes, found.bytes,
			     "no rule moves messages there: it gets only what sendmail queues "
			     "there and what is moved by hand");
		}
	}
}

/* ---- circles ---- */

/* Of several rules that lead round the same tiers the first are told. */
static bool is_told(const struct prover *prover, const struct walk *walk)
{
	for (unsigned i = 0; i < prover->n_circles; i++) {
		const struct walk *told = &prover->circles[i];
		bool same = told->length == walk->length;

		for (unsigned k = 0; same && k < walk->length; k++)
			same = told->edges[k]->from == walk->edges[k]->from;
		if (same)
			return true;
	}
	return false;
}

static void tell_circle(struct prover *prover, const struct walk *walk)
{
	const struct policy *policy = prover->policy;
	struct text found = {0}, rules = {0};

	prover->circles[prover->n_circles++] = *walk;
	text_add(&found, "moves that can circle, ");
	for (unsigned i = 0; i < walk->length; i++) {
		text_add(&found, "%s -> ", policy->tiers[walk->edges[i]->from].name);
		text_list(&rules, policy->rules[walk->edges[i]->rule].name);
	}
	text_add(&found, "%s,", policy->tiers[walk->edges[0]->from].name);
	text_add(&rules, " may match the same message without a new attempt between them; qfwatch "
			 "stops that with message-refused, but the message then stays where it "
			 "is until its next attempt");
	note_rule(prover, walk->edges[0]->rule, "/then/move", found.bytes, rules.bytes);
}

static bool has_been(const struct walk *walk, unsigned tier)
{
	for (unsigned i = 0; i < walk->length; i++)
		if (walk->edges[i]->from == tier)
			return true;
	return false;
}

/* Goes on from where the walk stands with a message of one of the cases. Each circle is begun at
 * its first tier. */
static void walk_on(struct prover *prover, struct walk *walk, const struct cases *cases)
{
	unsigned start = walk->edges[0]->from;
	unsigned here = walk->edges[walk->length - 1]->to;

	if (walk->length == CIRCLE_TIERS)
		return;
	for (size_t i = 0; i < prover->n_edges && prover->n_circles < CIRCLES; i++) {
		const struct edge *edge = &prover->edges[i];
		struct cases both;

		if (edge->from != here || edge->to < start ||
		    (edge->to != start && has_been(walk, edge->to)))
			continue;
		cases_copy(&prover->maker, cases, &both);
		cases_and_cases(&prover->maker, &both, &edge->cases);
		walk->edges[walk->length++] = edge;
		if (both.count && edge->to != start)
			walk_on(prover, walk, &both);
		else if (both.count && !is_told(prover, walk))
			tell_circle(prover, walk);
		walk->length--;
		cases_free(&both);
	}
}

static void find_circles(struct prover *prover)
{
	for (size_t i = 0; i < prover->n_edges; i++) {
		const struct edge *edge = &prover->edges[i];
		struct walk walk = {.edges = {edge}, .length = 1};

		if (edge->to > edge->from)
			walk_on(prover, &walk, &edge->cases);
	}
}

/* ---- sendmail's own times ---- */

/* "Timeout.queuereturn in FILE" */
static void add_source(struct text *text, const struct prover *prover, const char *option)
{
	text_add(text, "(%s in %s)", option, prover->sendmail->file);
}

static void find_late(struct prover *prover, size_t i, int64_t age)
{
	struct text found = {0}, expected = {0};

	add_rule(&found, &prover->policy->rules[i], " that acts from an age of ");
	add_duration(&found, age);
	text_add(&found, " on");
	text_add(&expected, "sendmail returns messages after ");
	add_duration(&expected, prover->sendmail->return_last);
	text_add(&expected, " ");
	add_source(&expected, prover, "Timeout.queuereturn");
	text_add(&expected, ": the rule sees only what no queue runner has tried since");
	note_rule(prover, i, "/when", found.bytes, expected.bytes);
}

static void find_early(struct prover *prover, size_t i, int64_t age)
{
	struct text found = {0}, expected = {0};

	add_rule(&found, &prover->policy->rules[i], " that deletes ");
	if (age > 0) {
		text_add(&found, "from an age of ");
		add_duration(&found, age);
		text_add(&found, " on");
	} else {
		text_add(&found, "at any age");
	}
	text_add(&expected, "sendmail returns messages after ");
	add_duration(&expected, prover->sendmail->return_first);
	text_add(&expected, " ");
	add_source(&expected, prover, "Timeout.queuereturn");
	text_add(&expected, ": what is deleted before, its sender is not told of; with "
			    "\"bounce\" he is");
	note_rule(prover, i, "/then/delete", found.bytes, expected.bytes);
}

static void find_rare_attempts(struct prover *prover, size_t i, int64_t attempts)
{
	const struct prove_sendmail *sendmail = prover->sendmail;
	struct text found = {0}, expected = {0};

	add_rule(&found, &prover->policy->rules[i], "");
	text_add(&found, " that waits for %lld %s", (long long)attempts,
		 units_plural((uint64_t)attempts, "attempt", "attempts"));
	text_add(&expected, "sendmail tries a message at most every ");
	add_duration(&expected, sendmail->min_queue_age);
	text_add(&expected, " ");
	add_source(&expected, prover, "MinQueueAge");
	if (sendmail->max_queue_age > sendmail->min_queue_age) {
		text_add(&expected, ", an older one less and less, down to every ");
		add_duration(&expected, sendmail->max_queue_age);
		text_add(&expected, " (MaxQueueAge)");
	}
	text_add(&expected, ": that takes ");
	add_duration(&expected, (attempts - 1) * sendmail->min_queue_age);
	text_add(&expected, " at least");
	note_rule(prover, i, "/when", found.bytes, expected.bytes);
}

/* What the file queues, does a rule see it? */
static void find_directory(struct prover *prover)
{
	const struct policy *policy = prover->policy;
	const char *queue = prover->sendmail->queue_directory;
	struct text found = {0};

	for (size_t i = 0; i < policy->n_tiers; i++) {
		const char *tier = policy->tiers[i].directory;

		if (strcmp(tier, queue) == 0 || fnmatch(tier, queue, FNM_PATHNAME) == 0 ||
		    fnmatch(queue, tier, FNM_PATHNAME) == 0 || paths_inside(tier, queue) ||
		    paths_inside(queue, tier))
			return;
	}
	text_add(&found, "no tier with the QueueDirectory ");
	quote_name(&found, queue);
	text_add(&found, " of %s", prover->sendmail->file);
	note(prover, "/tiers", found.bytes, "what sendmail queues by that file, no rule sees");
}

static void compare_times(struct prover *prover)
{
	const struct policy *policy = prover->policy;
	const struct prove_sendmail *sendmail = prover->sendmail;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		const struct cases *cases = &prover->rules[i];
		int64_t age, attempts;

		if (!prover->reached[i] || cases->unknown || !cases->count)
			continue;
		age = cases_lowest(cases, CASES_AGE);
		attempts = cases_lowest(cases, CASES_ATTEMPTS);
		if (age > sendmail->return_last)
			find_late(prover, i, age);
		else if (rule->decides && rule->action == POLICY_DELETE &&
			 age < sendmail->return_first)
			find_early(prover, i, age);
		if (sendmail->min_queue_age > 0 && attempts > 1)
			find_rare_attempts(prover, i, attempts);
	}
	if (sendmail->queue_directory)
		find_directory(prover);
}

/* ---- the whole ---- */

static bool begin(struct prover *prover)
{
	size_t n = prover->policy->n_rules ? prover->policy->n_rules : 1;

	prover->rules = pool_array(&prover->maker.pool, n, sizeof(*prover->rules));
	prover->reached = pool_array(&prover->maker.pool, n, sizeof(*prover->reached));
	return prover->rules && prover->reached;
}

static void end(struct prover *prover)
{
	for (size_t i = 0; prover->rules && i < prover->policy->n_rules; i++)
		cases_free(&prover->rules[i]);
	for (size_t i = 0; i < prover->n_edges; i++)
		cases_free(&prover->edges[i].cases);
	free(prover->edges);
	cases_end(&prover->maker);
}

void policy_prove(const struct policy *policy, const char *path,
		  const struct prove_sendmail *sendmail, struct problems *problems)
{
	struct prover prover = {.policy = policy,
				.path = path,
				.sendmail = sendmail,
				.problems = problems,
				.maker = {.policy = policy}};

	if (!begin(&prover))
		prover.maker.no_memory = true;
	for (size_t i = 0; i < policy->n_rules && !prover.maker.no_memory; i++) {
		find_never_matching(&prover, i);
		if (!never_matches(&prover, i))
			find_never_reached(&prover, i);
	}
	if (!prover.maker.no_memory) {
		find_dead_ends(&prover);
		find_circles(&prover);
		if (sendmail)
			compare_times(&prover);
	}
	if (prover.maker.no_memory)
		problems->incomplete = true;
	else if (prover.maker.steps > CASES_STEPS)
		note(&prover, "", "more rules and conditions than can be compared with each other",
		     "what was not compared, nothing is said of");
	end(&prover);
}
