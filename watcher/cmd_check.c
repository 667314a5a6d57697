/* cmd_check.c - qfwatch check: is a policy right, and if not, what is wrong with it. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "qfwatch/json_text.h"
#include "qfwatch/listener.h"
#include "qfwatch/policy.h"
#include "qfwatch/prove.h"
#include "qfwatch/sendmail_cf.h"
#include "qfwatch/spool.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

static const char usage[] =
	"usage: qfwatch check [-c FILE] [--sendmail-cf FILE] [--json]\n"
	"\n"
	"Tells everything that is wrong with a policy, each with its place and a remedy; and notes "
	"what\n"
	"may not be meant: rules that never act, tiers that nothing leaves or enters, moves that "
	"can\n"
	"circle. What is found goes to stderr.\n"
	"\n"
	"      --sendmail-cf FILE  compare it with when sendmail returns messages (default: what "
	"follows\n"
	"                          -C in the policy's \"sendmail\")\n"
	"      --json              everything on stdout, as one JSON object\n"
	"  -c, --config FILE       the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help              this text\n"
	"\n"
	"Exit code 0: it is right, but perhaps for notes; 2: it is wrong; 3: it cannot be read.\n";

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
		if (!any) {
			char pointer[64];

			snprintf(pointer, sizeof(pointer), "/tiers/%zu/directory", i);
			problems_add_at(problems, PROBLEM_NOTE,
					&(struct problem_place){.pointer = pointer},
					"%s: no directory \"%s\" on this machine at %s: run would "
					"refuse to start here",
					path, tier->directory, pointer);
		}
	}
}

/* The same of where it listens, in the words in which run would refuse. */
static void note_listen(const struct policy *policy, const char *path, struct problems *problems)
{
	struct problems found = {0};

	if (policy->listen.address)
		listener_judge(&policy->listen, &found);
	for (size_t i = 0; i < found.count; i++)
		problems_add_at(problems, PROBLEM_NOTE,
				&(struct problem_place){.pointer = found.list[i].pointer}, "%s: %s",
				path, found.list[i].text);
	problems_free(&found);
}

/* What is missing here may be there elsewhere; but tiers that are one directory are wrong, as for
 * run. */
static bool are_apart(const struct policy *policy, struct problems *problems)
{
	size_t before = problems->count;

	spool_compare(policy, problems);
	return problems->count == before && !problems->incomplete;
}

/* ---- sendmail's own file ---- */

/* One that the policy names may stand on another machine; one that the operator names must be
 * here. */
static void report_cf(const char *file, int error, bool asked, const char *path,
		      struct problems *problems)
{
	if (asked)
		problems_add(problems, error == ENOENT ? PROBLEM_INVALID : PROBLEM_REFUSED,
			     "%s: %s: --sendmail-cf names the file to compare the policy with",
			     file, strerror(error));
	else
		problems_add_at(problems, PROBLEM_NOTE,
				&(struct problem_place){.pointer = "/sendmail"},
				"%s: %s cannot be read at /sendmail: %s: the policy is not "
				"compared with it",
				path, file, strerror(error));
}

static void prove(const struct policy *policy, const char *path, const char *file,
		  struct problems *problems)
{
	struct prove_sendmail sendmail = {.file = file ? file
						       : sendmail_cf_named(policy->sendmail)};
	struct sendmail_cf cf;
	int r;

	if (!sendmail.file) {
		policy_prove(policy, path, NULL, problems);
		return;
	}
	r = sendmail_cf_read(sendmail.file, &cf);
	if (r < 0) {
		report_cf(sendmail.file, -r, file != NULL, path, problems);
		policy_prove(policy, path, NULL, problems);
		return;
	}
	sendmail.return_first = INT64_MAX;
	for (int i = 0; i < SENDMAIL_CF_KINDS; i++) {
		if (cf.queue_return[i] < sendmail.return_first)
			sendmail.return_first = cf.queue_return[i];
		if (cf.queue_return[i] > sendmail.return_last)
			sendmail.return_last = cf.queue_return[i];
	}
	sendmail.min_queue_age = cf.min_queue_age;
	sendmail.max_queue_age = cf.max_queue_age;
	sendmail.queue_directory = *cf.queue_directory ? cf.queue_directory : NULL;
	policy_prove(policy, path, &sendmail, problems);
}

/* ---- what is found ---- */

static void print_finding(const struct problem *problem)
{
	static const char *const kinds[] = {
		[PROBLEM_NOTE] = "note",
		[PROBLEM_INVALID] = "invalid",
		[PROBLEM_REFUSED] = "refused",
	};

	printf("{\"kind\":\"%s\"", kinds[problem->kind]);
	if (problem->pointer) {
		fputs(",\"pointer\":", stdout);
		json_text_print(problem->pointer, stdout);
	}
	if (problem->line)
		printf(",\"line\":%zu,\"column\":%zu", problem->line, problem->column);
	fputs(",\"text\":", stdout);
	json_text_print(problem->text, stdout);
	putchar('}');
}

static void print_json(const char *path, const struct policy *policy,
		       const struct problems *problems)
{
	fputs("{\"policy\":", stdout);
	json_text_print(path, stdout);
	if (policy)
		printf(",\"valid\":true,\"tiers\":%zu,\"rules\":%zu", policy->n_tiers,
		       policy->n_rules);
	else
		fputs(",\"valid\":false,\"tiers\":null,\"rules\":null", stdout);
	fputs(",\"findings\":[", stdout);
	for (size_t i = 0; i < problems->count; i++) {
		if (i)
			putchar(',');
		print_finding(&problems->list[i]);
	}
	puts("]}");
}

static void print_text(const char *path, const struct policy *policy,
		       const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		fprintf(stderr, "%s\n", problems->list[i].text);
	if (policy)
		printf("%s: the policy is right: %zu %s, %zu %s\n", path, policy->n_tiers,
		       units_plural(policy->n_tiers, "tier", "tiers"), policy->n_rules,
		       units_plural(policy->n_rules, "rule", "rules"));
}

/* ---- the command ---- */

struct request {
	const char *path;
	const char *sendmail_cf; /* NULL: what the policy says */
	bool json;
};

enum { OPTION_SENDMAIL_CF = 256, OPTION_JSON };

/* Returns true, or false with the exit code. */
static bool read_arguments(int argc, char **argv, struct request *request, int *ret_code)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"sendmail-cf", required_argument, NULL, OPTION_SENDMAIL_CF},
		{"json", no_argument, NULL, OPTION_JSON},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			request->path = optarg;
			break;
		case OPTION_SENDMAIL_CF:
			request->sendmail_cf = optarg;
			break;
		case OPTION_JSON:
			request->json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			*ret_code = EXIT_DONE;
			return false;
		default:
			*ret_code = command_misused("check", NULL, NULL);
			return false;
		}
	if (optind == argc)
		return true;
	*ret_code = command_misused("check", "name the policy with -c; unexpected argument",
				    argv[optind]);
	return false;
}

int cmd_check(int argc, char **argv)
{
	struct request request = {.path = COMMAND_DEFAULT_POLICY};
	struct problems problems = {0};
	struct policy *policy = NULL;
	int code;

	if (!read_arguments(argc, argv, &request, &code))
		return code;
	if (policy_load(request.path, &problems, &policy) == 0) {
		prove(policy, request.path, request.sendmail_cf, &problems);
		note_directories(policy, request.path, &problems);
		note_listen(policy, request.path, &problems);
		if (!are_apart(policy, &problems)) {
			policy_free(policy);
			policy = NULL;
		}
	}
	code = problems_exit_code(&problems);
	if (!policy && code == 0)
		code = EXIT_REFUSED;
	if (request.json)
		print_json(request.path, policy, &problems);
	else
		print_text(request.path, policy, &problems);
	code = command_finish("check", code);
	policy_free(policy);
	problems_free(&problems);
	return code;
}
