/* columns.h - tables for people: cells are put one after the other, each column gets as wide as its
 * widest cell. */
#ifndef QFWATCH_COLUMNS_H
#define QFWATCH_COLUMNS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A longer cell, in bytes, is cut and ends with "~". */
#define COLUMNS_CELL 72

struct columns;

/* The first `left` columns stand at the left of their place, the others at the right. Never NULL
 * (xalloc.h). */
struct columns *columns_new(size_t columns, size_t left);
void columns_free(struct columns *table); /* NULL is fine */

/* Puts the next cell; after `columns` of them a new line begins. What a terminal
 * would obey becomes "?" (plain.h). */
void columns_text(struct columns *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "1,234,567"; 0 is ".", so that what happens is seen. */
void columns_number(struct columns *table, uint64_t number);

void columns_print(const struct columns *table, FILE *to);

/* Writes a number with a comma before every three digits. size is at least 32; returns buffer. */
char *columns_thousands(uint64_t number, char *buffer, size_t size);

/* "3120", "3.1k", "12M": bytes in units of 1024, five characters at most. As above. */
char *columns_bytes(uint64_t bytes, char *buffer, size_t size);

#endif
