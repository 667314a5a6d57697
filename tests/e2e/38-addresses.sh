#!/bin/bash
# What events say of addresses, with messages of a real sendmail: nothing, domains, hashes as openssl computes them, or all;
# changed by a reload, and never a subject or a body. A key that others could know is refused.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# The texts that must not be seen where they may not: none is part of a rule.
SENDER=Sender.Hush@Origin.Example.TEST
FIRST=defer.Hidden.One@First.Example.NET
SUBJECT='A Confidential Subject'
BODY='a line of thirty-eight characters'

cat >"$T/no-sendmail" <<END
#!/bin/sh
echo "<$FIRST>... Deferred: no"
exit 75
END
chmod +x "$T/no-sendmail"

# Rules that ask for all there is, so that their reasons are about it; those of the domain conditions are told, too.
RULES='{ "name": "told", "tier": "*", "when": { "sender": "*@origin.*", "recipient": "*@first.*", "header": { "Subject": "A *" },
      "recipients": 2 }, "then": { "notify": true } },
    { "name": "back", "tier": "QUEUE", "when": { "attempts": 5 }, "then": { "bounce": true } },
    { "name": "three", "tier": "QUEUE", "when": { "attempts": 3, "status": "*", "recipient_domain": "second.*",
      "sender": "*@origin.*", "recipient": "*@first.*", "header": { "Subject": "A *" } }, "then": { "move": "MIDQUEUE" } },
    { "name": "gone", "tier": "MIDQUEUE", "when": { "attempts": 4, "sender": "*" }, "then": { "delete": true } },
    { "name": "dead", "tier": "SLOWQUEUE", "when": { "domain": { "deferred": 1, "within": "1m" } }, "then": { "move": "QUEUE" } }'

# policy_for EVENTS-KEYS
policy_for() {
	policy_text "$RULES" "\"allow_delete\": true, \"sendmail\": \"$T/no-sendmail\"," |
		sed 's|"events": {|&'" $1 "'"include": ["*"], |' >"$T/policy.new"
	mv "$T/policy.new" "$POLICY"
}

# reload WHAT EVENTS-KEYS: and goes on with an event file of its own.
reload() {
	local loaded
	loaded=$(count_events policy-loaded)
	policy_for "$2"
	daemon_signal HUP
	ok "$1" wait_until 5 has_events $((loaded + 1)) policy-loaded
}

# fields FILTER: of the events since the last call of `message`, as compact JSON.
fields() {
	tail -n "+$((SINCE + 1))" "$EVENTS" | jq -c "$1"
}

# queue_from SENDER RECIPIENT...: a message that is not tried yet; its id in $ID.
queue_from() {
	must is_empty "$QUEUE"
	printf 'From: <%s>\nSubject: %s\n\n%s\n' "$1" "$SUBJECT" "$BODY" |
		must sendmail -odq -oi "-OQueueDirectory=$QUEUE" -f "$@"
	ID=$(basename "$QUEUE"/qf*)
	ID=${ID#qf}
}

# message WHAT: one with these addresses, tried, bounced in vain, moved and deleted; its id in $ID.
message() {
	# Each time a domain that has not failed yet.
	MESSAGES=$((${MESSAGES:-0} + 1))
	SECOND=defer.hidden.two@second.example$MESSAGES.net
	SINCE=$(wc -l <"$EVENTS")
	queue_from "$SENDER" "$FIRST" "$SECOND"
	run_queue "$QUEUE"
	ok "$1: tried by sendmail" wait_until 5 has_event message-attempted "/email/local_id=$ID"
	rewrite_qf "$QUEUE/qf$ID" 5
	saw_event 5 "$1: a bounce that fails is told" message-bounced "/email/local_id=$ID" /event/outcome=failure
	rewrite_qf "$QUEUE/qf$ID" 3
	saw_event 5 "$1: moved" message-moved "/email/local_id=$ID" /qfwatch/move/rule=three
	rewrite_qf "$MIDQUEUE/qf$ID" 4
	saw_event 5 "$1: deleted" message-deleted "/email/local_id=$ID"
	ok "$1: told of" has_event message-noticed "/email/local_id=$ID"
	ok "$1: its domain is told" test -n "$(fields 'select(.event.action == "domain-deferred")')"
	ok "$1: never a subject" not grep -iF "$SUBJECT" "$EVENTS"
	ok "$1: never a body" not grep -iF "$BODY" "$EVENTS"
}

# nothing_of WHAT TEXT...: none of these events holds any of the texts, in any case.
nothing_of() {
	local what=$1 text
	shift
	for text in "$@"; do
		is "$what: no $text" "$(fields . | grep -iF "$text")" ""
	done
}

# moved FILTER: of the move among these events.
moved() {
	fields "select(.event.action == \"message-moved\" and .qfwatch.move.rule == \"three\") | $1"
}

# hash_of ADDRESS: as the man page says.
hash_of() {
	local address=${1,,}
	printf 'hmac-sha256:%.32s@%s' "$(printf %s "$address" | openssl dgst -sha256 -mac HMAC -macopt \
		"hexkey:$(od -An -v -tx1 "$KEY" | tr -d ' \n')" | sed 's/.*= *//')" "${address##*@}"
}

# ---- domain, which is the default -----------------------------------------------------------------------------------

policy_for ''
daemon_start
message domain
is "domain: those of the recipients" "$(moved '.qfwatch.message.recipient_domains')" '["first.example.net","second.example1.net"]'
is "domain: and no more" "$(moved 'has("email") and (.email | has("from") or has("to"))')" false
nothing_of domain hush hidden origin

# ---- none ----------------------------------------------------------------------------------------------------------

reload "a reload changes it to none" '"addresses": "none",'
message none
is "none: no domains" "$(moved '.qfwatch.message | has("recipient_domains")')" false
is "none: not even of a domain that fails" "$(fields 'select(.event.action == "domain-deferred") | .qfwatch.domain' | sort -u)" \
	'{"deferred":1}'
nothing_of none hush hidden origin example.net example2

# ---- full ----------------------------------------------------------------------------------------------------------

reload "to full" '"addresses": "full",'
message full
is "full: the sender" "$(moved '.email.from.address')" "[\"$SENDER\"]"
is "full: the recipients" "$(moved '.email.to.address')" "[\"$FIRST\",\"$SECOND\"]"
is "full: and their domains" "$(moved '.qfwatch.message.recipient_domains')" "[\"first.example.net\",\"${SECOND#*@}\"]"
is "full: of a deleted one, too" "$(fields 'select(.event.action == "message-deleted") | .email.from.address')" "[\"$SENDER\"]"
matches "full: what sendmail says of a bounce" "$(fields 'select(.event.action == "message-bounced") | .event.reason')" \
	"\"exit status 75: <$FIRST>... Deferred: no\""

# ---- hash ----------------------------------------------------------------------------------------------------------

# Any bytes are a key, NULs and newlines, too.
KEY=$T/addresses.key
printf 'a key with\0NUL,\nnewline and \377\200 bytes' >"$KEY"
chmod 0600 "$KEY"
HASH='"addresses": "hash", "addresses_key": "'$KEY'",'
reload "to hash" "$HASH"
message hash
is "hash: the sender's, as openssl computes it" "$(moved '.email.from.address')" "[\"$(hash_of "$SENDER")\"]"
is "hash: the recipients'" "$(moved '.email.to.address')" "[\"$(hash_of "$FIRST")\",\"$(hash_of "$SECOND")\"]"
nothing_of hash hush hidden
hashed=$(moved .email.to.address)

# The null sender is nobody's address.
SINCE=$(wc -l <"$EVENTS")
queue_from '<>' "$SECOND"
rewrite_qf "$QUEUE/qf$ID" 5
saw_event 5 "hash: a bounce's own" message-bounced "/email/local_id=$ID"
rm "$QUEUE/qf$ID" "$QUEUE/df$ID"
is "hash: the null sender" "$(fields 'select(.event.action == "message-bounced") | .email.from.address')" '["<>"]'

# Another key, another hash.
head -c 4096 /dev/urandom >"$KEY"
reload "hash: a new key is read by a reload" "$HASH"
message "new key"
is "new key: the recipients'" "$(moved '.email.to.address')" "[\"$(hash_of "$FIRST")\",\"$(hash_of "$SECOND")\"]"
ok "new key: not what they were" test "$(moved .email.to.address)" != "$hashed"

# ---- keys that will not do -------------------------------------------------------------------------------------------

# rejects_for COUNT REASON: so often, and the last time for that reason. The file that was saved and the signal are two reloads; the
# second may still be to come from the time before.
rejects_for() {
	has_events "$1" policy-rejected && [[ $(events -a policy-rejected -- /event/reason | tail -n 1) == *"$KEY ($2"* ]]
}

# refused WHAT REASON: a start, and a reload, which changes nothing.
refused() {
	local rejected
	policy_for "$HASH"
	"$QFWATCH" run --once --dry-run -c "$POLICY" >"$T/once.out" 2>"$T/once.err"
	is "$1: refused at the start" $? 3
	matches "$1: with place and remedy" "$(cat "$T/once.err")" "*events at /events/addresses_key: cannot use the key file $KEY ($2*"
	rejected=$(count_events policy-rejected)
	daemon_signal HUP
	ok "$1: refused by a reload" wait_until 5 rejects_for $((rejected + 1)) "$2"
	matches "$1: which says the same" "$(events -a policy-rejected -- /event/reason | tail -n 1)" "*$KEY ($2*"
}
cp -p "$KEY" "$T/good.key"

chmod 0640 "$KEY"
refused "a key that others may read" "mode 0640): nobody but its owner may read it: chmod 0600"
chmod 0604 "$KEY"
refused "a key that all may read" "mode 0604): nobody but its owner may read it: chmod 0600"
chmod 0600 "$KEY"
head -c 31 /dev/urandom >"$KEY"
refused "a short key" "less than 32 bytes): it must hold 32 to 4096 random bytes: head -c 32 /dev/urandom"
head -c 4097 /dev/urandom >"$KEY"
refused "a long one" "more than 4096 bytes): it must hold 32 to 4096 random bytes: head -c 32 /dev/urandom"
rm "$KEY"
refused "no key" "No such file or directory): make it: head -c 32 /dev/urandom >FILE; chmod 0600 FILE"
mkdir "$KEY"
refused "a directory" "Is a directory): name a regular file"
rmdir "$KEY"
mkfifo -m 0600 "$KEY"
refused "a FIFO" "not a regular file): name a regular file"
rm "$KEY"
cp -p "$T/good.key" "$KEY"
# What was refused has changed nothing: the key of before is in force.
message "after that"
is "after that: the hashes of before" "$(moved '.email.to.address')" "[\"$(hash_of "$FIRST")\",\"$(hash_of "$SECOND")\"]"

# ---- who asks for a hash without a key, and the other way round ------------------------------------------------------------

policy_for '"addresses": "hash",'
"$QFWATCH" check -c "$POLICY" >"$T/check.out" 2>&1
is "hash without a key is wrong" $? 2
matches "and says so" "$(cat "$T/check.out")" "*addresses_key*"

daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
ok "its events are sound" events_are_sound "$EVENTS"
e2e_end
