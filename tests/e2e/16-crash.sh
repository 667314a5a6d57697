#!/bin/bash
# takes: 60
# Killed before each system call that changes the spool: each message is whole in one tier at once, for every runner, and
# the next start clears what was left and goes on.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
calls=(link linkat rename renameat renameat2 unlink unlinkat flock close)

if ! strace -qq -o "$T/strace" true; then
	echo "ok - # skip: strace may not be used here"
	e2e_end
fi

# killed_at CALL N: runs the daemon once and kills it before its Nth such call. False when it has come to its end.
killed_at() {
	rm -f "$T/strace"
	# Bash writes that a job was killed; a shell of its own keeps that apart.
	bash -c '"$@"; exit' - strace -f -qq -o "$T/strace" -e trace="$1" -e "inject=$1:signal=KILL:when=$2" \
		"$QFWATCH" run --once -c "$POLICY" >"$T/once.out" 2>&1
	grep -qs 'killed by SIGKILL' "$T/strace"
}

# whole ID: one qf, and its own body beside it.
whole() {
	local qf
	qf=$(find "$T"/[A-Z]* -name "[qQhtx]f$1" -o -name ".?*$1")
	case "$qf" in
	*$'\n'* | '') return 1 ;;
	esac
	cmp -s "${qf%/*}/df$1" "$T/body-$1"
}

# crash_everywhere WHAT TARGET ID: from the same beginning, once for each place to be killed at. TARGET is the tier in which
# the message belongs, or nowhere.
crash_everywhere() {
	local what=$1 target=$2 id=$3 call n killed='' unwhole='' unmended=''
	for call in "${calls[@]}"; do
		for ((n = 1; n <= 100; n++)); do
			find "$T"/[A-Z]* -mindepth 1 -delete
			cp -p "$T/kept"/?f"$id" "$QUEUE"
			killed_at "$call" "$n" || break
			killed="$killed $call"
			[ "$target" = nowhere ] || whole "$id" || unwhole="$unwhole $call $n: $(tier_listing)"
			timeout 60 "$QFWATCH" run --once -c "$POLICY" >"$T/once.out" 2>&1 || unmended="$unmended $call $n: exit code $?"
			if [ "$target" = nowhere ]; then
				[ -z "$(tier_listing)" ]
			else
				only_in "$target" "$id"
			fi || unmended="$unmended $call $n: $(tier_listing)"
		done
	done
	killed=$(tr ' ' '\n' <<<"$killed" | sed '/^$/d' | uniq -c | awk '{ printf " %d x %s", $1, $2 }')
	matches "$what: killed before$killed" "$killed" "*rename*unlink*"
	is "$what: every message is whole in one tier each time" "$unwhole" ""
	is "$what: the next start brings all to its end and leaves nothing" "$unmended" ""
}

# The messages of the beginning, kept aside.
mkdir "$T/kept"
ids=()
for attempts in 3 12; do
	queue_message "$QUEUE" "defer.$attempts@example.net"
	set_attempts "$QUEUE/qf$ID" "$attempts"
	edit_qf "$QUEUE/qf$ID" "s/^T.*/T$(($(date +%s) - 7 * 86400))/"
	mv "$QUEUE"/?f"$ID" "$T/kept"
	ids+=("$ID")
done

policy_write "$THREE_RULES"
crash_everywhere "a move" "$MIDQUEUE" "${ids[0]}"
crash_everywhere "a cascade" "$SLOWQUEUE" "${ids[1]}"
policy_write '{ "tier": "QUEUE", "when": { "age": "6d" }, "then": { "delete": true } }' '"allow_delete": true,'
crash_everywhere "a deletion" nowhere "${ids[0]}"

e2e_end
