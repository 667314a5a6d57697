/* process.h - what the kernel tells of a running process, all its threads together.
 *
 * Reading it costs the process nothing, where strace would slow it down and needs a right of its
 * own.
 */
#ifndef QFWATCH_TEST_PROCESS_H
#define QFWATCH_TEST_PROCESS_H

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

/* Waits until it has slept for `quiet` nanoseconds without a wake-up. -ETIMEDOUT at the deadline
 * (stats_now() time), or negative errno. */
int process_wait_quiet(pid_t pid, int64_t quiet, int64_t deadline);

#endif
