/* test_gather.c - files read by threads: what they say, files of every kind, files that are
 * replaced while they are read, folders that go away, and a stop in the middle.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qfwatch/control.h"
#include "qfwatch/gather.h"

#include "../support/testing.h"

static struct gather *gather;
static struct gather_source *source;

static void begin(unsigned threads)
{
	int folder = open("Q", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	check(folder >= 0);
	gather = gather_new_with(threads);
	check_equal(gather_open(folder, folder, &source), 0);
	/* It has descriptors of its own. */
	close(folder);
}

static void finish(void)
{
	gather_close(source);
	gather_free(gather);
	source = NULL;
	gather = NULL;
	testing_all_closed();
}

static struct gather_batch *wait_for_one(void)
{
	struct pollfd fd = {.fd = gather_fd(gather), .events = POLLIN};
	struct gather_batch *batch;

	while (!(batch = gather_take(gather)))
		check(fd.fd >= 0 && poll(&fd, 1, TESTING_OVERDUE) == 1);
	return batch;
}

/* One batch, from beginning to end. It is to be put back. */
static struct gather_batch *read_names(const char *const *names, bool texts)
{
	struct gather_batch *batch = gather_begin(gather, source);

	check(batch != NULL);
	batch->want_text = texts;
	batch->want_size = true;
	for (; *names; names++)
		gather_add(batch, *names)->regular = true;
	gather_submit(gather, batch);
	check_equal(gather_under_way(gather), 1);
	check(wait_for_one() == batch);
	check_equal(gather_under_way(gather), 0);
	return batch;
}

static void what_they_say(unsigned threads)
{
	static const char *const names[] = {"qf1", "qf2", "hf3", NULL};
	struct gather_batch *batch;
	struct stat stat_of;

	begin(threads);
	for (int texts = 0; texts < 2; texts++) {
		batch = read_names(names, texts);
		check_equal(batch->count, 3);
		for (size_t i = 0; i < 3; i++) {
			struct gather_item *item = &batch->items[i];

			check_text(item->name, names[i]);
			check_equal(item->trouble, TROUBLE_NONE);
			check_equal(item->file.attempts, i + 1);
			check_equal(item->file.created, TESTING_CREATED);
			check(stat(testing_path("Q/%s", names[i]), &stat_of) == 0);
			check_equal(item->print, control_print(&stat_of));
			check_equal(item->modified, control_modified(&stat_of));
			check_equal(item->text != NULL, texts);
			if (texts) {
				check_equal(item->text_length, stat_of.st_size);
				check(memcmp(item->text, "V8\n", 3) == 0);
				check(memcmp(item->text + item->text_length - 2, ".\n", 2) == 0);
			}
			check(item->sized);
			check_equal(item->body_size, strlen("body of 1\n"));
			check_equal(item->body_links, i == 1 ? 2 : 1);
		}
		gather_put(gather, batch);
	}
	finish();
}

static void read_by_threads(void)
{
	testing_queue("Q", false);
	for (unsigned i = 1; i <= 3; i++)
		testing_enqueue("Q", (char[]){(char)('0' + i), 0}, i);
	testing_rename("Q/qf3", "Q/hf3");
	testing_link("Q/df2", "df-elsewhere");
	what_they_say(2);
	what_they_say(1);
	/* Where threads are refused. */
	what_they_say(0);
}

/* The threads have descriptors of their own, and no copy of what the program has open: else a lock
 * would be held until they end. */
static void no_lock_is_kept(void)
{
	static const char *const names[] = {"qf1", NULL};
	int held, other;
	struct gather_batch *batch;

	testing_queue("Q", false);
	testing_enqueue("Q", "1", 1);
	held = open("Q/qf1", O_RDONLY | O_CLOEXEC);
	other = open("Q/qf1", O_RDONLY | O_CLOEXEC);
	check(held >= 0 && other >= 0);
	check(flock(held, LOCK_EX | LOCK_NB) == 0);
	begin(1);
	batch = read_names(names, false);
	check(batch->job.apart);
	check_equal(batch->items[0].trouble, TROUBLE_NONE);
	gather_put(gather, batch);
	check(flock(other, LOCK_EX | LOCK_NB) < 0);
	close(held);
	check(flock(other, LOCK_EX | LOCK_NB) == 0);
	close(other);
	finish();
}

/* Nothing but a plain, sound file is read, whatever the directory said of it. */
static void odd_files(void)
{
	static const char *const names[] = {
		"qf-fifo",	 "qf-link",  "qf-directory", "qf-hard",	 "qf-empty",
		"qf-incomplete", "qf-large", "qf-missing",   "qf-sound", NULL};
	struct gather_batch *batch;

	testing_queue("Q", false);
	check(mkfifo("Q/qf-fifo", 0600) == 0);
	testing_enqueue("Q", "-sound", 1);
	check(symlink("qf-sound", "Q/qf-link") == 0);
	testing_mkdir("Q/qf-directory");
	testing_write("Q/qf-hard", "T1\nN1\n.\n");
	testing_link("Q/qf-hard", "hard");
	testing_write("Q/qf-empty", "%s", "");
	testing_write("Q/qf-incomplete", "T1\nN1\n");
	testing_write("Q/qf-large", "T1\nN1\nH%0*d\n.\n", CONTROL_BUFFER, 0);
	begin(2);
	batch = read_names(names, false);
	for (size_t i = 0; i < 8; i++)
		check_equal(batch->items[i].trouble, TROUBLE_CHANGED);
	check_equal(batch->items[8].trouble, TROUBLE_NONE);
	gather_put(gather, batch);
	/* One of which the directory does not say that it is a file is not even opened. */
	batch = gather_begin(gather, source);
	gather_add(batch, "qf-sound");
	gather_submit(gather, batch);
	check_equal(wait_for_one()->items[0].trouble, TROUBLE_CHANGED);
	gather_put(gather, batch);
	finish();
}

/* With texts, what does not fit into the batch any more is left to a look. */
static void texts_have_an_end(void)
{
	struct gather_batch *batch;
	size_t texts = 0;

	testing_queue("Q", false);
	testing_write("Q/qf1", "T1\nN1\nH%0*d\n.\n", 60000, 0);
	begin(2);
	batch = gather_begin(gather, source);
	batch->want_text = true;
	for (int i = 0; i < GATHER_NAMES; i++)
		gather_add(batch, "qf1")->regular = true;
	gather_submit(gather, batch);
	wait_for_one();
	for (size_t i = 0; i < GATHER_NAMES; i++) {
		check_equal(batch->items[i].trouble != TROUBLE_NONE, !batch->items[i].text);
		texts += batch->items[i].text != NULL;
	}
	check(texts >= 5 && texts < GATHER_NAMES);
	gather_put(gather, batch);
	finish();
}

static void compared(void)
{
	struct gather_batch *batch;
	struct stat stat_of;
	uint64_t print;

	testing_queue("Q", false);
	testing_enqueue("Q", "1", 1);
	testing_enqueue("Q", "2", 1);
	testing_enqueue("Q", "3", 1);
	begin(1);
	batch = gather_begin(gather, source);
	for (const char *const *name = (const char *const[]){"qf1", "qf2", "qf3", NULL}; *name;
	     name++) {
		struct gather_item *item = gather_add(batch, *name);

		check(stat(testing_path("Q/%s", *name), &stat_of) == 0);
		item->known = true;
		item->print = print = control_print(&stat_of);
	}
	testing_rewrite("Q", &(struct testing_message){.id = "2", .attempts = 22});
	testing_remove("Q/qf3");
	gather_submit(gather, batch);
	wait_for_one();
	check(batch->items[0].same && !batch->items[1].same && !batch->items[2].same);
	check_equal(batch->items[2].print, print);
	gather_put(gather, batch);
	finish();
}

static atomic_bool enough;

/* Attempts and the length of the file belong together: N7 stands in a file of 7 more lines. */
static void *replace(void *unused)
{
	unsigned n = 0;

	while (!enough) {
		char lines[128] = "";

		for (unsigned i = 0; i < n % 8; i++)
			strcat(lines, "Hx: y\n");
		testing_rewrite("Q", &(struct testing_message){
					     .id = "1", .attempts = n % 8, .lines = lines});
		n++;
	}
	return unused;
}

static size_t lines_of(const char *text, size_t length)
{
	size_t lines = 0;

	for (size_t i = 0; i + 1 < length; i++)
		lines += text[i] == '\n' && text[i + 1] == 'H';
	return lines;
}

/* What is read is one state of the file, and whole. */
static void replaced_meanwhile(void)
{
	size_t read = 0, least;
	struct gather_batch *batch;
	pthread_t thread;

	testing_queue("Q", false);
	testing_enqueue("Q", "1", 0);
	begin(2);
	batch = read_names((const char *const[]){"qf1", NULL}, true);
	least = lines_of(batch->items[0].text, batch->items[0].text_length);
	gather_put(gather, batch);
	check(pthread_create(&thread, NULL, replace, NULL) == 0);
	for (size_t round = testing_scale(200); round; round--) {
		batch = gather_begin(gather, source);
		batch->want_text = true;
		while (batch->count < 64)
			gather_add(batch, "qf1")->regular = true;
		gather_submit(gather, batch);
		check(wait_for_one() == batch);
		for (size_t i = 0; i < batch->count; i++) {
			struct gather_item *item = &batch->items[i];

			if (item->trouble)
				continue;
			read++;
			check_equal(lines_of(item->text, item->text_length),
				    least + item->file.attempts);
		}
		gather_put(gather, batch);
	}
	enough = true;
	pthread_join(thread, NULL);
	check(read > 0);
	finish();
}

/* The directory goes, and another takes its place: what is read is the one that was opened. */
static void folder_replaced(void)
{
	struct gather_batch *batch;

	testing_queue("Q", false);
	testing_enqueue("Q", "1", 1);
	begin(2);
	testing_rename("Q", "old");
	testing_queue("Q", false);
	testing_enqueue("Q", "1", 7);
	batch = read_names((const char *const[]){"qf1", NULL}, false);
	check_equal(batch->items[0].file.attempts, 1);
	gather_put(gather, batch);
	testing_remove("old");
	batch = read_names((const char *const[]){"qf1", NULL}, false);
	check_equal(batch->items[0].trouble, TROUBLE_CHANGED);
	gather_put(gather, batch);
	finish();
}

static size_t submit_all(void)
{
	struct gather_batch *batch;
	size_t count = 0;

	while ((batch = gather_begin(gather, source))) {
		while (batch->count < GATHER_NAMES)
			gather_add(batch, "qf1")->regular = true;
		batch->owner = 7;
		gather_submit(gather, batch);
		check(++count < 1000);
	}
	return count;
}

/* The batches come to an end, whatever is asked for; and come back. */
static void bounded(void)
{
	struct gather_batch *batch;
	size_t count;

	testing_queue("Q", false);
	testing_enqueue("Q", "1", 1);
	for (unsigned threads = 0; threads < 3; threads++) {
		begin(threads);
		count = submit_all();
		check(count > threads);
		check_equal(gather_under_way(gather), count);
		gather_give_up(gather, 7);
		for (size_t i = 0; i < count; i++) {
			batch = wait_for_one();
			check(batch->given_up);
			check_equal(batch->items[GATHER_NAMES - 1].file.attempts, 1);
			gather_put(gather, batch);
		}
		check(!gather_take(gather));
		check_equal(submit_all(), count);
		for (size_t i = 0; i < count; i++) {
			batch = wait_for_one();
			check(!batch->given_up);
			gather_put(gather, batch);
		}
		finish();
	}
}

/* An end while threads read, batches wait, and others were never submitted. */
static void stopped_in_the_middle(void)
{
	testing_queue("Q", false);
	testing_enqueue("Q", "1", 1);
	for (size_t i = 0; i < testing_scale(40); i++) {
		begin(2);
		gather_add(gather_begin(gather, source), "qf1");
		submit_all();
		if (i % 2)
			gather_put(gather, wait_for_one());
		finish();
	}
	gather_free(NULL);
	gather_close(NULL);
	check_equal(gather_under_way(NULL), 0);
	check_equal(gather_fd(NULL), -1);
}

/* Who may not have the time of access left alone reads all the same. */
static void without_rights(void)
{
	struct gather_batch *batch;

	testing_need_root();
	testing_queue("Q", false);
	testing_enqueue("Q", "1", 1);
	check(chmod(".", 0755) == 0 && chmod("Q", 0755) == 0 && chmod("Q/qf1", 0644) == 0);
	testing_drop_rights();
	begin(1);
	batch = read_names((const char *const[]){"qf1", "qf1", NULL}, false);
	check_equal(batch->items[0].trouble, TROUBLE_NONE);
	check_equal(batch->items[1].trouble, TROUBLE_NONE);
	gather_put(gather, batch);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		APART(read_by_threads),	  APART(no_lock_is_kept), APART(odd_files),
		APART(texts_have_an_end), APART(compared),	  APART(replaced_meanwhile),
		APART(folder_replaced),	  APART(bounded),	  APART(stopped_in_the_middle),
		APART(without_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
