/* locked.h - who holds a lock on an open file, told without taking one.
 *
 * To try a lock is to hold it for a moment, and a queue runner that comes by in that moment skips
 * the message. So flock(2) locks are looked up in /proc/locks, and write locks of fcntl(2) are
 * asked for by F_OFD_GETLK, which takes nothing.
 */
#ifndef QFWATCH_LOCKED_H
#define QFWATCH_LOCKED_H

#include <stdbool.h>
#include <sys/types.h>

#define LOCKED_TEXT 128

struct locked {
	bool held; /* somebody holds a lock that keeps lock_take (lock.h) from its own */
	pid_t pid; /* 0: by a process that cannot be seen from here */
	/* Of that process: its name, and what it says it does where it says so, as sendmail:
	 * "sendmail: 4AB... mx.example.net.: client DATA status". Raw bytes; "": not known. */
	char program[LOCKED_TEXT], title[LOCKED_TEXT];
};

/* Looks who holds the lock of the file. Where /proc is not mounted, or hides it (another name
 * space), a flock lock is not seen. */
void locked_by(int fd, struct locked *ret);

#endif
