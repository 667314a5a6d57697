#!/bin/bash
# Queue directories with folders qf/ df/ xf/ inside, and moves between both layouts.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

split() {
	mkdir -m 0700 "$1/qf" "$1/df" "$1/xf"
}

# three_attempts WHAT: a message queued in QUEUE moves to MIDQUEUE after the third run.
three_attempts() {
	local address=defer.$1@example.net
	rm -f "$SINK/control"
	queue_message "$QUEUE" "$address"
	run_queue "$QUEUE"
	run_queue "$QUEUE"
	ok "$1: after 2 attempts it stands in QUEUE" only_in "$QUEUE" "$ID"
	run_queue "$QUEUE"
	ok "$1: after 3 attempts it stands in MIDQUEUE" wait_until 10 only_in "$MIDQUEUE" "$ID"
	saw_event 10 "$1: its move is told" message-moved "/email/local_id=$ID"
	is "$1: with its reason" "$(moves "$ID")" "QUEUE|MIDQUEUE|three attempts|attempts 3 >= 3|3"
}

# arrives WHAT: its MIDQUEUE runner delivers it.
arrives() {
	local address=defer.$1@example.net
	sink_accept
	run_queue "$MIDQUEUE"
	is "$1: it is delivered exactly once from there" "$(delivered "$address")" 1
	ok "$1: with its body unchanged" body_is "$address" "$ID"
	all_empty "$1: no file is left"
	saw_event 10 "$1: its departure is told" message-departed "/email/local_id=$ID"
}

policy_write "$THREE_RULES"

split "$QUEUE"
split "$MIDQUEUE"
daemon_start
three_attempts split-to-split
ok "qf stands in qf/, df in df/" test -f "$MIDQUEUE/qf/qf$ID" -a -f "$MIDQUEUE/df/df$ID"
arrives split-to-split
daemon_stop

rmdir "$QUEUE"/?f
daemon_start
three_attempts flat-to-split
ok "qf stands in qf/, df in df/" test -f "$MIDQUEUE/qf/qf$ID" -a -f "$MIDQUEUE/df/df$ID"
arrives flat-to-split
daemon_stop

rmdir "$MIDQUEUE"/?f
split "$QUEUE"
daemon_start
three_attempts split-to-flat
ok "qf and df stand beside each other" test -f "$MIDQUEUE/qf$ID" -a -f "$MIDQUEUE/df$ID"
arrives split-to-flat
daemon_stop

ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
