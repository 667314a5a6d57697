/* units.c - durations and sizes as operators write them. */
#include "qfwatch/units.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "qfwatch/phrase.h"

struct unit {
	char letter;
	uint64_t seconds;
};

/* Largest first: the order in which they must be written. */
static const struct unit units[] = {
	{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1},
};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

struct size_unit {
	const char *name;
	uint64_t bytes;
};

/* Largest first: of two texts that are as short units_format_size takes the earlier one. */
static const struct size_unit size_units[] = {
	{"TiB", UINT64_C(1) << 40},   {"TB", UINT64_C(1000000000000)}, {"GiB", UINT64_C(1) << 30},
	{"GB", UINT64_C(1000000000)}, {"MiB", UINT64_C(1) << 20},      {"MB", UINT64_C(1000000)},
	{"KiB", UINT64_C(1) << 10},   {"kB", UINT64_C(1000)},	       {"KB", UINT64_C(1000)},
	{"B", UINT64_C(1)},
};

#define N_SIZE_UNITS (sizeof(size_units) / sizeof(size_units[0]))

/* Reads digits and moves *text behind them. Past the limit the number stays there: the rest of the
 * text still has to prove that it is a duration or a size before its value is worth a word. */
static bool read_number(const char **text, uint64_t limit, uint64_t *ret)
{
	const char *at = *text;
	uint64_t number = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		number = number * 10 + (uint64_t)(*at - '0');
		if (number > limit)
			number = limit + 1;
	}
	if (at == *text)
		return false;
	*text = at;
	*ret = number;
	return true;
}

/* Index of the unit of that letter, looked for from `first`; N_UNITS if it is none, or out of
 * order. */
static size_t find_unit(char letter, size_t first)
{
	size_t i = first;

	while (i < N_UNITS && units[i].letter != letter)
		i++;
	return i;
}

int units_parse_duration(const char *text, int64_t *ret_seconds)
{
	uint64_t sum = 0;
	size_t next = 0;

	do {
		uint64_t number;
		size_t unit;

		if (!read_number(&text, UNITS_DURATION_MAX, &number))
			return -EINVAL;
		unit = find_unit(*text, next);
		if (unit == N_UNITS)
			return -EINVAL;
		text++;
		next = unit + 1;
		/* At most five times (UNITS_DURATION_MAX + 1) * 604800, about 1e18: no overflow. */
		sum += number * units[unit].seconds;
	} while (*text);
	if (sum > UNITS_DURATION_MAX)
		return -ERANGE;
	*ret_seconds = (int64_t)sum;
	return 0;
}

char *units_format_duration(int64_t seconds, char *buffer, size_t size)
{
	/* Unsigned, because the smallest int64_t has no positive counterpart. */
	uint64_t left = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
	struct phrase phrase = phrase_in(buffer, size);

	if (seconds < 0)
		phrase_add(&phrase, "-");
	for (size_t i = 0; i < N_UNITS; i++) {
		uint64_t count = left / units[i].seconds;

		/* Weeks only where nothing is left over: people say 8d, not 1w1d. */
		if (units[i].letter == 'w' && left % units[i].seconds)
			continue;
		if (count == 0 && !(seconds == 0 && units[i].letter == 's'))
			continue;
		phrase_uint(&phrase, count);
		phrase_bytes(&phrase, &units[i].letter, 1);
		left -= count * units[i].seconds;
	}
	return buffer;
}

int units_parse_size(const char *text, int64_t *ret_bytes)
{
	uint64_t number;
	size_t i = 0;

	if (!read_number(&text, UNITS_SIZE_MAX, &number))
		return -EINVAL;
	while (i < N_SIZE_UNITS && strcmp(text, size_units[i].name) != 0)
		i++;
	if (i == N_SIZE_UNITS)
		return -EINVAL;
	if (number > UNITS_SIZE_MAX / size_units[i].bytes)
		return -ERANGE;
	*ret_bytes = (int64_t)(number * size_units[i].bytes);
	return 0;
}

char *units_format_size(int64_t bytes, char *buffer, size_t size)
{
	uint64_t number = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
	size_t shortest = size;

	for (size_t i = 0; i < N_SIZE_UNITS; i++) {
		char text[UNITS_SIZE_TEXT];
		struct phrase phrase = phrase_in(text, sizeof(text));

		/* Nothing is 0B, not 0TiB. */
		if (number % size_units[i].bytes || (!number && size_units[i].bytes != 1))
			continue;
		if (bytes < 0)
			phrase_add(&phrase, "-");
		phrase_uint(&phrase, number / size_units[i].bytes);
		phrase_add(&phrase, size_units[i].name);
		if (phrase.length >= shortest)
			continue;
		shortest = phrase.length;
		memcpy(buffer, text, phrase.length + 1);
	}
	return buffer;
}

const char *units_plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}
