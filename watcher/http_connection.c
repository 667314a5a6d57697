/* http_connection.c - connections: taken and turned away, who goes where there are too many, and
 * whose client has gone. */
#include "http_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qfwatch/xalloc.h"

/* An answer that takes longer than this to be read has to make room for another connection when
 * there is none. */
#define SLOW_READER (60 * CLOCK_SECOND)

/* One connection, as libmicrohttpd's socket context. */
struct http_connection {
	TAILQ_ENTRY(http_connection) beside; /* in the order in which they came to rest */
	struct http *http;
	struct MHD_Connection *connection;
	int fd;
	bool busy;     /* a request is being answered */
	bool patient;  /* it reads the event stream: as long as it likes */
	bool leaving;  /* it was told to go */
	bool hung_up;  /* its client sends nothing more */
	int64_t since; /* it is busy, or not */
	int64_t peer;  /* who it is, as far as can be told */
};

/* It has come to rest, or is at work, from now on. */
static void enlist(struct http_connection *one)
{
	TAILQ_INSERT_TAIL(&one->http->connections, one, beside);
	one->since = clock_now();
}

/* On a Unix socket the process; on TCP they are all one. */
static int64_t peer_of(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : -1;
}

/* libmicrohttpd misses the end of a connection that comes together with half a request, and that of
 * one that it does not watch. */
static void watch_end(struct http_connection *one, int how)
{
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.fd = one->fd};

	one->hung_up = false;
	epoll_ctl(one->http->epoll, how, one->fd, &event);
}

void http_connection_changed(void *context, struct MHD_Connection *connection, void **socket,
			     enum MHD_ConnectionNotificationCode what)
{
	struct http_connection *one = *socket;
	struct http *http = context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		one = xcalloc(1, sizeof *one);
		one->http = http;
		one->connection = connection;
		one->fd =
			http->mhd
				.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd;
		one->peer = peer_of(one->fd);
		watch_end(one, EPOLL_CTL_ADD);
		*socket = one;
		enlist(one);
		http->n_connections++;
	} else if (one) {
		TAILQ_REMOVE(&http->connections, one, beside);
		http->n_connections -= !one->leaving;
		free(one);
		*socket = NULL;
	}
}

static struct http_connection *context_of(const struct http *http,
					  struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		http->mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

void http_connection_busy(struct http *http, struct MHD_Connection *connection, bool busy)
{
	struct http_connection *one = context_of(http, connection);

	if (!one || one->busy == busy)
		return;
	one->busy = busy;
	one->patient = false;
	if (!busy)
		watch_end(one, EPOLL_CTL_MOD);
	TAILQ_REMOVE(&http->connections, one, beside);
	enlist(one);
}

void http_connection_patient(struct http *http, struct MHD_Connection *connection)
{
	struct http_connection *one = context_of(http, connection);

	if (one)
		one->patient = true;
}

/* How many connections its peer has. */
static unsigned count_peer(const struct http_connection *one)
{
	const struct http_connection *other;
	unsigned count = 0;

	TAILQ_FOREACH(other, &one->http->connections, beside)
		count += !other->leaving && other->peer == one->peer;
	return count;
}

/* Makes room: of those that rest, or have not sent their request yet, one of the peer that has most
 * goes, and of these the one that has rested longest. Where none rests, the one that has been
 * reading its answer longest, if that is ages. */
static bool make_room(struct http *http)
{
	struct http_connection *one, *chosen = NULL;
	int64_t now = clock_now();
	unsigned most = 0;

	TAILQ_FOREACH(one, &http->connections, beside) {
		unsigned count = one->leaving || one->busy ? 0 : count_peer(one);

		if (count > most) {
			most = count;
			chosen = one;
		}
	}
	if (!chosen)
		TAILQ_FOREACH(one, &http->connections, beside)
			if (!chosen && one->busy && !one->leaving && !one->patient &&
			    now - one->since > SLOW_READER)
				chosen = one;
	if (!chosen)
		return false;
	/* libmicrohttpd sees its end, and closes it. */
	shutdown(chosen->fd, SHUT_RDWR);
	chosen->leaving = true;
	http->n_connections--;
	http->woken = true;
	return true;
}

static void rest_listener(struct http *http)
{
	epoll_ctl(http->epoll, EPOLL_CTL_DEL, http->listener.fd, NULL);
	http->rest_until = clock_now() + CLOCK_SECOND;
}

static void turn_away(int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
				     "Content-Length: 0\r\nConnection: close\r\n\r\n";

	/* It fits into any socket's buffer; whom it does not reach notices by himself. */
	(void)!send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

bool http_accept(struct http *http)
{
	for (int i = 0; i < HTTP_ACCEPT; i++) {
		struct sockaddr_storage address;
		socklen_t length = sizeof address;
		int fd = accept4(http->listener.fd, (struct sockaddr *)&address, &length,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && errno != EAGAIN)
			/* Without descriptors it would be readable for ever. */
			rest_listener(http);
		if (fd < 0)
			return false;
		if (http->n_connections >= HTTP_CONNECTIONS && !make_room(http)) {
			turn_away(fd);
			continue;
		}
		/* A Unix client's name is of no length. */
		if (length < sizeof(sa_family_t))
			address.ss_family = AF_UNIX;
		http->mhd.add_connection(http->daemon, fd, (struct sockaddr *)&address,
					 length < sizeof(sa_family_t) ? sizeof(sa_family_t)
								      : length);
	}
	return true;
}

void http_note_end(struct http *http, int fd)
{
	struct http_connection *one;

	TAILQ_FOREACH(one, &http->connections, beside)
		if (one->fd == fd) {
			one->hung_up = http->any_hung_up = true;
			return;
		}
}

/* What its client had sent before has been read by now: if it was a request, that is being answered
 * and goes on. */
void http_end_connections(struct http *http)
{
	struct http_connection *one;

	if (!http->any_hung_up)
		return;
	http->any_hung_up = false;
	TAILQ_FOREACH(one, &http->connections, beside) {
		if (one->hung_up && one->patient)
			http_feed_hung_up(http, one->connection);
		else if (one->hung_up && !one->busy)
			shutdown(one->fd, SHUT_RDWR);
		one->hung_up = false;
	}
	/* libmicrohttpd is told of a shutdown. */
	http->woken = true;
}

/* libmicrohttpd does not stop while it has suspended connections. */
void http_resume_connections(struct http *http)
{
	struct http_connection *one;

	TAILQ_FOREACH(one, &http->connections, beside) {
		const union MHD_ConnectionInfo *info = http->mhd.get_connection_info(
			one->connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);

		if (info && info->suspended)
			http->mhd.resume_connection(one->connection);
	}
}
