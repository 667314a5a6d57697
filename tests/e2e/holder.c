/* holder.c - holds a lock on a file as a mail server does, or tells whether somebody holds one.
 *
 * usage: holder flock|fcntl|shared|upstream FILE
 *          takes the lock, prints "held", keeps it until a line or the end of its input comes
 *        holder try FILE
 *          exits 0 when the flock and the fcntl lock are free, 1 when not
 *
 * flock     flock(LOCK_EX) on a descriptor open for reading, as Debian's sendmail; its close gives
 *           no notification
 * shared    flock(LOCK_SH), as a runner that sorts its queue
 * fcntl     a write lock of the whole file on a descriptor open for writing, as upstream builds of
 *           sendmail on Linux
 * upstream  the same, but released by F_UNLCK and closed a line of input later: nothing tells that
 *           the lock is free
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool write_lock(int fd, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, F_SETLK, &lock) == 0;
}

/* True when a write lock by somebody else would be refused. */
static bool write_locked(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static void wait_for_input(void)
{
	char line[16];

	if (!fgets(line, sizeof(line), stdin))
		return;
}

int main(int argc, char **argv)
{
	const char *how = argc == 3 ? argv[1] : "";
	bool by_fcntl = strcmp(how, "fcntl") == 0 || strcmp(how, "upstream") == 0;
	bool shared = strcmp(how, "shared") == 0;
	bool try = strcmp(how, "try") == 0;
	bool held;
	int fd;

	if (!by_fcntl && !shared && !try && strcmp(how, "flock") != 0) {
		fprintf(stderr, "usage: holder flock|fcntl|shared|upstream|try FILE\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(argv[2], (by_fcntl ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "holder: %s: %s\n", argv[2], strerror(errno));
		return 2;
	}
	if (try)
		return flock(fd, LOCK_EX | LOCK_NB) != 0 || write_locked(fd);
	held = by_fcntl ? write_lock(fd, F_WRLCK)
			: flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0;
	if (!held) {
		fprintf(stderr, "holder: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	puts("held");
	fflush(stdout);
	wait_for_input();
	if (strcmp(how, "upstream") == 0) {
		write_lock(fd, F_UNLCK);
		wait_for_input();
	}
	close(fd);
	return 0;
}
