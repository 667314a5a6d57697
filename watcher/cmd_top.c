/* cmd_top.c - qfwatch top: the running daemon, live: asks it every other second, and has it send
 * its events; draws (top_page.c) on the terminal, or prints (--batch).
 *
 * When the daemon does not answer, what was heard last stays on the screen and says so, and it is
 * asked again: a restart is survived.
 */
#include "qfwatch/command.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "qfwatch/clock.h"
#include "qfwatch/filter.h"
#include "qfwatch/xalloc.h"
#include "top_viewer.h"

static const char usage[] =
	"usage: qfwatch top [-c FILE] [-d SECONDS] [--batch [-n N]] [--json]\n"
	"\n"
	"Shows the running daemon live: tiers with their rates, what the rules do, the busiest "
	"domains, the\n"
	"last events. Press h for the keys, q to quit.\n"
	"\n"
	"  -d, --delay SECONDS  how often to ask (0.2 to 3600, default 2)\n"
	"  -b, --batch          print instead of drawing\n"
	"  -n, --number N       with --batch: so many times (default 1; 0: until interrupted)\n"
	"      --json           with --batch, which it implies: an object a line, with the "
	"daemon's answers\n"
	"  -c, --config FILE    the policy (default " COMMAND_DEFAULT_POLICY ")\n"
	"  -h, --help           this text\n"
	"\n"
	"Exit code 0: done; 3: no daemon answers, and why.\n";

/* Milliseconds that a batch waits for the events after all else has come. */
enum { EVENTS_WAIT = 500 };

/* ---- filters ---- */

/* Reads "key=value key=value". The pairs point into `words`. False: top.note says what is wrong. */
static bool read_filter(struct viewer *viewer, char *words, struct query *ret)
{
	struct top *top = &viewer->top;
	struct filter *filter = filter_new();
	struct filter_error error = {"out of memory", ""};
	char *word, *rest = words;
	bool good = filter != NULL;

	while (good && (word = strsep(&rest, " "))) {
		char *value = strchr(word, '=');
		int r;

		if (!*word)
			continue;
		if (value)
			*value++ = 0;
		r = filter_add(filter, viewer->query.policy, word, value ? value : "", &error);
		if (r == -ENOENT)
			filter_unknown_key(word, NULL, &error);
		good = r == 0;
		if (good)
			query_option(ret, QUERY_FILTER, word, value);
	}
	filter_free(filter);
	if (!good)
		snprintf(top->note, sizeof top->note, "%s: %s", error.reason, error.remedy);
	return good;
}

/* What was typed takes effect; if something is wrong with it, the one before stays. */
static void use_filter(struct viewer *viewer)
{
	struct top *top = &viewer->top;
	struct query read = {.command = "top"};
	char *words = xstrdup(top->typed);

	top->typing = false;
	if (!read_filter(viewer, words, &read)) {
		free(words);
		free(read.pairs);
		return;
	}
	free(viewer->words);
	free(viewer->query.pairs);
	viewer->words = words;
	viewer->query.pairs = read.pairs;
	viewer->query.n_pairs = read.n_pairs;
	memcpy(top->filter, top->typed, sizeof top->filter);
	top_ask_shape(viewer);
}

/* ---- keys ---- */

static void choose_tier(struct viewer *viewer, int step)
{
	struct top *top = &viewer->top;
	const struct policy *policy = viewer->query.policy;
	int n = (int)policy->n_tiers;

	/* -1 is all of them. */
	top->tier = (top->tier + 1 + step + n + 1) % (n + 1) - 1;
	top->tier_name = top->tier < 0 ? NULL : policy->tiers[top->tier].name;
	top_ask_shape(viewer);
	top_stream_anew(viewer);
}

static void change_interval(struct top *top, double factor)
{
	top->interval *= factor;
	if (top->interval < 0.25)
		top->interval = 0.25;
	if (top->interval > 60)
		top->interval = 60;
	snprintf(top->note, sizeof top->note, "Asking every %.3g s.", top->interval);
}

static void type(struct viewer *viewer, int key)
{
	struct top *top = &viewer->top;
	size_t length = strlen(top->typed);

	if (key == TOP_KEY_ENTER) {
		use_filter(viewer);
	} else if (key == TOP_KEY_ESCAPE) {
		top->typing = false;
	} else if (key == TOP_KEY_ERASE) {
		if (length)
			top->typed[length - 1] = 0;
	} else if (key == TOP_KEY_KILL) {
		top->typed[0] = 0;
	} else if (key < 127 && length + 1 < sizeof top->typed) {
		top->typed[length] = (char)key;
		top->typed[length + 1] = 0;
	}
}

static void press(struct viewer *viewer, int key)
{
	struct top *top = &viewer->top;

	if (top->typing) {
		type(viewer, key);
		return;
	}
	top->note[0] = 0;
	switch (key) {
	case 'q':
	case 'Q':
		viewer->quit = true;
		break;
	case 'h':
	case '?':
		top->help = !top->help;
		break;
	case TOP_KEY_ESCAPE:
		top->help = false;
		break;
	case 't':
		choose_tier(viewer, 1);
		break;
	case 'T':
		choose_tier(viewer, -1);
		break;
	case 'b':
		top->by = top->by == SHAPE_SENDER ? SHAPE_RECIPIENT : SHAPE_SENDER;
		top_ask_shape(viewer);
		break;
	case 's':
		top->sort = (top->sort + 1) % TOP_SORTS;
		break;
	case 'f':
	case '/':
		top->typing = true;
		memcpy(top->typed, top->filter, sizeof top->typed);
		break;
	case 'e':
		top->only_trouble = !top->only_trouble;
		break;
	case '+':
		change_interval(top, 0.5);
		viewer->ask_at = 0;
		break;
	case '-':
		change_interval(top, 2);
		break;
	case ' ':
		top->paused = !top->paused;
		viewer->ask_at = 0;
		break;
	case TOP_KEY_REDRAW:
		top_screen_redraw();
		break;
	}
}

/* ---- live ---- */

static void take_signals(struct viewer *viewer)
{
	struct signalfd_siginfo info;

	while (read(viewer->signals, &info, sizeof info) == sizeof info)
		if (info.ssi_signo == SIGWINCH)
			top_screen_resized();
		else
			viewer->quit = true;
}

static void draw(struct viewer *viewer)
{
	size_t width, height;

	top_screen_size(&width, &height);
	top_draw(&viewer->top, width, height, clock_now(), &viewer->page);
	top_screen_show(&viewer->page);
}

static void live(struct viewer *viewer)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = viewer->signals, .events = POLLIN}};
	int key;

	while (!viewer->quit) {
		int64_t now = clock_now();

		/* The clock in the corner goes on, so it is drawn once a second at least; and a
		 * clock that was set back delays nothing for longer than a step. */
		if (!viewer->top.paused &&
		    (now >= viewer->ask_at || viewer->ask_at > now + 61 * CLOCK_SECOND)) {
			top_ask(viewer);
			viewer->ask_at = now + (int64_t)(viewer->top.interval * CLOCK_SECOND);
		}
		if (!viewer->stream &&
		    (now >= viewer->stream_at || viewer->stream_at > now + 10 * CLOCK_SECOND))
			top_stream(viewer);
		draw(viewer);
		client_work(viewer->client, fds, 2, viewer->top.interval < 1 ? 200 : 500);
		take_signals(viewer);
		while (!viewer->quit && (key = top_screen_key()) >= 0)
			press(viewer, key);
		/* The terminal is gone. */
		if (fds[0].revents && read(STDIN_FILENO, NULL, 0) < 0)
			viewer->quit = true;
	}
}

/* ---- batch ---- */

static void print_page(struct viewer *viewer)
{
	top_draw(&viewer->top, 100, 0, clock_now(), &viewer->page);
	for (size_t i = 0; i < viewer->page.n_lines; i++) {
		char *text = viewer->page.lines[i].text;
		size_t length = strlen(text);

		while (length && text[length - 1] == ' ')
			text[--length] = 0;
		puts(text);
	}
}

static void print_object(struct viewer *viewer)
{
	const struct top *top = &viewer->top;
	json_t *all = json_pack("{s:O?, s:O?, s:O?}", "status", top->status, "tiers", top->tiers,
				"shape", top->shape);
	char *text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(6));

	if (text)
		puts(text);
	free(text);
	json_decref(all);
}

/* Goes on with the requests for a moment at most. */
static void work(struct viewer *viewer, int milliseconds)
{
	struct pollfd signals = {.fd = viewer->signals, .events = POLLIN};
	struct signalfd_siginfo info;

	client_work(viewer->client, &signals, 1, milliseconds);
	if (read(viewer->signals, &info, sizeof info) == sizeof info)
		viewer->quit = info.ssi_signo != SIGWINCH;
}

/* Until the events that the daemon remembers have begun to come, if there are any. */
static void wait_for_events(struct viewer *viewer)
{
	int64_t limit = clock_now() + EVENTS_WAIT * 1000;

	while (!viewer->quit && !viewer->event_heard && viewer->stream && clock_now() < limit)
		work(viewer, 20);
}

static void batch(struct viewer *viewer)
{
	unsigned round = 0;

	if (!viewer->json)
		top_stream(viewer);
	do {
		int64_t next = clock_now() + (int64_t)(viewer->top.interval * CLOCK_SECOND);

		top_ask(viewer);
		for (round++; !viewer->quit && !top_is_answered(viewer, round);)
			work(viewer, 100);
		if (!viewer->json)
			wait_for_events(viewer);
		if (viewer->quit)
			break;
		if (viewer->trouble.failure) {
			query_complain("top", viewer->trouble.reason, viewer->trouble.remedy);
			viewer->code = EXIT_REFUSED;
			break;
		}
		if (viewer->json) {
			print_object(viewer);
		} else {
			if (round > 1)
				putchar('\n');
			print_page(viewer);
		}
		viewer->code = command_finish("top", viewer->code);
		if (viewer->code == EXIT_REFUSED || ferror(stdout))
			break;
		if (viewer->number && round >= viewer->number)
			break;
		while (!viewer->quit && clock_now() < next)
			work(viewer, 50);
	} while (!viewer->quit);
}

/* ---- */

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct viewer *viewer)
{
	struct client_trouble trouble;
	char error[300];
	int code = query_load(&viewer->query);

	if (code != EXIT_DONE)
		return code;
	if (client_new(&viewer->query.policy->listen, viewer->query.policy_path, &viewer->client,
		       &trouble) < 0) {
		query_complain("top", trouble.reason, trouble.remedy);
		return EXIT_REFUSED;
	}
	viewer->signals = open_signals();
	if (viewer->batch) {
		batch(viewer);
	} else if (top_screen_open(error, sizeof error) < 0) {
		query_complain("top", error, "");
		viewer->code = EXIT_USAGE;
	} else {
		live(viewer);
		top_screen_close();
	}
	close(viewer->signals);
	client_free(viewer->client);
	feed_free(&viewer->feed);
	for (enum asked what = 0; what < ASKED; what++)
		free(viewer->asks[what].body);
	top_page_free(&viewer->page);
	return viewer->code;
}

static int wrong(const char *what, const char *why)
{
	query_complain("top", what, why);
	return EXIT_USAGE;
}

/* Returns EXIT_DONE to go on, -1 when all is done, or an exit code. */
static int read_options(struct viewer *viewer, int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"delay", required_argument, NULL, 'd'},
						{"batch", no_argument, NULL, 'b'},
						{"number", required_argument, NULL, 'n'},
						{"json", no_argument, NULL, QUERY_JSON},
						{"help", no_argument, NULL, 'h'},
						{0}};
	bool number = false;
	char *end;
	int c;

	viewer->number = 1;
	while ((c = getopt_long(argc, argv, "c:d:bn:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			viewer->query.policy_path = optarg;
			break;
		case 'd':
			viewer->top.interval = strtod(optarg, &end);
			if (*end || !(viewer->top.interval >= 0.2 && viewer->top.interval <= 3600))
				return wrong("--delay: seconds are needed", "0.2 to 3600");
			break;
		case 'b':
			viewer->batch = true;
			break;
		case 'n':
			errno = 0;
			viewer->number = strtoul(optarg, &end, 10);
			number = true;
			if (errno || *end || *optarg < '0' || *optarg > '9')
				return wrong("--number: a number is needed",
					     "0: until interrupted");
			break;
		case QUERY_JSON:
			viewer->json = viewer->batch = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return -1;
		default:
			return command_misused("top", NULL, NULL);
		}
	if (optind < argc)
		return command_misused("top", "unexpected argument", argv[optind]);
	if (number && !viewer->batch)
		return wrong("--number", "is for --batch");
	return EXIT_DONE;
}

int cmd_top(int argc, char **argv)
{
	struct viewer *viewer = xcalloc(1, sizeof *viewer);
	int code;

	top_begin(&viewer->top);
	viewer->query.command = "top";
	code = read_options(viewer, argc, argv);
	if (code == EXIT_DONE)
		code = run(viewer);
	else if (code < 0)
		code = EXIT_DONE;
	top_free(&viewer->top);
	query_free(&viewer->query);
	free(viewer->words);
	free(viewer);
	return code;
}
