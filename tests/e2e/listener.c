/* listener.c - the other side of event sinks: reads, or does not read for a while.
 *
 * usage: listener KIND ADDRESS OUTPUT STOP
 *   KIND is stream, datagram (Unix sockets, made at ADDRESS), fifo (ADDRESS is opened), tcp or
 *   udp (on 127.0.0.1; the port is written to the file ADDRESS, which is made when it listens).
 *   What comes is appended to OUTPUT as JSON lines, without what stands around them; of KIND
 *   notify, a datagram socket too, as it is (sd_notify(3)). While the file STOP exists it
 *   accepts, and reads nothing.
 * usage: listener --judge FILE...
 *   The files together hold the lines of one run from the first on: nothing is missing but what
 *   events-dropped announces in its place. Prints "LAST GAPS DROPPED": the last sequence, how
 *   many gaps, how many events.
 * usage: listener --messages DIR COUNT FIRST [DIR]
 *   Makes COUNT messages with 3 attempts, numbered from FIRST, in the first DIR, and renames
 *   them into the second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/gaps.h"
#include "../support/testing.h"

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "listener: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct listener {
	int fd;	      /* listens, or reads */
	int reader;   /* -1: nobody has connected */
	bool stream;  /* of bytes: lines end by themselves */
	bool counted; /* by octet counting */
	bool accepts;
	bool as_is;
	FILE *output;
	const char *stop;
	char bytes[1 << 17];
	size_t length;
};

static int unix_socket(const char *path, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		fail(path);
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 5) < 0))
		fail(path);
	return fd;
}

static int inet_socket(const char *port_file, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), bytes = 1 << 16;
	char name[4096];
	FILE *file;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* By TCP little, so that a stop is felt soon; by UDP much, so that nothing is lost. */
	if (type == SOCK_DGRAM)
		bytes = 1 << 24;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 5) < 0) ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		fail("socket");
	snprintf(name, sizeof(name), "%s.new", port_file);
	file = fopen(name, "we");
	if (!file || fprintf(file, "%d\n", ntohs(address.sin_port)) < 0 || fclose(file) != 0 ||
	    rename(name, port_file) < 0)
		fail(port_file);
	return fd;
}

/* From the first brace to the last: what stands around JSON holds none. */
static void put_json(struct listener *listener, const char *bytes, size_t length)
{
	const char *from = memmem(bytes, length, "{\"@timestamp\"", 13);
	const char *to = memrchr(bytes, '}', length);

	if (!from || !to || to < from)
		fprintf(listener->output, "no JSON in %zu bytes\n", length);
	else
		fprintf(listener->output, "%.*s\n", (int)(to + 1 - from), from);
}

/* Takes whole messages off the bytes that have come. */
static void take_messages(struct listener *listener)
{
	size_t at = 0;

	for (;;) {
		const char *from = listener->bytes + at;
		size_t left = listener->length - at, size;
		const char *end = memchr(from, listener->counted ? ' ' : '\n', left);

		if (!end)
			break;
		if (listener->counted) {
			size = strtoul(from, NULL, 10);
			if (size == 0 || size > 8192) {
				fprintf(listener->output, "a length of %zu\n", size);
				exit(1);
			}
			if (left - (size_t)(end + 1 - from) < size)
				break;
			put_json(listener, end + 1, size);
			at = (size_t)(end + 1 - listener->bytes) + size;
		} else {
			fwrite(from, 1, (size_t)(end + 1 - from), listener->output);
			at = (size_t)(end + 1 - listener->bytes);
		}
	}
	memmove(listener->bytes, listener->bytes + at, listener->length - at);
	listener->length -= at;
}

static void read_some(struct listener *listener)
{
	ssize_t n;

	while (access(listener->stop, F_OK) < 0) {
		n = read(listener->reader, listener->bytes + listener->length,
			 sizeof(listener->bytes) - listener->length);
		if (n < 0)
			break;
		if (n == 0) {
			/* A FIFO without a writer is waited for; who has connected is gone. */
			if (listener->accepts) {
				close(listener->reader);
				listener->reader = -1;
				listener->length = 0;
			}
			break;
		}
		listener->length += (size_t)n;
		if (listener->stream) {
			take_messages(listener);
		} else if (listener->as_is) {
			fprintf(listener->output, "%.*s\n", (int)n, listener->bytes);
			listener->length = 0;
		} else {
			put_json(listener, listener->bytes, (size_t)n);
			listener->length = 0;
		}
	}
	fflush(listener->output);
}

static void __attribute__((noreturn)) serve(struct listener *listener)
{
	for (;;) {
		struct pollfd fd = {.events = POLLIN};
		bool stopped = access(listener->stop, F_OK) == 0;

		if (listener->accepts && listener->reader < 0)
			listener->reader = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
		if (listener->reader >= 0)
			read_some(listener);
		fd.fd = stopped ? -1 : listener->reader >= 0 ? listener->reader : listener->fd;
		poll(&fd, 1, 10);
		/* A FIFO without a writer is always ready. */
		if (fd.revents & POLLHUP)
			poll(NULL, 0, 10);
	}
}

static int judge(char **files)
{
	size_t length = 0;
	char *all = calloc(1, 1);
	intmax_t last, dropped;
	unsigned gaps;

	for (; *files; files++) {
		size_t more;
		char *text = testing_read(*files, &more);

		all = realloc(all, length + more + 1);
		if (!all)
			fail("memory");
		memcpy(all + length, text, more + 1);
		length += more;
		free(text);
	}
	dropped = gaps_judge(all, &last, &gaps);
	printf("%jd %u %jd\n", last, gaps, dropped);
	free(all);
	return 0;
}

static int make_messages(const char *folder, unsigned count, unsigned first, const char *to)
{
	for (unsigned i = first; i < first + count; i++) {
		char id[32], from_path[4096], to_path[4096];

		snprintf(id, sizeof(id), "6AMHKFCA%06u", i);
		testing_enqueue(folder, id, 3);
		for (int k = 0; k < 2; k++) {
			snprintf(from_path, sizeof(from_path), "%s/%cf%s", folder, "dq"[k], id);
			snprintf(to_path, sizeof(to_path), "%s/%cf%s", to, "dq"[k], id);
			if (rename(from_path, to_path) < 0)
				fail(to_path);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct listener listener = {.reader = -1};
	const char *kind = argc > 1 ? argv[1] : "";

	if (argc > 2 && strcmp(kind, "--judge") == 0)
		return judge(argv + 2);
	if (argc == 6 && strcmp(kind, "--messages") == 0)
		return make_messages(argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]),
				     argv[5]);
	if (argc != 5) {
		fprintf(stderr, "usage: listener KIND ADDRESS OUTPUT STOP | --judge FILE... | "
				"--messages DIR COUNT FIRST DIR\n");
		return 2;
	}
	listener.output = fopen(argv[3], "ae");
	if (!listener.output)
		fail(argv[3]);
	listener.stop = argv[4];
	listener.accepts = strcmp(kind, "stream") == 0 || strcmp(kind, "tcp") == 0;
	listener.counted = strcmp(kind, "tcp") == 0;
	listener.as_is = strcmp(kind, "notify") == 0;
	listener.stream = listener.accepts || strcmp(kind, "fifo") == 0;
	if (strcmp(kind, "stream") == 0)
		listener.fd = unix_socket(argv[2], SOCK_STREAM);
	else if (strcmp(kind, "datagram") == 0 || listener.as_is)
		listener.fd = unix_socket(argv[2], SOCK_DGRAM);
	else if (strcmp(kind, "fifo") == 0)
		listener.fd = open(argv[2], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	else
		listener.fd = inet_socket(argv[2], listener.counted ? SOCK_STREAM : SOCK_DGRAM);
	if (listener.fd < 0)
		fail(argv[2]);
	if (!listener.accepts)
		listener.reader = listener.fd;
	serve(&listener);
}
