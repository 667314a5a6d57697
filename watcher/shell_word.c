/* shell_word.c - see shell_parts.h; the words are those of POSIX.1 (XCU chapter 2). */
#include "shell_parts.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"

/* ---- text ---- */

static void add(struct shell_text *builder, const char *bytes, size_t length)
{
	if (!builder->bytes || builder->length + length + 1 > builder->size) {
		builder->size = (builder->length + length + 1) * 2;
		builder->bytes = xreallocarray(builder->bytes, builder->size, 1);
	}
	memcpy(builder->bytes + builder->length, bytes, length);
	builder->length += length;
	builder->bytes[builder->length] = '\0';
}

static char *copy(const char *bytes, size_t length)
{
	struct shell_text builder = {0};

	add(&builder, bytes, length);
	return builder.bytes;
}

static size_t name_length(const char *text)
{
	return strspn(text, LETTERS) ? strspn(text, LETTERS SHELL_DIGITS) : 0;
}

size_t shell_assigned_name(const char *text)
{
	size_t length = name_length(text);

	return length && text[length] == '=' ? length : 0;
}

/* ---- words ---- */

static void end_word(struct shell_reader *reader)
{
	if (reader->text.length || reader->quoted) {
		reader->words =
			xreallocarray(reader->words, reader->count + 1, sizeof(*reader->words));
		reader->words[reader->count++] = (struct shell_word){
			.text = copy(reader->text.length ? reader->text.bytes : "",
				     reader->text.length),
			.unknown = reader->unknown,
			.glob = reader->glob,
		};
		reader->unknown = NULL;
	}
	free(reader->unknown);
	reader->unknown = NULL;
	reader->text.length = 0;
	reader->glob = reader->quoted = reader->assigning = false;
}

void shell_drop_words(struct shell_reader *reader, size_t first)
{
	for (size_t i = first; i < reader->count; i++) {
		free(reader->words[i].text);
		free(reader->words[i].unknown);
	}
	reader->count = first;
}

/* What cannot be resolved stays as it is written. */
static void add_unknown(struct shell_reader *reader, const char *from, size_t length)
{
	if (!reader->unknown)
		reader->unknown = copy(from, length);
	add(&reader->text, from, length);
	for (size_t i = 0; i < length; i++)
		reader->line += from[i] == '\n';
}

/* A value outside quotes falls apart at its blanks. */
static void add_value(struct shell_reader *reader, const char *value, bool whole)
{
	for (; *value; value++) {
		if (!whole && strchr(" \t\n", *value))
			end_word(reader);
		else
			add(&reader->text, value, 1);
	}
}

size_t shell_bracketed(const char *text, char open, char close)
{
	size_t i = 0, depth = 0;

	while (text[i]) {
		char c = text[i++];

		if (c == '\\' && text[i]) {
			i++;
		} else if (c == '\'' && open == '(') {
			i += strcspn(text + i, "'");
			i += text[i] == '\'';
		} else if (c == open) {
			depth++;
		} else if (c == close && --depth == 0) {
			break;
		}
	}
	return i;
}

static void expand_dollar(struct shell_reader *reader, bool whole, unsigned nesting);

/* The WORD of ${NAME:-WORD}: its variables, not its quotes, which are rare there. */
static void expand_default(struct shell_reader *reader, const char *word, size_t length,
			   unsigned nesting)
{
	const char *after = reader->at;
	char *text = copy(word, length);

	for (reader->at = text; *reader->at;) {
		if (*reader->at == '$' && nesting < SHELL_NESTING)
			expand_dollar(reader, true, nesting + 1);
		else if (*reader->at != '"')
			add(&reader->text, reader->at++, 1);
		else
			reader->at++;
	}
	free(text);
	reader->at = after;
}

/* At "${". */
static void expand_braces(struct shell_reader *reader, bool whole, unsigned nesting)
{
	const char *from = reader->at, *name = from + 2, *op;
	size_t length = shell_bracketed(from + 1, '{', '}') + 1, size = name_length(name), word;
	const char *value = size ? shell_value(reader->shell, name, size) : NULL;
	bool colon;

	reader->at = from + length;
	op = name + size;
	if (size && *op == '}' && value) {
		add_value(reader, value, whole);
		return;
	}
	colon = *op == ':';
	op += colon;
	if (!size || !strchr("-=", *op) || !*op) {
		add_unknown(reader, from, length);
		return;
	}
	/* A variable whose value two branches give is not unset. */
	if (!value && shell_find(reader->shell, name, size)) {
		add_unknown(reader, from, length);
	} else if (value && (*value || !colon)) {
		add_value(reader, value, whole);
	} else {
		word = (size_t)(from + length - 1 - (op + 1));
		expand_default(reader, op + 1, word, nesting);
	}
}

/* At "$". */
static void expand_dollar(struct shell_reader *reader, bool whole, unsigned nesting)
{
	const char *from = reader->at, *value;
	size_t length = name_length(from + 1);

	if (length) {
		value = shell_value(reader->shell, from + 1, length);
		reader->at += length + 1;
		if (value)
			add_value(reader, value, whole);
		else
			add_unknown(reader, from, length + 1);
	} else if (from[1] == '{') {
		expand_braces(reader, whole, nesting);
	} else if (from[1] == '(') {
		length = shell_bracketed(from + 1, '(', ')') + 1;
		reader->at += length;
		add_unknown(reader, from, length);
	} else if (from[1] && strchr(SHELL_DIGITS "@*#?$!-", from[1])) {
		reader->at += 2;
		add_unknown(reader, from, 2);
	} else {
		add(&reader->text, reader->at++, 1);
	}
}

/* At "`". */
static void skip_backquotes(struct shell_reader *reader)
{
	const char *from = reader->at++;

	while (*reader->at && *reader->at != '`')
		reader->at += *reader->at == '\\' && reader->at[1] ? 2 : 1;
	reader->at += *reader->at == '`';
	add_unknown(reader, from, (size_t)(reader->at - from));
}

static void add_quoted(struct shell_reader *reader)
{
	char c = *reader->at++;

	reader->line += c == '\n';
	add(&reader->text, &c, 1);
}

/* Behind the opening quote. */
static void read_single_quotes(struct shell_reader *reader)
{
	while (*reader->at && *reader->at != '\'')
		add_quoted(reader);
	reader->at += *reader->at == '\'';
}

static void read_double_quotes(struct shell_reader *reader)
{
	while (*reader->at && *reader->at != '"') {
		if (*reader->at == '\\' && reader->at[1] == '\n') {
			reader->at += 2;
			reader->line++;
		} else if (*reader->at == '\\' && reader->at[1] &&
			   strchr("$`\"\\", reader->at[1])) {
			reader->at++;
			add_quoted(reader);
		} else if (*reader->at == '$') {
			expand_dollar(reader, true, 0);
		} else if (*reader->at == '`') {
			skip_backquotes(reader);
		} else {
			add_quoted(reader);
		}
	}
	reader->at += *reader->at == '"';
}

/* At "~", at the beginning of a word or of a value. */
static void expand_tilde(struct shell_reader *reader)
{
	const char *from = reader->at, *home;
	size_t length = strcspn(from, "/ \t\r\n;&|()<>:");

	home = length == 1 ? shell_value(reader->shell, "HOME", 4) : NULL;
	reader->at += length;
	if (home)
		add_value(reader, home, true);
	else
		add_unknown(reader, from, length);
}

static void read_plain(struct shell_reader *reader)
{
	char c = *reader->at;
	bool begins = reader->text.length == 0 && !reader->quoted;

	if (c == '~' &&
	    (begins || (reader->assigning && reader->text.bytes[reader->text.length - 1] == '='))) {
		expand_tilde(reader);
		return;
	}
	reader->glob |= c == '*' || c == '?' || c == '[';
	add(&reader->text, &c, 1);
	reader->at++;
	if (c == '=' && !reader->quoted &&
	    shell_assigned_name(reader->text.bytes) + 1 == reader->text.length)
		reader->assigning = true;
}

void shell_read_word(struct shell_reader *reader)
{
	while (*reader->at && !strchr(" \t\r\n;&|()<>", *reader->at)) {
		switch (*reader->at) {
		case '\\':
			if (reader->at[1] == '\n') {
				reader->at += 2;
				reader->line++;
				break;
			}
			reader->at++;
			reader->quoted = true;
			if (*reader->at)
				add_quoted(reader);
			break;
		case '\'':
			reader->at++;
			reader->quoted = true;
			read_single_quotes(reader);
			break;
		case '"':
			reader->at++;
			reader->quoted = true;
			read_double_quotes(reader);
			break;
		case '$':
			expand_dollar(reader, reader->assigning, 0);
			break;
		case '`':
			skip_backquotes(reader);
			break;
		default:
			read_plain(reader);
		}
	}
	end_word(reader);
}
