#!/bin/bash
# Who asks while the policy changes: a worker that nobody waits for any more; other spellings of the address; a list whose tier goes.
. "$(dirname "$0")/lib.sh"
e2e_begin

SOCKET=$T/http.sock
free_port
PORT=$FREE_PORT

# status_of CURL-ARGUMENTS...: the status of the answer; 000: none.
status_of() {
	curl -s -m 10 -o "$T/body" -w '%{http_code}' "$@"
}

answers() {
	[ "$(status_of "${@:2}")" = "$1" ]
}

listen_policy() {
	policy_write "$THREE_RULES" "$1"
}

ticks() {
	awk '{ print $14 + $15 }' "/proc/$DAEMON/stat"
}

is_at_rest() {
	local before
	before=$(ticks)
	sleep 0.3
	[ "$(ticks)" -le $((before + 1)) ]
}

# large_message ID: one with so many recipients that explaining it takes a while.
large_message() {
	{
		printf 'V8\nT1700000000\nK1700000100\nN1\nP30000\nS<news@example.com>\n'
		yes 'RPFD:<reader@example.net>' | head -n 400000
		echo .
	} >"$T/large"
	echo body >"$QUEUE/df$1"
	mv "$T/large" "$QUEUE/qf$1"
}

# catch_child: asks for explanations, and stops one of the programs that the daemon runs for them, if it has not ended yet.
catch_child() {
	for _ in 1 2 3 4 5 6 7 8; do
		start "$T/asked" /dev/null curl -s -m 30 --unix-socket "$SOCKET" http://localhost/api/v1/messages/6A00000000001
	done
	while ! group_is_gone "$STARTED_PID"; do
		CHILD=$(pgrep -n -P "$DAEMON") && kill -STOP "$CHILD" 2>/dev/null && is_stopped && return 0
	done
	return 1
}

is_stopped() {
	grep -qs '^State:[[:space:]]*T' "/proc/$CHILD/status"
}

large_message 6A00000000001
listen_policy "\"listen\": \"unix:$SOCKET\","
daemon_start
ok "it answers" wait_until 5 answers 200 --unix-socket "$SOCKET" http://localhost/healthz

# ---- what a worker is at when nothing listens any more
must wait_until 20 catch_child
listen_policy ""
ok "nothing listens any more" wait_until 5 test ! -e "$SOCKET"
ok "what was run for somebody is ended" wait_until 5 process_is_gone "$CHILD"
ok "and the daemon rests" wait_until 10 is_at_rest
listen_policy "\"listen\": \"unix:$SOCKET\","
ok "it answers again" wait_until 5 answers 200 --unix-socket "$SOCKET" http://localhost/healthz

# ---- a doctor that cannot be run: with room for the connection, and none for what it would say
must wait_until 10 is_at_rest # the last connection is closed
free=0
while [ -e "/proc/$DAEMON/fd/$free" ]; do
	free=$((free + 1))
done
limit=$(prlimit --pid "$DAEMON" --nofile --noheadings --output SOFT)
prlimit --pid "$DAEMON" --nofile=$((free + 1)):
is "doctor cannot be run" "$(status_of --unix-socket "$SOCKET" http://localhost/api/v1/doctor)" 503
cp "$T/body" "$T/failed"
prlimit --pid "$DAEMON" --nofile="$limit":
is "which holds for some seconds, whoever asks" "$(status_of --unix-socket "$SOCKET" http://localhost/api/v1/doctor)" 503
ok "in the same words" cmp "$T/body" "$T/failed"
ok "then it is run again" wait_until 20 answers 200 --unix-socket "$SOCKET" http://localhost/api/v1/doctor

# ---- the address, as clients write it
if (exec 3<>"/dev/tcp/::1/$PORT") 2>&1 | grep -q refused; then
	listen_policy "\"listen\": \"[0:0:0:0:0:0:0:1]:$PORT\","
	ok "an IPv6 address written at length is the one that clients write" wait_until 5 answers 200 "http://[::1]:$PORT/api/v1/status"
	ok "status finds it" "$QFWATCH" status -c "$POLICY"
	is "another one is not" "$(status_of -H 'Host: [::2]' "http://[::1]:$PORT/api/v1/status")" 421
fi
(
	umask 077
	head -c 20 /dev/zero | tr '\0' t >"$T/token"
)
listen_policy "\"listen\": { \"address\": \"0.0.0.0:$PORT\", \"token_file\": \"$T/token\" },"
ok "on all addresses a token is asked for" wait_until 5 answers 401 "http://127.0.0.1:$PORT/metrics"
is "whatever name the machine has" "$(status_of -H 'Host: mx.example.net' "http://127.0.0.1:$PORT/metrics")" 401
is "who has it may use that name" "$(status_of -H 'Host: mx.example.net' -H "Authorization: Bearer $(cat "$T/token")" \
	"http://127.0.0.1:$PORT/metrics")" 200
ok "status finds it, too" "$QFWATCH" status -c "$POLICY"

daemon_stop
is "it stops" "$DAEMON_STATUS" 0
e2e_end
