/* engine_parts.h - what the engine's own files share. Nobody else includes it.
 *
 *   engine.c          turns: notifications, the ready list, deadlines
 *   engine_scan.c     rounds of scans: directories walked, files read by threads, memory swept
 *   engine_message.c  one message: read, remember, ask the policy
 *   engine_action.c   one that is due: lock, verify, act
 *   engine_trouble.c  what keeps one where it is, and when it is tried again
 *   engine_carry.c    messages on their way to another file system
 *   engine_facts.c    what the policy may ask of a message
 *   engine_domains.c  recipient domains: failed attempts, deliveries, who is asked again for them
 *   engine_labels.c   the domains that readers see
 *   engine_program.c  programs of rules, and sendmail to bounce
 *   engine_limit.c    how fast rules may act
 *   engine_tiers.c    directories: taken up, lost, found, dropped; a new policy
 *   engine_transcript.c  transcripts that dead runners left
 *   engine_tally.c    what is counted
 *   engine_report.c   event records
 */
#ifndef QFWATCH_ENGINE_PARTS_H
#define QFWATCH_ENGINE_PARTS_H

#include <sys/queue.h>

#include "qfwatch/addresses.h"
#include "qfwatch/ages.h"
#include "qfwatch/clock.h"
#include "qfwatch/control.h"
#include "qfwatch/domains.h"
#include "qfwatch/engine.h"
#include "qfwatch/gather.h"
#include "qfwatch/labels.h"
#include "qfwatch/mover.h"
#include "qfwatch/qtext.h"
#include "qfwatch/recover.h"
#include "qfwatch/scan.h"
#include "qfwatch/spool.h"
#include "qfwatch/table.h"
#include "qfwatch/tally.h"
#include "qfwatch/worker.h"

/* Why a round of scans is made; the most serious reason of those that came together is told. */
enum round_reason {
	ROUND_NONE,
	ROUND_POLLED,
	ROUND_RECONCILE,
	ROUND_FOUND,
	ROUND_START,
	ROUND_OVERFLOW
};

/* When what stands in the ready list came there: one mark for each turn that has put something
 * there, as long as it is not taken. */
#define ENGINE_TURN_MARKS 64

struct turn_marks {
	struct turn_mark {
		uint64_t added; /* to the ready list, before that turn */
		int64_t began;	/* clock_monotonic */
	} list[ENGINE_TURN_MARKS];
	unsigned first, count;
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
	uint64_t turn; /* its number */

	/* A round scans the directories marked in round_dirs, then sweeps the table: what stands in
	 * one of them and was not met is looked for by name, and gone if it is not there. */
	enum round_reason round, next_round; /* under way; asked for */
	bool *round_dirs, *next_dirs;	     /* by directory index */
	size_t n_round_dirs;		     /* places in both arrays */
	struct scan scan;
	size_t scan_dir;       /* under way if scan.names, else the next to try */
	int64_t background_at; /* when background work was done last */
	struct gather *gather; /* reads what the scan meets; NULL: no scan under way */
	struct gather_source *source;
	struct gather_batch *batch; /* being filled; NULL: none */
	bool source_used;	    /* a batch of it has been submitted */
	bool undecided;		    /* of some, nothing was asked while messages were counted */
	bool sweeping, swept;	    /* memory is gone through; and has been, to its end */
	msgref sweep_at;
	uint8_t seen; /* the value of MESSAGE_SEEN that means "met in this round": flips with each
			 round */
	int64_t round_started;
	uint64_t round_found, round_departed;
	struct {
		enum round_reason reason; /* ROUND_NONE: none has ended yet */
		int64_t at, took;
		uint64_t found, departed;
	} last_round;

	/* A new policy, or a tier that came back: everybody is asked again. */
	bool redeciding;
	msgref redecide_at;
	bool learning_domains; /* the old policy did not ask for domains: they are read now */

	int64_t reconcile_at, poll_at, lost_at; /* INT64_MAX: not planned */
	bool policy_hint;
	char *policy_names[2]; /* the policy file's name in its folder, and that of the file it is a
				  link to */
	bool intents_left;     /* lock files of killed daemons are to be gone through */
	bool check_wanted;     /* directories are to be checked in this turn */

	unsigned workers_made;	    /* see engine_workers_made */
	struct worker *worker;	    /* NULL until the first message goes to another file system */
	LIST_HEAD(, carry) carries; /* these messages */
	size_t n_carries;
	uint64_t carried_bytes;

	/* When the next action of each kind may come; see engine_limit.c. */
	struct limit {
		int64_t next;
		int64_t told_at; /* of the last event; 0: none since the limit was last not reached
				  */
	} moves, deletes, bounces;

	/* The text of the qf that is being looked at, where the policy needs it; see
	 * engine_facts.c.
	 */
	struct qtext *qtext;
	const struct policy_text *text; /* NULL: not at hand */
	struct policy_text text_of;
	char *text_owned;	/* a qf larger than the buffer */
	int64_t *given_up_at;	/* by rule: when it was last told that one was; 0: never */
	uint64_t *level_tiers;	/* by policy.levels: the tiers that have as many messages */
	uint64_t levels_passed; /* tiers that have passed one since they were last asked */
	int64_t levels_at;	/* not asked again before; INT64_MAX: not planned */

	/* See engine_domains.c. */
	struct domains *domains;
	struct policy_history history;
	struct recall *recall;	       /* who is to be asked again; NULL: nobody yet */
	struct departures *departures; /* perhaps deliveries; NULL: none yet */

	/* See engine_labels.c. */
	struct labels *labels; /* NULL: the policy does not listen */
	bool labelling;	       /* some have not been labelled when they were read */
	msgref label_at;

	/* See engine_program.c. */
	struct worker *programs; /* NULL until the first one is run */
	LIST_HEAD(, program_job) jobs;
	size_t n_jobs, n_bounces;
	bool programs_stale; /* limits.programs is another one: when none runs */

	/* See engine_tally.c. */
	struct tally *tally;
	struct ages *ages;
	/* While messages are counted for other tiers: by directory, the number under which `ages`
	 * has those behind recount_at; those up to it have been counted for their own. NULL: all
	 * have. */
	unsigned *counted_as;
	size_t n_counted_as;
	msgref recount_at;
	unsigned recount_most; /* in one turn */
	struct turn_marks turns;

	struct engine_counts counts;
	uint64_t by_state[MESSAGE_STATES];
	int noatime;		     /* O_NOATIME, until reading a qf so is refused */
	char buffer[CONTROL_BUFFER]; /* the start of the qf being looked at */
	bool buffer_cut;	     /* and the qf goes on */
};

struct action_report;

/* engine.c */
bool engine_is_message(const struct engine *engine, const char *name, const char **ret_id,
		       size_t *ret_length, bool *ret_held);

/* engine_scan.c */

/* One step of a round. Returns false when there is none to be done now: no round is under way, or
 * threads are awaited. */
bool engine_step_round(struct engine *engine);
bool engine_is_counting(const struct engine *engine);
void engine_scan_lost(struct engine *engine, uint16_t directory);
void engine_scan_stop(struct engine *engine);

/* engine_message.c */
void engine_attend(struct engine *engine, msgref ref);
void engine_decide_from_memory(struct engine *engine, msgref ref);
void engine_depart(struct engine *engine, msgref ref, const char *reason);
void engine_forget(struct engine *engine, msgref ref);
void engine_set_state(struct engine *engine, struct message *message, enum message_state state);
msgref engine_insert(struct engine *engine, uint16_t directory, const char *id, size_t length,
		     bool held);
msgref engine_learn(struct engine *engine, uint16_t directory, const char *id, size_t length,
		    bool held);
void engine_take_reading(struct engine *engine, msgref ref, const struct gather_item *item,
			 int64_t begun);
struct policy_decision engine_ask(struct engine *engine, const struct message *message);
/* Sets the deadline that the decision asks for. */
void engine_wait_for_time(struct engine *engine, msgref ref,
			  const struct policy_decision *decision);

bool engine_control_name(const struct message *message, char *name);
bool engine_has_other_name(struct engine *engine, struct message *message);

/* engine_action.c */

/* Acts on a message that is due, if its lock is free. Returns TROUBLE_CHANGED when it must be read
 * again, else TROUBLE_NONE: all other outcomes are settled. */
enum trouble engine_act(struct engine *engine, msgref ref, const struct policy_decision *decision,
			struct control *control, const char *name);
void engine_recover_idle(struct engine *engine, msgref ref, const struct control *control,
			 const char *name);
void engine_moved(struct engine *engine, msgref ref, uint16_t to, bool same_file);

/* engine_trouble.c */

/* message.tries of one in MESSAGE_WRITING whose wait is over. */
#define ENGINE_WAITED 1

#define ENGINE_FAILED_WAIT_MAX (60 * CLOCK_SECOND)

/* The qf is not to be touched; nothing but the moment is wrong; its lock is held. Each is told
 * once, and tried again later. decision: NULL if the policy was not asked. */
void engine_refuse(struct engine *engine, msgref ref, enum trouble trouble, int error,
		   const struct policy_decision *decision);
void engine_fail(struct engine *engine, msgref ref, enum trouble trouble, int error,
		 const char *step, const struct policy_decision *decision);
void engine_busy(struct engine *engine, msgref ref, const struct policy_decision *decision);
void engine_note_writing(struct engine *engine, msgref ref, const struct control *control,
			 enum trouble trouble);
void engine_try_later(struct engine *engine, msgref ref, int64_t microseconds,
		      const struct policy_decision *decision);
void engine_settle(struct engine *engine, msgref ref, struct mover_result result,
		   const struct policy_decision *decision);
void engine_bounce_failed(struct engine *engine, msgref ref, const struct action_report *report,
			  const char *outcome, int64_t duration);

/* engine_carry.c */
int engine_carry(struct engine *engine, msgref ref, uint16_t to, struct control *control,
		 const struct action_report *report);
bool engine_is_carried(const struct engine *engine, uint16_t to, const char *id, size_t length);
void engine_carry_forget(struct engine *engine, msgref ref);
void engine_carry_leave(struct engine *engine, uint16_t directory);
bool engine_finish_carries(struct engine *engine);

/* engine_facts.c */
bool engine_needs_text(const struct engine *engine, unsigned tier);
void engine_use_text(struct engine *engine, const char *bytes, size_t length);
int engine_read_text(struct engine *engine, msgref ref, const struct control *control);
void engine_drop_text(struct engine *engine);
enum policy_show engine_shows(const struct engine *engine);
struct policy_message engine_policy_message(struct engine *engine, const struct message *message);
void engine_watch_levels(struct engine *engine);
void engine_note_given_up(struct engine *engine, const struct message *message,
			  const struct policy_rule *rule);

/* engine_domains.c */
void engine_domains_free(struct engine *engine);
void engine_domains_configure(struct engine *engine);
void engine_note_text(struct engine *engine, struct message *message);
void engine_note_attempts(struct engine *engine, const struct message *message, unsigned attempts);
void engine_note_unread(struct engine *engine, const struct message *message);
void engine_note_departure(struct engine *engine, const struct message *message);
void engine_settle_departures(struct engine *engine);
void engine_recall_tiers(struct engine *engine, uint64_t tiers);
bool engine_recall_some(struct engine *engine, size_t most);
int64_t engine_domains_deadline(const struct engine *engine);

/* engine_labels.c */
void engine_labels_configure(struct engine *engine);
bool engine_labels_want(const struct engine *engine, msgref ref, const struct control *control);
void engine_label(struct engine *engine, msgref ref);
void engine_labels_forget(struct engine *engine, msgref ref);
bool engine_label_some(struct engine *engine);

/* engine_program.c */
void engine_bounce(struct engine *engine, msgref ref, const struct policy_decision *decision,
		   const struct action_report *report);
void engine_run_program(struct engine *engine, const struct policy_rule *rule,
			const struct message *message);
void engine_tell_marks(struct engine *engine, msgref ref, uint64_t marks);
void engine_follow_up(struct engine *engine, const struct policy_rule *rule,
		      const struct message *message);
void engine_program_forget(struct engine *engine, msgref ref);
bool engine_finish_programs(struct engine *engine);
void engine_stop_programs(struct engine *engine);
void engine_limit_programs(struct engine *engine);

/* Is the message in other hands, a worker's or a sendmail's that we started? */
static inline bool engine_is_away(const struct message *message)
{
	return message->state == MESSAGE_MOVING || message->state == MESSAGE_BOUNCING;
}

/* engine_transcript.c */
void engine_begin_transcripts(struct engine *engine, uint16_t directory);
void engine_lose_transcripts(struct engine *engine);
/* A name that is no message's stands in the directory, or does not any more. */
void engine_meet_transcript(struct engine *engine, uint16_t directory, const char *name);
void engine_miss_transcript(struct engine *engine, uint16_t directory, const char *name);
bool engine_may_have_transcript(struct engine *engine, const struct message *message);

/* engine_limit.c */
bool engine_may_act(struct engine *engine, msgref ref, enum policy_action action);

/* engine_tiers.c */

/* Directories whose file system sends no notifications are scanned this often. */
#define ENGINE_POLL_EVERY (60 * CLOCK_SECOND)

void engine_want_round(struct engine *engine, enum round_reason reason, size_t directory);
void engine_want_full_round(struct engine *engine, enum round_reason reason);
void engine_lose(struct engine *engine, uint16_t directory, int error);
void engine_check_directories(struct engine *engine);
int engine_verify_directory(struct engine *engine, uint16_t directory);

/* engine_tally.c */
void engine_begin_turn(struct engine *engine);
int64_t engine_learnt(struct engine *engine);
unsigned engine_tier(const struct engine *engine, const struct message *message);
void engine_tally(struct engine *engine, const struct message *message, enum tally_kind kind);
void engine_tally_rule(struct engine *engine, const struct policy_rule *rule,
		       enum tally_outcome outcome);
void engine_tally_tracked(struct engine *engine, const struct message *message);
void engine_tally_move(struct engine *engine, const struct policy_rule *rule, unsigned from,
		       unsigned to, int64_t started, int64_t learnt);
void engine_tally_trouble(struct engine *engine, const struct message *message,
			  enum tally_kind kind, const struct policy_rule *rule);
void engine_tally_round(struct engine *engine);
void engine_tally_body(struct engine *engine, const struct message *message);
void engine_tally_created(struct engine *engine, const struct message *message, uint32_t before);
void engine_tally_enter(struct engine *engine, const struct message *message);
void engine_tally_leave(struct engine *engine, const struct message *message);
void engine_tally_state(struct engine *engine, const struct message *message,
			enum message_state state);
void engine_recount_prepare(struct engine *engine);
bool engine_recount_is_needless(const struct engine *engine);
void engine_recount_begin(struct engine *engine);
void engine_recount_directory(struct engine *engine, uint16_t directory);
bool engine_recount_some(struct engine *engine);

/* engine_report.c */
struct qdir *engine_directory(struct engine *engine, const struct message *message);
const char *engine_tier_name(const struct engine *engine, uint16_t directory);
void engine_report_message(struct engine *engine, enum event_action action,
			   const struct message *message, const char *text, const char *reason);
/* The start of a qf, whole lines; cut: it goes on. */
struct qf_head {
	const char *bytes;
	size_t length;
	bool cut;
};
/* What has just been read: with its recipients' domains. Costs nothing where no sink wants it. */
void engine_report_read(struct engine *engine, enum event_action action,
			const struct message *message, const char *text, struct qf_head head);
void engine_report_trouble(struct engine *engine, enum event_action action,
			   const struct message *message, enum trouble trouble, int error,
			   const char *step, const struct policy_decision *decision);
/* What an event about an action says of its rule and the recipients, while the qf and the policy
 * that made it due are at hand. */
struct action_report {
	char rule[160];
	char reason[256];
	const char *domains[EVENT_MAX_DOMAINS]; /* into names */
	size_t n_domains;
	bool domains_cut;
	char names[2048];
	/* The sender first, then recipients; empty where events do not show them. */
	struct address_list addresses;
};

/* From the decision, and from the first `head` bytes of the qf, which stand in the engine's buffer.
 */
void engine_prepare_report(struct engine *engine, const struct message *message,
			   const struct policy_decision *decision, size_t head,
			   struct action_report *ret);
void engine_copy_report(struct action_report *to, const struct action_report *from);
/* failure: what went wrong; NULL: it was returned. */
void engine_report_bounce(struct engine *engine, const struct message *message,
			  const struct action_report *report, const char *failure,
			  int64_t duration);
void engine_report_move(struct engine *engine, const struct message *message, const char *from,
			const char *to, const struct action_report *report, int64_t duration);
void engine_report_delete(struct engine *engine, const struct message *message,
			  const struct action_report *report, int64_t duration);
void engine_report_recovery(struct engine *engine, const struct qdir *dir,
			    const struct recovery *recovery);
void engine_report_limit(struct engine *engine, const char *what, uint64_t waiting);
void engine_report_directory(struct engine *engine, enum event_action action,
			     const struct qdir *dir, int error);
void engine_report_round(struct engine *engine, int64_t now);

#endif
