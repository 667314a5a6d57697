/* doctor_pace.c - is each tier's mail tried, and often enough for what its rules wait for? Joins
 * the policy, the runners, sendmail's options and the messages. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_parts.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define HOUR 3600
#define DAY  86400

/* Attempts so long ago were made by somebody who is still there. */
static int64_t lately(const struct doctor_tier *tier)
{
	int64_t pace = HOUR;

	if (tier->cf && tier->cf->min_queue_age > pace)
		pace = tier->cf->min_queue_age;
	if (tier->cf && tier->cf->max_queue_age > pace)
		pace = tier->cf->max_queue_age;
	return 2 * pace;
}

static bool was_tried_lately(const struct doctor *doctor, const struct doctor_tier *tier)
{
	return tier->newest_attempt && doctor->now - tier->newest_attempt < lately(tier);
}

static void add_newest_attempt(struct doctor *doctor, const struct doctor_tier *tier,
			       struct doctor_finding *finding)
{
	char number[64], span[UNITS_DURATION_TEXT];

	if (!tier->counted || !tier->messages)
		return;
	doctor_count(tier->messages, "message", number, sizeof number);
	if (tier->newest_attempt)
		doctor_evidence(finding, "%s there, the last attempt %s ago", number,
				doctor_span(doctor->now - tier->newest_attempt, span, sizeof span));
	else
		doctor_evidence(finding, "%s there, none of them was ever tried", number);
}

/* ---- nobody runs the queue ---- */

/* OpenEMM's own script, which starts the runners of its tiers; the caller frees its path. */
static char *find_mailer(const struct doctor *doctor, const char *directory)
{
	static const char *const places[] = {"bin/mailer.sh", "bin/scripts/mailer.sh"};
	const char *spool = strstr(directory, "/var/spool/");

	for (size_t i = 0; spool && i < sizeof places / sizeof *places; i++) {
		char *path = xasprintf("%.*s/%s", (int)(spool - directory), directory, places[i]);
		char *real = doctor_path(doctor, path);
		bool there = access(real, F_OK) == 0;

		free(real);
		if (there)
			return path;
		free(path);
	}
	return NULL;
}

static void tell_no_runner(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	const struct policy_tier *wanted = &doctor->policy->tiers[tier];
	const char *cf = known->cf_path ? known->cf_path : "/etc/mail/sendmail.cf";
	char *mailer = find_mailer(doctor, wanted->directory);
	size_t runners = 0;
	struct doctor_finding *finding = doctor_find(
		doctor, DOCTOR_NO_QUEUE_RUNNER, (int)tier,
		"no queue runner serves tier %s: what is there is neither delivered nor returned, "
		"and its attempts do not rise",
		wanted->name);

	if (known->runner && known->runner->guessed)
		doctor_evidence(finding, "%s: a daemon stands there, but runs no queue",
				known->runner->source);
	else
		doctor_evidence(finding, "no sendmail process runs %s", wanted->directory);
	for (size_t i = 0; i < doctor->n_runners; i++)
		runners += doctor->runners[i].process && doctor->runners[i].runner.runs;
	doctor_evidence(finding, "queue runners seen in the process list: %zu", runners);
	for (size_t i = 0; i < doctor->n_runners && runners <= 3; i++)
		if (doctor->runners[i].process && doctor->runners[i].runner.runs)
			doctor_evidence(finding, "%s", doctor->runners[i].source);
	add_newest_attempt(doctor, known, finding);
	if (known->stopped) {
		doctor_evidence(finding, "%s would start one", known->stopped->source);
		doctor_remedy(finding, "start it: %s", known->stopped->source);
	} else if (mailer) {
		doctor_evidence(finding, "%s is there: OpenEMM's way to start them", mailer);
		doctor_remedy(finding, "take the qctrl lines out of %s, then: %s start", mailer,
			      mailer);
	} else {
		doctor_remedy(finding,
			      "start one, at boot too: sendmail -C %s -OQueueDirectory=%s -q%s", cf,
			      wanted->directory, known->entered ? "30m" : "1m");
	}
}

static void look_for_runner(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	const char *name = doctor->policy->tiers[tier].name;
	char span[UNITS_DURATION_TEXT];
	bool untried = known->counted && known->waiting &&
		       (!known->newest_attempt || doctor->now - known->newest_attempt > DAY);

	if (known->runner && !known->runner->guessed) {
		if (known->interval)
			doctor_checked(doctor, "tier %s: its queue is run every %s (%s)", name,
				       units_format_duration(known->interval, span, sizeof span),
				       known->runner->source);
		else
			doctor_checked(doctor, "tier %s: its queue is run (%s)", name,
				       known->runner->source);
		return;
	}
	if (was_tried_lately(doctor, known)) {
		doctor_checked(doctor, "tier %s: its queue is run, the last attempt was %s ago",
			       name,
			       doctor_span(doctor->now - known->newest_attempt, span, sizeof span));
		return;
	}
	if (known->runner && !untried) {
		doctor_unchecked(doctor, "tier %s: whether %s runs its queue, it does not tell",
				 name, known->runner->source);
		return;
	}
	if (!known->runner && doctor->blind && !untried) {
		doctor_unchecked(doctor,
				 "the queue runner of tier %s: there are sendmail processes "
				 "that do not tell which queue they run; root sees it",
				 name);
		return;
	}
	if (!known->runner && doctor->processes.hidden) {
		doctor_unchecked(doctor,
				 "the queue runner of tier %s: other users' processes "
				 "cannot be seen here",
				 name);
		return;
	}
	tell_no_runner(doctor, tier);
}

/* ---- intervals ---- */

static void look_at_interval(struct doctor *doctor, unsigned from, unsigned to)
{
	const struct doctor_tier *fast = &doctor->tiers[from], *slow = &doctor->tiers[to];
	char often[UNITS_DURATION_TEXT], seldom[UNITS_DURATION_TEXT];
	struct doctor_finding *finding;

	/* A way back leads from the slow to the fast one. */
	if (!(fast->feeds >> to & 1) || (slow->feeds >> from & 1 && from > to) || !fast->interval ||
	    !slow->interval || slow->interval > fast->interval)
		return;
	units_format_duration(slow->interval, often, sizeof often);
	units_format_duration(fast->interval, seldom, sizeof seldom);
	finding = doctor_find(doctor, DOCTOR_RUNNER_INTERVAL, (int)to,
			      "tier %s is run every %s, not less often than %s (every %s), from "
			      "where messages move there: moving them saves nothing",
			      doctor->policy->tiers[to].name, often,
			      doctor->policy->tiers[from].name, seldom);
	doctor_evidence(finding, "%s", slow->runner->source);
	doctor_evidence(finding, "%s", fast->runner->source);
	doctor_remedy(finding, "give the runner of %s a longer interval: -q30m, -q90m",
		      doctor->policy->tiers[to].name);
}

/* ---- thresholds ---- */

/* With how many attempts messages come to a tier, at least. */
static uint32_t attempts_at_entry(const struct doctor *doctor, unsigned tier)
{
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < doctor->policy->n_rules; i++) {
		const struct policy_rule *rule = &doctor->policy->rules[i];

		if (rule->decides && rule->action == POLICY_MOVE && rule->target == tier) {
			int64_t attempts = doctor_least(rule, POLICY_ATTEMPTS);

			if (attempts < least)
				least = attempts < 1 ? 1 : (uint32_t)attempts;
		}
	}
	return least == UINT32_MAX ? 1 : least;
}

int64_t doctor_attempts_take(const struct doctor *doctor, unsigned tier, int64_t most_wait)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	uint32_t n = attempts_at_entry(doctor, tier);
	int64_t pace = known->interval, age = 0;

	if (known->cf && known->cf->min_queue_age > pace)
		pace = known->cf->min_queue_age;
	if (!pace)
		return 0;
	/* The age that a wait is as long as doubles, so this is soon at its end. */
	for (; n < known->attempts && age < most_wait; n++)
		age += age > pace ? age : pace;
	if (n < known->attempts)
		age += (int64_t)(known->attempts - n) * (most_wait > pace ? most_wait : pace);
	return age;
}

static void add_ages(struct doctor_finding *finding, const struct doctor_tier *tier)
{
	char text[UNITS_DURATION_TEXT];

	if (tier->cf && tier->cf->min_queue_age)
		doctor_evidence(finding, "MinQueueAge=%s in %s",
				units_format_duration(tier->cf->min_queue_age, text, sizeof text),
				tier->cf_path);
	if (tier->cf && tier->cf->max_queue_age)
		doctor_evidence(finding, "MaxQueueAge=%s in %s",
				units_format_duration(tier->cf->max_queue_age, text, sizeof text),
				tier->cf_path);
}

static void look_at_reach(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	int64_t last = 0, takes;
	char span[UNITS_DURATION_TEXT], end[UNITS_DURATION_TEXT];
	struct doctor_finding *finding;

	if (!known->attempts || !known->cf)
		return;
	for (int i = 0; i < SENDMAIL_CF_KINDS; i++)
		if (known->cf->queue_return[i] > last)
			last = known->cf->queue_return[i];
	takes = doctor_attempts_take(doctor, tier, known->cf->max_queue_age);
	if (!takes || takes < last)
		return;
	units_format_duration(last, end, sizeof end);
	finding = doctor_find(doctor, DOCTOR_OUT_OF_REACH, (int)tier,
			      "rule \"%s\" waits in tier %s for %u attempts, which take %s there "
			      "at least: sendmail returns messages at %s, so it never acts",
			      known->attempts_rule->name, doctor->policy->tiers[tier].name,
			      known->attempts, doctor_span(takes, span, sizeof span), end);
	if (known->interval)
		doctor_evidence(finding, "its queue is run every %s (%s)",
				units_format_duration(known->interval, span, sizeof span),
				known->runner->source);
	add_ages(finding, known);
	doctor_evidence(finding, "Timeout.queuereturn=%s in %s", end, known->cf_path);
	doctor_remedy(finding, "run the queue more often, lower MinQueueAge or MaxQueueAge, wait "
			       "for fewer attempts, or raise Timeout.queuereturn");
}

static void look_at_firing(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	char number[64], span[UNITS_DURATION_TEXT];
	struct doctor_finding *finding;

	if (!known->attempts || !known->untried || known->most_attempts >= known->attempts)
		return;
	finding = doctor_find(doctor, DOCTOR_NEVER_FIRES, (int)tier,
			      "rule \"%s\" waits in tier %s for %u %s, and none of its "
			      "messages gets there: the most that one has is %u",
			      known->attempts_rule->name, doctor->policy->tiers[tier].name,
			      known->attempts, units_plural(known->attempts, "attempt", "attempts"),
			      known->most_attempts);
	doctor_evidence(finding, "%s old enough, and not tried any more",
			doctor_count(known->untried, "message", number, sizeof number));
	add_newest_attempt(doctor, known, finding);
	if (!known->runner)
		doctor_evidence(finding, "no queue runner is seen for this tier");
	else if (known->interval)
		doctor_evidence(finding, "its queue is run every %s (%s)",
				units_format_duration(known->interval, span, sizeof span),
				known->runner->source);
	else
		doctor_evidence(finding, "its runner: %s", known->runner->source);
	add_ages(finding, known);
	doctor_remedy(finding,
		      "see that a runner works at this queue: run it once by hand with -v "
		      "(sendmail -OQueueDirectory=%s -v -q) and read what it says",
		      doctor->policy->tiers[tier].directory);
}

/* ---- a smart host ---- */

static void look_at_smart_host(struct doctor *doctor)
{
	const char *path;
	const struct sendmail_cf *cf = doctor_cf(doctor, NULL, &path);
	uint64_t messages = 0;
	struct doctor_finding *finding;
	char number[64];

	if (!cf || !*cf->smart_host)
		return;
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++) {
		if (!doctor->tiers[tier].counted || doctor->tiers[tier].most_attempts)
			return;
		messages += doctor->tiers[tier].messages;
	}
	finding = doctor_find(doctor, DOCTOR_SMART_HOST, -1,
			      "a smart host takes all mail: as long as it does, no attempt fails, "
			      "and all tiers but the first stay empty by design");
	doctor_evidence(finding, "DS%s (SMART_HOST) in %s", cf->smart_host, path);
	doctor_evidence(finding, "%s in the tiers, none with a failed attempt",
			doctor_count(messages, "message", number, sizeof number));
	doctor_remedy(finding, "tiers belong to the host that delivers to the recipients' own "
			       "servers: run qfwatch there, or deliver from here");
}

void doctor_look_at_pace(struct doctor *doctor)
{
	unsigned tiers = doctor->policy ? (unsigned)doctor->policy->n_tiers : 0;

	for (unsigned tier = 0; tier < tiers; tier++) {
		look_for_runner(doctor, tier);
		look_at_reach(doctor, tier);
		look_at_firing(doctor, tier);
		for (unsigned to = 0; to < tiers; to++)
			look_at_interval(doctor, tier, to);
	}
	if (tiers)
		look_at_smart_host(doctor);
}
