/* fuzz_qfile.c - any bytes as a qf: whole and in pieces must agree, and the domains of its
 * recipients keep their promises.
 *
 * A libFuzzer target. The first byte is not part of the file: it chooses the size of the pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/qfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(3): it must hold whatever NDEBUG says. */
static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_qfile: does not hold: %s\n", what);
	abort();
}

static enum qfile_verdict parse(const char *bytes, size_t length, size_t piece, struct qfile *ret)
{
	struct qfile_reader reader;

	qfile_begin(&reader);
	for (size_t at = 0; at < length; at += piece)
		qfile_feed(&reader, bytes + at, length - at < piece ? length - at : piece);
	return qfile_end(&reader, ret);
}

static bool same(const struct qfile *a, const struct qfile *b)
{
	return a->created == b->created && a->last_attempt == b->last_attempt &&
	       a->attempts == b->attempts && a->recipients == b->recipients &&
	       a->data_elsewhere == b->data_elsewhere && a->quarantined == b->quarantined &&
	       a->has_sender == b->has_sender;
}

static bool has_final_dot(const char *bytes, size_t length)
{
	if (length && bytes[length - 1] == '\n')
		length--;
	return length && bytes[length - 1] == '.' && (length == 1 || bytes[length - 2] == '\n');
}

static void check_reading(const char *bytes, size_t length, size_t piece)
{
	struct qfile whole = {0}, pieces = {0}, bytewise = {0};
	enum qfile_verdict verdict = parse(bytes, length, length + 1, &whole);

	must(parse(bytes, length, piece, &pieces) == verdict, "pieces have the same verdict");
	must(parse(bytes, length, 1, &bytewise) == verdict, "bytes have the same verdict");
	must(same(&whole, &pieces) && same(&whole, &bytewise), "pieces say the same");
	must((verdict == QFILE_EMPTY) == (length == 0), "empty is empty");
	must(qfile_verdict_text(verdict)[0] != 0, "a verdict has words");
	if (verdict == QFILE_OK) {
		must(has_final_dot(bytes, length), "a sound one is complete");
		/* What is cut short is never sound. */
		must(parse(bytes, length - 2, length, &pieces) != QFILE_OK, "cut short");
	} else {
		must(same(&whole, &(struct qfile){0}), "nothing is told of an unsound one");
	}
}

static void check_domains(const char *bytes, size_t length, size_t max, size_t size)
{
	const char *domains[32];
	char buffer[300];
	const char *next = buffer;
	bool cut;
	size_t count;

	memset(buffer, '!', sizeof(buffer));
	count = qfile_domains(bytes, length, domains, max, buffer, size, &cut);
	must(count <= max, "no more than asked for");
	for (size_t i = 0; i < count; i++) {
		size_t n;

		must(domains[i] == next, "one after the other");
		n = strnlen(next, (size_t)(buffer + size - next));
		must(next + n < buffer + size, "each ends in the buffer");
		must(n > 0, "none is empty");
		must(next[n - 1] != '.', "no dot at the end");
		for (size_t k = 0; k < n; k++)
			must((unsigned char)next[k] > ' ' && !strchr("@>),;\"", next[k]) &&
				     !(next[k] >= 'A' && next[k] <= 'Z'),
			     "the bytes of a domain, in lower case");
		for (size_t k = 0; k < i; k++)
			must(strcmp(domains[k], domains[i]) != 0, "none twice");
		next += n + 1;
	}
	for (const char *rest = next; rest < buffer + sizeof(buffer); rest++)
		must(*rest == '!', "nothing is written past the last");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data + 1;

	if (!size)
		return 0;
	check_reading(bytes, size - 1, data[0] + 1u);
	check_domains(bytes, size - 1, 32, 300);
	check_domains(bytes, size - 1, data[0] % 33u, data[0]);
	return 0;
}
