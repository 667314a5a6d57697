/* http_task.c - what takes too long for the loop: done by a worker, while the request waits.
 * Programs are run here, too: this program itself, for what it can say of a message or of the
 * installation. */
#include "http_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qfwatch/log.h"
#include "qfwatch/program.h"
#include "qfwatch/xalloc.h"

/* Threads: one program that takes long must not keep the others waiting. */
#define THREADS 2

/* A program has so long, and may say so much. */
#define PROGRAM_SECONDS 60
#define PROGRAM_MOST	((size_t)16 * 1024 * 1024)

/* ---- tasks ---- */

static void run_task(struct worker_job *job)
{
	struct http_task *task = (struct http_task *)job;

	task->run(task);
}

static bool start_worker(struct http *http)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (http->worker)
		return true;
	http->worker = worker_new(THREADS, run_task);
	if (!http->worker)
		return false;
	event.data.fd = worker_fd(http->worker);
	if (epoll_ctl(http->epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
		log_error("http: epoll: %s", strerror(errno));
	return true;
}

bool http_submit(struct http_request *request, struct http_task *task)
{
	if (!start_worker(request->http))
		return false;
	task->request = request;
	task->away = true;
	request->http->n_tasks++;
	worker_submit(request->http->worker, &task->job);
	return true;
}

void http_end_task(struct http_request *request)
{
	struct http_task *task = request->job;

	if (!task->away) {
		task->free(task);
		return;
	}
	/* It is freed when it comes back. */
	task->request = NULL;
	atomic_store(&task->cancel, true);
}

void http_take_tasks(struct http *http)
{
	struct worker_job *job;

	while (http->worker && (job = worker_take(http->worker))) {
		struct http_task *task = (struct http_task *)job;

		task->away = false;
		http->n_tasks--;
		if (task->request)
			http_go_on(task->request);
		else
			task->free(task);
	}
}

/* All requests have ended: what is under way has been cancelled. */
void http_stop_tasks(struct http *http)
{
	struct epoll_event event;

	while (http->worker && http->n_tasks) {
		struct pollfd pollfd = {.fd = worker_fd(http->worker), .events = POLLIN};

		poll(&pollfd, 1, 1000);
		http_take_tasks(http);
	}
	if (http->worker)
		epoll_ctl(http->epoll, EPOLL_CTL_DEL, worker_fd(http->worker), &event);
	worker_free(http->worker);
	http->worker = NULL;
}

/* ---- programs ---- */

struct running {
	struct http_task task; /* the first member */
	char **arguments;
	struct json_text input; /* empty: none */
	struct http_output output;
	struct json_text bytes;
	int error;  /* errno of starting it */
	int status; /* as from waitpid */
	bool timed_out;
	void (*answer)(struct http_request *request, const struct http_output *output);
};

/* A file in memory, since a pipe takes 64 KiB only. -1: errno. */
static int open_input(const struct json_text *input)
{
	int fd = memfd_create("qfwatch-input", MFD_CLOEXEC);

	for (size_t at = 0; fd >= 0 && at < input->length;) {
		ssize_t n = pwrite(fd, input->bytes + at, input->length - at, (off_t)at);

		if (n > 0) {
			at += (size_t)n;
		} else if (n < 0 && errno != EINTR) {
			close(fd);
			fd = -1;
		}
	}
	return fd;
}

static int start(struct running *running, int to, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r, input = -1;

	if (running->input.length && (input = open_input(&running->input)) < 0)
		return errno;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	if (input >= 0)
		posix_spawn_file_actions_adddup2(&actions, input, 0);
	else
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, to, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setpgroup(&attributes, 0);
	/* This very program, also when its file has been replaced since. */
	r = posix_spawn(ret, "/proc/self/exe", &actions, &attributes, running->arguments, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (input >= 0)
		close(input);
	return r;
}

/* Reads to the end, to its time, or until nobody asks any more. */
static void read_output(struct running *running, int from, pid_t pid)
{
	int64_t until = clock_monotonic() + PROGRAM_SECONDS * INT64_C(1000000000);
	struct json_text *bytes = &running->bytes;

	for (;;) {
		struct pollfd pollfd = {.fd = from, .events = POLLIN};
		ssize_t n;

		if (atomic_load(&running->task.cancel) || clock_monotonic() > until ||
		    bytes->length > PROGRAM_MOST) {
			running->timed_out = true;
			kill(-pid, SIGKILL);
			return;
		}
		if (poll(&pollfd, 1, 50) <= 0)
			continue;
		n = read(from, json_text_room(bytes, 64 * 1024), 64 * 1024);
		if (n <= 0)
			return;
		bytes->length += (size_t)n;
	}
}

static void run_program(struct http_task *task)
{
	struct running *running = (struct running *)task;
	int64_t began = clock_monotonic();
	int pipe[2];
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0) {
		running->error = errno;
		return;
	}
	running->error = start(running, pipe[1], &pid);
	close(pipe[1]);
	if (running->error == 0) {
		read_output(running, pipe[0], pid);
		while (waitpid(pid, &running->status, 0) < 0 && errno == EINTR)
			;
	}
	close(pipe[0]);
	running->output = (struct http_output){
		.bytes = running->bytes.bytes,
		.length = running->bytes.length,
		.code = WIFEXITED(running->status) ? WEXITSTATUS(running->status) : -1,
		.took = clock_monotonic() - began,
	};
}

static void free_running(struct http_task *task)
{
	struct running *running = (struct running *)task;

	for (char **one = running->arguments; *one; one++)
		free(*one);
	free(running->arguments);
	json_text_free(&running->bytes);
	json_text_free(&running->input);
	free(running);
}

static enum http_progress step_program(struct http_request *request, int64_t until)
{
	struct running *running = request->job;

	(void)until;
	if (!running->output.took && !running->error) {
		if (http_submit(request, &running->task))
			return HTTP_WAIT;
		running->error = EAGAIN;
	}
	running->output.failed = running->error || running->timed_out || running->output.code < 0;
	if (running->error)
		http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "try again",
			   "qfwatch %s cannot be started: %s", running->arguments[1],
			   strerror(running->error));
	else if (running->output.failed)
		http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "run it by hand: it may wait for something",
			   "qfwatch %s did not come to its end", running->arguments[1]);
	running->answer(request, &running->output);
	return HTTP_DONE;
}

void http_run(struct http_request *request, const char *const *arguments, struct http_input input,
	      void (*answer)(struct http_request *request, const struct http_output *output))
{
	struct running *running = xcalloc(1, sizeof *running);
	size_t count = 0;

	while (arguments[count])
		count++;
	running->task.run = run_program;
	running->task.free = free_running;
	running->answer = answer;
	running->arguments = xcalloc(count + 1, sizeof *running->arguments);
	for (size_t i = 0; i < count; i++)
		running->arguments[i] = xstrdup(arguments[i]);
	json_text_bytes(&running->input, input.bytes, input.length);
	http_work(request, step_program, http_end_task, running);
}
