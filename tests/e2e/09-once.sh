#!/bin/bash
# `run --once`: one pass, and what its exit code says.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

once() {
	timeout 20 "$QFWATCH" run --once -c "$POLICY" >"$T/once.out" 2>"$T/once.err"
	status=$?
}

once
is "an empty spool: exit code 0" "$status" 0

queue_message "$QUEUE" defer.three@example.net
three=$ID
set_attempts "$QUEUE/qf$three" 3
queue_message "$QUEUE" defer.twelve@example.net
twelve=$ID
set_attempts "$QUEUE/qf$twelve" 12
queue_message "$QUEUE" defer.one@example.net
one=$ID
set_attempts "$QUEUE/qf$one" 1
once
is "due messages: exit code 0" "$status" 0
ok "3 attempts: in MIDQUEUE" only_in "$MIDQUEUE" "$three"
ok "12 attempts: in SLOWQUEUE" only_in "$SLOWQUEUE" "$twelve"
ok "1 attempt: in QUEUE" only_in "$QUEUE" "$one"
is "the moves are told" "$(count_events message-moved)" 3
is "the last event is stopped" "$(events -- /event/action | tail -n 1)" stopped
once
is "nothing to do any more: exit code 0" "$status" 0
is "nothing more is told to have moved" "$(count_events message-moved)" 3

# A body of the same name stands in the target.
set_attempts "$QUEUE/qf$one" 3
echo 'not its body' >"$MIDQUEUE/df$one"
once
is "a message that cannot be moved: exit code 1" "$status" 1
ok "it is refused" has_event message-refused "/email/local_id=$one"
is "its qf stays" "$(qf_field "$QUEUE" "$one" N)" 3
ok "its body stays" cmp "$QUEUE/df$one" "$T/body-$one"
is "the other body stays" "$(cat "$MIDQUEUE/df$one")" "not its body"
rm "$MIDQUEUE/df$one"
once
is "the reason gone: exit code 0" "$status" 0
ok "it has moved" only_in "$MIDQUEUE" "$one"

echo '{ "version": 2 }' >"$POLICY"
once
is "an invalid policy: exit code 2" "$status" 2
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
