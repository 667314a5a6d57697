/* demo.c - shows qfwatch at work in about 15 seconds, without root and without a mail server.
 *
 * usage: demo QFWATCH POLICY
 *
 * Makes a spool in a temporary folder with the tiers and rules of POLICY, starts `QFWATCH run` on
 * it, plays a mail server on the tiers (tests/support/play.h) and shows qfwatch's events as they
 * come. At the end it counts: a message that is not whole in exactly one tier, delivered, or
 * deleted makes the demo fail (exit status 1).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../tests/support/play.h"
#include "../../tests/support/service.h"
#include "../../tests/support/stats.h"

#define MESSAGES       200
#define PLAY_TIME      (12 * STATS_S)
#define ARRIVE_TIME    (7 * STATS_S)
#define SETTLE_TIME    (5 * STATS_S)
#define LINES_A_SECOND 6
#define MAX_RULES      16

/* What the demo understands of a rule, to know when the daemon is done and whether it did what it
 * was told. */
struct rule {
	int tier;
	int64_t attempts; /* -1: no such condition */
	int64_t age;
	bool deletes;
};

enum shade { PLAIN, DIM, BOLD, GREEN, RED, YELLOW, CYAN };

struct demo {
	const char *program;
	char folder[256];
	char policy[300];
	struct play_tier tiers[PLAY_MAX_TIERS];
	char names[PLAY_MAX_TIERS][64];
	char directories[PLAY_MAX_TIERS][400];
	int n_tiers;
	struct rule rules[MAX_RULES];
	int n_rules;
	struct play *play;
	struct service service;

	bool colour;
	int columns; /* of the terminal; 0: not one */
	int tier_width;
	int64_t began; /* stats_wall() */

	/* the events */
	char pending[16384];
	size_t pending_length;
	uint64_t sequence;
	bool gap;
	unsigned moved, deleted, dropped, unreadable;
	struct samples durations;
	bool output_ended;

	/* thinning */
	double tokens;
	int64_t tokens_at;
	unsigned left_out, left_out_moves;

	int faults;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	interrupted = signal_number;
}

/* ---- writing ---- */

static const char *shade(const struct demo *demo, enum shade shade)
{
	static const char *const codes[] = {"\033[0m",	"\033[2m",  "\033[1m", "\033[32m",
					    "\033[31m", "\033[33m", "\033[36m"};

	return demo->colour ? codes[shade] : "";
}

__attribute__((format(printf, 2, 3))) static void fault(struct demo *demo, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "%sdemo: ", shade(demo, RED));
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s\n", shade(demo, PLAIN));
	demo->faults++;
}

/* Of the audit: when a hundred messages have the same trouble, ten tell enough. */
static void report_finding(const char *finding, void *context)
{
	struct demo *demo = context;

	if (demo->faults < 10)
		fault(demo, "%s", finding);
	else
		demo->faults++;
}

/* ---- the policy ---- */

/* "6d", "5h48m" or seconds as a number; -1: something else. */
static int64_t duration_of(const json_t *value)
{
	const char *text = json_string_value(value);
	int64_t sum = 0;

	if (json_is_integer(value))
		return json_integer_value(value);
	if (!text || !*text)
		return -1;
	while (*text) {
		static const char units[] = "smhdw";
		static const int seconds[] = {1, 60, 3600, 86400, 604800};
		char *end;
		long long number = strtoll(text, &end, 10);
		const char *unit = *end ? strchr(units, *end) : NULL;

		if (end == text || !unit)
			return -1;
		sum += number * seconds[unit - units];
		text = end + 1;
	}
	return sum;
}

static int tier_index(const struct demo *demo, const char *name)
{
	for (int i = 0; i < demo->n_tiers; i++) {
		if (name && strcmp(demo->names[i], name) == 0)
			return i;
	}
	return -1;
}

/* Learns the rules made of attempts and age for one tier each; others are the daemon's alone to
 * judge. */
static void learn_rules(struct demo *demo, const json_t *rules)
{
	size_t index;
	json_t *rule;

	json_array_foreach(rules, index, rule) {
		const json_t *when = json_object_get(rule, "when"),
			     *then = json_object_get(rule, "then");
		const json_t *attempts = json_object_get(when, "attempts"),
			     *age = json_object_get(when, "age");
		struct rule learned = {
			.tier = tier_index(demo, json_string_value(json_object_get(rule, "tier"))),
			.attempts = json_is_integer(attempts) ? json_integer_value(attempts) : -1,
			.age = age ? duration_of(age) : -1,
			.deletes = json_is_true(json_object_get(then, "delete")),
		};
		size_t known = (attempts != NULL) + (age != NULL);

		if (learned.tier < 0 || known == 0 || json_object_size(when) != known ||
		    demo->n_rules == MAX_RULES ||
		    (!learned.deletes && !json_object_get(then, "move")))
			continue;
		demo->rules[demo->n_rules++] = learned;
	}
}

/* Reads the example and writes it again with our directories and with the events on stdout. */
static bool make_policy(struct demo *demo, const char *example)
{
	json_error_t error;
	json_t *policy = json_load_file(example, JSON_REJECT_DUPLICATES, &error), *tiers, *tier;
	size_t index;
	bool good;

	if (!policy) {
		fault(demo, "%s:%d: %s", example, error.line, error.text);
		return false;
	}
	tiers = json_object_get(policy, "tiers");
	if (json_array_size(tiers) < 2 || json_array_size(tiers) > PLAY_MAX_TIERS) {
		fault(demo, "%s: %zu tiers: expected 2 to %d", example, json_array_size(tiers),
		      PLAY_MAX_TIERS);
		json_decref(policy);
		return false;
	}
	json_array_foreach(tiers, index, tier) {
		const char *name = json_string_value(json_object_get(tier, "name"));

		snprintf(demo->names[index], sizeof(demo->names[index]), "%s", name ? name : "?");
		snprintf(demo->directories[index], sizeof(demo->directories[index]), "%s/spool/%s",
			 demo->folder, demo->names[index]);
		json_object_set_new(tier, "directory", json_pack("s", demo->directories[index]));
		demo->n_tiers++;
		if ((int)strlen(demo->names[index]) > demo->tier_width)
			demo->tier_width = (int)strlen(demo->names[index]);
	}
	learn_rules(demo, json_object_get(policy, "rules"));
	/* It is nobody's business but ours, and there may be a real daemon. */
	json_object_del(policy, "listen");
	json_object_set_new(policy, "events", json_pack("{s:[{s:s}]}", "sinks", "type", "stdout"));
	snprintf(demo->policy, sizeof(demo->policy), "%s/policy.json", demo->folder);
	good = json_dump_file(policy, demo->policy, JSON_INDENT(2)) == 0;
	if (!good)
		fault(demo, "cannot write %s: %s", demo->policy, strerror(errno));
	json_decref(policy);
	return good;
}

/* The rules say this message should not be where it is. */
static bool is_due(const struct demo *demo, const struct play_message *message, int64_t now)
{
	for (int i = 0; i < demo->n_rules; i++) {
		const struct rule *rule = &demo->rules[i];

		if (rule->tier == message->tier &&
		    (rule->attempts < 0 || (int64_t)message->attempts >= rule->attempts) &&
		    (rule->age < 0 || now - message->created >= rule->age))
			return true;
	}
	return false;
}

/* The first due message, copied; false: none. */
static bool any_due(struct demo *demo, int64_t now, struct play_message *ret)
{
	size_t count;
	const struct play_message *messages = play_lock(demo->play, &count, NULL);
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		if (messages[i].tier >= 0 && is_due(demo, &messages[i], now)) {
			*ret = messages[i];
			found = true;
		}
	}
	play_unlock(demo->play);
	return found;
}

/* ---- the events ---- */

static const char *text_at(const json_t *event, const char *group, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(event, group), key));

	return text ? text : "";
}

/* A line may be shown now? Keeps the flow at a pace that can be read; `want` is how many lines'
 * worth must be free. */
static bool may_show(struct demo *demo, double want)
{
	int64_t now = stats_now();

	demo->tokens += (double)(now - demo->tokens_at) / (double)STATS_S * LINES_A_SECOND;
	demo->tokens_at = now;
	if (demo->tokens > 8)
		demo->tokens = 8;
	if (demo->tokens < want)
		return false;
	demo->tokens -= 1;
	return true;
}

static void show_left_out(struct demo *demo)
{
	if (demo->left_out == 0)
		return;
	printf("%s%10s %u more, not shown", shade(demo, DIM), "...", demo->left_out);
	if (demo->left_out_moves)
		printf(" (%u moved)", demo->left_out_moves);
	printf("%s\n", shade(demo, PLAIN));
	demo->left_out = demo->left_out_moves = 0;
}

/* Seconds since the start, from "2026-11-22T17:20:15.123456Z". */
static double time_of(const struct demo *demo, const json_t *event)
{
	const char *text = json_string_value(json_object_get(event, "@timestamp"));
	struct tm tm = {0};
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	double fraction = rest && *rest == '.' ? strtod(rest, NULL) : 0;

	if (!rest)
		return (double)(stats_wall() - demo->began) / (double)STATS_S;
	return (double)timegm(&tm) + fraction - (double)demo->began / (double)STATS_S;
}

/* Prints one line, cut to the terminal: bytes, which for these texts is characters. */
static void print_cut(const struct demo *demo, enum shade colour, char *line, size_t action_at,
		      size_t action_length)
{
	size_t length = strlen(line);

	if (demo->columns > 40 && length > (size_t)demo->columns)
		length = (size_t)demo->columns;
	while (length > action_at + action_length && line[length - 1] == ' ')
		length--;
	line[length] = '\0';
	printf("%.*s%s%.*s%s%s\n", (int)action_at, line, shade(demo, colour), (int)action_length,
	       line + action_at, shade(demo, PLAIN), line + action_at + action_length);
}

static void show_event(struct demo *demo, const json_t *event, const char *action)
{
	static const struct {
		const char *action;
		enum shade shade;
		double want; /* lines' worth that must be free; 0: always shown */
	} looks[] = {
		{"message-moved", CYAN, 1},	{"message-deleted", RED, 0},
		{"message-departed", GREEN, 5}, {"message-busy", YELLOW, 3},
		{"message-attempted", DIM, 7},	{"message-tracked", DIM, 7},
		{"message-refused", RED, 0},	{"move-failed", RED, 0},
		{"tier-lost", RED, 0},		{"events-lost", RED, 0},
		{"events-dropped", RED, 0},	{"policy-rejected", RED, 0},
	};
	const json_t *qfwatch = json_object_get(event, "qfwatch");
	const json_t *took = json_object_get(json_object_get(event, "event"), "duration");
	const char *id = text_at(event, "email", "local_id");
	const char *rule = text_at(qfwatch, "move", "rule");
	const char *from = text_at(qfwatch, "move", "from");
	const char *to = text_at(qfwatch, "move", "to"),
		   *reason = text_at(event, "event", "reason");
	const char *tier = json_string_value(json_object_get(qfwatch, "tier"));
	const char *shown = strncmp(action, "message-", 8) == 0 ? action + 8 : action;
	enum shade colour = BOLD;
	char where[160], took_text[32] = "", line[512];
	double want = 0;

	if (!*rule) /* of a deletion */
		rule = text_at(event, "qfwatch", "rule");
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		if (strcmp(looks[i].action, action) == 0) {
			colour = looks[i].shade;
			want = looks[i].want;
		}
	}
	if (want > 0 && !may_show(demo, want)) {
		demo->left_out++;
		demo->left_out_moves += strcmp(action, "message-moved") == 0;
		return;
	}
	/* One note for several lines left out, not one each. */
	if (demo->left_out >= 12 || !*id)
		show_left_out(demo);
	if (*id) {
		if (*to)
			snprintf(where, sizeof(where), "%-*s -> %s", demo->tier_width, from, to);
		else
			snprintf(where, sizeof(where), "%s", *from ? from : tier ? tier : "");
		if (json_is_integer(took))
			stats_duration(json_integer_value(took), took_text, sizeof(took_text));
		snprintf(line, sizeof(line), "%8.3f s  %-9s %-14s  %-*s  %-14s  %-16s  %7s",
			 time_of(demo, event), shown, id, demo->tier_width * 2 + 4, where, rule,
			 reason, took_text);
	} else {
		const char *text = json_string_value(json_object_get(event, "message"));

		snprintf(line, sizeof(line), "%8.3f s  %-9s %s", time_of(demo, event), shown,
			 text ? text : "");
	}
	print_cut(demo, colour, line, 12, strlen(shown) > 9 ? strlen(shown) : 9);
}

static void take_event(struct demo *demo, const char *line, size_t length)
{
	json_error_t error;
	json_t *event = json_loadb(line, length, 0, &error);
	const json_t *about = json_object_get(event, "event");
	const char *action = text_at(event, "event", "action");
	uint64_t sequence = (uint64_t)json_integer_value(json_object_get(about, "sequence"));

	if (!event || !*action) {
		if (demo->unreadable++ == 0)
			fault(demo, "not an event: %.*s", (int)length, line);
		json_decref(event);
		return;
	}
	if (demo->sequence != 0 && sequence != demo->sequence + 1 && !demo->gap) {
		demo->gap = true;
		fault(demo, "event %" PRIu64 " came after %" PRIu64, sequence, demo->sequence);
	}
	demo->sequence = sequence;
	if (strcmp(action, "message-moved") == 0 || strcmp(action, "message-deleted") == 0) {
		const json_t *took = json_object_get(about, "duration");

		demo->moved += strcmp(action, "message-moved") == 0;
		demo->deleted += strcmp(action, "message-deleted") == 0;
		if (json_is_integer(took) && strcmp(action, "message-moved") == 0)
			samples_add(&demo->durations, json_integer_value(took));
	} else if (strcmp(action, "events-dropped") == 0) {
		demo->dropped++;
	}
	show_event(demo, event, action);
	json_decref(event);
}

/* Reads events for at most `milliseconds`, less when some come. */
static void read_events(struct demo *demo, int milliseconds)
{
	struct pollfd polled = {.fd = demo->output_ended ? -1 : demo->service.output,
				.events = POLLIN};
	ssize_t n;

	if (poll(&polled, 1, milliseconds) <= 0)
		return;
	while ((n = read(demo->service.output, demo->pending + demo->pending_length,
			 sizeof(demo->pending) - demo->pending_length)) > 0) {
		char *line = demo->pending, *end;
		size_t left = demo->pending_length + (size_t)n;

		while ((end = memchr(line, '\n', left)) != NULL) {
			take_event(demo, line, (size_t)(end - line));
			left -= (size_t)(end - line) + 1;
			line = end + 1;
		}
		if (left == sizeof(demo->pending)) {
			fault(demo, "an event of more than %zu bytes", left);
			left = 0;
		}
		memmove(demo->pending, line, left);
		demo->pending_length = left;
	}
	if (n == 0)
		demo->output_ended = true;
	fflush(stdout);
}

/* ---- the closing table ---- */

static void show_table(struct demo *demo)
{
	const struct play_counts *counts;
	struct play_counts sum = {0};
	unsigned still[PLAY_MAX_TIERS] = {0}, standing = 0;
	size_t count;
	const struct play_message *messages = play_lock(demo->play, &count, &counts);

	for (size_t i = 0; i < count; i++) {
		if (messages[i].tier >= 0)
			still[messages[i].tier]++;
	}
	printf("\n%s  %-*s  %9s %9s %9s %9s %9s %9s%s\n", shade(demo, BOLD), demo->tier_width + 8,
	       "tier", "arrived", "attempts", "moved on", "delivered", "deleted", "still in",
	       shade(demo, PLAIN));
	for (int i = 0; i < demo->n_tiers; i++) {
		const struct play_counts *tier = &counts[i];

		printf("  %-*s  %9u %9u %9u %9u %9u %9u\n", demo->tier_width + 8, demo->names[i],
		       tier->arrived, tier->attempts, tier->moved_on, tier->delivered,
		       tier->deleted, still[i]);
		sum.attempts += tier->attempts;
		sum.moved_on += tier->moved_on;
		sum.delivered += tier->delivered;
		sum.deleted += tier->deleted;
		standing += still[i];
	}
	printf("%s  %-*s  %9zu %9u %9u %9u %9u %9u%s\n", shade(demo, DIM), demo->tier_width + 8,
	       "all", count, sum.attempts, sum.moved_on, sum.delivered, sum.deleted, standing,
	       shade(demo, PLAIN));
	play_unlock(demo->play);
	if (sum.delivered + sum.deleted + standing != count)
		fault(demo, "%u delivered, %u deleted and %u in the spool are not %zu messages",
		      sum.delivered, sum.deleted, standing, count);
	if (demo->dropped == 0 && demo->moved != sum.moved_on)
		fault(demo, "the events tell of %u moves, the spool of %u", demo->moved,
		      sum.moved_on);
	if (demo->dropped == 0 && demo->deleted != sum.deleted)
		fault(demo, "the events tell of %u deletions, the spool of %u", demo->deleted,
		      sum.deleted);
}

static void show_times(const struct demo *demo, const char *what, struct samples *samples)
{
	char median[32], late[32], worst[32];

	if (samples->count == 0)
		return;
	printf("  %-46s %9s %9s %9s %9zu\n", what,
	       stats_duration(samples_percentile(samples, 50), median, sizeof(median)),
	       stats_duration(samples_percentile(samples, 99), late, sizeof(late)),
	       stats_duration(samples_percentile(samples, 100), worst, sizeof(worst)),
	       samples->count);
	(void)demo;
}

static void show_reactions(struct demo *demo)
{
	struct samples reactions = {0};

	play_reactions(demo->play, &reactions);
	printf("\n%s  %-46s %9s %9s %9s %9s%s\n", shade(demo, BOLD), "time", "median", "p99",
	       "worst", "moves", shade(demo, PLAIN));
	show_times(demo, "lock released -> qf stands in its next tier *", &reactions);
	show_times(demo, "of this, qfwatch at work (event.duration)", &demo->durations);
	printf("%s  * by the player's own inotify watch, the wake-up of its thread included; the "
	       "player, its runners and\n"
	       "    qfwatch share this machine's processors.%s\n",
	       shade(demo, DIM), shade(demo, PLAIN));
	if (reactions.count == 0)
		fault(demo, "no move followed the release of a lock");
	samples_free(&reactions);
}

/* ---- the course of it ---- */

static void show_start(const struct demo *demo)
{
	printf("%sqfwatch demo%s: %d messages of a mail server with good, slow and dead "
	       "destinations.\n"
	       "A player works on the tiers in %s/spool as sendmail does (lock,\n"
	       "attempt, tf, rename), with a queue run every half second or so instead of every "
	       "minute, half hour\n"
	       "and hour and a half. qfwatch watches the tiers and moves a message as soon as the "
	       "attempt that\n"
	       "makes it due is over; the rules are those of policy.json.example.\n",
	       shade(demo, BOLD), shade(demo, PLAIN), MESSAGES, demo->folder);
	printf("\n%s%10s  %-9s %-14s  %-*s  %-14s  %-16s  %7s%s\n", shade(demo, BOLD), "time",
	       "event", "message", demo->tier_width * 2 + 4, "from -> to", "rule", "why", "took",
	       shade(demo, PLAIN));
	fflush(stdout);
}

static void show_end(const struct demo *demo)
{
	printf("\n%sAll %d messages accounted for, nothing left over.%s What next:\n"
	       "  README.md             what a policy can do, how to install qfwatch, how to see "
	       "what it does\n"
	       "  policy.json.example   copy it to /etc/qfwatch/policy.json and put your spool's "
	       "directories in\n"
	       "  qfwatch check         tells everything that is wrong with a policy; run "
	       "--dry-run shows what it would do\n",
	       shade(demo, GREEN), MESSAGES, shade(demo, PLAIN));
}

static void show_service_failure(struct demo *demo, const char *what)
{
	char how[64];
	char *errors = service_errors(&demo->service);

	fault(demo, "%s: %s %s. It wrote:", what, demo->program,
	      service_describe(&demo->service, how, sizeof(how)));
	fprintf(stderr, "%s", errors && *errors ? errors : "(nothing to stderr)\n");
	free(errors);
}

static bool set_up(struct demo *demo, const char *example)
{
	static const int64_t every[] = {450 * STATS_MS, 500 * STATS_MS, 900 * STATS_MS};
	const char *base = getenv("TMPDIR");
	struct play_plan plan = {
		.tiers = demo->tiers,
		.messages = MESSAGES,
		.standing = 30,
		.tired = 3,
		.tired_attempts = 12,
		.old = 6,
		.old_age = 6 * 86400,
		.arrive_for = ARRIVE_TIME,
		.seed = 2013,
	};
	char path[400];
	int r;

	snprintf(demo->folder, sizeof(demo->folder), "%s/qfwatch-demo-XXXXXX",
		 base && *base ? base : "/tmp");
	if (!mkdtemp(demo->folder)) {
		fault(demo, "cannot make a folder like %s: %s", demo->folder, strerror(errno));
		demo->folder[0] = '\0';
		return false;
	}
	if (!make_policy(demo, example))
		return false;
	snprintf(path, sizeof(path), "%s/spool", demo->folder);
	if (mkdir(path, 0755) < 0) {
		fault(demo, "cannot make %s: %s", path, strerror(errno));
		return false;
	}
	for (int i = 0; i < demo->n_tiers; i++) {
		demo->tiers[i] = (struct play_tier){
			.name = demo->names[i],
			.directory = demo->directories[i],
			/* The last tier has folders qf/, df/ and xf/, the others have not. */
			.layout = MTA_FLAT,
			.run_every = every[i < 2 ? i : 2],
		};
	}
	plan.n_tiers = demo->n_tiers;
	for (int i = 0; i < demo->n_rules; i++) {
		if (demo->rules[i].deletes && demo->rules[i].age > 0)
			plan.old_age = demo->rules[i].age;
		if (demo->rules[i].attempts > 0 &&
		    demo->rules[i].attempts + 2 > plan.tired_attempts)
			plan.tired_attempts = (uint32_t)demo->rules[i].attempts + 2;
	}
	r = play_new(&plan, &demo->play);
	if (r < 0)
		fault(demo, "cannot make the spool: %s", strerror(-r));
	return r == 0;
}

/* Plays, then waits until nothing is due. */
static bool perform(struct demo *demo)
{
	struct play_message due;
	int64_t end = stats_now() + PLAY_TIME;
	const char *what;
	int r = play_start(demo->play);

	if (r < 0) {
		fault(demo, "cannot start the player: %s", strerror(-r));
		return false;
	}
	while (stats_now() < end && !interrupted && !service_ended(&demo->service))
		read_events(demo, 50);
	play_stop(demo->play);
	end = stats_now() + SETTLE_TIME;
	while (!interrupted && !service_ended(&demo->service)) {
		int64_t now = stats_wall() / STATS_S;

		if (!any_due(demo, now, &due))
			break;
		if (stats_now() > end) {
			fault(demo,
			      "%s stands in %s with %u attempts, %" PRId64
			      " s old, and was not moved in %d s",
			      due.id, demo->names[due.tier], due.attempts, now - due.created,
			      (int)(SETTLE_TIME / STATS_S));
			break;
		}
		read_events(demo, 20);
	}
	if (interrupted)
		return false;
	if (service_ended(&demo->service)) {
		show_service_failure(demo, "qfwatch ended in the middle");
		return false;
	}
	r = play_error(demo->play, &what);
	if (r < 0)
		fault(demo, "the player failed at %s: %s", what, strerror(-r));
	return true;
}

static void finish(struct demo *demo)
{
	int r = service_stop(&demo->service, stats_now() + 5 * STATS_S);
	int64_t deadline = stats_now() + 2 * STATS_S;

	while (!demo->output_ended && stats_now() < deadline)
		read_events(demo, 50);
	show_left_out(demo);
	if (r < 0 || demo->service.status != 0)
		show_service_failure(demo, r < 0 ? "qfwatch did not end within 5 s of SIGTERM"
						 : "qfwatch did not end as it should on SIGTERM");
	r = play_audit(demo->play, report_finding, demo);
	if (r < 0)
		fault(demo, "cannot look through the spool: %s", strerror(-r));
	show_table(demo);
	show_reactions(demo);
	if (demo->faults == 0)
		show_end(demo);
}

static void run(struct demo *demo)
{
	const char *arguments[] = {"run", "-c", demo->policy, NULL};
	int r = service_start(&demo->service, demo->program, arguments, demo->folder, NULL);

	if (r < 0) {
		fault(demo, "cannot start %s: %s", demo->program, strerror(-r));
		return;
	}
	demo->began = stats_wall();
	demo->tokens_at = stats_now();
	demo->tokens = 8;
	show_start(demo);
	r = service_wait_ready(&demo->service, stats_now() + 10 * STATS_S);
	if (r < 0) {
		service_wait(&demo->service, stats_now());
		show_service_failure(demo, r == -ETIMEDOUT ? "qfwatch did not get ready within 10 s"
							   : "qfwatch did not start");
		return;
	}
	if (perform(demo))
		finish(demo);
	else if (interrupted)
		service_stop(&demo->service, stats_now() + 5 * STATS_S);
}

int main(int argc, char *argv[])
{
	static struct demo demo;
	struct sigaction action = {.sa_handler = interrupt};
	struct winsize size;
	bool keep;

	if (argc != 3) {
		fprintf(stderr, "usage: demo QFWATCH POLICY\n");
		return 2;
	}
	demo.program = argv[1];
	demo.service = (struct service){.pid = -1, .output = -1, .notify = -1};
	demo.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		demo.columns = size.ws_col;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);

	if (set_up(&demo, argv[2]))
		run(&demo);
	keep = demo.faults > 0 && demo.folder[0] && getenv("DEMO_KEEP");
	play_free(demo.play);
	service_free(&demo.service);
	samples_free(&demo.durations);
	if (demo.folder[0] && !keep)
		service_remove_tree(demo.folder);
	if (interrupted) {
		signal((int)interrupted, SIG_DFL);
		raise((int)interrupted);
	}
	if (demo.faults > 0) {
		fflush(stdout);
		fprintf(stderr, "demo: failed: %d finding%s%s%s\n", demo.faults,
			demo.faults == 1 ? "" : "s", keep ? "; kept " : "",
			keep ? demo.folder : "");
		return 1;
	}
	return 0;
}
