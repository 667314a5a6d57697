/* fill.h - fills a queue directory with many realistic messages, fast.
 */
#ifndef QFWATCH_TEST_FILL_H
#define QFWATCH_TEST_FILL_H

#include <stdint.h>

#include "mta.h"

struct fill {
	uint64_t count;
	unsigned processes;	/* that write at the same time; 0: 2 */
	unsigned first_process; /* the queue ids end with this number and the next ones, see
				   mta_init */
	uint64_t seed;
	uint32_t attempts_least, attempts_most; /* N */
	int64_t age_most;			/* seconds; T lies that far back at most */
	size_t body_max;			/* 0: as mta_init has it */
};

/* Makes the directory where needed and writes the messages. 0, or the first error of any process
 * (negative errno). */
int fill_spool(const char *directory, enum mta_layout layout, const struct fill *fill);

#endif
