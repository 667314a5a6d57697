#!/bin/sh
# run.sh - the numbers of qfwatch, each beside bare system calls and what people use today, in one table.
# usage: tests/bench/run.sh [ROW...]     rows: scan move memory idle reaction flood (all)
#
# Environment: SCALE (100000) messages in the spool; BENCH_DIR (TMPDIR, /tmp) where it is written, on the file system to be
# measured; BENCH_ROUNDS (5); BENCH_IDLE_SECONDS (20); BENCH_FLOOD_SECONDS (10); BUILD (build).
# Prints the table and writes it to $BUILD/bench/results.json. Exit status 1 when a program failed, not when a number is bad.
set -eu

BUILD=${BUILD:-build}
SCALE=${SCALE:-100000}
export SCALE
programs=$BUILD/tests/bench
rows=${*:-scan move memory idle reaction flood}

for row in $rows; do
	if [ ! -x "$programs/bench_$row" ]; then
		echo "run.sh: $programs/bench_$row is not there: build it first (make bench)" >&2
		exit 2
	fi
done

# One folder for all, so that nothing stays whatever happens to a program.
folder=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/qfwatch-bench-XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
export BENCH_DIR="$folder"
export BENCH_RESULTS="$folder/results"
: >"$BENCH_RESULTS"

# sendmail's own tool for moving messages, to compare with. Without it its row is left out.
qtool() {
	find "$BUILD/sendmail" -type f -name qtool.pl 2>/dev/null | head -n 1
}
case " $rows " in
*" move "*)
	if [ -z "$(qtool)" ] && [ -x tests/e2e/fetch-sendmail.sh ]; then
		BUILD=$BUILD tests/e2e/fetch-sendmail.sh >"$folder/fetch.log" 2>&1 || true
	fi
	QTOOL=$(qtool)
	export QTOOL
	;;
esac

kernel=$(uname -sr)
processors=$(getconf _NPROCESSORS_ONLN)
filesystem=$(df --output=fstype "$folder" | tail -n 1)
queued=$(cat /proc/sys/fs/inotify/max_queued_events 2>/dev/null || echo 0)
began=$(date +%s)

echo "qfwatch bench: $SCALE messages on $filesystem, $processors processors, $kernel, inotify queue $queued"
case " $rows " in
*" scan "* | *" memory "* | *" idle "* | *" reaction "* | *" flood "*)
	mkdir "$folder/spool"
	"$programs/bench_spool" "$folder/spool/QUEUE" "$SCALE"
	export BENCH_SPOOL="$folder/spool"
	;;
esac

echo
printf '%-48s %10s %10s %8s %-12s %-10s %-3s  %s\n' what qfwatch beside ratio min..max reach '' 'today elsewhere'
failed=
for row in $rows; do
	if ! BENCH_QUIET=${BENCH_QUIET-1} "$programs/bench_$row"; then
		failed="$failed bench_$row"
		echo "$row: failed, see above"
	fi
done

cat <<'END'

bare:     the same by system calls alone (readdir open read close; inotify; flock link rename unlink), no table, no checks.
ratio:    qfwatch / bare, median of the rounds and their spread. yes/no: the target is reached.
reaction: from just before sendmail's last close until another process has been told that the qf is in its next tier.
idle:     voluntary context switches of all threads. memory: VmRSS, less that with an empty spool.
overflow: from SIGCONT until the due message moved and the daemon said resynced; beside it its own whole first scan.
scan:     a whole run --once --dry-run, warm caches. move: run --once, less the same with nothing due; events go to a file.
END
[ -n "${QTOOL-x}" ] || echo "qtool.pl: not there (tests/e2e/fetch-sendmail.sh could not bring it); its row is left out."

mkdir -p "$BUILD/bench"
{
	printf '{"version":1,"date":"%s","scale":%s,"kernel":"%s","processors":%s,"filesystem":"%s","inotify_queue":%s,"rows":[' \
		"$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$SCALE" "$kernel" "$processors" "$filesystem" "$queued"
	paste -s -d , "$BENCH_RESULTS" | tr -d '\n'
	printf ']}\n'
} >"$folder/results.json"
mv "$folder/results.json" "$BUILD/bench/results.json"
echo "$BUILD/bench/results.json written; $(($(date +%s) - began)) s in all."
if [ -n "$failed" ]; then
	echo "run.sh: failed:$failed" >&2
	exit 1
fi
