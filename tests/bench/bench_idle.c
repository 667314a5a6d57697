/* bench_idle.c - wake-ups of an idle daemon that tracks SCALE messages, over BENCH_IDLE_SECONDS
 * (20). process.h says what a wake-up is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../support/bench.h"
#include "../support/process.h"

static int64_t count_wakeups(const struct service *service)
{
	int64_t wakeups = process_wakeups(service->pid);

	if (wakeups < 0)
		bench_fail("the daemon is gone");
	return wakeups;
}

int main(void)
{
	struct bench bench;
	struct service service;
	int64_t seconds, before, cpu;
	struct row row = {
		.key = "idle",
		.unit = ROW_COUNT,
		.reach = "0",
		.elsewhere = "qctrl: opens every message, every scan",
	};
	struct row used = {
		.key = "idle-cpu",
		.what = "  processor time taken meanwhile",
		.unit = ROW_NANOSECONDS,
	};
	char what[64];

	bench_open(&bench);
	seconds = bench_number("BENCH_IDLE_SECONDS", 20);
	bench_make_spool(&bench);
	bench_policy(&bench, BENCH_DUE_RULE);
	bench_start(&bench, &service);
	/* What the scan left to do is done. */
	if (process_wait_quiet(service.pid, STATS_S, stats_now() + 120 * STATS_S) < 0)
		bench_fail("the daemon does not come to rest in 120 s");
	bench_say("counting wake-ups for %" PRId64 " s", seconds);
	before = count_wakeups(&service);
	cpu = process_cpu(service.pid);
	stats_sleep_until(stats_now() + seconds * STATS_S);
	series_add(&row.ours, (double)(count_wakeups(&service) - before));
	series_add(&used.ours, (double)(process_cpu(service.pid) - cpu));
	bench_stop(&bench, &service);
	snprintf(what, sizeof(what), "idle for %" PRId64 " s, wake-ups", seconds);
	row.what = what;
	row_print(&row);
	if (cpu >= 0)
		row_print(&used);
	return 0;
}
