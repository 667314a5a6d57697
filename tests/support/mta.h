/* mta.h - behaves on a spool as sendmail does: new messages, attempts, deferrals, deliveries.
 *
 * For tests, the bench and the demo. Every step on the disk is sendmail's own, in its order (8.17,
 * queueup(), readqf() and dropenvelope()), so that a program which watches the spool cannot tell
 * the difference:
 *
 *   new message   create df, write it, close; create qf with O_EXCL, lock it, write it, close
 *   attempt       open qf O_RDWR, lock it without waiting, compare fstat with stat, read it,
 *                 create xf (option)
 *   deferral      create tf, lock it, write it with N+1, rename(tf, qf), remove xf, close the old
 *                 qf, close the new one
 *   delivery      remove df, remove qf, remove xf, close qf
 *
 * All functions return 0 or a negative errno unless they say otherwise. Nothing here prints or
 * exits. A struct mta belongs to one thread. Locks made by flock exclude other threads too; those
 * made by fcntl exclude other processes only (POSIX), so use MTA_FCNTL with one thread a process.
 */
#ifndef QFWATCH_TEST_MTA_H
#define QFWATCH_TEST_MTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MTA_ID_LENGTH	   14
#define MTA_MAX_RECIPIENTS 50
#define MTA_QF_MAX	   32768 /* longest qf that is written or read */

enum mta_layout {
	MTA_FLAT,  /* all files in the queue directory */
	MTA_SPLIT, /* folders qf/, df/ and xf/ in it; tf stands in qf/ */
};

enum mta_locking {
	MTA_FLOCK, /* flock(LOCK_EX): Debian's build */
	MTA_FCNTL, /* fcntl(F_SETLK, F_WRLCK): upstream builds on Linux */
};

/* One queue directory, as descriptors of the folders that its files stand in. */
struct mta_queue {
	int qf;
	int df;
	int xf;
	enum mta_layout layout;
};

/* Opens a queue directory; it and the folders of its layout are made (mode 0750) where they do not
 * exist. */
int mta_queue_open(const char *directory, enum mta_layout layout, struct mta_queue *ret);
void mta_queue_close(struct mta_queue *queue);

/* The queue ids that have a qf now, in the order of the directory: *ret is an array of *ret_count,
 * freed by the caller. */
struct mta_id {
	char text[MTA_ID_LENGTH + 1];
};
int mta_queue_ids(const struct mta_queue *queue, struct mta_id **ret, size_t *ret_count);

/* One sendmail process: where queue ids and random choices come from. The options may be changed at
 * any time. */
struct mta {
	enum mta_locking locking; /* MTA_FLOCK */
	bool transcript;	  /* an attempt has an xf (true) */
	bool sync;		  /* fsync before a file counts, as with SuperSafe (false) */
	size_t body_max;	  /* largest body that mta_compose draws (40000 bytes) */
	/* The rest is its own. */
	uint64_t random;
	int64_t id_second;
	unsigned id_sequence;
	unsigned id_process;
};

/* `process` (0 to 999999) is the last part of the queue ids: as long as it differs, ids of two
 * struct mta never are the same. `now` (seconds) gives their first part. The same three arguments
 * give the same messages. Sets the process's umask to 0027, so that files get sendmail's mode 0640.
 */
void mta_init(struct mta *mta, uint64_t seed, unsigned process, int64_t now);

/* What stands in a new qf. */
struct mta_message {
	char id[MTA_ID_LENGTH + 1];
	int64_t created;      /* T, seconds since the epoch */
	int64_t last_attempt; /* K, the same; 0: never tried */
	uint32_t attempts;    /* N */
	unsigned recipients;  /* 1 to MTA_MAX_RECIPIENTS */
	const char
		*domain; /* of all recipients; NULL: of several domains, drawn from mta_domains */
	const char *status; /* M; NULL: no such line */
	size_t body;	    /* bytes of the df */
};

extern const char *const mta_domains[]; /* ends with NULL */

/* Draws a message: a fresh id, created now, never tried, most often one recipient and seldom 50, a
 * body of some size. */
void mta_compose(struct mta *mta, int64_t now, struct mta_message *ret);

/* Writes a message into a queue directory. -EEXIST: its df or qf stands there already. What a
 * failure left is removed. */
int mta_enqueue(struct mta *mta, const struct mta_queue *queue, const struct mta_message *message);

/* The instant just before the close that lets others have the qf. Nanoseconds. */
struct mta_release {
	int64_t wall;
	int64_t monotonic;
};

/* A message in the hands of a queue runner: locked from mta_attempt_begin until one of the three
 * ends below. */
struct mta_attempt {
	struct mta *mta;
	const struct mta_queue *queue;
	char id[MTA_ID_LENGTH + 1];
	int fd;
	bool transcript;
	int64_t created;
	int64_t last_attempt;
	uint32_t attempts;
	size_t length;
	char text[MTA_QF_MAX];
};

/* Takes a message for an attempt. -ENOENT: it is not there, or was replaced between open and lock;
 * -EWOULDBLOCK: somebody holds it; -EBADMSG: the qf has no final ".", or no T or N; -EFBIG: longer
 * than MTA_QF_MAX. *ret is set on success only. */
int mta_attempt_begin(struct mta *mta, const struct mta_queue *queue, const char *id,
		      struct mta_attempt *ret);

/* The destination answered "later": N+1, K=now (seconds), M=status. On failure the qf is as it was,
 * and let go. *ret_release may be NULL. */
int mta_attempt_defer(struct mta_attempt *attempt, int64_t now, const char *status,
		      struct mta_release *ret_release);

/* The destination took it: nothing of the message is left. */
int mta_attempt_deliver(struct mta_attempt *attempt, struct mta_release *ret_release);

/* Lets it go unchanged, as a runner does with a message that is too young (MinQueueAge). */
void mta_attempt_abandon(struct mta_attempt *attempt, struct mta_release *ret_release);

#endif
