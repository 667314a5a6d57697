/* control.h - opens a qf in a spool that nobody vouches for, checks what it is, and reads it.
 *
 * Never follows a link, never waits on a FIFO, never opens a device, never reads more than
 * QFILE_MAX_BYTES.
 */
#ifndef QFWATCH_CONTROL_H
#define QFWATCH_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qfwatch/qfile.h"
#include "qfwatch/trouble.h"

/* What is read in one piece; nearly every qf is smaller. */
#define CONTROL_BUFFER (64 * 1024)

struct control {
	int fd;		   /* open O_RDONLY; -1 when the file could not be opened or is not one */
	int error;	   /* errno with TROUBLE_ERROR and TROUBLE_UNREADABLE */
	struct stat stat;  /* of the open file, before it was read */
	struct qfile file; /* valid with TROUBLE_NONE */
	size_t head;	   /* how many bytes of the file's start stand in the buffer */
};

/* Reads the qf `name` in `directory`. buffer holds CONTROL_BUFFER bytes and is the caller's.
 * Returns TROUBLE_NONE, or why not; the descriptor is open whenever a regular file was opened. End
 * with control_close in every case.
 *
 * *noatime is O_NOATIME at first, so that reading a qf writes nothing (a time of access would have
 * the file system write the inode after each rewrite by sendmail), and 0 from the first time that
 * it is refused, which it is to whoever neither owns the file nor is root. */
enum trouble control_read(int directory, const char *name, char *buffer, int *noatime,
			  struct control *ret);

/* The ordinary case in as few system calls as can be, for a name that a directory has just said to
 * be a regular file's, or that was one when it was looked at last: opened without the look before,
 * and read at once into buffer[size]. True for one that is regular, has one link, is sound and
 * smaller than `size`; then ret->head is all of it. False for everything else, with nothing open:
 * control_read tells what it is. A name that became something else meanwhile is not followed and
 * not waited for. `noatime` is as in control_read. */
bool control_read_plain(int directory, const char *name, char *buffer, size_t size, int *noatime,
			struct control *ret);

/* The whole text of the qf that control_read found sound: *ret_bytes, *ret_length. That is `buffer`
 * (the one given to control_read, untouched since) where the file is whole in it, and *ret_owned is
 * NULL. Otherwise all of it is read again into memory that the caller frees with *ret_owned.
 * Returns 0, -ESTALE when its size is not what control->stat says (it is being written; look at it
 * again later), -EFBIG for more than QFILE_MAX_BYTES, -ENOMEM, or what pread(2) fails with. */
int control_text(const struct control *control, const char *buffer, char **ret_owned,
		 const char **ret_bytes, size_t *ret_length);

void control_close(struct control *control);

/* fstat(2) itself: the C library's asks by an empty name, which costs the kernel more. */
int control_stat(int fd, struct stat *ret);

/* A number that changes when the file is another or was rewritten: of inode, size and time of
 * modification. Of CONTROL_PRINT_BITS bits, never 0. */
#define CONTROL_PRINT_BITS 48
uint64_t control_print(const struct stat *stat);

/* When it was modified, in microseconds since the epoch. */
int64_t control_modified(const struct stat *stat);

#endif
