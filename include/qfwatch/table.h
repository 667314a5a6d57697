/* table.h - the messages in memory: found by directory and queue id in O(1), ordered by deadline,
 * at most 96 bytes each.
 *
 * A message is named by a number (msgref) that stays the same until it is removed; struct message
 * is 72 bytes, the hash takes 7 to 13 bytes a message and the deadline heap 4. Queue ids longer
 * than 16 bytes (sendmail's have 14) are kept outside. Memory is taken in pieces and reused, never
 * given back: a spool that was large once will be again.
 */
#ifndef QFWATCH_TABLE_H
#define QFWATCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t msgref;
#define MSGREF_NONE 0

/* "qf" and the longest id make the longest file name (NAME_MAX). */
#define TABLE_MAX_ID 253

/* Where a message stands. INTERNALS.md, "States in memory", tells which state follows which. */
enum message_state {
	MESSAGE_NEW,	  /* its name was seen, its qf not yet read */
	MESSAGE_IDLE,	  /* read; nothing to do before its deadline */
	MESSAGE_WRITING,  /* its qf is empty or incomplete: sendmail is probably writing it */
	MESSAGE_BUSY,	  /* due, but locked by somebody: tried again */
	MESSAGE_FAILED,	  /* due, but the last try met an error: tried again later */
	MESSAGE_REFUSED,  /* unsafe to touch: left alone until it changes */
	MESSAGE_WAITING,  /* due, but a limit of the policy is reached: its turn comes at its
			     deadline */
	MESSAGE_MOVING,	  /* being copied to another file system by a worker */
	MESSAGE_BOUNCING, /* being returned by a sendmail that we started */
	MESSAGE_STATES
};

enum message_flag {
	MESSAGE_READY = 1, /* stands in the ready list */
	MESSAGE_ECHO = 2,  /* we moved it: the notification that comes is our own */
	MESSAGE_RACY =
		4, /* its qf was younger than its reading: `print` does not prove it unchanged */
	MESSAGE_SEEN = 8,    /* met by the scan under way */
	MESSAGE_GONE = 16,   /* removed while in the ready list: freed when it is popped */
	MESSAGE_LINKED = 32, /* its df has a second link: recovery is due */
	MESSAGE_TOLD = 64,   /* its trouble (busy, failed, refused) has been reported */
	MESSAGE_SIZED = 128, /* `size` is known */
};

struct message {
	int64_t deadline; /* microseconds since the epoch; set by table_set_deadline only */
	uint64_t visited; /* tiers it has stood in since its qf last changed, one bit each; and the
			     marks of rules that have told of it (policy_rule.mark) */
	uint64_t print : 48; /* fingerprint of the qf that was read: inode, size, mtime; 0: none */
	uint64_t domain_high : 16; /* of its domain: see table_domain */
	union {
		char near[16];
		char *far;
	} id;		    /* table_id gives it; no NUL at its end */
	uint64_t size : 36; /* of the body, bytes; TABLE_MAX_SIZE at most */
	uint64_t state : 4; /* enum message_state */
	uint64_t
		trouble : 8; /* why it is refused or failed: an errno or enum trouble (trouble.h) */
	uint64_t held : 1;   /* quarantined by sendmail: its control file is an hf */
	uint64_t quarantined : 1; /* its qf has a q line */
	uint64_t domain_low : 14;
	uint32_t created, last_attempt; /* T, K: seconds since the epoch */
	uint32_t attempts : 24;		/* N; TABLE_MAX_ATTEMPTS at most */
	uint32_t tries : 8;		/* how often it has been tried in vain in this state */
	uint32_t heap_place;		/* 1 + place in the deadline heap; 0: none */
	msgref next;			/* in its list: ready or free */
	uint16_t directory;		/* index of the queue directory in the spool */
	uint8_t id_length;
	uint8_t flags; /* enum message_flag */
};

/* What is larger is kept as this. */
#define TABLE_MAX_SIZE	   ((UINT64_C(1) << 36) - 1)
#define TABLE_MAX_ATTEMPTS ((UINT32_C(1) << 24) - 1)

/* The hash of its recipient domain, 30 bits (domains_hash); or one of these. */
enum { TABLE_DOMAIN_NONE, TABLE_DOMAIN_SEVERAL };

static inline uint32_t table_domain(const struct message *message)
{
	return (uint32_t)(message->domain_high << 14 | message->domain_low);
}

static inline void table_set_domain(struct message *message, uint32_t domain)
{
	message->domain_high = domain >> 14 & 0xffff;
	message->domain_low = domain & 0x3fff;
}

struct table;

struct table *table_new(void);
void table_free(struct table *table); /* NULL is fine */

/* The message of that name, or MSGREF_NONE. length is at most TABLE_MAX_ID. */
msgref table_find(const struct table *table, uint16_t directory, const char *id, size_t length);

/* That name is going to be looked for: asks for the memory where it would stand. */
void table_expect(const struct table *table, uint16_t directory, const char *id, size_t length);

/* Adds one that must not be there yet: state MESSAGE_NEW, everything else zero, no deadline. */
msgref table_insert(struct table *table, uint16_t directory, const char *id, size_t length);

/* Forgets it. Its number may come back for another message at once, unless it stands in the ready
 * list. */
void table_remove(struct table *table, msgref ref);

/* Now it stands in another directory, where the same id must not be known. */
void table_change_directory(struct table *table, msgref ref, uint16_t directory);

/* The message itself: valid until it is removed, and stays where it is. */
struct message *table_get(const struct table *table, msgref ref);

/* Its queue id, table_get(ref)->id_length bytes, not NUL-terminated. */
const char *table_id(const struct message *message);

/* When to look at it again, in microseconds since the epoch; INT64_MAX: never by itself. O(log n).
 */
void table_set_deadline(struct table *table, msgref ref, int64_t deadline);

/* The message with the earliest deadline, or MSGREF_NONE; *ret_deadline is INT64_MAX then. */
msgref table_earliest(const struct table *table, int64_t *ret_deadline);

/* The ready list, first in, first out: messages to look at now. Adding one twice does nothing. */
void table_push_ready(struct table *table, msgref ref);
msgref table_pop_ready(struct table *table); /* MSGREF_NONE when empty */
bool table_has_ready(const struct table *table);

/* How many were ever added to it and taken from it: so the one that was taken last came there as
 * number table_ready_taken. */
uint64_t table_ready_added(const struct table *table);
uint64_t table_ready_taken(const struct table *table);

/* Which one it is, of a message in the table. O(pieces of 4,096 messages). */
msgref table_ref(const struct table *table, const struct message *message);

/* All messages, in no order: start with MSGREF_NONE, ends with MSGREF_NONE. Removing the one just
 * returned is fine. */
msgref table_next(const struct table *table, msgref after);

/* Length of the longest queue id that was ever there. */
size_t table_longest_id(const struct table *table);

size_t table_count(const struct table *table);

/* Bytes taken, all told. */
size_t table_memory(const struct table *table);

#endif
