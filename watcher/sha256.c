/* sha256.c - see sha256.h. The names are those of FIPS 180-4. */
#include "qfwatch/sha256.h"

#include <string.h>

static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static uint32_t load(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static void store(unsigned char *bytes, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(x >> (24 - 8 * i));
}

static void compress(uint32_t state[8], const unsigned char *block)
{
	uint32_t w[64], v[8];

	for (int t = 0; t < 16; t++)
		w[t] = load(block + (size_t)t * 4);
	for (int t = 16; t < 64; t++) {
		uint32_t s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
		uint32_t s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;

		w[t] = w[t - 16] + s0 + w[t - 7] + s1;
	}
	memcpy(v, state, sizeof v);
	for (int t = 0; t < 64; t++) {
		uint32_t e = v[4], a = v[0];
		uint32_t sum1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
		uint32_t sum0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
		uint32_t choice = (e & v[5]) ^ (~e & v[6]);
		uint32_t majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
		uint32_t t1 = v[7] + sum1 + choice + K[t] + w[t];

		memmove(v + 1, v, 7 * sizeof *v);
		v[4] += t1;
		v[0] = t1 + sum0 + majority;
	}
	for (int i = 0; i < 8; i++)
		state[i] += v[i];
}

void sha256_begin(struct sha256 *sha)
{
	*sha = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
					 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *sha, const void *bytes, size_t length)
{
	const unsigned char *from = bytes;

	while (length) {
		size_t used = sha->length % SHA256_BLOCK, n = SHA256_BLOCK - used;

		if (n > length)
			n = length;
		memcpy(sha->block + used, from, n);
		sha->length += n;
		from += n;
		length -= n;
		if (sha->length % SHA256_BLOCK == 0)
			compress(sha->state, sha->block);
	}
}

void sha256_end(struct sha256 *sha, unsigned char ret[SHA256_BYTES])
{
	static const unsigned char padding[SHA256_BLOCK] = {0x80};
	uint64_t bits = sha->length * 8;
	unsigned char length[8];

	store(length, (uint32_t)(bits >> 32));
	store(length + 4, (uint32_t)bits);
	/* To 8 bytes before the end of a block. */
	sha256_add(sha, padding,
		   1 + (SHA256_BLOCK * 2 - 9 - sha->length % SHA256_BLOCK) % SHA256_BLOCK);
	sha256_add(sha, length, sizeof length);
	for (int i = 0; i < 8; i++)
		store(ret + (size_t)i * 4, sha->state[i]);
}

static void begin_with(struct sha256 *sha, const unsigned char *key, unsigned char with)
{
	unsigned char block[SHA256_BLOCK];

	for (int i = 0; i < SHA256_BLOCK; i++)
		block[i] = key[i] ^ with;
	sha256_begin(sha);
	sha256_add(sha, block, sizeof block);
}

void hmac_sha256_key(struct hmac_sha256 *hmac, const void *key, size_t length)
{
	unsigned char padded[SHA256_BLOCK] = {0};

	if (length > sizeof padded) {
		sha256_begin(&hmac->inner);
		sha256_add(&hmac->inner, key, length);
		sha256_end(&hmac->inner, padded);
	} else if (length) {
		memcpy(padded, key, length);
	}
	begin_with(&hmac->inner, padded, 0x36);
	begin_with(&hmac->outer, padded, 0x5c);
	explicit_bzero(padded, sizeof padded);
}

void hmac_sha256(const struct hmac_sha256 *hmac, const void *bytes, size_t length,
		 unsigned char ret[SHA256_BYTES])
{
	struct sha256 sha = hmac->inner;

	sha256_add(&sha, bytes, length);
	sha256_end(&sha, ret);
	sha = hmac->outer;
	sha256_add(&sha, ret, SHA256_BYTES);
	sha256_end(&sha, ret);
}
