/* sendmail_cf.h - the few options of a sendmail.cf that a policy has to live with.
 *
 * Reads lines as sendmail does (8.17, readcf.c): a line that begins with white space goes on with
 * the one before it, the last line of an option counts. What is no option is passed over; whether
 * the rest is right is sendmail's to say.
 */
#ifndef QFWATCH_SENDMAIL_CF_H
#define QFWATCH_SENDMAIL_CF_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* A file larger than this is refused: it is not a sendmail.cf. */
#define SENDMAIL_CF_MAX_BYTES (4 * 1024 * 1024)

/* Kinds of messages that Timeout.queuereturn tells apart: by their Precedence and Priority headers,
 * and those that are bounces themselves. */
enum sendmail_cf_kind {
	SENDMAIL_CF_NORMAL,
	SENDMAIL_CF_URGENT,
	SENDMAIL_CF_NON_URGENT,
	SENDMAIL_CF_DSN,
	SENDMAIL_CF_KINDS,
};

/* What sendmail takes where the file is silent. */
#define SENDMAIL_CF_RETURN INT64_C(432000)

/* All times in seconds. */
struct sendmail_cf {
	int64_t queue_return[SENDMAIL_CF_KINDS]; /* Timeout.queuereturn */
	int64_t min_queue_age;			 /* 0: none */
	int64_t max_queue_age;			 /* 0: none */
	char queue_directory[PATH_MAX];		 /* as written, may be a glob; empty: not known */
};

/* Reads text[length]; any bytes. */
void sendmail_cf_parse(const char *text, size_t length, struct sendmail_cf *ret);

/* Reads a file. Returns 0, -EFBIG past SENDMAIL_CF_MAX_BYTES, -EINVAL for what is no regular file,
 * or what open and read said. On failure *ret is untouched. */
int sendmail_cf_read(const char *path, struct sendmail_cf *ret);

/* A duration in sendmail's notation (convtime.c): numbers with units w d h m s, one after the
 * other; without a unit the default one (in seconds) counts; "now" is 0. Returns 0, or -EINVAL:
 * then sendmail would complain as well. */
int sendmail_cf_duration(const char *text, int64_t unit, int64_t *ret_seconds);

#endif
