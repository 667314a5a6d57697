/* command.c - see command.h */
#include "qfwatch/command.h"

#include <stdio.h>

int command_misused(const char *command, const char *reason, const char *what)
{
	if (reason && what)
		fprintf(stderr, "qfwatch %s: %s \"%s\"\n", command, reason, what);
	else if (reason)
		fprintf(stderr, "qfwatch %s: %s\n", command, reason);
	fprintf(stderr, "`qfwatch %s -h` tells how it is called.\n", command);
	return EXIT_USAGE;
}
