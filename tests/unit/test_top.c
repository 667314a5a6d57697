/* test_top.c - what `top` knows and how it looks, without a terminal: every size, answers of every
 * kind, events, rates, restarts; and what the daemon's answers are read as.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../watcher/top_parts.h"
#include "qfwatch/answer.h"
#include "qfwatch/plain.h"

#include "../support/testing.h"

#define SECOND INT64_C(1000000)
#define NOW    (INT64_C(1795630000) * SECOND)

static json_t *parse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ' stands for ". */
static json_t *parse(const char *format, ...)
{
	char text[8192];
	json_error_t error;
	va_list list;
	json_t *all;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	all = json_loads(text, 0, &error);
	if (!all)
		fail_msg("%s: %s", error.text, text);
	return all;
}

static json_t *status_of(const char *run, const char *trouble)
{
	return parse("{'run':'%s','pid':7,'uptime':3700,'messages':{'total':12345},"
		     "'round':{'running':null},'trouble':[%s]}",
		     run, trouble);
}

static json_t *tiers_of(unsigned tiers, unsigned rules, unsigned acted)
{
	json_t *all = parse("{'tiers':[],'rules':[]}");

	for (unsigned i = 0; i < tiers; i++)
		json_array_append_new(
			json_object_get(all, "tiers"),
			parse("{'name':'TIER%u','messages':%u,'oldest':'2026-11-25T10:00:00Z',"
			      "'states':{'idle':5},'rates':{'arrived':{'minute':7,'hour':70},"
			      "'moved_in':{'minute':1,'hour':3}}}",
			      i, 10 + i));
	for (unsigned i = 0; i < rules; i++)
		json_array_append_new(json_object_get(all, "rules"),
				      parse("{'name':'rule %u','action':'move','target':'TIER1',"
					    "'acted':%u,'failed':%u}",
					    i, acted, i % 2));
	return all;
}

static json_t *shape_of(unsigned rows)
{
	json_t *all = parse("{'rows':[{'name':'TOTAL','total':100,'counts':[]}]}");

	for (unsigned i = 0; i < rows; i++)
		json_array_append_new(json_object_get(all, "rows"),
				      parse("{'name':'m\303\274n%u.example','total':%u,"
					    "'counts':[1,2,3,4,5,6,7,8,%u,%u]}",
					    i, 1000 - i, i, i * 1000));
	return all;
}

static void take_event(struct top *top, unsigned number, const char *level, const char *more)
{
	char line[1024];

	snprintf(
		line, sizeof line,
		"{\"@timestamp\":\"2026-11-25T18:00:00.5Z\",\"log.level\":\"%s\",\"message\":\"m\","
		"\"event\":{\"id\":\"0123456789abcdef-%u\",\"sequence\":%u,\"action\":"
		"\"message-moved\"},\"email\":{\"local_id\":\"ID%u\"}%s}",
		level, number, number, number, more);
	top_take_event(top, line, strlen(line));
}

static void fill(struct top *top, unsigned tiers, unsigned rules, unsigned rows, unsigned events)
{
	top_begin(top);
	top_take_status(top, status_of("a", ""), NOW);
	top_take_tiers(top, tiers_of(tiers, rules, 3), NOW);
	top_take_shape(top, shape_of(rows), NOW);
	for (unsigned i = 0; i < events; i++)
		take_event(top, i, i % 5 ? "info" : "warning", ",\"qfwatch\":{}");
}

/* Is that text on one of the lines? */
static bool shows(const struct top_page *page, const char *text)
{
	for (size_t i = 0; i < page->n_lines; i++)
		if (strstr(page->lines[i].text, text))
			return true;
	return false;
}

static void fits(const struct top_page *page, size_t width, size_t height)
{
	assert_true(page->n_lines <= height);
	for (size_t i = 0; i < page->n_lines; i++)
		if (plain_width(page->lines[i].text) > width)
			fail_msg("%zux%zu: %s", width, height, page->lines[i].text);
}

/* ---- */

static void every_size(void **state)
{
	static const unsigned contents[][4] = {
		{3, 3, 40, 60}, {0, 0, 0, 0}, {1, 30, 1, 1}, {64, 200, 200, 300}, {3, 0, 0, 9}};

	static const size_t widths[] = {1, 2, 9, 10, 20, 39, 40, 41, 60, 79, 80, 81, 119, 120, 200};

	(void)state;
	for (size_t k = 0; k < N(contents); k++) {
		const unsigned *c = contents[k];
		struct top_page page = {0};
		struct top top;

		fill(&top, c[0], c[1], c[2], c[3]);
		for (int view = 0; view < 4; view++) {
			top.help = view == 1;
			top.typing = view == 2;
			if (view == 3)
				strcpy(top.failure, "no daemon answers");
			for (size_t w = 0; w < N(widths); w += testing_slow() ? 3 : 1) {
				for (size_t height = 1; height <= 60;
				     height += height < 30 ? testing_slow() ? 5 : 1 : 15) {
					top_draw(&top, widths[w], height, NOW, &page);
					fits(&page, widths[w], height);
					assert_int_equal(page.n_lines, height);
					assert_int_equal(page.lines[0].style, TOP_BAR);
				}
			}
		}
		top_page_free(&page);
		top_free(&top);
	}
}

/* What counts is there at the usual size, and the most important of it at a small one. */
static void usual_sizes(void **state)
{
	struct top_page page = {0};
	struct top top;

	(void)state;
	fill(&top, 3, 3, 40, 60);
	top_draw(&top, 80, 24, NOW, &page);
	assert_true(shows(&page, "qfwatch works, 12,345 messages, up 1h1m"));
	assert_true(shows(&page, "TIER2"));
	assert_true(shows(&page, "OUT/H"));
	assert_true(shows(&page, "rule 2: move TIER1"));
	assert_true(shows(&page, "m\303\274n2.example"));
	assert_true(shows(&page, "1280+"));
	assert_true(shows(&page, "message-moved  ID59"));
	assert_true(shows(&page, "q quit"));
	top_draw(&top, 40, 10, NOW, &page);
	assert_true(shows(&page, "12,345 messages"));
	assert_true(shows(&page, "TIER2"));
	assert_true(shows(&page, "ID59"));
	top_draw(&top, 200, 50, NOW, &page);
	assert_true(shows(&page, "m\303\274n12.example"));
	assert_true(shows(&page, "ID45"));
	top_draw(&top, 100, 0, NOW, &page);
	assert_true(shows(&page, "m\303\274n19.example"));
	assert_false(shows(&page, "q quit"));
	top_page_free(&page);
	top_free(&top);
}

static void order(void **state)
{
	struct top_page page = {0};
	struct top top;
	size_t at = 0;

	(void)state;
	fill(&top, 1, 0, 3, 0);
	for (enum top_sort sort = TOP_BY_TOTAL; sort < TOP_SORTS; sort++) {
		static const char *const first[] = {"m\303\274n0.", "m\303\274n2.", "m\303\274n0."};

		top.sort = sort;
		top_draw(&top, 100, 0, NOW, &page);
		for (at = 0; !strstr(page.lines[at].text, "TOTAL");)
			at++;
		assert_non_null(strstr(page.lines[at + 1].text, first[sort]));
	}
	top_page_free(&page);
	top_free(&top);
}

static void troubles(void **state)
{
	struct top_page page = {0};
	struct top top;

	(void)state;
	fill(&top, 1, 1, 1, 1);
	top_take_status(&top,
			status_of("a", "{'text':'tier A\\u001b[2J is lost','remedy':'bring it'}"),
			NOW);
	top_draw(&top, 80, 24, NOW, &page);
	assert_true(shows(&page, "qfwatch HAS TROUBLE"));
	assert_true(shows(&page, "! tier A\\x1b[2J is lost"));
	assert_true(shows(&page, "  bring it"));
	/* It stops to answer, and comes back as another run. */
	strcpy(top.failure, "no daemon answers at x");
	strcpy(top.remedy, "start it");
	top_draw(&top, 80, 24, NOW + 5 * SECOND, &page);
	assert_true(shows(&page, "qfwatch DOES NOT ANSWER"));
	assert_true(shows(&page, "! no daemon answers at x"));
	assert_true(shows(&page, "  start it"));
	assert_true(shows(&page, "told 5s ago"));
	top_take_status(&top, status_of("b", ""), NOW + 6 * SECOND);
	top_draw(&top, 80, 24, NOW + 6 * SECOND, &page);
	assert_true(shows(&page, "qfwatch works"));
	assert_true(shows(&page, "another run of the daemon answers"));
	assert_true(shows(&page, "the daemon answers again"));
	top_page_free(&page);
	top_free(&top);
}

static void events(void **state)
{
	struct top_page page = {0};
	struct top top;

	(void)state;
	fill(&top, 1, 0, 0, 0);
	take_event(&top, 1, "info",
		   ",\"qfwatch\":{\"move\":{\"from\":\"A\",\"to\":\"B\",\"rule\":\"r\"}}");
	take_event(&top, 1, "info", ",\"qfwatch\":{}");
	take_event(&top, 2, "error", ",\"qfwatch\":{\"tier\":\"C\\u001b[31m\"}");
	top_take_event(&top, "no json", 7);
	top_take_event(&top, "{}", 2);
	assert_int_equal(top.n_events, 2);
	top_draw(&top, 100, 24, NOW, &page);
	assert_true(shows(&page, "message-moved  ID1  A -> B (r)"));
	assert_true(shows(&page, "message-moved  ID2  C\\x1b[31m"));
	top.only_trouble = true;
	top_draw(&top, 100, 24, NOW, &page);
	assert_false(shows(&page, "ID1"));
	assert_true(shows(&page, "ID2"));
	for (unsigned i = 3; i < 1000; i++)
		take_event(&top, i, "info", ",\"qfwatch\":{}");
	assert_int_equal(top.n_events, TOP_EVENTS);
	top.only_trouble = false;
	top_draw(&top, 100, 24, NOW, &page);
	assert_true(shows(&page, "ID999"));
	top_page_free(&page);
	top_free(&top);
}

static void rates(void **state)
{
	struct top top;
	uint64_t rate = 77;

	(void)state;
	top_begin(&top);
	assert_false(top_rule_rate(&top, 0, &rate));
	top_take_tiers(&top, tiers_of(1, 1, 100), NOW);
	assert_false(top_rule_rate(&top, 0, &rate));
	top_take_tiers(&top, tiers_of(1, 1, 110), NOW + 10 * SECOND);
	assert_true(top_rule_rate(&top, 0, &rate));
	assert_int_equal(rate, 60);
	/* What is older than a minute does not count. */
	top_take_tiers(&top, tiers_of(1, 1, 111), NOW + 65 * SECOND);
	assert_true(top_rule_rate(&top, 0, &rate));
	assert_int_equal(rate, 1);
	assert_false(top_rule_rate(&top, TOP_RULES, &rate));
	/* Another rule in its place; a clock that was set back; many samples. */
	top_take_tiers(&top, tiers_of(1, 1, 5), NOW + 66 * SECOND);
	assert_true(top_rule_rate(&top, 0, &rate));
	assert_int_equal(rate, 0);
	top_take_tiers(&top, tiers_of(1, 1, 6), NOW);
	assert_false(top_rule_rate(&top, 0, &rate));
	for (unsigned i = 1; i <= 200; i++)
		top_take_tiers(&top, tiers_of(1, 1, i), NOW + i * SECOND);
	assert_true(top_rule_rate(&top, 0, &rate));
	assert_int_equal(rate, 60);
	top_free(&top);
}

/* Whatever the answers hold: nothing is believed. */
static void strange_answers(void **state)
{
	static const char *const answers[] = {
		"{}",
		"{'tiers':7,'rules':'x','rows':{},'trouble':1,'messages':[]}",
		"{'tiers':[1,null,{'name':[],'messages':-5,'oldest':'x','rates':3}],'rules':[[]],"
		"'rows':[null,{'counts':{}},{'name':5,'total':-1,'counts':['x',-3]}],"
		"'trouble':[null,{'text':3}],'uptime':'x','run':[]}",
		"{'tiers':[{'name':'x','messages':1e300,'oldest':"
		"'2026-11-25T10:00:00.000Z'}],'rows':[{'name':'\\u202e','total':"
		"9223372036854775807}],'uptime':-9,'messages':{'total':9223372036854775807}}",
	};
	struct top_page page = {0};
	struct top top;

	(void)state;
	for (size_t i = 0; i < N(answers); i++) {
		top_begin(&top);
		top_take_status(&top, parse("%s", answers[i]), NOW);
		top_take_tiers(&top, parse("%s", answers[i]), NOW);
		top_take_shape(&top, parse("%s", answers[i]), NOW);
		for (enum top_sort sort = TOP_BY_TOTAL; sort < TOP_SORTS; sort++) {
			top.sort = sort;
			top_draw(&top, 80, 24, NOW, &page);
			fits(&page, 80, 24);
		}
		top_free(&top);
	}
	/* Nothing was heard yet. */
	top_begin(&top);
	top_draw(&top, 80, 24, NOW, &page);
	assert_true(shows(&page, "asking the daemon"));
	top_free(&top);
	top_page_free(&page);
}

static void answers(void **state)
{
	json_t *all = parse("{'a':'x','n':5,'f':2.9,'m':-1,'t':'1970-01-01T00:00:09.5Z','o':{}}");
	int64_t number;

	(void)state;
	assert_string_equal(answer_text(all, "a"), "x");
	assert_string_equal(answer_text(all, "n"), "");
	assert_string_equal(answer_text(NULL, "a"), "");
	assert_int_equal(answer_count(all, "n"), 5);
	assert_int_equal(answer_count(all, "m"), 0);
	assert_int_equal(answer_count(all, "a"), 0);
	assert_true(answer_number(all, "f", &number));
	assert_int_equal(number, 2);
	assert_true(answer_number(all, "m", &number));
	assert_int_equal(number, -1);
	assert_false(answer_number(all, "o", &number));
	assert_int_equal(answer_time(all, "t"), 9);
	assert_int_equal(answer_time(all, "a"), 0);
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size),	   cmocka_unit_test(usual_sizes),
		cmocka_unit_test(order),	   cmocka_unit_test(troubles),
		cmocka_unit_test(events),	   cmocka_unit_test(rates),
		cmocka_unit_test(strange_answers), cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
