#!/bin/bash
# soak.sh - half an hour of churn: what the daemon takes stays flat, and no message is lost.
# usage: tests/soak.sh
# SOAK_SECONDS (1800) says how long. As root MIDQUEUE is another file system, so that messages are copied too.
# BUILD (build) says where the programs are: `make programs` makes them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/e2e/lib.sh"
seconds=${SOAK_SECONDS:-1800}

if [ -z "${IN_NAME_SPACE:-}" ] && [ "$(id -u)" -eq 0 ] && unshare --mount --propagation private \
	sh -c 'mount -t tmpfs none /mnt' 2>/dev/null; then
	IN_NAME_SPACE=1 exec unshare --mount --propagation private "$0" "$@"
fi

# shellcheck disable=SC2317
soak_cleanup() {
	local status=$?
	mountpoint -q "$T/soak/spool/MIDQUEUE" && umount --lazy "$T/soak/spool/MIDQUEUE"
	(exit "$status")
	e2e_cleanup
}

e2e_begin
trap soak_cleanup EXIT
mkdir -p "$T"/soak/spool/{QUEUE,MIDQUEUE,SLOWQUEUE}
if [ -n "${IN_NAME_SPACE:-}" ]; then
	must mount -t tmpfs -o mode=0750,size=64m none "$T/soak/spool/MIDQUEUE"
else
	echo "ok - # skip: messages on their way to another file system need root and a mount name space"
fi

start "$T/churn.out" "$T/churn.err" "$TOOLS/churn" "$QFWATCH" "$T/soak" "$seconds"
churn=$STARTED_PID
ok "$seconds s of churn come to their end" wait_until $((seconds + 150)) process_is_gone "$churn"
wait "$churn"
status=$?
[ "$status" -eq 0 ] || sed 's/^/# /' "$T/churn.err" "$T/soak/stderr" | head -n 40
is "no message was lost, left behind or damaged; the daemon ran all the time" "$status" 0
sed 's/^/# /' "$T/churn.out"

# value NAME: what churn counted.
value() {
	sed -n "s/^$1=//p" "$T/churn.out"
}

# happened LEAST NAME...: each of them so often.
# shellcheck disable=SC2317
happened() {
	local least=$1 name found
	shift
	for name in "$@"; do
		found=$(value "$name")
		[ "${found:-0}" -ge "$least" ] || return 1
	done
}

rounds=$(value rounds)
ok "there were six rounds at least: $rounds" test "$rounds" -ge 6
ok "messages moved and departed in each round" happened $((rounds * 50)) message-moved message-departed
ok "some were deleted" happened "$rounds" message-deleted
ok "the policy was read again in each round" happened "$rounds" policy-loaded
ok "a tier was lost and found in each round" happened "$rounds" tier-lost tier-found
is "no event was dropped" "$(value events-dropped)" 0

# The warm-up: a minute, but no more than half, and three rounds, in which the ring of the sink is used once. Of what follows, the first and the last quarter are compared.
# All in KiB, except descriptors and threads.
awk -v seconds="$seconds" '
	function median(from, to,    i, j, n, swap, v) {
		for (i = from; i <= to; i++)
			v[n++] = rss[i]
		for (i = 0; i < n; i++)
			for (j = i + 1; j < n; j++)
				if (v[j] < v[i]) { swap = v[i]; v[i] = v[j]; v[j] = swap }
		return v[int((n - 1) / 2)]
	}
	BEGIN { warm = seconds / 2 < 60 ? seconds / 2 : 60 }
	$1 < warm || rested < 3 {
		if ($2 == "rest")
			rested++
		next
	}
	{
		if (!samples++ || $3 > most_descriptors) most_descriptors = $3
		if ($4 > most_rss) most_rss = $4
		if ($3 < 0 || $4 < 0 || $5 < 0) unread++
	}
	$2 == "rest" {
		if (!rests || $3 < descriptors_least) descriptors_least = $3
		if ($3 > descriptors_most) descriptors_most = $3
		if (!rests || $5 < threads_least) threads_least = $5
		if ($5 > threads_most) threads_most = $5
		at[rests] = $1
		rss[rests++] = $4
	}
	END {
		quarter = int((rests + 3) / 4)
		if (rests > 1) {
			first = median(0, quarter - 1)
			last = median(rests - quarter, rests - 1)
			hours = (at[rests - 1] - at[0]) / 3600
		}
		printf "samples=%d\nunread=%d\nrests=%d\n", samples, unread, rests
		printf "descriptors=%d..%d\nmost_descriptors=%d\n", descriptors_least, descriptors_most, most_descriptors
		printf "threads=%d..%d\n", threads_least, threads_most
		printf "first=%d\nlast=%d\nmost_rss=%d\nallowed=%d\n", first, last, most_rss, 256 + hours * 1024
		printf "flat_descriptors=%d\n", descriptors_least == descriptors_most
		printf "flat_threads=%d\n", threads_least == threads_most
	}' "$T/soak/samples" >"$T/flat"

# flat NAME: what awk found.
flat() {
	sed -n "s/^$1=//p" "$T/flat"
}

ok "$(flat samples) samples after the warm-up, $(flat rests) at rest" test "$(flat rests)" -ge 2
is "each could be read" "$(flat unread)" 0
is "descriptors at rest are always the same: $(flat descriptors), $(flat most_descriptors) at most meanwhile" \
	"$(flat flat_descriptors)" 1
is "so are threads: $(flat threads)" "$(flat flat_threads)" 1
at_most "memory is flat: $(flat first) KiB at rest at first, $(flat last) at last, $(flat most_rss) at most meanwhile: KiB more" \
	$(($(flat last) - $(flat first))) "$(flat allowed)"
e2e_end
