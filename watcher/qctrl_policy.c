/* qctrl_policy.c - see qctrl_policy.h */
#include "qctrl_policy_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/shell.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define TIER_NAME 56  /* POLICY_TIER_NAME_MAX, less a number behind it */
#define RULE_NAME 120 /* 128, less a number behind it */

/* Cuts at a character. */
static void cut(char *text, size_t most)
{
	if (strlen(text) <= most)
		return;
	while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	text[most] = '\0';
}

/* ---- tiers ---- */

/* Without doubled and trailing slashes and without "/./", as the policy has it. */
static char *plain_path(const char *path)
{
	char *plain = xcalloc(strlen(path) + 2, 1), *out = plain;
	bool absolute = *path == '/';

	for (;;) {
		size_t size;

		path += strspn(path, "/");
		size = strcspn(path, "/");
		if (!size)
			break;
		if (!(size == 1 && *path == '.')) {
			if (absolute || out > plain)
				*out++ = '/';
			memcpy(out, path, size);
			out += size;
		}
		path += size;
	}
	if (out == plain)
		*out++ = absolute ? '/' : '.';
	return plain;
}

static bool is_inside(const char *inner, const char *outer)
{
	size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

	return !strncmp(inner, outer, length) && inner[length] == '/';
}

static bool has_tier_name(const struct qctrl_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_tiers; i++)
		if (!strcmp(policy->tiers[i].name, name))
			return true;
	return false;
}

static char *new_tier_name(const struct qctrl_policy *policy, const char *directory)
{
	const char *slash = strrchr(directory, '/');
	char *base = qctrl_tidy(slash ? slash + 1 : directory), *name;

	cut(base, TIER_NAME);
	name = xstrdup(!*base || !strcmp(base, "*") ? "tier" : base);
	for (unsigned n = 2; has_tier_name(policy, name); n++) {
		free(name);
		name = xasprintf("%s-%u", *base ? base : "tier", n);
	}
	free(base);
	return name;
}

/* What a directory is that the policy may take for another one. */
static void judge_directory(struct qctrl_policy *policy, unsigned line,
			    const struct shell_word *word, const char *directory, json_t *comments)
{
	char why[512];

	if (word->unknown) {
		snprintf(why, sizeof(why), "what %.80s is in \"%.300s\" is not known",
			 word->unknown, directory);
		qctrl_differ(
			policy, line, comments, why,
			"write the directory into the policy, or import again with --home DIR or "
			"--set NAME=VALUE");
	} else if (*directory != '/') {
		snprintf(why, sizeof(why),
			 "\"%.300s\" is not absolute: the policy means the policy's own folder",
			 directory);
		qctrl_differ(policy, line, comments, why, "write the whole path into the policy");
	}
	if (strpbrk(directory, "*?[")) {
		snprintf(why, sizeof(why),
			 "\"%.300s\" is a pattern in a policy, for as many directories as match",
			 directory);
		qctrl_differ(
			policy, line, comments, why,
			word->glob ? "qctrl got the one name that the shell made of it: write that"
				   : "qctrl meant just that name: rename the directory");
	}
	for (size_t i = 0; i < policy->n_tiers; i++) {
		const char *other = policy->tiers[i].directory;

		if (!is_inside(directory, other) && !is_inside(other, directory))
			continue;
		snprintf(why, sizeof(why), "\"%.200s\" and \"%.200s\": one is within the other",
			 directory, other);
		qctrl_differ(policy, line, comments, why,
			     "give each tier a directory beside the others: qfwatch refuses such a "
			     "policy");
	}
}

/* Index of the tier of a directory, a new one where it has none; or -1 and a finding. */
static int tier_of(struct qctrl_policy *policy, unsigned line, const struct shell_word *word)
{
	char *directory = plain_path(word->text), *clean = qctrl_tidy(directory);
	bool odd = strcmp(clean, directory) != 0;
	struct tier *tier = &policy->tiers[policy->n_tiers];
	json_t *comments, *object;

	free(clean);
	for (size_t i = 0; i < policy->n_tiers; i++) {
		if (!strcmp(policy->tiers[i].directory, directory)) {
			free(directory);
			return (int)i;
		}
	}
	if (odd || policy->n_tiers == QCTRL_MAX_TIERS || !strcmp(directory, "/dev/null")) {
		qctrl_leave_out(policy, line,
				odd ? "a directory's name is not UTF-8"
				: policy->n_tiers == QCTRL_MAX_TIERS ? "it needs more than 64 tiers"
								     : "/dev/null is no directory",
				"write two directories that a policy can name");
		free(directory);
		return -1;
	}
	comments = json_array();
	judge_directory(policy, line, word, directory, comments);
	tier->name = new_tier_name(policy, directory);
	tier->directory = directory;
	object = json_object();
	json_object_set_new(object, "name", json_string(tier->name));
	json_object_set_new(object, "directory", json_string(directory));
	qctrl_set_comment(object, comments);
	json_array_append_new(policy->tier_list, object);
	return (int)policy->n_tiers++;
}

/* ---- then ---- */

static json_t *new_program(struct qctrl_policy *policy, unsigned line, const struct qctrl *qctrl,
			   json_t *comments)
{
	json_t *run, *arguments;
	char why[400];

	if (*qctrl->informer != '/') {
		snprintf(
			why, sizeof(why),
			"the informer \"%.200s\" is not run: a policy names a program by its whole "
			"path",
			qctrl->informer);
		qctrl_differ(policy, line, comments, why,
			     "write informer:/its/whole/path and import again");
		return NULL;
	}
	policy->informs = true;
	arguments = json_array();
	json_array_append_new(arguments,
			      json_string(qctrl->deletes ? "/dev/null/qf{id}" : "{file}"));
	run = json_object();
	json_object_set_new(run, "program", qctrl_text(qctrl->informer));
	json_object_set_new(run, "arguments", arguments);
	json_object_set_new(run, "timeout", json_string("1d"));
	qctrl_comment(
		comments,
		"qctrl waited for the informer without end, and for one after the other; here it "
		"is ended after its timeout. It no longer starts in %s, and its output goes to the "
		"event.",
		qctrl->from);
	return run;
}

static json_t *new_then(struct qctrl_policy *policy, unsigned line, const struct qctrl *qctrl,
			const char *target, json_t *comments)
{
	json_t *then = json_object(), *run;

	if (target)
		json_object_set_new(then, "move", json_string(target));
	else
		json_object_set_new(then, "delete", json_true());
	run = qctrl->informer ? new_program(policy, line, qctrl, comments) : NULL;
	if (run)
		json_object_set_new(then, "run", run);
	return then;
}

/* ---- rules ---- */

static void comment_meaning(struct qctrl_policy *policy, unsigned line, const struct qctrl *qctrl,
			    bool loop, json_t *comments)
{
	char text[UNITS_DURATION_TEXT], why[400];

	if (qctrl->ignored) {
		snprintf(why, sizeof(why),
			 "qctrl does not understand %.200s and acts as if it were not there; so "
			 "does this rule",
			 qctrl->ignored);
		qctrl_differ(policy, line, comments, why, "mend the rule if it was meant");
	}
	if (qctrl->always && (qctrl->tries != QCTRL_NONE || qctrl->maxage != QCTRL_NONE ||
			      qctrl->maxageinval != QCTRL_NONE))
		qctrl_comment(comments, "allways makes the other limits pointless, in qctrl too.");
	if (!qctrl->always && qctrl->tries != QCTRL_NONE)
		qctrl_comment(comments, "tries:%" PRId64 " wants more than %" PRId64 " attempts.",
			      qctrl->tries, qctrl->tries);
	if (!qctrl->always && (qctrl->maxage != QCTRL_NONE || qctrl->maxageinval != QCTRL_NONE))
		qctrl_comment(comments,
			      "A message that is just as old as the limit stays in qctrl: hence "
			      "the second more.");
	if (!qctrl->once)
		qctrl_comment(comments, "qctrl looked every %s; qfwatch acts at once.",
			      units_format_duration(qctrl->delay, text, sizeof(text)));
	else if (loop)
		qctrl_comment(comments, "The script let qctrl look again and again (-o in a loop); "
					"qfwatch acts at once.");
	else
		qctrl_differ(
			policy, line, comments,
			"qctrl looked once, each time the line ran (-o); this rule is always in "
			"force",
			"use qfwatch run --once where that matters");
	if (qctrl->deletes)
		qctrl_comment(comments,
			      "qctrl deleted without limit; here limits.deletes_per_minute "
			      "(600) applies.");
}

static bool reaches(const struct qctrl_policy *policy, size_t from, size_t to)
{
	uint64_t seen = UINT64_C(1) << from, before;

	do {
		before = seen;
		for (size_t i = 0; i < policy->n_routes; i++)
			if (policy->routes[i].to != DELETED && seen >> policy->routes[i].from & 1)
				seen |= UINT64_C(1) << policy->routes[i].to;
	} while (seen != before);
	return seen >> to & 1;
}

/* What the rules before it have to do with it. */
static void judge_route(struct qctrl_policy *policy, const struct route *route, json_t *comments)
{
	const struct route *same = NULL, *first = NULL;
	char why[400];

	for (size_t i = policy->n_routes; i-- > 0;) {
		if (policy->routes[i].from != route->from)
			continue;
		first = &policy->routes[i];
		if (first->to == route->to)
			same = first;
	}
	if (same) {
		snprintf(
			why, sizeof(why),
			"%s %u goes between the same directories with other limits; both rules are "
			"in force",
			policy->where, same->line);
		qctrl_differ(policy, route->line, comments, why,
			     "if only one of them runs (if, else), remove the other's rule");
	} else if (first) {
		qctrl_comment(
			comments,
			"qctrl's commands for one directory ran side by side, each in its own "
			"time; "
			"here the first rule that matches acts (see %s %u).",
			policy->where, first->line);
	}
	if (route->to != DELETED && reaches(policy, route->to, route->from))
		qctrl_differ(policy, route->line, comments,
			     "together with the rules before it, it moves messages in a circle",
			     "qfwatch stops a message there and reports it; qctrl did not");
}

static bool has_rule_name(const struct qctrl_policy *policy, const char *name)
{
	json_t *rule;
	size_t i;

	json_array_foreach(policy->rules, i, rule) {
		if (!strcmp(json_string_value(json_object_get(rule, "name")), name))
			return true;
	}
	return false;
}

static json_t *new_rule_name(const struct qctrl_policy *policy, const struct route *route,
			     const struct qctrl *qctrl)
{
	char *raw = xasprintf("%s %u: %s to %s%s%s", policy->where, route->line,
			      policy->tiers[route->from].name,
			      qctrl->deletes ? "/dev/null" : policy->tiers[route->to].name,
			      qctrl->limits ? ", " : "", qctrl->limits ? qctrl->limits : "");
	char *base = qctrl_tidy(raw), *name;
	json_t *text;

	cut(base, RULE_NAME);
	name = xstrdup(base);
	for (unsigned n = 2; has_rule_name(policy, name); n++) {
		free(name);
		name = xasprintf("%s (%u)", base, n);
	}
	text = json_string(name);
	free(raw);
	free(base);
	free(name);
	return text;
}

/* A script may hold the same line twice, as for start and restart. */
static bool is_known(const struct qctrl_policy *policy, const char *tier, json_t *when,
		     json_t *then)
{
	json_t *rule;
	size_t i;

	json_array_foreach(policy->rules, i, rule) {
		if (!strcmp(json_string_value(json_object_get(rule, "tier")), tier) &&
		    json_equal(json_object_get(rule, "when"), when) &&
		    json_equal(json_object_get(rule, "then"), then))
			return true;
	}
	return false;
}

/* Takes `when` and `comments` over. */
static void add_rule(struct qctrl_policy *policy, const struct route *route,
		     const struct qctrl *qctrl, bool loop, json_t *when, json_t *comments)
{
	const char *tier = policy->tiers[route->from].name;
	const char *target = qctrl->deletes ? NULL : policy->tiers[route->to].name;
	json_t *then = new_then(policy, route->line, qctrl, target, comments);
	json_t *rule;

	if (is_known(policy, tier, when, then)) {
		json_decref(then);
		json_decref(when);
		json_decref(comments);
		return;
	}
	comment_meaning(policy, route->line, qctrl, loop, comments);
	judge_route(policy, route, comments);
	policy->deletes |= qctrl->deletes;
	rule = json_object();
	json_object_set_new(rule, "name", new_rule_name(policy, route, qctrl));
	qctrl_set_comment(rule, comments);
	json_object_set_new(rule, "tier", json_string(tier));
	json_object_set_new(rule, "when", when);
	json_object_set_new(rule, "then", then);
	json_array_append_new(policy->rules, rule);
	policy->routes =
		xreallocarray(policy->routes, policy->n_routes + 1, sizeof(*policy->routes));
	policy->routes[policy->n_routes++] = *route;
}

/* The word that one of qctrl's is. */
static const struct shell_word *word_of(const struct shell_word *words, size_t count,
					const char *text)
{
	for (size_t i = 0; text && i < count; i++)
		if (words[i].text == text)
			return &words[i];
	return NULL;
}

static void leave_out_unknown(struct qctrl_policy *policy, unsigned line,
			      const struct shell_word *word)
{
	char why[200];

	snprintf(why, sizeof(why), "what %.80s is in \"%.80s\" is not known", word->unknown,
		 word->text);
	qctrl_leave_out(policy, line, why,
			"import again with --set NAME=VALUE (--home DIR for $HOME)");
}

static void add_move(struct qctrl_policy *policy, unsigned line, bool loop,
		     const struct qctrl *qctrl, const struct shell_word *words, size_t count)
{
	const struct shell_word *limits = word_of(words, count, qctrl->limits);
	json_t *comments, *when;
	struct route route = {.to = DELETED, .line = line};
	int tier;

	if (limits && limits->unknown) {
		leave_out_unknown(policy, line, limits);
		return;
	}
	comments = json_array();
	when = qctrl_when(policy, line, qctrl, comments);
	tier = when ? tier_of(policy, line, word_of(words, count, qctrl->from)) : -1;
	route.from = (size_t)tier;
	if (tier >= 0 && !qctrl->deletes) {
		tier = tier_of(policy, line, word_of(words, count, qctrl->to));
		route.to = (size_t)tier;
	}
	if (tier >= 0 && route.from == route.to) {
		qctrl_leave_out(policy, line,
				"both names are one directory, whose messages qctrl would remove",
				"name two directories");
		tier = -1;
	}
	if (tier >= 0) {
		add_rule(policy, &route, qctrl, loop, when, comments);
	} else {
		json_decref(when);
		json_decref(comments);
	}
}

void qctrl_policy_add(struct qctrl_policy *policy, unsigned line, bool loop,
		      const struct shell_word *words, size_t count)
{
	char **texts = xcalloc(count + 1, sizeof(*texts));
	struct qctrl_refusal refusal;
	struct qctrl qctrl;

	for (size_t i = 0; i < count; i++)
		texts[i] = words[i].text;
	if (qctrl_parse(texts, count, &qctrl, &refusal) < 0) {
		const struct shell_word *word = word_of(words, count, refusal.word);

		if (word && word->unknown)
			leave_out_unknown(policy, line, word);
		else
			qctrl_leave_out(policy, line, refusal.why, refusal.remedy);
	} else {
		if (qctrl.verb == QCTRL_MOVE)
			add_move(policy, line, loop, &qctrl, words, count);
		else if (qctrl.verb == QCTRL_STAT)
			qctrl_leave_out(policy, line, "qctrl stat prints figures and moves nothing",
					"a policy has no need of it");
		else
			qctrl_leave_out(
				policy, line,
				"qctrl flush removes messages older than a day that have 002 as "
				"the 7th to 9th character of their queue id, for which a policy "
				"has no condition",
				"keep that job, or write a rule on something else they have");
		qctrl_free(&qctrl);
	}
	free(texts);
}

/* ---- the whole ---- */

/* jansson's callers look at most results, not at all of them; a policy with a hole would not mean
 * the same. */
static void *allocate(size_t size)
{
	return xcalloc(1, size);
}

struct qctrl_policy *qctrl_policy_new(const char *where)
{
	struct qctrl_policy *policy = xcalloc(1, sizeof(*policy));

	json_set_alloc_funcs(allocate, free);
	policy->where = where;
	policy->tier_list = json_array();
	policy->rules = json_array();
	policy->comments = json_array();
	qctrl_comment(policy->comments,
		      "Written by qfwatch import-qctrl. The rules' names tell the qctrl command "
		      "lines that they come from.");
	return policy;
}

void qctrl_policy_free(struct qctrl_policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->n_tiers; i++) {
		free(policy->tiers[i].directory);
		free(policy->tiers[i].name);
	}
	json_decref(policy->tier_list);
	json_decref(policy->rules);
	json_decref(policy->comments);
	free(policy->routes);
	free(policy);
}

void qctrl_policy_note(struct qctrl_policy *policy, const char *text)
{
	qctrl_comment(policy->comments, "%s", text);
}

size_t qctrl_policy_rules(const struct qctrl_policy *policy)
{
	return policy->n_routes;
}

unsigned qctrl_policy_problems(const struct qctrl_policy *policy)
{
	return policy->problems;
}

static void set_limits(json_t *root)
{
	json_t *limits = json_object();

	json_object_set_new(limits, "comment",
			    json_string("Informers run one after the other, as qctrl has it; raise "
					"it if yours may run beside itself."));
	json_object_set_new(limits, "programs", json_integer(1));
	json_object_set_new(root, "limits", limits);
}

int qctrl_policy_write(struct qctrl_policy *policy, FILE *to)
{
	json_t *root = json_object();
	int r;

	json_object_set_new(root, "version", json_integer(1));
	qctrl_set_comment(root, json_incref(policy->comments));
	json_object_set(root, "tiers", policy->tier_list);
	json_object_set(root, "rules", policy->rules);
	if (policy->deletes)
		json_object_set_new(root, "allow_delete", json_true());
	if (policy->informs)
		set_limits(root);
	errno = 0;
	r = json_dumpf(root, to, JSON_INDENT(2)) < 0 || putc('\n', to) == EOF || fflush(to) == EOF;
	json_decref(root);
	if (!r)
		return 0;
	return errno ? -errno : -EIO;
}
