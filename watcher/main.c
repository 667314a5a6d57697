/* main.c - the table of subcommands. */
#include "qfwatch/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
	{"run", "the daemon: watch the tiers and act on the policy's rules", cmd_run},
	{"check", "tell everything that is wrong with a policy", cmd_check},
	{"status", "is it working? What stands in the tiers, and what is wrong", cmd_status},
	{"top", "the same, live in the terminal", cmd_top},
	{"list", "list messages: all, or those that filters choose", cmd_list},
	{"shape", "count messages by domain and age", cmd_shape},
	{"explain", "why is a message where it is, and what comes next", cmd_explain},
	{"events", "print what was recorded: a message's history, what a rule did", cmd_events},
	{"doctor", "what keeps tiers empty or mail stuck", cmd_doctor},
	{"move", "move messages to a tier by hand", cmd_move},
	{"plan", "what the policy would do now and in the next hours", cmd_plan},
	{"replay", "what a policy would have done with recorded events", cmd_replay},
	{"import-qctrl", "write a policy from qctrl command lines", cmd_import_qctrl},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *to)
{
	fputs("usage: qfwatch COMMAND [OPTION...]\n"
	      "\n"
	      "Moves the messages of a sendmail spool from tier to tier by a policy, from the\n"
	      "kernel's notifications.\n"
	      "\n",
	      to);
	for (int i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  %-13s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "`qfwatch COMMAND -h` tells a command's options, `qfwatch --version` the version.\n"
	      "The policy is " COMMAND_DEFAULT_POLICY ", or what -c FILE names.\n",
	      to);
}

static const struct command *find_command(const char *name)
{
	for (int i = 0; i < N_COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

/* getopt_long begins what it says with argv[0]. */
static int run_command(const struct command *command, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof name, "qfwatch %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

/* Whoever starts us without standard streams must not have what we say written into the next file
 * or socket that is opened. Read-only, so that writing fails as it would. */
static void hold_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd < STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *command;
	char option_help[] = "-h";

	hold_standard_streams();
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	/* `qfwatch help COMMAND` is `qfwatch COMMAND -h`. */
	if (argc == 3 && strcmp(argv[1], "help") == 0) {
		argv[1] = argv[2];
		argv[2] = option_help;
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
	command = find_command(argv[1]);
	if (command)
		return run_command(command, argc - 1, argv + 1);
	fprintf(stderr, "qfwatch: unknown command \"%s\": `qfwatch help` lists them\n", argv[1]);
	return EXIT_USAGE;
}
