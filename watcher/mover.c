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

bool mover_remove(int folder, const char *name)
{
	return unlinkat(folder, name, 0) == 0 || errno == ENOENT;
}

bool mover_hidden_name(char *name, const char *prefix, ino_t inode, const char *id, size_t length)
{
	int n = inode ? snprintf(name, SPOOL_NAME_MAX, "%s%llx-%.*s", prefix,
				 (unsigned long long)inode, (int)length, id)
		      : snprintf(name, SPOOL_NAME_MAX, "%s%.*s", prefix, (int)length, id);

	return n < SPOOL_NAME_MAX;
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

static struct mover_result rename_file(int from, const char *name, int to, const char *new_name,
				       const char *step)
{
	if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0)
		return trouble(TROUBLE_NONE);
	switch (errno) {
	case EEXIST:
		return trouble(TROUBLE_TARGET_HAS_QF);
	case EXDEV:
		return trouble(TROUBLE_OTHER_FILE_SYSTEM);
	case EINVAL:
		return trouble(TROUBLE_NO_ATOMIC_RENAME);
	default:
		return failed(errno, step);
	}
}

/* A transcript that a runner left behind when it died: we hold the lock, so nobody writes it, and
 * sendmail starts a new one at the next attempt. */
static void drop_transcript(const struct qdir *dir, const char *id, size_t length)
{
	char xf[SPOOL_NAME_MAX];

	if (spool_name(xf, "xf", id, length))
		unlinkat(dir->xf, xf, 0);
}

/* Where hard links are refused (fs.protected_hardlinks, or a file system without them), df and qf
 * can only be renamed one after the other. So that no runner sees the one without the other, the qf
 * goes by a hidden name: the message is invisible for a moment rather than visible twice or in
 * part. */
static struct mover_result move_hidden(const struct qdir *from, const struct qdir *to,
				       const char *qf, const char *df, const char *id,
				       size_t length)
{
	char hidden[SPOOL_NAME_MAX];
	struct mover_result result = {0};
	struct stat body, there;
	int error;
	enum trouble look = mover_look_at_body(from, id, length, &body, &error);

	if (look)
		return look == TROUBLE_ERROR ? failed(error, "stat df") : trouble(look);
	if (!mover_hidden_name(hidden, MOVER_MOVING, body.st_ino, id, length))
		return trouble(TROUBLE_NAME_TOO_LONG);
	/* The renames make sure; this saves the message from being out of sight for nothing. */
	if (fstatat(to->df, df, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return trouble(TROUBLE_TARGET_HAS_DF);
	if (fstatat(to->qf, qf, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return trouble(TROUBLE_TARGET_HAS_QF);

	/* 1. Out of sight. */
	result = rename_file(from->qf, qf, from->qf, hidden, "rename qf to a hidden name");
	if (result.trouble)
		return result;
	/* 2. The body. */
	result = rename_file(from->df, df, to->df, df, "rename df into the target tier");
	if (result.trouble == TROUBLE_TARGET_HAS_QF)
		result.trouble = TROUBLE_TARGET_HAS_DF;
	/* 3. The commit: in sight again, in the target. */
	if (!result.trouble) {
		result =
			rename_file(from->qf, hidden, to->qf, qf, "rename qf into the target tier");
		if (!result.trouble)
			return result;
		if (renameat2(to->df, df, from->df, df, RENAME_NOREPLACE) < 0) {
			/* The body stays there: recovery finds it by the inode in the hidden name.
			 */
			result.leftover = true;
			return result;
		}
	}
	if (renameat2(from->qf, hidden, from->qf, qf, RENAME_NOREPLACE) < 0)
		result.leftover = true;
	return result;
}

static struct mover_result move_linked(const struct qdir *from, const struct qdir *to,
				       const char *qf, const char *df)
{
	/* 1. The body gets a second name, in the target. Runners ignore a df without a qf. */
	struct mover_result result = link_body(from, to, df);

	if (result.trouble)
		return result;
	result = trouble(check_linked(to, df));

	/* 2. The commit: from here on the message stands in the target. Its lock moves with it, so
	 * that a runner there leaves it alone until we are done. */
	if (!result.trouble)
		result = rename_file(from->qf, qf, to->qf, qf, "rename qf into the target tier");
	if (result.trouble) {
		/* Undo 1: the link is ours, the target had no such name before. */
		result.leftover = unlinkat(to->df, df, 0) < 0;
		return result;
	}

	/* 3. The body's old name. If that fails the message is whole all the same. */
	result.leftover = !mover_remove(from->df, df);
	return result;
}

static struct mover_result move(const struct qdir *from, const struct qdir *to, const char *prefix,
				const char *id, size_t length, bool transcript)
{
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX];
	struct mover_result result;

	if (!spool_name(qf, prefix, id, length) || !spool_name(df, "df", id, length))
		return trouble(TROUBLE_NAME_TOO_LONG);
	if (from->qf_device != to->qf_device || from->df_device != to->df_device)
		return trouble(TROUBLE_OTHER_FILE_SYSTEM);
	/* A crash between link and rename leaves a df in the target. Should the message be
	 * delivered from the source before anybody looks, only this tells whose it was. */
	claim_begin(&to->claim, from->inode, id, length);
	result = move_linked(from, to, qf, df);
	if (!result.leftover)
		claim_end(&to->claim);
	if (result.trouble == TROUBLE_LINK_REFUSED && *prefix == 'q')
		result = move_hidden(from, to, qf, df, id, length);
	if (!result.trouble && transcript)
		drop_transcript(from, id, length);
	return result;
}

struct mover_result mover_move(const struct qdir *from, const struct qdir *to, const char *id,
			       size_t length, bool transcript)
{
	return move(from, to, "qf", id, length, transcript);
}

struct mover_result mover_move_held(const struct qdir *from, const struct qdir *to, const char *id,
				    size_t length, bool transcript)
{
	struct mover_result result = move(from, to, "hf", id, length, transcript);

	if (result.trouble == TROUBLE_LINK_REFUSED || result.trouble == TROUBLE_OTHER_FILE_SYSTEM)
		result.trouble = TROUBLE_QUARANTINED;
	return result;
}

static struct mover_result delete (const struct qdir *from, const char *prefix, const char *id,
				   size_t length)
{
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX], hidden[SPOOL_NAME_MAX];
	struct stat body;
	int error;
	enum trouble look = mover_look_at_body(from, id, length, &body, &error);
	struct mover_result result;

	if (look == TROUBLE_ERROR)
		return failed(error, "stat df");
	if (look)
		return trouble(look);
	if (!spool_name(qf, prefix, id, length) || !spool_name(df, "df", id, length) ||
	    !mover_hidden_name(hidden, MOVER_DELETING, 0, id, length))
		return trouble(TROUBLE_NAME_TOO_LONG);
	result = rename_file(from->qf, qf, from->qf, hidden, "rename qf to a hidden name");
	if (result.trouble)
		return result;
	/* Gone for every runner. What cannot be removed now, recovery removes by the hidden name,
	 * which goes last. */
	if (!mover_remove(from->df, df) || unlinkat(from->qf, hidden, 0) < 0)
		result.leftover = true;
	drop_transcript(from, id, length);
	return result;
}

struct mover_result mover_delete(const struct qdir *from, const char *id, size_t length)
{
	return delete (from, "qf", id, length);
}

struct mover_result mover_delete_held(const struct qdir *from, const char *id, size_t length)
{
	return delete (from, "hf", id, length);
}
