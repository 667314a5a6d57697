/* replay_parts.h - what replay.c and replay_world.c share. Inside the replay only. */
#ifndef QFWATCH_REPLAY_PARTS_H
#define QFWATCH_REPLAY_PARTS_H

#include "qfwatch/domains.h"
#include "qfwatch/replay.h"

#include "replay_lives.h"

struct run {
	char *name;
	uint64_t sequence;
	bool tracked; /* it has told of a message that it began to track */
};

struct replay {
	const struct policy *policy;
	struct replay_result result;
	struct lives lives;
	struct domains *domains;
	struct policy_history history;
	struct run *runs;
	size_t n_runs, run; /* the one whose event is being looked at */
	int64_t now;
	uint64_t *standing; /* simulated, by the policy's tiers */
	uint64_t *reached;  /* of each of the policy's levels: the tiers that are past it */
	bool levels;	    /* something has moved since they were looked at */
	int64_t levels_at;
	const char *called; /* the domain whose messages are asked again */
	uint64_t called_tiers;
};

/* The value of an hour, made where it is not there yet; hours before it are 0. */
uint64_t *replay_slot(struct replay_series *series, size_t hour);

/* One more, now. */
void replay_count(struct replay *replay, struct replay_series *series);

/* Where it stands from now on: in the world of the events, and in that of the new policy. */
void replay_stand_recorded(struct replay *replay, struct life *life, uint16_t tier);
void replay_stand_simulated(struct replay *replay, struct life *life, uint16_t tier);

/* Out of both, and out of memory. */
void replay_end_life(struct replay *replay, struct life *life);

/* Lets the new policy act on it. May end its life. */
void replay_decide(struct replay *replay, struct life *life);

/* A domain has reached those windows (bits): its messages are asked again, which may end any of
 * them. */
void replay_crossed(struct replay *replay, const char *domain, uint64_t windows);

/* Asks the messages of tiers that have passed a level of the policy. */
void replay_look_at_levels(struct replay *replay);

/* All that is due by itself up to that second, and the ends of the hours on the way. */
void replay_pass_time(struct replay *replay, int64_t to);
void replay_end_hour(struct replay *replay);

#endif
