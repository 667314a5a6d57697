/* supervisor.h - what a service manager hears from us: sd_notify(3)'s protocol, one datagram a
 * message, without libsystemd.
 *
 * All of these do nothing when $NOTIFY_SOCKET is not set, and never fail or wait.
 */
#ifndef QFWATCH_SUPERVISOR_H
#define QFWATCH_SUPERVISOR_H

#include <stdint.h>

/* Reads $NOTIFY_SOCKET and $WATCHDOG_USEC. Returns the interval in which the watchdog wants to be
 * fed, microseconds (half of what it was told), or 0 for no watchdog. */
int64_t supervisor_open(void);
void supervisor_close(void);

/* Sends "STATE" lines as they are: "READY=1", "STATUS=...". */
void supervisor_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
