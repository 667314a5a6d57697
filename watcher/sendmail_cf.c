/* sendmail_cf.c - see sendmail_cf.h */
#include "qfwatch/sendmail_cf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/xalloc.h"

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* Longer lines are no option that is read here. */
#define LINE 8192

/* Sums of a few stay far from overflow. */
#define DURATION_MAX (INT64_C(1) << 40)

static int64_t unit_of(char c)
{
	switch (c) {
	case 'w':
		return 7 * DAY;
	case 'd':
		return DAY;
	case 'h':
		return HOUR;
	case 'm':
		return MINUTE;
	case 's':
		return 1;
	default:
		return 0;
	}
}

int sendmail_cf_duration(const char *text, int64_t unit, int64_t *ret_seconds)
{
	int64_t sum = 0;

	if (strcasecmp(text, "now") == 0) {
		*ret_seconds = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		int64_t number = 0, one = unit;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		for (; *text >= '0' && *text <= '9'; text++)
			if (number < DURATION_MAX)
				number = 10 * number + (*text - '0');
		if (*text) {
			one = unit_of(*text++);
			if (!one)
				return -EINVAL;
		}
		if (number > DURATION_MAX / one || sum > DURATION_MAX)
			return -EINVAL;
		sum += number * one;
	}
	*ret_seconds = sum;
	return 0;
}

/* ---- options; one whose value sendmail would complain of stays as it was ---- */

static void set_return(struct sendmail_cf *cf, const char *value, int kind)
{
	int64_t seconds;

	if (sendmail_cf_duration(value, DAY, &seconds) < 0)
		return;
	for (int i = 0; i < SENDMAIL_CF_KINDS; i++)
		if (kind < 0 || kind == i)
			cf->queue_return[i] = seconds;
}

/* A macro in it is only known to sendmail. */
static void set_path(char *path, const char *value)
{
	if (strchr(value, '$') || strlen(value) >= PATH_MAX)
		path[0] = '\0';
	else
		strcpy(path, value);
}

/* As far as one of the bytes in `end`. */
static void set_name(char *name, const char *value, const char *end)
{
	size_t length = strcspn(value, end);

	if (length >= SENDMAIL_CF_NAME || memchr(value, '$', length))
		length = 0;
	memcpy(name, value, length);
	name[length] = '\0';
}

static void set_option(struct sendmail_cf *cf, const char *name, const char *value)
{
	static const char *const returns[] = {
		"Timeout.queuereturn.normal", "Timeout.queuereturn.urgent",
		"Timeout.queuereturn.non-urgent", "Timeout.queuereturn.dsn"};

	if (strcasecmp(name, "Timeout.queuereturn") == 0)
		set_return(cf, value, -1);
	else if (strcasecmp(name, "MinQueueAge") == 0)
		sendmail_cf_duration(value, MINUTE, &cf->min_queue_age);
	else if (strcasecmp(name, "MaxQueueAge") == 0)
		sendmail_cf_duration(value, MINUTE, &cf->max_queue_age);
	else if (strcasecmp(name, "QueueDirectory") == 0)
		set_path(cf->queue_directory, value);
	else if (strcasecmp(name, "PidFile") == 0)
		set_path(cf->pid_file, value);
	else if (strcasecmp(name, "RunAsUser") == 0)
		set_name(cf->run_as, value, ":. \t");
	else if (strcasecmp(name, "TrustedUser") == 0)
		set_name(cf->trusted, value, " \t");
	else if (strcasecmp(name, "QueueFileMode") == 0)
		cf->queue_file_mode = (unsigned)strtoul(value, NULL, 8) & 07777;
	for (int i = 0; i < SENDMAIL_CF_KINDS; i++)
		if (strcasecmp(name, returns[i]) == 0)
			set_return(cf, value, i);
}

/* ---- lines ---- */

static void cut_blanks(char *text)
{
	size_t length = strlen(text);

	while (length && strchr(" \t\r", text[length - 1]))
		text[--length] = '\0';
}

/* "Qslow, Path=/var/spool/slow, Interval=30m": fields count by their first letter. One that is
 * named again is changed. */
static void read_group(struct sendmail_cf *cf, char *text)
{
	struct sendmail_cf_group *group = NULL;
	char *field, *rest = text;
	char name[SENDMAIL_CF_NAME];

	set_name(name, text, ", \t");
	if (!*name)
		return;
	for (size_t i = 0; i < cf->n_groups && !group; i++)
		if (strcasecmp(cf->groups[i].name, name) == 0)
			group = &cf->groups[i];
	if (!group) {
		if (cf->n_groups == SENDMAIL_CF_GROUPS)
			return;
		group = &cf->groups[cf->n_groups++];
		strcpy(group->name, name);
	}
	strsep(&rest, ",");
	while ((field = strsep(&rest, ","))) {
		char *value = strchr(field, '=');

		field += strspn(field, " \t");
		if (*field != 'P' || !value)
			continue;
		value += 1 + strspn(value + 1, " \t");
		cut_blanks(value);
		set_path(group->path, value);
	}
}

/* "DSrelay.example.net": the macro of one letter. */
static void read_macro(struct sendmail_cf *cf, const char *text)
{
	if (strncmp(text, "{S}", 3) == 0)
		set_name(cf->smart_host, text + 3, "");
	else if (*text == 'S')
		set_name(cf->smart_host, text + 1, "");
}

/* A whole line: "O Name=value", or an option of one letter as of old: "OQ/var/spool/mqueue". */
static void read_line(struct sendmail_cf *cf, char *line)
{
	char *name = line + 1, *value, *slash;

	cut_blanks(line);
	if (line[0] == 'Q')
		read_group(cf, line + 1);
	else if (line[0] == 'D')
		read_macro(cf, line + 1);
	if (line[0] != 'O')
		return;
	if (*name == 'Q') {
		set_path(cf->queue_directory, name + 1);
	} else if (*name == 'T') {
		slash = strchr(name, '/');
		if (slash)
			*slash = '\0';
		set_return(cf, name + 1, -1);
	} else if (*name == ' ') {
		name += strspn(name, " ");
		value = strchr(name, '=');
		if (!value)
			return;
		*value++ = '\0';
		cut_blanks(name);
		set_option(cf, name, value + strspn(value, " "));
	}
}

void sendmail_cf_parse(const char *text, size_t length, struct sendmail_cf *ret)
{
	char line[LINE];
	size_t used = 0, at = 0;
	bool whole = true;

	*ret = (struct sendmail_cf){0};
	for (int i = 0; i < SENDMAIL_CF_KINDS; i++)
		ret->queue_return[i] = SENDMAIL_CF_RETURN;
	while (at < length) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t n = (end ? (size_t)(end - text) : length) - at;
		bool goes_on = at + n + 1 < length &&
			       (text[at + n + 1] == ' ' || text[at + n + 1] == '\t');

		whole &= used + n < sizeof(line) && !memchr(text + at, '\0', n);
		if (whole) {
			memcpy(line + used, text + at, n);
			used += n;
		}
		at += n + 1;
		if (goes_on)
			continue;
		line[used] = '\0';
		if (whole)
			read_line(ret, line);
		used = 0;
		whole = true;
	}
}

void sendmail_cf_option(struct sendmail_cf *cf, const char *option)
{
	char line[LINE];
	size_t length = strlen(option);

	if (length + 3 > sizeof line)
		return;
	memcpy(line, "O ", 2);
	memcpy(line + 2, option, length + 1);
	read_line(cf, line);
}

/* ---- files ---- */

const char *sendmail_cf_named(char *const *words)
{
	for (char *const *word = words + 1; word[-1] && *word; word++) {
		if (strcmp(*word, "-C") == 0)
			return word[1];
		if (strncmp(*word, "-C", 2) == 0)
			return *word + 2;
	}
	return NULL;
}

static int parse_file(int fd, struct sendmail_cf *ret)
{
	struct stat stat_of;
	size_t length = 0, size;
	char *text;

	if (fstat(fd, &stat_of) < 0)
		return -errno;
	if (!S_ISREG(stat_of.st_mode))
		return -EINVAL;
	if (stat_of.st_size > SENDMAIL_CF_MAX_BYTES)
		return -EFBIG;
	size = (size_t)stat_of.st_size;
	text = xcalloc(1, size + 1);
	while (length < size) {
		ssize_t n = read(fd, text + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = errno;

			free(text);
			return -error;
		}
		if (n == 0)
			break;
		length += (size_t)n;
	}
	sendmail_cf_parse(text, length, ret);
	free(text);
	return 0;
}

int sendmail_cf_read(const char *path, struct sendmail_cf *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return -errno;
	r = parse_file(fd, ret);
	close(fd);
	return r;
}
