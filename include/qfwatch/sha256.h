/* sha256.h - SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104). Pure.
 *
 * Our own, because a hundred lines that never change are less to carry than a library, its package
 * and its updates on every mail server.
 */
#ifndef QFWATCH_SHA256_H
#define QFWATCH_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

struct sha256 {
	uint32_t state[8];
	uint64_t length; /* bytes so far */
	unsigned char block[SHA256_BLOCK];
};

void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t length);
void sha256_end(struct sha256 *sha, unsigned char ret[SHA256_BYTES]);

/* A key made ready: what is computed with it starts from these two. */
struct hmac_sha256 {
	struct sha256 inner, outer;
};

/* A key of any length; longer than 64 bytes is no better. */
void hmac_sha256_key(struct hmac_sha256 *hmac, const void *key, size_t length);
void hmac_sha256(const struct hmac_sha256 *hmac, const void *bytes, size_t length,
		 unsigned char ret[SHA256_BYTES]);

#endif
