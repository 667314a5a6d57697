/* doctor_spool.c - what stands in the tiers: every name, and every control file; nothing is
 * sampled.
 *
 * Names first: what is no message, and bodies that belong to none. Then the messages (survey.h).
 * What looks wrong in passing is looked at again by its name before it is told, because messages
 * come and go meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor_counts.h"
#include "qfwatch/scan.h"
#include "qfwatch/hash.h"
#include "qfwatch/survey.h"
#include "qfwatch/trouble.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

#define DAY 86400

/* Runners remove an empty qf after ten minutes; a qf that is being written is not that slow either.
 */
#define SETTLED 600

/* A clock that is off by less is no trouble. */
#define SLACK 300

static void note(struct tally *tally, const char *name)
{
	if (tally->count++)
		return;
	strncpy(tally->example, name, sizeof tally->example - 1);
	for (char *c = tally->example; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
}

/* ---- names ---- */

/* Ids that a control file stands for, by their hash. A collision hides a body without one, and
 * never makes one up. */
struct set {
	uint64_t *slots;
	size_t room, used; /* room is a power of two */
};

static uint64_t hash_of(const char *id)
{
	uint64_t hash = hash_bytes(id, strlen(id));

	hash ^= hash >> 29;
	hash *= 0x9e3779b97f4a7c15u;
	return hash ? hash : 1;
}

static size_t slot_of(const struct set *set, uint64_t hash)
{
	size_t at = (hash >> 7) & (set->room - 1);

	while (set->slots[at] && set->slots[at] != hash)
		at = (at + 1) & (set->room - 1);
	return at;
}

static void put(struct set *set, const char *id)
{
	uint64_t hash = hash_of(id);

	if (2 * set->used >= set->room) {
		struct set larger = {.room = set->room ? 2 * set->room : 1024};

		larger.slots = xcalloc(larger.room, sizeof *larger.slots);
		larger.used = set->used;
		for (size_t i = 0; i < set->room; i++)
			if (set->slots[i])
				larger.slots[slot_of(&larger, set->slots[i])] = set->slots[i];
		free(set->slots);
		*set = larger;
	}
	if (!set->slots[slot_of(set, hash)])
		set->used++;
	set->slots[slot_of(set, hash)] = hash;
}

static bool has(const struct set *set, const char *id)
{
	return set->room && set->slots[slot_of(set, hash_of(id))];
}

/* Is there one that the other set lacks? */
static bool any_other(const struct set *set, const struct set *other)
{
	for (size_t i = 0; i < set->room; i++)
		if (set->slots[i] && (!other->room || !other->slots[slot_of(other, set->slots[i])]))
			return true;
	return false;
}

/* The names of a directory. */
struct walk {
	struct counts *counts;
	const struct qdir *dir;
	struct set controls, bodies;
};

static bool is_old(int folder, const char *name, int64_t now, int64_t age, struct stat *ret)
{
	return fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) == 0 && now - ret->st_mtime > age;
}

static void see_name(void *context, const char *name)
{
	struct walk *walk = context;
	struct tally *tallies = walk->counts->tallies[walk->dir->tier];
	struct stat stat;

	if (strncmp(name, SPOOL_HIDDEN, strlen(SPOOL_HIDDEN)) == 0) {
		/* ".qfwatch-move-INODE-ID": the body of that id is none without a message. */
		put(&walk->controls, strrchr(name, '-') + 1);
		note(&tallies[HIDDEN], name);
		return;
	}
	if (!name[0] || name[1] != 'f' || !name[2])
		return;
	switch (name[0]) {
	case 'd':
		put(&walk->bodies, name + 2);
		break;
	case 'x':
		if (is_old(walk->dir->xf, name, walk->counts->doctor->now, DAY, &stat))
			note(&tallies[STALE], name);
		break;
	case 'Q':
		note(&tallies[GIVEN_UP], name);
		put(&walk->controls, name + 2);
		break;
	case 't':
		if (is_old(walk->dir->qf, name, walk->counts->doctor->now, DAY, &stat))
			note(&tallies[STALE], name);
		put(&walk->controls, name + 2);
		break;
	case 'q':
	case 'h':
		put(&walk->controls, name + 2);
		break;
	default:
		break;
	}
}

static bool has_control(const struct qdir *dir, const char *id)
{
	static const char *const kinds[] = {"qf", "hf", "Qf", "tf"};
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!spool_name(name, kinds[i], id, strlen(id)) ||
		    fstatat(dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

/* sendmail makes the body first, and a move removes it last: only one that has been there for long,
 * and has no other name, is left over. */
static void see_body_name(void *context, const char *name)
{
	struct walk *walk = context;
	struct counts *counts = walk->counts;
	struct stat stat;

	if (name[0] != 'd' || name[1] != 'f' || !name[2] || has(&walk->controls, name + 2))
		return;
	if (!is_old(walk->dir->df, name, counts->doctor->now, DAY, &stat) || stat.st_nlink != 1 ||
	    has_control(walk->dir, name + 2) ||
	    fstatat(walk->dir->df, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	counts->orphan_bytes += (uint64_t)stat.st_size;
	note(&counts->tallies[walk->dir->tier][ORPHANS], name);
}

static int walk_folder(int folder, void (*see)(void *context, const char *name), struct walk *walk)
{
	struct scan scan = {0};
	int r = scan_begin(&scan, folder);

	if (r < 0)
		return r;
	while ((r = scan_step(&scan, 4096, see, walk)) > 0)
		;
	scan_end(&scan);
	return r;
}

/* Every folder once; that of the bodies twice where one of them has no control file. */
static int walk_directory(struct walk *walk)
{
	const struct qdir *dir = walk->dir;
	int r = walk_folder(dir->qf, see_name, walk);

	if (r == 0 && dir->df != dir->qf)
		r = walk_folder(dir->df, see_name, walk);
	if (r == 0 && dir->xf != dir->qf && dir->xf != dir->df)
		r = walk_folder(dir->xf, see_name, walk);
	if (r == 0 && any_other(&walk->bodies, &walk->controls))
		r = walk_folder(dir->df, see_body_name, walk);
	return r;
}

/* *ret_walks has one for each place of the spool, with what bodies there are. */
static void look_at_names(struct doctor *doctor, struct counts *counts, struct walk **ret_walks)
{
	struct walk *walks = xcalloc(doctor->spool.n_dirs, sizeof *walks);

	for (size_t i = 0; i < doctor->spool.n_dirs; i++) {
		struct walk *walk = &walks[i];
		int r;

		walk->counts = counts;
		walk->dir = &doctor->spool.dirs[i];
		if (walk->dir->fd < 0)
			continue;
		r = walk_directory(walk);
		if (r < 0)
			doctor_unchecked(doctor, "names in %s: %s", walk->dir->path, strerror(-r));
		free(walk->controls.slots);
	}
	*ret_walks = walks;
}

/* ---- messages ---- */

/* What would be known of each tier beforehand, worked out once. */
struct yardstick {
	unsigned unsafe; /* bits of a mode that make runners give the message up */
	bool has_owners;
	uid_t owners[2];
	uint32_t attempts;
	int64_t untried; /* seconds: older, and not tried for so long, is not tried at all */
};

struct reading {
	struct counts counts;
	const struct yardstick *yardsticks;
	const struct walk *walks;
};

static int64_t pace_of(const struct doctor_tier *tier)
{
	int64_t pace = tier->interval;

	if (tier->cf && tier->cf->min_queue_age > pace)
		pace = tier->cf->min_queue_age;
	if (tier->cf && tier->cf->max_queue_age > pace)
		pace = tier->cf->max_queue_age;
	return pace;
}

static void set_yardstick(struct doctor *doctor, unsigned tier, struct yardstick *ret)
{
	const struct doctor_tier *known = &doctor->tiers[tier];
	const struct sendmail_cf *cf = known->cf;
	int64_t pace = pace_of(known);
	struct rights runner, trusted = {0};

	/* queue.c, readqf(): others may never write, the group only where QueueFileMode says so. */
	*ret = (struct yardstick){.unsafe = S_IWOTH, .attempts = known->attempts};
	if (cf && !(cf->queue_file_mode & S_IWGRP))
		ret->unsafe |= S_IWGRP;
	ret->untried = known->interval ? 3 * pace : DAY;
	if (ret->untried < 3600)
		ret->untried = 3600;
	/* A runner that has root's rights takes what any user owns. */
	if (!cf || !*cf->run_as || rights_of_user(cf->run_as, &runner) < 0 ||
	    (*cf->trusted && rights_of_user(cf->trusted, &trusted) < 0))
		return;
	ret->has_owners = true;
	ret->owners[0] = runner.uid;
	ret->owners[1] = trusted.uid;
}

/* The name of its control file, for examples. */
static const char *name_of(const struct survey_facts *facts, char *name)
{
	spool_name(name, facts->held ? "hf" : "qf", facts->id, facts->id_length);
	return name;
}

/* There was no body for it: is it still there, and has none? */
static bool lacks_body(const struct survey_facts *facts)
{
	char name[SPOOL_NAME_MAX];
	struct stat stat;

	return !facts->data_elsewhere && spool_name(name, "df", facts->id, facts->id_length) &&
	       fstatat(facts->directory->df, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 &&
	       errno == ENOENT &&
	       fstatat(facts->directory->qf, name_of(facts, name), &stat, AT_SYMLINK_NOFOLLOW) == 0;
}

static void judge_file(struct reading *reading, const struct survey_facts *facts, const char *name)
{
	const struct yardstick *yardstick = &reading->yardsticks[facts->message.tier];
	struct tally *tallies = reading->counts.tallies[facts->message.tier];
	const struct doctor *doctor = reading->counts.doctor;
	const struct stat *stat = facts->stat;

	if (stat->st_mode & yardstick->unsafe)
		note(&tallies[UNSAFE_MODE], name);
	if (yardstick->has_owners && stat->st_uid != yardstick->owners[0] &&
	    stat->st_uid != yardstick->owners[1])
		note(&tallies[UNSAFE_OWNER], name);
	if (!doctor->has_rights)
		return;
	if (!rights_may(&doctor->rights, stat, R_OK))
		note(&tallies[FORBIDDEN], name);
	if (!rights_may_link(&doctor->rights, stat))
		note(&tallies[UNLINKABLE], name);
	if (stat->st_uid != doctor->rights.uid)
		note(&tallies[FOREIGN], name);
}

static void take(void *context, const struct survey_facts *facts)
{
	struct reading *reading = context;
	struct counts *counts = &reading->counts;
	const struct policy_message *message = &facts->message;
	const struct yardstick *yardstick = &reading->yardsticks[message->tier];
	struct tally *tallies = counts->tallies[message->tier];
	int64_t now = counts->doctor->now, age = now - message->created;
	char name[SPOOL_NAME_MAX];

	name_of(facts, name);
	judge_file(reading, facts, name);
	if (facts->data_elsewhere)
		note(&tallies[ELSEWHERE], name);
	else if (!has(&reading->walks[spool_index(&counts->doctor->spool, facts->directory)].bodies,
		      name + 2) &&
		 lacks_body(facts))
		note(&tallies[MISSING_DF], name);
	if (message->created > now + SLACK || message->last_attempt > now + SLACK ||
	    facts->stat->st_mtime > now + SLACK)
		note(&tallies[FUTURE], name);
	if (message->quarantined)
		return;
	counts->messages[message->tier]++;
	counts->waiting[message->tier] += age > 3600;
	if (message->attempts > counts->most_attempts[message->tier])
		counts->most_attempts[message->tier] = message->attempts;
	if (message->last_attempt > counts->newest_attempt[message->tier])
		counts->newest_attempt[message->tier] = message->last_attempt;
	if (message->attempts < yardstick->attempts &&
	    age > (int64_t)yardstick->attempts * yardstick->untried &&
	    now - message->last_attempt > yardstick->untried)
		note(&tallies[UNTRIED], name);
}

static void leave(void *context, const struct qdir *dir, const char *name, enum trouble trouble)
{
	struct reading *reading = context;
	struct counts *counts = &reading->counts;
	struct stat stat;

	if (trouble == TROUBLE_CHANGED || trouble == TROUBLE_LOCKED)
		return;
	if (trouble == TROUBLE_EMPTY || trouble == TROUBLE_INCOMPLETE) {
		if (!is_old(dir->qf, name, counts->doctor->now, SETTLED, &stat))
			return;
		if (trouble == TROUBLE_EMPTY) {
			note(&counts->tallies[dir->tier][EMPTY], name);
			return;
		}
	}
	note(&counts->troubles[dir->tier][trouble], name);
}

static void add(struct tally *to, const struct tally *from)
{
	uint64_t count = to->count + from->count;

	if (!to->count)
		*to = *from;
	to->count = count;
}

static void merge(struct counts *to, const struct counts *from)
{
	for (size_t tier = 0; tier < POLICY_MAX_TIERS; tier++) {
		for (int i = 0; i < COUNTS; i++)
			add(&to->tallies[tier][i], &from->tallies[tier][i]);
		for (int i = 0; i < TROUBLES; i++)
			add(&to->troubles[tier][i], &from->troubles[tier][i]);
		to->messages[tier] += from->messages[tier];
		to->waiting[tier] += from->waiting[tier];
		if (from->most_attempts[tier] > to->most_attempts[tier])
			to->most_attempts[tier] = from->most_attempts[tier];
		if (from->newest_attempt[tier] > to->newest_attempt[tier])
			to->newest_attempt[tier] = from->newest_attempt[tier];
	}
}

/* Sizes are asked for where messages are copied: then the target needs room. */
static uint64_t copied_tiers(const struct doctor *doctor)
{
	uint64_t tiers = 0;

	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++)
		if (doctor_copies_from(doctor, tier))
			tiers |= UINT64_C(1) << tier;
	return tiers;
}

static void look_at_messages(struct doctor *doctor, struct survey *survey, const struct walk *walks,
			     struct counts *counts)
{
	struct yardstick yardsticks[POLICY_MAX_TIERS];
	struct reading *readings[SURVEY_MAX_THREADS];
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct survey_order order = {
		.size_tiers = copied_tiers(doctor),
		.threads = processors < 1		     ? 1
			   : processors > SURVEY_MAX_THREADS ? SURVEY_MAX_THREADS
							     : (unsigned)processors,
		.take = take,
		.leave = leave,
		.contexts = (void *const *)readings,
	};
	const char *path;
	int r;

	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++)
		set_yardstick(doctor, tier, &yardsticks[tier]);
	r = survey_names(survey, &doctor->spool, doctor->policy, &path);
	if (r < 0) {
		doctor_unchecked(doctor, "messages: %s: %s", path, strerror(-r));
		return;
	}
	for (unsigned i = 0; i < order.threads; i++) {
		readings[i] = xcalloc(1, sizeof *readings[i]);
		readings[i]->counts.doctor = doctor;
		readings[i]->yardsticks = yardsticks;
		readings[i]->walks = walks;
	}
	survey_read(survey, &doctor->spool, &order);
	for (unsigned i = 0; i < order.threads; i++) {
		merge(counts, &readings[i]->counts);
		free(readings[i]);
	}
	for (unsigned tier = 0; tier < doctor->policy->n_tiers; tier++) {
		struct doctor_tier *known = &doctor->tiers[tier];

		known->counted = true;
		known->messages = counts->messages[tier];
		known->waiting = counts->waiting[tier];
		known->most_attempts = counts->most_attempts[tier];
		known->newest_attempt = counts->newest_attempt[tier];
		known->untried = counts->tallies[tier][UNTRIED].count;
		known->oldest = survey->tiers[tier].oldest;
		known->bytes = survey->tiers[tier].bytes;
	}
}

void doctor_look_at_spool(struct doctor *doctor)
{
	struct survey survey = {0};
	struct counts *counts;
	struct walk *walks;

	if (!doctor->policy || !doctor->spool.n_dirs)
		return;
	counts = xcalloc(1, sizeof *counts);
	counts->doctor = doctor;
	look_at_names(doctor, counts, &walks);
	look_at_messages(doctor, &survey, walks, counts);
	for (size_t i = 0; i < doctor->spool.n_dirs; i++)
		free(walks[i].bodies.slots);
	free(walks);
	doctor_tell_counts(doctor, &survey, counts);
	survey_free(&survey);
	free(counts);
}
