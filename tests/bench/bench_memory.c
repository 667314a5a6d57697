/* bench_memory.c - resident memory (VmRSS) per tracked message: with SCALE messages, less with an
 * empty spool.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../support/bench.h"

static double resident(struct bench *bench)
{
	struct service service;
	char path[64], line[256];
	unsigned long kilobytes = 0;
	FILE *file;

	bench_policy(bench, BENCH_DUE_RULE);
	bench_start(bench, &service);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)service.pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmRSS: %lu kB", &kilobytes) == 1)
			break;
	}
	if (file)
		fclose(file);
	if (kilobytes == 0)
		bench_fail("no VmRSS in %s", path);
	bench_stop(bench, &service);
	return (double)kilobytes * 1024;
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
