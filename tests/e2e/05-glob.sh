#!/bin/bash
# Tiers of several queue directories: a glob as source, as target, and a directory added to it while the daemon runs.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
mkdir -m 0700 "$QUEUE"/q1 "$QUEUE"/q2 "$QUEUE"/q3 "$MIDQUEUE"/m1 "$MIDQUEUE"/m2
TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE/q*\" },
    { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE/m*\" },
    { \"name\": \"SLOWQUEUE\", \"directory\": \"$SLOWQUEUE\" }"
policy_write "$THREE_RULES"
daemon_start

# sendmail draws the directory itself: nine messages, and more where all of them came into one of the three.
ids=() used=0
for ((i = 1; i <= 9 || (used < 2 && i <= 40); i++)); do
	queue_message "$QUEUE/q*" "defer.$i@example.net"
	ids+=("$ID")
	used=$(find "$QUEUE" -name 'qf*' -printf '%h\n' | sort -u | wc -l)
done
all=${#ids[@]}
ok "sendmail uses several of the directories ($used)" test "$used" -ge 2
run_queue "$QUEUE/q*"
run_queue "$QUEUE/q*"
is "after 2 attempts all stand in QUEUE" "$(find "$QUEUE" -name 'qf*' | wc -l)" "$all"
run_queue "$QUEUE/q*"
ok "after 3 attempts none does" wait_until 10 is_empty "$QUEUE"
whole=0
for i in "${!ids[@]}"; do
	only_in "$MIDQUEUE" "${ids[i]}" && whole=$((whole + 1))
done
is "each stands whole in one directory of MIDQUEUE" "$whole" "$all"
beside=$(find "$MIDQUEUE" -name 'qf*' | while read -r qf; do [ -f "${qf%/*}/df${qf##*/qf}" ] && echo; done | wc -l)
is "qf and df in the same one" "$beside" "$all"
ok "their moves are told" wait_until 10 has_events "$all" message-moved "/event/reason=attempts 3 >= 3"

sink_accept
run_queue "$MIDQUEUE/m*"
arrived=0
for i in "${!ids[@]}"; do
	[ "$(delivered "defer.$((i + 1))@example.net")" = 1 ] && body_is "defer.$((i + 1))@example.net" "${ids[i]}" &&
		arrived=$((arrived + 1))
done
is "each is delivered from there exactly once, unchanged" "$arrived" "$all"
all_empty "no file is left"
ok "their departures are told" wait_until 10 has_events "$all" message-departed

# ---- from a directory of a glob to another tier of the policy, and a directory that comes later
rm "$SINK/control"
mkdir -m 0700 "$QUEUE/q4"
queue_message "$QUEUE/q4" defer.late@example.net
run_queue "$QUEUE/q4"
run_queue "$QUEUE/q4"
run_queue "$QUEUE/q4"
ok "a message in a directory that was added later moves as well" wait_until 10 only_in "$MIDQUEUE" "$ID"

daemon_stop
is "no move was refused or failed" "$(events -a message-refused -a move-failed -- /message)" ""
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
