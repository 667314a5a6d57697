/* log.c - see log.h */
#include "qfwatch/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t lost;	   /* lines not written since the start */
static uint64_t lost_told; /* of these, told in a later line */

uint64_t log_lost(void)
{
	return lost;
}

static bool stderr_takes_a_line(void)
{
	struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT);
}

static void put(const char *line, size_t length)
{
	if (!stderr_takes_a_line() || write(STDERR_FILENO, line, length) != (ssize_t)length)
		lost++;
}

static const char *prefix(enum log_level level)
{
	static int terminal = -1;

	if (terminal < 0)
		terminal = isatty(STDERR_FILENO);
	if (terminal)
		return "";
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "<3>";
	case LOG_LEVEL_WARNING:
		return "<4>";
	case LOG_LEVEL_NOTICE:
		return "<5>";
	case LOG_LEVEL_INFO:
		break;
	}
	return "<6>";
}

void log_line(enum log_level level, const char *format, ...)
{
	/* At most PIPE_BUF, so that a pipe takes the line whole or not at all. */
	char line[4096];
	va_list arguments;
	int start, length;

	if (lost > lost_told) {
		int n = snprintf(
			line, sizeof line,
			"%sqfwatch: %llu diagnostic lines were lost: stderr was not read\n",
			prefix(LOG_LEVEL_WARNING), (unsigned long long)(lost - lost_told));
		uint64_t before = lost;

		put(line, (size_t)n);
		if (lost == before)
			lost_told = lost;
		else
			lost = before;
	}
	start = snprintf(line, sizeof line, "%sqfwatch: ", prefix(level));
	va_start(arguments, format);
	length = vsnprintf(line + start, sizeof line - (size_t)start - 1, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	length += start;
	if (length > (int)sizeof line - 2)
		length = (int)sizeof line - 2;
	for (int i = start; i < length; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[length++] = '\n';
	put(line, (size_t)length);
}
