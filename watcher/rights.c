/* rights.c - see rights.h */
#include "qfwatch/rights.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Those that matter for files. */
static const struct {
	const char *name;
	int number;
} names[] = {
	{"CAP_CHOWN", CAP_CHOWN},
	{"CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE},
	{"CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH},
	{"CAP_FOWNER", CAP_FOWNER},
};

enum { N_NAMES = sizeof names / sizeof *names };

static bool can(const struct rights *rights, int capability)
{
	return rights->capabilities & RIGHTS_BIT(capability);
}

/* ---- who he is ---- */

static bool number_of(const char *text, unsigned long *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoul(text, &end, 10);
	return !*end && !errno && *ret < UINT32_MAX;
}

int rights_of_user(const char *name, struct rights *ret)
{
	struct passwd *user = getpwnam(name);
	int n = RIGHTS_GROUPS;
	unsigned long number;

	if (!user && number_of(name, &number))
		user = getpwuid((uid_t)number);
	*ret = (struct rights){0};
	if (user) {
		ret->uid = user->pw_uid;
		ret->gid = user->pw_gid;
		if (getgrouplist(user->pw_name, user->pw_gid, ret->groups, &n) < 0)
			n = RIGHTS_GROUPS;
		ret->n_groups = (size_t)n;
	} else if (number_of(name, &number)) {
		ret->uid = (uid_t)number;
		ret->gid = (gid_t)number;
	} else {
		return -ENOENT;
	}
	if (ret->uid == 0)
		ret->capabilities = RIGHTS_ALL;
	return 0;
}

int rights_add_groups(struct rights *rights, const char *list, bool own)
{
	char name[256];

	for (list += strspn(list, " \t"); *list; list += strspn(list, " \t")) {
		size_t length = strcspn(list, " \t");
		unsigned long number;
		struct group *group;

		if (length >= sizeof name)
			return -ENOENT;
		memcpy(name, list, length);
		name[length] = 0;
		list += length;
		group = getgrnam(name);
		if (!group && !number_of(name, &number))
			return -ENOENT;
		if (rights->n_groups < RIGHTS_GROUPS)
			rights->groups[rights->n_groups++] = group ? group->gr_gid : (gid_t)number;
		if (own)
			rights->gid = group ? group->gr_gid : (gid_t)number;
		own = false;
	}
	return 0;
}

/* The rest of the line that begins so, or NULL. */
static const char *line_of(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (text && strncmp(text, key, length) != 0) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text ? text + length : NULL;
}

/* "Uid: REAL EFFECTIVE SAVED FILE-SYSTEM": the last one counts for files. */
static bool read_id(const char *text, const char *key, unsigned *ret)
{
	const char *line = line_of(text, key);

	return line && sscanf(line, "%*u %*u %*u %u", ret) == 1;
}

int rights_parse_status(const char *text, struct rights *ret)
{
	const char *line = line_of(text, "Groups:");
	struct rights rights = {0};
	unsigned uid, gid;
	char *end;

	if (!read_id(text, "Uid:", &uid) || !read_id(text, "Gid:", &gid) || !line)
		return -EINVAL;
	rights.uid = uid;
	rights.gid = gid;
	while (rights.n_groups < RIGHTS_GROUPS) {
		line += strspn(line, " \t");
		if (*line < '0' || *line > '9')
			break;
		rights.groups[rights.n_groups++] = (gid_t)strtoul(line, &end, 10);
		line = end;
	}
	line = line_of(text, "CapEff:");
	if (!line)
		return -EINVAL;
	line += strspn(line, " \t");
	errno = 0;
	rights.capabilities = strtoull(line, &end, 16);
	if (end == line || errno || *line == '-' || (*end && *end != '\n'))
		return -EINVAL;
	*ret = rights;
	return 0;
}

uint64_t rights_parse_capabilities(const char *list)
{
	uint64_t bits = 0;
	bool others;

	list += strspn(list, " \t");
	others = *list == '~';
	list += others;
	while (*list) {
		size_t length;

		list += strspn(list, " \t");
		length = strcspn(list, " \t");
		for (int i = 0; i < N_NAMES; i++)
			if (strlen(names[i].name) == length &&
			    strncasecmp(names[i].name, list, length) == 0)
				bits |= RIGHTS_BIT(names[i].number);
		list += length;
	}
	return others ? ~bits : bits;
}

/* ---- what he may do ---- */

static bool is_member(const struct rights *rights, gid_t gid)
{
	if (rights->gid == gid)
		return true;
	for (size_t i = 0; i < rights->n_groups; i++)
		if (rights->groups[i] == gid)
			return true;
	return false;
}

bool rights_may(const struct rights *rights, const struct stat *stat, int mode)
{
	unsigned bits = stat->st_mode & 07;

	if (rights->uid == stat->st_uid)
		bits = stat->st_mode >> 6 & 07;
	else if (is_member(rights, stat->st_gid))
		bits = stat->st_mode >> 3 & 07;
	if (((unsigned)mode & bits) == (unsigned)mode)
		return true;
	if (S_ISDIR(stat->st_mode)) {
		if (can(rights, CAP_DAC_OVERRIDE))
			return true;
		return !(mode & W_OK) && can(rights, CAP_DAC_READ_SEARCH);
	}
	if (mode == R_OK && can(rights, CAP_DAC_READ_SEARCH))
		return true;
	return can(rights, CAP_DAC_OVERRIDE) &&
	       (!(mode & X_OK) || (stat->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)));
}

bool rights_may_link(const struct rights *rights, const struct stat *stat)
{
	bool special = (stat->st_mode & S_ISUID) ||
		       (stat->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);

	if (rights->uid == stat->st_uid || can(rights, CAP_FOWNER))
		return true;
	return S_ISREG(stat->st_mode) && !special && rights_may(rights, stat, R_OK | W_OK);
}

bool rights_may_remove(const struct rights *rights, const struct stat *directory, uid_t owner)
{
	return !(directory->st_mode & S_ISVTX) || rights->uid == directory->st_uid ||
	       rights->uid == owner || can(rights, CAP_FOWNER);
}

bool rights_may_reach(const struct rights *rights, const char *path, char *blocker)
{
	char real[PATH_MAX];
	struct stat stat_of;

	if (!realpath(path, real))
		return true; /* not our finding: there is nothing to reach, or we cannot tell */
	for (char *slash = real; slash; slash = strchr(slash + 1, '/')) {
		size_t length = slash == real ? 1 : (size_t)(slash - real);

		memcpy(blocker, real, length);
		blocker[length] = 0;
		if (stat(blocker, &stat_of) == 0 && !rights_may(rights, &stat_of, X_OK))
			return false;
	}
	return true;
}

bool rights_has_acl(const char *path)
{
	return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

/* ---- in words ---- */

char *rights_user(uid_t uid, char *buffer, size_t size)
{
	struct passwd *user = getpwuid(uid);

	if (user)
		snprintf(buffer, size, "%s", user->pw_name);
	else
		snprintf(buffer, size, "%u", uid);
	return buffer;
}

static void add(char *buffer, size_t size, const char *text)
{
	size_t length = strlen(buffer);

	snprintf(buffer + length, size - length, "%s", text);
}

char *rights_describe(const struct rights *rights, char *buffer, size_t size)
{
	char part[64];
	bool any = false;

	rights_user(rights->uid, buffer, size);
	snprintf(part, sizeof part, " (uid %u), groups %u", rights->uid, rights->gid);
	add(buffer, size, part);
	for (size_t i = 0; i < rights->n_groups && i < 10; i++)
		if (rights->groups[i] != rights->gid) {
			snprintf(part, sizeof part, ", %u", rights->groups[i]);
			add(buffer, size, part);
		}
	add(buffer, size, ", capabilities");
	for (int i = 0; i < N_NAMES; i++)
		if (can(rights, names[i].number)) {
			any = true;
			snprintf(part, sizeof part, " %s", names[i].name);
			add(buffer, size, part);
		}
	if (!any)
		add(buffer, size, " none");
	return buffer;
}

char *rights_of_file(const struct stat *stat, char *buffer, size_t size)
{
	struct group *group = getgrgid(stat->st_gid);
	char part[64];

	rights_user(stat->st_uid, buffer, size);
	if (group)
		snprintf(part, sizeof part, ":%.40s", group->gr_name);
	else
		snprintf(part, sizeof part, ":%u", stat->st_gid);
	add(buffer, size, part);
	snprintf(part, sizeof part, " %04o", stat->st_mode & 07777);
	add(buffer, size, part);
	return buffer;
}
