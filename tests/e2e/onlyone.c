/* onlyone.c - looks at a message without pause and tells when it stands in two tiers, in none, or
 * without its body.
 *
 * usage: onlyone ID QFDIR:DFDIR...
 *
 * The tiers are given in the order in which the message goes through them. Looks until SIGTERM,
 * then prints one line: how many rounds it looked, and how often the message was in two tiers,
 * without its body, or in none between two rounds that saw it. Exits 0 when all was well, 1 when
 * not.
 *
 * Looking takes time, and the message may move meanwhile. So what was seen first is looked at
 * again: a message that was in A, then in B, then again in A, has been in both at once, because it
 * never goes back.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TIERS 8

struct place {
	char qf[4096];
	char df[4096];
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

int main(int argc, char **argv)
{
	static struct place places[MAX_TIERS];
	unsigned long rounds = 0, twice = 0, bodyless = 0, nowhere = 0;
	size_t n = 0;
	bool was_nowhere = false;

	if (argc < 3 || argc - 2 > MAX_TIERS) {
		fprintf(stderr, "usage: onlyone ID QFDIR:DFDIR...\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 2; i < argc; i++) {
		char *colon = strchr(argv[i], ':');

		if (!colon) {
			fprintf(stderr, "onlyone: %s: expected QFDIR:DFDIR\n", argv[i]);
			return 2;
		}
		snprintf(places[n].qf, sizeof(places[n].qf), "%.*s/qf%s", (int)(colon - argv[i]),
			 argv[i], argv[1]);
		snprintf(places[n].df, sizeof(places[n].df), "%s/df%s", colon + 1, argv[1]);
		n++;
	}
	signal(SIGTERM, on_signal);
	puts("looking");
	fflush(stdout);
	while (!stop) {
		size_t seen = n;

		for (size_t i = 0; i < n; i++) {
			if (!is_there(places[i].qf))
				continue;
			if (!is_there(places[i].df) && is_there(places[i].qf))
				bodyless++;
			if (seen < n && is_there(places[seen].qf))
				twice++;
			if (seen == n)
				seen = i;
		}
		rounds++;
		if (seen < n && was_nowhere) {
			nowhere++;
			was_nowhere = false;
		} else if (seen == n) {
			was_nowhere = true;
		}
	}
	printf("rounds %lu twice %lu bodyless %lu nowhere %lu\n", rounds, twice, bodyless, nowhere);
	return twice || bodyless || nowhere;
}
