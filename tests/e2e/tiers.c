/* tiers.c - one message in several tiers: lays it, plays the queue runner that delivers it, and
 * says whether what stands on disk is as it must be.
 *
 * usage: tiers lay KEPT ID TIER
 *          a fresh copy of KEPT/qfID and KEPT/dfID, nothing else, in TIER
 *        tiers clear TIER...
 *          removes every file in them
 *        tiers instant KEPT ID TIER...
 *          what a queue runner may see at any moment: in no two tiers a control file; where there
 *          is one, it and its body are whole
 *        tiers deliver ID TIER...
 *          what a queue runner does with what it sees: under flock, the df goes, then the qf;
 *          prints the tier or "invisible"
 *        tiers settled KEPT ID WHERE TIER...
 *          the message stands whole in WHERE ("any": in any one tier; "none": in no tier;
 *          "at-most-one"), and beside it stands nothing of its id
 *        tiers is-clean KEPT ID TIER...
 *          the message stands whole in one tier or nothing of it stands anywhere: there is nothing
 *          to recover
 *
 * A tier is flat, or has folders qf, df, xf inside. Files of the id "BYSTANDER" belong to somebody
 * else: they must stay as `lay` made them, but hinder nothing. KEPT is flat. Exits 0, or 1 with
 * what is wrong in one line on standard output.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYSTANDER "BYSTANDER"

static char wrong[8192];

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	size_t n = strlen(wrong);
	va_list list;

	if (n)
		n += (size_t)snprintf(wrong + n, sizeof wrong - n, "; ");
	va_start(list, format);
	vsnprintf(wrong + n, sizeof wrong - n, format, list);
	va_end(list);
}

__attribute__((noreturn)) static void die(const char *what)
{
	printf("tiers: %s: %s\n", what, strerror(errno));
	exit(3);
}

/* The path of a file of that kind in a tier: in the folder for it, if there is one. */
static const char *path_of(const char *tier, const char *kind, const char *id)
{
	static char paths[4][4096];
	static int turn;
	char *path = paths[turn++ % 4];
	struct stat stat;
	const char *folder = kind[0] == 'd' ? "df" : kind[0] == 'x' ? "xf" : "qf";

	snprintf(path, sizeof paths[0], "%s/%s", tier, folder);
	if (lstat(path, &stat) == 0 && S_ISDIR(stat.st_mode))
		snprintf(path, sizeof paths[0], "%s/%s/%s%s", tier, folder, kind, id);
	else
		snprintf(path, sizeof paths[0], "%s/%s%s", tier, kind, id);
	return path;
}

static bool exists(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) == 0;
}

static char *read_whole(const char *path, struct stat *ret)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char *bytes;
	off_t n = 0;

	if (fd < 0 || fstat(fd, ret) < 0)
		die(path);
	bytes = malloc((size_t)ret->st_size + 1);
	while (bytes && n < ret->st_size) {
		ssize_t more = read(fd, bytes + n, (size_t)(ret->st_size - n));

		if (more <= 0)
			die(path);
		n += more;
	}
	close(fd);
	return bytes;
}

/* The same bytes, owner, group, mode and time of modification. */
static void compare(const char *path, const char *kept)
{
	struct stat a, b;
	char *x = read_whole(path, &a), *y = read_whole(kept, &b);

	if (a.st_size != b.st_size || memcmp(x, y, (size_t)a.st_size) != 0)
		complain("%s is not what it was: %lld bytes of %lld", path, (long long)a.st_size,
			 (long long)b.st_size);
	else if (a.st_uid != b.st_uid || a.st_gid != b.st_gid || a.st_mode != b.st_mode)
		complain("%s has another owner or mode", path);
	else if (a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec)
		complain("%s has another time", path);
	free(x);
	free(y);
}

static void copy(const char *from, const char *to)
{
	struct stat stat;
	char *bytes = read_whole(from, &stat);
	struct timespec times[2] = {stat.st_atim, stat.st_mtim};
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t n = 0;

	while (fd >= 0 && n < stat.st_size) {
		ssize_t more = write(fd, bytes + n, (size_t)(stat.st_size - n));

		if (more <= 0)
			die(to);
		n += more;
	}
	if (fd < 0 || fchown(fd, stat.st_uid, stat.st_gid) < 0 ||
	    fchmod(fd, stat.st_mode & 07777) < 0 || futimens(fd, times) < 0 || close(fd) < 0)
		die(to);
	free(bytes);
}

/* ---- every file of a tier ---- */

static void each_file(const char *tier, void (*take)(const char *path, const char *name))
{
	static const char *const folders[] = {"", "/qf", "/df", "/xf"};

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		char folder[4096], path[8192];
		struct dirent *entry;
		struct stat stat;
		DIR *dir;

		snprintf(folder, sizeof folder, "%s%s", tier, folders[i]);
		dir = opendir(folder);
		while (dir && (entry = readdir(dir))) {
			snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
			if (lstat(path, &stat) == 0 && !S_ISDIR(stat.st_mode))
				take(path, entry->d_name);
		}
		if (dir)
			closedir(dir);
	}
}

static void remove_file(const char *path, const char *name)
{
	(void)name;
	if (unlink(path) < 0)
		die(path);
}

static const char *expected_qf, *expected_df; /* NULL: none */

static void check_file(const char *path, const char *name)
{
	if (strcmp(name, "df" BYSTANDER) == 0 || (expected_qf && strcmp(path, expected_qf) == 0) ||
	    (expected_df && strcmp(path, expected_df) == 0))
		return;
	complain("%s is left", path);
}

/* ---- what must be ---- */

static void whole(const char *kept, const char *id, const char *tier)
{
	char old[4096];

	snprintf(old, sizeof old, "%s/qf%s", kept, id);
	compare(path_of(tier, "qf", id), old);
	snprintf(old, sizeof old, "%s/df%s", kept, id);
	if (!exists(path_of(tier, "df", id)))
		complain("%s has qf%s without its df", tier, id);
	else
		compare(path_of(tier, "df", id), old);
}

/* In how many tiers a runner sees the message. *ret: the last of them. */
static int visible(const char *id, char **tiers, const char **ret)
{
	static const char *const kinds[] = {"qf", "hf", "Qf", "tf"};
	int n = 0;

	*ret = NULL;
	for (; *tiers; tiers++)
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (exists(path_of(*tiers, kinds[i], id))) {
				n++;
				*ret = *tiers;
				if (i)
					complain("%s has %s%s", *tiers, kinds[i], id);
			}
	return n;
}

static void instant(const char *kept, const char *id, char **tiers)
{
	const char *where;
	int n = visible(id, tiers, &where);

	if (n > 1)
		complain("visible in %d tiers", n);
	else if (n == 1)
		whole(kept, id, where);
}

static void settled(const char *kept, const char *id, const char *wanted, char **tiers)
{
	static char qf[4096], df[4096];
	const char *where;
	int n = visible(id, tiers, &where);

	if (n > 1)
		complain("visible in %d tiers", n);
	if (n == 0 && strcmp(wanted, "none") != 0 && strcmp(wanted, "at-most-one") != 0)
		complain("in no tier");
	if (n == 1 && strcmp(wanted, "any") != 0 && strcmp(wanted, "at-most-one") != 0 &&
	    strcmp(wanted, where) != 0)
		complain("in %s, not %s", where, wanted);
	if (n == 1) {
		whole(kept, id, where);
		snprintf(qf, sizeof qf, "%s", path_of(where, "qf", id));
		snprintf(df, sizeof df, "%s", path_of(where, "df", id));
		expected_qf = qf;
		expected_df = df;
	}
	for (; *tiers; tiers++) {
		each_file(*tiers, check_file);
		if (!exists(path_of(*tiers, "df", BYSTANDER)))
			complain("df" BYSTANDER " is gone from %s", *tiers);
	}
}

static void deliver(const char *id, char **tiers)
{
	const char *where;
	const char *qf;
	int fd;

	if (visible(id, tiers, &where) == 0) {
		puts("invisible");
		return;
	}
	qf = path_of(where, "qf", id);
	fd = open(qf, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		complain("%s cannot be locked", qf);
	else if (unlink(path_of(where, "df", id)) < 0 || unlink(qf) < 0)
		complain("%s cannot be delivered: %s", qf, strerror(errno));
	else
		puts(where);
	if (fd >= 0)
		close(fd);
}

static void lay(const char *kept, const char *id, const char *tier)
{
	char old[4096];

	snprintf(old, sizeof old, "%s/df%s", kept, id);
	copy(old, path_of(tier, "df", id));
	snprintf(old, sizeof old, "%s/qf%s", kept, id);
	copy(old, path_of(tier, "qf", id));
}

/* Somebody else's new message, of which sendmail has written the body only. */
static void lay_bystander(const char *tier)
{
	int fd =
		open(path_of(tier, "df", BYSTANDER), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0 || close(fd) < 0)
		die(tier);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "lay") == 0 && argc == 5) {
		lay(argv[2], argv[3], argv[4]);
	} else if (strcmp(what, "clear") == 0 && argc > 2) {
		for (char **tier = argv + 2; *tier; tier++) {
			each_file(*tier, remove_file);
			lay_bystander(*tier);
		}
	} else if (strcmp(what, "instant") == 0 && argc > 4) {
		instant(argv[2], argv[3], argv + 4);
	} else if (strcmp(what, "deliver") == 0 && argc > 3) {
		deliver(argv[2], argv + 3);
	} else if (strcmp(what, "settled") == 0 && argc > 5) {
		settled(argv[2], argv[3], argv[4], argv + 5);
	} else if (strcmp(what, "is-clean") == 0 && argc > 4) {
		const char *where;

		settled(argv[2], argv[3], visible(argv[3], argv + 4, &where) ? "any" : "none",
			argv + 4);
	} else {
		fprintf(stderr, "usage: tiers lay|clear|instant|deliver|settled|is-clean ...\n");
		return 3;
	}
	if (!*wrong)
		return 0;
	puts(wrong);
	return 1;
}
