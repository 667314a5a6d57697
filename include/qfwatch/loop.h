/* loop.h - runs the engine: notifications, signals, deadlines, the policy file, the service
 * manager. */
#ifndef QFWATCH_LOOP_H
#define QFWATCH_LOOP_H

#include <stdbool.h>

struct loop_options {
	const char *policy; /* path of the policy file */
	bool once;	    /* one pass, then end */
	bool dry_run;	    /* touch nothing */
};

/* Runs until SIGTERM or SIGINT, or the end of the pass. Findings and diagnostics go to stderr.
 * Returns the exit code: 0, 1 (once: something is left that should have been done), 2 (the policy
 * or a tier in it is wrong), 3 (the system refused). */
int loop_run(const struct loop_options *options);

#endif
