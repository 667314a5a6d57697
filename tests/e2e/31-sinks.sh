#!/bin/bash
# takes: 60
# Events to everything at once: a FIFO, Unix sockets, syslog, a journal, a file that rotates itself, a file that is rotated, a
# disk that is full. Nobody reads for a while: the moves go on, and nothing is missing but what is announced.
. "$(dirname "$0")/lib.sh"

# Mounts of its own, where that is allowed: for a small disk.
if [ -z "${IN_NAME_SPACE:-}" ] && [ "$(id -u)" -eq 0 ] && unshare --mount --propagation private \
	sh -c 'mount -t tmpfs none /mnt' 2>/dev/null; then
	IN_NAME_SPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi
e2e_begin
# Thousands of messages: not to be listed with every failure.
tier_listing() {
	echo "$(files_in "$QUEUE") files in QUEUE, $(files_in "$MIDQUEUE") in MIDQUEUE"
}
ulimit -n 4096
LISTENER=$TOOLS/listener
SECOND_RULE='{ "name": "three attempts", "tier": "QUEUE", "when": { "attempts": 3 }, "then": { "move": "MIDQUEUE" } }'
mkdir -m 0700 "$T/outside" "$T/small" "$T/got" "$T/rotated"
NEXT=1

# messages COUNT: that many stand in QUEUE, due.
messages() {
	must "$LISTENER" --messages "$T/outside" "$1" "$NEXT" "$QUEUE"
	NEXT=$((NEXT + $1))
}

# listen NAME KIND ADDRESS: in the background; reads while $T/stop.NAME does not exist, into $T/got/NAME.
listen() {
	start "$T/listener.out" "$T/listener.out" "$LISTENER" "$2" "$3" "$T/got/$1" "$T/stop.$1"
}

# ends_with_stopped FILE
ends_with_stopped() {
	tail -n 1 "$1" | grep -q '"action":"stopped"'
}

# accounted WHAT FILE...: nothing is missing but what is announced; how many are in $DROPPED.
accounted() {
	local what=$1 found
	shift
	if found=$("$LISTENER" --judge "$@" 2>&1); then
		DROPPED=${found##* }
		pass "$what: nothing is missing but what is announced ($DROPPED)"
	else
		DROPPED=-1
		fail "$what: nothing is missing but what is announced" "$found"
	fi
}

must mkfifo -m 0600 "$T/fifo"
touch "$T/stop.tcp" # it accepts and never reads
listen fifo fifo "$T/fifo"
listen stream stream "$T/stream.sock"
listen filtered stream "$T/filtered.sock"
listen datagram datagram "$T/datagram.sock"
listen log datagram "$T/log.sock"
listen journal datagram "$T/journal.sock"
listen tcp tcp "$T/tcp.port"
listen udp udp "$T/udp.port"
must wait_until 5 test -s "$T/tcp.port" -a -s "$T/udp.port"
for socket in stream filtered datagram log journal; do
	must wait_until 5 test -S "$T/$socket.sock"
done

small=
if [ -n "${IN_NAME_SPACE:-}" ]; then
	must mount -t tmpfs -o mode=0700,size=512k none "$T/small"
	small="{ \"type\": \"file\", \"path\": \"$T/small/events\" },"
fi
policy_text "$SECOND_RULE" | sed '/"events":/d' >"$POLICY.new"
# The closing brace comes again below.
sed -i '$d' "$POLICY.new"
# By UDP no more than a receiver that sleeps meanwhile can be left: what is more is lost, and nobody is told.
cat >>"$POLICY.new" <<-END
	  "events": {
	    "include": ["*"],
	    "sinks": [
	      $small
	      { "type": "file", "path": "$EVENTS" },
	      { "type": "file", "path": "$T/rotated/events", "max_bytes": "256KiB", "keep": 1000 },
	      { "type": "fifo", "path": "$T/fifo", "buffer": "64KiB" },
	      { "type": "unix", "path": "$T/stream.sock", "buffer": "64KiB" },
	      { "type": "unix", "path": "$T/filtered.sock", "exclude": ["*"], "include": ["message-moved", "stopped"],
	        "buffer": "64MiB" },
	      { "type": "unix", "path": "$T/datagram.sock", "mode": "datagram", "buffer": "64KiB" },
	      { "type": "syslog", "address": "unix:$T/log.sock", "buffer": "64MiB" },
	      { "type": "syslog", "address": "udp:localhost:$(cat "$T/udp.port")", "exclude": ["*"], "include": ["message-moved"] },
	      { "type": "syslog", "address": "tcp:127.0.0.1:$(cat "$T/tcp.port")", "buffer": "64KiB" },
	      { "type": "journal", "path": "$T/journal.sock", "buffer": "64MiB" }
	    ]
	  }
	}
END
mv "$POLICY.new" "$POLICY"
daemon_start

# All that read.
messages 100
ok "100 messages move" wait_until 10 is_empty "$QUEUE"
for name in fifo stream filtered datagram log journal udp; do
	ok "the sink $name has the last of them" wait_until 10 grep -qs "moved 6AMHKFCA000100 " "$T/got/$name"
done

# Nobody reads, the disk is full. Two rotations of the file meanwhile.
touch "$T/stop.fifo" "$T/stop.stream" "$T/stop.datagram"
[ -z "$small" ] || head -c 1m /dev/zero >"$T/small/ballast" 2>/dev/null
messages 3000
mv "$EVENTS" "$EVENTS.1"
daemon_signal HUP
messages 3000
must wait_until 10 test -e "$EVENTS"
mv "$EVENTS" "$EVENTS.2"
daemon_signal HUP
messages 3000
since=$(now_ms)
ok "9000 messages move while nobody reads" wait_until 20 is_empty "$QUEUE"
at_most "in milliseconds after the last has come" $(($(now_ms) - since)) 20000
is "all of them" "$(files_in "$MIDQUEUE")" 18200
daemon_signal USR1
ok "the daemon knows that events were lost" wait_until 10 grep -qsE '[1-9][0-9]* events dropped' "$T/daemon.err"

# They read again, the disk has room again.
rm "$T"/stop.*
if [ -n "$small" ]; then
	rm "$T/small/ballast"
	must mount -o remount,size=64m "$T/small"
	daemon_signal HUP
fi
messages 10
ok "the last messages move" wait_until 10 is_empty "$QUEUE"
# With a stop the daemon waits for those who take their time, but not for long.
for name in fifo stream datagram tcp filtered log journal; do
	ok "the sink $name goes on" wait_until 20 grep -qs 'moved 6AMHKFCA009110 ' "$T/got/$name"
done
[ -z "$small" ] || ok "the disk takes events again" wait_until 10 grep -qs 'moved 6AMHKFCA009110 ' "$T/small/events"
daemon_stop
is "the daemon ends well" "$DAEMON_STATUS" 0

for name in fifo stream datagram tcp; do
	ok "the sink $name ends with the end" wait_until 20 ends_with_stopped "$T/got/$name"
	accounted "the sink $name" "$T/got/$name"
	ok "and it has lost some" test "$DROPPED" -gt 0
done
for name in filtered log journal; do
	ok "the sink $name ends with the end" wait_until 20 ends_with_stopped "$T/got/$name"
	accounted "the sink $name" "$T/got/$name"
	is "and it has lost none" "$DROPPED" 0
done
is "the filter lets moves through, and the end" "$("$TOOLS/jsonq" "$T/got/filtered" /event/action | sort | uniq -c |
	awk '{ print $1, $2 }' | tr '\n' ' ')" "9110 message-moved 1 stopped "
if [ -n "$small" ]; then
	accounted "the full disk" "$T/small/events"
	ok "and it has lost some" test "$DROPPED" -gt 0
fi
accounted "the file rotated by rename and SIGHUP" "$EVENTS.1" "$EVENTS.2" "$EVENTS"
is "and it has lost none" "$DROPPED" 0
mapfile -t rotated < <(find "$T/rotated" -name 'events.*' | sort -V -r)
accounted "the file that rotates itself" "${rotated[@]}" "$T/rotated/events"
is "and it has lost none" "$DROPPED" 0
ok "it has rotated often" test "${#rotated[@]}" -gt 10
is "and none of the files is too large" "$(find "$T/rotated" -size +256k | wc -l)" 0
is "each event has the same id everywhere" "$("$TOOLS/jsonq" -a message-moved "$T/got/filtered" /event/id | sort | md5sum)" \
	"$(cat "$EVENTS.1" "$EVENTS.2" "$EVENTS" | "$TOOLS/jsonq" -a message-moved - /event/id | sort | md5sum)"
[ -z "$small" ] || umount "$T/small"
e2e_end
