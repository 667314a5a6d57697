/* command.h - the subcommands, and what they share: exit codes, the policy's place, usage errors.
 */
#ifndef QFWATCH_COMMAND_H
#define QFWATCH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

struct policy;
struct policy_rule;
struct problems;

#define COMMAND_DEFAULT_POLICY "/etc/qfwatch/policy.json"

enum command_exit {
	EXIT_DONE = 0,	  /* all is well */
	EXIT_PROBLEM = 1, /* ran, and found a problem or failed in part */
	EXIT_USAGE = 2,	  /* wrong usage or an invalid policy: nothing was done */
	EXIT_REFUSED = 3, /* the system refused: permission, limits */
};

/* One subcommand. `run` gets its own arguments, argv[0] being its name, and returns the exit code.
 */
struct command {
	const char *name;
	const char *summary; /* one line for the list of commands */
	int (*run)(int argc, char **argv);
};

/* Tells that `command` was called in a wrong way: why, unless `reason` is NULL (getopt_long has
 * said so), with `what` in quotes unless that is NULL; and how to learn more. Returns EXIT_USAGE.
 */
int command_misused(const char *command, const char *reason, const char *what);

/* Tells on stderr why a policy or a spool cannot be used: all but the notes. Returns the exit code:
 * EXIT_USAGE or EXIT_REFUSED. */
int command_report(const struct problems *problems);

/* Right behind an output, or a flush of it: is all written so far that had to be? Where not, keeps
 * the reason for command_finish. */
bool command_has_written(void);

/* Right behind the last output: has all of it been written? Where not, tells why, and returns
 * EXIT_REFUSED instead of `code`. A reader who has gone away has what he wants. */
int command_finish(const char *command, int code);

/* The index of the tier of that name; or -1, and tells which there are. */
int command_find_tier(const char *command, const struct policy *policy, const char *name);

/* "move TIER", made in `buffer`, or the policy's word for what else a rule does. */
const char *command_rule_action(const struct policy *policy, const struct policy_rule *rule,
				char *buffer, size_t size);

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_move(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_shape(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_import_qctrl(int argc, char **argv);

#endif
