/* scan.h - walks the names of a directory in bounded steps, so that notifications never wait for a
 * large one. */
#ifndef QFWATCH_SCAN_H
#define QFWATCH_SCAN_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

struct scan {
	DIR *names; /* NULL: none under way */
};

/* Begins with the directory that is open as `directory`, by a descriptor of its own. Returns 0 or
 * -errno. */
int scan_begin(struct scan *scan, int directory);

/* The next name that is not "." or "..", valid until the next call. `regular`: the directory says
 * that it is a regular file. Returns 1, 0 at the end, -errno. */
int scan_next(struct scan *scan, const char **ret_name, bool *ret_regular);

/* Hands up to `max` names to `take` (not "." and ".."). Returns 1 when there may be more, 0 at the
 * end, -errno. */
int scan_step(struct scan *scan, size_t max, void (*take)(void *context, const char *name),
	      void *context);

/* Ends it, also half-way. Does nothing when none is under way. */
void scan_end(struct scan *scan);

#endif
