/* process.h - what the kernel tells of a running process, all its threads together.
 *
 * Reading it costs the process nothing, where strace would slow it down and needs a right of its
 * own.
 */
#ifndef QFWATCH_TEST_PROCESS_H
#define QFWATCH_TEST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Voluntary context switches: each time that a thread sleeps again it must have been awake.
 * Negative errno when the process is gone. */
int64_t process_wakeups(pid_t pid);

/* VmRSS in bytes; negative errno. */
int64_t process_resident(pid_t pid);

/* Processor time taken so far, in nanoseconds (schedstat: exact, where /proc/PID/stat counts
 * ticks); negative errno, -ENOSYS where the kernel does not count. */
int64_t process_cpu(pid_t pid);

/* Are all its threads in one of these states ('S' sleeping, 'T' stopped, 't' stopped by a tracer:
 * man 5 proc)? False when it is gone. */
bool process_all_are(pid_t pid, const char *states);

/* Waits until it has slept for `quiet` nanoseconds without a wake-up. -ETIMEDOUT at the deadline
 * (stats_now() time), or negative errno. */
int process_wait_quiet(pid_t pid, int64_t quiet, int64_t deadline);

#endif
