/* sink_stdout.c - events on standard output, which may be a file, a terminal, a socket, or a pipe
 * whose reader sleeps.
 *
 * The descriptor's flags are shared with whoever gave it to us, so O_NONBLOCK must not be set on
 * it. A pipe or terminal is opened a second time through /proc, with flags of its own; where that
 * is refused, it is asked before each write, and gets at most PIPE_BUF bytes, which a pipe that
 * says yes has room for (pipe(7)).
 */
#include "qfwatch/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int stdout_open(struct sink *sink)
{
	struct stat stat;

	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	/* Read-only: it was closed (main.c). */
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (fstat(STDOUT_FILENO, &stat) < 0)
		return -errno;
	sink->fd = STDOUT_FILENO;
	sink->mode = stat.st_mode;
	if (S_ISFIFO(stat.st_mode) || S_ISCHR(stat.st_mode)) {
		int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0)
			sink->fd = fd;
	}
	return 0;
}

static ssize_t polite_write(const char *bytes, size_t length)
{
	struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};

	if (poll(&fd, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(STDOUT_FILENO, bytes, length < PIPE_BUF ? length : PIPE_BUF);
}

static ssize_t stdout_write(struct sink *sink, const char *bytes, size_t length)
{
	ssize_t n;

	if (sink->fd != STDOUT_FILENO || S_ISREG(sink->mode))
		n = write(sink->fd, bytes, length);
	else if (S_ISSOCK(sink->mode))
		n = send(sink->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = polite_write(bytes, length);
	return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static void stdout_close(struct sink *sink)
{
	if (sink->fd >= 0 && sink->fd != STDOUT_FILENO)
		close(sink->fd);
	sink->fd = -1;
}

const struct sink_kind sink_stdout = {
	.open = stdout_open,
	.write = stdout_write,
	.close = stdout_close,
};
