/* clock.h - the wall clock, read at the edges (loop, commands) and passed on as an argument. */
#ifndef QFWATCH_CLOCK_H
#define QFWATCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_SECOND INT64_C(1000000)

/* Microseconds since the epoch. */
static inline int64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * CLOCK_SECOND + now.tv_nsec / 1000;
}

/* Nanoseconds from some point: for how long something took. */
static inline int64_t clock_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#endif
