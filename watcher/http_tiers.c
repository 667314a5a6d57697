/* http_tiers.c - /api/v1/tiers: what stands in each tier, what flows between them, what the rules
 * have done, and the last hour. */
#include "http_parts.h"

#include <string.h>

#include "qfwatch/ages.h"
#include "qfwatch/tally.h"

struct tiers {
	struct json_text *body;
	const struct engine *engine;
	const struct policy *policy;
	const struct tally *tally;
	const struct ages *ages;
	int64_t now; /* seconds */
};

/* ---- tiers ---- */

static void put_older(const struct tiers *tiers, unsigned tier)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} limits[] = {{"1h", 3600}, {"1d", 86400}, {"3d", 3 * 86400}, {"5d", 5 * 86400}};

	json_text_add(tiers->body, ",\"older_than\":{");
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		json_text_add(tiers->body, "%s\"%s\":%llu", i ? "," : "", limits[i].name,
			      (unsigned long long)ages_older_than(tiers->ages, tier,
								  limits[i].seconds, tiers->now));
	json_text_add(tiers->body, "}");
}

static void put_directories(const struct tiers *tiers, unsigned tier)
{
	static const char *const states[] = {
		[ENGINE_VIEW_WATCHED] = "watched",
		[ENGINE_VIEW_POLLED] = "polled",
		[ENGINE_VIEW_LOST] = "lost",
	};
	bool any = false;

	json_text_add(tiers->body, ",\"directories\":[");
	for (size_t i = 0; i < engine_view_directories(tiers->engine); i++) {
		struct engine_view_directory dir;

		if (!engine_view_directory(tiers->engine, i, &dir) || dir.tier != tier)
			continue;
		json_text_add(tiers->body, any ? ",{\"path\":" : "{\"path\":");
		json_text_string(tiers->body, dir.path);
		json_text_add(tiers->body, ",\"state\":\"%s\",\"error\":", states[dir.state]);
		json_text_string(tiers->body, dir.state == ENGINE_VIEW_LOST
						      ? engine_view_lost_reason(dir.error)
						      : NULL);
		json_text_add(tiers->body, ",\"messages\":%llu}", (unsigned long long)dir.messages);
		any = true;
	}
	json_text_add(tiers->body, "]");
}

static void put_rates(const struct tiers *tiers, unsigned tier)
{
	static const struct {
		const char *name;
		enum tally_kind kind;
	} rates[] = {{"arrived", TALLY_ARRIVED},     {"departed", TALLY_DEPARTED},
		     {"attempted", TALLY_ATTEMPTED}, {"deleted", TALLY_DELETED},
		     {"moved_in", TALLY_MOVED_IN},   {"moved_out", TALLY_MOVED_OUT}};

	json_text_add(tiers->body, ",\"rates\":{");
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		struct tally_sums sums = tally_of_tier(tiers->tally, tier, rates[i].kind);

		json_text_add(tiers->body, "%s\"%s\":{\"minute\":%llu,\"hour\":%llu}", i ? "," : "",
			      rates[i].name, (unsigned long long)sums.minute,
			      (unsigned long long)sums.hour);
	}
	json_text_add(tiers->body, "}");
}

static void put_tier(const struct tiers *tiers, unsigned tier)
{
	int64_t oldest = ages_oldest(tiers->ages, tier);
	uint64_t states[MESSAGE_STATES];

	for (unsigned i = 0; i < MESSAGE_STATES; i++)
		states[i] = ages_in_state(tiers->ages, tier, (enum message_state)i);
	json_text_add(tiers->body, tier ? ",{\"name\":" : "{\"name\":");
	json_text_string(tiers->body, tiers->policy->tiers[tier].name);
	json_text_add(tiers->body, ",\"messages\":%llu,\"bytes\":%llu,\"oldest\":",
		      (unsigned long long)ages_messages(tiers->ages, tier),
		      (unsigned long long)ages_bytes(tiers->ages, tier));
	json_text_time(tiers->body, oldest < 0 ? 0 : oldest * CLOCK_SECOND);
	put_older(tiers, tier);
	json_text_add(tiers->body, ",\"states\":{");
	http_put_states(tiers->body, states);
	json_text_add(tiers->body, "}");
	put_directories(tiers, tier);
	put_rates(tiers, tier);
	json_text_add(tiers->body, "}");
}

/* ---- flows and rules ---- */

static void put_flows(const struct tiers *tiers)
{
	struct tally_flow flow;

	json_text_add(tiers->body, ",\"flows\":[");
	for (size_t i = 0; tally_flow(tiers->tally, i, &flow); i++) {
		json_text_add(tiers->body, i ? ",{\"from\":" : "{\"from\":");
		json_text_string(tiers->body, tiers->policy->tiers[flow.from].name);
		json_text_add(tiers->body, ",\"to\":");
		json_text_string(tiers->body, tiers->policy->tiers[flow.to].name);
		json_text_add(tiers->body, ",\"total\":%llu,\"minute\":%llu,\"hour\":%llu}",
			      (unsigned long long)flow.moved.total,
			      (unsigned long long)flow.moved.minute,
			      (unsigned long long)flow.moved.hour);
	}
	json_text_add(tiers->body, "]");
}

static void put_rule(const struct tiers *tiers, size_t index)
{
	static const char *const outcomes[] = {
		[TALLY_RULE_ACTED] = "acted",
		[TALLY_RULE_FAILED] = "failed",
		[TALLY_RULE_REFUSED] = "refused",
		[TALLY_RULE_BUSY] = "busy",
	};
	const struct policy_rule *rule = &tiers->policy->rules[index];
	bool moves = rule->decides && rule->action == POLICY_MOVE, any = false;

	json_text_add(tiers->body, index ? ",{\"name\":" : "{\"name\":");
	json_text_string(tiers->body, rule->name);
	json_text_add(tiers->body, ",\"tiers\":[");
	for (size_t i = 0; i < tiers->policy->n_tiers; i++) {
		if (!(rule->tiers >> i & 1))
			continue;
		json_text_add(tiers->body, any ? "," : "");
		json_text_string(tiers->body, tiers->policy->tiers[i].name);
		any = true;
	}
	json_text_add(tiers->body, "],\"action\":\"%s\",\"target\":", policy_rule_word(rule));
	json_text_string(tiers->body, moves ? tiers->policy->tiers[rule->target].name : NULL);
	for (unsigned i = 0; i < TALLY_OUTCOMES; i++)
		json_text_add(tiers->body, ",\"%s\":%llu", outcomes[i],
			      (unsigned long long)tally_of_rule(tiers->tally, index,
								(enum tally_outcome)i));
	json_text_add(tiers->body, "}");
}

/* ---- the last hour ---- */

static void put_history(const struct tiers *tiers)
{
	static const struct {
		const char *name;
		enum tally_kind kind;
	} lines[] = {{"arrived", TALLY_ARRIVED},
		     {"moved", TALLY_MOVED_OUT},
		     {"departed", TALLY_DEPARTED},
		     {"deleted", TALLY_DELETED},
		     {"failed", TALLY_FAILED}};
	uint32_t minutes[TALLY_MINUTES];
	int64_t from = tally_history(tiers->tally, TALLY_ARRIVED, minutes);

	json_text_add(tiers->body, ",\"history\":{\"from\":");
	json_text_time(tiers->body, from * CLOCK_SECOND);
	json_text_add(tiers->body, ",\"minutes\":%d", TALLY_MINUTES);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		tally_history(tiers->tally, lines[i].kind, minutes);
		json_text_add(tiers->body, ",\"%s\":[", lines[i].name);
		for (size_t k = 0; k < TALLY_MINUTES; k++)
			json_text_add(tiers->body, k ? ",%u" : "%u", minutes[k]);
		json_text_add(tiers->body, "]");
	}
	json_text_add(tiers->body, "}");
}

void http_tiers(struct http_request *request, const char *rest)
{
	struct engine *engine = request->http->engine;
	int64_t now = clock_now();
	struct tiers tiers = {
		.body = &request->body,
		.engine = engine,
		.policy = engine_view_policy(engine),
		.tally = engine_get_tally(engine, now),
		.ages = engine_get_ages(engine),
		.now = now / CLOCK_SECOND,
	};

	(void)rest;
	if (!http_query_is_known(request, (const char *const[]){NULL}))
		return;
	json_text_add(tiers.body, "{\"now\":");
	json_text_time(tiers.body, now);
	json_text_add(tiers.body, ",\"tiers\":[");
	for (unsigned i = 0; i < tiers.policy->n_tiers; i++)
		put_tier(&tiers, i);
	json_text_add(tiers.body, "]");
	put_flows(&tiers);
	json_text_add(tiers.body, ",\"rules\":[");
	for (size_t i = 0; i < tiers.policy->n_rules; i++)
		put_rule(&tiers, i);
	json_text_add(tiers.body, "]");
	put_history(&tiers);
	json_text_add(tiers.body, "}\n");
	http_answer(request, MHD_HTTP_OK, HTTP_JSON);
}
