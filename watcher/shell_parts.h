/* shell_parts.h - what the files of shell share. Nobody else includes it.
 *
 *   shell.c       variables, redirections, commands
 *   shell_word.c  words: quotes, and what stands for something else
 */
#ifndef QFWATCH_SHELL_PARTS_H
#define QFWATCH_SHELL_PARTS_H

#include "qfwatch/shell.h"

#define SHELL_DIGITS  "0123456789"
#define SHELL_NESTING 8 /* of default values in default values */

struct shell_variable {
	char *name;
	char *value; /* NULL: nobody can tell */
	bool given;  /* by shell_set, and the script has not changed it */
	bool used;   /* while it was given */
};

struct shell {
	struct shell_variable *variables;
	size_t count;
};

struct shell_text {
	char *bytes;
	size_t length, size;
};

/* A here-document whose text begins at the next line. */
struct shell_here {
	char *end;
	bool tabs; /* <<-: leading tabs do not count */
};

struct shell_reader {
	struct shell *shell;
	const char *at;
	unsigned line;
	unsigned depth, loops; /* how many compound commands, loops, are open */
	struct shell_word *words;
	size_t count;
	struct shell_text text; /* the word at hand */
	char *unknown;		/* of it */
	bool glob, quoted;	/* of it */
	bool assigning;		/* it is NAME=..., whose value is one word whatever it holds */
	struct shell_here here[SHELL_NESTING];
	size_t n_here;
};

/* ---- shell.c ---- */

/* NULL: there is none of that name; and its value, which is used then. */
struct shell_variable *shell_find(const struct shell *shell, const char *name, size_t length);
const char *shell_value(struct shell *shell, const char *name, size_t length);

/* ---- shell_word.c ---- */

/* Length of NAME in NAME=..., else 0. */
size_t shell_assigned_name(const char *text);

/* Length of what stands between brackets, from the opening one to behind the closing one; all the
 * rest when it is never closed. */
size_t shell_bracketed(const char *text, char open, char close);

/* Reads a word, which becomes none, one or several. */
void shell_read_word(struct shell_reader *reader);

/* Forgets all words from that one on. */
void shell_drop_words(struct shell_reader *reader, size_t first);

#endif
