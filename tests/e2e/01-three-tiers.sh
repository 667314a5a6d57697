#!/bin/bash
# A message that nobody takes goes QUEUE -> MIDQUEUE at its 3rd attempt, -> SLOWQUEUE at its 10th, and arrives from there.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

queue_message "$QUEUE" defer.reader@example.net
daemon_start
start "$T/onlyone.out" "$T/onlyone.out" "$TOOLS/onlyone" "$ID" "$QUEUE:$QUEUE" "$MIDQUEUE:$MIDQUEUE" "$SLOWQUEUE:$SLOWQUEUE"
looker=$STARTED_PID

for attempt in 1 2; do
	run_queue "$QUEUE"
	is "attempt $attempt is counted by sendmail" "$(qf_field "$QUEUE" "$ID" N)" "$attempt"
done
ok "after 2 attempts it stands in QUEUE" only_in "$QUEUE" "$ID"
run_queue "$QUEUE"
ok "after 3 attempts it stands in MIDQUEUE" wait_until 10 only_in "$MIDQUEUE" "$ID"
saw_event 10 "its move is told" message-moved "/email/local_id=$ID"
is "with from, to, rule, reason and attempts" "$(moves "$ID")" "QUEUE|MIDQUEUE|three attempts|attempts 3 >= 3|3"
is "with its tier" "$(events -a message-moved -- /qfwatch/tier)" MIDQUEUE
is "with its recipient's domain" "$(events -a message-moved -- /qfwatch/message/recipient_domains)" '["example.net"]'
run_queue "$QUEUE"
is "the QUEUE runner finds nothing any more" "$(qf_field "$MIDQUEUE" "$ID" N)" 3

for attempt in 4 5 6 7 8 9; do
	run_queue "$MIDQUEUE"
done
is "the MIDQUEUE runner tries it 6 times" "$(qf_field "$MIDQUEUE" "$ID" N)" 9
ok "after 9 attempts it stands in MIDQUEUE" only_in "$MIDQUEUE" "$ID"
run_queue "$MIDQUEUE"
ok "after 10 attempts it stands in SLOWQUEUE" wait_until 10 only_in "$SLOWQUEUE" "$ID"
saw_event 10 "its second move is told" message-moved "/email/local_id=$ID" /qfwatch/move/to=SLOWQUEUE
is "with from, to, rule, reason and attempts" "$(moves "$ID" | tail -n 1)" \
	"MIDQUEUE|SLOWQUEUE|ten attempts|attempts 10 >= 10|10"

run_queue "$SLOWQUEUE"
is "the SLOWQUEUE runner tries it too" "$(qf_field "$SLOWQUEUE" "$ID" N)" 11
kill -TERM "$looker"
wait_until 10 process_is_gone "$looker"
matches "it never stood in two tiers, in none, or without its body" "$(tail -n 1 "$T/onlyone.out")" \
	"rounds * twice 0 bodyless 0 nowhere 0"

sink_accept
run_queue "$SLOWQUEUE"
ok "it is delivered" wait_until 10 is_delivered defer.reader@example.net
is "exactly once" "$(delivered defer.reader@example.net)" 1
ok "with its body unchanged" body_is defer.reader@example.net "$ID"
all_empty "no file is left in any tier"
saw_event 10 "its departure is told" message-departed "/email/local_id=$ID" /qfwatch/tier=SLOWQUEUE
is "two moves in all" "$(count_events message-moved)" 2

daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
ok "its events are sound" events_are_sound "$EVENTS"
e2e_end
