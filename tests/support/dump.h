/* dump.h - a policy as text, everything that was loaded: the fixtures of the loader compare it.
 *
 * One line a fact. Tiers stand by their names, conditions below each other, indented by what they
 * are part of.
 */
#ifndef QFWATCH_TESTING_DUMP_H
#define QFWATCH_TESTING_DUMP_H

#include <stdio.h>

#include "qfwatch/policy.h"

/* Paths in `folder` are written with "." instead of it. */
void dump_policy(FILE *to, const struct policy *policy, const char *folder);

#endif
