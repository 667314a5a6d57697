/* shell.c - see shell.h. This file: variables, redirections, commands, by POSIX.1 (XCU chapter 2).
 */
#include "shell_parts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

/* ---- variables ---- */

struct shell_variable *shell_find(const struct shell *shell, const char *name, size_t length)
{
	for (size_t i = 0; i < shell->count; i++) {
		struct shell_variable *variable = &shell->variables[i];

		if (strlen(variable->name) == length && !strncmp(variable->name, name, length))
			return variable;
	}
	return NULL;
}

/* `value` NULL: from here on nobody can tell what it is. Takes nothing. */
static struct shell_variable *assign(struct shell *shell, const char *name, size_t length,
				     const char *value)
{
	struct shell_variable *variable = shell_find(shell, name, length);
	char *kept = value ? xstrdup(value) : NULL;

	if (!variable) {
		shell->variables = xreallocarray(shell->variables, shell->count + 1,
						 sizeof(*shell->variables));
		variable = &shell->variables[shell->count++];
		*variable = (struct shell_variable){.name = xasprintf("%.*s", (int)length, name)};
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
	const struct shell_variable *variable = shell_find(shell, name, strlen(name));

	return variable && variable->used;
}

const char *shell_value(struct shell *shell, const char *name, size_t length)
{
	struct shell_variable *variable = shell_find(shell, name, length);

	if (!variable)
		return NULL;
	variable->used |= variable->given;
	return variable->value;
}

/* ---- redirections ---- */

static void skip_blanks(struct shell_reader *reader)
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
	size_t digits = strspn(text, SHELL_DIGITS);

	if (text[0] == '&' && text[1] == '>')
		return 1 + strspn(text + 1, ">");
	if (text[digits] != '<' && text[digits] != '>')
		return 0;
	return digits + strspn(text + digits, "<>&|-");
}

static void read_redirection(struct shell_reader *reader)
{
	size_t length = redirection(reader->at), first = reader->count;
	const char *op = reader->at + strspn(reader->at, SHELL_DIGITS);
	bool here = op[0] == '<' && op[1] == '<' && op[2] != '<';
	bool tabs = here && op[2] == '-', closes = reader->at[length - 1] == '-';

	reader->at += length;
	if (*reader->at == '(') { /* <(...) */
		reader->at += shell_bracketed(reader->at, '(', ')');
		return;
	}
	skip_blanks(reader);
	if (!closes || here)
		shell_read_word(reader);
	if (here && reader->count > first && reader->n_here < SHELL_NESTING)
		reader->here[reader->n_here++] =
			(struct shell_here){xstrdup(reader->words[first].text), tabs};
	shell_drop_words(reader, first);
}

static void skip_line(struct shell_reader *reader)
{
	reader->at += strcspn(reader->at, "\n");
	if (*reader->at) {
		reader->at++;
		reader->line++;
	}
}

/* Behind a newline: the here-documents that were announced before it. */
static void skip_here(struct shell_reader *reader)
{
	for (size_t i = 0; i < reader->n_here; i++) {
		struct shell_here *here = &reader->here[i];
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
static void take_assignment(struct shell_reader *reader, const struct shell_word *word)
{
	size_t length = shell_assigned_name(word->text);
	const struct shell_variable *variable = shell_find(reader->shell, word->text, length);
	const char *value = word->unknown ? NULL : word->text + length + 1;

	if (variable && reader->depth &&
	    (!variable->value || !value || strcmp(variable->value, value) != 0))
		value = NULL;
	assign(reader->shell, word->text, length, value);
}

static void forget(struct shell_reader *reader, const struct shell_word *word)
{
	assign(reader->shell, word->text, strlen(word->text), NULL);
}

/* How many words at the beginning are keywords; keeps count of what they open and close. */
static size_t take_keywords(struct shell_reader *reader)
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
static size_t take_assignments(struct shell_reader *reader, size_t first)
{
	static const char *const assigning[] = {"export",  "readonly", "local",
						"declare", "typeset",  NULL};
	static const char *const forgetting[] = {"read", "unset", NULL};
	size_t i = first;

	while (i < reader->count && shell_assigned_name(reader->words[i].text))
		i++;
	/* Before a command they are for that command alone. */
	if (i == reader->count)
		for (size_t k = first; k < i; k++)
			take_assignment(reader, &reader->words[k]);
	if (i < reader->count && is_one_of(reader->words[i].text, assigning)) {
		for (; i < reader->count; i++)
			if (shell_assigned_name(reader->words[i].text))
				take_assignment(reader, &reader->words[i]);
	} else if (i < reader->count && is_one_of(reader->words[i].text, forgetting)) {
		for (; i < reader->count; i++)
			forget(reader, &reader->words[i]);
	}
	return i;
}

/* Does one of the words hold what a command says? */
static bool runs_command(const struct shell_reader *reader)
{
	for (size_t i = 0; i < reader->count; i++) {
		const char *unknown = reader->words[i].unknown;

		if (unknown && (*unknown == '`' || !strncmp(unknown, "$(", 2)))
			return true;
	}
	return false;
}

/* Reads up to behind the operator that ends a command. Returns false at the end of the text. */
static bool read_command(struct shell_reader *reader, unsigned *ret_line)
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
			shell_read_word(reader);
		}
	}
}

void shell_read(struct shell *shell, const char *text, unsigned line,
		void (*visit)(void *context, const struct shell_command *command), void *context)
{
	struct shell_reader reader = {.shell = shell, .at = text, .line = line};
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
		shell_drop_words(&reader, 0);
	} while (more);
	skip_here(&reader);
	free(reader.words);
	free(reader.text.bytes);
}
