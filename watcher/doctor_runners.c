/* doctor_runners.c - who runs the queue of each tier, and how often: from the process list, the
 * command lines that sendmail leaves in its pid files, crontabs, units and boot scripts. And who
 * else moves its messages. */
#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_parts.h"
#include "qfwatch/xalloc.h"

/* Folders in /run that have pid files. */
#define PID_DEPTH 3

/* ---- collecting ---- */

static struct doctor_runner *add_runner(struct doctor *doctor, const struct runner *runner,
					char *source)
{
	struct doctor_runner *added;

	if (doctor->n_runners == DOCTOR_RUNNERS) {
		free(source);
		return NULL;
	}
	if (!doctor->runners)
		doctor->runners = xcalloc(DOCTOR_RUNNERS, sizeof *doctor->runners);
	added = &doctor->runners[doctor->n_runners++];
	*added = (struct doctor_runner){.runner = *runner, .source = source};
	return added;
}

/* "/usr/sbin/sendmail -q30m", from its words or its title. */
static char *show(const struct process *process)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < process->n_words && strlen(text) < 200; i++) {
		char *longer = xasprintf("%s%s%.200s", text, i ? " " : "", process->words[i]);

		free(text);
		text = longer;
	}
	return text;
}

static void look_at_process(struct doctor *doctor, const struct process *process)
{
	struct doctor_runner *added;
	struct runner runner;
	bool guessed = false, titled;
	char *text;

	/* A title is one word, because what was behind it is overwritten. */
	titled = strncmp(process->words[0], "sendmail", 8) == 0 && strchr(process->words[0], ':');
	if (titled) {
		if (!runner_parse_title(process->words[0], &runner)) {
			if (!runner_is_daemon_title(process->words[0]))
				return;
			guessed = true;
		}
	} else {
		runner_parse_words(process->words + 1, process->n_words - 1, &runner);
		if (!runner.runs)
			return;
	}
	text = show(process);
	added = add_runner(doctor, &runner, xasprintf("process %ld: %s", (long)process->pid, text));
	free(text);
	if (!added)
		return;
	added->process = true;
	added->guessed = guessed;
	if (processes_link(&doctor->processes, process->pid, "cwd", added->cwd))
		return;
	/* What its .cf says is no more than a guess: it may have been told another directory. */
	added->cwd[0] = 0;
	if (titled && !*runner.directory)
		added->guessed = doctor->blind = true;
}

/* What sendmail writes into its pid file: its pid, and the command line that started it. That title
 * has overwritten in its process. */
static void read_pid_file(void *context, const char *path)
{
	struct doctor *doctor = context;
	char *text, *command, *end;
	struct runner runner;
	long pid;

	if (strlen(path) < 4 || strcmp(path + strlen(path) - 4, ".pid") != 0)
		return;
	text = doctor_read(path);
	if (!text)
		return;
	pid = strtol(text, &end, 10);
	command = *end == '\n' ? end + 1 : NULL;
	if (pid <= 0 || !command || !runner_parse_command(command, &runner)) {
		free(text);
		return;
	}
	command[strcspn(command, "\n")] = 0;
	for (size_t i = 0; i < doctor->n_runners; i++) {
		struct doctor_runner *known = &doctor->runners[i];
		char *source = xasprintf("process %ld: ", pid);

		if (known->process && strncmp(known->source, source, strlen(source)) == 0) {
			char directory[PATH_MAX];
			int64_t interval = known->runner.interval;

			/* The title tells what it does now; all else the command line. */
			strcpy(directory, known->runner.directory);
			known->runner = runner;
			known->guessed = false;
			if (*directory)
				strcpy(known->runner.directory, directory);
			if (interval)
				known->runner.interval = interval;
			free(known->source);
			known->source = xasprintf("process %ld: %.300s", pid, command);
		}
		free(source);
	}
	free(text);
}

static void read_pid_files(struct doctor *doctor, const char *folder, int depth)
{
	DIR *list = opendir(folder);
	struct dirent *entry;

	doctor_each_file(folder, read_pid_file, doctor);
	while (list && depth > 1 && (entry = readdir(list)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			char *path = xasprintf("%s/%s", folder, entry->d_name);

			read_pid_files(doctor, path, depth - 1);
			free(path);
		}
	if (list)
		closedir(list);
}

/* ---- files that start one ---- */

struct reading {
	struct doctor *doctor;
	const char *path;
	bool unit, oneshot, cron;
	int64_t interval; /* of the unit's timer */
	bool timer;
};

static bool names_tier(const struct doctor *doctor, const char *line)
{
	for (size_t i = 0; i < doctor->policy->n_tiers; i++) {
		const char *directory = doctor->policy->tiers[i].directory;
		const char *found = strstr(line, directory);

		if (found && !isalnum((unsigned char)found[strlen(directory)]))
			return true;
	}
	return false;
}

static void tell_qctrl(struct doctor *doctor, const char *what, const char *where)
{
	struct doctor_finding *finding = NULL;

	for (size_t i = 0; i < doctor->report.n_findings; i++)
		if (doctor->report.findings[i]->kind == DOCTOR_QCTRL_RUNNING)
			finding = doctor->report.findings[i];
	if (!finding) {
		finding = doctor_find(doctor, DOCTOR_QCTRL_RUNNING, -1,
				      "qctrl still moves messages of these tiers, by other rules "
				      "and under another lock than Debian's sendmail takes");
		doctor_remedy(finding, "stop it, and take it out of what starts it (OpenEMM: "
				       "mailer.sh); qfwatch import-qctrl makes a policy of its "
				       "command lines");
	}
	doctor_evidence(finding, "%s: %.300s", where, what);
}

static void take_command(struct reading *reading, const char *command, int64_t interval,
			 bool periodic)
{
	struct doctor_runner *added;
	struct runner runner;
	const char *qctrl = strstr(command, "qctrl");

	if (qctrl && (qctrl == command || qctrl[-1] == '/' || isblank((unsigned char)qctrl[-1])) &&
	    (periodic || reading->unit) && names_tier(reading->doctor, command))
		tell_qctrl(reading->doctor, command, reading->path);
	if (!runner_parse_command(command, &runner) || !runner.runs || runner.selects)
		return;
	if (runner.unknown) {
		doctor_unchecked(reading->doctor,
				 "queue runners: %s starts a sendmail with what only a shell "
				 "resolves: %.200s",
				 reading->path, command);
		return;
	}
	added = add_runner(reading->doctor, &runner,
			   xasprintf("%s: %.300s", reading->path, command));
	if (!added)
		return;
	added->periodic = periodic;
	if (!added->runner.interval)
		added->runner.interval = interval;
}

static void read_crontab_line(void *context, char *line)
{
	const char *command;
	int64_t interval;

	line += strspn(line, " \t");
	if (*line == '#' || !*line)
		return;
	interval = runner_parse_cron(line, &command);
	if (interval)
		take_command(context, command, interval, true);
}

static void read_script_line(void *context, char *line)
{
	line += strspn(line, " \t");
	if (*line != '#' && strstr(line, "QueueDirectory"))
		take_command(context, line, 0, false);
}

static void read_crontab(void *context, const char *path)
{
	struct reading reading = {.doctor = context, .path = path, .cron = true};
	char *text = doctor_read(path);

	if (text)
		doctor_each_line(text, read_crontab_line, &reading);
	free(text);
}

static void read_script(void *context, const char *path)
{
	struct reading reading = {.doctor = context, .path = path};
	char *text = doctor_read(path);

	if (text && strstr(text, "sendmail"))
		doctor_each_line(text, read_script_line, &reading);
	free(text);
}

static void read_timer_line(void *context, char *line)
{
	struct reading *reading = context;

	line += strspn(line, " \t");
	if (strncmp(line, "OnUnitActiveSec=", 16) == 0)
		reading->interval = runner_parse_span(line + 16);
	else if (strncmp(line, "OnUnitInactiveSec=", 18) == 0)
		reading->interval = runner_parse_span(line + 18);
}

static void read_type_line(void *context, char *line)
{
	struct reading *reading = context;

	line += strspn(line, " \t");
	if (strncmp(line, "Type=oneshot", 12) == 0)
		reading->oneshot = true;
}

static void read_unit_line(void *context, char *line)
{
	struct reading *reading = context;

	line += strspn(line, " \t");
	if (strncmp(line, "ExecStart=", 10) == 0) {
		line += 10;
		line += strspn(line, "-@:+!");
		take_command(reading, line, reading->interval, reading->timer && reading->oneshot);
	}
}

static void read_unit(void *context, const char *path)
{
	struct reading reading = {.doctor = context, .path = path, .unit = true};
	size_t length = strlen(path);
	char *text, *copy, *timer;

	if (length < 8 || strcmp(path + length - 8, ".service") != 0)
		return;
	text = doctor_read(path);
	if (!text)
		return;
	if (strstr(text, "sendmail") || strstr(text, "qctrl")) {
		timer = xasprintf("%.*s.timer", (int)(length - 8), path);
		copy = doctor_read(timer);
		free(timer);
		reading.timer = copy != NULL;
		if (copy)
			doctor_each_line(copy, read_timer_line, &reading);
		free(copy);
		copy = xstrdup(text);
		doctor_each_line(copy, read_type_line, &reading);
		free(copy);
		doctor_each_line(text, read_unit_line, &reading);
	}
	free(text);
}

static void read_files(struct doctor *doctor, const char *folder,
		       void (*visit)(void *context, const char *path))
{
	char *path = doctor_path(doctor, folder);

	doctor_each_file(path, visit, doctor);
	free(path);
}

static void read_file(struct doctor *doctor, const char *name,
		      void (*visit)(void *context, const char *path))
{
	char *path = doctor_path(doctor, name);

	visit(doctor, path);
	free(path);
}

/* ---- which tier ---- */

static bool is_same(const char *path, const struct stat *stat_of)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_dev == stat_of->st_dev &&
	       other.st_ino == stat_of->st_ino;
}

bool doctor_is_tier(const struct doctor *doctor, const char *queue, unsigned tier)
{
	const struct policy_tier *wanted = &doctor->policy->tiers[tier];
	char parent[PATH_MAX];

	if (strcmp(queue, wanted->directory) == 0)
		return true;
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];
		const char *slash = strrchr(directory->path, '/');

		if (directory->tier != tier || directory->error)
			continue;
		if (is_same(queue, &directory->stat) ||
		    fnmatch(queue, directory->path, FNM_PATHNAME) == 0)
			return true;
		/* Of a glob, sendmail stands in the folder above and tells that. */
		if (wanted->is_glob && slash && (size_t)(slash - directory->path) < PATH_MAX) {
			struct stat above;

			memcpy(parent, directory->path, (size_t)(slash - directory->path));
			parent[slash - directory->path] = 0;
			if (stat(parent, &above) == 0 && is_same(queue, &above))
				return true;
		}
	}
	return false;
}

/* Where it runs the queue: as it was told, or by its .cf, or where it stands. */
static bool serves(struct doctor *doctor, const struct doctor_runner *runner, unsigned tier)
{
	const struct sendmail_cf *cf;

	if (*runner->runner.directory)
		return doctor_is_tier(doctor, runner->runner.directory, tier);
	if (*runner->cwd)
		return doctor_is_tier(doctor, runner->cwd, tier);
	cf = doctor_cf(doctor, *runner->runner.cf ? runner->runner.cf : NULL, NULL);
	return cf && *cf->queue_directory && doctor_is_tier(doctor, cf->queue_directory, tier);
}

/* Of several the one of which most is known. */
static bool is_better(const struct doctor_runner *one, const struct doctor_runner *other)
{
	if (!other || one->guessed != other->guessed)
		return !other || other->guessed;
	if (!one->runner.interval || !other->runner.interval)
		return one->runner.interval && !other->runner.interval;
	return one->runner.interval < other->runner.interval;
}

static void assign(struct doctor *doctor, unsigned tier)
{
	struct doctor_tier *known = &doctor->tiers[tier];

	for (size_t i = 0; i < doctor->n_runners; i++) {
		const struct doctor_runner *runner = &doctor->runners[i];

		if ((!runner->runner.runs && !runner->guessed) || runner->runner.selects ||
		    !serves(doctor, runner, tier))
			continue;
		if (!runner->process && !runner->periodic)
			known->stopped = runner;
		else if (is_better(runner, known->runner))
			known->runner = runner;
	}
	if (known->runner)
		known->interval = known->runner->runner.interval;
}

/* ---- the step ---- */

static bool is_qctrl(const struct process *process)
{
	return strncmp(process->name, "qctrl", 5) == 0;
}

void doctor_look_at_runners(struct doctor *doctor)
{
	size_t sendmails = 0;
	char *run;

	if (!doctor->policy)
		return;
	for (size_t i = 0; i < doctor->processes.count; i++) {
		const struct process *process = &doctor->processes.list[i];

		if (is_qctrl(process)) {
			for (size_t k = 1; k < process->n_words; k++)
				if (names_tier(doctor, process->words[k])) {
					char *text = show(process);
					char *where = xasprintf("process %ld", (long)process->pid);

					tell_qctrl(doctor, text, where);
					free(where);
					free(text);
					break;
				}
		} else if (strcmp(process->name, "qfwatch") != 0) {
			look_at_process(doctor, process);
			sendmails++;
		}
	}
	run = doctor_path(doctor, "/run");
	read_pid_files(doctor, run, PID_DEPTH);
	free(run);
	read_file(doctor, "/etc/crontab", read_crontab);
	read_files(doctor, "/etc/cron.d", read_crontab);
	read_files(doctor, "/var/spool/cron/crontabs", read_crontab);
	read_files(doctor, "/var/spool/cron", read_crontab);
	read_files(doctor, "/etc/systemd/system", read_unit);
	read_files(doctor, "/usr/lib/systemd/system", read_unit);
	read_files(doctor, "/usr/local/lib/systemd/system", read_unit);
	read_files(doctor, "/run/systemd/system", read_unit);
	read_file(doctor, "/etc/rc.local", read_script);
	read_files(doctor, "/etc/init.d", read_script);
	doctor_find_cf(doctor);
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++)
		assign(doctor, tier);
	doctor_checked(doctor,
		       "queue runners: %zu sendmail processes, crontabs, units, boot scripts",
		       sendmails);
}
