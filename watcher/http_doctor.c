/* http_doctor.c - /api/v1/doctor: what `qfwatch doctor` finds. It looks at processes, files and
 * limits, which takes long: so this program is run for it, one at a time, and what it said holds
 * for a minute. */
#include "http_parts.h"

#include <stdlib.h>
#include <string.h>

#include "qfwatch/xalloc.h"

#define HOLDS	     (60 * CLOCK_SECOND)
#define HOLDS_FAILED (5 * CLOCK_SECOND)

static bool is_fresh(const struct http_doctor *doctor)
{
	int64_t age = clock_now() - doctor->at;

	return doctor->answer.length && age >= 0 && age < doctor->holds;
}

static void answer(struct http_request *request)
{
	const struct http_doctor *doctor = &request->http->doctor;

	request->body.length = 0;
	json_text_bytes(&request->body, doctor->answer.bytes, doctor->answer.length);
	http_answer(request, doctor->status, HTTP_JSON);
}

/* Those that wait are asked again: one of them may have to run it now. */
static void wake(struct http_doctor *doctor)
{
	for (size_t i = 0; i < doctor->n_waiting; i++)
		http_go_on(doctor->waiting[i]);
}

/* A failure as well: for as long as it took, so that one that comes of waiting in vain is not made
 * again for each who asks. */
static void keep(struct http_request *request, int64_t took)
{
	struct http_doctor *doctor = &request->http->doctor;
	int64_t failed = took / 1000 > HOLDS_FAILED ? took / 1000 : HOLDS_FAILED;

	doctor->answer.length = 0;
	json_text_bytes(&doctor->answer, request->body.bytes, request->body.length);
	doctor->status = request->status;
	doctor->at = clock_now();
	doctor->holds = request->status == MHD_HTTP_OK ? HOLDS : failed;
}

static void take_output(struct http_request *request, const struct http_output *output)
{
	/* 0: sound; 1: something was found. */
	if (output->failed) {
		/* It is told. */
	} else if (output->code <= 1 && output->length && *output->bytes == '{') {
		json_text_bytes(&request->body, output->bytes, output->length);
		http_answer(request, MHD_HTTP_OK, HTTP_JSON);
	} else {
		http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			   "run qfwatch doctor by hand: it says why",
			   "qfwatch doctor ended with exit code %d", output->code);
	}
	keep(request, output->took);
}

static void end_run(struct http_request *request)
{
	struct http_doctor *doctor = &request->http->doctor;

	doctor->running = NULL;
	http_end_task(request);
	wake(doctor);
}

static void run(struct http_request *request)
{
	const char *const arguments[] = {
		"qfwatch", "doctor", "--json", "-c", request->http->policy_path, NULL};

	request->http->doctor.running = request;
	http_run(request, arguments, (struct http_input){0}, take_output);
	request->end = end_run;
}

static void stop_waiting(struct http_request *request)
{
	struct http_doctor *doctor = &request->http->doctor;

	for (size_t i = 0; i < doctor->n_waiting; i++)
		if (doctor->waiting[i] == request) {
			doctor->waiting[i] = doctor->waiting[--doctor->n_waiting];
			return;
		}
}

static enum http_progress wait_step(struct http_request *request, int64_t until)
{
	struct http_doctor *doctor = &request->http->doctor;

	(void)until;
	if (is_fresh(doctor)) {
		answer(request);
		return HTTP_DONE;
	}
	if (doctor->running)
		return HTTP_WAIT;
	stop_waiting(request);
	run(request);
	return HTTP_MORE;
}

void http_doctor(struct http_request *request, const char *rest)
{
	struct http_doctor *doctor = &request->http->doctor;

	(void)rest;
	if (!http_query_is_known(request, (const char *const[]){NULL}))
		return;
	if (is_fresh(doctor)) {
		answer(request);
		return;
	}
	if (!doctor->running) {
		run(request);
		return;
	}
	if (doctor->n_waiting == sizeof doctor->waiting / sizeof *doctor->waiting) {
		http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "try again",
			   "too many wait for it already");
		return;
	}
	doctor->waiting[doctor->n_waiting++] = request;
	http_work(request, wait_step, stop_waiting, NULL);
}
