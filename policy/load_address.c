/* load_address.c - numeric addresses and their ports, as sinks and "listen" name them. */
#include <arpa/inet.h>
#include <string.h>

#include "load.h"

bool load_cut_port(char *text, char **ret_host, const char **ret_port)
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

bool load_port(const char *text, uint16_t *ret)
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

bool load_is_host_name(const char *host)
{
	return host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
				 "_")] == 0 &&
	       host[strspn(host, "0123456789.")] != 0;
}
