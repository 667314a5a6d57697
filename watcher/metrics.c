/* metrics.c - see metrics.h
 *
 * Names follow the rules of the format: base units, counters end in _total, no
 * name of a unit or type where none belongs. A series that may become
 * interesting is there from the start, at zero: what appears with its first
 * event is not seen to rise.
 */
#include "qfwatch/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/engine_view.h"
#include "qfwatch/exposition.h"
#include "qfwatch/xalloc.h"

struct metrics {
	struct engine *engine;
	const struct events *events;
	struct exposition out;
	int64_t started;
	/* Of the policy file. */
	bool taken;	  /* the last time it was read */
	int64_t taken_at; /* the last time that it was */
	uint64_t n_taken, n_rejected;
	/* While rendering. */
	const struct policy *policy;
	const struct tally *tally;
	const struct ages *ages;
	int64_t now;
};

struct metrics *metrics_new(struct engine *engine, const struct events *events, int64_t now)
{
	struct metrics *metrics = xcalloc(1, sizeof *metrics);

	metrics->engine = engine;
	metrics->events = events;
	metrics->started = now;
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	exposition_free(&metrics->out);
	free(metrics);
}

void metrics_note_policy(struct metrics *metrics, bool taken, int64_t now)
{
	metrics->taken = taken;
	if (!taken) {
		metrics->n_rejected++;
		return;
	}
	metrics->n_taken++;
	metrics->taken_at = now;
}

/* ---- one number ---- */

static void gauge(struct metrics *metrics, const char *name, const char *help)
{
	exposition_family(&metrics->out, name, EXPOSITION_GAUGE, help);
}

static void counter(struct metrics *metrics, const char *name, const char *help)
{
	exposition_family(&metrics->out, name, EXPOSITION_COUNTER, help);
}

static void put(struct metrics *metrics, uint64_t value)
{
	exposition_number(&metrics->out, NULL, 0, value);
}

/* A moment or a duration in microseconds. */
static void put_time(struct metrics *metrics, int64_t microseconds)
{
	exposition_nanoseconds(&metrics->out, NULL, 0, microseconds * 1000);
}

static void put_labelled(struct metrics *metrics, const char *label, const char *value,
			 uint64_t number)
{
	exposition_number(&metrics->out, &(struct exposition_label){label, value}, 1, number);
}

static void put_labelled_twice(struct metrics *metrics, const char *first, const char *first_value,
			       const char *second, const char *second_value, uint64_t number)
{
	const struct exposition_label labels[] = {{first, first_value}, {second, second_value}};

	exposition_number(&metrics->out, labels, 2, number);
}

/* ---- what stands in the tiers ---- */

static const char *tier_name(const struct metrics *metrics, unsigned tier)
{
	return metrics->policy->tiers[tier].name;
}

static void put_messages(struct metrics *metrics)
{
	gauge(metrics, "qfwatch_messages",
	      "Messages in the spool by tier and state: idle (nothing to do now), "
	      "new, writing "
	      "(incomplete), busy (due, locked by sendmail), failed (due, an error), "
	      "refused (unsafe "
	      "to touch), waiting (due, for a limit), moving (to another file "
	      "system), bouncing.");
	for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++)
		for (enum message_state state = 0; state < MESSAGE_STATES; state++)
			put_labelled_twice(metrics, "tier", tier_name(metrics, tier), "state",
					   engine_view_state_name(state),
					   ages_in_state(metrics->ages, tier, state));
}

static void put_oldest(struct metrics *metrics)
{
	int64_t now = metrics->now / CLOCK_SECOND;

	gauge(metrics, "qfwatch_oldest_message_timestamp_seconds",
	      "When the oldest message of the tier was created, to the minute; to "
	      "the day beyond two "
	      "weeks. Not there for an empty tier.");
	for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++) {
		int64_t oldest = ages_oldest(metrics->ages, tier);

		if (oldest >= 0)
			put_labelled(metrics, "tier", tier_name(metrics, tier), (uint64_t)oldest);
	}
	gauge(metrics, "qfwatch_oldest_message_age_seconds",
	      "Age of the oldest message of the tier; 0 for an empty one.");
	for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++) {
		int64_t oldest = ages_oldest(metrics->ages, tier);

		put_labelled(metrics, "tier", tier_name(metrics, tier),
			     oldest >= 0 && oldest < now ? (uint64_t)(now - oldest) : 0);
	}
}

static void put_older(struct metrics *metrics)
{
	static const struct {
		const char *name;
		int64_t seconds;
	} limits[] = {{"1h", 3600}, {"1d", 86400}, {"3d", 3 * 86400}, {"5d", 5 * 86400}};

	gauge(metrics, "qfwatch_messages_older_than",
	      "Messages of the tier that are older than the label says; noticed "
	      "within a minute.");
	for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++)
		for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
			put_labelled_twice(metrics, "tier", tier_name(metrics, tier), "age",
					   limits[i].name,
					   ages_older_than(metrics->ages, tier, limits[i].seconds,
							   metrics->now / CLOCK_SECOND));
}

static void put_directories(struct metrics *metrics)
{
	static const char *const states[] = {
		[ENGINE_VIEW_WATCHED] = "watched",
		[ENGINE_VIEW_POLLED] = "polled",
		[ENGINE_VIEW_LOST] = "lost",
	};
	enum { STATES = sizeof states / sizeof *states };
	uint64_t counts[POLICY_MAX_TIERS][STATES] = {0};

	for (size_t i = 0; i < engine_view_directories(metrics->engine); i++) {
		struct engine_view_directory dir;

		if (engine_view_directory(metrics->engine, i, &dir) && dir.tier < POLICY_MAX_TIERS)
			counts[dir.tier][dir.state]++;
	}
	gauge(metrics, "qfwatch_tier_directories",
	      "Queue directories of the tier: watched, polled (their file system "
	      "tells of too "
	      "little), "
	      "or lost.");
	for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++)
		for (unsigned state = 0; state < STATES; state++)
			put_labelled_twice(metrics, "tier", tier_name(metrics, tier), "state",
					   states[state], counts[tier][state]);
}

static void put_standing(struct metrics *metrics)
{
	put_messages(metrics);
	gauge(metrics, "qfwatch_message_body_bytes",
	      "Size of the bodies (df) of the tier's messages.");
	for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++)
		put_labelled(metrics, "tier", tier_name(metrics, tier),
			     ages_bytes(metrics->ages, tier));
	put_oldest(metrics);
	put_older(metrics);
	put_directories(metrics);
}

/* ---- what has been done ---- */

static void put_tier_counters(struct metrics *metrics)
{
	static const struct {
		enum tally_kind kind;
		const char *name, *help;
	} counters[] = {
		{TALLY_TRACKED, "qfwatch_messages_tracked_total",
		 "Messages read for the first time, those that the first scan found "
		 "included."},
		{TALLY_ARRIVED, "qfwatch_messages_arrived_total",
		 "Messages that came into the tier, but not by a move of qfwatch."},
		{TALLY_ATTEMPTED, "qfwatch_messages_attempted_total",
		 "Delivery attempts of sendmail that left the message in the tier."},
		{TALLY_DEPARTED, "qfwatch_messages_departed_total",
		 "Messages that left the spool without qfwatch: delivered, returned, or "
		 "removed."},
		{TALLY_DELETED, "qfwatch_messages_deleted_total", "Messages deleted by a rule."},
		{TALLY_BOUNCED, "qfwatch_messages_bounced_total",
		 "Messages that a rule had sendmail return to their sender."},
		{TALLY_FAILED, "qfwatch_messages_failed_total",
		 "Messages whose move, deletion or return met an error; each once for "
		 "the same "
		 "error."},
		{TALLY_REFUSED, "qfwatch_messages_refused_total",
		 "Messages found unsafe to touch; each once for the same reason."},
		{TALLY_BUSY, "qfwatch_messages_busy_total",
		 "Messages that were due and stayed locked by sendmail for longer than "
		 "the end of "
		 "an attempt."},
	};

	for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
		counter(metrics, counters[i].name, counters[i].help);
		for (unsigned tier = 0; tier < metrics->policy->n_tiers; tier++)
			put_labelled(metrics, "tier", tier_name(metrics, tier),
				     tally_of_tier(metrics->tally, tier, counters[i].kind).total);
	}
}

/* All that rules may make, and those that there have been. */
static void put_flows(struct metrics *metrics)
{
	uint64_t targets[POLICY_MAX_TIERS] = {0};
	struct tally_flow flow;

	for (size_t i = 0; i < metrics->policy->n_rules; i++) {
		const struct policy_rule *rule = &metrics->policy->rules[i];

		for (unsigned from = 0; from < metrics->policy->n_tiers; from++)
			if (rule->decides && rule->action == POLICY_MOVE && rule->tiers >> from & 1)
				targets[from] |= UINT64_C(1) << rule->target;
	}
	counter(metrics, "qfwatch_messages_moved_total", "Messages moved by qfwatch.");
	for (size_t i = 0; tally_flow(metrics->tally, i, &flow); i++) {
		targets[flow.from] &= ~(UINT64_C(1) << flow.to);
		put_labelled_twice(metrics, "from", tier_name(metrics, flow.from), "to",
				   tier_name(metrics, flow.to), flow.moved.total);
	}
	for (unsigned from = 0; from < metrics->policy->n_tiers; from++)
		for (unsigned to = 0; to < metrics->policy->n_tiers; to++)
			if (targets[from] >> to & 1)
				put_labelled_twice(metrics, "from", tier_name(metrics, from), "to",
						   tier_name(metrics, to), 0);
}

static void put_rules(struct metrics *metrics)
{
	static const struct {
		enum tally_outcome outcome;
		const char *name, *help;
	} counters[] = {
		{TALLY_RULE_ACTED, "qfwatch_rule_actions_total",
		 "Messages on which the rule acted."},
		{TALLY_RULE_FAILED, "qfwatch_rule_failures_total",
		 "Messages on which the rule's action, or its program, met an error."},
		{TALLY_RULE_REFUSED, "qfwatch_rule_refusals_total",
		 "Messages that were due by the rule and unsafe to touch."},
		{TALLY_RULE_BUSY, "qfwatch_rule_busy_total",
		 "Messages that were due by the rule and stayed locked by sendmail."},
	};

	for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
		counter(metrics, counters[i].name, counters[i].help);
		for (size_t rule = 0; rule < metrics->policy->n_rules; rule++)
			put_labelled_twice(
				metrics, "rule", metrics->policy->rules[rule].name, "action",
				policy_rule_word(&metrics->policy->rules[rule]),
				tally_of_rule(metrics->tally, rule, counters[i].outcome));
	}
}

static void put_histogram(struct metrics *metrics, enum tally_timer timer, const char *name,
			  const char *help)
{
	const struct tally_times *times = tally_times(metrics->tally, timer);
	size_t n;
	const int64_t *bounds = tally_bounds(timer, &n);

	exposition_family(&metrics->out, name, EXPOSITION_HISTOGRAM, help);
	exposition_histogram(&metrics->out, bounds, n, times->counts, times->sum);
}

static void put_times(struct metrics *metrics)
{
	put_histogram(metrics, TALLY_REACTION, "qfwatch_reaction_seconds",
		      "From the wake-up of the loop that learnt that a message may "
		      "be due to its "
		      "standing in "
		      "its next tier. Waiting for sendmail's lock or for a limit is "
		      "not in it.");
	put_histogram(metrics, TALLY_MOVE, "qfwatch_move_duration_seconds",
		      "One move, from taking the lock on.");
	put_histogram(metrics, TALLY_SCAN, "qfwatch_scan_duration_seconds",
		      "Rounds of scans through queue directories, moves made "
		      "meanwhile included.");
}

/* ---- whether it works ---- */

static void put_rounds(struct metrics *metrics)
{
	struct engine_view_round round;
	const char *reason;
	uint64_t n;

	counter(metrics, "qfwatch_overflows_total",
		"Overflows of the kernel's queue of notifications; each is followed "
		"by a resync.");
	put(metrics, engine_count(metrics->engine).overflows);
	counter(metrics, "qfwatch_resyncs_total",
		"Rounds in which memory was compared with the spool, by their reason.");
	for (unsigned i = 0; (reason = engine_rounds(metrics->engine, i, &n)); i++)
		put_labelled(metrics, "reason", reason, n);
	engine_view_round(metrics->engine, &round);
	gauge(metrics, "qfwatch_last_resync_timestamp_seconds",
	      "When memory and spool were last found to agree; 0: not yet.");
	put_time(metrics, round.last ? round.last_at : 0);
	gauge(metrics, "qfwatch_first_scan_complete",
	      "1 when all messages that stood in the spool at the start are known.");
	put(metrics, engine_view_is_complete(metrics->engine));
}

static void put_sink_family(struct metrics *metrics, uint64_t (*value)(const struct events_sink *))
{
	struct events_sink sink;

	for (size_t i = 0; events_sink(metrics->events, i, &sink); i++)
		put_labelled(metrics, "sink", sink.name, value(&sink));
}

static uint64_t written(const struct events_sink *sink)
{
	return sink->written;
}

static uint64_t dropped(const struct events_sink *sink)
{
	return sink->dropped;
}

static uint64_t waiting(const struct events_sink *sink)
{
	return sink->waiting;
}

static uint64_t works(const struct events_sink *sink)
{
	return !sink->broken;
}

static void put_events(struct metrics *metrics)
{
	counter(metrics, "qfwatch_events_total", "Events that a sink was to get.");
	put(metrics, events_emitted(metrics->events));
	counter(metrics, "qfwatch_events_written_total", "Events that the sink has taken.");
	put_sink_family(metrics, written);
	counter(metrics, "qfwatch_events_dropped_total",
		"Events that the sink did not take in time: they are lost.");
	put_sink_family(metrics, dropped);
	gauge(metrics, "qfwatch_event_sink_waiting_bytes", "What waits for the sink to take it.");
	put_sink_family(metrics, waiting);
	gauge(metrics, "qfwatch_event_sink_up", "1 unless the last opening or writing failed.");
	put_sink_family(metrics, works);
}

static void put_policy(struct metrics *metrics)
{
	gauge(metrics, "qfwatch_policy_last_reload_successful",
	      "1 if the policy file was taken when it was last read; else the one "
	      "before is in "
	      "force.");
	put(metrics, metrics->taken);
	gauge(metrics, "qfwatch_policy_last_reload_success_timestamp_seconds",
	      "When the policy in force was read.");
	put_time(metrics, metrics->taken_at);
	counter(metrics, "qfwatch_policy_reloads_total",
		"Times that the policy file was read, the start included.");
	put_labelled(metrics, "result", "taken", metrics->n_taken);
	put_labelled(metrics, "result", "rejected", metrics->n_rejected);
}

static void put_self(struct metrics *metrics)
{
	gauge(metrics, "qfwatch_build_info", "Always 1; the labels tell what is running.");
	put_labelled(metrics, "version", QFWATCH_VERSION, 1);
	gauge(metrics, "qfwatch_start_time_seconds", "When the daemon started.");
	put_time(metrics, metrics->started);
	gauge(metrics, "qfwatch_dry_run",
	      "1 for a daemon that touches nothing: then counters tell what it would "
	      "have done.");
	put(metrics, engine_view_is_dry_run(metrics->engine));
	gauge(metrics, "qfwatch_memory_messages_bytes", "Memory that the messages take.");
	put(metrics, engine_count(metrics->engine).table_bytes);
}

/* ---- the process ---- */

static bool read_statm(uint64_t *ret_size, uint64_t *ret_resident)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long size, resident;
	bool ok = file && fscanf(file, "%llu %llu", &size, &resident) == 2;

	if (file)
		fclose(file);
	if (!ok)
		return false;
	*ret_size = size * (uint64_t)sysconf(_SC_PAGESIZE);
	*ret_resident = resident * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

/* Returns 0 without /proc. */
static uint64_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t n = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n - 1; /* the one that reads them */
}

static void put_process(struct metrics *metrics)
{
	struct rusage usage;
	struct rlimit limit;
	uint64_t size, resident, descriptors = count_descriptors();

	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		counter(metrics, "process_cpu_seconds_total",
			"Total user and system CPU time spent in seconds.");
		put_time(metrics, (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * CLOCK_SECOND +
					  usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	}
	if (read_statm(&size, &resident)) {
		gauge(metrics, "process_resident_memory_bytes", "Resident memory size in bytes.");
		put(metrics, resident);
		gauge(metrics, "process_virtual_memory_bytes", "Virtual memory size in bytes.");
		put(metrics, size);
	}
	if (descriptors) {
		gauge(metrics, "process_open_fds", "Number of open file descriptors.");
		put(metrics, descriptors);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
		gauge(metrics, "process_max_fds", "Maximum number of open file descriptors.");
		put(metrics, limit.rlim_cur);
	}
	gauge(metrics, "process_start_time_seconds",
	      "Start time of the process since unix epoch in seconds.");
	put_time(metrics, metrics->started);
}

const char *metrics_render(struct metrics *metrics, enum metrics_for reader, int64_t now,
			   size_t *ret_length)
{
	exposition_clear(&metrics->out);
	metrics->now = now;
	metrics->policy = engine_view_policy(metrics->engine);
	metrics->tally = engine_get_tally(metrics->engine, now);
	metrics->ages = engine_get_ages(metrics->engine);
	put_self(metrics);
	put_standing(metrics);
	put_tier_counters(metrics);
	put_flows(metrics);
	put_rules(metrics);
	put_times(metrics);
	put_rounds(metrics);
	put_events(metrics);
	put_policy(metrics);
	if (reader == METRICS_FOR_SCRAPE) {
		put_process(metrics);
	} else {
		gauge(metrics, "qfwatch_textfile_timestamp_seconds",
		      "When this file was written: what is much older comes from a daemon "
		      "that has "
		      "stopped.");
		put_time(metrics, now);
	}
	*ret_length = metrics->out.length;
	return metrics->out.text;
}
