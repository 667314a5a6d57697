#!/bin/bash
# OpenEMM's mailer.sh through import-qctrl, the policy through check, and messages through the policy: they go after as many
# attempts and at such an age as qctrl lets them go.
. "$(dirname "$0")/lib.sh"
e2e_begin

# import [ARGUMENTS...]: the policy in $POLICY, the exit code as its own
import() { "$QFWATCH" import-qctrl "$@" >"$POLICY" 2>"$T/import.err"; }
check() { "$QFWATCH" check -c "$POLICY" >"$T/check.out" 2>&1; }
# The policy without blanks and line ends.
policy() { tr -d ' \n' <"$POLICY"; }
# one_pass: what the daemon would do now
one_pass() { "$QFWATCH" run --once -c "$POLICY" >"$EVENTS" 2>"$T/daemon.err"; }

# message DIRECTORY ID ATTEMPTS AGE RECIPIENT [no-sender]: a message as sendmail leaves it
message() {
	local now
	now=$(date +%s)
	{
		printf 'V8\nT%s\nK%s\nN%s\nP30000\n' $((now - $4)) $((now - 60)) "$3"
		[ "${6:-}" = no-sender ] || echo 'S<sender@example.test>'
		printf 'RPFD:<%s>\nH??Subject: a message\n.\n' "$5"
	} >"$1/qf$2"
	make_body "$1/df$2"
}

# ---- mailer.sh ------------------------------------------------------------------------------------------------------

cat >"$T/mailer.sh" <<-'END'
	#!/bin/sh
	. $HOME/bin/scripts/config.sh
	sm="$BASE/bin/smctrl"
	case "$1" in
	start)
	        run="/var/run"
	        for i in sendmail mta; do
	                if [ -d "$run/$i" ]; then
	                        run="$run/$i"
	                        break
	                fi
	        done
	        for stage in 1 2 3; do
	                case "$stage" in
	                1)      queue="QUEUE"
	                        param="-q1m -OTimeout.iconnect=20s"
	                        ;;
	                2)      queue="MIDQUEUE"
	                        param="-q30m"
	                        ;;
	                3)      queue="SLOWQUEUE"
	                        param="-q90m"
	                        ;;
	                esac
	                path="$BASE/var/spool/$queue"
	                $sm $param -NNEVER "-OQueueDirectory=$path" "-OPidFile=$run/`echo $queue | tr A-Z a-z`.pid"
	        done
	        $HOME/bin/qctrl -d780   move $BASE/var/spool/QUEUE $BASE/var/spool/MIDQUEUE tries:3
	        $HOME/bin/qctrl -d3240  move $BASE/var/spool/MIDQUEUE $BASE/var/spool/SLOWQUEUE tries:10
	        $HOME/bin/qctrl -d20880 force move $BASE/var/spool/SLOWQUEUE /dev/null maxage:6d
	        ;;
	stop)
	        terminator $HOME/bin/qctrl
	        $sm stop
	        ;;
	esac
END

import <"$T/mailer.sh"
is "mailer.sh, nobody says where: exit code" "$?" 1
matches "and what is not known is told" "$(cat "$T/import.err")" '*line 28: what ?BASE is *--home*'
ok "and the policy is right all the same" check

mkdir -p "$T/var/spool"
for tier in QUEUE MIDQUEUE SLOWQUEUE; do
	rmdir "${!tier}"
	mkdir -m 0700 "$T/var/spool/$tier"
	printf -v "$tier" %s "$T/var/spool/$tier"
done
import --home "$T" <"$T/mailer.sh"
is "mailer.sh: exit code" "$?" 0
is "nothing to look at" "$(cat "$T/import.err")" ""
ok "the policy is right" check
matches "three tiers, three rules" "$(cat "$T/check.out")" "*3 tiers, 3 rules*"
for part in '"attempts":4' '"attempts":11' '"age":"6d1s"' '"delete":true' '"allow_delete":true' '"move":"SLOWQUEUE"'; do
	matches "it holds $part" "$(policy)" "*$part*"
done

day=86400
message "$QUEUE" AA00000000000001 3 100 one@example.net
message "$QUEUE" AA00000000000002 4 100 one@example.net
message "$MIDQUEUE" AA00000000000003 10 100 one@example.net
message "$MIDQUEUE" AA00000000000004 11 100 one@example.net
message "$SLOWQUEUE" AA00000000000005 99 $((6 * day - 100)) one@example.net
message "$SLOWQUEUE" AA00000000000006 99 $((6 * day + 2)) one@example.net
one_pass
is "one pass: exit code" "$?" 0
for place in QUEUE/AA00000000000001 MIDQUEUE/AA00000000000002 MIDQUEUE/AA00000000000003 SLOWQUEUE/AA00000000000004 \
	SLOWQUEUE/AA00000000000005; do
	ok "$place" stands_in "$T/var/spool/${place%/*}" "${place#*/}"
done
is "what is older than six days is gone" "$(find "$T/var" -name '*AA00000000000006')" ""

# ---- limits and patterns ----------------------------------------------------------------------------------------------

rm -f "$QUEUE"/* "$MIDQUEUE"/* "$SLOWQUEUE"/*
import "qctrl move $QUEUE $MIDQUEUE tries:3,maxageinval:1h,'recv:!@keep.example.net,recv:/@(.+\\.)?example\\.net>\$'" \
	"qctrl force move $MIDQUEUE $SLOWQUEUE"
is "recv: exit code" "$?" 1
matches "what differs is told" "$(cat "$T/import.err")" "*argument 1: *several recipients*"
ok "the policy is right" check
message "$QUEUE" BB00000000000001 4 100 one@example.net
message "$QUEUE" BB00000000000002 4 100 one@keep.example.net
message "$QUEUE" BB00000000000003 4 100 one@example.net.invalid
message "$QUEUE" BB00000000000004 0 4000 one@sub.example.net no-sender
message "$QUEUE" BB00000000000005 0 3000 one@sub.example.net no-sender
message "$QUEUE" BB00000000000006 0 4000 one@sub.example.net
one_pass
is "one pass: exit code" "$?" 0
for place in SLOWQUEUE/BB00000000000001 QUEUE/BB00000000000002 QUEUE/BB00000000000003 SLOWQUEUE/BB00000000000004 \
	QUEUE/BB00000000000005 QUEUE/BB00000000000006; do
	ok "$place" stands_in "$T/var/spool/${place%/*}" "${place#*/}"
done

# ---- informer ---------------------------------------------------------------------------------------------------------

rm -f "$QUEUE"/* "$MIDQUEUE"/* "$SLOWQUEUE"/*
printf '#!/bin/sh\nprintf "%%s %%s\\n" "$#" "$*" >>%s\n' "$T/informed" >"$T/informer"
chmod +x "$T/informer"
import qctrl move "$QUEUE" "$MIDQUEUE" "tries:3,informer:$T/informer"
is "informer: exit code" "$?" 0
ok "the policy is right" check
message "$QUEUE" CC00000000000001 4 100 one@example.net
one_pass
ok "it is run with the name of the qf, as qctrl does it" wait_until 5 test -s "$T/informed"
is "with that alone" "$(cat "$T/informed")" "1 $MIDQUEUE/qfCC00000000000001"

# ---- nothing to import --------------------------------------------------------------------------------------------------

echo 'echo hello' | import
is "no qctrl: exit code" "$?" 2
ok "nothing is written" test ! -s "$POLICY"
import "qctrl move $QUEUE $MIDQUEUE"
is "only what qctrl refuses: exit code" "$?" 2
matches "and why" "$(cat "$T/import.err")" '*without "force"*'
import --help
is "help: exit code" "$?" 0
e2e_end
