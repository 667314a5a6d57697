/* doctor_sendmail.c - what a sendmail.cf, and the options that a runner was started with, make of
 * the policy. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_parts.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* ---- files ---- */

const struct sendmail_cf *doctor_cf(struct doctor *doctor, const char *path, const char **ret_path)
{
	struct doctor_cf *known;
	char *real = NULL;
	size_t i;
	int r;

	if (!path && !doctor->n_cfs)
		return NULL;
	for (i = 0; path && i < doctor->n_cfs; i++)
		if (strcmp(doctor->cfs[i].path, path) == 0)
			break;
	if (i == doctor->n_cfs) {
		if (i == sizeof doctor->cfs / sizeof *doctor->cfs)
			return NULL;
		known = &doctor->cfs[doctor->n_cfs++];
		known->path = xstrdup(path);
		known->cf = xcalloc(1, sizeof *known->cf);
		real = doctor_path(doctor, path);
		r = sendmail_cf_read(real, known->cf);
		if (r < 0)
			r = sendmail_cf_read(path, known->cf);
		if (r < 0) {
			doctor_unchecked(doctor, "sendmail's options: %s cannot be read (%s)%s",
					 path, strerror(-r),
					 i ? "" : ": name the file with --sendmail-cf");
			free(known->cf);
			known->cf = NULL;
		}
		free(real);
	}
	if (ret_path)
		*ret_path = doctor->cfs[i].path;
	return doctor->cfs[i].cf;
}

void doctor_find_cf(struct doctor *doctor)
{
	const char *named = doctor->request.sendmail_cf;

	if (!named)
		named = sendmail_cf_named(doctor->policy->sendmail);
	for (size_t i = 0; !named && i < doctor->n_runners; i++)
		if (doctor->runners[i].process && *doctor->runners[i].runner.cf)
			named = doctor->runners[i].runner.cf;
	doctor_cf(doctor, named ? named : "/etc/mail/sendmail.cf", NULL);
}

/* What the runner of a tier goes by: its file, and its own options on top. */
static void find_options(struct doctor *doctor, unsigned tier)
{
	struct doctor_tier *known = &doctor->tiers[tier];
	const struct doctor_runner *runner = known->runner ? known->runner : known->stopped;
	const struct sendmail_cf *cf = doctor_cf(
		doctor, runner && *runner->runner.cf ? runner->runner.cf : NULL, &known->cf_path);
	char options[RUNNER_OPTIONS], *option, *rest = options;

	if (!cf)
		return;
	known->cf = xcalloc(1, sizeof *known->cf);
	*known->cf = *cf;
	if (!runner)
		return;
	strcpy(options, runner->runner.options);
	while ((option = strsep(&rest, "\n")))
		if (*option)
			sendmail_cf_option(known->cf, option);
}

/* ---- times ---- */

static int64_t last_return(const struct sendmail_cf *cf)
{
	int64_t last = 0;

	for (int i = 0; i < SENDMAIL_CF_KINDS; i++)
		if (cf->queue_return[i] > last)
			last = cf->queue_return[i];
	return last;
}

/* Returns true when it has told of the rule. */
static bool look_at_return(struct doctor *doctor, const struct policy_rule *rule, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	int64_t age = doctor_least(rule, POLICY_AGE), last;
	char when[UNITS_DURATION_TEXT], before[UNITS_DURATION_TEXT];
	struct doctor_finding *finding;

	if (!known->cf || !rule->decides || !(rule->tiers >> tier & 1))
		return false;
	last = last_return(known->cf);
	if (age <= last)
		return false;
	units_format_duration(age, when, sizeof when);
	units_format_duration(last, before, sizeof before);
	finding = doctor_find(doctor, DOCTOR_QUEUE_RETURN, (int)tier,
			      "rule \"%s\" waits for an age of %s, but sendmail returns messages "
			      "at %s: the rule only sees what no runner has tried since",
			      rule->name, when, before);
	doctor_evidence(finding, "Timeout.queuereturn=%s in %s", before, known->cf_path);
	doctor_remedy(finding,
		      "set confTO_QUEUERETURN to more than %s in the .mc (O Timeout.queuereturn), "
		      "or the rule's age to less than %s",
		      when, before);
	return true;
}

/* MaxQueueAge alone: without it the attempts would take half the time or less. */
static void look_at_most_age(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	int64_t most = known->cf->max_queue_age, with, without;
	char text[UNITS_DURATION_TEXT], takes[UNITS_DURATION_TEXT], took[UNITS_DURATION_TEXT];
	struct doctor_finding *finding;

	if (!most || !known->attempts)
		return;
	with = doctor_attempts_take(doctor, tier, most);
	without = doctor_attempts_take(doctor, tier, 0);
	if (with < 2 * without || with == 0)
		return;
	finding = doctor_find(doctor, DOCTOR_QUEUE_AGE, (int)tier,
			      "messages of tier %s are tried again when they are twice as old, "
			      "every %s in the end, however often its queue is run: %u attempts "
			      "take %s there at least, not %s",
			      doctor->policy->tiers[tier].name,
			      units_format_duration(most, text, sizeof text), known->attempts,
			      doctor_span(with, takes, sizeof takes),
			      doctor_span(without, took, sizeof took));
	doctor_evidence(finding, "MaxQueueAge=%s in %s", text, known->cf_path);
	doctor_remedy(finding, "if that is too slow, take MaxQueueAge (confMAX_QUEUE_AGE) out and "
			       "leave the pace to the tiers' runners");
}

static void look_at_age(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	int64_t least = known->cf->min_queue_age;
	char text[UNITS_DURATION_TEXT], takes[UNITS_DURATION_TEXT];
	struct doctor_finding *finding;

	/* Half an hour is what sendmail's own documentation proposes, with runs every minute. */
	if (!known->attempts || least <= known->interval || least <= 1800) {
		look_at_most_age(doctor, tier);
		return;
	}
	finding = doctor_find(doctor, DOCTOR_QUEUE_AGE, (int)tier,
			      "messages of tier %s are tried at most every %s, however often its "
			      "queue is run: %u attempts take %s at least",
			      doctor->policy->tiers[tier].name,
			      units_format_duration(least, text, sizeof text), known->attempts,
			      doctor_span((known->attempts - 1) * least, takes, sizeof takes));
	doctor_evidence(finding, "MinQueueAge=%s in %s", text, known->cf_path);
	if (known->cf->max_queue_age > least)
		doctor_evidence(finding,
				"MaxQueueAge=%s there: older messages are tried less "
				"and less often",
				units_format_duration(known->cf->max_queue_age, text, sizeof text));
	doctor_remedy(finding,
		      "if that is too slow, lower MinQueueAge (confMIN_QUEUE_AGE) and leave "
		      "the pace to the tiers' runners");
}

/* ---- directories ---- */

static bool in_a_tier(const struct doctor *doctor, const char *queue)
{
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++) {
		const char *directory = doctor->policy->tiers[tier].directory;
		size_t length = strlen(directory);

		if (doctor_is_tier(doctor, queue, tier) ||
		    fnmatch(directory, queue, FNM_PATHNAME) == 0 ||
		    (strncmp(queue, directory, length) == 0 && queue[length] == '/'))
			return true;
	}
	return false;
}

/* Where tiers are fed by runners with directories of their own, so is what queues. */
static bool any_told_its_directory(const struct doctor *doctor)
{
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++) {
		const struct doctor_tier *known = &doctor->tiers[tier];
		const struct doctor_runner *runner = known->runner ? known->runner : known->stopped;

		if (runner && *runner->runner.directory && !known->entered)
			return true;
	}
	return false;
}

static void look_at_directory(struct doctor *doctor, const struct sendmail_cf *cf, const char *path)
{
	struct doctor_finding *finding;

	if (!*cf->queue_directory || in_a_tier(doctor, cf->queue_directory) ||
	    any_told_its_directory(doctor))
		return;
	finding = doctor_find(doctor, DOCTOR_QUEUE_DIRECTORY, -1,
			      "sendmail queues where no tier is: qfwatch never sees that mail");
	doctor_evidence(finding, "QueueDirectory=%s in %s", cf->queue_directory, path);
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++)
		doctor_evidence(finding, "tier %s: %s", doctor->policy->tiers[tier].name,
				doctor->policy->tiers[tier].directory);
	doctor_remedy(finding,
		      "make the first tier that directory, or let sendmail queue in the "
		      "tier's (QUEUE_DIR in the .mc, -OQueueDirectory= where mail is given "
		      "in)");
}

static void look_at_groups(struct doctor *doctor, const struct sendmail_cf *cf, const char *path)
{
	struct doctor_finding *finding = NULL;

	for (size_t i = 0; i < cf->n_groups; i++) {
		const struct sendmail_cf_group *group = &cf->groups[i];

		/* The usual group, as sendmail makes it by itself. */
		if (strcmp(group->name, "mqueue") == 0 &&
		    (!*group->path || strcmp(group->path, cf->queue_directory) == 0))
			continue;
		if (!finding)
			finding = doctor_find(
				doctor, DOCTOR_QUEUE_GROUPS, -1,
				"queue groups do not go with tiers: their messages stand in other "
				"directories, or keep qf and df apart, and are refused");
		doctor_evidence(finding, "Q%s%s%s in %s: %s", group->name,
				*group->path ? ", Path=" : "", group->path, path,
				*group->path && in_a_tier(doctor, group->path)
					? "a tier's directory"
					: "in no tier");
	}
	if (finding)
		doctor_remedy(finding,
			      "take QUEUE_GROUP out of the .mc, and FEATURE(`queuegroup'): the "
			      "tiers take their place (sendmail's release notes: queue files "
			      "should not be moved if queue groups are used)");
}

/* ---- users, smart host ---- */

static struct doctor_finding *find_run_as(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	struct doctor_finding *finding =
		doctor_find(doctor, DOCTOR_RUN_AS_USER, (int)tier,
			    "sendmail runs as %s, who may not work in tier %s: its runner tries "
			    "nothing there",
			    known->cf->run_as, doctor->policy->tiers[tier].name);

	doctor_evidence(finding, "RunAsUser=%s in %s", known->cf->run_as, known->cf_path);
	doctor_remedy(finding, "give the directory to that user (chown %s), or take RunAsUser out",
		      known->cf->run_as);
	return finding;
}

static void look_at_run_as(struct doctor *doctor, unsigned tier)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	struct doctor_finding *finding = NULL;
	struct rights rights;

	if (!*known->cf->run_as)
		return;
	if (rights_of_user(known->cf->run_as, &rights) < 0) {
		doctor_unchecked(doctor, "RunAsUser: there is no user %s here", known->cf->run_as);
		return;
	}
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];

		if (directory->tier == tier && !directory->error)
			doctor_judge_directory(doctor, &rights, directory, &finding, find_run_as);
	}
}

/* ---- the step ---- */

void doctor_look_at_sendmail(struct doctor *doctor)
{
	const struct policy *policy = doctor->policy;
	const struct sendmail_cf *cf;
	const char *path;

	if (!policy)
		return;
	for (unsigned tier = 0; tier < policy->n_tiers; tier++)
		find_options(doctor, tier);
	cf = doctor_cf(doctor, NULL, &path);
	if (!cf)
		return;
	look_at_directory(doctor, cf, path);
	look_at_groups(doctor, cf, path);
	for (unsigned tier = 0; tier < policy->n_tiers; tier++) {
		if (!doctor->tiers[tier].cf)
			continue;
		look_at_age(doctor, tier);
		look_at_run_as(doctor, tier);
	}
	for (size_t i = 0; i < policy->n_rules; i++)
		for (unsigned tier = 0; tier < policy->n_tiers; tier++)
			if (look_at_return(doctor, &policy->rules[i], tier))
				break;
	doctor_checked(doctor,
		       "%s: queue groups, MinQueueAge, Timeout.queuereturn, RunAsUser, "
		       "QueueDirectory",
		       path);
}
