/* lock.c - see lock.h */
#include "qfwatch/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>

int lock_take(int fd)
{
	struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
		int error = errno;

		flock(fd, LOCK_UN);
		return error == EACCES ? -EWOULDBLOCK : -error;
	}
	return 0;
}

void lock_release(int fd)
{
	struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	fcntl(fd, F_OFD_SETLK, &whole);
	flock(fd, LOCK_UN);
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_nlink == b->st_nlink &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int lock_verify(int directory, const char *name, const struct stat *before)
{
	struct stat named;

	/* What the name says is said of the open file, if it is the same one: as long as that is
	 * open, no other has its inode. */
	if (fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return same(&named, before) ? 0 : -ESTALE;
}
