#!/bin/bash
# takes: 120
# The page in a real Chromium: a message goes through the tiers, and the page shows it without being loaded again; an id is searched
# with the keyboard; both themes, all widths, hostile names, a daemon that goes and comes back, a token. No error in the console, no
# violation of its policy, no request elsewhere. What it looked like stays in $BUILD/screenshots.
. "$(dirname "$0")/lib.sh"
e2e_begin
SCREENSHOTS=$BUILD/screenshots
STEPS=0 TOLD=0

# give_up WHAT WHY: without a browser nothing of this is tested, and that is a failure.
give_up() {
	fail "$@"
	e2e_end
}

BUILD=$BUILD "$E2E/fetch-playwright.sh" >"$T/fetch.out" 2>&1 || give_up "playwright-core is here" "$(cat "$T/fetch.out")"
CHROMIUM=$(command -v chromium) || give_up "Debian's chromium is here" "it is not: contrib/deps.sh test installs it"
NODE=$(command -v node || command -v nodejs) || give_up "nodejs is here" "it is not: contrib/deps.sh test installs it"

# ---- the browser ---------------------------------------------------------------------------------------------------------

# Its folder is a test's: what a browser of this user remembers is not asked, and not changed.
browser_start() {
	must mkfifo "$T/steps"
	exec {BROWSER}<>"$T/steps"
	mkdir "$T/home"
	INPUT=$T/steps start "$T/looked" "$T/browser.err" env HOME="$T/home" TMPDIR="$T/home" "$NODE" "$E2E/page.mjs" "$BUILD/playwright" \
		"$CHROMIUM" "$SCREENSHOTS"
}

# page STEP [ARGUMENT...]: a step of page.mjs; what it found is told as ours.
page() {
	local verdict what found
	STEPS=$((STEPS + 1))
	(IFS=$'\t' && printf '%s\n' "$*" >&"$BROWSER")
	wait_until 120 step_is_done || {
		fail "the browser answers: $*" "$(tail -n 5 "$T/browser.err")"
		exit 1
	}
	while IFS=$'\t' read -r verdict what found; do
		case "$verdict" in
		ok) pass "$what" ;;
		"not ok") fail "$what" "in the step: $*" "found: $found" ;;
		esac
	done < <(tail -n "+$((TOLD + 1))" "$T/looked")
	TOLD=$(wc -l <"$T/looked")
}

step_is_done() {
	[ "$(grep -c '^done$' "$T/looked" 2>/dev/null)" -ge "$STEPS" ]
}

# ---- messages ------------------------------------------------------------------------------------------------------------

# lay DIRECTORY ID ATTEMPTS AGE RECIPIENT [STATUS]: a message as a queue runner left it.
lay() {
	local now
	now=$(date +%s)
	printf 'a body\n' >"$1/df$2"
	# shellcheck disable=SC2016
	{
		printf 'V8\nT%d\nK%d\nN%d\nP30000\nI8/1/12345\n' $((now - $4)) $((now - 60)) "$3"
		[ -z "${6:-}" ] || printf 'M%s\n' "$6"
		printf 'Fs\n$_localhost\nSsender@shop.example\nRPFD:<%s>\nH?P?Return-Path: <\x81g>\nH??Subject: a message\n.\n' "$5"
	} >"$1/.qf$2"
	mv "$1/.qf$2" "$1/qf$2"
}

MARKUP='<img src=x onerror=alert(1)>'
DOMAIN='<img/src=x/onerror=alert'
free_port
PORT=$FREE_PORT
LISTEN="\"listen\": \"127.0.0.1:$PORT\","
URL=http://127.0.0.1:$PORT/

sendmail_begin
policy_write "$THREE_RULES" "$LISTEN"
for i in 1 2 3 4 5; do
	lay "$QUEUE" "6PAGE$i" 1 $((i * i * 1000)) "reader$i@example.org" "Deferred: Connection refused by mx.example.org."
done
lay "$SLOWQUEUE" 6OLD 12 400000 reader@example.com
queue_message "$QUEUE" defer.reader@example.net
daemon_start
browser_start
page_graph() {
	"$NODE" "$E2E/page-graph.mjs" "$E2E/../../page/script/graph.js" 1000 "$RANDOM"
}
ok "tiers and flows of 1000 random policies find their places" page_graph

# ---- a message on its way -------------------------------------------------------------------------------------------------

page open "$URL"
page structure
page counts QUEUE=6 MIDQUEUE=0 SLOWQUEUE=1
page findings "no queue runner" MIDQUEUE
page search "$ID" "In QUEUE" "three attempts" "attempts 0 >= 3"
page watch
for _ in 1 2 3; do
	run_queue "$QUEUE" "-qI$ID"
done
ok "at its third attempt it moves" wait_until 5 only_in "$MIDQUEUE" "$ID"
page counts QUEUE=5 MIDQUEUE=1 SLOWQUEUE=1
page event moved "$ID"
page flow QUEUE MIDQUEUE 1
page dots some
page explains "In MIDQUEUE"
page search "$ID" "In MIDQUEUE" "ten attempts" "attempts 3 >= 10" "after 7 more attempts" defer.reader@example.net
page linked "$ID" "In MIDQUEUE"
page ages example.org 5
page domain example.org 6PAGE3
page missing 6NOWHERE
sink_accept
page pause
run_queue "$MIDQUEUE" "-qI$ID"
ok "it is delivered" wait_until 5 is_delivered defer.reader@example.net
page paused 1
page event departed "$ID"
page counts QUEUE=5 MIDQUEUE=0 SLOWQUEUE=1
page filter message-moved moved
page same

# ---- looks and keys -------------------------------------------------------------------------------------------------------

page looks three light
page looks three dark
page widths three
page search 6PAGE2 "In QUEUE"
page keyboard MIDQUEUE
page hidden
page slow

# ---- from outside ----------------------------------------------------------------------------------------------------------

lay "$QUEUE" 6HOSTILE 1 100 "reader@$DOMAIN" "$MARKUP"
page ages "$DOMAIN" 1
page search 6HOSTILE "$MARKUP" "attempts 1 >= 3"
# Seven tiers, flows that skip, that lead back and that part; one by a hostile name, which loses its directory.
for i in 4 5 6 7; do
	mkdir -m 0700 "$T/TIER$i"
done
TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" }, { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE\" },
    { \"name\": \"SLOWQUEUE\", \"directory\": \"$SLOWQUEUE\" }, { \"name\": \"$MARKUP\", \"directory\": \"$T/TIER4\" },
    { \"name\": \"FIVE\", \"directory\": \"$T/TIER5\" }, { \"name\": \"SIX\", \"directory\": \"$T/TIER6\" }, { \"name\": \"SEVEN\", \"directory\": \"$T/TIER7\" }"
move() {
	echo "{ \"name\": \"$1 to $2, $3\", \"tier\": \"$1\", \"when\": { \"attempts\": { \"at_least\": $3, \"below\": $(($3 + 1)) } }, \"then\": { \"move\": \"$2\" } }"
}
policy_write "$(move QUEUE MIDQUEUE 3), $(move MIDQUEUE SLOWQUEUE 20), $(move SLOWQUEUE "$MARKUP" 30), $(move "$MARKUP" FIVE 40), $(move FIVE SIX 50),
	$(move QUEUE FIVE 60), $(move FIVE QUEUE 70), $(move MIDQUEUE QUEUE 80)" "$LISTEN"
saw_event 5 "the policy of seven tiers is taken" policy-loaded /qfwatch/counts/tiers=7
page counts QUEUE=6 "$MARKUP=0" SEVEN=0
page text "$MARKUP"
page widths seven
page looks seven light
page looks seven dark
mv "$T/TIER4" "$T/away"
page trouble "$T/TIER4"
page event "tier lost" "$T/TIER4"
page screenshot trouble full
mv "$T/away" "$T/TIER4"
page sound

# ---- the daemon goes and comes back -------------------------------------------------------------------------------------------

page going
daemon_stop
page lost
lay "$MIDQUEUE" 6MEANWHILE 4 500 reader@example.org
daemon_start
page back
page counts QUEUE=6 MIDQUEUE=1 SEVEN=0
page event started qfwatch
page same

# ---- a token, and less motion ----------------------------------------------------------------------------------------------------

(umask 077 && echo "a-token-of-this-test" >"$T/token")
TIERS=
page going
policy_write "$THREE_RULES" "\"listen\": { \"address\": \"127.0.0.1:$PORT\", \"token_file\": \"$T/token\" },"
saw_event 5 "the policy with a token is taken" policy-loaded /qfwatch/counts/tiers=3
page token "$URL" a-token-of-this-test
page watch
lay "$QUEUE" 6STILL 5 100 reader@example.org
page event moved 6STILL
page dots none
page end
daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
e2e_end
