/* notify.c - see notify.h
 *
 * The library keeps a table of its own from names to watch descriptors, which goes stale when a
 * directory is removed and made again. So we keep ours, and give the library a name that it has
 * never heard each time (unique_name).
 */
#include "qfwatch/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/inotify.h>
#include <sys/select.h>

#include <inotifytools/inotifytools.h>

#include "qfwatch/xalloc.h"

#define FATE (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

static const uint32_t masks[] = {
	[NOTIFY_SPOOL] =
		FATE | IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE,
	[NOTIFY_SELF] = FATE | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE,
	[NOTIFY_PARENT] = FATE | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE,
	[NOTIFY_POLICY] =
		FATE | IN_CLOSE_WRITE | IN_MOVED_TO, /* not IN_CREATE: it would be read empty */
};

/* One purpose of one owner on one watch. The kernel has one watch for a directory, however often it
 * is added, so several of these may share a descriptor. */
struct interest {
	int wd;
	enum notify_purpose purpose;
	uint32_t owner;
};

static struct {
	int fd;
	struct interest *interests; /* sorted by wd, so that those of one event stand together */
	size_t count;
	uint64_t names; /* how many unique names have been made */
	/* The event being handed out, one interest at a time. */
	struct inotify_event *event;
	size_t next;
} notify = {.fd = -1};

/* ---- start and end ---- */

static bool is_inotify(int fd)
{
	char path[32], target[32];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof target - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	return strcmp(target, "anon_inode:inotify") == 0;
}

int notify_open(void)
{
	int fd;

	/* The library would say yes to a second one, and mean the first. */
	if (notify.fd >= 0)
		return -EALREADY;
	/* It does not tell its descriptor: it gets the lowest free one (inotify_init), which is the
	 * one that we get and give back just before. */
	fd = open("/", O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	/* It waits with select(2), which takes none above. */
	if (fd >= FD_SETSIZE)
		return -EMFILE;
	if (!inotifytools_initialize())
		return inotifytools_error() ? -inotifytools_error() : -EALREADY;
	if (!is_inotify(fd)) {
		inotifytools_cleanup();
		return -EBADF;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	notify.fd = fd;
	return 0;
}

void notify_close(void)
{
	if (notify.fd < 0)
		return;
	/* The library keeps what it has read in static memory, across instances: stale for the next
	 * one. */
	while (inotifytools_next_events(0, 1))
		;
	inotifytools_cleanup();
	free(notify.interests);
	memset(&notify, 0, sizeof notify);
	notify.fd = -1;
}

int notify_fd(void)
{
	return notify.fd;
}

const char *notify_remedy(int error)
{
	switch (error) {
	case ENOSPC:
		return "raise the sysctl fs.inotify.max_user_watches";
	case EMFILE:
		return "raise the sysctl fs.inotify.max_user_instances, or LimitNOFILE of the "
		       "service";
	case EACCES:
		return "give the user that runs qfwatch the right to read the directory";
	default:
		return "";
	}
}

/* ---- watches ---- */

static size_t first_of(int wd)
{
	size_t low = 0, high = notify.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (notify.interests[middle].wd < wd)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t mask_of(int wd)
{
	uint32_t mask = 0;

	for (size_t i = first_of(wd); i < notify.count && notify.interests[i].wd == wd; i++)
		mask |= masks[notify.interests[i].purpose];
	return mask;
}

/* Not by the library, which complains on stderr of a watch that the kernel has ended already. What
 * it remembers of the watch is small, and never asked for. */
static void end_watch(int wd)
{
	inotify_rm_watch(notify.fd, wd);
}

static void forget(size_t place)
{
	memmove(&notify.interests[place], &notify.interests[place + 1],
		(--notify.count - place) * sizeof *notify.interests);
	/* Do not skip one of the event being handed out. */
	if (notify.event && place < notify.next)
		notify.next--;
}

static void remember(int wd, enum notify_purpose purpose, uint32_t owner)
{
	size_t place = first_of(wd + 1);

	notify.interests =
		xreallocarray(notify.interests, notify.count + 1, sizeof *notify.interests);
	memmove(&notify.interests[place + 1], &notify.interests[place],
		(notify.count - place) * sizeof *notify.interests);
	notify.interests[place] = (struct interest){wd, purpose, owner};
	notify.count++;
	if (notify.event && place < notify.next)
		notify.next++;
}

/* The same directory under a name that the library has not seen: the count in binary, "./" for 1
 * and "/" for 0. */
static int unique_name(const char *path, char *name, size_t size)
{
	size_t n = strlen(path);

	if (n + 2 + 2 * 64 + 1 > size)
		return -ENAMETOOLONG;
	memcpy(name, path, n);
	name[n++] = '/';
	for (uint64_t count = ++notify.names; count; count >>= 1) {
		if (count & 1)
			name[n++] = '.';
		name[n++] = '/';
	}
	name[n] = 0;
	return 0;
}

static bool is_added(int wd, enum notify_purpose purpose, uint32_t owner)
{
	for (size_t i = first_of(wd); i < notify.count && notify.interests[i].wd == wd; i++)
		if (notify.interests[i].purpose == purpose && notify.interests[i].owner == owner)
			return true;
	return false;
}

/* Ends it, wherever it is but on `keep` (-1: nowhere). */
static void remove_but(int keep, enum notify_purpose purpose, uint32_t owner)
{
	for (size_t i = 0; i < notify.count; i++) {
		int wd = notify.interests[i].wd;

		if (notify.interests[i].purpose != purpose || notify.interests[i].owner != owner ||
		    wd == keep)
			continue;
		forget(i);
		/* With others left, the watch stays as it is: what comes for nobody is dropped. */
		if (!mask_of(wd))
			end_watch(wd);
		return;
	}
}

/* Tells the library of a watch that it does not know yet. */
static int introduce(const char *path, uint32_t mask)
{
	char name[PATH_MAX];
	int r = unique_name(path, name, sizeof name);

	if (r < 0)
		return r;
	if (!inotifytools_watch_file(name, (int)mask))
		return inotifytools_error() ? -inotifytools_error() : -EIO;
	return inotifytools_wd_from_filename(name);
}

int notify_add(const char *path, enum notify_purpose purpose, uint32_t owner)
{
	/* IN_MASK_ADD: the directory may be watched for another purpose already, which must not
	 * lose its events. */
	uint32_t mask = masks[purpose] | IN_MASK_ADD;
	/* The kernel is asked first: only it knows whether the path leads to a directory that is
	 * watched already, and the library loses a little memory each time that it is told of one
	 * again. */
	int wd = inotify_add_watch(notify.fd, path, mask);

	if (wd < 0)
		return -errno;
	if (is_added(wd, purpose, owner))
		return 0;
	if (!mask_of(wd)) {
		int known = introduce(path, mask);

		if (known != wd) {
			inotify_rm_watch(notify.fd, wd);
			return known < 0 ? known : -ESTALE; /* another directory by now */
		}
	}
	/* First the new one, so that the watch is not given up in between. */
	remember(wd, purpose, owner);
	remove_but(wd, purpose, owner);
	return 0;
}

void notify_remove(enum notify_purpose purpose, uint32_t owner)
{
	remove_but(-1, purpose, owner);
}

/* ---- events ---- */

bool notify_is_waiting(void)
{
	struct pollfd pollfd = {.fd = notify.fd, .events = POLLIN};

	return notify.fd >= 0 && poll(&pollfd, 1, 0) > 0;
}

static bool wanted(uint32_t bits, enum notify_purpose purpose)
{
	return bits & (masks[purpose] | IN_IGNORED | IN_UNMOUNT);
}

static enum notify_kind kind_of(uint32_t bits)
{
	if (bits & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF))
		return NOTIFY_LOST;
	if (bits & (IN_MOVED_FROM | IN_DELETE))
		return NOTIFY_REMOVED;
	return NOTIFY_CHANGED;
}

/* A directory that moved away keeps its watch, and one that was deleted gets IN_IGNORED as well: in
 * each case the interest ends with the first sign. */
static void end_interest(size_t place)
{
	int wd = notify.interests[place].wd;

	forget(place);
	if (!mask_of(wd) && !(notify.event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_UNMOUNT)))
		end_watch(wd);
}

static bool hand_out(struct notify_event *ret)
{
	const struct inotify_event *event = notify.event;
	uint32_t bits = event->mask & ~(uint32_t)IN_ISDIR;

	while (notify.next < notify.count && notify.interests[notify.next].wd == event->wd) {
		size_t place = notify.next++;
		struct interest interest = notify.interests[place];

		if (!wanted(bits, interest.purpose))
			continue;
		*ret = (struct notify_event){
			.kind = kind_of(bits),
			.purpose = interest.purpose,
			.owner = interest.owner,
			.moved = bits == IN_MOVED_TO || bits == IN_MOVED_FROM,
			.directory = event->mask & IN_ISDIR,
			.name = event->len ? event->name : "",
		};
		if (ret->kind == NOTIFY_LOST)
			end_interest(place);
		return true;
	}
	notify.event = NULL;
	return false;
}

int notify_next(struct notify_event *ret)
{
	for (;;) {
		if (notify.event && hand_out(ret))
			return 1;
		/* One at a time, without waiting: other ways of asking block for ever or spin. */
		notify.event = inotifytools_next_events(0, 1);
		if (!notify.event) {
			int error = inotifytools_error();

			return error == EAGAIN || error == EINTR ? 0 : -error;
		}
		if (notify.event->mask & IN_Q_OVERFLOW) {
			notify.event = NULL;
			*ret = (struct notify_event){.kind = NOTIFY_OVERFLOW, .name = ""};
			return 1;
		}
		notify.next = first_of(notify.event->wd);
	}
}
