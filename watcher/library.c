/* library.c - see library.h */
#include "qfwatch/library.h"

#include <dlfcn.h>
#include <string.h>

const char *library_load(const char *const *names, const struct library_symbol *symbols, size_t n)
{
	void *library = NULL;

	for (; !library && *names; names++)
		library = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return dlerror();
	for (size_t i = 0; i < n; i++) {
		void *function = dlsym(library, symbols[i].name);

		if (!function)
			return dlerror();
		/* A pointer to a function is as large as one to data (POSIX, dlsym). */
		memcpy(symbols[i].place, &function, sizeof function);
	}
	return NULL;
}
