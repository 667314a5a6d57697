#!/bin/bash
# What the daemon finds at its start goes where it belongs, through each tier, with one event for each move.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

queue_message "$QUEUE" defer.twelve@example.net
twelve=$ID
set_attempts "$QUEUE/qf$twelve" 12
queue_message "$QUEUE" defer.five@example.net
five=$ID
set_attempts "$QUEUE/qf$five" 5
queue_message "$QUEUE" defer.two@example.net
two=$ID
set_attempts "$QUEUE/qf$two" 2
queue_message "$MIDQUEUE" defer.eleven@example.net
eleven=$ID
set_attempts "$MIDQUEUE/qf$eleven" 11
inode=$(stat -c %i "$QUEUE/qf$twelve")
stamp=$(stat -c '%a %u %g %Y' "$QUEUE/qf$twelve")

daemon_start
ok "12 attempts in QUEUE: lands in SLOWQUEUE" wait_until 10 only_in "$SLOWQUEUE" "$twelve"
ok "5 attempts in QUEUE: lands in MIDQUEUE" wait_until 10 only_in "$MIDQUEUE" "$five"
ok "11 attempts in MIDQUEUE: lands in SLOWQUEUE" wait_until 10 only_in "$SLOWQUEUE" "$eleven"
ok "2 attempts in QUEUE: stays" only_in "$QUEUE" "$two"
ok "the moves are told" wait_until 10 has_events 4 message-moved
is "12 attempts: one event for each move" "$(moves "$twelve" | tr '\n' ';')" \
	"QUEUE|MIDQUEUE|three attempts|attempts 12 >= 3|12;MIDQUEUE|SLOWQUEUE|ten attempts|attempts 12 >= 10|12;"
is "four moves in all" "$(count_events message-moved)" 4
is "the qf is the same file" "$(stat -c %i "$SLOWQUEUE/qf$twelve")" "$inode"
is "with its mode, owner, group and time" "$(stat -c '%a %u %g %Y' "$SLOWQUEUE/qf$twelve")" "$stamp"

sink_accept
run_queue "$SLOWQUEUE"
is "and it is delivered from there exactly once" "$(delivered defer.twelve@example.net)" 1
ok "with its body unchanged" body_is defer.twelve@example.net "$twelve"

daemon_stop
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
