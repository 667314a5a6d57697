/* testing.c - see testing.h */
#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qfwatch/clock.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

/* A test that takes longer hangs. It takes a second or two, but a disk that is slow to sync, or a
 * machine with ten times as much to do, makes minutes of that. */
#define PATIENCE 900

static char *root, *came_from;
static size_t descriptors; /* open when the process of a test began */

/* ---- how much ---- */

bool testing_valgrind(void)
{
	return RUNNING_ON_VALGRIND;
}

bool testing_slow(void)
{
	const char *scale = getenv("QFWATCH_TEST_SCALE");

	return RUNNING_ON_VALGRIND || (scale && strcmp(scale, "small") == 0);
}

size_t testing_scale(size_t n)
{
	return !testing_slow() ? n : n > 20 ? n / 20 : 1;
}

uint64_t testing_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- checks ---- */

static void __attribute__((noreturn)) give_up(void)
{
	fflush(NULL);
	_exit(1);
}

void testing_must(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s (errno: %s)\n", file, line, what,
		strerror(errno));
	give_up();
}

void testing_must_equal(intmax_t a, intmax_t b, const char *what, const char *file, int line)
{
	if (a == b)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s: %jd is not %jd\n", file, line, what, a, b);
	give_up();
}

void testing_must_read(const char *a, const char *b, const char *what, const char *file, int line)
{
	if (a && b && strcmp(a, b) == 0)
		return;
	fprintf(stderr, "%s:%d: does not hold: %s: \"%s\" is not \"%s\"\n", file, line, what,
		a ? a : "(none)", b ? b : "(none)");
	give_up();
}

/* ---- processes ---- */

bool testing_again(int64_t *since)
{
	int64_t now = clock_monotonic();

	if (!*since)
		*since = now;
	if ((now - *since) / 1000000 >= TESTING_OVERDUE)
		return false;
	poll(NULL, 0, 1);
	return true;
}

int testing_apart(testing_body *body)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		alarm(PATIENCE);
		descriptors = testing_count("/proc/self/fd");
		body();
		/* Not _exit: leaks are looked for at exit. */
		exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		check(errno == EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void testing_all_closed(void)
{
	check_equal(testing_count("/proc/self/fd"), descriptors);
}

void testing_skip(const char *why)
{
	fprintf(stderr, "skipped: %s\n", why);
	fflush(NULL);
	_exit(TESTING_SKIPPED);
}

void testing_need_root(void)
{
	if (geteuid() != 0)
		testing_skip("needs root");
}

bool testing_loopback(void)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons(9),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool can = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;

	if (fd >= 0)
		close(fd);
	return can;
}

void testing_need_loopback(void)
{
	if (!testing_loopback())
		testing_skip("127.0.0.1 cannot be reached here");
}

void testing_drop_rights(void)
{
	const uid_t nobody = 65534;

	if (geteuid() != 0)
		return;
	check(setgroups(0, NULL) == 0);
	check(setresgid(nobody, nobody, nobody) == 0);
	check(setresuid(nobody, nobody, nobody) == 0);
}

void testing_private_mounts(void)
{
	testing_need_root();
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", "", MS_REC | MS_PRIVATE, NULL) < 0)
		testing_skip("mounts of one's own are refused here");
}

void testing_mount_tmpfs(const char *path, const char *options)
{
	check(mount("tmpfs", path, "tmpfs", 0, options) == 0);
}

/* ---- files ---- */

/* Whatever rights a test took away, it is its own folder. */
static void remove_at(int folder, const char *name)
{
	struct dirent *entry;
	struct stat stat;
	DIR *names;
	int fd;

	if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISDIR(stat.st_mode)) {
		unlinkat(folder, name, 0);
		return;
	}
	if (fchmodat(folder, name, 0700, 0) < 0)
		return;
	fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	names = fd >= 0 ? fdopendir(fd) : NULL;
	while (names && (entry = readdir(names)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_at(fd, entry->d_name);
	if (names)
		closedir(names);
	unlinkat(folder, name, AT_REMOVEDIR);
}

int testing_setup(void **state)
{
	const char *temporary = getenv("TMPDIR");
	char path[PATH_MAX];

	(void)state;
	if (asprintf(&root, "%s/qfwatch-test-XXXXXX", temporary ? temporary : "/tmp") < 0 ||
	    !mkdtemp(root))
		return -1;
	came_from = getcwd(NULL, 0);
	snprintf(path, sizeof(path), "%s/run", root);
	if (chmod(root, 0755) < 0 || mkdir(path, 0755) < 0 ||
	    setenv("RUNTIME_DIRECTORY", path, 1) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/here", root);
	umask(0022);
	return mkdir(path, 0755) < 0 || chdir(path) < 0 ? -1 : 0;
}

int testing_teardown(void **state)
{
	bool gone;

	(void)state;
	if (!came_from || chdir(came_from) < 0)
		return -1;
	remove_at(AT_FDCWD, root);
	gone = access(root, F_OK) < 0;
	free(root);
	free(came_from);
	root = came_from = NULL;
	return gone ? 0 : -1;
}

static char *next_text(void)
{
	static char texts[16][PATH_MAX];
	static unsigned next;

	return texts[next++ % N(texts)];
}

const char *testing_path(const char *format, ...)
{
	char *text = next_text();
	int length = snprintf(text, PATH_MAX, "%s/here/", root);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + length, (size_t)(PATH_MAX - length), format, arguments);
	va_end(arguments);
	return text;
}

void testing_mkdir(const char *path)
{
	check(mkdir(path, 0755) == 0);
}

void testing_put(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	check(fd >= 0);
	check(write(fd, bytes, length) == (ssize_t)length);
	check(close(fd) == 0);
}

void testing_write(const char *path, const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	check(length >= 0);
	testing_put(path, text, (size_t)length);
	free(text);
}

char *testing_read(const char *path, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0, room = 4096;
	char *text = malloc(room + 1);
	ssize_t n;

	check(fd >= 0 && text);
	while ((n = read(fd, text + length, room - length)) > 0) {
		length += (size_t)n;
		if (length < room)
			continue;
		room *= 2;
		text = realloc(text, room + 1);
		check(text != NULL);
	}
	check(n == 0);
	close(fd);
	text[length] = 0;
	if (ret_length)
		*ret_length = length;
	return text;
}

void testing_remove(const char *path)
{
	remove_at(AT_FDCWD, path);
	check(!testing_exists(path));
}

void testing_rename(const char *from, const char *to)
{
	check(rename(from, to) == 0);
}

void testing_link(const char *from, const char *to)
{
	check(link(from, to) == 0);
}

bool testing_exists(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) == 0;
}

size_t testing_count(const char *path)
{
	struct dirent *entry;
	DIR *names = opendir(path);
	size_t count = 0;

	check(names != NULL);
	while ((entry = readdir(names)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(names);
	return count;
}

bool testing_holds(const char *path, const char *text)
{
	size_t length;
	char *found;
	bool same;

	if (!testing_exists(path))
		return false;
	found = testing_read(path, &length);
	same = length == strlen(text) && memcmp(found, text, length) == 0;
	free(found);
	return same;
}

void testing_make_old(const char *path, int seconds)
{
	struct timespec times[2];

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds;
	times[1] = times[0];
	check(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0);
}

/* ---- messages ---- */

void testing_queue(const char *path, bool split)
{
	testing_mkdir(path);
	for (size_t i = 0; split && i < 3; i++)
		testing_mkdir(testing_path("%s/%cf", path, "qdx"[i]));
}

const char *testing_file(const char *directory, const char *kind, const char *id)
{
	char *text = next_text();
	const char *folder = strcmp(kind, "df") == 0 ? "df" : strcmp(kind, "xf") == 0 ? "xf" : "qf";

	snprintf(text, PATH_MAX, "%s/%s", directory, folder);
	snprintf(text, PATH_MAX, "%s/%s%s%s%s", directory, testing_exists(text) ? folder : "",
		 testing_exists(text) ? "/" : "", kind, id);
	return text;
}

static void write_control(const char *path, const struct testing_message *message)
{
	const char *domain = message->domain ? message->domain : "example.net";
	const char *sender = message->sender ? message->sender : "sender@example.org";
	int64_t last = message->attempts ? (int64_t)TESTING_CREATED + message->attempts : 0;

	/* As sendmail 8.17 writes them, with the raw byte that makes nearly every qf invalid UTF-8.
	 */
	testing_write(path,
		      "V8\nT%lld\nK%lld\nN%u\nP%u\nFbs\n$_localhost\n${daemon_flags}\n"
		      "S<%s>\nA\nrRFC822; someone@%s\nRPFD:<someone@%s>\n%s"
		      "H?P?Return-Path: <\x81g>\nH??Subject: a subject\n\tthat goes on\n.\n",
		      (long long)(message->created ? message->created : TESTING_CREATED),
		      (long long)(message->last_attempt ? message->last_attempt : last),
		      message->attempts, 30000 + message->attempts, sender, domain, domain,
		      message->lines ? message->lines : "");
}

void testing_message(const char *directory, const struct testing_message *message)
{
	testing_write(testing_file(directory, "df", message->id), "body of %s\n", message->id);
	write_control(testing_file(directory, "qf", message->id), message);
}

void testing_enqueue(const char *directory, const char *id, uint32_t attempts)
{
	testing_message(directory, &(struct testing_message){.id = id, .attempts = attempts});
}

void testing_rewrite(const char *directory, const struct testing_message *message)
{
	const char *tf = testing_file(directory, "tf", message->id);

	write_control(tf, message);
	testing_rename(tf, testing_file(directory, "qf", message->id));
}

bool testing_stands(const char *directory, const char *id)
{
	const char *df = testing_file(directory, "df", id), *qf = testing_file(directory, "qf", id);
	char body[300];
	struct stat stat;

	snprintf(body, sizeof(body), "body of %s\n", id);
	return lstat(qf, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_nlink == 1 &&
	       lstat(df, &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_nlink == 1 &&
	       testing_holds(df, body);
}

bool testing_absent(const char *directory, const char *id)
{
	return !testing_exists(testing_file(directory, "qf", id)) &&
	       !testing_exists(testing_file(directory, "df", id));
}

/* ---- locks ---- */

static void __attribute__((noreturn)) hold(const char *path, enum testing_lock kind, int control)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool got = fd >= 0;
	char byte;

	if (got && kind == TESTING_FLOCK)
		got = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (got && kind == TESTING_FCNTL)
		got = fcntl(fd, F_SETLK, &whole) == 0;
	byte = got ? 'y' : 'n';
	if (write(control, &byte, 1) == 1 && got)
		while (read(control, &byte, 1) < 0 && errno == EINTR)
			;
	_exit(0);
}

bool testing_hold(const char *path, enum testing_lock kind, struct testing_holder *ret)
{
	int pair[2];
	char answer = 0;

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	fflush(NULL);
	ret->pid = fork();
	check(ret->pid >= 0);
	if (ret->pid == 0) {
		close(pair[0]);
		hold(path, kind, pair[1]);
	}
	close(pair[1]);
	ret->control = pair[0];
	check(read(ret->control, &answer, 1) == 1);
	if (answer != 'y')
		testing_release(ret);
	return answer == 'y';
}

void testing_release(struct testing_holder *holder)
{
	/* Not only close: processes forked meanwhile have a copy of the descriptor. */
	shutdown(holder->control, SHUT_RDWR);
	close(holder->control);
	check(waitpid(holder->pid, NULL, 0) == holder->pid);
}

/* ---- inotify ---- */

#define QUEUE_LIMIT "/proc/sys/fs/inotify/max_queued_events"

static bool queue_is_small;

static int guard_queue(int how)
{
	int guard = open(QUEUE_LIMIT, O_RDONLY | O_CLOEXEC);

	check(guard >= 0);
	while (flock(guard, how) < 0)
		check(errno == EINTR);
	return guard;
}

int testing_keep_queue(void)
{
	return queue_is_small ? -1 : guard_queue(LOCK_SH);
}

void testing_let_queue(int guard)
{
	if (guard >= 0)
		close(guard);
}

static long read_limit(void)
{
	char *text = testing_read(QUEUE_LIMIT, NULL);
	long limit = atol(text);

	free(text);
	return limit;
}

static bool write_limit(long limit)
{
	int fd = open(QUEUE_LIMIT, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && dprintf(fd, "%ld\n", limit) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

/* The limit counts for the whole machine, and is taken when an instance is made: it is low for that
 * moment only, for one test at a time, and while no other makes one of its own. The change is made
 * by a process of its own, which puts it back also when this one ends in between. */
void testing_small_queue(void (*make)(void))
{
	int guard = guard_queue(LOCK_EX), pair[2], status;
	char byte = 0;
	long limit;
	pid_t pid;

	limit = read_limit();
	check(limit > TESTING_SMALL_QUEUE);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		close(pair[0]);
		byte = write_limit(TESTING_SMALL_QUEUE) ? 'y' : 'n';
		if (write(pair[1], &byte, 1) == 1)
			while (read(pair[1], &byte, 1) < 0 && errno == EINTR)
				;
		_exit(byte == 'n' || write_limit(limit) ? 0 : 1);
	}
	close(pair[1]);
	check(read(pair[0], &byte, 1) == 1);
	queue_is_small = byte == 'y';
	if (queue_is_small)
		make();
	queue_is_small = false;
	close(pair[0]);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check_equal(read_limit(), limit);
	close(guard);
	if (byte != 'y')
		testing_skip("fs.inotify.max_queued_events may not be changed here");
}
