/* bench_sinks.c - what events cost, and what a sink costs that takes nothing.
 *
 * Many messages are due when the daemon starts; the rate is of their moves: from its start until it
 * says resynced, less the same with none due. First with message-moved going to a file, beside it
 * without that event. Then with one more sink, which is stuck from the beginning, beside the same
 * without it: a FIFO and a Unix socket whose reader has stopped, a syslog server over TCP that
 * accepts and never reads, and a file on a disk that is full (a small tmpfs in a mount name space
 * of our own: that needs root). The same messages go to and fro between two tiers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/bench.h"

/* Where the small disk is mounted, seen by nobody else. */
#define DISK "/mnt"

enum kind { QUIET, PLAIN, FIFO, UNIX, TCP, FULL, KINDS };

struct stuck {
	char sink[BENCH_PATH + 100]; /* JSON, with a comma in front */
	pid_t reader;		     /* 0: none */
	const char *missing;	     /* why it cannot be tried */
};

struct sinks {
	struct bench bench;
	struct mta_queue queues[2];
	int from; /* where the messages are */
	uint64_t count;
	struct stuck stuck[KINDS];
	struct series rates[KINDS];
};

static const char *const names[] = {"QUEUE", "MIDQUEUE"};

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

/* ---- sinks that take nothing ---- */

/* A process that takes one connection (`listener`), or just has `fd` open, and never reads. */
static pid_t start_reader(int fd, bool listener)
{
	pid_t parent = getpid(), pid = fork();

	check(pid < 0 ? -errno : 0, "cannot fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, SIG_DFL);
		if (getppid() != parent)
			_exit(1);
		for (;;) {
			/* Each connection stays open for ever. */
			if (!listener || accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0)
				pause();
		}
	}
	close(fd);
	return pid;
}

static void make_fifo(struct sinks *sinks)
{
	struct stuck *stuck = &sinks->stuck[FIFO];
	char path[BENCH_PATH + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/fifo", sinks->bench.folder);
	check(mkfifo(path, 0600) < 0 ? -errno : 0, "cannot make a FIFO");
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check(fd < 0 ? -errno : 0, "cannot open a FIFO");
	stuck->reader = start_reader(fd, false);
	snprintf(stuck->sink, sizeof(stuck->sink), ",{\"type\":\"fifo\",\"path\":\"%s\"}", path);
}

static void make_unix(struct sinks *sinks)
{
	struct stuck *stuck = &sinks->stuck[UNIX];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%.100s/socket",
		     sinks->bench.folder) >= (int)sizeof(address.sun_path)) {
		stuck->missing = "the path of the temporary folder is too long for a socket";
		close(fd);
		return;
	}
	check(fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			      listen(fd, 16) < 0
		      ? -errno
		      : 0,
	      "cannot listen at a Unix socket");
	stuck->reader = start_reader(fd, true);
	snprintf(stuck->sink, sizeof(stuck->sink), ",{\"type\":\"unix\",\"path\":\"%s\"}",
		 address.sun_path);
}

static void make_tcp(struct sinks *sinks)
{
	struct stuck *stuck = &sinks->stuck[TCP];
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
		stuck->missing = "no TCP at 127.0.0.1";
		if (fd >= 0)
			close(fd);
		return;
	}
	stuck->reader = start_reader(fd, true);
	snprintf(stuck->sink, sizeof(stuck->sink),
		 ",{\"type\":\"syslog\",\"address\":\"tcp:127.0.0.1:%u\"}",
		 ntohs(address.sin_port));
}

/* A disk that is full: a file can still be made there, so that the sink is opened and meets ENOSPC
 * when it writes. */
static void make_full(struct sinks *sinks)
{
	struct stuck *stuck = &sinks->stuck[FULL];
	char bytes[4096] = {0};
	int fd;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", DISK, "tmpfs", 0, "size=64k") < 0) {
		stuck->missing = "skipped: a small tmpfs needs root and a mount name space";
		return;
	}
	fd = open(DISK "/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	check(fd < 0 ? -errno : 0, "cannot fill a disk");
	while (write(fd, bytes, sizeof(bytes)) > 0)
		continue;
	check(errno != ENOSPC ? -errno : 0, "cannot fill a disk");
	close(fd);
	snprintf(stuck->sink, sizeof(stuck->sink),
		 ",{\"type\":\"file\",\"path\":\"" DISK "/events\"}");
}

/* ---- measuring ---- */

static void count_messages(struct sinks *sinks)
{
	struct mta_id *ids;
	size_t count;

	check(mta_queue_ids(&sinks->queues[sinks->from], &ids, &count), "cannot read a tier");
	free(ids);
	if (count != sinks->count)
		bench_fail("%zu of %" PRIu64 " messages came to %s", count, sinks->count,
			   names[sinks->from]);
}

/* From the start of the daemon to its first resynced. */
static int64_t start_once(struct sinks *sinks, enum kind kind, int attempts)
{
	struct service service;
	char rule[256];
	int64_t took;

	snprintf(rule, sizeof(rule),
		 "{\"tier\":\"%s\",\"when\":{\"attempts\":%d},\"then\":{\"move\":\"%s\"}}",
		 names[sinks->from], attempts, names[!sinks->from]);
	bench_policy_with(
		&sinks->bench,
		&(struct bench_policy){
			.rules = rule,
			.sinks = sinks->stuck[kind].sink,
			.event_keys = kind == QUIET ? ",\"exclude\":[\"message-moved\"]" : NULL,
		});
	took = bench_start(&sinks->bench, &service);
	/* On SIGTERM it would wait for a sink that takes nothing, though not for long. */
	if (*sinks->stuck[kind].sink)
		service_free(&service);
	else
		bench_stop(&sinks->bench, &service);
	return took;
}

static void measure(struct sinks *sinks, enum kind kind)
{
	int64_t idle = start_once(sinks, kind, BENCH_DUE), busy;

	busy = start_once(sinks, kind, 3);
	sinks->from = !sinks->from;
	count_messages(sinks);
	series_add(&sinks->rates[kind], (double)sinks->count * 1e9 / (double)(busy - idle));
	if (kind == FULL)
		unlink(DISK "/events");
}

static void show_stuck(const struct sinks *sinks, enum kind kind, const char *key, const char *what)
{
	struct row row = {
		.key = key,
		.what = what,
		.unit = ROW_PER_SECOND,
		.ours = sinks->rates[kind],
		.bare = sinks->rates[PLAIN],
		.reach = ">= 0.90 x",
		.reach_ratio = 0.9,
		.at_least = true,
	};

	if (sinks->stuck[kind].missing)
		row_skip(key, what, sinks->stuck[kind].missing);
	else
		row_print(&row);
}

static void show(const struct sinks *sinks)
{
	char what[80], number[32];
	struct row row = {
		.key = "events",
		.what = what,
		.unit = ROW_PER_SECOND,
		.ours = sinks->rates[PLAIN],
		.bare = sinks->rates[QUIET],
		.reach = ">= 0.85 x",
		.reach_ratio = 0.85,
		.at_least = true,
		.elsewhere = "beside: without events",
	};

	snprintf(what, sizeof(what), "%s moves, their events to a file",
		 stats_thousands(sinks->count, number, sizeof(number)));
	row_print(&row);
	show_stuck(sinks, FIFO, "stuck-fifo", "  and to a FIFO that nobody reads");
	show_stuck(sinks, UNIX, "stuck-unix", "  and to a Unix socket that nobody reads");
	show_stuck(sinks, TCP, "stuck-tcp", "  and to a TCP syslog that never reads");
	show_stuck(sinks, FULL, "stuck-full", "  and to a file on a full disk");
}

int main(void)
{
	static struct sinks sinks;
	struct bench *bench = &sinks.bench;

	bench_open(bench);
	sinks.count = bench->scale / 5 > 40000 ? 40000 : bench->scale / 5;
	if (sinks.count < 1000)
		sinks.count = bench->scale < 1000 ? bench->scale : 1000;
	bench_fill_spool(bench, "spool", sinks.count, 3, 9);
	for (int i = 0; i < 2; i++)
		bench_queue(bench, names[i], &sinks.queues[i]);
	make_full(&sinks);
	make_fifo(&sinks);
	make_unix(&sinks);
	make_tcp(&sinks);
	start_once(&sinks, QUIET, 3); /* warms */
	sinks.from = !sinks.from;
	for (int i = 0; i < bench->rounds; i++) {
		for (int kind = 0; kind < KINDS; kind++) {
			if (!sinks.stuck[kind].missing)
				measure(&sinks, (enum kind)kind);
		}
	}
	show(&sinks);
	for (int kind = 0; kind < KINDS; kind++) {
		if (sinks.stuck[kind].reader > 0) {
			kill(sinks.stuck[kind].reader, SIGKILL);
			waitpid(sinks.stuck[kind].reader, NULL, 0);
		}
	}
	return 0;
}
