/* transcripts.c - see transcripts.h. Open addressing; a place that becomes free is filled by those
 * behind it, so that there are no marks of what was removed. */
#include "qfwatch/transcripts.h"

#include <stdlib.h>

#include "qfwatch/hash.h"
#include "qfwatch/xalloc.h"

#define PLACES_MIN 64

static uint64_t key_of(const char *id, size_t length)
{
	uint64_t key = hash_bytes(id, length);

	key ^= key >> 32; /* the low bits choose the place */
	return key ? key : 1;
}

/* Its place, or the free one where it would go. There is one: at most half are taken. */
static size_t find(const struct transcripts *transcripts, uint64_t key)
{
	size_t at = key & transcripts->mask;

	while (transcripts->places[at] && transcripts->places[at] != key)
		at = (at + 1) & transcripts->mask;
	return at;
}

static void grow(struct transcripts *transcripts)
{
	struct transcripts old = *transcripts;
	size_t places = old.places ? 2 * (old.mask + 1) : PLACES_MIN;

	transcripts->places = xcalloc(places, sizeof *transcripts->places);
	transcripts->mask = places - 1;
	for (size_t i = 0; old.places && i <= old.mask; i++)
		if (old.places[i])
			transcripts->places[find(transcripts, old.places[i])] = old.places[i];
	free(old.places);
}

void transcripts_begin(struct transcripts *transcripts)
{
	transcripts_lose(transcripts);
	transcripts->known = true;
}

void transcripts_lose(struct transcripts *transcripts)
{
	free(transcripts->places);
	*transcripts = (struct transcripts){0};
}

void transcripts_add(struct transcripts *transcripts, const char *id, size_t length)
{
	uint64_t key = key_of(id, length);
	size_t at;

	if (!transcripts->known)
		return;
	if (2 * transcripts->count >= transcripts->mask)
		grow(transcripts);
	at = find(transcripts, key);
	if (transcripts->places[at])
		return;
	if (transcripts->count == TRANSCRIPTS_MAX) {
		transcripts_lose(transcripts);
		return;
	}
	transcripts->places[at] = key;
	transcripts->count++;
}

void transcripts_remove(struct transcripts *transcripts, const char *id, size_t length)
{
	uint64_t *places = transcripts->places;
	size_t mask = transcripts->mask, hole, at;

	if (!transcripts->count)
		return;
	hole = find(transcripts, key_of(id, length));
	if (!places[hole])
		return;
	transcripts->count--;
	/* Who stands behind it but belongs at it or before it, moves up. */
	for (at = (hole + 1) & mask; places[at]; at = (at + 1) & mask) {
		if (((at - places[at]) & mask) < ((at - hole) & mask))
			continue;
		places[hole] = places[at];
		hole = at;
	}
	places[hole] = 0;
}

bool transcripts_may_have(const struct transcripts *transcripts, const char *id, size_t length)
{
	if (!transcripts->known)
		return true;
	return transcripts->count && transcripts->places[find(transcripts, key_of(id, length))];
}
