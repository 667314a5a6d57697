#!/bin/bash
# A tier's directory that goes away and comes back is told, and used again.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"
daemon_start

mv "$QUEUE" "$T/away"
saw_event 10 "a tier that is gone is told" tier-lost /qfwatch/tier=QUEUE
queue_message "$T/away" defer.source@example.net
set_attempts "$T/away/qf$ID" 3
mv "$T/away" "$QUEUE"
saw_event 10 "that it is back is told" tier-found /qfwatch/tier=QUEUE
ok "what became due in it meanwhile moves" wait_until 10 only_in "$MIDQUEUE" "$ID"
queue_message "$QUEUE" defer.again@example.net
for _ in 1 2 3; do run_queue "$QUEUE"; done
ok "it is watched as before" wait_until 10 only_in "$MIDQUEUE" "$ID"

# Removed and made anew: another directory of the same name.
must is_empty "$SLOWQUEUE"
rmdir "$SLOWQUEUE"
saw_event 10 "a target that is removed is told" tier-lost /qfwatch/tier=SLOWQUEUE
queue_message "$MIDQUEUE" defer.target@example.net
set_attempts "$MIDQUEUE/qf$ID" 10
ok "a message that is due for it stays" stays 1 only_in "$MIDQUEUE" "$ID"
mkdir -m 0700 "$SLOWQUEUE"
saw_event 10 "that it is back is told" tier-found /qfwatch/tier=SLOWQUEUE
ok "and the message moves there" wait_until 10 only_in "$SLOWQUEUE" "$ID"

daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
