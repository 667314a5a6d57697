/* addresses.c - see addresses.h */
#include "qfwatch/addresses.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_LEAST 32
#define KEY_MOST  4096

#define HASH_PREFIX "hmac-sha256:"
#define HASH_DIGITS 32

static int refuse(struct problems *problems, const char *path, int error, const char *why,
		  const char *remedy)
{
	problems_add(problems, PROBLEM_REFUSED,
		     "events at /events/addresses_key: cannot use the key file %s (%s): %s", path,
		     why, remedy);
	return -error;
}

static int read_key(const char *path, struct hmac_sha256 *ret, struct problems *problems)
{
	unsigned char key[KEY_MOST + 1];
	char why[64];
	struct stat stat;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), error;

	if (fd < 0) {
		error = errno;
		return refuse(problems, path, error, strerror(error),
			      error == ENOENT ? "make it: head -c 32 /dev/urandom >FILE; chmod "
						"0600 FILE"
					      : "the user that runs qfwatch must be able to read "
						"it");
	}
	n = fstat(fd, &stat) < 0 ? -1 : read(fd, key, sizeof key);
	error = errno;
	close(fd);
	if (n < 0)
		return refuse(problems, path, error, strerror(error), "name a regular file");
	if (!S_ISREG(stat.st_mode))
		return refuse(problems, path, EINVAL, "not a regular file", "name a regular file");
	if (stat.st_mode & 07177) {
		snprintf(why, sizeof why, "mode %04o", stat.st_mode & 07777u);
		return refuse(problems, path, EPERM, why,
			      "nobody but its owner may read it: chmod 0600");
	}
	if (n < KEY_LEAST || n > KEY_MOST) {
		snprintf(why, sizeof why,
			 n > KEY_MOST ? "more than %d bytes" : "less than %d bytes",
			 n > KEY_MOST ? KEY_MOST : KEY_LEAST);
		return refuse(problems, path, EINVAL, why,
			      "it must hold 32 to 4096 random bytes: head -c 32 /dev/urandom");
	}
	hmac_sha256_key(ret, key, (size_t)n);
	explicit_bzero(key, sizeof key);
	return 0;
}

int addresses_configure(struct addresses *addresses, const struct policy *policy,
			struct problems *problems)
{
	struct addresses new = {.how = policy->addresses};
	int r = 0;

	if (new.how == POLICY_ADDRESSES_HASH)
		r = read_key(policy->addresses_key, &new.key, problems);
	if (r == 0)
		*addresses = new;
	explicit_bzero(&new, sizeof new);
	return r;
}

bool addresses_are_shown(const struct addresses *addresses)
{
	return addresses->how == POLICY_ADDRESSES_HASH || addresses->how == POLICY_ADDRESSES_FULL;
}

bool addresses_are_secret(const struct addresses *addresses)
{
	return addresses->how == POLICY_ADDRESSES_NONE;
}

/* Hashes it all, and keeps the domain readable: events tell that of recipients anyway. */
static const char *show_hash(const struct hmac_sha256 *key, const char *address, char *buffer)
{
	unsigned char hash[SHA256_BYTES];
	char lower[ADDRESSES_MAX * 2];
	const char *at;
	size_t length = 0, n;

	/* What is longer than any address is hashed by its beginning. */
	for (; address[length] && length + 1 < sizeof lower; length++)
		lower[length] = address[length] >= 'A' && address[length] <= 'Z'
					? (char)(address[length] - 'A' + 'a')
					: address[length];
	lower[length] = 0;
	hmac_sha256(key, lower, length, hash);
	n = (size_t)snprintf(buffer, ADDRESSES_MAX, "%s", HASH_PREFIX);
	for (int i = 0; i < HASH_DIGITS / 2; i++)
		n += (size_t)snprintf(buffer + n, ADDRESSES_MAX - n, "%02x", hash[i]);
	at = strrchr(lower, '@');
	if (at)
		snprintf(buffer + n, ADDRESSES_MAX - n, "%s", at);
	return buffer;
}

const char *addresses_show(const struct addresses *addresses, const char *address, char *buffer)
{
	if (!*address || strcmp(address, "<>") == 0)
		return "<>";
	return addresses->how == POLICY_ADDRESSES_HASH ? show_hash(&addresses->key, address, buffer)
						       : address;
}

void address_list_add(struct address_list *list, const char *address, size_t length)
{
	length = strnlen(address, length);
	if (list->cut || list->count == ADDRESS_LIST_MAX ||
	    length + 1 > sizeof list->bytes - list->used) {
		list->cut = true;
		return;
	}
	memcpy(list->bytes + list->used, address, length);
	list->bytes[list->used + length] = 0;
	list->used = (uint16_t)(list->used + length + 1);
	list->count++;
}

size_t address_list_from(const struct address_list *list, size_t first, const char **ret)
{
	const char *at = list->bytes;
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (i >= first)
			ret[count++] = at;
		at += strlen(at) + 1;
	}
	return count;
}
