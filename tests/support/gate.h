/* gate.h - programs that a test gives to the engine: shell scripts that can be held at a gate until
 * the test lets them go on, so that it knows what is under way.
 *
 * For tests in a process of their own (testing.h). All stands beside the test's own folder.
 */
#ifndef QFWATCH_TESTING_GATE_H
#define QFWATCH_TESTING_GATE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes an executable script of these commands and returns its absolute path. In them, `note TEXT`
 * adds a line to what gate_notes gives, and `gate` waits until it is let through. */
const char *gate_script(const char *name, const char *commands);

/* Puts up the gate; takes it away, and lets all through that wait there. */
void gate_set_up(void);
void gate_take_away(void);

/* Waits until so many have come to the gate since it was put up; false when they do not. */
bool gate_has_seen(size_t count);

/* Lets so many through: of those that wait there, or that will. */
void gate_let_through(size_t count);

/* All that the scripts have noted, "" when nothing. Good until the next call. */
const char *gate_notes(void);
size_t gate_count_notes(void);

#endif
