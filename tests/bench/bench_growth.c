/* bench_growth.c - what becomes of the numbers as the spool grows: SCALE/100, SCALE/10 and SCALE
 * messages (10,000, 100,000 and 1,000,000 in the full table).
 *
 * At each size: the reaction, median and p99; resident memory per message, less that with an empty
 * spool; processor time that the daemon takes for one rewrite of a qf (some five notifications, one
 * look), at 2,000 rewrites/s; time from the program's start to the end of its first scan. Flat is
 * what is wanted: the row says what each is at the largest size, beside the smallest. BENCH_PLOT
 * names an SVG file that gets a picture of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/plot.h"
#include "../support/process.h"
#include "../support/reaction.h"

#define SIZES 3
#define RATE  2000

enum measure { MEDIAN, P99, MEMORY, CPU, SCAN, MEASURES };

static const struct {
	const char *key, *what, *reach;
	enum row_unit unit;
	double most; /* ratio */
} measures[MEASURES] = {
	[MEDIAN] = {"growth-reaction-p50", "reaction, median", "<= 1.25 x", ROW_NANOSECONDS, 1.25},
	[P99] = {"growth-reaction-p99", "reaction, p99", NULL, ROW_NANOSECONDS, 0},
	[MEMORY] = {"growth-memory", "memory per message", "<= 1.25 x", ROW_BYTES, 1.25},
	[CPU] = {"growth-cpu", "processor time a rewrite", "<= 1.25 x", ROW_NANOSECONDS, 1.25},
	[SCAN] = {"growth-scan", "start and first scan, per message", NULL, ROW_NANOSECONDS, 0},
};

static int64_t resident(const struct service *service)
{
	int64_t bytes = process_resident(service->pid);

	if (bytes < 0)
		bench_fail("no VmRSS of the daemon: %s", strerror((int)-bytes));
	return bytes;
}

static double cpu_of_a_rewrite(struct reaction *reaction, const struct service *service)
{
	int64_t before = process_cpu(service->pid), after;
	struct reaction_load load;
	uint64_t rewrites;

	if (before < 0)
		bench_fail("no schedstat of the daemon: %s", strerror((int)-before));
	reaction_load(reaction, RATE, &load);
	stats_sleep_until(stats_now() + (reaction->bench->scale < 10000 ? STATS_S / 4 : STATS_S));
	rewrites = reaction_unload(&load);
	if (process_wait_quiet(service->pid, 50 * STATS_MS, stats_now() + 60 * STATS_S) < 0)
		bench_fail("the daemon does not come to rest in 60 s");
	after = process_cpu(service->pid);
	if (rewrites == 0)
		bench_fail("nothing could be rewritten");
	return (double)(after - before) / (double)rewrites;
}

/* bench->spool has `count` messages. */
static void measure(struct bench *bench, uint64_t count, int64_t empty,
		    struct series series[MEASURES])
{
	static struct reaction reaction;
	struct samples samples = {0};
	struct service service;

	bench_policy(bench, BENCH_DUE_RULE);
	reaction_open(&reaction, bench);
	series_add(&series[SCAN], (double)bench_start(bench, &service) / (double)count);
	series_add(&series[MEMORY], (double)(resident(&service) - empty) / (double)count);
	reaction_measure(&reaction, &samples);
	series_add(&series[CPU], cpu_of_a_rewrite(&reaction, &service));
	bench_stop(bench, &service);
	reaction_close(&reaction);
	series_add(&series[MEDIAN], (double)samples_percentile(&samples, 50));
	series_add(&series[P99], (double)samples_percentile(&samples, 99));
	samples_free(&samples);
}

static int64_t resident_when_empty(struct bench *bench)
{
	struct service service;
	int64_t bytes;

	bench_empty_spool(bench, "empty");
	bench_policy(bench, BENCH_DUE_RULE);
	bench_start(bench, &service);
	bytes = resident(&service);
	bench_stop(bench, &service);
	return bytes;
}

static void draw(const uint64_t sizes[SIZES], struct series series[SIZES][MEASURES])
{
	const char *path = getenv("BENCH_PLOT");
	struct plot plot = {
		.title = "qfwatch as the spool grows",
		.axis = "messages in the spool",
		.n_points = SIZES,
		.panels = {{.title = "Reaction",
			    .unit = "microseconds",
			    .lines = {{.name = "median"}, {.name = "p99"}}},
			   {.title = "Memory per message",
			    .unit = "bytes",
			    .lines = {{.name = "memory"}}},
			   {.title = "Processor time a rewrite",
			    .unit = "microseconds",
			    .lines = {{.name = "processor"}}},
			   {.title = "First scan per message",
			    .unit = "microseconds",
			    .lines = {{.name = "scan"}}}},
		.n_panels = 4,
	};
	int r;

	if (!path || !*path)
		return;
	for (size_t i = 0; i < SIZES; i++) {
		plot.at[i] = (double)sizes[i];
		plot.panels[0].lines[0].values[i] = series_median(&series[i][MEDIAN]) / 1e3;
		plot.panels[0].lines[1].values[i] = series_median(&series[i][P99]) / 1e3;
		plot.panels[1].lines[0].values[i] = series_median(&series[i][MEMORY]);
		plot.panels[2].lines[0].values[i] = series_median(&series[i][CPU]) / 1e3;
		plot.panels[3].lines[0].values[i] = series_median(&series[i][SCAN]) / 1e3;
	}
	r = plot_write(&plot, path);
	if (r < 0)
		bench_fail("cannot write %s: %s", path, strerror(-r));
}

int main(void)
{
	static struct series series[SIZES][MEASURES];
	char spools[SIZES][BENCH_PATH], what[80], from[32], to[32];
	uint64_t sizes[SIZES];
	struct bench bench;
	int64_t empty;

	bench_open(&bench);
	if (bench.scale < 1000)
		bench_fail("SCALE=%" PRIu64 ": expected 1000 or more", bench.scale);
	empty = resident_when_empty(&bench);
	for (int i = 0; i < SIZES; i++) {
		sizes[i] = i == 0 ? bench.scale / 100 : i == 1 ? bench.scale / 10 : bench.scale;
		if (i < SIZES - 1)
			bench_fill_spool(&bench, i ? "medium" : "small", sizes[i], 0, 2);
		else
			bench_make_spool(&bench);
		strcpy(spools[i], bench.spool);
	}
	for (int round = 0; round < bench.rounds; round++) {
		for (int i = 0; i < SIZES; i++) {
			strcpy(bench.spool, spools[i]);
			measure(&bench, sizes[i], empty, series[i]);
		}
	}
	for (int i = 0; i < MEASURES; i++) {
		struct row row = {
			.key = measures[i].key,
			.what = what,
			.unit = measures[i].unit,
			.ours = series[SIZES - 1][i],
			.bare = series[0][i],
			.reach = measures[i].reach,
			.reach_ratio = measures[i].most,
		};

		if (i == 0)
			snprintf(what, sizeof(what), "growth %s -> %s: %s",
				 stats_thousands(sizes[0], from, sizeof(from)),
				 stats_thousands(sizes[2], to, sizeof(to)), measures[i].what);
		else
			snprintf(what, sizeof(what), "  %s", measures[i].what);
		row_print(&row);
	}
	draw(sizes, series);
	return 0;
}
