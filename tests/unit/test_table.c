/* test_table.c - the messages in memory against a plain model, and what they cost. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qfwatch/table.h"

#include "../support/testing.h"

/* ---- one by one ---- */

static msgref insert(struct table *table, uint16_t directory, const char *id)
{
	return table_insert(table, directory, id, strlen(id));
}

static msgref find(struct table *table, uint16_t directory, const char *id)
{
	return table_find(table, directory, id, strlen(id));
}

static void one_message(void **state)
{
	struct table *table = table_new();
	struct message *message;
	int64_t deadline = 5;
	msgref ref;

	(void)state;
	assert_int_equal(table_count(table), 0);
	assert_int_equal(find(table, 0, "a"), MSGREF_NONE);
	assert_int_equal(table_next(table, MSGREF_NONE), MSGREF_NONE);
	assert_int_equal(table_earliest(table, &deadline), MSGREF_NONE);
	assert_true(deadline == INT64_MAX);
	assert_false(table_has_ready(table));
	assert_int_equal(table_pop_ready(table), MSGREF_NONE);

	ref = insert(table, 7, "6AMHKFCA026379");
	assert_int_not_equal(ref, MSGREF_NONE);
	assert_int_equal(table_count(table), 1);
	assert_int_equal(find(table, 7, "6AMHKFCA026379"), ref);
	assert_int_equal(find(table, 6, "6AMHKFCA026379"), MSGREF_NONE);
	assert_int_equal(find(table, 7, "6AMHKFCA02637"), MSGREF_NONE);
	assert_int_equal(find(table, 7, "6AMHKFCA026370"), MSGREF_NONE);
	message = table_get(table, ref);
	assert_int_equal(message->state, MESSAGE_NEW);
	assert_int_equal(message->directory, 7);
	assert_int_equal(message->id_length, 14);
	assert_memory_equal(table_id(message), "6AMHKFCA026379", 14);
	assert_true(message->deadline == INT64_MAX);
	assert_true(message->visited == 0 && message->print == 0 && message->size == 0 &&
		    message->created == 0 && message->last_attempt == 0 && message->attempts == 0 &&
		    message->flags == 0 && message->tries == 0 && message->trouble == 0);
	assert_int_equal(table_earliest(table, &deadline), MSGREF_NONE);
	assert_int_equal(table_next(table, MSGREF_NONE), ref);
	assert_int_equal(table_next(table, ref), MSGREF_NONE);

	table_remove(table, ref);
	assert_int_equal(table_count(table), 0);
	assert_int_equal(find(table, 7, "6AMHKFCA026379"), MSGREF_NONE);
	assert_int_equal(table_next(table, MSGREF_NONE), MSGREF_NONE);
	table_free(table);
	table_free(NULL);
}

/* What a number stood for before must not shine through. */
static void numbers_come_back_clean(void **state)
{
	struct table *table = table_new();
	msgref first = insert(table, 1, "first"), second;
	struct message *message = table_get(table, first);

	(void)state;
	message->state = MESSAGE_REFUSED;
	message->visited = UINT64_MAX;
	message->print = (UINT64_C(1) << 48) - 1;
	message->attempts = 9;
	message->flags = MESSAGE_ECHO | MESSAGE_TOLD;
	table_set_deadline(table, first, 12);
	table_remove(table, first);
	second = insert(table, 2, "second");
	assert_int_equal(second, first);
	message = table_get(table, second);
	assert_int_equal(message->state, MESSAGE_NEW);
	assert_true(message->visited == 0 && message->print == 0 && message->attempts == 0 &&
		    message->flags == 0 && message->deadline == INT64_MAX);
	table_free(table);
}

static void ids_of_every_length(void **state)
{
	struct table *table = table_new();
	char id[TABLE_MAX_ID];
	msgref refs[TABLE_MAX_ID + 1];
	size_t memory;

	(void)state;
	memset(id, 'x', sizeof(id));
	/* Each a prefix of the next: near and far ones, 16 and 17 among them. */
	for (size_t n = 1; n <= TABLE_MAX_ID; n++) {
		assert_int_equal(table_find(table, 3, id, n), MSGREF_NONE);
		refs[n] = table_insert(table, 3, id, n);
	}
	for (size_t n = 1; n <= TABLE_MAX_ID; n++) {
		const struct message *message = table_get(table, refs[n]);

		assert_int_equal(table_find(table, 3, id, n), refs[n]);
		assert_int_equal(message->id_length, n);
		assert_memory_equal(table_id(message), id, n);
	}
	memory = table_memory(table);
	for (size_t n = 2; n <= TABLE_MAX_ID; n += 2)
		table_remove(table, refs[n]);
	for (size_t n = 1; n <= TABLE_MAX_ID; n++)
		assert_int_equal(table_find(table, 3, id, n), n % 2 ? refs[n] : MSGREF_NONE);
	/* What stands outside is given back: 18, 20, ... 252. */
	assert_int_equal(memory - table_memory(table), (18 + 252) * 118 / 2);
	table_free(table);
}

static void ids_are_any_bytes(void **state)
{
	struct table *table = table_new();
	msgref nul = table_insert(table, 0, "a\0b", 3), other = table_insert(table, 0, "a\0c", 3);

	(void)state;
	assert_int_equal(table_find(table, 0, "a\0b", 3), nul);
	assert_int_equal(table_find(table, 0, "a\0c", 3), other);
	assert_int_equal(table_find(table, 0, "a", 1), MSGREF_NONE);
	assert_int_equal(table_find(table, 0, "a\0", 2), MSGREF_NONE);
	table_free(table);
}

static void directories(void **state)
{
	struct table *table = table_new();
	msgref refs[3];

	(void)state;
	for (uint16_t i = 0; i < 3; i++)
		refs[i] = insert(table, (uint16_t)(i * 30000), "same");
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(find(table, (uint16_t)(i * 30000), "same"), refs[i]);
	table_set_deadline(table, refs[1], 44);
	table_get(table, refs[1])->attempts = 12;
	table_change_directory(table, refs[1], UINT16_MAX);
	assert_int_equal(find(table, 30000, "same"), MSGREF_NONE);
	assert_int_equal(find(table, UINT16_MAX, "same"), refs[1]);
	assert_int_equal(table_get(table, refs[1])->attempts, 12);
	assert_true(table_get(table, refs[1])->deadline == 44);
	assert_int_equal(table_count(table), 3);
	table_free(table);
}

/* ---- the ready list ---- */

static void ready_in_order(void **state)
{
	struct table *table = table_new();
	msgref a = insert(table, 0, "a"), b = insert(table, 0, "b"), c = insert(table, 0, "c");

	(void)state;
	table_push_ready(table, b);
	table_push_ready(table, a);
	table_push_ready(table, b);
	table_push_ready(table, c);
	assert_true(table_has_ready(table));
	assert_int_equal(table_pop_ready(table), b);
	/* Once popped it may come again, now last. */
	table_push_ready(table, b);
	assert_int_equal(table_pop_ready(table), a);
	assert_int_equal(table_pop_ready(table), c);
	assert_int_equal(table_pop_ready(table), b);
	assert_false(table_has_ready(table));
	assert_int_equal(table_pop_ready(table), MSGREF_NONE);
	table_push_ready(table, a);
	assert_int_equal(table_pop_ready(table), a);
	table_free(table);
}

static void removed_while_ready(void **state)
{
	struct table *table = table_new();
	msgref a = insert(table, 0, "a"), b = insert(table, 0, "b"), c = insert(table, 0, "c"),
	       again;

	(void)state;
	table_push_ready(table, a);
	table_push_ready(table, b);
	table_push_ready(table, c);
	table_remove(table, b);
	assert_int_equal(table_count(table), 2);
	assert_int_equal(find(table, 0, "b"), MSGREF_NONE);
	/* Its number stands in the list still: the same name must get another. */
	again = insert(table, 0, "b");
	assert_int_not_equal(again, b);
	assert_int_equal(find(table, 0, "b"), again);
	assert_int_equal(table_pop_ready(table), a);
	assert_int_equal(table_pop_ready(table), c);
	assert_int_equal(table_pop_ready(table), MSGREF_NONE);
	/* Now it is free. */
	assert_int_equal(insert(table, 0, "d"), b);
	table_remove(table, c);
	/* The last one gone: the list is empty when it is asked. */
	table_push_ready(table, a);
	table_remove(table, a);
	assert_int_equal(table_pop_ready(table), MSGREF_NONE);
	assert_false(table_has_ready(table));
	table_push_ready(table, again);
	assert_int_equal(table_pop_ready(table), again);
	table_free(table);
}

/* ---- deadlines ---- */

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t random_deadline(uint64_t *seed)
{
	switch (testing_random(seed) % 8) {
	case 0:
		return INT64_MIN;
	case 1:
		return INT64_MAX - 1;
	case 2:
		return (int64_t)(testing_random(seed) % 16); /* many the same */
	default:
		return (int64_t)testing_random(seed);
	}
}

static void deadlines_in_order(void **state)
{
	size_t count = testing_scale(20000), live = 0, met = 0;
	struct table *table = table_new();
	int64_t *sorted = malloc(count * sizeof(*sorted)), deadline;
	uint64_t seed = 99;
	msgref ref;

	(void)state;
	assert_non_null(sorted);
	for (size_t i = 0; i < count; i++) {
		char id[24];

		snprintf(id, sizeof(id), "%zu", i);
		table_set_deadline(table, insert(table, 0, id), random_deadline(&seed));
	}
	/* Moved to and fro, switched off and on again. */
	for (size_t i = 0; i < 3 * count; i++) {
		ref = (msgref)(1 + testing_random(&seed) % count);
		table_set_deadline(table, ref,
				   testing_random(&seed) % 4 ? random_deadline(&seed) : INT64_MAX);
	}
	for (ref = table_next(table, MSGREF_NONE); ref; ref = table_next(table, ref))
		if (table_get(table, ref)->deadline != INT64_MAX)
			sorted[live++] = table_get(table, ref)->deadline;
	qsort(sorted, live, sizeof(*sorted), by_value);
	assert_true(live > count / 2 && live < count);
	while ((ref = table_earliest(table, &deadline))) {
		assert_true(met < live);
		assert_true(deadline == sorted[met]);
		assert_true(table_get(table, ref)->deadline == deadline);
		met++;
		/* Leaving in one of two ways. */
		if (met % 2)
			table_set_deadline(table, ref, INT64_MAX);
		else
			table_remove(table, ref);
	}
	assert_int_equal(met, live);
	assert_true(deadline == INT64_MAX);
	free(sorted);
	table_free(table);
}

/* ---- against a model ---- */

/* The world of names: DIRECTORIES times IDS. Ids are of all lengths up to 40, and long ones share
 * their first 24 bytes. */
enum { DIRECTORIES = 4, IDS = 1500, NAMES = DIRECTORIES * IDS };

static const char *name_of(size_t i, size_t *ret_length)
{
	static char name[64];
	int n = i % 3 == 0   ? snprintf(name, sizeof(name), "a-prefix-that-they-share-%05zu", i)
		: i % 3 == 1 ? snprintf(name, sizeof(name), "%zu", i)
			     : snprintf(name, sizeof(name), "6AMHKF%0*zu", (int)(4 + i % 8), i);

	*ret_length = (size_t)n;
	return name;
}

struct entry {
	msgref ref; /* MSGREF_NONE: not there */
	int64_t deadline;
	uint64_t serial; /* which insertion it was */
	bool ready;
};

struct model {
	struct table *table;
	struct entry entries[NAMES]; /* [directory * IDS + id] */
	struct {
		size_t name;
		uint64_t serial;
	} * queue; /* the ready list */
	size_t first, last, room;
	size_t count;
	uint64_t serials, seed;
};

static void model_push(struct model *model, size_t name)
{
	if (model->last == model->room) {
		model->room = model->room * 2 + 64;
		model->queue = realloc(model->queue, model->room * sizeof(*model->queue));
		assert_non_null(model->queue);
	}
	model->queue[model->last].name = name;
	model->queue[model->last++].serial = model->entries[name].serial;
	model->entries[name].ready = true;
}

/* The serial number of the next that is to be popped, 0: none. */
static uint64_t model_pop(struct model *model)
{
	while (model->first < model->last) {
		size_t name = model->queue[model->first].name;
		uint64_t serial = model->queue[model->first++].serial;
		struct entry *entry = NULL;

		/* It may have changed its directory since. */
		for (size_t d = 0; d < DIRECTORIES; d++)
			if (model->entries[d * IDS + name % IDS].serial == serial &&
			    model->entries[d * IDS + name % IDS].ref)
				entry = &model->entries[d * IDS + name % IDS];
		if (!entry)
			continue;
		entry->ready = false;
		return serial;
	}
	return 0;
}

static void check_name(struct model *model, size_t name)
{
	const struct entry *entry = &model->entries[name];
	size_t length;
	const char *id = name_of(name % IDS, &length);
	const struct message *message;

	assert_int_equal(table_find(model->table, (uint16_t)(name / IDS), id, length), entry->ref);
	if (!entry->ref)
		return;
	message = table_get(model->table, entry->ref);
	assert_int_equal(message->directory, name / IDS);
	assert_int_equal(message->id_length, length);
	assert_memory_equal(table_id(message), id, length);
	assert_true(message->deadline == entry->deadline);
	assert_true(message->print == entry->serial);
	assert_int_equal(!!(message->flags & MESSAGE_READY), entry->ready);
}

static void check_all(struct model *model)
{
	int64_t earliest = INT64_MAX, deadline;
	size_t met = 0;
	msgref ref;

	assert_int_equal(table_count(model->table), model->count);
	for (size_t i = 0; i < NAMES; i++) {
		check_name(model, i);
		if (model->entries[i].ref && model->entries[i].deadline < earliest)
			earliest = model->entries[i].deadline;
	}
	for (ref = table_next(model->table, MSGREF_NONE); ref; ref = table_next(model->table, ref))
		met++;
	assert_int_equal(met, model->count);
	ref = table_earliest(model->table, &deadline);
	assert_true(deadline == earliest);
	assert_int_equal(ref == MSGREF_NONE, earliest == INT64_MAX);
}

static void arrive(struct model *model, size_t name)
{
	struct entry *entry = &model->entries[name];
	size_t length;
	const char *id = name_of(name % IDS, &length);

	entry->ref = table_insert(model->table, (uint16_t)(name / IDS), id, length);
	entry->deadline = INT64_MAX;
	entry->ready = false;
	entry->serial = ++model->serials;
	table_get(model->table, entry->ref)->print = entry->serial;
	model->count++;
}

static void go(struct model *model, size_t name)
{
	table_remove(model->table, model->entries[name].ref);
	model->entries[name] = (struct entry){0};
	model->count--;
}

static void change(struct model *model, size_t name)
{
	size_t to = testing_random(&model->seed) % DIRECTORIES * IDS + name % IDS;

	if (model->entries[to].ref)
		return;
	table_change_directory(model->table, model->entries[name].ref, (uint16_t)(to / IDS));
	model->entries[to] = model->entries[name];
	model->entries[name] = (struct entry){0};
}

static void pop(struct model *model)
{
	uint64_t expected = model_pop(model);
	msgref ref = table_pop_ready(model->table);

	assert_int_equal(ref != MSGREF_NONE, expected != 0);
	if (ref)
		assert_true(table_get(model->table, ref)->print == expected);
}

static void one_operation(struct model *model)
{
	size_t name = testing_random(&model->seed) % NAMES;
	struct entry *entry = &model->entries[name];

	check_name(model, name);
	switch (testing_random(&model->seed) % 10) {
	case 0:
	case 1:
	case 2:
		if (!entry->ref)
			arrive(model, name);
		break;
	case 3:
	case 4:
		if (entry->ref)
			go(model, name);
		break;
	case 5:
		if (entry->ref)
			change(model, name);
		break;
	case 6:
	case 7:
		if (!entry->ref)
			break;
		entry->deadline = random_deadline(&model->seed);
		table_set_deadline(model->table, entry->ref, entry->deadline);
		break;
	case 8:
		if (!entry->ref)
			break;
		table_push_ready(model->table, entry->ref);
		if (!entry->ready)
			model_push(model, name);
		break;
	case 9:
		pop(model);
		break;
	}
}

static void random_operations(void **state)
{
	static struct model model;
	size_t operations = testing_scale(600000);
	msgref ref;

	(void)state;
	model.table = table_new();
	model.seed = 31337;
	for (size_t i = 0; i < operations; i++) {
		one_operation(&model);
		if (i % 10000 == 0)
			check_all(&model);
	}
	check_all(&model);
	assert_true(model.count > 500);
	/* The end of it, in the way of a sweep. */
	for (ref = table_next(model.table, MSGREF_NONE); ref; ref = table_next(model.table, ref)) {
		table_remove(model.table, ref);
		model.count--;
	}
	assert_int_equal(model.count, 0);
	assert_int_equal(table_count(model.table), 0);
	assert_int_equal(table_pop_ready(model.table), MSGREF_NONE);
	table_free(model.table);
	free(model.queue);
}

/* ---- cost ---- */

static msgref fill_one(struct table *table, uint64_t i)
{
	char id[32];
	msgref ref;

	/* As sendmail's: 14 bytes. */
	snprintf(id, sizeof(id), "6AM%05llX%06llu", (unsigned long long)(i / 1000000 & 0xfffff),
		 (unsigned long long)(i % 1000000));
	ref = table_insert(table, (uint16_t)(i % 3), id, 14);
	table_set_deadline(table, ref, (int64_t)(i * 2654435761u % 1000003));
	return ref;
}

static void at_most_96_bytes(void **state)
{
	struct table *table = table_new();
	size_t count = testing_scale(1000000), taken = mallinfo2().uordblks + mallinfo2().hblkhd;
	char id[64];

	(void)state;
	for (size_t i = 1; i <= count; i++) {
		fill_one(table, i);
		/* Not only for the number in the promise: also just after a growth. */
		if (i >= 50000 && i % 512 == 0 && table_memory(table) / i > 96)
			fail_msg("%zu bytes a message at %zu", table_memory(table) / i, i);
	}
	assert_int_equal(table_count(table), count);
	assert_true(table_memory(table) / count <= 96);
	/* What it says is what it took, where malloc tells (not under sanitizers). */
	taken = mallinfo2().uordblks + mallinfo2().hblkhd - taken;
	if (taken > count) {
		assert_true(table_memory(table) > taken / 100 * 97);
		assert_true(taken / count <= 96);
	}
	/* Ids outside are counted too. */
	taken = table_memory(table);
	memset(id, 'x', sizeof(id));
	table_insert(table, 0, id, sizeof(id));
	assert_true(table_memory(table) >= taken + sizeof(id));
	table_free(table);
}

static void no_growth(void **state)
{
	const size_t standing = testing_scale(100000), arrivals = testing_scale(3000000);
	struct table *table = table_new();
	msgref *refs = malloc(standing * sizeof(*refs));
	uint64_t seed = 5;
	size_t memory;

	(void)state;
	assert_non_null(refs);
	for (size_t i = 0; i < standing; i++)
		refs[i] = fill_one(table, i);
	memory = table_memory(table);
	for (size_t i = 0; i < arrivals; i++) {
		size_t which = testing_random(&seed) % standing;

		/* Half of them leave while they are ready; the list is emptied as the engine does.
		 */
		if (i % 2)
			table_push_ready(table, refs[which]);
		table_remove(table, refs[which]);
		if (i % 2)
			assert_int_equal(table_pop_ready(table), MSGREF_NONE);
		refs[which] = fill_one(table, standing + i);
	}
	assert_int_equal(table_count(table), standing);
	assert_int_equal(table_memory(table), memory);
	for (size_t i = 0; i < standing; i++)
		table_remove(table, refs[i]);
	assert_int_equal(table_count(table), 0);
	assert_int_equal(table_next(table, MSGREF_NONE), MSGREF_NONE);
	free(refs);
	table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_message),	       cmocka_unit_test(numbers_come_back_clean),
		cmocka_unit_test(ids_of_every_length), cmocka_unit_test(ids_are_any_bytes),
		cmocka_unit_test(directories),	       cmocka_unit_test(ready_in_order),
		cmocka_unit_test(removed_while_ready), cmocka_unit_test(deadlines_in_order),
		cmocka_unit_test(random_operations),   cmocka_unit_test(at_most_96_bytes),
		cmocka_unit_test(no_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
