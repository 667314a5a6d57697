/* program.c - see program.h
 *
 * posix_spawn, not fork: a daemon that knows a million messages is large, and other threads hold
 * locks at any moment. A program is waited for in two steps: seen dead (WNOWAIT), then reaped. In
 * between nobody else can get its process id, and so not the id of its group either.
 */
#include "qfwatch/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define MILLISECOND INT64_C(1000000) /* all times in here are nanoseconds, clock_monotonic's */
#define SECOND	    (1000 * MILLISECOND)

#define LOOK_AGAIN (50 * MILLISECOND) /* at *cancel */
#define GRACE	   (2 * SECOND)	      /* between SIGTERM and SIGKILL, and from there to giving up */
#define DRAIN	   (50 * MILLISECOND)

char *const program_environment[] = {
	(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	(char[]){"LC_ALL=C"}, NULL};

/* The last PROGRAM_OUTPUT bytes, tidied as they come: the raw ones may be mostly blanks. */
struct tail {
	char bytes[4 * PROGRAM_OUTPUT];
	size_t length;
	bool blank; /* one is due before the next byte */
	bool cut;   /* there was more before */
};

enum stage { RUNNING, TOLD, KILLED };

struct run {
	pid_t pid; /* also the id of its group */
	int pidfd; /* -1: none */
	int pipe;  /* -1: at its end */
	enum stage stage;
	int64_t next; /* when the next stage is due */
	struct tail tail;
};

/* ---- output ---- */

static void tail_forget(struct tail *tail)
{
	size_t keep = PROGRAM_OUTPUT;

	if (tail->length <= keep)
		return;
	memmove(tail->bytes, tail->bytes + tail->length - keep, keep);
	tail->length = keep;
	tail->cut = true;
}

static void tail_add(struct tail *tail, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c <= ' ' || c == 0x7f) {
			tail->blank = tail->length > 0;
			continue;
		}
		if (tail->length + 2 > sizeof tail->bytes)
			tail_forget(tail);
		if (tail->blank)
			tail->bytes[tail->length++] = ' ';
		tail->blank = false;
		tail->bytes[tail->length++] = (char)c;
	}
}

static void tail_text(struct tail *tail, char *text)
{
	const char *from = tail->bytes;
	size_t length;

	tail_forget(tail);
	length = tail->length;
	/* The rest of a character whose beginning is gone: at most three bytes. */
	for (int i = 0; tail->cut && i < 3 && length && ((unsigned char)*from & 0xc0) == 0x80; i++)
		from++, length--;
	if (length && *from == ' ')
		from++, length--;
	memcpy(text, from, length);
	text[length] = '\0';
}

#define AT_ONCE 16384

/* Reads once. Returns false when there is nothing to read now or any more. */
static bool read_some(struct run *run)
{
	char bytes[AT_ONCE];
	ssize_t n;

	if (run->pipe < 0)
		return false;
	n = read(run->pipe, bytes, sizeof bytes);
	if (n > 0) {
		tail_add(&run->tail, bytes, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(run->pipe);
		run->pipe = -1;
	}
	return false;
}

/* ---- starting ---- */

/* A daemon that was started without standard descriptors would get them here: they are about to be
 * the program's. */
static int above_standard(int fd)
{
	int other;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	other = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return other;
}

/* Returns 0 or an errno. The end to write into waits, as a program expects. */
static int open_pipe(int fds[2])
{
	int error = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return errno;
	for (int i = 0; i < 2; i++)
		if ((fds[i] = above_standard(fds[i])) < 0)
			error = errno;
	if (!error && fcntl(fds[0], F_SETFL, O_RDONLY | O_NONBLOCK) < 0)
		error = errno;
	for (int i = 0; error && i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return error;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int error;

	sigemptyset(&none);
	/* Not sigfillset: it leaves out the C library's two own signals, which posix_spawn then
	 * hands on as ignored. */
	memset(&all, 0xff, sizeof all);
	error = posix_spawnattr_setsigmask(attributes, &none);
	if (!error)
		error = posix_spawnattr_setsigdefault(attributes, &all);
	/* A session: also a group, and one that its leader cannot leave. */
	if (!error)
		error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID |
								     POSIX_SPAWN_SETSIGMASK |
								     POSIX_SPAWN_SETSIGDEF);
	return error;
}

static int set_descriptors(posix_spawn_file_actions_t *actions, int output)
{
	int error = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);

	if (!error)
		error = posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
	if (!error)
		error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null",
							 O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
	if (!error)
		error = posix_spawn_file_actions_addchdir_np(actions, "/");
	return error;
}

static int spawn(char *const *argv, char *const *environment, int output, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error = posix_spawnattr_init(&attributes);

	if (error)
		return error;
	error = posix_spawn_file_actions_init(&actions);
	if (!error) {
		error = set_attributes(&attributes);
		if (!error)
			error = set_descriptors(&actions, output);
		if (!error)
			error = posix_spawn(ret, argv[0], &actions, &attributes, argv, environment);
		posix_spawn_file_actions_destroy(&actions);
	}
	posix_spawnattr_destroy(&attributes);
	return error;
}

/* Returns 0 or an errno. */
static int start(struct run *run, char *const *argv, char *const *environment)
{
	int fds[2], error;

	if (!argv[0] || argv[0][0] != '/')
		return EINVAL;
	error = open_pipe(fds);
	if (error)
		return error;
	error = spawn(argv, environment ? environment : program_environment, fds[1], &run->pid);
	close(fds[1]);
	if (error) {
		close(fds[0]);
		return error;
	}
	run->pipe = fds[0];
	run->pidfd = pidfd_open(run->pid, 0);
	return 0;
}

/* ---- to its end ---- */

/* Returns 0 while it runs, 1 when it has ended (and is to be reaped), or -errno. */
static int look(const struct run *run)
{
	siginfo_t info = {0};

	if (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return -errno;
	return info.si_pid != 0;
}

/* Its group, and so it too: see set_attributes. */
static void send_signal(const struct run *run, int signal)
{
	kill(-run->pid, signal);
}

/* Does what is due: asks it to end, kills it. Returns false when it is to be given up. */
static bool press(struct run *run, const atomic_bool *cancel, struct program_result *result)
{
	int64_t now = clock_monotonic();

	if (run->stage == RUNNING && cancel && atomic_load(cancel))
		result->cancelled = true;
	else if (now < run->next)
		return true;
	switch (run->stage) {
	case RUNNING:
		result->timed_out = !result->cancelled;
		send_signal(run, SIGTERM);
		/* What is stopped takes no SIGTERM. */
		send_signal(run, SIGCONT);
		run->stage = TOLD;
		break;
	case TOLD:
		send_signal(run, SIGKILL);
		run->stage = KILLED;
		break;
	case KILLED:
		/* A stop cannot wait for it. */
		if (cancel && atomic_load(cancel)) {
			result->cancelled = true;
			return false;
		}
		break;
	}
	run->next = now + GRACE;
	return true;
}

static void wait_a_little(const struct run *run, int64_t until)
{
	struct pollfd fds[] = {
		{.fd = run->pipe, .events = POLLIN},
		{.fd = run->pidfd, .events = POLLIN},
	};
	int64_t left = until - clock_monotonic();

	if (left > LOOK_AGAIN)
		left = LOOK_AGAIN;
	poll(fds, 2, left > 0 ? (int)((left + MILLISECOND - 1) / MILLISECOND) : 0);
}

/* Returns 0 when it has ended, or an errno. */
static int watch(struct run *run, const atomic_bool *cancel, struct program_result *result)
{
	int r;

	/* One read at a time: what never stops writing is still looked at. */
	while ((r = look(run)) == 0) {
		if (!press(run, cancel, result))
			return EBUSY;
		wait_a_little(run, run->next);
		read_some(run);
	}
	return r < 0 ? -r : 0;
}

/* Returns 0 or an errno. Does not wait: it has ended. */
static int reap(const struct run *run, int *ret_status)
{
	while (waitpid(run->pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

/* What it wrote itself is in the pipe, and is read however late this thread gets to it. What its
 * children have still to say gets a moment; it is a limit in time, for they may never stop. */
static void drain(struct run *run)
{
	int64_t until = clock_monotonic() + DRAIN;
	int own = 0;

	if (run->pipe >= 0 && ioctl(run->pipe, FIONREAD, &own) < 0)
		own = 0;
	for (; own > 0 && read_some(run); own -= AT_ONCE)
		;
	while (run->pipe >= 0 && clock_monotonic() < until) {
		struct pollfd fd = {.fd = run->pipe, .events = POLLIN};

		if (!read_some(run) && run->pipe >= 0)
			poll(&fd, 1, (int)(DRAIN / MILLISECOND / 5));
	}
}

void program_run(char *const *argv, char *const *environment, int64_t timeout, bool kill_group,
		 const atomic_bool *cancel, struct program_result *ret)
{
	struct run run = {.pidfd = -1, .pipe = -1};
	int64_t started = clock_monotonic();

	memset(ret, 0, sizeof *ret);
	if (cancel && atomic_load(cancel)) {
		ret->cancelled = true;
		ret->error = ECANCELED;
		return;
	}
	ret->error = start(&run, argv, environment);
	if (ret->error)
		return;
	/* Longer than this machine will live: no limit. */
	run.next = timeout < INT64_MAX / 2000 ? started + timeout * 1000 : INT64_MAX;
	ret->error = watch(&run, cancel, ret);
	if (!ret->error) {
		/* Before it is reaped, while the group is surely its own. */
		if (kill_group)
			send_signal(&run, SIGKILL);
		ret->error = reap(&run, &ret->status);
	}
	ret->unknown = ret->error != 0;
	ret->duration = clock_monotonic() - started;
	drain(&run);
	tail_text(&run.tail, ret->output);
	if (run.pipe >= 0)
		close(run.pipe);
	if (run.pidfd >= 0)
		close(run.pidfd);
}

/* ---- words ---- */

static void signal_name(int signal, char *buffer, size_t size)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(buffer, size, "SIG%s", name);
	else
		snprintf(buffer, size, "signal %d", signal);
}

static void describe_end(const struct program_result *result, char *buffer, size_t size)
{
	char time[UNITS_DURATION_TEXT], name[32];
	bool ours = result->timed_out || result->cancelled;

	units_format_duration(result->duration / SECOND, time, sizeof time);
	if (WIFSIGNALED(result->status)) {
		signal_name(WTERMSIG(result->status), name, sizeof name);
		snprintf(buffer, size, "%sended by %s%s%s", result->cancelled ? "cancelled, " : "",
			 name, ours ? " after " : "", ours ? time : "");
	} else if (ours) {
		snprintf(buffer, size, "%s after %s, exit status %d",
			 result->cancelled ? "cancelled" : "told to end", time,
			 WEXITSTATUS(result->status));
	} else {
		snprintf(buffer, size, "exit status %d", WEXITSTATUS(result->status));
	}
}

char *program_describe(const struct program_result *result, char *buffer, size_t size)
{
	/* strerror would answer in a language, and from a buffer that others use. */
	const char *error = strerrordesc_np(result->error);
	char end[160];

	if (result->error == ECANCELED)
		snprintf(end, sizeof end, "cancelled before it was started");
	else if (result->unknown)
		snprintf(end, sizeof end, "started, but how it ended is not known: %s",
			 result->error == EBUSY ? "SIGKILL does not end it"
			 : error		? error
						: "?");
	else if (result->error && error)
		snprintf(end, sizeof end, "cannot be started: %s", error);
	else if (result->error)
		snprintf(end, sizeof end, "cannot be started: error %d", result->error);
	else
		describe_end(result, end, sizeof end);
	snprintf(buffer, size, "%s%s%s", end, result->output[0] ? ": " : "", result->output);
	return buffer;
}

bool program_succeeded(const struct program_result *result)
{
	return !result->error && !result->timed_out && !result->cancelled &&
	       WIFEXITED(result->status) && WEXITSTATUS(result->status) == 0;
}

/* ---- arguments ---- */

/* The value of the name that stands at text, in its braces; NULL: there is none. */
static const char *value_at(const char *text, const struct program_values *values,
			    size_t *ret_length)
{
	const struct {
		const char *name, *value;
	} all[] = {
		{"{id}", values->id},
		{"{file}", values->file},
		{"{tier}", values->tier},
		{"{rule}", values->rule},
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		size_t length = strlen(all[i].name);

		if (strncmp(text, all[i].name, length) == 0) {
			*ret_length = length;
			return all[i].value ? all[i].value : "";
		}
	}
	return NULL;
}

char *program_fill(const char *pattern, const struct program_values *values)
{
	char *filled = xstrdup(""); /* stays one text all the way */
	size_t length = 0;

	while (*pattern) {
		size_t taken, given;
		const char *value = value_at(pattern, values, &taken);

		if (value) {
			given = strlen(value);
		} else {
			/* Up to the next brace, the one it begins with aside. */
			value = pattern;
			taken = given = 1 + strcspn(pattern + 1, "{");
		}
		filled = xreallocarray(filled, length + given + 1, 1);
		memcpy(filled + length, value, given);
		length += given;
		filled[length] = '\0';
		pattern += taken;
	}
	return filled;
}
