#!/bin/bash
# A dead domain leaves the fast queue as a whole with its 50th failure, others stay; when it takes mail again, what is
# left of it comes back by itself.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
RULES='{ "name": "dead domain", "tier": "QUEUE", "when": { "domain": { "deferred": 50, "within": "10m" } },
      "then": { "move": "MIDQUEUE" } },
    { "name": "alive again", "tier": "MIDQUEUE",
      "when": { "domain": { "delivered_from": ["MIDQUEUE"], "within": "20s" } }, "then": { "move": "QUEUE" } }'
policy_write "$RULES"

# messages_for DOMAIN DIRECTORY: how many messages for it stand there
messages_for() {
	grep -ls "^R.*@$1\$" "$2"/qf* 2>/dev/null | wc -l
}

has_messages_for() {
	[ "$(messages_for "$1" "$2")" -eq "$3" ]
}

for i in $(seq 1 60); do
	printf 'To: x\n\nbody\n' | sendmail -odq "-OQueueDirectory=$QUEUE" -f sender@example.test "defer.$i@dead.example"
done
for i in 1 2 3; do
	printf 'To: x\n\nbody\n' | sendmail -odq "-OQueueDirectory=$QUEUE" -f sender@example.test "defer.$i@other.example"
done
ok "60 messages for one domain, 3 for another" wait_until 20 has_messages_for dead.example "$QUEUE" 60
daemon_start
run_queue "$QUEUE"
saw_event 20 "the domain's failures are told" domain-deferred /qfwatch/domain/name=dead.example
ok "all of the domain leave QUEUE" wait_until 20 has_messages_for dead.example "$MIDQUEUE" 60
is "none is left there" "$(messages_for dead.example "$QUEUE")" 0
is "the other domain stays" "$(messages_for other.example "$QUEUE")" 3
ok "each move is told" wait_until 10 has_events 60 message-moved "/qfwatch/move/rule=dead domain"
is "each by the rule" "$(count_events message-moved "/qfwatch/move/rule=dead domain")" 60
events -a message-moved -- /event/reason | sort | uniq -c | head -3

sink_accept
there=("$MIDQUEUE"/qf*)
one=${there[0]##*/qf}
run_queue "$MIDQUEUE" "-qI$one"
saw_event 20 "a delivery from MIDQUEUE is told" domain-recovered /qfwatch/domain/name=dead.example
ok "the rest comes back" wait_until 20 has_messages_for dead.example "$QUEUE" 59
ok "each is told" wait_until 10 has_events 59 message-moved "/qfwatch/move/rule=alive again"
is "by the rule" "$(count_events message-moved "/qfwatch/move/rule=alive again")" 59
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
ok "its events are sound" events_are_sound "$EVENTS"
e2e_end
