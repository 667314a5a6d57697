/* cmd_explain.c - qfwatch explain: why is this message where it is? Looks, and touches nothing. */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/clock.h"
#include "qfwatch/explain.h"
#include "qfwatch/inspect.h"
#include "qfwatch/moment.h"
#include "qfwatch/policy.h"

static const char usage[] =
	"usage: qfwatch explain [-c FILE] [--at TIME] [--tier TIER] [--json] ID|FILE...\n"
	"\n"
	"Tells for each message what its qf says, which rules of its tier hold and which do not, "
	"what is\n"
	"done with it and when, and what is in the way. Touches nothing, and takes no lock. ID is "
	"a "
	"queue\n"
	"id or the name of a qf or hf; FILE is the path of one, in a tier or elsewhere.\n"
	"\n"
	"      --at TIME      as it will be, or was, then: \"2026-11-23 17:20\" (local), RFC 3339, "
	"\"+2h\"\n"
	"      --tier TIER    the tier whose rules are shown for a FILE that stands in none\n"
	"      --json         one JSON object for each message and line\n"
	"      --stdin        the policy comes on standard input; -c says which file it stands "
	"for\n"
	"  -c, --config FILE  the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit code 0: all were found and could be read; 1: some not.\n";

/* What is moved while it is looked for is looked for again. */
#define FIND_TRIES 5

struct options {
	const char *policy, *at, *tier;
	bool json, input; /* input: the policy comes from there */
};

struct explainer {
	const struct options *options;
	struct explain_world world;
	struct spool spool;
	struct inspect *inspect;
	unsigned failed, told;
};

static void complain(struct explainer *explainer, const char *word, const char *why)
{
	char line[1024];

	explainer->failed++;
	if (explainer->options->json)
		explain_json_missing(word, why, stdout);
	snprintf(line, sizeof line, "qfwatch explain: %s: %s", word, why);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "%s\n", line);
}

/* Reads and tells one of the places where a message stands. False: it is gone from there. */
static bool explain_place(struct explainer *explainer, const struct inspect_place *place)
{
	struct inspected inspected;
	struct explanation explanation;

	inspect_read(explainer->inspect, place, &inspected);
	if (inspected.trouble == TROUBLE_GONE)
		return false;
	explain_make(&explainer->world, &inspected, &explanation);
	if (explainer->options->json) {
		explain_json(&explanation, stdout);
	} else {
		if (explainer->told)
			putchar('\n');
		explain_text(&explanation, stdout);
	}
	explainer->told++;
	if (inspected.trouble != TROUBLE_NONE)
		explainer->failed++;
	explain_free(&explanation);
	return true;
}

static void explain_word(struct explainer *explainer, const char *word)
{
	char trace[SPOOL_NAME_MAX + 512], why[sizeof trace + 64];

	for (int tries = 0; tries < FIND_TRIES; tries++) {
		const struct inspect_place *places;
		int count = inspect_find(explainer->inspect, word, &places);
		bool told = false;

		if (count == -EINVAL) {
			complain(explainer, word,
				 "this is not a queue id: give one as mailq lists it, or a path");
			return;
		}
		if (count == 0)
			break;
		for (int i = 0; i < count; i++)
			told |= explain_place(explainer, &places[i]);
		if (told)
			return;
	}
	inspect_trace(explainer->inspect, word, trace, sizeof trace);
	if (*trace)
		snprintf(why, sizeof why, "no tier has its qf: %s", trace);
	else
		snprintf(why, sizeof why, "%s",
			 strchr(word, '/') ? "there is no such file"
					   : "no tier has it: it may have been delivered");
	complain(explainer, word, why);
}

/* False: there is no such tier. */
static bool choose_tier(struct explain_world *world, const char *name)
{
	world->tier = name ? command_find_tier("explain", world->policy, name) : -1;
	return !name || world->tier >= 0;
}

static int explain_all(struct explainer *explainer, struct policy *policy,
		       struct problems *problems, int count, char **words)
{
	struct explain_world *world = &explainer->world;

	world->policy = policy;
	world->spool = &explainer->spool;
	if (!choose_tier(world, explainer->options->tier))
		return EXIT_USAGE;
	/* A file elsewhere can be explained where there is no spool, as on another machine. */
	if (inspect_open(&explainer->spool, policy, problems, &world->lost) < 0) {
		world->lost = UINT64_MAX;
		for (int i = 0; i < count; i++)
			if (!strchr(words[i], '/'))
				return command_report(problems);
		problems_free(problems);
	} else if (problems_any(problems)) {
		command_report(problems);
	}
	explainer->inspect = inspect_new(&explainer->spool);
	for (int i = 0; i < count; i++)
		explain_word(explainer, words[i]);
	inspect_free(explainer->inspect);
	return explainer->failed ? EXIT_PROBLEM : EXIT_DONE;
}

/* RFC 3339 with an offset from UTC, "2026-11-23T17:20:00+01:00", and what moment_parse reads. */
static int read_at(const char *text, int64_t now, int64_t *ret)
{
	size_t length = strlen(text);
	unsigned hours, minutes;
	char utc[32], sign;
	int64_t offset;
	int end = 0;

	if (length < 22 || length >= sizeof utc ||
	    sscanf(text + length - 6, "%1[+-]%2u:%2u%n", (char[2]){0}, &hours, &minutes, &end) !=
		    3 ||
	    end != 6 || hours > 23 || minutes > 59)
		return moment_parse(text, now, ret);
	sign = text[length - 6];
	snprintf(utc, sizeof utc, "%.*sZ", (int)length - 6, text);
	if (moment_parse(utc, now, ret) < 0)
		return -EINVAL;
	offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
	*ret += sign == '+' ? -offset : offset;
	return 0;
}

/* policy_load, from standard input. */
static int read_policy(const char *path, struct problems *problems, struct policy **ret)
{
	char *text = malloc(POLICY_MAX_BYTES + 1);
	size_t length;
	int r;

	if (!text) {
		problems->incomplete = true;
		return -ENOMEM;
	}
	length = fread(text, 1, POLICY_MAX_BYTES + 1, stdin);
	if (ferror(stdin)) {
		r = -errno;
		problems_add(problems, PROBLEM_REFUSED, "standard input cannot be read: %s",
			     strerror(-r));
	} else {
		r = policy_parse(text, length, path, problems, ret);
	}
	free(text);
	return r;
}

static int run(const struct options *options, int count, char **words)
{
	struct explainer explainer = {.options = options};
	struct problems problems = {0};
	struct policy *policy = NULL;
	int64_t now = clock_now() / CLOCK_SECOND, at = now;
	int code;

	if (options->at && read_at(options->at, now, &at) < 0) {
		fprintf(stderr,
			"qfwatch explain: \"%s\" is not a time: give \"2026-11-23 17:20\", "
			"\"2026-11-23T17:20:00Z\", \"+2h\" or \"-10m\"\n",
			options->at);
		return EXIT_USAGE;
	}
	explainer.world.now = now;
	explainer.world.at = at;
	if ((options->input ? read_policy(options->policy, &problems, &policy)
			    : policy_load(options->policy, &problems, &policy)) < 0)
		code = command_report(&problems);
	else
		code = explain_all(&explainer, policy, &problems, count, words);
	spool_free(&explainer.spool);
	policy_free(policy);
	problems_free(&problems);
	return command_finish("explain", code);
}

int cmd_explain(int argc, char **argv)
{
	static const struct option long_options[] = {{"config", required_argument, NULL, 'c'},
						     {"at", required_argument, NULL, 'a'},
						     {"tier", required_argument, NULL, 't'},
						     {"json", no_argument, NULL, 'j'},
						     {"stdin", no_argument, NULL, 'i'},
						     {"help", no_argument, NULL, 'h'},
						     {0}};
	struct options options = {.policy = COMMAND_DEFAULT_POLICY};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1)
		switch (c) {
		case 'c':
			options.policy = optarg;
			break;
		case 'a':
			options.at = optarg;
			break;
		case 't':
			options.tier = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'i':
			options.input = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return command_misused("explain", NULL, NULL);
		}
	if (optind == argc)
		return command_misused("explain", "which messages? Give their queue ids, or files",
				       NULL);
	return run(&options, argc - optind, argv + optind);
}
