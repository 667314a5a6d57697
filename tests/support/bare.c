/* bare.c - see bare.h. */
#include "bare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stats.h"

#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define READ_SIZE  4096

int64_t bare_scan(const struct mta_queue *queue)
{
	int fd = openat(queue->qf, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char bytes[READ_SIZE];
	int64_t count = 0;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] != 'q' || entry->d_name[1] != 'f')
			continue;
		fd = openat(queue->qf, entry->d_name, OPEN_FLAGS);
		if (fd < 0)
			continue;
		if (read(fd, bytes, sizeof(bytes)) > 0)
			count++;
		close(fd);
	}
	closedir(directory);
	return count;
}

/* With the qf open as fd. `patient`: waits for whoever holds it. The kernel tells of a close before
 * it lets the lock go (__fput), so a reader may be too early by some microseconds. */
static int move_open(const struct mta_queue *from, const struct mta_queue *to, const char *qf,
		     int fd, bool patient)
{
	char df[MTA_ID_LENGTH + 3];

	snprintf(df, sizeof(df), "df%s", qf + 2);
	if (flock(fd, LOCK_EX | (patient ? 0 : LOCK_NB)) < 0)
		return -errno;
	if (linkat(from->df, df, to->df, df, 0) < 0)
		return -errno;
	if (renameat2(from->qf, qf, to->qf, qf, RENAME_NOREPLACE) < 0)
		return -errno;
	return unlinkat(from->df, df, 0) < 0 ? -errno : 0;
}

int bare_move(const struct mta_queue *from, const struct mta_queue *to, const char *id)
{
	char qf[MTA_ID_LENGTH + 3];
	int fd, r;

	snprintf(qf, sizeof(qf), "qf%s", id);
	fd = openat(from->qf, qf, OPEN_FLAGS);
	if (fd < 0)
		return -errno;
	r = move_open(from, to, qf, fd, false);
	close(fd);
	return r;
}

int bare_move_guarded(const struct mta_queue *from, const struct mta_queue *to, const char *id)
{
	char qf[MTA_ID_LENGTH + 3], df[MTA_ID_LENGTH + 3];
	struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct stat open_file, named;
	char bytes[READ_SIZE];
	int fd, r = 0;

	snprintf(qf, sizeof(qf), "qf%s", id);
	snprintf(df, sizeof(df), "df%s", id);
	fd = openat(from->qf, qf, OPEN_FLAGS | O_NOATIME);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &open_file) < 0 || pread(fd, bytes, sizeof(bytes), 0) < 0 ||
	    flock(fd, LOCK_EX | LOCK_NB) < 0 || fcntl(fd, F_OFD_SETLK, &whole) < 0 ||
	    fstatat(from->qf, qf, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    linkat(from->df, df, to->df, df, 0) < 0 ||
	    fstatat(to->df, df, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    renameat2(from->qf, qf, to->qf, qf, RENAME_NOREPLACE) < 0 ||
	    unlinkat(from->df, df, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

static void handle(const struct bare_watch *watch, const struct mta_queue *from,
		   const struct mta_queue *to, uint32_t attempts, const char *name, bool closed)
{
	char bytes[READ_SIZE];
	const char *line;
	ssize_t length;
	int fd = openat(from->qf, name, OPEN_FLAGS);

	if (fd < 0)
		return;
	length = read(fd, bytes, sizeof(bytes) - 1);
	bytes[length > 0 ? length : 0] = '\0';
	line = strstr(bytes, "\nN");
	if (line && strtoul(line + 2, NULL, 10) >= attempts &&
	    move_open(from, to, name, fd, closed) == 0)
		watch->counts->moves++;
	close(fd);
}

__attribute__((noreturn)) static void watch_for_ever(const struct bare_watch *watch,
						     const struct mta_queue *from,
						     const struct mta_queue *to, uint32_t attempts)
{
	char buffer[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	char path[64];
	int notifications = inotify_init1(IN_CLOEXEC);
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", from->qf);
	if (inotify_add_watch(notifications, path,
			      IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
				      IN_EXCL_UNLINK) < 0)
		_exit(1);
	watch->counts->ready = true;
	while ((length = read(notifications, buffer, sizeof(buffer))) > 0) {
		const struct inotify_event *event;

		for (char *at = buffer; at < buffer + length; at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)at;
			watch->counts->events++;
			if (event->mask & IN_Q_OVERFLOW)
				watch->counts->overflows++;
			if (event->len > 2 && (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) &&
			    strncmp(event->name, "qf", 2) == 0)
				handle(watch, from, to, attempts, event->name,
				       event->mask & IN_CLOSE_WRITE);
		}
	}
	_exit(1);
}

int bare_watch_start(struct bare_watch *watch, const struct mta_queue *from,
		     const struct mta_queue *to, uint32_t attempts)
{
	int64_t deadline = stats_now() + 5 * STATS_S;
	void *shared = mmap(NULL, sizeof(*watch->counts), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid();

	if (shared == MAP_FAILED)
		return -errno;
	watch->counts = shared;
	watch->pid = fork();
	if (watch->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		watch_for_ever(watch, from, to, attempts);
	}
	if (watch->pid < 0) {
		int r = -errno;

		munmap(shared, sizeof(*watch->counts));
		return r;
	}
	while (!watch->counts->ready && stats_now() < deadline &&
	       waitpid(watch->pid, NULL, WNOHANG) == 0)
		stats_sleep_until(stats_now() + 200 * STATS_US);
	if (watch->counts->ready)
		return 0;
	bare_watch_stop(watch);
	return -EIO;
}

void bare_watch_stop(struct bare_watch *watch)
{
	kill(watch->pid, SIGKILL);
	while (waitpid(watch->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	munmap((void *)(uintptr_t)watch->counts, sizeof(*watch->counts));
	*watch = (struct bare_watch){.pid = -1};
}
