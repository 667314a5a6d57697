/* hash.h - a number made of bytes: 64-bit FNV-1a.
 *
 * Not keyed. Its low bits are weak for short texts: who takes a place in a table from it mixes it
 * first.
 */
#ifndef QFWATCH_HASH_H
#define QFWATCH_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const char *bytes, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	return hash;
}

#endif
