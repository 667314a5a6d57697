/* json_line.c - see json_line.h */
#include "qfwatch/json_line.h"

#include <string.h>

static void put(struct json_line *line, const char *bytes, size_t length)
{
	if (length > line->size - line->length) {
		line->truncated = true;
		length = line->size - line->length;
	}
	memcpy(line->buffer + line->length, bytes, length);
	line->length += length;
}

void json_line_raw(struct json_line *line, const char *text)
{
	put(line, text, strlen(text));
}

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

/* How many bytes of the start stand between quotes as they are: nearly always all, so they are
 * taken at once. */
static size_t plain(const char *text, size_t length)
{
	size_t n = 0;

	while (n < length && text[n] >= 0x20 && text[n] < 0x7f && text[n] != '"' && text[n] != '\\')
		n++;
	return n;
}

void json_line_string(struct json_line *line, const char *text, size_t length, size_t cap)
{
	size_t done = 0, written = 0;

	put(line, "\"", 1);
	while (done < length) {
		size_t n = plain(text + done, length - done), used = n;
		const char *from = text + done;
		char out[6];

		if (n == 0) {
			n = escape(line, (const unsigned char *)text + done, length - done, &used,
				   out);
			from = out;
		}
		if (written + n > cap) {
			/* Plain bytes are a character each, and can be cut anywhere. */
			put(line, from, from == out ? 0 : cap - written);
			line->truncated = true;
			break;
		}
		put(line, from, n);
		written += n;
		done += used;
	}
	put(line, "\"", 1);
}

void json_line_uint(struct json_line *line, uint64_t value)
{
	char digits[20];
	size_t n = sizeof digits;

	do
		digits[--n] = (char)('0' + value % 10);
	while (value /= 10);
	put(line, digits + n, sizeof digits - n);
}

void json_line_int(struct json_line *line, int64_t value)
{
	if (value < 0)
		put(line, "-", 1);
	json_line_uint(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}
