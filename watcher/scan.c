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

int scan_next(struct scan *scan, const char **ret_name, bool *ret_regular)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(scan->names);
		if (!entry)
			return -errno;
	} while (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	*ret_name = entry->d_name;
	*ret_regular = entry->d_type == DT_REG;
	return 1;
}

int scan_step(struct scan *scan, size_t max, void (*take)(void *context, const char *name),
	      void *context)
{
	while (max--) {
		const char *name;
		bool regular;
		int r = scan_next(scan, &name, &regular);

		if (r <= 0)
			return r;
		take(context, name);
	}
	return 1;
}

void scan_end(struct scan *scan)
{
	if (scan->names)
		closedir(scan->names);
	scan->names = NULL;
}
