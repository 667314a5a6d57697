/* http_messages.c - /api/v1/messages: the messages that a filter wants, one JSON object each, as
 * they are found; and /api/v1/messages/ID, one of them explained. */
#include "http_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/listing.h"
#include "qfwatch/xalloc.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MOST    1000

/* A stream's piece; more than this is not made ahead. */
#define PIECE ((size_t)32 * 1024)

struct list {
	struct http_walk walk;
	bool lines;
	uint64_t limit, count; /* limit 0: none */
	unsigned policy;       /* http->n_policies when it began */
};

static void list_end(struct http_request *request)
{
	struct list *list = request->job;

	http_walk_end(&list->walk);
	free(list);
}

static void put_message(struct http_request *request, struct list *list,
			const struct engine_view_message *message)
{
	struct engine *engine = request->http->engine;
	const struct policy *policy = engine_view_policy(engine);
	const struct policy_text *text =
		message->has_numbers ? http_walk_text(&list->walk, engine) : NULL;
	struct listing listing = {
		.tier = policy->tiers[message->tier].name,
		.directory = message->directory,
		.id = message->id,
		.id_length = message->id_length,
		.has_numbers = message->has_numbers,
		.facts = engine_view_facts(engine, list->walk.at, text),
		.state = engine_view_state_name(message->state),
	};
	struct json_line line = {0};

	if (message->has_numbers)
		listing_next_move(policy, &listing.facts, list->walk.now, &listing.next);
	line.size = listing_room(&listing);
	line.buffer = json_text_room(&request->body, line.size);
	listing_put(&listing, &line);
	request->body.length += line.length;
}

static void put_end(struct http_request *request, const struct list *list, bool more)
{
	uint64_t given_up = filter_given_up(list->walk.filter);

	/* A line of its own, since lines have nothing around them. */
	if (list->lines && given_up)
		json_text_add(&request->body, "{\"given_up\":%llu}\n",
			      (unsigned long long)given_up);
	if (list->lines)
		return;
	json_text_add(&request->body, "],\"next\":");
	if (more)
		json_text_add(&request->body, "\"%lu\"", (unsigned long)list->walk.at);
	else
		json_text_add(&request->body, "null");
	json_text_add(&request->body, ",\"complete\":%s,\"given_up\":%llu}\n",
		      engine_view_is_complete(request->http->engine) ? "true" : "false",
		      (unsigned long long)given_up);
}

static enum http_progress list_step(struct http_request *request, int64_t until)
{
	struct list *list = request->job;
	struct engine_view_message message;

	/* Its tiers are those of the old policy. */
	if (list->policy != request->http->n_policies) {
		http_break(request);
		return HTTP_DONE;
	}
	while (request->body.length < PIECE) {
		enum http_found found =
			http_walk_next(&list->walk, request->http->engine, until, &message);

		if (found == HTTP_LATER)
			return HTTP_MORE;
		if (found == HTTP_END) {
			put_end(request, list, false);
			return HTTP_DONE;
		}
		if (!list->lines && list->count)
			json_text_bytes(&request->body, ",", 1);
		put_message(request, list, &message);
		if (list->lines)
			json_text_bytes(&request->body, "\n", 1);
		if (++list->count == list->limit) {
			put_end(request, list, true);
			return HTTP_DONE;
		}
		list->walk.read = true;
		if (http_step_is_over(until))
			return HTTP_MORE;
	}
	return HTTP_MORE;
}

static bool read_format(struct http_request *request, bool *lines)
{
	const char *format = http_query(request, "format");

	*lines = format && strcmp(format, "jsonl") == 0;
	if (!format || *lines || strcmp(format, "json") == 0)
		return true;
	http_error(request, MHD_HTTP_BAD_REQUEST, "write json or jsonl",
		   "format: wrong value \"%.100s\"", format);
	return false;
}

static bool read_page(struct http_request *request, struct list *list)
{
	uint64_t cursor = 0;

	list->limit = list->lines ? 0 : LIMIT_DEFAULT;
	/* The message after the last number there can be would be the first. */
	if (!http_query_number(request, "limit", list->lines ? UINT32_MAX : LIMIT_MOST,
			       &list->limit) ||
	    !http_query_number(request, "cursor", UINT32_MAX - 1, &cursor))
		return false;
	if (cursor && list->lines) {
		http_error(request, MHD_HTTP_BAD_REQUEST,
			   "leave out the cursor: all lines come in one answer",
			   "format=jsonl has no pages");
		return false;
	}
	list->walk.at = (msgref)cursor;
	return true;
}

void http_messages(struct http_request *request, const char *rest)
{
	static const char *const own[] = {"limit", "cursor", "format", NULL};
	struct list *list = xcalloc(1, sizeof *list);

	(void)rest;
	list->policy = request->http->n_policies;
	http_work(request, list_step, list_end, list);
	if (!http_walk_begin(&list->walk, request, own) || !read_format(request, &list->lines) ||
	    !read_page(request, list))
		return;
	if (!list->lines)
		json_text_add(&request->body, "{\"messages\":[");
	http_stream(request, list->lines ? HTTP_LINES : HTTP_JSON);
}

/* ---- one message ---- */

/* Queue ids are letters and digits; sendmail makes no others. */
static bool is_id(const char *id)
{
	size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				   "._-");

	return length > 0 && length <= TABLE_MAX_ID && !id[length] && *id != '-' && *id != '.';
}

/* What `qfwatch explain --json` says: one line for each place where it stands. */
static void answer_explanation(struct http_request *request, const struct http_output *output)
{
	struct json_text *body = &request->body;
	const char *at = output->bytes, *end = at + output->length;
	bool any = false;

	if (output->failed)
		return;
	json_text_add(body, "{\"messages\":[");
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = newline ? (size_t)(newline - at) : (size_t)(end - at);

		/* A word that could not be explained is told by {"word":...,"error":...}. */
		if (length > 8 && *at == '{' && memcmp(at, "{\"word\":", 8) != 0) {
			json_text_add(body, any ? "," : "");
			json_text_bytes(body, at, length);
			any = true;
		}
		at += length + 1;
	}
	json_text_add(body, "],\"rejected\":");
	http_put_rejected(body, request->http);
	json_text_add(body, "}\n");
	if (any)
		http_answer(request, MHD_HTTP_OK, HTTP_JSON);
	else
		http_error(request, MHD_HTTP_NOT_FOUND,
			   "it may have been delivered; /api/v1/messages lists what there is",
			   "no tier has a message of that id");
}

void http_message(struct http_request *request, const char *rest)
{
	const char *const arguments[] = {"qfwatch", "explain", "--json",
					 "--stdin", "-c",      request->http->policy_path,
					 "--",	    rest,      NULL};
	const struct policy *policy = engine_view_policy(request->http->engine);

	if (!http_query_is_known(request, (const char *const[]){NULL}))
		return;
	if (!is_id(rest)) {
		http_error(request, MHD_HTTP_NOT_FOUND, "give one as mailq lists it",
			   "this is not a queue id");
		return;
	}
	/* By the policy in force, whatever the file says by now. */
	http_run(request, arguments, (struct http_input){policy->source, policy->source_length},
		 answer_explanation);
}
