/* service.h - runs qfwatch (or another program) as a service manager would: sd_notify, its own
 * runtime folder, SIGTERM.
 *
 * Functions return 0 or a negative errno; every wait has a deadline in stats_now() time. Nothing
 * here prints.
 */
#ifndef QFWATCH_TEST_SERVICE_H
#define QFWATCH_TEST_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct service {
	pid_t pid;
	int output; /* the reading end of its stdout, non-blocking; -1 when that goes to a file */
	int notify; /* its NOTIFY_SOCKET, non-blocking */
	bool ready; /* READY=1 was seen */
	bool ended;
	int status; /* as of waitpid, once ended */
	struct rusage usage;
	char folder[512];
};

/* Starts `program` with `arguments` (without argv[0]; ends with NULL). `folder` exists and takes
 * the socket, the runtime folder (RUNTIME_DIRECTORY) and stderr. `output_path` takes stdout; NULL:
 * a pipe, see service.output. The child dies with the calling thread. */
int service_start(struct service *service, const char *program, const char *const arguments[],
		  const char *folder, const char *output_path);

/* Waits for READY=1. -ETIMEDOUT; -ECHILD: it ended first. */
int service_wait_ready(struct service *service, int64_t deadline);

/* Waits for the end. -ETIMEDOUT: it runs on. */
int service_wait(struct service *service, int64_t deadline);

/* Has it ended? Does not wait. */
bool service_ended(struct service *service);

/* SIGTERM, then until the deadline for the end; then SIGKILL and -ETIMEDOUT. */
int service_stop(struct service *service, int64_t deadline);

/* SIGKILL if it runs, then closes what belongs to the service. Its files in the folder stay. */
void service_free(struct service *service);

/* "exit status 2", "killed by signal 11 (Segmentation fault)". */
char *service_describe(const struct service *service, char *buffer, size_t size);

/* What it wrote to stderr so far: allocated, NUL-terminated, never NULL unless out of memory. */
char *service_errors(const struct service *service);

/* Removes a folder and everything in it. 0, or the first error. */
int service_remove_tree(const char *path);

#endif
