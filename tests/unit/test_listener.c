/* test_listener.c - the socket that "listen" names: its rights, what it replaces and what not, what
 * is left of it; and the token. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/listener.h"

#include "../support/testing.h"

static char folder[] = "/tmp/qfwatch-listener-XXXXXX";
static char path[sizeof folder + 32], address[sizeof path + 8];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/http.sock", folder);
	snprintf(address, sizeof address, "unix:%s", path);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static struct policy_listen unix_socket(void)
{
	return (struct policy_listen){.address = address, .path = path};
}

static void opens(const struct policy_listen *config, struct listener *ret)
{
	struct problems problems = {0};

	assert_int_equal(listener_open(config, ret, &problems), 0);
	assert_int_equal(problems.count, 0);
	problems_free(&problems);
}

static void is_refused(const struct policy_listen *config, int expected, const char *why)
{
	struct listener listener = LISTENER_NONE;
	struct problems problems = {0};

	assert_int_equal(listener_open(config, &listener, &problems), -expected);
	assert_int_equal(listener.fd, -1);
	assert_int_equal(problems.count, 1);
	if (!strstr(problems.list[0].text, why))
		fail_msg("\"%s\" does not say \"%s\"", problems.list[0].text, why);
	assert_int_equal(problems.list[0].kind, PROBLEM_REFUSED);
	problems_free(&problems);
}

static bool can_connect(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool can;

	memcpy(to.sun_path, path, strlen(path));
	can = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
	close(fd);
	return can;
}

static void rights(void **state)
{
	struct policy_listen config = unix_socket();
	struct listener listener = LISTENER_NONE;
	struct problems problems = {0};
	char group[16];
	struct stat stat;
	mode_t before = umask(0);

	(void)state;
	opens(&config, &listener);
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_mode, S_IFSOCK | 0660);
	assert_true(can_connect());
	assert_true(listener_is_there(&listener));
	umask(0777);
	snprintf(group, sizeof group, "%u", (unsigned)getgid());
	config.group = group;
	assert_int_equal(listener_regroup(&listener, &config, &problems), 0);
	listener_close(&listener);
	assert_int_equal(listener.fd, -1);
	assert_int_equal(access(path, F_OK), -1);
	opens(&config, &listener);
	umask(before);
	assert_int_equal(lstat(path, &stat), 0);
	assert_int_equal(stat.st_mode, S_IFSOCK | 0660);
	assert_int_equal(stat.st_gid, getgid());
	config.group = "no-such-group-here";
	assert_int_equal(listener_regroup(&listener, &config, &problems), -ENOENT);
	assert_non_null(strstr(problems.list[0].text, "no-such-group-here"));
	problems_free(&problems);
	listener_close(&listener);
	is_refused(&config, ENOENT, "no-such-group-here");
	assert_int_equal(access(path, F_OK), -1);
}

static void places(void **state)
{
	struct policy_listen config = unix_socket();
	struct listener first = LISTENER_NONE, second = LISTENER_NONE;
	char who[64];
	int fd;

	(void)state;
	opens(&config, &first);
	snprintf(who, sizeof who, "process %d listens there already", (int)getpid());
	is_refused(&config, EADDRINUSE, who);
	assert_true(listener_is_there(&first));
	/* A daemon that was killed leaves its name. Here it does not quite end, so that its inode
	 * is not taken again. */
	shutdown(first.fd, SHUT_RDWR);
	opens(&config, &second);
	assert_true(can_connect());
	assert_false(listener_is_there(&first));
	/* Whose name it is not any more does not remove it. */
	listener_close(&first);
	assert_true(listener_is_there(&second));
	assert_int_equal(unlink(path), 0);
	assert_false(listener_is_there(&second));
	listener_close(&second);

	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	is_refused(&config, EEXIST, "no socket");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/nowhere", path), 0);
	is_refused(&config, EEXIST, "no socket");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	is_refused(&config, EEXIST, "no socket");
	assert_int_equal(rmdir(path), 0);
}

static void folders(void **state)
{
	char deeper[sizeof path + 16], its[sizeof path + 16];
	struct policy_listen config = {.address = address, .path = deeper};
	struct listener listener = LISTENER_NONE;

	(void)state;
	snprintf(its, sizeof its, "%s/made", folder);
	snprintf(deeper, sizeof deeper, "%s/made/s", folder);
	opens(&config, &listener);
	listener_close(&listener);
	assert_int_equal(rmdir(its), 0);
	snprintf(deeper, sizeof deeper, "%s/not/made/s", folder);
	is_refused(&config, ENOENT, "create its folder");
}

static void inet(void **state)
{
	struct policy_listen config = {
		.address = "127.0.0.1:PORT", .host = "127.0.0.1", .loopback = true};
	struct listener listener = LISTENER_NONE;
	struct problems problems = {0};
	int r = -EADDRINUSE;

	(void)state;
	if (!testing_loopback())
		skip();
	for (unsigned i = 0; i < 200 && r == -EADDRINUSE; i++) {
		problems_free(&problems);
		config.port = (uint16_t)(20000 + ((unsigned)getpid() + i * 7) % 10000);
		r = listener_open(&config, &listener, &problems);
		if (r < 0)
			continue;
		assert_true(listener_is_there(&listener));
		is_refused(&config, EADDRINUSE, "listens there already");
		listener_close(&listener);
		/* Somebody else may be faster. */
		r = listener_open(&config, &listener, &problems);
	}
	assert_int_equal(r, 0);
	listener_close(&listener);
	config.host = "192.0.2.1";
	is_refused(&config, EADDRNOTAVAIL, "does not have that address");
	problems_free(&problems);
}

static void write_token(const char *text, mode_t mode)
{
	int fd;

	/* One that stands there may not be written to by who made it so. */
	unlink(path);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void token(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		int error;
		const char *expected; /* the token, or what is said */
	} cases[] = {
		{"0123456789abcdef\nmore\n", 0600, 0, "0123456789abcdef"},
		{"0123456789abcdef", 0400, 0, "0123456789abcdef"},
		{"0123456789abcdef\r\n", 0600, 0, "0123456789abcdef"},
		{"0123456789abcde\n", 0600, EINVAL, "shorter"},
		{"", 0600, EINVAL, "shorter"},
		{"0123456789 abcdef\n", 0600, EINVAL, "no token"},
		{"0123456789abcdef\t\n", 0600, EINVAL, "no token"},
		{"0123456789abcdef", 0640, EPERM, "mode 0640"},
		{"0123456789abcdef", 0604, EPERM, "mode 0604"},
	};
	struct policy_listen config = {.address = address, .token_file = path};
	char found[LISTENER_TOKEN_MOST + 1], longest[LISTENER_TOKEN_MOST + 2] = {0};
	struct problems problems = {0};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_token(cases[i].text, cases[i].mode);
		assert_int_equal(listener_read_token(&config, found, &problems), -cases[i].error);
		if (cases[i].error)
			assert_non_null(strstr(problems.list[0].text, cases[i].expected));
		else
			assert_string_equal(found, cases[i].expected);
		problems_free(&problems);
	}
	memset(longest, 'x', LISTENER_TOKEN_MOST);
	write_token(longest, 0600);
	assert_int_equal(listener_read_token(&config, found, &problems), 0);
	assert_string_equal(found, longest);
	longest[LISTENER_TOKEN_MOST] = 'x';
	write_token(longest, 0600);
	assert_int_equal(listener_read_token(&config, found, &problems), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(listener_read_token(&config, found, &problems), -ENOENT);
	config.token_file = folder;
	assert_int_equal(listener_read_token(&config, found, &problems), -EISDIR);
	config.token_file = NULL;
	assert_int_equal(listener_read_token(&config, found, &problems), 0);
	assert_string_equal(found, "");
	problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights), cmocka_unit_test(places), cmocka_unit_test(folders),
		cmocka_unit_test(inet),	  cmocka_unit_test(token),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
