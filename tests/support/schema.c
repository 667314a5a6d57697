/* schema.c - see schema.h */
#include "schema.h"

#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Deeper than any schema of ours: a $ref that leads back to itself ends here. */
#define MAX_DEPTH 100

struct pattern {
	struct pattern *next;
	const json_t *text; /* whose it is, in the schema */
	regex_t compiled;
};

/* A power of two, and more than any schema of ours has keywords. */
#define PLACES 8192

struct schema {
	json_t *root;
	struct pattern *patterns;
	/* The keyword of each key in the schema, found by the key's address: names are compared
	 * once. */
	struct place {
		const char *key;
		const struct keyword *keyword;
	} places[PLACES];
	size_t n_places;
};

/* ---- pointers: a list of steps on the stack, written out only when something is wrong ---- */

struct step {
	const struct step *parent;
	const char *key; /* NULL: index */
	size_t index;
};

static void print_steps(FILE *to, const struct step *step)
{
	if (!step)
		return;
	print_steps(to, step->parent);
	fputc('/', to);
	if (!step->key) {
		fprintf(to, "%zu", step->index);
		return;
	}
	for (const char *c = step->key; *c; c++) {
		if (*c == '~')
			fputs("~0", to);
		else if (*c == '/')
			fputs("~1", to);
		else
			fputc(*c, to);
	}
}

/* One value against one schema: where both stand, and who is told. */
struct check {
	struct schema *schema;
	FILE *to; /* NULL: only the verdict counts */
	const char *prefix;
	const struct step *instance, *keyword;
	unsigned depth;
};

static bool wrong(const struct check *check, const char *keyword, const char *what)
{
	if (check->to) {
		fprintf(check->to, "%s\"", check->prefix);
		print_steps(check->to, check->instance);
		fprintf(check->to, "\": %s (schema \"", what);
		print_steps(check->to, check->keyword);
		fprintf(check->to, "/%s\")\n", keyword);
	}
	return false;
}

static bool apply(const struct check *check, const json_t *rule, const json_t *value);

/* The sub-schema `rule` under a keyword (and a key or index of that), for the same value. */
static bool apply_under(const struct check *check, const char *keyword, const char *key,
			size_t index, const json_t *rule, const json_t *value)
{
	struct step first = {check->keyword, keyword, 0};
	struct step second = {&first, key, index};
	struct check below = *check;

	below.keyword = key || index != SIZE_MAX ? &second : &first;
	return apply(&below, rule, value);
}

/* The same, for a part of the value. */
static bool apply_to_part(const struct check *check, const char *keyword, const char *rule_key,
			  const json_t *rule, const struct step *part, const json_t *value)
{
	struct check below = *check;

	below.instance = part;
	return apply_under(&below, keyword, rule_key, SIZE_MAX, rule, value);
}

/* ---- keywords ---- */

typedef bool keyword_check(const struct check *check, const json_t *schema, const json_t *said,
			   const json_t *value);

static bool is_type(const char *type, const json_t *value)
{
	/* 1.0 is an integer too, says the specification. */
	if (strcmp(type, "integer") == 0) {
		double real = json_real_value(value);

		return json_is_integer(value) || (json_is_real(value) && real > -1e18 &&
						  real < 1e18 && real == (double)(json_int_t)real);
	}
	return (strcmp(type, "object") == 0 && json_is_object(value)) ||
	       (strcmp(type, "array") == 0 && json_is_array(value)) ||
	       (strcmp(type, "string") == 0 && json_is_string(value)) ||
	       (strcmp(type, "number") == 0 && json_is_number(value)) ||
	       (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
	       (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool check_type(const struct check *check, const json_t *schema, const json_t *said,
		       const json_t *value)
{
	const json_t *type;
	size_t i;

	(void)schema;
	if (json_is_string(said) && is_type(json_string_value(said), value))
		return true;
	json_array_foreach(said, i, type)
		if (is_type(json_string_value(type), value))
			return true;
	return wrong(check, "type", "has another type");
}

static bool same(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b))
		return json_number_value(a) == json_number_value(b);
	return json_equal(a, b);
}

static bool check_enum(const struct check *check, const json_t *schema, const json_t *said,
		       const json_t *value)
{
	const json_t *one;
	size_t i;

	(void)schema;
	json_array_foreach(said, i, one)
		if (same(one, value))
			return true;
	return wrong(check, "enum", "is none of the values that are allowed");
}

static bool check_const(const struct check *check, const json_t *schema, const json_t *said,
			const json_t *value)
{
	(void)schema;
	return same(said, value) || wrong(check, "const", "is another value");
}

/* Both as integers where they are: a double knows only 53 bits. */
static int compare(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b))
		return (json_integer_value(a) > json_integer_value(b)) -
		       (json_integer_value(a) < json_integer_value(b));
	return (json_number_value(a) > json_number_value(b)) -
	       (json_number_value(a) < json_number_value(b));
}

#define NUMBER_KEYWORD(name, keyword, holds)                                                       \
	static bool name(const struct check *check, const json_t *schema, const json_t *said,      \
			 const json_t *value)                                                      \
	{                                                                                          \
		(void)schema;                                                                      \
		return !json_is_number(value) || compare(value, said) holds ||                     \
		       wrong(check, keyword, "is out of range");                                   \
	}

NUMBER_KEYWORD(check_minimum, "minimum", >= 0)
NUMBER_KEYWORD(check_maximum, "maximum", <= 0)
NUMBER_KEYWORD(check_exclusive_minimum, "exclusiveMinimum", > 0)
NUMBER_KEYWORD(check_exclusive_maximum, "exclusiveMaximum", < 0)

/* In characters, not bytes. */
static json_int_t text_length(const json_t *value)
{
	const char *text = json_string_value(value);
	json_int_t length = 0;

	for (size_t i = 0; i < json_string_length(value); i++)
		length += (text[i] & 0xc0) != 0x80;
	return length;
}

#define SIZE_KEYWORD(name, keyword, is_kind, measure, holds, what)                                 \
	static bool name(const struct check *check, const json_t *schema, const json_t *said,      \
			 const json_t *value)                                                      \
	{                                                                                          \
		(void)schema;                                                                      \
		return !is_kind(value) ||                                                          \
		       (json_int_t)measure(value) holds json_integer_value(said) ||                \
		       wrong(check, keyword, what);                                                \
	}

SIZE_KEYWORD(check_min_length, "minLength", json_is_string, text_length, >=, "is too short")
SIZE_KEYWORD(check_max_length, "maxLength", json_is_string, text_length, <=, "is too long")
SIZE_KEYWORD(check_min_items, "minItems", json_is_array, json_array_size, >=, "has too few items")
SIZE_KEYWORD(check_max_items, "maxItems", json_is_array, json_array_size, <=, "has too many items")
SIZE_KEYWORD(check_min_properties, "minProperties", json_is_object, json_object_size, >=,
	     "has too few keys")
SIZE_KEYWORD(check_max_properties, "maxProperties", json_is_object, json_object_size, <=,
	     "has too many keys")

static bool matches(const struct check *check, const json_t *pattern, const char *text)
{
	const struct pattern *known = check->schema->patterns;

	while (known && known->text != pattern)
		known = known->next;
	return known && regexec(&known->compiled, text, 0, NULL, 0) == 0;
}

static bool check_pattern(const struct check *check, const json_t *schema, const json_t *said,
			  const json_t *value)
{
	(void)schema;
	/* The regex library ends at a NUL: no text with one matches. */
	return !json_is_string(value) ||
	       (strlen(json_string_value(value)) == json_string_length(value) &&
		matches(check, said, json_string_value(value))) ||
	       wrong(check, "pattern", "does not match the pattern");
}

static bool check_unique(const struct check *check, const json_t *schema, const json_t *said,
			 const json_t *value)
{
	size_t n = json_is_true(said) ? json_array_size(value) : 0;

	(void)schema;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (same(json_array_get(value, i), json_array_get(value, k)))
				return wrong(check, "uniqueItems", "holds something twice");
	return true;
}

static bool check_required(const struct check *check, const json_t *schema, const json_t *said,
			   const json_t *value)
{
	bool good = true;
	const json_t *key;
	size_t i;

	(void)schema;
	if (!json_is_object(value))
		return true;
	json_array_foreach(said, i, key) {
		char what[200];

		if (json_object_get(value, json_string_value(key)))
			continue;
		snprintf(what, sizeof(what), "lacks the key \"%s\"", json_string_value(key));
		good = wrong(check, "required", what);
	}
	return good;
}

static bool check_dependent(const struct check *check, const json_t *schema, const json_t *said,
			    const json_t *value)
{
	bool good = true;
	const char *key;
	json_t *needs;

	json_object_foreach((json_t *)said, key, needs) {
		if (json_object_get(value, key))
			good &= check_required(check, schema, needs, value);
	}
	return good;
}

static bool check_properties(const struct check *check, const json_t *schema, const json_t *said,
			     const json_t *value)
{
	bool good = true;
	const char *key;
	json_t *rule;

	(void)schema;
	json_object_foreach((json_t *)said, key, rule) {
		const json_t *part = json_object_get(value, key);
		struct step step = {check->instance, key, 0};

		if (part)
			good &= apply_to_part(check, "properties", key, rule, &step, part);
	}
	return good;
}

/* pattern_of[P]: the compiled pattern of a key is found by the schema that it stands for. */
static bool check_pattern_properties(const struct check *check, const json_t *schema,
				     const json_t *said, const json_t *value)
{
	bool good = true;
	const char *key, *pattern;
	json_t *part, *rule;

	(void)schema;
	json_object_foreach((json_t *)said, pattern, rule) {
		json_object_foreach((json_t *)value, key, part) {
			struct step step = {check->instance, key, 0};

			if (matches(check, rule, key))
				good &= apply_to_part(check, "patternProperties", pattern, rule,
						      &step, part);
		}
	}
	return good;
}

static bool is_named(const struct check *check, const json_t *schema, const char *key)
{
	const json_t *patterns = json_object_get(schema, "patternProperties");
	const char *pattern;
	json_t *rule;

	if (json_object_get(json_object_get(schema, "properties"), key))
		return true;
	json_object_foreach((json_t *)patterns, pattern, rule) {
		if (matches(check, rule, key))
			return true;
	}
	return false;
}

static bool check_additional(const struct check *check, const json_t *schema, const json_t *said,
			     const json_t *value)
{
	bool good = true;
	const char *key;
	json_t *part;

	json_object_foreach((json_t *)value, key, part) {
		struct step step = {check->instance, key, 0};

		if (!is_named(check, schema, key))
			good &= apply_to_part(check, "additionalProperties", NULL, said, &step,
					      part);
	}
	return good;
}

static bool check_names(const struct check *check, const json_t *schema, const json_t *said,
			const json_t *value)
{
	bool good = true;
	const char *key;
	json_t *part;

	(void)schema;
	json_object_foreach((json_t *)value, key, part) {
		struct step step = {check->instance, key, 0};
		json_t *name = json_string(key);

		good &= apply_to_part(check, "propertyNames", NULL, said, &step, name);
		json_decref(name);
	}
	return good;
}

static bool check_items(const struct check *check, const json_t *schema, const json_t *said,
			const json_t *value)
{
	bool good = true;
	const json_t *part;
	size_t i;

	(void)schema;
	json_array_foreach(value, i, part) {
		struct step step = {check->instance, NULL, i};

		good &= apply_to_part(check, "items", NULL, said, &step, part);
	}
	return good;
}

/* How many of the alternatives hold, said to nobody. */
static size_t count_holding(const struct check *check, const json_t *alternatives,
			    const json_t *value)
{
	struct check quiet = *check;
	const json_t *rule;
	size_t i, n = 0;

	quiet.to = NULL;
	json_array_foreach(alternatives, i, rule)
		n += apply(&quiet, rule, value);
	return n;
}

static bool check_all(const struct check *check, const json_t *schema, const json_t *said,
		      const json_t *value)
{
	bool good = true;
	const json_t *rule;
	size_t i;

	(void)schema;
	json_array_foreach(said, i, rule)
		good &= apply_under(check, "allOf", NULL, i, rule, value);
	return good;
}

/* Says what each of them finds, too. */
static bool none_holds(const struct check *check, const char *keyword, const json_t *alternatives,
		       const json_t *value)
{
	const json_t *rule;
	size_t i;

	wrong(check, keyword, "none of the alternatives holds");
	json_array_foreach(alternatives, i, rule)
		if (check->to)
			apply_under(check, keyword, NULL, i, rule, value);
	return false;
}

static bool check_any(const struct check *check, const json_t *schema, const json_t *said,
		      const json_t *value)
{
	(void)schema;
	return count_holding(check, said, value) || none_holds(check, "anyOf", said, value);
}

static bool check_one(const struct check *check, const json_t *schema, const json_t *said,
		      const json_t *value)
{
	size_t n = count_holding(check, said, value);

	(void)schema;
	if (n == 0)
		return none_holds(check, "oneOf", said, value);
	return n == 1 || wrong(check, "oneOf", "more than one alternative holds");
}

static bool holds_quietly(const struct check *check, const json_t *rule, const json_t *value)
{
	struct check quiet = *check;

	quiet.to = NULL;
	return apply(&quiet, rule, value);
}

static bool check_not(const struct check *check, const json_t *schema, const json_t *said,
		      const json_t *value)
{
	(void)schema;
	return !holds_quietly(check, said, value) || wrong(check, "not", "is what it must not be");
}

static bool check_if(const struct check *check, const json_t *schema, const json_t *said,
		     const json_t *value)
{
	const char *keyword = holds_quietly(check, said, value) ? "then" : "else";
	const json_t *rule = json_object_get(schema, keyword);

	return !rule || apply_under(check, keyword, NULL, SIZE_MAX, rule, value);
}

static json_t *refer(const struct schema *schema, const char *reference)
{
	json_t *at = schema->root;

	if (strcmp(reference, "#") == 0)
		return at;
	if (strncmp(reference, "#/$defs/", 8) != 0)
		return NULL;
	return json_object_get(json_object_get(at, "$defs"), reference + 8);
}

static bool check_ref(const struct check *check, const json_t *schema, const json_t *said,
		      const json_t *value)
{
	(void)schema;
	return apply_under(check, "$ref", NULL, SIZE_MAX,
			   refer(check->schema, json_string_value(said)), value);
}

/* ---- the keywords that there are ---- */

/* What stands under a keyword, for the examination of a schema. */
enum under {
	UNDER_NOTE,	/* nothing that is checked */
	UNDER_VALUE,	/* a value of the keyword's own */
	UNDER_PATTERN,	/* a regular expression */
	UNDER_SCHEMA,	/* a schema */
	UNDER_SCHEMAS,	/* a list of schemas */
	UNDER_NAMED,	/* schemas by name */
	UNDER_PATTERNS, /* schemas by regular expression */
	UNDER_REFERENCE
};

static const struct keyword {
	const char *name;
	enum under under;
	keyword_check *check;
} keywords[] = {
	{"$schema", UNDER_NOTE, NULL},
	{"$id", UNDER_NOTE, NULL},
	{"$comment", UNDER_NOTE, NULL},
	{"title", UNDER_NOTE, NULL},
	{"description", UNDER_NOTE, NULL},
	{"examples", UNDER_NOTE, NULL},
	{"default", UNDER_NOTE, NULL},
	{"deprecated", UNDER_NOTE, NULL},
	{"format", UNDER_NOTE, NULL},
	{"$defs", UNDER_NAMED, NULL},
	{"$ref", UNDER_REFERENCE, check_ref},
	{"type", UNDER_VALUE, check_type},
	{"enum", UNDER_VALUE, check_enum},
	{"const", UNDER_VALUE, check_const},
	{"minimum", UNDER_VALUE, check_minimum},
	{"maximum", UNDER_VALUE, check_maximum},
	{"exclusiveMinimum", UNDER_VALUE, check_exclusive_minimum},
	{"exclusiveMaximum", UNDER_VALUE, check_exclusive_maximum},
	{"minLength", UNDER_VALUE, check_min_length},
	{"maxLength", UNDER_VALUE, check_max_length},
	{"minItems", UNDER_VALUE, check_min_items},
	{"maxItems", UNDER_VALUE, check_max_items},
	{"uniqueItems", UNDER_VALUE, check_unique},
	{"minProperties", UNDER_VALUE, check_min_properties},
	{"maxProperties", UNDER_VALUE, check_max_properties},
	{"required", UNDER_VALUE, check_required},
	{"dependentRequired", UNDER_VALUE, check_dependent},
	{"pattern", UNDER_PATTERN, check_pattern},
	{"properties", UNDER_NAMED, check_properties},
	{"patternProperties", UNDER_PATTERNS, check_pattern_properties},
	{"additionalProperties", UNDER_SCHEMA, check_additional},
	{"propertyNames", UNDER_SCHEMA, check_names},
	{"items", UNDER_SCHEMA, check_items},
	{"allOf", UNDER_SCHEMAS, check_all},
	{"anyOf", UNDER_SCHEMAS, check_any},
	{"oneOf", UNDER_SCHEMAS, check_one},
	{"not", UNDER_SCHEMA, check_not},
	{"if", UNDER_SCHEMA, check_if},
	{"then", UNDER_SCHEMA, NULL},
	{"else", UNDER_SCHEMA, NULL},
};

static const struct keyword *find_keyword(const char *name)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++)
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	return NULL;
}

static struct place *place_of(struct schema *schema, const char *key)
{
	size_t i = ((uintptr_t)key >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 51;

	while (schema->places[i % PLACES].key && schema->places[i % PLACES].key != key)
		i++;
	return &schema->places[i % PLACES];
}

static bool apply(const struct check *check, const json_t *rule, const json_t *value)
{
	struct check deeper = *check;
	bool good = true;
	const char *name;
	json_t *said;

	if (json_is_boolean(rule))
		return json_is_true(rule) || wrong(check, "", "must not be here");
	if (++deeper.depth > MAX_DEPTH)
		return wrong(check, "", "the schema goes round in a circle");
	json_object_foreach((json_t *)rule, name, said) {
		const struct keyword *keyword = place_of(check->schema, name)->keyword;

		if (keyword->check)
			good &= keyword->check(&deeper, rule, said, value);
		/* Nobody wants to know more. */
		if (!good && !check->to)
			return false;
	}
	return good;
}

bool schema_check(struct schema *schema, const json_t *value, FILE *to, const char *prefix)
{
	const struct check check = {.schema = schema, .to = to, .prefix = prefix};

	return apply(&check, schema->root, value);
}

/* ---- loading ---- */

static bool refuse(const struct step *at, const char *what)
{
	fputs("schema: at \"", stderr);
	print_steps(stderr, at);
	fprintf(stderr, "\": %s\n", what);
	return false;
}

/* Under which value a pattern is found again: the text of "pattern", or the schema of a key of
 * "patternProperties". */
static bool add_pattern(struct schema *schema, const struct step *at, const json_t *under,
			const char *text)
{
	struct pattern *pattern;

	for (const char *c = text; *c; c++) {
		bool letter = *c == '\\' && ((c[1] | 32) >= 'a' && (c[1] | 32) <= 'z');

		if (letter || (*c == '\\' && c[1] >= '0' && c[1] <= '9') ||
		    strncmp(c, "(?", 2) == 0)
			return refuse(at, "a pattern that is no POSIX extended one");
		if (*c == '\\' && c[1])
			c++;
	}
	pattern = calloc(1, sizeof(*pattern));
	if (!pattern || regcomp(&pattern->compiled, text, REG_EXTENDED | REG_NOSUB) != 0) {
		free(pattern);
		return refuse(at, "a pattern that does not compile");
	}
	pattern->text = under;
	pattern->next = schema->patterns;
	schema->patterns = pattern;
	return true;
}

static bool examine(struct schema *schema, const struct step *at, const json_t *rule);

static bool examine_named(struct schema *schema, const struct step *at, const json_t *named,
			  bool patterns)
{
	const char *key;
	json_t *below;

	if (!json_is_object(named))
		return refuse(at, "not an object");
	json_object_foreach((json_t *)named, key, below) {
		struct step step = {at, key, 0};

		/* json_true() is one for all: a pattern could not be found by it. */
		if (patterns && !json_is_object(below))
			return refuse(&step, "not an object");
		if ((patterns && !add_pattern(schema, &step, below, key)) ||
		    !examine(schema, &step, below))
			return false;
	}
	return true;
}

static bool examine_keyword(struct schema *schema, const struct step *at, enum under under,
			    const json_t *said)
{
	const json_t *below;
	size_t i;

	switch (under) {
	case UNDER_NOTE:
	case UNDER_VALUE:
		return true;
	case UNDER_PATTERN:
		return json_is_string(said) ? add_pattern(schema, at, said, json_string_value(said))
					    : refuse(at, "not a text");
	case UNDER_SCHEMA:
		return examine(schema, at, said);
	case UNDER_SCHEMAS:
		if (json_array_size(said) == 0)
			return refuse(at, "not a list of schemas");
		json_array_foreach(said, i, below) {
			struct step step = {at, NULL, i};

			if (!examine(schema, &step, below))
				return false;
		}
		return true;
	case UNDER_NAMED:
	case UNDER_PATTERNS:
		return examine_named(schema, at, said, under == UNDER_PATTERNS);
	case UNDER_REFERENCE:
		return json_is_string(said) && refer(schema, json_string_value(said))
			       ? true
			       : refuse(at, "a reference to nothing");
	}
	return false;
}

static bool examine(struct schema *schema, const struct step *at, const json_t *rule)
{
	const char *name;
	json_t *said;

	if (json_is_boolean(rule))
		return true;
	if (!json_is_object(rule))
		return refuse(at, "neither an object nor true or false");
	json_object_foreach((json_t *)rule, name, said) {
		const struct keyword *keyword = find_keyword(name);
		struct step step = {at, name, 0};

		if (!keyword)
			return refuse(&step, "a keyword that this validator does not know");
		if (++schema->n_places > PLACES / 2)
			return refuse(&step, "more keywords than this validator has room for");
		*place_of(schema, name) = (struct place){name, keyword};
		if (!examine_keyword(schema, &step, keyword->under, said))
			return false;
	}
	return true;
}

struct schema *schema_load(const char *path)
{
	struct schema *schema = calloc(1, sizeof(*schema));
	json_error_t error;

	if (!schema)
		return NULL;
	schema->root = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!schema->root) {
		fprintf(stderr, "schema: %s:%d:%d: %s\n", path, error.line, error.column,
			error.text);
		schema_free(schema);
		return NULL;
	}
	if (!examine(schema, NULL, schema->root)) {
		fprintf(stderr, "schema: %s cannot be used\n", path);
		schema_free(schema);
		return NULL;
	}
	return schema;
}

void schema_free(struct schema *schema)
{
	if (!schema)
		return;
	while (schema->patterns) {
		struct pattern *next = schema->patterns->next;

		regfree(&schema->patterns->compiled);
		free(schema->patterns);
		schema->patterns = next;
	}
	json_decref(schema->root);
	free(schema);
}
