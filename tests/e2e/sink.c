/* sink.c - a small SMTP server on the loopback that defers, stalls and stores as the tests want it.
 *
 * usage: sink DIR
 *
 * It picks a free port, writes its number to DIR/port and serves until it is killed. What it
 * answers stands in the words of the recipient's local part, separated by dots:
 *   defer      451 at RCPT, until the first line of DIR/control is "accept"
 *   deferN     451 at RCPT the first N times that this recipient is named, then 250
 *   reject     550 at RCPT
 *   stall      before the answer to RCPT, waits until DIR/release is there; DIR/stalled is there
 *              meanwhile
 *   stalldata  the same before the answer to the end of DATA, when the message is stored already
 * so that stall.defer@example.net is held, then deferred. Any other word means nothing: it makes
 * addresses different.
 *
 * Each accepted message is stored as three files named by a sequence: DIR/mail/000001.data as it
 * came (CRLF, dots unstuffed), .to with one recipient a line, and .body, which comes last: what
 * follows the header, with LF line ends. DIR/log has a line for each answer to RCPT and DATA.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_RECIPIENTS 256
#define MAX_LINE       4096

/* How often a recipient has been deferred. */
struct counter {
	struct counter *next;
	unsigned deferred;
	char address[];
};

struct session {
	FILE *in;
	FILE *out;
	char *recipients[MAX_RECIPIENTS];
	size_t n_recipients;
};

/* What all connections share, under the mutex. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct counter *counters;
static unsigned stored;
static unsigned stalled;
static FILE *log_file;

static const char *folder;

static void die(const char *what)
{
	fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(log_file, format, arguments);
	va_end(arguments);
	fflush(log_file);
}

static char *path_of(char *buffer, size_t size, const char *name)
{
	if (snprintf(buffer, size, "%s/%s", folder, name) >= (int)size) {
		errno = ENAMETOOLONG;
		die(folder);
	}
	return buffer;
}

static bool exists(const char *name)
{
	char path[MAX_LINE];

	return access(path_of(path, sizeof(path), name), F_OK) == 0;
}

/* Writes a file whole: it appears under its name when its content is complete. */
static void write_file(const char *name, const char *data, size_t length)
{
	char path[MAX_LINE];
	char temporary[MAX_LINE + 4];
	FILE *file;

	path_of(path, sizeof(path), name);
	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	file = fopen(temporary, "w");
	if (!file || fwrite(data, 1, length, file) != length || fclose(file) != 0 ||
	    rename(temporary, path) != 0)
		die(path);
}

static bool control_says_accept(void)
{
	char path[MAX_LINE];
	char line[64] = "";
	FILE *file = fopen(path_of(path, sizeof(path), "control"), "r");

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strncmp(line, "accept", 6) == 0;
}

static unsigned *deferred_so_far(const char *address)
{
	struct counter *counter;
	size_t length = strlen(address) + 1;

	for (counter = counters; counter; counter = counter->next)
		if (strcmp(counter->address, address) == 0)
			return &counter->deferred;
	counter = malloc(sizeof(*counter) + length);
	if (!counter)
		die("malloc");
	memcpy(counter->address, address, length);
	counter->deferred = 0;
	counter->next = counters;
	counters = counter;
	return &counter->deferred;
}

/* Holds the connection until DIR/release is there. */
static void stall(const char *address)
{
	const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
	char path[MAX_LINE];

	pthread_mutex_lock(&mutex);
	if (stalled++ == 0)
		write_file("stalled", "", 0);
	note("stall %s\n", address);
	pthread_mutex_unlock(&mutex);

	while (!exists("release"))
		nanosleep(&pause, NULL);

	pthread_mutex_lock(&mutex);
	if (--stalled == 0)
		unlink(path_of(path, sizeof(path), "stalled"));
	note("go on %s\n", address);
	pthread_mutex_unlock(&mutex);
}

/* The next word of a local part, copied; returns what follows it, NULL at the end. */
static const char *next_word(const char *at, char *word, size_t size)
{
	size_t length;

	if (*at == '\0' || *at == '@')
		return NULL;
	length = strcspn(at, ".@");
	snprintf(word, size, "%.*s", (int)length, at);
	return at + length + (at[length] == '.');
}

static bool has_word(const char *address, const char *wanted)
{
	char word[64];

	for (const char *at = address; (at = next_word(at, word, sizeof(word)));)
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}

/* The answer to RCPT. */
static int judge(const char *address)
{
	char word[64];
	int answer = 250;

	if (has_word(address, "stall"))
		stall(address);
	pthread_mutex_lock(&mutex);
	for (const char *at = address; (at = next_word(at, word, sizeof(word)));) {
		if (strcmp(word, "reject") == 0) {
			answer = 550;
		} else if (strcmp(word, "defer") == 0) {
			if (!control_says_accept())
				answer = 451;
		} else if (strncmp(word, "defer", 5) == 0 && isdigit((unsigned char)word[5])) {
			unsigned *deferred = deferred_so_far(address);

			if (*deferred < strtoul(word + 5, NULL, 10)) {
				++*deferred;
				answer = 451;
			}
		}
	}
	note("%d %s\n", answer, address);
	pthread_mutex_unlock(&mutex);
	return answer;
}

static void store(const struct session *session, const char *data, size_t length)
{
	char name[64];
	char *recipients = NULL;
	size_t recipients_length = 0;
	FILE *list = open_memstream(&recipients, &recipients_length);
	char *body;
	const char *text;
	size_t n = 0;

	if (!list)
		die("open_memstream");
	for (size_t i = 0; i < session->n_recipients; i++)
		fprintf(list, "%s\n", session->recipients[i]);
	fclose(list);

	text = memmem(data, length, "\r\n\r\n", 4);
	text = text ? text + 4 : data + length;
	body = malloc(length + 1);
	if (!body)
		die("malloc");
	for (const char *at = text; at < data + length; at++)
		if (!(at[0] == '\r' && at + 1 < data + length && at[1] == '\n'))
			body[n++] = *at;

	pthread_mutex_lock(&mutex);
	stored++;
	snprintf(name, sizeof(name), "mail/%06u.data", stored);
	write_file(name, data, length);
	snprintf(name, sizeof(name), "mail/%06u.to", stored);
	write_file(name, recipients, recipients_length);
	snprintf(name, sizeof(name), "mail/%06u.body", stored);
	write_file(name, body, n);
	for (size_t i = 0; i < session->n_recipients; i++)
		note("stored %06u %s\n", stored, session->recipients[i]);
	pthread_mutex_unlock(&mutex);
	free(body);
	free(recipients);
}

static void forget(struct session *session)
{
	while (session->n_recipients)
		free(session->recipients[--session->n_recipients]);
}

static void reply(const struct session *session, const char *text)
{
	fprintf(session->out, "%s\r\n", text);
	fflush(session->out);
}

/* "RCPT TO:<a@b> ..." -> "a@b" in lower case, to be freed; NULL when it is nothing of the kind. */
static char *address_of(const char *line)
{
	const char *from = strchr(line, '<');
	const char *to = from ? strchr(from, '>') : NULL;
	char *address;

	if (!to)
		return NULL;
	address = strndup(from + 1, (size_t)(to - from - 1));
	for (char *c = address; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return address;
}

static void recipient(struct session *session, const char *line)
{
	char *address = address_of(line);

	if (!address || session->n_recipients == MAX_RECIPIENTS) {
		reply(session, "501 5.5.4 what is that");
		free(address);
		return;
	}
	switch (judge(address)) {
	case 451:
		reply(session, "451 4.7.1 come again");
		free(address);
		break;
	case 550:
		reply(session, "550 5.1.1 nobody here");
		free(address);
		break;
	default:
		session->recipients[session->n_recipients++] = address;
		reply(session, "250 2.1.5 fine");
	}
}

/* Reads a message and stores it. Returns false when the connection broke. */
static bool data(struct session *session)
{
	char *text = NULL;
	size_t length = 0;
	FILE *message;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	bool complete = false;

	if (!session->n_recipients) {
		reply(session, "503 5.5.1 for whom");
		return true;
	}
	reply(session, "354 go on");
	message = open_memstream(&text, &length);
	if (!message)
		die("open_memstream");
	while ((n = getline(&line, &size, session->in)) > 0) {
		if (strcmp(line, ".\r\n") == 0) {
			complete = true;
			break;
		}
		fwrite(line[0] == '.' ? line + 1 : line, 1, (size_t)n - (line[0] == '.'), message);
	}
	fclose(message);
	free(line);
	if (complete) {
		store(session, text, length);
		for (size_t i = 0; i < session->n_recipients; i++)
			if (has_word(session->recipients[i], "stalldata"))
				stall(session->recipients[i]);
		reply(session, "250 2.0.0 stored");
	}
	free(text);
	forget(session);
	return complete;
}

static void *serve(void *argument)
{
	struct session session = {0};
	int fd = (int)(long)argument;
	char *line = NULL;
	size_t size = 0;

	session.in = fdopen(fd, "r");
	session.out = fdopen(dup(fd), "w");
	if (!session.in || !session.out)
		die("fdopen");
	reply(&session, "220 sink.example.test ESMTP");
	while (getline(&line, &size, session.in) > 0) {
		if (strncasecmp(line, "EHLO", 4) == 0) {
			reply(&session, "250-sink.example.test\r\n250 8BITMIME");
		} else if (strncasecmp(line, "MAIL", 4) == 0 || strncasecmp(line, "RSET", 4) == 0) {
			forget(&session);
			reply(&session, "250 2.0.0 fine");
		} else if (strncasecmp(line, "HELO", 4) == 0 || strncasecmp(line, "NOOP", 4) == 0) {
			reply(&session, "250 2.0.0 fine");
		} else if (strncasecmp(line, "RCPT", 4) == 0) {
			recipient(&session, line);
		} else if (strncasecmp(line, "DATA", 4) == 0) {
			if (!data(&session))
				break;
		} else if (strncasecmp(line, "QUIT", 4) == 0) {
			reply(&session, "221 2.0.0 bye");
			break;
		} else {
			reply(&session, "500 5.5.1 what is that");
		}
	}
	forget(&session);
	free(line);
	fclose(session.in);
	fclose(session.out);
	return NULL;
}

/* Listens on a free port of the loopback and tells its number. */
static int listen_somewhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	char text[16];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, 64) != 0 || getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		die("listen");
	snprintf(text, sizeof(text), "%u\n", (unsigned)ntohs(address.sin_port));
	write_file("port", text, strlen(text));
	return fd;
}

int main(int argc, char **argv)
{
	char path[MAX_LINE];
	pthread_attr_t detached;
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: sink DIR\n");
		return 2;
	}
	folder = argv[1];
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed leaves no server behind */
	signal(SIGPIPE, SIG_IGN);
	if (mkdir(path_of(path, sizeof(path), "mail"), 0700) != 0 && errno != EEXIST)
		die(path);
	log_file = fopen(path_of(path, sizeof(path), "log"), "a");
	if (!log_file)
		die(path);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	listener = listen_somewhere();
	for (;;) {
		pthread_t thread;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			die("accept");
		}
		if (pthread_create(&thread, &detached, serve, (void *)(long)fd) != 0)
			close(fd);
	}
}
