/* http.h - answers those who ask: HTTP on the socket that the policy's "listen" names. Read-only.
 *
 * It runs in the loop, without a thread of its own: libmicrohttpd gets its turn when its
 * descriptors say so, and what has to go through all messages or read qfs goes on in steps of some
 * 200 us between the engine's turns, while the one who asked waits. Nobody who reads slowly, sends
 * slowly or not at all costs more than his place.
 */
#ifndef QFWATCH_HTTP_H
#define QFWATCH_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "qfwatch/engine.h"
#include "qfwatch/events.h"
#include "qfwatch/metrics.h"
#include "qfwatch/policy.h"
#include "qfwatch/problem.h"

struct http;

/* Nothing listens before a policy says so. All that is given is borrowed; policy_path is that of
 * the policy file. Never NULL. */
struct http *http_new(struct engine *engine, struct events *events, struct metrics *metrics,
		      const char *policy_path);
void http_free(struct http *http); /* removes the socket; NULL is fine */

/* A new policy, in two steps around engine_apply, so that it is taken whole or not at all.
 * http_prepare opens what is not open yet: returns 0, or -errno with the findings in *problems and
 * everything as it was. Then http_commit, or http_abandon. */
int http_prepare(struct http *http, const struct policy *policy, struct problems *problems);
void http_commit(struct http *http, int64_t now);
void http_abandon(struct http *http);

/* The policy file was not taken: told in status until one is. */
void http_tell_rejected(struct http *http, int64_t now, const char *reason);

/* Readable when there is something to do; it stays the same. Then http_wake, and a turn. */
int http_fd(const struct http *http);
void http_wake(struct http *http);

/* Does a bounded piece of work. Returns true when there is more to do at once. */
bool http_turn(struct http *http, int64_t now);

/* When it wants its next turn by itself, microseconds since the epoch; INT64_MAX: never. */
int64_t http_deadline(const struct http *http);

#endif
