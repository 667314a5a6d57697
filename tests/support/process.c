/* process.c - see process.h. */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "stats.h"

/* The number that stands behind `key` (first in the file: "") in a file of /proc. */
static int64_t read_number(const char *path, const char *key)
{
	int64_t value = -ENOENT;
	char line[256];
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), "%" SCNd64, &value) == 1)
			break;
	}
	fclose(file);
	return value;
}

static int64_t sum_of_threads(pid_t pid, const char *name, const char *key)
{
	char path[300];
	struct dirent *entry;
	int64_t sum = 0;
	bool any = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return -errno;
	while ((entry = readdir(tasks)) != NULL) {
		int64_t value;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", (int)pid, entry->d_name,
			 name);
		value = read_number(path, key);
		/* A thread may end meanwhile. */
		if (value >= 0) {
			sum += value;
			any = true;
		}
	}
	closedir(tasks);
	return any ? sum : -ENOSYS;
}

int64_t process_wakeups(pid_t pid)
{
	return sum_of_threads(pid, "status", "voluntary_ctxt_switches:");
}

int64_t process_resident(pid_t pid)
{
	int64_t kilobytes;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	kilobytes = read_number(path, "VmRSS:");
	return kilobytes < 0 ? kilobytes : kilobytes * 1024;
}

int64_t process_cpu(pid_t pid)
{
	return sum_of_threads(pid, "schedstat", "");
}

int process_wait_quiet(pid_t pid, int64_t quiet, int64_t deadline)
{
	int64_t until = stats_now() + quiet, before = process_wakeups(pid);
	int64_t cpu = process_cpu(pid);

	while (before >= 0 && stats_now() < until) {
		int64_t now, used;

		if (stats_now() > deadline)
			return -ETIMEDOUT;
		stats_sleep_until(stats_now() +
				  (quiet < 50 * STATS_MS ? quiet / 10 : 5 * STATS_MS));
		now = process_wakeups(pid);
		used = process_cpu(pid);
		if (now != before || used != cpu)
			until = stats_now() + quiet;
		before = now;
		cpu = used;
	}
	return before < 0 ? (int)before : 0;
}
