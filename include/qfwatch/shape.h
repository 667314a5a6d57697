/* shape.h - what a queue is made of: domains by age, as in Postfix' qshape. Pure.
 *
 * A message counts once for each of its recipients' domains (or for its sender's). TOTAL is the sum
 * of the rows, so a message with two domains counts twice there, as in qshape; one without any
 * counts nowhere.
 */
#ifndef QFWATCH_SHAPE_H
#define QFWATCH_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

/* Names that are kept; what comes after them counts for SHAPE_OTHER. */
#define SHAPE_NAMES 100000
#define SHAPE_OTHER "(other)"

/* Longest name, bytes; a longer one is cut. */
#define SHAPE_NAME_MAX 255

/* Column i: age <= shape_bounds[i]; the last one: older. Seconds; 5 minutes, doubled each time. */
#define SHAPE_COLUMNS 10
extern const int64_t shape_bounds[SHAPE_COLUMNS - 1];

enum shape_by { SHAPE_RECIPIENT, SHAPE_SENDER };

struct shape_row {
	const char *name; /* lower case, NUL-terminated; shape's memory */
	uint64_t total;
	uint64_t counts[SHAPE_COLUMNS];
};

struct shape;

struct shape *shape_new(void);	      /* never NULL (xalloc.h) */
void shape_free(struct shape *shape); /* NULL is fine */

/* The next message begins, of that age in seconds (one from the future is as old as 0). Then each
 * of its domains, as often as it stands there: it counts once. The empty one is FILTER_LOCAL. */
void shape_message(struct shape *shape, int64_t age);
void shape_add(struct shape *shape, struct policy_slice domain);

/* For callers who keep names by number: the row of a domain, which is good until shape_free; and
 * shape_add for it, which then costs no look-up. */
unsigned shape_row_of(struct shape *shape, struct policy_slice domain);
void shape_add_row(struct shape *shape, unsigned row);

/* Both for a message whose text is at hand. */
void shape_take(struct shape *shape, enum shape_by by, const struct policy_text *text, int64_t age);

/* So many messages are not counted, because a regular expression was given up on them (filter.h).
 */
void shape_leave_out(struct shape *shape, uint64_t messages);

/* Adds all that another one has counted. */
void shape_merge(struct shape *shape, const struct shape *other);

/* TOTAL first, then the others by total, descending, and by name where it is the same. At most
 * `limit` of these (0: all); *ret_cut says how many are left out. Returns how many rows there are,
 * 1 at least. *ret is valid until the next call that changes the shape. */
size_t shape_rows(struct shape *shape, size_t limit, const struct shape_row **ret, size_t *ret_cut);

/* The same as one JSON object without a newline at its end, always valid UTF-8. `tier` may be NULL.
 * The caller frees it. */
char *shape_json(struct shape *shape, enum shape_by by, const char *tier, int64_t now, size_t limit,
		 size_t *ret_length);

#endif
