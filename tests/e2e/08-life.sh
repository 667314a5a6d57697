#!/bin/bash
# Start, stop, kill, and two daemons on one spool.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

last_event() {
	events -- /event/action | tail -n 1
}

for signal in TERM INT; do
	daemon_start
	daemon_stop "$signal"
	is "SIG$signal: exit code 0" "$DAEMON_STATUS" 0
	is "SIG$signal: the last event is stopped" "$(last_event)" stopped
	all_empty "SIG$signal: nothing is left in a tier"
done

# ---- a second daemon
daemon_start
timeout 30 "$QFWATCH" run -c "$POLICY" >"$T/second.out" 2>"$T/second.err"
status=$?
is "a second daemon on the same spool: exit code 3" "$status" 3
matches "it names the pid of the first" "$(cat "$T/second.err")" "*$DAEMON*"
sed "s|$QUEUE|$T/OTHER|;s|$SLOWQUEUE|$T/ANOTHER|;s|events.json|other.json|" "$POLICY" >"$T/other-policy.json"
mkdir "$T/OTHER" "$T/ANOTHER"
timeout 30 "$QFWATCH" run -c "$T/other-policy.json" >"$T/second.out" 2>"$T/second.err"
status=$?
is "with another policy that shares one tier: exit code 3" "$status" 3
matches "it names the pid of the first" "$(cat "$T/second.err")" "*$DAEMON*"
matches "and the tier" "$(cat "$T/second.err")" "*MIDQUEUE*"
queue_message "$QUEUE" defer.first@example.net
for _ in 1 2 3; do run_queue "$QUEUE"; done
ok "the first goes on" wait_until 10 only_in "$MIDQUEUE" "$ID"

# ---- kill -9
daemon_stop KILL
is "killed: 137" "$DAEMON_STATUS" 137
ok "a kill leaves nothing in the tiers but the message" only_in "$MIDQUEUE" "$ID"
queue_message "$QUEUE" defer.second@example.net
for _ in 1 2 3; do run_queue "$QUEUE"; done
daemon_start
ok "started again, it moves what became due meanwhile" wait_until 10 only_in "$MIDQUEUE" "$ID"
is "the new run has another name" "$(events -a started -- /qfwatch/run | sort | uniq -d)" ""
daemon_stop

# ---- what a daemon refuses to start with
policy_write "$THREE_RULES"
rmdir "$SLOWQUEUE"
mv "$MIDQUEUE" "$T/elsewhere"
: >"$MIDQUEUE"
before=$(count_events started)
timeout 30 "$QFWATCH" run -c "$POLICY" >"$T/second.out" 2>"$T/second.err"
status=$?
ok "a tier that is not there: exit code 2 or 3" test "$status" -eq 2 -o "$status" -eq 3
matches "it names each of them" "$(sort "$T/second.err" | tr '\n' ' ')" "*$MIDQUEUE*$SLOWQUEUE*"
is "it did not start" "$(count_events started)" "$before"
echo '{' >"$POLICY"
timeout 30 "$QFWATCH" run -c "$POLICY" >"$T/second.out" 2>"$T/second.err"
is "a policy that is none: exit code 2" "$?" 2
matches "with the line and column" "$(cat "$T/second.err")" "*policy.json:[12]:*"
timeout 30 "$QFWATCH" run -c "$T/nowhere.json" >"$T/second.out" 2>"$T/second.err"
status=$?
ok "no policy: exit code 2 or 3" test "$status" -eq 2 -o "$status" -eq 3
timeout 30 "$QFWATCH" run --nonsense >"$T/second.out" 2>"$T/second.err"
is "wrong usage: exit code 2" "$?" 2

ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
