/* test_inspect.c - one message looked at from outside: found by every kind of word, read in every
 * state, its lock and its daemon seen without taking anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/inspect.h"

#include "../support/testing.h"

/* ---- two tiers: A flat, B in folders ---- */

static struct policy_tier tiers[2];
static struct policy policy = {.tiers = tiers, .n_tiers = 2};
static struct spool spool;
static struct inspect *inspect;
static const struct inspect_place *places;

static void open_tiers(void)
{
	struct problems problems = {0};
	uint64_t lost = 9;

	testing_queue("A", false);
	testing_queue("B", true);
	tiers[0] = (struct policy_tier){.name = "A", .directory = strdup(testing_path("A"))};
	tiers[1] = (struct policy_tier){.name = "B", .directory = strdup(testing_path("B"))};
	check_equal(inspect_open(&spool, &policy, &problems, &lost), 0);
	check_equal(lost, 0);
	check_equal(problems.count, 0);
	inspect = inspect_new(&spool);
}

static void close_tiers(void)
{
	inspect_free(inspect);
	spool_free(&spool);
	testing_all_closed();
	free(tiers[0].directory);
	free(tiers[1].directory);
}

static int find(const char *word)
{
	return inspect_find(inspect, word, &places);
}

static struct inspected look(const char *word)
{
	struct inspected inspected;

	check_equal(find(word), 1);
	inspect_read(inspect, &places[0], &inspected);
	return inspected;
}

/* ---- finding ---- */

static void by_every_word(void)
{
	static const char *const words[] = {"b1",	   "qfb1",	    "dfb1",    "B/qf/qfb1",
					    "B/df/dfb1",   "./B/qf/qfb1",   "B/qf/b1", "hfb1",
					    "B//qf//qfb1", "A/../B/qf/qfb1"};

	open_tiers();
	testing_enqueue("A", "a1", 1);
	testing_enqueue("B", "b1", 2);
	for (size_t i = 0; i < N(words); i++) {
		check_equal(find(words[i]), 1);
		check_text(places[0].name, "qfb1");
		check_text(places[0].id, "b1");
		check(places[0].dir && places[0].dir->tier == 1);
		check(!places[0].held);
		check(strstr(places[0].path, "/B/qf/qfb1"));
	}
	check_equal(find(testing_path("A/qfa1")), 1);
	check_text(places[0].path, testing_path("A/qfa1"));
	check_equal(find("A/hfa1"), 0);
	check_equal(find("A/qfb1"), 0);
	check_equal(find("zz"), 0);
	check_equal(find(""), -EINVAL);
	check_equal(find("/"), 0);
	check_equal(find("A/"), 0);
	check_equal(find("A"), 0);
	close_tiers();
}

static void of_several(void)
{
	char word[600];

	open_tiers();
	testing_enqueue("A", "x", 1);
	testing_enqueue("B", "x", 1);
	testing_rename("A/qfx", "A/hfx");
	check_equal(find("x"), 2);
	check(places[0].held && !places[1].held);
	check_text(places[0].name, "hfx");
	check_equal(find("B/qf/x"), 1);
	check_equal(find("A/dfx"), 1);
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	check_equal(find(word), -EINVAL);
	word[1] = '/';
	check_equal(find(word), 0);
	close_tiers();
}

static void elsewhere(void)
{
	struct inspected inspected;

	open_tiers();
	testing_mkdir("copies");
	testing_write("copies/kept.txt", "V8\nT1700000000\nN7\nS<s@a>\nRPFD:<r@b>\n.\n");
	inspected = look("copies/kept.txt");
	check(!places[0].dir);
	check_text(places[0].id, "kept.txt");
	check_equal(inspected.trouble, TROUBLE_NONE);
	check_equal(inspected.file.attempts, 7);
	check(!inspected.has_size);
	testing_write("qfAB", "V8\nT1700000000\nN7\n.\n");
	testing_write("dfAB", "12345");
	inspected = look("qfAB");
	check(!places[0].dir);
	check(inspected.has_size);
	check_equal(inspected.body.st_size, 5);
	check_equal(find("copies/other"), 0);
	check_equal(find("nowhere/other"), 0);
	close_tiers();
}

static void traces(void)
{
	char text[512];

	open_tiers();
	check_text(inspect_trace(inspect, "x1", text, sizeof(text)), "");
	testing_write("B/df/dfx1", "body");
	check(strstr(inspect_trace(inspect, "qfx1", text, sizeof(text)), "only its body"));
	testing_write("B/qf/Qfx1", "V8\n");
	check(strstr(inspect_trace(inspect, "x1", text, sizeof(text)), "given it up"));
	check(strstr(text, "Qfx1 in "));
	close_tiers();
}

/* ---- reading ---- */

static void sound(void)
{
	struct inspected inspected;
	struct policy_message facts;

	open_tiers();
	testing_message("A", &(struct testing_message){.id = "m", .attempts = 4});
	inspected = look("m");
	check_equal(inspected.trouble, TROUBLE_NONE);
	check_equal(inspected.body_trouble, TROUBLE_NONE);
	check(inspected.has_stat && inspected.has_size && !inspected.quarantined);
	check(!inspected.lock.held);
	facts = inspect_facts(&inspected, 1, 77);
	check_equal(facts.tier, 1);
	check_equal(facts.attempts, 4);
	check_equal(facts.created, TESTING_CREATED);
	check_equal(facts.tier_messages, 77);
	check_equal(facts.size, strlen("body of m\n"));
	check(facts.has_size);
	check_equal(facts.text->n_recipients, 1);
	check(memcmp(facts.text->domains[0].bytes, "example.net", 11) == 0);
	check(!facts.history);
	close_tiers();
}

/* More than control_read keeps. */
static void large(void)
{
	struct inspected inspected;
	FILE *file;

	open_tiers();
	testing_enqueue("A", "m", 1);
	file = fopen("A/qfm", "w");
	check(file != NULL);
	fprintf(file, "V8\nT1700000000\nK0\nN1\nS<s@a>\n");
	for (int i = 0; i < 5000; i++)
		fprintf(file, "RPFD:<recipient%d@example.net>\n", i);
	fprintf(file, ".\n");
	fclose(file);
	inspected = look("m");
	check_equal(inspected.trouble, TROUBLE_NONE);
	check_equal(inspected.text.n_recipients, 5000);
	close_tiers();
}

static void troubles(void)
{
	struct inspected inspected;

	open_tiers();
	testing_enqueue("A", "m", 1);
	testing_remove("A/dfm");
	check_equal(look("m").body_trouble, TROUBLE_BODY_MISSING);
	testing_mkdir("A/dfm");
	check_equal(look("m").body_trouble, TROUBLE_BODY_UNSAFE);
	testing_write("A/qfm", "V8\nT1700000000\n");
	inspected = look("m");
	check_equal(inspected.trouble, TROUBLE_INCOMPLETE);
	check(inspected.has_stat);
	testing_remove("A/qfm");
	check(symlink("/etc/passwd", "A/qfm") == 0);
	inspected = look("m");
	check_equal(inspected.trouble, TROUBLE_SYMLINK);
	check(!inspected.has_stat);
	testing_remove("A/qfm");
	check(mkfifo("A/qfm", 0600) == 0);
	check_equal(look("m").trouble, TROUBLE_FIFO);
	check_equal(find("m"), 1);
	testing_remove("A/qfm");
	inspect_read(inspect, &places[0], &inspected);
	check_equal(inspected.trouble, TROUBLE_GONE);
	close_tiers();
}

static void quarantined(void)
{
	open_tiers();
	testing_message("A", &(struct testing_message){.id = "m", .lines = "qspam\n"});
	check(look("m").quarantined);
	testing_enqueue("B", "n", 1);
	testing_rename("B/qf/qfn", "B/qf/hfn");
	check(look("n").quarantined);
	check_equal(look("n").trouble, TROUBLE_NONE);
	close_tiers();
}

static void links(void)
{
	struct inspected inspected;

	open_tiers();
	testing_enqueue("A", "m", 1);
	testing_link("A/dfm", "other");
	inspected = look("m");
	check_equal(inspected.body_trouble, TROUBLE_BODY_LINKS);
	check(!inspected.second_link);
	testing_remove("other");
	testing_link("A/dfm", "B/df/dfm");
	inspected = look("m");
	check(inspected.second_link && inspected.second_link->tier == 1);
	/* With a qf beside it, it is that message's. */
	testing_write("B/qf/qfm", "V8\n");
	check_equal(find("A/qfm"), 1);
	inspect_read(inspect, &places[0], &inspected);
	check(!inspected.second_link);
	close_tiers();
}

/* ---- the tiers ---- */

static void counts(void)
{
	open_tiers();
	testing_enqueue("A", "m", 1);
	testing_enqueue("A", "n", 1);
	testing_rename("A/qfn", "A/hfn");
	testing_write("A/xfm", "transcript");
	check_equal(inspect_count(&spool, 0), 2);
	check_equal(inspect_count(&spool, 1), 0);
	close_tiers();
}

static void lost(void)
{
	struct problems problems = {0};
	uint64_t bits = 0;

	open_tiers();
	testing_enqueue("B", "m", 1);
	inspect_free(inspect);
	spool_free(&spool);
	testing_rename("A", "away");
	check_equal(inspect_open(&spool, &policy, &problems, &bits), 0);
	check_equal(bits, 1);
	check(problems.count == 1 && strstr(problems.list[0].text, "tier A"));
	problems_free(&problems);
	inspect = inspect_new(&spool);
	check_equal(look("m").place->dir->tier, 1);
	inspect_free(inspect);
	spool_free(&spool);
	testing_rename("B", "away too");
	check(inspect_open(&spool, &policy, &problems, &bits) < 0);
	check_equal(problems_exit_code(&problems), 2);
	problems_free(&problems);
	inspect = inspect_new(&spool);
	check_equal(find("m"), 0);
	close_tiers();
}

/* ---- locks ---- */

static void held_by(enum testing_lock kind)
{
	struct testing_holder holder;
	struct inspected inspected;

	open_tiers();
	testing_enqueue("A", "m", 1);
	testing_enqueue("A", "n", 1);
	check(testing_hold("A/qfm", kind, &holder));
	inspected = look("m");
	check(inspected.lock.held);
	check_equal(inspected.lock.pid, holder.pid);
	check(inspected.lock.program[0] != 0);
	check(!look("n").lock.held);
	testing_release(&holder);
	check(!look("m").lock.held);
	close_tiers();
}

static void by_flock(void)
{
	held_by(TESTING_FLOCK);
}

static void by_fcntl(void)
{
	held_by(TESTING_FCNTL);
}

/* The kernel knows no process for such a lock: its holder is found by what it has open. */
static void by_open_file(void)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct inspected inspected;
	int fd;

	open_tiers();
	testing_enqueue("A", "m", 1);
	fd = open("A/qfm", O_RDWR | O_CLOEXEC);
	check(fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) == 0);
	inspected = look("m");
	check(inspected.lock.held);
	check_equal(inspected.lock.pid, getpid());
	/* A read lock keeps nobody of us off. */
	whole.l_type = F_RDLCK;
	check(fcntl(fd, F_OFD_SETLK, &whole) == 0);
	check(!look("m").lock.held);
	close(fd);
	close_tiers();
}

/* sendmail forks with a lock: who took it may be gone. */
static void by_heir(void)
{
	struct inspected inspected;
	int pair[2];
	pid_t heir, child;
	char go;

	open_tiers();
	testing_enqueue("A", "m", 1);
	check(pipe(pair) == 0);
	child = fork();
	if (child == 0) {
		int fd = open("A/qfm", O_RDONLY);

		check(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
		heir = fork();
		if (heir == 0) {
			for (;;)
				pause();
		}
		check(write(pair[1], &heir, sizeof(heir)) == sizeof(heir));
		_exit(0);
	}
	check(read(pair[0], &heir, sizeof(heir)) == sizeof(heir));
	check(waitpid(child, NULL, 0) == child);
	inspected = look("m");
	kill(heir, SIGKILL);
	check(inspected.lock.held);
	check_equal(inspected.lock.pid, heir);
	/* It ends, and with it the last copy of the pipe. */
	close(pair[1]);
	check(read(pair[0], &go, 1) == 0);
	close(pair[0]);
	close_tiers();
}

/* Looking takes nothing, not for a moment: whoever holds nothing may take the lock meanwhile. */
static void takes_nothing(void)
{
	struct inspected inspected;
	int fd;

	open_tiers();
	testing_enqueue("A", "m", 1);
	check_equal(find("m"), 1);
	inspect_read(inspect, &places[0], &inspected);
	fd = open("A/qfm", O_RDWR | O_CLOEXEC);
	check(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	close(fd);
	close_tiers();
}

/* ---- the daemon ---- */

static void daemons(void)
{
	struct spool served = {0};
	struct spool_plan *plan;
	struct problems problems = {0};
	struct locked daemon;

	open_tiers();
	inspect_daemon(&spool.dirs[0], &daemon);
	check(!daemon.held);
	check_equal(spool_plan(&served, &policy, SPOOL_CLAIM, &problems, &plan), 0);
	spool_commit(&served, plan);
	inspect_daemon(&spool.dirs[0], &daemon);
	check(daemon.held);
	check_equal(daemon.pid, getpid());
	spool_free(&served);
	inspect_daemon(&spool.dirs[0], &daemon);
	check(!daemon.held);
	close_tiers();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(by_every_word), APART(of_several),   APART(elsewhere), APART(traces),
		APART(sound),	      APART(large),	   APART(troubles),  APART(quarantined),
		APART(links),	      APART(counts),	   APART(lost),	     APART(by_flock),
		APART(by_fcntl),      APART(by_open_file), APART(by_heir),   APART(takes_nothing),
		APART(daemons),
	};

	return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
