/* supervisor.c - see supervisor.h */
#include "qfwatch/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd;

	if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path)
		return -1;
	memcpy(address.sun_path, path, length);
	/* An abstract address is written with "@" for its leading NUL byte. */
	if (path[0] == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int supervisor_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path ? connect_to(path) : -1;
}

int64_t supervisor_watchdog(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	long long microseconds = interval ? strtoll(interval, NULL, 10) : 0;

	/* It may be meant for the process that started this one. */
	if (microseconds <= 0 || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	return microseconds / 2;
}

void supervisor_tell(int fd, const char *format, ...)
{
	char text[512];
	va_list arguments;
	int length;

	if (fd < 0)
		return;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (length > 0)
		send(fd, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1,
		     MSG_NOSIGNAL);
}
