/* test_textfile.c - a file that is replaced as a whole, on time, and what is said when it cannot
 * be.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/textfile.h"

#include "../support/testing.h"

#define EVERY (15 * CLOCK_SECOND)

static struct textfile *textfile;
static int64_t now = INT64_C(1700000000) * CLOCK_SECOND;

static void begin(const char *path)
{
	textfile = textfile_new();
	check_equal(textfile_deadline(textfile), INT64_MAX);
	check_equal(textfile_fd(textfile), -1);
	check(!textfile_is_due(textfile, now));
	textfile_configure(textfile, testing_path("%s", path), 15, now);
	check_equal(textfile_deadline(textfile), now);
}

/* Writes, and waits until the worker is done. */
static void put(const char *text)
{
	struct pollfd fd = {.fd = textfile_fd(textfile), .events = POLLIN};

	check(textfile_is_due(textfile, now));
	textfile_write(textfile, text, strlen(text), now);
	check_equal(textfile_deadline(textfile), now + EVERY);
	check_equal(poll(&fd, 1, TESTING_OVERDUE), 1);
	check(!textfile_is_due(textfile, now));
	now += EVERY;
}

static void is_replaced(void)
{
	struct stat stat_of;
	int old;

	umask(077);
	begin("a.prom");
	put("one\n");
	check(testing_holds("a.prom", "one\n"));
	check(stat("a.prom", &stat_of) == 0 && (stat_of.st_mode & 07777) == 0644);
	/* Who has it open goes on reading the whole old one. */
	old = open("a.prom", O_RDONLY | O_CLOEXEC);
	put("two, and longer\n");
	check(testing_holds("a.prom", "two, and longer\n"));
	check(fstat(old, &stat_of) == 0 && stat_of.st_nlink == 0 && stat_of.st_size == 4);
	close(old);
	/* What a kill has left under the other name is used and gone. */
	testing_write("a.prom.new", "left by a kill, and longer than what comes");
	put("3\n");
	check(testing_holds("a.prom", "3\n"));
	check_equal(testing_count("."), 1);
	textfile_free(textfile);
	/* It stays: its own time says how old it is. */
	check(testing_holds("a.prom", "3\n"));
	testing_all_closed();
}

static void time_passes(void)
{
	begin("a.prom");
	put("1\n");
	now -= 1;
	check(!textfile_is_due(textfile, now));
	now += 1;
	check(textfile_is_due(textfile, now));
	put("2\n");
	/* Set back by a year, then ahead by one. */
	now -= 365 * 86400 * CLOCK_SECOND;
	check(textfile_is_due(textfile, now));
	put("3\n");
	now += 365 * 86400 * CLOCK_SECOND;
	put("4\n");
	/* Another interval holds at once. */
	textfile_configure(textfile, testing_path("a.prom"), 1, now);
	check(textfile_deadline(textfile) <= now + CLOCK_SECOND);
	textfile_configure(textfile, testing_path("a.prom"), 86400, now);
	check(textfile_deadline(textfile) <= now + CLOCK_SECOND);
	textfile_free(textfile);
	testing_all_closed();
}

static void another_name(void)
{
	begin("a.prom");
	put("1\n");
	/* The old file would tell the same numbers for ever. */
	textfile_configure(textfile, testing_path("b.prom"), 15, now);
	check(!testing_exists("a.prom"));
	put("2\n");
	check(testing_holds("b.prom", "2\n"));
	textfile_configure(textfile, NULL, 15, now);
	check_equal(testing_count("."), 0);
	check_equal(textfile_deadline(textfile), INT64_MAX);
	check_equal(textfile_fd(textfile), -1);
	check(!textfile_is_due(textfile, INT64_MAX));
	textfile_configure(textfile, testing_path("c.prom"), 15, now);
	put("3\n");
	check(testing_holds("c.prom", "3\n"));
	textfile_free(textfile);
	testing_all_closed();
}

static size_t told(const char *what)
{
	size_t n = 0;
	char *log;

	fflush(stderr);
	log = testing_read("../log", NULL);
	for (const char *at = log; (at = strstr(at, what)); at++)
		n++;
	free(log);
	return n;
}

static void failures_are_told_once(void)
{
	check(freopen("../log", "w", stderr) != NULL);
	begin("folder/a.prom");
	put("1\n");
	put("2\n");
	put("3\n");
	check_equal(told("cannot create it (No such file or directory): make its folder"), 1);
	testing_mkdir("folder");
	put("4\n");
	check(testing_holds("folder/a.prom", "4\n"));
	check_equal(told("is written again"), 1);
	put("5\n");
	check_equal(told("is written again"), 1);
	/* A folder in its place. */
	testing_remove("folder/a.prom");
	testing_mkdir("folder/a.prom");
	put("6\n");
	check_equal(told("cannot rename it (Is a directory): a folder stands in its place"), 1);
	check_equal(testing_count("folder"), 1);
	/* Somebody else's file is not written through. */
	testing_write("other", "not ours");
	check(symlink("../other", "folder/a.prom.new") == 0);
	put("7\n");
	testing_remove("folder/a.prom.new");
	testing_link("other", "folder/a.prom.new");
	put("8\n");
	check(testing_holds("other", "not ours"));
	testing_remove("folder/a.prom.new");
	/* Nor does a FIFO there hold anybody up. */
	check(mkfifo("folder/a.prom.new", 0600) == 0);
	put("9\n");
	testing_remove("folder/a.prom.new");
	testing_remove("folder/a.prom");
	put("10\n");
	check(testing_holds("folder/a.prom", "10\n"));
	textfile_free(textfile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(is_replaced),
		APART(time_passes),
		APART(another_name),
		APART(failures_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
