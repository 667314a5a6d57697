#!/bin/bash
# takes: 600
# Each system call of each way of moving, from the lock of a message to the end of the program, fails in turn, once and from
# then on, with what a full, broken or read-only disk, a signal and a lack of memory or descriptors give: the program never
# dies and never loops, the message is never lost, doubled or seen in part, and when the fault is gone the next start
# brings it to where it belongs and leaves nothing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ways.sh"
ways_begin "$@"
# user and big make the same calls as hidden and copy. The longest first, and in two: what the loop does, what its worker.
ORDER=
for way in copy back split hidden link delete; do
	[[ " $WAYS " != *" $way "* ]] || ORDER="$ORDER $way"
done
WAYS=${ORDER/ copy/ copy.loop copy.worker}

# bad WORD WHAT: one line of a result that is a failure.
bad() {
	echo "$1 $group $n $call $error $mode: $2 [$(way_files)]"
}

# errors_for WAY CALL: in $errors. All five for every call; what only a change of the disk gives, there. Ways that differ
# from another in their folders only get three.
errors_for() {
	errors='ENOSPC EIO EINTR EMFILE ENOMEM'
	case $1 in
	split | back)
		errors='ENOSPC EIO EINTR'
		return
		;;
	esac
	case $2 in
	write | pwrite64 | openat | linkat | copy_file_range) errors="$errors EDQUOT EROFS" ;;
	renameat2 | unlinkat | fchmod | fchown | utimensat | fsync) errors="$errors EDQUOT EROFS" ;;
	esac
}

# One fault: $error at $n of $group, once or for good.
fault() {
	local wrong options=(-x -g "$group" -e "$error" -n "$n") status
	[ "$mode" = once ] || options+=(-p)
	way_lay || bad setup "cannot lay the message"
	way_interrupt "${options[@]}"
	status=$?
	case $status in
	0) ;;
	1) return 1 ;;
	*) bad ended "$(head -n 1 "$REPORT"): $(tail -n 1 "$W/out/once")" ;;
	esac
	echo "fault $error"
	# 3: out of memory, which the program says and ends by.
	grep -qE '^(exited [013])$' "$REPORT" || bad ended "$(head -n 1 "$REPORT"): $(tail -n 1 "$W/out/once")"
	wrong=$(way_instant) || bad seen "$wrong"
	way_settled "$GOAL" >/dev/null && return
	# A name that comes back while its directory is read is met by the pass after that only.
	way_run || way_run || bad after "exit code $?: $(tail -n 1 "$W/out/once")"
	way_settled "$GOAL" >/dev/null || way_run
	wrong=$(way_settled "$GOAL") || bad after "$wrong"
}

faults() {
	local group n call error mode errors log=$W/out.log
	for group in main work; do
		# What the loop does beside a worker is the same for all copies.
		case $group.$1 in
		main.back | main.copy.worker | work.copy.loop) continue ;;
		esac
		n=0
		way_lay
		way_interrupt -x -g "$group" -l "$log"
		while read -r call; do
			n=$((n + 1))
			errors_for "$1" "$call"
			for error in $errors; do
				for mode in once always; do
					fault || break 2
				done
			done
		done < <(sort -n "$log" | cut -d ' ' -f 2)
	done
}

each_way faults

failures() {
	sed -n "s/^$1 //p" "$T/$2.result" | head -n 12
}

counts=''
for way in $WAYS; do
	number=$(grep -c '^fault' "$T/$way.result")
	counts="$counts, $way $number"
	ok "$way: many faults ($number)" [ "$number" -ge 100 ]
	is "$way: the program never dies and never loops" "$(failures ended "$way")" ""
	is "$way: the message is never seen twice or in part" "$(failures seen "$way")" ""
	is "$way: without the fault it gets where it belongs, and nothing is left" "$(failures after "$way")" ""
	is "$way: nothing else went wrong" "$(grep -vE '^(fault|ended|seen|after) ' "$T/$way.result")" ""
done
if [ "$FAILED" -eq 0 ]; then
	pass "faults: ${counts#, } - no death, no loop, all whole and once"
else
	fail "faults: ${counts#, }"
fi

e2e_end
