/* survey.h - walks all messages of a spool, reads them and hands out their facts. Touches nothing,
 * takes no lock, and needs no daemon.
 *
 * Two passes: the names first, which is cheap and tells how many messages each tier has; then the
 * files, in several threads, in the order of their inodes, so that a cold disk is not searched to
 * and fro. What happens to the spool meanwhile is seen or not seen: a survey is no snapshot.
 */
#ifndef QFWATCH_SURVEY_H
#define QFWATCH_SURVEY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qfwatch/policy.h"
#include "qfwatch/spool.h"
#include "qfwatch/trouble.h"

/* More threads than this are not started. */
#define SURVEY_MAX_THREADS 16

struct survey_tier {
	uint64_t messages; /* names of control files that the policy has a say about */
	uint64_t held;	   /* of these, those that are quarantined (hf) */
	uint64_t ignored;  /* quarantined ones that no rule of the policy names: not read */
	uint64_t read;	   /* of these, those that were understood */
	uint64_t gone;	   /* left between the two passes */
	uint64_t sized;	   /* those whose body's size is known, and these sizes together */
	uint64_t bytes;
	int64_t oldest; /* the smallest T of all that were read; INT64_MAX: none */
};

/* Messages that cannot be read or believed, and one of them. */
struct survey_trouble {
	uint64_t messages;
	unsigned tier;		      /* where the example stands */
	char example[SPOOL_NAME_MAX]; /* its name; bytes that are not printable ASCII are "?" */
};

struct survey {
	struct survey_tier tiers[POLICY_MAX_TIERS];
	struct survey_trouble troubles[TROUBLES];
	struct survey_names *names;
};

/* What is known of one message. All of it is valid during the call only. */
struct survey_facts {
	struct policy_message
		message; /* without history; text and size where they were asked for */
	const struct qdir *directory;
	bool data_elsewhere; /* the qf has a d line */
	bool held;	     /* its control file is an hf */
	const char *id;
	size_t id_length;
	const struct stat *stat; /* of its control file */
};

/* What is to be known, and who is told. contexts[i] is only used by thread i. */
struct survey_order {
	uint64_t text_tiers; /* bit i: the text of messages in tier i is wanted */
	uint64_t size_tiers; /* bit i: the size of their bodies is (one more system call each) */
	uint64_t skip_tiers; /* bit i: the messages in tier i are not read at all */
	unsigned threads;    /* 1 to SURVEY_MAX_THREADS */
	void (*take)(void *context, const struct survey_facts *facts);
	/* Is told of each one that cannot be read or believed; NULL: nobody. */
	void (*leave)(void *context, const struct qdir *dir, const char *name,
		      enum trouble trouble);
	void *const *contexts;
	const atomic_bool *stop; /* NULL, or: true ends the reading early */
};

/* Zero-initialise a survey. First pass: all names, and with them tiers[].messages. Returns 0, or
 * -errno with the directory's path in *ret_path, which is the spool's memory. */
int survey_names(struct survey *survey, const struct spool *spool, const struct policy *policy,
		 const char **ret_path);

/* Second pass: reads them all. Threads that cannot be started leave their share to the others. */
void survey_read(struct survey *survey, const struct spool *spool,
		 const struct survey_order *order);

void survey_free(struct survey *survey);

#endif
