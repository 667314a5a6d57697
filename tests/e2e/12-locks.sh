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
busy_since=$(now_ms)
daemon_start
for kind in "${kinds[@]}"; do
	name=id_$kind
	saw_event 10 "$kind: a locked message is busy" message-busy "/email/local_id=${!name}"
done
ok "none of them moves" stays 1 all_there

# A runner closes what it had open for writing, and that is seen at once. A lock that goes without it is seen by the
# retries, which come after twice the time: so it takes no longer than the lock was held, and what is between the first of them.
for kind in "${kinds[@]}"; do
	held=held_$kind
	declare "since_$kind=$(now_ms)"
	release "${!held}"
done
for kind in "${kinds[@]}"; do
	id=id_$kind since=since_$kind
	limit=$((${!since} - busy_since + 1500))
	[ "$kind" != fcntl ] || limit=1000
	ok "$kind: released, it moves" wait_until 60 only_in "$MIDQUEUE" "${!id}"
	at_most "$kind: milliseconds" $(($(changed_ms "$MIDQUEUE/qf${!id}") - ${!since})) "$limit"
done
ok "four moves are told" wait_until 10 has_events 4 message-moved
is "being busy was told once for each" "$(count_events message-busy)" 4
is "four moves in all" "$(count_events message-moved)" 4

# ---- a lock taken on what the daemon has only looked at: it holds no lock itself
queue_message "$QUEUE" defer.idle@example.net
must wait_until 10 stands_in "$QUEUE" "$ID"
for kind in "${kinds[@]}"; do
	ok "$kind: the daemon is not in its way" wait_until 10 hold_and_release "$kind" "$QUEUE/qf$ID"
done

daemon_stop
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
