/* runner.h - which queue a sendmail runs, and how often: read from its command line, from the title
 * that it gives its process, from lines of crontabs and units. Pure.
 *
 * Options are those of sendmail 8.17 (main.c); titles those that it sets ("Queue runner@00:30:00
 * for DIR", "running queue: DIR"). Any bytes may come: titles of processes are whatever a process
 * writes there.
 */
#ifndef QFWATCH_RUNNER_H
#define QFWATCH_RUNNER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The options that change what a .cf says are not remembered beyond. */
#define RUNNER_OPTIONS 1024

struct runner {
	bool runs;    /* it runs a queue */
	bool once;    /* once, and ends */
	bool selects; /* only some messages (-qI, -qR, -qS, -qG): no runner of the whole queue */
	bool unknown; /* a variable or a command's output stands in what is told here */
	int64_t interval;	      /* seconds between two runs; 0: not known */
	char directory[PATH_MAX];     /* empty: not told, the one of its .cf */
	char cf[PATH_MAX];	      /* empty: the usual one */
	char options[RUNNER_OPTIONS]; /* what follows -O, each with a newline behind it */
};

/* Reads the words behind the program's name. */
void runner_parse_words(char *const *words, size_t count, struct runner *ret);

/* Reads the title of a process. Returns false when it tells of no queue. */
bool runner_parse_title(const char *title, struct runner *ret);

/* Is this the title of a daemon that takes mail in? It may run queues as well, and does not tell.
 */
bool runner_is_daemon_title(const char *title);

/* Reads a command line as a shell would be given it; only what is plain is understood. Returns
 * false when no word of it is a sendmail. */
bool runner_parse_command(const char *line, struct runner *ret);

/* Reads a line of a crontab: its time, and where the command begins (after the user's name, if it
 * has one). Returns seconds between two runs, on average over a day (a day for those that run less
 * often), or 0: the line has no time. */
int64_t runner_parse_cron(const char *line, const char **ret_command);

/* Seconds of "30min", "1h 30min", "90" as in units of systemd; 0: not known. */
int64_t runner_parse_span(const char *text);

#endif
