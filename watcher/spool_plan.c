/* spool_plan.c - see spool.h. This file: which directories a policy means, found and judged before
 * any of it is in force. */
#include "spool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qfwatch/trouble.h"
#include "qfwatch/xalloc.h"

#define MAX_DIRS UINT16_MAX

/* A directory that the policy names, before it is decided whether the policy can be taken. */
struct candidate {
	char *path;
	char *real; /* without symbolic links; NULL when it cannot be told */
	unsigned tier;
	const struct qdir *known;
	struct qdir opened; /* when it is not known yet */
	dev_t device;
	ino_t inode;
};

struct spool_plan {
	struct candidate *list;
	size_t count;
};

static const char *user_name(void)
{
	struct passwd *user = getpwuid(geteuid());

	return user ? user->pw_name : "this user";
}

static void tell(struct problems *problems, enum problem_kind kind, const struct policy *policy,
		 unsigned tier, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* "PATH: tier NAME at POINTER: ...", as all findings about a policy. */
static void tell(struct problems *problems, enum problem_kind kind, const struct policy *policy,
		 unsigned tier, const char *format, ...)
{
	char pointer[64], *text = NULL;
	va_list list;

	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		text = NULL;
	va_end(list);
	snprintf(pointer, sizeof pointer, "/tiers/%u/directory", tier);
	problems_add_at(problems, kind, &(struct problem_place){.pointer = pointer},
			"%s%stier %s at %s: %s", policy->path ? policy->path : "",
			policy->path ? ": " : "", policy->tiers[tier].name, pointer,
			text ? text : strerror(ENOMEM));
	free(text);
}

static void complain(struct problems *problems, const struct policy *policy, unsigned tier,
		     const char *path, int error)
{
	switch (error) {
	case ENOENT:
		tell(problems, PROBLEM_INVALID, policy, tier,
		     "%s does not exist: create it, or correct the path", path);
		break;
	case ENOTDIR:
		tell(problems, PROBLEM_INVALID, policy, tier,
		     "%s is not a directory: name the queue directory itself", path);
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		tell(problems, PROBLEM_REFUSED, policy, tier,
		     "user %s may not read and write in %s (%s): %s", user_name(), path,
		     strerror(error), trouble_errno_remedy(error));
		break;
	default:
		tell(problems, PROBLEM_REFUSED, policy, tier, "%s cannot be opened (%s): %s", path,
		     strerror(error), trouble_errno_remedy(error));
	}
}

static const struct qdir *find_known(const struct spool *spool, const char *path)
{
	for (size_t i = 0; i < spool->n_dirs; i++) {
		const struct qdir *dir = &spool->dirs[i];

		if (dir->state != QDIR_UNUSED && dir->state != QDIR_LEAVING &&
		    strcmp(dir->path, path) == 0)
			return dir;
	}
	return NULL;
}

static void add_candidate(struct spool_plan *plan, const struct spool *spool, const char *path,
			  unsigned tier)
{
	plan->list = xreallocarray(plan->list, plan->count + 1, sizeof *plan->list);
	plan->list[plan->count++] = (struct candidate){
		.path = xstrdup(path),
		.real = realpath(path, NULL),
		.tier = tier,
		.known = find_known(spool, path),
		.opened = {.fd = -1, .qf = -1, .df = -1, .xf = -1, .claim = CLAIM_NONE},
	};
}

void spool_abandon(struct spool_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		spool_close(&plan->list[i].opened);
		free(plan->list[i].path);
		free(plan->list[i].real);
	}
	free(plan->list);
	free(plan);
}

static bool is_directory(const char *path)
{
	struct stat stat;

	return fstatat(AT_FDCWD, path, &stat, 0) == 0 && S_ISDIR(stat.st_mode);
}

/* Is it away with the folder that it stands in, as with a file system that is not mounted? One that
 * was removed from its folder is a glob's member no more. */
static bool is_away(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? xasprintf("%.*s", (int)(slash - path), path) : xstrdup(".");
	struct stat stat;
	bool away =
		fstatat(AT_FDCWD, path, &stat, 0) == 0 || fstatat(AT_FDCWD, folder, &stat, 0) < 0;

	free(folder);
	return away;
}

/* The matches of a tier's glob that are directories; a file among them is not meant, as for
 * sendmail. */
static void expand(struct spool_plan *plan, const struct spool *spool, const struct policy *policy,
		   unsigned tier, struct problems *problems)
{
	const struct policy_tier *t = &policy->tiers[tier];
	size_t before = plan->count;
	glob_t matches = {0};
	int r;

	if (!t->is_glob) {
		add_candidate(plan, spool, t->directory, tier);
		return;
	}
	r = glob(t->directory, GLOB_NOSORT, NULL, &matches);
	for (size_t i = 0; r == 0 && i < matches.gl_pathc; i++)
		if (is_directory(matches.gl_pathv[i]))
			add_candidate(plan, spool, matches.gl_pathv[i], tier);
	globfree(&matches);
	/* One that is known but does not match now may be lost for a moment: it stays. */
	for (size_t i = 0; i < spool->n_dirs; i++) {
		const struct qdir *dir = &spool->dirs[i];
		bool listed = false;

		/* By its name: its number may be that of another tier in this policy. */
		if (dir->state != QDIR_LOST || !is_away(dir->path) ||
		    fnmatch(t->directory, dir->path, FNM_PATHNAME | FNM_PERIOD) != 0)
			continue;
		for (size_t k = before; k < plan->count; k++)
			listed |= plan->list[k].known == dir;
		if (!listed)
			add_candidate(plan, spool, dir->path, tier);
	}
	if (plan->count == before)
		tell(problems, PROBLEM_INVALID, policy, tier,
		     "no directory matches %s: create one, or correct the pattern", t->directory);
}

static bool inside(const char *inner, const char *outer)
{
	size_t n = strlen(outer);

	return strncmp(inner, outer, n) == 0 && inner[n] == '/';
}

static void tell_inside(const struct candidate *inner, const struct candidate *outer,
			const struct policy *policy, struct problems *problems)
{
	tell(problems, PROBLEM_INVALID, policy, inner->tier,
	     "%s lies inside %s of tier %s: put them side by side", inner->path, outer->path,
	     policy->tiers[outer->tier].name);
}

static void compare(const struct candidate *a, const struct candidate *b,
		    const struct policy *policy, struct problems *problems)
{
	if (a->device == b->device && a->inode == b->inode)
		tell(problems, PROBLEM_INVALID, policy, b->tier,
		     "%s is the same directory as %s of tier %s: give each tier its own", b->path,
		     a->path, policy->tiers[a->tier].name);
	else if (a->real && b->real && inside(b->real, a->real))
		tell_inside(b, a, policy, problems);
	else if (a->real && b->real && inside(a->real, b->real))
		tell_inside(a, b, policy, problems);
}

/* Opens a candidate that is not known yet. Returns 0 or -errno, having complained. */
static int open_candidate(struct candidate *c, const struct policy *policy,
			  enum spool_access access, struct problems *problems)
{
	pid_t owner = 0;
	char *lock = NULL;
	int r;

	if (c->known) {
		c->device = c->known->device;
		c->inode = c->known->inode;
		return 0;
	}
	c->opened.path = c->path;
	r = spool_open(&c->opened, access, &owner, &lock);
	c->opened.path = NULL;
	if (r == -EBUSY) {
		if (owner)
			tell(problems, PROBLEM_REFUSED, policy, c->tier,
			     "another qfwatch (pid %ld) already serves %s: stop it first, or leave "
			     "the spool to it",
			     (long)owner, c->path);
		else
			tell(problems, PROBLEM_REFUSED, policy, c->tier,
			     "another qfwatch already serves %s (it holds %s): stop it first",
			     c->path, lock);
	} else if (r < 0 && lock) {
		problems_add(problems, PROBLEM_REFUSED,
			     "the lock file %s cannot be made (%s): make its folder writable for "
			     "user %s, or set RUNTIME_DIRECTORY",
			     lock, strerror(-r), user_name());
	} else if (r < 0) {
		complain(problems, policy, c->tier, c->path, -r);
	} else {
		c->device = c->opened.device;
		c->inode = c->opened.inode;
	}
	free(lock);
	return r;
}

static struct qdir *free_place(struct spool *spool)
{
	for (size_t i = 0; i < spool->n_dirs; i++)
		if (spool->dirs[i].state == QDIR_UNUSED)
			return &spool->dirs[i];
	spool->dirs = xreallocarray(spool->dirs, spool->n_dirs + 1, sizeof *spool->dirs);
	return &spool->dirs[spool->n_dirs++];
}

static void adopt(struct spool *spool, struct candidate *c)
{
	struct qdir *dir = free_place(spool);

	*dir = c->opened;
	dir->home_device = dir->device;
	dir->home_inode = dir->inode;
	dir->path = c->path;
	dir->tier = c->tier;
	dir->messages = 0;
	c->path = NULL;
	c->opened = (struct qdir){.fd = -1, .qf = -1, .df = -1, .xf = -1, .claim = CLAIM_NONE};
}

/* A directory that is served already, under another path. */
static const struct qdir *find_served(const struct spool *spool, const struct spool_plan *plan,
				      dev_t device, ino_t inode)
{
	for (size_t i = 0; i < spool->n_dirs; i++) {
		const struct qdir *dir = &spool->dirs[i];
		bool named = false;

		if (dir->fd < 0 || dir->device != device || dir->inode != inode)
			continue;
		for (size_t k = 0; k < plan->count; k++)
			named |= plan->list[k].known == dir;
		return named ? NULL : dir;
	}
	return NULL;
}

/* Tells for each candidate which directory it is, where there is one now. Opens nothing. */
static void identify(const struct spool *spool, struct spool_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct candidate *c = &plan->list[i];
		struct stat stat;

		if (c->known && c->known->fd >= 0) {
			c->device = c->known->device;
			c->inode = c->known->inode;
		} else if (!c->known && fstatat(AT_FDCWD, c->path, &stat, 0) == 0 &&
			   S_ISDIR(stat.st_mode)) {
			c->device = stat.st_dev;
			c->inode = stat.st_ino;
			c->known = find_served(spool, plan, stat.st_dev, stat.st_ino);
		}
	}
}

static void compare_candidates(const struct spool *spool, struct spool_plan *plan,
			       const struct policy *policy, struct problems *problems)
{
	identify(spool, plan);
	for (size_t i = 0; i < plan->count; i++)
		for (size_t k = i + 1; k < plan->count; k++)
			if (plan->list[i].inode && plan->list[k].inode)
				compare(&plan->list[i], &plan->list[k], policy, problems);
}

void spool_compare(const struct policy *policy, struct problems *problems)
{
	struct spool_plan *plan = xcalloc(1, sizeof *plan);
	const struct spool none = {0};
	struct problems ignored = {0};

	for (unsigned tier = 0; tier < policy->n_tiers; tier++)
		expand(plan, &none, policy, tier, &ignored);
	problems_free(&ignored);
	compare_candidates(&none, plan, policy, problems);
	spool_abandon(plan);
}

/* Opens what is new among the candidates and compares all with each other. Two candidates that are
 * the same directory would refuse each other's claim: told apart before claiming. */
static int open_candidates(const struct spool *spool, struct spool_plan *plan,
			   const struct policy *policy, enum spool_access access,
			   struct problems *problems)
{
	int result = 0;

	compare_candidates(spool, plan, policy, problems);
	if (problems_any(problems))
		result = -EINVAL;
	for (size_t i = 0; i < plan->count; i++) {
		/* After a finding the rest is still judged, but not claimed. */
		enum spool_access how = result < 0 && access == SPOOL_CLAIM ? SPOOL_WRITE : access;
		int r = open_candidate(&plan->list[i], policy, how, problems);

		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

int spool_plan(const struct spool *spool, const struct policy *policy, enum spool_access access,
	       struct problems *problems, struct spool_plan **ret)
{
	struct spool_plan *plan = xcalloc(1, sizeof *plan);
	int r;

	for (unsigned tier = 0; tier < policy->n_tiers; tier++)
		expand(plan, spool, policy, tier, problems);
	r = open_candidates(spool, plan, policy, access, problems);
	if (r == 0 && plan->count + spool->n_dirs > MAX_DIRS) {
		problems_add(problems, PROBLEM_INVALID,
			     "the tiers have more than %d queue directories: use fewer", MAX_DIRS);
		r = -EINVAL;
	}
	if (r < 0)
		spool_abandon(plan);
	else
		*ret = plan;
	return r;
}

void spool_commit(struct spool *spool, struct spool_plan *plan)
{
	for (size_t i = 0; i < spool->n_dirs; i++) {
		struct qdir *dir = &spool->dirs[i];
		struct candidate *named = NULL;

		for (size_t k = 0; k < plan->count; k++)
			if (plan->list[k].known == dir)
				named = &plan->list[k];
		if (named) {
			char *path = dir->path;

			dir->tier = named->tier;
			/* It may be known by another path. */
			dir->path = named->path;
			named->path = path;
		} else if (dir->state != QDIR_UNUSED)
			dir->state = QDIR_LEAVING;
	}
	/* Last, because it moves the array that `known` points into. */
	for (size_t k = 0; k < plan->count; k++)
		if (!plan->list[k].known)
			adopt(spool, &plan->list[k]);
	spool_abandon(plan);
}

/* Is it open already, under another name or for another pattern? */
static bool is_open(const struct spool *spool, const char *path)
{
	struct stat stat;

	if (fstatat(AT_FDCWD, path, &stat, 0) < 0)
		return false;
	for (size_t i = 0; i < spool->n_dirs; i++)
		if (spool->dirs[i].fd >= 0 && spool->dirs[i].device == stat.st_dev &&
		    spool->dirs[i].inode == stat.st_ino)
			return true;
	return false;
}

int spool_grow(struct spool *spool, const struct policy *policy, enum spool_access access,
	       struct problems *problems)
{
	struct spool_plan *plan = xcalloc(1, sizeof *plan);
	struct problems ignored = {0};
	int found = 0;

	for (unsigned tier = 0; tier < policy->n_tiers; tier++)
		if (policy->tiers[tier].is_glob)
			expand(plan, spool, policy, tier, &ignored);
	problems_free(&ignored);
	for (size_t k = 0; k < plan->count; k++) {
		struct candidate *c = &plan->list[k];

		if (c->known || spool->n_dirs >= MAX_DIRS || is_open(spool, c->path) ||
		    open_candidate(c, policy, access, problems) < 0)
			continue;
		adopt(spool, c);
		found++;
	}
	spool_abandon(plan);
	return found;
}
