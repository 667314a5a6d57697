/* sendmail_cf.h - the few options of a sendmail.cf that a policy has to live with.
 *
 * Reads lines as sendmail does (8.17, readcf.c): a line that begins with white space goes on with
 * the one before it, the last line of an option counts. What is no option is passed over; whether
 * the rest is right is sendmail's to say.
 */
#ifndef QFWATCH_SENDMAIL_CF_H
#define QFWATCH_SENDMAIL_CF_H

#include <limits.h>
#include <stdbool.h>
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

/* More queue groups, and longer names, are not remembered. */
#define SENDMAIL_CF_GROUPS 16
#define SENDMAIL_CF_NAME   128

/* A queue group: "Qslow, Path=/var/spool/slow*, Interval=30m". */
struct sendmail_cf_group {
	char name[SENDMAIL_CF_NAME];
	char path[PATH_MAX]; /* as written, relative to the QueueDirectory; empty: none given */
};

/* All times in seconds. */
struct sendmail_cf {
	int64_t queue_return[SENDMAIL_CF_KINDS]; /* Timeout.queuereturn */
	int64_t min_queue_age;			 /* 0: none */
	int64_t max_queue_age;			 /* 0: none */
	char queue_directory[PATH_MAX];		 /* as written, may be a glob; empty: not known */
	char pid_file[PATH_MAX];		 /* empty: not known */
	char run_as[SENDMAIL_CF_NAME];		 /* RunAsUser, without its group; empty: none */
	char trusted[SENDMAIL_CF_NAME];		 /* TrustedUser; empty: root */
	char smart_host[SENDMAIL_CF_NAME];	 /* macro S; empty: none */
	unsigned queue_file_mode;		 /* QueueFileMode; 0: sendmail's own choice */
	struct sendmail_cf_group groups[SENDMAIL_CF_GROUPS];
	size_t n_groups;
};

/* Reads text[length]; any bytes. */
void sendmail_cf_parse(const char *text, size_t length, struct sendmail_cf *ret);

/* Reads a file. Returns 0, -EFBIG past SENDMAIL_CF_MAX_BYTES, -EINVAL for what is no regular file,
 * or what open and read said. On failure *ret is untouched. */
int sendmail_cf_read(const char *path, struct sendmail_cf *ret);

/* One more option, as it follows -O on a command line: "MinQueueAge=30m". What is none is passed
 * over.
 */
void sendmail_cf_option(struct sendmail_cf *cf, const char *option);

/* The file that a sendmail called with these words (the first is the program, NULL ends them) goes
 * by: what follows its -C. NULL: none is named. */
const char *sendmail_cf_named(char *const *words);

/* A duration in sendmail's notation (convtime.c): numbers with units w d h m s, one after the
 * other; without a unit the default one (in seconds) counts; "now" is 0. Returns 0, or -EINVAL:
 * then sendmail would complain as well. */
int sendmail_cf_duration(const char *text, int64_t unit, int64_t *ret_seconds);

#endif
