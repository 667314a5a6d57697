/* lock.h - sendmail's lock on a message, from both of its worlds.
 *
 * Debian's sendmail locks the qf with flock(LOCK_EX | LOCK_NB); upstream builds on Linux use fcntl
 * write locks (HASFLOCK in sendmail's conf.h). lock_take takes both: flock, and an
 * open-file-description read lock, which an O_RDONLY descriptor may have and which excludes a write
 * lock both ways (fcntl(2), "Open file description locks").
 */
#ifndef QFWATCH_LOCK_H
#define QFWATCH_LOCK_H

#include <sys/stat.h>

/* Takes both locks without waiting; closing the descriptor releases them. Returns 0, -EWOULDBLOCK
 * when somebody else holds one (then we hold neither), or what the system said. */
int lock_take(int fd);

/* Gives both back, for a descriptor that stays open. */
void lock_release(int fd);

/* After locking, and while the file is open: is it still the one of that name, and as it was when
 * it was read? `before` is its fstat(2) from then. sendmail compares the same (device, inode,
 * links, size). Returns 0, -ENOENT (the name is gone), -ESTALE (it is another file, or was
 * changed). */
int lock_verify(int directory, const char *name, const struct stat *before);

#endif
