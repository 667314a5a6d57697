#!/bin/sh
# run.sh - the numbers of qfwatch, each beside bare system calls and what people use today, in one table.
# usage: tests/bench/run.sh [ROW...]     rows: scan move memory churn idle reaction requests flood sinks growth profile (all)
#
# Environment: SCALE (100000) messages in the spool; BENCH_DIR (TMPDIR, /tmp) where it is written, on the file system to be
# measured; BENCH_SPOOL a folder whose QUEUE holds the messages: made with SCALE of them if it is not there, and kept, so that
# rows can be measured one after the other; BENCH_ROUNDS (5); BENCH_IDLE_SECONDS (20; 60 from SCALE=1000000 on);
# BENCH_FLOOD_SECONDS (10; 60); BENCH_CHURN (10000000); LOAD (2000) rewrites a second beside the reaction; BUILD (build).
# Prints the table and writes it to $BUILD/bench: table.txt, results.json, growth.svg. With rows given, results.json is of these
# alone. Exit status 1 when a program failed or profile.limits were exceeded, not when a number is bad.
set -eu

BUILD=${BUILD:-build}
SCALE=${SCALE:-100000}
export SCALE
if [ "$SCALE" -ge 1000000 ]; then
	BENCH_IDLE_SECONDS=${BENCH_IDLE_SECONDS:-60}
	BENCH_FLOOD_SECONDS=${BENCH_FLOOD_SECONDS:-60}
	export BENCH_IDLE_SECONDS BENCH_FLOOD_SECONDS
fi
here=$(dirname "$0")
programs=$BUILD/tests/bench
rows=${*:-scan move memory churn idle reaction requests flood sinks growth profile}

for row in $rows; do
	if [ ! -x "$programs/bench_$row" ]; then
		echo "run.sh: $programs/bench_$row is not there: build it first (make bench)" >&2
		exit 2
	fi
done

# One folder for all, so that nothing stays whatever happens to a program.
folder=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/qfwatch-bench-XXXXXX")
child=
trap 'rm -rf "$folder"' EXIT
stopped() {
	trap - INT TERM HUP
	# Its own children die with it.
	[ -z "$child" ] || kill "$child" 2>/dev/null || true
	wait
	exit "$1"
}
trap 'stopped 130' INT
trap 'stopped 143' TERM HUP
export BENCH_DIR="$folder"
export BENCH_RESULTS="$folder/results"
export BENCH_TABLE="$folder/table.txt"
export BENCH_PLOT="$folder/growth.svg"
export BENCH_LIMITS="${BENCH_LIMITS-$here/profile.limits}"
: >"$BENCH_RESULTS"
mkdir -p "$BUILD/bench"

# run COMMAND...: in the background, so that a signal is heard while it runs.
run() {
	"$@" &
	child=$!
	if wait "$child"; then
		child=
	else
		child=
		return 1
	fi
}

# sendmail's own tool for moving messages, to compare with. Without it its row is left out.
qtool() {
	find -H "$BUILD/sendmail" -type f -name qtool.pl 2>/dev/null | head -n 1
}
case " $rows " in
*" move "*)
	if [ -z "$(qtool)" ] && [ -x "$here/../e2e/fetch-sendmail.sh" ]; then
		BUILD=$BUILD "$here/../e2e/fetch-sendmail.sh" >"$folder/fetch.log" 2>&1 || true
	fi
	QTOOL=$(qtool)
	export QTOOL
	;;
esac

kernel=$(uname -sr)
processors=$(getconf _NPROCESSORS_ONLN)
processor=$(sed -n 's/^model name[[:space:]]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1 | tr -d '"')
queued=$(cat /proc/sys/fs/inotify/max_queued_events 2>/dev/null || echo 0)
began=$(date +%s)
case " $rows " in
*" scan "* | *" memory "* | *" idle "* | *" reaction "* | *" requests "* | *" flood "* | *" growth "*) spool=1 ;;
*) spool= ;;
esac
given=${BENCH_SPOOL:-}
filesystem=$(df --output=fstype "${given:-$folder}" 2>/dev/null | tail -n 1)
filesystem=${filesystem:-$(df --output=fstype "$folder" | tail -n 1)}

# say TEXT...: a line for the table; rows write theirs themselves.
say() {
	echo "$*" | tee -a "$BENCH_TABLE"
}

say "qfwatch bench: $SCALE messages on $filesystem; $processors x $processor; $kernel; inotify queue $queued"
if [ -n "$spool" ]; then
	export BENCH_SPOOL="${given:-$folder/spool}"
	if [ ! -d "$BENCH_SPOOL/QUEUE" ]; then
		mkdir -p "$BENCH_SPOOL"
		run "$programs/bench_spool" "$BENCH_SPOOL/QUEUE" "$SCALE"
	fi
fi
say
say "$(printf '%-48s %10s %10s %8s %-12s %-10s %-3s  %s' what qfwatch beside ratio min..max reach '' 'today elsewhere')"
failed=
export BENCH_QUIET="${BENCH_QUIET-1}"
for row in $rows; do
	if ! run "$programs/bench_$row"; then
		failed="$failed bench_$row"
		say "$row: failed, see above"
	fi
done
cat <<'END' | tee -a "$BENCH_TABLE"

beside:   the same by system calls alone (readdir open read close; inotify; flock link rename unlink), no table, no checks;
          for sinks: without them; churn: when it began; growth: the smallest spool.
ratio:    qfwatch / beside, median of the rounds and their spread; with nothing beside, the spread of the rounds themselves.
          yes/no: the target is reached.
reaction: from just before sendmail's last close until another process has been told that the qf is in its next tier.
          Without a load, daemon and bare loop have one processor, and mail server and observer, who never sleeps, another;
          "placed by the scheduler" is without that: who is woken then often waits until the daemon sleeps. So are all other rows.
          Decided: @timestamp less event.duration of its event; lock and move: event.duration; rest: what remains
          (less than nothing when that process hears of the rename before the event is made).
requests: over the Unix socket, from connect to the end of the answer, and by the command, from fork to its exit; beside those about
          all messages one pass over the qf files. The reaction beside them as above: who asks (status, /metrics, shape, list in turn,
          40 a second or as many as are answered) has the daemon's processor.
idle:     voluntary context switches of all threads. memory: VmRSS, less that with an empty spool.
overflow: from SIGCONT until the due message moved and the daemon said resynced; beside it its own whole first scan.
scan:     a whole run --once --dry-run, warm caches; "listens": the running daemon, until it said resynced.
move:     run --once, less the same with nothing due; events go to a file.
profile:  valgrind --tool=callgrind and strace -c, with and without a load; limits are those of tests/bench/profile.limits.
END
[ -n "${QTOOL-x}" ] || say "qtool.pl: not there (tests/e2e/fetch-sendmail.sh could not bring it); its row is left out."

{
	printf '{"version":2,"date":"%s","scale":%s,"kernel":"%s","processors":%s,"processor":"%s","filesystem":"%s","inotify_queue":%s,"rows":[' \
		"$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$SCALE" "$kernel" "$processors" "$processor" "$filesystem" "$queued"
	paste -s -d , "$BENCH_RESULTS" | tr -d '\n'
	printf ']}\n'
} >"$folder/results.json"
mv "$folder/results.json" "$BENCH_TABLE" "$BUILD/bench/"
[ ! -e "$folder/growth.svg" ] || mv "$folder/growth.svg" "$BUILD/bench/"
echo "$BUILD/bench/results.json and table.txt written; $(($(date +%s) - began)) s in all."
if [ -n "$failed" ]; then
	echo "run.sh: failed:$failed" >&2
	exit 1
fi
