/* qtext.c - see qtext.h */
#include "qfwatch/qtext.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/qfile.h"
#include "qfwatch/xalloc.h"

/* What stays allocated between two calls. */
enum { KEEP_TEXT = 256 * 1024, KEEP_ITEMS = 4096 };

/* A longer name ends the headers for sendmail ("security scan" in dochompheader()). */
enum { HEADER_NAME_MAX = 100 };

struct qtext {
	/* What had to be unfolded, unquoted or lower-cased. Each byte of a qf comes here twice at
	 * the most (an address, and its domain), so it is made large enough once per call and the
	 * slices into it hold. */
	char *text;
	size_t text_used, text_size;
	struct policy_slice *recipients, *domains;
	size_t n_recipients, recipients_size;
	struct policy_header *headers;
	size_t n_headers, headers_size;
};

struct qtext *qtext_new(void)
{
	return xcalloc(1, sizeof(struct qtext));
}

static void drop(struct qtext *qtext)
{
	free(qtext->text);
	free(qtext->recipients);
	free(qtext->domains);
	free(qtext->headers);
	*qtext = (struct qtext){0};
}

void qtext_free(struct qtext *qtext)
{
	if (!qtext)
		return;
	drop(qtext);
	free(qtext);
}

static void begin(struct qtext *qtext)
{
	if (qtext->text_size > KEEP_TEXT || qtext->recipients_size > KEEP_ITEMS ||
	    qtext->headers_size > KEEP_ITEMS)
		drop(qtext);
	qtext->text_used = 0;
	qtext->n_recipients = 0;
	qtext->n_headers = 0;
}

/* Room for what one line may become. The first time in a call it is room for all: only then may
 * the old memory go, as nothing points into it. Most qf never come here. */
static char *room(struct qtext *qtext, size_t length)
{
	if (qtext->text_used == 0 && qtext->text_size < 2 * length) {
		free(qtext->text);
		qtext->text_size = 2 * length;
		qtext->text = xreallocarray(NULL, qtext->text_size, 1);
	}
	return qtext->text + qtext->text_used;
}

/* ---- slices ---- */

static struct policy_slice slice(const char *bytes, const char *end)
{
	return (struct policy_slice){bytes, (size_t)(end - bytes)};
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct policy_slice trim(struct policy_slice s)
{
	while (s.length && blank(s.bytes[0])) {
		s.bytes++;
		s.length--;
	}
	while (s.length && blank(s.bytes[s.length - 1]))
		s.length--;
	return s;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* ---- lines ---- */

/* One line with its continuations. */
struct line {
	char letter;
	bool folded;
	struct policy_slice rest; /* after the letter, without the last line break */
};

struct reader {
	struct qtext *qtext;
	const char *at, *end;
	size_t length; /* of the whole qf */
	long version;
	bool response;
	bool has_status;
	struct policy_text *text;
};

/* The next line that has a letter. Returns false at the end. */
static bool next_line(struct reader *reader, struct line *ret)
{
	const char *begin, *stop;

	/* An empty line, and one that continues nothing, says nothing. */
	while (reader->at < reader->end && blank(*reader->at)) {
		stop = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
		reader->at = stop ? stop + 1 : reader->end;
	}
	if (reader->at == reader->end)
		return false;
	begin = reader->at;
	ret->letter = *begin;
	ret->folded = false;
	for (;;) {
		stop = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
		if (!stop) {
			stop = reader->at = reader->end;
			break;
		}
		reader->at = stop + 1;
		if (reader->at == reader->end || (*reader->at != ' ' && *reader->at != '\t'))
			break;
		/* The line "." ends the file; what follows is not its continuation. */
		if (*begin == '.' && stop == begin + 1)
			break;
		ret->folded = true;
	}
	ret->rest = slice(begin + 1, stop);
	if (ret->rest.length && ret->rest.bytes[ret->rest.length - 1] == '\r')
		ret->rest.length--;
	return true;
}

/* The bytes that sendmail quotes (SM_MM_QUOTE in include/sm/sendmail.h). */
static bool is_quoted(char c)
{
	return ((unsigned char)c & 0xe0) == 0x80 || (unsigned char)c == 0xff;
}

/* Copies without sendmail's quoting. Returns the end of the copy. */
static char *unquote(char *to, const char *from, size_t length)
{
	const char *end = from + length;

	while (from < end) {
		const char *quote = memchr(from, 0xff, (size_t)(end - from));

		if (!quote)
			return mempcpy(to, from, (size_t)(end - from));
		to = mempcpy(to, from, (size_t)(quote - from));
		from = quote + 1;
		*to++ = from < end && is_quoted(*from) ? *from++ : *quote;
	}
	return to;
}

/* The text without line breaks and without sendmail's quoting. */
static struct policy_slice plain(struct reader *reader, const struct line *line,
				 struct policy_slice raw)
{
	struct qtext *qtext = reader->qtext;
	const char *at, *end;
	char *begin, *to;

	raw = trim(raw);
	if (!raw.length || (!line->folded && !memchr(raw.bytes, 0xff, raw.length)))
		return raw;
	at = raw.bytes;
	end = at + raw.length;
	begin = to = room(qtext, reader->length);
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		const char *next = stop ? stop + 1 : end;

		if (!stop)
			stop = end;
		else if (stop > at && stop[-1] == '\r')
			stop--;
		to = unquote(to, at, (size_t)(stop - at));
		at = next;
	}
	qtext->text_used += (size_t)(to - begin);
	return trim(slice(begin, to));
}

/* ---- addresses ---- */

/* Walks over an address: what is in quotes, in a comment, in an address literal ([IPv6:::1]) or
 * behind a backslash has no meaning of its own. */
struct walk {
	bool quoted, literal;
	unsigned depth; /* of comments */
};

/* Steps over the byte at *at and perhaps more. Returns it when it has a meaning, else 0. */
static char step(struct walk *walk, const char **at, const char *end)
{
	char c = *(*at)++;

	if (c == '\\') {
		if (*at < end)
			(*at)++;
		return 0;
	}
	if (walk->quoted) {
		walk->quoted = c != '"';
		return 0;
	}
	if (walk->depth) {
		walk->depth += c == '(';
		walk->depth -= c == ')';
		return 0;
	}
	if (walk->literal) {
		walk->literal = c != ']';
		return 0;
	}
	walk->quoted = c == '"';
	walk->depth = c == '(';
	walk->literal = c == '[';
	return c;
}

/* "@relay,@other:someone@example.net" is for someone@example.net (RFC 821, source routes). */
static struct policy_slice without_route(struct policy_slice address)
{
	const char *at = address.bytes, *end = at + address.length;
	struct walk walk = {0};

	if (!address.length || *at != '@')
		return address;
	while (at < end)
		if (step(&walk, &at, end) == ':')
			return trim(slice(at, end));
	return address;
}

/* What stands between < and >. Returns false if there is no "<" that means one. */
static bool find_angle(struct policy_slice text, struct policy_slice *ret)
{
	const char *at = text.bytes, *end = at + text.length, *open = NULL;
	struct walk walk = {0};

	/* Most addresses have none, or stand in them alone: saves a walk. */
	if (!memchr(at, '<', text.length))
		return false;
	if (*at == '<' && memchr(at, '>', text.length) == end - 1) {
		*ret = slice(at + 1, end - 1);
		return true;
	}
	while (at < end) {
		const char *before = at;
		char c = step(&walk, &at, end);

		if (c == '<' && !open) {
			open = at;
		} else if (c == '>' && open) {
			end = before;
			break;
		}
	}
	if (open)
		*ret = slice(open, end);
	return open != NULL;
}

/* The first piece outside of comments. */
static struct policy_slice without_comment(struct policy_slice text)
{
	const char *at = text.bytes, *end = at + text.length, *begin = at;
	struct walk walk = {0};

	if (!memchr(at, '(', text.length))
		return text;
	while (at < end) {
		const char *before = at;
		bool comment = walk.depth > 0;

		if (step(&walk, &at, end) == '(' && trim(slice(begin, before)).length)
			return trim(slice(begin, before));
		if (comment && !walk.depth)
			begin = at;
	}
	return walk.depth ? slice(end, end) : trim(slice(begin, end));
}

/* The address in a text that may have more: `A name <someone@example.net>`, `someone (a comment)`.
 * sendmail writes it down as it was given. */
static struct policy_slice find_address(struct policy_slice text)
{
	struct policy_slice angle;

	if (!text.length)
		return text;
	if (!find_angle(text, &angle))
		return without_route(without_comment(text));
	angle = trim(angle);
	return angle.length ? without_route(angle) : (struct policy_slice){"<>", 2};
}

static struct policy_slice lower_domain(struct reader *reader, struct policy_slice address)
{
	struct policy_slice domain = {"", 0};
	char *copy;
	size_t i = 0;

	domain.length = qfile_domain_of(address.bytes, address.length, &domain.bytes);
	while (i < domain.length && domain.bytes[i] == lower(domain.bytes[i]))
		i++;
	if (i == domain.length)
		return domain;
	copy = room(reader->qtext, reader->length);
	for (i = 0; i < domain.length; i++)
		copy[i] = lower(domain.bytes[i]);
	reader->qtext->text_used += domain.length;
	return (struct policy_slice){copy, domain.length};
}

/* ---- what the lines say ---- */

static void take_recipient(struct reader *reader, const struct line *line)
{
	struct qtext *qtext = reader->qtext;
	struct policy_slice rest = line->rest, address;
	const char *colon = NULL;

	if (reader->version >= 1 && rest.length)
		colon = memchr(rest.bytes, ':', rest.length);
	/* Without a colon there is no address for sendmail. What stands there is counted as a
	 * recipient (qfile.h) all the same, so it is shown. */
	if (colon)
		rest = slice(colon + 1, rest.bytes + rest.length);
	address = find_address(plain(reader, line, rest));
	if (!address.length)
		return;
	if (qtext->n_recipients == qtext->recipients_size) {
		size_t size = qtext->recipients_size ? 2 * qtext->recipients_size : 16;

		qtext->recipients =
			xreallocarray(qtext->recipients, size, sizeof *qtext->recipients);
		qtext->domains = xreallocarray(qtext->domains, size, sizeof *qtext->domains);
		qtext->recipients_size = size;
	}
	qtext->recipients[qtext->n_recipients] = address;
	qtext->domains[qtext->n_recipients++] = lower_domain(reader, address);
}

/* "?P?Return-Path: <x>", "??Subject: x", "?${macro}?Name: x", or "Subject: x". */
static void take_header(struct reader *reader, const struct line *line)
{
	struct qtext *qtext = reader->qtext;
	const char *at = line->rest.bytes, *end = at + line->rest.length;
	struct policy_header header;

	if (at < end && *at == '?') {
		at = memchr(at + 1, '?', (size_t)(end - at - 1));
		if (!at)
			return;
		at++;
	}
	header.name.bytes = at;
	while (at<end && * at> ' ' && *at < 0x7f && *at != ':')
		at++;
	header.name.length = (size_t)(at - header.name.bytes);
	while (at < end && blank(*at))
		at++;
	if (at == end || *at != ':' || !header.name.length || header.name.length > HEADER_NAME_MAX)
		return;
	header.value = plain(reader, line, slice(at + 1, end));
	if (qtext->n_headers == qtext->headers_size) {
		qtext->headers_size = qtext->headers_size ? 2 * qtext->headers_size : 32;
		qtext->headers =
			xreallocarray(qtext->headers, qtext->headers_size, sizeof *qtext->headers);
	}
	qtext->headers[qtext->n_headers++] = header;
}

static void take_sender(struct reader *reader, const struct line *line)
{
	reader->text->has_sender = true;
	reader->text->sender = find_address(plain(reader, line, line->rest));
}

static void take_status(struct reader *reader, const struct line *line)
{
	if (!reader->text->has_sender || !reader->has_status)
		reader->text->status = plain(reader, line, line->rest);
	reader->has_status = true;
}

/* As atoi() reads it, and no further than needed: 0 or not is all that counts. */
static void take_version(struct reader *reader, const struct line *line)
{
	struct policy_slice digits = trim(line->rest);

	reader->version = 0;
	for (size_t i = 0; i < digits.length; i++) {
		if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
			break;
		if (digits.bytes[i] != '0')
			reader->version = 1;
	}
}

static struct policy_slice sender_domain(struct reader *reader, struct policy_slice sender)
{
	if (sender.length == 2 && memcmp(sender.bytes, "<>", 2) == 0)
		return sender;
	return lower_domain(reader, sender);
}

void qtext_read(struct qtext *qtext, const char *bytes, size_t length, struct policy_text *ret)
{
	struct reader reader = {
		.qtext = qtext,
		.at = bytes,
		.end = bytes + length,
		.length = length,
		.text = ret,
	};
	bool ended = false;
	struct line line;

	*ret = (struct policy_text){.sender = {"", 0}, .sender_domain = {"", 0}, .status = {"", 0}};
	begin(qtext);
	while (!ended && next_line(&reader, &line)) {
		switch (line.letter) {
		case 'H':
			take_header(&reader, &line);
			break;
		case 'R':
			take_recipient(&reader, &line);
			break;
		case 'S':
			take_sender(&reader, &line);
			break;
		case 'M':
			take_status(&reader, &line);
			break;
		case 'V':
			take_version(&reader, &line);
			break;
		case 'F':
			if (line.rest.length && memchr(line.rest.bytes, 'r', line.rest.length))
				reader.response = true;
			break;
		case '.':
			ended = line.rest.length == 0;
			break;
		}
	}
	if (ret->has_sender && reader.response)
		ret->sender = (struct policy_slice){"<>", 2};
	ret->sender_domain = sender_domain(&reader, ret->sender);
	ret->recipients = qtext->recipients;
	ret->domains = qtext->domains;
	ret->n_recipients = qtext->n_recipients;
	ret->headers = qtext->headers;
	ret->n_headers = qtext->n_headers;
}
