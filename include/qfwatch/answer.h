/* answer.h - what the daemon has answered, read without trust: what is not there, or is of another
 * kind, is empty or 0. */
#ifndef QFWATCH_ANSWER_H
#define QFWATCH_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "qfwatch/client.h"

/* Asks for an object. NULL: see *trouble, also where what comes is none. json_decref it. */
json_t *answer_fetch(struct client *client, const char *target, struct client_trouble *trouble);

/* Members of an object, which may be NULL. Texts are borrowed. */
const char *answer_text(const json_t *object, const char *key);
uint64_t answer_count(const json_t *object, const char *key);
bool answer_number(const json_t *object, const char *key, int64_t *ret);

/* The seconds of an RFC 3339 time; 0 where there is none. */
int64_t answer_time(const json_t *object, const char *key);

#endif
