#!/bin/bash
# takes: 90
# What a spool may hold that nobody vouches for: each case has a name and what must happen to it. Nothing outside is touched,
# nothing makes the daemon wait, crash or run in circles, and the sound messages among it all move.
# Once more with the sanitizers, if build/hostile-asan/qfwatch is there, or QFWATCH_ASAN=1 to make it.
# shellcheck disable=SC2016
. "$(dirname "$0")/lib.sh"
e2e_begin
# shellcheck disable=SC2154
trap 'status=$?; chattr -i "$QUEUE"/?fimmutable* 2>/dev/null; rm -rf "${OTHER:-}"; (exit $status); e2e_cleanup' EXIT
ROOT=$(id -u)
TOOL=$TOOLS/hostile
OUTSIDE=$T/outside
NOW=$(date +%s)
NOBODY=65534
RULE='{ "name": "three attempts", "tier": "QUEUE", "when": { "attempts": 3 }, "then": { "move": "MIDQUEUE" } }'
WHERE=$QUEUE # where cases are made
names=()     # of the cases
declare -A ids wants reasons shown prints

# ---- making ------------------------------------------------------------------------------------------------------------

# case_of NAME ID WANT [REASON]: WANT is moved, refused (with this reason, a pattern, and left as it was), failed (the same,
# with move-failed), or stays (no trouble, but not due). The id is told as shown[NAME], if that is set.
case_of() {
	names+=("$1")
	ids[$1]=$2
	wants[$1]=$3
	reasons[$1]=${4:-}
}

# qf [LINE...]: a sound one that is due, with more lines before its end.
qf() {
	printf 'V8\nT%d\nK%d\nN3\nP30000\nI8/1/12345\nFs\n$_localhost\n' $((NOW - 600)) $((NOW - 60))
	[ $# -eq 0 ] || printf '%s\n' "$@"
	printf 'Ssender@example.test\nRPFD:<a@example.net>\nH?P?Return-Path: <\x81g>\nH??Subject: a message\n.\n'
}

# body ID
body() {
	printf 'the body of %q\n' "$1" >"$WHERE/df$1"
}

# sound NAME ID: it must move.
sound() {
	case_of "$1" "$2" moved
	body "$2"
	qf >"$WHERE/qf$2"
}

# edited NAME WANT REASON SED-SCRIPT: a message whose qf differs from a sound one.
edited() {
	case_of "$1" "$1" "$2" "$3"
	body "$1"
	qf | sed "$4" >"$WHERE/qf$1"
}

# placed NAME REASON: a due message, refused, of which the caller changes something.
placed() {
	case_of "$1" "$1" refused "$2"
	body "$1"
	qf >"$WHERE/qf$1"
}

# odd NAME REASON: a body; the caller puts something else in the place of its qf.
odd() {
	case_of "$1" "$1" refused "$2"
	body "$1"
}

repeat() {
	head -c "$1" /dev/zero | tr '\0' "$2"
}

# ---- looking -------------------------------------------------------------------------------------------------------------

outside_print() {
	find "$OUTSIDE" -printf '%p %y %i %m %U %G %n %s %T@ %C@\n' | sort
	find "$OUTSIDE" -type f -exec sha256sum {} + | sort
}

# print_of ID: of its qf and df, all but the time of change, which a rename away and back would set.
print_of() {
	stat -c '%F %i %a %u %g %h %s %y' "$QUEUE/qf$1" "$QUEUE/df$1" 2>&1 | tr -d '\0'
}

# told NAME ACTION: how many such events about it.
told() {
	count_events "$2" "/email/local_id=${shown[$1]-${ids[$1]}}"
}

# told_reason NAME ACTION
told_reason() {
	events -a "$2" -w "/email/local_id=${shown[$1]-${ids[$1]}}" -- /event/reason | head -n 1
}

is_told() {
	[ "$(told "$1" "$2")" -ge 1 ]
}

has_moved() {
	[ -f "$MIDQUEUE/qf$1" ] && [ -f "$MIDQUEUE/df$1" ] && [ ! -e "$QUEUE/qf$1" ] && [ ! -e "$QUEUE/df$1" ] &&
		[ "$(cat "$MIDQUEUE/df$1")" = "$(printf 'the body of %q' "$1")" ]
}

# judge NAME: what must happen has happened; what is found otherwise in $FOUND.
judge() {
	local id=${ids[$1]} reason
	case ${wants[$1]} in
	moved)
		FOUND="not in MIDQUEUE, or not whole; $(told_reason "$1" message-refused)"
		wait_until 10 has_moved "$id" || return 1
		FOUND="no event, or more than one"
		wait_until 10 is_told "$1" message-moved && [ "$(told "$1" message-moved)" = 1 ]
		;;
	refused | failed)
		local action=message-refused
		[ "${wants[$1]}" = refused ] || action=move-failed
		FOUND="no event $action"
		wait_until 10 is_told "$1" $action || return 1
		reason=$(told_reason "$1" $action)
		FOUND="reason: $reason"
		# shellcheck disable=SC2053
		[[ $reason == ${reasons[$1]} ]] || return 1
		FOUND="changed: ${prints[$1]} -> $(print_of "$id")"
		[ "$(print_of "$id")" = "${prints[$1]}" ]
		;;
	stays)
		FOUND="there was no scan"
		wait_until 10 has_event resynced || return 1
		FOUND="refused, moved or changed"
		[ "$(told "$1" message-refused)$(told "$1" message-moved)$(told "$1" move-failed)" = 000 ] &&
			[ "$(print_of "$id")" = "${prints[$1]}" ]
		;;
	esac
}

judge_all() {
	local name
	for name in "${names[@]}"; do
		if judge "$name"; then
			pass "$CASES$name: ${wants[$name]}"
		else
			fail "$CASES$name: ${wants[$name]}" "$FOUND"
		fi
	done
}

cpu_ticks() {
	local line
	read -r line <"/proc/$1/stat"
	# shellcheck disable=SC2086
	set -- ${line##*) }
	echo $((${12} + ${13}))
}

# is_calm WHAT PID: what cannot be moved is not tried without end. A moment without work is what counts.
is_calm() {
	local before
	calm() {
		before=$(cpu_ticks "$1")
		! wait_until 1 false && [ $(($(cpu_ticks "$1") - before)) -le 20 ]
	}
	ok "$1" wait_until 30 calm "$2"
}

# ---- 1. everything in one spool --------------------------------------------------------------------------------------

mkdir -p "$OUTSIDE/folder"
qf >"$OUTSIDE/qf"
echo secret >"$OUTSIDE/secret"
echo body >"$OUTSIDE/df"
echo inside >"$OUTSIDE/folder/file"
qf >"$OUTSIDE/linked-qf"
echo linked >"$OUTSIDE/linked-df"
: >"$OUTSIDE/null"

# What is not a file.
odd qf-symlink-outside '*symbolic link' && ln -s "$OUTSIDE/qf" "$QUEUE/qfqf-symlink-outside"
odd qf-symlink-inside '*symbolic link' && ln -s qfplain "$QUEUE/qfqf-symlink-inside"
odd qf-symlink-folder '*symbolic link' && ln -s "$OUTSIDE/folder" "$QUEUE/qfqf-symlink-folder"
odd qf-symlink-itself '*symbolic link' && ln -s qfqf-symlink-itself "$QUEUE/qfqf-symlink-itself"
odd qf-symlink-dangling '*symbolic link' && ln -s "$OUTSIDE/none" "$QUEUE/qfqf-symlink-dangling"
odd qf-symlink-proc '*symbolic link' && ln -s /proc/self/mem "$QUEUE/qfqf-symlink-proc"
odd qf-fifo '*FIFO' && mkfifo "$QUEUE/qfqf-fifo"
odd qf-socket '*socket' && (cd "$QUEUE" && must "$TOOL" socket qfqf-socket)
odd qf-directory '*directory' && mkdir "$QUEUE/qfqf-directory"
odd qf-directory-full '*directory' && mkdir "$QUEUE/qfqf-directory-full" && qf >"$QUEUE/qfqf-directory-full/qfinner"
if [ "$ROOT" -eq 0 ] && mknod "$QUEUE/qfqf-null" c 1 3 2>/dev/null; then
	odd qf-null '*device'
	odd qf-zero '*device' && mknod "$QUEUE/qfqf-zero" c 1 5
	odd qf-full '*device' && mknod "$QUEUE/qfqf-full" c 1 7
	odd qf-tty '*device' && mknod "$QUEUE/qfqf-tty" c 5 0
	odd qf-block '*device' && mknod "$QUEUE/qfqf-block" b 7 200
else
	echo "# skipped: devices (needs root)"
fi

# Links and bodies.
odd qf-linked-outside '*more than one link' && ln "$OUTSIDE/linked-qf" "$QUEUE/qfqf-linked-outside"
odd qf-linked-inside '*more than one link' && qf >"$QUEUE/qfqf-linked-inside" &&
	ln "$QUEUE/qfqf-linked-inside" "$QUEUE/other-name"
placed df-linked-outside '*another link*' && ln -f "$OUTSIDE/linked-df" "$QUEUE/dfdf-linked-outside"
placed df-symlink '*not a regular file' && ln -sf "$OUTSIDE/df" "$QUEUE/dfdf-symlink"
placed df-symlink-dangling '*not a regular file' && ln -sf "$OUTSIDE/none" "$QUEUE/dfdf-symlink-dangling"
placed df-directory '*not a regular file' && rm "$QUEUE/dfdf-directory" && mkdir "$QUEUE/dfdf-directory"
placed df-fifo '*not a regular file' && rm "$QUEUE/dfdf-fifo" && mkfifo "$QUEUE/dfdf-fifo"
placed df-socket '*not a regular file' && rm "$QUEUE/dfdf-socket" && (cd "$QUEUE" && must "$TOOL" socket dfdf-socket)
placed df-missing '*df is missing' && rm "$QUEUE/dfdf-missing"
placed df-elsewhere '*d line*' && qf "d$OUTSIDE" >"$QUEUE/qfdf-elsewhere"
placed df-same-as-qf '*link*' && ln -f "$QUEUE/qfdf-same-as-qf" "$QUEUE/dfdf-same-as-qf"

# The name is taken in the target.
placed target-has-qf '*already has that qf' && echo other >"$MIDQUEUE/qftarget-has-qf"
placed target-has-df '*already has that df' && echo other >"$MIDQUEUE/dftarget-has-df"
placed target-has-folder-qf '*already has that qf' && mkdir "$MIDQUEUE/qftarget-has-folder-qf"
placed target-has-folder-df '*already has that df' && mkdir "$MIDQUEUE/dftarget-has-folder-df"
placed target-has-symlink-qf '*already has that qf' && ln -s "$OUTSIDE/none" "$MIDQUEUE/qftarget-has-symlink-qf"
placed target-has-symlink-df '*already has that df' && ln -s "$OUTSIDE/df" "$MIDQUEUE/dftarget-has-symlink-df"

# Names.
sound plain plain
sound name-one-byte X
sound name-dot .
sound name-two-dots ..
sound name-255-bytes "$(repeat 253 L)"
sound name-254-bytes "$(repeat 252 M)"
sound name-dash -rf
sound name-two-dashes --help
sound name-space ' two  words '
sound name-quotes "it's \"quoted\" \`so\`"
sound name-backslash 'back\slash\n'
sound name-newline $'new\nline'
sound name-tab $'tab\there'
sound name-control $'\001\033[31m\177\r'
sound name-format '%s%n%d%99999d'
sound name-glob '*?[a]'
sound name-variable '$HOME$(id);id'
sound name-utf8 $'\303\244\342\202\254'
sound name-json '","event":{"action":"x"},"'
sound name-double "qf" # qfqf
sound name-invalid-utf8 $'bad\377\300\257'
shown[name-invalid-utf8]=$'bad\357\277\275\357\277\275\357\277\275'
sound name-cut-utf8 $'cut\342\202'
shown[name-cut-utf8]=$'cut\357\277\275\357\277\275'
if is_long=$(repeat 253 $'\001') && : >"$QUEUE/qf$is_long"; then
	rm "$QUEUE/qf$is_long"
	sound name-255-control-bytes "$is_long"
	shown[name-255-control-bytes]=${is_long:0:63} # cut: 380 bytes as they are written
fi

# Contents.
edited numbers-largest moved '' 's/^N3/N4294967295/'
edited numbers-too-large refused '*N line*' 's/^N3/N4294967296/'
edited numbers-far-too-large refused '*N line*' "s/^N3/N$(repeat 5000 9)/"
edited numbers-plus refused '*N line*' 's/^N3/N+3/'
edited numbers-minus refused '*N line*' 's/^N3/N-3/'
edited numbers-blank refused '*N line*' 's/^N3/N 3/'
edited numbers-blank-after refused '*N line*' 's/^N3/N3 /'
edited numbers-hex refused '*N line*' 's/^N3/N0x3/'
edited numbers-none refused '*N line*' 's/^N3/N/'
edited numbers-nul refused '*N line*' 's/^N3/N3\x00/'
edited numbers-zeros moved '' 's/^N3/N0000000003/'
edited no-numbers refused '*no N line*' '/^N/d'
edited no-time refused '*no T line*' '/^T/d'
edited time-0 refused '*T line*' 's/^T.*/T0/'
edited time-negative refused '*T line*' 's/^T/T-/'
edited time-future moved '' 's/^T.*/T4294967295/'
edited time-future-not-due stays '' 's/^T.*/T4294967295/;s/^N3/N0/'
edited time-too-late refused '*T line*' 's/^T.*/T4294967296/'
edited attempt-garbage refused '*K line*' 's/^K.*/Kgarbage/'
edited attempt-future moved '' 's/^K.*/K4294967295/'
edited no-attempt moved '' '/^K/d'
edited twice-N refused '*two T, K or N*' 's/^N3/N3\nN3/'
edited twice-N-other refused '*two T, K or N*' 's/^N3/N0\nN3/'
edited twice-T refused '*two T, K or N*' 's/^\(T.*\)/\1\n\1/'
edited twice-K refused '*two T, K or N*' 's/^\(K.*\)/\1\n\1/'
edited after-the-end refused '*goes on after*' 's/^\.$/.\nN0/'
edited after-the-end-newline refused '*goes on after*' 's/^\.$/.\n/'
edited no-end refused '*no final*' '/^\.$/d'
edited end-with-blank refused '*no final*' 's/^\.$/. /'
edited crlf refused '*no final*' 's/$/\r/'
edited crlf-but-the-end refused '*T line*' '/^\.$/!s/$/\r/'
edited nul-bytes moved '' 's/^H??Subject.*/H??Subject: \x00\x00\x00/'
edited nul-line moved '' 's/^\(H??Subject.*\)/\1\n\x00N9\x00/'
edited N-in-header moved '' 's/^\(H??Subject.*\)/\1\n\tN0\n N99/'
edited empty-lines moved '' 's/^\(N3\)/\n\n\1\n\n/'
edited recipient-hostile moved '' 's/^R.*/RPFD:<"\\@@@\x01\xff"@\x1b]\xc3\x28.example."}],>/'
edited recipient-long moved '' "s/^R.*/RPFD:<a@$(repeat 60000 d)>/"
odd only-end '*no T line*' && echo . >"$QUEUE/qfonly-end"
odd only-dot '*no T line*' && printf . >"$QUEUE/qfonly-dot"
odd only-newline '*no final*' && echo >"$QUEUE/qfonly-newline"
odd empty '*empty' && : >"$QUEUE/qfempty"
odd zeros '*no final*' && truncate -s 1M "$QUEUE/qfzeros"
odd noise '*' && head -c 300000 /dev/urandom | tr -d '\n' >"$QUEUE/qfnoise"
odd sparse-1-GiB '*larger than*' && qf >"$QUEUE/qfsparse-1-GiB" && truncate -s 1G "$QUEUE/qfsparse-1-GiB"
odd sparse-8-TiB '*larger than*' && { truncate -s 8T "$QUEUE/qfsparse-8-TiB" 2>/dev/null || truncate -s 17M "$QUEUE/qfsparse-8-TiB"; }

# large NAME BYTES WANT [REASON]: a sound qf of exactly that size.
large() {
	local size
	case_of "$1" "$1" "$3" "${4:-}"
	body "$1"
	size=$(qf "H??X-Large: " | wc -c)
	{
		qf "H??X-Large: " | sed '/^H??X-Large/q' | head -c -1
		repeat $(($2 - size)) x
		qf "H??X-Large: " | sed '1,/^H??X-Large/d' | sed '1s/^/\n/'
	} >"$QUEUE/qf$1"
	[ "$(stat -c %s "$QUEUE/qf$1")" -eq "$2" ] || fail "$1 has the wrong size"
}
large large-16-MiB $((16 * 1024 * 1024)) moved
large large-16-MiB-and-1 $((16 * 1024 * 1024 + 1)) refused '*larger than*'
large large-header-10-MiB $((10 * 1024 * 1024)) moved
case_of recipients-100000 recipients-100000 moved
body recipients-100000
{
	qf | sed '/^S/q'
	seq -f 'RPFD:<someone@domain-number-%.0f.example.org>' 1 100000
	echo .
} >"$QUEUE/qfrecipients-100000"

# Rights.
if [ "$ROOT" -eq 0 ]; then
	sound mode-0 mode-0
	chmod 0 "$QUEUE/qfmode-0" "$QUEUE/dfmode-0"
	sound other-owner other-owner
	chown $NOBODY:$NOBODY "$QUEUE/qfother-owner" "$QUEUE/dfother-owner"
	sound set-id set-id
	chmod 7777 "$QUEUE/qfset-id"
	if : >"$QUEUE/qfimmutable" && chattr +i "$QUEUE/qfimmutable" 2>/dev/null; then
		chattr -i "$QUEUE/qfimmutable"
		case_of immutable-qf immutable-qf failed '*Operation not permitted*'
		body immutable-qf
		qf >"$QUEUE/qfimmutable-qf"
		chattr +i "$QUEUE/qfimmutable-qf"
		case_of immutable-df immutable-df failed '*Operation not permitted*'
		body immutable-df
		qf >"$QUEUE/qfimmutable-df"
		chattr +i "$QUEUE/dfimmutable-df"
	else
		echo "# skipped: immutable files (not on this file system)"
	fi
	rm -f "$QUEUE/qfimmutable"
else
	echo "# skipped: owners, modes, immutable files (needs root)"
fi

# Hidden names that nobody can have made by a crash: they stay as they are, and so does what they lead to.
hidden=()
hide() { # KIND NAME
	hidden+=("$2")
	case $1 in
	file) echo x >"$QUEUE/$2" ;;
	folder) mkdir "$QUEUE/$2" && echo x >"$QUEUE/$2/inside" ;;
	fifo) mkfifo "$QUEUE/$2" ;;
	socket) (cd "$QUEUE" && must "$TOOL" socket "$2") ;;
	link) ln -s "$OUTSIDE/secret" "$QUEUE/$2" ;;
	esac
}
hide file .qfwatch-
hide file .qfwatch-other-A1
for kind in delete got qf df; do
	hide file ".qfwatch-$kind-"
done
for kind in move sent; do
	hide file ".qfwatch-$kind-"
	hide file ".qfwatch-$kind--A2"
	hide file ".qfwatch-$kind-12ab"
	hide file ".qfwatch-$kind-12ab-"
	hide file ".qfwatch-$kind-xyz-A3"
	hide file ".qfwatch-$kind-12AB-A4"
	hide file ".qfwatch-$kind-0123456789abcdef0-A5"
	hide file ".qfwatch-$kind-1-A6" # well-formed, but nothing of it is anywhere
	hide folder ".qfwatch-$kind-1-A7"
	hide fifo ".qfwatch-$kind-1-A8"
	hide link ".qfwatch-$kind-1-A9"
done
for kind in delete got qf df; do
	hide folder ".qfwatch-$kind-B1"
	hide fifo ".qfwatch-$kind-B2"
	hide link ".qfwatch-$kind-B3"
	hide socket ".qfwatch-$kind-B4"
done
hide folder .qfwatch-got-B5
hide fifo .qfwatch-got-B6
hide link .qfwatch-got-B7
hide socket .qfwatch-got-B8
hide file .qfwatch-got-B9 # a mark that says nothing
hide folder "$(printf '.qfwatch-delete-%s' "$(repeat 239 h)")"
hide file "$(printf '.qfwatch-%s' "$(repeat 246 h)")"
hide file "$(printf '.qfwatch-move-1-%s' "$(repeat 239 h)")"
hide file "$(printf '.qfwatch-sent-1-%s' "$(repeat 239 h)")"

# Those that a crash can have left.
body left-delete && qf >"$QUEUE/.qfwatch-delete-left-delete"
sound left-move left-move
mv "$QUEUE/qfleft-move" "$QUEUE/.qfwatch-move-$(printf %x "$(stat -c %i "$QUEUE/dfleft-move")")-left-move"
sound left-copy left-copy
qf >"$MIDQUEUE/.qfwatch-qf-left-copy"
echo half >"$MIDQUEUE/.qfwatch-df-left-copy"

# Names that are no message's.
other=(qf df dfalone xfalone tfalone hfquarantined Qfgiven-up QFupper Qf q f .qf '-qf' ' qf')
for name in "${other[@]}"; do
	qf >"$QUEUE/$name"
done

# Junk.
mkdir "$T/junk" && (
	cd "$T/junk" && seq -f 'junk%.0f' 1 14000 | xargs touch && seq -f 'tf%.0f' 1 2000 | xargs touch &&
		seq -f 'xf%.0f' 1 2000 | xargs touch && seq -f '.hidden%.0f' 1 1000 | xargs touch &&
		seq -f 'Qf%.0f' 1 1000 | xargs touch && find . -type f -print0 | xargs -0 mv -t "$QUEUE"
)
rmdir "$T/junk"

others_print() {
	local name
	for name in "${hidden[@]}" "${other[@]}"; do
		stat -c '%n %F %i %h %s %y %z' "$QUEUE/$name"
	done 2>&1
	find "$QUEUE" \( -name 'junk*' -o -name 'tf*' -o -name 'xf*' -o -name '.hidden*' -o -name 'Qf*' \) -printf '%f %i %s %C@\n' |
		sort | sha256sum
}

for name in "${names[@]}"; do
	prints[$name]=$(print_of "${ids[$name]}")
done
before=$(outside_print)
others=$(others_print)
policy_write "$RULE"
CASES=
echo "# ${#names[@]} messages, $((${#hidden[@]} + ${#other[@]})) other names"
daemon_start
judge_all
saw_event 10 "left-delete: finished" message-recovered /email/local_id=left-delete
ok "left-delete: both are gone" test -z "$(find "$QUEUE" -name '*left-delete')"
ok "all was looked at" wait_until 60 has_event resynced
ok "left-copy: nothing of the copy is left" test -z "$(find "$MIDQUEUE" -name '.qfwatch-*')"
is "other names are as they were" "$(diff <(echo "$others") <(others_print))" ""
is "nothing outside is touched" "$(outside_print)" "$before"
is_calm "what cannot be moved is not tried without end" "$DAEMON"
# Those that were refused are still there, and still as they were, after another look at all.
daemon_signal HUP
ok "all is looked at again" wait_until 10 has_events 2 policy-loaded
daemon_stop
is "the daemon stops with 0" "$DAEMON_STATUS" 0
for name in "${names[@]}"; do
	case ${wants[$name]} in
	refused | failed | stays) [ "$(print_of "${ids[$name]}")" = "${prints[$name]}" ] || fail "$name: changed later" ;;
	esac
done
is "nothing outside is touched to the end" "$(outside_print)" "$before"
ok "the events are sound" events_are_sound "$EVENTS"
ok "nothing is said of a sanitizer" not grep -E 'Sanitizer|runtime error' "$T/daemon.err"
chattr -i "$QUEUE"/?fimmutable* 2>/dev/null

# ---- 2. swapped between open and lock --------------------------------------------------------------------------------

next_spool() {
	rm -rf "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	mkdir "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	names=()
	WHERE=$QUEUE
}

if strace -qq -o /dev/null true 2>/dev/null; then
	next_spool
	mkdir "$T/swapped"
	: >"$EVENTS"
	placed swapped-by-fifo '*FIFO'
	placed swapped-by-symlink '*symbolic link'
	placed swapped-by-link '*more than one link'
	placed swapped-df-by-symlink '*not a regular file'
	placed swapped-df-by-link '*another link*'
	placed swapped-df-by-fifo '*not a regular file'
	case_of swapped-by-not-due swapped-by-not-due stays
	body swapped-by-not-due
	qf >"$QUEUE/qfswapped-by-not-due"
	qf | sed 's/^N3/N0/' >"$T/swapped/file"
	# Each lock is asked for 0.8 s after its qf was opened: time enough to see it open.
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 start "$T/strace.out" "$T/daemon.err" strace -f -qq -o /dev/null \
		-e trace=flock -e inject=flock:delay_enter=800000 "$QFWATCH" run -c "$POLICY" --once
	tracer=$STARTED_PID
	# strace starts others first, to see what the kernel can do.
	traced() {
		DAEMON=$(pgrep -n -P "$tracer") && [ "/proc/$DAEMON/exe" -ef "$QFWATCH" ]
	}
	must wait_until 20 traced
	start "$T/swaps" "$T/swaps" "$TOOL" swap "$DAEMON" "$QUEUE" "$OUTSIDE" "$T/swapped"
	swapper=$STARTED_PID
	before=$(outside_print | sed '/linked-/d')
	ok "the pass under delay ends" wait_until 60 process_is_gone "$tracer"
	wait "$tracer"
	status=$?
	ok "it ends with 0 or 1" test "$status" -le 1
	ok "the swaps end" wait_until 20 process_is_gone "$swapper"
	is "all were swapped in time" "$(cat "$T/swaps")" 7
	for name in "${names[@]}"; do
		prints[$name]=$(print_of "${ids[$name]}")
	done
	judge_all
	is "nothing is in the target" "$(files_in "$MIDQUEUE")" 0
	is "nothing outside is touched by the swapped" "$(outside_print | sed '/linked-/d')" "$before"
	# The links that the test made itself are the only ones.
	rm -rf "$QUEUE" "$T/swapped"
	is "nothing outside has a new link" "$(find "$OUTSIDE" -type f -links +1)" ""
else
	echo "# skipped: swaps between open and lock (strace may not trace)"
fi
DAEMON=

# ---- 3. as another user --------------------------------------------------------------------------------------------------

as_nobody() {
	setpriv --reuid $NOBODY --regid $NOBODY --clear-groups "$@"
}

# group_spool DIRECTORY...: root's, and writable for the group of the other user.
group_spool() {
	chown 0:$NOBODY "$@" && chmod 2770 "$@"
}

if [ "$ROOT" -ne 0 ] || ! chmod 711 "$T" || ! as_nobody test -x "$QFWATCH" -a -x "$TOOL"; then
	echo "# skipped: a second user (needs root, and programs that others may run)"
else
	next_spool
	group_spool "$QUEUE" "$MIDQUEUE" "$SLOWQUEUE"
	mkdir -p "$T/theirs/run"
	EVENTS=$T/theirs/events.json
	policy_write "$RULE"
	chmod 644 "$POLICY"
	placed unreadable '*cannot be read'
	chmod 0 "$QUEUE/qfunreadable"
	for name in link-refused link-refused-2; do
		sound $name $name
	done
	placed link-refused-df-taken '*already has that df' && echo other >"$MIDQUEUE/dflink-refused-df-taken"
	placed link-refused-qf-taken '*already has that qf' && echo other >"$MIDQUEUE/qflink-refused-qf-taken"
	placed link-refused-df-symlink '*not a regular file' && ln -sf "$OUTSIDE/df" "$QUEUE/dflink-refused-df-symlink"
	placed link-refused-df-links '*another link*' && ln -f "$OUTSIDE/linked-df" "$QUEUE/dflink-refused-df-links"
	placed link-refused-df-missing '*df is missing' && rm "$QUEUE/dflink-refused-df-missing"
	chmod 0644 "$QUEUE"/qfl* "$QUEUE"/df[!l]*
	chown -R $NOBODY:$NOBODY "$T/theirs"
	before=$(outside_print)
	for name in "${names[@]}"; do
		prints[$name]=$(print_of "${ids[$name]}")
	done
	RUNTIME_DIRECTORY=$T/theirs/run start "$T/daemon.out" "$T/daemon.err" setpriv --reuid $NOBODY --regid $NOBODY \
		--clear-groups "$QFWATCH" run -c "$POLICY"
	DAEMON=$STARTED_PID
	CASES="another user: "
	judge_all
	is_calm "another user: what cannot be moved is not tried without end" "$DAEMON"
	daemon_stop
	is "another user: the daemon stops with 0" "$DAEMON_STATUS" 0
	is "another user: no hidden name is left" "$(find "$QUEUE" "$MIDQUEUE" -name '.qfwatch-*')" ""
	is "another user: nothing outside is touched" "$(outside_print)" "$before"
	ok "another user: the events are sound" events_are_sound "$EVENTS"

	# ---- 4. a second user who races ----

	echo theirs >"$OUTSIDE/theirs"
	chown $NOBODY:$NOBODY "$OUTSIDE/theirs"
	chmod 755 "$OUTSIDE" "$OUTSIDE/folder"
	# What the racer links to, by itself, changes its links and the time of change.
	race_print() {
		outside_print | sed "s|^\($OUTSIDE/theirs f [0-9]* [0-9]* [0-9]* [0-9]* \)[0-9]* \([0-9]* [^ ]*\) .*|\1\2|;/linked-df/d"
	}
	is_whole() {
		cmp -s "$MIDQUEUE/qf$1" "$T/sound-qf" && [ "$(cat "$MIDQUEUE/df$1")" = "$(printf 'the body of %q' "$1")" ] &&
			[ "$(find "$QUEUE" "$MIDQUEUE" -name "*$1" | wc -l)" -eq 2 ]
	}
	# Those that are whole stay so, when nobody races any more: asked again, it goes on where it was.
	all_whole() {
		while [ "$whole" -lt "$fed" ]; do
			is_whole "S$((whole + 1))." || return 1
			whole=$((whole + 1))
		done
	}
	all_told() {
		[ "$(events -a message-moved -- /email/local_id | grep -c '^S')" -ge "$fed" ]
	}
	# feed: another sound message, in sendmail's way.
	feed() {
		fed=$((fed + 1))
		body "S$fed." && cp "$T/sound-qf" "$QUEUE/tfS$fed." && mv "$QUEUE/tfS$fed." "$QUEUE/qfS$fed."
	}
	race() { # WHAT SECONDS
		local racers=() seed fed=0 whole=0 end=$((SECONDS + $2 + 5))
		rm -rf "$QUEUE"
		mkdir "$QUEUE"
		WHERE=$QUEUE
		group_spool "$QUEUE" "$MIDQUEUE"
		qf >"$T/sound-qf"
		EVENTS=$T/race-$1.json
		RUNTIME_DIRECTORY=$T/run
		policy_write "$RULE"
		before=$(race_print)
		daemon_start
		for seed in 1 2; do
			start "$T/race.out" "$T/race.err" setpriv --reuid $NOBODY --regid $NOBODY --clear-groups "$TOOL" race "$2" $seed \
				"$OUTSIDE" "$QUEUE" "$MIDQUEUE"
			racers+=("$STARTED_PID")
		done
		until process_is_gone "${racers[0]}" && process_is_gone "${racers[1]}"; do
			feed
			[ $SECONDS -lt $end ] || break
			wait_until 0 false
		done
		wait "${racers[@]}"
		is "race, $1: the racers end with 0" $? 0
		ok "race, $1: the daemon is alive" kill -0 "$DAEMON"
		ok "race, $1: all $fed sound messages are whole, once, in the next tier" wait_until 60 all_whole
		ok "race, $1: each move is told" wait_until 10 all_told
		ok "race, $1: each has moved once" test "$(events -a message-moved -- /email/local_id | grep -c '^S')" -eq $fed
		is "race, $1: nothing outside is touched" "$(race_print)" "$before"
		is "race, $1: what the second user may not link has one name" "$(stat -c %h "$OUTSIDE/secret")" 1
		daemon_stop
		is "race, $1: the daemon stops with 0" "$DAEMON_STATUS" 0
		ok "race, $1: no sound message under a hidden name" test -z "$(find "$QUEUE" "$MIDQUEUE" -name '.qfwatch-*-S*')"
		ok "race, $1: the events are sound" events_are_sound "$EVENTS"
		ok "race, $1: nothing is said of a sanitizer" not grep -E 'Sanitizer|runtime error' "$T/daemon.err"
		echo "# race, $1: $(awk '{ n += $1 } END { print n }' "$T/race.out") calls of the racers worked;" \
			"$(count_events message-moved) moves, $(count_events message-refused) refused, $(count_events move-failed) failed"
		: >"$T/race.out"
	}
	next_spool
	race one-file-system "${RACE_SECONDS:-8}"
	if OTHER=$(mktemp -d /dev/shm/qfwatch-e2e.XXXXXX 2>/dev/null) && chmod 711 "$OTHER" &&
		[ "$(stat -c %d "$OTHER")" != "$(stat -c %d "$T")" ]; then
		MIDQUEUE=$OTHER/MIDQUEUE
		mkdir "$MIDQUEUE"
		race two-file-systems "${RACE_SECONDS:-8}"
	else
		echo "# skipped: a race on two file systems (there is no second one)"
	fi
fi

# ---- once more, with the sanitizers --------------------------------------------------------------------------------------

if [ -z "${HOSTILE_AGAIN:-}" ]; then
	root=$(cd "$E2E/../.." && pwd)
	if [ "${QFWATCH_ASAN:-}" = 1 ]; then
		must make -s -C "$root" BUILD=build/hostile-asan SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" \
			CFLAGS="-O1 -g" build/hostile-asan/qfwatch >&2
	fi
	if [ -x "$root/build/hostile-asan/qfwatch" ] && [ "${QFWATCH_ASAN:-}" != 0 ]; then
		HOSTILE_AGAIN=1 RACE_SECONDS=${RACE_SECONDS:-8} QFWATCH=$root/build/hostile-asan/qfwatch "$0" >"$T/again.out" 2>&1
		status=$?
		sed 's/^\(ok\|not ok\) - /&sanitizers: /' "$T/again.out"
		FAILED=$((FAILED + $(grep -c '^not ok' "$T/again.out")))
		PASSED=$((PASSED + $(grep -c '^ok' "$T/again.out")))
		is "the same with the sanitizers" "$status" 0
	else
		echo "# skipped: the sanitizers (QFWATCH_ASAN=1)"
	fi
fi
e2e_end
