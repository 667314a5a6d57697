/* spool.h - the tiers on disk: which queue directories each has, how they are laid out, and whether
 * they are still there.
 *
 * A queue directory is flat, or has folders qf/, df/, xf/ inside, each by itself, as sendmail looks
 * for them (multiqueue_cache in sendmail/queue.c). A tier whose directory is a glob has one queue
 * directory for each match.
 */
#ifndef QFWATCH_SPOOL_H
#define QFWATCH_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "qfwatch/claim.h"
#include "qfwatch/policy.h"
#include "qfwatch/problem.h"
#include "qfwatch/transcripts.h"

/* Room for "qf" and the longest queue id, and for a hidden name made of it. */
#define SPOOL_NAME_MAX 256

/* Names that begin so are ours; sendmail's runners ignore them. */
#define SPOOL_HIDDEN ".qfwatch-"

enum qdir_state {
	QDIR_UNUSED, /* a free place in the array */
	QDIR_NEW,    /* open, but not watched and scanned yet */
	QDIR_ACTIVE,
	QDIR_LOST, /* its directory is gone, replaced or unreadable; messages known in it are kept
		      in memory */
	QDIR_LEAVING, /* the policy does not name it any more */
};

struct qdir {
	enum qdir_state state;
	char *path;	/* absolute */
	unsigned tier;	/* index in the policy in force */
	int fd;		/* the queue directory; -1 unless NEW or ACTIVE */
	int qf, df, xf; /* where each kind of file stands; the same number as fd where there is no
			   folder for it */
	dev_t device;	/* of the queue directory */
	ino_t inode;
	dev_t qf_device, df_device; /* of the folders: a folder may be a mount of its own */
	bool mounted;		    /* something was mounted here when it was opened */
	dev_t home_device;	    /* of the first directory that was opened here */
	ino_t home_inode;
	bool parent_watched; /* the engine's: the kernel tells when it is removed */
	bool unreliable; /* a file system that sends no or partial notifications: it is scanned on a
			    timer as well */
	size_t messages; /* how many the table holds; the engine counts */
	int error;	 /* the engine's: why it was lost, an errno */
	int64_t bounce_at; /* the engine's: when a bounce of sendmail's last appeared here */
	int64_t unread_at; /* the engine's: when a qf last went before it could be read */
	uint64_t verified; /* the engine's: the turn in which its path was last looked at */
	struct transcripts transcripts; /* the engine's: of a flat directory */
	struct claim claim;
};

struct spool {
	struct qdir *dirs;
	size_t n_dirs; /* places, used or not; a directory keeps its place while it is known */
};

enum spool_access {
	SPOOL_READ,  /* look only (dry run) */
	SPOOL_WRITE, /* look and move, without a claim */
	SPOOL_CLAIM, /* the same, as the only daemon */
};

/* Zero-initialise a spool; this ends it. */
void spool_free(struct spool *spool);

/* What has to change for the spool to be what a policy says: made by spool_plan, then either put
 * into force by spool_commit or given up by spool_abandon. The spool must not change in between. */
struct spool_plan;

/* Opens the directories that the policy names and that are not known yet. A tier that does not
 * exist, is no directory, lies in another, is named twice or may not be used is a finding in
 * *problems. Returns 0 and *ret, or -errno with nothing opened; -EBUSY: another daemon has one of
 * them. */
int spool_plan(const struct spool *spool, const struct policy *policy, enum spool_access access,
	       struct problems *problems, struct spool_plan **ret);

/* Of the directories that a policy names and that are there now: which are one by two names, or lie
 * in one another, is a finding in *problems, in the words of spool_plan. Opens, makes and claims
 * nothing, and passes over what is not there. */
void spool_compare(const struct policy *policy, struct problems *problems);

/* What was opened is NEW, what the policy does not name any more is LEAVING, the others take their
 * tier's new index. Frees the plan. Pointers into spool->dirs are no longer good. */
void spool_commit(struct spool *spool, struct spool_plan *plan);

/* Closes what was opened and frees the plan. */
void spool_abandon(struct spool_plan *plan);

/* Opens directories that match a glob tier since the last look. Returns how many are NEW; what may
 * not be opened is a finding in *problems and left out. */
int spool_grow(struct spool *spool, const struct policy *policy, enum spool_access access,
	       struct problems *problems);

/* Does the path still lead to the directory that is open? 0, -ENOENT, -ESTALE (to another one), or
 * -errno. The folders inside are looked at too: five system calls in the split layout, one in the
 * flat one. */
int spool_verify(const struct qdir *dir);

/* Closes a directory that is lost. Its path, tier and place stay. */
void spool_lose(struct qdir *dir);

/* Tries to open a lost directory again by its path: 0 (now NEW) or -errno. -ENODEV: it used to be a
 * mount point, and nothing is mounted there now; what would be put under it would vanish with the
 * next mount. */
int spool_reopen(struct qdir *dir, enum spool_access access);

/* Frees a place whose messages are all forgotten. */
void spool_drop(struct qdir *dir);

/* The place of a directory in the array. */
static inline uint16_t spool_index(const struct spool *spool, const struct qdir *dir)
{
	return (uint16_t)(dir - spool->dirs);
}

/* The directory of a tier that a message with this id goes to, of those that are there: by a hash
 * of the id, or the one with the fewest messages. NULL when the tier has none now. */
struct qdir *spool_place(const struct spool *spool, unsigned tier, enum policy_place place,
			 const char *id, size_t length);

/* If `name` is a qf ("qf" and a queue id of 1 to 253 bytes), sets the id, which points into name.
 */
bool spool_queue_id(const char *name, const char **ret_id, size_t *ret_length);

/* The same for an hf as well, the control file of a message that sendmail has quarantined: then
 * *ret_held is set. */
bool spool_control_id(const char *name, const char **ret_id, size_t *ret_length, bool *ret_held);

/* Writes prefix and id, NUL-terminated, into name[SPOOL_NAME_MAX]. Returns false when it is longer
 * than a file name. */
bool spool_name(char *name, const char *prefix, const char *id, size_t length);

#endif
