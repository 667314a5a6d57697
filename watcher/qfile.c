/* qfile.c - see qfile.h */
#include "qfwatch/qfile.h"

#include <string.h>

enum { SEEN_CREATED = 1, SEEN_LAST_ATTEMPT = 2, SEEN_ATTEMPTS = 4 };

const char *qfile_verdict_text(enum qfile_verdict verdict)
{
	switch (verdict) {
	case QFILE_OK:
		return "sound";
	case QFILE_EMPTY:
		return "the qf is empty";
	case QFILE_INCOMPLETE:
		return "the qf has no final \".\" line";
	case QFILE_NO_CREATED:
		return "the qf has no T line (time of creation)";
	case QFILE_NO_ATTEMPTS:
		return "the qf has no N line (number of attempts)";
	case QFILE_BAD_CREATED:
		return "the T line of the qf is not a time";
	case QFILE_BAD_LAST_ATTEMPT:
		return "the K line of the qf is not a time";
	case QFILE_BAD_ATTEMPTS:
		return "the N line of the qf is not a number of attempts";
	case QFILE_TWICE:
		return "the qf has two T, K or N lines";
	case QFILE_TRAILING:
		return "the qf goes on after its final \".\" line";
	}
	return "unknown";
}

void qfile_begin(struct qfile_reader *reader)
{
	memset(reader, 0, sizeof *reader);
}

/* The first thing that is wrong is what gets reported. */
static void object(struct qfile_reader *reader, enum qfile_verdict verdict)
{
	if (reader->verdict == QFILE_OK)
		reader->verdict = verdict;
}

/* Digits and nothing else: no sign, no blank, no NUL. Returns false if it is none, or past
 * UINT32_MAX. */
static bool read_number(const char *text, size_t length, uint32_t *ret)
{
	uint64_t value = 0;

	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned char)text[i] - (unsigned)'0';

		if (digit > 9)
			return false;
		value = value * 10 + digit;
		if (value > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)value;
	return true;
}

static void take_number(struct qfile_reader *reader, uint8_t which, const char *text, size_t length,
			uint32_t *ret, enum qfile_verdict bad)
{
	if (reader->seen & which)
		object(reader, QFILE_TWICE);
	reader->seen |= which;
	if (length > sizeof reader->number || !read_number(text, length, ret))
		object(reader, bad);
}

/* What the first letter of a line makes of it. */
enum kind {
	PLAIN,	/* nothing that counts */
	FACT,	/* the letter says all that counts */
	NUMBER, /* the number counts */
	END,	/* perhaps the last */
};

static const uint8_t kinds[256] = {
	['R'] = FACT,	['S'] = FACT,	['d'] = FACT,	['q'] = FACT,
	['T'] = NUMBER, ['K'] = NUMBER, ['N'] = NUMBER, ['.'] = END,
};

static enum kind kind_of(char line)
{
	return kinds[(unsigned char)line];
}

static void note_fact(struct qfile *file, char line)
{
	switch (line) {
	case 'R':
		file->recipients++;
		break;
	case 'S':
		file->has_sender = true;
		break;
	case 'd':
		file->data_elsewhere = true;
		break;
	case 'q':
		file->quarantined = true;
		break;
	}
}

static void note_number(struct qfile_reader *reader, char line, const char *text, size_t length)
{
	struct qfile *file = &reader->file;

	switch (line) {
	case 'T':
		take_number(reader, SEEN_CREATED, text, length, &file->created, QFILE_BAD_CREATED);
		/* sendmail writes the time of day: 1970 is no time but a mistake. */
		if (file->created == 0)
			object(reader, QFILE_BAD_CREATED);
		break;
	case 'K':
		take_number(reader, SEEN_LAST_ATTEMPT, text, length, &file->last_attempt,
			    QFILE_BAD_LAST_ATTEMPT);
		break;
	case 'N':
		take_number(reader, SEEN_ATTEMPTS, text, length, &file->attempts,
			    QFILE_BAD_ATTEMPTS);
		break;
	}
}

static void end_line(struct qfile_reader *reader)
{
	switch (kind_of(reader->line)) {
	case PLAIN:
		break;
	case FACT:
		note_fact(&reader->file, reader->line);
		break;
	case NUMBER:
		note_number(reader, reader->line, reader->number, reader->number_length);
		break;
	case END:
		if (reader->dot_only)
			reader->ended = true;
		break;
	}
	reader->line = 0;
}

/* Whole lines, up to one that may be the last. Returns where they end. */
static const char *pass_whole(struct qfile_reader *reader, const char *bytes, const char *end)
{
	while (bytes < end) {
		enum kind kind = kind_of(*bytes);
		const char *stop;

		if (kind == END)
			break;
		stop = memchr(bytes, '\n', (size_t)(end - bytes));
		if (!stop)
			break;
		if (kind == FACT)
			note_fact(&reader->file, *bytes);
		else if (kind == NUMBER)
			note_number(reader, *bytes, bytes + 1, (size_t)(stop - bytes) - 1);
		bytes = stop + 1;
	}
	return bytes;
}

void qfile_feed(struct qfile_reader *reader, const char *bytes, size_t length)
{
	const char *end = bytes + length;

	if (length)
		reader->any = true;
	while (bytes < end) {
		const char *stop;
		size_t rest;

		if (reader->ended) {
			object(reader, QFILE_TRAILING);
			return;
		}
		if (reader->line == 0) {
			bytes = pass_whole(reader, bytes, end);
			if (bytes == end)
				return;
			/* NUL would mean that none has begun: give it a letter that says nothing.
			 */
			reader->line = *bytes ? *bytes : ' ';
			reader->dot_only = *bytes == '.';
			reader->number_length = 0;
			bytes++;
		}
		stop = memchr(bytes, '\n', (size_t)(end - bytes));
		rest = (size_t)((stop ? stop : end) - bytes);
		if (rest)
			reader->dot_only = false;
		if (kind_of(reader->line) == NUMBER) {
			size_t room = sizeof reader->number - reader->number_length;

			if (reader->number_length <= sizeof reader->number && rest <= room) {
				memcpy(reader->number + reader->number_length, bytes, rest);
				reader->number_length = (uint8_t)(reader->number_length + rest);
			} else {
				reader->number_length = sizeof reader->number + 1;
			}
		}
		if (!stop)
			return;
		end_line(reader);
		bytes = stop + 1;
	}
}

enum qfile_verdict qfile_end(struct qfile_reader *reader, struct qfile *ret)
{
	if (!reader->any)
		return QFILE_EMPTY;
	/* sendmail takes a final "." without its newline, so it is complete. Any other open line
	 * was cut short. */
	if (reader->line == '.' && reader->dot_only)
		end_line(reader);
	if (!reader->ended)
		return QFILE_INCOMPLETE;
	if (reader->verdict != QFILE_OK)
		return reader->verdict;
	if (!(reader->seen & SEEN_CREATED))
		return QFILE_NO_CREATED;
	if (!(reader->seen & SEEN_ATTEMPTS))
		return QFILE_NO_ATTEMPTS;
	*ret = reader->file;
	return QFILE_OK;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A table: it is asked for every byte of every recipient's domain. */
static bool ends_domain(char c)
{
	static const bool ends[256] = {
		[0 ... ' '] = true, ['>'] = true, [')'] = true,
		[','] = true,	    [';'] = true, ['"'] = true,
	};

	return ends[(unsigned char)c];
}

size_t qfile_domain_of(const char *address, size_t length, const char **ret)
{
	const char *at = memrchr(address, '@', length);
	size_t n = 0, room;

	if (!at)
		return 0;
	at++;
	room = length - (size_t)(at - address);
	while (n < room && !ends_domain(at[n]))
		n++;
	while (n && at[n - 1] == '.')
		n--;
	*ret = at;
	return n;
}

static bool known(const char *const *domains, size_t count, const char *domain, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;

		while (k < length && domains[i][k] && domains[i][k] == lower(domain[k]))
			k++;
		if (k == length && !domains[i][k])
			return true;
	}
	return false;
}

size_t qfile_domains(const char *bytes, size_t length, const char **domains, size_t max,
		     char *buffer, size_t size, bool *ret_cut)
{
	const char *start = bytes, *end = bytes + length;
	size_t count = 0, used = 0;
	bool cut = false;

	/* There are fewer such letters than lines. */
	while (!cut && bytes < end && (bytes = memchr(bytes, 'R', (size_t)(end - bytes)))) {
		const char *stop, *domain = NULL;
		size_t n;

		if (bytes > start && bytes[-1] != '\n') {
			bytes++;
			continue;
		}
		stop = memchr(bytes, '\n', (size_t)(end - bytes));
		if (!stop)
			stop = end;
		n = qfile_domain_of(bytes, (size_t)(stop - bytes), &domain);
		if (n && !known(domains, count, domain, n)) {
			if (count == max || n + 1 > size - used) {
				cut = true;
			} else {
				char *copy = buffer + used;

				for (size_t i = 0; i < n; i++)
					copy[i] = lower(domain[i]);
				copy[n] = 0;
				used += n + 1;
				domains[count++] = copy;
			}
		}
		bytes = stop;
	}
	*ret_cut = cut;
	return count;
}
