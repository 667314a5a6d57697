/* engine_parts.h - what the engine's own files share. Nobody else includes it.
 *
 *   engine.c          turns: notifications, the ready list, deadlines, scan rounds
 *   engine_message.c  one message: read, decide, act
 *   engine_tiers.c    directories: taken up, lost, found, dropped; a new policy
 *   engine_report.c   event records
 */
#ifndef QFWATCH_ENGINE_PARTS_H
#define QFWATCH_ENGINE_PARTS_H

#include "qfwatch/clock.h"
#include "qfwatch/control.h"
#include "qfwatch/engine.h"
#include "qfwatch/mover.h"
#include "qfwatch/scan.h"
#include "qfwatch/spool.h"
#include "qfwatch/table.h"

/* Why a round of scans is made; the most serious reason of those that came together is told. */
enum round_reason {
	ROUND_NONE,
	ROUND_POLLED,
	ROUND_RECONCILE,
	ROUND_FOUND,
	ROUND_START,
	ROUND_OVERFLOW
};

struct engine {
	struct policy *policy;
	struct spool spool;
	struct table *table;
	struct events *events;
	enum engine_mode mode;
	enum spool_access access;
	bool dry_run;
	bool watching; /* notify is open */
	int64_t now;   /* of the turn under way */

	/* A round scans the directories marked in round_dirs, then sweeps the table: what stands in
	 * one of them and was not met is looked for by name, and gone if it is not there. */
	enum round_reason round, next_round; /* under way; asked for */
	bool *round_dirs, *next_dirs;	     /* by directory index */
	size_t n_round_dirs;		     /* places in both arrays */
	struct scan scan;
	size_t scan_dir; /* under way if scan.names, else the next to try */
	bool sweeping;
	msgref sweep_at;
	uint8_t seen; /* the value of MESSAGE_SEEN that means "met in this round": flips with each
			 round */
	int64_t round_started;
	uint64_t round_found, round_departed;

	/* A new policy, or a tier that came back: everybody is asked again. */
	bool redeciding;
	msgref redecide_at;

	int64_t reconcile_at, poll_at, lost_at; /* INT64_MAX: not planned */
	bool policy_hint;
	char *policy_names[2]; /* the policy file's name in its folder, and that of the file it is a
				  link to */
	bool check_wanted;     /* directories are to be checked in this turn */

	struct engine_counts counts;
	uint64_t by_state[MESSAGE_STATES];
	char buffer[CONTROL_BUFFER]; /* the start of the qf being looked at */
	bool buffer_cut;	     /* and the qf goes on */
};

/* engine_message.c */

/* message.tries of one in MESSAGE_WRITING whose wait is over. */
#define ENGINE_WAITED 1

void engine_attend(struct engine *engine, msgref ref);
void engine_decide_from_memory(struct engine *engine, msgref ref);
void engine_depart(struct engine *engine, msgref ref, const char *reason);
void engine_forget(struct engine *engine, msgref ref);
void engine_set_state(struct engine *engine, struct message *message, enum message_state state);
msgref engine_learn(struct engine *engine, uint16_t directory, const char *id, size_t length);

/* engine_tiers.c */
void engine_want_round(struct engine *engine, enum round_reason reason, size_t directory);
void engine_want_full_round(struct engine *engine, enum round_reason reason);
void engine_lose(struct engine *engine, uint16_t directory, int error);
void engine_check_directories(struct engine *engine);
int engine_verify_directory(struct engine *engine, uint16_t directory);

/* engine_report.c */
struct qdir *engine_directory(struct engine *engine, const struct message *message);
const char *engine_tier_name(const struct engine *engine, uint16_t directory);
struct policy_message engine_policy_message(struct engine *engine, const struct message *message);
void engine_report_message(struct engine *engine, enum event_action action,
			   const struct message *message, const char *text, const char *reason);
void engine_report_trouble(struct engine *engine, enum event_action action,
			   const struct message *message, enum trouble trouble, int error,
			   const char *step, const struct policy_decision *decision);
void engine_report_move(struct engine *engine, const struct message *message, uint16_t from,
			unsigned to, const struct policy_decision *decision, int64_t duration,
			size_t head);
void engine_report_delete(struct engine *engine, const struct message *message,
			  const struct policy_decision *decision, int64_t duration, size_t head);
void engine_report_directory(struct engine *engine, enum event_action action,
			     const struct qdir *dir, int error);
void engine_report_round(struct engine *engine, int64_t now);

#endif
