/* control.c - see control.h */
#include "qfwatch/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static enum trouble judge_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return TROUBLE_NONE;
	case S_IFLNK:
		return TROUBLE_SYMLINK;
	case S_IFDIR:
		return TROUBLE_DIRECTORY;
	case S_IFIFO:
		return TROUBLE_FIFO;
	case S_IFSOCK:
		return TROUBLE_SOCKET;
	default:
		return TROUBLE_DEVICE;
	}
}

static enum trouble refuse(struct control *control, int error)
{
	control->error = error;
	if (error == ENOENT)
		return TROUBLE_GONE;
	return error == EACCES || error == EPERM ? TROUBLE_UNREADABLE : TROUBLE_ERROR;
}

#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

int control_stat(int fd, struct stat *ret)
{
#ifdef __x86_64__
	return (int)syscall(SYS_fstat, fd, ret);
#else
	return fstat(fd, ret);
#endif
}

static int open_noatime(int directory, const char *name, int *noatime)
{
	int fd = openat(directory, name, OPEN_FLAGS | *noatime);

	if (fd >= 0 || errno != EPERM || !*noatime)
		return fd;
	*noatime = 0;
	return openat(directory, name, OPEN_FLAGS);
}

/* Looks before it opens, because opening a device can have effects of its own, and again after,
 * because the name may have been given to something else in between. */
static enum trouble open_file(int directory, const char *name, int *noatime,
			      struct control *control)
{
	struct stat stat;
	enum trouble trouble;

	if (fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return refuse(control, errno);
	trouble = judge_type(stat.st_mode);
	if (trouble)
		return trouble;
	control->fd = open_noatime(directory, name, noatime);
	if (control->fd < 0)
		return errno == ELOOP || errno == ENXIO ? TROUBLE_CHANGED : refuse(control, errno);
	if (control_stat(control->fd, &control->stat) < 0)
		return refuse(control, errno);
	trouble = judge_type(control->stat.st_mode);
	if (trouble)
		return trouble;
	/* 0 links: replaced by sendmail between our two steps, as it does with every attempt. */
	if (control->stat.st_nlink == 0)
		return TROUBLE_CHANGED;
	if (control->stat.st_nlink > 1)
		return TROUBLE_LINKS;
	if (control->stat.st_size > QFILE_MAX_BYTES)
		return TROUBLE_LARGE;
	return TROUBLE_NONE;
}

static enum trouble read_file(struct control *control, char *buffer)
{
	struct qfile_reader reader;
	off_t offset = 0;
	int interrupts = 0;

	qfile_begin(&reader);
	while (offset <= QFILE_MAX_BYTES) {
		/* The start of the file stays in the buffer: events name its recipients' domains.
		 * What follows is read over the second half. */
		size_t keep = offset ? CONTROL_BUFFER / 2 : 0;
		ssize_t n = pread(control->fd, buffer + keep, CONTROL_BUFFER - keep, offset);

		if (n < 0 && errno == EINTR && ++interrupts <= 100)
			continue;
		if (n < 0)
			return refuse(control, errno);
		if (n == 0)
			break;
		qfile_feed(&reader, buffer + keep, (size_t)n);
		control->head = offset ? CONTROL_BUFFER / 2 : (size_t)n;
		offset += n;
		/* A short read of a file that has its known size by now is its end: saves a call
		 * for nearly every qf. */
		if ((size_t)n < CONTROL_BUFFER - keep && offset >= control->stat.st_size)
			break;
	}
	/* Whole lines only: half an address would be taken for one of another domain. */
	while ((off_t)control->head < offset && control->head && buffer[control->head - 1] != '\n')
		control->head--;
	if (offset > QFILE_MAX_BYTES)
		return TROUBLE_LARGE;
	return trouble_of_verdict(qfile_end(&reader, &control->file));
}

enum trouble control_read(int directory, const char *name, char *buffer, int *noatime,
			  struct control *ret)
{
	enum trouble trouble;

	*ret = (struct control){.fd = -1};
	trouble = open_file(directory, name, noatime, ret);
	if (trouble == TROUBLE_NONE)
		trouble = read_file(ret, buffer);
	return trouble;
}

bool control_read_plain(int directory, const char *name, char *buffer, size_t size, int *noatime,
			struct control *ret)
{
	struct qfile_reader reader;
	ssize_t n;

	*ret = (struct control){.fd = open_noatime(directory, name, noatime)};
	if (ret->fd < 0)
		return false;
	if (control_stat(ret->fd, &ret->stat) < 0 || !S_ISREG(ret->stat.st_mode) ||
	    ret->stat.st_nlink != 1 || ret->stat.st_size >= (off_t)size)
		goto no;
	/* One byte more than there should be: it has grown when that comes, too. */
	n = pread(ret->fd, buffer, (size_t)ret->stat.st_size + 1, 0);
	if (n != ret->stat.st_size)
		goto no;
	ret->head = (size_t)n;
	qfile_begin(&reader);
	qfile_feed(&reader, buffer, ret->head);
	if (qfile_end(&reader, &ret->file) == QFILE_OK)
		return true;
no:
	control_close(ret);
	return false;
}

/* Reads up to `size` bytes from the start; less only at the file's end. */
static ssize_t read_again(int fd, char *bytes, size_t size)
{
	size_t used = 0;
	int interrupts = 0;

	while (used < size) {
		ssize_t n = pread(fd, bytes + used, size - used, (off_t)used);

		if (n < 0 && errno == EINTR && ++interrupts <= 100)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

int control_text(const struct control *control, const char *buffer, char **ret_owned,
		 const char **ret_bytes, size_t *ret_length)
{
	size_t size = (size_t)control->stat.st_size;
	char *bytes;
	ssize_t n;

	if (control->head == size) {
		*ret_owned = NULL;
		*ret_bytes = buffer;
		*ret_length = size;
		return 0;
	}
	if (size > QFILE_MAX_BYTES)
		return -EFBIG;
	/* One byte more than there should be: it has grown when that comes, too. */
	bytes = malloc(size + 1);
	if (!bytes)
		return -ENOMEM;
	n = read_again(control->fd, bytes, size + 1);
	if (n < 0 || (size_t)n != size) {
		free(bytes);
		return n < 0 ? (int)n : -ESTALE;
	}
	*ret_owned = bytes;
	*ret_bytes = bytes;
	*ret_length = size;
	return 0;
}

void control_close(struct control *control)
{
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
}

uint64_t control_print(const struct stat *stat)
{
	uint64_t h = (uint64_t)stat->st_ino * 0x9e3779b97f4a7c15u;

	h = (h ^ (h >> 29) ^ (uint64_t)stat->st_size) * 0xbf58476d1ce4e5b9u;
	h = (h ^ (h >> 32) ^ (uint64_t)stat->st_mtim.tv_sec) * 0x94d049bb133111ebu;
	h = (h ^ (h >> 29) ^ (uint64_t)stat->st_mtim.tv_nsec) * 0x9e3779b97f4a7c15u;
	h = (h ^ (h >> 32)) & ((UINT64_C(1) << CONTROL_PRINT_BITS) - 1);
	return h ? h : 1;
}

int64_t control_modified(const struct stat *stat)
{
	return stat->st_mtim.tv_sec * INT64_C(1000000) + stat->st_mtim.tv_nsec / 1000;
}
