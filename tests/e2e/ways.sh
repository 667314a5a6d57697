# shellcheck shell=bash disable=SC2034
# ways.sh - for the tests that break into each way of moving: one message in a spool of its own for each way, to be laid,
# moved, interrupted, looked at, as often as it takes. Comes after lib.sh. interrupt.c and tiers.c say what they do.
#
# A way's spool is $W: tiers SOURCE and TARGET, one message in kept/, the policy, and the daemon's lock files in run/, which
# stay from one run to the next as they do on a machine.

MESSAGE=aBcDeF012345

# ways_begin: e2e_begin, in a mount namespace of its own where that is possible: it holds the other file system.
ways_begin() {
	if [ -z "${WAYS_NAMESPACE:-}" ]; then
		if unshare --mount true 2>/dev/null; then
			WAYS_NAMESPACE=root exec unshare --mount --propagation private "$0" "$@"
		elif unshare --map-root-user --mount true 2>/dev/null; then
			WAYS_NAMESPACE=user exec unshare --map-root-user --mount --propagation private "$0" "$@"
		fi
		WAYS_NAMESPACE=none
	fi
	e2e_begin
	rmdir "$T"/[A-Z]*
	if ! "$TOOLS/interrupt" -o "$T/report" true; then
		echo "ok - # skip: ptrace may not be used here"
		e2e_end
	fi
	OTHER=
	if [ "$WAYS_NAMESPACE" != none ] && mkdir "$T/other" && mount -t tmpfs -o size=64m qfwatch-test "$T/other"; then
		trap ways_cleanup EXIT
		OTHER=$T/other
	else
		echo "ok - # skip: across file systems: nothing may be mounted here"
	fi
	WAYS="link split hidden"
	if [ "$WAYS_NAMESPACE" = root ] && [ "$(cat /proc/sys/fs/protected_hardlinks)" = 1 ]; then
		WAYS="$WAYS user"
	else
		echo "ok - # skip: links refused by fs.protected_hardlinks: that takes another user and the sysctl"
	fi
	WAYS="$WAYS${OTHER:+ copy big back} delete"
}

# shellcheck disable=SC2317
ways_cleanup() {
	local status=$?
	umount -l "$T/other"
	(exit "$status")
	e2e_cleanup
}

# way_begin WAY: makes its spool and sets W, SOURCE, TARGET, GOAL (where the message belongs), AS (what qfwatch is run
# by) and MORE (what goes into every run of interrupt).
#   link    in one file system, flat tiers
#   split   the same, folders qf, df, xf
#   hidden  the same, but link is refused
#   user    the same, refused by the kernel: as a user who does not own the files
#   copy    to another file system, flat tiers (copy.SOMETHING: the same in a spool of its own)
#   big     the same, with a body of 3 MiB
#   back    from the other file system, folders qf, df, xf
#   delete
way_begin() {
	local then='"move": "TARGET"' lines=20
	W=$T/$1 SOURCE=$T/$1/SOURCE TARGET=$T/$1/TARGET AS=() MORE=()
	GOAL=$TARGET
	case $1 in
	copy* | big) TARGET=$OTHER/$1 GOAL=$TARGET ;;
	back) SOURCE=$OTHER/$1 ;;
	hidden) MORE=(-f linkat=EPERM) ;;
	user) AS=(setpriv --reuid=65534 --regid=65534 --clear-groups) ;;
	delete) then='"delete": true' GOAL=none ;;
	esac
	[ "$1" != big ] || lines=160000
	mkdir "$W" "$W/kept" "$W/run" "$W/out" "$SOURCE" "$TARGET"
	case $1 in
	split | back) mkdir "$SOURCE"/{qf,df,xf} "$TARGET"/{qf,df,xf} ;;
	esac
	POLICY=$W/policy.json EVENTS=$W/out/events.json REPORT=$W/report
	export RUNTIME_DIRECTORY=$W/run
	make_body "$W/kept/df$MESSAGE" "$lines"
	# shellcheck disable=SC2016
	printf '%s\n' V8 "T$(($(date +%s) - 7 * 86400))" "K$(($(date +%s) - 60))" N3 P30120 'Mhost down' Fs8 '$_localhost' \
		'$rESMTP' 'Ssender@example.test' 'RPFD:somebody@example.net' $'H?P?Return-Path: <\201g>' \
		'H??Subject: a message' . >"$W/kept/qf$MESSAGE"
	touch -d '1 hour ago' "$W/kept"/*
	chmod 0640 "$W/kept"/*
	cat >"$POLICY" <<-END
		{
		  "version": 1,
		  "tiers": [ { "name": "SOURCE", "directory": "$SOURCE" }, { "name": "TARGET", "directory": "$TARGET" } ],
		  "rules": [ { "tier": "SOURCE", "when": { "attempts": 3 }, "then": { $then } } ],
		  "allow_delete": true,
		  "events": { "sinks": [ { "type": "file", "path": "$EVENTS" } ] }
		}
	END
	if [ "$1" = user ]; then
		chmod 0711 "$T"
		cp "$QFWATCH" "$W/qfwatch"
		QFWATCH=$W/qfwatch
		chown root:65534 "$SOURCE" "$TARGET" "$W/kept"/*
		chmod 2770 "$SOURCE" "$TARGET"
		chown 65534:65534 "$W/run" "$W/out"
	fi
}

# way_lay: the message stands in SOURCE, nothing else of it anywhere, and no daemon has been here.
way_lay() {
	rm -f "$W/run"/* "$W/out"/*
	"$TOOLS/tiers" clear "$SOURCE" "$TARGET" && "$TOOLS/tiers" lay "$W/kept" "$MESSAGE" "$SOURCE"
}

# way_interrupt ARGUMENTS-OF-INTERRUPT...: one pass, broken into.
way_interrupt() {
	"$TOOLS/interrupt" -o "$REPORT" "${MORE[@]}" "$@" "${AS[@]}" "$QFWATCH" run --once -c "$POLICY" >>"$W/out/once" 2>&1
}

# way_run: one pass, left alone, with events of its own. Where link is refused by us, it still is.
way_run() {
	rm -f "$EVENTS"
	if [ ${#MORE[@]} -eq 0 ]; then
		"${AS[@]}" timeout 60 "$QFWATCH" run --once -c "$POLICY" >>"$W/out/once" 2>&1
	else
		way_interrupt && [ "$(cat "$REPORT")" = "exited 0" ]
	fi
}

way_instant() {
	"$TOOLS/tiers" instant "$W/kept" "$MESSAGE" "$SOURCE" "$TARGET"
}

way_deliver() {
	"$TOOLS/tiers" deliver "$MESSAGE" "$SOURCE" "$TARGET"
}

way_is_clean() {
	"$TOOLS/tiers" is-clean "$W/kept" "$MESSAGE" "$SOURCE" "$TARGET" >/dev/null
}

# way_settled WHERE
way_settled() {
	"$TOOLS/tiers" settled "$W/kept" "$MESSAGE" "$1" "$SOURCE" "$TARGET"
}

# way_files: what stands in both tiers, in one line.
way_files() {
	(cd "$SOURCE" && echo S: && find . ! -type d | sort && cd "$TARGET" && echo T: && find . ! -type d | sort) | tr '\n' ' '
}

# each_way FUNCTION: for every way, some at a time, in a shell of its own; what it prints goes to $T/WAY.result.
each_way() {
	local way
	for way in $WAYS; do
		while [ "$(jobs -rp | wc -l)" -ge "${WAYS_JOBS:-4}" ]; do
			wait -n
		done
		(
			trap - EXIT
			way_begin "$way"
			"$1" "$way"
		) >"$T/$way.result" &
	done
	wait
}
