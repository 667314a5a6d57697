/* bench_requests.c - how long the daemon takes to answer, with SCALE messages in the spool; and how
 * fast it reacts meanwhile.
 *
 * Each question is asked over the Unix socket by bare system calls, and where there is a command
 * for it by that: from fork to the end of its exit, with all libraries that it loads. Beside those
 * that are about all messages stands one pass over the qf files, which is what one has to do
 * without a daemon (qshape, mailq, grep).
 *
 * No domain of the spool's messages is rare: each is in a fifth of them. So one in a hundred is put
 * besides, to a domain of its own, into a tier that is in the bench's folder and not in the spool.
 *
 * The reaction is that of bench_reaction.c, with everybody's processor as there, while one more
 * process asks four questions in turn. That one has the watcher's processor: what it takes is taken
 * from the daemon, and nothing from who observes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/asking.h"
#include "../support/bare.h"
#include "../support/placing.h"
#include "../support/process.h"
#include "../support/reaction.h"

/* Of the messages that are put besides. */
#define RARE "rare.example"
#define ID   "{ID}" /* of any message */

/* 40 questions a second, or as many as are answered: the next one comes when the last one is over,
 * so that with many messages the daemon always has one. */
#define EVERY (25 * STATS_MS)

struct question {
	const char *key, *what;
	const char *target;
	const char *arguments[5]; /* of the command; none: there is none */
	int times;		  /* in a round */
	int64_t reach;		  /* nanoseconds; 0: no target */
	bool pass;		  /* beside it: a pass over the qf files */
	const char *elsewhere;
	struct series ours, worst, command, bare;
};

static struct question questions[] = {
	{.key = "status",
	 .what = "status",
	 .target = "/api/v1/status",
	 .arguments = {"status"},
	 .times = 40,
	 .reach = 50 * STATS_MS},
	{.key = "metrics",
	 .what = "/metrics",
	 .target = "/metrics",
	 .times = 40,
	 .reach = 50 * STATS_MS},
	{.key = "shape",
	 .what = "shape",
	 .target = "/api/v1/shape?limit=40",
	 .arguments = {"shape"},
	 .times = 3,
	 .reach = STATS_S,
	 .pass = true,
	 .elsewhere = "qshape: reads each qf"},
	{.key = "list",
	 .what = "list --domain, 1 message in 100",
	 .target = "/api/v1/messages?format=jsonl&domain=" RARE,
	 .arguments = {"list", "--domain", RARE},
	 .times = 3,
	 .reach = STATS_S,
	 .pass = true,
	 .elsewhere = "mailq: reads each qf"},
	{.key = "many",
	 .what = "list --domain, 1 message in 5",
	 .target = "/api/v1/messages?format=jsonl&domain=example.com",
	 .times = 1,
	 .pass = true},
	{.key = "page",
	 .what = "the first 100 messages of a domain",
	 .target = "/api/v1/messages?domain=example.com",
	 .times = 10},
	{.key = "explain",
	 .what = "one message explained",
	 .target = "/api/v1/messages/" ID,
	 .arguments = {"explain", ID},
	 .times = 3},
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

/* Beside the moves. */
static const char *const asked[] = {"/api/v1/status", "/metrics", "/api/v1/shape?limit=40",
				    "/api/v1/messages?format=jsonl&domain=" RARE, NULL};

/* ---- the spool ---- */

static void put_besides(struct bench *bench)
{
	char path[BENCH_PATH + 8], tier[BENCH_PATH + 64];
	struct mta_queue queue;
	struct mta mta;
	int r;

	snprintf(path, sizeof(path), "%s/RARE", bench->folder);
	r = mta_queue_open(path, MTA_FLAT, &queue);
	mta_init(&mta, 5, 600000, stats_wall() / STATS_S);
	mta.body_max = 3000;
	for (uint64_t i = 0; r == 0 && i < (bench->scale + 99) / 100; i++) {
		struct mta_message message;

		mta_compose(&mta, stats_wall() / STATS_S, &message);
		message.domain = RARE;
		message.attempts = 1;
		message.last_attempt = message.created;
		message.status = "Deferred: Connection timed out with mail." RARE ".";
		r = mta_enqueue(&mta, &queue, &message);
	}
	if (r < 0)
		bench_fail("cannot write messages into %s: %s", path, strerror(-r));
	mta_queue_close(&queue);
	snprintf(tier, sizeof(tier), ",{\"name\":\"RARE\",\"directory\":\"%s\"}", path);
	bench_policy_with(bench, &(struct bench_policy){
					 .rules = BENCH_DUE_RULE, .tiers = tier, .listen = true});
}

/* Until all is labelled that is to be. */
static void start(struct bench *bench, struct service *service)
{
	int r;

	bench_start(bench, service);
	r = process_wait_quiet(service->pid, 50 * STATS_MS, stats_now() + 60 * STATS_S);
	if (r < 0)
		bench_fail("the daemon does not come to rest: %s", strerror(-r));
}

/* ---- answers ---- */

/* With the id of a message where one is to stand. */
static const char *with_id(const char *text, const struct reaction *reaction)
{
	static char full[64];
	const char *at = text ? strstr(text, ID) : NULL;

	if (!at)
		return text;
	snprintf(full, sizeof(full), "%.*s%s", (int)(at - text), text, reaction->ids[0].text);
	return full;
}

static double run_command(const struct bench *bench, const struct question *question,
			  const struct reaction *reaction)
{
	const char *arguments[12] = {"qfwatch", question->arguments[0], "-c", bench->policy};
	size_t n = 4;

	for (const char *const *one = question->arguments + 1; *one; one++)
		arguments[n++] = with_id(*one, reaction);
	return (double)asking_run(bench->program, arguments);
}

static double bare_pass(const struct reaction *reaction)
{
	int64_t began = stats_now(), count = bare_scan(&reaction->from);

	if (count < 0)
		bench_fail("cannot read the spool: %s", strerror((int)-count));
	return (double)(stats_now() - began);
}

static void ask(const struct bench *bench, struct question *question,
		const struct reaction *reaction, double pass)
{
	const char *target = with_id(question->target, reaction);
	struct samples samples = {0};

	for (int i = 0; i < question->times; i++)
		samples_add(&samples, asking_get(bench->socket, target, NULL));
	series_add(&question->ours, (double)samples_percentile(&samples, 50));
	series_add(&question->worst, (double)samples_percentile(&samples, 100));
	samples_free(&samples);
	if (question->arguments[0])
		series_add(&question->command, run_command(bench, question, reaction));
	if (question->pass)
		series_add(&question->bare, pass);
}

static void show(const struct question *question, const struct bench *bench)
{
	char key[48], what[80], reach[32] = "<= ", number[32];
	struct row row = {.key = key,
			  .what = what,
			  .unit = ROW_NANOSECONDS,
			  .ours = question->ours,
			  .bare = question->bare,
			  .reach_value = (double)question->reach,
			  .elsewhere = question->elsewhere};

	if (question->reach) {
		stats_duration(question->reach, number, sizeof(number));
		strcat(reach, number);
		row.reach = reach;
	}
	snprintf(key, sizeof(key), "requests-%s", question->key);
	if (question == questions)
		snprintf(what, sizeof(what), "%s, %s tracked", question->what,
			 stats_thousands(bench->scale, number, sizeof(number)));
	else
		snprintf(what, sizeof(what), "%s", question->what);
	row_print(&row);
	if (question->times >= 10) {
		snprintf(key, sizeof(key), "requests-%s-worst", question->key);
		snprintf(what, sizeof(what), "  the slowest of %d", question->times);
		row.ours = question->worst;
		row_print(&row);
	}
	if (question->arguments[0]) {
		snprintf(key, sizeof(key), "requests-%s-command", question->key);
		snprintf(what, sizeof(what), "  the whole command, qfwatch %s",
			 question->arguments[0]);
		row.ours = question->command;
		row_print(&row);
	}
}

static void show_answers(struct bench *bench, const struct reaction *reaction)
{
	struct service service;

	start(bench, &service);
	for (int i = 0; i < bench->rounds; i++) {
		double pass = bare_pass(reaction);

		for (size_t k = 0; k < QUESTIONS; k++)
			ask(bench, &questions[k], reaction, pass);
	}
	bench_stop(bench, &service);
	for (size_t k = 0; k < QUESTIONS; k++)
		show(&questions[k], bench);
}

/* ---- the reaction meanwhile ---- */

struct reactions {
	struct series median, p99, rate;
};

static void add(struct reactions *reactions, struct samples *samples)
{
	series_add(&reactions->median, (double)samples_percentile(samples, 50));
	series_add(&reactions->p99, (double)samples_percentile(samples, 99));
	samples_free(samples);
}

static void round_of_ours(struct reaction *reaction, struct reactions *ours)
{
	struct placing placing = {.apart = placing_can()};
	struct samples samples = {0};
	struct service service;
	struct asking asking;

	start(reaction->bench, &service);
	placing_begin(&placing, reaction, service.pid);
	asking_begin(&asking, reaction->bench->socket, asked, EVERY);
	placing_join(&placing, asking.pid);
	reaction_measure(reaction, &samples);
	series_add(&ours->rate, asking_end(&asking));
	placing_end(&placing, reaction);
	bench_stop(reaction->bench, &service);
	add(ours, &samples);
}

static void round_of_bare(struct reaction *reaction, struct reactions *reactions)
{
	struct placing placing = {.apart = placing_can()};
	struct samples samples = {0};
	struct bare_watch bare;
	int r = bare_watch_start(&bare, &reaction->from, &reaction->to, BENCH_DUE);

	if (r < 0)
		bench_fail("cannot start the bare loop: %s", strerror(-r));
	placing_begin(&placing, reaction, bare.pid);
	reaction_measure(reaction, &samples);
	placing_end(&placing, reaction);
	bare_watch_stop(&bare);
	add(reactions, &samples);
}

static void show_reaction(struct reaction *reaction)
{
	struct reactions ours = {0}, bare = {0};
	struct row median = {.key = "requests-reaction-p50",
			     .what = "reaction, median, beside such requests",
			     .unit = ROW_NANOSECONDS,
			     .reach = "<= 100 us",
			     .reach_value = 100 * STATS_US};
	struct row p99 = {.key = "requests-reaction-p99",
			  .what = "  p99",
			  .unit = ROW_NANOSECONDS,
			  .reach = "<= 2 ms",
			  .reach_value = 2 * STATS_MS};
	struct row rate = {.key = "requests-rate",
			   .what = "  answers that were got besides",
			   .unit = ROW_PER_SECOND};

	for (int i = 0; i < reaction->bench->rounds; i++) {
		round_of_bare(reaction, &bare);
		round_of_ours(reaction, &ours);
	}
	median.ours = ours.median;
	median.bare = bare.median;
	p99.ours = ours.p99;
	p99.bare = bare.p99;
	rate.ours = ours.rate;
	row_print(&median);
	row_print(&p99);
	row_print(&rate);
}

int main(void)
{
	static struct reaction reaction;
	struct bench bench;

	bench_open(&bench);
	bench_make_spool(&bench);
	put_besides(&bench);
	reaction_open(&reaction, &bench);
	show_answers(&bench, &reaction);
	show_reaction(&reaction);
	reaction_close(&reaction);
	return 0;
}
