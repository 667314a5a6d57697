/* stats.c - see stats.h. */
#include "stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t read_clock(clockid_t which)
{
	struct timespec now;

	clock_gettime(which, &now);
	return (int64_t)now.tv_sec * STATS_S + now.tv_nsec;
}

int64_t stats_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t stats_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

void stats_sleep_until(int64_t until)
{
	struct timespec at = {.tv_sec = until / STATS_S, .tv_nsec = until % STATS_S};

	if (until <= 0)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		continue;
}

uint64_t stats_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint64_t stats_below(uint64_t *state, uint64_t limit)
{
	return stats_random(state) % limit;
}

void samples_add(struct samples *samples, int64_t value)
{
	if (samples->count == samples->room) {
		size_t room = samples->room ? samples->room * 2 : 256;
		int64_t *values = realloc(samples->values, room * sizeof(*values));

		if (!values) {
			fprintf(stderr, "out of memory for %zu measurements\n", room);
			exit(3);
		}
		samples->values = values;
		samples->room = room;
	}
	samples->values[samples->count++] = value;
}

void samples_free(struct samples *samples)
{
	free(samples->values);
	*samples = (struct samples){0};
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

int64_t samples_percentile(struct samples *samples, double percent)
{
	size_t rank;

	if (samples->count == 0)
		return 0;
	qsort(samples->values, samples->count, sizeof(*samples->values), compare);
	rank = (size_t)(percent / 100.0 * (double)samples->count + 0.999999);
	if (rank < 1)
		rank = 1;
	if (rank > samples->count)
		rank = samples->count;
	return samples->values[rank - 1];
}

char *stats_duration(int64_t nanoseconds, char *buffer, size_t size)
{
	static const struct {
		double unit;
		const char *name;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
	double value = (double)nanoseconds;
	double magnitude = value < 0 ? -value : value;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		double shown = magnitude / units[i].unit;

		if (shown < 0.9995)
			continue;
		snprintf(buffer, size, "%.*f %s",
			 shown < 9.995	 ? 2
			 : shown < 99.95 ? 1
					 : 0,
			 value / units[i].unit, units[i].name);
		return buffer;
	}
	snprintf(buffer, size, "%" PRId64 " ns", nanoseconds);
	return buffer;
}

char *stats_thousands(uint64_t number, char *buffer, size_t size)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	size_t out = 0;

	for (int i = 0; i < length && out + 2 < size; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			buffer[out++] = ',';
		buffer[out++] = digits[i];
	}
	if (size > 0)
		buffer[out] = '\0';
	return buffer;
}
