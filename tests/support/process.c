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

/* Calls `take` with the path of a file of each thread. Returns 0 or a negative errno. */
static int each_thread(pid_t pid, const char *name, void (*take)(void *context, const char *path),
		       void *context)
{
	char path[300];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return -errno;
	while ((entry = readdir(tasks)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", (int)pid, entry->d_name,
			 name);
		take(context, path);
	}
	closedir(tasks);
	return 0;
}

struct sum {
	const char *key;
	int64_t value;
	bool any;
};

static void add_number(void *context, const char *path)
{
	struct sum *sum = context;
	int64_t value = read_number(path, sum->key);

	/* A thread may end meanwhile. */
	if (value < 0)
		return;
	sum->value += value;
	sum->any = true;
}

static int64_t sum_of_threads(pid_t pid, const char *name, const char *key)
{
	struct sum sum = {.key = key};
	int r = each_thread(pid, name, add_number, &sum);

	return r < 0 ? r : sum.any ? sum.value : -ENOSYS;
}

struct states {
	const char *wanted;
	bool all;
};

static void compare_state(void *context, const char *path)
{
	struct states *states = context;
	char line[512] = "";
	const char *name_end;
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	if (fgets(line, sizeof(line), file) && (name_end = strrchr(line, ')')) != NULL &&
	    name_end[1] == ' ' && !(name_end[2] && strchr(states->wanted, name_end[2])))
		states->all = false;
	fclose(file);
}

bool process_all_are(pid_t pid, const char *wanted)
{
	struct states states = {wanted, true};

	return each_thread(pid, "stat", compare_state, &states) == 0 && states.all;
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
		if (now != before || used != cpu || !process_all_are(pid, "S"))
			until = stats_now() + quiet;
		before = now;
		cpu = used;
	}
	return before < 0 ? (int)before : 0;
}
