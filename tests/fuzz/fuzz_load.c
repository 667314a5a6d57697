/* fuzz_load.c - any bytes as a policy: parse, judge a few messages by what comes out, free.
 *
 * A libFuzzer target; the fixtures are its seeds: fuzz_load NEW-CORPUS tests/policy
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void check_rule(const struct policy *policy, const struct policy_rule *rule)
{
	must(rule->tiers != 0, "a rule is for a tier");
	must(policy->n_tiers == POLICY_MAX_TIERS || rule->tiers >> policy->n_tiers == 0,
	     "a rule is for tiers that there are");
	must(rule->n_conditions >= 1, "a rule has a condition");
	must(rule->action == POLICY_MOVE || rule->action == POLICY_DELETE, "a rule acts");
	must(rule->action != POLICY_MOVE || rule->target < policy->n_tiers, "the target is a tier");
	must(rule->action != POLICY_MOVE || !(rule->tiers >> rule->target & 1),
	     "the target is another tier");
}

static void check_policy(const struct policy *policy)
{
	must(policy->n_tiers >= 1 && policy->n_tiers <= POLICY_MAX_TIERS, "1 to 64 tiers");
	must(policy->n_sinks >= 1, "events go somewhere");
	must(policy->reconcile >= 1 && policy->reconcile <= UNITS_DURATION_MAX, "reconcile");
	for (size_t i = 0; i < policy->n_tiers; i++) {
		must(policy_find_tier(policy, policy->tiers[i].name) == (int)i, "names are unique");
		must(good_path(policy->tiers[i].directory), "directories are absolute");
	}
	for (size_t i = 0; i < policy->n_rules; i++)
		check_rule(policy, &policy->rules[i]);
	for (size_t i = 0; i < policy->n_sinks; i++)
		must((policy->sinks[i].type != POLICY_SINK_STDOUT) ==
			     (policy->sinks[i].path != NULL),
		     "all but stdout have a path");
}

static bool same(const struct policy_decision *a, const struct policy_decision *b)
{
	return a->action == b->action && a->rule == b->rule;
}

static void check_decision(const struct policy *policy, const struct policy_message *message,
			   int64_t now)
{
	struct policy_decision decision, before, then;
	char reason[256];

	policy_decide(policy, message, now, &decision);
	must((decision.action == POLICY_STAY) == (decision.rule == NULL), "who acts has a rule");
	if (decision.rule) {
		must(decision.rule->tiers >> message->tier & 1, "the rule is for the tier");
		policy_reason(decision.rule, message, now, reason, sizeof(reason));
		must(reason[0] && !strchr(reason, '<'), "a reason that holds");
	}
	if (decision.again == POLICY_NEVER)
		return;
	must(decision.again > now, "again is later");
	policy_decide(policy, message, decision.again - 1, &before);
	policy_decide(policy, message, decision.again, &then);
	must(same(&decision, &before), "the same until again");
	must(!same(&decision, &then), "another one at again");
}

static void judge_messages(const struct policy *policy)
{
	static const int64_t times[] = {INT64_MIN, -1, 0, 90, 1700000000, INT64_MAX};
	static const uint32_t attempts[] = {0, 3, UINT32_MAX};
	const size_t n_times = sizeof(times) / sizeof(times[0]);

	for (size_t i = 0; i < n_times * n_times * 3; i++) {
		struct policy_message message = {
			.tier = (unsigned)(i % policy->n_tiers),
			.attempts = attempts[i % 3],
			.created = times[i / 3 % n_times],
		};

		check_decision(policy, &message, times[i / 3 / n_times]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	int r = policy_parse((const char *)data, size, "policy.json", &problems, &policy);

	must(r == 0 || r == -EINVAL, "0 or -EINVAL");
	must((r == 0) == (policy != NULL), "a policy or none");
	check_problems(&problems, r);
	if (policy) {
		check_policy(policy);
		judge_messages(policy);
	}
	policy_free(policy);
	problems_free(&problems);
	return 0;
}
