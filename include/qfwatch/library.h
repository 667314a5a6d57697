/* library.h - libraries that only some runs need, loaded when they do.
 *
 * libcurl brings thirty others with it and libmicrohttpd a dozen: started with them, each command
 * would take three times as long to begin, and a daemon that does not listen would have a TLS
 * library in its memory. So they are not linked; whoever calls them loads them first. Their headers
 * are used as ever, and the types of the functions with them.
 */
#ifndef QFWATCH_LIBRARY_H
#define QFWATCH_LIBRARY_H

#include <stddef.h>

/* One function: its name, and the pointer to it that is to be set. */
struct library_symbol {
	const char *name;
	void *place;
};

/* Loads the first of these files that is there (`names` ends with NULL) and sets the pointers.
 * Never unloaded. Returns NULL, or what is wrong: the linker's words, good until the next call. */
const char *library_load(const char *const *names, const struct library_symbol *symbols, size_t n);

#endif
