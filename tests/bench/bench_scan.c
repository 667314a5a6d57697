/* bench_scan.c - the first scan, per message, on warm caches.
 *
 * Ours is a whole `qfwatch run --once --dry-run`: start of the program, policy, watches, scan,
 * decisions, end. Beside it one thread of readdir, open, read, close; and what a cron job does:
 * find, and awk for the lines with too high an N. Once more with a rule that asks for the text of
 * the qf, which has to be read to its end then; and by the running daemon with a policy that
 * listens, which reads them for the domains of all messages (a single pass listens to nobody).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../support/bare.h"
#include "../support/bench.h"

static double bare_pass(const struct bench *bench, const struct mta_queue *queue)
{
	int64_t began = stats_now();
	int64_t count = bare_scan(queue);

	if (count < 0)
		bench_fail("cannot read %s/QUEUE: %s", bench->spool, strerror((int)-count));
	if ((uint64_t)count != bench->scale)
		bench_fail("%s/QUEUE has %" PRId64 " messages: expected SCALE=%" PRIu64,
			   bench->spool, count, bench->scale);
	return (double)(stats_now() - began) / (double)count;
}

static double cron_pass(const struct bench *bench)
{
	char command[2 * BENCH_PATH];
	int64_t began = stats_now();
	int status;

	snprintf(command, sizeof(command),
		 "find '%s/QUEUE' -name 'qf*' -exec awk "
		 "'/^N/ { if (substr($0, 2) + 0 >= 3) print FILENAME; nextfile }' {} + >/dev/null",
		 bench->spool);
	status = system(command);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_fail("find and awk failed");
	return (double)(stats_now() - began) / (double)bench->scale;
}

/* A rule that only the text of a qf can answer, and that no message fulfils. */
#define TEXT_RULE                                                                                  \
	"{\"tier\":\"QUEUE\",\"when\":{\"status\":\"*no such "                                     \
	"status*\"},\"then\":{\"move\":\"MIDQUEUE\"}}"

static double our_pass(struct bench *bench, const char *rules)
{
	bench_policy(bench, rules);
	return (double)bench_run_once(bench, "--once", "--dry-run") / (double)bench->scale;
}

/* From the start to "resynced". */
static double listening_pass(struct bench *bench)
{
	struct service service;
	int64_t took;

	bench_policy_with(bench, &(struct bench_policy){.rules = BENCH_DUE_RULE, .listen = true});
	took = bench_start(bench, &service);
	bench_stop(bench, &service);
	return (double)took / (double)bench->scale;
}

int main(void)
{
	struct bench bench;
	struct mta_queue queue;
	struct row row = {
		.key = "scan",
		.what = "first scan, per message",
		.unit = ROW_NANOSECONDS,
		.reach = "<= 0.80 x",
		.reach_ratio = 0.8,
		.elsewhere = "qctrl: 1.5 x, again every scan",
	};
	struct row text = {
		.key = "scan-text",
		.what = "  the same when a rule asks for the text",
		.unit = ROW_NANOSECONDS,
	};
	struct row listening = {
		.key = "scan-listen",
		.what = "  the same when the policy listens",
		.unit = ROW_NANOSECONDS,
	};
	struct row cron = {
		.key = "scan-cron",
		.what = "  the same by a cron job (find and awk)",
		.unit = ROW_NANOSECONDS,
		.elsewhere = "again every minute",
	};

	bench_open(&bench);
	bench_make_spool(&bench);
	bench_queue(&bench, "QUEUE", &queue);
	bare_pass(&bench, &queue); /* warms */
	for (int i = 0; i < bench.rounds; i++) {
		double bare = bare_pass(&bench, &queue);

		series_add(&row.bare, bare);
		series_add(&row.ours, our_pass(&bench, BENCH_DUE_RULE));
		series_add(&text.bare, bare);
		series_add(&text.ours, our_pass(&bench, TEXT_RULE));
		series_add(&listening.bare, bare);
		series_add(&listening.ours, listening_pass(&bench));
		series_add(&cron.bare, bare);
		series_add(&cron.ours, cron_pass(&bench));
	}
	row_print(&row);
	row_print(&text);
	row_print(&listening);
	row_print(&cron);
	mta_queue_close(&queue);
	return 0;
}
