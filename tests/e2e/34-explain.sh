#!/bin/bash
# Why a message is where it is: by id and by path, with each rule's comparison, what it waits for and what is in the way;
# with and without the daemon, at another time, as JSON; and nothing is touched.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
RULES='{ "name": "parked", "tier": "QUEUE", "when": { "any": [ { "recipient_domain": "*.parked.test" }, { "not": { "size": { "below": "1GiB" } } } ] },
      "then": { "keep": true } },
    { "name": "three attempts", "tier": "QUEUE", "when": { "attempts": 3 }, "then": { "move": "MIDQUEUE" } },
    { "name": "six days", "tier": "*", "when": { "age": "6d" }, "then": { "delete": true } },
    { "name": "dead domain", "tier": "MIDQUEUE", "when": { "domain": { "deferred": 5, "within": "10m" } },
      "then": { "move": "SLOWQUEUE" } },
    { "name": "ten attempts", "tier": "MIDQUEUE", "when": { "attempts": 10 }, "then": { "move": "SLOWQUEUE" } }'
policy_write "$RULES" '"allow_delete": true, "limits": { "moves_per_second": 50 },'

explain() {
	"$QFWATCH" explain -c "$POLICY" "$@" >"$T/explain.out" 2>"$T/explain.err"
}
# says WHAT GLOB: a line of the text output.
says() {
	matches "$1" "$(sed 's/^ *//' "$T/explain.out")" "*$2*"
}
# json WHAT POINTER EXPECTED
json() {
	is "$1" "$("$TOOLS/jsonq" "$T/explain.out" "$2")" "$3"
}
snapshot() {
	find "$T"/[A-Z]* "$T/run" -printf '%p %i %s %T@ %C@\n' | sort
}

queue_message "$QUEUE" defer.one@example.net
one=$ID
queue_message "$QUEUE" defer.two@mail.parked.test
two=$ID
queue_message "$MIDQUEUE" defer.three@example.org
three=$ID
run_queue "$QUEUE"
run_queue "$QUEUE"
must has_attempts "$QUEUE" "$one" 2

# ---- what it says and what it waits for, without a daemon
explain "$one"
is "by id: exit code" "$?" 0
is "by id: nothing to complain of" "$(cat "$T/explain.err")" ""
is "the first line: id and tier" "$(head -n 1 "$T/explain.out")" "$one in QUEUE"
says "the file" "file        $QUEUE/qf$one"
says "the attempts" "attempts    2, the last at 20"
says "the body" "body        $(stat -c %s "$QUEUE/df$one") bytes"
says "the sender" "sender      sender@example.test"
says "the recipient" "recipient   defer.one@example.net"
says "the status" "status      Deferred: "
says "a rule that does not hold, with its comparison" $'no   three attempts: move to MIDQUEUE\nattempts 2 >= 3: no'
says "conditions in conditions" $'any of: no\nrecipient_domain example.net matches "*.parked.test": no\nnot: no\nsize '
says "nothing is done now" "now         stays in QUEUE: no rule that decides holds"
says "the attempts to go" "next        after 1 more attempt: move to MIDQUEUE (three attempts)"
says "the time when an age is reached" "$(date -d "@$(($(qf_field "$QUEUE" "$one" T) + 6 * 86400))" "+at %F %T"), in "
matches "and how long that is" "$(cat "$T/explain.out")" "*, in "[56]d*": delete (six days)*"
says "nobody is there to do it" "no qfwatch is running for this tier: nothing will move it"
explain "$QUEUE/qf$one" "df$two"
is "by path and by the name of a df: exit code" "$?" 0
matches "both are told" "$(cat "$T/explain.out")" "$one in QUEUE*$two in QUEUE*"
says "the rule that decides" "-> yes  parked: keep"
says "the pattern that matched" 'recipient_domain mail.parked.test matches "*.parked.test": yes'
says "rules after it" $'-    three attempts: move to MIDQUEUE\nnot reached'
(cd "$QUEUE" && "$QFWATCH" explain -c "$POLICY" "./qf$one") >"$T/explain.out"
is "by a path from where we are" "$(head -n 1 "$T/explain.out")" "$one in QUEUE"

# ---- another time
explain --at +7d "$one"
matches "in seven days: what will be done then" "$(cat "$T/explain.out")" "*then        20*, in 7d: delete (six days)*"
explain --at "$(date -d '+7 days' '+%Y-%m-%d %H:%M')" --json "$one"
json "the same by the calendar, as JSON" /decision/action delete
explain --at -1d --json "$one"
json "a day ago" /decision/action stay
explain --at tomorrow "$one"
is "no time: exit code" "$?" 2

# ---- JSON
explain --json "$one" "$three"
is "JSON: exit code" "$?" 0
is "one line for each" "$("$TOOLS/jsonq" "$T/explain.out" /id /tier | tr '\t\n' ' ;')" "$one QUEUE;$three MIDQUEUE;"
explain --json "$one"
json "JSON: the attempts" /fields/attempts 2
json "JSON: the recipient" /fields/recipients/addresses/0 defer.one@example.net
json "JSON: a rule's condition" /rules/1/conditions/0/text "attempts 2 >= 3"
json "JSON: and its answer" /rules/1/conditions/0/holds no
json "JSON: conditions in conditions" /rules/0/conditions/0/conditions/1/text not
json "JSON: attempts to go" /rules/1/waits_for/attempts 1
json "JSON: when to ask again" /decision/again "$(date -u -d "@$(($(qf_field "$QUEUE" "$one" T) + 6 * 86400))" +%FT%TZ)"
json "JSON: no daemon" /daemon/running false
json "JSON: that is in the way" /blockers/0/kind no-daemon

# ---- what only the daemon knows
explain "$three"
is "a domain condition: exit code" "$?" 0
says "it says so" "domain example.org deferred >= 5 within 10m: not known (only the running daemon knows)"
says "and what depends on it" 'now         move to SLOWQUEUE if "dead domain" holds, which only the running daemon knows; else stays'
says "the rules after it are shown" "attempts 0 >= 10: no"

# ---- due, and locked
set_attempts "$QUEUE/qf$one" 3
for how in flock fcntl; do
	hold "$how" "$QUEUE/qf$one"
	explain "$one"
	says "$how: what is due" "now         move to MIDQUEUE (three attempts)"
	says "$how: who holds the lock" "blocked     no qfwatch is running for this tier: nothing will move it
its lock is held by holder, pid "
	explain --json "$one"
	json "$how: the pid" /lock/pid "$("$TOOLS/jsonq" "$T/explain.out" /lock/pid | grep -E '^[0-9]+$')"
	pid=$("$TOOLS/jsonq" "$T/explain.out" /lock/pid)
	is "$how: it is the holder's" "$(readlink "/proc/$pid/exe")" "$(readlink -f "$TOOLS/holder")"
	json "$how: the program" /lock/program holder
	release "$HELD"
	must wait_until 5 not is_locked "$QUEUE/qf$one"
done
explain --json "$one"
json "let go: no lock" /lock/held false

# ---- a real sendmail that is at it
queue_message "$MIDQUEUE" stall.four@example.net
four=$ID
run_queue_in_background "$MIDQUEUE"
must wait_until 20 test -e "$SINK/stalled"
explain "$four"
says "sendmail holds the lock: its name" "lock        held by sendmail"
matches "and what it says it does" "$(grep lock "$T/explain.out")" "*sendmail*, pid [0-9]*: sendmail*$four*"
sink_go_on
must wait_until 20 not test -e "$MIDQUEUE/qf$four"

# ---- refused, and why
set_attempts "$QUEUE/qf$one" 3
cp -p "$QUEUE/qf$one" "$MIDQUEUE/qf$one"
explain "$QUEUE/qf$one"
says "the target has it" "the target tier already has that qf: compare the two"
explain "$one"
is "an id in two tiers: both are told" "$(grep -c "^$one in " "$T/explain.out")" 2
rm "$MIDQUEUE/qf$one"
mv "$QUEUE/df$one" "$T/df"
explain "$one"
says "no body" "its df is missing: look for the df in the other tiers"
mv "$T/df" "$QUEUE/df$one"
ln "$QUEUE/df$one" "$T/link"
explain "$one"
says "a body with another link" "its df has another link outside the tiers"
rm "$T/link"
ln "$QUEUE/df$one" "$MIDQUEUE/df$one"
explain "$one"
says "a link that an interrupted move left" "an interrupted move left a second link to its df in $MIDQUEUE"
rm "$MIDQUEUE/df$one"
ln "$QUEUE/qf$one" "$T/link"
explain "$one"
is "a qf with another link: exit code" "$?" 1
says "and why" "the qf has more than one link: find the other name"
rm "$T/link"
edit_qf "$QUEUE/qf$one" '/^T/a d/elsewhere'
explain "$one"
says "a body elsewhere" "the qf has a d line"
edit_qf "$QUEUE/qf$one" '/^d/d'

# ---- quarantined, given up, not there
mv "$QUEUE/qf$two" "$QUEUE/hf$two"
explain --json "$two"
json "an hf is found" /file "$QUEUE/hf$two"
json "and known for what it is" /fields/quarantined true
explain "$two"
says "rules say that they leave it alone" "leaves quarantined messages alone"
mv "$QUEUE/hf$two" "$QUEUE/Qf$two"
explain "$two"
is "given up by sendmail: exit code" "$?" 1
matches "and told so" "$(cat "$T/explain.err")" "*sendmail has given it up*Qf$two in $QUEUE"
mv "$QUEUE/Qf$two" "$QUEUE/qf$two"
explain AAAAAAAAAAAAAA "$one"
is "one that no tier has: exit code" "$?" 1
matches "it is told" "$(cat "$T/explain.err")" "*AAAAAAAAAAAAAA: no tier has it: it may have been delivered"
is "the other one is told all the same" "$(head -n 1 "$T/explain.out")" "$one in QUEUE"
explain --json AAAAAAAAAAAAAA
json "as JSON, too" /error "no tier has it: it may have been delivered"

# ---- bytes that steer terminals, bytes that are no UTF-8
cp "$QUEUE/qf$one" "$T/copy"
printf 'V8\nT1700000000\nK0\nN1\nMDeferred: \033]0;owned\007 \302\233 \342\200\256x\nS<a\201b@example.net>\nRPFD:<c\033[2Jd@ex\377ample.org>\n.\n' >"$QUEUE/qfAAAAAAAAAAAAAB"
explain AAAAAAAAAAAAAB
is "no control characters" "$(tr -d '\n\040-\176' <"$T/explain.out" | wc -c)" 0
says "what is left of them" "sender      a?b@example.net"
explain --json AAAAAAAAAAAAAB
json "JSON: bytes that are no UTF-8" /fields/sender $'a\357\277\275b@example.net'
rm "$QUEUE/qfAAAAAAAAAAAAAB"

# ---- a file elsewhere
explain "$T/copy"
is "a copy elsewhere: exit code" "$?" 0
says "in no tier" "none: it stands in no tier of the policy; see its rules with --tier QUEUE, MIDQUEUE, SLOWQUEUE"
explain --tier QUEUE "$T/copy"
says "as if in a tier" "now         stays in QUEUE: kept (parked)"
explain --tier QUEU "$T/copy"
is "a tier that there is not: exit code" "$?" 2
explain
is "no message: exit code" "$?" 2

# ---- nothing was touched; a tier that is lost
set_attempts "$QUEUE/qf$one" 2
before=$(snapshot)
explain "$one" "$three" "$QUEUE/qf$two"
explain --json "$one" "$three" "$QUEUE/qf$two"
is "nothing is touched" "$(snapshot)" "$before"
mv "$MIDQUEUE" "$T/away"
set_attempts "$QUEUE/qf$one" 3
explain "$one"
is "the target is lost: exit code" "$?" 0
says "it says so" "the target tier is lost: bring its directory back"
matches "and the tier on stderr" "$(cat "$T/explain.err")" "*tier MIDQUEUE*does not exist*"
mv "$T/away" "$MIDQUEUE"

# ---- with the daemon
set_attempts "$QUEUE/qf$one" 2
daemon_start
explain --json "$one"
json "the daemon is seen" /daemon/running true
json "by its pid" /daemon/pid "$DAEMON"
json "and nothing is in the way" /blockers '[]'
hold flock "$QUEUE/qf$two"
explain "$two"
says "a lock on what is not due is told, too" "lock        held by holder, pid "
release "$HELD"
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
e2e_end
