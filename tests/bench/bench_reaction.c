/* bench_reaction.c - from sendmail's release of a due qf until it stands in the next tier, with
 * SCALE messages in the spool.
 *
 * A message with one attempt too few gets one more (lock, tf, rename, close). The clock starts just
 * before the last close and stops when this program, which sleeps on an inotify of its own on the
 * next tier, has read that the qf came there. Its own wake-up is included, for qfwatch and for the
 * bare loop alike. The same again while another process rewrites 2,000 qf a second (LOAD).
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/bare.h"
#include "../support/bench.h"

#define MOVES 300 /* a round */

struct reaction {
	struct bench bench;
	struct mta mta;
	struct mta_queue from, to;
	struct bench_arrivals arrivals;
	struct mta_id *ids; /* for the load */
	size_t n_ids;
	struct mta_id moving[MOVES];
};

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

/* Writes the messages that a round moves. They are in the daemon's table before their attempt, as
 * in life. */
static void write_messages(struct reaction *reaction)
{
	int64_t now = stats_wall() / STATS_S;
	struct mta_message message;

	for (int i = 0; i < MOVES; i++) {
		mta_compose(&reaction->mta, now, &message);
		message.attempts = BENCH_NEARLY;
		message.body = 2000;
		memcpy(reaction->moving[i].text, message.id, sizeof(message.id));
		check(mta_enqueue(&reaction->mta, &reaction->from, &message),
		      "cannot write a message");
	}
}

static void remove_messages(struct reaction *reaction)
{
	struct mta_attempt attempt;

	for (int i = 0; i < MOVES; i++) {
		int64_t deadline = stats_now() + 2 * STATS_S;
		int r;

		/* Whoever moved it may hold it for an instant more. */
		while ((r = mta_attempt_begin(&reaction->mta, &reaction->to,
					      reaction->moving[i].text, &attempt)) ==
			       -EWOULDBLOCK &&
		       stats_now() < deadline)
			stats_sleep_until(stats_now() + 100 * STATS_US);
		check(r, "cannot lock a message that came");
		check(mta_attempt_deliver(&attempt, NULL), "cannot remove a message");
	}
}

/* One round: reaction times of MOVES messages, a millisecond or so from one to the next. */
static void measure(struct reaction *reaction, struct samples *samples)
{
	struct mta_attempt attempt;
	struct mta_release release;
	char id[MTA_ID_LENGTH + 1];

	write_messages(reaction);
	for (int i = 0; i < MOVES; i++) {
		const char *expected = reaction->moving[i].text;
		int64_t when, now;

		stats_sleep_until(stats_now() + 500 * STATS_US +
				  (int64_t)stats_below(&reaction->mta.random, STATS_MS));
		check(mta_attempt_begin(&reaction->mta, &reaction->from, expected, &attempt),
		      "cannot lock a message");
		now = stats_wall() / STATS_S;
		check(mta_attempt_defer(&attempt, now,
					"Deferred: Connection refused by mail.example.com.",
					&release),
		      "cannot defer a message");
		do {
			if (!bench_next_arrival(&reaction->arrivals, stats_now() + 10 * STATS_S, id,
						&when))
				bench_fail("%s was not moved within 10 s", expected);
		} while (strcmp(id, expected) != 0);
		samples_add(samples, when - release.monotonic);
	}
	remove_messages(reaction);
}

static volatile sig_atomic_t load_ends;

static void end_load(int signal_number)
{
	(void)signal_number;
	load_ends = 1;
}

/* Rewrites messages of the spool at a rate, in a process of its own, until SIGTERM; it ends what it
 * has begun. */
static pid_t start_load(struct reaction *reaction, int64_t rate)
{
	int64_t next = stats_now(), step = STATS_S / rate;
	pid_t parent = getpid(), pid = fork();
	struct mta_attempt attempt;
	uint64_t dice = 7;

	if (pid != 0) {
		check(pid < 0 ? -errno : 0, "cannot fork");
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, end_load);
	while (getppid() == parent && !load_ends) {
		const char *id = reaction->ids[stats_below(&dice, reaction->n_ids)].text;

		if (mta_attempt_begin(&reaction->mta, &reaction->from, id, &attempt) == 0)
			mta_attempt_defer(&attempt, stats_wall() / STATS_S, "Deferred", NULL);
		next += step;
		stats_sleep_until(next);
	}
	_exit(0);
}

static void stop_load(pid_t pid)
{
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void round_trip(struct reaction *reaction, bool ours, int64_t load,
		       struct bench_series series[2])
{
	struct samples samples = {0};
	struct service service;
	struct bare_watch bare;
	pid_t loader = 0;

	if (ours)
		bench_start(&reaction->bench, &service);
	else
		check(bare_watch_start(&bare, &reaction->from, &reaction->to, BENCH_DUE),
		      "cannot start the bare loop");
	if (load)
		loader = start_load(reaction, load);
	measure(reaction, &samples);
	if (loader > 0)
		stop_load(loader);
	if (ours)
		bench_stop(&reaction->bench, &service);
	else
		bare_watch_stop(&bare);
	bench_add(&series[0], (double)samples_percentile(&samples, 50));
	bench_add(&series[1], (double)samples_percentile(&samples, 99));
	samples_free(&samples);
}

int main(void)
{
	static struct reaction reaction;
	struct bench *bench = &reaction.bench;
	int64_t loads[2] = {0, 0};
	char number[32];
	int r;

	bench_open(bench);
	loads[1] = bench_number("LOAD", 2000);
	bench_make_spool(bench);
	bench_policy(bench, BENCH_DUE_RULE);
	bench_queue(bench, "QUEUE", &reaction.from);
	bench_queue(bench, "MIDQUEUE", &reaction.to);
	mta_init(&reaction.mta, 3, 300000, stats_wall() / STATS_S);
	reaction.mta.transcript = false;
	r = mta_queue_ids(&reaction.from, &reaction.ids, &reaction.n_ids);
	check(r < 0 ? r : reaction.n_ids == 0 ? -ENOENT : 0, "cannot read the spool");
	bench_watch_arrivals(&reaction.arrivals, &reaction.to);
	for (int with = 0; with < 2; with++) {
		struct bench_series ours[2] = {0}, bare[2] = {0};
		char what[2][80];
		struct bench_row rows[2] = {
			{.key = with ? "reaction-load-p50" : "reaction-p50",
			 .reach = "<= 100 us",
			 .reach_value = 100 * STATS_US,
			 .elsewhere = "qctrl: up to 13 min; cron: up to 1 min"},
			{.key = with ? "reaction-load-p99" : "reaction-p99",
			 .reach = "<= 2 ms",
			 .reach_value = 2 * STATS_MS},
		};

		for (int i = 0; i < bench->rounds; i++) {
			round_trip(&reaction, false, loads[with], bare);
			round_trip(&reaction, true, loads[with], ours);
		}
		if (with)
			snprintf(what[0], sizeof(what[0]),
				 "reaction, median, %s rewrites/s besides",
				 stats_thousands((uint64_t)loads[1], number, sizeof(number)));
		else
			snprintf(what[0], sizeof(what[0]), "reaction, median, %s in the spool",
				 stats_thousands(bench->scale, number, sizeof(number)));
		snprintf(what[1], sizeof(what[1]), "  p99");
		for (int i = 0; i < 2; i++) {
			rows[i].what = what[i];
			rows[i].unit = BENCH_NANOSECONDS;
			rows[i].ours = ours[i];
			rows[i].bare = bare[i];
			bench_print(&rows[i]);
		}
	}
	bench_end_arrivals(&reaction.arrivals);
	free(reaction.ids);
	return 0;
}
