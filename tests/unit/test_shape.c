/* test_shape.c - domains by age, against a model that counts in the simplest way; the bounds of the
 * columns, the order, limits, several shapes in one, a million messages; and the JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "qfwatch/qtext.h"
#include "qfwatch/shape.h"

#include "../support/policies.h"
#include "../support/testing.h"

/* ---- the model: every message in a list ---- */

enum { NAMES = 140, MOST = 4 };

struct counted {
	int64_t age;
	unsigned names[MOST], n;
};

/* Ages up to the bound in minutes belong to the column: 5, 10, 20, ... 1280, and older. */
static unsigned column_of(int64_t age)
{
	unsigned column = 0;

	for (int64_t minutes = 5; minutes <= 1280; minutes *= 2) {
		if (age <= minutes * 60)
			return column;
		column++;
	}
	return column;
}

static uint64_t model_count(const struct counted *list, size_t n, unsigned name, unsigned column)
{
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++) {
		bool has = false;

		for (unsigned k = 0; k < list[i].n; k++)
			has |= list[i].names[k] == name;
		count += has && column_of(list[i].age) == column;
	}
	return count;
}

static void put_name(char *buffer, size_t size, unsigned name, bool upper)
{
	/* 0 is what has no domain. */
	snprintf(buffer, size, name ? upper ? "D%u.Example.NET" : "d%u.example.net" : "%.0u", name);
}

static void feed(struct shape *shape, const struct counted *one, uint64_t *seed)
{
	char text[64];

	shape_message(shape, one->age);
	for (unsigned k = 0; k < one->n; k++) {
		put_name(text, sizeof text, one->names[k], testing_random(seed) % 2);
		if (testing_random(seed) % 2)
			shape_add(shape, policies_slice(text));
		else
			shape_add_row(shape, shape_row_of(shape, policies_slice(text)));
	}
}

static void compare(struct shape *shape, const struct counted *list, size_t n)
{
	const struct shape_row *rows;
	size_t cut, count = shape_rows(shape, 0, &rows, &cut), met = 0;
	uint64_t total[SHAPE_COLUMNS] = {0};

	assert_int_equal(cut, 0);
	for (unsigned name = 0; name < NAMES; name++) {
		char text[64];
		uint64_t sum = 0, counts[SHAPE_COLUMNS];
		const struct shape_row *row = NULL;

		put_name(text, sizeof text, name, false);
		for (size_t i = 1; i < count; i++)
			if (strcmp(rows[i].name, name ? text : "(local)") == 0)
				row = &rows[i];
		for (unsigned k = 0; k < SHAPE_COLUMNS; k++) {
			counts[k] = model_count(list, n, name, k);
			sum += counts[k];
			total[k] += counts[k];
		}
		if (!sum) {
			assert_null(row);
			continue;
		}
		assert_non_null(row);
		met++;
		assert_int_equal(row->total, sum);
		assert_memory_equal(row->counts, counts, sizeof counts);
	}
	assert_int_equal(count, met + 1);
	assert_string_equal(rows[0].name, "TOTAL");
	assert_memory_equal(rows[0].counts, total, sizeof total);
	for (size_t i = 2; i < count; i++)
		assert_true(rows[i - 1].total > rows[i].total ||
			    (rows[i - 1].total == rows[i].total &&
			     strcmp(rows[i - 1].name, rows[i].name) < 0));
}

static void against_the_model(void **state)
{
	enum { LIST = 400 };
	static struct counted list[LIST];
	uint64_t seed = 7;

	(void)state;
	for (size_t round = 0; round < testing_scale(40); round++) {
		struct shape *shapes[3] = {shape_new(), shape_new(), shape_new()};
		size_t n = testing_random(&seed) % LIST;

		for (size_t i = 0; i < n; i++) {
			/* About the bounds, and beyond. */
			int64_t bound = INT64_C(300) << testing_random(&seed) % 10;

			list[i].age = bound + (int64_t)(testing_random(&seed) % 5) - 2;
			if (testing_random(&seed) % 20 == 0)
				list[i].age = -(int64_t)(testing_random(&seed) % 100);
			list[i].n = (unsigned)(testing_random(&seed) % (MOST + 1));
			for (unsigned k = 0; k < list[i].n; k++)
				list[i].names[k] = (unsigned)(testing_random(&seed) % NAMES);
			feed(shapes[0], &list[i], &seed);
			feed(shapes[1 + i % 2], &list[i], &seed);
		}
		compare(shapes[0], list, n);
		shape_merge(shapes[1], shapes[2]);
		compare(shapes[1], list, n);
		for (int i = 0; i < 3; i++)
			shape_free(shapes[i]);
	}
}

static void bounds(void **state)
{
	static const struct {
		int64_t age;
		unsigned column;
	} table[] = {
		{INT64_MIN, 0}, {-1, 0},    {0, 0},	{300, 0},   {301, 1},	    {600, 1},
		{601, 2},	{1200, 2},  {2400, 3},	{2401, 4},  {4800, 4},	    {9600, 5},
		{19200, 6},	{38400, 7}, {76800, 8}, {76801, 9}, {INT64_MAX, 9},
	};

	(void)state;
	for (size_t i = 0; i < N(table); i++) {
		struct shape *shape = shape_new();
		const struct shape_row *rows;
		size_t cut;

		shape_message(shape, table[i].age);
		shape_add(shape, policies_slice("a"));
		assert_int_equal(shape_rows(shape, 0, &rows, &cut), 2);
		assert_int_equal(rows[1].counts[table[i].column], 1);
		shape_free(shape);
	}
}

static void texts(void **state)
{
	static const char qf[] = "V8\nSNews@Example.COM\nRPFD:a@One.example\nRPFD:b@one.EXAMPLE\n"
				 "RPFD:root\n.\n";
	struct qtext *qtext = qtext_new();
	struct policy_text text;
	struct shape *shape = shape_new();
	const struct shape_row *rows;
	size_t cut;

	(void)state;
	qtext_read(qtext, qf, sizeof qf - 1, &text);
	shape_take(shape, SHAPE_RECIPIENT, &text, 10);
	assert_int_equal(shape_rows(shape, 0, &rows, &cut), 3);
	assert_int_equal(rows[0].total, 2);
	assert_string_equal(rows[1].name, "(local)");
	assert_string_equal(rows[2].name, "one.example");
	assert_int_equal(rows[2].total, 1);
	shape_free(shape);
	shape = shape_new();
	shape_take(shape, SHAPE_SENDER, &text, 10);
	text.has_sender = false;
	shape_take(shape, SHAPE_SENDER, &text, 10);
	assert_int_equal(shape_rows(shape, 0, &rows, &cut), 2);
	assert_string_equal(rows[1].name, "example.com");
	assert_int_equal(rows[1].total, 1);
	shape_free(shape);
	qtext_free(qtext);
}

/* More names than are kept, long ones, and bytes of any kind. */
static void bounded(void **state)
{
	struct shape *shape = shape_new();
	size_t names = testing_slow() ? SHAPE_NAMES / 20 : SHAPE_NAMES + 1000, cut, n;
	const struct shape_row *rows;
	char text[1000];

	(void)state;
	for (size_t i = 0; i < names; i++) {
		snprintf(text, sizeof text, "n%zu", i);
		shape_message(shape, 0);
		shape_add(shape, policies_slice(text));
	}
	n = shape_rows(shape, 0, &rows, &cut);
	assert_int_equal(rows[0].total, names);
	if (names > SHAPE_NAMES) {
		assert_int_equal(n, SHAPE_NAMES + 2);
		assert_string_equal(rows[1].name, SHAPE_OTHER);
		assert_int_equal(rows[1].total, 1000);
	}
	assert_int_equal(shape_rows(shape, 10, &rows, &cut), 11);
	assert_int_equal(cut, n - 11);
	assert_int_equal(rows[0].total, names);
	shape_free(shape);
	shape = shape_new();
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	shape_message(shape, 0);
	shape_add(shape, policies_slice(text));
	shape_rows(shape, 0, &rows, &cut);
	assert_int_equal(strlen(rows[1].name), SHAPE_NAME_MAX);
	shape_free(shape);
	shape_free(NULL);
}

static void json(void **state)
{
	struct shape *shape = shape_new(), *other = shape_new();
	size_t length;
	char *text;
	json_t *all, *rows;

	(void)state;
	for (int i = 0; i < 3; i++) {
		shape_message(shape, i * 400);
		shape_add(shape, policies_slice("a\"\x81.example"));
	}
	shape_message(shape, 0);
	shape_add(shape, policies_slice("b.example"));
	shape_leave_out(shape, 2);
	shape_leave_out(other, 3);
	shape_merge(shape, other);
	shape_free(other);
	text = shape_json(shape, SHAPE_SENDER, "Q\\", 1800000000, 1, &length);
	assert_int_equal(strlen(text), length);
	all = json_loads(text, 0, NULL);
	assert_non_null(all);
	assert_string_equal(json_string_value(json_object_get(all, "now")), "2027-01-15T08:00:00Z");
	assert_string_equal(json_string_value(json_object_get(all, "by")), "sender");
	assert_string_equal(json_string_value(json_object_get(all, "tier")), "Q\\");
	assert_int_equal(json_integer_value(json_object_get(all, "cut")), 1);
	assert_int_equal(json_integer_value(json_object_get(all, "given_up")), 5);
	assert_int_equal(json_array_size(json_object_get(all, "bounds")), 9);
	rows = json_object_get(all, "rows");
	assert_int_equal(json_array_size(rows), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 0), "total")), 4);
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 1), "name")),
			    "a\"\xef\xbf\xbd.example");
	assert_int_equal(json_array_size(json_object_get(json_array_get(rows, 1), "counts")), 10);
	json_decref(all);
	free(text);
	shape_free(shape);
	shape = shape_new();
	text = shape_json(shape, SHAPE_RECIPIENT, NULL, 0, 0, &length);
	all = json_loads(text, 0, NULL);
	assert_true(json_is_null(json_object_get(all, "tier")));
	assert_int_equal(json_array_size(json_object_get(all, "rows")), 1);
	json_decref(all);
	free(text);
	shape_free(shape);
}

/* 20,000 domains, as a large spool has them. */
static char names[20000][24];

/* As little as can be done for a message, as a measure: its name is found in a hash table, and
 * counted there. */
static clock_t bare_time(size_t n, uint64_t *seed)
{
	static struct {
		const char *name;
		size_t counts[10];
	} table[1 << 16];
	clock_t began = clock();

	for (size_t i = 0; i < n; i++) {
		const char *name = names[testing_random(seed) % N(names)];
		uint32_t at = 2166136261;

		for (const char *c = name; *c; c++)
			at = (at ^ (unsigned char)*c) * 16777619;
		for (at %= N(table); table[at].name && strcmp(table[at].name, name) != 0;)
			at = (at + 1) % N(table);
		table[at].name = name;
		table[at].counts[testing_random(seed) % N(table[at].counts)]++;
	}
	return clock() - began;
}

static clock_t shape_time(struct shape *shape, size_t n, uint64_t *seed)
{
	clock_t began = clock();
	const struct shape_row *rows;
	size_t cut;

	for (size_t i = 0; i < n; i++) {
		const char *name = names[testing_random(seed) % N(names)];

		shape_message(shape, (int64_t)(testing_random(seed) % 100000));
		shape_add(shape, (struct policy_slice){name, strlen(name)});
	}
	shape_rows(shape, 20, &rows, &cut);
	return clock() - began;
}

static void a_million(void **state)
{
	size_t n = testing_scale(1000000), cut, rounds = 0;
	struct shape *shape = shape_new();
	const struct shape_row *rows;
	uint64_t seed = 3;
	bool fast = false;

	(void)state;
	for (unsigned i = 0; i < N(names); i++)
		snprintf(names[i], sizeof names[i], "domain%u.example", i);
	/* Of the processor, and beside other work that this machine takes as long for: the machine
	 * may be slow, and others at work on it. Once in a few times is enough. */
	for (; rounds < 3 || (!fast && !testing_slow() && rounds < 20); rounds++) {
		clock_t bare = bare_time(n, &seed), took = shape_time(shape, n, &seed);

		/* It is about twice as much. */
		fast = fast || took < 5 * bare;
	}
	shape_rows(shape, 20, &rows, &cut);
	assert_int_equal(rows[0].total, rounds * n);
	assert_true(fast || testing_slow());
	shape_free(shape);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(against_the_model),
		cmocka_unit_test(bounds),
		cmocka_unit_test(texts),
		cmocka_unit_test(bounded),
		cmocka_unit_test(json),
		cmocka_unit_test(a_million),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
