/* reaction.c - see reaction.h. */
#include "reaction.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

void reaction_open(struct reaction *reaction, struct bench *bench)
{
	int r;

	reaction->bench = bench;
	reaction->count = 0;
	reaction->moves = bench->scale < 10000 ? 100 : REACTION_MOVES;
	bench_queue(bench, "QUEUE", &reaction->from);
	bench_queue(bench, "MIDQUEUE", &reaction->to);
	mta_init(&reaction->mta, 3, 300000, stats_wall() / STATS_S);
	reaction->mta.transcript = false;
	r = mta_queue_ids(&reaction->from, &reaction->ids, &reaction->n_ids);
	check(r < 0 ? r : reaction->n_ids == 0 ? -ENOENT : 0, "cannot read the spool");
	bench_watch_arrivals(&reaction->arrivals, &reaction->to);
}

void reaction_close(struct reaction *reaction)
{
	bench_end_arrivals(&reaction->arrivals);
	mta_queue_close(&reaction->from);
	mta_queue_close(&reaction->to);
	free(reaction->ids);
	reaction->ids = NULL;
}

/* They are in the daemon's table before their attempt, as in life. */
static void write_messages(struct reaction *reaction)
{
	int64_t now = stats_wall() / STATS_S;
	struct mta_message message;

	for (int i = 0; i < reaction->moves; i++) {
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

	for (int i = 0; i < reaction->moves; i++) {
		int64_t deadline = stats_now() + 20 * STATS_S;
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

void reaction_measure(struct reaction *reaction, struct samples *samples)
{
	struct mta_attempt attempt;
	struct mta_release release;
	char id[MTA_ID_LENGTH + 1];

	write_messages(reaction);
	for (reaction->count = 0; reaction->count < reaction->moves; reaction->count++) {
		const char *expected = reaction->moving[reaction->count].text;
		int64_t when;

		stats_sleep_until(stats_now() + 500 * STATS_US +
				  (int64_t)stats_below(&reaction->mta.random, STATS_MS));
		check(mta_attempt_begin(&reaction->mta, &reaction->from, expected, &attempt),
		      "cannot lock a message");
		check(mta_attempt_defer(&attempt, stats_wall() / STATS_S,
					"Deferred: Connection refused by mail.example.com.",
					&release),
		      "cannot defer a message");
		do {
			if (!bench_next_arrival(&reaction->arrivals, stats_now() + 60 * STATS_S, id,
						&when))
				bench_fail("%s was not moved within 60 s", expected);
		} while (strcmp(id, expected) != 0);
		reaction->released[reaction->count] = release.wall;
		reaction->took[reaction->count] = when - release.monotonic;
		samples_add(samples, when - release.monotonic);
	}
	remove_messages(reaction);
}

/* ---- load ---- */

static volatile sig_atomic_t load_ends;

static void end_load(int signal_number)
{
	(void)signal_number;
	load_ends = 1;
}

__attribute__((noreturn)) static void rewrite_until_told(struct reaction *reaction, int64_t rate,
							 pid_t parent, volatile uint64_t *rewrites)
{
	int64_t next = stats_now(), step = STATS_S / rate;
	struct mta_attempt attempt;
	uint64_t dice = 7;

	while (getppid() == parent && !load_ends) {
		const char *id = reaction->ids[stats_below(&dice, reaction->n_ids)].text;

		if (mta_attempt_begin(&reaction->mta, &reaction->from, id, &attempt) == 0 &&
		    mta_attempt_defer(&attempt, stats_wall() / STATS_S, "Deferred", NULL) == 0)
			++*rewrites;
		next += step;
		stats_sleep_until(next);
	}
	_exit(0);
}

void reaction_load(struct reaction *reaction, int64_t rate, struct reaction_load *ret)
{
	pid_t parent = getpid();
	void *shared = mmap(NULL, sizeof(*ret->rewrites), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(shared == MAP_FAILED ? -errno : 0, "cannot share memory");
	ret->rewrites = shared;
	ret->pid = fork();
	check(ret->pid < 0 ? -errno : 0, "cannot fork");
	if (ret->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, end_load);
		rewrite_until_told(reaction, rate, parent, ret->rewrites);
	}
}

uint64_t reaction_unload(struct reaction_load *load)
{
	uint64_t rewrites;

	kill(load->pid, SIGTERM);
	while (waitpid(load->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	rewrites = *load->rewrites;
	munmap((void *)(uintptr_t)load->rewrites, sizeof(*load->rewrites));
	*load = (struct reaction_load){.pid = -1};
	return rewrites;
}
