/* pattern.c - globs and regular expressions; the only user of PCRE2.
 *
 * Patterns come from the operator, texts from anybody: the cost of a comparison must not be in the
 * hands of whoever writes a header. PCRE2's own match limit begins anew at each place of the text
 * where a match may start, and does not count what a greedy `a*` runs over, so a simple `\s+$` over
 * a header of spaces would stay below it for a long time. Therefore each expression is compiled
 * with a callout before each of its items, and the callouts are counted over the whole text.
 *
 * PCRE2's memory: what is compiled is copied into the pool once it is whole, with no scratch of the
 * compilation. What a match takes is malloc's and given back when it ends.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "pattern.h"

#include <errno.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wildcard.h"

struct pattern {
	const char *text;  /* as the policy wrote it */
	pcre2_code *regex; /* or NULL: a glob */
	struct wildcard glob;
};

/* Where PCRE2 gets its memory. */
struct source {
	struct pool *pool;
	bool keep; /* from the pool, for good */
};

/* What the regular expressions of a set share. */
struct engine {
	struct source source;
	pcre2_general_context *general;
	pcre2_compile_context *compile;
	pcre2_match_context *match;
	/* The match under way: steps left, and where the last one was. */
	size_t steps;
	size_t last;
};

struct pattern_set {
	struct pool *pool;
	struct pattern *patterns;
	size_t count, room;
	/* Literals: a hash table with open addressing, 1 + the number of the pattern or 0; NULL
	 * until there is one. At most half of it is taken. */
	uint32_t *table;
	size_t table_size; /* a power of two */
	size_t longest;
	/* The numbers of the others. */
	uint32_t *others;
	size_t n_others;
	struct engine *engine; /* NULL: no regular expression yet */
	size_t budget;	       /* steps of all together over one text; 0: PATTERN_STEPS each */
};

int pattern_set_new(struct pool *pool, size_t room, struct pattern_set **ret)
{
	struct pattern_set *set;

	if (room > UINT32_MAX / 4)
		return -ENOMEM;
	set = pool_alloc(pool, sizeof(*set));
	if (!set)
		return -ENOMEM;
	set->patterns = pool_array(pool, room, sizeof(*set->patterns));
	if (!set->patterns)
		return -ENOMEM;
	set->pool = pool;
	set->room = room;
	*ret = set;
	return 0;
}

/* ---- literals ----------------------------------------------------------------------------------
 */

/* FNV-1a over the bytes in lower case. */
static size_t hash(const char *text, size_t length)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ wildcard_fold(text[i])) * UINT64_C(1099511628211);
	return (size_t)(sum ^ sum >> 32);
}

/* The place of that text in the table, or the free one where it belongs. */
static uint32_t *find_literal(const struct pattern_set *set, const char *text, size_t length)
{
	size_t i = hash(text, length);

	for (;; i++) {
		uint32_t *place = &set->table[i & (set->table_size - 1)];

		if (!*place || wildcard_match(&set->patterns[*place - 1].glob, text, length))
			return place;
	}
}

static int make_table(struct pattern_set *set)
{
	size_t size = 2;

	while (size < 2 * set->room)
		size *= 2;
	set->table = pool_array(set->pool, size, sizeof(*set->table));
	if (!set->table)
		return -ENOMEM;
	set->table_size = size;
	return 0;
}

static int make_others(struct pattern_set *set)
{
	set->others = pool_array(set->pool, set->room, sizeof(*set->others));
	return set->others ? 0 : -ENOMEM;
}

/* Makes the next pattern one of the set. Its index was made before. */
static void enter(struct pattern_set *set, const struct pattern *pattern)
{
	uint32_t number = (uint32_t)set->count++;

	set->patterns[number] = *pattern;
	if (pattern->glob.literal) {
		uint32_t *place = find_literal(set, pattern->glob.literal, pattern->glob.length);

		/* Of two that are the same the first is told. */
		if (!*place)
			*place = number + 1;
		if (pattern->glob.length > set->longest)
			set->longest = pattern->glob.length;
	} else {
		set->others[set->n_others++] = number;
	}
}

int pattern_add_glob(struct pattern_set *set, const char *glob, char *error, size_t size)
{
	struct pattern pattern = {0};
	int r;

	if (set->count == set->room)
		return -ENOSPC;
	r = wildcard_parse(set->pool, glob, &pattern.glob, error, size);
	if (r < 0)
		return r;
	/* Most are in lower case as they stand: one copy does. */
	if (pattern.glob.literal && strcmp(pattern.glob.literal, glob) == 0)
		pattern.text = pattern.glob.literal;
	else
		pattern.text = pool_copy(set->pool, glob);
	if (!pattern.text)
		return -ENOMEM;
	if (pattern.glob.literal && !set->table)
		r = make_table(set);
	else if (!pattern.glob.literal && !set->others)
		r = make_others(set);
	if (r == 0)
		enter(set, &pattern);
	return r;
}

/* ---- regular expressions -----------------------------------------------------------------------
 */

static void *take(size_t size, void *data)
{
	struct source *source = data;

	return source->keep ? pool_alloc(source->pool, size) : memory_resize(NULL, size);
}

static void give(void *block, void *data)
{
	(void)data; /* what was kept is never given back: the pool has it */
	free(block);
}

/* Called before each item of the expression that is tried. */
static int count_step(pcre2_callout_block *block, void *data)
{
	struct engine *engine = data;
	size_t steps = 1;

	if (block->current_position > engine->last)
		steps += (block->current_position - engine->last) / 16;
	engine->last = block->current_position;
	if (steps > engine->steps)
		return PCRE2_ERROR_MATCHLIMIT;
	engine->steps -= steps;
	return 0;
}

static int make_engine(struct pattern_set *set)
{
	struct engine *engine = pool_alloc(set->pool, sizeof(*engine));

	if (!engine)
		return -ENOMEM;
	engine->source.pool = set->pool;
	engine->source.keep = true;
	engine->general = pcre2_general_context_create(take, give, &engine->source);
	if (!engine->general)
		return -ENOMEM;
	engine->compile = pcre2_compile_context_create(engine->general);
	engine->match = pcre2_match_context_create(engine->general);
	engine->source.keep = false;
	if (!engine->compile || !engine->match)
		return -ENOMEM;
	/* Not what PCRE2 was built with: a policy means the same on each machine. */
	pcre2_set_newline(engine->compile, PCRE2_NEWLINE_LF);
	pcre2_set_match_limit(engine->match, PATTERN_STEPS);
	pcre2_set_depth_limit(engine->match, PATTERN_STEPS);
	pcre2_set_heap_limit(engine->match, PATTERN_HEAP);
	pcre2_set_callout(engine->match, count_step, engine);
	set->engine = engine;
	return 0;
}

/* PCRE2 counts bytes, an operator characters. */
static size_t characters(const char *text, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += (text[i] & 0xc0) != 0x80;
	return n;
}

static int explain(const char *regex, int code, size_t offset, char *error, size_t size)
{
	PCRE2_UCHAR words[PATTERN_ERROR_TEXT - 32];
	size_t all = characters(regex, strlen(regex));
	size_t at = characters(regex, offset) + 1;

	if (code == PCRE2_ERROR_HEAP_FAILED)
		return -ENOMEM;
	/* Always NUL-terminated, cut if need be. */
	(void)pcre2_get_error_message(code, words, sizeof(words));
	/* What is missing at the end is missing behind the last character. */
	snprintf(error, size, "%s at character %zu", (const char *)words, at > all ? all : at);
	return -EINVAL;
}

int pattern_add_regex(struct pattern_set *set, const char *regex, char *error, size_t size)
{
	/* NEVER: the expression cannot switch them on itself, with (*UTF) and the like. */
	const uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_AUTO_CALLOUT;
	struct pattern pattern = {0};
	PCRE2_SIZE offset = 0;
	pcre2_code *code;
	int r = 0, why;

	if (set->count == set->room)
		return -ENOSPC;
	if (!set->engine)
		r = make_engine(set);
	if (r == 0 && !set->others)
		r = make_others(set);
	if (r < 0)
		return r;
	code = pcre2_compile((PCRE2_SPTR)regex, strlen(regex), options, &why, &offset,
			     set->engine->compile);
	if (!code)
		return explain(regex, why, offset, error, size);
	set->engine->source.keep = true;
	pattern.regex = pcre2_code_copy(code);
	set->engine->source.keep = false;
	pcre2_code_free(code);
	pattern.text = pool_copy(set->pool, regex);
	if (!pattern.regex || !pattern.text)
		return -ENOMEM;
	enter(set, &pattern);
	return 0;
}

/* engine->steps: how many it may take; what is left of them afterwards. */
static enum pattern_verdict match_regex(const struct pattern *pattern, struct engine *engine,
					const char *text, size_t length)
{
	/* Anew each time: after a costly match it holds what that one took. */
	pcre2_match_data *data = pcre2_match_data_create(1, engine->general);
	int r;

	if (!data)
		return PATTERN_TOO_COSTLY;
	engine->last = 0;
	r = pcre2_match(pattern->regex, (PCRE2_SPTR)text, length, 0, 0, data, engine->match);
	pcre2_match_data_free(data);
	if (r == PCRE2_ERROR_NOMATCH)
		return PATTERN_NO;
	return r < 0 ? PATTERN_TOO_COSTLY : PATTERN_YES;
}

/* ---- the set -----------------------------------------------------------------------------------
 */

enum pattern_verdict pattern_match(const struct pattern_set *set, const char *text, size_t length,
				   size_t *ret_which)
{
	enum pattern_verdict verdict = PATTERN_NO;
	size_t which = 0, left = set->budget;

	if (!text)
		text = "";
	if (set->table && length <= set->longest) {
		uint32_t number = *find_literal(set, text, length);

		if (number) {
			verdict = PATTERN_YES;
			which = number - 1;
		}
	}
	for (size_t i = 0; verdict != PATTERN_YES && i < set->n_others; i++) {
		const struct pattern *pattern = &set->patterns[set->others[i]];
		enum pattern_verdict one;

		if (pattern->regex) {
			set->engine->steps = set->budget ? left : PATTERN_STEPS;
			one = match_regex(pattern, set->engine, text, length);
			left = set->engine->steps;
		} else {
			one = wildcard_match(&pattern->glob, text, length) ? PATTERN_YES
									   : PATTERN_NO;
		}
		if (one == PATTERN_YES || verdict == PATTERN_NO) {
			verdict = one;
			which = set->others[i];
		}
	}
	if (ret_which && verdict != PATTERN_NO)
		*ret_which = which;
	return verdict;
}

void pattern_set_budget(struct pattern_set *set, size_t steps)
{
	set->budget = steps;
}

bool pattern_matches_all(const struct pattern_set *set)
{
	for (size_t i = 0; i < set->n_others; i++) {
		const struct pattern *pattern = &set->patterns[set->others[i]];

		if (!pattern->regex && wildcard_matches_all(&pattern->glob))
			return true;
	}
	return false;
}

size_t pattern_count(const struct pattern_set *set)
{
	return set->count;
}

const char *pattern_text(const struct pattern_set *set, size_t i, bool *ret_regex)
{
	if (ret_regex)
		*ret_regex = set->patterns[i].regex != NULL;
	return set->patterns[i].text;
}
