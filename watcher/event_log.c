/* event_log.c - see event_log.h */
#include "qfwatch/event_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/event_record.h"
#include "qfwatch/xalloc.h"

enum {
	LINE_LONGEST = 4096,   /* EVENTS_LINE_MAX of what wrote it */
	BUFFER = 256 * 1024,   /* what is read at once */
	HEAD = 64,	       /* how much of a file's beginning tells that it is the same file */
	LOOK_FIRST = 8 * 1024, /* how far into a file its first event is looked for at first... */
	LOOK_AT = 64 * 1024,   /* ...and how far into a file its first event is looked for */
	FINISH_MILLISECONDS = 500 /* how long the last line may take to get its end */
};

struct event_log {
	char *path, *folder, *base;
	bool stream; /* no regular file */
	bool follow;
	int64_t since;

	/* The file being read. */
	int fd; /* -1: none yet */
	char *file;
	struct event_key key; /* of its first event */
	bool any;	      /* `key` counts: only later files are of interest */
	bool last_look; /* a later file has events, so this one is complete: read to its end */
	off_t position;
	char head[HEAD];
	size_t head_length;
	uint64_t line;

	char *look; /* LOOK_AT bytes: the beginning of a file */
	char *buffer;
	size_t start, end; /* what is in it */
	bool passing_over; /* the rest of a line that is too long */
};

/* ---- the files of a log ---- */

struct candidate {
	char *file;
	int fd;
	struct event_key key;
	off_t size;
};

enum name_kind { NAME_OTHER, NAME_PLAIN, NAME_COMPRESSED };

/* What is `name` to the log? */
static enum name_kind judge_name(const struct event_log *log, const char *name)
{
	static const char *const endings[] = {".gz", ".xz", ".zst", ".bz2"};
	size_t n = strlen(log->base), digits;

	if (strncmp(name, log->base, n) != 0)
		return NAME_OTHER;
	name += n;
	if (!*name)
		return NAME_PLAIN;
	if (*name != '.' && *name != '-')
		return NAME_OTHER;
	digits = strspn(name + 1, "0123456789");
	if (!digits)
		return NAME_OTHER;
	name += 1 + digits;
	name += strspn(name, "0123456789T:_-");
	if (!*name)
		return NAME_PLAIN;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		if (strcmp(name, endings[i]) == 0)
			return NAME_COMPRESSED;
	return NAME_OTHER;
}

/* The first event among the lines of a text. */
static bool first_event(const char *text, size_t length, struct event_key *ret)
{
	const char *line = text, *end;

	for (; (end = memchr(line, '\n', (size_t)(text + length - line))); line = end + 1) {
		struct event_record record;
		const char *why;

		if (event_record_read(line, (size_t)(end - line), &record, &why) == 0) {
			*ret = record.key;
			event_record_free(&record);
			return true;
		}
	}
	return false;
}

/* Finds the first event of a file. One that has none counts by its time of change, unless we
 * follow: it may get one yet. */
static bool look_at(const struct event_log *log, int fd, const struct stat *stat,
		    struct event_key *ret)
{
	/* Nearly always it is the first line, and all files are looked at for each that is read. */
	static const size_t looks[] = {LOOK_FIRST, LOOK_AT};
	ssize_t n = 0;

	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
		n = pread(fd, log->look, looks[i], 0);
		if (n > 0 && first_event(log->look, (size_t)n, ret))
			return true;
		if (n < (ssize_t)looks[i])
			break;
	}
	*ret = (struct event_key){.time = stat->st_mtim.tv_sec * CLOCK_SECOND +
					  stat->st_mtim.tv_nsec / 1000};
	return !log->follow && n > 0;
}

/* Is it the file that is being read? */
static bool is_own(const struct event_log *log, const struct stat *stat)
{
	struct stat own;

	return log->fd >= 0 && fstat(log->fd, &own) == 0 && stat->st_dev == own.st_dev &&
	       stat->st_ino == own.st_ino;
}

static char *name_file(const struct event_log *log, const char *name)
{
	return xasprintf("%s/%s", log->folder, name);
}

/* Is it to be read before the other? Of two that begin before `since`, only the later one may reach
 * it. Of copies the longest is whole. */
static bool is_better(const struct event_log *log, const struct candidate *one,
		      const struct candidate *other)
{
	int order = event_key_compare(&one->key, &other->key);
	int64_t later = order > 0 ? one->key.time : other->key.time;

	if (order == 0)
		return one->size > other->size;
	return (later < log->since) == (order > 0);
}

/* The earliest file that begins after the one being read, opened; what `since` passes over is left
 * out. false: there is none. */
static bool find_next(const struct event_log *log, struct candidate *ret)
{
	struct candidate best = {.fd = -1};
	const struct dirent *entry;
	DIR *dir = opendir(log->folder);

	while (dir && (entry = readdir(dir))) {
		struct candidate other = {.fd = -1};
		struct stat stat = {0};
		bool better;

		if (judge_name(log, entry->d_name) != NAME_PLAIN)
			continue;
		other.fd = openat(dirfd(dir), entry->d_name,
				  O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (other.fd < 0)
			continue;
		better = fstat(other.fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
			 !is_own(log, &stat) && look_at(log, other.fd, &stat, &other.key) &&
			 (!log->any || event_key_compare(&other.key, &log->key) > 0);
		other.size = stat.st_size;
		better = better && (best.fd < 0 || is_better(log, &other, &best));
		if (!better) {
			close(other.fd);
			continue;
		}
		if (best.fd >= 0)
			close(best.fd);
		free(best.file);
		other.file = name_file(log, entry->d_name);
		best = other;
	}
	if (dir)
		closedir(dir);
	*ret = best;
	return best.fd >= 0;
}

/* From the first byte of the file on. */
static void begin_again(struct event_log *log)
{
	log->position = 0;
	log->head_length = 0;
	log->line = 0;
	log->start = log->end = 0;
	log->passing_over = false;
}

static void take(struct event_log *log, const struct candidate *next)
{
	if (log->fd >= 0)
		close(log->fd);
	free(log->file);
	log->fd = next->fd;
	log->file = next->file;
	log->key = next->key;
	log->any = true;
	log->last_look = false;
	begin_again(log);
}

/* ---- reading ---- */

/* A rotation that copies and truncates: the file is another one from its beginning on. */
static bool was_truncated(const struct event_log *log)
{
	char head[HEAD];
	struct stat stat;

	if (log->stream || fstat(log->fd, &stat) < 0)
		return false;
	if (stat.st_size < log->position)
		return true;
	return log->head_length && stat.st_size > log->position &&
	       (pread(log->fd, head, log->head_length, 0) != (ssize_t)log->head_length ||
		memcmp(head, log->head, log->head_length) != 0);
}

/* Fills the buffer. Returns how much came, 0 at the end, -errno. */
static ssize_t fill(struct event_log *log)
{
	ssize_t n;

	if (log->follow && was_truncated(log))
		begin_again(log);
	if (log->start) {
		memmove(log->buffer, log->buffer + log->start, log->end - log->start);
		log->end -= log->start;
		log->start = 0;
	}
	if (log->stream)
		n = read(log->fd, log->buffer + log->end, BUFFER - log->end);
	else
		n = pread(log->fd, log->buffer + log->end, BUFFER - log->end, log->position);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (log->position < HEAD && !log->stream) {
		ssize_t head = pread(log->fd, log->head, sizeof log->head, 0);

		log->head_length = head > 0 ? (size_t)head : 0;
	}
	log->position += n;
	log->end += (size_t)n;
	return n;
}

static void give(struct event_log *log, size_t length, const char *fault, struct event_line *ret)
{
	*ret = (struct event_line){
		.text = log->buffer + log->start,
		.length = length,
		.file = log->file,
		.number = ++log->line,
		.fault = fault			     ? fault
			 : length + 1 > LINE_LONGEST ? "longer than 4096 bytes"
						     : NULL,
	};
}

/* Takes a whole line out of the buffer, if there is one. */
static bool take_line(struct event_log *log, struct event_line *ret)
{
	for (;;) {
		const char *from = log->buffer + log->start;
		const char *end = memchr(from, '\n', log->end - log->start);
		bool rest = log->passing_over;

		if (!end && log->end - log->start < BUFFER)
			return false;
		log->passing_over = !end;
		if (!rest)
			give(log, end ? (size_t)(end - from) : LINE_LONGEST,
			     end ? NULL : "longer than 4096 bytes", ret);
		log->start = end ? (size_t)(end + 1 - log->buffer) : log->end;
		if (!rest)
			return true;
	}
}

/* What is left at the end of a file that gets no more. */
static bool take_torn(struct event_log *log, struct event_line *ret)
{
	size_t length = log->end - log->start;

	if (!length)
		return false;
	if (!log->passing_over)
		give(log, length, "the line has no end", ret);
	log->start = log->end = 0;
	if (!log->passing_over)
		return true;
	log->passing_over = false;
	return false;
}

/* The last line may be just being written. */
static bool may_be_finished(struct event_log *log)
{
	int64_t until = clock_monotonic() + FINISH_MILLISECONDS * INT64_C(1000000);

	while (log->end > log->start && clock_monotonic() < until) {
		if (fill(log) > 0)
			return true;
		poll(NULL, 0, 5);
	}
	return false;
}

/* Does the path name the file that is being read? */
static bool is_current(const struct event_log *log)
{
	struct stat named;

	return stat(log->path, &named) == 0 && is_own(log, &named);
}

/* At the end of a file. Returns 1: there is more to read, or a line in *ret (then *ret_line is
 * set); 0: nothing now. */
static int at_end(struct event_log *log, struct event_line *ret, bool *ret_line)
{
	struct candidate next;

	*ret_line = false;
	if (log->stream)
		return *ret_line = take_torn(log, ret);
	if (log->follow && is_current(log))
		return 0;
	if (!find_next(log, &next)) {
		if (log->follow || log->fd < 0)
			return 0;
		if (may_be_finished(log))
			return 1;
		return *ret_line = take_torn(log, ret);
	}
	/* Who writes has gone on to the next one: what it wrote here before is all there, but
	 * perhaps only since we looked. */
	if (log->fd >= 0 && !log->last_look) {
		close(next.fd);
		free(next.file);
		log->last_look = true;
		return 1;
	}
	if (log->fd >= 0 && take_torn(log, ret)) {
		close(next.fd);
		free(next.file);
		*ret_line = true;
		return 1;
	}
	take(log, &next);
	return 1;
}

int event_log_next(struct event_log *log, struct event_line *ret)
{
	for (;;) {
		bool line;
		ssize_t n;

		if (take_line(log, ret))
			return 1;
		n = log->fd >= 0 ? fill(log) : 0;
		if (n < 0)
			return (int)n;
		if (n > 0)
			continue;
		if (!at_end(log, ret, &line))
			return 0;
		if (line)
			return 1;
	}
}

/* ---- opening and closing ---- */

static int open_stream(struct event_log *log, int fd, const char *name)
{
	if (fd < 0)
		return -errno;
	log->stream = true;
	log->fd = fd;
	log->file = xstrdup(name);
	return 0;
}

/* Only what is written from now on: the end of the file as it is, behind a whole line. */
static void go_to_end(struct event_log *log)
{
	int fd = open(log->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct candidate now = {.file = NULL, .fd = fd};
	struct stat stat;
	char last;

	log->key = (struct event_key){.time = clock_now()};
	log->any = true;
	if (fd < 0 || fstat(fd, &stat) < 0)
		return;
	if (!look_at(log, fd, &stat, &now.key))
		now.key = log->key;
	now.file = xstrdup(log->path);
	take(log, &now);
	log->position = stat.st_size;
	log->passing_over =
		stat.st_size > 0 && pread(fd, &last, 1, stat.st_size - 1) == 1 && last != '\n';
}

static int open_files(struct event_log *log, enum event_log_start start)
{
	struct candidate first;

	if (start == EVENT_LOG_FOLLOW) {
		go_to_end(log);
		return 0;
	}
	if (find_next(log, &first))
		take(log, &first);
	else if (!log->follow)
		return access(log->path, R_OK) < 0 ? -errno : 0;
	return 0;
}

int event_log_open(const char *path, enum event_log_start start, int64_t since,
		   struct event_log **ret)
{
	struct event_log *log = xcalloc(1, sizeof *log);
	const char *slash = strrchr(path, '/');
	struct stat named;
	int r;

	log->path = xstrdup(path);
	log->base = xstrdup(slash ? slash + 1 : path);
	log->folder = xasprintf("%.*s", slash ? (int)(slash - path) + (slash == path) : 1,
				slash ? path : ".");
	log->look = xcalloc(1, LOOK_AT);
	/* A NUL behind it, for who reads numbers. */
	log->buffer = xcalloc(1, BUFFER + 1);
	log->fd = -1;
	log->since = since;
	log->follow = start != EVENT_LOG_ALL;
	if (strcmp(path, "-") == 0)
		r = open_stream(log, dup(STDIN_FILENO), "standard input");
	else if (stat(path, &named) == 0 && S_ISDIR(named.st_mode))
		r = -EISDIR;
	else if (stat(path, &named) == 0 && !S_ISREG(named.st_mode))
		r = open_stream(log, open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), path);
	else
		r = open_files(log, start);
	if (r < 0)
		event_log_close(log);
	else
		*ret = log;
	return r;
}

void event_log_close(struct event_log *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		close(log->fd);
	free(log->path);
	free(log->folder);
	free(log->base);
	free(log->file);
	free(log->look);
	free(log->buffer);
	free(log);
}

const char *event_log_file(const struct event_log *log)
{
	return log->file ? log->file : log->path;
}

void event_log_left_out(const struct event_log *log,
			void (*tell)(const char *file, const char *why))
{
	const struct dirent *entry;
	DIR *dir = log->stream ? NULL : opendir(log->folder);

	while (dir && (entry = readdir(dir))) {
		enum name_kind kind = judge_name(log, entry->d_name);
		const char *why = NULL;
		struct stat stat;
		char *file;

		if (kind == NAME_OTHER || fstatat(dirfd(dir), entry->d_name, &stat, 0) < 0)
			continue;
		/* Compressing keeps the time of the last line. */
		if (stat.st_mtim.tv_sec < log->since / CLOCK_SECOND)
			continue;
		if (kind == NAME_COMPRESSED)
			why = "it is compressed: zcat it into \"qfwatch events -\"";
		else if (faccessat(dirfd(dir), entry->d_name, R_OK, AT_EACCESS) < 0)
			why = strerror(errno);
		if (!why)
			continue;
		file = name_file(log, entry->d_name);
		tell(file, why);
		free(file);
	}
	if (dir)
		closedir(dir);
}
