/* top_page.c - lays out what `top` knows on so many columns and lines. Pure: no terminal here, so
 * that every size can be tried.
 *
 * From the top down: the bar, troubles, tiers, rules, domains, events, and the keys. Where there is
 * too little room the rules give way first, then events and domains, then the empty lines between.
 */
#include "top_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/answer.h"
#include "qfwatch/clock.h"
#include "qfwatch/columns.h"
#include "qfwatch/moment.h"
#include "qfwatch/plain.h"
#include "qfwatch/units.h"
#include "qfwatch/xalloc.h"

/* Rows where the height is not bounded. */
enum { DOMAINS = 20, EVENTS = 20 };

/* ---- lines ---- */

static struct top_line *new_line(struct top_page *page, enum top_style style)
{
	struct top_line *line;

	if (page->n_lines == page->room) {
		page->room = page->room ? 2 * page->room : 64;
		page->lines = xreallocarray(page->lines, page->room, sizeof *page->lines);
	}
	line = &page->lines[page->n_lines++];
	line->style = style;
	line->text[0] = 0;
	return line;
}

static void put_line(struct top_page *page, enum top_style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void put_line(struct top_page *page, enum top_style style, const char *format, ...)
{
	char text[TOP_LINE];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	plain_add(new_line(page, style)->text, TOP_LINE, text);
}

void top_page_free(struct top_page *page)
{
	free(page->lines);
	*page = (struct top_page){0};
}

/* Pads with blanks to the left or the right of a text; longer ones are cut. */
static void put_cell(char *line, const char *text, size_t width, bool right)
{
	char cell[256] = "";
	size_t n;

	plain_add(cell, sizeof cell, text);
	plain_cut(cell, width);
	n = plain_width(cell);
	for (; right && n < width; n++)
		plain_add(line, TOP_LINE, " ");
	plain_add(line, TOP_LINE, cell);
	for (; !right && n < width; n++)
		plain_add(line, TOP_LINE, " ");
}

/* "12,345", in few characters where it has many: "1.2M"; 0 is ".". */
static const char *number_of(uint64_t number, char *buffer)
{
	if (!number)
		return ".";
	if (number < 1000000)
		return columns_thousands(number, buffer, 32);
	if (number < UINT64_C(1000000000))
		snprintf(buffer, 32, number < 10000000 ? "%.2fM" : "%.1fM",
			 (double)number / 1000000);
	else
		snprintf(buffer, 32, "%.1fG", (double)number / 1000000000);
	return buffer;
}

static void put_number(char *line, uint64_t number, size_t width)
{
	char text[32];

	put_cell(line, number_of(number, text), width, true);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- the sections: each puts at most `rows` lines under its title ---- */

struct section {
	const struct top *top;
	int64_t now; /* seconds, the daemon's */
	size_t width;
};

/* The width of a column of names: what is left beside `others` characters, within reason. */
static size_t name_width(const struct section *section, size_t others, size_t most)
{
	size_t left = section->width > others ? section->width - others : 0;

	return left < 8 ? 8 : left > most ? most : left;
}

/* How many columns fit beside a name of at least ten characters; those that do not are left out. */
static size_t fitting(const struct section *section, const size_t *widths, size_t n)
{
	size_t used = 10;

	for (size_t i = 0; i < n; i++) {
		used += widths[i];
		if (used > section->width)
			return i;
	}
	return n;
}

/* What the columns leave for the name. */
static size_t beside(const struct section *section, const size_t *widths, size_t n, size_t most)
{
	size_t others = 0;

	for (size_t i = 0; i < n; i++)
		others += widths[i];
	return name_width(section, others, most);
}

static uint64_t rate(const json_t *tier, const char *key, const char *span)
{
	return answer_count(json_object_get(json_object_get(tier, "rates"), key), span);
}

static void put_head(struct top_page *page, const char *name, size_t width,
		     const char *const *heads, const size_t *widths, size_t n)
{
	struct top_line *line = new_line(page, TOP_TITLE);

	put_cell(line->text, name, width, false);
	for (size_t i = 0; i < n; i++)
		put_cell(line->text, heads[i], widths[i], true);
}

static void put_numbers(char *line, const uint64_t *numbers, const size_t *widths, size_t from,
			size_t n)
{
	for (size_t i = from; i < n; i++)
		put_number(line, numbers[i], widths[i]);
}

static void put_tiers(const struct section *section, struct top_page *page, size_t rows)
{
	enum { MESSAGES, OLDEST, COLUMNS = 8 };
	static const char *const heads[] = {"MESSAGES", "OLDEST",    "NOT IDLE", "IN/MIN",
					    "OUT/MIN",	"TRIED/MIN", "IN/H",	 "OUT/H"};
	static const size_t widths[] = {9, 8, 9, 8, 8, 10, 8, 8};
	const json_t *list = json_object_get(section->top->tiers, "tiers"), *tier;
	size_t n = fitting(section, widths, COLUMNS), name = beside(section, widths, n, 24), i;

	put_head(page, "TIER", name, heads, widths, n);
	json_array_foreach(list, i, tier) {
		struct top_line *line;
		int64_t oldest = answer_time(tier, "oldest");
		uint64_t messages = answer_count(tier, "messages");
		uint64_t idle = answer_count(json_object_get(tier, "states"), "idle");
		const uint64_t numbers[COLUMNS] = {
			messages,
			0,
			messages > idle ? messages - idle : 0,
			rate(tier, "arrived", "minute") + rate(tier, "moved_in", "minute"),
			rate(tier, "departed", "minute") + rate(tier, "moved_out", "minute") +
				rate(tier, "deleted", "minute"),
			rate(tier, "attempted", "minute"),
			rate(tier, "arrived", "hour") + rate(tier, "moved_in", "hour"),
			rate(tier, "departed", "hour") + rate(tier, "moved_out", "hour") +
				rate(tier, "deleted", "hour"),
		};
		char text[MOMENT_TEXT];

		if (i == rows)
			break;
		line = new_line(page, TOP_PLAIN);
		put_cell(line->text, answer_text(tier, "name"), name, false);
		put_numbers(line->text, numbers, widths, MESSAGES, least(n, OLDEST));
		if (n > OLDEST)
			put_cell(line->text,
				 oldest ? moment_length(section->now - oldest, text, sizeof text)
					: ".",
				 widths[OLDEST], true);
		put_numbers(line->text, numbers, widths, OLDEST + 1, n);
	}
}

static void put_rules(const struct section *section, struct top_page *page, size_t rows)
{
	enum { COLUMNS = 5 };
	static const char *const heads[] = {"ACTED", "ACTED/MIN", "FAILED", "REFUSED", "BUSY"};
	static const char *const keys[] = {"acted", "", "failed", "refused", "busy"};
	static const size_t widths[] = {11, 10, 8, 8, 8};
	const json_t *list = json_object_get(section->top->tiers, "rules"), *rule;
	size_t n = fitting(section, widths, COLUMNS), name = beside(section, widths, n, 48), i;

	put_head(page, "RULE", name, heads, widths, n);
	json_array_foreach(list, i, rule) {
		struct top_line *line;
		const char *target = answer_text(rule, "target");
		char text[256];
		uint64_t acted;

		if (i == rows)
			break;
		line = new_line(page, answer_count(rule, "failed") ? TOP_WARN : TOP_PLAIN);
		snprintf(text, sizeof text, "%s: %s%s%s", answer_text(rule, "name"),
			 answer_text(rule, "action"), *target ? " " : "", target);
		put_cell(line->text, text, name, false);
		for (size_t k = 0; k < n; k++)
			if (*keys[k])
				put_number(line->text, answer_count(rule, keys[k]), widths[k]);
			else if (top_rule_rate(section->top, i, &acted))
				put_number(line->text, acted, widths[k]);
			else
				put_cell(line->text, "", widths[k], true);
	}
}

/* ---- domains ---- */

static uint64_t count_of(const json_t *row, size_t column)
{
	int64_t number = json_integer_value(json_array_get(json_object_get(row, "counts"), column));

	return number > 0 ? (uint64_t)number : 0;
}

static int by_sort(const void *a, const void *b, void *context)
{
	const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
	enum top_sort sort = *(const enum top_sort *)context;
	uint64_t m = answer_count(one, "total"), n = answer_count(other, "total");

	for (size_t i = SHAPE_COLUMNS; sort == TOP_BY_AGE && i-- > 0;)
		if (count_of(one, i) != count_of(other, i))
			return count_of(one, i) > count_of(other, i) ? -1 : 1;
	if (sort != TOP_BY_NAME && m != n)
		return m > n ? -1 : 1;
	return strcmp(answer_text(one, "name"), answer_text(other, "name"));
}

/* "999", "1.2k", "12k", "123k", "1.2M" */
static void put_count(char *line, uint64_t number, size_t width, bool narrow)
{
	static const char units[] = "kMGTPE";
	double rest = (double)number / 1000;
	size_t unit = 0;
	char text[32];

	if (!narrow || number < 1000) {
		put_number(line, number, width);
		return;
	}
	while (rest >= 999.5) {
		rest /= 1000;
		unit++;
	}
	snprintf(text, sizeof text, rest < 9.95 ? "%.1f%c" : "%.0f%c", rest, units[unit]);
	put_cell(line, text, width, true);
}

static void put_domains(const struct section *section, struct top_page *page, size_t rows)
{
	static const char *const sorts[] = {"total", "age", "name"};
	const struct top *top = section->top;
	const json_t *list = json_object_get(top->shape, "rows");
	/* Numbers are short where names would have no room beside long ones. */
	bool narrow = section->width < 120;
	static const size_t small[] = {6, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6},
			    large[] = {10, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8};
	const size_t *widths = narrow ? small : large;
	size_t columns = fitting(section, widths, 1 + SHAPE_COLUMNS),
	       name = beside(section, widths, columns, 48), n = json_array_size(list);
	enum top_sort sort = top->sort;
	const json_t **sorted = xcalloc(n + 1, sizeof *sorted);
	struct top_line *line = new_line(page, TOP_TITLE);
	char text[64];

	snprintf(text, sizeof text, "%s by %s",
		 top->by == SHAPE_SENDER ? "SENDER DOMAIN" : "DOMAIN", sorts[top->sort]);
	put_cell(line->text, text, name, false);
	for (size_t i = 0; i < columns; i++) {
		/* The first is T, the last one has no upper bound. */
		bool open = i == SHAPE_COLUMNS;

		snprintf(text, sizeof text, open ? "%lld+" : "%lld",
			 i ? (long long)shape_bounds[i - 1 - open] / 60 : 0);
		put_cell(line->text, i ? text : "T", widths[i], true);
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(list, i);
	/* TOTAL stays the first. */
	if (n > 1)
		qsort_r(sorted + 1, n - 1, sizeof *sorted, by_sort, &sort);
	for (size_t i = 0; i < n && i < rows; i++) {
		line = new_line(page, TOP_PLAIN);
		put_cell(line->text, answer_text(sorted[i], "name"), name, false);
		for (size_t k = 0; k < columns; k++)
			put_count(line->text,
				  k ? count_of(sorted[i], k - 1) : answer_count(sorted[i], "total"),
				  widths[k], narrow);
	}
	free(sorted);
}

/* ---- events ---- */

static void put_events(const struct section *section, struct top_page *page, size_t rows)
{
	const struct top *top = section->top;
	const struct top_event *chosen[TOP_EVENTS];
	size_t n = 0;

	put_line(page, TOP_TITLE, "EVENTS%s", top->only_trouble ? " (trouble only)" : "");
	for (size_t i = 0; i < top->n_events && n < rows; i++) {
		const struct top_event *event =
			&top->events[(top->next_event + TOP_EVENTS - 1 - i) % TOP_EVENTS];

		if (!top->only_trouble || event->level >= TOP_WARNING)
			chosen[n++] = event;
	}
	/* The newest is the last. */
	while (n-- > 0)
		put_line(page,
			 chosen[n]->level == TOP_ERROR	   ? TOP_BAD
			 : chosen[n]->level == TOP_WARNING ? TOP_WARN
			 : chosen[n]->level == TOP_QUIET   ? TOP_DIM
							   : TOP_PLAIN,
			 "%s", chosen[n]->text);
}

/* ---- the bar, troubles, keys ---- */

static void put_bar(const struct section *section, struct top_page *page, int64_t now)
{
	const struct top *top = section->top;
	size_t troubles = json_array_size(json_object_get(top->status, "trouble"));
	const char *running = answer_text(json_object_get(top->status, "round"), "running");
	char left[512], clock[MOMENT_TEXT], length[MOMENT_TEXT], number[32];
	uint64_t messages = answer_count(json_object_get(top->status, "messages"), "total");
	struct top_line *line = new_line(page, TOP_BAR);
	int64_t uptime = 0;
	bool clocked;

	answer_number(top->status, "uptime", &uptime);
	if (!top->status)
		snprintf(left, sizeof left, "qfwatch top: %s",
			 top->failure[0] ? "no answer yet" : "asking the daemon");
	else
		snprintf(left, sizeof left, "qfwatch %s, %s %s, up %s%s%s",
			 top->failure[0]		 ? "DOES NOT ANSWER"
			 : troubles			 ? "HAS TROUBLE"
			 : strcmp(running, "start") == 0 ? "is starting"
							 : "works",
			 columns_thousands(messages, number, sizeof number),
			 units_plural(messages, "message", "messages"),
			 moment_length(uptime, length, sizeof length),
			 json_is_true(json_object_get(top->status, "dry_run")) ? ", dry run" : "",
			 top->paused ? ", PAUSED" : "");
	moment_local(now / CLOCK_SECOND, clock, sizeof clock);
	clocked = section->width >= plain_width(left) + 20;
	put_cell(line->text, left, clocked ? section->width - 20 : section->width, false);
	if (clocked)
		put_cell(line->text, clock, 20, true);
}

/* What is wrong takes a line, and what helps another. */
static void put_trouble(struct top_page *page, size_t *rows, const char *text, const char *remedy)
{
	if (*rows) {
		put_line(page, TOP_BAD, "! %s", text);
		--*rows;
	}
	if (*rows && *remedy) {
		put_line(page, TOP_WARN, "  %s", remedy);
		--*rows;
	}
}

static void put_troubles(const struct section *section, struct top_page *page, size_t rows)
{
	const struct top *top = section->top;
	const json_t *list = json_object_get(top->status, "trouble"), *one;
	char length[MOMENT_TEXT];
	size_t i;

	if (!top->failure[0]) {
		json_array_foreach(list, i, one)
			put_trouble(page, &rows, answer_text(one, "text"),
				    answer_text(one, "remedy"));
		return;
	}
	put_trouble(page, &rows, top->failure, top->remedy);
	if (top->at && rows)
		put_line(page, TOP_WARN, "  What is shown was told %s ago. Trying again.",
			 moment_length(section->now - top->at / CLOCK_SECOND, length,
				       sizeof length));
}

static size_t count_troubles(const struct top *top)
{
	if (top->failure[0])
		return top->at ? 3 : 2;
	return 2 * json_array_size(json_object_get(top->status, "trouble"));
}

static void put_keys(const struct section *section, struct top_page *page)
{
	const struct top *top = section->top;

	if (top->typing)
		put_line(page, TOP_BAR, "Filter of the domains (domain=*.net attempts=>3): %s_",
			 top->typed);
	else if (top->note[0])
		put_line(page, TOP_WARN, "%s", top->note);
	else
		put_line(page, TOP_DIM,
			 "q quit  h help  t tier: %s  b sender  s sort  f filter: %s  e trouble",
			 top->tier < 0 ? "all" : top->tier_name,
			 top->filter[0] ? top->filter : "none");
}

static void put_help(struct top_page *page)
{
	static const char *const lines[] = {
		"Keys",
		"  q        quit",
		"  h ?      this text, and back",
		"  t T      domains and events of the next tier, of the one before, of all",
		"  b        domains of recipients, or of senders",
		"  s        sort the domains: by number, by age (the oldest first), by name",
		"  f /      filter the domains, as in",
		"             domain=*.example.net attempts=>3 age=>1h sender=news.example",
		"           also recipient=GLOB status=REGEX state=busy; nothing: all of them",
		"  e        all events, or only trouble",
		"  + -      ask more often, less often",
		"  space    pause",
		"  ^L       draw anew",
		"",
		"Columns of domains are minutes of age: 5 is up to 5, 1280+ is older.",
		"IN counts what arrived and what rules moved there; OUT what left, what was",
		"moved away and what was deleted.",
	};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		put_line(page, i ? TOP_PLAIN : TOP_TITLE, "%s", lines[i]);
}

/* ---- all of it ---- */

/* Lines of each section, its title not counted; 0: it is left out. */
struct room {
	size_t troubles, tiers, rules, domains, events;
	bool gaps;
};

/* The lines that a section takes, with its title, and an empty one where there are gaps. */
static size_t taken(size_t rows, bool gaps)
{
	return rows ? rows + 1 + gaps : 0;
}

static size_t sum(const struct room *room)
{
	return 2 + room->troubles + taken(room->tiers, room->gaps) +
	       taken(room->rules, room->gaps) + taken(room->domains, room->gaps) +
	       taken(room->events, room->gaps);
}

/* Takes lines away from one section until all fits, but leaves it so many; then all of it. */
static void shrink(struct room *room, size_t *rows, size_t leave, size_t height)
{
	while (sum(room) > height && *rows > leave)
		--*rows;
	if (sum(room) > height && leave == 0)
		*rows = 0;
}

static struct room divide(const struct top *top, size_t height)
{
	size_t tiers = json_array_size(json_object_get(top->tiers, "tiers"));
	size_t rules = json_array_size(json_object_get(top->tiers, "rules"));
	size_t domains = json_array_size(json_object_get(top->shape, "rows"));
	struct room room = {.troubles = count_troubles(top),
			    .tiers = tiers,
			    .rules = rules,
			    .domains = height ? domains : least(domains, DOMAINS + 1),
			    .events = height ? TOP_EVENTS : EVENTS,
			    .gaps = true};
	size_t left;

	if (!height)
		return room;
	room.troubles = least(room.troubles, height / 6 + 1);
	room.domains = least(domains, 5);
	room.events = 4;
	/* What does not fit: rules beyond four first, then the gaps, then the rest bit by bit. */
	shrink(&room, &room.rules, least(rules, 4), height);
	room.gaps = sum(&room) <= height;
	shrink(&room, &room.events, 2, height);
	shrink(&room, &room.domains, least(domains, 3), height);
	shrink(&room, &room.rules, 0, height);
	shrink(&room, &room.domains, 0, height);
	shrink(&room, &room.tiers, least(tiers, 1), height);
	shrink(&room, &room.events, 0, height);
	shrink(&room, &room.troubles, least(room.troubles, 1), height);
	shrink(&room, &room.tiers, 0, height);
	shrink(&room, &room.troubles, 0, height);
	/* What is left over goes to domains and events, half and half. */
	left = height > sum(&room) ? height - sum(&room) : 0;
	if (room.domains) {
		size_t more = least(left / 2, domains - room.domains);

		room.domains += more;
		left -= more;
	}
	if (room.events)
		room.events += left;
	return room;
}

static void put_gap(struct top_page *page, const struct room *room)
{
	if (room->gaps)
		new_line(page, TOP_PLAIN);
}

static void put_sections(const struct section *section, const struct room *room,
			 struct top_page *page)
{
	size_t before;

	put_troubles(section, page, room->troubles);
	if (room->tiers) {
		put_gap(page, room);
		put_tiers(section, page, room->tiers);
	}
	if (room->rules) {
		put_gap(page, room);
		put_rules(section, page, room->rules);
	}
	if (room->domains) {
		put_gap(page, room);
		put_domains(section, page, room->domains);
	}
	if (room->events) {
		put_gap(page, room);
		before = page->n_lines;
		put_events(section, page, room->events);
		/* The keys stay at the bottom. */
		while (page->n_lines - before < room->events + 1 && room->events != EVENTS)
			new_line(page, TOP_PLAIN);
	}
}

void top_draw(const struct top *top, size_t width, size_t height, int64_t now,
	      struct top_page *page)
{
	struct section section = {.top = top, .now = now / CLOCK_SECOND, .width = width};
	struct room room = divide(top, height);

	page->n_lines = 0;
	put_bar(&section, page, now);
	if (top->help) {
		put_help(page);
		while (height && page->n_lines + 1 < height)
			new_line(page, TOP_PLAIN);
	} else {
		put_sections(&section, &room, page);
		while (height && page->n_lines + 1 < height)
			new_line(page, TOP_PLAIN);
	}
	if (height && page->n_lines >= height)
		page->n_lines = height > 1 ? height - 1 : height;
	if (height > 1)
		put_keys(&section, page);
	for (size_t i = 0; i < page->n_lines; i++)
		plain_cut(page->lines[i].text, width);
}
