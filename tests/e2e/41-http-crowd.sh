#!/bin/bash
# takes: 90
# Clients that an HTTP server would rather not have: silent ones, slow ones, garbage, thousands at once, readers that stop,
# readers of tens of thousands of events. The daemon's memory and descriptors stay as they were, messages move meanwhile,
# and whoever asks properly gets his answer.
. "$(dirname "$0")/lib.sh"
e2e_begin

SOCKET=$T/http.sock
MANY=${MANY:-2000}

get() {
	curl -sS -m 10 --unix-socket "$SOCKET" -o "$T/body" -w '%{http_code}' "http://localhost$1" 2>"$T/curl.err"
}

is_well() {
	[ "$(get /healthz)" = 200 ]
}

# messages DIRECTORY PREFIX COUNT ATTEMPTS: writes so many; or their qfs alone, when there have been attempts.
messages() {
	awk -v d="$1" -v p="$2" -v n="$3" -v a="$4" -v t="$(date +%s)" -v alone="${5:-}" 'BEGIN {
		for (i = 0; i < n; i++) {
			id = sprintf("%s%09d", p, i)
			if (!alone) {
				print "a body" >(d "/df" id)
				close(d "/df" id)
			}
			printf "V8\nT%d\nK%d\nN%d\nP30000\nFbs\n$_localhost\nS<news@example.com>\nRPFD:<reader%d@d%d.example.net>\nH??Subject: %0400d\n.\n", t - i, t, a, i, i % 97, i >(d "/qf" id)
			close(d "/qf" id)
		}
	}'
}

# What stands in the tiers, for people: how many, here.
tier_listing() {
	files_in "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
}

# in_kib FIELD: of the daemon's status.
in_kib() {
	sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$DAEMON/status"
}

descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 | wc -l
}

few_descriptors() {
	[ "$(descriptors)" -le "$1" ]
}

number=0
# still_moves WHEN: a message that becomes due is in its next tier at once, and a question is answered.
still_moves() {
	local id=6AMOVE$((1000000 + number++)) since
	messages "$QUEUE" "$id" 1 3
	id=${id}000000000
	if wait_until 10 only_in "$MIDQUEUE" "$id"; then
		# The rename is the last change of its inode: however late somebody looks.
		since=$(stat -c '%.3Y %.3Z' "$MIDQUEUE/qf$id" | awk '{ printf "%d", ($2 - $1) * 1000 }')
		at_most "$1: milliseconds until a message has moved" "$since" 1000
	else
		fail "$1: a message moves"
	fi
	is "$1: a question is answered" "$(get /api/v1/status)" 200
}

messages "$SLOWQUEUE" 6ASLOW "$MANY" 1
policy_write "$THREE_RULES" "\"listen\": \"unix:$SOCKET\","
sed -i 's/"events": {/"events": { "include": [ "message-attempted" ],/' "$POLICY"
daemon_start
ok "it is well once all is read" wait_until 20 is_well
start "$T/heart" /dev/null curl -sN --unix-socket "$SOCKET" "http://localhost/api/v1/events?action=stopped"
HEART=$STARTED_PID
started=$(now_ms)

# What the first crowd takes is kept for the next ones.
"$TOOLS/crowd" "$SOCKET" idle 500 >"$T/idle"
"$TOOLS/crowd" "$SOCKET" garbage 200 1 >"$T/garbage"
get "/api/v1/messages?format=jsonl" >/dev/null
get /api/v1/shape >/dev/null
still_moves "after a first crowd"
ok "all of it has gone" wait_until 20 few_descriptors 40
before=$(in_kib VmRSS)
open_before=$(descriptors)

# ---- thousands that say nothing, or half a sentence
start "$T/idle.all" /dev/null "$TOOLS/crowd" "$SOCKET" idle 10000
CROWD=$STARTED_PID
still_moves "while 10,000 connections come"
ok "10,000 connections end" wait_until 60 group_is_gone "$CROWD"
is "each was let in, and made room for the next or was sent away" \
	"$(awk '{ n += $2 } /^refused/ { r = $2 } END { print n, r }' "$T/idle.all")" "10000 0"
still_moves "after them"

# ---- garbage
start "$T/garbage.all" /dev/null "$TOOLS/crowd" "$SOCKET" garbage 1500 7
CROWD=$STARTED_PID
still_moves "while garbage comes"
ok "the garbage ends" wait_until 60 group_is_gone "$CROWD"
is "nothing of it was left without an end" "$(sed -n 's/^open: //p' "$T/garbage.all")" 0
ok "what is no request is told so" grep -q '^400: ' "$T/garbage.all"
ok "a head without end, too" grep -q '^431: ' "$T/garbage.all"

# ---- slow ones
is "a request that comes a byte at a time is answered" "$("$TOOLS/crowd" "$SOCKET" drip /api/v1/status | head -n 1)" "200: 1"
mkfifo "$T/hold"
exec 8<>"$T/hold"
INPUT=$T/hold start "$T/stall" /dev/null "$TOOLS/crowd" "$SOCKET" stall "/api/v1/messages?format=jsonl" 20
STALLED=$STARTED_PID
ok "20 readers of all messages stop reading" wait_until 20 grep -q waiting "$T/stall"
INPUT=$T/hold start "$T/stall-events" /dev/null "$TOOLS/crowd" "$SOCKET" stall /api/v1/events 5
STALLED_EVENTS=$STARTED_PID
ok "and 5 of the events" wait_until 20 grep -q waiting "$T/stall-events"
still_moves "beside readers that have stopped"
is "one who sips is served" "$("$TOOLS/crowd" "$SOCKET" sip "/api/v1/messages?format=jsonl" 20000)" read
is "and one who reads all" "$(get "/api/v1/messages?format=jsonl") $(grep -c 6ASLOW "$T/body")" "200 $MANY"

# ---- as many events as come in many hours
start "$T/stream" /dev/null curl -sN --unix-socket "$SOCKET" "http://localhost/api/v1/events?action=message-attempted"
STREAM=$STARTED_PID
ok "somebody reads the events" wait_until 20 grep -q retry "$T/stream"
attempted() {
	get /api/v1/status >/dev/null && jq .since_start.attempted "$T/body"
}
# more_attempts: one more of each message.
round=1
more_attempts() {
	round=$((round + 1))
	messages "$SLOWQUEUE" 6ASLOW "$MANY" "$round" alone
}
# attempts_seen ROUNDS COUNT: so many rounds, and more of them when COUNT are not seen: those that come together are one, and how many
# do is a matter of who gets the processor.
attempts_seen() {
	local before seen_so_far=0
	before=$(attempted)
	for _ in $(seq "$1"); do
		more_attempts
	done
	wait_until 60 enough_attempts $((before + $2))
}
enough_attempts() {
	local seen
	seen=$(attempted)
	[ "$seen" -ge "$1" ] && return
	[ "$seen" -gt "$seen_so_far" ] || more_attempts
	seen_so_far=$seen
	return 1
}
ok "$((MANY * 5)) attempts and more are seen" attempts_seen 7 $((MANY * 5))
reader_is_level() {
	local last seen
	seen=$(attempted)
	last=$(grep '"action":"message-attempted"' "$EVENTS" | tail -n 1 | jq -r .event.id)
	grep -A 3 "^id: $last\$" "$T/stream" | grep -q '^$' && [ "$seen" = "$(attempted)" ] &&
		[ "$seen" = "$(grep -c '"action":"message-attempted"' "$EVENTS")" ]
}
ok "the reader of the events is level with them" wait_until 30 reader_is_level
still_moves "after them"
told=$(grep -c '^event: message-attempted$' "$T/stream")
# Of lines that he has missed some may be of other kinds.
missed=$(sed -n 's/^data: {"dropped":\([0-9]*\)}$/\1/p' "$T/stream" | awk '{ n += $1 } END { print n + 0 }')
written=$(grep -c '"action":"message-attempted"' "$EVENTS")
at_most "what he was not told of, he was told that he missed" $((written - told)) "$missed"
echo "# $written events, $told read, $missed missed"
is "in order, each once" "$(sed -n 's/^id: .*-//p' "$T/stream" | sort -n -u -c 2>&1; sed -n 's/^id: .*-//p' "$T/stream" | uniq -d)" ""

# ---- and then
kill "$STREAM" "$STALLED" "$STALLED_EVENTS"
ok "readers that had stopped have gone" wait_until 10 few_descriptors $((open_before + 2))
after=$(in_kib VmRSS)
at_most "kilobytes that the daemon has more than before" $((after - before)) 8192
# Once more: what was kept for the first ones is enough.
start "$T/stream2" /dev/null curl -sN --unix-socket "$SOCKET" "http://localhost/api/v1/events"
STREAM=$STARTED_PID
ok "somebody reads the events again" wait_until 20 grep -q retry "$T/stream2"
before=$(attempted)
for _ in 1 2 3 4; do
	more_attempts
done
"$TOOLS/crowd" "$SOCKET" idle 3000 >"$T/idle"
"$TOOLS/crowd" "$SOCKET" garbage 300 9 >"$T/garbage"
get "/api/v1/messages?format=jsonl" >/dev/null
seen_so_far=0
ok "and there are as many" wait_until 60 enough_attempts $((before + MANY * 3))
at_most "kilobytes more than after the first time" $(($(in_kib VmRSS) - after)) 1024
kill "$STREAM"
heart_beats() {
	grep -q '^:$' "$T/heart"
}
ok "who waits for what does not come hears the heart beat" wait_until $((20 - ($(now_ms) - started) / 1000 > 0 ? 20 - ($(now_ms) - started) / 1000 : 1)) heart_beats
kill "$HEART"
ok "all have gone" wait_until 10 few_descriptors "$open_before"
wake_ups() {
	awk '/^(non)?voluntary_ctxt_switches/ { n += $2 } END { print n }' "/proc/$DAEMON/status"
}
sleeps() {
	local before
	before=$(wake_ups)
	stays 1 same_wake_ups "$before"
}
same_wake_ups() {
	[ "$(wake_ups)" = "$1" ]
}
ok "nobody asks: it sleeps" wait_until 10 sleeps
daemon_stop
is "it stops as ever" "$DAEMON_STATUS" 0
e2e_end
