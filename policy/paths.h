/* paths.h - paths as text: made absolute and compared without asking the file system. Inside
 * policy/ only. */
#ifndef QFWATCH_POLICY_PATHS_H
#define QFWATCH_POLICY_PATHS_H

#include <limits.h>
#include <stdbool.h>

/* Room for a name in a queue directory and for what hides it must be left below the longest path
 * that the kernel takes. */
#define PATHS_MAX (PATH_MAX - 64)

/* Makes `path` absolute, from `folder` unless it is absolute already, without doubled slashes, "."
 * and trailing slash.
 * ".." stays: what it means depends on symbolic links. buffer holds PATH_MAX bytes.
 * Returns 0, or -ENAMETOOLONG past PATHS_MAX. */
int paths_absolute(const char *folder, const char *path, char *buffer);

/* The folder that a file stands in, symbolic links resolved if the file can be reached, else by its
 * text alone. buffer holds PATH_MAX bytes. Returns 0 or -errno. */
int paths_folder_of(const char *file, char *buffer);

/* Does the normal path `inner` lie below `outer`, by its components? Not if a ".." may lead out
 * again. */
bool paths_inside(const char *inner, const char *outer);

bool paths_is_glob(const char *path);

#endif
