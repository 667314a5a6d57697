/* test_sink_kinds.c - Unix sockets, FIFOs, syslog, the journal, and files that rotate themselves:
 * what is written, and what happens when nobody reads, nobody is there, or somebody comes back.
 *
 * Time is an argument: no test waits but for the kernel to pass on what was sent.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/events.h"

#include "../support/gaps.h"
#include "../support/lines.h"
#include "../support/testing.h"

static struct events *events;
static struct policy_sink sinks[2];
static struct policy policy;
static int64_t now;

static void configure(size_t count)
{
	struct problems problems = {0};

	policy.sinks = sinks;
	policy.n_sinks = count;
	policy.events = UINT32_MAX >> 1;
	check_equal(events_configure(events, &policy, &problems), 0);
	check_equal(problems.count, 0);
}

/* Events to one sink; its path is a name in the test's folder. */
static void begin(struct policy_sink sink)
{
	signal(SIGPIPE, SIG_IGN);
	now = clock_now();
	events = events_new(false);
	check(events != NULL);
	sinks[0] = sink;
	configure(1);
}

static void finish(void)
{
	events_free(events);
	testing_all_closed();
}

static void emit(unsigned number)
{
	char text[32];

	snprintf(text, sizeof(text), "number %u", number);
	events_emit(events, &(struct event){.action = EVENT_MESSAGE_MOVED,
					    .text = text,
					    .id = "a\nb",
					    .id_length = 3,
					    .tier = "QUEUE",
					    .rule = "a rule"});
}

static void emit_many(unsigned *number, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		emit(++*number);
}

static bool flush(void)
{
	return events_flush(events, now) == INT64_MAX;
}

/* The kernel may still be passing things on. */
static void flush_all(void)
{
	for (int64_t since = 0; !flush();) {
		check(testing_again(&since));
		now += 2 * CLOCK_SECOND;
	}
}

/* ---- the other side ---- */

static int unix_socket(int type, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	check(fd >= 0 && strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	check(type == SOCK_DGRAM || listen(fd, 5) == 0);
	return fd;
}

static int inet_bound(int type, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(fd >= 0);
	check(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	check(bind(fd, (struct sockaddr *)&address, size) == 0);
	check(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static int inet_socket(int type, uint16_t *port)
{
	int fd = inet_bound(type, port);

	check(type == SOCK_DGRAM || listen(fd, 5) == 0);
	return fd;
}

static bool comes(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, TESTING_OVERDUE) == 1;
}

static int accept_one(int listener)
{
	int fd;

	check(comes(listener));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	check(fd >= 0);
	return fd;
}

/* Is this the sink's end of a connection to that socket? */
static bool leads_to(int fd, int other)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_un un;
	} its = {0}, own = {0};
	socklen_t its_size = sizeof(its), own_size = sizeof(own);

	return getpeername(fd, &its.any, &its_size) == 0 &&
	       getsockname(other, &own.any, &own_size) == 0 && its_size == own_size &&
	       memcmp(&its, &own, its_size) == 0;
}

/* The sink's end of its connection to a socket of this test. */
static int sink_end(int other)
{
	struct rlimit limit;

	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (int fd = 3; fd < (int)limit.rlim_cur && fd < 4096; fd++)
		if (fd != other && leads_to(fd, other))
			return fd;
	check(!"connected");
	return -1;
}

/* The kernel takes so much for who does not read, whatever this machine's settings are. */
static void small_buffer(int fd)
{
	int small = 65536;

	check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
}

/* Waits until the sink could know that its reader has hung up. */
static void wait_for_end(int listener)
{
	struct pollfd fd = {.fd = sink_end(listener), .events = POLLRDHUP};

	check(poll(&fd, 1, TESTING_OVERDUE) == 1);
}

static char received[16 << 20];
static size_t received_length;

static void forget(void)
{
	received[received_length = 0] = 0;
}

/* All that is there now. */
static void receive(int fd)
{
	ssize_t n;

	while ((n = read(fd, received + received_length, sizeof(received) - received_length - 1)) >
	       0)
		received_length += (size_t)n;
	received[received_length] = 0;
}

static void receive_datagrams(int fd)
{
	ssize_t n;

	while ((n = recv(fd, received + received_length, sizeof(received) - received_length - 1,
			 MSG_DONTWAIT)) > 0) {
		check(n <= EVENTS_LINE_MAX);
		check_equal(received[received_length + (size_t)n - 1], '\n');
		received_length += (size_t)n;
	}
	received[received_length] = 0;
}

/* Writes and reads until everything has gone through and nothing more comes. */
static void drain(int fd, void (*take)(int))
{
	for (int quiet = 0, i = 0; quiet < 5; i++) {
		size_t before = received_length;
		bool done = flush();

		check(i < 20000);
		take(fd);
		now += 2 * CLOCK_SECOND;
		quiet = done && before == received_length ? quiet + 1 : 0;
		if (quiet)
			poll(NULL, 0, 2);
	}
}

/* Everything is accounted for: what came, and what was announced as lost. */
static void all_accounted(unsigned emitted, bool lost)
{
	intmax_t last;
	unsigned gaps;

	check_equal(gaps_judge(received, &last, &gaps), events_dropped(events));
	check_equal(last, emitted + gaps);
	check_equal(gaps > 0, lost);
	check_equal(events_dropped(events) > 0, lost);
}

/* Under valgrind a small buffer, and fewer lines that do not fit. */
static uint64_t buffer_size(void)
{
	return testing_slow() ? POLICY_BUFFER_LEAST : POLICY_BUFFER_DEFAULT;
}

static unsigned much(void)
{
	return testing_slow() ? 1500 : 5000;
}

/* How often this process has given the processor away to wait for something. */
static long waits(void)
{
	struct rusage usage;

	check(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_nvcsw;
}

/* Nobody reads, for more than all buffers hold. Nothing waits; when somebody reads again, the gap
 * is announced exactly, and the newest are there. */
static void stalled(int fd, bool socket, void (*take)(int))
{
	unsigned emitted = 0;
	char last[40];

	forget();
	if (socket) {
		emit(++emitted);
		check(flush());
		small_buffer(sink_end(fd));
	}
	for (int round = 0; round < (testing_slow() ? 1 : 3); round++) {
		long before = waits();

		for (unsigned i = 0; i < much(); i++) {
			emit(++emitted);
			if (i % 50 == 0)
				events_flush(events, now += 1000);
		}
		check(!flush() && events_crowded(events));
		check(waits() - before < much() / 50 / 2);
		drain(fd, take);
		check(!events_crowded(events));
		emit(++emitted);
	}
	drain(fd, take);
	all_accounted(emitted, true);
	snprintf(last, sizeof(last), "\"number %u\"", emitted);
	check(strstr(received + received_length - 700, last));
}

/* ---- Unix sockets ---- */

static void unix_stream(void)
{
	int listener = unix_socket(SOCK_STREAM, "socket"), reader;
	unsigned emitted = 0;

	begin((struct policy_sink){.type = POLICY_SINK_UNIX, .path = (char *)"socket"});
	/* Nothing to say: nobody is called. */
	check(flush());
	emit_many(&emitted, 100);
	check(flush());
	reader = accept_one(listener);
	drain(reader, receive);
	all_accounted(100, false);
	/* It goes, and is there again: the next line finds it, and none is lost. */
	close(reader);
	now += 2 * CLOCK_SECOND;
	emit_many(&emitted, 50);
	check(flush());
	reader = accept_one(listener);
	drain(reader, receive);
	all_accounted(150, false);
	/* It goes for good: tried again after 1 s, 2 s, ... a minute, and no more than that. */
	close(reader);
	close(listener);
	check(unlink("socket") == 0);
	now += 2 * CLOCK_SECOND;
	emit_many(&emitted, 1);
	for (int64_t wait = CLOCK_SECOND; wait < 200 * CLOCK_SECOND; wait *= 2) {
		int64_t again = events_flush(events, now);
		int64_t expected = wait < 60 * CLOCK_SECOND ? wait : 60 * CLOCK_SECOND;

		check_equal(again - now, expected);
		check_equal(events_flush(events, again - 1), again);
		now = again;
	}
	listener = unix_socket(SOCK_STREAM, "socket");
	now += 60 * CLOCK_SECOND;
	check(flush());
	reader = accept_one(listener);
	drain(reader, receive);
	all_accounted(151, false);
	close(reader);
	close(listener);
	finish();
}

static void never_read(void)
{
	int listener = unix_socket(SOCK_STREAM, "socket"), reader;
	struct policy_sink sink = {
		.type = POLICY_SINK_UNIX, .path = (char *)"socket", .buffer = buffer_size()};
	unsigned gaps;
	intmax_t last = 1;

	begin(sink);
	emit(0);
	check(flush());
	reader = accept_one(listener);
	check(comes(reader));
	receive(reader);
	check(strchr(received, '\n'));
	forget();
	small_buffer(sink_end(listener));
	for (unsigned i = 1; i <= much(); i++) {
		emit(i);
		if (i % 50 == 0)
			events_flush(events, now += 1000);
	}
	check(!flush());
	drain(reader, receive);
	check_equal(gaps_judge_on(received, &last, &gaps), events_dropped(events));
	check_equal(last, 1 + much() + gaps);
	check(gaps >= 1 && events_dropped(events) > 300);
	close(reader);
	close(listener);
	finish();
}

/* Cut off in the middle of a line: the next connection begins with that line, whole. */
static void cut_line(void)
{
	int listener = unix_socket(SOCK_STREAM, "socket"), reader;
	intmax_t before = 0, after;
	unsigned emitted = 0, gaps;
	char *cut;

	begin((struct policy_sink){.type = POLICY_SINK_UNIX, .path = (char *)"socket"});
	emit_many(&emitted, 1);
	check(flush());
	small_buffer(sink_end(listener));
	/* Much at once goes out in large pieces, of which the kernel takes what it has room for. */
	emit_many(&emitted, 1200);
	check(!flush());
	reader = accept_one(listener);
	receive(reader);
	/* What is whole of the first part; it ends within a line, as the kernel's buffer does. */
	cut = strrchr(received, '\n') + 1;
	check(*cut == '{');
	*cut = 0;
	check_equal(gaps_judge(received, &before, &gaps), 0);
	close(reader);
	forget();
	now += 2 * CLOCK_SECOND;
	flush();
	reader = accept_one(listener);
	drain(reader, receive);
	after = before;
	check_equal(gaps_judge_on(received, &after, &gaps), 0);
	check_equal(after, emitted);
	check_equal(events_dropped(events), 0);
	close(reader);
	close(listener);
	finish();
}

static void unix_datagram(void)
{
	int reader = unix_socket(SOCK_DGRAM, "socket");
	unsigned emitted = 0;

	begin((struct policy_sink){
		.type = POLICY_SINK_UNIX, .path = (char *)"socket", .datagrams = true});
	emit_many(&emitted, 100);
	drain(reader, receive_datagrams);
	all_accounted(100, false);
	/* Started anew. */
	close(reader);
	check(unlink("socket") == 0);
	reader = unix_socket(SOCK_DGRAM, "socket");
	emit_many(&emitted, 100);
	drain(reader, receive_datagrams);
	all_accounted(200, false);
	close(reader);
	finish();
}

static void unix_datagram_stalled(void)
{
	int reader = unix_socket(SOCK_DGRAM, "socket");

	begin((struct policy_sink){.type = POLICY_SINK_UNIX,
				   .path = (char *)"socket",
				   .datagrams = true,
				   .buffer = buffer_size()});
	stalled(reader, true, receive_datagrams);
	close(reader);
	finish();
}

/* The wrong kind of socket is no reason to stop, nor is a reload that puts it right. */
static void wrong_mode(void)
{
	int reader = unix_socket(SOCK_DGRAM, "socket");
	unsigned emitted = 0;

	begin((struct policy_sink){.type = POLICY_SINK_UNIX, .path = (char *)"socket"});
	emit_many(&emitted, 10);
	check(!flush());
	sinks[0].datagrams = true;
	configure(1);
	drain(reader, receive_datagrams);
	all_accounted(10, false);
	close(reader);
	finish();
}

/* A sink that the policy no longer names: what it has not taken counts as lost. */
static void let_go(void)
{
	int reader, other;
	size_t lines = 0;

	check(mkfifo("fifo", 0600) == 0 && mkfifo("other", 0600) == 0);
	reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	other = open("other", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check(reader >= 0 && other >= 0);
	begin((struct policy_sink){.type = POLICY_SINK_FIFO, .path = (char *)"fifo"});
	/* A page, whatever that is here. */
	check(fcntl(reader, F_SETPIPE_SZ, 4096) > 0);
	for (unsigned i = 1; i <= 400; i++)
		emit(i);
	flush();
	check_equal(events_dropped(events), 0);
	forget();
	sinks[0] = (struct policy_sink){.type = POLICY_SINK_FIFO, .path = (char *)"other"};
	configure(1);
	receive(reader);
	/* What the pipe had taken before is there, and no more. */
	check(received_length > 0);
	for (size_t i = 0; i < received_length; i++)
		lines += received[i] == '\n';
	check(lines > 0 && lines < 400);
	check_equal(events_dropped(events), 400 - lines);
	close(reader);
	close(other);
	finish();
}

/* ---- FIFOs ---- */

static int open_fifo(void)
{
	int fd = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	check(fd >= 0);
	return fd;
}

static void fifo(void)
{
	unsigned emitted = 0;
	int reader;

	check(mkfifo("fifo", 0600) == 0);
	begin((struct policy_sink){.type = POLICY_SINK_FIFO, .path = (char *)"fifo"});
	emit_many(&emitted, 20);
	/* Nobody reads: asked for after a second, and so on. */
	check_equal(events_flush(events, now), now + CLOCK_SECOND);
	reader = open_fifo();
	now += CLOCK_SECOND;
	drain(reader, receive);
	all_accounted(20, false);
	/* Another reader. What the first had not read would be lost; it has read all. */
	close(reader);
	emit_many(&emitted, 20);
	check(!flush());
	reader = open_fifo();
	drain(reader, receive);
	all_accounted(40, false);
	close(reader);
	finish();
}

static void fifo_stalled(void)
{
	int reader;

	check(mkfifo("fifo", 0600) == 0);
	reader = open_fifo();
	begin((struct policy_sink){
		.type = POLICY_SINK_FIFO, .path = (char *)"fifo", .buffer = buffer_size()});
	stalled(reader, false, receive);
	close(reader);
	finish();
}

static void fifo_refused(void)
{
	struct problems problems = {0};
	struct policy_sink stdout_sink = {.type = POLICY_SINK_STDOUT};

	begin(stdout_sink);
	sinks[0] = (struct policy_sink){.type = POLICY_SINK_FIFO, .path = (char *)"fifo"};
	check(events_configure(events, &policy, &problems) < 0);
	testing_write("fifo", "no");
	check(events_configure(events, &policy, &problems) < 0);
	check_equal(problems.count, 2);
	check(strstr(problems.list[0].text, "(No such file or directory): make it: mkfifo"));
	check(strstr(problems.list[1].text, "(not a FIFO)"));
	check(testing_holds("fifo", "no"));
	problems_free(&problems);
	finish();
}

/* ---- syslog ---- */

/* A message of RFC 5424 from us: its header, field by field; returns what follows. */
static const char *check_header(const char *message, unsigned priority, const char *action)
{
	char expected[64], version[16], stamp[64], host[256], app[16], pid[16], id[64], sd[8];
	int length = 0;

	check_equal(sscanf(message, "%15s %63s %255s %15s %15s %63s %7s %n", version, stamp, host,
			   app, pid, id, sd, &length),
		    7);
	snprintf(expected, sizeof(expected), "<%u>1", priority);
	check_text(version, expected);
	check(strlen(stamp) == 27 && stamp[10] == 'T' && stamp[26] == 'Z');
	check_text(app, "qfwatch");
	check_equal(atoi(pid), getpid());
	check_text(id, action);
	check_text(sd, "-");
	check_equal(message[length], '{');
	return message + length;
}

static void udp_syslog(void)
{
	uint16_t port = 0;
	int reader = inet_socket(SOCK_DGRAM, &port);
	struct sockaddr_in nobody = {.sin_family = AF_INET,
				     .sin_port = htons(9),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char message[8192];
	ssize_t n;

	testing_need_loopback();
	begin((struct policy_sink){.type = POLICY_SINK_SYSLOG,
				   .transport = POLICY_UDP,
				   .path = (char *)"127.0.0.1",
				   .port = port,
				   .facility = 2});
	emit(1);
	events_emit(events, &(struct event){.action = EVENT_TIER_LOST, .text = "lost"});
	check(flush());
	for (int i = 1; i <= 2; i++) {
		const char *text;
		json_t *json;

		check(comes(reader));
		n = recv(reader, message, sizeof(message) - 2, 0);
		check(n > 0 && message[n - 1] == '}');
		message[n] = '\n';
		message[n + 1] = 0;
		text = check_header(message, i == 1 ? 2 * 8 + 6 : 2 * 8 + 3,
				    i == 1 ? "message-moved" : "tier-lost");
		json = lines_parse(text, strlen(text));
		check_equal(lines_number(json, "event/sequence"), i);
		check(strncmp(strchr(message, ' ') + 1, lines_text(json, "@timestamp"), 27) == 0);
		json_decref(json);
	}
	/* Nobody listens to us, but the port stays taken: that may be told by the kernel or not,
	 * and stops nobody. */
	check(connect(reader, (struct sockaddr *)&nobody, sizeof(nobody)) == 0);
	for (unsigned i = 0; i < 20; i++) {
		emit(i);
		events_flush(events, now += 10 * CLOCK_SECOND);
	}
	close(reader);
	finish();
}

/* Takes the messages of octet counting apart: one JSON line each. */
static void receive_counted(int fd)
{
	static char raw[1 << 16];
	static size_t length;
	ssize_t n;

	while ((n = read(fd, raw + length, sizeof(raw) - length)) > 0) {
		size_t at = 0;

		length += (size_t)n;
		for (;;) {
			const char *space = memchr(raw + at, ' ', length - at);
			size_t size = space ? strtoul(raw + at, NULL, 10) : 0;
			const char *text;
			size_t rest;

			if (!space || (size_t)(raw + length - space - 1) < size)
				break;
			text = memchr(space + 1, '{', size);
			check(text && space[1] == '<' && space[size] == '}');
			rest = (size_t)(space + 1 + size - text);
			memcpy(received + received_length, text, rest);
			received_length += rest;
			received[received_length++] = '\n';
			at = (size_t)(space + 1 + size - raw);
		}
		memmove(raw, raw + at, length - at);
		length -= at;
	}
	received[received_length] = 0;
}

static struct policy_sink tcp_sink(uint16_t port)
{
	return (struct policy_sink){.type = POLICY_SINK_SYSLOG,
				    .transport = POLICY_TCP,
				    .path = (char *)"127.0.0.1",
				    .port = port,
				    .facility = 2};
}

static void tcp_syslog(void)
{
	uint16_t port = 0;
	/* One that never listens keeps the port for us. */
	int keeper = inet_bound(SOCK_STREAM, &port), listener = inet_socket(SOCK_STREAM, &port);
	unsigned emitted = 0;
	int reader;

	testing_need_loopback();
	begin(tcp_sink(port));
	emit_many(&emitted, 200);
	flush_all();
	reader = accept_one(listener);
	drain(reader, receive_counted);
	all_accounted(200, false);
	/* The server is started anew. */
	close(reader);
	wait_for_end(listener);
	now += 2 * CLOCK_SECOND;
	emit_many(&emitted, 100);
	flush_all();
	reader = accept_one(listener);
	drain(reader, receive_counted);
	all_accounted(300, false);
	close(reader);
	wait_for_end(listener);
	close(listener);
	/* It is away for a while. */
	now += 2 * CLOCK_SECOND;
	emit_many(&emitted, 100);
	check(!flush());
	for (int i = 0; i < 5; i++)
		check(!(now += 60 * CLOCK_SECOND, flush()));
	listener = inet_socket(SOCK_STREAM, &port);
	flush_all();
	reader = accept_one(listener);
	drain(reader, receive_counted);
	all_accounted(400, false);
	close(reader);
	close(listener);
	close(keeper);
	finish();
}

/* Accepts and never reads. */
static void tcp_stalled(void)
{
	uint16_t port = 0;
	int listener = inet_socket(SOCK_STREAM, &port), reader, small = 65536;
	struct policy_sink sink;
	unsigned emitted = 0;

	testing_need_loopback();
	sink = tcp_sink(port);
	sink.buffer = buffer_size();
	check(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
	begin(sink);
	emit(++emitted);
	flush_all();
	reader = accept_one(listener);
	small_buffer(sink_end(listener));
	for (unsigned i = 0; i < (testing_slow() ? 8000 : 12000); i++) {
		emit(++emitted);
		if (i % 50 == 0)
			events_flush(events, now += 1000);
	}
	check(!flush() && events_crowded(events));
	drain(reader, receive_counted);
	check(!events_crowded(events));
	all_accounted(emitted, true);
	close(reader);
	close(listener);
	finish();
}

/* A local syslog takes datagrams, or else a stream. */
static void local_syslog(void)
{
	for (int stream = 0; stream < 2; stream++) {
		int fd = unix_socket(stream ? SOCK_STREAM : SOCK_DGRAM, "log"), reader = fd;
		const char *text, *second;

		begin((struct policy_sink){
			.type = POLICY_SINK_SYSLOG, .path = (char *)"log", .facility = 16});
		emit(1);
		emit(2);
		check(flush());
		if (stream)
			reader = accept_one(fd);
		forget();
		drain(reader, stream ? receive : receive_datagrams);
		text = check_header(received, 16 * 8 + 6, "message-moved");
		json_decref(lines_parse(text, (size_t)(strchr(text, '\n') + 1 - text)));
		second = check_header(strchr(text, '\n') + 1, 16 * 8 + 6, "message-moved");
		json_decref(lines_parse(second, strlen(second)));
		close(fd);
		if (stream)
			close(reader);
		check(unlink("log") == 0);
		events_free(events);
	}
	testing_all_closed();
}

/* ---- the journal ---- */

/* The value of a field of an entry in the native protocol; its length in *length. */
static const char *journal_field(const char *entry, size_t size, const char *name, size_t *length)
{
	const char *at = entry, *end = entry + size;

	while (at < end) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		const char *equals;

		check(line != NULL);
		equals = memchr(at, '=', (size_t)(line - at));
		if (equals) {
			*length = (size_t)(line - equals - 1);
			if (strncmp(at, name, strlen(name)) == 0 && at[strlen(name)] == '=')
				return equals + 1;
			at = line + 1;
		} else {
			uint64_t n;

			memcpy(&n, line + 1, sizeof(n));
			*length = (size_t)le64toh(n);
			if ((size_t)(line - at) == strlen(name) &&
			    strncmp(at, name, strlen(name)) == 0)
				return line + 1 + sizeof(n);
			at = line + 1 + sizeof(n) + *length;
			check(*at == '\n');
			at++;
		}
	}
	return NULL;
}

static void field_is(const char *entry, size_t size, const char *name, const char *expected)
{
	size_t length = 0;
	const char *value = journal_field(entry, size, name, &length);

	check(value && length == strlen(expected) && memcmp(value, expected, length) == 0);
}

static void journal(void)
{
	int reader = unix_socket(SOCK_DGRAM, "journal");
	char entry[8192];
	const char *value;
	json_t *json;
	size_t length, size;
	ssize_t n;

	begin((struct policy_sink){.type = POLICY_SINK_JOURNAL, .path = (char *)"journal"});
	emit(1);
	events_emit(events, &(struct event){.action = EVENT_MOVE_FAILED, .text = "two\nlines"});
	check(flush());
	n = recv(reader, entry, sizeof(entry), MSG_DONTWAIT);
	check(n > 0);
	size = (size_t)n;
	field_is(entry, size, "MESSAGE", "number 1");
	field_is(entry, size, "PRIORITY", "6");
	field_is(entry, size, "SYSLOG_IDENTIFIER", "qfwatch");
	field_is(entry, size, "QFWATCH_ACTION", "message-moved");
	field_is(entry, size, "QFWATCH_ID", "a\nb");
	field_is(entry, size, "QFWATCH_TIER", "QUEUE");
	field_is(entry, size, "QFWATCH_RULE", "a rule");
	value = journal_field(entry, size, "QFWATCH_EVENT", &length);
	check(value != NULL);
	json = lines_parse(value, length + 1);
	check_equal(lines_number(json, "event/sequence"), 1);
	json_decref(json);
	n = recv(reader, entry, sizeof(entry), MSG_DONTWAIT);
	check(n > 0);
	field_is(entry, (size_t)n, "MESSAGE", "two\nlines");
	field_is(entry, (size_t)n, "PRIORITY", "3");
	check(!journal_field(entry, (size_t)n, "QFWATCH_ID", &length));
	check(!journal_field(entry, (size_t)n, "QFWATCH_RULE", &length));
	close(reader);
	finish();
}

/* ---- files that rotate themselves ---- */

/* Reads path.N ... path.1, path. */
static void read_rotated(const char *path, unsigned keep, size_t most)
{
	forget();
	for (unsigned i = keep + 1; i-- > 0;) {
		char name[64], *text;
		size_t length;

		snprintf(name, sizeof(name), i ? "%s.%u" : "%s", path, i);
		if (!testing_exists(name))
			continue;
		text = testing_read(name, &length);
		check(length <= most && (length == 0 || text[length - 1] == '\n'));
		memcpy(received + received_length, text, length + 1);
		received_length += length;
		free(text);
	}
}

static void rotating(void)
{
	unsigned emitted = 0;

	begin((struct policy_sink){.type = POLICY_SINK_FILE,
				   .path = (char *)testing_path("log"),
				   .max_bytes = 65536,
				   .keep = 100});
	for (int i = 0; i < 100; i++) {
		emit_many(&emitted, i % 10 ? 1 : 300);
		check(flush());
	}
	read_rotated("log", 100, 65536);
	all_accounted(emitted, false);
	check(testing_exists("log.20") && !testing_exists("log.100"));
	/* Each is about full. */
	for (unsigned i = 1; i < 20; i++) {
		struct stat stat_;
		char name[16];

		snprintf(name, sizeof(name), "log.%u", i);
		check(stat(name, &stat_) == 0 && stat_.st_size > 60000);
	}
	finish();
}

/* The oldest go; what is left follows on each other. */
static void rotating_few(void)
{
	intmax_t last;
	unsigned emitted = 0, gaps;
	json_t *json;

	begin((struct policy_sink){.type = POLICY_SINK_FILE,
				   .path = (char *)testing_path("log"),
				   .max_bytes = 65536,
				   .keep = 3});
	emit_many(&emitted, 1500);
	check(flush());
	check(testing_exists("log.3") && !testing_exists("log.4"));
	read_rotated("log", 3, 65536);
	json = lines_parse(received, (size_t)(strchr(received, '\n') + 1 - received));
	last = lines_number(json, "event/sequence") - 1;
	json_decref(json);
	check(last > 0);
	check_equal(gaps_judge_on(received, &last, &gaps), 0);
	check_equal(last, emitted);
	/* A hole in the row is filled; nothing older goes for it. */
	testing_rename("log.3", "kept");
	testing_rename("log.1", "log.3");
	emit_many(&emitted, 100);
	check(flush());
	check(testing_exists("log.1") && testing_exists("log.2") && testing_exists("log.3"));
	finish();
}

/* What stands in the way of a rotation costs no line. */
static void cannot_rotate(void)
{
	unsigned emitted = 0;
	struct stat stat_;

	testing_mkdir("log.1");
	testing_mkdir("log.1/full");
	begin((struct policy_sink){.type = POLICY_SINK_FILE,
				   .path = (char *)testing_path("log"),
				   .max_bytes = 65536,
				   .keep = 1});
	emit_many(&emitted, 300);
	check(flush());
	check(stat("log", &stat_) == 0 && stat_.st_size > 65536);
	testing_remove("log.1");
	emit_many(&emitted, 300);
	check(flush());
	check(testing_exists("log.1"));
	/* Together they hold the end of it; with one kept, some are gone. */
	finish();
}

/* An operator's rotation in between: the new file is not taken for the one that is open. */
static void rotated_by_others(void)
{
	unsigned emitted = 0;

	begin((struct policy_sink){.type = POLICY_SINK_FILE,
				   .path = (char *)testing_path("log"),
				   .max_bytes = 65536,
				   .keep = 5});
	emit_many(&emitted, 10);
	check(flush());
	testing_rename("log", "theirs");
	testing_write("log", "made by somebody\n");
	/* No SIGHUP: it goes on in the old one until that is full, then by name. */
	emit_many(&emitted, 150);
	check(flush());
	check(!testing_exists("log.1"));
	{
		char *text = testing_read("log", NULL);
		char *old = testing_read("theirs", NULL);

		check(strncmp(text, "made by somebody\n", 17) == 0);
		forget();
		strcpy(received, old);
		strcat(received, text + 17);
		received_length = strlen(received);
		free(text);
		free(old);
	}
	all_accounted(emitted, false);
	finish();
}

/* ---- filters, buffers ---- */

static void filters(void)
{
	const uint32_t moved = 1u << EVENT_MESSAGE_MOVED;
	intmax_t last;
	unsigned gaps;

	begin((struct policy_sink){.type = POLICY_SINK_FILE,
				   .path = (char *)testing_path("all"),
				   .include = UINT32_MAX >> 1});
	sinks[1] = (struct policy_sink){
		.type = POLICY_SINK_FILE, .path = (char *)testing_path("some"), .exclude = moved};
	configure(2);
	for (unsigned i = 0; i < 30; i++) {
		emit(i);
		if (i % 3 == 0)
			events_emit(events,
				    &(struct event){.action = EVENT_RESYNCED, .text = "resynced"});
	}
	check(flush());
	read_rotated("all", 0, 1 << 20);
	check_equal(gaps_judge(received, &last, &gaps), 0);
	check_equal(last, 40);
	read_rotated("some", 0, 1 << 20);
	check_equal(gaps_judge(received, &last, &gaps), 0);
	check_equal(last, 10);
	check(!strstr(received, "message-moved"));
	/* A new filter: the numbers go on. */
	sinks[1].exclude = 0;
	configure(2);
	emit(0);
	check(flush());
	read_rotated("some", 0, 1 << 20);
	check_equal(gaps_judge(received, &last, &gaps), 0);
	check_equal(last, 11);
	finish();
}

/* Larger and smaller with lines in it: as many stay as there is room for. */
static void buffers(void)
{
	unsigned emitted = 0;
	int reader;

	check(mkfifo("fifo", 0600) == 0);
	begin((struct policy_sink){
		.type = POLICY_SINK_FIFO, .path = (char *)"fifo", .buffer = 65536});
	emit_many(&emitted, 500);
	check(!flush());
	check(events_dropped(events) > 300 && events_dropped(events) < 450);
	sinks[0].buffer = 4 << 20;
	configure(1);
	emit_many(&emitted, 3000);
	check(events_dropped(events) < 450);
	sinks[0].buffer = 1 << 20;
	configure(1);
	check(events_dropped(events) > 1000 && events_dropped(events) < 2500);
	now += 100 * CLOCK_SECOND;
	reader = open_fifo();
	drain(reader, receive);
	all_accounted(emitted, true);
	close(reader);
	finish();
}

/* At the end nobody waits for those that are gone. */
static void no_waiting_for_the_gone(void)
{
	int64_t before;

	check(mkfifo("fifo", 0600) == 0);
	begin((struct policy_sink){.type = POLICY_SINK_FIFO, .path = (char *)"fifo"});
	emit(1);
	check(!flush());
	before = clock_monotonic();
	check(!events_wait(events, 600 * CLOCK_SECOND));
	check((clock_monotonic() - before) / 1000000 < TESTING_OVERDUE);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(unix_stream),
		APART(never_read),
		APART(cut_line),
		APART(unix_datagram),
		APART(wrong_mode),
		APART(unix_datagram_stalled),
		APART(fifo),
		APART(fifo_stalled),
		APART(fifo_refused),
		APART(udp_syslog),
		APART(tcp_syslog),
		APART(tcp_stalled),
		APART(let_go),
		APART(local_syslog),
		APART(journal),
		APART(rotating),
		APART(rotating_few),
		APART(cannot_rotate),
		APART(rotated_by_others),
		APART(filters),
		APART(buffers),
		APART(no_waiting_for_the_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
