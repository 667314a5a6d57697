#!/bin/bash
# takes: 120
# The numbers, as a real Prometheus and a real node_exporter see them: both read them, they are what the spool and the events say,
# the alerts of contrib/prometheus are evaluated, and every expression of contrib/grafana answers.
. "$(dirname "$0")/lib.sh"
e2e_begin
must "$E2E/fetch-prometheus.sh" >&2
BIN=$BUILD/prometheus/root/usr/bin
CONTRIB=$E2E/../../contrib
TEXTFILES=$T/textfiles
mkdir -m 0755 "$TEXTFILES"

# put_message DIRECTORY ID N [AGE [LINE]]: df and qf, as sendmail leaves them.
put_message() {
	echo "body of $2" >"$1/df$2"
	printf 'V8\nT%s\nK%s\nN%s\nP30000\nMDeferred: Connection refused\n%bSsender@example.test\nRPFD:%s@example.net\nH??Subject: %s\n.\n' \
		$(($(date +%s) - ${4:-60})) "$(date +%s)" "$3" "${5:+$5\n}" "$2" "$2" >"$T/put"
	install -m 0600 "$T/put" "$1/tf$2"
	mv "$1/tf$2" "$1/qf$2"
}

free_port
QFWATCH_PORT=$FREE_PORT
free_port
NODE_PORT=$FREE_PORT
free_port
PROMETHEUS_PORT=$FREE_PORT
KEYS="\"listen\": \"127.0.0.1:$QFWATCH_PORT\", \"metrics\": { \"textfile\": \"$TEXTFILES/qfwatch.prom\", \"every\": \"1s\" }, \"allow_delete\": true,"
RULES="$THREE_RULES, { \"name\": \"a \\\"quoted\\\" name\", \"tier\": \"SLOWQUEUE\", \"when\": { \"age\": \"6d\" }, \"then\": { \"delete\": true } }"

# ---- the files that come with it -------------------------------------------------------------------------------------------

ok "promtool check rules" "$BIN/promtool" check rules --lint=all --lint-fatal "$CONTRIB/prometheus/qfwatch.rules.yml"
ok "promtool test rules" "$BIN/promtool" test rules "$CONTRIB/prometheus/qfwatch.rules.test.yml"
ok "promtool check config" "$BIN/promtool" check config "$CONTRIB/prometheus/prometheus.yml"
alerts=$(grep -c '^ *- alert:' "$CONTRIB/prometheus/qfwatch.rules.yml")
while IFS= read -r alert; do
	grep -q "alertname.*$alert" "$CONTRIB/prometheus/qfwatch.rules.test.yml" || fail "every alert has a test" "$alert has none"
done < <(sed -n 's/^ *- alert: //p' "$CONTRIB/prometheus/qfwatch.rules.yml")
is "every alert says what it means and what to do" "$(grep -c '^ *\(summary\|description\|action\):' "$CONTRIB/prometheus/qfwatch.rules.yml")" \
	$((3 * alerts))

# ---- who reads them ---------------------------------------------------------------------------------------------------------

for number in 1 2 3; do
	put_message "$QUEUE" "waits$number" 1 $((number * 90000))
done
policy_write "$RULES" "$KEYS"
daemon_start
start "$T/node.out" "$T/node.out" "$BIN/prometheus-node-exporter" --web.listen-address="127.0.0.1:$NODE_PORT" \
	--collector.disable-defaults --collector.textfile --collector.textfile.directory="$TEXTFILES"
sed -e "s/^global:/&\n  evaluation_interval: 1s/; s/scrape_interval: 15s/scrape_interval: 1s/" \
	-e "s/127.0.0.1:8025\"\]/127.0.0.1:$QFWATCH_PORT\"]/; s/127.0.0.1:9100/127.0.0.1:$NODE_PORT/" \
	-e "s|- qfwatch.rules.yml|- $CONTRIB/prometheus/qfwatch.rules.yml|" "$CONTRIB/prometheus/prometheus.yml" >"$T/prometheus.yml"
start "$T/prometheus.out" "$T/prometheus.out" "$BIN/prometheus" --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/tsdb" \
	--web.listen-address="127.0.0.1:$PROMETHEUS_PORT" --log.level=warn

ask() {
	curl -sS -m 5 "http://127.0.0.1:$1"
}

# query EXPRESSION: the answer of Prometheus, as JSON.
query() {
	curl -sS -m 5 --data-urlencode "query=$1" "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" 2>/dev/null
}

# value EXPRESSION: of its only series; has EXPRESSION: it has one or more.
value() {
	query "$1" | jq -r '.data.result | if length == 1 then .[0].value[1] else "\(length) series" end'
}

has() {
	[ "$(query "$1" | jq -r '.data.result | length')" -gt 0 ] 2>/dev/null
}

answers() {
	[ "$(value "$1")" = "$2" ]
}

ok "Prometheus scrapes the daemon" wait_until 60 answers 'up{job="qfwatch"}' 1
ok "and node_exporter" wait_until 30 has 'qfwatch_textfile_timestamp_seconds{job="node"}'
ok "which took the file without complaint" wait_until 10 answers 'node_textfile_scrape_error' 0

# ---- traffic: moves, a deletion, a refusal, a departure, attempts, a new policy; over some scrapes --------------------------

for number in 1 2 3 4 5 6 7 8; do
	put_message "$QUEUE" "moves$number" 3
done
put_message "$QUEUE" gone 1
put_message "$SLOWQUEUE" old 12 700000
put_message "$QUEUE" elsewhere 3 60 d/nowhere
must wait_until 5 has_events 8 message-moved
must wait_until 5 has_event message-deleted
must wait_until 5 has_event message-refused
scraped() {
	[ "$(value 'sum(qfwatch_messages_moved_total{job="qfwatch"})')" -ge "$1" ] 2>/dev/null
}
ok "eight moves are seen" wait_until 30 scraped 8
for number in 11 12 13 14; do
	put_message "$QUEUE" "moves$number" 11
done
rm "$QUEUE/qfgone" "$QUEUE/dfgone"
rewrite_qf "$QUEUE/qfwaits1" 2
daemon_signal HUP
must wait_until 5 has_events 16 message-moved
must wait_until 5 has_event message-departed
ok "and eight more" wait_until 30 scraped 16

# number WHAT EXPRESSION EXPECTED: the value of its only series; a scrape that a busy machine has cost is made up for by the next.
number() {
	if wait_until 10 answers "$2" "$3"; then
		pass "$1"
	else
		fail "$1" "expected: $3" "found:    $(value "$2")"
	fi
}

# numbers_are JOB: what Prometheus has by that way is what the events and the spool say.
numbers_are() {
	number "$1: moves by flow" "qfwatch_messages_moved_total{job=\"$1\",from=\"QUEUE\",to=\"MIDQUEUE\"}" \
		"$(count_events message-moved /qfwatch/move/from=QUEUE)"
	number "$1: acts by rule" "qfwatch_rule_actions_total{job=\"$1\",rule=\"ten attempts\"}" \
		"$(count_events message-moved "/qfwatch/move/rule=ten attempts")"
	number "$1: deletions" "sum(qfwatch_messages_deleted_total{job=\"$1\"})" "$(count_events message-deleted)"
	number "$1: a rule with a quoted name" "qfwatch_rule_actions_total{job=\"$1\",rule=\"a \\\"quoted\\\" name\"}" 1
	number "$1: refusals" "sum(qfwatch_messages_refused_total{job=\"$1\"})" "$(count_events message-refused)"
	number "$1: departures" "sum(qfwatch_messages_departed_total{job=\"$1\"})" "$(count_events message-departed)"
	number "$1: what the first scan found did not arrive" "sum(qfwatch_messages_tracked_total{job=\"$1\"}) - sum(qfwatch_messages_arrived_total{job=\"$1\"})" 3
	number "$1: messages" "sum(qfwatch_messages{job=\"$1\"})" "$(find "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE" -name 'qf*' | wc -l)"
	number "$1: bytes" "sum(qfwatch_message_body_bytes{job=\"$1\"})" "$(cat "$QUEUE"/df* "$MIDQUEUE"/df* "$SLOWQUEUE"/df* | wc -c)"
	number "$1: older than a day, in QUEUE" "qfwatch_messages_older_than{job=\"$1\",tier=\"QUEUE\",age=\"1d\"}" 3
	number "$1: older than three days" "qfwatch_messages_older_than{job=\"$1\",tier=\"QUEUE\",age=\"3d\"}" 1
	number "$1: reactions are timed" "qfwatch_reaction_seconds_count{job=\"$1\"}" "$(count_events message-moved)"
	number "$1: the policy was read twice" "qfwatch_policy_reloads_total{job=\"$1\",result=\"taken\"}" 2
	number "$1: nothing is dropped" "qfwatch_events_dropped_total{job=\"$1\",sink=\"$EVENTS\"}" 0
	number "$1: all events are written" "qfwatch_events_written_total{job=\"$1\",sink=\"$EVENTS\"}" "$(wc -l <"$EVENTS")"
}

ok "the file follows" wait_until 30 answers 'sum(qfwatch_messages_moved_total{job="node"})' 16
ok "both have the departure" wait_until 30 answers 'sum(qfwatch_messages_departed_total)' 2
# SIGHUP is taken between two turns, whatever else goes on.
must wait_until 5 has_events 2 policy-loaded
numbers_are qfwatch
numbers_are node
ok "the oldest message of QUEUE has its age" wait_until 10 has \
	'time() - qfwatch_oldest_message_timestamp_seconds{job="qfwatch",tier="QUEUE"} >= 270000 <= 270300'

ask "$QFWATCH_PORT/metrics" >"$T/live.txt"
ok "promtool check metrics, live" "$BIN/promtool" check metrics <"$T/live.txt"
is "without a word" "$(cat "$T/ok.out")" ""
ok "promtool check metrics, the file" "$BIN/promtool" check metrics <"$TEXTFILES/qfwatch.prom"
is "without a word, too" "$(cat "$T/ok.out")" ""
matches "the type is that of the format" "$(curl -sI -m 5 "http://127.0.0.1:$QFWATCH_PORT/metrics" | tr -d '\r' | grep -i '^content-type')" \
	"*text/plain; version=0.0.4*"
ok "the process is the daemon's" wait_until 10 has \
	'process_open_fds{job="qfwatch"} > 5 and process_resident_memory_bytes{job="qfwatch"} > 1e6 and process_start_time_seconds{job="qfwatch"} > 1e9'
number "node_exporter keeps its own process to itself" 'count(process_open_fds{job="node"})' 1

# ---- the dashboard: every expression answers -----------------------------------------------------------------------------

expressions=0 empty=
while IFS= read -r expression; do
	expressions=$((expressions + 1))
	expression=${expression//\$__rate_interval/15s}
	expression=${expression//\$instance/.*}
	wait_until 10 has "$expression" || empty+="$expression: $(query "$expression" | head -c 200)"$'\n'
done < <(jq -r '.panels[].targets[]?.expr' "$CONTRIB/grafana/dashboard.json")
is "all $expressions expressions of the dashboard answer" "$empty" ""
at_most "there are some: 40 less than" 40 "$expressions"
while IFS= read -r expression; do
	is "an annotation is understood" "$(query "${expression//\$instance/.*}" | jq -r .status)" success
done < <(jq -r '.annotations.list[].expr' "$CONTRIB/grafana/dashboard.json")
number "the choice of instances is a label that there is" 'count(count by (instance) (qfwatch_build_info))' 2
# Every metric of ours that an expression names is one that we have.
grep -oh 'qfwatch_[a-z_]*' "$CONTRIB"/prometheus/*.yml "$CONTRIB/grafana/dashboard.json" | sort -u >"$T/named"
grep -oh '^\(# TYPE \)\?qfwatch_[a-z_]*' "$T/live.txt" "$TEXTFILES/qfwatch.prom" | sed 's/^# TYPE //' | sort -u >"$T/known"
is "no expression names a metric that is none" "$(comm -23 "$T/named" "$T/known")" ""

# ---- the alerts -----------------------------------------------------------------------------------------------------------

rules() {
	ask "$PROMETHEUS_PORT/api/v1/rules" | jq -r '.data.groups[].rules[] | "\(.name) \(.health) \(.state) \(.lastError // "")"'
}
# alert_is NAME STATE: inactive, or pending or firing.
alert_is() {
	rules | grep -q "^$1 ok $2 "
}

all_evaluated() {
	[ "$(rules | grep -c ' ok ')" -eq "$alerts" ]
}
ok "Prometheus evaluates all $alerts alerts" wait_until 30 all_evaluated
ok "one message is refused: that is told" wait_until 30 alert_is QfwatchMessagesRefused '\(pending\|firing\)'
# That reactions are slow is told where they were, for want of a processor.
slow=none
! has 'qfwatch_reaction_seconds_count{job="qfwatch"} > ignoring(le) qfwatch_reaction_seconds_bucket{job="qfwatch",le="1"}' ||
	slow=QfwatchReactionSlow
only_told() {
	[ "$(rules | grep -v -e ' inactive ' -e "^$slow " | cut -d ' ' -f 1)" = "$1" ]
}
# But for a scrape that came too late.
ok "and nothing else" wait_until 30 only_told QfwatchMessagesRefused
mv "$MIDQUEUE" "$T/away"
echo '{' >"$POLICY.bad" && mv "$POLICY.bad" "$POLICY"
must wait_until 5 has_event tier-lost
ok "a lost tier is told" wait_until 30 alert_is QfwatchTierLost '\(pending\|firing\)'
ok "a rejected policy is told" wait_until 30 alert_is QfwatchPolicyRejected '\(pending\|firing\)'
one_is_lost() {
	[ "$(value 'qfwatch_tier_directories{job="qfwatch",state="lost"} > 0')" = 1 ]
}
ok "which one is in the numbers" wait_until 30 one_is_lost
mv "$T/away" "$MIDQUEUE"
policy_write "$RULES" "$KEYS"
ok "found again" wait_until 30 alert_is QfwatchTierLost inactive
policy_text "$RULES" "$KEYS" | sed "s|\"sinks\": \[|&{ \"type\": \"unix\", \"path\": \"$T/nobody.sock\" },|" >"$POLICY.new"
mv "$POLICY.new" "$POLICY"
ok "a sink that nobody reads is told" wait_until 30 alert_is QfwatchSinkDown '\(pending\|firing\)'
ok "its events wait" wait_until 10 answers "qfwatch_event_sink_waiting_bytes{job=\"qfwatch\",sink=\"$T/nobody.sock\"} > bool 0" 1
number "the other one works" "qfwatch_event_sink_up{job=\"qfwatch\",sink=\"$EVENTS\"}" 1
policy_write "$RULES" "$KEYS"
daemon_stop
ok "a daemon that is gone is told" wait_until 30 alert_is QfwatchDown '\(pending\|firing\)'
ok "its file stays, with its age" wait_until 10 answers "time() - qfwatch_textfile_timestamp_seconds < bool 60" 1
is "and nothing beside it" "$(ls "$TEXTFILES")" qfwatch.prom

# ---- the file: refused, mended; another policy ----------------------------------------------------------------------------

rm -r "$TEXTFILES"
daemon_start
ok "a missing folder is told, with the remedy" wait_until 5 grep -q "qfwatch.prom: cannot create it (No such file or directory): make its folder" "$T/daemon.err"
mkdir -m 0755 "$TEXTFILES"
ok "once it is there, the file is written" wait_until 5 test -s "$TEXTFILES/qfwatch.prom"
is "which was told once" "$(grep -c 'qfwatch.prom: cannot' "$T/daemon.err")" 1
policy_write "$RULES" '"allow_delete": true,'
ok "a policy without the key: the file goes" wait_until 5 not test -e "$TEXTFILES/qfwatch.prom"
daemon_stop
policy_write "$RULES" "$KEYS"
daemon_start --dry-run
ok "a dry run answers" wait_until 5 curl -sf -o "$T/dry.txt" "http://127.0.0.1:$QFWATCH_PORT/metrics"
is "and says that it is one" "$(grep '^qfwatch_dry_run' "$T/dry.txt")" "qfwatch_dry_run 1"
ok "but writes no file" stays 1 not test -e "$TEXTFILES/qfwatch.prom"
daemon_stop
e2e_end
