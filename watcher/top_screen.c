/* top_screen.c - the terminal of `top`. The only user of ncurses.
 *
 * Signals are the caller's (top_parts.h): ncurses' own handlers for SIGINT and SIGTERM never run,
 * because these are blocked; its SIGTSTP gives the terminal back while the program is stopped.
 */
#include "top_parts.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

/* term.h's short names for what a terminal has. */
#undef columns
#undef lines

enum { PAIR_BAD = 1, PAIR_WARN };

int top_screen_open(char *error, size_t size)
{
	int found;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		snprintf(error, size,
			 "this is no terminal: top --batch prints what it shows, once");
		return -1;
	}
	setlocale(LC_ALL, "");
	/* One that cannot move its cursor (TERM=dumb), ncurses would fill with blanks. */
	if (setupterm(NULL, STDOUT_FILENO, &found) != OK || !cursor_address ||
	    !newterm(NULL, stdout, stdin)) {
		snprintf(error, size,
			 "the terminal (TERM=%s) cannot be drawn on: set TERM, as in TERM=xterm, "
			 "or use top --batch",
			 getenv("TERM") ? getenv("TERM") : "");
		return -1;
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	if (has_colors() && !getenv("NO_COLOR")) {
		start_color();
		use_default_colors();
		init_pair(PAIR_BAD, COLOR_RED, -1);
		init_pair(PAIR_WARN, COLOR_YELLOW, -1);
	}
	return 0;
}

void top_screen_close(void)
{
	endwin();
}

void top_screen_resized(void)
{
	struct winsize window;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row && window.ws_col)
		resizeterm(window.ws_row, window.ws_col);
	clearok(stdscr, TRUE);
}

void top_screen_size(size_t *ret_width, size_t *ret_height)
{
	*ret_width = (size_t)COLS;
	*ret_height = (size_t)LINES;
}

static int attributes(enum top_style style)
{
	bool color = has_colors() && !getenv("NO_COLOR");

	switch (style) {
	case TOP_BAR:
		return A_REVERSE;
	case TOP_TITLE:
		return A_BOLD;
	case TOP_BAD:
		return A_BOLD | (color ? COLOR_PAIR(PAIR_BAD) : 0);
	case TOP_WARN:
		return color ? COLOR_PAIR(PAIR_WARN) : A_BOLD;
	case TOP_DIM:
		return A_DIM;
	default:
		return A_NORMAL;
	}
}

/* Puts as many characters as fit into `width` columns: some take two, some none. What the
 * terminal's character set lacks is "?". Returns the columns. */
static int put_text(int row, const char *text, int width)
{
	mbstate_t state = {0};
	int column = 0;

	move(row, 0);
	while (*text) {
		wchar_t wide[2] = {0};
		size_t length = mbrtowc(&wide[0], text, strlen(text), &state);
		int columns;

		if (length == (size_t)-1 || length == (size_t)-2) {
			/* One "?" for all the bytes of a character. */
			memset(&state, 0, sizeof state);
			length = 1;
			while (((unsigned char)text[length] & 0xc0) == 0x80)
				length++;
			wide[0] = L'?';
		}
		columns = wcwidth(wide[0]);
		if (columns < 0) {
			wide[0] = L'?';
			columns = 1;
		}
		if (column + columns > width)
			break;
		addwstr(wide);
		column += columns;
		text += length;
	}
	return column;
}

void top_screen_show(const struct top_page *page)
{
	erase();
	for (size_t i = 0; i < page->n_lines && i < (size_t)LINES; i++) {
		enum top_style style = page->lines[i].style;
		int column;

		attrset(attributes(style));
		column = put_text((int)i, page->lines[i].text, COLS);
		for (; style == TOP_BAR && column < COLS; column++)
			addch(' ');
	}
	attrset(A_NORMAL);
	refresh();
}

int top_screen_key(void)
{
	wint_t key;
	int kind = get_wch(&key);

	if (kind == ERR)
		return -1;
	if (kind == KEY_CODE_YES)
		return key == KEY_BACKSPACE || key == KEY_DC ? TOP_KEY_ERASE
		       : key == KEY_ENTER		     ? TOP_KEY_ENTER
							     : TOP_KEY_OTHER;
	switch (key) {
	case '\r':
	case '\n':
		return TOP_KEY_ENTER;
	case 27:
		return TOP_KEY_ESCAPE;
	case 8:
	case 127:
		return TOP_KEY_ERASE;
	case 21:
		return TOP_KEY_KILL;
	case 12:
		return TOP_KEY_REDRAW;
	default:
		return key >= ' ' && key < 127 ? (int)key : TOP_KEY_OTHER;
	}
}

void top_screen_redraw(void)
{
	clearok(stdscr, TRUE);
}
