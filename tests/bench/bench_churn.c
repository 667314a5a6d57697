/* bench_churn.c - arrivals and departures: memory must not grow by them.
 *
 * First the table by itself (table.h): SCALE messages stay in it while BENCH_CHURN (10,000,000)
 * come and as many go, at random, half of them with a deadline. Resident memory of this process is
 * compared after each of the rounds with what it was when the table had been filled and turned over
 * once.
 *
 * Then the daemon: messages are written and delivered, as many as a tenth of SCALE (2,000 to
 * 100,000), while 500 others stay; compared with its resident memory when as many as a round have
 * gone (4,000 at least, unless SCALE is small: then the ring of its sink has been used once).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/table.h"

#include "../support/bench.h"
#include "../support/process.h"

static double resident(pid_t pid)
{
	int64_t bytes = process_resident(pid);

	if (bytes < 0)
		bench_fail("no VmRSS of process %d: %s", (int)pid, strerror((int)-bytes));
	return (double)bytes;
}

/* ---- the table ---- */

struct turnover {
	struct table *table;
	msgref *refs;
	uint64_t count;
	uint64_t number; /* of the next id */
	uint64_t dice;
};

static msgref insert(struct turnover *turnover)
{
	char id[MTA_ID_LENGTH + 1];
	msgref ref;

	/* As sendmail's: the first half changes slowly. */
	snprintf(id, sizeof(id), "6A%012" PRIu64, turnover->number++);
	ref = table_insert(turnover->table, 0, id, MTA_ID_LENGTH);
	if (turnover->number % 2)
		table_set_deadline(turnover->table, ref,
				   (int64_t)stats_below(&turnover->dice, 1ULL << 50));
	return ref;
}

static void turn_over(struct turnover *turnover, uint64_t times)
{
	for (uint64_t i = 0; i < times; i++) {
		uint64_t which = stats_below(&turnover->dice, turnover->count);
		const struct message *message = table_get(turnover->table, turnover->refs[which]);
		msgref found =
			table_find(turnover->table, 0, table_id(message), message->id_length);

		if (found != turnover->refs[which])
			bench_fail("a message of the table is not found");
		table_remove(turnover->table, found);
		turnover->refs[which] = insert(turnover);
	}
	if (table_count(turnover->table) != turnover->count)
		bench_fail("the table counts %zu messages of %" PRIu64,
			   table_count(turnover->table), turnover->count);
}

static void churn_table(const struct bench *bench)
{
	uint64_t total = (uint64_t)bench_number(
		"BENCH_CHURN", bench->scale < 100000 ? (int64_t)bench->scale * 100 : 10000000);
	uint64_t part = total / (uint64_t)bench->rounds;
	struct turnover turnover = {
		.table = table_new(), .count = bench->scale, .number = 1, .dice = 17};
	struct row memory = {
		.key = "churn-table",
		.unit = ROW_BYTES,
		.reach = "<= 1.05 x",
		.reach_ratio = 1.05,
	};
	struct row each = {
		.key = "churn-table-each",
		.what = "  an arrival and a departure, each pair",
		.unit = ROW_NANOSECONDS,
	};
	char what[80], number[32];
	double before;

	turnover.refs = calloc(turnover.count, sizeof(*turnover.refs));
	if (!turnover.table || !turnover.refs)
		bench_fail("out of memory");
	for (uint64_t i = 0; i < turnover.count; i++)
		turnover.refs[i] = insert(&turnover);
	turn_over(&turnover, turnover.count < part ? turnover.count : part);
	before = resident(getpid());
	for (int i = 0; i < bench->rounds; i++) {
		int64_t began = stats_now();

		turn_over(&turnover, part);
		series_add(&each.ours, (double)(stats_now() - began) / (double)part);
		series_add(&memory.ours, resident(getpid()));
		series_add(&memory.bare, before);
	}
	snprintf(what, sizeof(what), "memory after %s come and go in the table",
		 stats_thousands(part * (uint64_t)bench->rounds, number, sizeof(number)));
	memory.what = what;
	row_print(&memory);
	row_print(&each);
	table_free(turnover.table);
	free(turnover.refs);
}

/* ---- the daemon ---- */

#define STAYING 500
#define WARM_UP 4000

static void check(int r, const char *what)
{
	if (r < 0)
		bench_fail("%s: %s", what, strerror(-r));
}

static void come(struct mta *mta, const struct mta_queue *queue, struct mta_id *ret)
{
	struct mta_message message;

	mta_compose(mta, stats_wall() / STATS_S, &message);
	message.body = 1000;
	check(mta_enqueue(mta, queue, &message), "cannot write a message");
	memcpy(ret->text, message.id, sizeof(message.id));
}

static void go(struct mta *mta, const struct mta_queue *queue, const char *id)
{
	struct mta_attempt attempt;

	check(mta_attempt_begin(mta, queue, id, &attempt), "cannot lock a message");
	check(mta_attempt_deliver(&attempt, NULL), "cannot remove a message");
}

static void churn_daemon(struct bench *bench)
{
	static struct mta_id staying[STAYING];
	uint64_t total = bench->scale / 10 < 2000     ? 2000
			 : bench->scale / 10 > 100000 ? 100000
						      : bench->scale / 10;
	uint64_t part = total / (uint64_t)bench->rounds;
	uint64_t warm_up = bench->scale < 10000 ? 0 : WARM_UP;
	struct row memory = {
		.key = "churn-daemon",
		.unit = ROW_BYTES,
		.reach = "<= 1.05 x",
		.reach_ratio = 1.05,
	};
	struct mta_queue queue;
	struct service service;
	char what[80], number[32];
	struct mta mta;
	double before = 0;

	bench_empty_spool(bench, "churn");
	bench_queue(bench, "QUEUE", &queue);
	bench_policy(bench, BENCH_DUE_RULE);
	mta_init(&mta, 19, 500000, stats_wall() / STATS_S);
	mta.transcript = false;
	for (int i = 0; i < STAYING; i++)
		come(&mta, &queue, &staying[i]);
	bench_start(bench, &service);
	for (int i = 0; i <= bench->rounds; i++) {
		uint64_t times = i == 0 && part < warm_up ? warm_up : part;

		for (uint64_t j = 0; j < times; j++) {
			uint64_t which = stats_below(&mta.random, STAYING);

			go(&mta, &queue, staying[which].text);
			come(&mta, &queue, &staying[which]);
		}
		if (process_wait_quiet(service.pid, 200 * STATS_MS, stats_now() + 120 * STATS_S) <
		    0)
			bench_fail("the daemon does not come to rest in 120 s");
		if (i == 0) {
			before = resident(service.pid);
			continue;
		}
		series_add(&memory.ours, resident(service.pid));
		series_add(&memory.bare, before);
	}
	bench_stop(bench, &service);
	mta_queue_close(&queue);
	snprintf(what, sizeof(what), "memory after %s come and go in the spool",
		 stats_thousands(part * (uint64_t)bench->rounds, number, sizeof(number)));
	memory.what = what;
	row_print(&memory);
}

int main(void)
{
	struct bench bench;

	bench_open(&bench);
	churn_table(&bench);
	churn_daemon(&bench);
	return 0;
}
