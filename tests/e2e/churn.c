/* churn.c - keeps a daemon busy for a given time and watches what it takes: soak.sh judges.
 *
 * usage: churn QFWATCH FOLDER SECONDS
 *
 * FOLDER/spool holds the tiers QUEUE, MIDQUEUE and SLOWQUEUE. Round after round a mail server is
 * played on them (tests/support/play.h): mail comes in, is tried, deferred, delivered; the daemon
 * moves and deletes; the policy is changed and read again; a tier goes away and comes back. After
 * each round every message must be whole in one tier, delivered, or rightly deleted; then all that
 * stands is removed, as by hand, and the daemon comes to rest.
 *
 * FOLDER/samples has a line a second, and one for each rest: "SECOND STATE DESCRIPTORS RSS
 * THREADS", where STATE is "busy" or "rest" and RSS is in KiB. Standard output: NAME=VALUE lines
 * with what was done. Standard error: what was wrong; then the exit status is 1.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/play.h"
#include "../support/service.h"
#include "../support/stats.h"

#define TIERS	    3
#define OLD_AGE	    (6 * 86400)
#define PLAY_TIME   (5 * STATS_S)
#define RELOAD_AT   (1500 * STATS_MS)
#define LOSE_AT	    (2500 * STATS_MS)
#define FIND_AT	    (3000 * STATS_MS)
#define SETTLE_TIME (30 * STATS_S)
#define REST_TIME   (30 * STATS_S)
#define STILL_FOR   (300 * STATS_MS)
#define MAX_FAULTS  20

static const char *const names[TIERS] = {"QUEUE", "MIDQUEUE", "SLOWQUEUE"};

/* Events that are counted. */
static const char *const actions[] = {
	"message-tracked",  "message-attempted", "message-moved", "message-deleted",
	"message-departed", "message-refused",	 "move-failed",	  "message-recovered",
	"policy-loaded",    "policy-rejected",	 "tier-lost",	  "tier-found",
	"events-lost",	    "events-dropped",
};
#define N_ACTIONS (sizeof(actions) / sizeof(*actions))

struct churn {
	char folder[300];
	char policy[400];
	char paths[TIERS][400];
	struct play_tier tiers[TIERS];
	struct service service;
	struct play *play;
	uint32_t attempts[TIERS]; /* by which the policy in force moves on; 0: it does not */
	FILE *samples;
	int64_t began, sampled;
	char pending[65536];
	size_t pending_length;
	unsigned long events[N_ACTIONS];
	unsigned long rounds, messages;
	int faults;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

__attribute__((format(printf, 2, 3))) static void fault(struct churn *churn, const char *format,
							...)
{
	va_list arguments;

	if (churn->faults++ >= MAX_FAULTS)
		return;
	fprintf(stderr, "round %lu: ", churn->rounds);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static void report_finding(const char *finding, void *context)
{
	fault(context, "%s", finding);
}

/* ---- what the daemon takes ---- */

static int count_descriptors(pid_t pid)
{
	char path[64];
	DIR *directory;
	int count = -2; /* . and .. */

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	if (!directory)
		return -1;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The number behind a line's name in a file of /proc; -1: there is none. */
static long number_in(pid_t pid, const char *file, const char *name)
{
	char path[64], line[256];
	long number = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	stream = fopen(path, "r");
	if (!stream)
		return -1;
	while (number < 0 && fgets(line, sizeof(line), stream))
		if (strncmp(line, name, strlen(name)) == 0)
			number = strtol(line + strlen(name), NULL, 10);
	fclose(stream);
	return number;
}

static void sample(struct churn *churn, const char *state)
{
	pid_t pid = churn->service.pid;
	/* The sum in status lags behind by some pages a processor; this one is counted anew. */
	long rss = number_in(pid, "smaps_rollup", "Rss:");

	if (rss < 0)
		rss = number_in(pid, "status", "VmRSS:");
	fprintf(churn->samples, "%.3f %s %d %ld %ld\n",
		(double)(stats_now() - churn->began) / STATS_S, state, count_descriptors(pid), rss,
		number_in(pid, "status", "Threads:"));
	fflush(churn->samples);
}

/* Clock ticks that it has used so far. */
static long ticks_used(pid_t pid)
{
	char path[64], text[1024];
	unsigned long user = 0, system = 0;
	const char *after;
	FILE *stream;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stream = fopen(path, "r");
	if (!stream)
		return -1;
	n = fread(text, 1, sizeof(text) - 1, stream);
	fclose(stream);
	text[n] = '\0';
	after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			     &user, &system) != 2)
		return -1;
	return (long)(user + system);
}

/* ---- what the daemon says ---- */

static void count_event(struct churn *churn, const char *line)
{
	static const char key[] = "\"action\":\"";
	const char *action = strstr(line, key);

	if (!action)
		return;
	action += sizeof(key) - 1;
	for (size_t i = 0; i < N_ACTIONS; i++) {
		size_t length = strlen(actions[i]);

		if (strncmp(action, actions[i], length) == 0 && action[length] == '"')
			churn->events[i]++;
	}
}

static unsigned long count_of(const struct churn *churn, const char *action)
{
	for (size_t i = 0; i < N_ACTIONS; i++)
		if (strcmp(actions[i], action) == 0)
			return churn->events[i];
	return 0;
}

/* Reads events for so long, and samples when a second is over. False: it is time to end. */
static bool go_on_for(struct churn *churn, int64_t nanoseconds)
{
	struct pollfd polled = {.fd = churn->service.output, .events = POLLIN};
	int64_t end = stats_now() + nanoseconds;

	do {
		int64_t left = end - stats_now();
		ssize_t n;
		char *line, *next;

		if (stats_now() - churn->sampled >= STATS_S) {
			churn->sampled = stats_now();
			sample(churn, "busy");
		}
		if (left > 20 * STATS_MS)
			left = 20 * STATS_MS;
		if (poll(&polled, 1, left > 0 ? (int)(left / STATS_MS) : 0) <= 0)
			continue;
		n = read(churn->service.output, churn->pending + churn->pending_length,
			 sizeof(churn->pending) - 1 - churn->pending_length);
		if (n <= 0)
			break;
		churn->pending_length += (size_t)n;
		churn->pending[churn->pending_length] = '\0';
		for (line = churn->pending; (next = strchr(line, '\n')); line = next + 1) {
			*next = '\0';
			count_event(churn, line);
		}
		churn->pending_length -= (size_t)(line - churn->pending);
		memmove(churn->pending, line, churn->pending_length);
	} while (stats_now() < end && !interrupted);
	return !interrupted && !service_ended(&churn->service);
}

/* ---- the policy ---- */

static bool write_policy(struct churn *churn, uint32_t first, uint32_t second)
{
	char path[450];
	FILE *file;
	bool good;

	snprintf(path, sizeof(path), "%s.new", churn->policy);
	file = fopen(path, "w");
	if (!file)
		return false;
	fprintf(file,
		"{ \"version\": 1, \"allow_delete\": true, \"limits\": { \"deletes_per_minute\": "
		"60000 },\n"
		"  \"tiers\": [ { \"name\": \"QUEUE\", \"directory\": \"%s\" },\n"
		"    { \"name\": \"MIDQUEUE\", \"directory\": \"%s\" },\n"
		"    { \"name\": \"SLOWQUEUE\", \"directory\": \"%s\" } ],\n"
		"  \"rules\": [\n"
		"    { \"tier\": \"QUEUE\", \"when\": { \"attempts\": %u }, \"then\": { \"move\": "
		"\"MIDQUEUE\" } },\n"
		"    { \"tier\": \"MIDQUEUE\", \"when\": { \"attempts\": %u }, \"then\": { "
		"\"move\": \"SLOWQUEUE\" } },\n"
		"    { \"tier\": \"SLOWQUEUE\", \"when\": { \"age\": \"6d\" }, \"then\": { "
		"\"delete\": true } } ],\n"
		"  \"events\": { \"sinks\": [ { \"type\": \"stdout\" } ] } }\n",
		churn->paths[0], churn->paths[1], churn->paths[2], first, second);
	good = fclose(file) == 0 && rename(path, churn->policy) == 0;
	churn->attempts[0] = first;
	churn->attempts[1] = second;
	return good;
}

/* Every other time it is told to read it, else it finds out by itself. */
static void change_policy(struct churn *churn)
{
	uint32_t more = churn->rounds % 2;

	if (!write_policy(churn, 3 + more, 6 + more))
		fault(churn, "cannot write the policy: %s", strerror(errno));
	if (churn->rounds % 4 < 2)
		kill(churn->service.pid, SIGHUP);
}

/* ---- tiers ---- */

/* Takes a tier's directory away; one that something is mounted on cannot be. Returns which. */
static int lose_tier(struct churn *churn)
{
	char away[450];
	int tier = (int)(churn->rounds % TIERS);

	for (int i = 0; i < TIERS; i++, tier = (tier + 1) % TIERS) {
		snprintf(away, sizeof(away), "%s/away", churn->folder);
		if (rename(churn->paths[tier], away) == 0)
			return tier;
	}
	fault(churn, "no tier can be taken away: %s", strerror(errno));
	return -1;
}

static void find_tier(struct churn *churn, int tier)
{
	char away[450];

	snprintf(away, sizeof(away), "%s/away", churn->folder);
	if (tier >= 0 && rename(away, churn->paths[tier]) < 0)
		fault(churn, "cannot bring %s back: %s", names[tier], strerror(errno));
}

/* Counts the files of a tier by kind; `remove` removes them, which puts qf before df. */
static void walk_tier(struct churn *churn, int tier, const char *remove, unsigned *qfs,
		      unsigned *dfs, unsigned *others)
{
	DIR *directory = opendir(churn->paths[tier]);
	struct dirent *entry;

	if (!directory) {
		fault(churn, "%s: %s", churn->paths[tier], strerror(errno));
		return;
	}
	while ((entry = readdir(directory))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (remove && strncmp(name, remove, strlen(remove)) == 0)
			unlinkat(dirfd(directory), name, 0);
		if (strncmp(name, "qf", 2) == 0)
			++*qfs;
		else if (strncmp(name, "df", 2) == 0)
			++*dfs;
		else
			++*others;
	}
	closedir(directory);
}

/* Is every qf alone with its df, and nothing on its way? */
static bool is_settled(struct churn *churn)
{
	for (int i = 0; i < TIERS; i++) {
		unsigned qfs = 0, dfs = 0, others = 0;

		walk_tier(churn, i, NULL, &qfs, &dfs, &others);
		if (qfs != dfs || others)
			return false;
	}
	return true;
}

static void remove_all(struct churn *churn)
{
	unsigned none = 0;

	for (int i = 0; i < TIERS; i++) {
		walk_tier(churn, i, "qf", &none, &none, &none);
		walk_tier(churn, i, "df", &none, &none, &none);
	}
}

/* ---- a round ---- */

static bool is_due(const struct churn *churn, const struct play_message *message, int64_t now)
{
	if (message->tier < 0)
		return false;
	if (message->tier == TIERS - 1)
		return now - message->created >= OLD_AGE;
	return message->attempts >= churn->attempts[message->tier];
}

static bool any_due(struct churn *churn, struct play_message *ret)
{
	size_t count;
	int64_t now = stats_wall() / STATS_S;
	const struct play_message *messages = play_lock(churn->play, &count, NULL);
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		found = is_due(churn, &messages[i], now);
		if (found)
			*ret = messages[i];
	}
	play_unlock(churn->play);
	return found;
}

static bool settle(struct churn *churn)
{
	int64_t deadline = stats_now() + SETTLE_TIME;
	struct play_message due = {0};

	while (any_due(churn, &due) || !is_settled(churn)) {
		if (!go_on_for(churn, 20 * STATS_MS))
			return false;
		if (stats_now() < deadline)
			continue;
		if (any_due(churn, &due))
			fault(churn, "%s stands in %s with %u attempts, and was not moved in time",
			      due.id, names[due.tier], due.attempts);
		else
			fault(churn, "the tiers did not settle in time");
		return true;
	}
	return true;
}

/* The daemon has used no time for a while, although it has been told of everything. */
static bool rest(struct churn *churn)
{
	int64_t deadline = stats_now() + REST_TIME, since = stats_now();
	long used = ticks_used(churn->service.pid);

	while (stats_now() - since < STILL_FOR) {
		long now;

		if (!go_on_for(churn, 20 * STATS_MS))
			return false;
		now = ticks_used(churn->service.pid);
		if (now != used)
			since = stats_now();
		used = now;
		if (stats_now() > deadline) {
			fault(churn, "it does not come to rest");
			break;
		}
	}
	sample(churn, "rest");
	return true;
}

static void judge(struct churn *churn)
{
	size_t count;
	int64_t now = stats_wall() / STATS_S;
	const struct play_message *messages;
	const char *what;
	int r = play_audit(churn->play, report_finding, churn);

	if (r < 0)
		fault(churn, "cannot look through the spool: %s", strerror(-r));
	r = play_error(churn->play, &what);
	if (r < 0)
		fault(churn, "the player failed at %s: %s", what, strerror(-r));
	messages = play_lock(churn->play, &count, NULL);
	for (size_t i = 0; i < count; i++)
		if (messages[i].deleted && now - messages[i].created < OLD_AGE)
			fault(churn, "%s is lost: it was not old enough to be deleted",
			      messages[i].id);
	play_unlock(churn->play);
	churn->messages += count;
}

static bool play(struct churn *churn)
{
	int64_t began = stats_now();
	int lost = -1;
	bool good, reloaded = false, taken = false, back = false;

	do {
		int64_t passed = stats_now() - began;

		if (!reloaded && passed >= RELOAD_AT) {
			change_policy(churn);
			reloaded = true;
		}
		if (!taken && passed >= LOSE_AT) {
			lost = lose_tier(churn);
			taken = true;
		}
		if (taken && !back && passed >= FIND_AT) {
			find_tier(churn, lost);
			back = true;
		}
		good = go_on_for(churn, 10 * STATS_MS);
	} while (good && stats_now() - began < PLAY_TIME);
	if (taken && !back)
		find_tier(churn, lost);
	play_stop(churn->play);
	return good;
}

static bool round_of(struct churn *churn)
{
	struct play_plan plan = {
		.tiers = churn->tiers,
		.n_tiers = TIERS,
		.messages = 400,
		.standing = 60,
		.tired = 6,
		.tired_attempts = 12,
		.old = 6,
		.old_age = OLD_AGE,
		.arrive_for = PLAY_TIME * 3 / 4,
		.seed = 2013 + churn->rounds,
	};
	bool good;
	int r = play_new(&plan, &churn->play);

	if (r == 0)
		r = play_start(churn->play);
	if (r < 0) {
		fault(churn, "cannot start the player: %s", strerror(-r));
		good = false;
	} else {
		good = play(churn) && settle(churn);
	}
	if (good) {
		judge(churn);
		remove_all(churn);
		good = rest(churn);
	}
	play_free(churn->play);
	churn->play = NULL;
	churn->rounds++;
	return good;
}

/* ---- all ---- */

static bool begin(struct churn *churn, const char *program)
{
	static const int64_t every[TIERS] = {150 * STATS_MS, 250 * STATS_MS, 400 * STATS_MS};
	const char *arguments[] = {"run", "-c", churn->policy, NULL};
	char path[400];
	int r;

	for (int i = 0; i < TIERS; i++) {
		snprintf(churn->paths[i], sizeof(churn->paths[i]), "%s/spool/%s", churn->folder,
			 names[i]);
		churn->tiers[i] = (struct play_tier){names[i], churn->paths[i], MTA_FLAT, every[i]};
	}
	snprintf(churn->policy, sizeof(churn->policy), "%s/policy.json", churn->folder);
	snprintf(path, sizeof(path), "%s/samples", churn->folder);
	churn->samples = fopen(path, "we");
	if (!churn->samples || !write_policy(churn, 3, 6)) {
		fault(churn, "%s: %s", churn->folder, strerror(errno));
		return false;
	}
	r = service_start(&churn->service, program, arguments, churn->folder, NULL);
	if (r == 0)
		r = service_wait_ready(&churn->service, stats_now() + 10 * STATS_S);
	if (r < 0)
		fault(churn, "cannot start %s: %s", program, strerror(-r));
	churn->began = churn->sampled = stats_now();
	return r == 0;
}

static void end(struct churn *churn)
{
	char how[100];
	bool early = service_ended(&churn->service);
	int r = service_stop(&churn->service, stats_now() + 10 * STATS_S);

	if (early || r < 0 || churn->service.status != 0)
		fault(churn, "the daemon ended %s: %s", early ? "by itself" : "badly",
		      service_describe(&churn->service, how, sizeof(how)));
	printf("rounds=%lu\nmessages=%lu\n", churn->rounds, churn->messages);
	for (size_t i = 0; i < N_ACTIONS; i++)
		printf("%s=%lu\n", actions[i], churn->events[i]);
	if (count_of(churn, "policy-rejected"))
		fault(churn, "a policy was rejected");
	service_free(&churn->service);
}

int main(int argc, char **argv)
{
	static struct churn churn;
	struct sigaction action = {.sa_handler = interrupt};
	int64_t until;

	if (argc != 4) {
		fprintf(stderr, "usage: churn QFWATCH FOLDER SECONDS\n");
		return 2;
	}
	churn.service = (struct service){.pid = -1, .output = -1, .notify = -1};
	snprintf(churn.folder, sizeof(churn.folder), "%s", argv[2]);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (begin(&churn, argv[1])) {
		until = churn.began + strtol(argv[3], NULL, 10) * STATS_S;
		/* As many as fit, and six at least: the first three are for warming up. */
		while (round_of(&churn) && (stats_now() < until || churn.rounds < 6))
			;
	}
	end(&churn);
	if (churn.faults > MAX_FAULTS)
		fprintf(stderr, "and %d more\n", churn.faults - MAX_FAULTS);
	if (churn.samples)
		fclose(churn.samples);
	return churn.faults > 0 || interrupted;
}
