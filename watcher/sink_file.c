/* sink_file.c - events appended to a file, which a rotation may rename at any time (then SIGHUP
 * opens it again by name). */
#include "qfwatch/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A line cut short by a crash or a full disk: end it, so that the next one stands by itself. */
static void mend_last_line(int fd)
{
	struct stat stat;
	char last;

	if (fstat(fd, &stat) == 0 && stat.st_size > 0 &&
	    pread(fd, &last, 1, stat.st_size - 1) == 1 && last != '\n')
		if (write(fd, "\n", 1) != 1)
			return; /* the write of the next line will tell */
}

static int file_open(struct sink *sink)
{
	struct stat stat;
	/* O_RDWR, to see how it ends. O_NONBLOCK: a FIFO put in its place must not hold us. */
	int fd = open(sink->path, O_RDWR | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC,
		      0640);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	mend_last_line(fd);
	sink->fd = fd;
	return 0;
}

static ssize_t file_write(struct sink *sink, const char *bytes, size_t length)
{
	ssize_t n = write(sink->fd, bytes, length);

	return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static void file_close(struct sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
}

const struct sink_kind sink_file = {file_open, file_write, file_close};
