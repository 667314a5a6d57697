/* listing.c - see listing.h */
#include "qfwatch/listing.h"

#include <string.h>

/* Rules that only tell are passed over; each answer is later than the one before. */
#define STEPS 64

void listing_next_move(const struct policy *policy, const struct policy_message *message,
		       int64_t now, struct listing_move *ret)
{
	int64_t at = now;

	*ret = (struct listing_move){0};
	for (int i = 0; i < STEPS; i++) {
		struct policy_decision decision;

		policy_decide(policy, message, at, &decision);
		if (decision.unknown)
			return;
		if (decision.action != POLICY_STAY) {
			ret->any = true;
			ret->due = at == now;
			ret->at = at;
			ret->action = decision.action;
			ret->to = decision.action == POLICY_MOVE
					  ? policy->tiers[decision.target].name
					  : NULL;
			ret->rule = decision.rule->name;
			return;
		}
		if (decision.again == POLICY_NEVER)
			return;
		at = decision.again;
	}
}

/* ---- writing ---- */

static void put_string(struct json_line *line, struct policy_slice text)
{
	json_line_string(line, text.bytes, text.length, SIZE_MAX);
}

static void put_text(struct json_line *line, const char *key, const char *text)
{
	json_line_raw(line, key);
	if (text)
		json_line_string(line, text, strlen(text), SIZE_MAX);
	else
		json_line_raw(line, "null");
}

static void put_number(struct json_line *line, const char *key, bool known, int64_t number)
{
	json_line_raw(line, key);
	if (known)
		json_line_int(line, number);
	else
		json_line_raw(line, "null");
}

static void put_addresses(struct json_line *line, const struct policy_text *text)
{
	json_line_raw(line, ",\"sender\":");
	if (text && text->has_sender)
		put_string(line, text->sender);
	else
		json_line_raw(line, "null");
	json_line_raw(line, ",\"recipients\":[");
	for (size_t i = 0; text && i < text->n_recipients; i++) {
		json_line_raw(line, i ? ",{\"address\":" : "{\"address\":");
		put_string(line, text->recipients[i]);
		if (text->status.length) {
			json_line_raw(line, ",\"delay_reason\":");
			put_string(line, text->status);
		}
		json_line_raw(line, "}");
	}
	json_line_raw(line, "]");
}

static void put_next(struct json_line *line, const struct listing_move *next)
{
	if (!next->any) {
		json_line_raw(line, ",\"next_move\":null");
		return;
	}
	put_number(line, ",\"next_move\":{\"at\":", !next->due, next->at);
	put_text(line, ",\"action\":", policy_action_word(next->action));
	put_text(line, ",\"to\":", next->to);
	put_text(line, ",\"rule\":", next->rule);
	json_line_raw(line, "}");
}

/* A byte takes at most six. */
static size_t room_of(const char *text)
{
	return text ? 6 * strlen(text) : 0;
}

size_t listing_room(const struct listing *listing)
{
	const struct policy_text *text = listing->facts.text;
	size_t room = 768 + 2 * room_of(listing->tier) + room_of(listing->directory) +
		      6 * listing->id_length + room_of(listing->state) + room_of(listing->next.to) +
		      room_of(listing->next.rule);

	if (!text)
		return room;
	room += 6 * text->sender.length;
	for (size_t i = 0; i < text->n_recipients; i++)
		room += 64 + 6 * (text->recipients[i].length + text->status.length);
	return room;
}

void listing_put(const struct listing *listing, struct json_line *line)
{
	const struct policy_message *facts = &listing->facts;

	put_text(line, "{\"queue_name\":", listing->tier);
	json_line_raw(line, ",\"queue_id\":");
	json_line_string(line, listing->id, listing->id_length, SIZE_MAX);
	put_number(line, ",\"arrival_time\":", listing->has_numbers, facts->created);
	put_number(line, ",\"message_size\":", facts->has_size, (int64_t)facts->size);
	json_line_raw(line, ",\"forced_expire\":false");
	put_addresses(line, facts->text);
	put_text(line, ",\"tier\":", listing->tier);
	put_text(line, ",\"directory\":", listing->directory);
	put_number(line, ",\"attempts\":", listing->has_numbers, facts->attempts);
	put_number(line, ",\"last_attempt\":", listing->has_numbers && facts->last_attempt,
		   facts->last_attempt);
	put_text(line, ",\"state\":", listing->state);
	json_line_raw(line,
		      facts->quarantined ? ",\"quarantined\":true" : ",\"quarantined\":false");
	put_next(line, &listing->next);
	json_line_raw(line, "}");
}
