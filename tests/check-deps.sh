#!/usr/bin/env bash
# check-deps.sh - holds the order of the modules: a file includes only headers of its own layer or below; and the calls
# that can do harm stand only in the files that are made for them.
set -u
cd "$(dirname "$0")/.." || exit 3
bad=0

complain() {
	echo "check-deps: $*"
	bad=1
}

# Layers from the lowest to the highest. A file belongs to the layer that names it; its headers too.
layers="
units xalloc clock json_line memory
event_record
event_log event_filter event_show
problem text pool paths suggest syntax file load_value load_tiers load_rules load_sinks load_events duplicates match decide policy load
log qfile trouble sha256 addresses
table claim control lock sink sink_socket sink_stdout sink_file sink_fifo sink_syslog sink_journal
spool scan notify worker
mover mover_copy recover
events
engine engine_parts engine_message engine_report engine_tiers engine_carry engine_limit
supervisor loop
command cmd_run cmd_check cmd_move cmd_events
main
"

layer_of() {
	local n=0 line word
	while IFS= read -r line; do
		[ -n "$line" ] || continue
		n=$((n + 1))
		for word in $line; do
			if [ "$word" = "$1" ]; then
				echo "$n"
				return
			fi
		done
	done <<<"$layers"
	echo 0
}

for file in policy/*.[ch] watcher/*.[ch] include/qfwatch/*.h; do
	name=$(basename "$file")
	name=${name%.*}
	layer=$(layer_of "$name")
	[ "$layer" -ne 0 ] || complain "$file: tests/check-deps.sh does not know its layer: add it"
	for header in $(sed -nE 's|^#include "(qfwatch/)?([a-z0-9_]+)\.h"|\2|p' "$file"); do
		below=$(layer_of "$header")
		[ "$below" -ne 0 ] || complain "$file includes $header.h, whose layer is not known"
		[ "$below" -le "$layer" ] || complain "$file includes $header.h, which stands above it"
	done
done

# only PATTERN WHAT FILE...: the pattern may match in these files and in no others
only() {
	local pattern=$1 what=$2 file
	shift 2
	for file in $(grep -lE "$pattern" policy/*.[ch] watcher/*.[ch] include/qfwatch/*.h); do
		case " $* " in
		*" $file "*) ;;
		*) complain "$file uses $what: that belongs into $*" ;;
		esac
	done
}

only 'inotifytools_|inotify_(init|add)' libinotifytools watcher/notify.c
# sink_file.c rotates its own files, outside the spool.
only '\brename\(' rename watcher/mover.c watcher/mover_copy.c watcher/recover.c watcher/sink_file.c
only '\b(renameat2?|linkat|link|symlink|unlinkat)\(' 'a call that moves or removes spool files' \
	watcher/mover.c watcher/mover_copy.c watcher/recover.c
# claim.c removes its own lock file, outside the spool.
only '\bunlink\(' unlink watcher/claim.c
only '\bopen(at)?\([^;]*O_(WRONLY|RDWR|CREAT|TRUNC)' 'opening for writing' \
	watcher/claim.c watcher/mover_copy.c watcher/sink_file.c watcher/sink_stdout.c watcher/sink_fifo.c
only '\bjson_(t|load|object|array|is|string_value|integer|delete|error_t)|jansson\.h' jansson \
	policy/load.h policy/load.c policy/load_value.c policy/load_tiers.c policy/load_rules.c policy/load_sinks.c policy/load_events.c \
	watcher/event_record.c

[ "$bad" -eq 0 ] && echo "check-deps: all modules keep to their layer"
exit "$bad"
