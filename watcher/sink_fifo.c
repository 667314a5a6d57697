/* sink_fifo.c - events into a named pipe that somebody else has made.
 *
 * A line is at most PIPE_BUF bytes and gets a write of its own: it goes into the pipe whole or not
 * at all (pipe(7)), also beside other writers. What stands in the pipe when its last reader goes
 * away is lost with it; nobody can tell.
 */
#include "qfwatch/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(SINK_LINE_MAX <= PIPE_BUF, "a line goes into a pipe whole");

static int fifo_open(struct sink *sink)
{
	struct stat stat;
	int fd = open(sink->config.path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno; /* ENXIO: no reader, or it is a socket */
	if (fstat(fd, &stat) < 0 || !S_ISFIFO(stat.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	sink->whole = true;
	sink->fd = fd;
	return 0;
}

static ssize_t fifo_write(struct sink *sink, const char *bytes, size_t length)
{
	ssize_t n = write(sink->fd, bytes, length);

	return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static void fifo_close(struct sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
}

const struct sink_kind sink_fifo = {
	.reconnects = true,
	.open = fifo_open,
	.write = fifo_write,
	.close = fifo_close,
};
