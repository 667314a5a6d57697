/* json_line.c - see json_line.h */
#include "qfwatch/json_line.h"

#include <string.h>

#include "qfwatch/phrase.h"

/* The length of the well-formed UTF-8 sequence at `text` (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF), or 0. */
static size_t sequence(const unsigned char *text, size_t left)
{
	unsigned char c = text[0], low = 0x80, high = 0xbf;
	size_t n;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* One character as it stands between quotes. *used is how many bytes of text it took; returns its
 * length in out[6]. */
static size_t escape(struct json_line *line, const unsigned char *text, size_t left, size_t *used,
		     char *out)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = sequence(text, left);

	*used = n ? n : 1;
	if (n == 0) {
		line->lossy = true;
		memcpy(out, "\xef\xbf\xbd", 3);
		return 3;
	}
	if (text[0] == '"' || text[0] == '\\') {
		out[0] = '\\';
		out[1] = (char)text[0];
		return 2;
	}
	if (text[0] < 0x20 || text[0] == 0x7f) {
		memcpy(out, "\\u00", 4);
		out[4] = hex[text[0] >> 4];
		out[5] = hex[text[0] & 15];
		return 6;
	}
	/* C1: a terminal obeys them, too, when a line is looked at there. */
	if (text[0] == 0xc2 && text[1] < 0xa0) {
		memcpy(out, "\\u00", 4);
		out[4] = hex[text[1] >> 4];
		out[5] = hex[text[1] & 15];
		return 6;
	}
	memcpy(out, text, n);
	return n;
}

static bool is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* A byte eight times. */
#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Are all of eight bytes plain? May say no where they are: the sums carry into the next byte, but
 * only from one that is not. */
static bool are_plain(uint64_t eight)
{
	uint64_t high = eight | (eight + EIGHT(1)); /* 0x7f and above */
	uint64_t low = eight - EIGHT(0x20), quote = eight ^ EIGHT('"'),
		 escape = eight ^ EIGHT('\\');

	return !((high | low | (quote - EIGHT(1)) | (escape - EIGHT(1))) & EIGHT(0x80));
}

/* How many bytes of the start stand between quotes as they are: nearly always all, so they are
 * taken at once. */
static size_t plain(const char *text, size_t length)
{
	uint64_t eight;
	size_t n = 0;

	for (; length - n >= sizeof eight; n += sizeof eight) {
		memcpy(&eight, text + n, sizeof eight);
		if (!are_plain(eight))
			break;
	}
	/* The last eight, some of them once more. */
	if (n && length - n < sizeof eight) {
		memcpy(&eight, text + length - sizeof eight, sizeof eight);
		if (are_plain(eight))
			return length;
	}
	while (n < length && is_plain(text[n]))
		n++;
	return n;
}

void json_line_string(struct json_line *line, const char *text, size_t length, size_t cap)
{
	size_t n = plain(text, length), done = 0, written = 0;

	if (n == length && n <= cap && json_line_room(line, n + 2)) {
		char *to = line->buffer + line->length;

		*to++ = '"';
		memcpy(to, text, n);
		to[n] = '"';
		line->length += n + 2;
		return;
	}
	json_line_bytes(line, "\"", 1);
	while (done < length) {
		const char *from = text + done;
		size_t used = n;
		char out[6];

		if (n == 0) {
			n = escape(line, (const unsigned char *)from, length - done, &used, out);
			from = out;
		}
		if (written + n > cap) {
			/* Plain bytes are a character each, and can be cut anywhere. */
			json_line_bytes(line, from, from == out ? 0 : cap - written);
			line->truncated = true;
			break;
		}
		json_line_bytes(line, from, n);
		written += n;
		done += used;
		n = plain(text + done, length - done);
	}
	json_line_bytes(line, "\"", 1);
}

void json_line_uint(struct json_line *line, uint64_t value)
{
	char digits[PHRASE_DIGITS_MAX];

	json_line_bytes(line, digits, phrase_digits(digits, value));
}

void json_line_int(struct json_line *line, int64_t value)
{
	if (value < 0)
		json_line_bytes(line, "-", 1);
	json_line_uint(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}
