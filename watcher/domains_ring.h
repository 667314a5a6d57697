/* domains_ring.h - events counted in 32 buckets of time: what happened to one domain within one
 * window. Pure; for domains.c only.
 */
#ifndef QFWATCH_DOMAINS_RING_H
#define QFWATCH_DOMAINS_RING_H

#include <stdbool.h>
#include <stdint.h>

/* A window is at most 30 buckets wide; 31 of them overlap it at any second. */
#define RING_BUCKETS 32

struct ring {
	int64_t newest; /* number of the newest bucket; negative: nothing is counted */
	uint32_t counts[RING_BUCKETS]; /* bucket b stands at b % RING_BUCKETS: newest and the 31
					  before it */
};

/* How long an event counts, and how many seconds a bucket has. Bucket b is of the seconds from
 * b * width on. */
struct ring_span {
	int64_t within, width;
};

struct ring_span ring_span_of(int64_t within);

void ring_empty(struct ring *ring);

uint32_t ring_count(const struct ring *ring, int64_t bucket);

/* How many are in the ring at `at`. *ret_oldest: the first bucket that was added up. */
uint64_t ring_sum(const struct ring *ring, const struct ring_span *span, int64_t at,
		  int64_t *ret_oldest);

/* Adds to a bucket that still counts, and so is not 32 or more before the newest. Returns what
 * there was room for. */
uint32_t ring_add(struct ring *ring, int64_t bucket, uint32_t count);

/* The first second at which the bucket counts no more. */
int64_t ring_bucket_end(const struct ring_span *span, int64_t bucket);

#endif
