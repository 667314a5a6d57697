/* memory.h - the one door through which policy/ gets memory, and a pool that is given back whole.
 *
 * Inside policy/ only. A test that defines memory_resize itself is linked in place of memory.c (the
 * linker takes a file out of the library only for a name that is still missing), so it can refuse
 * each allocation in turn.
 */
#ifndef QFWATCH_POLICY_MEMORY_H
#define QFWATCH_POLICY_MEMORY_H

#include <stddef.h>

/* realloc(3). Returns NULL when out of memory, and `block` is then as it was. Freed with free(3).
 * size is not 0. */
void *memory_resize(void *block, size_t size);

/* Blocks that live and die together. Zero-initialise. */
struct pool {
	struct pool_block *blocks;
};

/* Returns size bytes, all zero, aligned for any type; NULL when out of memory. They belong to the
 * pool. */
void *pool_alloc(struct pool *pool, size_t size);

/* The same for an array; NULL also when count * size is too large. An array of no elements is not
 * NULL. */
void *pool_array(struct pool *pool, size_t count, size_t size);

/* Copies a string into the pool; NULL when out of memory. */
char *pool_copy(struct pool *pool, const char *string);

/* Frees every block and makes the pool empty. */
void pool_free(struct pool *pool);

#endif
