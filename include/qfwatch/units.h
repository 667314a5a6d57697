/* units.h - durations and sizes as operators write them. Pure functions. */
#ifndef QFWATCH_UNITS_H
#define QFWATCH_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Longest duration that is taken: 10,000 years in seconds. What is larger is a slip, and sums of
 * two never overflow. */
#define UNITS_DURATION_MAX INT64_C(315360000000)

/* Large enough for every text that units_format_duration writes, NUL included. */
#define UNITS_DURATION_TEXT 48

/* Reads a duration: one or more pairs of a whole number and a unit (w d h m s), largest unit first
 * and each at most once: "90s", "13m", "5h48m", "6d", "2w". No spaces, no sign, no fraction.
 * Returns 0 and sets *ret_seconds, or -EINVAL (not a duration), -ERANGE (past UNITS_DURATION_MAX).
 */
int units_parse_duration(const char *text, int64_t *ret_seconds);

/* Writes a duration in the notation that units_parse_duration reads, shortest exact form ("6d",
 * "5h48m", "0s"); a negative one gets a leading "-". Always NUL-terminated; returns buffer. size is
 * at least UNITS_DURATION_TEXT. */
char *units_format_duration(int64_t seconds, char *buffer, size_t size);

/* Largest size that is taken: 1 PiB in bytes. */
#define UNITS_SIZE_MAX (INT64_C(1) << 50)

/* Large enough for every text that units_format_size writes, NUL included. */
#define UNITS_SIZE_TEXT 32

/* Reads a size: a whole number and one unit, "10MiB", "512kB", "0B". Units: B; kB (or KB), MB, GB,
 * TB of 1000; KiB, MiB, GiB, TiB of 1024. No spaces, no sign, no fraction. Returns 0 and sets
 * *ret_bytes, or -EINVAL (not a size), -ERANGE (past UNITS_SIZE_MAX). */
int units_parse_size(const char *text, int64_t *ret_bytes);

/* Writes a size in the notation that units_parse_size reads: the shortest exact text ("10MiB",
 * "512kB", "1500B", "0B"); of two that are as short, the one with the larger unit (KiB before
 * than 1kB). A negative one gets a leading "-". Always NUL-terminated; returns buffer. size is at
 * least UNITS_SIZE_TEXT. */
char *units_format_size(int64_t bytes, char *buffer, size_t size);

/* The word that goes with so many: `one` with 1, else `many`. */
const char *units_plural(uint64_t count, const char *one, const char *many);

#endif
