/* doctor_counts.h - what doctor_spool.c counts, and doctor_stands.c tells. */
#ifndef QFWATCH_DOCTOR_COUNTS_H
#define QFWATCH_DOCTOR_COUNTS_H

#include "doctor_parts.h"
#include "qfwatch/survey.h"
#include "qfwatch/trouble.h"

/* What is counted, for each tier. */
enum count {
	GIVEN_UP,
	ORPHANS,
	STALE,
	HIDDEN,
	MISSING_DF,
	UNSAFE_MODE,
	UNSAFE_OWNER,
	ELSEWHERE,
	EMPTY,
	FUTURE,
	FORBIDDEN, /* the daemon's user may not read it */
	UNLINKABLE,
	FOREIGN, /* not the daemon's user's own */
	UNTRIED,
	COUNTS,
};

struct tally {
	uint64_t count;
	char example[SPOOL_NAME_MAX + 16]; /* printable */
};

/* What one thread has counted, or all together. */
struct counts {
	struct doctor *doctor;
	struct tally tallies[POLICY_MAX_TIERS][COUNTS];
	struct tally troubles[POLICY_MAX_TIERS][TROUBLES];
	uint64_t messages[POLICY_MAX_TIERS], waiting[POLICY_MAX_TIERS];
	uint32_t most_attempts[POLICY_MAX_TIERS];
	int64_t newest_attempt[POLICY_MAX_TIERS];
	uint64_t orphan_bytes;
};

/* Does a rule move messages of the tier to another file system? */
bool doctor_copies_from(const struct doctor *doctor, unsigned tier);

/* Findings from what was counted. */
void doctor_tell_counts(struct doctor *doctor, const struct survey *survey,
			const struct counts *counts);

#endif
