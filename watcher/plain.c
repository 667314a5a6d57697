/* plain.c - see plain.h */
#include "qfwatch/plain.h"

#include <stdio.h>
#include <string.h>

/* The code point at `text`, which ends with NUL, and its length; -1 for a byte that is no UTF-8. */
static int decode(const unsigned char *text, size_t *ret_length)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned c = *text, code;
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	*ret_length = 1;
	if (n <= 1)
		return n ? (int)c : -1;
	code = c & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return -1;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return -1;
	*ret_length = n;
	return (int)code;
}

/* Does a terminal take it as more than a character to show? */
static bool is_unsafe(int code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe007f);
}

int plain_add(char *buffer, size_t size, const char *text)
{
	size_t used = strlen(buffer);
	int added = 0;

	while (*text) {
		char piece[16];
		size_t length;
		int code;

		/* Most are, and printing each would take most of the time. */
		if (*text >= ' ' && *text <= '~') {
			if (used + 1 >= size)
				break;
			buffer[used++] = *text++;
			buffer[used] = 0;
			added++;
			continue;
		}
		code = decode((const unsigned char *)text, &length);
		if (code < 0)
			snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)*text);
		else if (is_unsafe(code))
			snprintf(piece, sizeof piece, code < 0x100 ? "\\x%02x" : "\\u%04x",
				 (unsigned)code);
		else
			snprintf(piece, sizeof piece, "%.*s", (int)length, text);
		if (used + strlen(piece) >= size)
			break;
		strcpy(buffer + used, piece);
		used += strlen(piece);
		added += code < 0 || is_unsafe(code) ? (int)strlen(piece) : 1;
		text += length;
	}
	return added;
}

void plain_mask(char *text)
{
	char *to = text;

	while (*text) {
		size_t length;
		int code = decode((const unsigned char *)text, &length);

		if (code < 0 || is_unsafe(code))
			*to++ = '?';
		else
			for (size_t i = 0; i < length; i++)
				*to++ = text[i];
		text += length;
	}
	*to = 0;
}

size_t plain_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void plain_cut(char *text, size_t characters)
{
	char *before = text;

	if (plain_width(text) <= characters)
		return;
	if (!characters) {
		*text = 0;
		return;
	}
	while (characters > 1) {
		before++;
		while (((unsigned char)*before & 0xc0) == 0x80)
			before++;
		characters--;
	}
	strcpy(before, "~");
}
