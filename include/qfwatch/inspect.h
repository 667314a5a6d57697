/* inspect.h - all that can be known of one message from outside: found by its id, its name or its
 * path, read, its lock looked at. Touches nothing and takes no lock; works beside the daemon and
 * without one.
 */
#ifndef QFWATCH_INSPECT_H
#define QFWATCH_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qfwatch/locked.h"
#include "qfwatch/policy.h"
#include "qfwatch/problem.h"
#include "qfwatch/qfile.h"
#include "qfwatch/spool.h"
#include "qfwatch/trouble.h"

/* Opens the policy's tiers for reading. Where some cannot be opened the others are all the same:
 * *ret_lost has a bit for each tier of which nothing is open, and *problems says why. Returns 0, or
 * -errno when none could be opened. End with spool_free. */
int inspect_open(struct spool *spool, const struct policy *policy, struct problems *problems,
		 uint64_t *ret_lost);

/* How many messages stand in a tier: counts the names in its directories. */
uint64_t inspect_count(const struct spool *spool, unsigned tier);

/* Who has claimed the directory (claim.h): the daemon that serves it. The lock files are looked for
 * where any user's daemon may have put them. */
void inspect_daemon(const struct qdir *dir, struct locked *ret);

/* Where a message stands. */
struct inspect_place {
	const struct qdir *dir; /* NULL: in no tier, a file of its own */
	bool held;		/* its control file is an hf: sendmail has quarantined it */
	int folder;		/* open: where its control file stands */
	char *path;		/* of its control file */
	char name[SPOOL_NAME_MAX];
	const char *id; /* in `name` */
};

/* A message as it was read. */
struct inspected {
	const struct inspect_place *place;
	/* Of the control file: TROUBLE_NONE and it was read; else why not, and errno with
	 * TROUBLE_ERROR and TROUBLE_UNREADABLE. */
	enum trouble trouble;
	int error;
	bool has_stat; /* it could be opened: `stat` and `lock` are known */
	struct stat stat;
	struct qfile file;	 /* these two: only where it was read */
	struct policy_text text; /* valid until the next inspect_read or inspect_free */
	bool quarantined;	 /* it is an hf, or has a q line */
	/* Of the body, as mover_look_at_body says. */
	enum trouble body_trouble;
	int body_error;
	bool has_size;
	struct stat body;
	/* Where the body has two links: the directory of a tier where the other one stands without
	 * a qf, left by an interrupted move. The daemon clears that. */
	const struct qdir *second_link;
	struct locked lock; /* who has its lock now */
};

struct inspect;

/* The spool is borrowed; it may be empty. Never NULL. */
struct inspect *inspect_new(const struct spool *spool);
void inspect_free(struct inspect *inspect); /* NULL is fine */

/* Finds what a word means: a queue id, the name of a qf, hf or df, or the path of one, in a tier or
 * elsewhere. An id may stand in several places, which is a trouble of its own. Returns how many
 * there are, 0 for none, -EINVAL for what can be no id. *ret is valid until the next call. */
int inspect_find(struct inspect *inspect, const char *word, const struct inspect_place **ret);

/* What is there of a message that is not found: "sendmail has given it up: QfID in DIR". "" for
 * nothing. Returns buffer. */
char *inspect_trace(const struct inspect *inspect, const char *word, char *buffer, size_t size);

/* Reads it. What is replaced meanwhile is read again; TROUBLE_GONE: look for it again. */
void inspect_read(struct inspect *inspect, const struct inspect_place *place,
		  struct inspected *ret);

/* What the policy may ask of a message that was read, in that tier. The text is borrowed. */
struct policy_message inspect_facts(const struct inspected *inspected, unsigned tier,
				    uint64_t tier_messages);

#endif
