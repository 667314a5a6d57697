#!/bin/bash
# What check proves of a policy that is right as it stands: rules that never act, circles, and what sendmail does first; as
# text and as JSON. And what it does not claim.
. "$(dirname "$0")/lib.sh"
e2e_begin
TIERS="{ \"name\": \"A\", \"directory\": \"$QUEUE\" }, { \"name\": \"B\", \"directory\": \"$MIDQUEUE\" }, { \"name\": \"C\", \"directory\": \"$T/no*\" }"
policy_write '{ "name": "to B", "tier": "A", "when": { "attempts": 3 }, "then": { "move": "B" } },
    { "name": "back", "tier": "B", "when": { "attempts": 2 }, "then": { "move": "A" } },
    { "name": "never", "tier": "A", "when": { "attempts": 5, "not": { "attempts": 4 } }, "then": { "keep": true } },
    { "name": "hidden", "tier": "A", "when": { "attempts": 10 }, "then": { "bounce": true } },
    { "name": "late", "tier": "B", "when": { "age": "6d" }, "then": { "delete": true } }' '"allow_delete": true,'
printf 'O Timeout.queuereturn=5d\n' >"$T/sendmail.cf"

"$QFWATCH" check -c "$POLICY" --sendmail-cf "$T/sendmail.cf" >"$T/out" 2>"$T/err"
is "notes are no errors: exit code" "$?" 0
said() {
	grep -qF "$POLICY: $1" "$T/err"
}
ok "a rule that never matches" said 'rule "never" that never matches at /rules/2/when: no message satisfies all that it says of "attempts"'
ok "a rule that is never reached" said 'rule "hidden" that is never reached at /rules/3: rule "to B", at /rules/0, decides for every message that it matches'
ok "moves that can circle" said 'moves that can circle, A -> B -> A, at /rules/0/then/move: "to B", "back" may match the same message'
ok "what sendmail does before" said 'rule "late" that acts from an age of 6d on at /rules/4/when: sendmail returns messages after 5d'
ok "a tier without a rule" said 'tier "C" without a rule at /tiers/2'
ok "a glob that matches nothing" said "no directory \"$T/no*\" on this machine at /tiers/2/directory: run would refuse to start here"

matches "how much it has" "$(cat "$T/out")" "$POLICY: the policy is right: 3 tiers, 5 rules"
(TIERS="{ \"name\": \"A\", \"directory\": \"$QUEUE\" }"
	policy_text '{ "name": "r", "tier": "A", "when": { "attempts": 3 }, "then": { "keep": true } }' >"$T/one.json")
is "how much another has" "$("$QFWATCH" check -c "$T/one.json" 2>/dev/null)" "$T/one.json: the policy is right: 1 tier, 1 rule"

"$QFWATCH" check -c "$POLICY" --json >"$T/check.json" 2>"$T/err"
is "as JSON: exit code" "$?" 0
is "as JSON: valid" "$("$TOOLS/jsonq" "$T/check.json" /valid)" true
is "as JSON: places" "$("$TOOLS/jsonq" "$T/check.json" /findings/0/pointer /findings/1/pointer /findings/2/pointer | tr '\t' ' ')" \
	"/tiers/2 /rules/2/when /rules/3"

# Where it listens, in run's own words.
listens() {
	policy_write '{ "name": "r", "tier": "A", "when": { "attempts": 3 }, "then": { "move": "B" } },
    { "name": "s", "tier": "B", "when": { "age": "6d" }, "then": { "bounce": true } }' "\"listen\": $1,"
	"$QFWATCH" check -c "$POLICY" --json >"$T/check.json"
}
# found WHAT POINTER WORDS: check --json exits with 0 and has that finding; and run refuses in the same words
found() {
	is "$1: exit code" "$?" 0
	is "$1" "$(jq -r --arg at "$2" '.findings[] | select(.pointer == $at) | .text' "$T/check.json")" "$POLICY: $3"
	timeout 30 "$QFWATCH" run -c "$POLICY" >/dev/null 2>"$T/err"
	is "$1: run refuses in these words" "$? $(sed 's/^<3>qfwatch: //' "$T/err" | grep -vF "$POLICY")" "3 $3"
}
TIERS="{ \"name\": \"A\", \"directory\": \"$QUEUE\" }, { \"name\": \"B\", \"directory\": \"$MIDQUEUE\" }"
mkdir "$T/listen"
listens "{ \"address\": \"unix:$T/listen/new/sock\", \"group\": \"no-such-group\" }"
found "a group that is not there" /listen/group \
	"cannot listen on unix:$T/listen/new/sock: there is no group \"no-such-group\": make it, or name another in the policy's /listen/group"
listens "\"unix:$T/listen/new/sock\""
is "a folder that run makes" "$(jq -r '.findings[] | .pointer' "$T/check.json")" ""
listens "\"unix:$T/listen/one/two/sock\""
found "a folder that it does not make" /listen "cannot listen on unix:$T/listen/one/two/sock (No such file or directory): create its folder"
touch "$T/listen/file"
listens "\"unix:$T/listen/file\""
found "something else in the way" /listen \
	"cannot listen on unix:$T/listen/file (what stands there is no socket): remove it, or change \"listen\" in the policy"
listens "\"unix:$T/listen/file/sock\""
found "a file for a folder" /listen "cannot listen on unix:$T/listen/file/sock (Not a directory): change \"listen\" in the policy"
listens "{ \"address\": \"127.0.0.1:9\", \"token_file\": \"$T/listen/token\" }"
found "a token file that is not there" /listen/token_file \
	"cannot use the token file $T/listen/token (No such file or directory): make it: (umask 077; openssl rand -hex 32 >FILE)"
echo 0123456789abcdef >"$T/listen/token"
chmod 0644 "$T/listen/token"
listens "{ \"address\": \"127.0.0.1:9\", \"token_file\": \"$T/listen/token\" }"
found "a token file that others may read" /listen/token_file \
	"cannot use the token file $T/listen/token (mode 0644): nobody but its owner may read it: chmod 0600"
chmod 0600 "$T/listen/token"
listens "{ \"address\": \"127.0.0.1:9\", \"token_file\": \"$T/listen/token\" }"
is "one that is right" "$(jq -c .findings "$T/check.json")" "[]"

# Tiers that are one directory by two names, which run refuses in the same words. The policy alone does not show it.
# overlaps WHAT DIRECTORY DIRECTORY WORDS: check refuses these tiers, at the second one
overlaps() {
	TIERS="{ \"name\": \"A\", \"directory\": \"$2\" }, { \"name\": \"B\", \"directory\": \"$3\" }"
	policy_write '{ "name": "r", "tier": "A", "when": { "attempts": 3 }, "then": { "move": "B" } },
    { "name": "s", "tier": "B", "when": { "age": "6d" }, "then": { "bounce": true } }'
	"$QFWATCH" check -c "$POLICY" >"$T/out" 2>"$T/err"
	is "$1: exit code" "$?" 2
	is "$1: told, and nothing else" "$(cat "$T/out" "$T/err")" "$POLICY: tier B at /tiers/1/directory: $4"
	is "$1: as JSON" "$("$QFWATCH" check -c "$POLICY" --json | jq -c '[.valid, .tiers, (.findings[] | .kind, .pointer)]')" \
		'[false,null,"invalid","/tiers/1/directory"]'
	timeout 30 "$QFWATCH" run -c "$POLICY" >/dev/null 2>"$T/err"
	is "$1: run refuses in these words" "$? $(sed 's/^<3>qfwatch: //' "$T/err")" "2 $POLICY: tier B at /tiers/1/directory: $4"
}
mkdir -p "$T/q/one" "$T/q/two" "$T/q/one/in"
ln -s one "$T/q/link"
ln -s ../q "$T/q/away"
overlaps "a link" "$T/q/one" "$T/q/link" "$T/q/link is the same directory as $T/q/one of tier A: give each tier its own"
overlaps "two dots behind a link" "$T/q/one" "$T/q/away/../q/one" "$T/q/away/../q/one is the same directory as $T/q/one of tier A: give each tier its own"
overlaps "two globs that share one" "$T/q/o*" "$T/q/*e" "$T/q/one is the same directory as $T/q/one of tier A: give each tier its own"
overlaps "by a link, one in the other" "$T/q/one" "$T/q/link/in" "$T/q/link/in lies inside $T/q/one of tier A: put them side by side"
# One that is not there, or a file, is no directory that could be another one.
apart() {
	TIERS="{ \"name\": \"A\", \"directory\": \"$2\" }, { \"name\": \"B\", \"directory\": \"$3\" }"
	policy_write '{ "name": "r", "tier": "A", "when": { "attempts": 3 }, "then": { "move": "B" } },
    { "name": "s", "tier": "B", "when": { "age": "6d" }, "then": { "bounce": true } }'
	is "$1" "$("$QFWATCH" check -c "$POLICY" --json | jq -c '[.valid, (.findings[] | .kind)]')" "$4"
}
ln -s nowhere "$T/q/dangling"
touch "$T/q/file"
ln -s file "$T/q/to-file"
apart "side by side" "$T/q/one" "$T/q/two" '[true]'
apart "where a link leads nowhere" "$T/q/nowhere" "$T/q/dangling" '[true,"note","note"]'
apart "where a link leads to a file" "$T/q/file" "$T/q/to-file" '[true,"note","note"]'

# Two rules that look alike, but are not: nothing is claimed of them.
TIERS="{ \"name\": \"A\", \"directory\": \"$QUEUE\" }, { \"name\": \"B\", \"directory\": \"$MIDQUEUE\" }"
policy_write '{ "name": "dead", "tier": "A", "when": { "domain": { "deferred": 50, "within": "10m" } }, "then": { "move": "B" } },
    { "name": "alive", "tier": "B", "when": { "domain": { "delivered_from": ["B"], "within": "5m" } }, "then": { "move": "A" } },
    { "name": "old and large", "tier": "A", "when": { "age": "1d", "size": "1MiB" }, "then": { "keep": true } },
    { "name": "older", "tier": "A", "when": { "age": "2d" }, "then": { "bounce": true } }'
"$QFWATCH" check -c "$POLICY" >"$T/out" 2>"$T/err"
is "nothing is claimed that is not certain" "$(cat "$T/err")" ""
e2e_end
