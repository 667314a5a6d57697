/* plot.h - small line charts as SVG, readable on light and on dark ground.
 *
 * One panel for each measurement, all over the same points to the right, which stand at equal
 * distances: give sizes that grow by the same factor. Each panel's own axis upwards begins at 0, so
 * that flat looks flat.
 */
#ifndef QFWATCH_TEST_PLOT_H
#define QFWATCH_TEST_PLOT_H

#include <stddef.h>

#define PLOT_POINTS 8
#define PLOT_LINES  2
#define PLOT_PANELS 6

struct plot_line {
	const char *name; /* NULL: no such line */
	double values[PLOT_POINTS];
};

struct plot_panel {
	const char *title, *unit;
	struct plot_line lines[PLOT_LINES];
};

struct plot {
	const char *title, *axis; /* of the axis to the right */
	double at[PLOT_POINTS];	  /* what stands below each point */
	size_t n_points;
	struct plot_panel panels[PLOT_PANELS];
	size_t n_panels;
};

/* Writes it. 0 or a negative errno. */
int plot_write(const struct plot *plot, const char *path);

#endif
