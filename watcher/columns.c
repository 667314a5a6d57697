/* columns.c - see columns.h */
#include "qfwatch/columns.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "qfwatch/plain.h"
#include "qfwatch/xalloc.h"

struct columns {
	size_t columns, left;
	char (*cells)[COLUMNS_CELL + 2]; /* one more, to see that it is cut */
	size_t used, room;
};

struct columns *columns_new(size_t columns, size_t left)
{
	struct columns *table = xcalloc(1, sizeof *table);

	table->columns = columns;
	table->left = left;
	return table;
}

void columns_free(struct columns *table)
{
	if (!table)
		return;
	free(table->cells);
	free(table);
}

/* The cell may hold more bytes than it has place for. */
static void clean(char *cell)
{
	size_t length = strlen(cell);

	if (length > COLUMNS_CELL) {
		length = COLUMNS_CELL - 1;
		/* Not half a character at the cut. */
		while (length && ((unsigned char)cell[length] & 0xc0) == 0x80)
			length--;
		strcpy(cell + length, "~");
	}
	plain_mask(cell);
}

void columns_text(struct columns *table, const char *format, ...)
{
	va_list list;

	if (table->used == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = xreallocarray(table->cells, table->room, sizeof table->cells[0]);
	}
	va_start(list, format);
	vsnprintf(table->cells[table->used], sizeof table->cells[0], format, list);
	va_end(list);
	clean(table->cells[table->used++]);
}

char *columns_thousands(uint64_t number, char *buffer, size_t size)
{
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	size_t used = 0;

	for (int i = 0; i < n && used + 2 < size; i++) {
		if (i && (n - i) % 3 == 0)
			buffer[used++] = ',';
		buffer[used++] = digits[i];
	}
	buffer[used] = 0;
	return buffer;
}

char *columns_bytes(uint64_t bytes, char *buffer, size_t size)
{
	static const char units[] = "kMGTPE";
	double number = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 10000) {
		snprintf(buffer, size, "%llu", (unsigned long long)bytes);
		return buffer;
	}
	while (number >= 999.5) {
		number /= 1024;
		unit++;
	}
	snprintf(buffer, size, number < 9.95 ? "%.1f%c" : "%.0f%c", number, units[unit]);
	return buffer;
}

void columns_number(struct columns *table, uint64_t number)
{
	char text[32];

	columns_text(table, "%s", number ? columns_thousands(number, text, sizeof text) : ".");
}

void columns_print(const struct columns *table, FILE *to)
{
	int *widths = xcalloc(table->columns, sizeof *widths);
	int ahead = 0;

	for (size_t i = 0; i < table->used; i++) {
		int w = (int)plain_width(table->cells[i]);

		if (w > widths[i % table->columns])
			widths[i % table->columns] = w;
	}
	for (size_t i = 0; i < table->used; i++) {
		const char *cell = table->cells[i];
		size_t column = i % table->columns;
		int blanks = widths[column] - (int)plain_width(cell);

		/* Blanks only before something: no line ends with one. */
		if (column >= table->left)
			ahead += blanks;
		if (*cell) {
			fprintf(to, "%*s%s", ahead, "", cell);
			ahead = 0;
		}
		if (column < table->left)
			ahead += blanks;
		ahead += 2;
		if (column + 1 == table->columns) {
			fputc('\n', to);
			ahead = 0;
		}
	}
	free(widths);
}
