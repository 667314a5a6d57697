/* client.c - see client.h
 *
 * A request fails in one of three places: connecting (then errno says whether nobody is there or we
 * may not), the status of the answer (then its body has the daemon's words), or on the way (then it
 * is told what broke off). Each becomes a reason and a remedy here, so that no command has to know
 * libcurl's.
 */
#include "qfwatch/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qfwatch/library.h"
#include "qfwatch/listener.h"
#include "qfwatch/xalloc.h"

/* Milliseconds to connect; seconds without a byte until a daemon counts as silent: where the answer
 * is made of what it has in memory, and for others, of which some take their time and events send
 * something every 15 s. */
enum { CONNECT = 5000, SILENCE_AT_ONCE = 10, SILENCE = 40 };

/* More of an error's body is not kept. */
enum { WORDS = 8192 };

/* libcurl's functions, loaded with the first client; each named as there, without curl_. */
static struct {
	typeof(curl_easy_cleanup) *easy_cleanup;
	typeof(curl_easy_getinfo) *easy_getinfo;
	typeof(curl_easy_init) *easy_init;
	typeof(curl_easy_setopt) *easy_setopt;
	typeof(curl_easy_strerror) *easy_strerror;
	typeof(curl_global_init) *global_init;
	typeof(curl_multi_add_handle) *multi_add_handle;
	typeof(curl_multi_cleanup) *multi_cleanup;
	typeof(curl_multi_info_read) *multi_info_read;
	typeof(curl_multi_init) *multi_init;
	typeof(curl_multi_perform) *multi_perform;
	typeof(curl_multi_poll) *multi_poll;
	typeof(curl_multi_remove_handle) *multi_remove_handle;
	typeof(curl_slist_append) *slist_append;
	typeof(curl_slist_free_all) *slist_free_all;
} curl;

struct client {
	CURLM *multi;
	char *address; /* as the policy has it */
	char *base;    /* "http://localhost", "http://127.0.0.1:8025" */
	char *path;    /* of the Unix socket, or NULL */
	char *policy_path;
	struct curl_slist *headers;
	struct client_request *requests;
};

struct client_request {
	struct client *client;
	struct client_request *next;
	CURL *easy;
	client_take *take;
	void (*done)(void *context, const struct client_trouble *trouble);
	void *context;
	bool stopped;
	char error[CURL_ERROR_SIZE];
	char words[WORDS];
	size_t n_words;
};

/* ---- where ---- */

static void tell(struct client_trouble *trouble, enum client_failure failure, const char *reason,
		 const char *remedy)
{
	trouble->failure = failure;
	snprintf(trouble->reason, sizeof trouble->reason, "%s", reason);
	snprintf(trouble->remedy, sizeof trouble->remedy, "%s", remedy);
}

static int read_token(const struct policy_listen *listen, struct client *client,
		      struct client_trouble *trouble)
{
	char token[LISTENER_TOKEN_MOST + 1], *header;
	struct problems problems = {0};

	if (listener_read_token(listen, token, &problems) < 0) {
		tell(trouble, CLIENT_FORBIDDEN,
		     problems.count ? problems.list[0].text : "the token cannot be read",
		     "ask as the user that runs qfwatch, or as root");
		problems_free(&problems);
		return -1;
	}
	if (*token) {
		header = xasprintf("Authorization: Bearer %s", token);
		client->headers = curl.slist_append(client->headers, header);
		free(header);
	}
	return 0;
}

/* Who listens on every address is reached on this machine. */
static const char *host_of(const char *host)
{
	if (strcmp(host, "0.0.0.0") == 0)
		return "127.0.0.1";
	return strcmp(host, "::") == 0 ? "::1" : host;
}

static const char *load(void)
{
	static const char *const names[] = {"libcurl-gnutls.so.4", "libcurl.so.4", NULL};
	static const struct library_symbol symbols[] = {
		{"curl_easy_cleanup", &curl.easy_cleanup},
		{"curl_easy_getinfo", &curl.easy_getinfo},
		{"curl_easy_init", &curl.easy_init},
		{"curl_easy_setopt", &curl.easy_setopt},
		{"curl_easy_strerror", &curl.easy_strerror},
		{"curl_global_init", &curl.global_init},
		{"curl_multi_add_handle", &curl.multi_add_handle},
		{"curl_multi_cleanup", &curl.multi_cleanup},
		{"curl_multi_info_read", &curl.multi_info_read},
		{"curl_multi_init", &curl.multi_init},
		{"curl_multi_perform", &curl.multi_perform},
		{"curl_multi_poll", &curl.multi_poll},
		{"curl_multi_remove_handle", &curl.multi_remove_handle},
		{"curl_slist_append", &curl.slist_append},
		{"curl_slist_free_all", &curl.slist_free_all},
	};

	return library_load(names, symbols, sizeof symbols / sizeof *symbols);
}

int client_new(const struct policy_listen *listen, const char *policy_path, struct client **ret,
	       struct client_trouble *trouble)
{
	struct client *client;
	const char *wrong;

	*trouble = (struct client_trouble){0};
	if (!listen->address) {
		tell(trouble, CLIENT_NOWHERE, "", "");
		snprintf(trouble->reason, sizeof trouble->reason,
			 "%s has no \"listen\", so the daemon cannot be asked", policy_path);
		snprintf(trouble->remedy, sizeof trouble->remedy,
			 "add \"listen\": \"unix:/run/qfwatch/http.sock\" and reload the daemon "
			 "(SIGHUP)");
		return -1;
	}
	wrong = load();
	if (wrong) {
		tell(trouble, CLIENT_NOWHERE, "", "install the package libcurl3-gnutls");
		snprintf(trouble->reason, sizeof trouble->reason,
			 "libcurl, which asks the daemon, cannot be loaded: %s", wrong);
		return -1;
	}
	client = xcalloc(1, sizeof *client);
	if (read_token(listen, client, trouble) < 0) {
		free(client);
		return -1;
	}
	curl.global_init(CURL_GLOBAL_DEFAULT);
	client->multi = curl.multi_init();
	client->address = xstrdup(listen->address);
	client->policy_path = xstrdup(policy_path);
	if (listen->path) {
		client->path = xstrdup(listen->path);
		client->base = xstrdup("http://localhost");
	} else {
		const char *host = host_of(listen->host);

		client->base = xasprintf(strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u",
					 host, listen->port);
	}
	*ret = client;
	return 0;
}

static void end(struct client_request *request)
{
	struct client_request **at = &request->client->requests;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
	curl.multi_remove_handle(request->client->multi, request->easy);
	curl.easy_cleanup(request->easy);
	free(request);
}

void client_cancel(struct client_request *request)
{
	end(request);
}

void client_free(struct client *client)
{
	if (!client)
		return;
	while (client->requests)
		end(client->requests);
	curl.multi_cleanup(client->multi);
	curl.slist_free_all(client->headers);
	free(client->address);
	free(client->base);
	free(client->path);
	free(client->policy_path);
	free(client);
}

/* ---- what went wrong ---- */

static void tell_errno(const struct client *client, int error, struct client_trouble *trouble)
{
	char reason[512], remedy[512];

	if (error == EACCES || error == EPERM) {
		snprintf(reason, sizeof reason, "%s may not be used by this user", client->address);
		snprintf(remedy, sizeof remedy,
			 "become a member of its group (ls -l %s), or ask as root",
			 client->path ? client->path : "of the socket");
		tell(trouble, CLIENT_FORBIDDEN, reason, remedy);
		return;
	}
	snprintf(reason, sizeof reason, "no daemon answers at %s%s%s%s", client->address,
		 error ? " (" : "", error ? strerror(error) : "", error ? ")" : "");
	snprintf(remedy, sizeof remedy,
		 "start it (qfwatch run, systemctl start qfwatch); one that runs already has "
		 "another "
		 "policy: reload it, or name that with -c");
	tell(trouble, CLIENT_NOBODY, reason, remedy);
}

/* libcurl does not always tell the errno of a Unix socket, so that is asked for once more. */
static int connect_errno(const struct client *client, CURL *easy)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	long error = 0;
	int fd;

	curl.easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
	if (!client->path || error)
		return (int)error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	strncpy(address.sun_path, client->path, sizeof address.sun_path - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		error = errno;
	close(fd);
	return (int)error;
}

/* {"error":{"status":404,"reason":"...","remedy":"..."}} */
static bool read_words(const struct client_request *request, struct client_trouble *trouble)
{
	json_t *all = json_loadb(request->words, request->n_words, 0, NULL);
	json_t *error = json_object_get(all, "error");
	const char *reason = json_string_value(json_object_get(error, "reason"));
	const char *remedy = json_string_value(json_object_get(error, "remedy"));

	if (reason)
		tell(trouble, CLIENT_REFUSED, reason, remedy ? remedy : "");
	json_decref(all);
	return reason != NULL;
}

static void tell_status(const struct client_request *request, int status,
			struct client_trouble *trouble)
{
	const struct client *client = request->client;
	char reason[512];

	trouble->status = status;
	if (status == 401) {
		snprintf(reason, sizeof reason, "%s does not take the token", client->address);
		tell(trouble, CLIENT_FORBIDDEN, reason,
		     "give the same policy and token_file as the daemon has (-c)");
		return;
	}
	if (read_words(request, trouble))
		return;
	snprintf(reason, sizeof reason, "what answers at %s is no qfwatch (HTTP status %d)",
		 client->address, status);
	tell(trouble, CLIENT_STRANGE, reason, "find out who listens there, or change \"listen\"");
}

static void judge(struct client_request *request, CURLcode code, struct client_trouble *trouble)
{
	struct client *client = request->client;
	char reason[sizeof trouble->reason];
	long status = 0;

	*trouble = (struct client_trouble){0};
	curl.easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (request->stopped) {
		tell(trouble, CLIENT_STOPPED, "stopped", "");
	} else if (status && status != 200) {
		tell_status(request, (int)status, trouble);
	} else if (code == CURLE_OK) {
		return;
	} else if (code == CURLE_COULDNT_CONNECT) {
		tell_errno(client, connect_errno(client, request->easy), trouble);
	} else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
		snprintf(reason, sizeof reason, "what answers at %s is no qfwatch",
			 client->address);
		tell(trouble, CLIENT_STRANGE, reason,
		     "find out who listens there, or change \"listen\"");
	} else if (code == CURLE_OPERATION_TIMEDOUT) {
		snprintf(reason, sizeof reason, "the daemon at %s has been silent for too long",
			 client->address);
		tell(trouble, CLIENT_SILENT, reason,
		     "it is stopped, overloaded, or waits for a disk: "
		     "ps -C qfwatch -o pid,stat,wchan:20,args");
	} else {
		snprintf(reason, sizeof reason, "the answer from %s broke off: %s", client->address,
			 *request->error ? request->error : curl.easy_strerror(code));
		tell(trouble, CLIENT_SILENT, reason,
		     "ask again; if that does not help, see what the daemon has logged");
	}
}

/* ---- requests ---- */

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
	struct client_request *request = context;
	size_t length = size * count, room = WORDS - request->n_words;
	long status = 0;

	curl.easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		if (length < room)
			room = length;
		memcpy(request->words + request->n_words, bytes, room);
		request->n_words += room;
		return length;
	}
	if (request->take(request->context, bytes, length))
		return length;
	request->stopped = true;
	return 0;
}

static bool is_at_once(const char *target)
{
	return strcmp(target, "/api/v1/status") == 0 || strcmp(target, "/api/v1/tiers") == 0;
}

struct client_request *
client_begin(struct client *client, const char *target, client_take *taker,
	     void (*done)(void *context, const struct client_trouble *trouble), void *context)
{
	struct client_request *request = xcalloc(1, sizeof *request);
	char *url = xasprintf("%s%s", client->base, target);
	CURL *easy = request->easy = curl.easy_init();

	request->client = client;
	request->take = taker;
	request->done = done;
	request->context = context;
	request->next = client->requests;
	client->requests = request;
	curl.easy_setopt(easy, CURLOPT_URL, url);
	free(url);
	if (client->path)
		curl.easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->path);
	/* Nothing but what the policy says: no proxy of the environment, no redirection. */
	curl.easy_setopt(easy, CURLOPT_PROXY, "");
	curl.easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
	curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
	curl.easy_setopt(easy, CURLOPT_USERAGENT, "qfwatch/" QFWATCH_VERSION);
	curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT);
	curl.easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl.easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
			 (long)(is_at_once(target) ? SILENCE_AT_ONCE : SILENCE));
	curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl.easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
	curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl.easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl.multi_add_handle(client->multi, easy);
	return request;
}

/* Returns whether any has ended. */
static bool finish(struct client *client)
{
	bool any = false;
	CURLMsg *message;
	int left;

	while ((message = curl.multi_info_read(client->multi, &left))) {
		struct client_request *request;
		struct client_trouble trouble;
		void (*done)(void *context, const struct client_trouble *trouble);
		void *context;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		judge(request, message->data.result, &trouble);
		done = request->done;
		context = request->context;
		end(request);
		done(context, &trouble);
		any = true;
	}
	return any;
}

void client_work(struct client *client, struct pollfd *fds, unsigned n, int milliseconds)
{
	struct curl_waitfd waits[8] = {0};
	int running;

	if (n > sizeof waits / sizeof *waits)
		n = sizeof waits / sizeof *waits;
	for (unsigned i = 0; i < n; i++)
		waits[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
	curl.multi_perform(client->multi, &running);
	/* Whoever has been answered already does not wait for more. */
	if (finish(client))
		milliseconds = 0;
	curl.multi_poll(client->multi, waits, n, milliseconds, NULL);
	for (unsigned i = 0; i < n; i++)
		fds[i].revents = waits[i].revents & CURL_WAIT_POLLIN ? POLLIN : 0;
	curl.multi_perform(client->multi, &running);
	finish(client);
}

/* ---- one at a time ---- */

struct whole {
	bool done;
	struct client_trouble *trouble;
	client_take *take;
	void *context;
};

static bool pass(void *context, const char *bytes, size_t length)
{
	struct whole *whole = context;

	return whole->take(whole->context, bytes, length);
}

static void note(void *context, const struct client_trouble *trouble)
{
	struct whole *whole = context;

	whole->done = true;
	*whole->trouble = *trouble;
}

int client_get(struct client *client, const char *target, client_take *taker, void *context,
	       struct client_trouble *trouble)
{
	struct whole whole = {.trouble = trouble, .take = taker, .context = context};

	client_begin(client, target, pass, note, &whole);
	while (!whole.done)
		client_work(client, NULL, 0, 1000);
	return trouble->failure ? -1 : 0;
}

struct memory {
	char *bytes;
	size_t length, room;
};

static bool gather(void *context, const char *bytes, size_t length)
{
	struct memory *memory = context;

	if (length > CLIENT_FETCH - memory->length)
		return false;
	if (memory->room - memory->length <= length) {
		memory->room = 2 * memory->room + length + 1;
		memory->bytes = xreallocarray(memory->bytes, memory->room, 1);
	}
	memcpy(memory->bytes + memory->length, bytes, length);
	memory->length += length;
	memory->bytes[memory->length] = 0;
	return true;
}

char *client_fetch(struct client *client, const char *target, size_t *ret_length,
		   struct client_trouble *trouble)
{
	struct memory memory = {0};

	if (client_get(client, target, gather, &memory, trouble) < 0) {
		free(memory.bytes);
		return NULL;
	}
	*ret_length = memory.length;
	return memory.bytes ? memory.bytes : xstrdup("");
}

/* ---- targets ---- */

char *client_query(char *target, const char *key, const char *value)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";
	char *encoded = xcalloc(strlen(value) * 3 + 1, 1), *to = encoded, *result;

	for (; *value; value++)
		if (strchr(plain, *value))
			*to++ = *value;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*value);
	result = xasprintf("%s%c%s=%s", target, strchr(target, '?') ? '&' : '?', key, encoded);
	free(encoded);
	free(target);
	return result;
}
