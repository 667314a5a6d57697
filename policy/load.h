/* load.h - the inside of the loader: what load.c and the readers of the policy's parts share.
 * Inside policy/load*.c only, which are the only ones that know jansson.
 *
 * The language is written down as tables of load_field: one row a key, with the function that reads
 * its value. A value that is wrong adds a finding, and reading goes on, so that one run tells
 * everything. Names are looked up in the document rather than in what was read so far: keys may
 * stand in any order, and findings come in the order of the document.
 *
 * A policy and all that belongs to it live in one pool; the document lives in another, which goes
 * when reading ends. So nothing is freed singly, and running out of memory half-way leaves nothing
 * behind.
 */
#ifndef QFWATCH_POLICY_LOAD_H
#define QFWATCH_POLICY_LOAD_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "qfwatch/policy.h"
#include "suggest.h"
#include "text.h"

struct loader {
	const char *path;
	struct problems *problems;
	size_t findings; /* notes are not counted */
	json_t *root;
	struct policy *policy; /* what is read so far, zero where it is not */
	struct pool *pool;     /* the policy's */
	bool no_memory;
	char folder[PATH_MAX]; /* relative paths start here */
	int folder_error;      /* why `folder` is not known: an errno */
	uint32_t include;      /* events, as in policy.events */
	uint32_t exclude;
};

/* Where a value stands: the chain of objects and lists around it, as it grows on the stack while
 * reading. The root has no parent. */
struct load_place {
	const struct load_place *parent;
	const char *key; /* in an object; NULL in a list */
	size_t index;
};

/* One key of an object; a table ends with a row of zeros. `into` is what the table's object is read
 * into. */
struct load_field {
	const char *key;
	void (*read)(struct loader *loader, json_t *value, const struct load_place *at, void *into);
	const char *missing; /* what to say where the key is not there; NULL: it need not be */
};

/* ---- findings; every one but a note makes the policy invalid ---- */

/* Adds "PATH: FOUND at POINTER: EXPECTED". load_wrong and the like count; this one does not, and
 * serves for notes. */
void load_find(struct loader *loader, enum problem_kind kind, const struct load_place *at,
	       const char *found, const char *expected);

void load_wrong(struct loader *loader, const struct load_place *at, const char *found,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

/* "wrong value VALUE" */
void load_wrong_value(struct loader *loader, const struct load_place *at, const json_t *value,
		      const char *expected);

/* BEFORE "NAME"AFTER, such as: tier name "QUEUE" twice */
void load_wrong_name(struct loader *loader, const struct load_place *at, const char *before,
		     const char *name, const char *after, const char *expected);

/* The words that would be right where an unknown one (nearest.word) stands. */
struct load_choice {
	struct suggestion nearest;
	struct text list;
};

void load_offer(struct load_choice *choice, const char *word);

/* "unknown KIND "WORD"", with the nearest of the choice, or all of it. */
void load_unknown(struct loader *loader, const struct load_place *at, const char *kind,
		  const struct load_choice *choice);

/* Are there so many findings that looking for the right word is not worth while? */
bool load_enough(const struct loader *loader);

/* ---- values: each tells whether the value is of its kind; if not, there is a finding ---- */

bool load_is_object(struct loader *loader, const json_t *value, const struct load_place *at,
		    const char *expected);

/* Reads each key of an object by its row, in the order of the document; then tells what is missing.
 */
void load_object(struct loader *loader, json_t *value, const struct load_place *at,
		 const struct load_field *fields, void *into);

/* Does the object hold nothing, or nothing but a comment? (With any other key there is a better
 * finding.) Adds none. */
bool load_is_empty(const json_t *object);

const char *load_string(struct loader *loader, const json_t *value, const struct load_place *at,
			const char *expected); /* the document's memory, or NULL */

bool load_true(struct loader *loader, const json_t *value, const struct load_place *at,
	       const char *expected);

/* A duration as text, or whole seconds; `least` to `most` seconds. Where `most` is
 * UNITS_DURATION_MAX, a longer one is told of that. */
bool load_duration(struct loader *loader, const json_t *value, const struct load_place *at,
		   int64_t least, int64_t most, const char *expected, int64_t *ret);

/* A path, made absolute; the policy's memory, or NULL. */
char *load_path(struct loader *loader, const json_t *value, const struct load_place *at,
		const char *expected);

/* What stands in `text`: "192.0.2.1:514", "[2001:db8::1]:514" or "localhost:514". Returns the host,
 * a numeric address in the policy's memory. What is wrong is told: by `expected`, and for the name
 * of a host by `remedy`; NULL if there is no port. */
char *load_host_port(struct loader *loader, const json_t *value, const struct load_place *at,
		     const char *text, const char *expected, const char *remedy,
		     uint16_t *ret_port);

bool load_is_numeric(const char *host); /* an address of IPv4 or IPv6 */

/* Hands memory through. If it is NULL, remembers that memory ran out: then all that was read is
 * thrown away. */
void *load_kept(struct loader *loader, void *memory);

/* ---- the parts: load_field.read of the keys at the top level; into is the policy ---- */

void load_tiers(struct loader *loader, json_t *value, const struct load_place *at, void *into);
void load_rules(struct loader *loader, json_t *value, const struct load_place *at, void *into);
void load_events(struct loader *loader, json_t *value, const struct load_place *at, void *into);
void load_listen(struct loader *loader, json_t *value, const struct load_place *at, void *into);
void load_metrics(struct loader *loader, json_t *value, const struct load_place *at, void *into);
void load_sendmail(struct loader *loader, json_t *value, const struct load_place *at, void *into);

/* What holds where the document does not say how to call sendmail. */
void load_default_sendmail(struct loader *loader);

/* What follows from the rules as a whole, once all is read: text_tiers and levels. */
void load_digest(struct loader *loader);

/* ---- the parts of a rule: into is the rule ---- */

void load_when(struct loader *loader, json_t *value, const struct load_place *at, void *into);
void load_then(struct loader *loader, json_t *value, const struct load_place *at, void *into);

/* A pattern, or a list of them; and one that may ask for all recipients. */
void load_pattern(struct loader *loader, json_t *value, const struct load_place *at,
		  struct policy_condition *condition);
void load_recipient_pattern(struct loader *loader, json_t *value, const struct load_place *at,
			    struct policy_condition *condition);

/* Index of a tier in the document, or -1 with a finding. It may be past the 64 that are allowed. */
int load_find_tier(struct loader *loader, const char *name, const struct load_place *at);

/* The name of a tier, a list of names, or "*": sets their bits. */
void load_tier_names(struct loader *loader, json_t *value, const struct load_place *at,
		     uint64_t *tiers);

/* ---- the parts of "events" ---- */

void load_sinks(struct loader *loader, json_t *value, const struct load_place *at,
		struct policy *policy);

/* Reads "include" or "exclude" into *events, to be resolved by load_default_events. An event that
 * stands in the other one as well is neither in nor out. */
void load_event_list(struct loader *loader, const json_t *value, const struct load_place *at,
		     uint32_t *events, uint32_t other);

/* What holds where the document says nothing about events: a sink on stdout. And the set of events,
 * once all is read. */
void load_default_events(struct loader *loader);

#endif
