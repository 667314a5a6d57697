#!/bin/bash
# What is unsafe to move is told once with its reason, left alone, and looked at again when it changes.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

# due_message NAME: a message that would move at once; its id in $ID.
due_message() {
	queue_message "$QUEUE" "defer.$1@example.net"
	set_attempts "$QUEUE/qf$ID" 3
	names+=("$1")
	ids[$1]=$ID
}
names=()
declare -A ids

due_message d-line
edit_qf "$QUEUE/qf$ID" "s|^N3|N3\nd$T/outside|"
due_message no-body
rm "$QUEUE/df$ID"
due_message links
ln "$QUEUE/qf$ID" "$T/link"
due_message symlink
mv "$QUEUE/qf$ID" "$T/real"
ln -s "$T/real" "$QUEUE/qf$ID"
due_message fifo
rm "$QUEUE/qf$ID"
mkfifo "$QUEUE/qf$ID"
due_message folder
rm "$QUEUE/qf$ID"
mkdir "$QUEUE/qf$ID"
due_message incomplete
edit_qf "$QUEUE/qf$ID" '/^\.$/d'
due_message negative
edit_qf "$QUEUE/qf$ID" 's/^N3/N-3/'
due_message enormous
edit_qf "$QUEUE/qf$ID" 's/^N3/N99999999999999999999/'
due_message no-time
edit_qf "$QUEUE/qf$ID" '/^T/d'
due_message empty
: >"$QUEUE/qf$ID"
due_message body-there
echo 'not its body' >"$MIDQUEUE/df$ID"
due_message huge
truncate -s 17M "$QUEUE/qf$ID"

listing() {
	find "$QUEUE" "$MIDQUEUE" -printf '%p %y %i %m %n %s %C@\n' | sort
}
before=$(listing)
daemon_start
for name in "${names[@]}"; do
	saw_event 10 "$name: refused" message-refused "/email/local_id=${ids[$name]}"
	is "$name: with a reason" "$(events -a message-refused -w "/email/local_id=${ids[$name]}" -- /event/reason | grep -c ..)" 1
done
ok "all are left as they were" test "$(listing)" = "$before"
is "nothing moved" "$(count_events message-moved)" 0
daemon_signal HUP
ok "the policy is loaded again" wait_until 10 has_events 2 policy-loaded
is "what was told once is not told again" \
	"$(events -a message-refused -- /email/local_id | sort | uniq -d)" ""

# ---- they are mended
edit_qf "$QUEUE/qf${ids[d-line]}" '/^d/d'
ok "without the d line it moves" wait_until 10 only_in "$MIDQUEUE" "${ids[d-line]}"
cp "$T/body-${ids[no-body]}" "$QUEUE/df${ids[no-body]}"
edit_qf "$QUEUE/qf${ids[no-body]}" 's/^N3/N4/'
ok "with its body it moves" wait_until 10 only_in "$MIDQUEUE" "${ids[no-body]}"
echo . >>"$QUEUE/qf${ids[incomplete]}"
ok "complete it moves" wait_until 10 only_in "$MIDQUEUE" "${ids[incomplete]}"
edit_qf "$QUEUE/qf${ids[negative]}" 's/^N-3/N3/'
ok "with a sound number it moves" wait_until 10 only_in "$MIDQUEUE" "${ids[negative]}"

daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
