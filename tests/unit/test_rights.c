/* test_rights.c - what somebody may do, against what the kernel lets him do; /proc/PID/status and
 * capability lists; command lines as /proc has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/processes.h"
#include "qfwatch/rights.h"

#include "../support/testing.h"

static const char status_text[] = "Name:\tqfwatch\nUid:\t1\t2\t3\t104\nGid:\t5\t6\t7\t105\n"
				  "Groups:\t8 9 \nCapInh:\t0\nCapEff:\t000000000000000b\n";

static void status(void **state)
{
	static const char *const wrong[] = {
		"",
		"Uid:\t1\t2\t3\t4\n",
		"Uid:\t1\t2\t3\nGid:\t1\t2\t3\t4\nGroups:\nCapEff:\t0\n",
		"Uid:\t1\t2\t3\t4\nGid:\t1\t2\t3\t4\nGroups:\nCapEff:\tx\n",
		"Uid:\t1\t2\t3\t4\nGid:\t1\t2\t3\t4\nGroups:\nCapEff:\t-1\n",
		"Uid:\t1\t2\t3\t4\nGid:\t1\t2\t3\t4\nGroups:\nCapEff:\tfffffffffffffffff\n",
		"Uid:\t1\t2\t3\t4\nGid:\t1\t2\t3\t4\nGroups:\n",
	};
	struct rights rights = {0};

	(void)state;
	assert_int_equal(rights_parse_status(status_text, &rights), 0);
	assert_int_equal(rights.uid, 104);
	assert_int_equal(rights.gid, 105);
	assert_int_equal(rights.n_groups, 2);
	assert_int_equal(rights.groups[1], 9);
	assert_true(rights.capabilities == (RIGHTS_BIT(CAP_CHOWN) | RIGHTS_BIT(CAP_DAC_OVERRIDE) |
					    RIGHTS_BIT(CAP_FOWNER)));
	for (size_t i = 0; i < N(wrong); i++)
		assert_int_equal(rights_parse_status(wrong[i], &rights), -EINVAL);
}

static void many_groups(void **state)
{
	char text[16384];
	struct rights rights;
	int n = sprintf(text, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t");

	(void)state;
	for (int i = 0; i < 1000; i++)
		n += sprintf(text + n, "%d ", i);
	sprintf(text + n, "\nCapEff:\t0\n");
	assert_int_equal(rights_parse_status(text, &rights), 0);
	assert_int_equal(rights.n_groups, RIGHTS_GROUPS);
}

static void capabilities(void **state)
{
	(void)state;
	assert_true(rights_parse_capabilities("CAP_CHOWN  cap_fowner") ==
		    (RIGHTS_BIT(CAP_CHOWN) | RIGHTS_BIT(CAP_FOWNER)));
	assert_true(rights_parse_capabilities("~CAP_CHOWN") == ~RIGHTS_BIT(CAP_CHOWN));
	assert_true(rights_parse_capabilities("") == 0);
	assert_true(rights_parse_capabilities("~") == RIGHTS_ALL);
	assert_true(rights_parse_capabilities("CAP_CHOW CAP_CHOWNS CAP_SYS_ADMIN") == 0);
}

static void users(void **state)
{
	struct rights rights;
	char text[RIGHTS_TEXT];

	(void)state;
	assert_int_equal(rights_of_user("root", &rights), 0);
	assert_true(rights.capabilities == RIGHTS_ALL);
	assert_int_equal(rights_of_user("0", &rights), 0);
	assert_int_equal(rights.uid, 0);
	assert_int_equal(rights_of_user("987654", &rights), 0);
	assert_int_equal(rights.uid, 987654);
	assert_int_equal(rights.capabilities, 0);
	assert_int_equal(rights_of_user("no such user", &rights), -ENOENT);
	assert_int_equal(rights_of_user("-1", &rights), -ENOENT);
	assert_int_equal(rights_of_user("99999999999999999999", &rights), -ENOENT);
	assert_int_equal(rights_of_user("987654", &rights), 0);
	assert_int_equal(rights_add_groups(&rights, " root 4242\t77 ", true), 0);
	assert_int_equal(rights.gid, 0);
	assert_int_equal(rights.n_groups, 3);
	assert_int_equal(rights.groups[1], 4242);
	assert_int_equal(rights_add_groups(&rights, "", false), 0);
	assert_int_equal(rights_add_groups(&rights, "no-such-group", false), -ENOENT);
	rights_parse_status(status_text, &rights);
	rights.uid = 987654;
	assert_string_equal(rights_describe(&rights, text, sizeof text),
			    "987654 (uid 987654), groups 105, 8, 9, capabilities CAP_CHOWN "
			    "CAP_DAC_OVERRIDE CAP_FOWNER");
	assert_string_equal(rights_describe(&rights, text, 10), "987654 (u");
}

/* All modes of a file and of a directory, as the owner, a member of the group, and anybody: what
 * the kernel says to a process that is he. */
static void as_the_kernel_says(void)
{
	static const struct {
		uid_t uid;
		gid_t gid;
	} owners[] = {{65534, 1}, {1, 65534}, {1, 1}};
	struct rights rights = {.uid = 65534, .gid = 65534};

	testing_need_root();
	testing_write("file", "x");
	testing_mkdir("dir");
	check(chmod(".", 0755) == 0);
	for (size_t o = 0; o < N(owners); o++)
		for (unsigned mode = 0; mode < 01000; mode++) {
			struct stat file, dir;

			check(chown("file", owners[o].uid, owners[o].gid) == 0);
			check(chown("dir", owners[o].uid, owners[o].gid) == 0);
			check(chmod("file", mode) == 0 && chmod("dir", mode) == 0);
			check(stat("file", &file) == 0 && stat("dir", &dir) == 0);
			check(setegid(65534) == 0 && seteuid(65534) == 0);
			for (int want = 1; want < 8; want++) {
				check_equal(rights_may(&rights, &file, want),
					    faccessat(AT_FDCWD, "file", want, AT_EACCESS) == 0);
				check_equal(rights_may(&rights, &dir, want),
					    faccessat(AT_FDCWD, "dir", want, AT_EACCESS) == 0);
			}
			check(seteuid(0) == 0 && setegid(0) == 0);
		}
}

static void with_capabilities(void **state)
{
	struct stat dir = {.st_mode = S_IFDIR | 01700}, file = {.st_mode = S_IFREG | 0600};
	struct rights rights = {.uid = 5, .gid = 5};

	(void)state;
	assert_false(rights_may(&rights, &dir, R_OK));
	assert_false(rights_may_link(&rights, &file));
	assert_false(rights_may_remove(&rights, &dir, 7));
	assert_true(rights_may_remove(&rights, &dir, 5));
	rights.capabilities = RIGHTS_BIT(CAP_DAC_READ_SEARCH);
	assert_true(rights_may(&rights, &dir, R_OK | X_OK));
	assert_false(rights_may(&rights, &dir, W_OK));
	assert_true(rights_may(&rights, &file, R_OK));
	rights.capabilities = RIGHTS_BIT(CAP_DAC_OVERRIDE);
	assert_true(rights_may(&rights, &dir, R_OK | W_OK | X_OK));
	assert_true(rights_may_link(&rights, &file));
	assert_false(rights_may_remove(&rights, &dir, 7));
	rights.capabilities = RIGHTS_BIT(CAP_FOWNER);
	assert_true(rights_may_link(&rights, &file));
	assert_true(rights_may_remove(&rights, &dir, 7));
}

static void ways(void)
{
	struct rights rights = {.uid = 65533, .gid = 65533};
	char blocker[PATH_MAX];

	testing_mkdir("open");
	testing_mkdir("open/shut");
	testing_mkdir("open/shut/in");
	check(chmod("open", 0755) == 0 && chmod("open/shut", 0700) == 0);
	check(symlink("open/shut/in", "link") == 0);
	check(!rights_may_reach(&rights, testing_path("link"), blocker));
	rights.capabilities = RIGHTS_BIT(CAP_DAC_READ_SEARCH);
	check(rights_may_reach(&rights, testing_path("link"), blocker));
	check(rights_may_reach(&rights, testing_path("nowhere"), blocker));
}

static void command_lines(void **state)
{
	char line[] = "sendmail\0-q30m\0\0-v\0\0\0", title[] = "sendmail: x\0\0\0\0", many[512];
	struct process process = {0};

	(void)state;
	processes_split(line, sizeof line - 1, &process);
	assert_int_equal(process.n_words, 4);
	assert_string_equal(process.words[2], "");
	assert_string_equal(process.words[3], "-v");
	processes_split(title, sizeof title - 1, &process);
	assert_int_equal(process.n_words, 1);
	for (size_t i = 0; i < sizeof many; i++)
		many[i] = i % 2 ? 0 : 'x';
	processes_split(many, sizeof many, &process);
	assert_int_equal(process.n_words, PROCESSES_WORDS);
	processes_split(many, 0, &process);
	assert_int_equal(process.n_words, 0);
}

static void count_file(void *context, const char *path, const char *target)
{
	check(path[0] == '/' && target[0]);
	++*(int *)context;
}

/* This process, in the real /proc. */
static void own_process(void)
{
	char name[17] = ""; /* of valgrind, where that runs us */
	const char *const names[] = {name, NULL}, *const none[] = {"no such name", NULL};
	char cwd[PATH_MAX], here[PATH_MAX], *text;
	struct processes processes;
	struct rights rights;
	bool found = false;
	int files = 0;

	check(prctl(PR_GET_NAME, name) == 0);
	check_equal(processes_read("/proc", names, &processes), 0);
	check(!processes.hidden);
	for (size_t i = 0; i < processes.count; i++)
		found |= processes.list[i].pid == getpid();
	check(found);
	check(processes_link(&processes, getpid(), "cwd", cwd) && getcwd(here, sizeof here));
	check_text(cwd, here);
	text = processes_file(&processes, getpid(), "status");
	check(text && rights_parse_status(text, &rights) == 0);
	check_equal(rights.uid, geteuid());
	free(text);
	check(processes_files(&processes, getpid(), count_file, &files) && files >= 3);
	processes_free(&processes);
	check_equal(processes_read("/proc", none, &processes), 0);
	check_equal(processes.count, 0);
	processes_free(&processes);
	check_equal(processes_read("nowhere", names, &processes), -ENOENT);
	processes_free(&processes);
	testing_all_closed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status),
		cmocka_unit_test(many_groups),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(users),
		APART(as_the_kernel_says),
		cmocka_unit_test(with_capabilities),
		APART(ways),
		cmocka_unit_test(command_lines),
		APART(own_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
