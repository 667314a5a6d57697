#!/bin/bash
# takes: 180
# The bench at a tiny scale: that it runs, prints every row, leaves nothing, and can be stopped. Its numbers are not judged: they need a
# machine of its own.
. "$(dirname "$0")/lib.sh"
# On a disk it takes three times as long.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
e2e_begin

export SCALE=1000 BENCH_ROUNDS=1 BENCH_IDLE_SECONDS=1 BENCH_FLOOD_SECONDS=1 BENCH_CHURN=100000
mkdir "$T/bench" "$T/memory" "$T/build" "$T/profile"
export BENCH_DIR=$T/bench BENCH_MEMORY=$T/memory
bench() {
	# Its results go elsewhere than those of a real run.
	for name in qfwatch tests sendmail; do
		[ ! -e "$BUILD/$name" ] || ln -sfn "$BUILD/$name" "$T/build/$name"
	done
	QFWATCH=$QFWATCH BUILD=$T/build "$E2E/../bench/run.sh" "$@"
}
# nothing_in DIRECTORY...: no folder either.
nothing_in() {
	[ -z "$(find "$@" -mindepth 1)" ]
}
# has_row KEY: it stands in the results, measured, or with the reason why not.
has_row() {
	jq -e --arg key "$1" '.rows[] | select(.row == $key) | .skipped or ((.qfwatch.rounds + .beside.rounds | length) > 0)' \
		"$T/build/bench/results.json"
}

# Limits that are exceeded are a failure, and the only one.
printf 'syscalls-move 1\ninstructions-move 1\n' >"$T/limits"
expected="1: run.sh: failed: bench_profile"
command -v strace >/dev/null || command -v valgrind >/dev/null || expected="0: "
BENCH_LIMITS=$T/limits bench >"$T/bench.out" 2>"$T/bench.err"
is "every row runs" "$?: $(grep -v '^bench_spool: \|^bench_profile: more than' "$T/bench.err" | head -n 20)" "$expected"
ok "the results are JSON" jq -e '.version == 2 and .scale == 1000' "$T/build/bench/results.json"
placed=
[ "$(nproc)" -lt 2 ] || placed="reaction-placed-p50 reaction-placed-p99"
for key in scan scan-text scan-listen scan-cron move move-guarded move-qtool memory memory-listen churn-table churn-table-each churn-daemon idle \
	idle-cpu reaction-p50 reaction-p99 reaction-decided reaction-acted reaction-rest $placed part-wakeup part-read part-decide \
	part-move reaction-load-p50 reaction-load-p99 reaction-load-rate reaction-memory-p50 requests-status requests-status-worst \
	requests-status-command requests-metrics requests-metrics-worst requests-shape requests-shape-command requests-list \
	requests-list-command requests-many requests-page requests-page-worst requests-explain requests-explain-command \
	requests-reaction-p50 requests-reaction-p99 requests-rate flood-rate flood-unwatched flood-overflows flood-reaction-p50 \
	flood-right overflow flood-rate-memory events stuck-fifo stuck-unix stuck-tcp stuck-full growth-reaction-p50 \
	growth-reaction-p99 growth-memory growth-cpu growth-scan; do
	ok "there is a row $key" has_row "$key"
done
for tool in instructions syscalls; do
	if [ -n "$(jq -r --arg key "$tool" '.rows[] | select(.row == $key) | .skipped' "$T/build/bench/results.json")" ]; then
		pass "# skip: $tool: the tool is not there"
		continue
	fi
	for load in scan rewrite move; do
		ok "there is a row $tool-$load" has_row "$tool-$load"
	done
done
is "each row is printed, too" "$(grep -c . <(jq -r '.rows[].what' "$T/build/bench/results.json" | while IFS= read -r what; do
	grep -qF -- "$what" "$T/build/bench/table.txt" || echo "$what"
done))" 0
ok "growth is drawn" grep -q '</svg>' "$T/build/bench/growth.svg"
ok "nothing is left" nothing_in "$T/bench" "$T/memory"

# Stopped in the middle of a row, it leaves neither files nor processes.
start "$T/stopped.out" "$T/stopped.err" env BENCH_IDLE_SECONDS=60 BUILD="$T/build" QFWATCH="$QFWATCH" "$E2E/../bench/run.sh" idle
ok "a daemon is watched" wait_until 90 grep -qs '"resynced"' -r "$T/bench" --include events
pid=$STARTED_PID
kill -TERM "$pid"
ok "SIGTERM ends it" wait_until 30 process_is_gone "$pid"
ok "its files go" wait_until 30 nothing_in "$T/bench" "$T/memory"
ok "so do its processes" wait_until 30 group_is_gone "$pid"
e2e_end
