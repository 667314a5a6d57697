/* test_command.c - what a command says of an output that could not be written: the error of that
 * output, and not of what came after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/command.h"

#include "../support/testing.h"

#define CANNOT "qfwatch test: standard output cannot be written to: "
#define FULL   CANNOT "No space left on device: make room there, or write elsewhere\n"

/* The code that command_finish returns, when `later` has set errno meanwhile; what it says is in
 * the file "said". */
static int finish(int later)
{
	int said = open("said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int before = dup(STDERR_FILENO), code;

	check(said >= 0 && before >= 0 && dup2(said, STDERR_FILENO) >= 0);
	errno = later;
	code = command_finish("test", EXIT_PROBLEM);
	check(dup2(before, STDERR_FILENO) >= 0);
	close(said);
	close(before);
	return code;
}

/* stdout is that file from now on; fully buffered. */
static void write_to(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	fflush(stdout);
	check(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
	close(fd);
	setvbuf(stdout, NULL, _IOFBF, 4096);
}

static void write_to_nobody(void)
{
	int ends[2];

	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	check(pipe(ends) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
	close(ends[0]);
	close(ends[1]);
	setvbuf(stdout, NULL, _IOFBF, 4096);
}

static void all_is_written(void)
{
	write_to("out");
	printf("text\n");
	check(command_has_written());
	check_equal(finish(ENOTTY), EXIT_PROBLEM);
	check(testing_holds("said", ""));
	check(testing_holds("out", "text\n"));
}

static void fails_at_the_end(void)
{
	write_to("/dev/full");
	printf("text\n");
	check(command_has_written());
	check_equal(finish(ENOTTY), EXIT_REFUSED);
	check(testing_holds("said", FULL));
}

static void failed_before(void)
{
	write_to("/dev/full");
	printf("text\n");
	fflush(stdout);
	check(!command_has_written());
	errno = ENOTTY;
	check(!command_has_written());
	/* Not even as if a reader had gone. */
	check_equal(finish(EPIPE), EXIT_REFUSED);
	check(testing_holds("said", FULL));
}

static void failed_and_nobody_asked(void)
{
	write_to("/dev/full");
	printf("text\n");
	fflush(stdout);
	check_equal(finish(EPIPE), EXIT_REFUSED);
	check(testing_holds("said", CANNOT "a part of it is missing\n"));
}

static void the_reader_has_gone(void)
{
	write_to_nobody();
	printf("text\n");
	check_equal(finish(ENOTTY), EXIT_PROBLEM);
	check(testing_holds("said", ""));
}

static void the_reader_had_gone_before(void)
{
	write_to_nobody();
	printf("text\n");
	fflush(stdout);
	check_equal(finish(ENOTTY), EXIT_PROBLEM);
	check(testing_holds("said", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(all_is_written),	    APART(fails_at_the_end),
		APART(failed_before),	    APART(failed_and_nobody_asked),
		APART(the_reader_has_gone), APART(the_reader_had_gone_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
