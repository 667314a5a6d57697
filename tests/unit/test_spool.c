/* test_spool.c - tiers on disk: layouts, globs, what is refused, claims, directories that go and
 * come.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/spool.h"

#include "../support/testing.h"

/* ---- policies: tiers T0, T1, ... in these directories of the test's folder ---- */

static struct policy_tier tiers[8];
static char tier_names[8][24];

static struct policy tiers_in(const char *const *directories, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		snprintf(tier_names[i], sizeof(tier_names[i]), "T%zu", i);
		free(tiers[i].directory);
		tiers[i] = (struct policy_tier){
			.name = tier_names[i],
			.directory = strdup(directories[i][0] == '/'
						    ? directories[i]
						    : testing_path("%s", directories[i])),
			.is_glob = strpbrk(directories[i], "*?[") != NULL,
		};
	}
	return (struct policy){.tiers = tiers, .n_tiers = count};
}

#define TIERS(...)                                                                                 \
	tiers_in((const char *const[]){__VA_ARGS__}, N(((const char *const[]){__VA_ARGS__})))

static struct spool spool;

static int plan(struct policy policy, enum spool_access access, struct problems *problems)
{
	struct spool_plan *plan = NULL;
	int r = spool_plan(&spool, &policy, access, problems, &plan);

	check((r == 0) == (plan != NULL));
	if (r == 0)
		spool_commit(&spool, plan);
	return r;
}

static void show(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		fprintf(stderr, "  %s\n", problems->list[i].text);
}

static void take(struct policy policy, enum spool_access access)
{
	struct problems problems = {0};
	int r = plan(policy, access, &problems);

	show(&problems);
	check_equal(r, 0);
	check_equal(problems.count, 0);
	problems_free(&problems);
}

/* What a look alone tells: the same, where a look suffices, and else nothing. */
static void check_compare(const struct policy *policy, const struct problems *planned, bool overlap)
{
	struct problems problems = {0};

	spool_compare(policy, &problems);
	check_equal(problems.count, overlap);
	for (size_t i = 0; i < problems.count; i++) {
		check_equal(problems.list[i].kind, PROBLEM_INVALID);
		check_text(problems.list[i].text, planned->list[i].text);
		check_text(problems.list[i].pointer, planned->list[i].pointer);
	}
	problems_free(&problems);
}

static void judge(struct policy policy, enum spool_access access, int code, const char *words,
		  bool overlap)
{
	struct problems problems = {0};
	size_t before = spool.n_dirs, run = testing_count("../run");

	check(plan(policy, access, &problems) < 0);
	check_compare(&policy, &problems, overlap);
	if (problems.count != 1 || !strstr(problems.list[0].text, words)) {
		show(&problems);
		check_text("the findings above", words);
	}
	check_equal(problems_exit_code(&problems), code);
	/* Nothing is left of it. */
	check_equal(spool.n_dirs, before);
	check_equal(testing_count("../run"), run);
	problems_free(&problems);
}

/* The plan is refused with that exit code, and the only finding holds these words. */
static void refused(struct policy policy, enum spool_access access, int code, const char *words)
{
	judge(policy, access, code, words, false);
}

/* The same of two directories that are one, or one in the other. */
static void overlap(struct policy policy, enum spool_access access, const char *words)
{
	judge(policy, access, 2, words, true);
}

static struct qdir *find(const char *name)
{
	for (size_t i = 0; i < spool.n_dirs; i++)
		if (spool.dirs[i].state != QDIR_UNUSED &&
		    strcmp(spool.dirs[i].path, testing_path("%s", name)) == 0)
			return &spool.dirs[i];
	return NULL;
}

static size_t in_state(enum qdir_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < spool.n_dirs; i++)
		count += spool.dirs[i].state == state;
	return count;
}

/* Is the descriptor the folder of that path? */
static bool leads_to(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static void done(void)
{
	spool_free(&spool);
	check_equal(spool.n_dirs, 0);
	check_equal(testing_count("../run"), 0);
	testing_all_closed();
	for (size_t i = 0; i < N(tiers); i++)
		free(tiers[i].directory);
}

/* ---- names ---- */

static void queue_ids(void)
{
	const char *id = NULL;
	size_t length = 0;
	static const char *const others[] = {"",    "q",   "qf",  "df1", "Qf1",	 "hf1",
					     "tf1", "xf1", "qF1", "fq1", ".qf1", " qf1",
					     "q1f", ".",   "..",  "qqf1"};
	char name[260] = "qf";

	check(spool_queue_id("qf6AMHKFCA026379", &id, &length));
	check_text(id, "6AMHKFCA026379");
	check_equal(length, 14);
	check(spool_queue_id("qf1", &id, &length) && length == 1 && strcmp(id, "1") == 0);
	check(spool_queue_id("qf \x81", &id, &length) && length == 2);
	for (size_t i = 0; i < N(others); i++)
		check(!spool_queue_id(others[i], &id, &length));
	memset(name + 2, 'x', 253);
	check(spool_queue_id(name, &id, &length));
	check_equal(length, 253);
}

static void names(void)
{
	char name[SPOOL_NAME_MAX], id[300];

	memset(id, 'x', sizeof(id));
	check(spool_name(name, "df", "1", 1));
	check_text(name, "df1");
	/* Not past its length: what follows the id is not a NUL. */
	check(spool_name(name, "tf", "123456", 3));
	check_text(name, "tf123");
	check(spool_name(name, "qf", id, 253));
	check_equal(strlen(name), 255);
	check(!spool_name(name, "qf", id, 254));
	check(!spool_name(name, "qf", id, 300));
	check(spool_name(name, SPOOL_HIDDEN, id, 255 - strlen(SPOOL_HIDDEN)));
	check_equal(strlen(name), 255);
	check(!spool_name(name, SPOOL_HIDDEN, id, 256 - strlen(SPOOL_HIDDEN)));
}

/* ---- layouts ---- */

static void layouts(void)
{
	struct qdir *flat, *split, *mixed;

	testing_queue("flat", false);
	testing_queue("split", true);
	testing_mkdir("mixed");
	testing_mkdir("mixed/df");
	/* Not a folder: as sendmail, it is not taken for one. */
	testing_write("mixed/qf", "a file\n");
	take(TIERS("flat", "split", "mixed"), SPOOL_CLAIM);
	check_equal(in_state(QDIR_NEW), 3);

	flat = find("flat");
	check(flat && flat->tier == 0);
	check(leads_to(flat->fd, "flat"));
	check(flat->qf == flat->fd && flat->df == flat->fd && flat->xf == flat->fd);
	check_equal(flat->qf_device, flat->device);
	check_equal(flat->df_device, flat->device);
	check_equal(spool_index(&spool, flat), flat - spool.dirs);

	split = find("split");
	check(split && split->tier == 1);
	check(leads_to(split->fd, "split") && leads_to(split->qf, "split/qf"));
	check(leads_to(split->df, "split/df") && leads_to(split->xf, "split/xf"));

	mixed = find("mixed");
	check(mixed && mixed->tier == 2);
	check(mixed->qf == mixed->fd && mixed->xf == mixed->fd);
	check(leads_to(mixed->df, "mixed/df"));

	for (size_t i = 0; i < spool.n_dirs; i++) {
		struct stat stat;

		check(fstat(spool.dirs[i].fd, &stat) == 0);
		check_equal(spool.dirs[i].inode, stat.st_ino);
		check_equal(spool.dirs[i].device, stat.st_dev);
		check_equal(spool.dirs[i].messages, 0);
		check(fcntl(spool.dirs[i].fd, F_GETFD) & FD_CLOEXEC);
		check(fcntl(spool.dirs[i].df, F_GETFD) & FD_CLOEXEC);
		check_equal(spool_verify(&spool.dirs[i]), 0);
	}
	done();
}

/* A folder inside may be a symbolic link, as sendmail allows; or a mount of its own. */
static void folders_elsewhere(void)
{
	struct qdir *dir;

	testing_mkdir("tier");
	testing_mkdir("bodies");
	check(symlink("../bodies", "tier/df") == 0);
	take(TIERS("tier"), SPOOL_CLAIM);
	dir = find("tier");
	check(dir && leads_to(dir->df, "bodies") && dir->qf == dir->fd);
	done();
}

static void folder_on_another_device(void)
{
	struct qdir *dir;

	testing_private_mounts();
	testing_queue("tier", true);
	testing_mount_tmpfs("tier/df", NULL);
	take(TIERS("tier"), SPOOL_CLAIM);
	dir = find("tier");
	check(dir && dir->df_device != dir->device && dir->qf_device == dir->device);
	check(!dir->mounted);
	done();
}

/* ---- globs ---- */

static void globs(void)
{
	struct policy policy;
	struct problems problems = {0};
	struct qdir *q2;

	testing_mkdir("spool");
	testing_queue("spool/q1", false);
	testing_queue("spool/q2", true);
	testing_queue("spool/other", false);
	testing_write("spool/q9", "not a directory\n");
	policy = TIERS("spool/q*", "spool/other");
	take(policy, SPOOL_CLAIM);
	check_equal(in_state(QDIR_NEW), 3);
	check(find("spool/q1")->tier == 0 && find("spool/q2")->tier == 0);
	check_equal(find("spool/other")->tier, 1);

	/* Nothing new: nothing happens. */
	check_equal(spool_grow(&spool, &policy, SPOOL_CLAIM, &problems), 0);
	check_equal(spool.n_dirs, 3);
	/* Growth, of the glob only. */
	for (size_t i = 0; i < spool.n_dirs; i++)
		spool.dirs[i].state = QDIR_ACTIVE;
	testing_queue("spool/q3", true);
	testing_queue("spool/other2", false);
	check_equal(spool_grow(&spool, &policy, SPOOL_CLAIM, &problems), 1);
	check_equal(spool.n_dirs, 4);
	check(find("spool/q3") && find("spool/q3")->tier == 0);
	check_equal(find("spool/q3")->state, QDIR_NEW);
	check(leads_to(find("spool/q3")->df, "spool/q3/df"));
	check_equal(testing_count("../run"), 4);

	/* One that was removed from its folder is none of the glob's any more. */
	q2 = find("spool/q2");
	spool_lose(q2);
	testing_rename("spool/q2", "spool/gone");
	check_equal(spool_grow(&spool, &policy, SPOOL_CLAIM, &problems), 0);
	take(policy, SPOOL_CLAIM);
	check(find("spool/q2") == q2 && q2->state == QDIR_LEAVING);
	/* A place that was dropped is used again. */
	spool_drop(q2);
	testing_queue("spool/q4", false);
	check_equal(spool_grow(&spool, &policy, SPOOL_CLAIM, &problems), 1);
	check_equal(spool.n_dirs, 4);
	check(find("spool/q4") != NULL);
	check_equal(problems.count, 0);
	problems_free(&problems);
	done();
}

/* With the folder that they stand in, as when a file system is not mounted: they stay known. */
static void lost_with_their_folder(void)
{
	struct policy policy;
	struct problems problems = {0};

	testing_mkdir("A");
	testing_mkdir("B");
	testing_queue("A/a1", false);
	testing_queue("A/a2", false);
	testing_queue("B/b1", false);
	take(TIERS("A/a*", "B/b*"), SPOOL_CLAIM);
	spool_lose(find("A/a1"));
	spool_lose(find("A/a2"));
	testing_rename("A", "away");
	policy = TIERS("A/a*", "B/b*");
	check_equal(spool_grow(&spool, &policy, SPOOL_CLAIM, &problems), 0);
	check_equal(problems.count, 0);
	take(policy, SPOOL_CLAIM);
	check_equal(in_state(QDIR_LOST), 2);
	check(find("A/a1")->tier == 0 && find("A/a2")->tier == 0 && find("B/b1")->tier == 1);

	/* They belong to the tier whose pattern they match, whatever number that tier has now. */
	take(TIERS("B/b*", "A/a*"), SPOOL_CLAIM);
	check_equal(in_state(QDIR_LOST), 2);
	check(find("A/a1")->tier == 1 && find("A/a2")->tier == 1 && find("B/b1")->tier == 0);
	/* No tier has such a pattern any more: they go. */
	take(TIERS("B/b*"), SPOOL_CLAIM);
	check_equal(find("A/a1")->state, QDIR_LEAVING);
	check_equal(find("A/a2")->state, QDIR_LEAVING);
	check_equal(find("B/b1")->tier, 0);
	done();
}

/* A new match that is a known directory by another name is no second directory. */
static void growth_finds_the_same(void)
{
	static const enum spool_access accesses[] = {SPOOL_READ, SPOOL_CLAIM};
	struct policy policy;

	testing_queue("q1", false);
	for (size_t i = 0; i < N(accesses); i++) {
		struct problems problems = {0};

		policy = TIERS("q*");
		take(policy, accesses[i]);
		check(symlink("q1", "q2") == 0);
		check_equal(spool_grow(&spool, &policy, accesses[i], &problems), 0);
		check(find("q1") && !find("q2"));
		check(unlink("q2") == 0);
		problems_free(&problems);
		spool_free(&spool);
	}
	done();
}

static void growth_of_two_globs(void)
{
	static const enum spool_access accesses[] = {SPOOL_READ, SPOOL_CLAIM};
	struct policy policy;

	testing_queue("a1", false);
	testing_queue("1b", false);
	for (size_t i = 0; i < N(accesses); i++) {
		struct problems problems = {0};

		policy = TIERS("a*", "*b");
		take(policy, accesses[i]);
		testing_queue("ab", false);
		check(spool_grow(&spool, &policy, accesses[i], &problems) <= 1);
		check(spool.n_dirs <= 3);
		testing_remove("ab");
		problems_free(&problems);
		spool_free(&spool);
	}
	done();
}

/* ---- what is refused ---- */

static void missing(void)
{
	refused(TIERS("nowhere"), SPOOL_CLAIM, 2, "nowhere does not exist: create it");
	refused(TIERS("no/where"), SPOOL_CLAIM, 2, "does not exist");
	refused(TIERS("none*"), SPOOL_CLAIM, 2, "no directory matches");
	done();
}

static void not_a_directory(void)
{
	testing_write("file", "text\n");
	check(mkfifo("fifo", 0600) == 0);
	refused(TIERS("file"), SPOOL_CLAIM, 2, "file is not a directory");
	refused(TIERS("fifo"), SPOOL_CLAIM, 2, "is not a directory");
	refused(TIERS("file/below"), SPOOL_CLAIM, 2, "is not a directory");
	refused(TIERS("fil*"), SPOOL_CLAIM, 2, "no directory matches");
	done();
}

static void nested(void)
{
	testing_queue("outer", false);
	testing_queue("outer/inner", false);
	testing_queue("outer2", false);
	overlap(TIERS("outer", "outer/inner"), SPOOL_CLAIM, "T1");
	overlap(TIERS("outer/inner", "outer"), SPOOL_CLAIM, "lies inside");
	overlap(TIERS("outer/inner", "outer"), SPOOL_CLAIM, "T0");
	overlap(TIERS("outer", "outer/*"), SPOOL_CLAIM, "lies inside");
	/* By way of a link. */
	check(symlink("outer", "link") == 0);
	overlap(TIERS("outer", "link/inner"), SPOOL_CLAIM, "lies inside");
	/* A name that begins the same is not inside. */
	take(TIERS("outer", "outer2"), SPOOL_CLAIM);
	done();
}

static void the_same_twice(void)
{
	testing_queue("one", false);
	check(symlink("one", "link") == 0);
	overlap(TIERS("one", "one"), SPOOL_CLAIM, "is the same directory as");
	overlap(TIERS("one", "link"), SPOOL_CLAIM, "is the same directory as");
	overlap(TIERS("link", "one"), SPOOL_READ, "is the same directory as");
	overlap(TIERS("one", "on*"), SPOOL_CLAIM, "is the same directory as");
	/* The link alone is a way to say it. */
	take(TIERS("link"), SPOOL_CLAIM);
	done();
}

static void the_same_by_bind_mount(void)
{
	testing_private_mounts();
	testing_queue("one", false);
	testing_mkdir("other");
	check(mount("one", "other", "", MS_BIND, NULL) == 0);
	overlap(TIERS("one", "other"), SPOOL_CLAIM, "is the same directory as");
	done();
}

static void unreadable(void)
{
	check(chmod(".", 0777) == 0);
	testing_drop_rights();
	testing_queue("none", false);
	check(chmod("none", 0) == 0);
	testing_queue("read", false);
	check(chmod("read", 0555) == 0);
	testing_queue("search", false);
	check(chmod("search", 0666) == 0);
	testing_queue("split", true);
	check(chmod("split/df", 0555) == 0);
	refused(TIERS("none"), SPOOL_WRITE, 3, "may not read and write");
	refused(TIERS("none"), SPOOL_READ, 3, "may not read and write");
	refused(TIERS("search"), SPOOL_WRITE, 3, "may not read and write");
	refused(TIERS("read"), SPOOL_WRITE, 3, "may not read and write");
	refused(TIERS("split"), SPOOL_WRITE, 3, "may not read and write");
	refused(TIERS("none/below"), SPOOL_WRITE, 3, "may not read and write");
	/* To look, one need not write. */
	take(TIERS("read", "split"), SPOOL_READ);
	done();
}

/* One run tells all of them. */
static void all_at_once(void)
{
	static const char *const words[] = {"policy.json: tier T1 at /tiers/1/directory: ",
					    "policy.json: tier T2 at /tiers/2/directory: ",
					    "policy.json: tier T3 at /tiers/3/directory: ",
					    "policy.json: tier T4 at /tiers/4/directory: "};
	struct problems problems = {0};
	struct policy policy = TIERS("good", "missing", "file", "good/inner", "none*");

	testing_queue("good", false);
	testing_queue("good/inner", false);
	testing_write("file", "text\n");
	policy.path = (char *)"policy.json";
	check(plan(policy, SPOOL_CLAIM, &problems) < 0);
	check_equal(problems.count, 4);
	for (size_t i = 0; i < N(words); i++) {
		const char *pointer = strchr(words[i], '/');
		bool told = false;

		for (size_t k = 0; k < problems.count; k++)
			told |= strncmp(problems.list[k].text, words[i], strlen(words[i])) == 0 &&
				strncmp(problems.list[k].pointer, pointer, strcspn(pointer, ":")) ==
					0;
		check(told);
	}
	check_equal(problems_exit_code(&problems), 2);
	check_equal(spool.n_dirs, 0);
	problems_free(&problems);
	done();
}

/* ---- a policy after another ---- */

static void another_policy(void)
{
	struct problems problems = {0};
	struct policy policy;
	struct spool_plan *plan;
	ino_t inode;
	int fd;

	testing_queue("a", false);
	testing_queue("b", false);
	testing_queue("c", false);
	take(TIERS("a", "b"), SPOOL_CLAIM);
	for (size_t i = 0; i < spool.n_dirs; i++)
		spool.dirs[i].state = QDIR_ACTIVE;
	find("b")->messages = 5;
	fd = find("b")->fd;
	inode = find("b")->inode;

	/* One that is given up changes nothing. */
	policy = TIERS("c", "b");
	check_equal(spool_plan(&spool, &policy, SPOOL_CLAIM, &problems, &plan), 0);
	check_equal(testing_count("../run"), 3);
	spool_abandon(plan);
	check_equal(testing_count("../run"), 2);
	check_equal(in_state(QDIR_ACTIVE), 2);
	check(find("a")->tier == 0 && find("b")->tier == 1);

	/* A refused one neither. */
	refused(TIERS("c", "b", "missing"), SPOOL_CLAIM, 2, "missing does not exist");
	check_equal(in_state(QDIR_ACTIVE), 2);

	/* Taken: what stays is not opened anew. */
	take(TIERS("c", "b"), SPOOL_CLAIM);
	check_equal(find("a")->state, QDIR_LEAVING);
	check_equal(find("c")->state, QDIR_NEW);
	check_equal(find("c")->tier, 0);
	check(find("b")->state == QDIR_ACTIVE && find("b")->tier == 1);
	check(find("b")->fd == fd && find("b")->inode == inode && find("b")->messages == 5);
	spool_drop(find("a"));
	check_equal(testing_count("../run"), 2);
	problems_free(&problems);
	done();
}

/* ---- there or not ---- */

static void verify_flat(void)
{
	struct qdir *dir;

	testing_queue("tier", false);
	take(TIERS("tier"), SPOOL_CLAIM);
	dir = find("tier");
	check_equal(spool_verify(dir), 0);
	/* Renamed, and back. */
	testing_rename("tier", "away");
	check_equal(spool_verify(dir), -ENOENT);
	testing_mkdir("tier");
	check_equal(spool_verify(dir), -ESTALE);
	check(rmdir("tier") == 0);
	testing_write("tier", "a file\n");
	check_equal(spool_verify(dir), -ESTALE);
	check(unlink("tier") == 0);
	testing_rename("away", "tier");
	check_equal(spool_verify(dir), 0);
	/* Removed and made again: another one. */
	check(rmdir("tier") == 0);
	check_equal(spool_verify(dir), -ENOENT);
	testing_mkdir("tier");
	check_equal(spool_verify(dir), -ESTALE);
	spool_lose(dir);
	check_equal(dir->state, QDIR_LOST);
	check(dir->fd == -1 && dir->qf == -1 && dir->df == -1 && dir->xf == -1);
	check_equal(testing_count("../run"), 0);
	check_equal(spool_verify(dir), -ENOENT);
	check_equal(spool_reopen(dir, SPOOL_CLAIM), 0);
	check(dir->state == QDIR_NEW && leads_to(dir->fd, "tier") && dir->tier == 0);
	check_equal(spool_verify(dir), 0);
	check_equal(testing_count("../run"), 1);
	done();
}

static void verify_split(void)
{
	static const char *const folders[] = {"tier/qf", "tier/df"};
	struct qdir *dir;

	testing_queue("tier", true);
	take(TIERS("tier"), SPOOL_CLAIM);
	dir = find("tier");
	for (size_t i = 0; i < N(folders); i++) {
		check_equal(spool_verify(dir), 0);
		testing_rename(folders[i], "tier/away");
		check_equal(spool_verify(dir), -ENOENT);
		testing_mkdir(folders[i]);
		/* A message moved to the old folder would be lost to every runner. */
		check_equal(spool_verify(dir), -ESTALE);
		check(rmdir(folders[i]) == 0);
		testing_rename("tier/away", folders[i]);
	}
	check_equal(spool_verify(dir), 0);
	testing_remove("tier/qf");
	testing_remove("tier/df");
	spool_lose(dir);
	/* Now it is flat. */
	check_equal(spool_reopen(dir, SPOOL_CLAIM), 0);
	check(dir->qf == dir->fd && dir->df == dir->fd && dir->xf != dir->fd);
	testing_remove("tier");
	check_equal(spool_verify(dir), -ENOENT);
	spool_lose(dir);
	check_equal(spool_reopen(dir, SPOOL_CLAIM), -ENOENT);
	check_equal(dir->state, QDIR_LOST);
	testing_write("tier", "a file\n");
	check_equal(spool_reopen(dir, SPOOL_CLAIM), -ENOTDIR);
	check_equal(dir->state, QDIR_LOST);
	done();
}

/* What would be put under a mount point would vanish with the next mount. */
static void unmounted(void)
{
	struct qdir *dir;

	testing_private_mounts();
	testing_mkdir("tier");
	testing_mount_tmpfs("tier", NULL);
	take(TIERS("tier"), SPOOL_CLAIM);
	dir = find("tier");
	if (!dir->mounted)
		testing_skip("this kernel does not tell mount points");
	spool_lose(dir);
	check(umount("tier") == 0);
	check_equal(spool_reopen(dir, SPOOL_CLAIM), -ENODEV);
	check_equal(dir->state, QDIR_LOST);
	check_equal(dir->fd, -1);
	check_equal(testing_count("../run"), 0);
	check_equal(spool_reopen(dir, SPOOL_CLAIM), -ENODEV);
	testing_mount_tmpfs("tier", NULL);
	check_equal(spool_reopen(dir, SPOOL_CLAIM), 0);
	check(dir->mounted && dir->state == QDIR_NEW);
	/* Mounted over while it is open. */
	testing_mount_tmpfs("tier", NULL);
	check_equal(spool_verify(dir), -ESTALE);
	done();
}

/* ---- claims ---- */

/* In another process: exit code 0 when the plan is refused as it should be. */
static pid_t first_owner;

static void second_daemon(void)
{
	struct problems problems = {0};
	struct spool_plan *plan;
	struct policy policy = TIERS("tier");
	struct spool other = {0};
	char words[64];

	check_equal(spool_plan(&other, &policy, SPOOL_CLAIM, &problems, &plan), -EBUSY);
	check_equal(problems.count, 1);
	snprintf(words, sizeof(words), "another qfwatch (pid %ld)", (long)first_owner);
	check(strstr(problems.list[0].text, words));
	check_equal(problems_exit_code(&problems), 3);
	problems_free(&problems);
	/* To look is allowed. */
	check_equal(spool_plan(&other, &policy, SPOOL_READ, &problems, &plan), 0);
	spool_abandon(plan);
}

static void claimed_once(void)
{
	testing_queue("tier", false);
	check(symlink("tier", "link") == 0);
	first_owner = getpid();
	take(TIERS("tier"), SPOOL_CLAIM);
	check_equal(testing_count("../run"), 1);
	/* Its copies of our descriptors hold the lock too; but it is not the one that has it. */
	check_equal(testing_apart(second_daemon), 0);
	/* Refused, it has not taken ours away. */
	check_equal(testing_count("../run"), 1);
	check_equal(testing_apart(second_daemon), 0);
	done();
}

static const char *lock_path(const char *directory)
{
	struct stat stat_of;

	check(stat(directory, &stat_of) == 0);
	return testing_path("../run/%llx-%llx.lock", (unsigned long long)stat_of.st_dev,
			    (unsigned long long)stat_of.st_ino);
}

static void stale_claim(void)
{
	char *content;
	char text[32];

	testing_queue("tier", false);
	/* Left by one that was killed: nobody has it locked. */
	testing_write(lock_path("tier"), "999999999\nand more\n");
	take(TIERS("tier"), SPOOL_CLAIM);
	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	content = testing_read(lock_path("tier"), NULL);
	check(strcmp(content, text) == 0); /* what follows the line is no text */
	free(content);
	spool_free(&spool);
	check_equal(testing_count("../run"), 0);
	done();
}

static void claim_by_hand(void)
{
	struct claim claim = CLAIM_NONE, second = CLAIM_NONE;
	pid_t owner = 0;
	char *path = NULL;
	const char *name;
	int fd;

	check_equal(claim_take(0x1f, 0x2e, &claim, &owner, &path), 0);
	name = testing_path("../run/1f-2e.lock");
	check(testing_exists(name));
	check_equal(claim_take(0x1f, 0x2e, &second, &owner, &path), -EBUSY);
	check_equal(owner, getpid());
	check(strstr(path, "/1f-2e.lock"));
	check_equal(second.fd, -1);
	free(path);
	/* Others are others. */
	check_equal(claim_take(0x1f, 0x2f, &second, &owner, &path), 0);
	claim_release(&second);
	claim_release(&second);
	check(testing_exists(name));
	claim_release(&claim);
	check(!testing_exists(name));
	check_equal(testing_count("../run"), 0);

	/* Held by somebody who wrote nothing. */
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	check(fd >= 0 && flock(fd, LOCK_EX) == 0);
	owner = 77;
	check_equal(claim_take(0x1f, 0x2e, &claim, &owner, &path), -EBUSY);
	check_equal(owner, 0);
	free(path);
	close(fd);
	check_equal(claim_take(0x1f, 0x2e, &claim, &owner, &path), 0);
	claim_release(&claim);

	/* Not followed to where somebody else wants it. */
	check(symlink("../here/victim", name) == 0);
	check(claim_take(0x1f, 0x2e, &claim, &owner, &path) < 0);
	check(!testing_exists("victim"));
	free(path);
}

/* One claims and lets go, over and over, with the others at its heels: there is never more than
 * one. */
static void claims_race(void)
{
	pid_t pids[4];
	int status;

	for (size_t i = 0; i < N(pids); i++) {
		pids[i] = fork();
		check(pids[i] >= 0);
		if (pids[i])
			continue;
		for (size_t k = 0; k < testing_scale(2000); k++) {
			struct claim claim = CLAIM_NONE;
			pid_t owner;
			char *path;

			if (claim_take(5, 6, &claim, &owner, &path) < 0) {
				free(path);
				continue;
			}
			/* This fails if somebody else is between these lines too. */
			check(mkdir("inside", 0700) == 0);
			check(rmdir("inside") == 0);
			claim_release(&claim);
		}
		_exit(0);
	}
	for (size_t i = 0; i < N(pids); i++) {
		check(waitpid(pids[i], &status, 0) == pids[i]);
		check_equal(status, 0);
	}
	check_equal(testing_count("../run"), 0);
}

static void no_folder_for_claims(void)
{
	testing_queue("tier", false);
	check(setenv("RUNTIME_DIRECTORY", testing_path("no/where"), 1) == 0);
	refused(TIERS("tier"), SPOOL_CLAIM, 3, "cannot be made");
	/* Several are given by systemd, separated by colons. */
	check(setenv("RUNTIME_DIRECTORY", testing_path("../run/sub:/elsewhere"), 1) == 0);
	take(TIERS("tier"), SPOOL_CLAIM);
	check_equal(testing_count("../run/sub"), 1);
	spool_free(&spool);
	check(rmdir("../run/sub") == 0);
	done();
}

static void folder_of_somebody_else(void)
{
	testing_need_root();
	testing_queue("tier", false);
	check(chmod("tier", 0777) == 0);
	testing_mkdir("run");
	check(chmod("run", 0777) == 0);
	check(setenv("RUNTIME_DIRECTORY", testing_path("run"), 1) == 0);
	testing_drop_rights();
	refused(TIERS("tier"), SPOOL_CLAIM, 3, "cannot be made");
	check_equal(testing_count("run"), 0);
	done();
}

/* ---- placing ---- */

enum { DIRS = 5, IDS = 5000 };

static void places(void)
{
	static uint16_t first[IDS];
	size_t share[DIRS + 2] = {0};
	char id[16];
	unsigned lost = 0;

	testing_queue("one", false);
	for (int i = 0; i < DIRS; i++)
		testing_queue(testing_path("q%d", i), false);
	take(TIERS("q*", "one"), SPOOL_READ);
	for (size_t i = 0; i < spool.n_dirs; i++)
		spool.dirs[i].state = QDIR_ACTIVE;
	for (size_t i = 0; i < IDS; i++) {
		struct qdir *dir;

		snprintf(id, sizeof(id), "6AMHKF%08zu", i);
		dir = spool_place(&spool, 0, POLICY_PLACE_HASH, id, 14);
		check(dir && dir->tier == 0);
		first[i] = spool_index(&spool, dir);
		share[first[i]]++;
		check(spool_place(&spool, 0, POLICY_PLACE_HASH, id, 14) == dir);
		check(spool_place(&spool, 1, POLICY_PLACE_HASH, id, 14) == find("one"));
		check(spool_place(&spool, 2, POLICY_PLACE_HASH, id, 14) == NULL);
	}
	/* Each gets its part. */
	for (size_t i = 0; i < spool.n_dirs; i++)
		if (spool.dirs[i].tier == 0)
			check(share[i] > IDS / DIRS * 3 / 4 && share[i] < IDS / DIRS * 4 / 3);
	/* One is lost: only its share goes elsewhere; it comes back: all is as it was. */
	lost = spool_index(&spool, find("q2"));
	spool.dirs[lost].state = QDIR_LOST;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < IDS; i++) {
			struct qdir *dir;

			snprintf(id, sizeof(id), "6AMHKF%08zu", i);
			dir = spool_place(&spool, 0, POLICY_PLACE_HASH, id, 14);
			check(dir != NULL);
			if (round == 0 && first[i] == lost)
				check(spool_index(&spool, dir) != lost);
			else
				check_equal(spool_index(&spool, dir), first[i]);
		}
		spool.dirs[lost].state = QDIR_NEW;
	}
	/* None: nowhere. */
	for (size_t i = 0; i < spool.n_dirs; i++)
		spool.dirs[i].state = i % 2 ? QDIR_LOST : QDIR_LEAVING;
	check(spool_place(&spool, 0, POLICY_PLACE_HASH, "x", 1) == NULL);
	done();
}

static void places_in_the_emptiest(void)
{
	for (int i = 0; i < DIRS; i++)
		testing_queue(testing_path("q%d", i), false);
	take(TIERS("q*"), SPOOL_READ);
	for (size_t i = 0; i < spool.n_dirs; i++) {
		spool.dirs[i].state = QDIR_ACTIVE;
		spool.dirs[i].messages = 10 + i;
	}
	for (int i = 0; i < 10 * DIRS; i++) {
		struct qdir *dir =
			spool_place(&spool, 0, POLICY_PLACE_EMPTIEST, "6AMHKF00000001", 14);

		for (size_t k = 0; k < spool.n_dirs; k++)
			check(dir->messages <= spool.dirs[k].messages);
		dir->messages++;
	}
	/* Filled up evenly in the end; one that is lost gets nothing. */
	for (size_t i = 1; i < spool.n_dirs; i++)
		check(spool.dirs[i].messages + 1 >= spool.dirs[0].messages &&
		      spool.dirs[0].messages + 1 >= spool.dirs[i].messages);
	spool.dirs[0].messages = 0;
	spool.dirs[0].state = QDIR_LOST;
	check(spool_place(&spool, 0, POLICY_PLACE_EMPTIEST, "x", 1) != &spool.dirs[0]);
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(queue_ids),
		APART(names),
		APART(layouts),
		APART(folders_elsewhere),
		APART(folder_on_another_device),
		APART(globs),
		APART(lost_with_their_folder),
		APART(growth_finds_the_same),
		APART(growth_of_two_globs),
		APART(missing),
		APART(not_a_directory),
		APART(nested),
		APART(the_same_twice),
		APART(the_same_by_bind_mount),
		APART(unreadable),
		APART(all_at_once),
		APART(another_policy),
		APART(verify_flat),
		APART(verify_split),
		APART(unmounted),
		APART(claimed_once),
		APART(stale_claim),
		APART(claim_by_hand),
		APART(claims_race),
		APART(no_folder_for_claims),
		APART(folder_of_somebody_else),
		APART(places),
		APART(places_in_the_emptiest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
