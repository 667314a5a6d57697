/* http_parts.h - what the files of http share. Nobody else includes it.
 *
 *   http.c           the listener, the policy, turns
 *   http_connection.c connections and their limits
 *   http_request.c   one request: who may ask, which route, its answer and how that gets out
 *   http_status.c    /healthz, /api/v1/status
 *   http_metrics.c   /metrics
 *   http_page.c      the page: files that are built in
 *   http_walk.c      going through all messages with a filter
 *   http_task.c      what a worker does while a request waits; running this program
 *   http_messages.c  /api/v1/messages, /api/v1/messages/ID
 *   http_shape.c     /api/v1/shape
 *   http_tiers.c     /api/v1/tiers
 *   http_events.c    /api/v1/events: the lines of late, and who reads them
 *   http_doctor.c    /api/v1/doctor
 *
 * A route's function gets a request and does one of these:
 *
 *   http_answer  it is all there: status, type, and the bytes in request->body
 *   http_work    it takes longer: `step` is called until it is done, a bounded piece at a time, and
 *                answers when it is. After http_stream the answer has begun already, and what step
 *                puts into body goes out as it comes; step is not called while the client has not
 *                taken that
 *   http_submit  a worker does it meanwhile
 *   http_error   no
 *
 * The only users of libmicrohttpd are http.c, http_request.c and http_events.c.
 */
#ifndef QFWATCH_HTTP_PARTS_H
#define QFWATCH_HTTP_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "http_library.h"
#include "qfwatch/clock.h"
#include "qfwatch/engine.h"
#include "qfwatch/engine_view.h"
#include "qfwatch/events.h"
#include "qfwatch/http.h"
#include "qfwatch/json_text.h"
#include "qfwatch/filter.h"
#include "qfwatch/labels.h"
#include "qfwatch/listener.h"
#include "qfwatch/worker.h"

/* Connections at once. One more, and the one that has been idle longest goes, if any is idle; else
 * the new one is told to come again. */
#define HTTP_CONNECTIONS 64

/* Connections taken in one turn. */
#define HTTP_ACCEPT 16

/* Of the connections, readers of the event stream. */
#define HTTP_SUBSCRIBERS 16

/* For all that libmicrohttpd keeps of one connection; a request's head has to fit in. */
#define HTTP_CONNECTION_MEMORY (16 * 1024)

/* A connection on which nothing moves is closed after so many seconds. */
#define HTTP_IDLE 30

/* How long the work for requests may go on in one turn, nanoseconds; and how long at least, when
 * the kernel has notifications meanwhile: in a storm of them answers are still made. */
#define HTTP_TURN  INT64_C(200000)
#define HTTP_LEAST INT64_C(20000)

#define HTTP_JSON  "application/json"
#define HTTP_LINES "application/x-ndjson"
#define HTTP_TEXT  "text/plain; charset=utf-8"

struct http_request;

enum http_progress {
	HTTP_MORE, /* call again */
	HTTP_WAIT, /* nothing can be done now: http_go_on, when it can */
	HTTP_DONE,
};

struct http_route {
	const char *path; /* whole; or with a "/" at its end, and something follows */
	bool open;	  /* needs no token: it says nothing of the spool */
	void (*begin)(struct http_request *request, const char *rest);
};

enum http_phase {
	HTTP_NEW,     /* its head is read */
	HTTP_HEARD,   /* all of it is */
	HTTP_WORKING, /* in the list of those to be stepped */
	HTTP_WAITING, /* for somebody to call http_go_on */
	HTTP_FULL,    /* a stream whose client has not taken yet what is there */
	HTTP_ANSWERED
};

struct http_request {
	struct http *http;
	const struct http_route *route;
	const char *rest; /* what follows it in the path */
	struct MHD_Connection *connection;
	TAILQ_ENTRY(http_request) beside; /* in http->working */
	enum http_phase phase;
	bool suspended; /* libmicrohttpd leaves the connection alone */
	bool head;	/* HEAD */

	/* The answer. */
	unsigned status;
	const char *type;
	struct json_text body;
	size_t sent;	    /* of a stream: bytes of body that were taken */
	bool stream, begun; /* begun: the response is queued */
	bool done;	    /* nothing more will be added to body */
	bool broken;	    /* the stream ends here, and is not whole */

	/* Work. `end` frees job, and may be NULL. */
	enum http_progress (*step)(struct http_request *request, int64_t until);
	void (*end)(struct http_request *request);
	void *job;
};

struct http_connection;

struct http {
	struct engine *engine;
	struct events *events;
	struct metrics *metrics;
	char *policy_path;
	int epoll;
	struct listener listener;
	struct policy_listen config; /* of the listener: our own copies; address NULL: none */
	char token[LISTENER_TOKEN_MOST + 1];
	struct http_library mhd; /* loaded before anything listens */
	bool mhd_loaded;
	struct MHD_Daemon *daemon;
	int daemon_fd;	  /* its epoll descriptor */
	bool woken;	  /* there is something to read, write or accept */
	bool resumed;	  /* libmicrohttpd has been told to go on with somebody */
	bool any_hung_up; /* a client has ended its side */
	int64_t deadline;
	int64_t rest_until; /* nobody is accepted: there are no descriptors left; INT64_MAX: no */

	struct feed *feed; /* see http_events.c; NULL: nothing listens */
	struct http_doctor {
		struct json_text answer; /* the last one */
		unsigned status;
		int64_t at, holds;	      /* since when, and for how long it is given */
		struct http_request *running; /* who has it run; NULL: nobody */
		struct http_request *waiting[HTTP_CONNECTIONS];
		size_t n_waiting;
	} doctor;

	struct worker *worker; /* see http_task.c; NULL: none yet */
	size_t n_tasks;	       /* that it has */
	unsigned n_policies;   /* that were taken: who began under another one cannot go on */

	TAILQ_HEAD(, http_connection) connections; /* oldest first */
	size_t n_connections;
	TAILQ_HEAD(, http_request) working; /* whose turn it is first */

	/* What is prepared, and not in force yet. */
	struct {
		bool any, keep;
		struct listener listener;
		struct policy_listen config;
		char token[LISTENER_TOKEN_MOST + 1];
	} next;

	int64_t started, loaded, rejected_at;
	char *rejected; /* why the policy file was not taken; NULL: it was */
};

/* ---- http_connection.c ---- */

/* For libmicrohttpd: one begins, or ends. */
void http_connection_changed(void *context, struct MHD_Connection *connection, void **socket,
			     enum MHD_ConnectionNotificationCode what);

/* Takes some of those that knock. Returns true when more may be waiting. */
bool http_accept(struct http *http);

/* The client at that descriptor has ended its side; and what becomes of those that have, once what
 * they had sent before has been read. */
void http_note_end(struct http *http, int fd);
void http_end_connections(struct http *http);

/* All that are suspended go on: libmicrohttpd does not stop before. */
void http_resume_connections(struct http *http);

/* A request of it is being answered, or was. */
void http_connection_busy(struct http *http, struct MHD_Connection *connection, bool busy);

/* The answer has no end: slowness is no reason to end it. */
void http_connection_patient(struct http *http, struct MHD_Connection *connection);

/* ---- http_request.c ---- */

/* The request as it was sent: libmicrohttpd gives its path as a text that ends at a NUL byte. What
 * is returned is what *request begins with below. */
void *http_hear_request(void *context, const char *uri, struct MHD_Connection *connection);

enum MHD_Result http_take_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **request);
void http_end_request(void *context, struct MHD_Connection *connection, void **request,
		      enum MHD_RequestTerminationCode why);

/* The answer is request->body. */
void http_answer(struct http_request *request, unsigned status, const char *type);

/* An error: what is wrong, and what to do. Replaces the body. */
void http_error(struct http_request *request, unsigned status, const char *remedy,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

/* See above. `job` is freed by `end`, however the request ends. */
void http_work(struct http_request *request,
	       enum http_progress (*step)(struct http_request *request, int64_t until),
	       void (*end)(struct http_request *request), void *job);

/* With http_work: the answer begins now, with status 200. */
void http_stream(struct http_request *request, const char *type);

/* It cannot go on, because the policy is another one: a stream is broken off, so that the client
 * notices; else it is an error. */
void http_break(struct http_request *request);

/* What a step of HTTP_WAIT waited for has come. */
void http_go_on(struct http_request *request);

/* Steps those that are to be stepped, until that time (clock_monotonic). Returns true when some
 * are left. */
bool http_step_requests(struct http *http, int64_t until);

/* Is a step over: by its time, or because somebody may be due? */
bool http_step_is_over(int64_t until);

/* A parameter of the query, or NULL. */
const char *http_query(struct http_request *request, const char *key);

/* Says that a parameter is not known if there is one besides `known` (which ends with NULL), or one
 * twice, or one with a NUL in it. Returns false then: the error is the answer. */
bool http_query_is_known(struct http_request *request, const char *const *known);

/* Calls `each` for every parameter until it returns false. Returns false when a parameter has no
 * value, or a NUL in it: the error is the answer. */
bool http_query_each(struct http_request *request,
		     bool (*each)(void *context, const char *key, const char *value),
		     void *context);

/* A header of the request, or NULL. */
const char *http_header(const struct http_request *request, const char *name);

/* Does it want to know what GET would say, without that? */
bool http_is_head(const struct http_request *request);

/* Ends a stream. */
void http_finish(struct http_request *request);

/* ---- http_walk.c ---- */

/* A parameter that is a whole number, 1 to `most`; left alone where it is not given. Returns false
 * for anything else: the error is the answer. */
bool http_query_number(struct http_request *request, const char *key, uint64_t most,
		       uint64_t *number);

/* All but the first few are the walk's own. */
struct http_walk {
	msgref at;   /* where it is: may be set before the first step, to go on after that one */
	int64_t now; /* seconds: when it began */
	bool read;   /* a file has been read: it is time for a look at the clock */
	unsigned passed; /* messages since the last look at the clock */
	struct filter *filter;
	bool empty;   /* it wants all */
	bool domains; /* it asks for domains */
	bool has_text;
	struct policy_text text;
	struct engine_view_reader *reader;
};

enum http_found {
	HTTP_FOUND, /* one that is wanted */
	HTTP_END,
	HTTP_LATER, /* no time left: call again */
};

/* Reads a filter from the query, besides which `own` keys (ends with NULL) are known, each once.
 * Returns false when something is wrong with it: the error is the answer. End with http_walk_end in
 * every case. */
bool http_walk_begin(struct http_walk *walk, struct http_request *request, const char *const *own);
void http_walk_end(struct http_walk *walk);

enum http_found http_walk_next(struct http_walk *walk, const struct engine *engine, int64_t until,
			       struct engine_view_message *ret);

/* The text of the message that was found, or NULL; valid until the next step. */
const struct policy_text *http_walk_text(struct http_walk *walk, const struct engine *engine);

/* ---- http_task.c ---- */

/* To be the first member of a job that a worker runs. */
struct http_task {
	struct worker_job job;
	struct http_request *request;	     /* NULL: it has gone */
	bool away;			     /* with the worker */
	atomic_bool cancel;		     /* nobody asks any more */
	void (*run)(struct http_task *task); /* in the worker's thread */
	void (*free)(struct http_task *task);
};

/* Hands the request's job, which is that task, to a worker; the step then returns HTTP_WAIT, and is
 * called again when it is done. Returns false when there is no worker. */
bool http_submit(struct http_request *request, struct http_task *task);

/* The `end` of such a request. */
void http_end_task(struct http_request *request);

void http_take_tasks(struct http *http);
void http_stop_tasks(struct http *http);

/* What a program wrote to its standard output. */
struct http_output {
	const char *bytes;
	size_t length;
	int code;     /* its exit code; -1: it did not exit */
	int64_t took; /* nanoseconds */
	bool failed;  /* it was not started, or was ended: the request has that for its answer */
};

/* Runs this program with those arguments (ends with NULL) and that as its standard input, all of
 * which is copied, and answers with what it says. */
struct http_input {
	const char *bytes;
	size_t length;
};
void http_run(struct http_request *request, const char *const *arguments, struct http_input input,
	      void (*answer)(struct http_request *request, const struct http_output *output));

/* ---- http_events.c ---- */

/* While something listens. */
void http_feed_open(struct http *http);
void http_feed_close(struct http *http);

/* Has those go on who wait for what has come, or for a heartbeat. */
void http_feed_turn(struct http *http, int64_t now);
int64_t http_feed_deadline(const struct http *http);

/* The client has gone. */
void http_feed_hung_up(struct http *http, const struct MHD_Connection *connection);

/* ---- routes ---- */

extern const struct http_route http_routes[]; /* ends with a path of NULL */

void http_status(struct http_request *request, const char *rest);
void http_health(struct http_request *request, const char *rest);
void http_metrics(struct http_request *request, const char *rest);
void http_page(struct http_request *request, const char *rest);
void http_messages(struct http_request *request, const char *rest);
void http_message(struct http_request *request, const char *rest);
void http_shape(struct http_request *request, const char *rest);
void http_tiers(struct http_request *request, const char *rest);
void http_events(struct http_request *request, const char *rest);
void http_doctor(struct http_request *request, const char *rest);

/* {"at":TIME,"reason":"..."}, why the policy file as it is now was not taken; or null. */
void http_put_rejected(struct json_text *body, const struct http *http);

/* "new":0,"idle":12,...: messages by state. */
void http_put_states(struct json_text *body, const uint64_t *states);

#endif
