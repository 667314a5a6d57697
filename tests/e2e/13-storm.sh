#!/bin/bash
# 80 messages, three runners that never rest and messages that come in meanwhile: each arrives once, whole.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write '{ "name": "two attempts", "tier": "QUEUE", "when": { "attempts": 2 }, "then": { "move": "MIDQUEUE" } },
    { "name": "four attempts", "tier": "MIDQUEUE", "when": { "attempts": 4 }, "then": { "move": "SLOWQUEUE" } }'
messages=80

# runner DIRECTORY: one run after the other until $T/enough is there.
runner() {
	while [ ! -e "$T/enough" ]; do
		sendmail "-OQueueDirectory=$1" -v -q
	done
}
export -f runner sendmail
export T

all_delivered() {
	[ "$(find "$SINK/mail" -name '*.body' | wc -l)" -ge "$messages" ]
}

# Each is taken at its first to seventh attempt. The first half is there before the daemon, the second comes in later.
queue_some() {
	local i
	for i in $(seq "$1" "$2"); do
		make_body "$T/body" "$i"
		must sendmail_input "$T/body" -odq -oi "-OQueueDirectory=$QUEUE" -f sender@example.test \
			"defer$((i % 7)).$i@example.net"
		mv "$T/body" "$T/body-$i"
	done
}
queue_some 1 $((messages / 2))
daemon_start
for tier in "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"; do
	# shellcheck disable=SC2016
	start "$T/sendmail.out" "$T/sendmail.out" bash -c 'runner "$0"' "$tier"
done
queue_some $((messages / 2 + 1)) "$messages"
ok "all are delivered" wait_until 90 all_delivered
: >"$T/enough"

wait_until 30 is_empty "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
all_empty "no file is left in any tier"
is "none is delivered twice" "$(cat "$SINK"/mail/*.to | sort | uniq -d)" ""
is "none is missing" "$(cat "$SINK"/mail/*.to | wc -l)" "$messages"
damaged=
for to in "$SINK"/mail/*.to; do
	number=$(sed 's/^defer[0-9]*\.\([0-9]*\)@.*/\1/' "$to")
	cmp -s "${to%.to}.body" "$T/body-$number" || damaged="$damaged $number"
done
is "each has its own body, unchanged" "$damaged" ""
is "no move was refused or failed" "$(events -a message-refused -a move-failed -- /message)" ""
ok "messages moved to MIDQUEUE" has_events 20 message-moved /qfwatch/move/to=MIDQUEUE
ok "messages moved to SLOWQUEUE" has_events 5 message-moved /qfwatch/move/to=SLOWQUEUE
is "no message moved twice the same way" \
	"$(events -a message-moved -- /email/local_id /qfwatch/move/to | sort | uniq -d)" ""
ok "each departure is told" wait_until 10 has_events "$messages" message-departed
is "once" "$(events -a message-departed -- /email/local_id | sort | uniq -d)" ""

daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
