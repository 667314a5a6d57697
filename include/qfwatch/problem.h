/* problem.h - a list of everything that is wrong with what an operator gave us.
 *
 * A policy or a spool is judged whole: each check adds its finding here and goes on, so that one
 * run tells all of them. The list knows which exit code its worst finding asks for.
 */
#ifndef QFWATCH_PROBLEM_H
#define QFWATCH_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum problem_kind {
	PROBLEM_NOTE,	 /* worth knowing, stops nothing */
	PROBLEM_INVALID, /* what was written is wrong: exit code 2 */
	PROBLEM_REFUSED, /* the system said no (permission, limits, memory): exit code 3 */
};

struct problem {
	enum problem_kind kind;
	char *text; /* one line, no newline: place, reason, remedy; valid UTF-8 is not promised */
	/* The place once more, for programs. */
	char *pointer;	     /* RFC 6901, "" for the whole document; NULL: not known */
	size_t line, column; /* from 1; 0: not known */
};

/* Zero-initialise, fill with problems_add, end with problems_free. */
struct problems {
	struct problem *list;
	size_t count;
	bool incomplete; /* memory ran out: a finding may be missing, and the whole counts as
			    refused */
};

/* Adds one finding, printf style. Copies the text. Never fails: out of memory sets `incomplete`. */
void problems_add(struct problems *problems, enum problem_kind kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with its place: a JSON pointer (copied; NULL: none), or a line and column (0: none). */
struct problem_place {
	const char *pointer;
	size_t line, column;
};

void problems_add_at(struct problems *problems, enum problem_kind kind,
		     const struct problem_place *place, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Is there anything but notes? */
bool problems_any(const struct problems *problems);

/* 0: nothing but notes; 2: something is invalid; 3: nothing is invalid, but the system refused. */
int problems_exit_code(const struct problems *problems);

/* Frees the list and makes it empty. */
void problems_free(struct problems *problems);

#endif
