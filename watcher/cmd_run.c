/* cmd_run.c - qfwatch run: the daemon, in the foreground. */
#include "qfwatch/command.h"

#include <getopt.h>
#include <stdio.h>

#include "qfwatch/loop.h"

static const char usage[] =
	"usage: qfwatch run [-c FILE] [--once] [--dry-run]\n"
	"\n"
	"Watches the tiers of the policy and acts on its rules, until SIGTERM or SIGINT.\n"
	"\n"
	"      --once         one pass over the spool, then exit\n"
	"      --dry-run      decide and report, touch nothing; may run beside the daemon\n"
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"SIGHUP reads the policy again, as saving it does, and reopens event files; SIGUSR1 writes "
	"a\n"
	"status line to stderr.\n"
	"Exit code 0: stopped, or all done; 1: with --once, something is left, and the events say "
	"what;\n"
	"2: the policy is wrong; 3: the system refuses, and why.\n";

int cmd_run(int argc, char **argv)
{
	enum { ONCE = 256, DRY_RUN };
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"once", no_argument, NULL, ONCE},
						{"dry-run", no_argument, NULL, DRY_RUN},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct loop_options loop = {.policy = COMMAND_DEFAULT_POLICY};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			loop.policy = optarg;
			break;
		case ONCE:
			loop.once = true;
			break;
		case DRY_RUN:
			loop.dry_run = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("run", NULL, NULL);
		}
	if (optind < argc)
		return command_misused("run", "unexpected argument", argv[optind]);
	return loop_run(&loop);
}
