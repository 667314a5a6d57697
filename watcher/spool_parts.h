/* spool_parts.h - what the files of spool share. Nobody else includes it.
 *
 *   spool.c       names, one directory, and which of a tier's a message goes to
 *   spool_plan.c  which directories a policy means
 */
#ifndef QFWATCH_SPOOL_PARTS_H
#define QFWATCH_SPOOL_PARTS_H

#include "qfwatch/spool.h"

/* Opens dir->path. Returns 0 (it is NEW), or -errno with nothing left open; with -EBUSY *ret_owner
 * is the other daemon's pid, or 0. Where the lock file is why, *ret_lock names it; the caller frees
 * it. */
int spool_open(struct qdir *dir, enum spool_access access, pid_t *ret_owner, char **ret_lock);

/* Closes all of it, and gives up the claim. */
void spool_close(struct qdir *dir);

#endif
