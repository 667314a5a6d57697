/* test_policy_schema.c - policy-1.schema.json says what the loader says.
 *
 * Each fixture gets the same verdict from both. What a schema cannot express, the loader alone
 * refuses: beside such an invalid fixture lies `beyond-schema`, one line that says why, and the
 * schema has to accept it. Then valid fixtures are changed at random places: what the schema
 * refuses the loader refuses, and what the loader alone refuses is refused for such a reason.
 */
#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/schema.h"
#include "../support/testing.h"
#include "qfwatch/policy.h"

#define SCHEMA "policy/policy-1.schema.json"

/* As strict as the loader: a schema never gets to see a key that stands twice. */
#define STRICT (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

static struct schema *schema;

static int load_schema(void **state)
{
	(void)state;
	schema = schema_load(SCHEMA);
	return schema ? 0 : -1;
}

static int free_schema(void **state)
{
	(void)state;
	schema_free(schema);
	return 0;
}

/* ---- fixtures ---- */

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The paths of all fixtures of a kind; the caller frees the list and each of them. */
static size_t list_fixtures(const char *kind, char ***ret)
{
	const char *named = getenv("QFWATCH_FIXTURES");
	struct dirent **entries;
	char folder[PATH_MAX];
	int count;

	snprintf(folder, sizeof(folder), "%s/%s", named ? named : "tests/policy", kind);
	count = scandir(folder, &entries, no_dots, alphasort);
	assert_true(count > 0);
	*ret = calloc((size_t)count, sizeof(**ret));
	assert_non_null(*ret);
	for (int i = 0; i < count; i++) {
		assert_true(asprintf(&(*ret)[i], "%s/%s", folder, entries[i]->d_name) > 0);
		free(entries[i]);
	}
	free(entries);
	return (size_t)count;
}

static void free_fixtures(char **fixtures, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(fixtures[i]);
	free(fixtures);
}

static json_t *load_json(const char *folder)
{
	char path[PATH_MAX];
	json_error_t error;

	snprintf(path, sizeof(path), "%s/policy.json", folder);
	return json_load_file(path, STRICT, &error);
}

static bool is_marked(const char *folder)
{
	char path[PATH_MAX], line[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/beyond-schema", folder);
	file = fopen(path, "r");
	if (!file)
		return false;
	assert_non_null(fgets(line, sizeof(line), file));
	assert_true(strlen(line) > 10 && line[strlen(line) - 1] == '\n');
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
	return true;
}

static void valid_fixtures(void **state)
{
	char **fixtures;
	size_t count = list_fixtures("valid", &fixtures);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		json_t *policy = load_json(fixtures[i]);

		assert_non_null(policy);
		assert_false(is_marked(fixtures[i]));
		assert_true(schema_check(schema, policy, stdout, fixtures[i]));
		json_decref(policy);
	}
	free_fixtures(fixtures, count);
}

static void invalid_fixtures(void **state)
{
	size_t accepted = 0, refused = 0;
	char **fixtures;
	size_t count = list_fixtures("invalid", &fixtures);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		json_t *policy = load_json(fixtures[i]);
		bool accepts = policy && schema_check(schema, policy, NULL, "");

		if (accepts != is_marked(fixtures[i]))
			print_message("%s: the schema %s it\n", fixtures[i],
				      accepts ? "accepts" : "refuses");
		assert_int_equal(accepts, is_marked(fixtures[i]));
		accepted += accepts;
		refused += policy && !accepts;
		json_decref(policy);
	}
	/* Neither verdict by accident. */
	assert_true(accepted > 20 && refused > 50);
	free_fixtures(fixtures, count);
}

static void example(void **state)
{
	json_error_t error;
	json_t *policy = json_load_file("policy.json.example", STRICT, &error);

	(void)state;
	assert_non_null(policy);
	assert_true(schema_check(schema, policy, stdout, "policy.json.example: "));
	json_decref(policy);
}

/* ---- the schema itself ---- */

static void event_names(void **state)
{
	json_error_t error;
	json_t *text = json_load_file(SCHEMA, STRICT, &error);
	json_t *name, *names;
	size_t i;

	(void)state;
	names = json_object_get(json_object_get(json_object_get(text, "$defs"), "eventName"),
				"enum");
	assert_true(json_array_size(names) > 0);
	json_array_foreach(names, i, name) {
		assert_non_null(policy_event_names[i]);
		assert_string_equal(json_string_value(name), policy_event_names[i]);
	}
	assert_null(policy_event_names[i]);
	json_decref(text);
}

/* What a key says for itself, or what it refers to says. */
static const char *description(const json_t *root, const json_t *rule)
{
	const char *reference = json_string_value(json_object_get(rule, "$ref"));
	const json_t *text = json_object_get(rule, "description");

	if (!text && reference)
		text = json_object_get(json_object_get(json_object_get(root, "$defs"),
						       reference + strlen("#/$defs/")),
				       "description");
	return json_string_value(text);
}

/* Each key of the language is described, and no object takes keys that the schema does not name. */
static size_t assert_described(const json_t *root, json_t *at)
{
	json_t *properties = json_object_get(at, "properties"), *below;
	size_t keys = 0, i;
	const char *key;

	if (json_object_get(properties, "comment")) {
		assert_non_null(json_object_get(at, "additionalProperties"));
		json_object_foreach(properties, key, below) {
			const char *text = description(root, below);

			if (!text || strlen(text) < 10)
				print_message("no description: %s\n", key);
			assert_true(text && strlen(text) >= 10);
			keys++;
		}
	}
	json_object_foreach(at, key, below)
		keys += assert_described(root, below);
	json_array_foreach(at, i, below)
		keys += assert_described(root, below);
	return keys;
}

static void every_key_is_described(void **state)
{
	json_error_t error;
	json_t *text = json_load_file(SCHEMA, STRICT, &error);

	(void)state;
	assert_non_null(text);
	assert_string_equal(json_string_value(json_object_get(text, "$schema")),
			    "https://json-schema.org/draft/2020-12/schema");
	assert_true(assert_described(text, text) > 60);
	json_decref(text);
}

/* ---- changed policies ---- */

/* Parts of the findings that no schema can make. */
static const char *const beyond[] = {
	"unknown tier ",     /* names that stand elsewhere */
	"to their own tier", /* two values compared */
	" twice at ",	     /* the same */
	" inside another tier's",
	" around another tier's",
	"second stdout sink",
	"included and excluded",
	"an empty range",
	"pattern \"",	     /* grammars of their own */
	"expected at most ", /* of durations and sizes as text; and of bytes */
	"expected a duration from \"1s\" to \"1d\"", /* the same: "25h" */
	"too many rules that only notify",	     /* counted across the policy */
	"too many different \"domain\"",
	"nested too deeply",
	"wrong value 2.0 ",
	"wrong value 3.0 ", /* an integer to a schema */
	"at /sendmail/0: ", /* prefixItems */
};

static bool is_beyond(const char *finding)
{
	for (size_t i = 0; i < N(beyond); i++)
		if (strstr(finding, beyond[i]))
			return true;
	return false;
}

/* What a value becomes. */
static const char *const others[] = {
	"null",
	"true",
	"false",
	"0",
	"1",
	"-1",
	"2.5",
	"2.0",
	"64",
	"65",
	"4294967296",
	"99999999999999",
	"\"\"",
	"\"*\"",
	"\"x\"",
	"\"1h\"",
	"\"0s\"",
	"\"25h\"",
	"\"1m1h\"",
	"\"00s\"",
	"\"10MiB\"",
	"\"0B\"",
	"\"10mib\"",
	"\"QUEUE\"",
	"\"MIDQUEUE\"",
	"\"/x\"",
	"\"a\\nb\"",
	"\"[\"",
	"\"{id}\"",
	"\"{xyz}\"",
	"\"{\"",
	"\"stdout\"",
	"\"file\"",
	"\"resynced\"",
	"\"hash\"",
	"[]",
	"[ \"x\" ]",
	"[ 1 ]",
	"[ \"QUEUE\", \"QUEUE\" ]",
	"[ {} ]",
	"[ { \"attempts\": 3 } ]",
	"[ \"/x\", \"y\" ]",
	"[ \"*\" ]",
	"{}",
	"{ \"comment\": 1 }",
	"{ \"regex\": \"x\" }",
	"{ \"regex\": \"(\" }",
	"{ \"regex\": 1 }",
	"{ \"all\": \"x\" }",
	"{ \"all\": \"x\", \"regex\": \"y\" }",
	"{ \"at_least\": 1 }",
	"{ \"at_least\": \"1m\" }",
	"{ \"below\": 2, \"comment\": 1 }",
	"{ \"below\": 0 }",
	"{ \"at_least\": 3, \"below\": 2 }",
	"{ \"attempts\": 3 }",
	"{ \"keep\": true }",
	"{ \"notify\": true }",
	"{ \"move\": \"QUEUE\" }",
	"{ \"delete\": true }",
	"{ \"run\": { \"program\": \"/x\" } }",
	"{ \"program\": \"/x\", \"arguments\": [ \"{\" ] }",
	"{ \"deferred\": 1, \"within\": 1 }",
	"{ \"delivered_from\": \"*\", \"within\": \"1d\" }",
	"{ \"deferred\": 1, \"within\": \"2d\" }",
	"{ \"X-A\": \"b\" }",
	"{ \"X A\": \"b\" }",
	"{ \"type\": \"stdout\" }",
	"{ \"type\": \"file\", \"path\": \"x\" }",
};

/* A key that comes along in an object, with one of these values. */
static const char *const keys[] = {
	"comment", "unknown",  "keep",	    "notify",	"bounce",      "delete",    "move",
	"run",	   "attempts", "age",	    "size",	"recipient",   "status",    "header",
	"any",	   "not",      "always",    "domain",	"quarantined", "at_least",  "below",
	"regex",   "all",      "deferred",  "within",	"name",	       "tier",	    "place",
	"path",	   "timeout",  "arguments", "programs", "sendmail",    "reconcile", "allow_delete",
	"limits",  "include",  "exclude",
};

static size_t count_values(const json_t *value)
{
	size_t count = 1, i;
	const char *key;
	json_t *below;

	json_object_foreach((json_t *)value, key, below)
		count += count_values(below);
	json_array_foreach(value, i, below)
		count += count_values(below);
	return count;
}

/* Changes value number *left, counted as count_values does. A key to be is taken from `name`. */
static json_t *changed(json_t *value, size_t *left, json_t *other, const char *name, bool remove)
{
	const char *key;
	json_t *below, *result;
	void *next;
	size_t i;

	if ((*left)-- == 0) {
		if (!name || !json_is_object(value))
			return json_incref(other);
		result = json_copy(value);
		json_object_set(result, name, other);
		return result;
	}
	if (json_is_array(value)) {
		result = json_array();
		json_array_foreach(value, i, below) {
			if (*left > 0 || !remove)
				json_array_append_new(result,
						      changed(below, left, other, name, remove));
			else
				(*left)--;
		}
		return result;
	}
	if (!json_is_object(value))
		return json_incref(value);
	result = json_object();
	json_object_foreach_safe(value, next, key, below) {
		if (*left > 0 || !remove)
			json_object_set_new(result, key, changed(below, left, other, name, remove));
		else
			(*left)--;
	}
	return result;
}

static const char *one_of(const char *const *list, size_t count, uint64_t *random)
{
	return list[testing_random(random) % count];
}

static json_t *change(json_t *policy, uint64_t *random)
{
	size_t at = testing_random(random) % count_values(policy);
	unsigned kind = testing_random(random) % 8;
	const char *name = kind == 0 ? one_of(keys, N(keys), random) : NULL;
	json_t *other = json_loads(one_of(others, N(others), random), JSON_DECODE_ANY, NULL);
	json_t *result;

	assert_non_null(other);
	result = changed(policy, &at, other, name, kind == 1);
	json_decref(other);
	return result;
}

/* Returns whether the loader accepts it. */
static bool compare(const json_t *policy)
{
	char *text = json_dumps(policy, JSON_ENCODE_ANY);
	bool accepts = schema_check(schema, policy, NULL, "");
	struct problems problems = {0};
	struct policy *loaded = NULL;
	bool good = true;
	int r;

	assert_non_null(text);
	r = policy_parse(text, strlen(text), "/etc/qfwatch/policy.json", &problems, &loaded);
	if (!accepts && r == 0)
		good = schema_check(schema, policy, stdout, "the schema alone: ");
	for (size_t i = 0; accepts && i < problems.count; i++) {
		if (problems.list[i].kind == PROBLEM_NOTE || is_beyond(problems.list[i].text))
			continue;
		print_message("the loader alone: %s\n", problems.list[i].text);
		good = false;
	}
	if (!good)
		print_message("%s\n", text);
	assert_true(good);
	policy_free(loaded);
	problems_free(&problems);
	free(text);
	return r == 0;
}

/* Fixtures hold many rules, of which one wrong one would be enough: here each stands alone. */
static void rules_one_by_one(void **state)
{
	static const char *const kinds[] = {"valid", "invalid"};
	size_t good = 0, all = 0;

	(void)state;
	for (size_t k = 0; k < N(kinds); k++) {
		char **fixtures;
		size_t count = list_fixtures(kinds[k], &fixtures);

		for (size_t i = 0; i < count; i++) {
			json_t *policy = is_marked(fixtures[i]) ? NULL : load_json(fixtures[i]);
			json_t *rules = json_incref(json_object_get(policy, "rules")), *rule;
			size_t n;

			json_array_foreach(rules, n, rule) {
				json_object_set_new(policy, "rules", json_pack("[O]", rule));
				good += compare(policy);
				all++;
			}
			json_decref(rules);
			json_decref(policy);
		}
		free_fixtures(fixtures, count);
	}
	print_message("           %zu of %zu rules are good\n", good, all);
	assert_true(good > 100 && all - good > 100);
}

static void changed_policies(void **state)
{
	uint64_t random = UINT64_C(20260722);
	size_t good = 0, rounds = testing_scale(8000);
	char **fixtures;
	size_t count = list_fixtures("valid", &fixtures);
	json_t **policies = calloc(count, sizeof(*policies));

	(void)state;
	assert_non_null(policies);
	for (size_t i = 0; i < count; i++)
		assert_non_null(policies[i] = load_json(fixtures[i]));
	for (size_t i = 0; i < rounds; i++) {
		json_t *once = change(policies[testing_random(&random) % count], &random);
		json_t *twice = change(once, &random);

		good += compare(once);
		good += compare(twice);
		json_decref(twice);
		json_decref(once);
	}
	print_message("           %zu of %zu changed policies are still good\n", good, 2 * rounds);
	assert_true(good > rounds / 50 && good < rounds);
	for (size_t i = 0; i < count; i++)
		json_decref(policies[i]);
	free(policies);
	free_fixtures(fixtures, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_fixtures),
		cmocka_unit_test(invalid_fixtures),
		cmocka_unit_test(example),
		cmocka_unit_test(event_names),
		cmocka_unit_test(every_key_is_described),
		cmocka_unit_test(rules_one_by_one),
		cmocka_unit_test(changed_policies),
	};

	return cmocka_run_group_tests(tests, load_schema, free_schema);
}
