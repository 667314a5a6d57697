/* metrics.h - the numbers of a running daemon for Prometheus (text format
 * 0.0.4): what stands in the tiers, what has been done, how long it took, what
 * is wrong.
 *
 * Their labels are tiers, rules, sinks, and words of ours: as many as the
 * policy names, never as many as there are messages, domains or addresses.
 * Rendering goes through tiers, directories, rules and sinks, and not through
 * messages.
 */
#ifndef QFWATCH_METRICS_H
#define QFWATCH_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/engine.h"
#include "qfwatch/events.h"

struct metrics;

/* Both are borrowed. `now` is when the daemon started, microseconds since the
 * epoch. */
struct metrics *metrics_new(struct engine *engine, const struct events *events, int64_t now);
void metrics_free(struct metrics *metrics); /* NULL is fine */

/* The policy file was read: and taken, or not. */
void metrics_note_policy(struct metrics *metrics, bool taken, int64_t now);

/* Who asks. A collector that reads a file has process_* numbers of its own,
 * with which ours would collide; it is told when the file was written instead.
 */
enum metrics_for { METRICS_FOR_SCRAPE, METRICS_FOR_TEXTFILE };

/* All numbers at `now`. The text is good until the next call. A policy must be
 * in force. */
const char *metrics_render(struct metrics *metrics, enum metrics_for reader, int64_t now,
			   size_t *ret_length);

#endif
