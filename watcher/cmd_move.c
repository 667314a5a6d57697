/* cmd_move.c - qfwatch move: messages to a tier by hand, under the same lock and crash rules as the
 * daemon's, which may run beside it. */
#include "qfwatch/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "qfwatch/control.h"
#include "qfwatch/lock.h"
#include "qfwatch/mover.h"
#include "qfwatch/policy.h"
#include "qfwatch/recover.h"
#include "qfwatch/spool.h"

static const char usage[] =
	"usage: qfwatch move [-c FILE] --to TIER ID...\n"
	"\n"
	"Moves messages to a tier of the policy, one after the other. ID is a queue id, the name "
	"of a qf or\n"
	"its path; \"-\" reads them from standard input, one a line. What is locked by sendmail is "
	"left.\n"
	"A rule of a running daemon may move a message on from there at once.\n"
	"\n"
	"  -t, --to TIER      the tier that they go to\n"
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit code 0: all moved (or there already); 1: some were not, and why is on stderr.\n";

struct mover {
	const struct policy *policy;
	struct spool spool;
	unsigned target;
	unsigned failed;
	int noatime; /* O_NOATIME, until it is refused */
	char buffer[CONTROL_BUFFER];
};

static void refuse(struct mover *mover, const char *id, const char *why, const char *remedy)
{
	mover->failed++;
	fprintf(stderr, "qfwatch move: %s: %s%s%s\n", id, why, remedy && *remedy ? ": " : "",
		remedy ? remedy : "");
}

static const char *tier_name(const struct mover *mover, const struct qdir *dir)
{
	return mover->policy->tiers[dir->tier].name;
}

/* "qfID", a path to it, or ID itself. Returns where the id starts; *ret_folder is the path's
 * folder, or NULL. */
static const char *read_id(char *word, const char **ret_folder)
{
	char *slash = strrchr(word, '/'), *name = word;

	*ret_folder = NULL;
	if (slash) {
		*slash = 0;
		*ret_folder = slash == word ? "/" : word;
		name = slash + 1;
	}
	return strncmp(name, "qf", 2) == 0 && name[2] ? name + 2 : name;
}

static bool is_folder(const struct qdir *dir, const char *folder)
{
	struct stat given, own;

	return !folder || (stat(folder, &given) == 0 && fstat(dir->qf, &own) == 0 &&
			   given.st_dev == own.st_dev && given.st_ino == own.st_ino);
}

/* The directory where the message stands. */
static const struct qdir *find(const struct mover *mover, const char *qf, const char *folder)
{
	for (size_t i = 0; i < mover->spool.n_dirs; i++) {
		const struct qdir *dir = &mover->spool.dirs[i];
		struct stat stat;

		if (dir->fd >= 0 && is_folder(dir, folder) &&
		    fstatat(dir->qf, qf, &stat, AT_SYMLINK_NOFOLLOW) == 0)
			return dir;
	}
	return NULL;
}

static struct mover_result move_locked(struct mover *mover, const struct qdir *from,
				       const struct qdir *to, const char *id,
				       const struct control *control)
{
	static atomic_bool never;
	size_t length = strlen(id);
	struct mover_result result;
	struct stat body;
	int error;

	/* What an interrupted move left of this message goes first, as in the daemon. */
	if (mover_look_at_body(from, id, length, &body, &error) == TROUBLE_BODY_LINKS)
		recover_second_link(&mover->spool, from, id, length, &body, &error);
	result = mover_move(from, to, id, length, true);
	if (result.trouble == TROUBLE_OTHER_FILE_SYSTEM)
		result = mover_copy(from, to, id, length, control->fd, &never);
	return result;
}

static void report(struct mover *mover, const char *id, struct mover_result result)
{
	char text[256];

	if (result.trouble == TROUBLE_ERROR) {
		snprintf(text, sizeof text, "%s: %s", result.step, strerror(result.error));
		refuse(mover, id, text, trouble_errno_remedy(result.error));
	} else {
		refuse(mover, id, trouble_text(result.trouble), trouble_remedy(result.trouble));
	}
}

static void move_open(struct mover *mover, const struct qdir *from, const struct qdir *to,
		      const char *id, const char *qf, const struct control *control)
{
	struct mover_result result;
	int r;

	if (control->file.data_elsewhere) {
		refuse(mover, id, trouble_text(TROUBLE_DATA_ELSEWHERE),
		       trouble_remedy(TROUBLE_DATA_ELSEWHERE));
		return;
	}
	r = lock_take(control->fd);
	if (r == 0)
		r = lock_verify(from->qf, qf, &control->stat);
	if (r == -EWOULDBLOCK) {
		refuse(mover, id, "it is locked: sendmail is delivering it", "try again later");
		return;
	}
	if (r < 0) {
		refuse(mover, id, r == -ESTALE ? "it changed just now" : strerror(-r),
		       r == -ESTALE ? "try again" : trouble_errno_remedy(-r));
		return;
	}
	result = move_locked(mover, from, to, id, control);
	if (result.trouble) {
		report(mover, id, result);
		return;
	}
	printf("moved %s %s -> %s\n", id, tier_name(mover, from), tier_name(mover, to));
	if (result.leftover)
		fprintf(stderr,
			"qfwatch move: %s: moved, but something of it is left in %s: the daemon's "
			"next start or "
			"reconcile clears it\n",
			id, from->path);
}

static void move_one(struct mover *mover, char *word)
{
	const char *folder, *id = read_id(word, &folder);
	const struct qdir *from, *to;
	struct control control;
	enum trouble trouble;
	char qf[SPOOL_NAME_MAX];

	if (!*id || !spool_name(qf, "qf", id, strlen(id))) {
		refuse(mover, word, "this is not a queue id", "give ids as mailq lists them");
		return;
	}
	from = find(mover, qf, folder);
	if (!from) {
		refuse(mover, id, "no tier has it", "it may have been delivered: see mailq");
		return;
	}
	if (from->tier == mover->target) {
		printf("%s is in %s already\n", id, tier_name(mover, from));
		return;
	}
	to = spool_place(&mover->spool, mover->target, mover->policy->tiers[mover->target].place,
			 id, strlen(id));
	trouble = control_read(from->qf, qf, mover->buffer, &mover->noatime, &control);
	if (trouble == TROUBLE_NONE)
		move_open(mover, from, to, id, qf, &control);
	else if (trouble == TROUBLE_ERROR || trouble == TROUBLE_UNREADABLE)
		refuse(mover, id, strerror(control.error), trouble_errno_remedy(control.error));
	else
		refuse(mover, id, trouble_text(trouble), trouble_remedy(trouble));
	control_close(&control);
}

static void move_listed(struct mover *mover, FILE *list)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, list)) >= 0) {
		if (n && line[n - 1] == '\n')
			line[n - 1] = 0;
		if (*line)
			move_one(mover, line);
	}
	free(line);
}

static int run(const char *path, const char *tier, int argc, char **argv)
{
	struct mover *mover = calloc(1, sizeof *mover);
	struct problems problems = {0};
	struct policy *policy = NULL;
	struct spool_plan *plan;
	int code = EXIT_DONE, target;

	if (!mover || policy_load(path, &problems, &policy) < 0) {
		code = command_report(&problems);
		goto out;
	}
	mover->policy = policy;
	mover->noatime = O_NOATIME;
	target = command_find_tier("move", policy, tier);
	if (target < 0) {
		code = EXIT_USAGE;
		goto out;
	}
	mover->target = (unsigned)target;
	if (spool_plan(&mover->spool, policy, SPOOL_WRITE, &problems, &plan) < 0) {
		code = command_report(&problems);
		goto out;
	}
	spool_commit(&mover->spool, plan);
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-") == 0)
			move_listed(mover, stdin);
		else
			move_one(mover, argv[i]);
	}
	spool_free(&mover->spool);
	code = command_finish("move", mover->failed ? EXIT_PROBLEM : EXIT_DONE);
out:
	policy_free(policy);
	problems_free(&problems);
	free(mover);
	return code;
}

int cmd_move(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"to", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	const char *path = COMMAND_DEFAULT_POLICY, *tier = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "c:t:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 't':
			tier = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("move", NULL, NULL);
		}
	if (!tier || optind == argc)
		return command_misused("move",
				       tier ? "which messages? Give their queue ids"
					    : "where to? Name the tier with --to",
				       NULL);
	return run(path, tier, argc - optind, argv + optind);
}
