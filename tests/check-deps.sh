#!/usr/bin/env bash
# check-deps.sh - holds the order of the modules: a file includes only headers of its own layer or below; the calls that can
# do harm stand only in the files that are made for them; and INTERNALS.md tells of every file.
set -u
cd "$(dirname "$0")/.." || exit 3
bad=0

complain() {
	echo "check-deps: $*"
	bad=1
}

# Layers from the lowest to the highest. A file belongs to the layer that names it; its headers too.
layers="
hash phrase units xalloc clock library json_line json_text memory moment plain feed columns event_record
event_log event_filter event_show
problem text pool paths wildcard pattern suggest syntax file load_value load_address load_tiers load_pattern load_when load_then load_rules load_digest load_sinks load_events load_listen load_metrics duplicates match describe compare decide cases prove policy filter load
log qfile qtext trouble sendmail_cf runner rights processes shell shell_parts shell_word qctrl qctrl_pattern sha256 addresses
qctrl_policy qctrl_policy_parts qctrl_when qctrl_comment
exposition table domains domains_ring ages tally labels claim transcripts listener control lock program sink sink_socket sink_stdout sink_file sink_fifo sink_syslog sink_journal locked
spool spool_parts spool_plan scan notify worker
gather
survey forecast shape listing
census
mover mover_copy recover inspect
events events_parts event_line
replay replay_parts replay_world replay_lives replay_judge replay_read
engine engine_parts engine_message engine_action engine_trouble engine_report engine_tiers engine_carry engine_limit engine_facts engine_domains engine_program engine_scan engine_transcript engine_tally engine_labels engine_view
textfile metrics
http_library
http http_parts http_connection http_request http_walk http_task http_status http_metrics http_page http_messages http_shape http_tiers http_events http_doctor
client
answer
top_parts top_model top_page top_screen
doctor doctor_parts doctor_policy doctor_daemon doctor_answer doctor_rights doctor_runners doctor_sendmail doctor_spool doctor_counts doctor_stands doctor_pace doctor_system doctor_show
supervisor loop loop_parts loop_policy explain explain_text explain_json
command query cmd_run cmd_check cmd_explain cmd_plan cmd_replay cmd_move cmd_events cmd_doctor cmd_import_qctrl cmd_list cmd_shape cmd_status cmd_top top_viewer top_ask
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
	while read -r header; do
		below=$(layer_of "$header")
		[ "$below" -ne 0 ] || complain "$file includes $header.h, whose layer is not known"
		[ "$below" -le "$layer" ] || complain "$file includes $header.h, which stands above it"
	done < <(sed -nE 's|^#include "(qfwatch/)?([a-z0-9_]+)\.h"|\2|p' "$file")
done

# only PATTERN WHAT FILE...: the pattern may match in these files and in no others
only() {
	local pattern=$1 what=$2 file
	shift 2
	while read -r file; do
		case " $* " in
		*" $file "*) ;;
		*) complain "$file uses $what: that belongs into $*" ;;
		esac
	done < <(grep -lE "$pattern" policy/*.[ch] watcher/*.[ch] include/qfwatch/*.h)
}

only 'inotifytools_|inotify_(init|add)' libinotifytools watcher/notify.c
# sink_file.c and textfile.c rename their own files, outside the spool.
only '\brename\(' rename watcher/mover.c watcher/mover_copy.c watcher/recover.c watcher/sink_file.c watcher/textfile.c
only '\b(renameat2?|linkat|link|symlink|unlinkat)\(' 'a call that moves or removes spool files' \
	watcher/mover.c watcher/mover_copy.c watcher/recover.c
# claim.c removes its own lock file, listener.c its own socket, outside the spool.
only '\bunlink\(' unlink watcher/claim.c watcher/listener.c watcher/textfile.c
only '\bopen(at)?\([^;]*O_(WRONLY|RDWR|CREAT|TRUNC)' 'opening for writing' \
	watcher/claim.c watcher/mover_copy.c watcher/sink_file.c watcher/sink_stdout.c watcher/sink_fifo.c watcher/textfile.c
only '\bjson_(t\b|load|object|array|is|string_value|integer|delete|error_t)|jansson\.h' jansson \
	policy/load.h policy/load.c policy/load_value.c policy/load_address.c policy/load_tiers.c policy/load_rules.c policy/load_sinks.c policy/load_events.c policy/load_listen.c policy/load_metrics.c \
	policy/load_pattern.c policy/load_when.c policy/load_then.c policy/load_digest.c \
	watcher/doctor_answer.c watcher/qctrl_policy_parts.h watcher/qctrl_policy.c watcher/qctrl_when.c watcher/qctrl_comment.c \
	watcher/cmd_plan.c watcher/cmd_replay.c watcher/replay_read.c watcher/event_record.c \
	watcher/client.c watcher/query.c watcher/answer.c include/qfwatch/answer.h watcher/cmd_list.c watcher/cmd_shape.c watcher/cmd_status.c \
	watcher/top_parts.h watcher/top_model.c watcher/top_page.c watcher/top_ask.c watcher/cmd_top.c
only '\b(initscr|newterm|endwin|curses\.h)' ncurses watcher/top_screen.c
only '\bcurl_|curl/' libcurl watcher/client.c
only '\bMHD_(start|add|queue|create|suspend|resume|run|lookup|get)|->mhd\.' 'the calls of libmicrohttpd' \
	watcher/http_library.h watcher/http_library.c watcher/http.c watcher/http_connection.c watcher/http_request.c watcher/http_events.c
only '\bdlopen\(|\bdlsym\(' 'loading libraries' watcher/library.c
only '\bpcre2_|pcre2\.h' PCRE2 policy/pattern.c

# Every source file stands in a table of INTERNALS.md (a header with the file of its name), and every name there is a file.
# shellcheck disable=SC2016
tables=$(sed -n '/^## The files/,/^## States on disk/p' INTERNALS.md | grep '^|' | grep -oE '`[a-z0-9_*]+\.[ch]`' | tr -d '`' | sort -u)
for file in policy/*.[ch] watcher/*.[ch]; do
	name=$(basename "$file")
	named=
	for pattern in $tables; do
		# shellcheck disable=SC2254
		case $name in
		$pattern | "${pattern%.c}.h") named=1 ;;
		esac
	done
	[ -n "$named" ] || complain "$file stands in no table of INTERNALS.md: say there what it is"
done
for pattern in $tables; do
	compgen -G "policy/$pattern" >/dev/null || compgen -G "watcher/$pattern" >/dev/null ||
		complain "INTERNALS.md tells of $pattern, which is not there"
done

[ "$bad" -eq 0 ] && echo "check-deps: all modules keep to their layer"
exit "$bad"
