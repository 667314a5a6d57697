/* problem.c - a list of everything that is wrong with what an operator gave us. */
#include "qfwatch/problem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* A finding is one line on a terminal: what is quoted in it must neither break the line nor steer
 * the terminal. */
static void flatten(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

__attribute__((format(printf, 1, 0))) static char *format_text(const char *format,
							       va_list arguments)
{
	va_list again;
	char *text = NULL;
	int length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length >= 0)
		text = memory_resize(NULL, (size_t)length + 1);
	if (text)
		vsnprintf(text, (size_t)length + 1, format, arguments);
	return text;
}

static char *copy(const char *string)
{
	size_t size = strlen(string) + 1;
	char *memory = memory_resize(NULL, size);

	return memory ? memcpy(memory, string, size) : NULL;
}

/* The list has room for the next power of two, so it grows when its count is one (or 0). */
static bool make_room(struct problems *problems)
{
	size_t count = problems->count;
	struct problem *list;

	if (count & (count - 1))
		return true;
	list = memory_resize(problems->list, (count ? 2 * count : 1) * sizeof(*list));
	if (!list)
		return false;
	problems->list = list;
	return true;
}

/* Takes over the text. */
static void enter(struct problems *problems, enum problem_kind kind,
		  const struct problem_place *place, char *text)
{
	struct problem problem = {
		.kind = kind, .text = text, .line = place->line, .column = place->column};

	if (place->pointer)
		problem.pointer = copy(place->pointer);
	if (!text || (place->pointer && !problem.pointer) || !make_room(problems)) {
		free(text);
		free(problem.pointer);
		problems->incomplete = true;
		return;
	}
	flatten(text);
	problems->list[problems->count++] = problem;
}

void problems_add(struct problems *problems, enum problem_kind kind, const char *format, ...)
{
	const struct problem_place nowhere = {0};
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	enter(problems, kind, &nowhere, text);
}

void problems_add_at(struct problems *problems, enum problem_kind kind,
		     const struct problem_place *place, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	enter(problems, kind, place, text);
}

static bool holds_kind(const struct problems *problems, enum problem_kind kind)
{
	for (size_t i = 0; i < problems->count; i++) {
		if (problems->list[i].kind == kind)
			return true;
	}
	return false;
}

bool problems_any(const struct problems *problems)
{
	return problems_exit_code(problems) != 0;
}

int problems_exit_code(const struct problems *problems)
{
	if (problems->incomplete)
		return 3;
	if (holds_kind(problems, PROBLEM_INVALID))
		return 2;
	return holds_kind(problems, PROBLEM_REFUSED) ? 3 : 0;
}

void problems_free(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->list[i].text);
		free(problems->list[i].pointer);
	}
	free(problems->list);
	*problems = (struct problems){0};
}
