/* placing.c - see placing.h. */
#include "placing.h"

#include <errno.h>
#include <string.h>

#include "bench.h"

bool placing_can(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

static void go(pid_t pid, const cpu_set_t *set)
{
	if (sched_setaffinity(pid, sizeof(*set), set) < 0)
		bench_fail("cannot choose processors: %s", strerror(errno));
}

void placing_begin(struct placing *placing, struct reaction *reaction, pid_t watcher)
{
	int cpu = 0;

	if (!placing->apart)
		return;
	CPU_ZERO(&placing->first);
	CPU_ZERO(&placing->last);
	if (sched_getaffinity(0, sizeof(placing->before), &placing->before) < 0)
		bench_fail("cannot ask for processors: %s", strerror(errno));
	while (!CPU_ISSET(cpu, &placing->before))
		cpu++;
	CPU_SET(cpu, &placing->first);
	for (cpu = CPU_SETSIZE - 1; !CPU_ISSET(cpu, &placing->before);)
		cpu--;
	CPU_SET(cpu, &placing->last);
	go(watcher, &placing->first);
	go(0, &placing->last);
	reaction->arrivals.spin = true;
}

void placing_join(const struct placing *placing, pid_t pid)
{
	if (placing->apart)
		go(pid, &placing->first);
}

void placing_end(const struct placing *placing, struct reaction *reaction)
{
	reaction->arrivals.spin = false;
	if (placing->apart)
		go(0, &placing->before);
}
