/* bench_spool.c - writes many realistic messages into a queue directory, with two processes at
 * once.
 *
 * usage: bench_spool DIRECTORY COUNT [split]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/fill.h"
#include "../support/stats.h"

int main(int argc, char *argv[])
{
	struct fill fill = {
		.first_process = 100000,
		.seed = 20130601,
		.attempts_most = 2,
		.age_most = 3 * 86400,
		.body_max = 3000,
	};
	int64_t began = stats_now();
	char count[32], took[32], each[32];
	char *end;
	int r;

	if (argc < 3 || argc > 4 || (argc == 4 && strcmp(argv[3], "split") != 0)) {
		fprintf(stderr, "usage: bench_spool DIRECTORY COUNT [split]\n");
		return 2;
	}
	fill.count = strtoull(argv[2], &end, 10);
	if (*end || fill.count == 0) {
		fprintf(stderr, "bench_spool: %s: expected a number of messages\n", argv[2]);
		return 2;
	}
	r = fill_spool(argv[1], argc == 4 ? MTA_SPLIT : MTA_FLAT, &fill);
	if (r < 0) {
		fprintf(stderr, "bench_spool: cannot fill %s: %s\n", argv[1], strerror(-r));
		return 3;
	}
	began = stats_now() - began;
	fprintf(stderr, "bench_spool: %s messages in %s, %s each\n",
		stats_thousands(fill.count, count, sizeof(count)),
		stats_duration(began, took, sizeof(took)),
		stats_duration(began / (int64_t)fill.count, each, sizeof(each)));
	return 0;
}
