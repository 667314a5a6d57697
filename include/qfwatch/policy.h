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

enum policy_condition_kind {
	POLICY_ALWAYS,	 /* every message */
	POLICY_ATTEMPTS, /* N >= at_least */
	POLICY_AGE,	 /* now - T >= at_least, in seconds */
};

struct policy_condition {
	enum policy_condition_kind kind;
	int64_t at_least;
};

enum policy_action {
	POLICY_STAY, /* no rule matches: leave it */
	POLICY_MOVE,
	POLICY_DELETE,
};

/* One rule. All its conditions must hold. */
struct policy_rule {
	char *name;	/* the policy's, or "rule N" (N from 1) where it gives none; unique */
	uint64_t tiers; /* bit i: the rule is for tiers[i] */
	struct policy_condition *conditions;
	size_t n_conditions;	   /* at least 1 */
	enum policy_action action; /* never POLICY_STAY */
	unsigned target; /* POLICY_MOVE: index of the tier to move to; never a tier in `tiers` */
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

/* How fast rules may act. What is due beyond that waits for its turn. */
struct policy_limits {
	uint32_t moves_per_second;   /* 0: no limit (the default) */
	uint32_t deletes_per_minute; /* 0: no limit; default POLICY_DELETES_PER_MINUTE */
};

#define POLICY_DELETES_PER_MINUTE 600

struct policy {
	struct policy_tier *tiers;
	size_t n_tiers; /* 1 to POLICY_MAX_TIERS */
	struct policy_rule *rules;
	size_t n_rules;
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

/* What the policy may ask of a message. */
struct policy_message {
	unsigned tier;	      /* index into policy.tiers */
	uint32_t attempts;    /* N */
	int64_t created;      /* T, seconds since the epoch */
	int64_t last_attempt; /* K, seconds since the epoch; 0: never tried */
	uint64_t size;	      /* of the body, bytes */
};

#define POLICY_NEVER INT64_MAX

struct policy_decision {
	enum policy_action action;
	const struct policy_rule
		*rule;	 /* the rule that decided; NULL with POLICY_STAY; the policy's own memory */
	unsigned target; /* with POLICY_MOVE */
	int64_t again;	 /* first second after `now` at which the answer differs by itself;
			    POLICY_NEVER if it never does */
};

/* Tries the rules in order; the first that matches decides. */
void policy_decide(const struct policy *policy, const struct policy_message *message, int64_t now,
		   struct policy_decision *ret);

/* Does one condition hold? *ret_from is the first second from which it holds, if only time passes:
 * <= now if it does hold, POLICY_NEVER if time alone will not do it. */
bool policy_match(const struct policy_condition *condition, const struct policy_message *message,
		  int64_t now, int64_t *ret_from);

/* Writes why the rule matches, one comparison a condition: "attempts 3 >= 3, age 6d2h >= 6d". Cut
 * to size, always NUL-terminated; returns buffer. */
char *policy_reason(const struct policy_rule *rule, const struct policy_message *message,
		    int64_t now, char *buffer, size_t size);

#endif
