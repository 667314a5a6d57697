#!/bin/bash
# Events in a file: appended, rotated by rename and SIGHUP, numbered without gaps, each line whole and short.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

# due RECIPIENT...: a message that moves as soon as the daemon sees it.
due() {
	queue_message "$T/outside" "$*"
	set_attempts "$T/outside/qf$ID" 3
	mv "$T/outside/df$ID" "$QUEUE/" && mv "$T/outside/qf$ID" "$QUEUE/"
}
mkdir -m 0700 "$T/outside"

echo 'a line of before' >"$EVENTS"
daemon_start
is "what stood in the file stays" "$(head -n 1 "$EVENTS")" "a line of before"
due defer.one@example.net
ok "a message moves" wait_until 10 only_in "$MIDQUEUE" "$ID"
saw_event 10 "the event is in the file" message-moved "/email/local_id=$ID"

mv "$EVENTS" "$EVENTS.1"
due defer.two@example.net
ok "after the rename a message moves" wait_until 10 only_in "$MIDQUEUE" "$ID"
ok "its event goes to the renamed file" wait_until 10 grep -qs "$ID" "$EVENTS.1"
ok "no new file is made before SIGHUP" test ! -e "$EVENTS"
daemon_signal HUP
ok "SIGHUP makes a new file" wait_until 10 test -e "$EVENTS"
due defer.three@example.net
saw_event 10 "the next event is there" message-moved "/email/local_id=$ID"

# Twenty rotations with a message each.
for i in $(seq 2 21); do
	mv "$EVENTS" "$EVENTS.$i"
	due "defer.$i@example.net"
	daemon_signal HUP
	must wait_until 10 test -e "$EVENTS"
done
wait_until 10 is_empty "$QUEUE"

# As many recipients as make the line too long: 60 domains of 100 letters each.
label=$(printf 'x%.0s' $(seq 1 50))
recipients=()
for i in $(seq 10 69); do
	recipients+=("defer.$i@$label.$label$i.example.net")
done
must sendmail_input "$T/body" -odq -oi "-OQueueDirectory=$T/outside" -f sender@example.test "${recipients[@]}"
file=$(compgen -G "$T/outside/qf*")
ID=${file##*/qf}
set_attempts "$file" 3
mv "$T/outside/df$ID" "$QUEUE/" && mv "$file" "$QUEUE/"
saw_event 10 "a message with 60 domains moves" message-moved "/email/local_id=$ID"
is "the event says that it is cut" "$(events -w "/email/local_id=$ID" -a message-moved -- /qfwatch/truncated)" true
daemon_stop
is "the last event is stopped" "$(events -- /event/action | tail -n 1)" stopped

sed 1d "$EVENTS.1" >"$EVENTS.first"
files=("$EVENTS.first")
for i in $(seq 2 21); do
	files+=("$EVENTS.$i")
done
files+=("$EVENTS")
ok "in all the files together each line is sound and none is missing" events_are_sound "${files[@]}"
is "each move is told exactly once" "$(cat "${files[@]}" | "$TOOLS/jsonq" -c -a message-moved -)" 24
ok "a file is for its owner and group alone" test "$((0$(stat -c %a "$EVENTS") & 027))" -eq 0
e2e_end
