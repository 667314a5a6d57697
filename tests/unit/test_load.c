/* test_load.c - policy.json, as its fixtures say and as the file system brings it.
 *
 * tests/policy/valid/<case>/policy.json loads; `loaded` beside it is what comes out, as dump.h
 * writes it, and `expected` holds its notes, if it has any. tests/policy/invalid/<case>/policy.json
 * is refused with exactly the findings in `expected`, one a line, the path written as policy.json.
 * QFWATCH_FIXTURES names another folder than tests/policy; QFWATCH_FIXTURES_WRITE=1 writes
 * `expected` and `loaded` as they come, for you to read and compare with what should come.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../support/dump.h"
#include "qfwatch/events.h"
#include "qfwatch/policy.h"

#define UNTOUCHED ((struct policy *)&untouched)

static int untouched;
static char folder[] = "/tmp/qfwatch-test-XXXXXX";

/* ---- helpers ---- */

static const char *fixtures(void)
{
	const char *named = getenv("QFWATCH_FIXTURES");

	return named ? named : "tests/policy";
}

/* The whole file, NUL-terminated; "" if there is none. */
static char *read_file(const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 16);

	assert_non_null(text);
	*ret_length = 0;
	if (file) {
		*ret_length = fread(text, 1, (1 << 16) - 1, file);
		fclose(file);
	}
	return text;
}

static void write_file(const char *path, const char *text, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* All findings, a line each, with `path` written as policy.json. */
static char *lines_of(const struct problems *problems, const char *path)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	for (size_t i = 0; i < problems->count; i++) {
		const char *line = problems->list[i].text;

		assert_int_equal(strncmp(line, path, strlen(path)), 0);
		fprintf(stream, "policy.json%s\n", line + strlen(path));
	}
	fclose(stream);
	return text;
}

/* From memory that ends where the text does, so that the sanitizers see a step too far. */
static int parse(const char *text, size_t length, const char *path, struct problems *problems,
		 struct policy **ret)
{
	char *copy = malloc(length ? length : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, text, length);
	r = policy_parse(copy, length, path, problems, ret);
	free(copy);
	return r;
}

static struct policy *parse_valid(const char *text)
{
	struct problems problems = {0};
	struct policy *policy = NULL;

	assert_int_equal(parse(text, strlen(text), "/etc/qfwatch/policy.json", &problems, &policy),
			 0);
	assert_false(problems_any(&problems));
	assert_non_null(policy);
	problems_free(&problems);
	return policy;
}

/* The only finding of an invalid text. */
static void assert_finding(const char *text, size_t length, const char *expected)
{
	struct policy *policy = UNTOUCHED;
	struct problems problems = {0};

	assert_int_equal(parse(text, length, "policy.json", &problems, &policy), -EINVAL);
	assert_ptr_equal(policy, UNTOUCHED);
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.list[0].text, expected);
	problems_free(&problems);
}

/* Everything under the conditions is there; returns whether the text is needed. */
static bool assert_sound_conditions(const struct policy *policy,
				    const struct policy_condition *conditions, size_t count,
				    int depth)
{
	bool text = false;

	/* A header object is a level of its own. */
	assert_true(depth <= 2 * POLICY_MAX_DEPTH + 1);
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *one = &conditions[i];
		bool inside;

		assert_true(one->at_least >= 0);
		assert_true(one->below > one->at_least);
		assert_int_equal(one->pattern != NULL,
				 one->kind >= POLICY_SENDER && one->kind <= POLICY_HEADER);
		assert_int_equal(one->header != NULL, one->kind == POLICY_HEADER);
		assert_int_equal(one->n_children > 0,
				 one->kind >= POLICY_ALL && one->kind <= POLICY_NOT);
		if (one->kind == POLICY_DOMAIN_DEFERRED || one->kind == POLICY_DOMAIN_DELIVERED) {
			const struct policy_window *window = &policy->windows[one->window];

			assert_true(one->window < policy->n_windows);
			assert_int_equal(one->kind == POLICY_DOMAIN_DEFERRED,
					 window->kind == POLICY_DEFERRED);
			assert_int_equal(one->at_least, window->at_least);
			assert_int_equal(one->within, window->within);
		}
		inside = assert_sound_conditions(policy, one->children, one->n_children, depth + 1);
		assert_true(one->needs_text || !inside);
		text |= one->needs_text;
	}
	return text;
}

static void assert_sound_rule(const struct policy *policy, const struct policy_rule *rule)
{
	uint64_t tiers = policy->n_tiers < 64 ? (UINT64_C(1) << policy->n_tiers) - 1 : UINT64_MAX;

	assert_non_null(rule->name);
	assert_ptr_equal(policy_find_rule(policy, rule->name), rule);
	assert_true(rule->tiers != 0 && (rule->tiers & ~tiers) == 0);
	assert_true(rule->n_conditions >= 1);
	if (assert_sound_conditions(policy, rule->conditions, rule->n_conditions, 0))
		assert_int_equal(rule->tiers & ~policy->text_tiers, 0);
	assert_true(rule->decides || rule->notify || rule->program);
	assert_true(rule->decides || rule->action == POLICY_STAY);
	assert_int_equal(__builtin_popcountll(rule->mark), rule->decides ? 0 : 1);
	assert_int_equal(rule->mark & ~policy->marks, 0);
	assert_int_equal(rule->mark & tiers, 0);
	if (rule->action == POLICY_MOVE) {
		assert_true(rule->target < policy->n_tiers);
		assert_false(rule->tiers >> rule->target & 1);
	}
	if (rule->program) {
		assert_int_equal(rule->program->arguments[0][0], '/');
		assert_in_range(rule->program->timeout, 1, 86400);
	}
}

/* What every policy promises to those who use it. */
static void assert_sound(const struct policy *policy)
{
	assert_in_range(policy->n_tiers, 1, POLICY_MAX_TIERS);
	assert_true(policy->reconcile >= 1);
	assert_true(policy->n_sinks >= 1);
	assert_int_equal(policy->events >> EVENT_ACTIONS, 0);
	assert_int_equal(policy->sendmail[0][0], '/');
	assert_in_range(policy->limits.programs, 1, 64);
	for (size_t i = 0; i < policy->n_tiers; i++) {
		assert_int_equal(policy_find_tier(policy, policy->tiers[i].name), i);
		assert_int_equal(policy->tiers[i].directory[0], '/');
		assert_null(strstr(policy->tiers[i].directory, "//"));
	}
	for (size_t i = 0; i < policy->n_rules; i++)
		assert_sound_rule(policy, &policy->rules[i]);
	for (size_t i = 0; i < policy->n_windows; i++)
		assert_in_range(policy->windows[i].within, 1, 86400);
	for (size_t i = 0; i < policy->n_sinks; i++)
		assert_int_equal(policy->sinks[i].type != POLICY_SINK_STDOUT,
				 policy->sinks[i].path != NULL);
}

/* ---- fixtures ---- */

static char *loaded(const struct policy *policy, const char *path)
{
	char resolved[PATH_MAX], *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	assert_non_null(realpath(path, resolved));
	*strrchr(resolved, '/') = '\0';
	dump_policy(stream, policy, resolved);
	fclose(stream);
	return text;
}

/* `found` is what the file beside the policy says. No file: nothing. */
static void compare(const char *path, const char *name, const char *found)
{
	char beside[PATH_MAX];
	char *expected;
	size_t length;

	snprintf(beside, sizeof(beside), "%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
	if (getenv("QFWATCH_FIXTURES_WRITE") && *found)
		write_file(beside, found, strlen(found));
	expected = read_file(beside, &length);
	if (strcmp(found, expected) != 0)
		print_message("%s does not say this, but:\n%s", beside, found);
	assert_string_equal(found, expected);
	free(expected);
}

static void run_fixture(const char *kind, const char *name, int expected_result)
{
	struct policy *policy = UNTOUCHED;
	struct problems problems = {0};
	char path[PATH_MAX];
	char *found;
	int r;

	print_message("           %s/%s\n", kind, name);
	snprintf(path, sizeof(path), "%s/%s/%s/policy.json", fixtures(), kind, name);
	r = policy_load(path, &problems, &policy);
	found = lines_of(&problems, path);
	compare(path, "expected", found);
	free(found);
	assert_int_equal(r, expected_result);
	assert_int_equal(problems_exit_code(&problems), expected_result ? 2 : 0);
	if (expected_result == 0) {
		assert_sound(policy);
		found = loaded(policy, path);
		compare(path, "loaded", found);
		free(found);
		policy_free(policy);
	} else {
		assert_ptr_equal(policy, UNTOUCHED);
		assert_true(problems.count > 0);
	}
	problems_free(&problems);
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_fixtures(const char *kind, int expected_result, int at_least)
{
	struct dirent **entries;
	char path[PATH_MAX];
	int count;

	snprintf(path, sizeof(path), "%s/%s", fixtures(), kind);
	count = scandir(path, &entries, no_dots, alphasort);
	assert_true(count >= at_least);
	for (int i = 0; i < count; i++) {
		run_fixture(kind, entries[i]->d_name, expected_result);
		free(entries[i]);
	}
	free(entries);
}

static void valid_fixtures(void **state)
{
	(void)state;
	run_fixtures("valid", 0, 60);
}

static void invalid_fixtures(void **state)
{
	(void)state;
	run_fixtures("invalid", -EINVAL, 80);
}

/* Every fixture, cut off after each byte: no crash, no success that is not one. */
static void cut_policies(void **state)
{
	char path[PATH_MAX];
	size_t length;
	char *text;

	(void)state;
	snprintf(path, sizeof(path), "%s/valid/comment-everywhere/policy.json", fixtures());
	text = read_file(path, &length);
	assert_true(length > 100);
	for (size_t cut = 0; cut < length - 2; cut++) {
		struct policy *policy = UNTOUCHED;
		struct problems problems = {0};

		assert_int_equal(parse(text, cut, "policy.json", &problems, &policy), -EINVAL);
		assert_int_equal(problems.count, 1);
		assert_ptr_equal(policy, UNTOUCHED);
		problems_free(&problems);
	}
	free(text);
}

/* ---- what comes out ---- */

static void example(void **state)
{
	struct problems problems = {0};
	struct policy *policy = NULL;

	(void)state;
	assert_int_equal(policy_load("policy.json.example", &problems, &policy), 0);
	assert_int_equal(problems.count, 0);
	assert_sound(policy);
	assert_int_equal(policy->n_tiers, 3);
	assert_string_equal(policy->tiers[1].name, "MIDQUEUE");
	assert_string_equal(policy->tiers[1].directory, "/home/openemm/var/spool/MIDQUEUE");
	assert_false(policy->tiers[1].is_glob);
	assert_int_equal(policy->n_rules, 3);
	assert_string_equal(policy->rules[0].name, "three attempts");
	assert_int_equal(policy->rules[0].tiers, 1);
	assert_int_equal(policy->rules[0].conditions[0].kind, POLICY_ATTEMPTS);
	assert_int_equal(policy->rules[0].conditions[0].at_least, 3);
	assert_int_equal(policy->rules[0].action, POLICY_MOVE);
	assert_int_equal(policy->rules[0].target, 1);
	assert_int_equal(policy->rules[2].conditions[0].kind, POLICY_AGE);
	assert_int_equal(policy->rules[2].conditions[0].at_least, 518400);
	assert_int_equal(policy->rules[2].action, POLICY_DELETE);
	assert_int_equal(policy->reconcile, 3600);
	assert_int_equal(policy->n_sinks, 1);
	assert_int_equal(policy->sinks[0].type, POLICY_SINK_STDOUT);
	policy_free(policy);
	problems_free(&problems);
}

#define TIERS                                                                                      \
	"\"version\": 1, \"tiers\": [{\"name\": \"A\", \"directory\": \"a//./b/\"},"               \
	"{\"name\": \"B\", \"directory\": \"../q*/\"}],"
#define RULES                                                                                      \
	"\"rules\": [{\"tier\": \"*\", \"when\": {\"age\": 90, \"attempts\": 2, \"always\": "      \
	"true},"                                                                                   \
	"\"then\": {\"delete\": true}}], \"allow_delete\": true"

static void paths_and_defaults(void **state)
{
	struct policy *policy = parse_valid("{" TIERS RULES "}");

	(void)state;
	assert_sound(policy);
	assert_string_equal(policy->tiers[0].directory, "/etc/qfwatch/a/b");
	assert_false(policy->tiers[0].is_glob);
	assert_string_equal(policy->tiers[1].directory, "/etc/qfwatch/../q*");
	assert_true(policy->tiers[1].is_glob);
	assert_string_equal(policy->rules[0].name, "rule 1");
	assert_int_equal(policy->rules[0].tiers, 3);
	assert_int_equal(policy->rules[0].n_conditions, 3);
	assert_int_equal(policy->rules[0].conditions[0].kind, POLICY_AGE);
	assert_int_equal(policy->rules[0].conditions[0].at_least, 90);
	assert_int_equal(policy->rules[0].conditions[1].kind, POLICY_ATTEMPTS);
	assert_int_equal(policy->rules[0].conditions[2].kind, POLICY_ALWAYS);
	assert_int_equal(policy->reconcile, 3600);
	assert_int_equal(policy->n_sinks, 1);
	assert_int_equal(policy->sinks[0].type, POLICY_SINK_STDOUT);
	assert_int_equal(policy_find_tier(policy, "B"), 1);
	assert_int_equal(policy_find_tier(policy, "b"), -1);
	policy_free(policy);
}

static void event_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < EVENT_ACTIONS; i++)
		assert_non_null(policy_event_names[i]);
	assert_null(policy_event_names[EVENT_ACTIONS]);
	assert_string_equal(policy_event_names[EVENT_STARTED], "started");
	assert_string_equal(policy_event_names[EVENT_STOPPED], "stopped");
	assert_string_equal(policy_event_names[EVENT_POLICY_LOADED], "policy-loaded");
	assert_string_equal(policy_event_names[EVENT_POLICY_REJECTED], "policy-rejected");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_TRACKED], "message-tracked");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_ATTEMPTED], "message-attempted");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_MOVED], "message-moved");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_DELETED], "message-deleted");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_DEPARTED], "message-departed");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_BUSY], "message-busy");
	assert_string_equal(policy_event_names[EVENT_MESSAGE_REFUSED], "message-refused");
	assert_string_equal(policy_event_names[EVENT_MOVE_FAILED], "move-failed");
	assert_string_equal(policy_event_names[EVENT_TIER_LOST], "tier-lost");
	assert_string_equal(policy_event_names[EVENT_TIER_FOUND], "tier-found");
	assert_string_equal(policy_event_names[EVENT_EVENTS_LOST], "events-lost");
	assert_string_equal(policy_event_names[EVENT_RESYNCED], "resynced");
	assert_string_equal(policy_event_names[EVENT_EVENTS_DROPPED], "events-dropped");
}

static void event_sets_and_sinks(void **state)
{
	const uint32_t all = (UINT32_C(1) << EVENT_ACTIONS) - 1;
	const uint32_t quiet = 1u << EVENT_MESSAGE_TRACKED | 1u << EVENT_MESSAGE_ATTEMPTED;
	struct policy *policy = parse_valid("{" TIERS RULES "}");

	(void)state;
	assert_int_equal(policy->events, all & ~quiet);
	policy_free(policy);
	policy = parse_valid("{" TIERS RULES ", \"events\": {\"exclude\": [\"resynced\"],"
			     "\"include\": [\"message-tracked\", \"started\"], \"sinks\": ["
			     "{\"type\": \"file\", \"path\": \"log//e.json\"},"
			     "{\"path\": \"/var/e.json\", \"type\": \"file\"}]}}");
	assert_int_equal(policy->events,
			 all & ~(1u << EVENT_MESSAGE_ATTEMPTED) & ~(1u << EVENT_RESYNCED));
	assert_int_equal(policy->n_sinks, 2);
	assert_string_equal(policy->sinks[0].path, "/etc/qfwatch/log/e.json");
	assert_string_equal(policy->sinks[1].path, "/var/e.json");
	policy_free(policy);
}

/* What each sink takes besides, or not: (events & ~exclude) | include. */
static void sink_filters(void **state)
{
	const uint32_t all = (UINT32_C(1) << EVENT_ACTIONS) - 1;
	struct policy *policy = parse_valid(
		"{" TIERS RULES ", \"events\": {\"sinks\": ["
		"{\"type\": \"stdout\", \"exclude\": [\"*\"], \"include\": [\"tier-lost\"]},"
		"{\"type\": \"journal\", \"include\": [\"*\"], \"exclude\": [\"started\"]},"
		"{\"type\": \"syslog\", \"include\": [\"message-tracked\"]}],"
		"\"exclude\": [\"*\"], \"include\": [\"stopped\", \"started\"]}}");

	(void)state;
	assert_int_equal(policy->events, 1u << EVENT_STOPPED | 1u << EVENT_STARTED);
	assert_int_equal(policy->sinks[0].include, 1u << EVENT_TIER_LOST);
	assert_int_equal(policy->sinks[0].exclude, all & ~(1u << EVENT_TIER_LOST));
	assert_int_equal(policy->sinks[1].include, all & ~(1u << EVENT_STARTED));
	assert_int_equal(policy->sinks[1].exclude, 1u << EVENT_STARTED);
	assert_int_equal(policy->sinks[2].include, 1u << EVENT_MESSAGE_TRACKED);
	assert_int_equal(policy->sinks[2].exclude, 0);
	policy_free(policy);
}

static void sink_settings(void **state)
{
	struct policy *policy = parse_valid(
		"{" TIERS RULES ", \"events\": {\"addresses\": \"hash\", \"addresses_key\": \"k\","
		"\"sinks\": [{\"type\": \"syslog\"},"
		"{\"type\": \"syslog\", \"address\": \"tcp:[::1]:601\", \"facility\": \"kern\"},"
		"{\"type\": \"syslog\", \"address\": \"udp:localhost:514\"},"
		"{\"type\": \"journal\", \"buffer\": \"64KiB\"},"
		"{\"type\": \"unix\", \"path\": \"a\", \"mode\": \"datagram\"},"
		"{\"type\": \"file\", \"path\": \"b\", \"max_bytes\": \"1MiB\"},"
		"{\"type\": \"file\", \"path\": \"c\", \"max_bytes\": 65536, \"keep\": 9}]}}");
	const struct policy_sink *sinks = policy->sinks;

	(void)state;
	assert_int_equal(policy->addresses, POLICY_ADDRESSES_HASH);
	assert_string_equal(policy->addresses_key, "/etc/qfwatch/k");
	assert_int_equal(sinks[0].transport, POLICY_UNIX);
	assert_string_equal(sinks[0].path, "/dev/log");
	assert_int_equal(sinks[0].facility, 2);
	assert_int_equal(sinks[1].transport, POLICY_TCP);
	assert_string_equal(sinks[1].path, "::1");
	assert_int_equal(sinks[1].port, 601);
	assert_int_equal(sinks[1].facility, 0);
	assert_int_equal(sinks[2].transport, POLICY_UDP);
	assert_string_equal(sinks[2].path, "127.0.0.1");
	assert_string_equal(sinks[3].path, "/run/systemd/journal/socket");
	assert_int_equal(sinks[3].buffer, 65536);
	assert_true(sinks[4].datagrams);
	assert_int_equal(sinks[5].max_bytes, 1024 * 1024);
	assert_int_equal(sinks[5].keep, POLICY_KEEP_DEFAULT);
	assert_int_equal(sinks[6].max_bytes, 65536);
	assert_int_equal(sinks[6].keep, 9);
	policy_free(policy);
}

static void freeing_nothing(void **state)
{
	(void)state;
	policy_free(NULL);
}

/* ---- odd bytes ---- */

static void odd_bytes(void **state)
{
	(void)state;
	assert_finding("{\"version\":\0 1}", 15,
		       "policy.json:1:12: a NUL byte: this is not a text file, or it was damaged; "
		       "write it anew");
	assert_finding(
		"{\"version\": \"\0\"}", 16,
		"policy.json:1:14: a control character (0x00) in a string: remove it, or write "
		"it as \\u0000");
	assert_finding("\xff\xfe{\0}\0", 6,
		       "policy.json:1:1: the file is UTF-16: save it as UTF-8");
	assert_finding("{\"\xe2\x82", 4,
		       "policy.json:1:3: byte 0xe2 is not UTF-8: save the file as UTF-8");
	assert_finding("", 0,
		       "policy.json:1:1: the file is empty: write a policy; policy.json.example is "
		       "one to start from");
}

/* `depth` lists in one another, as a comment. */
static char *nested(size_t depth)
{
	const char before[] = "{\"comment\": ", after[] = ", " TIERS RULES "}";
	char *text = malloc(sizeof(before) + sizeof(after) + 2 * depth);

	assert_non_null(text);
	strcpy(text, before);
	memset(text + strlen(before), '[', depth);
	memset(text + strlen(before) + depth, ']', depth);
	strcpy(text + strlen(before) + 2 * depth, after);
	return text;
}

static void deep_nesting(void **state)
{
	char *text = nested(2000);

	(void)state;
	policy_free(parse_valid(text));
	free(text);
	text = nested(100000);
	assert_finding(
		text, strlen(text),
		"policy.json:1:2060: more than 2048 objects and lists in one another: a policy "
		"needs five");
	free(text);
}

static void findings_have_an_end(void **state)
{
	struct policy *policy = UNTOUCHED;
	struct problems problems = {0};
	char *text = calloc(1, 200000);
	size_t length = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < 5000; i++)
		length += (size_t)sprintf(text + length, "%s\"key %d\": 1, \"key %d\": 1",
					  i ? ", " : "{", i % 2500, i % 2500);
	length += (size_t)sprintf(text + length, "}");
	assert_int_equal(parse(text, length, "policy.json", &problems, &policy), -EINVAL);
	assert_in_range(problems.count, 1000, 1100);
	problems_free(&problems);
	free(text);
}

static void paths_as_long_as_they_may_be(void **state)
{
	const size_t most = PATH_MAX - 64;
	char text[PATH_MAX + 256], path[PATH_MAX];

	(void)state;
	for (size_t length = most; length <= most + 1; length++) {
		struct policy *policy = NULL;
		struct problems problems = {0};
		int r;

		memset(path, 'x', length);
		path[0] = '/';
		path[length] = '\0';
		snprintf(text, sizeof(text),
			 "{\"version\": 1, \"rules\": [], \"tiers\": [{\"name\": \"A\", "
			 "\"directory\": \"%s\"}]}",
			 path);
		r = parse(text, strlen(text), "policy.json", &problems, &policy);
		assert_int_equal(r, length == most ? 0 : -EINVAL);
		policy_free(policy);
		problems_free(&problems);
	}
}

/* jansson is lent our memory while it reads, and only then. */
static void jansson_is_left_alone(void **state)
{
	json_malloc_t before_malloc, after_malloc;
	json_free_t before_free, after_free;
	struct policy *policy = UNTOUCHED;
	struct problems problems = {0};

	(void)state;
	json_get_alloc_funcs(&before_malloc, &before_free);
	policy_free(parse_valid("{" TIERS RULES "}"));
	parse("{", 1, "policy.json", &problems, &policy);
	problems_free(&problems);
	json_get_alloc_funcs(&after_malloc, &after_free);
	assert_true(before_malloc == after_malloc && before_free == after_free);
}

/* ---- files ---- */

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

static const char *in_folder(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* The load fails like this, with one finding, which holds `text`. */
static void assert_refused(const char *path, int expected, enum problem_kind kind, const char *text)
{
	struct policy *policy = UNTOUCHED;
	struct problems problems = {0};

	assert_int_equal(policy_load(path, &problems, &policy), expected);
	assert_ptr_equal(policy, UNTOUCHED);
	assert_int_equal(problems.count, 1);
	assert_int_equal(problems.list[0].kind, kind);
	assert_int_equal(strncmp(problems.list[0].text, path, strlen(path)), 0);
	assert_non_null(strstr(problems.list[0].text, text));
	problems_free(&problems);
}

static void files_that_are_none(void **state)
{
	char *text = malloc(POLICY_MAX_BYTES + 1);

	(void)state;
	assert_refused(in_folder("missing"), -ENOENT, PROBLEM_INVALID, "no such file: write");
	assert_refused(folder, -EINVAL, PROBLEM_INVALID, "a directory: give");
	assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
	assert_refused(in_folder("fifo"), -EINVAL, PROBLEM_INVALID, "a FIFO or pipe: give");
	assert_refused("/dev/null", -EINVAL, PROBLEM_INVALID, "a device or socket: give");
	assert_int_equal(symlink("loop", in_folder("loop")), 0);
	assert_refused(in_folder("loop"), -ELOOP, PROBLEM_INVALID,
		       "give the path of a regular file");
	assert_refused("/dev/null/policy.json", -ENOTDIR, PROBLEM_INVALID, "Not a directory");
	assert_non_null(text);
	memset(text, ' ', POLICY_MAX_BYTES + 1);
	write_file(in_folder("large"), text, POLICY_MAX_BYTES + 1);
	assert_refused(in_folder("large"), -EINVAL, PROBLEM_INVALID, "larger than 1048576 bytes");
	write_file(in_folder("large"), text, POLICY_MAX_BYTES);
	assert_refused(in_folder("large"), -EINVAL, PROBLEM_INVALID, "the file is empty");
	free(text);
}

/* Root may read everything, so a child that gave that up tries. */
static void unreadable_file(void **state)
{
	char path[PATH_MAX];
	int status;
	pid_t child;

	(void)state;
	snprintf(path, sizeof(path), "%s", in_folder("secret"));
	write_file(path, "{}", 2);
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct problems problems = {0};
		struct policy *policy = NULL;
		bool good;

		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		good = policy_load(path, &problems, &policy) == -EACCES && problems.count == 1 &&
		       problems.list[0].kind == PROBLEM_REFUSED &&
		       strstr(problems.list[0].text, "permission denied to ") &&
		       strstr(problems.list[0].text, "namei -l ");
		problems_free(&problems);
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A link in one folder to a policy in another: relative paths mean the place of the file. */
static void policy_behind_a_link(void **state)
{
	const char text[] = "{" TIERS RULES "}";
	char resolved[PATH_MAX], expected[PATH_MAX + 8];
	struct problems problems = {0};
	struct policy *policy = NULL;

	(void)state;
	assert_int_equal(mkdir(in_folder("real"), 0700), 0);
	write_file(in_folder("real/policy.json"), text, strlen(text));
	assert_int_equal(symlink("real/policy.json", in_folder("link.json")), 0);
	assert_non_null(realpath(in_folder("real"), resolved));
	snprintf(expected, sizeof(expected), "%s/a/b", resolved);
	assert_int_equal(policy_load(in_folder("link.json"), &problems, &policy), 0);
	assert_string_equal(policy->tiers[0].directory, expected);
	policy_free(policy);
	problems_free(&problems);
}

/* Nothing stands at the path: the text of it, made absolute, is all there is. */
static void policy_from_nowhere(void **state)
{
	char here[PATH_MAX], expected[PATH_MAX + 16];
	const char text[] = "{" TIERS RULES "}";
	struct problems problems = {0};
	struct policy *policy = NULL;

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	snprintf(expected, sizeof(expected), "%s/nowhere/a/b", here);
	assert_int_equal(parse(text, strlen(text), "./nowhere//p.json", &problems, &policy), 0);
	assert_string_equal(policy->tiers[0].directory, expected);
	policy_free(policy);
	problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_fixtures),
		cmocka_unit_test(invalid_fixtures),
		cmocka_unit_test(cut_policies),
		cmocka_unit_test(example),
		cmocka_unit_test(paths_and_defaults),
		cmocka_unit_test(event_names),
		cmocka_unit_test(event_sets_and_sinks),
		cmocka_unit_test(sink_filters),
		cmocka_unit_test(sink_settings),
		cmocka_unit_test(freeing_nothing),
		cmocka_unit_test(odd_bytes),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(findings_have_an_end),
		cmocka_unit_test(paths_as_long_as_they_may_be),
		cmocka_unit_test(jansson_is_left_alone),
		cmocka_unit_test(files_that_are_none),
		cmocka_unit_test(unreadable_file),
		cmocka_unit_test(policy_behind_a_link),
		cmocka_unit_test(policy_from_nowhere),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
