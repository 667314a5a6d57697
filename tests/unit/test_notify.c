/* test_notify.c - notifications, with the real inotify: what each change becomes, who is told, and
 * what happens when directories go, come back, or the kernel loses count.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/notify.h"

#include "../support/testing.h"

/* ---- what is expected ---- */

/* The next one; the kernel queues what we did before we ask, so there is nothing to wait for. */
static bool next(struct notify_event *event)
{
	int r = notify_next(event);

	check(r >= 0);
	return r > 0;
}

/* One, told as "kind purpose owner name", with what else is true of it. */
static const char *tell(void)
{
	static const char *const kinds[] = {"nothing", "changed", "removed", "lost", "overflow"};
	static const char *const purposes[] = {"spool", "self", "parent", "policy"};
	static char text[400];
	struct notify_event event;

	if (!next(&event))
		return "";
	if (event.kind == NOTIFY_OVERFLOW)
		return "overflow";
	snprintf(text, sizeof(text), "%s %s %u%s%s%s%s", kinds[event.kind], purposes[event.purpose],
		 event.owner, event.name[0] ? " " : "", event.name, event.moved ? " moved" : "",
		 event.directory && event.name[0] ? " directory" : "");
	return text;
}

#define told(text)   check_text(tell(), text)
#define told_nothing check_text(tell(), "")

static void start(void)
{
	int guard = testing_keep_queue();

	check_equal(notify_open(), 0);
	testing_let_queue(guard);
	check(notify_fd() >= 0);
}

static void finish(void)
{
	notify_close();
	check_equal(notify_fd(), -1);
	check(!notify_is_waiting());
	testing_all_closed();
}

static void watch(const char *path, enum notify_purpose purpose, uint32_t owner)
{
	check_equal(notify_add(testing_path("%s", path), purpose, owner), 0);
}

static void touch(const char *path)
{
	testing_write(path, "%s", "");
}

static void append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	check(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

/* ---- kinds ---- */

static void kinds_of_changes(void)
{
	int fd;

	testing_mkdir("tier");
	testing_mkdir("other");
	touch("other/qf3");
	start();
	watch("tier", NOTIFY_SPOOL, 5);
	told_nothing;

	fd = open("tier/qf1", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	told("changed spool 5 qf1");
	check(write(fd, "x", 1) == 1);
	told_nothing; /* not while it is being written */
	close(fd);
	told("changed spool 5 qf1");
	/* A look changes nothing. */
	fd = open("tier/qf1", O_RDONLY | O_CLOEXEC);
	close(fd);
	check(chmod("tier/qf1", 0640) == 0);
	told_nothing;

	testing_rename("tier/qf1", "tier/qf2");
	told("removed spool 5 qf1 moved");
	told("changed spool 5 qf2 moved");
	testing_rename("other/qf3", "tier/qf3");
	told("changed spool 5 qf3 moved");
	testing_rename("tier/qf3", "other/qf3");
	told("removed spool 5 qf3 moved");
	/* Over one that stands there: as sendmail's rewrite. */
	testing_rename("other/qf3", "tier/qf2");
	told("changed spool 5 qf2 moved");

	testing_link("tier/qf2", "tier/qf4");
	told("changed spool 5 qf4");
	check(unlink("tier/qf4") == 0);
	told("removed spool 5 qf4");
	check(symlink("nowhere", "tier/qf5") == 0);
	told("changed spool 5 qf5");
	testing_mkdir("tier/qf6");
	told("changed spool 5 qf6 directory");
	check(rmdir("tier/qf6") == 0);
	told("removed spool 5 qf6 directory");
	testing_remove("tier/qf2");
	told("removed spool 5 qf2");
	told_nothing;
	finish();
}

static void purposes(void)
{
	testing_mkdir("self");
	testing_mkdir("parent");
	testing_mkdir("policy");
	start();
	watch("self", NOTIFY_SELF, 1);
	watch("parent", NOTIFY_PARENT, 2);
	watch("policy", NOTIFY_POLICY, 3);

	/* Its folders come and go; what is written does not matter. */
	testing_mkdir("self/y");
	told("changed self 1 y directory");
	touch("self/x");
	told("changed self 1 x");
	append("self/x");
	told_nothing;
	testing_rename("self/y", "self/z");
	told("removed self 1 y moved directory");
	told("changed self 1 z moved directory");
	testing_mkdir("parent/d");
	told("changed parent 2 d directory");
	testing_rename("parent/d", "parent/e");
	told("removed parent 2 d moved directory");
	told("changed parent 2 e moved directory");
	check(rmdir("parent/e") == 0);
	told("removed parent 2 e directory");
	/* Not when it is made, which would be read empty: when it is written and closed. */
	touch("policy/policy.json");
	told("changed policy 3 policy.json");
	append("policy/policy.json");
	told("changed policy 3 policy.json");
	told_nothing;
	testing_write("policy/new", "x");
	told("changed policy 3 new");
	testing_rename("policy/new", "policy/policy.json");
	told("changed policy 3 policy.json moved");
	check(unlink("policy/policy.json") == 0);
	told_nothing;
	finish();
}

static void longest_name(void)
{
	char name[256], path[300], text[300];

	memset(name, 'x', 255);
	name[255] = 0;
	memcpy(name, "qf", 2);
	testing_mkdir("tier");
	start();
	watch("tier", NOTIFY_SPOOL, 0);
	snprintf(path, sizeof(path), "tier/%s", name);
	touch(path);
	snprintf(text, sizeof(text), "changed spool 0 %s", name);
	told(text);
	told(text);
	check(unlink(path) == 0);
	snprintf(text, sizeof(text), "removed spool 0 %s", name);
	told(text);
	told_nothing;
	finish();
}

/* ---- shared watches ---- */

static void shared(void)
{
	testing_mkdir("tier");
	start();
	/* The kernel has one watch for all of these. */
	watch("tier", NOTIFY_SELF, 1);
	watch("tier", NOTIFY_POLICY, 2);
	watch("tier", NOTIFY_SPOOL, 3);
	watch("tier", NOTIFY_SPOOL, 4);
	watch("tier", NOTIFY_PARENT, 5);

	testing_mkdir("tier/d");
	told("changed self 1 d directory");
	told("changed spool 3 d directory");
	told("changed spool 4 d directory");
	told("changed parent 5 d directory");
	touch("tier/f");
	/* Made: for all but the policy; closed: not for the parent. */
	told("changed self 1 f");
	told("changed spool 3 f");
	told("changed spool 4 f");
	told("changed parent 5 f");
	told("changed policy 2 f");
	told("changed spool 3 f");
	told("changed spool 4 f");
	told_nothing;

	/* One goes; the others stay. */
	notify_remove(NOTIFY_SPOOL, 3);
	notify_remove(NOTIFY_SPOOL, 3);
	notify_remove(NOTIFY_SPOOL, 99);
	check(unlink("tier/f") == 0);
	told("removed self 1 f");
	told("removed spool 4 f");
	told("removed parent 5 f");
	told_nothing;
	notify_remove(NOTIFY_SPOOL, 4);
	notify_remove(NOTIFY_PARENT, 5);
	touch("tier/g");
	told("changed self 1 g");
	told("changed policy 2 g");
	told_nothing;
	notify_remove(NOTIFY_POLICY, 2);
	append("tier/g");
	told_nothing;
	check(unlink("tier/g") == 0 && rmdir("tier/d") == 0 && rmdir("tier") == 0);
	told("removed self 1 g");
	told("removed self 1 d directory");
	told("lost self 1");
	told_nothing;
	finish();
}

/* Those who are told about one event may end each other's interest meanwhile. */
static void removed_while_told(void)
{
	struct notify_event event;
	unsigned count = 0;

	testing_mkdir("tier");
	start();
	for (uint32_t owner = 0; owner < 6; owner++)
		watch("tier", NOTIFY_SPOOL, owner);
	testing_mkdir("tier/d");
	told("changed spool 0 d directory");
	told("changed spool 1 d directory");
	notify_remove(NOTIFY_SPOOL, 0); /* told already */
	notify_remove(NOTIFY_SPOOL, 3); /* not yet */
	told("changed spool 2 d directory");
	told("changed spool 4 d directory");
	notify_remove(NOTIFY_SPOOL, 4); /* the one just told */
	told("changed spool 5 d directory");
	told_nothing;
	/* A newcomer is not told of what was before, and hides nobody. */
	check(rmdir("tier/d") == 0);
	told("removed spool 1 d directory");
	watch("tier", NOTIFY_POLICY, 9);
	while (next(&event)) {
		check(event.kind == NOTIFY_REMOVED && event.purpose == NOTIFY_SPOOL);
		check(event.owner == 2 || event.owner == 5);
		count++;
	}
	check_equal(count, 2);
	finish();
}

static void moved_to_another_path(void)
{
	testing_mkdir("a");
	testing_mkdir("b");
	start();
	watch("a", NOTIFY_SPOOL, 1);
	watch("b", NOTIFY_SPOOL, 1);
	testing_mkdir("a/x");
	told_nothing;
	testing_mkdir("b/y");
	told("changed spool 1 y directory");
	/* The same path again: still told once. */
	watch("b", NOTIFY_SPOOL, 1);
	watch("b", NOTIFY_SPOOL, 1);
	testing_mkdir("b/z");
	told("changed spool 1 z directory");
	told_nothing;
	finish();
}

/* What still stands in the queue when its interest ends is dropped. */
static void late_events(void)
{
	testing_mkdir("a");
	start();
	watch("a", NOTIFY_SPOOL, 1);
	for (int i = 0; i < 10; i++)
		testing_mkdir(testing_path("a/%d", i));
	notify_remove(NOTIFY_SPOOL, 1);
	told_nothing;
	/* Neither is it taken for news of a new watch. */
	watch("a", NOTIFY_SPOOL, 2);
	for (int i = 10; i < 20; i++)
		testing_mkdir(testing_path("a/%d", i));
	notify_remove(NOTIFY_SPOOL, 2);
	watch("a", NOTIFY_SPOOL, 3);
	told_nothing;
	testing_mkdir("a/last");
	told("changed spool 3 last directory");
	told_nothing;
	finish();
}

/* ---- directories that go ---- */

static void removed_and_made_again(void)
{
	testing_mkdir("tier");
	start();
	for (uint32_t round = 0; round < 20; round++) {
		/* The path is the same each time, what the library remembers of it is not. */
		watch("tier", NOTIFY_SPOOL, 1);
		watch("tier", NOTIFY_SELF, 1);
		touch("tier/qf1");
		told("changed spool 1 qf1");
		told("changed self 1 qf1");
		told("changed spool 1 qf1");
		check(unlink("tier/qf1") == 0);
		told("removed spool 1 qf1");
		told("removed self 1 qf1");
		check(rmdir("tier") == 0);
		testing_mkdir("tier");
		told("lost spool 1");
		told("lost self 1");
		told_nothing;
		/* The new one is nobody's yet. */
		touch("tier/qf2");
		check(unlink("tier/qf2") == 0);
		told_nothing;
	}
	finish();
}

/* As an owner does that finds a new directory in the place of the lost one at once. */
static void watched_anew_while_told(void)
{
	testing_mkdir("tier");
	start();
	for (int round = 0; round < 20; round++) {
		watch("tier", NOTIFY_SPOOL, 1);
		watch("tier", NOTIFY_SELF, 1);
		check(rmdir("tier") == 0);
		testing_mkdir("tier");
		told("lost spool 1");
		notify_remove(NOTIFY_SELF, 1);
		watch("tier", NOTIFY_SPOOL, 1);
		watch("tier", NOTIFY_SELF, 1);
		touch("tier/qf1");
		told("changed spool 1 qf1");
		told("changed self 1 qf1");
		told("changed spool 1 qf1");
		check(unlink("tier/qf1") == 0);
		told("removed spool 1 qf1");
		told("removed self 1 qf1");
		told_nothing;
	}
	finish();
}

static void renamed(void)
{
	testing_mkdir("tier");
	start();
	for (int round = 0; round < 10; round++) {
		watch("tier", NOTIFY_SPOOL, 1);
		testing_rename("tier", "away");
		told("lost spool 1");
		told_nothing;
		/* It is over: what happens in the old directory is not ours. */
		touch("away/qf1");
		told_nothing;
		testing_mkdir("tier");
		watch("tier", NOTIFY_SPOOL, 1);
		touch("tier/qf2");
		told("changed spool 1 qf2");
		told("changed spool 1 qf2");
		notify_remove(NOTIFY_SPOOL, 1);
		testing_remove("tier");
		testing_rename("away", "tier");
		check(unlink("tier/qf1") == 0);
		told_nothing;
	}
	finish();
}

static void unmounted(void)
{
	testing_private_mounts();
	testing_mkdir("tier");
	testing_mount_tmpfs("tier", NULL);
	start();
	watch("tier", NOTIFY_SPOOL, 1);
	watch("tier", NOTIFY_SELF, 2);
	watch(".", NOTIFY_PARENT, 3);
	touch("tier/qf1");
	told("changed spool 1 qf1");
	told("changed self 2 qf1");
	told("changed spool 1 qf1");
	check(umount("tier") == 0);
	told("lost spool 1");
	told("lost self 2");
	told_nothing;
	/* What was below is another directory. */
	watch("tier", NOTIFY_SPOOL, 1);
	touch("tier/qf2");
	told("changed spool 1 qf2");
	told("changed spool 1 qf2");
	told_nothing;
	finish();
}

/* A path that leads elsewhere now, without a word from the kernel. */
static void mounted_over(void)
{
	testing_private_mounts();
	testing_mkdir("tier");
	start();
	watch("tier", NOTIFY_PARENT, 1);
	watch("tier", NOTIFY_PARENT, 2);
	testing_mount_tmpfs("tier", NULL);
	testing_mkdir("tier/unseen");
	told_nothing;
	watch("tier", NOTIFY_PARENT, 1);
	testing_mkdir("tier/seen");
	told("changed parent 1 seen directory");
	told_nothing;
	watch("tier", NOTIFY_PARENT, 2);
	testing_mkdir("tier/both");
	told("changed parent 1 both directory");
	told("changed parent 2 both directory");
	told_nothing;
	finish();
}

static void refused(void)
{
	testing_write("file", "text\n");
	check(chmod(".", 0777) == 0);
	start();
	check_equal(notify_add(testing_path("missing"), NOTIFY_SPOOL, 1), -ENOENT);
	check_equal(notify_add(testing_path("file"), NOTIFY_SPOOL, 1), -ENOTDIR);
	testing_drop_rights();
	testing_mkdir("closed");
	check(chmod("closed", 0) == 0);
	check_equal(notify_add(testing_path("closed"), NOTIFY_SPOOL, 1), -EACCES);
	check(notify_remedy(ENOSPC)[0] && notify_remedy(EMFILE)[0] && notify_remedy(EACCES)[0]);
	check_text(notify_remedy(EIO), "");
	/* None of it is left behind. */
	testing_mkdir("tier");
	watch("tier", NOTIFY_SPOOL, 1);
	touch("tier/x");
	told("changed spool 1 x");
	told("changed spool 1 x");
	told_nothing;
	finish();
}

/* ---- many ---- */

static void burst(void)
{
	const unsigned count = 5000;
	unsigned char *seen = calloc(count, 1);
	struct notify_event event;

	check(seen != NULL);
	testing_mkdir("tier");
	start();
	watch("tier", NOTIFY_SPOOL, 1);
	for (unsigned i = 0; i < count; i++) {
		char path[32];
		int fd;

		/* Without a close for writing: one event each, fewer than any queue has room for.
		 */
		snprintf(path, sizeof(path), "tier/qf%u", i);
		fd = mkfifo(path, 0600);
		check(fd == 0);
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned number;

		check(next(&event));
		check_equal(event.kind, NOTIFY_CHANGED);
		check(sscanf(event.name, "qf%u", &number) == 1 && number < count);
		check_equal(number, i);
		seen[number]++;
	}
	told_nothing;
	for (unsigned i = 0; i < count; i++)
		check_equal(seen[i], 1);
	free(seen);
	finish();
}

/* One read takes many from the kernel: the rest are told although the descriptor is silent. */
static void buffered(void)
{
	unsigned count = 1;

	testing_mkdir("tier");
	start();
	watch("tier", NOTIFY_SPOOL, 1);
	check(!notify_is_waiting());
	for (int i = 0; i < 20; i++)
		check(mkfifo(testing_path("tier/qf%d", i), 0600) == 0);
	check(notify_is_waiting());
	told("changed spool 1 qf0");
	check(!notify_is_waiting());
	for (; count < 20; count++) {
		char text[40];

		snprintf(text, sizeof(text), "changed spool 1 qf%u", count);
		told(text);
	}
	told_nothing;
	check(!notify_is_waiting());
	finish();
}

/* ---- overflow ---- */

static void overflow(void)
{
	unsigned kept = 0;

	testing_mkdir("tier");
	testing_small_queue(start);
	watch("tier", NOTIFY_SPOOL, 1);
	for (int round = 0; round < 3; round++) {
		const char *text;

		for (int i = 0; i < 100; i++)
			check(mkfifo(testing_path("tier/qf%d", i), 0600) == 0);
		kept = 0;
		while (strcmp(text = tell(), "overflow") != 0) {
			check(strncmp(text, "changed spool 1 qf", 18) == 0);
			kept++;
		}
		check(kept >= 16 && kept <= 40);
		told_nothing;
		/* The watch goes on. */
		testing_mkdir("tier/after");
		told("changed spool 1 after directory");
		told_nothing;
		notify_remove(NOTIFY_SPOOL, 1);
		testing_remove("tier");
		testing_mkdir("tier");
		watch("tier", NOTIFY_SPOOL, 1);
		told_nothing;
	}
	finish();
}

/* ---- start and end ---- */

static void descriptor(void)
{
	int others[3];

	/* It is ours, and not another one that this program has open. */
	for (size_t i = 0; i < N(others); i++) {
		others[i] = inotify_init1(IN_CLOEXEC);
		check(others[i] >= 0);
	}
	close(others[1]);
	start();
	check(notify_fd() != others[0] && notify_fd() != others[2]);
	check(fcntl(notify_fd(), F_GETFD) & FD_CLOEXEC);
	check(fcntl(notify_fd(), F_GETFL) & O_NONBLOCK);
	/* There is one at a time. */
	check_equal(notify_open(), -EALREADY);
	close(others[0]);
	close(others[2]);
	finish();
	notify_close();
}

static void opened_again(void)
{
	testing_mkdir("tier");
	for (int round = 0; round < 5; round++) {
		start();
		watch("tier", NOTIFY_SPOOL, (uint32_t)round);
		/* What is left over must not come to light in the next one. */
		for (int i = 0; i < 300; i++)
			check(mkfifo(testing_path("tier/%d-%d", round, i), 0600) == 0);
		if (round % 2)
			check(strncmp(tell(), "changed spool", 13) == 0);
		finish();
	}
	start();
	watch("tier", NOTIFY_SPOOL, 7);
	told_nothing;
	testing_mkdir("tier/last");
	told("changed spool 7 last directory");
	told_nothing;
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(kinds_of_changes),
		APART(purposes),
		APART(longest_name),
		APART(shared),
		APART(removed_while_told),
		APART(moved_to_another_path),
		APART(late_events),
		APART(removed_and_made_again),
		APART(watched_anew_while_told),
		APART(renamed),
		APART(unmounted),
		APART(mounted_over),
		APART(refused),
		APART(burst),
		APART(buffered),
		APART(overflow),
		APART(descriptor),
		APART(opened_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
