/* qfile.h - what a sendmail control file (qf) says. Pure: bytes in, facts out; no file is opened
 * here.
 *
 * The format is that of sendmail's queueup() and readqf() (sendmail/queue.c; "Installation and
 * Operation Guide", appendix B): lines that start with a letter, headers continued by white space,
 * a line "." at the end. Bytes are raw: most qf hold some that are no UTF-8. Nothing is guessed:
 * what is not clearly right is an error with a name.
 */
#ifndef QFWATCH_QFILE_H
#define QFWATCH_QFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A qf larger than this is not read: 100,000 recipients with long addresses need about half of it.
 */
#define QFILE_MAX_BYTES (16 * 1024 * 1024)

/* Times up to 2106 fit what the table keeps; a qf from later is not believed. */
#define QFILE_MAX_TIME UINT32_MAX

struct qfile {
	uint32_t created;      /* T: seconds since the epoch */
	uint32_t last_attempt; /* K: seconds since the epoch; 0: never, also when there is no K line
				*/
	uint32_t attempts;     /* N */
	uint32_t recipients;   /* R lines */
	bool data_elsewhere;   /* a d line: the df stands in another directory (queue groups) */
	bool quarantined;      /* a q line */
	bool has_sender;       /* an S line */
};

enum qfile_verdict {
	QFILE_OK,
	QFILE_EMPTY,	   /* 0 bytes: sendmail has just created it, or a crash left it */
	QFILE_INCOMPLETE,  /* no line "." at the end: being written, or cut short */
	QFILE_NO_CREATED,  /* no T line */
	QFILE_NO_ATTEMPTS, /* no N line */
	QFILE_BAD_CREATED, /* T is not a number, 0, negative, or out of range; the same for K and N,
			      which may be 0 */
	QFILE_BAD_LAST_ATTEMPT,
	QFILE_BAD_ATTEMPTS,
	QFILE_TWICE,	/* T, K or N stands twice */
	QFILE_TRAILING, /* something follows the line "." (sendmail calls that a security alert) */
};

/* One word on each verdict, for event.reason: "no final \".\" line". Static. */
const char *qfile_verdict_text(enum qfile_verdict verdict);

/* A reader that takes the file in pieces of any size, so that a large qf needs no large buffer. Its
 * fields are its own. */
struct qfile_reader {
	struct qfile file;
	char number[24];       /* the line being read, if it is one whose number counts */
	uint8_t number_length; /* may exceed the array by one: too long */
	char line;	       /* first byte of the line being read; 0: at a line's start */
	bool dot_only;	       /* the line being read is "." so far and nothing else */
	bool ended;	       /* the line "." has been seen */
	bool any;	       /* at least one byte has been seen */
	uint8_t seen;	       /* which of T, K, N have been seen */
	enum qfile_verdict verdict;
};

void qfile_begin(struct qfile_reader *reader);
void qfile_feed(struct qfile_reader *reader, const char *bytes, size_t length);

/* Ends the reading. *ret is set with QFILE_OK only. */
enum qfile_verdict qfile_end(struct qfile_reader *reader, struct qfile *ret);

/* The domain of an address, also as it stands on an R line ("RPFD:<someone@example.net>"): what
 * follows the last "@", up to what cannot be in a domain, without dots at its end. *ret points into
 * `address` and is set only if there is one. Returns its length, 0 for none: a local address. */
size_t qfile_domain_of(const char *address, size_t length, const char **ret);

/* Collects the distinct domains of the recipients (R lines) in `bytes`, lower-cased, in order of
 * appearance, up to `max`. They are written one after the other, NUL-terminated, into buffer, and
 * *domains point there; what does not fit is left out and *ret_cut set. A recipient without "@" is
 * local and has none. Returns how many. */
size_t qfile_domains(const char *bytes, size_t length, const char **domains, size_t max,
		     char *buffer, size_t size, bool *ret_cut);

#endif
