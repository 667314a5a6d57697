/* fuzz_load.c - any bytes as a policy: parse, judge a few messages by what comes out, free.
 *
 * A libFuzzer target; the fixtures are its seeds: fuzz_load NEW-CORPUS tests/policy
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../policy/pattern.h"
#include "qfwatch/policy.h"
#include "qfwatch/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(3): it must hold whatever NDEBUG says. */
static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_load: does not hold: %s\n", what);
	abort();
}

static bool good_path(const char *path)
{
	size_t length = strlen(path);

	return path[0] == '/' && !strstr(path, "//") && (length == 1 || path[length - 1] != '/');
}

static void check_problems(const struct problems *problems, int result)
{
	must(!problems->incomplete, "memory lasts");
	must(problems_exit_code(problems) == (result ? 2 : 0), "findings fit the result");
	for (size_t i = 0; i < problems->count; i++) {
		must(strncmp(problems->list[i].text, "policy.json:", 12) == 0, "names the file");
		must(strlen(problems->list[i].text) < 2048, "a finding can be read");
		must(!strpbrk(problems->list[i].text, "\n\r\033"), "a finding is one line");
	}
}

/* What is found of all conditions of a policy. */
struct found {
	size_t conditions;
	bool regex;
};

static void check_pattern(const struct policy_condition *one, struct found *found)
{
	must((one->pattern != NULL) == (one->kind >= POLICY_SENDER && one->kind <= POLICY_HEADER),
	     "texts have a pattern");
	must((one->header != NULL) == (one->kind == POLICY_HEADER), "headers have a name");
	if (!one->pattern)
		return;
	must(pattern_count(one->pattern) >= 1, "a pattern is not empty");
	for (size_t i = 0; i < pattern_count(one->pattern); i++) {
		bool regex;

		pattern_text(one->pattern, i, &regex);
		found->regex |= regex;
	}
}

/* Returns whether one of them needs the text. */
static bool check_conditions(const struct policy *policy, const struct policy_condition *list,
			     size_t count, int depth, struct found *found)
{
	bool text = false;

	must(depth <= POLICY_MAX_DEPTH * 2 + 1, "nested no deeper than is allowed");
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *one = &list[i];
		bool below =
			check_conditions(policy, one->children, one->n_children, depth + 1, found);

		found->conditions++;
		check_pattern(one, found);
		must(one->at_least >= 0 && one->below > one->at_least, "a range is not empty");
		must((one->n_children > 0) == (one->kind >= POLICY_ALL && one->kind <= POLICY_NOT),
		     "those that are made of others have some");
		must(one->needs_text || !below, "who needs the text says so");
		text |= one->needs_text;
		if (one->kind != POLICY_DOMAIN_DEFERRED && one->kind != POLICY_DOMAIN_DELIVERED)
			continue;
		must(one->window < policy->n_windows, "the window is one");
		must(one->within == policy->windows[one->window].within, "the window fits");
	}
	return text;
}

static void check_rule(const struct policy *policy, const struct policy_rule *rule,
		       struct found *found)
{
	bool text;

	must(rule->tiers != 0, "a rule is for a tier");
	must(policy->n_tiers == POLICY_MAX_TIERS || rule->tiers >> policy->n_tiers == 0,
	     "a rule is for tiers that there are");
	must(rule->n_conditions >= 1, "a rule has a condition");
	text = check_conditions(policy, rule->conditions, rule->n_conditions, 0, found);
	must(!text || (rule->tiers & ~policy->text_tiers) == 0, "tiers need the text, too");
	must(rule->decides || rule->notify || rule->program, "a rule does something");
	must(rule->decides || rule->action == POLICY_STAY, "who does not decide does not act");
	must(__builtin_popcountll(rule->mark) == (rule->decides ? 0 : 1), "a mark of its own");
	must((rule->mark & ~policy->marks) == 0, "the mark is one of all");
	must(rule->action != POLICY_MOVE || rule->target < policy->n_tiers, "the target is a tier");
	must(rule->action != POLICY_MOVE || !(rule->tiers >> rule->target & 1),
	     "the target is another tier");
	must(!rule->program || rule->program->arguments[0][0] == '/', "a program has a path");
}

static void check_policy(const struct policy *policy, struct found *found)
{
	must(policy->n_tiers >= 1 && policy->n_tiers <= POLICY_MAX_TIERS, "1 to 64 tiers");
	must(policy->n_sinks >= 1, "events go somewhere");
	must(policy->sendmail[0][0] == '/', "sendmail has a path");
	must(policy->n_windows <= POLICY_MAX_WINDOWS, "windows are bounded");
	must(policy->limits.programs >= 1, "programs may run");
	must(policy->n_tiers == POLICY_MAX_TIERS
		     ? policy->marks == 0
		     : __builtin_ctzll(policy->marks | UINT64_C(1) << 63) >= (int)policy->n_tiers,
	     "marks and tiers are apart");
	must(policy->reconcile >= 1 && policy->reconcile <= UNITS_DURATION_MAX, "reconcile");
	for (size_t i = 0; i < policy->n_tiers; i++) {
		must(policy_find_tier(policy, policy->tiers[i].name) == (int)i, "names are unique");
		must(good_path(policy->tiers[i].directory), "directories are absolute");
	}
	for (size_t i = 0; i < policy->n_rules; i++)
		check_rule(policy, &policy->rules[i], found);
	for (size_t i = 0; i < policy->n_sinks; i++)
		must((policy->sinks[i].type != POLICY_SINK_STDOUT) ==
			     (policy->sinks[i].path != NULL),
		     "all but stdout have a path");
}

static bool same(const struct policy_decision *a, const struct policy_decision *b)
{
	return a->action == b->action && a->rule == b->rule && a->marks == b->marks &&
	       a->unknown == b->unknown;
}

/* Each change of one condition is at one of two times: more than that many conditions may have more
 * times than policy_decide looks at. */
#define FEW (POLICY_STEPS / 2)

static void check_decision(const struct policy *policy, const struct policy_message *message,
			   int64_t now, const struct found *found)
{
	struct policy_decision decision, before, then;
	char reason[256];

	policy_decide(policy, message, now, &decision);
	must(decision.action == POLICY_STAY || (decision.rule && !decision.unknown),
	     "who acts has a rule");
	must((decision.marks & (message->marks | ~policy->marks)) == 0, "told of once");
	if (decision.rule) {
		must(decision.rule->tiers >> message->tier & 1, "the rule is for the tier");
		must(decision.unknown || decision.rule->decides, "the rule decides");
		must(!message->quarantined || decision.rule->quarantined, "quarantine is heeded");
		policy_reason(decision.rule, message, now, POLICY_SHOW_ALL, reason, sizeof(reason));
		must(reason[0] && strlen(reason) < sizeof(reason), "a reason");
	}
	if (decision.again == POLICY_NEVER)
		return;
	must(decision.again > now, "again is later");
	if (found->conditions > FEW)
		return;
	policy_decide(policy, message, decision.again - 1, &before);
	policy_decide(policy, message, decision.again, &then);
	must(same(&decision, &before), "the same until again");
	must(!same(&decision, &then), "another one at again");
}

/* Windows are reached until a time of their own. */
static bool is_reached(const void *context, struct policy_slice domain, unsigned window, int64_t at,
		       uint64_t *ret_count, int64_t *ret_until)
{
	int64_t end = 1700000000 + 10 * (int64_t)window;
	bool reached = domain.bytes[0] == 'e' && at < end;

	(void)context;
	*ret_count = reached ? 50 : 0;
	*ret_until = reached ? end : POLICY_NEVER;
	return reached;
}

#define SLICE(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static void judge_messages(const struct policy *policy, const struct found *found)
{
	static const int64_t times[] = {INT64_MIN, -1, 0, 90, 1700000000, INT64_MAX};
	static const uint32_t attempts[] = {0, 3, UINT32_MAX};
	static const struct policy_slice recipients[] = {SLICE("a@example.net"), SLICE("root")};
	static const struct policy_slice domains[] = {SLICE("example.net"), SLICE("")};
	static const struct policy_header headers[] = {{SLICE("X-Mailer"), SLICE("bulk")},
						       {SLICE("Subject"), SLICE("")},
						       {SLICE(""), SLICE("x")}};
	struct policy_text text = {
		.has_sender = true,
		.sender = SLICE("<>"),
		.status = SLICE("Deferred: Connection timed out"),
		.recipients = recipients,
		.domains = domains,
		.headers = headers,
		.n_headers = 3,
	};
	static const struct policy_history history = {.holds = is_reached};
	const size_t n_times = sizeof(times) / sizeof(times[0]);

	for (size_t i = 0; i < n_times * n_times * 3; i++) {
		struct policy_message message = {
			.tier = (unsigned)(i % policy->n_tiers),
			.attempts = attempts[i % 3],
			.created = times[i / 3 % n_times],
			.last_attempt = times[i % n_times],
			.size = i * 100000,
			.has_size = i % 5 != 0,
			.quarantined = i % 7 == 0,
			.tier_messages = i * 1000,
			.marks = i % 2 ? policy->marks & UINT64_C(0xaaaaaaaaaaaaaaaa) : 0,
			/* What regular expressions may cost is fuzz_pattern's. */
			.text = found->regex || i % 4 == 0 ? NULL : &text,
			.history = i % 11 == 0 ? NULL : &history,
		};

		/* The second recipient is a local one: no domain holds for all then. */
		text.n_recipients = i % 3;
		check_decision(policy, &message, times[i / 3 / n_times], found);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	struct found found = {0};
	int r = policy_parse((const char *)data, size, "policy.json", &problems, &policy);

	must(r == 0 || r == -EINVAL, "0 or -EINVAL");
	must((r == 0) == (policy != NULL), "a policy or none");
	check_problems(&problems, r);
	if (policy) {
		check_policy(policy, &found);
		judge_messages(policy, &found);
	}
	policy_free(policy);
	problems_free(&problems);
	return 0;
}
