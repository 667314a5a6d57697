/* domains.c - see domains.h
 *
 * Domains stand in one array, found by an open-addressed hash of their numbers; each is in one of
 * two lists by last event, the guests' or the regulars'. Beside the array stand the rings
 * (domains_ring.h), one for each domain and window.
 */
#include "qfwatch/domains.h"

#include <stdlib.h>
#include <string.h>

#include "domains_ring.h"
#include "qfwatch/xalloc.h"

/* Places in the hash, a power of 2: less than a third of them taken. */
#define HASH_SIZE 32768

/* A regular with a reached window is passed over, so many times in a row. */
#define PASSED_OVER 4

enum standing { FREE, GUEST, REGULAR, STANDINGS };

struct domain {
	int64_t last;	   /* its latest event that counted */
	int64_t delivered; /* its latest delivery that counted; -1: none */
	union {
		char near[32];
		char *far;
	} name;		/* name_of gives it; no NUL at its end */
	uint32_t hash;	/* of the name */
	uint16_t newer; /* in its list */
	uint16_t older;
	uint8_t length; /* of the name */
	uint8_t standing;
};

struct list {
	uint16_t newest, oldest; /* numbers of domains; 0: none */
	unsigned count;
};

struct domains {
	struct policy_window windows[POLICY_MAX_WINDOWS];
	struct ring_span spans[POLICY_MAX_WINDOWS];
	unsigned n_windows;
	bool has_deferred;
	uint64_t tiers; /* whose deliveries count in some window */

	struct domain *all; /* number n is all[n - 1] */
	struct ring *rings; /* of number n: from rings[(n - 1) * n_windows] */
	unsigned room, used;
	struct list lists[STANDINGS];
	uint16_t *hash; /* numbers; 0: empty */
	size_t far_bytes;
};

static struct domain *get(const struct domains *domains, unsigned number)
{
	return &domains->all[number - 1];
}

static struct ring *rings_of(const struct domains *domains, unsigned number)
{
	return &domains->rings[(size_t)(number - 1) * domains->n_windows];
}

static const char *name_of(const struct domain *domain)
{
	return domain->length > sizeof domain->name.near ? domain->name.far : domain->name.near;
}

static uint64_t at_least(const struct domains *domains, unsigned window)
{
	return (uint64_t)domains->windows[window].at_least;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- names ---- */

/* The locale has no say in domain names. */
static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* FNV-1a, mixed as in table.c. Not keyed: who makes names collide makes notes slow, but there are
 * never more than DOMAINS_MAX to walk. */
static uint32_t hash_of(const char *name, size_t length)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ lower(name[i])) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32);
}

/* The low bits of the hash by which a domain is found here, too. */
#define HASH_BITS 0x3fffffffu

uint32_t domains_hash(const char *name, size_t length)
{
	uint32_t hash = hash_of(name, length) & HASH_BITS;

	return hash < 2 ? hash + 2 : hash;
}

/* `mine` is lower case. */
static bool same_name(const char *mine, const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)mine[i] != lower(name[i]))
			return false;
	return true;
}

/* ---- the hash ---- */

/* Where the name stands, or where it would be put. */
static unsigned hash_find(const struct domains *domains, uint32_t hash, const char *name,
			  size_t length)
{
	unsigned at = hash % HASH_SIZE;

	while (domains->hash[at]) {
		const struct domain *domain = get(domains, domains->hash[at]);

		if (domain->hash == hash && domain->length == length &&
		    same_name(name_of(domain), name, length))
			break;
		at = (at + 1) % HASH_SIZE;
	}
	return at;
}

/* Without tombstones, as in table.c: later members of the run are pulled into the hole as long as
 * that brings them closer to home. */
static void hash_take(struct domains *domains, unsigned number)
{
	const struct domain *domain = get(domains, number);
	unsigned hole = hash_find(domains, domain->hash, name_of(domain), domain->length),
		 at = hole;

	for (;;) {
		unsigned home;

		domains->hash[hole] = 0;
		do {
			at = (at + 1) % HASH_SIZE;
			if (!domains->hash[at])
				return;
			home = get(domains, domains->hash[at])->hash % HASH_SIZE;
		} while (hole <= at ? (hole < home && home <= at) : (hole < home || home <= at));
		domains->hash[hole] = domains->hash[at];
		hole = at;
	}
}

/* ---- windows ---- */

/* Is any window reached? Of one kind, or of both. */
static bool reached(const struct domains *domains, unsigned number, int64_t at, bool delivered_too)
{
	const struct ring *rings = rings_of(domains, number);
	int64_t oldest;

	at = later(at, get(domains, number)->last);
	for (unsigned w = 0; w < domains->n_windows; w++)
		if ((delivered_too || domains->windows[w].kind == POLICY_DEFERRED) &&
		    ring_sum(&rings[w], &domains->spans[w], at, &oldest) >= at_least(domains, w))
			return true;
	return false;
}

/* Empties all windows of that kind. */
static void forget(struct domains *domains, unsigned number, enum policy_window_kind kind)
{
	struct ring *rings = rings_of(domains, number);

	for (unsigned w = 0; w < domains->n_windows; w++)
		if (domains->windows[w].kind == kind)
			ring_empty(&rings[w]);
}

/* ---- lists ---- */

static void list_take(struct domains *domains, unsigned number)
{
	struct domain *domain = get(domains, number);
	struct list *list = &domains->lists[domain->standing];

	if (domain->newer)
		get(domains, domain->newer)->older = domain->older;
	else
		list->newest = domain->older;
	if (domain->older)
		get(domains, domain->older)->newer = domain->newer;
	else
		list->oldest = domain->newer;
	list->count--;
}

static void list_push(struct domains *domains, unsigned number, enum standing standing)
{
	struct domain *domain = get(domains, number);
	struct list *list = &domains->lists[standing];

	domain->standing = (uint8_t)standing;
	domain->newer = 0;
	domain->older = list->newest;
	if (list->newest)
		get(domains, list->newest)->newer = (uint16_t)number;
	else
		list->oldest = (uint16_t)number;
	list->newest = (uint16_t)number;
	list->count++;
}

static void list_move(struct domains *domains, unsigned number, enum standing standing)
{
	list_take(domains, number);
	list_push(domains, number, standing);
}

/* It was heard of again. */
static void come_again(struct domains *domains, unsigned number, int64_t time)
{
	struct list *regulars = &domains->lists[REGULAR];

	list_move(domains, number, REGULAR);
	if (regulars->count <= DOMAINS_MAX_REGULARS)
		return;
	for (int i = 0; i < PASSED_OVER && reached(domains, regulars->oldest, time, true); i++)
		list_move(domains, regulars->oldest, REGULAR);
	list_move(domains, regulars->oldest, GUEST);
}

/* ---- domains ---- */

static unsigned find(const struct domains *domains, const char *name, size_t length)
{
	if (!domains->n_windows || !length || length > DOMAINS_MAX_NAME)
		return 0;
	return domains->hash[hash_find(domains, hash_of(name, length), name, length)];
}

/* It stays in the array: its number is used again. */
static void drop(struct domains *domains, unsigned number)
{
	struct domain *domain = get(domains, number);

	hash_take(domains, number);
	if (domain->length > sizeof domain->name.near) {
		free(domain->name.far);
		domains->far_bytes -= domain->length;
	}
	domain->length = 0;
	list_move(domains, number, FREE);
}

static void grow(struct domains *domains)
{
	unsigned room = domains->room ? domains->room * 2 : 256;

	if (room > DOMAINS_MAX)
		room = DOMAINS_MAX;
	domains->all = xreallocarray(domains->all, room, sizeof *domains->all);
	domains->rings = xreallocarray(domains->rings, (size_t)room * domains->n_windows,
				       sizeof *domains->rings);
	domains->room = room;
}

/* A number for a new domain, in no list. */
static unsigned take_number(struct domains *domains)
{
	unsigned number = domains->lists[FREE].newest;

	if (!number && domains->used < DOMAINS_MAX) {
		if (domains->used == domains->room)
			grow(domains);
		return ++domains->used;
	}
	if (!number) {
		/* There is one: not all can be regulars. */
		number = domains->lists[GUEST].oldest;
		drop(domains, number);
	}
	list_take(domains, number);
	return number;
}

static unsigned insert(struct domains *domains, const char *name, size_t length, uint32_t hash)
{
	unsigned number = take_number(domains);
	struct domain *domain = get(domains, number);
	struct ring *rings = rings_of(domains, number);
	char *where = domain->name.near;

	if (length > sizeof domain->name.near) {
		where = domain->name.far = xcalloc(length, 1);
		domains->far_bytes += length;
	}
	for (size_t i = 0; i < length; i++)
		where[i] = (char)lower(name[i]);
	domain->length = (uint8_t)length;
	domain->hash = hash;
	domain->last = domain->delivered = -1;
	for (unsigned w = 0; w < domains->n_windows; w++)
		ring_empty(&rings[w]);
	/* Not before now: taking a number may have moved others in the hash. */
	domains->hash[hash_find(domains, hash, name, length)] = (uint16_t)number;
	list_push(domains, number, GUEST);
	return number;
}

/* ---- events ---- */

static bool counts_in(const struct policy_window *window, enum policy_window_kind kind,
		      uint64_t tiers)
{
	return window->kind == kind && (kind == POLICY_DEFERRED || window->tiers & tiers);
}

/* Counts it in the windows it is for. *ret_counted: there was one in which it is not too old.
 * Returns those that it crosses. */
static uint64_t count_event(struct domains *domains, unsigned number, enum policy_window_kind kind,
			    uint64_t tiers, int64_t time, unsigned count, bool *ret_counted)
{
	const int64_t at = later(time, get(domains, number)->last);
	struct ring *rings = rings_of(domains, number);
	uint64_t crossed = 0;

	*ret_counted = false;
	for (unsigned w = 0; w < domains->n_windows; w++) {
		int64_t bucket, oldest;
		uint64_t before, added;

		if (!counts_in(&domains->windows[w], kind, tiers))
			continue;
		bucket = time / domains->spans[w].width;
		before = ring_sum(&rings[w], &domains->spans[w], at, &oldest);
		if (bucket < oldest)
			continue;
		added = ring_add(&rings[w], bucket, count);
		if (before < at_least(domains, w) && before + added >= at_least(domains, w))
			crossed |= UINT64_C(1) << w;
		*ret_counted = true;
	}
	return crossed;
}

static uint64_t note(struct domains *domains, const char *name, size_t length, int64_t time,
		     enum policy_window_kind kind, uint64_t tiers, unsigned count)
{
	uint64_t crossed;
	unsigned number;
	uint32_t hash;
	bool counted, fresh;

	if (!domains->n_windows || !length || length > DOMAINS_MAX_NAME || time < 0 ||
	    time > DOMAINS_LAST_SECOND || !count)
		return 0;
	hash = hash_of(name, length);
	number = domains->hash[hash_find(domains, hash, name, length)];
	fresh = !number;
	if (fresh)
		number = insert(domains, name, length, hash);
	else if (kind == POLICY_DEFERRED && time < get(domains, number)->delivered)
		return 0; /* forgotten by that delivery */
	crossed = count_event(domains, number, kind, tiers, time, count, &counted);
	/* Where failures count nowhere, each is at least a sign of life. */
	if (!counted && (kind == POLICY_DELIVERED || domains->has_deferred))
		return 0;
	get(domains, number)->last = later(get(domains, number)->last, time);
	if (kind == POLICY_DELIVERED) {
		get(domains, number)->delivered = later(get(domains, number)->delivered, time);
		forget(domains, number, POLICY_DEFERRED);
	} else if (crossed) {
		forget(domains, number, POLICY_DELIVERED);
	}
	if (!fresh)
		come_again(domains, number, time);
	return crossed;
}

uint64_t domains_note_deferred(struct domains *domains, const char *name, size_t length,
			       int64_t time, unsigned count)
{
	return note(domains, name, length, time, POLICY_DEFERRED, 0, count);
}

uint64_t domains_note_delivered(struct domains *domains, const char *name, size_t length,
				int64_t time, unsigned tier)
{
	uint64_t bit = tier < 64 ? UINT64_C(1) << tier : 0;
	unsigned number;

	if (domains->tiers & bit)
		return note(domains, name, length, time, POLICY_DELIVERED, bit, 1);
	/* It counts nowhere, but what failed before it is over. */
	number = find(domains, name, length);
	if (number)
		forget(domains, number, POLICY_DEFERRED);
	return 0;
}

/* ---- asking ---- */

bool domains_hold_number(const struct domains *domains, unsigned number, unsigned window,
			 int64_t at, uint64_t *ret_count, int64_t *ret_until)
{
	const struct ring *ring = &rings_of(domains, number)[window];
	int64_t oldest;
	uint64_t sum;

	at = later(at, get(domains, number)->last);
	*ret_count = sum = ring_sum(ring, &domains->spans[window], at, &oldest);
	*ret_until = INT64_MAX;
	if (sum < at_least(domains, window))
		return false;
	/* The bucket whose end takes it below. */
	while ((sum -= ring_count(ring, oldest)) >= at_least(domains, window))
		oldest++;
	*ret_until = ring_bucket_end(&domains->spans[window], oldest);
	return true;
}

const char *domains_find(const struct domains *domains, uint32_t hash, size_t *ret_length)
{
	unsigned at = hash % HASH_SIZE, found = 0;

	if (!domains->n_windows)
		return NULL;
	for (; domains->hash[at]; at = (at + 1) % HASH_SIZE) {
		if ((get(domains, domains->hash[at])->hash & HASH_BITS) != hash)
			continue;
		if (found)
			return NULL;
		found = domains->hash[at];
	}
	return found ? domains_name(domains, found, ret_length) : NULL;
}

bool domains_hold(const struct domains *domains, const char *name, size_t length, unsigned window,
		  int64_t at, uint64_t *ret_count, int64_t *ret_until)
{
	unsigned number = window < domains->n_windows ? find(domains, name, length) : 0;

	if (number)
		return domains_hold_number(domains, number, window, at, ret_count, ret_until);
	*ret_count = 0;
	*ret_until = INT64_MAX;
	return false;
}

unsigned domains_next(const struct domains *domains, unsigned after)
{
	while (++after <= domains->used)
		if (get(domains, after)->standing != FREE)
			return after;
	return 0;
}

const char *domains_name(const struct domains *domains, unsigned number, size_t *ret_length)
{
	*ret_length = get(domains, number)->length;
	return name_of(get(domains, number));
}

size_t domains_count(const struct domains *domains)
{
	return domains->lists[GUEST].count + domains->lists[REGULAR].count;
}

size_t domains_memory(const struct domains *domains)
{
	return sizeof *domains +
	       domains->room * (sizeof(struct domain) + domains->n_windows * sizeof(struct ring)) +
	       (domains->hash ? HASH_SIZE * sizeof *domains->hash : 0) + domains->far_bytes;
}

/* ---- as a whole ---- */

struct domains *domains_new(void)
{
	return xcalloc(1, sizeof(struct domains));
}

static void forget_all(struct domains *domains)
{
	unsigned number = 0;

	while ((number = domains_next(domains, number)))
		if (get(domains, number)->length > sizeof get(domains, number)->name.near)
			free(get(domains, number)->name.far);
	free(domains->all);
	free(domains->rings);
	free(domains->hash);
	memset(domains, 0, sizeof *domains);
}

void domains_free(struct domains *domains)
{
	if (!domains)
		return;
	forget_all(domains);
	free(domains);
}

void domains_forget_after(struct domains *domains, int64_t time)
{
	unsigned number = 0;

	while ((number = domains_next(domains, number)))
		if (get(domains, number)->last > time)
			drop(domains, number);
}

/* The window of before whose counts this one takes over, or n_windows. Two that differ in at_least
 * alone have the same counts. */
static unsigned find_window(const struct domains *domains, const struct policy_window *window)
{
	unsigned w;

	for (w = 0; w < domains->n_windows; w++)
		if (domains->windows[w].kind == window->kind &&
		    domains->windows[w].within == window->within &&
		    (window->kind == POLICY_DEFERRED || domains->windows[w].tiers == window->tiers))
			break;
	return w;
}

/* The rings of all domains for these windows. */
static struct ring *carry_rings(const struct domains *domains, const struct policy_window *windows,
				size_t n)
{
	struct ring *rings = xcalloc(domains->room * n, sizeof *rings);

	for (size_t w = 0; w < n; w++) {
		unsigned from = find_window(domains, &windows[w]);

		for (unsigned number = 1; number <= domains->used; number++) {
			struct ring *ring = &rings[(number - 1) * n + w];

			if (from < domains->n_windows)
				*ring = rings_of(domains, number)[from];
			else
				ring_empty(ring);
		}
	}
	return rings;
}

void domains_configure(struct domains *domains, const struct policy_window *windows, size_t n)
{
	struct ring *rings;
	unsigned number = 0;

	if (!n) {
		forget_all(domains);
		return;
	}
	if (!domains->hash)
		domains->hash = xcalloc(HASH_SIZE, sizeof *domains->hash);
	rings = carry_rings(domains, windows, n);
	free(domains->rings);
	domains->rings = rings;
	domains->n_windows = (unsigned)n;
	domains->has_deferred = false;
	domains->tiers = 0;
	for (size_t w = 0; w < n; w++) {
		domains->windows[w] = windows[w];
		domains->spans[w] = ring_span_of(windows[w].within);
		if (windows[w].kind == POLICY_DEFERRED)
			domains->has_deferred = true;
		else
			domains->tiers |= windows[w].tiers;
	}
	while ((number = domains_next(domains, number)))
		if (reached(domains, number, 0, false))
			forget(domains, number, POLICY_DELIVERED);
}
