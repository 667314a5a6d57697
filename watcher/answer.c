/* answer.c - see answer.h */
#include "qfwatch/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "qfwatch/clock.h"
#include "qfwatch/moment.h"

json_t *answer_fetch(struct client *client, const char *target, struct client_trouble *trouble)
{
	size_t length;
	char *text = client_fetch(client, target, &length, trouble);
	json_t *object = text ? json_loadb(text, length, JSON_ALLOW_NUL, NULL) : NULL;

	free(text);
	if (json_is_object(object))
		return object;
	json_decref(object);
	if (!trouble->failure) {
		trouble->failure = CLIENT_STRANGE;
		snprintf(trouble->reason, sizeof trouble->reason,
			 "what answers to %s is not what qfwatch says", target);
		snprintf(trouble->remedy, sizeof trouble->remedy, "is it another version?");
	}
	return NULL;
}

const char *answer_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

bool answer_number(const json_t *object, const char *key, int64_t *ret)
{
	const json_t *number = json_object_get(object, key);

	*ret = json_is_real(number) ? (int64_t)json_real_value(number) : json_integer_value(number);
	return json_is_number(number);
}

uint64_t answer_count(const json_t *object, const char *key)
{
	int64_t number;

	return answer_number(object, key, &number) && number > 0 ? (uint64_t)number : 0;
}

int64_t answer_time(const json_t *object, const char *key)
{
	int64_t time;

	return moment_parse_utc(answer_text(object, key), &time) == 0 ? time / CLOCK_SECOND : 0;
}
