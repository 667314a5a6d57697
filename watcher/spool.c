/* spool.c - see spool.h. This file: names, one directory, and which of a tier's a message goes to.
 */
#include "spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "qfwatch/hash.h"

/* ---- names ---- */

bool spool_control_id(const char *name, const char **ret_id, size_t *ret_length, bool *ret_held)
{
	if ((name[0] != 'q' && name[0] != 'h') || name[1] != 'f' || !name[2])
		return false;
	*ret_held = name[0] == 'h';
	*ret_id = name + 2;
	*ret_length = strlen(name + 2);
	return true;
}

bool spool_queue_id(const char *name, const char **ret_id, size_t *ret_length)
{
	bool held;

	return spool_control_id(name, ret_id, ret_length, &held) && !held;
}

bool spool_name(char *name, const char *prefix, const char *id, size_t length)
{
	size_t n = strlen(prefix);

	if (n + length >= SPOOL_NAME_MAX)
		return false;
	memcpy(name, prefix, n);
	memcpy(name + n, id, length);
	name[n + length] = 0;
	return true;
}

/* ---- one directory ---- */

static void close_folder(int *fd, int directory)
{
	if (*fd >= 0 && *fd != directory)
		close(*fd);
	*fd = -1;
}

void spool_close(struct qdir *dir)
{
	close_folder(&dir->qf, dir->fd);
	close_folder(&dir->df, dir->fd);
	close_folder(&dir->xf, dir->fd);
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = -1;
	transcripts_lose(&dir->transcripts);
	claim_release(&dir->claim);
}

static int open_folder(int directory, const char *name, int *ret, dev_t *ret_device)
{
	struct stat stat;
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		fd = directory;
	if (fd < 0 || fstat(fd, &stat) < 0)
		return -errno;
	*ret = fd;
	if (ret_device)
		*ret_device = stat.st_dev;
	return 0;
}

static bool unreliable(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return true;
	switch ((unsigned long)fs.f_type) {
	case NFS_SUPER_MAGIC:
	case SMB_SUPER_MAGIC:
	case 0xff534d42: /* CIFS */
	case 0xfe534d42: /* SMB2 */
	case AFS_SUPER_MAGIC:
	case CEPH_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
	case V9FS_MAGIC:
	case 0x47504653: /* GPFS */
	case 0x0bd00bd0: /* Lustre */
	case 0x01161970: /* GFS2 */
	case 0x7461636f: /* OCFS2 */
		return true;
	default:
		return false;
	}
}

/* Is it where something is mounted? Older kernels (before 5.8) do not tell: then it is taken for
 * none. */
static bool is_mount_root(int fd)
{
	struct statx statx_of;

	return statx(fd, "", AT_EMPTY_PATH, 0, &statx_of) == 0 &&
	       (statx_of.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (statx_of.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int may_use(int fd, enum spool_access access)
{
	return faccessat(fd, ".", access == SPOOL_READ ? R_OK | X_OK : R_OK | W_OK | X_OK,
			 AT_EACCESS) < 0
		       ? -errno
		       : 0;
}

int spool_open(struct qdir *dir, enum spool_access access, pid_t *ret_owner, char **ret_lock)
{
	struct stat stat;
	int r;

	dir->qf = dir->df = dir->xf = -1;
	dir->claim = CLAIM_NONE;
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir->fd < 0)
		return -errno;
	if (fstat(dir->fd, &stat) < 0)
		r = -errno;
	else
		r = open_folder(dir->fd, "qf", &dir->qf, &dir->qf_device);
	if (r == 0)
		r = open_folder(dir->fd, "df", &dir->df, &dir->df_device);
	if (r == 0)
		r = open_folder(dir->fd, "xf", &dir->xf, NULL);
	if (r == 0)
		r = may_use(dir->qf, access);
	if (r == 0)
		r = may_use(dir->df, access);
	if (r == 0) {
		dir->device = stat.st_dev;
		dir->inode = stat.st_ino;
		dir->mounted = is_mount_root(dir->fd);
		dir->unreliable = unreliable(dir->qf);
		if (access == SPOOL_CLAIM)
			r = claim_take(stat.st_dev, stat.st_ino, &dir->claim, ret_owner, ret_lock);
	}
	if (r < 0) {
		spool_close(dir);
		return r;
	}
	dir->state = QDIR_NEW;
	return 0;
}

/* Does a folder inside still stand where it was opened? */
static int verify_folder(int directory, const char *name, int folder)
{
	struct stat named, opened;

	if (folder == directory)
		return 0;
	if (fstatat(directory, name, &named, 0) < 0 || fstat(folder, &opened) < 0)
		return -errno;
	return named.st_dev == opened.st_dev && named.st_ino == opened.st_ino ? 0 : -ESTALE;
}

int spool_verify(const struct qdir *dir)
{
	struct stat stat;
	int r;

	if (dir->fd < 0)
		return -ENOENT;
	if (fstatat(AT_FDCWD, dir->path, &stat, 0) < 0)
		return -errno;
	if (stat.st_dev != dir->device || stat.st_ino != dir->inode)
		return -ESTALE;
	r = verify_folder(dir->fd, "qf", dir->qf);
	/* A df linked into a folder that was put aside would be lost to every runner. */
	return r < 0 ? r : verify_folder(dir->fd, "df", dir->df);
}

void spool_lose(struct qdir *dir)
{
	spool_close(dir);
	dir->state = QDIR_LOST;
}

int spool_reopen(struct qdir *dir, enum spool_access access)
{
	bool was_mounted = dir->mounted;
	pid_t owner;
	char *lock = NULL;
	int r = spool_open(dir, access, &owner, &lock);

	free(lock);
	if (r == 0 && was_mounted && !dir->mounted &&
	    !(dir->device == dir->home_device && dir->inode == dir->home_inode)) {
		spool_lose(dir);
		dir->mounted = true;
		r = -ENODEV;
	}
	return r;
}

void spool_drop(struct qdir *dir)
{
	spool_close(dir);
	free(dir->path);
	*dir = (struct qdir){
		.state = QDIR_UNUSED, .fd = -1, .qf = -1, .df = -1, .xf = -1, .claim = CLAIM_NONE};
}

void spool_free(struct spool *spool)
{
	for (size_t i = 0; i < spool->n_dirs; i++)
		spool_drop(&spool->dirs[i]);
	free(spool->dirs);
	*spool = (struct spool){0};
}

/* ---- the tier's directory for a message ---- */

/* The directory with the highest weight gets it: when one is lost or added, only its own share goes
 * elsewhere. */
static uint64_t weigh(const struct qdir *dir, uint64_t hash)
{
	uint64_t weight = (hash ^ (uint64_t)dir->inode) * 0x9e3779b97f4a7c15u;

	weight = (weight ^ (weight >> 29)) * 0xbf58476d1ce4e5b9u;
	return weight ^ (weight >> 32);
}

struct qdir *spool_place(const struct spool *spool, unsigned tier, enum policy_place place,
			 const char *id, size_t length)
{
	struct qdir *best = NULL;
	uint64_t hash = hash_bytes(id, length);

	for (size_t i = 0; i < spool->n_dirs; i++) {
		struct qdir *dir = &spool->dirs[i];

		if (dir->tier != tier || (dir->state != QDIR_ACTIVE && dir->state != QDIR_NEW))
			continue;
		if (best && place == POLICY_PLACE_EMPTIEST && dir->messages != best->messages) {
			if (dir->messages < best->messages)
				best = dir;
			continue;
		}
		if (!best || weigh(dir, hash) > weigh(best, hash))
			best = dir;
	}
	return best;
}
