#!/bin/bash
# What cannot be written is told: a full disk, a standard output that is closed. A reader who goes early is not.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

SOCKET=$T/http.sock
queue_message "$QUEUE" defer.a@example.net
policy_write "$THREE_RULES" "\"listen\": \"unix:$SOCKET\","
daemon_start
must wait_until 5 test -S "$SOCKET"

# tells COMMAND ARGUMENTS...: it says of a full disk and of a closed standard output that it cannot write, and ends with 3
tells() {
	local command=$1
	shift
	"$QFWATCH" "$command" "$@" >/dev/full 2>"$T/err"
	is "$command ${*: -1}: a full disk" "$? $(tail -n 1 "$T/err")" \
		"3 qfwatch $command: standard output cannot be written to: No space left on device: make room there, or write elsewhere"
	"$QFWATCH" "$command" "$@" >&- 2>"$T/err"
	is "$command ${*: -1}: a closed one" "$? $(tail -n 1 "$T/err")" \
		"3 qfwatch $command: standard output cannot be written to: Bad file descriptor: it is closed"
}
for how in -- --json; do
	[ "$how" = -- ] && how=
	# shellcheck disable=SC2086
	for command in check plan list shape doctor status; do
		tells "$command" -c "$POLICY" $how
	done
	# shellcheck disable=SC2086
	tells explain -c "$POLICY" $how "$ID"
	# shellcheck disable=SC2086
	tells events $how "$EVENTS"
	# shellcheck disable=SC2086
	tells replay -c "$POLICY" $how "$EVENTS"
done
tells list -c "$POLICY" --spool
tells shape -c "$POLICY" --spool
tells top -c "$POLICY" --batch
tells move -c "$POLICY" --to QUEUE "$ID"
tells import-qctrl "qctrl move $QUEUE $MIDQUEUE tries:3"
jq '.events = {"sinks": [{"type": "stdout"}]} | del(.listen)' "$POLICY" >"$T/stdout.json"
"$QFWATCH" run --once --dry-run -c "$T/stdout.json" >&- 2>"$T/err"
is "run with events to a closed standard output: exit code" $? 3
matches "and why" "$(cat "$T/err")" "*Bad file descriptor*"
(trap '' PIPE && "$QFWATCH" list -c "$POLICY" 2>"$T/err"; echo $? >"$T/code") | true
is "a reader who has gone is no trouble" "$(cat "$T/code" "$T/err")" 0
daemon_stop
e2e_end
