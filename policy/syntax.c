/* syntax.c - where a policy file is not JSON, and what to do about it.
 *
 * The parser tells what it expected and how far it read: a column behind the token and words for
 * programmers. An operator wants the place to put the cursor and the character to type. So the
 * token is found again in the text, looked at beside what stands before it, and the usual slips are
 * named. What is none of them is told in the parser's words.
 */
#include "syntax.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text.h"

#define NOWHERE SIZE_MAX

/* As deep as the parser goes. */
#define MAX_DEPTH 2048

/* What the explanations look at. Offsets; NOWHERE where there is nothing. */
struct fault {
	const struct syntax *syntax;
	const char *complaint;
	size_t end;	  /* behind the offending token, as the parser saw it */
	size_t token;	  /* its first byte */
	size_t before;	  /* the last byte in front of it that is not white space */
	size_t open;	  /* the innermost "{" or "[" that is open there */
	struct text word; /* the token, quoted */
};

static void locate(const char *text, size_t offset, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			column++; /* a character counts once: by its first byte */
		}
	}
	*ret_line = line;
	*ret_column = column;
}

size_t syntax_line(const char *text, size_t offset)
{
	size_t line, column;

	locate(text, offset, &line, &column);
	return line;
}

__attribute__((format(printf, 3, 0))) static void report(const struct syntax *syntax, size_t offset,
							 const char *format, va_list arguments)
{
	struct text reason = {0};
	size_t line, column;

	text_vadd(&reason, format, arguments);
	locate(syntax->text, offset, &line, &column);
	problems_add_at(syntax->problems, PROBLEM_INVALID,
			&(struct problem_place){.line = line, .column = column}, "%s:%zu:%zu: %s",
			syntax->path, line, column, reason.bytes);
}

void syntax_report(const struct syntax *syntax, size_t offset, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(syntax, offset, format, arguments);
	va_end(arguments);
}

/* ---- looking at the text ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("+-._", c));
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

size_t syntax_string_start(const char *text, size_t quote)
{
	size_t at = quote;

	while (at > 0) {
		size_t slashes = 0;

		if (text[--at] != '"')
			continue;
		while (slashes < at && text[at - 1 - slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			return at;
	}
	return quote;
}

/* First byte of the token that ends in front of `end`. */
static size_t token_start(const char *text, size_t end)
{
	size_t at = end;

	if (at == 0)
		return 0;
	at--;
	if (text[at] == '"')
		return syntax_string_start(text, at);
	while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
		at--;
	while (at > 0 && is_word(text[at]) && is_word(text[at - 1]))
		at--;
	return at;
}

/* Behind the whole word: the parser stops in the middle of "6d" and "a_b". */
static size_t word_end(const struct syntax *syntax, size_t end)
{
	if (end == 0 || !is_word(syntax->text[end - 1]))
		return end;
	while (end < syntax->length && is_word(syntax->text[end]))
		end++;
	return end;
}

static size_t last_before(const char *text, size_t offset)
{
	while (offset > 0) {
		if (!is_space(text[--offset]))
			return offset;
	}
	return NOWHERE;
}

/* The innermost bracket that is open at `end`. What stands before it is known to be correct. */
static size_t innermost_open(const char *text, size_t end)
{
	uint32_t open[MAX_DEPTH];
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < end; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			if (depth == MAX_DEPTH)
				return NOWHERE;
			open[depth++] = (uint32_t)i;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return depth ? open[depth - 1] : NOWHERE;
}

static char closing(char open)
{
	return open == '{' ? '}' : ']';
}

static char at(const struct fault *fault, size_t offset)
{
	return offset < fault->syntax->length ? fault->syntax->text[offset] : '\0';
}

static bool complains(const struct fault *fault, const char *beginning)
{
	return strncmp(fault->complaint, beginning, strlen(beginning)) == 0;
}

/* ---- the explanations: each reports the slip that it knows, and returns true, or leaves the fault
 * to the next ---- */

/* Reports, and is true, for the explanations to return. */
__attribute__((format(printf, 3, 4))) static bool say(const struct fault *fault, size_t offset,
						      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(fault->syntax, offset, format, arguments);
	va_end(arguments);
	return true;
}

static bool not_utf8(const struct fault *fault)
{
	unsigned char byte = (unsigned char)at(fault, fault->end);

	if (!complains(fault, "unable to decode"))
		return false;
	if (fault->end == 0 && byte >= 0xfe)
		return say(fault, 0, "the file is UTF-16: save it as UTF-8");
	return say(fault, fault->end, "byte 0x%02x is not UTF-8: save the file as UTF-8", byte);
}

static bool nul_byte(const struct fault *fault)
{
	if (fault->end == 0 || at(fault, fault->end - 1) != '\0')
		return false;
	return say(fault, fault->end - 1,
		   "a NUL byte: this is not a text file, or it was damaged; write it anew");
}

static bool string_not_closed(const struct fault *fault)
{
	size_t start;

	if (!complains(fault, "unexpected newline") && !complains(fault, "premature end of input"))
		return false;
	start = syntax_string_start(fault->syntax->text, fault->end);
	return say(fault, start,
		   "a string that is not closed on its line: add the closing \" (a string cannot "
		   "go on in the next line)");
}

static bool control_in_string(const struct fault *fault)
{
	if (!complains(fault, "control character"))
		return false;
	return say(fault, fault->end,
		   "a control character (0x%02x) in a string: remove it, or write it as \\u%04x",
		   (unsigned char)at(fault, fault->end), (unsigned char)at(fault, fault->end));
}

static bool bad_escape(const struct fault *fault)
{
	size_t slash = fault->end;

	if (complains(fault, "invalid Unicode"))
		return say(fault, fault->token,
			   "half a character in a string: \\ud800 to \\udfff come in pairs; write "
			   "the character itself");
	if (!complains(fault, "invalid escape"))
		return false;
	do
		slash--;
	while (slash > 0 && at(fault, slash) != '\\');
	return say(fault, slash,
		   "an unknown escape in a string: write \\\\ for a backslash, \\\" for a quote, "
		   "\\u and four hex digits for any character");
}

static bool escaped_nul(const struct fault *fault)
{
	if (!complains(fault, "\\u0000") && !complains(fault, "NUL byte"))
		return false;
	return say(fault, fault->token, "\\u0000 in a string: remove it");
}

static bool file_ends(const struct fault *fault)
{
	const struct syntax *syntax = fault->syntax;
	char open;

	if (fault->end < syntax->length || !strstr(fault->complaint, "near end of file"))
		return false;
	if (last_before(syntax->text, syntax->length) == NOWHERE)
		return say(fault, 0,
			   "the file is empty: write a policy; policy.json.example is one to "
			   "start from");
	if (fault->open == NOWHERE)
		return false;
	open = at(fault, fault->open);
	return say(fault, fault->open, "\"%c\" is never closed: add the missing \"%c\"%s", open,
		   closing(open),
		   at(fault, fault->before) == ',' ? " in place of the last comma" : "");
}

static bool comment(const struct fault *fault)
{
	char c = at(fault, fault->token);
	char next = at(fault, fault->token + 1);

	if (c != '#' && !(c == '/' && (next == '/' || next == '*')))
		return false;
	return say(fault, fault->token,
		   "a comment: JSON has none; write it as the value of a key \"comment\", which "
		   "any object may have");
}

static bool wrong_quote(const struct fault *fault)
{
	const char *token = fault->syntax->text + fault->token;
	size_t left = fault->syntax->length - fault->token;
	/* U+2018 to U+201F, which word processors put for quotes */
	bool curly = left >= 3 && memcmp(token, "\xe2\x80", 2) == 0 &&
		     (unsigned char)token[2] >= 0x98 && (unsigned char)token[2] <= 0x9f;

	if (at(fault, fault->token) != '\'' && !curly)
		return false;
	return say(fault, fault->token, "%s quotes: write \" on both sides",
		   curly ? "curly" : "single");
}

static bool number_too_big(const struct fault *fault)
{
	if (!complains(fault, "too big") && !complains(fault, "real number overflow"))
		return false;
	return say(fault, fault->token,
		   "the number %s is too big: write a smaller one, or a duration such as \"6d\"",
		   fault->word.bytes);
}

static bool too_deep(const struct fault *fault)
{
	if (!complains(fault, "maximum parsing depth"))
		return false;
	return say(fault, fault->token,
		   "more than %d objects and lists in one another: a policy needs five", MAX_DEPTH);
}

/* "[1}" */
static bool wrong_bracket(const struct fault *fault)
{
	char c = at(fault, fault->token);
	char open = at(fault, fault->open);

	if ((c != '}' && c != ']') || fault->open == NOWHERE || closing(open) == c)
		return false;
	return say(fault, fault->token,
		   "\"%c\" where \"%c\" is missing: the \"%c\" of line %zu is not closed yet; put "
		   "\"%c\" before it",
		   c, closing(open), open, syntax_line(fault->syntax->text, fault->open),
		   closing(open));
}

/* "{...,}" */
static bool trailing_comma(const struct fault *fault)
{
	char c = at(fault, fault->token);

	if ((c != '}' && c != ']') || at(fault, fault->before) != ',')
		return false;
	return say(fault, fault->before, "a comma before the closing \"%c\": remove the comma", c);
}

static bool after_the_end(const struct fault *fault)
{
	if (!complains(fault, "end of file expected"))
		return false;
	return say(fault, fault->token,
		   "%s after the end of the policy: remove it, or the bracket that closes the "
		   "policy too early",
		   fault->word.bytes);
}

static bool missing_colon(const struct fault *fault)
{
	if (!complains(fault, "':' expected"))
		return false;
	return say(fault, fault->token, "%s after a key: put a \":\" between the key and its value",
		   fault->word.bytes);
}

static bool missing_key(const struct fault *fault)
{
	if (!complains(fault, "string or '}' expected"))
		return false;
	if (at(fault, fault->token) == ',')
		return say(fault, fault->token, "a comma with nothing before it: remove it");
	return say(fault, fault->token,
		   "%s where a key is expected: write the key in double quotes%s",
		   fault->word.bytes,
		   at(fault, fault->before) == ',' ? ", or remove the comma before it" : "");
}

static bool missing_comma(const struct fault *fault)
{
	char c = at(fault, fault->token);

	char before = at(fault, fault->before);

	if (!complains(fault, "'}' expected") && !complains(fault, "']' expected"))
		return false;
	/* The parser took the 6 of 6d for a value, and stopped at the d. */
	if (is_word(c) && (before == ':' || before == ',' || before == '['))
		return false;
	if (c == ':')
		return say(fault, fault->token,
			   "\":\" behind a value: only a key in {} is followed by one; is a \"{\" "
			   "or a comma missing before?");
	if (c && strchr("\"{[-0123456789", c))
		return say(fault, fault->token, "missing comma: put a \",\" before %s",
			   fault->word.bytes);
	return say(fault, fault->token,
		   "%s after a value: put a \",\" before it, or mend the quotes of the value",
		   fault->word.bytes);
}

static bool missing_value(const struct fault *fault)
{
	char c = at(fault, fault->token);

	if (!complains(fault, "unexpected token") || !c || !strchr(",:}]", c))
		return false;
	if (fault->before == NOWHERE)
		return say(fault, fault->token,
			   "\"%c\" at the start: a policy starts with \"{\"; remove what stands "
			   "before it",
			   c);
	return say(fault, fault->token,
		   "nothing between \"%c\" and \"%c\": write a value there, or remove what is too "
		   "much",
		   at(fault, fault->before), c);
}

static bool odd_word(const struct fault *fault)
{
	char c = at(fault, fault->token);

	if (is_letter(c))
		return say(fault, fault->token,
			   "unknown word %s: write text in double quotes; without them there are "
			   "only true, false and null",
			   fault->word.bytes);
	if (is_word(c))
		return say(fault, fault->token,
			   "%s is not a number that JSON knows: write it without a leading 0 or "
			   "+, or in double quotes if it has a unit",
			   fault->word.bytes);
	return false;
}

static bool odd_character(const struct fault *fault)
{
	if (!complains(fault, "invalid token"))
		return false;
	return say(fault, fault->token,
		   "%s means nothing here: remove it, or write text in double "
		   "quotes",
		   fault->word.bytes);
}

/* Tried in this order: the first ones are sure of their case, those below rely on the ones above.
 */
static bool (*const explanations[])(const struct fault *) = {
	not_utf8,    nul_byte,	    string_not_closed, control_in_string, bad_escape,
	escaped_nul, file_ends,	    number_too_big,    too_deep,	  comment,
	wrong_quote, wrong_bracket, trailing_comma,    after_the_end,	  missing_colon,
	missing_key, missing_comma, missing_value,     odd_word,	  odd_character,
};

/* A string comes with quotes of its own. */
static void quote_token(struct fault *fault)
{
	const char *token = fault->syntax->text + fault->token;
	size_t length = word_end(fault->syntax, fault->end) - fault->token;

	if (length >= 2 && token[0] == '"' && token[length - 1] == '"')
		text_quote_source(&fault->word, token + 1, length - 2);
	else
		text_quote(&fault->word, token, length);
}

void syntax_explain(const struct syntax *syntax, size_t end, const char *complaint)
{
	struct fault fault = {
		.syntax = syntax,
		.complaint = complaint,
		.end = end,
		.token = token_start(syntax->text, end),
	};

	/* White space in front of `end` is no token: the parser met the end of the file. */
	if (end > 0 && is_space(syntax->text[end - 1]))
		fault.token = end;
	fault.before = last_before(syntax->text, fault.token);
	fault.open = innermost_open(syntax->text, fault.token);
	quote_token(&fault);
	for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++) {
		if (explanations[i](&fault))
			return;
	}
	syntax_report(syntax, fault.token, "%s: mend the JSON there", complaint);
}
