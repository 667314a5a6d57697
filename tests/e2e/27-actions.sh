#!/bin/bash
# What rules do besides moving: keep, bounce (a DSN that reaches the sender), notify (once), run (without a shell, beside a
# move and alone), delete; with a dry run of it all.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin

# sendmail as the policy calls it: the private one, in its name spaces.
export -f sendmail
cat >"$T/sendmail-for-policy" <<END
#!/bin/bash
$(declare -f sendmail)
T=$T SENDMAIL_WAY=$SENDMAIL_WAY
sendmail "\$@"
END
# Two of it may run at a time: each writes its line whole, by one call.
cat >"$T/informer" <<END
#!/bin/sh
line=\$(printf '%s|' "\$@")
echo "\$line" >>$T/informed
case "\$1" in fail) echo "no such list" >&2; exit 3 ;; esac
END
chmod +x "$T/sendmail-for-policy" "$T/informer"
# shellcheck disable=SC2016 # the name of a rule is to look like a command
RULES='{ "name": "told", "tier": "*", "when": { "attempts": 1 }, "then": { "notify": "tried once" } },
    { "name": "kept", "tier": "*", "when": { "recipient": "*keep*" }, "then": { "keep": true } },
    { "name": "back", "tier": "QUEUE", "when": { "recipient": "*bounce*", "attempts": 2 }, "then": { "bounce": true } },
    { "name": "gone", "tier": "QUEUE", "when": { "recipient": "*delete*", "attempts": 2 }, "then": { "delete": true } },
    { "name": "$(odd); \"name\"", "tier": "QUEUE", "when": { "attempts": 2 }, "then": { "move": "MIDQUEUE",
      "run": { "program": "'$T'/informer", "arguments": ["ok", "{id}", "{file}", "{tier}", "{rule}"] } } },
    { "name": "fails", "tier": "MIDQUEUE", "when": { "attempts": 2 },
      "then": { "run": { "program": "'$T'/informer", "arguments": ["fail"] } } }'
MORE='"allow_delete": true, "sendmail": "'$T'/sendmail-for-policy",'
# policy_now KEYS: in force from here on; attempts are told, so that what does not follow them can be said not to.
policy_now() {
	policy_text "$RULES" "$1" | sed 's/"events": {/"events": { "include": ["message-attempted"],/' >"$POLICY.new"
	mv "$POLICY.new" "$POLICY"
}
policy_now "$MORE"

is_empty_of() {
	[ "$(find "$T"/[A-Z]* -name "*$1*" | wc -l)" -eq 0 ]
}

declare -A ids
for name in keep bounce delete move; do
	queue_message "$QUEUE" "defer.$name@example.net"
	ids[$name]=$ID
done
run_queue "$QUEUE"
daemon_start
ok "each is told of once" wait_until 5 has_events 4 message-noticed
matches "with the policy's words" "$(events -a message-noticed -- /message | head -n 1)" "tried once: * in QUEUE (told)"
is "none is touched after one attempt" "$(count_events message-moved)" 0

run_queue "$QUEUE"
ok "kept: it stays" only_in "$QUEUE" "${ids[keep]}"
saw_event 5 "deleted: told" message-deleted "/email/local_id=${ids[delete]}" /qfwatch/rule=gone
saw_event 5 "moved: told" message-moved "/email/local_id=${ids[move]}"
ok "moved: it stands in MIDQUEUE" only_in "$MIDQUEUE" "${ids[move]}"
ok "its informer has run" wait_until 5 grep -q "^ok|${ids[move]}|" "$T/informed"
is "with the file where it is now, its tier, and a name that no shell has read" "$(grep '^ok' "$T/informed")" \
	"ok|${ids[move]}|$MIDQUEUE/qf${ids[move]}|MIDQUEUE|\$(odd); \"name\"|"
saw_event 5 "and is told" program-run "/email/local_id=${ids[move]}" /event/outcome=success
saw_event 5 "a program that fails is told" program-run /qfwatch/rule=fails /event/outcome=failure
is "with its last words" "$(events -a program-run -w /qfwatch/rule=fails -- /event/reason)" "exit status 3: no such list"

saw_event 15 "bounced: told" message-bounced "/email/local_id=${ids[bounce]}" /event/outcome=success
ok "bounced: it is gone" is_empty_of "${ids[bounce]}"
ok "its sender gets the DSN" wait_until 10 is_delivered sender@example.test
ok "which names the recipient" grep -qsi "Final-Recipient: RFC822; defer.bounce@example.net" "$SINK"/mail/*.data

run_queue "$QUEUE"
run_queue "$MIDQUEUE"
ok "after further attempts" has_attempts "$MIDQUEUE" "${ids[move]}" 3
saw_event 5 "which it has seen" message-attempted "/email/local_id=${ids[move]}" /qfwatch/message/attempts=3
saw_event 5 "of the kept one, too" message-attempted "/email/local_id=${ids[keep]}" /qfwatch/message/attempts=3
is "nobody is told of twice" "$(events -a message-noticed -- /email/local_id | sort | uniq -d)" ""
is "nor informed twice" "$(grep -c '^fail' "$T/informed")" 1

# A sendmail that cannot be started: the message stays, and that is told once.
policy_now '"allow_delete": true, "sendmail": "/nonexistent/sendmail",'
daemon_signal HUP
ok "the new policy is in force" wait_until 5 has_events 2 policy-loaded
queue_message "$QUEUE" defer.bounce.again@example.net
set_attempts "$QUEUE/qf$ID" 2
saw_event 5 "a bounce that fails is told" message-bounced "/email/local_id=$ID" /event/outcome=failure
matches "with the reason" "$(events -a message-bounced -w "/email/local_id=$ID" -- /event/reason)" "*No such file or directory*"
ok "and the message stays" only_in "$QUEUE" "$ID"
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
ok "its events are sound" events_are_sound "$EVENTS"
e2e_end
