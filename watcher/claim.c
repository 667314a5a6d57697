/* claim.c - see claim.h */
#include "qfwatch/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/xalloc.h"

static char *folder(void)
{
	const char *given = getenv("RUNTIME_DIRECTORY");
	const char *user = getenv("XDG_RUNTIME_DIR");

	/* systemd may name several, separated by colons: the first is ours. */
	if (given && given[0] == '/')
		return xasprintf("%.*s", (int)strcspn(given, ":"), given);
	if (geteuid() == 0)
		return xstrdup("/run/qfwatch");
	if (user && user[0] == '/')
		return xasprintf("%s/qfwatch", user);
	return xasprintf("/tmp/qfwatch-%ld", (long)geteuid());
}

/* The folder must be ours: in /tmp somebody else may have made it first, with locks of their own
 * inside. */
static int prepare_folder(const char *path)
{
	struct stat stat;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &stat) < 0)
		return -errno;
	if (!S_ISDIR(stat.st_mode))
		return -ENOTDIR;
	return stat.st_uid == geteuid() || geteuid() == 0 ? 0 : -EPERM;
}

static pid_t read_owner(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = 0;
	return (pid_t)strtol(text, NULL, 10);
}

/* Its owner removes a lock file just before letting go of it: what we have locked may be no file
 * any more. */
static bool still_named(int fd, const char *path)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 &&
	       open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

static int lock_file(const char *path, int *ret_fd, pid_t *ret_owner)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
		int error;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (still_named(fd, path)) {
				*ret_fd = fd;
				return 0;
			}
			close(fd);
			continue;
		}
		error = errno;
		*ret_owner = error == EWOULDBLOCK ? read_owner(fd) : 0;
		close(fd);
		return error == EWOULDBLOCK ? -EBUSY : -error;
	}
}

/* The file: the owner's pid as a line, and from the second half of its page the intent. */
#define FILE_SIZE 4096
#define INTENT_AT 2048

/* Takes over what was left, and leaves it in the file, too, until recovery has seen to it. Writes
 * the whole page: a hole in it would be a SIGBUS when /run is full. A file that cannot be written
 * holds the claim all the same; only the owner and the intents go unnoted. */
static void map_intent(struct claim *claim)
{
	char page[FILE_SIZE] = {0};
	void *map;

	if (pread(claim->fd, &claim->left, sizeof claim->left, INTENT_AT) != sizeof claim->left ||
	    claim->left.length >= sizeof claim->left.id)
		claim->left = (struct claim_intent){0};
	snprintf(page, sizeof page, "%ld\n", (long)getpid());
	memcpy(page + INTENT_AT, &claim->left, sizeof claim->left);
	if (pwrite(claim->fd, page, sizeof page, 0) != sizeof page)
		return;
	map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, claim->fd, 0);
	if (map != MAP_FAILED)
		claim->intent = (struct claim_intent *)((char *)map + INTENT_AT);
}

void claim_begin(const struct claim *claim, ino_t from, const char *id, size_t length)
{
	struct claim_intent *intent = claim->intent;

	if (!intent || length >= sizeof intent->id)
		return;
	intent->time = clock_now();
	intent->from = from;
	memcpy(intent->id, id, length);
	/* Last, and before the next system call: it is what makes the rest count. */
	__atomic_store_n(&intent->length, (uint32_t)length, __ATOMIC_RELEASE);
}

void claim_end(const struct claim *claim)
{
	if (claim->intent)
		__atomic_store_n(&claim->intent->length, 0, __ATOMIC_RELEASE);
}

int claim_take(dev_t device, ino_t inode, struct claim *claim, pid_t *ret_owner, char **ret_path)
{
	char *where = folder();
	char *path = xasprintf("%s/%llx-%llx.lock", where, (unsigned long long)device,
			       (unsigned long long)inode);
	pid_t owner = 0;
	int fd = -1, r = prepare_folder(where);

	if (r == 0)
		r = lock_file(path, &fd, &owner);
	free(where);
	if (r < 0) {
		*ret_owner = owner;
		*ret_path = path;
		return r;
	}
	*claim = CLAIM_NONE;
	claim->fd = fd;
	claim->path = path;
	map_intent(claim);
	return 0;
}

void claim_release(struct claim *claim)
{
	if (claim->fd < 0)
		return;
	/* Somebody may have cleaned up /tmp and started another qfwatch: that file is not ours. */
	if (claim->intent)
		munmap((char *)claim->intent - INTENT_AT, FILE_SIZE);
	if (still_named(claim->fd, claim->path))
		unlink(claim->path);
	close(claim->fd);
	free(claim->path);
	*claim = CLAIM_NONE;
}
