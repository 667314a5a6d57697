/* doctor_system.c - the machine under the tiers: file systems, locks, space, inotify's limits. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doctor_parts.h"
#include "qfwatch/trouble.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* The program is not larger; more processes are not counted. */
#define PROGRAM_MAX    ((size_t)16 * 1024 * 1024)
#define PROCESSES_MOST 65536

#define GIB (UINT64_C(1) << 30)

/* ---- mounts ---- */

struct mount {
	char point[PATH_MAX], type[64], options[1024]; /* both kinds of options */
};

struct search {
	const char *path; /* resolved */
	struct mount *best;
	bool found;
};

/* "\040" is a blank. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (text[0] == '\\' && isdigit((unsigned char)text[1]) &&
		    isdigit((unsigned char)text[2]) && isdigit((unsigned char)text[3])) {
			*to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 3;
		} else {
			*to++ = *text;
		}
	*to = 0;
}

/* "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static void see_mount(void *context, char *line)
{
	struct search *search = context;
	char *words[6] = {0}, *rest = line, *behind = strstr(line, " - "), *type, *super;
	size_t length;

	if (!behind)
		return;
	*behind = 0;
	behind += 3;
	for (int i = 0; i < 6; i++)
		words[i] = strsep(&rest, " ");
	type = strsep(&behind, " ");
	strsep(&behind, " ");
	super = strsep(&behind, " ");
	if (!words[5] || !type)
		return;
	unescape(words[4]);
	length = strlen(words[4]);
	if (length >= PATH_MAX || (search->found && length < strlen(search->best->point)) ||
	    (strcmp(words[4], "/") != 0 && (strncmp(search->path, words[4], length) != 0 ||
					    (search->path[length] && search->path[length] != '/'))))
		return;
	search->found = true;
	strcpy(search->best->point, words[4]);
	snprintf(search->best->type, sizeof search->best->type, "%s", type);
	snprintf(search->best->options, sizeof search->best->options, ",%s,%s,", words[5],
		 super ? super : "");
}

static bool find_mount(const char *mounts, const char *path, struct mount *ret)
{
	char real[PATH_MAX], *copy = xstrdup(mounts);
	struct search search = {.path = real, .best = ret};

	if (realpath(path, real))
		doctor_each_line(copy, see_mount, &search);
	free(copy);
	return search.found;
}

static bool has_option(const struct mount *mount, const char *option)
{
	char *wanted = xasprintf(",%s,", option);
	bool has = strstr(mount->options, wanted);

	free(wanted);
	return has;
}

static bool is_network(const char *type)
{
	static const char *const types[] = {"nfs",    "nfs4",  "cifs",	 "smb3",     "smbfs",
					    "afs",    "ceph",  "9p",	 "gfs2",     "gpfs",
					    "lustre", "ocfs2", "beegfs", "glusterfs"};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* ---- locks ---- */

enum lock_kind { LOCK_UNKNOWN, LOCK_FLOCK, LOCK_FCNTL };

/* sendmail names what it was compiled with (its -d0.10 prints it): HASFLOCK says that it locks with
 * flock(2), else it is fcntl(2). Read from the program, so that nothing has to be run. */
static enum lock_kind lock_kind_of(const char *program)
{
	static const char flock_word[] = "HASFLOCK", own_word[] = "MinQueueAge";
	int fd = open(program, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	enum lock_kind kind = LOCK_UNKNOWN;
	size_t length = 0;
	struct stat stat;
	char *bytes;
	ssize_t n;

	if (fd < 0)
		return LOCK_UNKNOWN;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (size_t)stat.st_size < PROGRAM_MAX) {
		bytes = xcalloc(1, (size_t)stat.st_size + 1);
		while (length < (size_t)stat.st_size &&
		       (n = read(fd, bytes + length, (size_t)stat.st_size - length)) > 0)
			length += (size_t)n;
		if (memmem(bytes, length, own_word, sizeof own_word))
			kind = memmem(bytes, length, flock_word, sizeof flock_word) ? LOCK_FLOCK
										    : LOCK_FCNTL;
		free(bytes);
	}
	close(fd);
	return kind;
}

static enum lock_kind find_lock_kind(struct doctor *doctor)
{
	static const char *const usual[] = {"/usr/libexec/sendmail/sendmail",
					    "/usr/lib/sm.bin/sendmail", "/usr/sbin/sendmail",
					    "/usr/lib/sendmail"};
	enum lock_kind kind = LOCK_UNKNOWN;
	char path[PATH_MAX];

	for (size_t i = 0; i < doctor->processes.count && kind == LOCK_UNKNOWN; i++)
		if (strncmp(doctor->processes.list[i].name, "sendmail", 8) == 0 &&
		    processes_link(&doctor->processes, doctor->processes.list[i].pid, "exe", path))
			kind = lock_kind_of(path);
	for (size_t i = 0; i < sizeof usual / sizeof *usual && kind == LOCK_UNKNOWN; i++) {
		char *program = doctor_path(doctor, usual[i]);

		kind = lock_kind_of(program);
		if (kind != LOCK_UNKNOWN)
			snprintf(path, sizeof path, "%s", program);
		free(program);
	}
	if (kind == LOCK_UNKNOWN)
		doctor_unchecked(doctor, "sendmail's kind of lock: no sendmail program was found");
	else
		doctor_checked(doctor, "sendmail locks with %s (%s); qfwatch takes both kinds",
			       kind == LOCK_FLOCK ? "flock" : "fcntl", path);
	return kind;
}

/* nfs(5): locks that stay on this machine; flock(2): over NFS an exclusive one asks for a file that
 * is open for writing. mount.cifs(8): nobrl. */
static void look_at_locks(struct doctor *doctor, unsigned tier, const struct mount *mount,
			  enum lock_kind kind)
{
	const char *how = kind == LOCK_FCNTL ? "fcntl" : "flock";
	bool nfs = strcmp(mount->type, "nfs") == 0 || strcmp(mount->type, "nfs4") == 0;
	bool local_flock = has_option(mount, "nolock") || has_option(mount, "local_lock=all") ||
			   has_option(mount, "local_lock=flock");
	bool local_fcntl = has_option(mount, "nolock") || has_option(mount, "local_lock=all") ||
			   has_option(mount, "local_lock=posix");
	bool local =
		nfs ? (kind == LOCK_FCNTL ? local_fcntl : local_flock) : has_option(mount, "nobrl");
	struct doctor_finding *finding;

	if (!local && !(nfs && !local_flock))
		return;
	finding = doctor_find(
		doctor, DOCTOR_LOCK_NOT_SEEN, (int)tier,
		local ? "locks in tier %s stay on this machine: a sendmail on another one could "
			"deliver what qfwatch moves"
		      : "in tier %s qfwatch cannot take its lock: nothing is moved from there",
		doctor->policy->tiers[tier].name);
	doctor_evidence(finding, "%s is %s%s", mount->point, mount->type, mount->options);
	if (local && kind != LOCK_UNKNOWN)
		doctor_evidence(finding, "this sendmail locks with %s", how);
	if (!local)
		doctor_evidence(finding,
				"over NFS flock(2) takes an exclusive lock only through a "
				"file that is open for writing, and qfwatch opens none so");
	doctor_remedy(finding, "put the tiers on a local disk of the host that runs sendmail");
}

/* ---- file systems ---- */

static void look_at_mounts(struct doctor *doctor, const char *mounts)
{
	enum lock_kind kind = find_lock_kind(doctor);
	uint64_t told = 0;

	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];
		struct doctor_finding *finding;
		struct mount mount;

		if (directory->error || (told >> directory->tier & 1) ||
		    !find_mount(mounts, directory->path, &mount))
			continue;
		look_at_locks(doctor, directory->tier, &mount, kind);
		if (!is_network(mount.type) && strncmp(mount.type, "fuse", 4) != 0 &&
		    strcmp(mount.type, "overlay") != 0)
			continue;
		told |= UINT64_C(1) << directory->tier;
		finding = doctor_find(doctor, DOCTOR_NO_NOTIFICATIONS, (int)directory->tier,
				      "tier %s stands on %s, which does not tell of all changes: "
				      "it is looked through every minute instead",
				      doctor->policy->tiers[directory->tier].name, mount.type);
		doctor_evidence(finding, "%s is on %s, type %s", directory->path, mount.point,
				mount.type);
		doctor_remedy(finding, "put the tier on a local disk (ext4, XFS, Btrfs, tmpfs)");
	}
}

static const struct doctor_directory *other_device(const struct doctor *doctor, unsigned from,
						   const struct doctor_directory *to)
{
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];

		if (directory->tier == from && !directory->error &&
		    directory->stat.st_dev != to->stat.st_dev)
			return directory;
	}
	return NULL;
}

static void look_at_devices(struct doctor *doctor)
{
	uint64_t told = 0;

	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *to = &doctor->directories[i];

		for (unsigned from = 0; from < doctor->policy->n_tiers && !to->error; from++) {
			const struct doctor_directory *other;
			struct doctor_finding *finding;

			if (!(doctor->tiers[from].feeds >> to->tier & 1) || (told >> to->tier & 1))
				continue;
			other = other_device(doctor, from, to);
			if (!other)
				continue;
			told |= UINT64_C(1) << to->tier;
			finding = doctor_find(doctor, DOCTOR_FILE_SYSTEMS, (int)to->tier,
					      "tiers %s and %s are on different file systems: each "
					      "move is a copy, on disk before the original goes",
					      doctor->policy->tiers[from].name,
					      doctor->policy->tiers[to->tier].name);
			doctor_evidence(finding, "%s is on device %llx, %s on %llx", other->path,
					(unsigned long long)other->stat.st_dev, to->path,
					(unsigned long long)to->stat.st_dev);
			doctor_remedy(finding, "nothing has to be done; on one file system a move "
					       "is only a rename");
		}
	}
}

/* ---- space ---- */

/* What may come to a directory by copy: the bodies of the tiers that feed it from other disks. */
static uint64_t expected_bytes(const struct doctor *doctor, const struct doctor_directory *to)
{
	uint64_t bytes = 0;

	for (unsigned from = 0; from < doctor->policy->n_tiers; from++)
		if ((doctor->tiers[from].feeds >> to->tier & 1) && other_device(doctor, from, to))
			bytes += doctor->tiers[from].bytes;
	return bytes;
}

static void look_at_space(struct doctor *doctor)
{
	char text[UNITS_SIZE_TEXT], need[UNITS_SIZE_TEXT];

	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];
		struct doctor_finding *finding;
		uint64_t bytes, size, wanted;
		bool known = false, few, inodes;
		struct statvfs fs;

		for (size_t k = 0; k < i && !known; k++)
			known = !doctor->directories[k].error &&
				doctor->directories[k].stat.st_dev == directory->stat.st_dev;
		if (directory->error || known || statvfs(directory->path, &fs) < 0)
			continue;
		bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
		size = (uint64_t)fs.f_blocks * fs.f_frsize;
		wanted = expected_bytes(doctor, directory);
		few = (bytes < GIB && bytes < size / 50) || (wanted && bytes < wanted);
		inodes = fs.f_files && fs.f_favail < 1000 && fs.f_favail < fs.f_files / 50;
		if (!few && !inodes)
			continue;
		finding = doctor_find(doctor, DOCTOR_DISK_FULL, (int)directory->tier,
				      "the disk of tier %s is nearly full: sendmail cannot queue "
				      "there, and copies do not fit",
				      doctor->policy->tiers[directory->tier].name);
		doctor_evidence(
			finding, "%s: %s free, %llu inodes free", directory->path,
			units_format_size((int64_t)(bytes - bytes % 1024), text, sizeof text),
			(unsigned long long)fs.f_favail);
		if (wanted)
			doctor_evidence(finding, "%s may come from tiers on other disks",
					units_format_size((int64_t)(wanted - wanted % 1024), need,
							  sizeof need));
		doctor_remedy(finding, "%s", trouble_errno_remedy(ENOSPC));
	}
}

/* ---- inotify ---- */

static bool read_limit(const struct doctor *doctor, const char *name, uint64_t *ret)
{
	char *path = xasprintf("%s/sys/fs/inotify/%s", doctor->proc, name);
	char *text = doctor_read(path), *end;
	bool known = text && isdigit((unsigned char)*text);

	if (known)
		*ret = strtoull(text, &end, 10);
	free(text);
	free(path);
	return known;
}

static void count_instance(void *context, const char *path, const char *target)
{
	(void)path;
	if (strcmp(target, "anon_inode:inotify") == 0)
		++*(uint64_t *)context;
}

/* Of all processes of a user. Returns false when they cannot be seen. */
static bool count_instances(const struct doctor *doctor, uid_t uid, uint64_t *ret)
{
	DIR *list = opendir(doctor->proc);
	bool seen = list != NULL;
	unsigned looked = 0;
	struct dirent *entry;

	*ret = 0;
	while (list && looked++ < PROCESSES_MOST && (entry = readdir(list))) {
		char *path;
		struct stat stat_of;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		path = xasprintf("%s/%s", doctor->proc, entry->d_name);
		if (stat(path, &stat_of) == 0 && stat_of.st_uid == uid)
			seen &= processes_files(&doctor->processes,
						(pid_t)strtol(entry->d_name, NULL, 10),
						count_instance, ret) ||
				access(path, F_OK) < 0;
		free(path);
	}
	if (list)
		closedir(list);
	return seen;
}

static void look_at_watches(struct doctor *doctor)
{
	/* A queue directory, its folder for control files and its parent; and the policy's folder.
	 */
	uint64_t need = 3 * (uint64_t)doctor->n_directories + 1, limit;
	struct doctor_finding *finding;

	if (!read_limit(doctor, "max_user_watches", &limit)) {
		doctor_unchecked(doctor, "inotify's limits: %s/sys/fs/inotify cannot be read",
				 doctor->proc);
		return;
	}
	doctor_checked(doctor, "inotify's limits: %llu watches, of which qfwatch takes up to %llu",
		       (unsigned long long)limit, (unsigned long long)need);
	if (limit >= need)
		return;
	finding = doctor_find(doctor, DOCTOR_WATCHES, -1,
			      "the kernel does not give qfwatch enough watches for %zu queue "
			      "directories",
			      doctor->n_directories);
	doctor_evidence(finding, "fs.inotify.max_user_watches is %llu, up to %llu are needed",
			(unsigned long long)limit, (unsigned long long)need);
	doctor_remedy(finding, "sysctl -w fs.inotify.max_user_watches=65536, and the same in "
			       "/etc/sysctl.d/qfwatch.conf");
}

static void look_at_instances(struct doctor *doctor)
{
	struct doctor_finding *finding;
	uint64_t limit, used;
	char who[RIGHTS_TEXT];

	/* A daemon that runs has its own. */
	if (doctor->n_daemons || doctor->daemon_unknown || !doctor->has_rights ||
	    !read_limit(doctor, "max_user_instances", &limit))
		return;
	if (!count_instances(doctor, doctor->rights.uid, &used)) {
		doctor_unchecked(doctor,
				 "inotify instances in use: that user's processes cannot be "
				 "seen here");
		return;
	}
	if (used < limit)
		return;
	finding = doctor_find(doctor, DOCTOR_INSTANCES, -1,
			      "user %s has no inotify instance left: qfwatch does not start",
			      rights_user(doctor->rights.uid, who, sizeof who));
	doctor_evidence(finding, "fs.inotify.max_user_instances is %llu, his processes have %llu",
			(unsigned long long)limit, (unsigned long long)used);
	doctor_remedy(finding, "sysctl -w fs.inotify.max_user_instances=1024, and the same in "
			       "/etc/sysctl.d/qfwatch.conf");
}

static void look_at_queue(struct doctor *doctor)
{
	uint64_t messages = 0, limit;
	struct doctor_finding *finding;
	char number[64];
	bool low, high;

	if (!read_limit(doctor, "max_queued_events", &limit))
		return;
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++)
		messages += doctor->tiers[tier].messages;
	low = limit < 1024 || (limit < 16384 && messages > limit);
	high = limit > 65536;
	if (!low && !high)
		return;
	finding = doctor_find(
		doctor, DOCTOR_EVENT_QUEUE, -1,
		low ? "the kernel's queue of notifications is short: a burst overflows it, and "
		      "each time all tiers are scanned again"
		    : "the kernel's queue of notifications is so long that a full one takes long "
		      "to read");
	doctor_evidence(finding, "fs.inotify.max_queued_events is %llu, for %s",
			(unsigned long long)limit,
			doctor_count(messages, "message", number, sizeof number));
	doctor_remedy(finding, "sysctl -w fs.inotify.max_queued_events=16384 (up to 65536), before "
			       "qfwatch starts, and the same in /etc/sysctl.d/qfwatch.conf");
}

void doctor_look_at_system(struct doctor *doctor)
{
	char *path, *mounts;

	if (!doctor->policy)
		return;
	path = xasprintf("%s/self/mountinfo", doctor->proc);
	mounts = doctor_read(path);
	if (mounts)
		look_at_mounts(doctor, mounts);
	else
		doctor_unchecked(doctor, "file systems: %s cannot be read", path);
	free(mounts);
	free(path);
	look_at_devices(doctor);
	look_at_space(doctor);
	look_at_watches(doctor);
	look_at_instances(doctor);
	look_at_queue(doctor);
}
