/* file.c - policy_load: the policy's file, read whole, and what to say when that cannot be done. */
#include "qfwatch/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"
#include "text.h"

/* Who was refused: user "smmta" (uid 106). */
static void add_user(struct text *text)
{
	uid_t uid = geteuid();
	const struct passwd *user = getpwuid(uid);

	if (user)
		text_add(text, "user \"%s\" (uid %u)", user->pw_name, (unsigned)uid);
	else
		text_add(text, "uid %u", (unsigned)uid);
}

static void report_open(const char *path, int error, struct problems *problems)
{
	struct text user = {0};

	switch (error) {
	case ENOENT:
		problems_add(
			problems, PROBLEM_INVALID,
			"%s: no such file: write a policy there (policy.json.example is one to "
			"start from), or name another with -c FILE",
			path);
		break;
	case EACCES:
		add_user(&user);
		problems_add(problems, PROBLEM_REFUSED,
			     "%s: permission denied to %s: let that user read it; \"namei -l %s\" "
			     "shows which part of the path refuses",
			     path, user.bytes, path);
		break;
	case ENOTDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENXIO:
	case ENODEV:
		problems_add(problems, PROBLEM_INVALID, "%s: %s: give the path of a regular file",
			     path, strerror(error));
		break;
	default:
		problems_add(problems, PROBLEM_REFUSED,
			     "%s: cannot be opened: %s: remove the cause and try again", path,
			     strerror(error));
	}
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO or pipe";
	default:
		return "a device or socket";
	}
}

/* Opens a regular file. O_NONBLOCK: a FIFO would keep us waiting for somebody to write. */
static int open_file(const char *path, struct problems *problems)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat status = {0};
	int r;

	if (fd < 0) {
		r = -errno;
		report_open(path, -r, problems);
		return r;
	}
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		return fd;
	problems_add(problems, PROBLEM_INVALID, "%s: %s: give the path of a regular file", path,
		     kind_of(status.st_mode));
	close(fd);
	return -EINVAL;
}

/* Fills the buffer as far as the file goes. Returns its length, or -errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = read(fd, buffer + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (ssize_t)length;
}

int policy_load(const char *path, struct problems *problems, struct policy **ret)
{
	/* One byte more than is allowed: policy_parse sees that it is too long, however it grows
	 * meanwhile. */
	const size_t size = POLICY_MAX_BYTES + 1;
	char *text = NULL;
	ssize_t length;
	int fd, r;

	fd = open_file(path, problems);
	if (fd < 0)
		return problems->incomplete ? -ENOMEM : fd;
	text = memory_resize(NULL, size);
	length = text ? read_all(fd, text, size) : -ENOMEM;
	if (length >= 0) {
		r = policy_parse(text, (size_t)length, path, problems, ret);
	} else if (length == -ENOMEM) {
		problems->incomplete = true;
		r = -ENOMEM;
	} else {
		r = (int)length;
		problems_add(problems, PROBLEM_REFUSED,
			     "%s: cannot be read: %s: remove the cause and try again", path,
			     strerror(-r));
	}
	free(text);
	close(fd);
	return r;
}
