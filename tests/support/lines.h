/* lines.h - event lines as tests read them: valid, and what stands where. Needs jansson. */
#ifndef QFWATCH_TESTING_LINES_H
#define QFWATCH_TESTING_LINES_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* A line as it must be: valid JSON (jansson insists on UTF-8) without a key given twice, one line,
 * at most EVENTS_LINE_MAX bytes. Ends the process if it is not. The caller lets go of it
 * (json_decref). */
json_t *lines_parse(const char *line, size_t length);

/* The event must hold to contrib/events-1.schema.json (QFWATCH_SCHEMA names another): ends the
 * process if it does not. The schema is read when the program starts, from the project's folder;
 * elsewhere there is none, and nothing is checked. */
void lines_check(const json_t *event);

/* What stands at "a/b/c", borrowed; NULL: nothing. */
json_t *lines_at(json_t *json, const char *path);
const char *lines_text(json_t *json, const char *path); /* NULL: no string there */
intmax_t lines_number(json_t *json, const char *path);	/* ends the process if there is none */

/* All lines of a file as an array. */
json_t *lines_load(const char *path);

#endif
