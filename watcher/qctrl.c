/* qctrl.c - see qctrl.h */
#include "qfwatch/qctrl.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define DELAY_DEFAULT 300

#define SECONDS_DAY INT64_C(86400)

__attribute__((format(printf, 3, 4))) static int refuse(struct qctrl_refusal *refusal,
							const char *remedy, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(refusal->why, sizeof(refusal->why), format, arguments);
	va_end(arguments);
	snprintf(refusal->remedy, sizeof(refusal->remedy), "%s", remedy);
	return -EINVAL;
}

/* ---- values ---- */

static int64_t unit_of(char letter)
{
	switch (letter) {
	case 's':
	case ' ':
	case '\0':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return SECONDS_DAY;
	case 'W':
		return 7 * SECONDS_DAY;
	case 'M':
		return 30 * SECONDS_DAY;
	case 'Y':
		return 365 * SECONDS_DAY;
	}
	return 0;
}

int64_t qctrl_duration(const char *text)
{
	int64_t sum = 0, number = 0, sign = 1;
	bool large = false;

	for (;; text++) {
		if (isdigit((unsigned char)*text)) {
			number = number * 10 + (*text - '0');
			/* Ten thousand of its largest units. */
			large |= number > UNITS_DURATION_MAX;
			number = number > UNITS_DURATION_MAX ? UNITS_DURATION_MAX : number;
		} else if ((*text == '-' || *text == '+') && !number) {
			sign = *text == '-' ? -1 : 1;
		} else if (unit_of(*text)) {
			int64_t part;

			large |= __builtin_mul_overflow(number, sign * unit_of(*text), &part) ||
				 __builtin_add_overflow(sum, part, &sum);
			number = 0;
		} else {
			return QCTRL_NONE;
		}
		if (!*text)
			break;
	}
	return large || sum > UNITS_DURATION_MAX ? UNITS_DURATION_MAX + 1 : sum;
}

/* atoi, where that is defined; INT_MAX beyond. */
static int64_t whole_number(const char *text)
{
	long number = strtol(text, NULL, 10);

	return number > INT_MAX ? INT_MAX : number < INT_MIN ? INT_MIN : number;
}

static bool truth(const char *text)
{
	return *text && strchr("ty1+", tolower((unsigned char)*text));
}

/* ---- limits ---- */

static void add_pattern(struct qctrl *qctrl, const char *text)
{
	struct qctrl_pattern pattern = {0};

	pattern.no = *text == '!';
	text += pattern.no;
	pattern.regex = *text == '/';
	text += pattern.regex;
	pattern.text = xstrdup(text);
	qctrl->patterns =
		xreallocarray(qctrl->patterns, qctrl->n_patterns + 1, sizeof(*qctrl->patterns));
	qctrl->patterns[qctrl->n_patterns++] = pattern;
}

/* What reads as -1 is what qctrl has for "not given". */
static void note_ignored(struct qctrl *qctrl, const char *name, const char *value)
{
	char *old = qctrl->ignored;

	qctrl->ignored =
		old ? xasprintf("%s, %s:%s", old, name, value) : xasprintf("%s:%s", name, value);
	free(old);
}

static int read_limit(struct qctrl *qctrl, const char *name, const char *value,
		      struct qctrl_refusal *refusal)
{
	int64_t *number = NULL;

	if (!strcasecmp(name, "allways")) {
		qctrl->always = truth(value);
	} else if (!strcasecmp(name, "tries")) {
		number = &qctrl->tries;
		*number = whole_number(value);
	} else if (!strcasecmp(name, "maxage")) {
		number = &qctrl->maxage;
		*number = qctrl_duration(value);
	} else if (!strcasecmp(name, "maxageinval")) {
		number = &qctrl->maxageinval;
		*number = qctrl_duration(value);
	} else if (!strcasecmp(name, "informer")) {
		free(qctrl->informer);
		qctrl->informer = xstrdup(value);
	} else if (!strcasecmp(name, "recv")) {
		add_pattern(qctrl, value);
	} else {
		return refuse(refusal,
			      "its limits are tries, maxage, maxageinval, recv, allways and "
			      "informer; a comma always begins the next one",
			      "qctrl knows no limit \"%.60s\" and does not start", name);
	}
	if (number && *number == QCTRL_NONE)
		note_ignored(qctrl, name, value);
	return 0;
}

static int read_limits(struct qctrl *qctrl, struct qctrl_refusal *refusal)
{
	char *copy = xstrdup(qctrl->limits), *next = copy;
	int r = 0;

	while (r == 0 && next) {
		char *name = next, *value;

		next = strchr(name, ',');
		if (next) {
			*next++ = '\0';
			while (isspace((unsigned char)*next))
				next++;
		}
		value = strchr(name, ':');
		if (!value) {
			r = refuse(refusal, "write LIMIT:VALUE; a comma always begins the next one",
				   "the limit \"%.60s\" has no value, and qctrl does not start",
				   name);
			break;
		}
		*value++ = '\0';
		r = read_limit(qctrl, name, value, refusal);
	}
	free(copy);
	return r;
}

static int judge_numbers(const struct qctrl *qctrl, bool force, struct qctrl_refusal *refusal)
{
	static const char forced[] =
		"add \"force\" before \"move\" if it is meant, and import again";

	if (qctrl->tries != QCTRL_NONE && qctrl->tries < 1)
		return refuse(refusal, "write tries:3 or more",
			      "qctrl refuses tries below 1 and does not start");
	if (qctrl->tries != QCTRL_NONE && qctrl->tries < 3 && !force)
		return refuse(refusal, forced,
			      "qctrl refuses tries below 3 without \"force\" and does not start");
	if (qctrl->maxage != QCTRL_NONE && qctrl->maxage < 1)
		return refuse(refusal, "write an age such as maxage:6d",
			      "qctrl refuses a maxage below 1 second and does not start");
	if (qctrl->maxage != QCTRL_NONE && qctrl->maxage < 60 && !force)
		return refuse(
			refusal, forced,
			"qctrl refuses a maxage below 1 minute without \"force\" and does not "
			"start");
	if (qctrl->maxageinval != QCTRL_NONE && qctrl->maxageinval < 0)
		return refuse(refusal, "write an age such as maxageinval:1h",
			      "qctrl refuses a maxageinval below 0 and does not start");
	if (qctrl->maxage >= UNITS_DURATION_MAX || qctrl->maxageinval >= UNITS_DURATION_MAX)
		return refuse(refusal, "remove the limit, or write an age such as maxage:6d",
			      "an age of more than 10,000 years");
	return 0;
}

static int judge(const struct qctrl *qctrl, bool force, struct qctrl_refusal *refusal)
{
	if (!strcmp(qctrl->from, qctrl->to))
		return refuse(refusal, "name two directories",
			      "both directories are the same, and qctrl does not start");
	if (qctrl->deletes && !force)
		return refuse(refusal,
			      "add \"force\" before \"move\" if it is meant, and import again",
			      "qctrl refuses to delete (/dev/null) without \"force\" and does not "
			      "start");
	if (qctrl->always && !force)
		return refuse(refusal,
			      "add \"force\" before \"move\" if it is meant, and import again",
			      "qctrl refuses to move every message without \"force\" and does not "
			      "start");
	if (!qctrl->always && qctrl->tries == QCTRL_NONE && qctrl->maxage == QCTRL_NONE &&
	    qctrl->maxageinval == QCTRL_NONE)
		return refuse(refusal,
			      "add tries, maxage or maxageinval, or force and allways:true",
			      "no limit says when a message is to go, and qctrl does not start");
	return judge_numbers(qctrl, force, refusal);
}

/* ---- the command line ---- */

struct line {
	const char **words; /* those that are no options */
	size_t count;
};

/* Options may stand anywhere, as GNU getopt takes them: "-d780", "-d 780", "-fd780". */
static int read_options(char *const *words, size_t count, struct qctrl *qctrl, struct line *line,
			struct qctrl_refusal *refusal)
{
	bool options = true;

	for (size_t i = 0; i < count; i++) {
		const char *letter = words[i] + 1;

		if (!options || words[i][0] != '-' || !*letter) {
			line->words[line->count++] = words[i];
			continue;
		}
		if (!strcmp(words[i], "--")) {
			options = false;
			continue;
		}
		for (; *letter && strchr("faov", *letter); letter++)
			qctrl->once |= *letter == 'o';
		if (!*letter)
			continue;
		if (!strchr("dL", *letter))
			return refuse(refusal, "qctrl's options are -f -a -o -v -d SECONDS -L LOG",
				      "qctrl knows no option -%c and does not start", *letter);
		if (!letter[1] && i + 1 == count)
			return refuse(refusal, "give it one, as in -d780",
				      "the option -%c needs a value", *letter);
		if (*letter == 'd')
			qctrl->delay = whole_number(letter[1] ? letter + 1 : words[i + 1]);
		i += !letter[1];
	}
	if (qctrl->delay <= 0)
		qctrl->delay = DELAY_DEFAULT;
	return 0;
}

static int read_verb(struct line *line, struct qctrl *qctrl, bool *ret_force,
		     struct qctrl_refusal *refusal)
{
	static const char *const verbs[] = {
		[QCTRL_MOVE] = "move", [QCTRL_STAT] = "stat", [QCTRL_FLUSH] = "flush"};
	const char *word;

	*ret_force = line->count && !strcmp(line->words[0], "force");
	line->words += *ret_force;
	line->count -= *ret_force;
	if (!line->count)
		return refuse(refusal, "write what it is to do: move FROM TO LIMITS",
			      "no command behind qctrl");
	word = line->words[0];
	for (int i = QCTRL_MOVE; i <= QCTRL_FLUSH; i++) {
		if (strcasecmp(word, verbs[i]) != 0)
			continue;
		qctrl->verb = (enum qctrl_verb)i;
		line->words++;
		line->count--;
		return 0;
	}
	refusal->word = word;
	return refuse(refusal, "its commands are move, stat and flush",
		      "qctrl knows no command \"%.60s\" and does not start", word);
}

static int read_line(struct line *line, struct qctrl *qctrl, struct qctrl_refusal *refusal)
{
	bool force;
	int r = read_verb(line, qctrl, &force, refusal);

	if (r < 0 || qctrl->verb != QCTRL_MOVE)
		return r;
	if (line->count < 2 || line->count > 3)
		return refuse(
			refusal, "write move FROM TO LIMITS, the limits as one word",
			"qctrl wants two directories and at most one word of limits, here are "
			"%zu %s, and it does not start",
			line->count, units_plural(line->count, "word", "words"));
	qctrl->from = line->words[0];
	qctrl->to = line->words[1];
	qctrl->deletes = !strcmp(qctrl->to, "/dev/null");
	if (line->count == 3) {
		qctrl->limits = line->words[2];
		r = read_limits(qctrl, refusal);
	} else {
		qctrl->always = true;
	}
	if (r == 0)
		r = judge(qctrl, force, refusal);
	if (r < 0)
		refusal->word = qctrl->limits;
	return r;
}

int qctrl_parse(char *const *words, size_t count, struct qctrl *ret, struct qctrl_refusal *refusal)
{
	struct qctrl qctrl = {.tries = QCTRL_NONE, .maxage = QCTRL_NONE, .maxageinval = QCTRL_NONE};
	const char **others = xcalloc(count + 1, sizeof(*others));
	struct line line = {.words = others};
	int r;

	refusal->word = NULL;
	r = read_options(words, count, &qctrl, &line, refusal);
	if (r == 0)
		r = read_line(&line, &qctrl, refusal);
	free(others);
	if (r < 0)
		qctrl_free(&qctrl);
	else
		*ret = qctrl;
	return r;
}

void qctrl_free(struct qctrl *qctrl)
{
	for (size_t i = 0; i < qctrl->n_patterns; i++)
		free(qctrl->patterns[i].text);
	free(qctrl->patterns);
	free(qctrl->informer);
	free(qctrl->ignored);
	*qctrl = (struct qctrl){0};
}
