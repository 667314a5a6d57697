/* plot.c - see plot.h. */
#include "plot.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "stats.h"

/* Of a panel: what is around the lines, and the lines' own room. */
enum { LEFT = 64, TOP = 44, WIDE = 250, HIGH = 130, PANEL_WIDE = 340, PANEL_HIGH = 226, HEAD = 44 };
enum { COLUMNS = 2 };

/* 1, 2 or 5 times a power of ten, so that `most` is four to ten steps. */
static double step_for(double most)
{
	double step = 1;

	while (step * 4 > most)
		step /= 10;
	while (step * 40 <= most)
		step *= 10;
	if (most > step * 20)
		return step * 5;
	return most > step * 8 ? step * 2 : step;
}

static double most_of(const struct plot *plot, const struct plot_panel *panel)
{
	double most = 0;

	for (size_t line = 0; line < PLOT_LINES && panel->lines[line].name; line++)
		for (size_t i = 0; i < plot->n_points; i++)
			if (panel->lines[line].values[i] > most)
				most = panel->lines[line].values[i];
	return most > 0 ? most : 1;
}

static double place(const struct plot *plot, size_t i)
{
	return plot->n_points > 1 ? (double)(i * WIDE) / (double)(plot->n_points - 1) : WIDE / 2.0;
}

/* What is less than nothing (a difference within its own noise) stands on the axis. */
static double height(double value, double top)
{
	return TOP + HIGH - (value > 0 ? value : 0) / top * HIGH;
}

static void draw_line(FILE *file, const struct plot *plot, const struct plot_line *line,
		      size_t which, double top)
{
	fprintf(file, "<polyline class=\"line%zu\" points=\"", which);
	for (size_t i = 0; i < plot->n_points; i++)
		fprintf(file, "%s%.1f,%.1f", i ? " " : "", LEFT + place(plot, i),
			height(line->values[i], top));
	fprintf(file, "\"/>\n");
	for (size_t i = 0; i < plot->n_points; i++)
		fprintf(file, "<circle class=\"dot%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n",
			which, LEFT + place(plot, i), height(line->values[i], top));
}

/* The names of two lines stand beside the title, each in its colour. */
static void draw_names(FILE *file, const struct plot_panel *panel)
{
	int at = LEFT;

	if (!panel->lines[1].name)
		return;
	for (size_t i = 0; i < PLOT_LINES && panel->lines[i].name; i++) {
		fprintf(file,
			"<circle class=\"dot%zu\" cx=\"%d\" cy=\"33\" r=\"3.5\"/>"
			"<text x=\"%d\" y=\"37\">%s</text>\n",
			i, at + 4, at + 13, panel->lines[i].name);
		at += 110;
	}
}

static void draw_panel(FILE *file, const struct plot *plot, size_t which)
{
	const struct plot_panel *panel = &plot->panels[which];
	double most = most_of(plot, panel), step = step_for(most);
	double top = step;
	char number[32];

	while (top < most)
		top += step;
	fprintf(file, "<g transform=\"translate(%zu %zu)\">\n", which % COLUMNS * PANEL_WIDE,
		HEAD + which / COLUMNS * PANEL_HIGH);
	fprintf(file, "<text class=\"title\" x=\"%d\" y=\"18\">%s, %s</text>\n", LEFT, panel->title,
		panel->unit);
	draw_names(file, panel);
	for (double value = 0; value <= top * 1.0001; value += step) {
		double y = height(value, top);

		fprintf(file,
			"<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
			LEFT, LEFT + WIDE, y, y);
		fprintf(file, "<text class=\"up\" x=\"%d\" y=\"%.1f\">%g</text>\n", LEFT - 8, y + 4,
			value);
	}
	for (size_t i = 0; i < plot->n_points; i++)
		fprintf(file, "<text class=\"along\" x=\"%.1f\" y=\"%d\">%s</text>\n",
			LEFT + place(plot, i), TOP + HIGH + 18,
			stats_thousands((uint64_t)plot->at[i], number, sizeof(number)));
	fprintf(file, "<text class=\"along\" x=\"%d\" y=\"%d\">%s</text>\n", LEFT + WIDE / 2,
		TOP + HIGH + 36, plot->axis);
	for (size_t i = 0; i < PLOT_LINES && panel->lines[i].name; i++)
		draw_line(file, plot, &panel->lines[i], i, top);
	fprintf(file, "</g>\n");
}

int plot_write(const struct plot *plot, const char *path)
{
	size_t rows = (plot->n_panels + COLUMNS - 1) / COLUMNS;
	int wide = COLUMNS * PANEL_WIDE + 20, high = HEAD + (int)rows * PANEL_HIGH + 8;
	FILE *file = fopen(path, "we");

	if (!file)
		return -errno;
	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 "
		"0 %d "
		"%d\" role=\"img\">\n<title>%s</title>\n<style>\n"
		"text { font: 12px system-ui, sans-serif; fill: #777 }\n"
		".title { font-weight: 600; font-size: 13px }\n"
		".head { font-weight: 600; font-size: 15px }\n"
		".up { text-anchor: end }\n.along { text-anchor: middle }\n"
		".grid { stroke: #8886; stroke-width: 1 }\n"
		"polyline { fill: none; stroke-width: 2 }\n"
		".line0 { stroke: #2a7fd4 } .dot0 { fill: #2a7fd4 }\n"
		".line1 { stroke: #d9822b } .dot1 { fill: #d9822b }\n</style>\n",
		wide, high, wide, high, plot->title);
	fprintf(file, "<text class=\"head\" x=\"%d\" y=\"26\">%s</text>\n", LEFT, plot->title);
	for (size_t i = 0; i < plot->n_panels; i++)
		draw_panel(file, plot, i);
	fprintf(file, "</svg>\n");
	if (ferror(file)) {
		fclose(file);
		return -EIO;
	}
	return fclose(file) == 0 ? 0 : -errno;
}
