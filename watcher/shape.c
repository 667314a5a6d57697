/* shape.c - see shape.h */
#include "qfwatch/shape.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/filter.h"
#include "qfwatch/json_line.h"
#include "qfwatch/moment.h"
#include "qfwatch/xalloc.h"

const int64_t shape_bounds[SHAPE_COLUMNS - 1] = {300,  600,   1200,  2400, 4800,
						 9600, 19200, 38400, 76800};

/* Names lie one after the other in blocks, so that a million messages take a few allocations. */
#define BLOCK ((size_t)64 * 1024)

enum { OTHER }; /* row 0 */

struct row {
	const char *name;
	uint64_t total;
	uint64_t counts[SHAPE_COLUMNS];
	uint64_t message; /* the last one that counted here */
	uint32_t hash;
	uint16_t length;
};

struct shape {
	struct row *rows;
	unsigned n_rows, room;
	uint32_t *table; /* 1 + row; 0: free. A power of two, at most half full */
	size_t table_size;
	char **blocks;
	size_t n_blocks, block_used;
	struct shape_row *ordered; /* what shape_rows gave last */
	uint64_t message;
	unsigned column;
	uint64_t given_up;
};

/* ---- rows ---- */

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* FNV-1a over the bytes in lower case. */
static uint32_t hash_of(struct policy_slice name)
{
	uint64_t sum = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < name.length; i++)
		sum = (sum ^ lower(name.bytes[i])) * UINT64_C(1099511628211);
	return (uint32_t)(sum ^ sum >> 32);
}

static const char *keep(struct shape *shape, struct policy_slice name)
{
	char *copy;

	if (!shape->n_blocks || BLOCK - shape->block_used < name.length + 1) {
		shape->blocks =
			xreallocarray(shape->blocks, shape->n_blocks + 1, sizeof *shape->blocks);
		shape->blocks[shape->n_blocks++] = xcalloc(1, BLOCK);
		shape->block_used = 0;
	}
	copy = shape->blocks[shape->n_blocks - 1] + shape->block_used;
	for (size_t i = 0; i < name.length; i++)
		copy[i] = (char)lower(name.bytes[i]);
	shape->block_used += name.length + 1;
	return copy;
}

static bool is_named(const struct row *row, struct policy_slice name)
{
	if (row->length != name.length)
		return false;
	for (size_t i = 0; i < name.length; i++)
		if ((unsigned char)row->name[i] != lower(name.bytes[i]))
			return false;
	return true;
}

static void enter(struct shape *shape, unsigned row)
{
	size_t i = shape->rows[row].hash;

	while (shape->table[i & (shape->table_size - 1)])
		i++;
	shape->table[i & (shape->table_size - 1)] = row + 1;
}

static void grow(struct shape *shape)
{
	if (shape->n_rows == shape->room) {
		shape->room *= 2;
		shape->rows = xreallocarray(shape->rows, shape->room, sizeof *shape->rows);
	}
	if (2 * (size_t)shape->n_rows < shape->table_size)
		return;
	free(shape->table);
	shape->table_size *= 4;
	shape->table = xcalloc(shape->table_size, sizeof *shape->table);
	for (unsigned i = 0; i < shape->n_rows; i++)
		enter(shape, i);
}

static unsigned new_row(struct shape *shape, struct policy_slice name, uint32_t hash)
{
	unsigned row = shape->n_rows;

	grow(shape);
	shape->rows[row] = (struct row){
		.name = keep(shape, name), .hash = hash, .length = (uint16_t)name.length};
	shape->n_rows++;
	enter(shape, row);
	return row;
}

static struct policy_slice text(const char *string)
{
	return (struct policy_slice){string, strlen(string)};
}

struct shape *shape_new(void)
{
	struct shape *shape = xcalloc(1, sizeof *shape);

	shape->room = 64;
	shape->rows = xcalloc(shape->room, sizeof *shape->rows);
	shape->table_size = 256;
	shape->table = xcalloc(shape->table_size, sizeof *shape->table);
	new_row(shape, text(SHAPE_OTHER), hash_of(text(SHAPE_OTHER)));
	return shape;
}

void shape_free(struct shape *shape)
{
	if (!shape)
		return;
	for (size_t i = 0; i < shape->n_blocks; i++)
		free(shape->blocks[i]);
	free(shape->blocks);
	free(shape->ordered);
	free(shape->table);
	free(shape->rows);
	free(shape);
}

unsigned shape_row_of(struct shape *shape, struct policy_slice domain)
{
	uint32_t hash;
	size_t i;

	if (!domain.length)
		domain = text(FILTER_LOCAL);
	if (domain.length > SHAPE_NAME_MAX)
		domain.length = SHAPE_NAME_MAX;
	hash = hash_of(domain);
	for (i = hash;; i++) {
		uint32_t place = shape->table[i & (shape->table_size - 1)];

		if (!place)
			break;
		if (shape->rows[place - 1].hash == hash &&
		    is_named(&shape->rows[place - 1], domain))
			return place - 1;
	}
	return shape->n_rows > SHAPE_NAMES ? OTHER : new_row(shape, domain, hash);
}

/* ---- counting ---- */

void shape_message(struct shape *shape, int64_t age)
{
	unsigned column = 0;

	while (column < SHAPE_COLUMNS - 1 && age > shape_bounds[column])
		column++;
	shape->column = column;
	shape->message++;
}

void shape_add_row(struct shape *shape, unsigned number)
{
	struct row *row = &shape->rows[number];

	if (row->message == shape->message)
		return;
	row->message = shape->message;
	row->counts[shape->column]++;
	row->total++;
}

void shape_add(struct shape *shape, struct policy_slice domain)
{
	shape_add_row(shape, shape_row_of(shape, domain));
}

void shape_take(struct shape *shape, enum shape_by by, const struct policy_text *qf, int64_t age)
{
	shape_message(shape, age);
	if (by == SHAPE_SENDER) {
		if (qf->has_sender)
			shape_add(shape, qf->sender_domain);
		return;
	}
	for (size_t i = 0; i < qf->n_recipients; i++)
		shape_add(shape, qf->domains[i]);
}

void shape_leave_out(struct shape *shape, uint64_t messages)
{
	shape->given_up += messages;
}

void shape_merge(struct shape *shape, const struct shape *other)
{
	for (unsigned i = 0; i < other->n_rows; i++) {
		const struct row *from = &other->rows[i];
		struct policy_slice name = {from->name, from->length};
		unsigned number = shape_row_of(shape, name); /* may move the rows */
		struct row *to = &shape->rows[number];

		to->total += from->total;
		for (unsigned k = 0; k < SHAPE_COLUMNS; k++)
			to->counts[k] += from->counts[k];
	}
	shape->given_up += other->given_up;
}

/* ---- telling ---- */

static int by_total(const void *a, const void *b)
{
	const struct shape_row *one = a, *other = b;

	if (one->total != other->total)
		return one->total > other->total ? -1 : 1;
	return strcmp(one->name, other->name);
}

size_t shape_rows(struct shape *shape, size_t limit, const struct shape_row **ret, size_t *ret_cut)
{
	struct shape_row total = {.name = "TOTAL"};
	size_t n = 1;

	free(shape->ordered);
	shape->ordered = xcalloc((size_t)shape->n_rows + 1, sizeof *shape->ordered);
	for (unsigned i = 0; i < shape->n_rows; i++) {
		const struct row *row = &shape->rows[i];
		struct shape_row *one = &shape->ordered[n];

		if (!row->total)
			continue;
		n++;
		one->name = row->name;
		one->total = row->total;
		memcpy(one->counts, row->counts, sizeof one->counts);
		total.total += row->total;
		for (unsigned k = 0; k < SHAPE_COLUMNS; k++)
			total.counts[k] += row->counts[k];
	}
	shape->ordered[0] = total;
	qsort(shape->ordered + 1, n - 1, sizeof *shape->ordered, by_total);
	*ret_cut = limit && n - 1 > limit ? n - 1 - limit : 0;
	*ret = shape->ordered;
	return n - *ret_cut;
}

static void put_list(struct json_line *line, const char *key, const uint64_t *numbers, size_t count)
{
	json_line_raw(line, key);
	for (size_t i = 0; i < count; i++) {
		json_line_raw(line, i ? "," : "[");
		json_line_uint(line, numbers[i]);
	}
	json_line_raw(line, "]");
}

/* A byte of a name takes at most six, a number twenty. */
enum { ROW_ROOM = 6 * SHAPE_NAME_MAX + 21 * (SHAPE_COLUMNS + 1) + 64 };

static void put_row(struct json_line *line, const struct shape_row *row)
{
	json_line_raw(line, "{\"name\":");
	json_line_string(line, row->name, strlen(row->name), SIZE_MAX);
	json_line_raw(line, ",\"total\":");
	json_line_uint(line, row->total);
	put_list(line, ",\"counts\":", row->counts, SHAPE_COLUMNS);
	json_line_raw(line, "}");
}

static void make_room(struct json_line *line, size_t bytes)
{
	if (json_line_room(line, bytes))
		return;
	line->size = 2 * line->size + bytes;
	line->buffer = xreallocarray(line->buffer, line->size, 1);
}

char *shape_json(struct shape *shape, enum shape_by by, const char *tier, int64_t now, size_t limit,
		 size_t *ret_length)
{
	struct json_line line = {0};
	const struct shape_row *rows;
	uint64_t bounds[SHAPE_COLUMNS - 1];
	char when[MOMENT_TEXT];
	size_t cut, n = shape_rows(shape, limit, &rows, &cut);

	for (unsigned i = 0; i < SHAPE_COLUMNS - 1; i++)
		bounds[i] = (uint64_t)shape_bounds[i];
	make_room(&line, 512 + 6 * (tier ? strlen(tier) : 0));
	json_line_raw(&line, "{\"now\":\"");
	json_line_raw(&line, moment_utc(now, when, sizeof when));
	json_line_raw(&line, by == SHAPE_SENDER ? "\",\"by\":\"sender\",\"tier\":"
						: "\",\"by\":\"recipient\",\"tier\":");
	if (tier)
		json_line_string(&line, tier, strlen(tier), SIZE_MAX);
	else
		json_line_raw(&line, "null");
	put_list(&line, ",\"bounds\":", bounds, SHAPE_COLUMNS - 1);
	json_line_raw(&line, ",\"rows\":");
	for (size_t i = 0; i < n; i++) {
		make_room(&line, ROW_ROOM);
		json_line_raw(&line, i ? "," : "[");
		put_row(&line, &rows[i]);
	}
	make_room(&line, 96);
	json_line_raw(&line, "],\"cut\":");
	json_line_uint(&line, cut);
	json_line_raw(&line, ",\"given_up\":");
	json_line_uint(&line, shape->given_up);
	json_line_raw(&line, "}");
	*ret_length = line.length;
	make_room(&line, 1);
	line.buffer[line.length] = 0;
	return line.buffer;
}
