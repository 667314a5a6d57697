#!/bin/bash
# What sendmail holds is not moved, and moves as soon as sendmail lets go of it.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# still_held ID: in QUEUE alone, and locked.
still_held() {
	qf_only_in "$QUEUE" "$1" && is_locked "$QUEUE/qf$1"
}

# moved_at_once ID: sendmail lets go of it when it has written what came of the attempt.
moved_at_once() {
	at_most "within a second: milliseconds" \
		$(($(changed_ms "$MIDQUEUE/qf$1") - $(written_ms "$MIDQUEUE/qf$1"))) 1000
}

# ---- due already when the daemon starts
policy_write "$THREE_RULES"
queue_message "$QUEUE" stall.defer.first@example.net
first=$ID
set_attempts "$QUEUE/qf$first" 3
run_queue_in_background "$QUEUE"
runner=$STARTED_PID
must wait_until 10 test -e "$SINK/stalled"
must still_held "$first"
start "$T/onlyone.out" "$T/onlyone.out" "$TOOLS/onlyone" "$first" "$QUEUE:$QUEUE" "$MIDQUEUE:$MIDQUEUE"
looker=$STARTED_PID
daemon_start
saw_event 10 "that it is busy is told" message-busy "/email/local_id=$first"
ok "a due message that sendmail holds stays in QUEUE, locked" stays 1 still_held "$first"
is "no move is told" "$(count_events message-moved)" 0
sink_go_on
ok "released, it moves" wait_until 20 only_in "$MIDQUEUE" "$first"
moved_at_once "$first"
saw_event 10 "with the attempt that was under way" message-moved "/email/local_id=$first" "/event/reason=attempts 4 >= 3"
kill -TERM "$looker"
wait_until 10 process_is_gone "$looker"
matches "it never stood in two tiers, in none, or without its body" "$(tail -n 1 "$T/onlyone.out")" \
	"rounds * twice 0 bodyless 0 nowhere 0"
must wait_until 10 process_is_gone "$runner"
is "being busy was told once" "$(count_events message-busy)" 1
daemon_stop
sink_hold_again

# ---- becomes due by a new policy while it is held
policy_write "${THREE_RULES/\"attempts\": 3/\"attempts\": 5}"
queue_message "$QUEUE" stall.defer.second@example.net
second=$ID
set_attempts "$QUEUE/qf$second" 3
daemon_start
run_queue_in_background "$QUEUE"
runner=$STARTED_PID
must wait_until 10 test -e "$SINK/stalled"
policy_write "$THREE_RULES"
saw_event 10 "a message made due by a new policy while it is held is busy" message-busy "/email/local_id=$second"
ok "it stays in QUEUE, locked" stays 1 still_held "$second"
sink_go_on
ok "released, it moves" wait_until 20 only_in "$MIDQUEUE" "$second"
moved_at_once "$second"
must wait_until 10 process_is_gone "$runner"
sink_hold_again

# ---- delivered in the end: the sink has the message, sendmail does not know it yet
queue_message "$QUEUE" stalldata.third@example.net
third=$ID
run_queue_in_background "$QUEUE"
runner=$STARTED_PID
must wait_until 10 test -e "$SINK/stalled"
policy_write '{ "tier": "QUEUE", "when": { "always": true }, "then": { "move": "MIDQUEUE" } }'
saw_event 10 "a message in the middle of its delivery is busy" message-busy "/email/local_id=$third"
ok "it stays in QUEUE, locked" stays 1 still_held "$third"
sink_go_on
must wait_until 10 process_is_gone "$runner"
saw_event 10 "delivered, it has departed" message-departed "/email/local_id=$third"
is "it did not move" "$(count_events message-moved "/email/local_id=$third")" 0
run_queue "$MIDQUEUE"
is "it was delivered exactly once" "$(delivered stalldata.third@example.net)" 1
ok "with its body unchanged" body_is stalldata.third@example.net "$third"
ok "no file of it is left" not compgen -G "$T/[A-Z]*/*$third"

daemon_stop
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
