#!/bin/bash
# What a service manager hears of the daemon (sd_notify): ready, alive, reloading, stopping.
. "$(dirname "$0")/lib.sh"
e2e_begin
policy_write "$THREE_RULES"
TOLD=$T/told

# told_times PATTERN NUMBER: so many whole lines, or more, are like that.
told_times() {
	[ "$(grep -cxE "$1" "$TOLD")" -ge "$2" ]
}

was_told() {
	told_times "$1" 1
}

: >"$TOLD"
# By a short path: the folder's own may be too long for an address.
cd "$T" || exit 1
start "$T/listener.out" "$T/listener.out" "$TOOLS/listener" notify notify "$TOLD" "$T/stop"
must wait_until 30 test -S notify
export NOTIFY_SOCKET=/proc/self/cwd/notify

# ---- a watchdog that wants to be fed every 400 ms
export WATCHDOG_USEC=400000
daemon_start
ok "a service manager hears that it is ready" wait_until 20 was_told READY=1
ok "and how it stands" wait_until 20 was_told "STATUS=0 messages.*"
mkdir "$T/outside"
must "$TOOLS/listener" --messages "$T/outside" 1 1 "$QUEUE"
ok "it is alive, again and again" wait_until 20 told_times WATCHDOG=1 5
ok "how it stands is told anew then" wait_until 20 was_told "STATUS=1 message;.*"
ok "nothing else was said" not was_told "[^RSW].*"

# ---- reloading
before=$(wc -l <"$TOLD")
daemon_signal HUP
ok "a reload is announced with the time of it" wait_until 20 was_told "MONOTONIC_USEC=[0-9]+"
ok "and its end" wait_until 20 told_times READY=1 2
is "in this order" "$(tail -n "+$((before + 1))" "$TOLD" | grep -v '^WATCHDOG\|^STATUS' | sed 's/[0-9]\{2,\}//' | tr '\n' ' ')" \
	"RELOADING=1 MONOTONIC_USEC= READY=1 "
echo '{' >"$POLICY"
ok "after one of a broken policy it is ready as before" wait_until 20 told_times READY=1 3
policy_write "$THREE_RULES"
ok "and after the next good one" wait_until 20 told_times READY=1 4

# ---- stopping
daemon_stop
ok "it says that it stops" wait_until 20 was_told STOPPING=1
is "exit code 0" "$DAEMON_STATUS" 0

# ---- a watchdog that is not meant for it; nobody who listens
: >"$TOLD"
WATCHDOG_PID=1 daemon_start
ok "the watchdog of another process: ready" wait_until 20 was_told READY=1
ok "and it is not fed" stays 1 not was_told WATCHDOG=1
daemon_stop
rm notify
daemon_start
daemon_stop
is "nobody listens where it should tell: it works all the same" "$DAEMON_STATUS" 0
e2e_end
