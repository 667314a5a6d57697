/* rows.h - the table of the bench: measurements, one for each round, and what is printed of them.
 */
#ifndef QFWATCH_TEST_ROWS_H
#define QFWATCH_TEST_ROWS_H

#include <stdbool.h>

#define SERIES_MAX 64

struct series {
	double values[SERIES_MAX];
	int count;
};

void series_add(struct series *series, double value);
double series_median(const struct series *series);

/* ROW_FEW is a count, shown with one decimal. */
enum row_unit { ROW_NANOSECONDS, ROW_BYTES, ROW_PER_SECOND, ROW_COUNT, ROW_FEW };

struct row {
	const char *key;  /* in the JSON */
	const char *what; /* in the table */
	enum row_unit unit;
	struct series ours; /* one value a round */
	struct series bare; /* what it is compared with; none: no such column */
	const char *reach;  /* the target, in words; NULL: none, and nothing is judged */
	double reach_ratio; /* most that ours/bare may be; 0: reach_value counts */
	double reach_value; /* most that ours may be */
	bool at_least;	    /* reach_* are the least instead */
	const char *elsewhere;
};

/* Prints the row, and appends it to BENCH_RESULTS and, as printed, to BENCH_TABLE. */
void row_print(const struct row *row);

/* Prints instead that it was not measured, and why (what is missing, and what brings it). */
void row_skip(const char *key, const char *what, const char *why);

#endif
