/* cmd_import_qctrl.c - qfwatch import-qctrl: qctrl's command lines in, a policy that means the same
 * out. Here they are found; what they mean is qctrl_policy.c's. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/qctrl_policy.h"
#include "qfwatch/shell.h"
#include "qfwatch/xalloc.h"

#define MAX_BYTES ((size_t)4 * 1024 * 1024)
#define NESTING	  4 /* of commands in quotes in quotes */

static const char usage[] =
	"usage: qfwatch import-qctrl [--home DIR] [--set NAME=VALUE]... [COMMAND...] >policy.json\n"
	"\n"
	"Writes a policy that means what qctrl's command lines mean, with a \"comment\" wherever "
	"something\n"
	"differs. Without COMMAND it reads a shell script, such as OpenEMM's mailer.sh, from "
	"standard input.\n"
	"COMMAND is one command line in quotes, or several, or the words of one. Nothing is run.\n"
	"\n"
	"      --home DIR        what $HOME is in the script (and $BASE, as OpenEMM has it)\n"
	"      --set NAME=VALUE  what another variable is that the script does not set\n"
	"  -h, --help            this text\n"
	"\n"
	"Exit code 0: the policy is complete; 1: it is written, but look at what stderr tells; 2: "
	"no policy.\n";

struct import {
	struct shell *shell;
	struct qctrl_policy *policy;
	unsigned nesting;    /* 1: in the script, more: in quotes in it */
	unsigned outer_line; /* of what is in quotes */
	bool outer_loop;
};

static bool is_one_of(const char *word, const char *const *words)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

static bool is_qctrl(const struct shell_word *word)
{
	const char *slash = strrchr(word->text, '/');
	const char *base = slash ? slash + 1 : word->text;

	/* A variable of that name whose value is not known is what it says. */
	return !strcmp(base, "qctrl") || !strcasecmp(base, "$qctrl") ||
	       !strcasecmp(base, "${qctrl}");
}

/* Do these words look as if they were qctrl's? Others may follow its name, too: [ -x qctrl ]. */
static bool is_call(const struct shell_word *words, size_t count)
{
	static const char *const verbs[] = {"force", "move", "stat", "flush", NULL};

	for (size_t i = 0; i < count; i++)
		if (is_one_of(words[i].text, verbs))
			return true;
	return false;
}

static void read_script(struct import *import, const char *text, unsigned line, bool loop);

/* A command in quotes, for su or sh -c, or in $(...). */
static void look_inside(struct import *import, unsigned line, bool loop,
			const struct shell_word *word)
{
	char *inner;

	if (import->nesting == NESTING || !strstr(word->text, "qctrl"))
		return;
	if (!word->unknown || !strstr(word->unknown, "qctrl")) {
		if (strpbrk(word->text, " \t\n"))
			read_script(import, word->text, line, loop);
		return;
	}
	inner = xstrdup(word->unknown + strcspn(word->unknown, "(`") +
			(word->unknown[strcspn(word->unknown, "(`")] != '\0'));
	if (*inner && strpbrk(inner, " \t\n")) {
		inner[strlen(inner) - 1] = '\0';
		read_script(import, inner, line, loop);
	}
	free(inner);
}

static void visit(void *context, const struct shell_command *command)
{
	static const char *const talking[] = {"echo",	  "printf", "logger",  "mstart",
					      "mproceed", "mend",   "message", "messagen",
					      "mlog",	  "log",    ":",       NULL};
	struct import *import = context;
	unsigned line = import->nesting > 1 ? import->outer_line : command->line;
	bool loop = command->loop || import->outer_loop;

	if (is_one_of(command->words[0].text, talking))
		return;
	for (size_t i = 0; i < command->count; i++) {
		const struct shell_word *behind = command->words + i + 1;
		size_t count = command->count - i - 1;

		if (!is_qctrl(&command->words[i]))
			continue;
		if (count && (i == 0 || is_call(behind, count)))
			qctrl_policy_add(import->policy, line, loop, behind, count);
		return;
	}
	for (size_t i = 0; i < command->count; i++)
		look_inside(import, line, loop, &command->words[i]);
}

static void read_script(struct import *import, const char *text, unsigned line, bool loop)
{
	unsigned outer_line = import->outer_line;
	bool outer_loop = import->outer_loop;

	import->outer_line = line;
	import->outer_loop = loop;
	import->nesting++;
	shell_read(import->shell, text, line, visit, import);
	import->nesting--;
	import->outer_line = outer_line;
	import->outer_loop = outer_loop;
}

/* All of standard input, or NULL and a message. */
static char *read_input(void)
{
	char *text = NULL;
	size_t length = 0;

	do {
		text = xreallocarray(text, length + 65536 + 1, 1);
		length += fread(text + length, 1, 65536, stdin);
	} while (!feof(stdin) && !ferror(stdin) && length <= MAX_BYTES);
	text[length] = '\0';
	if (!ferror(stdin) && length <= MAX_BYTES && strlen(text) == length)
		return text;
	fprintf(stderr, "qfwatch import-qctrl: standard input %s: give it a shell script\n",
		ferror(stdin) ? "cannot be read" : "is no script");
	free(text);
	return NULL;
}

/* ---- the command line ---- */

/* The words of one command, or of several one after the other, as the caller's shell made them. */
static void read_words(struct import *import, int argc, char **argv)
{
	struct shell_word *words = xcalloc((size_t)argc, sizeof(*words));
	size_t count = 0;
	unsigned first = 1;

	for (int i = 0; i < argc; i++) {
		struct shell_word word = {.text = argv[i]};
		const char *dollar = strchr(argv[i], '$');

		if (dollar && (dollar[1] == '{' || dollar[1] == '_' ||
			       (dollar[1] >= 'A' && dollar[1] <= 'Z')))
			word.unknown = argv[i];
		if (is_qctrl(&word)) {
			if (count)
				qctrl_policy_add(import->policy, first, false, words, count);
			count = 0;
			first = (unsigned)i + 1;
		} else {
			words[count++] = word;
		}
	}
	if (count)
		qctrl_policy_add(import->policy, first, false, words, count);
	free(words);
}

static void read_arguments(struct import *import, int argc, char **argv)
{
	if (!strpbrk(argv[0], " \t\n")) {
		read_words(import, argc, argv);
		return;
	}
	for (int i = 0; i < argc; i++) {
		/* Nested: the number stays the argument's. */
		import->nesting = 1;
		read_script(import, argv[i], (unsigned)i + 1, false);
		import->nesting = 0;
	}
}

static int finish(struct import *import, bool input)
{
	int r;

	if (!qctrl_policy_rules(import->policy)) {
		fprintf(stderr,
			"qfwatch import-qctrl: no qctrl command that moves or deletes was found in "
			"%s, and no policy is written: give command lines such as 'qctrl move FROM "
			"TO tries:3', or a script with <FILE\n",
			input ? "standard input" : "the arguments");
		return EXIT_USAGE;
	}
	if (shell_used(import->shell, "BASE"))
		qctrl_policy_note(import->policy,
				  "$BASE was taken from import-qctrl's command line; where only "
				  "--home was given, it is $HOME, as in OpenEMM's config.sh.");
	r = qctrl_policy_write(import->policy, stdout);
	if (r < 0) {
		errno = -r;
		command_has_written();
		return command_finish("import-qctrl", EXIT_REFUSED);
	}
	return qctrl_policy_problems(import->policy) ? EXIT_PROBLEM : EXIT_DONE;
}

static int import_all(struct shell *shell, int argc, char **argv)
{
	bool input = argc == 0 || (argc == 1 && !strcmp(argv[0], "-"));
	struct import import = {.shell = shell};
	char *script = input ? read_input() : NULL;
	int code;

	if (input && !script)
		return EXIT_USAGE;
	import.policy = qctrl_policy_new(input ? "line" : "argument");
	if (input)
		read_script(&import, script, 1, false);
	else
		read_arguments(&import, argc, argv);
	code = finish(&import, input);
	qctrl_policy_free(import.policy);
	free(script);
	return code;
}

/* NAME=VALUE */
static bool set_variable(struct shell *shell, const char *text)
{
	const char *equals = strchr(text, '=');
	char *name;

	if (!equals || equals == text)
		return false;
	name = xstrdup(text);
	name[equals - text] = '\0';
	shell_set(shell, name, equals + 1);
	free(name);
	return true;
}

int cmd_import_qctrl(int argc, char **argv)
{
	static const struct option options[] = {{"home", required_argument, NULL, 'H'},
						{"set", required_argument, NULL, 'S'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct shell *shell = shell_new();
	int c, code = -1;

	while (code < 0 && (c = getopt_long(argc, argv, "+h", options, NULL)) != -1)
		switch (c) {
		case 'H':
			shell_set(shell, "HOME", optarg);
			/* OpenEMM's config.sh sets it so, where nobody has set it. */
			shell_set(shell, "BASE", optarg);
			break;
		case 'S':
			if (!set_variable(shell, optarg)) {
				code = command_misused("import-qctrl",
						       "--set: expected NAME=VALUE, not", optarg);
			}
			break;
		case 'h':
			fputs(usage, stdout);
			code = EXIT_DONE;
			break;
		default:
			code = command_misused("import-qctrl", NULL, NULL);
		}
	if (code < 0 && optind == argc && isatty(STDIN_FILENO))
		code = command_misused("import-qctrl",
				       "which command lines? Give them, or a script with <FILE",
				       NULL);
	if (code < 0)
		code = import_all(shell, argc - optind, argv + optind);
	shell_free(shell);
	return code;
}
