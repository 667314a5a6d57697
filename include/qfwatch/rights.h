/* rights.h - what a user may do with files, worked out from numbers: for telling what a daemon that
 * runs as somebody else may do, without being him.
 *
 * Follows the kernel's generic_permission() and may_linkat(). Access control lists are not looked
 * at: rights_has_acl tells where the answer may be another.
 */
#ifndef QFWATCH_RIGHTS_H
#define QFWATCH_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define RIGHTS_GROUPS 256
#define RIGHTS_TEXT   256

struct rights {
	uid_t uid;
	gid_t gid;
	gid_t groups[RIGHTS_GROUPS];
	size_t n_groups;
	uint64_t capabilities; /* bit i: capability i of capabilities(7), effective */
};

#define RIGHTS_BIT(capability) (UINT64_C(1) << (capability))
#define RIGHTS_ALL	       UINT64_MAX

/* By name or number, with the groups that the user database gives him. Root has all capabilities,
 * others none. Returns 0, or -ENOENT: there is no such user. */
int rights_of_user(const char *name, struct rights *ret);

/* More groups, by names or numbers with blanks between them; the first becomes his own with `own`.
 * Returns 0, or -ENOENT: there is no such group. */
int rights_add_groups(struct rights *rights, const char *names, bool own);

/* Reads the text of /proc/PID/status. Returns 0, or -EINVAL: lines are missing or wrong. */
int rights_parse_status(const char *text, struct rights *ret);

/* Reads "CAP_CHOWN CAP_FOWNER" as in units of systemd: bits of what is named; with a ~ in front all
 * others. Names that are not known are passed over. */
uint64_t rights_parse_capabilities(const char *names);

/* May he do all of that (R_OK, W_OK, X_OK)? */
bool rights_may(const struct rights *rights, const struct stat *stat, int mode);

/* May he make a hard link to the file, where fs.protected_hardlinks is set? */
bool rights_may_link(const struct rights *rights, const struct stat *stat);

/* May he remove or rename a file of that owner in the directory, as far as a sticky bit says? */
bool rights_may_remove(const struct rights *rights, const struct stat *directory, uid_t owner);

/* May he go through all folders above the path? It has to be absolute, and links in it are
 * resolved. Returns true, or false with the folder that stops him in blocker[PATH_MAX]. */
bool rights_may_reach(const struct rights *rights, const char *path, char *blocker);

bool rights_has_acl(const char *path);

/* "smmta (uid 107), groups 110, 8, capabilities CAP_FOWNER". size: RIGHTS_TEXT. Returns buffer. */
char *rights_describe(const struct rights *rights, char *buffer, size_t size);

/* "smmta", or its number. size: RIGHTS_TEXT. Returns buffer. */
char *rights_user(uid_t uid, char *buffer, size_t size);

/* "root:smmsp 2750". size: RIGHTS_TEXT. Returns buffer. */
char *rights_of_file(const struct stat *stat, char *buffer, size_t size);

#endif
