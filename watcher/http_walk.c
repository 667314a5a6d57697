/* http_walk.c - goes through all messages for a request, in steps: those that its filter wants, and
 * their text where that is asked for. */
#include "http_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

/* How many messages are passed between two looks at the clock. */
#define PASS 128

/* ---- the filter ---- */

static bool is_in(const char *const *list, const char *key)
{
	for (size_t i = 0; list && list[i]; i++)
		if (strcmp(list[i], key) == 0)
			return true;
	return false;
}

struct filter_reading {
	struct http_request *request;
	struct filter *filter;
	const char *const *own;
	uint32_t seen; /* of the own keys */
	bool wrong;
};

static void refuse(struct filter_reading *reading, const char *remedy, const char *reason)
{
	http_error(reading->request, MHD_HTTP_BAD_REQUEST, remedy, "%s", reason);
	reading->wrong = true;
}

static bool is_twice(struct filter_reading *reading, const char *key)
{
	size_t i = 0;

	while (strcmp(reading->own[i], key) != 0)
		i++;
	if (reading->seen >> i & 1)
		return true;
	reading->seen |= UINT32_C(1) << i;
	return false;
}

static bool read_parameter(void *context, const char *key, const char *value)
{
	struct filter_reading *reading = context;
	struct filter_error error = {0};
	int r;

	if (is_in(reading->own, key)) {
		if (is_twice(reading, key))
			refuse(reading, "give it once", "a parameter stands there twice");
		return !reading->wrong;
	}
	r = filter_add(reading->filter, engine_view_policy(reading->request->http->engine), key,
		       value, &error);
	if (r == -ENOENT)
		filter_unknown_key(key, reading->own, &error);
	if (r == -ENOMEM)
		strcpy(error.reason, "out of memory");
	if (r < 0)
		refuse(reading, error.remedy, error.reason);
	return !reading->wrong;
}

/* Reads the query: a filter, and besides the request's own keys (which end with NULL). NULL: the
 * error is the answer. */
static struct filter *read_filter(struct http_request *request, const char *const *own)
{
	struct filter_reading reading = {.request = request, .filter = filter_new(), .own = own};

	if (!reading.filter)
		http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "try again", "out of memory");
	else if (!http_query_each(request, read_parameter, &reading) || reading.wrong) {
		filter_free(reading.filter);
		reading.filter = NULL;
	}
	return reading.filter;
}

/* ---- walking ---- */

bool http_walk_begin(struct http_walk *walk, struct http_request *request, const char *const *own)
{
	*walk = (struct http_walk){.filter = read_filter(request, own)};
	if (!walk->filter)
		return false;
	walk->empty = filter_is_empty(walk->filter);
	walk->domains = filter_may_need_text(walk->filter);
	walk->now = clock_now() / CLOCK_SECOND;
	return true;
}

void http_walk_end(struct http_walk *walk)
{
	filter_free(walk->filter);
	engine_view_reader_free(walk->reader);
}

/* Its domains, where they are known by name. */
static void add_domains(const struct labels *labels, msgref ref, struct policy_slice *names,
			struct filter_facts *facts)
{
	const uint32_t *numbers;
	size_t count = labels_recipients(labels, ref, &numbers);
	uint32_t sender = labels_sender(labels, ref);

	facts->has_domains = labels_are_known(labels, ref);
	for (size_t i = 0; i < count && facts->has_domains; i++) {
		names[i] = labels_name(labels, numbers[i]);
		facts->has_domains = numbers[i] != LABELS_OTHER;
	}
	facts->domains = names;
	facts->n_domains = count;
	facts->has_sender_domain =
		labels_are_known(labels, ref) && sender != LABELS_OTHER && sender != LABELS_NONE;
	if (facts->has_sender_domain)
		facts->sender_domain = labels_name(labels, sender);
}

static enum policy_truth match(struct http_walk *walk, const struct labels *labels, msgref ref,
			       const struct engine_view_message *message,
			       const struct policy_text *text)
{
	struct policy_slice names[LABELS_MANY];
	struct filter_facts facts = {
		.tier = message->tier,
		.has_state = true,
		.state = message->state,
		.has_numbers = message->has_numbers,
		.attempts = message->attempts,
		.created = message->created,
		.text = text,
	};

	if (walk->domains && labels && !text)
		add_domains(labels, ref, names, &facts);
	return filter_match(walk->filter, &facts, walk->now);
}

const struct policy_text *http_walk_text(struct http_walk *walk, const struct engine *engine)
{
	if (walk->has_text)
		return &walk->text;
	if (!walk->reader)
		walk->reader = engine_view_reader_new();
	walk->has_text = engine_view_read(engine, walk->reader, walk->at, &walk->text) == 0;
	return walk->has_text ? &walk->text : NULL;
}

enum http_found http_walk_next(struct http_walk *walk, const struct engine *engine, int64_t until,
			       struct engine_view_message *ret)
{
	const struct labels *labels = engine_view_labels(engine);

	/* Also when each is found: the count goes on from call to call. */
	for (;; walk->passed++) {
		enum policy_truth truth = POLICY_YES;

		if (walk->passed >= PASS || walk->read) {
			walk->read = false;
			walk->passed = 0;
			if (http_step_is_over(until))
				return HTTP_LATER;
		}
		walk->has_text = false;
		walk->at = engine_view_next(engine, walk->at);
		if (!walk->at)
			return HTTP_END;
		engine_view_message(engine, walk->at, ret);
		if (!walk->empty)
			truth = match(walk, labels, walk->at, ret, NULL);
		if (truth == POLICY_UNKNOWN) {
			const struct policy_text *text = http_walk_text(walk, engine);

			walk->read = true;
			truth = text ? match(walk, labels, walk->at, ret, text) : POLICY_NO;
		}
		if (truth == POLICY_YES) {
			walk->passed++;
			return HTTP_FOUND;
		}
	}
}

/* ---- numbers ---- */

bool http_query_number(struct http_request *request, const char *key, uint64_t most,
		       uint64_t *number)
{
	const char *value = http_query(request, key);
	uint64_t read = 0;
	char remedy[64];

	if (!value)
		return true;
	for (const char *c = value; *c && read <= most; c++) {
		if (*c < '0' || *c > '9')
			read = most;
		read = read * 10 + (uint64_t)(*c - '0');
	}
	if (*value && read >= 1 && read <= most) {
		*number = read;
		return true;
	}
	snprintf(remedy, sizeof remedy, "give a whole number, 1 to %llu", (unsigned long long)most);
	http_error(request, MHD_HTTP_BAD_REQUEST, remedy, "%s: wrong value \"%.100s\"", key, value);
	return false;
}
