/* inspect.c - see inspect.h */
#include "qfwatch/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/control.h"
#include "qfwatch/mover.h"
#include "qfwatch/qtext.h"
#include "qfwatch/scan.h"
#include "qfwatch/xalloc.h"

/* More places for one id are not told of. */
#define MAX_PLACES 64

/* How often a control file that is replaced under our eyes is read again. */
#define CHANGED_TRIES 10

struct inspect {
	const struct spool *spool;
	struct inspect_place places[MAX_PLACES];
	size_t n_places;
	int outside; /* the folder of a file that stands in no tier; -1 */
	struct qtext *qtext;
	char *owned; /* the text of a large qf */
	int noatime; /* O_NOATIME, until it is refused */
	char buffer[CONTROL_BUFFER];
};

/* ---- the tiers ---- */

/* Moves the directories of a spool that was opened for one tier to where all are. */
static void take_over(struct spool *spool, struct spool *one, unsigned tier)
{
	spool->dirs = xreallocarray(spool->dirs, spool->n_dirs + one->n_dirs, sizeof *spool->dirs);
	for (size_t i = 0; i < one->n_dirs; i++) {
		spool->dirs[spool->n_dirs] = one->dirs[i];
		spool->dirs[spool->n_dirs++].tier = tier;
	}
	free(one->dirs);
}

int inspect_open(struct spool *spool, const struct policy *policy, struct problems *problems,
		 uint64_t *ret_lost)
{
	struct spool_plan *plan;
	uint64_t lost = 0;
	int r = spool_plan(spool, policy, SPOOL_READ, problems, &plan);

	if (r == 0) {
		spool_commit(spool, plan);
		*ret_lost = 0;
		return 0;
	}
	/* One by one: the answer for a message in one tier needs no other. */
	for (unsigned tier = 0; tier < policy->n_tiers; tier++) {
		struct policy single = {.tiers = &policy->tiers[tier], .n_tiers = 1};
		struct problems known = {0};
		struct spool one = {0};

		if (spool_plan(&one, &single, SPOOL_READ, &known, &plan) < 0) {
			lost |= UINT64_C(1) << tier;
		} else {
			spool_commit(&one, plan);
			take_over(spool, &one, tier);
		}
		problems_free(&known);
	}
	if (!spool->n_dirs)
		return r;
	*ret_lost = lost;
	return 0;
}

static void count_name(void *context, const char *name)
{
	const char *id;
	size_t length;
	bool held;

	if (spool_control_id(name, &id, &length, &held))
		++*(uint64_t *)context;
}

uint64_t inspect_count(const struct spool *spool, unsigned tier)
{
	uint64_t count = 0;

	for (size_t i = 0; i < spool->n_dirs; i++) {
		const struct qdir *dir = &spool->dirs[i];
		struct scan scan = {0};

		if (dir->fd < 0 || dir->tier != tier || scan_begin(&scan, dir->qf) < 0)
			continue;
		while (scan_step(&scan, 4096, count_name, &count) > 0)
			;
		scan_end(&scan);
	}
	return count;
}

/* ---- the daemon ---- */

static void look_at_claim(const char *folder, const struct qdir *dir, struct locked *ret)
{
	char *path = xasprintf("%s/%llx-%llx.lock", folder, (unsigned long long)dir->device,
			       (unsigned long long)dir->inode);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0) {
		locked_by(fd, ret);
		close(fd);
	}
	free(path);
}

/* claim.c puts them into the first of these that its user has. We may be another user. */
void inspect_daemon(const struct qdir *dir, struct locked *ret)
{
	const char *given = getenv("RUNTIME_DIRECTORY"), *own = getenv("XDG_RUNTIME_DIR");
	struct stat stat;
	long owner = fstat(dir->qf, &stat) == 0 ? (long)stat.st_uid : (long)geteuid();
	char *folders[] = {
		given && *given == '/' ? xasprintf("%.*s", (int)strcspn(given, ":"), given) : NULL,
		xstrdup("/run/qfwatch"),
		own && *own == '/' ? xasprintf("%s/qfwatch", own) : NULL,
		xasprintf("/run/user/%ld/qfwatch", owner),
		xasprintf("/tmp/qfwatch-%ld", owner),
		xasprintf("/tmp/qfwatch-%ld", (long)geteuid()),
	};

	*ret = (struct locked){0};
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		if (folders[i] && !ret->held)
			look_at_claim(folders[i], dir, ret);
		free(folders[i]);
	}
}

/* ---- finding ---- */

struct inspect *inspect_new(const struct spool *spool)
{
	struct inspect *inspect = xcalloc(1, sizeof *inspect);

	inspect->spool = spool;
	inspect->outside = -1;
	inspect->noatime = O_NOATIME;
	inspect->qtext = qtext_new();
	return inspect;
}

static void forget_places(struct inspect *inspect)
{
	for (size_t i = 0; i < inspect->n_places; i++)
		free(inspect->places[i].path);
	inspect->n_places = 0;
	if (inspect->outside >= 0)
		close(inspect->outside);
	inspect->outside = -1;
}

void inspect_free(struct inspect *inspect)
{
	if (!inspect)
		return;
	forget_places(inspect);
	qtext_free(inspect->qtext);
	free(inspect->owned);
	free(inspect);
}

/* "qf", "hf" or "df" before an id; no id begins so, as its second letter is the month. */
static bool has_kind(const char *name)
{
	return (name[0] == 'q' || name[0] == 'h' || name[0] == 'd') && name[1] == 'f' && name[2];
}

static const char *id_of(const char *name)
{
	return has_kind(name) ? name + 2 : name;
}

static struct inspect_place *add_place(struct inspect *inspect, const char *name)
{
	struct inspect_place *place = &inspect->places[inspect->n_places++];

	*place = (struct inspect_place){.held = strncmp(name, "hf", 2) == 0};
	snprintf(place->name, sizeof place->name, "%s", name);
	place->id = id_of(place->name);
	return place;
}

static void look_in(struct inspect *inspect, const struct qdir *dir, const char *kind,
		    const char *id)
{
	char name[SPOOL_NAME_MAX];
	struct inspect_place *place;
	struct stat stat;

	if (inspect->n_places == MAX_PLACES || !spool_name(name, kind, id, strlen(id)) ||
	    fstatat(dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	place = add_place(inspect, name);
	place->dir = dir;
	place->folder = dir->qf;
	place->path = xasprintf("%s%s/%s", dir->path, dir->qf == dir->fd ? "" : "/qf", name);
}

static bool is_folder(int folder, const struct stat *wanted)
{
	struct stat own;

	return fstat(folder, &own) == 0 && own.st_dev == wanted->st_dev &&
	       own.st_ino == wanted->st_ino;
}

/* `folder` NULL: in all directories. A name with its kind means that control file only; a df, and
 * an id, either. */
static void find_in_tiers(struct inspect *inspect, const char *name, const struct stat *folder)
{
	const char *id = id_of(name);
	bool only = folder && id != name && name[0] != 'd';

	for (size_t i = 0; i < inspect->spool->n_dirs; i++) {
		const struct qdir *dir = &inspect->spool->dirs[i];

		if (dir->fd < 0 ||
		    (folder && !is_folder(dir->qf, folder) && !is_folder(dir->df, folder)))
			continue;
		if (!only || name[0] == 'q')
			look_in(inspect, dir, "qf", id);
		if (!only || name[0] == 'h')
			look_in(inspect, dir, "hf", id);
	}
}

/* A control file, or a copy of one under any name, that stands in no tier. */
static void find_outside(struct inspect *inspect, const char *path, const char *folder,
			 const char *name)
{
	struct inspect_place *place;
	struct stat stat;
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (strlen(name) >= SPOOL_NAME_MAX || fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0 ||
	    S_ISDIR(stat.st_mode)) {
		close(fd);
		return;
	}
	inspect->outside = fd;
	place = add_place(inspect, name);
	place->folder = fd;
	place->path = xstrdup(path);
}

static void find_path(struct inspect *inspect, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *folder = !slash	       ? xstrdup(".")
		       : slash == path ? xstrdup("/")
				       : xasprintf("%.*s", (int)(slash - path), path);
	struct stat stat_of;

	if (stat(folder, &stat_of) == 0)
		find_in_tiers(inspect, name, &stat_of);
	if (!inspect->n_places && *name)
		find_outside(inspect, path, folder, name);
	free(folder);
}

int inspect_find(struct inspect *inspect, const char *word, const struct inspect_place **ret)
{
	char name[SPOOL_NAME_MAX];
	const char *id = id_of(word);

	forget_places(inspect);
	*ret = inspect->places;
	if (strchr(word, '/')) {
		find_path(inspect, word);
		return (int)inspect->n_places;
	}
	if (!*id || !spool_name(name, "qf", id, strlen(id)))
		return -EINVAL;
	find_in_tiers(inspect, word, NULL);
	/* Not in any tier: a file in the folder where we are. */
	if (!inspect->n_places)
		find_path(inspect, word);
	return (int)inspect->n_places;
}

char *inspect_trace(const struct inspect *inspect, const char *word, char *buffer, size_t size)
{
	static const struct {
		const char *kind, *text;
	} traces[] = {
		{"Qf", "sendmail has given it up (its log says why): it is called"},
		{"tf", "sendmail was writing its qf and did not end:"},
		{"df", "only its body is there, without a qf:"},
	};
	const char *slash = strrchr(word, '/'), *id = id_of(slash ? slash + 1 : word);

	*buffer = 0;
	for (size_t t = 0; t < sizeof traces / sizeof *traces && !*buffer; t++)
		for (size_t i = 0; i < inspect->spool->n_dirs && !*buffer; i++) {
			const struct qdir *dir = &inspect->spool->dirs[i];
			bool body = traces[t].kind[0] == 'd';
			char name[SPOOL_NAME_MAX];
			struct stat stat;

			if (dir->fd >= 0 && *id &&
			    spool_name(name, traces[t].kind, id, strlen(id)) &&
			    fstatat(body ? dir->df : dir->qf, name, &stat, AT_SYMLINK_NOFOLLOW) ==
				    0)
				snprintf(buffer, size, "%s %s in %s", traces[t].text, name,
					 dir->path);
		}
	return buffer;
}

/* ---- reading ---- */

/* A df in another directory of the tiers that is this one, with no control file beside it. */
static const struct qdir *find_second_link(const struct inspect *inspect,
					   const struct inspected *message)
{
	const char *id = message->place->id;
	char df[SPOOL_NAME_MAX], qf[SPOOL_NAME_MAX], hf[SPOOL_NAME_MAX];

	if (!spool_name(df, "df", id, strlen(id)) || !spool_name(qf, "qf", id, strlen(id)) ||
	    !spool_name(hf, "hf", id, strlen(id)) || message->body.st_nlink != 2)
		return NULL;
	for (size_t i = 0; i < inspect->spool->n_dirs; i++) {
		const struct qdir *dir = &inspect->spool->dirs[i];
		struct stat other, control;

		if (dir->fd >= 0 && dir != message->place->dir &&
		    fstatat(dir->df, df, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
		    other.st_dev == message->body.st_dev && other.st_ino == message->body.st_ino &&
		    fstatat(dir->qf, qf, &control, AT_SYMLINK_NOFOLLOW) < 0 &&
		    fstatat(dir->qf, hf, &control, AT_SYMLINK_NOFOLLOW) < 0)
			return dir;
	}
	return NULL;
}

static void look_at_body(const struct inspect *inspect, struct inspected *message)
{
	const struct inspect_place *place = message->place;
	/* Beside a file that stands in no tier the body stands in the same folder, if at all. */
	struct qdir alone = {.qf = place->folder, .df = place->folder};

	message->body_trouble =
		mover_look_at_body(place->dir ? place->dir : &alone, place->id, strlen(place->id),
				   &message->body, &message->body_error);
	message->has_size = message->body_trouble == TROUBLE_NONE ||
			    message->body_trouble == TROUBLE_BODY_LINKS;
	if (message->body_trouble == TROUBLE_BODY_LINKS && place->dir)
		message->second_link = find_second_link(inspect, message);
}

static enum trouble read_once(struct inspect *inspect, struct inspected *message)
{
	const struct inspect_place *place = message->place;
	struct control control;
	enum trouble trouble = control_read(place->folder, place->name, inspect->buffer,
					    &inspect->noatime, &control);
	const char *bytes;
	size_t length;
	int r;

	message->error = control.error;
	message->has_stat = control.fd >= 0;
	if (control.fd >= 0) {
		message->stat = control.stat;
		locked_by(control.fd, &message->lock);
	}
	free(inspect->owned);
	inspect->owned = NULL;
	if (trouble == TROUBLE_NONE) {
		message->file = control.file;
		r = control_text(&control, inspect->buffer, &inspect->owned, &bytes, &length);
		if (r == 0) {
			qtext_read(inspect->qtext, bytes, length, &message->text);
		} else {
			trouble = r == -ESTALE ? TROUBLE_CHANGED : TROUBLE_ERROR;
			message->error = -r;
		}
	}
	control_close(&control);
	return trouble;
}

void inspect_read(struct inspect *inspect, const struct inspect_place *place, struct inspected *ret)
{
	for (int tries = 0; tries < CHANGED_TRIES; tries++) {
		*ret = (struct inspected){.place = place};
		ret->trouble = read_once(inspect, ret);
		if (ret->trouble != TROUBLE_CHANGED)
			break;
	}
	ret->quarantined = place->held || (ret->trouble == TROUBLE_NONE && ret->file.quarantined);
	look_at_body(inspect, ret);
}

struct policy_message inspect_facts(const struct inspected *inspected, unsigned tier,
				    uint64_t tier_messages)
{
	return (struct policy_message){
		.tier = tier,
		.attempts = inspected->file.attempts,
		.created = inspected->file.created,
		.last_attempt = inspected->file.last_attempt,
		.size = inspected->has_size ? (uint64_t)inspected->body.st_size : 0,
		.has_size = inspected->has_size,
		.quarantined = inspected->quarantined,
		.tier_messages = tier_messages,
		.text = &inspected->text,
	};
}
