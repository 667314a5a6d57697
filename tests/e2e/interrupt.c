/* interrupt.c - runs a program under ptrace(2) and breaks into it at one system call: kills it
 * before the call is made, or lets the call fail.
 *
 * usage: interrupt -o REPORT [OPTION...] PROGRAM [ARGUMENT...]
 *   -g main|work|idle  which calls count: those of the first thread; those of other threads;
 *                      those of other threads that only keep threads going (all, without it)
 *   -s CALL,...        only these calls count
 *   -k N               kills it at the entry of the Nth call that counts
 *   -e ERROR -n N      lets the Nth call that counts fail without being made
 *   -p                 ... and all of the same kind that count after it
 *   -t MS              ... but none later than that after the first
 *   -f CALL=ERROR      lets all calls of that kind fail, from the beginning
 *   -c                 counts from the claim of a directory on; else from the lock of a message
 *   -l LOG             writes the calls that count: number, name, result
 *   -x                 leaves out of the counting what no fault may be put into: calls that
 *                      keep threads going, the end, and writes to what is no file (an eventfd)
 *
 * strace can inject both, but counts each thread's calls by itself and from the program's
 * beginning. Here a number stands for one point of a move, whichever thread makes it.
 *
 * REPORT gets one line: "killed N CALL", "exited CODE", "died SIGNAL", or "loops" (more than
 * MAX_CALLS system calls and MAX_ALONE seconds in which no other thread did anything, more than
 * MAX_SECONDS of work, or no end within MAX_WAIT seconds); then, if a call was let fail, "faults
 * COUNT CALL". Exits 0 when it came to the call, 1 when the program ended before, 2 when it died or
 * loops, 3 when nothing can be traced here.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/ptrace.h>

#define MAX_CALLS   5000
#define MAX_ALONE   10 /* seconds: a thread that was called may have to wait for a processor */
#define MAX_SECONDS 30 /* of processor time */
#define MAX_WAIT    90 /* on a busy machine each call takes its time */
#define MAX_THREADS 64
#define MAX_ALWAYS  8
#define MAX_ONLY    32

enum group { MAIN = 1, WORK = 2, IDLE = 4 };

struct thread {
	pid_t tid;
	int error;   /* the call that it is in fails with this; 0: it is made */
	long number; /* of the call that it is in, when that counts; else 0 */
	int call;
	bool at_work; /* it is no first thread, and neither waits for work nor has ended */
};

struct options {
	const char *report, *log;
	int groups;
	long kill_at, fail_at, max_ms;
	int error;
	bool persistent, from_claim, no_ends;
	struct {
		int call, error;
	} always[MAX_ALWAYS];
	int n_always;
	int only[MAX_ONLY];
	int n_only;
};

struct run {
	struct options options;
	pid_t program;
	bool counting;
	long number;	       /* calls that counted */
	pid_t caller;	       /* the thread that makes calls, */
	struct timespec alone; /* alone since then, */
	long all;	       /* so many, but for those made while another thread works */
	int failing;	       /* the call that fails now; -1: none yet */
	long faults;
	struct timespec first_fault;
	struct thread threads[MAX_THREADS];
	int n_threads;
	FILE *log;
};

static const struct {
	const char *name;
	int call;
} calls[] = {
#define CALL(name)                                                                                 \
	{                                                                                          \
#name, SYS_##name                                                                  \
	}
	CALL(read),
	CALL(write),
	CALL(close),
	CALL(fstat),
	CALL(lseek),
	CALL(mmap),
	CALL(mprotect),
	CALL(munmap),
	CALL(brk),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(ioctl),
	CALL(pread64),
	CALL(pwrite64),
	CALL(readv),
	CALL(writev),
	CALL(madvise),
	CALL(dup),
	CALL(getpid),
	CALL(clone),
	CALL(exit),
	CALL(exit_group),
	CALL(uname),
	CALL(fcntl),
	CALL(flock),
	CALL(fsync),
	CALL(fdatasync),
	CALL(ftruncate),
	CALL(fchmod),
	CALL(fchown),
	CALL(futex),
	CALL(getdents64),
	CALL(clock_gettime),
	CALL(clock_nanosleep),
	CALL(openat),
	CALL(mkdirat),
	CALL(newfstatat),
	CALL(unlinkat),
	CALL(linkat),
	CALL(renameat2),
	CALL(fchmodat),
	CALL(ppoll),
	CALL(utimensat),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(fallocate),
	CALL(eventfd2),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_pwait),
	CALL(pipe2),
	CALL(inotify_init1),
	CALL(inotify_add_watch),
	CALL(inotify_rm_watch),
	CALL(prlimit64),
	CALL(sendfile),
	CALL(statfs),
	CALL(fstatfs),
	CALL(getrandom),
	CALL(statx),
	CALL(copy_file_range),
	CALL(rseq),
	CALL(set_robust_list),
	CALL(set_tid_address),
	CALL(clone3),
	CALL(sendmsg),
	CALL(sendto),
	CALL(signalfd4),
	CALL(gettid),
	CALL(tgkill),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(rt_sigreturn),
	CALL(restart_syscall),
#ifdef SYS_open
	CALL(open),
	CALL(stat),
	CALL(lstat),
	CALL(poll),
	CALL(access),
	CALL(rename),
	CALL(mkdir),
	CALL(unlink),
	CALL(link),
	CALL(readlink),
	CALL(epoll_wait),
	CALL(rmdir),
	CALL(arch_prctl),
#endif
#ifdef SYS_renameat
	CALL(renameat),
#endif
#undef CALL
};

static const struct {
	const char *name;
	int error;
} errors[] = {
#define ERROR(name)                                                                                \
	{                                                                                          \
#name, name                                                                        \
	}
	ERROR(ENOSPC), ERROR(EIO),   ERROR(EINTR),  ERROR(EMFILE), ERROR(ENOMEM), ERROR(EDQUOT),
	ERROR(EROFS),  ERROR(EPERM), ERROR(EACCES), ERROR(ENOSYS), ERROR(EXDEV),  ERROR(ESTALE),
#undef ERROR
};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "interrupt: %s: %s\n", what, strerror(errno));
	exit(3);
}

static const char *call_name(int call)
{
	static char other[32];

	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (calls[i].call == call)
			return calls[i].name;
	snprintf(other, sizeof other, "call-%d", call);
	return other;
}

static int call_by_name(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strlen(calls[i].name) == length && memcmp(calls[i].name, name, length) == 0)
			return calls[i].call;
	fprintf(stderr, "interrupt: unknown call %s\n", name);
	exit(3);
}

static int error_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].error;
	fprintf(stderr, "interrupt: unknown error %s\n", name);
	exit(3);
}

/* What glibc does for threads and their end, where it cannot go on when the kernel refuses. */
static bool keeps_threads(int call)
{
	return call == SYS_futex || call == SYS_set_robust_list || call == SYS_rseq ||
	       call == SYS_rt_sigprocmask || call == SYS_mprotect || call == SYS_madvise ||
	       call == SYS_mmap || call == SYS_munmap || call == SYS_sched_getaffinity ||
	       call == SYS_exit || call == SYS_restart_syscall || call == SYS_rt_sigreturn ||
	       call == SYS_getrandom || call == SYS_brk;
}

/* In these a thread waits for others, or for nothing any more. */
static bool may_rest(int call)
{
	return call == SYS_futex || call == SYS_restart_syscall || call == SYS_exit;
}

/* Those whose failure glibc or the kernel's own rules do not provide for. Memory may be refused: by
 * mmap, because brk says so by leaving the end where it is, and glibc takes an error for a place.
 */
static bool must_not_fail(int call)
{
	return call == SYS_futex || call == SYS_set_robust_list || call == SYS_rseq ||
	       call == SYS_rt_sigprocmask || call == SYS_exit || call == SYS_exit_group ||
	       call == SYS_restart_syscall || call == SYS_rt_sigreturn || call == SYS_getpid ||
	       call == SYS_gettid || call == SYS_munmap || call == SYS_madvise || call == SYS_brk;
}

/* ---- threads ---- */

static struct thread *thread_of(struct run *run, pid_t tid)
{
	for (int i = 0; i < run->n_threads; i++)
		if (run->threads[i].tid == tid)
			return &run->threads[i];
	if (run->n_threads == MAX_THREADS) {
		errno = EMFILE;
		die("threads");
	}
	run->threads[run->n_threads] = (struct thread){.tid = tid};
	return &run->threads[run->n_threads++];
}

static void skip_call(pid_t tid)
{
#if defined(__x86_64__)
	if (ptrace(PTRACE_POKEUSER, tid, offsetof(struct user, regs.orig_rax), -1L) < 0)
		die("PTRACE_POKEUSER");
#elif defined(__aarch64__)
	int none = -1;
	struct iovec where = {&none, sizeof none};

	if (ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &where) < 0)
		die("PTRACE_SETREGSET");
#else
	(void)tid;
	errno = ENOSYS;
	die("faults on this processor");
#endif
}

static void set_result(pid_t tid, long result)
{
#if defined(__x86_64__)
	if (ptrace(PTRACE_POKEUSER, tid, offsetof(struct user, regs.rax), result) < 0)
		die("PTRACE_POKEUSER");
#elif defined(__aarch64__)
	struct user_regs_struct regs;
	struct iovec where = {&regs, sizeof regs};

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &where) < 0)
		die("PTRACE_GETREGSET");
	regs.regs[0] = (unsigned long)result;
	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &where) < 0)
		die("PTRACE_SETREGSET");
#else
	(void)tid;
	(void)result;
#endif
}

/* ---- when to count ---- */

/* What a descriptor leads to, in *path; false when that is no name of a file system. */
static bool leads_to(pid_t tid, unsigned long long fd, char *path, size_t size)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)tid, (int)fd);
	n = readlink(link, path, size - 1);
	path[n < 0 ? 0 : n] = 0;
	return path[0] == '/';
}

static bool begins(const struct run *run, pid_t tid, const struct ptrace_syscall_info *info)
{
	char path[4096], *name;

	if (info->entry.nr != SYS_flock || !leads_to(tid, info->entry.args[0], path, sizeof path))
		return false;
	name = strrchr(path, '/');
	return run->options.from_claim || (name && strncmp(name + 1, "qf", 2) == 0);
}

static bool is_wanted(const struct options *options, int call)
{
	for (int i = 0; i < options->n_only; i++)
		if (options->only[i] == call)
			return true;
	return options->n_only == 0;
}

static bool counts(const struct run *run, pid_t tid, const struct ptrace_syscall_info *info)
{
	int call = (int)info->entry.nr;
	char path[4096];

	enum group group = tid == run->program ? MAIN : keeps_threads(call) ? IDLE : WORK;

	return run->counting && run->options.groups & group && is_wanted(&run->options, call) &&
	       !(run->options.no_ends &&
		 (must_not_fail(call) ||
		  (call == SYS_write && !leads_to(tid, info->entry.args[0], path, sizeof path))));
}

/* While a worker is in fsync(2), or waits for a processor, the first thread may ask for it again
 * and again, when what it waits by is what fails: that comes to its end with the worker. */
static bool others_work(const struct run *run, pid_t tid)
{
	for (int i = 0; i < run->n_threads; i++)
		if (run->threads[i].at_work && run->threads[i].tid != tid)
			return true;
	return false;
}

static void stamp(struct timespec *time)
{
	clock_gettime(CLOCK_MONOTONIC, time);
}

static long milliseconds_since(const struct timespec *then)
{
	struct timespec now;

	stamp(&now);
	return (now.tv_sec - then->tv_sec) * 1000 + (now.tv_nsec - then->tv_nsec) / 1000000;
}

static bool in_time(const struct run *run)
{
	return !run->options.max_ms || !run->faults ||
	       milliseconds_since(&run->first_fault) < run->options.max_ms;
}

/* At the entry of a call of this thread: has it made too many, alone? */
static bool loops(struct run *run, pid_t tid)
{
	if (tid != run->caller || !run->counting) {
		run->caller = tid;
		run->all = 0;
		stamp(&run->alone);
		return false;
	}
	return !others_work(run, tid) && ++run->all > MAX_CALLS &&
	       milliseconds_since(&run->alone) >= MAX_ALONE * 1000;
}

/* The error that this call gets; 0: none. */
static int fault(struct run *run, const struct thread *thread)
{
	const struct options *options = &run->options;

	for (int i = 0; i < options->n_always; i++)
		if (options->always[i].call == thread->call)
			return options->always[i].error;
	if (!options->fail_at)
		return 0;
	if (run->failing < 0 && thread->number == options->fail_at) {
		run->failing = thread->call;
		stamp(&run->first_fault);
	} else if (run->failing < 0 || !options->persistent || run->failing != thread->call ||
		   !thread->number || !in_time(run)) {
		return 0;
	}
	run->faults++;
	return options->error;
}

static void end_all(struct run *run)
{
	int status;

	kill(run->program, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0 || errno == EINTR)
		continue;
}

static void report(struct run *run, const char *what, long number, const char *name)
{
	FILE *file = fopen(run->options.report, "w");

	if (!file)
		die(run->options.report);
	fprintf(file, "%s", what);
	if (number >= 0)
		fprintf(file, " %ld", number);
	fprintf(file, "%s%s\n", name ? " " : "", name ? name : "");
	if (run->faults)
		fprintf(file, "faults %ld %s\n", run->faults, call_name(run->failing));
	fclose(file);
}

/* A stop at the entry or the exit of a call. Returns false when the program was ended here. */
static bool at_call(struct run *run, struct thread *thread)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread->tid, sizeof info, &info) <= 0)
		return true; /* killed meanwhile by another thread's end */
	if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (thread->error)
			set_result(thread->tid, -thread->error);
		if (thread->number && run->log)
			fprintf(run->log, "%ld %s %lld%s\n", thread->number,
				call_name(thread->call),
				thread->error ? -(long long)thread->error
					      : (long long)info.exit.rval,
				thread->error ? " fault" : "");
		thread->error = 0;
		thread->at_work = thread->tid != run->program;
		return true;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return true;
	thread->call = (int)info.entry.nr;
	thread->number = 0;
	thread->at_work = thread->tid != run->program && !may_rest(thread->call);
	if (!run->counting && begins(run, thread->tid, &info))
		run->counting = true;
	if (counts(run, thread->tid, &info))
		thread->number = ++run->number;
	if (loops(run, thread->tid)) {
		end_all(run);
		report(run, "loops", -1, NULL);
		exit(2);
	}
	if (thread->number && thread->number == run->options.kill_at) {
		end_all(run);
		report(run, "killed", thread->number, call_name(thread->call));
		return false;
	}
	thread->error = fault(run, thread);
	if (thread->error)
		skip_call(thread->tid);
	return true;
}

/* ---- the program ---- */

static pid_t begin(char **command)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		struct rlimit limit = {MAX_SECONDS, MAX_SECONDS};

		/* A loop without system calls ends by this. */
		setrlimit(RLIMIT_CPU, &limit);
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(126);
		raise(SIGSTOP);
		execvp(command[0], command);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			   PTRACE_O_EXITKILL) < 0 ||
	    ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0)
		die("ptrace");
	return pid;
}

static int ended(struct run *run, int status)
{
	if (WIFSIGNALED(status)) {
		report(run,
		       WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL ? "loops"
										  : "died",
		       WTERMSIG(status), NULL);
		return 2;
	}
	report(run, "exited", WEXITSTATUS(status), NULL);
	return run->faults || !(run->options.kill_at || run->options.fail_at) ? 0 : 1;
}

static int trace(struct run *run)
{
	for (;;) {
		int status, signal = 0;
		pid_t tid = waitpid(-1, &status, __WALL);

		if (tid < 0) {
			if (errno != EINTR)
				die("waitpid");
			/* The alarm: it does not come to an end. */
			end_all(run);
			report(run, "loops", -1, NULL);
			return 2;
		}
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (tid == run->program)
				return ended(run, status);
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (!at_call(run, thread_of(run, tid)))
				return 0;
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
			signal = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, tid, 0, signal);
	}
}

static volatile pid_t forward_to;

static void forward(int signal)
{
	kill(forward_to, signal);
}

static void no_time_left(int signal)
{
	(void)signal;
}

static void read_always(struct options *options, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals || options->n_always == MAX_ALWAYS) {
		errno = EINVAL;
		die(text);
	}
	options->always[options->n_always].call = call_by_name(text, (size_t)(equals - text));
	options->always[options->n_always++].error = error_by_name(equals + 1);
}

static void read_only(struct options *options, const char *text)
{
	for (;;) {
		size_t n = strcspn(text, ",");

		if (options->n_only == MAX_ONLY) {
			errno = EINVAL;
			die(text);
		}
		options->only[options->n_only++] = call_by_name(text, n);
		if (!text[n])
			return;
		text += n + 1;
	}
}

int main(int argc, char **argv)
{
	struct run run = {.failing = -1};
	struct options *options = &run.options;
	struct sigaction on_alarm = {.sa_handler = no_time_left};
	struct sigaction on_term = {.sa_handler = forward, .sa_flags = SA_RESTART};
	int c;

	while ((c = getopt(argc, argv, "+o:g:s:k:e:n:pt:f:cl:x")) != -1)
		switch (c) {
		case 'o':
			options->report = optarg;
			break;
		case 'g':
			options->groups |= *optarg == 'm' ? MAIN : *optarg == 'w' ? WORK : IDLE;
			break;
		case 's':
			read_only(options, optarg);
			break;
		case 'k':
			options->kill_at = atol(optarg);
			break;
		case 'e':
			options->error = error_by_name(optarg);
			break;
		case 'n':
			options->fail_at = atol(optarg);
			break;
		case 'p':
			options->persistent = true;
			break;
		case 't':
			options->max_ms = atol(optarg);
			break;
		case 'f':
			read_always(options, optarg);
			break;
		case 'c':
			options->from_claim = true;
			break;
		case 'l':
			options->log = optarg;
			break;
		case 'x':
			options->no_ends = true;
			break;
		default:
			return 3;
		}
	if (!options->report || optind == argc) {
		fprintf(stderr, "usage: interrupt -o REPORT [OPTION...] PROGRAM [ARGUMENT...]\n");
		return 3;
	}
	if (!options->groups)
		options->groups = MAIN | WORK | IDLE;
	if (options->log && !(run.log = fopen(options->log, "w")))
		die(options->log);
	/* Leaks cannot be looked for under a tracer. */
	if (!getenv("ASAN_OPTIONS"))
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	sigaction(SIGALRM, &on_alarm, NULL);
	run.program = forward_to = begin(argv + optind);
	sigaction(SIGTERM, &on_term, NULL);
	alarm(MAX_WAIT);
	c = trace(&run);
	if (run.log)
		fclose(run.log);
	return c;
}
