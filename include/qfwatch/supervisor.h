/* supervisor.h - what a service manager hears from us: sd_notify(3)'s protocol, one datagram a
 * message, without libsystemd.
 *
 * Nothing is sent when $NOTIFY_SOCKET is not set, and nothing fails or waits.
 */
#ifndef QFWATCH_SUPERVISOR_H
#define QFWATCH_SUPERVISOR_H

#include <stdint.h>

/* Reads $NOTIFY_SOCKET. Returns a descriptor, the caller's to close, or -1 when nobody listens. */
int supervisor_open(void);

/* Reads $WATCHDOG_USEC. Returns the interval in which the watchdog wants to be fed, microseconds
 * (half of what it was told), or 0 for no watchdog. */
int64_t supervisor_watchdog(void);

/* Sends "STATE" lines as they are: "READY=1", "STATUS=...". Nothing with -1 for a descriptor. */
void supervisor_tell(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
