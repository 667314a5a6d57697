/* top_parts.h - the inside of `top`: what is known (top_model.c), how that looks on so many columns
 * and lines (top_page.c, pure), and the terminal (top_screen.c, the only user of ncurses).
 */
#ifndef QFWATCH_TOP_PARTS_H
#define QFWATCH_TOP_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qfwatch/policy.h"
#include "qfwatch/shape.h"

/* ---- what is known ---- */

enum { TOP_EVENTS = 256, TOP_SAMPLES = 64, TOP_RULES = 256 };

enum top_level { TOP_QUIET, TOP_NORMAL, TOP_WARNING, TOP_ERROR };

/* One event, in words for a line; all texts are harmless (plain.h). */
struct top_event {
	char id[40];
	char text[480];
	enum top_level level;
};

/* How often each rule had acted at a moment. */
struct top_sample {
	int64_t at; /* microseconds */
	uint64_t acted[TOP_RULES];
};

enum top_sort { TOP_BY_TOTAL, TOP_BY_AGE, TOP_BY_NAME, TOP_SORTS };

/* Zero-initialise with tier = -1, end with top_free. */
struct top {
	/* What the daemon said last; NULL: nothing yet. */
	json_t *status, *tiers, *shape;
	int64_t at;			/* when it was heard last, microseconds */
	char failure[512], remedy[512]; /* why it is not heard now; "": it is */
	char run[40];			/* whose answers these are */
	struct top_event *events;	/* TOP_EVENTS of them, a ring */
	size_t n_events, next_event;
	struct top_sample *samples; /* TOP_SAMPLES of them, a ring */
	size_t n_samples, next_sample;
	/* What is to be seen. */
	int tier; /* index of the only one whose domains and events are shown; -1: all */
	const char *tier_name;
	enum shape_by by;
	enum top_sort sort;
	bool only_trouble; /* of the events */
	bool paused, help;
	double interval;  /* seconds */
	char filter[200]; /* "domain=*.net attempts=>3" as it was typed; of the domains */
	char note[1100];  /* said once, such as what is wrong with a filter */
	bool typing;	  /* a filter is being typed: */
	char typed[200];
};

void top_begin(struct top *top);
void top_free(struct top *top);

/* The daemon has answered: each takes over a reference. `now` in microseconds. */
void top_take_status(struct top *top, json_t *status, int64_t now);
void top_take_tiers(struct top *top, json_t *tiers, int64_t now);
void top_take_shape(struct top *top, json_t *shape, int64_t now);

/* One line of JSON, as event files have them. One that is known already is passed over. */
void top_take_event(struct top *top, const char *line, size_t length);

/* Something to be seen among the events that is none of the daemon's. */
void top_say(struct top *top, enum top_level level, int64_t now, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* How often the rule has acted in the last minute, from the samples. False: not known yet. */
bool top_rule_rate(const struct top *top, size_t rule, uint64_t *ret);

/* ---- how it looks ---- */

enum top_style { TOP_PLAIN, TOP_BAR, TOP_TITLE, TOP_BAD, TOP_WARN, TOP_DIM };

enum { TOP_LINE = 1024 };

struct top_line {
	enum top_style style;
	char text[TOP_LINE]; /* valid UTF-8, nothing a terminal obeys */
};

struct top_page {
	struct top_line *lines;
	size_t n_lines, room;
};

/* Lays it out: at most `width` characters a line and `height` lines; 0: as many as it takes. */
void top_draw(const struct top *top, size_t width, size_t height, int64_t now,
	      struct top_page *page);
void top_page_free(struct top_page *page);

/* ---- the terminal ---- */

/* Takes the terminal over. Returns 0, or -1 with words in error[size]. */
int top_screen_open(char *error, size_t size);
void top_screen_close(void);

/* It has another size now. */
void top_screen_resized(void);

void top_screen_size(size_t *ret_width, size_t *ret_height);
void top_screen_show(const struct top_page *page);

/* The next key, or -1: none waits. Characters as they are; TOP_KEY_* for others. */
enum {
	TOP_KEY_ENTER = 1000,
	TOP_KEY_ESCAPE,
	TOP_KEY_ERASE,
	TOP_KEY_KILL,
	TOP_KEY_REDRAW,
	TOP_KEY_OTHER
};
int top_screen_key(void);

/* Draws all anew, whatever others have written there. */
void top_screen_redraw(void);

#endif
