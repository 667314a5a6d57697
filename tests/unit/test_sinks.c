/* test_sinks.c - where event lines go: sequences, gaps, readers that sleep or leave, files that
 * fill up, are torn or rotated.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"
#include "qfwatch/events.h"

#include "../support/gaps.h"
#include "../support/lines.h"
#include "../support/testing.h"

static struct events *new_events(void)
{
	struct events *events = events_new(false);

	check(events != NULL);
	return events;
}

static char *filled(size_t length)
{
	char *text = malloc(length);

	check(text != NULL);
	memset(text, 'x', length);
	return text;
}

static struct policy_sink sinks[4];

static struct policy to_sinks(size_t count)
{
	return (struct policy){.sinks = sinks, .n_sinks = count, .events = UINT32_MAX};
}

static void to_files(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char name[] = "log0";

		name[3] = (char)('0' + i);
		free(sinks[i].path);
		sinks[i] = (struct policy_sink){.type = POLICY_SINK_FILE,
						.path = strdup(testing_path("%s", name))};
	}
}

static void configure(struct events *events, struct policy policy)
{
	struct problems problems = {0};

	check_equal(events_configure(events, &policy, &problems), 0);
	check_equal(problems.count, 0);
}

static void emit(struct events *events, unsigned number)
{
	char text[32];
	const struct event event = {.action = EVENT_MESSAGE_MOVED, .text = text};

	snprintf(text, sizeof(text), "number %u", number);
	events_emit(events, &event);
}

static void finish(struct events *events)
{
	events_free(events);
	for (size_t i = 0; i < N(sinks); i++)
		free(sinks[i].path);
	testing_all_closed();
}

/* Lines first .. last in that order, whole, and with rising sequence, from the place `text`.
 * Returns what follows. */
static const char *lines_are(const char *text, unsigned first, unsigned last, intmax_t *sequence)
{
	for (unsigned i = first; i <= last; i++) {
		const char *end = strchr(text, '\n');
		char expected[32];
		json_t *json;

		check(end != NULL);
		json = lines_parse(text, (size_t)(end + 1 - text));
		snprintf(expected, sizeof(expected), "number %u", i);
		check_text(lines_text(json, "message"), expected);
		check_equal(lines_number(json, "event/sequence"), ++*sequence);
		json_decref(json);
		text = end + 1;
	}
	return text;
}

static void file_holds(const char *path, unsigned first, unsigned last, intmax_t *sequence)
{
	char *text = testing_read(path, NULL);

	check_text(lines_are(text, first, last, sequence), "");
	free(text);
}

static void sequences(void)
{
	struct events *events = new_events();
	struct policy policy;
	intmax_t first = 0, second = 0;
	char *text;
	json_t *json;

	to_files(2);
	configure(events, to_sinks(1));
	for (unsigned i = 1; i <= 10; i++)
		emit(events, i);
	/* A second sink, and another choice of events: the first goes on where it was. */
	policy = to_sinks(2);
	policy.events = 1u << EVENT_MESSAGE_MOVED;
	configure(events, policy);
	for (unsigned i = 11; i <= 20; i++) {
		emit(events, i);
		events_emit(events, &(struct event){.action = EVENT_RESYNCED, .text = "no"});
	}
	check_equal(events_emitted(events), 20);
	check(events_flush(events, clock_now()) == INT64_MAX);
	file_holds("log0", 1, 20, &first);
	file_holds("log1", 11, 20, &second);
	/* The same event has the same id in both, and another sequence. */
	text = testing_read("log1", NULL);
	json = lines_parse(text, (size_t)(strchr(text, '\n') + 1 - text));
	check(strstr(lines_text(json, "event/id"), "-11"));
	check_equal(lines_number(json, "event/sequence"), 1);
	json_decref(json);
	free(text);
	/* Left out, it is written to the end and closed; taken up again, it begins anew. */
	emit(events, 21);
	sinks[0].path[strlen(sinks[0].path) - 1] = '1';
	free(sinks[1].path);
	sinks[1].path = NULL;
	configure(events, to_sinks(1));
	emit(events, 22);
	first = second = 0;
	file_holds("log0", 1, 21, &first);
	check(events_wait(events, TESTING_OVERDUE * (CLOCK_SECOND / 1000)));
	file_holds("log1", 11, 22, &second);
	check_equal(events_dropped(events), 0);
	finish(events);
}

static void written_at_the_end(void)
{
	struct events *events = new_events();
	intmax_t sequence = 0;

	to_files(1);
	configure(events, to_sinks(1));
	for (unsigned i = 1; i <= 500; i++)
		emit(events, i);
	finish(events);
	file_holds("log0", 1, 500, &sequence);
}

static void refused_sinks(void)
{
	struct events *events = new_events();
	struct problems problems = {0};
	struct policy policy;
	intmax_t sequence = 0;

	to_files(2);
	configure(events, to_sinks(1));
	emit(events, 1);
	/* In turn: a folder, a pipe that nobody reads, no such folder. */
	testing_mkdir("log1");
	policy = to_sinks(2);
	check(events_configure(events, &policy, &problems) < 0);
	check(rmdir("log1") == 0 && mkfifo("log1", 0600) == 0);
	check(events_configure(events, &policy, &problems) < 0);
	sinks[1].path[strlen(sinks[1].path) - 2] = '/';
	check(events_configure(events, &policy, &problems) < 0);
	check_equal(problems.count, 3);
	for (size_t i = 0; i < 3; i++)
		check(strstr(problems.list[i].text, "/events/sinks/1: cannot write to "));
	check_equal(problems_exit_code(&problems), 3);
	problems_free(&problems);
	/* All is as it was. */
	emit(events, 2);
	check(events_flush(events, clock_now()) == INT64_MAX);
	file_holds("log0", 1, 2, &sequence);
	finish(events);
}

static void torn_line(void)
{
	struct events *events = new_events();
	intmax_t sequence = 0;
	char *text;

	testing_write("log0", "{\"whole\":1}\n{\"half\":");
	to_files(1);
	configure(events, to_sinks(1));
	emit(events, 1);
	check(events_flush(events, clock_now()) == INT64_MAX);
	text = testing_read("log0", NULL);
	check(strncmp(text, "{\"whole\":1}\n{\"half\":\n{", 22) == 0);
	check_text(lines_are(text + 21, 1, 1, &sequence), "");
	free(text);
	/* A whole last line is left as it is. */
	events_reopen(events);
	emit(events, 2);
	check(events_flush(events, clock_now()) == INT64_MAX);
	text = testing_read("log0", NULL);
	sequence = 0;
	check_text(lines_are(text + 21, 1, 2, &sequence), "");
	free(text);
	finish(events);
}

static void rotated(void)
{
	struct events *events = new_events();
	intmax_t sequence = 0;

	to_files(1);
	configure(events, to_sinks(1));
	for (unsigned i = 1; i <= 10; i++)
		emit(events, i);
	check(events_flush(events, clock_now()) == INT64_MAX);
	testing_rename("log0", "log0.1");
	/* Until it is told, it writes where it wrote. */
	emit(events, 11);
	check(events_flush(events, clock_now()) == INT64_MAX);
	emit(events, 12);
	events_reopen(events);
	emit(events, 13);
	check(events_flush(events, clock_now()) == INT64_MAX);
	file_holds("log0.1", 1, 11, &sequence);
	file_holds("log0", 12, 13, &sequence);
	/* A folder that is gone for a while costs nothing either. */
	testing_rename("log0", "log0.2");
	testing_mkdir("log0");
	events_reopen(events);
	emit(events, 14);
	check(events_flush(events, clock_now()) != INT64_MAX);
	check(rmdir("log0") == 0);
	check(events_flush(events, clock_now() + 200 * CLOCK_SECOND) == INT64_MAX);
	file_holds("log0", 14, 14, &sequence);
	check_equal(events_dropped(events), 0);
	finish(events);
}

/* ---- a full disk ---- */

static unsigned fill_disk(struct events *events)
{
	unsigned number = 0;

	testing_mount_tmpfs(".", "size=128k");
	/* tmpfs is mounted over the folder: go in. */
	check(chdir(testing_path("%s", "")) == 0);
	to_files(1);
	configure(events, to_sinks(1));
	{
		char *ballast = filled(65536);

		testing_put("ballast", ballast, 65536);
		free(ballast);
	}
	/* 64 KiB are left. */
	while (events_flush(events, clock_now()) == INT64_MAX) {
		check(number < 1000);
		emit(events, ++number);
	}
	check(number > 50);
	return number;
}

static void disk_full(void)
{
	struct events *events;
	int64_t now = clock_now(), again;
	intmax_t sequence = 0;
	unsigned number;

	testing_private_mounts();
	events = new_events();
	number = fill_disk(events);
	for (int i = 0; i < 20; i++) {
		emit(events, ++number);
		again = events_flush(events, now);
		/* Tried again later and later, but at least once a minute. */
		check(again > now && again <= now + 61 * CLOCK_SECOND);
		now = again;
		/* SIGHUP, but nobody has renamed it: the line at hand is finished, not begun anew.
		 */
		if (i == 10)
			events_reopen(events);
	}
	check(unlink("ballast") == 0);
	emit(events, ++number);
	check(events_flush(events, now + 61 * CLOCK_SECOND) == INT64_MAX);
	/* Every line is there, the one that was cut by the end of the disk too. */
	file_holds("log0", 1, number, &sequence);
	check_equal(events_dropped(events), 0);
	finish(events);
}

/* Rotated while a line was half written: it is whole in the new file. */
static void disk_full_and_rotated(void)
{
	struct events *events;
	intmax_t sequence = 0;
	unsigned number, first;
	char *text;

	testing_private_mounts();
	events = new_events();
	number = fill_disk(events);
	testing_rename("log0", "log0.1");
	check(unlink("ballast") == 0);
	events_reopen(events);
	emit(events, ++number);
	check(events_flush(events, clock_now()) == INT64_MAX);
	text = testing_read("log0.1", NULL);
	for (first = 0; strchr(text, '\n') && first < number; first++) {
		intmax_t before = sequence;
		char *rest = (char *)lines_are(text, first + 1, first + 1, &before);

		memmove(text, rest, strlen(rest) + 1);
		sequence = before;
	}
	/* What is left is the beginning of the next. */
	check(first > 50 && text[0] == '{');
	free(text);
	file_holds("log0", first + 1, number, &sequence);
	finish(events);
}

/* ---- standard output ---- */

static char received[8 << 20];
static size_t received_length;

static void receive(int fd)
{
	ssize_t n;

	while ((n = recv(fd, received + received_length, sizeof(received) - received_length - 1,
			 MSG_DONTWAIT)) > 0 ||
	       (n < 0 && errno == ENOTSOCK &&
		(n = read(fd, received + received_length, sizeof(received) - received_length - 1)) >
			0))
		received_length += (size_t)n;
	check(n < 0 && errno == EAGAIN);
	received[received_length] = 0;
}

/* A reader that sleeps, and wakes up now and then. */
static void stalled_reader(int reader, int writer)
{
	struct events *events;
	int saved = dup(STDOUT_FILENO), flags;
	int64_t now = clock_now();
	intmax_t last;
	unsigned emitted = 0, gaps;
	const int rounds = testing_slow() ? 1 : 3;

	check(saved >= 0 && dup2(writer, STDOUT_FILENO) == STDOUT_FILENO);
	close(writer);
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	events = new_events();
	sinks[0] = (struct policy_sink){.type = POLICY_SINK_STDOUT};
	configure(events, to_sinks(1));
	for (int round = 0; round < rounds; round++) {
		/* Some 1.5 MB: the buffer and the pipe are full, and nobody waits. */
		for (int i = 0; i < 3500; i++) {
			emit(events, ++emitted);
			if (i % 16 == 0)
				check(events_flush(events, now += 1000) > 0);
		}
		check(events_crowded(events));
		/* The reader takes a little, which is no end of the gap; then all. */
		receive(reader);
		emit(events, ++emitted);
		while (events_flush(events, now += 2 * CLOCK_SECOND) != INT64_MAX)
			receive(reader);
		receive(reader);
		check(!events_crowded(events));
		emit(events, ++emitted);
	}
	check(events_flush(events, now += 2 * CLOCK_SECOND) == INT64_MAX);
	receive(reader);
	check_equal(gaps_judge(received, &last, &gaps), events_dropped(events));
	check(gaps >= (unsigned)rounds && gaps <= 2 * (unsigned)rounds);
	check(events_dropped(events) > 300u * (unsigned)rounds);
	/* Every event has its number, and every gap one for its announcement. */
	check_equal(last, emitted + gaps);
	/* The descriptor is shared with others: it is as it was given to us. */
	check_equal(fcntl(STDOUT_FILENO, F_GETFL), flags);
	check(dup2(saved, STDOUT_FILENO) == STDOUT_FILENO);
	close(saved);
	close(reader);
	finish(events);
}

static void full_pipe(void)
{
	int ends[2];

	check(pipe2(ends, O_CLOEXEC) == 0);
	check(fcntl(ends[0], F_SETPIPE_SZ, 4096) > 0);
	check(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	stalled_reader(ends[0], ends[1]);
}

static void full_socket(void)
{
	/* Whatever this machine's settings are. */
	int ends[2], small = 65536;

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	check(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
	stalled_reader(ends[0], ends[1]);
}

/* The reader goes away: nothing is lost but events. */
static void closed_pipe(void)
{
	struct events *events = new_events();
	int ends[2], saved = dup(STDOUT_FILENO);
	int64_t now = clock_now();

	signal(SIGPIPE, SIG_IGN);
	check(saved >= 0 && pipe2(ends, O_CLOEXEC) == 0);
	check(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
	close(ends[1]);
	sinks[0] = (struct policy_sink){.type = POLICY_SINK_STDOUT};
	configure(events, to_sinks(1));
	close(ends[0]);
	for (unsigned i = 0; i < 4000; i++) {
		emit(events, i);
		check(events_flush(events, now += 1000) != INT64_MAX);
	}
	check(!events_wait(events, CLOCK_SECOND / 100));
	check(events_dropped(events) > 1000);
	check(dup2(saved, STDOUT_FILENO) == STDOUT_FILENO);
	close(saved);
	finish(events);
}

static void stdout_is_a_file(void)
{
	struct events *events = new_events();
	int saved = dup(STDOUT_FILENO), fd = open("out", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	intmax_t sequence = 0;

	check(saved >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
	close(fd);
	sinks[0] = (struct policy_sink){.type = POLICY_SINK_STDOUT};
	configure(events, to_sinks(1));
	for (unsigned i = 1; i <= 5000; i++)
		emit(events, i);
	/* More than the buffer holds, but it is written when it is full. */
	check(events_wait(events, TESTING_OVERDUE * (CLOCK_SECOND / 1000)));
	check_equal(events_dropped(events), 0);
	check(dup2(saved, STDOUT_FILENO) == STDOUT_FILENO);
	close(saved);
	file_holds("out", 1, 5000, &sequence);
	finish(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(sequences),
		APART(written_at_the_end),
		APART(refused_sinks),
		APART(torn_line),
		APART(rotated),
		APART(disk_full),
		APART(disk_full_and_rotated),
		APART(full_pipe),
		APART(full_socket),
		APART(closed_pipe),
		APART(stdout_is_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
