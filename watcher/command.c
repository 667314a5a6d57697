/* command.c - see command.h */
#include "qfwatch/command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/policy.h"
#include "qfwatch/problem.h"

int command_misused(const char *command, const char *reason, const char *what)
{
	if (reason && what)
		fprintf(stderr, "qfwatch %s: %s \"%s\"\n", command, reason, what);
	else if (reason)
		fprintf(stderr, "qfwatch %s: %s\n", command, reason);
	fprintf(stderr, "`qfwatch %s -h` tells how it is called.\n", command);
	return EXIT_USAGE;
}

int command_report(const struct problems *problems)
{
	int code = problems_exit_code(problems);

	for (size_t i = 0; i < problems->count; i++)
		if (problems->list[i].kind != PROBLEM_NOTE)
			fprintf(stderr, "%s\n", problems->list[i].text);
	return code ? code : EXIT_REFUSED;
}

/* Why a write to stdout failed first: stdio keeps only that one did. 0: none has, or nobody asked
 * in time. */
static int write_error;

bool command_has_written(void)
{
	if (!ferror(stdout))
		return true;
	if (!write_error)
		write_error = errno;
	return false;
}

static bool reader_has_gone(void)
{
	struct pollfd output = {.fd = STDOUT_FILENO};

	return poll(&output, 1, 0) > 0 && output.revents & POLLERR;
}

int command_finish(const char *command, int code)
{
	bool failed_before = ferror(stdout);
	bool fails = fflush(stdout) != 0;

	if (!failed_before && !fails)
		return code;
	/* What stdio could not write it drops: so there may be nothing left now that could fail,
	 * and errno tells of something else. */
	if (fails && !write_error)
		write_error = errno;
	if (write_error == EPIPE || (!write_error && reader_has_gone()))
		return code;
	fprintf(stderr, "qfwatch %s: standard output cannot be written to: %s%s\n", command,
		write_error ? strerror(write_error) : "a part of it is missing",
		write_error == ENOSPC  ? ": make room there, or write elsewhere"
		: write_error == EBADF ? ": it is closed"
				       : "");
	return EXIT_REFUSED;
}

int command_find_tier(const char *command, const struct policy *policy, const char *name)
{
	int tier = policy_find_tier(policy, name);

	if (tier >= 0)
		return tier;
	fprintf(stderr, "qfwatch %s: the policy has no tier \"%s\"; it has", command, name);
	for (size_t i = 0; i < policy->n_tiers; i++)
		fprintf(stderr, "%s \"%s\"", i ? "," : "", policy->tiers[i].name);
	fputc('\n', stderr);
	return -1;
}

const char *command_rule_action(const struct policy *policy, const struct policy_rule *rule,
				char *buffer, size_t size)
{
	if (!rule->decides || rule->action != POLICY_MOVE)
		return policy_rule_word(rule);
	snprintf(buffer, size, "move %s", policy->tiers[rule->target].name);
	return buffer;
}
