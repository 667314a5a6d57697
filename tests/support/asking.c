/* asking.c - see asking.h. */
#include "asking.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* ---- one question ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		bench_fail("%s: a socket's path has at most %zu bytes: set BENCH_DIR", path,
			   sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bench_fail("cannot connect to %s: %s", path, strerror(errno));
	return fd;
}

/* What is known of an answer while it is read. */
struct answer {
	char head[2048];
	size_t n_head;
	char tail[5];
	size_t bytes;
};

static void take(struct answer *answer, const char *bytes, size_t length)
{
	size_t room = sizeof(answer->head) - 1 - answer->n_head;
	size_t last = length < sizeof(answer->tail) ? length : sizeof(answer->tail);

	memcpy(answer->head + answer->n_head, bytes, length < room ? length : room);
	answer->n_head += length < room ? length : room;
	memmove(answer->tail, answer->tail + last, sizeof(answer->tail) - last);
	memcpy(answer->tail + sizeof(answer->tail) - last, bytes + length - last, last);
	answer->bytes += length;
}

/* Is it whole, as far as its head says how long it is? */
static bool is_whole(const struct answer *answer)
{
	const char *end = strstr(answer->head, "\r\n\r\n");
	const char *length = strcasestr(answer->head, "\r\nContent-Length:");

	if (!end)
		return false;
	if (length && length < end)
		return answer->bytes == (size_t)(end + 4 - answer->head) +
						strtoul(strchr(length, ':') + 1, NULL, 10);
	return memcmp(answer->tail, "0\r\n\r\n", sizeof(answer->tail)) == 0;
}

int64_t asking_get(const char *socket, const char *target, size_t *ret_bytes)
{
	static char bytes[65536];
	struct answer answer = {.n_head = 0};
	int64_t began = stats_now(), took;
	int fd = connect_to(socket), length;
	ssize_t n;

	length =
		snprintf(bytes, sizeof(bytes),
			 "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target);
	if (send(fd, bytes, (size_t)length, MSG_NOSIGNAL) != length)
		bench_fail("cannot ask for %s: %s", target, strerror(errno));
	while ((n = read(fd, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0)
			take(&answer, bytes, (size_t)n);
	}
	took = stats_now() - began;
	close(fd);
	if (strncmp(answer.head, "HTTP/1.1 200 ", 13) != 0)
		bench_fail("%s was answered: %.60s", target, answer.head);
	if (!is_whole(&answer))
		bench_fail("the answer to %s was broken off after %zu bytes", target, answer.bytes);
	if (ret_bytes)
		*ret_bytes = answer.bytes;
	return took;
}

int64_t asking_run(const char *program, const char *const *arguments)
{
	posix_spawn_file_actions_t actions;
	int64_t began = stats_now(), took;
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawn(&pid, program, &actions, NULL, (char *const *)arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		bench_fail("cannot run %s: %s", program, strerror(r));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	took = stats_now() - began;
	if (status != 0)
		bench_fail("%s %s ended with status 0x%x", program, arguments[1], status);
	return took;
}

/* ---- without end ---- */

static volatile sig_atomic_t asking_ends;

static void end_asking(int signal_number)
{
	(void)signal_number;
	asking_ends = 1;
}

__attribute__((noreturn)) static void ask_until_told(const struct asking *asking,
						     const char *socket, const char *const *targets,
						     int64_t every, pid_t parent)
{
	int64_t next = stats_now();
	size_t at = 0;

	while (getppid() == parent && !asking_ends) {
		asking_get(socket, targets[at++], NULL);
		++*asking->answers;
		if (!targets[at])
			at = 0;
		next += every;
		if (next < stats_now())
			next = stats_now();
		stats_sleep_until(next);
	}
	_exit(0);
}

void asking_begin(struct asking *asking, const char *socket, const char *const *targets,
		  int64_t every)
{
	pid_t parent = getpid();
	void *shared = mmap(NULL, sizeof(*asking->answers), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		bench_fail("cannot share memory: %s", strerror(errno));
	asking->answers = shared;
	asking->began = stats_now();
	asking->pid = fork();
	if (asking->pid < 0)
		bench_fail("cannot fork: %s", strerror(errno));
	if (asking->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, end_asking);
		ask_until_told(asking, socket, targets, every, parent);
	}
}

double asking_end(struct asking *asking)
{
	int64_t took = stats_now() - asking->began;
	double rate = (double)*asking->answers * 1e9 / (double)took;
	int status;

	kill(asking->pid, SIGTERM);
	while (waitpid(asking->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0)
		bench_fail("who asked ended with status 0x%x", status);
	munmap((void *)(uintptr_t)asking->answers, sizeof(*asking->answers));
	return rate;
}
