/* bench.h - what the programs of tests/bench/ share: the spool, the daemon under test, a row of the
 * table.
 *
 * A program does one row of the table or a few that belong together. It says what goes wrong on
 * stderr and exits with 1; its temporary folder goes at exit, also by SIGINT and SIGTERM.
 *
 * Environment: SCALE (100000) messages in the spool; BENCH_ROUNDS (5); BENCH_DIR (TMPDIR, /tmp)
 * where the temporary folder is made; BENCH_SPOOL a folder made by bench_spool with as many
 * messages, used and left; QFWATCH the program under test (default: the one of the same build);
 * BENCH_RESULTS a file that gets each row as one JSON line; BENCH_TABLE one that gets it as
 * printed.
 */
#ifndef QFWATCH_TEST_BENCH_H
#define QFWATCH_TEST_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "mta.h"
#include "rows.h"
#include "service.h"
#include "stats.h"

#define BENCH_PATH 1024

/* In the spool of the bench no message is due. These two numbers of attempts make one so. */
#define BENCH_DUE    1000000
#define BENCH_NEARLY (BENCH_DUE - 1)
#define BENCH_DUE_RULE                                                                             \
	"{\"tier\":\"QUEUE\",\"when\":{\"attempts\":1000000},\"then\":{\"move\":\"MIDQUEUE\"}}"

struct bench {
	char program[BENCH_PATH]; /* qfwatch */
	char folder[BENCH_PATH];  /* temporary */
	char spool[BENCH_PATH];	  /* holds QUEUE, MIDQUEUE and SLOWQUEUE */
	char policy[BENCH_PATH];
	char events[BENCH_PATH]; /* the file sink of the policy */
	char socket[BENCH_PATH]; /* where the daemon listens, if the policy says so */
	uint64_t scale;
	int rounds;
};

/* Reads the environment and makes the temporary folder. Exits on failure. There is one bench a
 * process. */
void bench_open(struct bench *bench);

/* bench->spool with SCALE messages in QUEUE, from BENCH_SPOOL or made now. */
void bench_make_spool(struct bench *bench);

/* Another one: a folder of that name with `count` messages in QUEUE, of so many attempts. */
void bench_fill_spool(struct bench *bench, const char *name, uint64_t count,
		      uint32_t attempts_least, uint32_t attempts_most);

/* An empty spool, in a folder of that name. */
void bench_empty_spool(struct bench *bench, const char *name);

/* A spool in memory (BENCH_MEMORY, /dev/shm) of SCALE messages, 100,000 at most. From now on
 * bench->folder is there, too; both go at the end. Returns their number, 0 when there is no room.
 */
uint64_t bench_fill_memory(struct bench *bench);
#define BENCH_NO_MEMORY "skipped: no room in /dev/shm (or in BENCH_MEMORY)"

/* Writes bench->policy: the three tiers of bench->spool and these rules (JSON, comma-separated),
 * events into bench->events. */
void bench_policy(struct bench *bench, const char *rules);

/* The same with more: JSON, each with a comma in front; NULL: none. */
struct bench_policy {
	const char *rules;
	const char *tiers;
	const char *sinks;
	const char *event_keys; /* of "events" */
	bool listen;		/* on bench->socket */
};
void bench_policy_with(struct bench *bench, const struct bench_policy *with);

/* Opens one tier of bench->spool. */
void bench_queue(struct bench *bench, const char *tier, struct mta_queue *ret);

/* Starts `qfwatch run -c policy` and waits for the end of its first scan. Returns the nanoseconds
 * that took. */
int64_t bench_start(struct bench *bench, struct service *service);
void bench_stop(struct bench *bench, struct service *service);

/* Runs `qfwatch run -c policy` with one or two more arguments (NULL: none) to its end; returns the
 * nanoseconds. */
int64_t bench_run_once(struct bench *bench, const char *first, const char *second);

/* A number of the environment, or the default. */
int64_t bench_number(const char *name, int64_t otherwise);

/* Says what is wrong, removes the temporary folder, exits with 1. */
__attribute__((noreturn, format(printf, 1, 2))) void bench_fail(const char *format, ...);

/* Says on stderr what is going on. */
__attribute__((format(printf, 1, 2))) void bench_say(const char *format, ...);

/* ---- counting events in bench->events ---- */

struct bench_events {
	uint64_t lost;	     /* events-lost */
	bool to_resync;	     /* the last events-lost has no resynced behind it */
	uint64_t dropped;    /* events-dropped */
	int64_t resynced_at; /* wall clock of the last resynced, nanoseconds */
	long offset;	     /* up to where the file has been read */
};

/* Counts what has been written since the last call with the same struct, which is all zero at
 * first.
 */
void bench_count_events(const struct bench *bench, struct bench_events *events);

/* Calls `take` for every message-moved: the queue id, when it was told (wall clock) and
 * event.duration, both in nanoseconds. */
void bench_each_move(const struct bench *bench,
		     void (*take)(void *context, const char *id, int64_t told, int64_t duration),
		     void *context);

/* ---- waiting for messages to come to a tier ---- */

struct bench_arrivals {
	bool spin; /* asks again and again instead of sleeping */
	int inotify;
	char buffer[65536] __attribute__((aligned(8)));
	size_t at, length;
	int64_t now;
};

void bench_watch_arrivals(struct bench_arrivals *arrivals, const struct mta_queue *queue);
void bench_end_arrivals(struct bench_arrivals *arrivals);

/* The next qf that comes (by rename or link): its id, and stats_now() as of when this thread was
 * told. False at the deadline. */
bool bench_next_arrival(struct bench_arrivals *arrivals, int64_t deadline,
			char id[MTA_ID_LENGTH + 1], int64_t *ret_when);

#endif
