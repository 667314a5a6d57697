/* fill.c - see fill.h. */
#include "fill.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stats.h"

static int write_share(const struct mta_queue *queue, const struct fill *fill, unsigned which,
		       uint64_t count)
{
	int64_t now = stats_wall() / STATS_S;
	struct mta_message message;
	struct mta mta;
	int r = 0;

	mta_init(&mta, fill->seed + which, fill->first_process + which, now - fill->age_most);
	if (fill->body_max)
		mta.body_max = fill->body_max;
	for (uint64_t i = 0; i < count && r == 0; i++) {
		mta_compose(&mta,
			    now - (int64_t)stats_below(&mta.random, (uint64_t)fill->age_most + 1),
			    &message);
		message.attempts =
			fill->attempts_least +
			(uint32_t)stats_below(&mta.random,
					      fill->attempts_most - fill->attempts_least + 1ULL);
		if (message.attempts > 0) {
			message.last_attempt = now - 60;
			message.status = "Deferred: Connection timed out with mail.example.com.";
		}
		r = mta_enqueue(&mta, queue, &message);
	}
	return r;
}

int fill_spool(const char *directory, enum mta_layout layout, const struct fill *fill)
{
	unsigned processes = fill->processes ? fill->processes : 2, started = 0;
	struct mta_queue queue;
	pid_t parent = getpid();
	int r = mta_queue_open(directory, layout, &queue);

	if (r < 0)
		return r;
	for (; started < processes && r == 0; started++) {
		uint64_t share = fill->count / processes + (started < fill->count % processes);
		pid_t pid = fork();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(getppid() == parent
				      ? -write_share(&queue, fill, started, share) & 0xff
				      : 1);
		}
		if (pid < 0) {
			r = -errno;
			break;
		}
	}
	for (unsigned i = 0; i < started; i++) {
		int status;
		pid_t pid;

		do
			pid = waitpid(-1, &status, 0);
		while (pid < 0 && errno == EINTR);
		if (pid < 0 && r == 0)
			r = -errno;
		else if (r == 0 && status != 0)
			r = WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
	}
	mta_queue_close(&queue);
	return r;
}
