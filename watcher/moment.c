/* moment.c - see moment.h */
#include "qfwatch/moment.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qfwatch/clock.h"
#include "qfwatch/units.h"

/* `n` digits, no sign and no blank. */
static bool take_number(const char **text, int n, int *ret)
{
	int number = 0;

	for (int i = 0; i < n; i++) {
		if (!isdigit((unsigned char)(*text)[i]))
			return false;
		number = number * 10 + ((*text)[i] - '0');
	}
	*text += n;
	*ret = number;
	return true;
}

static bool take(const char **text, char wanted)
{
	if (**text != wanted)
		return false;
	++*text;
	return true;
}

/* "2026-11-24", then perhaps "T18:00" or " 18:00", then perhaps ":00". */
static bool take_date(const char **text, struct tm *ret)
{
	struct tm tm = {.tm_isdst = -1};

	if (!take_number(text, 4, &tm.tm_year) || !take(text, '-') ||
	    !take_number(text, 2, &tm.tm_mon) || !take(text, '-') ||
	    !take_number(text, 2, &tm.tm_mday))
		return false;
	if (take(text, 'T') || take(text, ' ')) {
		if (!take_number(text, 2, &tm.tm_hour) || !take(text, ':') ||
		    !take_number(text, 2, &tm.tm_min))
			return false;
		if (take(text, ':') && !take_number(text, 2, &tm.tm_sec))
			return false;
	}
	if (tm.tm_year < 1970 || tm.tm_year > 2105 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
	    tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret = tm;
	return true;
}

int moment_parse_utc(const char *text, int64_t *ret)
{
	int64_t fraction = 0, unit = CLOCK_SECOND / 10;
	struct tm tm;

	if (!take_date(&text, &tm))
		return -EINVAL;
	if (take(&text, '.'))
		for (; isdigit((unsigned char)*text); text++, unit /= 10)
			fraction += (*text - '0') * unit;
	if (!take(&text, 'Z') || *text)
		return -EINVAL;
	*ret = (int64_t)timegm(&tm) * CLOCK_SECOND + fraction;
	return 0;
}

static int parse_relative(const char *text, int64_t now, int64_t *ret)
{
	int64_t seconds;

	if (units_parse_duration(text + 1, &seconds) < 0)
		return -EINVAL;
	seconds = *text == '-' ? now - seconds : now + seconds;
	if (seconds < 0 || seconds > UINT32_MAX)
		return -EINVAL;
	*ret = seconds;
	return 0;
}

int moment_parse(const char *text, int64_t now, int64_t *ret)
{
	const char *digits = *text == '@' ? text + 1 : text;
	size_t length = strspn(digits, "0123456789");
	int64_t moment;
	struct tm tm;

	if (*text == '+' || *text == '-')
		return parse_relative(text, now, ret);
	if (length && length <= 10 && !digits[length]) {
		moment = strtoll(digits, NULL, 10);
		if (moment > UINT32_MAX)
			return -EINVAL;
		*ret = moment;
		return 0;
	}
	if (moment_parse_utc(text, &moment) == 0) {
		*ret = moment / CLOCK_SECOND;
		return 0;
	}
	if (!take_date(&text, &tm) || *text)
		return -EINVAL;
	moment = mktime(&tm);
	if (moment < 0)
		return -EINVAL;
	*ret = moment;
	return 0;
}

char *moment_utc(int64_t seconds, char *buffer, size_t size)
{
	time_t time = seconds;
	struct tm tm;

	if (!gmtime_r(&time, &tm) || strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buffer, size, "?");
	return buffer;
}

char *moment_local(int64_t seconds, char *buffer, size_t size)
{
	time_t time = seconds;
	struct tm tm;

	if (!localtime_r(&time, &tm) || strftime(buffer, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(buffer, size, "?");
	return buffer;
}

char *moment_length(int64_t seconds, char *buffer, size_t size)
{
	long long s = seconds < 0 ? 0 : seconds, days = s / 86400, hours = s / 3600 % 24,
		  minutes = s / 60 % 60;

	if (days >= 10 || (days && !hours))
		snprintf(buffer, size, "%lldd", days);
	else if (days)
		snprintf(buffer, size, "%lldd%lldh", days, hours);
	else if (hours && minutes)
		snprintf(buffer, size, "%lldh%lldm", hours, minutes);
	else if (hours)
		snprintf(buffer, size, "%lldh", hours);
	else if (minutes)
		snprintf(buffer, size, "%lldm", minutes);
	else
		snprintf(buffer, size, "%llds", s);
	return buffer;
}
