/* test_program.c - programs run for a rule: how they end, what they say, how they are made to end,
 * what they get of ours (nothing), what they leave behind (nothing), and what stands in braces.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/program.h"

#include "../support/testing.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#define MINUTE	    (60 * CLOCK_SECOND)
#define MILLISECOND INT64_C(1000000) /* in nanoseconds */

static struct program_result result;
static char text[1024];

/* ---- time ---- */

/* Put in the place of the C library's: between one look at this clock and the next a thread may
 * have waited for a processor as long as it likes. */
static atomic_llong late, behind; /* nanoseconds: each time; together */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);
	int64_t now, more = late;

	if (clock != CLOCK_MONOTONIC || r < 0)
		return r;
	now = ret->tv_sec * 1000 * MILLISECOND + ret->tv_nsec + atomic_fetch_add(&behind, more) +
	      more;
	ret->tv_sec = now / (1000 * MILLISECOND);
	ret->tv_nsec = now % (1000 * MILLISECOND);
	return r;
}

/* ---- running ---- */

static void run(const char *const *argv, int64_t timeout, const atomic_bool *cancel)
{
	/* What is not set would be seen. */
	memset(&result, 0x55, sizeof result);
	program_run((char *const *)argv, NULL, timeout, true, cancel, &result);
	check(strlen(result.output) <= PROGRAM_OUTPUT);
}

static void shell(const char *script, int64_t timeout)
{
	run((const char *const[]){"/bin/sh", "-c", script, NULL}, timeout, NULL);
}

static bool was_killed(void)
{
	return WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGKILL;
}

/* A script that is told to end when it is ready for that; it writes "ready" then. A busy machine
 * may not get it there in time, nor to its end before SIGKILL: then again, with more time. */
static void shell_ready(const char *script, bool deaf)
{
	int64_t timeout = CLOCK_SECOND / 4;

	do {
		timeout *= 2;
		shell(script, timeout);
	} while ((!strstr(result.output, "ready") || was_killed() != deaf) && timeout < MINUTE);
	check(strstr(result.output, "ready"));
}

/* The script that says that it runs, by making a file; and waits for that. */
static const char *announced(const char *script)
{
	static char whole[1000];

	snprintf(whole, sizeof whole, "echo >'%s'; %s", testing_path("runs"), script);
	return whole;
}

static void wait_for_announcement(void)
{
	int64_t since = 0;

	while (!testing_exists("runs"))
		check(testing_again(&since));
}

static const char *words(void)
{
	return program_describe(&result, text, sizeof text);
}

static void expect_exit(int status, const char *output)
{
	check_equal(result.error, 0);
	check(!result.unknown && !result.timed_out && !result.cancelled);
	check(WIFEXITED(result.status));
	check_equal(WEXITSTATUS(result.status), status);
	check_text(result.output, output);
	check(result.duration > 0);
	check_equal(program_succeeded(&result), status == 0);
}

static void expect_signal(int signal)
{
	check_equal(result.error, 0);
	check(!result.unknown);
	check(WIFSIGNALED(result.status));
	check_equal(WTERMSIG(result.status), signal);
	check(!program_succeeded(&result));
}

static void expect_error(int error)
{
	check_equal(result.error, error);
	check(!result.unknown && !result.timed_out && !result.cancelled);
	check_text(result.output, "");
	check(!program_succeeded(&result));
}

/* No descriptor of ours is left open, and no process of ours is left, dead or alive. */
static void expect_nothing_left(void)
{
	testing_all_closed();
	check(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

/* What this process's children leave behind becomes its own child, and can be waited for. */
static void adopt_orphans(void)
{
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

/* Waits for the process that the program told of. */
static int orphan_status(void)
{
	pid_t pid = (pid_t)atoi(result.output);
	int status;

	check(pid > 1);
	check_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* ---- how they end ---- */

static void exit_status(void)
{
	run((const char *const[]){"/bin/true", NULL}, MINUTE, NULL);
	expect_exit(0, "");
	check_text(words(), "exit status 0");
	shell("echo all is well", MINUTE);
	expect_exit(0, "all is well");
	check_text(words(), "exit status 0: all is well");
	shell("echo no such user >&2; exit 3", MINUTE);
	expect_exit(3, "no such user");
	check_text(words(), "exit status 3: no such user");
	shell("exit 255", MINUTE);
	expect_exit(255, "");
	expect_nothing_left();
}

static void ended_by_signal(void)
{
	shell("echo before; kill -SEGV $$", MINUTE);
	expect_signal(SIGSEGV);
	check(!result.timed_out && !result.cancelled);
	check_text(words(), "ended by SIGSEGV: before");
	shell("kill -40 $$", MINUTE);
	expect_signal(40);
	check_text(words(), "ended by signal 40");
	expect_nothing_left();
}

static void arguments(void)
{
	/* One by one, without a shell in between. */
	run((const char *const[]){"/usr/bin/printf", "[%s]", "a b", "", "$(id)", "-x;*", "\"'",
				  NULL},
	    MINUTE, NULL);
	expect_exit(0, "[a b][][$(id)][-x;*][\"']");
	expect_nothing_left();
}

static void not_started(void)
{
	const char *missing = testing_path("missing"), *plain = testing_path("plain"),
		   *script = testing_path("script"), *dangling = testing_path("dangling");

	if (RUNNING_ON_VALGRIND)
		testing_skip("under valgrind posix_spawn does not learn what became of exec");
	run((const char *const[]){missing, NULL}, MINUTE, NULL);
	expect_error(ENOENT);
	check_text(words(), "cannot be started: No such file or directory");
	testing_write(plain, "#!/bin/sh\nexit 0\n");
	run((const char *const[]){plain, NULL}, MINUTE, NULL);
	expect_error(EACCES);
	check_text(words(), "cannot be started: Permission denied");
	run((const char *const[]){testing_path("."), NULL}, MINUTE, NULL);
	expect_error(EACCES);
	/* Nothing guesses that this is for a shell. */
	testing_write(script, "exit 0\n");
	check(chmod(script, 0755) == 0);
	run((const char *const[]){script, NULL}, MINUTE, NULL);
	expect_error(ENOEXEC);
	check_text(words(), "cannot be started: Exec format error");
	testing_write(dangling, "#!/no/such/interpreter\n");
	check(chmod(dangling, 0755) == 0);
	run((const char *const[]){dangling, NULL}, MINUTE, NULL);
	expect_error(ENOENT);
	run((const char *const[]){testing_path("plain/below"), NULL}, MINUTE, NULL);
	expect_error(ENOTDIR);
	expect_nothing_left();
}

static void not_absolute(void)
{
	run((const char *const[]){"true", NULL}, MINUTE, NULL);
	expect_error(EINVAL);
	run((const char *const[]){"", NULL}, MINUTE, NULL);
	expect_error(EINVAL);
	run((const char *const[]){NULL}, MINUTE, NULL);
	expect_error(EINVAL);
	expect_nothing_left();
}

static void a_script(void)
{
	const char *script = testing_path("a script");

	testing_write(script, "#!/bin/sh\necho \"$#: $2\"\nexit 7\n");
	check(chmod(script, 0755) == 0);
	run((const char *const[]){script, "one", "two 2", NULL}, MINUTE, NULL);
	expect_exit(7, "2: two 2");
	expect_nothing_left();
}

/* ---- what they say ---- */

static void tidied(void)
{
	shell("printf '\\001 \\n a\\000b\\t\\n\\r  c\\177\\033[1m \\n'", MINUTE);
	expect_exit(0, "a b c [1m");
	shell("printf ' \\n\\t'", MINUTE);
	expect_exit(0, "");
	shell("printf 'gr\\303\\274n \\377'", MINUTE);
	expect_exit(0, "gr\303\274n \377");
	shell("echo out; echo err >&2; echo out", MINUTE);
	expect_exit(0, "out err out");
}

/* What is left of that output, by another road. */
static void expect_tail(const char *bytes, size_t length)
{
	char *all = malloc(length + 1), *from;
	size_t n = 0;

	check(all != NULL);
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c > ' ' && c != 127)
			all[n++] = (char)c;
		else if (n && all[n - 1] != ' ')
			all[n++] = ' ';
	}
	if (n && all[n - 1] == ' ')
		n--;
	all[n] = 0;
	from = n > PROGRAM_OUTPUT ? all + n - PROGRAM_OUTPUT : all;
	if (from > all)
		while (((unsigned char)*from & 0xc0) == 0x80)
			from++;
	if (*from == ' ')
		from++;
	testing_put("output", bytes, length);
	run((const char *const[]){"/bin/cat", testing_path("output"), NULL}, MINUTE, NULL);
	expect_exit(0, from);
	free(all);
}

static void the_end_counts(void)
{
	static char bytes[300000];
	uint64_t seed = 4711;
	size_t n = 0;

	for (int i = 0; n + 20 < sizeof bytes; i++)
		n += (size_t)sprintf(bytes + n, "%d\n", i);
	expect_tail(bytes, n);
	/* Words far apart: many more bytes than are kept make up what is kept. */
	memset(bytes, ' ', sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i += 997)
		bytes[i] = (char)('a' + i % 26);
	expect_tail(bytes, sizeof bytes);
	/* Around the limit, with one byte, and with characters of two that are cut or not. */
	memset(bytes, 'x', sizeof bytes);
	for (size_t i = PROGRAM_OUTPUT - 2; i < PROGRAM_OUTPUT + 3; i++)
		expect_tail(bytes, i);
	for (size_t i = 0; i < 2000; i += 2)
		memcpy(bytes + i, "\303\251", 2);
	expect_tail(bytes, 2000);
	check_equal(strlen(result.output), PROGRAM_OUTPUT);
	bytes[2000] = 'x';
	expect_tail(bytes, 2001);
	check_equal(strlen(result.output), PROGRAM_OUTPUT - 1);
	/* Whole when there was no more before it, whatever it begins with. */
	expect_tail("\251\251x", 3);
	for (size_t round = 0; round < testing_scale(60); round++) {
		n = testing_random(&seed) % 5000;
		for (size_t i = 0; i < n; i++)
			bytes[i] = " \n\tabcdefg"[testing_random(&seed) % 10];
		expect_tail(bytes, n);
	}
	expect_nothing_left();
}

/* All of it is read, however late; with what the pipe holds of it more than one read takes. */
static void read_late(void)
{
	static char bytes[60000];
	size_t n = 0;

	for (int i = 0; n + 20 < sizeof bytes; i++)
		n += (size_t)sprintf(bytes + n, "%d\n", i);
	late = 60 * MILLISECOND;
	for (size_t round = 0; round < 20; round++)
		expect_tail(bytes, n);
	expect_nothing_left();
}

/* ---- made to end ---- */

static void timeout(void)
{
	run((const char *const[]){"/bin/sleep", "500", NULL}, CLOCK_SECOND / 5, NULL);
	expect_signal(SIGTERM);
	check(result.timed_out && !result.cancelled);
	check(result.duration >= 200 * MILLISECOND);
	check(result.duration < TESTING_OVERDUE * MILLISECOND);
	/* One that says something to it, and ends in its own way. */
	shell_ready("trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.05; done",
		    false);
	check(result.timed_out && WIFEXITED(result.status));
	check_equal(WEXITSTATUS(result.status), 9);
	check(strstr(result.output, "told"));
	check(strncmp(words(), "told to end after ", 18) == 0);
	/* Not looked at before its time, but ended with 0: that is no success. */
	shell_ready("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done", false);
	check(result.timed_out && !result.error && result.status == 0);
	check(!program_succeeded(&result));
	expect_nothing_left();
}

static void deaf(void)
{
	shell_ready("trap '' TERM; echo ready; while :; do sleep 0.1; done", true);
	expect_signal(SIGKILL);
	check(result.timed_out);
	check(result.duration >= 2500 * MILLISECOND);
	check_text(result.output, "ready");
	check(strncmp(words(), "ended by SIGKILL after ", 23) == 0);
	expect_nothing_left();
}

static void stopped(void)
{
	/* Nobody would wake it, and it would not end before SIGKILL. */
	shell_ready("echo ready; kill -STOP $$; echo awake; exit 4", false);
	expect_signal(SIGTERM);
	check(result.timed_out);
	check_text(result.output, "ready");
	expect_nothing_left();
}

static void never_stops_writing(void)
{
	int64_t limit = CLOCK_SECOND / 5;

	/* On a busy machine it may not get to that. */
	do {
		run((const char *const[]){"/usr/bin/yes", "y", NULL}, limit, NULL);
		limit *= 2;
	} while ((!result.output[0] || was_killed()) && limit < MINUTE);
	expect_signal(SIGTERM);
	check(result.timed_out);
	check_equal(strlen(result.output), PROGRAM_OUTPUT - 1);
	expect_nothing_left();
}

static void *cancel_soon(void *argument)
{
	wait_for_announcement();
	atomic_store((atomic_bool *)argument, true);
	return NULL;
}

static void cancelled(void)
{
	const char *const argv[] = {"/bin/sh", "-c", announced("exec sleep 50"), NULL};
	atomic_bool cancel = false;
	pthread_t thread;

	/* At once: one of some times, on a busy machine. */
	for (int i = 0; i < 20; i++) {
		atomic_store(&cancel, false);
		check(pthread_create(&thread, NULL, cancel_soon, &cancel) == 0);
		run(argv, INT64_MAX, &cancel);
		check(pthread_join(thread, NULL) == 0);
		check(unlink("runs") == 0);
		if (result.duration < 1900 * MILLISECOND)
			break;
	}
	check(result.duration < 1900 * MILLISECOND);
	expect_signal(SIGTERM);
	check(result.cancelled && !result.timed_out);
	check(strncmp(words(), "cancelled, ended by SIGTERM after ", 34) == 0);
	/* Already: it is not even started. */
	run(argv, MINUTE, &cancel);
	check_equal(result.error, ECANCELED);
	check(result.cancelled && !result.unknown && !program_succeeded(&result));
	check_text(words(), "cancelled before it was started");
	expect_nothing_left();
}

/* The arguments of run, for a thread. */
struct started {
	const char *const *argv;
	atomic_bool cancel;
};

static void *run_started(void *argument)
{
	struct started *started = argument;

	run(started->argv, MINUTE, &started->cancel);
	return NULL;
}

/* This thread is the one that gives its rights away, for all: the others get a signal for that, and
 * valgrind now and then cannot deliver one on the stack of the first thread. */
static void not_ours_to_kill(void)
{
	/* It runs until it is let go. */
	const char *script = announced("echo $$; read -r go <$0"), *path = testing_path("gate");
	struct started started = {
		.argv = (const char *const[]){"/bin/sh", "-c", script, path, NULL}};
	pthread_t thread;
	int gate;

	testing_need_root();
	adopt_orphans();
	check(mkfifo(path, 0600) == 0);
	gate = open(path, O_RDWR | O_CLOEXEC);
	check(gate >= 0);
	check(pthread_create(&thread, NULL, run_started, &started) == 0);
	wait_for_announcement();
	testing_drop_rights();
	atomic_store(&started.cancel, true);
	check(pthread_join(thread, NULL) == 0);
	check_equal(result.error, EBUSY);
	check(result.unknown && result.cancelled && !program_succeeded(&result));
	check(strncmp(words(), "started, but how it ended is not known: SIGKILL does not end it",
		      63) == 0);
	check(write(gate, "\n", 1) == 1);
	check_equal(orphan_status(), 0);
	close(gate);
	expect_nothing_left();
}

/* ---- pipes held and closed ---- */

static int64_t processor_time(void)
{
	struct timespec used;

	check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
	return used.tv_sec * 1000 * MILLISECOND + used.tv_nsec;
}

static void closed_outputs(void)
{
	int64_t before = processor_time();

	shell("echo last words; exec >&- 2>&-; sleep 0.5; exit 5", MINUTE);
	expect_exit(5, "last words");
	check(result.duration >= 500 * MILLISECOND);
	check(processor_time() - before < 250 * MILLISECOND || testing_slow());
	/* And it is still made to end. */
	shell("exec >&- 2>&-; exec sleep 50", CLOCK_SECOND / 5);
	expect_signal(SIGTERM);
	check(result.timed_out);
	expect_nothing_left();
}

static void held_pipe(void)
{
	int status;

	adopt_orphans();
	shell("sleep 500 & echo $!; exit 4", 5 * MINUTE);
	check_equal(WEXITSTATUS(result.status), 4);
	check(!result.timed_out);
	check(result.duration < TESTING_OVERDUE * MILLISECOND);
	status = orphan_status();
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* As deaf as one can be. */
	shell("trap '' TERM HUP; sleep 500 & echo $!", MINUTE);
	status = orphan_status();
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect_nothing_left();
}

static void children_left_alone(void)
{
	char *argv[] = {"/bin/sh", "-c", "sleep 500 & echo $!; exit 4", NULL};
	int64_t before;
	int status;
	pid_t pid;

	adopt_orphans();
	before = clock_monotonic();
	program_run(argv, NULL, MINUTE, false, NULL, &result);
	check(clock_monotonic() - before < TESTING_OVERDUE * MILLISECOND);
	check_equal(WEXITSTATUS(result.status), 4);
	pid = (pid_t)atoi(result.output);
	check(pid > 1);
	check_equal(waitpid(pid, &status, WNOHANG), 0);
	check(kill(pid, SIGTERM) == 0);
	status = orphan_status();
	check(WIFSIGNALED(status));
	expect_nothing_left();
}

static void noisy_child(void)
{
	adopt_orphans();
	/* Writes for ever into the pipe that the program has left. */
	shell("yes & echo $! >&2; sleep 0.2; exit 6", MINUTE);
	check(WIFEXITED(result.status));
	check_equal(WEXITSTATUS(result.status), 6);
	check(result.duration < TESTING_OVERDUE * MILLISECOND);
	while (waitpid(-1, NULL, 0) > 0)
		;
	expect_nothing_left();
}

/* ---- what they get ---- */

static void descriptors(void)
{
	char *argv[] = {"/bin/ls", "/proc/self/fd", NULL};
	struct rlimit limit;
	int open_ones[20], far = 900;

	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if ((rlim_t)far >= limit.rlim_cur)
		far = (int)limit.rlim_cur - 1;
	for (size_t i = 0; i < N(open_ones); i++)
		check((open_ones[i] = dup(STDERR_FILENO)) >= 0);
	/* Far above the others. */
	check(dup2(STDERR_FILENO, far) == far);
	run((const char *const *)argv, MINUTE, NULL);
	/* 3 is the folder that ls reads. */
	expect_exit(0, "0 1 2 3");
	close(far);
	for (size_t i = 0; i < N(open_ones); i++)
		close(open_ones[i]);
	shell("readlink /proc/self/fd/0; cat; test /dev/fd/1 -ef /dev/fd/2 && echo one", MINUTE);
	expect_exit(0, "/dev/null one");
	expect_nothing_left();
}

/* A daemon without standard descriptors: those of the pipe are in the way. */
static void without_standard_descriptors(void)
{
	int saved[3];

	for (int i = 0; i < 3; i++)
		check((saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10)) >= 0);
	for (int i = 0; i < 3; i++)
		close(i);
	program_run((char *[]){"/bin/sh", "-c", "echo out; echo err >&2; ls /proc/self/fd", NULL},
		    NULL, MINUTE, true, NULL, &result);
	for (int i = 0; i < 3; i++)
		dup2(saved[i], i), close(saved[i]);
	expect_exit(0, "out err 0 1 2 3");
	expect_nothing_left();
}

static void signals(void)
{
	const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTTOU, SIGUSR2};
	sigset_t all;

	sigfillset(&all);
	check(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
	for (size_t i = 0; i < N(ignored); i++)
		signal(ignored[i], SIG_IGN);
	run((const char *const[]){"/bin/grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status", NULL},
	    MINUTE, NULL);
	expect_exit(0, "SigBlk: 0000000000000000 SigIgn: 0000000000000000");
	/* And they do what they are for. */
	shell("kill -PIPE $$; echo still here", MINUTE);
	expect_signal(SIGPIPE);
	expect_nothing_left();
}

static void surroundings(void)
{
	char *own[] = {"A=1", "B=two words", NULL};
	char *none[] = {NULL};
	char *env[] = {"/usr/bin/env", NULL};
	int pid, group, session;

	check(setenv("SECRET", "of the daemon", 1) == 0);
	run((const char *const *)env, MINUTE, NULL);
	expect_exit(0,
		    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C");
	program_run(env, own, MINUTE, true, NULL, &result);
	expect_exit(0, "A=1 B=two words");
	program_run(env, none, MINUTE, true, NULL, &result);
	expect_exit(0, "");
	run((const char *const[]){"/bin/pwd", NULL}, MINUTE, NULL);
	expect_exit(0, "/");
	run((const char *const[]){"/usr/bin/cut", "-d ", "-f1,5,6", "/proc/self/stat", NULL},
	    MINUTE, NULL);
	check_equal(sscanf(result.output, "%d %d %d", &pid, &group, &session), 3);
	check_equal(pid, group);
	check_equal(pid, session);
	expect_nothing_left();
}

/* ---- what may be missing ---- */

static void no_descriptor_left(void)
{
	struct rlimit limit, before;

	check(getrlimit(RLIMIT_NOFILE, &before) == 0);
	limit = before;
	limit.rlim_cur = 0;
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	run((const char *const[]){"/bin/true", NULL}, MINUTE, NULL);
	expect_error(EMFILE);
	/* Just enough: the lowest two that are free. */
	check(setrlimit(RLIMIT_NOFILE, &before) == 0);
	limit.rlim_cur = (rlim_t)dup(STDERR_FILENO) + 2;
	close((int)limit.rlim_cur - 2);
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	shell("echo fine; exit 3", MINUTE);
	expect_exit(3, "fine");
	/* One less: the pipe has half of it. */
	limit.rlim_cur--;
	check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	run((const char *const[]){"/bin/true", NULL}, MINUTE, NULL);
	expect_error(EMFILE);
	check(setrlimit(RLIMIT_NOFILE, &before) == 0);
	expect_nothing_left();
}

static void no_pidfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = N(filter), .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		testing_skip("no system call can be forbidden here");
	shell("echo fine; exit 3", MINUTE);
	expect_exit(3, "fine");
	shell("echo closed; exec >&- 2>&-; sleep 0.2; exit 4", MINUTE);
	expect_exit(4, "closed");
	run((const char *const[]){"/bin/sleep", "50", NULL}, CLOCK_SECOND / 5, NULL);
	expect_signal(SIGTERM);
	check(result.timed_out);
	expect_nothing_left();
}

static void sigchld_ignored(void)
{
	signal(SIGCHLD, SIG_IGN);
	shell("echo gone; exit 0", MINUTE);
	check_equal(result.error, ECHILD);
	check(result.unknown && !program_succeeded(&result));
	check_text(words(), "started, but how it ended is not known: No child processes: gone");
	expect_nothing_left();
}

/* ---- many ---- */

#define THREADS 8

static void *many(void *argument)
{
	unsigned thread = *(const unsigned *)argument;
	sigset_t all;

	sigfillset(&all);
	check(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
	for (unsigned i = 0; i < testing_scale(40); i++) {
		char name[32], status[16], told[64];
		char *argv[] = {"/bin/sh", "-c",   "echo $0 of $1; ls /proc/self/fd; exit $1",
				name,	   status, NULL};
		struct program_result own;

		snprintf(name, sizeof name, "%u/%u", thread, i);
		snprintf(status, sizeof status, "%u", (thread + i) % 100);
		snprintf(told, sizeof told, "%s of %s 0 1 2 3", name, status);
		program_run(argv, NULL, MINUTE, true, NULL, &own);
		check_equal(own.error, 0);
		check_text(own.output, told);
		check(WIFEXITED(own.status));
		check_equal(WEXITSTATUS(own.status), (thread + i) % 100);
	}
	return NULL;
}

static void in_parallel(void)
{
	pthread_t threads[THREADS];
	unsigned numbers[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		check(pthread_create(&threads[i], NULL, many, &numbers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		check(pthread_join(threads[i], NULL) == 0);
	expect_nothing_left();
}

/* ---- words and braces ---- */

static void described(void)
{
	const struct {
		struct program_result result;
		const char *words;
	} table[] = {
		{{.status = 3 << 8, .output = "no such user"}, "exit status 3: no such user"},
		{{.status = SIGTERM, .timed_out = true, .duration = 30004 * MILLISECOND},
		 "ended by SIGTERM after 30s"},
		{{.status = SIGKILL, .timed_out = true, .duration = 92004 * MILLISECOND},
		 "ended by SIGKILL after 1m32s"},
		{{.status = SIGTERM, .duration = 30004 * MILLISECOND}, "ended by SIGTERM"},
		{{.status = SIGABRT | 0x80}, "ended by SIGABRT"},
		{{.status = SIGTERM, .cancelled = true, .duration = 999 * MILLISECOND},
		 "cancelled, ended by SIGTERM after 0s"},
		{{.status = 1 << 8,
		  .cancelled = true,
		  .duration = 2000 * MILLISECOND,
		  .output = "x"},
		 "cancelled after 2s, exit status 1: x"},
		{{.status = 0, .timed_out = true, .duration = 2000 * MILLISECOND},
		 "told to end after 2s, exit status 0"},
		{{.error = ENOENT}, "cannot be started: No such file or directory"},
		{{.error = 9999}, "cannot be started: error 9999"},
		{{.error = ECANCELED, .cancelled = true}, "cancelled before it was started"},
	};
	char small[8];

	for (size_t i = 0; i < N(table); i++)
		check_text(program_describe(&table[i].result, text, sizeof text), table[i].words);
	check_text(program_describe(&table[0].result, small, sizeof small), "exit st");
}

static void filled(void)
{
	const struct program_values values = {
		.id = "6AMHKF",
		.file = "/var/spool/my queue/qf6AMHKF",
		.tier = "-rf",
		.rule = "{id} {file}\n",
	};
	const struct {
		const char *pattern, *filled;
	} table[] = {
		{"", ""},
		{"plain", "plain"},
		{"{id}", "6AMHKF"},
		{"{file}", "/var/spool/my queue/qf6AMHKF"},
		{"{tier}", "-rf"},
		{"{rule}", "{id} {file}\n"},
		{"{rule}{id}", "{id} {file}\n6AMHKF"},
		{"id={id} tier={tier}.", "id=6AMHKF tier=-rf."},
		{"{id}{id}{id}", "6AMHKF6AMHKF6AMHKF"},
		{"{{id}}", "{6AMHKF}"},
		{"{", "{"},
		{"{{", "{{"},
		{"}{", "}{"},
		{"{}", "{}"},
		{"{id", "{id"},
		{"{i{id}d}", "{i6AMHKFd}"},
		{"{ID}", "{ID}"},
		{"{ id }", "{ id }"},
		{"{other}{id}", "{other}6AMHKF"},
		{"{id}\303\274", "6AMHKF\303\274"},
		{"$(id) %s {id}", "$(id) %s 6AMHKF"},
	};
	const struct program_values none = {0};
	char *argument;

	for (size_t i = 0; i < N(table); i++) {
		argument = program_fill(table[i].pattern, &values);
		check_text(argument, table[i].filled);
		free(argument);
	}
	argument = program_fill("[{id}{file}{tier}{rule}]", &none);
	check_text(argument, "[]");
	free(argument);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(exit_status),
		APART(ended_by_signal),
		APART(arguments),
		APART(not_started),
		APART(not_absolute),
		APART(a_script),
		APART(tidied),
		APART(the_end_counts),
		APART(read_late),
		APART(timeout),
		APART(deaf),
		APART(stopped),
		APART(never_stops_writing),
		APART(cancelled),
		APART(not_ours_to_kill),
		APART(closed_outputs),
		APART(held_pipe),
		APART(children_left_alone),
		APART(noisy_child),
		APART(descriptors),
		APART(without_standard_descriptors),
		APART(signals),
		APART(surroundings),
		APART(no_descriptor_left),
		APART(no_pidfd),
		APART(sigchld_ignored),
		APART(in_parallel),
		APART(described),
		APART(filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
