/* http.c - see http.h. This file: the listener, the policy, turns. */
#include "http_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qfwatch/log.h"
#include "qfwatch/xalloc.h"

/* ---- the listener ---- */

static void watch_listener(struct http *http)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = http->listener.fd};

	http->rest_until = INT64_MAX;
	if (epoll_ctl(http->epoll, EPOLL_CTL_ADD, http->listener.fd, &event) < 0 && errno != EEXIST)
		log_error("http: epoll: %s", strerror(errno));
	http->woken = true;
}

/* ---- libmicrohttpd ---- */

static int start_daemon(struct http *http)
{
	const union MHD_DaemonInfo *info;
	struct epoll_event event = {.events = EPOLLIN};

	http->daemon = http->mhd.start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		http_take_request, http, MHD_OPTION_URI_LOG_CALLBACK, http_hear_request, http,
		MHD_OPTION_NOTIFY_COMPLETED, http_end_request, http, MHD_OPTION_NOTIFY_CONNECTION,
		http_connection_changed, http, MHD_OPTION_CONNECTION_LIMIT,
		HTTP_CONNECTIONS + 2 * HTTP_ACCEPT, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_END);
	info = http->daemon ? http->mhd.get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)
			    : NULL;
	if (!info)
		return -(errno ? errno : ENOMEM);
	http->daemon_fd = info->epoll_fd;
	event.data.fd = http->daemon_fd;
	http_feed_open(http);
	return epoll_ctl(http->epoll, EPOLL_CTL_ADD, http->daemon_fd, &event) < 0 ? -errno : 0;
}

/* Ends all connections, whatever they are at. */
static void stop_daemon(struct http *http)
{
	if (!http->daemon)
		return;
	http_resume_connections(http);
	epoll_ctl(http->epoll, EPOLL_CTL_DEL, http->daemon_fd, NULL);
	http->mhd.stop_daemon(http->daemon);
	http->daemon = NULL;
	http_feed_close(http);
	http->deadline = INT64_MAX;
}

/* ---- the policy ---- */

struct http *http_new(struct engine *engine, struct events *events, struct metrics *metrics,
		      const char *policy_path)
{
	struct http *http = xcalloc(1, sizeof *http);

	http->engine = engine;
	http->events = events;
	http->metrics = metrics;
	http->policy_path = xstrdup(policy_path);
	TAILQ_INIT(&http->connections);
	TAILQ_INIT(&http->working);
	http->listener = http->next.listener = LISTENER_NONE;
	http->deadline = http->rest_until = INT64_MAX;
	http->started = clock_now();
	http->epoll = epoll_create1(EPOLL_CLOEXEC);
	return http;
}

static char *copy_of(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static void free_config(struct policy_listen *config)
{
	free(config->address);
	free(config->path);
	free(config->host);
	free(config->group);
	free(config->token_file);
	*config = (struct policy_listen){0};
}

static struct policy_listen copy_config(const struct policy_listen *from)
{
	struct policy_listen copy = *from;

	copy.address = copy_of(from->address);
	copy.path = copy_of(from->path);
	copy.host = copy_of(from->host);
	copy.group = copy_of(from->group);
	copy.token_file = copy_of(from->token_file);
	return copy;
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_place(const struct policy_listen *a, const struct policy_listen *b)
{
	return is_same(a->path, b->path) && is_same(a->host, b->host) && a->port == b->port;
}

void http_abandon(struct http *http)
{
	struct problems ignored = {0};

	if (http->next.keep && !is_same(http->next.config.group, http->config.group))
		listener_regroup(&http->listener, &http->config, &ignored);
	problems_free(&ignored);
	listener_close(&http->next.listener);
	free_config(&http->next.config);
	explicit_bzero(http->next.token, sizeof http->next.token);
	http->next.any = http->next.keep = false;
}

/* A dry run stands beside the daemon, which has the place. */
static int give_way(struct http *http, const struct policy_listen *config,
		    struct problems *problems)
{
	struct problems found = {0};
	int r = listener_open(config, &http->next.listener, &found);

	if (r == -EADDRINUSE && engine_view_is_dry_run(http->engine)) {
		log_notice("nothing listens for this dry run: %s is taken", config->address);
		http->next.any = false;
		r = 0;
	} else {
		for (size_t i = 0; i < found.count; i++)
			problems_add(problems, found.list[i].kind, "%s", found.list[i].text);
	}
	problems_free(&found);
	return r;
}

static int load_library(struct http *http, struct problems *problems)
{
	const char *wrong = http->mhd_loaded ? NULL : http_library_load(&http->mhd);

	if (wrong) {
		problems_add(problems, PROBLEM_REFUSED,
			     "libmicrohttpd, which answers on \"listen\", cannot be loaded: %s: "
			     "install the package libmicrohttpd12, or remove \"listen\"",
			     wrong);
		return -ENOPKG;
	}
	http->mhd_loaded = true;
	return 0;
}

int http_prepare(struct http *http, const struct policy *policy, struct problems *problems)
{
	const struct policy_listen *config = &policy->listen;
	int r = 0;

	http->next.any = config->address != NULL;
	http->next.keep = false;
	if (!config->address)
		return 0;
	r = load_library(http, problems);
	if (r < 0)
		return r;
	http->next.keep = http->listener.fd >= 0 && is_same_place(&http->config, config) &&
			  listener_is_there(&http->listener);
	r = listener_read_token(config, http->next.token, problems);
	if (r == 0 && !http->next.keep)
		r = give_way(http, config, problems);
	else if (r == 0 && !is_same(http->config.group, config->group))
		r = listener_regroup(&http->listener, config, problems);
	if (r == 0)
		http->next.config = copy_config(config);
	else
		http_abandon(http);
	return r;
}

void http_commit(struct http *http, int64_t now)
{
	bool same_token = strcmp(http->token, http->next.token) == 0;
	int r = 0;

	http->loaded = now;
	http->n_policies++;
	free(http->rejected);
	http->rejected = NULL;
	/* Who was let in by another door, or by another token, has to ask again. */
	if (!http->next.keep || !same_token)
		stop_daemon(http);
	if (!http->next.keep)
		listener_close(&http->listener);
	free_config(&http->config);
	http->config = http->next.config;
	http->next.config = (struct policy_listen){0};
	memcpy(http->token, http->next.token, sizeof http->token);
	explicit_bzero(http->next.token, sizeof http->next.token);
	if (http->next.listener.fd >= 0) {
		http->listener = http->next.listener;
		http->next.listener = LISTENER_NONE;
		watch_listener(http);
	}
	if (http->listener.fd >= 0 && !http->daemon)
		r = start_daemon(http);
	if (r < 0) {
		log_error("nothing is answered on %s: %s", http->config.address, strerror(-r));
		stop_daemon(http);
		listener_close(&http->listener);
	}
}

void http_tell_rejected(struct http *http, int64_t now, const char *reason)
{
	free(http->rejected);
	http->rejected = xstrdup(reason);
	http->rejected_at = now;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	stop_daemon(http);
	http_stop_tasks(http);
	json_text_free(&http->doctor.answer);
	listener_close(&http->listener);
	listener_close(&http->next.listener);
	free_config(&http->config);
	free_config(&http->next.config);
	explicit_bzero(http->token, sizeof http->token);
	free(http->policy_path);
	free(http->rejected);
	if (http->epoll >= 0)
		close(http->epoll);
	free(http);
}

/* ---- routes ---- */

const struct http_route http_routes[] = {
	{"/", true, http_page},
	{"/page.js", true, http_page},
	{"/page.css", true, http_page},
	{"/icon.svg", true, http_page},
	{"/healthz", false, http_health},
	{"/api/v1/status", false, http_status},
	{"/metrics", false, http_metrics},
	{"/api/v1/tiers", false, http_tiers},
	{"/api/v1/messages", false, http_messages},
	{"/api/v1/messages/", false, http_message},
	{"/api/v1/shape", false, http_shape},
	{"/api/v1/events", false, http_events},
	{"/api/v1/doctor", false, http_doctor},
	{0},
};

/* ---- turns ---- */

int http_fd(const struct http *http)
{
	return http->epoll;
}

void http_wake(struct http *http)
{
	http->woken = true;
}

static void run_daemon(struct http *http)
{
	http->woken = http->resumed = false;
	http->mhd.run(http->daemon);
}

/* libmicrohttpd says milliseconds; never for nothing. */
static int64_t next_timeout(struct http *http, int64_t now)
{
	MHD_UNSIGNED_LONG_LONG timeout;

	if (TAILQ_EMPTY(&http->connections) ||
	    http->mhd.get_timeout(http->daemon, &timeout) != MHD_YES)
		return INT64_MAX;
	return now + (int64_t)timeout * 1000;
}

/* Returns true when more connections may be waiting. */
static bool take_ready(struct http *http)
{
	struct epoll_event ready[32];
	int n = epoll_wait(http->epoll, ready, sizeof ready / sizeof *ready, 0);
	bool more = false;

	for (int i = 0; i < n; i++) {
		int fd = ready[i].data.fd;

		if (fd == http->listener.fd)
			more = http_accept(http);
		else if (ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			http_note_end(http, fd);
	}
	return more;
}

bool http_turn(struct http *http, int64_t now)
{
	bool more = false;

	if (!http->daemon) {
		/* What a worker was at when nothing listened any more comes back. */
		if (http->woken)
			http_take_tasks(http);
		http->woken = false;
		return false;
	}
	if (now >= http->rest_until)
		watch_listener(http);
	if (http->woken || now >= http->deadline) {
		more = take_ready(http);
		http_take_tasks(http);
		run_daemon(http);
		http_end_connections(http);
	}
	http_feed_turn(http, now);
	more |= http_step_requests(http, clock_monotonic() + HTTP_TURN);
	if (http->resumed || http->woken)
		run_daemon(http);
	http->deadline = next_timeout(http, now);
	if (http->rest_until < http->deadline)
		http->deadline = http->rest_until;
	if (http_feed_deadline(http) < http->deadline)
		http->deadline = http_feed_deadline(http);
	http->woken |= more;
	return !TAILQ_EMPTY(&http->working) || http->woken || http->resumed ||
	       http->deadline <= now;
}

int64_t http_deadline(const struct http *http)
{
	return http->deadline;
}
