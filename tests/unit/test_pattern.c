/* test_pattern.c - globs, regular expressions and lists of them, over bytes of any kind; and that
 * no text makes a comparison costly.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../policy/pattern.h"

#define N(table) (sizeof(table) / sizeof((table)[0]))

static struct pool pool;

static int empty_pool(void **state)
{
	(void)state;
	pool_free(&pool);
	return 0;
}

static struct pattern_set *new_set(size_t room)
{
	struct pattern_set *set = NULL;

	assert_int_equal(pattern_set_new(&pool, room, &set), 0);
	return set;
}

static void add_glob(struct pattern_set *set, const char *glob)
{
	char error[PATTERN_ERROR_TEXT] = "";

	assert_int_equal(pattern_add_glob(set, glob, error, sizeof(error)), 0);
	assert_string_equal(error, "");
}

static void add_regex(struct pattern_set *set, const char *regex)
{
	char error[PATTERN_ERROR_TEXT] = "";

	assert_int_equal(pattern_add_regex(set, regex, error, sizeof(error)), 0);
	assert_string_equal(error, "");
}

/* From memory that ends where the text does, so that the sanitizers see a step too far. */
static enum pattern_verdict match_bytes(const struct pattern_set *set, const char *text,
					size_t length)
{
	char *copy = malloc(length ? length : 1);
	enum pattern_verdict verdict;

	assert_non_null(copy);
	memcpy(copy, text, length);
	verdict = pattern_match(set, copy, length, NULL);
	free(copy);
	return verdict;
}

static enum pattern_verdict match(const struct pattern_set *set, const char *text)
{
	return match_bytes(set, text, strlen(text));
}

/* ---- globs -------------------------------------------------------------------------------------
 */

struct example {
	const char *pattern, *text;
	enum pattern_verdict verdict;
};

static void check_globs(const struct example *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct pattern_set *set = new_set(1);

		add_glob(set, table[i].pattern);
		if (match(set, table[i].text) != table[i].verdict)
			fail_msg("glob \"%s\", text \"%s\"", table[i].pattern, table[i].text);
	}
}

static void compares_literals(void **state)
{
	static const struct example table[] = {
		{"example.com", "example.com", PATTERN_YES},
		{"example.com", "EXAMPLE.com", PATTERN_YES},
		{"Example.COM", "example.com", PATTERN_YES},
		{"example.com", "example.co", PATTERN_NO},
		{"example.com", "example.comm", PATTERN_NO},
		{"example.com", "xexample.com", PATTERN_NO},
		{"example.com", "exampleXcom", PATTERN_NO},
		{"example.com", "", PATTERN_NO},
		{"", "", PATTERN_YES},
		{"", "a", PATTERN_NO},
		{"<>", "<>", PATTERN_YES},
		{"a]b", "a]b", PATTERN_YES},
		{"a-b!^", "a-b!^", PATTERN_YES},
		{"a\\*b", "a*b", PATTERN_YES},
		{"a\\*b", "axb", PATTERN_NO},
		{"\\[a\\]", "[a]", PATTERN_YES},
		{"\\?", "?", PATTERN_YES},
		{"\\\\", "\\", PATTERN_YES},
		{"\\A", "a", PATTERN_YES},
		/* Only ASCII letters have a case, and not what lies 32 beside them. */
		{"@", "`", PATTERN_NO},
		{"[\\[]", "{", PATTERN_NO},
		{"\xc3\xa4", "\xc3\xa4", PATTERN_YES},
		{"\xc3\xa4", "\xc3\x84", PATTERN_NO},
	};

	(void)state;
	check_globs(table, N(table));
}

static void compares_globs(void **state)
{
	static const struct example table[] = {
		{"*", "", PATTERN_YES},
		{"*", "anything", PATTERN_YES},
		{"**", "anything", PATTERN_YES},
		{"?", "", PATTERN_NO},
		{"?", "a", PATTERN_YES},
		{"?", "ab", PATTERN_NO},
		{"?", "\xff", PATTERN_YES},
		{"??", "\xc3\xa4", PATTERN_YES},
		{"*?", "", PATTERN_NO},
		{"*?", "a", PATTERN_YES},
		{"?*", "a", PATTERN_YES},
		{"?*?", "a", PATTERN_NO},
		{"?*?", "ab", PATTERN_YES},
		{"?**?", "axxb", PATTERN_YES},
		{"*.example.com", "mx.example.com", PATTERN_YES},
		{"*.example.com", "MX.EXAMPLE.COM", PATTERN_YES},
		{"*.EXAMPLE.com", ".example.com", PATTERN_YES},
		{"*.example.com", "example.com", PATTERN_NO},
		{"*.example.com", "mx.example.com.org", PATTERN_NO},
		{"*@example.*", "me@example.org", PATTERN_YES},
		{"*@example.*", "me@example", PATTERN_NO},
		{"news-*", "news-", PATTERN_YES},
		{"news-*", "News-42", PATTERN_YES},
		{"news-*", "the news-42", PATTERN_NO},
		{"a*a", "a", PATTERN_NO},
		{"a*a", "aa", PATTERN_YES},
		{"a*b*c", "abc", PATTERN_YES},
		{"a*b*c", "axxbxxc", PATTERN_YES},
		{"a*b*c", "acb", PATTERN_NO},
		{"a*b*c", "ac", PATTERN_NO},
		{"*ab*ba*", "aba", PATTERN_NO},
		{"*ab*ba*", "abba", PATTERN_YES},
		{"*aab*", "aaab", PATTERN_YES},
		{"*aab*aab", "aabaab", PATTERN_YES},
		{"*aab*aab", "aaab", PATTERN_NO},
		{"*a?c*", "abxabc", PATTERN_YES},
		{"x*yy*y", "xyyy", PATTERN_YES},
		{"x*yy*y", "xyy", PATTERN_NO},
		{"*\\*", "a*", PATTERN_YES},
		{"*\\*", "ab", PATTERN_NO},
	};

	(void)state;
	check_globs(table, N(table));
}

static void compares_brackets(void **state)
{
	static const struct example table[] = {
		{"[abc]", "b", PATTERN_YES},
		{"[abc]", "B", PATTERN_YES},
		{"[ABC]", "b", PATTERN_YES},
		{"[abc]", "d", PATTERN_NO},
		{"[abc]", "", PATTERN_NO},
		{"[abc]", "ab", PATTERN_NO},
		{"[a-c]", "c", PATTERN_YES},
		{"[a-c]", "D", PATTERN_NO},
		{"[A-C]x", "bX", PATTERN_YES},
		{"[0-9][0-9]", "42", PATTERN_YES},
		{"[0-9a-f]", "E", PATTERN_YES},
		{"[!abc]", "d", PATTERN_YES},
		{"[!abc]", "A", PATTERN_NO},
		{"[^abc]", "a", PATTERN_NO},
		{"[^abc]", "x", PATTERN_YES},
		{"[!abc]", "", PATTERN_NO},
		{"[!abc]", "\xff", PATTERN_YES},
		{"[]]", "]", PATTERN_YES},
		{"[]a]", "a", PATTERN_YES},
		{"[!]]", "]", PATTERN_NO},
		{"[!]]", "a", PATTERN_YES},
		{"[a-]", "-", PATTERN_YES},
		{"[-a]", "-", PATTERN_YES},
		{"[!-a]", "-", PATTERN_NO},
		{"[a\\-c]", "b", PATTERN_NO},
		{"[a\\-c]", "-", PATTERN_YES},
		{"[\\]]", "]", PATTERN_YES},
		{"[\\\\]", "\\", PATTERN_YES},
		{"[+-\\]]", ":", PATTERN_YES},
		{"[a!]", "!", PATTERN_YES},
		{"[a^]", "^", PATTERN_YES},
		{"[*?]", "*", PATTERN_YES},
		{"[*?]", "x", PATTERN_NO},
		{"[[]", "[", PATTERN_YES},
		{"[\\[:a]", ":", PATTERN_YES},
		{"[a-a]", "a", PATTERN_YES},
		{"*[0-9]@*", "news7@example.com", PATTERN_YES},
		{"*[0-9]@*", "news@example.com", PATTERN_NO},
		{"[n]ews[1-3]", "news2", PATTERN_YES},
	};

	(void)state;
	check_globs(table, N(table));
}

static void globs_take_any_bytes(void **state)
{
	struct pattern_set *set = new_set(1);
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	add_glob(set, "*~?\x80*");
	assert_int_equal(match_bytes(set, text, sizeof(text)), PATTERN_YES);
	assert_int_equal(match_bytes(set, text, 128), PATTERN_NO);

	set = new_set(1);
	add_glob(set, "a?b");
	assert_int_equal(match_bytes(set, "a\0b", 3), PATTERN_YES);
	set = new_set(1);
	add_glob(set, "a*");
	assert_int_equal(match_bytes(set, "a\0b", 3), PATTERN_YES);
	/* A text does not end where a NUL stands. */
	set = new_set(1);
	add_glob(set, "a");
	assert_int_equal(match_bytes(set, "a\0b", 3), PATTERN_NO);
	assert_int_equal(match_bytes(set, "a\0", 2), PATTERN_NO);
	set = new_set(1);
	add_glob(set, "[!x]");
	assert_int_equal(match_bytes(set, "\0", 1), PATTERN_YES);
}

/* Every set of bytes against every byte. */
static void brackets_take_what_they_say(void **state)
{
	(void)state;
	for (int from = 1; from < 128; from += 7) {
		for (int to = from; to < 128; to += 5) {
			struct pattern_set *in = new_set(1), *out = new_set(1);
			char glob[16];

			snprintf(glob, sizeof(glob), "[\\%c-\\%c]", from, to);
			add_glob(in, glob);
			snprintf(glob, sizeof(glob), "[!\\%c-\\%c]", from, to);
			add_glob(out, glob);
			for (int byte = 0; byte < 256; byte++) {
				char c = (char)byte;
				int other = byte;
				bool has;

				if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z')
					other = byte ^ 0x20;
				has = (byte >= from && byte <= to) ||
				      (other >= from && other <= to);
				assert_int_equal(match_bytes(in, &c, 1),
						 has ? PATTERN_YES : PATTERN_NO);
				assert_int_equal(match_bytes(out, &c, 1),
						 has ? PATTERN_NO : PATTERN_YES);
			}
		}
		pool_free(&pool);
	}
}

static void refuses_globs(void **state)
{
	static const struct {
		const char *glob, *words;
	} table[] = {
		{"[", "a \"[\" is not closed"},
		{"[]", "a \"[\" is not closed"},
		{"[!]", "a \"[\" is not closed"},
		{"[!", "a \"[\" is not closed"},
		{"[abc", "a \"[\" is not closed"},
		{"[a-", "a \"[\" is not closed"},
		{"[a\\", "a \"[\" is not closed"},
		{"[a\\]", "a \"[\" is not closed"},
		{"*@[a-z].[", "a \"[\" is not closed"},
		{"abc\\", "a \"\\\" at the end escapes nothing"},
		{"*\\", "a \"\\\" at the end escapes nothing"},
		{"[z-a]", "the range z-a is the wrong way round"},
		{"[[:digit:]]", "names such as [:digit:] are not known"},
		{"[a[:alpha:]]", "names such as [:digit:] are not known"},
		{"[\xc3\xa4]", "only ASCII characters may stand in"},
		{"[a-\xff]", "only ASCII characters may stand in"},
	};
	struct pattern_set *set = new_set(2);

	(void)state;
	add_glob(set, "fine");
	for (size_t i = 0; i < N(table); i++) {
		char error[PATTERN_ERROR_TEXT] = "";

		assert_int_equal(pattern_add_glob(set, table[i].glob, error, sizeof(error)),
				 -EINVAL);
		if (strncmp(error, table[i].words, strlen(table[i].words)) != 0)
			fail_msg("glob \"%s\": %s", table[i].glob, error);
		assert_true(strlen(error) < sizeof(error) - 1);
	}
	/* Short buffers are cut, not overrun. */
	for (size_t size = 1; size < 20; size++) {
		char *error = malloc(size);

		assert_int_equal(pattern_add_glob(set, "[", error, size), -EINVAL);
		assert_int_equal(strlen(error), size - 1);
		assert_int_equal(pattern_add_regex(set, "(", error, size), -EINVAL);
		assert_int_equal(strlen(error), size - 1);
		free(error);
	}
	assert_int_equal(pattern_count(set), 1);
	assert_int_equal(match(set, "fine"), PATTERN_YES);
	add_glob(set, "as well");
	assert_int_equal(match(set, "as well"), PATTERN_YES);
}

/* 64 KiB that nearly match thirty times over: with stars that multiply this would not end. */
static void many_stars_cost_little(void **state)
{
	enum { LENGTH = 65536 };
	char *text = malloc(LENGTH);
	struct pattern_set *set = new_set(3);
	char glob[200] = "", stretches[400] = "*";

	(void)state;
	memset(text, 'a', LENGTH);
	for (int i = 0; i < 30; i++)
		strcat(glob, "*a");
	strcat(glob, "*b");
	add_glob(set, glob);
	for (int i = 0; i < 30; i++)
		strcat(stretches, "aaa?aaaab*");
	add_glob(set, stretches);
	strcat(glob, "*");
	add_glob(set, glob);
	for (int i = 0; i < 50; i++)
		assert_int_equal(pattern_match(set, text, LENGTH, NULL), PATTERN_NO);
	text[LENGTH - 2] = 'b';
	assert_int_equal(pattern_match(set, text, LENGTH, NULL), PATTERN_YES);
	free(text);
}

/* ---- regular expressions -----------------------------------------------------------------------
 */

static void compares_regexes(void **state)
{
	static const struct example table[] = {
		{"user unknown", "550 user unknown here", PATTERN_YES},
		{"user unknown", "550 User unknown", PATTERN_NO},
		{"(?i)user unknown", "550 USER Unknown", PATTERN_YES},
		{"^Deferred: .*timed out", "Deferred: Connection timed out with mx", PATTERN_YES},
		{"^Deferred", "x Deferred", PATTERN_NO},
		{"example\\.(com|org)$", "me@example.org", PATTERN_YES},
		{"example\\.(com|org)$", "me@example.org.", PATTERN_NO},
		{"", "", PATTERN_YES},
		{"", "anything", PATTERN_YES},
		{"a", "", PATTERN_NO},
		{"(.)\\1", "hello", PATTERN_YES},
		{"^(?<a>x)(?&a)$", "xx", PATTERN_YES},
		{"^x(?=y)", "xy", PATTERN_YES},
		{"(?<!x)y", "xy", PATTERN_NO},
		/* Bytes: a letter of two is two, and no byte of it is a letter or has a case. */
		{"^..$", "\xc3\xa4", PATTERN_YES},
		{"^\\w", "\xc3\xa4", PATTERN_NO},
		{"(?i)\xc3\xa4", "\xc3\x84", PATTERN_NO},
		{"\xc3\xa4", "x\xc3\xa4", PATTERN_YES},
		{"\\xff", "a\xff", PATTERN_YES},
		{"a(?C1)b", "ab", PATTERN_YES},
		{"a(*ACCEPT)b", "a", PATTERN_YES},
		/* A newline is LF, whatever PCRE2 was built with. */
		{"^a.b$", "a\nb", PATTERN_NO},
		{"^a.b$", "a\rb", PATTERN_YES},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct pattern_set *set = new_set(1);

		add_regex(set, table[i].pattern);
		if (match(set, table[i].text) != table[i].verdict)
			fail_msg("regex \"%s\", text \"%s\"", table[i].pattern, table[i].text);
	}
}

static void regexes_take_any_bytes(void **state)
{
	struct pattern_set *set = new_set(1);

	(void)state;
	add_regex(set, "^a\\x00b$");
	assert_int_equal(match_bytes(set, "a\0b", 3), PATTERN_YES);
	assert_int_equal(match_bytes(set, "a\0c", 3), PATTERN_NO);
	assert_int_equal(match_bytes(set, "a", 1), PATTERN_NO);
	assert_int_equal(pattern_match(set, NULL, 0, NULL), PATTERN_NO);
}

static void refuses_regexes(void **state)
{
	static const struct {
		const char *regex, *words;
	} table[] = {
		{"(abc", "missing closing parenthesis at character 4"},
		{"user (un|not known", "missing closing parenthesis at character 18"},
		{"\xc3\xa4\xc3\xa4(", "missing closing parenthesis at character 3"},
		{"\xc3\xa4)b", "unmatched closing parenthesis at character 2"},
		{"ab)c", "unmatched closing parenthesis at character 3"},
		{"*a", "quantifier does not follow a repeatable item at character 1"},
		{"[", "missing terminating ] for character class at character 1"},
		{"\\", "\\ at end of pattern at character 1"},
		{"[z-a]", "range out of order in character class at character 4"},
		/* None switches to characters itself. */
		{"(*UTF)a", "using UTF is disabled by the application at character 7"},
		{"(*UTF8)a", NULL},
		{"(*UCP)a", "using UCP is disabled by the application at character 7"},
		{"(((a{1000}){1000}){1000}){1000}", NULL},
	};
	struct pattern_set *set = new_set(1);

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		char error[PATTERN_ERROR_TEXT] = "";

		assert_int_equal(pattern_add_regex(set, table[i].regex, error, sizeof(error)),
				 -EINVAL);
		assert_string_not_equal(error, "");
		if (table[i].words)
			assert_string_equal(error, table[i].words);
	}
	assert_int_equal(pattern_count(set), 0);
	assert_int_equal(match(set, "abc"), PATTERN_NO);
	add_regex(set, "b");
	assert_int_equal(match(set, "abc"), PATTERN_YES);
}

/* Each would take from minutes to for ever. `text` repeats one byte; none matches it. */
static void costly_regexes_are_given_up(void **state)
{
	static const struct {
		const char *regex;
		char byte;
		size_t length;
	} table[] = {
		{"^(a+)+$", 'a', 100},
		{"(a|aa)+$", 'a', 1000},
		{"(a*)*b*[cd]", 'a', 1000},
		/* No single start of these is costly: all of them together are. */
		{"\\s+$", ' ', 65536},
		{"a++[bc]", 'a', 65536},
		{"a*a*[bc]", 'a', 65536},
		{"(?:.*,){20}[bc]", ',', 65536},
		/* Deep. */
		{"^(?:(a|b))*[cd]", 'a', 4 << 20},
		{"^(a(?1)?b)[cd]", 'a', 4 << 20},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct pattern_set *set = new_set(1);
		char *text = malloc(table[i].length + 1);

		memset(text, table[i].byte, table[i].length);
		text[table[i].length] = '!';
		add_regex(set, table[i].regex);
		if (pattern_match(set, text, table[i].length + 1, NULL) != PATTERN_TOO_COSTLY)
			fail_msg("regex \"%s\" was not given up", table[i].regex);
		/* The next text has all its steps. */
		assert_int_not_equal(match(set, "!"), PATTERN_TOO_COSTLY);
		free(text);
	}
}

/* 100 spaces that are not at the end take some 5,000 steps. */
static void all_together_have_a_budget(void **state)
{
	struct pattern_set *set = new_set(3);
	char text[102];

	(void)state;
	memset(text, ' ', 100);
	strcpy(text + 100, "x");
	add_regex(set, "\\s+$");
	assert_int_equal(match(set, text), PATTERN_NO);
	pattern_set_budget(set, 1000);
	assert_int_equal(match(set, text), PATTERN_TOO_COSTLY);
	pattern_set_budget(set, 8000);
	assert_int_equal(match(set, text), PATTERN_NO);
	/* Each alone would do. */
	add_regex(set, "\\s+$");
	assert_int_equal(match(set, text), PATTERN_TOO_COSTLY);
	pattern_set_budget(set, 16000);
	assert_int_equal(match(set, text), PATTERN_NO);
	/* What is known is told, and the next text has all of it. */
	pattern_set_budget(set, 1000);
	add_glob(set, "*x");
	assert_int_equal(match(set, text), PATTERN_YES);
	assert_int_equal(match(set, "  y"), PATTERN_NO);
}

static void recursion_that_gets_nowhere_is_given_up(void **state)
{
	struct pattern_set *set = new_set(1);

	(void)state;
	add_regex(set, "(?R)?x|a");
	assert_int_equal(match(set, "b"), PATTERN_TOO_COSTLY);
	assert_int_equal(match(set, "bb"), PATTERN_TOO_COSTLY);
}

/* The limit is far from what mail holds. */
static void long_texts_are_compared(void **state)
{
	static const struct example table[] = {
		{"foo.*bar", "foo", PATTERN_NO},
		{"o+$", "fo", PATTERN_NO},
		{"(?i)user unknown", "user", PATTERN_NO},
		{"(user|host) unknown", "u", PATTERN_NO},
		{"@(.*\\.)?example\\.com$", "@", PATTERN_NO},
		{"^(x|y)*$", "y", PATTERN_YES},
	};
	enum { LENGTH = 32768 };
	char *text = malloc(LENGTH);

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct pattern_set *set = new_set(1);

		memset(text, 'x', LENGTH);
		memcpy(text, table[i].text, strlen(table[i].text));
		add_regex(set, table[i].pattern);
		if (pattern_match(set, text, LENGTH, NULL) != table[i].verdict)
			fail_msg("regex \"%s\"", table[i].pattern);
	}
	free(text);
}

/* ---- sets --------------------------------------------------------------------------------------
 */

static void an_empty_set_never_holds(void **state)
{
	struct pattern_set *set = new_set(0);
	char error[PATTERN_ERROR_TEXT];

	(void)state;
	assert_int_equal(match(set, ""), PATTERN_NO);
	assert_int_equal(pattern_match(set, NULL, 0, NULL), PATTERN_NO);
	assert_int_equal(pattern_count(set), 0);
	assert_false(pattern_matches_all(set));
	assert_int_equal(pattern_add_glob(set, "a", error, sizeof(error)), -ENOSPC);
	assert_int_equal(pattern_add_regex(set, "a", error, sizeof(error)), -ENOSPC);
	assert_int_equal(pattern_set_new(&pool, SIZE_MAX, &set), -ENOMEM);
}

static void tells_which_pattern(void **state)
{
	struct pattern_set *set = new_set(8);
	size_t which = 42;
	bool regex;

	(void)state;
	add_glob(set, "*.example.com");
	add_regex(set, "^(a+)+$");
	add_glob(set, "One.Example");
	add_regex(set, "two$");
	add_glob(set, "one.example");
	add_glob(set, "*!*two");
	assert_int_equal(pattern_count(set), 6);
	assert_string_equal(pattern_text(set, 1, &regex), "^(a+)+$");
	assert_true(regex);
	assert_string_equal(pattern_text(set, 2, &regex), "One.Example");
	assert_false(regex);
	assert_string_equal(pattern_text(set, 4, NULL), "one.example");

	assert_int_equal(pattern_match(set, "three", 5, &which), PATTERN_NO);
	assert_int_equal(which, 42);
	assert_int_equal(pattern_match(set, "ONE.example", 11, &which), PATTERN_YES);
	assert_int_equal(which, 2);
	assert_int_equal(pattern_match(set, "a.example.com", 13, &which), PATTERN_YES);
	assert_int_equal(which, 0);
	assert_int_equal(pattern_match(set, "number two", 10, &which), PATTERN_YES);
	assert_int_equal(which, 3);
	assert_int_equal(pattern_match(set, NULL, 0, &which), PATTERN_NO);
	/* Given up, and no other matches; or one does. */
	assert_int_equal(pattern_match(set, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 40, &which),
			 PATTERN_TOO_COSTLY);
	assert_int_equal(which, 1);
	assert_int_equal(pattern_match(set, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! two", 40, &which),
			 PATTERN_YES);
	assert_int_equal(which, 3);
}

static void knows_what_matches_all(void **state)
{
	static const struct {
		const char *glob;
		bool all;
	} table[] = {
		{"*", true},   {"**", true},  {"***", true},  {"", false},    {"?*", false},
		{"*?", false}, {"a*", false}, {"\\*", false}, {"[*]", false}, {"*a*", false},
	};
	struct pattern_set *set = new_set(3);

	(void)state;
	add_glob(set, "a");
	add_regex(set, ".*");
	assert_false(pattern_matches_all(set));
	add_glob(set, "*");
	assert_true(pattern_matches_all(set));
	for (size_t i = 0; i < N(table); i++) {
		set = new_set(1);
		add_glob(set, table[i].glob);
		assert_int_equal(pattern_matches_all(set), table[i].all);
	}
}

static void finds_each_of_ten_thousand(void **state)
{
	enum { COUNT = 10000 };
	struct pattern_set *set = new_set(COUNT);
	char name[40];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "Host%d.Example%d.net", i, i % 97);
		add_glob(set, name);
	}
	for (int i = 0; i < 2 * COUNT; i++) {
		size_t which = SIZE_MAX;
		int length = snprintf(name, sizeof(name), "hoST%d.example%d.net", i, i % 97);
		enum pattern_verdict verdict = pattern_match(set, name, (size_t)length, &which);

		assert_int_equal(verdict, i < COUNT ? PATTERN_YES : PATTERN_NO);
		assert_int_equal(which, i < COUNT ? (size_t)i : SIZE_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(compares_literals, empty_pool),
		cmocka_unit_test_teardown(compares_globs, empty_pool),
		cmocka_unit_test_teardown(compares_brackets, empty_pool),
		cmocka_unit_test_teardown(globs_take_any_bytes, empty_pool),
		cmocka_unit_test_teardown(brackets_take_what_they_say, empty_pool),
		cmocka_unit_test_teardown(refuses_globs, empty_pool),
		cmocka_unit_test_teardown(many_stars_cost_little, empty_pool),
		cmocka_unit_test_teardown(compares_regexes, empty_pool),
		cmocka_unit_test_teardown(regexes_take_any_bytes, empty_pool),
		cmocka_unit_test_teardown(refuses_regexes, empty_pool),
		cmocka_unit_test_teardown(costly_regexes_are_given_up, empty_pool),
		cmocka_unit_test_teardown(all_together_have_a_budget, empty_pool),
		cmocka_unit_test_teardown(recursion_that_gets_nowhere_is_given_up, empty_pool),
		cmocka_unit_test_teardown(long_texts_are_compared, empty_pool),
		cmocka_unit_test_teardown(an_empty_set_never_holds, empty_pool),
		cmocka_unit_test_teardown(tells_which_pattern, empty_pool),
		cmocka_unit_test_teardown(knows_what_matches_all, empty_pool),
		cmocka_unit_test_teardown(finds_each_of_ten_thousand, empty_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
