/* test_survey.c - all messages of a spool read: counts, facts, text and sizes where they are asked
 * for, everything that may stand in a spool, several threads; and nothing is touched.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/survey.h"

#include "../support/testing.h"

static struct policy_tier tiers[2];
static struct policy policy;
static struct spool spool;
static struct survey survey;

/* What a thread is told. */
struct heard {
	uint64_t messages, attempts, texts, sized, held, quarantined, elsewhere, counted;
	char last[64];
};

static void hear(void *context, const struct survey_facts *facts)
{
	struct heard *heard = context;

	heard->messages++;
	heard->attempts += facts->message.attempts;
	heard->texts += facts->message.text != NULL;
	heard->sized += facts->message.has_size;
	heard->held += facts->held;
	heard->quarantined += facts->message.quarantined;
	heard->elsewhere += facts->data_elsewhere;
	heard->counted = facts->message.tier_messages;
	check(!facts->message.history);
	if (facts->message.text)
		check_equal(facts->message.text->n_recipients, 1);
	snprintf(heard->last, sizeof heard->last, "%.*s", (int)facts->id_length, facts->id);
}

static void begin(void)
{
	testing_queue("A", false);
	testing_queue("B", true);
	tiers[0] = (struct policy_tier){.name = "A", .directory = strdup(testing_path("A"))};
	tiers[1] = (struct policy_tier){.name = "B", .directory = strdup(testing_path("B"))};
	policy = (struct policy){.tiers = tiers, .n_tiers = 2};
}

static struct heard read_all(unsigned threads, uint64_t texts, uint64_t sizes)
{
	struct heard heard[SURVEY_MAX_THREADS] = {0};
	void *contexts[SURVEY_MAX_THREADS];
	struct survey_order order = {.text_tiers = texts,
				     .size_tiers = sizes,
				     .threads = threads,
				     .take = hear,
				     .contexts = contexts};
	struct problems problems = {0};
	struct spool_plan *plan;
	const char *path;

	for (unsigned i = 0; i < threads; i++)
		contexts[i] = &heard[i];
	check_equal(spool_plan(&spool, &policy, SPOOL_READ, &problems, &plan), 0);
	spool_commit(&spool, plan);
	check_equal(survey_names(&survey, &spool, &policy, &path), 0);
	survey_read(&survey, &spool, &order);
	for (unsigned i = 1; i < threads; i++) {
		heard[0].messages += heard[i].messages;
		heard[0].attempts += heard[i].attempts;
		heard[0].texts += heard[i].texts;
		heard[0].sized += heard[i].sized;
	}
	return heard[0];
}

static void end(void)
{
	survey_free(&survey);
	spool_free(&spool);
	testing_all_closed();
	free(tiers[0].directory);
	free(tiers[1].directory);
}

/* The first that is told of is the last one. */
static atomic_bool enough;

static void hear_one(void *context, const struct survey_facts *facts)
{
	hear(context, facts);
	atomic_store(&enough, true);
}

static void stopped(void)
{
	struct heard heard = {0};
	void *contexts[] = {&heard};
	struct survey_order order = {
		.threads = 1, .take = hear_one, .contexts = contexts, .stop = &enough};
	struct problems problems = {0};
	struct spool_plan *plan;
	const char *path;

	begin();
	for (int i = 0; i < 5; i++)
		testing_enqueue("A", (char[]){'i', (char)('a' + i), 0}, 1);
	check_equal(spool_plan(&spool, &policy, SPOOL_READ, &problems, &plan), 0);
	spool_commit(&spool, plan);
	check_equal(survey_names(&survey, &spool, &policy, &path), 0);
	survey_read(&survey, &spool, &order);
	check_equal(heard.messages, 1);
	/* And tiers that are not wanted are not read. */
	atomic_store(&enough, false);
	order.skip_tiers = 1;
	survey_read(&survey, &spool, &order);
	check_equal(heard.messages, 1);
	end();
}

static void empty(void)
{
	begin();
	check_equal(read_all(2, 0, 0).messages, 0);
	check_equal(survey.tiers[0].messages, 0);
	check_equal(survey.tiers[0].oldest, INT64_MAX);
	end();
}

static void facts(void)
{
	struct heard heard;

	begin();
	testing_enqueue("A", "one", 3);
	testing_message(
		"A", &(struct testing_message){.id = "two", .attempts = 4, .created = 1600000000});
	testing_message("B", &(struct testing_message){.id = "three", .lines = "d/else\n"});
	testing_write("A/tfone", "T1\n");
	testing_write("A/xfone", "x");
	testing_write("A/Qfone", "x");
	heard = read_all(1, 0, 0);
	check_equal(heard.messages, 3);
	check_equal(heard.attempts, 7);
	check_equal(heard.texts, 0);
	check_equal(heard.sized, 0);
	check_equal(heard.elsewhere, 1);
	check_text(heard.last, "three");
	check_equal(heard.counted, 1);
	check_equal(survey.tiers[0].messages, 2);
	check_equal(survey.tiers[0].read, 2);
	check_equal(survey.tiers[0].oldest, 1600000000);
	check_equal(survey.tiers[1].messages, 1);
	check_equal(survey.tiers[1].sized, 0);
	end();
}

static void texts_and_sizes(void)
{
	struct heard heard;

	begin();
	testing_enqueue("A", "one", 3);
	testing_enqueue("B", "two", 3);
	testing_enqueue("B", "gone", 3);
	testing_remove("B/df/dfgone");
	heard = read_all(1, 1, 2);
	check_equal(heard.texts, 1);
	check_equal(heard.sized, 1);
	check_equal(survey.tiers[0].sized, 0);
	check_equal(survey.tiers[1].sized, 1);
	check_equal(survey.tiers[1].bytes, strlen("body of two\n"));
	end();
}

/* A qf that does not fit into the buffer comes whole. */
static void large(void)
{
	size_t length = 300 * 1024;
	char *lines = malloc(length + 1);
	struct heard heard;

	begin();
	check(lines);
	memset(lines, 'x', length);
	memcpy(lines, "H??X-Large: ", 12);
	lines[length - 1] = '\n';
	lines[length] = 0;
	testing_message("A", &(struct testing_message){.id = "big", .attempts = 5, .lines = lines});
	heard = read_all(1, 1, 0);
	check_equal(heard.messages, 1);
	check_equal(heard.attempts, 5);
	check_equal(heard.texts, 1);
	free(lines);
	end();
}

static void quarantined(void)
{
	struct heard heard;

	begin();
	testing_enqueue("A", "free", 1);
	testing_enqueue("A", "held", 1);
	testing_rename("A/qfheld", "A/hfheld");
	heard = read_all(1, 0, 0);
	check_equal(heard.messages, 1);
	check_equal(survey.tiers[0].messages, 1);
	check_equal(survey.tiers[0].ignored, 1);
	survey_free(&survey);
	spool_free(&spool);
	memset(&survey, 0, sizeof survey);
	policy.quarantined = true;
	heard = read_all(1, 0, 0);
	check_equal(heard.messages, 2);
	check_equal(heard.held, 1);
	check_equal(heard.quarantined, 1);
	check_equal(survey.tiers[0].held, 1);
	check_equal(survey.tiers[0].ignored, 0);
	end();
}

static void hostile(void)
{
	static const struct {
		enum trouble trouble;
		uint64_t messages;
	} expected[] = {
		{TROUBLE_SYMLINK, 2},	 {TROUBLE_FIFO, 1},	   {TROUBLE_DIRECTORY, 1},
		{TROUBLE_LINKS, 2},	 {TROUBLE_EMPTY, 1},	   {TROUBLE_INCOMPLETE, 1},
		{TROUBLE_NO_CREATED, 1}, {TROUBLE_BAD_CREATED, 1}, {TROUBLE_LARGE, 1},
	};
	struct heard heard;
	int fd;

	begin();
	testing_enqueue("A", "good", 2);
	check(symlink("qfgood", "A/qflink") == 0);
	check(symlink("/nowhere", "A/qfdangling") == 0);
	check(mkfifo("A/qffifo", 0600) == 0);
	testing_mkdir("A/qfdir");
	testing_enqueue("A", "linked", 2);
	testing_link("A/qflinked", "A/qfother");
	testing_write("A/qfempty", "%s", "");
	testing_write("A/qfcut", "V8\nT1700000000\nK0\nN0\n");
	testing_write("A/qfnone", "V8\nK0\nN0\nR<a@b>\n.\n");
	testing_write("A/qfbad\001\377name", "V8\nTx\nK0\nN0\nR<a@b>\n.\n");
	fd = open("A/qfhuge", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	check(fd >= 0 && ftruncate(fd, QFILE_MAX_BYTES + 1) == 0);
	close(fd);
	heard = read_all(2, 1, 1);
	check_equal(heard.messages, 1);
	check_equal(survey.tiers[0].messages, 12);
	check_equal(survey.tiers[0].read, 1);
	for (size_t i = 0; i < N(expected); i++)
		check_equal(survey.troubles[expected[i].trouble].messages, expected[i].messages);
	check_text(survey.troubles[TROUBLE_BAD_CREATED].example, "qfbad??name");
	end();
}

static void unreadable(void)
{
	begin();
	testing_enqueue("A", "mine", 1);
	testing_enqueue("A", "closed", 1);
	check(chmod("A/qfclosed", 0) == 0);
	check(chmod("A", 0777) == 0 && chmod("A/qfmine", 0644) == 0);
	testing_drop_rights();
	check_equal(read_all(1, 0, 0).messages, 1);
	check_equal(survey.troubles[TROUBLE_UNREADABLE].messages, 1);
	end();
}

static void many_threads(void)
{
	size_t count = testing_scale(2000);
	struct heard heard;
	char id[32];

	begin();
	for (size_t i = 0; i < count; i++) {
		snprintf(id, sizeof id, "m%zu", i);
		testing_enqueue(i % 3 ? "A" : "B", id, 1);
	}
	heard = read_all(4, 3, 3);
	check_equal(heard.messages, count);
	check_equal(heard.attempts, count);
	check_equal(heard.texts, count);
	check_equal(heard.sized, count);
	check_equal(survey.tiers[0].read + survey.tiers[1].read, count);
	end();
}

/* Not even the time of the last access. */
static void touches_nothing(void)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct stat before, after;

	begin();
	testing_enqueue("A", "one", 1);
	check(utimensat(AT_FDCWD, "A/qfone", old, 0) == 0);
	check(stat("A/qfone", &before) == 0);
	check_equal(read_all(1, 1, 1).messages, 1);
	check(stat("A/qfone", &after) == 0);
	check_equal(after.st_atim.tv_sec, before.st_atim.tv_sec);
	check_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
	check_equal(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
	check_equal(testing_count("A"), 2);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(empty),	     APART(stopped),	     APART(facts),   APART(texts_and_sizes),
		APART(large),	     APART(quarantined),     APART(hostile), APART(unreadable),
		APART(many_threads), APART(touches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
