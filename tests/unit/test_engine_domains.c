/* test_engine_domains.c - recipient domains in the hands of the engine: what counts as a failure
 * and as a delivery, and who is asked again for it. How they are counted is test_domains';
 * tests/e2e/25-domains.sh has a real sendmail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../support/drive.h"
#include "../support/testing.h"

/* A domain with five failures leaves Q, and comes back when S gets one through. */
#define DEAD                                                                                       \
	"{\"name\":\"dead\",\"tier\":\"Q\",\"when\":{\"domain\":{\"deferred\":5,\"within\":"       \
	"\"10m\"}},\"then\":{\"move\":\"S\"}}"
#define ALIVE                                                                                      \
	"{\"name\":\"alive\",\"tier\":\"S\",\"when\":{\"domain\":{\"delivered_from\":[\"S\"],"     \
	"\"within\":\"5m\"}},\"then\":{\"move\":\"Q\"}}"

/* It is 30 s at most until all have come back. */
#define ALL_BACK (30 * DRIVE_SECOND)

static struct engine_counts counts(void)
{
	return engine_count(drive_engine);
}

static void start(const char *rules)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	drive_start(DRIVE_THREE_TIERS, rules, ENGINE_WATCH, false);
}

/* One that has been tried so often, the last time now. */
static struct testing_message tried(const char *id, const char *domain, uint32_t attempts)
{
	return (struct testing_message){
		.id = id,
		.attempts = attempts,
		.domain = domain,
		.created = drive_now() / DRIVE_SECOND - 60,
		.last_attempt = attempts ? drive_now() / DRIVE_SECOND : 0,
	};
}

static void enqueue(const char *tier, const char *id, const char *domain, uint32_t attempts)
{
	struct testing_message message = tried(id, domain, attempts);

	testing_message(tier, &message);
}

static void attempt(const char *tier, const char *id, const char *domain, uint32_t attempts)
{
	struct testing_message message = tried(id, domain, attempts);

	testing_rewrite(tier, &message);
}

/* n of a domain, ids "aN", one attempt each. */
static void enqueue_many(const char *tier, const char *prefix, const char *domain, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char id[16];

		snprintf(id, sizeof(id), "%s%u", prefix, i);
		enqueue(tier, id, domain, 1);
	}
}

/* As sendmail when it is done with a message. */
static void deliver(const char *tier, const char *id)
{
	testing_remove(testing_file(tier, "df", id));
	testing_remove(testing_file(tier, "qf", id));
	drive_turns();
}

/* Passes over what else there is; returns how many of these there were. */
static unsigned told(const char *what)
{
	unsigned count = 0;

	for (const char *event = drive_news(); *event; event = drive_news())
		count += strncmp(event, what, strlen(what)) == 0;
	return count;
}

/* ---- failures ---- */

static void a_dead_domain_leaves(void)
{
	start(DEAD);
	enqueue_many("Q", "a", "dead.example", 4);
	enqueue("Q", "b", "other.example", 1);
	enqueue("Q", "new", "Dead.Example", 0);
	drive_turns();
	drive_no_news;
	/* A look at the same attempt counts nothing. */
	testing_link("Q/qfa0", "Q/other");
	testing_remove("Q/other");
	testing_make_old("Q/qfa1", 5);
	drive_later(DRIVE_SECOND);
	drive_no_news;
	/* The fifth: of one that was tried before. */
	attempt("Q", "a0", "dead.example", 2);
	drive_turns();
	drive_news_is("domain-deferred");
	check_text(lines_text(drive_last(), "qfwatch/domain/name"), "dead.example");
	check_equal(lines_number(drive_last(), "qfwatch/domain/deferred"), 5);
	/* All of them, also the one that was never tried, and in whatever case. */
	check_equal(told("message-moved "), 5);
	for (int i = 0; i < 4; i++) {
		char id[] = "a0";

		id[1] = (char)('0' + i);
		check(testing_stands("S", id));
	}
	check(testing_stands("S", "new"));
	check(testing_stands("Q", "b"));
	check_equal(counts().moved, 5);
	/* Who comes now goes at once; with the window it ends. */
	enqueue("Q", "late", "dead.example", 0);
	drive_turns();
	check_equal(told("message-moved late Q->S"), 1);
	drive_later(631 * DRIVE_SECOND);
	enqueue("Q", "later", "dead.example", 0);
	drive_turns();
	drive_no_news;
	check(testing_stands("Q", "later"));
	drive_finish();
}

/* What happened before the start: each message that was tried lately counts once, at its K. */
static void failures_before_the_start(void)
{
	int64_t hour_ago = time(NULL) - 3600;

	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	for (unsigned i = 0; i < 10; i++) {
		char id[16];

		snprintf(id, sizeof(id), "a%u", i);
		testing_message("Q", &(struct testing_message){.id = id,
							       .attempts = 9,
							       .domain = "new.example",
							       .last_attempt = time(NULL) - 100});
		snprintf(id, sizeof(id), "b%u", i);
		testing_message("Q", &(struct testing_message){.id = id,
							       .attempts = 9,
							       .domain = "old.example",
							       .last_attempt = hour_ago});
		snprintf(id, sizeof(id), "c%u", i);
		if (i < 4)
			testing_message("Q", &(struct testing_message){.id = id,
								       .attempts = 9,
								       .domain = "few.example",
								       .last_attempt = time(NULL)});
		/* A K that lies ahead is anybody's word: it is taken for now. */
		snprintf(id, sizeof(id), "d%u", i);
		testing_message("Q", &(struct testing_message){.id = id,
							       .attempts = 1,
							       .domain = "future.example",
							       .last_attempt = time(NULL) + 86400});
	}
	drive_start(DRIVE_THREE_TIERS, DEAD, ENGINE_WATCH, false);
	check_equal(testing_count("S"), 2 * (10 + 10));
	check_equal(testing_count("Q"), 2 * (10 + 4));
	check(testing_stands("S", "a0") && testing_stands("S", "d0"));
	drive_finish();
}

/* A policy that begins to ask: what is there is read for it. */
static void a_policy_that_begins_to_ask(void)
{
	start(DRIVE_TWO_RULES);
	enqueue_many("Q", "a", "dead.example", 6);
	drive_turns();
	drive_no_news;
	check_equal(drive_apply(DRIVE_THREE_TIERS, DEAD), 0);
	drive_turns();
	/* What was known of them counts for nothing: they have not been tried since. */
	drive_no_news;
	for (unsigned i = 0; i < 5; i++) {
		char id[] = "a0";

		id[1] = (char)('0' + i);
		attempt("Q", id, "dead.example", 2);
	}
	drive_turns();
	check_equal(told("message-moved "), 6);
	drive_finish();
}

/* Each of its domains must be dead; it counts for each. */
static void messages_for_several(void)
{
	static const char second[] = "RPFD:<else@second.example>\n";

	start(DEAD);
	for (unsigned i = 0; i < 4; i++) {
		char id[] = "a0";
		struct testing_message message;

		id[1] = (char)('0' + i);
		message = tried(id, "first.example", 1);
		message.lines = second;
		testing_message("Q", &message);
	}
	drive_turns();
	drive_no_news;
	enqueue("Q", "b", "first.example", 1);
	drive_turns();
	drive_news_is("domain-deferred");
	check_text(lines_text(drive_last(), "qfwatch/domain/name"), "first.example");
	check_equal(told("message-moved "), 1);
	check(testing_stands("S", "b"));
	enqueue("Q", "c", "second.example", 1);
	/* Rounds of asking are some time apart. */
	drive_later(DRIVE_SECOND);
	drive_news_is("domain-deferred");
	check_equal(told("message-moved "), 5);
	check_equal(testing_count("Q"), 0);
	drive_finish();
}

/* ---- deliveries ---- */

/* Moves n messages of the domain to S by failures, and takes the events. */
static void start_dead(const char *rules, unsigned n)
{
	start(rules);
	enqueue_many("Q", "a", "dead.example", n);
	drive_turns();
	check_equal(told("message-moved "), n);
	check_equal(testing_count("Q"), 0);
}

static void a_delivery_calls_back(void)
{
	start_dead(DEAD "," ALIVE, 10);
	enqueue("S", "b", "other.example", 3);
	drive_turns();
	deliver("S", "a3");
	/* Not before a bounce would have come up. */
	drive_news_is("message-departed a3 S");
	drive_no_news;
	check_equal(testing_count("Q"), 0);
	drive_later(DRIVE_SECOND);
	drive_news_is("domain-recovered");
	check_text(lines_text(drive_last(), "qfwatch/domain/name"), "dead.example");
	check_equal(lines_number(drive_last(), "qfwatch/domain/delivered"), 1);
	/* One after the other, over 30 s. */
	check(counts().moved < 10 + 9);
	for (int i = 0; i < 30; i++)
		drive_later(ALL_BACK / 30);
	check_equal(told("message-moved "), 9);
	check_equal(testing_count("Q"), 2 * 9);
	check(testing_stands("S", "b"));
	/* That it was there before is no circle: it may leave again, and come back again. */
	for (unsigned i = 0; i < 10; i++) {
		char id[] = "a0";

		id[1] = (char)('0' + i);
		if (i != 3)
			attempt("Q", id, "dead.example", 2);
	}
	drive_turns();
	drive_news_is("domain-deferred");
	check_equal(told("message-moved "), 9);
	check_equal(testing_count("Q"), 0);
	deliver("S", "a5");
	drive_later(DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("message-moved "), 8);
	check_equal(counts().refused, 0);
	drive_finish();
}

/* sendmail makes the bounce in the same queue, and removes what it returned after that. */
static void a_bounce_is_no_delivery(void)
{
	struct testing_message bounce;

	start_dead(DEAD "," ALIVE, 6);
	bounce = tried("bounce", "example.org", 0);
	bounce.sender = "";
	testing_message("S", &bounce);
	deliver("S", "a0");
	drive_later(2 * DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("domain-recovered"), 0);
	/* Read after the departure was told, but in the second that is waited for. */
	deliver("S", "a1");
	drive_later(DRIVE_SECOND / 2);
	bounce.id = "bounce2";
	testing_message("S", &bounce);
	drive_turns();
	drive_later(2 * DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("domain-recovered"), 0);
	/* It was sent at once, and is gone before anybody could read it. */
	bounce.id = "bounce3";
	testing_message("S", &bounce);
	testing_remove("S/qfbounce3");
	deliver("S", "a2");
	drive_later(2 * DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("domain-recovered"), 0);
	/* One elsewhere has nothing to do with it. */
	bounce.id = "bounce4";
	testing_message("M", &bounce);
	drive_turns();
	deliver("S", "a3");
	drive_later(DRIVE_SECOND);
	check_equal(told("domain-recovered"), 1);
	drive_finish();
}

/* Given up, quarantined, taken away by hand: none of them was delivered. */
static void other_ways_to_go(void)
{
	struct testing_message message;

	start_dead(DEAD "," ALIVE, 8);
	testing_rename("S/qfa0", "S/Qfa0");
	testing_rename("S/qfa1", "S/hfa1");
	/* Made anew, and the old one removed. */
	testing_link("S/qfa2", "S/hfa2");
	testing_remove("S/qfa2");
	testing_link("S/qfa3", "S/Qfa3");
	testing_remove("S/qfa3");
	testing_rename("S/qfa4", "elsewhere");
	/* For several domains: whose was it? */
	message = tried("b", "dead.example", 1);
	message.lines = "RPFD:<else@second.example>\n";
	testing_message("S", &message);
	drive_turns();
	deliver("S", "b");
	drive_later(2 * DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("domain-recovered"), 0);
	check_equal(testing_count("Q"), 0);
	/* From another tier it is a delivery, but not the one that the rule asks for. */
	enqueue("M", "c", "dead.example", 1);
	drive_turns();
	deliver("M", "c");
	drive_later(2 * DRIVE_SECOND);
	check_equal(told("domain-recovered"), 0);
	check_equal(testing_count("Q"), 0);
	deliver("S", "a5");
	drive_later(2 * DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("message-moved "), 2);
	drive_finish();
}

/* Nothing of the policy counts failures; still a delivery is known when it comes. */
static void deliveries_alone(void)
{
	start(DRIVE_MOVE("Q", "\"attempts\":3", "S") "," ALIVE);
	for (unsigned i = 0; i < 4; i++) {
		char id[] = "a0";

		id[1] = (char)('0' + i);
		enqueue("Q", id, "slow.example", 3);
	}
	drive_turns();
	check_equal(told("message-moved "), 4);
	deliver("S", "a2");
	drive_later(DRIVE_SECOND);
	drive_later(ALL_BACK);
	check_equal(told("domain-recovered"), 1);
	drive_finish();
}

/* A delivery from any tier ends what has failed before it. */
static void a_delivery_forgives(void)
{
	start(DEAD);
	enqueue_many("Q", "a", "dead.example", 4);
	drive_turns();
	deliver("Q", "a0");
	drive_later(2 * DRIVE_SECOND);
	attempt("Q", "a1", "dead.example", 2);
	attempt("Q", "a2", "dead.example", 2);
	drive_turns();
	check_equal(told("domain-deferred"), 0);
	check_equal(counts().moved, 0);
	attempt("Q", "a1", "dead.example", 3);
	attempt("Q", "a2", "dead.example", 3);
	attempt("Q", "a3", "dead.example", 2);
	drive_turns();
	check_equal(told("message-moved "), 3);
	drive_finish();
}

/* A message that waits for its turn under a limit is not called out of the line. */
static void a_limit_holds_for_them_too(void)
{
	start(DEAD DRIVE_ALSO("\"limits\":{\"moves_per_second\":10}"));
	enqueue_many("Q", "a", "dead.example", 20);
	drive_turns();
	check(counts().moved >= 1 && counts().moved <= 3);
	check_equal(counts().waiting, 20 - counts().moved);
	drive_later(DRIVE_SECOND / 2);
	check(counts().moved >= 5 && counts().moved <= 8);
	/* Crossed again meanwhile, by more failures: everybody keeps his place. */
	attempt("Q", "a19", "dead.example", 9);
	drive_turns();
	check(counts().moved <= 8);
	for (int i = 0; i < 20; i++)
		drive_later(DRIVE_SECOND / 10);
	check_equal(counts().moved, 20);
	drive_finish();
}

/* A clock that was ahead: what it has counted is forgotten. */
static void a_clock_that_was_ahead(void)
{
	start(DEAD);
	drive_shift = 86400 * DRIVE_SECOND;
	enqueue_many("Q", "a", "dead.example", 4);
	drive_turns();
	drive_shift = 0;
	engine_clock_set(drive_engine);
	drive_turns();
	enqueue("Q", "b", "dead.example", 1);
	drive_turns();
	check_equal(told("domain-deferred"), 0);
	enqueue_many("Q", "c", "dead.example", 4);
	drive_turns();
	check_equal(told("message-moved "), 9);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(a_dead_domain_leaves),
		APART(failures_before_the_start),
		APART(a_policy_that_begins_to_ask),
		APART(messages_for_several),
		APART(a_delivery_calls_back),
		APART(a_bounce_is_no_delivery),
		APART(other_ways_to_go),
		APART(deliveries_alone),
		APART(a_delivery_forgives),
		APART(a_limit_holds_for_them_too),
		APART(a_clock_that_was_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
