/* test_mover.c - moving and deleting within one file system, what is refused, and what recovery
 * makes of everything that an interruption can leave.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/mover.h"
#include "qfwatch/recover.h"

#include "../support/testing.h"

/* ---- a spool of three tiers: a, b, and c ---- */

static struct spool spool;
static const char *const names[] = {"a", "b", "c"};
static bool folders_made;

#define ID "6AMHKFCA026379"

static void open_spool(const char *split)
{
	static char directories[3][PATH_MAX];
	struct policy_tier tiers[3];
	struct policy policy = {.tiers = tiers, .n_tiers = 3};
	struct problems problems = {0};
	struct spool_plan *plan;

	for (size_t i = 0; i < 3; i++) {
		if (!folders_made)
			testing_queue(names[i], strchr(split, names[i][0]) != NULL);
		snprintf(directories[i], sizeof(directories[i]), "%s",
			 testing_path("%s", names[i]));
		tiers[i] =
			(struct policy_tier){.name = (char *)names[i], .directory = directories[i]};
	}
	check_equal(spool_plan(&spool, &policy, SPOOL_WRITE, &problems, &plan), 0);
	spool_commit(&spool, plan);
	check_equal(spool.n_dirs, 3);
}

static const struct qdir *tier(const char *name)
{
	for (size_t i = 0; i < spool.n_dirs; i++)
		if (strcmp(strrchr(spool.dirs[i].path, '/') + 1, name) == 0)
			return &spool.dirs[i];
	check(false);
	return NULL;
}

static void done(void)
{
	spool_free(&spool);
	testing_all_closed();
}

static struct mover_result move_id(const char *from, const char *to, const char *id)
{
	return mover_move(tier(from), tier(to), id, strlen(id), true);
}

static struct mover_result move(const char *from, const char *to)
{
	return move_id(from, to, ID);
}

static struct mover_result delete (const char *from)
{
	return mover_delete(tier(from), ID, strlen(ID));
}

static const char *file(const char *directory, const char *kind)
{
	return testing_file(directory, kind, ID);
}

/* How many files there are in a tier, folders not counted. */
static size_t files_in(const char *directory)
{
	char path[300];
	size_t count = testing_count(directory);

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%cf", directory, "qdx"[i]);
		if (testing_exists(path))
			count += testing_count(path) - 1;
	}
	return count;
}

/* Refused, and all is as it was: whole in `from`, and so many files in both. */
static void refused(struct mover_result result, enum trouble trouble)
{
	if (result.trouble != trouble)
		fprintf(stderr, "%s (%s)\n", trouble_text(result.trouble), strerror(result.error));
	check_equal(result.trouble, trouble);
	check(!result.leftover);
}

/* ---- moves ---- */

static void moves(void)
{
	static const struct {
		const char *split, *from, *to;
	} ways[] = {
		{"", "a", "b"},	 {"ab", "a", "b"},  {"b", "a", "b"},
		{"a", "a", "b"}, {"abc", "c", "a"},
	};

	for (size_t i = 0; i < N(ways); i++) {
		struct mover_result result;
		struct stat qf, df, qf_after, df_after;

		open_spool(ways[i].split);
		testing_enqueue(ways[i].from, ID, 3);
		testing_enqueue(ways[i].from, "6AMHKFCA026370", 3);
		testing_enqueue(ways[i].to, "6AMHKFCA02637", 3);
		check(lstat(file(ways[i].from, "qf"), &qf) == 0);
		check(lstat(file(ways[i].from, "df"), &df) == 0);
		result = move(ways[i].from, ways[i].to);
		refused(result, TROUBLE_NONE);
		check(testing_stands(ways[i].to, ID));
		check(testing_absent(ways[i].from, ID));
		/* The very files. */
		check(lstat(file(ways[i].to, "qf"), &qf_after) == 0);
		check(lstat(file(ways[i].to, "df"), &df_after) == 0);
		check(qf_after.st_ino == qf.st_ino && df_after.st_ino == df.st_ino);
		/* Nobody else's. */
		check(testing_stands(ways[i].from, "6AMHKFCA026370"));
		check(testing_stands(ways[i].to, "6AMHKFCA02637"));
		check_equal(files_in(ways[i].from), 2);
		check_equal(files_in(ways[i].to), 4);
		/* And back. */
		refused(move(ways[i].to, ways[i].from), TROUBLE_NONE);
		check(testing_stands(ways[i].from, ID) && testing_absent(ways[i].to, ID));
		done();
		for (size_t k = 0; k < N(names); k++)
			testing_remove(names[k]);
	}
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A runner turns a qf of the wrong owner or mode into a Qf. */
static void nothing_of_it_changes(void)
{
	static const char *const kinds[] = {"qf", "df"};
	static const mode_t modes[] = {0640, 0600, 0400, 0660};
	struct timespec times[2] = {{1600000000, 123456789}, {1500000000, 987654321}};

	open_spool("b");
	for (size_t i = 0; i < N(modes); i++) {
		struct stat before[2], after[2];

		testing_enqueue("a", ID, 3);
		for (size_t k = 0; k < 2; k++) {
			check(chmod(file("a", kinds[k]), modes[i]) == 0);
			if (geteuid() == 0)
				check(chown(file("a", kinds[k]), (uid_t)(1234 + i), 4321) == 0);
			check(utimensat(AT_FDCWD, file("a", kinds[k]), times, 0) == 0);
			check(lstat(file("a", kinds[k]), &before[k]) == 0);
		}
		refused(move("a", "b"), TROUBLE_NONE);
		for (size_t k = 0; k < 2; k++) {
			check(lstat(file("b", kinds[k]), &after[k]) == 0);
			check_equal(after[k].st_mode, S_IFREG | modes[i]);
			check_equal(after[k].st_uid, before[k].st_uid);
			check_equal(after[k].st_gid, before[k].st_gid);
			check_equal(after[k].st_size, before[k].st_size);
			check_equal(after[k].st_nlink, 1);
			check(same_time(after[k].st_mtim, times[1]));
			check(same_time(after[k].st_atim, times[0]));
		}
		check(unlink(file("b", "qf")) == 0 && unlink(file("b", "df")) == 0);
	}
	done();
}

/* Whoever holds the lock holds it in the target too: a runner there waits until we are done. */
static void lock_goes_along(void)
{
	struct testing_holder holder;
	int fd;

	open_spool("b");
	testing_enqueue("a", ID, 3);
	fd = open(file("a", "qf"), O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	refused(move("a", "b"), TROUBLE_NONE);
	check(!testing_hold(file("b", "qf"), TESTING_FLOCK, &holder));
	close(fd);
	check(testing_hold(file("b", "qf"), TESTING_FLOCK, &holder));
	testing_release(&holder);
	done();
}

static void target_has_it(void)
{
	open_spool("b");
	testing_enqueue("a", ID, 3);

	testing_write(file("b", "qf"), "another\n");
	refused(move("a", "b"), TROUBLE_TARGET_HAS_QF);
	check(testing_stands("a", ID));
	check(testing_holds(file("b", "qf"), "another\n"));
	check_equal(files_in("b"), 1);
	check(unlink(file("b", "qf")) == 0);

	testing_write(file("b", "df"), "another\n");
	refused(move("a", "b"), TROUBLE_TARGET_HAS_DF);
	check(testing_stands("a", ID));
	check(testing_holds(file("b", "df"), "another\n"));
	check_equal(files_in("b"), 1);
	check(unlink(file("b", "df")) == 0);

	/* Whatever it is. */
	check(symlink("nowhere", file("b", "qf")) == 0);
	refused(move("a", "b"), TROUBLE_TARGET_HAS_QF);
	check(testing_stands("a", ID));
	check(unlink(file("b", "qf")) == 0);
	testing_mkdir(file("b", "df"));
	refused(move("a", "b"), TROUBLE_TARGET_HAS_DF);
	check(testing_stands("a", ID));
	testing_remove(file("b", "df"));

	refused(move("a", "b"), TROUBLE_NONE);
	check(testing_stands("b", ID));
	done();
}

/* df is not what a body has to be. */
static void bad_bodies(void)
{
	open_spool("b");
	testing_enqueue("a", ID, 3);
	check(unlink(file("a", "df")) == 0);
	refused(move("a", "b"), TROUBLE_BODY_MISSING);
	refused(delete ("a"), TROUBLE_BODY_MISSING);

	testing_write("outside", "not yours\n");
	check(symlink(testing_path("outside"), file("a", "df")) == 0);
	refused(move("a", "b"), TROUBLE_BODY_UNSAFE);
	refused(delete ("a"), TROUBLE_BODY_UNSAFE);
	check(testing_holds("outside", "not yours\n"));
	check(unlink(file("a", "df")) == 0);

	check(mkfifo(file("a", "df"), 0600) == 0);
	refused(move("a", "b"), TROUBLE_BODY_UNSAFE);
	refused(delete ("a"), TROUBLE_BODY_UNSAFE);
	check(unlink(file("a", "df")) == 0);

	testing_mkdir(file("a", "df"));
	refused(move("a", "b"), TROUBLE_BODY_UNSAFE);
	refused(delete ("a"), TROUBLE_BODY_UNSAFE);
	check(rmdir(file("a", "df")) == 0);

	testing_link("outside", file("a", "df"));
	refused(move("a", "b"), TROUBLE_BODY_LINKS);
	refused(delete ("a"), TROUBLE_BODY_LINKS);
	check(testing_exists(file("a", "df")));

	check(testing_exists(file("a", "qf")));
	check_equal(files_in("a"), 2);
	check_equal(files_in("b"), 0);
	done();
}

static void qf_vanishes(void)
{
	open_spool("b");
	testing_write(file("a", "df"), "body of " ID "\n");
	refused(move("a", "b"), TROUBLE_CHANGED);
	refused(delete ("a"), TROUBLE_CHANGED);
	/* The link into the target has been taken back. */
	check(testing_holds(file("a", "df"), "body of " ID "\n"));
	check_equal(files_in("a"), 1);
	check_equal(files_in("b"), 0);
	done();
}

static void target_vanishes(void)
{
	open_spool("b");
	testing_enqueue("a", ID, 3);
	testing_remove("b");
	testing_remove("c");
	refused(move("a", "b"), TROUBLE_TARGET_LOST);
	refused(move("a", "c"), TROUBLE_TARGET_LOST);
	check(testing_stands("a", ID));
	done();
}

static void other_file_system(void)
{
	testing_private_mounts();
	for (size_t i = 0; i < N(names); i++)
		testing_queue(names[i], true);
	folders_made = true;
	testing_mount_tmpfs("b", NULL);
	for (size_t i = 0; i < 3; i++)
		testing_mkdir(testing_path("b/%cf", "qdx"[i]));
	/* One folder of c is elsewhere, the rest is not. */
	testing_mount_tmpfs("c/df", NULL);
	open_spool("");
	testing_enqueue("a", ID, 3);
	refused(move("a", "b"), TROUBLE_OTHER_FILE_SYSTEM);
	refused(move("a", "c"), TROUBLE_OTHER_FILE_SYSTEM);
	check(testing_stands("a", ID));
	check_equal(files_in("b") + files_in("c"), 0);
	done();
}

/* One file system, but two mounts of it: the devices are the same, and link(2) refuses all the
 * same.
 */
static void other_mount(void)
{
	testing_private_mounts();
	for (size_t i = 0; i < N(names); i++)
		testing_queue(names[i], false);
	folders_made = true;
	check(mount("b", "b", "", MS_BIND, NULL) == 0);
	open_spool("");
	testing_enqueue("a", ID, 3);
	refused(move("a", "b"), TROUBLE_OTHER_FILE_SYSTEM);
	check(testing_stands("a", ID));
	check_equal(files_in("b"), 0);
	done();
}

static void read_only(void)
{
	struct mover_result result;

	testing_private_mounts();
	for (size_t i = 0; i < N(names); i++)
		testing_queue(names[i], false);
	folders_made = true;
	testing_enqueue("a", ID, 3);
	check(mount(".", ".", "", MS_BIND | MS_REC, NULL) == 0);
	check(chdir(testing_path("%s", "")) == 0);
	open_spool("");
	check(mount("", ".", "", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
	result = move("a", "b");
	refused(result, TROUBLE_ERROR);
	check_equal(result.error, EROFS);
	check_text(result.step, "link df into the target tier");
	result = delete ("a");
	refused(result, TROUBLE_ERROR);
	check_equal(result.error, EROFS);
	check(result.step && result.step[0]);
	check(testing_stands("a", ID));
	done();
}

/* fs.protected_hardlinks: who may only read and rename may not link. */
static void link_refused(void)
{
	char *protected = testing_read("/proc/sys/fs/protected_hardlinks", NULL);
	struct mover_result result;

	testing_need_root();
	if (protected[0] != '1')
		testing_skip("fs.protected_hardlinks is off");
	free(protected);
	for (size_t i = 0; i < N(names); i++) {
		testing_queue(names[i], false);
		check(chmod(names[i], 0777) == 0);
	}
	folders_made = true;
	testing_enqueue("a", ID, 3);
	check(chmod(file("a", "df"), 0644) == 0);
	testing_drop_rights();
	open_spool("");
	result = move("a", "b");
	check_equal(result.trouble, TROUBLE_NONE);
	check(!result.leftover);
	check(testing_stands("b", ID));
	check_equal(files_in("a"), 0);
	check_equal(files_in("b"), 2);
	/* What stands in the way is found before it is hidden for good. */
	testing_write(file("a", "df"), "another\n");
	testing_write(file("a", "qf"), "another\n");
	refused(move("b", "a"), TROUBLE_TARGET_HAS_DF);
	check(unlink(file("a", "df")) == 0);
	refused(move("b", "a"), TROUBLE_TARGET_HAS_QF);
	check(testing_stands("b", ID));
	check_equal(files_in("a"), 1);
	check_equal(files_in("b"), 2);
	done();
}

/* The old df cannot be removed: the message is whole in its new tier all the same. */
static void leftover(void)
{
	struct mover_result result;

	testing_need_root();
	testing_queue("a", true);
	testing_queue("b", false);
	testing_queue("c", false);
	folders_made = true;
	testing_enqueue("a", ID, 3);
	/* One may rename in a/qf, but not remove in a/df: its files are somebody else's, and the
	 * folder is sticky. */
	check(chmod("a/df", 01777) == 0 && chmod("a/qf", 0777) == 0 && chmod("b", 0777) == 0);
	check(chmod("c", 0777) == 0 && chmod("a", 0777) == 0);
	check(chmod(file("a", "df"), 0666) == 0 && chmod(file("a", "qf"), 0666) == 0);
	testing_drop_rights();
	open_spool("");
	result = move("a", "b");
	check_equal(result.trouble, TROUBLE_NONE);
	check(result.leftover);
	check(testing_exists(file("b", "qf")) && testing_exists(file("b", "df")));
	check(!testing_exists(file("a", "qf")) && testing_exists(file("a", "df")));
	done();
}

/* ---- names ---- */

static void long_names(void)
{
	char id[300];
	struct mover_result result;

	memset(id, 'x', sizeof(id));
	open_spool("");
	/* The longest that a file name holds. */
	id[253] = 0;
	testing_enqueue("a", id, 3);
	result = move_id("a", "b", id);
	refused(result, TROUBLE_NONE);
	check(testing_stands("b", id) && testing_absent("a", id));
	/* A hidden name needs more room: then it is told, and nothing happens. */
	result = mover_delete(tier("b"), id, 253);
	refused(result, TROUBLE_NAME_TOO_LONG);
	check(testing_stands("b", id));
	id[255 - strlen(MOVER_DELETING)] = 0;
	testing_enqueue("a", id, 3);
	refused(mover_delete(tier("a"), id, strlen(id)), TROUBLE_NONE);
	check(testing_absent("a", id));
	check_equal(files_in("a"), 0);

	memset(id, 'x', sizeof(id));
	refused(mover_move(tier("a"), tier("b"), id, 254, true), TROUBLE_NAME_TOO_LONG);
	refused(mover_delete(tier("a"), id, 254), TROUBLE_NAME_TOO_LONG);
	done();
}

static void odd_names(void)
{
	static const char *const ids[] = {" ", "\x81\xff", "a b\tc", "-", "..", "\n", "%s%n"};

	open_spool("b");
	for (size_t i = 0; i < N(ids); i++) {
		testing_enqueue("a", ids[i], 3);
		refused(move_id("a", "b", ids[i]), TROUBLE_NONE);
		check(testing_stands("b", ids[i]) && testing_absent("a", ids[i]));
		refused(mover_delete(tier("b"), ids[i], strlen(ids[i])), TROUBLE_NONE);
		check(testing_absent("b", ids[i]));
	}
	check_equal(files_in("a") + files_in("b"), 0);
	done();
}

/* ---- bodies ---- */

static void look_at_body(void)
{
	struct stat stat = {0};
	int error = 0;

	open_spool("a");
	check_equal(mover_look_at_body(tier("a"), ID, 14, &stat, &error), TROUBLE_BODY_MISSING);
	testing_enqueue("a", ID, 3);
	check_equal(mover_look_at_body(tier("a"), ID, 14, &stat, &error), TROUBLE_NONE);
	check_equal(stat.st_size, strlen("body of " ID "\n"));
	/* The length counts, not a NUL. */
	check_equal(mover_look_at_body(tier("a"), ID "x", 14, &stat, &error), TROUBLE_NONE);
	check_equal(mover_look_at_body(tier("a"), ID, 13, &stat, &error), TROUBLE_BODY_MISSING);
	testing_link(file("a", "df"), "second");
	stat.st_size = 0;
	check_equal(mover_look_at_body(tier("a"), ID, 14, &stat, &error), TROUBLE_BODY_LINKS);
	check(stat.st_size > 0 && stat.st_nlink == 2);
	testing_remove(file("a", "df"));
	check(symlink("nowhere", file("a", "df")) == 0);
	check_equal(mover_look_at_body(tier("a"), ID, 14, &stat, &error), TROUBLE_BODY_UNSAFE);
	done();
}

/* ---- deleting ---- */

static void deletes(void)
{
	static const char *const splits[] = {"", "a"};

	for (size_t i = 0; i < N(splits); i++) {
		open_spool(splits[i]);
		testing_enqueue("a", ID, 3);
		testing_enqueue("a", "6AMHKFCA02637", 3);
		refused(delete ("a"), TROUBLE_NONE);
		check(testing_absent("a", ID));
		check(testing_stands("a", "6AMHKFCA02637"));
		check_equal(files_in("a"), 2);
		refused(delete ("a"), TROUBLE_BODY_MISSING);
		done();
		for (size_t k = 0; k < N(names); k++)
			testing_remove(names[k]);
	}
}

/* ---- recovery of a move ---- */

/* With the body of the message in `home` looked at, as the engine does. */
static const struct qdir *recover(const char *home, int *ret_error)
{
	struct stat body;
	int error;

	check(mover_look_at_body(tier(home), ID, strlen(ID), &body, &error) != TROUBLE_ERROR);
	return recover_second_link(&spool, tier(home), ID, strlen(ID), &body, ret_error);
}

static void recovers_moves(void)
{
	static const char *const splits[] = {"", "ab", "a", "b"};

	for (size_t i = 0; i < N(splits); i++) {
		int error = 77;

		/* Interrupted after the link: the message stands in a still. */
		open_spool(splits[i]);
		testing_enqueue("a", ID, 3);
		testing_link(file("a", "df"), file("b", "df"));
		check(recover("a", &error) == tier("b"));
		check_equal(error, 0);
		check(testing_stands("a", ID) && testing_absent("b", ID));

		/* Interrupted after the rename: it stands in b. */
		testing_link(file("a", "df"), file("b", "df"));
		testing_rename(file("a", "qf"), file("b", "qf"));
		check(recover("b", &error) == tier("a"));
		check_equal(error, 0);
		check(testing_stands("b", ID) && testing_absent("a", ID));

		/* Nothing to do: nothing done. */
		check(recover("b", &error) == NULL);
		check_equal(error, 0);
		check(testing_stands("b", ID));
		check_equal(files_in("a") + files_in("c"), 0);
		done();
		for (size_t k = 0; k < N(names); k++)
			testing_remove(names[k]);
	}
}

/* A df that stands alone, or is somebody's body, is no leftover of ours. */
static void leaves_bodies_alone(void)
{
	static const char *const controls[] = {"qf", "tf", "hf", "Qf"};
	int error;

	open_spool("bc");
	testing_enqueue("a", ID, 3);
	/* The same name, but another file: a message that sendmail is just writing. */
	testing_write(file("b", "df"), "another body\n");
	check(recover("a", &error) == NULL);
	check(testing_holds(file("b", "df"), "another body\n"));
	check(unlink(file("b", "df")) == 0);

	for (size_t i = 0; i < N(controls); i++) {
		testing_link(file("a", "df"), file("b", "df"));
		testing_write(file("b", controls[i]), "control\n");
		check(recover("a", &error) == NULL);
		check_equal(error, 0);
		check(testing_exists(file("b", "df")) && testing_exists(file("b", controls[i])));
		check(unlink(file("b", controls[i])) == 0);
		check(unlink(file("b", "df")) == 0);
	}
	/* Another name of the same file is not looked for. */
	testing_link(file("a", "df"), testing_file("b", "df", "6AMHKFCA02637"));
	testing_link(file("a", "df"), testing_file("a", "df", "6AMHKFCA02637"));
	check(recover("a", &error) == NULL);
	check(testing_exists(testing_file("b", "df", "6AMHKFCA02637")));
	check(testing_exists(testing_file("a", "df", "6AMHKFCA02637")));
	check(testing_exists(file("a", "df")) && testing_exists(file("a", "qf")));
	done();
}

static void link_that_cannot_be_removed(void)
{
	int error = 0;

	testing_need_root();
	for (size_t i = 0; i < N(names); i++) {
		testing_queue(names[i], false);
		check(chmod(names[i], 01777) == 0);
	}
	folders_made = true;
	testing_enqueue("a", ID, 3);
	testing_link(file("a", "df"), file("b", "df"));
	testing_drop_rights();
	open_spool("");
	check(recover("a", &error) == tier("b"));
	check_equal(error, EPERM);
	done();
}

static void lost_tiers_are_passed_over(void)
{
	int error;

	open_spool("");
	testing_enqueue("a", ID, 3);
	testing_link(file("a", "df"), file("c", "df"));
	spool_lose((struct qdir *)tier("b"));
	check(recover("a", &error) == tier("c"));
	testing_link(file("a", "df"), file("c", "df"));
	spool_lose((struct qdir *)tier("c"));
	check(recover("a", &error) == NULL);
	check(testing_exists(file("c", "df")));
	done();
}

/* ---- recovery of a deletion ---- */

static const char hidden[] = MOVER_DELETING ID;

/* 1: something was done; 0: nothing of ours, or somebody's work; -1: found, but nothing could be
 * done. */
static int recover_in(const char *where, const char *name)
{
	struct recovery recovery;

	recover_hidden(&spool, tier(where), name, &recovery);
	if (!recovery.found)
		return 0;
	check(recovery.id_length == strlen(recovery.id));
	return recovery.done ? 1 : -1;
}

static int recover_name(const char *name)
{
	return recover_in("a", name);
}

/* As mover_delete leaves it after its first step; `folder` is where the qf stand. */
static void hide(const char *folder)
{
	testing_enqueue("a", ID, 3);
	testing_rename(file("a", "qf"), testing_path("%s/%s", folder, hidden));
}

static void recovers_deletions(void)
{
	static const struct {
		const char *split, *folder;
	} layouts[] = {{"", "a"}, {"a", "a/qf"}};

	for (size_t i = 0; i < N(layouts); i++) {
		const char *path;

		open_spool(layouts[i].split);
		/* Interrupted after the rename; and after the df was removed. */
		hide(layouts[i].folder);
		check_equal(recover_name(hidden), 1);
		check_equal(files_in("a"), 0);
		hide(layouts[i].folder);
		check(unlink(file("a", "df")) == 0);
		check_equal(recover_name(hidden), 1);
		check_equal(files_in("a"), 0);
		/* Not there: nothing. */
		check_equal(recover_name(hidden), 0);

		/* The id lives again: the df is the new message's. */
		hide(layouts[i].folder);
		testing_enqueue("a", ID, 1);
		check_equal(recover_name(hidden), 1);
		check(testing_stands("a", ID));
		check_equal(files_in("a"), 2);
		check(unlink(file("a", "qf")) == 0 && unlink(file("a", "df")) == 0);

		/* So is one that sendmail has just begun: a df without a qf, younger than the
		 * deletion. */
		hide(layouts[i].folder);
		check(unlink(file("a", "df")) == 0);
		path = testing_path("%s/%s", layouts[i].folder, hidden);
		for (;;) {
			struct stat older, younger;

			testing_write(file("a", "df"), "a new body\n");
			check(lstat(path, &older) == 0);
			check(lstat(file("a", "df"), &younger) == 0);
			if (younger.st_ctim.tv_sec != older.st_ctim.tv_sec ||
			    younger.st_ctim.tv_nsec != older.st_ctim.tv_nsec)
				break;
		}
		check_equal(recover_name(hidden), 1);
		check(testing_holds(file("a", "df"), "a new body\n"));
		check_equal(files_in("a"), 1);
		done();
		for (size_t k = 0; k < N(names); k++)
			testing_remove(names[k]);
	}
}

static void other_controls_keep_their_body(void)
{
	static const char *const controls[] = {"tf", "hf", "Qf"};

	open_spool("");
	for (size_t i = 0; i < N(controls); i++) {
		hide("a");
		testing_write(file("a", controls[i]), "control\n");
		check_equal(recover_name(hidden), 1);
		check(testing_exists(file("a", "df")) && testing_exists(file("a", controls[i])));
		check_equal(files_in("a"), 2);
		check(unlink(file("a", "df")) == 0 && unlink(file("a", controls[i])) == 0);
	}
	done();
}

/* A deletion that is under way elsewhere holds the lock. */
static void deletion_under_way(void)
{
	static const enum testing_lock kinds[] = {TESTING_FLOCK, TESTING_FCNTL};

	open_spool("");
	for (size_t i = 0; i < N(kinds); i++) {
		struct testing_holder holder;

		hide("a");
		check(testing_hold(testing_path("a/%s", hidden), kinds[i], &holder));
		check_equal(recover_name(hidden), 0);
		check_equal(files_in("a"), 2);
		testing_release(&holder);
		check_equal(recover_name(hidden), 1);
		check_equal(files_in("a"), 0);
	}
	done();
}

static void unknown_hidden_names(void)
{
	static const char *const others[] = {
		SPOOL_HIDDEN, SPOOL_HIDDEN "delete", MOVER_DELETING, SPOOL_HIDDEN "other-" ID,
		".qfwatch",   ".qfwatchdelete-" ID,  "qf" ID,	     "df" ID};

	open_spool("");
	testing_enqueue("a", ID, 3);
	for (size_t i = 0; i < N(others); i++) {
		if (!testing_exists(testing_path("a/%s", others[i])))
			testing_write(testing_path("a/%s", others[i]), "text\n");
		check_equal(recover_name(others[i]), 0);
		check(testing_exists(testing_path("a/%s", others[i])));
	}
	check(testing_stands("a", ID));
	done();
}

/* The hidden name was given to something that is none of ours. */
static void hostile_hidden_names(void)
{
	const char *path;

	open_spool("");
	path = testing_path("a/%s", hidden);
	testing_write("outside", "not yours\n");
	testing_write(file("a", "df"), "body of " ID "\n");
	check(symlink(testing_path("outside"), path) == 0);
	check_equal(recover_name(hidden), 0);
	check(testing_exists(path) && testing_holds("outside", "not yours\n"));
	check(unlink(path) == 0);
	check(mkfifo(path, 0600) == 0);
	check_equal(recover_name(hidden), 0);
	check(testing_exists(path) && unlink(path) == 0);
	testing_mkdir(path);
	check(recover_name(hidden) <= 0);
	check(testing_exists(path) && rmdir(path) == 0);
	check(testing_holds(file("a", "df"), "body of " ID "\n"));
	check_equal(files_in("a"), 1);
	done();
}

/* ---- recovery of a move through a hidden name ---- */

static ino_t inode_of(const char *path)
{
	struct stat stat;

	check(lstat(path, &stat) == 0);
	return stat.st_ino;
}

static void recovers_hidden_moves(void)
{
	char name[SPOOL_NAME_MAX];

	open_spool("");
	/* Hidden, its df still beside it: taken back. */
	testing_enqueue("a", ID, 3);
	check(mover_hidden_name(name, MOVER_MOVING, inode_of(file("a", "df")), ID, strlen(ID)));
	testing_rename(file("a", "qf"), testing_path("a/%s", name));
	check_equal(recover_name(name), 1);
	check(testing_stands("a", ID));
	check_equal(files_in("a"), 2);
	/* Its df moved already: finished. */
	testing_rename(file("a", "qf"), testing_path("a/%s", name));
	testing_rename(file("a", "df"), file("b", "df"));
	check_equal(recover_name(name), 1);
	check(testing_stands("b", ID));
	check_equal(files_in("a"), 0);
	/* A df of the same name that is another file: nothing is certain, nothing is done. */
	testing_rename(file("b", "qf"), testing_path("a/%s", name));
	testing_rename(file("b", "df"), testing_path("elsewhere"));
	testing_write(file("b", "df"), "another\n");
	check_equal(recover_name(name), -1);
	check(testing_exists(testing_path("a/%s", name)) && testing_exists(file("b", "df")));
	done();
}

/* ---- moves to another file system, and their recovery ---- */

static const char copy_qf[] = MOVER_COPY_QF ID, copy_df[] = MOVER_COPY_DF ID, got[] = MOVER_GOT ID;
static char sent[SPOOL_NAME_MAX];

static atomic_bool never, always = true;

static struct mover_result copy_message(const char *from, const char *to, atomic_bool *cancel)
{
	int fd = open(file(from, "qf"), O_RDONLY);
	struct mover_result result;

	check(fd >= 0);
	result = mover_copy(tier(from), tier(to), ID, strlen(ID), fd, cancel);
	close(fd);
	return result;
}

static void copies(void)
{
	static const char *const layouts[] = {"", "a", "b", "ab"};

	for (size_t i = 0; i < N(layouts); i++) {
		struct stat before, after;
		struct mover_result result;

		open_spool(layouts[i]);
		testing_enqueue("a", ID, 3);
		check(lstat(file("a", "qf"), &before) == 0);
		result = copy_message("a", "b", &never);
		check_equal(result.trouble, TROUBLE_NONE);
		check(!result.leftover);
		check(testing_stands("b", ID));
		check_equal(files_in("a"), 0);
		check_equal(files_in("b"), 2);
		check(lstat(file("b", "qf"), &after) == 0);
		check(before.st_mode == after.st_mode && before.st_uid == after.st_uid &&
		      before.st_gid == after.st_gid && before.st_size == after.st_size &&
		      before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
		      before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
		done();
		for (size_t k = 0; k < N(names); k++)
			testing_remove(names[k]);
	}
}

static void copies_nothing(void)
{
	struct mover_result result;

	open_spool("");
	testing_enqueue("a", ID, 3);
	result = copy_message("a", "b", &always);
	refused(result, TROUBLE_ERROR);
	check_equal(result.error, ECANCELED);
	testing_write(file("b", "df"), "another\n");
	refused(copy_message("a", "b", &never), TROUBLE_TARGET_HAS_DF);
	testing_rename(file("b", "df"), file("b", "qf"));
	refused(copy_message("a", "b", &never), TROUBLE_TARGET_HAS_QF);
	check(unlink(file("b", "qf")) == 0);
	check(testing_stands("a", ID));
	check_equal(files_in("a"), 2);
	check_equal(files_in("b"), 0);
	check(unlink(file("a", "df")) == 0);
	refused(copy_message("a", "b", &never), TROUBLE_BODY_MISSING);
	check_equal(files_in("b"), 0);
	done();
}

/* The states of mover_copy.c, made by hand: after which step was it cut off? */
static void cut_off_after(int step)
{
	char *qf, *df;

	testing_enqueue("a", ID, 3);
	qf = testing_read(file("a", "qf"), NULL);
	df = testing_read(file("a", "df"), NULL);
	check(mover_hidden_name(sent, MOVER_SENT, tier("b")->inode, ID, strlen(ID)));
	testing_write(testing_path("b/%s", copy_qf), "%s", qf);
	if (step >= 1)
		testing_write(testing_path("b/%s", copy_df), "%s", df);
	if (step >= 2) {
		char mark[32];

		snprintf(mark, sizeof(mark), MOVER_MARK "\n", (unsigned long long)tier("a")->inode);
		testing_write(testing_path("b/%s", got), "%s", mark);
	}
	if (step >= 3)
		testing_rename(file("a", "qf"), testing_path("a/%s", sent));
	if (step >= 4)
		testing_rename(testing_path("b/%s", copy_df), file("b", "df"));
	if (step >= 5)
		testing_rename(testing_path("b/%s", copy_qf), file("b", "qf"));
	if (step >= 6)
		check(unlink(file("a", "df")) == 0 && unlink(testing_path("a/%s", sent)) == 0);
	free(qf);
	free(df);
}

/* Every hidden name that a scan of both tiers would meet, in the given order of tiers. */
static void recover_all(const char *first, const char *second)
{
	const char *const order[] = {first, second};

	for (size_t i = 0; i < N(order); i++) {
		recover_in(order[i], copy_qf);
		recover_in(order[i], got);
		recover_in(order[i], sent);
	}
}

static void recovers_copies(void)
{
	for (int step = 0; step <= 6; step++)
		for (int order = 0; order < 2; order++) {
			open_spool("");
			cut_off_after(step);
			recover_all(order ? "a" : "b", order ? "b" : "a");
			check(testing_stands(step < 3 ? "a" : "b", ID));
			check_equal(files_in("a"), step < 3 ? 2 : 0);
			check_equal(files_in("b"), step < 3 ? 0 : 2);
			done();
			for (size_t k = 0; k < N(names); k++)
				testing_remove(names[k]);
		}
}

/* Taken over, and delivered by a runner of the target before anybody looked: it must not come back.
 */
static void copy_was_delivered(void)
{
	open_spool("");
	cut_off_after(5);
	check(unlink(file("b", "df")) == 0 && unlink(file("b", "qf")) == 0);
	recover_all("a", "b");
	check_equal(files_in("a") + files_in("b"), 0);
	done();
}

/* Hidden, but without a mark in the target there was never a copy to take over. */
static void copy_was_never_made(void)
{
	open_spool("");
	cut_off_after(3);
	check(unlink(testing_path("b/%s", got)) == 0);
	check(unlink(testing_path("b/%s", copy_qf)) == 0);
	check(unlink(testing_path("b/%s", copy_df)) == 0);
	recover_all("b", "a");
	check(testing_stands("a", ID));
	check_equal(files_in("b"), 0);
	done();
}

/* As long as one of the two tiers is away nothing is certain. */
static void other_tier_is_away(void)
{
	open_spool("");
	cut_off_after(5);
	spool_lose((struct qdir *)tier("a"));
	check_equal(recover_in("b", got), -1);
	check(testing_exists(testing_path("b/%s", got)));
	done();
	folders_made = true;
	open_spool("");
	spool_lose((struct qdir *)tier("b"));
	check_equal(recover_in("a", sent), -1);
	check(testing_exists(testing_path("a/%s", sent)) && testing_exists(file("a", "df")));
	done();
}

static void copy_under_way(void)
{
	struct testing_holder holder;

	open_spool("");
	cut_off_after(2);
	check(testing_hold(testing_path("b/%s", copy_qf), TESTING_FLOCK, &holder));
	check_equal(recover_in("b", copy_qf), 0);
	check_equal(recover_in("b", got), 0);
	check_equal(files_in("b"), 3);
	testing_release(&holder);
	check_equal(recover_in("b", got), 1);
	check_equal(files_in("b"), 0);
	check(testing_stands("a", ID));
	done();
}

/* ---- what a killed daemon noted in its lock file ---- */

static void recovers_intents(void)
{
	struct qdir *to;
	struct recovery recovery;

	open_spool("");
	to = (struct qdir *)tier("b");
	to->claim.left = (struct claim_intent){
		.time = clock_now(), .from = tier("a")->inode, .length = strlen(ID), .id = ID};
	/* Linked, then delivered from its old tier: the link is an orphan. */
	testing_write(file("b", "df"), "body\n");
	check(recover_intent(&spool, to, &recovery));
	check(recovery.done && !testing_exists(file("b", "df")));
	/* Moved, then delivered from its new tier: the old name is one. */
	testing_write(file("a", "df"), "body\n");
	check(recover_intent(&spool, to, &recovery));
	check(recovery.done && !testing_exists(file("a", "df")));
	/* A message stands there: its df stays. One from before the move as well. */
	testing_enqueue("b", ID, 3);
	check(recover_intent(&spool, to, &recovery));
	check(!recovery.found && testing_stands("b", ID));
	check(unlink(file("b", "qf")) == 0);
	to->claim.left.time = clock_now() + 60 * CLOCK_SECOND;
	check(recover_intent(&spool, to, &recovery));
	check(!recovery.found && testing_exists(file("b", "df")));
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(moves),
		APART(nothing_of_it_changes),
		APART(lock_goes_along),
		APART(target_has_it),
		APART(bad_bodies),
		APART(qf_vanishes),
		APART(target_vanishes),
		APART(other_file_system),
		APART(other_mount),
		APART(read_only),
		APART(link_refused),
		APART(leftover),
		APART(long_names),
		APART(odd_names),
		APART(look_at_body),
		APART(deletes),
		APART(recovers_moves),
		APART(leaves_bodies_alone),
		APART(link_that_cannot_be_removed),
		APART(lost_tiers_are_passed_over),
		APART(recovers_hidden_moves),
		APART(copies),
		APART(copies_nothing),
		APART(recovers_copies),
		APART(copy_was_delivered),
		APART(copy_was_never_made),
		APART(other_tier_is_away),
		APART(copy_under_way),
		APART(recovers_intents),
		APART(recovers_deletions),
		APART(other_controls_keep_their_body),
		APART(deletion_under_way),
		APART(unknown_hidden_names),
		APART(hostile_hidden_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
