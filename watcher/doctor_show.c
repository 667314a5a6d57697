/* doctor_show.c - the report of doctor.h, for programs and for people. */
#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/doctor.h"
#include "qfwatch/json_text.h"
#include "qfwatch/moment.h"
#include "qfwatch/plain.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* Lines of text are not longer, where words allow it. */
#define WIDTH 100

static const char *const severities[] = {
	[DOCTOR_NOTE] = "note",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_ERROR] = "error",
};

/* ---- JSON ---- */

static void print_list(char *const *list, size_t count, FILE *to)
{
	fputc('[', to);
	for (size_t i = 0; i < count; i++) {
		if (i)
			fputc(',', to);
		json_text_print(list[i], to);
	}
	fputc(']', to);
}

static void print_finding(const struct doctor_finding *finding, FILE *to)
{
	fprintf(to, "{\"id\":\"%s\",\"severity\":\"%s\",\"tier\":", doctor_name(finding->kind),
		severities[doctor_severity(finding->kind)]);
	if (finding->tier)
		json_text_print(finding->tier, to);
	else
		fputs("null", to);
	fputs(",\"what\":", to);
	json_text_print(finding->what, to);
	fputs(",\"evidence\":", to);
	print_list(finding->evidence, finding->n_evidence, to);
	fputs(",\"remedy\":", to);
	json_text_print(finding->remedy ? finding->remedy : "", to);
	fputc('}', to);
}

void doctor_print_json(const struct doctor_report *report, FILE *to)
{
	char when[MOMENT_TEXT];

	fprintf(to, "{\"version\":\"" QFWATCH_VERSION "\",\"at\":\"%s\",\"took\":%.3f,\"sound\":%s",
		moment_utc(report->at / CLOCK_SECOND, when, sizeof when),
		(double)report->took / 1e9, doctor_sound(report) ? "true" : "false");
	fputs(",\"findings\":[", to);
	for (size_t i = 0; i < report->n_findings; i++) {
		if (i)
			fputc(',', to);
		print_finding(report->findings[i], to);
	}
	fputs("],\"checked\":", to);
	print_list(report->checked.list, report->checked.count, to);
	fputs(",\"unchecked\":", to);
	print_list(report->unchecked.list, report->unchecked.count, to);
	fputs("}\n", to);
}

/* ---- text ---- */

/* Words, broken between them where a line gets too long; what follows the first line is put in.
 * What a terminal would obey is shown (plain.h). */
static void print_words(const char *first, const char *indent, const char *words, FILE *to)
{
	size_t column = strlen(first), size = 8 * strlen(words) + 1;
	char *plain = xcalloc(1, size);
	const char *text = plain;
	bool begins = true;

	plain_add(plain, size, words);
	fputs(first, to);
	while (*text) {
		size_t length = strcspn(text, " ");

		if (!begins && column + 1 + length > WIDTH) {
			fprintf(to, "\n%s", indent);
			column = strlen(indent);
		} else if (!begins) {
			fputc(' ', to);
			column++;
		}
		fwrite(text, 1, length, to);
		column += length;
		text += length + (text[length] == ' ');
		begins = false;
	}
	fputc('\n', to);
	free(plain);
}

static void print_one(const struct doctor_finding *finding, FILE *to)
{
	fprintf(to, "%s  %s", severities[doctor_severity(finding->kind)],
		doctor_name(finding->kind));
	if (finding->tier)
		fprintf(to, "  %s", finding->tier);
	fputc('\n', to);
	print_words("  ", "  ", finding->what, to);
	for (size_t i = 0; i < finding->n_evidence; i++)
		print_words("    - ", "      ", finding->evidence[i], to);
	if (finding->remedy && *finding->remedy)
		print_words("  remedy: ", "          ", finding->remedy, to);
	fputc('\n', to);
}

static void print_lines(const char *title, const struct doctor_lines *lines, FILE *to)
{
	if (!lines->count)
		return;
	fprintf(to, "%s\n", title);
	for (size_t i = 0; i < lines->count; i++)
		print_words("  ", "    ", lines->list[i], to);
}

static void print_number(size_t number, const char *what, FILE *to)
{
	fprintf(to, "%zu %s%s", number, what, units_plural(number, "", "s"));
}

void doctor_print_text(const struct doctor_report *report, FILE *to)
{
	size_t counts[3] = {0};

	for (size_t i = 0; i < report->n_findings; i++) {
		print_one(report->findings[i], to);
		counts[doctor_severity(report->findings[i]->kind)]++;
	}
	print_lines("checked:", &report->checked, to);
	print_lines("could not check:", &report->unchecked, to);
	fputc('\n', to);
	if (doctor_sound(report)) {
		fputs("sound: no errors and no warnings, ", to);
	} else {
		print_number(counts[DOCTOR_ERROR], "error", to);
		fputs(", ", to);
		print_number(counts[DOCTOR_WARNING], "warning", to);
		fputs(", ", to);
	}
	print_number(counts[DOCTOR_NOTE], "note", to);
	fprintf(to, ", in %.1f s\n", (double)report->took / 1e9);
}
