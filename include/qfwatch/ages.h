/* ages.h - what stands in each tier now: how many messages in each state, how old they are, how
 * many bytes their bodies have. Kept up with every change, so that asking does not go through the
 * table.
 *
 * Pure: time is an argument (whole seconds since the epoch). Ages are kept by the minute of T for
 * the days from two weeks ago to tomorrow, and by the day for all others: T is what a qf says, and
 * may be any second that fits in 32 bits.
 *
 * How exact. How many there are is always exact. "Older than" is never too many, and a message is
 * counted at most a minute late if its day was kept by the minute when it came; else at most a day.
 * The oldest is told by the start of its minute, or of its day. Adding, removing and asking for a
 * day's minutes are O(1); asking is O(days between the oldest and the limit + 1440).
 */
#ifndef QFWATCH_AGES_H
#define QFWATCH_AGES_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/table.h"

struct ages;

struct ages *ages_new(void);
void ages_free(struct ages *ages); /* NULL is fine */

/* Empty again, and for so many tiers. */
void ages_reset(struct ages *ages, unsigned n_tiers);

/* What was counted for tier i is counted for tier to[i] from now on, of so many tiers; of several
 * that become one it is added up. What becomes none (AGES_NO_TIER) is forgotten. Minutes of days
 * that need the same place in a tier are kept for the later one. O(days) where tiers become one. */
#define AGES_NO_TIER UINT_MAX
void ages_renumber(struct ages *ages, const unsigned *to, unsigned n_tiers);

/* ---- changes; a tier that is not there is passed over ---- */

/* One message more, or less, in that state. */
void ages_enter(struct ages *ages, unsigned tier, enum message_state state);
void ages_leave(struct ages *ages, unsigned tier, enum message_state state);

/* One whose T is known. `created` is what it was added with. */
void ages_add(struct ages *ages, unsigned tier, uint32_t created, int64_t now);
void ages_remove(struct ages *ages, unsigned tier, uint32_t created);

void ages_add_bytes(struct ages *ages, unsigned tier, uint64_t bytes);
void ages_remove_bytes(struct ages *ages, unsigned tier, uint64_t bytes);

/* ---- asking ---- */

uint64_t ages_in_state(const struct ages *ages, unsigned tier, enum message_state state);

/* In all states. */
uint64_t ages_messages(const struct ages *ages, unsigned tier);

/* With a T that is known. */
uint64_t ages_known(const struct ages *ages, unsigned tier);

uint64_t ages_bytes(const struct ages *ages, unsigned tier);

/* How many are older than so many seconds. */
uint64_t ages_older_than(const struct ages *ages, unsigned tier, int64_t seconds, int64_t now);

/* The T of the oldest, seconds since the epoch; -1: there is none. May be in the future. */
int64_t ages_oldest(const struct ages *ages, unsigned tier);

/* Bytes taken, all told. */
size_t ages_memory(const struct ages *ages);

#endif
