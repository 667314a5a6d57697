/* load_pattern.c - the patterns that texts are compared with: globs, regular expressions, lists of
 * them.
 */
#include "load.h"

#include <errno.h>

#include "pattern.h"

#define PATTERN                                                                                    \
	"expected a pattern such as \"*@example.net\", {\"regex\": \"...\"}, or a list of such"

struct regex {
	struct pattern_set *set;
	bool read;
};

static void told(struct loader *loader, const struct load_place *at, const json_t *value, int r,
		 const char *error)
{
	struct text found = {0};

	if (r == -ENOMEM) {
		loader->no_memory = true;
	} else if (r < 0) {
		text_add(&found, "pattern ");
		text_quote(&found, json_string_value(value), json_string_length(value));
		load_wrong(loader, at, found.bytes, "%s", error);
	}
}

static void read_regex(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	const char *regex = load_string(loader, value, at,
					"expected a regular expression (PCRE2), such as "
					"\"^(info|sales)@\"");
	struct regex *reading = into;
	char error[256] = "";

	if (regex)
		told(loader, at, value,
		     pattern_add_regex(reading->set, regex, error, sizeof(error)), error);
}

static const struct load_field regex_fields[] = {
	{"regex", read_regex, "give the regular expression: {\"regex\": \"...\"}"},
	{0},
};

static bool has(const json_t *value, const char *key)
{
	return json_object_get(value, key) != NULL;
}

/* One pattern of a list, or the only one. */
static void add_pattern(struct loader *loader, json_t *value, const struct load_place *at,
			struct pattern_set *set)
{
	struct regex reading = {.set = set};
	char error[256] = "";

	if (json_is_string(value))
		told(loader, at, value,
		     pattern_add_glob(set, json_string_value(value), error, sizeof(error)), error);
	else if (has(value, "all") && !has(value, "regex"))
		load_wrong(loader, at, "\"all\" in a pattern",
			   "only \"recipient\" and \"recipient_domain\" have it, around the whole "
			   "pattern: {\"all\": [...]}");
	else if (json_is_object(value))
		load_object(loader, value, at, regex_fields, &reading);
	else
		load_wrong_value(loader, at, value, PATTERN);
}

void load_pattern(struct loader *loader, json_t *value, const struct load_place *at,
		  struct policy_condition *condition)
{
	size_t count = json_is_array(value) ? json_array_size(value) : 1;
	json_t *item;
	size_t i;
	int r;

	if (count == 0) {
		load_wrong_value(loader, at, value, PATTERN);
		return;
	}
	r = pattern_set_new(loader->pool, count, &condition->pattern);
	if (r < 0) {
		loader->no_memory = true;
		return;
	}
	if (!json_is_array(value)) {
		add_pattern(loader, value, at, condition->pattern);
	} else {
		json_array_foreach(value, i, item) {
			struct load_place place = {.parent = at, .index = i};

			add_pattern(loader, item, &place, condition->pattern);
		}
	}
}

static void read_every(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	struct policy_condition *condition = into;

	condition->every = true;
	load_pattern(loader, value, at, condition);
}

/* For the finding alone: with "regex" an object is a pattern like any other. */
static void read_no_regex(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	(void)value;
	(void)into;
	load_wrong(loader, at->parent, "\"all\" beside \"regex\"",
		   "write {\"all\": {\"regex\": \"...\"}}, if every recipient has to match");
}

static const struct load_field every_fields[] = {
	{"all", read_every, NULL},
	{"regex", read_no_regex, NULL},
	{0},
};

void load_recipient_pattern(struct loader *loader, json_t *value, const struct load_place *at,
			    struct policy_condition *condition)
{
	if (!json_is_object(value) || (has(value, "regex") && !has(value, "all")))
		load_pattern(loader, value, at, condition);
	else if (load_is_empty(value))
		load_wrong(loader, at, "no pattern",
			   "expected one such as \"*@example.net\", {\"regex\": \"...\"}, or "
			   "{\"all\": ...}");
	else
		load_object(loader, value, at, every_fields, condition);
}
