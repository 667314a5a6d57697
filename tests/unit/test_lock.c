/* test_lock.c - sendmail's lock from both of its worlds, against another process that holds one;
 * and whether a name still means the file that was locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/lock.h"

#include "../support/testing.h"

static int open_qf(void)
{
	int fd = open("qf1", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	check(fd >= 0);
	return fd;
}

/* Nobody holds it in any way. */
static void must_be_free(void)
{
	struct testing_holder holder;

	check(testing_hold("qf1", TESTING_FLOCK, &holder));
	testing_release(&holder);
	check(testing_hold("qf1", TESTING_FCNTL, &holder));
	testing_release(&holder);
}

static void must_be_held(void)
{
	struct testing_holder holder;

	check(!testing_hold("qf1", TESTING_FLOCK, &holder));
	check(!testing_hold("qf1", TESTING_FCNTL, &holder));
}

static void held_by_us(void)
{
	int fd;

	testing_write("qf1", "text\n");
	must_be_free();
	fd = open_qf();
	check_equal(lock_take(fd), 0);
	/* Neither kind of sendmail gets it. */
	must_be_held();
	/* Again on the same descriptor: it is ours. */
	check_equal(lock_take(fd), 0);
	lock_release(fd);
	must_be_free();
	/* To close it is enough. */
	check_equal(lock_take(fd), 0);
	must_be_held();
	close(fd);
	must_be_free();
	/* The lock is the file's, and goes with it to another name. */
	fd = open_qf();
	check_equal(lock_take(fd), 0);
	testing_rename("qf1", "qf2");
	testing_rename("qf2", "qf1");
	must_be_held();
	close(fd);
}

static void held_by_another(void)
{
	static const enum testing_lock kinds[] = {TESTING_FLOCK, TESTING_FCNTL};

	testing_write("qf1", "text\n");
	for (size_t i = 0; i < N(kinds); i++) {
		struct testing_holder holder, second;
		int fd = open_qf();

		check(testing_hold("qf1", kinds[i], &holder));
		check_equal(lock_take(fd), -EWOULDBLOCK);
		/* Then we hold neither: the other kind is to be had. */
		check(testing_hold("qf1", kinds[1 - i], &second));
		testing_release(&second);
		check_equal(lock_take(fd), -EWOULDBLOCK);
		testing_release(&holder);
		check_equal(lock_take(fd), 0);
		must_be_held();
		close(fd);
		must_be_free();
	}
}

/* A runner that sorts its queue: shared, and read-only. */
static void held_shared(void)
{
	int other, fd;

	testing_write("qf1", "text\n");
	other = open_qf();
	fd = open_qf();
	check(flock(other, LOCK_SH | LOCK_NB) == 0);
	check_equal(lock_take(fd), -EWOULDBLOCK);
	close(other);
	check_equal(lock_take(fd), 0);
	close(fd);
}

static void two_descriptors(void)
{
	int a, b;

	testing_write("qf1", "text\n");
	a = open_qf();
	b = open_qf();
	check_equal(lock_take(a), 0);
	check_equal(lock_take(b), -EWOULDBLOCK);
	/* To close another one of the same file does not let go of ours, as fcntl's own would. */
	close(b);
	must_be_held();
	close(a);
}

static void bad_descriptor(void)
{
	check_equal(lock_take(-1), -EBADF);
}

/* ---- verify ---- */

static struct stat before;
static int folder, locked;

static void begin(void)
{
	testing_write("qf1", "text\n");
	folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	locked = open_qf();
	check(folder >= 0 && fstat(locked, &before) == 0);
	check_equal(lock_take(locked), 0);
	check_equal(lock_verify(folder, "qf1", &before), 0);
}

static int verify(void)
{
	return lock_verify(folder, "qf1", &before);
}

static void verify_replaced(void)
{
	begin();
	testing_write("tf1", "TEXT\n");
	testing_rename("tf1", "qf1");
	check_equal(verify(), -ESTALE);
	/* The same bytes in another file are another file. */
	testing_write("tf1", "text\n");
	testing_rename("tf1", "qf1");
	check_equal(verify(), -ESTALE);
	check(unlink("qf1") == 0);
	check_equal(verify(), -ENOENT);
	/* A link to it is not it. */
	testing_write("other", "text\n");
	check(symlink("other", "qf1") == 0);
	check_equal(verify(), -ESTALE);
}

static void verify_removed(void)
{
	begin();
	check(unlink("qf1") == 0);
	check_equal(verify(), -ENOENT);
}

static void verify_linked(void)
{
	begin();
	testing_link("qf1", "second");
	check_equal(verify(), -ESTALE);
	check(unlink("second") == 0);
	check_equal(verify(), 0);
	/* It is the same file, by way of a link of another kind. */
	testing_rename("qf1", "elsewhere");
	check(symlink("elsewhere", "qf1") == 0);
	check_equal(verify(), -ESTALE);
}

static void verify_written(void)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 12345}};
	int fd;

	begin();
	fd = open("qf1", O_WRONLY | O_APPEND | O_CLOEXEC);
	check(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	check_equal(verify(), -ESTALE);
	/* Of the same size, but at another time. */
	check(truncate("qf1", before.st_size) == 0);
	check(utimensat(AT_FDCWD, "qf1", times, 0) == 0);
	check_equal(verify(), -ESTALE);
	check(fstat(locked, &before) == 0);
	check_equal(verify(), 0);
	/* What was read differs from both, which are the same. */
	before.st_size++;
	check_equal(verify(), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(held_by_us),	APART(held_by_another), APART(held_shared),
		APART(two_descriptors), APART(bad_descriptor),	APART(verify_replaced),
		APART(verify_removed),	APART(verify_linked),	APART(verify_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
