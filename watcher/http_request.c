/* http_request.c - one request: who may ask, which route, its answer and how that gets out. */
#include "http_parts.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "qfwatch/notify.h"
#include "qfwatch/xalloc.h"

/* How much of a stream is made before it goes out. */
#define STREAM_PIECE (32 * 1024)

/* ---- answers ---- */

void http_answer(struct http_request *request, unsigned status, const char *type)
{
	request->status = status;
	request->type = type;
	request->done = true;
}

void http_error(struct http_request *request, unsigned status, const char *remedy,
		const char *format, ...)
{
	char reason[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof reason, format, arguments);
	va_end(arguments);
	/* What has begun cannot be taken back. */
	if (request->begun) {
		request->done = true;
		return;
	}
	request->body.length = 0;
	json_text_add(&request->body, "{\"error\":{\"status\":%u,\"reason\":", status);
	json_text_string(&request->body, reason);
	json_text_add(&request->body, ",\"remedy\":");
	json_text_string(&request->body, remedy);
	json_text_add(&request->body, "}}\n");
	request->stream = false;
	http_answer(request, status, HTTP_JSON);
}

static void add_header(const struct http_request *request, struct MHD_Response *response,
		       const char *name, const char *value)
{
	request->http->mhd.add_response_header(response, name, value);
}

static void add_headers(const struct http_request *request, struct MHD_Response *response)
{
	add_header(request, response, "Content-Type", request->type);
	add_header(request, response, "Cache-Control", "no-store");
	add_header(request, response, "X-Content-Type-Options", "nosniff");
	add_header(request, response, "Referrer-Policy", "no-referrer");
	add_header(request, response, "Cross-Origin-Resource-Policy", "same-origin");
	add_header(request, response, "Content-Security-Policy",
		   "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
		   "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
		   "'none'");
	if (request->status == MHD_HTTP_UNAUTHORIZED)
		add_header(request, response, "WWW-Authenticate", "Bearer realm=\"qfwatch\"");
	if (request->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		add_header(request, response, "Allow", "GET, HEAD");
	if (request->status == MHD_HTTP_SERVICE_UNAVAILABLE)
		add_header(request, response, "Retry-After", "1");
}

static ssize_t read_stream(void *context, uint64_t position, char *to, size_t most);

/* Hands the answer to libmicrohttpd. */
static enum MHD_Result queue(struct http_request *request)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (request->stream) {
		response = request->http->mhd.create_response_from_callback(
			MHD_SIZE_UNKNOWN, STREAM_PIECE, read_stream, request, NULL);
	} else {
		response = request->http->mhd.create_response_from_buffer(
			request->body.length, request->body.bytes, MHD_RESPMEM_MUST_FREE);
		if (response)
			request->body = (struct json_text){0};
	}
	if (!response)
		return MHD_NO;
	add_headers(request, response);
	result = request->http->mhd.queue_response(request->connection, request->status, response);
	request->http->mhd.destroy_response(response);
	request->begun = true;
	if (!request->stream)
		request->phase = HTTP_ANSWERED;
	return result;
}

/* ---- work ---- */

static void unlist(struct http_request *request)
{
	if (request->phase == HTTP_WORKING)
		TAILQ_REMOVE(&request->http->working, request, beside);
}

/* At the end of the line. */
static void enlist(struct http_request *request)
{
	TAILQ_INSERT_TAIL(&request->http->working, request, beside);
	request->phase = HTTP_WORKING;
}

static void suspend(struct http_request *request)
{
	if (!request->suspended)
		request->http->mhd.suspend_connection(request->connection);
	request->suspended = true;
}

static void resume(struct http_request *request)
{
	if (!request->suspended)
		return;
	request->suspended = false;
	request->http->resumed = true;
	request->http->mhd.resume_connection(request->connection);
}

void http_work(struct http_request *request,
	       enum http_progress (*step)(struct http_request *request, int64_t until),
	       void (*end)(struct http_request *request), void *job)
{
	request->step = step;
	request->end = end;
	request->job = job;
}

void http_stream(struct http_request *request, const char *type)
{
	request->stream = true;
	request->status = MHD_HTTP_OK;
	request->type = type;
}

void http_break(struct http_request *request)
{
	request->broken = request->begun;
	http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ask again",
		   "the policy was replaced meanwhile");
}

void http_go_on(struct http_request *request)
{
	if (request->phase == HTTP_WAITING)
		enlist(request);
}

/* What is to be told of it now: what it waits for, or that it goes on. */
static void settle(struct http_request *request, enum http_progress progress)
{
	size_t left = request->body.length - request->sent;

	if (progress == HTTP_DONE)
		request->done = true;
	if (request->done || (request->stream && left >= STREAM_PIECE) ||
	    (request->stream && left && progress == HTTP_WAIT)) {
		unlist(request);
		request->phase = HTTP_FULL;
		resume(request);
	} else if (progress == HTTP_WAIT) {
		unlist(request);
		request->phase = HTTP_WAITING;
	}
}

void http_finish(struct http_request *request)
{
	if (request->phase != HTTP_WAITING && request->phase != HTTP_WORKING)
		return;
	request->body.length = request->sent;
	settle(request, HTTP_DONE);
}

bool http_step_is_over(int64_t until)
{
	int64_t now = clock_monotonic();

	return now >= until || (until - now <= HTTP_TURN - HTTP_LEAST && notify_is_waiting());
}

bool http_step_requests(struct http *http, int64_t until)
{
	struct http_request *request;

	while ((request = TAILQ_FIRST(&http->working)) && !http_step_is_over(until)) {
		unlist(request);
		enlist(request);
		settle(request, request->step(request, until));
	}
	return request;
}

/* libmicrohttpd wants more of a stream. */
static ssize_t read_stream(void *context, uint64_t position, char *to, size_t most)
{
	struct http_request *request = context;
	size_t left = request->body.length - request->sent;

	(void)position;
	if (left) {
		size_t n = left < most ? left : most;

		memcpy(to, request->body.bytes + request->sent, n);
		request->sent += n;
		return (ssize_t)n;
	}
	if (request->done)
		return request->broken ? MHD_CONTENT_READER_END_WITH_ERROR
				       : MHD_CONTENT_READER_END_OF_STREAM;
	request->body.length = request->sent = 0;
	suspend(request);
	enlist(request);
	return 0;
}

/* ---- who may ask ---- */

const char *http_header(const struct http_request *request, const char *name)
{
	return request->http->mhd.lookup_connection_value(request->connection, MHD_HEADER_KIND,
							  name);
}

bool http_is_head(const struct http_request *request)
{
	return request->head;
}

/* Takes as long for a wrong token as for the right one. */
static bool is_same(const char *a, const char *b)
{
	size_t length = strlen(b);
	unsigned char differ = strlen(a) != length;

	for (size_t i = 0; i < length; i++)
		differ |= (unsigned char)(a[differ ? 0 : i] ^ b[i]);
	return !differ;
}

static bool has_token(const struct http_request *request)
{
	const char *given = http_header(request, "Authorization");

	if (!*request->http->token)
		return true;
	return given && strncasecmp(given, "Bearer ", 7) == 0 &&
	       is_same(given + 7, request->http->token);
}

/* An IPv6 address may be written in several ways; clients write it in one. */
static bool is_same_address(const char *a, const char *b)
{
	struct in6_addr one, other;

	if (inet_pton(AF_INET6, a, &one) == 1 && inet_pton(AF_INET6, b, &other) == 1)
		return memcmp(&one, &other, sizeof one) == 0;
	return strcmp(a, b) == 0;
}

/* A page from elsewhere may have its name lead to this machine (DNS rebinding), and its script
 * would read what we answer: but the browser tells that name. So a name is not enough; what may
 * stand here is the address that we listen on, or localhost. Where others than this machine are
 * listened to, any: the machine has names and more addresses, and what protects it is the token,
 * which is asked for then, and which no such page has. The port is the client's (it may come
 * through a tunnel). */
static bool is_our_host(const struct http_request *request)
{
	const struct policy_listen *config = &request->http->config;
	const char *given = http_header(request, "Host");
	char host[80];
	size_t length;

	if (config->path || !config->loopback)
		return true;
	if (!given || strlen(given) >= sizeof host)
		return false;
	strcpy(host, given);
	if (*host == '[') {
		length = strcspn(host, "]");
		if (!host[length])
			return false;
		host[length] = 0;
		memmove(host, host + 1, length);
	} else {
		host[strcspn(host, ":")] = 0;
	}
	return strcasecmp(host, "localhost") == 0 || is_same_address(host, config->host);
}

static bool has_body(const struct http_request *request)
{
	const char *length = http_header(request, "Content-Length");

	return http_header(request, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

/* ---- the query ---- */

const char *http_query(struct http_request *request, const char *key)
{
	return request->http->mhd.lookup_connection_value(request->connection,
							  MHD_GET_ARGUMENT_KIND, key);
}

struct each {
	struct http_request *request;
	bool (*call)(void *context, const char *key, const char *value);
	void *context;
	bool wrong;
};

static enum MHD_Result each_parameter(void *context, enum MHD_ValueKind kind, const char *key,
				      size_t key_length, const char *value, size_t length)
{
	struct each *each = context;

	(void)kind;
	if (strlen(key) != key_length || !value || strlen(value) != length) {
		http_error(each->request, MHD_HTTP_BAD_REQUEST, "write KEY=VALUE",
			   "parameter \"%.100s\" %s", key,
			   value ? "holds a NUL byte" : "has no value");
		each->wrong = true;
		return MHD_NO;
	}
	return each->call(each->context, key, value) ? MHD_YES : MHD_NO;
}

bool http_query_each(struct http_request *request,
		     bool (*call)(void *context, const char *key, const char *value), void *context)
{
	struct each each = {.request = request, .call = call, .context = context};

	request->http->mhd.get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND,
						   each_parameter, &each);
	return !each.wrong;
}

struct query_check {
	struct http_request *request;
	const char *const *known;
	uint64_t seen;
	bool wrong;
};

static bool check_parameter(void *context, const char *key, const char *value)
{
	struct query_check *check = context;
	char list[256] = "";
	size_t i;

	(void)value;
	for (i = 0; check->known[i]; i++)
		if (strcmp(check->known[i], key) == 0)
			break;
	check->wrong = !check->known[i] || check->seen >> i & 1;
	if (!check->wrong) {
		check->seen |= UINT64_C(1) << i;
		return true;
	}
	if (check->known[i]) {
		http_error(check->request, MHD_HTTP_BAD_REQUEST, "give it once",
			   "parameter \"%s\" twice", key);
		return false;
	}
	for (i = 0; check->known[i]; i++)
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
			 i ? ", " : "known are: ", check->known[i]);
	http_error(check->request, MHD_HTTP_BAD_REQUEST, *list ? list : "this takes no parameters",
		   "unknown parameter \"%.100s\"", key);
	return false;
}

bool http_query_is_known(struct http_request *request, const char *const *known)
{
	struct query_check check = {.request = request, .known = known};

	return http_query_each(request, check_parameter, &check) && !check.wrong;
}

/* ---- from the head to the answer ---- */

static const struct http_route *find_route(const char *url, const char **ret_rest)
{
	for (const struct http_route *route = http_routes; route->path; route++) {
		size_t length = strlen(route->path);

		if (strcmp(url, route->path) == 0 ||
		    (length > 1 && route->path[length - 1] == '/' &&
		     strncmp(url, route->path, length) == 0)) {
			*ret_rest = url + length;
			return route;
		}
	}
	return NULL;
}

/* What is wrong with it whatever its route; returns whether something is. */
static bool is_refused(struct http_request *request, const char *url, const char *method)
{
	const struct http_route *route;

	if (!is_our_host(request)) {
		http_error(request, MHD_HTTP_MISDIRECTED_REQUEST,
			   "ask by the address in the policy's \"listen\", or localhost",
			   "the Host header names another server");
		return true;
	}
	route = request->route = find_route(url, &request->rest);
	if (!(route && route->open) && !has_token(request)) {
		http_error(request, MHD_HTTP_UNAUTHORIZED,
			   "send \"Authorization: Bearer TOKEN\", with the first line of the file "
			   "that the policy's /listen/token_file names",
			   "a token is needed here");
		return true;
	}
	if (!route) {
		http_error(request, MHD_HTTP_NOT_FOUND,
			   "the page is at /, the interface at /api/v1/status and beside it",
			   "nothing is known by this path");
		return true;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		http_error(request, MHD_HTTP_METHOD_NOT_ALLOWED,
			   "this interface only reads: qfwatch move moves by hand",
			   "only GET and HEAD are taken");
		return true;
	}
	if (has_body(request)) {
		http_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "send the request without a body",
			   "a request here has no body");
		return true;
	}
	return false;
}

static enum MHD_Result begin(struct http_request *request)
{
	request->phase = HTTP_HEARD;
	request->route->begin(request, request->rest);
	if (request->done)
		return queue(request);
	if (request->stream) {
		/* read_stream asks for the first piece. */
		request->phase = HTTP_FULL;
		return queue(request);
	}
	suspend(request);
	enlist(request);
	return MHD_YES;
}

/* What a request begins with whose path holds a NUL byte. */
static char hidden_end;

void *http_hear_request(void *context, const char *uri, struct MHD_Connection *connection)
{
	const char *nul = strstr(uri, "%00");

	(void)context;
	(void)connection;
	return nul && nul < uri + strcspn(uri, "?") ? &hidden_end : NULL;
}

enum MHD_Result http_take_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **request)
{
	struct http_request *new = *request;

	(void)version;
	(void)upload;
	*upload_size = 0;
	/* Cut at its NUL byte it would be another path; no route is the empty one. */
	if (*request == (void *)&hidden_end) {
		new = NULL;
		url = "";
	}
	if (new &&new->phase == HTTP_NEW)
		return begin(new);
	if (new)
		return new->begun ? MHD_YES : queue(new);
	new = xcalloc(1, sizeof *new);
	new->http = context;
	new->connection = connection;
	new->head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
	*request = new;
	http_connection_busy(context, connection, true);
	/* Answered now, the connection is closed, since there might be a body; it is only when we
	 * are called again that the request is known to have ended. */
	return is_refused(new, url, method) ? queue(new) : MHD_YES;
}

void http_end_request(void *context, struct MHD_Connection *connection, void **request,
		      enum MHD_RequestTerminationCode why)
{
	struct http_request *old = *request;

	(void)why;
	http_connection_busy(context, connection, false);
	*request = NULL;
	if (!old || old == (void *)&hidden_end)
		return;
	unlist(old);
	if (old->end)
		old->end(old);
	json_text_free(&old->body);
	free(old);
}
