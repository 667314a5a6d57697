/* mover_copy.c - a message goes to another file system: mover_copy of mover.h.
 *
 * The order is what makes it safe; INTERNALS.md has the table of states:
 *
 *   1. T: .qfwatch-qf-ID, .qfwatch-df-ID     full copies, verified, on disk, locked
 *   2. T: .qfwatch-got-ID                     the mark that S may be hidden, on disk
 *   3. S: qfID -> .qfwatch-sent-T-ID          the message is invisible; on disk
 *   4. T: .qfwatch-df-ID -> dfID
 *   5. T: .qfwatch-qf-ID -> qfID              the commit: visible in T; on disk
 *   6. S: dfID, .qfwatch-sent-T-ID removed; on disk
 *   7. T: .qfwatch-got-ID removed
 *
 * The mark of step 2 outlives the source, so that after a crash "the copy has been taken over, and
 * perhaps delivered since" can be told from "the copy was never made".
 */
#include "qfwatch/mover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "qfwatch/lock.h"

/* Copied and compared in pieces: between two of them a stop can be obeyed. */
#define PIECE (1024 * 1024)

/* Left free on the target beside the copies: directories and the mark take a little too. */
#define SPARE_BYTES (1024 * 1024)

/* A read or write that is interrupted for ever is an error like any other. */
#define MAX_INTERRUPTS 100

/* How often a name that recovery has to clear first is asked for again, every 5 ms. */
#define RECOVERY_WAITS 200

struct copy {
	const struct qdir *from, *to;
	const char *id;
	size_t length;
	const atomic_bool *cancel;
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX];	     /* plain names */
	char new_qf[SPOOL_NAME_MAX], new_df[SPOOL_NAME_MAX]; /* hidden copies in T */
	char sent[SPOOL_NAME_MAX], got[SPOOL_NAME_MAX];
	int new_qf_fd; /* keeps the lock on the copy of the qf; -1: none */
	int new_df_fd;
	int got_fd;	/* keeps the lock on the mark */
	ino_t df_inode; /* of the df that was copied */
};

static struct mover_result nothing(void)
{
	return (struct mover_result){0};
}

static struct mover_result trouble(enum trouble what)
{
	return (struct mover_result){.trouble = what};
}

static struct mover_result failed(const char *step)
{
	return (struct mover_result){.trouble = TROUBLE_ERROR, .error = errno, .step = step};
}

static bool cancelled(const struct copy *copy)
{
	return atomic_load(copy->cancel);
}

/* ---- one file ---- */

/* Bytes from `from` to `to`: by the kernel where it can, else through a buffer. Returns 0 or
 * -errno. */
static int copy_bytes(int from, int to, off_t size, char *buffer, const struct copy *copy)
{
	bool kernel = true;
	int interrupts = 0;
	off_t done = 0;

	while (done < size) {
		size_t want = size - done < PIECE ? (size_t)(size - done) : PIECE;
		loff_t in = done, out = done;
		ssize_t n;

		if (cancelled(copy))
			return -ECANCELED;
		if (kernel) {
			n = copy_file_range(from, &in, to, &out, want, 0);
			if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
				      errno == EOPNOTSUPP || errno == EPERM)) {
				kernel = false;
				continue;
			}
		} else {
			n = pread(from, buffer, want, done);
			if (n > 0)
				n = pwrite(to, buffer, (size_t)n, done);
		}
		if (n < 0 && errno == EINTR && ++interrupts <= MAX_INTERRUPTS)
			continue;
		if (n < 0)
			return -errno;
		/* Shorter than it was: it is being changed, although it is locked. */
		if (n == 0)
			return -ESTALE;
		done += n;
	}
	return 0;
}

static uint64_t add_to_sum(uint64_t sum, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	return sum;
}

/* 64-bit FNV-1a over the whole file: against a disk or a program that errs, not against an enemy.
 * Returns 0 or -errno. */
static int checksum(int fd, off_t size, char *buffer, const struct copy *copy, uint64_t *ret)
{
	uint64_t sum = 0xcbf29ce484222325u;
	int interrupts = 0;
	off_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, buffer, PIECE, done);

		if (cancelled(copy))
			return -ECANCELED;
		if (n < 0 && errno == EINTR && ++interrupts <= MAX_INTERRUPTS)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		sum = add_to_sum(sum, buffer, (size_t)n);
		done += n;
	}
	*ret = sum;
	return 0;
}

/* Owner, group, mode and times as they were: a runner gives up a qf with others. */
static int copy_attributes(int to, const struct stat *stat)
{
	struct timespec times[2] = {stat->st_atim, stat->st_mtim};
	struct stat now;

	if (fstat(to, &now) < 0)
		return -errno;
	if ((now.st_uid != stat->st_uid || now.st_gid != stat->st_gid) &&
	    fchown(to, stat->st_uid, stat->st_gid) < 0)
		return -errno;
	/* After chown, which clears bits of the mode. */
	if (fchmod(to, stat->st_mode & 07777) < 0 || futimens(to, times) < 0)
		return -errno;
	return 0;
}

static int verify(int from, int to, off_t size, char *buffer, const struct copy *copy)
{
	uint64_t a, b;
	struct stat stat;
	int r = checksum(from, size, buffer, copy, &a);

	if (r == 0)
		r = checksum(to, size, buffer, copy, &b);
	if (r < 0)
		return r;
	return fstat(to, &stat) == 0 && stat.st_size == size && a == b ? 0 : -EIO;
}

/* A new file of that name, locked: recovery, of this process or another, takes a copy that nobody
 * has locked for one that a crash left. So the name comes after the lock, where the file system
 * knows files without a name. Returns the descriptor or -errno; -EEXIST also when recovery was
 * quicker. */
static int create_locked(int folder, const char *name)
{
	struct stat stat;
	char path[64];
	int r, fd = openat(folder, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd >= 0) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		r = lock_take(fd);
		if (r == 0 && linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW) < 0)
			r = -errno;
		if (r == 0)
			return fd;
		close(fd);
		if (r == -EEXIST)
			return r;
	}
	fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = lock_take(fd);
	if (r == 0 && (fstat(fd, &stat) < 0 || lock_verify(folder, name, &stat) < 0))
		r = -EWOULDBLOCK;
	if (r == 0)
		return fd;
	close(fd);
	if (r == -EWOULDBLOCK)
		return -EEXIST; /* it is recovery's now, which removes it */
	unlinkat(folder, name, 0);
	return r;
}

/* A full copy of an open file under a hidden name, locked, verified, on disk. Returns the
 * descriptor or -errno, then nothing of it is left (unless *leftover says so). */
static int copy_file(int from, const struct stat *stat, int folder, const char *name,
		     const struct copy *copy, bool *leftover)
{
	char *buffer;
	int r, to = create_locked(folder, name);

	if (to < 0)
		return to;
	buffer = malloc(PIECE);
	r = buffer ? 0 : -ENOMEM;
	if (r == 0)
		r = copy_bytes(from, to, stat->st_size, buffer, copy);
	if (r == 0)
		r = copy_attributes(to, stat);
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	if (r == 0)
		r = verify(from, to, stat->st_size, buffer, copy);
	free(buffer);
	if (r == 0)
		return to;
	if (unlinkat(folder, name, 0) < 0)
		*leftover = true;
	close(to);
	return r;
}

/* ---- the message ---- */

static bool make_names(struct copy *copy)
{
	const char *id = copy->id;
	size_t length = copy->length;

	return spool_name(copy->qf, "qf", id, length) && spool_name(copy->df, "df", id, length) &&
	       mover_hidden_name(copy->new_qf, MOVER_COPY_QF, 0, id, length) &&
	       mover_hidden_name(copy->new_df, MOVER_COPY_DF, 0, id, length) &&
	       mover_hidden_name(copy->sent, MOVER_SENT, copy->to->inode, id, length) &&
	       mover_hidden_name(copy->got, MOVER_GOT, 0, id, length);
}

/* Is there room for both, and is neither name taken? The commit makes sure of the names; this saves
 * the copying. */
static struct mover_result check_target(const struct copy *copy, off_t bytes)
{
	struct statvfs fs;
	struct stat stat;

	if (fstatat(copy->to->qf, copy->qf, &stat, AT_SYMLINK_NOFOLLOW) == 0)
		return trouble(TROUBLE_TARGET_HAS_QF);
	if (fstatat(copy->to->df, copy->df, &stat, AT_SYMLINK_NOFOLLOW) == 0)
		return trouble(TROUBLE_TARGET_HAS_DF);
	if (fstatvfs(copy->to->df, &fs) < 0)
		return failed("statvfs of the target tier");
	if ((unsigned long long)fs.f_bavail * fs.f_frsize <
	    (unsigned long long)bytes + SPARE_BYTES) {
		errno = ENOSPC;
		return failed("room for the copy in the target tier");
	}
	return nothing();
}

/* A copy of that name may be what a crash left; then recovery, in the loop or in another process,
 * is about to clear it. Returns false when that has taken too long. */
static bool wait_for_recovery(const struct copy *copy, int *waits)
{
	const struct timespec wait = {.tv_nsec = 5000000};

	if (++*waits > RECOVERY_WAITS || cancelled(copy))
		return false;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &wait, NULL);
	return true;
}

static struct mover_result copy_one(struct copy *copy, int from, const struct stat *stat,
				    int folder, const char *name, int *ret, const char *step)
{
	struct mover_result result = nothing();
	int fd, waits = 0;

	do
		fd = copy_file(from, stat, folder, name, copy, &result.leftover);
	while (fd == -EEXIST && wait_for_recovery(copy, &waits));
	if (fd >= 0) {
		*ret = fd;
		return result;
	}
	/* What recovery has not cleared yet, or another process works at. */
	if (fd == -EEXIST || fd == -EWOULDBLOCK)
		result.trouble = TROUBLE_CHANGED;
	else
		result.trouble = TROUBLE_ERROR;
	result.error = -fd;
	result.step = step;
	return result;
}

/* Step 1. */
static struct mover_result make_copies(struct copy *copy, int qf)
{
	struct stat qf_stat, df_stat;
	struct mover_result result;
	int error;
	int df;
	enum trouble look =
		mover_look_at_body(copy->from, copy->id, copy->length, &df_stat, &error);

	if (look) {
		errno = error;
		return look == TROUBLE_ERROR ? failed("stat df") : trouble(look);
	}
	if (fstat(qf, &qf_stat) < 0)
		return failed("stat qf");
	result = check_target(copy, qf_stat.st_size + df_stat.st_size);
	if (result.trouble)
		return result;
	df = openat(copy->from->df, copy->df,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (df < 0)
		return failed("open df");
	/* What is open now is what counts: it may have been swapped since it was looked at. */
	if (fstat(df, &df_stat) < 0 || !S_ISREG(df_stat.st_mode) || df_stat.st_nlink != 1) {
		close(df);
		return trouble(TROUBLE_BODY_UNSAFE);
	}
	copy->df_inode = df_stat.st_ino;
	/* The qf first and, when it is taken back, last: recovery finds the copy of a df by that of
	 * its qf, and need not look into df folders. */
	result = copy_one(copy, qf, &qf_stat, copy->to->qf, copy->new_qf, &copy->new_qf_fd,
			  "copy qf to the target tier");
	if (!result.trouble)
		result = copy_one(copy, df, &df_stat, copy->to->df, copy->new_df, &copy->new_df_fd,
				  "copy df to the target tier");
	close(df);
	return result;
}

/* Step 2. The mark says which directory the source is in, so that recovery does not take it for
 * finished while that one is away. */
static int make_mark(struct copy *copy)
{
	int r, fd = create_locked(copy->to->qf, copy->got);

	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	copy->got_fd = fd;
	r = dprintf(fd, MOVER_MARK "\n", (unsigned long long)copy->from->inode) < 0 ? -1
										    : fsync(fd);
	if (r < 0 || (copy->to->df != copy->to->qf && fsync(copy->to->df) < 0))
		return -1;
	return fsync(copy->to->qf);
}

/* Is the file of that name the one of that inode? Names may have been given to other files while we
 * copied. */
static bool is_file(int folder, const char *name, ino_t inode)
{
	struct stat stat;

	return fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && stat.st_ino == inode;
}

/* Before step 3, and after it was taken back: nothing of the copy stays. The mark goes last,
 * because it is what recovery goes by. */
static void take_back(const struct copy *copy, struct mover_result *result)
{
	bool clean = true;

	if (copy->new_df_fd >= 0)
		clean = mover_remove(copy->to->df, copy->new_df);
	if (copy->new_qf_fd >= 0)
		clean = clean && mover_remove(copy->to->qf, copy->new_qf) &&
			mover_remove(copy->to->qf, copy->got);
	result->leftover |= !clean;
}

/* Steps 4 and 5. */
static struct mover_result take_over(const struct copy *copy)
{
	struct mover_result result = nothing();

	if (renameat2(copy->to->df, copy->new_df, copy->to->df, copy->df, RENAME_NOREPLACE) < 0) {
		result = errno == EEXIST ? trouble(TROUBLE_TARGET_HAS_DF)
					 : failed("rename the copy of df");
		return result;
	}
	if (renameat2(copy->to->qf, copy->new_qf, copy->to->qf, copy->qf, RENAME_NOREPLACE) == 0)
		return result;
	result = errno == EEXIST ? trouble(TROUBLE_TARGET_HAS_QF) : failed("rename the copy of qf");
	/* The df that we have just put there is ours: nobody can have known of it. */
	if (renameat2(copy->to->df, copy->df, copy->to->df, copy->new_df, RENAME_NOREPLACE) < 0)
		result.leftover = true;
	return result;
}

/* Removes a name that still means that file. False when it may be there still: recovery is due. */
static bool remove_file(int folder, const char *name, ino_t inode)
{
	struct stat stat;

	if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT;
	return stat.st_ino != inode || mover_remove(folder, name);
}

/* Steps 6 and 7: the message stands in the target, whatever happens here. */
static void clear_source(const struct copy *copy, struct mover_result *result)
{
	char xf[SPOOL_NAME_MAX];

	/* The commit must be on disk before the only other copy goes. */
	if ((copy->to->df != copy->to->qf && fsync(copy->to->df) < 0) || fsync(copy->to->qf) < 0 ||
	    !remove_file(copy->from->df, copy->df, copy->df_inode) ||
	    !mover_remove(copy->from->qf, copy->sent) || fsync(copy->from->qf) < 0 ||
	    !mover_remove(copy->to->qf, copy->got))
		result->leftover = true;
	if (spool_name(xf, "xf", copy->id, copy->length))
		unlinkat(copy->from->xf, xf, 0);
}

static struct mover_result run(struct copy *copy, int qf)
{
	struct mover_result result = make_copies(copy, qf);
	struct stat stat;

	if (!result.trouble && make_mark(copy) < 0)
		result = failed("mark the copy in the target tier");
	if (!result.trouble && cancelled(copy)) {
		errno = ECANCELED;
		result = failed("stopped");
	}
	/* Step 3. */
	if (!result.trouble &&
	    renameat2(copy->from->qf, copy->qf, copy->from->qf, copy->sent, RENAME_NOREPLACE) < 0)
		result = errno == ENOENT ? trouble(TROUBLE_CHANGED)
					 : failed("rename qf to a hidden name");
	if (result.trouble) {
		take_back(copy, &result);
		return result;
	}
	/* The name may have been given to another file while we copied: that one comes back. */
	if (fstat(qf, &stat) < 0 || !is_file(copy->from->qf, copy->sent, stat.st_ino))
		result = trouble(TROUBLE_CHANGED);
	else if (fsync(copy->from->qf) < 0)
		result = failed("fsync of the source tier");
	if (!result.trouble)
		result = take_over(copy);
	if (!result.trouble) {
		clear_source(copy, &result);
		return result;
	}
	/* Back in sight where it was, and only then does the copy go. */
	if (renameat2(copy->from->qf, copy->sent, copy->from->qf, copy->qf, RENAME_NOREPLACE) < 0)
		result.leftover = true;
	else if (!result.leftover)
		take_back(copy, &result);
	return result;
}

struct mover_result mover_copy(const struct qdir *from, const struct qdir *to, const char *id,
			       size_t length, int qf, const atomic_bool *cancel)
{
	struct copy copy = {.from = from,
			    .to = to,
			    .id = id,
			    .length = length,
			    .cancel = cancel,
			    .new_qf_fd = -1,
			    .new_df_fd = -1,
			    .got_fd = -1};
	struct mover_result result;

	if (!make_names(&copy))
		return trouble(TROUBLE_NAME_TOO_LONG);
	result = run(&copy, qf);
	/* Closing gives the copies free: not before all is done. */
	if (copy.new_qf_fd >= 0)
		close(copy.new_qf_fd);
	if (copy.new_df_fd >= 0)
		close(copy.new_df_fd);
	if (copy.got_fd >= 0)
		close(copy.got_fd);
	return result;
}
