/* doctor.c - see doctor.h: the frame. What is looked at, the kinds of findings, and how they are
 * kept. */
#include "qfwatch/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_parts.h"
#include "qfwatch/clock.h"
#include "qfwatch/columns.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define FILE_MAX   ((size_t)1024 * 1024)
#define FILES_MOST 4096

static const struct {
	const char *name;
	enum doctor_severity severity;
	const char *meaning;
} kinds[DOCTOR_KINDS] = {
	[DOCTOR_POLICY_INVALID] = {"policy-invalid", DOCTOR_ERROR,
				   "the policy cannot be read, or is wrong"},
	[DOCTOR_POLICY_NOTE] = {"policy-note", DOCTOR_NOTE,
				"what qfwatch check notes: rules that never act, circles"},
	[DOCTOR_TIER_MISSING] = {"tier-missing", DOCTOR_ERROR,
				 "a directory that the policy names is not there"},
	[DOCTOR_TIERS_OVERLAP] = {"tiers-overlap", DOCTOR_ERROR,
				  "two tiers are one directory, or one lies in the other"},
	[DOCTOR_NO_DAEMON] = {"no-daemon", DOCTOR_ERROR, "no qfwatch run serves the tiers"},
	[DOCTOR_TWO_DAEMONS] = {"two-daemons", DOCTOR_ERROR, "more than one serves a tier"},
	[DOCTOR_OLD_POLICY] = {"old-policy", DOCTOR_WARNING,
			       "the running daemon goes by another policy than the file"},
	[DOCTOR_DAEMON_TROUBLE] = {"daemon-trouble", DOCTOR_WARNING,
				   "the running daemon says that something is wrong"},
	[DOCTOR_SINK_REFUSED] = {"sink-refused", DOCTOR_ERROR,
				 "the daemon's user may not write an event sink or metrics file"},
	[DOCTOR_TIER_RIGHTS] = {"tier-rights", DOCTOR_ERROR,
				"the daemon's user may not work in a tier"},
	[DOCTOR_LINKS_REFUSED] = {"links-refused", DOCTOR_NOTE,
				  "hard links are refused: moves go through a hidden name"},
	[DOCTOR_OWNERS_LOST] = {"owners-lost", DOCTOR_ERROR,
				"copies cannot keep their owner: moves fail"},
	[DOCTOR_NO_QUEUE_RUNNER] = {"no-queue-runner", DOCTOR_ERROR,
				    "no queue runner serves a tier"},
	[DOCTOR_RUNNER_INTERVAL] = {"runner-interval", DOCTOR_WARNING,
				    "a slow tier is run as often as the one that feeds it"},
	[DOCTOR_QCTRL_RUNNING] = {"qctrl-running", DOCTOR_ERROR,
				  "qctrl still moves messages of the tiers"},
	[DOCTOR_OUT_OF_REACH] = {"out-of-reach", DOCTOR_ERROR,
				 "sendmail returns messages before they reach a rule's attempts"},
	[DOCTOR_QUEUE_RETURN] = {"queue-return", DOCTOR_WARNING,
				 "sendmail returns messages before a rule's age"},
	[DOCTOR_QUEUE_AGE] = {"queue-age", DOCTOR_NOTE,
			      "MinQueueAge or MaxQueueAge keep attempts rare"},
	[DOCTOR_QUEUE_GROUPS] = {"queue-groups", DOCTOR_WARNING,
				 "queue groups put messages where no tier is, or apart"},
	[DOCTOR_QUEUE_DIRECTORY] = {"queue-directory", DOCTOR_WARNING,
				    "sendmail queues where no tier is"},
	[DOCTOR_RUN_AS_USER] = {"run-as-user", DOCTOR_ERROR,
				"sendmail's RunAsUser may not work in a tier"},
	[DOCTOR_LOCK_NOT_SEEN] = {"lock-not-seen", DOCTOR_WARNING,
				  "the file system keeps locks from other machines"},
	[DOCTOR_SMART_HOST] = {"smart-host", DOCTOR_NOTE,
			       "a smart host takes all mail: tiers stay empty by design"},
	[DOCTOR_NEVER_FIRES] = {"never-fires", DOCTOR_WARNING,
				"old messages have not reached a rule's attempts"},
	[DOCTOR_GIVEN_UP] = {"given-up", DOCTOR_WARNING, "sendmail gave messages up (Qf)"},
	[DOCTOR_UNSAFE_QF] = {"unsafe-qf", DOCTOR_ERROR,
			      "runners will give messages up for their owner or mode"},
	[DOCTOR_MISSING_DF] = {"missing-df", DOCTOR_ERROR, "messages without their body"},
	[DOCTOR_DATA_ELSEWHERE] = {"data-elsewhere", DOCTOR_WARNING,
				   "messages whose body stands in another directory (d line)"},
	[DOCTOR_EMPTY_QF] = {"empty-qf", DOCTOR_WARNING, "empty control files"},
	[DOCTOR_REFUSED_QF] = {"refused-qf", DOCTOR_WARNING,
			       "control files that cannot be read or believed"},
	[DOCTOR_ORPHAN_DF] = {"orphan-df", DOCTOR_WARNING, "bodies without a control file"},
	[DOCTOR_STALE_FILES] = {"stale-files", DOCTOR_WARNING,
				"tf and xf files that a runner has left"},
	[DOCTOR_LEFTOVERS] = {"leftovers", DOCTOR_WARNING,
			      "hidden names of ours, and no daemon that clears them"},
	[DOCTOR_QUARANTINED] = {"quarantined", DOCTOR_NOTE,
				"messages that sendmail holds, and no rule is for"},
	[DOCTOR_FUTURE_TIMES] = {"future-times", DOCTOR_WARNING,
				 "messages from the future: the clock was set back"},
	[DOCTOR_NO_NOTIFICATIONS] = {"no-notifications", DOCTOR_WARNING,
				     "a tier's file system tells of no changes"},
	[DOCTOR_FILE_SYSTEMS] = {"file-systems", DOCTOR_NOTE, "moves between tiers are copies"},
	[DOCTOR_DISK_FULL] = {"disk-full", DOCTOR_WARNING, "a tier's disk is nearly full"},
	[DOCTOR_WATCHES] = {"watches", DOCTOR_ERROR, "fs.inotify.max_user_watches is too low"},
	[DOCTOR_INSTANCES] = {"instances", DOCTOR_ERROR,
			      "fs.inotify.max_user_instances is used up"},
	[DOCTOR_EVENT_QUEUE] = {"event-queue", DOCTOR_WARNING,
				"fs.inotify.max_queued_events is too low or too high"},
};

static void (*const steps[])(struct doctor *) = {
	doctor_look_at_policy, doctor_look_at_tiers,   doctor_look_at_daemon,
	doctor_look_at_rights, doctor_look_at_runners, doctor_look_at_sendmail,
	doctor_look_at_spool,  doctor_look_at_pace,    doctor_look_at_system,
};

const char *doctor_name(enum doctor_kind kind)
{
	return kinds[kind].name;
}

enum doctor_severity doctor_severity(enum doctor_kind kind)
{
	return kinds[kind].severity;
}

const char *doctor_meaning(enum doctor_kind kind)
{
	return kinds[kind].meaning;
}

/* ---- findings ---- */

static char *format_text(const char *format, va_list arguments)
	__attribute__((format(printf, 1, 0)));

static char *format_text(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		return xstrdup(format);
	return text;
}

struct doctor_finding *doctor_find(struct doctor *doctor, enum doctor_kind kind, int tier,
				   const char *format, ...)
{
	struct doctor_report *report = &doctor->report;
	struct doctor_finding *finding = xcalloc(1, sizeof *finding);
	va_list arguments;

	finding->kind = kind;
	finding->tier = tier < 0 ? NULL : doctor->policy->tiers[tier].name;
	va_start(arguments, format);
	finding->what = format_text(format, arguments);
	va_end(arguments);
	report->findings = xreallocarray(report->findings, report->n_findings + 1, sizeof(void *));
	report->findings[report->n_findings++] = finding;
	return finding;
}

void doctor_evidence(struct doctor_finding *finding, const char *format, ...)
{
	va_list arguments;

	if (finding->n_evidence == DOCTOR_EVIDENCE)
		return;
	finding->evidence =
		xreallocarray(finding->evidence, finding->n_evidence + 1, sizeof(char *));
	va_start(arguments, format);
	finding->evidence[finding->n_evidence++] = format_text(format, arguments);
	va_end(arguments);
}

void doctor_remedy(struct doctor_finding *finding, const char *format, ...)
{
	va_list arguments;

	free(finding->remedy);
	va_start(arguments, format);
	finding->remedy = format_text(format, arguments);
	va_end(arguments);
}

static void add_line(struct doctor_lines *lines, char *text)
{
	lines->list = xreallocarray(lines->list, lines->count + 1, sizeof(char *));
	lines->list[lines->count++] = text;
}

void doctor_checked(struct doctor *doctor, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_line(&doctor->report.checked, format_text(format, arguments));
	va_end(arguments);
}

void doctor_unchecked(struct doctor *doctor, const char *format, ...)
{
	struct doctor_lines *told = &doctor->report.unchecked;
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	for (size_t i = 0; i < told->count; i++)
		if (strcmp(told->list[i], text) == 0) {
			free(text);
			return;
		}
	add_line(told, text);
}

bool doctor_sound(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->n_findings; i++)
		if (doctor_severity(report->findings[i]->kind) != DOCTOR_NOTE)
			return false;
	return true;
}

/* ---- help ---- */

char *doctor_path(const struct doctor *doctor, const char *path)
{
	return xasprintf("%s%s", doctor->root, path);
}

char *doctor_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t length = 0, room = 4096;
	struct stat stat;
	char *text;
	ssize_t n;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		close(fd);
		return NULL;
	}
	text = xcalloc(1, room + 1);
	while (length < FILE_MAX && (n = read(fd, text + length, room - length)) > 0) {
		length += (size_t)n;
		if (length == room) {
			room *= 2;
			text = xreallocarray(text, room + 1, 1);
		}
	}
	close(fd);
	text[length] = 0;
	return text;
}

void doctor_each_line(char *text, void (*visit)(void *context, char *line), void *context)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		visit(context, line);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void doctor_each_file(const char *folder, void (*visit)(void *context, const char *path),
		      void *context)
{
	DIR *list = opendir(folder);
	char **paths = NULL;
	size_t count = 0;
	struct dirent *entry;

	while (list && count < FILES_MOST && (entry = readdir(list))) {
		if (entry->d_name[0] == '.')
			continue;
		paths = xreallocarray(paths, count + 1, sizeof *paths);
		paths[count++] = xasprintf("%s/%s", folder, entry->d_name);
	}
	if (list)
		closedir(list);
	if (count)
		qsort(paths, count, sizeof *paths, by_name);
	for (size_t i = 0; i < count; i++) {
		visit(context, paths[i]);
		free(paths[i]);
	}
	free(paths);
}

char *doctor_count(uint64_t count, const char *what, char *buffer, size_t size)
{
	char number[32];

	snprintf(buffer, size, "%s %s%s", columns_thousands(count, number, sizeof number), what,
		 units_plural(count, "", "s"));
	return buffer;
}

char *doctor_span(int64_t seconds, char *buffer, size_t size)
{
	if (seconds >= 86400)
		seconds -= seconds % 3600;
	else if (seconds >= 3600)
		seconds -= seconds % 60;
	return units_format_duration(seconds, buffer, size);
}

/* ---- the whole ---- */

static int by_kind(const void *a, const void *b)
{
	const struct doctor_finding *one = *(struct doctor_finding *const *)a;
	const struct doctor_finding *other = *(struct doctor_finding *const *)b;
	int first = (int)doctor_severity(one->kind), second = (int)doctor_severity(other->kind);

	return first != second ? second - first : (int)one->kind - (int)other->kind;
}

/* Worst first, then by kind; those of one kind stay in the order in which they were found. */
static void sort_findings(struct doctor_report *report)
{
	for (size_t i = 1; i < report->n_findings; i++)
		for (size_t k = i; k && by_kind(&report->findings[k - 1], &report->findings[k]) > 0;
		     k--) {
			struct doctor_finding *swap = report->findings[k];

			report->findings[k] = report->findings[k - 1];
			report->findings[k - 1] = swap;
		}
}

struct doctor *doctor_examine(const struct doctor_request *request)
{
	struct doctor *doctor = xcalloc(1, sizeof *doctor);
	int64_t started = clock_monotonic();

	doctor->request = *request;
	doctor->report.at = clock_now();
	doctor->now = doctor->report.at / CLOCK_SECOND;
	doctor->root = xstrdup(request->root ? request->root : "");
	doctor->proc = request->proc ? xstrdup(request->proc) : doctor_path(doctor, "/proc");
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		steps[i](doctor);
	sort_findings(&doctor->report);
	doctor->report.took = clock_monotonic() - started;
	return doctor;
}

const struct doctor_report *doctor_result(const struct doctor *doctor)
{
	return &doctor->report;
}

static void free_list(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void doctor_free(struct doctor *doctor)
{
	struct doctor_report *report = &doctor->report;

	for (size_t i = 0; i < report->n_findings; i++) {
		struct doctor_finding *finding = report->findings[i];

		free_list(finding->evidence, finding->n_evidence);
		free(finding->what);
		free(finding->remedy);
		free(finding);
	}
	free(report->findings);
	free_list(report->checked.list, report->checked.count);
	free_list(report->unchecked.list, report->unchecked.count);
	for (size_t i = 0; i < doctor->n_directories; i++)
		free(doctor->directories[i].path);
	free(doctor->directories);
	for (size_t i = 0; i < doctor->n_runners; i++)
		free(doctor->runners[i].source);
	free(doctor->runners);
	for (size_t i = 0; i < doctor->n_cfs; i++) {
		free(doctor->cfs[i].path);
		free(doctor->cfs[i].cf);
	}
	for (unsigned i = 0; i < POLICY_MAX_TIERS; i++)
		free(doctor->tiers[i].cf);
	processes_free(&doctor->processes);
	spool_free(&doctor->spool);
	policy_free(doctor->policy);
	free(doctor->rights_source);
	free(doctor->root);
	free(doctor->proc);
	free(doctor);
}
