/* loop_parts.h - what the files of loop share. Nobody else includes it.
 *
 *   loop.c         epoll, signals, timer
 *   loop_policy.c  the policy file: loaded, loaded anew, and what is told of it
 */
#ifndef QFWATCH_LOOP_PARTS_H
#define QFWATCH_LOOP_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "qfwatch/engine.h"
#include "qfwatch/events.h"
#include "qfwatch/http.h"
#include "qfwatch/loop.h"
#include "qfwatch/metrics.h"
#include "qfwatch/problem.h"
#include "qfwatch/textfile.h"

struct loop {
	const struct loop_options *options;
	struct engine *engine;
	struct events *events;
	struct http *http;	   /* NULL: a single pass answers nobody */
	struct metrics *metrics;   /* as http */
	struct textfile *textfile; /* NULL: a dry run leaves the daemon's file alone, too */
	int epoll, timer, signals, mounts;
	int supervisor;		       /* -1: nobody is told */
	int workers[ENGINE_WORKERS];   /* the engine's; -1: none yet */
	unsigned workers_made;	       /* as engine_workers_made said when they were added */
	int64_t armed;		       /* what the timer is set to; INT64_MAX: off */
	int64_t watchdog, watchdog_at; /* interval (0: none) and next time */
	int64_t events_at;	       /* when a sink wants to be tried again */
	uint64_t lost_told;	       /* lost directories in the last STATUS */
	struct stat policy_stat;       /* of the policy file when it was last read */
	bool gave_up;		       /* a single pass: a sink takes nothing */
	bool stop;
	const char *stop_reason;
};

/* ---- loop.c ---- */

/* Has epoll watch it. */
int loop_add(struct loop *loop, int fd, uint32_t what);

/* ---- loop_policy.c ---- */

/* Loads the policy file and puts it into force. Returns 0 and the policy, which is the engine's, or
 * -errno; the findings are in *problems. */
int loop_take_policy(struct loop *loop, struct problems *problems, const struct policy **ret);

/* By an event; and on stderr. */
void loop_tell_policy(struct loop *loop, const struct policy *policy);
void loop_log_problems(const struct problems *problems);

/* Loads the file again: what is wrong with it is told, and the old policy stays then. */
void loop_reload(struct loop *loop);

/* From now on notifications tell that it was saved. */
void loop_watch_policy(struct loop *loop);

/* Saved, says the kernel: but one save may come as several notifications. */
void loop_policy_touched(struct loop *loop);

#endif
