/* test_control.c - a qf opened in a spool that nobody vouches for: every kind of file, files that
 * change between two looks, large ones; and the print that tells one state of a qf from another.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/control.h"

#include "../support/testing.h"

static char buffer[CONTROL_BUFFER];
static int noatime = O_NOATIME;

/* What becomes of the name, seen from the test's folder. */
static enum trouble look(const char *name, struct control *control)
{
	int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum trouble trouble;

	check(folder >= 0);
	trouble = control_read(folder, name, buffer, &noatime, control);
	close(folder);
	return trouble;
}

/* That trouble, and whether a descriptor was left open with it. */
static void expect(const char *name, enum trouble trouble, bool open)
{
	struct control control;

	check_equal(look(name, &control), trouble);
	check_equal(control.fd >= 0, open);
	control_close(&control);
	check_equal(control.fd, -1);
	control_close(&control);
	testing_all_closed();
}

static void sound(void)
{
	struct control control;
	struct stat stat_of;

	testing_write("qf1", "V8\nT1700000000\nK1700000060\nN3\nd/else\nR<a@b>\n.\n");
	check_equal(look("qf1", &control), TROUBLE_NONE);
	check(control.fd >= 0);
	check(fcntl(control.fd, F_GETFD) & FD_CLOEXEC);
	check_equal(fcntl(control.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	check_equal(control.file.created, 1700000000);
	check_equal(control.file.last_attempt, 1700000060);
	check_equal(control.file.attempts, 3);
	check_equal(control.file.recipients, 1);
	check(!control.file.has_sender);
	check(control.file.data_elsewhere);
	check(stat("qf1", &stat_of) == 0);
	check_equal(control.stat.st_ino, stat_of.st_ino);
	check_equal(control.head, stat_of.st_size);
	check(memcmp(buffer, "V8\nT1700000000\n", 15) == 0);
	control_close(&control);
	testing_all_closed();
}

/* Reading writes nothing, not even when it was read, where that is allowed; and goes on where it is
 * not, without asking again. */
static void time_of_access(void)
{
	struct timespec old[2] = {{1000, 0}, {1700000000, 0}};
	struct control control;
	struct stat stat_of;

	testing_write("qf1", "T1\nN1\n.\n");
	check(chmod("qf1", 0644) == 0 && utimensat(AT_FDCWD, "qf1", old, 0) == 0);
	noatime = O_NOATIME;
	expect("qf1", TROUBLE_NONE, true);
	check(stat("qf1", &stat_of) == 0);
	check_equal(stat_of.st_atim.tv_sec, 1000);
	check_equal(noatime, O_NOATIME);
	testing_need_root();
	testing_drop_rights();
	expect("qf1", TROUBLE_NONE, true);
	check_equal(noatime, 0);
	check_equal(look("qf1", &control), TROUBLE_NONE);
	check(!(fcntl(control.fd, F_GETFL) & O_NOATIME));
	control_close(&control);
	noatime = O_NOATIME;
}

static void kinds_of_files(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "qf-socket"};
	int fd;

	expect("qf-missing", TROUBLE_GONE, false);
	testing_write("target", "T1\nN1\n.\n");
	check(symlink("target", "qf-link") == 0);
	expect("qf-link", TROUBLE_SYMLINK, false);
	check(symlink("nowhere", "qf-dangling") == 0);
	expect("qf-dangling", TROUBLE_SYMLINK, false);
	check(symlink("qf-loop", "qf-loop") == 0);
	expect("qf-loop", TROUBLE_SYMLINK, false);
	testing_mkdir("qf-directory");
	expect("qf-directory", TROUBLE_DIRECTORY, false);
	/* Nobody has the other end: this must not wait for one. */
	check(mkfifo("qf-fifo", 0600) == 0);
	expect("qf-fifo", TROUBLE_FIFO, false);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	close(fd);
	expect("qf-socket", TROUBLE_SOCKET, false);
	testing_link("target", "qf-hard");
	expect("qf-hard", TROUBLE_LINKS, true);
	check(unlink("target") == 0);
	expect("qf-hard", TROUBLE_NONE, true);
}

static void devices(void)
{
	testing_need_root();
	if (mknod("qf-null", S_IFCHR | 0600, makedev(1, 3)) < 0)
		testing_skip("devices cannot be made here");
	expect("qf-null", TROUBLE_DEVICE, false);
	/* Where to open it has an effect: the controlling terminal, a tape. There is none here. */
	check(mknod("qf-tape", S_IFCHR | 0600, makedev(9, 0)) == 0);
	expect("qf-tape", TROUBLE_DEVICE, false);
	check(mknod("qf-block", S_IFBLK | 0600, makedev(7, 200)) == 0);
	expect("qf-block", TROUBLE_DEVICE, false);
}

static void unreadable(void)
{
	struct control control;

	testing_write("qf1", "T1\nN1\n.\n");
	check(chmod("qf1", 0) == 0);
	testing_drop_rights();
	check_equal(look("qf1", &control), TROUBLE_UNREADABLE);
	check_equal(control.error, EACCES);
	check_equal(control.fd, -1);
}

static void error(void)
{
	struct control control;

	/* Not a directory to look in. */
	check_equal(control_read(-1, "qf1", buffer, &noatime, &control), TROUBLE_ERROR);
	check_equal(control.error, EBADF);
	check_equal(control.fd, -1);
}

static void verdicts(void)
{
	testing_write("qf1", "%s", "");
	expect("qf1", TROUBLE_EMPTY, true);
	testing_write("qf1", "V8\nT1\nN1\n");
	expect("qf1", TROUBLE_INCOMPLETE, true);
	testing_write("qf1", "N1\n.\n");
	expect("qf1", TROUBLE_NO_CREATED, true);
	testing_write("qf1", "T1\n.\n");
	expect("qf1", TROUBLE_NO_ATTEMPTS, true);
	testing_write("qf1", "T-1\nN1\n.\n");
	expect("qf1", TROUBLE_BAD_CREATED, true);
	testing_write("qf1", "T1\nKx\nN1\n.\n");
	expect("qf1", TROUBLE_BAD_LAST_ATTEMPT, true);
	testing_write("qf1", "T1\nN4294967296\n.\n");
	expect("qf1", TROUBLE_BAD_ATTEMPTS, true);
	testing_write("qf1", "T1\nN1\nN1\n.\n");
	expect("qf1", TROUBLE_TWICE, true);
	testing_write("qf1", "T1\nN1\n.\nmore\n");
	expect("qf1", TROUBLE_TRAILING, true);
}

/* ---- large ---- */

/* A qf of exactly that size: head, recipients as filling, the end. */
static void write_large(const char *path, size_t size)
{
	static const char head[] = "V8\nT1700000000\nN3\n", line[] = "R<someone@example.net>\n";
	const size_t fixed = sizeof(head) - 1 + 2, step = sizeof(line) - 1;
	char *text = malloc(size), *at = text;
	size_t rest = size - fixed;

	check(text != NULL && size > fixed + step);
	at = mempcpy(at, head, sizeof(head) - 1);
	for (; rest >= 2 * step; rest -= step)
		at = mempcpy(at, line, step);
	memset(at, 'X', rest);
	at[rest - 1] = '\n';
	memcpy(at + rest, ".\n", 2);
	testing_put(path, text, size);
	free(text);
}

static void sizes(void)
{
	static const size_t around[] = {CONTROL_BUFFER / 2, CONTROL_BUFFER, CONTROL_BUFFER * 3 / 2,
					CONTROL_BUFFER * 2};

	for (size_t i = 0; i < N(around); i++)
		for (size_t size = around[i] - 2; size <= around[i] + 2; size++) {
			struct control control;
			const char *last;

			write_large("qf1", size);
			memset(buffer, '#', sizeof(buffer));
			check_equal(look("qf1", &control), TROUBLE_NONE);
			check_equal(control.file.attempts, 3);
			check(control.file.recipients >= (size - 64) / 23 - 1);
			/* The start of the file, as it is, and no half line at its end. */
			check(control.head > 0 && control.head <= sizeof(buffer));
			check(control.head <= size);
			check(memcmp(buffer, "V8\nT1700000000\nN3\nR<someone@example.net>\nR<",
				     43) == 0);
			check(!memchr(buffer, '#', control.head));
			last = buffer + control.head - 1;
			check_equal(*last, '\n');
			check(control.head == size || control.head > CONTROL_BUFFER / 2 - 64);
			control_close(&control);
		}
}

static void the_largest(void)
{
	write_large("qf1", QFILE_MAX_BYTES);
	expect("qf1", TROUBLE_NONE, true);
	write_large("qf1", QFILE_MAX_BYTES + 1);
	expect("qf1", TROUBLE_LARGE, true);
}

static void sparse(void)
{
	testing_write("qf1", "%s", "");
	check(truncate("qf1", QFILE_MAX_BYTES + 1) == 0);
	expect("qf1", TROUBLE_LARGE, true);
	check(truncate("qf1", (off_t)1 << 40) == 0);
	expect("qf1", TROUBLE_LARGE, true);
	/* Nothing but NUL bytes. */
	check(truncate("qf1", QFILE_MAX_BYTES) == 0);
	expect("qf1", TROUBLE_INCOMPLETE, true);
}

/* ---- the whole text ---- */

static void whole(void)
{
	static const size_t sizes_of[] = {64,
					  CONTROL_BUFFER / 2,
					  CONTROL_BUFFER - 1,
					  CONTROL_BUFFER,
					  CONTROL_BUFFER + 1,
					  CONTROL_BUFFER * 3 / 2,
					  CONTROL_BUFFER * 2,
					  1000000,
					  QFILE_MAX_BYTES};
	char *expected = malloc(QFILE_MAX_BYTES);

	check(expected != NULL);
	for (size_t i = 0; i < N(sizes_of); i++) {
		struct control control;
		char *owned = buffer;
		const char *bytes;
		size_t length;
		int fd;

		write_large("qf1", sizes_of[i]);
		fd = open("qf1", O_RDONLY | O_CLOEXEC);
		check(fd >= 0 && read(fd, expected, QFILE_MAX_BYTES) == (ssize_t)sizes_of[i]);
		close(fd);
		check_equal(look("qf1", &control), TROUBLE_NONE);
		check_equal(control_text(&control, buffer, &owned, &bytes, &length), 0);
		check_equal(length, sizes_of[i]);
		check(memcmp(bytes, expected, length) == 0);
		/* Read again only where it must be. */
		check_equal(owned == NULL, sizes_of[i] <= CONTROL_BUFFER);
		check(bytes == (owned ? owned : buffer));
		free(owned);
		/* Again, and after its name is gone: what counts is the open file. */
		check(unlink("qf1") == 0);
		check_equal(control_text(&control, buffer, &owned, &bytes, &length), 0);
		check_equal(length, sizes_of[i]);
		free(owned);
		control_close(&control);
	}
	free(expected);
	/* The final "." without its newline. */
	{
		struct control control;
		char *owned;
		const char *bytes;
		size_t length;

		testing_write("qf1", "T1\nN1\n.");
		check_equal(look("qf1", &control), TROUBLE_NONE);
		check_equal(control_text(&control, buffer, &owned, &bytes, &length), 0);
		check(owned == NULL && bytes == buffer && length == 7);
		control_close(&control);
	}
	testing_all_closed();
}

/* It changes between the two readings. */
static void not_the_same(void)
{
	static const off_t sizes_of[] = {CONTROL_BUFFER * 2 + 1, CONTROL_BUFFER * 2 - 1, 0,
					 CONTROL_BUFFER * 4};
	char *owned = buffer;
	const char *bytes = buffer;
	size_t length = 77;
	struct control control;

	for (size_t i = 0; i < N(sizes_of); i++) {
		write_large("qf1", CONTROL_BUFFER * 2);
		check_equal(look("qf1", &control), TROUBLE_NONE);
		check(truncate("qf1", sizes_of[i]) == 0);
		check_equal(control_text(&control, buffer, &owned, &bytes, &length), -ESTALE);
		control_close(&control);
		/* Closed by now: what must be read again cannot be. */
		check_equal(control_text(&control, buffer, &owned, &bytes, &length), -EBADF);
		control.stat.st_size = QFILE_MAX_BYTES + 1;
		check_equal(control_text(&control, buffer, &owned, &bytes, &length), -EFBIG);
	}
	check(owned == buffer && bytes == buffer && length == 77);
	testing_all_closed();
}

/* ---- swapped ---- */

/* Somebody gives the name to one thing after the other while we look. Whatever comes of a look, it
 * belongs to one of them: it does not hang, follows no link, and never mixes them. */
static void swapped(void)
{
	size_t looks = testing_scale(30000), sound_looks = 0, others = 0;
	pid_t pid;

	testing_write("good", "T1\nN1\n.\n");
	testing_write("outside", "T666\nN666\n.\n");
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		for (;;) {
			bool ok;

			/* A sound one before each, so that a look may begin with it. */
			testing_write("next", "T1\nN1\n.\n");
			ok = rename("next", "qf1") == 0;
			ok = ok && symlink("outside", "next") == 0 && rename("next", "qf1") == 0;
			testing_write("next", "T1\nN1\n.\n");
			ok = ok && rename("next", "qf1") == 0;
			ok = ok && mkfifo("next", 0600) == 0 && rename("next", "qf1") == 0;
			testing_write("next", "T1\nN1\n.\n");
			ok = ok && rename("next", "qf1") == 0;
			ok = ok && unlink("qf1") == 0;
			if (!ok)
				_exit(1);
		}
	}
	for (size_t i = 0; i < looks || !sound_looks || !others; i++) {
		struct control control;
		enum trouble trouble = look("qf1", &control);

		switch (trouble) {
		case TROUBLE_NONE:
			check(control.file.created == 1 && control.file.attempts == 1);
			check_equal(control.stat.st_nlink, 1);
			check(S_ISREG(control.stat.st_mode));
			sound_looks++;
			break;
		case TROUBLE_SYMLINK:
		case TROUBLE_FIFO:
		case TROUBLE_GONE:
		case TROUBLE_CHANGED:
			others++;
			break;
		default:
			fprintf(stderr, "%s\n", trouble_text(trouble));
			check(trouble == TROUBLE_NONE);
		}
		control_close(&control);
	}
	check(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	testing_all_closed();
}

/* An open for writing would come back as a notification, and feed back on itself. */
static void unnoticed(void)
{
	char events[4096];
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct control control;

	testing_write("qf1", "T1\nN1\n.\n");
	check(inotify_add_watch(watch, ".", IN_CREATE | IN_CLOSE_WRITE | IN_MOVE | IN_DELETE) >= 0);
	check_equal(look("qf1", &control), TROUBLE_NONE);
	control_close(&control);
	check(read(watch, events, sizeof(events)) < 0 && errno == EAGAIN);
	close(watch);
}

/* ---- prints ---- */

static uint64_t print_of(const char *path)
{
	struct stat stat_of;

	check(lstat(path, &stat_of) == 0);
	return control_print(&stat_of);
}

static void prints(void)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 100, .tv_nsec = 5}};
	uint64_t first, other;

	testing_write("qf1", "text\n");
	check(utimensat(AT_FDCWD, "qf1", times, 0) == 0);
	first = print_of("qf1");
	check(first != 0);
	/* The same for the same file: renamed, read, linked, given away. */
	check(first == print_of("qf1"));
	testing_rename("qf1", "qf2");
	testing_link("qf2", "qf1");
	check(chmod("qf1", 0600) == 0);
	check(first == print_of("qf1") && first == print_of("qf2"));
	/* By its time, to the nanosecond; by its size; by the file. */
	times[1].tv_nsec = 6;
	check(utimensat(AT_FDCWD, "qf1", times, 0) == 0);
	check(first != print_of("qf1"));
	times[1] = (struct timespec){101, 5};
	check(utimensat(AT_FDCWD, "qf1", times, 0) == 0);
	check(first != print_of("qf1"));
	testing_write("qf1", "texts\n");
	times[1] = (struct timespec){100, 5};
	check(utimensat(AT_FDCWD, "qf1", times, 0) == 0);
	check(first != print_of("qf1"));
	check(truncate("qf1", 5) == 0 && utimensat(AT_FDCWD, "qf1", times, 0) == 0);
	check(first == print_of("qf1"));
	testing_write("qf3", "text\n");
	check(utimensat(AT_FDCWD, "qf3", times, 0) == 0);
	other = print_of("qf3");
	check(other != 0 && other != first);
}

/* No two of many that differ in one small step have the same print. */
static void prints_differ(void)
{
	enum { COUNT = 3000 };
	static uint64_t found[3 * COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		struct stat a = {.st_ino = 1000 + i, .st_size = 500, .st_mtim = {1700000000, 0}};
		struct stat b = {.st_ino = 999, .st_size = (off_t)i, .st_mtim = {1700000000, 0}};
		struct stat c = {
			.st_ino = 999, .st_size = 9999, .st_mtim = {1700000000, (long)i * 4000000}};

		found[3 * i] = control_print(&a);
		found[3 * i + 1] = control_print(&b);
		found[3 * i + 2] = control_print(&c);
	}
	for (size_t i = 0; i < N(found); i++) {
		check(found[i] != 0);
		for (size_t k = 0; k < i; k++)
			check(found[i] != found[k]);
	}
}

/* ---- words ---- */

static void troubles_have_words(void)
{
	for (int i = TROUBLE_NONE; i < TROUBLES; i++) {
		const char *text = trouble_text((enum trouble)i);

		check(text && text[0]);
		check(trouble_remedy((enum trouble)i) != NULL);
		/* What is refused for good has a remedy. */
		if (i >= TROUBLE_SYMLINK)
			check(trouble_remedy((enum trouble)i)[0]);
		for (int k = TROUBLE_NONE; k < i; k++)
			check(strcmp(text, trouble_text((enum trouble)k)) != 0);
	}
	for (int i = QFILE_EMPTY; i <= QFILE_TRAILING; i++)
		check_text(trouble_text(trouble_of_verdict((enum qfile_verdict)i)),
			   qfile_verdict_text((enum qfile_verdict)i));
	check_equal(trouble_of_verdict(QFILE_OK), TROUBLE_NONE);
	check_equal(trouble_of_verdict(QFILE_EMPTY), TROUBLE_EMPTY);
	check_equal(trouble_of_verdict(QFILE_TRAILING), TROUBLE_TRAILING);
	check(trouble_errno_remedy(ENOSPC)[0] && trouble_errno_remedy(EACCES)[0]);
	check_text(trouble_errno_remedy(ENOTTY), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(sound),
		APART(kinds_of_files),
		APART(devices),
		APART(unreadable),
		APART(time_of_access),
		APART(error),
		APART(verdicts),
		APART(sizes),
		APART(the_largest),
		APART(sparse),
		APART(swapped),
		APART(whole),
		APART(not_the_same),
		APART(unnoticed),
		APART(prints),
		APART(prints_differ),
		APART(troubles_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
