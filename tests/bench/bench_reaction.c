/* bench_reaction.c - from sendmail's release of a due qf until it stands in the next tier, with
 * SCALE messages in the spool: with the watcher on one processor, the mail server and whoever
 * observes on another, and once more wherever the scheduler puts them; then the same while another
 * process rewrites 2,000 qf a second (LOAD), and because a disk may not take so many, once more
 * with a spool in memory. reaction.h says what the clock covers.
 *
 * Where the time goes is read off the daemon's own events: message-moved is told (@timestamp) right
 * after a move, and event.duration is the time from the decision until then. So the time from the
 * release to the decision (the kernel's wake-up, taking the notifications, tries while sendmail
 * still has the lock, read, decide), lock and move, and the rest (the event, and that this process
 * hears of it). What wake-up, read and decide take by themselves is measured with the daemon's own
 * functions in this process, beside bare system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qfwatch/control.h"
#include "qfwatch/policy.h"

#include "../support/bare.h"
#include "../support/placing.h"
#include "../support/reaction.h"

enum part { WHOLE, P99, DECIDED, ACTED, REST, RATE, PARTS };

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

/* ---- the daemon and the bare loop ---- */

struct split {
	struct reaction *reaction;
	struct samples decided, acted, rest;
};

static void take_move(void *context, const char *id, int64_t told, int64_t duration)
{
	struct split *split = context;
	const struct reaction *reaction = split->reaction;

	for (int i = 0; i < reaction->count; i++) {
		int64_t decided = told - duration - reaction->released[i];

		if (strcmp(id, reaction->moving[i].text) != 0)
			continue;
		samples_add(&split->decided, decided);
		samples_add(&split->acted, duration);
		samples_add(&split->rest, reaction->took[i] - decided - duration);
		return;
	}
}

/* With the load, if any; *reached gets what it came to. */
static void measure(struct reaction *reaction, int64_t rate, struct samples *samples,
		    struct series *reached)
{
	int64_t began = stats_now();
	struct reaction_load load;
	uint64_t rewrites;

	if (rate)
		reaction_load(reaction, rate, &load);
	reaction_measure(reaction, samples);
	if (!rate)
		return;
	rewrites = reaction_unload(&load);
	series_add(reached, (double)rewrites * 1e9 / (double)(stats_now() - began));
}

static void round_of_ours(struct reaction *reaction, int64_t rate, bool apart,
			  struct series parts[PARTS])
{
	struct placing placing = {.apart = apart};
	struct split split = {.reaction = reaction};
	struct samples samples = {0};
	struct service service;

	bench_start(reaction->bench, &service);
	placing_begin(&placing, reaction, service.pid);
	measure(reaction, rate, &samples, &parts[RATE]);
	placing_end(&placing, reaction);
	bench_stop(reaction->bench, &service);
	bench_each_move(reaction->bench, take_move, &split);
	if (split.acted.count == 0)
		bench_fail("the daemon told of no move");
	series_add(&parts[WHOLE], (double)samples_percentile(&samples, 50));
	series_add(&parts[P99], (double)samples_percentile(&samples, 99));
	series_add(&parts[DECIDED], (double)samples_percentile(&split.decided, 50));
	series_add(&parts[ACTED], (double)samples_percentile(&split.acted, 50));
	series_add(&parts[REST], (double)samples_percentile(&split.rest, 50));
	samples_free(&samples);
	samples_free(&split.decided);
	samples_free(&split.acted);
	samples_free(&split.rest);
}

static void round_of_bare(struct reaction *reaction, int64_t rate, bool apart,
			  struct series parts[PARTS])
{
	struct placing placing = {.apart = apart};
	struct samples samples = {0};
	struct bare_watch bare;

	check(bare_watch_start(&bare, &reaction->from, &reaction->to, BENCH_DUE),
	      "cannot start the bare loop");
	placing_begin(&placing, reaction, bare.pid);
	measure(reaction, rate, &samples, &parts[RATE]);
	placing_end(&placing, reaction);
	bare_watch_stop(&bare);
	series_add(&parts[WHOLE], (double)samples_percentile(&samples, 50));
	series_add(&parts[P99], (double)samples_percentile(&samples, 99));
	samples_free(&samples);
}

/* `memory`: how many messages there are in memory; 0: the spool is the usual one. */
static void show_reaction(struct reaction *reaction, int64_t rate, uint64_t memory, bool apart)
{
	bool again = !rate && !memory && !apart && placing_can();
	struct series ours[PARTS] = {0}, bare[PARTS] = {0};
	char what[80], key[40], number[32];
	static const struct {
		const char *key, *what;
	} rows[PARTS] = {
		[WHOLE] = {"p50", NULL},
		[P99] = {"p99", "  p99"},
		[DECIDED] = {"decided", "  of it: release -> decided"},
		[ACTED] = {"acted", "  of it: lock and move"},
		[REST] = {"rest", "  of it: rest (event, observer's wake-up)"},
		[RATE] = {"rate", "  rewrites besides that were reached"},
	};

	for (int i = 0; i < reaction->bench->rounds; i++) {
		round_of_bare(reaction, rate, apart, bare);
		round_of_ours(reaction, rate, apart, ours);
	}
	if (memory)
		snprintf(what, sizeof(what), "reaction, the same with %s in memory",
			 stats_thousands(memory, number, sizeof(number)));
	else if (rate)
		snprintf(what, sizeof(what), "reaction, median, %s rewrites/s besides",
			 stats_thousands((uint64_t)rate, number, sizeof(number)));
	else if (again)
		snprintf(what, sizeof(what), "reaction, placed by the scheduler");
	else
		snprintf(what, sizeof(what), "reaction, median, %s in the spool",
			 stats_thousands(reaction->bench->scale, number, sizeof(number)));
	for (int i = 0; i < PARTS; i++) {
		struct row row = {
			.key = key,
			.what = rows[i].what ? rows[i].what : what,
			.unit = i == RATE ? ROW_PER_SECOND : ROW_NANOSECONDS,
			.ours = ours[i],
			.bare = bare[i],
		};

		if (ours[i].count == 0 || (again && i >= DECIDED && i <= REST))
			continue;
		snprintf(key, sizeof(key), "reaction-%s%s",
			 memory	 ? "memory-"
			 : rate	 ? "load-"
			 : again ? "placed-"
				 : "",
			 rows[i].key);
		if (again) {
			row_print(&row);
			continue;
		}
		if (i == WHOLE) {
			row.reach = "<= 100 us";
			row.reach_value = 100 * STATS_US;
			row.elsewhere = "qctrl: up to 13 min; cron: up to 1 min";
		} else if (i == P99) {
			row.reach = "<= 2 ms";
			row.reach_value = 2 * STATS_MS;
		}
		row_print(&row);
	}
}

/* ---- its parts by themselves ---- */

/* Sleeps in read, on the closes of one folder; says when it woke up. */
__attribute__((noreturn)) static void wake_up_for_ever(int inotify, volatile int64_t *woken)
{
	char buffer[4096];

	while (read(inotify, buffer, sizeof(buffer)) > 0)
		*woken = stats_now();
	_exit(1);
}

/* From just before a close until another process that sleeps on it is awake. */
static void measure_wakeup(const struct reaction *reaction, struct series *series)
{
	const char *folder = reaction->bench->folder;
	int inotify = inotify_init1(IN_CLOEXEC);
	pid_t parent = getpid(), pid;
	struct samples samples = {0};
	char path[BENCH_PATH + 16];
	volatile int64_t *woken = mmap(NULL, sizeof(*woken), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(woken == MAP_FAILED || inotify < 0 ? -errno : 0, "cannot watch");
	snprintf(path, sizeof(path), "%s/wake", folder);
	check(mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0, "cannot make a folder");
	check(inotify_add_watch(inotify, path, IN_CLOSE_WRITE) < 0 ? -errno : 0, "cannot watch");
	snprintf(path, sizeof(path), "%s/wake/file", folder);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		wake_up_for_ever(inotify, woken);
	}
	check(pid < 0 ? -errno : 0, "cannot fork");
	for (int i = 0; i < reaction->moves; i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		int64_t before, deadline;

		check(fd < 0 ? -errno : 0, "cannot write a file");
		*woken = 0;
		stats_sleep_until(stats_now() + STATS_MS);
		before = stats_now();
		close(fd);
		deadline = before + 20 * STATS_S;
		while (*woken == 0 && stats_now() < deadline)
			stats_sleep_until(stats_now() + 50 * STATS_US);
		if (*woken == 0)
			bench_fail("a process that waits for a close was not woken in 20 s");
		samples_add(&samples, *woken - before);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(inotify);
	munmap((void *)(uintptr_t)woken, sizeof(*woken));
	series_add(series, (double)samples_percentile(&samples, 50));
	samples_free(&samples);
}

/* One qf after the other, as the daemon reads it, and by bare system calls. Each is met for the
 * second time, so that the page cache has it. */
static void measure_read(const struct reaction *reaction, struct series *ours, struct series *bare)
{
	static char buffer[CONTROL_BUFFER];
	struct samples samples[2] = {0};
	int noatime = O_NOATIME;
	size_t count = reaction->n_ids < 2000 ? reaction->n_ids : 2000;

	for (size_t i = 0; i < 2 * count; i++) {
		char name[MTA_ID_LENGTH + 3], bytes[4096];
		struct control control;
		int64_t began;
		ssize_t length;
		int fd;

		snprintf(name, sizeof(name), "qf%s", reaction->ids[i % count].text);
		began = stats_now();
		if (control_read(reaction->from.qf, name, buffer, &noatime, &control) !=
		    TROUBLE_NONE)
			bench_fail("cannot read %s", name);
		control_close(&control);
		if (i >= count)
			samples_add(&samples[0], stats_now() - began);
		began = stats_now();
		fd = openat(reaction->from.qf, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		length = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
		check(length < 0 ? -errno : 0, "cannot read a qf");
		close(fd);
		if (i >= count)
			samples_add(&samples[1], stats_now() - began);
	}
	series_add(ours, (double)samples_percentile(&samples[0], 50));
	series_add(bare, (double)samples_percentile(&samples[1], 50));
	samples_free(&samples[0]);
	samples_free(&samples[1]);
}

static void measure_decide(const struct reaction *reaction, struct series *series)
{
	enum { TIMES = 100000 };
	struct problems problems = {0};
	struct policy_decision decision;
	struct policy *policy = NULL;
	int64_t now = stats_wall() / STATS_S, began, sum = 0;

	check(policy_load(reaction->bench->policy, &problems, &policy), "cannot load the policy");
	problems_free(&problems);
	began = stats_now();
	for (int i = 0; i < TIMES; i++) {
		struct policy_message message = {.attempts = i % 2 ? BENCH_DUE : 1,
						 .created = now - i,
						 .last_attempt = now,
						 .has_size = true};

		policy_decide(policy, &message, now, &decision);
		sum += decision.action == POLICY_MOVE;
	}
	series_add(series, (double)(stats_now() - began) / TIMES);
	if (sum != TIMES / 2)
		bench_fail("decided %" PRId64 " of %d moves", sum, TIMES / 2);
	policy_free(policy);
}

/* open, flock, link, rename, unlink, close, of as many messages as a round has. */
static void measure_move(struct reaction *reaction, struct series *series)
{
	struct samples samples = {0};
	struct mta_message message;
	struct mta_attempt attempt;

	for (int i = 0; i < reaction->moves; i++) {
		int64_t began;

		mta_compose(&reaction->mta, stats_wall() / STATS_S, &message);
		message.body = 2000;
		check(mta_enqueue(&reaction->mta, &reaction->from, &message),
		      "cannot write a message");
		began = stats_now();
		check(bare_move(&reaction->from, &reaction->to, message.id), "a bare move failed");
		samples_add(&samples, stats_now() - began);
		check(mta_attempt_begin(&reaction->mta, &reaction->to, message.id, &attempt),
		      "cannot lock a message");
		check(mta_attempt_deliver(&attempt, NULL), "cannot remove a message");
	}
	series_add(series, (double)samples_percentile(&samples, 50));
	samples_free(&samples);
}

static void show_parts(struct reaction *reaction)
{
	struct row wakeup = {.key = "part-wakeup",
			     .what = "  by itself: close -> a sleeping watcher is awake",
			     .unit = ROW_NANOSECONDS};
	struct row reading = {
		.key = "part-read", .what = "  by itself: read a qf", .unit = ROW_NANOSECONDS};
	struct row decide = {.key = "part-decide",
			     .what = "  by itself: ask the policy",
			     .unit = ROW_NANOSECONDS};
	struct row move = {.key = "part-move",
			   .what = "  by itself: lock, link, rename, unlink",
			   .unit = ROW_NANOSECONDS};

	for (int i = 0; i < reaction->bench->rounds; i++) {
		measure_wakeup(reaction, &wakeup.bare);
		measure_read(reaction, &reading.ours, &reading.bare);
		measure_decide(reaction, &decide.ours);
		measure_move(reaction, &move.bare);
	}
	row_print(&wakeup);
	row_print(&reading);
	row_print(&decide);
	row_print(&move);
}

int main(void)
{
	static struct reaction reaction;
	struct bench bench;
	int64_t rate;
	uint64_t memory;

	bench_open(&bench);
	rate = bench_number("LOAD", 2000);
	bench_make_spool(&bench);
	bench_policy(&bench, BENCH_DUE_RULE);
	reaction_open(&reaction, &bench);
	show_reaction(&reaction, 0, 0, placing_can());
	if (placing_can())
		show_reaction(&reaction, 0, 0, false);
	show_parts(&reaction);
	show_reaction(&reaction, rate, 0, false);
	reaction_close(&reaction);
	memory = bench_fill_memory(&bench);
	if (memory == 0) {
		row_skip("reaction-memory-p50", "reaction, the same in memory", BENCH_NO_MEMORY);
		return 0;
	}
	bench_policy(&bench, BENCH_DUE_RULE);
	reaction_open(&reaction, &bench);
	show_reaction(&reaction, rate, memory, false);
	reaction_close(&reaction);
	return 0;
}
