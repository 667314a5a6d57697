/* play.c - see play.h. */
#include "play.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

struct runner {
	struct play *play;
	int tier;
	struct mta mta;
	pthread_t thread;
	bool started;
};

struct play {
	struct play_plan plan;
	struct play_tier tiers[PLAY_MAX_TIERS];
	struct mta_queue queues[PLAY_MAX_TIERS];
	int watches[PLAY_MAX_TIERS];
	struct runner runners[PLAY_MAX_TIERS];
	struct mta mta; /* of the one who takes new mail */
	pthread_t sender, watcher;
	bool sender_started, watcher_started;
	int inotify, wake;

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool stopping;
	int error;
	const char *error_what;
	struct play_counts counts[PLAY_MAX_TIERS];
	struct play_message *messages;
	size_t n_messages;
};

static const struct destination {
	const char *domain;
	const char *answer;   /* when it does not take the mail */
	unsigned takes;	      /* of 100 attempts in the first tier */
	unsigned takes_later; /* in the others */
	int64_t least, most;  /* how long an attempt holds the message */
} destinations[] = {
	[PLAY_GOOD] = {"good.example.net", "Deferred: 451 4.3.2 Please try again later", 92, 95,
		       300 * STATS_US, 2 * STATS_MS},
	[PLAY_SLOW] = {"slow.example.org",
		       "Deferred: 451 4.7.1 Greylisting in action, please come back later", 30, 30,
		       2 * STATS_MS, 6 * STATS_MS},
	[PLAY_DEAD] = {"dead.example.com", "Deferred: Connection timed out with dead.example.com.",
		       0, 4, 1 * STATS_MS, 5 * STATS_MS},
};

static void fail(struct play *play, int error, const char *what)
{
	pthread_mutex_lock(&play->mutex);
	if (play->error == 0) {
		play->error = error;
		play->error_what = what;
	}
	pthread_mutex_unlock(&play->mutex);
}

/* Waits until stats_now() is `until`; true when the play is to stop. */
static bool wait_or_stop(struct play *play, int64_t until)
{
	struct timespec at = {.tv_sec = until / STATS_S, .tv_nsec = until % STATS_S};
	bool stopping;

	pthread_mutex_lock(&play->mutex);
	while (!play->stopping &&
	       pthread_cond_timedwait(&play->changed, &play->mutex, &at) != ETIMEDOUT)
		continue;
	stopping = play->stopping;
	pthread_mutex_unlock(&play->mutex);
	return stopping;
}

/* With the mutex held. */
static struct play_message *find(struct play *play, const char *id)
{
	for (size_t i = 0; i < play->n_messages; i++) {
		if (strcmp(play->messages[i].id, id) == 0)
			return &play->messages[i];
	}
	return NULL;
}

/* ---- the watch ---- */

static int tier_of_watch(const struct play *play, int watch)
{
	for (int i = 0; i < play->plan.n_tiers; i++) {
		if (play->watches[i] == watch)
			return i;
	}
	return -1;
}

/* A qf's name came to a tier or left it at `now`. A rewrite (tf renamed to qf) is a name that comes
 * to where it is. A name that is renamed away comes up in another tier next, or it was hidden to be
 * deleted. */
static void note(struct play *play, int tier, uint32_t mask, const char *id, int64_t now)
{
	struct play_message *message = find(play, id);

	if (!message)
		return;
	if (mask & (IN_CREATE | IN_MOVED_TO)) {
		if (message->tier == tier)
			return;
		if (message->tier >= 0)
			message->left = message->tier;
		if (message->deleted)
			play->counts[message->left].deleted--;
		message->deleted = false;
		if (message->left >= 0)
			play->counts[message->left].moved_on++;
		play->counts[tier].arrived++;
		message->came[tier] = now;
		message->came_from[tier] = message->left;
		message->tier = tier;
	} else if ((mask & (IN_DELETE | IN_MOVED_FROM)) && message->tier == tier) {
		message->tier = -1;
		message->left = tier;
		if (message->delivered) {
			play->counts[tier].delivered++;
		} else {
			message->deleted = true;
			play->counts[tier].deleted++;
		}
	}
}

static void *watch(void *context)
{
	struct play *play = context;
	struct pollfd polled[2] = {{.fd = play->inotify, .events = POLLIN},
				   {.fd = play->wake, .events = POLLIN}};
	char buffer[65536] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (;;) {
		const struct inotify_event *event;
		ssize_t length;
		int64_t now;

		if (poll(polled, 2, -1) < 0 && errno != EINTR) {
			fail(play, -errno, "waiting for notifications");
			return NULL;
		}
		length = read(play->inotify, buffer, sizeof(buffer));
		now = stats_now();
		if (length < 0 && errno == EAGAIN && (polled[1].revents & POLLIN))
			return NULL;
		pthread_mutex_lock(&play->mutex);
		for (char *at = buffer; length > 0 && at < buffer + length;
		     at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)at;
			if (event->mask & IN_Q_OVERFLOW && play->error == 0) {
				play->error = -ENOBUFS;
				play->error_what = "the player's own watch lost notifications";
			}
			if (event->len > 2 && strncmp(event->name, "qf", 2) == 0)
				note(play, tier_of_watch(play, event->wd), event->mask,
				     event->name + 2, now);
		}
		pthread_cond_broadcast(&play->changed);
		pthread_mutex_unlock(&play->mutex);
	}
}

/* ---- mail coming in ---- */

/* Writes one message into a tier, and remembers it before it can be seen. */
static int take(struct play *play, int tier, enum play_destination destination, int64_t age,
		uint32_t attempts)
{
	int64_t now = stats_wall() / STATS_S;
	struct play_message *message;
	struct mta_message mail;
	int r;

	mta_compose(&play->mta, now - age, &mail);
	mail.domain = destinations[destination].domain;
	mail.attempts = attempts;
	if (attempts > 0) {
		mail.last_attempt = now - 60;
		mail.status = destinations[destination].answer;
	}
	pthread_mutex_lock(&play->mutex);
	message = &play->messages[play->n_messages++];
	*message = (struct play_message){
		.destination = destination,
		.created = mail.created,
		.attempts = attempts,
		.body = mail.body,
		.tier = -1,
		.left = -1,
	};
	memcpy(message->id, mail.id, sizeof(message->id));
	pthread_mutex_unlock(&play->mutex);
	r = mta_enqueue(&play->mta, &play->queues[tier], &mail);
	if (r < 0)
		fail(play, r, "writing a new message");
	return r;
}

static enum play_destination draw_destination(struct play *play)
{
	uint64_t dice = stats_below(&play->mta.random, 100);

	return dice < 50 ? PLAY_GOOD : dice < 70 ? PLAY_SLOW : PLAY_DEAD;
}

static void *send_mail(void *context)
{
	struct play *play = context;
	unsigned left = play->plan.messages - play->plan.standing - play->plan.old;
	int64_t begin = stats_now();

	for (unsigned i = 0; i < left; i++) {
		int64_t at = begin + play->plan.arrive_for / left * i;

		if (wait_or_stop(play, at) || take(play, 0, draw_destination(play), 0, 0) < 0)
			break;
	}
	return NULL;
}

static int fill(struct play *play)
{
	const struct play_plan *plan = &play->plan;
	int r = 0;

	for (unsigned i = 0; i < plan->standing && r == 0; i++) {
		if (i <
		    plan->tired) /* the last of them is old as well: it goes all the way at once */
			r = take(play, 0, PLAY_DEAD,
				 i + 1 == plan->tired ? plan->old_age * 2 : 3600,
				 plan->tired_attempts);
		else
			r = take(play, 0, draw_destination(play),
				 (int64_t)stats_below(&play->mta.random, 600),
				 (uint32_t)stats_below(&play->mta.random, 3));
	}
	for (unsigned i = 0; i < plan->old && r == 0; i++)
		r = take(play, plan->n_tiers - 1, PLAY_DEAD, plan->old_age - 3 - (int64_t)i,
			 plan->tired_attempts + i);
	return r;
}

/* ---- queue runs ---- */

/* One attempt as a runner makes it. -ENOENT and -EWOULDBLOCK are everyday answers. */
static int try_message(struct runner *runner, const char *id)
{
	struct play *play = runner->play;
	const struct destination *destination;
	struct mta_attempt attempt;
	struct mta_release release;
	struct play_message *message;
	unsigned takes;
	bool delivered;
	int r = mta_attempt_begin(&runner->mta, &play->queues[runner->tier], id, &attempt);

	if (r < 0)
		return r;
	pthread_mutex_lock(&play->mutex);
	message = find(play, id);
	destination = &destinations[message ? message->destination : PLAY_GOOD];
	takes = runner->tier == 0 ? destination->takes : destination->takes_later;
	delivered = stats_below(&runner->mta.random, 100) < takes;
	pthread_mutex_unlock(&play->mutex);
	if (!message) {
		mta_attempt_abandon(&attempt, NULL);
		return -ESRCH;
	}
	stats_sleep_until(stats_now() + destination->least +
			  (int64_t)stats_below(&runner->mta.random,
					       (uint64_t)(destination->most - destination->least)));

	pthread_mutex_lock(&play->mutex);
	play->counts[runner->tier].attempts++;
	message->delivered = delivered;
	if (!delivered)
		message->attempts++;
	pthread_mutex_unlock(&play->mutex);
	if (delivered)
		return mta_attempt_deliver(&attempt, NULL);
	r = mta_attempt_defer(&attempt, stats_wall() / STATS_S, destination->answer, &release);
	pthread_mutex_lock(&play->mutex);
	message->released[runner->tier] = release.monotonic;
	pthread_mutex_unlock(&play->mutex);
	return r;
}

static void *run_queue(void *context)
{
	struct runner *runner = context;
	struct play *play = runner->play;
	int64_t next = stats_now();

	do {
		struct mta_id *ids = NULL;
		size_t count = 0;
		int r = mta_queue_ids(&play->queues[runner->tier], &ids, &count);

		if (r < 0)
			fail(play, r, "reading a queue directory");
		for (size_t i = 0; i < count; i++) {
			if (wait_or_stop(play, 0))
				break;
			r = try_message(runner, ids[i].text);
			if (r < 0 && r != -ENOENT && r != -EWOULDBLOCK)
				fail(play, r, "an attempt");
		}
		free(ids);
		next += play->tiers[runner->tier].run_every;
		if (next < stats_now())
			next = stats_now();
	} while (!wait_or_stop(play, next));
	return NULL;
}

/* ---- life ---- */

static int open_watch(struct play *play)
{
	play->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	play->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (play->inotify < 0 || play->wake < 0)
		return -errno;
	for (int i = 0; i < play->plan.n_tiers; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", play->queues[i].qf);
		play->watches[i] = inotify_add_watch(
			play->inotify, path, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
		if (play->watches[i] < 0)
			return -errno;
	}
	return 0;
}

int play_new(const struct play_plan *plan, struct play **ret)
{
	struct play *play;
	pthread_condattr_t attributes;
	int64_t now = stats_wall() / STATS_S;
	int r = 0;

	if (plan->n_tiers < 2 || plan->n_tiers > PLAY_MAX_TIERS ||
	    plan->standing + plan->old > plan->messages)
		return -EINVAL;
	play = calloc(1, sizeof(*play));
	if (!play)
		return -ENOMEM;
	play->plan = *plan;
	play->inotify = play->wake = -1;
	memcpy(play->tiers, plan->tiers, sizeof(*plan->tiers) * (size_t)plan->n_tiers);
	play->plan.tiers = play->tiers;
	pthread_mutex_init(&play->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&play->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	mta_init(&play->mta, plan->seed, (unsigned)getpid(), now);
	for (int i = 0; i < PLAY_MAX_TIERS; i++)
		play->queues[i] = (struct mta_queue){-1, -1, -1, MTA_FLAT};
	for (int i = 0; i < plan->n_tiers && r == 0; i++) {
		play->runners[i] = (struct runner){.play = play, .tier = i};
		mta_init(&play->runners[i].mta, plan->seed + 1 + (unsigned)i, 0, now);
		r = mta_queue_open(play->tiers[i].directory, play->tiers[i].layout,
				   &play->queues[i]);
	}
	play->messages = calloc(plan->messages, sizeof(*play->messages));
	if (!play->messages)
		r = -ENOMEM;
	if (r == 0)
		r = open_watch(play);
	if (r == 0)
		r = -pthread_create(&play->watcher, NULL, watch, play);
	play->watcher_started = r == 0;
	if (r == 0)
		r = fill(play);
	if (r < 0) {
		play_free(play);
		return r;
	}
	*ret = play;
	return 0;
}

int play_start(struct play *play)
{
	int r;

	for (int i = 0; i < play->plan.n_tiers; i++) {
		r = pthread_create(&play->runners[i].thread, NULL, run_queue, &play->runners[i]);
		if (r != 0)
			return -r;
		play->runners[i].started = true;
	}
	r = pthread_create(&play->sender, NULL, send_mail, play);
	play->sender_started = r == 0;
	return -r;
}

void play_stop(struct play *play)
{
	pthread_mutex_lock(&play->mutex);
	play->stopping = true;
	pthread_cond_broadcast(&play->changed);
	pthread_mutex_unlock(&play->mutex);
	for (int i = 0; i < play->plan.n_tiers; i++) {
		if (play->runners[i].started)
			pthread_join(play->runners[i].thread, NULL);
		play->runners[i].started = false;
	}
	if (play->sender_started)
		pthread_join(play->sender, NULL);
	play->sender_started = false;
}

static void stop_watch(struct play *play)
{
	uint64_t one = 1;

	if (play->watcher_started && write(play->wake, &one, sizeof(one)) == (ssize_t)sizeof(one))
		pthread_join(play->watcher, NULL);
	play->watcher_started = false;
}

void play_free(struct play *play)
{
	if (!play)
		return;
	play_stop(play);
	stop_watch(play);
	for (int i = 0; i < play->plan.n_tiers; i++)
		mta_queue_close(&play->queues[i]);
	if (play->inotify >= 0)
		close(play->inotify);
	if (play->wake >= 0)
		close(play->wake);
	pthread_cond_destroy(&play->changed);
	pthread_mutex_destroy(&play->mutex);
	free(play->messages);
	free(play);
}

const struct play_message *play_lock(struct play *play, size_t *ret_count,
				     const struct play_counts **ret_counts)
{
	pthread_mutex_lock(&play->mutex);
	*ret_count = play->n_messages;
	if (ret_counts)
		*ret_counts = play->counts;
	return play->messages;
}

void play_unlock(struct play *play)
{
	pthread_mutex_unlock(&play->mutex);
}

int play_error(struct play *play, const char **ret_what)
{
	int error;

	pthread_mutex_lock(&play->mutex);
	error = play->error;
	*ret_what = play->error_what;
	pthread_mutex_unlock(&play->mutex);
	return error;
}

void play_reactions(struct play *play, struct samples *samples)
{
	pthread_mutex_lock(&play->mutex);
	for (size_t i = 0; i < play->n_messages; i++) {
		const struct play_message *message = &play->messages[i];

		for (int tier = 0; tier < play->plan.n_tiers; tier++) {
			int from = message->came[tier] ? message->came_from[tier] : -1;

			/* What was due before anybody held it came without a release. */
			if (from < 0 || message->released[from] == 0 ||
			    message->came[tier] < message->released[from])
				continue;
			samples_add(samples, message->came[tier] - message->released[from]);
		}
	}
	pthread_mutex_unlock(&play->mutex);
}

/* ---- the audit ---- */

struct audit {
	struct play *play;
	void (*report)(const char *finding, void *context);
	void *context;
	int findings;
	struct standing {
		int qf[PLAY_MAX_TIERS];
		int df[PLAY_MAX_TIERS];
		off_t body;
	} * standing; /* one a message */
};

__attribute__((format(printf, 2, 3))) static void find_fault(struct audit *audit,
							     const char *format, ...)
{
	char finding[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(finding, sizeof(finding), format, arguments);
	va_end(arguments);
	audit->findings++;
	audit->report(finding, audit->context);
}

/* Counts what stands in one folder. `letters`: what may stand there. */
static int audit_folder(struct audit *audit, int tier, int folder, const char *letters)
{
	struct play *play = audit->play;
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory)) != NULL) {
		const char *name = entry->d_name;
		struct play_message *message;
		struct standing *standing;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		message = strlen(name) > 2 ? find(play, name + 2) : NULL;
		if (!message || name[1] != 'f' || !strchr(letters, name[0])) {
			find_fault(audit, "%s: left over: %s", play->tiers[tier].name, name);
			continue;
		}
		standing = &audit->standing[message - play->messages];
		if (name[0] == 'q') {
			standing->qf[tier]++;
		} else {
			struct stat st;

			standing->df[tier]++;
			standing->body = fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0
						 ? st.st_size
						 : -1;
		}
	}
	closedir(directory);
	return 0;
}

static void audit_control(struct audit *audit, const struct play_message *message, int tier)
{
	struct mta_attempt attempt;
	struct mta mta = audit->play->mta;
	int r;

	mta.transcript = false;
	r = mta_attempt_begin(&mta, &audit->play->queues[tier], message->id, &attempt);
	if (r < 0) {
		find_fault(audit, "%s: qf%s cannot be locked and read: %s",
			   audit->play->tiers[tier].name, message->id, strerror(-r));
		return;
	}
	if (attempt.attempts != message->attempts || attempt.created != message->created)
		find_fault(audit,
			   "%s: qf%s says %u attempts, created %" PRId64
			   ": expected %u and %" PRId64,
			   audit->play->tiers[tier].name, message->id, attempt.attempts,
			   attempt.created, message->attempts, message->created);
	mta_attempt_abandon(&attempt, NULL);
}

static void audit_message(struct audit *audit, size_t which)
{
	struct play *play = audit->play;
	const struct play_message *message = &play->messages[which];
	const struct standing *standing = &audit->standing[which];
	int qfs = 0, dfs = 0, tier = -1;

	for (int i = 0; i < play->plan.n_tiers; i++) {
		qfs += standing->qf[i];
		dfs += standing->df[i];
		if (standing->qf[i])
			tier = i;
	}
	if (message->delivered || message->deleted) {
		if (qfs + dfs > 0)
			find_fault(audit, "%s was %s, and yet %d qf and %d df stand in the spool",
				   message->id, message->delivered ? "delivered" : "deleted", qfs,
				   dfs);
		return;
	}
	if (qfs == 0) {
		find_fault(audit,
			   "%s is lost: neither delivered nor deleted, and no qf in any tier",
			   message->id);
		return;
	}
	if (qfs > 1 || dfs != 1 || standing->df[tier] != 1) {
		find_fault(audit,
			   "%s is not whole in one tier: %d qf, %d df, %d of these beside the qf "
			   "in %s",
			   message->id, qfs, dfs, standing->df[tier], play->tiers[tier].name);
		return;
	}
	if (standing->body != (off_t)message->body)
		find_fault(audit, "%s: df%s has %lld bytes: expected %zu", play->tiers[tier].name,
			   message->id, (long long)standing->body, message->body);
	if (message->tier != tier)
		find_fault(audit, "%s stands in %s, and the notifications said %s", message->id,
			   play->tiers[tier].name,
			   message->tier < 0 ? "gone" : play->tiers[message->tier].name);
	audit_control(audit, message, tier);
}

int play_audit(struct play *play, void (*report)(const char *finding, void *context), void *context)
{
	struct audit audit = {.play = play, .report = report, .context = context};
	int r = 0;

	stop_watch(play); /* what it has not read yet it reads before it ends */
	audit.standing = calloc(play->plan.messages, sizeof(*audit.standing));
	if (!audit.standing)
		return -ENOMEM;
	for (int i = 0; i < play->plan.n_tiers && r == 0; i++) {
		bool split = play->tiers[i].layout == MTA_SPLIT;

		r = audit_folder(&audit, i, play->queues[i].qf, split ? "q" : "qd");
		if (r == 0 && split)
			r = audit_folder(&audit, i, play->queues[i].df, "d");
		if (r == 0 && split)
			r = audit_folder(&audit, i, play->queues[i].xf, "");
	}
	for (size_t i = 0; i < play->n_messages && r == 0; i++)
		audit_message(&audit, i);
	free(audit.standing);
	return r < 0 ? r : audit.findings;
}
