/* claim.h - one daemon a spool: a lock file for each tier directory, named by its device and inode.
 *
 * The files stand outside the tiers: in $RUNTIME_DIRECTORY (systemd), else /run/qfwatch as root,
 * else $XDG_RUNTIME_DIR/qfwatch, else /tmp/qfwatch-UID. They hold the pid of their daemon and go
 * when it stops.
 */
#ifndef QFWATCH_CLAIM_H
#define QFWATCH_CLAIM_H

#include <stdint.h>
#include <sys/types.h>

/* What is being done to a message, in the lock file of the directory that it goes to: written by a
 * store to memory that the file is mapped to, so that it costs no system call and outlives a kill.
 * A crash of the machine loses it; then at most a df without a qf stays behind. */
struct claim_intent {
	int64_t time;	 /* when it began, microseconds since the epoch */
	uint64_t from;	 /* inode of the queue directory that the message comes from */
	uint32_t length; /* of the queue id; 0: nothing is being done */
	char id[256];
};

struct claim {
	int fd; /* -1: none */
	char *path;
	struct claim_intent *intent; /* mapped; NULL where that did not work */
	struct claim_intent left;    /* what the daemon before us left when it was killed */
};

#define CLAIM_NONE ((struct claim){.fd = -1})

/* Notes what begins, and that it is over. Do nothing without a mapped intent. */
void claim_begin(const struct claim *claim, ino_t from, const char *id, size_t length);
void claim_end(const struct claim *claim);

/* Claims the directory of that device and inode. Returns 0, -EBUSY with the owner's pid in
 * *ret_owner (0: unknown), or -errno with the lock file's path in *ret_path (the caller frees it;
 * NULL for lack of any folder). */
int claim_take(dev_t device, ino_t inode, struct claim *claim, pid_t *ret_owner, char **ret_path);

/* Gives it back and removes the file. Does nothing on CLAIM_NONE. */
void claim_release(struct claim *claim);

#endif
