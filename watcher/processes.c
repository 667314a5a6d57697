/* processes.c - see processes.h */
#include "qfwatch/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/xalloc.h"

/* Files of a process are not larger. */
#define FILE_MAX 16384

/* Reads up to `size` - 1 bytes, NUL-terminated. Returns how many, or -1. */
static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	close(fd);
	text[length] = 0;
	return n < 0 ? -1 : (ssize_t)length;
}

static bool is_number(const char *name)
{
	return *name && strspn(name, "0123456789") == strlen(name) && strlen(name) < 10;
}

static bool is_wanted(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strncmp(name, *names, strlen(*names)) == 0)
			return true;
	return false;
}

void processes_split(char *line, size_t length, struct process *process)
{
	process->line = line;
	process->n_words = 0;
	while (length && !line[length - 1])
		length--;
	for (size_t at = 0; at < length && process->n_words < PROCESSES_WORDS;) {
		process->words[process->n_words++] = line + at;
		at += strlen(line + at) + 1;
	}
}

static bool read_process(const char *proc, const char *pid, const char *const *names,
			 struct process *ret)
{
	char path[PATH_MAX], line[PROCESSES_LINE + 1];
	char *copy;
	ssize_t n;

	snprintf(path, sizeof path, "%s/%s/comm", proc, pid);
	n = read_file(path, ret->name, sizeof ret->name);
	if (n <= 0)
		return false;
	ret->name[strcspn(ret->name, "\n")] = 0;
	if (!is_wanted(ret->name, names))
		return false;
	snprintf(path, sizeof path, "%s/%s/cmdline", proc, pid);
	n = read_file(path, line, sizeof line);
	if (n <= 0)
		return false; /* it is ending */
	copy = xcalloc(1, (size_t)n + 1);
	memcpy(copy, line, (size_t)n);
	ret->pid = (pid_t)strtol(pid, NULL, 10);
	processes_split(copy, (size_t)n, ret);
	return true;
}

int processes_read(const char *proc, const char *const *names, struct processes *ret)
{
	DIR *list = opendir(proc);
	struct dirent *entry;
	size_t room = 0;

	*ret = (struct processes){.hidden = true, .proc = xstrdup(proc)};
	if (!list)
		return -errno;
	while ((entry = readdir(list))) {
		struct process process = {0};

		if (!is_number(entry->d_name))
			continue;
		/* Of the first process everybody may know that it is there, unless /proc is mounted
		 * to hide what is not one's own. */
		if (strcmp(entry->d_name, "1") == 0)
			ret->hidden = false;
		if (!read_process(proc, entry->d_name, names, &process))
			continue;
		if (ret->count == room) {
			room = room ? room * 2 : 16;
			ret->list = xreallocarray(ret->list, room, sizeof *ret->list);
		}
		ret->list[ret->count++] = process;
	}
	closedir(list);
	return 0;
}

void processes_free(struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++)
		free(processes->list[i].line);
	free(processes->list);
	free(processes->proc);
	*processes = (struct processes){0};
}

char *processes_file(const struct processes *processes, pid_t pid, const char *name)
{
	char *path = xasprintf("%s/%ld/%s", processes->proc, (long)pid, name);
	char *text = xcalloc(1, FILE_MAX);
	ssize_t n = read_file(path, text, FILE_MAX);

	free(path);
	if (n > 0)
		return text;
	free(text);
	return NULL;
}

static bool read_link(const char *path, char *target)
{
	ssize_t n = readlink(path, target, PATH_MAX - 1);

	if (n <= 0)
		return false;
	target[n] = 0;
	return true;
}

bool processes_link(const struct processes *processes, pid_t pid, const char *name, char *path)
{
	char *link = xasprintf("%s/%ld/%s", processes->proc, (long)pid, name);
	bool known = read_link(link, path);

	free(link);
	return known;
}

bool processes_files(const struct processes *processes, pid_t pid,
		     void (*visit)(void *context, const char *path, const char *target),
		     void *context)
{
	char *folder = xasprintf("%s/%ld/fd", processes->proc, (long)pid);
	DIR *list = opendir(folder);
	bool seen = list != NULL;
	struct dirent *entry;
	char target[PATH_MAX];

	while (list && (entry = readdir(list))) {
		char *path;

		if (!is_number(entry->d_name))
			continue;
		path = xasprintf("%s/%s", folder, entry->d_name);
		if (read_link(path, target))
			visit(context, path, target);
		free(path);
	}
	if (list)
		closedir(list);
	free(folder);
	return seen;
}
