/* shell.h - reads a shell script for the commands that stand in it, without running any.
 *
 * Not a shell: it knows words, quotes, comments, continued lines, here-documents, redirections, and
 * what the keywords open and close; it resolves plain variables. What it cannot know (a command's
 * output, $1, a variable that two branches set differently) stays in the word as it is written,
 * and the word says so. Pure but for memory.
 */
#ifndef QFWATCH_SHELL_H
#define QFWATCH_SHELL_H

#include <stdbool.h>
#include <stddef.h>

struct shell_word {
	char *text;
	char *unknown; /* the first piece that could not be resolved, as written; NULL: none */
	bool glob;     /* * ? or [ outside quotes */
};

/* One simple command: without the assignments before it, keywords and redirections. What is nothing
 * but those is one as it stands if a word of it holds a command's output, `...` or $(...). */
struct shell_command {
	unsigned line; /* where its first word begins, from 1 */
	bool loop;     /* within while, until or for */
	struct shell_word *words;
	size_t count; /* at least 1 */
};

struct shell;

/* Never NULL. The caller frees it with shell_free. */
struct shell *shell_new(void);
void shell_free(struct shell *shell); /* NULL is fine */

/* Gives a variable a value before the script is read. The script may give it another. */
void shell_set(struct shell *shell, const char *name, const char *value);

/* Has the variable's value been taken from shell_set, and not from the script? */
bool shell_used(const struct shell *shell, const char *name);

/* Calls `visit` for each command in `text`, in order; the command is the callee's only for the time
 * of the call. `line` is the number of the text's first line. `visit` may call shell_read again
 * with a text of its own. */
void shell_read(struct shell *shell, const char *text, unsigned line,
		void (*visit)(void *context, const struct shell_command *command), void *context);

#endif
