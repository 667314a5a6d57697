/* fuzz_qtext.c - any bytes as a qf: what it tells a policy keeps its promises, and a reader that
 * has read another one before says the same.
 *
 * A libFuzzer target.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/qfile.h"
#include "qfwatch/qtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(3): it must hold whatever NDEBUG says. */
static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_qtext: does not hold: %s\n", what);
	abort();
}

static bool same(struct policy_slice a, struct policy_slice b)
{
	return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Every byte can be read, nothing is folded, and there are no blanks around it. */
static void check_slice(struct policy_slice slice, const char *what)
{
	must(slice.bytes != NULL, what);
	must(!memchr(slice.bytes, '\n', slice.length), what);
	if (slice.length)
		must(!blank(slice.bytes[0]) && !blank(slice.bytes[slice.length - 1]), what);
}

static void check_domain(struct policy_slice domain, struct policy_slice address)
{
	const char *at;

	must(domain.length < address.length, "a domain is shorter than its address");
	must(domain.length == qfile_domain_of(address.bytes, address.length, &at),
	     "a domain is what qfile.c takes for it");
	for (size_t i = 0; i < domain.length; i++)
		must(!(domain.bytes[i] >= 'A' && domain.bytes[i] <= 'Z') &&
			     (unsigned char)domain.bytes[i] > ' ' &&
			     !strchr("@>),;\"", domain.bytes[i]),
		     "the bytes of a domain, in lower case");
}

static void check_text(const struct policy_text *text, size_t size)
{
	size_t sum = text->sender.length + text->status.length;

	check_slice(text->sender, "sender");
	check_slice(text->status, "status");
	must(text->has_sender || text->sender.length == 0, "no S line, no sender");
	for (size_t i = 0; i < text->n_recipients; i++) {
		must(text->recipients[i].length > 0, "no recipient is empty");
		check_slice(text->recipients[i], "recipient");
		check_slice(text->domains[i], "domain");
		check_domain(text->domains[i], text->recipients[i]);
		sum += text->recipients[i].length;
	}
	for (size_t i = 0; i < text->n_headers; i++) {
		const struct policy_header *header = &text->headers[i];

		must(header->name.length > 0 && header->name.length <= 100, "a name's length");
		for (size_t k = 0; k < header->name.length; k++)
			must(header->name.bytes[k] > ' ' && header->name.bytes[k] < 0x7f &&
				     header->name.bytes[k] != ':',
			     "a name's bytes");
		check_slice(header->value, "value");
		sum += header->name.length + header->value.length;
	}
	/* "<>" may stand for less; else nothing is told twice. */
	must(sum <= size + 4 + 2 * text->n_recipients, "no more than there is");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char other[] = "V8\nSX@Y\nMz\nRP:A@B\nH??C: d\n e\n.\n";
	static struct qtext *old;
	struct qtext *fresh = qtext_new();
	struct policy_text text, again;

	if (!old)
		old = qtext_new();
	qtext_read(fresh, (const char *)data, size, &text);
	check_text(&text, size);
	qtext_read(old, other, sizeof(other) - 1, &again);
	must(again.n_recipients == 1 && again.n_headers == 1, "the other one");
	qtext_read(old, (const char *)data, size, &again);
	must(text.has_sender == again.has_sender && same(text.sender, again.sender) &&
		     same(text.status, again.status) && text.n_recipients == again.n_recipients &&
		     text.n_headers == again.n_headers,
	     "what was read before does not matter");
	for (size_t i = 0; i < text.n_recipients; i++)
		must(same(text.recipients[i], again.recipients[i]) &&
			     same(text.domains[i], again.domains[i]),
		     "the same recipients");
	for (size_t i = 0; i < text.n_headers; i++)
		must(same(text.headers[i].name, again.headers[i].name) &&
			     same(text.headers[i].value, again.headers[i].value),
		     "the same headers");
	qtext_free(fresh);
	return 0;
}
