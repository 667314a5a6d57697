/* test_metrics.c - what /metrics says, read back line by line: well formed, each series once,
 * bounded by the policy, and true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/metrics.h"

#include "../support/drive.h"
#include "../support/testing.h"

static struct metrics *metrics;

/* One rendering, as lines. */
static char *text;
static char *lines[20000];
static size_t n_lines;

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

/* Does a sample belong to a family: is it of its name, or a part of a histogram? */
static bool belongs(const char *sample, const char *family, bool histogram)
{
	size_t length = strlen(family);

	if (!begins(sample, family))
		return false;
	if (!histogram)
		return sample[length] == '{' || sample[length] == ' ';
	return begins(sample + length, "_bucket{") || begins(sample + length, "_sum ") ||
	       begins(sample + length, "_count ");
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each family is announced once, before its samples, and no series comes twice. */
static void well_formed(void)
{
	static char *series[N(lines)];
	char family[128] = "";
	bool histogram = false;
	size_t n_series = 0;

	for (size_t i = 0; i < n_lines; i++) {
		char *line = lines[i], *space;

		if (begins(line, "# HELP ")) {
			check(sscanf(line, "# HELP %127s", family) == 1);
			check(strlen(line) > strlen("# HELP  ") + strlen(family) + 10);
			check(i + 1 < n_lines && begins(lines[i + 1], "# TYPE ") &&
			      begins(lines[i + 1] + strlen("# TYPE "), family));
			histogram = strstr(lines[i + 1], " histogram") != NULL;
			/* Counters, and nothing else, end so. */
			check((strstr(lines[i + 1], " counter") != NULL) ==
			      (strcmp(family + strlen(family) - 6, "_total") == 0));
			series[n_series++] = line;
			i++;
			continue;
		}
		check(belongs(line, family, histogram));
		space = strrchr(line, ' ');
		check(space && space[1] && strspn(space + 1, "0123456789.") == strlen(space + 1));
		*space = 0;
		series[n_series++] = strdup(line);
		*space = ' ';
	}
	qsort(series, n_series, sizeof *series, compare);
	for (size_t i = 0; i < n_series; i++) {
		check(i == 0 || strcmp(series[i], series[i - 1]) != 0);
	}
	for (size_t i = 0; i < n_series; i++)
		if (series[i][0] != '#')
			free(series[i]);
}

static void render(enum metrics_for reader)
{
	size_t length;
	const char *rendered = metrics_render(metrics, reader, drive_now(), &length);

	free(text);
	text = strndup(rendered, length);
	check_equal(strlen(text), length);
	check(length && text[length - 1] == '\n');
	n_lines = 0;
	for (char *at = text; *at; at++) {
		check(n_lines < N(lines));
		lines[n_lines++] = at;
		at = strchr(at, '\n');
		*at = 0;
	}
	well_formed();
}

/* The value of a series, as it stands there. */
static const char *value(const char *series)
{
	for (size_t i = 0; i < n_lines; i++)
		if (begins(lines[i], series) && lines[i][strlen(series)] == ' ')
			return lines[i] + strlen(series) + 1;
	return "none";
}

static void begin(const char *tiers, const char *rules, bool dry_run)
{
	drive_start(tiers, rules, ENGINE_WATCH, dry_run);
	metrics = metrics_new(drive_engine, drive_events, drive_now());
	metrics_note_policy(metrics, true, drive_now());
}

static void end(void)
{
	metrics_free(metrics);
	free(text);
	text = NULL;
	drive_finish();
}

static void queues(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
}

static void tells_what_is(void)
{
	char expected[64];

	queues();
	testing_enqueue("Q", "waits", 1);
	begin(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, false);
	render(METRICS_FOR_SCRAPE);
	check_text(value("qfwatch_messages{tier=\"Q\",state=\"idle\"}"), "1");
	check_text(value("qfwatch_messages{tier=\"M\",state=\"idle\"}"), "0");
	check_text(value("qfwatch_message_body_bytes{tier=\"Q\"}"), "14");
	check_text(value("qfwatch_messages_tracked_total{tier=\"Q\"}"), "1");
	check_text(value("qfwatch_messages_arrived_total{tier=\"Q\"}"), "0");
	/* What may come is there at zero; what is not there has no time. */
	check_text(value("qfwatch_messages_moved_total{from=\"Q\",to=\"M\"}"), "0");
	check_text(value("qfwatch_messages_moved_total{from=\"M\",to=\"S\"}"), "0");
	check_text(value("qfwatch_messages_moved_total{from=\"S\",to=\"Q\"}"), "none");
	check_text(value("qfwatch_oldest_message_timestamp_seconds{tier=\"S\"}"), "none");
	check_text(value("qfwatch_oldest_message_age_seconds{tier=\"S\"}"), "0");
	check_text(value("qfwatch_rule_actions_total{rule=\"rule 1\",action=\"move\"}"), "0");
	check_text(value("qfwatch_first_scan_complete"), "1");
	check_text(value("qfwatch_resyncs_total{reason=\"start\"}"), "1");
	check_text(value("qfwatch_resyncs_total{reason=\"overflow\"}"), "0");
	check_text(value("qfwatch_build_info{version=\"" QFWATCH_VERSION "\"}"), "1");
	check_text(value("qfwatch_reaction_seconds_count"), "0");
	check_text(value("qfwatch_dry_run"), "0");
	check(strcmp(value("process_resident_memory_bytes"), "100000") > 0);

	testing_message(
		"Q", &(struct testing_message){.id = "young",
					       .attempts = 3,
					       .created = drive_now() / DRIVE_SECOND - 2 * 3600});
	drive_turns();
	render(METRICS_FOR_TEXTFILE);
	check_text(value("qfwatch_messages_moved_total{from=\"Q\",to=\"M\"}"), "1");
	check_text(value("qfwatch_rule_actions_total{rule=\"rule 1\",action=\"move\"}"), "1");
	check_text(value("qfwatch_messages_arrived_total{tier=\"Q\"}"), "1");
	check_text(value("qfwatch_messages{tier=\"M\",state=\"idle\"}"), "1");
	check_text(value("qfwatch_messages_older_than{tier=\"M\",age=\"1h\"}"), "1");
	check_text(value("qfwatch_messages_older_than{tier=\"M\",age=\"1d\"}"), "0");
	check_text(value("qfwatch_messages_older_than{tier=\"Q\",age=\"5d\"}"), "1");
	check_text(value("qfwatch_reaction_seconds_count"), "1");
	check_text(value("qfwatch_reaction_seconds_bucket{le=\"+Inf\"}"), "1");
	check_text(value("qfwatch_move_duration_seconds_bucket{le=\"60\"}"), "1");
	/* tracked twice, moved, resynced; all written. */
	check_text(value("qfwatch_events_total"), "4");
	/* node_exporter has process_* numbers of its own. */
	check_text(value("process_resident_memory_bytes"), "none");
	snprintf(expected, sizeof expected, "%lld.%06lld", (long long)(drive_now() / DRIVE_SECOND),
		 (long long)(drive_now() % DRIVE_SECOND));
	check(begins(expected, value("qfwatch_textfile_timestamp_seconds")));

	testing_rename("S", "away");
	drive_turns();
	metrics_note_policy(metrics, false, drive_now());
	render(METRICS_FOR_SCRAPE);
	check_text(value("qfwatch_tier_directories{tier=\"S\",state=\"lost\"}"), "1");
	check_text(value("qfwatch_tier_directories{tier=\"S\",state=\"watched\"}"), "0");
	check_text(value("qfwatch_tier_directories{tier=\"Q\",state=\"watched\"}"), "1");
	check_text(value("qfwatch_policy_last_reload_successful"), "0");
	check_text(value("qfwatch_policy_reloads_total{result=\"rejected\"}"), "1");
	check_text(value("qfwatch_policy_reloads_total{result=\"taken\"}"), "1");
	check_text(value("qfwatch_textfile_timestamp_seconds"), "none");
	end();
}

/* However many messages, domains and ids: the same series. */
static void is_bounded(void)
{
	size_t before;

	queues();
	begin(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, false);
	testing_enqueue("Q", "first", 3);
	testing_enqueue("M", "second", 10);
	drive_turns();
	/* An empty tier has no oldest message: with something in each they are all there. */
	testing_enqueue("Q", "a", 0);
	drive_turns();
	render(METRICS_FOR_SCRAPE);
	before = n_lines;
	for (int i = 0; i < 300; i++) {
		char id[16], domain[32];

		snprintf(id, sizeof id, "m%d", i);
		snprintf(domain, sizeof domain, "d%d.example", i);
		testing_message("Q", &(struct testing_message){.id = id,
							       .attempts = (uint32_t)i % 12,
							       .created = 1000000000 + i * 86400,
							       .domain = domain});
	}
	drive_turns();
	render(METRICS_FOR_SCRAPE);
	check_equal(n_lines, before);
	end();
}

/* Names of tiers and rules may hold any character, and policies may change. */
static void names_are_escaped(void)
{
	queues();
	begin(DRIVE_TIER("Q\\\"1\\\\", "Q") "," DRIVE_TIER("\xc3\xa9", "M"),
	      "{\"name\":\"a\\\"b\",\"tier\":\"*\",\"when\":{\"attempts\":3},\"then\":{\"notify\":"
	      "true}}",
	      false);
	testing_enqueue("Q", "1", 3);
	drive_turns();
	render(METRICS_FOR_SCRAPE);
	check_text(value("qfwatch_messages{tier=\"Q\\\"1\\\\\",state=\"idle\"}"), "1");
	check_text(value("qfwatch_messages{tier=\"\xc3\xa9\",state=\"idle\"}"), "0");
	check_text(value("qfwatch_rule_actions_total{rule=\"a\\\"b\",action=\"notify\"}"), "1");
	/* The same directory under another name: another tier. */
	check_equal(drive_apply(DRIVE_TIER("M", "M") "," DRIVE_TIER("Q", "Q"),
				DRIVE_MOVE("Q", "\"attempts\":4", "M")),
		    0);
	drive_turns();
	render(METRICS_FOR_SCRAPE);
	check_text(value("qfwatch_messages{tier=\"Q\\\"1\\\\\",state=\"idle\"}"), "none");
	check_text(value("qfwatch_messages{tier=\"Q\",state=\"idle\"}"), "1");
	check_text(value("qfwatch_rule_actions_total{rule=\"rule 1\",action=\"move\"}"), "0");
	end();
}

static void a_dry_run_says_so(void)
{
	queues();
	testing_enqueue("Q", "1", 11);
	begin(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, true);
	render(METRICS_FOR_SCRAPE);
	check_text(value("qfwatch_dry_run"), "1");
	check_text(value("qfwatch_messages_moved_total{from=\"Q\",to=\"M\"}"), "1");
	check_text(value("qfwatch_messages_moved_total{from=\"M\",to=\"S\"}"), "1");
	check_text(value("qfwatch_messages{tier=\"Q\",state=\"idle\"}"), "1");
	check_text(value("qfwatch_reaction_seconds_count"), "0");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(tells_what_is),
		APART(is_bounded),
		APART(names_are_escaped),
		APART(a_dry_run_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
