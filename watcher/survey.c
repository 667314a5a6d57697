/* survey.c - see survey.h */
#include "qfwatch/survey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/control.h"
#include "qfwatch/qtext.h"
#include "qfwatch/xalloc.h"

/* A thread takes so many names at a time. */
#define SHARE 256

/* How often a qf that is replaced while it is read is read again. */
#define CHANGED_TRIES 3

/* Bytes of names per block: a name points to its block and its place in there. */
#define BLOCK ((size_t)1024 * 1024)

struct name {
	uint64_t inode;
	uint32_t block, place;
	uint16_t directory;
	bool regular; /* the directory says that it is a regular file */
	bool held;
};

struct survey_names {
	struct name *list;
	size_t count, room;
	char **blocks;
	size_t n_blocks, block_used;
};

/* ---- the names ---- */

static void put_bytes(struct survey_names *names, struct name *name, const char *text)
{
	size_t length = strlen(text) + 1;

	if (!names->n_blocks || BLOCK - names->block_used < length) {
		names->blocks =
			xreallocarray(names->blocks, names->n_blocks + 1, sizeof *names->blocks);
		names->blocks[names->n_blocks++] = xcalloc(1, BLOCK);
		names->block_used = 0;
	}
	name->block = (uint32_t)(names->n_blocks - 1);
	name->place = (uint32_t)names->block_used;
	memcpy(names->blocks[name->block] + name->place, text, length);
	names->block_used += length;
}

static void put_name(struct survey_names *names, const struct dirent *entry, uint16_t directory,
		     bool held)
{
	struct name name = {
		.inode = entry->d_ino,
		.directory = directory,
		.regular = entry->d_type == DT_REG,
		.held = held,
	};

	if (names->count == names->room) {
		names->room = names->room ? names->room * 2 : 4096;
		names->list = xreallocarray(names->list, names->room, sizeof *names->list);
	}
	put_bytes(names, &name, entry->d_name);
	names->list[names->count++] = name;
}

static void take_entry(struct survey *survey, const struct policy *policy, const struct qdir *dir,
		       uint16_t index, const struct dirent *entry)
{
	struct survey_tier *tier = &survey->tiers[dir->tier];
	const char *id;
	size_t length;
	bool held;

	if (!spool_control_id(entry->d_name, &id, &length, &held))
		return;
	if (held && !policy->quarantined) {
		tier->ignored++;
		return;
	}
	tier->messages++;
	tier->held += held;
	put_name(survey->names, entry, index, held);
}

static int walk(struct survey *survey, const struct policy *policy, const struct qdir *dir,
		uint16_t index)
{
	int fd = openat(dir->qf, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
	DIR *names = fd < 0 ? NULL : fdopendir(fd);

	if (!names) {
		error = errno;
		if (fd >= 0)
			close(fd);
		return -error;
	}
	for (;;) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(names);
		if (!entry) {
			error = errno;
			break;
		}
		take_entry(survey, policy, dir, index, entry);
	}
	closedir(names);
	return -error;
}

static int by_inode(const void *a, const void *b)
{
	const struct name *one = a, *other = b;

	if (one->directory != other->directory)
		return one->directory < other->directory ? -1 : 1;
	return one->inode < other->inode ? -1 : one->inode > other->inode;
}

int survey_names(struct survey *survey, const struct spool *spool, const struct policy *policy,
		 const char **ret_path)
{
	survey->names = xcalloc(1, sizeof *survey->names);
	for (size_t i = 0; i < POLICY_MAX_TIERS; i++)
		survey->tiers[i].oldest = INT64_MAX;
	for (size_t i = 0; i < spool->n_dirs; i++) {
		const struct qdir *dir = &spool->dirs[i];
		int r = dir->fd < 0 ? 0 : walk(survey, policy, dir, (uint16_t)i);

		if (r < 0) {
			*ret_path = dir->path;
			return r;
		}
	}
	if (survey->names->count)
		qsort(survey->names->list, survey->names->count, sizeof *survey->names->list,
		      by_inode);
	return 0;
}

void survey_free(struct survey *survey)
{
	struct survey_names *names = survey->names;

	if (!names)
		return;
	for (size_t i = 0; i < names->n_blocks; i++)
		free(names->blocks[i]);
	free(names->blocks);
	free(names->list);
	free(names);
	survey->names = NULL;
}

/* ---- the files ---- */

/* One thread, with counts of its own. */
struct reader {
	struct survey *survey;
	const struct spool *spool;
	const struct survey_order *order;
	atomic_size_t *next;
	void *context;
	uint64_t counted[POLICY_MAX_TIERS]; /* all messages of each tier */
	struct survey_tier tiers[POLICY_MAX_TIERS];
	struct survey_trouble *troubles; /* TROUBLES of them */
	struct qtext *qtext;
	int noatime; /* O_NOATIME, until it is refused */
	struct control control;
	pthread_t thread;
	char buffer[CONTROL_BUFFER];
};

static enum trouble read_control(struct reader *reader, int directory, const struct name *name,
				 const char *text)
{
	enum trouble trouble = TROUBLE_CHANGED;

	if (name->regular &&
	    control_read_plain(directory, text, reader->buffer, sizeof reader->buffer,
			       &reader->noatime, &reader->control))
		return TROUBLE_NONE;
	for (int tries = 0; tries < CHANGED_TRIES && trouble == TROUBLE_CHANGED; tries++) {
		if (tries)
			control_close(&reader->control);
		trouble = control_read(directory, text, reader->buffer, &reader->noatime,
				       &reader->control);
	}
	return trouble;
}

static void note_trouble(struct reader *reader, enum trouble trouble, unsigned tier,
			 const char *name)
{
	struct survey_trouble *note = &reader->troubles[trouble];

	if (note->messages++)
		return;
	note->tier = tier;
	strncpy(note->example, name, sizeof note->example - 1);
	for (char *c = note->example; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
}

static void look_at_body(struct survey_tier *tier, const struct qdir *dir,
			 struct survey_facts *facts)
{
	char df[SPOOL_NAME_MAX];
	struct stat stat;

	if (!spool_name(df, "df", facts->id, facts->id_length) ||
	    fstatat(dir->df, df, &stat, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(stat.st_mode))
		return;
	facts->message.size = (uint64_t)stat.st_size;
	facts->message.has_size = true;
	tier->sized++;
	tier->bytes += (uint64_t)stat.st_size;
}

/* Reads the text where it is wanted, and hands it all out. */
static enum trouble hand_out(struct reader *reader, const struct qdir *dir,
			     struct survey_facts *facts)
{
	struct survey_tier *tier = &reader->tiers[dir->tier];
	struct policy_text text;
	char *owned = NULL;

	if (reader->order->text_tiers >> dir->tier & 1) {
		const char *bytes;
		size_t length;
		int r = control_text(&reader->control, reader->buffer, &owned, &bytes, &length);

		if (r < 0) {
			reader->control.error = -r;
			return r == -ESTALE ? TROUBLE_CHANGED : TROUBLE_ERROR;
		}
		qtext_read(reader->qtext, bytes, length, &text);
		facts->message.text = &text;
	}
	if (reader->order->size_tiers >> dir->tier & 1)
		look_at_body(tier, dir, facts);
	tier->read++;
	if (facts->message.created < tier->oldest)
		tier->oldest = facts->message.created;
	reader->order->take(reader->context, facts);
	free(owned);
	return TROUBLE_NONE;
}

static void read_one(struct reader *reader, const struct name *name)
{
	const char *text = reader->survey->names->blocks[name->block] + name->place;
	const struct qdir *dir = &reader->spool->dirs[name->directory];
	struct survey_facts facts = {.directory = dir, .held = name->held};
	const struct qfile *file = &reader->control.file;
	enum trouble trouble;
	bool held;

	if (reader->order->skip_tiers >> dir->tier & 1)
		return;
	spool_control_id(text, &facts.id, &facts.id_length, &held);
	trouble = read_control(reader, dir->qf, name, text);
	if (trouble == TROUBLE_NONE) {
		facts.data_elsewhere = file->data_elsewhere;
		facts.stat = &reader->control.stat;
		facts.message = (struct policy_message){
			.tier = dir->tier,
			.attempts = file->attempts,
			.created = file->created,
			.last_attempt = file->last_attempt,
			.quarantined = name->held || file->quarantined,
			.tier_messages = reader->counted[dir->tier],
		};
		trouble = hand_out(reader, dir, &facts);
	}
	control_close(&reader->control);
	if (trouble == TROUBLE_GONE)
		reader->tiers[dir->tier].gone++;
	else if (trouble != TROUBLE_NONE) {
		note_trouble(reader, trouble, dir->tier, text);
		if (reader->order->leave)
			reader->order->leave(reader->context, dir, text, trouble);
	}
}

static void *read_share(void *context)
{
	struct reader *reader = context;
	const struct survey_names *names = reader->survey->names;
	size_t first;

	while ((first = atomic_fetch_add(reader->next, SHARE)) < names->count)
		for (size_t i = first; i < first + SHARE && i < names->count; i++) {
			if (reader->order->stop && atomic_load(reader->order->stop))
				return NULL;
			read_one(reader, &names->list[i]);
		}
	return NULL;
}

/* A thread with descriptors of its own, copies of those that there are: opening and closing in a
 * table that is shared takes a lock each time, and each use of a descriptor an atomic count. */
static void *read_apart(void *context)
{
	unshare(CLONE_FILES); /* where it is refused, the table is shared */
	return read_share(context);
}

static struct reader *new_reader(struct survey *survey, const struct spool *spool,
				 const struct survey_order *order, void *context,
				 atomic_size_t *next)
{
	struct reader *reader = xcalloc(1, sizeof *reader);

	reader->survey = survey;
	reader->spool = spool;
	reader->order = order;
	reader->context = context;
	reader->next = next;
	reader->troubles = xcalloc(TROUBLES, sizeof *reader->troubles);
	reader->qtext = qtext_new();
	reader->noatime = O_NOATIME;
	for (size_t i = 0; i < POLICY_MAX_TIERS; i++) {
		reader->counted[i] = survey->tiers[i].messages;
		reader->tiers[i].oldest = INT64_MAX;
	}
	return reader;
}

/* Adds up what a thread has counted, and ends it. */
static void end_reader(struct survey *survey, struct reader *reader)
{
	for (size_t i = 0; i < POLICY_MAX_TIERS; i++) {
		struct survey_tier *to = &survey->tiers[i], *from = &reader->tiers[i];

		to->read += from->read;
		to->gone += from->gone;
		to->sized += from->sized;
		to->bytes += from->bytes;
		if (from->oldest < to->oldest)
			to->oldest = from->oldest;
	}
	for (size_t i = 0; i < TROUBLES; i++) {
		uint64_t messages = survey->troubles[i].messages + reader->troubles[i].messages;

		if (!survey->troubles[i].messages)
			survey->troubles[i] = reader->troubles[i];
		survey->troubles[i].messages = messages;
	}
	qtext_free(reader->qtext);
	free(reader->troubles);
	free(reader);
}

void survey_read(struct survey *survey, const struct spool *spool, const struct survey_order *order)
{
	struct reader *readers[SURVEY_MAX_THREADS];
	unsigned started = 1;
	atomic_size_t next = 0;

	readers[0] = new_reader(survey, spool, order, order->contexts[0], &next);
	for (unsigned i = 1; i < order->threads; i++)
		readers[i] = new_reader(survey, spool, order, order->contexts[i], &next);
	while (started < order->threads &&
	       pthread_create(&readers[started]->thread, NULL, read_apart, readers[started]) == 0)
		started++;
	read_share(readers[0]);
	for (unsigned i = 1; i < started; i++)
		pthread_join(readers[i]->thread, NULL);
	end_reader(survey, readers[0]);
	for (unsigned i = 1; i < order->threads; i++)
		end_reader(survey, readers[i]);
}
