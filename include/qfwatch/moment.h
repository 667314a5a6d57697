/* moment.h - points in time as operators and events write them. Pure but for the time zone of this
 * machine. */
#ifndef QFWATCH_MOMENT_H
#define QFWATCH_MOMENT_H

#include <stddef.h>
#include <stdint.h>

/* Large enough for every text that is written here, NUL included. */
#define MOMENT_TEXT 40

/* Reads what follows --at: "2026-11-24T18:00:00Z" (UTC), "2026-11-24 18:00" (here; with or without
 * seconds), "@1795543200" or "1795543200" (seconds since the epoch), "+6h" and "-2d" (from `now`).
 * Years 1970 to 2105. Returns 0 and *ret in seconds since the epoch, or -EINVAL. */
int moment_parse(const char *text, int64_t now, int64_t *ret);

/* Reads an event's @timestamp, "2026-11-24T18:00:00.123456Z": UTC, any number of decimals or none.
 * Returns 0 and *ret in microseconds since the epoch, or -EINVAL. */
int moment_parse_utc(const char *text, int64_t *ret);

/* "2026-11-24T18:00:00Z", and "2026-11-24 18:00:00" as the clock here shows it. size is at least
 * MOMENT_TEXT; return buffer. */
char *moment_utc(int64_t seconds, char *buffer, size_t size);
char *moment_local(int64_t seconds, char *buffer, size_t size);

/* How long, in two units at most: "45s", "12m", "5h48m", "6d2h", "21d"; a negative one is "0s".
 * size is at least MOMENT_TEXT; returns buffer. */
char *moment_length(int64_t seconds, char *buffer, size_t size);

#endif
