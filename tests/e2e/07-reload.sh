#!/bin/bash
# A new policy is in force as soon as it is saved, in place or by replacement, or at SIGHUP; a bad one changes nothing.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# As in an installation, the policy's folder holds nothing else that is watched.
mkdir "$T/etc"
POLICY=$T/etc/policy.json

with_threshold() {
	policy_text "${THREE_RULES/\"attempts\": 3/\"attempts\": $1}" "${2:-}"
}

last_load_has_rules() {
	[ "$(events -a policy-loaded -- /qfwatch/counts/rules | tail -n 1)" = "$1" ]
}

# loaded_again WHAT: a further policy-loaded event comes.
loaded_again() {
	if wait_until 10 has_events $((loaded + 1)) policy-loaded; then
		pass "$1"
	else
		fail "$1" "expected: another event policy-loaded" "$(cat "$T/daemon.err")"
	fi
	loaded=$(count_events policy-loaded)
}

ids=()
for attempts in 1 2 3 4 5; do
	queue_message "$QUEUE" "defer.$attempts@example.net"
	ids[attempts]=$ID
	set_attempts "$QUEUE/qf$ID" "$attempts"
done
with_threshold 9 >"$POLICY"
daemon_start
ok "the policy is told" wait_until 10 has_event policy-loaded
loaded=$(count_events policy-loaded)
is "below the threshold nothing moves" "$(files_in "$QUEUE")" 10

with_threshold 5 >"$POLICY"
loaded_again "edited in place, it is loaded"
ok "and in force: 5 attempts move" wait_until 10 only_in "$MIDQUEUE" "${ids[5]}"
is "4 attempts do not" "$(files_in "$QUEUE")" 8

with_threshold 4 >"$T/policy.new"
mv "$T/policy.new" "$POLICY"
loaded_again "replaced, it is loaded"
ok "and in force: 4 attempts move" wait_until 10 only_in "$MIDQUEUE" "${ids[4]}"
is "3 attempts do not" "$(files_in "$QUEUE")" 6

# An editor that keeps the old one: rename away, write anew.
mv "$POLICY" "$POLICY~"
with_threshold 3 >"$POLICY"
loaded_again "renamed away and written anew, it is loaded"
ok "and in force: 3 attempts move" wait_until 10 only_in "$MIDQUEUE" "${ids[3]}"

daemon_signal HUP
loaded_again "at SIGHUP it is loaded again"

# Saved again while it is being loaded, in the moment in which its watch is renewed: strace makes that moment long. Where
# strace may not be used, these are two saves in a row.
stopped_by_strace() {
	grep -q '^State:.*tracing stop' "/proc/$DAEMON/status"
}
attached() {
	grep -qs attached "$T/strace" || process_is_gone "$STARTED_PID"
}
start "$T/strace" "$T/strace" strace -p "$DAEMON" -e trace=inotify_rm_watch,inotify_add_watch \
	-e inject=inotify_rm_watch,inotify_add_watch:delay_enter=200000
strace=$STARTED_PID
wait_until 20 attached
with_threshold 100 >"$T/etc/first"
policy_text "$THREE_RULES, { \"tier\": \"SLOWQUEUE\", \"when\": { \"attempts\": 100 }, \"then\": { \"move\": \"QUEUE\" } }" \
	>"$T/etc/second"
mv "$T/etc/first" "$POLICY"
wait_until 1 stopped_by_strace
mv "$T/etc/second" "$POLICY"
ok "saved again while it is loaded, the second save counts" wait_until 30 last_load_has_rules 3
kill "$strace" 2>/dev/null
must wait_until 20 process_is_gone "$strace"
# Renamed: read in the middle of its writing, it would be loaded twice.
with_threshold 3 >"$T/etc/first"
mv "$T/etc/first" "$POLICY"
must wait_until 20 last_load_has_rules 2
loaded=$(count_events policy-loaded)

# ---- bad ones
bad=$(count_events policy-rejected)
with_threshold 1 | sed 's/"attempts"/"attemps"/' >"$T/policy.new"
mv "$T/policy.new" "$POLICY"
ok "a policy with an unknown key is refused" wait_until 10 has_events $((bad + 1)) policy-rejected
matches "the event tells the place and the hint" \
	"$(events -a policy-rejected -- /message /event/reason /error/message | tail -n 1)" "*attemps*/rules/0/when*attempts*"
bad=$(count_events policy-rejected)
echo '{ "version": 1, ' >"$POLICY"
ok "half a policy is refused" wait_until 10 has_events $((bad + 1)) policy-rejected
bad=$(count_events policy-rejected)
with_threshold 1 | sed "s|$SLOWQUEUE|$T/NOWHERE|" >"$T/policy.new"
mv "$T/policy.new" "$POLICY"
ok "a policy with a tier that does not exist is refused" wait_until 10 has_events $((bad + 1)) policy-rejected
is "none of them was loaded" "$(count_events policy-loaded)" "$loaded"
is "nothing moved by them" "$(files_in "$QUEUE")" 4
run_queue "$QUEUE"
ok "the old one stays in force: 3 attempts move" wait_until 10 only_in "$MIDQUEUE" "${ids[2]}"
ok "and 2 do not" only_in "$QUEUE" "${ids[1]}"

# ---- a tier more
mkdir -m 0700 "$T/FROZEN"
TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" },
    { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE\" },
    { \"name\": \"SLOWQUEUE\", \"directory\": \"$SLOWQUEUE\" },
    { \"name\": \"FROZEN\", \"directory\": \"$T/FROZEN\" }"
policy_write "${THREE_RULES/\"attempts\": 3/\"attempts\": 4},
    { \"name\": \"frozen\", \"tier\": \"MIDQUEUE\", \"when\": { \"attempts\": 5 }, \"then\": { \"move\": \"FROZEN\" } },
    { \"name\": \"thaw\", \"tier\": \"FROZEN\", \"when\": { \"attempts\": 6 }, \"then\": { \"move\": \"SLOWQUEUE\" } }"
loaded_again "a policy with a fourth tier is loaded"
ok "the fourth tier is used" wait_until 10 only_in "$T/FROZEN" "${ids[5]}"
run_queue "$T/FROZEN"
ok "and watched: its messages move on" wait_until 10 only_in "$SLOWQUEUE" "${ids[5]}"
saw_event 10 "that move is told" message-moved "/email/local_id=${ids[5]}" /qfwatch/move/from=FROZEN
is "by the new rule" "$(moves "${ids[5]}" | tail -n 1)" "FROZEN|SLOWQUEUE|thaw|attempts 6 >= 6|6"

daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
ok "the events are sound" events_are_sound "$EVENTS"
e2e_end
