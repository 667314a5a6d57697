#!/usr/bin/env bash
# run.sh - runs the tests and counts them.
# usage: tests/run.sh all | STAGE...   (stages: deps unit asan valgrind fuzz e2e)
#
# One line a test program; the whole output of one that fails. The closing line is "N passed, N failed". Logs stay in
# build/test-logs. FUZZ_SECONDS (30) bounds each fuzzer, but for what it reads of its corpus first.
set -u

cd "$(dirname "$0")/.." || exit 3
build=${BUILD:-build}
logs=$build/test-logs
fuzz_seconds=${FUZZ_SECONDS:-30}
jobs=$(nproc)
passed=0
failed=0
skipped=0

mkdir -p "$logs"
runtime=$(mktemp -d)
trap 'rm -rf "$runtime"' EXIT
export CMOCKA_MESSAGE_OUTPUT=stdout
export RUNTIME_DIRECTORY=$runtime # lock files of the daemons under test

say() { printf '%s\n' "$*"; }

# count LOG PATTERN: the sum of the numbers that PATTERN (one group) finds in the log
count() { sed -nE "s/.*$2.*/\1/p" "$1" | awk '{ n += $1 } END { print n + 0 }'; }

# The five lines that valgrind writes for each call of pidfd_open, which it does not know: whoever looks for what failed needs
# none of them.
unhandled='^--[0-9]+-- (WARNING: unhandled .* syscall|You may be able|Read the file README|Nevertheless we|it at http)'

# note NAME STATUS LOG SECONDS: takes over the counts of one cmocka program
note() {
	local name=$1 status=$2 log=$3 seconds=$4 p f s
	p=$(count "$log" '\[  PASSED  \] ([0-9]+) test')
	f=$(count "$log" '\[  FAILED  \] ([0-9]+) test')
	s=$(count "$log" '\[  SKIPPED \] ([0-9]+) test')
	# A crash, a leak report or nothing run at all is a failure that cmocka did not count.
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
	if [ "$status" -eq 0 ] && [ "$p" -eq 0 ]; then f=1; fi
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	if [ "$f" -eq 0 ]; then
		say "ok      $name: $p tests$([ "$s" -eq 0 ] || echo ", $s skipped") ($seconds s)"
	else
		say "FAILED  $name (exit status $status); its output:"
		sed -E "/$unhandled/d; s/^/        /" "$log"
	fi
}

# one NAME STATUS LOG: takes over a check that is one test by itself
one() {
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
		say "ok      $1"
	else
		failed=$((failed + 1))
		say "FAILED  $1 (exit status $2); its output:"
		tail -n 200 "$3" | sed 's/^/        /'
	fi
}

make_or_die() {
	if ! make --no-print-directory -j"$jobs" "$@" >"$logs/make.log" 2>&1; then
		cat "$logs/make.log"
		say "make $* failed: its output is above"
		say "$passed passed, $((failed + 1)) failed"
		exit 1
	fi
}

unit_names() { for f in tests/unit/test_*.c; do basename "$f" .c; done; }

# unit_programs STAGE BUILD WRAPPER...: runs every unit test program, as many at a time as there are cores
unit_programs() {
	local stage=$1 where=$2 name seconds status
	shift 2
	mkdir -p "$logs/$stage"
	for name in $(unit_names); do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		unit_program "$logs/$stage/$name" "$@" "$where/tests/unit/$name" &
	done
	wait
	for name in $(unit_names); do
		read -r status seconds <"$logs/$stage/$name.end"
		note "$stage/$name" "$status" "$logs/$stage/$name.log" "$seconds"
	done
}

# unit_program LOG COMMAND...: leaves the exit status and the seconds it took in LOG.end. The limit is for what hangs: each
# test has one of its own (tests/support/testing.c), and a busy machine may take minutes for a program.
unit_program() {
	local log=$1 since=$SECONDS status
	shift
	timeout 3600 "$@" >"$log.log" 2>&1
	status=$?
	echo "$status $((SECONDS - since))" >"$log.end"
}

unit_targets() { for name in $(unit_names); do echo "$1/tests/unit/$name"; done; }

stage_deps() {
	tests/check-deps.sh >"$logs/deps.log" 2>&1
	one "deps: modules include only what lies below them" $? "$logs/deps.log"
}

stage_unit() {
	# shellcheck disable=SC2046
	make_or_die BUILD="$build" "$build/qfwatch" $(unit_targets "$build")
	unit_programs unit "$build"
}

stage_asan() {
	# shellcheck disable=SC2046
	make_or_die BUILD="$build/asan" CC=gcc CFLAGS="-O1 -g -fno-omit-frame-pointer" \
		SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" $(unit_targets "$build/asan")
	QFWATCH_TEST_SCALE=small ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
		unit_programs asan "$build/asan"
}

stage_valgrind() {
	# shellcheck disable=SC2046
	make_or_die BUILD="$build" $(unit_targets "$build")
	QFWATCH_TEST_SCALE=small unit_programs valgrind "$build" valgrind -q --leak-check=full --track-fds=no \
		--error-exitcode=99 --errors-for-leak-kinds=definite
}

stage_fuzz() {
	local name pids="" seeds status
	make_or_die BUILD="$build" fuzzers
	mkdir -p "$logs/fuzz"
	for source in tests/fuzz/fuzz_*.c; do
		name=$(basename "$source" .c)
		seeds=$build/fuzz-corpus/$name
		mkdir -p "$seeds"
		tests/fuzz/seeds.sh "$name" "$seeds"
		(cd "$build" && timeout $((fuzz_seconds + 600)) "tests/fuzz/$name" -max_total_time="$fuzz_seconds" -timeout=10 \
			-rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 "fuzz-corpus/$name" >"test-logs/fuzz/$name.log" 2>&1) &
		pids="$pids $!:$name"
	done
	for pair in $pids; do
		name=${pair#*:}
		wait "${pair%%:*}"
		status=$?
		one "fuzz/$name: $fuzz_seconds s, $(count "$logs/fuzz/$name.log" 'number_of_executed_units: ([0-9]+)') inputs" \
			"$status" "$logs/fuzz/$name.log"
	done
}

stage_e2e() {
	local started=$SECONDS status p f
	make_or_die BUILD="$build" programs
	tests/e2e/run.sh >"$logs/e2e.log" 2>&1
	status=$?
	p=$(count "$logs/e2e.log" '^e2e: ([0-9]+) passed')
	f=$(count "$logs/e2e.log" '^e2e: [0-9]+ passed, ([0-9]+) failed')
	if [ "$f" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$p" -eq 0 ]; }; then f=1; fi
	passed=$((passed + p))
	failed=$((failed + f))
	if [ "$f" -eq 0 ]; then
		say "ok      e2e with a real sendmail: $p checks ($((SECONDS - started)) s)"
	else
		say "FAILED  e2e (exit status $status); its output:"
		sed 's/^/        /' "$logs/e2e.log"
	fi
}

stages=$*
[ "$stages" = all ] && stages="deps unit asan valgrind fuzz e2e"
[ -n "$stages" ] || stages="deps unit"
for stage in $stages; do
	case "$stage" in
	deps | unit | asan | valgrind | fuzz | e2e) "stage_$stage" ;;
	*)
		say "run.sh: unknown stage '$stage'; the stages are: deps unit asan valgrind fuzz e2e"
		exit 2
		;;
	esac
done

if [ "$skipped" -gt 0 ]; then
	say "$passed passed, $failed failed, $skipped skipped"
else
	say "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
