/* claim.h - one daemon a spool: a lock file for each tier directory, named by its device and inode.
 *
 * The files stand outside the tiers: in $RUNTIME_DIRECTORY (systemd), else /run/qfwatch as root,
 * else $XDG_RUNTIME_DIR/qfwatch, else /tmp/qfwatch-UID. They hold the pid of their daemon and go
 * when it stops.
 */
#ifndef QFWATCH_CLAIM_H
#define QFWATCH_CLAIM_H

#include <sys/types.h>

struct claim {
	int fd; /* -1: none */
	char *path;
};

#define CLAIM_NONE ((struct claim){.fd = -1})

/* Claims the directory of that device and inode. Returns 0, -EBUSY with the owner's pid in
 * *ret_owner (0: unknown), or -errno with the lock file's path in *ret_path (the caller frees it;
 * NULL for lack of any folder). */
int claim_take(dev_t device, ino_t inode, struct claim *claim, pid_t *ret_owner, char **ret_path);

/* Gives it back and removes the file. Does nothing on CLAIM_NONE. */
void claim_release(struct claim *claim);

#endif
