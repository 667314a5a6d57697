/* doctor_answer.c - what the running daemon itself says is wrong, where the policy has it listen.
 */
#include <jansson.h>
#include <string.h>

#include "doctor_parts.h"
#include "qfwatch/answer.h"
#include "qfwatch/client.h"

static void take_troubles(struct doctor *doctor, const json_t *status)
{
	const json_t *list = json_object_get(status, "trouble"), *one;
	struct doctor_finding *trouble = NULL;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *kind = answer_text(one, "kind"), *text = answer_text(one, "text");
		const char *remedy = answer_text(one, "remedy");

		if (strcmp(kind, "policy-rejected") == 0) {
			struct doctor_finding *rejected = doctor_find(
				doctor, DOCTOR_OLD_POLICY, -1,
				"the running daemon has refused the policy as it was saved last, "
				"and goes by the one before");

			doctor_evidence(rejected, "%s", text);
			doctor_remedy(rejected, "mend what it says, and save the policy again or "
						"send SIGHUP (systemctl reload qfwatch)");
			continue;
		}
		if (!trouble) {
			trouble = doctor_find(doctor, DOCTOR_DAEMON_TROUBLE, -1,
					      "the running daemon is in trouble");
			doctor_remedy(trouble, "%s", remedy);
		}
		doctor_evidence(trouble, "%s: %s", kind, text);
	}
}

bool doctor_ask_daemon(struct doctor *doctor)
{
	struct client_trouble trouble = {0};
	struct client *client;
	json_t *status = NULL;

	if (!doctor->policy->listen.address ||
	    client_new(&doctor->policy->listen, doctor->request.policy, &client, &trouble) < 0)
		return false;
	status = answer_fetch(client, "/api/v1/status", &trouble);
	client_free(client);
	if (!status) {
		doctor_unchecked(doctor, "what the daemon says itself: %s", trouble.reason);
		return false;
	}
	take_troubles(doctor, status);
	doctor_checked(doctor, "the daemon's own report (/api/v1/status)");
	json_decref(status);
	return true;
}
