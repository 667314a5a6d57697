/* mover.h - the only code that links, renames and unlinks spool files (but for recover.c, which
 * cleans up after a crash).
 *
 * Every function is called with the message's qf locked (lock.h) and verified, and leaves it so;
 * after each single system call the message is whole in exactly one tier. INTERNALS.md has the
 * table of states.
 */
#ifndef QFWATCH_MOVER_H
#define QFWATCH_MOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qfwatch/spool.h"
#include "qfwatch/trouble.h"

struct mover_result {
	enum trouble trouble; /* TROUBLE_NONE: done */
	int error;	      /* errno with TROUBLE_ERROR and TROUBLE_LINK_REFUSED */
	const char *step;     /* with `error`: the system call and what it was for, static */
	bool leftover;	      /* a second link to the df could not be removed: recovery is due */
};

/* Moves a message within one file system: link df, rename qf (the commit), unlink the old df. On
 * any trouble the message stands where it stood. */
struct mover_result mover_move(const struct qdir *from, const struct qdir *to, const char *id,
			       size_t length);

/* Deletes a message: the qf takes a hidden name (the commit), then df and qf go. */
struct mover_result mover_delete(const struct qdir *from, const char *id, size_t length);

/* Looks at a message's df: its size, and whether it is what a body has to be (a regular file with
 * one link). Returns TROUBLE_NONE, TROUBLE_BODY_MISSING, TROUBLE_BODY_UNSAFE, TROUBLE_BODY_LINKS,
 * or TROUBLE_ERROR with *ret_error. *ret is set in all cases but MISSING and ERROR. */
enum trouble mover_look_at_body(const struct qdir *dir, const char *id, size_t length,
				struct stat *ret, int *ret_error);

/* Prefix of the hidden name under which a qf waits for its deletion; the queue id follows. */
#define MOVER_DELETING SPOOL_HIDDEN "delete-"

#endif
