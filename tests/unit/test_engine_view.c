/* test_engine_view.c - what readers are told of messages, and their domains: kept while the policy
 * listens, learnt of those that were read before, right after whatever happens to a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/drive.h"
#include "../support/testing.h"
#include "qfwatch/engine_view.h"

#define LISTENS DRIVE_ALSO("\"listen\":\"unix:/run/qfwatch-test/http.sock\"")
#define RULE	DRIVE_MOVE("Q", "\"attempts\":3", "M")

static msgref find(const char *id)
{
	msgref refs[4];
	size_t n = engine_view_find(drive_engine, id, refs, N(refs));

	check_equal(n, 1);
	return refs[0];
}

/* "a.example,b.example", "" for none, "?" for not known. */
static const char *domains(const char *id)
{
	static char text[512];
	const struct labels *labels = engine_view_labels(drive_engine);
	const uint32_t *numbers;
	msgref ref = find(id);
	size_t n = labels_recipients(labels, ref, &numbers), length = 0;

	text[0] = 0;
	if (!labels_are_known(labels, ref))
		return "?";
	for (size_t i = 0; i < n; i++) {
		struct policy_slice name = labels_name(labels, numbers[i]);

		length += (size_t)snprintf(text + length, sizeof text - length, "%s%.*s",
					   i ? "," : "", (int)name.length, name.bytes);
	}
	return text;
}

static void put(const char *queue, const char *id, unsigned attempts, const char *lines)
{
	testing_message(queue,
			&(struct testing_message){.id = id, .attempts = attempts, .lines = lines});
	drive_turns();
}

static void follows_each_message(void)
{
	testing_queue("Q", false);
	testing_queue("M", true);
	testing_queue("S", false);
	testing_message("Q",
			&(struct testing_message){.id = "a", .lines = "RPFD:<x@one.example>\n"});
	drive_start(DRIVE_THREE_TIERS, RULE LISTENS, ENGINE_WATCH, false);
	check(strstr(domains("a"), "one.example"));
	put("Q", "b", 1, "RPFD:<x@one.example>\nRPFD:<y@two.example>\nRPFD:<z@TWO.example>\n");
	check(strstr(domains("b"), "one.example,two.example"));
	/* One recipient has got it. */
	testing_rewrite("Q", &(struct testing_message){
				     .id = "b", .attempts = 2, .lines = "RPFD:<y@two.example>\n"});
	drive_turns();
	check(!strstr(domains("b"), "one.example"));
	/* It keeps its number when it moves. */
	testing_rewrite("Q", &(struct testing_message){
				     .id = "b", .attempts = 3, .lines = "RPFD:<y@two.example>\n"});
	drive_turns();
	check(testing_stands("M", "b"));
	check(strstr(domains("b"), "two.example"));
	/* Its successor under the same number begins anew. */
	testing_remove(testing_file("Q", "qf", "a"));
	testing_remove(testing_file("Q", "df", "a"));
	put("S", "c", 0, "RPFD:<x@three.example>\n");
	check(strstr(domains("c"), "three.example"));
	check(!strstr(domains("c"), "one.example"));
	drive_finish();
}

static void learns_what_was_read_before(void)
{
	enum { MESSAGES = 500 };
	char id[16];

	testing_queue("Q", false);
	testing_queue("M", false);
	testing_queue("S", false);
	for (int i = 0; i < MESSAGES; i++) {
		snprintf(id, sizeof id, "m%d", i);
		testing_message("Q", &(struct testing_message){.id = id,
							       .lines = "RPFD:<x@one.example>\n"});
	}
	drive_start(DRIVE_THREE_TIERS, RULE, ENGINE_WATCH, false);
	check(engine_view_labels(drive_engine) == NULL);
	check_equal(drive_apply(DRIVE_THREE_TIERS, RULE LISTENS), 0);
	check(!labels_are_known(engine_view_labels(drive_engine), find("m7")));
	drive_turns();
	for (int i = 0; i < MESSAGES; i++) {
		snprintf(id, sizeof id, "m%d", i);
		check(strstr(domains(id), "one.example"));
	}
	check_equal(drive_apply(DRIVE_THREE_TIERS, RULE), 0);
	check(engine_view_labels(drive_engine) == NULL);
	drive_turns();
	drive_finish();
}

static void tells_messages(void)
{
	struct engine_view_reader *reader = engine_view_reader_new();
	struct engine_view_message message;
	struct engine_view_round round;
	struct engine_view_directory dir;
	struct policy_text text;
	size_t n = 0;

	drive_start_usual();
	check(engine_view_is_complete(drive_engine));
	engine_view_round(drive_engine, &round);
	check_text(round.last, "start");
	check(!round.running);
	put("Q", "a", 2, "MDeferred: no\nRPFD:<x@one.example>\n");
	testing_write("Q/qfbad", "V8\n");
	drive_turns();
	engine_view_message(drive_engine, find("a"), &message);
	check_equal(message.id_length, 1);
	check_equal(message.tier, 0);
	check_equal(message.state, MESSAGE_IDLE);
	check(message.has_numbers);
	check_equal(message.attempts, 2);
	check_equal(message.created, TESTING_CREATED);
	check_text(message.directory, testing_path("Q"));
	check_equal(engine_view_read(drive_engine, reader, find("a"), &text), 0);
	check_equal(text.status.length, strlen("Deferred: no"));
	check(engine_view_facts(drive_engine, find("a"), &text).text == &text);
	engine_view_message(drive_engine, find("bad"), &message);
	check(!message.has_numbers);
	check(engine_view_read(drive_engine, reader, find("bad"), &text) < 0);
	for (msgref ref = engine_view_next(drive_engine, MSGREF_NONE); ref;
	     ref = engine_view_next(drive_engine, ref))
		n++;
	check_equal(n, 2);
	check_equal(engine_view_find(drive_engine, "none", &(msgref){0}, 1), 0);
	check_equal(engine_view_find(drive_engine, "", &(msgref){0}, 1), 0);
	testing_rename("M", "away");
	drive_turns();
	check(engine_view_directory(drive_engine, 1, &dir));
	check_equal(dir.state, ENGINE_VIEW_LOST);
	check(strstr(engine_view_lost_reason(dir.error), "removed or renamed"));
	testing_rename("away", "M");
	drive_later(60 * DRIVE_SECOND);
	check(engine_view_directory(drive_engine, 1, &dir));
	check_equal(dir.state, ENGINE_VIEW_WATCHED);
	check_equal(dir.error, 0);
	engine_view_reader_free(reader);
	drive_finish();
}

/* What has been put in a qf's place, and the kernel's word of it is still to come. */
static void reads_only_what_is_a_message(void)
{
	struct engine_view_reader *reader = engine_view_reader_new();
	struct policy_text text;
	char lines[80 * 1024];

	drive_start_usual();
	put("Q", "a", 2, "MDeferred: no\nRPFD:<x@one.example>\n");
	drive_turns();
	testing_rename("Q/qfa", "elsewhere");
	check(engine_view_read(drive_engine, reader, find("a"), &text) < 0);
	check(symlink("../elsewhere", "Q/qfa") == 0);
	check(engine_view_read(drive_engine, reader, find("a"), &text) < 0);
	testing_remove("Q/qfa");
	check(mkfifo("Q/qfa", 0600) == 0);
	check(engine_view_read(drive_engine, reader, find("a"), &text) < 0);
	testing_remove("Q/qfa");
	testing_mkdir("Q/qfa");
	check(engine_view_read(drive_engine, reader, find("a"), &text) < 0);
	testing_remove("Q/qfa");
	testing_link("elsewhere", "Q/qfa");
	check(engine_view_read(drive_engine, reader, find("a"), &text) < 0);
	testing_remove("Q/qfa");
	testing_write("Q/qfa", "V8\n");
	check(engine_view_read(drive_engine, reader, find("a"), &text) < 0);
	/* And one that is larger than what is read in one piece. */
	memset(lines, 'x', sizeof lines);
	memcpy(lines, "H??X: ", 6);
	strcpy(lines + sizeof lines - sizeof "\nMlong\n", "\nMlong\n");
	put("Q", "a", 2, lines);
	check_equal(engine_view_read(drive_engine, reader, find("a"), &text), 0);
	check_equal(text.status.length, strlen("long"));
	engine_view_reader_free(reader);
	drive_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(reads_only_what_is_a_message),
		APART(follows_each_message),
		APART(learns_what_was_read_before),
		APART(tells_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
