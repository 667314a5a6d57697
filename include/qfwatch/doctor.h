/* doctor.h - examines an installation: what keeps tiers empty, or mail stuck.
 *
 * Looks, and changes nothing; takes no lock; needs no daemon. What cannot be seen makes no finding:
 * it is listed as not checked. Every finding is of a kind with a stable name, says what it was seen
 * by, and what to do.
 */
#ifndef QFWATCH_DOCTOR_H
#define QFWATCH_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum doctor_severity {
	DOCTOR_NOTE, /* worth knowing; the installation is sound all the same */
	DOCTOR_WARNING,
	DOCTOR_ERROR, /* what the policy asks for cannot be done */
};

/* In the order in which they are told. */
enum doctor_kind {
	/* The policy and its daemon. */
	DOCTOR_POLICY_INVALID,
	DOCTOR_POLICY_NOTE,
	DOCTOR_TIER_MISSING,
	DOCTOR_TIERS_OVERLAP,
	DOCTOR_NO_DAEMON,
	DOCTOR_TWO_DAEMONS,
	DOCTOR_OLD_POLICY,
	DOCTOR_DAEMON_TROUBLE,
	DOCTOR_SINK_REFUSED,
	/* Rights. */
	DOCTOR_TIER_RIGHTS,
	DOCTOR_LINKS_REFUSED,
	DOCTOR_OWNERS_LOST,
	/* sendmail and its runners. */
	DOCTOR_NO_QUEUE_RUNNER,
	DOCTOR_RUNNER_INTERVAL,
	DOCTOR_QCTRL_RUNNING,
	DOCTOR_OUT_OF_REACH,
	DOCTOR_QUEUE_RETURN,
	DOCTOR_QUEUE_AGE,
	DOCTOR_QUEUE_GROUPS,
	DOCTOR_QUEUE_DIRECTORY,
	DOCTOR_RUN_AS_USER,
	DOCTOR_LOCK_NOT_SEEN,
	DOCTOR_SMART_HOST,
	/* What stands in the spool. */
	DOCTOR_NEVER_FIRES,
	DOCTOR_GIVEN_UP,
	DOCTOR_UNSAFE_QF,
	DOCTOR_MISSING_DF,
	DOCTOR_DATA_ELSEWHERE,
	DOCTOR_EMPTY_QF,
	DOCTOR_REFUSED_QF,
	DOCTOR_ORPHAN_DF,
	DOCTOR_STALE_FILES,
	DOCTOR_LEFTOVERS,
	DOCTOR_QUARANTINED,
	DOCTOR_FUTURE_TIMES,
	/* The machine. */
	DOCTOR_NO_NOTIFICATIONS,
	DOCTOR_FILE_SYSTEMS,
	DOCTOR_DISK_FULL,
	DOCTOR_WATCHES,
	DOCTOR_INSTANCES,
	DOCTOR_EVENT_QUEUE,
	DOCTOR_KINDS,
};

struct doctor_finding {
	enum doctor_kind kind;
	const char *tier; /* the policy's memory; NULL: none alone */
	char *what;
	char **evidence;
	size_t n_evidence;
	char *remedy;
};

struct doctor_lines {
	char **list;
	size_t count;
};

struct doctor_request {
	const char *policy;
	const char *sendmail_cf; /* NULL: the one that is in use, else /etc/mail/sendmail.cf */
	const char *root;	 /* before /etc, /sys, /run and /usr; "" for this machine */
	const char *proc;	 /* where the processes are; NULL: ROOT/proc */
	const char *user;	 /* whose rights count; NULL: those of the daemon, or of its unit */
};

struct doctor_report {
	int64_t at;			  /* microseconds since the epoch */
	int64_t took;			  /* nanoseconds */
	struct doctor_finding **findings; /* by kind */
	size_t n_findings;
	struct doctor_lines checked, unchecked;
};

/* Never fails: what cannot be done is in the report. Returns what doctor_free ends. */
struct doctor;
struct doctor *doctor_examine(const struct doctor_request *request);
void doctor_free(struct doctor *doctor);
const struct doctor_report *doctor_result(const struct doctor *doctor);

/* Neither errors nor warnings? */
bool doctor_sound(const struct doctor_report *report);

const char *doctor_name(enum doctor_kind kind);
enum doctor_severity doctor_severity(enum doctor_kind kind);
const char *doctor_meaning(enum doctor_kind kind); /* one line */

/* The report as one JSON object, and as text, worst first. */
void doctor_print_json(const struct doctor_report *report, FILE *to);
void doctor_print_text(const struct doctor_report *report, FILE *to);

#endif
