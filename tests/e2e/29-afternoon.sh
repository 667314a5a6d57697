#!/bin/bash
# An operator's afternoon: the policy is broken in ten ways, each is told with place and remedy and the old one stays in force;
# a fourth tier is added while the daemon runs and used; a message is explained, and the spool planned.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"
queue_message "$QUEUE" defer.reader@example.net
daemon_start
run_queue "$QUEUE"
good=$(cat "$POLICY")
rejected=0

# broken WHAT SED-SCRIPT MESSAGE: with the policy changed so, check says exactly this, and the daemon refuses it
broken() {
	echo "$good" | sed "$2" >"$T/policy.new"
	cp "$T/policy.new" "$T/try.json"
	"$QFWATCH" check -c "$T/try.json" >"$T/check.out" 2>"$T/check.err"
	is "$1: check ends with" "$?" 2
	is "$1: check says" "$(sed "s|$T/try.json|policy.json|;s|^.*note:.*||" "$T/check.err" | grep -v '^$' | head -n 1)" "policy.json$3"
	mv "$T/policy.new" "$POLICY"
	rejected=$((rejected + 1))
	ok "$1: the daemon keeps the old one" wait_until 5 has_events "$rejected" policy-rejected
}

broken "a slip in a key" 's/"attempts": 3/"attemps": 3/' \
	': unknown key "attemps" at /rules/0/when: did you mean "attempts"?'
broken "a tier that there is not" 's/"move": "MIDQUEUE"/"move": "MIDQEUE"/' \
	': unknown tier "MIDQEUE" at /rules/0/then/move: did you mean "MIDQUEUE"?'
broken "a comma too many" 's/"attempts": 3 }/"attempts": 3, }/' \
	':9:73: a comma before the closing "}": remove the comma'
broken "a text for a number" 's/"attempts": 3/"attempts": "three"/' \
	': wrong value "three" at /rules/0/when/attempts: expected a whole number of attempts, 1 or more, such as 3'
broken "two actions" 's/{ "move": "MIDQUEUE" }/{ "move": "MIDQUEUE", "keep": true }/' \
	': more than one action at /rules/0/then: expected exactly one of "move", "keep", "delete", "bounce"'
broken "a deletion that is not allowed" 's/{ "move": "SLOWQUEUE" }/{ "delete": true }/' \
	': "delete" without "allow_delete" at /rules/1/then/delete: add "allow_delete": true at the top level, if messages may be deleted for good'
broken "a rule without conditions" 's/{ "attempts": 3 }/{}/' \
	': no condition at /rules/0/when: expected at least one, such as "attempts" or "age"; for every message write {"always": true}'
broken "an age without a unit" 's/"attempts": 10/"age": "10"/' \
	': wrong value "10" at /rules/1/when/age: expected an age such as "6d", "5h48m" or "90s", or whole seconds such as 90'
broken "a regular expression that does not end" 's/"attempts": 3/"sender": { "regex": "(news" }/' \
	': pattern "(news" at /rules/0/when/sender/regex: missing closing parenthesis at character 5'
broken "a move to its own tier" 's/{ "move": "MIDQUEUE" }/{ "move": "QUEUE" }/' \
	": the rule moves QUEUE's messages to their own tier at /rules/0/then/move: move to another tier"

run_queue "$QUEUE"
echo "$good" >"$T/good.json"
"$QFWATCH" explain -c "$T/good.json" "$ID" >"$T/explained"
is "explain: exit code" "$?" 0
matches "it says what is compared" "$(cat "$T/explained")" '*attempts 2 >= 3: no*'
matches "and what it waits for" "$(cat "$T/explained")" '*after 1 more attempt: move to MIDQUEUE (three attempts)*'

# A fourth tier.
mkdir -m 0700 "$T/ICEQUEUE"
TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" }, { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE\" },
    { \"name\": \"SLOWQUEUE\", \"directory\": \"$SLOWQUEUE\" }, { \"name\": \"ICEQUEUE\", \"directory\": \"$T/ICEQUEUE\" }"
policy_write "$THREE_RULES, { \"name\": \"ice\", \"tier\": \"MIDQUEUE\", \"when\": { \"attempts\": 4 }, \"then\": { \"move\": \"ICEQUEUE\" } }"
ok "a fourth tier is taken up" wait_until 5 has_events 2 policy-loaded
run_queue "$QUEUE"
ok "after the third attempt it stands in MIDQUEUE" wait_until 5 only_in "$MIDQUEUE" "$ID"
"$QFWATCH" plan -c "$POLICY" >"$T/planned" 2>"$T/planned.err"
is "plan: exit code" "$?" 0
matches "it lists the tiers" "$(cat "$T/planned")" '*MIDQUEUE*ICEQUEUE*'
must wait_until 5 has_event message-moved "/email/local_id=$ID" /qfwatch/move/to=MIDQUEUE # and lets go of it
run_queue "$MIDQUEUE"
ok "after the fourth in the new tier" wait_until 5 only_in "$T/ICEQUEUE" "$ID"
must wait_until 5 has_event message-moved "/email/local_id=$ID" /qfwatch/move/to=ICEQUEUE
sink_accept
run_queue "$T/ICEQUEUE"
ok "from where it is delivered" wait_until 5 is_delivered defer.reader@example.net
"$QFWATCH" events --id "$ID" "$EVENTS" >"$T/history"
is "its history: exit code" "$?" 0
is "its history has two moves" "$(grep -c message-moved "$T/history")" 2
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
e2e_end
