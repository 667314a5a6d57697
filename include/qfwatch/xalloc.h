/* xalloc.h - memory for the daemon's own book-keeping, where there is nothing sensible to do
 * without it.
 *
 * Every state of a move on disk is safe to die in, so running out of memory ends the program with
 * exit code 3 and a line on stderr. What is read from outside (policies) does not use these: it
 * reports -ENOMEM.
 */
#ifndef QFWATCH_XALLOC_H
#define QFWATCH_XALLOC_H

#include <stddef.h>

/* All return memory that the caller frees with free(), never NULL. */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* Zeros straight from the kernel, for munmap: what is not touched takes no memory. calloc promises
 * that only of memory that was never used before, and else clears all of it. */
void *xpages(size_t bytes) __attribute__((malloc, returns_nonnull));

#endif
