/* load_sinks.c - the policy's "sinks": where events go. */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "qfwatch/units.h"

#define TYPES "\"stdout\", \"file\", \"syslog\", \"journal\", \"unix\" or \"fifo\""

static const char *const type_names[] = {
	[POLICY_SINK_STDOUT] = "stdout", [POLICY_SINK_FILE] = "file",
	[POLICY_SINK_SYSLOG] = "syslog", [POLICY_SINK_JOURNAL] = "journal",
	[POLICY_SINK_UNIX] = "unix",	 [POLICY_SINK_FIFO] = "fifo",
};

/* The facilities of RFC 5424, by their number; those without a name in syslog(3) have none here. */
static const char *const facility_names[] = {
	"kern",	  "user",   "mail",	"daemon", "auth",   "syslog", "lpr",	"news",
	"uucp",	  "cron",   "authpriv", "ftp",	  NULL,	    NULL,     NULL,	NULL,
	"local0", "local1", "local2",	"local3", "local4", "local5", "local6", "local7",
};

#define FACILITY_MAIL 2

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Index of a word in a list that may have holes, or -1 with a finding. */
static int find_word(struct loader *loader, const struct load_place *at, const char *kind,
		     const char *word, const char *const *list, size_t count)
{
	struct load_choice choice = {.nearest.word = word};

	for (size_t i = 0; i < count; i++) {
		if (!list[i])
			continue;
		if (!strcmp(list[i], word))
			return (int)i;
		load_offer(&choice, list[i]);
	}
	load_unknown(loader, at, kind, &choice);
	return -1;
}

static void read_type(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	const char *type = load_string(loader, value, at, "expected the type of a sink: " TYPES);
	struct policy_sink *sink = into;
	int index;

	if (!type)
		return;
	index = find_word(loader, at, "sink type", type, type_names, COUNT(type_names));
	if (index >= 0)
		sink->type = (enum policy_sink_type)index;
}

static void read_path(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy_sink *sink = into;

	sink->path = load_path(loader, value, at,
			       "expected the path of a file, such as \"/var/log/qfwatch.json\"");
}

/* ---- the address of a syslog ---- */

#define ADDRESSES "expected \"unix:/dev/log\", \"udp:192.0.2.1:514\" or \"tcp:[2001:db8::1]:601\""

static void read_inet(struct loader *loader, json_t *value, const struct load_place *at,
		      struct policy_sink *sink)
{
	sink->path = load_host_port(loader, value, at, json_string_value(value) + strlen("udp:"),
				    ADDRESSES,
				    "write its numeric address (or localhost): a name would have "
				    "to be looked up, and events never wait",
				    &sink->port);
}

static void read_address(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	const char *address = load_string(loader, value, at, ADDRESSES);
	struct policy_sink *sink = into;

	if (!address)
		return;
	if (!strncmp(address, "udp:", 4) || !strncmp(address, "tcp:", 4)) {
		sink->transport = address[0] == 'u' ? POLICY_UDP : POLICY_TCP;
		read_inet(loader, value, at, sink);
	} else if (!strncmp(address, "unix:/", 6)) {
		sink->transport = POLICY_UNIX;
		sink->path = load_kept(loader, pool_copy(loader->pool, address + 5));
	} else {
		load_wrong_value(loader, at, value, ADDRESSES);
	}
}

static void read_facility(struct loader *loader, json_t *value, const struct load_place *at,
			  void *into)
{
	const char *name = load_string(loader, value, at, "expected a facility, such as \"mail\"");
	struct policy_sink *sink = into;
	int index = name ? find_word(loader, at, "facility", name, facility_names,
				     COUNT(facility_names))
			 : -1;

	if (index >= 0)
		sink->facility = (unsigned)index;
}

/* ---- the others ---- */

static void read_mode(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	static const char *const modes[] = {"stream", "datagram"};
	const char *mode = load_string(loader, value, at, "expected \"stream\" or \"datagram\"");
	struct policy_sink *sink = into;

	if (mode)
		sink->datagrams = find_word(loader, at, "mode", mode, modes, COUNT(modes)) == 1;
}

/* A size as text, or whole bytes. */
static void read_size(struct loader *loader, const json_t *value, const struct load_place *at,
		      int64_t least, int64_t most, const char *expected, uint64_t *ret)
{
	int64_t bytes = -1;

	if (json_is_integer(value))
		bytes = json_integer_value(value);
	else if (json_is_string(value))
		units_parse_size(json_string_value(value), &bytes);
	if (bytes < least || bytes > most)
		load_wrong_value(loader, at, value, expected);
	else
		*ret = (uint64_t)bytes;
}

static void read_max_bytes(struct loader *loader, json_t *value, const struct load_place *at,
			   void *into)
{
	struct policy_sink *sink = into;

	read_size(loader, value, at, POLICY_ROTATE_LEAST, UNITS_SIZE_MAX,
		  "expected a size of at least \"64KiB\", such as \"100MiB\"", &sink->max_bytes);
}

static void read_buffer(struct loader *loader, json_t *value, const struct load_place *at,
			void *into)
{
	struct policy_sink *sink = into;

	read_size(loader, value, at, POLICY_BUFFER_LEAST, POLICY_BUFFER_MOST,
		  "expected a size from \"64KiB\" to \"64MiB\"", &sink->buffer);
}

static void read_keep(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	struct policy_sink *sink = into;
	json_int_t keep = json_integer_value(value);

	if (!json_is_integer(value) || keep < 1 || keep > POLICY_KEEP_MOST)
		load_wrong_value(loader, at, value,
				 "expected how many rotated files stay: 1 to 1000");
	else
		sink->keep = (unsigned)keep;
}

static void read_include(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	struct policy_sink *sink = into;

	load_event_list(loader, value, at, &sink->include, sink->exclude);
}

static void read_exclude(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	struct policy_sink *sink = into;

	load_event_list(loader, value, at, &sink->exclude, sink->include);
}

static const struct load_field sink_fields[] = {
	{"type", read_type, "say where the events go: " TYPES},
	{"path", read_path, NULL},
	{"address", read_address, NULL},
	{"facility", read_facility, NULL},
	{"mode", read_mode, NULL},
	{"max_bytes", read_max_bytes, NULL},
	{"keep", read_keep, NULL},
	{"buffer", read_buffer, NULL},
	{"include", read_include, NULL},
	{"exclude", read_exclude, NULL},
	{0},
};

/* ---- what the keys of one sink, and the sinks before it, ask of each other ---- */

/* Keys that only some types have. */
static const struct {
	const char *key;
	unsigned types; /* bit per type */
	const char *remedy;
} own_keys[] = {
	{"address", 1u << POLICY_SINK_SYSLOG, "remove it; only a syslog sink has one"},
	{"facility", 1u << POLICY_SINK_SYSLOG, "remove it; only a syslog sink has one"},
	{"mode", 1u << POLICY_SINK_UNIX, "remove it; only a unix sink has one"},
	{"max_bytes", 1u << POLICY_SINK_FILE, "remove it; only a file is rotated"},
	{"keep", 1u << POLICY_SINK_FILE, "remove it; only a file is rotated"},
};

static void check_keys(struct loader *loader, const json_t *json, const struct policy_sink *sink,
		       const struct load_place *at)
{
	for (size_t i = 0; i < COUNT(own_keys); i++) {
		struct text found = {0};

		if (!json_object_get(json, own_keys[i].key) || own_keys[i].types >> sink->type & 1)
			continue;
		text_add(&found, "\"%s\" of a %s sink", own_keys[i].key, type_names[sink->type]);
		load_wrong(loader, at, found.bytes, "%s", own_keys[i].remedy);
	}
	if (json_object_get(json, "keep") && !json_object_get(json, "max_bytes") &&
	    sink->type == POLICY_SINK_FILE)
		load_wrong(loader, at, "\"keep\" without \"max_bytes\"",
			   "say how large a file may become, such as \"max_bytes\": \"100MiB\"");
}

static void check_path(struct loader *loader, const json_t *json, const struct policy_sink *sink,
		       const struct load_place *at)
{
	static const char *const missing[] = {
		[POLICY_SINK_FILE] = "say which file, such as \"/var/log/qfwatch.json\"",
		[POLICY_SINK_UNIX] = "say which socket, such as \"/run/collector.sock\"",
		[POLICY_SINK_FIFO] = "say which FIFO, such as \"/run/qfwatch/events\"",
	};
	bool path = json_object_get(json, "path") != NULL;

	if (path && sink->type == POLICY_SINK_STDOUT)
		load_wrong(loader, at, "\"path\" of a stdout sink",
			   "remove it, or write \"type\": \"file\"");
	else if (path && sink->type == POLICY_SINK_SYSLOG)
		load_wrong(loader, at, "\"path\" of a syslog sink",
			   "write \"address\": \"unix:PATH\" instead");
	else if (!path && sink->type < COUNT(missing) && missing[sink->type])
		load_wrong_name(loader, at, "missing key", "path", "", missing[sink->type]);
}

static bool is_socket(const struct policy_sink *sink)
{
	return sink->type == POLICY_SINK_UNIX || sink->type == POLICY_SINK_JOURNAL ||
	       (sink->type == POLICY_SINK_SYSLOG && sink->transport == POLICY_UNIX);
}

static void check_target(struct loader *loader, const json_t *json, size_t index,
			 const struct load_place *at)
{
	const struct policy_sink *sinks = loader->policy->sinks, *sink = &sinks[index];
	const char *key = json_object_get(json, "address") ? "address" : "path";
	const char *as_written = json_string_value(json_object_get(json, key));
	struct load_place place = {.parent = at, .key = key};
	const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	struct text expected = {0};

	if (!sink->path)
		return;
	if (!as_written)
		place = *at; /* what is meant when nothing is written */
	if (is_socket(sink) && strlen(sink->path) > most) {
		text_add(&expected, "expected at most %zu bytes, once made absolute", most);
		load_wrong_name(loader, &place, "path", sink->path, " too long for a socket",
				expected.bytes);
		return;
	}
	for (size_t i = 0; i < index; i++) {
		if (!sinks[i].path || strcmp(sinks[i].path, sink->path) != 0 ||
		    sinks[i].transport != sink->transport || sinks[i].port != sink->port)
			continue;
		text_add(&expected, "/events/sinks/%zu writes there already; remove one of them",
			 i);
		load_wrong_name(loader, &place,
				sink->port			 ? "address"
				: is_socket(sink)		 ? "socket"
				: sink->type == POLICY_SINK_FIFO ? "FIFO"
								 : "file",
				sink->port ? as_written : sink->path, " twice", expected.bytes);
		return;
	}
}

static void check_stdout(struct loader *loader, const json_t *sinks, size_t index,
			 const struct load_place *at)
{
	for (size_t i = 0; i < index; i++) {
		const char *type =
			json_string_value(json_object_get(json_array_get(sinks, i), "type"));

		if (type && !strcmp(type, "stdout")) {
			load_wrong(loader, at, "second stdout sink",
				   "/events/sinks/%zu is one already; remove one of them", i);
			return;
		}
	}
}

/* Does it say what it is? Without, there is a finding already, and no telling what belongs to it.
 */
static bool has_type(const json_t *sink)
{
	const char *type = json_string_value(json_object_get(sink, "type"));

	for (size_t i = 0; type && i < COUNT(type_names); i++) {
		if (!strcmp(type_names[i], type))
			return true;
	}
	return false;
}

static void set_defaults(struct loader *loader, struct policy_sink *sink, const json_t *json)
{
	const char *path = sink->type == POLICY_SINK_JOURNAL && !json_object_get(json, "path")
				   ? POLICY_JOURNAL_SOCKET
			   : sink->type == POLICY_SINK_SYSLOG && !json_object_get(json, "address")
				   ? POLICY_SYSLOG_SOCKET
				   : NULL;

	if (path)
		sink->path = load_kept(loader, pool_copy(loader->pool, path));
	if (sink->type == POLICY_SINK_SYSLOG && !json_object_get(json, "facility"))
		sink->facility = FACILITY_MAIL;
	if (sink->max_bytes && !sink->keep)
		sink->keep = POLICY_KEEP_DEFAULT;
}

void load_sinks(struct loader *loader, json_t *value, const struct load_place *at,
		struct policy *policy)
{
	size_t count = json_array_size(value);

	if (count == 0) {
		load_wrong_value(loader, at, value,
				 "expected a list of sinks, such as [{\"type\": \"stdout\"}]");
		return;
	}
	policy->sinks = load_kept(loader, pool_array(loader->pool, count, sizeof(*policy->sinks)));
	if (!policy->sinks)
		return;
	policy->n_sinks = count;
	for (size_t i = 0; i < count; i++) {
		struct load_place place = {.parent = at, .index = i};
		json_t *sink = json_array_get(value, i);

		if (!load_is_object(loader, sink, &place,
				    "expected a sink, such as {\"type\": \"stdout\"}"))
			continue;
		load_object(loader, sink, &place, sink_fields, &policy->sinks[i]);
		if (!has_type(sink))
			continue;
		set_defaults(loader, &policy->sinks[i], sink);
		check_keys(loader, sink, &policy->sinks[i], &place);
		check_path(loader, sink, &policy->sinks[i], &place);
		check_target(loader, sink, i, &place);
		if (policy->sinks[i].type == POLICY_SINK_STDOUT)
			check_stdout(loader, value, i, &place);
	}
}
