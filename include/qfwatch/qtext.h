/* qtext.h - what only the text of a qf tells a policy: sender, recipients, status, headers. Pure:
 * bytes in, slices out; no file is opened here.
 *
 * Lines are taken as sendmail's readqf() takes them (8.17, sendmail/queue.c), and headers as its
 * dochompheader() does (sendmail/headers.c):
 *
 * - A line goes on in those after it that begin with a blank or a tab (fgetfolded()). Here the line
 *   breaks go and the white space stays, as RFC 5322 unfolds.
 * - Of several S lines the last one counts. A response (flag r on the F line) has the null sender
 *   whatever its S line says, because that is what sendmail sends it with: its own bounces stand
 *   in the queue as "SMAILER-DAEMON".
 * - readqf() ignores M lines; mailq shows the last one before the S line. That is the status. Only
 *   where none stands there, the first one after it, which is a recipient's own.
 * - R lines have flags up to a colon from version 1 on (V line); before, the address follows at
 *   once.
 * - sendmail puts 0xff before the bytes 0x80 to 0x9f and 0xff of what users gave it, so that they
 *   are not taken for its macros: a sharp s in UTF-8, c3 9f, stands in a qf as c3 ff 9f. This is
 *   undone; all other bytes stay as they are.
 *
 * The bytes may be anything. What cannot be understood is left out, as sendmail does.
 */
#ifndef QFWATCH_QTEXT_H
#define QFWATCH_QTEXT_H

#include <stddef.h>

#include "qfwatch/policy.h"

/* A reader whose memory is used again: once it has grown, an ordinary qf costs no allocation. What
 * an extraordinary one took is given back by the next call. */
struct qtext;

struct qtext *qtext_new(void);	      /* never NULL (xalloc.h) */
void qtext_free(struct qtext *qtext); /* NULL is fine */

/* Reads the bytes of a whole qf, up to its line ".". They must stay as they are while *ret is used,
 * which is valid until the next call for this qtext. Addresses have neither < > nor what stands
 * around them: display name, comment, source route. The null address is "<>"; an R line without any
 * address is no recipient. */
void qtext_read(struct qtext *qtext, const char *bytes, size_t length, struct policy_text *ret);

#endif
