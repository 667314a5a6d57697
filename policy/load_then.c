/* load_then.c - a rule's "then": the action that decides, and what goes with it.
 *
 * An action is a row in then_fields.
 */
#include "load.h"

#include <string.h>

#define TIMEOUT_DEFAULT 30
#define TIMEOUT_MAX	86400
#define NOTICE_MAX	256

/* The keys that decide: exactly one of them, or none where another key stands alone. */
static const char *const deciding[] = {"move", "delete", "bounce", "keep"};

#define N_DECIDING (sizeof(deciding) / sizeof(deciding[0]))

static void decide(struct policy_rule *rule, enum policy_action action)
{
	rule->decides = true;
	rule->action = action;
}

static void read_move(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	const char *name =
		load_string(loader, value, at, "expected the name of the tier to move to");
	struct policy_rule *rule = into;
	int target = name ? load_find_tier(loader, name, at) : -1;

	/* It decides even if nobody knows where to: then no more is said about it. */
	decide(rule, POLICY_MOVE);
	rule->target = target < 0 ? POLICY_MAX_TIERS : (unsigned)target;
}

static void read_delete(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	const json_t *allowed = json_object_get(loader->root, "allow_delete");

	if (!load_true(loader, value, at, "expected true, or another action such as \"move\""))
		return;
	/* Where allow_delete is there and no boolean, its own finding says so. */
	if (!allowed || json_is_false(allowed))
		load_wrong(loader, at, "\"delete\" without \"allow_delete\"",
			   "%s \"allow_delete\": true at the top level, if messages may be deleted "
			   "for good",
			   allowed ? "set" : "add");
	decide(into, POLICY_DELETE);
}

static void read_bounce(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	if (load_true(loader, value, at, "expected true, or another action such as \"move\""))
		decide(into, POLICY_BOUNCE);
}

static void read_keep(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	if (load_true(loader, value, at, "expected true, or another action such as \"move\""))
		decide(into, POLICY_STAY);
}

static void read_notify(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	static const char expected[] = "expected true, or what the event says: 1 to 256 bytes "
				       "without control characters";
	struct policy_rule *rule = into;
	const char *notice = json_string_value(value);

	rule->notify = true;
	if (json_is_true(value))
		return;
	if (!notice || !*notice || strlen(notice) > NOTICE_MAX || text_has_control(notice)) {
		load_wrong_value(loader, at, value, expected);
		return;
	}
	rule->notice = load_kept(loader, pool_copy(loader->pool, notice));
}

/* ---- programs ---- */

#define PROGRAM                                                                                    \
	"expected a program with its arguments, such as {\"program\": \"/usr/local/bin/tell\", "   \
	"\"arguments\": [\"{id}\"]}"

static const char *const placeholders[] = {"{id}", "{file}", "{tier}", "{rule}"};

#define N_PLACEHOLDERS (sizeof(placeholders) / sizeof(placeholders[0]))

/* "{...}" that is no placeholder, or NULL. A brace that does not look like one is the program's. */
static const char *find_unknown_placeholder(const char *argument, size_t *ret_length)
{
	for (const char *open = strchr(argument, '{'); open; open = strchr(open + 1, '{')) {
		size_t length =
			strspn(open + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
		bool known = false;

		if (length == 0 || open[1 + length] != '}')
			continue;
		for (size_t i = 0; i < N_PLACEHOLDERS; i++)
			known |= !strncmp(open, placeholders[i], length + 2) &&
				 placeholders[i][length + 2] == '\0';
		if (!known) {
			*ret_length = length + 2;
			return open;
		}
	}
	return NULL;
}

static void check_placeholders(struct loader *loader, const char *argument,
			       const struct load_place *at)
{
	struct load_choice choice = {0};
	size_t length;
	const char *unknown = find_unknown_placeholder(argument, &length);
	char word[64];

	if (!unknown)
		return;
	if (length >= sizeof(word))
		length = sizeof(word) - 1;
	memcpy(word, unknown, length);
	word[length] = '\0';
	choice.nearest.word = word;
	for (size_t i = 0; i < N_PLACEHOLDERS; i++)
		load_offer(&choice, placeholders[i]);
	load_unknown(loader, at, "placeholder", &choice);
}

/* Adds the strings of a list to `arguments`, which has room for them. */
static void read_words(struct loader *loader, json_t *value, const struct load_place *at,
		       char **arguments, bool filled)
{
	json_t *item;
	size_t i;

	json_array_foreach(value, i, item) {
		struct load_place place = {.parent = at, .index = i};
		const char *word = load_string(loader, item, &place, "expected a text");

		if (!word)
			continue;
		if (filled)
			check_placeholders(loader, word, &place);
		*arguments = load_kept(loader, pool_copy(loader->pool, word));
		if (!*arguments++)
			return;
	}
}

/* An absolute path: what PATH would find is not the operator's to say here. */
static bool check_program(struct loader *loader, const json_t *value, const struct load_place *at,
			  const char *expected)
{
	const char *path = json_string_value(value);

	if (path && *path == '/')
		return true;
	load_wrong_value(loader, at, value, expected);
	return false;
}

static char **new_arguments(struct loader *loader, size_t count)
{
	return load_kept(loader, pool_array(loader->pool, count + 1, sizeof(char *)));
}

static void read_program(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	struct policy_program *program = into;

	if (check_program(loader, value, at,
			  "expected the absolute path of a program, such as "
			  "\"/usr/local/bin/tell\"") &&
	    program->arguments)
		program->arguments[0] =
			load_kept(loader, pool_copy(loader->pool, json_string_value(value)));
}

static void read_arguments(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	struct policy_program *program = into;

	if (!json_is_array(value))
		load_wrong_value(loader, at, value,
				 "expected a list of arguments, such as [\"{id}\", \"{file}\"]");
	else if (program->arguments)
		read_words(loader, value, at, program->arguments + 1, true);
}

static void read_timeout(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	struct policy_program *program = into;

	load_duration(loader, value, at, 1, TIMEOUT_MAX,
		      "expected a duration from \"1s\" to \"1d\", such as \"30s\"",
		      &program->timeout);
}

static const struct load_field program_fields[] = {
	{"program", read_program, "say which program, such as \"/usr/local/bin/tell\""},
	{"arguments", read_arguments, NULL},
	{"timeout", read_timeout, NULL},
	{0},
};

static void read_run(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy_rule *rule = into;
	struct policy_program *program;

	if (!load_is_object(loader, value, at, PROGRAM))
		return;
	program = load_kept(loader, pool_alloc(loader->pool, sizeof(*program)));
	if (!program)
		return;
	program->timeout = TIMEOUT_DEFAULT;
	program->arguments =
		new_arguments(loader, 1 + json_array_size(json_object_get(value, "arguments")));
	load_object(loader, value, at, program_fields, program);
	rule->program = program;
}

void load_sendmail(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	static const char expected[] =
		"expected the absolute path of sendmail, or a list of it and "
		"its arguments, such as [\"/usr/sbin/sendmail\", \"-C\", "
		"\"/etc/mail/sendmail.cf\"]";
	const struct load_place first = {.parent = at};
	struct policy *policy = into;
	bool list = json_array_size(value) > 0;

	if (!check_program(loader, list ? json_array_get(value, 0) : value, list ? &first : at,
			   expected))
		return;
	policy->sendmail = new_arguments(loader, 1 + json_array_size(value));
	if (!policy->sendmail)
		return;
	if (list)
		read_words(loader, value, at, policy->sendmail, false);
	else
		policy->sendmail[0] =
			load_kept(loader, pool_copy(loader->pool, json_string_value(value)));
}

void load_default_sendmail(struct loader *loader)
{
	struct policy *policy = loader->policy;

	if (policy->sendmail)
		return;
	policy->sendmail = new_arguments(loader, 1);
	if (policy->sendmail)
		policy->sendmail[0] =
			load_kept(loader, pool_copy(loader->pool, "/usr/sbin/sendmail"));
}

/* ---- the whole ---- */

static const struct load_field then_fields[] = {
	{"move", read_move, NULL},
	{"keep", read_keep, NULL},
	{"delete", read_delete, NULL},
	{"bounce", read_bounce, NULL},
	{"notify", read_notify, NULL},
	{"run", read_run, NULL},
	{0},
};

/* Where a message stays, nothing is done that could be told of; and told of each time that it is
 * looked at, it would be told of without end. */
static void check_keep(struct loader *loader, const json_t *value, const struct load_place *at)
{
	static const char expected[] =
		"put it into a rule of its own before this one: that acts once a message";
	const struct load_place notify = {.parent = at, .key = "notify"};
	const struct load_place run = {.parent = at, .key = "run"};

	if (!json_object_get(value, "keep"))
		return;
	if (json_object_get(value, "notify"))
		load_wrong(loader, &notify, "\"notify\" beside \"keep\"", "%s", expected);
	if (json_object_get(value, "run"))
		load_wrong(loader, &run, "\"run\" beside \"keep\"", "%s", expected);
}

void load_then(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	static const char expected[] =
		"expected exactly one of \"move\", \"keep\", \"delete\", \"bounce\"";
	size_t actions = 0;

	if (!load_is_object(loader, value, at,
			    "expected an action, such as {\"move\": \"MIDQUEUE\"}"))
		return;
	if (load_is_empty(value))
		load_wrong(
			loader, at, "no action",
			"expected one of \"move\", \"keep\", \"delete\", \"bounce\", \"notify\", "
			"\"run\"");
	load_object(loader, value, at, then_fields, into);
	for (size_t i = 0; i < N_DECIDING; i++)
		actions += json_object_get(value, deciding[i]) != NULL;
	if (actions > 1)
		load_wrong(loader, at, "more than one action", "%s", expected);
	check_keep(loader, value, at);
}
