/* load_listen.c - the policy's "listen": where the daemon answers those who ask. */
#include "load.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>
#include <sys/un.h>

#include "paths.h"

#define ADDRESSES "expected \"unix:/run/qfwatch/http.sock\", \"127.0.0.1:8025\" or \"[::1]:8025\""

/* Can only this machine reach it? */
static bool is_loopback(const char *host)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static void read_socket(struct loader *loader, json_t *value, const struct load_place *at,
			struct policy_listen *listen)
{
	const char *path = json_string_value(value) + strlen("unix:");
	const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	char absolute[PATH_MAX];

	if (*path != '/' || path[strspn(path, "/.")] == 0) {
		load_wrong_value(loader, at, value,
				 "expected the absolute path of a socket, as in "
				 "\"unix:/run/qfwatch/http.sock\"");
		return;
	}
	if (paths_absolute("/", path, absolute) < 0 || strlen(absolute) > most) {
		load_wrong_name(loader, at, "path", path, " too long for a socket",
				"expected at most 107 bytes");
		return;
	}
	listen->path = load_kept(loader, pool_copy(loader->pool, absolute));
}

static void read_inet(struct loader *loader, json_t *value, const struct load_place *at,
		      struct policy_listen *listen)
{
	listen->host = load_host_port(loader, value, at, json_string_value(value), ADDRESSES,
				      "write its numeric address (or localhost)", &listen->port);
	listen->loopback = listen->host && is_loopback(listen->host);
}

static void read_address(struct loader *loader, json_t *value, const struct load_place *at,
			 void *into)
{
	const char *address = load_string(loader, value, at, ADDRESSES);
	struct policy_listen *listen = into;

	if (!address)
		return;
	listen->address = load_kept(loader, pool_copy(loader->pool, address));
	if (!strncmp(address, "unix:", 5))
		read_socket(loader, value, at, listen);
	else
		read_inet(loader, value, at, listen);
}

static void read_group(struct loader *loader, json_t *value, const struct load_place *at,
		       void *into)
{
	static const char expected[] =
		"expected the group that may ask, such as \"adm\", or its number";
	struct policy_listen *listen = into;
	char number[32];

	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) < UINT32_MAX) {
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
		listen->group = load_kept(loader, pool_copy(loader->pool, number));
	} else if (json_is_string(value) && json_string_length(value) > 0) {
		listen->group =
			load_kept(loader, pool_copy(loader->pool, json_string_value(value)));
	} else {
		load_wrong_value(loader, at, value, expected);
	}
}

static void read_token_file(struct loader *loader, json_t *value, const struct load_place *at,
			    void *into)
{
	struct policy_listen *listen = into;

	listen->token_file =
		load_path(loader, value, at,
			  "expected the path of a file, such as \"/etc/qfwatch/http.token\"");
}

static const struct load_field listen_fields[] = {
	{"address", read_address, "say where to listen, such as \"unix:/run/qfwatch/http.sock\""},
	{"group", read_group, NULL},
	{"token_file", read_token_file, NULL},
	{0},
};

void load_listen(struct loader *loader, json_t *value, const struct load_place *at, void *into)
{
	const struct load_place address = {.parent = at, .key = "address"};
	struct policy *policy = into;
	struct policy_listen *listen = &policy->listen;

	if (json_is_string(value))
		read_address(loader, value, at, listen);
	else if (json_is_object(value))
		load_object(loader, value, at, listen_fields, listen);
	else
		load_wrong_value(loader, at, value, ADDRESSES ", or an object with an \"address\"");
	if (listen->host && json_is_object(value) && json_object_get(value, "group"))
		load_wrong(loader, at, "\"group\" of a TCP address",
			   "remove it; only a Unix socket has one (\"token_file\" protects an "
			   "address)");
	if (listen->host && load_is_numeric(listen->host) && !listen->loopback &&
	    !(json_is_object(value) && json_object_get(value, "token_file")))
		load_wrong_name(loader, json_is_object(value) ? &address : at, "address",
				listen->address, " without a token",
				"others than this machine can reach it: name a \"token_file\", or "
				"listen on a Unix socket or 127.0.0.1");
}
