#!/bin/bash
# `replay`: a real run is recorded. Replayed with the same policy it gives the same moves; with another one the difference
# that was to be expected. Gaps in the record are told.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# record_policy FILE RULES: as policy_write, with every event.
record_policy() {
	policy_text "$2" '"allow_delete": true,' |
		sed 's/"events": {/"events": { "include": ["message-tracked", "message-attempted"],/' >"$1.new"
	mv "$1.new" "$1"
}
replay() {
	"$QFWATCH" replay -c "$@" >"$T/replay.out" 2>"$T/replay.err"
}
# json WHAT POINTER EXPECTED
json() {
	is "$1" "$("$TOOLS/jsonq" "$T/replay.out" "$2")" "$3"
}
# both WHAT POINTER EXPECTED: recorded and replayed alike
both() {
	json "$1, as recorded" "$2/recorded/total" "$3"
	json "$1, as replayed" "$2/replayed/total" "$3"
}
says() {
	local line
	while IFS= read -r line; do
		# shellcheck disable=SC2053
		if [[ $line == $2 ]]; then
			pass "$1"
			return
		fi
	done < <(tr -s ' ' <"$T/replay.out" | sed 's/ $//')
	fail "$1" "expected: $2" "$(cat "$T/replay.out" "$T/replay.err")"
}
rules() {
	cat <<-END
		{ "name": "attempts", "tier": "QUEUE", "when": { "attempts": $1 }, "then": { "move": "MIDQUEUE" } },
		{ "name": "age", "tier": "MIDQUEUE", "when": { "age": "$2" }, "then": { "move": "SLOWQUEUE" } },
		{ "name": "six days", "tier": "SLOWQUEUE", "when": { "age": "6d" }, "then": { "delete": true } }
	END
}

record_policy "$POLICY" "$(rules 3 5s)"
queue_message "$SLOWQUEUE" defer.old@example.net
edit_qf "$SLOWQUEUE/qf$ID" "s/^T.*/T$(($(date +%s) - 7 * 86400))/"
daemon_start
for i in 1 2 3; do
	queue_message "$QUEUE" "defer.$i@example.net"
	sent[i]=$ID
done
saw_event 5 "the old one is deleted" message-deleted
for attempt in 1 2 3; do
	run_queue "$QUEUE"
	ok "attempt $attempt of all three is recorded" wait_until 5 has_events 3 message-attempted "/qfwatch/message/attempts=$attempt"
done
for i in 1 2 3; do
	saw_event 5 "message $i is moved" message-moved "/email/local_id=${sent[i]}" /qfwatch/move/to=MIDQUEUE
	saw_event 15 "and moved on by its age" message-moved "/email/local_id=${sent[i]}" /qfwatch/move/to=SLOWQUEUE
done
sink_accept
run_queue "$SLOWQUEUE"
must wait_until 5 has_events 3 message-departed
daemon_stop
ok "the record is sound" events_are_sound "$EVENTS"

replay "$POLICY" --json "$EVENTS"
is "the same policy: exit code 0" "$?" 0
both "three moves by attempts" /rules/0 3
both "three by age" /rules/1 3
both "one deletion" /rules/2 1
is "in the same hours" "$("$TOOLS/jsonq" "$T/replay.out" /rules/0/recorded/hours)" \
	"$("$TOOLS/jsonq" "$T/replay.out" /rules/0/replayed/hours)"
for tier in 0 1 2; do
	is "tier $tier is the same at the end of every hour" "$("$TOOLS/jsonq" "$T/replay.out" /tiers/$tier/recorded/hours)" \
		"$("$TOOLS/jsonq" "$T/replay.out" /tiers/$tier/replayed/hours)"
done
json "four messages" /messages 4
json "none is left" /left_replayed 0
json "nothing is missing" /missing 0
json "no attempt without its event" /attempts_jumped 0

# At the third attempt all would be in MIDQUEUE for a second attempt already; and nothing would go to SLOWQUEUE.
record_policy "$T/two.json" "$(rules 2 1d)"
replay "$T/two.json" --json - <"$EVENTS"
is "another policy, from standard input: exit code 0" "$?" 0
json "the moves by attempts, recorded" /rules/0/recorded/total 3
json "and as this policy has them" /rules/0/replayed/total 3
json "none by age" /rules/1/replayed/total 0
json "recorded were three" /rules/1/recorded/total 3
json "the deletion is the same" /rules/2/replayed/total 1

record_policy "$T/four.json" "$(rules 4 5s)"
replay "$T/four.json" "$EVENTS"
is "a fourth attempt was never made in QUEUE: exit code 0" "$?" 0
says "no move then" "attempts move MIDQUEUE 3 . ."
says "nor what follows from it" "age move SLOWQUEUE 3 . ."
says "the deletion stays" "six days delete 1 1 ."
says "the model is told" "Attempts and departures are taken as recorded*"

record_policy "$T/text.json" '{ "name": "by sender", "tier": "QUEUE", "when": { "sender": "*@example.test" }, "then": { "move": "SLOWQUEUE" } }'
replay "$T/text.json" "$EVENTS"
says "what events do not tell is counted" "by sender move SLOWQUEUE . . 3"
says "rules that are not in this policy are told beside it" "attempts (not in this policy) 3 . ."

# Attempts tell whose they were: the fifth failure of the domain is one of the second queue run.
record_policy "$T/domain.json" '{ "name": "dead", "tier": "QUEUE", "when": { "domain": { "deferred": 5, "within": "10m" } },
    "then": { "move": "SLOWQUEUE" } },
    { "name": "another", "tier": "QUEUE", "when": { "recipient_domain": "*.org" }, "then": { "move": "MIDQUEUE" } }'
replay "$T/domain.json" --json "$EVENTS"
json "a domain that fails five times leaves" /rules/0/replayed/total 3
json "and is judged for all" /rules/0/unknown 0
json "as domains are by themselves" /rules/1/unknown 0
json "which are none of these" /rules/1/replayed/total 0

# A record with holes: a line torn in two by a full disk, one lost, one given twice.
{
	sed '5d' "$EVENTS"
	tail -n 1 "$EVENTS"
	head -c 100 "$EVENTS"
} >"$T/holes"
replay "$POLICY" --json "$T/holes"
is "a record with holes: exit code 0" "$?" 0
json "a torn line" /torn 1
json "a line that is missing" /missing 1
json "a line given twice" /repeated 1

# Without its beginning and without attempts: moves are known from themselves.
grep '"message-moved"' "$EVENTS" >"$T/moves"
replay "$POLICY" --json "$T/moves"
both "moves alone" /rules/0 3
json "each was seen at its move" /first_seen_acted_on 3
json "the beginning is missing" /without_beginning 1
replay "$POLICY" "$T/moves"
says "it says what to record" "There is no event message-attempted*"

: >"$T/empty"
replay "$POLICY" "$T/empty"
is "no event at all: exit code 1" "$?" 1
replay "$POLICY" "$T/not-there"
is "no such file: exit code 2" "$?" 2
replay "$POLICY"
is "no file named: exit code 2" "$?" 2
replay "$T/not-there" "$EVENTS"
ok "no such policy: not 0" test "$?" -ne 0
e2e_end
