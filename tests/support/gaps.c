/* gaps.c - see gaps.h */
#include "gaps.h"

#include <string.h>

#include "lines.h"
#include "testing.h"

intmax_t gaps_judge_on(const char *text, intmax_t *last, unsigned *ret_gaps)
{
	intmax_t sequence = *last, dropped = 0;

	*ret_gaps = 0;
	while (*text) {
		const char *end = strchr(text, '\n');
		json_t *json;
		intmax_t number;

		check(end != NULL);
		json = lines_parse(text, (size_t)(end + 1 - text));
		number = lines_number(json, "event/sequence");
		if (strcmp(lines_text(json, "event/action"), "events-dropped") == 0) {
			check_equal(lines_number(json, "qfwatch/counts/first"), sequence + 1);
			check_equal(lines_number(json, "qfwatch/counts/last"), number - 1);
			check_equal(lines_number(json, "qfwatch/counts/dropped"),
				    number - 1 - sequence);
			check(number - 1 - sequence > 0);
			dropped += number - 1 - sequence;
			++*ret_gaps;
		} else {
			check_equal(number, sequence + 1);
		}
		sequence = number;
		json_decref(json);
		text = end + 1;
	}
	*last = sequence;
	return dropped;
}

intmax_t gaps_judge(const char *text, intmax_t *ret_last, unsigned *ret_gaps)
{
	*ret_last = 0;
	return gaps_judge_on(text, ret_last, ret_gaps);
}
