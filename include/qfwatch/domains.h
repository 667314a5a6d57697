/* domains.h - what has happened to recipient domains lately: failed attempts and deliveries,
 * counted in the windows of the policy's "domain" conditions, for the 10,000 busiest domains.
 *
 * Pure: time is an argument (whole seconds since the epoch), the same calls give the same answers.
 *
 * What counts. An event counts in a window for `within` seconds: at the second `at` if at - time <
 * within. For windows of at most 30 seconds that is exact; in longer ones it counts up to
 * ceil(within / 30) - 1 seconds longer, never shorter (10 minutes: at most 19 s, an hour: 119 s, a
 * day: 2879 s). The answer for a later second is the same whenever it is asked, as long as nothing
 * happens: asking changes nothing.
 *
 * The latest evidence wins. A delivery, from whatever tier, empties the POLICY_DEFERRED windows
 * of its domain, and failures from before it that are noted later do not count. A POLICY_DEFERRED
 * window that becomes reached empties the POLICY_DELIVERED windows of its domain. So a reached
 * window of the one kind and a reached one of the other never stand together. But for failures from
 * before a delivery, what is noted later is the later evidence.
 *
 * Which domains are kept. Any that failures were noted of, also where they count in no window and
 * when nothing is left to count: a departure is known by the hash of its domain alone, and is a
 * delivery only if the domain's name is known here (domains_find). One that is heard of again while
 * it is kept is a regular. When there are more than 7,500 regulars, the one that was heard of least
 * recently becomes a guest, as is every domain at first; one that has a reached window is passed
 * over then, but of five in a row the fifth goes. When all 10,000 places are taken, a new domain
 * takes the place of the guest that was heard of least recently. So 2,500 places at least are for
 * domains to show that they come again, and no number of domains that come once pushes out one that
 * came twice.
 */
#ifndef QFWATCH_DOMAINS_H
#define QFWATCH_DOMAINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

#define DOMAINS_MAX	     10000
#define DOMAINS_MAX_REGULARS 7500

/* Longest name of a domain, bytes. Longer ones and the empty one are not kept. */
#define DOMAINS_MAX_NAME 255

/* The last second that is believed (in the year 36812): an event later than that or before 0 is not
 * noted. */
#define DOMAINS_LAST_SECOND (INT64_C(1) << 40)

struct domains;

/* Without windows: nothing is kept until there are some. */
struct domains *domains_new(void);
void domains_free(struct domains *domains); /* NULL is fine */

/* Puts a policy's windows into force: at most POLICY_MAX_WINDOWS, `within` from 1 to a day. Window
 * i is windows[i] from now on. The counts of a window that was there before (kind, tiers and within
 * are the same, at_least need not be) are kept; `tiers` is compared as it stands, so give the bits
 * a meaning that lasts longer than one policy or expect counts to be lost where tiers change
 * places. Where a lower at_least makes a POLICY_DEFERRED window reached, it empties the others as
 * usual; no crossing is told. Without windows all is forgotten. O(domains x n).
 */
void domains_configure(struct domains *domains, const struct policy_window *windows, size_t n);

/* `count` failed attempts, at `time`. A name has any case, and no dot at its end.
 * Returns the windows that are reached with this event and were not before, bit i for window i: at
 * `time`, or at the time of the domain's latest event where that is later. An event from the past
 * (the K of a message found at start) may so cross a window that is not reached any more now: ask
 * domains_hold. `time` must not be in the future: a K out of a qf is anybody's word. O(windows). */
uint64_t domains_note_deferred(struct domains *domains, const char *name, size_t length,
			       int64_t time, unsigned count);

/* One delivery from that tier (less than 64). Where it counts in no window it still ends what
 * failed before it. The rest is as above. */
uint64_t domains_note_delivered(struct domains *domains, const char *name, size_t length,
				int64_t time, unsigned tier);

/* Is the window reached for this domain at the second `at`? *ret_count is how many events are in
 * it, *ret_until the first second after `at` at which it is not reached any more if nothing happens
 * (INT64_MAX where it is not reached at `at`). A second before the domain's latest event is taken
 * for that event's. */
bool domains_hold(const struct domains *domains, const char *name, size_t length, unsigned window,
		  int64_t at, uint64_t *ret_count, int64_t *ret_until);

/* Forgets the domains whose latest event is later than `time`: for a clock that was set back. Else
 * their windows would stand still until the clock has come to where it was. */
void domains_forget_after(struct domains *domains, int64_t time);

/* All domains that are kept, in no order: starts and ends with 0. A number is good until the next
 * event is noted. */
unsigned domains_next(const struct domains *domains, unsigned after);

/* The name of one: lower case, not NUL-terminated, as good as the number. */
const char *domains_name(const struct domains *domains, unsigned number, size_t *ret_length);

/* domains_hold for one. */
bool domains_hold_number(const struct domains *domains, unsigned number, unsigned window,
			 int64_t at, uint64_t *ret_count, int64_t *ret_until);

size_t domains_count(const struct domains *domains);

/* Bytes taken, all told. Memory is taken as domains come and given back by domains_configure
 * without windows. */
size_t domains_memory(const struct domains *domains);

/* 30 bits of a hash of the name, in any case: 2 or more. */
uint32_t domains_hash(const char *name, size_t length);

/* The name of the domain that is kept and has that hash; NULL for none, and where two have it. */
const char *domains_find(const struct domains *domains, uint32_t hash, size_t *ret_length);

#endif
