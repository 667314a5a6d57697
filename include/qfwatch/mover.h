/* mover.h - the only code that links, renames and unlinks spool files (but for recover.c, which
 * cleans up after a crash).
 *
 * Every function is called with the message's qf locked (lock.h) and verified, and leaves it so;
 * after each single system call no two queue runners can see the message, and none sees a part of
 * it. INTERNALS.md has the tables of states.
 */
#ifndef QFWATCH_MOVER_H
#define QFWATCH_MOVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qfwatch/spool.h"
#include "qfwatch/trouble.h"

/* Hidden names, which sendmail's runners ignore. What follows each prefix is in INTERNALS.md, with
 * what recovery makes of it; the queue id always comes last. */
#define MOVER_DELETING SPOOL_HIDDEN "delete-" /* a qf on its way out: ID */
#define MOVER_MOVING                                                                               \
	SPOOL_HIDDEN "move-" /* a qf on its way to another directory: inode of its df, ID */
#define MOVER_SENT                                                                                 \
	SPOOL_HIDDEN "sent-" /* a qf of which the target has a full copy: inode of the target, ID  \
			      */
#define MOVER_GOT     SPOOL_HIDDEN "got-" /* in the target: the copy is being taken over: ID */
#define MOVER_COPY_QF SPOOL_HIDDEN "qf-"  /* in the target: a copy of the qf: ID */
#define MOVER_COPY_DF SPOOL_HIDDEN "df-"  /* in the target: a copy of the df: ID */

/* What the file of MOVER_GOT says: the inode of the source's queue directory. */
#define MOVER_MARK "%llx"

struct mover_result {
	enum trouble trouble; /* TROUBLE_NONE: done */
	int error;	      /* errno with TROUBLE_ERROR and TROUBLE_LINK_REFUSED */
	const char *step;     /* with `error`: the system call and what it was for, static */
	bool leftover;	      /* something of ours could not be removed: recovery is due */
};

/* Moves a message within one file system: link df, rename qf (the commit), unlink the old df; where
 * hard links are refused, by a hidden name. `transcript`: it may have an xf, which a dead runner
 * left and which goes. TROUBLE_OTHER_FILE_SYSTEM: mover_copy is needed. On any trouble the message
 * stands where it stood. */
struct mover_result mover_move(const struct qdir *from, const struct qdir *to, const char *id,
			       size_t length, bool transcript);

/* Moves a message to another file system: a full copy under hidden names, verified and on disk,
 * before the source is hidden; then the copy takes its place and the source goes. May take long:
 * call it from a thread of its own. `qf` is the open, locked qf. Gives up, with everything as it
 * was, when *cancel becomes true in time (TROUBLE_ERROR with ECANCELED). */
struct mover_result mover_copy(const struct qdir *from, const struct qdir *to, const char *id,
			       size_t length, int qf, const atomic_bool *cancel);

/* Deletes a message: the qf takes a hidden name (the commit), then df and qf go. */
struct mover_result mover_delete(const struct qdir *from, const char *id, size_t length);

/* The same for a message that sendmail has quarantined: its control file is an hf. It is moved by
 * hard links only, because a hidden name would come back as a qf, and release it: else
 * TROUBLE_QUARANTINED. */
struct mover_result mover_move_held(const struct qdir *from, const struct qdir *to, const char *id,
				    size_t length, bool transcript);
struct mover_result mover_delete_held(const struct qdir *from, const char *id, size_t length);

/* Looks at a message's df: its size, and whether it is what a body has to be (a regular file with
 * one link). Returns TROUBLE_NONE, TROUBLE_BODY_MISSING, TROUBLE_BODY_UNSAFE, TROUBLE_BODY_LINKS,
 * or TROUBLE_ERROR with *ret_error. *ret is set in all cases but MISSING and ERROR. */
enum trouble mover_look_at_body(const struct qdir *dir, const char *id, size_t length,
				struct stat *ret, int *ret_error);

/* Removes a name. True when it is gone, also when it was gone before; errno otherwise. */
bool mover_remove(int folder, const char *name);

/* Writes a hidden name: prefix, the inode in hexadecimal and "-" unless it is 0, the id. Returns
 * false when it is longer than a file name. */
bool mover_hidden_name(char *name, const char *prefix, ino_t inode, const char *id, size_t length);

#endif
