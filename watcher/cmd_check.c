/* cmd_check.c - qfwatch check: is a policy right, and if not, what is wrong with it. */
#include "qfwatch/command.h"

#include <getopt.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "qfwatch/policy.h"

static const char usage[] = "usage: qfwatch check [-c FILE]\n"
			    "\n"
			    "Tells everything that is wrong with a policy, each with its place and "
			    "a remedy. Exit code 0: nothing.\n"
			    "What is wrong goes to stderr.\n"
			    "\n"
			    "  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
			    "  -h, --help         this text\n";

static bool is_directory(const char *path)
{
	struct stat stat_of;

	return stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
}

/* A policy may be checked on another machine than the one it is for, so what is missing here is
 * worth a note only. */
static void note_directories(const struct policy *policy, const char *path,
			     struct problems *problems)
{
	for (size_t i = 0; i < policy->n_tiers; i++) {
		const struct policy_tier *tier = &policy->tiers[i];
		glob_t matches = {0};
		bool any = false;

		if (!tier->is_glob) {
			any = is_directory(tier->directory);
		} else {
			if (glob(tier->directory, GLOB_NOSORT, NULL, &matches) == 0)
				for (size_t k = 0; k < matches.gl_pathc; k++)
					any |= is_directory(matches.gl_pathv[k]);
			globfree(&matches);
		}
		if (!any)
			problems_add(problems, PROBLEM_NOTE,
				     "%s: note: no directory \"%s\" at /tiers/%zu/directory on "
				     "this machine: run would refuse to start here",
				     path, tier->directory, i);
	}
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *path = COMMAND_DEFAULT_POLICY;
	struct problems problems = {0};
	struct policy *policy = NULL;
	int c, code;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	if (optind < argc) {
		fprintf(stderr,
			"qfwatch check: unexpected argument \"%s\": name the policy with -c\n%s",
			argv[optind], usage);
		return EXIT_USAGE;
	}
	if (policy_load(path, &problems, &policy) == 0)
		note_directories(policy, path, &problems);
	for (size_t i = 0; i < problems.count; i++)
		fprintf(stderr, "%s\n", problems.list[i].text);
	code = problems_exit_code(&problems);
	if (policy)
		printf("%s: the policy is right: %zu tiers, %zu rules\n", path, policy->n_tiers,
		       policy->n_rules);
	else if (code == 0)
		code = EXIT_REFUSED;
	policy_free(policy);
	problems_free(&problems);
	return code;
}
