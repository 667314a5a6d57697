/* stats.h - clocks, deadlines, random numbers and percentiles for the tests, the bench and the
 * demo. */
#ifndef QFWATCH_TEST_STATS_H
#define QFWATCH_TEST_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_US 1000LL
#define STATS_MS 1000000LL
#define STATS_S	 1000000000LL

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. */
int64_t stats_now(void);
int64_t stats_wall(void);

/* Sleeps until stats_now() is at least `until`; a signal does not cut it short. */
void stats_sleep_until(int64_t until);

/* splitmix64: small, seeded, good enough to play dice with. *state is the seed at first. */
uint64_t stats_random(uint64_t *state);

/* 0 <= result < limit; limit must not be 0. */
uint64_t stats_below(uint64_t *state, uint64_t limit);

/* A growing list of measurements. Zero-initialise; samples_free leaves it zero again. */
struct samples {
	int64_t *values;
	size_t count;
	size_t room;
};

void samples_add(struct samples *samples,
		 int64_t value); /* out of memory: says so and exits with 3 */
void samples_free(struct samples *samples);

/* The smallest value that at least `percent` of 100 values do not exceed (nearest rank): 50 is the
 * median, 0 the least, 100 the greatest. 0 without any values. Sorts the list. */
int64_t samples_percentile(struct samples *samples, double percent);

/* "81 ns", "74.2 us", "1.25 ms", "3.4 s": three digits that matter, for people. Returns buffer. */
char *stats_duration(int64_t nanoseconds, char *buffer, size_t size);

/* "1,000,000". Returns buffer. */
char *stats_thousands(uint64_t number, char *buffer, size_t size);

#endif
