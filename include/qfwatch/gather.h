/* gather.h - reads many control files at once, in threads: names in, what their files say out.
 *
 * The loop puts names into a batch and submits it; a thread opens, checks and reads each file and
 * writes down what it found; the loop takes the batch back and believes it as far as it can. What a
 * thread found may be out of date by then: it is a hint like any other. Only the plain case is read
 * (a regular file with one link, sound and not too large); everything else is marked
 * TROUBLE_CHANGED and needs a look of its own. Nothing is allocated for a file, and the memory of
 * all batches together is bounded.
 */
#ifndef QFWATCH_GATHER_H
#define QFWATCH_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/qfile.h"
#include "qfwatch/spool.h"
#include "qfwatch/trouble.h"
#include "qfwatch/worker.h"

/* Names in a batch. The loop takes one in some 50 us, which is how long a notification waits. */
#define GATHER_NAMES 128

/* More threads than this are not started: the loop could not keep up with them. */
#define GATHER_MAX_THREADS 8

/* One name. The first part is the caller's, the second is what the thread found. */
struct gather_item {
	const char *name; /* in the batch */
	uint32_t ref;	  /* of the caller */
	bool regular;	  /* it is a regular file, says the directory: else it is not opened */
	bool known;	  /* only compare it with `print`: is it still that file? */

	bool same;	      /* of a known one: it is */
	enum trouble trouble; /* of others: TROUBLE_NONE, or TROUBLE_CHANGED: look again */
	uint64_t print;	      /* control_print; given by the caller for a known one */
	int64_t modified;     /* microseconds since the epoch */
	struct qfile file;
	const char *text; /* all of it, in the batch; NULL where it was not wanted */
	size_t text_length;
	bool sized; /* the two that follow are known */
	unsigned body_links;
	uint64_t body_size;
};

/* The folders of a queue directory, by descriptors of their own, so that one that is closed or
 * replaced meanwhile does not mislead the threads. */
struct gather_source;

struct gather_batch {
	struct worker_job job;
	struct gather_source *source;
	uint32_t owner; /* the caller's: which directory */
	bool given_up;	/* the caller's: it does not believe this any more */
	int64_t begun; /* the caller's clock when it was submitted, thus before any file was read */
	bool want_text, want_size;
	size_t count;
	struct gather_item items[GATHER_NAMES];
	/* Its own. */
	struct gather_batch *next;
	bool in_hand;
	int noatime; /* O_NOATIME, until it is refused */
	char *buffer, *texts;
	size_t names_used, texts_used;
	char names[GATHER_NAMES * SPOOL_NAME_MAX];
};

struct gather;

/* As many threads as the program may use processors, started with the first batch that is
 * submitted. Never fails: without threads, submitting reads the batch at once. */
struct gather *gather_new(void);

/* For tests: as many threads as said; 0: none. */
struct gather *gather_new_with(unsigned threads);

/* Waits for what is being read, forgets the rest, ends the threads. NULL is fine. Close the sources
 * first. */
void gather_free(struct gather *gather);

/* Returns 0 or -errno. */
int gather_open(int qf, int df, struct gather_source **ret);

/* Closed when the last batch of it is put back. NULL is fine. */
void gather_close(struct gather_source *source);

/* An empty batch of a source, or NULL when all are under way. */
struct gather_batch *gather_begin(struct gather *gather, struct gather_source *source);

/* Adds a name, which is copied. The batch must not be full (count == GATHER_NAMES). */
struct gather_item *gather_add(struct gather_batch *batch, const char *name);

void gather_submit(struct gather *gather, struct gather_batch *batch);

/* One that is read, or NULL. Never waits. */
struct gather_batch *gather_take(struct gather *gather);

/* Gives a batch back, whether taken or never submitted. */
void gather_put(struct gather *gather, struct gather_batch *batch);

/* How many are submitted and not taken. */
size_t gather_under_way(const struct gather *gather);

/* The caller believes none of an owner's batches that are under way any more. */
void gather_give_up(struct gather *gather, uint32_t owner);

/* Readable when one is read; -1 without threads, and before they are started. */
int gather_fd(const struct gather *gather);

#endif
