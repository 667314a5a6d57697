/* doctor_policy.c - the policy, the directories that it names, and what its rules wait for. */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_parts.h"
#include "qfwatch/inspect.h"
#include "qfwatch/prove.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* ---- what rules wait for ---- */

static int64_t least_of_all(const struct policy_condition *list, size_t count,
			    enum policy_condition_kind kind);

/* The least that the number has to be for the condition to hold: certain, if not always all that
 * is.
 */
static int64_t least(const struct policy_condition *condition, enum policy_condition_kind kind)
{
	int64_t bound;

	if (condition->kind == kind)
		return condition->at_least;
	if (condition->kind == POLICY_ALL)
		return least_of_all(condition->children, condition->n_children, kind);
	if (condition->kind != POLICY_ANY || !condition->n_children)
		return 0;
	bound = INT64_MAX;
	for (size_t i = 0; i < condition->n_children; i++) {
		int64_t one = least(&condition->children[i], kind);

		if (one < bound)
			bound = one;
	}
	return bound;
}

static int64_t least_of_all(const struct policy_condition *list, size_t count,
			    enum policy_condition_kind kind)
{
	int64_t bound = 0;

	for (size_t i = 0; i < count; i++) {
		int64_t one = least(&list[i], kind);

		if (one > bound)
			bound = one;
	}
	return bound;
}

int64_t doctor_least(const struct policy_rule *rule, enum policy_condition_kind kind)
{
	return least_of_all(rule->conditions, rule->n_conditions, kind);
}

static void learn_rule(struct doctor *doctor, const struct policy_rule *rule, unsigned tier)
{
	struct doctor_tier *known = &doctor->tiers[tier];
	int64_t attempts = doctor_least(rule, POLICY_ATTEMPTS);
	int64_t age = doctor_least(rule, POLICY_AGE);

	if (rule->action == POLICY_MOVE) {
		known->feeds |= UINT64_C(1) << rule->target;
		doctor->tiers[rule->target].entered = true;
	}
	if (attempts > 1 && attempts <= UINT32_MAX &&
	    (!known->attempts || attempts < known->attempts)) {
		known->attempts = (uint32_t)attempts;
		known->attempts_rule = rule;
	}
	if (attempts <= 1 && age <= 0)
		known->at_any_time = true;
}

static void learn_rules(struct doctor *doctor)
{
	const struct policy *policy = doctor->policy;

	for (size_t i = 0; i < policy->n_rules; i++)
		for (unsigned tier = 0; tier < policy->n_tiers; tier++)
			if (policy->rules[i].decides && policy->rules[i].action != POLICY_STAY &&
			    (policy->rules[i].tiers >> tier & 1))
				learn_rule(doctor, &policy->rules[i], tier);
}

/* ---- the policy ---- */

/* What check says of it, as one finding for what is wrong and one for what is noted. */
static void tell_problems(struct doctor *doctor, const struct problems *problems)
{
	struct doctor_finding *wrong = NULL, *noted = NULL;

	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];
		bool note = problem->kind == PROBLEM_NOTE;
		struct doctor_finding **finding = note ? &noted : &wrong;

		if (!*finding)
			*finding = doctor_find(
				doctor, note ? DOCTOR_POLICY_NOTE : DOCTOR_POLICY_INVALID, -1,
				note ? "the policy may not say what is meant"
				     : "the policy %s cannot be used: qfwatch does not start with "
				       "it, and a running one does not take it",
				doctor->request.policy);
		doctor_evidence(*finding, "%s", problem->text);
	}
	if (wrong)
		doctor_remedy(wrong, "mend it: qfwatch check -c %s tells all that is wrong",
			      doctor->request.policy);
	if (noted)
		doctor_remedy(noted, "read qfwatch check -c %s; leave it if it is meant so",
			      doctor->request.policy);
}

void doctor_look_at_policy(struct doctor *doctor)
{
	struct problems problems = {0};

	if (policy_load(doctor->request.policy, &problems, &doctor->policy) == 0) {
		policy_prove(doctor->policy, doctor->request.policy, NULL, &problems);
		learn_rules(doctor);
		doctor_checked(doctor, "the policy %s: %zu %s, %zu %s", doctor->request.policy,
			       doctor->policy->n_tiers,
			       units_plural(doctor->policy->n_tiers, "tier", "tiers"),
			       doctor->policy->n_rules,
			       units_plural(doctor->policy->n_rules, "rule", "rules"));
	} else {
		doctor_unchecked(doctor, "the tiers: they stand in the policy");
	}
	tell_problems(doctor, &problems);
	problems_free(&problems);
}

/* ---- its directories ---- */

static void add_directory(struct doctor *doctor, const char *path, unsigned tier)
{
	struct doctor_directory *directory;

	if (doctor->n_directories == DOCTOR_DIRECTORIES)
		return;
	doctor->directories = xreallocarray(doctor->directories, doctor->n_directories + 1,
					    sizeof *doctor->directories);
	directory = &doctor->directories[doctor->n_directories++];
	*directory = (struct doctor_directory){.path = xstrdup(path), .tier = tier};
	if (stat(path, &directory->stat) < 0)
		directory->error = errno;
	else if (!S_ISDIR(directory->stat.st_mode))
		directory->error = ENOTDIR;
}

static void tell_missing(struct doctor *doctor, unsigned tier, const char *path, int error)
{
	struct doctor_finding *finding;

	if (error == EACCES) {
		doctor_unchecked(doctor,
				 "tier %s: %s cannot be reached by this user: run doctor "
				 "as root",
				 doctor->policy->tiers[tier].name, path);
		return;
	}
	finding = doctor_find(doctor, DOCTOR_TIER_MISSING, (int)tier,
			      "the directory of tier %s is not there: qfwatch does not start, and "
			      "a running one has lost it",
			      doctor->policy->tiers[tier].name);
	doctor_evidence(finding, "%s: %s", path, strerror(error));
	doctor_remedy(finding,
		      "make it with the owner and mode of the other tiers (mkdir, chown, "
		      "chmod --reference), mount what it stands on, or correct the policy");
}

static void expand(struct doctor *doctor, unsigned tier)
{
	const struct policy_tier *wanted = &doctor->policy->tiers[tier];
	size_t before = doctor->n_directories;
	glob_t matches = {0};

	if (!wanted->is_glob) {
		add_directory(doctor, wanted->directory, tier);
		if (doctor->n_directories > before && doctor->directories[before].error)
			tell_missing(doctor, tier, wanted->directory,
				     doctor->directories[before].error);
		return;
	}
	if (glob(wanted->directory, GLOB_NOSORT, NULL, &matches) == 0)
		for (size_t i = 0; i < matches.gl_pathc; i++) {
			add_directory(doctor, matches.gl_pathv[i], tier);
			/* A file among them is not meant, as for sendmail. */
			if (doctor->directories[doctor->n_directories - 1].error == ENOTDIR)
				free(doctor->directories[--doctor->n_directories].path);
		}
	globfree(&matches);
	if (doctor->n_directories == before)
		tell_missing(doctor, tier, wanted->directory, ENOENT);
}

static bool inside(const char *inner, const char *outer)
{
	size_t length = strlen(outer);

	return strncmp(inner, outer, length) == 0 && inner[length] == '/';
}

static void tell_overlap(struct doctor *doctor, const struct doctor_directory *one,
			 const struct doctor_directory *other, const char *how)
{
	struct doctor_finding *finding = doctor_find(
		doctor, DOCTOR_TIERS_OVERLAP, (int)one->tier,
		"tiers %s and %s are no two places: qfwatch does not start with such a policy",
		doctor->policy->tiers[one->tier].name, doctor->policy->tiers[other->tier].name);

	doctor_evidence(finding, "%s %s %s", one->path, how, other->path);
	doctor_remedy(finding, "give each tier a directory of its own, side by side");
}

/* Neighbours among thousands of directories are not worth the squares: those of one glob are never
 * the same, so only different tiers are compared. */
static void compare(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *one = &doctor->directories[i];
		char *first = one->error ? NULL : realpath(one->path, NULL);

		for (size_t k = i + 1; first && k < doctor->n_directories; k++) {
			const struct doctor_directory *other = &doctor->directories[k];
			char second[PATH_MAX];

			if (other->error || other->tier == one->tier)
				continue;
			if (one->stat.st_dev == other->stat.st_dev &&
			    one->stat.st_ino == other->stat.st_ino)
				tell_overlap(doctor, one, other, "is the same directory as");
			else if (realpath(other->path, second) && inside(first, second))
				tell_overlap(doctor, one, other, "lies inside");
			else if (realpath(other->path, second) && inside(second, first))
				tell_overlap(doctor, other, one, "lies inside");
		}
		free(first);
	}
}

void doctor_look_at_tiers(struct doctor *doctor)
{
	struct problems ignored = {0};
	uint64_t lost;

	if (!doctor->policy)
		return;
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++)
		expand(doctor, tier);
	compare(doctor);
	if (inspect_open(&doctor->spool, doctor->policy, &ignored, &lost) < 0)
		lost = UINT64_MAX;
	problems_free(&ignored);
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];

		if (!directory->error && (lost >> directory->tier & 1))
			doctor_unchecked(doctor, "messages of tier %s: this user may not read %s",
					 doctor->policy->tiers[directory->tier].name,
					 directory->path);
	}
	doctor_checked(doctor, "%zu %s: there, and apart from each other", doctor->n_directories,
		       units_plural(doctor->n_directories, "queue directory", "queue directories"));
}
