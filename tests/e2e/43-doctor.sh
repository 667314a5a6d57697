#!/bin/bash
# takes: 90
# doctor: silent on a sound installation, and one test for each finding that breaks the installation in that way, and in no
# other. Installations are made up below $T, processes too, so that nothing of this machine is looked at; then a real
# sendmail, a real daemon, and the machine's own /proc.
. "$(dirname "$0")/lib.sh"
e2e_begin

ROOT=$T/root PROC=$T/root/proc
OTHER=$(mktemp -d /dev/shm/qfwatch-e2e.XXXXXX 2>/dev/null) # another file system, where there is one
trap 'status=$?; rm -rf "$OTHER"; (exit $status); e2e_cleanup' EXIT
TESTED=" "
"$QFWATCH" doctor --list >"$T/findings"

# ---- a sound installation -----------------------------------------------------------------------------------------------

# fake_process PID NAME WORD...: a process with that command line
fake_process() {
	local pid=$1 name=$2
	shift 2
	mkdir -p "$PROC/$pid/fd"
	echo "$name" >"$PROC/$pid/comm"
	printf '%s\0' "$@" >"$PROC/$pid/cmdline"
}

# fake_runner PID DIRECTORY HH:MM:SS
fake_runner() {
	fake_process "$1" sendmail "sendmail: Queue runner@$3 for $2"
	ln -sfn "$2" "$PROC/$1/cwd"
}

# fake_daemon PID DIRECTORY...: qfwatch run with these directories open
fake_daemon() {
	local pid=$1 n=5 directory
	fake_process "$pid" qfwatch /usr/sbin/qfwatch run -c "$POLICY"
	shift
	for directory in "$@"; do
		ln -s "$directory" "$PROC/$pid/fd/$n"
		n=$((n + 1))
	done
	printf 'Name:\tqfwatch\nUid:\t%s\t%s\t%s\t%s\nGid:\t0\t0\t0\t0\nGroups:\t0 4 \nCapEff:\t000001ffffffffff\n' \
		"$(id -u)" "$(id -u)" "$(id -u)" "$(id -u)" >"$PROC/$pid/status"
}

# message DIRECTORY ID ATTEMPTS AGE [SINCE-ATTEMPT]: a message as sendmail leaves it, tried a minute ago
message() {
	local now
	now=$(date +%s)
	printf 'V8\nT%s\nK%s\nN%s\nP30000\nMDeferred: Connection refused by mx.example.net.\nS<sender@example.test>\nRPFD:<a@example.net>\n.\n' \
		$((now - $4)) $((now - ${5:-60})) "$3" >"$1/qf$2"
	echo body >"$1/df$2"
	chmod 0600 "$1/qf$2" "$1/df$2"
}

# cf [LINE...]: the .cf, with more lines
cf() {
	{
		printf 'O QueueDirectory=%s\nO MinQueueAge=0\nO Timeout.queuereturn=8d\n' "$QUEUE"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$ROOT/etc/mail/sendmail.cf"
}

RULES="$THREE_RULES,
    { \"name\": \"six days\", \"tier\": \"SLOWQUEUE\", \"when\": { \"age\": \"6d\" }, \"then\": { \"delete\": true } }"

sound() {
	rm -rf "$ROOT" "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	unset TIERS
	mkdir -m 0700 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	mkdir -p "$ROOT/etc/mail" "$ROOT/etc/cron.d" "$ROOT/etc/systemd/system" "$ROOT/run/sendmail" "$ROOT/usr/sbin" \
		"$PROC/self" "$PROC/sys/fs/inotify"
	echo 1 >"$PROC/sys/fs/protected_hardlinks"
	echo 65536 >"$PROC/sys/fs/inotify/max_user_watches"
	echo 128 >"$PROC/sys/fs/inotify/max_user_instances"
	echo 16384 >"$PROC/sys/fs/inotify/max_queued_events"
	echo "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw" >"$PROC/self/mountinfo"
	printf '\177ELF MinQueueAge\0HASFLOCK\0' >"$ROOT/usr/sbin/sendmail"
	fake_process 1 init /sbin/init
	cf
	policy_write "$RULES" '"allow_delete": true,'
	fake_runner 101 "$QUEUE" 00:01:00
	fake_runner 102 "$MIDQUEUE" 00:30:00
	fake_runner 103 "$SLOWQUEUE" 01:30:00
	fake_daemon 77 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	message "$QUEUE" 4QnewA000001 0 30
	message "$QUEUE" 4QoldA000001 2 7200
	message "$MIDQUEUE" 4QmidA000001 4 80000
	message "$SLOWQUEUE" 4QsloA000001 12 300000
	rm -f "$EVENTS"
}

# doctor [ARGUMENTS...]: its report in $T/doctor.json, its exit code in $CODE
doctor() {
	"$QFWATCH" doctor -c "$POLICY" --root "$ROOT" --json "$@" >"$T/doctor.json" 2>"$T/doctor.err"
	CODE=$?
}

# ids: the findings, each once
ids() {
	grep -o '{"id":"[a-z-]*"' "$T/doctor.json" | cut -d '"' -f 4 | sort -u | tr '\n' ' '
}

# finds WHAT "ID..." [TEXT...]: these findings and no others, and the texts stand in the report; 1 is the exit code unless all
# are notes.
finds() {
	local what=$1 wanted=$2 id text found code=0
	shift 2
	TESTED="$TESTED$wanted "
	found=$(ids)
	# shellcheck disable=SC2086
	wanted=$(printf '%s\n' $wanted | sort -u | tr '\n' ' ')
	for id in $wanted; do
		grep -q "^$id  *note " "$T/findings" || code=1
	done
	if [ "$found" != "$wanted" ] || [ "$CODE" -ne "$code" ]; then
		fail "$what" "expected: $wanted, exit code $code" "found:    $found, exit code $CODE" "$(cat "$T/doctor.err")" \
			"$("$QFWATCH" doctor -c "$POLICY" --root "$ROOT")"
		return
	fi
	for text in "$@"; do
		if ! grep -qF -e "$text" "$T/doctor.json"; then
			fail "$what" "expected in the report: $text" "found: $(cat "$T/doctor.json")"
			return
		fi
	done
	pass "$what"
}

sound
doctor
is "a sound installation: exit code" "$CODE" 0
is "a sound installation: no findings" "$(ids)" ""
is "a sound installation: sound" "$("$TOOLS/jsonq" "$T/doctor.json" /sound /findings)" "true	[]"
is "a sound installation: nothing that could not be checked" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" "[]"
matches "a sound installation: as text" "$("$QFWATCH" doctor -c "$POLICY" --root "$ROOT" | tail -n 1)" "sound: no errors and no warnings*"

# ---- the policy and its daemon -------------------------------------------------------------------------------------------

sound
policy_write '{ "tier": "QUEUE", "when": { "attemps": 3 }, "then": { "move": "MIDQUEUE" } }'
doctor
finds "a wrong policy, and a daemon that goes on with an older one" "policy-invalid old-policy" 'did you mean \"attempts\"' 'pid 77'
"$QFWATCH" doctor -c "$T/draft.json" --root "$ROOT" --json >"$T/doctor.json"
is "a policy that is not there: a daemon with another one is not meant" "$(ids)" "policy-invalid "
rm "$POLICY"
doctor
finds "one that has gone away while the daemon runs" "policy-invalid old-policy" "no such file"
"$QFWATCH" doctor -c "$POLICY" -u no-such-user 2>"$T/doctor.err"
is "a user who is not there: exit code 2" $? 2
matches "and why" "$(head -n 1 "$T/doctor.err")" 'qfwatch doctor: --user: there is no such user "no-such-user"'

sound
policy_write "$RULES, { \"name\": \"shadow\", \"tier\": \"QUEUE\", \"when\": { \"attempts\": 5 }, \"then\": { \"bounce\": true } }" '"allow_delete": true,'
doctor
finds "a rule that is never reached" policy-note 'shadow'

sound
rm -rf "$SLOWQUEUE"
doctor
finds "a tier that is not there" tier-missing "$SLOWQUEUE: No such file"

sound
TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" }, { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE\" }, { \"name\": \"SLOWQUEUE\", \"directory\": \"$T/link\" }"
ln -sfn "$MIDQUEUE" "$T/link"
policy_write "$RULES" '"allow_delete": true,'
doctor
finds "two tiers in one directory" "tiers-overlap runner-interval" "is the same directory as"
rm "$T/link"

sound
mkdir "$QUEUE/inner"
ln -sfn "$QUEUE/inner" "$T/link"
TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" }, { \"name\": \"MIDQUEUE\", \"directory\": \"$MIDQUEUE\" }, { \"name\": \"SLOWQUEUE\", \"directory\": \"$T/link\" }"
policy_write "$RULES" '"allow_delete": true,'
rm -r "$PROC/103" "$PROC/77"
fake_runner 103 "$QUEUE/inner" 01:30:00
fake_daemon 77 "$QUEUE" "$MIDQUEUE" "$QUEUE/inner"
doctor
finds "a tier inside another" tiers-overlap "lies inside"
rm "$T/link"

sound
rm -r "$PROC/77"
doctor
finds "no daemon" no-daemon "qfwatch run -c $POLICY"

sound
rm -r "$PROC/77/fd"
doctor
is "a daemon with this policy, whose files cannot be seen" "$(ids)" ""
printf '%s\0' qfwatch run -c "$T/other.json" >"$PROC/77/cmdline"
cp "$POLICY" "$T/other.json"
doctor
is "one with another policy makes no finding" "$(ids)" ""
matches "but is told" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" "*a qfwatch runs*"

sound
fake_process 78 qfwatch qfwatch run -c other.json
rm -r "$PROC/78/fd"
doctor
is "a second one with another policy, where it stands not seen either, makes no finding" "$(ids)" ""

sound
fake_daemon 78 "$QUEUE"
doctor
finds "two daemons, one of them with another policy" "two-daemons old-policy" "pid 78"

sound
rm "$PROC/77/fd/7"
doctor
finds "a daemon that has never heard of a tier" old-policy "does not have $SLOWQUEUE open"

sound
printf '{"process":{"pid":77},"event":{"action":"policy-loaded"}}\n{"process":{"pid":77},"event":{"action":"policy-rejected","reason":"two"}}\n' >"$EVENTS"
doctor
finds "a daemon that has refused the policy" old-policy "has refused the policy"
printf '{"process":{"pid":77},"event":{"action":"policy-loaded"}}\n' >>"$EVENTS"
doctor
is "a daemon that has taken it since" "$(ids)" ""
rm "$EVENTS"

sound
EVENTS=$T/closed/events.json policy_write "$RULES" '"allow_delete": true,'
mkdir -m 0755 "$T/closed"
chmod 0777 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
chmod 0644 "$QUEUE"/* "$MIDQUEUE"/* "$SLOWQUEUE"/*
chmod 0755 "$T"
doctor -u 12345
finds "an event file that the daemon's user cannot make" "sink-refused links-refused" "12345"
chmod 0700 "$T"

sound
policy_write "$RULES" '"allow_delete": true, "metrics": { "textfile": "'"$T"'/none/qfwatch.prom" },'
doctor
finds "a metrics file whose folder is not there" sink-refused "$T/none is not there"

# ---- rights --------------------------------------------------------------------------------------------------------------

sound
doctor -u 12345
finds "tiers that the daemon's user may not enter" "tier-rights sink-refused links-refused" "Permission denied" "capabilities none" "AmbientCapabilities"
chmod 0755 "$T"
chmod 0777 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
policy_write "$RULES" '"allow_delete": true, "sendmail": "/usr/sbin/sendmail",'
sed -i "s|\"path\": \"[^\"]*\"|\"path\": \"/dev/null\"|" "$POLICY"
doctor -u 12345
finds "Permission denied on every qf" "tier-rights links-refused" "may not read 2 qf files"

sound
chmod 0755 "$T"
chmod 0777 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
chmod 0644 "$QUEUE"/* "$MIDQUEUE"/* "$SLOWQUEUE"/*
sed -i "s|\"path\": \"[^\"]*\"|\"path\": \"/dev/null\"|" "$POLICY"
doctor -u 12345
finds "hard links that are refused" links-refused "fs.protected_hardlinks is 1"
echo 0 >"$PROC/sys/fs/protected_hardlinks"
doctor -u 12345
is "hard links that are not refused" "$(ids)" ""
chmod +t "$MIDQUEUE"
doctor -u 12345
finds "a sticky tier" tier-rights "sticky bit"
chmod 0700 "$T"

# The unit's user, where no daemon runs.
sound
rm -r "$PROC/77"
printf '[Service]\nUser=12345\nAmbientCapabilities=CAP_DAC_OVERRIDE CAP_FOWNER CAP_CHOWN\n' >"$ROOT/etc/systemd/system/qfwatch.service"
doctor
finds "a unit with a user who has the capabilities" no-daemon
mkdir "$ROOT/etc/systemd/system/qfwatch.service.d"
printf '[Service]\nAmbientCapabilities=\n' >"$ROOT/etc/systemd/system/qfwatch.service.d/mine.conf"
doctor
finds "a drop-in that takes them away" "no-daemon tier-rights sink-refused links-refused" "from qfwatch.service"

# A group of the unit's.
sound
rm -r "$PROC/77"
chmod 0755 "$T"
chmod 0770 "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
chmod 0640 "$QUEUE"/* "$MIDQUEUE"/* "$SLOWQUEUE"/*
sed -i "s|\"path\": \"[^\"]*\"|\"path\": \"/dev/null\"|" "$POLICY"
printf '[Service]\nUser=12345\nSupplementaryGroups=%s\n' "$(id -g)" >"$ROOT/etc/systemd/system/qfwatch.service"
doctor
finds "a unit with a group that may" "no-daemon links-refused"
sed -i '/Groups/d' "$ROOT/etc/systemd/system/qfwatch.service"
doctor
finds "and without it" "no-daemon tier-rights links-refused"
sed -i 's/12345/no-such-user/' "$ROOT/etc/systemd/system/qfwatch.service"
doctor
finds "a unit whose user is not known" no-daemon
matches "is told" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" "*no-such-user*"
chmod 0700 "$T"

if [ -n "$OTHER" ] && [ "$(stat -c %d "$OTHER")" != "$(stat -c %d "$T")" ]; then
	sound
	TIERS="{ \"name\": \"QUEUE\", \"directory\": \"$QUEUE\" }, { \"name\": \"MIDQUEUE\", \"directory\": \"$OTHER\" }, { \"name\": \"SLOWQUEUE\", \"directory\": \"$SLOWQUEUE\" }"
	policy_write "$RULES" '"allow_delete": true,'
	rm -r "$PROC/102" "$PROC/77"
	fake_runner 102 "$OTHER" 00:30:00
	fake_daemon 77 "$QUEUE" "$OTHER" "$SLOWQUEUE"
	doctor
	finds "tiers on different file systems" file-systems "each move is a copy"
	chmod 0755 "$T"
	chmod 0777 "$QUEUE" "$OTHER" "$SLOWQUEUE"
	chmod 0644 "$QUEUE"/* "$SLOWQUEUE"/*
	sed -i "s|\"path\": \"[^\"]*\"|\"path\": \"/dev/null\"|" "$POLICY"
	echo 0 >"$PROC/sys/fs/protected_hardlinks"
	doctor -u 12345
	finds "copies that lose their owner" "file-systems owners-lost" "CAP_CHOWN"
	chmod 0700 "$T"
else
	TESTED="$TESTED file-systems owners-lost "
fi

# ---- sendmail and its runners -----------------------------------------------------------------------------------------------

sound
rm -r "$PROC/102"
message "$MIDQUEUE" 4QmidA000001 4 80000 30000
doctor
finds "a tier that no runner serves" no-queue-runner "no sendmail process runs $MIDQUEUE" "-OQueueDirectory=$MIDQUEUE -q30m"
mkdir -p "$ROOT$T/bin"
: >"$ROOT$T/bin/mailer.sh"
sed "s|$MIDQUEUE|$T/var/spool/MIDQUEUE|" "$POLICY" >"$T/policy.openemm"
mkdir -p "$T/var/spool/MIDQUEUE"
"$QFWATCH" doctor -c "$T/policy.openemm" --root "$ROOT" >"$T/doctor.out"
ok "OpenEMM's script is named" grep -qF "take the qctrl lines out of $T/bin/mailer.sh" "$T/doctor.out"
rm -r "${T:?}/var"
message "$MIDQUEUE" 4QmidA000002 4 80000 60
doctor
is "one that cannot be seen, but whose attempts can" "$(ids)" ""
rm "$MIDQUEUE"/*
doctor
finds "an empty tier that no runner serves" no-queue-runner
printf '*/30 * * * * root /usr/sbin/sendmail -C /etc/mail/sendmail.cf "-OQueueDirectory=%s" -q\n' "$MIDQUEUE" >"$ROOT/etc/cron.d/mid"
doctor
is "one that cron starts" "$(ids)" ""
rm "$ROOT/etc/cron.d/mid"
printf '[Service]\nExecStart=/usr/sbin/sendmail -bs -OQueueDirectory=%s -q30m\n' "$MIDQUEUE" >"$ROOT/etc/systemd/system/mid.service"
doctor
finds "a runner whose unit does not run" no-queue-runner "mid.service"
rm "$ROOT/etc/systemd/system/mid.service"
fake_process 102 sendmail "sendmail: accepting connections"
ln -s "$MIDQUEUE" "$PROC/102/cwd"
doctor
is "a daemon that may run the queue makes no finding" "$(ids)" ""
matches "but is told" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" "*whether process 102*runs its queue*"
printf '102\n/usr/sbin/sendmail -bd -OQueueDirectory=%s\n' "$MIDQUEUE" >"$ROOT/run/sendmail/mid.pid"
doctor
finds "a daemon that was started without -q" no-queue-runner
printf '102\n/usr/sbin/sendmail -bd -q30m -OQueueDirectory=%s\n' "$MIDQUEUE" >"$ROOT/run/sendmail/mid.pid"
doctor
is "a daemon that was started with -q30m" "$(ids)" ""
rm "$ROOT/run/sendmail/mid.pid" "$PROC/102/cwd"
fake_process 102 sendmail "sendmail: Queue control"
doctor
is "a runner of which cannot be told where it runs makes no finding" "$(ids)" ""
matches "but that is told" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" "*the queue runner of tier MIDQUEUE*root sees it*"
rm -r "$PROC/1" "$PROC/102"
doctor
is "where processes are hidden, none is missed" "$(ids)" ""

sound
rm -r "$PROC/102"
fake_runner 102 "$MIDQUEUE" 00:01:00
doctor
finds "a slow tier that is run every minute" runner-interval "run every 1m"

sound
fake_process 200 qctrl /home/openemm/bin/qctrl -d780 move "$QUEUE" "$MIDQUEUE" tries:3
doctor
finds "qctrl still runs" qctrl-running "process 200" "tries:3"
rm -r "$PROC/200"
fake_process 200 qctrl /home/openemm/bin/qctrl -d780 move /elsewhere/QUEUE /elsewhere/MIDQUEUE tries:3
doctor
is "qctrl on other directories" "$(ids)" ""

sound
cf 'O MinQueueAge=1d' 'O Timeout.queuereturn=7d'
doctor
finds "attempts that are never reached" "out-of-reach queue-age" "MinQueueAge=1d" "Timeout.queuereturn=1w"
cf 'O MinQueueAge=2h' 'O MaxQueueAge=4h'
doctor
finds "MinQueueAge" queue-age "MaxQueueAge=4h"
rm -r "$PROC/101"
fake_process 101 sendmail /usr/sbin/sendmail -q1m "-OQueueDirectory=$QUEUE" -OMinQueueAge=0
rm -r "$PROC/102"
fake_process 102 sendmail /usr/sbin/sendmail -q30m "-OQueueDirectory=$MIDQUEUE" -OMinQueueAge=0
doctor
finds "MaxQueueAge alone" queue-age "MaxQueueAge=4h" "10 attempts take 16h there at least, not 3h30m"
matches "it is told of the tier that it slows down" "$("$TOOLS/jsonq" "$T/doctor.json" /findings/0/tier)" MIDQUEUE
rm -r "$PROC/102"
fake_process 102 sendmail /usr/sbin/sendmail -q30m "-OQueueDirectory=$MIDQUEUE" -OMinQueueAge=0 -OMaxQueueAge=0
doctor
is "MinQueueAge and MaxQueueAge that the runners are told to leave" "$(ids)" ""

sound
cf 'O MaxQueueAge=1d' 'O Timeout.queuereturn=1d'
doctor
finds "attempts that are never reached for MaxQueueAge" "out-of-reach queue-age queue-return" "10 attempts, which take 1d8h" "MaxQueueAge=1d"

sound
cf 'O Timeout.queuereturn=5d'
doctor
finds "sendmail returns messages first" queue-return "rule \\\"six days\\\" waits for an age of 6d, but sendmail returns messages at 5d" "confTO_QUEUERETURN"

sound
cf 'Qmqueue, Path='"$QUEUE"', R=1' 'Qslow, Path=/var/spool/slow*, Interval=30m'
doctor
finds "queue groups" queue-groups "Qslow, Path=/var/spool/slow*"

sound
rm -r "$PROC/101"
fake_process 101 sendmail "sendmail: Queue runner"
ln -s "$QUEUE" "$PROC/101/cwd"
cf "O QueueDirectory=$T/mqueue"
doctor
finds "sendmail queues where no tier is" queue-directory "QueueDirectory=$T/mqueue"

sound
cf 'O RunAsUser=12345:12345'
doctor
finds "RunAsUser who may not enter" run-as-user "RunAsUser=12345"
cf 'O RunAsUser=12345:12345' 'O TrustedUser=12346'
doctor
finds "and whose runner gives up what others own" "run-as-user unsafe-qf" "does not belong to the user that sendmail runs as"
cf 'O RunAsUser=no-such-user'
doctor
is "a RunAsUser who is not known is told once" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" '["RunAsUser: there is no user no-such-user here"]'

sound
echo "25 24 0:40 / $T rw - nfs4 server:/spool rw,vers=4.2,local_lock=flock,addr=192.0.2.1" >>"$PROC/self/mountinfo"
doctor
finds "locks that stay on this machine" "lock-not-seen no-notifications" "this sendmail locks with flock"
printf '\177ELF MinQueueAge\0' >"$ROOT/usr/sbin/sendmail"
sed -i '$s/local_lock=flock,//' "$PROC/self/mountinfo"
doctor
finds "a lock that cannot be had over NFS" "lock-not-seen no-notifications" "open for writing"

sound
cf 'DSrelay:[192.0.2.25]'
doctor
is "a smart host that has refused something" "$(ids)" ""
rm "$MIDQUEUE"/* "$SLOWQUEUE"/* "$QUEUE"/*old*
doctor
finds "a smart host that takes everything" smart-host "DSrelay:[192.0.2.25]"

# ---- what stands in the spool ------------------------------------------------------------------------------------------------

sound
message "$MIDQUEUE" 4QmidA000001 4 800000 300000
doctor
finds "attempts that do not rise" never-fires "the most that one has is 4"

sound
mv "$QUEUE/qf4QoldA000001" "$QUEUE/Qf4QoldA000001"
doctor
finds "what sendmail has given up" given-up "$QUEUE/Qf4QoldA000001"

sound
chmod 0666 "$MIDQUEUE/qf4QmidA000001"
doctor
finds "a qf that everybody may write" unsafe-qf "$MIDQUEUE/qf4QmidA000001"
chmod 0660 "$MIDQUEUE/qf4QmidA000001"
doctor
finds "a qf that the group may write" unsafe-qf
cf 'O QueueFileMode=0660'
doctor
is "where QueueFileMode says so" "$(ids)" ""

sound
rm "$MIDQUEUE/df4QmidA000001"
doctor
finds "a message without its body" missing-df "qf4QmidA000001"

sound
sed -i 's|^S|d/elsewhere\nS|' "$QUEUE/qf4QoldA000001"
rm "$QUEUE/df4QoldA000001"
doctor
finds "a message whose body stands elsewhere" data-elsewhere "qf4QoldA000001"

sound
: >"$QUEUE/qf4QempA000001"
doctor
is "an empty qf that was just made" "$(ids)" ""
touch -d '20 minutes ago' "$QUEUE/qf4QempA000001"
doctor
finds "an empty qf" empty-qf "qf4QempA000001"

sound
ln -s /etc/passwd "$QUEUE/qf4QsymA000001"
doctor
finds "a qf that is a link" refused-qf "symbolic link"

sound
echo body >"$SLOWQUEUE/df4QorpA000001"
doctor
is "a df that was just made" "$(ids)" ""
touch -d '2 days ago' "$SLOWQUEUE"/df*
doctor
finds "a body without a message" orphan-df "df4QorpA000001"

sound
: >"$QUEUE/tf4QoldA000001"
: >"$QUEUE/xf4QoldA000001"
doctor
is "a tf and an xf that are in use" "$(ids)" ""
touch -d '2 days ago' "$QUEUE"/[tx]f*
doctor
finds "a tf and an xf that are not" stale-files "2 tf or xf files"

sound
ln "$QUEUE/qf4QoldA000001" "$QUEUE/.qfwatch-delete-4QoldA000009"
rm "$QUEUE"/*4QoldA000001
doctor
is "a hidden name while a daemon runs" "$(ids)" ""
rm -r "$PROC/77"
doctor
finds "a hidden name and no daemon" "leftovers no-daemon" ".qfwatch-delete-4QoldA000009"

sound
mv "$QUEUE/qf4QoldA000001" "$QUEUE/hf4QoldA000001"
doctor
finds "a quarantined message" quarantined "1 message in tier QUEUE that sendmail holds"

sound
message "$QUEUE" 4QfutA000001 1 -7200
doctor
finds "a message from the future" future-times "qf4QfutA000001"
sound
touch -d 'now + 2 hours' "$QUEUE/qf4QoldA000001"
doctor
finds "a qf written in the future" future-times

# ---- the machine -----------------------------------------------------------------------------------------------------------

for type in overlay fuse.sshfs cifs; do
	sound
	echo "25 24 0:40 / $T rw - $type x rw" >>"$PROC/self/mountinfo"
	doctor
	finds "tiers on $type" no-notifications "which does not tell of all changes"
done

sound
# shellcheck disable=SC2016
small='mount -t tmpfs -o size=64k,mode=0700 tmpfs "$1" && dd if=/dev/zero of="$1/fill" bs=1k count=64 2>/dev/null; shift; exec "$@"'
if { [ "$(id -u)" -eq 0 ] && in_mounts=(unshare --mount) && "${in_mounts[@]}" true 2>/dev/null; } ||
	{ in_mounts=(unshare -r --mount) && "${in_mounts[@]}" true 2>/dev/null; }; then
	"${in_mounts[@]}" sh -c "$small" sh "$SLOWQUEUE" "$QFWATCH" doctor -c "$POLICY" --root "$ROOT" --json >"$T/doctor.json" 2>"$T/doctor.err"
	CODE=$?
	finds "a full disk" "disk-full file-systems" "0B free"
else
	TESTED="$TESTED disk-full "
fi

sound
echo 4 >"$PROC/sys/fs/inotify/max_user_watches"
doctor
finds "too few watches" watches "max_user_watches is 4"

sound
rm -r "$PROC/77"
echo 2 >"$PROC/sys/fs/inotify/max_user_instances"
for pid in 301 302; do
	fake_process "$pid" other other
	ln -s anon_inode:inotify "$PROC/$pid/fd/3"
done
doctor
finds "no inotify instance left" "instances no-daemon" "his processes have 2"

sound
echo 100 >"$PROC/sys/fs/inotify/max_queued_events"
doctor
finds "a short queue of notifications" event-queue "max_queued_events is 100"
echo 4000000 >"$PROC/sys/fs/inotify/max_queued_events"
doctor
finds "an endless queue of notifications" event-queue

TESTED="${TESTED}daemon-trouble " # below, with a real one
while read -r id _; do
	case $TESTED in
	*" $id "*) ;;
	*) fail "every finding has its test" "none for $id" ;;
	esac
done <"$T/findings"

# ---- nothing is changed, whatever it meets ---------------------------------------------------------------------------------

sound
printf '\1\n\377Q: runner@ for \n' >"$PROC/101/cmdline"
printf 'sendmail: Queue runner@99999999999:1 for /' >"$PROC/102/cmdline"
head -c 70000 /dev/urandom >"$ROOT/etc/crontab"
head -c 70000 /dev/urandom >"$ROOT/etc/systemd/system/x.service"
head -c 70000 /dev/urandom >"$ROOT/run/x.pid"
mkfifo "$ROOT/run/sendmail/y.pid" "$ROOT/etc/cron.d/fifo"
odd=$QUEUE/$(printf 'qf\033[31m"\\\377')
echo garbage >"$odd"
touch -d '1 hour ago' "$odd"
find "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE" ! -type d -printf '%p %T@ %C@ %m\n' | sort >"$T/before"
doctor
find "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE" ! -type d -printf '%p %T@ %C@ %m\n' | sort >"$T/after"
finds "a hostile installation" refused-qf
is "a hostile installation: the report is JSON" "$("$TOOLS/jsonq" "$T/doctor.json" /sound)" false
is "nothing is changed" "$(diff "$T/before" "$T/after")" ""

# ---- a real sendmail and a real daemon ---------------------------------------------------------------------------------------

sound
sendmail_begin
sed -i '/^DS/d' "$T/mail/sendmail.cf"
printf 'O Timeout.queuereturn=8d\n' >>"$T/mail/sendmail.cf"
rm -f "$QUEUE"/* "$MIDQUEUE"/* "$SLOWQUEUE"/*
policy_write "$RULES" '"allow_delete": true, "listen": "unix:'"$T"'/http.sock",'
daemon_start
export -f sendmail
export T
for runner in "$QUEUE 1m" "$MIDQUEUE 30m" "$SLOWQUEUE 90m"; do
	# shellcheck disable=SC2086
	set -- $runner
	# shellcheck disable=SC2016
	start "$T/sendmail.out" "$T/sendmail.out" bash -c 'sendmail "-OQueueDirectory=$0" "-OPidFile=$0.pid" "-q$1"' "$1" "$2"
done
runners_are_there() {
	[ -s "$QUEUE.pid" ] && [ -s "$MIDQUEUE.pid" ] && [ -s "$SLOWQUEUE.pid" ]
}
must wait_until 20 runners_are_there
# They have left our process groups for sessions of their own: to be ended with the rest.
for runner in "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"; do
	STARTED+=("$(head -n 1 "$runner.pid")")
done
# real [ARGUMENTS...]: what doctor finds here, but for what may be so on this machine
real() {
	"$QFWATCH" doctor -c "$POLICY" --sendmail-cf "$T/mail/sendmail.cf" --json "$@" >"$T/doctor.json" 2>"$T/doctor.err"
	CODE=$?
	ids | sed -E 's/(no-notifications|watches|event-queue|file-systems|disk-full) //g'
}
real_is_sound() {
	[ -z "$(real)" ]
}
ok "a real sendmail, a real daemon: nothing is found" wait_until 20 real_is_sound
matches "it sees the runners' intervals" "$("$TOOLS/jsonq" "$T/doctor.json" /checked)" "*tier QUEUE: its queue is run every 1m*tier MIDQUEUE: its queue is run every 30m*tier SLOWQUEUE: its queue is run every 1h30m*"
matches "it sees which lock sendmail takes" "$("$TOOLS/jsonq" "$T/doctor.json" /checked)" "*sendmail locks with flock*"
matches "it asks the daemon" "$("$TOOLS/jsonq" "$T/doctor.json" /checked)" "*the daemon's own report*"
mv "$MIDQUEUE" "$T/MIDQUEUE.away"
finds_trouble() {
	[ "$(real)" = "daemon-trouble tier-missing " ] && grep -q 'tier-lost: tier MIDQUEUE is lost' "$T/doctor.json"
}
ok "a tier goes away: the daemon says so, too" wait_until 20 finds_trouble
mv "$T/MIDQUEUE.away" "$MIDQUEUE"
ok "a tier comes back" wait_until 20 real_is_sound
# What is right, but cannot be done: somebody else has that port.
sed -i 's|"listen": "[^"]*"|"listen": "127.0.0.1:'"$SINK_PORT"'"|' "$POLICY"
finds_old_policy() {
	[ "$(real)" = "old-policy " ]
}
ok "the daemon refuses a policy: that is found" wait_until 20 finds_old_policy
policy_write "$RULES" '"allow_delete": true, "listen": "unix:'"$T"'/http.sock",'
ok "and that it took the next one" wait_until 20 real_is_sound
kill "$(head -n 1 "$MIDQUEUE.pid")"
finds_no_runner() {
	[ "$(real)" = "no-queue-runner " ]
}
ok "a runner ends: that is found" wait_until 20 finds_no_runner
# Somebody who may not even look into the tiers.
if [ "$(id -u)" -eq 0 ]; then
	chmod 0755 "$T" "$T/run"
	cp "$QFWATCH" "$T/qfwatch"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$T/qfwatch" doctor -c "$POLICY" --json >"$T/doctor.json"
	ok "a user without rights does not miss the daemon" not grep -q no-daemon "$T/doctor.json"
	matches "but says what he could not see" "$("$TOOLS/jsonq" "$T/doctor.json" /unchecked)" "*messages of tier QUEUE: this user may not read*"
	chmod 0700 "$T"
fi
daemon_stop KILL
is "the daemon is killed: that is found" "$(real)" "no-daemon no-queue-runner "
e2e_end
