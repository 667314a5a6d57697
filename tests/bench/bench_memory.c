/* bench_memory.c - resident memory (VmRSS) per tracked message: with SCALE messages, less with an
 * empty spool.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../support/bench.h"
#include "../support/process.h"

static double resident(struct bench *bench)
{
	struct service service;
	int64_t bytes;

	bench_policy(bench, BENCH_DUE_RULE);
	bench_start(bench, &service);
	bytes = process_resident(service.pid);
	if (bytes < 0)
		bench_fail("no VmRSS of the daemon: %s", strerror((int)-bytes));
	bench_stop(bench, &service);
	return (double)bytes;
}

int main(void)
{
	struct bench bench;
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
		double empty;

		strcpy(bench.spool, empty_spool);
		empty = resident(&bench);
		strcpy(bench.spool, full_spool);
		series_add(&row.ours, (resident(&bench) - empty) / (double)bench.scale);
	}
	snprintf(what, sizeof(what), "resident memory per message, %s tracked",
		 stats_thousands(bench.scale, number, sizeof(number)));
	row.what = what;
	row_print(&row);
	return 0;
}
