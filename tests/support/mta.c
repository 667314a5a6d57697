/* mta.c - see mta.h. */
#include "mta.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "stats.h"

#define FILE_MODE 0640

const char *const mta_domains[] = {
	"example.com",
	"example.net",
	"example.org",
	"mail.example.com",
	"post.example.net",
	"lists.example.org",
	"north.example",
	"south.example",
	"east.example",
	"west.example",
	"shop.example.com",
	"uni.example.org",
	NULL,
};

/* ---- queue directories ---- */

static int open_folder(int parent, const char *name)
{
	int fd;

	if (mkdirat(parent, name, 0750) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int mta_queue_open(const char *directory, enum mta_layout layout, struct mta_queue *ret)
{
	struct mta_queue queue = {.qf = -1, .df = -1, .xf = -1, .layout = layout};
	int base = open_folder(AT_FDCWD, directory);
	int r = 0;

	if (base < 0)
		return base;
	if (layout == MTA_FLAT) {
		queue.qf = queue.df = queue.xf = base;
	} else {
		queue.qf = open_folder(base, "qf");
		queue.df = open_folder(base, "df");
		queue.xf = open_folder(base, "xf");
		close(base);
		r = queue.qf < 0 ? queue.qf : queue.df < 0 ? queue.df : queue.xf < 0 ? queue.xf : 0;
		if (r < 0) {
			mta_queue_close(&queue);
			return r;
		}
	}
	*ret = queue;
	return 0;
}

void mta_queue_close(struct mta_queue *queue)
{
	if (queue->qf >= 0)
		close(queue->qf);
	if (queue->layout == MTA_SPLIT) {
		if (queue->df >= 0)
			close(queue->df);
		if (queue->xf >= 0)
			close(queue->xf);
	}
	queue->qf = queue->df = queue->xf = -1;
}

int mta_queue_ids(const struct mta_queue *queue, struct mta_id **ret, size_t *ret_count)
{
	struct mta_id *ids = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	DIR *directory;
	int fd = openat(queue->qf, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		close(fd);
		return r;
	}
	while ((errno = 0, entry = readdir(directory)) != NULL) {
		if (strncmp(entry->d_name, "qf", 2) != 0 ||
		    strlen(entry->d_name + 2) != MTA_ID_LENGTH)
			continue;
		if (count == room) {
			struct mta_id *more;

			room = room ? room * 2 : 256;
			more = realloc(ids, room * sizeof(*ids));
			if (!more) {
				errno = ENOMEM;
				break;
			}
			ids = more;
		}
		memcpy(ids[count++].text, entry->d_name + 2, MTA_ID_LENGTH + 1);
	}
	r = -errno;
	closedir(directory);
	if (r < 0) {
		free(ids);
		return r;
	}
	*ret = ids;
	*ret_count = count;
	return 0;
}

/* ---- making messages up ---- */

void mta_init(struct mta *mta, uint64_t seed, unsigned process, int64_t now)
{
	*mta = (struct mta){
		.locking = MTA_FLOCK,
		.transcript = true,
		.body_max = 40000,
		.random = seed ^ ((uint64_t)process << 32),
		.id_second = now,
		.id_process = process % 1000000,
	};
	umask(0027);
}

/* As sendmail makes them: one character each for year, month, day, hour, minute and second, two for
 * a sequence, six digits for the process. When the sequence is used up, the next second begins. */
static void next_id(struct mta *mta, char *id)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx";
	enum { BASE = 60 };
	time_t when = (time_t)mta->id_second;
	struct tm tm;

	gmtime_r(&when, &tm);
	snprintf(id, MTA_ID_LENGTH + 1, "%c%c%c%c%c%c%c%c%06u", digits[tm.tm_year % BASE],
		 digits[tm.tm_mon], digits[tm.tm_mday], digits[tm.tm_hour], digits[tm.tm_min],
		 digits[tm.tm_sec % BASE], digits[mta->id_sequence / BASE],
		 digits[mta->id_sequence % BASE], mta->id_process % 1000000);
	if (++mta->id_sequence == BASE * BASE) {
		mta->id_sequence = 0;
		mta->id_second++;
	}
}

void mta_compose(struct mta *mta, int64_t now, struct mta_message *ret)
{
	uint64_t dice = stats_below(&mta->random, 100);
	size_t least = mta->body_max < 400 ? mta->body_max : 400;
	size_t usual = mta->body_max < 4000 ? mta->body_max : 4000;
	size_t body = least + stats_below(&mta->random, usual - least + 1);

	if (stats_below(&mta->random, 8) == 0)
		body *= 1 + stats_below(&mta->random, 10);
	*ret = (struct mta_message){
		.created = now,
		.recipients = dice < 70	  ? 1
			      : dice < 95 ? 2 + (unsigned)stats_below(&mta->random, 9)
					  : 11 + (unsigned)stats_below(&mta->random,
								       MTA_MAX_RECIPIENTS - 10),
		.body = body < mta->body_max ? body : mta->body_max,
	};
	next_id(mta, ret->id);
}

/* ---- text ---- */

struct text {
	char *bytes;
	size_t length;
	size_t room;
	bool full;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length =
		vsnprintf(text->bytes + text->length, text->room - text->length, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= text->room - text->length)
		text->full = true;
	else
		text->length += (size_t)length;
}

static void say_bytes(struct text *text, const char *bytes, size_t length)
{
	if (length > text->room - text->length) {
		text->full = true;
		return;
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

static const char *any_domain(struct mta *mta)
{
	return mta_domains[stats_below(&mta->random,
				       sizeof(mta_domains) / sizeof(mta_domains[0]) - 1)];
}

static void write_recipients(struct mta *mta, const struct mta_message *message, struct text *text)
{
	for (unsigned i = 0; i < message->recipients; i++) {
		unsigned who = (unsigned)stats_below(&mta->random, 100000);
		const char *domain = message->domain ? message->domain : any_domain(mta);

		say(text, "rRFC822; reader%05u.%02u@%s\n", who, i, domain);
		say(text, "RPFD:reader%05u.%02u@%s\n", who, i, domain);
	}
}

/* Fifteen headers, as of a newsletter. The byte 0x81 is how sendmail writes the macro sign of $g:
 * it is in every qf. */
static void write_headers(struct mta *mta, const struct mta_message *message, struct text *text)
{
	unsigned mailing = (unsigned)stats_below(&mta->random, 9000) + 1000;
	char date[64];
	time_t when = (time_t)message->created;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	say_bytes(text, "H?P?Return-Path: <\x81g>\n", 22);
	say(text,
	    "H??Received: from merger.example.com (localhost [127.0.0.1])\n"
	    "\tby mx1.example.com (8.17.1.9/8.17.1.9) with ESMTP id %s\n"
	    "\tfor <list@example.com>; %s\n",
	    message->id, date);
	say(text, "H?D?Date: %s\n", date);
	say(text, "H?F?From: \"Example News\" <news@example.com>\n");
	say(text, "H?x?Full-Name: Example News\n");
	say(text, "H?M?Message-ID: <%s.%u@mx1.example.com>\n", message->id, mailing);
	say(text, "H??To: undisclosed-recipients:;\n");
	say(text, "H??Subject: =?UTF-8?Q?Angebote_f=C3=BCr_Sie_=E2=80=93_Ausgabe_%u?=\n", mailing);
	say(text, "H??Reply-To: <service@example.com>\n");
	say(text, "H??MIME-Version: 1.0\n");
	say(text, "H??Content-Type: multipart/alternative;\n\tboundary=\"=_%s_%u\"\n", message->id,
	    mailing);
	say(text, "H??List-Id: <mailing-%u.example.com>\n", mailing);
	say(text,
	    "H??List-Unsubscribe: "
	    "<mailto:leave@example.com?subject=%u>,\n\t<https://example.com/leave/%u>\n",
	    mailing, mailing);
	say(text, "H??Precedence: bulk\n");
	say(text, "H??X-Mailer: Example Merger 3.%u\n", mailing % 10);
}

static int write_qf(struct mta *mta, const struct mta_message *message, const struct stat *df,
		    struct text *text)
{
	say(text, "V8\nT%" PRId64 "\nK%" PRId64 "\nN%" PRIu32 "\n", message->created,
	    message->last_attempt, message->attempts);
	say(text, "P%llu\n",
	    message->body + 30000ULL * message->recipients + 90000ULL * message->attempts);
	say(text, "I%u/%u/%" PRIu64 "\n", major(df->st_dev), minor(df->st_dev),
	    (uint64_t)df->st_ino);
	if (message->status)
		say(text, "M%s\n", message->status);
	say(text, "Fbs\n$_localhost [127.0.0.1]\n$rESMTP\n$smerger.example.com\n${daemon_flags}\n");
	say(text, "S<news-%s@example.com>\n", message->id);
	write_recipients(mta, message, text);
	write_headers(mta, message, text);
	say(text, ".\n");
	return text->full ? -EFBIG : 0;
}

/* ---- files ---- */

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static int lock_file(enum mta_locking locking, int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int r = locking == MTA_FLOCK ? flock(fd, LOCK_EX | LOCK_NB) : fcntl(fd, F_SETLK, &whole);

	if (r == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
}

static void name_of(char *name, char letter, const char *id)
{
	name[0] = letter;
	name[1] = 'f';
	memcpy(name + 2, id, MTA_ID_LENGTH + 1);
}

enum { NAME_SIZE = MTA_ID_LENGTH + 3 };

static int write_body(struct mta *mta, int fd, size_t length)
{
	static const char line[] =
		"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod.\n";
	char bytes[16384];
	int r = 0;

	for (size_t at = 0; at < sizeof(bytes); at++)
		bytes[at] = line[at % (sizeof(line) - 1)];
	while (length > 0 && r == 0) {
		size_t part = length < sizeof(bytes) ? length : sizeof(bytes);

		r = write_all(fd, bytes, part);
		length -= part;
	}
	if (r == 0 && mta->sync && fsync(fd) < 0)
		r = -errno;
	return r;
}

int mta_enqueue(struct mta *mta, const struct mta_queue *queue, const struct mta_message *message)
{
	char qf[NAME_SIZE], df[NAME_SIZE], bytes[MTA_QF_MAX];
	struct text text = {.bytes = bytes, .room = sizeof(bytes)};
	struct stat st;
	int fd, r;

	name_of(qf, 'q', message->id);
	name_of(df, 'd', message->id);
	fd = openat(queue->df, df, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return -errno;
	r = write_body(mta, fd, message->body);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	close(fd);
	if (r == 0)
		r = write_qf(mta, message, &st, &text);
	if (r < 0)
		goto no_qf;

	fd = openat(queue->qf, qf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (fd < 0) {
		r = -errno;
		goto no_qf;
	}
	/* A runner that has met it empty lets it go at once. */
	do
		r = lock_file(mta->locking, fd);
	while (r == -EWOULDBLOCK);
	if (r == 0)
		r = write_all(fd, text.bytes, text.length);
	if (r == 0 && mta->sync && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(queue->qf, qf, 0);
	close(fd);
no_qf:
	if (r < 0)
		unlinkat(queue->df, df, 0);
	return r;
}

/* ---- attempts ---- */

static int read_all(int fd, char *bytes, size_t room, size_t *ret_length)
{
	size_t length = 0;

	for (;;) {
		ssize_t n = read(fd, bytes + length, room - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
		if (length == room)
			return -EFBIG;
	}
	*ret_length = length;
	return 0;
}

/* The lines V T K N P stand first; the rest is kept as it is. text[length] must be '\0'. */
static int read_numbers(struct mta_attempt *attempt)
{
	bool created = false, attempts = false;
	const char *line = attempt->text, *end;

	if (attempt->length < 3 || memcmp(attempt->text + attempt->length - 3, "\n.\n", 3) != 0)
		return -EBADMSG;
	for (; (end = strchr(line, '\n')) != NULL && strchr("VTKNP", *line); line = end + 1) {
		if (*line == 'T') {
			attempt->created = strtoll(line + 1, NULL, 10);
			created = true;
		} else if (*line == 'K') {
			attempt->last_attempt = strtoll(line + 1, NULL, 10);
		} else if (*line == 'N') {
			attempt->attempts = (uint32_t)strtoul(line + 1, NULL, 10);
			attempts = true;
		}
	}
	return created && attempts ? 0 : -EBADMSG;
}

int mta_attempt_begin(struct mta *mta, const struct mta_queue *queue, const char *id,
		      struct mta_attempt *ret)
{
	char name[NAME_SIZE];
	struct stat held, named;
	int fd, r;

	if (strlen(id) != MTA_ID_LENGTH)
		return -EINVAL;
	name_of(name, 'q', id);
	fd = openat(queue->qf, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = lock_file(mta->locking, fd);
	if (r < 0)
		goto fail;
	if (fstat(fd, &held) < 0 || fstatat(queue->qf, name, &named, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
		goto fail;
	}
	if (held.st_dev != named.st_dev || held.st_ino != named.st_ino ||
	    held.st_nlink != named.st_nlink || held.st_size != named.st_size) {
		r = -ENOENT;
		goto fail;
	}
	/* Made and not yet locked by who will write it. */
	if (held.st_size == 0) {
		r = -EWOULDBLOCK;
		goto fail;
	}
	r = read_all(fd, ret->text, sizeof(ret->text) - 1, &ret->length);
	if (r < 0)
		goto fail;
	ret->text[ret->length] = '\0';
	ret->mta = mta;
	ret->queue = queue;
	memcpy(ret->id, id, MTA_ID_LENGTH + 1);
	ret->fd = fd;
	ret->transcript = false;
	ret->created = ret->last_attempt = ret->attempts = 0;
	r = read_numbers(ret);
	if (r < 0)
		goto fail;
	if (mta->transcript) {
		int xf;

		name_of(name, 'x', id);
		xf = openat(queue->xf, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
		if (xf >= 0) {
			ret->transcript = true;
			close(xf);
		}
	}
	return 0;
fail:
	close(fd);
	return r;
}

static void remove_transcript(struct mta_attempt *attempt)
{
	char name[NAME_SIZE];

	if (!attempt->transcript)
		return;
	name_of(name, 'x', attempt->id);
	unlinkat(attempt->queue->xf, name, 0);
	attempt->transcript = false;
}

static void close_released(int fd, struct mta_release *ret_release)
{
	if (ret_release) {
		ret_release->wall = stats_wall();
		ret_release->monotonic = stats_now();
	}
	close(fd);
}

/* The old qf with other K, N, P and M. M stands behind the lines whose letters are in `head`. */
static int rewrite(const struct mta_attempt *attempt, int64_t now, const char *status,
		   struct text *text)
{
	static const char head[] = "VTKNPIdBq";
	bool said = status == NULL;
	const char *line = attempt->text, *end;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		if (!said && *line != 'M' && !strchr(head, *line)) {
			say(text, "M%s\n", status);
			said = true;
		}
		if (*line == 'K')
			say(text, "K%" PRId64 "\n", now);
		else if (*line == 'N')
			say(text, "N%" PRIu32 "\n", attempt->attempts + 1);
		else if (*line == 'P')
			say(text, "P%llu\n", strtoull(line + 1, NULL, 10) + 90000);
		else if (*line != 'M')
			say_bytes(text, line, (size_t)(end - line) + 1);
	}
	return text->full ? -EFBIG : 0;
}

int mta_attempt_defer(struct mta_attempt *attempt, int64_t now, const char *status,
		      struct mta_release *ret_release)
{
	char qf[NAME_SIZE], tf[NAME_SIZE], bytes[MTA_QF_MAX];
	struct text text = {.bytes = bytes, .room = sizeof(bytes)};
	int directory = attempt->queue->qf;
	int fd = -1, r;

	name_of(qf, 'q', attempt->id);
	name_of(tf, 't', attempt->id);
	r = rewrite(attempt, now, status, &text);
	if (r < 0)
		goto fail;
	fd = openat(directory, tf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (fd < 0) {
		r = -errno;
		goto fail;
	}
	r = lock_file(attempt->mta->locking, fd);
	if (r == 0)
		r = write_all(fd, text.bytes, text.length);
	if (r == 0 && attempt->mta->sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(directory, tf, directory, qf) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(directory, tf, 0);
		close(fd);
		goto fail;
	}
	remove_transcript(attempt);
	close(attempt->fd);
	close_released(fd, ret_release);
	attempt->fd = -1;
	return 0;
fail:
	mta_attempt_abandon(attempt, ret_release);
	return r;
}

int mta_attempt_deliver(struct mta_attempt *attempt, struct mta_release *ret_release)
{
	char name[NAME_SIZE];
	int r = 0;

	name_of(name, 'd', attempt->id);
	if (unlinkat(attempt->queue->df, name, 0) < 0)
		r = -errno;
	name_of(name, 'q', attempt->id);
	if (unlinkat(attempt->queue->qf, name, 0) < 0 && r == 0)
		r = -errno;
	mta_attempt_abandon(attempt, ret_release);
	return r;
}

void mta_attempt_abandon(struct mta_attempt *attempt, struct mta_release *ret_release)
{
	remove_transcript(attempt);
	if (attempt->fd >= 0)
		close_released(attempt->fd, ret_release);
	attempt->fd = -1;
}
