/* qctrl_pattern.c - what qctrl's recv patterns are in the policy's language; see qctrl.h
 *
 * An extended POSIX expression (regex(7), as glibc reads it) becomes a PCRE2 one, and what it says
 * about the ends of the R line becomes what the policy sees of it: the address alone. Only what
 * surely means the same is taken over.
 */
#include "qfwatch/qctrl.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

/* No byte of a pattern becomes more than this. */
#define LONGEST 16

struct writer {
	char *out;
	size_t length;
	unsigned notes;
	const char *why; /* set: it cannot be taken over */
};

static const char begins[] =
	"\"^\" and \":\" stand for the flags before the address, which a policy does not see";
static const char twice[] = "it repeats what is repeated already";
static const char undefined[] = "it holds what POSIX leaves undefined";

static void put(struct writer *writer, const char *text)
{
	size_t length = strlen(text);

	memcpy(writer->out + writer->length, text, length + 1);
	writer->length += length;
}

static void put_byte(struct writer *writer, char c)
{
	char text[2] = {c};

	put(writer, text);
}

/* A byte that means itself; `special` are those that would not. */
static void put_literal(struct writer *writer, char c, const char *special)
{
	unsigned char byte = (unsigned char)c;
	char text[8];

	if (byte >= 0x80 || byte < 0x20 || byte == 0x7f) {
		/* JSON takes UTF-8 only. */
		snprintf(text, sizeof(text), "\\x%02x", byte);
		put(writer, text);
		return;
	}
	if (strchr(special, c))
		put_byte(writer, '\\');
	put_byte(writer, c);
}

/* The colon between flags and address, with the bracket (or maybe one) behind it: that is known
 * only where nothing stands before it. Returns how many bytes that is, or 0. */
static size_t beginning(const char *text, bool regex)
{
	if (text[0] != ':' || text[1] != '<')
		return 0;
	return regex && text[2] == '?' ? 3 : 2;
}

static void write_beginning(struct writer *writer, const char **text, bool regex)
{
	size_t length = beginning(*text, regex);

	if (!length)
		return;
	put(writer, "^");
	if (length == 2)
		writer->notes |= QCTRL_NOTE_BRACKETS;
	*text += length;
}

/* ---- plain text ---- */

static void write_plain(struct writer *writer, const char *text)
{
	write_beginning(writer, &text, false);
	for (; *text; text++) {
		if (*text == ':') {
			writer->why = begins;
			return;
		}
		if (*text == '<' || *text == '>') {
			put(writer, *text == '<' ? "^" : "$");
			writer->notes |= QCTRL_NOTE_BRACKETS;
		} else {
			put_literal(writer, *text, "\\^$.[]|()?*+{}");
		}
	}
}

/* ---- extended expressions ---- */

/* "{2}": how long; 0 when the brace means itself. */
static size_t interval(const char *text)
{
	size_t digits;

	if (*text != '{')
		return 0;
	digits = strspn(text + 1, "0123456789");
	return digits && text[digits + 1] == '}' ? digits + 2 : 0;
}

static bool repeats(const char *text)
{
	return (*text && strchr("*+?", *text)) || interval(text);
}

/* Takes the *, + and ? that stand here: PCRE2 reads several in a row in another way. Returns the
 * one that they come to, or NUL. */
static char take_repeats(const char **text)
{
	char sum = '\0';

	for (; **text && strchr("*+?", **text); ++*text) {
		if (sum && sum != **text)
			sum = '*';
		else
			sum = **text;
	}
	return sum;
}

/* What repeats the atom before it. */
static void write_repeat(struct writer *writer, const char **text)
{
	char repeat = take_repeats(text);
	size_t length = interval(*text);

	if (repeat)
		put_byte(writer, repeat);
	if (repeat && length)
		writer->why = twice;
	for (size_t i = 0; i < length; i++)
		put_byte(writer, *(*text)++);
	if (length && repeats(*text))
		writer->why = twice;
}

/* An end of the address, or of the line, with what repeats it: an end that may be missing is none.
 */
static void write_end(struct writer *writer, const char **text, const char *end, unsigned note)
{
	char repeat = take_repeats(text);

	if (interval(*text))
		writer->why = twice;
	if (repeat && repeat != '+')
		return;
	put(writer, end);
	writer->notes |= note;
}

/* "[:alpha:]" within a set. Returns its length, or 0. */
static size_t class_name(const char *text)
{
	const char *close = text[0] == '[' && text[1] == ':' ? strstr(text + 2, ":]") : NULL;

	return close ? (size_t)(close + 2 - text) : 0;
}

/* Behind "[". A backslash means itself there. */
static void write_set(struct writer *writer, const char **ret_text)
{
	const char *text = *ret_text, *first;
	bool no = *text == '^';
	size_t length;

	put(writer, no ? "[^" : "[");
	text += no;
	for (first = text; *text && (text == first || *text != ']'); text++) {
		length = class_name(text);
		if (length) {
			for (; length > 1; length--)
				put_byte(writer, *text++);
			put_byte(writer, *text);
			continue;
		}
		if (text[0] == '[' && text[1] && strchr(".=", text[1]))
			writer->why = "it holds a collating symbol";
		if (!no && strchr("<>:", *text))
			writer->why = "a bracket or colon of the R line stands in a set";
		put_literal(writer, *text, "[]\\^");
	}
	put(writer, "]");
	*ret_text = text + (*text == ']');
}

/* Behind a backslash; what glibc adds to POSIX. */
static void write_escape(struct writer *writer, const char **text)
{
	char c = *(*text)++;

	if (c == '<' || c == '>') {
		put(writer, c == '<' ? "\\b(?=\\w)" : "\\b(?<=\\w)");
		if (repeats(*text))
			writer->why = twice;
	} else if (c == '`' || c == ':') {
		writer->why = begins;
	} else if (c == '\'') {
		write_end(writer, text, "$", QCTRL_NOTE_END);
	} else if (strchr("wWsSbB123456789", c)) {
		put_byte(writer, '\\');
		put_byte(writer, c);
		write_repeat(writer, text);
	} else {
		put_literal(writer, c, "\\^$.[]|()?*+{}");
		write_repeat(writer, text);
	}
}

/* Takes one piece. `previous` is the byte before it. */
static void write_piece(struct writer *writer, const char **text, char previous)
{
	char c = *(*text)++;

	switch (c) {
	case '(':
	case '|':
		put_byte(writer, c);
		if (repeats(*text))
			writer->why = undefined;
		break;
	case '<':
		write_end(writer, text, "^", QCTRL_NOTE_BRACKETS);
		break;
	case '>':
		write_end(writer, text, "$", QCTRL_NOTE_BRACKETS);
		break;
	case '$':
		/* Where the bracket is named, the end is the address's. */
		if (previous == '>')
			take_repeats(text);
		else
			write_end(writer, text, "$", QCTRL_NOTE_END);
		break;
	case '^':
	case ':':
		writer->why = begins;
		break;
	case '[':
		write_set(writer, text);
		write_repeat(writer, text);
		break;
	case '\\':
		write_escape(writer, text);
		break;
	case '.':
	case ')':
		put_byte(writer, c);
		write_repeat(writer, text);
		break;
	default:
		put_literal(writer, c, "{}]");
		write_repeat(writer, text);
	}
}

static void write_regex(struct writer *writer, const char *text)
{
	char previous = '\0';

	/* Anything from the beginning of the line: anything. */
	if (text[0] == '^' && text[1] == '.' && (text[2] == '*' || text[2] == '+') &&
	    !repeats(text + 3))
		text += 3;
	if (repeats(text))
		writer->why = undefined;
	write_beginning(writer, &text, true);
	while (*text && !writer->why) {
		const char *from = text;

		write_piece(writer, &text, previous);
		/* ">?" names no bracket for sure, and "\\>" is no bracket. */
		previous = *from == '>' && text == from + 1 ? '>' : '\0';
	}
}

/* ---- both ---- */

static bool is_all_capitals(const char *text)
{
	return *text && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")];
}

/* glibc copies what is repeated, in the worst case all that it has: more copies than this are no
 * pattern of anybody's. */
#define COPIES_MAX 100000

static bool is_costly(const char *text)
{
	long copies = 1;

	for (; *text && copies <= COPIES_MAX; text++) {
		long times = *text == '{' ? strtol(text + 1, NULL, 10) : *text == '+' ? 2 : 1;

		if (times > 1)
			copies = times > COPIES_MAX ? times : copies * times;
	}
	return copies > COPIES_MAX;
}

static bool qctrl_takes(const char *text)
{
	regex_t regex;

	if (is_costly(text))
		return false;
	if (regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	regfree(&regex);
	return true;
}

int qctrl_pattern_regex(const struct qctrl_pattern *pattern, char **ret, unsigned *ret_notes,
			struct qctrl_refusal *refusal)
{
	struct writer writer = {.out = xcalloc(strlen(pattern->text) + 1, LONGEST)};

	if (pattern->regex && !qctrl_takes(pattern->text)) {
		snprintf(refusal->why, sizeof(refusal->why),
			 "\"%.200s\" is no extended regular expression, or an endless one, and "
			 "qctrl does not start",
			 pattern->text);
		snprintf(refusal->remedy, sizeof(refusal->remedy),
			 "mend it; a comma in a pattern begins the next limit");
		free(writer.out);
		return -EINVAL;
	}
	if (pattern->regex)
		write_regex(&writer, pattern->text);
	else
		write_plain(&writer, pattern->text);
	if (writer.why) {
		snprintf(refusal->why, sizeof(refusal->why),
			 "the recv pattern \"%.160s\" has no equivalent: %s", pattern->text,
			 writer.why);
		snprintf(refusal->remedy, sizeof(refusal->remedy),
			 "write the rule by hand, with \"recipient\" as the address alone");
		free(writer.out);
		return -EINVAL;
	}
	if (is_all_capitals(pattern->text))
		writer.notes |= QCTRL_NOTE_FLAGS;
	*ret = writer.out;
	*ret_notes = writer.notes;
	return 0;
}
