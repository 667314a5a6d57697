/* runner.c - see runner.h */
#include "qfwatch/runner.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qfwatch/sendmail_cf.h"

#define MINUTE 60
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

/* More words of a command are not looked at. */
#define WORDS 64
#define LINE  4096

/* Letters of options with a value, which may be the next word. */
static const char with_value[] = "ABbCDeFfhLMNOopRrVX";

/* ---- words ---- */

static void put_path(char *path, const char *value, struct runner *runner)
{
	if (strpbrk(value, "$`"))
		runner->unknown = true;
	if (strlen(value) < PATH_MAX)
		strcpy(path, value);
}

/* "QueueDirectory=/var/spool/slow" and all others. */
static void read_option(struct runner *runner, const char *option)
{
	size_t used = strlen(runner->options), length = strlen(option);

	option += strspn(option, " ");
	if (strncasecmp(option, "QueueDirectory=", 15) == 0)
		put_path(runner->directory, option + 15, runner);
	else if (strncasecmp(option, "QueueDirectory =", 16) == 0)
		put_path(runner->directory, option + 16 + strspn(option + 16, " "), runner);
	else if (length && used + length + 2 <= sizeof runner->options && !strchr(option, '\n'))
		snprintf(runner->options + used, sizeof runner->options - used, "%s\n", option);
}

/* What follows -q: nothing, a time, or what is to be run. */
static void read_queue(struct runner *runner, const char *value)
{
	bool persistent = false;
	int64_t seconds;

	runner->runs = true;

	for (; *value == 'p' || *value == 'f'; value++)
		persistent |= *value == 'p';
	if (*value == '!' || (*value && strchr("GIRSQL", *value))) {
		runner->selects = true;
		return;
	}
	/* A persistent runner rests for a second where it is given no time. */
	if (!*value && persistent)
		runner->interval = 1;
	else if (!*value)
		runner->once = true;
	else if (sendmail_cf_duration(value, MINUTE, &seconds) == 0)
		runner->interval = seconds;
	else if (strpbrk(value, "$`"))
		runner->unknown = true;
}

static void read_value(struct runner *runner, char letter, const char *value)
{
	if (letter == 'C')
		put_path(runner->cf, value, runner);
	else if (letter == 'A' && *value == 'c' && !*runner->cf)
		put_path(runner->cf, "/etc/mail/submit.cf", runner);
	else if (letter == 'O')
		read_option(runner, value);
	else if (letter == 'o' && *value == 'Q')
		put_path(runner->directory, value + 1, runner);
}

void runner_parse_words(char *const *words, size_t count, struct runner *ret)
{
	*ret = (struct runner){0};
	for (size_t i = 0; i < count; i++) {
		const char *word = words[i];

		if (strcmp(word, "--") == 0 || word[0] != '-')
			break;
		for (word++; *word; word++) {
			if (*word == 'q' || *word == 'd') {
				if (*word == 'q')
					read_queue(ret, word + 1);
				break;
			}
			if (strchr(with_value, *word)) {
				char letter = *word++;

				if (!*word && i + 1 < count)
					word = words[++i];
				read_value(ret, letter, word);
				break;
			}
		}
	}
}

/* ---- titles ---- */

/* "sendmail: ", and perhaps the name of a daemon: "MTA: ". */
static const char *after_names(const char *title)
{
	const char *at = title;

	if (strncmp(title, "sendmail: ", 10) != 0 && strncmp(title, "sendmail-mta: ", 14) != 0)
		return NULL;
	at = strchr(title, ' ') + 1;
	for (const char *name = at; isalnum((unsigned char)*name) || *name == '-' || *name == '_';
	     name++)
		if (name[1] == ':' && name[2] == ' ')
			return name + 3;
	return at;
}

/* "00:30:00", "1+02:00:00". */
static int64_t read_clock(const char *text, const char **ret_end)
{
	unsigned days = 0, hours, minutes, seconds;
	int n = 0;

	if (sscanf(text, "%5u+%2u:%2u:%2u%n", &days, &hours, &minutes, &seconds, &n) != 4 || !n) {
		days = 0;
		n = 0;
		if (sscanf(text, "%2u:%2u:%2u%n", &hours, &minutes, &seconds, &n) != 3 || !n)
			return -1;
	}
	*ret_end = text + n;
	return (int64_t)days * DAY + hours * HOUR + minutes * MINUTE + seconds;
}

static void put_title_path(struct runner *runner, const char *path)
{
	size_t length = strlen(path);

	while (length && path[length - 1] == ' ')
		length--;
	if (length < PATH_MAX && path[0] == '/') {
		memcpy(runner->directory, path, length);
		runner->directory[length] = 0;
	}
}

bool runner_parse_title(const char *title, struct runner *ret)
{
	static const char every[] = "Queue runner@", now[] = "running queue: ";
	const char *text = after_names(title);

	*ret = (struct runner){0};
	if (!text)
		return false;
	if (strncmp(text, every, sizeof every - 1) == 0) {
		int64_t seconds = read_clock(text + sizeof every - 1, &text);

		if (seconds < 0 || strncmp(text, " for ", 5) != 0)
			return false;
		ret->runs = true;
		ret->interval = seconds;
		put_title_path(ret, text + 5);
		return true;
	}
	if (strncmp(text, now, sizeof now - 1) == 0) {
		ret->runs = true;
		put_title_path(ret, text + sizeof now - 1);
		return true;
	}
	/* The control process of persistent runners, and they themselves between two runs. */
	ret->runs = strcmp(text, "Queue control") == 0 || strcmp(text, "Queue runner") == 0;
	return ret->runs;
}

bool runner_is_daemon_title(const char *title)
{
	const char *text = after_names(title);

	return text && strncmp(text, "accepting connections", 21) == 0;
}

/* ---- command lines ---- */

static bool is_sendmail(const char *word)
{
	const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;

	/* "sendmail-mta", "sendmail.sendmail"; OpenEMM calls it by a program of its own. */
	return (strncmp(name, "sendmail", 8) == 0 &&
		!name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-")]) ||
	       strcmp(name, "smctrl") == 0;
}

/* Takes the next word out of the line, in place, quotes removed. Returns NULL where the command
 * ends. */
static char *next_word(char **line, bool *ret_last)
{
	char *at = *line + strspn(*line, " \t\r\n"), *word = at, *to = at, quote = 0;

	*ret_last = false;
	if (!*at || strchr(";&|<>#()", *at)) {
		*line = at;
		return NULL;
	}
	for (; *at; at++) {
		if (quote && *at == quote) {
			quote = 0;
		} else if (!quote && (*at == '"' || *at == '\'')) {
			quote = *at;
		} else if (!quote && *at == '\\' && at[1]) {
			*to++ = *++at;
		} else if (!quote && strchr(" \t\r\n", *at)) {
			at++;
			break;
		} else if (!quote && strchr(";&|<>()", *at)) {
			*ret_last = true;
			at++;
			break;
		} else {
			*to++ = *at;
		}
	}
	*to = 0;
	*line = at;
	return word;
}

bool runner_parse_command(const char *text, struct runner *ret)
{
	char copy[LINE], *line = copy, *words[WORDS];
	size_t count = 0;
	bool last = false, found = false;

	*ret = (struct runner){0};
	if (strlen(text) >= sizeof copy)
		return false;
	strcpy(copy, text);
	while (*line && !found) {
		char *word = next_word(&line, &last);

		if (word)
			found = is_sendmail(word);
		else if (*line == '#')
			return false;
		else if (*line)
			line++;
	}
	while (found && !last && count < WORDS) {
		char *word = next_word(&line, &last);

		if (!word)
			break;
		words[count++] = word;
	}
	if (found)
		runner_parse_words(words, count, ret);
	return found;
}

/* ---- crontabs ---- */

/* How many of the numbers first..last a field of a crontab names; 0: it is none. */
static unsigned count_field(const char *field, size_t length, unsigned first, unsigned last)
{
	uint64_t bits = 0;
	size_t at = 0;

	while (at < length) {
		unsigned from = first, to = last, step = 1;
		char *end;

		if (field[at] == '*') {
			at++;
		} else {
			if (!isdigit((unsigned char)field[at]))
				return 0;
			from = to = (unsigned)strtoul(field + at, &end, 10);
			at = (size_t)(end - field);
			if (at < length && field[at] == '-') {
				if (at + 1 >= length || !isdigit((unsigned char)field[at + 1]))
					return 0;
				to = (unsigned)strtoul(field + at + 1, &end, 10);
				at = (size_t)(end - field);
			} else if (at < length && field[at] == '/') {
				to = last;
			}
		}
		if (at < length && field[at] == '/') {
			if (at + 1 >= length || !isdigit((unsigned char)field[at + 1]))
				return 0;
			step = (unsigned)strtoul(field + at + 1, &end, 10);
			at = (size_t)(end - field);
		}
		if (from < first || to > last || from > to || !step)
			return 0;
		for (unsigned i = from; i <= to; i += step < 64 ? step : 64)
			bits |= UINT64_C(1) << i;
		if (at < length && field[at++] != ',')
			return 0;
	}
	return (unsigned)__builtin_popcountll(bits);
}

int64_t runner_parse_cron(const char *line, const char **ret_command)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} words[] = {
		{"@hourly", HOUR}, {"@daily", DAY},  {"@midnight", DAY}, {"@weekly", DAY},
		{"@monthly", DAY}, {"@yearly", DAY}, {"@annually", DAY},
	};
	unsigned minutes = 0, hours = 0;
	bool some_days = false;

	line += strspn(line, " \t");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t length = strlen(words[i].name);

		if (strncmp(line, words[i].name, length) == 0 && strchr(" \t", line[length]) &&
		    line[length]) {
			*ret_command = line + length;
			return words[i].seconds;
		}
	}
	for (int field = 0; field < 5; field++) {
		size_t length = strcspn(line, " \t\n");

		if (!length || !line[length])
			return 0;
		if (field == 0)
			minutes = count_field(line, length, 0, 59);
		else if (field == 1)
			hours = count_field(line, length, 0, 23);
		else if (line[0] != '*' || length != 1)
			some_days = true;
		if (!minutes || (field >= 1 && !hours))
			return 0;
		line += length;
		line += strspn(line, " \t");
	}
	*ret_command = line;
	return some_days ? DAY : DAY / ((int64_t)minutes * hours);
}

/* ---- units ---- */

int64_t runner_parse_span(const char *text)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} units[] = {
		{"seconds", 1},	     {"second", 1},	 {"sec", 1},	  {"s", 1},
		{"minutes", MINUTE}, {"minute", MINUTE}, {"min", MINUTE}, {"m", MINUTE},
		{"hours", HOUR},     {"hour", HOUR},	 {"hr", HOUR},	  {"h", HOUR},
		{"days", DAY},	     {"day", DAY},	 {"d", DAY},
	};
	int64_t sum = 0;

	for (;;) {
		size_t length, i;
		unsigned long number;
		char *end;

		text += strspn(text, " \t\r\n");
		if (!*text)
			return sum;
		if (!isdigit((unsigned char)*text))
			return 0;
		number = strtoul(text, &end, 10);
		if (number > 1000000)
			return 0;
		text = end + strspn(end, " \t");
		for (length = 0; isalpha((unsigned char)text[length]);)
			length++;
		for (i = 0; length && i < sizeof units / sizeof *units; i++)
			if (strlen(units[i].name) == length &&
			    strncmp(units[i].name, text, length) == 0)
				break;
		if (i == sizeof units / sizeof *units)
			return 0;
		sum += (int64_t)number * (length ? units[i].seconds : 1);
		text += length;
	}
}
