/* labels.c - see labels.h
 *
 * A label's `recipients` is the number of a name; or, of LABELS_OTHER alone, of none, and of
 * several, LIST and the place of a list. 0: not known.
 *
 * Lists are sorted, and kept once like names: there are far fewer different ones than messages. A
 * list has one use of each of its names, however many messages have the list.
 */
#include "qfwatch/labels.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/hash.h"
#include "qfwatch/xalloc.h"

#define IS_LIST UINT32_C(0x80000000)

struct name {
	char *text;
	uint32_t hash, next; /* in its bucket, or of the free ones; 0: none */
	uint32_t uses;
	uint32_t serial;
	uint32_t length;
};

struct label {
	uint32_t recipients, sender;
};

struct list {
	uint32_t hash, next; /* in its bucket: 1 + place; 0: none */
	uint32_t uses;
	uint32_t count;
	uint32_t numbers[];
};

struct labels {
	struct name *names; /* names[0] is LABELS_OTHER */
	uint32_t n_names, room_names, free_name;
	uint32_t *buckets;
	uint32_t n_buckets; /* a power of two */
	size_t text_bytes;

	struct label *of; /* by msgref */
	size_t n_of;

	struct list **lists;
	uint32_t n_lists, room_lists;
	uint32_t *free_lists; /* places in `lists` */
	uint32_t n_free_lists;
	uint32_t *list_buckets; /* 1 + place */
	uint32_t n_list_buckets;
	size_t listed; /* numbers in all of them */
};

struct labels *labels_new(void)
{
	struct labels *labels = xcalloc(1, sizeof *labels);

	labels->room_names = 256;
	labels->names = xcalloc(labels->room_names, sizeof *labels->names);
	labels->names[LABELS_OTHER] = (struct name){.text = xstrdup("(other)"), .length = 7};
	labels->n_names = 1;
	labels->n_buckets = 256;
	labels->buckets = xcalloc(labels->n_buckets, sizeof *labels->buckets);
	labels->n_list_buckets = 64;
	labels->list_buckets = xcalloc(labels->n_list_buckets, sizeof *labels->list_buckets);
	return labels;
}

void labels_free(struct labels *labels)
{
	if (!labels)
		return;
	for (uint32_t i = 0; i < labels->n_names; i++)
		free(labels->names[i].text);
	for (uint32_t i = 0; i < labels->n_lists; i++)
		free(labels->lists[i]);
	free(labels->names);
	free(labels->buckets);
	free(labels->of);
	free(labels->lists);
	free(labels->free_lists);
	free(labels->list_buckets);
	free(labels);
}

/* ---- names ---- */

/* FNV-1a, mixed. */
static uint32_t hash_of(struct policy_slice name)
{
	uint64_t h = hash_bytes(name.bytes, name.length);

	h ^= h >> 32;
	return (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static void more_buckets(struct labels *labels)
{
	free(labels->buckets);
	labels->n_buckets *= 4;
	labels->buckets = xcalloc(labels->n_buckets, sizeof *labels->buckets);
	for (uint32_t i = 1; i < labels->n_names; i++) {
		struct name *name = &labels->names[i];
		uint32_t *bucket = &labels->buckets[name->hash & (labels->n_buckets - 1)];

		if (!name->text)
			continue;
		name->next = *bucket;
		*bucket = i;
	}
}

static uint32_t new_number(struct labels *labels)
{
	uint32_t number = labels->free_name;

	if (number) {
		labels->free_name = labels->names[number].next;
		return number;
	}
	if (labels->n_names > LABELS_NAMES)
		return LABELS_OTHER;
	if (labels->n_names == labels->room_names) {
		labels->names = xreallocarray(labels->names, (size_t)labels->room_names * 2,
					      sizeof *labels->names);
		memset(labels->names + labels->room_names, 0,
		       labels->room_names * sizeof *labels->names);
		labels->room_names *= 2;
	}
	return labels->n_names++;
}

/* The number of a name, which has one use more then. */
static uint32_t use(struct labels *labels, struct policy_slice text)
{
	uint32_t hash = hash_of(text), number;
	struct name *name;

	if (text.length > LABELS_NAME_MAX)
		return LABELS_OTHER;
	for (number = labels->buckets[hash & (labels->n_buckets - 1)]; number;
	     number = labels->names[number].next) {
		name = &labels->names[number];
		if (name->hash == hash && name->length == text.length &&
		    memcmp(name->text, text.bytes, text.length) == 0) {
			name->uses++;
			return number;
		}
	}
	number = new_number(labels);
	if (number == LABELS_OTHER)
		return number;
	if (labels->n_names > 2 * labels->n_buckets)
		more_buckets(labels);
	name = &labels->names[number];
	name->text = xcalloc(1, text.length + 1);
	memcpy(name->text, text.bytes, text.length);
	name->length = (uint32_t)text.length;
	name->hash = hash;
	name->uses = 1;
	name->serial++;
	name->next = labels->buckets[hash & (labels->n_buckets - 1)];
	labels->buckets[hash & (labels->n_buckets - 1)] = number;
	labels->text_bytes += text.length + 1;
	return number;
}

static void give_up(struct labels *labels, uint32_t number)
{
	struct name *name = &labels->names[number];
	uint32_t *at;

	if (number == LABELS_OTHER || --name->uses)
		return;
	at = &labels->buckets[name->hash & (labels->n_buckets - 1)];
	while (*at != number)
		at = &labels->names[*at].next;
	*at = name->next;
	labels->text_bytes -= name->length + 1;
	free(name->text);
	name->text = NULL;
	name->length = 0;
	name->next = labels->free_name;
	labels->free_name = number;
}

/* ---- lists ---- */

static uint32_t *bucket_of(const struct labels *labels, uint32_t hash)
{
	return &labels->list_buckets[hash & (labels->n_list_buckets - 1)];
}

static void put_into_bucket(struct labels *labels, uint32_t place)
{
	uint32_t *bucket = bucket_of(labels, labels->lists[place]->hash);

	labels->lists[place]->next = *bucket;
	*bucket = place + 1;
}

static void more_list_buckets(struct labels *labels)
{
	free(labels->list_buckets);
	labels->n_list_buckets *= 4;
	labels->list_buckets = xcalloc(labels->n_list_buckets, sizeof *labels->list_buckets);
	for (uint32_t place = 0; place < labels->n_lists; place++)
		if (labels->lists[place])
			put_into_bucket(labels, place);
}

static uint32_t new_place(struct labels *labels)
{
	if (labels->n_free_lists)
		return labels->free_lists[--labels->n_free_lists];
	if (labels->n_lists == labels->room_lists) {
		labels->room_lists = labels->room_lists ? labels->room_lists * 2 : 64;
		labels->lists =
			xreallocarray(labels->lists, labels->room_lists, sizeof *labels->lists);
		labels->free_lists = xreallocarray(labels->free_lists, labels->room_lists,
						   sizeof *labels->free_lists);
	}
	return labels->n_lists++;
}

static void sort(uint32_t *numbers, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		uint32_t number = numbers[i], at = i;

		for (; at > 0 && numbers[at - 1] > number; at--)
			numbers[at] = numbers[at - 1];
		numbers[at] = number;
	}
}

/* The place of a list, which has one use more then, and takes over the caller's uses of its names.
 * Returns false, and takes over nothing, when there are too many lists. */
static bool use_list(struct labels *labels, uint32_t *numbers, uint32_t count, uint32_t *ret)
{
	struct policy_slice bytes = {(const char *)numbers, count * sizeof *numbers};
	struct list *list;
	uint32_t hash, at;

	sort(numbers, count);
	hash = hash_of(bytes);
	for (at = *bucket_of(labels, hash); at; at = list->next) {
		list = labels->lists[at - 1];
		if (list->hash != hash || list->count != count ||
		    memcmp(list->numbers, numbers, bytes.length) != 0)
			continue;
		list->uses++;
		while (count)
			give_up(labels, numbers[--count]);
		*ret = at - 1;
		return true;
	}
	if (labels->listed + count > LABELS_LISTED)
		return false;
	if (labels->n_lists > 2 * labels->n_list_buckets)
		more_list_buckets(labels);
	list = xcalloc(1, sizeof *list + bytes.length);
	list->hash = hash;
	list->uses = 1;
	list->count = count;
	memcpy(list->numbers, numbers, bytes.length);
	labels->listed += count;
	*ret = new_place(labels);
	labels->lists[*ret] = list;
	put_into_bucket(labels, *ret);
	return true;
}

static void give_up_list(struct labels *labels, uint32_t place)
{
	struct list *list = labels->lists[place];
	uint32_t *at;

	if (--list->uses)
		return;
	for (at = bucket_of(labels, list->hash); *at != place + 1;)
		at = &labels->lists[*at - 1]->next;
	*at = list->next;
	for (uint32_t i = 0; i < list->count; i++)
		give_up(labels, list->numbers[i]);
	labels->listed -= list->count;
	free(list);
	labels->lists[place] = NULL;
	labels->free_lists[labels->n_free_lists++] = place;
}

/* ---- messages ---- */

static void make_room(struct labels *labels, msgref ref)
{
	size_t room = labels->n_of ? labels->n_of : 4096;

	if (ref < labels->n_of)
		return;
	/* An eighth more, as long as there are many: memory is counted by the message. */
	while (room <= ref)
		room += room / 8 + 4096;
	labels->of = xreallocarray(labels->of, room, sizeof *labels->of);
	memset(labels->of + labels->n_of, 0, (room - labels->n_of) * sizeof *labels->of);
	labels->n_of = room;
}

void labels_clear(struct labels *labels, msgref ref)
{
	struct label *label;

	if (ref >= labels->n_of || !labels->of[ref].recipients)
		return;
	label = &labels->of[ref];
	if (label->sender != LABELS_NONE)
		give_up(labels, label->sender);
	if (label->recipients & IS_LIST)
		give_up_list(labels, label->recipients & ~IS_LIST);
	else
		give_up(labels, label->recipients);
	*label = (struct label){0};
}

/* Adds a name that is not there yet. Returns false when there are too many. */
static bool add(struct labels *labels, uint32_t *numbers, uint32_t *count, struct policy_slice name)
{
	uint32_t number = use(labels, name);

	for (uint32_t i = 0; i < *count; i++)
		if (numbers[i] == number) {
			give_up(labels, number);
			return true;
		}
	if (*count == LABELS_MANY) {
		give_up(labels, number);
		return false;
	}
	numbers[(*count)++] = number;
	return true;
}

void labels_set(struct labels *labels, msgref ref, const struct policy_text *text)
{
	uint32_t numbers[LABELS_MANY], count = 0, place = 0;
	struct label new = {.sender = LABELS_NONE};
	bool fits = true;

	make_room(labels, ref);
	for (size_t i = 0; i < text->n_recipients && fits; i++)
		fits = add(labels, numbers, &count, text->domains[i]);
	if (fits && count == 1 && numbers[0] != LABELS_OTHER)
		new.recipients = numbers[0];
	else if (fits && use_list(labels, numbers, count, &place))
		new.recipients = IS_LIST | place;
	else
		fits = false;
	if (fits && text->has_sender)
		new.sender = use(labels, text->sender_domain);
	/* The old ones only go now, so that a name that stays is not made anew. */
	labels_clear(labels, ref);
	if (!fits) {
		while (count)
			give_up(labels, numbers[--count]);
		return;
	}
	labels->of[ref] = new;
}

bool labels_are_known(const struct labels *labels, msgref ref)
{
	return ref < labels->n_of && labels->of[ref].recipients;
}

size_t labels_recipients(const struct labels *labels, msgref ref, const uint32_t **ret)
{
	const struct label *label;

	if (!labels_are_known(labels, ref))
		return 0;
	label = &labels->of[ref];
	if (label->recipients & IS_LIST) {
		*ret = labels->lists[label->recipients & ~IS_LIST]->numbers;
		return labels->lists[label->recipients & ~IS_LIST]->count;
	}
	*ret = &label->recipients;
	return 1;
}

uint32_t labels_sender(const struct labels *labels, msgref ref)
{
	return labels_are_known(labels, ref) ? labels->of[ref].sender : LABELS_NONE;
}

struct policy_slice labels_name(const struct labels *labels, uint32_t number)
{
	return (struct policy_slice){labels->names[number].text, labels->names[number].length};
}

uint32_t labels_serial(const struct labels *labels, uint32_t number)
{
	return labels->names[number].serial;
}

uint32_t labels_numbers(const struct labels *labels)
{
	return labels->n_names;
}

size_t labels_memory(const struct labels *labels)
{
	return sizeof *labels + labels->room_names * sizeof *labels->names +
	       labels->n_buckets * sizeof *labels->buckets + labels->text_bytes +
	       labels->n_of * sizeof *labels->of +
	       labels->room_lists * (sizeof *labels->lists + sizeof *labels->free_lists) +
	       labels->n_list_buckets * sizeof *labels->list_buckets +
	       labels->n_lists * sizeof(struct list) + labels->listed * sizeof(uint32_t);
}
