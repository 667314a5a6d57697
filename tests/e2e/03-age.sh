#!/bin/bash
# Age: a message whose age passes goes at that second, by deadline; one that is over age already goes at the start.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

queue_message "$SLOWQUEUE" defer.old@example.net
old=$ID
edit_qf "$SLOWQUEUE/qf$old" "s/^T.*/T$(($(date +%s) - 7 * 86400))/"
queue_message "$SLOWQUEUE" defer.young@example.net
young=$ID
# Kept aside until the daemon looks on.
mkdir -m 0700 "$T/outside"
queue_message "$T/outside" defer.aging@example.net
aging=$ID

policy_write '{ "name": "six days", "tier": "SLOWQUEUE", "when": { "age": "6d" }, "then": { "delete": true } },
    { "name": "three seconds", "tier": "QUEUE", "when": { "age": "3s" }, "then": { "move": "MIDQUEUE" } }' \
	'"allow_delete": true,'
daemon_start
saw_event 10 "the deletion of a message of 7 days is told" message-deleted "/email/local_id=$old"
is "with rule, tier and age" "$(events -a message-deleted -- /qfwatch/rule /qfwatch/tier)" $'six days\tSLOWQUEUE'
matches "with its reason" "$(events -a message-deleted -- /event/reason)" "age * >= 6d"
ok "its qf and df are gone" not compgen -G "$SLOWQUEUE/*$old"
ok "a young one stays" only_in "$SLOWQUEUE" "$young"
is "one deletion in all" "$(count_events message-deleted)" 1

created=$(date +%s)
edit_qf "$T/outside/qf$aging" "s/^T.*/T$created/"
mv "$T/outside/df$aging" "$QUEUE/" && mv "$T/outside/qf$aging" "$QUEUE/"
ok "a message moves when it reaches its age" wait_until 20 only_in "$MIDQUEUE" "$aging"
age=$(($(changed_ms "$MIDQUEUE/qf$aging") - created * 1000))
# The kernel gives files the time of its last tick, up to 10 ms ago.
ok "not before: at $age ms of 3000" test $((age + 11)) -ge 3000
at_most "nor late: milliseconds" "$age" 4200
saw_event 10 "with its reason" message-moved "/email/local_id=$aging" "/event/reason=age 3s >= 3s"

daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
ok "what was deleted is not told as departed" not has_event message-departed "/email/local_id=$old"
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
