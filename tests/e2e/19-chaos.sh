#!/bin/bash
# takes: 300
# Runners that never rest, a daemon that is killed twice a second and started at once, notifications that get lost: each
# message arrives once, whole, and nothing is left. On one file system and on two.
# QFWATCH_CHAOS=long takes more messages and more time; QFWATCH_CHAOS_SEED draws other deferrals and other kills.
. "$(dirname "$0")/lib.sh"

# A file system of our own for MIDQUEUE, which ends with us, in a mount name space of our own.
if [ -z "${IN_NAME_SPACE:-}" ] && [ "$(id -u)" -eq 0 ] && unshare --mount --propagation private \
	sh -c 'mount -t tmpfs none /mnt' 2>/dev/null; then
	IN_NAME_SPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi

# shellcheck disable=SC2317
chaos_cleanup() {
	local status=$?
	mountpoint -q "$MIDQUEUE" && umount --lazy "$MIDQUEUE"
	(exit "$status")
	e2e_cleanup
}

e2e_begin
trap chaos_cleanup EXIT
sendmail_begin

messages=300 seconds=11 patience=90
if [ "${QFWATCH_CHAOS:-}" = long ]; then
	messages=2000 seconds=90 patience=240
fi
RANDOM=${QFWATCH_CHAOS_SEED:-2013}
echo "# seed ${QFWATCH_CHAOS_SEED:-2013}, $messages messages"
queued_events=$(cat /proc/sys/fs/inotify/max_queued_events)
must mkfifo "$T/clock"
exec {CLOCK}<>"$T/clock"
variant=0

policy_write '{ "name": "two attempts", "tier": "QUEUE", "when": { "attempts": 2 }, "then": { "move": "MIDQUEUE" } },
    { "name": "five attempts", "tier": "MIDQUEUE", "when": { "attempts": 5 }, "then": { "move": "SLOWQUEUE" } }'

# ---- what it takes --------------------------------------------------------------------------------------------------

# Each is taken at its first to tenth attempt, every tenth only at the end. They are queued once, and kept aside for all.
queue_all() {
	local i
	for ((i = 1; i <= messages; i++)); do
		make_body "$T/body-$i" $((i * 7))
		[ $((RANDOM % 10)) -eq 0 ] && word=defer || word=defer$((RANDOM % 10))
		must sendmail_input "$T/body-$i" -odq -oi "-OQueueDirectory=$T/kept" -f sender@example.test \
			"$word.$i@example.net"
	done
}

# runner DIRECTORY: one run after the other until $T/enough is there.
runner() {
	while [ ! -e "$T/enough" ]; do
		sendmail "-OQueueDirectory=$1" -q
	done
}

# feed FOLDER SECONDS: what stands there comes in one after the other, spread over that time, df first.
feed() {
	local qf name pause
	pause=$(find "$1" -name 'qf*' | wc -l)
	pause=$(awk -v n="$pause" -v s="$2" 'BEGIN { printf "%.6f", s / n }')
	for qf in "$1"/qf*; do
		name=${qf##*/qf}
		mv "$1/df$name" "$QUEUE/" && mv "$qf" "$QUEUE/"
		read -r -t "$pause" -u "$CLOCK"
	done
}
export -f runner feed sendmail
export T QUEUE CLOCK

# bring_in: a fresh copy of all messages, for addresses of this variant: a third stands in QUEUE at once.
bring_in() {
	local name i=0
	rm -rf "$T/feed"
	cp -pr "$T/kept" "$T/feed"
	sed -i "s/@example\.net/@v$variant.example.net/g" "$T"/feed/qf*
	for name in "$T"/feed/qf*; do
		name=${name##*/qf}
		[ $((i++)) -lt $((messages / 3)) ] || break
		mv "$T/feed/df$name" "$T/feed/qf$name" "$QUEUE/"
	done
}

# wait_ms MILLISECONDS: nothing ever comes through $CLOCK.
wait_ms() {
	read -r -t "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))" -u "$CLOCK"
}

# A kill comes after 0 to 1 s; one in four within the first 60 ms, in which the daemon sets to rights what the last left.
draw_kill() {
	if [ $((RANDOM % 4)) -eq 0 ]; then
		kill_at=$(($(now_ms) + RANDOM % 60))
	else
		kill_at=$(($(now_ms) + RANDOM % 1250))
	fi
}

start_again() {
	start "$T/daemon.out" "$T/daemon.err" "$QFWATCH" run -c "$POLICY"
	DAEMON=$STARTED_PID
	draw_kill
}

# More notifications than the kernel keeps, while the daemon cannot take any.
overflow() {
	kill -STOP "$DAEMON"
	"$TOOLS/burst" $((queued_events + 100)) "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	kill -CONT "$DAEMON"
	bursts=$((bursts + 1))
	overflow_at=$((overflow_at + 1000))
}

# enough OVERFLOWS: has so much happened that what is found says something?
enough() {
	[ "$kills" -ge "$seconds" ] && both_moves && { [ "$1" != overflows ] || has_events $((seconds / 3)) events-lost; }
}

# rampage SECONDS OVERFLOWS: longer on a machine that is too slow for enough to happen, but not for ever.
rampage() {
	local until most overflow_at next died=0
	until=$(($(now_ms) + $1 * 1000))
	most=$((until + patience * 1000 / 2))
	overflow_at=$(($(now_ms) + 500))
	[ "$2" = overflows ] || overflow_at=$((until * 2))
	kills=0 bursts=0
	start_again
	while [ "$(now_ms)" -lt "$until" ] || { [ "$(now_ms)" -lt "$most" ] && ! enough "$2"; }; do
		next=$((kill_at < overflow_at ? kill_at : overflow_at))
		next=$((next - $(now_ms)))
		[ "$next" -le 0 ] || wait_ms "$next"
		if [ "$(now_ms)" -ge "$kill_at" ]; then
			process_is_gone "$DAEMON" && died=$((died + 1))
			daemon_stop KILL
			kills=$((kills + 1))
			start_again
		else
			overflow
		fi
	done
	daemon_stop KILL
	is "$WHAT: the daemon never ended by itself" "$died" 0
}

both_moves() {
	has_events $((messages / 6)) message-moved /qfwatch/move/to=MIDQUEUE &&
		has_events $((messages / 12)) message-moved /qfwatch/move/to=SLOWQUEUE
}

delivered_bodies() {
	grep -lF "@v$variant.example.net" "$SINK"/mail/*.to
}

# damaged: the numbers of the messages whose body is not what was queued.
damaged() {
	local to number
	delivered_bodies | while read -r to; do
		number=$(sed -n '1s/^defer[0-9]*\.\([0-9]*\)@.*/\1/p' "$to")
		cmp -s "${to%.to}.body" "$T/body-$number" || echo "$number"
	done
}

# chaos WHAT OVERFLOWS: with $WHAT in front of what is told. OVERFLOWS is "overflows" or empty.
chaos() {
	local tier groups=() group recovered
	WHAT=$1
	variant=$((variant + 1))
	rm -f "$T/enough" "$SINK/control" "$EVENTS"
	bring_in
	# shellcheck disable=SC2016
	for tier in "$QUEUE" "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"; do
		start "$T/sendmail.out" "$T/sendmail.out" bash -c 'runner "$0"' "$tier"
		groups+=("$STARTED_PID")
	done
	# shellcheck disable=SC2016
	start "$T/feed.out" "$T/feed.out" bash -c 'feed "$0" "$1"' "$T/feed" $((seconds * 3 / 4))
	groups+=("$STARTED_PID")
	rampage "$seconds" "${2:-}"

	# From here on the sink takes everything and nobody disturbs the daemon.
	sink_accept
	daemon_start
	wait_until "$patience" is_empty "$T/feed" "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	all_empty "$WHAT: no file is left in any tier"
	: >"$T/enough"
	for group in "${groups[@]}"; do
		wait_until 30 group_is_gone "$group" || fail "$WHAT: a runner ends"
	done
	daemon_stop
	is "$WHAT: the daemon stops with 0" "$DAEMON_STATUS" 0
	delivered_bodies | xargs cat >"$T/delivered"
	is "$WHAT: none is delivered twice" "$(sort "$T/delivered" | uniq -d)" ""
	is "$WHAT: each of the $messages is delivered" "$(sort -u "$T/delivered" | wc -l)" "$messages"
	is "$WHAT: each has its own body, unchanged" "$(damaged)" ""
	is "$WHAT: no move failed" "$(events -a move-failed -- /message)" ""
	recovered=$(count_events message-recovered)
	ok "$WHAT: killed $kills times, $(count_events started) starts told, $(count_events message-moved) moves, $recovered messages set to rights" \
		test "$kills" -ge "$seconds"
	ok "$WHAT: messages moved to MIDQUEUE and to SLOWQUEUE" both_moves
	if [ "${2:-}" = overflows ]; then
		ok "$WHAT: $(count_events events-lost) overflows told of $bursts" has_events $((seconds / 3)) events-lost
	fi
}

# ---- the proof -------------------------------------------------------------------------------------------------------

mkdir -m 0700 "$T/kept"
queue_all
overflows=overflows
if [ "$queued_events" -gt 262144 ]; then
	echo "ok - # skip: fs.inotify.max_queued_events is $queued_events: its overflow takes too long"
	overflows=
fi

chaos "one file system"
[ -z "$overflows" ] || chaos "one file system, overflows" overflows
if [ -n "${IN_NAME_SPACE:-}" ]; then
	must mount -t tmpfs -o mode=0700,size=256m none "$MIDQUEUE"
	chaos "two file systems"
	[ -z "$overflows" ] || chaos "two file systems, overflows" overflows
else
	echo "ok - # skip: two file systems need root and a mount name space"
fi
e2e_end
