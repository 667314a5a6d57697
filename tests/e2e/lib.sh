# shellcheck shell=bash disable=SC2034
# lib.sh - what the end-to-end tests share: a private sendmail, an SMTP sink, the daemon, and assertions.
#
# A test is a script that sources this file, calls e2e_begin, uses the functions below and ends with e2e_end. Everything
# it makes stands in $T, a folder of its own that goes when it ends, with all it started. Nothing ever sleeps for a fixed
# time: wait_until looks every 10 ms until its deadline.
#
# Variables: BUILD (build), the programs; KEEP=1 keeps $T and says where it is.

set -u
export LC_ALL=C

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case "${BUILD:-build}" in
/*) ;;
*) BUILD=$(cd "$E2E/../.." && pwd)/${BUILD:-build} ;;
esac
QFWATCH=${QFWATCH:-$BUILD/qfwatch}
TOOLS=$BUILD/tests/e2e

# ---- beginning and end --------------------------------------------------------------------------------------------

# e2e_begin: makes $T and its three tiers, and sees to it that nothing outlives the test.
e2e_begin() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/qfwatch-e2e.XXXXXX") || exit 3
	PASSED=0 FAILED=0 ENDED=0
	STARTED=() # process groups
	HOLD_FDS=()
	GIVEN_PORTS=" " # those that free_port has given
	trap e2e_cleanup EXIT
	trap 'exit 130' HUP INT TERM
	QUEUE=$T/QUEUE MIDQUEUE=$T/MIDQUEUE SLOWQUEUE=$T/SLOWQUEUE
	POLICY=$T/policy.json EVENTS=$T/events.json
	DAEMON=
	# The daemon's lock files: not where a real one keeps its own.
	export RUNTIME_DIRECTORY=$T/run
	unset NOTIFY_SOCKET WATCHDOG_USEC
	mkdir -m 0700 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE" "$T/run"
}

# e2e_end: the last line of every test.
e2e_end() {
	events_hold_to_schema
	ENDED=1
	[ "$FAILED" -eq 0 ]
	exit
}

# shellcheck disable=SC2317
e2e_cleanup() {
	local status=$? group

	if [ "$ENDED" -eq 0 ]; then
		echo "not ok - the test ended before its end (exit code $status)"
		status=1
	fi
	if [ "$status" -ne 0 ] && [ -s "$T/daemon.err" ]; then
		sed 's/^/# stderr: /' "$T/daemon.err"
	fi
	for group in "${STARTED[@]}"; do
		kill -TERM -- "-$group" 2>/dev/null
	done
	for group in "${STARTED[@]}"; do
		wait_until 2 group_is_gone "$group" || kill -KILL -- "-$group" 2>/dev/null
	done
	wait
	if [ "${KEEP:-}" = 1 ]; then
		echo "# kept: $T"
	else
		rm -rf "$T"
	fi
	exit "$status"
}

# start OUTPUT ERRORS COMMAND...: starts it in the background in a process group of its own; its number in $STARTED_PID.
# Its input is $INPUT, else empty.
start() {
	local out=$1 err=$2
	shift 2
	# A shell without job control starts its background jobs with SIGINT ignored.
	env --default-signal=INT,QUIT setsid "$@" >>"$out" 2>>"$err" <"${INPUT:-/dev/null}" &
	STARTED_PID=$!
	STARTED+=("$STARTED_PID")
}

group_is_gone() {
	! kill -0 -- "-$1" 2>/dev/null
}

# A process that has ended is a zombie until bash waits for it: kill -0 would still find it.
process_is_gone() {
	local state
	state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "${state#Z}" != "$state" ]
}

# ---- waiting and asserting ------------------------------------------------------------------------------------------

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# changed_ms FILE: when its inode changed last, by a rename for one; written_ms FILE: when its content did. However late anybody
# looks. The kernel's clock for files may be some ms behind now_ms.
changed_ms() {
	local at
	at=$(stat -c %.3Z "$1") && echo "${at/./}"
}

written_ms() {
	local at
	at=$(stat -c %.3Y "$1") && echo "${at/./}"
}

# wait_until SECONDS COMMAND...: true as soon as the command is, false at the deadline. What was asked before the deadline
# proves nothing of it: the command is asked once more at or after it.
wait_until() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000)) asked
	shift
	while :; do
		asked=${EPOCHREALTIME/./}
		! "$@" || return 0
		[ "$asked" -lt "$deadline" ] || return 1
		sleep 0.01
	done
}

# stays SECONDS COMMAND...: true when the command is true all that time.
stays() {
	local seconds=$1
	shift
	! wait_until "$seconds" not "$@"
}

not() {
	! "$@"
}

# free_port: a port of 127.0.0.1 that nobody listens on, another one each time, in $FREE_PORT. Each test has 200 numbers of its own, below those
# that the kernel gives to who connects: a test that runs beside it takes none of them while the daemon is away.
free_port() {
	local number=${0##*/} port
	number=${number%%[!0-9]*}
	while :; do
		port=$((20000 + 10#${number:-0} * 200 + RANDOM % 200))
		[ "${GIVEN_PORTS#* "$port" }" = "$GIVEN_PORTS" ] || continue
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	GIVEN_PORTS+="$port "
	FREE_PORT=$port
}

pass() {
	PASSED=$((PASSED + 1))
	echo "ok - $1"
}

# fail WHAT [DETAIL...]
fail() {
	FAILED=$((FAILED + 1))
	echo "not ok - $1"
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/#   /'
}

# ok WHAT COMMAND...: the command must be true.
ok() {
	local what=$1
	shift
	if "$@" >"$T/ok.out" 2>&1; then
		pass "$what"
	else
		fail "$what" "false: $*" "$(cat "$T/ok.out")" "tiers: $(tier_listing)"
	fi
}

# is WHAT FOUND EXPECTED
is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "expected: $3" "found:    $2" "tiers: $(tier_listing)"
	fi
}

# matches WHAT FOUND GLOB
matches() {
	# shellcheck disable=SC2053
	if [[ $2 == $3 ]]; then
		pass "$1"
	else
		fail "$1" "expected: $3" "found:    $2"
	fi
}

# at_most WHAT FOUND LIMIT
at_most() {
	if [ "$2" -le "$3" ]; then
		pass "$1 ($2, at most $3)"
	else
		fail "$1" "expected: at most $3" "found:    $2"
	fi
}

# must COMMAND...: for the steps of a test that are not what it tests.
must() {
	"$@" || {
		fail "could not: $*"
		ENDED=1
		exit 1
	}
}

# ---- tiers and messages -------------------------------------------------------------------------------------------------

# Every file of all tiers, hidden ones too, for people.
tier_listing() {
	(cd "$T" && find . -path './[A-Z]*' ! -type d | sort | tr '\n' ' ')
}

# files_in DIRECTORY...: how many files there are, hidden ones and those in folders too.
files_in() {
	find "$@" ! -type d | wc -l
}

is_empty() {
	[ "$(files_in "$@")" -eq 0 ]
}

# all_empty WHAT: no file is left in any tier.
all_empty() {
	is "$1" "$(tier_listing)" ""
}

# stands_in DIRECTORY ID: exactly one qf and one df, with that queue id; nothing else of it, hidden or not.
stands_in() {
	[ "$(find "$1" ! -type d -name "*$2*" -printf '%f\n' | sort | tr '\n' ' ')" = "df$2 qf$2 " ]
}

# only_in DIRECTORY ID: it stands there and nowhere else.
only_in() {
	stands_in "$1" "$2" && [ "$(find "$T"/[A-Z]* ! -type d -name "*$2*" | wc -l)" -eq 2 ]
}

# qf_only_in DIRECTORY ID: its qf is there and in no other tier; what else sendmail has made of it does not matter.
qf_only_in() {
	[ -n "$(qf_of "$1" "$2")" ] && [ "$(find "$T"/[A-Z]* -name "[qQh]f$2" | wc -l)" -eq 1 ]
}

# qf_of DIRECTORY ID: the path of its qf, in any layout.
qf_of() {
	find "$1" -name "qf$2"
}

# qf_field DIRECTORY ID LETTER: the rest of the first line with that letter.
qf_field() {
	local file
	file=$(qf_of "$1" "$2")
	[ -n "$file" ] && sed -n "/^$3/{s/^.//p;q}" "$file"
}

has_attempts() {
	[ "$(qf_field "$1" "$2" N)" = "$3" ]
}

# edit_qf FILE SED-SCRIPT: rewrites a qf while nobody looks, with its owner, group and mode.
edit_qf() {
	sed "$2" "$1" >"$T/edited" && cp -p --attributes-only "$1" "$T/edited.mode" && cat "$T/edited" >"$T/edited.mode" &&
		mv "$T/edited.mode" "$1" && rm -f "$T/edited"
}

# set_attempts FILE N: as if it had been tried N times, the last time a minute ago.
set_attempts() {
	edit_qf "$1" "s/^N.*/N$2/;s/^K.*/K$(($(date +%s) - 60))/"
}

# rewrite_qf FILE N: what sendmail does after an attempt, while the daemon runs: tf, rename.
rewrite_qf() {
	local tf
	tf=$(dirname "$1")/tf${1##*/qf}
	sed "s/^N.*/N$2/;s/^K.*/K$(date +%s)/" "$1" >"$T/edited" && install -m 0600 "$T/edited" "$tf" && mv "$tf" "$1"
}

# make_body FILE [LINES]: text with what is often damaged on the way: dots, tabs, trailing spaces, bytes above 127.
make_body() {
	{
		printf 'Dear reader,\n.\n..\n.dot\nFrom here\n\ttab \n\303\244 \344 \201\n\n'
		seq -f 'line %.0f of a body' 1 "${2:-20}"
	} >"$1"
}

# ---- sendmail -----------------------------------------------------------------------------------------------------------

# sendmail_begin: starts the sink and makes a sendmail configuration that gives it everything, bounces too.
sendmail_begin() {
	local root=$BUILD/sendmail/root
	must "$E2E/fetch-sendmail.sh" >&2
	sink_start
	mkdir -p "$T/mail"
	printf 'hosts files\naliases files\npasswd files\n' >"$T/mail/service.switch"
	: >"$T/mail/empty"
	cat >"$T/mail/sendmail.mc" <<-END
		define(\`_CF_DIR_', \`$root/usr/share/sendmail/cf/')dnl
		define(\`MAIL_SETTINGS_DIR', \`$T/mail/')dnl
		include(\`$root/usr/share/sendmail/cf/m4/cf.m4')dnl
		VERSIONID(\`qfwatch end-to-end tests')dnl
		OSTYPE(\`linux')dnl
		define(\`QUEUE_DIR', \`$QUEUE')dnl
		define(\`confPID_FILE', \`$T/mail/sendmail.pid')dnl
		define(\`STATUS_FILE')dnl
		define(\`ALIAS_FILE')dnl
		define(\`confHOSTS_FILE', \`$T/mail/hosts')dnl
		define(\`confSERVICE_SWITCH_FILE', \`$T/mail/service.switch')dnl
		define(\`confCW_FILE', \`$T/mail/empty')dnl
		define(\`confCR_FILE', \`$T/mail/empty')dnl
		define(\`confDEAD_LETTER_DROP', \`$T/mail/dead.letter')dnl
		define(\`confDONT_BLAME_SENDMAIL', \`GroupWritableDirPathSafe,TrustStickyBit')dnl
		define(\`confTRUSTED_USER', \`$(id -un)')dnl
		define(\`confMIN_QUEUE_AGE', \`0')dnl
		define(\`confTO_QUEUEWARN', \`')dnl
		define(\`confTO_IDENT', \`0')dnl
		define(\`confMIN_FREE_BLOCKS', \`0')dnl
		define(\`confQUEUE_LA', \`1000')dnl
		define(\`confREFUSE_LA', \`1000')dnl
		define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
		define(\`MAIL_HUB', \`relay:[127.0.0.1]')dnl
		define(\`LOCAL_RELAY', \`relay:[127.0.0.1]')dnl
		define(\`RELAY_MAILER_ARGS', \`TCP \$h $SINK_PORT')dnl
		FEATURE(\`nocanonify')dnl
		FEATURE(\`accept_unresolvable_domains')dnl
		MAILER(\`smtp')dnl
	END
	must m4 "$T/mail/sendmail.mc" >"$T/mail/sendmail.cf"
	hostname_begin
}

# sendmail asks for the host's name before it reads its configuration: it waits a minute when the name has no dot, and
# asks the name servers for it. So it gets a name of its own that stands in a hosts file of its own: in name spaces, as root
# or as a user who is root in them for that moment, or by a library where name spaces are not allowed.
hostname_begin() {
	export SENDMAIL_WAY=${SENDMAIL_WAY:-}
	printf '127.0.0.1 mx.example.test localhost\n::1 mx.example.test localhost\n' >"$T/mail/hosts"
	echo 'hosts: files' >"$T/mail/nsswitch.conf"
	cat >"$T/mail/as-mx.sh" <<-END
		mount --bind $T/mail/hosts /etc/hosts && mount --bind $T/mail/nsswitch.conf /etc/nsswitch.conf &&
			hostname mx.example.test && exec "\$@"
	END
	if [ -n "$SENDMAIL_WAY" ]; then
		:
	elif [ "$(id -u)" -eq 0 ] && unshare --uts --mount sh "$T/mail/as-mx.sh" true 2>/dev/null; then
		SENDMAIL_WAY=root
	elif [ "$(id -u)" -ne 0 ] && unshare -r --uts --mount sh "$T/mail/as-mx.sh" unshare --user --map-user="$(id -u)" \
		--map-group="$(id -g)" true 2>/dev/null; then
		SENDMAIL_WAY=user
	else
		SENDMAIL_WAY=library
	fi
	if [ "$SENDMAIL_WAY" = library ]; then
		cat >"$T/mail/hostname.c" <<-END
			#include <netdb.h>
			#include <stdio.h>
			#include <strings.h>
			#include <sys/socket.h>
			int gethostname(char *name, size_t size) { return snprintf(name, size, "mx.example.test") < 0; }
			struct hostent *gethostbyname2(const char *name, int family)
			{
				static char address[] = { 127, 0, 0, 1 }, *addresses[] = { address, NULL }, *aliases[] = { NULL };
				static struct hostent entry = { "mx.example.test", aliases, AF_INET, 4, addresses };
				h_errno = HOST_NOT_FOUND;
				return family == AF_INET && strcasecmp(name, entry.h_name) == 0 ? &entry : NULL;
			}
		END
		must "${CC:-cc}" -w -shared -fPIC -o "$T/mail/hostname.so" "$T/mail/hostname.c"
	fi
	cat >"$T/sendmail" <<-END
		#!/bin/sh
		LD_LIBRARY_PATH=$(cat "$BUILD/sendmail/libs")
		export LD_LIBRARY_PATH
		exec $BUILD/sendmail/root/usr/libexec/sendmail/sendmail -C $T/mail/sendmail.cf "\$@"
	END
	chmod +x "$T/sendmail"
}

# sendmail ARGUMENTS...
sendmail() {
	case "$SENDMAIL_WAY" in
	root) unshare --uts --mount sh "$T/mail/as-mx.sh" "$T/sendmail" "$@" ;;
	user) unshare -r --uts --mount sh "$T/mail/as-mx.sh" unshare --user --map-user="$(id -u)" --map-group="$(id -g)" \
		"$T/sendmail" "$@" ;;
	*) LD_PRELOAD=$T/mail/hostname.so "$T/sendmail" "$@" ;;
	esac
}

# queue_message DIRECTORY RECIPIENT [BODY-FILE]: queues a message there without trying to deliver it; its id in $ID.
# The body is made when no file is given; the file is $T/body-$ID either way.
queue_message() {
	local before after
	before=$(find "$(directory_of "$1")" -name 'qf*' -printf '%f\n' | sort)
	[ $# -ge 3 ] || make_body "$T/body"
	must sendmail_input "${3:-$T/body}" -odq -oi "-OQueueDirectory=$1" -f sender@example.test "$2"
	after=$(find "$(directory_of "$1")" -name 'qf*' -printf '%f\n' | sort)
	ID=$(comm -13 <(echo "$before") <(echo "$after"))
	ID=${ID#qf}
	[ -n "$ID" ] || must false "queue a message in $1"
	cp "${3:-$T/body}" "$T/body-$ID"
}

sendmail_input() {
	local file=$1
	shift
	{
		printf 'From: sender@example.test\nSubject: a message\nMIME-Version: 1.0\n'
		printf 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n'
		cat "$file"
	} | sendmail "$@"
}

# The folder that holds the directories of a glob; a plain directory is its own.
directory_of() {
	case "$1" in
	*\**) dirname "$1" ;;
	*) echo "$1" ;;
	esac
}

# run_queue DIRECTORY [ARGUMENTS...]: one queue run in the foreground, as a runner of that tier does it.
run_queue() {
	local directory=$1
	shift
	sendmail "-OQueueDirectory=$directory" -v -q "$@" >>"$T/sendmail.out" 2>&1
}

# run_queue_in_background DIRECTORY: the same, in the background; its number in $STARTED_PID.
run_queue_in_background() {
	export -f sendmail
	export T
	# shellcheck disable=SC2016
	start "$T/sendmail.out" "$T/sendmail.out" bash -c 'sendmail "-OQueueDirectory=$0" -v -q' "$1"
}

# ---- locks: holder.c says which kinds there are ---------------------------------------------------------------------

# hold HOW FILE: holds a lock until `release` with the number in $HELD.
hold() {
	HELD=$((${HELD:-0} + 1))
	must mkfifo "$T/hold.$HELD"
	# Open for both: neither side waits for the other.
	exec {HOLD_FD}<>"$T/hold.$HELD"
	HOLD_FDS[HELD]=$HOLD_FD
	INPUT=$T/hold.$HELD start "$T/hold.out.$HELD" "$T/hold.err" "$TOOLS/holder" "$1" "$2"
	must wait_until 10 grep -qs held "$T/hold.out.$HELD"
}

release() {
	echo >&"${HOLD_FDS[$1]}"
}

# hold_and_release HOW FILE: true when the lock can be had at once.
hold_and_release() {
	"$TOOLS/holder" "$1" "$2" </dev/null
}

# is_locked FILE: somebody holds it.
is_locked() {
	[ -e "$1" ] && ! "$TOOLS/holder" try "$1"
}

# ---- the sink: sink.c says which addresses it answers how ------------------------------------------------------------

sink_start() {
	SINK=$T/sink
	mkdir "$SINK"
	start "$T/sink.out" "$T/sink.out" "$TOOLS/sink" "$SINK"
	must wait_until 10 test -s "$SINK/port"
	SINK_PORT=$(cat "$SINK/port")
}

# sink_go_on: lets go what the sink holds, and holds nothing any more.
sink_go_on() {
	: >"$SINK/release"
}

# sink_hold_again: waits until it holds nothing, and lets it hold again.
sink_hold_again() {
	must wait_until 20 test ! -e "$SINK/stalled"
	rm -f "$SINK/release"
}

sink_accept() {
	echo accept >"$SINK/control"
}

# delivered ADDRESS: how often the sink stored a message for it.
delivered() {
	cat "$SINK"/mail/*.to 2>/dev/null | grep -cxF "$1"
}

is_delivered() {
	[ "$(delivered "$1")" -ge 1 ]
}

# body_is ADDRESS ID: what was stored for the address is byte by byte what was queued under the id.
body_is() {
	local to
	to=$(grep -lxF "$1" "$SINK"/mail/*.to)
	cmp "${to%.to}.body" "$T/body-$2"
}

# ---- the daemon -----------------------------------------------------------------------------------------------------------

# policy_write RULES [MORE-KEYS]: the three tiers with these rules (the inside of the array), events to $EVENTS.
policy_write() {
	policy_text "$@" >"$T/policy.new"
	mv "$T/policy.new" "$POLICY"
}

# Tests that want other tiers set TIERS; every event is asked for in EVENTS_KEY.
policy_text() {
	local tiers=${TIERS:-"{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" },
    { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE\" },
    { \"name\": \"SLOWQUEUE\", \"directory\": \"$SLOWQUEUE\" }"}
	cat <<-END
		{
		  "version": 1,
		  "tiers": [
		    $tiers
		  ],
		  "rules": [
		    $1
		  ],
		  ${2:-}
		  "events": { "sinks": [ { "type": "file", "path": "$EVENTS" } ] }
		}
	END
}

# OpenEMM's rules.
THREE_RULES='{ "name": "three attempts", "tier": "QUEUE", "when": { "attempts": 3 }, "then": { "move": "MIDQUEUE" } },
    { "name": "ten attempts", "tier": "MIDQUEUE", "when": { "attempts": 10 }, "then": { "move": "SLOWQUEUE" } }'

# daemon_start [ARGUMENTS...]: starts `qfwatch run` and waits until it says that it is there.
daemon_start() {
	local before
	before=$(count_events started)
	start "$T/daemon.out" "$T/daemon.err" "$QFWATCH" run -c "$POLICY" "$@"
	DAEMON=$STARTED_PID
	wait_until 20 daemon_answers "$before" || {
		fail "the daemon starts" "no event \"started\" in $EVENTS" "$(cat "$T/daemon.err" "$T/daemon.out")"
		exit 1
	}
}

daemon_answers() {
	[ "$(count_events started)" -gt "$1" ] || process_is_gone "$DAEMON"
	[ "$(count_events started)" -gt "$1" ]
}

# daemon_signal SIGNAL
daemon_signal() {
	kill "-$1" "$DAEMON"
}

# daemon_stop [SIGNAL]: stops it and waits; its exit code in $DAEMON_STATUS.
daemon_stop() {
	local group rest=()
	kill "-${1:-TERM}" "$DAEMON" 2>/dev/null
	# To wait before bash notices by itself keeps it from writing "Killed".
	[ "${1:-TERM}" = KILL ] || wait_until 20 process_is_gone "$DAEMON" || {
		fail "the daemon stops" "still running 20 s after SIG${1:-TERM}"
		kill -KILL "$DAEMON"
	}
	wait "$DAEMON" 2>/dev/null
	DAEMON_STATUS=$?
	for group in "${STARTED[@]}"; do
		[ "$group" = "$DAEMON" ] || rest+=("$group")
	done
	STARTED=("${rest[@]}")
	DAEMON=
}

# ---- events ---------------------------------------------------------------------------------------------------------------

# events ARGUMENTS-OF-JSONQ -- [POINTER...]: the fields of those events, one line each.
events() {
	local filter=()
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		filter+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	[ ! -e "$EVENTS" ] || "$TOOLS/jsonq" "${filter[@]}" "$EVENTS" "$@"
}

# count_events ACTION [POINTER=VALUE...]
count_events() {
	local arguments=(-a "$1")
	shift
	while [ $# -gt 0 ]; do
		arguments+=(-w "$1")
		shift
	done
	if [ -e "$EVENTS" ]; then
		"$TOOLS/jsonq" -c "${arguments[@]}" "$EVENTS"
	else
		echo 0
	fi
}

# has_event ACTION [POINTER=VALUE...], has_events COUNT ACTION [POINTER=VALUE...] (at least that many)
has_event() {
	has_events 1 "$@"
}

has_events() {
	local wanted=$1
	shift
	[ "$(count_events "$@")" -ge "$wanted" ]
}

# saw_event SECONDS WHAT ACTION [POINTER=VALUE...]: the assertion that such an event comes.
saw_event() {
	local seconds=$1 what=$2
	shift 2
	if wait_until "$seconds" has_event "$@"; then
		pass "$what"
	else
		fail "$what" "expected: an event $*" "found:    $(events -- /event/action /email/local_id /event/reason | tail -n 12 | tr '\t\n' ' ;')" \
			"tiers: $(tier_listing)"
	fi
}

# moves ID: the moves of a message as their events tell them: "FROM TO RULE REASON ATTEMPTS", one a line.
moves() {
	events -a message-moved -w "/email/local_id=$1" -- /qfwatch/move/from /qfwatch/move/to /qfwatch/move/rule /event/reason \
		/qfwatch/message/attempts | tr '\t' '|'
}

# events_hold_to_schema: every event that the test made does: those in $T and one folder below, in files and on stdout.
# Only a failure is worth a line: it is not what the test is about.
events_hold_to_schema() {
	local files schema=$E2E/../../contrib/events-1.schema.json
	mapfile -t files < <(find "$T" -maxdepth 2 -type f \( -name '*json*' -o -name '*.out' -o -name '*events*' \) -exec \
		grep -lsF '"dataset":"qfwatch.queue"' {} +)
	[ "${#files[@]}" -eq 0 ] || "$TOOLS/schema" --events "$schema" "${files[@]}" >"$T/schema.found" 2>&1 ||
		fail "every event holds to contrib/events-1.schema.json" "$(cat "$T/schema.found")"
}

# events_are_sound FILE...: whole JSON lines, short enough, none lost.
events_are_sound() {
	"$TOOLS/jsonq" --check "$@"
}
