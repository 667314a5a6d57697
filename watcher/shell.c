/* shell.c - see shell.h; the words are those of POSIX.1 (XCU chapter 2). */
#include "qfwatch/shell.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DIGITS	"0123456789"
#define NESTING 8 /* of default values in default values */

struct variable {
	char *name;
	char *value; /* NULL: nobody can tell */
	bool given;  /* by shell_set, and the script has not changed it */
	bool used;   /* while it was given */
};

struct shell {
	struct variable *variables;
	size_t count;
};

struct builder {
	char *bytes;
	size_t length, size;
};

/* A here-document whose text begins at the next line. */
struct here {
	char *end;
	bool tabs; /* <<-: leading tabs do not count */
};

struct reader {
	struct shell *shell;
	const char *at;
	unsigned line;
	unsigned depth, loops; /* how many compound commands, loops, are open */
	struct shell_word *words;
	size_t count;
	struct builder text; /* the word at hand */
	char *unknown;	     /* of it */
	bool glob, quoted;   /* of it */
	bool assigning;	     /* it is NAME=..., whose value is one word whatever it holds */
	struct here here[NESTING];
	size_t n_here;
};

/* ---- text ---- */

static void add(struct builder *builder, const char *bytes, size_t length)
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
	struct builder builder = {0};

	add(&builder, bytes, length);
	return builder.bytes;
}

static size_t name_length(const char *text)
{
	return strspn(text, LETTERS) ? strspn(text, LETTERS DIGITS) : 0;
}

/* Length of NAME in NAME=..., else 0. */
static size_t assigned_name(const char *text)
{
	size_t length = name_length(text);

	return length && text[length] == '=' ? length : 0;
}

/* ---- variables ---- */

static struct variable *find(const struct shell *shell, const char *name, size_t length)
{
	for (size_t i = 0; i < shell->count; i++) {
		struct variable *variable = &shell->variables[i];

		if (strlen(variable->name) == length && !strncmp(variable->name, name, length))
			return variable;
	}
	return NULL;
}

/* `value` NULL: from here on nobody can tell what it is. Takes nothing. */
static struct variable *assign(struct shell *shell, const char *name, size_t length,
			       const char *value)
{
	struct variable *variable = find(shell, name, length);
	char *kept = value ? xstrdup(value) : NULL;

	if (!variable) {
		shell->variables = xreallocarray(shell->variables, shell->count + 1,
						 sizeof(*shell->variables));
		variable = &shell->variables[shell->count++];
		*variable = (struct variable){.name = copy(name, length)};
	}
	free(variable->value);
	variable->value = kept;
	variable->given = false;
	return variable;
}

struct shell *shell_new(void)
{
	return xcalloc(1, sizeof(struct shell));
}

void shell_free(struct shell *shell)
{
	if (!shell)
		return;
	for (size_t i = 0; i < shell->count; i++) {
		free(shell->variables[i].name);
		free(shell->variables[i].value);
	}
	free(shell->variables);
	free(shell);
}

void shell_set(struct shell *shell, const char *name, const char *value)
{
	assign(shell, name, strlen(name), value)->given = true;
}

bool shell_used(const struct shell *shell, const char *name)
{
	const struct variable *variable = find(shell, name, strlen(name));

	return variable && variable->used;
}

static const char *value_of(struct shell *shell, const char *name, size_t length)
{
	struct variable *variable = find(shell, name, length);

	if (!variable)
		return NULL;
	variable->used |= variable->given;
	return variable->value;
}

/* ---- words ---- */

static void end_word(struct reader *reader)
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

static void drop_words(struct reader *reader, size_t first)
{
	for (size_t i = first; i < reader->count; i++) {
		free(reader->words[i].text);
		free(reader->words[i].unknown);
	}
	reader->count = first;
}

/* What cannot be resolved stays as it is written. */
static void add_unknown(struct reader *reader, const char *from, size_t length)
{
	if (!reader->unknown)
		reader->unknown = copy(from, length);
	add(&reader->text, from, length);
	for (size_t i = 0; i < length; i++)
		reader->line += from[i] == '\n';
}

/* A value outside quotes falls apart at its blanks. */
static void add_value(struct reader *reader, const char *value, bool whole)
{
	for (; *value; value++) {
		if (!whole && strchr(" \t\n", *value))
			end_word(reader);
		else
			add(&reader->text, value, 1);
	}
}

/* Length of what stands between brackets, from the opening one to behind the closing one; all the
 * rest when it is never closed. */
static size_t bracketed(const char *text, char open, char close)
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

static void expand_dollar(struct reader *reader, bool whole, unsigned nesting);

/* The WORD of ${NAME:-WORD}: its variables, not its quotes, which are rare there. */
static void expand_default(struct reader *reader, const char *word, size_t length, unsigned nesting)
{
	const char *after = reader->at;
	char *text = copy(word, length);

	for (reader->at = text; *reader->at;) {
		if (*reader->at == '$' && nesting < NESTING)
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
static void expand_braces(struct reader *reader, bool whole, unsigned nesting)
{
	const char *from = reader->at, *name = from + 2, *op;
	size_t length = bracketed(from + 1, '{', '}') + 1, size = name_length(name), word;
	const char *value = size ? value_of(reader->shell, name, size) : NULL;
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
	if (!value && find(reader->shell, name, size)) {
		add_unknown(reader, from, length);
	} else if (value && (*value || !colon)) {
		add_value(reader, value, whole);
	} else {
		word = (size_t)(from + length - 1 - (op + 1));
		expand_default(reader, op + 1, word, nesting);
	}
}

/* At "$". */
static void expand_dollar(struct reader *reader, bool whole, unsigned nesting)
{
	const char *from = reader->at, *value;
	size_t length = name_length(from + 1);

	if (length) {
		value = value_of(reader->shell, from + 1, length);
		reader->at += length + 1;
		if (value)
			add_value(reader, value, whole);
		else
			add_unknown(reader, from, length + 1);
	} else if (from[1] == '{') {
		expand_braces(reader, whole, nesting);
	} else if (from[1] == '(') {
		length = bracketed(from + 1, '(', ')') + 1;
		reader->at += length;
		add_unknown(reader, from, length);
	} else if (from[1] && strchr(DIGITS "@*#?$!-", from[1])) {
		reader->at += 2;
		add_unknown(reader, from, 2);
	} else {
		add(&reader->text, reader->at++, 1);
	}
}

/* At "`". */
static void skip_backquotes(struct reader *reader)
{
	const char *from = reader->at++;

	while (*reader->at && *reader->at != '`')
		reader->at += *reader->at == '\\' && reader->at[1] ? 2 : 1;
	reader->at += *reader->at == '`';
	add_unknown(reader, from, (size_t)(reader->at - from));
}

static void add_quoted(struct reader *reader)
{
	char c = *reader->at++;

	reader->line += c == '\n';
	add(&reader->text, &c, 1);
}

/* Behind the opening quote. */
static void read_single_quotes(struct reader *reader)
{
	while (*reader->at && *reader->at != '\'')
		add_quoted(reader);
	reader->at += *reader->at == '\'';
}

static void read_double_quotes(struct reader *reader)
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
static void expand_tilde(struct reader *reader)
{
	const char *from = reader->at, *home;
	size_t length = strcspn(from, "/ \t\r\n;&|()<>:");

	home = length == 1 ? value_of(reader->shell, "HOME", 4) : NULL;
	reader->at += length;
	if (home)
		add_value(reader, home, true);
	else
		add_unknown(reader, from, length);
}

static void read_plain(struct reader *reader)
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
	    assigned_name(reader->text.bytes) + 1 == reader->text.length)
		reader->assigning = true;
}

/* Reads a word, which becomes none, one or several. */
static void read_word(struct reader *reader)
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

/* ---- redirections ---- */

static void skip_blanks(struct reader *reader)
{
	for (;;) {
		reader->at += strspn(reader->at, " \t\r");
		if (reader->at[0] != '\\' || reader->at[1] != '\n')
			return;
		reader->at += 2;
		reader->line++;
	}
}

/* Length of the number and operator of a redirection that begins here, else 0. */
static size_t redirection(const char *text)
{
	size_t digits = strspn(text, DIGITS);

	if (text[0] == '&' && text[1] == '>')
		return 1 + strspn(text + 1, ">");
	if (text[digits] != '<' && text[digits] != '>')
		return 0;
	return digits + strspn(text + digits, "<>&|-");
}

static void read_redirection(struct reader *reader)
{
	size_t length = redirection(reader->at), first = reader->count;
	const char *op = reader->at + strspn(reader->at, DIGITS);
	bool here = op[0] == '<' && op[1] == '<' && op[2] != '<';
	bool tabs = here && op[2] == '-', closes = reader->at[length - 1] == '-';

	reader->at += length;
	if (*reader->at == '(') { /* <(...) */
		reader->at += bracketed(reader->at, '(', ')');
		return;
	}
	skip_blanks(reader);
	if (!closes || here)
		read_word(reader);
	if (here && reader->count > first && reader->n_here < NESTING)
		reader->here[reader->n_here++] =
			(struct here){xstrdup(reader->words[first].text), tabs};
	drop_words(reader, first);
}

static void skip_line(struct reader *reader)
{
	reader->at += strcspn(reader->at, "\n");
	if (*reader->at) {
		reader->at++;
		reader->line++;
	}
}

/* Behind a newline: the here-documents that were announced before it. */
static void skip_here(struct reader *reader)
{
	for (size_t i = 0; i < reader->n_here; i++) {
		struct here *here = &reader->here[i];
		size_t size = strlen(here->end);
		bool last = false;

		while (*reader->at && !last) {
			const char *text = reader->at;

			text += here->tabs ? strspn(text, "\t") : 0;
			last = strcspn(text, "\r\n") == size && !strncmp(text, here->end, size);
			skip_line(reader);
		}
		free(here->end);
	}
	reader->n_here = 0;
}

/* ---- commands ---- */

static bool is_one_of(const char *word, const char *const *words)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

/* An assignment in a branch that may not be taken, or a second time round, leaves a variable that
 * had another value with two. */
static void take_assignment(struct reader *reader, const struct shell_word *word)
{
	size_t length = assigned_name(word->text);
	const struct variable *variable = find(reader->shell, word->text, length);
	const char *value = word->unknown ? NULL : word->text + length + 1;

	if (variable && reader->depth &&
	    (!variable->value || !value || strcmp(variable->value, value) != 0))
		value = NULL;
	assign(reader->shell, word->text, length, value);
}

static void forget(struct reader *reader, const struct shell_word *word)
{
	assign(reader->shell, word->text, strlen(word->text), NULL);
}

/* How many words at the beginning are keywords; keeps count of what they open and close. */
static size_t take_keywords(struct reader *reader)
{
	static const char *const inner[] = {"then", "else", "elif", "do", "!", "time", NULL};
	static const char *const opens[] = {"if",  "case",   "while", "until",
					    "for", "select", "{",     NULL};
	static const char *const loops[] = {"while", "until", "for", "select", NULL};
	static const char *const closes[] = {"fi", "esac", "done", "}", NULL};
	size_t i = 0;

	for (; i < reader->count; i++) {
		const char *word = reader->words[i].text;

		if (is_one_of(word, opens)) {
			reader->depth++;
			reader->loops += is_one_of(word, loops);
		} else if (is_one_of(word, closes)) {
			reader->depth -= reader->depth > 0;
			reader->loops -= reader->loops > 0 && !strcmp(word, "done");
		} else if (!is_one_of(word, inner)) {
			break;
		}
		if (!strcmp(word, "for") || !strcmp(word, "select")) {
			if (i + 1 < reader->count)
				forget(reader, &reader->words[i + 1]);
			return reader->count;
		}
		if (!strcmp(word, "case"))
			return reader->count;
	}
	return i;
}

/* Assignments, and the commands that make some. Returns how many words they are. */
static size_t take_assignments(struct reader *reader, size_t first)
{
	static const char *const assigning[] = {"export",  "readonly", "local",
						"declare", "typeset",  NULL};
	static const char *const forgetting[] = {"read", "unset", NULL};
	size_t i = first;

	while (i < reader->count && assigned_name(reader->words[i].text))
		i++;
	/* Before a command they are for that command alone. */
	if (i == reader->count)
		for (size_t k = first; k < i; k++)
			take_assignment(reader, &reader->words[k]);
	if (i < reader->count && is_one_of(reader->words[i].text, assigning)) {
		for (; i < reader->count; i++)
			if (assigned_name(reader->words[i].text))
				take_assignment(reader, &reader->words[i]);
	} else if (i < reader->count && is_one_of(reader->words[i].text, forgetting)) {
		for (; i < reader->count; i++)
			forget(reader, &reader->words[i]);
	}
	return i;
}

/* Does one of the words hold what a command says? */
static bool runs_command(const struct reader *reader)
{
	for (size_t i = 0; i < reader->count; i++) {
		const char *unknown = reader->words[i].unknown;

		if (unknown && (*unknown == '`' || !strncmp(unknown, "$(", 2)))
			return true;
	}
	return false;
}

/* Reads up to behind the operator that ends a command. Returns false at the end of the text. */
static bool read_command(struct reader *reader, unsigned *ret_line)
{
	for (;;) {
		skip_blanks(reader);
		if (!*reader->at)
			return false;
		if (!reader->count)
			*ret_line = reader->line;
		if (*reader->at == '\n') {
			skip_line(reader);
			skip_here(reader);
			return true;
		}
		if (*reader->at == '#') {
			reader->at += strcspn(reader->at, "\n");
		} else if (redirection(reader->at)) {
			read_redirection(reader);
		} else if (strchr(";&|()", *reader->at)) {
			reader->at++;
			return true;
		} else {
			read_word(reader);
		}
	}
}

void shell_read(struct shell *shell, const char *text, unsigned line,
		void (*visit)(void *context, const struct shell_command *command), void *context)
{
	struct reader reader = {.shell = shell, .at = text, .line = line};
	bool more;

	do {
		unsigned at = reader.line;
		size_t first;

		more = read_command(&reader, &at);
		first = take_assignments(&reader, take_keywords(&reader));
		if (first == reader.count && runs_command(&reader))
			first = 0;
		if (first < reader.count) {
			struct shell_command command = {at, reader.loops > 0, reader.words + first,
							reader.count - first};

			visit(context, &command);
		}
		drop_words(&reader, 0);
	} while (more);
	skip_here(&reader);
	free(reader.words);
	free(reader.text.bytes);
}
