/* gather.c - see gather.h */
#include "qfwatch/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/control.h"
#include "qfwatch/xalloc.h"

/* Two batches for each thread, so that none waits for the loop, and two for the loop. */
#define MAX_BATCHES (2 * GATHER_MAX_THREADS + 2)

/* Room for the text of a batch's files: twice what they take on the average. What does not fit is
 * looked at by itself. */
#define TEXTS (GATHER_NAMES * 6144u)

struct gather_source {
	int qf, df;
	size_t users; /* batches of it, and whoever opened it */
};

struct gather {
	struct worker *worker; /* NULL: no threads, or none yet */
	unsigned threads;      /* to be started with the first batch that is submitted */
	struct gather_batch *batches[MAX_BATCHES];
	size_t n_batches, most;
	size_t under_way;
	struct gather_batch *done, **done_end; /* without threads */
};

/* ---- in a thread ---- */

static void look_at_body(int folder, struct gather_item *item)
{
	char df[SPOOL_NAME_MAX];
	struct stat stat;

	/* As long as a qf's name is, a df's is. */
	strcpy(df, item->name);
	df[0] = 'd';
	if (fstatat(folder, df, &stat, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(stat.st_mode))
		return;
	item->sized = true;
	item->body_links = (unsigned)stat.st_nlink;
	item->body_size = (uint64_t)stat.st_size;
}

static void compare(int folder, struct gather_item *item)
{
	struct stat stat;

	item->same = fstatat(folder, item->name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
		     control_print(&stat) == item->print;
}

static void read_one(struct gather_batch *batch, const struct gather_source *source,
		     struct gather_item *item)
{
	size_t room = CONTROL_BUFFER;
	char *bytes = batch->buffer;
	struct control control;

	if (batch->want_text) {
		bytes = batch->texts + batch->texts_used;
		room = TEXTS - batch->texts_used;
	}
	if (!item->regular ||
	    !control_read_plain(source->qf, item->name, bytes, room, &batch->noatime, &control))
		return;
	control_close(&control);
	item->trouble = TROUBLE_NONE;
	item->print = control_print(&control.stat);
	item->modified = control_modified(&control.stat);
	item->file = control.file;
	if (batch->want_text) {
		item->text = bytes;
		item->text_length = control.head;
		batch->texts_used += control.head;
	}
	if (batch->want_size)
		look_at_body(source->df, item);
}

/* The folder that the loop has open as `fd`, for a thread with descriptors of its own. */
static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void read_all(struct gather_batch *batch, const struct gather_source *source)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct gather_item *item = &batch->items[i];

		if (item->known)
			compare(source->qf, item);
		else
			read_one(batch, source, item);
	}
}

static void run(struct worker_job *job)
{
	struct gather_batch *batch = (struct gather_batch *)job;
	struct gather_source own = {-1, -1, 0};

	if (!job->apart) {
		read_all(batch, batch->source);
		return;
	}
	/* For a batch, not for good: a folder may be gone from the policy by the next. If that is
	 * refused, all of it is left to looks of the loop. */
	own.qf = reopen(batch->source->qf);
	own.df = own.qf < 0 ? -1 : reopen(batch->source->df);
	if (own.df >= 0)
		read_all(batch, &own);
	if (own.df >= 0)
		close(own.df);
	if (own.qf >= 0)
		close(own.qf);
}

/* ---- sources ---- */

int gather_open(int qf, int df, struct gather_source **ret)
{
	struct gather_source *source = xcalloc(1, sizeof *source);
	int error;

	source->qf = fcntl(qf, F_DUPFD_CLOEXEC, 0);
	source->df = source->qf < 0 ? -1 : fcntl(df, F_DUPFD_CLOEXEC, 0);
	if (source->df >= 0) {
		source->users = 1;
		*ret = source;
		return 0;
	}
	error = errno;
	if (source->qf >= 0)
		close(source->qf);
	free(source);
	return -error;
}

void gather_close(struct gather_source *source)
{
	if (!source || --source->users)
		return;
	close(source->qf);
	close(source->df);
	free(source);
}

/* ---- batches ---- */

static unsigned processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return count < GATHER_MAX_THREADS ? (unsigned)count : GATHER_MAX_THREADS;
}

struct gather *gather_new_with(unsigned threads)
{
	struct gather *gather = xcalloc(1, sizeof *gather);

	if (threads > GATHER_MAX_THREADS)
		threads = GATHER_MAX_THREADS;
	gather->threads = threads;
	gather->most = 2 * threads + 2;
	gather->done_end = &gather->done;
	return gather;
}

struct gather *gather_new(void)
{
	return gather_new_with(processors());
}

void gather_free(struct gather *gather)
{
	bool large;

	if (!gather)
		return;
	large = gather->worker;
	worker_free(gather->worker);
	for (size_t i = 0; i < gather->n_batches; i++) {
		struct gather_batch *batch = gather->batches[i];

		if (batch->in_hand)
			gather_close(batch->source);
		free(batch->texts);
		free(batch->buffer);
		free(batch);
	}
	free(gather);
	/* It lies among what was allocated meanwhile, the table's messages: free for them, but not
	 * given back by itself. Not worth going through the heap for a small directory's. */
	if (large)
		malloc_trim(0);
}

static struct gather_batch *free_batch(struct gather *gather)
{
	struct gather_batch *batch;

	for (size_t i = 0; i < gather->n_batches; i++)
		if (!gather->batches[i]->in_hand)
			return gather->batches[i];
	if (gather->n_batches == gather->most)
		return NULL;
	batch = xcalloc(1, sizeof *batch);
	batch->buffer = xreallocarray(NULL, CONTROL_BUFFER, 1);
	batch->noatime = O_NOATIME;
	gather->batches[gather->n_batches++] = batch;
	return batch;
}

struct gather_batch *gather_begin(struct gather *gather, struct gather_source *source)
{
	struct gather_batch *batch = free_batch(gather);

	if (!batch)
		return NULL;
	source->users++;
	batch->source = source;
	batch->in_hand = true;
	batch->given_up = batch->want_text = batch->want_size = false;
	batch->count = batch->names_used = batch->texts_used = 0;
	return batch;
}

struct gather_item *gather_add(struct gather_batch *batch, const char *name)
{
	struct gather_item *item = &batch->items[batch->count++];
	char *copy = batch->names + batch->names_used;
	size_t size = strlen(name) + 1;

	memcpy(copy, name, size);
	batch->names_used += size;
	*item = (struct gather_item){.name = copy, .trouble = TROUBLE_CHANGED};
	return item;
}

void gather_submit(struct gather *gather, struct gather_batch *batch)
{
	if (batch->want_text && !batch->texts)
		batch->texts = xreallocarray(NULL, TEXTS, 1);
	batch->job.apart = false;
	gather->under_way++;
	/* Most directories are small, and need none. Refused, or fewer of them: slower. */
	if (gather->threads)
		gather->worker = worker_new_apart(gather->threads, run);
	gather->threads = 0;
	if (gather->worker) {
		worker_submit(gather->worker, &batch->job);
		return;
	}
	run(&batch->job);
	batch->next = NULL;
	*gather->done_end = batch;
	gather->done_end = &batch->next;
}

struct gather_batch *gather_take(struct gather *gather)
{
	struct gather_batch *batch = gather->done;

	if (gather->worker) {
		batch = (struct gather_batch *)worker_take(gather->worker);
	} else if (batch) {
		gather->done = batch->next;
		if (!gather->done)
			gather->done_end = &gather->done;
	}
	if (batch)
		gather->under_way--;
	return batch;
}

void gather_put(struct gather *gather, struct gather_batch *batch)
{
	(void)gather;
	gather_close(batch->source);
	batch->source = NULL;
	batch->in_hand = false;
}

size_t gather_under_way(const struct gather *gather)
{
	return gather ? gather->under_way : 0;
}

void gather_give_up(struct gather *gather, uint32_t owner)
{
	for (size_t i = 0; gather && i < gather->n_batches; i++)
		if (gather->batches[i]->in_hand && gather->batches[i]->owner == owner)
			gather->batches[i]->given_up = true;
}

int gather_fd(const struct gather *gather)
{
	return gather && gather->worker ? worker_fd(gather->worker) : -1;
}
