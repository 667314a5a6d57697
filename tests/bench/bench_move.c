/* bench_move.c - what a move costs when many are due at once.
 *
 * Ours is `qfwatch run --once` with every message due, less the same with none due (start, scan,
 * decisions): what is left is reading again under the lock, the checks, the move, and its event in
 * a file. Beside it the bare system calls (open, flock, link, renameat2, unlink, close); these and
 * those without which a message may be lost, so that what remains is the daemon's own; and
 * sendmail's qtool.pl, whose own scan is part of its price. The same messages go to and fro between
 * two tiers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/bare.h"
#include "../support/bench.h"

static const char *const names[] = {"QUEUE", "MIDQUEUE"};

struct moving {
	struct bench bench;
	struct mta_queue queues[2];
	int from; /* where the messages are */
	uint64_t count;
	char qtool[BENCH_PATH]; /* empty: not there */
	char config[BENCH_PATH];
};

/* The messages have gone over, all of them. */
static void turn(struct moving *moving, const char *by)
{
	struct mta_id *ids;
	size_t count[2];
	int r;

	for (int i = 0; i < 2; i++) {
		r = mta_queue_ids(&moving->queues[i], &ids, &count[i]);
		if (r < 0)
			bench_fail("cannot read %s: %s", names[i], strerror(-r));
		free(ids);
	}
	if (count[moving->from] != 0 || count[!moving->from] != moving->count)
		bench_fail("%s left %zu of %" PRIu64 " messages in %s, and %zu came to %s", by,
			   count[moving->from], moving->count, names[moving->from],
			   count[!moving->from], names[!moving->from]);
	moving->from = !moving->from;
}

static double move_ours(struct moving *moving)
{
	char rule[256];
	int64_t idle, busy;

	snprintf(rule, sizeof(rule),
		 "{\"tier\":\"%s\",\"when\":{\"attempts\":%d},\"then\":{\"move\":\"%s\"}}",
		 names[moving->from], BENCH_DUE, names[!moving->from]);
	bench_policy(&moving->bench, rule);
	idle = bench_run_once(&moving->bench, "--once", NULL);
	snprintf(rule, sizeof(rule),
		 "{\"tier\":\"%s\",\"when\":{\"attempts\":3},\"then\":{\"move\":\"%s\"}}",
		 names[moving->from], names[!moving->from]);
	bench_policy(&moving->bench, rule);
	busy = bench_run_once(&moving->bench, "--once", NULL);
	turn(moving, "qfwatch run --once");
	return (double)(busy - idle) / (double)moving->count;
}

typedef int bare_mover(const struct mta_queue *from, const struct mta_queue *to, const char *id);

static double move_bare(struct moving *moving, bare_mover *move)
{
	struct mta_id *ids;
	size_t count;
	int64_t began;
	int r = mta_queue_ids(&moving->queues[moving->from], &ids, &count);

	began = stats_now();
	for (size_t i = 0; i < count && r == 0; i++)
		r = move(&moving->queues[moving->from], &moving->queues[!moving->from],
			 ids[i].text);
	began = stats_now() - began;
	if (r < 0)
		bench_fail("a bare move failed: %s", strerror(-r));
	free(ids);
	turn(moving, "the bare loop");
	return (double)began / (double)moving->count;
}

static double move_qtool(struct moving *moving)
{
	char command[6 * BENCH_PATH];
	int64_t began = stats_now();
	int status;

	snprintf(command, sizeof(command), "perl '%s' -C '%s' '%s/%s' '%s/%s' >'%s/qtool.out' 2>&1",
		 moving->qtool, moving->config, moving->bench.spool, names[!moving->from],
		 moving->bench.spool, names[moving->from], moving->bench.folder);
	status = system(command);
	began = stats_now() - began;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_fail("qtool.pl failed");
	turn(moving, "qtool.pl");
	return (double)began / (double)moving->count;
}

/* QTOOL names it; run.sh looks for it among sendmail's unpacked packages. It wants a sendmail.cf
 * with a queue directory. */
static void find_qtool(struct moving *moving)
{
	const char *given = getenv("QTOOL");
	FILE *file;

	if (!given || !*given) {
		bench_say(
			"no qtool.pl (tests/e2e/fetch-sendmail.sh brings it): its row is left out");
		return;
	}
	snprintf(moving->config, sizeof(moving->config), "%.*s/sendmail.cf", BENCH_PATH - 16,
		 moving->bench.folder);
	file = fopen(moving->config, "we");
	if (!file || fprintf(file, "O QueueDirectory=%s\n", moving->bench.spool) < 0 ||
	    fclose(file) != 0)
		bench_fail("cannot write %s: %s", moving->config, strerror(errno));
	snprintf(moving->qtool, sizeof(moving->qtool), "%s", given);
}

int main(void)
{
	static struct moving moving;
	struct bench *bench = &moving.bench;
	struct row row = {
		.key = "move",
		.unit = ROW_NANOSECONDS,
		.reach = "<= 1.20 x",
		.reach_ratio = 1.2,
		.elsewhere = "qtool.pl: see below",
	};
	struct row guarded = {
		.key = "move-guarded",
		.what = "  beside the same with the calls that guard it",
		.unit = ROW_NANOSECONDS,
	};
	struct row qtool = {
		.key = "move-qtool",
		.what = "  the same by qtool.pl",
		.unit = ROW_NANOSECONDS,
		.elsewhere = "today's tool",
	};
	char what[64], number[32];

	bench_open(bench);
	moving.count = bench->scale < 10000    ? bench->scale
		       : bench->scale < 100000 ? 10000
					       : bench->scale / 10;
	bench_fill_spool(bench, "spool", moving.count, 3, 9);
	bench_queue(bench, names[0], &moving.queues[0]);
	bench_queue(bench, names[1], &moving.queues[1]);
	find_qtool(&moving);
	move_bare(&moving, bare_move); /* warms */
	for (int i = 0; i < bench->rounds; i++) {
		double bare = move_bare(&moving, bare_move), ours = move_ours(&moving);

		series_add(&row.bare, bare);
		series_add(&row.ours, ours);
		series_add(&guarded.bare, move_bare(&moving, bare_move_guarded));
		series_add(&guarded.ours, ours);
		if (*moving.qtool) {
			series_add(&qtool.bare, bare);
			series_add(&qtool.ours, move_qtool(&moving));
		}
	}
	snprintf(what, sizeof(what), "move, each of %s due at once",
		 stats_thousands(moving.count, number, sizeof(number)));
	row.what = what;
	row_print(&row);
	row_print(&guarded);
	if (qtool.ours.count)
		row_print(&qtool);
	return 0;
}
