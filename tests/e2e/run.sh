#!/bin/bash
# run.sh - runs the end-to-end tests and counts their assertions.
# usage: tests/e2e/run.sh [-v] [NN-name...]
#   -v  prints every assertion; else only those that fail, under their test's line
# JOBS (3) tests run at a time. One that says "# takes: SECONDS" in its second line begins before the others, and may take that
# much longer. BUILD (build) says where the programs are: `make programs` makes them.
# Exits 0 when all passed, 1 when not, 3 when they cannot run.
set -u
cd "$(dirname "$0")/../.." || exit 3
export BUILD=${BUILD:-build}
JOBS=${JOBS:-3}
verbose=
if [ "${1:-}" = -v ]; then
	verbose=1
	shift
fi

for program in qfwatch tests/e2e/sink tests/e2e/holder tests/e2e/jsonq tests/e2e/onlyone; do
	if [ ! -x "$BUILD/$program" ]; then
		echo "run.sh: $BUILD/$program is missing: make programs" >&2
		exit 3
	fi
done
tests/e2e/fetch-sendmail.sh || exit 3

if [ $# -eq 0 ]; then
	set -- tests/e2e/[0-9]*.sh
fi
results=$(mktemp -d) || exit 3
# shellcheck disable=SC2046
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$results"' EXIT
trap 'exit 130' HUP INT TERM

# takes FILE: the seconds of its line "# takes: SECONDS", 0 without one.
takes() {
	local seconds
	seconds=$(sed -n '2s/^# takes: \([0-9]*\)$/\1/p' "$1")
	echo "${seconds:-0}"
}

# longest_first FILE...: the same, one a line, those that take long before the others.
longest_first() {
	local file
	for file in "$@"; do
		printf '%s %s\n' "$(takes "$file")" "$file"
	done | sort -s -k 1,1nr | cut -d ' ' -f 2-
}

# one NAME FILE: a test that hangs in spite of all its deadlines is a test that fails.
one() {
	local status child since=$SECONDS
	timeout --kill-after=10 $((120 + $(takes "$2"))) "$2" >"$results/$1.out" 2>&1 &
	child=$!
	trap 'kill "$child"; wait "$child"; exit 1' TERM
	wait "$child"
	status=$?
	if [ "$status" -ne 0 ] && ! grep -q '^not ok' "$results/$1.out"; then
		echo "not ok - the test ended with exit code $status" >>"$results/$1.out"
	fi
	echo $((SECONDS - since)) >"$results/$1.time"
}

show() {
	local passed failed
	passed=$(grep -c '^ok' "$results/$1.out")
	failed=$(grep -c '^not ok' "$results/$1.out")
	printf '%-20s %3d passed, %d failed, %d s\n' "$1" "$passed" "$failed" "$(cat "$results/$1.time")"
	if [ -n "$verbose" ]; then
		sed 's/^/    /' "$results/$1.out"
	elif [ "$failed" -gt 0 ]; then
		grep -v '^ok' "$results/$1.out" | sed 's/^/    /'
	fi
}

files=()
for test in "$@"; do
	file=tests/e2e/$(basename "$test" .sh).sh
	if [ ! -x "$file" ]; then
		echo "run.sh: there is no test $file" >&2
		exit 3
	fi
	files+=("$file")
done
mapfile -t files < <(longest_first "${files[@]}")
for file in "${files[@]}"; do
	name=$(basename "$file" .sh)
	while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do
		wait -n
	done
	one "$name" "$file" &
done
wait

passed=0 failed=0
for test in "$@"; do
	name=$(basename "$test" .sh)
	show "$name"
	passed=$((passed + $(grep -c '^ok' "$results/$name.out")))
	failed=$((failed + $(grep -c '^not ok' "$results/$name.out")))
done
echo "e2e: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
