/* schema.h - JSON against a JSON Schema (2020-12), as far as our own schemas use it. Needs jansson.
 *
 * A keyword that it does not know is refused when the schema is loaded, so that nothing a schema
 * says goes unchecked. Patterns are POSIX extended regular expressions: one that means something
 * else there than in a schema (a backslash before a letter or digit, "(?") is refused as well.
 */
#ifndef QFWATCH_TESTING_SCHEMA_H
#define QFWATCH_TESTING_SCHEMA_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct schema;

/* Loads one. Returns NULL, and tells on stderr what is wrong with it. */
struct schema *schema_load(const char *path);
void schema_free(struct schema *schema); /* NULL is fine */

/* Does the value hold to it? If not, each finding is a line on `to` (NULL: none): PREFIX, the JSON
 * pointer of the place in the value, what is wrong, and the pointer of the keyword in the schema.
 */
bool schema_check(struct schema *schema, const json_t *value, FILE *to, const char *prefix);

#endif
