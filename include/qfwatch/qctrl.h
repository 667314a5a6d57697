/* qctrl.h - the command line of qctrl, OpenEMM's job that moves messages between queues.
 *
 * What it takes and what it means by it was read from its sources (agnitas-org/openemm,
 * backend/src/c/tools: qctrl.c, qmove.c). Pure functions but for memory.
 *
 *	qctrl [-faov] [-d SECONDS] [-L LOG] [force] move FROM TO [LIMIT:VALUE,...]
 *
 * A message goes when one of the limits is passed: tries (N greater), maxage (now - T greater),
 * maxageinval (the same, of a message without an S or without an R line), or always; and, where
 * there are recv patterns, only if they say so.
 */
#ifndef QFWATCH_QCTRL_H
#define QFWATCH_QCTRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qctrl_verb {
	QCTRL_MOVE,
	QCTRL_STAT,  /* prints figures */
	QCTRL_FLUSH, /* removes what is older than a day and has 002 in its name */
};

/* One recv. For each R line the first pattern that matches says yes, or no (`!`); the last R line
 * for which one matches decides. Without a match: no. */
struct qctrl_pattern {
	bool no;    /* it began with ! */
	bool regex; /* then /: extended POSIX; else the text is looked for as it is */
	char *text;
};

#define QCTRL_NONE INT64_C(-1) /* the limit is not given */

struct qctrl {
	enum qctrl_verb verb;
	bool once;     /* -o: looks once, then ends */
	int64_t delay; /* seconds between two looks */
	bool always;
	bool deletes;			    /* TO is /dev/null */
	int64_t tries, maxage, maxageinval; /* QCTRL_NONE, or the number; seconds */
	char *informer;			    /* a program to run for each message; NULL: none */
	struct qctrl_pattern *patterns;
	size_t n_patterns;
	char *ignored; /* limits that qctrl takes for not given ("maxage:6x"); NULL: none */
	/* Of the caller's words. */
	const char *from, *to;
	const char *limits; /* NULL: none */
};

/* Why qctrl does not start with a command line, or we cannot tell what it would do. */
struct qctrl_refusal {
	char why[320], remedy[160];
	const char *word; /* the caller's word that it is about; NULL: none alone */
};

/* Reads the words behind "qctrl". Returns 0 and a command for qctrl_free, whose from, to and limits
 * live as long as the words; or -EINVAL and the refusal. */
int qctrl_parse(char *const *words, size_t count, struct qctrl *ret, struct qctrl_refusal *refusal);

void qctrl_free(struct qctrl *qctrl);

/* Seconds of "6d", "1d12h", "2d-12h" (s m h d W M Y, the last without a unit is seconds; a month is
 * 30 days, a year 365). QCTRL_NONE when qctrl takes it for none; sums past the limits of units.h
 * become UNITS_DURATION_MAX + 1. */
int64_t qctrl_duration(const char *text);

enum qctrl_note {
	/* < or > stood for an end of the address: an address without them matches here only. */
	QCTRL_NOTE_BRACKETS = 1,
	/* $ stood for the end of the line, where nearly always a > stands: it matches here only. */
	QCTRL_NOTE_END = 2,
	/* It is all capitals: there it may match the flags before the address. */
	QCTRL_NOTE_FLAGS = 4,
};

/* qctrl's patterns look at the whole R line ("PFD:<user@example.net>", without the R), in bytes;
 * qfwatch's at the address. Returns 0, a PCRE2 pattern for free() and enum qctrl_note bits in
 * *ret_notes; or -EINVAL and the refusal, when there is none that means the same. */
int qctrl_pattern_regex(const struct qctrl_pattern *pattern, char **ret, unsigned *ret_notes,
			struct qctrl_refusal *refusal);

#endif
