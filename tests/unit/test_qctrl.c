/* test_qctrl.c - qctrl's command lines: what they mean, and the policy that import-qctrl makes. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <getopt.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <pcre2.h>

#include "qfwatch/command.h"
#include "qfwatch/policy.h"
#include "qfwatch/qctrl.h"
#include "qfwatch/shell.h"
#include "qfwatch/units.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define WORDS	     16

/* ---- the command line ---- */

static void reads_qctrl_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} table[] = {
		{"6d", 518400},
		{"90", 90},
		{"90s", 90},
		{"", 0},
		{"1d12h", 129600},
		{"1d 12h", 129600},
		{"2d-12h", 129600},
		{"12h2d", 216000}, /* in any order */
		{"1W", 604800},
		{"1M", 2592000},
		{"1Y", 31536000},
		{"+5m", 300},
		{"-5", -5},
		{"-1", QCTRL_NONE}, /* that is how qctrl has it */
		{"6D", QCTRL_NONE},
		{"1w", QCTRL_NONE},
		{"6 days", QCTRL_NONE},
		{"1-2", QCTRL_NONE},
		{"99999999999999999999", UNITS_DURATION_MAX + 1},
		{"9999999999Y", UNITS_DURATION_MAX + 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		if (qctrl_duration(table[i].text) != table[i].seconds)
			print_error("\"%s\"\n", table[i].text);
		assert_int_equal(qctrl_duration(table[i].text), table[i].seconds);
	}
}

/* Splits at blanks. */
static size_t split(char *line, char **words)
{
	size_t count = 0;
	char *rest;

	for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[count++] = word;
	return count;
}

static void reads_command_lines(void **state)
{
	char line[] = "-fad 780 -L DEBUG -ov force MOVE /a /b "
		      "TRIES:1,maxage:1d,maxageinval:0,informer:/bin/x,recv:!/a|b,recv:c,allways:y";
	char *words[WORDS];
	size_t count = split(line, words);
	struct qctrl_refusal refusal;
	struct qctrl qctrl;

	(void)state;
	assert_int_equal(qctrl_parse(words, count, &qctrl, &refusal), 0);
	assert_int_equal(qctrl.verb, QCTRL_MOVE);
	assert_true(qctrl.once);
	assert_int_equal(qctrl.delay, 780);
	assert_string_equal(qctrl.from, "/a");
	assert_string_equal(qctrl.to, "/b");
	assert_int_equal(qctrl.tries, 1);
	assert_int_equal(qctrl.maxage, 86400);
	assert_int_equal(qctrl.maxageinval, 0);
	assert_string_equal(qctrl.informer, "/bin/x");
	assert_int_equal(qctrl.n_patterns, 2);
	assert_true(qctrl.patterns[0].no && qctrl.patterns[0].regex);
	assert_string_equal(qctrl.patterns[0].text, "a|b");
	assert_false(qctrl.patterns[1].no || qctrl.patterns[1].regex);
	assert_string_equal(qctrl.patterns[1].text, "c");
	assert_true(qctrl.always);
	assert_false(qctrl.deletes);
	assert_null(qctrl.ignored);
	qctrl_free(&qctrl);
}

/* What qctrl itself would not start with. */
static void refuses_what_qctrl_refuses(void **state)
{
	static const char *const table[] = {
		"",
		"force",
		"copy /a /b tries:3",
		"Force move /a /b",
		"-x move /a /b tries:3",
		"move /a /b tries:3 -d",
		"move /a",
		"move /a /b tries:3 maxage:6d",
		"move /a /b",		     /* everything, without force */
		"move /a /b allways:true",   /* the same */
		"move /a /dev/null tries:3", /* deletes, without force */
		"move /a /a tries:3",	     /* the same directory */
		"move /a /b recv:x",	     /* no limit */
		"force move /a /b recv:x",   /* the same */
		"move /a /b tries:2",	     /* few, without force */
		"force move /a /b tries:0",  /* none */
		"force move /a /b tries:x",  /* none */
		"move /a /b maxage:59",	     /* young, without force */
		"force move /a /b maxage:0", /* none */
		"move /a /b maxage:6D",	     /* ignored, and nothing left */
		"move /a /b tries:3,maxageinval:-5",
		"move /a /b tries",    /* no value */
		"move /a /b tries:3,", /* a limit without a name and value */
		"move /a /b attempts:3",
		"move /a /b maxage:99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		char line[128], *words[WORDS];
		struct qctrl_refusal refusal = {0};
		struct qctrl qctrl;
		int r;

		snprintf(line, sizeof(line), "%s", table[i]);
		r = qctrl_parse(words, split(line, words), &qctrl, &refusal);
		if (r != -EINVAL)
			print_error("\"%s\"\n", table[i]);
		assert_int_equal(r, -EINVAL);
		assert_true(*refusal.why && *refusal.remedy);
	}
}

/* ---- patterns ---- */

static const struct {
	const char *text; /* NULL in `regex`: no equivalent */
	const char *regex;
} patterns[] = {
	{"@gmx.de", "@gmx\\.de"},
	{"@gmx.de>", "@gmx\\.de$"},
	{"<info@", "^info@"},
	{":<info@", "^info@"},
	{"a+b*c", "a\\+b\\*c"},
	{"", ""},
	{"/", ""},
	{"/.", "."},
	{"/^.*@gmx", "@gmx"},
	{"/@gmx\\.(de|net)>", "@gmx\\.(de|net)$"},
	{"/@gmx\\.(de|net)>$", "@gmx\\.(de|net)$"},
	{"/@gmx\\.de>?$", "@gmx\\.de$"},
	{"/:<?info@", "^info@"},
	{"/(<|\\.)info@", "(^|\\.)info@"},
	{"/[[:alpha:]_]+[0-9]{2}@", "[[:alpha:]_]+[0-9]{2}@"},
	{"/[]a]b", "[\\]a]b"},
	{"/[\\.]b", "[\\\\.]b"},
	{"/a+?b", "a*b"},
	{"/a++@", "a+@"},
	{"/\\<info\\>@", "\\b(?=\\w)info\\b(?<=\\w)@"},
	{"/i\\d", "id"},
	{"/\xe4@", "\\xe4@"},
	{"/(a)\\1@", "(a)\\1@"},
	{"D:<info", NULL},
	{"/^PFD:<info", NULL},
	{"/^info", NULL},
	{"/:info", NULL},
	{"/[<.]info", NULL},
	{"/(a", NULL},
	{"/a{2}*b", NULL},
	{"/[[.a.]]", NULL},
	/* regcomp would be at it for ever. */
	{"/a++++++++++++++++++++++++++++++++++++++++", NULL},
	{"/((a{30000}){30000}){30000}", NULL},
};

static struct qctrl_pattern pattern_of(const char *text)
{
	bool regex = *text == '/';

	return (struct qctrl_pattern){.regex = regex, .text = (char *)text + regex};
}

static void translates_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(patterns); i++) {
		struct qctrl_pattern pattern = pattern_of(patterns[i].text);
		struct qctrl_refusal refusal = {0};
		char *regex = NULL;
		unsigned notes;
		int r = qctrl_pattern_regex(&pattern, &regex, &notes, &refusal);

		if (r != (patterns[i].regex ? 0 : -EINVAL))
			print_error("\"%s\"\n", patterns[i].text);
		assert_int_equal(r, patterns[i].regex ? 0 : -EINVAL);
		if (r == 0)
			assert_string_equal(regex, patterns[i].regex);
		else
			assert_true(*refusal.why && *refusal.remedy);
		free(regex);
	}
}

static bool qctrl_matches(const struct qctrl_pattern *pattern, const char *address)
{
	char line[128];
	regex_t regex;
	bool matches;

	snprintf(line, sizeof(line), "PFD:<%s>", address);
	if (!pattern->regex)
		return strstr(line, pattern->text) != NULL;
	assert_int_equal(regcomp(&regex, pattern->text, REG_EXTENDED | REG_NOSUB), 0);
	matches = regexec(&regex, line, 0, NULL, 0) == 0;
	regfree(&regex);
	return matches;
}

static bool policy_matches(const char *text, const char *address)
{
	int error;
	size_t at;
	pcre2_code *code =
		pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &error, &at, NULL);
	pcre2_match_data *data;
	bool matches;

	assert_non_null(code);
	data = pcre2_match_data_create_from_pattern(code, NULL);
	matches = pcre2_match(code, (PCRE2_SPTR)address, strlen(address), 0, 0, data, NULL) >= 0;
	pcre2_match_data_free(data);
	pcre2_code_free(code);
	return matches;
}

/* Both sides on the same addresses, as they stand in a qf. */
static void patterns_mean_the_same(void **state)
{
	static const char *const addresses[] = {
		"info@gmx.de",
		"x.info@gmx.net",
		"xinfo@gmx.de.example",
		"INFO@GMX.DE",
		"a+b*c@x.org",
		"aab@example.org",
		"b@example.org",
		"aa@example.org",
		"name12@gmx.com",
		"\xe4@example.org",
		"id@example.org",
		"i5@x",
		"\\b@x",
		"]b@example.org",
		".b@x",
		"a",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(patterns); i++) {
		struct qctrl_pattern pattern = pattern_of(patterns[i].text);

		for (size_t k = 0; patterns[i].regex && k < COUNT(addresses); k++) {
			bool expected = qctrl_matches(&pattern, addresses[k]);

			if (policy_matches(patterns[i].regex, addresses[k]) != expected)
				print_error("\"%s\" on %s\n", patterns[i].text, addresses[k]);
			assert_int_equal(policy_matches(patterns[i].regex, addresses[k]), expected);
		}
	}
}

static void tells_what_differs_in_a_pattern(void **state)
{
	static const struct {
		const char *text;
		unsigned notes;
	} table[] = {
		{"@gmx.de", 0},
		{"@gmx.de>", QCTRL_NOTE_BRACKETS},
		{"/gmx\\.de$", QCTRL_NOTE_END},
		{"/gmx\\.de>$", QCTRL_NOTE_BRACKETS},
		{"FD", QCTRL_NOTE_FLAGS},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct qctrl_pattern pattern = pattern_of(table[i].text);
		struct qctrl_refusal refusal;
		unsigned notes;
		char *regex;

		assert_int_equal(qctrl_pattern_regex(&pattern, &regex, &notes, &refusal), 0);
		assert_int_equal(notes, table[i].notes);
		free(regex);
	}
}

/* ---- scripts ---- */

struct seen {
	char text[2048];
};

static void see(void *context, const struct shell_command *command)
{
	struct seen *seen = context;
	size_t length = strlen(seen->text);

	length += (size_t)snprintf(seen->text + length, sizeof(seen->text) - length, "%u%s",
				   command->line, command->loop ? "*" : "");
	for (size_t i = 0; i < command->count; i++)
		length += (size_t)snprintf(seen->text + length, sizeof(seen->text) - length,
					   "|%s%s", command->words[i].text,
					   command->words[i].unknown ? "?" : "");
	snprintf(seen->text + length, sizeof(seen->text) - length, "\n");
}

static void reads_scripts(void **state)
{
	static const struct {
		const char *script, *commands;
	} table[] = {
		{"a b;c & d && e||f", "1|a|b\n1|c\n1|d\n1|e\n1|f\n"},
		{"# no\na # no\nb#c", "2|a\n3|b#c\n"},
		{"a \\\n  b\nc", "1|a|b\n3|c\n"},
		{"a 'b c' \"d  e\" f\\ g ''", "1|a|b c|d  e|f g|\n"},
		{"a >/dev/null 2>&1 <x b", "1|a|b\n"},
		{"a <<E\nqctrl move\nE\nb", "1|a\n4|b\n"},
		{"a <<-'E'\n\tqctrl\n\tE\nb", "1|a\n4|b\n"},
		{"x=/a\n$x/b ${x}c \"$x\"", "2|/a/b|/ac|/a\n"},
		{"x='a b'\nc $x \"$x\"", "2|c|a|b|a b\n"},
		{"export x=1 y=2\na $x$y", "2|a|12\n"},
		{"x=1 a $x", "1|a|$x?\n"},
		{"a $1 $y `b c` $(d (e)) $((1+2))", "1|a|$1?|$y?|`b c`?|$(d (e))?|$((1+2))?\n"},
		{"x=1\na ${x:-2} ${y:-2} ${y-$x} ${x%1} ${#x}", "2|a|1|2|1|${x%1}?|${#x}?\n"},
		{"if a; then b; else c; fi\nd", "1|a\n1|b\n1|c\n2|d\n"},
		{"while true; do a; done; b", "1*|true\n1*|a\n1|b\n"},
		{"for i in 1 2; do a $i; done", "1*|a|$i?\n"},
		{"case $1 in\nx) a ;;\nesac\nb", "2|x\n2|a\n4|b\n"},
		{"x=1\nif a; then x=2; fi\nb $x", "2|a\n3|b|$x?\n"},
		{"if a; then x=2; b $x; fi", "1|a\n1|b|2\n"},
		{"x=1\nx=2\na $x", "3|a|2\n"},
		{"x=~/a\nb $x ~ ~other/c", "2|b|/home/me/a|/home/me|~other/c?\n"},
		{"a 'never\nclosed", "1|a|never\nclosed\n"},
		{"a $(never closed", "1|a|$(never closed?\n"},
		{"a ${never", "1|a|${never?\n"},
		{"a `b", "1|a|`b?\n"},
		{"a \\", "1|a|\n"},
		{"a\r\nb\r\n", "1|a\n2|b\n"},
		{"fi; done; }; a", "1|a\n"},
		{"a >", "1|a\n"},
		{"a = b", "1|a|=|b\n"},
		{"x=$(b c) y=1\nz=`d`", "1|x=$(b c)?|y=1\n2|z=`d`?\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct shell *shell = shell_new();
		struct seen seen = {0};

		shell_set(shell, "HOME", "/home/me");
		shell_read(shell, table[i].script, 1, see, &seen);
		assert_string_equal(seen.text, table[i].commands);
		shell_free(shell);
	}
}

/* ---- the policy ---- */

struct run {
	int code;
	char *out, *err;
};

static char *contents(FILE *file)
{
	long length;
	char *text;

	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	length = ftell(file);
	text = calloc((size_t)length + 1, 1);
	assert_non_null(text);
	rewind(file);
	assert_int_equal(fread(text, 1, (size_t)length, file), length);
	fclose(file);
	return text;
}

/* Runs the command with a script on standard input, or with arguments. */
static struct run run(const char *script, int argc, char **argv)
{
	FILE *files[3] = {tmpfile(), tmpfile(), tmpfile()};
	int kept[3];
	struct run result;

	fputs(script ? script : "", files[0]);
	fflush(stdout);
	for (int fd = 0; fd < 3; fd++) {
		rewind(files[fd]);
		kept[fd] = dup(fd);
		dup2(fileno(files[fd]), fd);
	}
	rewind(stdin);
	optind = 0;
	result.code = cmd_import_qctrl(argc, argv);
	fflush(stdout);
	for (int fd = 0; fd < 3; fd++) {
		dup2(kept[fd], fd);
		close(kept[fd]);
	}
	rewind(stdin);
	fclose(files[0]);
	result.out = contents(files[1]);
	result.err = contents(files[2]);
	return result;
}

static struct run run_script(const char *script)
{
	char *argv[] = {"import-qctrl", "--home", "/home/o", NULL};

	return run(script, 3, argv);
}

static void run_free(struct run *result)
{
	free(result->out);
	free(result->err);
}

static void strip_comments(json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	json_object_del(value, "comment");
	json_object_foreach(value, key, item)
		strip_comments(item);
	json_array_foreach(value, i, item)
		strip_comments(item);
}

/* The loader takes what import-qctrl writes. */
static void must_load(const char *text)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	int r = policy_parse(text, strlen(text), "/tmp/policy.json", &problems, &policy);

	for (size_t i = 0; r < 0 && i < problems.count; i++)
		print_error("%s\n", problems.list[i].text);
	assert_int_equal(r, 0);
	policy_free(policy);
	problems_free(&problems);
}

static json_t *find_rule(const json_t *policy, size_t i)
{
	return json_array_get(json_object_get(policy, "rules"), i);
}

/* One line each, from /q/A to /q/B or to nothing: what its rule is. */
static const struct {
	const char *words; /* behind "qctrl" */
	int code;
	const char *when, *then, *comment; /* the comment holds this; NULL: anything */
} mappings[] = {
	{"-d780 move /q/A /q/B tries:3", 0, "{'attempts':4}", "{'move':'B'}", "every 13m"},
	{"move /q/A /q/B tries:3", 0, "{'attempts':4}", "{'move':'B'}", "every 5m"},
	{"force move /q/A /q/B tries:1", 0, "{'attempts':2}", "{'move':'B'}", NULL},
	{"move /q/A /q/B maxage:6d", 0, "{'age':'6d1s'}", "{'move':'B'}", "just as old"},
	{"move /q/A /q/B maxage:1W", 0, "{'age':'7d1s'}", "{'move':'B'}", NULL},
	{"move /q/A /q/B maxageinval:1h", 0, "{'incomplete':true,'age':'1h1s'}", "{'move':'B'}",
	 NULL},
	{"force move /q/A /dev/null maxageinval:0", 0, "{'incomplete':true,'age':'1s'}",
	 "{'delete':true}", "deletes_per_minute"},
	{"move /q/A /q/B tries:3,maxage:1d,maxageinval:1h", 0,
	 "{'any':[{'attempts':4},{'age':'1d1s'},{'incomplete':true,'age':'1h1s'}]}", "{'move':'B'}",
	 NULL},
	{"force move /q/A /q/B", 0, "{'always':true}", "{'move':'B'}", NULL},
	{"force move /q/A /q/B allways:true", 0, "{'always':true}", "{'move':'B'}", NULL},
	{"force move /q/A /q/B allways:true,tries:3", 0, "{'always':true}", "{'move':'B'}",
	 "pointless"},
	{"move /q/A /q/B allways:no,tries:3", 0, "{'attempts':4}", "{'move':'B'}", NULL},
	{"force move /q/A /dev/null maxage:6d", 0, "{'age':'6d1s'}", "{'delete':true}", NULL},
	{"move /q/A /q/B tries:3,recv:@gmx.de", 0,
	 "{'recipient':{'regex':'@gmx\\\\.de'},'attempts':4}", "{'move':'B'}", NULL},
	{"move /q/A /q/B tries:3,recv:/@gmx\\.(de|net)>", 0,
	 "{'recipient':{'regex':'@gmx\\\\.(de|net)$'},'attempts':4}", "{'move':'B'}",
	 "the address's ends"},
	{"force move /q/A /q/B allways:t,recv:a@,recv:b@", 0,
	 "{'recipient':[{'regex':'a@'},{'regex':'b@'}]}", "{'move':'B'}", NULL},
	{"move /q/A /q/B tries:3,recv:!@a.org,recv:/.", 1,
	 "{'recipient':{'regex':'.'},'not':{'recipient':{'regex':'@a\\\\.org'}},'attempts':4}",
	 "{'move':'B'}", "several recipients"},
	{"move /q/A /q/B tries:3,maxage:1d,recv:a@,recv:!b@,recv:c@", 1,
	 "{'any':[{'recipient':{'regex':'a@'},'any':[{'attempts':4},{'age':'1d1s'}]},"
	 "{'recipient':{'regex':'c@'},'not':{'recipient':{'regex':'b@'}},"
	 "'any':[{'attempts':4},{'age':'1d1s'}]}]}",
	 "{'move':'B'}", NULL},
	{"move /q/A /q/B tries:3,recv:a@,recv:!b@,recv:c@", 1,
	 "{'any':[{'recipient':{'regex':'a@'}},"
	 "{'recipient':{'regex':'c@'},'not':{'recipient':{'regex':'b@'}}}],'attempts':4}",
	 "{'move':'B'}", NULL},
	{"move /q/A /q/B tries:3,recv:/gmx.de$", 1,
	 "{'recipient':{'regex':'gmx.de$'},'attempts':4}", "{'move':'B'}", "end of the line"},
	{"move /q/A /q/B tries:3,informer:/usr/local/bin/tell", 0, "{'attempts':4}",
	 "{'move':'B','run':{'program':'/usr/local/bin/tell','arguments':['{file}'],"
	 "'timeout':'1d'}}",
	 "waited for the informer"},
	{"force move /q/A /dev/null maxage:6d,informer:/bin/x", 0, "{'age':'6d1s'}",
	 "{'delete':true,'run':{'program':'/bin/x','arguments':['/dev/null/qf{id}'],"
	 "'timeout':'1d'}}",
	 NULL},
	{"move /q/A /q/B tries:3,informer:tell", 1, "{'attempts':4}", "{'move':'B'}", "whole path"},
	{"move /q/A /q/B tries:3,maxage:6x", 1, "{'attempts':4}", "{'move':'B'}", "maxage:6x"},
	{"-o move /q/A /q/B tries:3", 1, "{'attempts':4}", "{'move':'B'}", "looked once"},
};

static json_t *from_text(const char *text)
{
	char copy[1024];
	json_error_t error;
	json_t *value;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *at = copy; (at = strchr(at, '\''));)
		*at = '"';
	value = json_loads(copy, JSON_DECODE_ANY, &error);
	if (!value)
		print_error("%s: %s\n", text, error.text);
	assert_non_null(value);
	return value;
}

static void must_equal(const json_t *found, const char *expected, const char *what)
{
	json_t *value = from_text(expected);

	if (!json_equal((json_t *)found, value)) {
		char *text = json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY);

		print_error("%s: %s, expected %s\n", what, text ? text : "nothing", expected);
		free(text);
	}
	assert_true(json_equal((json_t *)found, value));
	json_decref(value);
}

static void maps_each_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(mappings); i++) {
		char line[256], comment[4096];
		struct run result;
		json_t *policy, *rule;
		char *text;

		snprintf(line, sizeof(line), "/opt/bin/qctrl %s\n", mappings[i].words);
		/* The shell's own characters. */
		if (strpbrk(mappings[i].words, "!|\\$("))
			snprintf(line, sizeof(line), "qctrl %.*s '%s'\n",
				 (int)(strrchr(mappings[i].words, ' ') - mappings[i].words),
				 mappings[i].words, strrchr(mappings[i].words, ' ') + 1);
		result = run_script(line);
		if (result.code != mappings[i].code)
			print_error("%s: %s", mappings[i].words, result.err);
		assert_int_equal(result.code, mappings[i].code);
		assert_int_equal(*result.err != 0, result.code == 1);
		must_load(result.out);
		policy = json_loads(result.out, 0, NULL);
		assert_non_null(policy);
		rule = find_rule(policy, 0);
		text = json_dumps(json_object_get(rule, "comment"), JSON_ENCODE_ANY);
		snprintf(comment, sizeof(comment), "%s", text);
		free(text);
		if (mappings[i].comment && !strstr(comment, mappings[i].comment))
			print_error("%s: %s\n", mappings[i].words, comment);
		assert_true(!mappings[i].comment || strstr(comment, mappings[i].comment));
		strip_comments(policy);
		must_equal(json_object_get(rule, "when"), mappings[i].when, mappings[i].words);
		must_equal(json_object_get(rule, "then"), mappings[i].then, mappings[i].words);
		must_equal(json_object_get(rule, "tier"), "'A'", "tier");
		json_decref(policy);
		run_free(&result);
	}
}

/* OpenEMM's own lines, with what stands around them. */
static const char mailer[] =
	"#!/bin/sh\n"
	". $HOME/bin/scripts/config.sh\n"
	"case \"$1\" in\n"
	"start)\n"
	"	for stage in 1 2 3; do\n"
	"		case \"$stage\" in\n"
	"		1)	queue=\"QUEUE\"; param=\"-q1m\" ;;\n"
	"		2)	queue=\"MIDQUEUE\"; param=\"-q30m\" ;;\n"
	"		3)	queue=\"SLOWQUEUE\"; param=\"-q90m\" ;;\n"
	"		esac\n"
	"		$BASE/bin/smctrl $param \"-OQueueDirectory=$BASE/var/spool/$queue\"\n"
	"	done\n"
	"	$HOME/bin/qctrl -d780   move $BASE/var/spool/QUEUE $BASE/var/spool/MIDQUEUE "
	"tries:3\n"
	"	$HOME/bin/qctrl -d3240  move $BASE/var/spool/MIDQUEUE $BASE/var/spool/SLOWQUEUE "
	"tries:10\n"
	"	$HOME/bin/qctrl -d20880 force move $BASE/var/spool/SLOWQUEUE /dev/null maxage:6d\n"
	"	;;\n"
	"stop)\n"
	"	terminator $HOME/bin/qctrl\n"
	"	;;\n"
	"esac\n";

static void imports_mailer_sh(void **state)
{
	struct run result = run_script(mailer);
	json_t *policy;

	(void)state;
	assert_int_equal(result.code, 0);
	assert_string_equal(result.err, "");
	must_load(result.out);
	policy = json_loads(result.out, 0, NULL);
	strip_comments(policy);
	must_equal(policy,
		   "{'version':1,'tiers':["
		   "{'name':'QUEUE','directory':'/home/o/var/spool/QUEUE'},"
		   "{'name':'MIDQUEUE','directory':'/home/o/var/spool/MIDQUEUE'},"
		   "{'name':'SLOWQUEUE','directory':'/home/o/var/spool/SLOWQUEUE'}],"
		   "'rules':["
		   "{'name':'line 13: QUEUE to MIDQUEUE, tries:3','tier':'QUEUE',"
		   "'when':{'attempts':4},'then':{'move':'MIDQUEUE'}},"
		   "{'name':'line 14: MIDQUEUE to SLOWQUEUE, tries:10','tier':'MIDQUEUE',"
		   "'when':{'attempts':11},'then':{'move':'SLOWQUEUE'}},"
		   "{'name':'line 15: SLOWQUEUE to /dev/null, maxage:6d','tier':'SLOWQUEUE',"
		   "'when':{'age':'6d1s'},'then':{'delete':true}}],"
		   "'allow_delete':true}",
		   "mailer.sh");
	json_decref(policy);
	run_free(&result);
}

/* Scripts around lines: how many rules come of them, the exit code, and what stderr holds. */
static void finds_the_lines(void **state)
{
	static const struct {
		const char *script;
		int code;
		size_t rules;
		const char *told;
	} table[] = {
		{"q=/q\nqctrl move $q/A \\\n  $q/B tries:3 >/dev/null 2>&1 &\n", 0, 1, NULL},
		{"nohup /x/qctrl move /q/A /q/B tries:3 &", 0, 1, NULL},
		{"su - openemm -c \"$HOME/bin/qctrl move /q/A /q/B tries:3\"", 0, 1, NULL},
		{"p=`/x/qctrl move /q/A /q/B tries:3`", 0, 1, NULL},
		{"qctrl=/x/qctrl\n$qctrl move /q/A /q/B tries:3", 0, 1, NULL},
		{"$QCTRL move /q/A /q/B tries:3", 0, 1, NULL},
		{"while :; do qctrl -o move /q/A /q/B tries:3; sleep 60; done", 0, 1, NULL},
		{"qctrl move /q/A /q/B tries:3\nqctrl move /q/A/ /q//./B tries:3", 0, 1, NULL},
		{"qctrl move /q/A /q/B tries:3\nqctrl move /q/A /q/B tries:4", 1, 2, "line 2"},
		{"qctrl move /q/A /q/B tries:3\nqctrl move /q/B /q/A tries:9", 1, 2, "circle"},
		{"qctrl move /q/A /q/B tries:3\nqctrl stat /q/A", 1, 1, "line 2: qctrl stat"},
		{"qctrl move /q/A /q/B tries:3\nqctrl flush /q/A", 1, 1, "002"},
		{"qctrl move /q/A /q/B tries:3\nqctrl copy /q/A", 1, 1, "no command \"copy\""},
		{"qctrl move /q/A /q/B tries:3\nqctrl move /q/A /q/A/ tries:3", 1, 1,
		 "one directory"},
		{"qctrl move /q/A /q/B tries:3\nqctrl move /q/A /q/B 'tries:3,recv:!x'", 1, 1,
		 "never acts"},
		{"qctrl move /q/A /q/B tries:3\nqctrl move /q/B /q/C tries:$N", 1, 1, "$N"},
		{"qctrl move $SPOOL/A /q/B tries:3", 1, 1, "$SPOOL"},
		{"qctrl move q/A /q/B tries:3", 1, 1, "not absolute"},
		{"qctrl move /q/A* /q/B tries:3", 1, 1, "pattern"},
		{"qctrl move /q/A /q/A/B tries:3", 1, 0, "within the other"},
		{"qctrl move /dev/null /q/B tries:3\nqctrl move /q/A /q/B tries:3", 1, 1,
		 "no directory"},
		{"[ -x /x/qctrl ] && /x/qctrl move /q/A /q/B tries:3 || echo qctrl move", 0, 1,
		 NULL},
		{"echo qctrl move /q/A /q/B tries:3\npkill qctrl", 2, 0, "no qctrl command"},
		{"", 2, 0, "no qctrl command"},
		{"qctrl move /q/A /q/B", 2, 0, "without \"force\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct run result = run_script(table[i].script);
		json_t *policy = json_loads(result.out, 0, NULL);

		if (result.code != table[i].code)
			print_error("%s: %d\n%s", table[i].script, result.code, result.err);
		assert_int_equal(result.code, table[i].code);
		assert_int_equal(policy != NULL, result.code != 2);
		if (table[i].rules) {
			must_load(result.out);
			assert_int_equal(json_array_size(json_object_get(policy, "rules")),
					 table[i].rules);
		}
		if (table[i].told && !strstr(result.err, table[i].told))
			print_error("%s: %s", table[i].script, result.err);
		if (table[i].told)
			assert_non_null(strstr(result.err, table[i].told));
		else
			assert_string_equal(result.err, "");
		json_decref(policy);
		run_free(&result);
	}
}

static void takes_arguments(void **state)
{
	char *lines[] = {"import-qctrl", "qctrl move /q/A /q/B tries:3",
			 "qctrl move /q/B /q/C 'tries:4'", NULL};
	char *words[] = {
		"import-qctrl", "qctrl", "-d60", "move", "/q/A",    "/q/B", "tries:3,recv:/a b",
		"/x/qctrl",	"move",	 "/q/B", "/x/B", "tries:3", NULL};
	char *bare[] = {"import-qctrl", "move", "/q/A", "/q/B", "tries:3", NULL};
	char *set[] = {"import-qctrl", "--set", "A=/a", "--", "qctrl move $A/B $A/C tries:3", NULL};
	char *wrong[] = {"import-qctrl", "--set", "A", NULL};
	char *unknown[] = {"import-qctrl", "--hoem", NULL};
	char *help[] = {"import-qctrl", "-h", NULL};
	struct {
		char **argv;
		int argc, code;
		const char *out;
	} table[] = {
		{lines, 3, 0, "argument 2: B to C, tries:4"},
		{words, 12, 0, "argument 7: B to B-2, tries:3"},
		{bare, 5, 0, "argument 1: A to B, tries:3"},
		{set, 5, 0, "\"/a/C\""},
		{wrong, 3, 2, ""},
		{unknown, 2, 2, ""},
		{help, 2, 0, "usage: qfwatch import-qctrl"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct run result = run(NULL, table[i].argc, table[i].argv);

		if (result.code != table[i].code || !strstr(result.out, table[i].out))
			print_error("%zu: %s%s\n", i, result.out, result.err);
		assert_int_equal(result.code, table[i].code);
		assert_non_null(strstr(result.out, table[i].out));
		run_free(&result);
	}
}

/* Names that JSON or the policy would not take as they are. */
static void survives_odd_names(void **state)
{
	struct run result = run_script("qctrl move \"/q/a\\\"b\" \"/q/*\xe4\" tries:3\n"
				       "qctrl move '/q/a\"b' '/x/a\"b' 'tries:3,recv:\xe4\"\\'\n");
	json_t *policy = json_loads(result.out, 0, NULL);

	(void)state;
	assert_int_equal(result.code, 1);
	assert_non_null(strstr(result.err, "not UTF-8"));
	assert_non_null(policy);
	must_load(result.out);
	strip_comments(policy);
	must_equal(json_object_get(find_rule(policy, 0), "when"),
		   "{'recipient':{'regex':'\\\\xe4\\\"\\\\\\\\'},'attempts':4}", "when");
	json_decref(policy);
	run_free(&result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_qctrl_durations),
		cmocka_unit_test(reads_command_lines),
		cmocka_unit_test(refuses_what_qctrl_refuses),
		cmocka_unit_test(translates_patterns),
		cmocka_unit_test(patterns_mean_the_same),
		cmocka_unit_test(tells_what_differs_in_a_pattern),
		cmocka_unit_test(reads_scripts),
		cmocka_unit_test(maps_each_line),
		cmocka_unit_test(imports_mailer_sh),
		cmocka_unit_test(finds_the_lines),
		cmocka_unit_test(takes_arguments),
		cmocka_unit_test(survives_odd_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
