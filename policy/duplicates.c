/* duplicates.c - keys that an object holds twice.
 *
 * The parser stops at the first one; every one is reported, so the text is walked once more. It is
 * known to be correct JSON by then, which makes the walk short: strings, brackets, and what lies
 * between.
 */
#include "syntax.h"

#include <string.h>

#include "text.h"

/* No object of the language has half as many keys. What comes later is not compared: it is an
 * unknown key anyway, and a hostile file cannot make this quadratic. Recursion goes as deep as the
 * parser's (2048), half a kilobyte a level. */
#define MAX_KEYS 32

/* Enough for a person; each costs a walk to count its line. */
#define MAX_REPORTS 20

struct key {
	const char *bytes; /* as written, between the quotes */
	size_t length;
};

struct walk {
	const struct syntax *syntax;
	size_t at;
	size_t first; /* the duplicate that the parser found begins here, until it is reported */
	size_t reports;
};

#define REPORTED ((size_t)-1)

static void walk_value(struct walk *walk);

static char next(struct walk *walk)
{
	const struct syntax *syntax = walk->syntax;

	while (walk->at < syntax->length && strchr(" \t\r\n", syntax->text[walk->at]))
		walk->at++;
	return walk->at < syntax->length ? syntax->text[walk->at] : '\0';
}

static struct key walk_string(struct walk *walk)
{
	const char *text = walk->syntax->text;
	size_t start = ++walk->at;

	while (text[walk->at] != '"')
		walk->at += text[walk->at] == '\\' ? 2 : 1;
	return (struct key){text + start, walk->at++ - start};
}

static void report(const struct syntax *syntax, struct key key, size_t first_line)
{
	struct text name = {0}, first = {0};

	text_quote_source(&name, key.bytes, key.length);
	if (first_line)
		text_add(&first, " first given in line %zu", first_line);
	syntax_report(syntax, (size_t)(key.bytes - syntax->text) - 1,
		      "duplicate key %s%s%s: keep one of the two", name.bytes,
		      first_line ? "," : "", first.bytes);
}

static const struct key *find(const struct key *keys, size_t count, struct key key)
{
	for (size_t i = 0; i < count; i++) {
		if (keys[i].length == key.length && !memcmp(keys[i].bytes, key.bytes, key.length))
			return &keys[i];
	}
	return NULL;
}

/* Two spellings of one key ("a" and "\u0061") look different here; the parser tells, where it is
 * the first. */
static void judge_key(struct walk *walk, const struct key *keys, size_t count, struct key key)
{
	const struct syntax *syntax = walk->syntax;
	size_t start = (size_t)(key.bytes - syntax->text) - 1;
	const struct key *known = find(keys, count, key);

	if (!known && start != walk->first)
		return;
	if (walk->reports++ >= MAX_REPORTS)
		return;
	report(syntax, key,
	       known ? syntax_line(syntax->text, (size_t)(known->bytes - syntax->text)) : 0);
	if (start == walk->first)
		walk->first = REPORTED;
}

static void walk_object(struct walk *walk)
{
	struct key keys[MAX_KEYS];
	size_t count = 0;

	walk->at++;
	while (next(walk) == '"') {
		struct key key = walk_string(walk);

		judge_key(walk, keys, count, key);
		if (count < MAX_KEYS)
			keys[count++] = key;
		next(walk);
		walk->at++; /* the colon */
		walk_value(walk);
		if (next(walk) == ',')
			walk->at++;
	}
	walk->at++;
}

static void walk_array(struct walk *walk)
{
	walk->at++;
	while (next(walk) != ']') {
		walk_value(walk);
		if (next(walk) == ',')
			walk->at++;
	}
	walk->at++;
}

static void walk_value(struct walk *walk)
{
	const struct syntax *syntax = walk->syntax;

	switch (next(walk)) {
	case '{':
		walk_object(walk);
		break;
	case '[':
		walk_array(walk);
		break;
	case '"':
		walk_string(walk);
		break;
	default: /* a number or a word */
		while (walk->at < syntax->length && !strchr(",]} \t\r\n", syntax->text[walk->at]))
			walk->at++;
	}
}

void syntax_duplicates(const struct syntax *syntax, size_t end)
{
	struct walk walk = {
		.syntax = syntax,
		.first = syntax_string_start(syntax->text, end - 1),
	};

	walk_value(&walk);
}

void syntax_duplicate(const struct syntax *syntax, size_t end)
{
	size_t start = syntax_string_start(syntax->text, end - 1) + 1;

	report(syntax, (struct key){syntax->text + start, end - 1 - start}, 0);
}
