/* bench_memory.c - resident memory (VmRSS) per tracked message: with SCALE messages, less with an
 * empty spool; and the same where the policy listens, since each message's domains are kept then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../support/bench.h"
#include "../support/process.h"

static double resident(struct bench *bench, bool listen)
{
	struct service service;
	int64_t bytes;
	int r;

	bench_policy_with(bench, &(struct bench_policy){.rules = BENCH_DUE_RULE, .listen = listen});
	bench_start(bench, &service);
	/* What the scan did not tell of domains is read while nobody waits. */
	r = process_wait_quiet(service.pid, 50 * STATS_MS, stats_now() + 60 * STATS_S);
	if (r < 0)
		bench_fail("the daemon does not come to rest: %s", strerror(-r));
	bytes = process_resident(service.pid);
	if (bytes < 0)
		bench_fail("no VmRSS of the daemon: %s", strerror((int)-bytes));
	bench_stop(bench, &service);
	return (double)bytes;
}

/* bench->spool is the full one afterwards. */
static void measure(struct bench *bench, const char *empty_spool, const char *full_spool,
		    bool listen, struct row *row)
{
	double empty;

	strcpy(bench->spool, empty_spool);
	empty = resident(bench, listen);
	strcpy(bench->spool, full_spool);
	series_add(&row->ours, (resident(bench, listen) - empty) / (double)bench->scale);
}

int main(void)
{
	struct bench bench;
	struct row listening = {
		.key = "memory-listen",
		.what = "  the same when the policy listens",
		.unit = ROW_BYTES,
		.reach = "<= 96 B",
		.reach_value = 96,
	};
	struct row row = {
		.key = "memory",
		.unit = ROW_BYTES,
		.reach = "<= 96 B",
		.reach_value = 96,
	};
	char empty_spool[BENCH_PATH], full_spool[BENCH_PATH], what[64], number[32];

	bench_open(&bench);
	bench_empty_spool(&bench, "empty");
	strcpy(empty_spool, bench.spool);
	bench_make_spool(&bench);
	strcpy(full_spool, bench.spool);
	for (int i = 0; i < bench.rounds; i++) {
		measure(&bench, empty_spool, full_spool, false, &row);
		measure(&bench, empty_spool, full_spool, true, &listening);
	}
	snprintf(what, sizeof(what), "resident memory per message, %s tracked",
		 stats_thousands(bench.scale, number, sizeof(number)));
	row.what = what;
	row_print(&row);
	row_print(&listening);
	return 0;
}
