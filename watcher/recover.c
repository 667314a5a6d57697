/* recover.c - see recover.h */
#include "qfwatch/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/lock.h"
#include "qfwatch/mover.h"

/* Does a file of that kind stand there? "Cannot tell" counts as yes. */
static bool stands(int folder, const char *prefix, const char *id, size_t length)
{
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	if (!spool_name(name, prefix, id, length))
		return false;
	return fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* Every kind of control file that could claim the df as its body. */
static bool has_control(const struct qdir *dir, const char *id, size_t length)
{
	return stands(dir->qf, "qf", id, length) || stands(dir->qf, "tf", id, length) ||
	       stands(dir->qf, "hf", id, length) || stands(dir->qf, "Qf", id, length);
}

const struct qdir *recover_second_link(const struct spool *spool, const struct qdir *home,
				       const char *id, size_t length, const struct stat *body,
				       int *ret_error)
{
	char df[SPOOL_NAME_MAX];

	*ret_error = 0;
	if (!spool_name(df, "df", id, length))
		return NULL;
	for (size_t i = 0; i < spool->n_dirs; i++) {
		const struct qdir *dir = &spool->dirs[i];
		struct stat other;

		if (dir == home || dir->fd < 0 || dir->df == home->df)
			continue;
		if (fstatat(dir->df, df, &other, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (other.st_dev != body->st_dev || other.st_ino != body->st_ino ||
		    has_control(dir, id, length))
			continue;
		if (unlinkat(dir->df, df, 0) < 0)
			*ret_error = errno;
		return dir;
	}
	return NULL;
}

/* Was the df there before the qf took its hidden name? Renaming sets the time of change of the qf,
 * so a df of a later message with the same id is younger. */
static bool belongs(const struct qdir *dir, const char *df, const struct stat *hidden)
{
	struct stat body;

	if (fstatat(dir->df, df, &body, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	return body.st_ctim.tv_sec < hidden->st_ctim.tv_sec ||
	       (body.st_ctim.tv_sec == hidden->st_ctim.tv_sec &&
		body.st_ctim.tv_nsec <= hidden->st_ctim.tv_nsec);
}

int recover_hidden(const struct qdir *dir, const char *name, const char **ret_id)
{
	const char *id = name + strlen(MOVER_DELETING);
	char df[SPOOL_NAME_MAX];
	struct stat stat;
	int fd, r;

	if (strncmp(name, MOVER_DELETING, strlen(MOVER_DELETING)) != 0 || !*id ||
	    !spool_name(df, "df", id, strlen(id)))
		return 0;
	fd = openat(dir->qf, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : -errno;
	/* Its lock is still held if the deletion is not interrupted but under way. */
	r = fstat(fd, &stat) < 0 ? -errno : lock_take(fd);
	if (r == 0)
		r = lock_verify(fd, dir->qf, name, &stat);
	if (r == 0 && S_ISREG(stat.st_mode)) {
		/* Should the id live again, the df is the new message's. */
		if (!has_control(dir, id, strlen(id)) && belongs(dir, df, &stat) &&
		    unlinkat(dir->df, df, 0) < 0 && errno != ENOENT)
			r = -errno;
		else
			r = unlinkat(dir->qf, name, 0) < 0 ? -errno : 1;
	}
	close(fd);
	*ret_id = id;
	return r == -EWOULDBLOCK || r == -ESTALE ? 0 : r;
}
