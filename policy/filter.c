/* filter.c - see filter.h */
#include "qfwatch/filter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "pattern.h"
#include "qfwatch/units.h"
#include "suggest.h"
#include "text.h"

const char *const filter_keys[] = {"tier",   "state",	  "attempts", "age", "domain",
				   "sender", "recipient", "status",   NULL};

const char *const filter_state_names[] = {"new",     "idle",	"writing", "busy",     "failed",
					  "refused", "waiting", "moving",  "bouncing", NULL};

struct range {
	bool set;
	int64_t at_least, below; /* below: POLICY_NO_END where there is no end */
};

struct filter {
	struct pool pool;
	bool any;
	uint64_t tiers; /* 0: all */
	uint32_t states;
	struct range attempts, age;
	/* NULL: not asked for. */
	struct pattern_set *domain, *recipient, *status;
	struct pattern_set *sender_domain; /* against the sender's domain, or what stands for one */
	struct pattern_set *sender_local;  /* against the address of a sender without a domain */
	struct pattern_set *sender;	   /* against any whole address */
	uint64_t given_up;
};

struct filter *filter_new(void)
{
	struct filter *filter = memory_resize(NULL, sizeof *filter);

	if (filter)
		*filter = (struct filter){0};
	return filter;
}

void filter_free(struct filter *filter)
{
	if (!filter)
		return;
	pool_free(&filter->pool);
	free(filter);
}

/* ---- what is wrong ---- */

static int wrong(struct filter_error *error, const char *key, const char *what, const char *value,
		 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* `KEY: WHAT "VALUE"` */
static int wrong(struct filter_error *error, const char *key, const char *what, const char *value,
		 const char *format, ...)
{
	struct text reason = {0};
	va_list list;

	text_add(&reason, "%s: %s ", key, what);
	text_quote(&reason, value, strlen(value));
	snprintf(error->reason, sizeof error->reason, "%.*s", (int)sizeof error->reason - 1,
		 reason.bytes);
	va_start(list, format);
	vsnprintf(error->remedy, sizeof error->remedy, format, list);
	va_end(list);
	return -EINVAL;
}

/* Words that would be right, and the nearest of them. */
struct choice {
	struct suggestion nearest;
	struct text list;
};

static void offer(struct choice *choice, const char *word)
{
	suggest_offer(&choice->nearest, word);
	text_list(&choice->list, word);
}

static void advise(const struct choice *choice, struct filter_error *error)
{
	struct text remedy = {0};

	if (choice->nearest.best) {
		text_add(&remedy, "did you mean ");
		text_quote(&remedy, choice->nearest.best, strlen(choice->nearest.best));
		text_add(&remedy, "?");
	} else {
		text_add(&remedy, "expected %s", choice->list.bytes);
	}
	snprintf(error->remedy, sizeof error->remedy, "%.*s", (int)sizeof error->remedy - 1,
		 remedy.bytes);
}

void filter_unknown_key(const char *key, const char *const *others, struct filter_error *error)
{
	struct choice choice = {.nearest = {.word = key}};
	struct text reason = {0};

	for (size_t i = 0; filter_keys[i]; i++)
		offer(&choice, filter_keys[i]);
	for (size_t i = 0; others && others[i]; i++)
		offer(&choice, others[i]);
	text_add(&reason, "unknown key ");
	text_quote(&reason, key, strlen(key));
	snprintf(error->reason, sizeof error->reason, "%.*s", (int)sizeof error->reason - 1,
		 reason.bytes);
	advise(&choice, error);
}

/* ---- lists of names ---- */

/* Steps through a list with commas. False: that was the last one, or it is too long for a name. */
static bool next_word(const char **at, char *word, size_t size)
{
	size_t length = strcspn(*at, ",");

	snprintf(word, size, "%.*s", (int)(length < size ? length : size - 1), *at);
	*at += length;
	if (!**at)
		return false;
	++*at;
	return true;
}

static int add_tiers(struct filter *filter, const struct policy *policy, const char *value,
		     struct filter_error *error)
{
	char word[POLICY_TIER_NAME_MAX + 2];
	int tier = policy_find_tier(policy, value);
	bool more;

	/* A name may hold a comma. */
	if (tier >= 0) {
		filter->tiers |= UINT64_C(1) << tier;
		return 0;
	}
	do {
		more = next_word(&value, word, sizeof word);
		tier = policy_find_tier(policy, word);
		if (tier < 0) {
			struct choice choice = {.nearest = {.word = word}};

			for (size_t i = 0; i < policy->n_tiers; i++)
				offer(&choice, policy->tiers[i].name);
			wrong(error, "tier", "the policy has no tier", word, "%s", "");
			advise(&choice, error);
			return -EINVAL;
		}
		filter->tiers |= UINT64_C(1) << tier;
	} while (more);
	return 0;
}

static int add_states(struct filter *filter, const char *value, struct filter_error *error)
{
	char word[32];
	bool more;

	do {
		struct choice choice = {.nearest = {.word = word}};
		size_t i = 0;

		more = next_word(&value, word, sizeof word);
		for (; filter_state_names[i] && strcmp(filter_state_names[i], word) != 0; i++)
			offer(&choice, filter_state_names[i]);
		if (!filter_state_names[i]) {
			wrong(error, "state", "unknown state", word, "%s", "");
			advise(&choice, error);
			return -EINVAL;
		}
		filter->states |= UINT32_C(1) << i;
	} while (more);
	return 0;
}

/* ---- numbers ---- */

/* Reads one number that fills the whole of text[length]. */
typedef bool read_number(const char *text, size_t length, int64_t *ret);

static bool read_attempts(const char *text, size_t length, int64_t *ret)
{
	int64_t number = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9' || number > UINT32_MAX)
			return false;
		number = number * 10 + (text[i] - '0');
	}
	*ret = number;
	return length && number <= UINT32_MAX;
}

static bool read_age(const char *text, size_t length, int64_t *ret)
{
	char copy[UNITS_DURATION_TEXT];

	if (length >= sizeof copy)
		return false;
	memcpy(copy, text, length);
	copy[length] = 0;
	return units_parse_duration(copy, ret) == 0;
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " ");
}

/* ">3", ">=3", "<3", "<=3"; "3" and "=3" where `exact`. */
static bool read_comparison(const char *text, read_number *read, bool exact, struct range *ret)
{
	char sign = *text == '>' || *text == '<' ? *text++ : 0;
	bool equal = *text == '=' ? (text++, true) : false;
	int64_t number;

	if (!sign && !exact)
		return false;
	text = skip_blanks(text);
	if (!read(text, strlen(text), &number))
		return false;
	*ret = (struct range){.set = true, .below = POLICY_NO_END};
	if (sign == '<') {
		ret->at_least = INT64_MIN;
		ret->below = equal ? number + 1 : number;
	} else {
		ret->at_least = sign && !equal ? number + 1 : number;
		if (!sign)
			ret->below = number + 1;
	}
	return true;
}

/* "3..9", "3..", "..9" */
static bool read_span(const char *text, const char *dots, read_number *read, struct range *ret)
{
	const char *end = dots + 2;
	int64_t number;

	*ret = (struct range){.set = true, .at_least = INT64_MIN, .below = POLICY_NO_END};
	if (dots == text && !*end)
		return false;
	if (dots > text && !read(text, (size_t)(dots - text), &ret->at_least))
		return false;
	if (!*end)
		return true;
	if (!read(end, strlen(end), &number))
		return false;
	ret->below = number + 1;
	return ret->at_least < ret->below;
}

static int add_range(struct range *range, const char *key, const char *value, read_number *read,
		     bool exact, struct filter_error *error)
{
	const char *text = skip_blanks(value), *dots = strstr(text, "..");
	int64_t number;

	if (range->set)
		return wrong(error, key, "given twice:", value, "say it in one: %s",
			     exact ? "3..9" : "1h..2d");
	if (dots ? read_span(text, dots, read, range) : read_comparison(text, read, exact, range))
		return 0;
	if (!exact && !dots && read(text, strlen(text), &number))
		return wrong(error, key, "older or younger than", value, "say \">%s\" or \"<%s\"",
			     text, text);
	if (dots && range->set && range->below != POLICY_NO_END && range->at_least >= range->below)
		return wrong(error, key, "the smaller one comes first:", value, "as in %s",
			     exact ? "3..9" : "1h..2d");
	return wrong(error, key, "wrong value", value, "%s",
		     exact ? "expected a number, as in 3, >=3, <10 or 3..9"
			   : "expected a duration (w d h m s), as in >1h, <=2d or 1h..2d");
}

/* ---- patterns ---- */

static int add_pattern(struct filter *filter, struct pattern_set **set, const char *key,
		       const char *value, const char *text, bool regex, struct filter_error *error)
{
	char why[PATTERN_ERROR_TEXT] = "";
	bool first = !*set;
	int r = first ? pattern_set_new(&filter->pool, FILTER_VALUES, set) : 0;

	if (r == 0 && first)
		pattern_set_budget(*set, FILTER_STEPS);
	if (r == 0)
		r = regex ? pattern_add_regex(*set, text, why, sizeof why)
			  : pattern_add_glob(*set, text, why, sizeof why);
	if (r == -ENOSPC)
		return wrong(error, key, "one too many:", value, "at most %d values",
			     FILTER_VALUES);
	if (r == -EINVAL)
		return wrong(error, key, regex ? "wrong regular expression" : "wrong pattern",
			     value, "%s", why);
	return r;
}

/* The literal "(local)" is a glob as well as any other: none of its characters is a wildcard. */
static int add_sender(struct filter *filter, const char *value, struct filter_error *error)
{
	const char *at = strchr(value, '@');
	bool domain_only = at == value + 1 && *value == '*' && at[1] && !strchr(at + 1, '@');
	int r;

	if (domain_only)
		return add_pattern(filter, &filter->sender_domain, "sender", value, at + 1, false,
				   error);
	if (at)
		return add_pattern(filter, &filter->sender, "sender", value, value, false, error);
	r = add_pattern(filter, &filter->sender_domain, "sender", value, value, false, error);
	if (r == 0)
		r = add_pattern(filter, &filter->sender_local, "sender", value, value, false,
				error);
	return r;
}

static int add(struct filter *filter, const struct policy *policy, const char *key,
	       const char *value, struct filter_error *error)
{
	if (strcmp(key, "tier") == 0)
		return add_tiers(filter, policy, value, error);
	if (strcmp(key, "state") == 0)
		return add_states(filter, value, error);
	if (strcmp(key, "attempts") == 0)
		return add_range(&filter->attempts, key, value, read_attempts, true, error);
	if (strcmp(key, "age") == 0)
		return add_range(&filter->age, key, value, read_age, false, error);
	if (strcmp(key, "domain") == 0)
		return add_pattern(filter, &filter->domain, key, value, value, false, error);
	if (strcmp(key, "sender") == 0)
		return add_sender(filter, value, error);
	if (strcmp(key, "recipient") == 0)
		return add_pattern(filter, &filter->recipient, key, value, value, false, error);
	return add_pattern(filter, &filter->status, key, value, value, true, error);
}

int filter_add(struct filter *filter, const struct policy *policy, const char *key,
	       const char *value, struct filter_error *error)
{
	size_t i = 0;

	while (filter_keys[i] && strcmp(filter_keys[i], key) != 0)
		i++;
	if (!filter_keys[i])
		return -ENOENT;
	filter->any = true;
	if (!*value)
		return wrong(error, key, "wrong value", value, "%s",
			     "say what is wanted, or leave it out");
	return add(filter, policy, key, value, error);
}

/* ---- what is asked ---- */

bool filter_is_empty(const struct filter *filter)
{
	return !filter->any;
}

bool filter_needs_text(const struct filter *filter)
{
	return filter->recipient || filter->status || filter->sender;
}

bool filter_may_need_text(const struct filter *filter)
{
	return filter_needs_text(filter) || filter->domain || filter->sender_domain;
}

bool filter_has_states(const struct filter *filter)
{
	return filter->states != 0;
}

uint64_t filter_tiers(const struct filter *filter)
{
	return filter->tiers ? filter->tiers : UINT64_MAX;
}

const char *filter_only_tier(const struct filter *filter, const struct policy *policy)
{
	uint64_t tiers = filter_tiers(filter);
	const char *name = NULL;

	for (size_t i = 0; i < policy->n_tiers; i++) {
		if (!(tiers >> i & 1))
			continue;
		if (name)
			return NULL;
		name = policy->tiers[i].name;
	}
	return policy->n_tiers > 1 ? name : NULL;
}

uint64_t filter_given_up(const struct filter *filter)
{
	return filter->given_up;
}

/* ---- matching ---- */

static bool matches(const struct pattern_set *set, struct policy_slice text)
{
	return set && pattern_match(set, text.bytes, text.length, NULL) == PATTERN_YES;
}

static struct policy_slice named(struct policy_slice domain)
{
	return domain.length ? domain
			     : (struct policy_slice){FILTER_LOCAL, sizeof FILTER_LOCAL - 1};
}

static bool in_range(const struct range *range, int64_t number)
{
	return !range->set || (number >= range->at_least &&
			       (range->below == POLICY_NO_END || number < range->below));
}

static bool match_memory(const struct filter *filter, const struct filter_facts *facts, int64_t now)
{
	if (filter->tiers && !(filter->tiers >> facts->tier & 1))
		return false;
	if (filter->states && !(facts->has_state && filter->states >> facts->state & 1))
		return false;
	if ((filter->attempts.set || filter->age.set) && !facts->has_numbers)
		return false;
	return in_range(&filter->attempts, facts->attempts) &&
	       in_range(&filter->age, now - facts->created);
}

static enum policy_truth match_domain(const struct filter *filter, const struct filter_facts *facts)
{
	const struct policy_text *text = facts->text;
	const struct policy_slice *domains = text ? text->domains : facts->domains;
	size_t count = text ? text->n_recipients : facts->n_domains;

	if (!filter->domain)
		return POLICY_YES;
	if (!text && !facts->has_domains)
		return POLICY_UNKNOWN;
	for (size_t i = 0; i < count; i++)
		if (matches(filter->domain, named(domains[i])))
			return POLICY_YES;
	return POLICY_NO;
}

static enum policy_truth match_sender(const struct filter *filter, const struct filter_facts *facts)
{
	const struct policy_text *text = facts->text;
	struct policy_slice domain = text ? text->sender_domain : facts->sender_domain;

	if (!filter->sender && !filter->sender_domain)
		return POLICY_YES;
	if (text && !text->has_sender)
		return POLICY_NO;
	if (!text && !facts->has_sender_domain)
		return POLICY_UNKNOWN;
	if (matches(filter->sender_domain, named(domain)))
		return POLICY_YES;
	/* The whole address is needed. */
	if (!text)
		return filter->sender || (filter->sender_local && !domain.length) ? POLICY_UNKNOWN
										  : POLICY_NO;
	if (matches(filter->sender, text->sender) ||
	    (!domain.length && matches(filter->sender_local, text->sender)))
		return POLICY_YES;
	return POLICY_NO;
}

static enum policy_truth match_recipient(const struct filter *filter,
					 const struct policy_text *text)
{
	if (!filter->recipient)
		return POLICY_YES;
	if (!text)
		return POLICY_UNKNOWN;
	for (size_t i = 0; i < text->n_recipients; i++)
		if (matches(filter->recipient, text->recipients[i]))
			return POLICY_YES;
	return POLICY_NO;
}

static enum policy_truth match_status(struct filter *filter, const struct policy_text *text)
{
	enum pattern_verdict verdict;

	if (!filter->status)
		return POLICY_YES;
	if (!text)
		return POLICY_UNKNOWN;
	verdict = pattern_match(filter->status, text->status.bytes, text->status.length, NULL);
	filter->given_up += verdict == PATTERN_TOO_COSTLY;
	return verdict == PATTERN_YES ? POLICY_YES : POLICY_NO;
}

/* Both have to hold. */
static enum policy_truth both(enum policy_truth a, enum policy_truth b)
{
	return a == POLICY_NO || b == POLICY_NO		    ? POLICY_NO
	       : a == POLICY_UNKNOWN || b == POLICY_UNKNOWN ? POLICY_UNKNOWN
							    : POLICY_YES;
}

/* The cheap ones first. */
enum policy_truth filter_match(struct filter *filter, const struct filter_facts *facts, int64_t now)
{
	enum policy_truth truth;

	if (!match_memory(filter, facts, now))
		return POLICY_NO;
	truth = both(match_domain(filter, facts), match_sender(filter, facts));
	if (truth == POLICY_NO)
		return POLICY_NO;
	truth = both(truth, match_recipient(filter, facts->text));
	return truth == POLICY_NO ? POLICY_NO : both(truth, match_status(filter, facts->text));
}

enum policy_truth filter_match_read(struct filter *filter, const struct policy_message *message,
				    int64_t now)
{
	struct filter_facts facts = {
		.tier = message->tier,
		.has_numbers = true,
		.attempts = message->attempts,
		.created = message->created,
		.text = message->text,
	};

	return filter_match(filter, &facts, now);
}
