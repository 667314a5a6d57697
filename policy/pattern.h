/* pattern.h - the texts that a condition is compared with: globs and regular expressions.
 *
 * Inside policy/ only. A set is a list of patterns; it holds when any of them matches. It lives in
 * a pool and is freed with it: there is nothing else to free, and comparing leaves nothing behind.
 * Texts are raw bytes of any kind: NUL and what is no UTF-8 may stand in them.
 *
 * One thread at a time may compare with a set: it counts the steps of its regular expressions.
 */
#ifndef QFWATCH_POLICY_PATTERN_H
#define QFWATCH_POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "memory.h"

struct pattern_set;

/* Room for every text that pattern_add_* writes for the operator, NUL included. A shorter buffer
 * gets the beginning of it. */
#define PATTERN_ERROR_TEXT 192

/* Steps that one regular expression may take over one text: 10 to 30 ms. A step is an item of the
 * expression tried at one place of the text, or 16 bytes passed by one item. `\s+$` takes as many
 * over 1,000 spaces, `foo.*bar` over 400,000 bytes. */
#define PATTERN_STEPS 500000

/* Memory that it may take for the places to come back to, in KiB. Given back after each text. */
#define PATTERN_HEAP 16384

/* Makes an empty set with room for so many patterns. Returns 0 or -ENOMEM. */
int pattern_set_new(struct pool *pool, size_t room, struct pattern_set **ret);

/* Adds a glob: wildcard.h says how it is written. ASCII letters match in either case; the whole
 * text must match. Globs without wildcards are found at once, however many there are. Returns 0;
 * -EINVAL with words for the operator in error[size]; -ENOMEM; -ENOSPC: the set has no room for it.
 * On failure the set is as it was. */
int pattern_add_glob(struct pattern_set *set, const char *glob, char *error, size_t size);

/* Adds a regular expression in PCRE2's syntax (pcre2pattern(3)): bytes, no UTF and no Unicode
 * properties; it matches anywhere in the text unless it says ^ or $, and regards case unless it
 * says (?i). Returns as pattern_add_glob does; the words are PCRE2's, with the place: "missing
 * closing parenthesis at character 12". */
int pattern_add_regex(struct pattern_set *set, const char *regex, char *error, size_t size);

enum pattern_verdict {
	PATTERN_NO,
	PATTERN_YES,
	/* None was seen to match, and a regular expression was given up: it passed its steps or
	 * PATTERN_HEAP, called itself without end, or memory ran out. Whether it matches is not
	 * known. */
	PATTERN_TOO_COSTLY,
};

/* All regular expressions of the set together take at most so many steps over a text from now on,
 * instead of PATTERN_STEPS each: for patterns of somebody who may ask, but must not hold up those
 * who work. */
void pattern_set_budget(struct pattern_set *set, size_t steps);

/* Compares text[length] with the patterns: first with all literal globs, then with the others in
 * turn. ret_which may be NULL; it is set to the number of the pattern that matched, or of the first
 * that was given up, and untouched if none matches. text may be NULL if length is 0. */
enum pattern_verdict pattern_match(const struct pattern_set *set, const char *text, size_t length,
				   size_t *ret_which);

/* Does a glob of the set match every text ("*")? */
bool pattern_matches_all(const struct pattern_set *set);

/* How many patterns the set has, and pattern i (from 0, in the order in which they were added) as
 * the policy wrote it; ret_regex may be NULL. The text belongs to the pool. */
size_t pattern_count(const struct pattern_set *set);
const char *pattern_text(const struct pattern_set *set, size_t i, bool *ret_regex);

#endif
