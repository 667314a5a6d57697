/* replay_lives.c - see replay_lives.h */
#include "replay_lives.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/hash.h"
#include "qfwatch/xalloc.h"

/* ---- the order: a binary heap ---- */

static void put(struct lives *lives, size_t place, struct life *life)
{
	lives->order[place] = life;
	life->place = place;
}

static void rise(struct lives *lives, size_t place)
{
	struct life *life = lives->order[place];

	while (place && lives->order[(place - 1) / 2]->again > life->again) {
		put(lives, place, lives->order[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(lives, place, life);
}

static void sink(struct lives *lives, size_t place)
{
	struct life *life = lives->order[place];

	for (;;) {
		size_t child = 2 * place + 1;

		if (child >= lives->ordered)
			break;
		if (child + 1 < lives->ordered &&
		    lives->order[child + 1]->again < lives->order[child]->again)
			child++;
		if (lives->order[child]->again >= life->again)
			break;
		put(lives, place, lives->order[child]);
		place = child;
	}
	put(lives, place, life);
}

static void take_out(struct lives *lives, struct life *life)
{
	size_t place = life->place;
	struct life *last;

	if (place == SIZE_MAX)
		return;
	last = lives->order[--lives->ordered];
	life->place = SIZE_MAX;
	if (last == life)
		return;
	put(lives, place, last);
	rise(lives, place);
	sink(lives, last->place);
}

void lives_schedule(struct lives *lives, struct life *life, int64_t again)
{
	if (again == life->again && (again == INT64_MAX) == (life->place == SIZE_MAX))
		return;
	take_out(lives, life);
	life->again = again;
	if (again == INT64_MAX)
		return;
	if (lives->ordered == lives->room) {
		lives->room = lives->room ? lives->room * 2 : 256;
		lives->order = xreallocarray(lives->order, lives->room, sizeof(struct life *));
	}
	put(lives, lives->ordered++, life);
	rise(lives, life->place);
}

struct life *lives_first(const struct lives *lives)
{
	return lives->ordered ? lives->order[0] : NULL;
}

/* ---- by their ids ---- */

static uint64_t hash_of(const char *id)
{
	uint64_t hash = hash_bytes(id, strlen(id));

	return hash ^ hash >> 32;
}

static struct life **bucket_of(const struct lives *lives, uint64_t hash)
{
	return &lives->buckets[hash & (lives->n_buckets - 1)];
}

static void grow(struct lives *lives)
{
	struct lives old = *lives;

	if (lives->n_buckets && lives->count < lives->n_buckets)
		return;
	lives->n_buckets = old.n_buckets ? old.n_buckets * 2 : 1024;
	lives->buckets = xcalloc(lives->n_buckets, sizeof(struct life *));
	for (size_t i = 0; i < old.n_buckets; i++) {
		struct life *next;

		for (struct life *life = old.buckets[i]; life; life = next) {
			struct life **bucket = bucket_of(lives, life->hash);

			next = life->next;
			life->next = *bucket;
			*bucket = life;
		}
	}
	free(old.buckets);
}

struct life *lives_find(const struct lives *lives, const char *id)
{
	uint64_t hash = hash_of(id);

	if (!lives->n_buckets)
		return NULL;
	for (struct life *life = *bucket_of(lives, hash); life; life = life->next)
		if (life->hash == hash && strcmp(life->id, id) == 0)
			return life;
	return NULL;
}

struct life *lives_add(struct lives *lives, const char *id, size_t bits)
{
	size_t length = strlen(id) + 1;
	struct life *life = xcalloc(1, sizeof *life + length), **bucket;

	memcpy(life->id, id, length);
	life->told = xcalloc(bits / 8 + 1, 1);
	life->hash = hash_of(id);
	life->place = SIZE_MAX;
	life->again = INT64_MAX;
	grow(lives);
	bucket = bucket_of(lives, life->hash);
	life->next = *bucket;
	*bucket = life;
	lives->count++;
	return life;
}

static void destroy(struct life *life)
{
	free(life->domains);
	free(life->told);
	free(life);
}

void lives_remove(struct lives *lives, struct life *life)
{
	struct life **link = bucket_of(lives, life->hash);

	while (*link != life)
		link = &(*link)->next;
	*link = life->next;
	lives->count--;
	take_out(lives, life);
	destroy(life);
}

void lives_each(struct lives *lives, void (*visit)(void *context, struct life *life), void *context)
{
	for (size_t i = 0; i < lives->n_buckets; i++) {
		struct life *next;

		for (struct life *life = lives->buckets[i]; life; life = next) {
			next = life->next;
			visit(context, life);
		}
	}
}

void lives_free(struct lives *lives)
{
	for (size_t i = 0; i < lives->n_buckets; i++) {
		struct life *next;

		for (struct life *life = lives->buckets[i]; life; life = next) {
			next = life->next;
			destroy(life);
		}
	}
	free(lives->buckets);
	free(lives->order);
	*lives = (struct lives){0};
}
