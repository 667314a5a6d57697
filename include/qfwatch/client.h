/* client.h - asks the running daemon, where the policy's "listen" says: HTTP over its Unix socket
 * or TCP. The only user of libcurl. One thread.
 */
#ifndef QFWATCH_CLIENT_H
#define QFWATCH_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "qfwatch/policy.h"

/* Why there is no answer. */
enum client_failure {
	CLIENT_NO_FAILURE,
	CLIENT_NOWHERE,	  /* the policy has no "listen" */
	CLIENT_NOBODY,	  /* nobody answers there */
	CLIENT_FORBIDDEN, /* the socket or the token may not be used, or the token is wrong */
	CLIENT_SILENT,	  /* it took too long, or the answer broke off */
	CLIENT_REFUSED,	  /* the daemon says no: `status`, and its own words */
	CLIENT_STRANGE,	  /* what answers is no qfwatch, or another version */
	CLIENT_STOPPED,	  /* the caller's `take` wanted no more */
};

struct client_trouble {
	enum client_failure failure;
	int status; /* of HTTP; 0: none */
	char reason[512], remedy[512];
};

struct client;

/* The address is copied. `policy_path` is only named. Returns 0, or -1 with *trouble
 * (CLIENT_NOWHERE, CLIENT_FORBIDDEN). */
int client_new(const struct policy_listen *listen, const char *policy_path, struct client **ret,
	       struct client_trouble *trouble);
void client_free(struct client *client); /* NULL is fine; ends its requests */

/* Takes a piece of the answer's body as it comes. Returns false to have no more. */
typedef bool client_take(void *context, const char *bytes, size_t length);

/* The whole of one answer. `target` is a path with its query, such as "/api/v1/status". Returns 0,
 * or -1 with *trouble. */
int client_get(struct client *client, const char *target, client_take *take, void *context,
	       struct client_trouble *trouble);

/* The same in memory, NUL-terminated, at most CLIENT_FETCH bytes. The caller frees it; NULL: see
 * *trouble. */
#define CLIENT_FETCH (64u * 1024 * 1024)
char *client_fetch(struct client *client, const char *target, size_t *ret_length,
		   struct client_trouble *trouble);

/* ---- several at once, between other work ---- */

struct client_request;

/* Begins a request: `take` and `done` are called from client_work. `done` is called once, with
 * failure CLIENT_NO_FAILURE if all went well; then the request is gone. */
struct client_request *
client_begin(struct client *client, const char *target, client_take *take,
	     void (*done)(void *context, const struct client_trouble *trouble), void *context);

/* Gives it up without calling `done`. */
void client_cancel(struct client_request *request);

/* Waits for up to so many milliseconds for a request or one of these descriptors (n of them; their
 * revents are set), and goes on with the requests. */
void client_work(struct client *client, struct pollfd *fds, unsigned n, int milliseconds);

/* ---- targets ---- */

/* Appends "?key=value" or "&key=value", encoded, to a target that was allocated; frees that.
 * Returns the new one. */
char *client_query(char *target, const char *key, const char *value);

#endif
