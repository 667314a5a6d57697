/* qctrl_comment.c - what import-qctrl has to say beside the policy's own words: in comments, and on
 * stderr. */
#include "qctrl_policy_parts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

/* ---- text ---- */

char *qctrl_tidy(const char *text)
{
	char *copy = xstrdup(text);

	for (char *at = copy; *at;) {
		unsigned char c = (unsigned char)*at;
		size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		json_t *character;

		if (c < 0x20 || c == 0x7f || c > 0xf4 || strnlen(at, length) < length)
			length = 0;
		/* jansson knows which sequences are none. */
		character = length ? json_stringn(at, length) : NULL;
		if (!character)
			*at = '?';
		at += character ? length : 1;
		json_decref(character);
	}
	return copy;
}

json_t *qctrl_text(const char *text)
{
	char *clean = qctrl_tidy(text);
	json_t *value = json_string(clean);

	free(clean);
	return value;
}

void qctrl_comment(json_t *comments, const char *format, ...)
{
	va_list arguments;
	char text[1024];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_array_append_new(comments, qctrl_text(text));
}

void qctrl_set_comment(json_t *object, json_t *comments)
{
	size_t count = json_array_size(comments);

	if (count)
		json_object_set(object, "comment",
				count == 1 ? json_array_get(comments, 0) : comments);
	json_decref(comments);
}

/* ---- findings ---- */

static void tell(struct qctrl_policy *policy, unsigned line, const char *why, const char *remedy)
{
	char *clean = qctrl_tidy(why);

	policy->problems++;
	fprintf(stderr, "qfwatch import-qctrl: %s %u: %s: %s\n", policy->where, line, clean,
		remedy);
	free(clean);
}

void qctrl_leave_out(struct qctrl_policy *policy, unsigned line, const char *why,
		     const char *remedy)
{
	tell(policy, line, why, remedy);
	qctrl_comment(policy->comments, "%s %u is left out: %s: %s.", policy->where, line, why,
		      remedy);
}

void qctrl_differ(struct qctrl_policy *policy, unsigned line, json_t *comments, const char *why,
		  const char *remedy)
{
	tell(policy, line, why, remedy);
	qctrl_comment(comments, "Look at this: %s: %s.", why, remedy);
}
