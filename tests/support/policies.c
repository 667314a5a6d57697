/* policies.c - see policies.h */
#include "policies.h"

#include <stdlib.h>
#include <string.h>

#include "../../policy/pattern.h"

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- written ---- */

struct policy *policies_parse(const char *rules)
{
	static const char head[] = "{'version':1,'allow_delete':true,'tiers':["
				   "{'name':'A','directory':'/a'},{'name':'B','directory':'/b'},"
				   "{'name':'C','directory':'/c'},{'name':'D','directory':'/d'}],"
				   "'rules':";
	struct problems problems = {0};
	struct policy *policy = NULL;
	size_t size = strlen(head) + strlen(rules) + 2;
	char *text = must(malloc(size));
	int r;

	snprintf(text, size, "%s%s}", head, rules);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	r = policy_parse(text, strlen(text), "/etc/policy.json", &problems, &policy);
	for (size_t i = 0; i < problems.count && r < 0; i++)
		fprintf(stderr, "%s\n", problems.list[i].text);
	if (r < 0) {
		fprintf(stderr, "%s\n", text);
		abort();
	}
	free(text);
	problems_free(&problems);
	return policy;
}

struct policy *policies_when(const char *when)
{
	size_t size = strlen(when) + 100;
	char *rules = must(malloc(size));
	struct policy *policy;

	snprintf(rules, size, "[{'tier':'A','when':%s,'then':{'keep':true}}]", when);
	policy = policies_parse(rules);
	free(rules);
	return policy;
}

struct policy_slice policies_slice(const char *text)
{
	return (struct policy_slice){text, strlen(text)};
}

static bool window_holds(const void *context, struct policy_slice domain, unsigned window,
			 int64_t at, uint64_t *ret_count, int64_t *ret_until)
{
	const struct policies_history *history = context;

	*ret_count = 0;
	*ret_until = POLICY_NEVER;
	for (size_t i = 0; i < history->n; i++) {
		const struct policies_window *one = &history->windows[i];

		if (one->window != window || strlen(one->domain) != domain.length ||
		    memcmp(one->domain, domain.bytes, domain.length) != 0 || at >= one->until)
			continue;
		*ret_count = one->count;
		*ret_until = one->until;
		return true;
	}
	return false;
}

struct policy_history policies_history(const struct policies_history *history)
{
	return (struct policy_history){window_holds, history};
}

/* ---- by lot: rules ---- */

uint32_t policies_draw(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

#define draw		   policies_draw
#define ONE_OF(seed, list) ((list)[draw((seed), sizeof(list) / sizeof((list)[0]))])

static void draw_when(FILE *to, uint64_t *seed, uint32_t keys, unsigned depth);

/* A range over 0 to most. */
static void draw_range(FILE *to, uint64_t *seed, uint32_t most)
{
	uint32_t low = draw(seed, most), high = low + 1 + draw(seed, most - low);

	switch (draw(seed, 4)) {
	case 0:
		fprintf(to, "{'below':%u}", high);
		break;
	case 1:
		fprintf(to, "{'at_least':%u,'below':%u}", low, high);
		break;
	default:
		fprintf(to, "%u", low + 1);
		break;
	}
}

bool policies_costly;

/* It tries all ways to divide a text before it says no. */
static const char *one_pattern(uint64_t *seed, const char *const *patterns, unsigned n)
{
	if (policies_costly && draw(seed, 4) == 0)
		return "{'regex':'^(.+)+[#~]$'}";
	return patterns[draw(seed, n)];
}

static void draw_pattern(FILE *to, uint64_t *seed, const char *const *patterns, unsigned n)
{
	unsigned count = draw(seed, 4) ? 1 : 1 + draw(seed, 3);

	if (count == 1) {
		fputs(one_pattern(seed, patterns, n), to);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		fprintf(to, "%c%s", i ? ',' : '[', one_pattern(seed, patterns, n));
	fputc(']', to);
}

static void hurry(const struct policy_condition *condition)
{
	if (condition->pattern)
		pattern_set_budget(condition->pattern, 60);
	for (size_t i = 0; i < condition->n_children; i++)
		hurry(&condition->children[i]);
}

void policies_hurry(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		for (size_t k = 0; k < policy->rules[i].n_conditions; k++)
			hurry(&policy->rules[i].conditions[k]);
}

#define PATTERN(to, seed, list) draw_pattern(to, seed, list, sizeof(list) / sizeof((list)[0]))

static void draw_recipient(FILE *to, uint64_t *seed, const char *const *patterns, unsigned n)
{
	bool every = draw(seed, 3) == 0;

	fputs(every ? "{'all':" : "", to);
	draw_pattern(to, seed, patterns, n);
	fputs(every ? "}" : "", to);
}

static void draw_domain(FILE *to, uint64_t *seed)
{
	static const char *const tiers[] = {"['A']", "['B','C']", "'*'"};

	if (draw(seed, 2))
		fprintf(to, "{'deferred':%u,'within':%u}", 1 + draw(seed, 4),
			60 * (1 + draw(seed, 2)));
	else
		fprintf(to, "{'delivered_from':%s,'at_least':%u,'within':%u}", ONE_OF(seed, tiers),
			1 + draw(seed, 3), 60 * (1 + draw(seed, 2)));
}

static void draw_children(FILE *to, uint64_t *seed, uint32_t keys, unsigned depth)
{
	unsigned n = 1 + draw(seed, 3);

	for (unsigned i = 0; i < n; i++) {
		fputc(i ? ',' : '[', to);
		draw_when(to, seed, keys, depth + 1);
	}
	fputc(']', to);
}

static const char *const addresses[] = {
	"'a@x.net'", "'A@X.net'",      "'*@x.net'",	  "'b@y.org'",
	"'?@y.org'", "{'regex':'@y'}", "{'regex':'^a@'}", "'*'",
};
static const char *const senders[] = {"'<>'", "'a@x.net'", "'*@x.net'",
				      "'*'",  "'b@y.org'", "{'regex':'^<>$'}"};
static const char *const domains[] = {"'x.net'", "'y.org'", "'*.org'",
				      "'*'",	 "'z.com'", "{'regex':'^$'}"};
static const char *const statuses[] = {"'Deferred*'", "'*timeout'", "'Deferred: timeout'",
				       "'other'", "'*'"};
static const char *const headers[] = {"'bulk'", "'b*'", "'*'", "'list'", "{'regex':'u'}"};

enum { KEYS = 17 };

static void draw_condition(FILE *to, uint64_t *seed, unsigned key, uint32_t keys, unsigned depth)
{
	static const char *const facts[] = {"true", "false"};
	static const char *const names[KEYS] = {
		"always",	 "attempts", "recipients", "tier_messages", "age",
		"since_attempt", "size",     "sender",	   "recipient",	    "recipient_domain",
		"status",	 "header",   "incomplete", "quarantined",   "domain",
		"any",		 "not"};

	fprintf(to, "'%s':", names[key]);
	switch (key) {
	case 0:
		fputs("true", to);
		break;
	case 1:
	case 2:
	case 3:
		draw_range(to, seed, 6);
		break;
	case 4:
	case 5:
		draw_range(to, seed, 150);
		break;
	case 6:
		draw_range(to, seed, 6);
		break;
	case 7:
		PATTERN(to, seed, senders);
		break;
	case 8:
		draw_recipient(to, seed, addresses, sizeof(addresses) / sizeof(*addresses));
		break;
	case 9:
		draw_recipient(to, seed, domains, sizeof(domains) / sizeof(*domains));
		break;
	case 10:
		PATTERN(to, seed, statuses);
		break;
	case 11:
		fputs(draw(seed, 2) ? "{'X-Kind':" : "{'x-other':", to);
		PATTERN(to, seed, headers);
		fputc('}', to);
		break;
	case 12:
	case 13:
		fputs(ONE_OF(seed, facts), to);
		break;
	case 14:
		draw_domain(to, seed);
		break;
	case 15:
		draw_children(to, seed, keys, depth);
		break;
	default:
		draw_when(to, seed, keys, depth + 1);
		break;
	}
}

/* One to three different keys of these; times more often than the others, since they are what
 * passes.
 */
static void draw_when(FILE *to, uint64_t *seed, uint32_t keys, unsigned depth)
{
	unsigned n = 1 + draw(seed, 3), kinds = depth < 3 ? KEYS : KEYS - 2;
	uint32_t used = 0;

	fputc('{', to);
	for (unsigned i = 0; i < n; i++) {
		unsigned key = draw(seed, 3) ? draw(seed, kinds) : 4 + draw(seed, 2);

		while (!(keys >> key & 1))
			key = draw(seed, kinds);
		if (used >> key & 1)
			continue;
		fputs(used ? "," : "", to);
		used |= 1u << key;
		draw_condition(to, seed, key, keys, depth);
	}
	fputc('}', to);
}

static void draw_rule(FILE *to, uint64_t *seed, uint32_t keys)
{
	static const char *const thens[] = {"{'keep':true}",   "{'delete':true}",
					    "{'bounce':true}", "{'notify':true}",
					    "{'notify':true}", "{'move':'D','notify':true}",
					    "{'move':'D'}"};
	static const char *const tiers[] = {"'A'", "'B'", "['A','B']", "['A','B','C']"};

	fprintf(to, "{'tier':%s,'when':", ONE_OF(seed, tiers));
	draw_when(to, seed, keys, 0);
	fprintf(to, ",'then':%s}", ONE_OF(seed, thens));
}

static char *draw_rules(uint64_t *seed, unsigned most, uint32_t keys)
{
	char *text = NULL;
	size_t size;
	FILE *to = must(open_memstream(&text, &size));
	unsigned n = 1 + draw(seed, most);

	for (unsigned i = 0; i < n; i++) {
		fputc(i ? ',' : '[', to);
		draw_rule(to, seed, keys);
	}
	fputc(']', to);
	if (fclose(to) != 0)
		abort();
	return text;
}

char *policies_draw_rules(uint64_t *seed, unsigned most)
{
	return draw_rules(seed, most, UINT32_MAX);
}

char *policies_draw_related_rules(uint64_t *seed, unsigned most)
{
	uint32_t nesting = UINT32_C(3) << (KEYS - 2);

	return draw_rules(seed, most, UINT32_C(1) << draw(seed, KEYS - 2) | nesting);
}

/* ---- by lot: messages ---- */

static const char *const names[] = {"x.net", "y.org", "z.com"};

static void draw_text(uint64_t *seed, struct policies_message *ret)
{
	static const char *const from[] = {"<>", "a@x.net", "A@x.NET", "b@y.org"};
	static const char *const told[] = {"", "Deferred: timeout", "Deferred: refused", "other"};
	static const char *const to[] = {"a@x.net", "c@x.net", "b@y.org", "b@z.com", "root"};
	static const char *const at[] = {"x.net", "x.net", "y.org", "z.com", ""};
	static const char *const keys[] = {"X-Kind", "x-kind", "X-Other"};
	static const char *const values[] = {"bulk", "BULK", "list", ""};
	struct policy_text *text = &ret->text;

	text->has_sender = draw(seed, 4) != 0;
	if (text->has_sender)
		text->sender = policies_slice(ONE_OF(seed, from));
	text->status = policies_slice(ONE_OF(seed, told));
	text->n_recipients = draw(seed, 5);
	for (size_t i = 0; i < text->n_recipients; i++) {
		unsigned one = draw(seed, 5);

		ret->recipients[i] = policies_slice(to[one]);
		ret->domains[i] = policies_slice(at[one]);
	}
	text->n_headers = draw(seed, 4);
	for (size_t i = 0; i < text->n_headers; i++)
		ret->headers[i] = (struct policy_header){policies_slice(ONE_OF(seed, keys)),
							 policies_slice(ONE_OF(seed, values))};
	text->recipients = ret->recipients;
	text->domains = ret->domains;
	text->headers = ret->headers;
}

/* What the window counts for the domain: the same for windows that only differ in how much they
 * take. */
static int64_t evidence(uint64_t seed, const struct policy_window *window, unsigned domain)
{
	uint64_t mixed = seed ^ (uint64_t)window->within << 8 ^ window->tiers << 24 ^ domain;

	draw(&mixed, 2);
	return draw(&mixed, 2) ? draw(&mixed, POLICIES_END + 50) : 0;
}

static void draw_history(uint64_t *seed, const struct policy *policy, struct policies_message *ret)
{
	uint64_t chance = *seed;

	ret->drawn.windows = ret->windows;
	for (unsigned domain = 0; domain < 3; domain++) {
		enum policy_window_kind kind = draw(seed, 2) ? POLICY_DEFERRED : POLICY_DELIVERED;

		for (unsigned i = 0; i < policy->n_windows; i++) {
			const struct policy_window *window = &policy->windows[i];
			int64_t until = evidence(chance, window, domain) - 10 * window->at_least;

			if (window->kind != kind || until <= 0)
				continue;
			ret->windows[ret->drawn.n++] = (struct policies_window){
				names[domain], i, (uint64_t)window->at_least, until};
		}
	}
	ret->history = policies_history(&ret->drawn);
}

void policies_draw_message(uint64_t *seed, const struct policy *policy,
			   struct policies_message *ret)
{
	*ret = (struct policies_message){0};
	draw_text(seed, ret);
	draw_history(seed, policy, ret);
	ret->message = (struct policy_message){
		.tier = draw(seed, 3),
		.attempts = draw(seed, 8),
		.created = draw(seed, 60),
		.last_attempt = draw(seed, 4) ? 1 + draw(seed, 100) : 0,
		.size = draw(seed, 8),
		.has_size = draw(seed, 4) != 0,
		.quarantined = draw(seed, 6) == 0,
		.tier_messages = draw(seed, 8),
		.text = &ret->text,
		.history = &ret->history,
	};
	for (size_t i = 0; i < policy->n_rules; i++)
		if (draw(seed, 4) == 0)
			ret->message.marks |= policy->rules[i].mark;
}
