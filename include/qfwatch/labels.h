/* labels.h - the domains of each message, as numbers of names that are kept once: so that "which
 * domains, how old" and "only example.net" can be answered for a million messages without opening a
 * file.
 *
 * Eight bytes a message, by its number in the table; each set of several recipient domains is kept
 * once. All is bounded: LABELS_NAMES names at a time (what comes after them is LABELS_OTHER until
 * others go), LABELS_MANY domains a message, LABELS_LISTED numbers in all sets. A name goes when
 * its last message does.
 */
#ifndef QFWATCH_LABELS_H
#define QFWATCH_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"
#include "qfwatch/table.h"

#define LABELS_NAMES  100000
#define LABELS_MANY   64
#define LABELS_LISTED 8000000

/* Longest name, bytes; a longer one is LABELS_OTHER. */
#define LABELS_NAME_MAX 255

#define LABELS_OTHER 0		/* a name that is not kept */
#define LABELS_NONE  UINT32_MAX /* a message without a sender */

struct labels;

struct labels *labels_new(void);	 /* never NULL (xalloc.h) */
void labels_free(struct labels *labels); /* NULL is fine */

/* What the message's text says. Domains that stand there twice are kept once. One with more than
 * LABELS_MANY is not known afterwards: its text has to be asked. */
void labels_set(struct labels *labels, msgref ref, const struct policy_text *text);

/* It is gone, or not known any more. */
void labels_clear(struct labels *labels, msgref ref);

bool labels_are_known(const struct labels *labels, msgref ref);

/* The numbers of its recipients' domains, in no order of the message's; how many. Good until the
 * next change. 0 for one that is not known. */
size_t labels_recipients(const struct labels *labels, msgref ref, const uint32_t **ret);

/* That of its sender's domain, or LABELS_NONE. */
uint32_t labels_sender(const struct labels *labels, msgref ref);

/* The name of a number: lower case, empty for what is local; "(other)" for LABELS_OTHER. */
struct policy_slice labels_name(const struct labels *labels, uint32_t number);

/* A number gets another serial with each name that it stands for. */
uint32_t labels_serial(const struct labels *labels, uint32_t number);

/* All numbers are below this. */
uint32_t labels_numbers(const struct labels *labels);

/* Bytes taken, all told. */
size_t labels_memory(const struct labels *labels);

#endif
