/* domains_ring.c - see domains_ring.h */
#include "domains_ring.h"

#include <string.h>

/* Of the buckets of a ring. */
#define WINDOW_WIDTH 30

#define EMPTY (-1)

struct ring_span ring_span_of(int64_t within)
{
	return (struct ring_span){within, (within + WINDOW_WIDTH - 1) / WINDOW_WIDTH};
}

void ring_empty(struct ring *ring)
{
	ring->newest = EMPTY;
}

uint32_t ring_count(const struct ring *ring, int64_t bucket)
{
	return ring->counts[(uint64_t)bucket % RING_BUCKETS];
}

/* A bucket counts as long as its last second does. */
int64_t ring_bucket_end(const struct ring_span *span, int64_t bucket)
{
	return (bucket + 1) * span->width - 1 + span->within;
}

/* The first bucket that counts at `at`. */
static int64_t first_bucket(const struct ring_span *span, int64_t at)
{
	int64_t since = at - span->within + 1;

	return since > 0 ? since / span->width : 0;
}

uint64_t ring_sum(const struct ring *ring, const struct ring_span *span, int64_t at,
		  int64_t *ret_oldest)
{
	int64_t first = first_bucket(span, at), kept = ring->newest - (RING_BUCKETS - 1);
	int64_t oldest = first > kept ? first : kept;
	uint64_t sum = 0;

	*ret_oldest = oldest;
	if (ring->newest == EMPTY)
		return 0;
	for (; oldest <= ring->newest; oldest++)
		sum += ring_count(ring, oldest);
	return sum;
}

uint32_t ring_add(struct ring *ring, int64_t bucket, uint32_t count)
{
	uint32_t *place = &ring->counts[(uint64_t)bucket % RING_BUCKETS];

	if (ring->newest == EMPTY || bucket - ring->newest >= RING_BUCKETS) {
		memset(ring->counts, 0, sizeof ring->counts);
		ring->newest = bucket;
	}
	while (ring->newest < bucket)
		ring->counts[(uint64_t)++ring->newest % RING_BUCKETS] = 0;
	if (count > UINT32_MAX - *place)
		count = UINT32_MAX - *place;
	*place += count;
	return count;
}
