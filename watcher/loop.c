/* loop.c - see loop.h. This file: epoll, signals, timer. */
#include "loop_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/log.h"
#include "qfwatch/notify.h"
#include "qfwatch/supervisor.h"
#include "qfwatch/units.h"

/* How long the sinks may take nothing before a stop, or a single pass, goes on without them. */
#define PATIENCE (2 * CLOCK_SECOND)

/* ---- setting up ---- */

int loop_add(struct loop *loop, int fd, uint32_t what)
{
	struct epoll_event event = {.events = what, .data.fd = fd};

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* A queue directory takes up to five. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static bool open_descriptors(struct loop *loop)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	raise_descriptor_limit();
	signal(SIGPIPE, SIG_IGN);
	/* Inherited as ignored, it would hide how programs end. */
	signal(SIGCHLD, SIG_DFL);

	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	loop->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	/* Without /proc, mounts are noticed by the notifications of what is mounted, and by the
	 * reconcile. */
	loop->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (loop->epoll < 0 || loop->signals < 0 || loop->timer < 0 ||
	    loop_add(loop, loop->signals, EPOLLIN) < 0 || loop_add(loop, loop->timer, EPOLLIN) < 0)
		return false;
	if (loop->mounts >= 0)
		loop_add(loop, loop->mounts, EPOLLPRI);
	return true;
}

static void close_descriptors(struct loop *loop)
{
	int all[] = {loop->epoll, loop->signals, loop->timer, loop->mounts, loop->supervisor};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] >= 0)
			close(all[i]);
}

/* ---- signals, time, status ---- */

static void tell_status(struct loop *loop, bool to_log)
{
	struct engine_counts counts = engine_count(loop->engine);
	uint64_t dropped = events_dropped(loop->events);
	char text[400];

	snprintf(text, sizeof text,
		 "%llu %s; since the start %llu moved, %llu deleted, %llu departed; now %llu busy, "
		 "%llu failed, %llu refused, %llu %s lost; %llu %s, %llu %s dropped",
		 (unsigned long long)counts.messages,
		 units_plural(counts.messages, "message", "messages"),
		 (unsigned long long)counts.moved, (unsigned long long)counts.deleted,
		 (unsigned long long)counts.departed, (unsigned long long)counts.busy,
		 (unsigned long long)counts.failed, (unsigned long long)counts.refused,
		 (unsigned long long)counts.lost_directories,
		 units_plural(counts.lost_directories, "directory", "directories"),
		 (unsigned long long)counts.overflows,
		 units_plural(counts.overflows, "overflow", "overflows"),
		 (unsigned long long)dropped, units_plural(dropped, "event", "events"));
	loop->lost_told = counts.lost_directories;
	supervisor_tell(loop->supervisor, "STATUS=%s", text);
	if (to_log)
		log_notice("%s; %zu bytes of memory for messages", text, counts.table_bytes);
}

static void take_signal(struct loop *loop, int number)
{
	switch (number) {
	case SIGHUP:
		events_reopen(loop->events);
		loop_reload(loop);
		break;
	case SIGUSR1:
		tell_status(loop, true);
		break;
	default:
		loop->stop = true;
		loop->stop_reason = number == SIGINT ? "SIGINT" : "SIGTERM";
	}
}

static void take_signals(struct loop *loop)
{
	struct signalfd_siginfo info;

	while (read(loop->signals, &info, sizeof info) == sizeof info)
		take_signal(loop, (int)info.ssi_signo);
}

static void clock_was_set(struct loop *loop)
{
	engine_clock_set(loop->engine);
	loop->watchdog_at = loop->watchdog ? clock_now() + loop->watchdog : INT64_MAX;
}

static void take_timer(struct loop *loop)
{
	uint64_t expirations;

	loop->armed = INT64_MAX;
	/* TFD_TIMER_CANCEL_ON_SET */
	if (read(loop->timer, &expirations, sizeof expirations) < 0 && errno == ECANCELED)
		clock_was_set(loop);
}

static void feed_watchdog(struct loop *loop, int64_t now)
{
	if (now < loop->watchdog_at)
		return;
	supervisor_tell(loop->supervisor, "WATCHDOG=1");
	tell_status(loop, false);
	loop->watchdog_at = now + loop->watchdog;
}

static int64_t next_deadline(const struct loop *loop)
{
	int64_t deadline = engine_deadline(loop->engine);

	if (loop->watchdog_at < deadline)
		deadline = loop->watchdog_at;
	if (loop->events_at < deadline)
		deadline = loop->events_at;
	if (loop->textfile && textfile_deadline(loop->textfile) < deadline)
		deadline = textfile_deadline(loop->textfile);
	if (loop->http && http_deadline(loop->http) < deadline)
		deadline = http_deadline(loop->http);
	return deadline;
}

/* Sets the timer, if that is not what it is set to. Absolute and wall-clock, as deadlines are.
 * Returns false when the clock was set meanwhile: there is work, then. */
static bool arm(struct loop *loop, int64_t deadline)
{
	struct itimerspec spec = {0};

	if (deadline == loop->armed)
		return true;
	loop->armed = deadline;
	if (deadline != INT64_MAX) {
		/* A zero time would switch it off. */
		int64_t at = deadline > 0 ? deadline : 1;

		spec.it_value.tv_sec = at / CLOCK_SECOND;
		spec.it_value.tv_nsec = at % CLOCK_SECOND * 1000;
	}
	/* The step of a clock that was set since may be told here instead of by reading. */
	if (timerfd_settime(loop->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &spec, NULL) <
		    0 &&
	    errno == ECANCELED) {
		clock_was_set(loop);
		return false;
	}
	return true;
}

/* ---- the loop ---- */

static void take_events(struct loop *loop, int timeout)
{
	struct epoll_event ready[8];
	int n = epoll_wait(loop->epoll, ready, sizeof ready / sizeof *ready, timeout);

	for (int i = 0; i < n; i++) {
		if (ready[i].data.fd == loop->signals)
			take_signals(loop);
		else if (ready[i].data.fd == loop->timer)
			take_timer(loop);
		else if (ready[i].data.fd == loop->mounts)
			engine_mounts_changed(loop->engine);
		else if (loop->http && ready[i].data.fd == http_fd(loop->http))
			http_wake(loop->http);
		/* Notifications, and sinks that take events again, are seen to by every turn. */
	}
}

/* The engine starts its workers when it first needs them. */
static void watch_workers(struct loop *loop)
{
	unsigned made = engine_workers_made(loop->engine);

	for (unsigned i = 0; i < ENGINE_WORKERS; i++) {
		int fd = engine_worker_fd(loop->engine, i);

		/* The kernel takes a descriptor that is closed off its list, and the same number
		 * may be another worker's by now. */
		if (fd != loop->workers[i] || (fd >= 0 && made != loop->workers_made))
			loop->workers[i] =
				fd >= 0 && (loop_add(loop, fd, EPOLLIN) == 0 || errno == EEXIST)
					? fd
					: -1;
	}
	loop->workers_made = made;
}

static bool is_unwatched(const struct loop *loop)
{
	for (unsigned i = 0; i < ENGINE_WORKERS; i++)
		if (engine_worker_fd(loop->engine, i) != loop->workers[i])
			return engine_is_waiting(loop->engine);
	return false;
}

/* A single pass is no daemon: it may wait for a reader that is merely slow. But one that takes
 * nothing is not waited for again, until it takes something. */
static void let_sinks_breathe(struct loop *loop)
{
	if (!loop->options->once || !events_crowded(loop->events))
		loop->gave_up = false;
	else if (!loop->gave_up)
		loop->gave_up = !events_wait(loop->events, PATIENCE);
}

static void write_textfile(struct loop *loop, int64_t now)
{
	const char *text;
	size_t length;

	if (!loop->textfile || !textfile_is_due(loop->textfile, now))
		return;
	text = metrics_render(loop->metrics, METRICS_FOR_TEXTFILE, now, &length);
	textfile_write(loop->textfile, text, length, now);
}

static void run(struct loop *loop)
{
	while (!loop->stop) {
		int64_t now = clock_now();
		bool more = engine_turn(loop->engine, now);

		if (engine_take_policy_hint(loop->engine)) {
			loop_policy_touched(loop);
			/* A new policy is work that the turn did not know of. */
			more = true;
		}
		if (loop->http)
			more |= http_turn(loop->http, now);
		write_textfile(loop, now);
		loop->events_at = events_flush(loop->events, now);
		let_sinks_breathe(loop);
		feed_watchdog(loop, now);
		if (engine_count(loop->engine).lost_directories != loop->lost_told)
			tell_status(loop, false);
		watch_workers(loop);
		if (loop->options->once && !more && engine_deadline(loop->engine) == INT64_MAX &&
		    !engine_is_waiting(loop->engine)) {
			loop->stop_reason = "the pass is complete";
			return;
		}
		if (!more && !arm(loop, next_deadline(loop)))
			more = true;
		/* A worker that could not be watched is asked now and then. */
		take_events(loop, more ? 0 : is_unwatched(loop) ? 10 : -1);
	}
}

static void tell_started(struct loop *loop)
{
	struct event event = {
		.action = EVENT_STARTED,
		.text = loop->options->dry_run ? "qfwatch " QFWATCH_VERSION
						 " started (dry run: nothing is touched)"
					       : "qfwatch " QFWATCH_VERSION " started",
		.path = loop->options->policy,
	};

	events_emit(loop->events, &event);
}

static void tell_stopped(struct loop *loop)
{
	struct engine_counts counts = engine_count(loop->engine);
	char text[256];
	struct event event = {
		.action = EVENT_STOPPED,
		.text = text,
		.reason = loop->stop_reason,
		.counts = {{"messages", counts.messages},
			   {"moved", counts.moved},
			   {"deleted", counts.deleted},
			   {"departed", counts.departed},
			   {"busy", counts.busy},
			   {"failed", counts.failed},
			   {"refused", counts.refused},
			   {"waiting", counts.waiting},
			   {"given_up", counts.given_up},
			   {"overflows", counts.overflows},
			   {"dropped", events_dropped(loop->events)}},
		.n_counts = 11,
	};

	snprintf(text, sizeof text,
		 "qfwatch stopped (%s): %llu moved, %llu deleted; %llu %s in the spool",
		 loop->stop_reason, (unsigned long long)counts.moved,
		 (unsigned long long)counts.deleted, (unsigned long long)counts.messages,
		 units_plural(counts.messages, "message", "messages"));
	events_emit(loop->events, &event);
}

static int outcome(struct loop *loop)
{
	struct engine_counts counts = engine_count(loop->engine);

	if (!loop->options->once)
		return 0;
	if (counts.busy || counts.failed || counts.refused || counts.lost_directories) {
		log_warning("left where they are: %llu busy, %llu failed, %llu refused (the events "
			    "say why)",
			    (unsigned long long)counts.busy, (unsigned long long)counts.failed,
			    (unsigned long long)counts.refused);
		return 1;
	}
	return 0;
}

static int start(struct loop *loop, struct problems *problems)
{
	const struct policy *policy;
	int r = loop_take_policy(loop, problems, &policy);

	loop_log_problems(problems);
	if (r < 0) {
		int code = problems_exit_code(problems);

		if (!problems_any(problems))
			log_error("cannot start: %s", strerror(-r));
		return code ? code : 3;
	}
	if ((notify_fd() >= 0 && loop_add(loop, notify_fd(), EPOLLIN) < 0) ||
	    (events_fd(loop->events) >= 0 &&
	     loop_add(loop, events_fd(loop->events), EPOLLIN) < 0) ||
	    (loop->http && loop_add(loop, http_fd(loop->http), EPOLLIN) < 0)) {
		log_error("epoll: %s", strerror(errno));
		return 3;
	}
	loop_watch_policy(loop);
	tell_started(loop);
	loop_tell_policy(loop, policy);
	supervisor_tell(loop->supervisor, "READY=1");
	tell_status(loop, false);
	return 0;
}

int loop_run(const struct loop_options *options)
{
	struct loop loop = {.options = options,
			    .epoll = -1,
			    .timer = -1,
			    .signals = -1,
			    .mounts = -1,
			    .supervisor = -1,
			    .workers = {-1, -1, -1},
			    .armed = INT64_MAX,
			    .watchdog_at = INT64_MAX,
			    .events_at = INT64_MAX};
	struct problems problems = {0};
	int code;

	if (!open_descriptors(&loop)) {
		log_error("cannot start: %s", strerror(errno));
		close_descriptors(&loop);
		return 3;
	}
	loop.supervisor = supervisor_open();
	loop.watchdog = loop.supervisor < 0 ? 0 : supervisor_watchdog();
	if (loop.watchdog)
		loop.watchdog_at = clock_now() + loop.watchdog;
	loop.events = events_new(options->dry_run);
	loop.engine = engine_new(loop.events, options->once ? ENGINE_ONCE : ENGINE_WATCH,
				 options->dry_run);
	if (!options->once) {
		loop.metrics = metrics_new(loop.engine, loop.events, clock_now());
		loop.http = http_new(loop.engine, loop.events, loop.metrics, options->policy);
	}
	if (!options->once && !options->dry_run)
		loop.textfile = textfile_new();
	code = start(&loop, &problems);
	if (code == 0) {
		run(&loop);
		supervisor_tell(loop.supervisor, "STOPPING=1");
		engine_stop(loop.engine);
		tell_stopped(&loop);
		if (!loop.gave_up && !events_wait(loop.events, PATIENCE))
			loop.gave_up = true;
		if (loop.gave_up)
			log_warning("the last events were not written: a sink takes nothing");
		code = outcome(&loop);
	}
	http_free(loop.http);
	textfile_free(loop.textfile);
	metrics_free(loop.metrics);
	engine_free(loop.engine);
	events_free(loop.events);
	problems_free(&problems);
	close_descriptors(&loop);
	return code;
}
