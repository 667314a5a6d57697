/* http_shape.c - /api/v1/shape: domains by age, counted from what memory knows. */
#include "http_parts.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/shape.h"
#include "qfwatch/xalloc.h"

/* With more rows than this, putting them in order is left to a worker. */
#define ROWS_AT_ONCE 1000

/* The row of a domain's number, as long as that stands for the same name. */
struct known_row {
	uint32_t serial, row;
};

struct shaping {
	struct http_task task; /* the first member */
	struct http_walk walk;
	struct shape *shape;
	struct known_row *rows; /* by number */
	uint32_t n_rows;
	enum shape_by by;
	uint64_t limit;
	char *tier;
	unsigned policy;
	bool counted;
	char *json; /* the answer, once it is there */
	size_t length;
};

/* In a worker, or at once: touches nothing but its own. */
static void order(struct http_task *task)
{
	struct shaping *shaping = (struct shaping *)task;

	shaping->json = shape_json(shaping->shape, shaping->by, shaping->tier, shaping->walk.now,
				   shaping->limit, &shaping->length);
}

static void free_shaping(struct http_task *task)
{
	struct shaping *shaping = (struct shaping *)task;

	http_walk_end(&shaping->walk);
	shape_free(shaping->shape);
	free(shaping->rows);
	free(shaping->tier);
	free(shaping->json);
	free(shaping);
}

static uint32_t row_of(struct shaping *shaping, const struct labels *labels, uint32_t number)
{
	uint32_t serial = labels_serial(labels, number);
	struct known_row *known;

	if (number >= shaping->n_rows) {
		uint32_t room = labels_numbers(labels) + 256;

		shaping->rows = xreallocarray(shaping->rows, room, sizeof *shaping->rows);
		memset(shaping->rows + shaping->n_rows, 0xff,
		       (room - shaping->n_rows) * sizeof *shaping->rows);
		shaping->n_rows = room;
	}
	known = &shaping->rows[number];
	if (known->row == UINT32_MAX || known->serial != serial) {
		known->serial = serial;
		known->row = shape_row_of(shaping->shape, labels_name(labels, number));
	}
	return known->row;
}

static void count(struct shaping *shaping, const struct engine *engine,
		  const struct engine_view_message *message)
{
	const struct labels *labels = engine_view_labels(engine);
	int64_t age = shaping->walk.now - message->created;
	const struct policy_text *text;
	const uint32_t *numbers;
	size_t n;

	if (!message->has_numbers)
		return;
	if (!labels || !labels_are_known(labels, shaping->walk.at)) {
		text = http_walk_text(&shaping->walk, engine);
		shaping->walk.read = true;
		if (text)
			shape_take(shaping->shape, shaping->by, text, age);
		return;
	}
	shape_message(shaping->shape, age);
	if (shaping->by == SHAPE_SENDER) {
		uint32_t sender = labels_sender(labels, shaping->walk.at);

		if (sender != LABELS_NONE)
			shape_add_row(shaping->shape, row_of(shaping, labels, sender));
		return;
	}
	n = labels_recipients(labels, shaping->walk.at, &numbers);
	for (size_t i = 0; i < n; i++)
		shape_add_row(shaping->shape, row_of(shaping, labels, numbers[i]));
}

static enum http_progress answer(struct http_request *request, struct shaping *shaping)
{
	json_text_bytes(&request->body, shaping->json, shaping->length);
	json_text_bytes(&request->body, "\n", 1);
	http_answer(request, MHD_HTTP_OK, HTTP_JSON);
	return HTTP_DONE;
}

static enum http_progress shape_step(struct http_request *request, int64_t until)
{
	struct shaping *shaping = request->job;
	const struct engine *engine = request->http->engine;
	struct engine_view_message message;
	enum http_found found;

	if (shaping->json)
		return answer(request, shaping);
	if (shaping->policy != request->http->n_policies) {
		http_break(request);
		return HTTP_DONE;
	}
	while ((found = http_walk_next(&shaping->walk, engine, until, &message)) == HTTP_FOUND)
		count(shaping, engine, &message);
	if (found == HTTP_LATER)
		return HTTP_MORE;
	shape_leave_out(shaping->shape, filter_given_up(shaping->walk.filter));
	if (shaping->n_rows > ROWS_AT_ONCE && http_submit(request, &shaping->task))
		return HTTP_WAIT;
	order(&shaping->task);
	return answer(request, shaping);
}

static bool read_by(struct http_request *request, enum shape_by *by)
{
	const char *value = http_query(request, "by");

	*by = value && strcmp(value, "sender") == 0 ? SHAPE_SENDER : SHAPE_RECIPIENT;
	if (!value || *by == SHAPE_SENDER || strcmp(value, "recipient") == 0)
		return true;
	http_error(request, MHD_HTTP_BAD_REQUEST, "write recipient or sender",
		   "by: wrong value \"%.100s\"", value);
	return false;
}

void http_shape(struct http_request *request, const char *rest)
{
	static const char *const own[] = {"by", "limit", NULL};
	struct shaping *shaping = xcalloc(1, sizeof *shaping);
	const char *tier;

	(void)rest;
	shaping->task.run = order;
	shaping->task.free = free_shaping;
	shaping->shape = shape_new();
	shaping->policy = request->http->n_policies;
	http_work(request, shape_step, http_end_task, shaping);
	if (!http_walk_begin(&shaping->walk, request, own) ||
	    !http_query_number(request, "limit", UINT32_MAX, &shaping->limit) ||
	    !read_by(request, &shaping->by))
		return;
	tier = filter_only_tier(shaping->walk.filter, engine_view_policy(request->http->engine));
	shaping->tier = tier ? xstrdup(tier) : NULL;
}
