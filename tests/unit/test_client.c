/* test_client.c - asking over a Unix socket and TCP: answers whole, in pieces, broken off, refused;
 * nobody there, nothing to ask, somebody else's server; tokens; several at once; targets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/client.h"

#include "../support/testing.h"

/* ---- a server: gives the same bytes to whoever asks, then closes ---- */

struct server {
	int fd;
	const char *answer;
	char asked[4096]; /* the last request */
	pthread_t thread;
};

static void say(int fd, const char *text, size_t length)
{
	ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

	check(n == (ssize_t)length || (n < 0 && (errno == EPIPE || errno == ECONNRESET)));
}

static void *serve(void *context)
{
	struct server *server = context;
	int fd;

	while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
		size_t used = 0;
		ssize_t n;

		while (used + 1 < sizeof server->asked &&
		       (n = read(fd, server->asked + used, sizeof server->asked - 1 - used)) > 0) {
			used += (size_t)n;
			server->asked[used] = 0;
			if (strstr(server->asked, "\r\n\r\n"))
				break;
		}
		/* In two pieces; who has heard enough of the first hangs up. */
		say(fd, server->answer, strlen(server->answer) / 2);
		say(fd, server->answer + strlen(server->answer) / 2,
		    strlen(server->answer) - strlen(server->answer) / 2);
		close(fd);
	}
	return NULL;
}

static void start(struct server *server, const char *answer)
{
	server->answer = answer;
	check_equal(listen(server->fd, 16), 0);
	check_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static struct policy_listen on_socket(struct server *server, const char *answer)
{
	/* Not absolute: the test's folder may be too deep for an address. */
	static char path[] = "sock";
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(address.sun_path, path);
	unlink(path);
	server->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	check_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
	start(server, answer);
	return (struct policy_listen){.address = "unix:sock", .path = path};
}

/* A port of its own, on which nobody listens yet. */
static struct policy_listen tcp_port(struct server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;

	server->fd = socket(AF_INET, SOCK_STREAM, 0);
	check_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
	check_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
	return (struct policy_listen){
		.address = "tcp", .host = "127.0.0.1", .port = ntohs(address.sin_port)};
}

static struct policy_listen on_tcp(struct server *server, const char *answer)
{
	struct policy_listen config = tcp_port(server);

	start(server, answer);
	return config;
}

static void stop(struct server *server)
{
	shutdown(server->fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->fd);
}

/* ---- asking ---- */

static struct client *open_client(const struct policy_listen *config)
{
	struct client *client = NULL;
	struct client_trouble trouble;

	check_equal(client_new(config, "/etc/policy.json", &client, &trouble), 0);
	return client;
}

/* What one request meets; its text in *ret where there is one. */
static struct client_trouble ask(const struct policy_listen *config, char **ret)
{
	struct client *client = open_client(config);
	struct client_trouble trouble;
	size_t length = 0;

	*ret = client_fetch(client, "/x?y=z", &length, &trouble);
	check((*ret == NULL) == (trouble.failure != CLIENT_NO_FAILURE));
	if (*ret)
		check_equal(strlen(*ret), length);
	client_free(client);
	return trouble;
}

#define OK "HTTP/1.1 200 OK\r\n"

static void whole_answers(void)
{
	static const char *const answers[] = {
		OK "Content-Length: 5\r\n\r\nhello",
		OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		OK "Connection: close\r\n\r\nhello",
	};

	const bool tcp = testing_loopback();

	for (size_t i = 0; i < 2 * N(answers); i++) {
		struct server server = {0};
		struct policy_listen config = i % 2 && tcp ? on_tcp(&server, answers[i / 2])
							   : on_socket(&server, answers[i / 2]);
		char *text;

		/* Nobody of the environment is asked instead. */
		setenv("http_proxy", "http://127.0.0.1:1", 1);
		check_equal(ask(&config, &text).failure, CLIENT_NO_FAILURE);
		check_text(text, "hello");
		free(text);
		stop(&server);
		check(strncmp(server.asked, "GET /x?y=z HTTP/1.1\r\n", 21) == 0);
		check(!strstr(server.asked, "Authorization"));
	}
}

static void an_empty_answer(void)
{
	struct server server = {0};
	struct policy_listen config = on_socket(&server, OK "Content-Length: 0\r\n\r\n");
	char *text;

	check_equal(ask(&config, &text).failure, CLIENT_NO_FAILURE);
	check_text(text, "");
	free(text);
	stop(&server);
}

static void failures(void)
{
	static const struct {
		const char *answer;
		enum client_failure failure;
		const char *reason, *remedy;
	} table[] = {
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 59\r\n\r\n"
		 "{\"error\":{\"status\":404,\"reason\":\"no such\",\"remedy\":\"look\"}}",
		 CLIENT_REFUSED, "no such", "look"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n{\"error\":{\"reason\":\"wrong\"}}",
		 CLIENT_REFUSED, "wrong", ""},
		{"HTTP/1.1 404 Not Found\r\n\r\n<html>nothing here</html>", CLIENT_STRANGE,
		 "what answers at unix:sock is no qfwatch (HTTP status 404)", NULL},
		{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", CLIENT_STRANGE,
		 "what answers at unix:sock is no qfwatch (HTTP status 302)", NULL},
		{"HTTP/1.1 401 Unauthorized\r\n\r\n{}", CLIENT_FORBIDDEN,
		 "unix:sock does not take the token", NULL},
		{"220 mx.example.test ESMTP\r\n", CLIENT_STRANGE,
		 "what answers at unix:sock is no qfwatch", NULL},
		{OK "Content-Length: 50\r\n\r\nhello", CLIENT_SILENT, NULL, NULL},
		{OK "Transfer-Encoding: chunked\r\n\r\n9\r\nhe", CLIENT_SILENT, NULL, NULL},
		{"", CLIENT_SILENT, NULL, NULL},
	};

	for (size_t i = 0; i < N(table); i++) {
		struct server server = {0};
		struct policy_listen config = on_socket(&server, table[i].answer);
		char *text;
		struct client_trouble trouble = ask(&config, &text);

		if (trouble.failure != table[i].failure)
			fprintf(stderr, "%s: %s\n", table[i].answer, trouble.reason);
		check_equal(trouble.failure, table[i].failure);
		if (table[i].reason)
			check_text(trouble.reason, table[i].reason);
		if (table[i].remedy)
			check_text(trouble.remedy, table[i].remedy);
		else
			check(trouble.remedy[0]);
		stop(&server);
	}
}

static void nobody(void)
{
	struct server server = {0};
	struct policy_listen config = on_socket(&server, ""), none = {0};
	struct client *client = NULL;
	struct client_trouble trouble;
	char *text;

	stop(&server);
	trouble = ask(&config, &text);
	check_equal(trouble.failure, CLIENT_NOBODY);
	check_text(trouble.reason, "no daemon answers at unix:sock (Connection refused)");
	unlink(config.path);
	trouble = ask(&config, &text);
	check_equal(trouble.failure, CLIENT_NOBODY);
	check_text(trouble.reason, "no daemon answers at unix:sock (No such file or directory)");
	config = tcp_port(&server);
	check_equal(ask(&config, &text).failure, CLIENT_NOBODY);
	close(server.fd);
	check_equal(client_new(&none, "/etc/policy.json", &client, &trouble), -1);
	check_equal(trouble.failure, CLIENT_NOWHERE);
	check_text(trouble.reason,
		   "/etc/policy.json has no \"listen\", so the daemon cannot be asked");
}

static void forbidden(void)
{
	struct server server = {0};
	struct policy_listen config = on_socket(&server, OK "\r\n");
	struct client_trouble trouble;
	char *text;

	check_equal(chmod(config.path, 0600), 0);
	check_equal(chmod(testing_path("."), 0755), 0);
	testing_need_root();
	testing_drop_rights();
	trouble = ask(&config, &text);
	check_equal(trouble.failure, CLIENT_FORBIDDEN);
	check_text(trouble.reason, "unix:sock may not be used by this user");
	check(strstr(trouble.remedy, config.path));
	stop(&server);
}

static void tokens(void)
{
	struct server server = {0};
	struct policy_listen config =
		testing_loopback() ? on_tcp(&server, OK "Content-Length: 2\r\n\r\nok")
				   : on_socket(&server, OK "Content-Length: 2\r\n\r\nok");
	struct client *client = NULL;
	struct client_trouble trouble;
	char path[PATH_MAX], *text;

	snprintf(path, sizeof path, "%s", testing_path("token"));
	testing_write("token", "0123456789abcdef\nnot this\n");
	check_equal(chmod(path, 0600), 0);
	config.token_file = path;
	check_equal(ask(&config, &text).failure, CLIENT_NO_FAILURE);
	check(strstr(server.asked, "\r\nAuthorization: Bearer 0123456789abcdef\r\n"));
	free(text);
	unlink(path);
	check_equal(client_new(&config, "p", &client, &trouble), -1);
	check_equal(trouble.failure, CLIENT_FORBIDDEN);
	check(strstr(trouble.reason, path));
	stop(&server);
}

/* ---- several at once, and enough ---- */

struct heard {
	unsigned pieces, ended;
	size_t most, length;
	struct client_trouble trouble;
};

static bool hear(void *context, const char *bytes, size_t length)
{
	struct heard *heard = context;

	(void)bytes;
	heard->pieces++;
	heard->length += length;
	return heard->length <= heard->most;
}

static void ended(void *context, const struct client_trouble *trouble)
{
	struct heard *heard = context;

	heard->ended++;
	heard->trouble = *trouble;
}

static void several(void)
{
	struct server server = {0};
	struct policy_listen config = on_socket(&server, OK "Content-Length: 10\r\n\r\n0123456789");
	struct client *client = open_client(&config);
	struct heard heard[5] = {{.most = 99}, {.most = 99}, {.most = 1}, {.most = 99}, {0}};
	struct client_request *given_up = NULL;
	struct client_trouble trouble;

	for (int i = 0; i < 4; i++) {
		struct client_request *request = client_begin(client, "/", hear, ended, &heard[i]);

		if (i == 3)
			given_up = request;
	}
	client_cancel(given_up);
	while (!heard[0].ended || !heard[1].ended || !heard[2].ended)
		client_work(client, NULL, 0, 1000);
	check_equal(heard[0].length, 10);
	check_equal(heard[0].trouble.failure, CLIENT_NO_FAILURE);
	check_equal(heard[1].length, 10);
	check_equal(heard[2].trouble.failure, CLIENT_STOPPED);
	check_equal(heard[3].ended, 0);
	check_equal(client_get(client, "/", hear, &heard[4], &trouble), -1);
	check_equal(trouble.failure, CLIENT_STOPPED);
	/* One that is under way ends with the client. */
	client_begin(client, "/", hear, ended, &heard[3]);
	client_free(client);
	check_equal(heard[3].ended, 0);
	client_free(NULL);
	stop(&server);
}

/* Something else to wait for. */
static void other_descriptors(void)
{
	struct server server = {0};
	struct policy_listen config = on_socket(&server, OK "\r\n");
	struct client *client = open_client(&config);
	struct pollfd fds[2];
	int a[2], b[2];

	check_equal(pipe(a), 0);
	check_equal(pipe(b), 0);
	fds[0] = (struct pollfd){.fd = a[0], .events = POLLIN};
	fds[1] = (struct pollfd){.fd = b[0], .events = POLLIN};
	check_equal(write(b[1], "x", 1), 1);
	client_work(client, fds, 2, 60000);
	check(!fds[0].revents);
	check(fds[1].revents);
	client_free(client);
	stop(&server);
}

static void targets(void)
{
	char *target = strdup("/api"), all[256] = "", *encoded;

	target = client_query(target, "a", "1");
	target = client_query(target, "b", "x y&=?#%+\303\274\033");
	check_text(target, "/api?a=1&b=x%20y%26%3D%3F%23%25%2B%C3%BC%1B");
	free(target);
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	encoded = client_query(strdup("/"), "k", all);
	for (const char *c = encoded; *c; c++)
		check(*c > ' ' && *c <= '~');
	free(encoded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(whole_answers), APART(an_empty_answer),	APART(failures),
		APART(nobody),	      APART(forbidden),		APART(tokens),
		APART(several),	      APART(other_descriptors), APART(targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
