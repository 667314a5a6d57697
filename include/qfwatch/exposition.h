/* exposition.h - writes numbers in the text format of Prometheus, version 0.0.4.
 *
 * A family is begun with its name, type and help, and its samples follow. All numbers are whole, or
 * whole parts of a second, so there is no floating point and no locale in what is written.
 */
#ifndef QFWATCH_EXPOSITION_H
#define QFWATCH_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Zero-initialise; exposition_free ends it. */
struct exposition {
	char *text; /* not NUL-terminated */
	size_t length, size;
	const char *name; /* of the family under way */
};

void exposition_free(struct exposition *exposition);

/* Begins anew and keeps the memory. */
void exposition_clear(struct exposition *exposition);

enum exposition_kind { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

/* `name` is borrowed until the next family. The help is one line of any text. */
void exposition_family(struct exposition *exposition, const char *name, enum exposition_kind kind,
		       const char *help);

/* The value is UTF-8 (what a policy says, is), and may hold any character. */
struct exposition_label {
	const char *name, *value;
};

void exposition_number(struct exposition *exposition, const struct exposition_label *labels,
		       size_t n_labels, uint64_t value);

/* Nanoseconds, written as seconds. */
void exposition_nanoseconds(struct exposition *exposition, const struct exposition_label *labels,
			    size_t n_labels, int64_t nanoseconds);

/* The samples of a histogram without labels: upper bounds (nanoseconds, n of them), how many fell
 * into each bucket (n + 1, the last above all bounds), and their sum. */
void exposition_histogram(struct exposition *exposition, const int64_t *bounds, size_t n,
			  const uint64_t *counts, uint64_t sum);

#endif
