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
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "fill.h"

static const char *const tiers[] = {"QUEUE", "MIDQUEUE", "SLOWQUEUE"};

/* For the way out. */
static char temporary[2][BENCH_PATH];
static pid_t owner;

static void clean_up(void)
{
	for (int i = 0; i < 2; i++) {
		if (*temporary[i] && getpid() == owner)
			service_remove_tree(temporary[i]);
		*temporary[i] = '\0';
	}
}

/* The processes that this one started die with it (PR_SET_PDEATHSIG), perhaps in the middle of
 * writing: hence the second try. Only what a signal handler may do is done here. */
static void interrupted(int signal_number)
{
	if (*temporary[0] && getpid() == owner && _Fork() == 0) {
		execl("/bin/sh", "sh", "-c",
		      "rm -rf -- \"$@\" 2>/dev/null || { sleep 1; rm -rf -- \"$@\"; }", "sh",
		      temporary[0], *temporary[1] ? temporary[1] : (char *)NULL, (char *)NULL);
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

static int make_folder(struct bench *bench, const char *base, int which)
{
	char path[BENCH_PATH];

	put_path(path, "%s/qfwatch-bench-XXXXXX", base);
	if (!mkdtemp(path))
		return -errno;
	strcpy(temporary[which], path);
	strcpy(bench->folder, path);
	put_path(bench->events, "%s/events", bench->folder);
	put_path(bench->socket, "%s/http", bench->folder);
	return 0;
}

void bench_open(struct bench *bench)
{
	const char *base = getenv("BENCH_DIR");
	struct sigaction action = {.sa_handler = interrupted};
	int r;

	*bench = (struct bench){0};
	setvbuf(stdout, NULL, _IOLBF, 0);
	bench->scale = (uint64_t)bench_number("SCALE", 100000);
	bench->rounds = (int)bench_number("BENCH_ROUNDS", 5);
	if (bench->rounds > SERIES_MAX)
		bench->rounds = SERIES_MAX;
	find_program(bench);
	if (!base || !*base)
		base = getenv("TMPDIR");
	base = base && *base ? base : "/tmp";
	r = make_folder(bench, base, 0);
	if (r < 0)
		bench_fail("cannot make a folder in %s: %s", base, strerror(-r));
	owner = getpid();
	atexit(clean_up);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
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

void bench_fill_spool(struct bench *bench, const char *name, uint64_t count,
		      uint32_t attempts_least, uint32_t attempts_most)
{
	struct fill fill = {
		.count = count,
		.first_process = 100000,
		.seed = 20130601,
		.attempts_least = attempts_least,
		.attempts_most = attempts_most,
		.age_most = 3 * 86400,
		.body_max = 3000,
	};
	char path[BENCH_PATH];
	int r;

	bench_say("writing %" PRIu64 " messages", count);
	bench_empty_spool(bench, name);
	put_path(path, "%s/QUEUE", bench->spool);
	r = fill_spool(path, MTA_FLAT, &fill);
	if (r < 0)
		bench_fail("cannot fill %s: %s", path, strerror(-r));
}

uint64_t bench_fill_memory(struct bench *bench)
{
	const char *given = getenv("BENCH_MEMORY"), *base = given && *given ? given : "/dev/shm";
	uint64_t count = bench->scale < 100000 ? bench->scale : 100000;
	struct statvfs room;

	/* A message takes two pages or three, and the names and inodes of two files. */
	if (statvfs(base, &room) < 0 || room.f_bavail * room.f_bsize < count * 20000 ||
	    make_folder(bench, base, 1) < 0)
		return 0;
	bench_fill_spool(bench, "spool", count, 0, 2);
	return count;
}

void bench_make_spool(struct bench *bench)
{
	const char *given = getenv("BENCH_SPOOL");

	if (given && *given) {
		put_path(bench->spool, "%s", given);
		make_tiers(bench);
	} else {
		bench_fill_spool(bench, "spool", bench->scale, 0, 2);
	}
}

static const char *or_nothing(const char *text)
{
	return text ? text : "";
}

void bench_policy_with(struct bench *bench, const struct bench_policy *with)
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
		"%s],\"rules\":[%s],\"events\":{\"sinks\":[{\"type\":\"file\",\"path\":\"%s\"}%s]%"
		"s}",
		or_nothing(with->tiers), with->rules, bench->events, or_nothing(with->sinks),
		or_nothing(with->event_keys));
	if (with->listen)
		fprintf(file, ",\"listen\":\"unix:%s\"", bench->socket);
	fprintf(file, "}\n");
	if (fclose(file) != 0)
		bench_fail("cannot write %s: %s", bench->policy, strerror(errno));
}

void bench_policy(struct bench *bench, const char *rules)
{
	bench_policy_with(bench, &(struct bench_policy){.rules = rules});
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

static void count_event(const char *line, struct bench_events *events)
{
	json_t *event = json_loads(line, 0, NULL);
	json_t *about = json_object_get(event, "event");
	const char *action = json_string_value(json_object_get(about, "action"));

	if (action && strcmp(action, "events-lost") == 0) {
		events->lost++;
		events->to_resync = true;
	} else if (action && strcmp(action, "events-dropped") == 0) {
		events->dropped++;
	} else if (action && strcmp(action, "resynced") == 0) {
		events->to_resync = false;
		events->resynced_at =
			time_of(json_string_value(json_object_get(event, "@timestamp")));
	}
	json_decref(event);
}

void bench_count_events(const struct bench *bench, struct bench_events *events)
{
	FILE *file = fopen(bench->events, "re");
	char line[8192];

	if (file && fseek(file, events->offset, SEEK_SET) == 0) {
		while (fgets(line, sizeof(line), file) && strchr(line, '\n')) {
			events->offset += (long)strlen(line);
			if (strstr(line, "events-") || strstr(line, "resynced"))
				count_event(line, events);
		}
	}
	if (file)
		fclose(file);
}

void bench_each_move(const struct bench *bench,
		     void (*take)(void *context, const char *id, int64_t told, int64_t duration),
		     void *context)
{
	FILE *file = fopen(bench->events, "re");
	char line[8192];

	while (file && fgets(line, sizeof(line), file)) {
		json_t *event =
			strstr(line, "\"message-moved\"") ? json_loads(line, 0, NULL) : NULL;
		const char *id = json_string_value(
			json_object_get(json_object_get(event, "email"), "local_id"));
		json_t *duration = json_object_get(json_object_get(event, "event"), "duration");

		if (id)
			take(context, id,
			     time_of(json_string_value(json_object_get(event, "@timestamp"))),
			     json_integer_value(duration));
		json_decref(event);
	}
	if (file)
		fclose(file);
}

int64_t bench_start(struct bench *bench, struct service *service)
{
	int64_t began = stats_now();
	int64_t deadline = began + 30 * STATS_S + (int64_t)bench->scale * 100 * STATS_US;
	struct bench_events events = {0};

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
	arrivals->spin = false;
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
		if ((arrivals->spin ||
		     poll(&polled, 1, left > 0 ? (int)(left / STATS_MS) + 1 : 0) == 0) &&
		    left <= 0)
			return false;
		length = read(arrivals->inotify, arrivals->buffer, sizeof(arrivals->buffer));
		arrivals->now = stats_now();
		arrivals->at = 0;
		arrivals->length = length > 0 ? (size_t)length : 0;
	}
}
