/* loop_policy.c - the policy file: loaded, loaded anew, and what is told of it. */
#include "loop_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "qfwatch/clock.h"
#include "qfwatch/log.h"
#include "qfwatch/supervisor.h"
#include "qfwatch/units.h"

void loop_log_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		log_line(problems->list[i].kind == PROBLEM_NOTE ? LOG_LEVEL_NOTICE
								: LOG_LEVEL_ERROR,
			 "%s", problems->list[i].text);
	if (problems->incomplete)
		log_error("out of memory: there may be more findings");
}

void loop_tell_policy(struct loop *loop, const struct policy *policy)
{
	char text[512];
	struct event event = {
		.action = EVENT_POLICY_LOADED,
		.text = text,
		.path = loop->options->policy,
		.counts = {{"tiers", policy->n_tiers}, {"rules", policy->n_rules}},
		.n_counts = 2,
	};

	snprintf(text, sizeof text, "policy loaded from %s: %zu %s, %zu %s", loop->options->policy,
		 policy->n_tiers, units_plural(policy->n_tiers, "tier", "tiers"), policy->n_rules,
		 units_plural(policy->n_rules, "rule", "rules"));
	events_emit(loop->events, &event);
}

static void tell_policy_rejected(struct loop *loop, const struct problems *problems)
{
	char text[512];
	const char *first = "out of memory";
	struct event event = {
		.action = EVENT_POLICY_REJECTED,
		.failure = true,
		.text = text,
		.path = loop->options->policy,
		.remedy = "mend what it says (qfwatch check tells what else is wrong with the "
			  "file), and save the policy again or send SIGHUP; the one in force stays",
		.counts = {{"problems", 0}},
		.n_counts = 1,
	};

	for (size_t i = problems->count; i-- > 0;)
		if (problems->list[i].kind != PROBLEM_NOTE) {
			first = problems->list[i].text;
			event.counts[0].value++;
		}
	snprintf(text, sizeof text, "policy rejected, the old one stays in force: %s", first);
	event.reason = first;
	events_emit(loop->events, &event);
	if (loop->http)
		http_tell_rejected(loop->http, clock_now(), first);
	if (loop->metrics)
		metrics_note_policy(loop->metrics, false, clock_now());
}

static void follow_textfile(struct loop *loop, const struct policy *policy)
{
	if (!loop->textfile)
		return;
	textfile_configure(loop->textfile, policy->metrics.textfile, policy->metrics.every,
			   clock_now());
	/* It may be there already. If it cannot be watched, its end is seen with the next write. */
	if (textfile_fd(loop->textfile) >= 0)
		loop_add(loop, textfile_fd(loop->textfile), EPOLLIN);
}

int loop_take_policy(struct loop *loop, struct problems *problems, const struct policy **ret)
{
	struct policy *policy = NULL;
	int r;

	if (stat(loop->options->policy, &loop->policy_stat) < 0)
		memset(&loop->policy_stat, 0, sizeof loop->policy_stat);
	r = policy_load(loop->options->policy, problems, &policy);
	if (r == 0 && loop->http)
		r = http_prepare(loop->http, policy, problems);
	if (r < 0) {
		policy_free(policy);
		return r;
	}
	r = engine_apply(loop->engine, policy, problems);
	if (r < 0) {
		if (loop->http)
			http_abandon(loop->http);
		policy_free(policy);
		return r;
	}
	if (loop->http)
		http_commit(loop->http, clock_now());
	if (loop->metrics)
		metrics_note_policy(loop->metrics, true, clock_now());
	follow_textfile(loop, policy);
	*ret = policy;
	return 0;
}

void loop_watch_policy(struct loop *loop)
{
	int r = engine_watch_policy(loop->engine, loop->options->policy);

	if (r < 0)
		log_warning("the folder of %s cannot be watched (%s): send SIGHUP after a change",
			    loop->options->policy, strerror(-r));
}

void loop_reload(struct loop *loop)
{
	struct problems problems = {0};
	const struct policy *policy;

	supervisor_tell(loop->supervisor, "RELOADING=1\nMONOTONIC_USEC=%lld",
			(long long)(clock_monotonic() / 1000));
	if (loop_take_policy(loop, &problems, &policy) < 0)
		tell_policy_rejected(loop, &problems);
	else
		loop_tell_policy(loop, policy);
	loop_log_problems(&problems);
	problems_free(&problems);
	loop_watch_policy(loop);
	supervisor_tell(loop->supervisor, "READY=1");
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void loop_policy_touched(struct loop *loop)
{
	struct stat now, before = loop->policy_stat;

	/* A file that is missing, and was missing when it was last looked for, is no news either.
	 */
	if (stat(loop->options->policy, &now) < 0)
		memset(&now, 0, sizeof now);
	if (now.st_ino == before.st_ino && now.st_dev == before.st_dev &&
	    now.st_size == before.st_size && same_time(now.st_mtim, before.st_mtim) &&
	    same_time(now.st_ctim, before.st_ctim))
		return;
	loop_reload(loop);
}
