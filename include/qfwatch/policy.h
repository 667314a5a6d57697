/* policy.h - what the operator wants: tiers, rules, and what they say about one message.
 *
 * Pure: no clock, no log, no spool. The daemon, check, the tests and the fuzzers all call the same
 * functions. Times are whole seconds, because the times in a qf are.
 */
#ifndef QFWATCH_POLICY_H
#define QFWATCH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/problem.h"

/* A message remembers the tiers it has been in as one bit each. */
#define POLICY_MAX_TIERS 64

/* Longest name of a tier, bytes. */
#define POLICY_TIER_NAME_MAX 64

/* A policy file larger than this is refused: it is not a policy. */
#define POLICY_MAX_BYTES (1024 * 1024)

/* Conditions inside conditions ("any", "not") go no deeper. */
#define POLICY_MAX_DEPTH 16

/* Distinct "domain" conditions of a policy. */
#define POLICY_MAX_WINDOWS 64

/* A piece of text: any bytes, not NUL-terminated. */
struct policy_slice {
	const char *bytes;
	size_t length;
};

enum policy_condition_kind {
	POLICY_ALWAYS, /* every message */
	/* Of the children. */
	POLICY_ALL, /* all hold: what stands together in one object */
	POLICY_ANY, /* one holds */
	POLICY_NOT, /* the only one does not hold */
	/* A number: at_least <= it < below. */
	POLICY_ATTEMPTS,      /* N */
	POLICY_AGE,	      /* now - T, seconds */
	POLICY_SINCE_ATTEMPT, /* now - K, seconds; of a message never tried it does not hold */
	POLICY_SIZE,	      /* of the body, bytes; does not hold while that is not known */
	POLICY_RECIPIENTS,    /* R lines */
	POLICY_TIER_MESSAGES, /* how many stand in the message's tier */
	/* Texts: a pattern matches. */
	POLICY_SENDER, /* "<>": the null sender */
	POLICY_RECIPIENT,
	POLICY_RECIPIENT_DOMAIN,
	POLICY_STATUS, /* the M line */
	POLICY_HEADER,
	/* Facts: the message is as `wanted` says. */
	POLICY_INCOMPLETE,  /* no sender, or no recipient */
	POLICY_QUARANTINED, /* held by sendmail (hf, or a q line) */
	/* What has happened to the recipient domains lately: a window of the policy is reached. */
	POLICY_DOMAIN_DEFERRED,	 /* for each of the message's domains */
	POLICY_DOMAIN_DELIVERED, /* for one of them */
};

#define POLICY_NO_END INT64_MAX

struct policy_condition {
	enum policy_condition_kind kind;
	bool needs_text;	 /* it, or a child of it, can only be judged with the qf at hand */
	bool wanted;		 /* facts */
	bool every;		 /* recipients: the pattern has to match every one of them */
	int64_t at_least, below; /* numbers; below is POLICY_NO_END where there is no end */
	unsigned window;	 /* domains: index in policy.windows, with its `at_least` and */
	int64_t within;		 /* seconds */
	char *header;		 /* POLICY_HEADER: its name */
	struct pattern_set *pattern; /* texts; see policy/pattern.h */
	struct policy_condition *children;
	size_t n_children;
};

enum policy_action {
	POLICY_STAY, /* no rule decides, or one that keeps: leave it */
	POLICY_MOVE,
	POLICY_DELETE,
	POLICY_BOUNCE, /* have sendmail return it to its sender now */
};

/* A program to run, without a shell. In its arguments {id}, {file}, {tier} and {rule} stand for the
 * message's. */
struct policy_program {
	char **arguments; /* ends with NULL; the first is the program, an absolute path */
	int64_t timeout;  /* seconds */
};

/* One rule. All its conditions must hold. */
struct policy_rule {
	char *name;	/* the policy's, or "rule N" (N from 1) where it gives none; unique */
	uint64_t tiers; /* bit i: the rule is for tiers[i] */
	struct policy_condition *conditions;
	size_t n_conditions; /* at least 1 */
	/* Does it decide? Then the rules after it are not tried; it keeps the message where it is
	 * if its action is POLICY_STAY. Else it only tells (notify) or runs a program, once a
	 * message.
	 */
	bool decides;
	enum policy_action action;
	unsigned target; /* POLICY_MOVE: index of the tier to move to; never a tier in `tiers` */
	bool notify;
	char *notice;			/* what the event says; NULL: nothing of the policy's */
	struct policy_program *program; /* NULL: none */
	uint64_t mark;	  /* of a rule that does not decide: its bit among policy_message.marks */
	bool quarantined; /* a condition of it names quarantined: it is for such messages, too */
	bool way_back;	  /* a condition of it is POLICY_DOMAIN_DELIVERED */
};

/* Which of a tier's queue directories a message goes to. */
enum policy_place {
	POLICY_PLACE_HASH,     /* by its id: the same one each time */
	POLICY_PLACE_EMPTIEST, /* the one that holds the fewest messages */
};

struct policy_tier {
	enum policy_place place;
	char *name;
	char *directory; /* absolute, without a trailing slash or doubled slashes; may be a glob */
	bool is_glob;	 /* directory holds one of * ? [ */
};

enum policy_sink_type {
	POLICY_SINK_STDOUT,
	POLICY_SINK_FILE,    /* appended to `path` */
	POLICY_SINK_SYSLOG,  /* RFC 5424 to `transport` */
	POLICY_SINK_JOURNAL, /* systemd's, by its native protocol; `path` is its socket */
	POLICY_SINK_UNIX,    /* the socket `path`: a stream, or datagrams */
	POLICY_SINK_FIFO,    /* the named pipe `path` */
};

enum policy_transport { POLICY_UNIX, POLICY_UDP, POLICY_TCP };

/* Bytes of lines that may wait in front of a sink. */
#define POLICY_BUFFER_LEAST   (64 * 1024)
#define POLICY_BUFFER_DEFAULT (1024 * 1024)
#define POLICY_BUFFER_MOST    (64 * 1024 * 1024)

/* Where a journal and a local syslog are. */
#define POLICY_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define POLICY_SYSLOG_SOCKET  "/dev/log"

/* Rotation of a file by qfwatch itself. */
#define POLICY_ROTATE_LEAST (64 * 1024)
#define POLICY_KEEP_DEFAULT 5
#define POLICY_KEEP_MOST    1000

struct policy_sink {
	enum policy_sink_type type;
	char *path; /* absolute; of a syslog by UDP or TCP the numeric address; NULL for stdout */
	/* This sink's own choice, as bits of policy.events: it takes (events & ~exclude) | include.
	 * No event is in both. */
	uint32_t include, exclude;
	uint64_t buffer;    /* bytes; 0: POLICY_BUFFER_DEFAULT */
	uint64_t max_bytes; /* file: begin a new one rather than grow beyond; 0: never */
	unsigned keep;	    /* file: how many old ones, path.1 (the newest) and on */
	enum policy_transport transport; /* syslog */
	uint16_t port;			 /* syslog by UDP and TCP */
	unsigned facility;		 /* syslog: its number, as RFC 5424 has them */
	bool datagrams;			 /* unix: a datagram for each line */
};

/* What events say of a message's addresses. */
enum policy_addresses {
	POLICY_ADDRESSES_DOMAIN, /* the recipients' domains */
	POLICY_ADDRESSES_NONE,
	POLICY_ADDRESSES_HASH, /* and sender and recipients, as HMAC-SHA-256 */
	POLICY_ADDRESSES_FULL, /* and sender and recipients */
};

/* Where numbers are written for the textfile collector of node_exporter. */
struct policy_metrics {
	char *textfile; /* absolute; NULL: nowhere */
	int64_t every;	/* seconds, 1 to a day */
};

/* Where the daemon answers those who ask (HTTP). */
struct policy_listen {
	char *address; /* as the policy has it; NULL: nowhere */
	char *path;    /* the Unix socket, absolute; NULL: TCP */
	char *host;    /* TCP: a numeric address */
	uint16_t port;
	bool loopback;	  /* TCP: only this machine can reach it */
	char *group;	  /* of the socket, a name or a number; NULL: that of the daemon */
	char *token_file; /* absolute; its first line has to be shown. NULL: none needed */
};

/* How fast rules may act. What is due beyond that waits for its turn. */
struct policy_limits {
	uint32_t moves_per_second;   /* 0: no limit (the default) */
	uint32_t deletes_per_minute; /* 0: no limit; default POLICY_DELETES_PER_MINUTE */
	uint32_t bounces_per_minute; /* 0: no limit; default POLICY_BOUNCES_PER_MINUTE */
	uint32_t programs; /* how many run at once, of those of rules and of those that bounce */
};

#define POLICY_DELETES_PER_MINUTE 600
#define POLICY_BOUNCES_PER_MINUTE 600
#define POLICY_PROGRAMS		  4

/* A "domain" condition: what is counted for each recipient domain. */
enum policy_window_kind {
	POLICY_DEFERRED,  /* attempts that failed */
	POLICY_DELIVERED, /* messages that left one of the tiers without us and without a bounce */
};

struct policy_window {
	enum policy_window_kind kind;
	uint64_t tiers;	  /* POLICY_DELIVERED: bit i: tiers[i] counts */
	int64_t within;	  /* seconds, 1 to a day */
	int64_t at_least; /* reached with so many; 1 or more */
};

/* A number of messages at which a "tier_messages" condition changes. */
struct policy_level {
	uint64_t tiers;
	int64_t messages;
};

struct policy {
	char *path; /* of its file, as it was named: findings begin with it; NULL: none */
	/* What policy_parse was given, so that another process can be given the same. */
	char *source;
	size_t source_length;
	struct policy_tier *tiers;
	size_t n_tiers; /* 1 to POLICY_MAX_TIERS */
	struct policy_rule *rules;
	size_t n_rules;
	bool quarantined;    /* a rule names that condition */
	uint64_t text_tiers; /* bit i: a rule for tiers[i] needs the text of the qf */
	uint64_t marks;	     /* all rules' marks: from the highest bit downwards */
	struct policy_window *windows;
	size_t n_windows;
	struct policy_level *levels;
	size_t n_levels;
	char **sendmail; /* how to call it, to bounce; ends with NULL */
	struct policy_limits limits;
	struct policy_sink *sinks;
	size_t n_sinks;
	int64_t reconcile; /* seconds between two full comparisons of memory and spool; default 3600
			    */
	/* Which events are written: bit i is enum event_action i of events.h by its place in
	 * policy_event_names. Default: all but message-tracked and message-attempted. */
	uint32_t events;
	enum policy_addresses addresses;
	char *addresses_key; /* POLICY_ADDRESSES_HASH: the file with the key, absolute */
	struct policy_listen listen;
	struct policy_metrics metrics;
};

/* The names of the event actions, in the order of the bits in policy.events; ends with NULL.
 * events.h has an enum in the same order, and a unit test holds the two together. */
extern const char *const policy_event_names[];

/* Reads and judges a policy file. Relative paths in it are taken from the folder of `path`.
 * Returns 0 and hands a policy to the caller (policy_free), or a negative errno: -EINVAL (the
 * findings are in *problems), -ENOMEM, or what open and read said (then *problems names it with the
 * remedy). On failure *ret is untouched. Every finding starts with the path: "PATH:LINE:COLUMN:
 * ..." for syntax, "PATH: ... at POINTER: ..." for the rest. */
int policy_load(const char *path, struct problems *problems, struct policy **ret);

/* The same from memory: `text` need not be NUL-terminated, `path` is only named in findings and
 * gives the folder. */
int policy_parse(const char *text, size_t length, const char *path, struct problems *problems,
		 struct policy **ret);

void policy_free(struct policy *policy); /* NULL is fine */

/* Index of the tier of that name, or -1. */
int policy_find_tier(const struct policy *policy, const char *name);

struct policy_header {
	struct policy_slice name, value;
};

/* What only the qf itself tells. All slices are the caller's memory. */
struct policy_text {
	bool has_sender;		       /* it has an S line */
	struct policy_slice sender;	       /* without < and >; "<>" is the null sender */
	struct policy_slice sender_domain;     /* as `domains`; "<>" of the null sender */
	struct policy_slice status;	       /* the M line; empty: none */
	const struct policy_slice *recipients; /* without < and > */
	const struct policy_slice *domains; /* of each recipient: lower case; empty: a local one */
	size_t n_recipients;
	const struct policy_header *headers; /* unfolded, without blanks around */
	size_t n_headers;
};

/* What has happened to recipient domains lately; kept by the daemon (domains.h). */
struct policy_history {
	/* Is the window (an index in policy.windows) reached for the domain at the second `at`?
	 * *ret_count is how many are in it, *ret_until the first second at which it will not be
	 * reached any more if nothing happens (POLICY_NEVER where it is not). */
	bool (*holds)(const void *context, struct policy_slice domain, unsigned window, int64_t at,
		      uint64_t *ret_count, int64_t *ret_until);
	const void *context;
};

/* What the policy may ask of a message. */
struct policy_message {
	unsigned tier;	      /* index into policy.tiers */
	uint32_t attempts;    /* N */
	int64_t created;      /* T, seconds since the epoch */
	int64_t last_attempt; /* K, seconds since the epoch; 0: never tried */
	uint64_t size;	      /* of the body, bytes */
	bool has_size;	      /* `size` is known */
	bool quarantined;
	uint64_t tier_messages;		/* how many stand in its tier, with it */
	uint64_t marks;			/* rules that have told of it: bits of policy_rule.mark */
	const struct policy_text *text; /* NULL: not at hand */
	const struct policy_history *history; /* NULL: not at hand */
};

#define POLICY_NEVER INT64_MAX

enum policy_truth {
	POLICY_NO,
	POLICY_YES,
	POLICY_UNKNOWN, /* what it takes is not at hand */
	/* A regular expression was given up over a text of this message: whether it matches is not
	 * known, and will not be as long as the qf is the same. A rule for which that decides does
	 * not act, be it named under "not" or not. */
	POLICY_COSTLY,
};

struct policy_decision {
	enum policy_action action;
	/* The rule that decided: the policy's own memory. NULL where none did. With `unknown` the
	 * one that could not be judged. */
	const struct policy_rule *rule;
	bool unknown; /* the text or the history is needed: the action is POLICY_STAY until then */
	unsigned target; /* with POLICY_MOVE */
	uint64_t marks;	 /* rules that do not decide, but match, and have not told yet */
	/* The first rule that was passed over because it is POLICY_COSTLY; NULL: none. */
	const struct policy_rule *costly;
	int64_t again; /* first second after `now` at which the answer differs by itself (or may,
			  in a policy with more than POLICY_STEPS such times); POLICY_NEVER if it
			  never does */
};

#define POLICY_STEPS 200

/* Tries the rules in order; the first that matches and decides ends it. Quarantined messages are
 * left alone by rules that do not name that condition. */
void policy_decide(const struct policy *policy, const struct policy_message *message, int64_t now,
		   struct policy_decision *ret);

/* Does the rule's `when` hold? Says nothing of its tiers. */
enum policy_truth policy_rule_holds(const struct policy_rule *rule,
				    const struct policy_message *message, int64_t now,
				    int64_t *ret_next);

/* Does one condition hold? *ret_next is a second after `now` up to which that stays so if only time
 * passes: exact for a single comparison, perhaps early for those made of several; POLICY_NEVER: it
 * stays so. */
enum policy_truth policy_match(const struct policy_condition *condition,
			       const struct policy_message *message, int64_t now,
			       int64_t *ret_next);

/* The rule of that name, or NULL. */
const struct policy_rule *policy_find_rule(const struct policy *policy, const char *name);

/* How much of the qf's own text may be shown. */
enum policy_show {
	POLICY_SHOW_NOTHING,
	POLICY_SHOW_DOMAINS, /* the recipients' domains */
	POLICY_SHOW_ALL,     /* addresses, the status, too */
};

/* Writes why the rule matches, or what it lacks, one comparison a condition: "attempts 3 >= 3, age
 * 6d2h >= 6d". Cut to size, always NUL-terminated; returns buffer. */
char *policy_reason(const struct policy_rule *rule, const struct policy_message *message,
		    int64_t now, enum policy_show show, char *buffer, size_t size);

/* The policy's own word for an action ("keep" for POLICY_STAY), and for what a rule does: of one
 * that does not decide it is "run" or "notify". */
const char *policy_action_word(enum policy_action action);
const char *policy_rule_word(const struct policy_rule *rule);

/* The same for one condition. */
char *policy_describe(const struct policy_condition *condition,
		      const struct policy_message *message, int64_t now, enum policy_show show,
		      char *buffer, size_t size);

#endif
