/* replay_lives.h - the messages that a replay has in memory: found by their queue id, ordered by
 * when they are to be asked again. Inside the replay only. */
#ifndef QFWATCH_REPLAY_LIVES_H
#define QFWATCH_REPLAY_LIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIFE_GONE    UINT16_MAX	      /* in no tier any more */
#define LIFE_OUTSIDE (UINT16_MAX - 1) /* in a tier that the new policy does not have */

struct life {
	struct life *next; /* in its bucket */
	uint64_t hash;
	size_t place;  /* in the order; SIZE_MAX: not in it */
	int64_t again; /* second in which it is asked again; INT64_MAX: never */
	int64_t created;
	int64_t last_attempt;
	uint64_t size; /* 0: not known */
	uint64_t visited, marks;
	uint32_t attempts;
	uint32_t run;	    /* the last one that told of it */
	uint16_t recorded;  /* index among the result's tiers, or LIFE_GONE */
	uint16_t simulated; /* index among the policy's tiers, or one of the two */
	uint16_t removed;   /* the policy's rule that removed it from the simulation */
	bool knows_last_attempt;
	bool knows_domains;
	char *domains; /* each NUL-terminated, an empty one at the end; NULL: none */
	uint8_t *told; /* bit i: counted as unknown for rule i; bit n_rules + i: as a circle */
	char id[];
};

struct lives {
	struct life **buckets;
	size_t n_buckets, count;
	struct life **order; /* a heap: the earliest first */
	size_t ordered, room;
};

void lives_free(struct lives *lives);

struct life *lives_find(const struct lives *lives, const char *id);

/* One that is not there yet; `told` has room for so many bits. */
struct life *lives_add(struct lives *lives, const char *id, size_t bits);
void lives_remove(struct lives *lives, struct life *life);

/* Sets when it is asked again. */
void lives_schedule(struct lives *lives, struct life *life, int64_t again);

/* The one that is first asked again; NULL: none. */
struct life *lives_first(const struct lives *lives);

/* Calls `visit` for all, which may remove the one it is called for, and no other. */
void lives_each(struct lives *lives, void (*visit)(void *context, struct life *life),
		void *context);

#endif
