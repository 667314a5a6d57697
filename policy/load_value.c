/* load_value.c - what the readers of the policy language share: findings, objects, and values of
 * every kind. */
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "paths.h"
#include "qfwatch/units.h"

/* Findings beyond this are not told: nobody reads them, and a hostile file would keep us busy with
 * them. */
#define MAX_FINDINGS 1000

/* ---- findings ---- */

/* RFC 6901. Keys on the way are the language's own, but for the names of headers. */
static void add_key(struct text *text, const char *key)
{
	text_add(text, "/");
	for (; *key; key++)
		if (*key == '~' || *key == '/')
			text_add(text, "%s", *key == '~' ? "~0" : "~1");
		else
			text_add(text, "%c", *key);
}

static void add_pointer(struct text *text, const struct load_place *at)
{
	if (!at->parent)
		return;
	add_pointer(text, at->parent);
	if (at->key)
		add_key(text, at->key);
	else
		text_add(text, "/%zu", at->index);
}

void load_find(struct loader *loader, enum problem_kind kind, const struct load_place *at,
	       const char *found, const char *expected)
{
	struct text pointer = {0};

	add_pointer(&pointer, at);
	problems_add_at(loader->problems, kind, &(struct problem_place){.pointer = pointer.bytes},
			"%s: %s at %s: %s", loader->path, found,
			pointer.length ? pointer.bytes : "the top level", expected);
}

bool load_enough(const struct loader *loader)
{
	return loader->findings > MAX_FINDINGS;
}

void load_wrong(struct loader *loader, const struct load_place *at, const char *found,
		const char *format, ...)
{
	struct text expected = {0};
	va_list arguments;

	if (load_enough(loader))
		return;
	if (++loader->findings > MAX_FINDINGS) {
		load_find(loader, PROBLEM_INVALID, at, "even more findings from here on",
			  "mend those above first");
		return;
	}
	va_start(arguments, format);
	text_vadd(&expected, format, arguments);
	va_end(arguments);
	load_find(loader, PROBLEM_INVALID, at, found, expected.bytes);
}

/* As JSON writes it: 3.0 must not look like the 3 that is expected. */
static void add_real(struct text *text, double number)
{
	size_t start = text->length;

	text_add(text, "%.10g", number);
	if (!strpbrk(text->bytes + start, ".e"))
		text_add(text, ".0");
}

static void add_value(struct text *text, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		text_add(text, json_object_size(value) ? "{...}" : "{}");
		break;
	case JSON_ARRAY:
		text_add(text, json_array_size(value) ? "[...]" : "[]");
		break;
	case JSON_STRING:
		text_quote(text, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		text_add(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		add_real(text, json_real_value(value));
		break;
	case JSON_TRUE:
		text_add(text, "true");
		break;
	case JSON_FALSE:
		text_add(text, "false");
		break;
	case JSON_NULL:
		text_add(text, "null");
		break;
	}
}

void load_wrong_value(struct loader *loader, const struct load_place *at, const json_t *value,
		      const char *expected)
{
	struct text found = {0};

	text_add(&found, "wrong value ");
	add_value(&found, value);
	load_wrong(loader, at, found.bytes, "%s", expected);
}

void load_wrong_name(struct loader *loader, const struct load_place *at, const char *before,
		     const char *name, const char *after, const char *expected)
{
	struct text found = {0};

	text_add(&found, "%s ", before);
	text_quote(&found, name, strlen(name));
	text_add(&found, "%s", after);
	load_wrong(loader, at, found.bytes, "%s", expected);
}

void load_offer(struct load_choice *choice, const char *word)
{
	suggest_offer(&choice->nearest, word);
	text_list(&choice->list, word);
}

void load_unknown(struct loader *loader, const struct load_place *at, const char *kind,
		  const struct load_choice *choice)
{
	struct text found = {0}, expected = {0};

	text_add(&found, "unknown %s ", kind);
	text_quote(&found, choice->nearest.word, strlen(choice->nearest.word));
	if (choice->nearest.best) {
		text_add(&expected, "did you mean ");
		text_quote(&expected, choice->nearest.best, strlen(choice->nearest.best));
		text_add(&expected, "?");
	} else {
		text_add(&expected, "expected one of %s", choice->list.bytes);
	}
	load_wrong(loader, at, found.bytes, "%s", expected.bytes);
}

/* ---- objects, lists and values of every kind ---- */

static const struct load_field *find_field(const struct load_field *fields, const char *key)
{
	for (; fields->key; fields++) {
		if (!strcmp(fields->key, key))
			return fields;
	}
	return NULL;
}

static void unknown_key(struct loader *loader, const struct load_place *at,
			const struct load_field *fields, const char *key)
{
	struct load_choice choice = {.nearest.word = key};

	if (load_enough(loader))
		return;
	for (; fields->key; fields++)
		load_offer(&choice, fields->key);
	suggest_offer(&choice.nearest, "comment");
	load_unknown(loader, at, "key", &choice);
}

bool load_is_object(struct loader *loader, const json_t *value, const struct load_place *at,
		    const char *expected)
{
	if (json_is_object(value))
		return true;
	load_wrong_value(loader, at, value, expected);
	return false;
}

void load_object(struct loader *loader, json_t *value, const struct load_place *at,
		 const struct load_field *fields, void *into)
{
	const char *key;
	json_t *item;

	json_object_foreach(value, key, item) {
		const struct load_field *field = find_field(fields, key);

		if (!strcmp(key, "comment"))
			continue;
		if (field) {
			struct load_place place = {.parent = at, .key = field->key};

			field->read(loader, item, &place, into);
		} else {
			unknown_key(loader, at, fields, key);
		}
	}
	for (; fields->key; fields++) {
		if (fields->missing && !json_object_get(value, fields->key))
			load_wrong_name(loader, at, "missing key", fields->key, "",
					fields->missing);
	}
}

bool load_is_empty(const json_t *object)
{
	return json_object_size(object) == (json_object_get(object, "comment") ? 1 : 0);
}

const char *load_string(struct loader *loader, const json_t *value, const struct load_place *at,
			const char *expected)
{
	if (json_is_string(value))
		return json_string_value(value);
	load_wrong_value(loader, at, value, expected);
	return NULL;
}

bool load_true(struct loader *loader, const json_t *value, const struct load_place *at,
	       const char *expected)
{
	if (json_is_true(value))
		return true;
	load_wrong_value(loader, at, value, expected);
	return false;
}

bool load_duration(struct loader *loader, const json_t *value, const struct load_place *at,
		   int64_t least, int64_t most, const char *expected, int64_t *ret)
{
	int64_t seconds = -1;

	if (json_is_integer(value))
		seconds = json_integer_value(value);
	else if (json_is_string(value) &&
		 units_parse_duration(json_string_value(value), &seconds) == -ERANGE)
		seconds = UNITS_DURATION_MAX + 1;
	if (seconds > UNITS_DURATION_MAX && most == UNITS_DURATION_MAX)
		expected = "expected at most 10,000 years (315360000000 seconds)";
	if (seconds >= least && seconds <= most) {
		*ret = seconds;
		return true;
	}
	load_wrong_value(loader, at, value, expected);
	return false;
}

void *load_kept(struct loader *loader, void *memory)
{
	if (!memory)
		loader->no_memory = true;
	return memory;
}

char *load_path(struct loader *loader, const json_t *value, const struct load_place *at,
		const char *expected)
{
	const char *path = load_string(loader, value, at, expected);
	char absolute[PATH_MAX];

	if (!path)
		return NULL;
	if (!*path) {
		load_wrong_value(loader, at, value, expected);
		return NULL;
	}
	if (*path != '/' && loader->folder_error) {
		load_wrong(loader, at, "relative path",
			   "expected an absolute one, since the policy's folder is not known: %s",
			   strerror(loader->folder_error));
		return NULL;
	}
	if (paths_absolute(loader->folder, path, absolute) < 0) {
		struct text most = {0};

		text_add(&most, "expected at most %d bytes, once made absolute", PATHS_MAX);
		load_wrong_name(loader, at, "path", path, " too long", most.bytes);
		return NULL;
	}
	return load_kept(loader, pool_copy(loader->pool, absolute));
}
