/* census.h - a policy and all messages of its tiers, read for a command: what `plan`, and `list`
 * and `shape` without a daemon, have in common around survey.h.
 */
#ifndef QFWATCH_CENSUS_H
#define QFWATCH_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "qfwatch/policy.h"
#include "qfwatch/problem.h"
#include "qfwatch/spool.h"
#include "qfwatch/survey.h"

/* Zero-initialise, end with census_free. */
struct census {
	/* One thread at a time may compare texts with the patterns of a policy: each has its own.
	 * They are equal, and where no text is compared the same. */
	struct policy *policies[SURVEY_MAX_THREADS];
	unsigned threads;
	struct spool spool;
	struct survey survey; /* its names are read: tiers[].messages */
};

/* Loads the policy at `path` (`copies`: each thread needs one of its own, whatever its rules are);
 * opens its tiers for reading; reads the names. Returns 0, or -errno with the findings in
 * *problems; census_free is right in each case. */
int census_open(struct census *census, const char *path, bool copies, struct problems *problems);

void census_free(struct census *census);

/* Messages that cannot be read or believed; and all but those that pass by themselves on every busy
 * spool. */
uint64_t census_troubled(const struct census *census);
uint64_t census_problems(const struct census *census);

/* One line for each kind of trouble: "3 left alone: the qf cannot be read (qfA in QUEUE): ...". */
void census_print_troubles(const struct census *census, FILE *to);

#endif
