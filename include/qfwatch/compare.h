/* compare.h - a condition put as a question: "attempts 2 >= 3", to which policy_match says no.
 *
 * policy_describe (policy.h) tells what is: "attempts 2 < 3". In a list of conditions, each with
 * its answer beside it, the question is what one wants to read. Pure.
 */
#ifndef QFWATCH_COMPARE_H
#define QFWATCH_COMPARE_H

#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"

/* Room for nearly every question, NUL included; what is longer is cut. */
#define COMPARE_TEXT 512

/* Writes the condition with what the message has: "age 3h20m >= 6d", `sender a@example.net matches
 * "*@example.org"`. Of one that is made of others only what joins them: "any of". Texts of the qf
 * and of patterns are cut to 60 bytes; control characters become "?", bytes that are no UTF-8 stay.
 * Always NUL-terminated; returns buffer. */
char *compare_text(const struct policy_condition *condition, const struct policy_message *message,
		   int64_t now, char *buffer, size_t size);

#endif
