/* listener.c - see listener.h */
#include "qfwatch/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "qfwatch/xalloc.h"

/* How many may knock while none of them is let in: a Unix client who does not wait is refused at
 * once when there are more. The kernel has a limit of its own, net.core.somaxconn. */
#define BACKLOG 4096

static int refuse(const struct policy_listen *config, int error, const char *why,
		  const char *remedy, struct problems *problems)
{
	problems_add_at(problems, PROBLEM_REFUSED, &(struct problem_place){.pointer = "/listen"},
			"cannot listen on %s (%s): %s", config->address, why, remedy);
	return -error;
}

static const char *remedy_for(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "something listens there already: is another qfwatch running?";
	case EADDRNOTAVAIL:
		return "this machine does not have that address";
	case EACCES:
	case EPERM:
		return "the user that runs qfwatch must be able to write to its folder";
	case EAFNOSUPPORT:
		return "this kind of address is switched off here (in a systemd unit: "
		       "RestrictAddressFamilies and PrivateNetwork)";
	case ENOENT:
		return "create its folder";
	case EROFS:
		return "choose a place that is not read-only, such as /run/qfwatch";
	default:
		return "change \"listen\" in the policy";
	}
}

static int refuse_errno(const struct policy_listen *config, int error, struct problems *problems)
{
	return refuse(config, error, strerror(error), remedy_for(error), problems);
}

/* listen(2), whose name the policy's key has here. */
static int listen_on(int fd)
{
	return listen(fd, BACKLOG);
}

/* ---- Unix sockets ---- */

static int find_group(const struct policy_listen *config, gid_t *ret, struct problems *problems)
{
	const struct group *group;
	char *end;
	unsigned long number;

	if (!config->group) {
		*ret = (gid_t)-1;
		return 0;
	}
	number = strtoul(config->group, &end, 10);
	if (*config->group >= '0' && *config->group <= '9' && !*end && number < (gid_t)-1) {
		*ret = (gid_t)number;
		return 0;
	}
	group = getgrnam(config->group);
	if (!group) {
		problems_add_at(problems, PROBLEM_REFUSED,
				&(struct problem_place){.pointer = "/listen/group"},
				"cannot listen on %s: there is no group \"%s\": make it, or name "
				"another in the policy's /listen/group",
				config->address, config->group);
		return -ENOENT;
	}
	*ret = group->gr_gid;
	return 0;
}

static struct sockaddr_un socket_address(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	/* The loader has seen to its length. */
	memcpy(address.sun_path, path, strnlen(path, sizeof address.sun_path - 1));
	return address;
}

/* Who listens on that socket: its pid, 0 if that is not told (another's pid namespace), -1 for
 * nobody. */
static pid_t find_listener(const char *path)
{
	const struct sockaddr_un address = socket_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer = {0};
	socklen_t length = sizeof peer;
	pid_t pid = 0;

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		pid = errno == ECONNREFUSED ? -1 : 0;
	else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid > 0)
		pid = peer.pid;
	close(fd);
	return pid;
}

static int refuse_taken(const struct policy_listen *config, pid_t pid, struct problems *problems)
{
	char remedy[128];

	if (pid <= 0)
		return refuse_errno(config, EADDRINUSE, problems);
	snprintf(remedy, sizeof remedy,
		 "process %d listens there already: stop it, or change \"listen\"", (int)pid);
	return refuse(config, EADDRINUSE, strerror(EADDRINUSE), remedy, problems);
}

/* Returns 0 where nothing but a socket stands in the way; *ret_any: one does. */
static int look_at_place(const struct policy_listen *config, bool *ret_any,
			 struct problems *problems)
{
	struct stat stat;

	*ret_any = lstat(config->path, &stat) == 0;
	if (!*ret_any)
		return errno == ENOENT ? 0 : refuse_errno(config, errno, problems);
	if (!S_ISSOCK(stat.st_mode))
		return refuse(config, EEXIST, "what stands there is no socket",
			      "remove it, or change \"listen\" in the policy", problems);
	return 0;
}

/* Removes what a killed daemon has left. Returns 0 when nothing stands in the way. */
static int clear_place(const struct policy_listen *config, struct problems *problems)
{
	bool any;
	pid_t pid;
	int r = look_at_place(config, &any, problems);

	if (r < 0 || !any)
		return r;
	pid = find_listener(config->path);
	if (pid >= 0)
		return refuse_taken(config, pid, problems);
	return unlink(config->path) == 0 || errno == ENOENT ? 0
							    : refuse_errno(config, errno, problems);
}

static char *folder_of(const char *path)
{
	char *folder = xstrdup(path);

	strrchr(folder, '/')[folder == strrchr(folder, '/')] = 0;
	return folder;
}

/* Only the last folder of the path, as systemd's RuntimeDirectory would be. */
static void make_folder(const char *path)
{
	char *folder = folder_of(path);

	mkdir(folder, 0755);
	free(folder);
}

/* Is its folder there, or the one that it can be made in? Returns 0 or an errno. */
static int look_for_folder(const char *path)
{
	char *folder = folder_of(path), *above = folder_of(folder);
	struct stat stat_of;
	int error = 0;

	if (stat(folder, &stat_of) < 0 && (errno != ENOENT || stat(above, &stat_of) < 0))
		error = errno;
	else if (!S_ISDIR(stat_of.st_mode))
		error = ENOTDIR;
	free(above);
	free(folder);
	return error;
}

static int bind_socket(int fd, const char *path)
{
	const struct sockaddr_un address = socket_address(path);

	/* Until listen(2) nobody can connect, whatever mode the umask leaves. */
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	make_folder(path);
	return bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

static int give_rights(const char *path, gid_t group)
{
	if (group != (gid_t)-1 && lchown(path, (uid_t)-1, group) < 0)
		return -errno;
	return chmod(path, 0660) < 0 ? -errno : 0;
}

static int refuse_rights(const struct policy_listen *config, int error, struct problems *problems)
{
	return refuse(config, error, strerror(error),
		      "the user that runs qfwatch must be a member of the policy's /listen/group, "
		      "or have CAP_CHOWN",
		      problems);
}

static int open_socket(const struct policy_listen *config, struct listener *ret,
		       struct problems *problems)
{
	struct listener new = {.path = xstrdup(config->path)};
	struct stat stat;
	gid_t group;
	int r = find_group(config, &group, problems);

	if (r == 0)
		r = clear_place(config, problems);
	new.fd = r == 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	if (r == 0) {
		r = new.fd < 0 ? -errno : bind_socket(new.fd, config->path);
		if (r == 0 && lstat(config->path, &stat) < 0)
			r = -errno;
		if (r < 0)
			refuse_errno(config, -r, problems);
	}
	if (r < 0) {
		if (new.fd >= 0)
			close(new.fd);
		free(new.path);
		return r;
	}
	new.device = stat.st_dev;
	new.inode = stat.st_ino;
	r = give_rights(config->path, group);
	if (r < 0)
		refuse_rights(config, -r, problems);
	else if (listen_on(new.fd) < 0)
		r = refuse_errno(config, errno, problems);
	if (r < 0)
		listener_close(&new);
	else
		*ret = new;
	return r;
}

int listener_regroup(const struct listener *listener, const struct policy_listen *config,
		     struct problems *problems)
{
	gid_t group;
	int r = listener->path ? find_group(config, &group, problems) : 0;

	if (!listener->path || r < 0)
		return r;
	r = give_rights(listener->path, group == (gid_t)-1 ? getegid() : group);
	return r < 0 ? refuse_rights(config, -r, problems) : 0;
}

/* ---- TCP ---- */

static int open_inet(const struct policy_listen *config, struct listener *ret,
		     struct problems *problems)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(config->port)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(config->port)};
	bool is_four = inet_pton(AF_INET, config->host, &four.sin_addr) == 1;
	int fd, error, one = 1;

	if (!is_four)
		inet_pton(AF_INET6, config->host, &six.sin6_addr);
	fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	    bind(fd, is_four ? (struct sockaddr *)&four : (struct sockaddr *)&six,
		 is_four ? sizeof four : sizeof six) == 0 &&
	    listen_on(fd) == 0) {
		*ret = (struct listener){.fd = fd};
		return 0;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	return refuse_errno(config, error, problems);
}

/* ---- both ---- */

int listener_open(const struct policy_listen *config, struct listener *ret,
		  struct problems *problems)
{
	return config->path ? open_socket(config, ret, problems) : open_inet(config, ret, problems);
}

bool listener_is_there(const struct listener *listener)
{
	struct stat stat;

	return !listener->path ||
	       (lstat(listener->path, &stat) == 0 && stat.st_dev == listener->device &&
		stat.st_ino == listener->inode);
}

void listener_close(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	if (listener->path && listener_is_there(listener))
		unlink(listener->path);
	close(listener->fd);
	free(listener->path);
	*listener = LISTENER_NONE;
}

/* ---- the token ---- */

static int refuse_token(const char *path, int error, const char *why, const char *remedy,
			struct problems *problems)
{
	problems_add_at(problems, PROBLEM_REFUSED,
			&(struct problem_place){.pointer = "/listen/token_file"},
			"cannot use the token file %s (%s): %s", path, why, remedy);
	return -error;
}

static int read_token(const char *path, int fd, char *token, struct problems *problems)
{
	char text[LISTENER_TOKEN_MOST + 2], why[64];
	struct stat stat;
	ssize_t n = fstat(fd, &stat) < 0 ? -1 : read(fd, text, sizeof text);
	size_t length;

	if (n < 0)
		return refuse_token(path, errno, strerror(errno), "name a regular file", problems);
	if (!S_ISREG(stat.st_mode))
		return refuse_token(path, EINVAL, "not a regular file", "name a regular file",
				    problems);
	if (stat.st_mode & 07177) {
		snprintf(why, sizeof why, "mode %04o", stat.st_mode & 07777u);
		return refuse_token(path, EPERM, why,
				    "nobody but its owner may read it: chmod 0600", problems);
	}
	for (length = 0; length < (size_t)n && text[length] > ' ' && text[length] < 0x7f; length++)
		;
	if (length < (size_t)n && text[length] != '\n' && text[length] != '\r')
		return refuse_token(path, EINVAL, "its first line is no token",
				    "a token is made of visible ASCII characters, without blanks: "
				    "openssl rand -hex 32",
				    problems);
	if (length < LISTENER_TOKEN_LEAST || length > LISTENER_TOKEN_MOST)
		return refuse_token(path, EINVAL,
				    length < LISTENER_TOKEN_LEAST ? "shorter than 16 characters"
								  : "longer than 512 characters",
				    "a token has 16 to 512 characters: openssl rand -hex 32",
				    problems);
	memcpy(token, text, length);
	token[length] = 0;
	explicit_bzero(text, sizeof text);
	return 0;
}

int listener_read_token(const struct policy_listen *config, char *token, struct problems *problems)
{
	const char *path = config->token_file;
	int fd, r;

	*token = 0;
	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return refuse_token(path, errno, strerror(errno),
				    errno == ENOENT
					    ? "make it: (umask 077; openssl rand -hex 32 >FILE)"
					    : "the user that runs qfwatch must be able to read it",
				    problems);
	r = read_token(path, fd, token, problems);
	close(fd);
	return r;
}

/* ---- without opening ---- */

void listener_judge(const struct policy_listen *config, struct problems *problems)
{
	char token[LISTENER_TOKEN_MOST + 1];
	gid_t group;
	bool any;
	int error;

	if (config->path) {
		find_group(config, &group, problems);
		error = look_for_folder(config->path);
		if (error)
			refuse_errno(config, error, problems);
		else
			look_at_place(config, &any, problems);
	}
	listener_read_token(config, token, problems);
	explicit_bzero(token, sizeof token);
}
