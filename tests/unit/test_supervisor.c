/* test_supervisor.c - who listens at $NOTIFY_SOCKET hears it; who does not holds nothing up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/supervisor.h"

#include "../support/testing.h"

/* As a service manager does. A name that begins with "@" is an abstract one. */
static int listen_at(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	check(fd >= 0 && length < sizeof address.sun_path);
	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	check(bind(fd, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0);
	check(setenv("NOTIFY_SOCKET", name, 1) == 0);
	return fd;
}

/* What came next; "": nothing did. */
static const char *heard(int listener)
{
	static char text[1024];
	ssize_t n = recv(listener, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void is_told(const char *name)
{
	int listener = listen_at(name), fd = supervisor_open();

	check(fd >= 0);
	supervisor_tell(fd, "READY=1");
	supervisor_tell(fd, "STATUS=%d of %s", 3, "4");
	check_text(heard(listener), "READY=1");
	check_text(heard(listener), "STATUS=3 of 4");
	check_text(heard(listener), "");
	close(fd);
	close(listener);
	testing_all_closed();
}

static void by_path(void)
{
	/* The test's folder: its own name may be too long for an address. */
	is_told("/proc/self/cwd/notify");
}

static void by_abstract_name(void)
{
	char name[64];

	snprintf(name, sizeof name, "@qfwatch-test-%d", (int)getpid());
	is_told(name);
}

static void to_nobody(void)
{
	char far[200];

	memset(far, 'a', sizeof far - 1);
	far[0] = '/';
	far[sizeof far - 1] = '\0';
	unsetenv("NOTIFY_SOCKET");
	check_equal(supervisor_open(), -1);
	for (const char *const *name =
		     (const char *const[]){"", "notify", "/proc/self/cwd/notify", far, NULL};
	     *name; name++) {
		check(setenv("NOTIFY_SOCKET", *name, 1) == 0);
		check_equal(supervisor_open(), -1);
	}
	supervisor_tell(-1, "READY=1");
	testing_all_closed();
}

/* One that does not read, and one that has gone. Neither SIGPIPE nor waiting: else the test's time
 * limit ends it. */
static void not_heard(void)
{
	int listener = listen_at("/proc/self/cwd/notify"), fd = supervisor_open();

	for (int i = 0; i < 100000; i++)
		supervisor_tell(fd, "STATUS=%d", i);
	check_text(heard(listener), "STATUS=0");
	close(listener);
	supervisor_tell(fd, "STOPPING=1");
	close(fd);
}

static void cut(void)
{
	int listener = listen_at("/proc/self/cwd/notify"), fd = supervisor_open();
	char text[601];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	supervisor_tell(fd, "%s", text);
	check_equal(strlen(heard(listener)), 511);
	close(fd);
	close(listener);
}

static int64_t watchdog(const char *interval, const char *pid)
{
	if (interval)
		check(setenv("WATCHDOG_USEC", interval, 1) == 0);
	else
		unsetenv("WATCHDOG_USEC");
	if (pid)
		check(setenv("WATCHDOG_PID", pid, 1) == 0);
	else
		unsetenv("WATCHDOG_PID");
	return supervisor_watchdog();
}

static void watchdogs(void)
{
	char self[32];

	snprintf(self, sizeof self, "%d", (int)getpid());
	check_equal(watchdog(NULL, NULL), 0);
	check_equal(watchdog(NULL, self), 0);
	check_equal(watchdog("60000000", NULL), 30000000);
	check_equal(watchdog("60000000", self), 30000000);
	check_equal(watchdog("60000000", "1"), 0);
	check_equal(watchdog("0", self), 0);
	check_equal(watchdog("-5", self), 0);
	check_equal(watchdog("soon", self), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(by_path), APART(by_abstract_name), APART(to_nobody), APART(not_heard),
		APART(cut),	APART(watchdogs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
