/* recover.h - finishes or takes back what a crash interrupted. INTERNALS.md has the tables of
 * states that it finds and what it does with each.
 *
 * Nothing is removed that is not proven redundant: sendmail writes the df of a new message before
 * its qf, so a df that stands alone is never touched for that reason. What another process is at
 * work at is locked, and left alone.
 */
#ifndef QFWATCH_RECOVER_H
#define QFWATCH_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "qfwatch/spool.h"

/* What was found and done about one message, for the event that tells it. */
struct recovery {
	const char *id; /* borrowed from the name that was given */
	size_t id_length;
	const char *found; /* static: what the crash left; NULL: nothing of ours */
	const char *done;  /* static: what was done about it; NULL: nothing could be done */
	int error;	   /* errno of what failed, or 0 */
};

/* A message whose df (`body`, as stat'ed in `home`) has two links, its qf locked by the caller:
 * looks for the other name in the queue directories of the spool, under the same queue id, and
 * removes it where no control file of that id stands beside it. Returns the directory from which a
 * link was removed, NULL when none was found; -errno in *ret_error when one was found but could not
 * be removed (else 0). */
const struct qdir *recover_second_link(const struct spool *spool, const struct qdir *home,
				       const char *id, size_t length, const struct stat *body,
				       int *ret_error);

/* The xf of a message that a dead runner left in `dir`, and that stands in `home` now by that
 * control file: removed, unless that is locked, or a control file of that id stands in `dir` too.
 * Returns true when it is gone. */
bool recover_transcript(const struct qdir *dir, const struct qdir *home, const char *control,
			const char *id, size_t length);

/* What the lock file of a directory says was being done to it when the daemon was killed: if a df
 * of that message stands alone, where it was linked to or where it was linked from, it goes. *ret
 * as for recover_hidden. To be called once all directories are open. Returns false
 * when the other directory of the move is away, so that nothing is known. */
bool recover_intent(const struct spool *spool, const struct qdir *dir, struct recovery *ret);

/* A hidden name found in a folder of a directory: finishes or takes back what it stands for. *ret
 * tells; ret->found is NULL when the name is not ours, or somebody is at work at it. */
void recover_hidden(const struct spool *spool, const struct qdir *dir, const char *name,
		    struct recovery *ret);

#endif
