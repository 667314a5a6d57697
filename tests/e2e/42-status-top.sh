#!/bin/bash
# `status` and `top` with a real sendmail: working, in trouble, without a daemon; top in terminals of several sizes, resized,
# over a restart of the daemon, and how it gives the terminal back.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
SOCKET=$T/http.sock
LISTEN="\"listen\": \"unix:$SOCKET\","
policy_write "$THREE_RULES" "$LISTEN"

run() {
	"$QFWATCH" "$@" -c "$POLICY" >"$T/out" 2>"$T/err"
}
# row TEXT: the line of the output that begins with it, its blanks squeezed
row() {
	tr -s ' ' <"$T/out" | sed 's/ $//' | grep -- "^$1 "
}

# ---- without a daemon -----------------------------------------------------------------------------------------------------

NOBODY="no daemon answers at unix:$SOCKET (No such file or directory): start it (qfwatch run, systemctl start qfwatch); one that runs already has another policy: reload it, or name that with -c"
run status
is "status without a daemon: exit code 3" $? 3
is "and what helps" "$(cat "$T/err")" "qfwatch status: $NOBODY"
run top --batch
is "top without a daemon: exit code 3" $? 3
is "and what helps, too" "$(cat "$T/err")" "qfwatch top: $NOBODY"
policy_write "$THREE_RULES"
run status --json
is "without listen: exit code 3" $? 3
is "and how to have it" "$(cat "$T/err")" "qfwatch status: $POLICY has no \"listen\", so the daemon cannot be asked: add \"listen\": \"unix:/run/qfwatch/http.sock\" and reload the daemon (SIGHUP)"
policy_write "$THREE_RULES" "$LISTEN"

# ---- status ---------------------------------------------------------------------------------------------------------------

mkdir -m 0700 "$T/outside"
queue_message "$QUEUE" defer.a@example.net
queue_message "$QUEUE" defer.b@example.net
due=$ID
daemon_start
# All is read: until then an attempt is no news.
must wait_until 10 run status
rewrite_qf "$QUEUE/qf$due" 3
must wait_until 5 only_in "$MIDQUEUE" "$due"
run status
is "it works: exit code 0" $? 0
matches "the first line says so" "$(head -n 1 "$T/out")" "Working: 2 messages in 3 tiers, running for *."
matches "a tier with what came and went" "$(row QUEUE)" "QUEUE 1 * . * 1 . . 1 ."
matches "and the one it went to" "$(row MIDQUEUE)" "MIDQUEUE 1 * . . . . 1 . ."
is "what a rule has done" "$(row 'three attempts')" "three attempts move MIDQUEUE 1 . . ."
matches "where events go" "$(row 'EVENTS GO TO') $(grep "$EVENTS" "$T/out")" "EVENTS GO TO DROPPED WAITING *$EVENTS*"
matches "what is watched" "$(grep '^Directories' "$T/out")" "Directories  3 watched; compared with memory * ago (start); overflows 0"
run status --json
is "as JSON it is the daemon's answer" "$(jq -c '[.messages.total, .policy.tiers, .trouble, .since_start.moved]' "$T/out")" "[2,3,[],1]"

began=$(now_ms)
daemon_signal STOP
run status
is "a daemon that hangs: exit code 3" $? 3
matches "and what to look at" "$(cat "$T/err")" "qfwatch status: the daemon at unix:$SOCKET has been silent for too long: it is stopped, *"
at_most "after some seconds" $(($(now_ms) - began)) 20000
daemon_signal CONT

mv "$SLOWQUEUE" "$T/elsewhere"
in_trouble() {
	run status
	[ $? -eq 1 ]
}
ok "a lost tier: exit code 1" wait_until 10 in_trouble
matches "the first line says so" "$(head -n 1 "$T/out")" "Trouble: 1 problem. 2 messages in 3 tiers, *"
matches "then what, and what helps" "$(sed -n 2,3p "$T/out" | tr '\n' ' ')" "  ! tier SLOWQUEUE is lost: $SLOWQUEUE: *     *"
run status --json
is "as JSON, too: exit code 1" $? 1
run top --batch
matches "top says so as well" "$(head -n 2 "$T/out" | tr -s ' ' | tr '\n' ' ')" "qfwatch HAS TROUBLE, 2 messages, *! tier SLOWQUEUE is lost: *"
mv "$T/elsewhere" "$SLOWQUEUE"
works() {
	run status
}
ok "it is back: exit code 0" wait_until 10 works

# ---- top, printed ------------------------------------------------------------------------------------------------------------

run top --batch
is "top --batch: exit code 0" $? 0
matches "its first line" "$(head -n 1 "$T/out")" "qfwatch works, 2 messages, up *"
matches "the tiers" "$(row MIDQUEUE)" "MIDQUEUE 1 * . *"
matches "the rules" "$(row 'three attempts:')" "three attempts: move MIDQUEUE 1 . . ."
is "the domains" "$(row example.net)" "example.net 2 2 . . . . . . . . ."
matches "the last events" "$(grep message-moved "$T/out")" "*message-moved  $due  QUEUE -> MIDQUEUE (three attempts)  attempts 3 >= 3"
run top -b -n 2 -d 0.2
is "so often as it was told" "$(grep -c '^qfwatch works' "$T/out")" 2
run top --json -n 2 -d 0.2
is "as JSON: an object a line" "$(jq -c '[.status.messages.total, (.tiers.tiers | length), .shape.rows[0].total]' "$T/out" | tr '\n' ' ')" \
	"[2,3,2] [2,3,2] "
run top
is "where there is no terminal: exit code 2" $? 2
is "and what helps" "$(cat "$T/err")" "qfwatch top: this is no terminal: top --batch prints what it shows, once"

# ---- top, in a terminal ------------------------------------------------------------------------------------------------------

export TMUX_TMPDIR=$T
echo 'set -g exit-empty off' >"$T/tmux.conf"
start "$T/tmux.out" "$T/tmux.out" tmux -u -f "$T/tmux.conf" -D
tmux_answers() {
	tmux -u list-sessions -F x 2>/dev/null
}
must wait_until 20 tmux_answers
# open SIZE-X SIZE-Y [TERM]: top in a terminal of that size; what is left when it ends is seen after it
open() {
	tmux -u new-session -d -s top -x "$1" -y "$2" "stty -g >$T/stty.1; TERM=${3:-tmux-256color} LC_ALL=C.UTF-8 $QFWATCH top -d 0.2 -c $POLICY
		echo ended with \$?; stty -g >$T/stty.2; exec sleep 1000"
}
close() {
	tmux -u kill-session -t top
}
screen() {
	tmux -u capture-pane -p -t top "$@"
}
shows() {
	screen | grep -q -- "$1"
}
# seen WHAT PATTERN: it stands on the screen, soon
seen() {
	if wait_until 10 shows "$2"; then
		pass "$1"
	else
		fail "$1" "expected: $2" "$(screen)"
	fi
}
gone() {
	if wait_until 10 not shows "$2"; then
		pass "$1"
	else
		fail "$1" "still there: $2" "$(screen)"
	fi
}
# fits COLUMNS LINES: no line is longer, none was pushed out, the bar is at the top
fits() {
	is "$1x$2: the screen is as large" "$(screen | wc -l) $(screen | awk -v n="$1" 'length($0) > n' | wc -l)" "$2 0"
	matches "$1x$2: the bar is at the top" "$(screen | head -n 1)" "qfwatch works, 2 messages*"
	matches "$1x$2: the keys are at the bottom" "$(screen | tail -n 1)" "q quit*"
}
resize() {
	tmux -u resize-window -t top -x "$1" -y "$2"
}
key() {
	tmux -u send-keys -t top "$@"
}
left() {
	seen "$1: exit code 0" "ended with 0"
	ok "$1: the terminal is as before" wait_until 5 cmp "$T/stty.1" "$T/stty.2"
	gone "$1: and its screen" "q quit"
}

open 80 24
seen "80x24: the tiers" "^SLOWQUEUE  "
seen "80x24: the rules" "^ten attempts: move SLOWQUEUE"
seen "80x24: the domains" "^example.net  "
seen "80x24: the last events" "message-moved  $due"
fits 80 24
queue_message "$T/outside" defer.c@example.org
set_attempts "$T/outside/qf$ID" 3
third=$ID
mv "$T/outside/df$third" "$QUEUE/" && mv "$T/outside/qf$third" "$QUEUE/"
seen "what happens is seen without a key" "message-moved  $third  QUEUE -> MIDQUEUE"
seen "and counted" "^three attempts: move MIDQUEUE  *2 "
key h
seen "h: help" "^  q        quit"
key h
gone "h: and back" "^  q        quit"
key b
seen "b: sender domains" "^SENDER DOMAIN by total"
key b s
seen "s: sorted by age" "^DOMAIN by age"
key t
seen "t: one tier" "tier: QUEUE"
gone "t: the domains of that tier only" "^example.org"
key T
seen "T: all again" "^example.org"
key f
key -l "domain=*.org"
key Enter
seen "f: a filter" "filter: domain=\*.org"
gone "f: domains that it leaves out are gone" "^example.net"
key f C-u
key -l "domian=x"
key Enter
seen "f: what is wrong is said" 'unknown key "domian": did you mean "domain"?'
key f C-u Enter
seen "f: none" "^example.net"
mv "$SLOWQUEUE" "$SLOWQUEUE.gone"
seen "trouble is seen" "^qfwatch HAS TROUBLE"
seen "and what it is" "^! tier SLOWQUEUE is lost"
mv "$SLOWQUEUE.gone" "$SLOWQUEUE"
seen "and that it has gone" "^qfwatch works"

daemon_stop KILL
seen "a daemon that is gone is said" "^qfwatch DOES NOT ANSWER"
seen "and why" "^! no daemon answers"
seen "and what helps" "^  start it (qfwatch run"
seen "what was known stays" "^SLOWQUEUE  "
daemon_start
seen "it is found again" "^qfwatch works, 3 messages"
seen "which is said" "another run of the daemon answers"

resize 40 10
seen "40x10: the tiers are there" "^SLOWQUEUE"
is "40x10: no line is longer" "$(screen | awk 'length($0) > 40' | wc -l)" 0
seen "40x10: the keys are at the bottom" "^q quit"
for size in 1x1 2x3 10x2 20x5 300x80; do
	resize "${size%x*}" "${size#*x}"
done
resize 200 50
seen "200x50: the whole bar is there again" "^qfwatch works, 3 messages.* [0-9-]* [0-9:]*$"
seen "200x50: the domains" "^example.org  "
seen "200x50: long lines of events" "(three attempts)  attempts 3 >= 3"
key q
left "q"
close

for signal in INT TERM HUP; do
	open 80 24
	seen "$signal: it runs" "^qfwatch works"
	pkill "-$signal" -P "$(tmux -u list-panes -t top -F '#{pane_pid}')" -x qfwatch
	left "$signal"
	close
done
open 80 24 vt100
seen "without colours: it runs" "^qfwatch works"
is "without colours: there are none" "$(screen -e | grep -cE $'\033\\[[0-9;]*3[0-7]m')" 0
key C-c
left "^C"
close
for terminal in no-such-terminal dumb; do
	open 80 24 "$terminal"
	seen "a terminal that cannot be drawn on, $terminal: exit code 2" "ended with 2"
	seen "and what helps" "(TERM=$terminal) cannot be drawn on: set TERM"
	close
done
# ---- words for one ---------------------------------------------------------------------------------------------------------

queue_message "$QUEUE" defer.one@example.net
only=$ID
ln "$QUEUE/df$only" "$T/outside/df"
rewrite_qf "$QUEUE/qf$only" 3
one_refused() {
	run status
	grep -q '^  ! 1 message is not safe to touch, and left alone$' "$T/out"
}
ok "of one message it speaks in the singular" wait_until 5 one_refused
rm "$T/outside/df"

daemon_stop
e2e_end
