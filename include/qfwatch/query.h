/* query.h - what `list` and `shape` have in common: the options, which are those of filter.h; where
 * the answer comes from; and what to say when there is none.
 */
#ifndef QFWATCH_QUERY_H
#define QFWATCH_QUERY_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "qfwatch/census.h"
#include "qfwatch/client.h"
#include "qfwatch/filter.h"
#include "qfwatch/policy.h"

struct query_pair {
	const char *key, *value; /* borrowed */
};

/* Set `command`, leave the rest zero; end with query_free. */
struct query {
	const char *command; /* "list" */
	const char *policy_path;
	bool json, spool;
	bool has_limit;
	size_t limit;
	struct query_pair *pairs;
	size_t n_pairs;
	struct policy *policy; /* after query_load */
};

enum { QUERY_JSON = 256, QUERY_SPOOL, QUERY_LIMIT, QUERY_FILTER, QUERY_OWN };

/* Rows for getopt_long; values from QUERY_OWN on are the caller's. */
#define QUERY_OPTIONS                                                                              \
	{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, QUERY_JSON},         \
		{"spool", no_argument, NULL, QUERY_SPOOL},                                         \
		{"limit", required_argument, NULL, QUERY_LIMIT},                                   \
		{"tier", required_argument, NULL, QUERY_FILTER},                                   \
		{"state", required_argument, NULL, QUERY_FILTER},                                  \
		{"attempts", required_argument, NULL, QUERY_FILTER},                               \
		{"age", required_argument, NULL, QUERY_FILTER},                                    \
		{"domain", required_argument, NULL, QUERY_FILTER},                                 \
		{"sender", required_argument, NULL, QUERY_FILTER},                                 \
		{"recipient", required_argument, NULL, QUERY_FILTER},                              \
		{"status", required_argument, NULL, QUERY_FILTER},                                 \
	{                                                                                          \
		"help", no_argument, NULL, 'h'                                                     \
	}

/* What they do, for the texts of -h. */
#define QUERY_USAGE_FILTERS                                                                        \
	"      --tier A[,B]         only these tiers\n"                                            \
	"      --domain GLOB        only with a recipient in such a domain (\"*.example.net\"; "   \
	"\"(local)\": in none)\n"                                                                  \
	"      --sender GLOB        only from such a domain, \"(local)\" or \"<>\"; with an @ in " \
	"it: such an address\n"                                                                    \
	"      --recipient GLOB     only with such a recipient: the whole address\n"               \
	"      --attempts N         only with so many: 3, \">=3\", \"<10\", 3..9\n"                \
	"      --age AGE            only older or younger: \">1h\", \"<=2d\", 1h..2d\n"            \
	"      --status REGEX       only where the last status matches (PCRE2; \"(?i)\" for "      \
	"either case)\n"                                                                           \
	"      --state S[,S]        only in these states of the daemon: busy, failed, refused, "   \
	"...\n"

#define QUERY_USAGE_COMMON                                                                         \
	"      --spool              read the spool, even if a daemon answers\n"                    \
	"  -c, --config FILE        the policy (default /etc/qfwatch/policy.json)\n"               \
	"  -h, --help               this text\n"

/* Takes one option: what getopt_long returned, with the name of the row. Returns -1 for one that is
 * not of these, -EINVAL when its value is wrong (said on stderr). */
int query_option(struct query *query, int option, const char *name, const char *value);

/* Says on stderr that an option is not known or lacks its value, and what was meant, after
 * getopt_long returned "?" (with opterr 0). */
void query_wrong_option(const struct query *query, char *const *argv, const struct option *options);

/* Loads the policy and judges the filters. Returns EXIT_DONE, or the exit code with all said. */
int query_load(struct query *query);

/* A filter of its own for each thread. After query_load; ends the program when memory ends. */
struct filter *query_filter(const struct query *query, const struct policy *policy);

/* Reads the spool where no daemon answers: `read` is called with its tiers; what cannot be read is
 * told afterwards. Returns the exit code. */
int query_read_spool(const struct query *query, void (*read)(struct census *census, void *context),
		     void *context);

/* Says on stderr that --status was given up on so many messages, which are left out: whoever has
 * read them. Returns the exit code, which was `code` until then. */
int query_tell_given_up(const struct query *query, uint64_t given_up, int code);

/* The target of a request: `path` with the filters and the limit. The caller frees it. */
char *query_target(const struct query *query, const char *path);

/* Says on stderr when the daemon's first scan is still under way. */
void query_warn_incomplete(const struct query *query, struct client *client);

/* How to go on without an answer. */
enum query_next {
	QUERY_READ, /* read the spool: nobody answers, which is said on stderr */
	QUERY_END,  /* end, with all said, and with this exit code: */
};

enum query_next query_failed(const struct query *query, const struct client_trouble *trouble,
			     bool begun, int *ret_code);

/* Says "qfwatch COMMAND: REASON: REMEDY" on stderr. */
void query_complain(const char *command, const char *reason, const char *remedy);

void query_free(struct query *query);

#endif
