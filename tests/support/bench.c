/* bench.c - see bench.h. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fill.h"

static const char *const tiers[] = {"QUEUE", "MIDQUEUE", "SLOWQUEUE"};

/* For the way out. */
static char temporary[BENCH_PATH];
static pid_t owner;

static void clean_up(void)
{
	if (*temporary && getpid() == owner)
		service_remove_tree(temporary);
	*temporary = '\0';
}

/* The processes that this one started die with it (PR_SET_PDEATHSIG), perhaps in the middle of
 * writing: hence the second try. Only what a signal handler may do is done here. */
static void interrupted(int signal_number)
{
	if (*temporary && getpid() == owner && _Fork() == 0) {
		execl("/bin/sh", "sh", "-c",
		      "rm -rf -- \"$1\" 2>/dev/null || { sleep 1; rm -rf -- \"$1\"; }", "sh",
		      temporary, (char *)NULL);
		_exit(127);
	}
	_exit(128 + signal_number);
}

__attribute__((format(printf, 1, 0))) static void print_problem(const char *format,
								va_list arguments)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
}

void bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_problem(format, arguments);
	va_end(arguments);
	exit(1);
}

void bench_say(const char *format, ...)
{
	va_list arguments;

	if (getenv("BENCH_QUIET"))
		return;
	va_start(arguments, format);
	print_problem(format, arguments);
	va_end(arguments);
}

int64_t bench_number(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	long long value;

	if (!text || !*text)
		return otherwise;
	value = strtoll(text, &end, 10);
	if (*end || value <= 0)
		bench_fail("%s=%s: expected a number greater than 0", name, text);
	return value;
}

__attribute__((format(printf, 2, 3))) static void put_path(char path[BENCH_PATH],
							   const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(path, BENCH_PATH, format, arguments);
	va_end(arguments);
	if (length >= BENCH_PATH)
		bench_fail("a path of more than %d bytes: %s...", BENCH_PATH - 1, path);
}

/* build/tests/bench/bench_x -> build/qfwatch */
static void find_program(struct bench *bench)
{
	const char *given = getenv("QFWATCH");
	char self[BENCH_PATH];
	ssize_t length;

	if (given && *given) {
		put_path(bench->program, "%s", given);
	} else {
		length = readlink("/proc/self/exe", self, sizeof(self) - 1);
		self[length > 0 ? length : 0] = '\0';
		put_path(bench->program, "%s/qfwatch", dirname(dirname(dirname(self))));
	}
	if (access(bench->program, X_OK) < 0)
		bench_fail("%s: %s; build it first (make), or set QFWATCH", bench->program,
			   strerror(errno));
}

void bench_open(struct bench *bench)
{
	const char *base = getenv("BENCH_DIR");
	struct sigaction action = {.sa_handler = interrupted};

	*bench = (struct bench){0};
	setvbuf(stdout, NULL, _IOLBF, 0);
	bench->scale = (uint64_t)bench_number("SCALE", 100000);
	bench->rounds = (int)bench_number("BENCH_ROUNDS", 5);
	if (bench->rounds > BENCH_MAX_ROUNDS)
		bench->rounds = BENCH_MAX_ROUNDS;
	find_program(bench);
	if (!base || !*base)
		base = getenv("TMPDIR");
	put_path(bench->folder, "%s/qfwatch-bench-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(bench->folder))
		bench_fail("cannot make a folder like %s: %s", bench->folder, strerror(errno));
	strcpy(temporary, bench->folder);
	owner = getpid();
	atexit(clean_up);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	put_path(bench->events, "%s/events", bench->folder);
}

void bench_queue(struct bench *bench, const char *tier, struct mta_queue *ret)
{
	char path[BENCH_PATH];
	int r;

	put_path(path, "%s/%s", bench->spool, tier);
	r = mta_queue_open(path, MTA_FLAT, ret);
	if (r < 0)
		bench_fail("cannot open %s: %s", path, strerror(-r));
}

static void make_tiers(struct bench *bench)
{
	struct mta_queue queue;

	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
		bench_queue(bench, tiers[i], &queue);
		mta_queue_close(&queue);
	}
}

void bench_empty_spool(struct bench *bench, const char *name)
{
	put_path(bench->spool, "%s/%s", bench->folder, name);
	if (mkdir(bench->spool, 0755) < 0)
		bench_fail("cannot make %s: %s", bench->spool, strerror(errno));
	make_tiers(bench);
}

void bench_make_spool(struct bench *bench)
{
	const char *given = getenv("BENCH_SPOOL");
	struct fill fill = {
		.count = bench->scale,
		.first_process = 100000,
		.seed = 20130601,
		.attempts_most = 2,
		.age_most = 3 * 86400,
		.body_max = 3000,
	};
	char path[BENCH_PATH];
	int r;

	if (given && *given) {
		put_path(bench->spool, "%s", given);
		make_tiers(bench);
		return;
	}
	bench_say("writing %" PRIu64 " messages", bench->scale);
	bench_empty_spool(bench, "spool");
	put_path(path, "%s/QUEUE", bench->spool);
	r = fill_spool(path, MTA_FLAT, &fill);
	if (r < 0)
		bench_fail("cannot fill %s: %s", path, strerror(-r));
}

void bench_policy(struct bench *bench, const char *rules)
{
	FILE *file;

	put_path(bench->policy, "%s/policy.json", bench->folder);
	file = fopen(bench->policy, "we");
	if (!file)
		bench_fail("cannot write %s: %s", bench->policy, strerror(errno));
	fprintf(file, "{\"version\":1,\"tiers\":[");
	for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++)
		fprintf(file, "%s{\"name\":\"%s\",\"directory\":\"%s/%s\"}", i ? "," : "", tiers[i],
			bench->spool, tiers[i]);
	fprintf(file,
		"],\"rules\":[%s],\"events\":{\"sinks\":[{\"type\":\"file\",\"path\":\"%s\"}]}}\n",
		rules, bench->events);
	if (fclose(file) != 0)
		bench_fail("cannot write %s: %s", bench->policy, strerror(errno));
}

/* ---- the daemon ---- */

__attribute__((noreturn)) static void fail_service(struct service *service, const char *what)
{
	char how[64];
	char *errors = service_errors(service);

	service_describe(service, how, sizeof(how));
	service_free(service);
	bench_fail("qfwatch %s: %s. It wrote:\n%s", what, how,
		   errors && *errors ? errors : "(nothing to stderr)");
}

static void start(struct bench *bench, struct service *service, const char *first,
		  const char *second)
{
	const char *arguments[] = {"run", "-c", bench->policy, first, second, NULL};
	char output[BENCH_PATH];
	int r;

	put_path(output, "%s/stdout", bench->folder);
	r = service_start(service, bench->program, arguments, bench->folder, output);
	if (r < 0)
		bench_fail("cannot start %s: %s", bench->program, strerror(-r));
}

void bench_stop(struct bench *bench, struct service *service)
{
	(void)bench;
	if (service_stop(service, stats_now() + 30 * STATS_S) < 0 || service->status != 0)
		fail_service(service, "run did not end as it should on SIGTERM");
	service_free(service);
}

int64_t bench_run_once(struct bench *bench, const char *first, const char *second)
{
	struct service service;
	int64_t began = stats_now(), took;

	unlink(bench->events);
	start(bench, &service, first, second);
	if (service_wait(&service, began + 60 * STATS_S + (int64_t)bench->scale * STATS_MS) < 0)
		fail_service(&service, "run --once did not end");
	took = stats_now() - began;
	if (service.status != 0)
		fail_service(&service, "run --once");
	service_free(&service);
	return took;
}

/* ---- events ---- */

static int64_t time_of(const char *text)
{
	struct tm tm = {0};
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!rest)
		return 0;
	return (int64_t)timegm(&tm) * STATS_S + (int64_t)(strtod(rest, NULL) * 1e9);
}

void bench_count_events(const struct bench *bench, struct bench_events *ret)
{
	FILE *file = fopen(bench->events, "re");
	char line[8192];

	*ret = (struct bench_events){0};
	while (file && fgets(line, sizeof(line), file)) {
		json_t *event, *about;
		const char *action;

		if (!strstr(line, "events-") && !strstr(line, "resynced"))
			continue;
		event = json_loads(line, 0, NULL);
		about = json_object_get(event, "event");
		action = json_string_value(json_object_get(about, "action"));
		if (action && strcmp(action, "events-lost") == 0) {
			ret->lost++;
			ret->to_resync = true;
		} else if (action && strcmp(action, "events-dropped") == 0) {
			ret->dropped++;
		} else if (action && strcmp(action, "resynced") == 0) {
			ret->to_resync = false;
			ret->resynced_at =
				time_of(json_string_value(json_object_get(event, "@timestamp")));
		}
		json_decref(event);
	}
	if (file)
		fclose(file);
}

int64_t bench_start(struct bench *bench, struct service *service)
{
	int64_t began = stats_now();
	int64_t deadline = began + 30 * STATS_S + (int64_t)bench->scale * 100 * STATS_US;
	struct bench_events events;

	unlink(bench->events);
	start(bench, service, NULL, NULL);
	if (service_wait_ready(service, deadline) < 0)
		fail_service(service, "run did not get ready");
	/* Ready means that it watches. The first scan is over when it says resynced. */
	for (bench_count_events(bench, &events); events.resynced_at == 0;
	     bench_count_events(bench, &events)) {
		if (service_ended(service) || stats_now() > deadline)
			fail_service(service, "run did not tell of its first scan (resynced)");
		stats_sleep_until(stats_now() + STATS_MS);
	}
	return stats_now() - began;
}

/* ---- arrivals ---- */

void bench_watch_arrivals(struct bench_arrivals *arrivals, const struct mta_queue *queue)
{
	char path[64];

	arrivals->at = arrivals->length = 0;
	arrivals->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", queue->qf);
	if (arrivals->inotify < 0 ||
	    inotify_add_watch(arrivals->inotify, path, IN_MOVED_TO | IN_CREATE) < 0)
		bench_fail("cannot watch a tier: %s", strerror(errno));
}

void bench_end_arrivals(struct bench_arrivals *arrivals)
{
	close(arrivals->inotify);
	arrivals->inotify = -1;
}

bool bench_next_arrival(struct bench_arrivals *arrivals, int64_t deadline,
			char id[MTA_ID_LENGTH + 1], int64_t *ret_when)
{
	struct pollfd polled = {.fd = arrivals->inotify, .events = POLLIN};

	for (;;) {
		int64_t left;
		ssize_t length;

		while (arrivals->at < arrivals->length) {
			const struct inotify_event *event =
				(const struct inotify_event *)(arrivals->buffer + arrivals->at);

			arrivals->at += sizeof(*event) + event->len;
			if (event->len > MTA_ID_LENGTH && strncmp(event->name, "qf", 2) == 0 &&
			    strlen(event->name + 2) == MTA_ID_LENGTH) {
				strcpy(id, event->name + 2);
				*ret_when = arrivals->now;
				return true;
			}
		}
		left = deadline - stats_now();
		if (poll(&polled, 1, left > 0 ? (int)(left / STATS_MS) + 1 : 0) == 0 && left <= 0)
			return false;
		length = read(arrivals->inotify, arrivals->buffer, sizeof(arrivals->buffer));
		arrivals->now = stats_now();
		arrivals->at = 0;
		arrivals->length = length > 0 ? (size_t)length : 0;
	}
}

/* ---- rows ---- */

void bench_add(struct bench_series *series, double value)
{
	if (series->count < BENCH_MAX_ROUNDS)
		series->values[series->count++] = value;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double bench_median(const struct bench_series *series)
{
	double sorted[BENCH_MAX_ROUNDS];

	if (series->count == 0)
		return 0;
	memcpy(sorted, series->values, sizeof(*sorted) * (size_t)series->count);
	qsort(sorted, (size_t)series->count, sizeof(*sorted), compare);
	if (series->count % 2)
		return sorted[series->count / 2];
	return (sorted[series->count / 2 - 1] + sorted[series->count / 2]) / 2;
}

static void least_and_most(const struct bench_series *series, double *least, double *most)
{
	*least = *most = series->count ? series->values[0] : 0;
	for (int i = 1; i < series->count; i++) {
		*least = series->values[i] < *least ? series->values[i] : *least;
		*most = series->values[i] > *most ? series->values[i] : *most;
	}
}

static void show_value(const struct bench_row *row, const struct bench_series *series, char *text,
		       size_t size)
{
	double value = bench_median(series);
	char number[32];

	if (series->count == 0)
		snprintf(text, size, "-");
	else if (row->unit == BENCH_NANOSECONDS)
		stats_duration((int64_t)value, text, size);
	else if (row->unit == BENCH_BYTES)
		snprintf(text, size, "%.1f B", value);
	else
		snprintf(text, size, "%s%s",
			 stats_thousands((uint64_t)(value + 0.5), number, sizeof(number)),
			 row->unit == BENCH_PER_SECOND ? "/s" : "");
}

static json_t *series_json(const struct bench_series *series)
{
	json_t *values = json_array();
	double least, most;

	for (int i = 0; i < series->count; i++)
		json_array_append_new(values, json_real(series->values[i]));
	least_and_most(series, &least, &most);
	return json_pack("{s:f,s:f,s:f,s:o}", "median", bench_median(series), "min", least, "max",
			 most, "rounds", values);
}

static void save(const struct bench_row *row, const struct bench_series *ratios,
		 const char *verdict)
{
	static const char *const units[] = {"ns", "bytes", "1/s", "count"};
	const char *path = getenv("BENCH_RESULTS");
	json_t *json;
	FILE *file;

	if (!path || !*path)
		return;
	json = json_pack("{s:s,s:s,s:s,s:o}", "row", row->key, "what", row->what, "unit",
			 units[row->unit], "qfwatch", series_json(&row->ours));
	if (row->bare.count)
		json_object_set_new(json, "bare", series_json(&row->bare));
	if (ratios->count)
		json_object_set_new(json, "ratio", series_json(ratios));
	if (row->reach)
		json_object_set_new(json, "reach", json_pack("s", row->reach));
	if (*verdict)
		json_object_set_new(json, "reached", json_boolean(strcmp(verdict, "yes") == 0));
	if (row->elsewhere)
		json_object_set_new(json, "elsewhere", json_pack("s", row->elsewhere));
	file = fopen(path, "ae");
	if (!file || json_dumpf(json, file, JSON_COMPACT | JSON_REAL_PRECISION(6)) < 0 ||
	    fputc('\n', file) < 0 || fclose(file) != 0)
		bench_fail("cannot write %s: %s", path, strerror(errno));
	json_decref(json);
}

void bench_print(const struct bench_row *row)
{
	char ours[32], bare[32], ratio[48] = "", spread[48] = "";
	struct bench_series ratios = {0};
	double least, most, value = bench_median(&row->ours), quotient;
	const char *verdict = "";
	bool good;

	for (int i = 0; i < row->ours.count && i < row->bare.count; i++) {
		if (row->bare.values[i] > 0)
			bench_add(&ratios, row->ours.values[i] / row->bare.values[i]);
	}
	quotient = bench_median(&ratios);
	show_value(row, &row->ours, ours, sizeof(ours));
	show_value(row, &row->bare, bare, sizeof(bare));
	if (ratios.count) {
		least_and_most(&ratios, &least, &most);
		snprintf(ratio, sizeof(ratio), "%.2f x", quotient);
		snprintf(spread, sizeof(spread), "%.2f..%.2f", least, most);
	}
	if (row->reach && (row->reach_ratio > 0 ? ratios.count : row->ours.count) > 0) {
		double limit = row->reach_ratio > 0 ? row->reach_ratio : row->reach_value;
		double reached = row->reach_ratio > 0 ? quotient : value;

		good = row->at_least ? reached >= limit : reached <= limit;
		verdict = good ? "yes" : "no";
	}
	printf("%-46s %10s %10s %8s %-12s %-10s %-3s  %s\n", row->what, ours, bare, ratio, spread,
	       row->reach ? row->reach : "", verdict, row->elsewhere ? row->elsewhere : "");
	save(row, &ratios, verdict);
}
