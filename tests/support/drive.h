/* drive.h - an engine driven by hand: no loop, and a clock that a test sets forward as it likes.
 *
 * One at a time, in a process of its own (testing.h). Tiers are folders in the test's own folder;
 * events go to a file and are read as short texts:
 *
 *   message-moved 1 Q->M: attempts 3 >= 3        (action, id, move or tier, reason)
 *   tier-lost M: its directory was removed or renamed
 *   resynced: first scan
 */
#ifndef QFWATCH_TESTING_DRIVE_H
#define QFWATCH_TESTING_DRIVE_H

#include <stdint.h>

#include "lines.h"

#include "qfwatch/engine.h"

extern struct engine *drive_engine;
extern struct events *drive_events;
extern int64_t drive_shift; /* how far the engine's clock is ahead of its start, microseconds */

/* The engine's time. It stands still but for drive_later, so that no test depends on its own speed.
 */
int64_t drive_now(void);

#define DRIVE_SECOND INT64_C(1000000)

/* A tier and a rule as they stand in a policy. */
#define DRIVE_TIER(name, directory) "{\"name\":\"" name "\",\"directory\":\"" directory "\"}"
#define DRIVE_MOVE(tier, when, target)                                                             \
	"{\"tier\":\"" tier "\",\"when\":{" when "},\"then\":{\"move\":\"" target "\"}}"
#define DRIVE_DELETE(tier, when)                                                                   \
	"{\"tier\":\"" tier "\",\"when\":{" when "},\"then\":{\"delete\":true}}"

/* Q, M and S, and the rules of three and of ten attempts. */
#define DRIVE_THREE_TIERS DRIVE_TIER("Q", "Q") "," DRIVE_TIER("M", "M") "," DRIVE_TIER("S", "S")
#define DRIVE_TWO_RULES                                                                            \
	DRIVE_MOVE("Q", "\"attempts\":3", "M") "," DRIVE_MOVE("M", "\"attempts\":10", "S")

/* Further keys of the policy, behind its last rule: the loader takes keys in any order. */
#define DRIVE_ALSO(keys) "]," keys ",\"comment\":[\"\""

/* Makes an engine with a policy of these tiers and rules, and lets it do its first scan. The
 * folders of the tiers must be there. */
void drive_start(const char *tiers, const char *rules, enum engine_mode mode, bool dry_run);

/* The same with DRIVE_THREE_TIERS and DRIVE_TWO_RULES, whose folders it makes; its first events are
 * taken. */
void drive_start_usual(void);

/* Another policy. Returns what engine_apply returns, or the number of findings as a negative number
 * if the text is no policy. */
int drive_apply(const char *tiers, const char *rules);

/* Lets the engine do all that there is to do now; then lets time pass, and again. */
void drive_turns(void);
void drive_later(int64_t microseconds);

/* Waits until no worker of the engine has anything to do, and takes what they have done. */
void drive_wait(void);

/* The next event, "" when there is none. */
const char *drive_next(void);
#define drive_told(text)   check_text(drive_next(), text)
#define drive_told_nothing check_text(drive_next(), "")

/* The event that drive_next told last. */
json_t *drive_last(void);

/* The same without those that tell of messages that came or were tried, and of rounds. */
const char *drive_news(void);
#define drive_news_is(text) check_text(drive_news(), text)
#define drive_no_news	    check_text(drive_news(), "")

/* Passes over the events that are there. Returns how many. */
size_t drive_skip(void);

/* Ends the engine; nothing of it may be left anywhere. */
void drive_finish(void);

#endif
