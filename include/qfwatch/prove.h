/* prove.h - what follows from a policy as a whole and may not be meant: rules that never act, tiers
 * that are left or entered by none, moves in a circle.
 *
 * Pure. What is told is certain, but not all that is certain is told: a rule of which nothing is
 * said may never act all the same. Only of circles is told what is possible.
 */
#ifndef QFWATCH_PROVE_H
#define QFWATCH_PROVE_H

#include <stdint.h>

#include "qfwatch/policy.h"
#include "qfwatch/problem.h"

/* What sendmail does with messages by itself, as one of its .cf files says. Times are in seconds.
 */
struct prove_sendmail {
	const char *file;
	/* Timeout.queuereturn: of the kind of messages that it returns first, and last. A message
	 * is returned when it is tried and older than that; INT64_MAX: never. */
	int64_t return_first, return_last;
	int64_t min_queue_age; /* a message is not tried again before; 0: no such time */
	int64_t max_queue_age; /* the time between two tries grows up to this; 0: it does not */
	const char *queue_directory; /* may be a glob; NULL: not known */
};

/* Adds a note for each finding, in the order of the policy: "PATH: FOUND at POINTER: EXPECTED".
 * sendmail may be NULL. The policy was loaded without a finding that makes it invalid. */
void policy_prove(const struct policy *policy, const char *path,
		  const struct prove_sendmail *sendmail, struct problems *problems);

#endif
