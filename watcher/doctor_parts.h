/* doctor_parts.h - what the files of the doctor share: what is known so far, and how to tell. */
#ifndef QFWATCH_DOCTOR_PARTS_H
#define QFWATCH_DOCTOR_PARTS_H

#include <sys/stat.h>

#include "qfwatch/doctor.h"
#include "qfwatch/policy.h"
#include "qfwatch/processes.h"
#include "qfwatch/rights.h"
#include "qfwatch/runner.h"
#include "qfwatch/sendmail_cf.h"
#include "qfwatch/spool.h"

/* Evidence beyond is not told; neither are runners and daemons beyond remembered. */
#define DOCTOR_EVIDENCE	   8
#define DOCTOR_RUNNERS	   256
#define DOCTOR_DAEMONS	   8
#define DOCTOR_DIRECTORIES 4096

/* A directory that the policy names, and what it is. */
struct doctor_directory {
	char *path;
	unsigned tier;
	int error; /* errno of looking at it; ENOTDIR: it is none */
	struct stat stat;
};

/* Something that runs a queue: a process, or a line that starts one. */
struct doctor_runner {
	struct runner runner;
	char *source;  /* "process 812 (sendmail: Queue runner@00:30:00 for ...)", "/etc/crontab" */
	bool process;  /* it runs now */
	bool periodic; /* it is started again and again: it need not run now */
	bool guessed;  /* whether it runs the queue at all is not told */
	char cwd[PATH_MAX]; /* of the process; empty: not known */
};

/* What is known of a tier. */
struct doctor_tier {
	/* From the policy. */
	uint64_t feeds;	   /* bit i: a rule moves from here to tier i */
	bool entered;	   /* a rule moves here */
	uint32_t attempts; /* the least N that a rule which decides here waits for; 0: none does */
	const struct policy_rule *attempts_rule;
	bool at_any_time; /* a rule decides here that waits neither for attempts nor for an age */
	/* From what sendmail is told. */
	struct sendmail_cf *cf; /* what its runner goes by; NULL: not known */
	const char *cf_path;
	const struct doctor_runner *runner;  /* that serves it; NULL: none is seen */
	const struct doctor_runner *stopped; /* that would, but does not run now */
	int64_t interval;		     /* 0: not known */
	/* From its messages. */
	bool counted;		/* the rest is known */
	uint64_t messages;	/* that were read, without quarantined ones */
	uint64_t waiting;	/* of these, those that are older than an hour */
	uint32_t most_attempts; /* the largest N */
	int64_t newest_attempt; /* the largest K; 0: none was tried */
	uint64_t untried;	/* that have not reached `attempts`, and are not tried */
	int64_t oldest;		/* the smallest T; INT64_MAX: none */
	uint64_t bytes;		/* of the bodies */
};

struct doctor {
	struct doctor_request request;
	struct doctor_report report;
	int64_t now; /* seconds */
	char *root, *proc;
	struct policy *policy; /* NULL: it is invalid */
	struct doctor_tier tiers[POLICY_MAX_TIERS];
	struct doctor_directory *directories;
	size_t n_directories;
	struct spool spool; /* those that can be opened */
	struct processes processes;
	struct doctor_runner *runners;
	size_t n_runners;
	bool blind; /* there are runners of which cannot be told where they run */
	/* The daemons that serve these tiers. */
	pid_t daemons[DOCTOR_DAEMONS];
	size_t n_daemons;
	bool daemon_unknown; /* somebody holds the tiers' locks, and cannot be seen */
	bool daemon_hidden;  /* a qfwatch runs, and what it serves cannot be seen */
	/* Whose rights count. */
	bool has_rights;
	struct rights rights;
	char *rights_source; /* "the running daemon (pid 812)" */
	/* sendmail's files, each once: index 0 is the usual one. */
	struct doctor_cf {
		char *path;
		struct sendmail_cf *cf; /* NULL: it cannot be read */
	} cfs[POLICY_MAX_TIERS + 1];
	size_t n_cfs;
};

/* ---- telling; texts are copied, in printf style ---- */

/* Adds a finding and returns it. tier -1: none alone. */
struct doctor_finding *doctor_find(struct doctor *doctor, enum doctor_kind kind, int tier,
				   const char *format, ...) __attribute__((format(printf, 4, 5)));
void doctor_evidence(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void doctor_remedy(struct doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What was looked at, and what could not be, with why; the latter each once. */
void doctor_checked(struct doctor *doctor, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void doctor_unchecked(struct doctor *doctor, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- help ---- */

/* ROOT/path; the caller frees it. */
char *doctor_path(const struct doctor *doctor, const char *path);

/* Reads a small text file, NUL-terminated, up to 1 MiB; NULL: it cannot be read. The caller frees
 * it. */
char *doctor_read(const char *path);

/* Calls `visit` for each line of the text, which is cut at its line ends in place. */
void doctor_each_line(char *text, void (*visit)(void *context, char *line), void *context);

/* Calls `visit` with the path of each regular file in a folder, in the order of their names. */
void doctor_each_file(const char *folder, void (*visit)(void *context, const char *path),
		      void *context);

/* "3 messages", "1 message". Returns buffer, of at least 64 bytes. */
char *doctor_count(uint64_t count, const char *what, char *buffer, size_t size);

/* "5d", "1h30m": not to the second where that is of no use. Returns buffer, of at least
 * UNITS_DURATION_TEXT. */
char *doctor_span(int64_t seconds, char *buffer, size_t size);

/* The options of a .cf; NULL: the usual one. Returns NULL where it cannot be read. *ret_path (may
 * be NULL) is its path. */
const struct sendmail_cf *doctor_cf(struct doctor *doctor, const char *path, const char **ret_path);

/* Is that QueueDirectory the tier's, or a part of it? */
bool doctor_is_tier(const struct doctor *doctor, const char *queue, unsigned tier);

/* Finds the usual .cf, before the runners are looked at. */
void doctor_find_cf(struct doctor *doctor);

/* Asks the running daemon what is wrong. Returns false when it does not answer. */
bool doctor_ask_daemon(struct doctor *doctor);

/* Seconds that a message spends in the tier at least until it has the attempts that a rule there
 * waits for, if each finds the queue's runner ready; 0: not known, or it comes with them. sendmail
 * (queue.c, gatherq()) waits as long as the message was old at its last attempt, at most
 * MaxQueueAge, here `most_wait` (0: there is none), and MinQueueAge in any case. */
int64_t doctor_attempts_take(const struct doctor *doctor, unsigned tier, int64_t most_wait);

/* The least that the number has to be for the rule to match; 0: it does not say. */
int64_t doctor_least(const struct policy_rule *rule, enum policy_condition_kind kind);

/* May somebody work in a queue directory? If not, evidence goes to *finding, which `find` makes
 * with the first. */
void doctor_judge_directory(struct doctor *doctor, const struct rights *rights,
			    const struct doctor_directory *directory,
			    struct doctor_finding **finding,
			    struct doctor_finding *(*find)(struct doctor *, unsigned));

/* The DOCTOR_TIER_RIGHTS of that tier, a new one where there is none. */
struct doctor_finding *doctor_find_rights(struct doctor *doctor, unsigned tier);

/* ---- the steps, in their order; each in its file ---- */

void doctor_look_at_policy(struct doctor *doctor);
void doctor_look_at_tiers(struct doctor *doctor);
void doctor_look_at_daemon(struct doctor *doctor);
void doctor_look_at_rights(struct doctor *doctor);
void doctor_look_at_runners(struct doctor *doctor);
void doctor_look_at_sendmail(struct doctor *doctor);
void doctor_look_at_spool(struct doctor *doctor);
void doctor_look_at_pace(struct doctor *doctor);
void doctor_look_at_system(struct doctor *doctor);

#endif
