/* mover.c - see mover.h */
#include "qfwatch/mover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct mover_result trouble(enum trouble what)
{
	return (struct mover_result){.trouble = what};
}

static struct mover_result failed(int error, const char *step)
{
	/* The name went away under a held lock: somebody removed the qf by hand. Nothing is left to
	 * do. */
	if (error == ENOENT)
		return trouble(TROUBLE_CHANGED);
	return (struct mover_result){.trouble = TROUBLE_ERROR, .error = error, .step = step};
}

enum trouble mover_look_at_body(const struct qdir *dir, const char *id, size_t length,
				struct stat *ret, int *ret_error)
{
	char df[SPOOL_NAME_MAX];

	if (!spool_name(df, "df", id, length))
		return TROUBLE_NAME_TOO_LONG;
	if (fstatat(dir->df, df, ret, AT_SYMLINK_NOFOLLOW) < 0) {
		*ret_error = errno;
		return errno == ENOENT ? TROUBLE_BODY_MISSING : TROUBLE_ERROR;
	}
	if (!S_ISREG(ret->st_mode))
		return TROUBLE_BODY_UNSAFE;
	return ret->st_nlink == 1 ? TROUBLE_NONE : TROUBLE_BODY_LINKS;
}

/* linkat says ENOENT for a name that is missing as well as for a target directory that was removed.
 */
static enum trouble what_is_missing(const struct qdir *from, const char *df)
{
	struct stat stat;

	return fstatat(from->df, df, &stat, AT_SYMLINK_NOFOLLOW) == 0 ? TROUBLE_TARGET_LOST
								      : TROUBLE_BODY_MISSING;
}

/* linkat says EPERM for a directory, and where it may not be done (fs.protected_hardlinks). */
static bool is_regular(int folder, const char *df)
{
	struct stat stat;

	return fstatat(folder, df, &stat, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(stat.st_mode);
}

static struct mover_result link_body(const struct qdir *from, const struct qdir *to, const char *df)
{
	int error;

	if (linkat(from->df, df, to->df, df, 0) == 0)
		return trouble(TROUBLE_NONE);
	error = errno;
	switch (error) {
	case ENOENT:
		return trouble(what_is_missing(from, df));
	case EEXIST:
		return trouble(TROUBLE_TARGET_HAS_DF);
	case EXDEV: /* one file system, but two mounts of it: we compared the devices before */
		return trouble(TROUBLE_OTHER_FILE_SYSTEM);
	case EPERM:
	case EOPNOTSUPP:
		if (!is_regular(from->df, df))
			return trouble(TROUBLE_BODY_UNSAFE);
		return (struct mover_result){TROUBLE_LINK_REFUSED, error,
					     "link df into the target tier", false};
	default:
		return failed(error, "link df into the target tier");
	}
}

/* What we linked is what we think: a regular file that has no names but the two. link(2) does not
 * follow a symbolic link but gives it a second name, so this is looked at afterwards, on a name
 * that only we know of. */
static enum trouble check_linked(const struct qdir *to, const char *df)
{
	struct stat stat;

	if (fstatat(to->df, df, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return TROUBLE_CHANGED;
	if (!S_ISREG(stat.st_mode))
		return TROUBLE_BODY_UNSAFE;
	return stat.st_nlink == 2 ? TROUBLE_NONE : TROUBLE_BODY_LINKS;
}

static struct mover_result rename_control(const struct qdir *from, const struct qdir *to,
					  const char *qf)
{
	if (renameat2(from->qf, qf, to->qf, qf, RENAME_NOREPLACE) == 0)
		return trouble(TROUBLE_NONE);
	switch (errno) {
	case EEXIST:
		return trouble(TROUBLE_TARGET_HAS_QF);
	case EXDEV:
		return trouble(TROUBLE_OTHER_FILE_SYSTEM);
	case EINVAL:
		return trouble(TROUBLE_NO_ATOMIC_RENAME);
	default:
		return failed(errno, "rename qf into the target tier");
	}
}

struct mover_result mover_move(const struct qdir *from, const struct qdir *to, const char *id,
			       size_t length)
{
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX];
	struct mover_result result;

	if (!spool_name(qf, "qf", id, length) || !spool_name(df, "df", id, length))
		return trouble(TROUBLE_NAME_TOO_LONG);
	if (from->qf_device != to->qf_device || from->df_device != to->df_device)
		return trouble(TROUBLE_OTHER_FILE_SYSTEM);

	/* 1. The body gets a second name, in the target. Runners ignore a df without a qf. */
	result = link_body(from, to, df);
	if (result.trouble)
		return result;
	result = trouble(check_linked(to, df));

	/* 2. The commit: from here on the message stands in the target. Its lock moves with it, so
	 * that a runner there leaves it alone until we are done. */
	if (!result.trouble)
		result = rename_control(from, to, qf);
	if (result.trouble) {
		/* Undo 1: the link is ours, the target had no such name before. */
		result.leftover = unlinkat(to->df, df, 0) < 0;
		return result;
	}

	/* 3. The body's old name. If that fails the message is whole all the same. */
	result.leftover = unlinkat(from->df, df, 0) < 0 && errno != ENOENT;
	return result;
}

struct mover_result mover_delete(const struct qdir *from, const char *id, size_t length)
{
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX], hidden[SPOOL_NAME_MAX];
	struct stat body;
	int error;
	enum trouble look = mover_look_at_body(from, id, length, &body, &error);
	struct mover_result result = {0};

	if (look == TROUBLE_ERROR)
		return failed(error, "stat df");
	if (look)
		return trouble(look);
	if (!spool_name(qf, "qf", id, length) || !spool_name(df, "df", id, length) ||
	    !spool_name(hidden, MOVER_DELETING, id, length))
		return trouble(TROUBLE_NAME_TOO_LONG);
	if (renameat2(from->qf, qf, from->qf, hidden, RENAME_NOREPLACE) < 0)
		return errno == EINVAL ? trouble(TROUBLE_NO_ATOMIC_RENAME)
				       : failed(errno, "rename qf to a hidden name");
	/* Gone for every runner. What cannot be removed now, recovery removes by the hidden name,
	 * which goes last. */
	if ((unlinkat(from->df, df, 0) < 0 && errno != ENOENT) || unlinkat(from->qf, hidden, 0) < 0)
		result.leftover = true;
	return result;
}
