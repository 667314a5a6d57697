/* textfile.h - a file that is replaced as a whole now and then, for a collector that reads it
 * whenever it likes: node_exporter's textfile collector.
 *
 * The text is written to PATH.new, which the collector passes over, and renamed. That is done by a
 * worker, so that a disk that is slow or a server that does not answer holds up nobody. A write
 * that fails is told once, with what to do, and the next one is made as if nothing had been.
 *
 * When the policy names another file, or none, the old one is removed: its numbers would stand
 * there for ever. At a stop it stays, and the time in it says how old it is.
 */
#ifndef QFWATCH_TEXTFILE_H
#define QFWATCH_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct textfile;

/* Nothing is written before a path is known. */
struct textfile *textfile_new(void);
void textfile_free(struct textfile *textfile); /* waits for a write under way; NULL is fine */

/* path: absolute; NULL: none any more. every: seconds. The first write is due at once. */
void textfile_configure(struct textfile *textfile, const char *path, int64_t every, int64_t now);

/* Takes what a worker has finished. Is a new text wanted at `now` (microseconds since the epoch)?
 */
bool textfile_is_due(struct textfile *textfile, int64_t now);

/* Writes it, soon. The text is copied. */
void textfile_write(struct textfile *textfile, const char *text, size_t length, int64_t now);

/* When a text will be wanted; INT64_MAX: never. */
int64_t textfile_deadline(const struct textfile *textfile);

/* Becomes readable when a write has ended, which textfile_is_due then takes. -1: there is none. May
 * change with textfile_configure. */
int textfile_fd(const struct textfile *textfile);

#endif
