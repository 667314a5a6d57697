/* paths.c - paths as text. */
#include "paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Appends the components of `path`, each behind a slash. */
static int append_components(char *buffer, size_t *length, const char *path)
{
	for (;;) {
		size_t size;

		path += strspn(path, "/");
		size = strcspn(path, "/");
		if (size == 0)
			return 0;
		if (!(size == 1 && path[0] == '.')) {
			if (size >= PATHS_MAX - *length)
				return -ENAMETOOLONG;
			buffer[(*length)++] = '/';
			memcpy(buffer + *length, path, size);
			*length += size;
		}
		path += size;
	}
}

int paths_absolute(const char *folder, const char *path, char *buffer)
{
	size_t length = 0;
	int r = 0;

	if (path[0] != '/')
		r = append_components(buffer, &length, folder);
	if (r == 0)
		r = append_components(buffer, &length, path);
	if (r < 0)
		return r;
	if (length == 0)
		buffer[length++] = '/';
	buffer[length] = '\0';
	return 0;
}

/* "/a/b" -> "/a", "/a" -> "/" */
static void strip_last(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = '\0';
}

int paths_folder_of(const char *file, char *buffer)
{
	char here[PATH_MAX];
	int r;

	if (!realpath(file, buffer)) {
		if (!getcwd(here, sizeof(here)))
			return -errno;
		r = paths_absolute(here, file, buffer);
		if (r < 0)
			return r;
	}
	strip_last(buffer);
	return 0;
}

static bool leads_up(const char *path)
{
	for (const char *at = path; (at = strstr(at, "/..")); at += 3) {
		if (at[3] == '/' || at[3] == '\0')
			return true;
	}
	return false;
}

bool paths_inside(const char *inner, const char *outer)
{
	size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

	return strncmp(inner, outer, length) == 0 && inner[length] == '/' && inner[length + 1] &&
	       !leads_up(inner + length);
}

bool paths_is_glob(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}
