/* eventgen.c - writes events as the daemon does, through its own events.c and sinks, on demand.
 *
 * usage: eventgen POLICY [SEED]
 *
 * Reads commands from standard input, one a line, and answers each with a line that says how many
 * events were emitted so far:
 *   N            emits N events: messages that come, are attempted, moved, and go
 *   rotate FILE  renames the event file of the policy to FILE and opens it anew, as a rotation and
 *                SIGHUP do
 *   reopen       opens it anew
 *   torn         ends the event file in the middle of a line, as a kill does, and opens it anew
 * At the end of its input it ends. Everything comes from SEED (1) but the times: they are now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/events.h"
#include "qfwatch/policy.h"

#include "../support/testing.h"

#define MESSAGES 500

static const char *const tiers[] = {"QUEUE", "MIDQUEUE", "SLOWQUEUE"};
static const char *const rules[] = {"three attempts", "ten attempts",
				    "zehn \"Versuche\" \\ m\303\266glich"};
static const char *const domains[] = {"example.net", "example.org", "slow.example.com",
				      "b\374cher.example" /* no UTF-8 */, "mail.example.test"};

struct message {
	unsigned long number; /* 0: none */
	unsigned tier, attempts;
	int64_t created;
};

static struct message messages[MESSAGES];
static unsigned long made;
static uint64_t state = 1;
static struct events *events;

static unsigned pick(size_t below)
{
	return (unsigned)(testing_random(&state) % below);
}

static void name(const struct message *message, char *ret, size_t size)
{
	snprintf(ret, size, "6AN%c%02lu%05lu", 'A' + (char)(message->number % 26),
		 message->number / 26 % 100, message->number);
}

/* One event about a message, which goes one step on. */
static void step(struct message *message)
{
	char id[40], text[200], reason[100];
	const char *about[2] = {domains[pick(N(domains))], domains[pick(N(domains))]};
	struct event event = {.text = text,
			      .id = id,
			      .has_message = true,
			      .domains = about,
			      .n_domains = about[0] == about[1] ? 1 : 2};
	unsigned fate = pick(10);

	if (!message->number) {
		*message = (struct message){.number = ++made,
					    .created = clock_now() / CLOCK_SECOND - pick(100000)};
		event.action = EVENT_MESSAGE_TRACKED;
	} else if (fate < 4) {
		message->attempts++;
		event.action = EVENT_MESSAGE_ATTEMPTED;
	} else if (fate < 7 && message->tier < 2) {
		event.from = tiers[message->tier];
		event.rule = rules[message->tier];
		event.to = tiers[++message->tier];
		event.duration = 20000 + pick(100000);
		event.action = EVENT_MESSAGE_MOVED;
		event.reason = reason;
	} else if (fate == 7) {
		event.action = EVENT_MESSAGE_BUSY;
		event.failure = true;
		event.reason = "it is locked: sendmail is delivering it";
	} else {
		event.action = EVENT_MESSAGE_DEPARTED;
	}
	name(message, id, sizeof(id));
	event.id_length = strlen(id);
	event.tier = tiers[message->tier];
	event.attempts = message->attempts;
	event.age = clock_now() / CLOCK_SECOND - message->created;
	event.size = 300 + message->number * 7919 % 100000;
	snprintf(reason, sizeof(reason), "attempts %u >= 1", message->attempts);
	snprintf(text, sizeof(text), "%s of %s in %s", events_action_name(event.action), id,
		 event.tier);
	events_emit(events, &event);
	if (event.action == EVENT_MESSAGE_DEPARTED)
		message->number = 0;
}

static void flush(void)
{
	if (!events_wait(events, 10 * CLOCK_SECOND)) {
		fprintf(stderr, "eventgen: a sink takes nothing\n");
		exit(1);
	}
}

static void emit(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		step(&messages[pick(MESSAGES)]);
		/* The loop of the daemon flushes after each turn, which is some ten events. */
		if (i % 16 == 15)
			events_flush(events, clock_now());
	}
	flush();
}

static void tear(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	static const char torn[] =
		"{\"@timestamp\":\"2026-11-22T17:20:15.123456Z\",\"log.level\":\"in";

	if (fd < 0 || write(fd, torn, sizeof(torn) - 1) < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	events_reopen(events);
}

static void obey(const char *command, const char *path)
{
	if (strncmp(command, "rotate ", 7) == 0) {
		flush();
		if (rename(path, command + 7) < 0) {
			perror(command);
			exit(1);
		}
		events_reopen(events);
	} else if (strcmp(command, "reopen") == 0) {
		events_reopen(events);
	} else if (strcmp(command, "torn") == 0) {
		tear(path);
	} else {
		emit(strtoul(command, NULL, 10));
	}
	printf("%llu\n", (unsigned long long)events_emitted(events));
	fflush(stdout);
}

static const char *event_file(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n_sinks; i++)
		if (policy->sinks[i].type == POLICY_SINK_FILE)
			return policy->sinks[i].path;
	return NULL;
}

int main(int argc, char **argv)
{
	struct problems problems = {0};
	struct policy *policy = NULL;
	char command[4200];

	if (argc < 2) {
		fprintf(stderr, "usage: eventgen POLICY [SEED]\n");
		return 2;
	}
	if (argc > 2)
		state = strtoull(argv[2], NULL, 10) | 1;
	events = events_new(false);
	if (policy_load(argv[1], &problems, &policy) < 0 ||
	    events_configure(events, policy, &problems) < 0 || !event_file(policy)) {
		for (size_t i = 0; i < problems.count; i++)
			fprintf(stderr, "%s\n", problems.list[i].text);
		return 2;
	}
	while (fgets(command, sizeof(command), stdin)) {
		command[strcspn(command, "\n")] = 0;
		obey(command, event_file(policy));
	}
	events_free(events);
	policy_free(policy);
	problems_free(&problems);
	return 0;
}
