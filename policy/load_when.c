/* load_when.c - a rule's "when": conditions, and conditions inside conditions.
 *
 * A condition is a row in condition_fields. An object becomes a list of conditions that must all
 * hold.
 */
#include "load.h"

#include <errno.h>
#include <string.h>

#include "qfwatch/units.h"

#define WITHIN_MAX 86400

/* An object of conditions, while it is read. */
struct reading {
	struct policy_rule *rule;
	struct policy_condition *list;
	size_t count;
	unsigned depth;
};

static struct policy_condition *add(struct reading *reading, enum policy_condition_kind kind)
{
	struct policy_condition *condition = &reading->list[reading->count++];

	condition->kind = kind;
	condition->below = POLICY_NO_END;
	return condition;
}

/* ---- numbers ---- */

enum unit { COUNT, SECONDS, BYTES };

struct range {
	enum unit unit;
	const char *expected;
	const char *expected_bound; /* COUNT: of a bound, which may be 0 */
	int64_t at_least, below;
	bool has_at_least, has_below;
};

/* sendmail's N is an int, ours 32 bits: what is larger never comes true. */
#define COUNT_MAX      UINT32_MAX
#define COUNT_TOO_MANY "expected at most 4294967295"

static bool read_count(struct loader *loader, const json_t *value, const struct load_place *at,
		       int64_t least, const char *expected, int64_t *ret)
{
	json_int_t number = json_integer_value(value);

	if (json_is_integer(value) && number >= least && number <= COUNT_MAX) {
		*ret = number;
		return true;
	}
	load_wrong_value(loader, at, value, number > COUNT_MAX ? COUNT_TOO_MANY : expected);
	return false;
}

static bool read_size(struct loader *loader, const json_t *value, const struct load_place *at,
		      const struct range *range, int64_t *ret)
{
	const char *expected = range->expected;
	int64_t bytes = -1;

	if (json_is_integer(value))
		bytes = json_integer_value(value);
	else if (json_is_string(value) &&
		 units_parse_size(json_string_value(value), &bytes) == -ERANGE)
		bytes = UNITS_SIZE_MAX + 1;
	if (bytes > UNITS_SIZE_MAX)
		expected = "expected at most 1024TiB";
	if (bytes >= 0 && bytes <= UNITS_SIZE_MAX) {
		*ret = bytes;
		return true;
	}
	load_wrong_value(loader, at, value, expected);
	return false;
}

static bool read_bound(struct loader *loader, const json_t *value, const struct load_place *at,
		       const struct range *range, int64_t *ret)
{
	switch (range->unit) {
	case COUNT:
		return read_count(loader, value, at, 0, range->expected_bound, ret);
	case SECONDS:
		return load_duration(loader, value, at, 0, UNITS_DURATION_MAX, range->expected,
				     ret);
	case BYTES:
		return read_size(loader, value, at, range, ret);
	}
	return false;
}

/* A number by itself: "at least". Of nothing there always is that much. */
static bool read_bare(struct loader *loader, const json_t *value, const struct load_place *at,
		      const struct range *range, int64_t *ret)
{
	if (range->unit == COUNT)
		return read_count(loader, value, at, 1, range->expected, ret);
	return read_bound(loader, value, at, range, ret);
}

static void read_at_least(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	struct range *range = into;

	range->has_at_least = read_bound(loader, value, at, range, &range->at_least);
}

static void read_below(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	struct range *range = into;

	range->has_below = read_bound(loader, value, at, range, &range->below);
}

static const struct load_field range_fields[] = {
	{"at_least", read_at_least, NULL},
	{"below", read_below, NULL},
	{0},
};

static void read_range(struct loader *loader, json_t *value, const struct load_place *at,
		       struct reading *reading, enum policy_condition_kind kind, struct range range)
{
	struct policy_condition *condition;

	if (!json_is_object(value)) {
		range.has_at_least = read_bare(loader, value, at, &range, &range.at_least);
	} else if (load_is_empty(value)) {
		load_wrong(loader, at, "no bound",
			   "expected at least one of \"at_least\" and \"below\"");
	} else {
		load_object(loader, value, at, range_fields, &range);
	}
	if (!range.has_at_least && !range.has_below)
		return;
	if (range.has_below && range.below <= range.at_least)
		load_wrong(loader, at, "an empty range",
			   "\"below\" must be more than %s, or nothing is in it",
			   range.has_at_least ? "\"at_least\"" : "0");
	condition = add(reading, kind);
	condition->needs_text = kind == POLICY_RECIPIENTS;
	condition->at_least = range.at_least;
	if (range.has_below)
		condition->below = range.below;
}

static void read_attempts(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	read_range(loader, value, at, into, POLICY_ATTEMPTS,
		   (struct range){
			   .unit = COUNT,
			   .expected = "expected a whole number of attempts, 1 or more, such as 3",
			   .expected_bound = "expected a whole number of attempts, such as 3",
		   });
}

static void read_recipients(struct loader *loader, json_t *value, const struct load_place *at,
			    void *into)
{
	read_range(
		loader, value, at, into, POLICY_RECIPIENTS,
		(struct range){
			.unit = COUNT,
			.expected = "expected a whole number of recipients, 1 or more, such as 100",
			.expected_bound = "expected a whole number of recipients, such as 100",
		});
}

static void read_tier_messages(struct loader *loader, json_t *value, const struct load_place *at,
			       void *into)
{
	read_range(loader, value, at, into, POLICY_TIER_MESSAGES,
		   (struct range){
			   .unit = COUNT,
			   .expected =
				   "expected a whole number of messages, 1 or more, such as 100000",
			   .expected_bound = "expected a whole number of messages, such as 100000",
		   });
}

static void read_age(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	read_range(loader, value, at, into, POLICY_AGE,
		   (struct range){.unit = SECONDS,
				  .expected = "expected an age such as \"6d\", \"5h48m\" or "
					      "\"90s\", or whole seconds such as 90"});
}

static void read_since_attempt(struct loader *loader, json_t *value, const struct load_place *at,
			       void *into)
{
	read_range(loader, value, at, into, POLICY_SINCE_ATTEMPT,
		   (struct range){.unit = SECONDS,
				  .expected = "expected a duration such as \"30m\", or whole "
					      "seconds such as 90"});
}

static void read_body_size(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	read_range(loader, value, at, into, POLICY_SIZE,
		   (struct range){.unit = BYTES,
				  .expected = "expected a size such as \"10MiB\", or whole bytes "
					      "such as 65536"});
}

/* ---- texts ---- */

static struct policy_condition *add_text(struct reading *reading, enum policy_condition_kind kind)
{
	struct policy_condition *condition = add(reading, kind);

	condition->needs_text = true;
	return condition;
}

static void read_sender(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	load_pattern(loader, value, at, add_text(into, POLICY_SENDER));
}

static void read_status(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	load_pattern(loader, value, at, add_text(into, POLICY_STATUS));
}

static void read_recipient(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	load_recipient_pattern(loader, value, at, add_text(into, POLICY_RECIPIENT));
}

static void read_recipient_domain(struct loader *loader, json_t *value, const struct load_place *at,
				  void *into)
{
	load_recipient_pattern(loader, value, at, add_text(into, POLICY_RECIPIENT_DOMAIN));
}

/* RFC 5322, 2.2: printable, without a colon. */
static bool is_header_name(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name >= 0x7f || *name == ':')
			return false;
	return true;
}

static void read_header(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	struct reading *reading = into;
	struct reading inside = {.rule = reading->rule};
	struct policy_condition *all;
	const char *name;
	json_t *item;

	if (!load_is_object(loader, value, at,
			    "expected an object of header names and patterns, such as "
			    "{\"X-Mailer\": \"*bulk*\"}"))
		return;
	if (load_is_empty(value)) {
		load_wrong(loader, at, "no header",
			   "expected at least one name with a pattern, such as {\"X-Mailer\": "
			   "\"*bulk*\"}");
		return;
	}
	inside.list = load_kept(
		loader, pool_array(loader->pool, json_object_size(value), sizeof(*inside.list)));
	if (!inside.list)
		return;
	json_object_foreach(value, name, item) {
		struct load_place place = {.parent = at, .key = name};
		struct policy_condition *header;

		if (!strcmp(name, "comment"))
			continue;
		if (!is_header_name(name)) {
			load_wrong_name(loader, at, "header name", name, "",
					"expected the name without colon and blanks, such as "
					"\"X-Mailer\"");
			continue;
		}
		header = add_text(&inside, POLICY_HEADER);
		header->header = load_kept(loader, pool_copy(loader->pool, name));
		load_pattern(loader, item, &place, header);
	}
	all = add_text(reading, POLICY_ALL);
	all->children = inside.list;
	all->n_children = inside.count;
}

/* ---- facts ---- */

static bool read_fact(struct loader *loader, json_t *value, const struct load_place *at)
{
	if (!json_is_boolean(value))
		load_wrong_value(loader, at, value, "expected true or false");
	return json_is_true(value);
}

static void read_incomplete(struct loader *loader, json_t *value, const struct load_place *at,
			    void *into)
{
	add_text(into, POLICY_INCOMPLETE)->wanted = read_fact(loader, value, at);
}

static void read_quarantined(struct loader *loader, json_t *value, const struct load_place *at,
			     void *into)
{
	struct reading *reading = into;

	add(reading, POLICY_QUARANTINED)->wanted = read_fact(loader, value, at);
	reading->rule->quarantined = true;
}

static void read_always(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	if (load_true(loader, value, at, "expected true, or the key left out"))
		add(into, POLICY_ALWAYS);
}

/* ---- domains ---- */

struct domain {
	struct policy_window window;
	bool deferred, delivered, at_least;
};

#define EVENTS_COUNT "expected a whole number, 1 or more, such as 50"

static void read_deferred(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	struct domain *domain = into;

	domain->deferred = true;
	read_count(loader, value, at, 1, EVENTS_COUNT, &domain->window.at_least);
}

static void read_delivered_from(struct loader *loader, json_t *value, const struct load_place *at,
				void *into)
{
	struct domain *domain = into;

	domain->delivered = true;
	load_tier_names(loader, value, at, &domain->window.tiers);
}

static void read_domain_at_least(struct loader *loader, json_t *value, const struct load_place *at,
				 void *into)
{
	struct domain *domain = into;

	domain->at_least = true;
	read_count(loader, value, at, 1, EVENTS_COUNT, &domain->window.at_least);
}

static void read_within(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	struct domain *domain = into;

	load_duration(loader, value, at, 1, WITHIN_MAX,
		      "expected a duration from \"1s\" to \"1d\", such as \"10m\"",
		      &domain->window.within);
}

static const struct load_field domain_fields[] = {
	{"deferred", read_deferred, NULL},
	{"delivered_from", read_delivered_from, NULL},
	{"at_least", read_domain_at_least, NULL},
	{"within", read_within, "say in which time, such as \"within\": \"10m\""},
	{0},
};

/* The policy's window of that kind; conditions that are the same share one. -1 with a finding. */
static int find_window(struct loader *loader, const struct load_place *at,
		       const struct policy_window *wanted)
{
	struct policy *policy = loader->policy;
	size_t i;

	for (i = 0; i < policy->n_windows; i++) {
		const struct policy_window *window = &policy->windows[i];

		if (window->kind == wanted->kind && window->tiers == wanted->tiers &&
		    window->within == wanted->within && window->at_least == wanted->at_least)
			return (int)i;
	}
	if (i == POLICY_MAX_WINDOWS) {
		load_wrong(loader, at, "too many different \"domain\" conditions",
			   "expected at most %d", POLICY_MAX_WINDOWS);
		return -1;
	}
	if (!policy->windows)
		policy->windows = load_kept(loader, pool_array(loader->pool, POLICY_MAX_WINDOWS,
							       sizeof(*policy->windows)));
	if (!policy->windows)
		return -1;
	policy->windows[policy->n_windows++] = *wanted;
	return (int)i;
}

static void read_domain(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	struct domain domain = {.window.at_least = 1};
	struct reading *reading = into;
	struct policy_condition *condition;
	int window;

	if (!load_is_object(loader, value, at,
			    "expected an object, such as {\"deferred\": 50, \"within\": \"10m\"}"))
		return;
	load_object(loader, value, at, domain_fields, &domain);
	if (domain.deferred == domain.delivered) {
		load_wrong(loader, at,
			   domain.deferred ? "\"deferred\" and \"delivered_from\""
					   : "neither \"deferred\" nor \"delivered_from\"",
			   "expected exactly one of the two");
		return;
	}
	if (domain.deferred && domain.at_least)
		load_wrong(loader, at, "\"at_least\" beside \"deferred\"",
			   "\"deferred\" is the number itself; remove \"at_least\"");
	domain.window.kind = domain.deferred ? POLICY_DEFERRED : POLICY_DELIVERED;
	window = find_window(loader, at, &domain.window);
	if (window < 0)
		return;
	condition = add_text(reading,
			     domain.deferred ? POLICY_DOMAIN_DEFERRED : POLICY_DOMAIN_DELIVERED);
	condition->window = (unsigned)window;
	condition->at_least = domain.window.at_least;
	condition->within = domain.window.within;
	reading->rule->way_back |= domain.delivered;
}

/* ---- conditions of conditions ---- */

static void read_any(struct loader *loader, json_t *value, const struct load_place *at, void *into);
static void read_not(struct loader *loader, json_t *value, const struct load_place *at, void *into);

static const struct load_field condition_fields[] = {
	{"attempts", read_attempts, NULL},
	{"age", read_age, NULL},
	{"since_attempt", read_since_attempt, NULL},
	{"size", read_body_size, NULL},
	{"recipients", read_recipients, NULL},
	{"sender", read_sender, NULL},
	{"recipient", read_recipient, NULL},
	{"recipient_domain", read_recipient_domain, NULL},
	{"status", read_status, NULL},
	{"header", read_header, NULL},
	{"incomplete", read_incomplete, NULL},
	{"quarantined", read_quarantined, NULL},
	{"tier_messages", read_tier_messages, NULL},
	{"domain", read_domain, NULL},
	{"any", read_any, NULL},
	{"not", read_not, NULL},
	{"always", read_always, NULL},
	{0},
};

static bool read_conditions(struct loader *loader, json_t *value, const struct load_place *at,
			    struct reading *reading)
{
	if (!load_is_object(loader, value, at, "expected conditions, such as {\"attempts\": 3}"))
		return false;
	if (load_is_empty(value)) {
		load_wrong(loader, at, "no condition",
			   "expected at least one, such as \"attempts\" or \"age\"; for every "
			   "message write {\"always\": true}");
		return false;
	}
	if (reading->depth > POLICY_MAX_DEPTH) {
		load_wrong(loader, at, "conditions nested too deeply",
			   "expected at most %d levels of \"any\" and \"not\"", POLICY_MAX_DEPTH);
		return false;
	}
	reading->list = load_kept(
		loader, pool_array(loader->pool, json_object_size(value), sizeof(*reading->list)));
	if (!reading->list)
		return false;
	load_object(loader, value, at, condition_fields, reading);
	return true;
}

/* One condition for what stands in an object: itself if it is only one. */
static void read_inner(struct loader *loader, json_t *value, const struct load_place *at,
		       const struct reading *outer, struct policy_condition *ret)
{
	struct reading inside = {.rule = outer->rule, .depth = outer->depth + 1};

	if (!read_conditions(loader, value, at, &inside))
		return;
	if (inside.count == 1) {
		*ret = inside.list[0];
		return;
	}
	*ret = (struct policy_condition){
		.kind = POLICY_ALL,
		.below = POLICY_NO_END,
		.children = inside.list,
		.n_children = inside.count,
	};
	for (size_t i = 0; i < inside.count; i++)
		ret->needs_text |= inside.list[i].needs_text;
}

static void read_any(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct reading *reading = into;
	struct policy_condition *any;
	size_t count = json_array_size(value);

	if (count == 0) {
		load_wrong_value(loader, at, value,
				 "expected a list of conditions, such as [{\"attempts\": 3}, "
				 "{\"age\": \"1d\"}]");
		return;
	}
	any = add(reading, POLICY_ANY);
	any->children = load_kept(loader, pool_array(loader->pool, count, sizeof(*any->children)));
	if (!any->children)
		return;
	any->n_children = count;
	for (size_t i = 0; i < count; i++) {
		struct load_place place = {.parent = at, .index = i};

		read_inner(loader, json_array_get(value, i), &place, reading, &any->children[i]);
		any->needs_text |= any->children[i].needs_text;
	}
}

static void read_not(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy_condition *inner = add(into, POLICY_NOT);

	inner->children = load_kept(loader, pool_array(loader->pool, 1, sizeof(*inner->children)));
	if (!inner->children)
		return;
	inner->n_children = 1;
	read_inner(loader, value, at, into, inner->children);
	inner->needs_text = inner->children->needs_text;
}

void load_when(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy_rule *rule = into;
	struct reading reading = {.rule = rule};

	if (!read_conditions(loader, value, at, &reading))
		return;
	rule->conditions = reading.list;
	rule->n_conditions = reading.count;
}
