/* textfile.c - see textfile.h */
#include "qfwatch/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/log.h"
#include "qfwatch/worker.h"
#include "qfwatch/xalloc.h"

struct job {
	struct worker_job job; /* first: see worker.h */
	char *path, *fresh;    /* fresh: under this name until it is whole */
	char *text;
	size_t length;
	int error;
	const char *step;
};

struct textfile {
	char *path; /* NULL: none */
	int64_t every, next;
	struct worker *worker; /* NULL: none is needed, or was to be had */
	struct job *writing;   /* under way; NULL: none */
	bool told;	       /* the last write failed */
};

/* ---- in the worker ---- */

/* As any file that others are to read: 0644, whatever the umask. What stands there under the name
 * is used again if it is a plain file with no other name, as a kill leaves it. */
static int create(struct job *job)
{
	int fd = open(job->fresh, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	struct stat stat;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode) || stat.st_nlink != 1) {
		close(fd);
		return -EEXIST;
	}
	if (fchmod(fd, 0644) < 0 || ftruncate(fd, 0) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

static void run(struct worker_job *worker_job)
{
	struct job *job = (struct job *)worker_job;
	int fd = create(job), r;

	job->step = "create";
	if (fd < 0) {
		job->error = -fd;
		return;
	}
	job->step = "write";
	r = write_all(fd, job->text, job->length);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0) {
		job->step = "rename";
		r = rename(job->fresh, job->path) < 0 ? -errno : 0;
	}
	if (r < 0)
		unlink(job->fresh);
	job->error = -r;
}

/* ---- in the loop ---- */

static void free_job(struct job *job)
{
	if (!job)
		return;
	free(job->path);
	free(job->fresh);
	free(job->text);
	free(job);
}

struct textfile *textfile_new(void)
{
	struct textfile *textfile = xcalloc(1, sizeof *textfile);

	textfile->next = INT64_MAX;
	return textfile;
}

static const char *remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "make its folder, or name another one in the policy's \"metrics\"";
	case EACCES:
	case EPERM:
		return "let the user of the daemon write into its folder";
	case EROFS:
		return "name a place that may be written in the policy's \"metrics\" (under "
		       "systemd, "
		       "add it to ReadWritePaths=)";
	case ENOSPC:
	case EDQUOT:
		return "make room on the disk";
	case EEXIST:
	case ELOOP:
		return "what stands there under the name PATH.new is no file of ours: remove it";
	case EISDIR:
		return "a folder stands in its place: name another file in the policy's "
		       "\"metrics\"";
	default:
		return "name another place in the policy's \"metrics\"";
	}
}

static void end(struct textfile *textfile, const struct job *job)
{
	if (job->error && !textfile->told)
		log_error("%s: cannot %s it (%s): %s; tried again each time", job->path, job->step,
			  strerror(job->error), remedy(job->error));
	else if (!job->error && textfile->told)
		log_notice("%s is written again", job->path);
	textfile->told = job->error != 0;
}

static void take_finished(struct textfile *textfile)
{
	struct job *job = textfile->worker ? (struct job *)worker_take(textfile->worker) : NULL;

	if (!job)
		return;
	textfile->writing = NULL;
	end(textfile, job);
	free_job(job);
}

/* Ends the thread, after what it is at. */
static void stop(struct textfile *textfile)
{
	worker_free(textfile->worker);
	textfile->worker = NULL;
	free_job(textfile->writing);
	textfile->writing = NULL;
}

void textfile_free(struct textfile *textfile)
{
	if (!textfile)
		return;
	stop(textfile);
	free(textfile->path);
	free(textfile);
}

static void submit(struct textfile *textfile, const char *text, size_t length)
{
	struct job *job = xcalloc(1, sizeof *job);

	job->path = xstrdup(textfile->path);
	job->fresh = xasprintf("%s.new", textfile->path);
	job->text = xcalloc(length + 1, 1);
	memcpy(job->text, text, length);
	job->length = length;
	textfile->writing = job;
	worker_submit(textfile->worker, &job->job);
}

static bool is_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void textfile_configure(struct textfile *textfile, const char *path, int64_t every, int64_t now)
{
	if (!is_same(path, textfile->path)) {
		/* What was begun for the old name would come after its end. */
		stop(textfile);
		if (textfile->path)
			unlink(textfile->path);
		free(textfile->path);
		textfile->path = path ? xstrdup(path) : NULL;
		textfile->told = false;
		textfile->next = now;
	}
	textfile->every = every * CLOCK_SECOND;
	if (!path)
		textfile->next = INT64_MAX;
	else if (textfile->next > now + textfile->every)
		textfile->next = now + textfile->every;
	if (path && !textfile->worker)
		textfile->worker = worker_new(1, run);
}

bool textfile_is_due(struct textfile *textfile, int64_t now)
{
	if (!textfile->path)
		return false;
	take_finished(textfile);
	/* A clock that was set back. */
	if (textfile->next - now > textfile->every)
		textfile->next = now;
	if (now < textfile->next)
		return false;
	/* Still at the last one, or no thread to be had: the next time. */
	if (textfile->writing || !textfile->worker) {
		textfile->next = now + textfile->every;
		if (!textfile->worker)
			textfile->worker = worker_new(1, run);
		return false;
	}
	return true;
}

void textfile_write(struct textfile *textfile, const char *text, size_t length, int64_t now)
{
	textfile->next = now + textfile->every;
	if (textfile->worker && !textfile->writing)
		submit(textfile, text, length);
}

int64_t textfile_deadline(const struct textfile *textfile)
{
	return textfile->next;
}

int textfile_fd(const struct textfile *textfile)
{
	return textfile->worker ? worker_fd(textfile->worker) : -1;
}
