/* qctrl_when.c - qctrl's limits and patterns as a rule's "when". */
#include "qctrl_policy_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "qfwatch/units.h"

static void set_age(json_t *when, int64_t more_than)
{
	char text[UNITS_DURATION_TEXT];

	units_format_duration(more_than + 1, text, sizeof(text));
	json_object_set_new(when, "age", json_string(text));
}

/* The limits, of which any one is enough: as conditions of one object. */
static json_t *limits_when(const struct qctrl *qctrl)
{
	json_t *any = json_array(), *when = json_object();

	if (qctrl->always) {
		json_object_set_new(when, "always", json_true());
		json_decref(any);
		return when;
	}
	if (qctrl->tries != QCTRL_NONE) {
		json_t *tries = json_object();

		json_object_set_new(tries, "attempts", json_integer(qctrl->tries + 1));
		json_array_append_new(any, tries);
	}
	if (qctrl->maxage != QCTRL_NONE) {
		json_t *age = json_object();

		set_age(age, qctrl->maxage);
		json_array_append_new(any, age);
	}
	if (qctrl->maxageinval != QCTRL_NONE) {
		json_t *invalid = json_object();

		json_object_set_new(invalid, "incomplete", json_true());
		set_age(invalid, qctrl->maxageinval);
		json_array_append_new(any, invalid);
	}
	if (json_array_size(any) == 1)
		json_object_update(when, json_array_get(any, 0));
	else
		json_object_set(when, "any", any);
	json_decref(any);
	return when;
}

static json_t *one_or_list(json_t *list)
{
	return json_array_size(list) == 1 ? json_array_get(list, 0) : list;
}

/* {"recipient": yes, "not": {"recipient": no}} */
static json_t *recipient_when(json_t *yes, json_t *no)
{
	json_t *when = json_object();

	json_object_set(when, "recipient", one_or_list(yes));
	if (json_array_size(no)) {
		json_t *inner = json_object(), *copy = json_deep_copy(no);

		json_object_set(inner, "recipient", one_or_list(copy));
		json_object_set_new(when, "not", inner);
		json_decref(copy);
	}
	return when;
}

static void note_pattern(struct qctrl_policy *policy, unsigned line, const char *text,
			 unsigned notes, json_t *comments)
{
	char why[400];

	if (notes & QCTRL_NOTE_BRACKETS)
		qctrl_comment(
			comments,
			"recv \"%.200s\": < and > are the address's ends here; an address that "
			"stands without them in the qf did not match there.",
			text);
	if (notes & QCTRL_NOTE_END) {
		snprintf(why, sizeof(why),
			 "recv \"%.200s\": the end of the line, where > stands behind most "
			 "addresses, is the end of the address here",
			 text);
		qctrl_differ(policy, line, comments, why,
			     "it matches more than in qctrl: is that meant?");
	}
	if (notes & QCTRL_NOTE_FLAGS) {
		snprintf(why, sizeof(why),
			 "recv \"%.200s\" also looked at the flags before the address (R line: "
			 "PFD:<...>), here it does not",
			 text);
		qctrl_differ(policy, line, comments, why, "it may match less than in qctrl");
	}
}

/* The first pattern that matches an address tells. So each row of those that say yes needs that
 * none of those that say no before it matches. Returns a list of alternatives, or NULL and a
 * finding. */
static json_t *pattern_alternatives(struct qctrl_policy *policy, unsigned line,
				    const struct qctrl *qctrl, json_t *comments)
{
	json_t *alternatives = json_array(), *yes = json_array(), *no = json_array();
	struct qctrl_refusal refusal;
	bool mixed = false, good = true;

	for (size_t i = 0; good && i < qctrl->n_patterns; i++) {
		const struct qctrl_pattern *pattern = &qctrl->patterns[i];
		unsigned notes;
		char *regex;
		json_t *item;

		if (qctrl_pattern_regex(pattern, &regex, &notes, &refusal) < 0) {
			qctrl_leave_out(policy, line, refusal.why, refusal.remedy);
			good = false;
			break;
		}
		note_pattern(policy, line, pattern->text, notes, comments);
		item = json_object();
		json_object_set_new(item, "regex", qctrl_text(regex));
		free(regex);
		mixed |= pattern->no;
		if (pattern->no && json_array_size(yes)) {
			json_array_append_new(alternatives, recipient_when(yes, no));
			json_decref(yes);
			yes = json_array();
		}
		json_array_append_new(pattern->no ? no : yes, item);
	}
	if (json_array_size(yes))
		json_array_append_new(alternatives, recipient_when(yes, no));
	json_decref(yes);
	json_decref(no);
	if (good && !json_array_size(alternatives)) {
		qctrl_leave_out(
			policy, line,
			"qctrl never acts on it: every recv pattern begins with !, and what none "
			"matches stays",
			"for \"all but these\" write recv:!THESE,recv:/. and import again");
		good = false;
	}
	if (good && mixed)
		qctrl_differ(
			policy, line, comments,
			"when a message has several recipients and the patterns say different "
			"things of them, qctrl does what the last one in the qf says; this rule "
			"acts "
			"when one says yes and no ! pattern before it matches any",
			"it is the same for messages with one recipient, as OpenEMM sends them");
	if (!good) {
		json_decref(alternatives);
		return NULL;
	}
	return alternatives;
}

/* Adds conditions to those that hold already. "any" can stand once in an object. */
static void join(json_t *when, json_t *limits)
{
	json_t *alternative, *any = json_object_get(when, "any");
	size_t i;

	if (!any || !json_object_get(limits, "any")) {
		json_object_update(when, limits);
		return;
	}
	json_array_foreach(any, i, alternative) {
		json_object_update(alternative, limits);
	}
}

json_t *qctrl_when(struct qctrl_policy *policy, unsigned line, const struct qctrl *qctrl,
		   json_t *comments)
{
	json_t *limits = limits_when(qctrl), *alternatives, *when;

	if (!qctrl->n_patterns)
		return limits;
	alternatives = pattern_alternatives(policy, line, qctrl, comments);
	if (!alternatives) {
		json_decref(limits);
		return NULL;
	}
	when = json_object();
	if (json_array_size(alternatives) == 1)
		json_object_update(when, json_array_get(alternatives, 0));
	else
		json_object_set(when, "any", alternatives);
	json_decref(alternatives);
	if (!qctrl->always)
		join(when, limits);
	json_decref(limits);
	return when;
}
