/* test_engine_counts.c - what is counted as it happens is what a walk over the table finds, and
 * what the events have told, whatever happens to messages, tiers and policies. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/clock.h"

#include "../../watcher/engine_parts.h"
#include "../support/drive.h"
#include "../support/testing.h"

/* ---- how long something took ---- */

#define MILLISECOND INT64_C(1000000) /* in nanoseconds */

/* What the engine measures by, in place of the C library's: as it is, or standing still but for
 * what a test lets pass. */
static int64_t stopped_at; /* nanoseconds; 0: it goes */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_MONOTONIC || !stopped_at)
		return (int)syscall(SYS_clock_gettime, clock, ret);
	ret->tv_sec = stopped_at / (1000 * MILLISECOND);
	ret->tv_nsec = stopped_at % (1000 * MILLISECOND);
	return 0;
}

static void stop_clock(void)
{
	stopped_at = clock_monotonic();
}

static void start_clock(void)
{
	stopped_at = 0;
}

/* ---- what stands there ---- */

/* While a tier that was divided is counted, each message is counted once all the same. */
static void all_counted(const struct ages *ages)
{
	uint64_t bytes = 0, known = 0;

	for (unsigned tier = 0; tier < drive_engine->policy->n_tiers; tier++) {
		bytes += ages_bytes(ages, tier) - ages_bytes(drive_engine->ages, tier);
		known += ages_known(ages, tier) - ages_known(drive_engine->ages, tier);
	}
	check_equal(bytes, 0);
	check_equal(known, 0);
	for (enum message_state state = 0; state < MESSAGE_STATES; state++) {
		uint64_t count = 0;

		for (unsigned tier = 0; tier < drive_engine->policy->n_tiers; tier++)
			count += ages_in_state(ages, tier, state) -
				 ages_in_state(drive_engine->ages, tier, state);
		check_equal(count, 0);
	}
}

static void counted_right(void)
{
	const struct engine *engine = drive_engine;
	struct ages *ages = ages_new();
	int64_t now = drive_now() / CLOCK_SECOND;
	unsigned n_tiers = (unsigned)engine->policy->n_tiers;

	ages_reset(ages, n_tiers);
	for (msgref ref = table_next(engine->table, MSGREF_NONE); ref;
	     ref = table_next(engine->table, ref)) {
		const struct message *message = table_get(engine->table, ref);
		unsigned tier = engine_tier(engine, message);

		ages_enter(ages, tier, (enum message_state)message->state);
		if (message->created)
			ages_add(ages, tier, message->created, now);
		if (message->flags & MESSAGE_SIZED)
			ages_add_bytes(ages, tier, message->size);
	}
	if (engine->counted_as) {
		all_counted(ages);
		ages_free(ages);
		return;
	}
	for (unsigned tier = 0; tier < n_tiers; tier++) {
		for (enum message_state state = 0; state < MESSAGE_STATES; state++)
			check_equal(ages_in_state(engine->ages, tier, state),
				    ages_in_state(ages, tier, state));
		check_equal(ages_bytes(engine->ages, tier), ages_bytes(ages, tier));
		check_equal(ages_known(engine->ages, tier), ages_known(ages, tier));
		check_equal(ages_oldest(engine->ages, tier), ages_oldest(ages, tier));
		for (int64_t age = 0; age < 10 * 86400; age += 9999)
			check_equal(ages_older_than(engine->ages, tier, age, now),
				    ages_older_than(ages, tier, age, now));
	}
	ages_free(ages);
}

/* ---- what has been done ---- */

static uint64_t told[EVENT_MESSAGE_RECOVERED + 64];

static void take_events(void)
{
	for (const char *event = drive_next(); *event; event = drive_next())
		for (unsigned i = 0; policy_event_names[i]; i++)
			if (strncmp(event, policy_event_names[i], strcspn(event, " :")) == 0 &&
			    policy_event_names[i][strcspn(event, " :")] == 0)
				told[i]++;
}

static uint64_t all(enum tally_kind kind)
{
	return tally_of_all(drive_engine->tally, kind).total;
}

static void told_right(void)
{
	struct engine_counts counts = engine_count(drive_engine);
	uint64_t acted = 0, flows = 0;
	struct tally_flow flow;

	take_events();
	check_equal(all(TALLY_TRACKED), told[EVENT_MESSAGE_TRACKED]);
	check_equal(all(TALLY_ATTEMPTED), told[EVENT_MESSAGE_ATTEMPTED]);
	check_equal(all(TALLY_MOVED_IN), told[EVENT_MESSAGE_MOVED]);
	check_equal(all(TALLY_MOVED_OUT), told[EVENT_MESSAGE_MOVED]);
	check_equal(all(TALLY_DELETED), told[EVENT_MESSAGE_DELETED]);
	check_equal(all(TALLY_DEPARTED), told[EVENT_MESSAGE_DEPARTED]);
	check_equal(all(TALLY_FAILED), told[EVENT_MOVE_FAILED]);
	check_equal(all(TALLY_REFUSED), told[EVENT_MESSAGE_REFUSED]);
	check_equal(all(TALLY_BUSY), told[EVENT_MESSAGE_BUSY]);
	check_equal(all(TALLY_MOVED_IN), counts.moved);
	check_equal(all(TALLY_ATTEMPTED), counts.attempted);
	check_equal(tally_times(drive_engine->tally, TALLY_MOVE)->count, counts.moved);
	check_equal(tally_times(drive_engine->tally, TALLY_REACTION)->count, counts.moved);
	for (size_t i = 0; i < drive_engine->policy->n_rules; i++)
		acted += tally_of_rule(drive_engine->tally, i, TALLY_RULE_ACTED);
	check(acted <= counts.moved + counts.deleted);
	for (size_t i = 0; tally_flow(drive_engine->tally, i, &flow); i++)
		flows += flow.moved.total;
	check(flows <= counts.moved);
}

/* ---- one by one ---- */

static void each_is_counted(void)
{
	struct tally *tally;
	struct tally_flow flow;
	struct testing_holder holder;

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	testing_enqueue("Q", "old", 1);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES "," DRIVE_DELETE("S", "\"attempts\":20"),
		    ENGINE_WATCH, false);
	tally = drive_engine->tally;
	/* What a first scan finds did not arrive now. */
	check_equal(all(TALLY_TRACKED), 1);
	check_equal(all(TALLY_ARRIVED), 0);
	check_equal(tally_rounds(tally, ROUND_START), 1);
	check_equal(tally_times(tally, TALLY_SCAN)->count, 1);
	testing_enqueue("Q", "new", 1);
	drive_turns();
	check_equal(tally_of_tier(tally, 0, TALLY_ARRIVED).total, 1);
	check_equal(ages_bytes(drive_engine->ages, 0), 2 * strlen("body of new\n"));
	testing_rewrite("Q", &(struct testing_message){.id = "new", .attempts = 11});
	drive_turns();
	check_equal(tally_of_tier(tally, 0, TALLY_ATTEMPTED).total, 1);
	check_equal(tally_of_rule(tally, 0, TALLY_RULE_ACTED), 1);
	check_equal(tally_of_rule(tally, 1, TALLY_RULE_ACTED), 1);
	check(tally_flow(tally, 1, &flow) && flow.from == 1 && flow.to == 2);
	check_equal(flow.moved.total, 1);
	check_equal(ages_messages(drive_engine->ages, 2), 1);
	check_equal(ages_oldest(drive_engine->ages, 2), TESTING_CREATED / 86400 * 86400);
	check_equal(ages_older_than(drive_engine->ages, 2, 5 * 86400, drive_now() / CLOCK_SECOND),
		    1);
	testing_rewrite("S", &(struct testing_message){.id = "new", .attempts = 20});
	drive_turns();
	check_equal(tally_of_tier(tally, 2, TALLY_DELETED).total, 1);
	check_equal(tally_of_rule(tally, 2, TALLY_RULE_ACTED), 1);
	check_equal(ages_oldest(drive_engine->ages, 2), -1);
	/* Held for longer than the end of an attempt. */
	check(testing_hold(testing_file("Q", "qf", "old"), TESTING_FLOCK, &holder));
	testing_rewrite("Q", &(struct testing_message){.id = "old", .attempts = 1});
	testing_release(&holder);
	drive_turns();
	testing_enqueue("Q", "held", 0);
	drive_turns();
	testing_remove(testing_file("Q", "qf", "held"));
	testing_remove(testing_file("Q", "df", "held"));
	testing_enqueue("M", "held", 10);
	check(testing_hold(testing_file("M", "qf", "held"), TESTING_FLOCK, &holder));
	for (int i = 0; i < 20; i++)
		drive_later(DRIVE_SECOND / 4);
	check_equal(tally_of_rule(tally, 1, TALLY_RULE_BUSY), 1);
	check_equal(tally_of_tier(tally, 1, TALLY_BUSY).total, 1);
	check_equal(ages_in_state(drive_engine->ages, 1, MESSAGE_BUSY), 1);
	testing_release(&holder);
	drive_later(60 * DRIVE_SECOND);
	/* Unsafe to touch: refused, by its rule. */
	testing_message("Q", &(struct testing_message){.id = "d", .attempts = 3, .lines = "d/x\n"});
	drive_turns();
	check_equal(tally_of_rule(tally, 0, TALLY_RULE_REFUSED), 1);
	check_equal(ages_in_state(drive_engine->ages, 0, MESSAGE_REFUSED), 1);
	/* Its target is lost: a failure, told once, however often it is tried. */
	testing_rename("M", "away");
	testing_enqueue("Q", "f", 3);
	for (int i = 0; i < 20; i++)
		drive_later(30 * DRIVE_SECOND);
	check_equal(tally_of_rule(tally, 0, TALLY_RULE_FAILED), 1);
	check_equal(ages_in_state(drive_engine->ages, 0, MESSAGE_FAILED), 1);
	told_right();
	counted_right();
	drive_finish();
}

/* ---- random work ---- */

static void one_thing(uint64_t *random)
{
	static const char *const names[] = {"Q", "M", "S"};
	uint64_t r = testing_random(random);
	const char *tier = names[r % 3];
	char id[16];

	snprintf(id, sizeof id, "m%u", (unsigned)(r >> 8 & 63));
	if (!testing_exists(tier))
		return;
	switch (r >> 16 & 7) {
	case 0: /* gone */
		unlink(testing_file(tier, "qf", id));
		unlink(testing_file(tier, "df", id));
		break;
	case 1: /* a body of another size, or none, or a qf to be refused */
		if (testing_exists(testing_file(tier, "qf", id)))
			break;
		testing_message(tier, &(struct testing_message){.id = id,
								.attempts = (uint32_t)(r >> 24 & 3),
								.lines = r >> 30 & 1 ? "d/nowhere\n"
										     : NULL});
		if (r >> 31 & 1)
			testing_put(testing_file(tier, "df", id), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
				    r >> 40 & 31);
		else
			unlink(testing_file(tier, "df", id));
		break;
	default:
		if (testing_exists(testing_file(tier, "qf", id)))
			testing_rewrite(tier, &(struct testing_message){
						      .id = id,
						      .attempts = (uint32_t)(r >> 24 & 15),
						      .created = drive_now() / CLOCK_SECOND -
								 (int64_t)(r >> 32 & 0xfffff)});
		else
			testing_enqueue(tier, id, (uint32_t)(r >> 24 & 7));
	}
}

static void move_tier(const char *tier, const char *away)
{
	if (testing_exists(tier))
		testing_rename(tier, away);
	else if (testing_exists(away))
		testing_rename(away, tier);
}

static void another_policy(uint64_t random)
{
	static const char *const tiers[] = {
		DRIVE_THREE_TIERS,
		DRIVE_TIER("S", "S") "," DRIVE_TIER("M", "M") "," DRIVE_TIER("Q", "Q"),
		DRIVE_TIER("X", "X") "," DRIVE_TIER("Q", "Q") "," DRIVE_TIER("M", "M"),
		/* Several are one, and are divided again. */
		DRIVE_TIER("S", "S") "," DRIVE_TIER("Q", "[QM]"),
		DRIVE_TIER("Q", "[QMS]"),
		DRIVE_TIER("M", "M") "," DRIVE_TIER("S", "[QS]"),
		/* The same directories under other names. */
		DRIVE_TIER("M", "Q") "," DRIVE_TIER("Q", "M") "," DRIVE_TIER("S", "S"),
	};
	static const char usual[] = DRIVE_TWO_RULES "," DRIVE_DELETE("S", "\"attempts\":14");
	static const char *const rules[] = {
		usual,
		usual,
		DRIVE_MOVE("Q", "\"attempts\":4", "M"),
		DRIVE_MOVE("Q", "\"attempts\":7", "S"),
		DRIVE_DELETE("Q", "\"attempts\":15"),
		DRIVE_MOVE("M", "\"attempts\":5", "S"),
		usual,
	};
	unsigned which = random % N(tiers);

	_Static_assert(N(tiers) == N(rules), "a policy has both");
	/* Refused while a tier that it names anew is away; then the old one stays. */
	drive_apply(tiers[which], rules[which]);
}

static void counts_agree_after_random_work(void)
{
	uint64_t random = 11, divided = 0;
	uint64_t moved = 0;

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	testing_queue("X", true);
	for (int i = 0; i < 30; i++)
		one_thing(&random);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	drive_engine->recount_most = 1;
	for (size_t i = 0; i < testing_scale(400); i++) {
		uint64_t r = testing_random(&random);

		for (int n = (int)(r % 8); n >= 0; n--)
			one_thing(&random);
		if ((r >> 8 & 15) == 0)
			move_tier("M", "M.away");
		if ((r >> 12 & 7) == 0)
			another_policy(r >> 20);
		/* Also after turns that leave work. */
		engine_turn(drive_engine, drive_now());
		counted_right();
		divided += drive_engine->counted_as != NULL;
		if (r >> 16 & 1)
			continue;
		drive_later((int64_t)(r >> 32 & 127) * DRIVE_SECOND / 8);
		counted_right();
		told_right();
		moved = engine_count(drive_engine).moved;
	}
	check(moved > testing_scale(400) / 10);
	check(divided || testing_slow());
	drive_finish();
}

/* A tier of three directories becomes three tiers, step by step, while messages come, change, move
 * and go; now and then another policy comes before that has ended. */
static void a_divided_tier_is_counted_in_steps(void)
{
	uint64_t random = 12;
	size_t steps = 0, rounds = testing_scale(60);

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	for (int i = 0; i < 60; i++)
		one_thing(&random);
	drive_start(DRIVE_TIER("Q", "[QMS]"), DRIVE_DELETE("Q", "\"attempts\":99"), ENGINE_WATCH,
		    false);
	drive_engine->recount_most = 1;
	for (size_t i = 0; i < rounds; i++) {
		int turns = i % 5 == 4 ? 7 : INT_MAX;

		check_equal(drive_apply(DRIVE_TIER("M", "M") "," DRIVE_TIER(
						"Q", "Q") "," DRIVE_TIER("S", "S"),
					DRIVE_TWO_RULES "," DRIVE_DELETE("S", "\"attempts\":14")),
			    0);
		while (drive_engine->counted_as && turns-- > 0) {
			for (int k = 0; k < 3; k++)
				one_thing(&random);
			engine_turn(drive_engine, drive_now());
			counted_right();
			steps++;
		}
		check_equal(
			drive_apply(DRIVE_TIER("Q", "[QMS]"), DRIVE_DELETE("Q", "\"attempts\":99")),
			0);
		/* What becomes one needs no steps. */
		check(!drive_engine->counted_as);
		counted_right();
		drive_turns();
		counted_right();
	}
	check(steps > 10 * rounds);
	drive_finish();
}

/* Lost and found between turns, with more waiting than a turn looks at: a reaction is measured from
 * the turn that learnt of the message. */
static void reactions_begin_with_their_turn(void)
{
	const struct tally_times *reactions, *moves;
	uint64_t learnt, at_once;

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	reactions = tally_times(drive_engine->tally, TALLY_REACTION);
	moves = tally_times(drive_engine->tally, TALLY_MOVE);
	for (int i = 0; i < 200; i++) {
		char id[16];

		snprintf(id, sizeof id, "%d", i);
		testing_enqueue("Q", id, 3);
	}
	/* Most are learnt of by the first turn; its successors begin later. */
	stop_clock();
	check(engine_turn(drive_engine, drive_now()));
	at_once = engine_count(drive_engine).moved;
	learnt = engine_count(drive_engine).messages;
	check(at_once < 50 && learnt > 100);
	check_equal(reactions->sum, 0);
	stopped_at += 20 * MILLISECOND;
	drive_turns();
	check_equal(reactions->count, 200);
	check_equal(reactions->sum, (learnt - at_once) * 20 * MILLISECOND);
	check_equal(moves->sum, 0);
	/* One that comes afterwards has its own. */
	stopped_at += 20 * MILLISECOND;
	testing_enqueue("Q", "late", 3);
	drive_turns();
	check_equal(reactions->count, 201);
	check_equal(reactions->sum, (learnt - at_once) * 20 * MILLISECOND);
	start_clock();
	/* Neither is less than the move itself takes. */
	testing_enqueue("Q", "latest", 3);
	drive_turns();
	check(moves->sum > 0);
	check(reactions->sum - (learnt - at_once) * 20 * MILLISECOND >= moves->sum);
	drive_finish();
}

static uint64_t reactions_over_50ms(void)
{
	const struct tally_times *times = tally_times(drive_engine->tally, TALLY_REACTION);
	uint64_t count = times->count;
	size_t n;
	const int64_t *bounds = tally_bounds(TALLY_REACTION, &n);

	for (size_t i = 0; i < n && bounds[i] <= 50000000; i++)
		count -= times->counts[i];
	return count;
}

/* Those of one turn that are looked at in the next, beside others that the next one learns of. */
static void each_has_its_own_turn(void)
{
	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	/* More turns that add something than there are marks, and none that moves. */
	for (int i = 0; i < 2 * ENGINE_TURN_MARKS; i++) {
		char id[16];

		snprintf(id, sizeof id, "n%d", i);
		testing_enqueue("Q", id, 0);
		engine_turn(drive_engine, drive_now());
	}
	stop_clock();
	stopped_at += 60 * MILLISECOND;
	for (int i = 0; i < 40; i++) {
		char id[16];

		snprintf(id, sizeof id, "m%d", i);
		testing_enqueue("Q", id, 3);
	}
	engine_turn(drive_engine, drive_now());
	check_equal(engine_count(drive_engine).moved, 32);
	check_equal(reactions_over_50ms(), 0);
	stopped_at += 60 * MILLISECOND;
	testing_enqueue("Q", "last", 3);
	drive_turns();
	check_equal(engine_count(drive_engine).moved, 41);
	check_equal(reactions_over_50ms(), 8);
	start_clock();
	drive_finish();
}

/* Copied by a worker. */
static void moves_to_another_file_system(void)
{
	struct tally_flow flow;
	int64_t since = 0;

	testing_private_mounts();
	testing_queue("Q", false);
	testing_mkdir("M");
	testing_mount_tmpfs("M", "mode=700");
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS, DRIVE_TWO_RULES, ENGINE_WATCH, false);
	testing_enqueue("Q", "far", 3);
	testing_enqueue("Q", "farther", 10);
	while ((engine_count(drive_engine).moved < 3 || engine_is_waiting(drive_engine)) &&
	       testing_again(&since))
		drive_turns();
	check(testing_stands("M", "far") && testing_stands("S", "farther"));
	check(tally_flow(drive_engine->tally, 0, &flow) && flow.from == 0 && flow.to == 1);
	check_equal(flow.moved.total, 2);
	check_equal(tally_of_rule(drive_engine->tally, 0, TALLY_RULE_ACTED), 2);
	check_equal(tally_of_rule(drive_engine->tally, 1, TALLY_RULE_ACTED), 1);
	counted_right();
	told_right();
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(each_is_counted),
		APART(counts_agree_after_random_work),
		APART(a_divided_tier_is_counted_in_steps),
		APART(reactions_begin_with_their_turn),
		APART(each_has_its_own_turn),
		APART(moves_to_another_file_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
