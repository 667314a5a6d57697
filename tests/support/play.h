/* play.h - plays a mail server with good, slow and dead destinations on the tiers of a spool, in
 * compressed time.
 *
 * One queue runner (a thread) a tier and one thread that takes new mail, all through mta.h. One
 * more thread watches the tiers with an inotify of its own and writes down where each message
 * stands and when it came there: what that thread says does not depend on the program under test.
 *
 * How the reaction time is measured: from the instant just before the close that releases the qf
 * (mta_release) to the instant when the watching thread has read the notification that the qf
 * stands in the next tier. The time it takes the kernel to wake that thread is included, so the
 * true figure is somewhat smaller, never greater.
 */
#ifndef QFWATCH_TEST_PLAY_H
#define QFWATCH_TEST_PLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mta.h"
#include "stats.h"

#define PLAY_MAX_TIERS 8

enum play_destination { PLAY_GOOD, PLAY_SLOW, PLAY_DEAD };

struct play_message {
	char id[MTA_ID_LENGTH + 1];
	enum play_destination destination;
	int64_t created;   /* T */
	uint32_t attempts; /* N, as the runners left it */
	size_t body;	   /* bytes of the df */
	int tier;	   /* where its qf stands; -1: nowhere (any more) */
	int left;	   /* the tier it left last; -1: none */
	bool delivered;	   /* a runner delivered it (or is about to) */
	bool deleted;	   /* its qf went away, and no runner did it */
	/* stats_now() time; 0: never. By tier: the last release there, and when it came there. */
	int64_t released[PLAY_MAX_TIERS];
	int64_t came[PLAY_MAX_TIERS];
	int came_from[PLAY_MAX_TIERS]; /* the tier before; -1: new */
};

struct play_counts {
	unsigned arrived;   /* new or from another tier */
	unsigned moved_on;  /* to another tier */
	unsigned delivered; /* by the runner */
	unsigned deleted;   /* not by the runner */
	unsigned attempts;  /* by the runner */
};

struct play_tier {
	const char *name;
	const char *directory;
	enum mta_layout layout;
	int64_t run_every; /* nanoseconds from one queue run to the next */
};

struct play_plan {
	const struct play_tier *tiers; /* in the order in which a message goes through them */
	int n_tiers;
	unsigned messages; /* in all */
	unsigned standing; /* of these, already in the first tier before the start */
	unsigned tired; /* of the standing, with so many attempts that every rule on attempts holds
			 */
	uint32_t tired_attempts;
	unsigned old;	 /* in the last tier before the start, and crossing `old_age` one after the
			    other during the play */
	int64_t old_age; /* seconds */
	int64_t arrive_for; /* nanoseconds over which the others arrive */
	uint64_t seed;
};

struct play;

/* Makes the queue directories and what stands in them before the start, and begins to watch. */
int play_new(const struct play_plan *plan, struct play **ret);

/* Starts the runners and the new mail. */
int play_start(struct play *play);

/* Ends the runners and the new mail, each after the message at hand. The watch goes on. */
void play_stop(struct play *play);

/* Ends the watch too and frees everything; NULL is fine. The spool stays. */
void play_free(struct play *play);

/* The messages and counts (one a tier), locked against change until play_unlock. */
const struct play_message *play_lock(struct play *play, size_t *ret_count,
				     const struct play_counts **ret_counts);
void play_unlock(struct play *play);

/* The first error that a thread met, 0: none. *ret_what says what it was doing. */
int play_error(struct play *play, const char **ret_what);

/* Adds the reaction time of every move that followed a release in the tier it came from. */
void play_reactions(struct play *play, struct samples *samples);

/* After play_stop, with nobody else at work: is every message whole in exactly one tier, or gone
 * for a reason, and nothing else there? Calls `report` once for each finding; returns their number,
 * or a negative errno. */
int play_audit(struct play *play, void (*report)(const char *finding, void *context),
	       void *context);

#endif
