/* locked.c - see locked.h */
#include "qfwatch/locked.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* "fe:00:131076": how /proc/locks names a file. */
struct name {
	char text[64];
};

/* ---- the file as /proc names it ---- */

/* The device of the file system: on Btrfs and overlayfs stat(2) tells another one than /proc/locks,
 * which has that of the mount. */
static bool device_of_mount(int fd, unsigned *ret_major, unsigned *ret_minor)
{
	char path[64], line[4096];
	int mount = -1;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (mount < 0 && fgets(line, sizeof line, file))
		if (strncmp(line, "mnt_id:", 7) == 0)
			mount = atoi(line + 7);
	fclose(file);
	file = mount < 0 ? NULL : fopen("/proc/self/mountinfo", "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof line, file)) {
		int id, parent;

		found = sscanf(line, "%d %d %u:%u", &id, &parent, ret_major, ret_minor) == 4 &&
			id == mount;
	}
	fclose(file);
	return found;
}

static bool name_of(int fd, struct name *ret)
{
	struct stat stat;
	unsigned device_major, device_minor;

	if (fstat(fd, &stat) < 0)
		return false;
	if (!device_of_mount(fd, &device_major, &device_minor)) {
		device_major = major(stat.st_dev);
		device_minor = minor(stat.st_dev);
	}
	snprintf(ret->text, sizeof ret->text, "%02x:%02x:%llu", device_major, device_minor,
		 (unsigned long long)stat.st_ino);
	return true;
}

/* Is it a lock of that file which keeps us off? Lines are "1: FLOCK  ADVISORY  WRITE 4711
 * fe:00:131076 0 EOF"; with "->" after the number for one that is being waited for. */
static bool is_lock(const char *line, const struct name *name, bool flock_only, pid_t *ret_pid)
{
	char kind[16], mode[16], access[16], file[64];
	long pid;

	if (sscanf(line, "%*[^:]: %15s %15s %15s %ld %63s", kind, mode, access, &pid, file) != 5 ||
	    strcmp(file, name->text) != 0)
		return false;
	/* Read locks of fcntl's kind do not exclude the one that we take. */
	if (strcmp(kind, "FLOCK") != 0 && (flock_only || strcmp(access, "WRITE") != 0))
		return false;
	*ret_pid = pid > 0 ? (pid_t)pid : 0;
	return true;
}

static bool find_in(const char *path, const struct name *name, bool fdinfo, pid_t *ret_pid)
{
	FILE *file = fopen(path, "re");
	char line[512];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof line, file)) {
		const char *lock = line;

		if (fdinfo && strncmp(line, "lock:", 5) == 0)
			lock = line + 5;
		else if (fdinfo)
			continue;
		found = is_lock(lock, name, !fdinfo, ret_pid);
	}
	fclose(file);
	return found;
}

/* ---- the process ---- */

static bool read_process(pid_t pid, const char *what, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* Its name and title. False: there is no such process, or one that has ended. */
static bool describe(pid_t pid, struct locked *ret)
{
	char *end;

	if (pid <= 0 || !read_process(pid, "comm", ret->program, sizeof ret->program))
		return false;
	end = strchr(ret->program, '\n');
	if (end)
		*end = 0;
	ret->pid = pid;
	/* A zombie has no command line; and who holds a lock is none. */
	if (!read_process(pid, "cmdline", ret->title, sizeof ret->title))
		return false;
	/* Only what a process says of itself: "NAME: ...". */
	if (strncmp(ret->title, ret->program, strlen(ret->program)) != 0 ||
	    ret->title[strlen(ret->program)] != ':')
		ret->title[0] = 0;
	for (size_t n = strlen(ret->title); n && ret->title[n - 1] == ' '; n--)
		ret->title[n - 1] = 0;
	return true;
}

/* Does this process have the file open with a lock on it? */
static bool holds(const char *pid, const struct name *name)
{
	char path[64 + sizeof((struct dirent *)0)->d_name];
	struct dirent *entry;
	bool found = false;
	pid_t ignored;
	DIR *list;

	snprintf(path, sizeof path, "/proc/%.20s/fdinfo", pid);
	list = opendir(path);
	if (!list)
		return false;
	while (!found && (entry = readdir(list))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%.20s/fdinfo/%s", pid, entry->d_name);
		found = find_in(path, name, true, &ignored);
	}
	closedir(list);
	return found;
}

/* Asks every process. /proc/locks names who took a lock, and that may be another than who has it
 * now: sendmail forks with it; and locks of open file descriptions have no owner there. */
static void find_process(const struct name *name, struct locked *ret)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && !ret->pid && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]) && holds(entry->d_name, name))
			describe((pid_t)strtol(entry->d_name, NULL, 10), ret);
	if (processes)
		closedir(processes);
}

void locked_by(int fd, struct locked *ret)
{
	struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	struct name name;
	pid_t pid = 0;

	*ret = (struct locked){0};
	if (!name_of(fd, &name))
		return;
	if (find_in("/proc/locks", &name, false, &pid)) {
		ret->held = true;
	} else if (fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK) {
		ret->held = true;
		pid = whole.l_pid;
	}
	if (!ret->held)
		return;
	if (!describe(pid, ret)) {
		*ret = (struct locked){.held = true};
		find_process(&name, ret);
	}
}
