/* sink_socket.h - what the sinks that write to sockets share. Inside watcher/sink_*.c only. */
#ifndef QFWATCH_SINK_SOCKET_H
#define QFWATCH_SINK_SOCKET_H

#include "qfwatch/sink.h"

/* Connects to the socket of that name, of that type (SOCK_STREAM, SOCK_DGRAM). Returns 0 or
 * -errno; -EAGAIN: it has no room for more connections now. */
int sink_socket_unix(struct sink *sink, const char *path, int type);

/* Begins to connect to a numeric address; sink_socket_ready tells when that is done. */
int sink_socket_inet(struct sink *sink, const char *address, uint16_t port, int type);

/* sink_kind.ready, .write and .close of all of them. */
int sink_socket_ready(struct sink *sink);
ssize_t sink_socket_write(struct sink *sink, const char *bytes, size_t length);
void sink_socket_close(struct sink *sink);

#endif
