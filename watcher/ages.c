/* ages.c - see ages.h
 *
 * Each tier counts its messages by the day of T, for every day that 32 bits can say; of that array
 * only the few pages of memory about today are ever touched. For 16 days there is room to count by
 * the minute as well: a day has the place of its number modulo 16, from its first message within
 * the window on until another day of the window needs it. What was counted for a day while it had
 * no minutes, or before it lost them, is "loose": of the day, but of no minute.
 *
 * A message that is removed is taken from its minute, if that has any, else from the loose ones. If
 * it was loose, and another one had the same minute, they have changed places: the sums stay right,
 * and nothing has to be remembered of a message.
 */
#include "qfwatch/ages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "qfwatch/xalloc.h"

enum {
	MINUTES = 1440,
	DAY = 86400,
	PLACES = 16,
	PAST = 14, /* days before today that are kept by the minute; tomorrow is, too */
	DAYS = UINT32_MAX / DAY + 1
};

#define DAYS_BYTES (DAYS * sizeof(uint32_t))

struct minutes {
	uint32_t day;
	uint32_t total;
	uint32_t counts[MINUTES];
};

struct tier {
	uint64_t states[MESSAGE_STATES];
	uint64_t known, bytes;
	uint32_t *days; /* DAYS of them; NULL: none yet */
	uint32_t first; /* no earlier day has any */
	struct minutes *minutes[PLACES];
};

struct ages {
	struct tier *tiers;
	unsigned n_tiers;
};

struct ages *ages_new(void)
{
	return xcalloc(1, sizeof(struct ages));
}

static void free_days(uint32_t *days)
{
	if (days)
		munmap(days, DAYS_BYTES);
}

static void free_tiers(struct ages *ages)
{
	for (unsigned i = 0; i < ages->n_tiers; i++) {
		for (unsigned j = 0; j < PLACES; j++)
			free(ages->tiers[i].minutes[j]);
		free_days(ages->tiers[i].days);
	}
	free(ages->tiers);
}

void ages_free(struct ages *ages)
{
	if (!ages)
		return;
	free_tiers(ages);
	free(ages);
}

void ages_reset(struct ages *ages, unsigned n_tiers)
{
	free_tiers(ages);
	ages->tiers = xcalloc(n_tiers + 1, sizeof *ages->tiers);
	ages->n_tiers = n_tiers;
}

/* ---- other numbers ---- */

static void merge_minutes(struct tier *to, struct minutes *from)
{
	struct minutes **place = &to->minutes[from->day % PLACES];

	if (!*place || (*place)->day < from->day) {
		free(*place);
		*place = from;
		return;
	}
	if ((*place)->day == from->day) {
		(*place)->total += from->total;
		for (unsigned i = 0; i < MINUTES; i++)
			(*place)->counts[i] += from->counts[i];
	}
	free(from);
}

/* Takes all that the other has. */
static void merge(struct tier *to, struct tier *from)
{
	for (unsigned i = 0; i < MESSAGE_STATES; i++)
		to->states[i] += from->states[i];
	to->bytes += from->bytes;
	for (unsigned i = 0; i < PLACES; i++)
		if (from->minutes[i])
			merge_minutes(to, from->minutes[i]);
	if (from->known && to->known) {
		for (uint32_t day = from->first; day < DAYS; day++)
			if (from->days[day]) /* a page that is only read takes no memory */
				to->days[day] += from->days[day];
		to->first = from->first < to->first ? from->first : to->first;
		free_days(from->days);
	} else if (from->known || !to->days) {
		free_days(to->days);
		to->days = from->days;
		to->first = from->first;
	} else {
		free_days(from->days);
	}
	to->known += from->known;
	*from = (struct tier){0};
}

void ages_renumber(struct ages *ages, const unsigned *to, unsigned n_tiers)
{
	struct ages old = *ages;

	ages->tiers = xcalloc(n_tiers + 1, sizeof *ages->tiers);
	ages->n_tiers = n_tiers;
	for (unsigned i = 0; i < old.n_tiers; i++)
		if (to[i] < n_tiers)
			merge(&ages->tiers[to[i]], &old.tiers[i]);
	free_tiers(&old);
}

size_t ages_memory(const struct ages *ages)
{
	size_t bytes = sizeof *ages;

	for (unsigned i = 0; i < ages->n_tiers; i++) {
		bytes += sizeof *ages->tiers;
		bytes += ages->tiers[i].days ? DAYS_BYTES : 0;
		for (unsigned j = 0; j < PLACES; j++)
			bytes += ages->tiers[i].minutes[j] ? sizeof(struct minutes) : 0;
	}
	return bytes;
}

/* ---- changes ---- */

void ages_enter(struct ages *ages, unsigned tier, enum message_state state)
{
	if (tier < ages->n_tiers)
		ages->tiers[tier].states[state]++;
}

void ages_leave(struct ages *ages, unsigned tier, enum message_state state)
{
	if (tier < ages->n_tiers && ages->tiers[tier].states[state])
		ages->tiers[tier].states[state]--;
}

void ages_add_bytes(struct ages *ages, unsigned tier, uint64_t bytes)
{
	if (tier < ages->n_tiers)
		ages->tiers[tier].bytes += bytes;
}

void ages_remove_bytes(struct ages *ages, unsigned tier, uint64_t bytes)
{
	if (tier < ages->n_tiers)
		ages->tiers[tier].bytes -= bytes;
}

/* The minutes of that day, if it has any. */
static struct minutes *minutes_of(const struct tier *tier, uint32_t day)
{
	struct minutes *minutes = tier->minutes[day % PLACES];

	return minutes && minutes->day == day ? minutes : NULL;
}

/* The same, made if the day is in the window about now. */
static struct minutes *minutes_for(struct tier *tier, uint32_t day, int64_t now)
{
	struct minutes **place = &tier->minutes[day % PLACES];
	int64_t today = now / DAY;

	if (*place && (*place)->day == day)
		return *place;
	if (day < today - PAST || day > today + 1)
		return NULL;
	if (!*place)
		*place = xcalloc(1, sizeof **place);
	else
		memset(*place, 0, sizeof **place);
	(*place)->day = day;
	return *place;
}

void ages_add(struct ages *ages, unsigned number, uint32_t created, int64_t now)
{
	uint32_t day = created / DAY;
	struct minutes *minutes;
	struct tier *tier;

	if (number >= ages->n_tiers)
		return;
	tier = &ages->tiers[number];
	if (!tier->days)
		tier->days = xpages(DAYS_BYTES);
	if (!tier->known || day < tier->first)
		tier->first = day;
	tier->known++;
	tier->days[day]++;
	minutes = minutes_for(tier, day, now);
	if (!minutes)
		return;
	minutes->total++;
	minutes->counts[created % DAY / 60]++;
}

void ages_remove(struct ages *ages, unsigned number, uint32_t created)
{
	uint32_t day = created / DAY;
	struct minutes *minutes;
	struct tier *tier;

	if (number >= ages->n_tiers)
		return;
	tier = &ages->tiers[number];
	if (!tier->days || !tier->days[day])
		return;
	tier->known--;
	tier->days[day]--;
	minutes = minutes_of(tier, day);
	if (minutes && minutes->counts[created % DAY / 60]) {
		minutes->total--;
		minutes->counts[created % DAY / 60]--;
	}
	if (tier->known)
		while (!tier->days[tier->first])
			tier->first++;
}

/* ---- asking ---- */

static const struct tier *get(const struct ages *ages, unsigned tier)
{
	static const struct tier none;

	return tier < ages->n_tiers ? &ages->tiers[tier] : &none;
}

uint64_t ages_in_state(const struct ages *ages, unsigned tier, enum message_state state)
{
	return get(ages, tier)->states[state];
}

uint64_t ages_messages(const struct ages *ages, unsigned tier)
{
	uint64_t messages = 0;

	for (unsigned i = 0; i < MESSAGE_STATES; i++)
		messages += get(ages, tier)->states[i];
	return messages;
}

uint64_t ages_known(const struct ages *ages, unsigned tier)
{
	return get(ages, tier)->known;
}

uint64_t ages_bytes(const struct ages *ages, unsigned tier)
{
	return get(ages, tier)->bytes;
}

uint64_t ages_older_than(const struct ages *ages, unsigned number, int64_t seconds, int64_t now)
{
	const struct tier *tier = get(ages, number);
	const struct minutes *minutes;
	uint64_t older = 0;
	uint32_t end;
	int64_t limit;

	if (!tier->known || __builtin_sub_overflow(now, seconds, &limit) || limit <= 0)
		return 0;
	if (limit > UINT32_MAX)
		return tier->known;
	end = (uint32_t)limit / DAY;
	for (uint32_t day = tier->first; day < end; day++)
		older += tier->days[day];
	minutes = minutes_of(tier, end);
	for (uint32_t i = 0; minutes && i < (uint32_t)limit % DAY / 60; i++)
		older += minutes->counts[i];
	return older;
}

int64_t ages_oldest(const struct ages *ages, unsigned number)
{
	const struct tier *tier = get(ages, number);
	const struct minutes *minutes;
	uint32_t minute = 0;

	if (!tier->known)
		return -1;
	minutes = minutes_of(tier, tier->first);
	if (minutes && minutes->total == tier->days[tier->first])
		while (!minutes->counts[minute])
			minute++;
	return (int64_t)tier->first * DAY + minute * 60;
}
