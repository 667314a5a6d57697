/* test_qfile.c - what a qf says: every verdict, numbers at their limits, any bytes in any pieces;
 * and the domains of its recipients.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/qfile.h"

#include "../support/testing.h"

/* Text that may hold NUL bytes, with its length. */
#define TEXT(literal) (literal), sizeof(literal) - 1

static enum qfile_verdict parse(const char *text, size_t length, size_t piece, struct qfile *ret)
{
	struct qfile_reader reader;

	qfile_begin(&reader);
	for (size_t at = 0; at < length; at += piece) {
		size_t n = length - at < piece ? length - at : piece;
		/* A copy of exactly that size, so that reading past it is seen. */
		char *bytes = malloc(n);

		assert_non_null(bytes);
		memcpy(bytes, text + at, n);
		qfile_feed(&reader, bytes, n);
		free(bytes);
	}
	return qfile_end(&reader, ret);
}

static bool same(const struct qfile *a, const struct qfile *b)
{
	return a->created == b->created && a->last_attempt == b->last_attempt &&
	       a->attempts == b->attempts && a->recipients == b->recipients &&
	       a->data_elsewhere == b->data_elsewhere && a->quarantined == b->quarantined &&
	       a->has_sender == b->has_sender;
}

struct sample {
	const char *text;
	size_t length;
	enum qfile_verdict verdict;
	struct qfile file; /* with QFILE_OK */
};

/* In all pieces from one byte to the whole. */
static void judge(const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sample *s = &samples[i];

		for (size_t piece = 1; piece <= s->length + 1; piece++) {
			struct qfile file = {.created = 77}, untouched = file;
			enum qfile_verdict verdict = parse(s->text, s->length, piece, &file);

			if (verdict != s->verdict)
				fail_msg("sample %zu in pieces of %zu: \"%s\", not \"%s\"", i,
					 piece, qfile_verdict_text(verdict),
					 qfile_verdict_text(s->verdict));
			if (!same(&file, verdict == QFILE_OK ? &s->file : &untouched))
				fail_msg("sample %zu in pieces of %zu: other fields", i, piece);
		}
	}
}

/* ---- verdicts ---- */

static void verdicts(void **state)
{
	static const struct sample samples[] = {
		{TEXT("V8\nT100\nK200\nN3\nP40000\n.\n"), QFILE_OK, {100, 200, 3, 0, 0, 0, false}},
		{TEXT(""), QFILE_EMPTY, {0}},
		{TEXT("\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("V"), QFILE_INCOMPLETE, {0}},
		{TEXT("V8\nT100\nN3\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("V8\nT100\nN3"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n. \n"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n..\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n.."), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n .\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n.\r\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n.\0\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\n\0.\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("T100\nN3\nx.\n"), QFILE_INCOMPLETE, {0}},
		/* Incomplete outweighs what is wrong before it: it may be written anew. */
		{TEXT("Tx\nN3\n"), QFILE_INCOMPLETE, {0}},
		{TEXT("."), QFILE_NO_CREATED, {0}},
		{TEXT(".\n"), QFILE_NO_CREATED, {0}},
		{TEXT("N3\nK1\n.\n"), QFILE_NO_CREATED, {0}},
		{TEXT(" T100\nN3\n.\n"), QFILE_NO_CREATED, {0}},
		{TEXT("t100\nN3\n.\n"), QFILE_NO_CREATED, {0}},
		{TEXT("T100\nK1\n.\n"), QFILE_NO_ATTEMPTS, {0}},
		{TEXT("T100\n\tN3\n.\n"), QFILE_NO_ATTEMPTS, {0}},
		{TEXT("T\nN3\n.\n"), QFILE_BAD_CREATED, {0}},
		{TEXT("Tx\nN3\n.\n"), QFILE_BAD_CREATED, {0}},
		{TEXT("T0\nN3\n.\n"), QFILE_BAD_CREATED, {0}},
		{TEXT("T1\nKx\nN3\n.\n"), QFILE_BAD_LAST_ATTEMPT, {0}},
		{TEXT("T1\nK\nN3\n.\n"), QFILE_BAD_LAST_ATTEMPT, {0}},
		{TEXT("T1\nNx\n.\n"), QFILE_BAD_ATTEMPTS, {0}},
		{TEXT("T1\nN\n.\n"), QFILE_BAD_ATTEMPTS, {0}},
		{TEXT("T1\nT1\nN3\n.\n"), QFILE_TWICE, {0}},
		{TEXT("T1\nT2\nN3\n.\n"), QFILE_TWICE, {0}},
		{TEXT("T1\nN3\nK0\nK0\n.\n"), QFILE_TWICE, {0}},
		{TEXT("T1\nN3\nN3\n.\n"), QFILE_TWICE, {0}},
		{TEXT("T1\nN3\n.\nT1\n"), QFILE_TRAILING, {0}},
		{TEXT("T1\nN3\n.\n\n"), QFILE_TRAILING, {0}},
		{TEXT("T1\nN3\n.\n.\n"), QFILE_TRAILING, {0}},
		{TEXT("T1\nN3\n.\n "), QFILE_TRAILING, {0}},
		{TEXT("T1\nN3\n.\n\0"), QFILE_TRAILING, {0}},
		/* The first thing that is wrong is what counts. */
		{TEXT("Nx\nTx\n.\n"), QFILE_BAD_ATTEMPTS, {0}},
		{TEXT("T1\nT1\nNx\n.\n"), QFILE_TWICE, {0}},
		{TEXT("T1\nNx\n.\nmore\n"), QFILE_BAD_ATTEMPTS, {0}},
	};
	bool seen[QFILE_TRAILING + 1] = {false};

	(void)state;
	judge(samples, N(samples));
	for (size_t i = 0; i < N(samples); i++)
		seen[samples[i].verdict] = true;
	for (size_t i = 0; i < N(seen); i++)
		assert_true(seen[i]);
}

static void verdicts_have_words(void **state)
{
	(void)state;
	for (int i = QFILE_OK; i <= QFILE_TRAILING; i++) {
		const char *words = qfile_verdict_text((enum qfile_verdict)i);

		assert_true(strlen(words) >= 5);
		assert_string_not_equal(words, "unknown");
		for (int k = QFILE_OK; k < i; k++)
			assert_string_not_equal(words, qfile_verdict_text((enum qfile_verdict)k));
	}
}

static void layout_of_lines(void **state)
{
	static const struct sample samples[] = {
		/* In any order; no K; the final "." with and without its newline. */
		{TEXT("T1\nK2\nN3\n.\n"), QFILE_OK, {1, 2, 3, 0, 0, 0, false}},
		{TEXT("N3\nK2\nT1\n."), QFILE_OK, {1, 2, 3, 0, 0, 0, false}},
		{TEXT("K2\nN3\nT1\n.\n"), QFILE_OK, {1, 2, 3, 0, 0, 0, false}},
		{TEXT("N3\nT1\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		{TEXT("R<a>\nN3\nH??X: y\nT1\n.\n"), QFILE_OK, {1, 0, 3, 1, 0, 0, false}},
		/* Continuations that look like something else. */
		{TEXT("T1\nN3\nH??X: y\n .\n\t.\n T9\n\tN9\n.\n"),
		 QFILE_OK,
		 {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\nH??X: y\n . \n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		/* What counts and what does not. */
		{TEXT("T1\nN3\nRP:<a@b>\nR<c@d>\nS<r>\nrR\n.\n"),
		 QFILE_OK,
		 {1, 0, 3, 2, 0, 0, true}},
		{TEXT("T1\nN3\nS\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, true}},
		{TEXT("T1\nN3\nH??S: x\n S<a>\nsx\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\nd/var/spool/other\n.\n"), QFILE_OK, {1, 0, 3, 0, true, 0, false}},
		{TEXT("T1\nN3\nDx\nqa reason\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, true, false}},
		{TEXT("T1\nN3\nQx\nH??d: q\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		/* Empty lines, NUL and raw bytes. */
		{TEXT("\n\nT1\n\nN3\n\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\n\0T5\n\0.\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\n\0\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\nH?P?Return-Path: <\x81g>\n\x81\n\xff.\n.\n"),
		 QFILE_OK,
		 {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\nH?P?X: \0 y\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
		{TEXT("T1\nN3\n...\n. .\n.x\n.\n"), QFILE_OK, {1, 0, 3, 0, 0, 0, false}},
	};

	(void)state;
	judge(samples, N(samples));
}

/* ---- numbers ---- */

static void number(const char *text, size_t length, bool good, uint32_t value)
{
	static const struct {
		const char *format;
		enum qfile_verdict bad;
	} lines[] = {
		{"T%\nN3\n.\n", QFILE_BAD_CREATED},
		{"T1\nN%\n.\n", QFILE_BAD_ATTEMPTS},
		{"T1\nN3\nK%\n.\n", QFILE_BAD_LAST_ATTEMPT},
	};

	for (size_t i = 0; i < N(lines); i++) {
		const char *place = strchr(lines[i].format, '%');
		size_t before = (size_t)(place - lines[i].format), after = strlen(place + 1);
		char whole[128];
		/* Anything may be 0, but not the time of creation. */
		bool sound = good && (i > 0 || value);
		struct sample sample = {whole,
					before + length + after,
					sound ? QFILE_OK : lines[i].bad,
					{1, 0, 3, 0, 0, 0, false}};

		memcpy(whole, lines[i].format, before);
		memcpy(whole + before, text, length);
		memcpy(whole + before + length, place + 1, after);
		*(i == 0   ? &sample.file.created
		  : i == 1 ? &sample.file.attempts
			   : &sample.file.last_attempt) = value;
		judge(&sample, 1);
	}
}

static void numbers(void **state)
{
	(void)state;
	number(TEXT("0"), true, 0);
	number(TEXT("1"), true, 1);
	number(TEXT("007"), true, 7);
	number(TEXT("2147483648"), true, 2147483648u);
	number(TEXT("4294967295"), true, UINT32_MAX);
	number(TEXT("4294967296"), false, 0);
	number(TEXT("4294967297"), false, 0);
	number(TEXT("42949672950"), false, 0);
	number(TEXT("9999999999"), false, 0);
	/* Past 64 bits, where a sum that wraps would be small again. */
	number(TEXT("18446744073709551615"), false, 0);
	number(TEXT("18446744073709551616"), false, 0);
	number(TEXT("18446744073709551617"), false, 0);
	number(TEXT("99999999999999999999"), false, 0);
	number(TEXT("1000000000000000000000000000000000000000"), false, 0);
	number(TEXT("340282366920938463463374607431768211457"), false, 0);
	/* Leading zeros are taken while the line is as long as any sendmail writes. */
	number(TEXT("00000000000000000005"), true, 5);
	number(TEXT("0000000000000000000000000000000000000005"), false, 0);
	number(TEXT("-1"), false, 0);
	number(TEXT("+1"), false, 0);
	number(TEXT("--1"), false, 0);
	number(TEXT(" 1"), false, 0);
	number(TEXT("1 "), false, 0);
	number(TEXT("\t1"), false, 0);
	number(TEXT("1\r"), false, 0);
	number(TEXT("1\0"), false, 0);
	number(TEXT("\0"), false, 0);
	number(TEXT("\0001"), false, 0);
	number(TEXT("1\0002"), false, 0);
	number(TEXT("0x10"), false, 0);
	number(TEXT("1e3"), false, 0);
	number(TEXT("1.0"), false, 0);
	number(TEXT("1,000"), false, 0);
	number(TEXT("\x81"), false, 0);
	number(TEXT("\xd9\xa1"), false, 0); /* a digit, but an Arabic one */
	number(TEXT("1/"), false, 0);
	number(TEXT("1:"), false, 0);
}

/* ---- random files ---- */

/* A second reader, of whole lines, that shares nothing with the first. */
struct model {
	struct qfile file;
	enum qfile_verdict verdict;
	unsigned t, k, n;
};

static void object(struct model *model, enum qfile_verdict verdict)
{
	if (model->verdict == QFILE_OK)
		model->verdict = verdict;
}

static void model_number(struct model *model, const char *line, size_t length, unsigned *seen,
			 uint32_t *value, enum qfile_verdict bad)
{
	size_t digits = 0, zeros = 0;

	if ((*seen)++)
		object(model, QFILE_TWICE);
	while (digits < length && strchr("0123456789", line[digits]) && line[digits])
		digits++;
	while (zeros + 1 < digits && line[zeros] == '0')
		zeros++;
	if (digits != length || !digits || digits > 24 || digits - zeros > 10 ||
	    (digits - zeros == 10 && memcmp(line + zeros, "4294967295", 10) > 0)) {
		object(model, bad);
		return;
	}
	*value = 0;
	for (size_t i = zeros; i < digits; i++)
		*value = *value * 10 + (uint32_t)(line[i] - '0');
}

static enum qfile_verdict model_parse(const char *text, size_t length, struct qfile *ret)
{
	struct model m = {0};
	bool ended = false;

	if (!length)
		return QFILE_EMPTY;
	for (size_t at = 0; at < length;) {
		size_t end = at;
		const char *rest = text + at + 1;

		if (ended) {
			object(&m, QFILE_TRAILING);
			break;
		}
		while (end < length && text[end] != '\n')
			end++;
		if (end - at == 1 && text[at] == '.')
			ended = true;
		else if (end == length)
			break;
		else if (end > at && text[at] == 'T') {
			model_number(&m, rest, end - at - 1, &m.t, &m.file.created,
				     QFILE_BAD_CREATED);
			if (!m.file.created)
				object(&m, QFILE_BAD_CREATED);
		} else if (end > at && text[at] == 'K')
			model_number(&m, rest, end - at - 1, &m.k, &m.file.last_attempt,
				     QFILE_BAD_LAST_ATTEMPT);
		else if (end > at && text[at] == 'N')
			model_number(&m, rest, end - at - 1, &m.n, &m.file.attempts,
				     QFILE_BAD_ATTEMPTS);
		m.file.recipients += end > at && text[at] == 'R';
		m.file.data_elsewhere |= end > at && text[at] == 'd';
		m.file.quarantined |= end > at && text[at] == 'q';
		m.file.has_sender |= end > at && text[at] == 'S';
		at = end + 1;
	}
	if (!ended)
		return QFILE_INCOMPLETE;
	if (m.verdict != QFILE_OK)
		return m.verdict;
	if (!m.t)
		return QFILE_NO_CREATED;
	if (!m.n)
		return QFILE_NO_ATTEMPTS;
	*ret = m.file;
	return QFILE_OK;
}

static size_t random_file(uint64_t *seed, char *text, size_t size)
{
	static const struct {
		const char *text;
		size_t length;
	} lines[] = {
		{TEXT("T1700000000\n")},
		{TEXT("N3\n")},
		{TEXT("K1700000001\n")},
		{TEXT("V8\n")},
		{TEXT("RPFD:<a@b.example>\n")},
		{TEXT("H?P?Return-Path: <\x81g>\n")},
		{TEXT("S<a@b.example>\n")},
		{TEXT(" .\n")},
		{TEXT("\t T1\n")},
		{TEXT("\n")},
		{TEXT(".x\n")},
		{TEXT("d/else\n")},
		{TEXT("qheld\n")},
		{TEXT("\0T1\n")},
		{TEXT("N000000000000000000000012\n")},
		{TEXT("K99999999999\n")},
		{TEXT("T-1\n")},
		{TEXT("Nx\n")},
		{TEXT(".\n")},
	};
	size_t length = 0, count = testing_random(seed) % 12;
	uint64_t style = testing_random(seed) % 8;

	/* Most begin as a sound one does, or none would be. */
	if (style < 6) {
		memcpy(text, "T17\nN4\n", 7);
		length = 7;
	}
	for (size_t i = 0; i < count && length + 64 < size; i++) {
		/* The first two make a file with two T lines, the last one ends it: seldom. */
		size_t which = testing_random(seed) % (style < 5 ? 14 : N(lines));

		if (style < 5 && which < 2)
			which += 3;
		memcpy(text + length, lines[which].text, lines[which].length);
		length += lines[which].length;
		if (testing_random(seed) % 16 == 0)
			text[length++] = (char)testing_random(seed);
	}
	if (style != 7) {
		memcpy(text + length, ".\n", 2);
		length += 2 - testing_random(seed) % 2;
	}
	/* Now and then a byte that is another. */
	if (length && testing_random(seed) % 4 == 0)
		text[testing_random(seed) % length] = (char)testing_random(seed);
	return length;
}

static void random_files(void **state)
{
	uint64_t seed = 20261122;
	size_t files = testing_scale(4000), sound = 0, met[QFILE_TRAILING + 1] = {0};

	(void)state;
	for (size_t i = 0; i < files; i++) {
		char text[1024];
		size_t length = random_file(&seed, text, sizeof(text));
		struct qfile expected = {0}, file;
		enum qfile_verdict verdict = model_parse(text, length, &expected);

		for (size_t piece = 1; piece <= length + 1; piece++) {
			memset(&file, 0, sizeof(file));
			assert_int_equal(parse(text, length, piece, &file), verdict);
			assert_true(same(&file, &expected));
		}
		met[verdict]++;
		sound += verdict == QFILE_OK;
	}
	/* The files are worth something: many are sound, and all kinds come up. */
	assert_true(sound > files / 5);
	for (size_t i = 0; i < N(met); i++)
		assert_true(met[i] > 0);
}

/* Bytes that come in pieces of changing size, empty ones among them. */
static void random_pieces(void **state)
{
	uint64_t seed = 4711;

	(void)state;
	for (size_t i = 0; i < testing_scale(20000); i++) {
		char text[1024];
		size_t length = random_file(&seed, text, sizeof(text)), at = 0;
		struct qfile expected = {0}, file = {0};
		enum qfile_verdict verdict = model_parse(text, length, &expected);
		struct qfile_reader reader;

		qfile_begin(&reader);
		while (at < length) {
			size_t piece = testing_random(&seed) % 40;

			if (piece > length - at)
				piece = length - at;
			qfile_feed(&reader, text + at, piece);
			at += piece;
		}
		assert_int_equal(qfile_end(&reader, &file), verdict);
		assert_true(same(&file, &expected));
	}
}

/* ---- domains ---- */

static void domains_are(const char *text, size_t length, size_t max, size_t size, bool cut,
			const char *expected)
{
	const char *domains[64];
	char *copy = malloc(length), *buffer = malloc(size), found[512] = "";
	bool was_cut = !cut;
	size_t count;

	assert_true(copy && buffer && max <= N(domains));
	memcpy(copy, text, length);
	count = qfile_domains(copy, length, domains, max, buffer, size, &was_cut);
	assert_true(count <= max);
	for (size_t i = 0; i < count; i++) {
		assert_true(domains[i] >= buffer && domains[i] < buffer + size);
		strcat(found, i ? " " : "");
		strcat(found, domains[i]);
	}
	assert_string_equal(found, expected);
	assert_int_equal(was_cut, cut);
	free(copy);
	free(buffer);
}

#define DOMAINS(text, expected) domains_are(text, sizeof(text) - 1, 8, 256, false, expected)

static void domains(void **state)
{
	(void)state;
	DOMAINS("", "");
	DOMAINS("\n", "");
	DOMAINS("R\n", "");
	DOMAINS("RPFD:<a@example.net>\n", "example.net");
	DOMAINS("RPFD:a@example.net", "example.net");
	DOMAINS("R<a@one>\nR<b@two>\nR<c@three>\n", "one two three");
	/* Case, and what is the same. */
	DOMAINS("R<a@Example.NET>\nR<b@example.net>\nR<c@EXAMPLE.net>\n", "example.net");
	DOMAINS("R<a@AZaz09-_>\n", "azaz09-_");
	DOMAINS("R<a@x>\nR<b@xx>\nR<c@x>\n", "x xx");
	/* Other lines have none. */
	DOMAINS("S<a@sender>\nH??To: <a@header>\nrRFC822; a@orig\nC:<a@control>\nR<a@x>\n", "x");
	DOMAINS("H??X: y\n R<a@continued>\n", "");
	DOMAINS("SR<a@x>\nMRR\nH??R: R@x\nRR<R@R>\nR\nCR@x\n", "r");
	/* No @; several. */
	DOMAINS("R<postmaster>\n", "");
	DOMAINS("RPFD:root\nR<a@x>\n", "x");
	DOMAINS("R<a@b@c.example>\n", "c.example");
	DOMAINS("R<\"a@b\"@c.example>\n", "c.example");
	DOMAINS("R<@relay,@other:a@c.example>\n", "c.example");
	DOMAINS("R<a@>\nR<@>\nR@\n", "");
	/* What ends a domain. */
	DOMAINS("R<a@x.example> NOTIFY=NEVER\n", "x.example");
	DOMAINS("Ra@x.example, more\n", "x.example");
	DOMAINS("Ra@x.example;y\n", "x.example");
	DOMAINS("R(a@x.example)\n", "x.example");
	DOMAINS("R\"a@x.example\"\n", "x.example");
	DOMAINS("Ra@x.example\r\n", "x.example");
	DOMAINS("Ra@x.example\0y\n", "x.example");
	DOMAINS("R<a@x.example.>\nR<a@y...>\nR<a@.>\n", "x.example y");
	DOMAINS("R<a@[192.0.2.1]>\n", "[192.0.2.1]");
	DOMAINS("R<a@\x81\xc3\xa4>\n", "\x81\xc3\xa4");
}

static void domains_are_cut(void **state)
{
	static const char four[] = "R<a@aa>\nR<a@bb>\nR<b@AA>\nR<a@cc>\n";

	(void)state;
	/* By their number: those that are known already take no place. */
	domains_are(TEXT(four), 3, 64, false, "aa bb cc");
	domains_are(TEXT(four), 2, 64, true, "aa bb");
	domains_are(TEXT(four), 1, 64, true, "aa");
	domains_are(TEXT(four), 0, 64, true, "");
	domains_are(TEXT("R<a@aa>\nR<b@aa>\n"), 1, 64, false, "aa");
	/* By the buffer: each takes one byte more than its length. */
	domains_are(TEXT(four), 8, 9, false, "aa bb cc");
	domains_are(TEXT(four), 8, 8, true, "aa bb");
	domains_are(TEXT(four), 8, 6, true, "aa bb");
	domains_are(TEXT(four), 8, 5, true, "aa");
	domains_are(TEXT(four), 8, 2, true, "");
	domains_are(TEXT("RPFD:root\n"), 0, 1, false, "");
}

static void domain_of(void **state)
{
	const char *domain = "untouched";

	(void)state;
	assert_int_equal(qfile_domain_of(TEXT("a@b@Example.net."), &domain), 11);
	assert_memory_equal(domain, "Example.net", 11);
	assert_int_equal(qfile_domain_of(TEXT("RPFD:<a@x> more"), &domain), 1);
	assert_int_equal(*domain, 'x');
	domain = NULL;
	assert_int_equal(qfile_domain_of(TEXT("root"), &domain), 0);
	assert_int_equal(qfile_domain_of(TEXT(""), &domain), 0);
	assert_null(domain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),	   cmocka_unit_test(verdicts_have_words),
		cmocka_unit_test(layout_of_lines), cmocka_unit_test(numbers),
		cmocka_unit_test(random_files),	   cmocka_unit_test(random_pieces),
		cmocka_unit_test(domains),	   cmocka_unit_test(domains_are_cut),
		cmocka_unit_test(domain_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
