#!/bin/bash
# takes: 20
# qfwatch events: a message's history across a rotation, what it is asked to leave out, following over rotations, broken lines.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"
export TZ=UTC

show() {
	"$QFWATCH" events -c "$POLICY" "$@"
}

# columns FILE: without the times and the steps, one blank between words
columns() {
	sed -E 's/^[0-9-]+ [0-9:.]+ *(\+[0-9a-z.]+)? *//; s/ +/ /g' "$@"
}

# due ID-VARIABLE ATTEMPTS: a message that is due as soon as the daemon sees it; its id in that variable
due() {
	queue_message "$T/outside" defer.one@example.net
	set_attempts "$T/outside/qf$ID" "$2"
	mv "$T/outside/df$ID" "$QUEUE/" && mv "$T/outside/qf$ID" "$QUEUE/"
	printf -v "$1" %s "$ID"
}
mkdir -m 0700 "$T/outside"

# ---- a history, over a rotation -------------------------------------------------------------------------------------------

show >"$T/out" 2>"$T/err"
is "before anything was written, there is nothing to read: exit code 3" $? 3
matches "and it says so" "$(cat "$T/err")" "*$EVENTS: No such file or directory: nothing has been written there yet"
daemon_start
due FIRST 3
must wait_until 5 only_in "$MIDQUEUE" "$FIRST"
due SECOND 3
must wait_until 5 only_in "$MIDQUEUE" "$SECOND"
mv "$EVENTS" "$EVENTS.1"
daemon_signal HUP
must wait_until 5 test -e "$EVENTS"
rewrite_qf "$MIDQUEUE/qf$FIRST" 10
must wait_until 5 only_in "$SLOWQUEUE" "$FIRST"
mv "$EVENTS.1" "$EVENTS-20261122"
mv "$EVENTS" "$EVENTS.1"
daemon_signal HUP
must wait_until 5 test -e "$EVENTS"
rm -f "$SLOWQUEUE"/?f"$FIRST"
must wait_until 5 has_event message-departed "/email/local_id=$FIRST"

show --id "$FIRST" >"$T/out"
is "a history ends with exit code 0" $? 0
is "a message's whole history over two rotations" "$(columns "$T/out")" \
	"message-moved $FIRST QUEUE -> MIDQUEUE (three attempts) attempts 3 >= 3
message-moved $FIRST MIDQUEUE -> SLOWQUEUE (ten attempts) attempts 10 >= 10
message-departed $FIRST SLOWQUEUE"
is "with the time between the steps" "$(grep -cE '^[0-9-]{10} [0-9:.]{12} +\+[0-9.]+m?s  message' "$T/out")" 2
is "all lines are in order" "$(show | cut -c 1-23 | sort -c 2>&1)" ""
daemon_stop
cat "$EVENTS-20261122" "$EVENTS.1" "$EVENTS" >"$T/all"
show --json >"$T/out"
is "--json is what was recorded, byte for byte" "$(cmp "$T/out" "$T/all" 2>&1)" ""
is "an event file may be named instead of a policy" "$("$QFWATCH" events --json "$EVENTS" | cmp - "$T/all" 2>&1)" ""
"$QFWATCH" events --json "$EVENTS.1" >"$T/out"
is "a rotated file by itself" "$(cmp "$T/out" "$EVENTS.1" 2>&1)" ""
is "all files named: each event once" "$("$QFWATCH" events --json "$EVENTS"* | cmp - "$T/all" 2>&1)" ""
"$QFWATCH" events --json - <"$T/all" >"$T/out"
is "standard input" "$(cmp "$T/out" "$T/all" 2>&1)" ""
is "a pipe" "$("$QFWATCH" events --json <(cat "$T/all") | cmp - "$T/all" 2>&1)" ""
gzip -k "$EVENTS.1" && mv "$EVENTS.1.gz" "$EVENTS.2.gz"
matches "a compressed file is told" "$(show 2>&1 >/dev/null)" "*$EVENTS.2.gz is left out: it is compressed*"
rm "$EVENTS.2.gz"

# ---- filters ---------------------------------------------------------------------------------------------------------------

# ids ARGUMENTS...: RUN-NUMBER of what is printed
ids() {
	show --json "$@" | "$TOOLS/jsonq" - /event/id | tr '\n' ' '
}
# wanted JQ-CONDITION: the same, asked of the files
wanted() {
	jq -r "select($1) | .event.id" "$T/all" | tr '\n' ' '
}
is "--action" "$(ids --action message-moved)" "$(wanted '.event.action == "message-moved"')"
is "--action with a glob, twice" "$(ids -a 'policy-*' -a started)" "$(wanted '.event.action == ("policy-loaded", "started")')"
is "--rule" "$(ids --rule 'ten*')" "$(wanted '.qfwatch.move.rule == "ten attempts"')"
is "--tier takes where it came from, too" "$(ids --tier QUEUE)" "$(wanted '.qfwatch.tier == "QUEUE" or .qfwatch.move.from == "QUEUE"')"
is "two kinds of filters at once" "$(ids -i "$FIRST" -a message-moved -t SLOWQUEUE)" \
	"$(wanted ".email.local_id == \"$FIRST\" and .qfwatch.move.to == \"SLOWQUEUE\"")"
is "--id with a glob" "$(ids -i '*')" "$(wanted '.email')"
is "nothing found is no failure" "$(show -i nobody; echo $?)" 0
run=$(head -n 1 "$T/all" | jq -r .qfwatch.run)
is "--since RUN:SEQUENCE is exact" "$(ids --since "$run:4")" "$(wanted '.event.sequence >= 4')"
is "--until RUN:SEQUENCE is exact" "$(ids --until "$run:5")" "$(wanted '.event.sequence <= 5')"
is "both, with a filter" "$(ids -s "$run:2" -u "$run:6" -a message-moved)" \
	"$(wanted '.event.sequence >= 2 and .event.sequence <= 6 and .event.action == "message-moved"')"
show --since "$run:100000" >"$T/out" 2>"$T/err"
is "a place that is not there: exit code 1" "$?" 1
matches "and it is told" "$(cat "$T/err")" "*sequence 100000 of run $run*"
third=$(sed -n 3p "$T/all" | jq -r '."@timestamp"')
is "--since TIME, to the microsecond" "$(ids --since "$third")" "$(wanted ".[\"@timestamp\"] >= \"$third\"")"
is "--until TIME, included" "$(ids --until "$third")" "$(wanted ".[\"@timestamp\"] <= \"$third\"")"
is "--since 1h ago has all" "$(ids --since 1h)" "$(wanted true)"
is "--until 1h ago has nothing" "$(ids --until=-1h)" ""
is "local time" "$(ids --since "$(TZ=Asia/Tokyo date -d "$third" '+%Y-%m-%d %H:%M')")" ""
is "local time of here" "$(TZ=Asia/Tokyo ids --since "$(TZ=Asia/Tokyo date -d "${third%:*}" '+%Y-%m-%d %H:%M')")" "$(wanted true)"
is "times are printed in local time" "$(TZ=XXX-3 show | head -n 1 | cut -c 12-13)" \
	"$(TZ=XXX-3 date -d "$(head -n 1 "$T/all" | jq -r '."@timestamp"')" +%H)"
is "--utc" "$(TZ=XXX-3 show --utc | head -n 1)" "$(show | head -n 1)"

# ---- usage -----------------------------------------------------------------------------------------------------------------

show --action message-move >"$T/out" 2>"$T/err"
is "an action that does not exist: exit code 2" $? 2
matches "and the names are told" "$(cat "$T/err")" '*no event is called "message-move"; there are started,*'
show --since yesterday >"$T/out" 2>&1
is "a time that is none: exit code 2" $? 2
"$QFWATCH" events -c "$T/missing.json" >"$T/out" 2>&1
is "no policy: exit code 2" $? 2
echo '{' >"$T/broken.json"
"$QFWATCH" events -c "$T/broken.json" >"$T/out" 2>&1
is "a wrong policy: exit code 2" $? 2
sed 's/"type": "file", "path": "[^"]*"/"type": "stdout"/' "$POLICY" >"$T/stdout.json"
is "a policy without an event file: exit code 2" "$("$QFWATCH" events -c "$T/stdout.json" 2>/dev/null; echo $?)" 2
ok "-h" "$QFWATCH" events -h

# ---- broken lines, and what a terminal would obey ----------------------------------------------------------------------------

{
	head -n 2 "$T/all"
	sed -n 3p "$T/all" | head -c 200
	echo
	sed -n 4p "$T/all" | sed "s/\"message\":\"[^\"]*/&\\\\u001b[2J\\\\u202e/; s/\"email\":{.*\"qfwatch\":/\"qfwatch\":/"
	printf '\0\0\0\n{}\n%05000d\n' 0
	sed -n 5p "$T/all" | head -c 300
} >"$T/torn"
"$QFWATCH" events "$T/torn" >"$T/out" 2>"$T/err"
is "broken lines: exit code 1" $? 1
is "the others are printed" "$(wc -l <"$T/out")" 3
is "each broken one is told, with its place" "$(grep -oE 'torn:[0-9]+' "$T/err" | tr '\n' ' ')" "torn:3 torn:5 torn:6 torn:7 torn:8 "
matches "and counted" "$(tail -n 1 "$T/err")" "*5 broken lines left out"
matches "what a terminal would obey is shown" "$(tail -n 1 "$T/out")" '*\\x1b[[]2J\\u202e*'

# ---- follow ------------------------------------------------------------------------------------------------------------------

rm -f "$EVENTS"*
start "$T/followed" "$T/follow.err" "$QFWATCH" events -c "$POLICY" --follow --json
FOLLOWER=$STARTED_PID
start "$T/history" "$T/history.err" "$QFWATCH" events -c "$POLICY" --follow --json --since 1h
HISTORIAN=$STARTED_PID
# It takes SIGTERM once it has looked at the files.
is_following() {
	local caught
	caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status")
	[ $((0x${caught:-0} & 0x4000)) -ne 0 ]
}
must wait_until 5 is_following "$FOLLOWER"
must wait_until 5 is_following "$HISTORIAN"
daemon_start
all_followed() {
	[ "$(wc -l <"$1")" -eq "$(cat "$EVENTS"* 2>/dev/null | wc -l)" ]
}
ok "what is written to a file that was not there before is followed" wait_until 5 all_followed "$T/followed"
for i in 1 2 3; do
	# With SIGHUP late, and twice without time to look in between.
	due ANY 3
	mv "$EVENTS" "$EVENTS-2026112$i"
	due ANY 3
	must wait_until 5 only_in "$MIDQUEUE" "$ID"
	daemon_signal HUP
	must wait_until 5 test -s "$EVENTS"
done
due ANY 3
must wait_until 5 has_event message-moved "/email/local_id=$ID"
ok "over three rotations nothing is missed" wait_until 5 all_followed "$T/followed"
ok "nor with --since" wait_until 5 all_followed "$T/history"
is "and the order is that of the daemon" "$(cat "$EVENTS"-* "$EVENTS" | cmp - "$T/followed" 2>&1)" ""
start "$T/late" "$T/late.err" "$QFWATCH" events -c "$POLICY" -f --json
# It has begun when it prints what comes: messages come until it does.
printing() {
	due ANY 3
	test -s "$T/late"
}
ok "who follows later" wait_until 20 printing
is "gets only what is new" "$(grep -c '"started"' "$T/late")" 0
kill "$STARTED_PID"

# A rotation that copies and truncates, when all has been told.
must wait_until 5 has_event message-moved "/email/local_id=$ID"
must wait_until 5 all_followed "$T/followed"
before=$(wc -l <"$T/followed")
cp "$EVENTS" "$EVENTS.copy"
: >"$EVENTS"
due ANY 3
grown() {
	[ "$(tail -n 1 "$T/followed" | jq -r .email.local_id)" = "$ID" ]
}
ok "a truncated file is followed from its beginning" wait_until 5 grown
is "and only that" "$(($(wc -l <"$T/followed") - before))" "$(wc -l <"$EVENTS")"
kill -TERM "$FOLLOWER"
kill -INT "$HISTORIAN"
wait "$FOLLOWER"
is "SIGTERM ends it with exit code 0" $? 0
wait "$HISTORIAN"
is "so does SIGINT" $? 0
is "nothing was told on stderr" "$(cat "$T/follow.err" "$T/history.err")" ""
daemon_stop

# ---- two sinks, one with less in it ------------------------------------------------------------------------------------------

rm -f "$EVENTS"*
sed 's|{ "type": "file", "path": "[^"]*" }|&, { "type": "file", "path": "'"$T/second.json"'" }|' "$POLICY" >"$T/two.json"
mv "$T/two.json" "$POLICY"
daemon_start
due ANY 3
must wait_until 5 has_event message-moved
daemon_stop
is "of two files with the same events each event is printed once" "$(show --json | cmp - "$EVENTS" 2>&1)" ""
e2e_end
