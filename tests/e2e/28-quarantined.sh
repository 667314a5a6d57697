#!/bin/bash
# Messages that sendmail has quarantined (hf): left alone by rules that do not name the condition, moved with their body and
# still quarantined by one that does, released again, deleted; not tracked at all where no rule asks for them.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# quarantine DIRECTORY ID, unquarantine DIRECTORY ID: with sendmail's own means
quarantine() {
	sendmail "-OQueueDirectory=$1" "-Qsuspect" "-qI$2" >>"$T/sendmail.out" 2>&1
}
unquarantine() {
	sendmail "-OQueueDirectory=$1" -Q "-qQ" "-qI$2" >>"$T/sendmail.out" 2>&1
}

is_held_in() {
	[ -e "$1/hf$2" ] && [ -e "$1/df$2" ] && [ ! -e "$1/qf$2" ]
}

# is_moved ID: and let go: sendmail passes over what is still locked.
is_moved() {
	has_event message-moved "/email/local_id=$1"
}

PLAIN='{ "name": "old", "tier": "QUEUE", "when": { "attempts": 1 }, "then": { "move": "MIDQUEUE" } }'
policy_write "$PLAIN"
queue_message "$QUEUE" defer.one@example.net
one=$ID
run_queue "$QUEUE"
quarantine "$QUEUE" "$one"
ok "sendmail has quarantined it" is_held_in "$QUEUE" "$one"
daemon_start
queue_message "$QUEUE" defer.other@example.net
run_queue "$QUEUE"
ok "an ordinary message is moved" wait_until 5 only_in "$MIDQUEUE" "$ID"
ok "the quarantined one stays" is_held_in "$QUEUE" "$one"

policy_write "$PLAIN, { \"name\": \"suspects\", \"tier\": \"QUEUE\", \"when\": { \"quarantined\": true },
	\"then\": { \"move\": \"SLOWQUEUE\" } }"
ok "a rule that names the condition moves it" wait_until 5 is_held_in "$SLOWQUEUE" "$one"
saw_event 5 "that is told" message-moved "/email/local_id=$one" /qfwatch/move/rule=suspects
is "nothing of it is left" "$(find "$QUEUE" -name "*$one*" | wc -l)" 0

queue_message "$QUEUE" defer.two@example.net
two=$ID
run_queue "$QUEUE"
ok "a new one is moved by the ordinary rule" wait_until 5 only_in "$MIDQUEUE" "$two"
must wait_until 5 is_moved "$two"
quarantine "$MIDQUEUE" "$two"
ok "it is quarantined while it is watched" wait_until 5 is_held_in "$MIDQUEUE" "$two"
unquarantine "$MIDQUEUE" "$two"
ok "and released" wait_until 5 only_in "$MIDQUEUE" "$two"

policy_write '{ "name": "away", "tier": "SLOWQUEUE", "when": { "quarantined": true, "age": "1s" }, "then": { "delete": true } }' \
	'"allow_delete": true,'
saw_event 10 "it is deleted" message-deleted "/email/local_id=$one"
is "with its body" "$(find "$SLOWQUEUE" ! -type d | wc -l)" 0
# What came before the policy has been seen to by now.
is "and the released one has not departed meanwhile" "$(count_events message-departed)" 0
sink_accept
run_queue "$MIDQUEUE"
ok "the released one is delivered" wait_until 5 is_delivered defer.two@example.net
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
ok "its events are sound" events_are_sound "$EVENTS"
e2e_end
