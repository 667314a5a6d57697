/* exposition.c - see exposition.h */
#include "qfwatch/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

#define NANOSECONDS INT64_C(1000000000)

void exposition_free(struct exposition *exposition)
{
	free(exposition->text);
	*exposition = (struct exposition){0};
}

void exposition_clear(struct exposition *exposition)
{
	exposition->length = 0;
}

static void put(struct exposition *exposition, const char *bytes, size_t length)
{
	if (exposition->size - exposition->length < length) {
		exposition->size = (exposition->length + length) * 2;
		exposition->text = xreallocarray(exposition->text, exposition->size, 1);
	}
	memcpy(exposition->text + exposition->length, bytes, length);
	exposition->length += length;
}

static void put_text(struct exposition *exposition, const char *text)
{
	put(exposition, text, strlen(text));
}

/* A quote needs its backslash in a label, and may have none in a help text. */
static void put_escaped(struct exposition *exposition, const char *text, const char *special)
{
	for (;;) {
		size_t plain = strcspn(text, special);

		put(exposition, text, plain);
		text += plain;
		if (!*text)
			return;
		put_text(exposition, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\");
		text++;
	}
}

void exposition_family(struct exposition *exposition, const char *name, enum exposition_kind kind,
		       const char *help)
{
	static const char *const kinds[] = {
		[EXPOSITION_COUNTER] = " counter\n",
		[EXPOSITION_GAUGE] = " gauge\n",
		[EXPOSITION_HISTOGRAM] = " histogram\n",
	};

	exposition->name = name;
	put_text(exposition, "# HELP ");
	put_text(exposition, name);
	put_text(exposition, " ");
	put_escaped(exposition, help, "\\\n");
	put_text(exposition, "\n# TYPE ");
	put_text(exposition, name);
	put_text(exposition, kinds[kind]);
}

static void put_labels(struct exposition *exposition, const struct exposition_label *labels,
		       size_t n_labels)
{
	for (size_t i = 0; i < n_labels; i++) {
		put_text(exposition, i ? "," : "{");
		put_text(exposition, labels[i].name);
		put_text(exposition, "=\"");
		put_escaped(exposition, labels[i].value, "\\\"\n");
		put_text(exposition, "\"");
	}
	put_text(exposition, n_labels ? "} " : " ");
}

static void put_number(struct exposition *exposition, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, value);
	put_text(exposition, text);
}

/* Seconds without a zero at their end. */
static void put_nanoseconds(struct exposition *exposition, uint64_t nanoseconds)
{
	uint64_t part = nanoseconds % NANOSECONDS;
	char text[16];
	size_t length;

	put_number(exposition, nanoseconds / NANOSECONDS);
	if (!part)
		return;
	length = (size_t)snprintf(text, sizeof text, ".%09" PRIu64, part);
	while (text[length - 1] == '0')
		length--;
	put(exposition, text, length);
}

void exposition_number(struct exposition *exposition, const struct exposition_label *labels,
		       size_t n_labels, uint64_t value)
{
	put_text(exposition, exposition->name);
	put_labels(exposition, labels, n_labels);
	put_number(exposition, value);
	put_text(exposition, "\n");
}

void exposition_nanoseconds(struct exposition *exposition, const struct exposition_label *labels,
			    size_t n_labels, int64_t nanoseconds)
{
	put_text(exposition, exposition->name);
	put_labels(exposition, labels, n_labels);
	if (nanoseconds < 0)
		put_text(exposition, "-");
	put_nanoseconds(exposition,
			nanoseconds < 0 ? -(uint64_t)nanoseconds : (uint64_t)nanoseconds);
	put_text(exposition, "\n");
}

void exposition_histogram(struct exposition *exposition, const int64_t *bounds, size_t n,
			  const uint64_t *counts, uint64_t sum)
{
	uint64_t up_to = 0;

	for (size_t i = 0; i <= n; i++) {
		up_to += counts[i];
		put_text(exposition, exposition->name);
		put_text(exposition, "_bucket{le=\"");
		if (i < n)
			put_nanoseconds(exposition, (uint64_t)bounds[i]);
		else
			put_text(exposition, "+Inf");
		put_text(exposition, "\"} ");
		put_number(exposition, up_to);
		put_text(exposition, "\n");
	}
	put_text(exposition, exposition->name);
	put_text(exposition, "_sum ");
	put_nanoseconds(exposition, sum);
	put_text(exposition, "\n");
	put_text(exposition, exposition->name);
	put_text(exposition, "_count ");
	put_number(exposition, up_to);
	put_text(exposition, "\n");
}
