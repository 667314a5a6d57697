/* testing.h - what the unit tests share: a folder of one's own, messages in it, processes, locks.
 *
 * Most tests run in a process of their own (APART): inotify is one global instance for a program,
 * some tests give up their rights or mount things, and whatever goes wrong, the folder is removed
 * afterwards. In such a process nothing of cmocka may be used: its assertions jump back into the
 * runner. Hence the `check` family, which ends the process.
 *
 * testing.c does not know cmocka. Include <cmocka.h> first to get APART.
 */
#ifndef QFWATCH_TESTING_H
#define QFWATCH_TESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- how much ---- */

/* Under it posix_spawn does not learn what became of exec. */
bool testing_valgrind(void);

/* True under valgrind, and where QFWATCH_TEST_SCALE=small is set (sanitizers). */
bool testing_slow(void);

/* n; a twentieth of it, but at least 1, where that is slow. */
size_t testing_scale(size_t n);

/* The same seed gives the same numbers (xorshift64*). The state is never 0. */
uint64_t testing_random(uint64_t *state);

/* ---- checks: end the process with the place and what did not hold ---- */

void testing_must(bool holds, const char *what, const char *file, int line);
void testing_must_equal(intmax_t a, intmax_t b, const char *what, const char *file, int line);
void testing_must_read(const char *a, const char *b, const char *what, const char *file, int line);

#define check(condition) testing_must((condition), #condition, __FILE__, __LINE__)
#define check_equal(a, b)                                                                          \
	testing_must_equal((intmax_t)(a), (intmax_t)(b), #a " == " #b, __FILE__, __LINE__)
#define check_text(a, b) testing_must_read((a), (b), #a " is " #b, __FILE__, __LINE__)

/* ---- processes ---- */

typedef void testing_body(void);

/* Milliseconds in which whatever is waited for comes, on a slow and busy machine too: who waits
 * longer waits for nothing. */
#define TESTING_OVERDUE 120000

/* For a loop that asks again and again: lets a moment pass. Returns false when what it asks for is
 * overdue. *since is 0 at first. */
bool testing_again(int64_t *since);

/* Runs body in a forked process, with a time limit. Returns its exit code, 0: all is well. */
#define TESTING_SKIPPED 77
int testing_apart(testing_body *body);

/* Are no more descriptors open than at the start of this process? */
void testing_all_closed(void);

/* Ends the process: this test cannot be done here. Says why. */
void testing_skip(const char *why) __attribute__((noreturn));

/* The same, unless this is root. */
void testing_need_root(void);

/* Does this machine, or the network name space that this runs in, reach itself by 127.0.0.1? And:
 * skips the test where it does not. */
bool testing_loopback(void);
void testing_need_loopback(void);

/* As root: goes on without any rights, as the user nobody. For an ordinary user: does nothing. */
void testing_drop_rights(void);

/* Mounts from now on are seen by this process only, and end with it. Skips where that is refused.
 */
void testing_private_mounts(void);
void testing_mount_tmpfs(const char *path, const char *options);

/* ---- files: paths are taken from the test's own folder, in which it starts ---- */

int testing_setup(void **state);
int testing_teardown(void **state);

/* The absolute path of a name in the test's folder. Good for the next 15 calls. */
const char *testing_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* All of these end the process when they fail. */
void testing_mkdir(const char *path);
void testing_put(const char *path, const void *bytes, size_t length);
void testing_write(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *testing_read(const char *path, size_t *ret_length); /* NUL-terminated; the caller frees it */
void testing_remove(const char *path);			  /* with all that is in it */
void testing_rename(const char *from, const char *to);
void testing_link(const char *from, const char *to);

bool testing_exists(const char *path);			/* does not follow links */
size_t testing_count(const char *path);			/* names in a directory */
bool testing_holds(const char *path, const char *text); /* is that all that the file holds? */

/* Sets the time of modification to some seconds ago. */
void testing_make_old(const char *path, int seconds);

/* ---- messages ---- */

#define TESTING_CREATED 1700000000

/* A queue directory, flat or with folders qf/, df/, xf/. */
void testing_queue(const char *path, bool split);

/* df and qf of a message, as sendmail makes them, in a flat or split queue directory. The body is
 * "body of ID\n". */
struct testing_message {
	const char *id;
	uint32_t attempts;
	int64_t created;      /* 0: TESTING_CREATED */
	const char *lines;    /* more lines of the qf, each with its newline; NULL: none */
	const char *domain;   /* of the recipient; NULL: example.net */
	const char *sender;   /* NULL: sender@example.org; "": the null sender */
	int64_t last_attempt; /* K; 0: some seconds after TESTING_CREATED, none without attempts */
};
void testing_message(const char *directory, const struct testing_message *message);
void testing_enqueue(const char *directory, const char *id, uint32_t attempts);

/* As sendmail does after an attempt: writes tf, renames it to qf. */
void testing_rewrite(const char *directory, const struct testing_message *message);

/* The path of a file of a message in a flat or split queue directory; kind is "qf", "df", ... Good
 * for the next 15 calls. */
const char *testing_file(const char *directory, const char *kind, const char *id);

/* Is the message there whole: its qf, and its df with its body and one link? And: is nothing of it
 * there? */
bool testing_stands(const char *directory, const char *id);
bool testing_absent(const char *directory, const char *id);

/* ---- locks held by another process ---- */

enum testing_lock { TESTING_FLOCK, TESTING_FCNTL, TESTING_NONE };

struct testing_holder {
	pid_t pid;
	int control;
};

/* A forked process opens the file O_RDWR and holds that lock on it until testing_release, when it
 * closes it. Returns false when it did not get the lock; then there is no holder. */
bool testing_hold(const char *path, enum testing_lock kind, struct testing_holder *ret);
void testing_release(struct testing_holder *holder);

/* ---- inotify ---- */

/* Calls `open`, which makes an inotify instance, while the kernel's queue has room for few events.
 * Skips where that may not be changed. */
#define TESTING_SMALL_QUEUE 32
void testing_small_queue(void (*open)(void));

/* Around the making of any other instance: the test of another program that runs at this time does
 * not make its queue small. In a testing_small_queue they change nothing. */
int testing_keep_queue(void);
void testing_let_queue(int guard);

/* ---- for cmocka ---- */

#ifdef CMOCKA_H_
static inline void testing_run_apart(void **state)
{
	testing_body *body = (testing_body *)*state;
	int result = testing_apart(body);

	if (result == TESTING_SKIPPED)
		skip();
	assert_int_equal(result, 0);
}

/* A test in a process and a folder of its own. */
#define APART(body)                                                                                \
	{                                                                                          \
#body, testing_run_apart, testing_setup, testing_teardown, (void *)body            \
	}
#endif

#endif
