#!/bin/bash
# Each kind of lock that builds of sendmail take on a qf keeps it where it is; its release lets it go.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

kinds=(flock fcntl shared upstream)
for kind in "${kinds[@]}"; do
	queue_message "$QUEUE" "defer.$kind@example.net"
	set_attempts "$QUEUE/qf$ID" 3
	hold "$kind" "$QUEUE/qf$ID"
	declare "id_$kind=$ID" "held_$kind=$HELD"
done
all_there() {
	[ "$(find "$QUEUE" -name 'qf*' | wc -l)" -eq 4 ] && is_empty "$MIDQUEUE"
}
daemon_start
for kind in "${kinds[@]}"; do
	name=id_$kind
	saw_event 3 "$kind: a locked message is busy" message-busy "/email/local_id=${!name}"
done
ok "none of them moves" stays 1 all_there

# A runner closes what it had open for writing, and that is seen at once. A lock that goes without it is seen by the
# retries: after a second of being busy they are a second or two apart.
for kind in "${kinds[@]}"; do
	id=id_$kind held=held_$kind limit=5000
	[ "$kind" != fcntl ] || limit=1000
	since=$(now_ms)
	release "${!held}"
	ok "$kind: released, it moves" wait_until 6 only_in "$MIDQUEUE" "${!id}"
	at_most "$kind: milliseconds" $(($(now_ms) - since)) "$limit"
done
is "being busy was told once for each" "$(count_events message-busy)" 4
is "four moves" "$(count_events message-moved)" 4

# ---- a lock taken on what the daemon has only looked at: it holds no lock itself
queue_message "$QUEUE" defer.idle@example.net
must wait_until 2 stands_in "$QUEUE" "$ID"
for kind in "${kinds[@]}"; do
	ok "$kind: the daemon is not in its way" wait_until 2 hold_and_release "$kind" "$QUEUE/qf$ID"
done

daemon_stop
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
