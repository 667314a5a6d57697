/* syntax.h - where a policy file is not JSON, and what to do about it. Inside policy/ only; knows
 * no JSON library. */
#ifndef QFWATCH_POLICY_SYNTAX_H
#define QFWATCH_POLICY_SYNTAX_H

#include <stddef.h>

#include "qfwatch/problem.h"

/* A text under judgement. `path` is only named in findings. All borrowed. */
struct syntax {
	const char *path;
	const char *text;
	size_t length;
	struct problems *problems;
};

/* Reports the syntax error on which the parser stopped: `end` is the number of bytes that it had
 * taken, the offending token included, and `complaint` what it said. */
void syntax_explain(const struct syntax *syntax, size_t end, const char *complaint);

/* Reports every key that an object of a text with correct syntax holds twice. `end` is the byte
 * behind the first one, as the parser found it: that one is reported in any case. */
void syntax_duplicates(const struct syntax *syntax, size_t end);

/* Reports the one duplicate key in front of `end`, where the rest of the text cannot be trusted. */
void syntax_duplicate(const struct syntax *syntax, size_t end);

/* Adds a finding at a byte of the text: "PATH:LINE:COLUMN: ...", both from 1, columns in
 * characters. */
void syntax_report(const struct syntax *syntax, size_t offset, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Where the string begins whose closing quote stands at `quote`. */
size_t syntax_string_start(const char *text, size_t quote);

/* The line of a byte, from 1. */
size_t syntax_line(const char *text, size_t offset);

#endif
