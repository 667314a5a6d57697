/* service.c - see service.h. */
#include "service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stats.h"

#define MAX_ARGUMENTS 16

static int open_notify(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* In the child: never returns. */
__attribute__((noreturn)) static void become(const char *program, const char *const arguments[],
					     const char *folder, int output, int errors,
					     pid_t parent)
{
	const char *argv[MAX_ARGUMENTS + 2] = {program};
	char path[600];
	sigset_t none;

	for (int i = 0; i < MAX_ARGUMENTS && arguments[i]; i++)
		argv[i + 1] = arguments[i];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT,
	       SIG_IGN); /* Ctrl-C is for the parent, which ends the service in its own time */
	setpgid(0, 0);
	snprintf(path, sizeof(path), "%s/notify", folder);
	setenv("NOTIFY_SOCKET", path, 1);
	snprintf(path, sizeof(path), "%s/runtime", folder);
	setenv("RUNTIME_DIRECTORY", path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	if (dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		_exit(127);
	execvp(program, (char *const *)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", program, strerror(errno));
	_exit(127);
}

int service_start(struct service *service, const char *program, const char *const arguments[],
		  const char *folder, const char *output_path)
{
	int ends[2] = {-1, -1}, errors = -1, r;
	pid_t parent = getpid();
	char path[600];

	*service = (struct service){.pid = -1, .output = -1, .notify = -1};
	if (snprintf(service->folder, sizeof(service->folder), "%s", folder) >=
	    (int)sizeof(service->folder))
		return -ENAMETOOLONG;
	snprintf(path, sizeof(path), "%s/runtime", folder);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/notify", folder);
	service->notify = open_notify(path);
	if (service->notify < 0)
		return service->notify;
	snprintf(path, sizeof(path), "%s/stderr", folder);
	errors = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (errors < 0) {
		r = -errno;
		goto fail;
	}
	if (output_path) {
		ends[1] = open(output_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			       0644);
		r = ends[1] < 0 ? -errno : 0;
	} else {
		r = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
		if (r == 0)
			fcntl(ends[0], F_SETFL, O_NONBLOCK);
	}
	if (r < 0)
		goto fail;
	service->pid = fork();
	if (service->pid == 0)
		become(program, arguments, folder, ends[1], errors, parent);
	if (service->pid < 0) {
		r = -errno;
		goto fail;
	}
	close(ends[1]);
	close(errors);
	service->output = ends[0];
	return 0;
fail:
	for (int i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
	}
	if (errors >= 0)
		close(errors);
	close(service->notify);
	service->notify = -1;
	return r;
}

bool service_ended(struct service *service)
{
	pid_t pid;

	if (service->ended || service->pid <= 0)
		return true;
	do
		pid = wait4(service->pid, &service->status, WNOHANG, &service->usage);
	while (pid < 0 && errno == EINTR);
	service->ended = pid == service->pid;
	return service->ended;
}

/* Milliseconds for poll, at least 1 while there is time left. */
static int milliseconds_until(int64_t deadline)
{
	int64_t left = deadline - stats_now();

	if (left <= 0)
		return 0;
	return left > 3600 * STATS_S ? 3600000 : (int)((left + STATS_MS - 1) / STATS_MS);
}

static int open_process(const struct service *service)
{
	return (int)syscall(SYS_pidfd_open, service->pid, 0);
}

int service_wait(struct service *service, int64_t deadline)
{
	struct pollfd poll_process = {.fd = service_ended(service) ? -1 : open_process(service),
				      .events = POLLIN};

	while (!service_ended(service) && stats_now() < deadline) {
		/* A kernel without pidfd: look every few milliseconds. */
		int wait = poll_process.fd >= 0 ? milliseconds_until(deadline) : 5;

		poll(&poll_process, poll_process.fd >= 0, wait);
	}
	if (poll_process.fd >= 0)
		close(poll_process.fd);
	return service_ended(service) ? 0 : -ETIMEDOUT;
}

int service_wait_ready(struct service *service, int64_t deadline)
{
	struct pollfd polled[2] = {{.fd = service->notify, .events = POLLIN},
				   {.fd = -1, .events = POLLIN}};
	char words[1024];

	polled[1].fd = open_process(service);
	while (!service->ready && stats_now() < deadline) {
		ssize_t n;

		poll(polled, 2, polled[1].fd >= 0 ? milliseconds_until(deadline) : 5);
		while ((n = recv(service->notify, words, sizeof(words) - 1, 0)) > 0) {
			words[n] = '\0';
			if (strncmp(words, "READY=1", 7) == 0 || strstr(words, "\nREADY=1"))
				service->ready = true;
		}
		if (!service->ready && service_ended(service))
			break;
	}
	if (polled[1].fd >= 0)
		close(polled[1].fd);
	if (service->ready)
		return 0;
	return service_ended(service) ? -ECHILD : -ETIMEDOUT;
}

int service_stop(struct service *service, int64_t deadline)
{
	if (service_ended(service))
		return 0;
	kill(service->pid, SIGTERM);
	if (service_wait(service, deadline) == 0)
		return 0;
	kill(service->pid, SIGKILL);
	service_wait(service, stats_now() + 10 * STATS_S);
	return -ETIMEDOUT;
}

void service_free(struct service *service)
{
	if (!service_ended(service)) {
		kill(service->pid, SIGKILL);
		service_wait(service, stats_now() + 10 * STATS_S);
	}
	if (service->output >= 0)
		close(service->output);
	if (service->notify >= 0)
		close(service->notify);
	*service = (struct service){.pid = -1, .output = -1, .notify = -1, .ended = true};
}

char *service_describe(const struct service *service, char *buffer, size_t size)
{
	if (!service->ended)
		snprintf(buffer, size, "still running");
	else if (WIFSIGNALED(service->status))
		snprintf(buffer, size, "killed by signal %d (%s)", WTERMSIG(service->status),
			 strsignal(WTERMSIG(service->status)));
	else
		snprintf(buffer, size, "exit status %d", WEXITSTATUS(service->status));
	return buffer;
}

char *service_errors(const struct service *service)
{
	char path[600], *text = calloc(1, 65536);
	int fd;

	if (!text)
		return NULL;
	snprintf(path, sizeof(path), "%s/stderr", service->folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, text, 65535) < 0)
			text[0] = '\0';
		close(fd);
	}
	return text;
}

/* By descriptor and without stat where readdir tells the type: a bench removes millions of files.
 */
static int remove_in(int parent, const char *name)
{
	struct dirent *entry;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = 0;
	DIR *directory;

	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		close(fd);
		return r;
	}
	while ((entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type != DT_DIR && unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		if (remove_in(fd, entry->d_name) < 0 && r == 0)
			r = -errno;
	}
	closedir(directory);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && r == 0)
		r = -errno;
	return r;
}

int service_remove_tree(const char *path)
{
	return remove_in(AT_FDCWD, path);
}
