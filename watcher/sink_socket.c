/* sink_socket.c - connections that never wait; and events to a Unix socket as they are. */
#include "sink_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to(struct sink *sink, const struct sockaddr *address, socklen_t length, int type)
{
	int fd = socket(address->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, address, length) < 0)
		error = errno;
	if (error && error != EINPROGRESS) {
		close(fd);
		return -error;
	}
	sink->fd = fd;
	sink->connecting = error == EINPROGRESS;
	sink->whole = type == SOCK_DGRAM;
	return 0;
}

int sink_socket_unix(struct sink *sink, const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	return connect_to(sink, (const struct sockaddr *)&address, sizeof address, type);
}

int sink_socket_inet(struct sink *sink, const char *address, uint16_t port, int type)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
		return connect_to(sink, (const struct sockaddr *)&four, sizeof four, type);
	if (inet_pton(AF_INET6, address, &six.sin6_addr) == 1)
		return connect_to(sink, (const struct sockaddr *)&six, sizeof six, type);
	return -EINVAL;
}

static int finish_connecting(struct sink *sink)
{
	struct pollfd fd = {.fd = sink->fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&fd, 1, 0) != 1)
		return -EAGAIN;
	if (getsockopt(sink->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	if (error)
		return -error;
	sink->connecting = false;
	return 0;
}

/* Has the other side closed? Without asking, the first lines written after that would be lost: the
 * kernel takes them, and only then hears that nobody wants them. What the other side may have sent
 * is thrown away. */
static bool is_closed(const struct sink *sink)
{
	char bytes[512];
	ssize_t n;

	for (int i = 0; i < 16; i++) {
		n = recv(sink->fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n <= 0)
			break;
	}
	if (n > 0)
		return false;
	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	if (sink->config.type == POLICY_SINK_UNIX) {
		/* It may have closed its own direction only. */
		struct pollfd fd = {.fd = sink->fd};

		return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR));
	}
	return true;
}

int sink_socket_ready(struct sink *sink)
{
	if (sink->connecting)
		return finish_connecting(sink);
	return !sink->whole && is_closed(sink) ? -EPIPE : 0;
}

ssize_t sink_socket_write(struct sink *sink, const char *bytes, size_t length)
{
	ssize_t n = send(sink->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return n;
	return errno == EINTR || errno == ENOBUFS ? -EAGAIN : -errno;
}

void sink_socket_close(struct sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
	sink->connecting = false;
}

static int unix_open(struct sink *sink)
{
	return sink_socket_unix(sink, sink->config.path,
				sink->config.datagrams ? SOCK_DGRAM : SOCK_STREAM);
}

const struct sink_kind sink_unix = {
	.lazy = true,
	.reconnects = true,
	.open = unix_open,
	.ready = sink_socket_ready,
	.write = sink_socket_write,
	.close = sink_socket_close,
};
