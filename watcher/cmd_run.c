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
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"      --once         one pass over the spool, then exit: 0 all done, 1 something is left\n"
	"      --dry-run      decide and report, touch nothing\n"
	"  -h, --help         this text\n"
	"\n"
	"SIGHUP reads the policy again and reopens event files; SIGUSR1 writes a status line to "
	"stderr.\n"
	"Saving the policy file has the same effect as SIGHUP.\n";

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
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	if (optind < argc) {
		fprintf(stderr, "qfwatch run: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	return loop_run(&loop);
}
