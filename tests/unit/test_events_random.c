/* test_events_random.c - a million qf of random contents (no UTF-8, control bytes, huge addresses):
 * each becomes an event line that is JSON in UTF-8 of at most 4096 bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../fuzz/any_event.h"
#include "../support/testing.h"

#define MOST 20000

static uint64_t state = 0x9e3779b97f4a7c15u;

static unsigned pick(unsigned below)
{
	return (unsigned)(testing_random(&state) >> 33) % below;
}

/* What is likely to be hard. */
static const char *const pieces[] = {
	"\"",
	"\\",
	"\\\"",
	"\\u0000",
	"\303\244",
	"\342\202\254",
	"\360\237\230\200",
	"\355\240\200" /* a surrogate */,
	"\300\200" /* overlong */,
	"\364\220\200\200" /* too large */,
	"\200",
	"\377\376",
	"\303",
	"\360\237",
	"\t",
	"\r",
	"\033[2J",
	"\177",
	"@",
	"<",
	">",
	",",
	"example.net",
	"\342\200\256",
	"%s%n",
	"</script>",
	"a",
	"xn--",
	"..",
	"{\"a\":[",
};

static size_t add_random(char *qf, size_t at, size_t length)
{
	size_t end = at + length < MOST ? at + length : MOST;

	while (at < end) {
		if (pick(3)) {
			const char *piece = pieces[pick(N(pieces))];

			while (*piece && at < end)
				qf[at++] = *piece++;
		} else {
			uint64_t bytes = testing_random(&state);
			size_t n = end - at < 8 ? end - at : 8;

			memcpy(qf + at, &bytes, n);
			at += n;
		}
	}
	return at;
}

static size_t add_text(char *qf, size_t at, const char *text)
{
	size_t n = strlen(text);

	if (at + n > MOST)
		return at;
	memcpy(qf + at, text, n);
	return at + n;
}

/* A qf that is sound in its outline, more or less. */
static size_t make_qf(char *qf)
{
	static const char *const lines[] = {
		"S", "RPFD:", "RPFD:a@", "M", "H?P?Return-Path: ", "$_", "H??Subject: "};
	unsigned shape = pick(100);
	size_t at = 0, most = shape == 0 ? 6000 : shape < 20 ? 400 : 60;

	if (shape < 5)
		return add_random(qf, 0, 1 + pick(3000));
	at = add_text(qf, at, "V8\nT1795367824\nK1795367990\nN3\nP30000\n");
	for (unsigned n = 1 + pick(12); n; n--) {
		at = add_text(qf, at, lines[pick(N(lines))]);
		at = add_random(qf, at, pick((unsigned)most));
		at = add_text(qf, at, "\n");
	}
	return pick(10) ? add_text(qf, at, ".\n") : at;
}

static struct events *make_events(const char *addresses)
{
	struct events *events = events_new(false);
	struct problems problems = {0};
	struct policy *policy = NULL;
	char text[600];

	testing_write("key", "%s", "0123456789abcdef0123456789abcdef");
	check(chmod("key", 0600) == 0);
	snprintf(text, sizeof(text),
		 "{\"version\":1,\"tiers\":[{\"name\":\"Q\",\"directory\":\"/q\"}],\"rules\":[],"
		 "\"events\":{\"addresses\":\"%s\"%s}}",
		 addresses, strcmp(addresses, "hash") ? "" : ",\"addresses_key\":\"key\"");
	policy_parse(text, strlen(text), testing_path("policy.json"), &problems, &policy);
	for (size_t i = 0; i < problems.count; i++)
		fprintf(stderr, "%s\n", problems.list[i].text);
	check(events && policy && events_configure(events, policy, &problems) == 0);
	policy_free(policy);
	problems_free(&problems);
	return events;
}

static void a_million_become_lines(void)
{
	static char qf[MOST + 1];
	struct events *events[] = {make_events("full"), make_events("hash"), make_events("domain")};
	size_t count = testing_scale(1000000);

	for (size_t i = 0; i < count; i++) {
		size_t length = make_qf(qf);

		/* Hashing takes as long as all the rest: for some. */
		any_event_check(events[i % 8 == 0   ? 1
				       : i % 8 == 1 ? 2
						    : 0],
				qf, length, pick(1u << 20), i % 64 == 0);
	}
	for (size_t i = 0; i < N(events); i++)
		events_free(events[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {APART(a_million_become_lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
