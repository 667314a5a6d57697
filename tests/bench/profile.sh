#!/bin/sh
# profile.sh - where the instructions go, and which system calls there are: of one scanned message, one rewrite of a qf, one
# rewrite and its move.
# usage: tests/bench/profile.sh [FUNCTIONS]     how many of each to show (12)
#
# Needs valgrind; strace where it is there. Its first part it is the row "profile" of make bench, limits of
# profile.limits included: exit status 1 when one is exceeded. BUILD (build) says where the programs are.
set -eu

BUILD=${BUILD:-build}
most=${1:-12}
here=$(dirname "$0")
program=$BUILD/tests/bench/bench_profile

if [ ! -x "$program" ]; then
	echo "profile.sh: $program is not there: make $program" >&2
	exit 2
fi
if ! command -v callgrind_annotate >/dev/null; then
	echo "profile.sh: no valgrind: apt-get install valgrind" >&2
	exit 3
fi
folder=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/qfwatch-bench-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

status=0
BENCH_DIR=$folder BENCH_PROFILES=$folder BENCH_LIMITS=${BENCH_LIMITS-$here/profile.limits} "$program" || status=$?

# functions LOAD: "instructions function" of a whole run.
functions() {
	callgrind_annotate --auto=no --show-percs=no --threshold=100 "$folder/callgrind.$1" |
		sed -n 's/^ *\([0-9][0-9,]*\)  \([^ ]*\).*$/\1 \2/p' | tr -d ,
}

# show LOAD TIMES WHAT: of each function what the load has added, for one of it.
show() {
	echo
	echo "$3:"
	{
		functions nothing | sed 's/^/-/'
		functions "$1"
	} | awk -v times="$2" '
		$2 !~ /:/ { next } # the total
		{ sub(/^.*:/, "", $2); sub(/(\.isra|\.constprop|\.part)?(\.[0-9]+)*$/, "", $2); sum[$2] += $1; all += $1 }
		END {
			for (name in sum)
				if (sum[name] >= times)
					printf "%9.0f  %4.1f%%  %s\n", sum[name] / times, 100 * sum[name] / all, name
			printf "%9.0f  100.0%%  (all)\n", all / times
		}' | sort -k 1,1nr | head -n $((most + 1))
}

# calls LOAD TIMES: the same of system calls, in one line.
calls() {
	[ -e "$folder/strace.nothing" ] || return 0
	{
		sed -n 's/^ *[0-9.]* *[0-9.]* *[0-9]* *\([0-9]*\) .*[ ]\([a-z_0-9]*\)$/-\1 \2/p' "$folder/strace.nothing"
		sed -n 's/^ *[0-9.]* *[0-9.]* *[0-9]* *\([0-9]*\) .*[ ]\([a-z_0-9]*\)$/\1 \2/p' "$folder/strace.$1"
	} | awk -v times="$2" '
		$2 != "total" { sum[$2] += $1 }
		END {
			for (name in sum)
				if (sum[name] * 20 >= times)
					printf "%.1f %s\n", sum[name] / times, name
		}' | sort -k 1,1nr -k 2 | tr '\n' ',' | sed 's/^/  calls: /; s/,$//; s/,/, /g'
	echo
}

if [ -e "$folder/callgrind.nothing" ]; then
	show scan 1000 "one scanned message"
	calls scan 1000
	show rewrite 300 "one rewrite of a qf"
	calls rewrite 300
	show move 300 "one rewrite, and its move"
	calls move 300
fi
exit $status
