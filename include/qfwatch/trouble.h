/* trouble.h - why a message is left where it is, each with its words and its remedy. */
#ifndef QFWATCH_TROUBLE_H
#define QFWATCH_TROUBLE_H

#include <stdbool.h>

#include "qfwatch/qfile.h"

enum trouble {
	TROUBLE_NONE,
	TROUBLE_GONE,	 /* the name is not there any more: no trouble, but nothing to do either */
	TROUBLE_CHANGED, /* replaced while we looked: look again */
	TROUBLE_LOCKED,	 /* somebody else holds its lock */
	TROUBLE_ERROR,	 /* a system call failed: see the errno beside it */
	/* The qf is not a file that we touch. */
	TROUBLE_SYMLINK,
	TROUBLE_DIRECTORY,
	TROUBLE_FIFO,
	TROUBLE_SOCKET,
	TROUBLE_DEVICE,
	TROUBLE_LINKS,
	TROUBLE_LARGE,
	TROUBLE_UNREADABLE,
	/* The qf says nothing that we believe: one for each enum qfile_verdict, in that order. */
	TROUBLE_EMPTY,
	TROUBLE_INCOMPLETE,
	TROUBLE_NO_CREATED,
	TROUBLE_NO_ATTEMPTS,
	TROUBLE_BAD_CREATED,
	TROUBLE_BAD_LAST_ATTEMPT,
	TROUBLE_BAD_ATTEMPTS,
	TROUBLE_TWICE,
	TROUBLE_TRAILING,
	/* The message cannot be moved or deleted safely. */
	TROUBLE_DATA_ELSEWHERE,
	TROUBLE_BODY_MISSING,
	TROUBLE_BODY_UNSAFE,
	TROUBLE_BODY_LINKS,
	TROUBLE_TARGET_HAS_QF,
	TROUBLE_TARGET_HAS_DF,
	TROUBLE_OTHER_FILE_SYSTEM,
	TROUBLE_LINK_REFUSED,
	TROUBLE_NO_ATOMIC_RENAME,
	TROUBLE_NAME_TOO_LONG,
	TROUBLE_CIRCLE,
	TROUBLE_TARGET_LOST,
	/* The message cannot be bounced, or not be moved so. */
	TROUBLE_AMBIGUOUS_ID,
	TROUBLE_QUARANTINED,
	/* A rule cannot be judged; others are. */
	TROUBLE_COSTLY,
	TROUBLES
};

enum trouble trouble_of_verdict(enum qfile_verdict verdict);

/* What it is, and what the operator can do about it ("" where there is nothing to say). Static. */
const char *trouble_text(enum trouble trouble);
const char *trouble_remedy(enum trouble trouble);

/* May it pass without the qf being rewritten? Then the message is tried again now and then. */
bool trouble_may_pass(enum trouble trouble);

/* The remedy for an errno met in a spool directory: rights, space, limits. Static, "" for unknown
 * ones. */
const char *trouble_errno_remedy(int error);

#endif
