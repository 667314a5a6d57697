/* doctor_daemon.c - the daemon that serves the tiers: is it there, once, and with this policy? */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_parts.h"
#include "qfwatch/inspect.h"
#include "qfwatch/xalloc.h"

/* Of an event file so much is looked at from its end. */
#define TAIL ((off_t)256 * 1024)

/* One of ours that runs as a daemon, and what it has open. */
struct served {
	struct doctor *doctor;
	bool *directories; /* of doctor->directories: it has them open */
	size_t count;
};

/* ---- processes ---- */

/* "qfwatch run", but not one that only looks, or ends by itself. */
static bool is_daemon(const struct process *process)
{
	if (strcmp(process->name, "qfwatch") != 0 || process->n_words < 2 ||
	    strcmp(process->words[1], "run") != 0)
		return false;
	for (size_t i = 2; i < process->n_words; i++)
		if (strcmp(process->words[i], "--once") == 0 ||
		    strcmp(process->words[i], "--dry-run") == 0)
			return false;
	return true;
}

static void see_file(void *context, const char *path, const char *target)
{
	struct served *served = context;
	struct doctor *doctor = served->doctor;
	struct stat stat_of;

	if (target[0] != '/' || stat(path, &stat_of) < 0 || !S_ISDIR(stat_of.st_mode))
		return;
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];

		if (!directory->error && directory->stat.st_dev == stat_of.st_dev &&
		    directory->stat.st_ino == stat_of.st_ino && !served->directories[i]) {
			served->directories[i] = true;
			served->count++;
		}
	}
}

static void add_daemon(struct doctor *doctor, pid_t pid)
{
	for (size_t i = 0; i < doctor->n_daemons; i++)
		if (doctor->daemons[i] == pid)
			return;
	if (doctor->n_daemons < DOCTOR_DAEMONS)
		doctor->daemons[doctor->n_daemons++] = pid;
}

static bool look_at_claim(struct doctor *doctor, const struct qdir *dir)
{
	struct locked locked;

	inspect_daemon(dir, &locked);
	if (locked.held && locked.pid)
		add_daemon(doctor, locked.pid);
	else if (locked.held)
		doctor->daemon_unknown = true;
	return locked.held;
}

/* Who holds the lock files of the tiers. All tiers of a daemon have the same one, and one look is a
 * walk through /proc. Where a tier may not be opened, its number is enough. */
static void look_at_claims(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->spool.n_dirs; i++)
		if (doctor->spool.dirs[i].fd >= 0 && look_at_claim(doctor, &doctor->spool.dirs[i]))
			return;
	for (size_t i = 0; i < doctor->n_directories && !doctor->spool.n_dirs; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];
		struct qdir dir = {.device = directory->stat.st_dev,
				   .inode = directory->stat.st_ino,
				   .fd = -1,
				   .qf = -1};

		if (!directory->error && look_at_claim(doctor, &dir))
			return;
	}
}

/* ---- what is told ---- */

static const char *policy_of(const struct process *process)
{
	for (size_t i = 2; i < process->n_words; i++) {
		const char *word = process->words[i];

		if ((strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0) &&
		    i + 1 < process->n_words)
			return process->words[i + 1];
		if (strncmp(word, "--config=", 9) == 0)
			return word + 9;
		if (strncmp(word, "-c", 2) == 0)
			return word + 2;
	}
	return "/etc/qfwatch/policy.json";
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The path as it is written by somebody who stands in `folder`, from the root. */
static char *from_root(const char *folder, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", folder, path);
}

/* Is what we were given that absolute path? For one that is not there. */
static bool is_path(const char *given, const char *path)
{
	char folder[PATH_MAX], *absolute;
	bool is;

	if (given[0] != '/' && !getcwd(folder, sizeof folder))
		return false;
	absolute = from_root(folder, given);
	is = strcmp(absolute, path) == 0;
	free(absolute);
	return is;
}

/* The policy that the process names, seen from where it stands. */
static bool same_policy(const struct doctor *doctor, const struct process *process)
{
	const char *named = policy_of(process);
	char folder[PATH_MAX], *path = NULL;
	struct stat own, other;
	bool same = true;

	if (named[0] == '/' || processes_link(&doctor->processes, process->pid, "cwd", folder))
		path = from_root(folder, named);
	if (path && stat(doctor->request.policy, &own) == 0)
		same = stat(path, &other) == 0
			       ? own.st_dev == other.st_dev && own.st_ino == other.st_ino
			       : access(path, F_OK) == 0;
	else if (path)
		same = is_path(doctor->request.policy, path);
	else /* where it stands is not seen: the name of the file at least */
		same = strcmp(base_of(doctor->request.policy), base_of(named)) == 0;
	free(path);
	return same;
}

/* The end of an event file, NUL-terminated; the caller frees it. */
static char *read_tail(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char *text = NULL;
	struct stat stat;
	ssize_t n;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
		text = xcalloc(1, (size_t)TAIL + 1);
		n = pread(fd, text, (size_t)TAIL, stat.st_size > TAIL ? stat.st_size - TAIL : 0);
		text[n > 0 ? n : 0] = 0;
		for (ssize_t i = 0; i < n; i++)
			if (!text[i])
				text[i] = ' ';
	}
	close(fd);
	return text;
}

static const char *last_of(const char *text, const char *what)
{
	const char *found = NULL;

	while ((text = strstr(text, what)))
		found = text++;
	return found;
}

/* Has a running daemon said lately that it does not take the policy? */
static void look_at_events(struct doctor *doctor, pid_t pid)
{
	for (size_t i = 0; doctor->policy && i < doctor->policy->n_sinks; i++) {
		const struct policy_sink *sink = &doctor->policy->sinks[i];
		char *text = sink->type == POLICY_SINK_FILE ? read_tail(sink->path) : NULL;
		char *process = xasprintf("\"pid\":%ld}", (long)pid);
		const char *rejected, *loaded, *line;

		rejected = text ? last_of(text, "\"action\":\"policy-rejected\"") : NULL;
		loaded = text ? last_of(text, "\"action\":\"policy-loaded\"") : NULL;
		if (rejected && (!loaded || loaded < rejected)) {
			for (line = rejected; line > text && line[-1] != '\n'; line--)
				;
			rejected = strstr(line, process);
			if (rejected && rejected < line + strcspn(line, "\n")) {
				struct doctor_finding *finding = doctor_find(
					doctor, DOCTOR_OLD_POLICY, -1,
					"the running daemon (pid %ld) has refused the policy as "
					"it was saved last, and goes by the one before",
					(long)pid);

				doctor_evidence(finding, "%s: %.*s", sink->path,
						(int)(strcspn(line, "\n") > 400
							      ? 400
							      : strcspn(line, "\n")),
						line);
				doctor_remedy(finding,
					      "mend what it says, and save the policy again or "
					      "send SIGHUP (systemctl reload qfwatch)");
			}
		}
		free(process);
		free(text);
	}
}

static void tell_not_served(struct doctor *doctor, const struct served *served,
			    const struct process *process)
{
	struct doctor_finding *finding = doctor_find(
		doctor, DOCTOR_OLD_POLICY, -1,
		"the running daemon (pid %ld) does not serve all tiers of %s: it goes by "
		"another policy, or has lost them",
		(long)process->pid, doctor->request.policy);

	for (size_t i = 0; i < doctor->n_directories; i++)
		if (!doctor->directories[i].error && !served->directories[i])
			doctor_evidence(finding, "it does not have %s open, of tier %s",
					doctor->directories[i].path,
					doctor->policy->tiers[doctor->directories[i].tier].name);
	if (!same_policy(doctor, process))
		doctor_evidence(finding, "it was started with -c %s", policy_of(process));
	doctor_remedy(finding, "see whether it refuses the policy (qfwatch check; its event "
			       "policy-rejected), or start it with this one");
}

/* The policy is wrong: whoever runs with it has an older one in memory. */
static void look_without_policy(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->processes.count; i++) {
		const struct process *process = &doctor->processes.list[i];
		struct doctor_finding *finding;

		if (!is_daemon(process) || !same_policy(doctor, process))
			continue;
		add_daemon(doctor, process->pid);
		finding = doctor_find(doctor, DOCTOR_OLD_POLICY, -1,
				      "the running daemon (pid %ld) goes by the policy as it was "
				      "before: what is in the file now it cannot take",
				      (long)process->pid);
		doctor_evidence(finding, "qfwatch run -c %s runs, and the policy is wrong",
				policy_of(process));
		doctor_remedy(finding,
			      "mend the policy; the daemon takes it as soon as it is saved");
	}
}

static void tell_none(struct doctor *doctor)
{
	struct doctor_finding *finding;

	if (doctor->daemon_unknown) {
		doctor_checked(doctor, "a daemon serves the tiers (it holds their lock files)");
		return;
	}
	if (doctor->daemon_hidden) {
		doctor_unchecked(doctor,
				 "the daemon: a qfwatch runs, but which tiers it serves only "
				 "root sees");
		return;
	}
	if (doctor->processes.hidden && !doctor->processes.count) {
		doctor_unchecked(doctor, "the daemon: other users' processes cannot be seen here");
		return;
	}
	finding = doctor_find(doctor, DOCTOR_NO_DAEMON, -1,
			      "no qfwatch serves these tiers: nothing is moved");
	doctor_evidence(finding,
			"no process \"qfwatch run\" has a directory of the tiers open, and "
			"nobody holds their lock files");
	doctor_remedy(finding, "systemctl enable --now qfwatch, or qfwatch run -c %s",
		      doctor->request.policy);
}

static void tell_several(struct doctor *doctor)
{
	struct doctor_finding *finding =
		doctor_find(doctor, DOCTOR_TWO_DAEMONS, -1,
			    "%zu daemons serve the same tiers: they get in "
			    "each other's way",
			    doctor->n_daemons);

	for (size_t i = 0; i < doctor->n_daemons; i++)
		for (size_t k = 0; k < doctor->processes.count; k++)
			if (doctor->processes.list[k].pid == doctor->daemons[i])
				doctor_evidence(finding, "pid %ld: qfwatch run -c %s",
						(long)doctor->daemons[i],
						policy_of(&doctor->processes.list[k]));
	doctor_remedy(finding, "stop all but one, and start that with the RUNTIME_DIRECTORY that "
			       "the unit gives it, so that their lock files meet");
}

static void look_at_processes(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->processes.count; i++) {
		const struct process *process = &doctor->processes.list[i];
		struct served served = {.doctor = doctor};
		size_t there = 0;

		if (!is_daemon(process))
			continue;
		served.directories = xcalloc(doctor->n_directories + 1, sizeof *served.directories);
		if (!processes_files(&doctor->processes, process->pid, see_file, &served)) {
			free(served.directories);
			if (same_policy(doctor, process))
				add_daemon(doctor, process->pid);
			else
				doctor->daemon_hidden = true;
			continue;
		}
		for (size_t k = 0; k < doctor->n_directories; k++)
			there += !doctor->directories[k].error;
		if (served.count) {
			add_daemon(doctor, process->pid);
			if (served.count < there)
				tell_not_served(doctor, &served, process);
		}
		free(served.directories);
	}
}

void doctor_look_at_daemon(struct doctor *doctor)
{
	static const char *const names[] = {"sendmail", "sm-mta", "qctrl", "qfwatch", NULL};

	if (processes_read(doctor->proc, names, &doctor->processes) < 0)
		doctor_unchecked(doctor, "processes: %s cannot be read", doctor->proc);
	if (!doctor->policy) {
		look_without_policy(doctor);
		return;
	}
	look_at_processes(doctor);
	look_at_claims(doctor);
	if (!doctor->n_daemons)
		tell_none(doctor);
	else if (doctor->n_daemons > 1)
		tell_several(doctor);
	else
		doctor_checked(doctor, "one daemon serves the tiers: pid %ld",
			       (long)doctor->daemons[0]);
	if (doctor->n_daemons == 1 && doctor_ask_daemon(doctor))
		return;
	for (size_t i = 0; i < doctor->n_daemons; i++)
		look_at_events(doctor, doctor->daemons[i]);
}
