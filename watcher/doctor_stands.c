/* doctor_stands.c - tells what stands in the tiers that should not, from what was counted. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "doctor_counts.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

static const struct {
	enum count count;
	enum doctor_kind kind;
	const char *thing, *what, *remedy;
} told[] = {
	{GIVEN_UP, DOCTOR_GIVEN_UP, "message",
	 "that sendmail has given up (Qf): nobody tries them "
	 "again",
	 "look for the id in sendmail's log; mend what it says, then rename Qf to qf, or remove Qf "
	 "and df"},
	{ORPHANS, DOCTOR_ORPHAN_DF, "body", "without a control file, older than a day",
	 "see whether the id stands in another tier; if not, the message cannot be delivered: "
	 "remove the df"},
	{STALE, DOCTOR_STALE_FILES, "tf or xf file",
	 "older than a day, left by a runner that was killed",
	 "remove them if no sendmail works at the id (fuser FILE); sendmail does not clear them"},
	{HIDDEN, DOCTOR_LEFTOVERS, "hidden name",
	 "that a killed qfwatch has left: a message may "
	 "stand behind it",
	 "start qfwatch run, which finishes or takes back what they stand for; do not remove them"},
	{MISSING_DF, DOCTOR_MISSING_DF, "message", "without a df: its body is lost, or elsewhere",
	 "look for the df in the other tiers and in backups; without it, remove the qf"},
	{UNSAFE_MODE, DOCTOR_UNSAFE_QF, "control file",
	 "that group or others may write: the next runner gives it up (bogus queue file)",
	 "chmod go-w them before the next run, and look for who makes them so"},
	{UNSAFE_OWNER, DOCTOR_UNSAFE_QF, "control file",
	 "that does not belong to the user that sendmail runs as: the next runner gives it up "
	 "(bogus "
	 "queue file)",
	 "chown them to RunAsUser (or TrustedUser) before the next run"},
	{ELSEWHERE, DOCTOR_DATA_ELSEWHERE, "message",
	 "whose df stands in another directory (d line): they are never moved",
	 "do without queue groups in the tiers; those that are there go when they are delivered"},
	{EMPTY, DOCTOR_EMPTY_QF, "empty control file",
	 "older than ten minutes: left by a crash or a full disk",
	 "the next queue run removes them; if they stay, no runner serves the tier"},
	{FUTURE, DOCTOR_FUTURE_TIMES, "message",
	 "created, tried or written in the future: ages are wrong until then",
	 "set the clock right (chronyc tracking); rules with ages act on them only when their time "
	 "has come"},
};

static const char *folder_of(enum count count)
{
	return count == ORPHANS ? "df" : "qf";
}

/* The directory where the example stands, for people: of a glob it is looked for. */
static void show_example(struct doctor *doctor, struct doctor_finding *finding, unsigned tier,
			 const char *example, const char *folder)
{
	for (size_t i = 0; i < doctor->spool.n_dirs; i++) {
		const struct qdir *dir = &doctor->spool.dirs[i];
		int fd = *folder == 'd' ? dir->df : dir->qf;
		char who[RIGHTS_TEXT];
		struct stat stat;

		if (dir->fd < 0 || dir->tier != tier ||
		    fstatat(fd, example, &stat, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		doctor_evidence(finding, "%s%s%s/%s: %s", dir->path, fd == dir->fd ? "" : "/",
				fd == dir->fd ? "" : folder, example,
				rights_of_file(&stat, who, sizeof who));
		return;
	}
	doctor_evidence(finding, "%s", example);
}

static void tell_tallies(struct doctor *doctor, const struct counts *counts, unsigned tier)
{
	const char *name = doctor->policy->tiers[tier].name;
	char number[64], bytes[UNITS_SIZE_TEXT];

	for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
		const struct tally *tally = &counts->tallies[tier][told[i].count];
		struct doctor_finding *finding;

		if (!tally->count ||
		    (told[i].count == HIDDEN && (doctor->n_daemons || doctor->daemon_unknown)))
			continue;
		finding = doctor_find(
			doctor, told[i].kind, (int)tier, "%s in tier %s %s",
			tally->count == 1 && told[i].count == ORPHANS ? "1 body"
			: told[i].count == ORPHANS
				? doctor_count(tally->count, "df file", number, sizeof number)
				: doctor_count(tally->count, told[i].thing, number, sizeof number),
			name, told[i].what);
		show_example(doctor, finding, tier, tally->example, folder_of(told[i].count));
		if (told[i].count == ORPHANS)
			doctor_evidence(finding, "%s in all tiers together",
					units_format_size((int64_t)counts->orphan_bytes, bytes,
							  sizeof bytes));
		doctor_remedy(finding, "%s", told[i].remedy);
	}
}

static void tell_troubles(struct doctor *doctor, const struct counts *counts, unsigned tier)
{
	struct doctor_finding *finding = NULL;
	uint64_t sum = 0;
	char number[64];

	for (int i = 0; i < TROUBLES; i++)
		if (i != TROUBLE_UNREADABLE)
			sum += counts->troubles[tier][i].count;
	for (int i = 0; i < TROUBLES; i++) {
		const struct tally *tally = &counts->troubles[tier][i];

		if (!tally->count || i == TROUBLE_UNREADABLE)
			continue;
		if (!finding)
			finding = doctor_find(
				doctor, DOCTOR_REFUSED_QF, (int)tier,
				"%s in tier %s that qfwatch leaves alone",
				doctor_count(sum, "control file", number, sizeof number),
				doctor->policy->tiers[tier].name);
		doctor_evidence(finding, "%s: %s, %s",
				doctor_count(tally->count, "file", number, sizeof number),
				trouble_text((enum trouble)i), tally->example);
		doctor_remedy(finding, "%s", trouble_remedy((enum trouble)i));
	}
}

/* "Permission denied on every qf". What this user cannot read himself is only evidence if it is his
 * rights that count. */
static void tell_rights(struct doctor *doctor, const struct counts *counts, unsigned tier)
{
	const struct tally *closed = &counts->troubles[tier][TROUBLE_UNREADABLE];
	const struct tally *forbidden = &counts->tallies[tier][FORBIDDEN];
	char number[64];

	if (closed->count && doctor->has_rights && doctor->rights.uid == geteuid())
		forbidden = closed;
	else if (closed->count)
		doctor_unchecked(doctor,
				 "%s in tier %s: this user may not read them: run doctor as "
				 "root",
				 doctor_count(closed->count, "message", number, sizeof number),
				 doctor->policy->tiers[tier].name);
	if (forbidden->count) {
		struct doctor_finding *finding = doctor_find_rights(doctor, tier);

		doctor_evidence(finding, "it may not read %s",
				doctor_count(forbidden->count, "qf file", number, sizeof number));
		show_example(doctor, finding, tier, forbidden->example, "qf");
	}
}

static bool links_are_protected(const struct doctor *doctor)
{
	char *path = xasprintf("%s/sys/fs/protected_hardlinks", doctor->proc);
	char *text = doctor_read(path);
	bool set = text && text[0] == '1';

	free(text);
	free(path);
	return set;
}

static void tell_moves(struct doctor *doctor, const struct counts *counts, unsigned tier)
{
	const struct tally *unlinkable = &counts->tallies[tier][UNLINKABLE];
	const struct tally *foreign = &counts->tallies[tier][FOREIGN];
	const char *name = doctor->policy->tiers[tier].name;
	struct doctor_finding *finding;
	char who[RIGHTS_TEXT], number[64];

	if (unlinkable->count && doctor->tiers[tier].feeds && links_are_protected(doctor)) {
		finding = doctor_find(
			doctor, DOCTOR_LINKS_REFUSED, (int)tier,
			"hard links to %s in tier %s are refused: they are moved "
			"through a hidden name, invisible for a moment",
			doctor_count(unlinkable->count, "message", number, sizeof number), name);
		doctor_evidence(finding, "fs.protected_hardlinks is 1; %s",
				rights_describe(&doctor->rights, who, sizeof who));
		show_example(doctor, finding, tier, unlinkable->example, "qf");
		doctor_remedy(finding, "nothing has to be done; with CAP_FOWNER, or as their "
				       "owner, qfwatch moves them by hard link");
	}
	if (foreign->count && !(doctor->rights.capabilities & RIGHTS_BIT(0)) &&
	    doctor_copies_from(doctor, tier)) {
		finding = doctor_find(
			doctor, DOCTOR_OWNERS_LOST, (int)tier,
			"%s in tier %s cannot be moved: the way leads to another file "
			"system, and a copy could not be given their owner",
			doctor_count(foreign->count, "message", number, sizeof number), name);
		doctor_evidence(finding, "from %s: %s", doctor->rights_source,
				rights_describe(&doctor->rights, who, sizeof who));
		show_example(doctor, finding, tier, foreign->example, "qf");
		doctor_remedy(finding, "run qfwatch as root, or with CAP_CHOWN "
				       "(AmbientCapabilities= in the unit), or put the tiers on "
				       "one file system");
	}
}

bool doctor_copies_from(const struct doctor *doctor, unsigned tier)
{
	for (size_t i = 0; i < doctor->n_directories; i++)
		for (size_t k = 0; k < doctor->n_directories; k++) {
			const struct doctor_directory *from = &doctor->directories[i];
			const struct doctor_directory *to = &doctor->directories[k];

			if (from->tier == tier && !from->error && !to->error &&
			    (doctor->tiers[tier].feeds >> to->tier & 1) &&
			    from->stat.st_dev != to->stat.st_dev)
				return true;
		}
	return false;
}

void doctor_tell_counts(struct doctor *doctor, const struct survey *survey,
			const struct counts *counts)
{
	uint64_t messages = 0;
	char number[64];

	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++) {
		uint64_t ignored = survey->tiers[tier].ignored;

		messages += survey->tiers[tier].messages + ignored;
		tell_rights(doctor, counts, tier);
		tell_tallies(doctor, counts, tier);
		tell_troubles(doctor, counts, tier);
		if (doctor->has_rights)
			tell_moves(doctor, counts, tier);
		if (ignored) {
			struct doctor_finding *finding = doctor_find(
				doctor, DOCTOR_QUARANTINED, (int)tier,
				"%s in tier %s that sendmail holds (hf): they stay for ever",
				doctor_count(ignored, "message", number, sizeof number),
				doctor->policy->tiers[tier].name);

			doctor_evidence(finding, "no rule of the policy names \"quarantined\"");
			doctor_remedy(finding, "mailq -qQ shows them and why; sendmail -qQ -Q "
					       "releases them; or add a rule with "
					       "\"quarantined\": true");
		}
	}
	doctor_checked(doctor, "%s, every name and every control file",
		       doctor_count(messages, "message", number, sizeof number));
}
