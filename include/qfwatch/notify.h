/* notify.h - the kernel's notifications: the only user of libinotifytools.
 *
 * Notifications are hints ("look at this name", "look at everything"); the file system is the
 * truth. The library is one global instance for the whole program, and not thread-safe: so there is
 * one `notify` at a time, used by one thread. Behaviour of the kernel: inotify(7).
 */
#ifndef QFWATCH_NOTIFY_H
#define QFWATCH_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* What somebody wants to know of a directory. One directory may be watched for several purposes and
 * owners. */
enum notify_purpose {
	NOTIFY_SPOOL, /* a folder with qf files: names that come, change and go; and its own fate */
	NOTIFY_SELF, /* a queue directory whose qf stand in a folder inside: its own fate, and these
			folders' */
	NOTIFY_PARENT, /* the folder above: subdirectories that come and go */
	NOTIFY_POLICY, /* the folder of the policy file */
};

enum notify_kind {
	NOTIFY_NOTHING,
	NOTIFY_CHANGED, /* a name was made, written and closed, or moved here */
	NOTIFY_REMOVED, /* a name was deleted or moved away */
	NOTIFY_LOST, /* the watched directory itself was deleted, moved or unmounted: the watch is
			over */
	NOTIFY_OVERFLOW, /* the kernel dropped notifications: everything must be looked at again */
};

struct notify_event {
	enum notify_kind kind;
	enum notify_purpose purpose;
	uint32_t owner;	  /* as given to notify_add; nothing with NOTIFY_OVERFLOW */
	bool moved;	  /* changed or removed by a rename and by nothing else */
	bool directory;	  /* the name is a directory's */
	const char *name; /* valid until the next call; "" where there is none */
};

/* Starts. Returns 0 or -errno: -EMFILE means fs.inotify.max_user_instances. */
int notify_open(void);

/* Ends all watches and stops. */
void notify_close(void);

/* Becomes readable when there is something; never read it oneself. */
int notify_fd(void);

/* Watches the directory at `path` for `owner`. Watch first, then scan. Returns 0 or -errno: -ENOSPC
 * means fs.inotify.max_user_watches. Adding the same purpose and owner again, for another path,
 * moves it there. */
int notify_add(const char *path, enum notify_purpose purpose, uint32_t owner);

/* Ends what was added. Does nothing if it was not, or is over already. */
void notify_remove(enum notify_purpose purpose, uint32_t owner);

/* The next one: 1 and *ret, 0 when there is none now, or -errno. Call until it returns 0: some of
 * them may stand in the library's buffer, where polling the descriptor does not see them. */
int notify_next(struct notify_event *ret);

/* Has the kernel any that notify_next did not take yet? A look that costs no more than a call; what
 * the library has taken already is not counted. */
bool notify_is_waiting(void);

/* The remedy for an errno from notify_open or notify_add; static, "" where there is none. */
const char *notify_remedy(int error);

#endif
