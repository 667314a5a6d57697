/* addresses.h - what events may say of a message's addresses (the policy's events.addresses). */
#ifndef QFWATCH_ADDRESSES_H
#define QFWATCH_ADDRESSES_H

#include <stddef.h>

#include "qfwatch/policy.h"
#include "qfwatch/sha256.h"

/* Longest address that is shown, bytes: 64 of a local part, "@", 255 of a domain (RFC 5321,
 * 4.5.3.1). What is longer is cut. */
#define ADDRESSES_MAX 320

/* A few addresses, copied: for an event that is written when the qf is not at hand any more. Zero
 * is an empty one, and it can be copied as a whole. */
#define ADDRESS_LIST_MAX 33 /* a sender and 32 recipients */

struct address_list {
	char bytes[4096]; /* one after the other, each with its NUL */
	uint16_t used;
	uint8_t count;
	bool cut; /* there were more, or longer ones */
};

/* Adds one of any bytes; what stands behind a NUL is left out. Where there is no room for it, the
 * list is cut. */
void address_list_add(struct address_list *list, const char *address, size_t length);

/* Points to each of them, from the one at index `first` on, for event.recipients: ret has
 * ADDRESS_LIST_MAX places. Returns how many. */
size_t address_list_from(const struct address_list *list, size_t first, const char **ret);

struct addresses {
	enum policy_addresses how;
	struct hmac_sha256 key; /* POLICY_ADDRESSES_HASH */
};

/* Does as the policy says. For hashes it reads the key file, which must be a regular one that
 * nobody but its owner may read, of 32 to 4096 bytes; all its bytes are the key. Returns 0, or
 * -errno with a finding and *addresses as it was. */
int addresses_configure(struct addresses *addresses, const struct policy *policy,
			struct problems *problems);

/* Are sender and recipients shown? Is nothing shown, not even domains? */
bool addresses_are_shown(const struct addresses *addresses);
bool addresses_are_secret(const struct addresses *addresses);

/* An address as events show it, in buffer or itself; only where addresses are shown. As a hash it
 * is "hmac-sha256:HEX@domain": the first 32 hexadecimal digits of the HMAC of the whole address in
 * lower case, so that the same address is always the same text. The null sender is "<>" either
 * way. buffer holds ADDRESSES_MAX bytes. */
const char *addresses_show(const struct addresses *addresses, const char *address, char *buffer);

#endif
