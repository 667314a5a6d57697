/* http_page.c - the page: its files, built into the program. */
#include "http_parts.h"

#include <string.h>

#define FILE_AT(path) ".incbin \"" path "\"\n"

/* The bytes of the files become NAME_start to NAME_end, when this file is compiled from the
 * project's top folder. */
#define BUILT_IN(name, files)                                                                      \
	__asm__(".section .rodata\n"                                                               \
		".balign 16\n" #name "_start:\n" files #name "_end:\n"                             \
		".byte 0\n"                                                                        \
		".previous\n");                                                                    \
	extern const char name##_start[], name##_end[]

/* One script in parts, each of which uses those before it. */
#define PART(name) FILE_AT("page/script/" name ".js")
#define PARTS                                                                                      \
	PART("words")                                                                              \
	PART("net")                                                                                \
	PART("state")                                                                              \
	PART("graph")                                                                              \
	PART("flow")                                                                               \
	PART("hour")                                                                               \
	PART("shape")                                                                              \
	PART("doctor")                                                                             \
	PART("events")                                                                             \
	PART("message")                                                                            \
	PART("start")

BUILT_IN(page_index, FILE_AT("page/index.html"));
BUILT_IN(page_script, PARTS);
BUILT_IN(page_style, FILE_AT("page/page.css"));
BUILT_IN(page_icon, FILE_AT("page/icon.svg"));

void http_page(struct http_request *request, const char *rest)
{
	static const struct {
		const char *name, *type, *start, *end;
	} files[] = {
		{"", "text/html; charset=utf-8", page_index_start, page_index_end},
		{"page.js", "text/javascript; charset=utf-8", page_script_start, page_script_end},
		{"page.css", "text/css; charset=utf-8", page_style_start, page_style_end},
		{"icon.svg", "image/svg+xml", page_icon_start, page_icon_end},
	};

	(void)rest;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (strcmp(files[i].name, request->route->path + 1) == 0) {
			json_text_bytes(&request->body, files[i].start,
					(size_t)(files[i].end - files[i].start));
			http_answer(request, MHD_HTTP_OK, files[i].type);
			return;
		}
}
