/* crowd.c - clients that an HTTP server would rather not have.
 *
 * usage: crowd SOCKET idle COUNT
 *          so many connections that send half a request, or nothing; at most 400 are open at a time
 *        crowd SOCKET garbage COUNT SEED
 *          so many that send what is no request, or nearly one
 *        crowd SOCKET drip PATH
 *          a request, a byte at a time
 *        crowd SOCKET stall PATH COUNT
 *          so many requests for PATH whose answers are not read, until the standard input ends
 *        crowd SOCKET sip PATH BYTES
 *          reads so many bytes of an answer, a few at a time
 *
 * SOCKET is the path of a Unix socket, or 127.0.0.1:PORT. Prints what came of it: "503: 12" for
 * each status, "closed", "open", and "refused" where not even a connection was made.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OPEN 400

static const char *place;
static unsigned statuses[600], closed, refused, still_open;

static int open_socket(void)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in inet = {.sin_family = AF_INET};
	const char *colon = *place == '/' ? NULL : strchr(place, ':');
	struct timeval patience = {.tv_sec = 10};
	int fd = socket(colon ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (colon) {
		inet.sin_port = htons((uint16_t)atoi(colon + 1));
		inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		r = connect(fd, (struct sockaddr *)&inet, sizeof inet);
	} else {
		strncpy(local.sun_path, place, sizeof local.sun_path - 1);
		r = connect(fd, (struct sockaddr *)&local, sizeof local);
	}
	if (r < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* What came, if anything did within so many milliseconds; then the connection is closed. */
static void end(int fd, int milliseconds)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};
	char answer[16] = "";
	ssize_t n =
		poll(&pollfd, 1, milliseconds) > 0 ? recv(fd, answer, sizeof answer - 1, 0) : -2;
	int status = n > 9 ? atoi(answer + 9) : 0;

	if (n == -2)
		still_open++;
	else if (status >= 100 && status < 600)
		statuses[status]++;
	else
		closed++;
	close(fd);
}

static void report(void)
{
	for (int i = 0; i < 600; i++)
		if (statuses[i])
			printf("%d: %u\n", i, statuses[i]);
	printf("closed: %u\nopen: %u\nrefused: %u\n", closed, still_open, refused);
}

static void send_text(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

static void idle(int count)
{
	static const char half[] = "GET /api/v1/status HTTP/1.1\r\nHost: loc";
	int fds[OPEN];

	for (int i = 0; i < OPEN; i++)
		fds[i] = -1;
	for (int i = 0; i < count; i++) {
		int *fd = &fds[i % OPEN];

		if (*fd >= 0)
			end(*fd, 0);
		*fd = open_socket();
		if (*fd < 0)
			refused++;
		else if (i % 2)
			send_text(*fd, half, sizeof half - 1);
	}
	for (int i = 0; i < OPEN; i++)
		if (fds[i] >= 0)
			end(fds[i], 0);
	report();
}

/* A request with random changes; or random bytes, or very many of one kind. */
static size_t make_garbage(char *buffer, size_t size, unsigned *seed)
{
	static const char *const starts[] = {
		"GET /api/v1/messages?tier=%51UEUE&age=%3E1h HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /api/v1/events?recent=5&action=message-moved HTTP/1.1\r\nHost: "
		"localhost\r\n\r\n",
		"POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
		"999999\r\n\r\nabc",
		"GET /api/v1/shape?by=sender HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
		"chunked\r\n\r\nffffffffffff\r\n",
		"GET /api/v1/messages/..%2f..%2fetc%2fpasswd HTTP/1.0\r\n\r\n",
		"GET //../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /healthz?%00=%00&&&===%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};
	const char *start = starts[(unsigned)rand_r(seed) % (sizeof starts / sizeof *starts)];
	size_t length = strlen(start);

	switch (rand_r(seed) % 4) {
	case 0:
		memcpy(buffer, start, length);
		break;
	case 1:
		memcpy(buffer, start, length);
		for (int i = rand_r(seed) % 8; i >= 0; i--)
			buffer[(unsigned)rand_r(seed) % length] = (char)rand_r(seed);
		break;
	case 2:
		length = (unsigned)rand_r(seed) % size;
		for (size_t i = 0; i < length; i++)
			buffer[i] = (char)rand_r(seed);
		break;
	default:
		/* A head without end. */
		length = (size_t)snprintf(buffer, size, "GET / HTTP/1.1\r\nX: ");
		memset(buffer + length, 'a', size - length);
		length = size;
	}
	return length;
}

static void garbage(int count, unsigned seed)
{
	static char buffer[40000];

	for (int i = 0; i < count; i++) {
		int fd = open_socket();
		size_t length;

		if (fd < 0) {
			refused++;
			continue;
		}
		length = make_garbage(buffer, sizeof buffer, &seed);
		send_text(fd, buffer, length);
		/* To a head without end there may always come more: whoever has hung up in the
		 * middle of one need not be answered. */
		if (length < sizeof buffer)
			shutdown(fd, SHUT_WR);
		end(fd, 10000);
	}
	report();
}

static int ask(const char *path)
{
	char request[4096];
	int fd = open_socket();

	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	if (fd >= 0)
		send_text(fd, request, strlen(request));
	return fd;
}

static void drip(const char *path)
{
	char request[4096];
	int fd = open_socket();

	if (fd < 0) {
		refused++;
		report();
		return;
	}
	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	for (const char *at = request; *at; at++) {
		send_text(fd, at, 1);
		poll(NULL, 0, 3);
	}
	end(fd, 5000);
	report();
}

static void stall(const char *path, int count)
{
	char byte;
	int *fds = calloc((size_t)count, sizeof *fds);

	for (int i = 0; fds && i < count; i++) {
		fds[i] = ask(path);
		refused += fds[i] < 0;
	}
	printf("waiting\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (int i = 0; fds && i < count; i++)
		if (fds[i] >= 0)
			end(fds[i], 0);
	free(fds);
	report();
}

static void sip(const char *path, long bytes)
{
	char buffer[64];
	int fd = ask(path);

	while (fd >= 0 && bytes > 0) {
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);

		if (n <= 0)
			break;
		bytes -= n;
		poll(NULL, 0, 1);
	}
	if (fd >= 0)
		close(fd);
	printf("%s\n", bytes <= 0 ? "read" : "ended early");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 3 ? argv[2] : "";

	place = argc > 3 ? argv[1] : "";
	if (strcmp(mode, "idle") == 0)
		idle(atoi(argv[3]));
	else if (strcmp(mode, "garbage") == 0 && argc == 5)
		garbage(atoi(argv[3]), (unsigned)atoi(argv[4]));
	else if (strcmp(mode, "drip") == 0)
		drip(argv[3]);
	else if (strcmp(mode, "stall") == 0 && argc == 5)
		stall(argv[3], atoi(argv[4]));
	else if (strcmp(mode, "sip") == 0 && argc == 5)
		sip(argv[3], atol(argv[4]));
	else
		return 2;
	return 0;
}
