/* load_address.c - numeric addresses and their ports, as sinks and "listen" name them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "load.h"

/* Cuts it in two, in place. Says nothing of the two. */
static bool cut_port(char *text, char **ret_host, const char **ret_port)
{
	char *end;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || end[1] != ':')
			return false;
		*end++ = 0;
	} else {
		end = strchr(text, ':');
		if (!end || strchr(end + 1, ':'))
			return false;
	}
	*end = 0;
	*ret_host = text;
	*ret_port = end + 1;
	return *text != 0;
}

static bool read_port(const char *text, uint16_t *ret)
{
	unsigned port = 0;
	size_t length = strlen(text);

	if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
		return false;
	for (; *text; text++)
		port = port * 10 + (unsigned)(*text - '0');
	*ret = (uint16_t)port;
	return port >= 1 && port <= 65535;
}

bool load_is_numeric(const char *host)
{
	struct in6_addr address;

	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* It could be one that has to be looked up. */
static bool is_host_name(const char *host)
{
	return host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
				 "_")] == 0 &&
	       host[strspn(host, "0123456789.")] != 0;
}

char *load_host_port(struct loader *loader, const json_t *value, const struct load_place *at,
		     const char *text, const char *expected, const char *remedy, uint16_t *ret_port)
{
	char *copy = load_kept(loader, pool_copy(loader->pool, text)), *host, with_port[200];
	const char *port;

	if (!copy)
		return NULL;
	if (!cut_port(copy, &host, &port) || !read_port(port, ret_port)) {
		snprintf(with_port, sizeof with_port, "%s, with its port (1 to 65535)", expected);
		load_wrong_value(loader, at, value, with_port);
		return NULL;
	}
	if (!strcmp(host, "localhost"))
		return load_kept(loader, pool_copy(loader->pool, "127.0.0.1"));
	if (!load_is_numeric(host) && is_host_name(host))
		load_wrong_name(loader, at, "host name", host, "", remedy);
	else if (!load_is_numeric(host))
		load_wrong_value(loader, at, value, expected);
	return host;
}
