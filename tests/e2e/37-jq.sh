#!/bin/bash
# The one-liners of contrib/pipelines/README.md, as they stand there, on recorded events.
. "$(dirname "$0")/lib.sh"
e2e_begin
README=$E2E/../../contrib/pipelines/README.md
SAMPLE=$E2E/../events/sample.json
export TZ=UTC

ok "the sample holds to the schema" "$TOOLS/schema" --lines "$E2E/../../contrib/events-1.schema.json" "$SAMPLE"
# The program reads the sample, wherever an operator's policy would lead it.
mkdir "$T/bin"
# shellcheck disable=SC2016
printf '#!/bin/sh\nexec "%s" "$@" "%s"\n' "$QFWATCH" "$SAMPLE" >"$T/bin/qfwatch"
chmod +x "$T/bin/qfwatch"
PATH=$T/bin:$PATH

# question NUMBER: what the NUMBERth one-liner answers, blanks at the lines' beginnings left out
question() {
	# shellcheck disable=SC2016
	sed -n '/^```sh$/,/^```$/p' "$README" | grep -v '^```' | sed -n "$1p" >"$T/question"
	bash -o pipefail "$T/question" 2>&1 | sed 's/^ *//'
}

is "there are five" "$(grep -c '^```sh$' "$README")" 5
is "moves by hour and rule" "$(question 1)" "6 2026-11-22T15h  three attempts
4 2026-11-22T16h  three attempts
4 2026-11-22T19h  ten attempts
1 2026-11-22T22h  ten attempts"
is "the domains that go slow" "$(question 2)" "4 slow.example.com
3 example.org
1 example.net"
is "how long messages stay" "$(question 3)" "QUEUE: median 230 s, longest 290 s, of 10
MIDQUEUE: median 14160 s, longest 25260 s, of 8
SLOWQUEUE: median 5400 s, longest 5400 s, of 1"
is "one message" "$(question 4 | tr '\t' '|')" "2026-11-22T15:04:00.127456Z|message-moved|QUEUE|MIDQUEUE|attempts 3 >= 3
2026-11-22T19:00:00.142456Z|message-moved|MIDQUEUE|SLOWQUEUE|attempts 10 >= 10
2026-11-22T20:30:00.147456Z|message-departed||SLOWQUEUE|"
is "what is missing" "$(question 5)" "run 5f1e0c9a7b3d2468: 13 to 15"
is "and for people" "$("$QFWATCH" events --id 6AMFA000010000 "$SAMPLE")" \
	"2026-11-22 15:04:00.127             message-moved      6AMFA000010000  QUEUE -> MIDQUEUE (three attempts)  attempts 3 >= 3
2026-11-22 19:00:00.142     +3h56m  message-moved      6AMFA000010000  MIDQUEUE -> SLOWQUEUE (ten attempts)  attempts 10 >= 10
2026-11-22 20:30:00.147     +1h30m  message-departed   6AMFA000010000  SLOWQUEUE"
e2e_end
