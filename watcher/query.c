/* query.c - see query.h */
#include "qfwatch/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/answer.h"
#include "qfwatch/columns.h"
#include "qfwatch/command.h"
#include "qfwatch/plain.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

void query_complain(const char *command, const char *reason, const char *remedy)
{
	char line[4096] = "";

	plain_add(line, sizeof line, reason);
	if (*remedy) {
		plain_add(line, sizeof line, ": ");
		plain_add(line, sizeof line, remedy);
	}
	fflush(stdout);
	command_has_written();
	fprintf(stderr, "qfwatch %s: %s\n", command, line);
}

/* ---- options ---- */

static int read_limit(struct query *query, const char *value)
{
	char *end;

	errno = 0;
	query->limit = strtoul(value, &end, 10);
	query->has_limit = true;
	if (!errno && !*end && *value >= '0' && *value <= '9')
		return 0;
	query_complain(query->command, "--limit: a number is needed", "0 is no limit");
	return -EINVAL;
}

int query_option(struct query *query, int option, const char *name, const char *value)
{
	switch (option) {
	case 'c':
		query->policy_path = value;
		return 0;
	case QUERY_JSON:
		query->json = true;
		return 0;
	case QUERY_SPOOL:
		query->spool = true;
		return 0;
	case QUERY_LIMIT:
		return read_limit(query, value);
	case QUERY_FILTER:
		query->pairs =
			xreallocarray(query->pairs, query->n_pairs + 1, sizeof *query->pairs);
		query->pairs[query->n_pairs++] = (struct query_pair){name, value};
		return 0;
	default:
		return -1;
	}
}

void query_wrong_option(const struct query *query, char *const *argv, const struct option *options)
{
	const char *word = argv[optind - 1], *own[32];
	struct filter_error error;
	char name[64], reason[96];
	size_t n = 0;

	if (strncmp(word, "--", 2) != 0) {
		query_complain(query->command, "unknown option, or one without its value", word);
		return;
	}
	snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
	for (const struct option *option = options; option->name; option++) {
		if (strcmp(option->name, name) == 0) {
			query_complain(query->command,
				       option->has_arg ? "an option lacks its value"
						       : "an option takes no value",
				       word);
			return;
		}
		if (option->val != QUERY_FILTER && n + 1 < sizeof own / sizeof *own)
			own[n++] = option->name;
	}
	own[n] = NULL;
	filter_unknown_key(name, own, &error);
	snprintf(reason, sizeof reason, "unknown option \"--%s\"", name);
	query_complain(query->command, reason, error.remedy);
}

/* ---- filters ---- */

static int fill(const struct query *query, const struct policy *policy, struct filter *filter)
{
	for (size_t i = 0; i < query->n_pairs; i++) {
		const struct query_pair *pair = &query->pairs[i];
		struct filter_error error;
		int r = filter_add(filter, policy, pair->key, pair->value, &error);
		char reason[sizeof error.reason + 2];

		if (r == 0)
			continue;
		if (r == -EINVAL) {
			snprintf(reason, sizeof reason, "--%s", error.reason);
			query_complain(query->command, reason, error.remedy);
		}
		return r;
	}
	return 0;
}

struct filter *query_filter(const struct query *query, const struct policy *policy)
{
	struct filter *filter = filter_new();

	if (!filter || fill(query, policy, filter) < 0) {
		query_complain(query->command, strerror(ENOMEM), "");
		exit(EXIT_REFUSED);
	}
	return filter;
}

static bool asks_states(const struct query *query)
{
	for (size_t i = 0; i < query->n_pairs; i++)
		if (strcmp(query->pairs[i].key, "state") == 0)
			return true;
	return false;
}

int query_load(struct query *query)
{
	struct problems problems = {0};
	struct filter *filter;
	int code = EXIT_DONE;

	if (!query->policy_path)
		query->policy_path = COMMAND_DEFAULT_POLICY;
	if (policy_load(query->policy_path, &problems, &query->policy) < 0) {
		code = command_report(&problems);
		problems_free(&problems);
		return code;
	}
	problems_free(&problems);
	if (query->spool && asks_states(query)) {
		query_complain(query->command, "--state with --spool",
			       "leave out one of them: only the running daemon knows states");
		return EXIT_USAGE;
	}
	filter = filter_new();
	switch (filter ? fill(query, query->policy, filter) : -ENOMEM) {
	case 0:
		break;
	case -EINVAL:
		code = EXIT_USAGE;
		break;
	default:
		query_complain(query->command, strerror(ENOMEM), "");
		code = EXIT_REFUSED;
	}
	filter_free(filter);
	return code;
}

int query_read_spool(const struct query *query, void (*read)(struct census *census, void *context),
		     void *context)
{
	struct census census = {0};
	struct problems problems = {0};
	int code;

	if (census_open(&census, query->policy_path, query->n_pairs > 0, &problems) < 0) {
		code = command_report(&problems);
	} else {
		read(&census, context);
		fflush(stdout);
		command_has_written();
		census_print_troubles(&census, stderr);
		code = census_problems(&census) ? EXIT_PROBLEM : EXIT_DONE;
	}
	problems_free(&problems);
	census_free(&census);
	return code;
}

int query_tell_given_up(const struct query *query, uint64_t given_up, int code)
{
	char number[32], reason[96];

	if (!given_up)
		return code;
	snprintf(reason, sizeof reason, "--status costs too much on %s %s",
		 columns_thousands(given_up, number, sizeof number),
		 units_plural(given_up, "message, which is left out",
			      "messages, which are left out"));
	query_complain(query->command, reason, "write it simpler");
	return code == EXIT_DONE ? EXIT_PROBLEM : code;
}

char *query_target(const struct query *query, const char *path)
{
	char *target = xstrdup(path), number[32];

	for (size_t i = 0; i < query->n_pairs; i++)
		target = client_query(target, query->pairs[i].key, query->pairs[i].value);
	if (query->has_limit && query->limit) {
		snprintf(number, sizeof number, "%zu", query->limit);
		target = client_query(target, "limit", number);
	}
	return target;
}

/* ---- no answer ---- */

void query_warn_incomplete(const struct query *query, struct client *client)
{
	struct client_trouble ignored;
	json_t *status = answer_fetch(client, "/api/v1/status", &ignored);

	if (strcmp(answer_text(json_object_get(status, "round"), "running"), "start") == 0)
		query_complain(query->command,
			       "the daemon has just started, and does not know "
			       "all messages yet",
			       "ask again, or read the spool with --spool");
	json_decref(status);
}

enum query_next query_failed(const struct query *query, const struct client_trouble *trouble,
			     bool begun, int *ret_code)
{
	bool absent = trouble->failure == CLIENT_NOWHERE || trouble->failure == CLIENT_NOBODY;
	char reason[sizeof trouble->reason + 64], remedy[sizeof trouble->remedy + 64];

	*ret_code = EXIT_REFUSED;
	if (trouble->failure == CLIENT_SILENT && !asks_states(query)) {
		snprintf(remedy, sizeof remedy, "read the spool with --spool; %s", trouble->remedy);
		query_complain(query->command, trouble->reason, remedy);
		return QUERY_END;
	}
	if (!absent || begun) {
		query_complain(query->command, trouble->reason, trouble->remedy);
		if (trouble->failure == CLIENT_REFUSED && trouble->status == 400)
			*ret_code = EXIT_USAGE;
		return QUERY_END;
	}
	if (asks_states(query)) {
		snprintf(reason, sizeof reason, "only the running daemon knows states, and %s",
			 trouble->reason);
		query_complain(query->command, reason, trouble->remedy);
		return QUERY_END;
	}
	query_complain(query->command, trouble->reason, "reading the spool");
	return QUERY_READ;
}

void query_free(struct query *query)
{
	free(query->pairs);
	policy_free(query->policy);
	*query = (struct query){0};
}
