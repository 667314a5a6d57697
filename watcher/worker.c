/* worker.c - see worker.h */
#include "qfwatch/worker.h"

#include <errno.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "qfwatch/xalloc.h"

struct queue {
	struct worker_job *first, *last;
};

struct worker {
	pthread_mutex_t mutex;
	pthread_cond_t work;
	struct queue submitted, finished;
	atomic_bool any; /* a job is finished: looked at without the mutex, so that asking in vain
			    is cheap */
	bool stop;
	bool apart; /* the threads shall have descriptors of their own */
	int fd;	    /* eventfd: readable while a job is finished */
	void (*run)(struct worker_job *job);
	pthread_t *threads;
	unsigned n_threads;
};

static void put(struct queue *queue, struct worker_job *job)
{
	job->next = NULL;
	if (queue->last)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
}

static struct worker_job *take(struct queue *queue)
{
	struct worker_job *job = queue->first;

	if (job && !(queue->first = job->next))
		queue->last = NULL;
	return job;
}

/* Threads that share a table of descriptors take its lock for each open and close, and count the
 * users of a file for each read. Only the eventfd is kept: what else would stay open here for
 * longer than its owner thinks. Returns false when the table is still shared. */
static bool part(const struct worker *worker)
{
	unsigned keep = (unsigned)worker->fd;
	char path[32];

	/* Without /proc, nothing of the program could be reached any more. */
	snprintf(path, sizeof path, "/proc/self/fd/%u", keep);
	if (access(path, F_OK) < 0 || close_range(keep + 1, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		return false;
	if (keep > 3)
		close_range(3, keep - 1, 0);
	return true;
}

static void *serve(void *argument)
{
	struct worker *worker = argument;
	bool begun = false, apart = false;

	pthread_mutex_lock(&worker->mutex);
	for (;;) {
		struct worker_job *job;
		uint64_t one = 1;

		while (!worker->stop && !worker->submitted.first)
			pthread_cond_wait(&worker->work, &worker->mutex);
		if (worker->stop)
			break;
		job = take(&worker->submitted);
		pthread_mutex_unlock(&worker->mutex);
		/* With the first job: many threads never get one. */
		if (!begun && worker->apart)
			apart = part(worker);
		begun = true;
		job->apart = apart;
		worker->run(job);
		pthread_mutex_lock(&worker->mutex);
		put(&worker->finished, job);
		if (atomic_exchange(&worker->any, true))
			continue;
		if (write(worker->fd, &one, sizeof one) < 0)
			continue; /* the counter is full: it is readable all the more */
	}
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

static struct worker *start(unsigned threads, void (*run)(struct worker_job *job), bool apart)
{
	struct worker *worker = xcalloc(1, sizeof *worker);
	sigset_t all, before;
	int error = 0;

	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->work, NULL);
	worker->run = run;
	worker->apart = apart;
	worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->fd < 0)
		error = errno;
	worker->threads = xcalloc(threads, sizeof *worker->threads);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	while (!error && worker->n_threads < threads) {
		error = pthread_create(&worker->threads[worker->n_threads], NULL, serve, worker);
		if (!error)
			worker->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error && !worker->n_threads) {
		worker_free(worker);
		errno = error;
		return NULL;
	}
	return worker;
}

struct worker *worker_new(unsigned threads, void (*run)(struct worker_job *job))
{
	return start(threads, run, false);
}

struct worker *worker_new_apart(unsigned threads, void (*run)(struct worker_job *job))
{
	return start(threads, run, true);
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->mutex);
	worker->stop = true;
	pthread_cond_broadcast(&worker->work);
	pthread_mutex_unlock(&worker->mutex);
	for (unsigned i = 0; i < worker->n_threads; i++)
		pthread_join(worker->threads[i], NULL);
	pthread_mutex_destroy(&worker->mutex);
	pthread_cond_destroy(&worker->work);
	if (worker->fd >= 0)
		close(worker->fd);
	free(worker->threads);
	free(worker);
}

int worker_fd(const struct worker *worker)
{
	return worker->fd;
}

void worker_submit(struct worker *worker, struct worker_job *job)
{
	pthread_mutex_lock(&worker->mutex);
	put(&worker->submitted, job);
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->mutex);
}

struct worker_job *worker_take(struct worker *worker)
{
	struct worker_job *job;
	uint64_t count;

	if (!atomic_load(&worker->any))
		return NULL;
	pthread_mutex_lock(&worker->mutex);
	job = take(&worker->finished);
	/* With the last one, so that the next wakes up whoever waits. */
	if (!worker->finished.first) {
		atomic_store(&worker->any, false);
		if (read(worker->fd, &count, sizeof count) < 0)
			count = 0; /* nothing to reset */
	}
	pthread_mutex_unlock(&worker->mutex);
	return job;
}
