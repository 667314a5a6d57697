/* worker.h - threads for what may take long, so that the loop never waits: jobs in, finished jobs
 * out.
 *
 * A job is the caller's memory. What runs in a worker must not touch anything that the loop does.
 */
#ifndef QFWATCH_WORKER_H
#define QFWATCH_WORKER_H

#include <stdbool.h>

/* To be the first member of the caller's job. */
struct worker_job {
	struct worker_job *next;
	bool apart; /* set for run(): this thread has a table of descriptors of its own */
};

struct worker;

/* Starts `threads` threads that call run(job). Returns NULL when that is refused (errno says why).
 */
struct worker *worker_new(unsigned threads, void (*run)(struct worker_job *job));

/* The same for threads that open and close many files. Each gets a table of descriptors of its own
 * if the kernel lets it (worker_job.apart), so that they do not wait for each other there; what the
 * program has open is found in /proc/self/fd only, which is that of its first thread. */
struct worker *worker_new_apart(unsigned threads, void (*run)(struct worker_job *job));

/* Waits for the jobs under way, forgets those not begun, ends the threads. The caller gets none of
 * them back: take what is finished first, and free the rest after. NULL is fine. */
void worker_free(struct worker *worker);

/* Becomes readable when a job is finished. */
int worker_fd(const struct worker *worker);

void worker_submit(struct worker *worker, struct worker_job *job);

/* A finished job, or NULL. Never waits. */
struct worker_job *worker_take(struct worker *worker);

#endif
