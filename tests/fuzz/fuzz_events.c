/* fuzz_events.c - any bytes as a qf and all that an event says of it: each line is JSON in UTF-8 of
 * at most 4096 bytes.
 *
 * A libFuzzer target. The first two bytes are not part of the file: they choose the event.
 */
#include "any_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Addresses as they are: what is hashed or left out can do no harm. */
static struct events *make_events(void)
{
	static const char text[] =
		"{\"version\":1,\"tiers\":[{\"name\":\"Q\",\"directory\":\"/q\"}],"
		"\"rules\":[],\"events\":{\"addresses\":\"full\"}}";
	struct events *events = events_new(false);
	struct problems problems = {0};
	struct policy *policy = NULL;

	if (!events ||
	    policy_parse(text, sizeof(text) - 1, "/policy.json", &problems, &policy) < 0 ||
	    events_configure(events, policy, &problems) < 0)
		abort();
	policy_free(policy);
	problems_free(&problems);
	return events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct events *events;

	if (!events)
		events = make_events();
	if (size > 2)
		any_event_check(events, (const char *)data + 2, size - 2,
				data[0] * 257u + data[1] * 4099u, true);
	return 0;
}
