#!/bin/bash
# Messages moved by hand: by id, by path and from a list, alone and beside the daemon; what is locked or not there is left
# and told.
. "$(dirname "$0")/lib.sh"
e2e_begin
sendmail_begin
policy_write "$THREE_RULES"

move() { "$QFWATCH" move -c "$POLICY" "$@" >"$T/move.out" 2>"$T/move.err"; }

queue_message "$QUEUE" defer.one@example.net
one=$ID
queue_message "$QUEUE" defer.two@example.net
two=$ID
queue_message "$QUEUE" defer.three@example.net
three=$ID
queue_message "$QUEUE" defer.four@example.net
four=$ID
stamp=$(stat -c '%i %a %u %g %Y' "$QUEUE/qf$one")

move --to SLOWQUEUE "$one"
is "by id: exit code" "$?" 0
ok "by id: it stands in the tier named" only_in "$SLOWQUEUE" "$one"
is "by id: it says so" "$(cat "$T/move.out")" "moved $one QUEUE -> SLOWQUEUE"
is "by id: the same file, with its mode, owner, group and time" "$(stat -c '%i %a %u %g %Y' "$SLOWQUEUE/qf$one")" "$stamp"
move --to SLOWQUEUE "$one"
is "there already: nothing to do" "$?" 0
move --to MIDQUEUE "$QUEUE/qf$two"
is "by path: exit code" "$?" 0
ok "by path: it stands in the tier named" only_in "$MIDQUEUE" "$two"

hold flock "$QUEUE/qf$three"
printf 'qf%s\n%s\n\n' "$three" "$four" | move --to MIDQUEUE -
is "a list with one that is locked: exit code" "$?" 1
ok "the locked one is left" only_in "$QUEUE" "$three"
matches "and told" "$(cat "$T/move.err")" "*$three: it is locked*"
ok "the other one is moved" only_in "$MIDQUEUE" "$four"
release "$HELD"
must wait_until 10 hold_and_release flock "$QUEUE/qf$three"

move --to MIDQUEUE AAAAAAAAAAAAAA
is "one that no tier has: exit code" "$?" 1
matches "and told" "$(cat "$T/move.err")" "*AAAAAAAAAAAAAA: no tier has it*"
move --to MIDQEUE "$three"
is "a tier that there is not: exit code" "$?" 2
matches "and the tiers that there are" "$(cat "$T/move.err")" '*"QUEUE", "MIDQUEUE", "SLOWQUEUE"*'
move "$three"
is "no tier: exit code" "$?" 2
ok "nothing was done" only_in "$QUEUE" "$three"

daemon_start
must wait_until 20 has_event resynced # it knows of the message now
move --to SLOWQUEUE "$three"
is "beside the daemon: exit code" "$?" 0
ok "beside the daemon: it stands in the tier named" only_in "$SLOWQUEUE" "$three"
saw_event 10 "the daemon sees it leave its old tier" message-departed /email/local_id="$three"

sink_accept
run_queue "$MIDQUEUE"
run_queue "$SLOWQUEUE"
for name in one two three four; do
	is "$name is delivered exactly once" "$(delivered "defer.$name@example.net")" 1
	ok "$name: its body is unchanged" body_is "defer.$name@example.net" "${!name}"
done
all_empty "the tiers are empty"
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0
e2e_end
