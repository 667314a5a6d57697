/* bench_idle.c - wake-ups of an idle daemon that tracks SCALE messages, over BENCH_IDLE_SECONDS
 * (20).
 *
 * A wake-up is a voluntary context switch of any of its threads (/proc/PID/task/TID/status): each
 * time a thread sleeps again it must have been awake. That costs the daemon nothing, where strace
 * would slow it down and needs a right of its own.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/bench.h"

static uint64_t count_wakeups(const struct service *service)
{
	char path[300], line[256];
	uint64_t sum = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)service->pid);
	tasks = opendir(path);
	if (!tasks)
		bench_fail("the daemon is gone");
	while ((entry = readdir(tasks)) != NULL) {
		uint64_t switches;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)service->pid,
			 entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (file && fgets(line, sizeof(line), file)) {
			if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &switches) == 1)
				sum += switches;
		}
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return sum;
}

/* What the scan left to do is done: no wake-up for a second. */
static void wait_for_quiet(const struct service *service)
{
	int64_t deadline = stats_now() + 30 * STATS_S, quiet = stats_now() + STATS_S;
	uint64_t before = count_wakeups(service);

	while (stats_now() < quiet) {
		uint64_t now;

		if (stats_now() > deadline)
			bench_fail("the daemon does not come to rest in 30 s");
		stats_sleep_until(stats_now() + 50 * STATS_MS);
		now = count_wakeups(service);
		if (now != before)
			quiet = stats_now() + STATS_S;
		before = now;
	}
}

int main(void)
{
	struct bench bench;
	struct service service;
	int64_t seconds;
	struct row row = {
		.key = "idle",
		.unit = ROW_COUNT,
		.reach = "0",
		.elsewhere = "qctrl: opens every message, every scan",
	};
	char what[64];
	uint64_t before;

	bench_open(&bench);
	seconds = bench_number("BENCH_IDLE_SECONDS", 20);
	bench_make_spool(&bench);
	bench_policy(&bench, BENCH_DUE_RULE);
	bench_start(&bench, &service);
	wait_for_quiet(&service);
	bench_say("counting wake-ups for %" PRId64 " s", seconds);
	before = count_wakeups(&service);
	stats_sleep_until(stats_now() + seconds * STATS_S);
	series_add(&row.ours, (double)(count_wakeups(&service) - before));
	bench_stop(&bench, &service);
	snprintf(what, sizeof(what), "idle for %" PRId64 " s, wake-ups", seconds);
	row.what = what;
	row_print(&row);
	return 0;
}
