/* doctor_rights.c - what the user that runs the daemon, or would run it, may do with the tiers and
 * the event sinks. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_parts.h"
#include "qfwatch/xalloc.h"

static const char remedy_rights[] =
	"run it as root, as the unit in contrib/systemd does; or as the owner of the spool; or "
	"give "
	"its user CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN (AmbientCapabilities= in the unit)";

/* ---- whose rights ---- */

/* What a unit says of its user; later files win. */
struct unit {
	char user[RIGHTS_TEXT], group[RIGHTS_TEXT], groups[RIGHTS_TEXT];
	char ambient[RIGHTS_TEXT], bounding[RIGHTS_TEXT];
	bool found, bounded, dynamic;
};

static bool value_of(const char *line, const char *key, char *ret)
{
	size_t length = strlen(key);

	if (strncmp(line, key, length) != 0 || strlen(line + length) >= RIGHTS_TEXT)
		return false;
	strcpy(ret, line + length);
	ret[strcspn(ret, "\r")] = 0;
	return true;
}

static void read_unit_line(void *context, char *line)
{
	struct unit *unit = context;

	line += strspn(line, " \t");
	value_of(line, "User=", unit->user);
	value_of(line, "Group=", unit->group);
	value_of(line, "SupplementaryGroups=", unit->groups);
	if (strncmp(line, "DynamicUser=yes", 15) == 0)
		unit->dynamic = true;
	value_of(line, "AmbientCapabilities=", unit->ambient);
	if (value_of(line, "CapabilityBoundingSet=", unit->bounding))
		unit->bounded = true;
}

static void read_unit(void *context, const char *path)
{
	struct unit *unit = context;
	char *text = doctor_read(path);

	if (!text)
		return;
	unit->found = true;
	doctor_each_line(text, read_unit_line, unit);
	free(text);
}

/* The unit file that counts, and the drop-ins of all folders: from the least important. Returns 1,
 * 0 when there is no unit, or -1 when it cannot be told whom it means. */
static int of_unit(struct doctor *doctor)
{
	static const char *const folders[] = {"/lib/systemd/system", "/usr/lib/systemd/system",
					      "/usr/local/lib/systemd/system",
					      "/run/systemd/system", "/etc/systemd/system"};
	enum { N = sizeof folders / sizeof *folders };
	struct unit unit = {0};
	uint64_t bounding;

	for (int i = N - 1; i >= 0 && !unit.found; i--) {
		char *path = xasprintf("%s%s/qfwatch.service", doctor->root, folders[i]);

		read_unit(&unit, path);
		free(path);
	}
	if (!unit.found)
		return 0;
	for (int i = 0; i < N; i++) {
		char *path = xasprintf("%s%s/qfwatch.service.d", doctor->root, folders[i]);

		doctor_each_file(path, read_unit, &unit);
		free(path);
	}
	if (unit.dynamic || rights_of_user(*unit.user ? unit.user : "root", &doctor->rights) < 0 ||
	    rights_add_groups(&doctor->rights, unit.group, true) < 0 ||
	    rights_add_groups(&doctor->rights, unit.groups, false) < 0) {
		doctor_unchecked(doctor,
				 "rights: the user or a group of qfwatch.service is not "
				 "known here (%s): name him with --user",
				 *unit.user ? unit.user : "DynamicUser");
		return -1;
	}
	bounding = unit.bounded ? rights_parse_capabilities(unit.bounding) : RIGHTS_ALL;
	if (doctor->rights.uid)
		doctor->rights.capabilities = rights_parse_capabilities(unit.ambient);
	doctor->rights.capabilities &= bounding;
	doctor->rights_source = xstrdup("qfwatch.service");
	return 1;
}

static bool of_process(struct doctor *doctor, pid_t pid)
{
	char *text = processes_file(&doctor->processes, pid, "status");
	bool known = text && rights_parse_status(text, &doctor->rights) == 0;

	free(text);
	if (known)
		doctor->rights_source = xasprintf("the running daemon, pid %ld", (long)pid);
	return known;
}

static bool of_caller(struct doctor *doctor)
{
	char *text = doctor_read("/proc/self/status");
	bool known = text && rights_parse_status(text, &doctor->rights) == 0;

	free(text);
	if (known)
		doctor->rights_source = xstrdup("who runs doctor");
	return known;
}

static bool find_rights(struct doctor *doctor)
{
	const char *user = doctor->request.user;
	int unit;

	if (user) {
		if (rights_of_user(user, &doctor->rights) < 0) {
			doctor_unchecked(doctor, "rights: there is no user %s", user);
			return false;
		}
		doctor->rights_source = xstrdup("--user");
		return true;
	}
	if (doctor->n_daemons && of_process(doctor, doctor->daemons[0]))
		return true;
	unit = of_unit(doctor);
	return unit > 0 || (unit == 0 && of_caller(doctor));
}

/* ---- tiers ---- */

/* A queue directory, or one of the folders in it. Adds what is missing to the finding, and makes
 * that with the first. */
static void judge_folder(struct doctor *doctor, const struct rights *rights,
			 const struct doctor_directory *directory, const char *path,
			 const struct stat *stat_of, struct doctor_finding **finding,
			 struct doctor_finding *(*find)(struct doctor *, unsigned))
{
	char who[RIGHTS_TEXT], blocker[PATH_MAX];
	struct stat blocking;

	if (!rights_may_reach(rights, path, blocker)) {
		if (rights_has_acl(blocker) || stat(blocker, &blocking) < 0)
			return;
		if (!*finding)
			*finding = find(doctor, directory->tier);
		doctor_evidence(*finding, "%s: %s lets nobody else through", blocker,
				rights_of_file(&blocking, who, sizeof who));
	} else if (!rights_may(rights, stat_of, R_OK | W_OK | X_OK)) {
		if (rights_has_acl(path))
			return;
		if (!*finding)
			*finding = find(doctor, directory->tier);
		doctor_evidence(*finding, "%s: %s", path, rights_of_file(stat_of, who, sizeof who));
	} else if (!rights_may_remove(rights, stat_of, (uid_t)-1)) {
		if (!*finding)
			*finding = find(doctor, directory->tier);
		doctor_evidence(
			*finding,
			"%s: %s: the sticky bit lets only its owner and theirs rename files", path,
			rights_of_file(stat_of, who, sizeof who));
	}
}

void doctor_judge_directory(struct doctor *doctor, const struct rights *rights,
			    const struct doctor_directory *directory,
			    struct doctor_finding **finding,
			    struct doctor_finding *(*find)(struct doctor *, unsigned))
{
	static const char *const folders[] = {"qf", "df"};

	judge_folder(doctor, rights, directory, directory->path, &directory->stat, finding, find);
	for (int i = 0; i < 2; i++) {
		char *path = xasprintf("%s/%s", directory->path, folders[i]);
		struct stat stat_of;

		if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode))
			judge_folder(doctor, rights, directory, path, &stat_of, finding, find);
		free(path);
	}
}

struct doctor_finding *doctor_find_rights(struct doctor *doctor, unsigned tier)
{
	const char *name = doctor->policy->tiers[tier].name;
	struct doctor_finding *finding;
	char who[RIGHTS_TEXT];

	for (size_t i = 0; i < doctor->report.n_findings; i++)
		if (doctor->report.findings[i]->kind == DOCTOR_TIER_RIGHTS &&
		    doctor->report.findings[i]->tier == name)
			return doctor->report.findings[i];
	rights_user(doctor->rights.uid, who, sizeof who);
	finding = doctor_find(doctor, DOCTOR_TIER_RIGHTS, (int)tier,
			      "qfwatch, as user %s, may not work in tier %s (Permission denied)",
			      who, name);
	doctor_evidence(finding, "from %s: %s", doctor->rights_source,
			rights_describe(&doctor->rights, who, sizeof who));
	doctor_remedy(finding, "%s", remedy_rights);
	return finding;
}

/* ---- event sinks ---- */

static void refuse_sink(struct doctor *doctor, const struct policy_sink *sink, const char *path,
			const struct stat *stat, const char *what)
{
	char who[RIGHTS_TEXT], file[RIGHTS_TEXT];
	struct doctor_finding *finding =
		doctor_find(doctor, DOCTOR_SINK_REFUSED, -1,
			    "qfwatch, as user %s, may not write %s, where the policy wants its %s",
			    rights_user(doctor->rights.uid, who, sizeof who), sink->path, what);

	if (stat)
		doctor_evidence(finding, "%s: %s", path, rights_of_file(stat, file, sizeof file));
	else
		doctor_evidence(finding, "%s is not there", path);
	doctor_evidence(finding, "from %s: %s", doctor->rights_source,
			rights_describe(&doctor->rights, who, sizeof who));
	doctor_remedy(finding, "give the file, or the folder that it is made in, to that user; "
			       "after a logrotate: create or copytruncate with the right owner");
}

static void look_at_sink(struct doctor *doctor, const struct policy_sink *sink)
{
	const char *slash = sink->path ? strrchr(sink->path, '/') : NULL;
	char blocker[PATH_MAX], *folder;
	struct stat file, above;
	bool local = sink->type == POLICY_SINK_FILE || sink->type == POLICY_SINK_FIFO ||
		     sink->type == POLICY_SINK_UNIX;
	bool there;

	if (!local || !slash)
		return;
	folder = slash == sink->path ? xstrdup("/")
				     : xasprintf("%.*s", (int)(slash - sink->path), sink->path);
	there = stat(sink->path, &file) == 0;
	if (there && !rights_may(&doctor->rights, &file, W_OK) && !rights_has_acl(sink->path)) {
		refuse_sink(doctor, sink, sink->path, &file, "events");
	} else if (!there && errno == EACCES) {
		doctor_unchecked(doctor, "the event sink %s: this user cannot reach it",
				 sink->path);
	} else if (stat(folder, &above) < 0) {
		if (sink->type != POLICY_SINK_UNIX)
			refuse_sink(doctor, sink, folder, NULL, "events");
	} else if (!there && sink->type == POLICY_SINK_FILE &&
		   !rights_may(&doctor->rights, &above, W_OK | X_OK) && !rights_has_acl(folder)) {
		refuse_sink(doctor, sink, folder, &above, "events");
	} else if (!rights_may(&doctor->rights, &above, X_OK) && !rights_has_acl(folder)) {
		refuse_sink(doctor, sink, folder, &above, "events");
	} else if (there && !rights_may_reach(&doctor->rights, sink->path, blocker) &&
		   !rights_has_acl(blocker) && stat(blocker, &above) == 0) {
		refuse_sink(doctor, sink, blocker, &above, "events");
	}
	free(folder);
}

/* A file that is made anew beside the old one each time, so its folder counts. */
static void look_at_textfile(struct doctor *doctor, const char *path)
{
	char *folder = xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
	struct policy_sink as_sink = {.path = (char *)path};
	struct stat above;

	if (stat(*folder ? folder : "/", &above) < 0)
		refuse_sink(doctor, &as_sink, folder, NULL, "metrics");
	else if (!rights_may(&doctor->rights, &above, W_OK | X_OK) && !rights_has_acl(folder))
		refuse_sink(doctor, &as_sink, folder, &above, "metrics");
	free(folder);
}

void doctor_look_at_rights(struct doctor *doctor)
{
	struct doctor_finding *found[POLICY_MAX_TIERS] = {0};
	char who[RIGHTS_TEXT];

	doctor->has_rights = find_rights(doctor);
	if (!doctor->policy || !doctor->has_rights)
		return;
	for (size_t i = 0; i < doctor->n_directories; i++) {
		const struct doctor_directory *directory = &doctor->directories[i];

		if (!directory->error)
			doctor_judge_directory(doctor, &doctor->rights, directory,
					       &found[directory->tier], doctor_find_rights);
	}
	for (size_t i = 0; i < doctor->policy->n_sinks; i++)
		look_at_sink(doctor, &doctor->policy->sinks[i]);
	if (doctor->policy->metrics.textfile)
		look_at_textfile(doctor, doctor->policy->metrics.textfile);
	doctor_checked(doctor, "rights on tiers and event sinks, from %s: %s",
		       doctor->rights_source, rights_describe(&doctor->rights, who, sizeof who));
}
