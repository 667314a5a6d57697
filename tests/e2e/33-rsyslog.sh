#!/bin/bash
# takes: 120
# A real rsyslog takes the events of a file, over rotations, with kill -9, into a file and into Redis: none is lost. The
# configurations are those of contrib/pipelines, with other paths.
. "$(dirname "$0")/lib.sh"
e2e_begin
must "$E2E/fetch-rsyslog.sh" >&2
ROOT=$BUILD/rsyslog/root
PIPELINES=$E2E/../../contrib/pipelines
SCHEMA=$E2E/../../contrib/events-1.schema.json
LOG=$T/log
EVENTS=$LOG/events.json
COUNT=30000
policy_write "$THREE_RULES"
sed -i 's/"sinks"/"include": ["message-tracked", "message-attempted"], "sinks"/' "$POLICY"

# with_libraries PROGRAM ARGUMENTS...: one of the unpacked ones
with_libraries() {
	LD_LIBRARY_PATH=$(cat "$BUILD/rsyslog/libs") exec "$ROOT/$1" "${@:2}"
}
with_libraries_apart() {
	(with_libraries "$@")
}
export -f with_libraries
export ROOT BUILD

# rsyslog_configure FILE: takes it from contrib/pipelines, into $T/rsyslog.conf
rsyslog_configure() {
	rm -rf "$LOG" "$T/work"
	mkdir "$LOG" "$T/work"
	{
		echo "global(workDirectory=\"$T/work\")"
		sed -e "s|/var/log/qfwatch/collected.json|$T/collected.json|; s|/var/log/qfwatch/broken|$T/broken|" \
			-e "s|/var/log/qfwatch|$LOG|; s|serverport=\"6379\"|serverport=\"${REDIS_PORT:-}\"|" "$PIPELINES/$1"
	} >"$T/rsyslog.conf"
}

# What systemd does before a start.
mend_output() {
	local command
	command=$(sed -n "s|/var/log/qfwatch|$T|g; s/^ExecStartPre=-\/bin\/sh -c '\(.*\)'\$/\1/p" "$PIPELINES/rsyslog-service.conf")
	must test -n "$command"
	sh -c "$command" 2>/dev/null
}

rsyslog_start() {
	mend_output
	# shellcheck disable=SC2016
	start "$T/rsyslog.out" "$T/rsyslog.out" bash -c 'with_libraries usr/sbin/rsyslogd -n -f "$0/rsyslog.conf" -i "$0/rsyslog.pid" \
		-M "$(echo "$ROOT"/usr/lib/*/rsyslog)"' "$T"
	RSYSLOG=$STARTED_PID
	must wait_until 20 test -s "$T/rsyslog.pid"
}

# rsyslog_end SIGNAL
rsyslog_end() {
	local group rest=()
	kill "-$1" "$RSYSLOG"
	wait "$RSYSLOG" 2>/dev/null
	rm -f "$T/rsyslog.pid"
	for group in "${STARTED[@]}"; do
		[ "$group" = "$RSYSLOG" ] || rest+=("$group")
	done
	STARTED=("${rest[@]}")
}

# generator_start, emit COMMAND..., generator_end: eventgen.c says which commands there are
generator_start() {
	mkfifo "$T/commands" "$T/answers"
	exec {COMMANDS}<>"$T/commands" {ANSWERS}<>"$T/answers"
	INPUT=$T/commands start "$T/answers" "$T/eventgen.err" "$TOOLS/eventgen" "$POLICY"
	GENERATOR=$STARTED_PID
}

emit() {
	local command
	for command in "$@"; do
		echo "$command" >&"$COMMANDS"
		read -r -t 30 -u "$ANSWERS" || must false "eventgen: $command: $(cat "$T/eventgen.err")"
	done
}

generator_end() {
	kill "$GENERATOR"
	wait "$GENERATOR" 2>/dev/null
	exec {COMMANDS}>&- {ANSWERS}>&-
	rm -f "$T/commands" "$T/answers"
}

# ids FILE...: the different event.id of all lines that are whole, sorted
ids() {
	"$TOOLS/jsonq" <(cat "$@" 2>/dev/null) /event/id | sort -u
}

# The number of different events that arrived is looked for at the end only: that is dear.
has_arrived() {
	[ -s "$T/collected.json" ] && [ "$(wc -l <"$T/collected.json")" -ge "$1" ] && [ "$(ids "$T/collected.json" | wc -l)" -ge "$1" ]
}

arrived() {
	is "$1: each event arrived" "$(comm -23 <(ids "$LOG"/events.json*) <(ids "$T/collected.json") | wc -l)" 0
	is "$1: nothing else did" "$(comm -13 <(ids "$LOG"/events.json*) <(ids "$T/collected.json") | wc -l)" 0
	is "$1: there were as many as there should be" "$(ids "$LOG"/events.json* | wc -l)" "$COUNT"
	"$TOOLS/schema" --lines "$SCHEMA" "$T/collected.json" >"$T/schema.out" 2>&1
	is "$1: every whole line that arrived holds to the schema" "$(sed '/: no JSON: /d; s/^[0-9].* hold to .*/judged/' "$T/schema.out")" judged
	at_most "$1: lines that a kill cut short" "$(grep -c ': no JSON: ' "$T/schema.out")" "${2:-0}"
	ok "$1: no line was taken for a broken one" test ! -e "$T/broken"
}

# ---- a rotation in the middle, by logrotate -------------------------------------------------------------------------------

rsyslog_configure rsyslog-file.conf
sed -e "s|/var/log/qfwatch|$LOG|; s|^\([[:space:]]*\)systemctl .*|\1touch $T/rotated|" "$PIPELINES/logrotate.conf" >"$T/logrotate.conf"
chmod 0644 "$T/logrotate.conf"
generator_start
emit 2000
rsyslog_start
emit 2000 2000 2000 2000 2000 2000
# Renamed, and written to for a while under its new name, as it is until the signal arrives.
ok "logrotate takes its configuration and rotates" with_libraries_apart usr/sbin/logrotate -f -s "$T/logrotate.state" "$T/logrotate.conf"
ok "logrotate has sent the signal" test -e "$T/rotated"
ok "the old file has its new name" test -e "$EVENTS.1"
emit 1000 reopen
for _ in $(seq 15); do
	emit 1000
done
ok "30,000 events arrive" wait_until 60 has_arrived "$COUNT"
arrived "over a rotation"
is "over a rotation: each line is byte for byte what was recorded" "$(sort -u "$T/collected.json" | cmp - <(sort "$LOG"/events.json*) 2>&1)" ""
echo "# $(($(wc -l <"$T/collected.json") - COUNT)) events came twice"
rsyslog_end TERM
generator_end

# ---- half a line in the output ---------------------------------------------------------------------------------------------

rm -f "$T/collected.json"
mend_output
ok "no output is left alone" test ! -e "$T/collected.json"
: >"$T/collected.json"
mend_output
is "an empty one, too" "$(cat "$T/collected.json")" ""
printf '{"a":1}\n{"half' >"$T/collected.json"
mend_output
mend_output
is "half a line gets its end, once" "$(od -An -c "$T/collected.json" | tr -d ' \n')" '{"a":1}\n{"half\n'

# ---- kill -9 of rsyslogd, also right after a rotation ----------------------------------------------------------------------

# rsyslog-file.conf says what would be lost otherwise.
begins_to_arrive() {
	grep -qsF "$(head -n 1 "$EVENTS" | "$TOOLS/jsonq" - /event/id)" "$T/collected.json"
}

rm -f "$T/collected.json"
rsyslog_configure rsyslog-file.conf
generator_start
rsyslog_start
for i in $(seq 30); do
	emit 1000
	case "$i" in
	7 | 21)
		must wait_until 60 begins_to_arrive
		rsyslog_end KILL
		rsyslog_start
		;;
	10 | 20) emit "rotate $EVENTS.$((30 - i))" ;;
	esac
	if [ "$i" -eq 10 ]; then
		rsyslog_end KILL
		rsyslog_start
	fi
done
ok "30,000 events arrive in spite of three kills" wait_until 60 has_arrived "$COUNT"
arrived "over kills" 3
is "what came twice is told apart by event.id: each id has one line" \
	"$(sort -u "$T/collected.json" | "$TOOLS/jsonq" -c -)" "$COUNT"
echo "# $(($(wc -l <"$T/collected.json") - COUNT)) events came twice"
rsyslog_end TERM
generator_end

# ---- into Redis ------------------------------------------------------------------------------------------------------------

redis() {
	with_libraries_apart usr/bin/redis-cli -p "$REDIS_PORT" "$@"
}

redis_start() {
	# shellcheck disable=SC2016
	start "$T/redis.out" "$T/redis.out" bash -c 'with_libraries usr/bin/redis-server --port "$1" --bind 127.0.0.1 --dir "$0" \
		--save "" --appendonly yes' "$T" "$REDIS_PORT"
	REDIS=$STARTED_PID
	wait_until 20 redis_answers
}

redis_answers() {
	process_is_gone "$REDIS" || [ "$(redis ping 2>/dev/null)" = PONG ]
}

for _ in 1 2 3 4 5; do
	free_port
	REDIS_PORT=$FREE_PORT
	redis_start && ! process_is_gone "$REDIS" && break
done
must test "$(redis ping)" = PONG

# list_has COUNT: so many different events.
list_has() {
	[ "$(redis llen qfwatch)" -ge "$1" ] && [ "$(redis lrange qfwatch 0 -1 | "$TOOLS/jsonq" - /event/id | sort -u | wc -l)" -ge "$1" ]
}

rm -f "$T/collected.json"
rsyslog_configure rsyslog-redis.conf
COUNT=3000
generator_start
rsyslog_start
emit 1000
ok "events arrive in the list" wait_until 60 list_has 1000
is "the oldest is taken first" "$(redis rpop qfwatch)" "$(head -n 1 "$EVENTS")"
redis shutdown >"$T/redis.err" 2>&1
wait "$REDIS" 2>/dev/null
emit 1000 "rotate $EVENTS.1" 1000
redis_start
ok "what was written while Redis was away arrives when it is back" wait_until 60 list_has $((COUNT - 1))
{
	head -n 1 "$EVENTS.1"
	redis lrange qfwatch 0 -1
} >"$T/collected.json"
arrived "into Redis"
rsyslog_end TERM
generator_end
redis shutdown >"$T/redis.err" 2>&1
e2e_end
