/* pool.c - blocks that live and die together.
 *
 * Each block is an allocation of its own rather than a slice of a large one: a policy is small, and
 * so the sanitizers and valgrind see an access past the end of each.
 */
#include "memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pool_block {
	struct pool_block *next;
	alignas(max_align_t) unsigned char bytes[];
};

void *pool_alloc(struct pool *pool, size_t size)
{
	struct pool_block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	block = memory_resize(NULL, sizeof(*block) + size);
	if (!block)
		return NULL;
	memset(block->bytes, 0, size);
	block->next = pool->blocks;
	pool->blocks = block;
	return block->bytes;
}

void *pool_array(struct pool *pool, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return pool_alloc(pool, bytes);
}

char *pool_copy(struct pool *pool, const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = pool_alloc(pool, size);

	if (copy)
		memcpy(copy, string, size);
	return copy;
}

void pool_free(struct pool *pool)
{
	while (pool->blocks) {
		struct pool_block *block = pool->blocks;

		pool->blocks = block->next;
		free(block);
	}
}
