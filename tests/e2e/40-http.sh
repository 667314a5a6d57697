#!/bin/bash
# What the daemon answers over HTTP: every endpoint as contrib/openapi-1.json has it, on a Unix socket and on TCP; who may
# ask; what a reload does.
. "$(dirname "$0")/lib.sh"
e2e_begin

DOCUMENT=$E2E/../../contrib/openapi-1.json
SOCKET=$T/listen/http.sock
ACCESS=(--unix-socket "$SOCKET")
HOST=http://localhost

# message DIRECTORY ID ATTEMPTS AGE SENDER RECIPIENT...
message() {
	local directory=$1 id=$2 attempts=$3 created=$(($(date +%s) - $4)) sender=$5
	shift 5
	{
		# shellcheck disable=SC2016 # a qf's macro
		printf 'V8\nT%s\nK%s\nN%s\nP30000\nMDeferred: Connection timed out\nFbs\n$_localhost\nS<%s>\n' "$created" \
			"$((attempts ? created + 60 : 0))" "$attempts" "$sender"
		printf 'RPFD:<%s>\n' "$@"
		printf 'H??Subject: \344 letter\n.\n'
	} >"$T/message"
	printf 'a body\n' >"$directory/df$id"
	install -m 0600 "$T/message" "$directory/tf$id" && mv "$directory/tf$id" "$directory/qf$id"
}

# get URL [CURL-ARGUMENTS...]: the status in $STATUS, the media type in $TYPE, the body in $T/body.
get() {
	local url=$1 out
	shift
	out=$(curl -sS -m 20 -o "$T/body" -w '%{http_code} %{content_type}' "${ACCESS[@]}" "$@" "$HOST$url" 2>"$T/curl.err")
	STATUS=${out%% *} TYPE=${out#* }
}

# answers URL STATUS [METHOD [CURL-ARGUMENTS...]]: that status, and all of the answer as the document says.
answers() {
	local url=$1 expected=$2 method=${3:-GET}
	shift $(($# < 3 ? $# : 3))
	if [ "$method" = HEAD ]; then
		get "$url" -I "$@"
	else
		get "$url" -X "$method" "$@"
	fi
	"$TOOLS/openapi" "$DOCUMENT" operation "$url" >>"$T/asked"
	if [ "$STATUS" != "$expected" ]; then
		fail "$method $url: $expected" "found: $STATUS" "$(head -c 600 "$T/body")" "$(cat "$T/curl.err")"
	elif "$TOOLS/openapi" "$DOCUMENT" answer "$method" "$url" "$STATUS" "$TYPE" "$T/body" >"$T/found" 2>&1; then
		pass "$method $url: $expected, as documented"
	else
		fail "$method $url: as documented" "$(cat "$T/found")" "$(head -c 600 "$T/body")"
	fi
}

# body JQ: what it makes of the last body.
body() {
	jq -r "$1" "$T/body"
}

# said WHAT JQ EXPECTED
said() {
	is "$1" "$(body "$2")" "$3"
}

listen_policy() {
	policy_write "$THREE_RULES" "$1"
}

message "$QUEUE" 6A00000000001 0 10 news@example.com reader@example.net
message "$QUEUE" 6A00000000002 1 7200 news@example.com reader@example.net other@sub.example.net
message "$QUEUE" 6A00000000003 2 90000 '' someone@example.org
message "$MIDQUEUE" 6A00000000004 5 400 postmaster@example.com local
message "$SLOWQUEUE" 6A00000000005 12 5 news@example.com "<$(printf '\201')@example.net"
listen_policy "\"listen\": { \"address\": \"unix:$SOCKET\", \"group\": $(id -g) },"
daemon_start
answers_200() {
	get "$1" && [ "$STATUS" = 200 ]
}
ok "it is well once all is read" wait_until 5 answers_200 /healthz

# ---- the socket
is "the socket: mode 0660, and the policy's group" "$(stat -c '%F %a %g' "$SOCKET")" "socket 660 $(id -g)"

# A reader of events, from here to the end: the heartbeat comes after 15 s.
start "$T/stream" /dev/null curl -sN --unix-socket "$SOCKET" http://localhost/api/v1/events?recent=2
STREAM=$STARTED_PID

# ---- every endpoint
answers /healthz 200
answers /api/v1/status 200
said "all messages are counted" .messages.total 5
said "no trouble" '.trouble | length' 0
answers /api/v1/tiers 200
said "by tier" '[.tiers[].messages] | join(" ")' "3 1 1"
said "how old" '.tiers[0].older_than | [.["1h"], .["1d"]] | join(" ")' "2 1"
answers /api/v1/messages 200
said "all of them" '[.messages[].queue_id] | sort | join(" ")' "6A00000000001 6A00000000002 6A00000000003 6A00000000004 6A00000000005"
said "and no next page" .next null
answers "/api/v1/messages?format=jsonl" 200
is "one a line" "$(wc -l <"$T/body")" 5
answers "/api/v1/messages?domain=*.example.net" 200
said "by a glob of the domain" '[.messages[].queue_id] | join(" ")' 6A00000000002
answers "/api/v1/messages?tier=QUEUE&age=%3E1h&attempts=1..2" 200
said "by tier, age and attempts" '[.messages[].queue_id] | sort | join(" ")' "6A00000000002 6A00000000003"
answers "/api/v1/messages?sender=%3C%3E" 200
said "bounces" '[.messages[].queue_id] | join(" ")' 6A00000000003
answers "/api/v1/messages?recipient=other@*" 200
said "by recipient" '[.messages[].queue_id] | join(" ")' 6A00000000002
answers "/api/v1/messages?status=timed.out&state=idle&domain=(local)" 200
said "by status, state, and without a domain" '[.messages[].queue_id] | join(" ")' 6A00000000004
said "nothing was given up" .given_up 0
said "why it is late" '.messages[0].recipients[0].delay_reason' 'Deferred: Connection timed out'
answers "/api/v1/messages?status=(.%2B)%2B%5B%23@%5D%24" 200
said "a status that costs too much is given up, and told" "[.given_up, (.messages | length)] | tostring" "[5,0]"
answers "/api/v1/messages?format=jsonl&status=(.%2B)%2B%5B%23@%5D%24" 200
is "in the last line" "$(cat "$T/body")" '{"given_up":5}'
answers "/api/v1/shape?status=(.%2B)%2B%5B%23@%5D%24" 200
said "by shape, too" "[.given_up, .rows[0].total] | tostring" "[5,0]"
answers "/api/v1/messages?limit=2" 200
pages=$(body '[.messages[].queue_id] | join(" ")')
cursor=$(body .next)
answers "/api/v1/messages?limit=2&cursor=$cursor" 200
pages="$pages $(body '[.messages[].queue_id] | join(" ")')"
answers "/api/v1/messages?limit=2&cursor=$(body .next)" 200
pages="$pages $(body '[.messages[].queue_id] | join(" ")')"
is "page by page it is all, each once" "$(tr ' ' '\n' <<<"$pages" | sort | tr '\n' ' ')" \
	"6A00000000001 6A00000000002 6A00000000003 6A00000000004 6A00000000005 "
answers /api/v1/messages/6A00000000002 200
said "explained" '.messages[0].id' 6A00000000002
said "no newer policy was rejected" .rejected null
answers /api/v1/messages/6A99999999999 404
answers /api/v1/messages/..%2f..%2fetc 404
answers /api/v1/messages/-c 404
answers /api/v1/shape 200
said "TOTAL first, a message for each of its domains" '.rows[0] | [.name, .total] | join(" ")' "TOTAL 6"
said "then by total" '.rows[1].name' example.net
answers "/api/v1/shape?tier=QUEUE&by=sender&limit=1" 200
said "by sender, in one tier" '[.tier, .rows[1].name, .rows[1].total, .cut] | join(" ")' "QUEUE example.com 2 1"
answers "/api/v1/shape?tier=QUEUE&tier=MIDQUEUE" 200
said "two tiers have no name" '[.tier, .rows[0].total] | map(tostring) | join(" ")' "null 5"
answers "/api/v1/shape?domain=example.org" 200
said "of some" '.rows[0].total' 1
answers /metrics 200
answers /api/v1/doctor 200
first=$(body .at)
answers /api/v1/doctor 200
said "its findings hold for a minute" .at "$first"
for path in / /page.js /page.css /icon.svg; do
	answers $path 200
done
answers /api/v1/events 200 HEAD
answers /api/v1/status 200 HEAD
is "each documented path was asked for" "$("$TOOLS/openapi" "$DOCUMENT" paths | wc -l)" \
	"$(grep -v none "$T/asked" | sort -u | wc -l)"
is "and each path that there is, is documented" "$(sed -n 's|^	{"\(/[^"]*\)".*|\1|p' "$E2E/../../watcher/http.c" | sed 's|messages/$|messages/{id}|' | sort)" \
	"$("$TOOLS/openapi" "$DOCUMENT" paths | sort)"

# ---- what is wrong is said
answers /api/v1/nothing 404
answers /api/v1/status%00 404
answers /%00 404
answers "/api/v1/events?id=" 400
answers "/api/v1/status?x=1" 400
answers "/api/v1/messages?agge=1h" 400
said "with the remedy" .error.remedy 'did you mean "age"?'
answers "/api/v1/messages?age=soon" 400
answers "/api/v1/messages?tier=NONE" 400
answers "/api/v1/messages?limit=1001" 400
answers "/api/v1/messages?limit=-1" 400
answers "/api/v1/messages?limit=99999999999999999999" 400
answers "/api/v1/messages?limit=1&limit=2" 400
answers "/api/v1/messages?cursor=x" 400
answers "/api/v1/messages?cursor=4294967295" 400
answers "/api/v1/messages?format=xml" 400
answers "/api/v1/messages?status=%5B" 400
answers "/api/v1/messages?domain" 400
answers "/api/v1/messages?domain=a%00b" 400
answers "/api/v1/shape?by=size" 400
answers "/api/v1/events?recent=0" 400
answers "/api/v1/events?action=moved" 400
answers "/api/v1/events?action=" 400
answers "/api/v1/events?tier=NOWHERE" 400
for method in POST PUT DELETE PATCH OPTIONS; do
	answers /api/v1/status 405 "$method"
done
answers /api/v1/status 413 GET -d "a body"
get /healthz -H "X-Long: $(head -c 20000 /dev/zero | tr '\0' a)"
is "a head of 20,000 bytes is too long" "$STATUS" 431
curl -sI --unix-socket "$SOCKET" http://localhost/ | tr -d '\r' >"$T/head"
for header in "Cache-Control: no-store" "X-Content-Type-Options: nosniff" "Referrer-Policy: no-referrer" \
	"Cross-Origin-Resource-Policy: same-origin"; do
	ok "$header" grep -qxF "$header" "$T/head"
done
matches "scripts, styles and connections of its own alone" "$(sed -n 's/^Content-Security-Policy: //p' "$T/head")" \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; *frame-ancestors 'none'"

# ---- events
message "$QUEUE" 6A00000000006 3 7200 news@example.com reader@example.net
ok "a message moves" wait_until 5 only_in "$MIDQUEUE" 6A00000000006
# stream_has PATTERN: as far as events have come whole; that is then in $T/stream.whole.
stream_has() {
	sed -n 'H; /^$/{x; s/^\n//; p; s/.*//; x}' "$T/stream" >"$T/stream.whole"
	grep -q "$1" "$T/stream.whole"
}
ok "and the stream tells it" wait_until 5 stream_has '^event: message-moved$'
sed -n 's/^data: //p' "$T/stream.whole" >"$T/stream.json"
ok "each line of it is an event" "$TOOLS/schema" --lines "$E2E/../../contrib/events-1.schema.json" "$T/stream.json"
last=$(sed -n 's/^id: //p' "$T/stream.whole" | tail -n 1)
is "with its id" "$last" "$(jq -r .event.id "$T/stream.json" | tail -n 1)"
message "$QUEUE" 6A00000000007 3 7200 news@example.com reader@example.net
saw_event 5 "another one moves" message-moved /email/local_id=6A00000000007
# reader NAME CURL-ARGUMENTS...: of events, in the background.
reader() {
	start "$T/reader.$1" /dev/null curl -sN -m 60 --unix-socket "$SOCKET" "${@:2}"
}
# has_read NAME WHAT: that and nothing else.
has_read() {
	[ "$(sed -n 's/^data: //p' "$T/reader.$1" | jq -r '.email.local_id // .event.action' 2>/dev/null)" = "$2" ]
}
# reads WHAT NAME EXPECTED: and it stays so.
reads() {
	if wait_until 10 has_read "$2" "$3" && stays 1 has_read "$2" "$3"; then
		pass "$1"
	else
		fail "$1" "expected: $3" "$(cat "$T/reader.$2")"
	fi
}
reader later -H "Last-Event-ID: $last" http://localhost/api/v1/events
reader some "http://localhost/api/v1/events?recent=100&action=message-moved,move-failed&id=6A00000000006"
reader slow "http://localhost/api/v1/events?recent=100&tier=SLOWQUEUE&action=message-moved,tier-lost"
reads "after the last one that was seen" later 6A00000000007
reads "only some actions, of one message" some 6A00000000006
ok "who asks for another tier is let in" wait_until 10 grep -q '^retry: ' "$T/reader.slow"

# ---- what is wrong with the installation is told
mv "$SLOWQUEUE" "$T/away"
status_is() {
	get "$1" && [ "$STATUS" = "$2" ]
}
ok "a tier is lost: it is not well" wait_until 5 status_is /healthz 503
answers /healthz 503
answers /api/v1/status 200
said "status says why" '.trouble[0].kind' tier-lost
answers /api/v1/tiers 200
said "and tiers" '.tiers[2].directories[0].state' lost
reads "who asks for that tier reads nothing else" slow tier-lost
mv "$T/away" "$SLOWQUEUE"
ok "it is back" wait_until 10 status_is /healthz 200
listen_policy '"lissten": 1,'
rejected() {
	get /api/v1/status && [ "$(body '.policy.rejected != null')" = true ]
}
ok "a policy that is rejected" wait_until 5 rejected
answers /api/v1/status 200
said "is trouble" '.trouble[0].kind' policy-rejected
answers /api/v1/messages/6A00000000002 200
said "messages are explained by the one in force" '.messages[0].rules | length' 1
matches "and why the newer one is not" "$(body .rejected.reason)" '*unknown key "lissten"*'
rm "$POLICY"
kill -HUP "$DAEMON"
rejected_anew() {
	get /api/v1/status && [[ $(body .policy.rejected.reason) == *"no such file"* ]]
}
ok "no file any more: that is told" wait_until 5 rejected_anew
answers /api/v1/messages/6A00000000002 200
said "and they are explained all the same" '.messages[0].rules | length' 1

# ---- a reload moves it
listen_policy "\"listen\": \"unix:$T/other.sock\","
ok "another socket" wait_until 5 test -S "$T/other.sock"
ok "the first one has gone" wait_until 5 test ! -e "$SOCKET"
ok "its reader, too" wait_until 5 group_is_gone "$STREAM"
SOCKET=$T/other.sock ACCESS=(--unix-socket "$T/other.sock")
answers /api/v1/status 200
printf 'x' >"$T/file.sock"
listen_policy "\"listen\": \"unix:$T/file.sock\","
ok "a place that is taken by a file: the policy is rejected" wait_until 5 rejected
is "and the file left alone" "$(cat "$T/file.sock")" x
listen_policy "\"listen\": { \"address\": \"unix:$SOCKET\", \"group\": \"no-such-group\" },"
# rejected_for REASON: the last time.
rejected_for() {
	[[ $(events -a policy-rejected -- /event/reason | tail -n 1) == *"$1"* ]]
}
ok "nor a group that is not there" wait_until 5 rejected_for no-such-group
listen_policy ""
ok "without the key nothing listens" wait_until 5 test ! -e "$SOCKET"

# ---- TCP, and a token
free_port
PORT=$FREE_PORT
listen_policy "\"listen\": \"127.0.0.1:$PORT\","
ACCESS=() HOST=http://127.0.0.1:$PORT
ok "on TCP" wait_until 5 answers_200 /healthz
answers /api/v1/status 200
answers /api/v1/status 200 GET -H "Host: localhost:9999"
answers /api/v1/status 421 GET -H "Host: example.com"
answers /api/v1/status 421 GET -H "Host: 127.0.0.2"
answers / 421 GET -H "Host: evil.example"
head -c 40 /dev/zero | tr '\0' t >"$T/token"
chmod 0644 "$T/token"
listen_policy "\"listen\": { \"address\": \"127.0.0.1:$PORT\", \"token_file\": \"$T/token\" },"
ok "a token that others may read: rejected" wait_until 5 rejected_for "$T/token"
answers /api/v1/status 200
chmod 0600 "$T/token"
daemon_signal HUP
ok "with a token" wait_until 5 status_is /api/v1/status 401
answers /api/v1/status 401
answers /api/v1/status 401 GET -H "Authorization: Bearer ttttttttttttttttttttttttttttttttttttttt"
answers /api/v1/status 401 GET -H "Authorization: Basic $(cat "$T/token")"
get /api/v1/nothing
is "nor does it tell what there is" "$STATUS" 401
answers /healthz 401
answers / 200
answers /api/v1/status 200 GET -H "Authorization: Bearer $(cat "$T/token")"

# ---- the end, and what a killed daemon leaves
ACCESS=(--unix-socket "$SOCKET") HOST=http://localhost
listen_policy "\"listen\": \"unix:$SOCKET\","
ok "back to the socket" wait_until 5 answers_200 /healthz
start "$T/dry.out" "$T/dry.err" "$QFWATCH" run --dry-run -c "$POLICY"
ok "a dry run beside it leaves the socket to it" wait_until 5 grep -q "is taken" "$T/dry.err"
answers /api/v1/status 200
said "which still answers" .dry_run false
kill "$STARTED_PID"
ok "and does not take it along" wait_until 5 group_is_gone "$STARTED_PID"
ok "the socket is there" test -S "$SOCKET"
daemon_stop KILL
ok "killed, it leaves the socket" test -S "$SOCKET"
daemon_start
ok "which the next one replaces" wait_until 5 answers_200 /healthz
daemon_stop
ok "stopped, it takes it along" test ! -e "$SOCKET"
start "$T/once.out" "$T/once.err" "$QFWATCH" run --once -c "$POLICY"
wait "$STARTED_PID"
is "a single pass answers nobody, and needs no socket" "$? $(cat "$T/once.err")" "0 "
e2e_end
