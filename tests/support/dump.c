/* dump.c - see dump.h */
#include "dump.h"

#include <inttypes.h>
#include <string.h>

#include "../../policy/pattern.h"
#include "qfwatch/units.h"

struct dump {
	FILE *to;
	const struct policy *policy;
	const char *folder;
};

/* ---- words ---- */

static void put_tiers(const struct dump *dump, uint64_t tiers)
{
	const struct policy *policy = dump->policy;
	size_t n = policy->n_tiers;

	if (n > 8 && tiers == (n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX)) {
		fprintf(dump->to, " all %zu tiers", n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (tiers >> i & 1)
			fprintf(dump->to, " %s", policy->tiers[i].name);
	if (!tiers)
		fputs(" no tier", dump->to);
}

static void put_path(const struct dump *dump, const char *path)
{
	size_t length = strlen(dump->folder);
	bool inside = strncmp(path, dump->folder, length) == 0 && path[length] == '/';

	fprintf(dump->to, inside ? " .%s" : " %s", inside ? path + length : path);
}

static void put_duration(const struct dump *dump, int64_t seconds)
{
	char text[UNITS_DURATION_TEXT];

	fputs(units_format_duration(seconds, text, sizeof(text)), dump->to);
}

static void put_words(const struct dump *dump, char **words)
{
	for (; *words; words++)
		fprintf(dump->to, " \"%s\"", *words);
	fputc('\n', dump->to);
}

/* ---- conditions ---- */

enum unit { COUNT, SECONDS, BYTES };

static void put_number(const struct dump *dump, enum unit unit, int64_t number)
{
	char text[UNITS_SIZE_TEXT];

	if (unit == SECONDS)
		put_duration(dump, number);
	else if (unit == BYTES)
		fputs(units_format_size(number, text, sizeof(text)), dump->to);
	else
		fprintf(dump->to, "%" PRId64, number);
}

static void put_range(const struct dump *dump, const char *name, enum unit unit,
		      const struct policy_condition *condition)
{
	fprintf(dump->to, "%s >= ", name);
	put_number(dump, unit, condition->at_least);
	if (condition->below == POLICY_NO_END)
		return;
	fputs(", < ", dump->to);
	put_number(dump, unit, condition->below);
}

static void put_pattern(const struct dump *dump, const char *name,
			const struct policy_condition *condition)
{
	const struct pattern_set *set = condition->pattern;

	fprintf(dump->to, "%s%s:", name, condition->every ? ", every one" : "");
	for (size_t i = 0; i < pattern_count(set); i++) {
		bool regex;
		const char *text = pattern_text(set, i, &regex);

		fprintf(dump->to, "%s %s \"%s\"", i ? "," : "", regex ? "regex" : "glob", text);
	}
}

static void put_window(const struct dump *dump, const struct policy_condition *condition)
{
	fprintf(dump->to, "domain, window %u: >= %" PRId64 " within ", condition->window,
		condition->at_least);
	put_duration(dump, condition->within);
}

static void put_own(const struct dump *dump, const struct policy_condition *condition)
{
	char name[256];

	switch (condition->kind) {
	case POLICY_ALWAYS:
		fputs("always", dump->to);
		break;
	case POLICY_ALL:
		fputs("all of", dump->to);
		break;
	case POLICY_ANY:
		fputs("any of", dump->to);
		break;
	case POLICY_NOT:
		fputs("not", dump->to);
		break;
	case POLICY_ATTEMPTS:
		put_range(dump, "attempts", COUNT, condition);
		break;
	case POLICY_AGE:
		put_range(dump, "age", SECONDS, condition);
		break;
	case POLICY_SINCE_ATTEMPT:
		put_range(dump, "since_attempt", SECONDS, condition);
		break;
	case POLICY_SIZE:
		put_range(dump, "size", BYTES, condition);
		break;
	case POLICY_RECIPIENTS:
		put_range(dump, "recipients", COUNT, condition);
		break;
	case POLICY_TIER_MESSAGES:
		put_range(dump, "tier_messages", COUNT, condition);
		break;
	case POLICY_SENDER:
		put_pattern(dump, "sender", condition);
		break;
	case POLICY_RECIPIENT:
		put_pattern(dump, "recipient", condition);
		break;
	case POLICY_RECIPIENT_DOMAIN:
		put_pattern(dump, "recipient_domain", condition);
		break;
	case POLICY_STATUS:
		put_pattern(dump, "status", condition);
		break;
	case POLICY_HEADER:
		snprintf(name, sizeof(name), "header %s", condition->header);
		put_pattern(dump, name, condition);
		break;
	case POLICY_INCOMPLETE:
		fputs(condition->wanted ? "incomplete" : "complete", dump->to);
		break;
	case POLICY_QUARANTINED:
		fputs(condition->wanted ? "quarantined" : "not quarantined", dump->to);
		break;
	case POLICY_DOMAIN_DEFERRED:
	case POLICY_DOMAIN_DELIVERED:
		put_window(dump, condition);
		break;
	}
}

static void put_conditions(const struct dump *dump, const struct policy_condition *conditions,
			   size_t count, int depth)
{
	for (size_t i = 0; i < count; i++) {
		const struct policy_condition *one = &conditions[i];

		fprintf(dump->to, "%*s", 4 + 4 * depth, "");
		put_own(dump, one);
		fputs(one->needs_text ? " (text)\n" : "\n", dump->to);
		put_conditions(dump, one->children, one->n_children, depth + 1);
	}
}

/* ---- rules ---- */

static void put_action(const struct dump *dump, const struct policy_rule *rule)
{
	static const char *const names[] = {"keep", "move", "delete", "bounce"};

	fprintf(dump->to, "    then: %s", rule->decides ? names[rule->action] : "go on");
	if (rule->action == POLICY_MOVE)
		fprintf(dump->to, " to %s", dump->policy->tiers[rule->target].name);
	fputc('\n', dump->to);
	if (rule->notify && rule->notice)
		fprintf(dump->to, "    notify: \"%s\"\n", rule->notice);
	else if (rule->notify)
		fputs("    notify\n", dump->to);
	if (rule->program) {
		fputs("    run for ", dump->to);
		put_duration(dump, rule->program->timeout);
		fputc(':', dump->to);
		put_words(dump, rule->program->arguments);
	}
	if (rule->mark)
		fprintf(dump->to, "    mark: bit %d\n", __builtin_ctzll(rule->mark));
}

static void put_rule(const struct dump *dump, const struct policy_rule *rule)
{
	fprintf(dump->to, "rule \"%s\" for", rule->name);
	put_tiers(dump, rule->tiers);
	fprintf(dump->to, "%s%s\n", rule->quarantined ? ", also quarantined ones" : "",
		rule->way_back ? ", a way back" : "");
	put_conditions(dump, rule->conditions, rule->n_conditions, 0);
	put_action(dump, rule);
}

/* ---- the rest ---- */

static void put_digest(const struct dump *dump)
{
	const struct policy *policy = dump->policy;

	fputs("text is needed in", dump->to);
	put_tiers(dump, policy->text_tiers);
	fputc('\n', dump->to);
	for (size_t i = 0; i < policy->n_windows; i++) {
		const struct policy_window *window = &policy->windows[i];

		fprintf(dump->to, "window %zu: >= %" PRId64 " %s", i, window->at_least,
			window->kind == POLICY_DEFERRED ? "deferred" : "delivered from");
		if (window->kind == POLICY_DELIVERED)
			put_tiers(dump, window->tiers);
		fputs(" within ", dump->to);
		put_duration(dump, window->within);
		fputc('\n', dump->to);
	}
	for (size_t i = 0; i < policy->n_levels; i++) {
		fprintf(dump->to, "level: %" PRId64 " messages in", policy->levels[i].messages);
		put_tiers(dump, policy->levels[i].tiers);
		fputc('\n', dump->to);
	}
}

static void put_events(const struct dump *dump)
{
	const struct policy *policy = dump->policy;

	fputs("events: all but", dump->to);
	for (size_t i = 0; policy_event_names[i]; i++)
		if (!(policy->events >> i & 1))
			fprintf(dump->to, " %s", policy_event_names[i]);
	fputc('\n', dump->to);
	if (policy->addresses != POLICY_ADDRESSES_DOMAIN) {
		fprintf(dump->to, "addresses: %d", policy->addresses);
		if (policy->addresses_key)
			put_path(dump, policy->addresses_key);
		fputc('\n', dump->to);
	}
	for (size_t i = 0; i < policy->n_sinks; i++) {
		const struct policy_sink *sink = &policy->sinks[i];

		static const char *const types[] = {
			[POLICY_SINK_STDOUT] = "stdout", [POLICY_SINK_FILE] = "file",
			[POLICY_SINK_SYSLOG] = "syslog", [POLICY_SINK_JOURNAL] = "journal",
			[POLICY_SINK_UNIX] = "unix",	 [POLICY_SINK_FIFO] = "fifo",
		};

		fprintf(dump->to, "sink: %s", types[sink->type]);
		if (sink->path)
			put_path(dump, sink->path);
		if (sink->include || sink->exclude)
			fprintf(dump->to, " include %x exclude %x", sink->include, sink->exclude);
		if (sink->buffer)
			fprintf(dump->to, " buffer %llu", (unsigned long long)sink->buffer);
		if (sink->max_bytes)
			fprintf(dump->to, " max_bytes %llu keep %u",
				(unsigned long long)sink->max_bytes, sink->keep);
		if (sink->type == POLICY_SINK_SYSLOG)
			fprintf(dump->to, " transport %d port %u facility %u", sink->transport,
				sink->port, sink->facility);
		if (sink->datagrams)
			fputs(" datagrams", dump->to);
		fputc('\n', dump->to);
	}
}

static void put_listen(const struct dump *dump, const struct policy_listen *listen)
{
	if (!listen->address)
		return;
	if (listen->path)
		fprintf(dump->to, "listen: socket %s", listen->path);
	else
		fprintf(dump->to, "listen: %s port %u%s", listen->host, listen->port,
			listen->loopback ? ", loopback" : "");
	if (listen->group)
		fprintf(dump->to, " group %s", listen->group);
	if (listen->token_file) {
		fputs(" token", dump->to);
		put_path(dump, listen->token_file);
	}
	fputc('\n', dump->to);
}

void dump_policy(FILE *to, const struct policy *policy, const char *folder)
{
	const struct dump dump = {.to = to, .policy = policy, .folder = folder};

	for (size_t i = 0; i < policy->n_tiers; i++) {
		const struct policy_tier *tier = &policy->tiers[i];

		fprintf(to, "tier %s:", tier->name);
		put_path(&dump, tier->directory);
		fprintf(to, "%s%s\n", tier->is_glob ? ", a glob" : "",
			tier->place == POLICY_PLACE_EMPTIEST ? ", the emptiest" : "");
	}
	for (size_t i = 0; i < policy->n_rules; i++)
		put_rule(&dump, &policy->rules[i]);
	put_digest(&dump);
	fprintf(to, "limits: %u moves a second, %u deletes and %u bounces a minute, %u programs\n",
		policy->limits.moves_per_second, policy->limits.deletes_per_minute,
		policy->limits.bounces_per_minute, policy->limits.programs);
	fputs("sendmail:", to);
	put_words(&dump, policy->sendmail);
	fputs("reconcile: ", to);
	put_duration(&dump, policy->reconcile);
	fputc('\n', to);
	put_events(&dump);
	put_listen(&dump, &policy->listen);
	if (policy->metrics.textfile) {
		fputs("metrics:", to);
		put_path(&dump, policy->metrics.textfile);
		fputs(" every ", to);
		put_duration(&dump, policy->metrics.every);
		fputc('\n', to);
	}
}
