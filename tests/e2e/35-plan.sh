#!/bin/bash
# `plan` over a real spool: what is due now and by the hour, as a table and as JSON, the same as the daemon then does; and it
# touches nothing.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# All that can be seen of the tiers; of directories not when they were read last, because find reads them.
listing() {
	find "$T"/[A-Z]* "$T/run" -printf '%p %y inode %i mode %m owner %u:%g links %n size %s mtime %T@ ctime %C@\n' | sort
	find "$T"/[A-Z]* -type f -printf '%p atime %A@\n' | sort
	find "$T"/[A-Z]* -type f -exec sha256sum {} + | sort
}
touches_nothing() {
	is "it touches nothing" "$(diff "$T/before" <(listing))" ""
}
plan() {
	"$QFWATCH" plan -c "$POLICY" "$@" >"$T/plan.out" 2>"$T/plan.err"
}
# json WHAT POINTER EXPECTED
json() {
	is "$1" "$("$TOOLS/jsonq" "$T/plan.out" "$2")" "$3"
}
# says WHAT GLOB: a line of the table, its blanks squeezed.
says() {
	local line
	while IFS= read -r line; do
		# shellcheck disable=SC2053
		if [[ $line == $2 ]]; then
			pass "$1"
			return
		fi
	done < <(tr -s ' ' <"$T/plan.out" | sed 's/ $//')
	fail "$1" "expected: $2" "$(cat "$T/plan.out" "$T/plan.err")"
}
# make_old FILE SECONDS
make_old() {
	edit_qf "$1" "s/^T.*/T$(($(date +%s) - $2))/"
}

for attempts in 1 2 3 4; do
	queue_message "$QUEUE" "defer.$attempts@example.net"
	set_attempts "$QUEUE/qf$ID" "$attempts"
done
four=$ID
make_old "$QUEUE/qf$four" $((6 * 86400 - 5400))
queue_message "$QUEUE" defer.12@example.net
set_attempts "$QUEUE/qf$ID" 12
queue_message "$SLOWQUEUE" defer.old@example.net
make_old "$SLOWQUEUE/qf$ID" $((7 * 86400))
queue_message "$SLOWQUEUE" defer.soon@example.net
make_old "$SLOWQUEUE/qf$ID" $((6 * 86400 - 1800))
RULES="$THREE_RULES,
    { \"name\": \"six days\", \"tier\": [\"MIDQUEUE\", \"SLOWQUEUE\"], \"when\": { \"age\": \"6d\" }, \"then\": { \"delete\": true } }"
policy_write "$RULES" '"allow_delete": true, "limits": { "moves_per_second": 1 },'
# What is read soon after it was written gets a time of access, whoever reads.
is_settled() {
	listing >"$T/before"
	diff "$T/before" <(listing) >/dev/null
}
must wait_until 5 is_settled

plan
is "exit code 0" "$?" 0
is "nothing on stderr" "$(cat "$T/plan.err")" ""
says "the tier is told with what stands there and will" "QUEUE 5 - * 2 2 2 2 2 2 2"
says "what is moved on at once is in the tier where it ends" "MIDQUEUE . - - 2 2 1 1 1 1 1"
says "removals by hour" "SLOWQUEUE 2 - 7d 2 1 1 1 1 1 1"
says "what is gone adds up" "(deleted, bounced) 1 2 3 3 3 3 3"
says "a rule's moves are due now" "three attempts move MIDQUEUE 3 . . . . . . 3"
says "a second step in the same second counts, too" "ten attempts move SLOWQUEUE 1 . . . . . . 1"
says "a message is followed to where it goes later" "six days delete 1 1 1 . . . . 3"
says "the limit is told" "4 moves are due now: about 4s at 1 a second*"
says "and what is not known" "*attempts that sendmail makes come on top*"
touches_nothing

plan --json
is "--json: exit code 0" "$?" 0
is "it is one line" "$(wc -l <"$T/plan.out")" 1
json "messages" /messages 7
json "the rule's name" /rules/2/name "six days"
json "its action" /rules/0/action move
json "and target" /rules/0/to MIDQUEUE
json "now" /rules/0/now 3
json "every hour" /rules/2/hours "[1,1$(printf ',0%.0s' {1..22})]"
json "a tier at the end of every hour" /tiers/1/hours "[2$(printf ',1%.0s' {1..23})]"
json "the limit" /limits/moves_per_second/seconds 4
touches_nothing

plan --json --at +2h --hours 2
json "--at: what is due by then is due" /rules/2/now 3
json "--hours" /hours 2
plan --at "$(date -u -d '-1 day' +%Y-%m-%dT%H:%M:%SZ)" --json
json "--at in the past" /rules/2/hours "[$(printf '0,%.0s' {1..23})0]"
json "is a day earlier" /rules/2/now 1
plan --sizes --json
ok "--sizes tells the bodies" test "$("$TOOLS/jsonq" "$T/plan.out" /tiers/0/body_bytes)" -gt 1000

plan --hours 721
is "--hours 721: exit code 2" "$?" 2
plan --at yesterday
is "--at yesterday: exit code 2" "$?" 2
plan more
is "an argument too much: exit code 2" "$?" 2
"$QFWATCH" plan -c "$T/none.json" 2>/dev/null
is "no policy: exit code 3, as for the other commands" "$?" "$("$QFWATCH" check -c "$T/none.json" 2>/dev/null; echo $?)"
touches_nothing

# What the plan says is what happens.
policy_write "$RULES" '"allow_delete": true,'
plan --json
daemon_start --once
wait_until 10 process_is_gone "$DAEMON"
for rule in 0 1 2; do
	name=$("$TOOLS/jsonq" "$T/plan.out" /rules/$rule/name)
	is "the daemon does as planned: $name" \
		"$(events -- /qfwatch/move/rule /qfwatch/rule | grep -cwF "$name")" "$("$TOOLS/jsonq" "$T/plan.out" /rules/$rule/now)"
done
for tier in 0 1 2; do
	name=$("$TOOLS/jsonq" "$T/plan.out" /tiers/$tier/name)
	is "and leaves what was planned in $name" "$(find "$T/$name" -name 'qf*' | wc -l)" "$("$TOOLS/jsonq" "$T/plan.out" /tiers/$tier/now)"
done

# What cannot be read is told, and followed nowhere.
mkfifo "$QUEUE/qffifo"
ln -s /etc/passwd "$QUEUE/qflink"
printf 'V8\nTx\nN0\nK0\n.\n' >"$QUEUE/qfbad"
timeout 10 "$QFWATCH" plan -c "$POLICY" >"$T/plan.out" 2>"$T/plan.err"
is "a spool with other things in it: exit code 1" "$?" 1
says "each is told with its reason" "1 left alone: the qf is a FIFO (qffifo in QUEUE)*"
says "a link, too" "1 left alone: the qf is a symbolic link (qflink in QUEUE)*"
plan --json
json "and in JSON" /refused 3
e2e_end
