/* rows.c - see rows.h. */
#include "rows.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void series_add(struct series *series, double value)
{
	if (series->count < SERIES_MAX)
		series->values[series->count++] = value;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double series_median(const struct series *series)
{
	double sorted[SERIES_MAX];

	if (series->count == 0)
		return 0;
	memcpy(sorted, series->values, sizeof(*sorted) * (size_t)series->count);
	qsort(sorted, (size_t)series->count, sizeof(*sorted), compare);
	if (series->count % 2)
		return sorted[series->count / 2];
	return (sorted[series->count / 2 - 1] + sorted[series->count / 2]) / 2;
}

static void least_and_most(const struct series *series, double *least, double *most)
{
	*least = *most = series->count ? series->values[0] : 0;
	for (int i = 1; i < series->count; i++) {
		*least = series->values[i] < *least ? series->values[i] : *least;
		*most = series->values[i] > *most ? series->values[i] : *most;
	}
}

static void show_value(const struct row *row, const struct series *series, char *text, size_t size)
{
	double value = series_median(series);
	char number[32];

	if (series->count == 0)
		snprintf(text, size, "-");
	else if (row->unit == ROW_NANOSECONDS)
		stats_duration((int64_t)value, text, size);
	else if (row->unit == ROW_FEW)
		snprintf(text, size, "%.1f", value);
	else if (row->unit == ROW_BYTES)
		snprintf(text, size, "%.1f %s",
			 value < 10240	   ? value
			 : value < 1048576 ? value / 1024
					   : value / 1048576,
			 value < 10240	   ? "B"
			 : value < 1048576 ? "KiB"
					   : "MiB");
	else
		snprintf(text, size, "%s%s",
			 stats_thousands((uint64_t)(value + 0.5), number, sizeof(number)),
			 row->unit == ROW_PER_SECOND ? "/s" : "");
}

static json_t *series_json(const struct series *series)
{
	json_t *values = json_array();
	double least, most;

	for (int i = 0; i < series->count; i++)
		json_array_append_new(values, json_real(series->values[i]));
	least_and_most(series, &least, &most);
	return json_pack("{s:f,s:f,s:f,s:o}", "median", series_median(series), "min", least, "max",
			 most, "rounds", values);
}

/* On stdout, and to the end of the file BENCH_TABLE. */
__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
	const char *path = getenv("BENCH_TABLE");
	FILE *file = path && *path ? fopen(path, "ae") : NULL;
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	if (!file)
		return;
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	fclose(file);
}

static void append(const char *path, json_t *json)
{
	FILE *file = fopen(path, "ae");

	if (!file || json_dumpf(json, file, JSON_COMPACT | JSON_REAL_PRECISION(6)) < 0 ||
	    fputc('\n', file) < 0 || fclose(file) != 0)
		bench_fail("cannot write %s: %s", path, strerror(errno));
	json_decref(json);
}

static void save(const struct row *row, const struct series *ratios, const char *verdict)
{
	static const char *const units[] = {"ns", "bytes", "1/s", "count", "count"};
	const char *path = getenv("BENCH_RESULTS");
	json_t *json;

	if (!path || !*path)
		return;
	json = json_pack("{s:s,s:s,s:s,s:o}", "row", row->key, "what", row->what, "unit",
			 units[row->unit], "qfwatch", series_json(&row->ours));
	if (row->bare.count)
		json_object_set_new(json, "beside", series_json(&row->bare));
	if (ratios->count)
		json_object_set_new(json, "ratio", series_json(ratios));
	if (row->reach)
		json_object_set_new(json, "reach", json_pack("s", row->reach));
	if (*verdict)
		json_object_set_new(json, "reached", json_boolean(strcmp(verdict, "yes") == 0));
	if (row->elsewhere)
		json_object_set_new(json, "elsewhere", json_pack("s", row->elsewhere));
	append(path, json);
}

/* Of a row with nothing beside it: the spread of the measurements themselves. */
static void show_spread(const struct row *row, char *text, size_t size)
{
	double least, most;

	least_and_most(&row->ours, &least, &most);
	if (row->ours.count < 2)
		*text = '\0';
	else if (row->unit == ROW_NANOSECONDS && least > -1e3 && most < 1e3)
		snprintf(text, size, "%.0f..%.0f ns", least, most);
	else if (row->unit == ROW_NANOSECONDS && most >= 1e7)
		snprintf(text, size, "%.3g..%.3g ms", least / 1e6, most / 1e6);
	else if (row->unit == ROW_NANOSECONDS)
		snprintf(text, size, "%.3g..%.3g us", least / 1e3, most / 1e3);
	else
		snprintf(text, size, "%.*f..%.*f", row->unit == ROW_BYTES, least,
			 row->unit == ROW_BYTES, most);
}

void row_print(const struct row *row)
{
	char ours[32], bare[32], ratio[48] = "", spread[64] = "";
	struct series ratios = {0};
	double least, most, value = series_median(&row->ours), quotient;
	const char *verdict = "";

	for (int i = 0; i < row->ours.count && i < row->bare.count; i++) {
		if (row->bare.values[i] > 0)
			series_add(&ratios, row->ours.values[i] / row->bare.values[i]);
	}
	quotient = series_median(&ratios);
	show_value(row, &row->ours, ours, sizeof(ours));
	show_value(row, &row->bare, bare, sizeof(bare));
	if (ratios.count) {
		least_and_most(&ratios, &least, &most);
		snprintf(ratio, sizeof(ratio), "%.2f x", quotient);
		snprintf(spread, sizeof(spread), "%.2f..%.2f", least, most);
	} else {
		show_spread(row, spread, sizeof(spread));
	}
	if (row->reach && (row->reach_ratio > 0 ? ratios.count : row->ours.count) > 0) {
		double limit = row->reach_ratio > 0 ? row->reach_ratio : row->reach_value;
		double reached = row->reach_ratio > 0 ? quotient : value;

		verdict = (row->at_least ? reached >= limit : reached <= limit) ? "yes" : "no";
	}
	print("%-48s %10s %10s %8s %-12s %-10s %-3s  %s\n", row->what, ours, bare, ratio, spread,
	      row->reach ? row->reach : "", verdict, row->elsewhere ? row->elsewhere : "");
	save(row, &ratios, verdict);
}

void row_skip(const char *key, const char *what, const char *why)
{
	const char *path = getenv("BENCH_RESULTS");

	print("%-48s %10s  %s\n", what, "-", why);
	if (path && *path)
		append(path, json_pack("{s:s,s:s,s:s}", "row", key, "what", what, "skipped", why));
}
