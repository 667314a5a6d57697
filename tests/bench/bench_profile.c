/* bench_profile.c - instructions (valgrind --tool=callgrind) and system calls (strace -c) for one
 * scanned message, one rewrite of a qf, and one move.
 *
 * A load is run once with it and once without, over the same small spool; the difference, divided
 * by its length, is the price of one. So that it is the same each time, the daemon is stopped while
 * a qf is rewritten: it then meets all notifications of it at once, and no lock. Numbers of one
 * machine and one compiler repeat to a percent; BENCH_LIMITS names a file of lines "KEY NUMBER"
 * that must not be exceeded: then the exit status is 1.
 *
 * BENCH_PROFILES names a folder that keeps what both have written (callgrind.LOAD, strace.LOAD),
 * for profile.sh.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/bench.h"
#include "../support/process.h"

#define MESSAGES 300  /* in the small spool */
#define MORE	 1000 /* in the other one, besides */
#define TIMES	 300  /* rewrites, or moves */

enum tool { CALLGRIND, STRACE, TOOLS };
enum load { NOTHING, SCAN, REWRITE, MOVE, LOADS };

static const char *const load_names[LOADS] = {"nothing", "scan", "rewrite", "move"};

static const struct {
	const char *program, *missing;
} tools[TOOLS] = {
	[CALLGRIND] = {"valgrind", "skipped: no valgrind (apt-get install valgrind)"},
	[STRACE] = {"strace", "skipped: no strace (apt-get install strace)"},
};

struct profile {
	struct bench bench;
	struct mta mta;
	char spools[2][BENCH_PATH]; /* small, large */
	const char *keep;
};

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

static bool is_there(const char *program)
{
	const char *at = getenv("PATH");
	char path[BENCH_PATH];

	while (at && *at) {
		size_t length = strcspn(at, ":");

		snprintf(path, sizeof(path), "%.*s/%s", (int)length, at, program);
		if (access(path, X_OK) == 0)
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

/* ---- the daemon under a tool ---- */

static void start(struct profile *profile, enum tool tool, const char *output,
		  struct service *service)
{
	struct bench *bench = &profile->bench;
	char out[BENCH_PATH + 64], log[BENCH_PATH + 32];
	const char *const callgrind[] = {"--tool=callgrind", "-q", out, bench->program, "run", "-c",
					 bench->policy,	     NULL};
	/* -D: what is traced is our child, and strace its grandchild. */
	const char *const strace[] = {"-D",	      "-f",  "-qq", "-c",	   "-o", output,
				      bench->program, "run", "-c",  bench->policy, NULL};

	unlink(bench->events);
	unlink(output);
	snprintf(out, sizeof(out), "--callgrind-out-file=%s", output);
	snprintf(log, sizeof(log), "%s/stdout", bench->folder);
	check(service_start(service, tools[tool].program, tool == CALLGRIND ? callgrind : strace,
			    bench->folder, log),
	      "cannot start a tool");
	if (service_wait_ready(service, stats_now() + 60 * STATS_S) < 0)
		bench_fail("qfwatch did not get ready under %s: %s", tools[tool].program,
			   service_errors(service));
}

static void wait_until_asleep(const struct service *service)
{
	if (process_wait_quiet(service->pid, 2 * STATS_MS, stats_now() + 60 * STATS_S) < 0)
		bench_fail("the daemon does not come to rest in 60 s");
}

/* One attempt of sendmail's, of which the daemon hears when it is over. */
static void attempt(struct profile *profile, const struct service *service,
		    const struct mta_queue *queue, const char *id)
{
	int64_t deadline = stats_now() + 10 * STATS_S;
	struct mta_attempt attempt;

	kill(service->pid, SIGSTOP);
	while (!process_all_are(service->pid, "Tt")) {
		if (stats_now() > deadline)
			bench_fail("the daemon does not stop");
		stats_sleep_until(stats_now() + 50 * STATS_US);
	}
	check(mta_attempt_begin(&profile->mta, queue, id, &attempt), "cannot lock a message");
	check(mta_attempt_defer(&attempt, stats_wall() / STATS_S, "Deferred: Connection refused",
				NULL),
	      "cannot defer a message");
	kill(service->pid, SIGCONT);
	wait_until_asleep(service);
}

static void write_due(struct profile *profile, const struct mta_queue *queue,
		      struct mta_id ids[TIMES])
{
	struct mta_message message;

	for (int i = 0; i < TIMES; i++) {
		mta_compose(&profile->mta, stats_wall() / STATS_S, &message);
		message.attempts = BENCH_NEARLY;
		message.body = 1000;
		message.recipients = 1;
		check(mta_enqueue(&profile->mta, queue, &message), "cannot write a message");
		memcpy(ids[i].text, message.id, sizeof(message.id));
	}
}

static void remove_due(struct profile *profile, const struct mta_queue queues[2],
		       const struct mta_id ids[TIMES], bool moved)
{
	struct mta_attempt attempt;

	for (int i = 0; i < TIMES; i++) {
		check(mta_attempt_begin(&profile->mta, &queues[moved], ids[i].text, &attempt),
		      moved ? "a message was not moved" : "cannot lock a message");
		check(mta_attempt_deliver(&attempt, NULL), "cannot remove a message");
	}
}

/* ---- what the tools say ---- */

/* "summary: N" of callgrind; the calls of each line of strace -c. Negative: not there (yet). */
static double read_total(enum tool tool, const char *path)
{
	FILE *file = fopen(path, "re");
	double total = -1, sum = 0;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		double share, seconds, each, calls;

		if (tool == CALLGRIND)
			(void)sscanf(line, "summary: %lf", &total);
		else if (strstr(line, " total"))
			total = sum;
		else if (sscanf(line, "%lf %lf %lf %lf", &share, &seconds, &each, &calls) == 4)
			sum += calls;
	}
	if (file)
		fclose(file);
	return total;
}

/* The total of one run. The messages that a move needs are there in each, so that a scan of them is
 * in each. */
static double run(struct profile *profile, enum tool tool, enum load load)
{
	struct bench *bench = &profile->bench;
	static struct mta_id ids[TIMES];
	char output[BENCH_PATH + 32];
	struct mta_queue queues[2];
	struct service service;
	int64_t deadline;
	double total;

	strcpy(bench->spool, profile->spools[load == SCAN]);
	bench_policy(bench, BENCH_DUE_RULE);
	bench_queue(bench, "QUEUE", &queues[0]);
	bench_queue(bench, "MIDQUEUE", &queues[1]);
	write_due(profile, &queues[0], ids);
	snprintf(output, sizeof(output), "%s/%s.%s", profile->keep ? profile->keep : bench->folder,
		 tool == CALLGRIND ? "callgrind" : "strace", load_names[load]);
	start(profile, tool, output, &service);
	wait_until_asleep(&service);
	for (int i = 0; i < TIMES && load == MOVE; i++)
		attempt(profile, &service, &queues[0], ids[i].text);
	if (load == REWRITE) {
		struct mta_id *all;
		size_t count;

		check(mta_queue_ids(&queues[0], &all, &count), "cannot read a tier");
		for (size_t i = 0, done = 0; done < TIMES; i++) {
			if (i == count)
				bench_fail("too few messages to rewrite");
			/* Not those that would be due by it. */
			if (strcmp(all[i].text + 8, ids[0].text + 8) == 0)
				continue;
			attempt(profile, &service, &queues[0], all[i].text);
			done++;
		}
		free(all);
	}
	bench_stop(bench, &service);
	deadline = stats_now() + 30 * STATS_S;
	while ((total = read_total(tool, output)) < 0) {
		if (stats_now() > deadline)
			bench_fail("%s says nothing in %s", tools[tool].program, output);
		stats_sleep_until(stats_now() + 5 * STATS_MS);
	}
	if (!profile->keep)
		unlink(output);
	remove_due(profile, queues, ids, load == MOVE);
	mta_queue_close(&queues[0]);
	mta_queue_close(&queues[1]);
	return total;
}

/* ---- limits ---- */

static double limit_of(const char *key)
{
	const char *path = getenv("BENCH_LIMITS");
	FILE *file = path && *path ? fopen(path, "re") : NULL;
	double limit = 0, value;
	char line[256], name[64];

	if (path && *path && !file)
		bench_fail("cannot read %s: %s", path, strerror(errno));
	while (file && fgets(line, sizeof(line), file)) {
		if (line[0] != '#' && sscanf(line, "%63s %lf", name, &value) == 2 &&
		    strcmp(name, key) == 0)
			limit = value;
	}
	if (file)
		fclose(file);
	return limit;
}

/* Returns true when it is within its limit. */
static bool show(enum tool tool, enum load load, double value)
{
	char key[64], what[80], reach[48], number[32];
	struct row row = {
		.key = key,
		.what = what,
		.unit = tool == CALLGRIND ? ROW_COUNT : ROW_FEW,
	};
	static const char *const of[LOADS] = {
		[SCAN] = "a scanned message",
		[REWRITE] = "a rewrite",
		[MOVE] = "a rewrite and a move",
	};

	snprintf(key, sizeof(key), "%s-%s", tool == CALLGRIND ? "instructions" : "syscalls",
		 load_names[load]);
	snprintf(what, sizeof(what), "%s, %s", tool == CALLGRIND ? "instructions" : "system calls",
		 of[load]);
	row.reach_value = limit_of(key);
	if (row.reach_value > 0) {
		snprintf(reach, sizeof(reach), "<= %s",
			 stats_thousands((uint64_t)row.reach_value, number, sizeof(number)));
		row.reach = reach;
	}
	series_add(&row.ours, value);
	row_print(&row);
	return row.reach_value <= 0 || value <= row.reach_value;
}

static void skip(enum tool tool)
{
	row_skip(tool == CALLGRIND ? "instructions" : "syscalls",
		 tool == CALLGRIND ? "instructions" : "system calls", tools[tool].missing);
}

int main(void)
{
	static struct profile profile;
	bool within = true;

	bench_open(&profile.bench);
	profile.keep = getenv("BENCH_PROFILES");
	mta_init(&profile.mta, 23, 900000, stats_wall() / STATS_S);
	profile.mta.transcript = false;
	for (int i = 0; i < 2; i++) {
		bench_fill_spool(&profile.bench, i ? "large" : "small", MESSAGES + i * MORE, 0, 2);
		strcpy(profile.spools[i], profile.bench.spool);
	}
	for (int tool = 0; tool < TOOLS; tool++) {
		double nothing;

		if (!is_there(tools[tool].program)) {
			skip((enum tool)tool);
			continue;
		}
		nothing = run(&profile, (enum tool)tool, NOTHING);
		for (int load = SCAN; load < LOADS; load++) {
			double total = run(&profile, (enum tool)tool, (enum load)load);

			within &= show((enum tool)tool, (enum load)load,
				       (total - nothing) / (load == SCAN ? MORE : TIMES));
		}
	}
	if (!within)
		bench_fail(
			"more than BENCH_LIMITS (%s) allows: INTERNALS.md, \"Profiles\", tells how "
			"to see where it goes",
			getenv("BENCH_LIMITS"));
	return 0;
}
