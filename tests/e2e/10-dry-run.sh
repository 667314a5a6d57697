#!/bin/bash
# `run --dry-run` tells what it would do and touches nothing: not a name, an inode, a time or a byte.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# All that can be seen of the tiers, but for the time of the last access.
full_listing() {
	find "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE" -printf '%p %y inode %i mode %m owner %u:%g links %n size %s mtime %T@ ctime %C@\n' | sort
	find "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE" -type f -exec sha256sum {} + | sort
}

for attempts in 1 2 3 4 12; do
	queue_message "$QUEUE" "defer.$attempts@example.net"
	set_attempts "$QUEUE/qf$ID" "$attempts"
done
twelve=$ID
queue_message "$SLOWQUEUE" defer.old@example.net
old=$ID
edit_qf "$SLOWQUEUE/qf$old" "s/^T.*/T$(($(date +%s) - 7 * 86400))/"
policy_write "$THREE_RULES,
    { \"name\": \"six days\", \"tier\": \"SLOWQUEUE\", \"when\": { \"age\": \"6d\" }, \"then\": { \"delete\": true } }" \
	'"allow_delete": true,'
before=$(full_listing)

timeout 20 "$QFWATCH" run --dry-run --once -c "$POLICY" >"$T/once.out" 2>"$T/once.err"
is "--dry-run --once: exit code 0" "$?" 0
is "it touches nothing" "$(full_listing)" "$before"
is "it tells the moves of three messages" \
	"$(events -a message-moved -w /qfwatch/dry_run=true -- /email/local_id | sort -u | wc -l)" 3
ok "it tells the deletion" has_event message-deleted "/email/local_id=$old" /qfwatch/dry_run=true
is "every event says that it is dry" "$(count_events message-moved /qfwatch/dry_run=true)" "$(count_events message-moved)"
matches "it tells why" "$(moves "$twelve")" "QUEUE|MIDQUEUE|three attempts|attempts 12 >= 3|12*"

rm "$EVENTS"
daemon_start --dry-run
ok "--dry-run as a daemon tells the same" wait_until 10 has_event message-moved "/email/local_id=$twelve"
wait_until 10 has_event message-deleted
daemon_signal HUP
wait_until 10 has_events 2 policy-loaded
daemon_stop
is "it stops with 0" "$DAEMON_STATUS" 0
is "it touches nothing" "$(full_listing)" "$before"
is "it tells each message once, a policy loaded anew or not" \
	"$(events -a message-moved -- /email/local_id /qfwatch/move/to | sort | uniq -d)" ""
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
