/* recover.h - finishes what a crash interrupted. INTERNALS.md has the table of states that it finds
 * and what it does.
 *
 * Nothing is removed that is not proven redundant: sendmail writes the df of a new message before
 * its qf, so a df that stands alone is never touched for that reason.
 */
#ifndef QFWATCH_RECOVER_H
#define QFWATCH_RECOVER_H

#include <stddef.h>
#include <sys/stat.h>

#include "qfwatch/spool.h"

/* A message whose df (`body`, as stat'ed in `home`) has two links, its qf locked by the caller:
 * looks for the other name in the queue directories of the spool, under the same queue id, and
 * removes it where no control file of that id stands beside it. Returns the directory from which a
 * link was removed, NULL when none was found; -errno in *ret_error when one was found but could not
 * be removed (else 0). */
const struct qdir *recover_second_link(const struct spool *spool, const struct qdir *home,
				       const char *id, size_t length, const struct stat *body,
				       int *ret_error);

/* A hidden name found in the qf folder of a directory: finishes the deletion that it stands for.
 * Returns 1 when it did so, with *ret_id pointing into name; 0 when the name is not one that we
 * know (left alone); or -errno. */
int recover_hidden(const struct qdir *dir, const char *name, const char **ret_id);

#endif
