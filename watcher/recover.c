/* recover.c - see recover.h */
#include "qfwatch/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
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

/* ---- a move that was cut off, whose message has gone since ---- */

/* A df without a control file, not touched since before the move began: link and unlink set its
 * time of change. */
static bool is_orphan(const struct qdir *dir, const char *df, const struct claim_intent *intent)
{
	struct stat body;

	return !has_control(dir, intent->id, intent->length) &&
	       fstatat(dir->df, df, &body, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(body.st_mode) &&
	       /* The clock behind the time of change lags by a tick. */
	       body.st_ctim.tv_sec * INT64_C(1000000) + body.st_ctim.tv_nsec / 1000 + 20000 >=
		       intent->time;
}

bool recover_intent(const struct spool *spool, const struct qdir *dir, struct recovery *ret)
{
	const struct claim_intent *intent = &dir->claim.left;
	const struct qdir *from = NULL;
	char df[SPOOL_NAME_MAX];

	*ret = (struct recovery){.id = intent->id, .id_length = intent->length};
	if (!intent->length || !spool_name(df, "df", intent->id, intent->length))
		return true;
	for (size_t i = 0; i < spool->n_dirs; i++)
		if (spool->dirs[i].fd >= 0 && &spool->dirs[i] != dir &&
		    spool->dirs[i].inode == intent->from)
			from = &spool->dirs[i];
	/* With the source away nobody knows whether the message stands there. */
	if (!from)
		return false;
	if (is_orphan(dir, df, intent)) {
		ret->found =
			"a df that an interrupted move linked, and whose message is elsewhere or "
			"gone";
		if (unlinkat(dir->df, df, 0) == 0)
			ret->done = "removed it";
		else
			ret->error = errno;
	}
	/* The other end: moved, delivered from the target, and the old name of its df not removed.
	 */
	if (!ret->error && is_orphan(from, df, intent)) {
		ret->found = "the df of an interrupted move, whose message has gone since";
		if (unlinkat(from->df, df, 0) == 0)
			ret->done = "removed it";
		else
			ret->error = errno;
	}
	/* Only now: this start may be killed as well. */
	if (!ret->error)
		claim_end(&dir->claim);
	return true;
}

/* ---- hidden names ---- */

/* One hidden name that is being looked at. */
struct job {
	const struct spool *spool;
	const struct qdir *dir; /* where it was found */
	const char *name;
	char id[SPOOL_NAME_MAX];
	size_t length;
	ino_t inode; /* from the name, where it holds one */
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX];
	struct recovery *ret;
};

static void done(struct job *job, const char *what)
{
	job->ret->done = what;
	job->ret->error = 0;
}

static void not_done(struct job *job)
{
	job->ret->done = NULL;
	job->ret->error = errno;
}

static bool exists(int folder, const char *name)
{
	struct stat stat;

	return fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static bool rename_back(int folder, const char *hidden, const char *name)
{
	return renameat2(folder, hidden, folder, name, RENAME_NOREPLACE) == 0;
}

/* Opens and locks a file that may be somebody's at work. Returns the descriptor, or -1 when it is
 * locked, has changed, or is no regular file. */
static int hold(int folder, const char *name, struct stat *ret)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && lock_take(fd) == 0 &&
	    lock_verify(folder, name, ret) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- a transcript ---- */

bool recover_transcript(const struct qdir *dir, const struct qdir *home, const char *control,
			const char *id, size_t length)
{
	char xf[SPOOL_NAME_MAX];
	struct stat stat;
	bool gone;
	/* Nobody writes an xf but who holds the message. */
	int fd = spool_name(xf, "xf", id, length) ? hold(home->qf, control, &stat) : -1;

	if (fd < 0)
		return false;
	gone = !has_control(dir, id, length) && mover_remove(dir->xf, xf);
	close(fd);
	return gone;
}

/* ---- .qfwatch-delete-ID ---- */

static void finish_deletion(struct job *job)
{
	struct stat stat;
	int fd = hold(job->dir->qf, job->name, &stat);

	if (fd < 0)
		return;
	job->ret->found = "an interrupted deletion";
	/* Should the id live again, the df is the new message's. */
	if (!has_control(job->dir, job->id, job->length) && belongs(job->dir, job->df, &stat) &&
	    !mover_remove(job->dir->df, job->df))
		not_done(job);
	else if (!mover_remove(job->dir->qf, job->name))
		not_done(job);
	else
		done(job, "finished it");
	close(fd);
}

/* ---- .qfwatch-move-INODE-ID ---- */

static bool has_body(const struct job *job, const struct qdir *dir, dev_t device)
{
	struct stat body;

	return dir->fd >= 0 && fstatat(dir->df, job->df, &body, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(body.st_mode) && body.st_dev == device && body.st_ino == job->inode;
}

static void settle_move(struct job *job)
{
	struct stat stat;
	int fd = hold(job->dir->qf, job->name, &stat);

	if (fd < 0)
		return;
	job->ret->found = "an interrupted move through a hidden name";
	if (has_body(job, job->dir, job->dir->df_device)) {
		if (rename_back(job->dir->qf, job->name, job->qf))
			done(job, "took it back: the message is where it was");
		else
			not_done(job);
		close(fd);
		return;
	}
	errno = 0;
	not_done(job);
	for (size_t i = 0; i < job->spool->n_dirs; i++) {
		const struct qdir *to = &job->spool->dirs[i];

		if (to == job->dir || !has_body(job, to, job->dir->df_device) ||
		    has_control(to, job->id, job->length))
			continue;
		if (renameat2(job->dir->qf, job->name, to->qf, job->qf, RENAME_NOREPLACE) == 0)
			done(job, "finished it: the message is in its new tier");
		else
			not_done(job);
		break;
	}
	close(fd);
}

/* ---- moves to another file system: the states are those of mover_copy.c ---- */

struct copy_names {
	char qf[SPOOL_NAME_MAX], df[SPOOL_NAME_MAX], got[SPOOL_NAME_MAX], sent[SPOOL_NAME_MAX];
};

/* The hidden names of a message's move to `to`. */
static bool name_copies(const struct job *job, const struct qdir *to, struct copy_names *names)
{
	return mover_hidden_name(names->qf, MOVER_COPY_QF, 0, job->id, job->length) &&
	       mover_hidden_name(names->df, MOVER_COPY_DF, 0, job->id, job->length) &&
	       mover_hidden_name(names->got, MOVER_GOT, 0, job->id, job->length) &&
	       mover_hidden_name(names->sent, MOVER_SENT, to->inode, job->id, job->length);
}

/* The copy is complete, and the source hidden: steps 4 and 5. */
static bool take_over(const struct job *job, const struct qdir *to, const struct copy_names *names)
{
	if (renameat2(to->df, names->df, to->df, job->df, RENAME_NOREPLACE) < 0 && errno != ENOENT)
		return false;
	if (renameat2(to->qf, names->qf, to->qf, job->qf, RENAME_NOREPLACE) < 0)
		return false;
	return (to->df == to->qf || fsync(to->df) == 0) && fsync(to->qf) == 0;
}

/* The copy has been taken over, and may have been delivered since: steps 6 and 7. */
static bool clear_source(const struct job *job, const struct qdir *from, const struct qdir *to,
			 const struct copy_names *names)
{
	/* A control file of that id in the source is another message's, and so is the df then. */
	if (!has_control(from, job->id, job->length) && !mover_remove(from->df, job->df))
		return false;
	return mover_remove(from->qf, names->sent) && fsync(from->qf) == 0 &&
	       mover_remove(to->qf, names->got);
}

/* A hidden source. With the mark in the target, the copy is complete: it is taken over, if that is
 * not done yet, and the source goes. Without it the source comes back. */
static void settle_sent(struct job *job, const struct qdir *from, const struct qdir *to)
{
	struct copy_names names;
	struct stat stat;
	int fd;

	if (!name_copies(job, to, &names))
		return;
	fd = hold(from->qf, names.sent, &stat);
	if (fd < 0)
		return;
	job->ret->found = "an interrupted move to another file system";
	if (!exists(to->qf, names.got)) {
		if (rename_back(from->qf, names.sent, job->qf))
			done(job, "took it back: the message is where it was");
		else
			not_done(job);
	} else if (exists(to->qf, names.qf) && !take_over(job, to, &names)) {
		not_done(job);
	} else if (!clear_source(job, from, to, &names)) {
		not_done(job);
	} else {
		done(job, "finished it: the message is in its new tier");
	}
	close(fd);
}

/* The queue directory with that inode, other than `other`, that is there; NULL if there is none. */
static const struct qdir *find_directory(const struct job *job, ino_t inode,
					 const struct qdir *other)
{
	for (size_t i = 0; i < job->spool->n_dirs; i++) {
		const struct qdir *dir = &job->spool->dirs[i];

		if (dir != other && dir->fd >= 0 && dir->inode == inode)
			return dir;
	}
	return NULL;
}

static void unknown_partner(struct job *job)
{
	job->ret->found =
		"an interrupted move to another file system, whose other tier is not here";
	errno = 0;
	not_done(job);
}

static void find_target(struct job *job)
{
	struct copy_names names;
	const struct qdir *to = NULL;

	/* Two file systems may give their directories the same inode: the mark tells. */
	for (size_t i = 0; i < job->spool->n_dirs; i++) {
		const struct qdir *dir = &job->spool->dirs[i];

		if (dir == job->dir || dir->fd < 0 || dir->inode != job->inode)
			continue;
		if (!to || (name_copies(job, dir, &names) && exists(dir->qf, names.got)))
			to = dir;
	}
	if (to)
		settle_sent(job, job->dir, to);
	else
		unknown_partner(job);
}

/* What the mark says of the source: its inode, or 0 for a mark that was never finished, in which
 * case the source was never hidden. */
static bool read_mark(const struct qdir *dir, const char *name, ino_t *ret)
{
	char text[32];
	unsigned long long inode = 0;
	struct stat stat;
	int fd = openat(dir->qf, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* A FIFO reads as empty, and an empty mark is one that may go. */
	bool is_file = fd >= 0 && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
	ssize_t n = is_file ? read(fd, text, sizeof text - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	text[n] = 0;
	/* Its newline is written with the rest: without it the mark is not whole. */
	if (n && text[n - 1] == '\n' && sscanf(text, MOVER_MARK, &inode) != 1)
		return false;
	*ret = (ino_t)inode;
	return true;
}

/* A df that was put in its place in the target although the move was taken back then: the same as
 * the source's, and no control file beside it. */
static bool is_stray_body(const struct job *job, const struct qdir *from)
{
	struct stat here, there;

	return from && !has_control(job->dir, job->id, job->length) &&
	       fstatat(job->dir->df, job->df, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(from->df, job->df, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(here.st_mode) && S_ISREG(there.st_mode) && here.st_size == there.st_size &&
	       here.st_mtim.tv_sec == there.st_mtim.tv_sec &&
	       here.st_mtim.tv_nsec == there.st_mtim.tv_nsec &&
	       stands(from->qf, "qf", job->id, job->length);
}

/* Only what is held goes: a name that was not there when it was to be held may have come since, and
 * is a move's at work then. */
static bool remove_held(int fd, int folder, const char *name)
{
	return fd < 0 || mover_remove(folder, name);
}

/* Copies whose source is in sight: they go after the mark, without which they are worth nothing,
 * and that of the qf last: a new move begins with that name, and finds the others free then. */
static void drop_copies(struct job *job, const struct qdir *from)
{
	struct copy_names names;
	struct stat stat;
	int qf, df, got, taken_over;

	if (!name_copies(job, job->dir, &names))
		return;
	taken_over = hold(job->dir->qf, job->qf, &stat);
	qf = hold(job->dir->qf, names.qf, &stat);
	df = hold(job->dir->df, names.df, &stat);
	got = hold(job->dir->qf, names.got, &stat);
	/* One that is there but cannot be held is somebody's work. So is the mark alone, while the
	 * copy that was taken over is held: the move is at its last step. */
	if ((qf < 0 && exists(job->dir->qf, names.qf)) ||
	    (df < 0 && exists(job->dir->df, names.df)) ||
	    (got < 0 && exists(job->dir->qf, names.got)) ||
	    (taken_over < 0 && exists(job->dir->qf, job->qf)))
		goto out;
	/* Gone already: the name is from a listing that is older. */
	if (qf < 0 && df < 0 && got < 0)
		goto out;
	job->ret->found = "copies of an interrupted move to another file system";
	if ((is_stray_body(job, from) && !mover_remove(job->dir->df, job->df)) ||
	    !remove_held(got, job->dir->qf, names.got) ||
	    !remove_held(df, job->dir->df, names.df) || !remove_held(qf, job->dir->qf, names.qf))
		not_done(job);
	else
		done(job, "removed them: the message is where it was");
out:
	if (taken_over >= 0)
		close(taken_over);
	if (got >= 0)
		close(got);
	if (qf >= 0)
		close(qf);
	if (df >= 0)
		close(df);
}

static void find_source(struct job *job)
{
	struct copy_names names;
	const struct qdir *from = NULL;
	ino_t inode;

	if (!name_copies(job, job->dir, &names))
		return;
	/* Copies without a mark: their source has never been hidden. */
	if (!exists(job->dir->qf, names.got)) {
		drop_copies(job, NULL);
		return;
	}
	if (!read_mark(job->dir, names.got, &inode)) {
		/* Gone since: a move that is under way came to its last step, and nothing is left.
		 */
		if (exists(job->dir->qf, names.got))
			unknown_partner(job);
		return;
	}
	if (inode) {
		from = find_directory(job, inode, job->dir);
		/* As long as the source is away, nobody knows whether it is hidden. */
		if (!from) {
			unknown_partner(job);
			return;
		}
		if (exists(from->qf, names.sent)) {
			settle_sent(job, from, job->dir);
			return;
		}
	}
	drop_copies(job, from);
}

/* ---- which of them ---- */

static const struct {
	const char *prefix;
	bool has_inode;
	void (*settle)(struct job *job);
} kinds[] = {
	{MOVER_DELETING, false, finish_deletion}, {MOVER_MOVING, true, settle_move},
	{MOVER_SENT, true, find_target},	  {MOVER_GOT, false, find_source},
	{MOVER_COPY_QF, false, find_source},	  {MOVER_COPY_DF, false, find_source},
};

/* The inode that follows a prefix: lower-case hexadecimal and "-". Returns what comes after, or
 * NULL. */
static const char *read_inode(const char *text, ino_t *ret)
{
	unsigned long long inode = 0;
	int digits = 0;

	for (; *text && *text != '-'; text++, digits++) {
		int digit = *text >= '0' && *text <= '9'   ? *text - '0'
			    : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
							   : -1;

		if (digit < 0 || digits == 16)
			return NULL;
		inode = inode << 4 | (unsigned)digit;
	}
	*ret = (ino_t)inode;
	return *text == '-' && digits ? text + 1 : NULL;
}

void recover_hidden(const struct spool *spool, const struct qdir *dir, const char *name,
		    struct recovery *ret)
{
	*ret = (struct recovery){0};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t n = strlen(kinds[i].prefix);
		struct job job = {.spool = spool, .dir = dir, .name = name, .ret = ret};
		const char *id = name + n;

		if (strncmp(name, kinds[i].prefix, n) != 0)
			continue;
		if (kinds[i].has_inode)
			id = read_inode(id, &job.inode);
		if (!id || !*id || !spool_name(job.qf, "qf", id, strlen(id)))
			return;
		job.length = strlen(id);
		memcpy(job.id, id, job.length);
		spool_name(job.df, "df", id, job.length);
		ret->id = id;
		ret->id_length = job.length;
		kinds[i].settle(&job);
		return;
	}
}
