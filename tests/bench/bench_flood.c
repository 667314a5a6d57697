/* bench_flood.c - rewrites as fast as one process makes them, with the kernel's notification queue
 * as it is: in the spool, where a file system on a disk may be what limits them, and in one of
 * 100,000 messages at most in memory (BENCH_MEMORY, /dev/shm), where a core does.
 *
 * For BENCH_FLOOD_SECONDS (10; those beside for 10 at most) a process of its own takes messages of
 * the spool at random and rewrites them as sendmail does (lock, tf, rename, close); twenty times a
 * second it takes one that gets due by that. Counted: rewrites a second, overflows of the kernel's
 * queue (events-lost), and the time from the last rewrite until every due message stands in the
 * next tier and a lost table is right again (resynced). The bare loop reads each changed qf and
 * moves the due ones, too; the rate without any watcher shows what watching costs the mail server.
 *
 * Then an overflow by force: the daemon is stopped (SIGSTOP) while more is rewritten than the queue
 * holds, the last of it due. Counted from SIGCONT until the due message stands in the next tier and
 * the daemon says resynced; beside it the daemon's own first scan.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/bare.h"
#include "../support/bench.h"

#define SLICES	     5 /* a flood is counted in as many parts, for the spread */
#define MOST_DUE     2000
#define DUE_A_SECOND 20

/* What the flooding process tells, in shared memory. */
struct told {
	volatile uint64_t rewrites[SLICES];
	volatile unsigned due; /* made due so far */
	volatile int64_t released[MOST_DUE];
	volatile int64_t ended;
};

struct flood {
	struct bench bench;
	struct mta mta;
	struct mta_queue from, to;
	struct bench_arrivals arrivals;
	struct mta_id *ids;
	size_t n_ids;
	struct mta_id due[MOST_DUE];
	unsigned n_due;
	int64_t seconds;
	struct told *told;
	uint64_t dice;
};

enum watcher { NOBODY, BARE, OURS };

struct outcome {
	struct series rates;
	struct samples reactions;
	uint64_t overflows;
	uint64_t dropped;
	int64_t right; /* after the end of the flood, nanoseconds */
};

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

static void write_due(struct flood *flood, unsigned count)
{
	int64_t now = stats_wall() / STATS_S;
	struct mta_message message;

	for (flood->n_due = 0; flood->n_due < count; flood->n_due++) {
		mta_compose(&flood->mta, now, &message);
		message.attempts = BENCH_NEARLY;
		message.body = 2000;
		memcpy(flood->due[flood->n_due].text, message.id, sizeof(message.id));
		check(mta_enqueue(&flood->mta, &flood->from, &message), "cannot write a message");
	}
}

static void remove_due(struct flood *flood)
{
	struct mta_attempt attempt;

	for (unsigned i = 0; i < flood->n_due; i++) {
		int64_t deadline = stats_now() + 20 * STATS_S;
		int r;

		while ((r = mta_attempt_begin(&flood->mta, &flood->to, flood->due[i].text,
					      &attempt)) == -EWOULDBLOCK &&
		       stats_now() < deadline)
			stats_sleep_until(stats_now() + 100 * STATS_US);
		if (r == -ENOENT) /* nobody watched, or it was not its turn */
			r = mta_attempt_begin(&flood->mta, &flood->from, flood->due[i].text,
					      &attempt);
		check(r, "cannot lock a message");
		check(mta_attempt_deliver(&attempt, NULL), "cannot remove a message");
	}
	flood->n_due = 0;
}

static int rewrite(struct flood *flood, const char *id, int64_t now, struct mta_release *release)
{
	struct mta_attempt attempt;
	int r = mta_attempt_begin(&flood->mta, &flood->from, id, &attempt);

	if (r < 0)
		return r;
	return mta_attempt_defer(&attempt, now, "Deferred: Connection refused by mail.example.com.",
				 release);
}

__attribute__((noreturn)) static void flood_for_its_time(struct flood *flood)
{
	int64_t began = stats_now(), length = flood->seconds * STATS_S, now;
	struct told *told = flood->told;

	for (now = began; now < began + length; now = stats_now()) {
		const char *id = flood->ids[stats_below(&flood->dice, flood->n_ids)].text;
		struct mta_release release = {0};
		bool due = told->due + 1 < flood->n_due &&
			   (now - began) * DUE_A_SECOND / STATS_S > told->due;

		if (due)
			id = flood->due[told->due].text;
		/* A watcher may hold it for an instant; a message due is taken at the next turn. */
		if (rewrite(flood, id, stats_wall() / STATS_S, &release) < 0)
			continue;
		told->rewrites[(now - began) * SLICES / length]++;
		if (due) {
			told->released[told->due] = release.monotonic;
			told->due++;
		}
	}
	/* The last of all is due: when it stands in the next tier, all before it was seen. */
	while (told->due < flood->n_due) {
		struct mta_release release;

		if (rewrite(flood, flood->due[flood->n_due - 1].text, stats_wall() / STATS_S,
			    &release) < 0)
			continue;
		told->released[flood->n_due - 1] = release.monotonic;
		told->due++;
		break;
	}
	told->ended = stats_now();
	_exit(0);
}

/* Reads arrivals until the flood has ended and all that it made due came; gives the time of the
 * last. */
static int64_t collect(struct flood *flood, pid_t pid, bool watched, struct samples *reactions)
{
	int64_t deadline = stats_now() + (flood->seconds + 60) * STATS_S, last = 0;
	bool running = true;
	unsigned came = 0;

	while (running || (watched && came < flood->told->due)) {
		char id[MTA_ID_LENGTH + 1];
		int64_t when;

		if (stats_now() > deadline)
			bench_fail("%u of %u due messages were not moved within 60 s of the flood",
				   flood->told->due - came, flood->told->due);
		if (running && waitpid(pid, NULL, WNOHANG) == pid)
			running = false;
		if (!bench_next_arrival(&flood->arrivals, stats_now() + 20 * STATS_MS, id, &when))
			continue;
		for (unsigned i = 0; i < flood->n_due; i++) {
			if (strcmp(id, flood->due[i].text) != 0)
				continue;
			/* The flooding process may be about to write its release down. */
			while (flood->told->released[i] == 0 && stats_now() < deadline)
				stats_sleep_until(stats_now() + 10 * STATS_US);
			samples_add(reactions, when - flood->told->released[i]);
			last = when;
			came++;
		}
	}
	return last;
}

/* Waits until the daemon told of `lost` overflows at least, and of being right again after the
 * last. */
static void wait_until_right(const struct bench *bench, uint64_t lost, struct bench_events *events)
{
	int64_t deadline = stats_now() + 60 * STATS_S + (int64_t)bench->scale * 100 * STATS_US;

	for (bench_count_events(bench, events); events->lost < lost || events->to_resync;
	     bench_count_events(bench, events)) {
		if (stats_now() > deadline)
			bench_fail("%" PRIu64
				   " events-lost, the last %s resynced: expected %" PRIu64
				   " and then resynced",
				   events->lost, events->to_resync ? "not" : "and", lost);
		stats_sleep_until(stats_now() + 2 * STATS_MS);
	}
}

static void run_flood(struct flood *flood, enum watcher watcher, int64_t seconds,
		      struct outcome *outcome)
{
	int64_t due = seconds * DUE_A_SECOND, last;
	pid_t parent = getpid(), pid;
	struct service service;
	struct bare_watch bare;

	flood->seconds = seconds;
	*outcome = (struct outcome){0};
	*flood->told = (struct told){0};
	write_due(flood, due < MOST_DUE ? (unsigned)due + 1 : MOST_DUE);
	if (watcher == OURS)
		bench_start(&flood->bench, &service);
	else if (watcher == BARE)
		check(bare_watch_start(&bare, &flood->from, &flood->to, BENCH_DUE),
		      "cannot start the bare loop");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			flood_for_its_time(flood);
		_exit(1);
	}
	check(pid < 0 ? -errno : 0, "cannot fork");
	last = collect(flood, pid, watcher != NOBODY, &outcome->reactions);
	if (flood->told->ended == 0)
		bench_fail("the flooding process failed");
	outcome->right = last > flood->told->ended ? last - flood->told->ended : 0;
	if (watcher == OURS) {
		int64_t ended = stats_wall() - (stats_now() - flood->told->ended);
		struct bench_events events = {0};

		bench_count_events(&flood->bench, &events);
		if (events.lost) {
			wait_until_right(&flood->bench, 1, &events);
			if (events.resynced_at - ended > outcome->right)
				outcome->right = events.resynced_at - ended;
		}
		outcome->overflows = events.lost;
		outcome->dropped = events.dropped;
		bench_stop(&flood->bench, &service);
	} else if (watcher == BARE) {
		outcome->overflows = bare.counts->overflows;
		bare_watch_stop(&bare);
	}
	for (int i = 0; i < SLICES; i++)
		series_add(&outcome->rates,
			   (double)flood->told->rewrites[i] * SLICES / (double)flood->seconds);
	remove_due(flood);
}

/* `where` is the end of each key. */
static void show_floods(struct flood *flood, int64_t seconds, const char *where)
{
	int64_t beside = seconds < 10 ? seconds : 10;
	struct outcome nobody, bare, ours;
	char what[80], key[40];
	struct row row;

	run_flood(flood, NOBODY, beside, &nobody);
	run_flood(flood, BARE, beside, &bare);
	run_flood(flood, OURS, seconds, &ours);
	snprintf(what, sizeof(what), "flood of rewrites for %" PRId64 " s%s", seconds,
		 *where ? " in memory" : "");
	snprintf(key, sizeof(key), "flood-rate%s", where);
	row = (struct row){
		.key = key,
		.what = what,
		.unit = ROW_PER_SECOND,
		.ours = ours.rates,
		.bare = bare.rates,
		.reach = ">= 0.90 x",
		.reach_ratio = 0.9,
		.at_least = true,
	};
	row_print(&row);

	snprintf(key, sizeof(key), "flood-unwatched%s", where);
	row = (struct row){.key = key,
			   .what = "  the same with nobody watching",
			   .unit = ROW_PER_SECOND,
			   .ours = nobody.rates};
	row_print(&row);

	snprintf(key, sizeof(key), "flood-overflows%s", where);
	row = (struct row){
		.key = key,
		.what = "  overflows of the kernel's queue",
		.unit = ROW_COUNT,
		.reach = "0",
	};
	series_add(&row.ours, (double)ours.overflows);
	series_add(&row.bare, (double)bare.overflows);
	row_print(&row);

	snprintf(key, sizeof(key), "flood-reaction-p50%s", where);
	row = (struct row){
		.key = key, .what = "  reaction meanwhile, median", .unit = ROW_NANOSECONDS};
	series_add(&row.ours, (double)samples_percentile(&ours.reactions, 50));
	series_add(&row.bare, (double)samples_percentile(&bare.reactions, 50));
	row_print(&row);

	snprintf(key, sizeof(key), "flood-right%s", where);
	row = (struct row){.key = key, .what = "  its end -> table right", .unit = ROW_NANOSECONDS};
	series_add(&row.ours, (double)ours.right);
	series_add(&row.bare, (double)bare.right);
	row_print(&row);
	if (ours.dropped)
		bench_say("%" PRIu64 " times the daemon dropped events", ours.dropped);
	samples_free(&nobody.reactions);
	samples_free(&bare.reactions);
	samples_free(&ours.reactions);
}

static uint64_t queue_length(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	unsigned long length = 16384;

	if (file) {
		if (fscanf(file, "%lu", &length) != 1)
			length = 16384;
		fclose(file);
	}
	return length;
}

/* One overflow by force. Returns the nanoseconds from SIGCONT to the table right. */
static double force_overflow(struct flood *flood, struct service *service, unsigned which,
			     struct bench_events *events)
{
	/* A rewrite makes four notifications at least: tf created, renamed away, qf come, closed.
	 */
	uint64_t rewrites = queue_length() / 4 + 1000;
	int64_t now = stats_wall() / STATS_S, deadline = stats_now() + 60 * STATS_S;
	int64_t went_on, wall, when;
	char id[MTA_ID_LENGTH + 1];

	kill(service->pid, SIGSTOP);
	while (rewrites > 0) {
		const char *any = flood->ids[stats_below(&flood->dice, flood->n_ids)].text;

		/* What the daemon holds while it is stopped is passed by. */
		rewrites -= rewrite(flood, any, now, NULL) == 0;
		if (stats_now() > deadline)
			bench_fail("no overflow could be forced in 60 s");
	}
	check(rewrite(flood, flood->due[which].text, now, NULL), "cannot rewrite a message");
	wall = stats_wall();
	went_on = stats_now();
	kill(service->pid, SIGCONT);
	do {
		if (!bench_next_arrival(&flood->arrivals, stats_now() + 60 * STATS_S, id, &when))
			bench_fail("%s was not moved within 60 s of an overflow",
				   flood->due[which].text);
	} while (strcmp(id, flood->due[which].text) != 0);
	wait_until_right(&flood->bench, which + 1, events);
	when -= went_on;
	return (double)(events->resynced_at - wall > when ? events->resynced_at - wall : when);
}

static void show_overflow(struct flood *flood)
{
	struct bench *bench = &flood->bench;
	struct row row = {
		.key = "overflow",
		.what = "forced overflow -> right (beside: first scan)",
		.unit = ROW_NANOSECONDS,
		.reach = "<= 1.50 x",
		.reach_ratio = 1.5,
	};
	struct bench_events events = {0};
	struct service service;

	write_due(flood, (unsigned)bench->rounds);
	for (int i = 0; i < bench->rounds; i++)
		series_add(&row.bare, (double)bench_run_once(bench, "--once", "--dry-run"));
	bench_start(bench, &service);
	for (int i = 0; i < bench->rounds; i++)
		series_add(&row.ours, force_overflow(flood, &service, (unsigned)i, &events));
	bench_stop(bench, &service);
	row_print(&row);
	remove_due(flood);
}

/* With the spool that bench->spool is. */
static void open_spool(struct flood *flood)
{
	struct bench *bench = &flood->bench;
	int r;

	bench_policy(bench, BENCH_DUE_RULE);
	bench_queue(bench, "QUEUE", &flood->from);
	bench_queue(bench, "MIDQUEUE", &flood->to);
	r = mta_queue_ids(&flood->from, &flood->ids, &flood->n_ids);
	check(r < 0 ? r : flood->n_ids == 0 ? -ENOENT : 0, "cannot read the spool");
	bench_watch_arrivals(&flood->arrivals, &flood->to);
}

static void close_spool(struct flood *flood)
{
	bench_end_arrivals(&flood->arrivals);
	mta_queue_close(&flood->from);
	mta_queue_close(&flood->to);
	free(flood->ids);
}

static void flood_in_memory(struct flood *flood, int64_t seconds)
{
	if (bench_fill_memory(&flood->bench) == 0) {
		row_skip("flood-rate-memory", "flood of rewrites in memory", BENCH_NO_MEMORY);
		return;
	}
	open_spool(flood);
	show_floods(flood, seconds, "-memory");
	close_spool(flood);
}

int main(void)
{
	static struct flood flood;
	struct bench *bench = &flood.bench;
	int64_t seconds;

	bench_open(bench);
	seconds = bench_number("BENCH_FLOOD_SECONDS", 10);
	flood.dice = 11;
	flood.told = mmap(NULL, sizeof(*flood.told), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(flood.told == MAP_FAILED ? -errno : 0, "cannot share memory");
	mta_init(&flood.mta, 5, 400000, stats_wall() / STATS_S);
	flood.mta.transcript = false;
	bench_make_spool(bench);
	open_spool(&flood);
	show_floods(&flood, seconds, "");
	show_overflow(&flood);
	close_spool(&flood);
	flood_in_memory(&flood, seconds);
	return 0;
}
