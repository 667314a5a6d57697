/* sink_file.c - events appended to a file, which a rotation may rename at any time (then SIGHUP
 * opens it again by name), or which is rotated here: path becomes path.1, path.1 becomes path.2,
 * and so on.
 */
#include "qfwatch/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/log.h"

/* A line cut short by a crash or a full disk: end it, so that the next one stands by itself. */
static bool mend_last_line(int fd, off_t length)
{
	char last;

	/* If that cannot be written, the write of the next line will tell. */
	return length > 0 && pread(fd, &last, 1, length - 1) == 1 && last != '\n' &&
	       write(fd, "\n", 1) == 1;
}

/* Opens the file of that name, and leaves an older one that is open to the caller. */
static int open_by_name(struct sink *sink)
{
	struct stat stat;
	/* O_RDWR, to see how it ends. O_NONBLOCK: a FIFO put in its place must not hold us. */
	int fd = open(sink->config.path,
		      O_RDWR | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0640);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	sink->length = (uint64_t)stat.st_size + mend_last_line(fd, stat.st_size);
	sink->rotate = sink->config.max_bytes;
	sink->fd = fd;
	return 0;
}

static int file_open(struct sink *sink)
{
	return open_by_name(sink);
}

static ssize_t file_write(struct sink *sink, const char *bytes, size_t length)
{
	ssize_t n = write(sink->fd, bytes, length);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	sink->length += (uint64_t)n;
	return n;
}

static void file_close(struct sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
}

/* ---- rotation ---- */

/* The name of the rotated file with that number. */
static int numbered(char *name, const char *path, unsigned number)
{
	return snprintf(name, PATH_MAX, "%s.%u", path, number) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Renames path.1 ... so that path.1 is free: up to the first number that is, or to the last that is
 * kept, which goes. */
static int make_place(const char *path, unsigned keep)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct stat stat;
	unsigned last = 1;

	/* The longest. */
	if (numbered(to, path, keep) < 0)
		return -ENAMETOOLONG;
	for (; last < keep; last++) {
		numbered(to, path, last);
		if (lstat(to, &stat) < 0 && errno == ENOENT)
			break;
	}
	for (; last > 1; last--) {
		numbered(from, path, last - 1);
		numbered(to, path, last);
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* Is the file that is open the one of that name? An operator's rotation may have renamed it, with
 * SIGHUP still to come. */
static bool has_its_name(const struct sink *sink, const struct stat *open)
{
	struct stat named;

	return stat(sink->config.path, &named) == 0 && named.st_dev == open->st_dev &&
	       named.st_ino == open->st_ino;
}

static bool file_stays(const struct sink *sink)
{
	struct stat stat;

	return fstat(sink->fd, &stat) == 0 && has_its_name(sink, &stat);
}

static int rotate(struct sink *sink, size_t length)
{
	char first[PATH_MAX];
	struct stat stat;
	int old = sink->fd, r;

	if (fstat(old, &stat) < 0)
		return -errno;
	sink->length = (uint64_t)stat.st_size;
	if (sink->length == 0 || sink->length + length <= sink->rotate)
		return 0; /* somebody has made it shorter */
	if (has_its_name(sink, &stat)) {
		r = make_place(sink->config.path, sink->config.keep);
		if (r < 0)
			return r;
		numbered(first, sink->config.path, 1);
		if (rename(sink->config.path, first) < 0)
			return -errno;
	}
	/* If that fails, writing goes on in the old one. */
	r = open_by_name(sink);
	if (r == 0)
		close(old);
	return r;
}

static bool file_fits(struct sink *sink, size_t length)
{
	int r;

	if (!sink->rotate || sink->length + sink->out_length + length <= sink->rotate)
		return true;
	if (sink->out_length)
		return false; /* its lines are for the old file */
	r = rotate(sink, length);
	if (r < 0) {
		log_error("events: cannot rotate %s (%s): it grows on", sink->name, strerror(-r));
		sink->rotate = sink->length + sink->config.max_bytes;
	}
	return true;
}

const struct sink_kind sink_file = {
	.open = file_open,
	.write = file_write,
	.close = file_close,
	.fits = file_fits,
	.stays = file_stays,
};
