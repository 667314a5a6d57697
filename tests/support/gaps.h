/* gaps.h - is nothing missing in event lines but what is announced? */
#ifndef QFWATCH_TESTING_GAPS_H
#define QFWATCH_TESTING_GAPS_H

#include <stdint.h>

/* Judges the lines of one run from the first on: the sequence has no holes but those that
 * events-dropped announces, in their very place, with first and last and number exactly so. Ends
 * the process if it is not so. Returns how many were dropped. */
intmax_t gaps_judge(const char *text, intmax_t *ret_last, unsigned *ret_gaps);

/* The same for lines that begin later: *last is the number before the first, and then the last. */
intmax_t gaps_judge_on(const char *text, intmax_t *last, unsigned *ret_gaps);

#endif
