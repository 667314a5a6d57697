/* sink_journal.c - events as entries of systemd's journal, by its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram an entry, "FIELD=value" a line; a
 * value that may hold a newline has its length in front instead.
 *
 * An entry is at most 6 kB, so it always fits a datagram; no memory file is needed.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sink_socket.h"

/* The longest value but for the line itself. */
#define VALUE_MAX 256
#define TEXT_MAX  512

/* The entry that is being written. */
struct entry {
	char *to;
	size_t length;
};

static void add(struct entry *entry, const void *bytes, size_t length)
{
	memcpy(entry->to + entry->length, bytes, length);
	entry->length += length;
}

static void add_field(struct entry *entry, const char *name, const char *value, size_t length)
{
	uint64_t size = htole64(length);

	add(entry, name, strlen(name));
	if (!memchr(value, '\n', length)) {
		add(entry, "=", 1);
	} else {
		add(entry, "\n", 1);
		add(entry, &size, sizeof size);
	}
	add(entry, value, length);
	add(entry, "\n", 1);
}

static void add_text(struct entry *entry, const char *name, const char *value, size_t most)
{
	if (value && *value)
		add_field(entry, name, value, strnlen(value, most));
}

static const char *priority(const char *level)
{
	return strcmp(level, "error") == 0     ? "3"
	       : strcmp(level, "warning") == 0 ? "4"
	       : strcmp(level, "notice") == 0  ? "5"
					       : "6";
}

static size_t journal_prefix(const struct sink *sink, const struct sink_line *line, char *buffer)
{
	struct entry entry = {.to = buffer};

	(void)sink;
	add_text(&entry, "MESSAGE", line->text, TEXT_MAX);
	add_text(&entry, "PRIORITY", priority(line->level), VALUE_MAX);
	add_text(&entry, "SYSLOG_IDENTIFIER", "qfwatch", VALUE_MAX);
	add_text(&entry, "QFWATCH_ACTION", line->action, VALUE_MAX);
	if (line->id && line->id_length)
		add_field(&entry, "QFWATCH_ID", line->id,
			  line->id_length < VALUE_MAX ? line->id_length : VALUE_MAX);
	add_text(&entry, "QFWATCH_TIER", line->tier, VALUE_MAX);
	add_text(&entry, "QFWATCH_RULE", line->rule, VALUE_MAX);
	/* The line follows, and its newline ends the field. */
	add(&entry, "QFWATCH_EVENT=", strlen("QFWATCH_EVENT="));
	return entry.length;
}

static int journal_open(struct sink *sink)
{
	return sink_socket_unix(sink, sink->config.path, SOCK_DGRAM);
}

const struct sink_kind sink_journal = {
	.lazy = true,
	.reconnects = true,
	.open = journal_open,
	.ready = sink_socket_ready,
	.write = sink_socket_write,
	.close = sink_socket_close,
	.prefix = journal_prefix,
};
