#!/bin/bash
# takes: 600
# Killed at the entry of every single system call, from the lock of a message to the end of the program, in each way of
# moving and in a deletion: at no such instant could a queue runner see the message twice or in part, and the next start
# brings it to one tier, whole, and clears what was left. The same when the message was delivered in between, and when
# the next start is killed as well.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ways.sh"
ways_begin "$@"

# What the next start does to the spool and to its lock files: between two of these, nothing changes there.
CHANGES=pwrite64,unlinkat,renameat2,linkat
[ "$(uname -m)" != x86_64 ] || CHANGES=$CHANGES,unlink

# bad WORD WHAT: one line of a result that is a failure.
bad() {
	echo "$1 $group $n $(head -n 1 "$REPORT" | cut -d ' ' -f 3): $2 [$(way_files)]"
}

# crashed [ARGUMENTS-OF-INTERRUPT...]: from the beginning, killed at $n of $group. False when it has come to its end.
crashed() {
	way_lay || bad setup "cannot lay the message"
	way_interrupt -g "$group" -k "$n"
	case $? in
	0) return 0 ;;
	1) [ "$(cat "$REPORT")" = "exited 0" ] || bad mended "$(cat "$REPORT")" ;;
	*) bad mended "$(cat "$REPORT")" ;;
	esac
	return 1
}

# between VARIANT: what happens between the kill and the next start. Says in $wanted where the message belongs then.
between() {
	local seen
	wanted=$GOAL
	[ "$1" = deliver ] || return
	seen=$(way_deliver) || bad instant "$seen"
	[ "$seen" = invisible ] || wanted=none
}

# mended WHAT: the next start clears up: the message stands whole in one tier, and nothing of ours anywhere. It need not be
# where it belongs yet: a name that comes back while its directory is read is met by the next pass only.
mended() {
	local wrong where=any status
	[ "$wanted" != none ] || where=none
	[ "$wanted" != none ] || [ "$GOAL" != none ] || where='at-most-one'
	way_run
	status=$?
	[ "$status" -le 1 ] || bad mended "$1: exit code $status: $(tail -n 1 "$W/out/once")"
	mv "$EVENTS" "$W/out/first"
	wrong=$(way_settled "$where") || bad mended "$1: $wrong"
	way_settled "$wanted" >/dev/null && [ "$status" -eq 0 ] && return
	echo "pass $1 $group $n"
	way_run || bad mended "$1: exit code $? of a second pass: $(tail -n 1 "$W/out/once")"
	wrong=$(way_settled "$wanted") || bad mended "$1: after a second pass: $wrong"
}

# told WHAT: the events of the first pass say what was found, when there was something.
told() {
	local found lost
	found=$("$TOOLS/jsonq" -c -a message-recovered -w /event/outcome=success "$W/out/first")
	lost=$("$TOOLS/jsonq" -c -a message-recovered -w /event/outcome=failure "$W/out/first")
	if [ "$clean" -eq 0 ]; then
		[ "$found" -ge 1 ] || bad told "$1: no event"
	else
		[ "$found" -eq 0 ] || bad told "$1: an event, and nothing was left"
	fi
	[ "$lost" -eq 0 ] || bad told "$1: not recovered"
}

restarted() {
	local clean=1
	way_is_clean || clean=0
	mended "$1"
	told "$1"
}

crash_points() {
	local group n wrong wanted variant k key
	declare -A states=()
	way_lay
	for group in main work idle; do
		for ((n = 1; n <= 400; n++)); do
			crashed || break
			wrong=$(way_instant) || bad instant "$wrong"
			echo "point $(cut -d ' ' -f 3 "$REPORT")"
			key=$(way_files)
			[ -n "${states[$key]:-}" ] || states[$key]="$group $n"
			wanted=$GOAL
			restarted restart
			[ "$group" != idle ] || continue
			crashed || break
			between deliver
			restarted deliver
		done
	done
	case $1 in
	split | user | big) return ;; # the same states
	esac
	# Each state that a kill leaves, and the next start killed before each change that it makes.
	for key in "${!states[@]}"; do
		read -r group n <<<"${states[$key]}"
		for variant in restart deliver; do
			for ((k = 1; k <= 100; k++)); do
				crashed || break
				between "$variant"
				way_interrupt -c -s "$CHANGES" -k "$k" || break
				wrong=$(way_instant) || bad instant "second kill at $k: $wrong"
				echo "again $(cut -d ' ' -f 3 "$REPORT")"
				# It may have come as far as to move the message: then another runner delivers that, too.
				[ "$variant" = restart ] || [ "$wanted" = none ] || between deliver
				mended "$variant, second kill at $k"
			done
		done
	done
}

each_way crash_points

# failures WORD WAY: the first lines of that kind.
failures() {
	sed -n "s/^$1 //p" "$T/$2.result" | head -n 12
}

counts='' again=0
for way in $WAYS; do
	points=$(grep -c '^point' "$T/$way.result")
	again=$((again + $(grep -c '^again' "$T/$way.result")))
	counts="$counts, $way $points"
	calls=$(sed -n 's/^point //p' "$T/$way.result" | sort | uniq -c | awk '{ printf " %s %s", $1, $2 }')
	if [ "$way" = delete ] || [ "$way" = link ] || [ "$way" = split ]; then
		matches "$way: killed before$calls" "$calls" "*flock*renameat2*unlinkat*"
	else
		matches "$way: killed before$calls" "$calls" "*flock*renameat2*"
	fi
	is "$way: no runner could see it twice or in part ($points crash points)" "$(failures instant "$way")" ""
	is "$way: the next start brings it to its end, whole and once, and leaves nothing" "$(failures mended "$way")" ""
	is "$way: and tells what it found" "$(failures told "$way")" ""
	is "$way: nothing else went wrong" "$(grep -vE '^(point|again|pass|instant|mended|told) ' "$T/$way.result")" ""
done
if [ "$FAILED" -eq 0 ]; then
	pass "crash points: ${counts#, } - all whole and once; $again more with the next start killed, too"
else
	fail "crash points: ${counts#, }; $again more with the next start killed, too"
fi

e2e_end
