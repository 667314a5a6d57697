/* scan.c - see scan.h */
#include "qfwatch/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int scan_begin(struct scan *scan, int directory)
{
	/* Not dup(2): that would share the place in the directory with the descriptor that is kept.
	 */
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	scan->names = fdopendir(fd);
	if (!scan->names) {
		int error = errno;

		close(fd);
		return -error;
	}
	return 0;
}

int scan_step(struct scan *scan, size_t max, void (*take)(void *context, const char *name),
	      void *context)
{
	while (max--) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(scan->names);
		if (!entry)
			return -errno;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			take(context, entry->d_name);
	}
	return 1;
}

void scan_end(struct scan *scan)
{
	if (scan->names)
		closedir(scan->names);
	scan->names = NULL;
}
