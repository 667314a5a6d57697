/* load.c - policy.json -> struct policy: the JSON, the top level of the language, and what becomes
 * of it all. */
#include "load.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "paths.h"
#include "qfwatch/units.h"
#include "syntax.h"

#define RECONCILE_DEFAULT 3600

static const char utf8_mark[] = "\xef\xbb\xbf";

/* What policy_parse hands out: the policy comes first, so that its address is the whole's. */
struct loaded {
	struct policy policy;
	struct pool pool;
};

/* ---- the document ---- */

/* jansson (2.14) does not look whether the buffer of its scanner could grow, and then reads past
 * the end of it. So a failed allocation never returns to it: we jump out of the parser, and all
 * that it took goes with the pool that it took it from. Its hooks have no argument, hence the
 * variable; it means something only while decode() runs. */
static _Thread_local struct {
	struct pool *pool;
	jmp_buf no_memory;
} decoding;

static void *document_alloc(size_t size)
{
	void *memory = pool_alloc(decoding.pool, size);

	if (!memory)
		longjmp(decoding.no_memory, 1);
	return memory;
}

static void document_free(void *memory)
{
	(void)memory;
}

/* Returns 0 and the document, which lives in the pool and must not be released by jansson; or
 * -EINVAL and jansson's error, or -ENOMEM. */
static int decode(const char *text, size_t length, size_t flags, struct pool *pool,
		  json_error_t *ret_error, json_t **ret)
{
	json_malloc_t others_malloc;
	json_free_t others_free;
	int r;

	json_get_alloc_funcs(&others_malloc, &others_free);
	json_set_alloc_funcs(document_alloc, document_free);
	decoding.pool = pool;
	if (setjmp(decoding.no_memory) == 0) {
		*ret = json_loadb(text, length, flags, ret_error);
		r = *ret ? 0 : -EINVAL;
	} else {
		r = -ENOMEM;
	}
	decoding.pool = NULL;
	json_set_alloc_funcs(others_malloc, others_free);
	return r;
}

/* Reads the JSON and reports what is wrong with it as JSON. Returns 0 and the document even where a
 * key stands twice: that is a finding, but the rest can be judged. */
static int read_document(const struct syntax *syntax, struct pool *pool, json_t **ret)
{
	const size_t flags = JSON_DECODE_ANY;
	size_t duplicate = 0;
	json_error_t error;
	int r;

	r = decode(syntax->text, syntax->length, flags | JSON_REJECT_DUPLICATES, pool, &error, ret);
	if (r == -EINVAL && json_error_code(&error) == json_error_duplicate_key) {
		duplicate = (size_t)error.position;
		r = decode(syntax->text, syntax->length, flags, pool, &error, ret);
	}
	if (r == -ENOMEM)
		return r;
	if (duplicate && r == 0)
		syntax_duplicates(syntax, duplicate);
	else if (duplicate)
		syntax_duplicate(syntax, duplicate);
	if (r == -EINVAL)
		syntax_explain(syntax, (size_t)error.position, error.text);
	return r;
}

/* ---- the top level ---- */

static void read_version(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	(void)into;
	if (!json_is_integer(value) || json_integer_value(value) != 1)
		load_wrong_value(loader, at, value,
				 "expected 1, the version of the policy language that this "
				 "program reads");
}

static void read_allow_delete(struct loader *loader, json_t *value, const struct load_place *at,
			      void *into)
{
	(void)into; /* a rule that deletes looks it up in the document */
	if (!json_is_boolean(value))
		load_wrong_value(loader, at, value, "expected true or false");
}

static void read_reconcile(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	struct policy *policy = into;

	load_duration(loader, value, at, 1, UNITS_DURATION_MAX,
		      "expected a duration of at least a second, such as \"1h\", or whole seconds",
		      &policy->reconcile);
}

#define RATE "expected a whole number, 0 (no limit) to 1000000"

static void read_rate(struct loader *loader, json_t *value, const struct load_place *at,
		      uint32_t *ret)
{
	json_int_t rate = json_integer_value(value);

	if (!json_is_integer(value) || rate < 0 || rate > 1000000)
		load_wrong_value(loader, at, value, RATE);
	else
		*ret = (uint32_t)rate;
}

static void read_moves_per_second(struct loader *loader, json_t *value, const struct load_place *at,
				  void *into)
{
	struct policy_limits *limits = into;

	read_rate(loader, value, at, &limits->moves_per_second);
}

static void read_deletes_per_minute(struct loader *loader, json_t *value,
				    const struct load_place *at, void *into)
{
	struct policy_limits *limits = into;

	read_rate(loader, value, at, &limits->deletes_per_minute);
}

static void read_bounces_per_minute(struct loader *loader, json_t *value,
				    const struct load_place *at, void *into)
{
	struct policy_limits *limits = into;

	read_rate(loader, value, at, &limits->bounces_per_minute);
}

static void read_programs(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	struct policy_limits *limits = into;
	json_int_t programs = json_integer_value(value);

	if (!json_is_integer(value) || programs < 1 || programs > 64)
		load_wrong_value(loader, at, value,
				 "expected how many programs may run at once: 1 to 64");
	else
		limits->programs = (uint32_t)programs;
}

static const struct load_field limits_fields[] = {
	{"moves_per_second", read_moves_per_second, NULL},
	{"deletes_per_minute", read_deletes_per_minute, NULL},
	{"bounces_per_minute", read_bounces_per_minute, NULL},
	{"programs", read_programs, NULL},
	{0},
};

static void read_limits(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	struct policy *policy = into;

	if (load_is_object(loader, value, at,
			   "expected an object, such as {\"moves_per_second\": 500}"))
		load_object(loader, value, at, limits_fields, &policy->limits);
}

static const struct load_field policy_fields[] = {
	{"version", read_version, "write \"version\": 1"},
	{"tiers", load_tiers, "list the tiers, each with a \"name\" and a \"directory\""},
	{"rules", load_rules,
	 "list the rules; an empty list, [], leaves every message where it is"},
	{"allow_delete", read_allow_delete, NULL},
	{"reconcile", read_reconcile, NULL},
	{"limits", read_limits, NULL},
	{"sendmail", load_sendmail, NULL},
	{"events", load_events, NULL},
	{"listen", load_listen, NULL},
	{"metrics", load_metrics, NULL},
	{0},
};

/* ---- notes: what is right, but may not be meant ---- */

static bool any_rule_deletes(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		if (policy->rules[i].decides && policy->rules[i].action == POLICY_DELETE)
			return true;
	}
	return false;
}

/* The tiers that a rule is for or moves to. */
static uint64_t named_tiers(const struct policy *policy)
{
	uint64_t tiers = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		tiers |= rule->tiers;
		if (rule->action == POLICY_MOVE)
			tiers |= UINT64_C(1) << rule->target;
	}
	return tiers;
}

static void note_unnamed_tiers(struct loader *loader, const struct load_place *top)
{
	const struct load_place tiers = {.parent = top, .key = "tiers"};
	const struct policy *policy = loader->policy;
	uint64_t named = named_tiers(policy);

	for (size_t i = 0; i < policy->n_tiers; i++) {
		const struct load_place tier = {.parent = &tiers, .index = i};
		struct text found = {0};

		if (named >> i & 1)
			continue;
		text_add(&found, "tier ");
		text_quote(&found, policy->tiers[i].name, strlen(policy->tiers[i].name));
		text_add(&found, " without a rule");
		load_find(loader, PROBLEM_NOTE, &tier, found.bytes,
			  "nothing moves its messages, and nothing moves there");
	}
}

static void note_unused_allow_delete(struct loader *loader, const struct load_place *top)
{
	const struct load_place at = {.parent = top, .key = "allow_delete"};

	if (json_is_true(json_object_get(loader->root, "allow_delete")) &&
	    !any_rule_deletes(loader->policy))
		load_find(loader, PROBLEM_NOTE, &at, "\"allow_delete\" without a rule that deletes",
			  "remove it, and no slip of the hand can delete");
}

/* ---- the whole ---- */

/* Reads the document into loader->policy; loader->findings tells whether it is any good. */
static void read_policy(struct loader *loader)
{
	const struct load_place top = {0};

	loader->policy->reconcile = RECONCILE_DEFAULT;
	loader->policy->limits = (struct policy_limits){
		.deletes_per_minute = POLICY_DELETES_PER_MINUTE,
		.bounces_per_minute = POLICY_BOUNCES_PER_MINUTE,
		.programs = POLICY_PROGRAMS,
	};
	if (!load_is_object(loader, loader->root, &top,
			    "expected an object, {...}, with \"version\", \"tiers\" and \"rules\""))
		return;
	load_object(loader, loader->root, &top, policy_fields, loader->policy);
	load_default_events(loader);
	load_default_sendmail(loader);
	if (loader->findings || loader->no_memory)
		return;
	load_digest(loader);
	note_unnamed_tiers(loader, &top);
	note_unused_allow_delete(loader, &top);
}

/* Judges a document and builds the policy. Returns 0, -EINVAL or -ENOMEM. */
static int build(json_t *root, const char *path, struct problems *problems, struct policy **ret)
{
	struct loaded *loaded = memory_resize(NULL, sizeof(*loaded));
	struct loader loader = {.path = path, .problems = problems, .root = root};
	int r = 0;

	if (!loaded)
		return -ENOMEM;
	*loaded = (struct loaded){0};
	loader.policy = &loaded->policy;
	loader.pool = &loaded->pool;
	loader.folder_error = -paths_folder_of(path, loader.folder);
	read_policy(&loader);
	loaded->policy.path = load_kept(&loader, pool_copy(&loaded->pool, path));
	if (loader.no_memory)
		r = -ENOMEM;
	else if (loader.findings)
		r = -EINVAL;
	if (r < 0)
		policy_free(&loaded->policy);
	else
		*ret = &loaded->policy;
	return r;
}

/* A mark that says "this is UTF-8" is not JSON. It is a finding, but not one to hide the others
 * behind. Returns its length. */
static size_t check_mark(const struct syntax *syntax)
{
	size_t length = strlen(utf8_mark);

	if (syntax->length < length || memcmp(syntax->text, utf8_mark, length) != 0)
		return 0;
	syntax_report(syntax, 0,
		      "the file begins with a byte order mark: save it as UTF-8 without one "
		      "(without BOM)");
	return length;
}

/* On failure the policy is still whole. */
static int keep_source(struct policy *policy, const char *text, size_t length)
{
	struct loaded *loaded = (struct loaded *)policy;

	policy->source = pool_alloc(&loaded->pool, length);
	if (!policy->source)
		return -ENOMEM;
	memcpy(policy->source, text, length);
	policy->source_length = length;
	return 0;
}

static int judge(const char *text, size_t length, const char *path, struct problems *problems,
		 struct policy **ret)
{
	struct syntax syntax = {.path = path, .text = text, .length = length, .problems = problems};
	struct pool document = {0};
	json_t *root = NULL;
	size_t mark;
	int r;

	mark = check_mark(&syntax);
	syntax.text += mark;
	syntax.length -= mark;
	r = read_document(&syntax, &document, &root);
	if (r == 0)
		r = build(root, path, problems, ret);
	pool_free(&document);
	return r < 0 ? r : keep_source(*ret, text, length);
}

/* Is there a finding that is no note, from the one at index `first` on? */
static bool any_since(const struct problems *problems, size_t first)
{
	for (size_t i = first; i < problems->count; i++) {
		if (problems->list[i].kind != PROBLEM_NOTE)
			return true;
	}
	return false;
}

int policy_parse(const char *text, size_t length, const char *path, struct problems *problems,
		 struct policy **ret)
{
	size_t first = problems->count;
	struct policy *policy = NULL;
	int r;

	if (length > POLICY_MAX_BYTES) {
		problems_add(problems, PROBLEM_INVALID,
			     "%s: larger than %d bytes: this is not a policy; give the path of one",
			     path, POLICY_MAX_BYTES);
		return problems->incomplete ? -ENOMEM : -EINVAL;
	}
	r = judge(length ? text : "", length, path, problems, &policy);
	/* A byte order mark and a duplicate key are findings that stop nobody from reading on. */
	if (r == 0 && any_since(problems, first))
		r = -EINVAL;
	if (problems->incomplete)
		r = -ENOMEM;
	if (r == -ENOMEM)
		problems->incomplete = true;
	if (r < 0)
		policy_free(policy);
	else
		*ret = policy;
	return r;
}

void policy_free(struct policy *policy)
{
	struct loaded *loaded = (struct loaded *)policy;

	if (!loaded)
		return;
	pool_free(&loaded->pool);
	free(loaded);
}

const struct policy_rule *policy_find_rule(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		if (!strcmp(policy->rules[i].name, name))
			return &policy->rules[i];
	}
	return NULL;
}

int policy_find_tier(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_tiers; i++) {
		if (!strcmp(policy->tiers[i].name, name))
			return (int)i;
	}
	return -1;
}
