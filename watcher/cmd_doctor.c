/* cmd_doctor.c - qfwatch doctor: what keeps tiers empty, or mail stuck. */
#include "qfwatch/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "qfwatch/doctor.h"
#include "qfwatch/rights.h"

static const char usage[] =
	"usage: qfwatch doctor [-c FILE] [-u USER] [--sendmail-cf FILE] [--root DIR] [--proc DIR] "
	"[--json]\n"
	"       qfwatch doctor --list\n"
	"\n"
	"Examines the installation around a policy: rights, the daemon, sendmail's options, queue\n"
	"runners, what stands in the spool, file systems and limits. Tells what is wrong, by what "
	"it was\n"
	"seen, and what to do. Changes nothing; takes no lock; a daemon may run or not.\n"
	"\n"
	"  -u, --user USER         judge rights as if this user ran qfwatch (default: who runs "
	"the\n"
	"                          daemon; else User= of its unit; else yourself)\n"
	"      --sendmail-cf FILE  sendmail's file (default: the one in use, else "
	"/etc/mail/sendmail.cf)\n"
	"      --root DIR          look for /etc, /run, /usr and /proc below DIR\n"
	"      --proc DIR          look for the processes there (default /proc below the root)\n"
	"      --list              the names of all findings, and what each means\n"
	"      --json              the report as one JSON object\n"
	"  -c, --config FILE       the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help              this text\n"
	"\n"
	"Exit code 0: sound, but perhaps for notes; 1: there are errors or warnings.\n";

static void print_kinds(void)
{
	static const char *const severities[] = {
		[DOCTOR_NOTE] = "note",
		[DOCTOR_WARNING] = "warning",
		[DOCTOR_ERROR] = "error",
	};

	for (int i = 0; i < DOCTOR_KINDS; i++)
		printf("%-17s %-8s %s\n", doctor_name((enum doctor_kind)i),
		       severities[doctor_severity((enum doctor_kind)i)],
		       doctor_meaning((enum doctor_kind)i));
}

static int run(const struct doctor_request *request, bool json)
{
	struct doctor *doctor = doctor_examine(request);
	const struct doctor_report *report = doctor_result(doctor);
	int code = doctor_sound(report) ? EXIT_DONE : EXIT_PROBLEM;

	if (json)
		doctor_print_json(report, stdout);
	else
		doctor_print_text(report, stdout);
	doctor_free(doctor);
	return command_finish("doctor", code);
}

int cmd_doctor(int argc, char **argv)
{
	enum { SENDMAIL_CF = 256, ROOT, PROC, LIST, JSON };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"user", required_argument, NULL, 'u'},
		{"sendmail-cf", required_argument, NULL, SENDMAIL_CF},
		{"root", required_argument, NULL, ROOT},
		{"proc", required_argument, NULL, PROC},
		{"list", no_argument, NULL, LIST},
		{"json", no_argument, NULL, JSON},
		{"help", no_argument, NULL, 'h'},
		{0}};
	struct doctor_request request = {.policy = COMMAND_DEFAULT_POLICY, .root = ""};
	struct rights rights;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "c:u:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			request.policy = optarg;
			break;
		case 'u':
			request.user = optarg;
			break;
		case SENDMAIL_CF:
			request.sendmail_cf = optarg;
			break;
		case ROOT:
			request.root = strcmp(optarg, "/") == 0 ? "" : optarg;
			break;
		case PROC:
			request.proc = optarg;
			break;
		case LIST:
			print_kinds();
			return EXIT_DONE;
		case JSON:
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("doctor", NULL, NULL);
		}
	if (optind < argc)
		return command_misused("doctor", "unexpected argument", argv[optind]);
	if (request.user && rights_of_user(request.user, &rights) < 0)
		return command_misused("doctor", "--user: there is no such user", request.user);
	return run(&request, json);
}
