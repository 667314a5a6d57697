#!/bin/bash
# takes: 60
# `list` and `shape` over a real spool: what they say without a daemon, with one (the same), and when they may not ask; every
# filter; and nothing of a message steers a terminal.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
SOCKET=$T/http.sock
LISTEN="\"listen\": \"unix:$SOCKET\","

run() {
	"$QFWATCH" "$@" -c "$POLICY" >"$T/out" 2>"$T/err"
}
list() {
	run list "$@"
}
# ids ARGUMENTS...: the ids that list gives, sorted, in one line
ids() {
	"$QFWATCH" list -c "$POLICY" --json "$@" 2>"$T/err" | jq -r .queue_id | sort | tr '\n' ' '
}
# these ID...: the same of ids
these() {
	printf '%s\n' "$@" | sort | tr '\n' ' '
}
# field ID JQ-FILTER
field() {
	jq -r "select(.queue_id == \"$1\") | $2" "$T/all"
}
# row NAME: the line of the table that begins with it, its blanks squeezed
row() {
	tr -s ' ' <"$T/out" | sed 's/ $//' | grep -F "$1 "
}
make_old() {
	edit_qf "$1" "s/^T.*/T$(($(date +%s) - $2))/"
}

# ---- the spool ------------------------------------------------------------------------------------------------------------

queue_message "$QUEUE" defer.a@example.net,defer.b@Example.NET,defer.c@example.org
three=$ID
queue_message "$QUEUE" defer.d@example.net
one=$ID
run_queue "$QUEUE"
queue_message "$MIDQUEUE" defer.e@mail.example.com
old=$ID
make_old "$MIDQUEUE/qf$old" 7200
set_attempts "$MIDQUEUE/qf$old" 9
queue_message "$SLOWQUEUE" root
new=$ID
edit_qf "$SLOWQUEUE/qf$new" 's/^S.*/S<>/'
RULES="$THREE_RULES,
    { \"name\": \"a day\", \"tier\": \"SLOWQUEUE\", \"when\": { \"age\": \"1d\" }, \"then\": { \"bounce\": true } }"
policy_write "$RULES" "$LISTEN"

# ---- without a daemon -----------------------------------------------------------------------------------------------------

list --json
is "without a daemon: exit code 0" $? 0
cp "$T/out" "$T/all"
matches "stderr says that the spool is read, and why" "$(cat "$T/err")" \
	"qfwatch list: no daemon answers at unix:$SOCKET (No such file or directory): reading the spool"
is "every message is a line" "$(jq -r .queue_id "$T/all" | sort | tr '\n' ' ')" "$(these "$three" "$one" "$old" "$new")"
is "the names are those of postqueue -j, and more" "$(jq -rc 'keys_unsorted' "$T/all" | sort -u)" \
	'["queue_name","queue_id","arrival_time","message_size","forced_expire","sender","recipients","tier","directory","attempts","last_attempt","state","quarantined","next_move"]'
is "arrival_time is T" "$(field "$three" .arrival_time)" "$(qf_field "$QUEUE" "$three" T)"
is "last_attempt is K" "$(field "$three" .last_attempt)" "$(qf_field "$QUEUE" "$three" K)"
is "attempts is N" "$(field "$three" .attempts)" 1
is "message_size is that of the body" "$(field "$three" .message_size)" "$(stat -c %s "$QUEUE/df$three")"
is "queue_name is the tier" "$(field "$three" .queue_name) $(field "$three" .tier) $(field "$three" .directory)" \
	"QUEUE QUEUE $QUEUE"
is "the sender" "$(field "$three" .sender)" sender@example.test
is "the null sender" "$(field "$new" .sender)" "<>"
is "all recipients" "$(field "$three" '[.recipients[].address] | sort | join(" ")')" \
	"defer.a@example.net defer.b@Example.NET defer.c@example.org"
matches "why they wait" "$(field "$three" '.recipients[0].delay_reason')" "*451*"
is "who was never tried has no last attempt" "$(field "$new" .last_attempt)" null
is "a state is the daemon's to know" "$(field "$three" .state)" null
is "what comes by itself" "$(field "$new" '.next_move | [.action, .to, .rule] | tostring')" '["bounce",null,"a day"]'
is "and when" "$(field "$new" .next_move.at)" $(($(qf_field "$SLOWQUEUE" "$new" T) + 86400))
is "nothing comes by itself where attempts are awaited" "$(field "$old" .next_move)" null

list
matches "the table has a head" "$(head -n 1 "$T/out")" "ID * TIER * AGE  TRIES * SIZE  NEXT * SENDER > RECIPIENT: STATUS"
matches "and a line for each message" "$(row "$old")" \
	"$old MIDQUEUE 2h 9 * - sender@example.test > defer.e@mail.example.com*"
matches "several recipients are the first and a number" "$(row "$three")" "*sender@example.test > *@* +2: *451*"
matches "what comes next stands there" "$(row "$new")" "$new SLOWQUEUE * bounce in * <> > root*"

run shape
matches "shape: the columns of qshape" "$(head -n 1 "$T/out" | tr -s ' ')" " T 5 10 20 40 80 160 320 640 1280 1280+"
is "TOTAL is the first, and counts each domain of a message" "$(row TOTAL)" "TOTAL 5 4 . . . . 1 . . . ."
is "a domain counts a message once" "$(row example.net)" "example.net 2 2 . . . . . . . . ."
is "its age is in its column" "$(row mail.example.com)" "mail.example.com 1 . . . . . 1 . . . ."
is "recipients without a domain have a name" "$(row '(local)')" "(local) 1 1 . . . . . . . . ."
run shape --by sender
is "by sender" "$(row example.test) $(row '<>')" "example.test 3 2 . . . . 1 . . . . <> 1 1 . . . . . . . . ."
run shape --each
is "a table for each tier" "$(grep -x '[A-Z][A-Z]*' "$T/out" | tr '\n' ' ')" "QUEUE MIDQUEUE SLOWQUEUE "
run shape --limit 1
matches "a limit says what is left out" "$(tail -n 1 "$T/out")" "3 more: --limit 0 shows all"
run shape --json
is "shape --json: one object" "$(jq -c '[.by, .tier, .cut, (.rows | length), .rows[0].name, .rows[0].total]' "$T/out")" \
	'["recipient",null,0,5,"TOTAL",5]'
is "with the bounds in seconds" "$(jq -c .bounds "$T/out")" "[300,600,1200,2400,4800,9600,19200,38400,76800]"

# ---- filters: WHAT, the ids, the options ---------------------------------------------------------------------------------------

filters() {
	local what=$1 expected=$2
	shift 2
	is "$WHERE: $what" "$(ids "$@")" "$expected"
}
# Tries all ways to divide a status before it says no.
COSTLY='(.+)+[#@]$'
all_filters() {
	WHERE=$1
	filters "a tier" "$(these "$old")" --tier MIDQUEUE
	filters "two tiers" "$(these "$old" "$new")" --tier MIDQUEUE,SLOWQUEUE
	filters "a domain, in any case" "$(these "$three" "$one")" --domain EXAMPLE.net
	filters "domains by glob" "$(these "$three" "$old")" --domain '*.com' --domain example.org
	filters "no domain" "$(these "$new")" --domain '(local)'
	filters "a domain is not a part of one" "" --domain example
	filters "the sender's domain" "$(these "$three" "$one" "$old")" --sender example.test
	filters "the sender's address" "$(these "$three" "$one" "$old")" --sender 'sender@*'
	filters "the null sender" "$(these "$new")" --sender '<>'
	filters "a recipient" "$(these "$three")" --recipient 'DEFER.B@example.net'
	filters "a local recipient" "$(these "$new")" --recipient root
	filters "attempts" "$(these "$three" "$one")" --attempts 1
	filters "attempts from" "$(these "$three" "$one" "$old")" --attempts '>=1'
	filters "attempts from to" "$(these "$old")" --attempts 2..9
	filters "an age" "$(these "$old")" --age '>1h'
	filters "an age below" "$(these "$three" "$one" "$new")" --age '<1h'
	filters "a status" "$(these "$three" "$one")" --status '(?i)DEFERRED.*451'
	filters "all of them" "$(these "$three")" --domain example.org --attempts 1 --status 451 --tier QUEUE --age 0s..1h
	filters "nothing" "" --domain example.org --attempts 2
	filters "a status that costs too much" "" --status "$COSTLY"
	is "$WHERE: is told of" "$(tail -n 1 "$T/err")" \
		"qfwatch list: --status costs too much on 3 messages, which are left out: write it simpler"
	list --status "$COSTLY" --domain example.org
	is "$WHERE: by the exit code as well, and of one, too" "$? $(tail -n 1 "$T/err")" \
		"1 qfwatch list: --status costs too much on 1 message, which is left out: write it simpler"
	run shape --json --status "$COSTLY"
	is "$WHERE: shape tells it by its exit code, on stderr" "$? $(tail -n 1 "$T/err")" \
		"1 qfwatch shape: --status costs too much on 3 messages, which are left out: write it simpler"
	is "$WHERE: and in its answer" "$(jq -c '[.given_up, .rows[0].total]' "$T/out")" "[3,0]"
	run shape --json --each --status "$COSTLY"
	is "$WHERE: and each tier's" "$? $(jq -c '[.tier, .given_up]' "$T/out" | tr '\n' ' ')" \
		'1 ["QUEUE",2] ["MIDQUEUE",0] ["SLOWQUEUE",1] '
	is "$WHERE: a limit" "$("$QFWATCH" list -c "$POLICY" --json --limit 2 2>/dev/null | wc -l)" 2
	is "$WHERE: shape with a filter" "$("$QFWATCH" shape -c "$POLICY" --json --attempts 9 2>/dev/null | jq -c '[.rows[].name]')" \
		'["TOTAL","mail.example.com"]'
	is "$WHERE: shape of one tier names it" "$("$QFWATCH" shape -c "$POLICY" --json --tier QUEUE 2>/dev/null | jq -r .tier)" QUEUE
}
all_filters "without a daemon"

# ---- what is wrong is said ------------------------------------------------------------------------------------------------

# wrong WHAT WORDS OPTIONS...
wrong() {
	local what=$1 words=$2
	shift 2
	list "$@"
	is "$what: exit code 2" $? 2
	is "$what: in words" "$(cat "$T/err")" "qfwatch list: $words"
}
wrong "an unknown tier" '--tier: the policy has no tier "QEUE": did you mean "QUEUE"?' --tier QEUE
wrong "a lone age" '--age: older or younger than "1h": say ">1h" or "<1h"' --age 1h
wrong "a wrong number" '--attempts: wrong value "many": expected a number, as in 3, >=3, <10 or 3..9' --attempts many
wrong "a wrong expression" '--status: wrong regular expression "(": missing closing parenthesis at character 1' --status '('
wrong "an unknown option" 'unknown option "--domian": did you mean "domain"?' --domian x
wrong "an unknown state" '--state: unknown state "bussy": did you mean "busy"?' --state bussy
wrong "states of the spool" '--state with --spool: leave out one of them: only the running daemon knows states' --spool --state busy
list --state busy
is "states without a daemon: exit code 3" $? 3
matches "only the daemon knows them" "$(cat "$T/err")" "qfwatch list: only the running daemon knows states, and no daemon answers*"
policy_write "$RULES"
list --json
is "without listen: exit code 0" $? 0
matches "and stderr says so" "$(cat "$T/err")" "qfwatch list: $POLICY has no \"listen\", so the daemon cannot be asked: reading the spool"
list --spool
is "--spool says nothing" "$(cat "$T/err")" ""

# ---- what steers no terminal, and what cannot be read ------------------------------------------------------------------------------

mkdir -m 0700 "$T/aside"
queue_message "$QUEUE" defer.z@example.net
odd=$ID
edit_qf "$QUEUE/qf$odd" "s/^S.*/Sa\x1b[2J\x9b1m\xe2\x80\xaeb@example.test/"
list
matches "what a terminal would obey is shown" "$(row "$odd")" '*a\\x1b\[2J�1m\\u202eb@example.test*'
is "and no such byte is left" "$(LC_ALL=C grep -cP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]' "$T/out")" 0
list --json
is "as JSON it is valid, whatever it is" "$(jq -r "select(.queue_id == \"$odd\") | .sender | length" "$T/out")" 23
mv "$QUEUE"/?f"$odd" "$T/aside"
printf 'V8\nT1\nT2\nN0\n.\n' >"$QUEUE/qfNONSENSE"
list --json
is "what cannot be read: exit code 1" $? 1
matches "is told on stderr" "$(cat "$T/err")" "*1 left alone: * (qfNONSENSE in QUEUE)*"
is "and the others are listed" "$(wc -l <"$T/out")" 4
rm "$QUEUE/qfNONSENSE"

# ---- the same with a daemon --------------------------------------------------------------------------------------------------

# In one order, without what only the daemon knows.
comparable() {
	jq -c 'del(.state)' "$1" | sort
}
policy_write "$RULES" "$LISTEN"
list --json
cp "$T/out" "$T/all"
run shape --json
jq -c .rows "$T/out" >"$T/shape.spool"
run shape --json --by sender
jq -c .rows "$T/out" >"$T/senders.spool"
daemon_start
# is_read CURL-ARGUMENTS...: the daemon knows all messages.
is_read() {
	curl -sf -m 10 -o "$T/health" "$@"
}
must wait_until 10 is_read --unix-socket "$SOCKET" http://localhost/healthz
list --json
is "with a daemon: exit code 0" $? 0
is "and nothing on stderr" "$(cat "$T/err")" ""
is "it says the same as the spool" "$(comparable "$T/out")" "$(comparable "$T/all")"
is "and the state" "$(jq -r .state "$T/out" | sort -u)" idle
run shape --json
is "shape, too" "$(jq -c .rows "$T/out")" "$(cat "$T/shape.spool")"
run shape --json --by sender
is "by sender as well" "$(jq -c .rows "$T/out")" "$(cat "$T/senders.spool")"
run shape --each
is "and for each tier" "$(grep -x '[A-Z][A-Z]*' "$T/out" | tr '\n' ' ')" "QUEUE MIDQUEUE SLOWQUEUE "
all_filters "with a daemon"
filters "a state" "$(these "$three" "$one" "$old" "$new")" --state idle
filters "another state" "" --state busy,failed
hold flock "$QUEUE/qf$one"
rewrite_qf "$T/aside/qf$odd" 3
mv "$T/aside/df$odd" "$QUEUE" && mv "$T/aside/qf$odd" "$QUEUE"
must wait_until 5 only_in "$MIDQUEUE" "$odd"
filters "what has moved is listed where it is" "$(these "$old" "$odd")" --tier MIDQUEUE
release "$HELD"
list --tier MIDQUEUE
matches "what the daemon tells steers no terminal either" "$(row "$odd")" '*a\\x1b\[2J�1m\\u202eb@example.test*'

# Many of them into a pipe that is closed early.
(cd "$SLOWQUEUE" && tee df"$new"{1..400} <"df$new" >/dev/null && tee qf"$new"{1..400} <"qf$new" >/dev/null)
stand() {
	[ "$("$QFWATCH" list -c "$POLICY" --json --tier SLOWQUEUE | wc -l)" -eq 401 ]
}
ok "all of many are listed" wait_until 20 stand
is "head ends it quietly" "$("$QFWATCH" list -c "$POLICY" 2>&1 >/dev/null | head -n 1; "$QFWATCH" list -c "$POLICY" 2>"$T/err" |
	head -n 1 | cut -c 1-2; cat "$T/err")" ID

# ---- who may ask ------------------------------------------------------------------------------------------------------------

if [ "$(id -u)" -eq 0 ]; then
	chmod 0755 "$T"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$QFWATCH" list -c "$POLICY" >"$T/out" 2>"$T/err"
	is "another user is not answered: exit code 3" $? 3
	is "and is told what helps" "$(cat "$T/err")" \
		"qfwatch list: unix:$SOCKET may not be used by this user: become a member of its group (ls -l $SOCKET), or ask as root"
	chmod 0700 "$T"
fi
daemon_stop

free_port
PORT=$FREE_PORT
(umask 077 && echo 0123456789abcdef0123456789 >"$T/token" && echo another-token-of-some-length >"$T/other")
policy_write "$RULES" "\"listen\": { \"address\": \"127.0.0.1:$PORT\", \"token_file\": \"$T/token\" },"
daemon_start
must wait_until 10 is_read -H "Authorization: Bearer $(cat "$T/token")" "http://127.0.0.1:$PORT/healthz"
list --json
is "over TCP with a token" "$? $(wc -l <"$T/out")" "0 405"
sed "s,$T/token,$T/other," "$POLICY" >"$T/policy.other"
"$QFWATCH" list -c "$T/policy.other" >"$T/out" 2>"$T/err"
is "with another token: exit code 3" $? 3
is "and what helps" "$(cat "$T/err")" \
	"qfwatch list: 127.0.0.1:$PORT does not take the token: give the same policy and token_file as the daemon has (-c)"
rm "$T/other"
"$QFWATCH" list -c "$T/policy.other" >"$T/out" 2>"$T/err"
is "without the token's file: exit code 3" $? 3
matches "which is named" "$(cat "$T/err")" "qfwatch list: *$T/other*"
http_proxy=http://127.0.0.1:1 list --json
is "no proxy of the environment is asked" "$? $(wc -l <"$T/out")" "0 405"
daemon_stop
e2e_end
