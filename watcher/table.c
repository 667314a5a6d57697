/* table.c - see table.h
 *
 * Three structures over one pool of messages: an open-addressed hash of message numbers, a 4-ary
 * heap of message numbers by deadline, and the ready list through message.next.
 */
#include "qfwatch/table.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

_Static_assert(sizeof(struct message) == 72, "a message takes 72 bytes: see the budget in table.h");

/* How many messages ahead memory is asked for when many are gone through. */
#define AHEAD 16

#define PIECE_BITS 12
#define PIECE_SIZE (1u << PIECE_BITS) /* messages in a piece of the pool: 288 KiB */

struct table {
	struct message **pieces; /* message n stands in pieces[n >> PIECE_BITS] */
	uint32_t n_pieces;
	uint32_t used; /* numbers 1 .. used have been handed out at least once */
	msgref free;   /* list of numbers to use again */
	size_t count;

	msgref *hash;  /* MSGREF_NONE: empty */
	uint8_t *tags; /* for each place of it, 8 more bits of the name's hash: so a name that is
			  not there is told from its neighbours without looking at them */
	uint32_t hash_mask;

	msgref *heap;
	uint32_t heap_count, heap_room;

	msgref ready_first, ready_last;
	uint64_t ready_added, ready_taken;
	size_t far_bytes; /* in ids kept outside */
	size_t longest_id;
};

struct message *table_get(const struct table *table, msgref ref)
{
	return &table->pieces[ref >> PIECE_BITS][ref & (PIECE_SIZE - 1)];
}

const char *table_id(const struct message *message)
{
	return message->id_length > sizeof message->id.near ? message->id.far : message->id.near;
}

size_t table_count(const struct table *table)
{
	return table->count;
}

size_t table_longest_id(const struct table *table)
{
	return table->longest_id;
}

size_t table_memory(const struct table *table)
{
	return sizeof *table +
	       (size_t)table->n_pieces * (PIECE_SIZE * sizeof(struct message) + sizeof(void *)) +
	       ((size_t)table->hash_mask + 1) * (sizeof(msgref) + 1) +
	       (size_t)table->heap_room * sizeof(msgref) + table->far_bytes;
}

/* ---- the pool ---- */

static msgref take(struct table *table)
{
	msgref ref = table->free;

	if (ref) {
		table->free = table_get(table, ref)->next;
	} else {
		ref = ++table->used;
		if (ref >> PIECE_BITS >= table->n_pieces) {
			table->pieces = xreallocarray(table->pieces, table->n_pieces + 1,
						      sizeof *table->pieces);
			table->pieces[table->n_pieces++] =
				xcalloc(PIECE_SIZE, sizeof(struct message));
		}
	}
	memset(table_get(table, ref), 0, sizeof(struct message));
	return ref;
}

/* A number on the free list has no id: that is how table_next tells. */
static void give_back(struct table *table, msgref ref)
{
	struct message *message = table_get(table, ref);

	message->flags = 0;
	message->next = table->free;
	table->free = ref;
}

/* ---- the hash ---- */

static uint64_t mix(uint64_t h)
{
	h *= 0xff51afd7ed558ccdu;
	return h ^ h >> 32;
}

/* Eight bytes at a time, mixed so that the last digits, in which ids differ mostly, reach all bits.
 * Not keyed: to make ids collide, one must be able to write into the spool, and the cost is then
 * one's own queue being slow. */
static uint64_t hash_of(uint16_t directory, const char *id, size_t length)
{
	uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)directory << 8 ^ length, word = 0;
	const char *end = id + length;

	for (; (size_t)(end - id) > sizeof word; id += sizeof word) {
		memcpy(&word, id, sizeof word);
		h = mix(h ^ word);
	}
	/* The last eight, some of them once more. */
	if (length >= sizeof word) {
		memcpy(&word, end - sizeof word, sizeof word);
	} else {
		for (word = 0; id < end; id++)
			word = word << 8 | (unsigned char)*id;
	}
	return mix(h ^ word) * 0x9e3779b97f4a7c15u;
}

static uint32_t home(const struct table *table, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & table->hash_mask;
}

static uint8_t tag(uint64_t hash)
{
	return hash >> 24 & 255;
}

static uint64_t hash_again(const struct table *table, msgref ref)
{
	const struct message *m = table_get(table, ref);

	return hash_of(m->directory, table_id(m), m->id_length);
}

static void hash_put(struct table *table, msgref ref)
{
	uint64_t hash = hash_again(table, ref);
	uint32_t at = home(table, hash);

	while (table->hash[at])
		at = (at + 1) & table->hash_mask;
	table->hash[at] = ref;
	table->tags[at] = tag(hash);
}

static void hash_make(struct table *table, uint32_t mask)
{
	table->hash_mask = mask;
	table->hash = xcalloc((size_t)mask + 1, sizeof *table->hash);
	table->tags = xcalloc((size_t)mask + 1, sizeof *table->tags);
}

static void hash_grow(struct table *table)
{
	msgref *old = table->hash;
	uint32_t old_mask = table->hash_mask;

	free(table->tags);
	hash_make(table, old_mask * 2 + 1);
	for (uint32_t i = 0; i <= old_mask; i++) {
		/* The places in the hash are near each other, the messages are not. */
		if (i + AHEAD <= old_mask && old[i + AHEAD])
			__builtin_prefetch(table_get(table, old[i + AHEAD]));
		if (old[i])
			hash_put(table, old[i]);
	}
	free(old);
}

static bool same_name(const struct message *m, uint16_t directory, const char *id, size_t length)
{
	return m->directory == directory && m->id_length == length &&
	       memcmp(table_id(m), id, length) == 0;
}

/* Where the name stands in the hash, or where it would be put. */
static uint32_t hash_find(const struct table *table, uint16_t directory, const char *id,
			  size_t length)
{
	uint64_t hash = hash_of(directory, id, length);
	uint32_t at = home(table, hash);

	while (table->hash[at] &&
	       (table->tags[at] != tag(hash) ||
		!same_name(table_get(table, table->hash[at]), directory, id, length)))
		at = (at + 1) & table->hash_mask;
	return at;
}

/* Linear probing without tombstones: pull later members of the run into the hole as long as that
 * brings them closer to home (Knuth 6.4, algorithm R). Churn leaves nothing behind. */
static void hash_take(struct table *table, msgref ref)
{
	const struct message *m = table_get(table, ref);
	uint32_t hole = hash_find(table, m->directory, table_id(m), m->id_length), at = hole;

	for (;;) {
		uint32_t from;

		table->hash[hole] = MSGREF_NONE;
		do {
			at = (at + 1) & table->hash_mask;
			if (!table->hash[at])
				return;
			from = home(table, hash_again(table, table->hash[at]));
		} while (hole <= at ? (hole < from && from <= at) : (hole < from || from <= at));
		table->hash[hole] = table->hash[at];
		table->tags[hole] = table->tags[at];
		hole = at;
	}
}

/* ---- the heap ---- */

static bool earlier(const struct table *table, msgref a, msgref b)
{
	return table_get(table, a)->deadline < table_get(table, b)->deadline;
}

static void heap_set(struct table *table, uint32_t place, msgref ref)
{
	table->heap[place] = ref;
	table_get(table, ref)->heap_place = place + 1;
}

static void heap_up(struct table *table, uint32_t place)
{
	msgref ref = table->heap[place];

	while (place > 0 && earlier(table, ref, table->heap[(place - 1) / 4])) {
		heap_set(table, place, table->heap[(place - 1) / 4]);
		place = (place - 1) / 4;
	}
	heap_set(table, place, ref);
}

static void heap_down(struct table *table, uint32_t place)
{
	msgref ref = table->heap[place];

	for (;;) {
		uint32_t child = place * 4 + 1, end = child + 4, least;

		if (child >= table->heap_count)
			break;
		if (end > table->heap_count)
			end = table->heap_count;
		for (least = child++; child < end; child++)
			if (earlier(table, table->heap[child], table->heap[least]))
				least = child;
		if (!earlier(table, table->heap[least], ref))
			break;
		heap_set(table, place, table->heap[least]);
		place = least;
	}
	heap_set(table, place, ref);
}

static void heap_take(struct table *table, msgref ref)
{
	struct message *message = table_get(table, ref);
	uint32_t place = message->heap_place;
	msgref last;

	if (!place--)
		return;
	message->heap_place = 0;
	last = table->heap[--table->heap_count];
	if (last == ref)
		return;
	table->heap[place] = last;
	heap_down(table, place);
	heap_up(table, table_get(table, last)->heap_place - 1);
}

void table_set_deadline(struct table *table, msgref ref, int64_t deadline)
{
	struct message *message = table_get(table, ref);

	if (deadline == INT64_MAX) {
		heap_take(table, ref);
		message->deadline = deadline;
		return;
	}
	if (!message->heap_place) {
		if (table->heap_count == table->heap_room) {
			table->heap_room =
				table->heap_room ? table->heap_room + table->heap_room / 2 : 64;
			table->heap =
				xreallocarray(table->heap, table->heap_room, sizeof *table->heap);
		}
		message->deadline = deadline;
		table->heap[table->heap_count] = ref;
		heap_up(table, table->heap_count++);
		return;
	}
	message->deadline = deadline;
	heap_up(table, message->heap_place - 1);
	heap_down(table, message->heap_place - 1);
}

msgref table_earliest(const struct table *table, int64_t *ret_deadline)
{
	msgref ref = table->heap_count ? table->heap[0] : MSGREF_NONE;

	*ret_deadline = ref ? table_get(table, ref)->deadline : INT64_MAX;
	return ref;
}

/* ---- the ready list ---- */

void table_push_ready(struct table *table, msgref ref)
{
	struct message *message = table_get(table, ref);

	if (message->flags & MESSAGE_READY)
		return;
	message->flags |= MESSAGE_READY;
	message->next = MSGREF_NONE;
	if (table->ready_last)
		table_get(table, table->ready_last)->next = ref;
	else
		table->ready_first = ref;
	table->ready_last = ref;
	table->ready_added++;
}

msgref table_pop_ready(struct table *table)
{
	msgref ref;

	while ((ref = table->ready_first)) {
		struct message *message = table_get(table, ref);

		table->ready_first = message->next;
		table->ready_taken++;
		if (!table->ready_first)
			table->ready_last = MSGREF_NONE;
		message->flags &= (uint8_t)~MESSAGE_READY;
		if (!(message->flags & MESSAGE_GONE))
			return ref;
		give_back(table, ref);
	}
	return MSGREF_NONE;
}

bool table_has_ready(const struct table *table)
{
	return table->ready_first != MSGREF_NONE;
}

uint64_t table_ready_added(const struct table *table)
{
	return table->ready_added;
}

uint64_t table_ready_taken(const struct table *table)
{
	return table->ready_taken;
}

/* ---- messages ---- */

struct table *table_new(void)
{
	struct table *table = xcalloc(1, sizeof *table);

	hash_make(table, 1023);
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (msgref ref = 1; ref <= table->used; ref++)
		if (table_get(table, ref)->id_length > sizeof table_get(table, ref)->id.near)
			free(table_get(table, ref)->id.far);
	for (uint32_t i = 0; i < table->n_pieces; i++)
		free(table->pieces[i]);
	free(table->pieces);
	free(table->hash);
	free(table->tags);
	free(table->heap);
	free(table);
}

msgref table_find(const struct table *table, uint16_t directory, const char *id, size_t length)
{
	return table->hash[hash_find(table, directory, id, length)];
}

void table_expect(const struct table *table, uint16_t directory, const char *id, size_t length)
{
	uint32_t at = home(table, hash_of(directory, id, length));

	__builtin_prefetch(&table->hash[at]);
	__builtin_prefetch(&table->tags[at]);
}

msgref table_insert(struct table *table, uint16_t directory, const char *id, size_t length)
{
	msgref ref = take(table);
	struct message *message = table_get(table, ref);
	char *where = message->id.near;

	if (length > sizeof message->id.near) {
		where = message->id.far = xcalloc(length, 1);
		table->far_bytes += length;
	}
	memcpy(where, id, length);
	if (length > table->longest_id)
		table->longest_id = length;
	message->id_length = (uint8_t)length;
	message->directory = directory;
	message->deadline = INT64_MAX;
	message->state = MESSAGE_NEW;
	/* At most three quarters full: runs stay short. */
	if ((table->count + 1) / 3 * 4 > table->hash_mask)
		hash_grow(table);
	hash_put(table, ref);
	table->count++;
	return ref;
}

void table_remove(struct table *table, msgref ref)
{
	struct message *message = table_get(table, ref);

	hash_take(table, ref);
	heap_take(table, ref);
	if (message->id_length > sizeof message->id.near) {
		free(message->id.far);
		table->far_bytes -= message->id_length;
	}
	message->id_length = 0;
	table->count--;
	if (message->flags & MESSAGE_READY)
		message->flags |= MESSAGE_GONE;
	else
		give_back(table, ref);
}

void table_change_directory(struct table *table, msgref ref, uint16_t directory)
{
	hash_take(table, ref);
	table_get(table, ref)->directory = directory;
	hash_put(table, ref);
}

msgref table_ref(const struct table *table, const struct message *message)
{
	for (uint32_t i = 0; i < table->n_pieces; i++)
		if (message >= table->pieces[i] && message < table->pieces[i] + PIECE_SIZE)
			return (msgref)(i << PIECE_BITS) + (msgref)(message - table->pieces[i]);
	return MSGREF_NONE;
}

msgref table_next(const struct table *table, msgref after)
{
	for (msgref ref = after + 1; ref <= table->used; ref++)
		if (table_get(table, ref)->id_length)
			return ref;
	return MSGREF_NONE;
}
