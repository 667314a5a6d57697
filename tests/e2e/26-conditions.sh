#!/bin/bash
# Each condition on messages that real sendmail has queued: decided by a running daemon at arrival and after attempts, and
# again from memory when the policy is saved.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# queue NAME RECIPIENTS HEADERS [ARGUMENTS]: queues one by hand; its id in ids[NAME]
declare -A ids
queue() {
	local name=$1 recipients=$2 headers=$3 before after
	shift 3
	before=$(find "$QUEUE" -name 'qf*' -printf '%f\n' | sort)
	# shellcheck disable=SC2086
	printf '%b\n\nbody of %s\n' "$headers" "$name" | must sendmail -odq -oi "-OQueueDirectory=$QUEUE" "$@" -- $recipients
	after=$(find "$QUEUE" -name 'qf*' -printf '%f\n' | sort)
	ID=$(comm -13 <(echo "$before") <(echo "$after"))
	ids[$name]=${ID#qf}
}

# who_is_in DIRECTORY: the names of the messages there
who_is_in() {
	local name
	for name in "${!ids[@]}"; do
		[ ! -e "$1/qf${ids[$name]}" ] || echo "$name"
	done | sort | tr '\n' ' '
}

# holds WHAT WHEN NAMES: with that condition, these messages move to MIDQUEUE in one pass; then they go back
holds() {
	policy_write "{ \"name\": \"it\", \"tier\": \"QUEUE\", \"when\": $2, \"then\": { \"move\": \"MIDQUEUE\" } }"
	"$QFWATCH" run --once -c "$POLICY" >"$T/once.out" 2>"$T/once.err"
	is "$1: $2" "$(who_is_in "$MIDQUEUE")" "$3"
	find "$MIDQUEUE" -type f -exec mv -t "$QUEUE" {} +
}

queue plain defer.a@example.net 'Subject: plain' -f news@shop.example
queue folded defer.b@Example.ORG 'Subject: a subject\n that is folded\nX-Mailing: urgent-42' -f news@shop.example
queue many 'defer.c@example.net defer.d@example.org defer.e@example.com' 'Subject: to many' -f other@else.example
queue bytes defer.f@example.net 'Subject: Gr\0303\0274\0303\0237e' -f news@shop.example
head -c 20000 /dev/zero | tr '\0' 'x' | fold >"$T/large"
queue_message "$QUEUE" defer.large@example.net "$T/large"
ids[large]=$ID
all="bytes folded large many plain "

holds "size" '{ "size": "10kB" }' "large "
holds "size below" '{ "size": { "below": 20000 } }' "bytes folded many plain "
holds "recipients" '{ "recipients": 2 }' "many "
holds "sender" '{ "sender": "*@SHOP.example" }' "bytes folded plain "
holds "recipient, any of them" '{ "recipient": "*@example.com" }' "many "
holds "domain in another case" '{ "recipient_domain": "example.org" }' "folded many "
holds "all recipients" '{ "recipient_domain": { "all": ["example.org", "example.net"] } }' "bytes folded large plain "
holds "regex" '{ "recipient": { "regex": "^defer\\.[ab]@" } }' "folded plain "
holds "header" '{ "header": { "x-mailing": "urgent-*" } }' "folded "
holds "a folded header" '{ "header": { "Subject": "a subject*folded" } }' "folded "
holds "a header in UTF-8" '{ "header": { "Subject": "Grüße" } }' "bytes "
holds "any" '{ "any": [ { "size": "10kB" }, { "recipients": 2 } ] }' "large many "
holds "not" '{ "not": { "sender": "news@*" } }' "large many "
holds "nested" '{ "not": { "any": [ { "sender": "news@*" }, { "not": { "recipients": 2 } } ] } }' "many "
holds "incomplete" '{ "incomplete": true }' ""
holds "complete" '{ "incomplete": false }' "$all"
holds "never tried" '{ "since_attempt": { "below": "1h" } }' ""
holds "below in attempts" '{ "attempts": { "below": 1 } }' "$all"
holds "messages in the tier" '{ "tier_messages": { "at_least": 6 } }' ""

edit_qf "$QUEUE/qf${ids[plain]}" '/^R/d'
holds "without a recipient" '{ "incomplete": true }' "plain "
rm "$QUEUE/qf${ids[plain]}" "$QUEUE/df${ids[plain]}"
unset 'ids[plain]'
run_queue "$QUEUE"
holds "status" '{ "status": "Deferred: 451 *come again" }' "bytes folded large many "
holds "since the attempt" '{ "since_attempt": { "below": "1h" } }' "bytes folded large many "

# While it runs: at arrival, after an attempt, and when the tier fills.
policy_write '{ "name": "urgent", "tier": "QUEUE", "when": { "header": { "X-Mailing": "urgent-*" } }, "then": { "keep": true } },
    { "name": "full", "tier": "QUEUE", "when": { "tier_messages": 5, "sender": "news@*" }, "then": { "move": "MIDQUEUE" } }'
daemon_start
is "nothing moves yet" "$(who_is_in "$MIDQUEUE")" ""
queue_message "$QUEUE" defer.x@example.net
ok "the fifth message makes the tier full" wait_until 5 has_event message-moved "/email/local_id=${ids[bytes]}"
is "the one with priority stays" "$(who_is_in "$MIDQUEUE")" "bytes "
policy_write '{ "name": "large ones", "tier": "QUEUE", "when": { "size": "10kB" }, "then": { "move": "SLOWQUEUE" } },
    { "name": "by sender", "tier": "MIDQUEUE", "when": { "sender": "news@*" }, "then": { "move": "SLOWQUEUE" } }'
ok "a saved policy is decided from memory" wait_until 5 only_in "$SLOWQUEUE" "${ids[large]}"
ok "or with the qf, where memory does not know" wait_until 5 only_in "$SLOWQUEUE" "${ids[bytes]}"
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
e2e_end
