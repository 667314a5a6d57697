/* main.c - the table of subcommands. */
#include "qfwatch/command.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{"run", "watch the tiers and act on the policy's rules", cmd_run},
	{"check", "tell everything that is wrong with a policy", cmd_check},
	{"status", "is it working? What stands in the tiers, and what is wrong", cmd_status},
	{"top", "the same, live in the terminal", cmd_top},
	{"list", "list messages: all, or those that filters choose", cmd_list},
	{"shape", "count messages by domain and age", cmd_shape},
	{"explain", "tell why a message is where it is, and what comes next", cmd_explain},
	{"plan", "tell what the policy would do now and in the next hours", cmd_plan},
	{"replay", "tell what a policy would have done with recorded events", cmd_replay},
	{"move", "move messages to a tier by hand", cmd_move},
	{"events", "print what was recorded: a message's history, what a rule did, what comes in",
	 cmd_events},
	{"doctor", "tell what keeps tiers empty or mail stuck", cmd_doctor},
	{"import-qctrl", "write a policy from qctrl command lines", cmd_import_qctrl},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *to)
{
	fputs("usage: qfwatch COMMAND [OPTION...]\n"
	      "\n"
	      "Moves the messages of a sendmail spool from tier to tier by a policy, from the "
	      "kernel's notifications.\n"
	      "\n",
	      to);
	for (int i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-13s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "qfwatch COMMAND -h tells a command's options; qfwatch --version tells the version.\n"
	      "The policy is /etc/qfwatch/policy.json, or what -c FILE names.\n",
	      to);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("qfwatch " QFWATCH_VERSION);
		return EXIT_DONE;
	}
	for (int i = 0; i < N_COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "qfwatch: unknown command \"%s\"\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
