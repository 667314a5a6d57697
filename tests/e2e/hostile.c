/* hostile.c - what a shell cannot make fast enough, or not at all, for 21-hostile.sh.
 *
 * usage: hostile socket PATH
 *          makes a socket there
 *        hostile swap PID DIRECTORY OUTSIDE AWAY
 *          as soon as the process has the qf of one of the messages of swaps[] open, in DIRECTORY,
 *          its qf or df goes to AWAY, and what swaps[] says takes its place. Ends with the process,
 *          or when all are swapped, and prints how many were.
 *        hostile race SECONDS SEED OUTSIDE DIRECTORY...
 *          renames, links, truncates and swaps the qf and df, plain and hidden, of the messages
 *          whose ids begin with "R" in these directories, as fast as it can. OUTSIDE has a file
 *          "theirs", which is linked to, and a file "secret" and a folder "folder", which get
 *          symbolic links. Prints how many of its calls worked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGES 12
#define NAME	 600
#define MAX_DIRS 4

static char **dirs;
static unsigned n_dirs;
static const char *outside;
static ino_t theirs;
static unsigned long worked;

static unsigned any(unsigned n)
{
	return (unsigned)random() % n;
}

static void count(int r)
{
	worked += r >= 0;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	count((int)write(fd, text, strlen(text)));
	close(fd);
}

static void any_name(char *name, const char *kind)
{
	snprintf(name, NAME, "%s/%sR%u", dirs[any(n_dirs)], kind, any(MESSAGES));
}

/* What a sound message is, in the way sendmail makes one; always in the first directory. */
static void make_message(void)
{
	char df[NAME], tf[NAME], qf[NAME], text[300];
	unsigned n = any(MESSAGES);

	snprintf(df, sizeof(df), "%s/dfR%u", dirs[0], n);
	snprintf(tf, sizeof(tf), "%s/tfR%u", dirs[0], n);
	snprintf(qf, sizeof(qf), "%s/qfR%u", dirs[0], n);
	snprintf(text, sizeof(text),
		 "V8\nT%ld\nK0\nN%u\nP1\nSa@example.test\nRPFD:<b@example.net>\n.\n",
		 (long)time(NULL) - 60, 3 + any(3));
	put(df, "a body that nobody minds\n");
	put(tf, text);
	count(rename(tf, qf));
}

/* Another kind of file in the place of a name, at one blow. */
static void swap(void)
{
	char name[NAME], other[NAME], what[NAME];

	any_name(name, any(2) ? "qf" : "df");
	snprintf(other, sizeof(other), "%s/hostile-%d", dirs[any(n_dirs)], (int)getpid());
	switch (any(6)) {
	case 0:
		snprintf(what, sizeof(what), "%s/secret", outside);
		count(symlink(what, other));
		break;
	case 1:
		snprintf(what, sizeof(what), "%s/folder", outside);
		count(symlink(what, other));
		break;
	case 2:
		snprintf(what, sizeof(what), "%s/theirs", outside);
		count(link(what, other));
		break;
	case 3:
		count(mkfifo(other, 0666));
		break;
	case 4:
		count(mkdir(other, 0777));
		break;
	default:
		put(other, "V8\nT1\nN3\n.\n");
	}
	if (any(2)) {
		count(renameat2(AT_FDCWD, other, AT_FDCWD, name, RENAME_EXCHANGE));
		if (unlink(other) < 0)
			rmdir(other);
	} else if (rename(other, name) < 0) {
		if (unlink(other) < 0)
			rmdir(other);
	}
}

static void shorten(void)
{
	char name[NAME];
	struct stat stat;
	int fd;

	any_name(name, any(2) ? "qf" : "df");
	fd = open(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	/* What it has linked to is not to be changed by itself. */
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_ino != theirs)
		count(any(2) ? ftruncate(fd, any(64)) : (int)pwrite(fd, "N9\n", 3, stat.st_size));
	close(fd);
}

static void move_about(void)
{
	char a[NAME], b[NAME];
	static const char *const kinds[] = {"qf", "df", "tf", "xf", "hf", "Qf"};

	any_name(a, kinds[any(2)]);
	any_name(b, kinds[any(any(4) ? 2 : 6)]);
	count(any(3) ? renameat2(AT_FDCWD, a, AT_FDCWD, b, any(2) ? RENAME_EXCHANGE : 0)
		     : link(a, b));
}

static void take_away(void)
{
	char name[NAME];

	any_name(name, any(2) ? "qf" : "df");
	if (unlink(name) < 0)
		count(rmdir(name));
}

/* Hidden names that are in use just now, of one's own messages only. */
static void meddle(void)
{
	const char *where = dirs[any(n_dirs)];
	DIR *dir = opendir(where);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char a[NAME], b[NAME];
		const char *id = strrchr(entry->d_name, '-');

		if (strncmp(entry->d_name, ".qfwatch-", 9) != 0 || !id || id[1] != 'R')
			continue;
		snprintf(a, sizeof(a), "%s/%s", where, entry->d_name);
		any_name(b, any(2) ? "qf" : "df");
		count(any(2) ? renameat2(AT_FDCWD, a, AT_FDCWD, b, any(2) ? RENAME_EXCHANGE : 0)
			     : unlink(a));
	}
	if (dir)
		closedir(dir);
}

static int race(int argc, char **argv)
{
	time_t end = time(NULL) + atoi(argv[2]);
	char name[NAME];
	struct stat stat;

	srandom((unsigned)atoi(argv[3]));
	outside = argv[4];
	dirs = argv + 5;
	n_dirs = (unsigned)(argc - 5);
	snprintf(name, sizeof(name), "%s/theirs", outside);
	if (n_dirs > MAX_DIRS || lstat(name, &stat) < 0)
		return 2;
	theirs = stat.st_ino;
	while (time(NULL) < end) {
		switch (any(8)) {
		case 0:
		case 1:
			swap();
			break;
		case 2:
			shorten();
			break;
		case 3:
			move_about();
			break;
		case 4:
			take_away();
			break;
		case 5:
			meddle();
			break;
		default:
			make_message();
		}
	}
	printf("%lu\n", worked);
	return 0;
}

static const struct {
	const char *id, *which, *by;
} swaps[] = {
	{"swapped-by-fifo", "qf", "fifo"},	    {"swapped-by-symlink", "qf", "symlink"},
	{"swapped-by-link", "qf", "link"},	    {"swapped-by-not-due", "qf", "file"},
	{"swapped-df-by-symlink", "df", "symlink"}, {"swapped-df-by-link", "df", "link"},
	{"swapped-df-by-fifo", "df", "fifo"},
};

enum { SWAPS = sizeof(swaps) / sizeof(*swaps) };

/* OUTSIDE has linked-qf, linked-df, qf and df; AWAY has the file that takes the place of a qf. */
static int swap_one(int i, const char *directory, const char *away)
{
	char name[NAME], gone[NAME], what[NAME];
	const char *which = swaps[i].which;
	int r;

	snprintf(name, sizeof(name), "%s/%s%s", directory, which, swaps[i].id);
	snprintf(gone, sizeof(gone), "%s/%s%s", away, which, swaps[i].id);
	r = rename(name, gone);
	if (r == 0 && strcmp(swaps[i].by, "fifo") == 0) {
		r = mkfifo(name, 0600);
	} else if (r == 0 && strcmp(swaps[i].by, "symlink") == 0) {
		snprintf(what, sizeof(what), "%s/%s", outside, which);
		r = symlink(what, name);
	} else if (r == 0 && strcmp(swaps[i].by, "link") == 0) {
		snprintf(what, sizeof(what), "%s/linked-%s", outside, which);
		r = link(what, name);
	} else if (r == 0) {
		snprintf(what, sizeof(what), "%s/file", away);
		r = rename(what, name);
	}
	return r;
}

static int swap_opened(const char *pid, const char *directory, const char *away)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	bool done[SWAPS] = {false};
	char folder[64], link_name[NAME], path[NAME];
	int n = 0, failed = 0;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%s/fd", pid);
	while (n < SWAPS && (dir = opendir(folder))) {
		struct dirent *entry;

		while ((entry = readdir(dir))) {
			ssize_t length;

			snprintf(link_name, sizeof(link_name), "%s/%s", folder, entry->d_name);
			length = readlink(link_name, path, sizeof(path) - 1);
			path[length < 0 ? 0 : length] = 0;
			for (int i = 0; i < SWAPS; i++) {
				char wanted[NAME];

				snprintf(wanted, sizeof(wanted), "%s/qf%s", directory, swaps[i].id);
				if (done[i] || strcmp(path, wanted) != 0)
					continue;
				failed |= swap_one(i, directory, away) < 0;
				done[i] = true;
				n++;
			}
		}
		closedir(dir);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	printf("%d\n", n);
	return failed;
}

static int make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, path);
	return fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc == 3 && strcmp(argv[1], "socket") == 0)
		return make_socket(argv[2]);
	if (argc == 6 && strcmp(argv[1], "swap") == 0) {
		outside = argv[4];
		return swap_opened(argv[2], argv[3], argv[5]);
	}
	if (argc > 5 && strcmp(argv[1], "race") == 0)
		return race(argc, argv);
	fprintf(stderr, "usage: hostile socket PATH | swap PID DIRECTORY OUTSIDE AWAY |"
			" race SECONDS SEED OUTSIDE DIRECTORY...\n");
	return 2;
}
