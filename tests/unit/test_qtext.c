/* test_qtext.c - what the text of a qf tells a policy: lines and their continuations, addresses in
 * every dress, sendmail's quoting, and memory that is used again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "qfwatch/qtext.h"

#include "../support/testing.h"

/* Text that may hold NUL bytes, with its length. */
#define TEXT(literal) (literal), sizeof(literal) - 1

/* Copies of exactly their size, so that reading past them is seen. */
struct sample {
	struct qtext *qtext;
	char *bytes;
	struct policy_text text;
};

static void begin(struct sample *sample, const char *bytes, size_t length)
{
	sample->qtext = qtext_new();
	sample->bytes = malloc(length ? length : 1);
	assert_non_null(sample->bytes);
	memcpy(sample->bytes, bytes, length);
	memset(&sample->text, 0x55, sizeof(sample->text));
	qtext_read(sample->qtext, sample->bytes, length, &sample->text);
}

static void end(struct sample *sample)
{
	qtext_free(sample->qtext);
	free(sample->bytes);
}

static void slice_is(struct policy_slice slice, const char *expected, size_t length,
		     const char *what)
{
	if (slice.length != length || memcmp(slice.bytes, expected, length) != 0)
		fail_msg("%s: \"%.*s\", not \"%.*s\"", what, (int)slice.length, slice.bytes,
			 (int)length, expected);
}

#define SLICE(slice, expected) slice_is(slice, TEXT(expected), #slice)

/* ---- what sendmail 8.17 wrote ---- */

static void a_real_one(void **state)
{
	static const char qf[] =
		"V8\nT1795477677\nK1795477677\nN1\nP240103\nI254/0/10954264\n"
		"MDeferred: 451 4.7.1 come again\nF8bs\n$_root@localhost\n${daemon_flags}c u\n"
		"S\"odd @ >sender\"@example.test\nA\"odd+20@+20>sender\"@example.test\n"
		"Malias database unavailable\nrRFC822; root@mx.example.test\nRPFD:root\n"
		"rRFC822; \"quoted >@: user\"@example.net\nRPFD:\"quoted >@: user\"@example.net\n"
		"rRFC822; defer.a@Example.NET\nRPFD:defer.a@Example.NET\n"
		"rRFC822; disp@example.org\nRPFD:Some One <disp@example.org>\n"
		"rRFC822; route@example.org\nRPFD:<@relay.x:route@example.org>\n"
		"RPFD:defer.c@[192.0.2.1]\n"
		"H?P?Return-Path: <\x81g>\n"
		"H??Received: (from root@localhost)\n"
		"\tby mx.example.test (8.17.1.9/8.17.1.9) id 6ANNlvVH006524;\n"
		"\tMon, 23 Nov 2026 23:47:57 GMT\n"
		"H?D?Date: Mon, 23 Nov 2026 23:47:57 GMT\n"
		"H??Subject: Gr\xc3\xbc\xc3\xff\x9f"
		"e \xc3\xff\x84\n\tfolded on\n two\n"
		"H??To: \"A, B\" <a@example.net>\nH??X-Empty:\nH??X-Blank:  y  \n"
		"H??X-FF: a\xff\xff"
		"b\n.\n";
	struct sample s;

	(void)state;
	begin(&s, TEXT(qf));
	assert_true(s.text.has_sender);
	SLICE(s.text.sender, "\"odd @ >sender\"@example.test");
	SLICE(s.text.status, "Deferred: 451 4.7.1 come again");
	assert_int_equal(s.text.n_recipients, 6);
	SLICE(s.text.recipients[0], "root");
	SLICE(s.text.domains[0], "");
	SLICE(s.text.recipients[1], "\"quoted >@: user\"@example.net");
	SLICE(s.text.domains[1], "example.net");
	SLICE(s.text.recipients[2], "defer.a@Example.NET");
	SLICE(s.text.domains[2], "example.net");
	SLICE(s.text.recipients[3], "disp@example.org");
	SLICE(s.text.domains[3], "example.org");
	SLICE(s.text.recipients[4], "route@example.org");
	SLICE(s.text.domains[4], "example.org");
	SLICE(s.text.recipients[5], "defer.c@[192.0.2.1]");
	SLICE(s.text.domains[5], "[192.0.2.1]");
	assert_int_equal(s.text.n_headers, 8);
	SLICE(s.text.headers[0].name, "Return-Path");
	SLICE(s.text.headers[0].value, "<\x81g>");
	SLICE(s.text.headers[1].name, "Received");
	SLICE(s.text.headers[1].value,
	      "(from root@localhost)\tby mx.example.test (8.17.1.9/8.17.1.9) "
	      "id 6ANNlvVH006524;\tMon, 23 Nov 2026 23:47:57 GMT");
	SLICE(s.text.headers[3].value, "Gr\xc3\xbc\xc3\x9f"
				       "e \xc3\x84\tfolded on two");
	SLICE(s.text.headers[4].value, "\"A, B\" <a@example.net>");
	SLICE(s.text.headers[5].name, "X-Empty");
	SLICE(s.text.headers[5].value, "");
	SLICE(s.text.headers[6].value, "y");
	SLICE(s.text.headers[7].value, "a\xff"
				       "b");
	end(&s);
}

/* ---- senders ---- */

static void sender_is(const char *text, size_t length, bool has, const char *expected, size_t size)
{
	struct sample s;

	begin(&s, text, length);
	assert_int_equal(s.text.has_sender, has);
	slice_is(s.text.sender, expected, size, text);
	end(&s);
}

#define SENDER(text, expected) sender_is(TEXT(text), true, TEXT(expected))

static void senders(void **state)
{
	(void)state;
	sender_is(TEXT(""), false, TEXT(""));
	sender_is(TEXT("V8\nH??From: <a@b>\nRP:<c@d>\n.\n"), false, TEXT(""));
	SENDER("Sa@b\n.\n", "a@b");
	SENDER("Sa@b", "a@b");
	SENDER("S<a@b>\n", "a@b");
	SENDER("S < a@b > \r\n", "a@b");
	SENDER("S<>\n", "<>");
	SENDER("S< >\n", "<>");
	SENDER("S<\n", "<>");
	SENDER("S\n", "");
	SENDER("S  \n", "");
	SENDER("Sroot\n", "root");
	/* What stands around an address. */
	SENDER("SA Name <a@b>\n", "a@b");
	SENDER("S\"A <x@y> Name\" <a@b>\n", "a@b");
	SENDER("S\"A \\\" <x@y> Name\" <a@b>\n", "a@b");
	SENDER("SA (<x@y> (z)) <a@b> (more)\n", "a@b");
	SENDER("Sa@b (A Name)\n", "a@b");
	SENDER("S(A Name) a@b\n", "a@b");
	SENDER("S(A) (B) a@b (C)\n", "a@b");
	SENDER("S(A Name)\n", "");
	SENDER("S(A (Name\n", "");
	SENDER("S<a@b\n", "a@b");
	SENDER("Sa@b>\n", "a@b>");
	/* Odd local parts. */
	SENDER("S\"a > b\"@c\n", "\"a > b\"@c");
	SENDER("S<\"a > < b\"@c>\n", "\"a > < b\"@c");
	SENDER("S<a\\>b@c>\n", "a\\>b@c");
	SENDER("S\"a(b\"@c\n", "\"a(b\"@c");
	SENDER("S\"never closed <a@b>\n", "\"never closed <a@b>");
	SENDER("Sa\\\n", "a\\");
	/* Source routes, and what only looks like one. */
	SENDER("S<@x:a@b>\n", "a@b");
	SENDER("S@x,@y:a@b\n", "a@b");
	SENDER("S<@[IPv6:::1]:a@b>\n", "a@b");
	SENDER("S<@x>\n", "@x");
	SENDER("S<a:b@c>\n", "a:b@c");
	SENDER("S<@x:>\n", "");
	/* The last one counts. */
	SENDER("Sa@b\nSc@d\n.\n", "c@d");
	/* Lines go on, though sendmail writes none that does. */
	SENDER("S\"a\n b\"@c\n", "\"a b\"@c");
	SENDER("S\n <a@b>\n", "a@b");
	/* Its quoting. */
	SENDER("S\xc3\xff\x84@b\n", "\xc3\x84@b");
	/* Nothing counts after the end. */
	sender_is(TEXT(".\nSa@b\n"), false, TEXT(""));
	sender_is(TEXT(".\n Sa@b\nSa@b\n"), false, TEXT(""));
	SENDER("..\n.x\nSa@b\n", "a@b");
	sender_is(TEXT(" Sa@b\n\tSa@b\n\n\r\n"), false, TEXT(""));
}

/* sendmail's own bounces: MAIL From:<>, but "SMAILER-DAEMON" in the queue. */
static void responses(void **state)
{
	(void)state;
	SENDER("V8\nFrs\nSMAILER-DAEMON\n.\n", "<>");
	SENDER("V8\nSMAILER-DAEMON\nFwr8\n.\n", "<>");
	SENDER("V8\nF8bs\nSMAILER-DAEMON\n.\n", "MAILER-DAEMON");
	sender_is(TEXT("V8\nFr\n.\n"), false, TEXT(""));
}

/* ---- status ---- */

static void status_is(const char *text, size_t length, const char *expected, size_t size)
{
	struct sample s;

	begin(&s, text, length);
	slice_is(s.text.status, expected, size, text);
	end(&s);
}

#define STATUS(text, expected) status_is(TEXT(text), TEXT(expected))

static void statuses(void **state)
{
	(void)state;
	STATUS("", "");
	STATUS("V8\nSa@b\n.\n", "");
	STATUS("MDeferred: x \nSa@b\n", "Deferred: x");
	STATUS("Mone\nMtwo\nSa@b\nMthree\nRa\n", "two");
	STATUS("Sa@b\nMone\nRa\nMtwo\nRb\n", "one");
	STATUS("Mone\nSa@b\nMtwo\nSc@d\nMthree\n", "one");
	STATUS("M\nSa@b\nMone\n", "");
	STATUS("Mone\n\tmore\nSa@b\n", "one\tmore");
	STATUS("Mone\r\n\tmore\r\nSa@b\n", "one\tmore");
	STATUS("M\xff\xff\xff\x80 \xff\x41\n", "\xff\x80 \xff\x41");
	STATUS("Ma\0b\n", "a\0b");
	STATUS(".\nMone\n", "");
}

/* ---- recipients ---- */

/* "address=domain address=domain" */
static void recipients_are(const char *text, size_t length, const char *expected)
{
	struct sample s;
	char found[512] = "";

	begin(&s, text, length);
	for (size_t i = 0; i < s.text.n_recipients; i++) {
		size_t used = strlen(found);

		snprintf(found + used, sizeof(found) - used, "%s%.*s=%.*s", i ? " " : "",
			 (int)s.text.recipients[i].length, s.text.recipients[i].bytes,
			 (int)s.text.domains[i].length, s.text.domains[i].bytes);
	}
	assert_string_equal(found, expected);
	end(&s);
}

#define RECIPIENTS(text, expected) recipients_are(TEXT(text), expected)

static void recipients(void **state)
{
	(void)state;
	RECIPIENTS("", "");
	RECIPIENTS("V8\nRPFD:a@b\nRPFD:<c@d>\nR:e@f\n.\n", "a@b=b c@d=d e@f=f");
	RECIPIENTS("V1\nRPFD:a@b\n", "a@b=b");
	RECIPIENTS("V 08\nRPFD:a@b\n", "a@b=b");
	/* Before version 1 there are no flags. */
	RECIPIENTS("Ra:b@c\n", "a:b@c=c");
	RECIPIENTS("V0\nRa:b@c\n", "a:b@c=c");
	RECIPIENTS("Vx\nRa:b@c\n", "a:b@c=c");
	RECIPIENTS("V0\nR<a@b>\nV8\nRP:<c@d>\n", "a@b=b c@d=d");
	RECIPIENTS("V8\nR<a@b>\n", "a@b=b");
	/* Colons in the address are its own. */
	RECIPIENTS("V8\nRP:a:b@c\n", "a:b@c=c");
	RECIPIENTS("V8\nRP:\"x: y\"@c\n", "\"x: y\"@c=c");
	RECIPIENTS("V8\nRP:<@r:a@b>\n", "a@b=b");
	/* None. */
	RECIPIENTS("V8\nR\nR \nRP:\nRP: \nR:\n.\n", "");
	RECIPIENTS("V8\nRP:<>\n", "<>=");
	/* Domains. */
	RECIPIENTS("V8\nRP:a@EXAMPLE.Net\nRP:b@example.net.\nRP:c@Y..\n",
		   "a@EXAMPLE.Net=example.net b@example.net.=example.net c@Y..=y");
	RECIPIENTS("V8\nRP:root\nRP:a@\nRP:|/bin/prog\n", "root= a@= |/bin/prog=");
	RECIPIENTS("V8\nRP:A Name <a@b.c> (at@home)\n", "a@b.c=b.c");
	RECIPIENTS("V8\nRP:a@b@C\n", "a@b@C=c");
	RECIPIENTS("V8\nRP:a@[IPv6:::1]\n", "a@[IPv6:::1]=[ipv6:::1]");
	RECIPIENTS("V8\nRP:a@B\xff\x80\n", "a@B\x80=b\x80");
	/* Other lines have none. */
	RECIPIENTS("V8\nCa@x:1:2\nQrfc822;a@y\nrRFC822; a@z\nH??To: <a@h>\n RP:a@c\n", "");
	RECIPIENTS("V8\nRP:a@b\n.\nRP:c@d\n", "a@b=b");
}

static void many_recipients(void **state)
{
	enum { MANY = 20000 };
	size_t size = MANY * 40, length = 0;
	char *text = malloc(size), expected[64];
	struct sample s;
	int n;

	(void)state;
	assert_non_null(text);
	memcpy(text, "V8\n", 3);
	length = 3;
	for (int i = 0; i < MANY; i++)
		length += (size_t)snprintf(text + length, size - length,
					   "RP:U%d@\xc3\xff\x84.D%d\n", i, i);
	begin(&s, text, length);
	assert_int_equal(s.text.n_recipients, MANY);
	for (int i = 0; i < MANY; i++) {
		n = snprintf(expected, sizeof(expected), "U%d@\xc3\x84.D%d", i, i);
		slice_is(s.text.recipients[i], expected, (size_t)n, "address");
		n = snprintf(expected, sizeof(expected), "\xc3\x84.d%d", i);
		slice_is(s.text.domains[i], expected, (size_t)n, "domain");
	}
	/* The same reader, for something small: the large memory goes and nothing of it shows. */
	qtext_read(s.qtext, TEXT("V8\nSa@b\nRP:X@Y\n"), &s.text);
	assert_int_equal(s.text.n_recipients, 1);
	SLICE(s.text.recipients[0], "X@Y");
	SLICE(s.text.domains[0], "y");
	end(&s);
	free(text);
}

/* ---- headers ---- */

/* "Name=value|Name=value" */
static void headers_are(const char *text, size_t length, const char *expected)
{
	struct sample s;
	char found[512] = "";

	begin(&s, text, length);
	for (size_t i = 0; i < s.text.n_headers; i++) {
		size_t used = strlen(found);

		snprintf(found + used, sizeof(found) - used, "%s%.*s=%.*s", i ? "|" : "",
			 (int)s.text.headers[i].name.length, s.text.headers[i].name.bytes,
			 (int)s.text.headers[i].value.length, s.text.headers[i].value.bytes);
	}
	assert_string_equal(found, expected);
	end(&s);
}

#define HEADERS(text, expected) headers_are(TEXT(text), expected)
#define TEN			"aaaaaaaaaa"

static void headers(void **state)
{
	(void)state;
	HEADERS("H??A: b\nH?P?C:d\nHE: f\n.\n", "A=b|C=d|E=f");
	HEADERS("H?${if_addr}?A: b\nH?$x?C: d\nH?\x81x?E: f\n", "A=b|C=d|E=f");
	HEADERS("H??A: b: c?d\n", "A=b: c?d");
	HEADERS("H??A:\nH??B: \t\n", "A=|B=");
	HEADERS("H??A : b\nH??B\t:c\n", "A=b|B=c");
	/* What is no header for sendmail either. */
	HEADERS("H\nH?\nH??\nH?P\nH?P?\nH??A\nH??A b: c\nH??: b\nHA\nH:\n", "");
	HEADERS("H??\xc3\x84: b\nH??A\x7f: b\nH??A\0: b\n", "");
	HEADERS("H??" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN ": b\n",
		TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "=b");
	HEADERS("H??" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "a: b\n", "");
	/* Unfolding: the line breaks go, the white space stays. */
	HEADERS("H??A: b\n c\n\td\n  e\nH??F: g\n", "A=b c\td  e|F=g");
	HEADERS("H??A:\n b\n", "A=b");
	HEADERS("H??A: b\n \n \n", "A=b");
	HEADERS("H??A: b\r\n c\r\nH??D: e\r\n.\r\n", "A=b c|D=e");
	HEADERS("H??A: b\rc\nH??D: e\r\r\n", "A=b\rc|D=e");
	HEADERS("H??A: b\n c", "A=b c");
	HEADERS("H??A: b\n .\n c\n", "A=b . c");
	HEADERS("H??A: b\n\n c\nH??D: e\n", "A=b|D=e");
	HEADERS("H??A\n : b\n", "A=b");
	/* Quoting: only of what sendmail quotes. */
	HEADERS("H??A: \xff\x80\xff\x9f\xff\xff\n", "A=\x80\x9f\xff");
	HEADERS("H??A: \xff\xa0\xff"
		"a\xff\n",
		"A=\xff\xa0\xff"
		"a\xff");
	HEADERS("H??A: \xff\n \x80\n", "A=\xff \x80");
	HEADERS("H??A: \xff\xff\x80\n", "A=\xff\x80");
	HEADERS("H??A: b\n.\nH??C: d\n", "A=b");
}

static void same_memory(void **state)
{
	static const char qf[] = "V8\nSa@b\nRP:c@D\nH??A: b\n c\n.\n";
	struct policy_text first, second;
	struct qtext *qtext = qtext_new();

	(void)state;
	qtext_read(qtext, TEXT(qf), &first);
	for (int i = 0; i < 100; i++) {
		qtext_read(qtext, TEXT(qf), &second);
		assert_ptr_equal(first.recipients, second.recipients);
		assert_ptr_equal(first.domains, second.domains);
		assert_ptr_equal(first.headers, second.headers);
		assert_ptr_equal(first.domains[0].bytes, second.domains[0].bytes);
	}
	/* What needs no change is not copied. */
	assert_true(second.sender.bytes > qf && second.sender.bytes < qf + sizeof(qf));
	assert_true(second.recipients[0].bytes > qf &&
		    second.recipients[0].bytes < qf + sizeof(qf));
	qtext_free(qtext);
	qtext_free(NULL);
}

/* ---- hostile ones ---- */

/* Pieces that mean something, in any order and with any damage: no crash, no endless time, slices
 * that can be read, and the same answer from a reader that has read much before. */
static void random_files(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} pieces[] = {
		{TEXT("\nH??X: a")}, {TEXT("\nRP:<")}, {TEXT("V8\n")},	   {TEXT("RPFD:")},
		{TEXT("S")},	     {TEXT("M")},      {TEXT("H??")},	   {TEXT("X: ")},
		{TEXT("\n")},	     {TEXT("\n ")},    {TEXT("\r\n\t")},   {TEXT("<")},
		{TEXT(">")},	     {TEXT("\"")},     {TEXT("(")},	   {TEXT(")")},
		{TEXT("[")},	     {TEXT("]")},      {TEXT("\\")},	   {TEXT("@")},
		{TEXT(":")},	     {TEXT("a@B.c")},  {TEXT("\xff\x80")}, {TEXT("\xff")},
		{TEXT("\0")},	     {TEXT("?")},      {TEXT(".\n")},	   {TEXT("Fr\n")},
		{TEXT("\n.\n")},     {TEXT("e")},
	};
	uint64_t seed = 20261123;
	struct qtext *old = qtext_new();
	size_t recipients_met = 0, headers_met = 0;

	(void)state;
	for (size_t i = 0; i < testing_scale(200000); i++) {
		char bytes[512];
		size_t length = 0, count = testing_random(&seed) % 60, sum = 0;
		struct policy_text again;
		struct sample s;

		for (size_t k = 0; k < count; k++) {
			size_t which = testing_random(&seed) % N(pieces);

			memcpy(bytes + length, pieces[which].text, pieces[which].length);
			length += pieces[which].length;
		}
		begin(&s, bytes, length);
		qtext_read(old, bytes, length, &again);
		assert_int_equal(s.text.n_recipients, again.n_recipients);
		assert_int_equal(s.text.n_headers, again.n_headers);
		assert_int_equal(s.text.has_sender, again.has_sender);
		slice_is(again.sender, s.text.sender.bytes, s.text.sender.length, "sender");
		slice_is(again.status, s.text.status.bytes, s.text.status.length, "status");
		for (size_t k = 0; k < again.n_recipients; k++) {
			struct policy_slice address = s.text.recipients[k];
			struct policy_slice domain = s.text.domains[k];

			slice_is(again.recipients[k], address.bytes, address.length, "address");
			slice_is(again.domains[k], domain.bytes, domain.length, "domain");
			assert_true(address.length > 0 && domain.length < address.length);
			sum += address.length;
		}
		for (size_t k = 0; k < again.n_headers; k++) {
			struct policy_header header = s.text.headers[k];

			slice_is(again.headers[k].name, header.name.bytes, header.name.length,
				 "name");
			slice_is(again.headers[k].value, header.value.bytes, header.value.length,
				 "value");
			assert_null(memchr(header.value.bytes, '\n', header.value.length));
			sum += header.name.length + header.value.length;
		}
		assert_true(sum <= length);
		recipients_met += again.n_recipients;
		headers_met += again.n_headers;
		end(&s);
	}
	assert_true(recipients_met > testing_scale(200000) / 20);
	assert_true(headers_met > testing_scale(200000) / 20);
	qtext_free(old);
}

/* One line of a megabyte of what makes a careless reader look at the rest again and again. */
static void no_endless_time(void **state)
{
	static const char *const pieces[] = {"(",  "()",     "(a)",  "<",	"@",
					     "@:", "\"",     "\\",   "[",	"\n ",
					     "\n", "\nRP:(", "\nSa", "\nH??A:", "\xff\x80"};
	static const char *const ends[] = {"<", "", ">", ")"};
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE + 16);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < N(pieces); i++) {
		for (size_t k = 0; k < N(ends); k++) {
			size_t step = strlen(pieces[i]), length = 6;
			clock_t began = clock();
			struct sample s;

			memcpy(text, "V8\nRP:", 6);
			for (; length + step <= SIZE; length += step)
				memcpy(text + length, pieces[i], step);
			memcpy(text + length, ends[k], strlen(ends[k]));
			begin(&s, text, length + strlen(ends[k]));
			end(&s);
			/* It takes milliseconds; valgrind is slow. */
			if (!testing_slow())
				assert_true(clock() - began < CLOCKS_PER_SEC);
		}
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_one),	cmocka_unit_test(senders),
		cmocka_unit_test(responses),	cmocka_unit_test(statuses),
		cmocka_unit_test(recipients),	cmocka_unit_test(many_recipients),
		cmocka_unit_test(headers),	cmocka_unit_test(same_memory),
		cmocka_unit_test(random_files), cmocka_unit_test(no_endless_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
