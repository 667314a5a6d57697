/* sink_syslog.c - events as the messages of syslog (RFC 5424), the JSON line as MSG.
 *
 * MSG has no byte order mark. RFC 5424, 6.4, asks for one where a sender declares its text to be
 * UTF-8, and lets it send any bytes without; RFC 8259, 8.1, forbids to put one before JSON, and the
 * parsers of the log servers stumble over it.
 *
 * By TCP each message has its length in front (octet counting, RFC 6587, 3.4.1). On a local socket
 * a newline ends it, which a stream needs and a datagram does not mind.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "qfwatch/phrase.h"
#include "sink_socket.h"

static unsigned severity(const char *level)
{
	static const struct {
		const char *level;
		unsigned severity;
	} all[] = {{"error", 3}, {"warning", 4}, {"notice", 5}};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i].level, level) == 0)
			return all[i].severity;
	return 6;
}

static int syslog_open(struct sink *sink)
{
	const struct policy_sink *config = &sink->config;
	int r;

	switch (config->transport) {
	case POLICY_UDP:
		sink->frame = SINK_FRAME_BARE;
		return sink_socket_inet(sink, config->path, config->port, SOCK_DGRAM);
	case POLICY_TCP:
		sink->frame = SINK_FRAME_COUNTED;
		return sink_socket_inet(sink, config->path, config->port, SOCK_STREAM);
	case POLICY_UNIX:
		break;
	}
	sink->frame = SINK_FRAME_LINE;
	r = sink_socket_unix(sink, config->path, SOCK_DGRAM);
	return r == -EPROTOTYPE ? sink_socket_unix(sink, config->path, SOCK_STREAM) : r;
}

/* HOSTNAME: printable ASCII without blanks, or "-". */
static const char *host_name(const char *host, char *buffer, size_t size)
{
	size_t length = 0;

	for (; host[length] && length + 1 < size; length++)
		buffer[length] = host[length] > ' ' && host[length] < 0x7f ? host[length] : '?';
	buffer[length] = 0;
	return length ? buffer : "-";
}

static size_t syslog_prefix(const struct sink *sink, const struct sink_line *line, char *buffer)
{
	struct phrase prefix = phrase_in(buffer, SINK_PREFIX_MAX);
	char host[256];

	phrase_add(&prefix, "<");
	phrase_uint(&prefix, sink->config.facility * 8 + severity(line->level));
	phrase_add(&prefix, ">1 ");
	phrase_add(&prefix, line->stamp);
	phrase_add(&prefix, " ");
	phrase_add(&prefix, host_name(line->host, host, sizeof host));
	phrase_add(&prefix, " qfwatch ");
	phrase_int(&prefix, line->pid);
	phrase_add(&prefix, " ");
	phrase_add(&prefix, line->action);
	phrase_add(&prefix, " - ");
	return prefix.length;
}

const struct sink_kind sink_syslog = {
	.lazy = true,
	.reconnects = true,
	.open = syslog_open,
	.ready = sink_socket_ready,
	.write = sink_socket_write,
	.close = sink_socket_close,
	.prefix = syslog_prefix,
};
